/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-init, PID 1 of a sandbox
 *
 * It starts what the supervisor asks for, reaps what nobody else reaps, passes signals on, and
 * ends the sandbox: with PID 1 the kernel kills everything in the pid namespace.  It holds no
 * capability, no secret and no file; descriptor 3 is its link to the supervisor (ipc/init_link.h)
 * and all that it ever parses comes from there.
 *
 * It is not dumpable, so nothing inside reaches its memory or /proc/1/exe; it leaves every signal
 * but SIGCHLD at its default, which the kernel never delivers to PID 1 from inside.
 *
 * It ends when the link closes, when a command marked LAST ends, or with its parent.
 */
#include "init/limits.h"
#include "init/report.h"
#include "init/start.h"
#include "ipc/init_link.h"
#include "plan/limits.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct running {
	uint32_t id;
	pid_t pid; /* 0: free */
	bool is_last;
};

struct init {
	struct cv_ipc_link link;
	struct cv_buf command; /* PARTs so far */
	struct running running[INIT_COMMANDS_MAX];
	char message[8 + CV_IPC_BODY_BYTES_MAX];
};

static struct init init;

static struct running *running_find(pid_t pid)
{
	for (size_t i = 0; i < INIT_COMMANDS_MAX; i++)
		if (init.running[i].pid == pid)
			return &init.running[i];
	return NULL;
}

static void command_start(uint32_t id, struct start *s)
{
	struct running *slot = running_find(0);
	struct cv_plan_command command;
	struct cv_arena arena;

	cv_arena_init(&arena, INIT_ARENA_MAX);
	if (!slot) {
		report_failed(CV_INIT_LINK_FD, id, CV_INIT_STAGE_BUILD, EAGAIN,
			"too many commands in this sandbox");
	} else if (init.command.is_overflown ||
		   cv_plan_command_get(cv_buf_str(&init.command), &arena, &command, NULL) !=
			   CV_OK ||
		   command.argc == 0) {
		report_failed(CV_INIT_LINK_FD, id, CV_INIT_STAGE_BUILD, EPROTO, "read the command");
	} else {
		s->id = id;
		s->link = CV_INIT_LINK_FD;
		s->command = &command;
		s->arena = &arena;
		const pid_t pid = start_command(s);
		if (pid < 0)
			report_failed(CV_INIT_LINK_FD, id, CV_INIT_STAGE_BUILD, errno, "fork");
		else
			*slot = (struct running){ id, pid, command.flags & CV_COMMAND_LAST };
		if (pid > 0)
			report_number(CV_INIT_LINK_FD, CV_INIT_REPLY_STARTED, id, (uint32_t)pid);
	}
	cv_arena_fini(&arena);
	cv_buf_reset(&init.command);
}

static void run(struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct start s = { .stdio = { m->fds[0], m->fds[1], m->fds[2] }, .tty = -1 };

	command_start(cv_ipc_get_u32(&r), &s);
}

static void run_tty(struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t id = cv_ipc_get_u32(&r), size = cv_ipc_get_u32(&r);
	int outer = -1;
	struct start s = { .tty = start_tty_open(size, &outer) };

	if (s.tty < 0) {
		report_failed(CV_INIT_LINK_FD, id, CV_INIT_STAGE_BUILD, errno, "open a terminal");
		return;
	}
	report_fd(CV_INIT_LINK_FD, CV_INIT_REPLY_TTY, id, outer);
	close(outer);
	command_start(id, &s);
	close(s.tty);
}

/* To the command's process group: it leads a session of its own. */
static void signal_pass(struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t id = cv_ipc_get_u32(&r), number = cv_ipc_get_u32(&r);

	for (size_t i = 0; i < INIT_COMMANDS_MAX; i++) {
		const struct running *c = &init.running[i];
		/* Before the child's setsid() there is no such group yet. */
		if (c->pid && c->id == id && number < NSIG && kill(-c->pid, (int)number) < 0)
			kill(c->pid, (int)number);
	}
}

/* A socket belongs to the network that it was made in, whoever connects it. */
static void socket_make(struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t tag = cv_ipc_get_u32(&r), family = cv_ipc_get_u32(&r);
	const int fd = socket((int)family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Who asked sees that it is none. */
	report_fd(CV_INIT_LINK_FD, CV_INIT_REPLY_SOCKET, tag, fd < 0 ? 0 : fd);
	if (fd >= 0)
		close(fd);
}

static void message_handle(struct cv_ipc_msg *m)
{
	switch ((enum cv_init_req)m->type) {
	case CV_INIT_REQ_PART:
		if (init.command.max == 0)
			cv_buf_init(&init.command, CV_PLAN_BYTES_MAX);
		cv_buf_put(&init.command, m->body);
		break;
	case CV_INIT_REQ_RUN: run(m); break;
	case CV_INIT_REQ_RUN_TTY: run_tty(m); break;
	case CV_INIT_REQ_SIGNAL: signal_pass(m); break;
	case CV_INIT_REQ_SOCKET: socket_make(m); break;
	case CV_INIT_REQ_COUNT: break;
	}
}

static void children_reap(void)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		struct running *c = running_find(pid);

		if (!c)
			continue; /* an orphan */
		report_number(CV_INIT_LINK_FD, CV_INIT_REPLY_EXITED, c->id, (uint32_t)status);
		if (c->is_last)
			_exit(0);
		c->pid = 0;
	}
}

/* Our own 0, 1 and 2 are nothing; so a received descriptor is never one of them. */
static bool stdio_close(void)
{
	const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (fd != i && dup2(fd, i) < 0)
			return false;
	if (fd > 2)
		close(fd);
	return true;
}

/* The set-up's second process is our child: it must have let the host's tree go. */
static bool setup_is_done(void)
{
	int status;

	while (waitpid(-1, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	errno = EPROTO;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
	struct pollfd watch[2] = { { CV_INIT_LINK_FD, POLLIN, 0 }, { -1, POLLIN, 0 } };
	sigset_t child;

	if (getpid() != 1)
		return 125; /* only the supervisor's sandbox has a use for this program */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	fcntl(CV_INIT_LINK_FD, F_SETFD, FD_CLOEXEC);
	fcntl(CV_INIT_IDS_FD, F_SETFD, FD_CLOEXEC); /* if it is there */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_SETMASK, &child, NULL);
	watch[1].fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (watch[1].fd < 0 || !stdio_close() || !setup_is_done()) {
		report_failed(CV_INIT_LINK_FD, 0, CV_INIT_STAGE_BUILD, errno, "start cove-init");
		return 125;
	}
	init.link = (struct cv_ipc_link){ cv_init_req_rule, CV_INIT_REQ_COUNT, CV_INIT_READY, 0 };
	for (;;) {
		struct cv_ipc_msg m;

		if (poll(watch, 2, -1) < 0 && errno != EINTR)
			return 125;
		if (watch[1].revents) {
			struct signalfd_siginfo info;
			while (read(watch[1].fd, &info, sizeof(info)) > 0)
				;
			children_reap();
		}
		if (!watch[0].revents)
			continue;
		if (cv_ipc_recv(CV_INIT_LINK_FD, &init.link, init.message, &m, NULL) != CV_OK)
			return 0; /* closed, or not our supervisor: the sandbox ends */
		message_handle(&m);
		cv_ipc_msg_fini(&m);
	}
}
