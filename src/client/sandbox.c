/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - what several commands need of a sandbox: which one, its object, its phase
 *
 * The one last used is remembered per gateway, with its workspace, so that a person may leave the
 * name out; he is told which one it was.
 */
#include "client/sandbox.h"

#include "sys/clock.h"

#include <string.h>
#include <unistd.h>

#define START_WAIT_MS  15000
#define START_LOOK_US  50000
#define LAST_BYTES_MAX 4096 /* two names */

static const struct {
	const char *name;
} phases[] = {
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_UNSPECIFIED] = { "Unspecified" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_PROVISIONING] = { "Provisioning" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY] = { "Ready" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR] = { "Error" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_DELETING] = { "Deleting" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_UNKNOWN] = { "Unknown" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPING] = { "Stopping" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED] = { "Stopped" },
	[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STARTING] = { "Starting" },
};

const char *cl_phase_name(Openshell__V1__SandboxPhase phase)
{
	const size_t i = (size_t)phase;

	return i < CV_ARRAY_LEN(phases) ? phases[i].name : "Unknown";
}

Openshell__V1__SandboxPhase cl_phase(const Openshell__V1__Sandbox *s)
{
	return s->status ? s->status->phase
			 : OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_UNSPECIFIED;
}

/* ---- which one ---- */

/* NULL: nothing is remembered of this gateway. */
static const char *last_path(struct cl *c)
{
	cl_gateway_need(c);
	if (strchr(c->gateway.name, '/'))
		return NULL;
	return cl_print(c, "%s/gateways/%s/last_sandbox", cl_config_dir(c), c->gateway.name);
}

/* The one last used in this workspace, or NULL. */
static const char *last_read(struct cl *c)
{
	const char *path = last_path(c);
	struct cv_str text;

	if (!path || !cl_file_slurp(c, path, LAST_BYTES_MAX, &text))
		return NULL;
	const struct cv_str workspace = cv_str_cut(&text, '\n');
	const struct cv_str name = cv_str_cut(&text, '\n');
	return name.n && cv_str_eq(workspace, cv_str_of(c->workspace))
		       ? cl_print(c, "%.*s", CV_STR_ARG(name))
		       : NULL;
}

void cl_sandbox_remember(struct cl *c, const char *name)
{
	const char *path = last_path(c);

	if (path && c->gateway.folder)
		cl_file_write(c, path, cv_str_of(cl_print(c, "%s\n%s\n", c->workspace, name)));
}

void cl_sandbox_forget(struct cl *c, const char *name)
{
	const char *last = last_read(c);

	if (last && strcmp(last, name) == 0)
		(void)unlink(last_path(c));
}

const char *cl_sandbox_name(struct cl *c, const char *given)
{
	const char *last = given && *given ? given : last_read(c);

	if (!last)
		cl_die(c,
			"no sandbox name given, and none was used before\nhint: see: %s sandbox list",
			c->program);
	if (last != given)
		cl_note(c, "→ Using sandbox '%s' (last used)", cl_shown(c, last));
	return last;
}

Openshell__V1__Sandbox *cl_sandbox_get(struct cl *c, const char *name)
{
	Openshell__V1__GetSandboxRequest in;

	openshell__v1__get_sandbox_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__SandboxResponse *m =
		CL_ASK(c, GetSandbox, in, SandboxResponse, sandbox_response);
	if (!m->sandbox || !m->sandbox->metadata)
		cl_die(c, "the gateway answered without a sandbox");
	return m->sandbox;
}

Openshell__V1__Sandbox *cl_sandbox_find(struct cl *c, const char *name)
{
	Openshell__V1__GetSandboxRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__get_sandbox_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__SandboxResponse *m =
		CL_TRY(c, GetSandbox, in, SandboxResponse, sandbox_response, &status, &err);
	return m && m->sandbox && m->sandbox->metadata ? m->sandbox : NULL;
}

/* One that is being started, or whose gateway was: a gateway waits as long for a session (openshell-api
 * 6). */
static Openshell__V1__Sandbox *started(struct cl *c, const char *name)
{
	const int64_t until_ms = cv_clock_ms() + START_WAIT_MS;
	Openshell__V1__Sandbox *s = cl_sandbox_get(c, name);

	while (cl_phase(s) == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STARTING &&
		cv_clock_ms() < until_ms) {
		usleep(START_LOOK_US);
		s = cl_sandbox_get(c, name);
	}
	return s;
}

Openshell__V1__Sandbox *cl_sandbox_of(struct cl *c, const char *given, bool must_be_ready)
{
	const char *name = cl_sandbox_name(c, given);
	Openshell__V1__Sandbox *s = must_be_ready ? started(c, name) : cl_sandbox_get(c, name);

	if (must_be_ready && cl_phase(s) != OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY)
		cl_die(c, "sandbox '%s' is not ready (phase: %s); wait for it to reach Ready state",
			cl_shown(c, name), cl_phase_name(cl_phase(s)));
	cl_sandbox_remember(c, name);
	return s;
}

/* ---- as a value ---- */

static const Openshell__V1__SandboxCondition *condition_of(
	const Openshell__V1__Sandbox *s, const char *type)
{
	for (size_t i = 0; s->status && i < s->status->n_conditions; i++)
		if (strcmp(s->status->conditions[i]->type, type) == 0)
			return s->status->conditions[i];
	return NULL;
}

const Openshell__V1__SandboxCondition *cl_sandbox_condition(const Openshell__V1__Sandbox *s)
{
	return condition_of(s, "Ready");
}

/* Why it is not ready, and its main process's exit code: only where there is such a thing. */
static void failure_out(struct cl_out *o, const Openshell__V1__Sandbox *s)
{
	const Openshell__V1__SandboxCondition *ready = cl_sandbox_condition(s);

	if (ready && strcmp(ready->status, "True") != 0) {
		cl_out_str(o, "reason", ready->reason);
		cl_out_str(o, "message", ready->message);
	}
	if (s->status && s->status->_exit_code_case)
		cl_out_int(o, "exit_code", s->status->exit_code);
}

void cl_sandbox_out(struct cl *c, struct cl_out *o, const Openshell__V1__Sandbox *s)
{
	const Openshell__Datamodel__V1__ObjectMeta *m = s->metadata;

	cl_out_str(o, "id", m->id);
	cl_out_str(o, "name", m->name);
	cl_out_str(o, "workspace", m->workspace);
	cl_map_out(c, o, "labels", m->labels, m->n_labels);
	cl_map_out(c, o, "annotations", m->annotations, m->n_annotations);
	cl_out_u64(o, "resource_version", m->resource_version);
	cl_out_str(o, "created_at", cl_time(c, m->created_at_ms));
	cl_out_str(o, "phase", cl_phase_name(cl_phase(s)));
	cl_out_u64(o, "current_policy_version", s->status ? s->status->current_policy_version : 0);
	failure_out(o, s);
}

const char *cl_sandbox_queued(const Openshell__V1__Sandbox *s)
{
	const Openshell__V1__SandboxCondition *admitted = condition_of(s, "Admitted");

	return admitted && strcmp(admitted->reason, "Queued") == 0 ? admitted->message : NULL;
}

void cl_queue_ask(struct cl *c)
{
	const char *wait = cl_flag(&c->w, "queue");

	if (!wait)
		return;
	const char *seconds = cl_print(c, "%llds", (long long)(cl_duration_ms(c, wait) / 1000));
	cl_connect(c);
	cv_rpc_client_field(c->rpc, "x-cove-queue", seconds);
}

void cl_queue_asked(struct cl *c)
{
	if (c->rpc)
		cv_rpc_client_field(c->rpc, NULL, NULL);
}

Openshell__Sandbox__V1__GetSandboxConfigResponse *cl_sandbox_config(struct cl *c, const char *id)
{
	Openshell__Sandbox__V1__GetSandboxConfigRequest in;

	openshell__sandbox__v1__get_sandbox_config_request__init(&in);
	in.sandbox_id = cl_dup(c, id);
	return (Openshell__Sandbox__V1__GetSandboxConfigResponse *)cl_ask(c,
		CL_METHOD(GetSandboxConfig), &in.base,
		&openshell__sandbox__v1__get_sandbox_config_response__descriptor, NULL, NULL);
}

const char *cl_tools_said(struct cl *c, struct cv_str said, int status)
{
	const char *all = "";

	while (said.n && (said.p[said.n - 1] == '\n' || said.p[said.n - 1] == ' '))
		said.n--;
	if (!said.n)
		return cl_print(c, "exit status %d", status);
	while (said.n) {
		const struct cv_str line = cv_str_cut(&said, '\n');

		all = cl_print(c, "%s%s%s", all, *all ? "\n  " : "",
			cl_said(c, cl_print(c, "%.*s", CV_STR_ARG(line))));
	}
	return all;
}
