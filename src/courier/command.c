/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - a command of the user's that prints a token
 *
 * It is the user's own, from their provider file, and runs as the user outside any sandbox: with
 * the variables that the errand names and that the supervisor gave, no descriptor but its output,
 * in a session of its own, and for COURIER_COMMAND_MS at most.  What it says on stderr is dropped:
 * it may hold what a log must not.  When it has ended, all that it left running ends too.
 */
#include "courier/courier.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct words {
	char *text; /* of all, a NUL behind each */
	char *argv[COURIER_ARGS_MAX + 1];
	char *env[COURIER_ENV_MAX + 1];
	size_t argc, env_count;
};

/* ---- what is asked ---- */

static bool argv_read(struct cv_ipc_reader *r, struct words *w)
{
	const uint32_t argc = cv_ipc_get_u32(r);
	char *at = w->text;

	for (w->argc = 0; w->argc < argc && !r->is_bad; w->argc++) {
		const struct cv_str arg = cv_ipc_get_str(r);

		/* All of them come from one message, which text is as large as. */
		if (w->argc == COURIER_ARGS_MAX || !cv_str_to_cstr(arg, at, arg.n + 1))
			return false;
		w->argv[w->argc] = at;
		at += arg.n + 1;
	}
	return !r->is_bad && w->argc > 0 && w->argv[0][0];
}

static bool env_read(struct courier *c, struct cv_ipc_reader *r, struct words *w)
{
	const uint32_t count = cv_ipc_get_u32(r);

	if (count > COURIER_ENV_MAX)
		return false;
	for (uint32_t i = 0; i < count && !r->is_bad; i++) {
		const struct cv_str name = cv_ipc_get_str(r);

		/* A variable that the host does not have is not there for the command either. */
		for (size_t j = 0; j < c->env_count; j++)
			if (cv_str_has_prefix(cv_str_of(c->env[j]), name) &&
				c->env[j][name.n] == '=')
				w->env[w->env_count++] = c->env[j];
	}
	return !r->is_bad;
}

/* ---- the command ---- */

/* After fork(): system calls only. */
static CV_NORETURN void become(const struct words *w, int out, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	environ = (char **)(uintptr_t)w->env;
	const int null = open("/dev/null", O_RDWR);
	if (null < 0 || setsid() < 0 || cv_proc_die_with_parent(parent, NULL) != CV_OK ||
		dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0 ||
		syscall(SYS_close_range, 3, ~0U, 0) < 0 ||
		sigprocmask(SIG_SETMASK, &none, NULL) < 0 || chdir("/") < 0)
		_exit(127);
	signal(SIGPIPE, SIG_DFL);
	execvp(w->argv[0], w->argv);
	_exit(127); /* as a shell says it */
}

static bool spawn(struct errand *e, const struct words *w)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	CV_AUTO_FD int in = pipes[0];
	CV_AUTO_FD int out = pipes[1];
	const pid_t parent = getpid();
	fcntl(out, F_SETFL, 0); /* the command's end blocks, as programs expect */
	e->pid = fork();
	if (e->pid == 0)
		become(w, out, parent);
	if (e->pid < 0)
		return false;
	e->pidfd = (int)syscall(SYS_pidfd_open, e->pid, 0);
	e->pipe = cv_take_fd(in);
	return e->pidfd >= 0;
}

cv_code command_start(
	struct courier *c, struct errand *e, struct cv_ipc_reader *r, struct cv_err *err)
{
	struct words w = { .text = malloc(CV_IPC_BODY_BYTES_MAX) };
	const bool is_read =
		w.text && argv_read(r, &w) && env_read(c, r, &w) && cv_ipc_reader_is_done(r);
	const bool is_allowed = c->flags & CV_COURIER_COMMANDS;

	cv_buf_init(&e->body, CV_COURIER_OUTPUT_BYTES_MAX);
	e->until_ms = cv_clock_ms() + COURIER_COMMAND_MS;
	if (is_read && (!is_allowed || !spawn(e, &w)))
		errand_failed(
			c, e, is_allowed ? CV_COURIER_FAILURE_START : CV_COURIER_FAILURE_MESSAGE);
	free(w.text);
	return is_read ? CV_OK : cv_fail(err, CV_PROTO, "COMMAND: bad body");
}

/* False when there is more than may be. */
static bool output_read(struct errand *e)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(e->pipe, piece, sizeof(piece))) > 0)
		if (!cv_buf_put(&e->body, (struct cv_str){ piece, (size_t)n }))
			break;
	if (n == 0) { /* closed, though the command may go on: not to be watched any more */
		close(e->pipe);
		e->pipe = -1;
	}
	explicit_bzero(piece, sizeof(piece));
	return !e->body.is_overflown;
}

void command_step(struct courier *c, struct errand *e)
{
	struct pollfd ended = { .fd = e->pidfd, .events = POLLIN };
	siginfo_t info = { .si_pid = 0 };

	/* First whether it has ended, then what it has written by then. */
	const bool has_ended = poll(&ended, 1, 0) > 0;
	if (e->pipe >= 0 && !output_read(e)) {
		errand_failed(c, e, CV_COURIER_FAILURE_LARGE);
	} else if (has_ended) {
		if (waitid(P_PID, (id_t)e->pid, &info, WEXITED | WNOWAIT) < 0)
			info.si_code = CLD_KILLED;
		errand_carried(c, e, info.si_code == CLD_EXITED ? info.si_status : 128);
	} else if (cv_clock_ms() >= e->until_ms) {
		errand_failed(c, e, CV_COURIER_FAILURE_TIMEOUT);
	}
}

void command_drop(struct errand *e)
{
	if (e->pid > 0) {
		kill(-e->pid, SIGKILL); /* its session is still its own: it is not yet reaped */
		cv_child_kill(e->pid);  /* in case it had no time to make one */
	}
	if (e->pidfd >= 0)
		close(e->pidfd);
	if (e->pipe >= 0)
		close(e->pipe);
	e->pid = 0;
	e->pidfd = e->pipe = -1;
}
