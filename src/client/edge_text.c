/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge_text.c - see edge_text.h
 */
#include "client/edge_text.h"

#include "client/oidc_text.h"
#include "wire/h1.h"
#include "wire/json_value.h"
#include "wire/url.h"

#include <stdio.h>

#define PATH           "/callback"
#define BODY_ARENA_MAX (256u << 10)
#define CACHE_S        "60" /* of a preflight's answer */

/* The value of a field that is there once; empty otherwise. */
static struct cv_str field_of(const struct cv_h1_request *r, struct cv_str name)
{
	struct cv_str found = CV_STR("");
	size_t n = 0;

	for (size_t i = 0; i < r->header_count; i++)
		if (cv_h1_name_eq(r->header[i].name, name)) {
			found = r->header[i].value;
			n++;
		}
	return n == 1 ? found : CV_STR("");
}

static bool is_json(struct cv_str type)
{
	return cv_str_eq_nocase(cv_str_trim(cv_str_slice(type, 0, cv_str_find_byte(type, ';'))),
		CV_STR("application/json"));
}

static enum cl_edge_kind body_read(
	struct cv_str body, struct cv_str code, struct cv_arena *arena, struct cl_edge_call *ret)
{
	enum cl_edge_kind kind = CL_EDGE_BAD;
	const struct cv_value *v;
	struct cv_arena own;

	cv_arena_init(&own, BODY_ARENA_MAX);
	if (cv_json_value_read(body, &own, &v, NULL) == CV_JSON_PROBLEM_NONE &&
		v->type == CV_VALUE_OBJECT) {
		const struct cv_str token = cv_value_get_str(v, CV_STR("token"));

		if (!cl_same(cv_value_get_str(v, CV_STR("code")), code)) {
			kind = CL_EDGE_WRONG;
		} else if (cl_token_is_fine(token)) {
			ret->token = cv_arena_str(arena, token);
			kind = ret->token.p ? CL_EDGE_TOKEN : CL_EDGE_BAD;
		}
	}
	cv_arena_fini(&own);
	return kind;
}

enum cl_edge_kind cl_edge_call_read(struct cv_str sent, struct cv_str origin, struct cv_str code,
	struct cv_arena *arena, struct cl_edge_call *ret)
{
	struct cv_h1_request r;
	size_t scanned = 0;
	const enum cv_h1_rc rc = cv_h1_request_parse(sent, CL_REDIRECT_BYTES_MAX, &scanned, &r);

	*ret = (struct cl_edge_call){ .asks_private = false };
	if (rc == CV_H1_MORE)
		return CL_EDGE_PART;
	if (rc != CV_H1_OK || !cv_str_eq(r.path, CV_STR(PATH)))
		return CL_EDGE_OTHER;
	if (!cv_str_eq(field_of(&r, CV_STR("Origin")), origin))
		return CL_EDGE_FORBIDDEN;
	if (cv_str_eq(r.method, CV_STR("OPTIONS"))) {
		ret->asks_private =
			cv_str_eq(field_of(&r, CV_STR("Access-Control-Request-Private-Network")),
				CV_STR("true"));
		return CL_EDGE_PREFLIGHT;
	}
	if (!cv_str_eq(r.method, CV_STR("POST")))
		return CL_EDGE_METHOD;
	if (r.body != CV_H1_BODY_LENGTH || r.length > CL_EDGE_BYTES_MAX - r.head_bytes ||
		!is_json(field_of(&r, CV_STR("Content-Type"))))
		return CL_EDGE_BAD;
	if (sent.n - r.head_bytes < r.length)
		return CL_EDGE_PART;
	return body_read(cv_str_slice(sent, r.head_bytes, r.head_bytes + (size_t)r.length), code,
		arena, ret);
}

/* ---- answers ---- */

/* clang-format off */
static const struct {
	const char *status, *body;
} answer[] = {
	[CL_EDGE_PART]      = { "400 Bad Request", "{\"ok\":false,\"error\":\"half a request\"}" },
	[CL_EDGE_OTHER]     = { "404 Not Found", "{\"ok\":false,\"error\":\"nothing is here\"}" },
	[CL_EDGE_FORBIDDEN] = { "403 Forbidden", "{\"ok\":false,\"error\":\"origin not allowed\"}" },
	[CL_EDGE_METHOD]    = { "405 Method Not Allowed", "{\"ok\":false,\"error\":\"method not allowed\"}" },
	[CL_EDGE_PREFLIGHT] = { "204 No Content", "" },
	[CL_EDGE_BAD]       = { "400 Bad Request", "{\"ok\":false,\"error\":\"missing token or code\"}" },
	[CL_EDGE_WRONG]     = { "403 Forbidden", "{\"ok\":false,\"error\":\"confirmation code mismatch\"}" },
	[CL_EDGE_TOKEN]     = { "200 OK", "{\"ok\":true}" },
};
/* clang-format on */

void cl_edge_answer_put(struct cv_buf *b, enum cl_edge_kind kind, const struct cl_edge_call *call,
	struct cv_str origin)
{
	const char *body = answer[kind].body;

	cv_buf_printf(b, "HTTP/1.1 %s\r\n", answer[kind].status);
	/* Only that page may read what is said; for another origin it is as if nothing were here. */
	cv_buf_printf(
		b, "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n", CV_STR_ARG(origin));
	if (kind == CL_EDGE_PREFLIGHT)
		cv_buf_put(b, CV_STR("Access-Control-Allow-Methods: POST, OPTIONS\r\n"
				     "Access-Control-Allow-Headers: Content-Type\r\n"
				     "Access-Control-Max-Age: " CACHE_S "\r\n"));
	if (call->asks_private)
		cv_buf_put(b, CV_STR("Access-Control-Allow-Private-Network: true\r\n"));
	if (body[0])
		cv_buf_printf(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			strlen(body));
	cv_buf_printf(b,
		"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
		"Connection: close\r\n\r\n%s",
		body);
}

/* ---- the question ---- */

void cl_edge_code_make(const unsigned char random[static CL_EDGE_RANDOM_BYTES],
	char ret[static CL_EDGE_CODE_BYTES + 1])
{
	static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"; /* 32: no remainder */
	size_t n = 0;

	for (size_t i = 0; i < CL_EDGE_RANDOM_BYTES; i++) {
		if (i == 3)
			ret[n++] = '-';
		ret[n++] = letters[random[i] % (sizeof(letters) - 1)];
	}
	ret[n] = '\0';
}

bool cl_edge_origin_of(struct cv_str url, char ret[static CL_EDGE_ORIGIN_BYTES])
{
	enum cv_host_rc host_rc;
	struct cv_url u;
	char port[8] = "";

	if (cv_url_parse(url, &u, &host_rc) != CV_URL_OK)
		return false;
	if (u.authority.port != (u.is_https ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", u.authority.port);
	const int n =
		snprintf(ret, CL_EDGE_ORIGIN_BYTES, u.authority.host.is_ip6 ? "%s[%s]%s" : "%s%s%s",
			u.is_https ? "https://" : "http://", u.authority.host.text, port);
	return n > 0 && n < CL_EDGE_ORIGIN_BYTES;
}
