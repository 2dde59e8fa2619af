/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.c - see value.h
 *
 * Numbers.  What is written is taken as 0.d1d2d3... x 10^E: d1 is the first digit that is not
 * zero, and E is the exponent as written plus the place of d1.  The exponent may itself be of any
 * length, so it is never made a number; only the difference of two is, digit by digit, and that
 * stops to count where it has become so large that no place of a digit can make up for it.
 *
 * Order.  Objects are compared with their keys sorted, so two of n members cost n log n, and
 * whoever writes them can't make it more.
 */
#include "base/value.h"

#include "base/assert.h"

#include <stdlib.h>

const char *cv_value_type_name(enum cv_value_type type)
{
	static const char *const name[] = {
		[CV_VALUE_NULL] = "null",
		[CV_VALUE_FALSE] = "boolean",
		[CV_VALUE_TRUE] = "boolean",
		[CV_VALUE_NUMBER] = "number",
		[CV_VALUE_STRING] = "string",
		[CV_VALUE_ARRAY] = "array",
		[CV_VALUE_OBJECT] = "object",
	};

	cv_assert(type < CV_VALUE_TYPE_COUNT);
	return name[type];
}

/* ---- members ---- */

const struct cv_value *cv_value_get(const struct cv_value *o, struct cv_str key)
{
	if (!o || o->type != CV_VALUE_OBJECT)
		return NULL;
	for (uint32_t i = 0; i < o->n; i++)
		if (cv_str_eq(o->key[i], key))
			return &o->v[i];
	return NULL;
}

struct cv_str cv_value_get_str(const struct cv_value *o, struct cv_str key)
{
	const struct cv_value *v = cv_value_get(o, key);

	return v && v->type == CV_VALUE_STRING ? v->s : CV_STR_NONE;
}

/* A pointer's step says key; false also when its escapes are wrong. */
static bool step_says(struct cv_str step, struct cv_str key)
{
	size_t at = 0;

	for (size_t i = 0; i < step.n; i++, at++) {
		char c = step.p[i];

		if (c == '~') {
			if (++i == step.n || (step.p[i] != '0' && step.p[i] != '1'))
				return false;
			c = step.p[i] == '0' ? '~' : '/';
		}
		if (at >= key.n || key.p[at] != c)
			return false;
	}
	return at == key.n;
}

static const struct cv_value *step_take(const struct cv_value *v, struct cv_str step)
{
	uint64_t index;

	if (v->type == CV_VALUE_OBJECT) {
		for (uint32_t i = 0; i < v->n; i++)
			if (step_says(step, v->key[i]))
				return &v->v[i];
		return NULL;
	}
	if (v->type != CV_VALUE_ARRAY || !v->n || (step.n > 1 && step.p[0] == '0') ||
		!cv_str_to_u64(step, v->n - 1, &index))
		return NULL;
	return &v->v[index];
}

const struct cv_value *cv_value_at(const struct cv_value *v, struct cv_str pointer)
{
	if (!pointer.n)
		return v;
	if (pointer.p[0] != '/')
		return NULL;
	pointer = cv_str_slice(pointer, 1, pointer.n);
	while (v && pointer.p)
		v = step_take(v, cv_str_cut(&pointer, '/'));
	return v;
}

/* ---- numbers ---- */

#define DIFFERENCE_MAX INT64_C(100000000000000000) /* more than any text has digits */

struct number {
	bool is_negative, is_exponent_negative;
	struct cv_str digits;   /* from the first that is not zero; may hold a point */
	size_t significant;     /* of them, without zeroes at the end; 0: the number is zero */
	int64_t place;          /* digits before the point, from the first; -1 for 0.01 */
	struct cv_str exponent; /* digits, without zeroes before them */
};

static struct cv_str zeroes_pass(struct cv_str s)
{
	while (s.n && s.p[0] == '0')
		s = cv_str_slice(s, 1, s.n);
	return s;
}

static struct number number_of(const struct cv_value *v)
{
	struct number r = { 0 };
	struct cv_str s = v->s;
	size_t e = 0, count = 0;

	cv_assert(v->type == CV_VALUE_NUMBER);
	r.is_negative = s.n && s.p[0] == '-';
	s = cv_str_slice(s, r.is_negative, s.n);
	while (e < s.n && cv_ascii_lower(s.p[e]) != 'e')
		e++;
	r.exponent = cv_str_slice(s, e + 1, s.n);
	s = cv_str_slice(s, 0, e);
	if (r.exponent.n && (r.exponent.p[0] == '-' || r.exponent.p[0] == '+')) {
		r.is_exponent_negative = r.exponent.p[0] == '-';
		r.exponent = cv_str_slice(r.exponent, 1, r.exponent.n);
	}
	r.exponent = zeroes_pass(r.exponent);
	const size_t point = cv_str_find_byte(s, '.');
	size_t first = 0;
	while (first < s.n && (s.p[first] == '0' || s.p[first] == '.'))
		first++;
	r.digits = cv_str_slice(s, first, s.n);
	r.place = first <= point ? (int64_t)(point - first) : -(int64_t)(first - point - 1);
	for (size_t i = 0; i < r.digits.n; i++) {
		count += r.digits.p[i] != '.';
		if (r.digits.p[i] != '.' && r.digits.p[i] != '0')
			r.significant = count;
	}
	return r;
}

/* The i-th digit of a number's exponent as if it had n of them, with its sign. */
static int exponent_digit(const struct number *a, size_t i, size_t n)
{
	const size_t before = n - a->exponent.n;
	const int digit = i < before ? 0 : a->exponent.p[i - before] - '0';

	return a->is_exponent_negative ? -digit : digit;
}

/* E of a less E of b (b NULL: 0), exact within +-DIFFERENCE_MAX and with the right sign beyond. */
static int64_t exponent_difference(const struct number *a, const struct number *b)
{
	static const struct number none;
	int64_t d = 0;

	if (!b)
		b = &none;
	const size_t n = CV_MAX(a->exponent.n, b->exponent.n);
	/* from 2 on d only grows, whatever digits come */
	for (size_t i = 0; i < n && d < DIFFERENCE_MAX && d > -DIFFERENCE_MAX; i++)
		d = d * 10 + exponent_digit(a, i, n) - exponent_digit(b, i, n);
	return d + a->place - b->place;
}

/* The digits at *at, which moves on; 0 behind the last. */
static char digit_take(struct cv_str digits, size_t *at)
{
	if (*at < digits.n && digits.p[*at] == '.')
		(*at)++;
	return *at < digits.n ? digits.p[(*at)++] : '0';
}

static int digits_cmp(const struct number *a, const struct number *b)
{
	const size_t n = CV_MAX(a->significant, b->significant);
	size_t at = 0, bt = 0;

	for (size_t i = 0; i < n; i++) {
		const char x = digit_take(a->digits, &at), y = digit_take(b->digits, &bt);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

int cv_value_number_cmp(const struct cv_value *a, const struct cv_value *b)
{
	const struct number x = number_of(a), y = number_of(b);
	const int x_sign = !x.significant ? 0 : x.is_negative ? -1 : 1;
	const int y_sign = !y.significant ? 0 : y.is_negative ? -1 : 1;

	if (x_sign != y_sign || !x_sign)
		return (x_sign > y_sign) - (x_sign < y_sign);
	const int64_t d = exponent_difference(&x, &y);
	const int size = d ? (d > 0) - (d < 0) : digits_cmp(&x, &y);
	return x_sign * size;
}

bool cv_value_is_integer(const struct cv_value *v)
{
	if (v->type != CV_VALUE_NUMBER)
		return false;
	const struct number x = number_of(v);
	return !x.significant || exponent_difference(&x, NULL) >= (int64_t)x.significant;
}

bool cv_value_to_i64(const struct cv_value *v, int64_t *ret)
{
	int64_t sum = 0;
	size_t at = 0;

	if (!cv_value_is_integer(v))
		return false;
	const struct number x = number_of(v);
	const int64_t digits = x.significant ? exponent_difference(&x, NULL) : 0;
	if (digits > 19) /* of INT64_MAX */
		return false;
	for (int64_t i = 0; i < digits; i++) {
		const int digit = digit_take(x.digits, &at) - '0';

		if (__builtin_mul_overflow(sum, 10, &sum) ||
			__builtin_add_overflow(sum, x.is_negative ? -digit : digit, &sum))
			return false;
	}
	*ret = sum;
	return true;
}

bool cv_value_number_write(const struct cv_value *v, struct cv_buf *out)
{
	const struct number x = number_of(v);
	const int64_t digits = (int64_t)x.significant;
	/* before the point, from the first that counts: 0 for 0.1, -1 for 0.01 */
	const int64_t place = digits ? exponent_difference(&x, NULL) : 0;
	const int64_t end = CV_MAX(CV_MAX(digits, place), (int64_t)1);
	size_t at = 0;

	/* what can't fit is not begun: an exponent makes it any length */
	if (end > (int64_t)out->max || place < -(int64_t)out->max)
		return false;
	if (digits && x.is_negative)
		cv_buf_put_byte(out, '-');
	if (place <= 0 && digits)
		cv_buf_put(out, CV_STR("0."));
	for (int64_t i = place; i < 0; i++)
		cv_buf_put_byte(out, '0');
	for (int64_t i = 0; i < end; i++) {
		if (i && i == place)
			cv_buf_put_byte(out, '.');
		cv_buf_put_byte(out, i < digits ? digit_take(x.digits, &at) : '0');
	}
	return !out->is_overflown;
}

bool cv_value_is_divisor(const struct cv_value *v)
{
	if (v->type != CV_VALUE_NUMBER)
		return false;
	const struct number x = number_of(v);
	return x.significant && !x.is_negative && x.significant <= CV_VALUE_DIVISOR_DIGITS_MAX;
}

/* The significant digits as one number, modulo m (0: as they are). */
static uint64_t digits_modulo(const struct number *x, uint64_t m)
{
	unsigned __int128 sum = 0;
	size_t at = 0;

	for (size_t i = 0; i < x->significant; i++) {
		sum = sum * 10 + (unsigned)(digit_take(x->digits, &at) - '0');
		if (m)
			sum %= m;
	}
	return (uint64_t)sum;
}

bool cv_value_is_multiple(const struct cv_value *v, const struct cv_value *divisor)
{
	const struct number x = number_of(v), y = number_of(divisor);

	cv_assert(cv_value_is_divisor(divisor));
	if (!x.significant)
		return true;
	/* v = digits x 10^a and divisor = m x 10^b; this is a - b */
	const int64_t shift =
		exponent_difference(&x, &y) - (int64_t)x.significant + (int64_t)y.significant;
	if (shift < 0) /* the last digit would have to be 0, and is not */
		return false;
	const uint64_t m = digits_modulo(&y, 0);
	unsigned __int128 rest = digits_modulo(&x, m);
	/* by 64 tens all twos and fives of m are gone; more of them change nothing */
	for (int64_t i = 0; i < CV_MIN(shift, INT64_C(64)); i++)
		rest = rest * 10 % m;
	return rest == 0;
}

/* ---- order ---- */

struct member {
	struct cv_str key;
	const struct cv_value *v;
};

static int member_cmp(const void *a, const void *b)
{
	return cv_str_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void members_sort(const struct cv_value *o, struct member *m)
{
	for (uint32_t i = 0; i < o->n; i++)
		m[i] = (struct member){ o->key[i], &o->v[i] };
	qsort(m, o->n, sizeof(*m), member_cmp);
}

static int objects_cmp(const struct cv_value *a, const struct cv_value *b)
{
	int rc = 0;

	if (!a->n)
		return 0;
	struct member *m = calloc(a->n, 2 * sizeof(*m));
	cv_assert(m); /* of what was read before: its size is bounded */
	members_sort(a, m);
	members_sort(b, m + a->n);
	for (uint32_t i = 0; i < a->n && !rc; i++)
		rc = member_cmp(&m[i], &m[a->n + i]);
	for (uint32_t i = 0; i < a->n && !rc; i++)
		rc = cv_value_cmp(m[i].v, m[a->n + i].v);
	free(m);
	return rc;
}

int cv_value_cmp(const struct cv_value *a, const struct cv_value *b)
{
	int rc = 0;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	switch (a->type) {
	case CV_VALUE_NUMBER: return cv_value_number_cmp(a, b);
	case CV_VALUE_STRING: return cv_str_cmp(a->s, b->s);
	case CV_VALUE_OBJECT: return objects_cmp(a, b);
	case CV_VALUE_ARRAY:
		for (uint32_t i = 0; i < a->n && !rc; i++)
			rc = cv_value_cmp(&a->v[i], &b->v[i]);
		return rc;
	case CV_VALUE_NULL:
	case CV_VALUE_FALSE:
	case CV_VALUE_TRUE:
	case CV_VALUE_TYPE_COUNT: break;
	}
	return 0;
}

bool cv_value_eq(const struct cv_value *a, const struct cv_value *b)
{
	return cv_value_cmp(a, b) == 0;
}
