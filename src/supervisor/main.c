/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-supervisor: one sandbox from its plan to its end
 *
 * Descriptor 3 is the plan, or who will bring it (blank.c); there are no arguments and no
 * environment.  The stages:
 *
 *     plan        read and bounded
 *     sandbox     forked first, because it takes longest
 *     helpers     keeper, courier (with a network), broker (with host tools) while the sandbox
 *                 builds itself
 *     command     sent ahead, or once the CA is in the sandbox and the broker is ready
 *     loop        until the command ends, or something fails
 *     end         sandbox killed and reaped, then the report, then the helpers
 *
 * Exit status: the command's; 128 and the signal that ended it; 124 after --timeout; 126 and 127
 * as in a shell; 125 when we failed.
 */
#include "supervisor/supervisor.h"

#include "plan/limits.h"
#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/child.h"
#include "sys/fd.h"
#include "sys/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

static struct supervisor sup;

void say(const char *fmt, ...)
{
	char text[CV_IPC_BODY_BYTES_MAX / 8];
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		dprintf(2, "cove: %s\n", text);
}

void run_fail(struct supervisor *s, const struct cv_err *err)
{
	if (s->outcome != OUTCOME_NONE)
		return;
	terminal_restore();
	say("%s", err->msg);
	service_why(s, cv_str_of(err->msg));
	s->outcome = OUTCOME_FAILED;
	s->status = 125;
}

static cv_code plan_read(struct supervisor *s, struct cv_err *err)
{
	char *bytes;
	size_t n;
	const cv_code code = cv_ipc_fd_read_all(CV_PLAN_FD, CV_PLAN_BYTES_MAX, &bytes, &n, err);

	if (code != CV_OK)
		return cv_wrap(err, "read the plan; cove-supervisor is started by cove");
	/* The plan borrows from bytes, to the end of the process. */
	if (cv_plan_get((struct cv_str){ bytes, n }, &s->arena, &s->plan, err) != CV_OK)
		return err->code;
	if (s->plan.flags & CV_PLAN_CREDENTIALS)
		s->credentials = CV_PLAN_CREDENTIALS_FD;
	if (s->plan.flags & CV_PLAN_UPSTREAM_AUTH)
		s->upstream = CV_PLAN_UPSTREAM_FD;
	if (s->plan.gateway.flags & CV_PLAN_GATEWAY_KEEPER)
		s->keeper_given = CV_PLAN_KEEPER_FD;
	/* Before anything is started: the sandbox's first process must never inherit one. */
	if ((s->credentials >= 0 && fcntl(s->credentials, F_SETFD, FD_CLOEXEC) < 0) ||
		(s->upstream >= 0 && fcntl(s->upstream, F_SETFD, FD_CLOEXEC) < 0) ||
		(s->keeper_given >= 0 && fcntl(s->keeper_given, F_SETFD, FD_CLOEXEC) < 0))
		return cv_fail_errno(err, "the credentials' descriptor");
	return CV_OK;
}

static cv_code signals_open(struct supervisor *s, struct cv_err *err)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT,
		SIGTSTP, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < CV_ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* ignored, if our caller did: then nobody could be waited for */
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? cv_fail_errno(err, "signalfd") : CV_OK;
}

static cv_code sandbox_make(struct supervisor *s, struct cv_err *err)
{
	CV_AUTO_FD int init_fd = open(s->plan.exe_init.p, O_RDONLY | O_CLOEXEC);

	if (init_fd < 0)
		return cv_fail_errno(err, "open %.*s", CV_STR_ARG(s->plan.exe_init));
	s->inside =
		(struct cv_ipc_link){ cv_init_reply_rule, CV_INIT_REPLY_COUNT, CV_INIT_BUILD, 0 };
	return sandbox_start(&s->plan, init_fd, &s->sandbox, err);
}

static cv_code start(struct supervisor *s, struct cv_err *err)
{
	cv_code code = blank_is() ? blank_wait(s, err) : CV_OK;

	umask(022); /* what is made in the sandbox is for all who are in it, whoever started us */
	if (code == CV_OK)
		code = plan_read(s, err);
	if (code == CV_OK)
		code = signals_open(s, err);
	if (code == CV_OK)
		code = sandbox_make(s, err);
	if (code != CV_OK)
		return code;
	/* Only now: the child had to open its own id maps, which a process that is not dumpable
	 * may not. */
	code = cv_proc_harden(err);
	if (code != CV_OK)
		return code;
	guards_note(s);
	code = service_start(s, err);
	if (code == CV_OK)
		code = broker_state_make(s, err);
	if (code == CV_OK)
		code = limits_enter(s, err);
	if (code == CV_OK)
		code = broker_start(s, err);
	if (code != CV_OK)
		return code;
	inside_command(s);
	if (s->plan.flags & CV_PLAN_NETWORK)
		code = keeper_start(s, err);
	if (!(s->plan.gateway.flags & CV_PLAN_GATEWAY_SPARE))
		reload_start(s);
	return code;
}

/* With PID 1 the kernel kills everything in the sandbox, before the wait returns. */
static void sandbox_end(struct supervisor *s)
{
	cv_child_kill(s->sandbox.pid);
}

/* Protected paths that did not exist, and so could not be mounted over. */
static void watched_tell(const struct supervisor *s)
{
	for (uint32_t i = 0; i < s->plan.watch_count; i++)
		if (access(s->plan.watch[i].p, F_OK) == 0)
			say("look before you use it: the run made %.*s",
				CV_STR_ARG(s->plan.watch[i]));
}

static void end(struct supervisor *s)
{
	sandbox_end(s);
	approve_end(s);
	terminal_drain(&s->terminal);
	terminal_restore();
	proxy_report(s);
	if (s->report && *s->report && !(s->plan.flags & CV_PLAN_QUIET))
		dprintf(2, "%s%s", s->report, s->report[strlen(s->report) - 1] == '\n' ? "" : "\n");
	helper_stop(&s->proxy);
	events_read(s, 0);
	helper_stop(&s->keeper);
	courier_stop(s);
	broker_stop(s);
	limits_leave(s);
	watched_tell(s);
	guards_tell(s);
	service_end(s);
}

int main(void)
{
	struct supervisor *s = &sup;
	struct cv_err err;

	cv_arena_init(&s->arena, SUP_ARENA_MAX);
	terminal_init(&s->terminal);
	approve_init(s);
	for (int i = 0; i < CV_BUILT_COUNT; i++)
		s->built[i] = -1;
	s->credentials = s->upstream = s->signals = s->watch = s->notify = s->notify_waiting =
		s->more_watch = s->keeper_given = s->keeper_for_proxy = s->broker_for_proxy =
			s->broker_call = s->sandbox.link = s->janitor_link = s->policy_text = -1;
	s->service.link = s->service.dial_epoll = s->service.credentials_next = -1;
	s->service.kept_epoll = -1;
	push_init(s);
	events_init(s);
	s->keeper = (struct helper){ .name = "cove-keeper", .pidfd = -1, .link = -1 };
	s->proxy = (struct helper){ .name = "cove-proxy", .pidfd = -1, .link = -1 };
	s->courier = (struct helper){ .name = "cove-courier", .pidfd = -1, .link = -1 };
	s->broker = (struct helper){ .name = "cove-broker", .pidfd = -1, .link = -1 };
	if (start(s, &err) != CV_OK)
		run_fail(s, &err);
	loop_run(s);
	end(s);
	return s->status;
}
