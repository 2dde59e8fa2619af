/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - `--budget`: how much of something a run, a host or an inference route may use
 *
 *     tokens=500k          requests=1000          bytes=2GiB          usd=5
 *     host=api.openai.com:requests=100            route=cheap:usd=0.50
 *
 * The launcher reads the words and refuses bad ones; the proxy reads the same words again and
 * counts (proxy/budget.h).  Numbers are whole, with k, M or G for powers of 1000, for bytes also
 * Ki, Mi, Gi; dollars have up to six digits behind the point.  Pure.
 */
#pragma once
#include "base/err.h"
#include "wire/host.h"

#define CV_BUDGETS_MAX           32 /* each is looked at with each request */
#define CV_BUDGET_NAME_BYTES_MAX 64 /* of a route */

#define CV_BUDGET_UNITS(X)       /* enum, word */ \
	X(TOKENS, "tokens")                       \
	X(USD, "usd") /* millionths */            \
	X(REQUESTS, "requests")                   \
	X(BYTES, "bytes")

#define CV_BUDGET_ENUM(name, word) CV_BUDGET_##name,
enum cv_budget_unit { CV_BUDGET_UNITS(CV_BUDGET_ENUM) CV_BUDGET_UNIT_COUNT };
#undef CV_BUDGET_ENUM

const char *cv_budget_unit_word(enum cv_budget_unit u);

enum cv_budget_scope { CV_BUDGET_RUN, CV_BUDGET_HOST, CV_BUDGET_ROUTE };

struct cv_budget_rule {
	enum cv_budget_unit unit;
	enum cv_budget_scope scope;
	struct cv_host host;                      /* HOST */
	char route[CV_BUDGET_NAME_BYTES_MAX + 1]; /* ROUTE */
	uint64_t limit;                           /* USD: in millionths of a dollar */
};

/* CV_INVALID with a sentence that says what would be right. */
CV_MUST cv_code cv_budget_parse(struct cv_str text, struct cv_budget_rule *ret, struct cv_err *err);

/* "run", "host:api.test", "route:cheap" */
void cv_budget_scope_put(struct cv_buf *b, const struct cv_budget_rule *r);

/* A decimal number of at most six digits behind its point, in millionths. */
CV_MUST bool cv_micro_parse(struct cv_str text, uint64_t *ret);
