/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_main.c - start, confinement, the loop, the end
 *
 *   1. told     - what to run, by the gateway
 *   2. confine  - as cove-ssh: no file, no new process or socket.  Before the first byte of the server
 *   3. start    - key exchange, "none", a channel, the command (exec_start.c); the one time it waits
 *   4. serve    - one thread, one poll(), until the command is over or the gateway has closed the link
 *
 * Whoever wants the command to end sends a signal, or closes the link: then the connection ends, and
 * the server does with what it ran what servers do with the commands of clients that went.
 */
#include "ssh/exec.h"

#include "ssh/signals.h"
#include "sys/clock.h"
#include "sys/confine.h"
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- to the gateway ---- */

static CV_NORETURN void die(const char *what)
{
	if (what)
		fprintf(stderr, "cove-ssh-exec: %s\n", what);
	_exit(what ? 1 : 0);
}

void client_tell(struct client *c, uint32_t type, struct cv_str body)
{
	struct cv_err err;

	if (cv_ipc_outbox_put(&c->out, c->link, type, body, NULL, 0, &err) != CV_OK)
		die(err.msg);
}

void client_tell_fds(struct client *c, uint32_t type, const int *fds, size_t n)
{
	struct cv_err err;

	if (cv_ipc_outbox_put(&c->out, c->link, type, CV_STR_NONE, fds, n, &err) != CV_OK)
		die(err.msg);
}

/* What was told, the gateway reads in its own time; it closes the link when it has. */
void client_end(struct client *c)
{
	struct cv_err err;

	while (!cv_ipc_outbox_is_empty(&c->out)) {
		struct pollfd p = { .fd = c->link, .events = POLLOUT };

		(void)poll(&p, 1, -1);
		if (cv_ipc_outbox_flush(&c->out, c->link, &err) != CV_OK)
			die(err.msg);
	}
	die(NULL);
}

void client_fail(struct client *c, const char *fmt, ...)
{
	char text[512];
	struct cv_buf b;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cv_buf_init(&b, sizeof(text) + 8);
	cv_ipc_put_str(&b, cv_str_of(text));
	client_tell(c, CV_SSH_EXEC_REPLY_FAILED, cv_buf_str(&b));
	cv_buf_fini(&b);
	client_end(c);
}

/* ---- from the gateway ---- */

static void size_take(struct client *c, uint32_t size)
{
	c->rows = size >> 16;
	c->cols = size & 0xffff;
}

static void on_start(struct client *c, struct cv_ipc_reader *r)
{
	c->is_tty = cv_ipc_get_u32(r);
	size_take(c, cv_ipc_get_u32(r));
	if (!cv_str_to_cstr(cv_ipc_get_str(r), c->term, sizeof(c->term)) ||
		!cv_ipc_reader_is_done(r) || !cv_buf_put_byte(&c->line, '\0'))
		die("the gateway's START is none");
}

static void on_message(struct client *c, const struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const char *name;

	switch ((enum cv_ssh_exec_req)m->type) {
	case CV_SSH_EXEC_REQ_PART: cv_buf_put(&c->line, m->body); break;
	case CV_SSH_EXEC_REQ_START: on_start(c, &r); break;
	case CV_SSH_EXEC_REQ_SIGNAL:
		name = signal_name((int)cv_ipc_get_u32(&r));
		if (name && c->is_started)
			(void)ssh_channel_request_send_signal(c->ch, name);
		break;
	case CV_SSH_EXEC_REQ_RESIZE:
		size_take(c, cv_ipc_get_u32(&r));
		if (c->is_started && c->is_tty)
			(void)ssh_channel_change_pty_size(c->ch, (int)c->cols, (int)c->rows);
		break;
	case CV_SSH_EXEC_REQ_KEEP: kept_make(c, &r); break;
	case CV_SSH_EXEC_REQ_PACE: c->pace = cv_ipc_get_u64(&r); break;
	case CV_SSH_EXEC_REQ_COUNT: break;
	}
}

/* False: nothing is there. */
static bool link_take(struct client *c)
{
	struct cv_ipc_msg m = { 0 };
	struct cv_err err;
	const cv_code code = cv_ipc_recv(c->link, &c->rules, c->buf, &m, &err);

	if (code == CV_UNAVAILABLE)
		return false;
	if (code != CV_OK)
		die(code == CV_NOT_FOUND ? NULL : err.msg);
	on_message(c, &m);
	cv_ipc_msg_fini(&m);
	return true;
}

static void link_read(struct client *c)
{
	for (int i = 0; i < EXEC_MESSAGES_MAX && link_take(c); i++)
		;
}

/* Blocks: there is nothing else to do yet. */
static void told(struct client *c)
{
	while (!(c->rules.seen & 1u << CV_SSH_EXEC_REQ_START))
		(void)link_take(c);
}

/* ---- start ---- */

static void unblock(int fd)
{
	if (fd >= 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		die("a descriptor can't be made non-blocking");
}

static void ends_take(struct client *c)
{
	for (int i = 0; i < ENDS; i++) {
		const bool is_there = c->is_tty ? i == OUT : i == IN || !c->is_kept;

		c->fd[i] = is_there ? CV_SSH_EXEC_IN_FD + i : -1;
		unblock(c->fd[i]);
		cv_buf_init(&c->to[i], EXEC_OUT_MAX);
	}
	unblock(c->link);
}

/* ---- the loop ---- */

static void server_read(struct client *c)
{
	for (int i = 0; i < EXEC_PACKETS_MAX && !c->is_gone; i++) {
		const int rc = ssh_event_dopoll(c->event, 0);

		if (rc == SSH_AGAIN)
			return;
		if (rc == SSH_ERROR || !ssh_is_connected(c->session))
			c->is_gone = c->has_ended = true;
	}
}

/* A server that says nothing, and does not answer either, is gone. */
static void keep_alive(struct client *c)
{
	if (c->now_ms < c->heard_ms + (int64_t)(c->pings + 1) * EXEC_PING_MS)
		return;
	if (c->pings++ == EXEC_PINGS_MAX)
		c->is_gone = c->has_ended = true;
	else
		(void)ssh_send_keepalive(c->session);
}

static void turn(struct client *c)
{
	const bool has_more = ssh_get_poll_flags(c->session) & SSH_WRITE_PENDING;
	const bool link_has_more = !cv_ipc_outbox_is_empty(&c->out);
	const int64_t ping = c->heard_ms + (int64_t)(c->pings + 1) * EXEC_PING_MS;
	const int64_t due = c->is_kept ? CV_MIN(ping, kept_next_ms(c)) : ping;
	struct pollfd p[2 + ENDS] = {
		{ .fd = c->is_gone ? -1 : CV_SSH_EXEC_RELAY_FD,
			.events = (short)(POLLIN | (has_more ? POLLOUT : 0)) },
		{ .fd = c->link, .events = (short)(POLLIN | (link_has_more ? POLLOUT : 0)) },
		{ .fd = bytes_in_fd(c), .events = POLLIN },
	};
	struct cv_err err;

	for (int i = OUT; i < ENDS; i++)
		p[2 + i] = (struct pollfd){ .fd = cv_buf_len(&c->to[i]) ? c->fd[i] : -1,
			.events = POLLOUT };
	if (poll(p, CV_ARRAY_LEN(p), (int)CV_MAX(due - c->now_ms, 0)) < 0 && errno != EINTR)
		die("poll fails");
	c->now_ms = cv_clock_ms();
	if (link_has_more && cv_ipc_outbox_flush(&c->out, c->link, &err) != CV_OK)
		die(err.msg);
	if (p[1].revents & (POLLIN | POLLHUP))
		link_read(c);
	if (p[0].revents & POLLIN) {
		c->heard_ms = c->now_ms;
		c->pings = 0;
	}
	if (p[0].revents)
		server_read(c);
	bytes_pump(c);
	if (c->is_kept)
		kept_turn(c);
	if (!c->is_gone)
		keep_alive(c);
}

static bool is_over(const struct client *c)
{
	return c->is_kept ? kept_is_over(c) : bytes_are_over(c) && (c->has_status || c->is_gone);
}

int main(void)
{
	static struct client c = {
		.link = CV_SSH_EXEC_LINK_FD,
		.pace = UINT64_MAX,
		.rules = { cv_ssh_exec_req_rule, CV_SSH_EXEC_REQ_COUNT, CV_SSH_EXEC_LINK_OPEN, 0 },
	};
	struct cv_err err;

	signal(SIGPIPE, SIG_IGN);
	if (cv_proc_harden(&err) != CV_OK)
		die(err.msg);
	if (ssh_init() != SSH_OK)
		die("libssh does not start");
	ssh_set_log_level(SSH_LOG_NOLOG);
	cv_buf_init(&c.line, CV_SSH_EXEC_LINE_MAX + 1);
	told(&c);
	ends_take(&c);
	if (cv_confine_fileless(CV_SECCOMP_SSH, &err) != CV_OK)
		die(err.msg);
	start_connect(&c);
	start_command(&c);
	c.now_ms = c.heard_ms = cv_clock_ms();
	if (c.is_kept)
		kept_tell(&c);
	bytes_pump(&c);
	while (!is_over(&c))
		turn(&c);
	if (c.is_kept)
		kept_end(&c);
	if (!c.has_status)
		client_fail(&c, "it closed before the command reported an exit status");
	client_end(&c);
}
