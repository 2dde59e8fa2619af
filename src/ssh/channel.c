/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.c - a channel: its command or connection, and bytes both ways
 *
 * Pace goes through: output is read only when the client's window has room and libssh holds nothing
 * that the socket did not take; input that a command does not read stays with libssh, whose window
 * then stays shut.
 *
 * A command is over for its client when it has exited and its output has ended, or when nothing more
 * came for a moment: what it left in the background may hold its pipes for ever.
 */
#include "ssh/ssh.h"

#include "ssh/signals.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CTRL_P 0x10
#define CTRL_Q 0x11

struct chan *chan_new(struct sshd *s, enum chan_kind kind)
{
	struct chan *c = s->chan_count < SSH_CHANNELS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->s = s;
	c->kind = kind;
	c->id = ++s->next_id;
	c->fd[IN] = c->fd[OUT] = c->fd[ERR] = -1;
	c->rows = 24;
	c->cols = 80;
	cv_buf_init(&c->in, SSH_IN_MAX);
	cv_buf_init(&c->rest[0], SSH_REPLAY_MAX + SSH_REST_MAX);
	cv_buf_init(&c->rest[1], SSH_REST_MAX);
	cv_buf_init(&c->env, SSH_ENV_BYTES_MAX);
	c->next = s->chans;
	s->chans = c;
	s->chan_count++;
	return c;
}

struct chan *chan_find(struct sshd *s, uint32_t id)
{
	for (struct chan *c = s->chans; c; c = c->next)
		if (c->id == id)
			return c;
	return NULL;
}

static void end_close(struct chan *c, int which)
{
	cv_fd_cleanup(&c->fd[which]);
	c->fd[which] = -1;
}

void chan_free(struct chan *c)
{
	struct sshd *s = c->s;

	if (c->state == CHAN_ASKED || c->state == CHAN_RUNNING || c->state == CHAN_OVER)
		link_u32s(s, CV_SSH_REQ_END, &c->id, 1);
	for (struct chan **i = &s->chans; *i; i = &(*i)->next)
		if (*i == c) {
			*i = c->next;
			s->chan_count--;
			break;
		}
	for (int i = 0; i < ENDS; i++)
		end_close(c, i);
	if (c->ch) {
		(void)ssh_remove_channel_callbacks(c->ch, &c->cb);
		ssh_channel_free(c->ch);
	}
	cv_buf_wipe(&c->in);
	cv_buf_fini(&c->rest[0]);
	cv_buf_fini(&c->rest[1]);
	cv_buf_wipe(&c->env);
	free(c);
}

/* ---- output ---- */

static bool has_room(const struct chan *c)
{
	return !(ssh_get_poll_flags(c->s->session) & SSH_WRITE_PENDING) &&
	       ssh_channel_window_size(c->ch) > 0;
}

static int client_write(struct chan *c, int which, const char *p, size_t n)
{
	const uint32_t len = (uint32_t)CV_MIN(n, (size_t)SSH_CHUNK);
	const int done = which == ERR ? ssh_channel_write_stderr(c->ch, p, len)
				      : ssh_channel_write(c->ch, p, len);

	if (done < 0)
		c->is_closed = true; /* it has no use for us any more */
	return done;
}

/* What had no room before.  False: it still has none. */
static bool rest_write(struct chan *c, int which)
{
	struct cv_buf *b = &c->rest[which - OUT];

	while (cv_buf_len(b) && has_room(c) && !c->is_closed) {
		const struct cv_str s = cv_buf_str(b);
		const int n = client_write(c, which, s.p, s.n);

		if (n <= 0)
			return false;
		cv_buf_skip(b, (size_t)n);
	}
	return !cv_buf_len(b);
}

static void out_pump(struct chan *c, int which)
{
	static char buf[SSH_CHUNK];

	if (!rest_write(c, which) || c->fd[which] < 0 || !c->ready[which] || c->is_closed)
		return;
	while (has_room(c)) {
		const uint32_t window = ssh_channel_window_size(c->ch);
		const ssize_t n = read(c->fd[which], buf, CV_MIN(sizeof(buf), (size_t)window));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) { /* the end; of a terminal it is EIO */
			end_close(c, which);
			return;
		}
		if (c->tail_ms)
			c->tail_ms = c->s->now_ms + SSH_TAIL_MS;
		const int done = client_write(c, which, buf, (size_t)n);
		if (done < 0)
			return;
		if (done < n)
			cv_buf_put(&c->rest[which - OUT],
				(struct cv_str){ buf + done, (size_t)(n - done) });
	}
}

/* ---- input ---- */

/* The whole screen goes to the main command, but for the two keys that leave it. */
static void main_in(struct chan *c, const char *bytes, uint32_t n)
{
	static const char ctrl_p = CTRL_P;

	for (uint32_t i = 0; i < n && !c->is_detached; i++) {
		if (c->was_ctrl_p && bytes[i] == CTRL_Q) {
			c->is_detached = true;
			return;
		}
		if (c->was_ctrl_p)
			cv_buf_put(&c->in, (struct cv_str){ &ctrl_p, 1 });
		c->was_ctrl_p = bytes[i] == CTRL_P;
		if (!c->was_ctrl_p)
			cv_buf_put(&c->in, (struct cv_str){ &bytes[i], 1 });
	}
}

uint32_t chan_in(struct chan *c, const char *bytes, uint32_t n)
{
	const size_t room = SSH_IN_MAX / 2 - CV_MIN(cv_buf_len(&c->in), (size_t)SSH_IN_MAX / 2);
	const uint32_t taken = (uint32_t)CV_MIN((size_t)n, room);

	c->has_rest = taken < n;
	if (c->kind == CHAN_MAIN)
		main_in(c, bytes, taken);
	else
		cv_buf_put(&c->in, (struct cv_str){ bytes, taken });
	return taken;
}

static int in_fd(const struct chan *c)
{
	return c->is_tty || c->kind == CHAN_TCP ? c->fd[OUT] : c->fd[IN];
}

static void in_tell(struct chan *c)
{
	static const char eof = 4; /* of a terminal in its usual mode, termios(3) */

	c->is_in_told = true;
	if (c->kind == CHAN_MAIN)
		return; /* it outlives this client */
	if (c->kind == CHAN_TCP) {
		if (c->fd[OUT] >= 0)
			(void)shutdown(c->fd[OUT], SHUT_WR);
	} else if (c->is_tty) {
		if (c->fd[OUT] >= 0)
			(void)!write(c->fd[OUT], &eof, 1);
	} else {
		end_close(c, IN);
		link_u32s(c->s, CV_SSH_REQ_STDIN_END, &c->id, 1);
	}
}

static void rest_take(struct chan *c)
{
	static char buf[SSH_CHUNK];

	while (c->has_rest && cv_buf_len(&c->in) < SSH_IN_MAX / 4) {
		const int n = ssh_channel_read_nonblocking(c->ch, buf, sizeof(buf), 0);

		c->has_rest = n == (int)sizeof(buf);
		if (n <= 0)
			return;
		const bool has_rest = c->has_rest;
		(void)chan_in(c, buf, (uint32_t)n);
		c->has_rest = has_rest;
	}
}

static void in_pump(struct chan *c)
{
	for (;;) {
		rest_take(c);
		const struct cv_str s = cv_buf_str(&c->in);
		if (!s.n || in_fd(c) < 0)
			break;
		const ssize_t n = write(in_fd(c), s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		/* Nobody reads any more: as in a pipe, what comes is lost. */
		cv_buf_skip(&c->in, n < 0 ? s.n : (size_t)n);
		if (n < 0 && !c->is_tty && c->kind != CHAN_TCP)
			end_close(c, IN);
	}
	if (in_fd(c) < 0 && cv_buf_len(&c->in))
		cv_buf_reset(&c->in);
	if (c->is_in_ended && !c->has_rest && !c->is_in_told)
		in_tell(c);
}

/* ---- ends ---- */

static void chan_end(struct chan *c, int status, const char *by_signal, bool has_core)
{
	c->state = CHAN_OVER;
	if (!c->is_out_told)
		(void)ssh_channel_send_eof(c->ch);
	if (by_signal)
		(void)ssh_channel_request_send_exit_signal(c->ch, by_signal, has_core, "", "");
	else if (c->kind != CHAN_TCP)
		(void)ssh_channel_request_send_exit_status(c->ch, status);
	(void)ssh_channel_close(c->ch);
	for (int i = 0; i < ENDS; i++)
		end_close(c, i);
	c->is_closed = true;
}

static void exit_tell(struct chan *c)
{
	const char *name = WIFSIGNALED(c->status) ? signal_name(WTERMSIG(c->status)) : NULL;
	const int code =
		WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) : WEXITSTATUS(c->status);

	chan_end(c, code, name, WIFSIGNALED(c->status) && WCOREDUMP(c->status));
}

static bool is_written(const struct chan *c)
{
	return !cv_buf_len(&c->rest[0]) && !cv_buf_len(&c->rest[1]);
}

/* For a moment, while the client had room. */
static bool is_silent(struct chan *c)
{
	if (!c->tail_ms)
		c->tail_ms = c->s->now_ms + SSH_TAIL_MS;
	if (c->s->now_ms < c->tail_ms || !has_room(c))
		return false;
	c->ready[OUT] = c->ready[ERR] = POLLIN; /* poll() was not asked while there was no room */
	out_pump(c, OUT);
	out_pump(c, ERR);
	return c->s->now_ms >= c->tail_ms && is_written(c);
}

static void command_end(struct chan *c)
{
	if (c->is_detached) {
		chan_end(c, 0, NULL, false);
	} else if (c->has_failed) {
		if (c->is_sftp && c->status == ENOENT && requests_sftp_next(c))
			return;
		if (is_written(c))
			chan_end(c, c->status == ENOENT ? 127 : 126, NULL, false);
	} else if (c->has_exited && is_written(c)) {
		if ((c->fd[OUT] < 0 && c->fd[ERR] < 0) || is_silent(c))
			exit_tell(c);
	}
}

static void tcp_end(struct chan *c)
{
	if (c->fd[OUT] >= 0 || !is_written(c))
		return;
	chan_end(c, 0, NULL, false);
}

void chan_serve(struct chan *c)
{
	if (c->state == CHAN_OVER || c->is_closed)
		return;
	if (c->state == CHAN_RUNNING)
		in_pump(c);
	out_pump(c, OUT);
	if (c->kind != CHAN_TCP)
		out_pump(c, ERR);
	if (c->kind == CHAN_TCP && c->state == CHAN_RUNNING)
		tcp_end(c);
	else if (c->kind != CHAN_TCP)
		command_end(c);
}

/* ---- what it waits for ---- */

size_t chan_polls(struct chan *c, struct pollfd *v, int *which)
{
	size_t n = 0;

	c->ready[IN] = c->ready[OUT] = c->ready[ERR] = 0;
	if (c->state != CHAN_RUNNING)
		return 0;
	const bool can_read = has_room(c);
	for (int i = 0; i < ENDS; i++) {
		const bool wants_in = i != IN && can_read && !cv_buf_len(&c->rest[i - OUT]);
		const bool wants_out = c->fd[i] == in_fd(c) && cv_buf_len(&c->in);

		if (c->fd[i] < 0 || (!wants_in && !wants_out))
			continue;
		which[n] = i;
		v[n++] = (struct pollfd){ .fd = c->fd[i],
			.events = (short)((wants_in ? POLLIN : 0) | (wants_out ? POLLOUT : 0)) };
	}
	return n;
}

void chan_resize(const struct chan *c)
{
	const struct winsize w = { .ws_row = (unsigned short)c->rows,
		.ws_col = (unsigned short)c->cols };

	if (c->is_tty && c->fd[OUT] >= 0)
		(void)ioctl(c->fd[OUT], TIOCSWINSZ, &w);
}

void chan_say(struct chan *c, const char *text)
{
	cv_buf_printf(&c->rest[1], "cove: %s\n", text);
}
