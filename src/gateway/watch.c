/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - followers of a sandbox: WatchSandbox
 *
 * Each sandbox has a ring of events, and while somebody follows its lines one of those (logs.c).  A
 * follower holds a place in each, not a copy: who reads slowly costs nothing, and who is overtaken by
 * the ring is told so and let go.  The sandbox itself is sent when its phase or its record became another,
 * as it is when its follower is ready: what passed within one turn, or while a follower did not read,
 * is not told one by one.
 *
 * Everything is sent in the part's turn, never from where it happened.
 */
#include "gateway/watch_int.h"

#include "gateway/draft_int.h"
#include "gateway/policy.h"
#include "rpc/unpack.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define SEND_ARENA_MAX (2u << 20)

struct cv_gw_watcher {
	struct cv_gw_watcher *next; /* of its box */
	struct cv_gateway *g;
	struct cv_ref ref, box;
	struct cv_rpc_call *call;
	const Openshell__V1__WatchSandboxRequest *r; /* the call's */
	struct lines_filter filter;
	uint64_t log, event; /* the next to be sent */
	uint64_t drafts;     /* the version that it knows */
	uint32_t policy;     /* and that of the policy */
	bool is_status_due, is_draft_due, is_blocked, is_finished;
};

struct cv_gw_watches {
	struct cv_slots all;
	bool is_due; /* something may be sent */
};

void watch_due(struct cv_gw_box *b)
{
	if (b->watchers && b->g->watches)
		b->g->watches->is_due = true;
}

void watch_platform(
	struct cv_gw_box *b, const char *reason, const char *const step[2], const char *message)
{
	static const char *const keys[] = { "openshell.progress.active_step",
		"openshell.progress.active_detail", "openshell.progress.complete_step",
		"openshell.progress.complete_label" };
	const char *const values[] = { step[0], message, step[1], message };
	Openshell__V1__PlatformEvent__MetadataEntry entry[CV_ARRAY_LEN(keys)],
		*v[CV_ARRAY_LEN(keys)];
	struct cv_gw_lines *lines = lines_of(b);
	Openshell__V1__PlatformEvent p;

	if (!lines)
		return;
	openshell__v1__platform_event__init(&p);
	p.timestamp_ms = cv_clock_unix_ms();
	p.source = (char *)(uintptr_t) "cove";
	p.type = (char *)(uintptr_t) "Normal";
	p.reason = (char *)(uintptr_t)reason;
	p.message = (char *)(uintptr_t)message;
	p.metadata = v;
	for (size_t i = 0; i < CV_ARRAY_LEN(keys); i++) {
		if (!*values[i & ~(size_t)1]) /* the step of the pair is none */
			continue;
		v[p.n_metadata] = &entry[p.n_metadata];
		openshell__v1__platform_event__metadata_entry__init(v[p.n_metadata]);
		v[p.n_metadata]->key = (char *)(uintptr_t)keys[i];
		v[p.n_metadata++]->value = (char *)(uintptr_t)values[i];
	}
	cv_gw_ring_put(&lines->events, cv_gw_entry_of(&p.base));
	watch_due(b);
}

/* ---- to a follower ---- */

static bool status_send(struct cv_gw_watcher *w, struct cv_gw_box *b)
{
	Openshell__V1__SandboxStreamEvent m;
	struct cv_arena arena;

	openshell__v1__sandbox_stream_event__init(&m);
	m.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX;
	cv_arena_init(&arena, SEND_ARENA_MAX);
	m.sandbox = cv_gw_box_view(b, &arena);
	w->policy = cv_gw_policy_active(b->g, cv_str_of(b->object->id));
	const bool has_room = !m.sandbox || cv_rpc_send(w->call, &m.base);
	cv_arena_fini(&arena);
	return has_room;
}

/* What is kept encoded, as the payload that it is. */
static bool entry_send(struct cv_gw_watcher *w, const struct cv_gw_entry *e,
	const ProtobufCMessageDescriptor *type,
	Openshell__V1__SandboxStreamEvent__PayloadCase payload)
{
	Openshell__V1__SandboxStreamEvent m;
	ProtobufCMessage *inner;
	struct cv_arena arena;
	struct cv_err err;
	bool has_room = true;

	cv_arena_init(&arena, SEND_ARENA_MAX);
	openshell__v1__sandbox_stream_event__init(&m);
	m.payload_case = payload;
	if (cv_rpc_unpack(type, cv_gw_entry_str(e), &arena, &inner, &err) == CV_OK) {
		if (payload == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG)
			m.log = (Openshell__V1__SandboxLogLine *)inner;
		else
			m.event = (Openshell__V1__PlatformEvent *)inner;
		has_room = cv_rpc_send(w->call, &m.base);
	}
	cv_arena_fini(&arena);
	return has_room;
}

static bool line_send(struct cv_gw_watcher *w, const struct cv_gw_entry *e)
{
	return !lines_wants(&w->filter, e) ||
	       entry_send(w, e, &openshell__v1__sandbox_log_line__descriptor,
		       OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG);
}

static bool event_send(struct cv_gw_watcher *w, const struct cv_gw_entry *e)
{
	return entry_send(w, e, &openshell__v1__platform_event__descriptor,
		OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_EVENT);
}

/* What waits for a decision about the sandbox's policy. */
static bool draft_send(struct cv_gw_watcher *w, const struct cv_gw_box *b)
{
	const struct cv_objects *objects = w->g->objects;
	const struct cv_object_range all =
		cv_object_scope(objects, CV_OBJECT_DRAFT_CHUNK, cv_str_of(b->object->id));
	Openshell__V1__DraftPolicyUpdate u;
	Openshell__V1__SandboxStreamEvent m;
	char summary[96];

	openshell__v1__draft_policy_update__init(&u);
	openshell__v1__sandbox_stream_event__init(&m);
	for (size_t i = all.first; i < all.end; i++) {
		const Openshell__V1__StoredDraftChunk *k =
			(const void *)cv_object_at(objects, CV_OBJECT_DRAFT_CHUNK, i)->message;
		const bool is_pending = strcmp(k->status, "pending") == 0;

		u.total_pending += is_pending;
		u.new_chunks += is_pending && (uint64_t)k->draft_version > w->drafts;
	}
	w->drafts = u.draft_version = draft_version(w->g, b->object);
	snprintf(summary, sizeof(summary), "%u new, %u pending", u.new_chunks, u.total_pending);
	u.summary = summary;
	m.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_DRAFT_POLICY_UPDATE;
	m.draft_policy_update = &u;
	return cv_rpc_send(w->call, &m.base);
}

/* A sandbox's record was written; a revision of its policy changed, of which the sandbox tells only
 * which one is enforced; or a proposal came, was decided, or is gone. */
static void on_object(
	void *arg, enum cv_object_change change, struct cv_object *o, const ProtobufCMessage *was)
{
	struct cv_gateway *g = arg;
	const bool is_draft = o->kind == CV_OBJECT_DRAFT_CHUNK;
	const bool is_revision = o->kind == CV_OBJECT_POLICY_REVISION;
	const bool is_own = o->kind == CV_OBJECT_SANDBOX && change == CV_OBJECT_WRITTEN;
	const struct cv_object *sandbox =
		is_draft || is_revision ? cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, o->scope)
		: is_own                ? o
					: NULL;
	struct cv_gw_box *b = sandbox ? cv_gw_box_of(sandbox) : NULL;

	(void)was;
	if (!b || !b->watchers)
		return;
	const uint32_t policy = is_revision ? cv_gw_policy_active(g, o->scope) : 0;
	for (struct cv_gw_watcher *w = b->watchers; w; w = w->next) {
		w->is_draft_due |= is_draft && (w->r->follow_events || w->r->follow_status);
		w->is_status_due |=
			w->r->follow_status && (is_own || (is_revision && policy != w->policy));
	}
	watch_due(b);
}

static bool is_lagging(struct cv_gw_watcher *w, const struct cv_gw_lines *l)
{
	uint64_t dropped = 0;

	if (w->r->follow_logs && w->log < l->logs.first)
		dropped += l->logs.first - w->log;
	if (w->r->follow_events && w->event < l->events.first)
		dropped += l->events.first - w->event;
	if (!dropped)
		return false;
	w->is_finished = true;
	cv_rpc_finish(w->call, CV_RPC_RESOURCE_EXHAUSTED,
		"watch stream lagged; dropped %llu messages", (unsigned long long)dropped);
	return true;
}

static bool is_terminal(const struct cv_gw_box *b)
{
	const Openshell__V1__SandboxPhase p = cv_gw_box_phase(b);

	return p == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY ||
	       p == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR;
}

/* As much as it takes; w may be gone afterwards. */
static void follower_send(struct cv_gw_watcher *w, struct cv_gw_box *b)
{
	struct cv_gw_lines *l = lines_of(b);

	if (!l || w->is_finished || is_lagging(w, l))
		return;
	if (!w->is_blocked && w->is_status_due) {
		w->is_status_due = false;
		w->is_blocked = !status_send(w, b);
	}
	if (!w->is_blocked && w->is_draft_due) {
		w->is_draft_due = false;
		w->is_blocked = !draft_send(w, b);
	}
	while (!w->is_blocked && w->r->follow_events && w->event < l->events.next)
		w->is_blocked = !event_send(w, cv_gw_ring_at(&l->events, w->event++));
	while (!w->is_blocked && w->r->follow_logs && w->log < l->logs.next)
		w->is_blocked = !line_send(w, cv_gw_ring_at(&l->logs, w->log++));
	const bool is_once = !w->r->follow_status && !w->r->follow_logs && !w->r->follow_events;
	if (!w->is_blocked && !w->is_status_due &&
		(is_once || (w->r->stop_on_terminal && is_terminal(b)))) {
		w->is_finished = true;
		cv_rpc_finish(w->call, CV_RPC_OK, NULL);
	}
}

/* ---- followers ---- */

static bool has_log_follower(const struct cv_gw_box *b)
{
	for (const struct cv_gw_watcher *w = b->watchers; w; w = w->next)
		if (w->r->follow_logs)
			return true;
	return false;
}

static void watcher_free(struct cv_gw_watcher *w)
{
	struct cv_gw_box *b = cv_gw_box_get(w->g, w->box);

	for (struct cv_gw_watcher **i = b ? &b->watchers : NULL; i && *i; i = &(*i)->next)
		if (*i == w) {
			*i = w->next;
			break;
		}
	if (b && w->r->follow_logs && !has_log_follower(b))
		lines_unfollow(b);
	cv_slots_remove(&w->g->watches->all, w->ref);
	free(w);
}

/* Where the last n of the wanted ones begin; filter NULL: all are. */
static uint64_t tail(const struct cv_gw_ring *r, uint32_t n, const struct lines_filter *f)
{
	uint64_t at = r->next;

	while (n && at > r->first)
		if (--at, !f || lines_wants(f, cv_gw_ring_at(r, at)))
			n--;
	return at;
}

static void on_watch(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__WatchSandboxRequest *r = (const Openshell__V1__WatchSandboxRequest *)m;
	struct cv_gateway *g = cv_gw_of(c);
	const struct lines_filter filter = { r->log_since_ms, r->log_sources, r->n_log_sources,
		r->log_min_level };
	struct cv_gw_box *b;
	struct cv_err err;
	enum cv_rpc_status s =
		cv_gw_box_open(c, "id", cv_str_of(r->id), CV_STR_NONE, false, &b, &err);

	if (s == CV_RPC_OK)
		s = lines_filter_check(&filter, "log_", &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	struct cv_gw_watcher *w = calloc(1, sizeof(*w));
	struct cv_gw_lines *l = lines_of(b);
	if (r->follow_logs)
		lines_follow(b);
	if (!l || !w || !cv_slots_add(&g->watches->all, w, &w->ref)) {
		free(w);
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	w->g = g;
	w->box = b->ref;
	w->call = c;
	w->r = r;
	w->is_status_due = true; /* the snapshot */
	w->drafts = draft_version(g, b->object);
	w->filter = filter;
	w->log = tail(&l->logs, r->log_tail_lines ? r->log_tail_lines : LINES_TAIL, &w->filter);
	w->event = tail(&l->events, r->event_tail, NULL);
	w->next = b->watchers;
	b->watchers = w;
	cv_rpc_call_set_state(c, w);
	g->watches->is_due = true;
}

static void on_writable(struct cv_rpc_call *c)
{
	struct cv_gw_watcher *w = cv_rpc_call_state(c);

	if (!w)
		return;
	w->is_blocked = false;
	w->g->watches->is_due = true;
}

static void on_closed(struct cv_rpc_call *c)
{
	if (cv_rpc_call_state(c))
		watcher_free(cv_rpc_call_state(c));
}

void watch_phase(struct cv_gw_box *b)
{
	for (struct cv_gw_watcher *w = b->watchers; w; w = w->next)
		w->is_status_due |= w->r->follow_status || w->r->stop_on_terminal;
	watch_due(b);
}

void watch_deleted(struct cv_gw_box *b)
{
	for (struct cv_gw_watcher *w = b->watchers, *next; w; w = next) {
		next = w->next;
		w->box = (struct cv_ref){ UINT32_MAX, 0 };
		if (!w->is_finished) {
			w->is_finished = true;
			cv_rpc_finish(w->call, CV_RPC_OK, NULL);
		}
	}
	b->watchers = NULL;
	lines_free(b);
}

/* ---- the part ---- */

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_watches *s = g->watches;

	if (!s->is_due)
		return INT64_MAX;
	s->is_due = false;
	for (size_t i = 0; i < s->all.n; i++) {
		struct cv_gw_watcher *w = s->all.v[i].thing;
		struct cv_gw_box *b = w ? cv_gw_box_get(g, w->box) : NULL;

		if (b)
			follower_send(w, b);
	}
	return INT64_MAX;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->watches = calloc(1, sizeof(*g->watches));
	if (!g->watches)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_objects_listen(g->objects, on_object, g);
	return CV_OK;
}

static void part_stop(struct cv_gateway *g)
{
	for (size_t i = 0; g->watches && i < g->watches->all.n; i++)
		if (g->watches->all.v[i].thing)
			watcher_free(g->watches->all.v[i].thing);
	if (g->watches)
		cv_slots_fini(&g->watches->all);
	free(g->watches);
	g->watches = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "WatchSandbox", { .message = on_watch, .writable = on_writable, .closed = on_closed } },
};

const struct cv_gw_part cv_gw_part_watch = {
	.name = "watch",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
	.stop = part_stop,
	.turn = part_turn,
};
