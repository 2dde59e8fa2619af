/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amount.h - amounts as people write them: "3", "1500m", "16Gi"
 *
 * The inverse of driver/quantity.h: what is written here is read there as the same amount, except
 * bytes that are no whole number of Ki, which get two decimals as long as that is exact enough for a
 * person.  Pure.
 */
#pragma once
#include "base/str.h"

#include <stdint.h>

#define CV_AMOUNT_BYTES 32 /* any text of it, and NUL */

enum cv_amount_kind {
	CV_AMOUNT_COUNT,
	CV_AMOUNT_MEMORY,
	CV_AMOUNT_CPU
}; /* one, bytes, thousandths */

/* Returns text. */
const char *cv_amount_text(enum cv_amount_kind kind, uint64_t v, char text[CV_AMOUNT_BYTES]);
