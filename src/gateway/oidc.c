/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oidc.c - users' tokens: what the configuration says of their issuer, and their claims here
 *
 * The part drives the keys of both issuers (issuer.h): that of users' tokens, and the edge proxy's.
 */
#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/edge.h"
#include "gateway/issuer.h"

#include <stdlib.h>

enum sub { USERS, EDGE, SUB_COUNT };

struct cv_gw_oidc {
	struct cv_gw_issuer *issuer[SUB_COUNT];
};

static struct cv_gw_issuer_words words(const struct cv_gw_config *c)
{
	return (struct cv_gw_issuer_words){ .part = "oidc",
		.name = c->oidc_issuer,
		.audience = c->oidc_audience,
		.keys_url = CV_STR(""),
		.ca = c->oidc_ca,
		.ttl_s = c->oidc_jwks_ttl };
}

/* ---- tokens ---- */

static void scope_add(struct cv_principal *who, struct cv_str s)
{
	static const char *const ignored[] = { "openid", "profile", "email", "offline_access" };

	for (size_t i = 0; i < CV_ARRAY_LEN(ignored); i++)
		if (cv_str_eq(s, cv_str_of(ignored[i])))
			return;
	/* One that does not fit is one less. */
	if (s.n && who->scope_count < CV_RPC_SCOPES_MAX &&
		cv_str_to_cstr(s, who->scopes[who->scope_count], CV_RPC_SCOPE_BYTES_MAX))
		who->scope_count++;
}

static void scopes_take(
	const struct cv_gw_config *c, const struct cv_jwt *t, struct cv_principal *who)
{
	const struct cv_value *v;

	if (!c->oidc_scopes_claim.n)
		return;
	who->has_scopes = true;
	v = cv_jwt_claim_at(t, c->oidc_scopes_claim);
	if (v && v->type == CV_VALUE_STRING) {
		struct cv_str rest = v->s;

		while (rest.p)
			scope_add(who, cv_str_cut(&rest, ' '));
	}
	for (size_t i = 0; v && v->type == CV_VALUE_ARRAY && i < v->n; i++)
		if (v->v[i].type == CV_VALUE_STRING)
			scope_add(who, v->v[i].s);
}

enum cv_rpc_status cv_gw_oidc_verify(
	struct cv_gateway *g, const struct cv_jwt *t, struct cv_principal *ret, struct cv_err *err)
{
	const struct cv_gw_config *c = g->config;
	enum cv_rpc_status s = cv_gw_issuer_verify(g->oidc->issuer[USERS], t, err);

	if (s != CV_RPC_OK)
		return s;
	if (!cv_gw_claims_name(t, ret)) {
		cv_fail(err, CV_DENIED, "invalid token: it names no subject");
		return CV_RPC_UNAUTHENTICATED;
	}
	ret->provider = "oidc";
	scopes_take(c, t, ret);
	s = cv_gw_claims_roles(
		t, c->oidc_roles_claim, c->oidc_admin_role, c->oidc_user_role, ret, err);
	if (s == CV_RPC_OK)
		ret->kind = CV_PRINCIPAL_USER;
	return s;
}

struct cv_gw_issuer *cv_gw_edge_issuer(const struct cv_gateway *g)
{
	return g->oidc->issuer[EDGE];
}

/* ---- the part ---- */

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	static cv_gw_issuer_words_fn *const of[SUB_COUNT] = {
		[USERS] = words,
		[EDGE] = cv_gw_edge_words,
	};
	cv_code code = CV_OK;

	g->oidc = calloc(1, sizeof(*g->oidc));
	if (!g->oidc)
		return cv_fail(err, CV_LIMIT, "no memory");
	for (size_t i = 0; i < SUB_COUNT && code == CV_OK; i++)
		code = cv_gw_issuer_new(
			g, CV_GW_WATCH(CV_GW_PART_OIDC, i), of[i], &g->oidc->issuer[i], err);
	return code;
}

static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	(void)old;
	for (size_t i = 0; i < SUB_COUNT; i++)
		cv_gw_issuer_reload(g->oidc->issuer[i]);
}

static void stop(struct cv_gateway *g)
{
	if (!g->oidc)
		return;
	for (size_t i = 0; i < SUB_COUNT; i++)
		cv_gw_issuer_free(g->oidc->issuer[i]);
	free(g->oidc);
	g->oidc = NULL;
}

static void event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	cv_gw_issuer_event(g->oidc->issuer[CV_GW_WATCH_SUB(e->watch.kind)], e);
}

static int64_t turn(struct cv_gateway *g)
{
	int64_t due_ms = INT64_MAX;

	for (size_t i = 0; i < SUB_COUNT; i++)
		due_ms = CV_MIN(due_ms, cv_gw_issuer_turn(g->oidc->issuer[i]));
	return due_ms;
}

const struct cv_gw_part cv_gw_part_oidc = {
	.name = "oidc",
	.start = start,
	.reload = reload,
	.stop = stop,
	.event = event,
	.turn = turn,
};
