/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs.c - the lines of sandboxes: kept, asked for (GetSandboxLogs), brought (PushSandboxLogs)
 *
 *     supervisor's EVENTs, the gateway's own lines, lines that are pushed
 *        └─► a record in the file (logfile.h), WRITE_MS later, or when somebody asks
 *        └─► the ring of those who follow (watch.c), if anybody does
 *
 * Files are the truth: a line is asked for from there, also after a restart, and for a while after
 * its sandbox is gone.  Nothing of a sandbox that nobody follows is in memory for longer: lines come in
 * bursts, when somebody waits for what they are about, and a file is opened for each burst.  A gateway
 * that is killed takes those of its last moment along.
 *
 * Lines hold what agents said.  They are data: here they only become valid UTF-8, as messages must
 * be; whoever prints them escapes them.
 */
#include "gateway/watch_int.h"

#include "base/utf8.h"
#include "gateway/access.h"
#include "gateway/log.h"
#include "gateway/logfile.h"
#include "gateway/pb.h"
#include "gateway/state.h"
#include "rpc/unpack.h"
#include "sys/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PENDING_BYTES_MAX (256u << 10)
#define LINE_ARENA_MAX    (256u << 10) /* one line while it is made or looked at */
#define SWEEP_MS          60000
#define WRITE_MS          20   /* nobody sees it; a burst of a start or an end is over */
#define TEXT_BYTES_MAX    8192 /* of a message */
#define TARGET_BYTES_MAX  256
#define LEVEL_BYTES_MAX   16
#define FIELDS_MAX        32
#define FIELD_BYTES_MAX   1024
#define PUSHES_S_MAX      1000 /* lines of one sandbox in a second, as upstream drops under load */

typedef Openshell__V1__SandboxLogLine line_t;

struct cv_gw_logs {
	int dir;
	int64_t write_ms; /* loop time; 0: nothing is to be written */
	int64_t sweep_ms;
};

static struct logfile_of file_of(const struct cv_gw_box *b)
{
	return (struct logfile_of){ b->object->scope, b->object->name, cv_str_of(b->object->id) };
}

/* ---- to the file ---- */

static void pending_write(struct cv_gw_box *b)
{
	struct cv_gw_lines *l = b->lines;
	const struct logfile_of of = file_of(b);
	struct cv_err err;

	if (!cv_buf_len(&l->pending))
		return;
	const bool has_failed =
		logfile_append(b->g->logs->dir, &of, cv_buf_str(&l->pending), &err) != CV_OK;
	if (has_failed && !l->has_failed)
		cv_log(CV_LOG_ERROR, "logs", CV_LOG_FIELDS({ "sandbox", b->object->name }),
			"lines are lost: %s", err.msg);
	l->has_failed = has_failed;
	cv_buf_fini(&l->pending);
	cv_buf_init(&l->pending, PENDING_BYTES_MAX);
}

struct cv_gw_lines *lines_of(struct cv_gw_box *b)
{
	static const struct cv_gw_lines fresh = {
		.events = { .count_max = LINES_TAIL, .bytes_max = 64u << 10 },
		.logs = { .count_max = LINES_MAX, .bytes_max = LINES_BYTES_MAX },
	};

	if (b->lines)
		return b->lines;
	b->lines = malloc(sizeof(*b->lines));
	if (b->lines) {
		*b->lines = fresh;
		cv_buf_init(&b->lines->pending, PENDING_BYTES_MAX);
	}
	return b->lines;
}

void lines_free(struct cv_gw_box *b)
{
	struct cv_gw_lines *l = b->lines;

	if (!l)
		return;
	if (b->g->logs)
		pending_write(b);
	cv_gw_ring_empty(&l->logs);
	cv_gw_ring_empty(&l->events);
	cv_buf_fini(&l->pending);
	free(l);
	b->lines = NULL;
}

/* ---- a line ---- */

static const char *const levels[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR" };

/* CV_ARRAY_LEN(levels): it is none. */
static size_t level_at(const char *s)
{
	size_t i = 0;

	while (i < CV_ARRAY_LEN(levels) && !cv_str_eq_nocase(cv_str_of(s), cv_str_of(levels[i])))
		i++;
	return i;
}

static int level_rank(const char *s)
{
	const size_t i = level_at(s);

	return i < CV_ARRAY_LEN(levels) ? (int)i
					: 2; /* OCSF, and what nobody knows, is information */
}

enum cv_rpc_status lines_filter_check(
	const struct lines_filter *f, const char *prefix, struct cv_err *err)
{
	for (size_t i = 0; i < f->source_count; i++)
		if (strcmp(f->sources[i], "gateway") != 0 && strcmp(f->sources[i], "sandbox") != 0)
			return cv_gw_invalid(err,
				"%ssources: '%.32s' is not one of gateway, sandbox", prefix,
				f->sources[i]);
	if (*f->min_level && level_at(f->min_level) == CV_ARRAY_LEN(levels))
		return cv_gw_invalid(err,
			"%smin_level: '%.32s' is not one of TRACE, DEBUG, INFO, WARN, ERROR",
			prefix, f->min_level);
	return CV_RPC_OK;
}

/* Valid UTF-8 without NUL, at most max bytes; what is not becomes U+FFFD. */
static char *clean(struct cv_arena *a, struct cv_str s, size_t max)
{
	static const char bad[] = "\xef\xbf\xbd";
	struct cv_str rest = cv_str_slice(s, 0, CV_MIN(s.n, max));
	char *to = cv_arena_alloc(a, 3 * rest.n + 1), *at = to;

	while (to && rest.n) {
		const size_t step = *rest.p ? cv_utf8_step(rest) : 0;

		memcpy(at, step ? rest.p : bad, step ? step : 3);
		at += step ? step : 3;
		rest = cv_str_slice(rest, step ? step : 1, rest.n);
	}
	if (to)
		*at = '\0';
	return to ? to : (char *)(uintptr_t)protobuf_c_empty_string;
}

static struct cv_gw_entry *entry_of(const line_t *m, struct cv_str packed)
{
	struct cv_gw_entry *e = cv_gw_entry_new(packed);

	if (!e)
		return NULL;
	e->ms = m->timestamp_ms;
	e->rank = (uint8_t)level_rank(m->level);
	e->is_sandbox = strcmp(m->source, "sandbox") == 0;
	return e;
}

static void record(struct cv_gw_box *b, struct cv_str packed)
{
	struct cv_gw_lines *l = b->lines;

	if (cv_buf_len(&l->pending) + packed.n + 4 > PENDING_BYTES_MAX)
		pending_write(b);
	logfile_record_put(&l->pending, packed);
	if (!b->g->logs->write_ms)
		b->g->logs->write_ms = b->g->loop.now_ms + WRITE_MS;
}

/* m's strings are clean. */
static void line_put(struct cv_gw_box *b, const line_t *m, struct cv_arena *arena)
{
	struct cv_gw_lines *l = b->g->logs ? lines_of(b) : NULL;
	const size_t n = openshell__v1__sandbox_log_line__get_packed_size(m);
	uint8_t *bytes = l && n <= LOGFILE_LINE_BYTES_MAX ? cv_arena_alloc(arena, n) : NULL;

	if (!bytes || arena->is_overflown)
		return;
	openshell__v1__sandbox_log_line__pack(m, bytes);
	const struct cv_str packed = { (const char *)bytes, n };
	record(b, packed);
	if (l->has_logs) {
		cv_gw_ring_put(&l->logs, entry_of(m, packed));
		watch_due(b);
	}
}

static void text_put(struct cv_gw_box *b, int64_t ms, struct cv_str level, struct cv_str target,
	struct cv_str message, const char *source)
{
	struct cv_arena arena;
	line_t m;

	cv_arena_init(&arena, LINE_ARENA_MAX);
	openshell__v1__sandbox_log_line__init(&m);
	m.sandbox_id = b->object->id;
	m.timestamp_ms = ms;
	m.level = clean(&arena, level, LEVEL_BYTES_MAX);
	m.target = clean(&arena, target, TARGET_BYTES_MAX);
	m.message = clean(&arena, message, TEXT_BYTES_MAX);
	m.source = (char *)(uintptr_t)source;
	line_put(b, &m, &arena);
	cv_arena_fini(&arena);
}

void cv_gw_box_log(struct cv_gw_box *b, const char *level, const char *target, const char *fmt, ...)
{
	char text[TEXT_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_put(b, cv_clock_unix_ms(), cv_str_of(level), cv_str_of(target), cv_str_of(text),
		"gateway");
}

void watch_event_line(struct cv_gw_box *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const int64_t ms = (int64_t)cv_ipc_get_u64(&r);
	const struct cv_str level = cv_ipc_get_str(&r), target = cv_ipc_get_str(&r),
			    message = cv_ipc_get_str(&r);

	if (!r.is_bad)
		text_put(b, ms, level, target, message, "sandbox");
}

/* ---- from the file ---- */

static line_t *line_read(struct cv_str packed, struct cv_arena *arena)
{
	ProtobufCMessage *m;
	struct cv_err err;

	return cv_rpc_unpack(&openshell__v1__sandbox_log_line__descriptor, packed, arena, &m,
		       &err) == CV_OK
		       ? (line_t *)m
		       : NULL;
}

void lines_follow(struct cv_gw_box *b)
{
	struct cv_gw_lines *l = lines_of(b);
	const struct logfile_of of = file_of(b);
	struct cv_str rest, packed;
	struct cv_arena arena;
	struct cv_buf all;
	struct cv_err err;

	if (!l || l->has_logs)
		return;
	l->has_logs = true;
	pending_write(b);
	cv_buf_init(&all, 3 * LOGFILE_BYTES_MAX);
	cv_arena_init(&arena, LINE_ARENA_MAX);
	if (logfile_read(b->g->logs->dir, &of, &all, &err) != CV_OK)
		cv_log(CV_LOG_WARN, "logs", CV_LOG_NONE, "%s", err.msg);
	rest = cv_buf_str(&all);
	while (logfile_record_next(&rest, &packed)) {
		cv_arena_reset(&arena);
		const line_t *m = line_read(packed, &arena);
		if (m)
			cv_gw_ring_put(&l->logs, entry_of(m, packed));
	}
	cv_arena_fini(&arena);
	cv_buf_fini(&all);
}

void lines_unfollow(struct cv_gw_box *b)
{
	if (!b->lines)
		return;
	cv_gw_ring_empty(&b->lines->logs);
	b->lines->has_logs = false;
}

bool lines_wants(const struct lines_filter *f, const struct cv_gw_entry *e)
{
	bool is_source = !f->source_count;

	for (size_t i = 0; i < f->source_count; i++)
		is_source |= strcmp(f->sources[i], e->is_sandbox ? "sandbox" : "gateway") == 0;
	return is_source && e->ms >= f->since_ms &&
	       (!*f->min_level || e->rank >= level_rank(f->min_level));
}

/* ---- GetSandboxLogs ---- */

/* Whose lines are meant: a sandbox's that is there, or one that was a moment ago.  file: memory. */
static enum cv_rpc_status target_find(struct cv_rpc_call *c,
	const Openshell__V1__GetSandboxLogsRequest *r, char file[LOGFILE_NAME_BYTES],
	struct logfile_of *ret, struct cv_err *err)
{
	const struct cv_str wanted = cv_str_of(r->sandbox_id);
	const struct cv_str workspace = *r->workspace ? cv_str_of(r->workspace) : CV_STR_NONE;
	struct cv_gw_box *b;
	struct cv_object *w;
	struct cv_err other;
	const enum cv_rpc_status s =
		cv_gw_box_open(c, "sandbox_id", wanted, workspace, false, &b, err);

	if (s == CV_RPC_OK) {
		if (b->lines)
			pending_write(b);
		*ret = file_of(b);
		return s;
	}
	if (s != CV_RPC_NOT_FOUND || !wanted.n ||
		!logfile_find(cv_gw_of(c)->logs->dir, cv_gw_workspace_name(workspace), wanted, file,
			ret) ||
		cv_object_find_id(cv_gw_of(c)->objects, CV_OBJECT_SANDBOX, ret->id) ||
		cv_gw_workspace_open(c, ret->workspace, false, &w, &other) != CV_RPC_OK)
		return s;
	return CV_RPC_OK;
}

static struct lines_filter filter_of(const Openshell__V1__GetSandboxLogsRequest *r)
{
	return (struct lines_filter){ r->since_ms, r->sources, r->n_sources, r->min_level };
}

/* The last of the wanted ones, in their order. */
static bool answer_fill(const Openshell__V1__GetSandboxLogsRequest *r, struct cv_str all,
	struct cv_arena *arena, Openshell__V1__GetSandboxLogsResponse *ret)
{
	const struct lines_filter f = filter_of(r);
	const size_t max = r->lines ? r->lines : LINES_MAX;
	struct cv_str rest = all, packed;
	size_t n = 0, wanted = 0;

	while (logfile_record_next(&rest, &packed))
		n++;
	ret->buffer_total = (uint32_t)n;
	line_t **v = cv_arena_array(arena, n + 1, sizeof(*v));
	for (rest = all; v && logfile_record_next(&rest, &packed);) {
		line_t *m = line_read(packed, arena);
		if (!m)
			continue;
		const struct cv_gw_entry e = { .ms = m->timestamp_ms,
			.rank = (uint8_t)level_rank(m->level),
			.is_sandbox = strcmp(m->source, "sandbox") == 0 };
		if (lines_wants(&f, &e))
			v[wanted++] = m;
	}
	if (!v || arena->is_overflown)
		return false;
	ret->n_logs = CV_MIN(wanted, max);
	ret->logs = v + (wanted - ret->n_logs);
	return true;
}

static void on_logs(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetSandboxLogsRequest *r =
		(const Openshell__V1__GetSandboxLogsRequest *)m;
	Openshell__V1__GetSandboxLogsResponse answer;
	char file[LOGFILE_NAME_BYTES];
	struct logfile_of of;
	struct cv_buf all;
	struct cv_err err;
	const struct lines_filter f = filter_of(r);
	enum cv_rpc_status s = target_find(c, r, file, &of, &err);

	openshell__v1__get_sandbox_logs_response__init(&answer);
	if (s == CV_RPC_OK)
		s = lines_filter_check(&f, "", &err);
	cv_buf_init(&all, 3 * LOGFILE_BYTES_MAX);
	if (s == CV_RPC_OK && logfile_read(cv_gw_of(c)->logs->dir, &of, &all, &err) != CV_OK)
		s = CV_RPC_INTERNAL;
	if (s == CV_RPC_OK && !answer_fill(r, cv_buf_str(&all), cv_rpc_call_arena(c), &answer)) {
		cv_fail(&err, CV_LIMIT, "too many lines; ask for fewer");
		s = CV_RPC_RESOURCE_EXHAUSTED;
	}
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &answer.base);
	else
		cv_gw_fail(c, s, &err);
	cv_buf_fini(&all);
}

/* ---- PushSandboxLogs ---- */

static void fields_take(line_t *to, const line_t *m, struct cv_arena *arena)
{
	const size_t n = CV_MIN(m->n_fields, (size_t)FIELDS_MAX);

	to->fields = cv_arena_array(arena, n + 1, sizeof(to->fields[0]));
	for (size_t i = 0; i < n && to->fields; i++) {
		Openshell__V1__SandboxLogLine__FieldsEntry *e =
			cv_arena_new(arena, Openshell__V1__SandboxLogLine__FieldsEntry);

		if (!e)
			return;
		openshell__v1__sandbox_log_line__fields_entry__init(e);
		e->key = clean(arena, cv_str_of(m->fields[i]->key), FIELD_BYTES_MAX);
		e->value = clean(arena, cv_str_of(m->fields[i]->value), FIELD_BYTES_MAX);
		to->fields[to->n_fields++] = e;
	}
}

/* Whatever it says of itself: it is a sandbox's line, and this sandbox's. */
static void pushed(struct cv_gw_box *b, const line_t *m)
{
	struct cv_arena arena;
	line_t line;

	cv_arena_init(&arena, LINE_ARENA_MAX);
	openshell__v1__sandbox_log_line__init(&line);
	line.sandbox_id = b->object->id;
	line.timestamp_ms = m->timestamp_ms > 0 ? m->timestamp_ms : cv_clock_unix_ms();
	line.level = clean(&arena, cv_str_of(m->level), LEVEL_BYTES_MAX);
	line.target = clean(&arena, cv_str_of(m->target), TARGET_BYTES_MAX);
	line.message = clean(&arena, cv_str_of(m->message), TEXT_BYTES_MAX);
	line.source = (char *)(uintptr_t) "sandbox";
	fields_take(&line, m, &arena);
	line_put(b, &line, &arena);
	cv_arena_fini(&arena);
}

/* The state of such a call: how many lines came in the present second. */
struct push {
	int64_t second;
	uint32_t count, lost;
};

static void on_push(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__PushSandboxLogsRequest *r =
		(const Openshell__V1__PushSandboxLogsRequest *)m;
	const struct cv_gateway *g = cv_gw_of(c);
	struct push *p = cv_rpc_call_state(c);
	struct cv_object *o =
		cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, cv_str_of(r->sandbox_id));

	if (!cv_gw_is_own(cv_rpc_call_principal(c), cv_str_of(r->sandbox_id))) {
		cv_rpc_finish(c, CV_RPC_PERMISSION_DENIED, "sandbox_id is not the caller's");
		return;
	}
	if (!o) {
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "sandbox not found");
		return;
	}
	if (!p) {
		p = cv_arena_new(cv_rpc_call_arena(c), struct push);
		if (!p) {
			cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
			return;
		}
		*p = (struct push){ .second = 0 };
		cv_rpc_call_set_state(c, p);
	}
	if (p->second != g->loop.now_ms / 1000)
		*p = (struct push){ .second = g->loop.now_ms / 1000, .lost = p->lost };
	for (size_t i = 0; i < r->n_logs; i++) {
		if (p->count++ < PUSHES_S_MAX)
			pushed(cv_gw_box_of(o), r->logs[i]);
		else
			p->lost++;
	}
}

static void on_push_end(struct cv_rpc_call *c)
{
	const struct push *p = cv_rpc_call_state(c);
	struct cv_object *o = cv_object_find_id(cv_gw_of(c)->objects, CV_OBJECT_SANDBOX,
		cv_str_of(cv_rpc_call_principal(c)->sandbox_id));
	Openshell__V1__PushSandboxLogsResponse answer;

	if (p && p->lost && o)
		cv_gw_box_log(cv_gw_box_of(o), "WARN", "logs", "%u lines came too fast", p->lost);
	openshell__v1__push_sandbox_logs_response__init(&answer);
	cv_rpc_reply(c, &answer.base);
}

/* ---- the part ---- */

static bool is_there(void *arg, struct cv_str id)
{
	const struct cv_gateway *g = arg;

	return cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, id) != NULL;
}

static void all_write(struct cv_gateway *g)
{
	g->logs->write_ms = 0;
	for (size_t i = 0; i < g->sandboxes->boxes.n; i++) {
		struct cv_gw_box *b = g->sandboxes->boxes.v[i].thing;

		if (b && b->lines)
			pending_write(b);
	}
}

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_logs *s = g->logs;

	if (s->write_ms && g->loop.now_ms >= s->write_ms)
		all_write(g);
	if (g->loop.now_ms >= s->sweep_ms) {
		logfile_sweep(s->dir, cv_clock_unix_ms(), is_there, g);
		s->sweep_ms = g->loop.now_ms + SWEEP_MS;
	}
	return s->write_ms ? CV_MIN(s->write_ms, s->sweep_ms) : s->sweep_ms;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->logs = calloc(1, sizeof(*g->logs));
	if (!g->logs)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->logs->dir = -1;
	return cv_gw_dir_open_at(g->state_fd, "logs", &g->logs->dir, err);
}

static void part_stop(struct cv_gateway *g)
{
	if (!g->logs)
		return;
	if (g->logs->dir >= 0) {
		all_write(g);
		close(g->logs->dir);
	}
	free(g->logs);
	g->logs = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "GetSandboxLogs", { .message = on_logs } },
	{ "PushSandboxLogs", { .message = on_push, .half_closed = on_push_end } },
};

const struct cv_gw_part cv_gw_part_logs = {
	.name = "logs",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
	.stop = part_stop,
	.turn = part_turn,
};
