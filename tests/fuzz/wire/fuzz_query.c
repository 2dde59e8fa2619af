/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_query.c - hostile queries
 *
 * Property: the pairs, encoded byte by byte and joined again, give the same pairs.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/buf.h"
#include "wire/query.h"

#define BYTES_MAX (4u << 20) /* three bytes for one, and arena alignment */

static void part_put(struct cv_buf *b, struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		cv_buf_printf(b, "%%%02x", (unsigned)(unsigned char)s.p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str raw = { (const char *)data, size };
	struct cv_query q, again;
	struct cv_query_pair a, b;
	enum cv_query_step step;
	struct cv_arena arena;
	struct cv_buf out;

	cv_arena_init(&arena, BYTES_MAX);
	cv_buf_init(&out, BYTES_MAX);
	cv_query_start(&q, raw, &arena);
	while ((step = cv_query_next(&q, &a)) == CV_QUERY_PAIR) {
		part_put(&out, a.key);
		cv_buf_put(&out, a.has_value ? CV_STR("=") : CV_STR_NONE);
		part_put(&out, a.value);
		cv_buf_put(&out, CV_STR("&"));
	}
	cv_assert(q.has_semicolon == cv_str_has_byte(raw, ';'));
	if (step == CV_QUERY_END && !out.is_overflown) {
		cv_query_start(&q, raw, &arena);
		cv_query_start(&again, cv_buf_str(&out), &arena);
		while (cv_query_next(&q, &a) == CV_QUERY_PAIR) {
			cv_assert(cv_query_next(&again, &b) == CV_QUERY_PAIR);
			cv_assert(cv_str_eq(a.key, b.key) && cv_str_eq(a.value, b.value));
			cv_assert(a.has_value == b.has_value);
		}
		cv_assert(cv_query_next(&again, &b) == CV_QUERY_END);
	}
	cv_buf_fini(&out);
	cv_arena_fini(&arena);
	return 0;
}
