/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_call.c - what is said of a call while it runs, and how it is ended before its time
 *
 * Progress is the job's own where its backend has some, else the seconds that went by with the last
 * line of its log: it grows with each notification, as the protocol wants, and it comes often enough
 * that a client which takes silence for death does not give up.  The job's log goes to clients that
 * set a level that it passes.
 */
#include "broker/mcp_int.h"

#include "base/utf8.h"
#include "wire/json.h"

#include <string.h>

#define LINE_BYTES_MAX 240 /* of the log, in a progress notification: a line of a terminal */

void mcp_call_begin(struct mcp *m)
{
	m->begun_ms = m->b->loop.now_ms;
	m->said_ms = 0;
	m->progress_next = 0;
	m->progress_at = 0;
	m->log_at = m->log_seen = 0;
}

static void note(struct broker *b, const struct mcp *m, struct cv_buf *text)
{
	struct mcp_channel *c = pool_get(&b->mcp_channels, m->channel);

	if (c && !text->is_overflown)
		mcp_channel_put(b, c, cv_buf_str(text), false);
}

/* ---- progress ---- */

/* The job's own, if it is more than what was said. */
static bool own_put(struct mcp *m, const struct job *j, struct cv_buf *text)
{
	struct cv_json_value v[] = { { .path = "progress" }, { .path = "total" },
		{ .path = "message" } };
	uint64_t progress, total = 0;
	struct cv_buf message;

	if (cv_json_find(cv_buf_str(&j->progress), v, CV_ARRAY_LEN(v)) != CV_JSON_PROBLEM_NONE ||
		!cv_json_to_u64(&v[0].token, &progress) || progress < m->progress_next)
		return false;
	if (!cv_json_to_u64(&v[1].token, &total))
		total = 0;
	cv_buf_init(&message, 4096);
	if (v[2].token.type != CV_JSON_STRING || !cv_json_decode(&v[2].token, &message))
		cv_buf_reset(&message);
	cv_mcp_write_progress(text, m->token, progress, total, cv_buf_str(&message));
	cv_buf_fini(&message);
	m->progress_next = progress + 1;
	return true;
}

/* The last whole line that has something in it. */
static struct cv_str last_line(const struct job *j)
{
	struct cv_str s = cv_buf_str(&j->log);

	if (s.n > 4 * LINE_BYTES_MAX)
		s = cv_str_slice(s, s.n - 4 * LINE_BYTES_MAX, s.n);
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == '\n' || s.p[i - 1] == '\r') {
			s = cv_str_slice(s, i, s.n);
			break;
		}
	if (s.n > LINE_BYTES_MAX)
		s.n = LINE_BYTES_MAX;
	for (size_t cut = 0; cut < 4 && cut <= s.n; cut++)
		if (cv_utf8_is_valid(cv_str_slice(s, 0, s.n - cut)))
			return cv_str_slice(s, 0, s.n - cut);
	return s;
}

static bool time_put(struct mcp *m, const struct job *j, struct cv_buf *text)
{
	const int64_t now = m->b->loop.now_ms;
	const uint64_t seconds = (uint64_t)(now - m->begun_ms) / 1000;

	if (seconds < m->progress_next ||
		(j->log_end == m->log_seen && m->said_ms && now - m->said_ms < BROKER_MCP_QUIET_MS))
		return false;
	m->log_seen = j->log_end;
	m->progress_next = seconds + 1;
	cv_mcp_write_progress(text, m->token, seconds, 0,
		j->state == JOB_HELD ? CV_STR("waits for approval") : last_line(j));
	return true;
}

static void progress_tell(struct broker *b, struct mcp *m, const struct job *j)
{
	struct cv_buf text;
	bool is_new = false;

	cv_buf_init(&text, 16384);
	if (!j->progress_seq)
		is_new = time_put(m, j, &text);
	else if (m->progress_at != j->progress_seq)
		is_new = own_put(m, j, &text);
	m->progress_at = j->progress_seq;
	if (is_new) {
		m->said_ms = b->loop.now_ms;
		note(b, m, &text);
	}
	cv_buf_fini(&text);
}

/* ---- log ---- */

/* Whole lines, as many as go into one message; a line that is longer, or the last, as it is. */
static struct cv_str lines_of(struct cv_str s, bool is_last)
{
	for (size_t n = s.n; n > 0; n--)
		if (s.p[n - 1] == '\n')
			return cv_str_slice(s, 0, n);
	return is_last || s.n == BROKER_EVENT_BYTES_MAX ? s : CV_STR_NONE;
}

static void log_tell(struct broker *b, struct mcp *m, struct job *j, bool is_last)
{
	struct cv_buf bytes, text;

	if (m->log_at < j->log_base)
		m->log_at = j->log_base;
	while (m->log_at < j->log_end) {
		cv_buf_init(&bytes, BROKER_EVENT_BYTES_MAX);
		job_log_get(b, j, m->log_at, BROKER_EVENT_BYTES_MAX, &bytes);
		const struct cv_str lines = lines_of(cv_buf_str(&bytes), is_last);
		m->log_at += lines.n;
		if (lines.n) {
			cv_buf_init(&text, 8 * BROKER_EVENT_BYTES_MAX);
			cv_mcp_write_log(&text, "info", cv_str_of(j->tool_name), lines);
			note(b, m, &text);
			cv_buf_fini(&text);
		}
		cv_buf_fini(&bytes);
		if (!lines.n)
			break;
	}
}

static bool wants_log(const struct broker *b, const struct mcp *m)
{
	const struct mcp_session *x = pool_get(&b->mcp_sessions, m->session);

	return x && x->level >= MCP_LEVEL_INFO;
}

void mcp_call_tell(struct broker *b, struct stream *s, bool is_last)
{
	struct mcp *m = s->mcp;
	struct job *j = pool_get(&b->jobs, s->job);

	if (!j || !m->is_call)
		return;
	if (wants_log(b, m))
		log_tell(b, m, j, is_last);
	if (m->token && !is_last)
		progress_tell(b, m, j);
}

void mcp_call_wait(struct broker *b, struct stream *s)
{
	const struct mcp *m = s->mcp;

	s->due_ms = m->token || wants_log(b, m) ? b->loop.now_ms + BROKER_MCP_TELL_MS : 0;
	due_at(b, s->due_ms);
}

/* ---- its end before its time ---- */

static bool is_in(const struct stream *x, const struct stream *s, struct cv_ref session)
{
	const struct mcp *m = x->mcp;

	return m && m->session.index == session.index && m->session.gen == session.gen &&
	       (!s || (x->sandbox.index == s->sandbox.index && x->sandbox.gen == s->sandbox.gen));
}

void mcp_call_cancel(
	struct broker *b, const struct stream *s, struct cv_ref session, const struct cv_value *id)
{
	for (uint32_t i = 0; i < b->streams.top; i++) {
		struct stream *x = pool_at(&b->streams, i);

		if (!x || x == s || !is_in(x, s, session))
			continue;
		struct mcp *m = x->mcp;
		for (size_t k = m->at; k < m->n; k++) {
			const struct cv_value *other = cv_value_get(&m->message[k], CV_STR("id"));
			struct job *j;

			if (!other || !cv_mcp_id_eq(other, id))
				continue;
			m->cancelled |= 1ull << k;
			if (k == m->at && m->is_call && (j = pool_get(&b->jobs, x->job)))
				(void)!job_cancel(b, j);
			return;
		}
	}
}

void mcp_calls_end(struct broker *b, struct cv_ref session)
{
	for (uint32_t i = 0; i < b->streams.top; i++) {
		struct stream *x = pool_at(&b->streams, i);
		struct job *j;

		if (!x || !is_in(x, NULL, session))
			continue;
		x->mcp->cancelled = UINT64_MAX;
		j = pool_get(&b->jobs, x->job);
		if (j && x->mcp->is_call)
			(void)!job_cancel(b, j);
	}
}
