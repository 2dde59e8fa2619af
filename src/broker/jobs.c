/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.c - every call is a job, whether anybody asks for it as one or not
 *
 * A job that its caller waits for is gone when the answer is sent.  It is published, known by its
 * id and kept when it has ended, when the caller asked for that (Prefer, Idempotency-Key, approval),
 * when it takes longer than BROKER_PUBLISH_MS, or when the caller is lost.
 *
 * States change in job_state_set() alone, by the table in broker.h; the last five are ends and have
 * no way out, so a job ends once.  job_end() is the only way there: it keeps the answer, records
 * the call, tells who waits, and then gives back what memory it can.  An ended job's result and log
 * are in the store; what is left here is what lists need.
 */
#include "broker/broker.h"

#include "base/assert.h"
#include "base/time.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define JOB_ROW(name, word, to) [JOB_##name] = { word, to },
static const struct {
	const char *word;
	uint32_t to;
} state_row[] = { JOB_STATES(JOB_ROW) };

const char *job_state_word(enum job_state s)
{
	return state_row[s].word;
}

enum job_state job_state_of(const char *word)
{
	for (size_t i = 0; i < JOB_STATE_COUNT; i++)
		if (strcmp(state_row[i].word, word) == 0)
			return (enum job_state)i;
	return JOB_FAILED;
}

struct sandbox *job_box(const struct broker *b, const struct job *j)
{
	struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);

	cv_assert(box); /* it stays until its jobs have gone */
	return box;
}

struct cv_str job_log_tail(const struct job *j)
{
	struct cv_str s = cv_buf_str(&j->log);

	if (s.n > BROKER_STDERR_BYTES_MAX)
		s = cv_str_slice(s, s.n - BROKER_STDERR_BYTES_MAX, s.n);
	while (s.n && ((unsigned char)s.p[0] & 0xc0) == 0x80) /* the middle of a character */
		s = cv_str_slice(s, 1, s.n);
	return s;
}

/* ---- life ---- */

/* The oldest job of the sandbox that has ended; NULL: none. */
static struct job *oldest_ended(struct broker *b, const struct sandbox *box)
{
	struct job *oldest = NULL;

	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && pool_get(&b->sandboxes, j->sandbox) == box && job_state_is_end(j->state) &&
			(!oldest || j->ended_ms < oldest->ended_ms))
			oldest = j;
	}
	return oldest;
}

static void room_make(struct broker *b, struct sandbox *box, uint32_t jobs_max)
{
	while (box->jobs > jobs_max || box->kept_bytes > BROKER_KEPT_BYTES_MAX) {
		struct job *j = oldest_ended(b, box);

		if (!j)
			return;
		job_drop(b, j);
	}
}

struct job *job_new(struct broker *b, struct sandbox *box, const struct cv_tool *t)
{
	static uint64_t seq;
	unsigned char random[JOB_ID_CHARS / 2];
	struct cv_ref ref;
	struct job *j;

	room_make(b, box, BROKER_JOBS_EACH_MAX - 1);
	if (box->jobs >= BROKER_JOBS_EACH_MAX || !(j = pool_new(&b->jobs, &ref)))
		return NULL;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		broker_die(CV_SYSTEM, "getrandom");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(j->id + 2 * i, 3, "%02x", random[i]);
	j->ref = ref;
	j->seq = ++seq;
	j->sandbox = box->ref;
	j->tool = t ? &tool_slot_find(b, t->name)->tool : NULL;
	if (t && !cv_str_to_cstr(t->name, j->tool_name, sizeof(j->tool_name)))
		j->tool_name[0] = 0; /* the catalog's names are shorter */
	j->host_slot = -1;
	j->created_ms = cv_clock_unix_ms();
	cv_arena_init(&j->arena, BROKER_ARENA_BYTES_MAX);
	cv_buf_init(&j->canonical, 8 * BROKER_BODY_BYTES_MAX);
	cv_buf_init(&j->log, 2 * BROKER_LOG_BYTES_MAX);
	cv_buf_init(&j->progress, 4096);
	cv_buf_init(&j->result, CV_STORE_VALUE_BYTES_MAX);
	box->jobs++;
	return j;
}

/* What only a job needs that has not ended. */
static void job_thin(struct broker *b, struct job *j)
{
	job_box(b, j)->waiting_bytes -= j->waiting_bytes;
	j->waiting_bytes = 0;
	cv_arena_fini(&j->arena);
	j->arguments = NULL;
	cv_buf_fini(&j->canonical);
	caller_unref(j->caller);
	j->caller = NULL;
	call_keys_drop(j);
}

void job_free(struct broker *b, struct job *j)
{
	struct sandbox *box = job_box(b, j);

	if (j->run)
		j->backend->drop(b, j);
	if (!job_state_is_end(j->state) && j->state != JOB_NEW) {
		/* so that what is counted by state is right again */
		if (j->state == JOB_HELD)
			hold_forget(b, j);
		job_count(b, j, j->state, false);
	}
	host_slot_give(j);
	job_thin(b, j);
	cv_buf_fini(&j->log);
	cv_buf_fini(&j->progress);
	cv_buf_fini(&j->result);
	free(j->key);
	free(j->rule);
	box->kept_bytes -= j->kept_bytes;
	box->jobs--;
	pool_free(&b->jobs, j->ref);
	sandbox_settle(b, box);
}

void job_drop(struct broker *b, struct job *j)
{
	if (j->is_published)
		record_forget(b, j);
	job_free(b, j);
}

static struct rule_use *rule_of(struct sandbox *box, const char *name)
{
	for (size_t i = 0; name && i < box->rule_count; i++)
		if (strcmp(box->rule[i].name, name) == 0)
			return &box->rule[i];
	return NULL;
}

/* Counters by state: one place, so that they cannot be wrong in another. */
void job_count(struct broker *b, struct job *j, enum job_state s, bool is_in)
{
	struct sandbox *box = job_box(b, j);
	const uint32_t by = is_in ? 1 : UINT32_MAX;
	struct rule_use *rule = rule_of(box, j->rule);

	switch (s) {
	case JOB_HELD: box->held += by; return;
	case JOB_QUEUED:
		box->queued += by;
		b->queued += by;
		return;
	case JOB_RUNNING:
		box->running += by;
		if (j->tool)
			tool_slot_of(j->tool)->running += by;
		if (rule)
			rule->running += by;
		if (!is_in)
			host_slot_give(j);
		b->is_queue_due = true;
		return;
	case JOB_NEW:
	case JOB_SUCCEEDED:
	case JOB_FAILED:
	case JOB_CANCELLED:
	case JOB_TIMED_OUT:
	case JOB_DENIED:
	case JOB_STATE_COUNT: return;
	}
}

void job_state_set(struct broker *b, struct job *j, enum job_state to)
{
	cv_assert(state_row[j->state].to & (1u << to));
	job_count(b, j, j->state, false);
	j->state = to;
	job_count(b, j, to, true);
	if (to == JOB_RUNNING)
		j->started_ms = cv_clock_unix_ms();
	if (j->is_published && !job_state_is_end(to))
		record_save(b, j);
}

void job_publish(struct broker *b, struct job *j)
{
	if (j->is_published)
		return;
	j->is_published = true;
	j->publish_ms = 0;
	record_save(b, j);
}

void job_log(struct broker *b, struct job *j, struct cv_str bytes)
{
	const size_t len = cv_buf_len(&j->log);

	if (bytes.n > BROKER_LOG_BYTES_MAX) {
		j->log_base += len + bytes.n - BROKER_LOG_BYTES_MAX;
		cv_buf_reset(&j->log);
		cv_buf_put(&j->log, cv_str_slice(bytes, bytes.n - BROKER_LOG_BYTES_MAX, bytes.n));
	} else {
		if (len + bytes.n > 2 * BROKER_LOG_BYTES_MAX) { /* seldom, and then by half */
			const size_t by = len + bytes.n - BROKER_LOG_BYTES_MAX;

			cv_buf_skip(&j->log, CV_MIN(by, len));
			j->log_base += CV_MIN(by, len);
		}
		cv_buf_put(&j->log, bytes);
	}
	j->log_end += bytes.n;
	for (uint32_t i = 0; i < b->streams.top; i++) {
		struct stream *s = pool_at(&b->streams, i);

		if (s && s->state == STREAM_EVENTS && pool_get(&b->jobs, s->job) == j &&
			cv_buf_len(&s->out) < BROKER_STREAM_LOW_BYTES)
			jobs_events_more(b, s);
	}
}

void job_progress(struct broker *b, struct job *j, struct cv_str json)
{
	cv_buf_reset(&j->progress);
	cv_buf_put(&j->progress, json);
	j->progress_seq++;
	job_waiters_tell(b, j);
}

/* Its log to what is kept, its memory given back. */
static void job_shelve(struct broker *b, struct job *j)
{
	struct sandbox *box = job_box(b, j);
	const size_t log = cv_buf_len(&j->log);

	if (record_result_save(b, j))
		cv_buf_fini(&j->result);
	if (log && record_log_save(b, j))
		cv_buf_fini(&j->log);
	j->kept_bytes = j->result_bytes + log;
	box->kept_bytes += j->kept_bytes;
	record_save(b, j);
}

static bool has_waiter(const struct broker *b, const struct job *j)
{
	for (uint32_t i = 0; i < b->streams.top; i++) {
		const struct stream *s = pool_at(&b->streams, i);

		if (s && s->state >= STREAM_CALL && s->state <= STREAM_EVENTS &&
			pool_get(&b->jobs, s->job) == j)
			return true;
	}
	return false;
}

void job_end(struct broker *b, struct job *j, enum job_state to, int status, const char *code,
	struct cv_buf *body)
{
	const struct cv_ref ref = j->ref;
	const size_t keep = BROKER_LOG_BYTES_MAX;
	struct sandbox *box = job_box(b, j);

	if (j->state == JOB_HELD)
		hold_forget(b, j);
	j->status = status;
	j->due_ms = j->publish_ms = 0;
	j->ended_ms = cv_clock_unix_ms();
	snprintf(j->error, sizeof(j->error), "%s", code ? code : "");
	cv_buf_fini(&j->result);
	j->result = *body;
	*body = (struct cv_buf){ .max = body->max };
	j->result_bytes = cv_buf_len(&j->result);
	if (cv_buf_len(&j->log) > keep) {
		j->log_base += cv_buf_len(&j->log) - keep;
		cv_buf_skip(&j->log, cv_buf_len(&j->log) - keep);
	}
	job_state_set(b, j, to);
	audit_job(b, j);
	job_thin(b, j);
	job_waiters_tell(b, j);
	j = pool_get(&b->jobs, ref);
	if (!j)
		return;
	if (box->is_ending || (!j->is_published && !has_waiter(b, j))) {
		job_drop(b, j);
		return;
	}
	if (j->is_published)
		job_shelve(b, j);
	room_make(b, box, BROKER_JOBS_EACH_MAX);
}

bool job_cancel(struct broker *b, struct job *j)
{
	struct cv_buf body;

	if (job_state_is_end(j->state))
		return false;
	if (j->state == JOB_RUNNING) {
		if (!j->is_stopping) {
			j->is_stopping = true;
			j->stop_state = JOB_CANCELLED;
			j->backend->stop(b, j);
		}
		return true;
	}
	cv_buf_init(&body, 4096);
	error_begin(&body, "cancelled", "the call was cancelled before it began");
	error_end(&body);
	job_end(b, j, JOB_CANCELLED, 409, "cancelled", &body);
	return true;
}

void job_due(struct broker *b, struct job *j)
{
	j->due_ms = 0;
	if (j->state == JOB_HELD) {
		hold_due(b, j);
	} else if (j->state == JOB_RUNNING && !j->is_stopping) {
		j->is_stopping = true;
		j->stop_state = JOB_TIMED_OUT;
		j->backend->stop(b, j);
	} else if (j->state == JOB_RUNNING) {
		j->backend->due(b, j);
	}
}

/* ---- who waits ---- */

void job_waiters_tell(struct broker *b, struct job *j)
{
	const bool has_ended = job_state_is_end(j->state);
	const struct cv_ref ref = j->ref;

	for (uint32_t i = 0; i < b->streams.top; i++) {
		struct stream *s = pool_at(&b->streams, i);

		if (!s || s->job.gen != ref.gen || s->job.index != ref.index)
			continue;
		if (s->state == STREAM_EVENTS)
			jobs_events_more(b, s);
		else if (s->state == STREAM_POLL && has_ended)
			jobs_answer_job(b, s, j, 200);
		else if (s->state == STREAM_CALL && has_ended)
			jobs_answer_call(b, s, j);
	}
}

/* ---- which ---- */

struct job *job_find(struct broker *b, const struct sandbox *box, struct cv_str id)
{
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && j->is_published && cv_str_eq(cv_str_of(j->id), id) &&
			pool_get(&b->sandboxes, j->sandbox) == box)
			return j;
	}
	return NULL;
}

struct job *job_find_key(struct broker *b, const struct sandbox *box, struct cv_str key)
{
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && j->key && cv_str_eq(cv_str_of(j->key), key) &&
			pool_get(&b->sandboxes, j->sandbox) == box)
			return j;
	}
	return NULL;
}

/* ---- as JSON ---- */

static void time_put(struct cv_buf *out, const char *key, int64_t ms)
{
	char text[CV_TIME_TEXT_BYTES];

	if (ms)
		put_member_str(out, key, cv_time_format(ms, text));
	else
		cv_buf_printf(out, ",\"%s\":null", key);
}

void job_put(const struct job *j, struct cv_buf *out)
{
	cv_buf_printf(out, "{\"id\":\"%s\"", j->id);
	put_member_str(out, "tool", cv_str_of(j->tool_name));
	put_member_str(out, "state", cv_str_of(job_state_word(j->state)));
	time_put(out, "created", j->created_ms);
	time_put(out, "started", j->started_ms);
	time_put(out, "ended", j->ended_ms);
	cv_buf_put(out, CV_STR(",\"progress\":"));
	cv_buf_put(out, cv_buf_len(&j->progress) ? cv_buf_str(&j->progress) : CV_STR("null"));
	if (job_state_is_end(j->state))
		cv_buf_printf(out, ",\"result_url\":\"/v1/jobs/%s/result\"", j->id);
	else
		cv_buf_put(out, CV_STR(",\"result_url\":null"));
	if (j->error[0])
		cv_buf_printf(out, ",\"error\":\"%s\"}", j->error);
	else
		cv_buf_put(out, CV_STR(",\"error\":null}"));
}
