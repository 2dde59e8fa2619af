/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.c - answers, written anew by the writers of wire/
 *
 * Errors have one shape: {"error": CODE, "detail": SENTENCE, ...}.
 */
#include "broker/broker.h"

#include "broker/mcp.h"
#include "wire/h1_write.h"

#include <stdarg.h>
#include <stdio.h>

static void count_out(struct broker *b, struct stream *s, size_t before)
{
	b->out_bytes += cv_buf_len(&s->out) - before;
	if (!cv_buf_len(&s->out))
		return;
	s->sent_ms = b->loop.now_ms;
}

void answer(struct broker *b, struct stream *s, const struct answer *a)
{
	const size_t before = cv_buf_len(&s->out);
	struct cv_h1_header set[10];
	char location[64], retry[16], offset[24];
	size_t n = 0;

	if (mcp_is_open(s->mcp)) {
		mcp_take(b, s, a);
		return;
	}
#define SET(key, text) \
	(set[n++] = (struct cv_h1_header){ .name = CV_STR(key), .value = cv_str_of(text) })
	const bool is_empty = a->status == 204;
	if (!is_empty)
		SET("Content-Type", a->type ? a->type : "application/json");
	SET("Cache-Control", "no-store");
	if (a->job)
		SET("Cove-Job", a->job);
	if (a->location_job) {
		snprintf(location, sizeof(location), "/v1/jobs/%s", a->location_job);
		SET("Location", location);
	}
	if (a->allow)
		SET("Allow", a->allow);
	if (a->session)
		SET("Mcp-Session-Id", a->session);
	if (a->retry_after) {
		snprintf(retry, sizeof(retry), "%u", a->retry_after);
		SET("Retry-After", retry);
	}
	if (a->is_preference_applied)
		SET("Preference-Applied", "respond-async");
	if (a->is_challenge)
		SET("WWW-Authenticate", "Bearer");
	if (a->has_offset) {
		snprintf(offset, sizeof(offset), "%llu", (unsigned long long)a->offset);
		SET("Cove-Log-Offset", offset);
	}
#undef SET
	const struct cv_h1_edit e = {
		.set = set,
		.set_count = n,
		.body = is_empty ? CV_H1_BODY_NONE : CV_H1_BODY_LENGTH,
		.length = a->body.n,
		.is_keep_alive = s->request.is_keep_alive && !s->has_ended,
	};
	if (b->out_bytes + a->body.n > BROKER_OUT_BYTES_MAX ||
		!cv_h1_write_status(&s->out, a->status, &e) ||
		(!s->request.is_head && !cv_buf_put(&s->out, a->body)))
		s->request.is_keep_alive = false; /* cut: the length tells the reader */
	count_out(b, s, before);
	stream_next(b, s);
}

void answer_events(struct broker *b, struct stream *s)
{
	const size_t before = cv_buf_len(&s->out);
	const struct cv_h1_header set[] = {
		{ .name = CV_STR("Content-Type"), .value = CV_STR("text/event-stream") },
		{ .name = CV_STR("Cache-Control"), .value = CV_STR("no-store") },
	};
	const struct cv_h1_edit e = {
		.set = set,
		.set_count = CV_ARRAY_LEN(set),
		.body = CV_H1_BODY_CHUNKED,
		.is_keep_alive = s->request.is_keep_alive,
	};

	if (!cv_h1_write_status(&s->out, 200, &e))
		s->request.is_keep_alive = false;
	count_out(b, s, before);
}

void put_member_str(struct cv_buf *b, const char *key, struct cv_str value)
{
	cv_buf_printf(b, ",\"%s\":\"", key);
	cv_buf_put_json(b, value);
	cv_buf_put_byte(b, '"');
}

CV_PRINTF(3, 0)
static void error_put(struct cv_buf *b, const char *code, const char *fmt, va_list ap)
{
	char detail[2048];

	vsnprintf(detail, sizeof(detail), fmt, ap);
	cv_buf_printf(b, "{\"error\":\"%s\"", code);
	put_member_str(b, "detail", cv_str_of(detail));
}

void error_begin(struct cv_buf *b, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_put(b, code, fmt, ap);
	va_end(ap);
}

void error_end(struct cv_buf *b)
{
	cv_buf_put(b, CV_STR("}\n"));
}

void answer_error(
	struct broker *b, struct stream *s, int status, const char *code, const char *fmt, ...)
{
	struct cv_buf e;
	va_list ap;

	cv_buf_init(&e, 16384);
	va_start(ap, fmt);
	error_put(&e, code, fmt, ap);
	va_end(ap);
	error_end(&e);
	answer(b, s,
		&(struct answer){
			.status = status,
			.body = cv_buf_str(&e),
			.is_challenge = status == 401,
		});
	cv_buf_fini(&e);
}
