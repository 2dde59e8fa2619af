/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_rule.c - rules that were proposed, by an agent or from denials, and what becomes of them
 *
 * An approval carries the token of what was shown: when a proposal's inputs changed since, the gateway
 * refuses, and nothing is approved unseen.
 */
#include "client/commands.h"
#include "client/sandbox.h"

#include <string.h>

typedef Openshell__V1__PolicyChunk chunk;

static Openshell__V1__GetDraftPolicyResponse *drafts(
	struct cl *c, const char *name, const char *status)
{
	Openshell__V1__GetDraftPolicyRequest in;

	openshell__v1__get_draft_policy_request__init(&in);
	in.name = cl_dup(c, name);
	in.status_filter = cl_dup(c, status);
	in.workspace = cl_dup(c, c->workspace);
	return CL_ASK(c, GetDraftPolicy, in, GetDraftPolicyResponse, get_draft_policy_response);
}

static const char *endpoints_text(struct cl *c, const chunk *k)
{
	const char *all = "";

	for (size_t i = 0; k->proposed_rule && i < k->proposed_rule->n_endpoints; i++) {
		const Openshell__Sandbox__V1__NetworkEndpoint *e = k->proposed_rule->endpoints[i];
		const uint32_t port = e->n_ports ? e->ports[0] : e->port;

		all = cl_print(c, "%s%s%s:%u", all, i ? ", " : "", e->host, port);
	}
	return *all ? all : "-";
}

static void chunk_text(struct cl *c, const chunk *k)
{
	printf("\nChunk: %s\n", cl_shown(c, k->id));
	cl_label(c, "Status:", cl_shown(c, k->status));
	cl_label(c, "Rule:", cl_shown(c, k->rule_name));
	cl_label(c, "Endpoints:", cl_shown(c, endpoints_text(c, k)));
	if (*k->binary)
		cl_label(c, "Binary:", cl_shown(c, k->binary));
	for (size_t i = 0; k->proposed_rule && i < k->proposed_rule->n_endpoints; i++) {
		const Openshell__Sandbox__V1__NetworkEndpoint *e = k->proposed_rule->endpoints[i];

		for (size_t r = 0; r < e->n_rules; r++)
			if (e->rules[r]->allow)
				cl_label(c, "Allow:",
					cl_print(c, "%s %s",
						cl_shown(c, e->rules[r]->allow->method),
						cl_shown(c, e->rules[r]->allow->path)));
	}
	if (*k->rationale)
		cl_label(c, "Rationale:", cl_shown(c, k->rationale));
	if (*k->security_notes)
		cl_label(c, "Security notes:", cl_shown(c, k->security_notes));
	if (*k->validation_result)
		cl_label(c, "Validation:", cl_shown(c, k->validation_result));
	if (*k->application_error)
		cl_label(c, "Cannot be applied:", cl_shown(c, k->application_error));
	if (*k->rejection_reason)
		cl_label(c, "Rejected:", cl_shown(c, k->rejection_reason));
	cl_label(c, "Hits:", cl_print(c, "%d", k->hit_count));
}

static void chunk_out(struct cl *c, struct cl_out *o, const chunk *k)
{
	cl_out_object(o, NULL);
	cl_out_str(o, "id", k->id);
	cl_out_str(o, "status", k->status);
	cl_out_str(o, "rule_name", k->rule_name);
	cl_out_str(o, "endpoints", endpoints_text(c, k));
	cl_out_str(o, "binary", k->binary);
	cl_out_str(o, "rationale", k->rationale);
	cl_out_str(o, "security_notes", k->security_notes);
	cl_out_str(o, "validation_result", k->validation_result);
	cl_out_str(o, "application_error", k->application_error);
	cl_out_str(o, "rejection_reason", k->rejection_reason);
	cl_out_int(o, "hit_count", k->hit_count);
	cl_out_int(o, "created_at_ms", k->created_at_ms);
	cl_out_end(o);
}

int cl_run_rule_get(struct cl *c)
{
	static const char *const known[] = { "pending", "approved", "rejected" };
	const char *status = cl_flag(&c->w, "status");
	bool is_known = !status;
	struct cl_out o;

	for (size_t i = 0; status && i < CV_ARRAY_LEN(known); i++)
		is_known |= strcmp(known[i], status) == 0;
	if (!is_known)
		cl_die_usage(c,
			"invalid value '%s' for '--status <STATUS>' [possible values: pending, "
			"approved, rejected]",
			status);
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	const Openshell__V1__GetDraftPolicyResponse *m = drafts(c, name, status);
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		cl_out_array(&o, NULL);
		for (size_t i = 0; i < m->n_chunks; i++)
			chunk_out(c, &o, m->chunks[i]);
		cl_out_end(&o);
		return cl_out_done(c, &o);
	}
	if (!m->n_chunks) {
		puts("No network rules found.");
		return 0;
	}
	printf("Draft version: %llu\n", (unsigned long long)m->draft_version);
	for (size_t i = 0; i < m->n_chunks; i++)
		chunk_text(c, m->chunks[i]);
	return 0;
}

static char *chunk_needed(struct cl *c)
{
	const char *id = cl_flag(&c->w, "chunk-id");

	if (!id)
		cl_die_usage(
			c, "the following required arguments were not provided: --chunk-id <ID>");
	return cl_dup(c, id);
}

int cl_run_rule_approve(struct cl *c)
{
	char *id = chunk_needed(c);
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	const Openshell__V1__GetDraftPolicyResponse *all = drafts(c, name, NULL);
	Openshell__V1__ApproveDraftChunkRequest in;

	openshell__v1__approve_draft_chunk_request__init(&in);
	in.name = cl_dup(c, name);
	in.chunk_id = id;
	in.workspace = cl_dup(c, c->workspace);
	for (size_t i = 0; i < all->n_chunks; i++)
		if (strcmp(all->chunks[i]->id, id) == 0) {
			in.review_token = all->chunks[i]->review_token;
			chunk_text(c, all->chunks[i]);
			printf("\n");
		}
	const Openshell__V1__ApproveDraftChunkResponse *m = CL_ASK(
		c, ApproveDraftChunk, in, ApproveDraftChunkResponse, approve_draft_chunk_response);
	cl_mark(c, 'v', "Approved chunk %s (policy version %u, hash: %.12s)", cl_shown(c, id),
		m->policy_version, cl_shown(c, m->policy_hash));
	return 0;
}

int cl_run_rule_reject(struct cl *c)
{
	Openshell__V1__RejectDraftChunkRequest in;

	openshell__v1__reject_draft_chunk_request__init(&in);
	in.chunk_id = chunk_needed(c);
	in.name = cl_dup(c, cl_sandbox_name(c, cl_arg(&c->w, 0)));
	in.reason = cl_dup(c, cl_flag(&c->w, "reason"));
	in.workspace = cl_dup(c, c->workspace);
	(void)CL_ASK(
		c, RejectDraftChunk, in, RejectDraftChunkResponse, reject_draft_chunk_response);
	cl_mark(c, 'v', "Rejected chunk %s", cl_shown(c, in.chunk_id));
	return 0;
}

int cl_run_rule_approve_all(struct cl *c)
{
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	const Openshell__V1__GetDraftPolicyResponse *all = drafts(c, name, "pending");
	Openshell__V1__ApproveAllDraftChunksRequest in;

	openshell__v1__approve_all_draft_chunks_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	in.include_security_flagged = cl_has(&c->w, "include-security-flagged");
	in.approvals = cl_alloc(c, (all->n_chunks + 1) * sizeof(*in.approvals));
	for (size_t i = 0; i < all->n_chunks; i++) {
		Openshell__V1__DraftChunkApproval *a = cl_alloc(c, sizeof(*a));

		openshell__v1__draft_chunk_approval__init(a);
		a->chunk_id = all->chunks[i]->id;
		a->review_token = all->chunks[i]->review_token;
		in.approvals[in.n_approvals++] = a;
		chunk_text(c, all->chunks[i]);
	}
	if (!all->n_chunks) {
		puts("No pending network rules.");
		return 0;
	}
	const Openshell__V1__ApproveAllDraftChunksResponse *m = CL_ASK(c, ApproveAllDraftChunks, in,
		ApproveAllDraftChunksResponse, approve_all_draft_chunks_response);
	printf("\n");
	cl_mark(c, 'v', "Approved %u chunks, skipped %u (policy version %u, hash: %.12s)",
		m->chunks_approved, m->chunks_skipped, m->policy_version,
		cl_shown(c, m->policy_hash));
	return 0;
}

int cl_run_rule_clear(struct cl *c)
{
	Openshell__V1__ClearDraftChunksRequest in;

	openshell__v1__clear_draft_chunks_request__init(&in);
	in.name = cl_dup(c, cl_sandbox_name(c, cl_arg(&c->w, 0)));
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__ClearDraftChunksResponse *m = CL_ASK(
		c, ClearDraftChunks, in, ClearDraftChunksResponse, clear_draft_chunks_response);
	cl_mark(c, 'v', "Cleared %u chunks", m->chunks_cleared);
	return 0;
}

int cl_run_rule_history(struct cl *c)
{
	Openshell__V1__GetDraftHistoryRequest in;
	struct cl_out o;

	openshell__v1__get_draft_history_request__init(&in);
	in.name = cl_dup(c, cl_sandbox_name(c, cl_arg(&c->w, 0)));
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__GetDraftHistoryResponse *m =
		CL_ASK(c, GetDraftHistory, in, GetDraftHistoryResponse, get_draft_history_response);
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		cl_out_array(&o, NULL);
		for (size_t i = 0; i < m->n_entries; i++) {
			cl_out_object(&o, NULL);
			cl_out_int(&o, "timestamp_ms", m->entries[i]->timestamp_ms);
			cl_out_str(&o, "event_type", m->entries[i]->event_type);
			cl_out_str(&o, "description", m->entries[i]->description);
			cl_out_str(&o, "chunk_id", m->entries[i]->chunk_id);
			cl_out_end(&o);
		}
		cl_out_end(&o);
		return cl_out_done(c, &o);
	}
	if (!m->n_entries)
		puts("No draft history.");
	for (size_t i = 0; i < m->n_entries; i++)
		printf("%s  %s  %s\n", cl_time(c, m->entries[i]->timestamp_ms),
			cl_shown(c, m->entries[i]->event_type),
			cl_shown(c, m->entries[i]->description));
	return 0;
}
