/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_sandbox.c - get, list, delete, stop, start, and providers of a sandbox
 */
#include "client/commands.h"
#include "client/policy.h"
#include "client/sandbox.h"
#include "sys/clock.h"

#include <string.h>
#include <time.h>

/* ---- get ---- */

static bool is_global(const Openshell__Sandbox__V1__GetSandboxConfigResponse *config)
{
	return config->policy_source == OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL;
}

static void get_text(struct cl *c, const Openshell__V1__Sandbox *s,
	const Openshell__Sandbox__V1__GetSandboxConfigResponse *config)
{
	const Openshell__Datamodel__V1__ObjectMeta *m = s->metadata;
	const Openshell__V1__SandboxCondition *ready = cl_sandbox_condition(s);

	printf("Sandbox:\n\n");
	cl_label(c, "Id:", cl_shown(c, m->id));
	cl_label(c, "Name:", cl_shown(c, m->name));
	cl_label(c, "Workspace:", cl_shown(c, m->workspace));
	cl_label(c, "Phase:", cl_phase_name(cl_phase(s)));
	if (ready && strcmp(ready->status, "True") != 0) { /* no word that scripts look for */
		cl_label(c, "Reason:", cl_shown(c, ready->reason));
		if (*ready->message)
			cl_label(c, "Message:", cl_shown(c, ready->message));
	}
	if (cl_sandbox_queued(s))
		cl_label(c, "Admitted:", cl_shown(c, cl_sandbox_queued(s)));
	if (s->status && s->status->_exit_code_case)
		cl_label(c, "Exit code:", cl_print(c, "%d", s->status->exit_code));
	cl_label(c, "Created:", cl_time(c, m->created_at_ms));
	cl_label(c,
		"Resource version:", cl_print(c, "%llu", (unsigned long long)m->resource_version));
	cl_label(c, "Labels:", cl_map_text(c, m->labels, m->n_labels));
	cl_label(c, "Annotations:", cl_map_text(c, m->annotations, m->n_annotations));
	cl_label(c, "Policy source:", is_global(config) ? "global" : "sandbox");
	cl_label(c, "Revision:",
		cl_print(c, "%u",
			is_global(config) ? config->global_policy_version : config->version));
	if (config->policy) {
		printf("\nPolicy:\n\n");
		cl_policy_print(c, config->policy);
	}
}

int cl_run_sandbox_get(struct cl *c)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);
	const Openshell__Sandbox__V1__GetSandboxConfigResponse *config =
		cl_sandbox_config(c, s->metadata->id);
	struct cl_out o;

	if (cl_has(&c->w, "policy-only")) {
		if (!config->policy)
			cl_die(c, "sandbox '%s' has no policy", cl_shown(c, s->metadata->name));
		if (cl_form(c) != CL_FORM_JSON) {
			cl_policy_print(c, config->policy);
			return 0;
		}
		cl_out_init(&o, CL_FORM_JSON);
		cl_policy_out(c, &o, NULL, config->policy);
		return cl_out_done(c, &o);
	}
	if (cl_form(c) == CL_FORM_TABLE) {
		get_text(c, s, config);
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	cl_sandbox_out(c, &o, s);
	cl_out_str(&o, "policy_source", is_global(config) ? "global" : "sandbox");
	cl_out_u64(&o, "revision",
		is_global(config) ? config->global_policy_version : config->version);
	if (config->policy)
		cl_policy_out(c, &o, "policy", config->policy);
	else
		cl_out_str(&o, "policy", NULL);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

/* ---- list ---- */

static const char *word_of(struct cl *c, const Openshell__Datamodel__V1__ObjectMeta *meta)
{
	if (cl_has(&c->w, "ids"))
		return meta->id;
	return cl_has(&c->w, "all-workspaces") ? cl_print(c, "%s/%s", meta->workspace, meta->name)
					       : meta->name;
}

static int list_words(struct cl *c, const Openshell__V1__ListSandboxesResponse *m)
{
	struct cl_out o;

	if (cl_form(c) == CL_FORM_TABLE) {
		for (size_t i = 0; i < m->n_sandboxes; i++)
			printf("%s\n", cl_shown(c, word_of(c, m->sandboxes[i]->metadata)));
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_array(&o, NULL);
	for (size_t i = 0; i < m->n_sandboxes; i++)
		cl_out_str(&o, NULL, word_of(c, m->sandboxes[i]->metadata));
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

static void list_table(struct cl *c, const Openshell__V1__ListSandboxesResponse *m)
{
	const bool has_workspace = cl_has(&c->w, "all-workspaces");
	struct cl_table t;

	cl_table_init(&t, has_workspace ? 4 : 3);
	if (has_workspace)
		cl_table_cell(&t, CV_STR("WORKSPACE"));
	cl_table_cell(&t, CV_STR("NAME"));
	cl_table_cell(&t, CV_STR("CREATED"));
	cl_table_cell(&t, CV_STR("PHASE"));
	for (size_t i = 0; i < m->n_sandboxes; i++) {
		const Openshell__Datamodel__V1__ObjectMeta *meta = m->sandboxes[i]->metadata;

		if (has_workspace)
			cl_table_cell(&t, cv_str_of(meta->workspace));
		cl_table_cell(&t, cv_str_of(meta->name));
		cl_table_cell(&t, cv_str_of(cl_time(c, meta->created_at_ms)));
		cl_table_cell(&t, cv_str_of(cl_phase_name(cl_phase(m->sandboxes[i]))));
	}
	cl_table_done(c, &t);
}

static Openshell__V1__ListSandboxesResponse *list_ask(
	struct cl *c, uint32_t limit, uint32_t offset, const char *selector, bool is_all)
{
	Openshell__V1__ListSandboxesRequest in;

	openshell__v1__list_sandboxes_request__init(&in);
	in.limit = limit;
	in.offset = offset;
	in.label_selector = cl_dup(c, selector);
	in.all_workspaces = is_all;
	in.workspace = cl_dup(c, is_all ? "" : c->workspace);
	return CL_ASK(c, ListSandboxes, in, ListSandboxesResponse, list_sandboxes_response);
}

int cl_run_sandbox_list(struct cl *c)
{
	const Openshell__V1__ListSandboxesResponse *m =
		list_ask(c, cl_number(&c->w, "limit", CL_PAGE), cl_number(&c->w, "offset", 0),
			cl_flag(&c->w, "selector"), cl_has(&c->w, "all-workspaces"));
	struct cl_out o;

	if (cl_has(&c->w, "ids") || cl_has(&c->w, "names"))
		return list_words(c, m);
	if (cl_form(c) == CL_FORM_TABLE) {
		if (m->n_sandboxes)
			list_table(c, m);
		else
			puts("No sandboxes found.");
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_array(&o, NULL);
	for (size_t i = 0; i < m->n_sandboxes; i++) {
		cl_out_object(&o, NULL);
		cl_sandbox_out(c, &o, m->sandboxes[i]);
		cl_out_end(&o);
	}
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

/* ---- delete ---- */

#define DELETE_PAGE     1000u /* the largest page there is */
#define DELETE_WAIT_MS  30000 /* until it is gone, and its name free again */
#define DELETE_PAUSE_MS 20

/* Deletion goes on behind the answer; a script makes the next one of that name at once. */
static void wait_gone(struct cl *c, const char *name, const char *id)
{
	const struct timespec pause = { 0, DELETE_PAUSE_MS * 1000000L };
	const int64_t end = cv_clock_ms() + DELETE_WAIT_MS;

	while (cv_clock_ms() < end) {
		const Openshell__V1__Sandbox *s = cl_sandbox_find(c, name);

		if (!s || strcmp(s->metadata->id, id) != 0)
			return;
		nanosleep(&pause, NULL);
	}
}

/* False: it could not be deleted. */
bool cl_sandbox_delete(struct cl *c, const char *name, bool is_quiet)
{
	Openshell__V1__DeleteSandboxRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	const Openshell__V1__Sandbox *s = cl_sandbox_find(c, name);
	if (s)
		cl_forwards_stop(c, s->metadata->id);
	openshell__v1__delete_sandbox_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__DeleteSandboxResponse *m = CL_TRY(c, DeleteSandbox, in,
		DeleteSandboxResponse, delete_sandbox_response, &status, &err);
	if (m && m->deleted) {
		if (s)
			wait_gone(c, name, s->metadata->id);
		cl_sandbox_forget(c, s ? s->metadata->name : name);
		cl_editor_forget(c, s ? s->metadata->name : name);
		if (!is_quiet)
			cl_mark(c, 'v', "Deleted sandbox %s", cl_shown(c, name));
		return true;
	}
	if (m || status == CV_RPC_NOT_FOUND) {
		cl_sandbox_forget(c, name);
		cl_mark(c, '!', "Sandbox %s not found", cl_shown(c, name));
		return true; /* it is gone, which was wanted */
	}
	cl_mark(c, 'x', "Failed to delete sandbox %s: %s", cl_shown(c, name), cl_said(c, err.msg));
	return false;
}

int cl_run_sandbox_delete(struct cl *c)
{
	bool is_all_well = true;

	if (cl_has(&c->w, "all") == (c->w.arg_count > 0))
		cl_die_usage(c, "give the names of sandboxes, or --all");
	for (size_t i = 0; i < c->w.arg_count; i++)
		is_all_well &= cl_sandbox_delete(c, cl_arg(&c->w, i), false);
	if (!cl_has(&c->w, "all"))
		return is_all_well ? 0 : CL_EXIT_FAILED;
	const Openshell__V1__ListSandboxesResponse *m = list_ask(c, DELETE_PAGE, 0, NULL, false);
	if (!m->n_sandboxes)
		puts("No sandboxes to delete.");
	while (is_all_well && m->n_sandboxes) {
		for (size_t i = 0; i < m->n_sandboxes; i++)
			is_all_well &= cl_sandbox_delete(c, m->sandboxes[i]->metadata->name, false);
		if (m->n_sandboxes < DELETE_PAGE)
			break;
		m = list_ask(c, DELETE_PAGE, 0, NULL, false);
	}
	return is_all_well ? 0 : CL_EXIT_FAILED;
}

/* ---- stop, start ---- */

int cl_run_sandbox_stop(struct cl *c)
{
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	Openshell__V1__StopSandboxRequest in;

	openshell__v1__stop_sandbox_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__SandboxResponse *m =
		CL_ASK(c, StopSandbox, in, SandboxResponse, sandbox_response);
	if (m->sandbox)
		cl_forwards_stop(c, m->sandbox->metadata->id);
	if (m->sandbox &&
		cl_phase(m->sandbox) != OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED)
		cl_wait_phase(c, m->sandbox->metadata->id,
			OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED, 0, cv_clock_ms(),
			"OPENSHELL_LIFECYCLE_TIMEOUT");
	cl_mark(c, 'v', "Stopped sandbox %s", cl_shown(c, name));
	return 0;
}

int cl_run_sandbox_start(struct cl *c)
{
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	Openshell__V1__StartSandboxRequest in;

	openshell__v1__start_sandbox_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	cl_queue_ask(c);
	const Openshell__V1__SandboxResponse *m =
		CL_ASK(c, StartSandbox, in, SandboxResponse, sandbox_response);
	cl_queue_asked(c);
	if (m->sandbox && cl_phase(m->sandbox) != OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY)
		cl_wait_phase(c, m->sandbox->metadata->id,
			OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY, 0, cv_clock_ms(),
			"OPENSHELL_LIFECYCLE_TIMEOUT");
	cl_sandbox_remember(c, name);
	cl_mark(c, 'v', "Started sandbox %s", cl_shown(c, name));
	return 0;
}
