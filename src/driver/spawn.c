/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.c - see spawn.h
 *
 * clone(2) with CLONE_VM and CLONE_VFORK, as posix_spawn(3) does it, because copying the page tables
 * of a large gateway would take longer than all the rest; and with CLONE_PIDFD, which posix_spawn()
 * of this glibc does not know.  The child runs on a stack of its own in our memory while we wait: it
 * makes system calls and changes nothing but its own variables and `failed`.  Signals are blocked all
 * that time, since a handler of ours would run on the child's stack.
 */
#include "driver/spawn.h"

#include "sys/child.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#define STACK_BYTES 32768 /* the child calls no deeper than a system call's wrapper */

struct child {
	const char *exe;
	const int *fds; /* all at CV_DRIVER_SPAWN_FDS_MAX and above, or -1 */
	size_t fd_count;
	int failed; /* errno of what the child could not do */
};

static int child_main(void *arg)
{
	static char *const none[] = { NULL };
	struct child *c = arg;
	char *name = strrchr(c->exe, '/'); /* not written to by anybody */
	char *const argv[] = { name ? name + 1 : NULL, NULL };

	setsid();
	for (size_t i = 0; i < c->fd_count; i++)
		if (c->fds[i] < 0)
			close((int)i);
		else if (dup2(c->fds[i], (int)i) < 0)
			goto failed;
	if (syscall(SYS_close_range, (unsigned)c->fd_count, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		goto failed;
	execve(c->exe, argv, none);
failed:
	c->failed = errno;
	_exit(127);
}

static cv_code spawn(struct child *c, pid_t *ret_pid, int *ret_pidfd, struct cv_err *err)
{
	static char stack[STACK_BYTES] __attribute__((aligned(16)));
	sigset_t all, old;
	int pidfd = -1;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	const pid_t pid = clone(child_main, stack + sizeof(stack),
		CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, &pidfd);
	const int error = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = error;
	if (pid < 0)
		return cv_fail_errno(err, "start %s", c->exe);
	if (c->failed) {
		close(pidfd);
		(void)cv_child_wait(pid, NULL);
		errno = c->failed;
		return cv_fail_errno(err, "execute %s", c->exe);
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return CV_OK;
}

cv_code cv_driver_spawn(const char *exe, const int *fds, size_t fd_count, pid_t *ret_pid,
	int *ret_pidfd, struct cv_err *err)
{
	int high[CV_DRIVER_SPAWN_FDS_MAX];
	struct child c = { exe, high, fd_count, 0 };
	cv_code code = CV_OK;
	size_t n;

	if (fd_count > CV_DRIVER_SPAWN_FDS_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d descriptors", CV_DRIVER_SPAWN_FDS_MAX);
	/* Out of the way: each may stand where another belongs. */
	for (n = 0; code == CV_OK && n < fd_count; n++) {
		high[n] = fds[n] < 0 ? -1 : fcntl(fds[n], F_DUPFD_CLOEXEC, CV_DRIVER_SPAWN_FDS_MAX);
		if (fds[n] >= 0 && high[n] < 0)
			code = cv_fail_errno(err, "place a descriptor");
	}
	if (code == CV_OK)
		code = spawn(&c, ret_pid, ret_pidfd, err);
	while (n--)
		if (high[n] >= 0)
			close(high[n]);
	return code;
}
