/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.h - what is taken of quotas, in one line: for `status` and `top`
 */
#pragma once
#include "base/buf.h"

#include "cove.pb-c.h"

#define CL_USAGE_BYTES 256

/* "3 of 200 sandboxes, 4Gi of 48Gi memory; 2 wait": what is limited, and who waits.  Nothing where
 * nothing is limited and nobody waits.  u may be NULL. */
void cl_usage_put(struct cv_buf *out, const Cove__V1__Usage *u);
/* The amount of a resource as a person writes it. */
const char *cl_usage_amount(const char *resource, uint64_t v, char *text); /* CV_AMOUNT_BYTES */
