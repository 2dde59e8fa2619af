/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - what a run has used of its budgets, and who is refused when one is used up
 *
 * Counters only: no clock, no I/O, one owner (struct cv_proxy).  A budget that is used up refuses
 * the next request in its scope with 429 budget_exceeded; what is under way may take a counter
 * past its limit, except bytes, which end what passes them.  Counts saturate.
 */
#pragma once
#include "base/buf.h"
#include "plan/budget.h"

struct cv_budget {
	struct cv_budget_rule rule;
	uint64_t used;
};

struct cv_budgets {
	struct cv_budget v[CV_BUDGETS_MAX];
	size_t n;
};

/* What a count is for.  A field that is empty (false) counts for no budget of that scope. */
struct cv_budget_where {
	bool is_run;
	struct cv_str host, route;
};

CV_MUST bool cv_budgets_put(struct cv_budgets *b, const struct cv_budget_rule *rule);

void cv_budgets_add(struct cv_budgets *b, enum cv_budget_unit unit,
	const struct cv_budget_where *where, uint64_t n);

/* The first budget in whose scope where is and that is used up; NULL: none. */
const struct cv_budget *cv_budgets_exceeded(
	const struct cv_budgets *b, const struct cv_budget_where *where);

/* {"error":"budget_exceeded","detail":…,"what":…,"limit":…,"used":…,"scope":…} */
void cv_budget_body_put(struct cv_buf *out, const struct cv_budget *b);
void cv_budget_sentence_put(struct cv_buf *out, const struct cv_budget *b);

/* Of so many tokens at so much (millionths of a dollar) for a million of them. */
uint64_t cv_budget_cost(uint64_t tokens, uint64_t price);
