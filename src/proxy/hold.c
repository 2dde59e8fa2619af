/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c - see hold.h
 */
#include "proxy/hold.h"

#include "proxy/flow.h"

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

/* Until the sender's end, which has to be one. */
static enum cv_hold_rc close_fill(struct cv_hold *h, struct cv_leg *from)
{
	const struct cv_str text = cv_leg_text(from);

	if (text.n && !cv_buf_put(&h->body, text))
		return CV_HOLD_LONG;
	taken_wipe(from, text.n);
	h->is_done = from->is_eof && !from->is_cut;
	return h->is_done ? CV_HOLD_DONE : CV_HOLD_MORE;
}

static enum cv_hold_rc length_fill(struct cv_hold *h, struct cv_leg *from)
{
	const struct cv_str text = cv_leg_text(from);
	const struct cv_str part = cv_str_slice(text, 0, (size_t)CV_MIN(h->left, text.n));

	if (part.n && !cv_buf_put(&h->body, part))
		return CV_HOLD_LONG;
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

		if (ev == CV_CHUNK_BAD)
			return CV_HOLD_BAD;
		if (ev == CV_CHUNK_DATA && !cv_buf_put(&h->body, data))
			return CV_HOLD_LONG;
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

enum cv_hold_rc cv_hold_fill(struct cv_flow *f)
{
	return cv_hold_take(f->hold, &f->client);
}

void cv_hold_wipe(struct cv_hold *h)
{
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
