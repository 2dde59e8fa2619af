/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_merge.h - changing a policy by operations, and what changed
 *
 * The six operations of UpdateConfig on a canonical policy (policy_pb.h), all or nothing.  An
 * operation never authorizes more than it says (openshell-behaviour 3.8): a rule is a product of
 * endpoints and binaries, so an addition is folded into an existing rule only if every pair that
 * appears was there or was asked for, and becomes a rule of its own otherwise.
 *
 * The result is canonical; whether it is a valid policy is the caller's to ask.  Pure.
 */
#pragma once
#include "rpc/policy_pb.h"

#include "openshell.pb-c.h"

#define CV_POLICY_MERGE_OPERATIONS_MAX 256 /* each walks the policy */
#define CV_POLICY_RULE_NAME_BYTES      320 /* "allow_", a host, a port, "_99" */

/* CV_INVALID: operation i can't be done, and why. */
CV_MUST cv_code cv_policy_merge(const cv_policy_pb *base,
	Openshell__V1__PolicyMergeOperation *const *ops, size_t n, struct cv_arena *arena,
	cv_policy_pb **ret, struct cv_err *err);

/* "allow_api_github_com_443" */
void cv_policy_rule_name(const char *host, uint32_t port, char ret[CV_POLICY_RULE_NAME_BYTES]);

const Openshell__Sandbox__V1__NetworkPolicyRule *cv_policy_pb_rule(
	const cv_policy_pb *m, const char *key);

/* What was fixed when the sandbox started is the same in both; else CV_INVALID with OpenShell's
 * sentence.  Paths may be added. */
CV_MUST cv_code cv_policy_static_check(
	const cv_policy_pb *was, const cv_policy_pb *is, struct cv_err *err);

/* Appends a line per thing that differs: "+ rule 'x'", "- rule 'x'", "~ rule 'x': + h:443 (rest)",
 * "~ filesystem".  Nothing: they are the same.  Both canonical. */
void cv_policy_diff(const cv_policy_pb *was, const cv_policy_pb *is, struct cv_buf *out);
