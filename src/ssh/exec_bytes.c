/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_bytes.c - bytes both ways, and how it ended
 *
 * Pace goes through: what a pipe does not take stays with libssh, whose window then stays shut, so
 * the command waits; input is read only when the server's window has room and libssh holds nothing that
 * the relay did not take.
 *
 * How it ended is told as soon as it is known; the ends of its output are those of its pipes.  Who
 * reads them decides how long to wait for what it left in the background.
 */
#include "ssh/exec.h"

#include "ssh/signals.h"
#include "sys/fd.h"

#include <errno.h>
#include <unistd.h>

static void end_close(struct client *c, int which)
{
	cv_fd_cleanup(&c->fd[which]);
	c->fd[which] = -1;
}

/* ---- output ---- */

/* Takes what fits, returns how much. */
static uint32_t out_take(struct client *c, int which, const char *bytes, uint32_t n)
{
	if (c->is_kept) {
		c->has_rest[which] = kept_is_ahead(c);
		if (!c->has_rest[which])
			kept_put(c, which, (struct cv_str){ bytes, n });
		return c->has_rest[which] ? 0 : n;
	}
	struct cv_buf *b = &c->to[which];
	const size_t room = EXEC_OUT_MAX / 2 - CV_MIN(cv_buf_len(b), (size_t)EXEC_OUT_MAX / 2);
	const uint32_t taken = (uint32_t)CV_MIN((size_t)n, room);

	c->has_rest[which] = taken < n;
	cv_buf_put(b, (struct cv_str){ bytes, taken });
	return taken;
}

static bool is_full(const struct client *c, int which)
{
	return c->is_kept ? kept_is_ahead(c) : cv_buf_len(&c->to[which]) >= EXEC_OUT_MAX / 4;
}

static void rest_take(struct client *c, int which)
{
	static char buf[EXEC_CHUNK];

	while (c->has_rest[which] && !is_full(c, which)) {
		const int n = ssh_channel_read_nonblocking(c->ch, buf, sizeof(buf), which == ERR);

		if (n > 0)
			(void)out_take(c, which, buf, (uint32_t)n);
		c->has_rest[which] = n == (int)sizeof(buf);
	}
}

static void out_pump(struct client *c, int which)
{
	for (;;) {
		rest_take(c, which);
		const struct cv_str s = cv_buf_str(&c->to[which]);
		if (!s.n)
			break;
		const ssize_t n = c->fd[which] < 0 ? (ssize_t)s.n : write(c->fd[which], s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		/* Nobody reads any more: what comes is lost. */
		cv_buf_skip(&c->to[which], n < 0 ? s.n : (size_t)n);
		if (n < 0)
			end_close(c, which);
	}
	if (c->has_ended && !c->has_rest[which])
		end_close(c, which);
}

/* ---- input ---- */

static bool has_room(const struct client *c)
{
	return !(ssh_get_poll_flags(c->session) & SSH_WRITE_PENDING) &&
	       ssh_channel_window_size(c->ch) > 0;
}

static int in_end(const struct client *c)
{
	return c->is_tty ? OUT : IN;
}

int bytes_in_fd(const struct client *c)
{
	return c->is_in_told || c->is_gone || cv_buf_len(&c->to[IN]) || !has_room(c)
		       ? -1
		       : c->fd[in_end(c)];
}

static void server_write(struct client *c, const char *p, size_t n)
{
	const int done = ssh_channel_write(c->ch, p, (uint32_t)n);

	if (done < 0)
		c->is_in_told = true; /* it has closed the channel: nobody wants more */
	else if ((size_t)done < n)
		cv_buf_put(&c->to[IN], (struct cv_str){ p + done, n - (size_t)done });
}

static void in_rest(struct client *c)
{
	while (cv_buf_len(&c->to[IN]) && has_room(c) && !c->is_in_told) {
		const struct cv_str s = cv_buf_str(&c->to[IN]);
		const int done = ssh_channel_write(c->ch, s.p, (uint32_t)s.n);

		if (done < 0)
			c->is_in_told = true;
		if (done <= 0)
			return;
		cv_buf_skip(&c->to[IN], (size_t)done);
	}
}

static void in_pump(struct client *c)
{
	static char buf[EXEC_CHUNK];

	in_rest(c);
	while (bytes_in_fd(c) >= 0) {
		const uint32_t window = ssh_channel_window_size(c->ch);
		const ssize_t n = read(bytes_in_fd(c), buf, CV_MIN(sizeof(buf), (size_t)window));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			(void)ssh_channel_send_eof(c->ch);
			c->is_in_told = true;
			if (!c->is_tty)
				end_close(c, IN);
			return;
		}
		server_write(c, buf, (size_t)n);
	}
}

/* ---- the end ---- */

static void status_tell(struct client *c)
{
	struct cv_buf b;

	if (!c->has_status || c->is_told || c->is_kept)
		return;
	c->is_told = true;
	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, c->status);
	client_tell(c, CV_SSH_EXEC_REPLY_EXITED, cv_buf_str(&b));
	cv_buf_fini(&b);
}

void bytes_pump(struct client *c)
{
	if (!c->is_gone)
		in_pump(c);
	out_pump(c, OUT);
	if (!c->is_tty)
		out_pump(c, ERR);
	status_tell(c);
}

bool bytes_are_over(const struct client *c)
{
	return c->has_ended && c->fd[OUT] < 0 && c->fd[ERR] < 0;
}

/* ---- what libssh tells ---- */

static int on_data(
	ssh_session session, ssh_channel channel, void *bytes, uint32_t n, int is_stderr, void *arg)
{
	struct client *c = arg;

	(void)session, (void)channel;
	/* A terminal has one stream, whatever a server makes of it. */
	return (int)out_take(c, is_stderr && !c->is_tty ? ERR : OUT, bytes, n);
}

static void on_status(ssh_session session, ssh_channel channel, int status, void *arg)
{
	struct client *c = arg;

	(void)session, (void)channel;
	if (!c->has_status)
		c->status = ((uint32_t)status & 0xff) << 8;
	c->has_status = true;
}

static void on_signal(ssh_session session, ssh_channel channel, const char *name, int has_core,
	const char *message, const char *language, void *arg)
{
	struct client *c = arg;
	const int number = signal_number(name);

	(void)session, (void)channel, (void)has_core, (void)message, (void)language;
	if (!c->has_status) /* one without a number here: as a shell says "killed" */
		c->status = number ? (uint32_t)number : 9;
	c->has_status = true;
}

static void on_end(ssh_session session, ssh_channel channel, void *arg)
{
	struct client *c = arg;

	(void)session, (void)channel;
	c->has_ended = true;
}

static void on_close(ssh_session session, ssh_channel channel, void *arg)
{
	struct client *c = arg;

	on_end(session, channel, arg);
	c->is_gone = true;
}

void bytes_callbacks(struct client *c)
{
	c->cb = (struct ssh_channel_callbacks_struct){
		.userdata = c,
		.channel_data_function = on_data,
		.channel_eof_function = on_end,
		.channel_close_function = on_close,
		.channel_exit_status_function = on_status,
		.channel_exit_signal_function = on_signal,
	};
	ssh_callbacks_init(&c->cb);
	(void)ssh_set_channel_callbacks(c->ch, &c->cb);
}
