/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.c - a whole request: is it meant for us, may it ask, where does it go
 *
 * Discovery needs no token: it says what the caller may do, which its policy says too.  Everything
 * else does, on every request: the connection says which sandbox asks, and the token that it is one
 * whose run goes on.  Who sends wrong ones too often is not heard for the rest of the minute.
 */
#include "broker/broker.h"

#include "base/sha256.h"
#include "broker/discovery.h"
#include "broker/mcp.h"

#include <stdio.h>
#include <string.h>

#define MINUTE_MS   60000
#define METHODS_MAX 8 /* that HTTP has for tools: five */

/* Same time whatever differs. */
static bool digest_eq(const unsigned char *a, const unsigned char *b)
{
	unsigned char differs = 0;

	for (size_t i = 0; i < CV_SHA256_BYTES; i++)
		differs |= a[i] ^ b[i];
	return differs == 0;
}

static void refuse_token(struct broker *b, struct stream *s, const char *code, const char *detail)
{
	audit_refusal(b, s,
		&(struct refusal){ .status = 401, .code = code, .reason = cv_str_of(detail) });
	answer_error(b, s, 401, code, "%s", detail);
}

/* False: it was answered. */
static bool token_check(struct broker *b, struct stream *s, struct sandbox *box)
{
	const struct cv_str field = s->request.authorization;
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 hash;

	if (b->loop.now_ms - box->bad_tokens_since_ms >= MINUTE_MS) {
		box->bad_tokens = 0;
		box->bad_tokens_since_ms = b->loop.now_ms;
	}
	if (!field.n) {
		refuse_token(b, s, "token_missing",
			"send Authorization: Bearer and the value of COVE_TOOLS_TOKEN");
		return false;
	}
	if (box->bad_tokens >= BROKER_BAD_TOKENS_MAX) {
		struct cv_buf e;

		cv_buf_init(&e, 1024);
		error_begin(&e, "too_many_calls", "too many wrong tokens; wait a minute");
		error_end(&e);
		answer(b, s,
			&(struct answer){
				.status = 429, .body = cv_buf_str(&e), .retry_after = 60 });
		cv_buf_fini(&e);
		return false;
	}
	hash = b->hash;
	if (field.n > 7 && cv_str_eq_nocase(cv_str_slice(field, 0, 7), CV_STR("Bearer ")))
		cv_sha256_update(&hash, field.p + 7, field.n - 7);
	cv_sha256_final(&hash, digest);
	if (digest_eq(digest, box->token_sha256))
		return true;
	box->bad_tokens++;
	refuse_token(b, s, "token_invalid", "the token is not this run's");
	return false;
}

/* The route's two names; a browser's request on behalf of another page is neither's (B2). */
static bool is_ours(struct cv_str host)
{
	return cv_str_eq(host, CV_STR("tools.local")) ||
	       cv_str_eq(host, CV_STR("host.cove.internal"));
}

static bool origin_is_ours(struct cv_str origin)
{
	if (!origin.n)
		return true;
	if (!cv_str_has_prefix(origin, CV_STR("http://")))
		return false;
	struct cv_str host = cv_str_slice(origin, 7, origin.n);
	if (cv_str_has_suffix(host, CV_STR(":80")))
		host.n -= 3;
	return is_ours(host);
}

/* Of this type, or of none that was said; never encoded. */
static bool is_of_type(const struct request *q, struct cv_str type)
{
	struct cv_str rest = q->content_type;
	const bool is_plain =
		!q->content_encoding.n || cv_str_eq_nocase(q->content_encoding, CV_STR("identity"));

	return is_plain && (!rest.n || cv_str_eq_nocase(cv_str_trim(cv_str_cut(&rest, ';')), type));
}

bool request_is_json(const struct request *q)
{
	return is_of_type(q, CV_STR("application/json"));
}

bool request_may_be_json(const struct request *q)
{
	return request_is_json(q) || is_of_type(q, CV_STR("application/x-www-form-urlencoded"));
}

static bool is_read(const struct request *q)
{
	return cv_str_eq(q->method, CV_STR("GET")) || q->is_head;
}

void request_refuse_method(struct broker *b, struct stream *s, const char *allow)
{
	struct cv_buf e;

	cv_buf_init(&e, 1024);
	error_begin(&e, "method_not_allowed", "this path answers %s", allow);
	error_end(&e);
	answer(b, s, &(struct answer){ .status = 405, .body = cv_buf_str(&e), .allow = allow });
	cv_buf_fini(&e);
}

/* ---- tools ---- */

static void known_put(struct broker *b, struct stream *s, struct cv_buf *e)
{
	cv_buf_put(e, CV_STR(",\"known\":"));
	(void)!discovery_put(b, pool_get(&b->sandboxes, s->sandbox), s->caller, CV_DISCOVER_KNOWN,
		CV_STR_NONE, e);
}

void request_refuse_tool(struct broker *b, struct stream *s, struct cv_str name)
{
	const struct cv_str nearest =
		discovery_nearest(b, pool_get(&b->sandboxes, s->sandbox), s->caller, name);
	struct cv_buf e;

	cv_buf_init(&e, BROKER_DOCUMENT_BYTES_MAX);
	error_begin(&e, "unknown_tool", "there is no tool of that name");
	known_put(b, s, &e);
	if (nearest.n)
		put_member_str(&e, "nearest", nearest);
	error_end(&e);
	audit_refusal(b, s,
		&(struct refusal){ .tool = name,
			.status = 404,
			.code = "unknown_tool",
			.reason = CV_STR("there is no tool of that name") });
	answer(b, s, &(struct answer){ .status = 404, .body = cv_buf_str(&e) });
	cv_buf_fini(&e);
}

static void refuse_path(struct broker *b, struct stream *s)
{
	struct cv_buf e;

	cv_buf_init(&e, BROKER_DOCUMENT_BYTES_MAX);
	error_begin(&e, "unknown_path", "there is nothing here; GET / says what there is");
	known_put(b, s, &e);
	error_end(&e);
	answer(b, s, &(struct answer){ .status = 404, .body = cv_buf_str(&e) });
	cv_buf_fini(&e);
}

static void tool_handle(struct broker *b, struct stream *s)
{
	const struct cv_str path = cv_path_str(&s->request.path);
	struct cv_tool_route_args places = { .n = 0 };
	const struct cv_tool *t =
		cv_catalog_route(b->catalog, s->request.method, path, &places, &s->arena);

	if (t) {
		call_handle(b, s, t, &places);
		return;
	}
	struct cv_str other[METHODS_MAX];
	const size_t n = cv_catalog_route_methods(b->catalog, path, other, METHODS_MAX);
	char allow[128] = "";
	for (size_t i = 0; i < n; i++)
		snprintf(allow + strlen(allow), sizeof(allow) - strlen(allow), "%s%.*s",
			i ? ", " : "", CV_STR_ARG(other[i]));
	if (n)
		request_refuse_method(b, s, allow);
	else if (cv_str_has_prefix(path, CV_STR(CV_TOOL_ROUTE_PREFIX)))
		request_refuse_tool(
			b, s, cv_str_slice(path, sizeof(CV_TOOL_ROUTE_PREFIX) - 1, path.n));
	else
		refuse_path(b, s);
}

/* ---- where it goes ---- */

static bool discovery_handle(struct broker *b, struct stream *s, struct sandbox *box)
{
	static const struct {
		const char *path;
		enum cv_discover_document what;
	} page[] = {
		{ "/", CV_DISCOVER_TEXT },
		{ "/tools.json", CV_DISCOVER_TOOLS },
		{ "/openapi.json", CV_DISCOVER_OPENAPI },
	};
	const struct cv_str path = cv_path_str(&s->request.path);

	if (cv_str_eq(path, CV_STR("/healthz"))) {
		if (is_read(&s->request))
			answer(b, s,
				&(struct answer){
					.status = 200, .body = CV_STR("{\"status\":\"ok\"}") });
		else
			request_refuse_method(b, s, "GET, HEAD");
		return true;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(page); i++) {
		if (!cv_str_eq(path, cv_str_of(page[i].path)))
			continue;
		if (is_read(&s->request))
			discovery_answer(b, s, box, page[i].what);
		else
			request_refuse_method(b, s, "GET, HEAD");
		return true;
	}
	return false;
}

void request_handle(struct broker *b, struct stream *s)
{
	struct sandbox *box = pool_get(&b->sandboxes, s->sandbox);
	const struct cv_str path = cv_path_str(&s->request.path);

	if (s->arena.is_overflown || s->request.is_repeated) {
		answer_error(b, s, 400, "bad_request", "%s",
			s->request.is_repeated ? "a field that may be there once is there twice"
					       : "the head is too large");
		return;
	}
	if (s->request.host.n && !is_ours(s->request.host)) {
		answer_error(b, s, 403, "sandbox_mismatch", "this is tools.local");
		return;
	}
	if (!origin_is_ours(s->request.origin)) {
		answer_error(b, s, 403, "sandbox_mismatch", "Origin is another's");
		return;
	}
	if (discovery_handle(b, s, box) || !token_check(b, s, box))
		return;
	if (cv_str_eq(path, CV_STR("/v1/jobs")) || cv_str_has_prefix(path, CV_STR("/v1/jobs/")))
		jobs_handle(b, s, cv_str_slice(path, 8, path.n));
	else if (cv_str_eq(path, CV_STR("/mcp")))
		mcp_handle(b, s);
	else
		tool_handle(b, s);
}
