/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hex_int.h - hex digits, as percent escapes and chunk sizes use them
 */
#pragma once
#include "base/str.h"

/* 0 to 15, or -1. */
static inline int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = cv_ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that two hex digits at the front of s mean, or -1. */
static inline int hex_pair(struct cv_str s)
{
	const int hi = s.n >= 2 ? hex_value(s.p[0]) : -1;
	const int lo = s.n >= 2 ? hex_value(s.p[1]) : -1;

	return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}
