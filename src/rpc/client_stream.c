/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_stream.c - calls of a client; see client_int.h
 *
 * How a call ended, in this order: the server's grpc-status; the loss of the connection; the
 * stream's reset; an answer that is no gRPC at all (a proxy's page, another server).  The mappings
 * are those of gRPC (doc/PROTOCOL-HTTP2.md, doc/http-grpc-status-mapping.md).
 */
#include "rpc/client_int.h"

#include "base/assert.h"
#include "base/hex.h"
#include "rpc/nest.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_BYTES 16 /* eight digits and a unit */

/* ---- what came ---- */

/* Percent-decoded (doc/PROTOCOL-HTTP2.md: Status-Message); what does not fit is cut. */
static void text_decode(struct cv_str s, char *to, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n + 1 < size; i++) {
		const int high = s.p[i] == '%' && i + 2 < s.n ? cv_hex_digit(s.p[i + 1]) : -1;
		const int low = high >= 0 ? cv_hex_digit(s.p[i + 2]) : -1;

		to[n++] = low >= 0 ? (char)(high << 4 | low) : s.p[i];
		i += low >= 0 ? 2 : 0;
	}
	to[n] = 0;
}

void cv_rpc_stream_header(struct cv_rpc_stream *s, struct cv_str name, struct cv_str value)
{
	uint64_t n;

	if (cv_str_eq(name, CV_STR(":status")) && cv_str_to_u64(value, 999, &n)) {
		s->http_status = (int)n;
	} else if (cv_str_eq(name, CV_STR("content-type"))) {
		s->is_grpc = cv_str_has_prefix(value, CV_STR("application/grpc"));
		snprintf(s->content_type, sizeof(s->content_type), "%.*s", CV_STR_ARG(value));
	} else if (cv_str_eq(name, CV_STR("grpc-status"))) {
		s->has_grpc_status = true;
		s->status = cv_str_to_u64(value, CV_RPC_STATUS_COUNT - 1, &n)
				    ? (enum cv_rpc_status)n
				    : CV_RPC_UNKNOWN;
	} else if (cv_str_eq(name, CV_STR("grpc-message"))) {
		text_decode(value, s->text, sizeof(s->text));
	}
}

void cv_rpc_stream_received(struct cv_rpc_stream *s, struct cv_str data)
{
	(void)cv_buf_put(
		&s->received, data); /* flow control keeps it within; want of memory: step */
}

/* ---- how it ended ---- */

static enum cv_rpc_status status_of_http(int http)
{
	switch (http) {
	case 400: return CV_RPC_INTERNAL;
	case 401: return CV_RPC_UNAUTHENTICATED;
	case 403: return CV_RPC_PERMISSION_DENIED;
	case 404: return CV_RPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504: return CV_RPC_UNAVAILABLE;
	default: return CV_RPC_UNKNOWN;
	}
}

static enum cv_rpc_status status_of_reset(uint32_t code)
{
	switch (code) {
	case NGHTTP2_REFUSED_STREAM: return CV_RPC_UNAVAILABLE;
	case NGHTTP2_CANCEL: return CV_RPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM: return CV_RPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY: return CV_RPC_PERMISSION_DENIED;
	default: return CV_RPC_INTERNAL;
	}
}

/* The caller is told, once, and s is gone. */
static void end(struct cv_rpc_stream *s, enum cv_rpc_status status, const char *text)
{
	s->is_gone = true;
	s->events.ended(s->arg, status, text);
}

CV_PRINTF(3, 4)
static void end_saying(struct cv_rpc_stream *s, enum cv_rpc_status status, const char *fmt, ...)
{
	char text[CV_ERR_MSG_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	end(s, status, text);
}

static void end_unsaid(struct cv_rpc_stream *s)
{
	const struct cv_rpc_client *c = s->c;

	if (c->is_lost)
		end(s, c->lost.code == CV_DENIED ? CV_RPC_UNAUTHENTICATED : CV_RPC_UNAVAILABLE,
			c->lost.msg);
	else if (s->close_code && c->has_goaway && s->close_code == NGHTTP2_REFUSED_STREAM)
		end_saying(s, CV_RPC_UNAVAILABLE, "%s is going away%s%s", c->d.where,
			c->goaway_said[0] ? ": " : "", c->goaway_said);
	else if (s->close_code)
		end_saying(s, status_of_reset(s->close_code), "%s broke the call off: %s",
			c->d.where, nghttp2_http2_strerror(s->close_code));
	else if (s->http_status != 200)
		end_saying(s, status_of_http(s->http_status), "%s answered HTTP %d, not gRPC",
			c->d.where, s->http_status);
	else if (!s->is_grpc)
		end_saying(s, CV_RPC_UNKNOWN, "%s answered with %s, not gRPC", c->d.where,
			s->content_type[0] ? s->content_type : "something without a type");
	else
		end_saying(s, CV_RPC_INTERNAL, "%s ended the call without a status", c->d.where);
}

static void conclude(struct cv_rpc_stream *s)
{
	if (!s->has_grpc_status)
		end_unsaid(s);
	else if (s->status == CV_RPC_OK && !cv_rpc_frame_reader_is_whole(&s->reader))
		end_saying(
			s, CV_RPC_INTERNAL, "%s ended in the middle of a message", s->c->d.where);
	else
		end(s, s->status, s->text);
}

/* ---- calling back ---- */

static void frame_refused(struct cv_rpc_stream *s, enum cv_rpc_frame_event e)
{
	if (e == CV_RPC_FRAME_LARGE)
		end_saying(s, CV_RPC_RESOURCE_EXHAUSTED,
			"%s sent a message of %u bytes; %u is the most", s->c->d.where,
			s->reader.announced, s->reader.bytes_max);
	else if (e == CV_RPC_FRAME_NO_MEMORY)
		end(s, CV_RPC_RESOURCE_EXHAUSTED, "no memory for a message");
	else
		end_saying(s, CV_RPC_INTERNAL, "%s sent %s", s->c->d.where,
			e == CV_RPC_FRAME_COMPRESSED
				? "a compressed message, which nobody asked for"
				: "bytes that are no gRPC message");
}

/* The next message of what was received. */
static void deliver(struct cv_rpc_stream *s)
{
	struct cv_str in = cv_buf_str(&s->received), bytes;
	ProtobufCMessage *m = NULL;
	const size_t before = in.n;
	const enum cv_rpc_frame_event e = cv_rpc_frame_next(&s->reader, &in, &bytes);

	if (e == CV_RPC_FRAME_MESSAGE && cv_rpc_nest_is_safe(s->out, bytes))
		m = protobuf_c_message_unpack(s->out, NULL, bytes.n, (const uint8_t *)bytes.p);
	cv_buf_skip(&s->received, before - in.n);
	nghttp2_session_consume_stream(s->c->session, s->id, before - in.n);
	if (m)
		s->events.message(s->arg, m);
	else if (e == CV_RPC_FRAME_MESSAGE)
		end_saying(s, CV_RPC_INTERNAL, "%s sent bytes that are no %s", s->c->d.where,
			s->out->name);
	else if (e != CV_RPC_FRAME_MORE)
		frame_refused(s, e);
}

static bool is_writable_again(const struct cv_rpc_stream *s)
{
	return s->was_full && cv_buf_len(&s->queued) < CV_RPC_CLIENT_QUEUED_BYTES_MAX / 2;
}

static bool can_deliver(const struct cv_rpc_stream *s)
{
	return cv_buf_len(&s->received) && !s->is_held;
}

static bool can_conclude(const struct cv_rpc_stream *s)
{
	return s->is_closed && !cv_buf_len(&s->received);
}

bool cv_rpc_stream_has_work(const struct cv_rpc_stream *s)
{
	return s->is_gone || is_writable_again(s) || can_deliver(s) || can_conclude(s) ||
	       s->received.is_overflown || s->queued.is_overflown;
}

void cv_rpc_stream_step(struct cv_rpc_stream *s)
{
	if (!s->is_gone && is_writable_again(s) && !s->is_closed) {
		s->was_full = false;
		if (s->events.writable)
			s->events.writable(s->arg);
	}
	if (!s->is_gone && s->received.is_overflown)
		end(s, CV_RPC_RESOURCE_EXHAUSTED, "no memory for what the server sent");
	if (!s->is_gone && s->queued.is_overflown)
		end(s, CV_RPC_RESOURCE_EXHAUSTED, "more was sent than may wait");
	while (!s->is_gone && can_deliver(s)) {
		if (!s->is_grpc)
			end_unsaid(s);
		else
			deliver(s);
	}
	if (!s->is_gone && can_conclude(s))
		conclude(s);
}

/* ---- towards the server ---- */

static ssize_t pull(nghttp2_session *session, int32_t id, uint8_t *to, size_t n,
	uint32_t *ret_flags, nghttp2_data_source *source, void *arg)
{
	struct cv_rpc_stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)source, (void)arg;
	if (!s || s->is_gone)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	const struct cv_str part = cv_str_slice(cv_buf_str(&s->queued), 0, n);
	if (part.n)
		memcpy(to, part.p, part.n);
	cv_buf_skip(&s->queued, part.n);
	if (!cv_buf_len(&s->queued) && s->is_half_closed) {
		*ret_flags |= NGHTTP2_DATA_FLAG_EOF;
	} else if (!part.n) {
		s->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)part.n;
}

static void resume(struct cv_rpc_stream *s)
{
	if (!s->is_deferred)
		return;
	s->is_deferred = false;
	(void)nghttp2_session_resume_data(s->c->session, s->id);
}

bool cv_rpc_stream_send(struct cv_rpc_stream *s, const ProtobufCMessage *m)
{
	if (s->is_gone || s->is_closed || s->is_half_closed)
		return true;                     /* it goes nowhere; ended() comes or came */
	(void)cv_rpc_frame_write(&s->queued, m); /* too much: step() ends the call */
	resume(s);
	s->was_full |= cv_buf_len(&s->queued) >= CV_RPC_CLIENT_QUEUED_BYTES_MAX;
	return !s->was_full;
}

void cv_rpc_stream_half_close(struct cv_rpc_stream *s)
{
	s->is_half_closed = true;
	resume(s);
}

void cv_rpc_stream_hold(struct cv_rpc_stream *s, bool is_held)
{
	s->is_held = is_held;
}

void cv_rpc_stream_cancel(struct cv_rpc_stream *s)
{
	s->is_gone = true; /* the reset goes when it is freed */
}

void cv_rpc_stream_free(struct cv_rpc_stream *s)
{
	struct cv_rpc_client *c = s->c;

	/* ours is still open: the server need not work for nobody */
	if (!c->is_lost && nghttp2_session_get_stream_local_close(c->session, s->id) >= 0 &&
		(!s->is_closed || !s->is_half_closed || cv_buf_len(&s->queued)))
		(void)nghttp2_submit_rst_stream(
			c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
	(void)nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
	*(s->prev ? &s->prev->next : &c->streams) = s->next;
	if (s->next)
		s->next->prev = s->prev;
	cv_rpc_frame_reader_fini(&s->reader);
	cv_buf_wipe(&s->queued); /* values of credentials go this way */
	cv_buf_fini(&s->received);
	free(s);
}

/* ---- opening ---- */

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
	};
}

static void timeout_write(int timeout_ms, char text[TIMEOUT_BYTES])
{
	if (timeout_ms < 100000000) /* eight digits are the most */
		snprintf(text, TIMEOUT_BYTES, "%dm", timeout_ms);
	else
		snprintf(text, TIMEOUT_BYTES, "%dS", timeout_ms / 1000);
}

static int32_t request_submit(
	struct cv_rpc_client *c, struct cv_rpc_stream *s, const char *method, int timeout_ms)
{
	const nghttp2_data_provider provider = { .read_callback = pull };
	char timeout[TIMEOUT_BYTES];
	nghttp2_nv head[12];
	size_t n = 0;

	head[n++] = field(":method", "POST");
	head[n++] = field(":scheme", c->is_https ? "https" : "http");
	head[n++] = field(":path", method);
	head[n++] = field(":authority", c->d.where);
	head[n++] = field("te", "trailers");
	head[n++] = field("content-type", "application/grpc");
	head[n++] = field("user-agent", "cove/" CV_VERSION);
	if (timeout_ms > 0) {
		timeout_write(timeout_ms, timeout);
		head[n++] = field("grpc-timeout", timeout);
	}
	if (c->authorization) {
		head[n] = field("authorization", c->authorization);
		head[n++].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
	}
	if (c->field_value)
		head[n++] = field(c->field_name, c->field_value);
	cv_assert(n <= CV_ARRAY_LEN(head));
	return nghttp2_submit_request(c->session, NULL, head, n, &provider, s);
}

cv_code cv_rpc_stream_open_until(struct cv_rpc_client *c, const char *method,
	const ProtobufCMessageDescriptor *out, const struct cv_rpc_stream_events *events, void *arg,
	int timeout_ms, struct cv_rpc_stream **ret, struct cv_err *err)
{
	if (c->is_lost)
		return cv_fail(err, c->lost.code, "%s", c->lost.msg);
	if (!nghttp2_session_check_request_allowed(c->session))
		return cv_fail(err, CV_UNAVAILABLE, "%s is going away%s%s", c->d.where,
			c->goaway_said[0] ? ": " : "", c->goaway_said);
	struct cv_rpc_stream *s = calloc(1, sizeof(*s));
	if (!s)
		return cv_fail(err, CV_LIMIT, "no memory");
	s->c = c;
	s->out = out;
	s->events = *events;
	s->arg = arg;
	cv_buf_init(&s->queued, CV_RPC_CLIENT_OUT_BYTES_MAX);
	cv_buf_init(&s->received, CV_RPC_CLIENT_WINDOW_BYTES);
	cv_rpc_frame_reader_init(&s->reader, CV_RPC_REPLY_BYTES_MAX);
	s->id = request_submit(c, s, method, timeout_ms);
	if (s->id < 0) {
		const char *what = nghttp2_strerror(s->id);

		free(s);
		return cv_fail(err, CV_UNAVAILABLE, "%s: no further call: %s", c->d.where, what);
	}
	s->next = c->streams;
	if (s->next)
		s->next->prev = s;
	c->streams = s;
	*ret = s;
	return CV_OK;
}

cv_code cv_rpc_stream_open(struct cv_rpc_client *c, const char *method,
	const ProtobufCMessageDescriptor *out, const struct cv_rpc_stream_events *events, void *arg,
	struct cv_rpc_stream **ret, struct cv_err *err)
{
	return cv_rpc_stream_open_until(c, method, out, events, arg, 0, ret, err);
}
