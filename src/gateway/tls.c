/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c - see tls.h
 *
 * Clients' certificates are asked for and not required: who has a token needs none, and what a
 * caller may do is decided for each call.  TLS 1.2 and later.
 */
#include "gateway/tls.h"

#include "gateway/config.h"
#include "tls/fail.h"

#include <stdio.h>
#include <unistd.h>

struct files {
	char cert[4200], key[4200], client_ca[4200];
};

static bool is_there(const char *path)
{
	return path[0] && access(path, R_OK) == 0;
}

static void files_find(const struct cv_gateway *g, struct files *f)
{
	const struct cv_gw_config *c = g->config;

	if (c->tls_cert.n) {
		snprintf(f->cert, sizeof(f->cert), "%s", c->tls_cert.p);
		snprintf(f->key, sizeof(f->key), "%s", c->tls_key.p);
	} else {
		snprintf(f->cert, sizeof(f->cert), "%s/tls/server/tls.crt", g->state_dir);
		snprintf(f->key, sizeof(f->key), "%s/tls/server/tls.key", g->state_dir);
	}
	if (c->tls_client_ca.n)
		snprintf(f->client_ca, sizeof(f->client_ca), "%s", c->tls_client_ca.p);
	else
		snprintf(f->client_ca, sizeof(f->client_ca), "%s/tls/ca.crt", g->state_dir);
}

static cv_code named(cv_code code, const char *path, struct cv_err *err)
{
	(void)cv_wrap(err, "%s", path);
	return code;
}

/* No one is there to be asked: an encrypted key is not read. */
static int no_passphrase(char *buf, int size, int is_write, void *arg)
{
	(void)buf, (void)size, (void)is_write, (void)arg;
	return -1;
}

static cv_code fill(
	const struct cv_gateway *g, SSL_CTX *ctx, const struct files *f, struct cv_err *err)
{
	STACK_OF(X509_NAME) * names;

	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return cv_tls_fail(err, "TLS 1.2");
	if (SSL_CTX_use_certificate_chain_file(ctx, f->cert) != 1)
		return named(cv_tls_fail(err, "read the certificate"), f->cert, err);
	if (SSL_CTX_use_PrivateKey_file(ctx, f->key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1)
		return named(cv_tls_fail(err, "read the key"), f->key, err);
	if (!is_there(f->client_ca)) {
		if (g->config->tls_client_ca.n)
			return cv_fail(err, CV_NOT_FOUND, "%s can't be read", f->client_ca);
		return CV_OK;
	}
	names = SSL_load_client_CA_file(f->client_ca);
	if (!names || SSL_CTX_load_verify_file(ctx, f->client_ca) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return named(cv_tls_fail(err, "read the authority of clients"), f->client_ca, err);
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return CV_OK;
}

cv_code cv_gw_tls_new(const struct cv_gateway *g, SSL_CTX **ret, struct cv_err *err)
{
	static const unsigned char context[] = "cove-gateway";
	SSL_CTX *ctx = NULL;
	struct files f;
	cv_code code;

	files_find(g, &f);
	if (!is_there(f.cert) || !is_there(f.key))
		return cv_fail(err, CV_NOT_FOUND,
			"no certificate at %s: run 'cove gateway init', or name one (tls.cert, "
			"tls.key)",
			f.cert);
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return cv_tls_fail(err, "TLS");
	SSL_CTX_set_session_id_context(ctx, context, sizeof(context) - 1);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	code = fill(g, ctx, &f, err);
	if (code != CV_OK) {
		SSL_CTX_free(ctx);
		return code;
	}
	*ret = ctx;
	return CV_OK;
}
