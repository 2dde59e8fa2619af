/* SPDX-License-Identifier: Apache-2.0 */
/*
 * early.c - a sandbox is started while its record is on its way to the disk
 *
 *     gateway      judged --start--> commit ................ stored --confirm, GO--> answers
 *     supervisor             builds the sandbox ........... waits for the word --> command, READY
 *
 * To build a sandbox and to wait for the disk take about as long, and neither needs the other. What a
 * client was not told of must not do anything, though: so the supervisor builds and runs nothing before
 * the gateway has said that there is such a sandbox (CV_PLAN_GATEWAY_AWAIT). It hears that with
 * ACCEPTED, since we read nothing while we store; one that was claimed, with GO.
 *
 *     the store refuses          the supervisor is killed, its directory goes, the client is told
 *     we are killed before       `run` says "new": the next gateway sweeps the directory, and refuses the
 *                                supervisor, which ends by itself; nothing ran
 *     we are killed after        the next gateway finds record and directory, and accepts the supervisor
 *
 * Started early is what needs nothing but its own record: not what waits for room, or behind
 * others, or is somebody else's.
 */
#include "gateway/sandbox_int.h"

#include "gateway/admission.h"
#include "gateway/external.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <stdlib.h>

static bool may_be_early(const struct cv_gw_box *b)
{
	const struct cv_gateway *g = b->g;

	return !g->is_draining && !g->sandboxes->queue_first && cv_gw_box_want(b) == CV_GW_RUN &&
	       !cv_gw_admission_waits(b) && !cv_gw_box_is_external(b);
}

static void begin(struct cv_gw_box *b, struct box_early *e)
{
	struct box_claim claim = { -1, -1 };
	struct cv_arena arena;

	e->is_on = true;
	cv_arena_init(&arena, BOX_ARENA_MAX);
	e->code = box_supervisor_start(b, true, &arena, &claim, &e->err);
	cv_arena_wipe(&arena);
	e->is_claimed = e->code == CV_OK && claim.plan >= 0;
	(void)box_claim_send(b, &claim);
}

static void box_drop(struct cv_gw_box *b)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;

	cv_objects_lazy(b->g->objects, true);
	for (size_t i = 0; i < s->hook_count; i++)
		if (s->hooks[i]->deleted)
			s->hooks[i]->deleted(b);
	cv_objects_lazy(b->g->objects, false);
	watch_deleted(b);
	cv_gw_admission_leave(b);
	cv_slots_remove(&s->boxes, b->ref);
	free(b);
}

enum cv_rpc_status box_create(struct cv_gateway *g, ProtobufCMessage *m, struct cv_gw_box **ret,
	struct box_early *ret_early, struct cv_err *err)
{
	struct cv_object *o;
	enum cv_rpc_status s = cv_object_create_begin(
		g->objects, CV_OBJECT_SANDBOX, m, cv_clock_unix_ms(), &o, err);

	*ret_early = (struct box_early){ .is_on = false };
	if (s != CV_RPC_OK)
		return s;
	struct cv_gw_box *b = box_new(g, o);
	if (!b) {
		cv_object_create_drop(g->objects, o);
		return cv_fail(err, CV_LIMIT, "no memory"), CV_RPC_RESOURCE_EXHAUSTED;
	}
	if (may_be_early(b))
		begin(b, ret_early);
	s = cv_object_create_end(g->objects, o, err);
	if (s == CV_RPC_OK) {
		*ret = b;
		return s;
	}
	if (b->process.pidfd >= 0)
		spare_end_box(b);
	else if (ret_early->is_on)
		(void)!g->sandboxes->driver->remove(
			g->sandboxes->d, cv_str_of(o->id), &ret_early->err);
	box_drop(b);
	cv_object_create_drop(g->objects, o);
	return s;
}

void box_created(struct cv_gw_box *b, const struct box_early *e)
{
	struct cv_gw_sandboxes *s = b->g->sandboxes;

	if (!e->is_on) {
		box_settle(b); /* queued: its supervisor starts in this turn */
		return;
	}
	cv_gw_start_step(b, CV_GW_STEP_QUEUE);
	if (e->code != CV_OK) {
		box_start_failed(b, e->code, &e->err);
		return;
	}
	cv_gw_box_set(b, CV_GW_QUEUED);
	if (e->is_claimed && b->link)
		(void)box_send_aside(b, CV_GATEWAY_REQ_GO, NULL, 0);
	s->driver->confirm(s->d, cv_str_of(b->object->id), &b->process);
	box_begun(b);
	if (e->is_claimed && b->link)
		box_dialled(b, b->link, 0);
}
