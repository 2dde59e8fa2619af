/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - a cgroup around the sandbox
 *
 * PID 1 is moved in before it is told of a command, so everything the command is or forks is in.
 * A cgroup is the one thing of a run that outlives all its processes; so a janitor waits for the
 * end of a link to us and removes it when we could not (SIGKILL).  It is a fork of ours that holds
 * nothing but that link, in a session of its own.
 */
#include "supervisor/supervisor.h"

#include "sys/cgroup.h"
#include "sys/fd.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static CV_NORETURN void janitor_main(const struct cv_cgroup *cgroup, int link)
{
	struct cv_err err;
	sigset_t all;
	char byte;

	sigfillset(&all); /* whoever signals our whole group does not mean us */
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "cove-janitor");
	if (dup2(link, 0) < 0)
		_exit(1);
	syscall(SYS_close_range, 1, ~0U, 0);
	if (read(0, &byte, 1) == 1)
		_exit(0); /* the supervisor did it */
	_exit(cv_cgroup_kill(cgroup, &err) == CV_OK && cv_cgroup_remove(cgroup, &err) == CV_OK ? 0
											       : 1);
}

static cv_code janitor_start(struct supervisor *s, struct cv_err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cv_fail_errno(err, "socketpair");
	s->janitor = fork();
	if (s->janitor == 0) {
		close(pair[0]);
		janitor_main(s->cgroup, pair[1]);
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
	char name[32];

	if (!limits.memory_bytes && !limits.cpu_milli && !limits.pids)
		return CV_OK;
	snprintf(name, sizeof(name), "%d", (int)getpid());
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

	if (!s->cgroup)
		return;
	if (cv_cgroup_remove(s->cgroup, &err) != CV_OK)
		say("%s", err.msg);
	else if (s->janitor_link >= 0 && write(s->janitor_link, "", 1) != 1)
		say("the janitor is gone");
	if (s->janitor_link >= 0)
		close(s->janitor_link);
	while (s->janitor > 0 && waitpid(s->janitor, NULL, 0) < 0 && errno == EINTR)
		;
	cv_cgroup_free(s->cgroup);
	s->cgroup = NULL;
}
