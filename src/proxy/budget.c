/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.c - see budget.h
 */
#include "proxy/budget.h"

bool cv_budgets_put(struct cv_budgets *b, const struct cv_budget_rule *rule)
{
	if (b->n == CV_BUDGETS_MAX)
		return false;
	b->v[b->n++] = (struct cv_budget){ .rule = *rule };
	return true;
}

static bool is_in(const struct cv_budget_rule *r, const struct cv_budget_where *where)
{
	switch (r->scope) {
	case CV_BUDGET_RUN: return where->is_run;
	case CV_BUDGET_HOST: return cv_str_eq(cv_host_str(&r->host), where->host);
	case CV_BUDGET_ROUTE: return cv_str_eq(cv_str_of(r->route), where->route);
	}
	return false;
}

void cv_budgets_add(struct cv_budgets *b, enum cv_budget_unit unit,
	const struct cv_budget_where *where, uint64_t n)
{
	for (size_t i = 0; i < b->n; i++) {
		struct cv_budget *at = &b->v[i];

		if (at->rule.unit == unit && is_in(&at->rule, where))
			at->used = n > UINT64_MAX - at->used ? UINT64_MAX : at->used + n;
	}
}

const struct cv_budget *cv_budgets_exceeded(
	const struct cv_budgets *b, const struct cv_budget_where *where)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].used >= b->v[i].rule.limit && is_in(&b->v[i].rule, where))
			return &b->v[i];
	return NULL;
}

static void amount_put(struct cv_buf *out, enum cv_budget_unit unit, uint64_t n)
{
	if (unit == CV_BUDGET_USD)
		cv_buf_printf(out, "%llu.%06llu", (unsigned long long)(n / 1000000),
			(unsigned long long)(n % 1000000));
	else
		cv_buf_put_u64(out, n);
}

void cv_budget_sentence_put(struct cv_buf *out, const struct cv_budget *b)
{
	cv_buf_printf(out, "the budget of %s for ", cv_budget_unit_word(b->rule.unit));
	cv_budget_scope_put(out, &b->rule);
	cv_buf_put(out, CV_STR(" is used up: "));
	amount_put(out, b->rule.unit, b->used);
	cv_buf_put(out, CV_STR(" of "));
	amount_put(out, b->rule.unit, b->rule.limit);
}

void cv_budget_body_put(struct cv_buf *out, const struct cv_budget *b)
{
	cv_buf_put(out, CV_STR("{\"error\":\"budget_exceeded\",\"detail\":\""));
	cv_budget_sentence_put(out, b);
	cv_buf_printf(out, "\",\"what\":\"%s\",\"limit\":", cv_budget_unit_word(b->rule.unit));
	amount_put(out, b->rule.unit, b->rule.limit);
	cv_buf_put(out, CV_STR(",\"used\":"));
	amount_put(out, b->rule.unit, b->used);
	cv_buf_put(out, CV_STR(",\"scope\":\""));
	cv_budget_scope_put(out, &b->rule);
	cv_buf_put(out, CV_STR("\"}"));
}

uint64_t cv_budget_cost(uint64_t tokens, uint64_t price)
{
	__extension__ const unsigned __int128 product = (unsigned __int128)tokens * price;
	__extension__ const unsigned __int128 cost = (product + 999999) / 1000000;

	return cost > UINT64_MAX ? UINT64_MAX : (uint64_t)cost; /* a part counts as a whole one */
}
