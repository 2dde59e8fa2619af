/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: names in scopes are kept apart and found again; memory running out is said.
 */
#include "unit/test.h"

#include "base/map.c"

#include <stdio.h>

#define COUNT 5000

static void names_are_found_in_their_scope(void **state)
{
	static char names[COUNT][16];
	struct cv_arena a;
	struct cv_map m;

	(void)state;
	cv_arena_init(&a, 4 << 20);
	cv_map_init(&m, &a);
	assert_int_equal(cv_map_get(&m, 0, CV_STR("a")), CV_MAP_NONE);
	for (uint32_t i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "n%.*s%u", (int)(i % 9), "xxxxxxxxx", i);
		uint32_t *at = cv_map_at(&m, i % 3, cv_str_of(names[i]));
		assert_non_null(at);
		assert_int_equal(*at, CV_MAP_NONE);
		*at = i;
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(cv_map_get(&m, i % 3, cv_str_of(names[i])), i);
		assert_int_equal(cv_map_get(&m, 3, cv_str_of(names[i])), CV_MAP_NONE);
		assert_int_equal(*cv_map_at(&m, i % 3, cv_str_of(names[i])), i);
	}
	assert_int_equal(m.count, COUNT);
	assert_int_equal(cv_map_get(&m, 0, CV_STR("absent")), CV_MAP_NONE);
	*cv_map_at(&m, 7, CV_STR_NONE) = 1; /* the empty name is a name */
	assert_int_equal(cv_map_get(&m, 7, CV_STR("")), 1);
	cv_arena_fini(&a);
}

static void a_full_arena_is_said(void **state)
{
	struct cv_arena a;
	struct cv_map m;
	char name[2] = { 'a', 0 };
	uint32_t *at = NULL;

	(void)state;
	cv_arena_init(&a, CAP_MIN * sizeof(struct cv_map_slot));
	cv_map_init(&m, &a);
	for (int i = 0; i < CAP_MIN / 2; i++)
		assert_non_null(cv_map_at(&m, (uint32_t)i, cv_str_of(name)));
	at = cv_map_at(&m, 99, cv_str_of(name));
	assert_null(at);
	assert_int_equal(cv_map_get(&m, 99, cv_str_of(name)), CV_MAP_NONE);
	cv_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_in_their_scope),
		cmocka_unit_test(a_full_arena_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
