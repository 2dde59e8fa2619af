/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - TLS towards the sandbox; see server.h
 *
 * One SSL_CTX for all names: a leaf is set per connection, which the library allows until the
 * handshake.  The session id context is fixed and the tickets' keys are the context's own, random
 * per process.
 */
#include "tls/server.h"

#include "tls/fail.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct cv_tls_server {
	EVP_PKEY *key; /* NULL until the first use */
	SSL_CTX *ctx;
};

cv_code cv_tls_server_new(struct cv_tls_server **ret, struct cv_err *err)
{
	struct cv_tls_server *s = calloc(1, sizeof(*s));

	if (!s)
		return cv_fail(err, CV_LIMIT, "no memory for TLS");
	*ret = s;
	return CV_OK;
}

void cv_tls_server_free(struct cv_tls_server *s)
{
	if (!s)
		return;
	SSL_CTX_free(s->ctx);
	EVP_PKEY_free(s->key);
	free(s);
}

/* only: of cv_tls_server_alpn(); NULL: it was not called. */
static bool alpn_is_ours(const char *only, struct cv_str name)
{
	static const struct cv_str ours[] = { CV_STR("h2"), CV_STR("http/1.1") };

	if (only)
		return cv_str_eq(name, (struct cv_str){ only + 1, (unsigned char)only[0] });
	for (size_t i = 0; i < CV_ARRAY_LEN(ours); i++)
		if (cv_str_eq(name, ours[i]))
			return true;
	return false;
}

/* The client's preference decides: whatever is ours is inspected alike. */
static int alpn_select(SSL *ssl, const unsigned char **ret, unsigned char *ret_bytes,
	const unsigned char *offered, unsigned bytes, void *arg)
{
	const char *only = SSL_get_app_data(ssl);

	(void)arg;
	for (unsigned at = 0; at < bytes && offered[at] < bytes - at; at += offered[at] + 1u) {
		const struct cv_str name = { (const char *)offered + at + 1, offered[at] };

		if (!alpn_is_ours(only, name))
			continue;
		*ret = offered + at + 1;
		*ret_bytes = offered[at];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void cv_tls_server_alpn(SSL *ssl, const char *name)
{
	SSL_set_app_data(ssl, (char *)(uintptr_t)name);
}

static cv_code make(struct cv_tls_server *s, struct cv_err *err)
{
	static const unsigned char id[] = "cove";

	s->key = EVP_EC_gen("P-256");
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (!s->key || !ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) != 1) {
		SSL_CTX_free(ctx);
		EVP_PKEY_free(s->key);
		s->key = NULL;
		return cv_tls_fail(err, "set up TLS for the sandbox");
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* these bytes never leave the machine: the fastest that is sound goes first, and has the
	 * hash that the CPU helps with for its key schedule */
	SSL_CTX_set_ciphersuites(
		ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, alpn_select, NULL);
	s->ctx = ctx;
	return CV_OK;
}

cv_code cv_tls_server_spki(struct cv_tls_server *s, struct cv_buf *ret, struct cv_err *err)
{
	if (!s->key && make(s, err) != CV_OK)
		return err->code;
	const int n = i2d_PUBKEY(s->key, NULL);
	char *room = n > 0 ? cv_buf_reserve(ret, (size_t)n) : NULL;
	unsigned char *at = (unsigned char *)room;
	if (!room || i2d_PUBKEY(s->key, &at) != n)
		return cv_tls_fail(err, "write the proxy's public key");
	cv_buf_commit(ret, (size_t)n);
	return CV_OK;
}

cv_code cv_tls_server_ssl(
	struct cv_tls_server *s, int fd, X509 *leaf, SSL **ret, struct cv_err *err)
{
	if (!s->key && make(s, err) != CV_OK)
		return err->code;
	ERR_clear_error();
	SSL *ssl = SSL_new(s->ctx);
	if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_use_certificate(ssl, leaf) != 1 ||
		SSL_use_PrivateKey(ssl, s->key) != 1) {
		SSL_free(ssl);
		return cv_tls_fail(err, "set up TLS for the sandbox");
	}
	SSL_set_accept_state(ssl);
	*ret = ssl;
	return CV_OK;
}
