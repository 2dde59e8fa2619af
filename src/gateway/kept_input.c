/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_input.c - input of commands that outlive their client: a terminal, or a stdin that stays open
 *
 *     AttachExec ──bytes──► in ──► stdin's write end, or the terminal (KEPT_INPUT)
 *        ▲                   │
 *        └── held while `in` is long; told how much of it went (accepted)
 *
 * One writes at a time, since bytes of two would mix in the middle of words; another takes over only
 * when he says so, and the former one's call ends with who it was.  What a writer gave stays in the
 * buffer when he goes, and comes before what the next one gives.  That nothing more comes has to be
 * said: a client that is lost says nothing.
 */
#include "gateway/kept_int.h"

#include "gateway/exec_int.h"
#include "gateway/log.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#define ACCEPTED_STEP (64u << 10) /* told at least so often; and when nothing waits */

bool kept_takes_input(const struct cv_gw_kept *k)
{
	return k->about.is_tty || k->about.has_stdin;
}

void kept_input_close(struct cv_gw_kept *k)
{
	if (k->input >= 0) {
		cv_loop_remove(&k->g->loop, k->input); /* the supervisor holds it too */
		close(k->input);
	}
	k->input = -1;
	k->is_input_over = true;
	cv_buf_wipe(&k->in);
	cv_buf_init(&k->in, KEPT_IN_MAX);
}

/* ---- to the writer ---- */

static void accepted_send(struct kept_follower *f, uint64_t accepted)
{
	Cove__V1__FollowExecEvent m;
	Cove__V1__ExecAccepted a;

	f->told = accepted;
	cove__v1__follow_exec_event__init(&m);
	cove__v1__exec_accepted__init(&a);
	a.bytes = accepted;
	m.accepted = &a;
	m.event_case = COVE__V1__FOLLOW_EXEC_EVENT__EVENT_ACCEPTED;
	if (!cv_rpc_send(f->call, &m.base))
		f->is_full = true; /* this one is queued */
}

static void accepted_tell(struct kept_follower *f)
{
	const struct cv_gw_kept *k = f->of;
	const uint64_t waits = CV_MIN((uint64_t)cv_buf_len(&k->in), f->given);
	const uint64_t accepted = f->given - waits;

	if (f->is_finished || accepted == f->told || (waits && accepted < f->told + ACCEPTED_STEP))
		return;
	accepted_send(f, accepted);
}

void kept_writer_set(struct cv_gw_kept *k, struct kept_follower *f)
{
	k->writer = f;
	accepted_send(f, 0); /* that he is it */
}

static void writer_hold(struct cv_gw_kept *k)
{
	struct kept_follower *f = k->writer;
	const bool is_held = cv_buf_len(&k->in) > KEPT_IN_HOLD;

	if (!f || f->is_finished)
		return;
	accepted_tell(f);
	if (is_held == f->is_held)
		return;
	f->is_held = is_held;
	cv_rpc_hold(f->call, is_held);
}

/* ---- to the command ---- */

static void eof_write(struct cv_gw_kept *k)
{
	struct cv_gw_box *b = cv_gw_box_get(k->g, k->box);
	static const char eof = 4; /* of a terminal in its usual mode, termios(3) */

	k->has_eof = false; /* once */
	if (k->about.is_tty) {
		(void)!write(k->input, &eof, 1);
		return;
	}
	kept_input_close(k);
	if (b && k->number)
		(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_STDIN_END, &k->number, 1);
}

void kept_input_flush(struct cv_gw_kept *k)
{
	while (k->input >= 0 && cv_buf_len(&k->in)) {
		const struct cv_str rest = cv_buf_str(&k->in);
		const ssize_t n = write(k->input, rest.p, rest.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) { /* nobody reads any more: as in a pipe, what comes is lost */
			kept_input_close(k);
			break;
		}
		cv_buf_skip(&k->in, (size_t)n);
	}
	if (k->input >= 0 && k->has_eof && !cv_buf_len(&k->in))
		eof_write(k);
	writer_hold(k);
}

void kept_input_put(struct cv_gw_kept *k, struct cv_str bytes)
{
	if (k->writer)
		k->writer->given += bytes.n;
	if (!k->is_input_over && !k->has_eof)
		cv_buf_put(&k->in, bytes);
	kept_input_flush(k);
}

void kept_input_end(struct cv_gw_kept *k)
{
	k->has_eof = !k->is_input_over;
	kept_input_flush(k);
}

void kept_input_take(struct cv_gw_kept *k, int *fd)
{
	struct cv_err err;

	if (k->input >= 0 || k->is_input_over || !kept_takes_input(k))
		return; /* told again */
	k->input = cv_take_fd(*fd);
	(void)fcntl(k->input, F_SETFL, fcntl(k->input, F_GETFL) | O_NONBLOCK);
	if (cv_loop_add(&k->g->loop, k->input, EPOLLOUT | EPOLLET,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_KEPT, KEPT_WATCH_INPUT), k->ref },
		    &err) != CV_OK) { /* what swallows can't be watched: it has ended */
		close(k->input);
		k->input = -1;
		kept_input_close(k);
		return;
	}
	if (k->size)
		kept_resize(k, k->size >> 16, k->size & UINT16_MAX, true);
	kept_input_flush(k);
}

/* ---- its window ---- */

void kept_resize(struct cv_gw_kept *k, uint32_t rows, uint32_t cols, bool is_new)
{
	struct winsize w = { .ws_row = (unsigned short)CV_MIN(rows, (uint32_t)UINT16_MAX),
		.ws_col = (unsigned short)CV_MIN(cols, (uint32_t)UINT16_MAX) };

	if (!k->about.is_tty || !w.ws_row || !w.ws_col)
		return;
	k->size = (uint32_t)w.ws_row << 16 | w.ws_col;
	if (k->input < 0)
		return; /* when it is there */
	if (k->ssh) {
		if (is_new)
			exec_ssh_resize(k->ssh, w.ws_row, w.ws_col + 1u);
		exec_ssh_resize(k->ssh, w.ws_row, w.ws_col);
		return;
	}
	if (is_new) { /* programs draw anew only when it becomes another */
		w.ws_col++;
		(void)ioctl(k->input, TIOCSWINSZ, &w);
		w.ws_col--;
	}
	(void)ioctl(k->input, TIOCSWINSZ, &w);
}
