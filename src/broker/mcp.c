/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp.c - POST /mcp: the same calls, as the Model Context Protocol has them
 *
 * Messages of a body are handled one after the other, each as if it had come alone: a call goes the
 * way of every call (call.c), and what it would have been answered is made a JSON-RPC answer here,
 * because answer() hands it over.  So there is no second way to a tool.  What a tool itself did wrong
 * is a result with isError; what kept it from running is an error, with the usual body as data.
 *
 * An answer is JSON when all of it is there at once, and a stream of events (mcp_events.c) when a call
 * takes longer or its progress is wanted.  Then the messages move to a stream of the broker's own
 * that has no connection, so whoever asked may come and go.
 */
#include "broker/mcp_int.h"

#include "broker/discovery.h"
#include "wire/json_value.h"

#include <stdlib.h>

#define INSTRUCTIONS                                                                     \
	"Tools that run outside of this sandbox, as its policy allows.  A refusal says " \
	"what is allowed instead."

void mcp_free(struct mcp *m)
{
	struct sandbox *box = m ? pool_get(&m->b->sandboxes, m->sandbox) : NULL;

	if (!m)
		return;
	if (box)
		box->waiting_bytes -= m->waiting_bytes;
	cv_arena_fini(&m->arena);
	cv_buf_fini(&m->out);
	free(m);
}

bool mcp_is_open(const struct mcp *m)
{
	return m && !m->is_final;
}

/* Messages are kept until the last of them is answered, and answers until all are there.  False: the
 * sandbox has so many under way that these can't be. */
static bool bytes_keep(struct mcp *m, size_t n)
{
	struct sandbox *box = pool_get(&m->b->sandboxes, m->sandbox);

	if (box->waiting_bytes + n > BROKER_WAITING_BYTES_MAX)
		return false;
	box->waiting_bytes += n;
	m->waiting_bytes += n;
	return true;
}

/* ---- answers ---- */

static void answer_end(struct mcp *m)
{
	struct mcp_channel *c = pool_get(&m->b->mcp_channels, m->channel);

	m->is_answered = true;
	if (!m->channel.gen) {
		m->end[m->answers++] = cv_buf_len(&m->out);
		return;
	}
	if (c && !m->out.is_overflown)
		mcp_channel_put(m->b, c, cv_buf_str(&m->out), true);
	cv_buf_reset(&m->out);
}

static void error_put(struct mcp *m, enum cv_mcp_error code, struct cv_str text, struct cv_str data)
{
	if (!bytes_keep(m, text.n + data.n))
		data = CV_STR_NONE;
	cv_mcp_write_error(&m->out, m->id, code, text, data);
	answer_end(m);
}

static void result_put(struct mcp *m, struct cv_str json)
{
	if (!bytes_keep(m, json.n)) {
		error_put(m, CV_MCP_ERROR_LIMIT,
			CV_STR("the answer is there, but answers under way take too many bytes: ask "
			       "for fewer at once"),
			CV_STR_NONE);
		return;
	}
	cv_mcp_write_result(&m->out, m->id, json);
	answer_end(m);
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
	return status == 502 || status == 504 || status == 507 || status == 409;
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

static void initialize(struct broker *b, struct stream *s, const struct cv_mcp_message *msg)
{
	struct mcp *m = s->mcp;
	const struct mcp_session *session;
	struct cv_str asked;
	struct cv_buf result;
	struct cv_err err;

	if (cv_mcp_read_initialize(msg, &asked, &err) != CV_OK) {
		error_put(m, CV_MCP_ERROR_PARAMS, cv_str_of(err.msg), CV_STR_NONE);
		return;
	}
	m->version = cv_mcp_version_negotiate(asked);
	session = mcp_session_new(b, s, m->version);
	if (!session) {
		error_put(
			m, CV_MCP_ERROR_LIMIT, CV_STR("too many sessions are in use"), CV_STR_NONE);
		return;
	}
	m->session_new = session->id;
	const struct cv_mcp_initialize i = {
		.version = m->version,
		.has_list_changed = true,
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
	m->token = msg->progress_token;
	mcp_call_begin(m);
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

static void level_set(struct broker *b, struct mcp *m, const struct cv_mcp_message *msg)
{
	struct mcp_session *x = pool_get(&b->mcp_sessions, m->session);
	uint8_t level;

	if (!mcp_level_find(cv_value_get_str(msg->params, CV_STR("level")), &level)) {
		error_put(m, CV_MCP_ERROR_PARAMS, CV_STR("params.level is none of syslog's"),
			CV_STR_NONE);
		return;
	}
	if (x) /* there is nothing else that could remember it */
		x->level = level;
	result_put(m, CV_STR("{}"));
}

static void notification_take(struct broker *b, struct stream *s, const struct cv_mcp_message *msg)
{
	const struct cv_value *id;
	struct cv_err err;

	if (msg->method == CV_MCP_METHOD_CANCELLED &&
		cv_mcp_read_cancelled(msg, &id, &err) == CV_OK)
		mcp_call_cancel(b, s, s->mcp->session, id);
}

static void message_handle(struct broker *b, struct stream *s, const struct cv_value *v)
{
	struct mcp *m = s->mcp;
	struct cv_mcp_message msg = { .id = NULL };
	enum cv_mcp_error code;
	struct cv_err err;

	m->is_answered = m->is_call = false;
	m->token = NULL;
	const bool is_good = cv_mcp_read(v, &msg, &code, &err) == CV_OK;
	m->id = msg.id;
	if (!is_good) {
		error_put(m, code, cv_str_of(err.msg), CV_STR_NONE);
		return;
	}
	if (msg.kind != CV_MCP_REQUEST) {
		notification_take(b, s, &msg);
		m->is_answered = true; /* nothing is */
		return;
	}
	switch (msg.method) {
	case CV_MCP_METHOD_INITIALIZE: initialize(b, s, &msg); return;
	case CV_MCP_METHOD_PING: result_put(m, CV_STR("{}")); return;
	case CV_MCP_METHOD_SET_LEVEL: level_set(b, m, &msg); return;
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

/* ---- as events ---- */

/* The same messages, on a stream without a connection. */
static struct stream *worker_new(struct broker *b, struct stream *s)
{
	struct sandbox *box = pool_get(&b->sandboxes, s->sandbox);
	struct cv_ref ref;
	struct stream *w = pool_new(&b->streams, &ref);

	if (!w)
		return NULL;
	w->ref = ref;
	w->fd = -1;
	w->sandbox = s->sandbox;
	w->caller = s->caller;
	w->caller->refs++;
	cv_buf_init(&w->body, BROKER_BODY_BYTES_MAX);
	cv_arena_init(&w->arena, BROKER_ARENA_BYTES_MAX);
	w->state = STREAM_CALL;
	w->job = s->job;
	w->mcp = s->mcp;
	s->mcp = NULL;
	box->streams++;
	return w;
}

struct stream *mcp_events_begin(struct broker *b, struct stream *s)
{
	struct mcp *m = s->mcp;
	struct mcp_channel *c = mcp_channel_new(b, s->sandbox, m->session);
	struct stream *w = c ? worker_new(b, s) : NULL;
	size_t at = 0;

	if (!w) { /* no room: it is answered as JSON, some time */
		m->takes_events = false;
		if (c)
			mcp_channel_free(b, c);
		return NULL;
	}
	c->worker = w->ref;
	if (m->version >= CV_MCP_2025_11_25) /* readers of older ones take no empty event */
		mcp_channel_prime(b, c);
	for (size_t i = 0; i < m->answers; i++) {
		mcp_channel_put(b, c, cv_str_slice(cv_buf_str(&m->out), at, m->end[i]), true);
		at = m->end[i];
	}
	cv_buf_reset(&m->out);
	m->channel = c->ref;
	mcp_channel_read(b, s, c, 1, m->session_new);
	return w;
}

/* The present call goes on. */
static void wait_begin(struct broker *b, struct stream *s)
{
	struct mcp *m = s->mcp;

	if (!m->channel.gen && !m->takes_events)
		return;
	if (!m->channel.gen && m->takes_json && !m->token) {
		s->due_ms = CV_MAX(m->since_ms + BROKER_MCP_JSON_MS, b->loop.now_ms + 1);
		due_at(b, s->due_ms);
		return;
	}
	if (!m->channel.gen)
		s = mcp_events_begin(b, s);
	if (!s)
		return;
	mcp_call_tell(b, s, false);
	mcp_call_wait(b, s);
}

void mcp_due(struct broker *b, struct stream *s)
{
	if (!s->mcp->channel.gen)
		s = mcp_events_begin(b, s);
	if (!s)
		return;
	mcp_call_tell(b, s, false);
	mcp_call_wait(b, s);
}

/* ---- a body ---- */

/* Answers of a batch are in out without anything between them. */
static void batch_put(const struct mcp *m, struct cv_buf *text)
{
	const struct cv_str all = cv_buf_str(&m->out);
	size_t at = 0;

	for (size_t i = 0; i < m->answers; i++) {
		cv_buf_put_byte(text, i ? ',' : '[');
		cv_buf_put(text, cv_str_slice(all, at, m->end[i]));
		at = m->end[i];
	}
	if (m->answers)
		cv_buf_put_byte(text, ']');
}

static void json_answer(struct broker *b, struct stream *s, int status)
{
	struct mcp *m = s->mcp;
	struct cv_buf batch;

	cv_buf_init(&batch, CV_STORE_VALUE_BYTES_MAX);
	if (m->is_batch)
		batch_put(m, &batch);
	if (m->out.is_overflown || batch.is_overflown)
		answer_error(b, s, 503, "broker_unavailable", "the answer is too large");
	else
		answer(b, s,
			&(struct answer){
				.status = m->answers ? status : 202,
				.body = cv_buf_str(m->is_batch ? &batch : &m->out),
				.session = m->session_new,
			});
	cv_buf_fini(&batch);
}

static void finish(struct broker *b, struct stream *s, int status)
{
	struct mcp *m = s->mcp;
	struct mcp_channel *c;

	m->is_final = true;
	if (!m->channel.gen && !m->takes_json && m->answers) {
		struct stream *w = mcp_events_begin(b, s);

		s = w ? w : s;
	}
	if (!m->channel.gen) {
		json_answer(b, s, status);
		return;
	}
	c = pool_get(&b->mcp_channels, m->channel);
	if (c) {
		c->worker = (struct cv_ref){ 0, 0 };
		mcp_channel_end(b, c);
	}
	s->due_ms = 0;
	s->job = (struct cv_ref){ 0, 0 };
	s->state = STREAM_CLOSING; /* it has no connection, and is freed with the next flush */
}

static bool is_cancelled(const struct mcp *m)
{
	return m->cancelled >> m->at & 1;
}

/* Until one has to wait, or all are done. */
static void run(struct broker *b, struct stream *s)
{
	struct mcp *m = s->mcp;

	m->is_looping = true;
	for (; m->at < m->n; m->at++) {
		if (is_cancelled(m))
			continue;
		s->state = STREAM_BODY;
		message_handle(b, s, &m->message[m->at]);
		if (!m->is_answered) { /* its answer comes by mcp_take() */
			m->is_looping = false;
			wait_begin(b, s);
			return;
		}
	}
	finish(b, s, 200);
}

void mcp_take(struct broker *b, struct stream *s, const struct answer *a)
{
	struct mcp *m = s->mcp;

	if (m->channel.gen)
		mcp_call_tell(b, s, true);
	if (m->channel.gen && is_cancelled(m))
		m->is_answered = true; /* nobody waits for it any more */
	else
		call_answer_put(m, a);
	m->is_call = false;
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

/* By the session, the head, or what the protocol says of a client that says nothing.  False: it
 * was answered. */
static bool version_take(struct broker *b, struct stream *s, const struct cv_value *v)
{
	const struct cv_str said = s->request.mcp_version;
	const struct mcp_session *x;
	struct mcp *m = s->mcp;
	bool is_fine;

	m->version = CV_MCP_VERSION_ASSUMED;
	if (cv_str_eq(cv_value_get_str(v, CV_STR("method")), CV_STR("initialize")))
		return true; /* it is agreed on there */
	x = mcp_session_of(b, s, &is_fine);
	if (!is_fine) {
		m->is_final = true;
		mcp_session_refuse(b, s);
		return false;
	}
	if (said.n && !cv_mcp_version_find(said, &m->version)) {
		refuse(b, s, CV_MCP_ERROR_REQUEST,
			CV_STR("MCP-Protocol-Version is none that is spoken here"));
		return false;
	}
	if (x && said.n && m->version != x->version) {
		refuse(b, s, CV_MCP_ERROR_REQUEST,
			CV_STR("MCP-Protocol-Version is not the one of the session"));
		return false;
	}
	if (x) {
		m->version = x->version;
		m->session = x->ref;
	}
	return true;
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
	if (!bytes_keep(m, m->arena.used)) {
		error_put(m, CV_MCP_ERROR_LIMIT,
			CV_STR("messages under way take too many bytes; try again"), CV_STR_NONE);
		finish(b, s, 429);
		return;
	}
	if (!version_take(b, s, v))
		return;
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

static void post(struct broker *b, struct stream *s)
{
	const struct cv_str accept = s->request.accept;
	const bool takes_json = mcp_accepts(accept, "application/json", false);
	const bool takes_events = mcp_accepts(accept, "text/event-stream", true);

	if (!request_is_json(&s->request)) {
		answer_error(b, s, 415, "unsupported_media_type", "send application/json");
		return;
	}
	if (!takes_json && !takes_events) {
		answer_error(b, s, 406, "not_acceptable",
			"answers are application/json or text/event-stream");
		return;
	}
	struct mcp *m = calloc(1, sizeof(*m));
	if (!m) {
		answer_error(b, s, 503, "broker_unavailable", "no memory");
		return;
	}
	s->mcp = m;
	m->b = b;
	m->sandbox = s->sandbox;
	m->takes_json = takes_json;
	m->takes_events = takes_events;
	m->since_ms = b->loop.now_ms;
	cv_arena_init(&m->arena, BROKER_ARENA_BYTES_MAX);
	cv_buf_init(&m->out, CV_STORE_VALUE_BYTES_MAX);
	body_handle(b, s);
}

void mcp_handle(struct broker *b, struct stream *s)
{
	static const struct {
		const char *method;
		void (*handle)(struct broker *b, struct stream *s);
	} row[] = { { "POST", post }, { "GET", mcp_get }, { "DELETE", mcp_delete } };

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_str_eq(s->request.method, cv_str_of(row[i].method))) {
			row[i].handle(b, s);
			return;
		}
	request_refuse_method(b, s, "GET, POST, DELETE");
}
