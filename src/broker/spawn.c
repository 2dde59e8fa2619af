/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.c - starting a command under its shepherd; see spawn.h
 *
 * The shepherd is forked with every descriptor of the broker's, and closes all but its own at once:
 * it must not keep another call's pipes open.  The broker's memory stays mapped until it ends,
 * which costs nothing but what either of them writes to.  One in a cell must not allocate from it
 * (sys/cell.h), so work of our own is in none.
 */
#include "broker/spawn.h"

#include "sys/child.h"
#include "sys/children.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SHEPHERDS_MAX 4096 /* more than calls may run */
#define END_MS        2000 /* for all of them to end with the broker */

static pid_t shepherd[SHEPHERDS_MAX];
static size_t shepherd_count;

static int children = -1; /* signalfd(2) */

cv_code spawn_init(int *ret_children, struct cv_err *err)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	children = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (children < 0)
		return cv_fail_errno(err, "signalfd");
	*ret_children = children;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return cv_fail_errno(err, "PR_SET_CHILD_SUBREAPER");
	return CV_OK;
}

cv_code spawn_user_find(struct cv_str name, struct spawn_user *ret, struct cv_err *err)
{
	char text[64];
	const struct passwd *p;

	if (!cv_str_to_cstr(name, text, sizeof(text)) || !(p = getpwnam(text)))
		return cv_fail(err, CV_NOT_FOUND, "there is no user %.*s", CV_STR_ARG(name));
	*ret = (struct spawn_user){
		.is_set = true,
		.uid = p->pw_uid,
		.gid = p->pw_gid,
		.group_count = SPAWN_GROUPS_MAX,
	};
	if (getgrouplist(text, p->pw_gid, ret->groups, &ret->group_count) < 0)
		return cv_fail(err, CV_LIMIT, "user %s is in too many groups", text);
	return CV_OK;
}

/* In the child: only what is named stays open, moved out of the way of 0, 1 and 2 first. */
static CV_NORETURN void shepherd_become(
	const struct spawn_plan *plan, int control, int in, int out, int err)
{
	const int given = plan->run ? plan->keep : plan->pass;
	int fd[5] = { control, in, out, err, given > 0 ? given : err };

	for (size_t i = 0; i < 5; i++) {
		fd[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, 10);
		if (fd[i] < 0)
			_exit(70);
	}
	/* They are in a row now, or with gaps where others stood: put them at 4 to 8. */
	for (int i = 0; i < 5; i++)
		if (dup3(fd[i], 4 + i, O_CLOEXEC) < 0)
			_exit(70);
	if (syscall(SYS_close_range, 4 + 5, ~0U, 0) < 0)
		_exit(70);
	close(3);
	shepherd_run(plan, 4, 5, 6, 7);
}

cv_code spawn(const struct spawn_plan *given, struct spawned *ret, struct cv_err *err)
{
	struct spawn_plan placed = *given;
	const struct spawn_plan *const plan = &placed;
	int control[2] = { -1, -1 }, in[2] = { -1, -1 }, out[2] = { -1, -1 }, oops[2] = { -1, -1 };

	if (shepherd_count == SHEPHERDS_MAX)
		return cv_fail(err, CV_LIMIT, "too many commands run");
	spawn_place(&placed);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
		(plan->has_stdin && pipe2(in, O_CLOEXEC) < 0) ||
		(!plan->has_stdin && (in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) ||
		pipe2(out, O_CLOEXEC) < 0 || pipe2(oops, O_CLOEXEC) < 0)
		cv_fail_errno(err, "pipes for a command");
	CV_AUTO_FD int c0 = control[0], c1 = control[1], i0 = in[0], i1 = in[1];
	CV_AUTO_FD int o0 = out[0], o1 = out[1], e0 = oops[0], e1 = oops[1];
	if (e1 < 0)
		return CV_SYSTEM;
	const pid_t pid = plan->is_in_cell ? spawn_cell_fork() : fork();
	if (pid == 0)
		shepherd_become(plan, c1, i0, o1, e1);
	if (pid < 0)
		return cv_fail_errno(err, "fork");
	shepherd[shepherd_count++] = pid;
	fcntl(o0, F_SETFL, O_NONBLOCK);
	fcntl(e0, F_SETFL, O_NONBLOCK);
	if (i1 >= 0)
		fcntl(i1, F_SETFL, O_NONBLOCK);
	*ret = (struct spawned){
		.pid = pid,
		.control = cv_take_fd(c0),
		.in = cv_take_fd(i1),
		.out = cv_take_fd(o0),
		.err = cv_take_fd(e0),
	};
	return CV_OK;
}

static void shepherd_forget(pid_t pid)
{
	for (size_t i = 0; i < shepherd_count; i++)
		if (shepherd[i] == pid) {
			shepherd[i] = shepherd[--shepherd_count];
			return;
		}
}

void spawn_signal(const struct spawned *s, int signal_number)
{
	for (size_t i = 0; i < shepherd_count; i++)
		if (shepherd[i] == s->pid)
			kill(s->pid, signal_number); /* not waited for yet, so it is the same */
}

/* Every shepherd that has ended, whichever it is; orphans that we were given too. */
void spawn_reap(void)
{
	struct signalfd_siginfo info;
	pid_t pid;

	while (read(children, &info, sizeof(info)) > 0)
		; /* one signal may stand for many */

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		shepherd_forget(pid);
}

void spawn_tell(const struct spawned *s, char word)
{
	spawn_signal(s, SIGCONT);
	if (s->control >= 0)
		(void)!send(s->control, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void spawn_close(struct spawned *s)
{
	int *const fd[] = { &s->control, &s->in, &s->out, &s->err };

	spawn_signal(s, SIGCONT); /* stopped, it would not see the end of control */
	for (size_t i = 0; i < CV_ARRAY_LEN(fd); i++) {
		if (*fd[i] >= 0)
			close(*fd[i]);
		*fd[i] = -1;
	}
}

bool spawn_orphans_kill(void)
{
	spawn_reap();
	return cv_children_kill(shepherd, shepherd_count, SIGKILL) == 0;
}

void spawn_wait_all(void)
{
	for (int ms = 0; ms < END_MS; ms += 5) {
		spawn_reap();
		if (!shepherd_count)
			break;
		poll(NULL, 0, 5);
	}
	/* A shepherd that was kept from it goes itself, and who it leaves is our child then. */
	for (int ms = 0; ms < END_MS && cv_children_kill(NULL, 0, SIGKILL); ms += 5) {
		spawn_reap();
		poll(NULL, 0, 5);
	}
}

/* Also what is of other ids than ours (build_ids.c). */
static CV_NORETURN void tree_remove_all(const char *path)
{
	char *argv[] = { (char *)(uintptr_t)SPAWN_SELF, (char *)(uintptr_t) "remove",
		(char *)(uintptr_t)path, NULL };

	(void)syscall(SYS_close_range, 3, ~0U, 0);
	tree_remove(AT_FDCWD, path);
	if (access(path, F_OK) == 0)
		execve(SPAWN_SELF, argv, argv + 3);
	_exit(0);
}

/* Not through a shepherd: it would end with whoever holds its control.  One that fails leaves what
 * goes with the broker's directory. */
void spawn_remove(const char *path)
{
	if (shepherd_count == SHEPHERDS_MAX)
		return;
	const pid_t pid = fork();

	if (pid == 0)
		tree_remove_all(path);
	if (pid > 0) /* kept, so that it is not taken for an orphan */
		shepherd[shepherd_count++] = pid;
}

void spawn_clean(int state_dir, const char *state_path)
{
	char path[PATH_MAX];

	tree_remove(state_dir, "calls");
	snprintf(path, sizeof(path), "%s/builds", state_path);
	if (access(path, F_OK) < 0)
		return;
	const pid_t pid = fork();
	if (pid == 0)
		tree_remove_all(path);
	(void)cv_child_wait(pid, NULL);
}
