/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c - see start.h
 *
 * The child's way to its exec is one list, in become().  Each step that fails says which one it
 * was; none is skipped.  It keeps the link until the very end, because FAILED travels on it;
 * everything above 2 is close-on-exec, proven by close_range and not by hope.  It runs on our
 * memory until then, so it changes nothing there that cove-init relies on.
 */
#include "init/start.h"

#include "init/confine.h"
#include "init/limits.h"
#include "init/report.h"
#include "ipc/init_link.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int start_tty_open(uint32_t size, int *ret_outer)
{
	const struct winsize ws = { .ws_row = (unsigned short)(size >> 16),
		.ws_col = (unsigned short)size };
	CV_AUTO_FD int outer = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int unlock = 0;

	if (outer < 0 || ioctl(outer, TIOCSPTLCK, &unlock) < 0)
		return -1;
	/* By descriptor, not by name: nobody can put another terminal in between. */
	const int inner = ioctl(outer, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (inner < 0)
		return -1;
	if (size && ioctl(outer, TIOCSWINSZ, &ws) < 0) {
		close(inner);
		return -1;
	}
	*ret_outer = cv_take_fd(outer);
	return inner;
}

static void signals_reset(void)
{
	sigset_t none;

	for (int i = 1; i < 32; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Numbers 0, 1 and 2.  The sources are above 2: cove-init keeps its own 0, 1 and 2 open. */
static bool stdio_set(const struct start *s)
{
	for (int i = 0; i < 3; i++)
		if (dup2(s->tty >= 0 ? s->tty : s->stdio[i], i) < 0)
			return false;
	return s->tty < 0 || ioctl(0, TIOCSCTTY, 0) == 0;
}

static bool rlimits_set(const struct cv_plan_command *c)
{
	for (uint32_t i = 0; i < c->rlimit_count; i++) {
		const struct cv_plan_command_rlimit *want = &c->rlimits[i];
		struct rlimit r;

		if (getrlimit((int)want->resource, &r) < 0)
			return false;
		/* What the host allows is an upper bound that nobody in here can raise. */
		r.rlim_max = CV_MIN(r.rlim_max, want->hard);
		r.rlim_cur = CV_MIN(r.rlim_max, want->soft);
		if (setrlimit((int)want->resource, &r) < 0)
			return false;
	}
	return true;
}

static char **strings(
	struct cv_arena *arena, const struct cv_str *v, uint32_t n, const char *before)
{
	char **z = cv_arena_array(arena, (size_t)n + 2, sizeof(*z));

	if (!z)
		return NULL;
	char **at = z;
	if (before)
		*at++ = (char *)(uintptr_t)before;
	for (uint32_t i = 0; i < n; i++)
		*at++ = (char *)(uintptr_t)v[i].p; /* NUL-ended where it lies: plan/command.h */
	return z;
}

/* A text file without #! is the shell's, as everywhere (POSIX execvp). */
static void try_exec(const char *path, const struct start *s, char **argv, char **envp)
{
	execve(path, argv, envp);
	if (errno != ENOEXEC)
		return;
	char **script = strings(s->arena, s->command->argv, s->command->argc, "/bin/sh");
	if (script) {
		script[1] = (char *)(uintptr_t)path;
		execve("/bin/sh", script, envp);
	}
	errno = ENOEXEC;
}

static struct cv_str path_variable(const struct cv_plan_command *c)
{
	for (uint32_t i = 0; i < c->envc; i++)
		if (cv_str_has_prefix(c->env[i], CV_STR("PATH=")))
			return cv_str_slice(c->env[i], 5, c->env[i].n);
	return CV_STR("/usr/bin:/bin");
}

/* Returns only on failure, with the errno that explains best: the first that is not "not here". */
static int exec_search(const struct start *s)
{
	const struct cv_plan_command *c = s->command;
	char **argv = strings(s->arena, c->argv, c->argc, NULL);
	char **envp = strings(s->arena, c->env, c->envc, NULL);
	const struct cv_str name = c->argv[0];
	struct cv_str rest = path_variable(c);
	char path[INIT_PATH_MAX];
	int why = ENOENT;

	if (!argv || !envp)
		return ENOMEM;
	if (cv_str_has_byte(name, '/')) {
		try_exec(name.p, s, argv, envp);
		return errno;
	}
	while (rest.p) {
		const struct cv_str dir = cv_str_cut(&rest, ':');
		size_t n = CV_MIN(dir.n, sizeof(path));

		if (dir.n == 0 || dir.n + 1 + name.n + 1 > sizeof(path))
			continue; /* an empty entry would mean the working directory: no */
		memcpy(path, dir.p, n);
		path[n++] = '/';
		memcpy(path + n, name.p, name.n);
		path[n + name.n] = '\0';
		try_exec(path, s, argv, envp);
		if (errno != ENOENT && errno != ENOTDIR && why == ENOENT)
			why = errno;
	}
	return why;
}

/* Root of a user namespace of its own.  That brings nothing here (mount_namespaces(7)): what it could
 * mount away is locked, and the network belongs to another namespace. */
static bool ids_enter(void)
{
	const uint32_t pid = (uint32_t)getpid();
	char byte;

	/* Its maps are the business of somebody else, who could not open them otherwise. */
	return prctl(PR_SET_DUMPABLE, 1) == 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write(CV_INIT_IDS_FD, &pid, sizeof(pid)) == sizeof(pid) &&
	       read(CV_INIT_IDS_FD, &byte, 1) == 1;
}

static CV_NORETURN void become(const struct start *s)
{
	const struct cv_plan_command *c = s->command;
	enum cv_init_stage stage = CV_INIT_STAGE_BUILD;
	const char *what = NULL;
	int error = 0;

	umask(022);
	signals_reset();
	if (setsid() < 0 || !stdio_set(s))
		what = "standard input and output";
	else if (!rlimits_set(c))
		what = "resource limits";
	if (!what && chdir(c->cwd.p) < 0) {
		stage = CV_INIT_STAGE_CWD;
		what = c->cwd.p;
	}
	if (!what && (c->flags & CV_COMMAND_IDS) && !ids_enter())
		what = "enter a user namespace";
	if (what) {
		report_failed(s->link, s->id, stage, errno, what);
	} else if (confine(s->link, s->id, c)) {
		syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
		error = exec_search(s);
		report_failed(s->link, s->id, CV_INIT_STAGE_EXEC, error, c->argv[0].p);
	}
	_exit(125);
}

pid_t start_command(const struct start *s)
{
	/* vfork(): nothing of ours is copied, and nothing is lost by waiting.  What the child writes
	 * it writes into our memory: the arena, and what it is about to leave anyway. */
	const bool is_alone = s->command->flags & CV_COMMAND_IDS; /* unshare(2) wants that */
	const pid_t pid = is_alone ? fork() : vfork();

	if (pid == 0)
		become(s);
	return pid;
}
