/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pool.c - what is freed is never found again
 *
 * Goal: a reference names its object or nothing.  Method: places are taken and given back, and old
 * references are asked for.
 */
#include "broker/pool.c"
#include "unit/test.h"

/* A broker's pools last as long as it does. */
static void pool_fini(struct pool *p)
{
	free(p->v);
	free(p->gen);
}

static void test_a_late_reference_finds_nothing(void **state)
{
	struct pool p;
	struct cv_ref a, b;

	(void)state;
	pool_init(&p, 4, sizeof(int));
	assert_null(pool_get(&p, (struct cv_ref){ 0, 0 })); /* a zeroed one */
	int *x = pool_new(&p, &a);
	assert_int_equal(*x, 0);
	*x = 7;
	assert_ptr_equal(pool_get(&p, a), x);
	pool_free(&p, a);
	assert_null(pool_get(&p, a));
	int *y = pool_new(&p, &b);
	assert_int_equal(b.index, a.index);
	assert_int_equal(*y, 0);
	assert_null(pool_get(&p, a));
	assert_ptr_equal(pool_get(&p, b), y);
	pool_free(&p, b);
	assert_null(pool_get(&p, (struct cv_ref){ 1000, 1 }));
	pool_fini(&p);
}

static void test_full_and_top(void **state)
{
	struct cv_ref ref[4], more;
	struct pool p;

	(void)state;
	pool_init(&p, 4, sizeof(int));
	for (size_t i = 0; i < 4; i++)
		assert_non_null(pool_new(&p, &ref[i]));
	assert_null(pool_new(&p, &more));
	assert_int_equal(p.top, 4);
	pool_free(&p, ref[1]);
	pool_free(&p, ref[2]);
	assert_int_equal(p.top, 4);
	assert_null(pool_at(&p, 2));
	pool_free(&p, ref[3]);
	assert_int_equal(p.top, 1);
	assert_non_null(pool_new(&p, &more));
	assert_int_equal(more.index, 1);
	assert_int_equal(p.used, 2);
	pool_free(&p, more);
	pool_free(&p, ref[0]);
	assert_int_equal(p.top, 0);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_late_reference_finds_nothing),
		cmocka_unit_test(test_full_and_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
