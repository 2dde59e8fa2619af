/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sse.c - see sse.h
 *
 *     bytes --line ends--> line --field--> data, type, id, retry --empty line--> event
 *
 * A line that lies whole in the input is looked at where it is; only one that is cut is kept.
 */
#include "wire/sse.h"

#include "base/utf8.h"

#define RETRY_MS_MAX UINT32_MAX

void cv_sse_init(struct cv_sse *s)
{
	*s = (struct cv_sse){ 0 };
	cv_buf_init(&s->line, CV_SSE_LINE_BYTES_MAX);
	cv_buf_init(&s->data, CV_SSE_EVENT_BYTES_MAX);
	cv_buf_init(&s->type, CV_SSE_NAME_BYTES_MAX);
	cv_buf_init(&s->id, CV_SSE_NAME_BYTES_MAX);
}

void cv_sse_fini(struct cv_sse *s)
{
	cv_buf_fini(&s->line);
	cv_buf_fini(&s->data);
	cv_buf_fini(&s->type);
	cv_buf_fini(&s->id);
}

bool cv_sse_is_type(struct cv_str content_type)
{
	return cv_str_eq_nocase(
		cv_str_trim(cv_str_cut(&content_type, ';')), CV_STR("text/event-stream"));
}

/* ---- fields ---- */

static void set(struct cv_buf *b, struct cv_str value)
{
	cv_buf_reset(b);
	cv_buf_put(b, value);
}

static void field_take(struct cv_sse *s, struct cv_str name, struct cv_str value)
{
	uint64_t ms;

	if (cv_str_eq(name, CV_STR("data"))) {
		if (s->has_data)
			cv_buf_put_byte(&s->data, '\n');
		s->has_data = true;
		cv_buf_put(&s->data, value);
		s->is_event_skipped |= s->data.is_overflown;
	} else if (cv_str_eq(name, CV_STR("event"))) {
		set(&s->type, value);
		s->is_event_skipped |= s->type.is_overflown;
	} else if (cv_str_eq(name, CV_STR("id")) && !cv_str_has_byte(value, '\0')) {
		set(&s->id, value);
		s->is_event_skipped |= s->id.is_overflown;
	} else if (cv_str_eq(name, CV_STR("retry")) && cv_str_to_u64(value, RETRY_MS_MAX, &ms)) {
		s->has_retry = true;
		s->retry_ms = ms;
	}
}

static void event_reset(struct cv_sse *s)
{
	cv_buf_reset(&s->data);
	cv_buf_reset(&s->type);
	s->has_data = s->is_event_skipped = s->is_fresh = false;
}

/* What an empty line ends; MORE when there was nothing to end. */
static enum cv_sse_result event_end(struct cv_sse *s, struct cv_sse_event *ret)
{
	if (s->is_event_skipped) {
		event_reset(s);
		if (s->id.is_overflown)
			cv_buf_reset(&s->id);
		s->event_count++;
		return CV_SSE_SKIP;
	}
	if (!s->has_data) {
		event_reset(s); /* a type alone is forgotten */
		return CV_SSE_MORE;
	}
	*ret = (struct cv_sse_event){
		.type = cv_buf_len(&s->type) ? cv_buf_str(&s->type) : CV_STR("message"),
		.data = cv_buf_str(&s->data),
		.id = cv_buf_str(&s->id),
	};
	ret->is_utf8 = cv_utf8_is_valid(ret->type) && cv_utf8_is_valid(ret->data) &&
		       cv_utf8_is_valid(ret->id);
	s->is_fresh = true;
	s->event_count++;
	return CV_SSE_EVENT;
}

static enum cv_sse_result line_take(struct cv_sse *s, struct cv_str line, struct cv_sse_event *ret)
{
	struct cv_str value = line;

	if (!s->is_started) {
		s->is_started = true;
		if (cv_str_has_prefix(line, CV_STR("\xef\xbb\xbf")))
			value = line = cv_str_slice(line, 3, line.n);
	}
	if (!line.n)
		return event_end(s, ret);
	const struct cv_str name = cv_str_cut(&value, ':'); /* "": a comment */
	if (value.n && value.p[0] == ' ')
		value = cv_str_slice(value, 1, value.n);
	if (!value.p)
		value = CV_STR("");
	field_take(s, name, value);
	return CV_SSE_MORE;
}

/* ---- lines ---- */

static size_t line_end_find(struct cv_str s)
{
	const size_t lf = cv_str_find_byte(s, '\n');

	return cv_str_find_byte(cv_str_slice(s, 0, lf), '\r');
}

static void line_keep(struct cv_sse *s, struct cv_str part)
{
	if (!s->is_line_skipped && !cv_buf_put(&s->line, part))
		s->is_line_skipped = true;
}

/* The line whose end has come. */
static enum cv_sse_result line_end(struct cv_sse *s, struct cv_str part, struct cv_sse_event *ret)
{
	enum cv_sse_result result = CV_SSE_MORE;

	if (!cv_buf_len(&s->line) && !s->is_line_skipped && part.n <= CV_SSE_LINE_BYTES_MAX)
		return line_take(s, part, ret);
	line_keep(s, part);
	if (s->is_line_skipped)
		s->is_event_skipped = s->is_started = true;
	else
		result = line_take(s, cv_buf_str(&s->line), ret);
	cv_buf_reset(&s->line);
	s->is_line_skipped = false;
	return result;
}

enum cv_sse_result cv_sse_next(struct cv_sse *s, struct cv_str *in, struct cv_sse_event *ret)
{
	if (s->is_fresh)
		event_reset(s);
	while (in->n) {
		if (s->has_cr && in->p[0] == '\n')
			*in = cv_str_slice(*in, 1, in->n);
		s->has_cr = false;
		const size_t n = line_end_find(*in);
		const struct cv_str part = cv_str_slice(*in, 0, n);

		if (n == in->n) {
			if (n)
				line_keep(s, part);
			*in = cv_str_slice(*in, n, n);
			return CV_SSE_MORE;
		}
		s->has_cr = in->p[n] == '\r';
		*in = cv_str_slice(*in, n + 1, in->n);
		const enum cv_sse_result result = line_end(s, part, ret);
		if (result != CV_SSE_MORE)
			return result;
	}
	return CV_SSE_MORE;
}
