/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.c - pairs of a raw query; see query.h
 *
 * A pair without escapes is a slice of the query; only others cost memory.
 */
#include "wire/query.h"

#include "base/hex.h"
#include "base/utf8.h"

/* As q->count: a pair could not be read, and the iteration is over. */
#define COUNT_MALFORMED SIZE_MAX

void cv_query_start(struct cv_query *q, struct cv_str raw, struct cv_arena *arena)
{
	*q = (struct cv_query){
		.rest = raw,
		.arena = arena,
		.has_semicolon = cv_str_has_byte(raw, ';'),
	};
}

/* Decodes s into dst, which has s.n bytes.  False on a bad escape or an encoded NUL. */
static bool decode(struct cv_str s, char *dst, size_t *ret_n)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i] == '+' ? ' ' : s.p[i];

		if (c == '%') {
			unsigned char byte;

			if (!cv_hex_decode(cv_str_slice(s, i + 1, i + 3), &byte, 1) || byte == 0)
				return false;
			c = (char)byte;
			i += 2;
		}
		dst[n++] = c;
	}
	*ret_n = n;
	return true;
}

static bool part_decode(struct cv_query *q, struct cv_str *s)
{
	if (cv_str_has_byte(*s, '%') || cv_str_has_byte(*s, '+')) {
		char *dst = cv_arena_alloc(q->arena, s->n);
		size_t n;

		if (!dst || !decode(*s, dst, &n))
			return false;
		*s = (struct cv_str){ dst, n };
	}
	return !cv_str_has_byte(*s, '\0') && cv_utf8_is_valid(*s);
}

static enum cv_query_step malformed(struct cv_query *q)
{
	q->count = COUNT_MALFORMED;
	return CV_QUERY_MALFORMED;
}

enum cv_query_step cv_query_next(struct cv_query *q, struct cv_query_pair *ret)
{
	struct cv_str text = CV_STR_NONE;

	if (q->count == COUNT_MALFORMED)
		return CV_QUERY_MALFORMED;
	while (q->rest.p && text.n == 0) /* `a&&b` has two pairs */
		text = cv_str_cut(&q->rest, '&');
	if (text.n == 0)
		return CV_QUERY_END;
	if (q->count == CV_QUERY_PAIRS_MAX)
		return malformed(q);
	q->count++;

	const size_t eq = cv_str_find_byte(text, '=');
	struct cv_query_pair pair = {
		.key = cv_str_slice(text, 0, eq),
		.value = cv_str_slice(text, eq + 1, text.n),
		.has_value = eq < text.n,
	};
	if (!part_decode(q, &pair.key) || !part_decode(q, &pair.value))
		return malformed(q);
	*ret = pair;
	return CV_QUERY_PAIR;
}
