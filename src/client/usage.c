/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.c - see usage.h
 */
#include "client/usage.h"

#include "base/amount.h"

#include <string.h>

const char *cl_usage_amount(const char *resource, uint64_t v, char *text)
{
	enum cv_amount_kind kind = CV_AMOUNT_COUNT;

	if (strcmp(resource, "memory") == 0)
		kind = CV_AMOUNT_MEMORY;
	else if (strcmp(resource, "cpu") == 0)
		kind = CV_AMOUNT_CPU;
	return cv_amount_text(kind, v, text);
}

void cl_usage_put(struct cv_buf *out, const Cove__V1__Usage *u)
{
	char used[CV_AMOUNT_BYTES], limit[CV_AMOUNT_BYTES];
	const char *between = "";

	for (size_t i = 0; u && i < u->n_resources; i++) {
		const Cove__V1__ResourceUsage *r = u->resources[i];

		if (!r->limited)
			continue;
		cv_buf_printf(out, "%s%s of %s %.40s", between,
			cl_usage_amount(r->resource, r->used, used),
			cl_usage_amount(r->resource, r->limit, limit), r->resource);
		between = ", ";
	}
	if (u && u->queued)
		cv_buf_printf(out, "%s%u wait%s", *between ? "; " : "", u->queued,
			u->queued == 1 ? "s" : "");
}
