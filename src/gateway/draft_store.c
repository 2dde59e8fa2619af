/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft_store.c - proposals as records: what they would do, how they come in and are decided
 */
#include "gateway/draft_int.h"

#include "base/hex.h"
#include "gateway/draft_notes.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "rpc/policy_merge.h"
#include "sys/clock.h"

#include <stdarg.h>
#include <stdio.h>

typedef Openshell__V1__GetDraftHistoryResponse history_t;

/* ---- history, whose version is the draft's ---- */

struct cv_object *draft_history_record(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	return cv_object_find(
		g->objects, CV_OBJECT_DRAFT_HISTORY, cv_str_of(sandbox->id), CV_STR("history"));
}

uint64_t draft_version(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const struct cv_object *o = draft_history_record(g, sandbox);

	return o ? o->version : 0;
}

void draft_history(struct cv_gateway *g, const struct cv_object *sandbox, const char *event,
	const char *chunk_id, const char *fmt, ...)
{
	struct cv_object *o = draft_history_record(g, sandbox);
	history_t *h = o ? (history_t *)(void *)cv_object_copy(o)
			 : cv_pb_new(&openshell__v1__get_draft_history_response__descriptor);
	Openshell__V1__DraftHistoryEntry *e =
		cv_pb_new(&openshell__v1__draft_history_entry__descriptor);
	char text[512];
	struct cv_err err;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->timestamp_ms = cv_clock_unix_ms();
	cv_pb_str_set(&e->event_type, cv_str_of(event));
	cv_pb_str_set(&e->description, cv_str_of(text));
	cv_pb_str_set(&e->chunk_id, cv_str_of(chunk_id));
	cv_pb_append(&h->entries, &h->n_entries, e);
	while (h->n_entries > DRAFT_HISTORY_MAX)
		cv_pb_free(cv_pb_take(&h->entries, &h->n_entries, 0));
	cv_log(CV_LOG_INFO, "draft",
		CV_LOG_FIELDS({ "sandbox", sandbox->name }, { "event", cv_str_of(event) },
			{ "chunk", cv_str_of(chunk_id) }),
		"%s", text);
	if (o)
		(void)!cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION, &h->base, &err);
	else
		(void)!cv_object_create_record(g->objects, CV_OBJECT_DRAFT_HISTORY,
			cv_str_of(sandbox->id), CV_STR("history"), &h->base, NULL, &err);
}

/* ---- what a proposal would do ---- */

rule_t *draft_rule(const chunk_t *k, struct cv_arena *arena)
{
	return (rule_t *)cv_pb_arena_unpack(
		&openshell__sandbox__v1__network_policy_rule__descriptor,
		(struct cv_str){ (const char *)k->proposed_rule.data, k->proposed_rule.len },
		arena);
}

static cv_code rule_merge(const cv_policy_pb *base, const chunk_t *k, rule_t *rule,
	struct cv_arena *arena, cv_policy_pb **ret, struct cv_err *err)
{
	Openshell__V1__PolicyMergeOperation op, *ops[] = { &op };
	Openshell__V1__AddNetworkRule add;

	openshell__v1__policy_merge_operation__init(&op);
	openshell__v1__add_network_rule__init(&add);
	op.operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_RULE;
	op.add_rule = &add;
	add.rule_name = k->rule_name;
	add.rule = rule;
	return cv_policy_merge(base, ops, 1, arena, ret, err);
}

static void token_make(const chunk_t *k, struct draft_effect *e)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 s;

	cv_sha256_init(&s);
	cv_sha256_update(&s, k->id, strlen(k->id) + 1);
	cv_sha256_update(&s, k->rule_name, strlen(k->rule_name) + 1);
	cv_sha256_update(&s, k->proposed_rule.data, k->proposed_rule.len);
	cv_sha256_update(&s, e->was_hash, sizeof(e->was_hash));
	cv_sha256_update(&s, e->is_hash, sizeof(e->is_hash));
	cv_sha256_final(&s, digest);
	cv_hex_text(digest, sizeof(digest), e->token);
}

enum cv_rpc_status draft_effect(struct cv_gateway *g, const struct cv_object *sandbox,
	const chunk_t *k, const cv_policy_pb *on, struct cv_arena *arena, struct draft_effect *ret,
	struct cv_err *err)
{
	rule_t *rule = draft_rule(k, arena);
	struct cv_err why = { 0 };
	struct cv_gw_effective now;
	struct cv_gw_revision own;
	cv_policy_pb *base;

	*ret = (struct draft_effect){ 0 };
	enum cv_rpc_status s = cv_gw_policy_effective(g, sandbox, arena, &now, err);
	if (s == CV_RPC_OK)
		s = cv_gw_policy_latest(g, sandbox, arena, &own, err);
	if (s != CV_RPC_OK)
		return s;
	ret->was = now.policy;
	snprintf(ret->was_hash, sizeof(ret->was_hash), "%s", now.hash);
	if (cv_gw_policy_is_own(g, &why) == CV_RPC_OK && rule &&
		rule_merge(on ? on : own.policy, k, rule, arena, &base, &why) == CV_OK &&
		cv_gw_policy_check(g, sandbox, own.policy, base, &why) == CV_RPC_OK &&
		cv_gw_policy_with_layer(g, sandbox, base, arena, &ret->is, &why) == CV_RPC_OK &&
		cv_policy_pb_hash(ret->is, ret->is_hash, &why) == CV_OK) {
		ret->base = base;
	} else {
		ret->is = NULL;
		snprintf(ret->error, sizeof(ret->error), "%s",
			why.msg[0] ? why.msg : "the rule can't be read");
	}
	token_make(k, ret);
	return CV_RPC_OK;
}

/* ---- deciding ---- */

bool draft_decide(struct cv_gateway *g, struct cv_object *o, const char *status, const char *reason)
{
	chunk_t *k = (chunk_t *)(void *)cv_object_copy(o);
	struct cv_err err;

	if (!k)
		return false;
	cv_pb_str_set(&k->status, cv_str_of(status));
	if (reason)
		cv_pb_str_set(
			&k->rejection_reason, cv_str_slice(cv_str_of(reason), 0, DRAFT_TEXT_MAX));
	if (strcmp(status, "pending") == 0) {
		k->_decided_at_ms_case = OPENSHELL__V1__STORED_DRAFT_CHUNK___DECIDED_AT_MS__NOT_SET;
	} else {
		k->_decided_at_ms_case =
			OPENSHELL__V1__STORED_DRAFT_CHUNK___DECIDED_AT_MS_DECIDED_AT_MS;
		k->decided_at_ms = cv_clock_unix_ms();
	}
	return cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION, &k->base, &err) == CV_RPC_OK;
}

static enum cv_rpc_status stale(
	const struct cv_object *chunk, const char *token, struct cv_err *err)
{
	if (token[0] && strcmp(token, chunk_of(chunk)->review_token) == 0)
		(void)cv_fail(err, CV_DENIED,
			"proposal inputs changed; fetch the proposal again and review it");
	else
		(void)cv_fail(err, CV_DENIED,
			"review token does not match the fetched proposal; fetch the proposal again "
			"and review it");
	return CV_RPC_FAILED_PRECONDITION;
}

enum cv_rpc_status draft_approve(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_object *chunk, const char *token, uint32_t *ret_version,
	char ret_hash[CV_POLICY_HASH_BYTES], struct cv_err *err)
{
	struct draft_effect e;
	struct cv_arena arena;

	if (!chunk_is(chunk, "pending")) {
		(void)cv_fail(err, CV_DENIED, "chunk is %s, not pending", chunk_of(chunk)->status);
		return CV_RPC_FAILED_PRECONDITION;
	}
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	enum cv_rpc_status s = draft_effect(g, sandbox, chunk_of(chunk), NULL, &arena, &e, err);
	if (s == CV_RPC_OK && strcmp(token, e.token) != 0) {
		s = stale(chunk, token, err);
	} else if (s == CV_RPC_OK && !e.base) {
		(void)cv_fail(err, CV_DENIED, "%s", e.error);
		s = CV_RPC_FAILED_PRECONDITION;
	}
	if (s == CV_RPC_OK)
		s = cv_gw_policy_put(g, sandbox, e.base, NULL, 0, ret_version, ret_hash, err);
	if (s == CV_RPC_OK) {
		draft_decide(g, chunk, "approved", NULL);
		draft_history(g, sandbox, "approved", chunk_of(chunk)->id,
			"rule '%.200s' is part of revision %u", chunk_of(chunk)->rule_name,
			*ret_version);
	}
	cv_arena_fini(&arena);
	return s;
}

/* ---- coming in ---- */

static bool same_key(const chunk_t *a, const chunk_t *b)
{
	return a->port == b->port && strcmp(a->binary, b->binary) == 0 &&
	       cv_str_eq_nocase(cv_str_of(a->host), cv_str_of(b->host));
}

/* Another of the same host, port and binary that waits. */
static struct cv_object *pending_find(
	struct cv_gateway *g, const struct cv_object *sandbox, const chunk_t *like)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_DRAFT_CHUNK, cv_str_of(sandbox->id));

	for (size_t i = r.first; i < r.end; i++) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_DRAFT_CHUNK, i);

		if (chunk_is(o, "pending") && same_key(chunk_of(o), like) &&
			strcmp(chunk_of(o)->id, like->id) != 0)
			return o;
	}
	return NULL;
}

static bool has_room(struct cv_gateway *g, const struct cv_object *sandbox)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_DRAFT_CHUNK, cv_str_of(sandbox->id));
	struct cv_object *oldest = NULL;
	size_t pending = 0;
	struct cv_err err;

	for (size_t i = r.first; i < r.end; i++) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_DRAFT_CHUNK, i);

		if (chunk_is(o, "pending"))
			pending++;
		else if (!oldest || chunk_of(o)->created_at_ms < chunk_of(oldest)->created_at_ms)
			oldest = o;
	}
	if (r.end - r.first >= DRAFT_KEPT_MAX && oldest)
		(void)!cv_object_delete(g->objects, oldest, CV_OBJECT_ANY_VERSION, &err);
	return pending < DRAFT_PENDING_MAX;
}

/* The rule in its one spelling, and its key. */
static cv_code chunk_fill(
	chunk_t *k, const struct draft_proposal *p, struct cv_arena *arena, struct cv_err *err)
{
	Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry entry, *entries[] = { &entry };
	cv_policy_pb alone, *canonical;
	char name[CV_POLICY_RULE_NAME_BYTES], id[CV_OBJECT_ID_BYTES + 1];
	struct cv_buf notes;

	openshell__sandbox__v1__sandbox_policy__init(&alone);
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(&entry);
	if (!p->rule || !p->rule->n_endpoints)
		return cv_fail(err, CV_INVALID, "proposed_rule has no endpoint");
	if (!(p->confidence >= 0 && p->confidence <= 1)) /* nor NaN */
		return cv_fail(err, CV_INVALID, "confidence must be between 0 and 1");
	alone.network_policies = entries;
	alone.n_network_policies = 1;
	cv_policy_rule_name(p->rule->endpoints[0]->host,
		p->rule->endpoints[0]->n_ports ? p->rule->endpoints[0]->ports[0]
					       : p->rule->endpoints[0]->port,
		name);
	entry.key = (char *)(uintptr_t)(p->rule_name[0] ? p->rule_name : name);
	entry.value = (rule_t *)(uintptr_t)p->rule;
	if (cv_str_has_prefix(cv_str_of(entry.key), CV_STR(CV_POLICY_PROVIDER_PREFIX)))
		return cv_fail(err, CV_INVALID, "rule names that begin with '%s' are reserved",
			CV_POLICY_PROVIDER_PREFIX);
	cv_code code = cv_policy_pb_canonical(&alone, arena, &canonical, err);
	if (code != CV_OK)
		return code;
	rule_t *rule = canonical->network_policies[0]->value;
	code = cv_draft_refuse(rule, err);
	if (code != CV_OK)
		return code;
	const size_t n = protobuf_c_message_get_packed_size(&rule->base);
	uint8_t *bytes = cv_arena_alloc(arena, n + 1);
	if (!bytes)
		return cv_fail(err, CV_LIMIT, "no memory");
	protobuf_c_message_pack(&rule->base, bytes);
	cv_pb_bytes_set(&k->proposed_rule, (struct cv_str){ (const char *)bytes, n });
	cv_object_id_make(id);
	cv_pb_str_set(&k->id, cv_str_of(id));
	cv_pb_str_set(&k->rule_name, cv_str_of(entry.key));
	cv_pb_str_set(&k->host, cv_str_of(rule->endpoints[0]->host));
	k->port = (int32_t)rule->endpoints[0]->ports[0];
	cv_pb_str_set(
		&k->binary, rule->n_binaries ? cv_str_of(rule->binaries[0]->path) : CV_STR_NONE);
	cv_buf_init(&notes, 4096);
	cv_draft_notes(rule, &notes);
	cv_pb_str_set(&k->security_notes, cv_buf_str(&notes));
	cv_buf_fini(&notes);
	return CV_OK;
}

static enum cv_rpc_status fold_into(struct cv_gateway *g, struct cv_object *o,
	const struct draft_proposal *p, char ret_id[CV_OBJECT_ID_BYTES + 1], struct cv_err *err)
{
	chunk_t *k = (chunk_t *)(void *)cv_object_copy(o);

	if (!k) {
		(void)cv_fail(err, CV_LIMIT, "no memory");
		return CV_RPC_INTERNAL;
	}
	k->hit_count = (int32_t)CV_MIN((int64_t)k->hit_count + p->hits, INT32_MAX);
	k->last_seen_ms = CV_MAX(k->last_seen_ms, p->last_ms);
	snprintf(ret_id, CV_OBJECT_ID_BYTES + 1, "%s", k->id);
	return cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION, &k->base, err);
}

static void supersede(struct cv_gateway *g, const struct cv_object *sandbox, const chunk_t *by)
{
	struct cv_object *old;
	char reason[96];

	snprintf(reason, sizeof(reason), "superseded by %s", by->id);
	while ((old = pending_find(g, sandbox, by)) != NULL) {
		if (!draft_decide(g, old, "rejected", reason))
			return;
		draft_history(g, sandbox, "rejected", chunk_of(old)->id, "%s", reason);
	}
}

static bool is_auto(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const cv_setting_value *v =
		cv_gw_setting(g, cv_str_of(sandbox->id), "proposal_approval_mode");

	return v && v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE &&
	       strcmp(v->string_value, "auto") == 0;
}

/* Whether the layer of providers is there for an endpoint of the rule: then somebody looks at it. */
static bool reaches_credentials(const struct draft_effect *e, const rule_t *rule)
{
	for (size_t i = 0; e->is && i < e->is->n_network_policies; i++) {
		const Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry *n =
			e->is->network_policies[i];

		if (!cv_str_has_prefix(cv_str_of(n->key), CV_STR(CV_POLICY_PROVIDER_PREFIX)))
			continue;
		for (size_t a = 0; a < n->value->n_endpoints; a++)
			for (size_t b = 0; b < rule->n_endpoints; b++)
				if (cv_str_eq_nocase(cv_str_of(n->value->endpoints[a]->host),
					    cv_str_of(rule->endpoints[b]->host)))
					return true;
	}
	return false;
}

/* Fills what depends on the policy as it is; says whether a machine may approve it. */
static enum cv_rpc_status chunk_judge(struct cv_gateway *g, const struct cv_object *sandbox,
	chunk_t *k, struct cv_arena *arena, bool *ret_is_clean, struct cv_err *err)
{
	const rule_t *rule = draft_rule(k, arena);
	struct draft_effect e;
	const enum cv_rpc_status s = draft_effect(g, sandbox, k, NULL, arena, &e, err);

	if (s != CV_RPC_OK)
		return s;
	const bool has_reach = rule && reaches_credentials(&e, rule);
	cv_pb_str_set(&k->application_error, cv_str_of(e.error));
	cv_pb_str_set(&k->review_token, cv_str_of(e.token));
	cv_pb_str_set(&k->current_effective_policy_hash, cv_str_of(e.was_hash));
	cv_pb_str_set(&k->candidate_effective_policy_hash, cv_str_of(e.is_hash));
	cv_pb_str_set(&k->validation_result,
		!e.base     ? CV_STR("cannot be merged")
		: has_reach ? CV_STR("credential_reach_expansion: a credentialed host becomes "
				     "reachable in another way")
			    : CV_STR("no new findings"));
	*ret_is_clean = e.base && !has_reach && !k->security_notes[0];
	return CV_RPC_OK;
}

enum cv_rpc_status draft_take(struct cv_gateway *g, const struct cv_object *sandbox,
	const struct draft_proposal *p, char ret_id[CV_OBJECT_ID_BYTES + 1], struct cv_err *err)
{
	chunk_t *k = cv_pb_new(&openshell__v1__stored_draft_chunk__descriptor);
	struct cv_object *o = NULL;
	struct cv_arena arena;
	enum cv_rpc_status s = CV_RPC_OK;
	bool is_clean = false;
	chunk_t *stored;

	ret_id[0] = 0;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	if (chunk_fill(k, p, &arena, err) != CV_OK)
		goto out; /* refused */
	if (p->is_mechanistic && (o = pending_find(g, sandbox, k)) != NULL) {
		s = fold_into(g, o, p, ret_id, err);
		goto out;
	}
	if (!has_room(g, sandbox)) {
		(void)cv_fail(err, CV_LIMIT, "%d proposals are pending already", DRAFT_PENDING_MAX);
		goto out;
	}
	cv_pb_str_set(&k->sandbox_id, cv_str_of(sandbox->id));
	cv_pb_str_set(&k->status, CV_STR("pending"));
	cv_pb_str_set(&k->rationale, cv_str_slice(cv_str_of(p->rationale), 0, DRAFT_TEXT_MAX));
	k->confidence = p->is_mechanistic ? 0 : p->confidence;
	k->created_at_ms = cv_clock_unix_ms();
	k->hit_count = CV_MAX(p->hits, 1);
	k->first_seen_ms = p->first_ms ? p->first_ms : k->created_at_ms;
	k->last_seen_ms = p->last_ms ? p->last_ms : k->created_at_ms;
	k->draft_version = (int64_t)draft_version(g, sandbox) + 1;
	s = chunk_judge(g, sandbox, k, &arena, &is_clean, err);
	if (s != CV_RPC_OK)
		goto out;
	if (!p->is_mechanistic)
		supersede(g, sandbox, k);
	snprintf(ret_id, CV_OBJECT_ID_BYTES + 1, "%s", k->id);
	stored = k;
	k = NULL; /* taken */
	s = cv_object_create_record(g->objects, CV_OBJECT_DRAFT_CHUNK, cv_str_of(sandbox->id),
		cv_str_of(ret_id), &stored->base, &o, err);
	if (s != CV_RPC_OK)
		goto out;
	draft_history(g, sandbox, p->is_mechanistic ? "denial_detected" : "analysis_cycle", ret_id,
		"%.200s:%d for %.200s", chunk_of(o)->host, chunk_of(o)->port, chunk_of(o)->binary);
	if (is_clean && !p->is_mechanistic && is_auto(g, sandbox)) {
		char hash[CV_POLICY_HASH_BYTES], token[DRAFT_TOKEN_BYTES];
		uint32_t version;

		snprintf(token, sizeof(token), "%s", chunk_of(o)->review_token);
		(void)!draft_approve(
			g, sandbox, o, token, &version, hash, err); /* it stays pending */
	}
out:
	cv_pb_free(k);
	cv_arena_fini(&arena);
	return s;
}

/* ---- changing ---- */

enum cv_rpc_status draft_edit(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_object *chunk, const rule_t *rule, struct cv_err *err)
{
	chunk_t *k = (chunk_t *)(void *)cv_object_copy(chunk);
	const struct draft_proposal p = { .rule_name = chunk_of(chunk)->rule_name, .rule = rule };
	enum cv_rpc_status s = CV_RPC_INVALID_ARGUMENT;
	struct cv_arena arena;
	bool is_clean;

	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	if (k && chunk_fill(k, &p, &arena, err) == CV_OK) {
		cv_pb_str_set(&k->id, chunk->name); /* it stays the same proposal */
		s = chunk_judge(g, sandbox, k, &arena, &is_clean, err);
	}
	cv_arena_fini(&arena);
	if (s == CV_RPC_OK)
		return cv_object_write(g->objects, chunk, CV_OBJECT_ANY_VERSION, &k->base, err);
	cv_pb_free(k);
	return s;
}

/* The key of a rule that is nothing but this one. */
static const char *rule_find(const cv_policy_pb *m, const rule_t *rule)
{
	for (size_t i = 0; i < m->n_network_policies; i++) {
		const rule_t *x = m->network_policies[i]->value;
		rule_t like = *rule;

		like.name = x->name; /* a second rule of a name has another */
		if (cv_pb_eq(x, &like))
			return m->network_policies[i]->key;
	}
	return NULL;
}

enum cv_rpc_status draft_undo(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_object *chunk, uint32_t *ret_version, char ret_hash[CV_POLICY_HASH_BYTES],
	struct cv_err *err)
{
	Openshell__V1__PolicyMergeOperation op, *ops[] = { &op };
	Openshell__V1__RemoveNetworkRule remove;
	struct cv_gw_revision own;
	struct cv_arena arena;
	cv_policy_pb *is;

	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	openshell__v1__policy_merge_operation__init(&op);
	openshell__v1__remove_network_rule__init(&remove);
	op.operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_RULE;
	op.remove_rule = &remove;
	enum cv_rpc_status s = cv_gw_policy_is_own(g, err);
	if (s == CV_RPC_OK)
		s = cv_gw_policy_latest(g, sandbox, &arena, &own, err);
	const rule_t *rule = s == CV_RPC_OK ? draft_rule(chunk_of(chunk), &arena) : NULL;
	const char *key = rule ? rule_find(own.policy, rule) : NULL;
	if (s == CV_RPC_OK && !key) {
		(void)cv_fail(err, CV_DENIED,
			"the policy does not have the rule as it was approved: it was folded into "
			"another or changed since; change the policy instead");
		s = CV_RPC_FAILED_PRECONDITION;
	}
	if (s == CV_RPC_OK) {
		remove.rule_name = (char *)(uintptr_t)key;
		if (cv_policy_merge(own.policy, ops, 1, &arena, &is, err) != CV_OK)
			s = CV_RPC_FAILED_PRECONDITION;
	}
	if (s == CV_RPC_OK)
		s = cv_gw_policy_check(g, sandbox, own.policy, is, err);
	if (s == CV_RPC_OK)
		s = cv_gw_policy_put(g, sandbox, is, NULL, 0, ret_version, ret_hash, err);
	if (s == CV_RPC_OK)
		draft_decide(g, chunk, "pending", NULL);
	cv_arena_fini(&arena);
	return s;
}
