/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_rpc.c - CreateSandbox, GetSandbox, ListSandboxes, StopSandbox, StartSandbox, DeleteSandbox
 *
 * Each changes what should be and answers; what follows is sandbox.c's.  A sandbox may be named by its
 * name or its id.
 */
#include "gateway/sandbox_int.h"

#include "gateway/access.h"
#include "gateway/admission.h"
#include "gateway/labels.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <sys/random.h>

#define PHASE(name)      OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_##name
#define NAME_WORDS_TRIES 8  /* of two words, before letters */
#define NAME_TRIES       64 /* three hundred million of six letters */

enum cv_rpc_status cv_gw_box_open(const struct cv_rpc_call *c, const char *field,
	struct cv_str id_or_name, struct cv_str workspace, bool is_change, struct cv_gw_box **ret,
	struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_object *o = cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, id_or_name), *w;
	enum cv_rpc_status s;

	if (!id_or_name.n)
		return cv_gw_invalid(err, "%s is required", field);
	if (o && workspace.n && !cv_str_eq(workspace, o->scope)) {
		return cv_fail(err, CV_NOT_FOUND, "sandbox not found"), CV_RPC_NOT_FOUND;
	} else if (o) {
		s = cv_gw_object_open_id(c, CV_OBJECT_SANDBOX, id_or_name, &o, err);
	} else {
		s = cv_gw_workspace_open(c, workspace, is_change, &w, err);
		/* Who asks by id must not learn which ids there are. */
		if (s == CV_RPC_PERMISSION_DENIED && !workspace.n)
			return cv_fail(err, CV_NOT_FOUND, "sandbox not found"), CV_RPC_NOT_FOUND;
		if (s == CV_RPC_OK)
			s = cv_object_get(
				g->objects, CV_OBJECT_SANDBOX, w->name, id_or_name, &o, err);
	}
	if (s == CV_RPC_OK)
		*ret = cv_gw_box_of(o);
	return s;
}

static void box_reply(struct cv_rpc_call *c, const struct cv_gw_box *b)
{
	Openshell__V1__SandboxResponse m;

	openshell__v1__sandbox_response__init(&m);
	m.sandbox = cv_gw_box_view(b, cv_rpc_call_arena(c));
	if (m.sandbox)
		cv_rpc_reply(c, &m.base);
	else
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
}

/* ---- create ---- */

/* 8-4-4-4-12 hexadecimal digits, as ids have them.  What may be said by either would be decided by
 * whoever chose the name. */
static bool is_like_an_id(struct cv_str name)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (name.n != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (form[i] == '-' ? name.p[i] != '-'
				   : !cv_str_has_byte(CV_STR("0123456789abcdef"), name.p[i]))
			return false;
	return true;
}

static enum cv_rpc_status name_choose(struct cv_gateway *g, const char *given, struct cv_str scope,
	char ret[CV_NAME_SANDBOX_BYTES_MAX + 1], struct cv_err *err)
{
	_Static_assert(CV_NAME_GENERATED_BYTES <= CV_NAME_SANDBOX_BYTES_MAX, "either fits");

	if (*given) {
		const enum cv_rpc_status s =
			cv_name_check("name", cv_str_of(given), CV_NAME_SANDBOX_BYTES_MAX, err);
		if (s == CV_RPC_OK && is_like_an_id(cv_str_of(given)))
			return cv_gw_invalid(err, "name '%s' has the form of an id", given);
		if (s == CV_RPC_OK &&
			!cv_str_to_cstr(cv_str_of(given), ret, CV_NAME_SANDBOX_BYTES_MAX + 1))
			return cv_fail(err, CV_INVALID, "name is too long"),
			       CV_RPC_INVALID_ARGUMENT;
		return s;
	}
	for (int i = 0; i < NAME_TRIES; i++) {
		uint64_t random;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			break;
		cv_name_make(random, i >= NAME_WORDS_TRIES, ret);
		if (!cv_object_find(g->objects, CV_OBJECT_SANDBOX, scope, cv_str_of(ret)))
			return CV_RPC_OK;
	}
	return cv_fail(err, CV_LIMIT, "no name is free; give one"), CV_RPC_RESOURCE_EXHAUSTED;
}

static enum cv_rpc_status hooks_create(
	const struct cv_rpc_call *c, Openshell__V1__Sandbox *m, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	enum cv_rpc_status s = CV_RPC_OK;

	for (size_t i = 0; s == CV_RPC_OK && i < g->sandboxes->hook_count; i++)
		if (g->sandboxes->hooks[i]->create)
			s = g->sandboxes->hooks[i]->create(g, c, m, err);
	return s;
}

static enum cv_rpc_status create(struct cv_rpc_call *c,
	const Openshell__V1__CreateSandboxRequest *r, struct cv_gw_box **ret,
	struct box_early *ret_early, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	char name[CV_NAME_SANDBOX_BYTES_MAX + 1];
	struct cv_object *workspace;
	enum cv_rpc_status s =
		cv_gw_workspace_open(c, cv_str_of(r->workspace), true, &workspace, err);

	if (s == CV_RPC_OK)
		s = create_check(r, err);
	if (s == CV_RPC_OK)
		s = name_choose(g, r->name, workspace->name, name, err);
	if (s != CV_RPC_OK)
		return s;
	if (cv_object_find(g->objects, CV_OBJECT_SANDBOX, workspace->name, cv_str_of(name)))
		return cv_fail(err, CV_INVALID, "sandbox '%s' already exists", name),
		       CV_RPC_ALREADY_EXISTS;
	Openshell__V1__Sandbox *m = create_message(g, r, cv_str_of(name), workspace->name);
	s = hooks_create(c, m, err);
	if (s == CV_RPC_OK)
		s = cv_gw_admission_create(c, m, err);
	if (s != CV_RPC_OK) {
		cv_pb_free(m);
		return s;
	}
	return box_create(g, &m->base, ret, ret_early, err);
}

static void on_create(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	static const char *const step[] = { "requesting_sandbox", "" };
	const int64_t began_us = cv_clock_us();
	struct box_early early;
	struct cv_gw_box *b;
	struct cv_err err;
	const enum cv_rpc_status s =
		create(c, (const Openshell__V1__CreateSandboxRequest *)m, &b, &early, &err);

	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cv_log(CV_LOG_INFO, "sandbox",
		CV_LOG_FIELDS({ "name", b->object->name }, { "workspace", b->object->scope },
			{ "id", cv_str_of(b->object->id) }),
		"created");
	cv_gw_start_begin(b, c, began_us);
	cv_gw_start_step(b, CV_GW_STEP_STORE);
	cv_gw_box_log(b, "INFO", "sandbox", "created by %s", cv_rpc_call_principal(c)->subject);
	watch_platform(b, "Scheduled", step, "Requesting compute");
	box_created(b, &early);
	box_reply(c, b);
}

/* ---- get and list ---- */

static void on_get(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetSandboxRequest *r = (const Openshell__V1__GetSandboxRequest *)m;
	struct cv_gw_box *b;
	struct cv_err err;
	const enum cv_rpc_status s = cv_gw_box_open(
		c, "name", cv_str_of(r->name), cv_str_of(r->workspace), false, &b, &err);

	if (s == CV_RPC_OK)
		box_reply(c, b);
	else
		cv_gw_fail(c, s, &err);
}

/* Whoever may not see every workspace sees those of which they are a member. */
static bool is_visible(void *arg, const struct cv_object *o)
{
	struct cv_rpc_call *c = arg;
	struct cv_object *w;
	struct cv_err err;

	return cv_gw_workspace_open(c, o->scope, false, &w, &err) == CV_RPC_OK;
}

static enum cv_rpc_status list(struct cv_rpc_call *c, const Openshell__V1__ListSandboxesRequest *r,
	Openshell__V1__ListSandboxesResponse *ret, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_arena *arena = cv_rpc_call_arena(c);
	struct cv_object_query q = {
		.limit = r->limit, .offset = r->offset, .selector = cv_str_of(r->label_selector)
	};
	struct cv_object_page page;
	struct cv_object *w;
	enum cv_rpc_status s = CV_RPC_OK;

	if (r->all_workspaces && *r->workspace)
		return cv_fail(err, CV_INVALID, "workspace and all_workspaces exclude each other"),
		       CV_RPC_INVALID_ARGUMENT;
	if (r->all_workspaces) {
		q.is_every_scope = true;
		q.wants = is_visible;
		q.arg = c;
	} else {
		s = cv_gw_workspace_open(c, cv_str_of(r->workspace), false, &w, err);
		if (s == CV_RPC_OK)
			q.scope = w->name;
	}
	if (s == CV_RPC_OK)
		s = cv_object_list(g->objects, CV_OBJECT_SANDBOX, &q, arena, &page, err);
	if (s != CV_RPC_OK)
		return s;
	ret->sandboxes = cv_arena_array(arena, page.n + 1, sizeof(ret->sandboxes[0]));
	for (size_t i = 0; ret->sandboxes && i < page.n; i++) {
		Openshell__V1__Sandbox *view = cv_gw_box_view(cv_gw_box_of(page.v[i]), arena);

		if (!view)
			break;
		ret->sandboxes[ret->n_sandboxes++] = view;
	}
	return ret->n_sandboxes == page.n
		       ? CV_RPC_OK
		       : (cv_fail(err, CV_LIMIT, "the page is too large; ask for fewer"),
				 CV_RPC_RESOURCE_EXHAUSTED);
}

static void on_list(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	Openshell__V1__ListSandboxesResponse answer;
	struct cv_err err;

	openshell__v1__list_sandboxes_response__init(&answer);
	const enum cv_rpc_status s =
		list(c, (const Openshell__V1__ListSandboxesRequest *)m, &answer, &err);
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &answer.base);
	else
		cv_gw_fail(c, s, &err);
}

/* ---- stop, start, delete ---- */

/* Idempotent where the phase is on its way; refused where it is another. */
static void want_change(struct cv_rpc_call *c, struct cv_gw_box *b, Openshell__V1__SandboxPhase to,
	uint32_t from, uint32_t same, const char *refusal)
{
	const Openshell__V1__SandboxPhase now = cv_gw_box_phase(b);
	const struct cv_ref ref = b->ref;
	struct cv_gateway *g = b->g;
	enum cv_rpc_status s = CV_RPC_OK;
	const int64_t began_us = cv_clock_us();
	struct cv_err err;

	/* It need not wait until it runs; or it does run, and its supervisor is about to dial. */
	if (to == PHASE(STOPPED) && (b->state == CV_GW_WAITING || b->state == CV_GW_LOST))
		from |= 1u << now;
	if (!((from | same) & (1u << now))) {
		cv_rpc_finish(c, CV_RPC_FAILED_PRECONDITION,
			"sandbox must be %s (current phase: %s)", refusal, cv_gw_phase_name(now));
		return;
	}
	if (from & (1u << now)) {
		if (to == PHASE(READY))
			s = cv_gw_admission_start(c, b, &to, &err);
		if (s == CV_RPC_OK)
			s = box_want_write(b, to, NULL, &err);
		if (s != CV_RPC_OK) {
			cv_gw_fail(c, s, &err);
			return;
		}
		b->is_restart = true;
		if (to == PHASE(READY)) {
			cv_gw_start_begin(b, c, began_us);
			cv_gw_start_step(b, CV_GW_STEP_STORE);
		}
		box_settle(b);
		b = cv_gw_box_get(g, ref);
	}
	if (b)
		box_reply(c, b);
	else
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "sandbox not found");
}

static void on_stop(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__StopSandboxRequest *r = (const Openshell__V1__StopSandboxRequest *)m;
	struct cv_gw_box *b;
	struct cv_err err;
	const enum cv_rpc_status s = cv_gw_box_open(
		c, "name", cv_str_of(r->name), cv_str_of(r->workspace), false, &b, &err);

	if (s == CV_RPC_OK)
		want_change(c, b, PHASE(STOPPED), 1u << PHASE(READY),
			1u << PHASE(STOPPING) | 1u << PHASE(STOPPED), "Ready to stop");
	else
		cv_gw_fail(c, s, &err);
}

static void on_start(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__StartSandboxRequest *r = (const Openshell__V1__StartSandboxRequest *)m;
	struct cv_gw_box *b;
	struct cv_err err;
	const enum cv_rpc_status s = cv_gw_box_open(
		c, "name", cv_str_of(r->name), cv_str_of(r->workspace), true, &b, &err);

	/* One whose command has ended may be started again, too. */
	if (s == CV_RPC_OK)
		want_change(c, b, PHASE(READY), 1u << PHASE(STOPPED) | 1u << PHASE(ERROR),
			1u << PHASE(STARTING) | 1u << PHASE(READY), "Stopped to start");
	else
		cv_gw_fail(c, s, &err);
}

static void on_delete(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__DeleteSandboxRequest *r =
		(const Openshell__V1__DeleteSandboxRequest *)m;
	Openshell__V1__DeleteSandboxResponse answer;
	struct cv_gw_box *b;
	struct cv_err err;
	enum cv_rpc_status s = cv_gw_box_open(
		c, "name", cv_str_of(r->name), cv_str_of(r->workspace), false, &b, &err);

	if (s == CV_RPC_OK && cv_gw_box_want(b) != CV_GW_DELETE)
		s = box_want_write(b, PHASE(DELETING), NULL, &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	box_settle(b);
	openshell__v1__delete_sandbox_response__init(&answer);
	answer.deleted = true;
	cv_rpc_reply(c, &answer.base);
}

const struct cv_gw_method sandbox_methods[SANDBOX_METHODS] = {
	{ "CreateSandbox", { .message = on_create } },
	{ "GetSandbox", { .message = on_get } },
	{ "ListSandboxes", { .message = on_list } },
	{ "StopSandbox", { .message = on_stop } },
	{ "StartSandbox", { .message = on_start } },
	{ "DeleteSandbox", { .message = on_delete } },
};
