/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.c - may this process call this tool with these arguments; see tools.h
 *
 * The first rule that allows decides.  Where none does, the nearest is told: the first of those
 * that came furthest, by tool, then by binary, then by arguments.
 */
#include "policy/tools.h"

#include "policy/tool_rule.h"

#include "base/assert.h"

static enum cv_reason reason_of(enum cv_tool_miss miss, const struct cv_facts_who *who)
{
	switch (miss) {
	case CV_TOOL_MISS_TOOL: return CV_REASON_NO_TOOL;
	case CV_TOOL_MISS_BINARY:
		return who->is_known ? CV_REASON_BINARY : CV_REASON_IDENTITY_UNKNOWN;
	case CV_TOOL_MISS_ARGUMENTS: return CV_REASON_TOOL_ARGUMENTS;
	case CV_TOOL_MISS_NONE: return CV_REASON_NONE;
	}
	cv_unreachable();
}

/* More than 32 bits of a limit that has only 32 is the largest. */
static uint32_t narrow(uint64_t limit)
{
	return (uint32_t)CV_MIN(limit, (uint64_t)UINT32_MAX);
}

struct cv_tool_verdict cv_policy_decide_tool(
	const struct cv_policy *policy, const struct cv_tool_facts *facts)
{
	enum cv_tool_miss best = CV_TOOL_MISS_TOOL;
	struct cv_tool_verdict v = { .rule = CV_POLICY_NONE };

	for (uint32_t i = 0; i < policy->tool_rule_count && best != CV_TOOL_MISS_NONE; i++) {
		const enum cv_tool_miss miss = cv_tool_rule_miss(&policy->tool_rules[i], facts);

		if (miss > best) {
			best = miss;
			v.rule = i;
			v.line = policy->tool_rules[i].source->pos.line;
		}
	}
	v.reason = reason_of(best, &facts->who);
	if (best == CV_TOOL_MISS_NONE) {
		const struct cv_policy_tool_rule *s = policy->tool_rules[v.rule].source;

		v.action = CV_ACTION_ALLOW;
		v.approval = s->approval;
		v.limits = (struct cv_tool_limits){ .calls = s->calls,
			.concurrency = narrow(s->concurrency),
			.seconds = narrow(s->seconds),
			.bytes = s->bytes };
	}
	return v;
}

bool cv_policy_has_tools(const struct cv_policy *policy)
{
	return policy->tool_rule_count > 0;
}

struct cv_str cv_policy_tool_rule_name(const struct cv_policy *policy, uint32_t rule)
{
	return rule < policy->tool_rule_count ? policy->tool_rules[rule].source->key.s : CV_STR("");
}
