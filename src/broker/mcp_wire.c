/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_wire.c - see mcp_client.h; messages to a server and from it
 *
 * A process gets and gives one message a line.  Over HTTP each request is a POST; the answer is one
 * message, or an event stream of several that ends with it.  Either way a message is bounded,
 * scrubbed of what the server was given, read strictly (tools/mcp.h), and then handled in one place.
 *
 * A server's own requests are answered with an error, ping apart: nothing that it asks for is ours
 * to give.
 */
#include "broker/mcp_client.h"

#include "tools/template.h"
#include "wire/json_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_stdio(const struct mcp_server *m)
{
	return m->its->argc > 0;
}

/* ---- requests ---- */

static struct mcp_request *request_new(
	struct broker *b, struct mcp_server *m, enum mcp_request_kind kind)
{
	struct mcp_request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->server = m;
	r->broker = b;
	r->kind = kind;
	r->id = kind == MCP_NOTE ? 0 : ++m->next_id;
	cv_buf_init(&r->body, MCP_MESSAGE_BYTES_MAX);
	cv_sse_init(&r->sse);
	r->next = m->requests;
	r->at = &m->requests;
	if (r->next)
		r->next->at = &r->next;
	m->requests = r;
	return r;
}

void mcp_request_free(struct mcp_request *r)
{
	*r->at = r->next;
	if (r->next)
		r->next->at = r->at;
	fetch_drop(r->fetch);
	cv_buf_wipe(&r->body);
	cv_sse_fini(&r->sse);
	free(r);
}

static struct mcp_request *request_find(struct mcp_server *m, const struct cv_value *id)
{
	uint64_t n;

	if (!id || id->type != CV_VALUE_NUMBER || !cv_str_to_u64(id->s, UINT64_MAX, &n))
		return NULL;
	for (struct mcp_request *r = m->requests; r; r = r->next)
		if (r->id == n && r->kind != MCP_NOTE)
			return r;
	return NULL;
}

/* ---- a process ---- */

void mcp_stdio_write(struct broker *b, struct mcp_server *m)
{
	(void)b;
	while (m->p.in >= 0 && cv_buf_len(&m->out)) {
		const struct cv_str s = cv_buf_str(&m->out);
		const ssize_t n = write(m->p.in, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* full, or gone: which its shepherd says */
		cv_buf_skip(&m->out, (size_t)n);
	}
}

static bool line_put(struct broker *b, struct mcp_server *m, struct cv_str text, struct cv_err *err)
{
	if (m->p.in < 0 || text.n + 1 > m->out.max - cv_buf_len(&m->out))
		return cv_fail(err, CV_LIMIT, "it does not read what it is sent"), false;
	cv_buf_put(&m->out, text);
	cv_buf_put_byte(&m->out, '\n');
	mcp_stdio_write(b, m);
	return true;
}

static void log_put(struct mcp_server *m, struct cv_str s)
{
	const size_t half = m->tail.max / 2;

	if (cv_buf_len(&m->tail) + s.n > m->tail.max)
		cv_buf_skip(&m->tail,
			cv_buf_len(&m->tail) > half / 2 ? cv_buf_len(&m->tail) - half / 2 : 0);
	cv_buf_put(&m->tail, cv_str_slice(s, s.n > half ? s.n - half : 0, s.n));
}

void mcp_log_read(struct mcp_server *m)
{
	char piece[16384];
	struct cv_buf clean;
	ssize_t n = 0;

	for (int i = 0; i < 16 && m->p.err >= 0; i++) {
		n = read(m->p.err, piece, sizeof(piece));
		if (n <= 0)
			break;
		cv_buf_init(&clean, SIZE_MAX / 2);
		if (keys_scrub_feed(&m->log_scrub, (struct cv_str){ piece, (size_t)n }, &clean))
			log_put(m, cv_buf_str(&clean));
		cv_buf_wipe(&clean);
	}
	explicit_bzero(piece, sizeof(piece));
	if (n == 0 && m->p.err >= 0) {
		close(m->p.err);
		m->p.err = -1;
	}
}

/* ---- what comes ---- */

/* NULL result: refused, method unknown. */
static void server_request(struct broker *b, struct mcp_server *m, const struct cv_mcp_message *q)
{
	struct cv_buf text;
	struct cv_err err;

	cv_buf_init(&text, 4096);
	if (q->method == CV_MCP_METHOD_PING)
		cv_mcp_write_result(&text, q->id, CV_STR("{}"));
	else
		cv_mcp_write_error(&text, q->id, CV_MCP_ERROR_METHOD,
			CV_STR("this client offers nothing to servers"), CV_STR_NONE);
	if (is_stdio(m))
		(void)!line_put(b, m, cv_buf_str(&text), &err);
	cv_buf_fini(&text); /* over HTTP nobody waits for it: no such request has a right to come */
}

static void list_ask(struct broker *b, struct mcp_server *m, struct cv_str cursor)
{
	struct cv_buf params;
	struct mcp_request *r;
	struct cv_err err;

	cv_buf_init(&params, 8192);
	if (cursor.n) {
		cv_buf_put(&params, CV_STR("{\"cursor\":"));
		cv_buf_put_json_str(&params, cursor);
		cv_buf_put_byte(&params, '}');
	}
	r = mcp_send(b, m, MCP_LIST, CV_MCP_METHOD_TOOLS_LIST, cv_buf_str(&params), &err);
	cv_buf_fini(&params);
	if (!r)
		mcp_down(b, m, "%s", err.msg);
}

static void initialized(struct broker *b, struct mcp_server *m, const struct cv_mcp_message *a)
{
	const struct cv_str version = cv_value_get_str(a->result, CV_STR("protocolVersion"));
	struct cv_err err;

	if (!a->result) {
		mcp_down(b, m, "it refused to be initialized");
	} else if (!cv_mcp_version_find(version, &m->version)) {
		mcp_down(b, m, "it speaks no version of the protocol that is known here");
	} else if (!mcp_send(b, m, MCP_NOTE, CV_MCP_METHOD_INITIALIZED, CV_STR_NONE, &err)) {
		mcp_down(b, m, "%s", err.msg);
	} else {
		m->is_list_stale = false;
		list_ask(b, m, CV_STR_NONE);
	}
}

static void listed(struct broker *b, struct mcp_server *m, const struct cv_mcp_message *a)
{
	struct cv_str cursor;
	struct cv_err err;

	if (!a->result) {
		mcp_down(b, m, "it does not list its tools");
	} else if (!mcp_list_take(b, m, a->result, &cursor, &err)) {
		mcp_down(b, m, "%s", err.msg);
	} else if (cursor.n) {
		list_ask(b, m, cursor);
	} else {
		mcp_listed(b, m);
		if (m->is_list_stale) {
			m->is_list_stale = false;
			list_ask(b, m, CV_STR_NONE);
		}
	}
}

/* While it is being read, once more behind that. */
static void list_changed(struct broker *b, struct mcp_server *m)
{
	if (m->state != MCP_READY)
		return;
	for (const struct mcp_request *r = m->requests; r; r = r->next)
		if (r->kind == MCP_LIST) {
			m->is_list_stale = true;
			return;
		}
	list_ask(b, m, CV_STR_NONE);
}

static void answered(struct broker *b, struct mcp_server *m, const struct cv_mcp_message *a)
{
	struct mcp_request *r = request_find(m, a->id);

	if (!r || r->is_ended)
		return; /* of a call that was given up */
	r->is_ended = true;
	const enum mcp_request_kind kind = r->kind;

	if (kind == MCP_CALL)
		mcp_call_answer(b, r, a, NULL);
	if (is_stdio(m))
		mcp_request_free(r);
	if (kind == MCP_INITIALIZE)
		initialized(b, m, a);
	else if (kind == MCP_LIST)
		listed(b, m, a);
}

static void message_handle(struct broker *b, struct mcp_server *m, const struct cv_value *v)
{
	struct cv_mcp_message message;
	enum cv_mcp_error error;
	struct cv_err err;

	if (cv_mcp_read(v, &message, &error, &err) != CV_OK) {
		/* An answer that can't be read is one all the same: nobody waits for a better one. */
		struct mcp_request *r = request_find(m, cv_value_get(v, CV_STR("id")));

		if (r && !r->is_ended && !cv_value_get(v, CV_STR("method"))) {
			const struct cv_mcp_message none = { .kind = CV_MCP_RESPONSE,
				.id = cv_value_get(v, CV_STR("id")) };

			answered(b, m, &none);
		}
		return;
	}
	switch (message.kind) {
	case CV_MCP_REQUEST: server_request(b, m, &message); break;
	case CV_MCP_RESPONSE: answered(b, m, &message); break;
	case CV_MCP_NOTIFICATION:
		if (message.method == CV_MCP_METHOD_TOOLS_CHANGED)
			list_changed(b, m);
		else if (message.method == CV_MCP_METHOD_PROGRESS)
			mcp_call_progress(b, m, message.params);
		break;
	}
}

/* One message, or a batch of them where the version has these. */
static void text_handle(struct broker *b, struct mcp_server *m, struct cv_str raw)
{
	const struct cv_value *v, *each;
	struct keys_scrub scrub;
	struct cv_arena arena;
	struct cv_buf text;
	struct cv_err err;
	size_t n = 0;

	cv_buf_init(&text, SIZE_MAX / 2);
	cv_arena_init(&arena, BROKER_ARENA_BYTES_MAX * 4);
	const bool is_clean = keys_scrub_init(&scrub, m->keys, NULL) &&
			      keys_scrub_feed(&scrub, raw, &text) && keys_scrub_end(&scrub, &text);
	keys_scrub_fini(&scrub);
	if (!is_clean ||
		cv_json_value_read(cv_buf_str(&text), &arena, &v, NULL) != CV_JSON_PROBLEM_NONE)
		mcp_down(b, m, "what it said is not JSON, or has a key twice");
	else if (cv_mcp_batch(v, m->version, &each, &n, &err) != CV_OK)
		mcp_down(b, m, "%s", err.msg);
	for (size_t i = 0; i < n && m->state != MCP_DOWN && m->state != MCP_FAILED; i++)
		message_handle(b, m, &each[i]);
	cv_arena_fini(&arena);
	cv_buf_wipe(&text);
}

static void lines_handle(struct broker *b, struct mcp_server *m)
{
	while (m->p.out >= 0) {
		const struct cv_str s = cv_buf_str(&m->in);
		const size_t end = cv_str_find_byte(s, '\n');
		struct cv_buf line;

		if (end == s.n)
			break;
		cv_buf_init(&line, SIZE_MAX / 2);
		cv_buf_put(&line, cv_str_slice(s, 0, end));
		cv_buf_skip(&m->in, end + 1);
		if (cv_str_trim(cv_buf_str(&line)).n)
			text_handle(b, m, cv_buf_str(&line));
		cv_buf_wipe(&line);
	}
	if (m->p.out >= 0 && cv_buf_len(&m->in) > MCP_MESSAGE_BYTES_MAX)
		mcp_down(
			b, m, "it sent a message of more than %u MiB", MCP_MESSAGE_BYTES_MAX >> 20);
}

void mcp_stdio_read(struct broker *b, struct mcp_server *m)
{
	char piece[32768];
	ssize_t n = 0;

	for (int i = 0; i < 16 && m->p.out >= 0; i++) {
		n = read(m->p.out, piece, sizeof(piece));
		if (n <= 0)
			break;
		cv_buf_put(&m->in, (struct cv_str){ piece, (size_t)n });
		lines_handle(b, m);
	}
	explicit_bzero(piece, sizeof(piece));
	if (n == 0 && m->p.out >= 0) {
		close(m->p.out); /* its shepherd says what became of it */
		m->p.out = -1;
	}
}

/* ---- HTTP ---- */

static void http_head(void *arg, struct cv_str name, struct cv_str value)
{
	struct mcp_request *r = arg;

	if (cv_str_eq_nocase(name, CV_STR("content-type")))
		r->is_sse = cv_sse_is_type(value);
	if (r->kind == MCP_INITIALIZE && cv_str_eq_nocase(name, CV_STR("mcp-session-id")) &&
		!cv_str_to_cstr(value, r->server->session, sizeof(r->server->session)))
		r->server->session[0] = 0;
}

/* Kept until curl has let go (mcps_pump()): whoever is told may drop the transfer. */
static bool http_data(void *arg, struct cv_str piece)
{
	struct mcp_request *r = arg;

	if (fetch_status(r->fetch) >= 300)
		return r->body.end < 4096 && cv_buf_put(&r->body, piece);
	return cv_buf_put(&r->body, piece);
}

static void request_fail(struct broker *b, struct mcp_request *r, const char *why)
{
	struct mcp_server *m = r->server;
	const enum mcp_request_kind kind = r->kind;
	char text[200];

	snprintf(text, sizeof(text), "%s", why);
	r->is_ended = true;
	if (kind == MCP_CALL)
		mcp_call_answer(b, r, NULL, text);
	mcp_request_free(r);
	if (kind == MCP_INITIALIZE || kind == MCP_LIST)
		mcp_down(b, m, "%s", text);
}

static struct mcp_request *request_of(struct mcp_server *m, uint64_t id)
{
	struct mcp_request *r = m->requests;

	while (r && r->id != id)
		r = r->next;
	return r;
}

/* Events that came, one a line; false: one was too large. */
static bool events_take(struct mcp_request *r, struct cv_buf *ret)
{
	struct cv_str in = cv_buf_str(&r->body);
	struct cv_sse_event e;
	enum cv_sse_result rc;
	bool is_good = true;

	while ((rc = cv_sse_next(&r->sse, &in, &e)) != CV_SSE_MORE) {
		is_good &= rc == CV_SSE_EVENT && e.is_utf8;
		if (rc != CV_SSE_EVENT || !cv_str_eq(e.type, CV_STR("message")) || !e.data.n)
			continue;
		for (struct cv_str rest = e.data; rest.p;) {
			cv_buf_put(
				ret, cv_str_cut(&rest, '\n')); /* JSON takes either for a blank */
			cv_buf_put_byte(ret, rest.p ? ' ' : '\n');
		}
	}
	cv_buf_wipe(&r->body);
	cv_buf_init(&r->body, MCP_MESSAGE_BYTES_MAX);
	return is_good && !ret->is_overflown;
}

static void events_handle(struct broker *b, struct mcp_server *m, uint64_t id)
{
	struct mcp_request *r = request_of(m, id);
	struct cv_buf lines;

	cv_buf_init(&lines, 2 * MCP_MESSAGE_BYTES_MAX);
	if (!events_take(r, &lines)) {
		request_fail(b, r, "its answer is too large, or no text");
	} else {
		struct cv_str rest = cv_buf_str(&lines);

		while (rest.n && m->state != MCP_DOWN && m->state != MCP_FAILED)
			text_handle(b, m, cv_str_cut(&rest, '\n'));
		r = request_of(m, id);
		if (r && r->is_ended)
			mcp_request_free(r);
	}
	cv_buf_wipe(&lines);
}

void mcps_pump(struct broker *b)
{
	for (uint32_t i = 0; i < b->mcp_count; i++) {
		struct mcp_server *m = &b->mcps[i];
		struct mcp_request *r = m->requests;

		while (r) {
			if (!r->is_sse || r->kind == MCP_NOTE || !cv_buf_len(&r->body)) {
				r = r->next;
				continue;
			}
			events_handle(b, m, r->id);
			r = m->requests; /* any of them may have gone */
		}
	}
}

static void http_end(struct broker *b, void *arg, const struct fetch_end *e)
{
	struct mcp_request *r = arg;
	struct mcp_server *m = r->server;
	const bool is_lost = e->status == 404 && m->session[0];
	char why[96];

	snprintf(why, sizeof(why), "its server answered %d", e->status);
	if (r->kind == MCP_NOTE || r->is_ended) {
		mcp_request_free(r);
	} else if (e->failure || e->is_cut || e->status != 200) {
		request_fail(b, r,
			e->failure  ? e->failure
			: e->is_cut ? "its answer is too large"
				    : why);
		if (is_lost && m->state == MCP_READY)
			mcp_down(b, m, "it forgot the session");
	} else if (!r->is_sse) {
		struct cv_buf body = r->body;

		cv_buf_init(&r->body, 0);
		const uint64_t id = r->id;

		text_handle(b, m, cv_buf_str(&body));
		cv_buf_wipe(&body);
		r = request_of(m, id);
		if (r && r->is_ended)
			mcp_request_free(r);
		else if (r)
			request_fail(b, r, "its answer is another request's");
	} else {
		const uint64_t id = r->id;

		cv_buf_put(&r->body,
			CV_STR("\n\n")); /* what the end cut is none, but some forget it */
		events_handle(b, m, id);
		r = request_of(m, id);
		if (r)
			request_fail(b, r, "its event stream ended without an answer");
	}
}

static bool http_post(
	struct broker *b, struct mcp_request *r, struct cv_str text, struct cv_err *err)
{
	struct mcp_server *m = r->server;
	const struct cv_template_values values = { .credential = keys_get, .arg = m->keys };
	struct fetch_header header[CV_TOOL_HEADERS_MAX + 4];
	struct cv_buf value[CV_TOOL_HEADERS_MAX];
	size_t n = 0, made = 0;
	bool is_good = true;

	header[n++] = (struct fetch_header){ CV_STR("Accept"),
		CV_STR("application/json, text/event-stream") };
	if (m->session[0])
		header[n++] =
			(struct fetch_header){ CV_STR("Mcp-Session-Id"), cv_str_of(m->session) };
	if (r->kind != MCP_INITIALIZE)
		header[n++] = (struct fetch_header){ CV_STR("MCP-Protocol-Version"),
			cv_mcp_version_text(m->version) };
	for (; made < m->its->header_count && is_good; made++) {
		cv_buf_init(&value[made], BROKER_HEAD_OUT_MAX);
		(void)!cv_buf_reserve(&value[made], BROKER_HEAD_OUT_MAX);
		is_good = cv_template_text(m->its->headers[made].value, &values, &value[made],
				  NULL) == CV_TEMPLATE_OK;
		header[n++] = (struct fetch_header){ m->its->headers[made].name,
			cv_buf_str(&value[made]) };
	}
	const struct fetch_plan plan = {
		.method = CV_STR("POST"),
		.url = m->its->url,
		.header = header,
		.header_count = n,
		.has_body = true,
		.body = text,
		.timeout_ms = r->kind == MCP_CALL ? 0 : MCP_START_MS,
		.head = http_head,
		.data = http_data,
		.end = http_end,
		.arg = r,
	};
	if (is_good)
		is_good = fetch_start(b, &plan, &r->fetch, err) == CV_OK;
	else
		cv_fail(err, CV_INVALID, "its headers can't be made");
	while (made)
		cv_buf_wipe(&value[--made]);
	return is_good;
}

struct mcp_request *mcp_send(struct broker *b, struct mcp_server *m, enum mcp_request_kind kind,
	enum cv_mcp_method method, struct cv_str params, struct cv_err *err)
{
	struct mcp_request *r = request_new(b, m, kind);
	struct cv_buf text;

	if (!r)
		return cv_fail(err, CV_LIMIT, "no memory"), NULL;
	cv_buf_init(&text, MCP_OUT_BYTES_MAX);
	if (kind == MCP_NOTE)
		cv_mcp_write_notification(&text, method, params);
	else
		cv_mcp_write_request(&text, r->id, method, params);
	bool is_good = !text.is_overflown;
	if (!is_good)
		cv_fail(err, CV_LIMIT, "the message is too large");
	else if (is_stdio(m))
		is_good = line_put(b, m, cv_buf_str(&text), err);
	else
		is_good = http_post(b, r, cv_buf_str(&text), err);
	cv_buf_fini(&text);
	if (!is_good) {
		mcp_request_free(r);
		return NULL;
	}
	if (kind == MCP_NOTE && is_stdio(m)) { /* it is on its way, and nothing comes of it */
		static struct mcp_request sent;

		mcp_request_free(r);
		return &sent;
	}
	return r;
}
