/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - from what should be to what is
 *
 * A request changes what should be, in the store; then the supervisor is brought there. Each event
 * (a process that ended, a link, a deadline) sets the state and leads to settle(), which is the only
 * place that decides what is to be done about the difference:
 *
 *     no process and it should run       start one, or fail if one has just ended by itself
 *     a process and it should not run    tell it to stop; kill it when it takes too long
 *     no process and it should be gone   directory, then object
 *
 * A gateway that comes back finds the objects in the store and the processes by what the driver wrote
 * down: a sandbox whose process is there is LOST until it dials, and one whose process is gone though
 * it should run is started again, as after a reboot.
 */
#include "gateway/sandbox_int.h"

#include "base/assert.h"
#include "base/time.h"
#include "gateway/admission.h"
#include "gateway/box_file.h"
#include "gateway/external.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/service.h"
#include "gateway/ssh.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DRIVER_TURN_MS 1000

struct cv_gw_box *cv_gw_box_get(const struct cv_gateway *g, struct cv_ref ref)
{
	return cv_slots_get(&g->sandboxes->boxes, ref);
}

void cv_gw_box_hook(struct cv_gateway *g, const struct cv_gw_box_hooks *h)
{
	cv_assert(g->sandboxes->hook_count < CV_GW_BOX_HOOKS_MAX);
	g->sandboxes->hooks[g->sandboxes->hook_count++] = h;
}

/* ---- to what should be ---- */

void box_deadline(struct cv_gw_box *b, int64_t ms)
{
	b->deadline_ms = ms ? b->g->loop.now_ms + ms : 0;
	if (ms)
		b->g->sandboxes->deadline_ms = CV_MIN(b->g->sandboxes->deadline_ms, b->deadline_ms);
}

/* Until there is room for it. */
static void box_wait(struct cv_gw_box *b)
{
	b->is_first = true;
	cv_gw_box_set(b, CV_GW_WAITING);
}

static void box_kill(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	struct cv_err err;

	if (b->process.pidfd >= 0 && s->driver->kill(s->d, b->process.pidfd, &err) != CV_OK)
		cv_log(CV_LOG_ERROR, "sandbox", CV_LOG_NONE, "%s", err.msg);
}

/* Its end is under way. */
static void ending(struct cv_gw_box *b, int64_t ms)
{
	box_deadline(b, ms);
	if (b->state != CV_GW_ENDING)
		cv_gw_box_set(b, CV_GW_ENDING);
}

void box_stop(struct cv_gw_box *b, uint32_t grace_ms)
{
	cv_gw_start_end(b, "Stopped");
	if (b->external) {
		cv_gw_external_stop(b);
	} else if (b->link && cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_STOP, &grace_ms, 1)) {
		ending(b, (int64_t)grace_ms + BOX_ENDING_MS);
	} else if (b->process.pidfd >= 0) {
		box_kill(b);
		ending(b, BOX_ENDING_MS);
	} /* else it may be there: it is told when it dials, or there is none */
}

/* The box is gone afterwards, unless the store refuses: then it is tried again. */
static void box_delete(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	struct cv_object *o = b->object;
	struct cv_err err;

	if (s->driver->remove(s->d, cv_str_of(o->id), &err) != CV_OK) {
		cv_log(CV_LOG_ERROR, "sandbox", CV_LOG_NONE, "%s", err.msg);
		box_deadline(b, BOX_LOST_MS);
		return;
	}
	/* What is of it goes with it.  All of it waits for the next change that may not be lost: a
	 * record that is still there after a crash says that its sandbox should be gone, and leads
	 * here again. */
	cv_objects_lazy(b->g->objects, true);
	HOOKS(b, i, deleted)
	s->hooks[i]->deleted(b);
	cv_gw_box_log(b, "INFO", "sandbox", "deleted");
	watch_deleted(b);
	cv_log(CV_LOG_INFO, "sandbox",
		CV_LOG_FIELDS({ "name", o->name }, { "workspace", o->scope }), "deleted");
	const enum cv_rpc_status status =
		cv_object_delete(b->g->objects, o, CV_OBJECT_ANY_VERSION, &err);
	cv_objects_lazy(b->g->objects, false);
	if (status != CV_RPC_OK) {
		cv_log(CV_LOG_ERROR, "sandbox", CV_LOG_NONE, "%s", err.msg);
		box_deadline(b, BOX_LOST_MS);
		return;
	}
	cv_gw_admission_leave(b);
	cv_slots_remove(&s->boxes, b->ref);
	free(b->unwritten);
	free(b);
}

/* Brings the supervisor to what should be; b may be gone afterwards. */
static void settle(struct cv_gw_box *b)
{
	const enum cv_gw_want want = cv_gw_box_want(b);

	switch (b->state) {
	case CV_GW_ABSENT:
		if (want == CV_GW_RUN && cv_gw_admission_waits(b))
			box_wait(b);
		else if (want == CV_GW_RUN)
			box_start(b);
		else if (want == CV_GW_DELETE)
			box_delete(b);
		break;
	case CV_GW_QUEUED:
		if (want == CV_GW_RUN)
			break;
		box_queue_leave(b);
		cv_gw_start_end(b, "Stopped");
		cv_gw_box_set(b, CV_GW_ABSENT);
		settle(b);
		break;
	case CV_GW_WAITING:
		if (want == CV_GW_RUN && cv_gw_admission_waits(b))
			break;
		cv_gw_box_set(b, CV_GW_ABSENT);
		settle(b);
		break;
	case CV_GW_STARTED:
	case CV_GW_DIALLED:
	case CV_GW_UP:
	case CV_GW_LOST:
		if (want != CV_GW_RUN)
			box_stop(b, want == CV_GW_STOP ? BOX_STOP_GRACE_MS : BOX_DELETE_GRACE_MS);
		break;
	case CV_GW_ENDING:
	case CV_GW_STATE_COUNT: break;
	}
}

/* b may be gone afterwards. */
void box_gone(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	const bool is_expected = b->state == CV_GW_ENDING || cv_gw_box_want(b) != CV_GW_RUN;

	s->driver->reap(s->d, cv_str_of(b->object->id), &b->process);
	/* What it said last may still be there to read. */
	if (b->link)
		session_drain(b->g, b->link->ref);
	if (b->link)
		session_close(b->link);
	cv_gw_ssh_ended(b);
	exec_ended(b);
	forward_ended(b);
	service_ended(b);
	HOOKS(b, i, ended)
	s->hooks[i]->ended(b);
	box_deadline(b, 0);
	cv_gw_box_set(b, CV_GW_ABSENT);
	if (!is_expected && cv_gw_box_want(b) == CV_GW_RUN)
		box_fail(b, "SupervisorExited", -1,
			"The sandbox's supervisor ended by itself; its log says more");
	settle(b);
}

void box_link_lost(struct cv_gw_box *b)
{
	exec_link_lost(b);
	kept_link_lost(b);
	cv_gw_ssh_link_lost(b);
	forward_ended(b);
	service_ended(b);
	if (b->state != CV_GW_DIALLED && b->state != CV_GW_UP)
		return;
	cv_gw_box_set(b, CV_GW_LOST);
	box_deadline(b, BOX_LOST_MS);
}

/* ---- what supervisors say ---- */

bool process_is_its(const struct cv_driver_process *p, struct cv_str instance, struct cv_str token)
{
	unsigned char differs = 0;

	if (token.n != sizeof(p->token) || !cv_str_eq(instance, cv_str_of(p->instance)))
		return false;
	/* In the same time wherever they differ. */
	for (size_t i = 0; i < token.n; i++)
		differs |= (unsigned char)token.p[i] ^ p->token[i];
	return !differs;
}

bool box_is_its(struct cv_gw_box *b, struct cv_str instance, struct cv_str token)
{
	return b->state != CV_GW_ABSENT && b->state != CV_GW_QUEUED &&
	       process_is_its(&b->process, instance, token);
}

void box_dialled(struct cv_gw_box *b, struct cv_gw_link *l, uint64_t policy_revision)
{
	if (b->process.pidfd < 0) {
		b->process.pid = l->pid;
		b->process.pidfd = (int)syscall(SYS_pidfd_open, l->pid, 0);
		box_process_watch(b);
	}
	if (b->state == CV_GW_ENDING) {
		box_stop(b, cv_gw_box_want(b) == CV_GW_DELETE ? BOX_DELETE_GRACE_MS
							      : BOX_STOP_GRACE_MS);
		return;
	}
	if (b->state != CV_GW_STARTED && b->state != CV_GW_LOST) /* a second link */
		cv_gw_box_set(b, CV_GW_LOST);
	cv_gw_start_step(b, CV_GW_STEP_DIAL);
	cv_gw_box_set(b, CV_GW_DIALLED);
	box_deadline(b, BOX_BUILD_MS);
	HOOKS(b, i, dialled)
	b->g->sandboxes->hooks[i]->dialled(b, policy_revision);
	settle(b);
}

static void on_ready(struct cv_gw_box *b)
{
	static const char *const step[] = { "", "starting_sandbox" };

	if (b->state != CV_GW_DIALLED)
		return;
	const bool is_first = b->is_first;
	box_deadline(b, 0);
	cv_gw_box_set(b, CV_GW_UP);
	cv_gw_start_step(b, CV_GW_STEP_BUILD);
	cv_gw_start_end(b, NULL);
	if (is_first)
		watch_platform(b, "Ready", step, "Sandbox ready");
	exec_ready(b);
}

void box_let_go(struct cv_gw_box *b)
{
	const uint32_t settled[] = { CV_GATEWAY_REPLY_ENDED, 0 };

	if (!b->link)
		return;           /* it will ask again */
	ending(b, BOX_ENDING_MS); /* it goes by itself */
	(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_SETTLED, settled, 2);
}

static void on_ended(struct cv_gw_box *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t status = cv_ipc_get_u32(&r);
	const bool is_failure = cv_ipc_get_u32(&r);
	const struct cv_str why = cv_ipc_get_str(&r);
	char text[256];

	/* Reports of a sandbox that is told to stop say nothing new (openshell-api 6). */
	if (cv_gw_box_want(b) == CV_GW_RUN && b->state != CV_GW_ENDING) {
		if (is_failure || r.is_bad)
			snprintf(text, sizeof(text), "%.*s", CV_STR_ARG(why));
		else
			snprintf(text, sizeof(text), "Main process exited with code %u", status);
		box_fail(b, is_failure ? "SandboxFailed" : "MainProcessExited",
			is_failure ? -1 : (int)status, text);
	}
	if (b->unwritten) /* it stays, so that a gateway that comes back is told again */
		b->unwritten->is_report = true;
	else
		box_let_go(b);
}

void box_message(struct cv_gw_box *b, struct cv_ipc_msg *m)
{
	switch ((int)m->type) {
	case CV_GATEWAY_REPLY_READY: on_ready(b); break;
	case CV_GATEWAY_REPLY_ENDED: on_ended(b, m->body); break;
	case CV_GATEWAY_REPLY_STARTED:
	case CV_GATEWAY_REPLY_STARTED_TTY:
	case CV_GATEWAY_REPLY_FAILED:
	case CV_GATEWAY_REPLY_EXITED:
	case CV_GATEWAY_REPLY_KEPT:
	case CV_GATEWAY_REPLY_KEPT_INPUT:
		if (!kept_message(b, m))
			exec_message(b, m);
		break;
	case CV_GATEWAY_REPLY_DIALLED:
	case CV_GATEWAY_REPLY_NOT_DIALLED:
		if (!service_message(b, m))
			forward_message(b, m);
		break;
	case CV_GATEWAY_REPLY_EVENT: watch_event_line(b, m->body); break;
	case CV_GATEWAY_REPLY_COUNTS: cv_gw_counts_take(m->body); break;
	case CV_GATEWAY_REPLY_LOST:
		cv_gw_lost_take(m->body);
		cv_gw_box_log(b, "WARN", "sandbox", "lines of the log were lost");
		break;
	case CV_GATEWAY_REPLY_HELLO: break;
	default: /* of one part or another */
		HOOKS(b, i, message)
		b->g->sandboxes->hooks[i]->message(b, m->type, m->body);
		break;
	}
}

/* ---- deadlines ---- */

/* There may have been a process that nobody had written down; it did not dial. */
static void process_given_up(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;

	s->driver->reap(s->d, cv_str_of(b->object->id), &b->process);
	cv_gw_box_set(b, CV_GW_ABSENT);
	settle(b);
}

static void box_late(struct cv_gw_box *b)
{
	b->deadline_ms = 0;
	switch (b->state) {
	case CV_GW_STARTED:
	case CV_GW_DIALLED:
		if (cv_gw_box_want(b) == CV_GW_RUN)
			box_fail(b, "SandboxFailed", -1, "The sandbox did not come up in time");
		box_kill(b);
		ending(b, BOX_ENDING_MS);
		break;
	case CV_GW_LOST:
		if (b->process.pidfd < 0) {
			process_given_up(b);
			break;
		}
		if (cv_gw_box_want(b) == CV_GW_RUN)
			box_fail(b, "SupervisorNotConnected", -1,
				"The sandbox's supervisor runs, but does not answer");
		box_kill(b);
		ending(b, BOX_ENDING_MS);
		break;
	case CV_GW_ENDING:
		box_kill(b);
		ending(b, BOX_ENDING_MS);
		break;
	case CV_GW_ABSENT: settle(b); break;
	case CV_GW_QUEUED:
	case CV_GW_UP:
	case CV_GW_WAITING:
	case CV_GW_STATE_COUNT: break;
	}
}

static int64_t boxes_turn(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < s->boxes.n; i++) {
		struct cv_gw_box *b = s->boxes.v[i].thing;

		if (b && b->deadline_ms && g->loop.now_ms >= b->deadline_ms)
			box_late(b);
		b = s->boxes.v[i].thing; /* it may be gone */
		if (b && b->deadline_ms)
			next = CV_MIN(next, b->deadline_ms);
	}
	return next;
}

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;

	if (!g->is_draining) {
		boxes_start(g);
		spare_turn(g);
	}
	if (s->has_broken || g->loop.now_ms >= s->deadline_ms) {
		s->deadline_ms = INT64_MAX; /* what is set meanwhile counts */
		const int64_t links = session_turn(g), boxes = boxes_turn(g);
		s->deadline_ms = CV_MIN(s->deadline_ms, CV_MIN(links, boxes));
	}
	const bool is_due = g->loop.now_ms >= s->driver_ms;
	if (g->has_child_ended || is_due || g->loop.now_ms >= s->ahead_ms) {
		g->has_child_ended = false; /* the driver's, perhaps */
		s->ahead_ms = INT64_MAX;
		s->driver->turn(s->d);
	}
	if (is_due) {
		cv_objects_flush(g->objects);
		boxes_write(g);
		s->driver_ms = g->loop.now_ms + DRIVER_TURN_MS;
	}
	const int64_t admission = cv_gw_admission_turn(g);
	if (s->queue_first && !g->is_draining)
		return g->loop.now_ms;
	const int64_t driver = CV_MIN(s->driver_ms, s->ahead_ms);
	return CV_MIN(CV_MIN(s->deadline_ms, admission), CV_MIN(driver, spare_due_ms(g)));
}

static void part_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	if (CV_GW_WATCH_SUB(e->watch.kind) == WATCH_SPARE) {
		spare_gone(g, e->watch.ref);
		return;
	}
	if (CV_GW_WATCH_SUB(e->watch.kind) != WATCH_PROCESS) {
		session_event(g, e);
		return;
	}
	struct cv_gw_box *b = cv_gw_box_get(g, e->watch.ref);

	if (b && b->process.pidfd >= 0)
		box_gone(b);
}

/* ---- start and stop of the part ---- */

struct cv_gw_box *box_new(struct cv_gateway *g, struct cv_object *o)
{
	struct cv_gw_box *b = calloc(1, sizeof(*b));

	if (!b || !cv_slots_add(&g->sandboxes->boxes, b, &b->ref)) {
		free(b);
		return NULL;
	}
	b->g = g;
	b->object = o;
	b->process.pidfd = -1;
	b->is_first = true;
	b->since_ms = cv_clock_unix_ms();
	if (!cv_gw_admission_join(b)) {
		cv_slots_remove(&g->sandboxes->boxes, b->ref);
		free(b);
		return NULL;
	}
	o->runtime = b;
	b->told = cv_gw_box_phase(b);
	return b;
}

void box_settle(struct cv_gw_box *b)
{
	settle(b);
}

/* A sandbox of the store: is there a process of it? */
static void box_adopt(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	struct cv_err err;

	if (s->driver->adopt(s->d, cv_str_of(b->object->id), &b->process, &err) != CV_OK)
		return;
	box_process_watch(b);
	cv_gw_box_set(b, CV_GW_LOST);
	box_deadline(b, BOX_LOST_MS);
}

static bool is_known(void *arg, struct cv_str id)
{
	const struct cv_gateway *g = arg;

	return cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, id) != NULL;
}

static bool is_running(void *arg, struct cv_str id)
{
	const struct cv_gateway *g = arg;
	const struct cv_object *o = cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, id);

	return o && cv_gw_box_of(o) && cv_gw_box_of(o)->state != CV_GW_ABSENT;
}

static cv_code boxes_load(struct cv_gateway *g, struct cv_err *err)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_SANDBOX);

	for (size_t i = all.first; i < all.end; i++) {
		struct cv_gw_box *b = box_new(g, cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));

		if (!b)
			return cv_fail(err, CV_LIMIT, "no memory for the sandboxes");
		b->is_restart = !cv_gw_box_is_external(b) && !cv_gw_admission_is_new(b);
		box_adopt(b);
		/* The rest in the first turn, since deleting one moves the others; and before the
		 * first call. */
		if (b->state == CV_GW_ABSENT && cv_gw_box_want(b) != CV_GW_STOP &&
			cv_gw_box_want(b) != CV_GW_FAIL)
			b->deadline_ms = g->sandboxes->deadline_ms = g->loop.now_ms;
	}
	g->sandboxes->driver->sweep(g->sandboxes->d, is_known, g);
	cv_gw_box_files_sweep(g, is_running, g);
	return CV_OK;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_gw_sandboxes *s = calloc(1, sizeof(*s));

	if (!s)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->sandboxes = s;
	s->listener = -1;
	s->deadline_ms = INT64_MAX;
	s->driver = &cv_driver_local;
	cv_code code = s->driver->open(cv_str_of(g->state_dir), &s->d, err);
	if (code == CV_OK)
		code = session_start(g, err);
	return code == CV_OK ? boxes_load(g, err) : code;
}

static void part_stop(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;

	if (!s)
		return;
	session_stop(g);
	for (size_t i = 0; i < s->boxes.n; i++) {
		struct cv_gw_box *b = s->boxes.v[i].thing;

		if (!b)
			continue;
		if (b->process.pidfd >= 0)
			close(b->process.pidfd);
		watch_deleted(b); /* its lines; nobody follows any more */
		cv_gw_admission_leave(b);
		b->object->runtime = NULL;
		free(b->unwritten);
		free(b);
	}
	cv_slots_fini(&s->boxes);
	spare_stop(g);
	s->driver->close(s->d);
	free(s);
	g->sandboxes = NULL;
}

const struct cv_gw_part cv_gw_part_sandbox = {
	.name = "sandbox",
	.methods = sandbox_methods,
	.method_count = SANDBOX_METHODS,
	.start = part_start,
	.stop = part_stop,
	.event = part_event,
	.turn = part_turn,
	.reload = spare_reload,
};
