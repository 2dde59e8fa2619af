/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.c - see routes.h
 *
 * The file is small and flat, so it is read by hand: one function for a mapping of scalars, a row
 * for each key.  The first thing that is wrong ends it.
 */
#include "plan/routes.h"

#include "plan/budget.h"
#include "policy/yaml_events.h"
#include "wire/h1.h"
#include "wire/url.h"

#include <stdio.h>
#include <stdarg.h>

static const struct {
	const char *word, *url;
} type_row[] = {
#define ROW(name, word, url) { word, url },
	CV_ROUTE_TYPES(ROW)
#undef ROW
};

struct reader {
	struct cv_yaml y;
	struct cv_routes *to;
	struct cv_err *err;
	bool has_type, has_url;
};

CV_PRINTF(2, 3) static cv_code bad(struct reader *r, const char *fmt, ...)
{
	const struct cv_policy_pos pos = cv_yaml_pos(&r->y);
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cv_fail(r->err, CV_INVALID, "%u:%u: %s", pos.line, pos.column, text);
}

static bool is_scalar(const struct reader *r)
{
	return r->y.ev.type == YAML_SCALAR_EVENT && cv_yaml_type(&r->y) != CV_YAML_NULL;
}

/* Calls take for each member of the mapping that the reader stands on; take stands on the value. */
static cv_code mapping_read(struct reader *r, const char *what, void *into,
	cv_code (*take)(struct reader *, struct cv_str key, void *into))
{
	struct cv_str seen[16];
	size_t n = 0;

	if (r->y.ev.type != YAML_MAPPING_START_EVENT)
		return bad(r, "%s is a mapping of keys", what);
	while (cv_yaml_next(&r->y) && r->y.ev.type != YAML_MAPPING_END_EVENT) {
		if (!is_scalar(r))
			return bad(r, "%s has a key that is no word", what);
		const struct cv_str key = cv_arena_str(&r->to->arena, cv_yaml_scalar(&r->y));
		for (size_t i = 0; i < n; i++)
			if (cv_str_eq(seen[i], key))
				return bad(r, "%s: '%.*s' is there twice", what, CV_STR_ARG(key));
		if (n < CV_ARRAY_LEN(seen))
			seen[n++] = key;
		if (!cv_yaml_next(&r->y))
			break;
		const cv_code code = take(r, key, into);
		if (code != CV_OK)
			return code;
	}
	return r->y.ev.type == YAML_MAPPING_END_EVENT ? CV_OK : CV_INVALID;
}

static cv_code unknown(struct reader *r, const char *what, struct cv_str key)
{
	return bad(r, "%s has no key '%.*s'", what, CV_POLICY_QUOTE(key));
}

/* ---- one route ---- */

static bool is_name(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
			c != '.')
			return false;
	}
	return s.n > 0 && s.n <= CV_BUDGET_NAME_BYTES_MAX;
}

static cv_code type_take(struct reader *r, struct cv_route *to, struct cv_str value)
{
	for (size_t i = 0; i < CV_ROUTE_TYPE_COUNT; i++)
		if (cv_str_eq(value, cv_str_of(type_row[i].word))) {
			to->type = (enum cv_route_type)i;
			r->has_type = true;
			return CV_OK;
		}
	return bad(r,
		"'%.*s' is no type; they are openai, anthropic, nvidia, deepinfra, "
		"google-vertex-ai, aws-bedrock",
		CV_POLICY_QUOTE(value));
}

static cv_code url_take(struct reader *r, struct cv_route *to, struct cv_str value)
{
	struct cv_url url;

	value = cv_arena_str(&r->to->arena, value);
	const enum cv_url_rc rc = cv_url_parse(value, &url, NULL);
	if (rc != CV_URL_OK)
		return bad(r, "base_url: %s", cv_url_rc_text(rc));
	if (url.query.p)
		return bad(r, "base_url: it has a query; leave it out");
	to->is_https = url.is_https;
	to->host = url.authority.host;
	to->port = url.authority.port;
	to->path = url.path;
	while (to->path.n && to->path.p[to->path.n - 1] == '/')
		to->path.n--;
	if (to->path.n > CV_PATH_BYTES_MAX / 4)
		return bad(r, "base_url: its path is too long");
	r->has_url = true;
	return CV_OK;
}

static cv_code headers_take(struct reader *r, struct cv_route *to)
{
	/* what would let the agent speak for itself, or frame the request */
	static const struct cv_str never[] = { CV_STR("authorization"), CV_STR("x-api-key"),
		CV_STR("cookie"), CV_STR("host"), CV_STR("content-length"), CV_STR("content-type"),
		CV_STR("accept"), CV_STR("accept-encoding"), CV_STR("x-goog-api-key"),
		CV_STR("api-key") };

	if (r->y.ev.type != YAML_SEQUENCE_START_EVENT)
		return bad(r, "headers is a list of names");
	while (cv_yaml_next(&r->y) && r->y.ev.type != YAML_SEQUENCE_END_EVENT) {
		if (!is_scalar(r) || !cv_h1_is_token(cv_yaml_scalar(&r->y)))
			return bad(r, "headers: not the name of a header");
		const struct cv_str name = cv_yaml_scalar(&r->y);
		for (size_t i = 0; i < CV_ARRAY_LEN(never); i++)
			if (cv_h1_name_eq(name, never[i]))
				return bad(r, "headers: %.*s never passes", CV_STR_ARG(name));
		if (to->header_count == CV_ROUTE_HEADERS_MAX)
			return bad(r, "headers: more than %d", CV_ROUTE_HEADERS_MAX);
		to->headers[to->header_count++] = cv_arena_str(&r->to->arena, name);
	}
	return CV_OK;
}

static cv_code price_take(struct reader *r, struct cv_str key, void *into)
{
	struct cv_route *to = into;
	uint64_t *price = cv_str_eq(key, CV_STR("input"))    ? &to->input_price
			  : cv_str_eq(key, CV_STR("output")) ? &to->output_price
							     : NULL;

	if (!price)
		return unknown(r, "price", key);
	if (!is_scalar(r) || !cv_micro_parse(cv_yaml_scalar(&r->y), price) ||
		*price > (uint64_t)1000000000000)
		return bad(r, "price: write dollars for a million tokens, such as 2.50");
	return CV_OK;
}

static cv_code number_take(struct reader *r, const char *what, struct cv_str value, uint32_t min,
	uint32_t max, uint32_t *ret)
{
	uint64_t n;

	if (!cv_str_to_u64(value, max, &n) || n < min)
		return bad(r, "%s is a number from %u to %u", what, min, max);
	*ret = (uint32_t)n;
	return CV_OK;
}

static cv_code credential_take(struct reader *r, struct cv_route *to, struct cv_str value)
{
	const size_t slash = cv_str_find_byte(value, '/');

	to->credential = cv_str_slice(value, slash < value.n ? slash + 1 : 0, value.n);
	for (size_t i = 0; i < to->credential.n; i++) {
		const char c = cv_ascii_lower(to->credential.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
			to->credential.n = 0;
	}
	if (!to->credential.n)
		return bad(r, "credential is PROVIDER/KEY or KEY, the name of a variable");
	to->credential = cv_arena_str(&r->to->arena, to->credential);
	return CV_OK;
}

static cv_code route_take(struct reader *r, struct cv_str key, void *into)
{
	struct cv_route *to = into;

	if (cv_str_eq(key, CV_STR("headers")))
		return headers_take(r, to);
	if (cv_str_eq(key, CV_STR("price")))
		return mapping_read(r, "price", to, price_take);
	if (!is_scalar(r))
		return bad(r, "%.*s is a word or a number", CV_POLICY_QUOTE(key));
	const struct cv_str value = cv_yaml_scalar(&r->y);
	if (cv_str_eq(key, CV_STR("name"))) {
		to->name = cv_arena_str(&r->to->arena, value);
		return is_name(value) ? CV_OK
				      : bad(r, "name: letters, digits, - _ . and at most %d",
						CV_BUDGET_NAME_BYTES_MAX);
	}
	if (cv_str_eq(key, CV_STR("type")))
		return type_take(r, to, value);
	if (cv_str_eq(key, CV_STR("base_url")))
		return url_take(r, to, value);
	if (cv_str_eq(key, CV_STR("model"))) {
		to->model = cv_arena_str(&r->to->arena, value);
		return value.n <= 256 ? CV_OK : bad(r, "model: the name is too long");
	}
	if (cv_str_eq(key, CV_STR("credential")))
		return credential_take(r, to, value);
	if (cv_str_eq(key, CV_STR("order")))
		return number_take(r, "order", value, 0, 1000, &to->order);
	if (cv_str_eq(key, CV_STR("weight")))
		return number_take(r, "weight", value, 1, 1000, &to->weight);
	if (cv_str_eq(key, CV_STR("timeout")))
		return number_take(r, "timeout", value, 1, CV_ROUTE_TIMEOUT_S_MAX, &to->timeout_s);
	return unknown(r, "a route", key);
}

static cv_code route_read(struct reader *r)
{
	struct cv_routes *all = r->to;
	struct cv_route *to = &all->v[all->n];
	cv_code code;

	if (all->n == CV_ROUTES_MAX)
		return bad(r, "more than %d routes", CV_ROUTES_MAX);
	*to = (struct cv_route){ .weight = 1, .timeout_s = CV_ROUTE_TIMEOUT_S };
	r->has_type = r->has_url = false;
	code = mapping_read(r, "a route", to, route_take);
	if (code != CV_OK)
		return code;
	if (!to->name.n || !r->has_type)
		return bad(r, "a route needs a name and a type");
	if (!r->has_url && !type_row[to->type].url)
		return bad(r, "route %.*s needs a base_url", CV_STR_ARG(to->name));
	if (!r->has_url)
		code = url_take(r, to, cv_str_of(type_row[to->type].url));
	for (size_t i = 0; i < all->n; i++)
		if (cv_str_eq(all->v[i].name, to->name))
			return bad(r, "two routes are named %.*s", CV_STR_ARG(to->name));
	all->n++;
	return code;
}

/* ---- the file ---- */

static cv_code root_take(struct reader *r, struct cv_str key, void *into)
{
	(void)into;
	if (cv_str_eq(key, CV_STR("version")))
		return is_scalar(r) && cv_str_eq(cv_yaml_scalar(&r->y), CV_STR("1"))
			       ? CV_OK
			       : bad(r, "version is 1");
	if (!cv_str_eq(key, CV_STR("routes")))
		return unknown(r, "the file", key);
	if (r->y.ev.type != YAML_SEQUENCE_START_EVENT)
		return bad(r, "routes is a list");
	while (cv_yaml_next(&r->y) && r->y.ev.type != YAML_SEQUENCE_END_EVENT) {
		const cv_code code = route_read(r);

		if (code != CV_OK)
			return code;
	}
	return CV_OK;
}

/* Stable: few routes, and within one order the file's order stays. */
static void routes_sort(struct cv_routes *r)
{
	for (size_t i = 1; i < r->n; i++) {
		const struct cv_route one = r->v[i];
		size_t at = i;

		for (; at > 0 && r->v[at - 1].order > one.order; at--)
			r->v[at] = r->v[at - 1];
		r->v[at] = one;
	}
}

void cv_routes_init(struct cv_routes *r)
{
	memset(r, 0, sizeof(*r));
	cv_arena_init(&r->arena, 4 * CV_ROUTES_FILE_BYTES_MAX);
}

void cv_routes_fini(struct cv_routes *r)
{
	cv_arena_fini(&r->arena);
	r->n = 0;
}

static cv_code stream_read(struct reader *r)
{
	cv_code code = CV_OK;
	bool has_root = false;

	while (code == CV_OK && cv_yaml_next(&r->y)) {
		if (r->y.ev.type != YAML_DOCUMENT_START_EVENT)
			continue;
		if (has_root)
			return bad(r, "a second YAML document begins here");
		has_root = true;
		if (cv_yaml_next(&r->y))
			code = mapping_read(r, "the file", NULL, root_take);
	}
	if (code == CV_OK && r->to->n == 0)
		return cv_fail(r->err, CV_INVALID, "there is no route in it");
	return code;
}

cv_code cv_routes_load(struct cv_str text, struct cv_routes *ret, struct cv_err *err)
{
	struct reader r = { .to = ret, .err = err };
	struct cv_findings findings;
	cv_code code = CV_INVALID;

	if (text.n > CV_ROUTES_FILE_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "larger than %u bytes", CV_ROUTES_FILE_BYTES_MAX);
	cv_findings_init(&findings);
	if (cv_yaml_open(&r.y, text, "the file", &findings)) {
		code = stream_read(&r);
		cv_yaml_close(&r.y);
	}
	if (findings.error_count) /* of YAML itself: it came first */
		code = cv_fail(err, CV_INVALID, "%u:%u: %.*s", findings.v[0].pos.line,
			findings.v[0].pos.column, CV_STR_ARG(findings.v[0].message));
	cv_findings_fini(&findings);
	if (code == CV_OK && ret->arena.is_overflown)
		code = cv_fail(err, CV_LIMIT, "no memory");
	routes_sort(ret);
	return code;
}
