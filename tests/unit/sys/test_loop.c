/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an event names what was registered, in full, and only while it is registered.
 */
#include "unit/test.h"

#include "sys/loop.c"

static void watch_comes_back_whole(void **state)
{
	const struct cv_watch w = { .kind = 200, .ref = { CV_LOOP_INDEX_MAX, UINT32_MAX } };
	struct cv_loop_event e[CV_LOOP_EVENTS_MAX];
	struct cv_loop l;
	int fd[2];

	(void)state;
	assert_int_equal(cv_loop_init(&l, NULL), CV_OK);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(cv_loop_add(&l, fd[0], EPOLLIN, w, NULL), CV_OK);
	assert_int_equal(cv_loop_wait(&l, 0, e), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(cv_loop_wait(&l, 1000, e), 1);
	assert_int_equal(e[0].watch.kind, w.kind);
	assert_int_equal(e[0].watch.ref.index, w.ref.index);
	assert_int_equal(e[0].watch.ref.gen, w.ref.gen);
	assert_true(e[0].events & EPOLLIN);
	cv_loop_remove(&l, fd[0]);
	assert_int_equal(cv_loop_wait(&l, 0, e), 0);
	cv_loop_remove(&l, fd[0]); /* not there any more is fine */
	close(fd[0]);
	close(fd[1]);
	cv_loop_fini(&l);
}

/* What is watched for and as what changes at once, also for what is ready already. */
static void watch_is_changed(void **state)
{
	const struct cv_watch first = { .kind = 1, .ref = { 7, 1 } },
			      second = { .kind = 2, .ref = { 9, 3 } };
	struct cv_loop_event e[CV_LOOP_EVENTS_MAX];
	struct cv_loop l;
	int fd[2];

	(void)state;
	assert_int_equal(cv_loop_init(&l, NULL), CV_OK);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(cv_loop_add(&l, fd[0], EPOLLIN | EPOLLET, first, NULL), CV_OK);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(cv_loop_wait(&l, 1000, e), 1);
	assert_int_equal(cv_loop_wait(&l, 0, e), 0);
	assert_int_equal(cv_loop_change(&l, fd[0], EPOLLIN | EPOLLET, second), CV_OK);
	assert_int_equal(cv_loop_wait(&l, 1000, e), 1);
	assert_int_equal(e[0].watch.kind, second.kind);
	assert_int_equal(e[0].watch.ref.index, second.ref.index);
	assert_int_equal(e[0].watch.ref.gen, second.ref.gen);
	cv_loop_remove(&l, fd[0]);
	assert_int_equal(cv_loop_change(&l, fd[0], EPOLLIN, first), CV_SYSTEM);
	close(fd[0]);
	close(fd[1]);
	cv_loop_fini(&l);
}

static void bad_descriptor_is_an_error(void **state)
{
	const struct cv_watch w = { 0 };
	struct cv_err err;
	struct cv_loop l;

	(void)state;
	assert_int_equal(cv_loop_init(&l, &err), CV_OK);
	assert_int_equal(cv_loop_add(&l, -1, EPOLLIN, w, &err), CV_SYSTEM);
	assert_int_equal(err.sys, EBADF);
	cv_loop_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watch_comes_back_whole),
		cmocka_unit_test(watch_is_changed),
		cmocka_unit_test(bad_descriptor_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
