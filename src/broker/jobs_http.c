/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs_http.c - what a sandbox may ask about its jobs
 *
 * Events are not kept: they are made from the job as it is, for each reader from where it stands.
 * An event's id says that: "LOG-PROGRESS-RESULT" is how many bytes of the log, which progress and
 * whether the result the reader has seen, so with Last-Event-ID it goes on in any broker that
 * has the job.  A slow reader makes nothing pile up: events are made when there is room.
 */
#include "broker/broker.h"
#include "broker/head.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "wire/chunk.h"
#include "wire/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULT_IN_EVENT_BYTES_MAX (256u << 10) /* a larger one is fetched by its URL */

/* ---- answers ---- */

void jobs_answer_call(struct broker *b, struct stream *s, struct job *j)
{
	struct cv_buf body;

	cv_buf_init(&body, CV_STORE_VALUE_BYTES_MAX);
	job_result_get(b, j, &body);
	answer(b, s,
		&(struct answer){
			.status = j->status,
			.body = cv_buf_str(&body),
			.job = j->is_published ? j->id : NULL,
		});
	cv_buf_fini(&body);
}

void jobs_answer_job(struct broker *b, struct stream *s, struct job *j, int status)
{
	struct cv_buf body;

	cv_buf_init(&body, 65536);
	job_put(j, &body);
	cv_buf_put_byte(&body, '\n');
	answer(b, s,
		&(struct answer){
			.status = status,
			.body = cv_buf_str(&body),
			.job = j->id,
			.location_job = status == 202 ? j->id : NULL,
			.retry_after = status == 202 ? 1 : 0,
			.is_preference_applied = status == 202 && s->is_asynchronous,
		});
	cv_buf_fini(&body);
}

void jobs_answer_accepted(struct broker *b, struct stream *s, struct job *j)
{
	job_publish(b, j);
	jobs_answer_job(b, s, j, 202);
}

static void refuse_unknown(struct broker *b, struct stream *s)
{
	answer_error(b, s, 404, "unknown_job", "this sandbox has no such job");
}

/* ---- lists ---- */

static int by_seq(const void *a, const void *b)
{
	const struct job *const *x = a, *const *y = b;

	return (*x)->seq < (*y)->seq ? -1 : (*x)->seq > (*y)->seq;
}

static void list_answer(struct broker *b, struct stream *s, const struct sandbox *box)
{
	struct job **v = calloc(b->jobs.top + 1, sizeof(struct job *));
	struct cv_buf body;
	size_t n = 0;

	for (uint32_t i = 0; v && i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && j->is_published && pool_get(&b->sandboxes, j->sandbox) == box)
			v[n++] = j;
	}
	if (n)
		qsort(v, n, sizeof(struct job *), by_seq);
	cv_buf_init(&body, 8u << 20);
	cv_buf_put(&body, CV_STR("{\"jobs\":["));
	for (size_t i = 0; i < n; i++) {
		if (i)
			cv_buf_put_byte(&body, ',');
		job_put(v[i], &body);
	}
	cv_buf_put(&body, CV_STR("]}\n"));
	answer(b, s, &(struct answer){ .status = 200, .body = cv_buf_str(&body) });
	cv_buf_fini(&body);
	free(v);
}

/* ---- queries ---- */

/* The number that the query gives for key; false: it is not a number. */
static bool query_number(
	const struct stream *s, struct cv_str key, uint64_t max, bool *ret_is_there, uint64_t *ret)
{
	struct cv_arena scratch;
	struct cv_query q;
	struct cv_query_pair pair;
	bool is_good = true;

	*ret_is_there = false;
	cv_arena_init(&scratch, 16384);
	cv_query_start(&q, s->request.query, &scratch);
	for (;;) {
		const enum cv_query_step step = cv_query_next(&q, &pair);

		if (step == CV_QUERY_MALFORMED)
			is_good = false;
		if (step != CV_QUERY_PAIR)
			break;
		if (cv_str_eq(pair.key, key)) {
			is_good = is_good && cv_str_to_u64(pair.value, max, ret);
			*ret_is_there = true;
		}
	}
	cv_arena_fini(&scratch);
	return is_good;
}

static void refuse_number(struct broker *b, struct stream *s, const char *key)
{
	answer_error(b, s, 400, "bad_request", "%s must be one whole number", key);
}

static void job_answer(struct broker *b, struct stream *s, struct job *j)
{
	uint64_t seconds = 0;
	bool is_there;

	if (!query_number(s, CV_STR("wait"), UINT32_MAX, &is_there, &seconds)) {
		refuse_number(b, s, "wait");
		return;
	}
	if (!seconds || job_state_is_end(j->state)) {
		jobs_answer_job(b, s, j, 200);
		return;
	}
	s->state = STREAM_POLL;
	s->job = j->ref;
	s->due_ms =
		b->loop.now_ms + (int64_t)CV_MIN(seconds, (uint64_t)BROKER_WAIT_SECONDS_MAX) * 1000;
	due_at(b, s->due_ms);
}

static void result_answer(struct broker *b, struct stream *s, struct job *j)
{
	if (job_state_is_end(j->state))
		jobs_answer_call(b, s, j);
	else
		jobs_answer_job(b, s, j, 202);
}

static void log_answer(struct broker *b, struct stream *s, struct job *j)
{
	uint64_t offset = 0;
	struct cv_buf body;
	bool is_there;

	if (!query_number(s, CV_STR("offset"), UINT64_MAX, &is_there, &offset)) {
		refuse_number(b, s, "offset");
		return;
	}
	if (offset < j->log_base)
		offset = j->log_base;
	cv_buf_init(&body, 4 * BROKER_LOG_BYTES_MAX);
	job_log_get(b, j, offset, 2 * BROKER_LOG_BYTES_MAX, &body);
	answer(b, s,
		&(struct answer){
			.status = 200,
			.type = "text/plain; charset=utf-8",
			.body = cv_buf_str(&body),
			.job = j->id,
			.has_offset = true,
			.offset = offset,
		});
	cv_buf_fini(&body);
}

static void cancel_answer(struct broker *b, struct stream *s, struct job *j)
{
	const struct cv_ref ref = j->ref;

	if (!job_cancel(b, j)) {
		struct cv_buf e;

		cv_buf_init(&e, 65536);
		error_begin(&e, "job_ended", "the job has ended already: it has %s",
			job_state_word(j->state));
		cv_buf_put(&e, CV_STR(",\"job\":"));
		job_put(j, &e);
		error_end(&e);
		answer(b, s,
			&(struct answer){ .status = 409, .body = cv_buf_str(&e), .job = j->id });
		cv_buf_fini(&e);
		return;
	}
	j = pool_get(&b->jobs, ref);
	if (!j)
		refuse_unknown(b, s); /* not reached: a published job stays */
	else
		jobs_answer_job(b, s, j, job_state_is_end(j->state) ? 200 : 202);
}

/* ---- events ---- */

static void data_put(struct cv_buf *out, struct cv_str text)
{
	while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	cv_buf_put(out, CV_STR("data: "));
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
			continue;
		if (text.p[i] == '\n' || text.p[i] == '\r')
			cv_buf_put(out, CV_STR("\ndata: "));
		else
			cv_buf_put_byte(out, text.p[i]);
	}
	cv_buf_put(out, CV_STR("\n\n"));
}

static void event_send(struct broker *b, struct stream *s, const char *type, struct cv_str data)
{
	const size_t before = cv_buf_len(&s->out);
	struct cv_buf e;

	cv_buf_init(&e, data.n * 8 + 4096);
	cv_buf_printf(&e, "id: %llu-%u-%u\nevent: %s\n", (unsigned long long)s->log_at,
		s->progress_at, s->results_sent, type);
	data_put(&e, data);
	if (e.is_overflown || !cv_chunk_write(&s->out, cv_buf_str(&e)))
		s->request.is_keep_alive = false;
	cv_buf_fini(&e);
	b->out_bytes += cv_buf_len(&s->out) - before;
	s->beat_ms = b->loop.now_ms;
}

/* Text where it is text; the last character may not be whole yet, and waits unless all has ended. */
static struct cv_str text_of(struct cv_str s, bool is_all)
{
	size_t n = s.n;

	if (is_all || cv_utf8_is_valid(s))
		return s;
	for (size_t cut = 1; cut < 4 && cut < n; cut++)
		if (cv_utf8_is_valid(cv_str_slice(s, 0, n - cut)))
			return cv_str_slice(s, 0, n - cut);
	return s;
}

static bool log_send(struct broker *b, struct stream *s, struct job *j)
{
	struct cv_buf bytes, data;
	uint64_t skipped = 0;

	if (s->log_at < j->log_base) {
		skipped = j->log_base - s->log_at;
		s->log_at = j->log_base;
	}
	if (s->log_at >= j->log_end)
		return false;
	cv_buf_init(&bytes, BROKER_EVENT_BYTES_MAX);
	job_log_get(b, j, s->log_at, BROKER_EVENT_BYTES_MAX, &bytes);
	const bool is_all =
		job_state_is_end(j->state) && s->log_at + cv_buf_len(&bytes) == j->log_end;
	const struct cv_str text = text_of(cv_buf_str(&bytes), is_all);
	const bool is_text = cv_utf8_is_valid(text);
	if (text.n) {
		cv_buf_init(&data, 8 * BROKER_EVENT_BYTES_MAX);
		cv_buf_printf(&data, "{\"offset\":%llu", (unsigned long long)s->log_at);
		if (skipped)
			cv_buf_printf(&data, ",\"skipped\":%llu", (unsigned long long)skipped);
		if (is_text) {
			put_member_str(&data, "text", text);
		} else {
			cv_buf_put(&data, CV_STR(",\"base64\":\""));
			cv_buf_put_base64(&data, text, CV_BASE64_STD);
			cv_buf_put_byte(&data, '"');
		}
		cv_buf_put_byte(&data, '}');
		s->log_at += text.n;
		event_send(b, s, "log", cv_buf_str(&data));
		cv_buf_fini(&data);
	}
	cv_buf_fini(&bytes);
	if (!text.n)
		s->log_at = j->log_end; /* nothing of it is there any more */
	return true;
}

static void result_send(struct broker *b, struct stream *s, struct job *j)
{
	struct cv_buf data;

	cv_buf_init(&data, CV_STORE_VALUE_BYTES_MAX);
	cv_buf_printf(
		&data, "{\"status\":%d,\"result_url\":\"/v1/jobs/%s/result\"", j->status, j->id);
	if (j->result_bytes && j->result_bytes <= RESULT_IN_EVENT_BYTES_MAX) {
		cv_buf_put(&data, CV_STR(",\"result\":"));
		job_result_get(b, j, &data);
	}
	cv_buf_put_byte(&data, '}');
	s->results_sent = 1;
	event_send(b, s, "result", cv_buf_str(&data));
	cv_buf_fini(&data);
}

static void end_send(struct broker *b, struct stream *s, struct job *j)
{
	struct cv_buf data;

	cv_buf_init(&data, 65536);
	job_put(j, &data);
	s->results_sent = 2;
	event_send(b, s, "end", cv_buf_str(&data));
	cv_buf_fini(&data);
	const size_t between = cv_buf_len(&s->out);
	cv_buf_put(&s->out, CV_CHUNK_END);
	b->out_bytes += cv_buf_len(&s->out) - between;
	stream_next(b, s);
}

static void beat(struct broker *b, struct stream *s)
{
	const size_t before = cv_buf_len(&s->out);

	if (b->loop.now_ms - s->beat_ms >= BROKER_HEARTBEAT_MS) {
		cv_chunk_write(&s->out, CV_STR(": \n\n"));
		b->out_bytes += cv_buf_len(&s->out) - before;
		s->beat_ms = b->loop.now_ms;
	}
	s->due_ms = s->beat_ms + BROKER_HEARTBEAT_MS;
	due_at(b, s->due_ms);
}

void jobs_events_more(struct broker *b, struct stream *s)
{
	struct job *j = pool_get(&b->jobs, s->job);

	if (!j) { /* it had to make room for others */
		s->state = STREAM_CLOSING;
		s->due_ms = b->loop.now_ms;
		due_at(b, s->due_ms);
		return;
	}
	while (cv_buf_len(&s->out) < BROKER_STREAM_LOW_BYTES) {
		if (s->progress_at < j->progress_seq && cv_buf_len(&j->progress)) {
			s->progress_at = j->progress_seq;
			event_send(b, s, "progress", cv_buf_str(&j->progress));
		} else if (log_send(b, s, j)) {
			continue;
		} else if (!job_state_is_end(j->state)) {
			beat(b, s);
			return;
		} else if (!s->results_sent) {
			result_send(b, s, j);
		} else {
			end_send(b, s, j);
			return;
		}
	}
}

static void position_read(struct stream *s, struct cv_str id)
{
	struct job_position at;

	if (!job_position_read(id, &at))
		return; /* not ours: from the beginning */
	s->log_at = at.log;
	s->progress_at = at.progress;
	s->results_sent = at.results;
}

static void events_answer(struct broker *b, struct stream *s, struct job *j)
{
	uint64_t offset = 0;
	bool is_there;

	if (!query_number(s, CV_STR("offset"), UINT64_MAX, &is_there, &offset)) {
		refuse_number(b, s, "offset");
		return;
	}
	if (s->request.is_head) {
		answer(b, s, &(struct answer){ .status = 200, .type = "text/event-stream" });
		return;
	}
	s->log_at = offset;
	s->progress_at = s->results_sent = 0;
	if (s->request.last_event_id.n)
		position_read(s, s->request.last_event_id);
	answer_events(b, s);
	s->state = STREAM_EVENTS;
	s->job = j->ref;
	s->beat_ms = b->loop.now_ms;
	jobs_events_more(b, s);
}

/* ---- where it goes ---- */

void jobs_handle(struct broker *b, struct stream *s, struct cv_str rest)
{
	static const struct {
		const char *path, *method, *allow;
		void (*handle)(struct broker *b, struct stream *s, struct job *j);
	} route[] = {
		{ "", "GET", "GET, DELETE", job_answer },
		{ "", "DELETE", "GET, DELETE", cancel_answer },
		{ "events", "GET", "GET", events_answer },
		{ "log", "GET", "GET", log_answer },
		{ "result", "GET", "GET", result_answer },
		{ "cancel", "POST", "POST", cancel_answer },
	};
	const struct sandbox *box = pool_get(&b->sandboxes, s->sandbox);
	const struct cv_str method = s->request.is_head ? CV_STR("GET") : s->request.method;
	const char *allow = NULL;

	cv_str_cut(&rest, '/'); /* before the first slash there is nothing */
	if (!rest.n) {
		if (cv_str_eq(method, CV_STR("GET")))
			list_answer(b, s, box);
		else
			request_refuse_method(b, s, "GET");
		return;
	}
	struct job *j = job_find(b, box, cv_str_cut(&rest, '/'));
	if (!j) {
		refuse_unknown(b, s);
		return;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(route); i++) {
		if (!cv_str_eq(rest, cv_str_of(route[i].path)))
			continue;
		allow = route[i].allow;
		if (cv_str_eq(method, cv_str_of(route[i].method))) {
			route[i].handle(b, s, j);
			return;
		}
	}
	if (allow)
		request_refuse_method(b, s, allow);
	else
		answer_error(b, s, 404, "unknown_path", "a job has events, log, result and cancel");
}
