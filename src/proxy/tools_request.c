/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools_request.c - one request on the route: what it asks for, and whether it may
 *
 * Where a tool is called its arguments are read here, from the body (and the path, for a tool's own
 * route), by the same strict reader that the broker has, so both see the same call.  A batch of MCP
 * passes as a whole or not at all (T16).  A call's query means nothing, and is not sent on.
 */
#include "base/assert.h"
#include "policy/tools.h"
#include "proxy/denial.h"
#include "proxy/tools.h"
#include "tools/discover.h"
#include "tools/mcp.h"
#include "wire/json_value.h"

#include <string.h>

/* What passes of a request's fields, beside those that are ours to write (B2: nothing that says who
 * the sender is, or where it comes from). */
static const char *const kept_field[] = { "accept", "authorization", "content-type",
	"idempotency-key", "last-event-id", "mcp-protocol-version", "mcp-session-id", "prefer",
	"user-agent" };

/* ---- what is asked for ---- */

enum kind { KIND_PASS, KIND_CALL, KIND_MCP, KIND_PATH, KIND_METHOD, KIND_TOOL };

struct ask {
	enum kind kind;      /* PATH, METHOD, TOOL: there is no such */
	struct cv_str tool;  /* CALL, TOOL: as asked for */
	struct cv_str allow; /* METHOD */
	struct cv_toolmap_args args;
};

/* What discovery lists, and the calls themselves. */
#define OPERATION_ROW(name, method, path, token, summary) { path, method },
static const struct {
	const char *path, *method;
} operation[] = { CV_TOOL_OPERATIONS(OPERATION_ROW){ CV_TOOL_ROUTE_PREFIX "{name}", "POST" } };
#undef OPERATION_ROW

/* A pattern has one {place} at most, which is one segment: in *ret, empty where there is none. */
static bool path_match(struct cv_str pattern, struct cv_str path, struct cv_str *ret)
{
	const size_t open = cv_str_find_byte(pattern, '{');
	const struct cv_str head = cv_str_slice(pattern, 0, open);
	const struct cv_str tail =
		cv_str_slice(pattern, cv_str_find_byte(pattern, '}') + 1, pattern.n);

	*ret = CV_STR_NONE;
	if (open == pattern.n)
		return cv_str_eq(path, pattern);
	if (path.n <= head.n + tail.n || !cv_str_has_prefix(path, head) ||
		!cv_str_has_suffix(path, tail))
		return false;
	*ret = cv_str_slice(path, head.n, path.n - tail.n);
	return !cv_str_has_byte(*ret, '/');
}

/* HEAD is a GET without its body. */
static bool is_method(struct cv_str asked, const char *method)
{
	return cv_str_eq(asked, cv_str_of(method)) ||
	       (cv_str_eq(asked, CV_STR("HEAD")) && strcmp(method, "GET") == 0);
}

static void allow_add(struct cv_proxy *p, struct ask *a, const char *method)
{
	a->allow = cv_arena_printf(&p->arena, "%.*s%s%s%s", CV_STR_ARG(a->allow),
		a->allow.n ? ", " : "", method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

/* Of the route's own; PATH: none of them. */
static void operation_ask(
	struct cv_proxy *p, const struct cv_h1_request *r, struct cv_str path, struct ask *a)
{
	struct cv_str segment;

	for (size_t i = 0; i < CV_ARRAY_LEN(operation); i++) {
		const struct cv_str pattern = cv_str_of(operation[i].path);

		if (!path_match(pattern, path, &segment))
			continue;
		a->kind = KIND_METHOD;
		allow_add(p, a, operation[i].method);
		if (!is_method(r->method, operation[i].method))
			continue;
		a->kind = KIND_PASS;
		if (cv_str_has_prefix(pattern, CV_STR(CV_TOOL_ROUTE_PREFIX))) {
			a->tool = segment;
			a->kind = cv_toolmap_find(&p->toolmap, segment) ? KIND_CALL : KIND_TOOL;
		} else if (cv_str_eq(path, CV_STR("/mcp")) &&
			   cv_str_eq(r->method, CV_STR("POST"))) {
			a->kind = KIND_MCP;
		}
		return;
	}
}

static struct ask path_ask(struct cv_proxy *p, const struct cv_h1_request *r, struct cv_str path)
{
	struct ask a = { .kind = KIND_PATH };
	const struct cv_toolmap_tool *tool;

	operation_ask(p, r, path, &a);
	if (a.kind != KIND_PATH)
		return a;
	tool = cv_toolmap_route(&p->toolmap, r->method, path, &p->arena, &a.args, &a.allow);
	if (tool) {
		a.kind = KIND_CALL;
		a.tool = tool->name;
	} else if (a.allow.n) {
		a.kind = KIND_METHOD;
	}
	return a;
}

/* ---- the head ---- */

static enum cv_tools_step refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_str path, int status, const char *code,
	struct cv_str detail)
{
	const struct cv_tools_refusal why = {
		.status = status,
		.code = code,
		.detail = detail,
		.action = CV_AUDIT_ACTION_DENY,
	};

	cv_tools_refuse(p, f, r, path, &why);
	return CV_TOOLS_ANSWERED;
}

static bool is_kept(struct cv_str name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(kept_field); i++)
		if (cv_str_eq_nocase(name, cv_str_of(kept_field[i])))
			return true;
	return false;
}

/* Those of the framing stay for the writer, which passes over them. */
static void fields_filter(struct cv_h1_request *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->header_count; i++)
		if ((r->header[i].flags & (CV_H1_FRAMING | CV_H1_HOP)) ||
			is_kept(r->header[i].name))
			r->header[n++] = r->header[i];
	r->header_count = n;
}

/* A page in a browser names where it comes from (B2); programs name nothing. */
static bool origin_is_fine(const struct cv_h1_request *r)
{
	size_t at = 0;
	const struct cv_h1_header *h;

	while ((h = cv_h1_header_next_named(r->header, r->header_count, CV_STR("Origin"), &at)) !=
		NULL) {
		struct cv_str host = h->value;

		if (!cv_str_has_prefix(host, CV_STR("http://")))
			return false;
		host = cv_str_slice(host, 7, host.n);
		if (!cv_tools_is_ours(host))
			return false;
	}
	return true;
}

static size_t held_sum(const struct cv_proxy *p)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < p->flows.high; i++) {
		const struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->is_tools && f->hold)
			sum += f->hold->body.max;
	}
	return sum;
}

static enum cv_tools_step long_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const struct cv_tools_refusal why = {
		.status = 413,
		.code = "body_too_large",
		.detail = cv_arena_printf(
			&p->arena, "a request's body may have %d bytes", CV_PROXY_TOOL_BYTES_MAX),
		.more = cv_arena_printf(&p->arena, ",\"limit\":%d", CV_PROXY_TOOL_BYTES_MAX),
		.action = CV_AUDIT_ACTION_DENY,
	};

	cv_tools_refuse(p, f, r, path, &why);
	return CV_TOOLS_ANSWERED;
}

static enum cv_tools_step hold_begin(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const bool is_sized = r->body != CV_H1_BODY_CHUNKED;
	const bool is_waiting = r->is_expect_continue && r->minor == 1;
	const size_t max = is_sized ? (size_t)CV_MIN(r->length, (uint64_t)CV_PROXY_TOOL_BYTES_MAX)
				    : CV_PROXY_TOOL_BYTES_MAX;

	if (is_sized && r->length > CV_PROXY_TOOL_BYTES_MAX)
		return long_refuse(p, f, r, path);
	if (held_sum(p) + max > CV_PROXY_TOOL_SUM_MAX ||
		!cv_hold_begin(f, r, CV_MAX(max, (size_t)1)))
		return refuse(p, f, r, path, 429, "too_many_at_once",
			CV_STR("too many bodies of calls are on their way; try again"));
	if (is_waiting)
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 100 Continue\r\n\r\n"));
	return CV_TOOLS_AGAIN; /* r was in the flow's buffer */
}

static enum cv_tools_step body_await(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const size_t before = f->hold ? cv_buf_len(&f->hold->body) : 0;

	if (r->body == CV_H1_BODY_NONE)
		return CV_TOOLS_OK;
	if (!f->hold)
		return hold_begin(p, f, r, path);
	switch (cv_hold_fill(f)) {
	case CV_HOLD_DONE: return CV_TOOLS_OK;
	case CV_HOLD_MORE:
		if (cv_buf_len(&f->hold->body) > before) /* slow is not idle */
			f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
		return CV_TOOLS_WAIT;
	case CV_HOLD_LONG: return long_refuse(p, f, r, path);
	case CV_HOLD_BAD:
		return refuse(p, f, r, path, 400, "bad_chunk", CV_STR("chunked body is malformed"));
	case CV_HOLD_CUT: cv_flow_end(p, f, true); return CV_TOOLS_ANSWERED;
	case CV_HOLD_FOUND:
	case CV_HOLD_FULL: break; /* of holds with a spool */
	}
	cv_unreachable();
}

static enum cv_tools_step ask_refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_str path, const struct ask *a)
{
	struct cv_tools_refusal why = { .action = CV_AUDIT_ACTION_DENY, .status = 404 };
	struct cv_buf more;

	cv_buf_init(&more, CV_PROXY_DENIAL_BYTES_MAX);
	if (a->kind == KIND_METHOD) {
		why.status = 405;
		why.code = "method_not_allowed";
		why.allow = a->allow;
		why.detail =
			cv_arena_printf(&p->arena, "this path knows %.*s", CV_STR_ARG(a->allow));
	} else if (a->kind == KIND_TOOL) {
		why.code = "unknown_tool";
		why.tool = cv_toolmap_is_name(a->tool) ? a->tool : CV_STR_NONE;
		why.detail = CV_STR("there is no such tool");
		cv_tools_known_put(p, f, &more);
	} else {
		why.code = "unknown_path";
		why.detail = CV_STR("GET / tells what there is");
	}
	why.more = cv_buf_str(&more);
	cv_tools_refuse(p, f, r, path, &why);
	cv_buf_fini(&more);
	return CV_TOOLS_ANSWERED;
}

enum cv_tools_step cv_tools_head(
	struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r, struct cv_str path)
{
	const bool is_from_here = origin_is_fine(r);
	struct ask a;

	fields_filter(r);
	if (f->http.is_decided)
		return CV_TOOLS_OK;
	if (!is_from_here)
		return refuse(p, f, r, path, 403, "foreign_origin",
			CV_STR("the request comes from a page of another origin"));
	if (!p->has_tools)
		return refuse(p, f, r, path, 503, "no_tools",
			CV_STR("this run has no host tools; cove run --tools FILE gives it some"));
	a = path_ask(p, r, path);
	if (a.kind >= KIND_PATH)
		return ask_refuse(p, f, r, path, &a);
	if (a.kind != KIND_PASS)
		r->query = CV_STR_NONE;
	return body_await(p, f, r, path);
}

/* ---- JSON ---- */

static bool is_deep(const struct cv_value *v, unsigned depth)
{
	if (v->type != CV_VALUE_ARRAY && v->type != CV_VALUE_OBJECT)
		return false;
	if (depth == CV_PROXY_TOOL_DEPTH_MAX)
		return true;
	for (uint32_t i = 0; i < v->n; i++)
		if (is_deep(&v->v[i], depth + 1))
			return true;
	return false;
}

/* Reads the body; false: *why says what is wrong with it.  No body is an empty object. */
static bool body_read(struct cv_proxy *p, const struct cv_flow *f, struct cv_arena *arena,
	const struct cv_value **ret, struct cv_tools_refusal *why)
{
	static const struct cv_value empty = { .type = CV_VALUE_OBJECT };
	const struct cv_str text = f->hold ? cv_buf_str(&f->hold->body) : CV_STR_NONE;
	enum cv_json_problem problem;
	size_t at = 0;

	*ret = &empty;
	if (!text.n)
		return true;
	problem = cv_json_value_read(text, arena, ret, &at);
	if (problem == CV_JSON_PROBLEM_NONE && is_deep(*ret, 0))
		problem = CV_JSON_PROBLEM_DEPTH;
	if (problem == CV_JSON_PROBLEM_NONE)
		return true;
	*why = (struct cv_tools_refusal){
		.status = 400,
		.code = problem == CV_JSON_PROBLEM_DUPLICATE ? "duplicate_key"
			: problem == CV_JSON_PROBLEM_DEPTH   ? "too_deep"
							     : "invalid_json",
		.detail = cv_arena_printf(&p->arena, "the body %s", cv_json_problem_text(problem)),
		.more = problem == CV_JSON_PROBLEM_DEPTH
				? cv_arena_printf(&p->arena, ",\"at\":%zu,\"limit\":%d", at,
					  CV_PROXY_TOOL_DEPTH_MAX)
				: cv_arena_printf(&p->arena, ",\"at\":%zu", at),
		.action = CV_AUDIT_ACTION_DENY,
	};
	return false;
}

/* ---- the decision ---- */

static struct cv_tool_facts facts_of(
	const struct cv_flow *f, struct cv_str tool, const struct cv_value *arguments)
{
	return (struct cv_tool_facts){ .who = f->who->facts, .tool = tool, .arguments = arguments };
}

/* False: refused; *why says it, its more from more. */
static bool call_decide(struct cv_proxy *p, struct cv_flow *f, struct cv_str tool,
	const struct cv_value *arguments, struct cv_buf *more, struct cv_tools_refusal *why)
{
	const struct cv_tool_facts facts = facts_of(f, tool, arguments);
	const struct cv_tool_verdict v = cv_policy_decide_tool(f->policy, &facts);

	if (v.action == CV_ACTION_ALLOW) {
		p->sinks.summary.tool_calls++;
		return true;
	}
	cv_tools_allowed_put(p, f, more);
	*why = (struct cv_tools_refusal){
		.status = 403,
		.code = "policy_denied",
		.detail = cv_policy_tool_denial_text(f->policy, &facts, &v, &p->arena),
		.tool = tool,
		.more = cv_buf_str(more),
		.line = v.line,
		.reason = cv_reason_code(v.reason),
		.action = CV_AUDIT_ACTION_DENY,
	};
	return false;
}

static bool arguments_wrong(struct cv_proxy *p, struct cv_str tool, struct cv_str pointer,
	const char *message, struct cv_tools_refusal *why)
{
	*why = (struct cv_tools_refusal){
		.status = 400,
		.code = "invalid_arguments",
		.detail = cv_str_of(message),
		.tool = tool,
		.more = cv_arena_printf(&p->arena,
			",\"errors\":[{\"pointer\":\"%.*s\",\"message\":\"%s\"}]",
			CV_STR_ARG(pointer), message),
		.action = CV_AUDIT_ACTION_DENY,
	};
	return false;
}

/* What the body says, and what the path says, as one object. */
static bool arguments_join(struct cv_proxy *p, const struct ask *a, struct cv_arena *arena,
	const struct cv_value **v, struct cv_tools_refusal *why)
{
	const struct cv_value *body = *v;
	struct cv_value *all, *to;
	struct cv_str *key;

	if (body->type != CV_VALUE_OBJECT)
		return arguments_wrong(
			p, a->tool, CV_STR_NONE, "the arguments must be a JSON object", why);
	if (!a->args.n)
		return true;
	all = cv_arena_new(arena, struct cv_value);
	to = cv_arena_array(arena, body->n + a->args.n, sizeof(*to));
	key = cv_arena_array(arena, body->n + a->args.n, sizeof(*key));
	if (!all || !to || !key)
		return arguments_wrong(
			p, a->tool, CV_STR_NONE, "there is no memory for the arguments", why);
	for (uint32_t i = 0; i < body->n; i++) {
		to[i] = body->v[i];
		key[i] = body->key[i];
	}
	for (size_t i = 0; i < a->args.n; i++) {
		if (cv_value_get(body, a->args.name[i]))
			return arguments_wrong(p, a->tool,
				cv_arena_printf(&p->arena, "/%.*s", CV_STR_ARG(a->args.name[i])),
				"stands in the path, and must not stand in the body too", why);
		to[body->n + i] = a->args.value[i];
		key[body->n + i] = a->args.name[i];
	}
	*all = (struct cv_value){
		.type = CV_VALUE_OBJECT, .n = body->n + (uint32_t)a->args.n, .v = to, .key = key
	};
	*v = all;
	return true;
}

static enum cv_tools_step call_judge(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_str path, struct ask *a, struct cv_arena *arena)
{
	const struct cv_value *v;
	struct cv_tools_refusal why;
	struct cv_buf more;

	f->http.is_tool_call = true;
	cv_buf_init(&more, CV_PROXY_DENIAL_BYTES_MAX);
	const bool is_fine = body_read(p, f, arena, &v, &why) &&
			     arguments_join(p, a, arena, &v, &why) &&
			     call_decide(p, f, a->tool, v, &more, &why);
	if (!is_fine) {
		why.tool = a->tool;
		cv_tools_refuse(p, f, r, path, &why);
	}
	cv_buf_fini(&more);
	return is_fine ? CV_TOOLS_OK : CV_TOOLS_ANSWERED;
}

/* ---- MCP ---- */

static enum cv_mcp_error rpc_code(const struct cv_tools_refusal *why)
{
	if (why->status == 403)
		return CV_MCP_ERROR_DENIED;
	return why->status == 404 || why->tool.n ? CV_MCP_ERROR_PARAMS : CV_MCP_ERROR_PARSE;
}

/* One message: not a call, or one that may be made. */
static bool message_judge(struct cv_proxy *p, struct cv_flow *f, const struct cv_value *m,
	struct cv_buf *more, struct cv_tools_refusal *why)
{
	static const struct cv_value empty = { .type = CV_VALUE_OBJECT };
	const struct cv_value *params, *arguments;
	struct cv_str tool;

	if (!cv_str_eq(cv_value_get_str(m, CV_STR("method")), CV_STR("tools/call")))
		return true;
	f->http.is_tool_call = true;
	params = cv_value_get(m, CV_STR("params"));
	tool = cv_value_get_str(params, CV_STR("name"));
	arguments = cv_value_get(params, CV_STR("arguments"));
	if (!cv_toolmap_find(&p->toolmap, tool)) {
		cv_tools_known_put(p, f, more);
		*why = (struct cv_tools_refusal){
			.status = 404,
			.code = "unknown_tool",
			.detail = CV_STR("there is no such tool"),
			.tool = cv_toolmap_is_name(tool) ? tool : CV_STR_NONE,
			.more = cv_buf_str(more),
			.action = CV_AUDIT_ACTION_DENY,
		};
		return false;
	}
	if (arguments && arguments->type != CV_VALUE_OBJECT)
		return arguments_wrong(
			p, tool, CV_STR_NONE, "the arguments must be a JSON object", why);
	return call_decide(p, f, tool, arguments ? arguments : &empty, more, why);
}

/* A JSON-RPC error for m; nothing where it is a notification, which has no answer. */
static void error_put(
	struct cv_buf *b, const struct cv_value *m, const struct cv_tools_refusal *why)
{
	const struct cv_value *id = m ? cv_value_get(m, CV_STR("id")) : NULL;
	const bool is_id = id && (id->type == CV_VALUE_STRING || id->type == CV_VALUE_NUMBER) &&
			   id->s.n <= CV_MCP_ID_BYTES_MAX;

	cv_buf_put(b, CV_STR("{\"jsonrpc\":\"2.0\",\"id\":"));
	if (!is_id || !cv_json_value_write(b, id))
		cv_buf_put(b, CV_STR("null"));
	cv_buf_printf(b, ",\"error\":{\"code\":%d,\"message\":\"", rpc_code(why));
	cv_buf_put_json(b, why->detail);
	cv_buf_put(b, CV_STR("\",\"data\":"));
	cv_tools_body_put(b, why);
	cv_buf_put(b, CV_STR("}}"));
}

/* Each request of a batch is answered, or its client would wait for it. */
static void batch_put(struct cv_buf *b, const struct cv_value *batch, const struct cv_value *m,
	const struct cv_tools_refusal *why)
{
	const struct cv_tools_refusal others = {
		.status = why->status,
		.code = why->code,
		.detail = CV_STR("not done, because another call of the batch was refused"),
	};
	const char *comma = "[";

	for (uint32_t i = 0; i < batch->n; i++) {
		const struct cv_value *one = &batch->v[i];

		if (one != m && !cv_value_get(one, CV_STR("id")))
			continue;
		cv_buf_put(b, cv_str_of(comma));
		error_put(b, one, one == m ? why : &others);
		comma = ",";
	}
	cv_buf_put_byte(b, ']');
}

static void mcp_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_value *v, const struct cv_value *m,
	const struct cv_tools_refusal *why)
{
	const bool is_request = m && cv_value_get(m, CV_STR("id"));
	const bool is_batch = v && v->type == CV_VALUE_ARRAY;
	struct cv_buf b;

	if (m && !is_request) { /* a notification has no answer, so HTTP's own is all there is */
		cv_tools_refuse(p, f, r, path, why);
		return;
	}
	cv_buf_init(&b, CV_PROXY_DENIAL_BYTES_MAX);
	if (is_batch)
		batch_put(&b, v, m, why);
	if (!is_batch || b.is_overflown) { /* more of them than anybody means */
		cv_buf_reset(&b);
		error_put(&b, m, why);
	}
	/* What a client of MCP reads: an error of the protocol comes with HTTP's 200. */
	cv_tools_refuse_with(p, f, r, path, why, is_request ? 200 : 400, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static enum cv_tools_step mcp_judge(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_str path, struct cv_arena *arena)
{
	const struct cv_value *v = NULL, *m = NULL;
	struct cv_tools_refusal why;
	struct cv_buf more;
	bool is_fine;

	cv_buf_init(&more, CV_PROXY_DENIAL_BYTES_MAX / 2);
	is_fine = body_read(p, f, arena, &v, &why);
	if (!is_fine) {
		v = NULL;
	} else if (v->type == CV_VALUE_ARRAY) {
		for (uint32_t i = 0; is_fine && i < v->n; i++) {
			m = &v->v[i];
			is_fine = message_judge(p, f, m, &more, &why);
		}
	} else {
		m = v;
		is_fine = message_judge(p, f, m, &more, &why);
	}
	if (!is_fine)
		mcp_refuse(p, f, r, path, v, m, &why);
	cv_buf_fini(&more);
	return is_fine ? CV_TOOLS_OK : CV_TOOLS_ANSWERED;
}

enum cv_tools_step cv_tools_judge(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	enum cv_tools_step step = CV_TOOLS_OK;
	struct cv_arena arena;
	struct ask a;

	if (f->http.is_decided || f->http.is_tool_judged)
		return CV_TOOLS_OK;
	a = path_ask(p, r, path);
	cv_arena_init(&arena, CV_PROXY_TOOL_MEMORY_MAX);
	if (a.kind == KIND_CALL)
		step = call_judge(p, f, r, path, &a, &arena);
	else if (a.kind == KIND_MCP)
		step = mcp_judge(p, f, r, path, &arena);
	cv_arena_fini(&arena);
	f->http.is_tool_judged = step == CV_TOOLS_OK;
	return step;
}
