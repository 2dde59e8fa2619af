/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_kept.c - a command that outlives its client: its output and its end lie in a ring (ipc/kept.h)
 *
 * This process is what reads it, as a supervisor of ours would (supervisor/kept.c): whether anybody
 * follows or not, and no further ahead of somebody who wants all of it than half a ring.  Its time is
 * measured here, too.  It lasts as long as the connection does, which leads through the gateway.
 */
#include "ssh/exec.h"

#include "sys/clock.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#define TIMEOUT_STATUS 124 /* as of timeout(1) */

void kept_make(struct client *c, struct cv_ipc_reader *r)
{
	struct cv_err err;

	c->is_kept = true;
	c->seconds = cv_ipc_get_u32(r);
	c->pace = cv_ipc_get_u32(r) ? 0 : UINT64_MAX;
	c->raised = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->raised < 0 || cv_kept_create(cv_ipc_get_str(r), &c->ring, &c->memory, &err) != CV_OK)
		client_fail(c, "no memory for its output");
}

void kept_tell(struct client *c)
{
	const int fds[] = { c->memory, c->raised };

	client_tell_fds(c, CV_SSH_EXEC_REPLY_KEPT, fds, CV_ARRAY_LEN(fds));
	if (c->seconds)
		c->due_ms = cv_clock_ms() + (int64_t)c->seconds * 1000;
}

bool kept_is_ahead(const struct client *c)
{
	return c->pace != UINT64_MAX && cv_kept_place(&c->ring) >= c->pace + EXEC_AHEAD_BYTES;
}

void kept_put(struct client *c, int which, struct cv_str bytes)
{
	const enum cv_kept_stream stream = which == ERR ? CV_KEPT_STDERR : CV_KEPT_STDOUT;

	while (bytes.n) {
		const size_t n = CV_MIN(bytes.n, (size_t)CV_KEPT_PIECE_MAX);

		cv_kept_put(&c->ring, stream, cv_str_slice(bytes, 0, n));
		bytes = cv_str_slice(bytes, n, bytes.n);
	}
	(void)eventfd_write(c->raised, 1); /* a counter that is full is raised already */
	c->tail_ms = 0;                    /* it is not silent */
}

/* ---- times ---- */

static void time_is_over(struct client *c)
{
	const bool is_first = !c->is_timed_out;

	if (c->is_killed) { /* the server does not end it */
		c->is_gone = c->has_ended = true;
		c->due_ms = 0;
		return;
	}
	c->is_killed = !is_first;
	c->is_timed_out = true;
	(void)ssh_channel_request_send_signal(c->ch, is_first ? "TERM" : "KILL");
	c->due_ms = c->now_ms + (is_first ? EXEC_TERM_MS : EXEC_DEAD_MS);
}

static bool has_rest(const struct client *c)
{
	return c->has_rest[OUT] || c->has_rest[ERR];
}

void kept_turn(struct client *c)
{
	if (c->has_status) {
		c->due_ms = 0;
		/* While it has to wait, it is not silent; nobody listens. */
		if (has_rest(c))
			c->tail_ms = 0;
		else if (!c->tail_ms)
			c->tail_ms = c->now_ms + EXEC_TAIL_MS;
	}
	if (c->due_ms && c->now_ms >= c->due_ms)
		time_is_over(c);
}

int64_t kept_next_ms(const struct client *c)
{
	const int64_t due = c->due_ms ? c->due_ms : INT64_MAX;

	return c->tail_ms ? CV_MIN(due, c->tail_ms) : due;
}

/* ---- the end ---- */

bool kept_is_over(const struct client *c)
{
	if (has_rest(c))
		return false;
	return c->is_gone ||
	       (c->has_status && (c->has_ended || (c->tail_ms && c->now_ms >= c->tail_ms)));
}

void kept_end(struct client *c)
{
	const int status = (int)c->status;
	enum cv_kept_reason reason = CV_KEPT_LOST;
	int code = 128 + SIGKILL;

	if (c->is_timed_out) {
		code = TIMEOUT_STATUS;
		reason = CV_KEPT_TIMED_OUT;
	} else if (c->has_status) {
		code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		reason = CV_KEPT_EXITED;
	}
	cv_kept_end(&c->ring, code, reason, cv_clock_unix_ms());
	(void)eventfd_write(c->raised, 1);
	client_end(c);
}
