/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.c - borrowed bytes; see str.h
 */
#include "base/str.h"

#include "base/assert.h"

#include <stdlib.h>

bool cv_str_eq_nocase(struct cv_str a, struct cv_str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (cv_ascii_lower(a.p[i]) != cv_ascii_lower(b.p[i]))
			return false;
	return true;
}

int cv_str_cmp(struct cv_str a, struct cv_str b)
{
	const size_t n = CV_MIN(a.n, b.n);
	const int r = n ? memcmp(a.p, b.p, n) : 0;

	if (r)
		return r;
	return (a.n > b.n) - (a.n < b.n);
}

bool cv_str_has_prefix(struct cv_str s, struct cv_str prefix)
{
	return s.n >= prefix.n && cv_str_eq(cv_str_slice(s, 0, prefix.n), prefix);
}

bool cv_str_has_suffix(struct cv_str s, struct cv_str suffix)
{
	return s.n >= suffix.n && cv_str_eq(cv_str_slice(s, s.n - suffix.n, s.n), suffix);
}

bool cv_str_has_byte(struct cv_str s, char c)
{
	return cv_str_find_byte(s, c) < s.n;
}

size_t cv_str_find_byte(struct cv_str s, char c)
{
	const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;

	return hit ? (size_t)(hit - s.p) : s.n;
}

size_t cv_str_rfind_byte(struct cv_str s, char c)
{
	const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;

	return hit ? (size_t)(hit - s.p) : s.n;
}

struct cv_str cv_str_slice(struct cv_str s, size_t from, size_t to)
{
	to = CV_MIN(to, s.n);
	from = CV_MIN(from, to);
	return (struct cv_str){ s.p ? s.p + from : NULL, to - from };
}

struct cv_str cv_str_cut(struct cv_str *s, char sep)
{
	const struct cv_str whole = *s;
	const size_t at = cv_str_find_byte(whole, sep);

	*s = at < whole.n ? cv_str_slice(whole, at + 1, whole.n) : CV_STR_NONE;
	return cv_str_slice(whole, 0, at);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct cv_str cv_str_trim(struct cv_str s)
{
	while (s.n && is_blank(s.p[0]))
		s = cv_str_slice(s, 1, s.n);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool cv_str_has_control(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

bool cv_str_to_u64(struct cv_str s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v) || v > max)
			return false;
	}
	*ret = v;
	return true;
}

bool cv_str_to_cstr(struct cv_str s, char *dst, size_t size)
{
	cv_assert(size > 0);
	dst[0] = '\0';
	if (s.n >= size || cv_str_has_byte(s, '\0'))
		return false;
	if (s.n)
		memcpy(dst, s.p, s.n);
	dst[s.n] = '\0';
	return true;
}

char *cv_str_dup(struct cv_str s)
{
	char *text = malloc(s.n + 1);

	if (!text)
		return NULL;
	if (s.n)
		memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return text;
}
