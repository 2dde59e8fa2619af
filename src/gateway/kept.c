/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.c - commands that outlive their client, and those who follow them
 *
 *     StartExec ──EXEC_KEPT──► supervisor ──KEPT──► memfd, eventfd
 *                                                     │ read at each follower's own place
 *     FollowExec ◄── output, gaps, end ◄──────────────┘
 *
 * Nothing of it is stored: a supervisor that dials again gives the ring again, which says what the
 * command is, what it printed and how it ended (ipc/kept.h).  So a gateway that comes back knows all
 * that one did which was killed, and a client finds its command by the same id at the same offset.
 *
 * A follower that does not read gets no more than its call holds; the command does not wait for it,
 * and what the ring let go meanwhile it is told as a gap.  One that holds is waited for, like the
 * reader of a pipe, while it is there: the supervisor is told how far it is (KEPT_PACE).  The rest
 * is the command's business: it goes on until it ends, its time is over (the supervisor's clock),
 * somebody kills it or its sandbox ends.
 *
 * What is over stays for who comes later: a while after its end was told, a day if it never was.
 */
#include "gateway/kept_int.h"

#include "gateway/deliver.h"
#include "gateway/exec_int.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "plan/exec.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#define PUMPS_MAX 16 /* pieces for one follower, before others get their turn */

/* ---- the table ---- */

bool kept_has_number(const struct cv_gw_box *b, uint32_t number)
{
	for (const struct cv_gw_kept *k = b->kept; k; k = k->next)
		if (k->number == number)
			return true;
	return false;
}

struct cv_gw_kept *kept_find(const struct cv_gw_box *b, struct cv_str id)
{
	for (struct cv_gw_kept *k = b->kept; k; k = k->next)
		if (cv_str_eq(k->about.id, id))
			return k;
	return NULL;
}

struct cv_gw_kept *kept_new(struct cv_gw_box *b, uint32_t number)
{
	struct cv_gw_kept *k = calloc(1, sizeof(*k));

	if (!k || !cv_slots_add(&b->g->kepts->all, k, &k->ref)) {
		free(k);
		return NULL;
	}
	k->g = b->g;
	k->box = b->ref;
	k->number = number;
	k->event = k->input = -1;
	cv_buf_init(&k->in, KEPT_IN_MAX);
	k->pace = KEPT_PACE_NONE;
	cv_buf_init(&k->about_bytes, CV_KEPT_ABOUT_MAX);
	k->next = b->kept;
	b->kept = k;
	return k;
}

static void event_close(struct cv_gw_kept *k)
{
	if (k->event >= 0) {
		cv_loop_remove(&k->g->loop, k->event); /* the supervisor holds it too */
		close(k->event);
	}
	k->event = -1;
}

static void follower_finish(struct kept_follower *f, enum cv_rpc_status s, const char *why)
{
	if (f->is_finished)
		return;
	f->is_finished = true;
	if (why)
		cv_rpc_finish(f->call, s, "%s", why);
	else
		cv_rpc_finish(f->call, s, NULL);
}

void kept_free(struct cv_gw_kept *k)
{
	struct cv_gw_box *b = cv_gw_box_get(k->g, k->box);

	for (struct cv_gw_kept **i = b ? &b->kept : NULL; i && *i; i = &(*i)->next)
		if (*i == k) {
			*i = k->next;
			break;
		}
	kept_starter_fail(k, CV_RPC_UNAVAILABLE, "the sandbox is gone");
	while (k->followers) {
		struct kept_follower *f = k->followers;

		k->followers = f->next;
		f->of = NULL;
		follower_finish(f, CV_RPC_NOT_FOUND, "exec not found");
	}
	k->writer = NULL;
	exec_ssh_drop(k->ssh);
	event_close(k);
	kept_input_close(k);
	cv_buf_fini(&k->in);
	cv_kept_close(&k->ring);
	cv_slots_remove(&k->g->kepts->all, k->ref);
	cv_buf_fini(&k->about_bytes);
	cv_pb_free((void *)(uintptr_t)k->request);
	free(k);
}

/* Nobody needs it: its supervisor may let it go, too. */
static void drop(struct cv_gw_kept *k)
{
	struct cv_gw_box *b = cv_gw_box_get(k->g, k->box);
	const uint32_t settled[] = { CV_GATEWAY_REPLY_KEPT, k->number };

	if (b && k->number && k->state == KEPT_RUNS)
		(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_SETTLED, settled, 2);
	kept_free(k);
}

void kept_deadline(struct cv_gw_kept *k, int64_t ms)
{
	k->deadline_ms = ms ? k->g->loop.now_ms + ms : 0;
	if (ms)
		k->g->kepts->deadline_ms = CV_MIN(k->g->kepts->deadline_ms, k->deadline_ms);
}

bool kept_end_of(const struct cv_gw_kept *k, struct cv_kept_end *ret)
{
	if (k->state != KEPT_RUNS)
		return false;
	if (cv_kept_is_over(&k->ring, ret))
		return true;
	if (k->is_lost)
		*ret = (struct cv_kept_end){ 128 + SIGKILL, CV_KEPT_LOST, k->lost_ms };
	return k->is_lost;
}

/* Of those that are over one too many is let go. */
static void make_room(struct cv_gw_box *b)
{
	struct cv_gw_kept *oldest = NULL, *oldest_told = NULL;
	struct cv_kept_end end;
	size_t n = 0;

	for (struct cv_gw_kept *k = b->kept; k; k = k->next) {
		if (!kept_end_of(k, &end))
			continue;
		n++;
		oldest = k; /* the last of the list */
		if (k->is_told && !k->followers)
			oldest_told = k;
	}
	if (n > KEPT_OVER_MAX)
		drop(oldest_told ? oldest_told : oldest);
}

/* ---- followers ---- */

static void piece_send(
	struct kept_follower *f, const struct cv_kept_piece *p, struct cv_str data, bool is_gap)
{
	Cove__V1__FollowExecEvent m;
	Cove__V1__ExecOutput out;
	Cove__V1__ExecGap gap;

	cove__v1__follow_exec_event__init(&m);
	cove__v1__exec_output__init(&out);
	cove__v1__exec_gap__init(&gap);
	if (is_gap) {
		gap.offset = p->offset;
		gap.bytes = p->n;
		m.gap = &gap;
		m.event_case = COVE__V1__FOLLOW_EXEC_EVENT__EVENT_GAP;
	} else {
		out.offset = p->offset;
		out.data_case = p->stream == CV_KEPT_STDOUT ? COVE__V1__EXEC_OUTPUT__DATA_STDOUT
							    : COVE__V1__EXEC_OUTPUT__DATA_STDERR;
		out.stdout = (ProtobufCBinaryData){ data.n, (uint8_t *)(uintptr_t)data.p };
		m.output = &out;
		m.event_case = COVE__V1__FOLLOW_EXEC_EVENT__EVENT_OUTPUT;
	}
	f->is_full = !cv_rpc_send(f->call, &m.base);
}

static void end_send(struct kept_follower *f, const struct cv_kept_end *end)
{
	Cove__V1__FollowExecEvent m;
	Cove__V1__ExecEnd e;

	cove__v1__follow_exec_event__init(&m);
	cove__v1__exec_end__init(&e);
	e.exit_code = end->exit_code;
	e.reason = (char *)(uintptr_t)kept_reason_name(end->reason);
	e.ended_at_ms = end->unix_ms;
	m.end = &e;
	m.event_case = COVE__V1__FOLLOW_EXEC_EVENT__EVENT_END;
	(void)cv_rpc_send(f->call, &m.base);
	follower_finish(f, CV_RPC_OK, NULL);
	if (!f->of->is_told)
		kept_deadline(f->of, KEPT_TOLD_MS);
	f->of->is_told = true;
}

void kept_pace_tell(struct cv_gw_kept *k)
{
	struct cv_gw_box *b = cv_gw_box_get(k->g, k->box);
	uint64_t pace = KEPT_PACE_NONE;
	struct cv_kept_end end;
	struct cv_buf body;

	for (const struct kept_follower *f = k->followers; f; f = f->next)
		if (f->holds && !f->is_finished)
			pace = CV_MIN(pace, f->reader.place);
	if (pace != KEPT_PACE_NONE && k->is_start_held) {
		k->is_start_held = false;
		k->deadline_ms = 0; /* it was for this */
	}
	if (!b || !k->number || k->is_start_held || pace == k->pace || kept_end_of(k, &end))
		return;
	if (pace != KEPT_PACE_NONE && k->pace != KEPT_PACE_NONE && pace > k->pace &&
		pace < k->pace + KEPT_PACE_STEP)
		return;
	k->pace = pace;
	if (k->ssh) {
		exec_ssh_pace(k->ssh, pace);
		return;
	}
	cv_buf_init(&body, 12);
	cv_ipc_put_u32(&body, k->number);
	cv_ipc_put_u64(&body, pace);
	(void)cv_gw_box_send(b, CV_GATEWAY_REQ_KEPT_PACE, cv_buf_str(&body), NULL, 0);
	cv_buf_fini(&body);
}

static void pump(struct kept_follower *f)
{
	static char buf[CV_KEPT_PIECE_MAX];
	struct cv_gw_kept *k = f->of;

	for (int i = 0; !f->is_full && !f->is_finished; i++) {
		struct cv_kept_piece p;
		struct cv_kept_end end;
		const bool is_over = kept_end_of(k, &end); /* before: then nothing is behind it */
		const enum cv_kept_rc rc = cv_kept_read(&k->ring, &f->reader, buf, sizeof(buf), &p);

		if (rc == CV_KEPT_NONE) {
			if (is_over)
				end_send(f, &end);
			return;
		}
		if (rc == CV_KEPT_BAD) {
			follower_finish(f, CV_RPC_INTERNAL, "the kept output is damaged");
			return;
		}
		piece_send(f, &p, (struct cv_str){ buf, (size_t)p.n }, rc == CV_KEPT_GAP);
		if (i == PUMPS_MAX) {
			k->is_more = k->g->kepts->has_more = true;
			return;
		}
	}
}

void kept_pump(struct kept_follower *f)
{
	pump(f);
	kept_pace_tell(f->of);
}

static void followers_pump(struct cv_gw_kept *k)
{
	struct cv_kept_end end;

	k->is_more = false;
	for (struct kept_follower *f = k->followers; f; f = f->next)
		pump(f);
	kept_pace_tell(k);
	if (!kept_end_of(k, &end))
		return;
	event_close(k);
	kept_input_close(k);
	if (!k->deadline_ms)
		kept_deadline(k, KEPT_UNTOLD_MS);
}

/* ---- to the supervisor ---- */

static int stdin_make(const struct cv_gw_kept *k, struct cv_err *err)
{
	const Openshell__V1__ExecSandboxRequest *r = k->request;
	int fd = -1;

	if (!r->stdin.len || kept_takes_input(k))
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (cv_ipc_memfd("cove-stdin", (struct cv_str){ (const char *)r->stdin.data, r->stdin.len },
		    &fd, err) != CV_OK)
		return -1;
	(void)lseek(fd, 0, SEEK_SET); /* it was written */
	return fd;
}

static bool request_send(struct cv_gw_kept *k, struct cv_gw_box *b, struct cv_str bytes, int in)
{
	const uint32_t rows = k->request->rows ? k->request->rows : 24;
	const uint32_t cols = k->request->cols ? k->request->cols : 80;
	const uint32_t flags = (k->is_start_held ? (uint32_t)CV_GATEWAY_KEPT_PACED : 0) |
			       (k->about.is_tty ? (uint32_t)CV_GATEWAY_KEPT_TTY : 0) |
			       (k->about.has_stdin ? (uint32_t)CV_GATEWAY_KEPT_STDIN : 0);
	struct cv_buf body;

	cv_buf_init(&body, 4096);
	cv_ipc_put_u32(&body, k->number);
	cv_ipc_put_u32(&body, k->request->timeout_seconds);
	cv_ipc_put_u32(&body, flags);
	cv_ipc_put_str(&body, cv_buf_str(&k->about_bytes));
	cv_ipc_put_u32(&body, k->request->tty ? rows << 16 | cols : 0);
	const bool is_sent = !body.is_overflown && exec_parts_send(b, bytes) &&
			     cv_gw_box_send(b, CV_GATEWAY_REQ_EXEC_KEPT, cv_buf_str(&body), &in, 1);
	cv_buf_fini(&body);
	return is_sent;
}

void kept_fail(struct cv_gw_kept *k, enum cv_rpc_status s, const char *why)
{
	kept_starter_fail(k, s, why);
	kept_free(k);
}

/* Where a process of ours is what a supervisor would be. */
static void send_ssh(struct cv_gw_kept *k, struct cv_gw_box *b, int in)
{
	const struct cv_ref ref = k->ref;
	struct cv_gateway *g = k->g;

	k->state = KEPT_SENT;
	kept_deadline(k, 2 * EXEC_WAIT_MS); /* each step has a limit of its own */
	if (in < 0)
		kept_fail(k, CV_RPC_RESOURCE_EXHAUSTED, "no memory for stdin");
	else
		exec_ssh_keep(k, b, in);
	k = cv_slots_get(&g->kepts->all, ref);
	if (!k)
		return;
	cv_pb_free((void *)(uintptr_t)k->request);
	k->request = NULL;
}

void kept_send(struct cv_gw_kept *k, struct cv_gw_box *b)
{
	struct cv_buf bytes;
	struct cv_err err;
	CV_AUTO_FD int in = stdin_make(k, &err);

	if (b->external) {
		send_ssh(k, b, in);
		return;
	}
	cv_buf_init(&bytes, CV_PLAN_EXEC_BYTES_MAX);
	const bool is_put = exec_request_put(k->request, b, &bytes);
	const bool is_sent = is_put && in >= 0 && request_send(k, b, cv_buf_str(&bytes), in);
	cv_buf_wipe(&bytes);
	cv_pb_free((void *)(uintptr_t)k->request);
	k->request = NULL;
	k->state = KEPT_SENT;
	if (!is_put)
		kept_fail(k, CV_RPC_INVALID_ARGUMENT, "command and environment are too large");
	else if (in < 0)
		kept_fail(k, CV_RPC_RESOURCE_EXHAUSTED, "no memory for stdin");
	else if (!is_sent)
		kept_fail(k, CV_RPC_UNAVAILABLE, "supervisor relay failed: the link is broken");
	else
		kept_deadline(k, EXEC_WAIT_MS);
}

void kept_ready(struct cv_gw_box *b)
{
	for (struct cv_gw_kept *k = b->kept, *next; k; k = next) {
		next = k->next;
		if (k->state == KEPT_WAITING && !kept_twin_join(k, b))
			kept_send(k, b);
	}
}

/* ---- what supervisors say ---- */

static struct cv_gw_kept *by_number(const struct cv_gw_box *b, uint32_t number)
{
	for (struct cv_gw_kept *k = b->kept; k; k = k->next)
		if (k->number == number)
			return k;
	return NULL;
}

static bool ring_take(struct cv_gw_kept *k, struct cv_ipc_msg *m, struct cv_err *err)
{
	if (cv_kept_open(m->fds[0], &k->ring, err) != CV_OK)
		return false;
	const struct cv_str about = cv_kept_about(&k->ring);

	cv_buf_reset(&k->about_bytes);
	if (!cv_buf_put(&k->about_bytes, about) ||
		!kept_about_get(cv_buf_str(&k->about_bytes), &k->about)) {
		cv_fail(err, CV_INVALID, "nothing is said about a kept command");
		return false;
	}
	k->event = cv_take_fd(m->fds[1]);
	if (cv_loop_add(&k->g->loop, k->event, EPOLLIN | EPOLLET,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_KEPT, KEPT_WATCH_EVENT), k->ref },
		    err) != CV_OK) {
		close(k->event);
		k->event = -1;
		return false;
	}
	return true;
}

static void on_kept(struct cv_gw_box *b, uint32_t number, struct cv_ipc_msg *m)
{
	struct cv_gw_kept *k = by_number(b, number);
	const bool is_ours = k != NULL;
	struct cv_err err;

	if (k && k->state == KEPT_RUNS) { /* told again: the ring is that which we have */
		k->pace = KEPT_PACE_NONE;
		kept_pace_tell(k);
		return;
	}
	if (!k)
		k = kept_new(b, number);
	if (!k)
		return; /* it is told again when there is memory */
	k->state = KEPT_RUNS;
	k->deadline_ms = 0;
	k->pace = k->is_start_held ? 0 : KEPT_PACE_NONE;
	if (k->is_start_held)
		kept_deadline(k, KEPT_START_HOLD_MS);
	if (!ring_take(k, m, &err)) {
		cv_log(CV_LOG_ERROR, "exec", CV_LOG_NONE, "%s", err.msg);
		kept_fail(k, CV_RPC_INTERNAL, err.msg);
		return;
	}
	kept_starter_reply(k, false);
	followers_pump(k);
	if (is_ours)
		make_room(b);
}

bool kept_message(struct cv_gw_box *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t number = cv_ipc_get_u32(&r);
	struct cv_gw_kept *k;
	char text[256];

	if (m->type == CV_GATEWAY_REPLY_KEPT) {
		on_kept(b, number, m);
		return true;
	}
	k = by_number(b, number);
	if (m->type == CV_GATEWAY_REPLY_KEPT_INPUT) {
		if (k && k->state == KEPT_RUNS)
			kept_input_take(k, &m->fds[0]);
		return true;
	}
	if (!k || k->state != KEPT_SENT || m->type != CV_GATEWAY_REPLY_FAILED)
		return false;
	(void)cv_ipc_get_u32(&r); /* the stage */
	(void)cv_ipc_get_u32(&r);
	const struct cv_str why = cv_ipc_get_str(&r);
	if (!cv_str_to_cstr(cv_str_slice(why, 0, sizeof(text) - 1), text, sizeof(text)))
		text[0] = '\0';
	kept_fail(k, CV_RPC_RESOURCE_EXHAUSTED, text);
	return true;
}

/* What was sent and never confirmed may not have arrived; if it has, it is told when the supervisor
 * dials again, and found by its key. */
void kept_link_lost(struct cv_gw_box *b)
{
	for (struct cv_gw_kept *k = b->kept, *next; k; k = next) {
		next = k->next;
		if (k->state == KEPT_SENT)
			kept_fail(k, CV_RPC_UNAVAILABLE,
				"supervisor relay failed: the link is broken");
	}
}

void kept_lose(struct cv_gw_kept *k, const char *why)
{
	struct cv_kept_end end;

	if (k->state != KEPT_RUNS) {
		kept_fail(k, CV_RPC_UNAVAILABLE, why);
		return;
	}
	if (!kept_end_of(k, &end)) {
		k->is_lost = true;
		k->lost_ms = cv_clock_unix_ms();
	}
	followers_pump(k);
}

/* Its rings are still here. */
static void on_box_ended(struct cv_gw_box *b)
{
	for (struct cv_gw_kept *k = b->kept, *next; k; k = next) {
		next = k->next;
		if (k->state != KEPT_RUNS) {
			kept_fail(k, CV_RPC_UNAVAILABLE, "the sandbox has ended");
			continue;
		}
		k->number = 0;
		if (!k->is_lost)
			k->lost_ms = cv_clock_unix_ms();
		k->is_lost = true;
		followers_pump(k);
	}
}

static void on_box_deleted(struct cv_gw_box *b)
{
	while (b->kept)
		kept_free(b->kept);
}

static const struct cv_gw_box_hooks hooks = { .ended = on_box_ended, .deleted = on_box_deleted };

/* ---- the part ---- */

static void part_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_gw_kept *k = cv_slots_get(&g->kepts->all, e->watch.ref);

	if (k && CV_GW_WATCH_SUB(e->watch.kind) == KEPT_WATCH_INPUT)
		kept_input_flush(k);
	else if (k)
		followers_pump(k);
}

static void late(struct cv_gw_kept *k)
{
	struct cv_kept_end end;

	k->deadline_ms = 0;
	if (k->state != KEPT_RUNS) {
		kept_fail(k, CV_RPC_UNAVAILABLE,
			"supervisor relay failed: no live session of the sandbox");
	} else if (k->is_start_held) { /* nobody came whom it should wait for */
		k->is_start_held = false;
		kept_pace_tell(k);
		if (kept_end_of(k, &end))
			kept_deadline(k, k->is_told ? KEPT_TOLD_MS : KEPT_UNTOLD_MS);
	} else if (k->followers) {
		kept_deadline(k, KEPT_TOLD_MS); /* somebody still reads */
	} else {
		drop(k);
	}
}

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_kepts *s = g->kepts;
	int64_t next = INT64_MAX;

	if (g->loop.now_ms < s->deadline_ms && !s->has_more)
		return s->deadline_ms;
	s->has_more = false;
	s->deadline_ms = INT64_MAX;
	for (size_t i = 0; i < s->all.n; i++) {
		struct cv_gw_kept *k = s->all.v[i].thing;

		if (k && k->is_more)
			followers_pump(k);
		if (k && k->deadline_ms && g->loop.now_ms >= k->deadline_ms)
			late(k);
		k = s->all.v[i].thing;
		if (k && k->deadline_ms)
			next = CV_MIN(next, k->deadline_ms);
	}
	s->deadline_ms = CV_MIN(s->deadline_ms, next);
	return s->has_more ? g->loop.now_ms : s->deadline_ms;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->kepts = calloc(1, sizeof(*g->kepts));
	if (!g->kepts)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->kepts->deadline_ms = INT64_MAX;
	cv_gw_box_hook(g, &hooks);
	return CV_OK;
}

/* Who follows would keep an ending gateway for as long as the command takes. */
static void part_drain(struct cv_gateway *g)
{
	for (size_t i = 0; i < g->kepts->all.n; i++) {
		struct cv_gw_kept *k = g->kepts->all.v[i].thing;

		for (struct kept_follower *f = k ? k->followers : NULL; f; f = f->next)
			follower_finish(f, CV_RPC_UNAVAILABLE, "the gateway ends");
	}
}

static void part_stop(struct cv_gateway *g)
{
	for (size_t i = 0; g->kepts && i < g->kepts->all.n; i++)
		if (g->kepts->all.v[i].thing)
			kept_free(g->kepts->all.v[i].thing);
	if (g->kepts)
		cv_slots_fini(&g->kepts->all);
	free(g->kepts);
	g->kepts = NULL;
}

const struct cv_gw_part cv_gw_part_kept = {
	.name = "kept",
	.methods = kept_methods,
	.method_count = KEPT_METHODS,
	.start = part_start,
	.drain = part_drain,
	.stop = part_stop,
	.event = part_event,
	.turn = part_turn,
};
