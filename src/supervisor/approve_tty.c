/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve_tty.c - questions on the terminal of `cove run`
 *
 * Only where nobody else reads it: the command has no terminal of its own there (--tty), its stdin is
 * not the terminal, and we are its foreground.  With a terminal of the command's, what is typed is the
 * command's; then one line says that something waits, and `cove approve` asks in another terminal
 * (approve.c, tell()).
 *
 * The command may write to the same terminal, so what stands above a question need not be true; what
 * is typed before a question is shown is thrown away, and an answer is a line that was typed after.
 * One question is asked at a time.
 */
#include "supervisor/supervisor.h"

#include "ipc/approve_show.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#define WRITE_MS 2000 /* a terminal that is stopped must not stop the run */

static bool is_foreground(int tty)
{
	return tcgetpgrp(tty) == getpgrp();
}

/* Opened with the first question, and kept while there are any. */
static bool is_ours(struct supervisor *s)
{
	struct approvals *a = &s->approvals;

	if ((s->plan.flags & CV_PLAN_TTY) || isatty(0))
		return false;
	if (a->tty < 0)
		a->tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	return a->tty >= 0 && is_foreground(a->tty);
}

static void tty_write(struct supervisor *s, struct cv_str text)
{
	const struct approvals *a = &s->approvals;

	while (text.n && a->tty >= 0) {
		const ssize_t n = write(a->tty, text.p, text.n);
		struct pollfd w = { a->tty, POLLOUT, 0 };

		if (n > 0)
			text = cv_str_slice(text, (size_t)n, text.n);
		else if (n < 0 && errno == EAGAIN && poll(&w, 1, WRITE_MS) > 0)
			continue;
		else if (n >= 0 || errno != EINTR)
			approve_tty_close(s);
	}
}

static void prompt(struct supervisor *s, const struct question *q)
{
	tty_write(s, cv_ask_is_long(&q->ask)
			     ? CV_STR("cove: allow it? (yes, no, always, all: show all of it) ")
			     : CV_STR("cove: allow it? (yes, no, always) "));
}

static void question_show(struct supervisor *s, struct question *q, bool is_whole)
{
	struct cv_buf b;

	q->ask.seconds = approve_seconds(q);
	cv_buf_init(&b, CV_ASK_SHOW_BYTES_MAX);
	cv_buf_put(&b, CV_STR("\ncove: "));
	cv_ask_show(&b, &q->ask, is_whole);
	tty_write(s, cv_buf_str(&b));
	cv_buf_fini(&b);
	prompt(s, q);
}

bool approve_tty_show(struct supervisor *s)
{
	struct approvals *a = &s->approvals;
	struct question *q = approve_next(s, 0);

	if (a->on_tty && a->tty >= 0)
		return true; /* the others come after it */
	if (!q || !is_ours(s))
		return false;
	tcflush(a->tty, TCIFLUSH);
	a->on_tty = q->id;
	a->line_n = 0;
	a->is_line_long = false;
	question_show(s, q, false);
	return a->tty >= 0;
}

static void next_show(struct supervisor *s)
{
	s->approvals.on_tty = 0;
	if (approve_next(s, 0) && s->approvals.tty >= 0)
		(void)approve_tty_show(s);
}

/* ---- what is typed ---- */

static const struct {
	const char *word;
	enum cv_approval_answer answer;
	bool is_for_all;
} said[] = {
	{ "y", CV_APPROVAL_ALLOW, false },
	{ "yes", CV_APPROVAL_ALLOW, false },
	{ "n", CV_APPROVAL_DENY, false },
	{ "no", CV_APPROVAL_DENY, false },
	{ "always", CV_APPROVAL_ALLOW, true },
};

static void who_put(char *who, size_t size)
{
	snprintf(who, size, "uid %u, the terminal of cove run", (unsigned)getuid());
}

static void line_take(struct supervisor *s, struct cv_str line)
{
	struct approvals *a = &s->approvals;
	struct question *q = approve_find(s, a->on_tty);
	const uint64_t id = a->on_tty;
	char who[96];

	if (!q)
		return;
	if (cv_str_eq(line, CV_STR("all"))) {
		question_show(s, q, true);
		return;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(said); i++) {
		if (!cv_str_eq(line, cv_str_of(said[i].word)))
			continue;
		who_put(who, sizeof(who));
		a->on_tty = 0; /* what ends it now is the answer */
		switch (approve_answer(s, id, said[i].answer, said[i].is_for_all, cv_str_of(who))) {
		case CV_APPROVE_EACH:
			tty_write(s, CV_STR("cove: the policy wants an answer to each call\n"));
			break;
		case CV_APPROVE_FULL:
			tty_write(s, CV_STR("cove: too many answers are for always already\n"));
			break;
		case CV_APPROVE_DONE:
		case CV_APPROVE_GONE:
		case CV_APPROVE_RESULT_COUNT: break;
		}
		next_show(s);
		return;
	}
	prompt(s, q);
}

void approve_tty_read(struct supervisor *s)
{
	struct approvals *a = &s->approvals;
	char bytes[256];

	if (a->tty < 0)
		return; /* closed in this turn */
	const ssize_t n = read(a->tty, bytes, sizeof(bytes));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		approve_tty_close(s); /* no terminal any more; `cove approve` remains */
		return;
	}
	for (ssize_t i = 0; i < n && a->on_tty; i++) {
		if (bytes[i] != '\n') {
			a->is_line_long |= a->line_n == sizeof(a->line);
			if (!a->is_line_long)
				a->line[a->line_n++] = bytes[i];
			continue;
		}
		const struct cv_str line = { a->line, a->is_line_long ? 0 : a->line_n };
		a->line_n = 0;
		a->is_line_long = false;
		line_take(s, line);
	}
}

void approve_tty_ended(struct supervisor *s, uint64_t id)
{
	struct approvals *a = &s->approvals;

	if (a->on_tty != id)
		return;
	tty_write(s, CV_STR("\ncove: it needs no answer any more\n"));
	next_show(s);
}

void approve_tty_close(struct supervisor *s)
{
	if (s->approvals.tty >= 0)
		close(s->approvals.tty);
	s->approvals.tty = -1;
	s->approvals.on_tty = 0;
}
