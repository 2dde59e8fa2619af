/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.c - lines of the log and denials, for the gateway
 *
 * Proxy and broker write the lines that the sandbox's own log gets, each through a pipe that never
 * makes them wait; denials come from the proxy as messages.  Both wait here, at most
 * SUP_EVENTS_MAX, while there is no gateway or it is slow; what does not fit is counted, and the
 * count is told behind them.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <time.h>

#define STAMP_BYTES 24 /* 2026-11-21T11:52:34.123Z */

void events_init(struct supervisor *s)
{
	for (size_t i = 0; i < SERVICE_LOGS; i++) {
		s->service.log[i].fd = -1;
		cv_buf_init(&s->service.log[i].line, SUP_LINE_BYTES_MAX);
	}
}

cv_code events_pipe(struct supervisor *s, size_t who, int *ret, struct cv_err *err)
{
	struct service_log *l = &s->service.log[who];
	int pair[2];

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return cv_fail_errno(err, "make a pipe for the log");
	if (l->fd >= 0) {
		events_read(s, who); /* the last words of who wrote before */
		cv_fd_cleanup(&l->fd);
	}
	cv_buf_reset(&l->line);
	l->is_cut = false;
	l->fd = pair[0];
	*ret = pair[1];
	return CV_OK;
}

/* ---- the queue ---- */

static void queue(struct supervisor *s, uint32_t type, struct cv_str body, uint32_t *lost)
{
	struct cv_ipc_outbox *q = &s->service.events;
	struct cv_err err;

	if (q->count >= SUP_EVENTS_MAX || q->bytes + body.n > SUP_EVENTS_BYTES_MAX ||
		cv_ipc_outbox_keep(q, type, body, NULL, 0, &err) != CV_OK)
		++*lost;
}

/* What was counted while there was no gateway is told to the next. */
static void counts_send(struct supervisor *s)
{
	struct service *v = &s->service;
	uint64_t any = 0;
	struct cv_buf b;

	for (size_t i = 0; i < SERVICE_COUNTS; i++)
		any |= v->counts[i];
	if (!any)
		return;
	cv_buf_init(&b, sizeof(v->counts));
	for (size_t i = 0; i < SERVICE_COUNTS; i++)
		cv_ipc_put_u64(&b, v->counts[i]);
	memset(v->counts, 0, sizeof(v->counts));
	service_tell(s, CV_GATEWAY_REPLY_COUNTS, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

void events_send(struct supervisor *s)
{
	struct service *v = &s->service;
	struct cv_buf b;
	struct cv_err err;

	if (v->link < 0 || v->rules.state != CV_GATEWAY_LINK_OPEN ||
		!cv_ipc_outbox_is_empty(&v->out) ||
		cv_ipc_outbox_flush(&v->events, v->link, &err) != CV_OK) /* a broken link is read */
		return;
	counts_send(s);
	if (v->link < 0 || !cv_ipc_outbox_is_empty(&v->events) ||
		!(v->lost_lines | v->lost_denials))
		return;
	cv_buf_init(&b, 8);
	cv_ipc_put_u32(&b, v->lost_lines);
	cv_ipc_put_u32(&b, v->lost_denials);
	v->lost_lines = v->lost_denials = 0;
	service_tell(s, CV_GATEWAY_REPLY_LOST, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

void events_line(struct supervisor *s, struct cv_str level, struct cv_str target, int64_t time_ms,
	struct cv_str message)
{
	struct cv_buf b;

	cv_buf_init(&b, SUP_LINE_BYTES_MAX + 256);
	cv_ipc_put_u64(&b, (uint64_t)time_ms);
	cv_ipc_put_str(&b, level);
	cv_ipc_put_str(&b, target);
	cv_ipc_put_str(&b, cv_str_slice(message, 0, SUP_LINE_BYTES_MAX));
	queue(s, CV_GATEWAY_REPLY_EVENT, cv_buf_str(&b), &s->service.lost_lines);
	cv_buf_fini(&b);
	events_send(s);
}

void events_denial(struct supervisor *s, struct cv_str body)
{
	queue(s, CV_GATEWAY_REPLY_DENIAL, body, &s->service.lost_denials);
	events_send(s);
}

void events_counts(struct supervisor *s, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };

	for (size_t i = 0; i < SERVICE_COUNTS; i++)
		s->service.counts[i] += cv_ipc_get_u64(&r);
	events_send(s);
}

/* ---- lines ---- */

static int number(struct cv_str s, size_t at, size_t n)
{
	uint64_t v = 0;

	return cv_str_to_u64(cv_str_slice(s, at, at + n), 9999, &v) ? (int)v : 0;
}

/* As the audit writes it; now, if it is none. */
static int64_t time_of(struct cv_str line)
{
	struct tm t = { .tm_year = number(line, 0, 4) - 1900,
		.tm_mon = number(line, 5, 2) - 1,
		.tm_mday = number(line, 8, 2),
		.tm_hour = number(line, 11, 2),
		.tm_min = number(line, 14, 2),
		.tm_sec = number(line, 17, 2) };

	if (line.n > STAMP_BYTES && line.p[STAMP_BYTES - 1] == 'Z')
		return (int64_t)timegm(&t) * 1000 + number(line, 20, 3);
	return (int64_t)time(NULL) * 1000;
}

static void line_end(struct supervisor *s, struct service_log *l)
{
	const struct cv_str line = cv_buf_str(&l->line), head = CV_STR(" OCSF ");
	struct cv_str rest = cv_str_slice(line, CV_MIN(line.n, (size_t)STAMP_BYTES), line.n);

	if (cv_str_has_prefix(rest, head))
		rest = cv_str_slice(rest, head.n, rest.n);
	else
		rest = line;
	if (rest.n)
		events_line(s, CV_STR("OCSF"), CV_STR("ocsf"), time_of(line), rest);
	cv_buf_reset(&l->line);
	l->is_cut = false;
}

static void bytes_take(struct supervisor *s, struct service_log *l, struct cv_str bytes)
{
	while (bytes.n) {
		const size_t end = cv_str_find_byte(bytes, '\n');
		const struct cv_str part = cv_str_slice(bytes, 0, end);

		/* What is longer than a line may be is cut, and told so far. */
		if (!l->is_cut &&
			!cv_buf_put(&l->line,
				cv_str_slice(part, 0,
					CV_MIN(part.n, SUP_LINE_BYTES_MAX - cv_buf_len(&l->line)))))
			l->is_cut = true;
		if (end < bytes.n)
			line_end(s, l);
		bytes = cv_str_slice(bytes, end + 1, bytes.n);
	}
}

void events_read(struct supervisor *s, size_t who)
{
	struct service_log *l = &s->service.log[who];
	char bytes[16384];

	/* A pipe's worth in one turn: who writes more waits for the next. */
	for (int i = 0; i < 4 && l->fd >= 0; i++) {
		const ssize_t n = read(l->fd, bytes, sizeof(bytes));

		if (n > 0) {
			bytes_take(s, l, (struct cv_str){ bytes, (size_t)n });
		} else if (n == 0 || errno != EAGAIN) {
			cv_fd_cleanup(&l->fd); /* its writer is gone */
			l->fd = -1;
		} else {
			break;
		}
	}
}
