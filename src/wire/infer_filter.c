/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer_filter.c - see infer_filter.h
 *
 * Only the ends of events are looked for here (an empty line; lines end with CR LF, LF or CR);
 * what an event says is the event reader's to tell.
 */
#include "wire/infer_filter.h"

#include "wire/json.h"
#include "wire/sse.h"

void cv_infer_filter_init(struct cv_infer_filter *f)
{
	*f = (struct cv_infer_filter){ .is_line_empty = true };
	cv_buf_init(&f->event, CV_INFER_EVENT_BYTES_MAX);
}

void cv_infer_filter_fini(struct cv_infer_filter *f)
{
	cv_buf_fini(&f->event);
}

/* {"choices":[],"usage":{…}}, whatever else stands in it. */
static bool is_usage_only(struct cv_str event)
{
	struct cv_json_value v[] = { { .path = "choices" }, { .path = "choices.0" },
		{ .path = "usage" } };
	struct cv_sse_event e;
	struct cv_sse sse;
	bool is_it = false;

	cv_sse_init(&sse);
	if (cv_sse_next(&sse, &event, &e) == CV_SSE_EVENT && e.is_utf8 &&
		cv_json_find(e.data, v, CV_ARRAY_LEN(v)) == CV_JSON_PROBLEM_NONE)
		is_it = v[0].token.type == CV_JSON_ARRAY && v[1].token.type == CV_JSON_END &&
			v[2].token.type == CV_JSON_OBJECT;
	cv_sse_fini(&sse);
	return is_it;
}

/* Bytes of s up to and with the end of the event, or all of them; *ret_ended says which. */
static size_t event_bytes(struct cv_infer_filter *f, struct cv_str s, bool *ret_ended)
{
	*ret_ended = false;
	for (size_t i = 0; i < s.n; i++) {
		const bool is_lf = s.p[i] == '\n', is_end = is_lf || s.p[i] == '\r';

		if (is_lf && f->has_cr) { /* of a line that has ended */
			f->has_cr = false;
			continue;
		}
		f->has_cr = is_end && !is_lf;
		if (is_end && f->is_line_empty) {
			/* the LF behind a CR belongs to the event too, if it is there already */
			if (f->has_cr && i + 1 < s.n && s.p[i + 1] == '\n') {
				f->has_cr = false;
				i++;
			}
			*ret_ended = true;
			return i + 1;
		}
		f->is_line_empty = is_end;
	}
	return s.n;
}

static bool event_pass(struct cv_infer_filter *f, struct cv_buf *out)
{
	const bool is_good = cv_buf_put(out, cv_buf_str(&f->event));

	cv_buf_reset(&f->event);
	return is_good;
}

bool cv_infer_filter_feed(struct cv_infer_filter *f, struct cv_str bytes, struct cv_buf *out)
{
	bool has_ended, is_good = true;

	while (bytes.n && is_good) {
		const size_t n = event_bytes(f, bytes, &has_ended);
		const struct cv_str part = cv_str_slice(bytes, 0, n);

		bytes = cv_str_slice(bytes, n, bytes.n);
		if (!f->is_passing && cv_buf_len(&f->event) + part.n > CV_INFER_EVENT_BYTES_MAX) {
			f->is_passing = true;
			is_good = event_pass(f, out);
		}
		if (f->is_passing)
			is_good = is_good && cv_buf_put(out, part);
		else
			cv_buf_put(&f->event, part);
		if (!has_ended)
			continue;
		if (!f->is_passing && is_usage_only(cv_buf_str(&f->event)))
			cv_buf_reset(&f->event);
		is_good = is_good && event_pass(f, out);
		f->is_passing = false;
	}
	return is_good;
}

bool cv_infer_filter_end(struct cv_infer_filter *f, struct cv_buf *out)
{
	return event_pass(f, out);
}
