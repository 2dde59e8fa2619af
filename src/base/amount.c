/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amount.c - see amount.h
 */
#include "base/amount.h"

#include "base/attr.h"

#include <stdio.h>

static const char *memory_text(uint64_t v, char text[CV_AMOUNT_BYTES])
{
	static const char *const unit[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	uint64_t whole = v;
	size_t u = 0;

	for (; whole && whole % 1024 == 0 && u + 1 < CV_ARRAY_LEN(unit); u++)
		whole /= 1024;
	if (whole < 10240 || u + 1 == CV_ARRAY_LEN(unit)) {
		snprintf(text, CV_AMOUNT_BYTES, "%llu%s", (unsigned long long)whole, unit[u]);
		return text;
	}
	double d = (double)v;
	for (u = 0; d >= 1024 && u + 1 < CV_ARRAY_LEN(unit); u++)
		d /= 1024;
	snprintf(text, CV_AMOUNT_BYTES, "%.2f%s", d, unit[u]);
	return text;
}

const char *cv_amount_text(enum cv_amount_kind kind, uint64_t v, char text[CV_AMOUNT_BYTES])
{
	if (kind == CV_AMOUNT_MEMORY)
		return memory_text(v, text);
	if (kind == CV_AMOUNT_CPU && v % 1000)
		snprintf(text, CV_AMOUNT_BYTES, "%llum", (unsigned long long)v);
	else
		snprintf(text, CV_AMOUNT_BYTES, "%llu",
			(unsigned long long)(kind == CV_AMOUNT_CPU ? v / 1000 : v));
	return text;
}
