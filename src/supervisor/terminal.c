/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.c - see terminal.h
 *
 * The command has a terminal of the sandbox's own devpts, never the user's: so TIOCSTI and its
 * kin have nothing to inject into, and job control, Ctrl-C and Ctrl-Z are the business of the
 * kernel's line discipline inside.  We copy bytes between the two.  The user's terminal is raw
 * meanwhile; it is restored at each end of the process that a handler can see.
 *
 * Output is written with the blocking write that any program does; input is buffered because the
 * command may not read it for a while.
 */
#include "supervisor/terminal.h"

#include "supervisor/limits.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define VEOF_BYTE '\004' /* what the sandbox's line discipline takes for end of file */
#define DRAIN_MS  200    /* the kernel hands the last output over within a few of them */

static struct termios saved;
static volatile sig_atomic_t is_saved;

void terminal_init(struct terminal *t)
{
	*t = (struct terminal){ .outer = -1 };
	cv_buf_init(&t->in, SUP_TTY_BYTES);
}

uint32_t terminal_size(void)
{
	struct winsize ws;

	for (int fd = 0; fd < 3; fd++)
		if (ioctl(fd, TIOCGWINSZ, &ws) == 0)
			return (uint32_t)ws.ws_row << 16 | ws.ws_col;
	return 0;
}

void terminal_restore(void)
{
	if (is_saved)
		tcsetattr(0, TCSANOW, &saved);
	is_saved = 0;
}

/* A bug of ours must not leave the user with a terminal that shows nothing. */
static void on_crash(int number)
{
	terminal_restore();
	signal(number, SIG_DFL);
	raise(number);
}

void terminal_attach(struct terminal *t, int outer)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
	struct termios raw;

	t->outer = outer;
	fcntl(outer, F_SETFL, O_RDWR | O_NONBLOCK);
	if (tcgetattr(0, &saved) < 0)
		return; /* stdin is no terminal: there is nothing to make raw */
	is_saved = 1;
	for (size_t i = 0; i < CV_ARRAY_LEN(crashes); i++)
		signal(crashes[i], on_crash);
	raw = saved;
	cfmakeraw(&raw);
	if (tcsetattr(0, TCSADRAIN, &raw) == 0)
		t->is_raw = true;
}

void terminal_resize(struct terminal *t)
{
	const uint32_t size = terminal_size();
	const struct winsize ws = { .ws_row = (unsigned short)(size >> 16),
		.ws_col = (unsigned short)size };

	if (t->outer >= 0 && size && ioctl(t->outer, TIOCSWINSZ, &ws) < 0)
		return; /* the command is about to end */
}

short terminal_stdin_interest(const struct terminal *t)
{
	return t->outer >= 0 && !t->is_in_done && cv_buf_len(&t->in) < SUP_TTY_BYTES / 2 ? POLLIN
											 : 0;
}

short terminal_outer_interest(const struct terminal *t)
{
	if (t->outer < 0 || t->is_out_done)
		return 0;
	return (short)(POLLIN | (cv_buf_len(&t->in) ? POLLOUT : 0));
}

void terminal_stdin_read(struct terminal *t)
{
	char bytes[4096];
	const ssize_t n = read(0, bytes, sizeof(bytes));

	if (n > 0) {
		cv_buf_put(&t->in, (struct cv_str){ bytes, (size_t)n });
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		t->is_in_done = true;
		cv_buf_put_byte(&t->in, VEOF_BYTE);
	}
}

static void out_write(const char *p, size_t n)
{
	while (n) {
		const ssize_t done = write(1, p, n);

		if (done < 0 && errno == EAGAIN) {
			struct pollfd w = { 1, POLLOUT, 0 };
			poll(&w, 1, -1);
			continue;
		}
		if (done < 0 && errno != EINTR)
			return; /* nobody looks any more; the command goes on */
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
}

void terminal_outer_serve(struct terminal *t, short events)
{
	char bytes[16384];

	if (events & (POLLIN | POLLHUP | POLLERR)) {
		const ssize_t n = read(t->outer, bytes, sizeof(bytes));

		if (n > 0)
			out_write(bytes, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			t->is_out_done = true; /* EIO: nobody has the inner end open */
	}
	if (events & POLLOUT) {
		const struct cv_str in = cv_buf_str(&t->in);
		const ssize_t n = write(t->outer, in.p, in.n);

		if (n > 0)
			cv_buf_skip(&t->in, (size_t)n);
	}
}

void terminal_drain(struct terminal *t)
{
	struct pollfd w = { t->outer, POLLIN, 0 };

	while (t->outer >= 0 && !t->is_out_done && poll(&w, 1, DRAIN_MS) > 0)
		terminal_outer_serve(t, POLLIN);
}
