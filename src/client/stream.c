/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - streams of calls beside our own descriptors, and waiting for a phase
 */
#include "client/sandbox.h"

#include "sys/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_DEFAULT_S 300

static void on_message(void *arg, ProtobufCMessage *m)
{
	struct cl_stream *st = arg;

	st->on_message(st, m);
	protobuf_c_message_free_unpacked(m, NULL);
}

static void on_ended(void *arg, enum cv_rpc_status s, const char *message)
{
	struct cl_stream *st = arg;

	st->is_ended = true;
	st->s = NULL;
	st->status = s;
	st->message = *message ? cl_dup(st->c, message) : "";
}

static void on_writable(void *arg)
{
	struct cl_stream *st = arg;

	st->is_full = false;
}

cv_code cl_stream_try(struct cl *c, struct cl_stream *st, const char *method,
	const ProtobufCMessageDescriptor *out, struct cv_err *err)
{
	static const struct cv_rpc_stream_events events = { on_message, on_ended, on_writable };

	st->c = c;
	return cv_rpc_stream_open(c->rpc, method, out, &events, st, &st->s, err);
}

void cl_stream_open(struct cl *c, struct cl_stream *st, const char *method,
	const ProtobufCMessageDescriptor *out)
{
	struct cv_err err;

	cl_connect(c);
	if (cl_stream_try(c, st, method, out, &err) != CV_OK)
		cl_die(c, "%s", cl_shown(c, err.msg));
}

void cl_stream_send(struct cl_stream *st, const ProtobufCMessage *m)
{
	if (st->s && !cv_rpc_stream_send(st->s, m))
		st->is_full = true;
}

cv_code cl_turn_try(struct cl *c, struct pollfd *fds, size_t n, int timeout_ms, struct cv_err *err)
{
	struct pollfd v[CL_TURN_FDS_MAX + 1];

	v[0] = (struct pollfd){ cv_rpc_client_fd(c->rpc), cv_rpc_client_interest(c->rpc), 0 };
	if (n)
		memcpy(v + 1, fds, n * sizeof(*fds));
	const int ready = poll(v, n + 1, timeout_ms);
	for (size_t i = 0; i < n; i++)
		fds[i].revents = ready > 0 ? v[i + 1].revents : 0;
	return ready > 0 && v[0].revents ? cv_rpc_client_turn(c->rpc, err) : CV_OK;
}

void cl_turn(struct cl *c, struct pollfd *fds, size_t n, int timeout_ms)
{
	struct cv_err err;

	if (cl_turn_try(c, fds, n, timeout_ms, &err) != CV_OK)
		cl_die(c, "the connection to the gateway was lost: %s", cl_shown(c, err.msg));
}

/* ---- waiting ---- */

struct waiting {
	Openshell__V1__SandboxPhase wanted, phase;
	int64_t from_ms, deadline_ms, patience_ms;
	const char *last; /* what was reported last */
	const char *reason, *message;
	bool is_done, is_failed;
	const char *gone; /* what somebody did to it meanwhile: it won't be ready */
};

static void progress(struct cl *c, struct waiting *w, const char *what)
{
	if (w->last && strcmp(w->last, what) == 0)
		return;
	w->last = what;
	w->deadline_ms = cv_clock_ms() + w->patience_ms;
	cl_note(c, "[%.1fs] %s", (double)(cv_clock_ms() - w->from_ms) / 1000, what);
}

static const char *gone_of(Openshell__V1__SandboxPhase phase)
{
	switch ((int)phase) {
	case OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPING:
	case OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED: return "stopped";
	case OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_DELETING: return "deleted";
	default: return NULL;
	}
}

static void saw_sandbox(struct cl *c, struct waiting *w, const Openshell__V1__Sandbox *s)
{
	const Openshell__V1__SandboxCondition *ready = cl_sandbox_condition(s);

	if (cl_phase(s) != w->phase)
		w->deadline_ms = cv_clock_ms() + w->patience_ms;
	w->phase = cl_phase(s);
	w->reason = ready ? cl_shown(c, ready->reason) : "Unknown";
	w->message = ready ? cl_shown(c, ready->message) : "";
	if (cl_sandbox_queued(s)) { /* the gateway knows for how long */
		progress(c, w, cl_shown(c, cl_sandbox_queued(s)));
		w->deadline_ms = INT64_MAX;
	} else if (w->deadline_ms == INT64_MAX) {
		w->deadline_ms = cv_clock_ms() + w->patience_ms;
	}
	w->is_done = w->phase == w->wanted;
	if (w->wanted == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY)
		w->gone = gone_of(w->phase);
	w->is_failed = w->phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR;
}

static const char *metadata_of(const Openshell__V1__PlatformEvent *e, const char *key)
{
	for (size_t i = 0; i < e->n_metadata; i++)
		if (strcmp(e->metadata[i]->key, key) == 0)
			return e->metadata[i]->value;
	return NULL;
}

static void saw_event(struct cl *c, struct waiting *w, const Openshell__V1__PlatformEvent *e)
{
	const char *label = metadata_of(e, "openshell.progress.complete_label");
	const char *detail = metadata_of(e, "openshell.progress.active_detail");

	if (label && *label)
		progress(c, w, cl_shown(c, label));
	else if (detail && *detail && c->is_verbose)
		progress(c, w, cl_shown(c, detail));
	else if (c->is_verbose && *e->message)
		progress(c, w, cl_shown(c, e->message));
}

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Openshell__V1__SandboxStreamEvent *e = (const Openshell__V1__SandboxStreamEvent *)m;
	struct waiting *w = st->arg;

	if (w->is_done || w->is_failed || w->gone)
		return;
	if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX)
		saw_sandbox(st->c, w, e->sandbox);
	else if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_EVENT)
		saw_event(st->c, w, e->event);
}

static int64_t patience(const char *env)
{
	const char *text = getenv(env);
	uint64_t s;

	if (text && cv_str_to_u64(cv_str_of(text), 86400, &s) && s)
		return (int64_t)s * 1000;
	return WAIT_DEFAULT_S * 1000;
}

static CV_NORETURN void die_waiting(struct cl *c, const struct waiting *w)
{
	const bool is_creation = w->wanted == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY;

	if (w->is_failed)
		cl_die(c, "sandbox entered error phase while %s: %s: %s",
			is_creation ? "provisioning" : "stopping", w->reason, w->message);
	cl_die(c, "sandbox %s timed out after %ds. Last reported status: %s%s%s",
		is_creation ? "provisioning" : "stop", (int)(w->patience_ms / 1000),
		cl_phase_name(w->phase), w->message && *w->message ? ": " : "",
		w->message ? w->message : "");
}

void cl_wait_phase(struct cl *c, const char *id, Openshell__V1__SandboxPhase phase, uint32_t events,
	int64_t from_ms, const char *env)
{
	struct waiting w = { .wanted = phase, .from_ms = from_ms, .patience_ms = patience(env) };
	struct cl_stream st = { .on_message = saw, .arg = &w };
	Openshell__V1__WatchSandboxRequest in;

	openshell__v1__watch_sandbox_request__init(&in);
	in.id = cl_dup(c, id);
	in.follow_status = true;
	in.follow_events = phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY;
	in.event_tail = events;
	w.deadline_ms = cv_clock_ms() + w.patience_ms;
	cl_stream_open(
		c, &st, CL_METHOD(WatchSandbox), &openshell__v1__sandbox_stream_event__descriptor);
	cl_stream_send(&st, &in.base);
	if (st.s)
		cv_rpc_stream_half_close(st.s);
	while (!w.is_done && !w.is_failed && !w.gone && !st.is_ended) {
		const int64_t left = w.deadline_ms - cv_clock_ms();

		if (left <= 0)
			die_waiting(c, &w);
		cl_turn(c, NULL, 0, (int)CV_MIN(left, (int64_t)INT32_MAX));
	}
	/* A gateway ends what follows a sandbox when there is none any more. */
	if (st.is_ended && !w.is_done && !w.is_failed &&
		(st.status == CV_RPC_OK || st.status == CV_RPC_NOT_FOUND))
		w.gone = "deleted";
	if (w.gone)
		cl_die(c, "the sandbox was %s before it was %s", w.gone,
			phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY ? "ready"
										   : "stopped");
	if (st.is_ended && !w.is_done && !w.is_failed)
		cl_die_status(c, st.status,
			st.message && *st.message ? st.message : "the gateway stopped watching");
	if (st.s)
		cv_rpc_stream_cancel(st.s);
	if (w.is_failed)
		die_waiting(c, &w);
}
