/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace.c - workspaces: the names under which everything else is kept
 *
 * "default" is always there and can't be deleted.  One that has objects is not deleted under them:
 * it becomes TERMINATING, in which nothing new is made, and goes when the last object has gone: so what takes
 * something away opens it as what only looks does.
 * Which kinds hold it back is a table; what hangs on those (sessions, revisions) goes with them.
 */
#include "gateway/access.h"
#include "gateway/gateway.h"
#include "gateway/labels.h"
#include "gateway/log.h"
#include "gateway/pb.h"

#include "datamodel.pb-c.h"
#include "openshell.pb-c.h"
#include "sys/clock.h"

typedef Openshell__Datamodel__V1__Workspace workspace;
#define PHASE(name) OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_##name

static const enum cv_object_kind holding[] = { CV_OBJECT_SANDBOX, CV_OBJECT_PROVIDER,
	CV_OBJECT_PROFILE, CV_OBJECT_SERVICE, CV_OBJECT_INFERENCE_ROUTE };

static workspace *workspace_new(struct cv_str name)
{
	workspace *w = cv_pb_new(&openshell__datamodel__v1__workspace__descriptor);

	w->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	w->status = cv_pb_new(&openshell__datamodel__v1__workspace_status__descriptor);
	w->status->phase = PHASE(ACTIVE);
	cv_pb_str_set(&w->metadata->name, name);
	return w;
}

static bool is_terminating(const struct cv_object *o)
{
	const workspace *w = (const void *)o->message;

	return w->status && w->status->phase == PHASE(TERMINATING);
}

static bool is_empty(const struct cv_gateway *g, struct cv_str name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(holding); i++) {
		const struct cv_object_range r = cv_object_scope(g->objects, holding[i], name);

		if (r.first < r.end)
			return false;
	}
	return true;
}

/* ---- rpcs ---- */

static void create(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__CreateWorkspaceRequest *q = (const void *)m;
	Openshell__V1__CreateWorkspaceResponse r;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_object *o = NULL;
	struct cv_err err;
	enum cv_rpc_status s =
		cv_name_check("name", cv_str_of(q->name), CV_NAME_SHORT_BYTES_MAX, &err);

	if (s == CV_RPC_OK)
		s = cv_labels_check("labels", q->labels, q->n_labels, &err);
	if (s == CV_RPC_OK) {
		workspace *w = workspace_new(cv_str_of(q->name));

		for (size_t i = 0; i < q->n_labels; i++)
			cv_pb_map_set(&w->metadata->labels, &w->metadata->n_labels,
				&openshell__datamodel__v1__object_meta__labels_entry__descriptor,
				cv_str_of(q->labels[i]->key), cv_str_of(q->labels[i]->value));
		s = cv_object_create(
			g->objects, CV_OBJECT_WORKSPACE, &w->base, cv_clock_unix_ms(), &o, &err);
	}
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cv_log(CV_LOG_INFO, "workspace",
		CV_LOG_FIELDS({ "name", o->name },
			{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
		"created");
	openshell__v1__create_workspace_response__init(&r);
	r.workspace = (void *)(uintptr_t)o->message;
	cv_rpc_reply(c, &r.base);
}

static void get(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetWorkspaceRequest *q = (const void *)m;
	Openshell__V1__GetWorkspaceResponse r;
	struct cv_object *o;
	struct cv_err err;
	enum cv_rpc_status s;

	/* Where something else is asked for, none means the default; here it is what is asked for. */
	if (!q->name[0])
		s = cv_gw_invalid(&err, "name is required");
	else
		s = cv_gw_workspace_open(c, cv_str_of(q->name), false, &o, &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	openshell__v1__get_workspace_response__init(&r);
	r.workspace = (void *)(uintptr_t)o->message;
	cv_rpc_reply(c, &r.base);
}

/* Only those that the caller may look into. */
static bool is_visible(void *arg, const struct cv_object *o)
{
	struct cv_rpc_call *c = arg;
	struct cv_object *same;
	struct cv_err err;

	return cv_gw_workspace_open(c, o->name, false, &same, &err) == CV_RPC_OK;
}

static void list(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ListWorkspacesRequest *q = (const void *)m;
	const struct cv_object_query query = {
		.is_every_scope = true,
		.limit = q->limit,
		.offset = q->offset,
		.selector = cv_str_of(q->label_selector),
		.wants = cv_rpc_call_principal(c)->is_admin ? NULL : is_visible,
		.arg = c,
	};
	Openshell__V1__ListWorkspacesResponse r;
	struct cv_object_page page;
	struct cv_err err;
	const enum cv_rpc_status s = cv_object_list(cv_gw_of(c)->objects, CV_OBJECT_WORKSPACE,
		&query, cv_rpc_call_arena(c), &page, &err);

	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	openshell__v1__list_workspaces_response__init(&r);
	r.n_workspaces = page.n;
	r.workspaces = (void *)page.v; /* each pointer is replaced by its message */
	for (size_t i = 0; i < page.n; i++)
		r.workspaces[i] = (void *)(uintptr_t)page.v[i]->message;
	cv_rpc_reply(c, &r.base);
}

static enum cv_rpc_status terminate(struct cv_gateway *g, struct cv_object *o, struct cv_err *err)
{
	workspace *w;

	if (is_empty(g, o->name))
		return cv_object_delete(g->objects, o, CV_OBJECT_ANY_VERSION, err);
	if (is_terminating(o))
		return CV_RPC_OK;
	w = (void *)cv_object_copy(o);
	if (!w->status)
		w->status = cv_pb_new(&openshell__datamodel__v1__workspace_status__descriptor);
	w->status->phase = PHASE(TERMINATING);
	w->metadata->deletion_timestamp_ms = cv_clock_unix_ms();
	return cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION, &w->base, err);
}

static void delete (struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__DeleteWorkspaceRequest *q = (const void *)m;
	Openshell__V1__DeleteWorkspaceResponse r;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_object *o;
	struct cv_err err;
	enum cv_rpc_status s;

	if (!q->name[0]) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "name is required");
		return;
	}
	if (cv_str_eq(cv_str_of(q->name), CV_STR(CV_GW_WORKSPACE_DEFAULT))) {
		cv_rpc_finish(
			c, CV_RPC_FAILED_PRECONDITION, "workspace 'default' can't be deleted");
		return;
	}
	s = cv_object_get(
		g->objects, CV_OBJECT_WORKSPACE, CV_STR_NONE, cv_str_of(q->name), &o, &err);
	if (s == CV_RPC_OK)
		s = terminate(g, o, &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cv_log(CV_LOG_INFO, "workspace",
		CV_LOG_FIELDS({ "name", cv_str_of(q->name) },
			{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
		"deleted");
	openshell__v1__delete_workspace_response__init(&r);
	r.deleted = true;
	cv_rpc_reply(c, &r.base);
}

/* ---- the part ---- */

/* Those that wait for their last object; looked at when something went. */
static bool has_gone;

static void on_change(
	void *arg, enum cv_object_change change, struct cv_object *o, const ProtobufCMessage *was)
{
	(void)arg, (void)o, (void)was;
	has_gone |= change == CV_OBJECT_DELETED;
}

static int64_t turn(struct cv_gateway *g)
{
	struct cv_object_range r = cv_object_all(g->objects, CV_OBJECT_WORKSPACE);
	struct cv_err err;

	if (!has_gone)
		return INT64_MAX;
	has_gone = false;
	for (size_t i = r.end; i-- > r.first;) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_WORKSPACE, i);

		if (is_terminating(o) && is_empty(g, o->name) &&
			cv_object_delete(g->objects, o, CV_OBJECT_ANY_VERSION, &err) != CV_RPC_OK)
			cv_log(CV_LOG_ERROR, "workspace",
				CV_LOG_FIELDS({ "why", cv_str_of(err.msg) }), "not deleted");
	}
	return INT64_MAX;
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	const struct cv_str name = CV_STR(CV_GW_WORKSPACE_DEFAULT);

	has_gone = true; /* what a gateway before us did not come to */
	cv_objects_listen(g->objects, on_change, g);
	if (cv_object_find(g->objects, CV_OBJECT_WORKSPACE, CV_STR_NONE, name))
		return CV_OK;
	if (cv_object_create(g->objects, CV_OBJECT_WORKSPACE, &workspace_new(name)->base,
		    cv_clock_unix_ms(), NULL, err) != CV_RPC_OK)
		return cv_wrap(err, "make the default workspace");
	return CV_OK;
}

static const struct cv_gw_method methods[] = {
	{ "CreateWorkspace", { .message = create } },
	{ "GetWorkspace", { .message = get } },
	{ "ListWorkspaces", { .message = list } },
	{ "DeleteWorkspace", { .message = delete } },
};

const struct cv_gw_part cv_gw_part_workspace = {
	.name = "workspace",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = start,
	.turn = turn,
};
