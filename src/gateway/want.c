/* SPDX-License-Identifier: Apache-2.0 */
/*
 * want.c - what should be of a sandbox, as it is stored
 *
 * A client's wish that the store refuses has not happened, and the client is told.  A failure has
 * happened whatever the store says: it is kept in memory then, where phase and view look first, and
 * written when the store takes it again; without that a sandbox whose supervisor is gone would be
 * started once more.  Until it is written the supervisor that reported it is not let go, so what a
 * gateway forgets by dying it is told again.
 */
#include "gateway/admission.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/sandbox_int.h"

#include "base/time.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define PHASE(name) OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_##name

static void condition_put(Openshell__V1__SandboxStatus *s, const struct box_failure *f)
{
	char text[CV_TIME_TEXT_BYTES];

	while (s->n_conditions)
		cv_pb_free(cv_pb_take(&s->conditions, &s->n_conditions, 0));
	s->_exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE__NOT_SET;
	if (!f)
		return;
	Openshell__V1__SandboxCondition *c =
		cv_pb_new(&openshell__v1__sandbox_condition__descriptor);
	cv_pb_str_set(&c->type, CV_STR("Ready"));
	cv_pb_str_set(&c->status, CV_STR("False"));
	cv_pb_str_set(&c->reason, cv_str_of(f->reason));
	cv_pb_str_set(&c->message, cv_str_of(f->message));
	cv_pb_str_set(&c->last_transition_time, cv_time_format(cv_clock_unix_ms(), text));
	cv_pb_append(&s->conditions, &s->n_conditions, c);
	if (f->exit_code >= 0) {
		s->_exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
		s->exit_code = f->exit_code;
	}
}

/* An older failure is stored, or of no account any more. */
static void written(struct cv_gw_box *b)
{
	const bool is_report = b->unwritten && b->unwritten->is_report;

	free(b->unwritten);
	b->unwritten = NULL;
	if (is_report)
		box_let_go(b);
}

enum cv_rpc_status box_want_write(struct cv_gw_box *b, Openshell__V1__SandboxPhase phase,
	const struct box_failure *f, struct cv_err *err)
{
	Openshell__V1__Sandbox *m = (Openshell__V1__Sandbox *)cv_object_copy(b->object);

	if (!m)
		return cv_fail(err, CV_LIMIT, "no memory"), CV_RPC_RESOURCE_EXHAUSTED;
	if (!m->status)
		m->status = cv_pb_new(&openshell__v1__sandbox_status__descriptor);
	m->status->phase = phase;
	condition_put(m->status, f);
	cv_gw_admission_note(b, m->status);
	if (phase == PHASE(DELETING))
		m->metadata->deletion_timestamp_ms = cv_clock_unix_ms();
	const enum cv_rpc_status s =
		cv_object_write(b->g->objects, b->object, CV_OBJECT_ANY_VERSION, &m->base, err);
	if (s == CV_RPC_OK) {
		written(b);
		cv_gw_box_changed(b);
	}
	return s;
}

static void keep(struct cv_gw_box *b, const struct box_failure *f)
{
	struct cv_gw_unwritten *u = calloc(1, sizeof(*u));

	if (!u)
		return;
	snprintf(u->reason, sizeof(u->reason), "%s", f->reason);
	snprintf(u->message, sizeof(u->message), "%s", f->message);
	u->exit_code = f->exit_code;
	free(b->unwritten);
	b->unwritten = u;
	cv_gw_box_changed(b);
}

void box_fail(struct cv_gw_box *b, const char *reason, int exit_code, const char *message)
{
	const struct box_failure f = { reason, message, exit_code };
	struct cv_err err;

	cv_gw_start_end(b, reason);
	cv_gw_box_log(b, "ERROR", "sandbox", "%s: %s", reason, message);
	/* A main process that did what it was for has failed nobody, whatever the phase is called. */
	cv_log(exit_code == 0 ? CV_LOG_INFO : CV_LOG_WARN, "sandbox",
		CV_LOG_FIELDS({ "name", b->object->name }, { "workspace", b->object->scope },
			{ "reason", cv_str_of(reason) }),
		"%s: %s", exit_code == 0 ? "ended" : "failed", message);
	if (box_want_write(b, PHASE(ERROR), &f, &err) == CV_RPC_OK)
		return;
	cv_log(CV_LOG_ERROR, "sandbox", CV_LOG_FIELDS({ "id", cv_str_of(b->object->id) }),
		"its failure is not written yet: %s", err.msg);
	keep(b, &f);
}

void boxes_write(struct cv_gateway *g)
{
	struct cv_err err;

	for (size_t i = 0; i < g->sandboxes->boxes.n; i++) {
		struct cv_gw_box *b = g->sandboxes->boxes.v[i].thing;

		if (!b || !b->unwritten)
			continue;
		const struct cv_gw_unwritten u = *b->unwritten;
		const struct box_failure f = { u.reason, u.message, u.exit_code };

		if (box_want_write(b, PHASE(ERROR), &f, &err) != CV_RPC_OK)
			return; /* the others have the same store */
	}
}
