/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - a cgroup around the sandbox; the janitor
 *
 * PID 1 is moved in before it is told of a command, so everything the command is or forks is in.
 * A cgroup, and the directory of the broker of host tools, are what outlives all processes of a run;
 * so a janitor waits for the end of a link to us and removes them when we could not (SIGKILL).  It is
 * a fork of ours that holds nothing but that link, in a session of its own.  Where both were killed,
 * the janitor of another run sweeps up the empty group.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/cgroup.h"
#include "sys/child.h"
#include "sys/children.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/tree.h"

#include <linux/close_range.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

cv_code state_tree_remove(const struct supervisor *s, struct cv_err *err)
{
	static char *const env[] = { NULL };
	char path[PATH_MAX];
	char *const argv[] = { (char *)(uintptr_t)s->plan.exe_broker.p,
		(char *)(uintptr_t) "remove", path, NULL };
	snprintf(path, sizeof(path), "%s%s", s->broker_state,
		s->is_broker_state_kept ? "/builds" : "");
	const cv_code code = cv_tree_remove(path, err);
	int status;

	if (code == CV_OK || code == CV_NOT_FOUND || !s->plan.exe_broker.n)
		return code;
	/* Builds leave files of the user's other ids; the broker's program can remove these. */
	const pid_t pid = fork();
	if (pid == 0) {
		execve(argv[0], argv, env);
		_exit(127);
	}
	return cv_child_wait(pid, &status) == CV_OK && WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? CV_OK
		       : code;
}

/* The broker ends when its link does, a moment after us, and may still write. */
static int state_remove(const struct supervisor *s)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	struct cv_err err;

	for (int i = 0; i < SUP_TREE_TRIES; i++) {
		const cv_code code = state_tree_remove(s, &err);

		if (code == CV_OK || code == CV_NOT_FOUND)
			return 0;
		nanosleep(&pause, NULL);
	}
	return 1;
}

static CV_NORETURN void janitor_main(const struct supervisor *s, int link)
{
	struct cv_err err;
	sigset_t all;
	char byte;
	int status = 0;

	sigfillset(&all); /* whoever signals our whole group does not mean us */
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, CV_JANITOR_NAME);
	if (dup2(link, 0) < 0)
		_exit(1);
	syscall(SYS_close_range, 1, ~0U, 0);
	const bool is_done = read(0, &byte, 1) == 1; /* by the supervisor */
	if (s->cgroup)
		cv_cgroup_sweep(s->cgroup);
	if (is_done)
		_exit(0);
	if (s->cgroup && (cv_cgroup_kill(s->cgroup, &err) != CV_OK ||
				 cv_cgroup_remove(s->cgroup, &err) != CV_OK))
		status = 1;
	if (s->broker_state && !s->is_broker_state_kept)
		status |= state_remove(s);
	if (s->broker_state && !s->is_broker_state_kept)
		(void)!rmdir(s->broker_states);
	_exit(status);
}

static cv_code janitor_start(struct supervisor *s, struct cv_err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cv_fail_errno(err, "socketpair");
	s->janitor = fork();
	if (s->janitor == 0) {
		close(pair[0]);
		janitor_main(s, pair[1]);
	}
	close(pair[1]);
	s->janitor_link = pair[0];
	return s->janitor < 0 ? cv_fail_errno(err, "fork the janitor") : CV_OK;
}

cv_code limits_enter(struct supervisor *s, struct cv_err *err)
{
	static struct cv_cgroup_host host; /* paths: too large for a stack */
	const struct cv_cgroup_limits limits = { .memory_bytes = s->plan.memory_bytes,
		.cpu_milli = s->plan.cpu_milli,
		.pids = s->plan.pids };
	char name[40];

	if (!limits.memory_bytes && !limits.cpu_milli && !limits.pids)
		return s->broker_state && !s->is_broker_state_kept ? janitor_start(s, err) : CV_OK;
	/* By the pid a janitor knows whether the group is still wanted; numbers come round again. */
	snprintf(name, sizeof(name), "%d-%lld", (int)getpid(), (long long)cv_clock_ms());
	cv_code code = cv_cgroup_host_look(&host, err);
	if (code == CV_OK)
		code = cv_cgroup_new(&host, cv_str_of(name), &limits, &s->cgroup, err);
	if (code == CV_OK)
		code = janitor_start(s, err);
	if (code == CV_OK)
		code = cv_cgroup_add(s->cgroup, s->sandbox.pid, err);
	return code;
}

void limits_leave(struct supervisor *s)
{
	struct cv_err err;

	if (!s->cgroup && !s->janitor)
		return;
	if (s->cgroup && cv_cgroup_remove(s->cgroup, &err) != CV_OK)
		say("%s", err.msg);
	else if (s->janitor_link >= 0 && write(s->janitor_link, "", 1) != 1)
		say("the janitor is gone");
	if (s->janitor_link >= 0)
		close(s->janitor_link);
	(void)cv_child_wait(s->janitor, NULL);
	if (s->cgroup)
		cv_cgroup_free(s->cgroup);
	s->cgroup = NULL;
}
