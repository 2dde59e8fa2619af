/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c - see hold.h
 */
#include "proxy/hold.h"

#include "proxy/flow.h"

#include <stdlib.h>

bool cv_hold_begin(struct cv_flow *f, const struct cv_h1_request *r, size_t max)
{
	const struct cv_str text = cv_leg_text(&f->client);
	struct cv_hold *h = calloc(1, sizeof(*h));

	if (!h)
		return false;
	cv_buf_init(&h->head, CV_PROXY_HEAD_BYTES_MAX);
	cv_buf_init(&h->body, max);
	if (!cv_buf_put(&h->head, cv_str_slice(text, 0, r->head_bytes))) {
		free(h);
		return false;
	}
	h->kind = r->body;
	h->left = r->length;
	cv_chunk_init(&h->chunk);
	cv_leg_take(&f->client, r->head_bytes);
	f->hold = h;
	return true;
}

static enum cv_hold_rc length_fill(struct cv_hold *h, struct cv_leg *from)
{
	const struct cv_str text = cv_leg_text(from);
	const struct cv_str part = cv_str_slice(text, 0, (size_t)CV_MIN(h->left, text.n));

	if (part.n && !cv_buf_put(&h->body, part))
		return CV_HOLD_LONG;
	cv_leg_take(from, part.n);
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
		cv_leg_take(from, given - in.n);
		if (h->is_done)
			return CV_HOLD_DONE;
		if (ev == CV_CHUNK_MORE)
			return CV_HOLD_MORE;
	}
}

enum cv_hold_rc cv_hold_fill(struct cv_flow *f)
{
	struct cv_hold *h = f->hold;
	enum cv_hold_rc rc = CV_HOLD_DONE;

	while (!h->is_done) {
		rc = h->kind == CV_H1_BODY_CHUNKED ? chunks_fill(h, &f->client)
						   : length_fill(h, &f->client);
		if (rc != CV_HOLD_MORE)
			break;
		if (!cv_leg_fill(&f->client))
			return f->client.is_eof ? CV_HOLD_CUT : CV_HOLD_MORE;
	}
	return rc;
}

void cv_hold_end(struct cv_flow *f)
{
	if (!f->hold)
		return;
	cv_buf_wipe(&f->hold->head);
	cv_buf_wipe(&f->hold->body);
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
	return ev == CV_CHUNK_DONE;
}
