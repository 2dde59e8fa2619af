/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.c - see body.h
 */
#include "proxy/body.h"

#include "proxy/limits.h"

#define CHUNK_EXTRA (CV_CHUNK_LINE_BYTES_MAX + 2)

void cv_body_start(struct cv_body *b, enum cv_h1_body kind, uint64_t length)
{
	*b = (struct cv_body){ .kind = kind, .out = kind, .left = length };
	b->is_read = b->is_done =
		kind == CV_H1_BODY_NONE || (kind == CV_H1_BODY_LENGTH && length == 0);
	if (kind == CV_H1_BODY_CHUNKED)
		cv_chunk_init(&b->chunk);
	cv_buf_init(&b->input, CV_PROXY_IO_BYTES);
	cv_buf_init(&b->pending, CV_PROXY_PENDING_BYTES_MAX);
}

bool cv_body_start_held(struct cv_body *b, struct cv_str bytes)
{
	cv_body_start(b, CV_H1_BODY_LENGTH, bytes.n);
	b->is_read = true;
	/* whoever held it had a limit of his own */
	b->pending.max = CV_MAX(b->pending.max, bytes.n);
	return cv_buf_put(&b->pending, bytes);
}

bool cv_body_start_spooled(struct cv_body *b, struct cv_str bytes, struct cv_spooled *file,
	struct cv_buf *tail, const struct cv_chunk *rest)
{
	cv_body_start(b, rest ? CV_H1_BODY_CHUNKED : CV_H1_BODY_LENGTH, bytes.n);
	b->is_read = !rest;
	b->is_done = false;
	if (rest)
		b->chunk = *rest;
	if (rest || cv_buf_len(tail))
		b->out = CV_H1_BODY_CHUNKED;
	if (!file->bytes) {
		b->pending.max = bytes.n + CHUNK_EXTRA + cv_buf_len(tail);
		return cv_chunk_write(&b->pending, bytes) &&
		       cv_buf_put(&b->pending, cv_buf_str(tail));
	}
	b->file = *file;
	b->tail = *tail;
	*file = (struct cv_spooled){ 0 };
	*tail = (struct cv_buf){ 0 };
	return true;
}

void cv_body_fini(struct cv_body *b)
{
	cv_spooled_free(&b->file);
	cv_buf_wipe(&b->tail);
	cv_buf_wipe(&b->lead);
	cv_buf_wipe(&b->input);
	cv_buf_wipe(&b->pending);
}

static bool is_refused(const struct cv_body *b, struct cv_str bytes)
{
	return b->watch && b->watch(b->watch_ctx, bytes);
}

static bool are_trailers_refused(const struct cv_body *b)
{
	bool is_bad = false;

	for (size_t i = 0; i < b->chunk.trailer_count; i++)
		is_bad |= is_refused(b, b->chunk.trailer[i].name) || is_refused(b, CV_STR(":")) ||
			  is_refused(b, b->chunk.trailer[i].value);
	return is_bad;
}

/* ---- as they are ---- */

static enum cv_pass length_pass(struct cv_body *b, struct cv_leg *from, struct cv_leg *to)
{
	struct cv_str text = cv_leg_text(from);

	if (b->kind == CV_H1_BODY_LENGTH)
		text = cv_str_slice(text, 0, (size_t)CV_MIN(b->left, text.n));
	if (b->watch) /* what it has seen must go */
		text = cv_str_slice(text, 0, cv_leg_room(to));
	if (is_refused(b, text))
		return CV_PASS_REFUSED;
	const size_t n = text.n ? cv_leg_put(to, text) : 0;
	if (!n)
		return CV_PASS_IDLE;
	if (b->watch && n != text.n)
		return CV_PASS_BAD;
	cv_leg_take(from, n);
	if (b->kind == CV_H1_BODY_LENGTH) {
		b->left -= n;
		b->is_read = b->is_done = b->left == 0;
	}
	return CV_PASS_MOVED;
}

/* Takes chunks apart and puts them together; out CLOSE leaves the framing out (HTTP/1.0). */
static enum cv_pass chunks_pass(
	struct cv_body *b, struct cv_buf *stage, struct cv_leg *from, struct cv_leg *to)
{
	const bool is_plain = b->out == CV_H1_BODY_CLOSE;
	const size_t room = cv_leg_room(to);
	struct cv_str in = cv_leg_text(from), data;
	enum cv_pass passed = CV_PASS_IDLE;

	cv_buf_reset(stage);
	while (!b->is_done) {
		const size_t used = cv_buf_len(stage);

		if (used + CHUNK_EXTRA + CV_CHUNK_TRAILER_BYTES_MAX + 8 > room)
			break; /* enough for one turn */
		struct cv_str part = cv_str_slice(in, 0, room - used - CHUNK_EXTRA);
		const size_t given = part.n;
		const enum cv_chunk_event ev = cv_chunk_next(&b->chunk, &part, &data);
		const size_t took = given - part.n;
		if (ev == CV_CHUNK_BAD)
			return CV_PASS_BAD;
		if (ev == CV_CHUNK_DATA && is_refused(b, data))
			return CV_PASS_REFUSED;
		if (ev == CV_CHUNK_DATA &&
			!(is_plain ? cv_buf_put(stage, data) : cv_chunk_write(stage, data)))
			return CV_PASS_BAD;
		if (ev == CV_CHUNK_DONE) {
			b->is_read = b->is_done = true;
			if (are_trailers_refused(b))
				return CV_PASS_REFUSED;
			if (!is_plain && !cv_chunk_write_end(
						 stage, b->chunk.trailer, b->chunk.trailer_count))
				return CV_PASS_BAD;
		}
		in = cv_str_slice(in, took, in.n);
		if (took)
			passed = CV_PASS_MOVED;
		if (ev == CV_CHUNK_MORE)
			break;
	}
	if (cv_leg_put(to, cv_buf_str(stage)) != cv_buf_len(stage))
		return CV_PASS_BAD;
	if (passed == CV_PASS_MOVED)
		cv_leg_take(from, cv_leg_text(from).n - in.n);
	return passed;
}

/* ---- through a filter ---- */

static bool frame(struct cv_body *b, struct cv_str data)
{
	return b->out == CV_H1_BODY_CHUNKED ? cv_chunk_write(&b->pending, data)
					    : cv_buf_put(&b->pending, data);
}

/* The last chunk, each trailer's name and value filtered on its own. */
static bool frame_end(struct cv_body *b, struct cv_buf *scratch)
{
	struct cv_h1_header trailer[CV_CHUNK_TRAILERS_MAX];
	size_t end[CV_CHUNK_TRAILERS_MAX][2]; /* of name and value */
	const size_t n = b->kind == CV_H1_BODY_CHUNKED ? b->chunk.trailer_count : 0;

	if (b->out != CV_H1_BODY_CHUNKED)
		return true;
	cv_buf_reset(scratch);
	for (size_t i = 0; i < n; i++) {
		if (!b->filter->trailer(b->filter, b->chunk.trailer[i].name, scratch))
			return false;
		end[i][0] = cv_buf_len(scratch);
		if (!b->filter->trailer(b->filter, b->chunk.trailer[i].value, scratch))
			return false;
		end[i][1] = cv_buf_len(scratch);
	}
	const struct cv_str made = cv_buf_str(scratch);
	for (size_t i = 0; i < n; i++) {
		trailer[i] = b->chunk.trailer[i];
		trailer[i].name = cv_str_slice(made, i ? end[i - 1][1] : 0, end[i][0]);
		trailer[i].value = cv_str_slice(made, end[i][0], end[i][1]);
	}
	return cv_chunk_write_end(&b->pending, trailer, n);
}

/* One step of the filter: from the front of *in, or at its end.  What needs no framing, and has nothing
 * to go before it, is made where it waits. */
static enum cv_pass filter_step(
	struct cv_body *b, struct cv_buf *scratch, struct cv_str *in, bool is_end)
{
	const bool is_direct = b->out != CV_H1_BODY_CHUNKED && !cv_buf_len(&b->lead);
	struct cv_buf *out = is_direct ? &b->pending : scratch;

	cv_buf_reset(scratch);
	const enum cv_filter_rc rc =
		is_end ? b->filter->end(b->filter, out) : b->filter->feed(b->filter, in, out);
	if (rc == CV_FILTER_BAD)
		return CV_PASS_REFUSED;
	b->has_more = rc == CV_FILTER_MORE;
	if (is_direct)
		return CV_PASS_MOVED;
	if (cv_buf_len(&b->lead) && (is_end || cv_buf_len(scratch))) {
		if (!cv_buf_put(&b->pending, cv_buf_str(&b->lead)))
			return CV_PASS_BAD;
		cv_buf_reset(&b->lead);
	}
	return frame(b, cv_buf_str(scratch)) ? CV_PASS_MOVED : CV_PASS_BAD;
}

/* What the filter did not take at once. */
static enum cv_pass input_step(struct cv_body *b, struct cv_buf *scratch)
{
	struct cv_str in = cv_buf_str(&b->input);
	const enum cv_pass passed = filter_step(b, scratch, &in, false);

	cv_buf_skip(&b->input, cv_buf_len(&b->input) - in.n);
	return passed;
}

/* Bytes that are the source's still: what the filter leaves of them is kept. */
static enum cv_pass data_step(struct cv_body *b, struct cv_buf *scratch, struct cv_str data)
{
	const enum cv_pass passed = filter_step(b, scratch, &data, false);

	return passed == CV_PASS_MOVED && data.n && !cv_buf_put(&b->input, data) ? CV_PASS_BAD
										 : passed;
}

static enum cv_pass end_step(struct cv_body *b, struct cv_buf *scratch)
{
	const enum cv_pass passed = filter_step(b, scratch, NULL, true);

	b->is_read = true;
	return passed == CV_PASS_MOVED && !frame_end(b, scratch) ? CV_PASS_BAD : passed;
}

/* Trailers borrow from the source, so its end is filtered and framed before it is taken. */
static enum cv_pass chunks_read(struct cv_body *b, struct cv_buf *scratch, struct cv_leg *from)
{
	struct cv_str in = cv_leg_text(from), data;
	const size_t given = in.n;
	enum cv_pass passed = CV_PASS_MOVED;
	const enum cv_chunk_event ev = cv_chunk_next(&b->chunk, &in, &data);

	if (ev == CV_CHUNK_BAD)
		return CV_PASS_BAD;
	if (ev == CV_CHUNK_DATA)
		passed = data_step(b, scratch, data);
	if (ev == CV_CHUNK_DONE)
		passed = end_step(b, scratch);
	cv_leg_take(from, given - in.n);
	return given == in.n && ev != CV_CHUNK_DONE ? CV_PASS_IDLE : passed;
}

static enum cv_pass plain_read(struct cv_body *b, struct cv_buf *scratch, struct cv_leg *from)
{
	struct cv_str text = cv_leg_text(from);

	if (b->kind == CV_H1_BODY_LENGTH)
		text = cv_str_slice(text, 0, (size_t)CV_MIN(b->left, text.n));
	if (text.n) {
		const enum cv_pass passed = data_step(b, scratch, text);

		cv_leg_take(from, text.n);
		b->left -= b->kind == CV_H1_BODY_LENGTH ? text.n : 0;
		return passed;
	}
	const bool is_end =
		b->kind == CV_H1_BODY_LENGTH ? b->left == 0 : from->is_eof && !from->is_cut;
	return is_end ? end_step(b, scratch) : CV_PASS_IDLE;
}

static enum cv_pass filtered_pass(
	struct cv_body *b, struct cv_buf *scratch, struct cv_leg *from, struct cv_leg *to)
{
	/* What was left goes first; what is made now goes when it is a record's worth, or all that
	 * there is. */
	bool is_full = !b->is_begun;
	enum cv_pass passed = CV_PASS_IDLE, step = CV_PASS_MOVED;

	b->is_begun = false;
	for (;;) {
		if (is_full || b->is_read || step == CV_PASS_IDLE) {
			const size_t n = cv_leg_put(to, cv_buf_str(&b->pending));

			cv_buf_skip(&b->pending, n);
			if (n)
				passed = CV_PASS_MOVED;
			if (cv_buf_len(&b->pending))
				return passed; /* there is no room for more */
			if (b->is_read) {
				b->is_done = true;
				return CV_PASS_MOVED;
			}
			if (step == CV_PASS_IDLE || !b->filter) /* what was held has gone */
				return passed;
		}
		step = cv_buf_len(&b->input) || b->has_more ? input_step(b, scratch)
		       : b->kind == CV_H1_BODY_CHUNKED      ? chunks_read(b, scratch, from)
							    : plain_read(b, scratch, from);
		if (step != CV_PASS_IDLE && step != CV_PASS_MOVED)
			return step;
		if (step == CV_PASS_MOVED)
			passed = CV_PASS_MOVED;
		is_full = cv_buf_len(&b->pending) >= CV_PROXY_RECORD_BYTES;
	}
}

/* ---- from the spool ---- */

/* The next piece of the file, framed, into stage. */
static bool piece_read(struct cv_body *b, size_t room, struct cv_buf *stage)
{
	const bool is_chunked = b->out == CV_H1_BODY_CHUNKED;
	const size_t most = room - (is_chunked ? CHUNK_EXTRA : 0);
	const size_t n = (size_t)CV_MIN(
		CV_MIN(most, (size_t)CV_PROXY_RECORD_BYTES), b->file.bytes - b->file_at);
	char line[CV_CHUNK_LINE_BYTES_MAX];

	cv_buf_reset(stage);
	if (is_chunked && !cv_buf_put(stage, (struct cv_str){ line, cv_chunk_line(n, line) }))
		return false;
	char *to = cv_buf_reserve(stage, n);
	if (!to || cv_spooled_read(&b->file, b->file_at, to, n) != n)
		return false;
	cv_buf_commit(stage, n);
	b->file_at += n;
	return !is_chunked || cv_buf_put(stage, CV_CHUNK_DATA_END);
}

static enum cv_pass file_pass(struct cv_body *b, struct cv_buf *stage, struct cv_leg *to)
{
	enum cv_pass passed = CV_PASS_IDLE;

	while (b->file_at < b->file.bytes) {
		const size_t room = cv_leg_room(to);

		if (room < CV_PROXY_SPOOL_READ_MIN)
			return passed;
		if (!piece_read(b, room, stage) ||
			cv_leg_put(to, cv_buf_str(stage)) != cv_buf_len(stage))
			return CV_PASS_BAD;
		passed = CV_PASS_MOVED;
	}
	const struct cv_str tail = cv_buf_str(&b->tail);
	if (cv_leg_room(to) < tail.n)
		return passed;
	if (tail.n && cv_leg_put(to, tail) != tail.n)
		return CV_PASS_BAD;
	cv_spooled_free(&b->file);
	cv_buf_wipe(&b->tail);
	b->is_done = b->is_read;
	return CV_PASS_MOVED;
}

bool cv_body_is_starved(const struct cv_body *b, const struct cv_leg *from)
{
	const struct cv_str text = cv_leg_text(from);

	return b->kind == CV_H1_BODY_CHUNKED ? cv_chunk_is_starved(&b->chunk, text) : text.n == 0;
}

enum cv_pass cv_body_pass(
	struct cv_body *b, struct cv_buf *scratch, struct cv_leg *from, struct cv_leg *to)
{
	if (b->is_done)
		return CV_PASS_IDLE;
	if (b->file.bytes)
		return file_pass(b, scratch, to);
	if (b->filter || cv_buf_len(&b->pending))
		return filtered_pass(b, scratch, from, to);
	if (b->kind == CV_H1_BODY_CHUNKED)
		return chunks_pass(b, scratch, from, to);
	return length_pass(b, from, to);
}
