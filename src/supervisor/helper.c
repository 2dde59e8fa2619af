/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper.c - see helper.h
 */
#include "supervisor/helper.h"

#include "supervisor/limits.h"

#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/* vfork underneath (glibc): the cost does not grow with us. */
static int spawn(pid_t *ret, const char *exe, const char *name, int link)
{
	char *const argv[] = { (char *)(uintptr_t)name, NULL };
	char *const envp[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, link, 3);
	posix_spawn_file_actions_addclosefrom_np(&actions, 4);
	const int error = posix_spawn(ret, exe, &actions, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return error;
}

cv_code helper_start(struct helper *h, struct cv_str exe, const struct cv_ipc_rule *rules,
	uint32_t rule_count, struct cv_err *err)
{
	int pair[2];
	const cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	errno = spawn(&h->pid, exe.p, h->name, pair[1]);
	const int error = errno;
	close(pair[1]);
	if (error) {
		close(pair[0]);
		h->pid = 0;
		errno = error;
		return cv_fail_errno(err, "start %s", h->name);
	}
	h->link = pair[0];
	h->rules = (struct cv_ipc_link){ rules, rule_count, 0, 0 };
	return CV_OK;
}

void helper_stop(struct helper *h)
{
	if (h->pid > 0) {
		kill(h->pid, SIGKILL);
		while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (h->link >= 0)
		close(h->link);
	h->pid = 0;
	h->link = -1;
}

bool helper_may_restart(struct helper *h)
{
	const int64_t now = now_ms();

	if (now - h->window_ms > SUP_RESTART_WINDOW_MS) {
		h->window_ms = now;
		h->restarts = 0;
	}
	return ++h->restarts <= SUP_RESTARTS_MAX;
}
