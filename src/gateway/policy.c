/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - the rpcs about configuration: UpdateConfig, what is in force, revisions, reports
 *
 * UpdateConfig does one of three things (a row each): a whole policy, merge operations, a setting;
 * for a sandbox or, by an administrator, for the gateway.  Everything is checked before anything is
 * written.
 */
#include "gateway/policy_int.h"

#include "gateway/access.h"
#include "gateway/deliver.h"
#include "gateway/labels.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/sandbox.h"
#include "rpc/policy_merge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef Openshell__V1__UpdateConfigRequest update_t;

#define LIST_DEFAULT 100 /* openshell-api 7 */
#define LIST_MAX     1000

static void fail(struct cv_rpc_call *c, enum cv_rpc_status s, const struct cv_err *err)
{
	cv_rpc_finish(c, s, "%s", err->msg);
}

enum cv_rpc_status cv_gw_policy_sandbox(const struct cv_rpc_call *c, const char *name,
	const char *workspace, bool is_change, struct cv_object **ret, struct cv_err *err)
{
	struct cv_gw_box *b;
	const enum cv_rpc_status s = cv_gw_box_open(
		c, "name", cv_str_of(name), cv_str_of(workspace), is_change, &b, err);

	if (s == CV_RPC_OK)
		*ret = b->object;
	return s;
}

/* ---- UpdateConfig ---- */

struct update {
	struct cv_rpc_call *c;
	struct cv_gateway *g;
	const update_t *r;
	struct cv_object *sandbox; /* NULL: the gateway */
	struct cv_arena arena;
	struct cv_err err;
	Openshell__V1__UpdateConfigResponse out;
	char hash[CV_POLICY_HASH_BYTES];
};

CV_PRINTF(3, 4)
static enum cv_rpc_status say(struct update *u, enum cv_rpc_status s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->err.msg, sizeof(u->err.msg), fmt, ap);
	va_end(ap);
	return s;
}

/* The response's annotations are the request's. */
static bool annotations_return(struct update *u)
{
	const size_t n = u->r->n_annotations;
	Openshell__V1__UpdateConfigResponse__AnnotationsEntry **v =
		cv_arena_array(&u->arena, n + 1, sizeof(*v));

	for (size_t i = 0; v && i < n; i++) {
		v[i] = cv_arena_new(
			&u->arena, Openshell__V1__UpdateConfigResponse__AnnotationsEntry);
		if (!v[i])
			return false;
		openshell__v1__update_config_response__annotations_entry__init(v[i]);
		v[i]->key = u->r->annotations[i]->key;
		v[i]->value = u->r->annotations[i]->value;
	}
	u->out.annotations = v;
	u->out.n_annotations = v ? n : 0;
	return v != NULL;
}

/* Annotations are the sandbox's, too.  This is also where a client's version is compared. */
static enum cv_rpc_status metadata_merge(struct update *u)
{
	if (!u->sandbox || !u->r->n_annotations)
		return CV_RPC_OK;
	Openshell__V1__Sandbox *m = (Openshell__V1__Sandbox *)(void *)cv_object_copy(u->sandbox);
	if (!m)
		return say(u, CV_RPC_INTERNAL, "no memory");
	for (size_t i = 0; i < u->r->n_annotations; i++)
		cv_pb_map_set(&m->metadata->annotations, &m->metadata->n_annotations,
			&openshell__datamodel__v1__object_meta__annotations_entry__descriptor,
			cv_str_of(u->r->annotations[i]->key),
			cv_str_of(u->r->annotations[i]->value));
	const enum cv_rpc_status s = cv_annotations_check(
		"annotations", m->metadata->annotations, m->metadata->n_annotations, &u->err);
	if (s != CV_RPC_OK) {
		cv_pb_free(m);
		return s;
	}
	return cv_object_write(
		u->g->objects, u->sandbox, u->r->expected_resource_version, &m->base, &u->err);
}

/* Stores the candidate, of a sandbox or of the gateway. */
static enum cv_rpc_status candidate_put(
	struct update *u, const cv_policy_pb *was, const cv_policy_pb *is)
{
	struct cv_buf diff;
	enum cv_rpc_status s = cv_gw_policy_check(u->g, u->sandbox, was, is, &u->err);

	if (s == CV_RPC_OK)
		s = metadata_merge(u);
	if (s == CV_RPC_OK)
		s = cv_gw_policy_put(u->g, u->sandbox, is, u->r->annotations, u->r->n_annotations,
			&u->out.version, u->hash, &u->err);
	if (s != CV_RPC_OK)
		return s;
	u->out.policy_hash = u->hash;
	cv_buf_init(&diff, 2048);
	if (was)
		cv_policy_diff(was, is, &diff);
	for (size_t i = 0; i < cv_buf_len(&diff); i++)
		if (diff.data[diff.start + i] == '\n')
			diff.data[diff.start + i] = ';';
	cv_log(CV_LOG_INFO, "policy",
		CV_LOG_FIELDS({ "sandbox", u->sandbox ? u->sandbox->name : CV_STR("(global)") },
			{ "by", cv_str_of(cv_rpc_call_principal(u->c)->subject) },
			{ "changes", cv_buf_str(&diff) }),
		"revision %u", u->out.version);
	cv_buf_fini(&diff);
	return CV_RPC_OK;
}

/* Every sandbox's supervisor hears of a change of what holds for all. */
static void push_all(struct cv_gateway *g)
{
	const struct cv_object_range r = cv_object_all(g->objects, CV_OBJECT_SANDBOX);

	for (size_t i = r.first; i < r.end; i++)
		cv_gw_policy_push(g, cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));
}

static enum cv_rpc_status global_point(struct update *u, uint32_t version)
{
	cv_setting_value v;
	bool was;

	openshell__sandbox__v1__setting_value__init(&v);
	v.value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_INT_VALUE;
	v.int_value = version;
	const enum cv_rpc_status s = cv_gw_setting_put(
		u->g, CV_STR_NONE, CV_GW_SETTING_POLICY, version ? &v : NULL, &was, &u->err);
	u->out.deleted = !version && was;
	u->out.settings_revision = cv_gw_settings_revision(u->g, CV_STR_NONE);
	if (s == CV_RPC_OK)
		push_all(u->g);
	return s;
}

static enum cv_rpc_status update_policy(struct update *u)
{
	struct cv_gw_revision was = { 0 };
	cv_policy_pb *is;
	enum cv_rpc_status s = CV_RPC_OK;

	if (u->sandbox)
		s = cv_gw_policy_is_own(u->g, &u->err);
	if (s == CV_RPC_OK &&
		cv_policy_pb_canonical(u->r->policy, &u->arena, &is, &u->err) != CV_OK)
		s = CV_RPC_INVALID_ARGUMENT;
	if (s == CV_RPC_OK && u->sandbox)
		s = cv_gw_policy_latest(u->g, u->sandbox, &u->arena, &was, &u->err);
	if (s == CV_RPC_OK)
		s = candidate_put(u, was.policy, is);
	if (s == CV_RPC_OK && !u->sandbox)
		s = global_point(u, u->out.version);
	return s;
}

static enum cv_rpc_status update_merge(struct update *u)
{
	struct cv_gw_revision was;
	cv_policy_pb *is;
	enum cv_rpc_status s = cv_gw_policy_is_own(u->g, &u->err);

	if (s == CV_RPC_OK)
		s = cv_gw_policy_latest(u->g, u->sandbox, &u->arena, &was, &u->err);
	if (s == CV_RPC_OK && cv_policy_merge(was.policy, u->r->merge_operations,
				      u->r->n_merge_operations, &u->arena, &is, &u->err) != CV_OK)
		s = CV_RPC_INVALID_ARGUMENT;
	return s == CV_RPC_OK ? candidate_put(u, was.policy, is) : s;
}

static enum cv_rpc_status update_setting(struct update *u)
{
	const struct cv_str scope = u->sandbox ? cv_str_of(u->sandbox->id) : CV_STR_NONE;
	const bool is_policy = strcmp(u->r->setting_key, CV_GW_SETTING_POLICY) == 0;
	const cv_setting_value *v = u->r->delete_setting ? NULL : u->r->setting_value;
	enum cv_rpc_status s = CV_RPC_OK;
	bool was;

	if (is_policy && u->r->delete_setting && !u->sandbox)
		return global_point(u, 0);
	if (is_policy)
		return say(u, CV_RPC_INVALID_ARGUMENT,
			"setting key 'policy' is reserved; use the policy field");
	if (v || !u->r->delete_setting)
		s = cv_gw_setting_check(u->r->setting_key, v, &u->err);
	else { /* a key that is not registered is not there to be deleted either */
		cv_setting_value any;

		openshell__sandbox__v1__setting_value__init(&any);
		if (cv_gw_setting_check(u->r->setting_key, &any, &u->err) != CV_RPC_OK &&
			strstr(u->err.msg, "unknown setting key"))
			s = CV_RPC_INVALID_ARGUMENT;
	}
	if (s == CV_RPC_OK)
		s = cv_gw_setting_put(u->g, scope, u->r->setting_key, v, &was, &u->err);
	if (s != CV_RPC_OK)
		return s;
	u->out.deleted = u->r->delete_setting && was;
	u->out.settings_revision = cv_gw_settings_revision(u->g, scope);
	if (u->sandbox)
		cv_gw_policy_push(u->g, u->sandbox);
	else
		push_all(u->g);
	return CV_RPC_OK;
}

static enum cv_rpc_status update_open(struct update *u)
{
	const struct cv_principal *who = cv_rpc_call_principal(u->c);
	const update_t *r = u->r;

	if (who->kind == CV_PRINCIPAL_SANDBOX)
		return say(u, CV_RPC_PERMISSION_DENIED,
			"a sandbox may not change its own policy or settings; it may propose changes");
	if ((r->policy != NULL) + (r->setting_key[0] != 0) + (r->n_merge_operations > 0) != 1)
		return say(u, CV_RPC_INVALID_ARGUMENT,
			"exactly one of policy, setting_key, or merge_operations must be provided");
	if ((r->delete_setting || r->setting_value) && !r->setting_key[0])
		return say(u, CV_RPC_INVALID_ARGUMENT,
			"setting_value and delete_setting need a setting_key");
	if (r->delete_setting && r->setting_value)
		return say(u, CV_RPC_INVALID_ARGUMENT,
			"setting_value and delete_setting exclude each other");
	if (r->setting_key[0] && r->n_annotations)
		return say(u, CV_RPC_INVALID_ARGUMENT,
			"annotations are of a policy's revision, and a setting has none");
	const enum cv_rpc_status s =
		cv_annotations_check("annotations", r->annotations, r->n_annotations, &u->err);
	if (s != CV_RPC_OK)
		return s;
	if (!r->global)
		return cv_gw_policy_sandbox(
			u->c, r->name, r->workspace, true, &u->sandbox, &u->err);
	if (!who->is_admin)
		return say(u, CV_RPC_PERMISSION_DENIED,
			"global configuration requires the platform admin role");
	if (r->name[0] || r->n_merge_operations || r->n_annotations)
		return say(u, CV_RPC_INVALID_ARGUMENT, "%s not supported with global = true",
			r->name[0]              ? "name is"
			: r->n_merge_operations ? "merge_operations are"
						: "annotations are");
	return CV_RPC_OK;
}

static void update_config(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct update u = { .c = c, .g = cv_gw_of(c), .r = (const void *)m };
	enum cv_rpc_status s;

	cv_arena_init(&u.arena, CV_GW_POLICY_ARENA_MAX);
	openshell__v1__update_config_response__init(&u.out);
	s = update_open(&u);
	if (s == CV_RPC_OK)
		s = u.sandbox ? cv_object_version_check(
					u.sandbox, u.r->expected_resource_version, &u.err)
			      : CV_RPC_OK;
	if (s == CV_RPC_OK)
		s = u.r->policy               ? update_policy(&u)
		    : u.r->n_merge_operations ? update_merge(&u)
					      : update_setting(&u);
	if (s == CV_RPC_OK && !annotations_return(&u))
		s = say(&u, CV_RPC_INTERNAL, "no memory");
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &u.out.base);
	else
		fail(c, s, &u.err);
	cv_arena_fini(&u.arena);
}

/* ---- what is in force ---- */

/* An opaque number that is another one whenever the answer is. */
static uint64_t fingerprint(const Openshell__Sandbox__V1__GetSandboxConfigResponse *r)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 s;
	uint64_t v = 0;

	cv_sha256_init(&s);
	cv_sha256_update(&s, r->policy_hash, strlen(r->policy_hash));
	cv_sha256_update(&s, &r->version, sizeof(r->version));
	cv_sha256_update(&s, &r->global_policy_version, sizeof(r->global_policy_version));
	cv_sha256_update(&s, &r->provider_env_revision, sizeof(r->provider_env_revision));
	for (size_t i = 0; i < r->n_settings; i++) {
		const cv_setting_value *value = r->settings[i]->value->value;
		uint8_t packed[128]; /* registered settings are words and truth values */
		const size_t n = protobuf_c_message_get_packed_size(&value->base);

		if (n <= sizeof(packed))
			protobuf_c_message_pack(&value->base, packed);
		cv_sha256_update(&s, &n, sizeof(n));
		cv_sha256_update(&s, packed, CV_MIN(n, sizeof(packed)));
	}
	cv_sha256_final(&s, digest);
	memcpy(&v, digest, sizeof(v));
	return v;
}

static void get_sandbox_config(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__Sandbox__V1__GetSandboxConfigRequest *r = (const void *)m;
	Openshell__Sandbox__V1__GetSandboxConfigResponse out;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_gw_effective now;
	struct cv_object *sandbox = NULL;
	struct cv_gw_box *box;
	struct cv_err err = { 0 };
	struct cv_arena arena;

	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	openshell__sandbox__v1__get_sandbox_config_response__init(&out);
	enum cv_rpc_status s = cv_gw_box_open(
		c, "sandbox_id", cv_str_of(r->sandbox_id), CV_STR_NONE, false, &box, &err);
	if (s == CV_RPC_OK)
		sandbox = box->object;
	if (s == CV_RPC_OK)
		s = cv_gw_policy_effective(g, sandbox, &arena, &now, &err);
	if (s == CV_RPC_OK && !cv_gw_settings_effective(g, cv_str_of(sandbox->id), &arena, &out)) {
		(void)cv_fail(&err, CV_LIMIT, "no memory");
		s = CV_RPC_INTERNAL;
	}
	if (s == CV_RPC_OK) {
		out.policy = (cv_policy_pb *)(uintptr_t)now.policy;
		out.version = now.version;
		out.policy_hash = now.hash;
		out.policy_source =
			now.global_version
				? OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL
				: OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_SANDBOX;
		out.global_policy_version = now.global_version;
		out.workspace = (char *)(uintptr_t)cv_arena_str(&arena, sandbox->scope).p;
		/* what our proxies do with a policy that they refuse */
		out.policy_validation_failure_mode = (char *)(uintptr_t) "retain_last_valid";
		out.provider_env_revision = cv_gw_env_revision(g, sandbox);
		out.config_revision = fingerprint(&out);
		cv_rpc_reply(c, &out.base);
	} else {
		fail(c, s, &err);
	}
	cv_arena_fini(&arena);
}

static void get_gateway_config(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	Openshell__Sandbox__V1__GetGatewayConfigResponse out;

	(void)m;
	openshell__sandbox__v1__get_gateway_config_response__init(&out);
	if (cv_gw_settings_gateway(cv_gw_of(c), cv_rpc_call_arena(c), &out))
		cv_rpc_reply(c, &out.base);
	else
		cv_rpc_finish(c, CV_RPC_INTERNAL, "no memory");
}

/* ---- revisions ---- */

static Openshell__V1__SandboxPolicyRevision *revision_view(
	const struct cv_object *o, bool has_policy, struct cv_arena *arena)
{
	const stored_revision *r = cv_gw_revision_of(o);
	Openshell__V1__SandboxPolicyRevision *v =
		cv_arena_new(arena, Openshell__V1__SandboxPolicyRevision);

	if (!v)
		return NULL;
	openshell__v1__sandbox_policy_revision__init(v);
	v->version = (uint32_t)r->version;
	v->policy_hash = r->policy_hash;
	v->status = cv_gw_revision_status(r);
	if (r->_load_error_case)
		v->load_error = r->load_error;
	v->created_at_ms = r->created_at_ms;
	v->loaded_at_ms = r->_loaded_at_ms_case ? r->loaded_at_ms : 0;
	if (has_policy)
		v->policy = (cv_policy_pb *)(uintptr_t)cv_gw_revision_policy(o, arena);
	v->provenance = cv_arena_array(arena, r->n_provenance + 1, sizeof(*v->provenance));
	for (size_t i = 0; v->provenance && i < r->n_provenance; i++) {
		Openshell__V1__SandboxPolicyRevision__ProvenanceEntry *e =
			cv_arena_new(arena, Openshell__V1__SandboxPolicyRevision__ProvenanceEntry);

		if (!e)
			return NULL;
		openshell__v1__sandbox_policy_revision__provenance_entry__init(e);
		e->key = r->provenance[i]->key;
		e->value = r->provenance[i]->value;
		v->provenance[v->n_provenance++] = e;
	}
	return arena->is_overflown ? NULL : v;
}

/* The scope of revisions that a request means; NULL object: the gateway's. */
static enum cv_rpc_status revisions_open(const struct cv_rpc_call *c, const char *name,
	const char *workspace, bool is_global, struct cv_arena *arena, struct cv_object **ret,
	struct cv_err *err)
{
	struct cv_gw_revision first;
	enum cv_rpc_status s;

	*ret = NULL;
	if (is_global && !cv_rpc_call_principal(c)->is_admin) {
		(void)cv_fail(err, CV_DENIED, "global policies require the platform admin role");
		return CV_RPC_PERMISSION_DENIED;
	}
	if (is_global)
		return CV_RPC_OK;
	s = cv_gw_policy_sandbox(c, name, workspace, false, ret, err);
	if (s == CV_RPC_OK)
		s = cv_gw_policy_latest(cv_gw_of(c), *ret, arena, &first, err);
	return s;
}

static void get_policy_status(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetSandboxPolicyStatusRequest *r = (const void *)m;
	Openshell__V1__GetSandboxPolicyStatusResponse out;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_object *sandbox, *o = NULL;
	struct cv_err err = { 0 };
	struct cv_arena arena;

	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	openshell__v1__get_sandbox_policy_status_response__init(&out);
	enum cv_rpc_status s =
		revisions_open(c, r->name, r->workspace, r->global, &arena, &sandbox, &err);
	if (s == CV_RPC_OK) {
		const struct cv_str scope = cv_gw_revision_scope(sandbox);

		o = r->version ? cv_gw_revision_find(g, scope, r->version)
			       : cv_gw_revision_latest(g, scope);
		out.active_version =
			sandbox ? cv_gw_policy_active(g, scope) : cv_gw_setting_policy(g);
	}
	if (s == CV_RPC_OK && !o) {
		(void)cv_fail(&err, CV_NOT_FOUND,
			r->version ? "policy revision %u not found" : "no policy revision found",
			r->version);
		s = CV_RPC_NOT_FOUND;
	}
	if (s == CV_RPC_OK)
		out.revision = revision_view(o, true, &arena);
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &out.base);
	else
		fail(c, s, &err);
	cv_arena_fini(&arena);
}

static void list_policies(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ListSandboxPoliciesRequest *r = (const void *)m;
	const size_t limit = r->limit ? CV_MIN(r->limit, LIST_MAX) : LIST_DEFAULT;
	Openshell__V1__ListSandboxPoliciesResponse out;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_object *sandbox;
	struct cv_err err = { 0 };
	struct cv_arena arena;

	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	openshell__v1__list_sandbox_policies_response__init(&out);
	const enum cv_rpc_status s =
		revisions_open(c, r->name, r->workspace, r->global, &arena, &sandbox, &err);
	if (s != CV_RPC_OK) {
		fail(c, s, &err);
		cv_arena_fini(&arena);
		return;
	}
	const struct cv_object_range range = cv_object_scope(
		g->objects, CV_OBJECT_POLICY_REVISION, cv_gw_revision_scope(sandbox));
	out.revisions = cv_arena_array(&arena, limit, sizeof(*out.revisions));
	for (size_t i = range.end - CV_MIN(r->offset, range.end - range.first); /* newest first */
		out.revisions && i-- > range.first && out.n_revisions < limit;) {
		void *v = revision_view(
			cv_object_at(g->objects, CV_OBJECT_POLICY_REVISION, i), false, &arena);

		if (v)
			out.revisions[out.n_revisions++] = v;
	}
	cv_rpc_reply(c, &out.base);
	cv_arena_fini(&arena);
}

static void report_policy_status(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ReportPolicyStatusRequest *r = (const void *)m;
	const bool is_loaded = r->status == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED;
	Openshell__V1__ReportPolicyStatusResponse out;
	struct cv_gateway *g = cv_gw_of(c);
	const struct cv_str id = cv_str_of(r->sandbox_id);

	openshell__v1__report_policy_status_response__init(&out);
	if (!cv_gw_is_own(cv_rpc_call_principal(c), id))
		cv_rpc_finish(c, CV_RPC_PERMISSION_DENIED, "sandbox_id is not the caller's");
	else if (!is_loaded && r->status != OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED)
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "status must be LOADED or FAILED");
	else if (!cv_gw_revision_find(g, id, r->version))
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "policy revision %u not found", r->version);
	else {
		cv_gw_policy_reported(g, id, r->version, is_loaded,
			cv_str_slice(cv_str_of(r->load_error), 0, 4096));
		cv_rpc_reply(c, &out.base);
	}
}

/* ---- the part ---- */

void cv_gw_policy_layer_set(struct cv_gateway *g, cv_gw_layer_fn *layer)
{
	g->policies->layer = layer;
}

void cv_gw_policy_send_set(struct cv_gateway *g, cv_gw_policy_send_fn *send)
{
	g->policies->send = send;
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	g->policies = calloc(1, sizeof(*g->policies));
	if (!g->policies)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_gw_policy_link(g);
	return CV_OK;
}

static void stop(struct cv_gateway *g)
{
	free(g->policies);
	g->policies = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "UpdateConfig", { .message = update_config } },
	{ "GetSandboxConfig", { .message = get_sandbox_config } },
	{ "GetGatewayConfig", { .message = get_gateway_config } },
	{ "GetSandboxPolicyStatus", { .message = get_policy_status } },
	{ "ListSandboxPolicies", { .message = list_policies } },
	{ "ReportPolicyStatus", { .message = report_policy_status } },
};

const struct cv_gw_part cv_gw_part_policy = {
	.name = "policy",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = start,
	.stop = stop,
};
