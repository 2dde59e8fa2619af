/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c - see hold.h
 */
#include "proxy/hold.h"

#include "proxy/flow.h"
#include "wire/h1_write.h"

#include <stdlib.h>

bool cv_hold_start(struct cv_hold *h, struct cv_leg *from, size_t head_bytes, enum cv_h1_body kind,
	uint64_t length, size_t max)
{
	*h = (struct cv_hold){ .kind = kind, .left = length };
	cv_buf_init(&h->head, CV_PROXY_HEAD_BYTES_MAX);
	cv_buf_init(&h->body, max);
	if (!cv_buf_put(&h->head, cv_str_slice(cv_leg_text(from), 0, head_bytes)))
		return false;
	cv_chunk_init(&h->chunk);
	cv_leg_take(from, head_bytes);
	return true;
}

bool cv_hold_begin_spooled(struct cv_flow *f, const struct cv_h1_request *r, struct cv_spool *spool,
	struct cv_ph_scan *scan)
{
	if (!cv_hold_begin(f, r, CV_PROXY_HELD_BYTES_MAX))
		return false;
	f->hold->spool = spool;
	f->hold->scan = scan;
	cv_buf_init(&f->hold->tail, CV_CHUNK_TRAILER_BYTES_MAX + 8);
	return true;
}

bool cv_hold_begin(struct cv_flow *f, const struct cv_h1_request *r, size_t max)
{
	struct cv_hold *h = calloc(1, sizeof(*h));

	if (!h || !cv_hold_start(h, &f->client, r->head_bytes, r->body, r->length, max)) {
		free(h);
		return false;
	}
	f->hold = h;
	return true;
}

/* Bytes that may be secrets don't stay behind in the leg's buffer. */
static void taken_wipe(struct cv_leg *from, size_t n)
{
	if (n)
		explicit_bzero((char *)(uintptr_t)cv_leg_text(from).p, n);
	cv_leg_take(from, n);
}

/* ---- with a spool ---- */

static void counted_set(struct cv_hold *h, size_t n)
{
	if (!h->spool)
		return;
	h->spool->memory += n - h->counted;
	h->counted = n;
}

static enum cv_hold_rc file_put(struct cv_hold *h, struct cv_str data)
{
	if (cv_ph_scan_feed(h->scan, data)) {
		h->is_found = true;
		cv_spooled_free(&h->file);
		return CV_HOLD_MORE;
	}
	return cv_spooled_put(&h->file, h->spool, data) == CV_SPOOL_OK ? CV_HOLD_MORE
								       : CV_HOLD_FULL;
}

/* From memory to the file. */
static enum cv_hold_rc move_to_file(struct cv_hold *h)
{
	const enum cv_hold_rc rc = file_put(h, cv_buf_str(&h->body));

	if (rc == CV_HOLD_MORE) {
		cv_buf_wipe(&h->body);
		counted_set(h, 0);
	}
	return rc;
}

static bool is_memory_enough(const struct cv_hold *h, size_t more)
{
	return cv_buf_len(&h->body) + more <= CV_PROXY_HELD_BYTES_MAX &&
	       (h->spool->fd < 0 || h->spool->memory + more <= CV_PROXY_SPOOL_MEMORY_MAX);
}

static enum cv_hold_rc spooled_put(struct cv_hold *h, struct cv_str data)
{
	enum cv_hold_rc rc = CV_HOLD_MORE;

	h->bytes += data.n;
	if (h->is_found)
		return CV_HOLD_MORE;
	if (!h->file.bytes && is_memory_enough(h, data.n)) {
		if (!cv_buf_put(&h->body, data))
			return CV_HOLD_FULL;
		counted_set(h, cv_buf_len(&h->body));
		return CV_HOLD_MORE;
	}
	if (cv_buf_len(&h->body))
		rc = move_to_file(h);
	return rc == CV_HOLD_MORE && !h->is_found ? file_put(h, data) : rc;
}

/* So that memory has none of it, and the rest can follow. */
static enum cv_hold_rc long_end(struct cv_hold *h)
{
	const enum cv_hold_rc rc = cv_buf_len(&h->body) ? move_to_file(h) : CV_HOLD_MORE;

	return rc == CV_HOLD_MORE ? CV_HOLD_LONG : rc;
}

/* They are passed on: what they say is judged with the body. */
static enum cv_hold_rc trailers_put(struct cv_hold *h)
{
	const struct cv_chunk *c = &h->chunk;
	struct cv_ph_scan scan;
	bool is_found = false;

	cv_ph_scan_init(&scan, h->scan->set);
	for (size_t i = 0; i < c->trailer_count; i++)
		is_found |= cv_ph_scan_feed(&scan, c->trailer[i].name) ||
			    cv_ph_scan_feed(&scan, CV_STR(":")) ||
			    cv_ph_scan_feed(&scan, c->trailer[i].value);
	if (is_found)
		return CV_HOLD_FOUND;
	if (c->trailer_count && !cv_chunk_write_end(&h->tail, c->trailer, c->trailer_count))
		return CV_HOLD_FULL;
	return CV_HOLD_MORE;
}

enum cv_hold_rc cv_hold_scan_again(struct cv_hold *h, const struct cv_ph_set *set)
{
	char piece[CV_PROXY_RECORD_BYTES];
	size_t n;

	cv_ph_scan_init(h->scan, set);
	for (uint64_t at = 0; at < h->file.bytes; at += n) {
		n = cv_spooled_read(&h->file, at, piece, sizeof(piece));
		if (!n)
			return CV_HOLD_FULL;
		if (cv_ph_scan_feed(h->scan, (struct cv_str){ piece, n }))
			return CV_HOLD_FOUND;
	}
	return CV_HOLD_DONE;
}

void cv_hold_frame(const struct cv_hold *h, struct cv_str body, struct cv_h1_edit *e)
{
	const bool is_chunked = cv_buf_len(&h->tail) || h->is_open;

	e->body = is_chunked ? CV_H1_BODY_CHUNKED : CV_H1_BODY_LENGTH;
	e->length = is_chunked ? 0 : h->file.bytes + body.n;
}

bool cv_hold_pass_on(struct cv_hold *h, struct cv_str body, struct cv_body *to)
{
	if (!h->file.bytes && !cv_buf_len(&h->tail))
		return cv_body_start_held(to, body);
	return cv_body_start_spooled(to, body, &h->file, &h->tail, h->is_open ? &h->chunk : NULL);
}

/* ---- what comes ---- */

static enum cv_hold_rc data_put(struct cv_hold *h, struct cv_str data)
{
	if (!data.n)
		return CV_HOLD_MORE;
	if (h->spool)
		return spooled_put(h, data);
	return cv_buf_put(&h->body, data) ? CV_HOLD_MORE : CV_HOLD_LONG;
}

/* Until the sender's end, which has to be one. */
static enum cv_hold_rc close_fill(struct cv_hold *h, struct cv_leg *from)
{
	const struct cv_str text = cv_leg_text(from);

	const enum cv_hold_rc rc = data_put(h, text);
	if (rc != CV_HOLD_MORE)
		return rc;
	taken_wipe(from, text.n);
	h->is_done = from->is_eof && !from->is_cut;
	return h->is_done ? CV_HOLD_DONE : CV_HOLD_MORE;
}

static enum cv_hold_rc length_fill(struct cv_hold *h, struct cv_leg *from)
{
	const struct cv_str text = cv_leg_text(from);
	const struct cv_str part = cv_str_slice(text, 0, (size_t)CV_MIN(h->left, text.n));

	const enum cv_hold_rc rc = data_put(h, part);
	if (rc != CV_HOLD_MORE)
		return rc;
	taken_wipe(from, part.n);
	h->left -= part.n;
	h->is_done = h->left == 0;
	return h->is_done ? CV_HOLD_DONE : CV_HOLD_MORE;
}

static enum cv_hold_rc chunks_fill(struct cv_hold *h, struct cv_leg *from)
{
	for (;;) {
		struct cv_str in = cv_leg_text(from), data;
		const size_t given = in.n;
		const enum cv_chunk_event ev = cv_chunk_next(&h->chunk, &in, &data);

		enum cv_hold_rc rc = CV_HOLD_MORE;

		if (ev == CV_CHUNK_BAD)
			return CV_HOLD_BAD;
		if (ev == CV_CHUNK_DATA)
			rc = data_put(h, data);
		else if (ev == CV_CHUNK_DONE && h->spool)
			rc = trailers_put(h);
		if (rc != CV_HOLD_MORE)
			return rc;
		h->is_done = ev == CV_CHUNK_DONE;
		taken_wipe(from, given - in.n);
		if (h->is_done)
			return CV_HOLD_DONE;
		if (ev == CV_CHUNK_MORE)
			return CV_HOLD_MORE;
	}
}

static enum cv_hold_rc some_take(struct cv_hold *h, struct cv_leg *from)
{
	if (h->kind == CV_H1_BODY_CHUNKED)
		return chunks_fill(h, from);
	return h->kind == CV_H1_BODY_CLOSE ? close_fill(h, from) : length_fill(h, from);
}

enum cv_hold_rc cv_hold_take(struct cv_hold *h, struct cv_leg *from)
{
	enum cv_hold_rc rc = CV_HOLD_DONE;

	while (!h->is_done) {
		rc = some_take(h, from);
		if (rc != CV_HOLD_MORE)
			break;
		if (!cv_leg_fill(from))
			return from->is_eof ? CV_HOLD_CUT : CV_HOLD_MORE;
	}
	return rc;
}

/* As cv_hold_take(), in bounded steps; between two chunks the body may turn out too long. */
static enum cv_hold_rc spooled_take(struct cv_hold *h, struct cv_leg *from)
{
	for (int i = 1;; i++) {
		const enum cv_hold_rc rc = some_take(h, from);

		if (rc != CV_HOLD_MORE)
			return rc;
		if (h->spool->fd >= 0 && h->bytes > h->spool->body_max)
			return long_end(h);
		if (i == CV_PROXY_SPOOL_READS)
			return CV_HOLD_MORE; /* what is not read yet is not forgotten by the leg */
		if (!cv_leg_fill(from))
			return from->is_eof ? CV_HOLD_CUT : CV_HOLD_MORE;
	}
}

enum cv_hold_rc cv_hold_fill(struct cv_flow *f)
{
	struct cv_hold *h = f->hold;

	if (!h->spool)
		return cv_hold_take(h, &f->client);
	if (h->end == CV_HOLD_MORE)
		h->end = spooled_take(h, &f->client);
	if (h->is_found && h->end != CV_HOLD_MORE && h->end != CV_HOLD_CUT)
		h->end = CV_HOLD_FOUND;
	return h->end;
}

void cv_hold_wipe(struct cv_hold *h)
{
	counted_set(h, 0);
	cv_spooled_free(&h->file);
	cv_buf_wipe(&h->tail);
	cv_buf_wipe(&h->head);
	cv_buf_wipe(&h->body);
}

void cv_hold_end(struct cv_flow *f)
{
	if (!f->hold)
		return;
	cv_hold_wipe(f->hold);
	free(f->hold);
	f->hold = NULL;
}

bool cv_hold_is_here(const struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_str text = cv_leg_text(&f->client);
	struct cv_str in = cv_str_slice(text, r->head_bytes, text.n), data;
	struct cv_chunk c;
	enum cv_chunk_event ev = CV_CHUNK_DATA;

	if (r->body != CV_H1_BODY_CHUNKED)
		return in.n >= r->length;
	cv_chunk_init(&c);
	while (ev == CV_CHUNK_DATA)
		ev = cv_chunk_next(&c, &in, &data);
	return ev == CV_CHUNK_DONE && c.trailer_count == 0;
}
