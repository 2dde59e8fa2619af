/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission.c - see admission.h
 *
 * A request is judged after everything else about it was found good.  It goes, waits (if it asked to,
 * and there may be room one day), or is refused; who waits is let in by the turn that follows whatever
 * made room.  Letting in is one write of the store, after which a crash changes nothing.
 *
 * Sandboxes that were let in are never put out: quotas that shrink only keep others from coming.
 */
#include "gateway/admission_int.h"

#include "base/time.h"
#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/pb.h"
#include "gateway/sandbox_int.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define PHASE(name)         OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_##name
#define COND_WAITS          "Queued"   /* since when; its message: until when */
#define COND_ADMITTED       "Admitted" /* "False": never */
#define TEXT_BYTES_MAX      1024
#define QUEUE_TEXT_BYTES    96
#define ADMISSIONS_TURN_MAX 8    /* writes of the store in one turn: others want theirs, too */
#define NEVER_IN_MAX        64   /* of a workspace: they are not counted, but kept until deleted */
#define STORE_RETRY_MS      1000 /* it refused; that does not end within a turn */

static struct cv_gw_admission *table_of(const struct cv_gateway *g)
{
	return g->admission;
}

/* ---- what is stored ---- */

static Openshell__V1__SandboxCondition *condition_of(
	const Openshell__V1__SandboxStatus *s, const char *type)
{
	for (size_t i = 0; s && i < s->n_conditions; i++)
		if (!strcmp(s->conditions[i]->type, type))
			return s->conditions[i];
	return NULL;
}

static const Openshell__V1__SandboxStatus *status_of(const struct cv_gw_box *b)
{
	return cv_gw_box_stored(b)->status;
}

bool cv_gw_admission_waits(const struct cv_gw_box *b)
{
	return status_of(b) && status_of(b)->phase == PHASE(PROVISIONING);
}

bool cv_gw_admission_is_new(const struct cv_gw_box *b)
{
	return condition_of(status_of(b), COND_ADMITTED) != NULL;
}

static void condition_add(Openshell__V1__SandboxStatus *s, const char *type, const char *status,
	const char *reason, struct cv_str message, int64_t since_ms)
{
	char text[CV_TIME_TEXT_BYTES];
	Openshell__V1__SandboxCondition *c =
		cv_pb_new(&openshell__v1__sandbox_condition__descriptor);

	cv_pb_str_set(&c->type, cv_str_of(type));
	cv_pb_str_set(&c->status, cv_str_of(status));
	cv_pb_str_set(&c->reason, cv_str_of(reason));
	cv_pb_str_set(&c->message, message);
	cv_pb_str_set(&c->last_transition_time, cv_time_format(since_ms, text));
	cv_pb_append(&s->conditions, &s->n_conditions, c);
}

static void note_put(
	Openshell__V1__SandboxStatus *s, int64_t since_ms, int64_t until_ms, bool is_new)
{
	char until[CV_TIME_TEXT_BYTES];

	if (s->phase == PHASE(PROVISIONING))
		condition_add(s, COND_WAITS, "True", "WaitsForRoom",
			cv_time_format(until_ms, until), since_ms);
	if (is_new && s->phase != PHASE(READY))
		condition_add(s, COND_ADMITTED, "False", "NotAdmitted",
			CV_STR("There was no room for the sandbox"), since_ms);
}

void cv_gw_admission_note(const struct cv_gw_box *b, Openshell__V1__SandboxStatus *s)
{
	const Openshell__V1__SandboxCondition *never = condition_of(status_of(b), COND_ADMITTED);
	int64_t since_ms = b->wait_since_ms;

	if (never && s->phase != PHASE(PROVISIONING) &&
		!cv_time_parse(cv_str_of(never->last_transition_time), &since_ms))
		since_ms = cv_clock_unix_ms();
	note_put(s, since_ms, b->wait_until_ms, never != NULL);
}

/* From the notes, as a gateway that comes back has nothing else.  What can't be read is now: it
 * fails, and says so, instead of waiting for ever. */
static void note_read(struct cv_gw_box *b)
{
	const Openshell__V1__SandboxCondition *c = condition_of(status_of(b), COND_WAITS);
	const int64_t now = cv_clock_unix_ms();

	if (!c || !cv_time_parse(cv_str_of(c->last_transition_time), &b->wait_since_ms))
		b->wait_since_ms = now;
	if (!c || !cv_time_parse(cv_str_of(c->message), &b->wait_until_ms))
		b->wait_until_ms = now;
}

/* ---- what it is counted with ---- */

struct asks {
	struct cv_quota_amount amount;
	unsigned defaults; /* bits of resources that the sandbox says no limit of */
};

static struct asks asks_of(const struct cv_gateway *g, const Openshell__V1__SandboxSpec *spec)
{
	struct asks a = { .amount = { { [CV_QUOTA_SANDBOXES] = 1 } } };
	uint64_t *v = a.amount.v;

	create_asks(spec, &v[CV_QUOTA_MEMORY], &v[CV_QUOTA_CPU]);
	if (!v[CV_QUOTA_MEMORY]) {
		v[CV_QUOTA_MEMORY] = g->config->quota_default_memory;
		a.defaults |= 1u << CV_QUOTA_MEMORY;
	}
	if (!v[CV_QUOTA_CPU]) {
		v[CV_QUOTA_CPU] = g->config->quota_default_cpu;
		a.defaults |= 1u << CV_QUOTA_CPU;
	}
	return a;
}

static bool has_process(const struct cv_gw_box *b)
{
	return b->state != CV_GW_ABSENT && b->state != CV_GW_QUEUED && b->state != CV_GW_WAITING;
}

static struct cv_quota_amount counts_of(const struct cv_gw_box *b)
{
	const bool should_run = cv_gw_box_want(b) == CV_GW_RUN && !cv_gw_admission_waits(b);
	struct cv_quota_amount a = { { 0 } };

	if (should_run || has_process(b))
		a = b->asks;
	a.v[CV_QUOTA_SANDBOXES] = !cv_gw_admission_is_new(b);
	return a;
}

static bool is_less(const struct cv_quota_amount *a, const struct cv_quota_amount *b)
{
	for (size_t i = 0; i < CV_QUOTA_COUNT; i++)
		if (a->v[i] < b->v[i])
			return true;
	return false;
}

static void queue_changed(struct cv_gw_admission *t)
{
	t->due_ms = cv_quota_due_ms(&t->q);
	t->is_due = t->has_moved = true;
}

void cv_gw_admission_recount(struct cv_gw_box *b)
{
	struct cv_gw_admission *t = table_of(b->g);
	const bool waits = cv_gw_admission_waits(b);
	const struct cv_quota_amount now = counts_of(b);

	if (!b->quota.room) /* it leaves */
		return;
	t->is_due |= is_less(&now, &b->quota.counted);
	cv_quota_count(&t->q, &b->quota, &now);
	if (waits == b->quota.is_queued)
		return;
	if (waits) {
		note_read(b);
		cv_quota_enqueue(&t->q, &b->quota, &b->asks, b->wait_since_ms, b->wait_until_ms);
	} else {
		cv_quota_dequeue(&t->q, &b->quota);
	}
	queue_changed(t);
}

bool cv_gw_admission_join(struct cv_gw_box *b)
{
	const struct asks a = asks_of(b->g, cv_gw_box_stored(b)->spec);

	b->asks = a.amount;
	b->asks_default = a.defaults;
	b->quota.owner = b;
	if (!cv_quota_join(&table_of(b->g)->q, &b->quota, b->object->scope))
		return false;
	cv_gw_admission_recount(b);
	return true;
}

void cv_gw_admission_leave(struct cv_gw_box *b)
{
	struct cv_gw_admission *t = table_of(b->g);

	if (!b->quota.room)
		return;
	cv_quota_leave(&t->q, &b->quota);
	queue_changed(t);
}

/* ---- a request ---- */

/* "30s", "5m", "1h", "1d", or seconds; empty: 0. */
static enum cv_rpc_status wait_read(
	const struct cv_rpc_call *c, uint64_t *ret_ms, struct cv_err *err)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	const struct cv_str text = cv_str_trim(cv_rpc_call_metadata(c, CV_GW_QUEUE_HEADER));
	const uint32_t max = cv_gw_of(c)->config->queue_max_wait;
	struct cv_str digits = text;
	uint64_t n = 0, per = 1;

	*ret_ms = 0;
	if (!text.n)
		return CV_RPC_OK;
	for (size_t i = 0; i < CV_ARRAY_LEN(units); i++)
		if (text.p[text.n - 1] == units[i].unit) {
			digits = cv_str_slice(text, 0, text.n - 1);
			per = units[i].seconds;
		}
	if (!cv_str_to_u64(digits, UINT32_MAX, &n))
		return cv_fail(err, CV_INVALID,
			       CV_GW_QUEUE_HEADER " '%.*s' is no duration such as 30s, 5m or 1h",
			       (int)CV_MIN(text.n, (size_t)40), text.p),
		       CV_RPC_INVALID_ARGUMENT;
	if (n * per > max)
		return cv_fail(err, CV_INVALID,
			       CV_GW_QUEUE_HEADER
			       " is at most %us here (quotas.queue.max_wait_secs)",
			       max),
		       CV_RPC_INVALID_ARGUMENT;
	*ret_ms = n * per * 1000;
	return CV_RPC_OK;
}

static enum cv_rpc_status refuse(const struct cv_quota_short *s, struct cv_str workspace,
	unsigned defaults, const char *why, struct cv_err *err)
{
	struct cv_buf text;

	cv_buf_init(&text, TEXT_BYTES_MAX);
	cv_quota_explain(&text, s, workspace, defaults);
	cv_fail(err, CV_LIMIT, "%.*s; %s", CV_STR_ARG(cv_buf_str(&text)),
		why ? why : cv_quota_advice(s));
	cv_buf_fini(&text);
	cv_metric_add(CV_METRIC_ADMISSIONS, 1, "refused");
	return CV_RPC_RESOURCE_EXHAUSTED;
}

/* Those whose time was over before there was room, or who were stopped then. */
static size_t never_in(const struct cv_gateway *g, struct cv_str workspace)
{
	const struct cv_object_range all =
		cv_object_scope(g->objects, CV_OBJECT_SANDBOX, workspace);
	size_t n = 0;

	for (size_t i = all.first; i < all.end; i++) {
		const struct cv_gw_box *b =
			cv_gw_box_of(cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));

		n += b && cv_gw_admission_is_new(b) && !b->quota.is_queued;
	}
	return n;
}

uint32_t admission_queue_share(const struct cv_gateway *g)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_WORKSPACE);
	const struct cv_gw_config *c = g->config;

	if (c->queue_workspace_length)
		return c->queue_workspace_length;
	return all.end - all.first > 1 ? c->queue_length / 2 + c->queue_length % 2
				       : c->queue_length;
}

static size_t queued_of(const struct cv_gateway *g, struct cv_str workspace)
{
	const struct cv_quota_room *room = cv_quota_room_find(&table_of(g)->q, workspace);

	return room ? room->queued : 0;
}

/* May one more wait?  NULL, or why not. */
static const char *queue_closed(
	const struct cv_gateway *g, struct cv_str workspace, char text[QUEUE_TEXT_BYTES])
{
	if (table_of(g)->q.queued >= g->config->queue_length)
		snprintf(text, QUEUE_TEXT_BYTES, "and no more than %u may wait: try again later",
			g->config->queue_length);
	else if (queued_of(g, workspace) >= admission_queue_share(g))
		snprintf(text, QUEUE_TEXT_BYTES,
			"and no more than %u of one workspace may wait: try again later",
			admission_queue_share(g));
	else if (never_in(g, workspace) >= NEVER_IN_MAX)
		snprintf(text, QUEUE_TEXT_BYTES,
			"and %d that were never let in are still there: delete them first",
			NEVER_IN_MAX);
	else
		return NULL;
	return text;
}

/* *ret_until_ms: 0, it goes; else it waits, at most so long. */
static enum cv_rpc_status decide(const struct cv_rpc_call *c, struct cv_str workspace,
	const struct asks *a, const struct cv_quota_amount *counted, int64_t *ret_until_ms,
	struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_gw_admission *t = table_of(g);
	struct cv_quota_short why;
	uint64_t wait_ms;
	char text[QUEUE_TEXT_BYTES];
	const enum cv_rpc_status s = wait_read(c, &wait_ms, err);

	*ret_until_ms = 0;
	if (s != CV_RPC_OK)
		return s;
	(void)cv_gw_admission_turn(g); /* who waits comes first */
	const enum cv_quota_verdict v = cv_quota_judge(&t->q, workspace, &a->amount, counted, &why);
	if (v == CV_QUOTA_FITS) {
		cv_metric_add(CV_METRIC_ADMISSIONS, 1, "admitted");
		return CV_RPC_OK;
	}
	if (v == CV_QUOTA_NEVER || !wait_ms)
		return refuse(&why, workspace, a->defaults, NULL, err);
	const char *closed = queue_closed(g, workspace, text);
	if (closed)
		return refuse(&why, workspace, a->defaults, closed, err);
	cv_metric_add(CV_METRIC_ADMISSIONS, 1, "queued");
	*ret_until_ms = cv_clock_unix_ms() + (int64_t)wait_ms;
	return CV_RPC_OK;
}

enum cv_rpc_status cv_gw_admission_create(
	const struct cv_rpc_call *c, Openshell__V1__Sandbox *m, struct cv_err *err)
{
	static const struct cv_quota_amount nothing;
	const struct asks a = asks_of(cv_gw_of(c), m->spec);
	int64_t until_ms;
	const enum cv_rpc_status s =
		decide(c, cv_str_of(m->metadata->workspace), &a, &nothing, &until_ms, err);

	if (s == CV_RPC_OK && until_ms) {
		m->status->phase = PHASE(PROVISIONING);
		note_put(m->status, cv_clock_unix_ms(), until_ms, true);
	}
	return s;
}

enum cv_rpc_status cv_gw_admission_start(const struct cv_rpc_call *c, struct cv_gw_box *b,
	Openshell__V1__SandboxPhase *ret, struct cv_err *err)
{
	const struct asks a = { b->asks, b->asks_default };
	int64_t until_ms;
	const enum cv_rpc_status s =
		decide(c, b->object->scope, &a, &b->quota.counted, &until_ms, err);

	*ret = until_ms ? PHASE(PROVISIONING) : PHASE(READY);
	b->wait_since_ms = cv_clock_unix_ms();
	b->wait_until_ms = until_ms;
	return s;
}

/* ---- the queue ---- */

static double waited_s(const struct cv_gw_box *b)
{
	return (double)CV_MAX(cv_clock_unix_ms() - b->wait_since_ms, 0) / 1000;
}

static void admit(struct cv_gw_box *b)
{
	struct cv_gw_admission *t = table_of(b->g);
	struct cv_err err;

	if (box_want_write(b, PHASE(READY), NULL, &err) != CV_RPC_OK) {
		cv_log(CV_LOG_ERROR, "admission", CV_LOG_FIELDS({ "id", cv_str_of(b->object->id) }),
			"room is there, but that can't be written: %s", err.msg);
		t->retry_ms = b->g->loop.now_ms + STORE_RETRY_MS;
		return;
	}
	cv_metric_observe(CV_METRIC_ADMISSION_WAIT_SECONDS, waited_s(b));
	cv_gw_box_log(b, "INFO", "admission", "room is there after %.1f s", waited_s(b));
	box_settle(b);
}

static void give_up(struct cv_gw_box *b, const char *reason, const char *outcome)
{
	struct cv_gw_admission *t = table_of(b->g);
	const struct cv_quota_short s = cv_quota_why(&t->q, &b->quota);
	struct cv_buf text;

	cv_buf_init(&text, TEXT_BYTES_MAX);
	cv_buf_printf(&text, "There was no room within %.0f s: ", waited_s(b));
	cv_quota_explain(&text, &s, b->object->scope, b->asks_default);
	cv_buf_put_byte(&text, '\0');
	box_fail(b, reason, -1, cv_buf_str(&text).p);
	cv_buf_fini(&text);
	if (b->quota.is_queued) { /* not written */
		t->retry_ms = b->g->loop.now_ms + STORE_RETRY_MS;
		return;
	}
	cv_metric_add(CV_METRIC_ADMISSIONS, 1, outcome);
	box_settle(b);
}

static bool may_write(const struct cv_gateway *g)
{
	return g->loop.now_ms >= table_of(g)->retry_ms;
}

static void expire(struct cv_gateway *g)
{
	struct cv_gw_admission *t = table_of(g);
	struct cv_quota_holder *h;

	while (may_write(g) && (h = cv_quota_expired(&t->q, cv_clock_unix_ms())))
		give_up(h->owner, "AdmissionTimedOut", "timed_out");
}

/* For whom the quotas that came with a reload have no room at all. */
static void hopeless_end(struct cv_gateway *g)
{
	struct cv_quota_holder *h = table_of(g)->q.first, *next;

	for (; h && may_write(g); h = next) {
		next = h->next;
		if (cv_quota_why(&table_of(g)->q, h).verdict == CV_QUOTA_NEVER)
			give_up(h->owner, "QuotaExceeded", "refused");
	}
}

/* True: there may be more. */
static bool pump(struct cv_gateway *g)
{
	struct cv_gw_admission *t = table_of(g);

	for (int i = 0; i < ADMISSIONS_TURN_MAX; i++) {
		struct cv_quota_holder *h = may_write(g) ? cv_quota_next(&t->q) : NULL;

		if (!h)
			return !may_write(g);
		admit(h->owner);
	}
	return true;
}

int64_t cv_gw_admission_turn(struct cv_gateway *g)
{
	struct cv_gw_admission *t = table_of(g);

	if (!t->q.queued || g->is_draining)
		return INT64_MAX;
	if (cv_clock_unix_ms() >= t->due_ms)
		expire(g);
	if (t->is_due)
		t->is_due = pump(g);
	if (t->has_moved)
		for (struct cv_quota_holder *h = t->q.first; h; h = h->next)
			watch_phase(h->owner);
	t->has_moved = false;
	if (t->is_due)
		return CV_MAX(t->retry_ms, g->loop.now_ms);
	const int64_t left = t->due_ms == INT64_MAX ? INT64_MAX : t->due_ms - cv_clock_unix_ms();
	return left == INT64_MAX ? left : CV_MAX(t->retry_ms, g->loop.now_ms + CV_MAX(left, 0) + 1);
}

struct cv_str cv_gw_admission_words(const struct cv_gw_box *b, struct cv_arena *arena)
{
	const struct cv_gw_admission *t = table_of(b->g);
	const struct cv_quota_short s = cv_quota_why(&t->q, &b->quota);
	char until[CV_TIME_TEXT_BYTES];
	struct cv_buf text;

	cv_buf_init(&text, TEXT_BYTES_MAX);
	cv_buf_printf(&text,
		"Place %zu of %zu in the queue, until %.*s: ", cv_quota_place(&t->q, &b->quota),
		t->q.queued, CV_STR_ARG(cv_time_format(b->wait_until_ms, until)));
	cv_quota_explain(&text, &s, b->object->scope, b->asks_default);
	const struct cv_str copy = cv_arena_str(arena, cv_buf_str(&text));
	cv_buf_fini(&text);
	return copy;
}

/* ---- the part ---- */

static void configure(struct cv_gateway *g)
{
	const struct cv_gw_config *c = g->config;
	const struct cv_quota_limits l = {
		.host = { { c->quota_host_sandboxes, c->quota_host_memory, c->quota_host_cpu } },
		.workspace = { { c->quota_workspace_sandboxes, c->quota_workspace_memory,
			c->quota_workspace_cpu } },
		.name = c->quota_workspaces.name,
		.own = c->quota_workspaces.own,
		.n = c->quota_workspaces.n,
	};

	cv_quota_configure(&table_of(g)->q, &l);
}

/* The default request may be another one: who asks for it is counted anew, whoever runs or waits. */
static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	struct cv_gw_admission *t = table_of(g);
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_SANDBOX);

	(void)old;
	configure(g);
	for (size_t i = all.first; i < all.end; i++) {
		struct cv_gw_box *b = cv_gw_box_of(cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));

		if (!b)
			continue;
		const struct asks a = asks_of(g, cv_gw_box_stored(b)->spec);
		b->asks = a.amount;
		b->quota.need = a.amount;
		cv_gw_admission_recount(b);
	}
	hopeless_end(g);
	t->is_due = t->has_moved = true;
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_gw_admission *t = calloc(1, sizeof(*t));

	if (!t)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_quota_init(&t->q);
	t->due_ms = INT64_MAX;
	g->admission = t;
	configure(g);
	return CV_OK;
}

static void stop(struct cv_gateway *g)
{
	if (!g->admission)
		return;
	cv_quota_fini(&g->admission->q);
	free(g->admission);
	g->admission = NULL;
}

const struct cv_gw_part cv_gw_part_admission = {
	.name = "admission",
	.methods = admission_methods,
	.method_count = ADMISSION_METHODS,
	.start = start,
	.stop = stop,
	.reload = reload,
};
