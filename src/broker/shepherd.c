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
 * In a cell the shepherd is PID 1: whoever kills it, the kernel kills everything in there, so that
 * nothing can be left, and nobody in there can kill it.  Without one the command's first process gets
 * SIGKILL when the shepherd dies, and the broker and the supervisor are subreapers too; so it takes
 * the death of all three at once to leave anything.
 *
 * It also looks at how full the command's directory is (quota.h).
 */
#include "broker/limits.h"
#include "broker/quota.h"
#include "broker/spawn.h"
#include "sys/children.h"
#include "sys/clock.h"
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

#define CLEAN_PAUSE_MS 10

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

static void limits_set(const struct spawn_plan *p)
{
	struct rlimit files, core = { 0, 0 }, size = { p->file_bytes, p->file_bytes };

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = CV_MIN(files.rlim_max, (rlim_t)BROKER_OPEN_FILES);
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_CORE, &core);
	if (p->file_bytes)
		setrlimit(RLIMIT_FSIZE, &size);
}

/* What a user namespace would give to its root, should that be who we are. */
static bool rights_drop(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	return errno == EINVAL; /* past the last */
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
	limits_set(p);
	/* The order matters: the way to its directory is the broker's alone, and a change of user
	 * forgets the death signal (prctl(2)). */
	if (setsid() >= 0 && chdir(p->workdir) == 0 && user_become(&p->user) &&
		(!p->is_weak || rights_drop()) &&
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
	bool is_init;   /* of a cell: all that there is, is the herd */
	int status;
	int control;
	struct quota quota;
	bool is_over; /* it is ended for what it wrote */
};

static size_t signal_all(const struct herd *h, int signal_number)
{
	if (h->is_init)
		return kill(-1, signal_number) == 0;
	return cv_children_kill(NULL, 0, signal_number);
}

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
		(void)signal_all(h, SIGKILL);
		/* Who is in the kernel for long (a dead disk) is waited for, but not by spinning. */
		poll(NULL, 0, pass < 100 ? 1 : 50);
	}
}

static void term_all(const struct herd *h)
{
	if (!h->has_ended)
		kill(-h->first, SIGTERM);
	(void)signal_all(h, SIGTERM);
}

/* ---- its directory ---- */

static void full_tell(const struct herd *h, bool is_ended)
{
	const struct spawn_report full = { SPAWN_REPORT_FULL, is_ended };

	(void)!send(h->control, &full, sizeof(full), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Said when it becomes full; only on a disk somebody has to end what fills it. */
static void quota_look(struct herd *h)
{
	const bool is_full = quota_is_reached(&h->quota);

	h->is_over = is_full && !h->quota.is_in_memory && !h->has_ended;
	if (is_full && !h->quota.was_full)
		full_tell(h, h->is_over);
	h->quota.was_full = is_full;
}

static void quota_begin(struct herd *h, const struct spawn_plan *p)
{
	const int dir = p->owns_workdir && p->room
				? open(p->workdir, O_PATH | O_DIRECTORY | O_CLOEXEC)
				: -1;

	quota_init(&h->quota, dir, p->is_in_memory, dir < 0 ? 0 : p->room->bytes,
		dir < 0 ? 0 : p->room->files);
}

/* A file that may not grow ends who writes to it, before anybody looks. */
static void quota_end(struct herd *h)
{
	if (h->quota.dir < 0)
		return;
	if (h->has_ended && WIFSIGNALED(h->status) && WTERMSIG(h->status) == SIGXFSZ)
		full_tell(h, true);
	else if (!h->is_over)
		quota_look(h);
	close(h->quota.dir);
}

/* Until nothing is left. */
static void watch(struct herd *h, int control, int children)
{
	const bool is_bounded = h->quota.dir >= 0;
	int64_t look_ms = cv_clock_ms() + h->quota.wait_ms;

	for (;;) {
		struct pollfd p[] = { { .fd = control, .events = POLLIN },
			{ .fd = children, .events = POLLIN } };
		char word;

		reap(h);
		if (h->has_ended || h->is_alone)
			break;
		const int64_t left = look_ms - cv_clock_ms();
		if (is_bounded && left <= 0) {
			quota_look(h);
			if (h->is_over)
				break;
			look_ms = cv_clock_ms() + h->quota.wait_ms;
			continue;
		}
		if (poll(p, 2, is_bounded ? (int)left : -1) <= 0)
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
	quota_end(h);
	kill_all(h);
}

void shepherd_run(const struct spawn_plan *plan, int control, int in, int out, int err)
{
	struct spawn_report report = { .kind = SPAWN_REPORT_ENDED };
	struct herd h = {
		.cleans_up = plan->cleans_up,
		.is_init = plan->is_in_cell,
		.control = control,
	};
	sigset_t chld, all;
	struct cv_err e;

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
	if (plan->is_in_cell && spawn_cell_enter(plan, &e) != CV_OK) {
		const struct spawn_report refused = { SPAWN_REPORT_FAILED, e.sys ? e.sys : EPERM };

		(void)!write(control, &refused, sizeof(refused));
		(void)!write(control, &report, sizeof(report));
		_exit(0);
	}
	quota_begin(&h, plan);
	const pid_t self = getpid();
	/* The child changes nothing but what is its own in the kernel until it is another program;
	 * so it may borrow our memory, which is half the cost of a call.  Work of our own stays
	 * what it is. */
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
	if (plan->remove && !plan->is_in_cell) /* which does not see it any more */
		tree_remove(AT_FDCWD, plan->remove);
	(void)!write(control, &report, sizeof(report));
	_exit(0);
}
