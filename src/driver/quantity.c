/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity.c - see quantity.h
 *
 * The value is mantissa * 10^ten * 2^two, the mantissa at most 18 digits: more are refused, since no
 * machine has that much of anything.  128 bits hold every product that does not exceed a limit.
 */
#include "driver/quantity.h"

#define MANTISSA_DIGITS_MAX 18
#define TEN_MAX             36 /* 10^36 < 2^128; what is above it exceeds every limit */

typedef unsigned __int128 wide;

struct suffix {
	struct cv_str text;
	int ten, two;
};

static const struct suffix suffixes[] = {
	{ CV_STR("n"), -9, 0 },
	{ CV_STR("u"), -6, 0 },
	{ CV_STR("m"), -3, 0 },
	{ CV_STR(""), 0, 0 },
	{ CV_STR("k"), 3, 0 },
	{ CV_STR("M"), 6, 0 },
	{ CV_STR("G"), 9, 0 },
	{ CV_STR("T"), 12, 0 },
	{ CV_STR("P"), 15, 0 },
	{ CV_STR("E"), 18, 0 },
	{ CV_STR("Ki"), 0, 10 },
	{ CV_STR("Mi"), 0, 20 },
	{ CV_STR("Gi"), 0, 30 },
	{ CV_STR("Ti"), 0, 40 },
	{ CV_STR("Pi"), 0, 50 },
	{ CV_STR("Ei"), 0, 60 },
};

static bool suffix_find(struct cv_str text, int *ret_ten, int *ret_two)
{
	uint64_t n;

	for (size_t i = 0; i < CV_ARRAY_LEN(suffixes); i++)
		if (cv_str_eq(text, suffixes[i].text)) {
			*ret_ten = suffixes[i].ten;
			*ret_two = suffixes[i].two;
			return true;
		}
	if (text.n < 2 || (text.p[0] != 'e' && text.p[0] != 'E'))
		return false;
	const bool is_minus = text.p[1] == '-';
	const size_t sign = is_minus || text.p[1] == '+';
	if (!cv_str_to_u64(cv_str_slice(text, 1 + sign, text.n), 99, &n))
		return false;
	*ret_ten = is_minus ? -(int)n : (int)n;
	*ret_two = 0;
	return true;
}

/* Digits with at most one point among or around them; returns how many bytes, 0: no number. */
static size_t mantissa_read(struct cv_str text, uint64_t *ret, int *ret_ten)
{
	size_t i = 0, digits = 0, counted = 0;
	bool has_point = false;

	*ret = 0;
	*ret_ten = 0;
	for (; i < text.n; i++) {
		const char c = text.p[i];

		if (c == '.' && !has_point) {
			has_point = true;
			continue;
		}
		if (c < '0' || c > '9')
			break;
		digits++;
		if (*ret || c != '0')
			counted++;
		if (counted > MANTISSA_DIGITS_MAX)
			return 0;
		*ret = *ret * 10 + (uint64_t)(c - '0');
		*ret_ten -= has_point;
	}
	return digits ? i : 0;
}

/* v * 10^ten rounded up; false: more than 128 bits. */
static bool tens_apply(wide *v, int ten)
{
	bool has_rest = false;

	for (; ten > 0; ten--)
		if (__builtin_mul_overflow(*v, (wide)10, v))
			return false;
	for (; ten < 0 && *v; ten++) {
		has_rest |= *v % 10 != 0;
		*v /= 10;
	}
	*v += has_rest;
	return true;
}

cv_code cv_quantity_parse(
	struct cv_str text, uint32_t per_unit, uint64_t max, uint64_t *ret, struct cv_err *err)
{
	uint64_t mantissa;
	int point, ten, two;
	const size_t n = mantissa_read(text, &mantissa, &point);
	wide v = mantissa;

	if (!n || !suffix_find(cv_str_slice(text, n, text.n), &ten, &two))
		return cv_fail(err, CV_INVALID, "'%.*s' is not a quantity such as 500m, 1.5 or 4Gi",
			(int)CV_MIN(text.n, (size_t)40), text.n ? text.p : "");
	ten += point;
	/* Zero is zero, whatever follows it. */
	if (mantissa && (ten > TEN_MAX || (v << two) >> two != v ||
				__builtin_mul_overflow(v << two, (wide)per_unit, &v) ||
				!tens_apply(&v, ten) || v > max))
		return cv_fail(err, CV_LIMIT, "'%.*s' is more than there can be",
			(int)CV_MIN(text.n, (size_t)40), text.p);
	*ret = (uint64_t)v;
	return CV_OK;
}
