/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper.c - see helper.h
 */
#include "supervisor/helper.h"

#include "supervisor/limits.h"
#include "sys/child.h"
#include "sys/clock.h"

#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HELPER_LINK_FD 3 /* CV_PROXY_LINK_FD and the other two */

/* What a helper starts with, after vfork(): system calls only, and the parent waits. */
static CV_NORETURN void become(const char *exe, const char *name, int link)
{
	char *const argv[] = { (char *)(uintptr_t)name, NULL };
	char *const envp[] = { NULL };
	sigset_t none;

	sigemptyset(&none);
	if (setsid() < 0 || dup2(link, HELPER_LINK_FD) < 0 ||
		syscall(SYS_close_range, HELPER_LINK_FD + 1, ~0U, 0) < 0 ||
		sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		_exit(125);
	const int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(125);
	close(null);
	execve(exe, argv, envp);
	_exit(125); /* the link closes: its owner says that the helper did not start */
}

cv_code helper_start(struct helper *h, struct cv_str exe, const struct cv_ipc_rule *rules,
	uint32_t rule_count, struct cv_err *err)
{
	int pair[2];
	const cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	/* vfork(), because the child only makes system calls, and copies none of our pages. */
	const pid_t pid = vfork();
	if (pid == 0)
		become(exe.p, h->name, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return cv_fail_errno(err, "start %s", h->name);
	}
	h->pid = pid;
	h->link = pair[0];
	h->rules = (struct cv_ipc_link){ rules, rule_count, 0, 0 };
	return CV_OK;
}

void helper_adopt(struct helper *h, int link, const struct cv_ipc_rule *rules, uint32_t rule_count)
{
	h->pid = HELPER_ADOPTED;
	h->link = link;
	h->rules = (struct cv_ipc_link){ rules, rule_count, 0, 0 };
}

/* One that has not said yet which process it is ends with its link. */
static void adopted_stop(struct helper *h)
{
	struct pollfd end = { h->pidfd, POLLIN, 0 };

	if (h->pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, h->pidfd, SIGKILL, NULL, 0);
	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	close(h->pidfd);
	h->pidfd = -1;
}

void helper_stop(struct helper *h)
{
	adopted_stop(h);
	cv_child_kill(h->pid);
	if (h->link >= 0)
		close(h->link);
	h->pid = 0;
	h->link = -1;
}

bool helper_is_gone(const struct helper *h)
{
	struct pollfd w = { h->link, POLLIN, 0 };

	return poll(&w, 1, 0) == 1 && (w.revents & (POLLHUP | POLLERR));
}

bool helper_may_restart(struct helper *h)
{
	const int64_t now = cv_clock_ms();

	if (now - h->window_ms > SUP_RESTART_WINDOW_MS) {
		h->window_ms = now;
		h->restarts = 0;
	}
	return ++h->restarts <= SUP_RESTARTS_MAX;
}
