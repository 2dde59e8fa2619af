/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issuer.c - see issuer.h
 *
 *     IDLE ──► DISCOVERY ──► KEYS ──► IDLE        a fetch; any failure leads back to IDLE
 *
 * Where the configuration says where the keys are, there is no DISCOVERY.  Keys are fetched at the
 * start, when they are older than their time, and when a token names one that is not there: that at
 * most once in RETRY_MS, because whoever calls can invent names.  Keys that are there stay good while
 * others are fetched, and when the issuer can't be reached.  A caller who needs a fetch to end is
 * answered UNAVAILABLE, which clients try again.
 */
#include "gateway/issuer.h"

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

struct cv_gw_issuer {
	struct cv_gateway *g;
	cv_gw_issuer_words_fn *words;
	enum state state;
	struct cv_gw_curl curl;
	CURL *easy;
	struct cv_buf body;
	char url[URL_BYTES_MAX], why[CURL_ERROR_SIZE];
	char name[URL_BYTES_MAX], keys_url[URL_BYTES_MAX]; /* whose keys these are */
	struct cv_jwks *keys;                              /* NULL: none yet */
	int64_t keys_ms, begun_ms;                         /* loop time; begun_ms 0: never */
};

static struct cv_gw_issuer_words words_of(const struct cv_gw_issuer *o)
{
	return o->words(o->g->config);
}

static int64_t now_of(const struct cv_gw_issuer *o)
{
	return o->g->loop.now_ms;
}

static size_t on_data(char *bytes, size_t size, size_t count, void *arg)
{
	struct cv_gw_issuer *o = arg;

	return cv_buf_put(&o->body, (struct cv_str){ bytes, size * count }) ? size * count : 0;
}

/* ---- fetching ---- */

static bool request_begin(struct cv_gw_issuer *o)
{
	const struct cv_gw_issuer_words w = words_of(o);
	const char *scheme = cv_str_has_prefix(w.name, CV_STR("https://")) ? "https" : "http,https";

	cv_buf_reset(&o->body);
	o->why[0] = 0;
	o->easy = curl_easy_init();
	if (!o->easy)
		return false;
	/* An issuer behind TLS is not asked for its keys without. */
	const bool is_set =
		curl_easy_setopt(o->easy, CURLOPT_URL, o->url) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_PROTOCOLS_STR, scheme) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_TIMEOUT_MS, (long)FETCH_MS) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_ERRORBUFFER, o->why) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
		curl_easy_setopt(o->easy, CURLOPT_WRITEDATA, o) == CURLE_OK &&
		(!w.ca.n || curl_easy_setopt(o->easy, CURLOPT_CAINFO, w.ca.p) == CURLE_OK) &&
		curl_multi_add_handle(o->curl.multi, o->easy) == CURLM_OK;
	if (!is_set) {
		curl_easy_cleanup(o->easy);
		o->easy = NULL;
	}
	return is_set;
}

static void request_end(struct cv_gw_issuer *o)
{
	if (!o->easy)
		return;
	curl_multi_remove_handle(o->curl.multi, o->easy);
	curl_easy_cleanup(o->easy);
	o->easy = NULL;
}

static void failed(struct cv_gw_issuer *o, const char *why)
{
	const struct cv_gw_issuer_words w = words_of(o);

	cv_log(CV_LOG_WARN, w.part,
		CV_LOG_FIELDS({ "issuer", w.name }, { "url", cv_str_of(o->url) },
			{ "why", cv_str_of(why) }),
		"keys were not fetched");
	o->state = IDLE;
}

static void fetch_begin(struct cv_gw_issuer *o)
{
	const struct cv_gw_issuer_words w = words_of(o);
	struct cv_str name = w.name;

	o->begun_ms = CV_MAX(now_of(o), 1);
	while (cv_str_has_suffix(name, CV_STR("/"))) /* OpenID Discovery section 4.1 */
		name.n--;
	if (w.keys_url.n)
		snprintf(o->url, sizeof(o->url), "%.*s", CV_STR_ARG(w.keys_url));
	else
		snprintf(o->url, sizeof(o->url), "%.*s%s", CV_STR_ARG(cv_str_slice(name, 0, 1900)),
			w.keys_path ? w.keys_path : "/.well-known/openid-configuration");
	o->state = w.keys_url.n || w.keys_path ? KEYS : DISCOVERY;
	if (!request_begin(o))
		failed(o, "libcurl does not start");
}

static bool can_fetch(const struct cv_gw_issuer *o)
{
	return o->state == IDLE && (!o->begun_ms || now_of(o) - o->begun_ms >= RETRY_MS);
}

/* Where the keys are: NULL, or why this is no such document. */
static const char *discovery_take(struct cv_gw_issuer *o)
{
	const struct cv_value *root;
	const char *why = NULL;
	struct cv_arena arena;

	cv_arena_init(&arena, DISCOVERY_ARENA);
	if (cv_json_value_read(cv_buf_str(&o->body), &arena, &root, NULL) != CV_JSON_PROBLEM_NONE)
		why = "what came is no JSON";
	else if (!cv_str_eq(cv_value_get_str(root, CV_STR("issuer")), words_of(o).name))
		why = "the document is another issuer's";
	else if (!cv_value_get_str(root, CV_STR("jwks_uri")).n ||
		 !cv_str_to_cstr(
			 cv_value_get_str(root, CV_STR("jwks_uri")), o->url, sizeof(o->url)))
		why = "the document has no jwks_uri";
	cv_arena_fini(&arena);
	return why;
}

static void keys_forget(struct cv_gw_issuer *o)
{
	if (o->keys)
		cv_jwks_fini(o->keys);
	free(o->keys);
	o->keys = NULL;
}

static void keys_take(struct cv_gw_issuer *o)
{
	const struct cv_gw_issuer_words w = words_of(o);
	struct cv_jwks *keys = calloc(1, sizeof(*keys));
	struct cv_err err = { .msg = "no memory" };
	char number[16];

	if (!keys || cv_jwks_read(cv_buf_str(&o->body), keys, &err) != CV_OK || !keys->n) {
		failed(o,
			keys && !keys->n && err.code == CV_OK ? "no key that is of use" : err.msg);
		free(keys);
		return;
	}
	keys_forget(o);
	o->keys = keys;
	o->keys_ms = now_of(o);
	o->state = IDLE;
	snprintf(number, sizeof(number), "%zu", keys->n);
	cv_log(CV_LOG_INFO, w.part,
		CV_LOG_FIELDS({ "issuer", w.name }, { "keys", cv_str_of(number) }), "keys fetched");
}

static void request_ended(struct cv_gw_issuer *o, CURLcode result)
{
	const enum state was = o->state;
	const char *why;

	request_end(o);
	if (result != CURLE_OK) {
		failed(o, o->why[0] ? o->why : curl_easy_strerror(result));
		return;
	}
	if (was == KEYS) {
		keys_take(o);
		return;
	}
	why = discovery_take(o);
	o->state = KEYS;
	if (why || !request_begin(o))
		failed(o, why ? why : "libcurl does not start");
}

static void ended_take(struct cv_gw_issuer *o)
{
	CURLcode result;

	while (o->easy && cv_gw_curl_done(&o->curl, &result))
		request_ended(o, result);
}

/* ---- tokens ---- */

/* NULL: status says why. */
static const struct cv_jwt_key *key_find(struct cv_gw_issuer *o, const struct cv_jwt *t,
	enum cv_rpc_status *status, struct cv_err *err)
{
	const struct cv_jwt_key *key = o->keys ? cv_jwks_find(o->keys, t->kid, t->alg) : NULL;
	const bool is_old = o->keys && now_of(o) - o->keys_ms >= (int64_t)words_of(o).ttl_s * 1000;

	if ((!key || is_old) && can_fetch(o))
		fetch_begin(o);
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

enum cv_rpc_status cv_gw_issuer_verify(
	struct cv_gw_issuer *o, const struct cv_jwt *t, struct cv_err *err)
{
	const struct cv_gw_issuer_words w = words_of(o);
	enum cv_rpc_status status = CV_RPC_UNAUTHENTICATED;
	const struct cv_jwt_key *key;

	if (!w.name.n || !cv_str_eq(cv_value_get_str(t->claims, CV_STR("iss")), w.name)) {
		cv_fail(err, CV_DENIED, "invalid token: it is another issuer's");
		return status;
	}
	key = key_find(o, t, &status, err);
	if (!key)
		return status;
	if (!cv_jwt_verify(t, key)) {
		cv_fail(err, CV_DENIED, "invalid token: its signature is wrong");
		return status;
	}
	if (!cv_jwt_has_audience(t, w.audience)) {
		cv_fail(err, CV_DENIED, "invalid token: it is for another audience");
		return status;
	}
	return cv_jwt_check_times(t, cv_clock_unix_ms() / 1000, false, err) == CV_OK ? CV_RPC_OK
										     : status;
}

/* ---- life ---- */

static void words_note(struct cv_gw_issuer *o)
{
	const struct cv_gw_issuer_words w = words_of(o);

	snprintf(o->name, sizeof(o->name), "%.*s", CV_STR_ARG(w.name));
	snprintf(o->keys_url, sizeof(o->keys_url), "%.*s", CV_STR_ARG(w.keys_url));
}

cv_code cv_gw_issuer_new(struct cv_gateway *g, uint8_t watch_kind, cv_gw_issuer_words_fn *words,
	struct cv_gw_issuer **ret, struct cv_err *err)
{
	struct cv_gw_issuer *o = calloc(1, sizeof(*o));

	if (!o)
		return cv_fail(err, CV_LIMIT, "no memory");
	o->g = g;
	o->words = words;
	cv_buf_init(&o->body, CV_JWKS_BYTES_MAX);
	if (cv_gw_curl_init(&o->curl, g, watch_kind, err) != CV_OK) {
		free(o);
		return err->code;
	}
	words_note(o);
	if (words_of(o).name.n)
		fetch_begin(o);
	*ret = o;
	return CV_OK;
}

/* Another issuer has other keys; the same may have new ones. */
void cv_gw_issuer_reload(struct cv_gw_issuer *o)
{
	const struct cv_gw_issuer_words w = words_of(o);

	request_end(o);
	o->state = IDLE;
	if (!cv_str_eq(cv_str_of(o->name), w.name) ||
		!cv_str_eq(cv_str_of(o->keys_url), w.keys_url))
		keys_forget(o);
	words_note(o);
	if (w.name.n)
		fetch_begin(o);
}

void cv_gw_issuer_free(struct cv_gw_issuer *o)
{
	if (!o)
		return;
	request_end(o);
	cv_gw_curl_fini(&o->curl);
	keys_forget(o);
	cv_buf_fini(&o->body);
	free(o);
}

void cv_gw_issuer_event(struct cv_gw_issuer *o, const struct cv_loop_event *e)
{
	cv_gw_curl_event(&o->curl, e);
	ended_take(o);
}

int64_t cv_gw_issuer_turn(struct cv_gw_issuer *o)
{
	const bool wants_keys = words_of(o).name.n && !o->keys;

	cv_gw_curl_turn(&o->curl);
	ended_take(o);
	/* At a start without the issuer: until the keys are there. */
	if (wants_keys && !o->keys && can_fetch(o))
		fetch_begin(o);
	if (wants_keys && !o->keys && o->state == IDLE)
		return CV_MIN(o->curl.due_ms, o->begun_ms + RETRY_MS);
	return o->curl.due_ms;
}
