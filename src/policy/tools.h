/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - the policy's section about host tools, and its decision
 *
 *     tools:
 *       issues:                               # a rule's name, for messages and the audit
 *         tools: [github.issue_*, repo.clone] # names or globs (* stays within what dots part)
 *         binaries: [{path: /usr/bin/claude}] # optional; absent: any process of the sandbox
 *         arguments:                          # optional; all must hold
 *           - {path: $.repo, equals: acme/app}
 *           - {path: "$.labels[*]", in: [bug, docs]}
 *           - {path: $.ref, glob: "refs/heads/agent-*"}
 *           - {path: $.count, range: {min: 1, max: 100}}
 *           - {path: $.body, length: {max: 4096}, optional: true}
 *         limits: {calls: 100, concurrency: 4, seconds: 60, bytes: 1048576}
 *         approval: never                     # never (default), once, always
 *
 * A call is allowed by the first rule, in the order written, that names its tool and its binary and
 * whose arguments all hold.  No section, or no such rule: denied.  A path that leads nowhere in the
 * arguments does not hold, unless optional; [*] must hold for every member, and for one at least
 * (tool_path.h has the paths, and what optional does not excuse).  Each condition asks for one
 * thing; what is of another type does not hold.
 * equals and in compare JSON values; glob, where * stays within a segment of / and ** does not, and
 * length (of code points; of members) need a string (or an array or object, for length); range
 * a number.
 *
 * Who asks for a list (what may I call) gives no arguments: a rule then answers for its tools and
 * binaries alone.
 */
#pragma once
#include "base/value.h"
#include "policy/model.h"
#include "policy/verdict.h"

struct cv_tool_limits { /* 0: none of policy's; the catalog has its own, and the lower counts */
	uint64_t calls; /* in the life of the sandbox */
	uint32_t concurrency; /* at the same time */
	uint32_t seconds;     /* of one call */
	uint64_t bytes;       /* of one result */
};

struct cv_tool_facts {
	struct cv_facts_who who;
	struct cv_str tool;
	const struct cv_value *arguments; /* an object; NULL: may it be called at all */
};

struct cv_tool_verdict {
	enum cv_action action;
	enum cv_reason reason;
	/* index into the document's tool_rules: of a denial the nearest, CV_POLICY_NONE when none
	 * names the tool */
	uint32_t rule;
	uint32_t line; /* in the source; 0 unknown */
	enum cv_tool_approval approval;
	struct cv_tool_limits limits;
};

/* No allocation, no clock. */
CV_MUST struct cv_tool_verdict cv_policy_decide_tool(
	const struct cv_policy *policy, const struct cv_tool_facts *facts);

/* Any rule about tools at all. */
bool cv_policy_has_tools(const struct cv_policy *policy);
/* "" for CV_POLICY_NONE. */
struct cv_str cv_policy_tool_rule_name(const struct cv_policy *policy, uint32_t rule);

/* Why a call was denied, as one sentence that names the nearest rule and what did not hold; in
 * arena.  Never a value of the arguments. */
struct cv_str cv_policy_tool_denial_text(const struct cv_policy *policy,
	const struct cv_tool_facts *facts, const struct cv_tool_verdict *verdict,
	struct cv_arena *arena);

/* What the rules for a tool ask of its arguments, for who may call it: one line of text for each
 * rule, "$.repo equals \"acme/app\" and each $.labels[*] is one of \"bug\", \"docs\"".  A call has
 * to satisfy one line.  None when any arguments will do.  At most max; returns their number.
 * Constants are shown, since they are the policy's own. */
size_t cv_policy_tool_conditions(const struct cv_policy *policy, const struct cv_tool_facts *facts,
	struct cv_str *ret, size_t max, struct cv_arena *arena);
