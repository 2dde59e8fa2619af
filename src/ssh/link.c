/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - what the gateway is asked, and its answers
 *
 * Answers only change a channel's state, so they may be read while libssh waits for one of our
 * callbacks to return (link_dial()).
 */
#include "ssh/ssh.h"

#include "plan/exec.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>

static void link_send(struct sshd *s, uint32_t type, struct cv_str body)
{
	struct cv_err err;

	if (cv_ipc_outbox_put(&s->out, s->link, type, body, NULL, 0, &err) != CV_OK)
		die(err.msg);
}

void link_u32s(struct sshd *s, uint32_t type, const uint32_t *v, size_t n)
{
	struct cv_buf b;

	cv_buf_init(&b, 64);
	for (size_t i = 0; i < n; i++)
		cv_ipc_put_u32(&b, v[i]);
	link_send(s, type, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* ---- commands ---- */

static bool exec_put(const struct chan *c, const char *const *argv, size_t argc, struct cv_buf *ret)
{
	struct cv_str args[4], env[SSH_ENV_MAX + 1];
	struct cv_plan_exec e = { .argv = args, .env = env };
	struct cv_str rest = cv_buf_str(&c->env);
	char term[SSH_TERM_MAX + 8];

	for (; e.argc < argc && e.argc < CV_ARRAY_LEN(args); e.argc++)
		args[e.argc] = cv_str_of(argv[e.argc]);
	while (rest.n && e.envc < SSH_ENV_MAX)
		env[e.envc++] = cv_str_cut(&rest, '\0');
	if (c->is_tty && *c->term) {
		const int n = snprintf(term, sizeof(term), "TERM=%s", c->term);

		env[e.envc++] = (struct cv_str){ term, (size_t)n };
	}
	return cv_plan_exec_put(ret, &e);
}

bool link_start(struct chan *c, const char *const *argv, size_t argc)
{
	const uint32_t flags = c->is_tty ? CV_SSH_START_TTY : 0;
	const uint32_t v[] = { c->id, flags, c->rows << 16 | c->cols };
	struct cv_buf b;

	cv_buf_init(&b, CV_PLAN_EXEC_BYTES_MAX);
	const bool is_put = exec_put(c, argv, argc, &b);
	for (struct cv_str rest = cv_buf_str(&b); is_put && rest.n;) {
		const size_t n = CV_MIN(rest.n, (size_t)CV_IPC_BODY_BYTES_MAX);

		link_send(c->s, CV_SSH_REQ_PART, cv_str_slice(rest, 0, n));
		rest = cv_str_slice(rest, n, rest.n);
	}
	cv_buf_wipe(&b);
	if (!is_put)
		return false;
	c->state = CHAN_ASKED;
	link_u32s(c->s, CV_SSH_REQ_START, v, CV_ARRAY_LEN(v));
	return true;
}

/* ---- answers ---- */

static void end_take(struct chan *c, int which, int *fd)
{
	c->fd[which] = cv_take_fd(*fd);
	(void)fcntl(c->fd[which], F_SETFL, fcntl(c->fd[which], F_GETFL) | O_NONBLOCK);
}

static void started(struct chan *c, struct cv_ipc_msg *m)
{
	if (c->state != CHAN_ASKED)
		return;
	c->state = CHAN_RUNNING;
	c->is_tty = m->type == CV_SSH_REPLY_STARTED_TTY;
	if (m->fd_count == 1) {
		end_take(c, OUT, &m->fds[0]);
		chan_resize(c); /* it may have changed meanwhile */
		return;
	}
	end_take(c, IN, &m->fds[0]);
	end_take(c, OUT, &m->fds[1]);
	end_take(c, ERR, &m->fds[2]);
}

static void failed(struct chan *c, struct cv_ipc_reader *r)
{
	c->status = (int)cv_ipc_get_u32(r);
	c->has_failed = true;
	const struct cv_str text = cv_ipc_get_str(r);
	cv_buf_printf(&c->rest[1], "cove: %.*s\n", CV_STR_ARG(text));
}

static void on_message(struct sshd *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct chan *c = chan_find(s, cv_ipc_get_u32(&r));

	if (!c)
		return; /* the client closed it meanwhile */
	switch ((enum cv_ssh_reply)m->type) {
	case CV_SSH_REPLY_STARTED:
	case CV_SSH_REPLY_STARTED_TTY: started(c, m); break;
	case CV_SSH_REPLY_REPLAY: cv_buf_put(&c->rest[0], r.rest); break;
	case CV_SSH_REPLY_FAILED: failed(c, &r); break;
	case CV_SSH_REPLY_EXITED:
		c->status = (int)cv_ipc_get_u32(&r);
		c->has_exited = true;
		break;
	case CV_SSH_REPLY_DIALLED:
		c->state = CHAN_RUNNING;
		end_take(c, OUT, &m->fds[0]);
		break;
	case CV_SSH_REPLY_NOT_DIALLED: c->has_failed = true; break;
	case CV_SSH_REPLY_COUNT: break;
	}
}

void link_read(struct sshd *s)
{
	struct cv_err err;

	for (int i = 0; i < SSH_MESSAGES_TURN_MAX; i++) {
		struct cv_ipc_msg m = { 0 };
		const cv_code code = cv_ipc_recv(s->link, &s->rules, s->buf, &m, &err);

		if (code == CV_UNAVAILABLE)
			return;
		if (code != CV_OK)
			die(code == CV_NOT_FOUND ? NULL : err.msg);
		on_message(s, &m);
		cv_ipc_msg_fini(&m);
	}
}

void link_dial(struct chan *c, uint32_t port)
{
	const uint32_t v[] = { c->id, port };
	const int64_t until = cv_clock_ms() + SSH_DIAL_MS;
	struct sshd *s = c->s;
	struct cv_err err;

	c->state = CHAN_ASKED;
	link_u32s(s, CV_SSH_REQ_DIAL, v, CV_ARRAY_LEN(v));
	while (c->state == CHAN_ASKED && !c->has_failed) {
		const bool has_more = !cv_ipc_outbox_is_empty(&s->out);
		struct pollfd p = { .fd = s->link,
			.events = (short)(POLLIN | (has_more ? POLLOUT : 0)) };
		const int64_t left = until - cv_clock_ms();

		if (left <= 0) {
			c->has_failed = true;
			return;
		}
		(void)poll(&p, 1, (int)left);
		if ((p.revents & POLLOUT) && cv_ipc_outbox_flush(&s->out, s->link, &err) != CV_OK)
			die(err.msg);
		link_read(s);
	}
}
