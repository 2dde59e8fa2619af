/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vleg.c - a leg whose other end is a stream: text on this side, frames on that
 *
 *     frames --> raw --fill--> in    the flow reads text of HTTP/1.1
 *     frames <-- provider <-- out    the flow puts text of HTTP/1.1
 *
 * Data waits in raw, at most a window of it, and becomes text when there is room: as one chunk
 * however small the frames were, so a peer that sends single bytes costs no more than its
 * window.  Only then is the window opened again.  The other way the session asks for data when the
 * peer's window and the socket have room, and is told to wait when there is no text.
 */
#include "proxy/h2.h"
#include "proxy/proxy.h"

#include "base/assert.h"
#include "base/hex.h"

#include <stdio.h>

#define CHUNK_EXTRA (CV_CHUNK_LINE_BYTES_MAX + 2)

void cv_vleg_open(struct cv_leg *leg, struct cv_iopool *pool, struct cv_h2_link *link)
{
	*leg = (struct cv_leg){ .pool = pool, .fd = -1, .link = link };
	link->leg = leg;
	link->id = -1;
	cv_buf_init(&link->trailers, CV_CHUNK_TRAILER_BYTES_MAX);
	cv_buf_init(&link->retry, CV_PROXY_IO_BYTES);
}

static void link_remove(struct cv_h2_link *link)
{
	struct cv_h2 *h2 = link->h2;

	if (link->prev)
		link->prev->next = link->next;
	else
		h2->links = link->next;
	if (link->next)
		link->next->prev = link->prev;
	h2->link_count--;
	if (!h2->links)
		cv_h2_idle(h2);
	link->h2 = NULL;
	link->prev = link->next = NULL;
}

/* What the stream's peer is told when we leave before its end.  An upstream's own reason is passed
 * on: gRPC's clients read it. */
static uint32_t leave_code(const struct cv_h2_link *link, bool is_reset)
{
	const struct cv_stream *s = link->flow->stream;

	if (link->h2->is_client)
		return NGHTTP2_CANCEL;
	if (link->error)
		return link->error;
	if (s->up.error)
		return s->up.error;
	return is_reset ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL;
}

void cv_vleg_close(struct cv_leg *leg, bool is_reset)
{
	struct cv_h2_link *link = leg->link;
	struct cv_h2 *h2 = link->h2;

	leg->link = NULL;
	if (h2 && h2->session) {
		if (link->raw.bytes)
			nghttp2_session_consume_connection(h2->session, link->raw.bytes);
		if (link->id >= 0) {
			nghttp2_session_set_stream_user_data(h2->session, link->id, NULL);
			nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, link->id,
				leave_code(link, is_reset));
		}
		cv_h2_mark(h2);
	}
	if (h2)
		link_remove(link);
	cv_ioq_drop(leg->pool, &link->raw);
	cv_buf_fini(&link->trailers);
	cv_buf_fini(&link->retry);
}

/* ---- towards the flow ---- */

/* Text was made of n bytes: the peer may send so many more. */
static void window_open(struct cv_h2_link *link, size_t n)
{
	struct cv_h2 *h2 = link->h2;

	if (!h2 || !h2->session || n == 0)
		return;
	if (link->id >= 0)
		nghttp2_session_consume(h2->session, link->id, n);
	else
		nghttp2_session_consume_connection(h2->session, n);
	cv_h2_mark(h2);
}

/* As much of data as there is room for, as text; returns how much. */
static size_t text_put(struct cv_h2_link *link, struct cv_str data)
{
	struct cv_leg *leg = link->leg;
	const size_t extra = link->in_kind == CV_H1_BODY_CHUNKED ? CHUNK_EXTRA : 0;
	const size_t room = cv_iob_room(&leg->in);
	char line[CV_CHUNK_LINE_BYTES_MAX];

	if (room <= extra || !data.n)
		return 0;
	data = cv_str_slice(data, 0, room - extra);
	if (extra && !cv_iob_put(leg->pool, &leg->in,
			     (struct cv_str){ line, cv_chunk_line(data.n, line) }))
		return 0;
	if (!cv_iob_put(leg->pool, &leg->in, data) ||
		(extra && !cv_iob_put(leg->pool, &leg->in, CV_CHUNK_DATA_END)))
		return 0; /* no memory: the text is cut, and its reader will say so */
	return data.n;
}

/* The text's end, once all data is text. */
static bool end_put(struct cv_h2_link *link)
{
	struct cv_leg *leg = link->leg;
	const struct cv_str trailers = cv_buf_str(&link->trailers);

	if (link->in_kind == CV_H1_BODY_CHUNKED) {
		if (cv_iob_room(&leg->in) < trailers.n + 8 ||
			!cv_iob_put(leg->pool, &leg->in, CV_STR("0\r\n")) ||
			!cv_iob_put(leg->pool, &leg->in, trailers) ||
			!cv_iob_put(leg->pool, &leg->in, CV_STR("\r\n")))
			return false;
	}
	link->is_in_told = true;
	leg->is_wire_eof = leg->is_eof = true;
	return true;
}

bool cv_vleg_fill(struct cv_leg *leg)
{
	struct cv_h2_link *link = leg->link;
	bool has_moved = false;

	while (link->raw.count) {
		const size_t n = text_put(link, cv_ioq_front(&link->raw));

		if (!n)
			return has_moved;
		cv_ioq_skip(leg->pool, &link->raw, (uint32_t)n);
		window_open(link, n);
		has_moved = true;
	}
	if (link->is_in_ended && !link->is_in_told)
		return end_put(link) || has_moved;
	if (link->is_in_cut && !leg->is_eof) {
		leg->is_wire_eof = leg->is_eof = leg->is_cut = true;
		return true;
	}
	return has_moved;
}

bool cv_vleg_has_more(const struct cv_leg *leg)
{
	const struct cv_h2_link *link = leg->link;

	return (link->raw.count && cv_iob_room(&leg->in) > CHUNK_EXTRA) ||
	       (link->is_in_ended && !link->is_in_told) || (link->is_in_cut && !leg->is_eof);
}

bool cv_vleg_data(struct cv_h2_link *link, struct cv_str data)
{
	struct cv_leg *leg = link->leg;

	if (!data.n)
		return true;
	if (link->in_kind == CV_H1_BODY_NONE ||
		(link->in_kind == CV_H1_BODY_LENGTH && data.n > link->in_left))
		return false;
	if (link->in_kind == CV_H1_BODY_LENGTH)
		link->in_left -= data.n;
	/* an empty buffer takes it as it comes, which saves a copy where somebody reads at once */
	if (!link->raw.count && !cv_iob_len(&leg->in)) {
		const size_t n = text_put(link, data);

		window_open(link, n);
		data = cv_str_slice(data, n, data.n);
	}
	if (data.n && !cv_ioq_put(leg->pool, &link->raw, data))
		return false;
	cv_proxy_queue(link->h2->p, link->flow);
	return true;
}

bool cv_vleg_trailers(struct cv_h2_link *link, const struct cv_h2_fields *f)
{
	return cv_h2_trailers_text(f, &link->trailers) == CV_H2_OK;
}

bool cv_vleg_end(struct cv_h2_link *link)
{
	if (link->in_kind == CV_H1_BODY_LENGTH && link->in_left)
		return false;
	link->is_in_ended = true;
	cv_proxy_queue(link->h2->p, link->flow);
	return true;
}

void cv_vleg_cut(struct cv_h2_link *link, uint32_t error)
{
	if (!link->is_in_ended) {
		link->is_in_cut = true;
		link->error = error ? error : NGHTTP2_INTERNAL_ERROR;
	}
	link->out = CV_H2_OUT_DONE;
	link->leg->wants_shut = link->leg->is_shut = true; /* nobody takes more */
	cv_iob_drop(link->leg->pool, &link->leg->out);
	if (link->h2)
		cv_proxy_queue(link->h2->p, link->flow);
}

/* All of the request goes back to where it stood before it was sent. */
static bool retry(struct cv_h2_link *link)
{
	struct cv_leg *leg = link->leg;
	struct cv_proxy *p = link->h2->p;

	if (link->has_in_head || link->has_retried || !cv_buf_len(&link->retry) ||
		cv_iob_len(&leg->in) || leg->wants_shut ||
		!cv_iob_put(leg->pool, &leg->out, cv_buf_str(&link->retry)))
		return false;
	link_remove(link);
	link->has_retried = true;
	link->out = CV_H2_OUT_HEAD;
	link->scanned = 0;
	cv_buf_fini(&link->retry);
	cv_h2_up_rejoin(p, link);
	return true;
}

/* Nothing of the request has to be kept for that but its head, and twice is as good as once. */
static bool is_repeatable(const struct cv_h2_link *link)
{
	static const struct cv_str method[] = { CV_STR("GET "), CV_STR("HEAD "),
		CV_STR("OPTIONS ") };
	const struct cv_str head = cv_buf_str(&link->retry);

	for (size_t i = 0; i < CV_ARRAY_LEN(method); i++)
		if (cv_str_has_prefix(head, method[i]))
			return true;
	return false;
}

bool cv_vleg_repeat(struct cv_h2_link *link)
{
	link->id = -1;
	return is_repeatable(link) && retry(link);
}

void cv_vleg_closed(struct cv_h2_link *link, uint32_t error)
{
	struct cv_h2 *h2 = link->h2;

	link->id = -1;
	if (h2->is_client && error == NGHTTP2_REFUSED_STREAM && retry(link))
		return;
	if (h2->is_client) {
		cv_vleg_cut(link, error);
		/* never looked at, but we can't repeat it: the client may, and knows how */
		if (error == NGHTTP2_REFUSED_STREAM && !link->has_in_head)
			cv_h2_stream_end(h2->p, link->flow);
		return;
	}
	cv_h2_stream_end(h2->p, link->flow);
}

/* ---- towards the peer ---- */

static void pairs_to_nv(const struct cv_h2_pair *pair, size_t n, nghttp2_nv *nv)
{
	for (size_t i = 0; i < n; i++)
		nv[i] = (nghttp2_nv){
			.name = (uint8_t *)(uintptr_t)pair[i].name.p,
			.value = (uint8_t *)(uintptr_t)pair[i].value.p,
			.namelen = pair[i].name.n,
			.valuelen = pair[i].value.n,
		};
}

static void body_start(struct cv_h2_link *link, enum cv_h1_body kind, uint64_t length)
{
	const bool is_done = kind == CV_H1_BODY_NONE || (kind == CV_H1_BODY_LENGTH && !length);

	link->body = (struct cv_body){ .kind = kind, .left = length, .is_done = is_done };
	if (kind == CV_H1_BODY_CHUNKED)
		cv_chunk_init(&link->body.chunk);
	link->out = is_done ? CV_H2_OUT_DONE : CV_H2_OUT_BODY;
}

static void trailers_submit(struct cv_h2_link *link)
{
	static struct cv_h2_pair pair[CV_H2_PAIRS_MAX]; /* scratch */
	static nghttp2_nv nv[CV_H2_PAIRS_MAX];
	struct cv_h2 *h2 = link->h2;
	const struct cv_chunk *c = &link->body.chunk;
	const size_t n = cv_h2_of_trailers(c->trailer, c->trailer_count, &h2->p->h2_names, pair);

	pairs_to_nv(pair, n, nv);
	nghttp2_submit_trailer(h2->session, link->id, nv, n);
}

/* One event of the chunks in *text, with at most max bytes of data.  A chunk's line is read byte by
 * byte, so that its data does not come along; trailers are read when all of them are there. */
static enum cv_chunk_event chunk_next(
	struct cv_chunk *c, struct cv_str *text, size_t max, struct cv_str *ret_data)
{
	while (text->n) {
		struct cv_str part = cv_str_slice(*text, 0, c->left ? max : 1);
		size_t given = part.n;
		enum cv_chunk_event ev = cv_chunk_next(c, &part, ret_data);

		if (ev == CV_CHUNK_MORE && part.n == given) {
			part = *text;
			given = part.n;
			ev = cv_chunk_next(c, &part, ret_data);
			if (ev == CV_CHUNK_MORE)
				return ev;
		}
		*text = cv_str_slice(*text, given - part.n, text->n);
		if (ev != CV_CHUNK_MORE)
			return ev;
	}
	return CV_CHUNK_MORE;
}

/* Data of the chunks in text into to; returns how much, and in *ret_took how much text that was. */
static ssize_t chunks_read(struct cv_h2_link *link, struct cv_str text, uint8_t *to, size_t max,
	size_t *ret_took, uint32_t *flags)
{
	const size_t given = text.n;
	struct cv_str data;
	size_t n = 0;

	while (n < max && !link->body.is_done) {
		switch (chunk_next(&link->body.chunk, &text, max - n, &data)) {
		case CV_CHUNK_BAD: return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		case CV_CHUNK_MORE: max = n; break;
		case CV_CHUNK_DATA:
			memcpy(to + n, data.p, data.n);
			n += data.n;
			break;
		case CV_CHUNK_DONE:
			link->body.is_done = true;
			*flags |= NGHTTP2_DATA_FLAG_EOF;
			if (link->body.chunk.trailer_count) {
				*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
				trailers_submit(link);
			}
			break;
		}
	}
	*ret_took = given - text.n;
	return (ssize_t)n;
}

/* nghttp2's question for data. */
static ssize_t body_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct cv_h2_link *link = nghttp2_session_get_stream_user_data(session, id);
	struct cv_h2 *h2 = user;
	size_t took = 0;
	ssize_t n = 0;

	(void)source;
	if (!link)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	struct cv_leg *leg = link->leg;
	const struct cv_str text = cv_iob_str(&leg->out);

	if (link->body.kind == CV_H1_BODY_CHUNKED) {
		n = chunks_read(link, text, to, max, &took, flags);
		if (n < 0)
			return n;
	} else {
		took = CV_MIN(text.n, max);
		if (link->body.kind == CV_H1_BODY_LENGTH)
			took = (size_t)CV_MIN(took, link->body.left);
		if (took)
			memcpy(to, text.p, took);
		n = (ssize_t)took;
		link->body.left -= link->body.kind == CV_H1_BODY_LENGTH ? took : 0;
		link->body.is_done = link->body.kind == CV_H1_BODY_LENGTH
					     ? link->body.left == 0
					     : leg->wants_shut && took == text.n;
		*flags |= link->body.is_done ? NGHTTP2_DATA_FLAG_EOF : 0;
	}
	if (took) {
		cv_iob_skip(leg->pool, &leg->out, (uint32_t)took);
		cv_proxy_queue(h2->p, link->flow);
	}
	if (link->body.is_done)
		link->out = CV_H2_OUT_DONE;
	if (n > 0 || link->body.is_done)
		return n;
	if (leg->wants_shut) /* and there is no end: it was cut */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	link->is_deferred = true;
	return NGHTTP2_ERR_DEFERRED;
}

static const nghttp2_data_provider *provider(const struct cv_h2_link *link)
{
	static const nghttp2_data_provider from_text = { .read_callback = body_read };

	return link->out == CV_H2_OUT_BODY ? &from_text : NULL;
}

/* One response head of the text; false when it can't be said. */
static bool response_submit(struct cv_h2_link *link, const struct cv_h1_response *r)
{
	static struct cv_h2_pair pair[CV_H2_PAIRS_MAX]; /* scratch */
	static nghttp2_nv nv[CV_H2_PAIRS_MAX];
	struct cv_h2 *h2 = link->h2;
	const size_t n = cv_h2_of_response(r, &h2->p->h2_names, pair);

	if (n == 0 || r->status == 101)
		return false;
	pairs_to_nv(pair, n, nv);
	if (r->status < 200)
		return nghttp2_submit_headers(
			       h2->session, NGHTTP2_FLAG_NONE, link->id, NULL, nv, n, NULL) == 0;
	body_start(link, r->body, r->length);
	return nghttp2_submit_response(h2->session, link->id, nv, n, provider(link)) == 0;
}

static bool response_flush(struct cv_h2_link *link)
{
	struct cv_leg *leg = link->leg;
	struct cv_proxy *p = link->h2->p;

	while (link->out == CV_H2_OUT_HEAD) {
		const struct cv_str text = cv_iob_str(&leg->out);

		if (!text.n)
			return !leg->wants_shut; /* the end without an answer */
		const enum cv_h1_rc rc = cv_h1_response_parse(
			text, CV_PROXY_HEAD_BYTES_MAX, &link->scanned, link->asked, &p->response);
		if (rc == CV_H1_MORE)
			return !leg->wants_shut;
		link->scanned = 0;
		if (rc != CV_H1_OK || !response_submit(link, &p->response))
			return false;
		cv_iob_skip(leg->pool, &leg->out, (uint32_t)p->response.head_bytes);
	}
	return true;
}

static bool request_flush(struct cv_h2_link *link)
{
	static struct cv_h2_pair pair[CV_H2_PAIRS_MAX]; /* scratch */
	static nghttp2_nv nv[CV_H2_PAIRS_MAX];
	struct cv_leg *leg = link->leg;
	struct cv_h2 *h2 = link->h2;
	struct cv_h1_request *r = &h2->p->request;
	const struct cv_str text = cv_iob_str(&leg->out);

	if (link->out != CV_H2_OUT_HEAD || !text.n)
		return true;
	if (cv_h1_request_parse(text, CV_PROXY_HEAD_BYTES_MAX, &link->scanned, r) != CV_H1_OK)
		return false; /* our own writer's: it is whole, and can be read */
	const size_t n = cv_h2_of_request(
		r, link->flow->is_tls, link->flow->stream->wants_trailers, &h2->p->h2_names, pair);
	if (n == 0)
		return false;
	pairs_to_nv(pair, n, nv);
	body_start(link, r->body, r->length);
	link->id = nghttp2_submit_request(h2->session, NULL, nv, n, provider(link), link);
	if (link->id < 0) {
		h2->is_draining = true; /* no stream can be opened any more: the next ones dial */
		link->id = -1;
		return false;
	}
	if (link->out == CV_H2_OUT_DONE && !link->has_retried)
		cv_buf_put(&link->retry, cv_str_slice(text, 0, r->head_bytes));
	cv_iob_skip(leg->pool, &leg->out, (uint32_t)r->head_bytes);
	return true;
}

void cv_vleg_flush(struct cv_leg *leg)
{
	struct cv_h2_link *link = leg->link;
	struct cv_h2 *h2 = link->h2;

	if (!h2 || !h2->session || (link->id < 0 && !h2->is_client))
		return;
	if (link->out == CV_H2_OUT_HEAD) {
		cv_h2_mark(h2);
		if (h2->is_client && !request_flush(link))
			cv_vleg_cut(link, NGHTTP2_REFUSED_STREAM);
		else if (!h2->is_client && !response_flush(link))
			cv_h2_stream_end(h2->p, link->flow);
		return;
	}
	if (link->out == CV_H2_OUT_BODY && link->is_deferred &&
		(cv_iob_len(&leg->out) || leg->wants_shut)) {
		link->is_deferred = false;
		nghttp2_session_resume_data(h2->session, link->id);
		cv_h2_mark(h2);
	}
}
