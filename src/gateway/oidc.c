/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oidc.c - users' tokens: the issuer's keys, and what its claims mean here
 *
 *     IDLE ──► DISCOVERY ──► KEYS ──► IDLE        a fetch; any failure leads back to IDLE
 *
 * Keys are fetched at the start, when they are older than oidc.jwks_ttl_secs, and when a token names
 * one that is not there: that at most once in RETRY_MS, because whoever calls can invent names.
 * Keys that are there stay good while others are fetched, and when the issuer can't be reached.
 * A caller who needs a fetch to end is answered UNAVAILABLE, which clients try again.
 *
 * Nothing blocks (curl_loop.h).
 */
#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/curl_loop.h"
#include "gateway/log.h"
#include "sys/clock.h"
#include "wire/json_value.h"

#include <stdio.h>
#include <stdlib.h>

#define RETRY_MS        5000  /* between fetches that strangers can cause */
#define FETCH_MS        10000 /* for each of the two requests */
#define URL_BYTES_MAX   2048
#define DISCOVERY_ARENA (1u << 20)

enum state { IDLE, DISCOVERY, KEYS };

struct cv_gw_oidc {
	enum state state;
	struct cv_gw_curl curl;
	CURL *easy;
	struct cv_buf body;
	char url[URL_BYTES_MAX], issuer[URL_BYTES_MAX], why[CURL_ERROR_SIZE];
	struct cv_jwks *keys;      /* NULL: none yet */
	int64_t keys_ms, begun_ms; /* loop time; begun_ms 0: never */
};

static size_t on_data(char *bytes, size_t size, size_t count, void *arg)
{
	struct cv_gw_oidc *o = arg;

	return cv_buf_put(&o->body, (struct cv_str){ bytes, size * count }) ? size * count : 0;
}

/* ---- fetching ---- */

static bool request_begin(struct cv_gateway *g, const char *url)
{
	struct cv_gw_oidc *o = g->oidc;
	const struct cv_gw_config *c = g->config;
	const char *scheme =
		cv_str_has_prefix(c->oidc_issuer, CV_STR("https://")) ? "https" : "http,https";

	cv_buf_reset(&o->body);
	o->why[0] = 0;
	o->easy = curl_easy_init();
	if (!o->easy)
		return false;
	/* An issuer behind TLS is not asked for its keys without. */
	const bool is_set =
		curl_easy_setopt(o->easy, CURLOPT_URL, url) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_PROTOCOLS_STR, scheme) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_TIMEOUT_MS, (long)FETCH_MS) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_ERRORBUFFER, o->why) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_WRITEDATA, o) == CURLE_OK &&
		(!c->oidc_ca.n ||
			curl_easy_setopt(o->easy, CURLOPT_CAINFO, c->oidc_ca.p) == CURLE_OK) &&
		curl_multi_add_handle(o->curl.multi, o->easy) == CURLM_OK;
	if (!is_set) {
		curl_easy_cleanup(o->easy);
		o->easy = NULL;
	}
	return is_set;
}

static void request_end(struct cv_gw_oidc *o)
{
	if (!o->easy)
		return;
	curl_multi_remove_handle(o->curl.multi, o->easy);
	curl_easy_cleanup(o->easy);
	o->easy = NULL;
}

static void failed(struct cv_gateway *g, const char *why)
{
	cv_log(CV_LOG_WARN, "oidc",
		CV_LOG_FIELDS({ "issuer", g->config->oidc_issuer },
			{ "url", cv_str_of(g->oidc->url) }, { "why", cv_str_of(why) }),
		"keys were not fetched");
	g->oidc->state = IDLE;
}

static void fetch_begin(struct cv_gateway *g)
{
	struct cv_gw_oidc *o = g->oidc;
	struct cv_str issuer = g->config->oidc_issuer;

	o->begun_ms = CV_MAX(g->loop.now_ms, 1);
	while (cv_str_has_suffix(issuer, CV_STR("/"))) /* OpenID Discovery section 4.1 */
		issuer.n--;
	snprintf(o->url, sizeof(o->url), "%.*s/.well-known/openid-configuration",
		CV_STR_ARG(cv_str_slice(issuer, 0, 1900)));
	o->state = DISCOVERY;
	if (!request_begin(g, o->url))
		failed(g, "libcurl does not start");
}

static bool can_fetch(const struct cv_gateway *g)
{
	return g->oidc->state == IDLE &&
	       (!g->oidc->begun_ms || g->loop.now_ms - g->oidc->begun_ms >= RETRY_MS);
}

/* Where the keys are: NULL, or why this is no such document. */
static const char *discovery_take(struct cv_gateway *g)
{
	struct cv_gw_oidc *o = g->oidc;
	const struct cv_value *root;
	const char *why = NULL;
	struct cv_arena arena;

	cv_arena_init(&arena, DISCOVERY_ARENA);
	if (cv_json_value_read(cv_buf_str(&o->body), &arena, &root, NULL) != CV_JSON_PROBLEM_NONE)
		why = "what came is no JSON";
	else if (!cv_str_eq(cv_value_get_str(root, CV_STR("issuer")), g->config->oidc_issuer))
		why = "the document is another issuer's";
	else if (!cv_value_get_str(root, CV_STR("jwks_uri")).n ||
		 !cv_str_to_cstr(
			 cv_value_get_str(root, CV_STR("jwks_uri")), o->url, sizeof(o->url)))
		why = "the document has no jwks_uri";
	cv_arena_fini(&arena);
	return why;
}

static void keys_take(struct cv_gateway *g)
{
	struct cv_gw_oidc *o = g->oidc;
	struct cv_jwks *keys = calloc(1, sizeof(*keys));
	struct cv_err err = { .msg = "no memory" };
	char number[16];

	if (!keys || cv_jwks_read(cv_buf_str(&o->body), keys, &err) != CV_OK || !keys->n) {
		failed(g,
			keys && !keys->n && err.code == CV_OK ? "no key that is of use" : err.msg);
		free(keys);
		return;
	}
	if (o->keys)
		cv_jwks_fini(o->keys);
	free(o->keys);
	o->keys = keys;
	o->keys_ms = g->loop.now_ms;
	o->state = IDLE;
	snprintf(number, sizeof(number), "%zu", keys->n);
	cv_log(CV_LOG_INFO, "oidc",
		CV_LOG_FIELDS({ "issuer", g->config->oidc_issuer }, { "keys", cv_str_of(number) }),
		"keys fetched");
}

static void request_ended(struct cv_gateway *g, CURLcode result)
{
	struct cv_gw_oidc *o = g->oidc;
	const enum state was = o->state;
	const char *why;

	request_end(o);
	if (result != CURLE_OK) {
		failed(g, o->why[0] ? o->why : curl_easy_strerror(result));
		return;
	}
	if (was == KEYS) {
		keys_take(g);
		return;
	}
	why = discovery_take(g);
	o->state = KEYS;
	if (why || !request_begin(g, o->url))
		failed(g, why ? why : "libcurl does not start");
}

static void ended_take(struct cv_gateway *g)
{
	CURLcode result;

	while (g->oidc->easy && cv_gw_curl_done(&g->oidc->curl, &result))
		request_ended(g, result);
}

/* ---- tokens ---- */

/* NULL: status says why. */
static const struct cv_jwt_key *key_find(struct cv_gateway *g, const struct cv_jwt *t,
	enum cv_rpc_status *status, struct cv_err *err)
{
	struct cv_gw_oidc *o = g->oidc;
	const struct cv_jwt_key *key = o->keys ? cv_jwks_find(o->keys, t->kid, t->alg) : NULL;
	const bool is_old =
		o->keys && g->loop.now_ms - o->keys_ms >= (int64_t)g->config->oidc_jwks_ttl * 1000;

	if ((!key || is_old) && can_fetch(g))
		fetch_begin(g);
	if (key)
		return key;
	if (o->state != IDLE || !o->keys) {
		*status = CV_RPC_UNAVAILABLE;
		cv_fail(err, CV_UNAVAILABLE, "the issuer's keys are being fetched; try again");
	} else {
		*status = CV_RPC_UNAUTHENTICATED;
		cv_fail(err, CV_DENIED, "invalid token: its key is not the issuer's");
	}
	return NULL;
}

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

/* Without names for roles there are none to ask for: every user is an administrator. */
static void roles_take(
	const struct cv_gw_config *c, const struct cv_jwt *t, struct cv_principal *who)
{
	const struct cv_value *v = cv_jwt_claim_at(t, c->oidc_roles_claim);
	const bool has_list = v && v->type == CV_VALUE_ARRAY;

	if (!c->oidc_admin_role.n && !c->oidc_user_role.n) {
		who->is_admin = who->is_user = true;
		return;
	}
	for (size_t i = 0; has_list && i < v->n; i++) {
		if (v->v[i].type != CV_VALUE_STRING)
			continue;
		who->is_admin |= c->oidc_admin_role.n && cv_str_eq(v->v[i].s, c->oidc_admin_role);
		who->is_user |= c->oidc_user_role.n && cv_str_eq(v->v[i].s, c->oidc_user_role);
	}
	who->is_user |= who->is_admin || !c->oidc_user_role.n;
}

static bool name_take(const struct cv_jwt *t, struct cv_principal *who)
{
	static const char *const names[] = { "preferred_username", "email", "name" };
	const struct cv_str subject = cv_value_get_str(t->claims, CV_STR("sub"));

	if (!subject.n || !cv_str_to_cstr(subject, who->subject, sizeof(who->subject)))
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++) {
		const struct cv_str v = cv_value_get_str(t->claims, cv_str_of(names[i]));

		if (v.n && cv_str_to_cstr(v, who->display_name, sizeof(who->display_name)))
			return true;
	}
	return cv_str_to_cstr(subject, who->display_name, sizeof(who->display_name));
}

enum cv_rpc_status cv_gw_oidc_verify(
	struct cv_gateway *g, const struct cv_jwt *t, struct cv_principal *ret, struct cv_err *err)
{
	const struct cv_gw_config *c = g->config;
	enum cv_rpc_status status = CV_RPC_UNAUTHENTICATED;
	const struct cv_jwt_key *key;

	cv_fail(err, CV_DENIED, "invalid token");
	if (!cv_str_eq(cv_value_get_str(t->claims, CV_STR("iss")), c->oidc_issuer)) {
		cv_fail(err, CV_DENIED, "invalid token: it is another issuer's");
		return status;
	}
	key = key_find(g, t, &status, err);
	if (!key)
		return status;
	if (!cv_jwt_verify(t, key)) {
		cv_fail(err, CV_DENIED, "invalid token: its signature is wrong");
		return status;
	}
	if (!cv_jwt_has_audience(t, c->oidc_audience)) {
		cv_fail(err, CV_DENIED, "invalid token: it is for another audience");
		return status;
	}
	if (cv_jwt_check_times(t, cv_clock_unix_ms() / 1000, false, err) != CV_OK)
		return status;
	if (!name_take(t, ret)) {
		cv_fail(err, CV_DENIED, "invalid token: it names no subject");
		return status;
	}
	ret->provider = "oidc";
	scopes_take(c, t, ret);
	roles_take(c, t, ret);
	if (!ret->is_user) {
		cv_fail(err, CV_DENIED, "the token has neither the role '%.*s' nor '%.*s'",
			CV_STR_ARG(c->oidc_user_role), CV_STR_ARG(c->oidc_admin_role));
		return CV_RPC_PERMISSION_DENIED;
	}
	ret->kind = CV_PRINCIPAL_USER;
	return CV_RPC_OK;
}

/* ---- the part ---- */

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_gw_oidc *o = g->oidc = calloc(1, sizeof(*o));

	if (!o)
		return cv_fail(err, CV_LIMIT, "no memory");
	if (cv_gw_curl_init(&o->curl, g, CV_GW_WATCH(CV_GW_PART_OIDC, 0), err) != CV_OK)
		return err->code;
	cv_buf_init(&o->body, CV_JWKS_BYTES_MAX);
	snprintf(o->issuer, sizeof(o->issuer), "%s", g->config->oidc_issuer.p);
	if (g->config->oidc_issuer.n)
		fetch_begin(g);
	return CV_OK;
}

static void keys_forget(struct cv_gw_oidc *o)
{
	if (o->keys)
		cv_jwks_fini(o->keys);
	free(o->keys);
	o->keys = NULL;
}

/* Another issuer has other keys; the same may have new ones. */
static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	(void)old;
	request_end(g->oidc);
	g->oidc->state = IDLE;
	if (strcmp(g->oidc->issuer, g->config->oidc_issuer.p) != 0)
		keys_forget(g->oidc);
	snprintf(g->oidc->issuer, sizeof(g->oidc->issuer), "%s", g->config->oidc_issuer.p);
	if (g->config->oidc_issuer.n)
		fetch_begin(g);
}

static void stop(struct cv_gateway *g)
{
	if (!g->oidc)
		return;
	request_end(g->oidc);
	cv_gw_curl_fini(&g->oidc->curl);
	keys_forget(g->oidc);
	cv_buf_fini(&g->oidc->body);
	free(g->oidc);
	g->oidc = NULL;
}

static void event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	cv_gw_curl_event(&g->oidc->curl, e);
	ended_take(g);
}

static int64_t turn(struct cv_gateway *g)
{
	struct cv_gw_oidc *o = g->oidc;

	cv_gw_curl_turn(&o->curl);
	ended_take(g);
	/* At a start without the issuer: until the keys are there. */
	if (g->config->oidc_issuer.n && !o->keys && can_fetch(g))
		fetch_begin(g);
	if (g->config->oidc_issuer.n && !o->keys && o->state == IDLE)
		return CV_MIN(o->curl.due_ms, o->begun_ms + RETRY_MS);
	return o->curl.due_ms;
}

const struct cv_gw_part cv_gw_part_oidc = {
	.name = "oidc",
	.start = start,
	.reload = reload,
	.stop = stop,
	.event = event,
	.turn = turn,
};
