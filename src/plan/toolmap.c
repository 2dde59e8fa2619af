/* SPDX-License-Identifier: Apache-2.0 */
/*
 * toolmap.c - see toolmap.h
 *
 * A path is matched segment by segment.  A place takes one segment, decoded: it may not be empty.
 */
#include "plan/toolmap.h"

#include "base/hex.h"
#include "wire/json.h"

#include <string.h>

#define MEMORY_MAX (4u << 20) /* the text, and its table */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool cv_toolmap_is_name(struct cv_str name)
{
	if (!name.n || name.n > CV_TOOLMAP_NAME_BYTES_MAX || !is_alnum(name.p[0]))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!is_alnum(name.p[i]) && !memchr("._-", name.p[i], 3))
			return false;
	return true;
}

bool cv_toolmap_put(struct cv_buf *b, struct cv_str name, struct cv_str method, struct cv_str route)
{
	cv_buf_put(b, name);
	if (method.n) {
		cv_buf_put_byte(b, ' ');
		cv_buf_put(b, method);
		cv_buf_put_byte(b, ' ');
		cv_buf_put(b, route);
	}
	return cv_buf_put_byte(b, '\n');
}

bool cv_toolmap_put_port(struct cv_buf *b, uint16_t port)
{
	return cv_buf_printf(b, ":%u\n", port);
}

bool cv_toolmap_has_port(const struct cv_toolmap *m, uint16_t port)
{
	for (size_t i = 0; i < m->port_count; i++)
		if (m->port[i] == port)
			return true;
	return false;
}

/* ---- reading ---- */

static bool port_read(struct cv_str line, struct cv_toolmap *m)
{
	uint64_t port;

	if (m->port_count == CV_TOOLMAP_PORTS_MAX ||
		!cv_str_to_u64(cv_str_slice(line, 1, line.n), UINT16_MAX, &port) || !port)
		return false;
	m->port[m->port_count++] = (uint16_t)port;
	return true;
}

static bool is_route(struct cv_str route)
{
	size_t open = 0, places = 0;

	if (!route.n || route.n > CV_TOOLMAP_ROUTE_BYTES_MAX || route.p[0] != '/')
		return false;
	for (size_t i = 0; i < route.n; i++) {
		const char c = route.p[i];

		if ((c == '{' && (open || route.p[i - 1] != '/')) || (c == '}' && !open) ||
			(unsigned char)c <= ' ' || c == 0x7f)
			return false;
		if (c == '}' && i + 1 < route.n && route.p[i + 1] != '/')
			return false;
		places += c == '{';
		open = c == '{' ? 1 : c == '}' ? 0 : open;
	}
	return !open && places <= CV_TOOLMAP_PLACES_MAX;
}

static bool line_read(struct cv_str line, struct cv_toolmap_tool *ret)
{
	struct cv_str rest = line;
	struct cv_str name = cv_str_cut(&rest, ' ');

	*ret = (struct cv_toolmap_tool){ .is_glob = cv_str_has_suffix(name, CV_STR("*")) };
	if (ret->is_glob)
		name.n--;
	ret->name = name;
	if (!cv_toolmap_is_name(name) && !(ret->is_glob && !name.n))
		return false;
	if (!rest.p)
		return true;
	ret->method = cv_str_cut(&rest, ' ');
	ret->route = rest;
	return ret->method.n && is_route(ret->route);
}

cv_code cv_toolmap_load(struct cv_str text, struct cv_toolmap *ret, struct cv_err *err)
{
	struct cv_str rest;

	*ret = (struct cv_toolmap){ 0 };
	cv_arena_init(&ret->arena, MEMORY_MAX);
	rest = cv_arena_str(&ret->arena, text);
	ret->v = cv_arena_array(&ret->arena, CV_TOOLMAP_TOOLS_MAX, sizeof(ret->v[0]));
	if (text.n > CV_TOOLMAP_BYTES_MAX || !rest.p || !ret->v) {
		cv_toolmap_fini(ret);
		return cv_fail(err, CV_LIMIT, "the list of tools is too long");
	}
	while (rest.n) {
		const struct cv_str line = cv_str_cut(&rest, '\n');
		const bool is_port = line.n && line.p[0] == ':';

		if (is_port && port_read(line, ret))
			continue;
		if (is_port || ret->n == CV_TOOLMAP_TOOLS_MAX ||
			!line_read(line, &ret->v[ret->n])) {
			const size_t at = ret->n + ret->port_count + 1;

			cv_toolmap_fini(ret);
			return cv_fail(err, CV_INVALID, "line %zu of the list of tools", at);
		}
		ret->n++;
	}
	return CV_OK;
}

void cv_toolmap_fini(struct cv_toolmap *m)
{
	cv_arena_fini(&m->arena);
	*m = (struct cv_toolmap){ 0 };
}

/* ---- asking ---- */

const struct cv_toolmap_tool *cv_toolmap_find(const struct cv_toolmap *m, struct cv_str name)
{
	const struct cv_toolmap_tool *glob = NULL;

	if (!cv_toolmap_is_name(name))
		return NULL;
	for (size_t i = 0; i < m->n; i++) {
		const struct cv_toolmap_tool *t = &m->v[i];

		if (!t->is_glob && cv_str_eq(t->name, name))
			return t;
		if (t->is_glob && name.n > t->name.n && cv_str_has_prefix(name, t->name))
			glob = t;
	}
	return glob;
}

static struct cv_value value_of(struct cv_str text, struct cv_str type)
{
	const bool is_number = text.n &&
			       (text.p[0] == '-' || (text.p[0] >= '0' && text.p[0] <= '9')) &&
			       cv_json_check(text, NULL) == CV_JSON_PROBLEM_NONE;
	struct cv_value v = { .type = CV_VALUE_STRING, .s = text };

	if (cv_str_eq(type, CV_STR("number")) && is_number)
		v.type = CV_VALUE_NUMBER;
	else if (cv_str_eq(type, CV_STR("boolean")) && cv_str_eq(text, CV_STR("true")))
		v.type = CV_VALUE_TRUE;
	else if (cv_str_eq(type, CV_STR("boolean")) && cv_str_eq(text, CV_STR("false")))
		v.type = CV_VALUE_FALSE;
	return v;
}

/* A canonical path has well-formed escapes only. */
static struct cv_str decode(struct cv_str s, struct cv_arena *arena)
{
	char *out = cv_arena_alloc(arena, s.n + 1);
	size_t n = 0;

	if (!out)
		return CV_STR_NONE;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '%' || i + 2 >= s.n) {
			out[n++] = s.p[i];
			continue;
		}
		out[n++] = (char)(cv_hex_digit(s.p[i + 1]) << 4 | cv_hex_digit(s.p[i + 2]));
		i += 2;
	}
	return (struct cv_str){ out, n };
}

static bool segment_match(struct cv_str pattern, struct cv_str segment, struct cv_arena *arena,
	struct cv_toolmap_args *ret)
{
	if (!cv_str_has_prefix(pattern, CV_STR("{")))
		return cv_str_eq(pattern, segment);
	const struct cv_str text = segment.n ? decode(segment, arena) : CV_STR_NONE;
	if (!text.n)
		return false;
	struct cv_str type = cv_str_slice(pattern, 1, pattern.n - 1);
	ret->name[ret->n] = cv_str_cut(&type, ':');
	ret->value[ret->n++] = value_of(text, type);
	return true;
}

static bool route_match(struct cv_str pattern, struct cv_str path, struct cv_arena *arena,
	struct cv_toolmap_args *ret)
{
	ret->n = 0;
	while (pattern.p && path.p)
		if (!segment_match(cv_str_cut(&pattern, '/'), cv_str_cut(&path, '/'), arena, ret))
			return false;
	return !pattern.p && !path.p;
}

const struct cv_toolmap_tool *cv_toolmap_route(const struct cv_toolmap *m, struct cv_str method,
	struct cv_str path, struct cv_arena *arena, struct cv_toolmap_args *ret,
	struct cv_str *ret_method)
{
	*ret_method = CV_STR_NONE;
	for (size_t i = 0; i < m->n; i++) {
		const struct cv_toolmap_tool *t = &m->v[i];

		if (!t->method.n || !route_match(t->route, path, arena, ret))
			continue;
		if (cv_str_eq(t->method, method))
			return t;
		*ret_method = t->method;
	}
	ret->n = 0;
	return NULL;
}
