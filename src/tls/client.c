/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - TLS towards upstreams; see client.h
 *
 * How it works.  One SSL_CTX, made at the first connection from the roots' PEM.  Each SSL carries
 * the slot of its name in the session table as ex_data, so that the library's new-session
 * callback (TLS 1.3 tickets come after the handshake) puts the session where it belongs.
 * Sessions are replaced in turn when the table is full: losing one costs a full handshake.
 */
#include "tls/client.h"

#include "tls/fail.h"
#include "tls/limits.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct kept {
	char host[CV_TLS_HOST_BYTES_MAX + 1];
	SSL_SESSION *session; /* NULL: none yet, or a free slot when host is empty */
};

struct cv_tls_client {
	struct cv_str roots;
	SSL_CTX *ctx; /* NULL until the first use */
	struct kept kept[CV_TLS_SESSIONS_MAX];
	size_t next; /* the slot to replace when a new name comes */
};

cv_code cv_tls_client_new(struct cv_str roots, struct cv_tls_client **ret, struct cv_err *err)
{
	struct cv_tls_client *c = calloc(1, sizeof(*c));

	if (!c)
		return cv_fail(err, CV_LIMIT, "no memory for TLS");
	c->roots = roots;
	*ret = c;
	return CV_OK;
}

void cv_tls_client_free(struct cv_tls_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CV_TLS_SESSIONS_MAX; i++)
		SSL_SESSION_free(c->kept[i].session);
	SSL_CTX_free(c->ctx);
	free(c);
}

const char *cv_tls_failure_text(const SSL *ssl)
{
	static char text[160];
	const long verify = SSL_get_verify_result(ssl);
	const unsigned long e = ERR_peek_error();

	if (verify != X509_V_OK)
		return X509_verify_cert_error_string(verify);
	if (!e)
		return "the connection was closed during the handshake";
	ERR_error_string_n(e, text, sizeof(text));
	return text;
}

/* Takes every certificate of the PEM; a bundle with none is an error, since then nothing could
 * ever be verified. */
static cv_code roots_parse(X509_STORE *store, struct cv_str pem, struct cv_err *err)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)CV_MIN(pem.n, (size_t)CV_TLS_ROOTS_BYTES_MAX));
	size_t count = 0;
	X509 *cert;

	if (!bio)
		return cv_tls_fail(err, "read the trusted roots");
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(store, cert) == 1)
			count++;
		X509_free(cert);
	}
	ERR_clear_error(); /* the end of the bundle is reported as an error */
	BIO_free(bio);
	if (!count)
		return cv_fail(err, CV_INVALID, "the trusted roots hold no certificate");
	return CV_OK;
}

static int session_new(SSL *ssl, SSL_SESSION *session)
{
	struct kept *k = SSL_get_app_data(ssl);

	if (!k || !SSL_SESSION_is_resumable(session))
		return 0;
	/* the slot may have gone to another name while this connection lived */
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (!sni || strcmp(sni, k->host) != 0)
		return 0;
	SSL_SESSION_free(k->session);
	k->session = session;
	return 1; /* the reference is ours now */
}

static cv_code ctx_make(struct cv_tls_client *c, struct cv_err *err)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	cv_code code = CV_OK;

	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) != 0)
		code = cv_tls_fail(err, "set up TLS");
	else
		code = roots_parse(SSL_CTX_get_cert_store(ctx), c->roots, err);
	if (code != CV_OK) {
		SSL_CTX_free(ctx);
		return code;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	/* the library's own cache can't be keyed by name; the callback fills ours */
	SSL_CTX_set_session_cache_mode(
		ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, session_new);
	c->ctx = ctx;
	return CV_OK;
}

/* The slot of host, perhaps taken from the name that had it longest. */
static struct kept *kept_of(struct cv_tls_client *c, const char *host)
{
	for (size_t i = 0; i < CV_TLS_SESSIONS_MAX; i++)
		if (strcmp(c->kept[i].host, host) == 0)
			return &c->kept[i];
	struct kept *k = &c->kept[c->next];
	c->next = (c->next + 1) % CV_TLS_SESSIONS_MAX;
	SSL_SESSION_free(k->session);
	k->session = NULL;
	memcpy(k->host, host, strlen(host) + 1);
	return k;
}

/* SSL_set_tlsext_host_name() without its cast, which drops a const. */
static long sni_set(SSL *ssl, const char *host)
{
	return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		(void *)(uintptr_t)host);
}

/* The name that the certificate must be for, the one in the SNI, and the session to offer. */
static bool peer_set(struct cv_tls_client *c, SSL *ssl, const char *host, bool host_is_ip)
{
	if (host_is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set1_host(ssl, host) != 1 || sni_set(ssl, host) != 1)
		return false;
	struct kept *k = kept_of(c, host);
	SSL_set_app_data(ssl, k);
	return !k->session || SSL_set_session(ssl, k->session) == 1;
}

cv_code cv_tls_client_ssl(struct cv_tls_client *c, int fd, struct cv_str host, bool host_is_ip,
	bool offers_h2, SSL **ret, struct cv_err *err)
{
	static const unsigned char both[] = "\x02h2\x08http/1.1";
	char z[CV_TLS_HOST_BYTES_MAX + 1];

	if (!cv_str_to_cstr(host, z, sizeof(z)))
		return cv_fail(err, CV_INVALID, "the host's name is too long for TLS");
	if (!c->ctx && ctx_make(c, err) != CV_OK)
		return err->code;
	ERR_clear_error();
	SSL *ssl = SSL_new(c->ctx);
	if (!ssl || SSL_set_fd(ssl, fd) != 1 || !peer_set(c, ssl, z, host_is_ip) ||
		(offers_h2 && SSL_set_alpn_protos(ssl, both, sizeof(both) - 1) != 0)) {
		SSL_free(ssl);
		return cv_tls_fail(err, "set up TLS");
	}
	SSL_set_connect_state(ssl);
	*ret = ssl;
	return CV_OK;
}
