/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.c - see sink.h
 */
#include "sys/sink.h"

#include "sys/clock.h"

#include <errno.h>
#include <unistd.h>

/* A turn's events on a busy proxy take some 100 KiB; a failing sink may keep as much as a few
 * thousand denials. */
#define PENDING_BYTES_MAX   (4u << 20)
#define PENDING_BYTES_EARLY (256u << 10) /* written at once, so that a turn can't overflow it */

void cv_audit_sinks_fini(struct cv_audit_sinks *s)
{
	for (size_t i = 0; i < s->n; i++) {
		close(s->v[i].fd);
		cv_buf_fini(&s->v[i].pending);
	}
	s->n = 0;
}

bool cv_audit_sinks_add(struct cv_audit_sinks *s, int fd, enum cv_audit_form form, bool is_required)
{
	if (s->n == CV_AUDIT_SINKS_MAX)
		return false;
	struct cv_audit_sink *k = &s->v[s->n++];
	*k = (struct cv_audit_sink){ .fd = fd, .form = form, .is_required = is_required };
	cv_buf_init(&k->pending, PENDING_BYTES_MAX);
	return true;
}

static bool sink_flush(struct cv_audit_sink *k)
{
	while (cv_buf_len(&k->pending)) {
		const struct cv_str s = cv_buf_str(&k->pending);
		const ssize_t n = write(k->fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			k->is_failing = true;
			return false;
		}
		cv_buf_skip(&k->pending, (size_t)n);
	}
	if (k->lost == 0)
		k->is_failing = false;
	return !k->is_failing;
}

static bool render(
	const struct cv_audit_sink *k, const struct cv_audit_event *e, struct cv_buf *out)
{
	switch (k->form) {
	case CV_AUDIT_FORM_OCSF: return cv_audit_json(e, CV_STR_NONE, out);
	case CV_AUDIT_FORM_LINE: return cv_audit_line(e, out);
	case CV_AUDIT_FORM_COUNT: break;
	}
	return false;
}

void cv_audit_sinks_event(struct cv_audit_sinks *s, struct cv_audit_event *e)
{
	e->time_ms = cv_clock_unix_ms();
	e->seq = ++s->seq;
	for (size_t i = 0; i < s->n; i++) {
		struct cv_audit_sink *k = &s->v[i];
		const size_t before = cv_buf_len(&k->pending);

		if (!render(k, e, &k->pending) || !cv_buf_put_byte(&k->pending, '\n')) {
			/* half a line must not stay: the next one would be glued to it */
			k->pending.end = k->pending.start + before;
			k->pending.is_overflown = false;
			k->is_failing = true;
			k->lost++;
		} else if (cv_buf_len(&k->pending) > PENDING_BYTES_EARLY && !k->is_failing) {
			sink_flush(k); /* a failure shows in cv_audit_sinks_flush() */
		}
	}
}

bool cv_audit_sinks_flush(struct cv_audit_sinks *s)
{
	bool is_well = true;

	for (size_t i = 0; i < s->n; i++)
		if (!sink_flush(&s->v[i]) && s->v[i].is_required)
			is_well = false;
	return is_well;
}

bool cv_audit_sinks_are_well(const struct cv_audit_sinks *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].is_required && s->v[i].is_failing)
			return false;
	return true;
}
