/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - see worker.h
 */
#include "broker/worker.h"

#include "broker/call_end.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- its start ---- */

void worker_init(
	struct worker *w, size_t out_max, const char *died, void (*free_run)(struct worker *w))
{
	w->p = (struct spawned){ .control = -1, .in = -1, .out = -1, .err = -1 };
	cv_buf_init(&w->out, out_max);
	w->died = died;
	w->free = free_run;
	w->is_killed = false;
}

cv_code worker_spawn(struct worker *w, const struct spawn_plan *plan, struct cv_err *err)
{
	return spawn(plan, &w->p, err);
}

void worker_free(struct worker *w)
{
	spawn_close(&w->p);
	cv_buf_fini(&w->out);
	w->free(w);
}

static bool watch(struct broker *b, struct job *j, int fd, enum watch kind, struct cv_err *err)
{
	return cv_loop_add(&b->loop, fd, EPOLLIN, (struct cv_watch){ (uint8_t)kind, j->ref },
		       err) == CV_OK;
}

bool worker_watch(struct broker *b, struct job *j, struct worker *w, struct cv_err *err)
{
	if (!watch(b, j, w->p.control, WATCH_RUN, err) ||
		!watch(b, j, w->p.out, WATCH_RUN_OUT, err) ||
		!watch(b, j, w->p.err, WATCH_RUN_ERR, err)) {
		worker_free(w);
		return false;
	}
	j->run = w;
	return true;
}

/* ---- its end ---- */

/* "STATUS CODE\nDETAIL\nMEMBERS".  False: the worker died before it said all of it. */
static bool answer_read(struct cv_str s, uint64_t *ret_status, char code[32],
	struct cv_str *ret_detail, struct cv_str *ret_members)
{
	struct cv_str first = cv_str_cut(&s, '\n');

	if (!cv_str_to_u64(cv_str_cut(&first, ' '), 599, ret_status) ||
		!cv_str_to_cstr(first, code, 32))
		return false;
	*ret_detail = cv_str_cut(&s, '\n');
	*ret_members = s;
	return s.n > 0;
}

static void end_refused(struct broker *b, struct job *j, int status, const char *code,
	struct cv_str detail, struct cv_str members)
{
	struct cv_buf body;

	cv_buf_init(&body, 2 * members.n + detail.n * 6 + 1024);
	error_begin(&body, code, "%.*s", CV_STR_ARG(detail));
	cv_buf_put_byte(&body, ',');
	cv_buf_put(&body, members);
	error_end(&body);
	job_end(b, j, JOB_FAILED, status, code, &body);
}

static void end_good(struct broker *b, struct job *j, struct cv_str members)
{
	struct cv_buf output;

	cv_buf_init(&output, members.n + 16);
	cv_buf_put_byte(&output, '{');
	cv_buf_put(&output, members);
	cv_buf_put_byte(&output, '}');
	call_end(b, j,
		&(struct call_end){
			.outcome = CALL_OK,
			.output = cv_buf_str(&output),
			.bytes = cv_buf_len(&output),
		});
	cv_buf_fini(&output);
}

static void finish(struct broker *b, struct job *j)
{
	struct worker *w = j->run;
	struct cv_str detail, members;
	char code[32];
	uint64_t status;

	j->run = NULL; /* it is no more, whoever asks */
	call_out_end(j, &w->out);
	call_log_end(b, j);
	if (j->is_stopping)
		call_end(b, j,
			&(struct call_end){
				.outcome = j->stop_state == JOB_TIMED_OUT ? CALL_TIMEOUT
									  : CALL_CANCELLED,
			});
	else if (!answer_read(cv_buf_str(&w->out), &status, code, &detail, &members))
		call_end(b, j, &(struct call_end){ .outcome = CALL_BROKEN, .detail = w->died });
	else if (status == 200)
		end_good(b, j, members);
	else
		end_refused(b, j, (int)status, code, detail, members);
	worker_free(w);
}

/* ---- while it runs ---- */

#define READS_MAX 16

static void pipe_read(struct broker *b, struct job *j, bool is_log)
{
	struct worker *w = j->run;
	int *fd = is_log ? &w->p.err : &w->p.out;
	char piece[32768];
	ssize_t n = 1;

	for (int i = 0; i < READS_MAX && *fd >= 0; i++) {
		n = read(*fd, piece, sizeof(piece));
		if (n <= 0)
			break;
		if (is_log)
			call_log(b, j, (struct cv_str){ piece, (size_t)n });
		else
			call_out(j, (struct cv_str){ piece, (size_t)n }, &w->out);
	}
	if (n == 0 && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
}

static void control_read(struct broker *b, struct job *j)
{
	struct worker *w = j->run;
	struct spawn_report report;
	const ssize_t n = recv(w->p.control, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(report) && report.kind == SPAWN_REPORT_FAILED)
		return; /* its end is said too */
	for (int i = 0; i < 64 && w->p.out >= 0; i++)
		pipe_read(b, j, false);
	for (int i = 0; i < 64 && w->p.err >= 0; i++)
		pipe_read(b, j, true);
	if (n != sizeof(report)) {
		b->orphans_until_ms = b->loop.now_ms + 1000;
		due_at(b, b->loop.now_ms);
	}
	finish(b, j);
}

void worker_event(struct broker *b, struct job *j, enum watch what, uint32_t events)
{
	(void)events;
	switch ((int)what) {
	case WATCH_RUN_OUT: pipe_read(b, j, false); break;
	case WATCH_RUN_ERR: pipe_read(b, j, true); break;
	default: control_read(b, j); break;
	}
}

void worker_detail(char *out, size_t size, const char *fmt, va_list ap)
{
	vsnprintf(out, size, fmt, ap);
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
}

void worker_stop(struct broker *b, struct job *j)
{
	spawn_tell(&((struct worker *)j->run)->p, SPAWN_TERM);
	j->due_ms = b->loop.now_ms + BROKER_GRACE_MS;
	due_at(b, j->due_ms);
}

void worker_due(struct broker *b, struct job *j)
{
	struct worker *w = j->run;

	(void)b;
	if (!w->is_killed)
		spawn_tell(&w->p, SPAWN_KILL);
	w->is_killed = true;
}

void worker_drop(struct broker *b, struct job *j)
{
	struct worker *w = j->run;

	(void)b;
	j->run = NULL;
	if (w)
		worker_free(w);
}
