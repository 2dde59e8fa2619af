/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_adopt.c - what is believed of the file that names a supervisor, and of a process
 */
#include "unit/test.h"

#include "driver/adopt.c"

#define INSTANCE "408e86f8-6f13-438f-968e-cbb74fe6aed0"
#define TOKEN    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static bool parse(const char *text, struct cv_driver_process *p, uint64_t *pid, uint64_t *started)
{
	*p = (struct cv_driver_process){ .pidfd = -1 };
	return run_parse(cv_str_of(text), p, pid, started);
}

static void test_run(void **state)
{
	struct cv_driver_process p;
	uint64_t pid, started;

	(void)state;
	assert_true(parse(INSTANCE " " TOKEN "\n42 4711\n", &p, &pid, &started));
	assert_string_equal(p.instance, INSTANCE);
	assert_int_equal(p.token[31], 0x1f);
	assert_int_equal(pid, 42);
	assert_int_equal(started, 4711);
	/* void, and written over without having been cut yet */
	assert_false(parse("----------", &p, &pid, &started));
	assert_true(parse(INSTANCE " " TOKEN "\n---------", &p, &pid, &started));
	assert_int_equal(pid, 0);
	/* cut off anywhere behind the first line: it will dial */
	assert_true(parse(INSTANCE " " TOKEN "\n", &p, &pid, &started));
	assert_int_equal(pid, 0);
	assert_true(parse(INSTANCE " " TOKEN "\n42 47", &p, &pid, &started));
	assert_int_equal(pid, 0);
	assert_true(parse(INSTANCE " " TOKEN "\nx y\n", &p, &pid, &started));
	assert_int_equal(pid, 0);
	assert_false(parse("", &p, &pid, &started));
	assert_false(parse(INSTANCE, &p, &pid, &started));
	assert_false(parse(INSTANCE " " TOKEN, &p, &pid, &started));
	assert_false(parse(INSTANCE " 00\n", &p, &pid, &started));
	assert_false(parse("x " TOKEN "\n", &p, &pid, &started));
}

static void test_ids(void **state)
{
	(void)state;
	assert_true(cv_driver_id_is_plain(CV_STR(INSTANCE)));
	assert_false(cv_driver_id_is_plain(CV_STR("")));
	assert_false(cv_driver_id_is_plain(CV_STR(".")));
	assert_false(cv_driver_id_is_plain(CV_STR("..")));
	assert_false(cv_driver_id_is_plain(CV_STR("a/b")));
	assert_false(cv_driver_id_is_plain(CV_STR(".removed-a")));
	assert_false(cv_driver_id_is_plain(CV_STR("a\0b")));
}

static void test_started(void **state)
{
	(void)state;
	assert_int_equal(cv_driver_pid_started(getpid()), 0); /* this is no supervisor */
	assert_int_equal(cv_driver_pid_started(0x7fffffff), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
