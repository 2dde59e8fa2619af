/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shepherd.c - a process that waits for one command and for all that it leaves
 *
 *     broker --control--> shepherd --> command --> whatever it starts
 *
 * The shepherd is a subreaper (prctl(2)): who loses its parent beneath it becomes its child, however
 * often it forked and whatever session it made.  So "all of the call" is "until there is no child
 * any more".  It ends everything when the command has ended, when the broker says so, and when
 * the broker dies, which it sees by the end of control.
 *
 * A process group is killed at a stroke: fork(2) fails with a signal pending, so no child escapes
 * the group's signal.  A bomb that stays in its group is over at once; one whose parts make groups of
 * their own is hunted group by group, each of which only becomes our child.
 *
 * The command's first process also gets SIGKILL when the shepherd dies, and the broker is a
 * subreaper too; so it takes the death of both at once to leave anything.
 */
#include "broker/limits.h"
#include "broker/spawn.h"
#include "sys/fd.h"
#include "sys/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX   4096 /* looked at in one pass; there is always another */
#define CLEAN_PAUSE_MS 10

/* ---- all of it ---- */

/* Our children by the kernel's list, which kernels without it leave empty. */
static size_t children_list(pid_t *ret, size_t max)
{
	static char text[CHILDREN_MAX * 8];
	char path[64];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	const ssize_t bytes = read(fd, text, sizeof(text));
	struct cv_str rest = { text, bytes > 0 ? (size_t)bytes : 0 };
	while (rest.n && n < max) {
		uint64_t pid;

		if (cv_str_to_u64(cv_str_cut(&rest, ' '), INT32_MAX, &pid))
			ret[n++] = (pid_t)pid;
		if (!rest.p)
			break;
	}
	return n;
}

/* The parent of a process, from "PID (NAME) STATE PPID"; a name may hold anything. */
static pid_t parent_of(const char *pid)
{
	char path[64], text[512];
	uint64_t parent;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	struct cv_str s = { text, n > 0 ? (size_t)n : 0 };
	const size_t close_at = cv_str_rfind_byte(s, ')');
	if (close_at + 4 > s.n)
		return -1;
	s = cv_str_slice(s, close_at + 4, s.n);
	return cv_str_to_u64(cv_str_cut(&s, ' '), INT32_MAX, &parent) ? (pid_t)parent : -1;
}

static size_t children_scan(pid_t *ret, size_t max)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	size_t n = 0;

	while (d && n < max && (e = readdir(d)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
			parent_of(e->d_name) == getpid()) {
			uint64_t pid;

			if (cv_str_to_u64(cv_str_of(e->d_name), INT32_MAX, &pid))
				ret[n++] = (pid_t)pid;
		}
	if (d)
		closedir(d);
	return n;
}

static bool is_kept(pid_t pid, const pid_t *keep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (keep[i] == pid)
			return true;
	return false;
}

size_t children_kill(const pid_t *keep, size_t keep_count, int signal_number)
{
	static pid_t pid[CHILDREN_MAX];
	const pid_t ours = getpgrp();
	size_t n = children_list(pid, CHILDREN_MAX), told = 0;

	if (!n)
		n = children_scan(pid, CHILDREN_MAX);
	for (size_t i = 0; i < n; i++) {
		if (is_kept(pid[i], keep, keep_count))
			continue;
		const pid_t group = getpgid(pid[i]);

		if (group > 1 && group != ours)
			kill(-group, signal_number);
		kill(pid[i], signal_number);
		told++;
	}
	return told;
}

/* ---- directories ---- */

/* Opens a directory, also one that its owner has closed to themselves.  What is changed is what was
 * opened: a link in its place is not followed. */
static int dir_open(int at, const char *name)
{
	const int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, O_RDONLY | flags);

	if (fd < 0 && errno == EACCES) {
		CV_AUTO_FD int path = openat(at, name, O_PATH | flags);
		char link[64];

		snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
		if (path >= 0 && chmod(link, 0700) == 0)
			fd = openat(at, name, O_RDONLY | flags);
	}
	return fd;
}

static void entries_remove(int dir, unsigned depth)
{
	DIR *d = fdopendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == 0 || depth == 0)
			continue;
		const int sub = dir_open(dirfd(d), e->d_name);

		if (sub < 0)
			continue;
		fchmod(sub, 0700); /* it may be read, and not be written */
		entries_remove(sub, depth - 1);
		unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
	else
		close(dir);
}

void tree_remove(int at, const char *name)
{
	const int dir = dir_open(at, name);

	if (dir >= 0) {
		fchmod(dir, 0700);
		entries_remove(dir, 256); /* deeper than that it stays, and is found by its owner */
	}
	unlinkat(at, name, AT_REMOVEDIR);
}

/* ---- the command ---- */

static bool user_become(const struct spawn_user *u)
{
	return !u->is_set || (setgroups((size_t)u->group_count, u->groups) == 0 &&
				     setresgid(u->gid, u->gid, u->gid) == 0 &&
				     setresuid(u->uid, u->uid, u->uid) == 0);
}

static void limits_set(void)
{
	struct rlimit files, core = { 0, 0 };

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = CV_MIN(files.rlim_max, (rlim_t)BROKER_OPEN_FILES);
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_CORE, &core);
}

/* Each of its signals as a program expects it. */
static void signals_reset(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static CV_NORETURN void become(
	const struct spawn_plan *p, int control, int in, int out, int err, pid_t shepherd)
{
	struct spawn_report failed = { .kind = SPAWN_REPORT_FAILED };

	signals_reset();
	umask(022);
	limits_set();
	/* The order matters: the way to its directory is the broker's alone, and a change of user
	 * forgets the death signal (prctl(2)). */
	if (setsid() >= 0 && chdir(p->workdir) == 0 && user_become(&p->user) &&
		cv_proc_die_with_parent(shepherd, NULL) == CV_OK && dup2(in, 0) >= 0 &&
		dup2(out, 1) >= 0 && dup2(err, 2) >= 0 &&
		fcntl(control, F_SETFD, FD_CLOEXEC) == 0 &&
		syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
		if (p->run)
			_exit(p->run(p->arg));
		if (p->pass > 0)
			fcntl(SPAWN_KEEP_FD, F_SETFD, 0);
		execve(p->argv[0], p->argv, p->env);
	}
	failed.value = errno;
	(void)!write(control, &failed, sizeof(failed));
	_exit(127);
}

/* ---- waiting ---- */

struct herd {
	pid_t first; /* the command's first process */
	bool has_ended, is_alone;
	bool cleans_up; /* spawn_plan */
	int status;
};

/* Takes the status of everyone who has ended. */
static void reap(struct herd *h)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == h->first) {
			h->has_ended = true;
			h->status = status;
		}
	h->is_alone = pid < 0 && errno == ECHILD;
}

/* Until it is alone, or it has had its time. */
static void clean_up_wait(struct herd *h)
{
	for (unsigned ms = 0; !h->is_alone && ms < BROKER_CLEAN_MS; ms += CLEAN_PAUSE_MS) {
		poll(NULL, 0, CLEAN_PAUSE_MS);
		reap(h);
	}
}

static void kill_all(struct herd *h)
{
	if (!h->has_ended)
		kill(h->cleans_up ? h->first : -h->first, SIGKILL);
	if (h->cleans_up)
		clean_up_wait(h);
	for (unsigned pass = 0;; pass++) {
		reap(h);
		if (h->is_alone)
			return;
		children_kill(NULL, 0, SIGKILL);
		/* Who is in the kernel for long (a dead disk) is waited for, but not by spinning. */
		poll(NULL, 0, pass < 100 ? 1 : 50);
	}
}

static void term_all(const struct herd *h)
{
	if (!h->has_ended)
		kill(-h->first, SIGTERM);
	children_kill(NULL, 0, SIGTERM);
}

/* Until nothing is left. */
static void watch(struct herd *h, int control, int children)
{
	for (;;) {
		struct pollfd p[] = { { .fd = control, .events = POLLIN },
			{ .fd = children, .events = POLLIN } };
		char word;

		reap(h);
		if (h->has_ended || h->is_alone)
			break;
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents) {
			struct signalfd_siginfo info;

			(void)!read(children, &info, sizeof(info));
		}
		if (!p[0].revents)
			continue;
		const ssize_t n = recv(control, &word, 1, MSG_DONTWAIT);
		if (n == 1 && word == SPAWN_TERM)
			term_all(h);
		else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			break; /* KILL, or the broker is gone */
	}
	kill_all(h);
}

void shepherd_run(const struct spawn_plan *plan, int control, int in, int out, int err)
{
	struct spawn_report report = { .kind = SPAWN_REPORT_ENDED };
	struct herd h = { .cleans_up = plan->cleans_up };
	sigset_t chld, all;

	prctl(PR_SET_NAME, "cove-shepherd");
	setsid();                         /* a terminal's signals are for others */
	prctl(PR_SET_PDEATHSIG, SIGCONT); /* stopped, we would not see the broker's end */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	const int children = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (children < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		_exit(70);
	const pid_t self = getpid();
	/* The child changes nothing but what is its own in the kernel until it is another program; so it
	 * may borrow our memory, which is half the cost of a call.  Work of our own stays what it is. */
	h.first = plan->run ? fork() : vfork();
	if (h.first == 0)
		become(plan, control, in, out, err, self);
	const struct spawn_report failed = { SPAWN_REPORT_FAILED, errno };
	close(in);
	close(out);
	close(err);
	close(SPAWN_KEEP_FD);
	if (h.first < 0)
		(void)!write(control, &failed, sizeof(failed));
	else
		watch(&h, control, children);
	report.value = h.status;
	if (plan->remove)
		tree_remove(AT_FDCWD, plan->remove);
	(void)!write(control, &report, sizeof(report));
	_exit(0);
}
