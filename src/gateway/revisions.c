/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revisions.c - revisions as records, and what of them holds; see policy.h
 *
 * A record is a StoredPolicyRevision under the sandbox's id, or "global", and its number.
 */
#include "gateway/policy.h"
#include "gateway/policy_int.h"

#include "gateway/folder.h"
#include "gateway/pb.h"
#include "policy/findings.h"
#include "rpc/policy_merge.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define GLOBAL_SCOPE CV_STR("global")

static const char *const status_names[] = { "", "pending", "loaded", "failed", "superseded" };

static struct cv_str scope_of(const struct cv_object *sandbox)
{
	return sandbox ? cv_str_of(sandbox->id) : GLOBAL_SCOPE;
}

static enum cv_rpc_status internal(struct cv_err *err, const char *what)
{
	(void)cv_fail(err, CV_SYSTEM, "%s", what);
	return CV_RPC_INTERNAL;
}

/* ---- records ---- */

const stored_revision *cv_gw_revision_of(const struct cv_object *o)
{
	return (const void *)o->message;
}

Openshell__V1__PolicyStatus cv_gw_revision_status(const stored_revision *r)
{
	for (size_t i = 1; i < CV_ARRAY_LEN(status_names); i++)
		if (strcmp(r->status, status_names[i]) == 0)
			return (Openshell__V1__PolicyStatus)i;
	return OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_UNSPECIFIED;
}

struct cv_object *cv_gw_revision_find(
	const struct cv_gateway *g, struct cv_str scope, uint32_t version)
{
	char name[16];

	snprintf(name, sizeof(name), "%010u", version);
	return cv_object_find(g->objects, CV_OBJECT_POLICY_REVISION, scope, cv_str_of(name));
}

struct cv_object *cv_gw_revision_latest(const struct cv_gateway *g, struct cv_str scope)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_POLICY_REVISION, scope);

	return r.end > r.first ? cv_object_at(g->objects, CV_OBJECT_POLICY_REVISION, r.end - 1)
			       : NULL;
}

struct cv_str cv_gw_revision_scope(const struct cv_object *sandbox)
{
	return scope_of(sandbox);
}

const cv_policy_pb *cv_gw_revision_policy(const struct cv_object *o, struct cv_arena *arena)
{
	const ProtobufCBinaryData *b = &cv_gw_revision_of(o)->policy_payload;

	return (const void *)cv_pb_arena_unpack(&openshell__sandbox__v1__sandbox_policy__descriptor,
		(struct cv_str){ (const char *)b->data, b->len }, arena);
}

static void status_set(
	struct cv_gateway *g, struct cv_object *o, Openshell__V1__PolicyStatus s, struct cv_str why)
{
	stored_revision *r = (stored_revision *)(void *)cv_object_copy(o);
	struct cv_err err;

	if (!r)
		return;
	cv_pb_str_set(&r->status, cv_str_of(status_names[s]));
	if (s == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED) {
		r->_loaded_at_ms_case =
			OPENSHELL__V1__STORED_POLICY_REVISION___LOADED_AT_MS_LOADED_AT_MS;
		r->loaded_at_ms = cv_clock_unix_ms();
		why = CV_STR_NONE; /* nor is there one from before */
		if (r->_load_error_case)
			cv_pb_str_set(&r->load_error, why);
	}
	if (why.n) {
		if (!r->_load_error_case)
			r->load_error = (char *)(uintptr_t)protobuf_c_empty_string;
		r->_load_error_case = OPENSHELL__V1__STORED_POLICY_REVISION___LOAD_ERROR_LOAD_ERROR;
		cv_pb_str_set(&r->load_error, why);
	}
	(void)!cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION, &r->base, &err);
}

/* Those that nobody will load any more. */
static void supersede(struct cv_gateway *g, struct cv_str scope)
{
	const struct cv_object_range range =
		cv_object_scope(g->objects, CV_OBJECT_POLICY_REVISION, scope);

	for (size_t i = range.end; i-- > range.first;) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_POLICY_REVISION, i);

		if (cv_gw_revision_status(cv_gw_revision_of(o)) !=
			OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_PENDING)
			break; /* only the newest can be pending */
		status_set(
			g, o, OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_SUPERSEDED, CV_STR_NONE);
	}
}

static void drop_oldest(struct cv_gateway *g, struct cv_str scope)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_POLICY_REVISION, scope);
	struct cv_err err;

	if (r.end - r.first > CV_GW_REVISIONS_MAX)
		(void)!cv_object_delete(g->objects,
			cv_object_at(g->objects, CV_OBJECT_POLICY_REVISION, r.first),
			CV_OBJECT_ANY_VERSION, &err);
}

enum cv_rpc_status cv_gw_revision_add(struct cv_gateway *g, struct cv_str scope,
	const cv_policy_pb *policy, const void *annotations, size_t n,
	Openshell__V1__PolicyStatus status, struct cv_object **ret, struct cv_err *err)
{
	const struct cv_object *last = cv_gw_revision_latest(g, scope);
	const struct cv_pb_entry *const *notes = annotations;
	stored_revision *r = cv_pb_new(&openshell__v1__stored_policy_revision__descriptor);
	char name[16], id[CV_OBJECT_ID_BYTES + 1], hash[CV_POLICY_HASH_BYTES];
	struct cv_buf bytes;

	if (cv_policy_pb_hash(policy, hash, err) != CV_OK) {
		cv_pb_free(r);
		return CV_RPC_INTERNAL;
	}
	cv_object_id_make(id);
	cv_pb_str_set(&r->id, cv_str_of(id));
	cv_pb_str_set(&r->sandbox_id, scope);
	r->version = last ? cv_gw_revision_of(last)->version + 1 : 1;
	cv_pb_str_set(&r->policy_hash, cv_str_of(hash));
	cv_pb_str_set(&r->status, cv_str_of(status_names[status]));
	r->created_at_ms = cv_clock_unix_ms();
	if (status == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED) {
		r->_loaded_at_ms_case =
			OPENSHELL__V1__STORED_POLICY_REVISION___LOADED_AT_MS_LOADED_AT_MS;
		r->loaded_at_ms = r->created_at_ms;
	}
	const size_t size = protobuf_c_message_get_packed_size(&policy->base);
	cv_buf_init(&bytes, CV_POLICY_PB_BYTES_MAX + 1);
	char *at = cv_buf_reserve(&bytes, size ? size : 1);
	if (at) {
		protobuf_c_message_pack(&policy->base, (uint8_t *)at);
		cv_pb_bytes_set(&r->policy_payload, (struct cv_str){ at, size });
	}
	cv_buf_fini(&bytes);
	for (size_t i = 0; i < n; i++)
		cv_pb_map_set(&r->provenance, &r->n_provenance,
			&openshell__v1__stored_policy_revision__provenance_entry__descriptor,
			cv_str_of(notes[i]->key), cv_str_of(notes[i]->value));
	if (!at) {
		cv_pb_free(r);
		return internal(err, "no memory for a policy revision");
	}
	snprintf(name, sizeof(name), "%010u", (uint32_t)r->version);
	supersede(g, scope);
	const enum cv_rpc_status s = cv_object_create_record(
		g->objects, CV_OBJECT_POLICY_REVISION, scope, cv_str_of(name), &r->base, ret, err);
	if (s == CV_RPC_OK)
		drop_oldest(g, scope);
	return s;
}

/* ---- what holds ---- */

static enum cv_rpc_status first_make(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_arena *arena, struct cv_err *err)
{
	const Openshell__V1__Sandbox *s = (const void *)sandbox->message;
	const bool has_own = s->spec && s->spec->policy;
	char key[] = CV_GW_FOLDER_POLICY_KEY;
	struct cv_pb_entry note = { .key = key }, *notes[] = { &note };
	cv_policy_pb none, *policy;
	struct cv_str file = CV_STR_NONE;
	const cv_policy_pb *from =
		has_own ? s->spec->policy : cv_gw_folder_policy(g, sandbox->scope, &file);

	openshell__sandbox__v1__sandbox_policy__init(&none);
	if (cv_policy_pb_canonical(from ? from : &none, arena, &policy, err) != CV_OK)
		return CV_RPC_INVALID_ARGUMENT;
	note.value = (char *)(uintptr_t)file.p;
	/* It is made of what is stored: one that is lost is made again. */
	cv_objects_lazy(g->objects, true);
	const enum cv_rpc_status status = cv_gw_revision_add(g, scope_of(sandbox), policy, notes,
		file.n > 0, OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_PENDING, NULL, err);
	cv_objects_lazy(g->objects, false);
	return status;
}

static enum cv_rpc_status revision_read(const struct cv_object *o, struct cv_arena *arena,
	struct cv_gw_revision *ret, struct cv_err *err)
{
	ret->policy = cv_gw_revision_policy(o, arena);
	if (!ret->policy)
		return internal(err, "a policy revision can't be read");
	ret->version = (uint32_t)cv_gw_revision_of(o)->version;
	snprintf(ret->hash, sizeof(ret->hash), "%s", cv_gw_revision_of(o)->policy_hash);
	return CV_RPC_OK;
}

enum cv_rpc_status cv_gw_policy_latest(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_arena *arena, struct cv_gw_revision *ret, struct cv_err *err)
{
	if (!cv_gw_revision_latest(g, scope_of(sandbox))) {
		const enum cv_rpc_status s = first_make(g, sandbox, arena, err);

		if (s != CV_RPC_OK)
			return s;
	}
	return revision_read(cv_gw_revision_latest(g, scope_of(sandbox)), arena, ret, err);
}

static struct cv_object *global_revision(const struct cv_gateway *g)
{
	const uint32_t version = cv_gw_setting_policy(g);

	return version ? cv_gw_revision_find(g, GLOBAL_SCOPE, version) : NULL;
}

/* Nothing: no layer applies. */
static enum cv_rpc_status layer_text(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_buf *ret, struct cv_err *err)
{
	const cv_setting_value *v =
		sandbox ? cv_gw_setting(g, cv_str_of(sandbox->id), "providers_v2_enabled") : NULL;

	/* Off only if somebody said so: without its layer a provider is good for nothing here. */
	if (!sandbox || !g->policies->layer || (v && !v->bool_value))
		return CV_RPC_OK;
	return g->policies->layer(g, sandbox, ret, err) == CV_OK ? CV_RPC_OK
								 : CV_RPC_FAILED_PRECONDITION;
}

static int entry_cmp(const void *a, const void *b)
{
	const Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry *const *x = a, *const *y =
												 b;

	return strcmp((*x)->key, (*y)->key);
}

enum cv_rpc_status cv_gw_policy_with_layer(struct cv_gateway *g, const struct cv_object *sandbox,
	const cv_policy_pb *base, struct cv_arena *arena, const cv_policy_pb **ret,
	struct cv_err *err)
{
	cv_policy_pb *layer, *both = cv_arena_new(arena, cv_policy_pb);
	struct cv_buf text;

	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	const enum cv_rpc_status s = layer_text(g, sandbox, &text, err);
	const bool has_layer = s == CV_RPC_OK && cv_buf_len(&text) > 0;
	const bool is_good = !has_layer || cv_policy_pb_from_text(CV_STR("providers"),
						   cv_buf_str(&text), arena, &layer, err) == CV_OK;
	cv_buf_fini(&text);
	if (s != CV_RPC_OK || !is_good)
		return s != CV_RPC_OK ? s : CV_RPC_FAILED_PRECONDITION;
	*ret = base;
	if (!has_layer)
		return CV_RPC_OK;
	const size_t n = base->n_network_policies;
	void **v = cv_arena_array(arena, n + layer->n_network_policies + 1, sizeof(void *));
	if (!v || !both)
		return internal(err, "no memory for a policy");
	for (size_t i = 0; i < n; i++)
		v[i] = base->network_policies[i];
	for (size_t i = 0; i < layer->n_network_policies; i++)
		v[n + i] = layer->network_policies[i];
	*both = *base;
	both->network_policies = (void *)v;
	both->n_network_policies = n + layer->n_network_policies;
	qsort(v, both->n_network_policies, sizeof(void *), entry_cmp);
	*ret = both;
	return CV_RPC_OK;
}

enum cv_rpc_status cv_gw_policy_effective(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_arena *arena, struct cv_gw_effective *ret, struct cv_err *err)
{
	const struct cv_object *global = global_revision(g);
	struct cv_gw_revision own;
	enum cv_rpc_status s = cv_gw_policy_latest(g, sandbox, arena, &own, err);

	if (s != CV_RPC_OK)
		return s;
	ret->version = own.version;
	ret->global_version = global ? (uint32_t)cv_gw_revision_of(global)->version : 0;
	if (global) {
		ret->policy = cv_gw_revision_policy(global, arena);
		if (!ret->policy)
			return internal(err, "the global policy can't be read");
	} else {
		s = cv_gw_policy_with_layer(g, sandbox, own.policy, arena, &ret->policy, err);
		if (s != CV_RPC_OK)
			return s;
	}
	return cv_policy_pb_hash(ret->policy, ret->hash, err) == CV_OK ? CV_RPC_OK
								       : CV_RPC_INTERNAL;
}

enum cv_rpc_status cv_gw_policy_texts(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_buf *ret_text, struct cv_buf *ret_layer, uint64_t *ret_revision,
	struct cv_err *err)
{
	const struct cv_object *global = global_revision(g);
	struct cv_gw_revision own;
	struct cv_arena arena;

	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	enum cv_rpc_status s = cv_gw_policy_latest(g, sandbox, &arena, &own, err);
	if (s == CV_RPC_OK && global) {
		s = revision_read(global, &arena, &own, err);
		*ret_revision = CV_GW_POLICY_GLOBAL_BIT | own.version;
	} else if (s == CV_RPC_OK) {
		s = layer_text(g, sandbox, ret_layer, err);
		*ret_revision = own.version;
	}
	if (s == CV_RPC_OK && cv_policy_pb_text(own.policy, ret_text, err) != CV_OK)
		s = CV_RPC_INTERNAL;
	cv_arena_fini(&arena);
	return s;
}

/* ---- changing ---- */

static enum cv_rpc_status findings_say(
	const struct cv_policy_doc *doc, const struct cv_findings *all, struct cv_err *err)
{
	struct cv_findings ambiguous;
	struct cv_err first = { 0 };
	enum cv_rpc_status s = CV_RPC_INVALID_ARGUMENT;

	cv_findings_init(&ambiguous);
	ambiguous.has_no_lines = true;
	if (cv_policy_ambiguity(doc, &ambiguous) != CV_OK &&
		ambiguous.error_count == all->error_count) {
		cv_findings_first(&ambiguous, &first);
		(void)cv_fail(err, CV_DENIED,
			"network endpoint ambiguity validation failed:\n%.400s", first.msg);
		s = CV_RPC_FAILED_PRECONDITION;
	} else {
		cv_findings_first(all, &first);
		(void)cv_fail(err, CV_INVALID, "policy contains unsafe content: %.400s", first.msg);
	}
	cv_findings_fini(&ambiguous);
	return s;
}

static enum cv_rpc_status doc_check(
	const struct cv_policy_doc *doc, struct cv_findings *findings, struct cv_err *err)
{
	struct cv_err first = { 0 };

	if (cv_policy_validate(doc, findings) != CV_OK)
		return findings_say(doc, findings, err);
	if (cv_policy_preflight(doc, err) != CV_OK)
		return CV_RPC_FAILED_PRECONDITION;
	if (cv_policy_enforceable(doc, findings) != CV_OK) {
		cv_findings_first(findings, &first);
		(void)cv_fail(err, CV_INVALID, "this gateway can't enforce the policy: %.400s",
			first.msg);
		return CV_RPC_FAILED_PRECONDITION;
	}
	return CV_RPC_OK;
}

static enum cv_rpc_status whole_check(struct cv_gateway *g, const struct cv_object *sandbox,
	const cv_policy_pb *is, struct cv_err *err)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings findings;
	struct cv_buf text, layer;
	enum cv_rpc_status s;

	cv_findings_init(&findings);
	findings.has_no_lines = true;
	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_buf_init(&layer, CV_POLICY_PB_TEXT_BYTES_MAX);
	s = layer_text(g, sandbox, &layer, err);
	if (s == CV_RPC_OK && cv_policy_pb_text(is, &text, err) != CV_OK)
		s = CV_RPC_INVALID_ARGUMENT;
	if (s == CV_RPC_OK && cv_policy_load_layered(CV_STR("policy"), cv_buf_str(&text),
				      cv_buf_str(&layer), &doc, &findings) != CV_OK) {
		cv_findings_first(&findings, err);
		s = CV_RPC_INVALID_ARGUMENT;
	}
	if (s == CV_RPC_OK)
		s = doc_check(doc, &findings, err);
	cv_policy_doc_free(doc);
	cv_buf_fini(&layer);
	cv_buf_fini(&text);
	cv_findings_fini(&findings);
	return s;
}

static bool is_stopped(const struct cv_object *sandbox)
{
	const Openshell__V1__Sandbox *s = (const void *)sandbox->message;

	return s->status && s->status->phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED;
}

enum cv_rpc_status cv_gw_policy_check(struct cv_gateway *g, const struct cv_object *sandbox,
	const cv_policy_pb *was, const cv_policy_pb *is, struct cv_err *err)
{
	for (size_t i = 0; i < is->n_network_policies; i++)
		if (cv_str_has_prefix(cv_str_of(is->network_policies[i]->key),
			    CV_STR(CV_POLICY_PROVIDER_PREFIX))) {
			(void)cv_fail(err, CV_INVALID,
				"network policy name '%.100s' is reserved: names that begin with "
				"'%s' belong to providers",
				is->network_policies[i]->key, CV_POLICY_PROVIDER_PREFIX);
			return CV_RPC_INVALID_ARGUMENT;
		}
	if (was && sandbox && !is_stopped(sandbox) && cv_policy_static_check(was, is, err) != CV_OK)
		return CV_RPC_INVALID_ARGUMENT;
	return whole_check(g, sandbox, is, err);
}

enum cv_rpc_status cv_gw_policy_is_own(const struct cv_gateway *g, struct cv_err *err)
{
	if (!cv_gw_setting_policy(g))
		return CV_RPC_OK;
	(void)cv_fail(err, CV_DENIED,
		"policy is managed globally; delete the global policy before changing a sandbox's");
	return CV_RPC_FAILED_PRECONDITION;
}

void cv_gw_policy_push(struct cv_gateway *g, const struct cv_object *sandbox)
{
	struct cv_buf text, layer;
	struct cv_err err;
	uint64_t revision;

	if (!g->policies->send)
		return;
	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_buf_init(&layer, CV_POLICY_PB_TEXT_BYTES_MAX);
	if (cv_gw_policy_texts(g, sandbox, &text, &layer, &revision, &err) == CV_RPC_OK)
		g->policies->send(g, sandbox, revision, cv_buf_str(&text), cv_buf_str(&layer));
	cv_buf_fini(&layer);
	cv_buf_fini(&text);
}

enum cv_rpc_status cv_gw_policy_put(struct cv_gateway *g, const struct cv_object *sandbox,
	const cv_policy_pb *policy, const void *annotations, size_t annotation_count,
	uint32_t *ret_version, char ret_hash[CV_POLICY_HASH_BYTES], struct cv_err *err)
{
	struct cv_object *o = cv_gw_revision_latest(g, scope_of(sandbox));

	if (cv_policy_pb_hash(policy, ret_hash, err) != CV_OK)
		return CV_RPC_INTERNAL;
	if (o && !annotation_count && strcmp(cv_gw_revision_of(o)->policy_hash, ret_hash) == 0) {
		*ret_version = (uint32_t)cv_gw_revision_of(o)->version;
		return CV_RPC_OK;
	}
	const enum cv_rpc_status s =
		cv_gw_revision_add(g, scope_of(sandbox), policy, annotations, annotation_count,
			sandbox ? OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_PENDING
				: OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED,
			&o, err);
	if (s != CV_RPC_OK)
		return s;
	*ret_version = (uint32_t)cv_gw_revision_of(o)->version;
	if (sandbox)
		cv_gw_policy_push(g, sandbox);
	return CV_RPC_OK;
}

/* A supervisor that dials says it again. */
static void status_report(
	struct cv_gateway *g, struct cv_object *o, Openshell__V1__PolicyStatus s, struct cv_str why)
{
	cv_objects_lazy(g->objects, true);
	status_set(g, o, s, why);
	cv_objects_lazy(g->objects, false);
}

void cv_gw_policy_reported(struct cv_gateway *g, struct cv_str sandbox_id, uint64_t revision,
	bool is_loaded, struct cv_str why)
{
	struct cv_object *o = revision <= UINT32_MAX
				      ? cv_gw_revision_find(g, sandbox_id, (uint32_t)revision)
				      : NULL; /* the global policy has no status of its own here */

	if (!o)
		return;
	const Openshell__V1__PolicyStatus now = cv_gw_revision_status(cv_gw_revision_of(o));
	if (now == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_PENDING ||
		(is_loaded && now == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED))
		status_report(g, o,
			is_loaded ? OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED
				  : OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED,
			why);
}

uint32_t cv_gw_policy_active(const struct cv_gateway *g, struct cv_str sandbox_id)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_POLICY_REVISION, sandbox_id);

	for (size_t i = r.end; i-- > r.first;) {
		const stored_revision *v =
			cv_gw_revision_of(cv_object_at(g->objects, CV_OBJECT_POLICY_REVISION, i));

		if (cv_gw_revision_status(v) == OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED)
			return (uint32_t)v->version;
	}
	return 0;
}

static void scope_delete(struct cv_gateway *g, enum cv_object_kind kind, struct cv_str scope)
{
	struct cv_object_range r;
	struct cv_err err;

	while (r = cv_object_scope(g->objects, kind, scope), r.end > r.first)
		if (cv_object_delete(g->objects, cv_object_at(g->objects, kind, r.end - 1),
			    CV_OBJECT_ANY_VERSION, &err) != CV_RPC_OK)
			return; /* the store is gone; what is left is found again at no place */
}

void cv_gw_policy_forget(struct cv_gateway *g, struct cv_str sandbox_id)
{
	scope_delete(g, CV_OBJECT_POLICY_REVISION, sandbox_id);
	scope_delete(g, CV_OBJECT_DRAFT_CHUNK, sandbox_id);
	scope_delete(g, CV_OBJECT_DRAFT_HISTORY, sandbox_id);
	cv_gw_settings_forget(g, sandbox_id);
}
