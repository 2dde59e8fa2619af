/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft_int.h - proposals: what draft.c, draft_store.c and draft_in.c share with each other
 *
 * A proposal (chunk) is a record under its sandbox's id and its own.  What it would do is worked out
 * anew whenever it is shown or decided: the candidate is the sandbox's latest revision with the rule
 * added, checked and with providers' layers; the review token is a hash of the rule and of the
 * policies before and after.  So an approval holds for exactly what was looked at.
 */
#pragma once
#include "gateway/policy_int.h"

#define DRAFT_PENDING_MAX 256  /* of a sandbox: nobody reviews more */
#define DRAFT_KEPT_MAX    1024 /* decided ones too; the oldest decided goes */
#define DRAFT_HISTORY_MAX 200  /* entries; the oldest goes */
#define DRAFT_TEXT_MAX    4096 /* rationale, reasons */
#define DRAFT_TOKEN_BYTES 65

typedef Openshell__V1__StoredDraftChunk chunk_t;
typedef Openshell__Sandbox__V1__NetworkPolicyRule rule_t;

static inline const chunk_t *chunk_of(const struct cv_object *o)
{
	return (const void *)o->message;
}
static inline bool chunk_is(const struct cv_object *o, const char *status)
{
	return strcmp(chunk_of(o)->status, status) == 0;
}

/* What a chunk would do now. */
struct draft_effect {
	const cv_policy_pb *was, *is; /* effective; is NULL: it can't be merged */
	const cv_policy_pb *base;     /* what would be the sandbox's own */
	char was_hash[CV_POLICY_HASH_BYTES], is_hash[CV_POLICY_HASH_BYTES];
	char token[DRAFT_TOKEN_BYTES];
	char error[CV_ERR_MSG_BYTES_MAX]; /* why it can't be merged now; "" */
};

rule_t *draft_rule(const chunk_t *k, struct cv_arena *arena);
/* on: a staged base to add to instead of the latest revision, or NULL. */
CV_MUST enum cv_rpc_status draft_effect(struct cv_gateway *g, const struct cv_object *sandbox,
	const chunk_t *k, const cv_policy_pb *on, struct cv_arena *arena, struct draft_effect *ret,
	struct cv_err *err);

void draft_history(struct cv_gateway *g, const struct cv_object *sandbox, const char *event,
	const char *chunk_id, const char *fmt, ...) CV_PRINTF(5, 6);
uint64_t draft_version(const struct cv_gateway *g, const struct cv_object *sandbox);
struct cv_object *draft_history_record(const struct cv_gateway *g, const struct cv_object *sandbox);

/* Changes the status (and the reason, if not NULL); false: the store. */
bool draft_decide(
	struct cv_gateway *g, struct cv_object *chunk, const char *status, const char *reason);

/* A proposal as it comes in; what is accepted is stored.  CV_RPC_OK with *ret_id "": refused, why is in
 * err. */
struct draft_proposal {
	const char *rule_name, *rationale;
	const rule_t *rule; /* not canonical */
	double confidence;
	bool is_mechanistic;
	const char *stage;
	int32_t hits;
	int64_t first_ms, last_ms;
};
CV_MUST enum cv_rpc_status draft_take(struct cv_gateway *g, const struct cv_object *sandbox,
	const struct draft_proposal *p, char ret_id[CV_OBJECT_ID_BYTES + 1], struct cv_err *err);
/* Approves it as somebody would; FAILED_PRECONDITION when it can't be merged. */
CV_MUST enum cv_rpc_status draft_approve(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_object *chunk, const char *token, uint32_t *ret_version,
	char ret_hash[CV_POLICY_HASH_BYTES], struct cv_err *err);
/* Another rule in its place. */
CV_MUST enum cv_rpc_status draft_edit(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_object *chunk, const rule_t *rule, struct cv_err *err);
/* draft_agent.c: those that come through a sandbox's own link. */
void draft_agent_hook(struct cv_gateway *g);
/* Takes the rule of an approved one out again, if it is there as it was approved. */
CV_MUST enum cv_rpc_status draft_undo(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_object *chunk, uint32_t *ret_version, char ret_hash[CV_POLICY_HASH_BYTES],
	struct cv_err *err);
