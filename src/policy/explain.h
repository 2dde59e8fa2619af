/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.h - why a verdict is what it is, and what would have been allowed
 *
 * Slow path: called for `cove policy explain`, for denials that are shown to somebody, and for
 * audit records of denials.  It asks cv_policy_decide() for the verdict and never judges by
 * itself; it only tells, entry by entry, how far each one came.
 */
#pragma once
#include "base/buf.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "policy/tools.h"

enum cv_miss { /* how far an entry came before it did not match; the last is nearest */
	CV_MISS_HOST,
	CV_MISS_PORT,
	CV_MISS_BINARY,
	CV_MISS_PATH_SELECTOR,
	CV_MISS_METHOD,
	CV_MISS_PATH,
	CV_MISS_QUERY,
	CV_MISS_DENIED, /* a deny rule of it fired, or its protocol can't be enforced */
	CV_MISS_NONE,   /* it allowed */
};

struct cv_near_miss {
	uint32_t entry, endpoint, rule; /* CV_POLICY_NONE where it does not apply */
	uint32_t line;
	enum cv_miss miss;
	struct cv_str text; /* one sentence, in the arena given */
};

/* The near misses of facts, nearest first, at most max; all text in arena. */
size_t cv_policy_near_misses(const struct cv_policy *policy, const struct cv_facts *facts,
	struct cv_arena *arena, struct cv_near_miss *ret, size_t max);

/* The sentence for a denial's "reason", in OpenShell's words (openshell-behaviour 4.4):
 * "endpoint h:p is not allowed by any policy", "binary '…' not allowed in policy '…' …". */
struct cv_str cv_policy_denial_text(const struct cv_policy *policy, const struct cv_facts *facts,
	const struct cv_verdict *verdict, struct cv_arena *arena);

/* What this host and port would accept from this caller: method and path templates, for the
 * "allowed" member of a denial.  At most max rows. */
struct cv_allowed_row {
	struct cv_str method, path;
	const struct cv_policy_rule *rule; /* with a query that must match; else NULL */
};
size_t cv_policy_allowed(const struct cv_policy *policy, const struct cv_facts *facts,
	struct cv_arena *arena, struct cv_allowed_row *ret, size_t max);

/* {"method":…,"path":…}, and "query":{KEY:PATTERN or [PATTERN,…],…} where the rule has conditions. */
void cv_policy_allowed_put(const struct cv_allowed_row *row, struct cv_buf *out);
/* That "query" alone, of a rule that has one. */
void cv_policy_query_put(const struct cv_policy_rule *rule, struct cv_buf *out);

/* The whole explanation, as `cove policy explain` prints it: text or JSON. */
void cv_policy_explain_text(
	const struct cv_policy *policy, const struct cv_facts *facts, struct cv_buf *out);
void cv_policy_explain_json(
	const struct cv_policy *policy, const struct cv_facts *facts, struct cv_buf *out);

/* The same about a call of a tool. */
void cv_policy_explain_tool_text(
	const struct cv_policy *policy, const struct cv_tool_facts *facts, struct cv_buf *out);
void cv_policy_explain_tool_json(
	const struct cv_policy *policy, const struct cv_tool_facts *facts, struct cv_buf *out);
