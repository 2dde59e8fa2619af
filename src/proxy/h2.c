/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2.c - sessions of HTTP/2, of either side
 *
 * nghttp2 reads and writes frames and keeps their rules; it never sees a socket.  What it tells is
 * turned here into the acts of links (vleg.c), of new streams (h2_down.c) and of responses
 * (h2_up.c).  Its own idea of what a valid HTTP message is stays off: h2_head.c has ours, for
 * which there are reasons in audit.
 *
 * Order within a turn: steps receive, and so end streams and make new ones; frames are made only
 * in the phase of sends, after the audit events of the turn were written.
 *
 * What frames cost (T19).  A peer can make us work with frames that carry nothing (PING, SETTINGS,
 * PRIORITY, empty DATA, WINDOW_UPDATE), and with streams that it ends at once or makes us end
 * (rapid reset, MadeYouReset).  Each kind takes from a bucket that time, and data for the first,
 * fills again; an empty bucket is GOAWAY with ENHANCE_YOUR_CALM.  Nothing is done at once inside the
 * library's callbacks: they note it, and the step that called acts.
 */
#include "proxy/h2.h"
#include "proxy/proxy.h"

#include "base/assert.h"

#include <stdlib.h>

/* ---- counting ---- */

static void rate_fill(struct cv_h2_rate *r, int64_t now_ms, int64_t per_s, int64_t max)
{
	if (!r->at_ms)
		r->left = max * 1000;
	else
		r->left = CV_MIN(r->left + (now_ms - r->at_ms) * per_s, max * 1000);
	r->at_ms = now_ms;
}

bool cv_h2_rate_take(struct cv_h2_rate *r, int64_t now_ms, int64_t per_s, int64_t max)
{
	rate_fill(r, now_ms, per_s, max);
	if (r->left < 1000)
		return false;
	r->left -= 1000;
	return true;
}

static void control_take(struct cv_h2 *h2)
{
	if (!cv_h2_rate_take(
		    &h2->control, h2->p->loop.now_ms, CV_H2_CONTROL_PER_S, CV_H2_CONTROL_MAX) &&
		!h2->abuse)
		h2->abuse = "too many frames that carry nothing";
}

static void control_earn(struct cv_h2 *h2)
{
	h2->control.left = CV_MIN(h2->control.left + 1000 * (1 + CV_H2_CONTROL_PER_DATA),
		CV_H2_CONTROL_MAX * (int64_t)1000);
}

static void reset_take(struct cv_h2 *h2)
{
	if (!cv_h2_rate_take(
		    &h2->resets, h2->p->loop.now_ms, CV_H2_RESETS_PER_S, CV_H2_RESETS_MAX) &&
		!h2->abuse)
		h2->abuse = "too many streams ended early";
}

/* ---- links ---- */

void cv_h2_link_add(struct cv_h2 *h2, struct cv_h2_link *link)
{
	link->h2 = h2;
	link->prev = NULL;
	link->next = h2->links;
	if (h2->links)
		h2->links->prev = link;
	h2->links = link;
	h2->link_count++;
	if (h2->session && !h2->is_over && !h2->has_block)
		h2->flow->deadline_ms = INT64_MAX; /* each stream has its own */
}

void cv_h2_idle(struct cv_h2 *h2)
{
	struct cv_proxy *p = h2->p;

	if (h2->is_over || h2->has_block)
		return;
	h2->flow->deadline_ms = p->loop.now_ms + CV_PROXY_IDLE_MS;
	p->next_sweep_ms = CV_MIN(p->next_sweep_ms, h2->flow->deadline_ms);
}

void cv_h2_mark(struct cv_h2 *h2)
{
	struct cv_proxy *p = h2->p;

	if (h2->is_dirty || !h2->session)
		return;
	if (p->dirty_count == CV_ARRAY_LEN(p->dirty)) {
		cv_proxy_queue(p, h2->flow); /* which marks it in the next turn */
		return;
	}
	h2->is_dirty = true;
	p->dirty[p->dirty_count++] = h2->flow->index;
}

/* Rules that the library, which forgets what is closed, can't keep. */
static void ids_check(struct cv_h2 *h2, const struct cv_h2_frame *f)
{
	const enum cv_h2_ids_rc rc = cv_h2_ids_note(&h2->ids, f, !h2->is_client);

	if (rc == CV_H2_IDS_AGAIN)
		control_take(h2);
	if (rc < CV_H2_IDS_ENDED || h2->abuse)
		return;
	h2->abuse = rc == CV_H2_IDS_ENDED ? "a frame for a stream that its sender has ended"
					  : "a stream's id is lower than the last";
	h2->abuse_error = rc == CV_H2_IDS_ENDED ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR;
}

/* Every frame, also those that the library passes over without a word. */
static void frame_count(struct cv_h2 *h2, const struct cv_h2_frame *f)
{
	ids_check(h2, f);
	switch (f->type) {
	case NGHTTP2_HEADERS: h2->continuations = 0; break; /* counted by their streams' ends */
	case NGHTTP2_RST_STREAM: break;
	case NGHTTP2_DATA: /* nothing, or perhaps nothing but padding */
		if ((!f->length && !(f->flags & NGHTTP2_FLAG_END_STREAM)) ||
			(f->flags & NGHTTP2_FLAG_PADDED))
			control_take(h2);
		break;
	case NGHTTP2_CONTINUATION:
		control_take(h2);
		if (++h2->continuations > CV_H2_CONTINUATIONS_MAX && !h2->abuse)
			h2->abuse = "too many CONTINUATION frames";
		break;
	default: control_take(h2); break;
	}
}

static void frames_count(struct cv_h2 *h2, struct cv_str bytes)
{
	struct cv_h2_frame f;

	while (cv_h2_scan_next(&h2->scan, &bytes, &f))
		frame_count(h2, &f);
}

/* ---- what nghttp2 tells ---- */

static struct cv_h2_link *link_of(struct cv_h2 *h2, int32_t id)
{
	return id > 0 ? nghttp2_session_get_stream_user_data(h2->session, id) : NULL;
}

/* The peer broke the rules of HTTP on one stream. */
static void stream_refuse(struct cv_h2 *h2, struct cv_h2_link *link)
{
	link->error = NGHTTP2_PROTOCOL_ERROR;
	cv_h2_stream_end(h2->p, link->flow);
}

static int headers_begin(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct cv_h2 *h2 = user;

	(void)s;
	(void)frame;
	cv_h2_fields_fini(&h2->fields);
	cv_h2_fields_init(&h2->fields);
	h2->has_block = true;
	return 0;
}

static int header_add(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
	struct cv_h2 *h2 = user;

	(void)s;
	(void)frame;
	(void)flags;
	if (h2->abuse)
		return 0;
	cv_h2_fields_add(&h2->fields, (struct cv_str){ (const char *)name, name_n },
		(struct cv_str){ (const char *)value, value_n });
	if (h2->fields.list_bytes > CV_H2_ABUSE_LIST_BYTES)
		h2->abuse = "header list of absurd size";
	return 0;
}

static void headers_take(struct cv_h2 *h2, const nghttp2_frame *frame, bool is_ended)
{
	struct cv_h2_link *link = link_of(h2, frame->hd.stream_id);

	h2->has_block = false;
	if (h2->abuse || h2->is_over)
		return;
	if (!h2->is_client && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		cv_h2_down_head(h2, frame->hd.stream_id, is_ended);
		return;
	}
	if (!link)
		return;
	if (h2->is_client && !link->has_in_head) {
		cv_h2_up_head(link, is_ended);
		return;
	}
	if (!is_ended || !cv_vleg_trailers(link, &h2->fields) || !cv_vleg_end(link))
		stream_refuse(h2, link);
}

static int frame_take(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct cv_h2 *h2 = user;
	const bool is_ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct cv_h2_link *link;

	(void)s;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		headers_take(h2, frame, is_ended);
		cv_h2_fields_fini(&h2->fields);
		break;
	case NGHTTP2_DATA:
		link = is_ended ? link_of(h2, frame->hd.stream_id) : NULL;
		if (link && !cv_vleg_end(link))
			stream_refuse(h2, link);
		break;
	case NGHTTP2_RST_STREAM: reset_take(h2); break;
	case NGHTTP2_GOAWAY: h2->is_draining = true; break;
	default: break;
	}
	return 0;
}

static int data_take(
	nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *user)
{
	struct cv_h2 *h2 = user;
	struct cv_h2_link *link = link_of(h2, id);

	(void)flags;
	control_earn(h2);
	if (!link) { /* of a stream that is being ended */
		nghttp2_session_consume(s, id, n);
		return 0;
	}
	if (!cv_vleg_data(link, (struct cv_str){ (const char *)data, n })) {
		nghttp2_session_consume_connection(s, n);
		stream_refuse(h2, link);
	}
	return 0;
}

/* Ours that the peer's own faults brought about; a cancelled stream is nobody's fault. */
static bool is_fault(uint32_t error)
{
	return error == NGHTTP2_PROTOCOL_ERROR || error == NGHTTP2_FLOW_CONTROL_ERROR ||
	       error == NGHTTP2_STREAM_CLOSED || error == NGHTTP2_FRAME_SIZE_ERROR ||
	       error == NGHTTP2_REFUSED_STREAM;
}

static int frame_sent(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct cv_h2 *h2 = user;
	const int32_t id = frame->hd.stream_id;
	const bool has_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;

	if (frame->hd.type == NGHTTP2_DATA && frame->hd.length)
		control_earn(h2);
	if (frame->hd.type == NGHTTP2_RST_STREAM && is_fault(frame->rst_stream.error_code)) {
		reset_take(h2);
		if (h2->abuse)
			cv_proxy_queue(h2->p, h2->flow);
	}
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
		!h2->abuse && !h2->is_over) {
		h2->abuse = nghttp2_http2_strerror(frame->goaway.error_code);
		h2->is_over = true;
		cv_proxy_queue(h2->p, h2->flow);
	}
	/* the answer is complete: what the client still sends, nobody reads (RFC 9113 8.1) */
	if (!h2->is_client && has_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
		nghttp2_session_get_stream_remote_close(s, id) == 0)
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	return 0;
}

static int frame_not_sent(nghttp2_session *s, const nghttp2_frame *frame, int why, void *user)
{
	struct cv_h2 *h2 = user;

	(void)s;
	(void)why;
	if (!h2->is_client || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	for (struct cv_h2_link *l = h2->links; l; l = l->next)
		if (l->id == frame->hd.stream_id) { /* GOAWAY came before its turn */
			cv_vleg_closed(l, NGHTTP2_REFUSED_STREAM);
			break;
		}
	return 0;
}

static int stream_closed(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
	struct cv_h2 *h2 = user;
	struct cv_h2_link *link = link_of(h2, id);

	(void)s;
	if (link)
		cv_vleg_closed(link, error);
	return 0;
}

/* ---- sessions ---- */

bool cv_h2_new(struct cv_proxy *p, struct cv_flow *f, bool is_client)
{
	struct cv_h2 *h2 = calloc(1, sizeof(*h2));

	if (!h2)
		return false;
	h2->p = p;
	h2->flow = f;
	h2->is_client = is_client;
	h2->scan.left = is_client ? 0 : CV_H2_PREFACE_BYTES;
	for (size_t i = 0; i < CV_H2_UPSTREAMS_MAX; i++)
		h2->up[i].index = UINT32_MAX;
	h2->owner.index = UINT32_MAX;
	f->h2 = h2;
	return true;
}

static nghttp2_session_callbacks *callbacks_make(void)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, headers_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, header_add);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_take);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data_take);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c, frame_not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_closed);
	return c;
}

static bool session_make(struct cv_h2 *h2)
{
	nghttp2_session_callbacks *c = callbacks_make();
	nghttp2_option *o = NULL;
	int failed = -1;

	if (c && nghttp2_option_new(&o) == 0) {
		nghttp2_option_set_no_auto_window_update(o, 1);
		nghttp2_option_set_no_http_messaging(o, 1);
		nghttp2_option_set_no_closed_streams(o, 1);
		nghttp2_option_set_max_outbound_ack(o, CV_H2_ACKS_MAX);
		nghttp2_option_set_max_deflate_dynamic_table_size(o, CV_H2_TABLE_BYTES);
		/* the first needs no leave; how many more, the server's SETTINGS say */
		nghttp2_option_set_peer_max_concurrent_streams(o, 1);
		failed = h2->is_client ? nghttp2_session_client_new2(&h2->session, c, h2, o)
				       : nghttp2_session_server_new2(&h2->session, c, h2, o);
	}
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(c);
	return failed == 0;
}

bool cv_h2_session_start(struct cv_h2 *h2)
{
	const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CV_H2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CV_H2_LIST_BYTES_MAX },
		{ h2->is_client ? NGHTTP2_SETTINGS_ENABLE_PUSH
				: NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
			h2->is_client ? 0 : CV_H2_STREAMS_MAX },
	};

	if (!session_make(h2)) {
		h2->session = NULL;
		return false;
	}
	cv_h2_mark(h2);
	return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, ours, CV_ARRAY_LEN(ours)) ==
		       0 &&
	       nghttp2_session_set_local_window_size(
		       h2->session, NGHTTP2_FLAG_NONE, 0, CV_H2_SESSION_WINDOW) == 0;
}

void cv_h2_free(struct cv_flow *f)
{
	struct cv_h2 *h2 = f->h2;

	if (!h2)
		return;
	cv_assert(!h2->links);
	nghttp2_session_del(h2->session);
	cv_h2_fields_fini(&h2->fields);
	free(h2);
	f->h2 = NULL;
}

bool cv_h2_receive(struct cv_h2 *h2, struct cv_leg *leg)
{
	while (cv_leg_text(leg).n) {
		const struct cv_str text = cv_leg_text(leg);
		const ssize_t n =
			nghttp2_session_mem_recv(h2->session, (const uint8_t *)text.p, text.n);

		cv_h2_mark(h2);
		if (n < 0) {
			if (!h2->abuse)
				h2->abuse = nghttp2_strerror((int)n);
			return false;
		}
		if (n == 0)
			break;
		frames_count(h2, cv_str_slice(text, 0, (size_t)n));
		cv_leg_take(leg, (size_t)n);
		if (h2->abuse)
			return false;
	}
	return true;
}

void cv_h2_terminate(struct cv_h2 *h2, uint32_t error)
{
	if (!h2->is_over && h2->session)
		nghttp2_session_terminate_session(h2->session, error);
	h2->is_over = true;
	while (h2->links)
		cv_h2_stream_end(h2->p, h2->links->flow);
	cv_h2_mark(h2);
}

/* Gathers frames into one buffer, as many as leg surely takes. */
static size_t frames_gather(struct cv_h2 *h2, struct cv_leg *leg, struct cv_buf *stage)
{
	const size_t frame_max = CV_PROXY_RECORD_BYTES + 9; /* nghttp2 makes none longer */
	const size_t room = cv_leg_room(leg);
	const uint8_t *data;

	cv_buf_reset(stage);
	while (cv_buf_len(stage) + frame_max <= room) {
		const ssize_t n = nghttp2_session_mem_send(h2->session, &data);

		if (n <= 0)
			break;
		cv_buf_put(stage, (struct cv_str){ (const char *)data, (size_t)n });
	}
	return cv_buf_len(stage);
}

void cv_h2_send(struct cv_h2 *h2)
{
	struct cv_leg *leg = h2->is_client ? &h2->flow->server : &h2->flow->client;
	struct cv_buf *stage = &h2->p->head;

	for (int i = 0; i < CV_H2_SENDS_MAX; i++) {
		if (!frames_gather(h2, leg, stage))
			break;
		if (cv_leg_put(leg, cv_buf_str(stage)) != cv_buf_len(stage))
			break; /* broken: its flow will see it */
		cv_leg_flush(leg);
		if (i == CV_H2_SENDS_MAX - 1)
			cv_proxy_queue(h2->p, h2->flow); /* the rest in the next turn */
	}
	if (leg->is_broken || (!nghttp2_session_want_read(h2->session) &&
				      !nghttp2_session_want_write(h2->session)))
		cv_proxy_queue(h2->p, h2->flow);
}

void cv_h2_send_all(struct cv_proxy *p)
{
	for (size_t i = 0; i < p->dirty_count; i++) {
		struct cv_flow *f = &p->flows.v[p->dirty[i]];

		if (!f->h2 || !f->h2->is_dirty)
			continue;
		f->h2->is_dirty = false;
		if (f->state == CV_FLOW_H2 || f->state == CV_FLOW_H2_UP)
			cv_h2_send(f->h2);
	}
	p->dirty_count = 0;
}
