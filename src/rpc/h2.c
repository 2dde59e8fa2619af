/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2.c - HTTP/2: bytes to exchanges, and exchanges to bytes
 *
 * nghttp2 reads and writes frames, keeps their rules and those of HTTP's messages (RFC 9113 8.2,
 * 8.3); it never sees a socket.  Its callbacks only note: fields and bytes go to their exchange,
 * which becomes due.
 *
 * Windows are opened by us, when an exchange has taken its bytes: a call that is held shuts its
 * stream's window and not the connection's, so that however many are held, others go on.
 *
 * What frames cost.  A peer can make us work with frames that carry nothing (PING, SETTINGS,
 * PRIORITY, empty DATA, WINDOW_UPDATE, CONTINUATION) and with streams that it ends at once or makes
 * us end (rapid reset, CVE-2023-44487).  Each kind takes from a bucket that time, and data for the
 * first, fills again; an empty bucket is GOAWAY with ENHANCE_YOUR_CALM.
 */
#include "rpc/server_int.h"

#include <string.h>

/* ---- counting ---- */

static bool rate_take(struct cv_rpc_rate *r, int64_t now_ms, int64_t per_s, int64_t max)
{
	if (!r->at_ms)
		r->left = max * 1000;
	else
		r->left = CV_MIN(r->left + (now_ms - r->at_ms) * per_s, max * 1000);
	r->at_ms = now_ms;
	if (r->left < 1000)
		return false;
	r->left -= 1000;
	return true;
}

static void control_take(struct cv_rpc_conn *c)
{
	if (!rate_take(&c->control, c->server->config.loop->now_ms, CV_RPC_CONTROL_PER_S,
		    CV_RPC_CONTROL_MAX) &&
		!c->abuse)
		c->abuse = "too many frames that carry nothing";
}

void cv_rpc_h2_nothing(struct cv_rpc_conn *c)
{
	control_take(c);
}

static void control_earn(struct cv_rpc_conn *c)
{
	c->control.left = CV_MIN(c->control.left + 1000 * (1 + CV_RPC_CONTROL_PER_DATA),
		CV_RPC_CONTROL_MAX * (int64_t)1000);
}

static void reset_take(struct cv_rpc_conn *c)
{
	if (!rate_take(&c->resets, c->server->config.loop->now_ms, CV_RPC_RESETS_PER_S,
		    CV_RPC_RESETS_MAX) &&
		!c->abuse)
		c->abuse = "too many streams ended early";
}

/* Rules that the library, which forgets what is closed, can't keep. */
static void ids_check(struct cv_rpc_conn *c, const struct cv_h2_frame *f)
{
	const enum cv_h2_ids_rc rc = cv_h2_ids_note(&c->ids, f, true);

	if (rc == CV_H2_IDS_AGAIN)
		control_take(c);
	if (rc < CV_H2_IDS_ENDED || c->abuse)
		return;
	c->abuse = rc == CV_H2_IDS_ENDED ? "a frame for a stream that its sender has ended"
					 : "a stream's id is lower than the last";
	c->abuse_error = rc == CV_H2_IDS_ENDED ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR;
}

/* Every frame, also those that the library passes over without a word. */
static void frame_count(struct cv_rpc_conn *c, const struct cv_h2_frame *f)
{
	ids_check(c, f);
	switch (f->type) {
	case NGHTTP2_HEADERS: c->continuations = 0; break;
	case NGHTTP2_RST_STREAM: break; /* counted below, when it meant a stream */
	case NGHTTP2_DATA:              /* nothing, or perhaps nothing but padding */
		if ((!f->length && !(f->flags & NGHTTP2_FLAG_END_STREAM)) ||
			(f->flags & NGHTTP2_FLAG_PADDED))
			control_take(c);
		break;
	case NGHTTP2_CONTINUATION:
		control_take(c);
		if (++c->continuations > CV_RPC_CONTINUATIONS_MAX && !c->abuse)
			c->abuse = "too many CONTINUATION frames";
		break;
	default: control_take(c); break;
	}
}

/* ---- what nghttp2 tells ---- */

static struct cv_rpc_xchg *xchg_of(nghttp2_session *s, int32_t id)
{
	return id > 0 ? nghttp2_session_get_stream_user_data(s, id) : NULL;
}

static int headers_begin(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct cv_rpc_conn *c = user;
	struct cv_rpc_xchg *x;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	x = cv_rpc_xchg_new(c, frame->hd.stream_id);
	if (!x)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* which resets the stream */
	nghttp2_session_set_stream_user_data(s, frame->hd.stream_id, x);
	return 0;
}

static int header_add(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
	struct cv_rpc_xchg *x = xchg_of(s, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (x && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		cv_rpc_xchg_field(x, (struct cv_str){ (const char *)name, name_n },
			(struct cv_str){ (const char *)value, value_n });
	return 0; /* trailers of a request mean nothing to us */
}

static void head_take(struct cv_rpc_xchg *x)
{
	x->method = cv_rpc_xchg_get(x, ":method");
	x->host = cv_rpc_xchg_get(x, ":authority");
	if (!x->host.n)
		x->host = cv_rpc_xchg_get(x, "host");
	cv_rpc_xchg_target(x, cv_rpc_xchg_get(x, ":path"));
	x->is_head_done = true;
	cv_rpc_due(x);
}

static int frame_take(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct cv_rpc_conn *c = user;
	struct cv_rpc_xchg *x = xchg_of(s, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_RST_STREAM)
		reset_take(c);
	if (!x || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		head_take(x);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		x->is_in_ended = true;
		cv_rpc_due(x);
	}
	return 0;
}

static int data_take(
	nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *user)
{
	struct cv_rpc_conn *c = user;
	struct cv_rpc_xchg *x = xchg_of(s, id);

	(void)flags;
	control_earn(c);
	if (!x ||
		x->is_out_ended) { /* nobody reads it: only the connection's window is given back */
		nghttp2_session_consume_connection(s, n);
		return 0;
	}
	x->unconsumed += n;
	x->owed += n;
	if (!cv_rpc_xchg_data(x, (struct cv_str){ (const char *)data, n }))
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
	return 0;
}

/* Ours that the peer's own faults brought about. */
static bool is_fault(uint32_t error)
{
	return error == NGHTTP2_PROTOCOL_ERROR || error == NGHTTP2_FLOW_CONTROL_ERROR ||
	       error == NGHTTP2_STREAM_CLOSED || error == NGHTTP2_FRAME_SIZE_ERROR ||
	       error == NGHTTP2_REFUSED_STREAM;
}

static int frame_sent(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct cv_rpc_conn *c = user;
	const int32_t id = frame->hd.stream_id;
	const bool has_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
	struct cv_rpc_xchg *x;

	if (frame->hd.type == NGHTTP2_DATA && frame->hd.length)
		control_earn(c);
	if (frame->hd.type == NGHTTP2_RST_STREAM && is_fault(frame->rst_stream.error_code))
		reset_take(c);
	if (!has_end || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		nghttp2_session_get_stream_remote_close(s, id) != 0)
		return 0;
	/* The answer is complete: what the client still sends, nobody reads (RFC 9113 8.1).  Clients
	 * of gRPC expect a reset.  Some of HTTP lose the answer over it (curl 7), so they have a
	 * moment to see it first. */
	x = xchg_of(s, id);
	if (!x || x->kind == CV_RPC_XCHG_CALL)
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	else
		x->answered_ms = c->server->config.loop->now_ms;
	return 0;
}

static int stream_closed(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
	struct cv_rpc_conn *c = user;
	struct cv_rpc_xchg *x = xchg_of(s, id);

	(void)error;
	if (!x)
		return 0;
	if (x->owed)
		nghttp2_session_consume_connection(c->h2, x->owed);
	cv_rpc_xchg_detach(x);
	return 0;
}

/* ---- sessions ---- */

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
	nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_closed);
	return c;
}

static bool session_make(struct cv_rpc_conn *c)
{
	nghttp2_session_callbacks *callbacks = callbacks_make();
	nghttp2_option *o = NULL;
	int failed = -1;

	if (callbacks && nghttp2_option_new(&o) == 0) {
		nghttp2_option_set_no_auto_window_update(o, 1);
		nghttp2_option_set_no_closed_streams(o, 1);
		nghttp2_option_set_max_outbound_ack(o, CV_RPC_ACKS_MAX);
		failed = nghttp2_session_server_new2(&c->h2, callbacks, c, o);
	}
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(callbacks);
	if (failed)
		c->h2 = NULL;
	return failed == 0;
}

bool cv_rpc_h2_start(struct cv_rpc_conn *c)
{
	const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, CV_RPC_STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CV_RPC_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CV_RPC_HEAD_BYTES_MAX },
	};

	c->scan.left = CV_H2_PREFACE_BYTES;
	return session_make(c) &&
	       nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, ours, CV_ARRAY_LEN(ours)) == 0 &&
	       nghttp2_session_set_local_window_size(
		       c->h2, NGHTTP2_FLAG_NONE, 0, CV_RPC_CONNECTION_WINDOW) == 0;
}

void cv_rpc_h2_receive(struct cv_rpc_conn *c, struct cv_str bytes)
{
	struct cv_str rest = bytes;
	struct cv_h2_frame f;

	if (c->is_ending)
		return;
	while (cv_h2_scan_next(&c->scan, &rest, &f))
		frame_count(c, &f);
	if (!c->abuse && nghttp2_session_mem_recv(c->h2, (const uint8_t *)bytes.p, bytes.n) < 0)
		c->is_ending = true; /* it has queued what it wants to say */
}

size_t cv_rpc_h2_fill(struct cv_rpc_conn *c, char *to, size_t room)
{
	const size_t frame = CV_RPC_PIECE_BYTES + 9; /* nghttp2 gives one at a time */
	size_t have = 0;

	if (c->abuse && !c->is_ending) {
		cv_rpc_h2_goaway(c, c->abuse_error ? c->abuse_error : NGHTTP2_ENHANCE_YOUR_CALM);
		c->is_ending = true;
	}
	while (room - have >= frame) {
		const uint8_t *piece;
		const ssize_t n = nghttp2_session_mem_send(c->h2, &piece);

		if (n < 0 || (size_t)n > room - have)
			c->is_broken = true;
		if (n <= 0 || c->is_broken)
			break;
		memcpy(to + have, piece, (size_t)n);
		have += (size_t)n;
	}
	return have;
}

bool cv_rpc_h2_wants_write(const struct cv_rpc_conn *c)
{
	return c->h2 && nghttp2_session_want_write(c->h2);
}

static void answered_sweep(struct cv_rpc_xchg *x, int64_t now)
{
	if (now - x->answered_ms < CV_RPC_LINGER_MS && x->discarded < CV_RPC_DISCARDED_BYTES_MAX)
		return;
	x->answered_ms = 0;
	cv_rpc_h2_reset(x, NGHTTP2_NO_ERROR);
	cv_rpc_dirty(x->conn);
}

void cv_rpc_h2_sweep(struct cv_rpc_conn *c, int64_t now)
{
	for (struct cv_rpc_xchg *x = c->xchgs; x; x = x->next)
		if (x->answered_ms)
			answered_sweep(x, now);
		else if (!x->is_in_ended && now - x->read_ms >= CV_RPC_BODY_MS)
			cv_rpc_xchg_late(x);
}

void cv_rpc_h2_ping(struct cv_rpc_conn *c)
{
	nghttp2_submit_ping(c->h2, NGHTTP2_FLAG_NONE, NULL);
}

void cv_rpc_h2_goaway(struct cv_rpc_conn *c, uint32_t error)
{
	nghttp2_submit_goaway(c->h2, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(c->h2), error, NULL, 0);
}

/* ---- answers ---- */

static nghttp2_nv nv_of(struct cv_str name, struct cv_str value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name.p,
		.namelen = name.n,
		.value = (uint8_t *)(uintptr_t)value.p,
		.valuelen = value.n,
	};
}

static bool trailers_submit(struct cv_rpc_xchg *x)
{
	struct cv_rpc_field f[CV_RPC_TRAILERS_MAX + 2];
	nghttp2_nv nv[CV_RPC_TRAILERS_MAX + 2];
	const size_t n = cv_rpc_grpc_trailers(x, f);

	for (size_t i = 0; i < n; i++)
		nv[i] = nv_of(f[i].name, f[i].value);
	return nghttp2_submit_trailer(x->conn->h2, x->id, nv, n) == 0;
}

static ssize_t body_read(nghttp2_session *s, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	struct cv_rpc_xchg *x = source->ptr;
	const struct cv_str have = cv_buf_str(&x->out);
	const size_t n = CV_MIN(have.n, room);

	(void)s;
	(void)id;
	(void)user;
	if (!n && !x->is_out_ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n) {
		memcpy(to, have.p, n);
		cv_buf_skip(&x->out, n);
	}
	if (n == have.n && x->is_out_ended) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (x->has_trailers && trailers_submit(x))
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	cv_rpc_xchg_sent(x);
	return (ssize_t)n;
}

#define HEAD_FIELDS_MAX (CV_RPC_FIELDS_MAX + 2) /* of an answer: another server's, and ours */

void cv_rpc_h2_head(struct cv_rpc_xchg *x, int status, const struct cv_rpc_field *fields,
	size_t count, bool has_body)
{
	const nghttp2_data_provider body = { .source.ptr = x, .read_callback = body_read };
	const char digits[3] = { (char)('0' + status / 100), (char)('0' + status / 10 % 10),
		(char)('0' + status % 10) };
	nghttp2_nv nv[HEAD_FIELDS_MAX];
	size_t n = 0;

	nv[n++] = nv_of(CV_STR(":status"), (struct cv_str){ digits, sizeof(digits) });
	for (size_t i = 0; i < count && n < HEAD_FIELDS_MAX - 1; i++)
		nv[n++] = nv_of(fields[i].name, fields[i].value);
	nv[n++] = nv_of(CV_STR("x-request-id"), cv_str_of(x->request_id));
	if (nghttp2_submit_response(x->conn->h2, x->id, nv, n, has_body ? &body : NULL) != 0)
		cv_rpc_h2_reset(x, NGHTTP2_INTERNAL_ERROR);
}

void cv_rpc_h2_resume(struct cv_rpc_xchg *x)
{
	(void)nghttp2_session_resume_data(x->conn->h2, x->id); /* not deferred: nothing to do */
}

void cv_rpc_h2_consume(struct cv_rpc_xchg *x, size_t n)
{
	const size_t owed = CV_MIN(n, x->owed);

	x->owed -= owed;
	if (!x->conn)
		return;
	nghttp2_session_consume_stream(x->conn->h2, x->id, n);
	nghttp2_session_consume_connection(x->conn->h2, owed);
}

void cv_rpc_h2_lend(struct cv_rpc_xchg *x)
{
	if (!x->conn || !x->owed)
		return;
	nghttp2_session_consume_connection(x->conn->h2, x->owed);
	x->owed = 0;
	cv_rpc_dirty(x->conn);
}

void cv_rpc_h2_reset(struct cv_rpc_xchg *x, uint32_t error)
{
	if (x->conn)
		nghttp2_submit_rst_stream(x->conn->h2, NGHTTP2_FLAG_NONE, x->id, error);
}
