/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.c - from what a caller shows to who it is
 *
 *     a bearer token that our own key signed    a sandbox, if there still is one with that id
 *     another bearer token                      a user, if an issuer is configured and says so
 *     an edge proxy's assertion                 a user, if an edge is configured and signed it; on
 *                                               the request, or on the tunnel that it came by
 *     a client certificate                      a user, where certificates are users (auth.mtls)
 *     nothing, on loopback                      the local user: without TLS, or where the
 *                                               configuration lets everybody in who gets this far
 *     nothing                                   nobody
 *
 * What is shown is never overlooked: a bad token is a refusal, also beside a good certificate, and of
 * two that are good the one that is nearer to the call says who it is.  So a tunnel is good for as
 * long as what it was opened with is.  Without an edge its assertions are somebody else's business.
 * Which key verifies a token is decided by the key's id and algorithm; the claim `iss` only chooses
 * between ours and the issuer's.
 *
 * Two keys of ours are good at a time: that which signs and the one before it.  SIGHUP reads them
 * again, so a rotation needs no restart.
 */
#include "gateway/auth.h"

#include "gateway/config.h"
#include "gateway/edge.h"
#include "gateway/external.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/pki.h"
#include "gateway/serve.h"

#include "openshell.pb-c.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define ISSUER_PREFIX   "openshell-gateway:"
#define SUBJECT_PREFIX  "spiffe://openshell/sandbox/"
#define EXTERNAL_TTL_S  3600
#define EXTENSIONS_MAX  64           /* openshell-api 7 */
#define TOKEN_ARENA_MAX (256u << 10) /* a token's values; it has at most 16 KB of text */

struct cv_gw_auth {
	struct cv_jwks keys;
	struct cv_buf pem; /* of the first */
	char issuer[128];
	int64_t window_ms; /* loop time at which the present window of the rate limit began */
	uint32_t window_calls;
};

/* ---- keys ---- */

static cv_code keys_load(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_jwks *keys = calloc(1, sizeof(*keys));
	struct cv_buf pem;
	bool is_lost = false;
	cv_code code;

	if (!keys)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_buf_init(&pem, CV_GW_FILE_BYTES_MAX);
	code = cv_pki_signing_keys(g->state_fd, keys, &pem, &is_lost, err);
	if (code == CV_OK && is_lost)
		cv_log(CV_LOG_WARN, "auth", CV_LOG_NONE, CV_PKI_LOST_TEXT);
	if (code == CV_OK) {
		cv_jwks_fini(&g->auth->keys);
		cv_buf_wipe(&g->auth->pem);
		g->auth->keys = *keys;
		g->auth->pem = pem;
	} else {
		cv_buf_wipe(&pem);
	}
	free(keys);
	return code;
}

/* One that leaves this machine ends, whoever says nothing about it. */
static uint32_t ttl_of(const struct cv_gateway *g, struct cv_str sandbox_id)
{
	const struct cv_object *o = cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, sandbox_id);
	const bool is_external = o && cv_gw_box_is_external(cv_gw_box_of(o));

	return !g->config->token_ttl && is_external ? EXTERNAL_TTL_S : g->config->token_ttl;
}

cv_code cv_gw_token_mint(struct cv_gateway *g, struct cv_str sandbox_id, struct cv_buf *ret,
	int64_t *ret_expires_at_ms, struct cv_err *err)
{
	const struct cv_str issuer = cv_str_of(g->auth->issuer);
	const int64_t now_s = cv_clock_unix_ms() / 1000;
	const uint32_t ttl_s = ttl_of(g, sandbox_id);
	const int64_t end_s = ttl_s ? now_s + ttl_s : 0;
	char subject[128];
	const struct cv_jwt_claim claims[] = {
		{ .name = "sub",
			.text = { subject,
				(size_t)snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%.*s",
					CV_STR_ARG(
						cv_str_slice(sandbox_id, 0, CV_RPC_ID_BYTES))) } },
		{ .name = "iss", .text = issuer },
		{ .name = "aud", .text = issuer },
		{ .name = "iat", .number = now_s, .is_number = true },
		{ .name = "exp", .number = end_s, .is_number = true },
		{ .name = "sandbox_id", .text = sandbox_id },
	};
	const cv_code code = cv_jwt_sign(CV_JWT_EDDSA, cv_buf_str(&g->auth->pem),
		cv_str_of(g->auth->keys.key[0].kid), claims, CV_ARRAY_LEN(claims), ret, err);

	if (code == CV_OK && ret_expires_at_ms)
		*ret_expires_at_ms = end_s * 1000;
	return code;
}

bool cv_gw_token_is_known(const struct cv_gateway *g, struct cv_str token)
{
	struct cv_arena arena;
	struct cv_str issuer;
	struct cv_err err;
	struct cv_jwt t;
	bool is_known = false;

	cv_arena_init(&arena, TOKEN_ARENA_MAX);
	if (cv_jwt_read(token, &arena, &t, &err) == CV_OK) {
		issuer = cv_value_get_str(t.claims, CV_STR("iss"));
		is_known =
			cv_str_eq(issuer, cv_str_of(g->auth->issuer)) ||
			(g->config->oidc_issuer.n && cv_str_eq(issuer, g->config->oidc_issuer)) ||
			(g->config->edge_issuer.n && cv_str_eq(issuer, g->config->edge_issuer));
	}
	cv_arena_fini(&arena);
	return is_known;
}

void cv_gw_jwks_write(const struct cv_gateway *g, struct cv_buf *out)
{
	cv_buf_put(out, CV_STR("{\"keys\":["));
	for (size_t i = 0; i < g->auth->keys.n; i++) {
		if (i)
			cv_buf_put_byte(out, ',');
		cv_jwk_write(out, &g->auth->keys.key[i]);
	}
	cv_buf_put(out, CV_STR("]}"));
}

/* ---- callers ---- */

static enum cv_rpc_status refuse(const char *why, const struct cv_err *err)
{
	cv_metric_add(CV_METRIC_AUTH_REFUSALS, 1, why);
	cv_log(CV_LOG_WARN, "auth", CV_LOG_FIELDS({ "why", cv_str_of(err->msg) }), "refused");
	return CV_RPC_UNAUTHENTICATED;
}

static enum cv_rpc_status sandbox_verify(
	struct cv_gateway *g, const struct cv_jwt *t, struct cv_principal *ret, struct cv_err *err)
{
	const struct cv_jwt_key *key = cv_jwks_find(&g->auth->keys, t->kid, t->alg);
	const struct cv_str id = cv_value_get_str(t->claims, CV_STR("sandbox_id"));
	const struct cv_str subject = cv_value_get_str(t->claims, CV_STR("sub"));
	const size_t prefix = strlen(SUBJECT_PREFIX);

	cv_fail(err, CV_DENIED, "invalid sandbox token");
	if (!key || !cv_jwt_verify(t, key) || !cv_jwt_has_audience(t, cv_str_of(g->auth->issuer)) ||
		!id.n || !cv_str_has_prefix(subject, CV_STR(SUBJECT_PREFIX)) ||
		!cv_str_eq(cv_str_slice(subject, prefix, subject.n), id) ||
		!cv_str_to_cstr(id, ret->sandbox_id, sizeof(ret->sandbox_id)))
		return refuse("token", err);
	if (cv_jwt_check_times(t, cv_clock_unix_ms() / 1000, true, err) != CV_OK)
		return refuse("times", err);
	if (!cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, id)) {
		cv_fail(err, CV_DENIED, "the sandbox of this token is gone");
		return refuse("gone", err);
	}
	ret->kind = CV_PRINCIPAL_SANDBOX;
	return CV_RPC_OK;
}

static enum cv_rpc_status bearer_verify(
	struct cv_gateway *g, struct cv_str bearer, struct cv_principal *ret, struct cv_err *err)
{
	enum cv_rpc_status status;
	struct cv_arena arena;
	struct cv_jwt t;

	cv_arena_init(&arena, TOKEN_ARENA_MAX);
	if (cv_jwt_read(bearer, &arena, &t, err) != CV_OK) {
		status = refuse("token", err);
	} else if (cv_str_eq(
			   cv_value_get_str(t.claims, CV_STR("iss")), cv_str_of(g->auth->issuer))) {
		status = sandbox_verify(g, &t, ret, err);
	} else if (g->config->oidc_issuer.n) {
		status = cv_gw_oidc_verify(g, &t, ret, err);
		if (status == CV_RPC_UNAUTHENTICATED)
			(void)refuse("oidc", err);
	} else {
		cv_fail(err, CV_DENIED, "no issuer of users' tokens is configured");
		status = refuse("token", err);
	}
	cv_arena_fini(&arena);
	return status;
}

/* Others say who calls: then a certificate may be a proxy's, and no user's. */
static bool has_issuer(const struct cv_gw_config *c)
{
	return c->oidc_issuer.n || cv_gw_edge_is_on(c);
}

static bool certificates_are_users(const struct cv_gw_config *c)
{
	return c->mtls_auth == CV_GW_UNSET ? !has_issuer(c) : c->mtls_auth == CV_GW_YES;
}

static void user_from_certificate(X509 *certificate, struct cv_principal *ret)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	char cn[CV_RPC_SUBJECT_BYTES_MAX] = "";

	/* A name with a NUL inside would be read as a shorter one. */
	if (X509_NAME_get_text_by_NID(name, NID_commonName, cn, sizeof(cn)) != (int)strlen(cn) ||
		!cn[0])
		snprintf(cn, sizeof(cn), "%s", "certificate");
	ret->kind = CV_PRINCIPAL_USER;
	ret->provider = "mtls";
	ret->is_admin = ret->is_user = true;
	memcpy(ret->subject, cn, sizeof(cn));
}

static bool is_local_user(const struct cv_gw_config *c, const struct cv_rpc_presented *given)
{
	return given->is_loopback &&
	       (given->is_plaintext ? c->disable_tls : c->allow_unauthenticated) &&
	       (!has_issuer(c) || c->allow_unauthenticated);
}

/* What an edge proxy says; kind stays NONE where it says nothing. */
static enum cv_rpc_status edge_verify(struct cv_gateway *g, const struct cv_rpc_presented *given,
	struct cv_principal *ret, struct cv_err *err)
{
	const struct cv_str said[] = { given->tunnel, given->assertion };

	if (!cv_gw_edge_is_on(g->config))
		return CV_RPC_OK;
	for (size_t i = 0; i < CV_ARRAY_LEN(said); i++) {
		const enum cv_rpc_status s =
			said[i].n ? cv_gw_edge_verify(g, said[i], ret, err) : CV_RPC_OK;

		if (s != CV_RPC_OK)
			return s;
	}
	return CV_RPC_OK;
}

/* Of the whole gateway; what needs no authentication does not count and is not refused. */
static bool is_over_rate(struct cv_gateway *g)
{
	const struct cv_gw_config *c = g->config;
	struct cv_gw_auth *a = g->auth;

	if (!c->rate_requests)
		return false;
	if (!a->window_calls || g->loop.now_ms - a->window_ms >= (int64_t)c->rate_window * 1000) {
		a->window_ms = g->loop.now_ms;
		a->window_calls = 0;
	}
	if (a->window_calls >= c->rate_requests)
		return true;
	a->window_calls++;
	return false;
}

enum cv_rpc_status cv_gw_authenticate(void *arg, const struct cv_rpc_presented *given,
	struct cv_principal *ret, struct cv_err *err)
{
	struct cv_gateway *g = arg;
	enum cv_rpc_status s;

	*ret = (struct cv_principal){ .kind = CV_PRINCIPAL_NONE };
	if (is_over_rate(g)) {
		cv_fail(err, CV_LIMIT, "gRPC rate limit exceeded");
		return CV_RPC_RESOURCE_EXHAUSTED;
	}
	s = edge_verify(g, given, ret, err);
	if (s != CV_RPC_OK)
		return s;
	if (given->bearer.n) {
		*ret = (struct cv_principal){ .kind = CV_PRINCIPAL_NONE };
		return bearer_verify(g, given->bearer, ret, err);
	}
	if (ret->kind != CV_PRINCIPAL_NONE)
		return CV_RPC_OK;
	if (given->certificate && certificates_are_users(g->config)) {
		user_from_certificate(given->certificate, ret);
	} else if (is_local_user(g->config, given)) {
		ret->kind = CV_PRINCIPAL_USER;
		ret->provider = "local_dev";
		ret->is_admin = ret->is_user = true;
		snprintf(ret->subject, sizeof(ret->subject), "local");
	}
	return CV_RPC_OK;
}

/* ---- rpcs ---- */

static void token_refresh(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__RefreshSandboxTokenRequest *q = (const void *)m;
	const struct cv_principal *who = cv_rpc_call_principal(c);
	Openshell__V1__RefreshSandboxTokenResponse r;
	struct cv_buf token;
	struct cv_err err;
	int64_t end_ms = 0;

	if (q->n_extension_service_names > EXTENSIONS_MAX) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT,
			"extension_service_names exceeds maximum entries (%zu > %d)",
			q->n_extension_service_names, EXTENSIONS_MAX);
		return;
	}
	cv_buf_init(&token, CV_JWT_TOKEN_BYTES_MAX);
	if (cv_gw_token_mint(cv_gw_of(c), cv_str_of(who->sandbox_id), &token, &end_ms, &err) !=
		CV_OK) {
		cv_rpc_finish(c, CV_RPC_INTERNAL, "%s", err.msg);
	} else {
		cv_buf_put_byte(&token, 0);
		openshell__v1__refresh_sandbox_token_response__init(&r);
		r.token = (char *)(uintptr_t)cv_buf_str(&token).p;
		r.expires_at_ms = end_ms;
		cv_rpc_reply(c, &r.base);
	}
	cv_buf_wipe(&token);
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	g->auth = calloc(1, sizeof(*g->auth));
	if (!g->auth)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_buf_init(&g->auth->pem, CV_GW_FILE_BYTES_MAX);
	snprintf(g->auth->issuer, sizeof(g->auth->issuer), ISSUER_PREFIX "%s", g->id);
	if (g->config->disable_tls)
		cv_log(CV_LOG_WARN, "auth", CV_LOG_NONE,
			"plaintext: every process of this machine's network can reach this gateway");
	return keys_load(g, err);
}

static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	struct cv_err err;

	(void)old;
	if (keys_load(g, &err) != CV_OK)
		cv_log(CV_LOG_ERROR, "auth", CV_LOG_FIELDS({ "why", cv_str_of(err.msg) }),
			"signing keys were not reloaded");
}

static void stop(struct cv_gateway *g)
{
	if (!g->auth)
		return;
	cv_jwks_fini(&g->auth->keys);
	cv_buf_wipe(&g->auth->pem);
	free(g->auth);
	g->auth = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "RefreshSandboxToken", { .message = token_refresh } },
};

const struct cv_gw_part cv_gw_part_auth = {
	.name = "auth",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = start,
	.reload = reload,
	.stop = stop,
};
