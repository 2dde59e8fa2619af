/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.c - a call of a tool, from its body to its answer
 *
 *     body -> JSON -> policy -> sandbox field -> schema -> key -> limits -> held or queued or run
 *
 * Policy comes before the schema: who may not call a tool learns nothing about it but that.  What
 * passes policy is told everything that is wrong at once.  Each refusal is one event, and so is each
 * job when it ends.
 */
#include "broker/broker.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "broker/call_end.h"
#include "broker/discovery.h"
#include "tools/schema.h"
#include "wire/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A call while it is looked at; everything borrowed from the stream's arena. */
struct call {
	struct broker *b;
	struct stream *s;
	struct sandbox *box;
	const struct cv_tool *tool;
	const struct cv_value *arguments;
	struct cv_buf canonical;
	char digest[65];
	struct cv_tool_verdict verdict;
	bool is_asynchronous;
	uint32_t wait_seconds;
	size_t body_bytes;
};

/* ---- refusals ---- */

/* An answer and its event.  e is taken. */
static void refuse(struct call *c, int status, const char *code, uint32_t retry_after,
	struct cv_str reason, struct cv_buf *e)
{
	const bool has_verdict = c->verdict.rule != CV_POLICY_NONE && c->box->policy;

	error_end(e);
	audit_refusal(c->b, c->s,
		&(struct refusal){
			.tool = c->tool->name,
			.digest = c->digest[0] ? c->digest : NULL,
			.rule = has_verdict
					? cv_policy_tool_rule_name(c->box->policy, c->verdict.rule)
					: CV_STR_NONE,
			.line = has_verdict ? c->verdict.line : 0,
			.status = status,
			.code = code,
			.reason = reason,
			.bytes_in = c->body_bytes,
		});
	answer(c->b, c->s,
		&(struct answer){
			.status = status, .body = cv_buf_str(e), .retry_after = retry_after });
	cv_buf_fini(e);
}

static void refuse_plain(struct call *c, int status, const char *code, const char *text)
{
	struct cv_buf e;

	cv_buf_init(&e, 4096);
	error_begin(&e, code, "%s", text);
	refuse(c, status, code, 0, cv_str_of(text), &e);
}

static void refuse_limit(
	struct call *c, const char *code, uint64_t limit, uint32_t retry_after, const char *text)
{
	struct cv_buf e;

	cv_buf_init(&e, 4096);
	error_begin(&e, code, "%s", text);
	cv_buf_printf(&e, ",\"limit\":%llu", (unsigned long long)limit);
	refuse(c, 429, code, retry_after, cv_str_of(text), &e);
}

/* ---- the body ---- */

static bool type_check(struct call *c)
{
	if (!c->body_bytes || request_is_json(&c->s->request))
		return true;
	refuse_plain(c, 415, "unsupported_media_type",
		"send arguments as application/json, without Content-Encoding");
	return false;
}

/* Where v, or what is in it, is at a depth above max; NULL: nowhere.  The reader has bounded v. */
static const struct cv_value *too_deep(const struct cv_value *v, unsigned depth)
{
	const bool is_container = v->type == CV_VALUE_ARRAY || v->type == CV_VALUE_OBJECT;
	const struct cv_value *found = NULL;

	if (is_container && depth == 0)
		return v;
	for (uint32_t i = 0; is_container && i < v->n && !found; i++)
		found = too_deep(&v->v[i], depth - 1);
	return found;
}

static void refuse_json(struct call *c, enum cv_json_problem problem, size_t at)
{
	const bool is_deep = problem == CV_JSON_PROBLEM_DEPTH;
	const char *code = is_deep                                ? "too_deep"
			   : problem == CV_JSON_PROBLEM_DUPLICATE ? "duplicate_key"
								  : "invalid_json";
	struct cv_buf e;

	cv_buf_init(&e, 4096);
	if (is_deep)
		error_begin(&e, code, "the body is nested deeper than %d", BROKER_DEPTH_MAX);
	else
		error_begin(&e, code, "the body %s", cv_json_problem_text(problem));
	cv_buf_printf(&e, ",\"at\":%zu", at);
	if (is_deep)
		cv_buf_printf(&e, ",\"limit\":%d", BROKER_DEPTH_MAX);
	refuse(c, 400, code, 0, cv_str_of(cv_json_problem_text(problem)), &e);
}

static void invalid_begin(struct cv_buf *e)
{
	cv_buf_init(e, 1u << 20);
	error_begin(e, "invalid_arguments", "the arguments are not what the tool takes");
	cv_buf_put(e, CV_STR(",\"errors\":["));
}

static void invalid_put(struct cv_buf *e, bool is_first, struct cv_str pointer,
	struct cv_str message, struct cv_str nearest)
{
	cv_buf_put(e, is_first ? CV_STR("{\"pointer\":\"") : CV_STR(",{\"pointer\":\""));
	cv_buf_put_json(e, pointer);
	cv_buf_put_byte(e, '"');
	put_member_str(e, "message", message);
	if (nearest.n)
		put_member_str(e, "nearest", nearest);
	cv_buf_put_byte(e, '}');
}

static void refuse_argument(struct call *c, struct cv_str pointer, const char *message)
{
	struct cv_buf e;

	invalid_begin(&e);
	invalid_put(&e, true, pointer, cv_str_of(message), CV_STR_NONE);
	cv_buf_put_byte(&e, ']');
	refuse(c, 400, "invalid_arguments", 0, cv_str_of(message), &e);
}

/* What a tool's own route says in its path, beside what the body says. */
static bool places_add(struct call *c, const struct cv_tool_route_args *places)
{
	struct cv_err err;

	const cv_code code =
		cv_tool_arguments(c->tool, places, c->arguments, &c->s->arena, &c->arguments, &err);
	if (code == CV_OK)
		return true;
	if (code == CV_INVALID)
		refuse_argument(c, CV_STR(""), err.msg);
	else
		refuse_plain(c, 413, "body_too_large", "the arguments are too many");
	return false;
}

static bool arguments_read(struct call *c, const struct cv_tool_route_args *places)
{
	static const struct cv_value nothing = { .type = CV_VALUE_OBJECT };
	const struct cv_str text = cv_arena_str(&c->s->arena, cv_buf_str(&c->s->body));
	const struct cv_value *deep;
	size_t at = 0;

	cv_buf_fini(&c->s->body);
	c->arguments = &nothing;
	if (text.n) {
		const enum cv_json_problem problem =
			cv_json_value_read(text, &c->s->arena, &c->arguments, &at);

		if (problem != CV_JSON_PROBLEM_NONE) {
			refuse_json(c, problem, at);
			return false;
		}
		deep = too_deep(c->arguments, BROKER_DEPTH_MAX);
		if (deep) {
			refuse_json(c, CV_JSON_PROBLEM_DEPTH, deep->at);
			return false;
		}
	}
	if (c->arguments->type != CV_VALUE_OBJECT) {
		refuse_argument(c, CV_STR(""), "must be an object");
		return false;
	}
	return places_add(c, places);
}

static bool digest_make(struct call *c)
{
	unsigned char bytes[CV_SHA256_BYTES];
	struct cv_sha256 hash;
	struct cv_buf hex;

	cv_buf_init(&c->canonical, 8 * BROKER_BODY_BYTES_MAX);
	if (!cv_json_value_write(&c->canonical, c->arguments))
		return false;
	const struct cv_str text = cv_buf_str(&c->canonical);
	cv_sha256_init(&hash);
	cv_sha256_update(&hash, text.p, text.n);
	cv_sha256_final(&hash, bytes);
	cv_buf_init(&hex, 64);
	cv_buf_put_hex(&hex, (struct cv_str){ (const char *)bytes, sizeof(bytes) });
	memcpy(c->digest, cv_buf_str(&hex).p, 64);
	c->digest[64] = 0;
	cv_buf_fini(&hex);
	return true;
}

/* ---- may it ---- */

static bool policy_check(struct call *c)
{
	const struct cv_tool_facts facts = {
		.who = c->s->caller->who,
		.tool = c->tool->name,
		.arguments = c->arguments,
	};
	struct cv_buf e;

	if (c->box->policy)
		c->verdict = cv_policy_decide_tool(c->box->policy, &facts);
	if (c->verdict.action == CV_ACTION_ALLOW)
		return true;
	const struct cv_str why = c->box->policy ? cv_policy_tool_denial_text(c->box->policy,
							   &facts, &c->verdict, &c->s->arena)
						 : CV_STR("the sandbox has no policy");
	cv_buf_init(&e, 1u << 20);
	error_begin(&e, "policy_denied", "%.*s", CV_STR_ARG(why));
	cv_buf_put(&e, CV_STR(",\"allowed\":"));
	(void)!discovery_put(c->b, c->box, c->s->caller, CV_DISCOVER_ALLOWED, CV_STR_NONE, &e);
	refuse(c, 403, "policy_denied", 0, why, &e);
	return false;
}

/* Without one member; in the arena. */
static const struct cv_value *without(
	const struct cv_value *o, struct cv_str key, struct cv_arena *a)
{
	struct cv_value *less = cv_arena_new(a, struct cv_value);
	struct cv_value *v = cv_arena_array(a, o->n, sizeof(*v));
	struct cv_str *k = cv_arena_array(a, o->n, sizeof(*k));
	uint32_t n = 0;

	if (!less || !v || !k)
		return NULL;
	for (uint32_t i = 0; i < o->n; i++)
		if (!cv_str_eq(o->key[i], key)) {
			v[n] = o->v[i];
			k[n++] = o->key[i];
		}
	*less = *o;
	less->v = v;
	less->key = k;
	less->n = n;
	return less;
}

/* Clients of older servers say which sandbox they are: it is compared, and means nothing else
 * unless the tool has an argument of that name. */
static bool sandbox_field_check(struct call *c)
{
	const struct cv_value *v = cv_value_get(c->arguments, CV_STR("sandbox"));
	const struct cv_value *known =
		cv_value_get(cv_value_get(c->tool->input, CV_STR("properties")), CV_STR("sandbox"));

	if (!v)
		return true;
	if (v->type != CV_VALUE_STRING || !cv_str_eq(v->s, cv_str_of(c->box->name))) {
		if (known && v->type != CV_VALUE_STRING)
			return true; /* the schema's to judge */
		refuse_plain(c, 403, "sandbox_mismatch",
			"the field sandbox names another sandbox than the one that asks");
		return false;
	}
	if (known)
		return true;
	c->arguments = without(c->arguments, CV_STR("sandbox"), &c->s->arena);
	cv_buf_fini(&c->canonical);
	if (c->arguments && digest_make(c))
		return true;
	refuse_plain(c, 413, "body_too_large", "the arguments are too many");
	return false;
}

static bool schema_check(struct call *c)
{
	static struct cv_schema_errors errors; /* large; used up here */
	struct cv_arena texts;
	struct cv_buf e;
	cv_code code;

	cv_arena_init(&texts, 1u << 20);
	cv_schema_errors_init(&errors, &texts);
	code = cv_schema_check(c->tool->schema, c->arguments, CV_SCHEMA_STRICT, &errors);
	if (code == CV_OK) {
		cv_arena_fini(&texts);
		return true;
	}
	invalid_begin(&e);
	for (size_t i = 0; i < errors.n; i++)
		invalid_put(
			&e, i == 0, errors.e[i].pointer, errors.e[i].message, errors.e[i].nearest);
	cv_buf_put_byte(&e, ']');
	if (errors.is_cut)
		cv_buf_put(&e, CV_STR(",\"truncated\":true"));
	refuse(c, 400, "invalid_arguments", 0,
		code == CV_LIMIT ? CV_STR("judging the arguments took too much")
				 : CV_STR("the arguments are not what the tool takes"),
		&e);
	cv_arena_fini(&texts);
	return false;
}

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
		refuse_plain(c, 400, "bad_request", "Idempotency-Key is too long");
		return true;
	}
	j = job_find_key(c->b, c->box, key);
	if (!j)
		return false;
	if (!cv_str_eq(cv_str_of(j->tool_name), c->tool->name) ||
		strcmp(j->digest, c->digest) != 0) {
		refuse_plain(c, 409, "idempotency_conflict",
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
	u->name = strndup(name.p, name.n);
	if (!u->name)
		return NULL;
	box->rule_count++;
	return u;
}

static bool is_free(const struct broker *b, const struct sandbox *box, const struct job *j)
{
	const struct cv_tool *t = j->tool;

	if (b->running[t - b->catalog->tools] >= t->concurrency ||
		box->running >= BROKER_RUNNING_EACH_MAX)
		return false;
	for (size_t i = 0; j->concurrency && i < box->rule_count; i++)
		if (strcmp(box->rule[i].name, j->rule) == 0)
			return box->rule[i].running < j->concurrency;
	return true;
}

/* Limits that hold whether it waits or not. */
static bool counts_check(struct call *c, struct rule_use *use)
{
	const struct cv_tool_limits *l = &c->verdict.limits;

	if (!use) {
		refuse_limit(c, "too_many_calls", BROKER_RULES_MAX, 0,
			"the policy had more rules than are counted");
		return false;
	}
	if (l->calls && use->calls >= l->calls) {
		refuse_limit(c, "too_many_calls", l->calls, 0,
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
	if (c->s->request.idempotency_key.n)
		j->key = strndup(c->s->request.idempotency_key.p, c->s->request.idempotency_key.n);
	return j;
}

/* Held for a person, or let go.  False: it was refused. */
static bool admit(struct call *c, struct job *j)
{
	struct sandbox *box = c->box;
	const bool is_held = c->verdict.approval == CV_TOOL_APPROVAL_ALWAYS ||
			     (c->verdict.approval == CV_TOOL_APPROVAL_ONCE &&
				     !hold_is_approved(box, cv_str_of(j->rule), c->tool->name));

	if (is_held && box->held >= BROKER_HELD_EACH_MAX) {
		refuse_limit(c, "too_many_held", BROKER_HELD_EACH_MAX, 30,
			"too many calls wait for approval");
		return false;
	}
	if (!is_held && !is_free(c->b, box, j)) {
		if (!c->is_asynchronous || box->queued >= BROKER_QUEUED_EACH_MAX) {
			const uint32_t limit =
				j->concurrency ? CV_MIN(j->concurrency, c->tool->concurrency)
					       : c->tool->concurrency;

			refuse_limit(c, "too_many_at_once",
				c->is_asynchronous ? BROKER_QUEUED_EACH_MAX : limit, 1,
				"the tool is busy; try again, or ask for a job with Prefer: "
				"respond-async");
			return false;
		}
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
	j->start_us = clock_us();
	if (is_held) {
		hold_start(b, j);
	} else if (!is_free(b, c->box, j)) {
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
	refuse_argument(c, pointer, err.msg);
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
		refuse_limit(c, "too_many_at_once", BROKER_JOBS_EACH_MAX, 5,
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
	if (type_check(&c) && arguments_read(&c, places)) {
		if (!digest_make(&c))
			refuse_plain(&c, 413, "body_too_large", "the arguments are too large");
		else if (policy_check(&c) && sandbox_field_check(&c) && schema_check(&c))
			judge(&c);
	}
	cv_buf_fini(&c.canonical);
}

/* ---- its start ---- */

void call_start(struct broker *b, struct job *j)
{
	struct cv_err err;

	job_state_set(b, j, JOB_RUNNING);
	j->backend = backend_of(j->tool);
	j->due_ms = b->loop.now_ms + (int64_t)j->seconds * 1000;
	due_at(b, j->due_ms);
	if (j->backend->start(b, j, &err))
		return;
	call_end(b, j, &(struct call_end){ .outcome = CALL_BROKEN, .detail = err.msg });
}

/* Jobs that waited for their tool, in the order in which they came. */
void call_queue_run(struct broker *b)
{
	while (b->is_queue_due && b->queued) {
		struct job *next = NULL;

		for (uint32_t i = 0; i < b->jobs.top; i++) {
			struct job *j = pool_at(&b->jobs, i);

			if (j && j->state == JOB_QUEUED && (!next || j->seq < next->seq) &&
				is_free(b, pool_get(&b->sandboxes, j->sandbox), j))
				next = j;
		}
		if (!next)
			break;
		call_start(b, next);
	}
	b->is_queue_due = false;
}

/* NULL: this build has none yet. */
static const struct backend *const backends[CV_TOOL_BACKEND_COUNT] = {
	[CV_TOOL_COMMAND] = &command_backend,
};

const struct backend *backend_of(const struct cv_tool *t)
{
	return backends[t->backend];
}
