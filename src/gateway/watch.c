/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - followers of a sandbox, and what they follow: WatchSandbox, GetSandboxLogs
 *
 * Each sandbox has a ring of log lines and one of events, bounded in number and bytes.  A follower
 * holds a place in each, not a copy: who reads slowly costs nothing, and who is overtaken by the ring
 * is told so and let go.  The sandbox itself is sent as it is when its follower is ready, so phases
 * that passed within one turn, or while a follower did not read, are not told one by one.
 *
 * Everything is sent in the part's turn, never from where it happened.
 */
#include "gateway/sandbox_int.h"

#include "gateway/access.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINES_MAX        2000         /* openshell-api 7 */
#define LINES_BYTES_MAX  (512u << 10) /* of one sandbox: two thousand of them fit a gigabyte */
#define EVENTS_MAX       200
#define EVENTS_BYTES_MAX (64u << 10)
#define TAIL_DEFAULT     200
#define TEXT_BYTES_MAX   8192 /* of a line */
#define SEND_ARENA_MAX   (2u << 20)

struct entry {
	int64_t ms;
	size_t bytes;
	char level[16];
	const char *target, *message, *source, *reason, *active, *complete; /* in text, or static */
	char text[];
};

struct ring {
	struct entry **v; /* of next - first entries, at number % cap */
	size_t cap, bytes, count_max, bytes_max;
	uint64_t first, next;
};

struct cv_gw_lines {
	struct ring logs, events;
};

struct cv_gw_watcher {
	struct cv_gw_watcher *next; /* of its box */
	struct cv_gateway *g;
	struct cv_ref ref, box;
	struct cv_rpc_call *call;
	const Openshell__V1__WatchSandboxRequest *r; /* the call's */
	uint64_t log, event;                         /* the next to be sent */
	bool is_status_due, is_blocked, is_finished;
};

struct cv_gw_watches {
	struct cv_slots all;
	bool is_due; /* something may be sent */
};

/* ---- rings ---- */

static void ring_drop(struct ring *r)
{
	struct entry *e = r->v[r->first++ % r->cap];

	r->bytes -= e->bytes;
	free(e);
}

static void ring_fini(struct ring *r)
{
	while (r->first < r->next)
		ring_drop(r);
	free(r->v);
}

static bool ring_grow(struct ring *r)
{
	const size_t cap = r->cap ? 2 * r->cap : 16;
	struct entry **v = calloc(cap, sizeof(struct entry *));

	if (!v)
		return false;
	for (uint64_t i = r->first; i < r->next; i++)
		v[i % cap] = r->v[i % r->cap];
	free(r->v);
	r->v = v;
	r->cap = cap;
	return true;
}

/* Takes e.  Without memory it is lost, as if it had been overtaken. */
static void ring_put(struct ring *r, struct entry *e)
{
	while (r->first < r->next &&
		(r->next - r->first == r->count_max || r->bytes + e->bytes > r->bytes_max))
		ring_drop(r);
	if (r->next - r->first == r->cap && !ring_grow(r)) {
		free(e);
		return;
	}
	r->v[r->next++ % r->cap] = e;
	r->bytes += e->bytes;
}

static struct cv_gw_lines *lines_of(struct cv_gw_box *b)
{
	if (b->lines)
		return b->lines;
	b->lines = calloc(1, sizeof(*b->lines));
	if (b->lines) {
		b->lines->logs.count_max = LINES_MAX;
		b->lines->logs.bytes_max = LINES_BYTES_MAX;
		b->lines->events.count_max = EVENTS_MAX;
		b->lines->events.bytes_max = EVENTS_BYTES_MAX;
	}
	return b->lines;
}

static void due(struct cv_gw_box *b)
{
	if (b->watchers && b->g->watches)
		b->g->watches->is_due = true;
}

static void line_put(struct cv_gw_box *b, int64_t ms, struct cv_str level, struct cv_str target,
	struct cv_str message, const char *source)
{
	struct cv_gw_lines *lines = lines_of(b);
	const size_t text_bytes = target.n + message.n + 2;
	struct entry *e = lines ? calloc(1, sizeof(*e) + text_bytes) : NULL;

	if (!e)
		return;
	e->ms = ms;
	e->bytes = sizeof(*e) + text_bytes;
	e->source = source;
	e->target = e->text;
	e->message = e->text + target.n + 1;
	snprintf(e->level, sizeof(e->level), "%.*s", CV_STR_ARG(level));
	snprintf(e->text, target.n + 1, "%.*s", CV_STR_ARG(target));
	snprintf(e->text + target.n + 1, message.n + 1, "%.*s", CV_STR_ARG(message));
	ring_put(&lines->logs, e);
	due(b);
}

void cv_gw_box_log(struct cv_gw_box *b, const char *level, const char *target, const char *fmt, ...)
{
	char text[TEXT_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line_put(b, cv_gw_unix_ms(), cv_str_of(level), cv_str_of(target), cv_str_of(text),
		"gateway");
}

void watch_event_line(struct cv_gw_box *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const int64_t ms = (int64_t)cv_ipc_get_u64(&r);
	const struct cv_str level = cv_ipc_get_str(&r), target = cv_ipc_get_str(&r),
			    message = cv_ipc_get_str(&r);

	if (!r.is_bad)
		line_put(b, ms, level, target, cv_str_slice(message, 0, TEXT_BYTES_MAX), "sandbox");
}

void watch_platform(
	struct cv_gw_box *b, const char *reason, const char *const step[2], const char *message)
{
	struct cv_gw_lines *lines = lines_of(b);
	struct entry *e = lines ? calloc(1, sizeof(*e)) : NULL;

	if (!e)
		return;
	e->ms = cv_gw_unix_ms();
	e->bytes = sizeof(*e);
	e->reason = reason;
	e->message = message;
	e->active = step[0];
	e->complete = step[1];
	ring_put(&lines->events, e);
	due(b);
}

/* ---- which lines ---- */

static int level_rank(const char *s)
{
	static const char *const order[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR" };

	for (size_t i = 0; i < CV_ARRAY_LEN(order); i++)
		if (cv_str_eq_nocase(cv_str_of(s), cv_str_of(order[i])))
			return (int)i;
	return 2; /* OCSF, and what nobody knows, is information */
}

static bool is_wanted(const struct entry *e, int64_t since_ms, char *const *sources,
	size_t source_count, const char *min_level)
{
	bool is_source = !source_count;

	for (size_t i = 0; i < source_count; i++)
		is_source |= strcmp(sources[i], e->source) == 0;
	return is_source && e->ms >= since_ms &&
	       (!*min_level || level_rank(e->level) >= level_rank(min_level));
}

static Openshell__V1__SandboxLogLine line_message(const struct cv_gw_box *b, struct entry *e)
{
	Openshell__V1__SandboxLogLine m;

	openshell__v1__sandbox_log_line__init(&m);
	m.sandbox_id = b->object->id;
	m.timestamp_ms = e->ms;
	m.level = e->level;
	m.target = (char *)(uintptr_t)e->target;
	m.message = (char *)(uintptr_t)e->message;
	m.source = (char *)(uintptr_t)e->source;
	return m;
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
	const bool has_room = !m.sandbox || cv_rpc_send(w->call, &m.base);
	cv_arena_fini(&arena);
	return has_room;
}

static bool line_send(struct cv_gw_watcher *w, struct cv_gw_box *b, struct entry *e)
{
	Openshell__V1__SandboxStreamEvent m;
	Openshell__V1__SandboxLogLine line = line_message(b, e);

	if (!is_wanted(e, w->r->log_since_ms, w->r->log_sources, w->r->n_log_sources,
		    w->r->log_min_level))
		return true;
	openshell__v1__sandbox_stream_event__init(&m);
	m.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG;
	m.log = &line;
	return cv_rpc_send(w->call, &m.base);
}

static bool event_send(struct cv_gw_watcher *w, struct entry *e)
{
	static const char *const keys[] = { "openshell.progress.active_step",
		"openshell.progress.active_detail", "openshell.progress.complete_step",
		"openshell.progress.complete_label" };
	const char *const values[] = { e->active, e->message, e->complete, e->message };
	Openshell__V1__PlatformEvent__MetadataEntry entry[CV_ARRAY_LEN(keys)],
		*v[CV_ARRAY_LEN(keys)];
	Openshell__V1__SandboxStreamEvent m;
	Openshell__V1__PlatformEvent p;

	openshell__v1__platform_event__init(&p);
	p.timestamp_ms = e->ms;
	p.source = (char *)(uintptr_t) "cove";
	p.type = (char *)(uintptr_t) "Normal";
	p.reason = (char *)(uintptr_t)e->reason;
	p.message = (char *)(uintptr_t)e->message;
	p.metadata = v;
	for (size_t i = 0; i < CV_ARRAY_LEN(keys); i++) {
		if (!*values[i & ~(size_t)1]) /* the step of the pair is none */
			continue;
		v[p.n_metadata] = &entry[p.n_metadata];
		openshell__v1__platform_event__metadata_entry__init(v[p.n_metadata]);
		v[p.n_metadata]->key = (char *)(uintptr_t)keys[i];
		v[p.n_metadata++]->value = (char *)(uintptr_t)values[i];
	}
	openshell__v1__sandbox_stream_event__init(&m);
	m.payload_case = OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_EVENT;
	m.event = &p;
	return cv_rpc_send(w->call, &m.base);
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
	while (!w->is_blocked && w->r->follow_events && w->event < l->events.next)
		w->is_blocked = !event_send(w, l->events.v[w->event++ % l->events.cap]);
	while (!w->is_blocked && w->r->follow_logs && w->log < l->logs.next)
		w->is_blocked = !line_send(w, b, l->logs.v[w->log++ % l->logs.cap]);
	const bool is_once = !w->r->follow_status && !w->r->follow_logs && !w->r->follow_events;
	if (!w->is_blocked && !w->is_status_due &&
		(is_once || (w->r->stop_on_terminal && is_terminal(b)))) {
		w->is_finished = true;
		cv_rpc_finish(w->call, CV_RPC_OK, NULL);
	}
}

/* ---- followers ---- */

static void watcher_free(struct cv_gw_watcher *w)
{
	struct cv_gw_box *b = cv_gw_box_get(w->g, w->box);

	for (struct cv_gw_watcher **i = b ? &b->watchers : NULL; i && *i; i = &(*i)->next)
		if (*i == w) {
			*i = w->next;
			break;
		}
	cv_slots_remove(&w->g->watches->all, w->ref);
	free(w);
}

static uint64_t tail(const struct ring *r, uint32_t n)
{
	return r->next - CV_MIN(r->next - r->first, (uint64_t)(n ? n : TAIL_DEFAULT));
}

static void on_watch(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__WatchSandboxRequest *r = (const Openshell__V1__WatchSandboxRequest *)m;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_gw_box *b;
	struct cv_err err;
	const enum cv_rpc_status s =
		cv_gw_box_open(c, cv_str_of(r->id), CV_STR_NONE, false, &b, &err);

	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	struct cv_gw_watcher *w = calloc(1, sizeof(*w));
	struct cv_gw_lines *l = lines_of(b);
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
	w->log = tail(&l->logs, r->log_tail_lines);
	w->event = r->event_tail ? tail(&l->events, r->event_tail) : l->events.next;
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
	due(b);
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
	if (b->lines) {
		ring_fini(&b->lines->logs);
		ring_fini(&b->lines->events);
	}
	free(b->lines);
	b->lines = NULL;
}

/* ---- GetSandboxLogs ---- */

static void on_logs(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetSandboxLogsRequest *r =
		(const Openshell__V1__GetSandboxLogsRequest *)m;
	const uint64_t max = r->lines ? r->lines : LINES_MAX;
	Openshell__V1__GetSandboxLogsResponse answer;
	struct cv_arena *arena = cv_rpc_call_arena(c);
	struct cv_gw_box *b;
	struct cv_err err;
	const enum cv_rpc_status s = cv_gw_box_open(c, cv_str_of(r->sandbox_id),
		*r->workspace ? cv_str_of(r->workspace) : CV_STR_NONE, false, &b, &err);

	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	openshell__v1__get_sandbox_logs_response__init(&answer);
	const struct ring none = { 0 }, *ring = b->lines ? &b->lines->logs : &none;
	const size_t count = ring->next - ring->first, keep = CV_MIN(count, max);
	answer.buffer_total = (uint32_t)count;
	answer.logs = cv_arena_array(arena, keep + 1, sizeof(answer.logs[0]));
	/* From the newest backwards, then in their order. */
	for (uint64_t i = ring->next; answer.logs && i > ring->first && answer.n_logs < keep; i--) {
		struct entry *e = ring->v[(i - 1) % ring->cap];
		Openshell__V1__SandboxLogLine *line;

		if (!is_wanted(e, r->since_ms, r->sources, r->n_sources, r->min_level))
			continue;
		line = cv_arena_new(arena, Openshell__V1__SandboxLogLine);
		if (!line)
			break;
		*line = line_message(b, e);
		answer.logs[keep - ++answer.n_logs] = line;
	}
	if (arena->is_overflown) {
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "too many lines; ask for fewer");
		return;
	}
	answer.logs += keep - answer.n_logs;
	cv_rpc_reply(c, &answer.base);
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
	return g->watches ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
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
	{ "GetSandboxLogs", { .message = on_logs } },
};

const struct cv_gw_part cv_gw_part_watch = {
	.name = "watch",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
	.stop = part_stop,
	.turn = part_turn,
};
