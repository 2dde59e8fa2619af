/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity.h - amounts as Kubernetes writes them: "500m", "1.5", "4Gi", "12e6"
 *
 * The grammar is that of its resource.Quantity: a decimal number, then a binary suffix (Ki to Ei), a
 * decimal one (n, u, m, k, M to E), or an exponent.  What does not come out whole is rounded up, as
 * there.  Pure.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* The amount in units of a millionth (per_unit 1000000), a thousandth (1000) or one (1).  CV_INVALID:
 * no quantity, or a negative one; CV_LIMIT: more than max. */
CV_MUST cv_code cv_quantity_parse(
	struct cv_str text, uint32_t per_unit, uint64_t max, uint64_t *ret, struct cv_err *err);
