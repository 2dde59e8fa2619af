/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an arena hands out zeroed, aligned memory up to its cap, and running out is sticky.
 * Method: the module included whole; sizes around chunk edges and around SIZE_MAX.
 */
#include "unit/test.h"

#include "base/arena.c"

static void aligned_and_zeroed(void **state)
{
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, 1 << 20);
	for (size_t n = 1; n < 3000; n += 7) {
		unsigned char *p = cv_arena_alloc(&a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % ALIGN, 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xaa, n);
	}
	cv_arena_reset(&a);
	const unsigned char *again = cv_arena_alloc(&a, 64);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(again[i], 0);
	cv_arena_fini(&a);
}

static void wiped(void **state)
{
	struct cv_arena a;
	char *p[3];

	(void)state;
	cv_arena_init(&a, 1 << 20);
	for (size_t i = 0; i < CV_ARRAY_LEN(p); i++) {
		p[i] = cv_arena_alloc(&a, 3000); /* each in a chunk of its own */
		memset(p[i], 's', 3000);
	}
	chunks_wipe(a.chunk);
	for (size_t i = 0; i < CV_ARRAY_LEN(p); i++)
		for (size_t k = 0; k < 3000; k++)
			assert_int_equal(p[i][k], 0);
	cv_arena_wipe(&a);
	assert_null(a.chunk);
	assert_int_equal(a.used, 0);
}

static void cap_is_sticky(void **state)
{
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, 64);
	assert_non_null(cv_arena_alloc(&a, 48));
	assert_null(cv_arena_alloc(&a, 32));
	assert_null(cv_arena_alloc(&a, 1));
	assert_true(a.is_overflown);
	cv_arena_reset(&a);
	assert_non_null(cv_arena_alloc(&a, 64));
	assert_null(cv_arena_array(&a, SIZE_MAX / 2, 4));
	cv_arena_reset(&a);
	assert_null(cv_arena_alloc(&a, SIZE_MAX));
	cv_arena_fini(&a);
}

static void strings_end_in_nul(void **state)
{
	struct cv_arena a;

	(void)state;
	cv_arena_init(&a, 4096);
	const struct cv_str s = cv_arena_str(&a, cv_str_slice(CV_STR("hostname"), 0, 4));
	assert_int_equal(s.n, 4);
	assert_string_equal(s.p, "host");
	assert_string_equal(cv_arena_printf(&a, "%d-%s", 7, "x").p, "7-x");
	cv_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned_and_zeroed),
		cmocka_unit_test(cap_is_sticky),
		cmocka_unit_test(strings_end_in_nul),
		cmocka_unit_test(wiped),
	};

	return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
