/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.c - see terminal.h
 */
#include "client/terminal.h"

#include "base/attr.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const int deadly[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
static struct sigaction was_deadly[CV_ARRAY_LEN(deadly)];
static struct termios saved_terminal;
static volatile sig_atomic_t is_raw, was_resized;

void cl_terminal_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_terminal);
	is_raw = 0;
}

/* What it did before, it does now: at the latest it ends us. */
static void on_deadly(int sig)
{
	cl_terminal_restore();
	for (size_t i = 0; i < CV_ARRAY_LEN(deadly); i++)
		if (deadly[i] == sig)
			(void)sigaction(sig, &was_deadly[i], NULL);
	raise(sig);
}

static void on_resize(int sig)
{
	(void)sig;
	was_resized = 1;
}

void cl_terminal_raw(void)
{
	const struct sigaction ours = { .sa_handler = on_deadly };
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved_terminal) < 0)
		return;
	atexit(cl_terminal_restore);
	for (size_t i = 0; i < CV_ARRAY_LEN(deadly); i++)
		if (sigaction(deadly[i], NULL, &was_deadly[i]) == 0 &&
			was_deadly[i].sa_handler != SIG_IGN)
			(void)sigaction(deadly[i], &ours, NULL);
	/* no SA_RESTART: poll() has to return */
	const struct sigaction resize = { .sa_handler = on_resize };
	sigaction(SIGWINCH, &resize, NULL);
	raw = saved_terminal;
	cfmakeraw(&raw);
	is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void cl_terminal_size(uint32_t *ret_cols, uint32_t *ret_rows)
{
	struct winsize size;

	*ret_cols = 80;
	*ret_rows = 24;
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		*ret_cols = size.ws_col;
		*ret_rows = size.ws_row;
	}
}

bool cl_terminal_was_resized(void)
{
	const bool was = was_resized;

	was_resized = 0;
	return was;
}
