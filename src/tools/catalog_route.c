/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_route.c - which tool a request means, and what its path says as arguments
 *
 * A route is "METHOD /text/{argument}/text".  Requests come with a canonical path (wire/path.h), so
 * a place is one segment, never empty, "." or "..".  Two routes that one path could match are refused
 * when loading, which is why the first that matches is the only one.
 */
#include "tools/catalog_int.h"
#include "wire/json.h"
#include "wire/path.h"

static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

/* Paths that the host-tools route itself answers; with what is below them. */
static const char *const reserved[] = { "", "v1", "mcp", "healthz", "tools.json", "openapi.json",
	"skill.md", ".well-known" };

static bool is_place(struct cv_str segment)
{
	return segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
}

static struct cv_str place_name(struct cv_str segment)
{
	return cv_str_slice(segment, 1, segment.n - 1);
}

/* ---- reading ---- */

static bool is_text(struct cv_str segment)
{
	for (size_t i = 0; i < segment.n; i++) {
		const char c = segment.p[i], low = cv_ascii_lower(c);

		if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || strchr("-._~", c)))
			return false;
	}
	return segment.n && !cv_str_eq(segment, CV_STR(".")) && !cv_str_eq(segment, CV_STR(".."));
}

#define REPORT(fix, ...) cv_catalog_report(c, text->pos, "route", fix, __VA_ARGS__)

static void check_place(
	struct cv_catalog_check *c, const struct cv_policy_text *text, struct cv_str name)
{
	const struct cv_value *property = cv_tool_property(c->tool, name);
	const struct cv_str type = cv_value_get_str(property, CV_STR("type"));

	if (!property)
		REPORT("add it to the properties of input", "there is no argument '%.*s'",
			CV_POLICY_QUOTE(name));
	else if (cv_str_eq(type, CV_STR("array")) || cv_str_eq(type, CV_STR("object")))
		REPORT("leave it to the body", "'%.*s' is an %.*s, and no segment of a path",
			CV_POLICY_QUOTE(name), CV_STR_ARG(type));
}

static bool is_reserved(struct cv_str first)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(reserved); i++)
		if (cv_str_eq_nocase(first, cv_str_of(reserved[i])))
			return true;
	return false;
}

/* The path's segments, one by one. */
static bool check_path(
	struct cv_catalog_check *c, const struct cv_policy_text *text, struct cv_str path)
{
	struct cv_str rest = cv_str_slice(path, 1, path.n), seen[CV_TOOL_ROUTE_PLACES_MAX];
	size_t segments = 0, places = 0;

	while (rest.p) {
		const struct cv_str s = cv_str_cut(&rest, '/');

		if (++segments == 1 && is_reserved(s)) {
			REPORT("choose another", "'/%.*s' is cove's own", CV_POLICY_QUOTE(s));
			return false;
		}
		if ((segments == 1 || !is_place(s)) && !is_text(s)) {
			REPORT("write letters, digits and -._~, or a whole {argument}, but not first",
				"'%.*s' can't be a segment of a route", CV_POLICY_QUOTE(s));
			return false;
		}
		if (!is_place(s))
			continue;
		for (size_t i = 0; i < places; i++)
			if (cv_str_eq(seen[i], place_name(s)))
				REPORT("keep one", "'%.*s' is there twice", CV_POLICY_QUOTE(s));
		if (places == CV_TOOL_ROUTE_PLACES_MAX || segments > CV_TOOL_ROUTE_SEGMENTS_MAX) {
			REPORT(NULL, "at most %d places and %d segments", CV_TOOL_ROUTE_PLACES_MAX,
				CV_TOOL_ROUTE_SEGMENTS_MAX);
			return false;
		}
		check_place(c, text, place_name(s));
		seen[places++] = place_name(s);
	}
	return true;
}

static bool route_has_place(struct cv_str route, struct cv_str name)
{
	while (route.p) {
		const struct cv_str s = cv_str_cut(&route, '/');

		if (is_place(s) && cv_str_eq(place_name(s), name))
			return true;
	}
	return false;
}

bool cv_tool_method_has_body(struct cv_str method)
{
	return !cv_str_eq(method, CV_STR("GET")) && !cv_str_eq(method, CV_STR("DELETE"));
}

/* Without a body all arguments have to be in the path. */
static void check_bodyless(struct cv_catalog_check *c, const struct cv_policy_text *text)
{
	const struct cv_value *properties = cv_value_get(c->tool->input, CV_STR("properties"));

	for (uint32_t i = 0; properties && properties->type == CV_VALUE_OBJECT && i < properties->n;
		i++)
		if (!route_has_place(c->tool->route, properties->key[i]))
			REPORT("write a place for it, or POST",
				"%.*s has no body, so nothing can say '%.*s'",
				CV_STR_ARG(c->tool->method), CV_POLICY_QUOTE(properties->key[i]));
}

void cv_catalog_tool_route(struct cv_catalog_check *c, const struct cv_policy_text *text)
{
	struct cv_str path = text->s;
	const struct cv_str method = cv_str_cut(&path, ' ');
	bool is_method = false;

	if (!text->is_present)
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(methods); i++)
		is_method |= cv_str_eq(method, cv_str_of(methods[i]));
	if (!is_method || !path.n || path.p[0] != '/' || text->s.n > CV_TOOL_ROUTE_BYTES_MAX) {
		REPORT("write one such as POST /deploy or GET /status/{id}",
			"'%.*s' is no method and path", CV_POLICY_QUOTE(text->s));
		return;
	}
	if (!check_path(c, text, path))
		return;
	c->tool->method = method;
	c->tool->route = path;
	if (!cv_tool_method_has_body(method))
		check_bodyless(c, text);
}

bool cv_tool_routes_collide(const struct cv_tool *a, const struct cv_tool *b)
{
	struct cv_str ra = a->route, rb = b->route;

	if (!ra.n || !rb.n || !cv_str_eq(a->method, b->method))
		return false;
	while (ra.p && rb.p) {
		const struct cv_str sa = cv_str_cut(&ra, '/'), sb = cv_str_cut(&rb, '/');

		if (!is_place(sa) && !is_place(sb) && !cv_str_eq(sa, sb))
			return false;
	}
	return !ra.p && !rb.p;
}

/* ---- matching ---- */

static int hex_digit(char c)
{
	const char low = cv_ascii_lower(c);

	return c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* A segment of a canonical path, so each '%' has two digits behind it. */
static struct cv_str decoded(struct cv_str s, struct cv_arena *arena)
{
	char *out = cv_str_has_byte(s, '%') ? cv_arena_alloc(arena, s.n) : NULL;
	size_t n = 0;

	if (!out)
		return cv_arena_str(arena, s);
	for (size_t i = 0; i < s.n; i++) {
		const int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1,
			  low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;

		out[n++] = low >= 0 ? (char)(high << 4 | low) : s.p[i];
		i += low >= 0 ? 2 : 0;
	}
	return (struct cv_str){ out, n };
}

static bool matches(struct cv_str route, struct cv_str path, struct cv_tool_route_args *ret,
	struct cv_arena *arena)
{
	struct cv_str value[CV_TOOL_ROUTE_PLACES_MAX];

	ret->n = 0;
	while (route.p && path.p) {
		const struct cv_str r = cv_str_cut(&route, '/'), s = cv_str_cut(&path, '/');

		if (is_place(r) ? !s.n : !cv_str_eq(r, s))
			return false;
		if (is_place(r)) {
			ret->name[ret->n] = place_name(r);
			value[ret->n++] = s;
		}
	}
	if (route.p || path.p)
		return false;
	for (size_t i = 0; i < ret->n; i++)
		ret->value[i] = decoded(value[i], arena);
	return true;
}

static const struct cv_tool *by_prefix(const struct cv_catalog *c, struct cv_str path)
{
	static const struct cv_str prefix = { CV_TOOL_ROUTE_PREFIX,
		sizeof(CV_TOOL_ROUTE_PREFIX) - 1 };

	if (!cv_str_has_prefix(path, prefix))
		return NULL;
	return cv_catalog_find(c, cv_str_slice(path, prefix.n, path.n));
}

const struct cv_tool *cv_catalog_route(const struct cv_catalog *c, struct cv_str method,
	struct cv_str path, struct cv_tool_route_args *ret, struct cv_arena *arena)
{
	ret->n = 0;
	if (cv_str_has_prefix(path, CV_STR(CV_TOOL_ROUTE_PREFIX)))
		return cv_str_eq(method, CV_STR("POST")) ? by_prefix(c, path) : NULL;
	for (size_t i = 0; i < c->tool_count; i++)
		if (c->tools[i].route.n && cv_str_eq(c->tools[i].method, method) &&
			matches(c->tools[i].route, path, ret, arena))
			return &c->tools[i];
	ret->n = 0;
	return NULL;
}

size_t cv_catalog_route_methods(
	const struct cv_catalog *c, struct cv_str path, struct cv_str *ret, size_t max)
{
	struct cv_tool_route_args args;
	struct cv_arena none;
	size_t n = 0;

	cv_arena_init(&none, 0); /* values are not wanted */
	for (size_t i = 0; i < CV_ARRAY_LEN(methods) && n < max; i++)
		if (cv_catalog_route(c, cv_str_of(methods[i]), path, &args, &none))
			ret[n++] = cv_str_of(methods[i]);
	cv_arena_fini(&none);
	return n;
}

/* ---- arguments ---- */

static bool type_has(const struct cv_value *property, struct cv_str word)
{
	const struct cv_value *type = cv_value_get(property, CV_STR("type"));

	if (type && type->type == CV_VALUE_STRING)
		return cv_str_eq(type->s, word);
	for (uint32_t i = 0; type && type->type == CV_VALUE_ARRAY && i < type->n; i++)
		if (type->v[i].type == CV_VALUE_STRING && cv_str_eq(type->v[i].s, word))
			return true;
	return false;
}

/* A text where the schema may want a number: what can be read as one is one. */
static struct cv_value place_value(const struct cv_value *property, struct cv_str text)
{
	const bool is_json = cv_json_check(text, NULL) == CV_JSON_PROBLEM_NONE;
	const bool is_number =
		is_json && text.n && (text.p[0] == '-' || (text.p[0] >= '0' && text.p[0] <= '9'));

	if (is_number && !type_has(property, CV_STR("string")) &&
		(type_has(property, CV_STR("integer")) || type_has(property, CV_STR("number"))))
		return (struct cv_value){ .type = CV_VALUE_NUMBER, .s = text };
	if (type_has(property, CV_STR("boolean")) && !type_has(property, CV_STR("string"))) {
		if (cv_str_eq(text, CV_STR("true")))
			return (struct cv_value){ .type = CV_VALUE_TRUE };
		if (cv_str_eq(text, CV_STR("false")))
			return (struct cv_value){ .type = CV_VALUE_FALSE };
	}
	return (struct cv_value){ .type = CV_VALUE_STRING, .s = text };
}

cv_code cv_tool_arguments(const struct cv_tool *tool, const struct cv_tool_route_args *args,
	const struct cv_value *body, struct cv_arena *arena, const struct cv_value **ret,
	struct cv_err *err)
{
	const uint32_t given = body ? body->n : 0;
	struct cv_value *out, *v;
	struct cv_str *key;

	if (body && body->type != CV_VALUE_OBJECT)
		return cv_fail(err, CV_INVALID, "the arguments must be an object, not of type %s",
			cv_value_type_name(body->type));
	out = cv_arena_new(arena, struct cv_value);
	v = cv_arena_array(arena, given + args->n + 1, sizeof(*v));
	key = cv_arena_array(arena, given + args->n + 1, sizeof(*key));
	if (!out || !v || !key)
		return cv_fail(err, CV_LIMIT, "out of memory for arguments");
	for (uint32_t i = 0; i < given; i++) {
		v[i] = body->v[i];
		key[i] = body->key[i];
	}
	for (size_t i = 0; i < args->n; i++) {
		if (!args->value[i].p)
			return cv_fail(err, CV_LIMIT, "out of memory for arguments");
		if (cv_value_get(body, args->name[i]))
			return cv_fail(err, CV_INVALID, "'%.*s' is in the path and in the body",
				CV_STR_ARG(args->name[i]));
		key[given + i] = args->name[i];
		v[given + i] = place_value(cv_tool_property(tool, args->name[i]), args->value[i]);
	}
	*out = (struct cv_value){
		.type = CV_VALUE_OBJECT,
		.n = given + (uint32_t)args->n,
		.v = v,
		.key = key,
		.at = body ? body->at : 0,
	};
	*ret = out;
	return CV_OK;
}
