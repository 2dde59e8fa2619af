/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside.c - the supervisor's side of ipc/init_link.h
 *
 * The command is sent as soon as what it needs is there: nothing, for a run without network (the
 * message waits in the socket while the sandbox is still being built); the CA files, for one with.
 * There is one command, number 1; cove-init could run more.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define COMMAND_ID 1

static cv_code number_send(struct supervisor *s, enum cv_init_req type, const uint32_t *v, size_t n,
	struct cv_err *err)
{
	static const int stdio[3] = { 0, 1, 2 };
	const bool has_fds = type == CV_INIT_REQ_RUN;
	struct cv_buf b;

	cv_buf_init(&b, 64);
	for (size_t i = 0; i < n; i++)
		cv_ipc_put_u32(&b, v[i]);
	const cv_code code =
		cv_ipc_send(s->sandbox.link, type, cv_buf_str(&b), stdio, has_fds ? 3 : 0, err);
	cv_buf_fini(&b);
	return code;
}

static cv_code command_send(struct supervisor *s, struct cv_err *err)
{
	const struct cv_str bytes = s->plan.command_bytes;
	const uint32_t words[2] = { COMMAND_ID, terminal_size() };
	cv_code code = CV_OK;

	for (size_t at = 0; code == CV_OK && at < bytes.n; at += CV_IPC_BODY_BYTES_MAX)
		code = cv_ipc_send(s->sandbox.link, CV_INIT_REQ_PART,
			cv_str_slice(bytes, at, CV_MIN(at + CV_IPC_BODY_BYTES_MAX, bytes.n)), NULL,
			0, err);
	if (code != CV_OK)
		return code;
	if (s->plan.flags & CV_PLAN_TTY)
		return number_send(s, CV_INIT_REQ_RUN_TTY, words, 2, err);
	return number_send(s, CV_INIT_REQ_RUN, words, 1, err);
}

void inside_command(struct supervisor *s)
{
	struct cv_err err;

	if (s->is_commanded || broker_is_awaited(s) ||
		((s->plan.flags & CV_PLAN_NETWORK) && !s->has_ca_files))
		return;
	s->is_commanded = true;
	if (s->plan.timeout_ms)
		s->deadline_ms = now_ms() + (int64_t)s->plan.timeout_ms;
	/* When the sandbox died meanwhile, its end of the link says why. */
	if (command_send(s, &err) != CV_OK && err.sys != EPIPE && err.sys != ECONNRESET)
		run_fail(s, &err);
}

void inside_signal(struct supervisor *s, int number)
{
	const uint32_t words[2] = { COMMAND_ID, (uint32_t)number };
	struct cv_err err;

	if (number_send(s, CV_INIT_REQ_SIGNAL, words, 2, &err) != CV_OK)
		return; /* the sandbox is ending */
}

/* ---- what comes ---- */

static void end_with(struct supervisor *s, int status)
{
	if (s->outcome != OUTCOME_NONE)
		return;
	s->outcome = OUTCOME_STATUS;
	s->status = status;
}

static void built(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_err err;

	for (int i = 0; i < CV_BUILT_COUNT; i++)
		s->built[i] = cv_take_fd(m->fds[i]);
	s->is_built = true;
	s->inside.state = CV_INIT_READY;
	if (!(s->plan.flags & CV_PLAN_NETWORK))
		return;
	if (broker_built(s, &err) != CV_OK || proxy_start(s, &err) != CV_OK ||
		ca_files_write(s, &err) != CV_OK)
		run_fail(s, &err);
	inside_command(s);
}

/* As a shell says it, with a shell's status. */
static void failed(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t id = cv_ipc_get_u32(r), stage = cv_ipc_get_u32(r);
	const int error = (int)cv_ipc_get_u32(r);
	const struct cv_str what = cv_ipc_get_str(r);

	if (s->outcome != OUTCOME_NONE)
		return;
	terminal_restore();
	if (stage == CV_INIT_STAGE_EXEC && error == ENOENT)
		say("%.*s: command not found", CV_STR_ARG(what));
	else if (stage == CV_INIT_STAGE_EXEC)
		say("%.*s: %s", CV_STR_ARG(what), strerror(error));
	else if (stage == CV_INIT_STAGE_CWD)
		say("enter %.*s: %s", CV_STR_ARG(what), strerror(error));
	else if (id == 0) /* the message says the errno already */
		say("make the sandbox: %.*s", CV_STR_ARG(what));
	else
		say("confine the command: %.*s", CV_STR_ARG(what));
	end_with(s, stage != CV_INIT_STAGE_EXEC ? 125 : error == ENOENT ? 127 : 126);
}

static void exited(struct supervisor *s, struct cv_ipc_reader *r)
{
	cv_ipc_get_u32(r);
	const int status = (int)cv_ipc_get_u32(r);

	if (s->is_timed_out)
		end_with(s, 124);
	else
		end_with(s, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void weaker(struct supervisor *s, struct cv_ipc_reader *r)
{
	cv_ipc_get_u32(r);
	const struct cv_str what = cv_ipc_get_str(r);

	if (!(s->plan.flags & CV_PLAN_QUIET))
		say("this kernel does not confine: %.*s", CV_STR_ARG(what));
}

static void handle(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };

	switch ((enum cv_init_reply)m->type) {
	case CV_INIT_REPLY_BUILT: built(s, m); break;
	case CV_INIT_REPLY_FAILED: failed(s, &r); break;
	case CV_INIT_REPLY_EXITED: exited(s, &r); break;
	case CV_INIT_REPLY_WEAKER: weaker(s, &r); break;
	case CV_INIT_REPLY_NOTIFY: identity_open(s, cv_take_fd(m->fds[0])); break;
	case CV_INIT_REPLY_TTY: terminal_attach(&s->terminal, cv_take_fd(m->fds[0])); break;
	case CV_INIT_REPLY_COUNT: break;
	}
}

void inside_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(s->sandbox.link, &s->inside, s->message, &m, &err);

	if (code == CV_OK) {
		handle(s, &m);
		cv_ipc_msg_fini(&m);
	} else if (code == CV_NOT_FOUND) {
		/* No EXITED came before: somebody killed PID 1, and the kernel all the rest. */
		cv_fail(&err, CV_UNAVAILABLE, "the sandbox was killed");
		run_fail(s, &err);
	} else if (code != CV_UNAVAILABLE) {
		cv_wrap(&err, "the sandbox's link");
		run_fail(s, &err);
	}
}
