/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft.c - the rpcs about proposals, and the denials of which proposals are made
 *
 * Denials come one by one from supervisors, and an agent can cause as many as it likes: they are
 * counted in a bounded table and become proposals every DENIALS_FLUSH_MS, one write for each place.
 */
#include "gateway/draft.h"
#include "gateway/draft_int.h"

#include "gateway/access.h"
#include "gateway/pb.h"
#include "rpc/policy_merge.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define DENIALS_MAX         1024       /* places of all sandboxes that wait; others are forgotten */
#define DENIALS_SANDBOX_MAX 64         /* of one, so that none takes the others' */
#define DENIALS_FLUSH_MS    10000      /* openshell-behaviour 3.10 */
#define VIEW_POLICIES_MAX   (2u << 20) /* of policies in an answer: clients take 4 MiB */

struct denial {
	char sandbox_id[CV_OBJECT_ID_BYTES + 1];
	char host[256], binary[1024];
	uint32_t port, hits;
	int64_t first_ms, last_ms;
};

struct cv_gw_drafts {
	struct denial denials[DENIALS_MAX];
	size_t n;
	int64_t flush_ms; /* loop time; 0: nothing waits */
};

static void fail(struct cv_rpc_call *c, enum cv_rpc_status s, const struct cv_err *err)
{
	cv_rpc_finish(c, s, "%s", err->msg);
}

/* A sandbox reaches its own, whatever it calls itself. */
static enum cv_rpc_status sandbox_open(const struct cv_rpc_call *c, const char *name,
	const char *workspace, bool is_change, struct cv_object **ret, struct cv_err *err)
{
	const struct cv_principal *who = cv_rpc_call_principal(c);
	enum cv_rpc_status s;

	if (who->kind != CV_PRINCIPAL_SANDBOX)
		return cv_gw_policy_sandbox(c, name, workspace, is_change, ret, err);
	s = cv_object_get_id(
		cv_gw_of(c)->objects, CV_OBJECT_SANDBOX, cv_str_of(who->sandbox_id), ret, err);
	if (s == CV_RPC_OK && name[0] && !cv_str_eq((*ret)->name, cv_str_of(name)) &&
		strcmp((*ret)->id, name) != 0) {
		(void)cv_fail(err, CV_NOT_FOUND, "sandbox not found");
		return CV_RPC_NOT_FOUND;
	}
	return s;
}

static enum cv_rpc_status chunk_open(const struct cv_rpc_call *c, const char *name,
	const char *workspace, const char *chunk_id, struct cv_object **ret_sandbox,
	struct cv_object **ret, struct cv_err *err)
{
	const enum cv_rpc_status s = sandbox_open(c, name, workspace, true, ret_sandbox, err);

	if (s != CV_RPC_OK)
		return s;
	if (!chunk_id[0])
		return cv_gw_invalid(err, "chunk_id is required");
	*ret = cv_object_find(cv_gw_of(c)->objects, CV_OBJECT_DRAFT_CHUNK,
		cv_str_of((*ret_sandbox)->id), cv_str_of(chunk_id));
	if (*ret)
		return CV_RPC_OK;
	(void)cv_fail(err, CV_NOT_FOUND, "chunk not found");
	return CV_RPC_NOT_FOUND;
}

static enum cv_rpc_status not_state(
	const struct cv_object *o, const char *wanted, struct cv_err *err)
{
	(void)cv_fail(err, CV_DENIED, "chunk is %s, not %s", chunk_of(o)->status, wanted);
	return CV_RPC_FAILED_PRECONDITION;
}

/* ---- coming in ---- */

static bool reason_add(struct cv_arena *arena, Openshell__V1__SubmitPolicyAnalysisResponse *out,
	size_t i, const char *why)
{
	const struct cv_str s = cv_arena_printf(arena, "chunk %zu: %s", i, why);

	if (!s.p)
		return false;
	out->rejection_reasons[out->n_rejection_reasons++] = (char *)(uintptr_t)s.p;
	out->rejected_chunks++;
	return true;
}

static void submit(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__SubmitPolicyAnalysisRequest *r = (const void *)m;
	const bool is_mechanistic = strcmp(r->analysis_mode, "mechanistic") == 0;
	const size_t n = r->n_proposed_chunks;
	Openshell__V1__SubmitPolicyAnalysisResponse out;
	struct cv_arena *arena = cv_rpc_call_arena(c);
	struct cv_object *sandbox;
	struct cv_err err = { 0 };

	openshell__v1__submit_policy_analysis_response__init(&out);
	enum cv_rpc_status s = sandbox_open(c, r->name, r->workspace, true, &sandbox, &err);
	out.rejection_reasons = cv_arena_array(arena, n + 1, sizeof(char *));
	out.accepted_chunk_ids = cv_arena_array(arena, n + 1, sizeof(char *));
	for (size_t i = 0; s == CV_RPC_OK && i < n && !arena->is_overflown; i++) {
		const Openshell__V1__PolicyChunk *k = r->proposed_chunks[i];
		const struct draft_proposal p = { k->rule_name, k->rationale, k->proposed_rule,
			(double)k->confidence, is_mechanistic, k->stage, CV_MAX(k->hit_count, 1),
			k->first_seen_ms, k->last_seen_ms };
		char id[CV_OBJECT_ID_BYTES + 1];

		err.msg[0] = 0;
		s = draft_take(cv_gw_of(c), sandbox, &p, id, &err);
		if (s == CV_RPC_OK && id[0])
			out.accepted_chunk_ids[out.n_accepted_chunk_ids++] =
				(char *)(uintptr_t)cv_arena_str(arena, cv_str_of(id)).p;
		else if (s == CV_RPC_OK && !reason_add(arena, &out, i, err.msg))
			break;
	}
	out.accepted_chunks = (uint32_t)out.n_accepted_chunk_ids;
	if (s == CV_RPC_OK && arena->is_overflown)
		cv_rpc_finish(c, CV_RPC_INTERNAL, "no memory");
	else if (s == CV_RPC_OK)
		cv_rpc_reply(c, &out.base);
	else
		fail(c, s, &err);
}

/* ---- showing ---- */

static void view_fill(Openshell__V1__PolicyChunk *v, const chunk_t *k, struct cv_arena *arena)
{
	v->id = k->id;
	v->status = k->status;
	v->rule_name = k->rule_name;
	v->proposed_rule = draft_rule(k, arena);
	v->rationale = k->rationale;
	v->security_notes = k->security_notes;
	v->confidence = (float)k->confidence;
	v->created_at_ms = k->created_at_ms;
	v->decided_at_ms = k->_decided_at_ms_case ? k->decided_at_ms : 0;
	v->stage = (char *)(uintptr_t) "initial";
	v->hit_count = k->hit_count;
	v->first_seen_ms = k->first_seen_ms;
	v->last_seen_ms = k->last_seen_ms;
	v->binary = k->binary;
	v->validation_result = k->validation_result;
	v->rejection_reason = k->rejection_reason;
	v->application_error = k->application_error;
	v->review_token = k->review_token;
	v->current_effective_policy_hash = k->current_effective_policy_hash;
	v->candidate_effective_policy_hash = k->candidate_effective_policy_hash;
}

static char *kept(struct cv_arena *arena, const char *z)
{
	const struct cv_str s = cv_arena_str(arena, cv_str_of(z));

	return s.p ? (char *)(uintptr_t)s.p : (char *)(uintptr_t) "";
}

/* What it would do now, of one that waits; the policies themselves as long as there is room. */
static enum cv_rpc_status view_effect(struct cv_gateway *g, const struct cv_object *sandbox,
	Openshell__V1__PolicyChunk *v, const chunk_t *k, struct cv_arena *arena, size_t *room,
	struct cv_err *err)
{
	struct draft_effect e;
	const enum cv_rpc_status s = draft_effect(g, sandbox, k, NULL, arena, &e, err);

	if (s != CV_RPC_OK)
		return s;
	v->review_token = kept(arena, e.token);
	v->application_error = kept(arena, e.error);
	v->current_effective_policy_hash = kept(arena, e.was_hash);
	v->candidate_effective_policy_hash = kept(arena, e.is_hash);
	const size_t bytes = protobuf_c_message_get_packed_size(&e.was->base) +
			     (e.is ? protobuf_c_message_get_packed_size(&e.is->base) : 0);
	if (bytes > *room)
		return CV_RPC_OK;
	*room -= bytes;
	v->current_effective_policy = (cv_policy_pb *)(uintptr_t)e.was;
	v->candidate_effective_policy = (cv_policy_pb *)(uintptr_t)e.is;
	return CV_RPC_OK;
}

static enum cv_rpc_status views_fill(struct cv_gateway *g, const struct cv_object *sandbox,
	const char *status, struct cv_arena *arena, Openshell__V1__GetDraftPolicyResponse *out,
	struct cv_err *err)
{
	const struct cv_object_range range =
		cv_object_scope(g->objects, CV_OBJECT_DRAFT_CHUNK, cv_str_of(sandbox->id));
	size_t room = VIEW_POLICIES_MAX;
	enum cv_rpc_status s = CV_RPC_OK;

	out->chunks = cv_arena_array(arena, range.end - range.first + 1, sizeof(*out->chunks));
	for (size_t i = range.first; s == CV_RPC_OK && out->chunks && i < range.end; i++) {
		const struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_DRAFT_CHUNK, i);
		Openshell__V1__PolicyChunk *v;

		if (status[0] && !chunk_is(o, status))
			continue;
		v = cv_arena_new(arena, Openshell__V1__PolicyChunk);
		if (!v)
			break;
		openshell__v1__policy_chunk__init(v);
		view_fill(v, chunk_of(o), arena);
		if (chunk_is(o, "pending"))
			s = view_effect(g, sandbox, v, chunk_of(o), arena, &room, err);
		out->last_analyzed_at_ms =
			CV_MAX(out->last_analyzed_at_ms, chunk_of(o)->last_seen_ms);
		out->chunks[out->n_chunks++] = v;
	}
	if (s == CV_RPC_OK && arena->is_overflown) {
		(void)cv_fail(err, CV_LIMIT, "no memory");
		s = CV_RPC_INTERNAL;
	}
	return s;
}

static int created_cmp(const void *a, const void *b)
{
	const Openshell__V1__PolicyChunk *const *x = a, *const *y = b;

	if ((*x)->created_at_ms != (*y)->created_at_ms)
		return (*x)->created_at_ms < (*y)->created_at_ms ? -1 : 1;
	return strcmp((*x)->id, (*y)->id);
}

static void get_draft(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetDraftPolicyRequest *r = (const void *)m;
	Openshell__V1__GetDraftPolicyResponse out;
	struct cv_object *sandbox;
	struct cv_err err = { 0 };
	struct cv_arena arena;

	cv_arena_init(&arena, 4 * CV_GW_POLICY_ARENA_MAX); /* of each chunk, a candidate */
	openshell__v1__get_draft_policy_response__init(&out);
	enum cv_rpc_status s = sandbox_open(c, r->name, r->workspace, false, &sandbox, &err);
	if (s == CV_RPC_OK)
		s = views_fill(cv_gw_of(c), sandbox, r->status_filter, &arena, &out, &err);
	if (s == CV_RPC_OK) {
		if (out.n_chunks)
			qsort(out.chunks, out.n_chunks, sizeof(*out.chunks), created_cmp);
		out.draft_version = draft_version(cv_gw_of(c), sandbox);
		cv_rpc_reply(c, &out.base);
	} else {
		fail(c, s, &err);
	}
	cv_arena_fini(&arena);
}

static void get_history(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetDraftHistoryRequest *r = (const void *)m;
	Openshell__V1__GetDraftHistoryResponse none;
	struct cv_object *sandbox;
	struct cv_err err = { 0 };
	const enum cv_rpc_status s = sandbox_open(c, r->name, r->workspace, false, &sandbox, &err);

	if (s != CV_RPC_OK) {
		fail(c, s, &err);
		return;
	}
	const struct cv_object *o = draft_history_record(cv_gw_of(c), sandbox);
	openshell__v1__get_draft_history_response__init(&none);
	cv_rpc_reply(c, o ? o->message : &none.base);
}

/* ---- deciding ---- */

static void approve(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ApproveDraftChunkRequest *r = (const void *)m;
	Openshell__V1__ApproveDraftChunkResponse out;
	char hash[CV_POLICY_HASH_BYTES];
	struct cv_object *sandbox, *chunk;
	struct cv_err err = { 0 };

	openshell__v1__approve_draft_chunk_response__init(&out);
	enum cv_rpc_status s =
		chunk_open(c, r->name, r->workspace, r->chunk_id, &sandbox, &chunk, &err);
	if (s == CV_RPC_OK)
		s = draft_approve(cv_gw_of(c), sandbox, chunk, r->review_token, &out.policy_version,
			hash, &err);
	out.policy_hash = hash;
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &out.base);
	else
		fail(c, s, &err);
}

static void reject(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__RejectDraftChunkRequest *r = (const void *)m;
	Openshell__V1__RejectDraftChunkResponse out;
	struct cv_object *sandbox, *chunk;
	struct cv_err err = { 0 };

	openshell__v1__reject_draft_chunk_response__init(&out);
	enum cv_rpc_status s =
		chunk_open(c, r->name, r->workspace, r->chunk_id, &sandbox, &chunk, &err);
	if (s == CV_RPC_OK && !chunk_is(chunk, "pending"))
		s = not_state(chunk, "pending", &err);
	if (s == CV_RPC_OK && !draft_decide(cv_gw_of(c), chunk, "rejected", r->reason)) {
		(void)cv_fail(&err, CV_SYSTEM, "the store refused the change");
		s = CV_RPC_INTERNAL;
	}
	if (s != CV_RPC_OK) {
		fail(c, s, &err);
		return;
	}
	draft_history(cv_gw_of(c), sandbox, "rejected", r->chunk_id, "rule '%.200s'%s%.200s",
		chunk_of(chunk)->rule_name, r->reason[0] ? ": " : "", r->reason);
	cv_rpc_reply(c, &out.base);
}

/* Approvals that were checked, staged one after the other. */
struct batch {
	struct cv_gateway *g;
	struct cv_object *sandbox;
	const Openshell__V1__ApproveAllDraftChunksRequest *r;
	struct cv_arena arena;
	struct cv_object *chunks[DRAFT_PENDING_MAX];
	size_t n;
	const cv_policy_pb *base; /* NULL: as it is */
	uint32_t skipped;
	struct cv_err err;
};

static const char *token_of(const struct batch *b, const chunk_t *k)
{
	for (size_t i = 0; i < b->r->n_approvals; i++)
		if (strcmp(b->r->approvals[i]->chunk_id, k->id) == 0)
			return b->r->approvals[i]->review_token;
	return NULL;
}

static enum cv_rpc_status batch_add(struct batch *b, struct cv_object *o)
{
	const chunk_t *k = chunk_of(o);
	const char *token = token_of(b, k);
	struct draft_effect alone, staged;
	enum cv_rpc_status s;

	if (!token || (k->security_notes[0] && !b->r->include_security_flagged)) {
		b->skipped++;
		return CV_RPC_OK;
	}
	s = draft_effect(b->g, b->sandbox, k, NULL, &b->arena, &alone, &b->err);
	if (s != CV_RPC_OK)
		return s;
	if (strcmp(token, alone.token) != 0) {
		(void)cv_fail(&b->err, CV_DENIED,
			strcmp(token, k->review_token) == 0
				? "proposal inputs changed; fetch proposal %s again and review it"
				: "review token does not match the fetched proposal; fetch proposal "
				  "%s again and review it",
			k->id);
		return CV_RPC_FAILED_PRECONDITION;
	}
	s = draft_effect(b->g, b->sandbox, k, b->base, &b->arena, &staged, &b->err);
	if (s == CV_RPC_OK && !staged.base) {
		(void)cv_fail(&b->err, CV_DENIED, "proposal %s: %.300s", k->id, staged.error);
		s = CV_RPC_FAILED_PRECONDITION;
	}
	if (s != CV_RPC_OK)
		return s;
	b->base = staged.base;
	b->chunks[b->n++] = o;
	return CV_RPC_OK;
}

static enum cv_rpc_status batch_stage(struct batch *b)
{
	const struct cv_object_range range =
		cv_object_scope(b->g->objects, CV_OBJECT_DRAFT_CHUNK, cv_str_of(b->sandbox->id));
	enum cv_rpc_status s = CV_RPC_OK;

	for (size_t i = range.first; s == CV_RPC_OK && i < range.end; i++) {
		struct cv_object *o = cv_object_at(b->g->objects, CV_OBJECT_DRAFT_CHUNK, i);

		if (chunk_is(o, "pending") && b->n < DRAFT_PENDING_MAX)
			s = batch_add(b, o);
	}
	return s;
}

static void approve_all(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct batch b = { .g = cv_gw_of(c), .r = (const void *)m };
	Openshell__V1__ApproveAllDraftChunksResponse out;
	char hash[CV_POLICY_HASH_BYTES] = "";

	cv_arena_init(&b.arena, 4 * CV_GW_POLICY_ARENA_MAX);
	openshell__v1__approve_all_draft_chunks_response__init(&out);
	enum cv_rpc_status s = sandbox_open(c, b.r->name, b.r->workspace, true, &b.sandbox, &b.err);
	if (s == CV_RPC_OK)
		s = batch_stage(&b);
	if (s == CV_RPC_OK && b.base)
		s = cv_gw_policy_put(
			b.g, b.sandbox, b.base, NULL, 0, &out.policy_version, hash, &b.err);
	if (s == CV_RPC_OK) {
		for (size_t i = 0; i < b.n; i++) {
			draft_decide(b.g, b.chunks[i], "approved", NULL);
			draft_history(b.g, b.sandbox, "approved", chunk_of(b.chunks[i])->id,
				"rule '%.200s' is part of revision %u",
				chunk_of(b.chunks[i])->rule_name, out.policy_version);
		}
		out.policy_hash = hash;
		out.chunks_approved = (uint32_t)b.n;
		out.chunks_skipped = b.skipped;
		cv_rpc_reply(c, &out.base);
	} else {
		fail(c, s, &b.err);
	}
	cv_arena_fini(&b.arena);
}

/* ---- changing ---- */

static void edit(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__EditDraftChunkRequest *r = (const void *)m;
	Openshell__V1__EditDraftChunkResponse out;
	struct cv_object *sandbox, *chunk;
	struct cv_err err = { 0 };

	openshell__v1__edit_draft_chunk_response__init(&out);
	enum cv_rpc_status s =
		chunk_open(c, r->name, r->workspace, r->chunk_id, &sandbox, &chunk, &err);
	if (s == CV_RPC_OK && !chunk_is(chunk, "pending"))
		s = not_state(chunk, "pending", &err);
	if (s == CV_RPC_OK)
		s = draft_edit(cv_gw_of(c), sandbox, chunk, r->proposed_rule, &err);
	if (s != CV_RPC_OK) {
		fail(c, s, &err);
		return;
	}
	draft_history(cv_gw_of(c), sandbox, "edited", r->chunk_id, "rule '%.200s'",
		chunk_of(chunk)->rule_name);
	cv_rpc_reply(c, &out.base);
}

static void undo(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__UndoDraftChunkRequest *r = (const void *)m;
	Openshell__V1__UndoDraftChunkResponse out;
	char hash[CV_POLICY_HASH_BYTES] = "";
	struct cv_object *sandbox, *chunk;
	struct cv_err err = { 0 };

	openshell__v1__undo_draft_chunk_response__init(&out);
	enum cv_rpc_status s =
		chunk_open(c, r->name, r->workspace, r->chunk_id, &sandbox, &chunk, &err);
	if (s == CV_RPC_OK && !chunk_is(chunk, "approved"))
		s = not_state(chunk, "approved", &err);
	if (s == CV_RPC_OK)
		s = draft_undo(cv_gw_of(c), sandbox, chunk, &out.policy_version, hash, &err);
	if (s != CV_RPC_OK) {
		fail(c, s, &err);
		return;
	}
	out.policy_hash = hash;
	draft_history(cv_gw_of(c), sandbox, "undone", r->chunk_id,
		"rule '%.200s' is gone in "
		"revision %u",
		chunk_of(chunk)->rule_name, out.policy_version);
	cv_rpc_reply(c, &out.base);
}

static void clear(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ClearDraftChunksRequest *r = (const void *)m;
	Openshell__V1__ClearDraftChunksResponse out;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_object *sandbox;
	struct cv_err err = { 0 };
	enum cv_rpc_status s = sandbox_open(c, r->name, r->workspace, true, &sandbox, &err);

	openshell__v1__clear_draft_chunks_response__init(&out);
	if (s != CV_RPC_OK) {
		fail(c, s, &err);
		return;
	}
	const struct cv_object_range range =
		cv_object_scope(g->objects, CV_OBJECT_DRAFT_CHUNK, cv_str_of(sandbox->id));
	for (size_t i = range.end; s == CV_RPC_OK && i-- > range.first;) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_DRAFT_CHUNK, i);

		if (!chunk_is(o, "pending"))
			continue;
		s = cv_object_delete(g->objects, o, CV_OBJECT_ANY_VERSION, &err);
		out.chunks_cleared += s == CV_RPC_OK;
	}
	if (out.chunks_cleared)
		draft_history(g, sandbox, "cleared", "", "%u proposals", out.chunks_cleared);
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &out.base);
	else
		fail(c, s, &err);
}

/* ---- denials ---- */

void cv_gw_draft_denied(struct cv_gateway *g, struct cv_str sandbox_id, struct cv_str host,
	uint32_t port, struct cv_str binary)
{
	struct cv_gw_drafts *d = g->drafts;
	const int64_t now = cv_clock_unix_ms();
	struct denial *v = NULL;
	size_t own = 0;

	if (!host.n || !binary.n || !port || port > UINT16_MAX)
		return;
	for (size_t i = 0; i < d->n && !v; i++) {
		struct denial *x = &d->denials[i];

		if (!cv_str_eq(cv_str_of(x->sandbox_id), sandbox_id))
			continue;
		own++;
		if (x->port == port && cv_str_eq(cv_str_of(x->host), host) &&
			cv_str_eq(cv_str_of(x->binary), binary))
			v = x;
	}
	if (!v && (d->n >= DENIALS_MAX || own >= DENIALS_SANDBOX_MAX))
		return;
	if (!v) {
		v = &d->denials[d->n];
		*v = (struct denial){ .port = port, .first_ms = now };
		if (!cv_str_to_cstr(sandbox_id, v->sandbox_id, sizeof(v->sandbox_id)) ||
			!cv_str_to_cstr(host, v->host, sizeof(v->host)) ||
			!cv_str_to_cstr(binary, v->binary, sizeof(v->binary)))
			return;
		d->n++;
	}
	v->hits += v->hits < INT32_MAX;
	v->last_ms = now;
	if (!d->flush_ms)
		d->flush_ms = g->loop.now_ms + DENIALS_FLUSH_MS;
}

static void denial_propose(struct cv_gateway *g, struct denial *d)
{
	Openshell__Sandbox__V1__NetworkEndpoint e, *endpoints[] = { &e };
	Openshell__Sandbox__V1__NetworkBinary b, *binaries[] = { &b };
	const struct cv_object *sandbox =
		cv_object_find_id(g->objects, CV_OBJECT_SANDBOX, cv_str_of(d->sandbox_id));
	struct draft_proposal p = { .rule_name = "", .rationale = "", .is_mechanistic = true };
	char id[CV_OBJECT_ID_BYTES + 1];
	struct cv_err err;
	rule_t rule;

	if (!sandbox)
		return;
	openshell__sandbox__v1__network_policy_rule__init(&rule);
	openshell__sandbox__v1__network_endpoint__init(&e);
	openshell__sandbox__v1__network_binary__init(&b);
	rule.endpoints = endpoints;
	rule.binaries = binaries;
	rule.n_endpoints = rule.n_binaries = 1;
	e.host = d->host;
	e.port = d->port;
	b.path = d->binary;
	p.rule = &rule;
	p.hits = (int32_t)d->hits;
	p.first_ms = d->first_ms;
	p.last_ms = d->last_ms;
	(void)!draft_take(g, sandbox, &p, id, &err); /* what may not be proposed is not */
}

static int64_t turn(struct cv_gateway *g)
{
	struct cv_gw_drafts *d = g->drafts;

	if (!d->flush_ms)
		return INT64_MAX;
	if (g->loop.now_ms < d->flush_ms)
		return d->flush_ms;
	for (size_t i = 0; i < d->n; i++)
		denial_propose(g, &d->denials[i]);
	d->n = 0;
	d->flush_ms = 0;
	return INT64_MAX;
}

/* ---- the part ---- */

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	draft_agent_hook(g);
	g->drafts = calloc(1, sizeof(*g->drafts));
	return g->drafts ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
}

static void stop(struct cv_gateway *g)
{
	free(g->drafts);
	g->drafts = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "SubmitPolicyAnalysis", { .message = submit } },
	{ "GetDraftPolicy", { .message = get_draft } },
	{ "GetDraftHistory", { .message = get_history } },
	{ "ApproveDraftChunk", { .message = approve } },
	{ "RejectDraftChunk", { .message = reject } },
	{ "ApproveAllDraftChunks", { .message = approve_all } },
	{ "EditDraftChunk", { .message = edit } },
	{ "UndoDraftChunk", { .message = undo } },
	{ "ClearDraftChunks", { .message = clear } },
};

const struct cv_gw_part cv_gw_part_draft = {
	.name = "draft",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = start,
	.stop = stop,
	.turn = turn,
};
