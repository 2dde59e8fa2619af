/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_int.h - the checks of a document: what they see and how they report
 *
 * A check is one function for one rule of the language.  It looks at the endpoint (or the rule of
 * an endpoint) that the context stands on and reports what breaks its rule, nothing else; order
 * and completeness are matters of the tables in validate*.c.
 */
#pragma once
#include "policy/findings.h"

struct cv_check {
	const struct cv_policy_doc *doc;
	struct cv_findings *findings;
	const struct cv_policy_entry *entry;
	const struct cv_policy_endpoint *ep;
	const struct cv_policy_rule *rule;
	size_t ep_index, rule_index;
	bool is_deny; /* rule is one of deny_rules */
};

typedef void cv_check_fn(struct cv_check *c);

/* At pos, or where that is unknown (line 0) at the rule, endpoint or entry. */
CV_PRINTF(5, 6)
void cv_check_report(struct cv_check *c, enum cv_finding_level level, struct cv_policy_pos pos,
	const char *fix, const char *fmt, ...);

#define CV_CHECK_ERROR(c, pos, ...)   cv_check_report(c, CV_FINDING_ERROR, pos, __VA_ARGS__)
#define CV_CHECK_WARNING(c, pos, ...) cv_check_report(c, CV_FINDING_WARNING, pos, __VA_ARGS__)
#define CV_CHECK_HERE                 ((struct cv_policy_pos){ 0 })

void cv_check_endpoint(struct cv_check *c); /* validate_endpoint.c */
void cv_check_rules(struct cv_check *c);    /* validate_rule.c: rules and deny_rules of c->ep */
void cv_check_tools(struct cv_check *c);    /* validate_tools.c: the tools section */
void cv_check_ambiguity(const struct cv_policy_doc *doc, struct cv_findings *f);

const char *cv_policy_protocol_name(enum cv_policy_protocol protocol); /* "rest"; "" for L4 */

/* Where the endpoint has this key; line 0 where it has not. */
struct cv_policy_pos cv_policy_key_pos(const struct cv_policy_endpoint *e, const char *key);

/* Is there a rule, or deny rule, about GraphQL operations? */
bool cv_policy_has_graphql(const struct cv_policy_endpoint *e);

/* The same for path selectors, whose * crosses /. */
bool cv_policy_paths_overlap(struct cv_str a, struct cv_str b);

static inline bool cv_policy_is_word(struct cv_policy_text t, const char *word)
{
	return cv_str_eq(t.s, cv_str_of(word));
}
