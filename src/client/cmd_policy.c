/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_policy.c - policy set, get, list, delete; update.c has the operations of `policy update`
 *
 * --wait asks until the revision is loaded (0), has failed (1), or time is over (124).  A revision that
 * was replaced before it was loaded counts as loaded: a newer one is.
 */
#include "client/commands.h"
#include "client/policy.h"
#include "client/policy_change.h"
#include "client/sandbox.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_DEFAULT_S 60u
#define ASK_EVERY_MS   200 /* a load takes milliseconds, a person does not see these */
#define LIST_DEFAULT   20u
#define HASH_SHOWN     12

static const char *const status_name[] = { "unspecified", "pending", "loaded", "failed",
	"superseded" };

static const char *status_of(Openshell__V1__PolicyStatus s)
{
	return (size_t)s < CV_ARRAY_LEN(status_name) ? status_name[s] : "unknown";
}

static const char *short_hash(struct cl *c, const char *hash)
{
	return cl_print(c, "%.*s", HASH_SHOWN, cl_shown(c, hash));
}

Openshell__V1__GetSandboxPolicyStatusResponse *cl_policy_status(
	struct cl *c, const char *name, uint32_t version)
{
	Openshell__V1__GetSandboxPolicyStatusRequest in;

	openshell__v1__get_sandbox_policy_status_request__init(&in);
	in.name = cl_dup(c, name);
	in.version = version;
	in.global = !name;
	in.workspace = cl_dup(c, name ? c->workspace : "");
	return CL_ASK(c, GetSandboxPolicyStatus, in, GetSandboxPolicyStatusResponse,
		get_sandbox_policy_status_response);
}

static bool is_stopped(struct cl *c, const char *name)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_find(c, name);

	return s && cl_phase(s) == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED;
}

static int wait_loaded(struct cl *c, const char *name, uint32_t version)
{
	const int64_t end =
		cv_clock_ms() + (int64_t)cl_number(&c->w, "timeout", WAIT_DEFAULT_S) * 1000;
	const struct timespec pause = { 0, ASK_EVERY_MS * 1000000L };

	do {
		const Openshell__V1__GetSandboxPolicyStatusResponse *m =
			cl_policy_status(c, name, version);
		const Openshell__V1__SandboxPolicyRevision *r = m->revision;

		if (r && (r->status == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED ||
				 r->status ==
					 OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_SUPERSEDED)) {
			cl_mark(c, 'v', "Policy version %u loaded (active version: %u)", version,
				m->active_version);
			return 0;
		}
		if (r && r->status == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED) {
			cl_mark(c, 'x', "Policy version %u failed to load: %s", version,
				cl_shown(c, r->load_error));
			return CL_EXIT_FAILED;
		}
		if (is_stopped(c, name)) {
			cl_mark(c, 'x',
				"Sandbox %s is stopped: it loads policy version %u when it starts",
				cl_shown(c, name), version);
			return CL_EXIT_FAILED;
		}
		nanosleep(&pause, NULL);
	} while (cv_clock_ms() < end);
	cl_mark(c, 'x', "Timeout waiting for policy version %u to load", version);
	return CL_EXIT_TIMEOUT;
}

/* What is in force before; 0 when there is nothing, or nobody may know. */
static uint32_t version_now(struct cl *c, const char *name)
{
	Openshell__V1__GetSandboxPolicyStatusRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__get_sandbox_policy_status_request__init(&in);
	in.name = cl_dup(c, name);
	in.global = !name;
	in.workspace = cl_dup(c, name ? c->workspace : "");
	const Openshell__V1__GetSandboxPolicyStatusResponse *m =
		CL_TRY(c, GetSandboxPolicyStatus, in, GetSandboxPolicyStatusResponse,
			get_sandbox_policy_status_response, &status, &err);
	return m && m->revision ? m->revision->version : 0;
}

int cl_policy_submit(struct cl *c, Openshell__V1__UpdateConfigRequest *in, const char *name)
{
	const uint32_t before = version_now(c, name);
	const Openshell__V1__UpdateConfigResponse *m =
		CL_ASK(c, UpdateConfig, *in, UpdateConfigResponse, update_config_response);
	const char *hash = short_hash(c, m->policy_hash);

	if (before && m->version == before) {
		printf("Policy unchanged (version %u, hash: %s)\n", m->version, hash);
		if (!cl_has(&c->w, "wait") || !name)
			return 0;
		return wait_loaded(c, name, m->version);
	}
	cl_mark(c, 'v', "Policy version %u submitted (hash: %s)", m->version, hash);
	return name && cl_has(&c->w, "wait") ? wait_loaded(c, name, m->version) : 0;
}

void cl_global_confirm(struct cl *c, const char *what)
{
	if (cl_has(&c->w, "yes"))
		return;
	if (!cl_can_confirm())
		cl_die(c, "%s require confirmation; pass --yes in non-interactive mode", what);
	if (!cl_confirm(c, cl_print(c, "%s change every sandbox of this gateway. Go on?", what)))
		cl_die(c, "nothing was changed");
}

int cl_run_policy_set(struct cl *c)
{
	const char *file = cl_flag(&c->w, "policy");
	Openshell__V1__UpdateConfigRequest in;

	if (!file)
		file = getenv("OPENSHELL_SANDBOX_POLICY");
	if (!file || !*file)
		cl_die_usage(
			c, "the following required arguments were not provided: --policy <FILE>");
	if (cl_has(&c->w, "global") && cl_arg(&c->w, 0))
		cl_die_usage(c, "the argument '--global' cannot be used with '[NAME]'");
	openshell__v1__update_config_request__init(&in);
	in.policy = cl_policy_read(c, file);
	in.global = cl_has(&c->w, "global");
	if (in.global) {
		cl_global_confirm(c, "global policy updates");
		return cl_policy_submit(c, &in, NULL);
	}
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	return cl_policy_submit(c, &in, name);
}

int cl_run_policy_delete(struct cl *c)
{
	Openshell__V1__UpdateConfigRequest in;

	if (!cl_has(&c->w, "global"))
		cl_die_usage(c, "only the global policy can be deleted: pass --global");
	cl_global_confirm(c, "global policy updates");
	openshell__v1__update_config_request__init(&in);
	in.global = true;
	in.setting_key = cl_dup(c, "policy");
	in.delete_setting = true;
	const Openshell__V1__UpdateConfigResponse *m =
		CL_ASK(c, UpdateConfig, in, UpdateConfigResponse, update_config_response);
	if (m->deleted)
		cl_mark(c, 'v', "Deleted global policy");
	else
		cl_mark(c, '!', "No global policy to delete");
	return 0;
}

/* ---- get ---- */

static void revision_out(struct cl *c, struct cl_out *o, const char *name,
	const Openshell__V1__GetSandboxPolicyStatusResponse *m)
{
	const Openshell__V1__SandboxPolicyRevision *r = m->revision;

	cl_out_str(o, "scope", name ? "sandbox" : "global");
	if (name)
		cl_out_str(o, "sandbox", name);
	cl_out_u64(o, "version", r->version);
	cl_out_str(o, "hash", r->policy_hash);
	cl_out_str(o, "status", status_of(r->status));
	if (name)
		cl_out_u64(o, "active_version", m->active_version);
	if (r->created_at_ms)
		cl_out_int(o, "created_at_ms", r->created_at_ms);
	if (r->loaded_at_ms)
		cl_out_int(o, "loaded_at_ms", r->loaded_at_ms);
	if (*r->load_error)
		cl_out_str(o, "load_error", r->load_error);
	if (r->n_provenance)
		cl_map_out(c, o, "provenance", r->provenance, r->n_provenance);
	if (r->policy)
		cl_policy_out(c, o, "policy", r->policy);
}

static void revision_text(struct cl *c, const char *name,
	const Openshell__V1__GetSandboxPolicyStatusResponse *m,
	const Openshell__Sandbox__V1__GetSandboxConfigResponse *config)
{
	const Openshell__V1__SandboxPolicyRevision *r = m->revision;
	const bool is_global =
		config && config->policy_source ==
				  OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL;

	/* Of what is printed below. */
	const bool is_global_shown = is_global && !cl_has(&c->w, "base");

	printf("Version:    %u\n", is_global_shown ? config->global_policy_version : r->version);
	printf("Hash:       %s\n",
		cl_shown(c, is_global_shown ? config->policy_hash : r->policy_hash));
	printf("Status:     %s\n", status_of(r->status));
	printf("Source:     %s\n", !name || is_global ? "global" : "sandbox");
	if (config)
		printf("Config rev: %llu\n", (unsigned long long)config->config_revision);
	if (name)
		printf("Active:     %u\n", m->active_version);
	if (*r->load_error)
		printf("Error:      %s\n", cl_shown(c, r->load_error));
	const cv_policy_pb *policy =
		config && !cl_has(&c->w, "base") && config->policy ? config->policy : r->policy;
	if (policy) {
		printf("---\n");
		cl_policy_print(c, policy);
	}
}

static void effective_out(struct cl *c, struct cl_out *o, const char *name,
	const Openshell__V1__GetSandboxPolicyStatusResponse *m,
	const Openshell__Sandbox__V1__GetSandboxConfigResponse *config)
{
	const bool is_global = config->policy_source ==
			       OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL;
	const cv_policy_pb *policy = cl_has(&c->w, "base") ? m->revision->policy : config->policy;

	cl_out_str(o, "scope", "sandbox");
	cl_out_str(o, "sandbox", name);
	cl_out_u64(o, "version", config->version);
	cl_out_u64(o, "active_version", m->active_version);
	cl_out_str(o, "hash", config->policy_hash);
	cl_out_str(o, "status", status_of(m->revision->status));
	cl_out_u64(o, "config_revision", config->config_revision);
	cl_out_str(o, "policy_source", is_global ? "global" : "sandbox");
	if (is_global)
		cl_out_u64(o, "global_policy_version", config->global_policy_version);
	if (policy)
		cl_policy_out(c, o, "policy", policy);
}

int cl_run_policy_get(struct cl *c)
{
	const bool is_global = cl_has(&c->w, "global");
	const uint32_t version = cl_number(&c->w, "rev", 0);
	const Openshell__Sandbox__V1__GetSandboxConfigResponse *config = NULL;
	const char *name = NULL;
	struct cl_out o;

	if (is_global && cl_arg(&c->w, 0))
		cl_die_usage(c, "the argument '--global' cannot be used with '[NAME]'");
	if (!is_global) {
		const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);

		name = s->metadata->name;
		if (!version)
			config = cl_sandbox_config(c, s->metadata->id);
	}
	const Openshell__V1__GetSandboxPolicyStatusResponse *m = cl_policy_status(c, name, version);
	if (!m->revision)
		cl_die(c, "no policy was set");
	if (cl_form(c) == CL_FORM_TABLE) {
		revision_text(c, name, m, config);
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	if (config)
		effective_out(c, &o, name, m, config);
	else
		revision_out(c, &o, name, m);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

/* ---- list ---- */

int cl_run_policy_list(struct cl *c)
{
	static const char *const heads[] = { "VERSION", "HASH", "STATUS", "CREATED", "ERROR" };
	Openshell__V1__ListSandboxPoliciesRequest in;
	struct cl_table t;

	openshell__v1__list_sandbox_policies_request__init(&in);
	in.global = cl_has(&c->w, "global");
	in.limit = cl_number(&c->w, "limit", LIST_DEFAULT);
	if (!in.global) {
		in.name = cl_dup(c, cl_sandbox_name(c, cl_arg(&c->w, 0)));
		in.workspace = cl_dup(c, c->workspace);
	}
	const Openshell__V1__ListSandboxPoliciesResponse *m = CL_ASK(c, ListSandboxPolicies, in,
		ListSandboxPoliciesResponse, list_sandbox_policies_response);
	if (!m->n_revisions) {
		puts("No policy revisions found.");
		return 0;
	}
	cl_table_init(&t, CV_ARRAY_LEN(heads));
	for (size_t i = 0; i < CV_ARRAY_LEN(heads); i++)
		cl_table_cell(&t, cv_str_of(heads[i]));
	for (size_t i = 0; i < m->n_revisions; i++) {
		const Openshell__V1__SandboxPolicyRevision *r = m->revisions[i];

		cl_table_cell(&t, cv_str_of(cl_print(c, "%u", r->version)));
		cl_table_cell(&t, cv_str_of(short_hash(c, r->policy_hash)));
		cl_table_cell(&t, cv_str_of(status_of(r->status)));
		cl_table_cell(&t, cv_str_of(cl_print(c, "%lld", (long long)r->created_at_ms)));
		cl_table_cell(&t, cv_str_of(r->load_error));
	}
	cl_table_done(c, &t);
	return 0;
}
