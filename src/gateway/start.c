/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c - the start of a sandbox's supervisor, and the queue of those that wait for theirs
 *
 * To start one is work (its plan is made, a process is begun), so a turn of the loop starts a few,
 * in the order in which they came.  Who is next is described to the driver, or takes a spare that
 * fits; from then on there is a process, and a time by which it has to dial.
 *
 *     box_start() --QUEUED--> boxes_start() --STARTED--> box_dialled(), of sandbox.c
 *                                            \- ABSENT, and should FAIL
 */
#include "gateway/sandbox_int.h"

#include "gateway/config.h"
#include "gateway/external.h"
#include "gateway/log.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/proc.h"

#include <sys/random.h>

/* After the last of several starts: what the driver does ahead would take the processor from those. */
#define AHEAD_MS 20

/* ---- the queue ---- */

void box_start(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;

	b->is_first = true;
	if (!b->start.is_on) /* nobody has just asked: it was to run before */
		cv_gw_start_begin(b, NULL, cv_clock_us());
	b->next_queued = NULL;
	if (s->queue_last)
		s->queue_last->next_queued = b;
	else
		s->queue_first = b;
	s->queue_last = b;
	cv_gw_box_set(b, CV_GW_QUEUED);
}

void box_queue_leave(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	struct cv_gw_box *before = NULL;

	for (struct cv_gw_box *i = s->queue_first; i; before = i, i = i->next_queued) {
		if (i != b)
			continue;
		if (before)
			before->next_queued = b->next_queued;
		else
			s->queue_first = b->next_queued;
		if (s->queue_last == b)
			s->queue_last = before;
		break;
	}
	b->next_queued = NULL;
}

/* ---- a supervisor ---- */

static cv_code supervisor_describe(struct cv_gw_box *b, struct cv_driver_sandbox *d,
	struct cv_arena *arena, struct cv_err *err)
{
	cv_code code = create_describe(b, d, arena, err);

	HOOKS(b, i, prepare)
	if (code == CV_OK) {
		code = b->g->sandboxes->hooks[i]->prepare(b, d, arena, err);
		if (code == CV_NOT_FOUND) /* a key, a provider; as such it would be an image */
			code = CV_INVALID;
	}
	return code;
}

cv_code box_supervisor_start(struct cv_gw_box *b, bool is_new, struct cv_arena *arena,
	struct box_claim *ret_claim, struct cv_err *err)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;
	unsigned char token[CV_PLAN_GATEWAY_TOKEN_BYTES];
	char instance[CV_OBJECT_ID_BYTES + 1];
	struct cv_driver_sandbox d = { .token = token, .credentials = -1, .is_new = is_new };

	if (getrandom(token, sizeof(token), 0) != sizeof(token))
		return cv_fail_errno(err, "getrandom");
	cv_object_id_make(instance);
	d.id = cv_str_of(b->object->id);
	d.name = b->object->name;
	d.instance = cv_str_of(instance);
	d.socket = cv_str_of(s->socket);
	d.interception = cv_gw_config_interception(b->g->config);
	cv_code code = supervisor_describe(b, &d, arena, err);
	if (code == CV_OK && spare_claim(b, &d, &ret_claim->plan))
		ret_claim->set = cv_take_fd(d.credentials);
	else if (code == CV_OK)
		code = s->driver->start(s->d, &d, &b->process, err);
	s->ahead_ms = b->g->loop.now_ms + AHEAD_MS;
	if (d.credentials >= 0)
		close(d.credentials);
	explicit_bzero(token, sizeof(token));
	return code;
}

/* It has something to do while we have, too. */
bool box_send_aside(struct cv_gw_box *b, uint32_t type, const int *fds, size_t n)
{
	cv_proc_elsewhere(b->process.pid);
	const bool is_sent = cv_gw_box_send(b, type, CV_STR_NONE, fds, n);
	cv_proc_anywhere(b->process.pid);
	return is_sent;
}

bool box_claim_send(struct cv_gw_box *b, struct box_claim *c)
{
	const int fds[] = { c->plan, c->set };
	const bool is_sent =
		c->plan >= 0 &&
		box_send_aside(b, c->set < 0 ? CV_GATEWAY_REQ_CLAIM : CV_GATEWAY_REQ_CLAIM_SET, fds,
			c->set < 0 ? 1 : 2);

	cv_fd_cleanup(&c->plan);
	cv_fd_cleanup(&c->set);
	return is_sent;
}

void box_process_watch(struct cv_gw_box *b)
{
	struct cv_err err;

	if (b->process.pidfd >= 0 &&
		cv_loop_add(&b->g->loop, b->process.pidfd, EPOLLIN,
			(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_SANDBOX, WATCH_PROCESS), b->ref },
			&err) != CV_OK)
		cv_log(CV_LOG_ERROR, "sandbox", CV_LOG_NONE, "%s", err.msg);
}

void box_begun(struct cv_gw_box *b)
{
	static const char *const step[] = { "starting_sandbox", "requesting_sandbox" };

	cv_gw_start_step(b, CV_GW_STEP_SPAWN);
	box_process_watch(b);
	box_deadline(b, BOX_DIAL_MS);
	cv_gw_box_set(b, CV_GW_STARTED);
	watch_platform(b, "Started", step, "Sandbox allocated");
}

void box_start_failed(struct cv_gw_box *b, cv_code code, const struct cv_err *err)
{
	box_fail(b, code == CV_NOT_FOUND ? "ImageUnavailable" : "StartFailed", -1, err->msg);
}

static void start_now(struct cv_gw_box *b)
{
	struct box_claim claim = { -1, -1 };
	struct cv_arena arena;
	struct cv_err err;

	cv_gw_start_step(b, CV_GW_STEP_QUEUE);
	if (cv_gw_external_start(b))
		return;
	cv_arena_init(&arena, BOX_ARENA_MAX);
	const cv_code code = box_supervisor_start(b, false, &arena, &claim, &err);
	cv_arena_wipe(&arena);
	if (code != CV_OK) {
		cv_gw_box_set(b, CV_GW_ABSENT);
		box_start_failed(b, code, &err);
		return;
	}
	box_begun(b);
	/* Before anything else is told to it: it does not know yet who it is. */
	if (box_claim_send(b, &claim))
		box_dialled(b, b->link, 0);
}

void boxes_start(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;

	for (int i = 0; i < BOX_STARTS_TURN_MAX && s->queue_first; i++) {
		struct cv_gw_box *b = s->queue_first;

		box_queue_leave(b);
		start_now(b);
	}
}
