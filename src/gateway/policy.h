/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - what sandboxes may do: revisions of their policies, and of the gateway's
 *
 *     UpdateConfig, an approved draft --> candidate --check--> revision N, PENDING --> supervisor
 *                                                                         |               |
 *                                                       LOADED or FAILED  <---------------+
 *
 * A sandbox's first revision is the policy of its spec.  Each change is checked as a whole, together
 * with what its providers lay over it, before it becomes a revision; so what a supervisor gets has
 * been found good here with the same code.  A global policy replaces all of them, layers too.
 *
 * Policies are canonical messages (rpc/policy_pb.h); results are in the caller's arena.
 *
 * policy_link.c joins this to supervisors, and whoever knows providers' profiles gives their layer.
 */
#pragma once
#include "gateway/settings.h"
#include "rpc/policy_pb.h"

#define CV_GW_REVISIONS_MAX     1000 /* kept of a sandbox; the oldest goes */
#define CV_GW_POLICY_ARENA_MAX  CV_POLICY_PB_ARENA_BYTES_MAX
#define CV_GW_POLICY_GLOBAL_BIT (UINT64_C(1) << 32) /* in revisions that supervisors are told */

struct cv_gw_revision {
	const cv_policy_pb *policy; /* without layers */
	char hash[CV_POLICY_HASH_BYTES];
	uint32_t version;
};

struct cv_gw_effective {
	const cv_policy_pb *policy; /* with layers */
	char hash[CV_POLICY_HASH_BYTES];
	uint32_t version;        /* of the sandbox's own */
	uint32_t global_version; /* not 0: the gateway's replaces it */
};

/* Appends the document that the sandbox's providers lay over its policy (cv_compose_layer());
 * nothing: no providers. */
typedef cv_code cv_gw_layer_fn(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_buf *ret, struct cv_err *err);
void cv_gw_policy_layer_set(struct cv_gateway *g, cv_gw_layer_fn *layer);
/* Tells a sandbox's supervisor, if there is one, its policy. */
typedef void cv_gw_policy_send_fn(struct cv_gateway *g, const struct cv_object *sandbox,
	uint64_t revision, struct cv_str text, struct cv_str layer);
void cv_gw_policy_send_set(struct cv_gateway *g, cv_gw_policy_send_fn *send);

/* The sandbox's latest own revision; makes the first one of its spec. */
CV_MUST enum cv_rpc_status cv_gw_policy_latest(struct cv_gateway *g,
	const struct cv_object *sandbox, struct cv_arena *arena, struct cv_gw_revision *ret,
	struct cv_err *err);
/* What holds for it. */
CV_MUST enum cv_rpc_status cv_gw_policy_effective(struct cv_gateway *g,
	const struct cv_object *sandbox, struct cv_arena *arena, struct cv_gw_effective *ret,
	struct cv_err *err);
/* What would hold if base were its policy. */
CV_MUST enum cv_rpc_status cv_gw_policy_with_layer(struct cv_gateway *g,
	const struct cv_object *sandbox, const cv_policy_pb *base, struct cv_arena *arena,
	const cv_policy_pb **ret, struct cv_err *err);
/* For its supervisor: the text without layers, the layer (empty: none), and the revision. */
CV_MUST enum cv_rpc_status cv_gw_policy_texts(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_buf *ret_text, struct cv_buf *ret_layer, uint64_t *ret_revision,
	struct cv_err *err);

/* May this canonical policy be a revision?  sandbox NULL: a global one.  was: the policy that it
 * follows on a live sandbox, or NULL. */
CV_MUST enum cv_rpc_status cv_gw_policy_check(struct cv_gateway *g, const struct cv_object *sandbox,
	const cv_policy_pb *was, const cv_policy_pb *is, struct cv_err *err);

/* A new revision of the sandbox, sent to its supervisor; the present one if nothing differs and there
 * are no annotations.  annotations: a map<string, string>'s entries. */
CV_MUST enum cv_rpc_status cv_gw_policy_put(struct cv_gateway *g, const struct cv_object *sandbox,
	const cv_policy_pb *policy, const void *annotations, size_t annotation_count,
	uint32_t *ret_version, char ret_hash[CV_POLICY_HASH_BYTES], struct cv_err *err);
/* FAILED_PRECONDITION "policy is managed globally; ...". */
CV_MUST enum cv_rpc_status cv_gw_policy_is_own(const struct cv_gateway *g, struct cv_err *err);

/* What holds, once more: after what lies over it has changed. */
void cv_gw_policy_push(struct cv_gateway *g, const struct cv_object *sandbox);

/* A supervisor has loaded a revision, or refused it. */
void cv_gw_policy_reported(struct cv_gateway *g, struct cv_str sandbox_id, uint64_t revision,
	bool is_loaded, struct cv_str why);
/* The newest loaded revision; 0: none. */
uint32_t cv_gw_policy_active(const struct cv_gateway *g, struct cv_str sandbox_id);
/* A sandbox is gone, and so are its revisions, settings and drafts. */
void cv_gw_policy_forget(struct cv_gateway *g, struct cv_str sandbox_id);
