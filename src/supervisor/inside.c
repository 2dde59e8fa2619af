/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside.c - the supervisor's side of ipc/init_link.h
 *
 * The command is sent as soon as what it needs is there: nothing, for a run without network (the
 * message waits in the socket while the sandbox is still being built); the CA files, for one with; the
 * gateway's word that the sandbox is written down, for one that was started before it was.
 * That is number 1; what a gateway starts has other numbers (exec.c).
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#define COMMAND_ID SERVICE_MAIN_ID
#define TURN_MAX   64 /* messages of one turn of the loop */

static cv_code number_send(struct supervisor *s, enum cv_init_req type, const uint32_t *v, size_t n,
	const int *stdio, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 64);
	for (size_t i = 0; i < n; i++)
		cv_ipc_put_u32(&b, v[i]);
	const cv_code code = cv_ipc_outbox_put(
		&s->inside_out, s->sandbox.link, type, cv_buf_str(&b), stdio, stdio ? 3 : 0, err);
	cv_buf_fini(&b);
	return code;
}

cv_code inside_parts(struct supervisor *s, struct cv_str command, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t at = 0; code == CV_OK && at < command.n; at += CV_IPC_BODY_BYTES_MAX)
		code = cv_ipc_outbox_put(&s->inside_out, s->sandbox.link, CV_INIT_REQ_PART,
			cv_str_slice(command, at, CV_MIN(at + CV_IPC_BODY_BYTES_MAX, command.n)),
			NULL, 0, err);
	return code;
}

cv_code inside_run(
	struct supervisor *s, uint32_t id, uint32_t size, const int *stdio, struct cv_err *err)
{
	const uint32_t words[2] = { id, size };

	return stdio ? number_send(s, CV_INIT_REQ_RUN, words, 1, stdio, err)
		     : number_send(s, CV_INIT_REQ_RUN_TTY, words, 2, NULL, err);
}

cv_code inside_socket(struct supervisor *s, uint32_t tag, uint32_t family, struct cv_err *err)
{
	const uint32_t words[2] = { tag, family };

	return number_send(s, CV_INIT_REQ_SOCKET, words, 2, NULL, err);
}

static cv_code command_send(struct supervisor *s, struct cv_err *err)
{
	static const int own[3] = { 0, 1, 2 };
	const bool is_tty = s->plan.flags & CV_PLAN_TTY;

	if (s->plan.gateway.flags & CV_PLAN_GATEWAY_NO_MAIN)
		return CV_OK;
	if (s->service.is_on)
		return exec_main(s, err);
	const cv_code code = inside_parts(s, s->plan.command_bytes, err);
	return code != CV_OK ? code
			     : inside_run(s, COMMAND_ID, terminal_size(), is_tty ? NULL : own, err);
}

void inside_command(struct supervisor *s)
{
	struct cv_err err;

	if (s->is_commanded || broker_is_awaited(s) || s->service.is_claim_unsealed ||
		(s->service.is_on && !s->service.is_known) ||
		((s->plan.flags & CV_PLAN_NETWORK) && !s->has_ca_files))
		return;
	if (s->plan.gateway.flags & CV_PLAN_GATEWAY_SPARE) {
		service_ready(s); /* the rest when it is claimed */
		return;
	}
	s->is_commanded = true;
	if (s->plan.timeout_ms)
		s->deadline_ms = cv_clock_ms() + (int64_t)s->plan.timeout_ms;
	/* When the sandbox died meanwhile, its end of the link says why. */
	if (command_send(s, &err) != CV_OK && err.sys != EPIPE && err.sys != ECONNRESET)
		run_fail(s, &err);
	service_ready(s);
}

void inside_flush(struct supervisor *s)
{
	struct cv_err err;

	/* A sandbox that is gone is found by who reads its link. */
	if (cv_ipc_outbox_flush(&s->inside_out, s->sandbox.link, &err) != CV_OK)
		cv_ipc_outbox_clear(&s->inside_out);
}

void inside_signal(struct supervisor *s, int number)
{
	inside_signal_to(s, COMMAND_ID, number);
}

void inside_signal_to(struct supervisor *s, uint32_t id, int number)
{
	const uint32_t words[2] = { id, (uint32_t)number };
	struct cv_err err;

	if (number_send(s, CV_INIT_REQ_SIGNAL, words, 2, NULL, &err) != CV_OK)
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

static void more_take(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_err err;

	if (s->more_count == CV_ARRAY_LEN(s->more)) {
		cv_fail(&err, CV_PROTO, "the sandbox's link: too many listeners");
		run_fail(s, &err);
		return;
	}
	s->more[s->more_count++] =
		(struct cv_netns_pair){ cv_take_fd(m->fds[0]), cv_take_fd(m->fds[1]) };
}

/* So that a connection to one of them starts a proxy, as one to the others does. */
static cv_code more_watch(struct supervisor *s, struct cv_err *err)
{
	struct epoll_event in = { .events = EPOLLIN };
	bool is_good = true;

	if (!s->more_count)
		return CV_OK;
	s->more_watch = epoll_create1(EPOLL_CLOEXEC);
	for (uint32_t i = 0; s->more_watch >= 0 && i < s->more_count; i++)
		is_good &= epoll_ctl(s->more_watch, EPOLL_CTL_ADD, s->more[i].tcp4, &in) == 0 &&
			   epoll_ctl(s->more_watch, EPOLL_CTL_ADD, s->more[i].tcp6, &in) == 0;
	return s->more_watch >= 0 && is_good ? CV_OK : cv_fail_errno(err, "watch the listeners");
}

/* Which interception there is, was found out by who made the network. */
static cv_code interception_take(struct supervisor *s, uint32_t how, struct cv_err *err)
{
	if (how == CV_INTERCEPTION_AUTO || how >= CV_INTERCEPTION_COUNT)
		return cv_fail(err, CV_PROTO, "the sandbox's link: no interception");
	s->interception = (enum cv_interception)how;
	if (how == CV_INTERCEPTION_ANYIP && s->plan.interception == CV_INTERCEPTION_AUTO &&
		(s->plan.gateway.flags & CV_PLAN_GATEWAY_SPARE))
		return cv_fail(err, CV_UNAVAILABLE,
			"a sandbox built ahead can't know its policy's ports, which the interception "
			"anyip needs; to enable: %s",
			CV_NETNS_REMEDY);
	if (how != CV_INTERCEPTION_TPROXY && !(s->plan.flags & CV_PLAN_QUIET))
		say("connections are intercepted by %s, not by tproxy; lost: %s",
			cv_interception_name(how), cv_interception_lost(how));
	return more_watch(s, err);
}

static void built(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_err err;

	if (interception_take(s, cv_ipc_get_u32(&r), &err) != CV_OK) {
		run_fail(s, &err);
		return;
	}
	s->ca_at = cv_ipc_get_u32(&r);
	for (int i = 0; i < CV_BUILT_COUNT; i++)
		s->built[i] = cv_take_fd(m->fds[i]);
	s->is_built = true;
	/* Commands come at any time then, and neither side may wait for the other (outbox.h). */
	if (s->service.is_on)
		fcntl(s->sandbox.link, F_SETFL, O_RDWR | O_NONBLOCK);
	s->inside.state = CV_INIT_READY;
	if (!(s->plan.flags & CV_PLAN_NETWORK))
		return;
	if (broker_built(s, &err) != CV_OK ||
		(!proxy_is_late(s) && proxy_start(s, &err) != CV_OK) ||
		ca_files_write(s, &err) != CV_OK)
		run_fail(s, &err);
	inside_command(s);
	push_look(s);
}

/* As a shell says it. */
static void failure_put(
	struct cv_buf *b, uint32_t id, uint32_t stage, int error, struct cv_str what)
{
	if (stage == CV_INIT_STAGE_EXEC && error == ENOENT)
		cv_buf_printf(b, "%.*s: command not found", CV_STR_ARG(what));
	else if (stage == CV_INIT_STAGE_EXEC)
		cv_buf_printf(b, "%.*s: %s", CV_STR_ARG(what), strerror(error));
	else if (stage == CV_INIT_STAGE_CWD)
		cv_buf_printf(b, "enter %.*s: %s", CV_STR_ARG(what), strerror(error));
	else if (id == 0) /* the message says the errno already */
		cv_buf_printf(b, "make the sandbox: %.*s", CV_STR_ARG(what));
	else
		cv_buf_printf(b, "confine the command: %.*s", CV_STR_ARG(what));
}

static void failed(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t id = cv_ipc_get_u32(r), stage = cv_ipc_get_u32(r);
	const int error = (int)cv_ipc_get_u32(r);
	const struct cv_str what = cv_ipc_get_str(r);
	struct cv_buf b;

	if (s->outcome != OUTCOME_NONE)
		return;
	cv_buf_init(&b, 8192);
	failure_put(&b, id, stage, error, what);
	if (id > COMMAND_ID) {
		exec_failed(s, id, stage, (uint32_t)error, cv_buf_str(&b));
	} else {
		terminal_restore();
		say("%.*s", CV_STR_ARG(cv_buf_str(&b)));
		service_why(s, cv_buf_str(&b));
		/* With a shell's status. */
		end_with(s, stage != CV_INIT_STAGE_EXEC ? 125 : error == ENOENT ? 127 : 126);
	}
	cv_buf_fini(&b);
}

static void exited(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t id = cv_ipc_get_u32(r);
	const int status = (int)cv_ipc_get_u32(r);

	if (id > COMMAND_ID) {
		exec_exited(s, id, (uint32_t)status);
		service_stop_look(s);
	} else if (s->is_timed_out) {
		end_with(s, 124);
	} else {
		end_with(s, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
}

static void started(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t id = cv_ipc_get_u32(r), pid = cv_ipc_get_u32(r);

	if (s->service.is_on)
		exec_started(s, id, pid);
}

static void tty(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };

	if (s->service.is_on)
		exec_tty(s, cv_ipc_get_u32(&r), cv_take_fd(m->fds[0]));
	else
		terminal_attach(&s->terminal, cv_take_fd(m->fds[0]));
}

static void socket_take(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };

	if (s->service.is_on)
		dial_socket(s, cv_ipc_get_u32(&r), cv_take_fd(m->fds[0]));
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
	case CV_INIT_REPLY_MORE: more_take(s, m); break;
	case CV_INIT_REPLY_FAILED: failed(s, &r); break;
	case CV_INIT_REPLY_EXITED: exited(s, &r); break;
	case CV_INIT_REPLY_WEAKER: weaker(s, &r); break;
	case CV_INIT_REPLY_NOTIFY: identity_open(s, cv_take_fd(m->fds[0])); break;
	case CV_INIT_REPLY_TTY: tty(s, m); break;
	case CV_INIT_REPLY_STARTED: started(s, &r); break;
	case CV_INIT_REPLY_SOCKET: socket_take(s, m); break;
	case CV_INIT_REPLY_COUNT: break;
	}
}

/* In the service of a gateway all that is there: it may be more than what goes in. */
void inside_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	cv_code code = cv_ipc_recv(s->sandbox.link, &s->inside, s->message, &m, &err);

	for (int i = 0; code == CV_OK; i++) {
		handle(s, &m);
		cv_ipc_msg_fini(&m);
		if (!s->service.is_on || !s->is_built || i >= TURN_MAX ||
			s->outcome != OUTCOME_NONE)
			return;
		code = cv_ipc_recv(s->sandbox.link, &s->inside, s->message, &m, &err);
	}
	if (code == CV_NOT_FOUND) {
		/* No EXITED came before: somebody killed PID 1, and the kernel all the rest. */
		cv_fail(&err, CV_UNAVAILABLE, "the sandbox was killed%s",
			s->plan.memory_bytes ? "; --memory may be too little for it" : "");
		run_fail(s, &err);
	} else if (code != CV_UNAVAILABLE) {
		cv_wrap(&err, "the sandbox's link");
		run_fail(s, &err);
	}
}
