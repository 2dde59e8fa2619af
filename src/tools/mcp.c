/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp.c - reading messages; see mcp.h.  Writing is in mcp_write.c.
 *
 * A message is taken apart by one table of its members, which also says what is unknown.  Its kind
 * follows from the members that are there, as in JSON-RPC: method and id, method alone, or result or
 * error with an id; anything in between is none of them.
 */
#include "tools/mcp.h"

#include "base/assert.h"
#include "base/word.h"

#include <stdio.h>

/* ---- versions, names, ids ---- */

#define VERSION_ROW(name, text, batch, structured) { { text, sizeof(text) - 1 }, batch },
static const struct {
	struct cv_str text;
	bool has_batches;
} version_row[] = { CV_MCP_VERSIONS(VERSION_ROW) };

struct cv_str cv_mcp_version_text(enum cv_mcp_version v)
{
	cv_assert(v < CV_MCP_VERSION_COUNT);
	return version_row[v].text;
}

bool cv_mcp_version_has_batches(enum cv_mcp_version v)
{
	cv_assert(v < CV_MCP_VERSION_COUNT);
	return version_row[v].has_batches;
}

bool cv_mcp_version_find(struct cv_str text, enum cv_mcp_version *ret)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(version_row); i++)
		if (cv_str_eq(text, version_row[i].text)) {
			*ret = (enum cv_mcp_version)i;
			return true;
		}
	return false;
}

enum cv_mcp_version cv_mcp_version_negotiate(struct cv_str asked)
{
	enum cv_mcp_version v;

	return cv_mcp_version_find(asked, &v) ? v : CV_MCP_VERSION_NEWEST;
}

bool cv_mcp_name_is_strict(struct cv_str name)
{
	if (!name.n || name.n > CV_MCP_NAME_BYTES_MAX || strchr(".-", name.p[0]) ||
		strchr(".-", name.p[name.n - 1]))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		const char c = name.p[i], low = cv_ascii_lower(c);

		if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
			    c == '-' || (c == '.' && name.p[i - 1] != '.')))
			return false;
	}
	return true;
}

/* A whole number as JSON writes one, without exponent: ids are compared and written as they are. */
static bool is_whole(struct cv_str s)
{
	for (size_t i = s.n && s.p[0] == '-'; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

static bool is_id(const struct cv_value *v)
{
	if (v->s.n > CV_MCP_ID_BYTES_MAX)
		return false;
	return v->type == CV_VALUE_STRING || (v->type == CV_VALUE_NUMBER && is_whole(v->s));
}

bool cv_mcp_id_eq(const struct cv_value *a, const struct cv_value *b)
{
	return a->type == b->type && cv_str_eq(a->s, b->s);
}

/* ---- members ---- */

/* An unknown member, said with the one that was meant. */
static cv_code unknown_member(const char *where, struct cv_str key, const char *const *known,
	size_t n, struct cv_err *err)
{
	char word[CV_WORD_BYTES_MAX + 1] = "";
	const size_t near =
		cv_str_to_cstr(key, word, sizeof(word)) ? cv_word_nearest(key, known, n) : n;

	return cv_fail(err, CV_INVALID, "%s has no member '%.*s'%s%s%s", where,
		(int)CV_MIN(key.n, (size_t)64), key.p ? key.p : "",
		near < n ? "; did you mean '" : "", near < n ? known[near] : "",
		near < n ? "'?" : "");
}

static cv_code check_members(const struct cv_value *o, const char *where, const char *const *known,
	size_t n, struct cv_err *err)
{
	for (uint32_t i = 0; i < o->n; i++) {
		size_t k = 0;

		while (k < n && !cv_str_eq(o->key[i], cv_str_of(known[k])))
			k++;
		if (k == n)
			return unknown_member(where, o->key[i], known, n, err);
	}
	return CV_OK;
}

/* ---- one message ---- */

struct method_row {
	struct cv_str text;
	bool is_request;
};

#define METHOD_ROW(name, text, request, client) { { text, sizeof(text) - 1 }, request },
static const struct method_row method_row[] = { CV_MCP_METHODS(METHOD_ROW) };

static enum cv_mcp_method method_find(struct cv_str name)
{
	for (size_t i = 1; i < CV_ARRAY_LEN(method_row); i++)
		if (cv_str_eq(name, method_row[i].text))
			return (enum cv_mcp_method)i;
	return CV_MCP_METHOD_UNKNOWN;
}

static const struct cv_value *progress_token(const struct cv_value *params)
{
	const struct cv_value *token =
		cv_value_get(cv_value_get(params, CV_STR("_meta")), CV_STR("progressToken"));

	return token && is_id(token) ? token : NULL;
}

static cv_code read_method(
	struct cv_mcp_message *m, const struct cv_value *method, struct cv_err *err)
{
	if (method->type != CV_VALUE_STRING || !method->s.n ||
		method->s.n > CV_MCP_METHOD_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "method is no string of 1 to %d bytes",
			CV_MCP_METHOD_BYTES_MAX);
	m->kind = m->id ? CV_MCP_REQUEST : CV_MCP_NOTIFICATION;
	m->method_name = method->s;
	m->method = method_find(method->s);
	if (m->params && m->params->type != CV_VALUE_OBJECT)
		return cv_fail(err, CV_INVALID, "params is no object");
	const bool is_notification =
		m->method ? !method_row[m->method].is_request
			  : cv_str_has_prefix(method->s, CV_STR("notifications/"));
	if (is_notification && m->id)
		return cv_fail(err, CV_INVALID, "a notification has no id");
	if (!is_notification && !m->id)
		return cv_fail(err, CV_INVALID, "'%.*s' needs an id", CV_STR_ARG(m->method_name));
	m->progress_token = progress_token(m->params);
	return CV_OK;
}

static cv_code read_response(struct cv_mcp_message *m, struct cv_err *err)
{
	m->kind = CV_MCP_RESPONSE;
	if (m->params || !m->result == !m->error)
		return cv_fail(err, CV_INVALID, "neither a request nor an answer to one");
	if (m->result)
		return m->id && m->result->type == CV_VALUE_OBJECT
			       ? CV_OK
			       : cv_fail(err, CV_INVALID,
					 "an answer needs an id, and result is an object");
	const struct cv_value *code = cv_value_get(m->error, CV_STR("code"));
	int64_t number;
	if (!code || code->type != CV_VALUE_NUMBER || !cv_value_to_i64(code, &number) ||
		!cv_value_get_str(m->error, CV_STR("message")).p)
		return cv_fail(err, CV_INVALID, "error needs a code and a message");
	return CV_OK;
}

cv_code cv_mcp_read(const struct cv_value *v, struct cv_mcp_message *ret,
	enum cv_mcp_error *ret_error, struct cv_err *err)
{
	static const char *const known[] = { "jsonrpc", "id", "method", "params", "result",
		"error" };
	const struct cv_value *method = cv_value_get(v, CV_STR("method")),
			      *id = cv_value_get(v, CV_STR("id"));

	*ret = (struct cv_mcp_message){ 0 };
	*ret_error = CV_MCP_ERROR_REQUEST;
	if (v->type != CV_VALUE_OBJECT)
		return cv_fail(err, CV_INVALID, "a message is an object, not of type %s",
			cv_value_type_name(v->type));
	if (id && !is_id(id))
		return cv_fail(err, CV_INVALID,
			"id is neither a whole number nor a string of at most %d bytes",
			CV_MCP_ID_BYTES_MAX);
	ret->id = id;
	if (!cv_str_eq(cv_value_get_str(v, CV_STR("jsonrpc")), CV_STR("2.0")))
		return cv_fail(err, CV_INVALID, "jsonrpc is not \"2.0\"");
	if (check_members(v, "a message", known, CV_ARRAY_LEN(known), err) != CV_OK)
		return CV_INVALID;
	ret->params = cv_value_get(v, CV_STR("params"));
	ret->result = cv_value_get(v, CV_STR("result"));
	ret->error = cv_value_get(v, CV_STR("error"));
	if (!method)
		return read_response(ret, err);
	if (ret->result || ret->error)
		return cv_fail(err, CV_INVALID, "both a request and an answer to one");
	return read_method(ret, method, err);
}

cv_code cv_mcp_batch(const struct cv_value *v, enum cv_mcp_version version,
	const struct cv_value **ret, size_t *ret_n, struct cv_err *err)
{
	*ret = v;
	*ret_n = 1;
	if (v->type != CV_VALUE_ARRAY)
		return CV_OK;
	if (!cv_mcp_version_has_batches(version))
		return cv_fail(err, CV_INVALID, "version %.*s has no batches",
			CV_STR_ARG(cv_mcp_version_text(version)));
	if (!v->n || v->n > CV_MCP_BATCH_MAX)
		return cv_fail(
			err, CV_INVALID, "a batch of %u messages; 1 to %d", v->n, CV_MCP_BATCH_MAX);
	for (uint32_t i = 0; i < v->n; i++) {
		const struct cv_value *id = cv_value_get(&v->v[i], CV_STR("id"));

		if (cv_str_eq(cv_value_get_str(&v->v[i], CV_STR("method")), CV_STR("initialize")))
			return cv_fail(err, CV_INVALID, "initialize can't be part of a batch");
		for (uint32_t k = 0; id && k < i; k++) {
			const struct cv_value *other = cv_value_get(&v->v[k], CV_STR("id"));

			if (other && cv_mcp_id_eq(id, other))
				return cv_fail(
					err, CV_INVALID, "two messages of a batch have one id");
		}
	}
	*ret = v->v;
	*ret_n = v->n;
	return CV_OK;
}

/* ---- params ---- */

cv_code cv_mcp_read_call(
	const struct cv_mcp_message *m, struct cv_mcp_call *ret, struct cv_err *err)
{
	static const char *const known[] = { "name", "arguments", "_meta" };
	static const struct cv_value none = { .type = CV_VALUE_OBJECT };
	const struct cv_value *name = cv_value_get(m->params, CV_STR("name")),
			      *arguments = cv_value_get(m->params, CV_STR("arguments"));

	if (!name || name->type != CV_VALUE_STRING)
		return cv_fail(err, CV_INVALID, "params.name is no string");
	if (check_members(m->params, "params", known, CV_ARRAY_LEN(known), err) != CV_OK)
		return CV_INVALID;
	if (!cv_mcp_name_is_strict(name->s))
		return cv_fail(err, CV_INVALID,
			"params.name has more than letters, digits, '_', '-' and single dots");
	if (arguments && arguments->type != CV_VALUE_OBJECT)
		return cv_fail(err, CV_INVALID, "params.arguments is no object");
	*ret = (struct cv_mcp_call){ name->s, arguments ? arguments : &none };
	return CV_OK;
}

cv_code cv_mcp_read_initialize(
	const struct cv_mcp_message *m, struct cv_str *ret_version, struct cv_err *err)
{
	const struct cv_value *version = cv_value_get(m->params, CV_STR("protocolVersion")),
			      *capabilities = cv_value_get(m->params, CV_STR("capabilities")),
			      *client = cv_value_get(m->params, CV_STR("clientInfo"));

	if (!version || version->type != CV_VALUE_STRING)
		return cv_fail(err, CV_INVALID, "params.protocolVersion is no string");
	if (!capabilities || capabilities->type != CV_VALUE_OBJECT)
		return cv_fail(err, CV_INVALID, "params.capabilities is no object");
	if (!client || client->type != CV_VALUE_OBJECT)
		return cv_fail(err, CV_INVALID, "params.clientInfo is no object");
	*ret_version = version->s;
	return CV_OK;
}

cv_code cv_mcp_read_list(
	const struct cv_mcp_message *m, struct cv_str *ret_cursor, struct cv_err *err)
{
	const struct cv_value *cursor = cv_value_get(m->params, CV_STR("cursor"));

	if (cursor && (cursor->type != CV_VALUE_STRING || !cv_mcp_name_is_strict(cursor->s)))
		return cv_fail(err, CV_INVALID, "params.cursor is none that was given out");
	*ret_cursor = cursor ? cursor->s : CV_STR_NONE;
	return CV_OK;
}

cv_code cv_mcp_read_cancelled(
	const struct cv_mcp_message *m, const struct cv_value **ret_id, struct cv_err *err)
{
	const struct cv_value *id = cv_value_get(m->params, CV_STR("requestId"));

	if (!id || !is_id(id))
		return cv_fail(err, CV_INVALID, "params.requestId is no id");
	*ret_id = id;
	return CV_OK;
}

enum cv_mcp_error cv_mcp_error_of_status(int http_status)
{
	switch (http_status) {
	case 400:
	case 404:
	case 413:
	case 415: return CV_MCP_ERROR_PARAMS;
	case 401:
	case 403: return CV_MCP_ERROR_DENIED;
	case 429: return CV_MCP_ERROR_LIMIT;
	case 503: return CV_MCP_ERROR_UNAVAILABLE;
	case 504: return CV_MCP_ERROR_TIMEOUT;
	default: return CV_MCP_ERROR_INTERNAL;
	}
}
