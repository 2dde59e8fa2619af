/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_workspace.c - workspaces and who is in them
 */
#include "client/commands.h"
#include "client/sandbox.h"

#include <string.h>

typedef Openshell__Datamodel__V1__Workspace workspace;

static const char *phase_of(const workspace *w)
{
	return w->status && w->status->phase ==
				       OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_TERMINATING
		       ? "Terminating"
		       : "Active";
}

static void workspace_out(struct cl *c, struct cl_out *o, const workspace *w)
{
	const Openshell__Datamodel__V1__ObjectMeta *m = w->metadata;

	cl_out_object(o, NULL);
	cl_out_str(o, "id", m->id);
	cl_out_str(o, "name", m->name);
	cl_map_out(c, o, "labels", m->labels, m->n_labels);
	cl_out_u64(o, "resource_version", m->resource_version);
	cl_out_str(o, "created_at", cl_time(c, m->created_at_ms));
	cl_out_str(o, "phase", phase_of(w));
	cl_out_end(o);
}

int cl_run_workspace_create(struct cl *c)
{
	const char *name = cl_flag(&c->w, "name") ? cl_flag(&c->w, "name") : cl_arg(&c->w, 0);
	Openshell__V1__CreateWorkspaceRequest in;

	if (!name)
		cl_die_usage(
			c, "the following required arguments were not provided: --name <NAME>");
	openshell__v1__create_workspace_request__init(&in);
	in.name = cl_dup(c, name);
	in.labels = cl_map_of_flag(c, "label",
		&openshell__v1__create_workspace_request__labels_entry__descriptor, &in.n_labels);
	(void)CL_ASK(c, CreateWorkspace, in, CreateWorkspaceResponse, create_workspace_response);
	cl_mark(c, 'v', "Created workspace %s", cl_shown(c, name));
	return 0;
}

int cl_run_workspace_get(struct cl *c)
{
	Openshell__V1__GetWorkspaceRequest in;
	struct cl_out o;

	openshell__v1__get_workspace_request__init(&in);
	in.name = cl_dup(c, cl_arg(&c->w, 0));
	const Openshell__V1__GetWorkspaceResponse *m =
		CL_ASK(c, GetWorkspace, in, GetWorkspaceResponse, get_workspace_response);
	if (!m->workspace || !m->workspace->metadata)
		cl_die(c, "the gateway answered without a workspace");
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		workspace_out(c, &o, m->workspace);
		return cl_out_done(c, &o);
	}
	printf("Workspace:\n\n");
	cl_label(c, "Id:", cl_shown(c, m->workspace->metadata->id));
	cl_label(c, "Name:", cl_shown(c, m->workspace->metadata->name));
	cl_label(c, "Phase:", phase_of(m->workspace));
	cl_label(c, "Created:", cl_time(c, m->workspace->metadata->created_at_ms));
	cl_label(c, "Labels:",
		cl_map_text(c, m->workspace->metadata->labels, m->workspace->metadata->n_labels));
	return 0;
}

int cl_run_workspace_list(struct cl *c)
{
	static const char *const heads[] = { "NAME", "CREATED", "PHASE" };
	Openshell__V1__ListWorkspacesRequest in;
	struct cl_table t;
	struct cl_out o;

	openshell__v1__list_workspaces_request__init(&in);
	in.limit = cl_number(&c->w, "limit", CL_PAGE);
	in.offset = cl_number(&c->w, "offset", 0);
	in.label_selector = cl_dup(c, cl_flag(&c->w, "label-selector"));
	const Openshell__V1__ListWorkspacesResponse *m =
		CL_ASK(c, ListWorkspaces, in, ListWorkspacesResponse, list_workspaces_response);
	if (cl_has(&c->w, "names")) {
		for (size_t i = 0; i < m->n_workspaces; i++)
			printf("%s\n", cl_shown(c, m->workspaces[i]->metadata->name));
		return 0;
	}
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		cl_out_array(&o, NULL);
		for (size_t i = 0; i < m->n_workspaces; i++)
			workspace_out(c, &o, m->workspaces[i]);
		cl_out_end(&o);
		return cl_out_done(c, &o);
	}
	if (!m->n_workspaces) {
		puts("No workspaces found.");
		return 0;
	}
	cl_table_init(&t, CV_ARRAY_LEN(heads));
	for (size_t i = 0; i < CV_ARRAY_LEN(heads); i++)
		cl_table_cell(&t, cv_str_of(heads[i]));
	for (size_t i = 0; i < m->n_workspaces; i++) {
		cl_table_cell(&t, cv_str_of(m->workspaces[i]->metadata->name));
		cl_table_cell(&t, cv_str_of(cl_time(c, m->workspaces[i]->metadata->created_at_ms)));
		cl_table_cell(&t, cv_str_of(phase_of(m->workspaces[i])));
	}
	cl_table_done(c, &t);
	return 0;
}

static bool is_there(struct cl *c, const char *name)
{
	Openshell__V1__GetWorkspaceRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__get_workspace_request__init(&in);
	in.name = cl_dup(c, name);
	return CL_TRY(c, GetWorkspace, in, GetWorkspaceResponse, get_workspace_response, &status,
		       &err) != NULL;
}

int cl_run_workspace_delete(struct cl *c)
{
	int result = 0;

	for (size_t i = 0; i < c->w.arg_count; i++) {
		const char *name = cl_arg(&c->w, i);
		Openshell__V1__DeleteWorkspaceRequest in;
		enum cv_rpc_status status;
		struct cv_err err;

		openshell__v1__delete_workspace_request__init(&in);
		in.name = cl_dup(c, name);
		const Openshell__V1__DeleteWorkspaceResponse *m = CL_TRY(c, DeleteWorkspace, in,
			DeleteWorkspaceResponse, delete_workspace_response, &status, &err);
		if (m && m->deleted && is_there(c, name)) {
			cl_mark(c, '!',
				"Workspace %s is marked, and goes when the sandboxes and other "
				"objects in it have gone",
				cl_shown(c, name));
			cl_note(c,
				"hint: these are its sandboxes, providers, profiles and routes; "
				"delete them with: %s -w %s ...",
				c->program, cl_shown(c, name));
		} else if (m && m->deleted) {
			cl_mark(c, 'v', "Deleted workspace %s", cl_shown(c, name));
		} else if (m || status == CV_RPC_NOT_FOUND) {
			cl_mark(c, '!', "Workspace %s not found", cl_shown(c, name));
		} else {
			cl_mark(c, 'x', "Failed to delete workspace %s: %s", cl_shown(c, name),
				cl_said(c, err.msg));
			result = CL_EXIT_FAILED;
		}
	}
	return result;
}

/* ---- members ---- */

static char *subject(struct cl *c)
{
	const char *s = cl_flag(&c->w, "subject");

	if (!s)
		cl_die_usage(c, "the following required arguments were not provided: "
				"--subject <SUBJECT>");
	return cl_dup(c, s);
}

int cl_run_member_add(struct cl *c)
{
	const char *role = cl_flag(&c->w, "role") ? cl_flag(&c->w, "role") : "user";
	Openshell__V1__AddWorkspaceMemberRequest in;

	openshell__v1__add_workspace_member_request__init(&in);
	in.workspace = cl_dup(c, c->workspace);
	in.principal_subject = subject(c);
	in.role = strcmp(role, "admin") == 0 ? OPENSHELL__V1__WORKSPACE_ROLE__WORKSPACE_ROLE_ADMIN
					     : OPENSHELL__V1__WORKSPACE_ROLE__WORKSPACE_ROLE_USER;
	(void)CL_ASK(c, AddWorkspaceMember, in, AddWorkspaceMemberResponse,
		add_workspace_member_response);
	cl_mark(c, 'v', "Added %s to workspace %s as %s", cl_shown(c, in.principal_subject),
		cl_shown(c, c->workspace), role);
	return 0;
}

int cl_run_member_remove(struct cl *c)
{
	Openshell__V1__RemoveWorkspaceMemberRequest in;

	openshell__v1__remove_workspace_member_request__init(&in);
	in.workspace = cl_dup(c, c->workspace);
	in.principal_subject = subject(c);
	const Openshell__V1__RemoveWorkspaceMemberResponse *m = CL_ASK(c, RemoveWorkspaceMember, in,
		RemoveWorkspaceMemberResponse, remove_workspace_member_response);
	if (m->removed)
		cl_mark(c, 'v', "Removed %s from workspace %s", cl_shown(c, in.principal_subject),
			cl_shown(c, c->workspace));
	else
		cl_mark(c, '!', "%s is not a member of workspace %s",
			cl_shown(c, in.principal_subject), cl_shown(c, c->workspace));
	return 0;
}

int cl_run_member_list(struct cl *c)
{
	Openshell__V1__ListWorkspaceMembersRequest in;
	struct cl_table t;
	struct cl_out o;

	openshell__v1__list_workspace_members_request__init(&in);
	in.workspace = cl_dup(c, c->workspace);
	in.limit = cl_number(&c->w, "limit", CL_PAGE);
	in.offset = cl_number(&c->w, "offset", 0);
	const Openshell__V1__ListWorkspaceMembersResponse *m = CL_ASK(c, ListWorkspaceMembers, in,
		ListWorkspaceMembersResponse, list_workspace_members_response);
	const bool is_table = cl_form(c) == CL_FORM_TABLE;
	if (is_table && !m->n_members) {
		puts("No members found.");
		return 0;
	}
	cl_table_init(&t, 2);
	cl_table_cell(&t, CV_STR("SUBJECT"));
	cl_table_cell(&t, CV_STR("ROLE"));
	cl_out_init(&o, is_table ? CL_FORM_JSON : cl_form(c));
	cl_out_array(&o, NULL);
	for (size_t i = 0; i < m->n_members; i++) {
		const char *role =
			m->members[i]->role == OPENSHELL__V1__WORKSPACE_ROLE__WORKSPACE_ROLE_ADMIN
				? "admin"
				: "user";

		cl_table_cell(&t, cv_str_of(m->members[i]->principal_subject));
		cl_table_cell(&t, cv_str_of(role));
		cl_out_object(&o, NULL);
		cl_out_str(&o, "subject", m->members[i]->principal_subject);
		cl_out_str(&o, "role", role);
		cl_out_end(&o);
	}
	cl_out_end(&o);
	if (!is_table) {
		cl_table_fini(&t);
		return cl_out_done(c, &o);
	}
	cl_out_fini(&o);
	cl_table_done(c, &t);
	return 0;
}
