/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: who waits for a child gets its status through signals that come meanwhile, and hears it when
 * there is nobody to wait for; nobody's number kills anybody.
 * Method: children that end in each way, under a timer whose handler interrupts.
 */
#include "unit/test.h"

#include <signal.h>
#include <stdbool.h>

static bool is_everybody_killed;

/* What must not be passed on does not get as far as the kernel: this machine is others' too. */
static int kill_one(pid_t pid, int signal_number)
{
	if (pid > 0)
		return kill(pid, signal_number);
	is_everybody_killed = true;
	return -1;
}

#define kill kill_one
#include "../../../src/sys/child.c"
#undef kill

#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t interruptions;

static void on_alarm(int signal_number)
{
	(void)signal_number;
	interruptions++;
}

static pid_t sleeper(void)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	while (pid == 0)
		pause();
	return pid;
}

static void a_status_through_interruptions(void **state)
{
	const struct sigaction action = { .sa_handler = on_alarm }; /* without SA_RESTART */
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, off = { 0 };
	int status = -1;

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		usleep(50000);
		_exit(7);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_int_equal(cv_child_wait(pid, &status), CV_OK);
	assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
	assert_true(interruptions > 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void nobody_to_wait_for(void **state)
{
	const pid_t pid = fork(), nobody[] = { pid, 0, -1, getpid() };

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(cv_child_wait(pid, NULL), CV_OK);
	const pid_t other = sleeper(); /* of whom a wait for anyone would have to wait */
	for (size_t i = 0; i < CV_ARRAY_LEN(nobody); i++) {
		int status = 123;

		errno = 0;
		assert_int_equal(cv_child_wait(nobody[i], &status), CV_SYSTEM);
		assert_int_equal(errno, ECHILD);
		assert_int_equal(status, 123);
	}
	cv_child_kill(other);
}

/* One that was started by somebody who ignores SIGCHLD still waits; the status is lost. */
static void where_sigchld_is_ignored(void **state)
{
	int status = 123;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	const pid_t pid = fork();
	if (pid == 0) {
		usleep(20000);
		_exit(7);
	}
	assert_int_equal(cv_child_wait(pid, &status), CV_SYSTEM);
	signal(SIGCHLD, SIG_DFL);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(status, 123);
	assert_int_equal(kill(pid, 0), -1); /* it has ended */
}

static void a_kill_and_nobody_else(void **state)
{
	const pid_t pid = sleeper(), other = sleeper();

	(void)state;
	cv_child_kill(0);
	cv_child_kill(-1);
	assert_false(is_everybody_killed);
	cv_child_kill(pid);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH); /* waited for, too */
	assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
	cv_child_kill(other);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_through_interruptions),
		cmocka_unit_test(nobody_to_wait_for),
		cmocka_unit_test(where_sigchld_is_ignored),
		cmocka_unit_test(a_kill_and_nobody_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
