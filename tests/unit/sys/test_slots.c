/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_slots.c - slots among processes
 *
 * Goal: never more than the limit, whoever asks; what ends, in whatever way, gives its slot back; and a
 * file that others may open counts nothing.
 */
#include "sys/slots.h"
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/cove-test-slots.XXXXXX";
static char path[sizeof(dir) + 16];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/slots", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

/* -1: all are taken. */
static int take(const char *name, uint32_t max)
{
	struct cv_err err;
	int fd;

	if (cv_slot_take(path, cv_str_of(name), max, &fd, &err) != CV_OK)
		fail_msg("%s", err.msg);
	return fd;
}

static void counts(void **state)
{
	int held[5];

	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_true((held[i] = take("deploy", 5)) >= 0);
	assert_int_equal(take("deploy", 5), -1);
	close(held[2]);
	assert_true((held[2] = take("deploy", 5)) >= 0);
	assert_int_equal(take("deploy", 5), -1);
	for (size_t i = 0; i < 5; i++)
		close(held[i]);
}

static void names_do_not_meet(void **state)
{
	const int one = take("deploy", 1), two = take("deploys", 1), none = take("", 1);

	(void)state;
	assert_true(one >= 0 && two >= 0 && none >= 0);
	assert_int_equal(take("", 1), -1);
	close(one);
	close(two);
	close(none);
}

/* Who allows fewer counts all that others took, wherever they stand. */
static void another_limit(void **state)
{
	int held[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_true((held[i] = take("deploy", 4)) >= 0);
	assert_int_equal(take("deploy", 4), -1);
	for (size_t i = 0; i < 3; i++) { /* the last stands behind all of them */
		assert_int_equal(take("deploy", 1), -1);
		close(held[i]);
	}
	assert_int_equal(take("deploy", 1), -1);
	const int two = take("deploy", 2);
	assert_true(two >= 0);
	assert_int_equal(take("deploy", 2), -1);
	close(held[3]);
	close(two);
	const int one = take("deploy", 1);
	assert_true(one >= 0);
	close(one);
}

/* Many at once, with limits of their own: never more than the limit of who was let in. */
static void a_crowd(void **state)
{
	enum { EACH = 200, CROWD = 6 };
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; i < CROWD; i++) {
		if (fork() != 0)
			continue;
		const uint32_t max = i % 2 ? 1 : 3;
		for (int k = 0; k < EACH;) {
			const int fd = take("crowd", max);
			char now[2] = { (char)('0' + max), '+' };

			if (fd < 0)
				continue;
			(void)!write(pipes[1], now, 2);
			now[1] = '-';
			(void)!write(pipes[1], now, 2);
			close(fd);
			k++;
		}
		_exit(0);
	}
	int running = 0, n = 0;
	char now[2];
	close(pipes[1]);
	while (read(pipes[0], now, 2) == 2) {
		running += now[1] == '+' ? 1 : -1;
		n++;
		assert_true(now[1] == '-' || running <= now[0] - '0');
	}
	assert_int_equal(n, 2 * EACH * CROWD);
	close(pipes[0]);
	while (wait(NULL) > 0)
		;
}

static void p16_killed(void **state)
{
	int pipes[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		const int fd = take("deploy", 1);
		(void)!write(pipes[1], "x", fd >= 0);
		pause();
		_exit(0);
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(take("deploy", 1), -1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	const int fd = take("deploy", 1);
	assert_true(fd >= 0);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

/* A process that was forked and has done nothing yet keeps nobody out. */
static void is_given_back_whoever_has_a_copy(void **state)
{
	const int fd = take("deploy", 1);

	(void)state;
	const pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(take("deploy", 1), -1);
	cv_slot_give(fd);
	const int again = take("deploy", 1);
	assert_true(again >= 0);
	cv_slot_give(again);
	cv_slot_give(-1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A program that is started meanwhile has none of it. */
static void is_not_inherited(void **state)
{
	const int fd = take("deploy", 1);

	(void)state;
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void nothing_is_written(void **state)
{
	const int fd = take("deploy", 3);
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
}

static void refused(const char *what, cv_code code)
{
	struct cv_err err;
	int fd;

	if (cv_slot_take(path, CV_STR("deploy"), 1, &fd, &err) != code)
		fail_msg("%s", what);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(err.msg, path));
}

static void a_file_that_is_not_ours_alone(void **state)
{
	char other[sizeof(path) + 8];

	(void)state;
	snprintf(other, sizeof(other), "%s.other", path);
	assert_int_equal(chmod(path, 0640), 0);
	refused("a mode", CV_DENIED);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	refused("a symlink", CV_SYSTEM);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused("a pipe", CV_DENIED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	refused("a directory", CV_SYSTEM);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(unlink(other), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(names_do_not_meet),
		cmocka_unit_test(another_limit),
		cmocka_unit_test(a_crowd),
		cmocka_unit_test(p16_killed),
		cmocka_unit_test(is_given_back_whoever_has_a_copy),
		cmocka_unit_test(is_not_inherited),
		cmocka_unit_test(nothing_is_written),
		cmocka_unit_test(a_file_that_is_not_ours_alone),
	};

	return cmocka_run_group_tests_name("sys/slots", tests, setup, teardown);
}
