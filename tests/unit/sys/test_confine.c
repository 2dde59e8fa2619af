/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: capabilities are gone from all five sets and stay gone after exec; the other steps do what
 * they say, and a dead parent is noticed.
 * Method: children take things away from themselves; the kernel's /proc/self/status is the witness.
 */
#include "unit/test.h"

#include "sys/caps.c"
#include "sys/proc.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define SKIPPED 77 /* a child that the kernel refuses a user namespace */

static struct cv_err err;

static int in_child(int (*body)(void))
{
	int status;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip_unavailable("no user namespaces for this user");
	return WEXITSTATUS(status);
}

/* A status line of all zeros, by the shell that was started last. */
static int exec_and_look(void)
{
	execl("/bin/sh", "sh", "-c",
		"! grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb):.*[1-9a-f]' /proc/self/status", NULL);
	return 99;
}

static int caps_body(void)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return SKIPPED;
	if (empty_verify(&err) != CV_DENIED) /* the witness can fail */
		return 2;
	if (cv_caps_drop_all(&err) != CV_OK || empty_verify(&err) != CV_OK)
		return 3;
	return exec_and_look();
}

static void p15_capabilities_stay_gone(void **state)
{
	(void)state;
	assert_int_equal(in_child(caps_body), 0);
}

/* What drop_all must notice: a bounding set that stayed. */
static int bounding_body(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (unshare(CLONE_NEWUSER) < 0)
		return SKIPPED;
	if (syscall(SYS_capset, &head, data) < 0)
		return 2;
	return empty_verify(&err) == CV_DENIED && cv_caps_drop_all(&err) == CV_SYSTEM ? 0 : 3;
}

static void p15_bounding_set_is_looked_at(void **state)
{
	(void)state;
	assert_int_equal(in_child(bounding_body), 0);
}

static int harden_body(void)
{
	struct rlimit core;

	if (cv_proc_harden(&err) != CV_OK || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 1;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 2;
	if (cv_proc_no_new_privs_set(&err) != CV_OK || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 3;
	return 0;
}

static void p2_not_dumpable(void **state)
{
	(void)state;
	assert_int_equal(in_child(harden_body), 0);
}

static int cloexec_body(void)
{
	const int fd = open("/dev/null", O_RDONLY);

	if (fd < 3 || cv_proc_cloexec_from(3, &err) != CV_OK)
		return 1;
	return fcntl(fd, F_GETFD) & FD_CLOEXEC && !(fcntl(0, F_GETFD) & FD_CLOEXEC) ? 0 : 2;
}

static void n9_descriptors_end_at_exec(void **state)
{
	(void)state;
	assert_int_equal(in_child(cloexec_body), 0);
}

static int orphan_body(void)
{
	/* 1 is a parent that we never had */
	if (cv_proc_die_with_parent(getppid() == 1 ? 2 : 1, &err) != CV_UNAVAILABLE)
		return 1;
	return cv_proc_die_with_parent(getppid(), &err) == CV_OK ? 0 : 2;
}

static void p16_dead_parent_is_noticed(void **state)
{
	(void)state;
	assert_int_equal(in_child(orphan_body), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p15_capabilities_stay_gone),
		cmocka_unit_test(p15_bounding_set_is_looked_at),
		cmocka_unit_test(p2_not_dumpable),
		cmocka_unit_test(n9_descriptors_end_at_exec),
		cmocka_unit_test(p16_dead_parent_is_noticed),
	};

	return cmocka_run_group_tests_name("sys/confine", tests, NULL, NULL);
}
