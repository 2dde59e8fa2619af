/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.c - a sandbox as clients see it: the stored message with a computed status
 */
#include "gateway/sandbox_int.h"

#include "base/time.h"
#include "gateway/admission.h"
#include "gateway/pod.h"
#include "gateway/policy.h"

#define CONDITIONS_MAX 3

struct words {
	const char *reason, *message;
};

/* Reasons that clients know do not count as a failure (openshell-behaviour 2). */
static struct words run_words(const struct cv_gw_box *b)
{
	switch (b->state) {
	case CV_GW_UP: return (struct words){ "DependenciesReady", "Supervisor session connected" };
	case CV_GW_LOST:
		return (struct words){ "DependenciesNotReady", "Supervisor session disconnected" };
	case CV_GW_STARTED:
		return (struct words){ "SupervisorNotConnected",
			"Backend ready; waiting for supervisor session" };
	case CV_GW_DIALLED: return (struct words){ "Starting", "The sandbox is being built" };
	case CV_GW_ENDING:
		return (struct words){ "Starting", "Waiting for the former start to end" };
	case CV_GW_ABSENT:
	case CV_GW_QUEUED:
	case CV_GW_WAITING:
	case CV_GW_STATE_COUNT: break;
	}
	return (struct words){ "Starting", "The sandbox is about to be started" };
}

static struct words words_of(const struct cv_gw_box *b)
{
	switch (cv_gw_box_want(b)) {
	case CV_GW_STOP:
		return b->state == CV_GW_ABSENT
			       ? (struct words){ "Stopped", "The sandbox was stopped" }
			       : (struct words){ "Stopping", "The sandbox is being stopped" };
	case CV_GW_DELETE: return (struct words){ "Deleting", "The sandbox is being deleted" };
	case CV_GW_FAIL:
		if (b->unwritten)
			return (struct words){ b->unwritten->reason, b->unwritten->message };
		break;
	case CV_GW_RUN:
	case CV_GW_WANT_COUNT: break;
	}
	return run_words(b);
}

/* messages' strings are not const in C; nobody writes to those of a view */
static char *shown(struct cv_arena *arena, const char *s)
{
	const struct cv_str copy = cv_arena_str(arena, cv_str_of(s));

	return copy.p ? (char *)(uintptr_t)copy.p : NULL;
}

static bool condition_add(struct cv_arena *arena, Openshell__V1__SandboxStatus *s, const char *type,
	bool is_true, struct words w, int64_t since_ms)
{
	char text[CV_TIME_TEXT_BYTES];
	Openshell__V1__SandboxCondition *c = cv_arena_new(arena, Openshell__V1__SandboxCondition);

	if (!c)
		return false;
	openshell__v1__sandbox_condition__init(c);
	cv_time_format(since_ms, text);
	c->type = shown(arena, type);
	c->status = shown(arena, is_true ? "True" : "False");
	c->reason = shown(arena, w.reason);
	c->message = shown(arena, w.message);
	c->last_transition_time = shown(arena, text);
	s->conditions[s->n_conditions++] = c;
	return true;
}

/* Who asked for a pod hears in the sandbox's own words what it has not of it. */
static bool pod_condition_add(
	const struct cv_gw_box *b, struct cv_arena *arena, Openshell__V1__SandboxStatus *s)
{
	const struct cv_str left = pod_left_out(cv_gw_box_stored(b)->spec->template_, arena);
	struct words w = { "PartlyTaken", NULL };

	if (!left.n)
		return true;
	w.message = cv_arena_printf(arena,
		"Of pod_template a sandbox takes image, command, args and env. Not given: %.*s",
		CV_STR_ARG(left))
			    .p;
	return w.message && condition_add(arena, s, "PodTemplate", false, w,
				    cv_gw_box_stored(b)->metadata->created_at_ms);
}

/* The conditions "Ready", "Admitted" while it waits for room, and "PodTemplate"; or those that are stored
 * where there is an end to tell. */
static bool conditions_add(
	const struct cv_gw_box *b, struct cv_arena *arena, Openshell__V1__SandboxStatus *s)
{
	const bool waits = cv_gw_box_want(b) == CV_GW_RUN && cv_gw_admission_waits(b);
	struct words w = words_of(b);

	if (cv_gw_box_want(b) == CV_GW_FAIL && s->n_conditions && !b->unwritten)
		return true;
	s->n_conditions = 0;
	s->conditions = cv_arena_array(arena, CONDITIONS_MAX, sizeof(s->conditions[0]));
	if (!s->conditions)
		return false;
	if (waits)
		w.message = cv_gw_admission_words(b, arena).p;
	if (!w.message || !condition_add(arena, s, "Ready",
				  b->told == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY, w,
				  b->since_ms))
		return false;
	w.reason = "Queued";
	return (!waits || condition_add(arena, s, "Admitted", false, w, b->wait_since_ms)) &&
	       pod_condition_add(b, arena, s);
}

Openshell__V1__Sandbox *cv_gw_box_view(const struct cv_gw_box *b, struct cv_arena *arena)
{
	const Openshell__V1__Sandbox *stored = cv_gw_box_stored(b);
	Openshell__V1__Sandbox *m = cv_arena_new(arena, Openshell__V1__Sandbox);
	Openshell__V1__SandboxStatus *s = cv_arena_new(arena, Openshell__V1__SandboxStatus);

	if (!m || !s)
		return NULL;
	*m = *stored;
	if (stored->status)
		*s = *stored->status;
	else
		openshell__v1__sandbox_status__init(s);
	m->status = s;
	s->phase = cv_gw_box_phase(b);
	s->sandbox_name = stored->metadata->name;
	s->current_policy_version = cv_gw_policy_active(b->g, cv_str_of(b->object->id));
	if (b->process.instance[0])
		s->main_process_instance_id = shown(arena, b->process.instance);
	if (cv_gw_box_want(b) != CV_GW_FAIL)
		s->_exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE__NOT_SET;
	if (b->unwritten && b->unwritten->exit_code >= 0) {
		s->_exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
		s->exit_code = b->unwritten->exit_code;
	}
	return conditions_add(b, arena, s) && !arena->is_overflown ? m : NULL;
}
