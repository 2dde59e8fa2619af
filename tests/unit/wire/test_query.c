/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: every occurrence of a key is seen, decoded, and doubts are said aloud (T13).
 * Method: queries and the list of pairs that each must give, written `key=value|`.
 */
#include "unit/test.h"

#include "base/buf.h"
#include "wire/query.c"

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}

static void t13_pairs(void **state)
{
	static const struct {
		struct cv_str in;
		const char *want; /* `!` at the end: malformed */
		bool has_semicolon;
	} row[] = {
		{ { NULL, 0 }, "", false },
		{ S(""), "", false },
		{ S("a=1&b=2"), "a=1|b=2|", false },
		{ S("a=1&a=2&%61=3&A=4"), "a=1|a=2|a=3|A=4|", false },
		{ S("a=1;a=2"), "a=1;a=2|", true },
		{ S("a=1%3ba=2"), "a=1;a=2|", false },
		{ S("a+b=c+d%2b"), "a b=c d+|", false },
		{ S("a"), "a|", false },
		{ S("a="), "a=|", false },
		{ S("=v"), "=v|", false },
		{ S("a=b=c"), "a=b=c|", false },
		{ S("&&a&&b&"), "a|b|", false },
		{ S("a%3Db=c"), "a=b=c|", false },
		{ S("a%26b=c"), "a&b=c|", false },
		{ S("q=%c3%a9"), "q=\xc3\xa9|", false },
		{ S("ok=1&a=%"), "ok=1|!", false },
		{ S("a=%4"), "!", false },
		{ S("a=%4g"), "!", false },
		{ S("a=%00"), "!", false },
		{ S("a\0=1"), "!", false },
		{ S("a=%c0%af"), "!", false },
		{ S("%ff=1&a=1"), "!", false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_arena arena;
		struct cv_buf got;
		struct cv_query q;
		struct cv_query_pair pair;
		enum cv_query_step step;

		cv_arena_init(&arena, 4096);
		cv_buf_init(&got, 4096);
		cv_query_start(&q, row[i].in, &arena);
		assert_int_equal(q.has_semicolon, row[i].has_semicolon);
		while ((step = cv_query_next(&q, &pair)) == CV_QUERY_PAIR) {
			cv_buf_put(&got, pair.key);
			cv_buf_put(&got, pair.has_value ? CV_STR("=") : CV_STR_NONE);
			cv_buf_put(&got, pair.value);
			cv_buf_put(&got, CV_STR("|"));
		}
		if (step == CV_QUERY_MALFORMED) {
			cv_buf_put(&got, CV_STR("!"));
			assert_int_equal(cv_query_next(&q, &pair), CV_QUERY_MALFORMED);
		}
		assert_str(cv_buf_str(&got), row[i].want);
		cv_buf_fini(&got);
		cv_arena_fini(&arena);
	}
}

static void t13_bounded(void **state)
{
	static char raw[2 * (CV_QUERY_PAIRS_MAX + 1)];
	struct cv_arena arena;
	struct cv_query q;
	struct cv_query_pair pair;
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(raw); i += 2)
		memcpy(raw + i, "a&", 2);
	cv_arena_init(&arena, 64);
	cv_query_start(&q, (struct cv_str){ raw, sizeof(raw) }, &arena);
	while (cv_query_next(&q, &pair) == CV_QUERY_PAIR)
		count++;
	assert_int_equal(count, CV_QUERY_PAIRS_MAX);
	assert_int_equal(cv_query_next(&q, &pair), CV_QUERY_MALFORMED);

	memset(raw, '+', 200); /* needs decoding, and does not fit the arena */
	cv_query_start(&q, (struct cv_str){ raw, 200 }, &arena);
	assert_int_equal(cv_query_next(&q, &pair), CV_QUERY_MALFORMED);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t13_pairs),
		cmocka_unit_test(t13_bounded),
	};

	return cmocka_run_group_tests_name("wire/query", tests, NULL, NULL);
}
