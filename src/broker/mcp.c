/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp.c - POST /mcp: the same calls, as the Model Context Protocol has them
 *
 * Messages of a body are handled one after the other, each as if it had come alone: a call goes the
 * way of every call (call.c), and what it would have been answered is made a JSON-RPC answer here,
 * because answer() hands it over.  So there is no second way to a tool.  What a tool itself did wrong
 * is a result with isError; what kept it from running is an error, with the usual body as data.
 *
 * There are no sessions: a message says all that is needed, and who asks is the connection's.
 */
#include "broker/mcp.h"

#include "broker/discovery.h"
#include "tools/mcp.h"
#include "wire/json_value.h"

#include <stdlib.h>

#define INSTRUCTIONS                                                                     \
	"Tools that run outside of this sandbox, as its policy allows.  A refusal says " \
	"what is allowed instead."

struct mcp {
	struct cv_arena arena; /* the body and its messages */
	const struct cv_value *message;
	size_t n, at;
	enum cv_mcp_version version;
	bool is_batch, is_looping, is_answered, is_final, is_call;
	const struct cv_value *id; /* of the present message */
	struct cv_buf out;
	size_t answers;
};

void mcp_free(struct mcp *m)
{
	if (!m)
		return;
	cv_arena_fini(&m->arena);
	cv_buf_fini(&m->out);
	free(m);
}

bool mcp_is_open(const struct mcp *m)
{
	return m && !m->is_final;
}

/* ---- answers ---- */

/* Room for one more in out. */
static struct cv_buf *answer_begin(struct mcp *m)
{
	if (m->is_batch)
		cv_buf_put_byte(&m->out, m->answers ? ',' : '[');
	m->answers++;
	m->is_answered = true;
	return &m->out;
}

static void result_put(struct mcp *m, struct cv_str json)
{
	cv_mcp_write_result(answer_begin(m), m->id, json);
}

static void error_put(struct mcp *m, enum cv_mcp_error code, struct cv_str text, struct cv_str data)
{
	cv_mcp_write_error(answer_begin(m), m->id, code, text, data);
}

static struct cv_str line(struct cv_str s)
{
	while (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	return s;
}

/* What a model reads: the output itself where it is text, else the whole. */
static struct cv_str text_of(struct cv_str body, struct cv_buf *scratch)
{
	struct cv_json_value v[] = { { .path = "output" }, { .path = "encoding" },
		{ .path = "truncated" }, { .path = "exit" }, { .path = "stderr" } };
	bool has_more = false;

	if (cv_json_find(body, v, CV_ARRAY_LEN(v)) != CV_JSON_PROBLEM_NONE)
		return body;
	for (size_t i = 1; i < CV_ARRAY_LEN(v); i++)
		has_more = has_more || v[i].token.type != CV_JSON_END;
	if (has_more || v[0].token.type != CV_JSON_STRING || !cv_json_decode(&v[0].token, scratch))
		return body;
	return cv_buf_str(scratch);
}

static bool is_tools_own(int status)
{
	return status == 502 || status == 504 || status == 409;
}

static void call_answer_put(struct mcp *m, const struct answer *a)
{
	const struct cv_str body = line(a->body);
	struct cv_buf result, scratch;
	struct cv_json_value detail = { .path = "detail" };

	cv_buf_init(&result, 4 * body.n + 65536);
	cv_buf_init(&scratch, body.n + 4096);
	if (a->status == 200) {
		cv_mcp_result_call(&result, m->version, text_of(body, &scratch), body, false);
		result_put(m, cv_buf_str(&result));
	} else if (is_tools_own(a->status)) {
		cv_mcp_result_call(&result, m->version, body, body, true);
		result_put(m, cv_buf_str(&result));
	} else {
		if (cv_json_find(body, &detail, 1) != CV_JSON_PROBLEM_NONE ||
			!cv_json_decode(&detail.token, &scratch))
			cv_buf_reset(&scratch);
		error_put(m, cv_mcp_error_of_status(a->status), cv_buf_str(&scratch), body);
	}
	cv_buf_fini(&result);
	cv_buf_fini(&scratch);
}

/* ---- methods ---- */

static void initialize(struct mcp *m, const struct cv_mcp_message *msg)
{
	struct cv_str asked;
	struct cv_buf result;
	struct cv_err err;

	if (cv_mcp_read_initialize(msg, &asked, &err) != CV_OK) {
		error_put(m, CV_MCP_ERROR_PARAMS, cv_str_of(err.msg), CV_STR_NONE);
		return;
	}
	const struct cv_mcp_initialize i = {
		.version = cv_mcp_version_negotiate(asked),
		.server_version = CV_STR(CV_VERSION),
		.instructions = CV_STR(INSTRUCTIONS),
	};
	cv_buf_init(&result, 8192);
	cv_mcp_result_initialize(&result, &i);
	result_put(m, cv_buf_str(&result));
	cv_buf_fini(&result);
}

static void list(struct broker *b, struct stream *s, const struct cv_mcp_message *msg)
{
	const struct sandbox *box = pool_get(&b->sandboxes, s->sandbox);
	struct mcp *m = s->mcp;
	struct cv_str cursor;
	struct cv_buf result;
	struct cv_err err;

	if (cv_mcp_read_list(msg, &cursor, &err) != CV_OK) {
		error_put(m, CV_MCP_ERROR_PARAMS, cv_str_of(err.msg), CV_STR_NONE);
		return;
	}
	cv_buf_init(&result, BROKER_DOCUMENT_BYTES_MAX);
	if (discovery_put(b, box, s->caller, CV_DISCOVER_MCP, cursor, &result))
		result_put(m, cv_buf_str(&result));
	else
		error_put(m, CV_MCP_ERROR_INTERNAL, CV_STR("the list is too large"), CV_STR_NONE);
	cv_buf_fini(&result);
}

/* As POST /v1/tools/NAME with these arguments. */
static void call(struct broker *b, struct stream *s, const struct cv_mcp_message *msg)
{
	const struct cv_tool_route_args none = { .n = 0 };
	struct mcp *m = s->mcp;
	struct cv_mcp_call c;
	struct cv_err err;

	if (cv_mcp_read_call(msg, &c, &err) != CV_OK) {
		error_put(m, CV_MCP_ERROR_PARAMS, cv_str_of(err.msg), CV_STR_NONE);
		return;
	}
	const struct cv_tool *t = cv_catalog_find(b->catalog, c.name);
	m->is_call = true;
	if (!t) {
		request_refuse_tool(b, s, c.name);
		return;
	}
	cv_buf_fini(&s->body);
	cv_buf_init(
		&s->body, 8 * BROKER_BODY_BYTES_MAX); /* escapes may make it longer than it was */
	if (cv_json_value_write(&s->body, c.arguments))
		call_handle(b, s, t, &none);
	else
		error_put(m, CV_MCP_ERROR_INTERNAL, CV_STR("no memory"), CV_STR_NONE);
}

static void message_handle(struct broker *b, struct stream *s, const struct cv_value *v)
{
	struct mcp *m = s->mcp;
	struct cv_mcp_message msg = { .id = NULL };
	enum cv_mcp_error code;
	struct cv_err err;

	m->is_answered = m->is_call = false;
	const bool is_good = cv_mcp_read(v, &msg, &code, &err) == CV_OK;
	m->id = msg.id;
	if (!is_good) {
		error_put(m, code, cv_str_of(err.msg), CV_STR_NONE);
		return;
	}
	if (msg.kind != CV_MCP_REQUEST) {
		m->is_answered = true; /* nothing is */
		return;
	}
	switch (msg.method) {
	case CV_MCP_METHOD_INITIALIZE: initialize(m, &msg); return;
	case CV_MCP_METHOD_PING:
	case CV_MCP_METHOD_SET_LEVEL: result_put(m, CV_STR("{}")); return;
	case CV_MCP_METHOD_TOOLS_LIST: list(b, s, &msg); return;
	case CV_MCP_METHOD_TOOLS_CALL: call(b, s, &msg); return;
	case CV_MCP_METHOD_UNKNOWN:
	case CV_MCP_METHOD_INITIALIZED:
	case CV_MCP_METHOD_CANCELLED:
	case CV_MCP_METHOD_PROGRESS:
	case CV_MCP_METHOD_ROOTS_CHANGED:
	case CV_MCP_METHOD_MESSAGE:
	case CV_MCP_METHOD_TOOLS_CHANGED:
	case CV_MCP_METHOD_COUNT: break;
	}
	error_put(m, CV_MCP_ERROR_METHOD, CV_STR("there is no such method"), CV_STR_NONE);
}

/* ---- a body ---- */

static void finish(struct broker *b, struct stream *s, int status)
{
	struct mcp *m = s->mcp;

	m->is_final = true;
	if (m->is_batch && m->answers)
		cv_buf_put_byte(&m->out, ']');
	if (m->out.is_overflown)
		answer_error(b, s, 503, "broker_unavailable", "the answer is too large");
	else
		answer(b, s,
			&(struct answer){
				.status = m->answers ? status : 202,
				.body = cv_buf_str(&m->out),
			});
}

/* Until one has to wait, or all are done. */
static void run(struct broker *b, struct stream *s)
{
	struct mcp *m = s->mcp;

	m->is_looping = true;
	while (m->at < m->n) {
		s->state = STREAM_BODY;
		message_handle(b, s, &m->message[m->at]);
		if (!m->is_answered) { /* its answer comes by mcp_take() */
			m->is_looping = false;
			return;
		}
		m->at++;
	}
	finish(b, s, 200);
}

void mcp_take(struct broker *b, struct stream *s, const struct answer *a)
{
	struct mcp *m = s->mcp;

	call_answer_put(m, a);
	s->job = (struct cv_ref){ 0, 0 };
	s->due_ms = 0;
	if (m->is_looping)
		return;
	m->at++;
	run(b, s);
}

/* The whole body is wrong. */
static void refuse(struct broker *b, struct stream *s, enum cv_mcp_error code, struct cv_str text)
{
	error_put(s->mcp, code, text, CV_STR_NONE);
	s->mcp->is_batch = false;
	finish(b, s, 400);
}

static bool version_take(struct stream *s)
{
	struct mcp *m = s->mcp;

	m->version = CV_MCP_VERSION_ASSUMED;
	return !s->request.mcp_version.n ||
	       cv_mcp_version_find(s->request.mcp_version, &m->version);
}

static void body_handle(struct broker *b, struct stream *s)
{
	struct mcp *m = s->mcp;
	const struct cv_str text = cv_arena_str(&m->arena, cv_buf_str(&s->body));
	const struct cv_value *v;
	struct cv_err err;

	const enum cv_json_problem problem = cv_json_value_read(text, &m->arena, &v, NULL);
	if (problem != CV_JSON_PROBLEM_NONE) {
		cv_fail(&err, CV_INVALID, "the body %s", cv_json_problem_text(problem));
		refuse(b, s, CV_MCP_ERROR_PARSE, cv_str_of(err.msg));
		return;
	}
	m->is_batch = v->type == CV_VALUE_ARRAY;
	if (cv_mcp_batch(v, m->version, &m->message, &m->n, &err) != CV_OK) {
		m->is_batch = false;
		refuse(b, s, CV_MCP_ERROR_REQUEST, cv_str_of(err.msg));
		return;
	}
	/* Preferences and keys are HTTP's; and what is kept of the head must not outlive a first call,
	 * which takes the stream's arena with it. */
	s->request = (struct request){
		.is_keep_alive = s->request.is_keep_alive,
		.body = s->request.body,
	};
	run(b, s);
}

void mcp_handle(struct broker *b, struct stream *s)
{
	if (!cv_str_eq(s->request.method, CV_STR("POST"))) {
		request_refuse_method(b, s, "POST");
		return;
	}
	if (!request_is_json(&s->request)) {
		answer_error(b, s, 415, "unsupported_media_type", "send application/json");
		return;
	}
	struct mcp *m = calloc(1, sizeof(*m));
	if (!m) {
		answer_error(b, s, 503, "broker_unavailable", "no memory");
		return;
	}
	s->mcp = m;
	cv_arena_init(&m->arena, BROKER_ARENA_BYTES_MAX);
	cv_buf_init(&m->out, CV_STORE_VALUE_BYTES_MAX);
	if (version_take(s))
		body_handle(b, s);
	else
		refuse(b, s, CV_MCP_ERROR_REQUEST,
			CV_STR("MCP-Protocol-Version is none that is spoken here"));
}
