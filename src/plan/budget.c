/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.c - see budget.h
 */
#include "plan/budget.h"

#include "base/assert.h"

#define ROW(name, word) word,
static const char *const unit_word[] = { CV_BUDGET_UNITS(ROW) };
#undef ROW

const char *cv_budget_unit_word(enum cv_budget_unit u)
{
	cv_assert(u < CV_BUDGET_UNIT_COUNT);
	return unit_word[u];
}

#define WHOLE_MAX (UINT64_MAX / 1000000) /* dollars, so that millionths fit */

bool cv_micro_parse(struct cv_str text, uint64_t *ret)
{
	struct cv_str fraction = text;
	const struct cv_str whole = cv_str_cut(&fraction, '.');
	uint64_t w, f = 0;

	if (!cv_str_to_u64(whole, WHOLE_MAX - 1, &w))
		return false;
	if (fraction.p) {
		if (fraction.n > 6 || !cv_str_to_u64(fraction, 999999, &f))
			return false;
		for (size_t i = fraction.n; i < 6; i++)
			f *= 10;
	}
	*ret = w * 1000000 + f;
	return true;
}

static bool count_parse(struct cv_str text, bool is_bytes, uint64_t *ret)
{
	static const struct {
		struct cv_str text;
		uint64_t times;
		bool is_bytes;
	} suffix[] = {
		/* longer ones first: "kib" ends with "b" */
		{ CV_STR("kib"), 1u << 10, true },
		{ CV_STR("mib"), 1u << 20, true },
		{ CV_STR("gib"), 1u << 30, true },
		{ CV_STR("ki"), 1u << 10, true },
		{ CV_STR("mi"), 1u << 20, true },
		{ CV_STR("gi"), 1u << 30, true },
		{ CV_STR("kb"), 1000, true },
		{ CV_STR("mb"), 1000000, true },
		{ CV_STR("gb"), 1000000000, true },
		{ CV_STR("b"), 1, true },
		{ CV_STR("k"), 1000, false },
		{ CV_STR("m"), 1000000, false },
		{ CV_STR("g"), 1000000000, false },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(suffix); i++) {
		const size_t n = suffix[i].text.n;

		if ((suffix[i].is_bytes && !is_bytes) || text.n <= n ||
			!cv_str_eq_nocase(cv_str_slice(text, text.n - n, text.n), suffix[i].text))
			continue;
		if (!cv_str_to_u64(
			    cv_str_slice(text, 0, text.n - n), UINT64_MAX / suffix[i].times, ret))
			return false;
		*ret *= suffix[i].times;
		return true;
	}
	return cv_str_to_u64(text, UINT64_MAX, ret);
}

/* What stands before the unit; *rest moves behind its colon. */
static cv_code scope_parse(struct cv_str *rest, struct cv_budget_rule *ret, struct cv_err *err)
{
	const struct cv_str host = CV_STR("host="), route = CV_STR("route=");
	struct cv_str name;

	if (cv_str_has_prefix(*rest, route)) {
		*rest = cv_str_slice(*rest, route.n, rest->n);
		name = cv_str_cut(rest, ':');
		ret->scope = CV_BUDGET_ROUTE;
		if (!name.n || !rest->p || !cv_str_to_cstr(name, ret->route, sizeof(ret->route)))
			return cv_fail(err, CV_INVALID, "write route=NAME:UNIT=LIMIT");
	} else if (cv_str_has_prefix(*rest, host)) {
		*rest = cv_str_slice(*rest, host.n, rest->n);
		const size_t from =
			cv_str_has_prefix(*rest, CV_STR("[")) ? cv_str_find_byte(*rest, ']') : 0;
		const size_t end = from + cv_str_find_byte(cv_str_slice(*rest, from, rest->n), ':');
		name = cv_str_slice(*rest, 0, end);
		ret->scope = CV_BUDGET_HOST;
		if (end >= rest->n || cv_host_parse(name, &ret->host) != CV_HOST_OK)
			return cv_fail(err, CV_INVALID, "write host=NAME:UNIT=LIMIT");
		*rest = cv_str_slice(*rest, end + 1, rest->n);
	}
	return CV_OK;
}

cv_code cv_budget_parse(struct cv_str text, struct cv_budget_rule *ret, struct cv_err *err)
{
	struct cv_budget_rule rule = { .scope = CV_BUDGET_RUN };
	struct cv_str limit = text, unit;
	size_t u = 0;

	if (scope_parse(&limit, &rule, err) != CV_OK)
		return cv_wrap(err, "'%.*s'", CV_STR_ARG(text));
	unit = cv_str_cut(&limit, '=');
	while (u < CV_BUDGET_UNIT_COUNT && !cv_str_eq(unit, cv_str_of(unit_word[u])))
		u++;
	if (u == CV_BUDGET_UNIT_COUNT)
		return cv_fail(err, CV_INVALID,
			"'%.*s': write tokens=N, usd=N, requests=N or bytes=N, perhaps behind "
			"host=NAME: or route=NAME:",
			CV_STR_ARG(text));
	rule.unit = (enum cv_budget_unit)u;
	if (!limit.n ||
		!(rule.unit == CV_BUDGET_USD
				? cv_micro_parse(limit, &rule.limit)
				: count_parse(limit, rule.unit == CV_BUDGET_BYTES, &rule.limit)))
		return cv_fail(err, CV_INVALID, "'%.*s': '%.*s' is no %s; write %s",
			CV_STR_ARG(text), CV_STR_ARG(limit),
			rule.unit == CV_BUDGET_USD ? "sum in dollars" : "whole number",
			rule.unit == CV_BUDGET_USD     ? "5 or 0.25"
			: rule.unit == CV_BUDGET_BYTES ? "500k, 20M or 2GiB"
						       : "1000, 500k or 2M");
	*ret = rule;
	return CV_OK;
}

void cv_budget_scope_put(struct cv_buf *b, const struct cv_budget_rule *r)
{
	switch (r->scope) {
	case CV_BUDGET_RUN: cv_buf_put(b, CV_STR("run")); return;
	case CV_BUDGET_HOST:
		cv_buf_put(b, CV_STR("host:"));
		cv_buf_put_json(b, cv_host_str(&r->host));
		return;
	case CV_BUDGET_ROUTE:
		cv_buf_put(b, CV_STR("route:"));
		cv_buf_put_json(b, cv_str_of(r->route));
		return;
	}
}
