/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.c - see proc.h
 */
#include "sys/proc.h"

#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

cv_code cv_proc_harden(struct cv_err *err)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return cv_fail_errno(err, "forbid core files");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return cv_fail_errno(err, "forbid dumps");
	return CV_OK;
}

cv_code cv_proc_no_new_privs_set(struct cv_err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return cv_fail_errno(err, "set no_new_privs");
	return CV_OK;
}

cv_code cv_proc_die_with_parent(pid_t parent, struct cv_err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return cv_fail_errno(err, "die with the parent");
	if (getppid() != parent)
		return cv_fail(err, CV_UNAVAILABLE, "the parent died before this process began");
	return CV_OK;
}

void cv_proc_elsewhere(pid_t pid)
{
	const int here = sched_getcpu();
	cpu_set_t set;

	if (here < 0 || here >= CPU_SETSIZE || sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	CPU_CLR(here, &set);
	if (CPU_COUNT(&set) > 0)
		(void)!sched_setaffinity(pid, sizeof(set), &set);
}

void cv_proc_anywhere(pid_t pid)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		(void)!sched_setaffinity(pid, sizeof(set), &set);
}

cv_code cv_proc_cloexec_from(unsigned first, struct cv_err *err)
{
	if (syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return cv_fail_errno(err, "mark descriptors close-on-exec");
	return CV_OK;
}
