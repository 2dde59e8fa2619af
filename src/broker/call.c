/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.c - a call of a tool that may be made, until it runs
 *
 *     (call_check.c) -> key -> limits -> held, or queued, or run -> (call_end.c)
 *
 * A call that waits is a job like one that runs.  Where it may not wait, because its caller does not,
 * it is refused instead.
 */
#include "broker/call_end.h"
#include "broker/call_int.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>

/* ---- preferences ---- */

static void preference_take(struct call *c, struct cv_str one)
{
	struct cv_str name = cv_str_trim(cv_str_cut(&one, ';'));
	const struct cv_str key = cv_str_trim(cv_str_cut(&name, '='));
	uint64_t seconds;

	if (cv_str_eq_nocase(key, CV_STR("respond-async")))
		c->is_asynchronous = true;
	if (cv_str_eq_nocase(key, CV_STR("wait")) &&
		cv_str_to_u64(cv_str_trim(name), UINT32_MAX, &seconds)) {
		c->is_asynchronous = true;
		c->wait_seconds = (uint32_t)CV_MIN(seconds, (uint64_t)BROKER_WAIT_SECONDS_MAX);
	}
}

static void preferences_read(struct call *c)
{
	struct cv_str rest = c->s->request.prefer;

	while (rest.p)
		preference_take(c, cv_str_trim(cv_str_cut(&rest, ',')));
}

/* ---- a job ---- */

static void wait_for(struct call *c, struct job *j)
{
	struct stream *s = c->s;

	s->job = j->ref;
	s->state = STREAM_CALL;
	s->is_asynchronous = c->is_asynchronous;
	s->due_ms = c->is_asynchronous && c->wait_seconds
			    ? c->b->loop.now_ms + (int64_t)c->wait_seconds * 1000
			    : 0;
	due_at(c->b, s->due_ms);
}

/* The same key again: the same job, or a conflict.  True: answered, or waiting. */
static bool key_handle(struct call *c)
{
	const struct cv_str key = c->s->request.idempotency_key;
	struct job *j;

	if (!key.n)
		return false;
	if (key.n > BROKER_KEY_BYTES_MAX || cv_str_has_byte(key, 0)) {
		call_refuse_plain(c, 400, "bad_request", "Idempotency-Key is too long");
		return true;
	}
	j = job_find_key(c->b, c->box, key);
	if (!j)
		return false;
	if (!cv_str_eq(cv_str_of(j->tool_name), c->tool->name) ||
		strcmp(j->digest, c->digest) != 0) {
		call_refuse_plain(c, 409, "idempotency_conflict",
			"this Idempotency-Key was used for another call");
		return true;
	}
	if (job_state_is_end(j->state) && !c->is_asynchronous) {
		jobs_answer_call(c->b, c->s, j);
		return true;
	}
	wait_for(c, j);
	if (c->is_asynchronous && (job_state_is_end(j->state) || !c->wait_seconds))
		jobs_answer_accepted(c->b, c->s, j);
	return true;
}

static struct rule_use *rule_use(struct sandbox *box, struct cv_str name)
{
	struct rule_use *u;

	for (size_t i = 0; i < box->rule_count; i++)
		if (cv_str_eq(cv_str_of(box->rule[i].name), name))
			return &box->rule[i];
	if (box->rule_count == BROKER_RULES_MAX)
		return NULL;
	u = &box->rule[box->rule_count];
	u->name = cv_str_dup(name);
	if (!u->name)
		return NULL;
	box->rule_count++;
	return u;
}

/* In this sandbox. */
static bool is_free(const struct sandbox *box, const struct job *j)
{
	const struct cv_tool *t = j->tool;

	if (tool_slot_of(t)->running >= t->concurrency || box->running >= BROKER_RUNNING_EACH_MAX)
		return false;
	for (size_t i = 0; j->concurrency && i < box->rule_count; i++)
		if (strcmp(box->rule[i].name, j->rule) == 0)
			return box->rule[i].running < j->concurrency;
	return true;
}

/* And on this host: with a slot of it, which stays the job's. */
static bool may_start(struct broker *b, const struct sandbox *box, struct job *j)
{
	return is_free(box, j) && host_slot_take(b, j);
}

/* The lowest limit of those that may have been met. */
static uint32_t limit_of(const struct sandbox *box, const struct job *j)
{
	const uint32_t own = j->tool->concurrency;

	if (is_free(box, j))
		return j->tool->host_concurrency;
	return j->concurrency ? CV_MIN(j->concurrency, own) : own;
}

/* Limits that hold whether it waits or not. */
static bool counts_check(struct call *c, struct rule_use *use)
{
	const struct cv_tool_limits *l = &c->verdict.limits;

	if (!use) {
		call_refuse_limit(c, "too_many_calls", BROKER_RULES_MAX, 0,
			"the policy had more rules than are counted");
		return false;
	}
	if (l->calls && use->calls >= l->calls) {
		call_refuse_limit(c, "too_many_calls", l->calls, 0,
			"the policy's rule allows no more calls in this run");
		return false;
	}
	return true;
}

static struct job *job_make(struct call *c, const struct rule_use *use)
{
	const struct cv_tool_limits *l = &c->verdict.limits;
	struct job *j = job_new(c->b, c->box, c->tool);

	if (!j)
		return NULL;
	j->caller = c->s->caller;
	j->caller->refs++;
	cv_arena_fini(&j->arena);
	j->arena = c->s->arena; /* the arguments and what they are made of */
	cv_arena_init(&c->s->arena, BROKER_ARENA_BYTES_MAX);
	j->arguments = c->arguments;
	j->canonical = c->canonical;
	cv_buf_init(&c->canonical, 0);
	memcpy(j->digest, c->digest, sizeof(j->digest));
	j->rule = strdup(use->name);
	j->rule_line = c->verdict.line;
	j->approval = c->verdict.approval;
	j->concurrency = l->concurrency;
	j->seconds = l->seconds ? CV_MIN(l->seconds, c->tool->seconds) : c->tool->seconds;
	j->bytes_max =
		l->bytes ? CV_MIN(l->bytes, c->tool->result_bytes_max) : c->tool->result_bytes_max;
	/* As a tree, as text, and as text on its way to stdin. */
	j->waiting_bytes = j->arena.used + 2 * cv_buf_len(&j->canonical);
	c->box->waiting_bytes += j->waiting_bytes;
	if (c->s->request.idempotency_key.n)
		j->key = cv_str_dup(c->s->request.idempotency_key);
	return j;
}

/* Held for a person, or let go.  False: it was refused. */
static bool admit(struct call *c, struct job *j)
{
	struct sandbox *box = c->box;
	const bool is_held = c->verdict.approval == CV_TOOL_APPROVAL_ALWAYS ||
			     (c->verdict.approval == CV_TOOL_APPROVAL_ONCE &&
				     !hold_is_approved(box, cv_str_of(j->rule), c->tool->name));

	if (box->waiting_bytes > BROKER_WAITING_BYTES_MAX) {
		call_refuse_limit(c, "too_many_at_once", BROKER_WAITING_BYTES_MAX, 1,
			"the arguments of calls under way take too many bytes");
		return false;
	}
	if (is_held && box->held >= BROKER_HELD_EACH_MAX) {
		call_refuse_limit(c, "too_many_held", BROKER_HELD_EACH_MAX, 30,
			"too many calls wait for approval");
		return false;
	}
	if (!is_held && !may_start(c->b, box, j) &&
		(!c->is_asynchronous || box->queued >= BROKER_QUEUED_EACH_MAX)) {
		call_refuse_limit(c, "too_many_at_once",
			c->is_asynchronous ? BROKER_QUEUED_EACH_MAX : limit_of(box, j), 1,
			"the tool is busy; try again, or ask for a job with Prefer: respond-async");
		return false;
	}
	return true;
}

static void go(struct call *c, struct job *j, struct rule_use *use)
{
	struct broker *b = c->b;
	const struct cv_ref ref = j->ref;
	const bool is_held = j->approval == CV_TOOL_APPROVAL_ALWAYS ||
			     (j->approval == CV_TOOL_APPROVAL_ONCE &&
				     !hold_is_approved(c->box, cv_str_of(j->rule), c->tool->name));

	use->calls++;
	j->is_published = c->is_asynchronous || j->key || is_held;
	c->s->is_asynchronous = c->is_asynchronous;
	if (!c->is_asynchronous || c->wait_seconds)
		wait_for(c, j);
	j->start_us = cv_clock_us();
	if (is_held) {
		hold_start(b, j);
	} else if (!may_start(b, c->box, j)) {
		job_state_set(b, j, JOB_QUEUED);
	} else {
		call_start(b, j);
	}
	j = pool_get(&b->jobs, ref);
	if (!j)
		return;
	if (!j->is_published && !job_state_is_end(j->state)) {
		j->publish_ms = b->loop.now_ms + BROKER_PUBLISH_MS;
		due_at(b, j->publish_ms);
	}
	if (c->is_asynchronous && !c->wait_seconds)
		jobs_answer_accepted(b, c->s, j);
}

/* What the schema can't say: a value where it would be read as an option, a NUL. */
static bool backend_check(struct call *c)
{
	const struct backend *backend = backend_of(c->tool);
	struct cv_str pointer = CV_STR("");
	struct cv_err err;

	if (!backend->check ||
		backend->check(c->b, c->tool, c->arguments, &c->s->arena, &pointer, &err) == CV_OK)
		return true;
	call_refuse_argument(c, pointer, err.msg);
	return false;
}

static void judge(struct call *c)
{
	struct rule_use *use;
	struct job *j;

	if (!backend_check(c) || key_handle(c))
		return;
	use = rule_use(c->box, cv_policy_tool_rule_name(c->box->policy, c->verdict.rule));
	if (!counts_check(c, use))
		return;
	j = job_make(c, use);
	if (!j) {
		call_refuse_limit(c, "too_many_at_once", BROKER_JOBS_EACH_MAX, 5,
			"too many calls are under way");
		return;
	}
	if (!admit(c, j)) {
		job_free(c->b, j);
		return;
	}
	go(c, j, use);
}

void call_handle(struct broker *b, struct stream *s, const struct cv_tool *t,
	const struct cv_tool_route_args *places)
{
	struct call c = {
		.b = b,
		.s = s,
		.box = pool_get(&b->sandboxes, s->sandbox),
		.tool = t,
		.body_bytes = cv_buf_len(&s->body),
		.verdict = { .rule = CV_POLICY_NONE },
	};

	cv_buf_init(&c.canonical, 0);
	preferences_read(&c);
	if (!cv_audit_sinks_are_well(&b->sinks)) {
		answer_error(b, s, 503, "broker_unavailable", "calls can't be recorded now");
		return;
	}
	if (call_read(&c, places) && call_judge(&c))
		judge(&c);
	cv_buf_fini(&c.canonical);
}

/* ---- its start ---- */

void call_start(struct broker *b, struct job *j)
{
	struct cv_err err;

	job_state_set(b, j, JOB_RUNNING);
	j->backend = j->tool->uses.n ? &keys_backend : backend_of(j->tool);
	j->due_ms = b->loop.now_ms + (int64_t)j->seconds * 1000;
	due_at(b, j->due_ms);
	if (j->backend->start(b, j, &err))
		return;
	call_end(b, j, &(struct call_end){ .outcome = CALL_BROKEN, .detail = err.msg });
}

/* The first, of those that came after, for which there is room in its sandbox; NULL: none. */
static struct job *queued_next(struct broker *b, uint64_t after)
{
	struct job *next = NULL;

	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && j->state == JOB_QUEUED && j->seq > after &&
			(!next || j->seq < next->seq) &&
			is_free(pool_get(&b->sandboxes, j->sandbox), j))
			next = j;
	}
	return next;
}

/* Jobs that waited for their tool, in the order in which they came.  One that starts makes it due
 * again: it may have ended at once, and made room for who was looked at before it. */
void call_queue_run(struct broker *b)
{
	while (b->is_queue_due && b->queued) {
		struct job *j;
		uint64_t at = 0;

		b->is_queue_due = false;
		while (b->queued && (j = queued_next(b, at))) {
			at = j->seq;
			if (host_slot_take_queued(b, j))
				call_start(b, j);
		}
	}
	b->is_queue_due = false;
}

/* NULL: this build has none yet. */
static const struct backend *const backends[CV_TOOL_BACKEND_COUNT] = {
	[CV_TOOL_COMMAND] = &command_backend,
	[CV_TOOL_HTTP] = &http_backend,
	[CV_TOOL_SERVER] = &http_backend,
	[CV_TOOL_MCP] = &mcp_backend,
	[CV_TOOL_BUILD] = &build_backend,
	[CV_TOOL_FILES] = &files_backend,
	[CV_TOOL_REPO] = &repo_backend,
};

const struct backend *backend_of(const struct cv_tool *t)
{
	return backends[t->backend];
}
