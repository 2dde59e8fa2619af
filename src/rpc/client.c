/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - the connection of a client; see client.h and client_int.h
 *
 * A turn:  read -> nghttp2 notes -> streams call back -> nghttp2 makes frames -> write -> reap.
 * A server that is none of HTTP/2 is known by its first bytes, before nghttp2 sees them: the first
 * frame has to be SETTINGS (RFC 9113 section 3.4), and the sentence should say what answered
 * instead.
 */
#include "rpc/client_int.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_BYTES       16384 /* a record of TLS */
#define READS_PER_TURN   16    /* then others have their turn */
#define FRAME_HEAD_BYTES 9
#define FRAME_SETTINGS   4

/* ---- what nghttp2 tells ---- */

static struct cv_rpc_stream *stream_of(nghttp2_session *session, int32_t id)
{
	struct cv_rpc_stream *s = nghttp2_session_get_stream_user_data(session, id);

	return s && !s->is_gone ? s : NULL;
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct cv_rpc_stream *s = stream_of(session, frame->hd.stream_id);

	(void)flags, (void)arg;
	if (s)
		cv_rpc_stream_header(s, (struct cv_str){ (const char *)name, name_n },
			(struct cv_str){ (const char *)value, value_n });
	return 0;
}

static int data_came(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t n, void *arg)
{
	struct cv_rpc_stream *s = stream_of(session, id);

	(void)flags, (void)arg;
	/* the connection's window opens at once, so that a held stream stops nobody else */
	nghttp2_session_consume_connection(session, n);
	if (s)
		cv_rpc_stream_received(s, (struct cv_str){ (const char *)data, n });
	else
		nghttp2_session_consume_stream(session, id, n);
	return 0;
}

static int stream_closed(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct cv_rpc_stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)arg;
	if (s) {
		s->is_closed = true;
		s->close_code = code;
	}
	return 0;
}

static int frame_came(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct cv_rpc_client *c = arg;

	if (frame->hd.stream_id && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
		(frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
		struct cv_rpc_stream *s = stream_of(session, frame->hd.stream_id);

		if (s) /* whether or not we are done, the answer is whole */
			s->is_closed = true;
	}
	if (frame->hd.type == NGHTTP2_SETTINGS)
		c->has_settings = true;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		c->has_goaway = true;
		c->goaway_code = frame->goaway.error_code;
		snprintf(c->goaway_said, sizeof(c->goaway_said), "%.*s",
			(int)CV_MIN(frame->goaway.opaque_data_len, sizeof(c->goaway_said)),
			frame->goaway.opaque_data ? (const char *)frame->goaway.opaque_data : "");
	}
	return 0;
}

static cv_code session_make(struct cv_rpc_client *c)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CV_RPC_CLIENT_WINDOW_BYTES },
	};
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int rc = nghttp2_session_callbacks_new(&cb);

	if (!rc)
		rc = nghttp2_option_new(&option);
	if (!rc) {
		nghttp2_session_callbacks_set_on_header_callback(cb, header_came);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, data_came);
		nghttp2_session_callbacks_set_on_stream_close_callback(cb, stream_closed);
		nghttp2_session_callbacks_set_on_frame_recv_callback(cb, frame_came);
		nghttp2_option_set_no_auto_window_update(option, 1);
		rc = nghttp2_session_client_new2(&c->session, cb, c, option);
	}
	if (!rc)
		rc = nghttp2_submit_settings(
			c->session, NGHTTP2_FLAG_NONE, settings, CV_ARRAY_LEN(settings));
	if (!rc)
		rc = nghttp2_session_set_local_window_size(
			c->session, NGHTTP2_FLAG_NONE, 0, CV_RPC_CLIENT_ALL_WINDOW_BYTES);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	return rc ? CV_LIMIT : CV_OK;
}

/* ---- open and close ---- */

static cv_code bearer_take(struct cv_rpc_client *c, const char *bearer, struct cv_err *err)
{
	const size_t n = bearer ? strlen(bearer) : 0;

	if (!n)
		return CV_OK;
	if (n > CV_RPC_CLIENT_BEARER_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "the token is longer than %d bytes",
			CV_RPC_CLIENT_BEARER_BYTES_MAX);
	for (size_t i = 0; i < n; i++)
		if (bearer[i] <= ' ' || bearer[i] > '~')
			return cv_fail(err, CV_INVALID,
				"the token has a byte that no token has: is the file what it should be?");
	c->authorization = malloc(n + sizeof("Bearer "));
	if (!c->authorization)
		return cv_fail(err, CV_LIMIT, "no memory");
	memcpy(c->authorization, "Bearer ", sizeof("Bearer "));
	memcpy(c->authorization + sizeof("Bearer ") - 1, bearer, n + 1);
	return CV_OK;
}

cv_code cv_rpc_client_open(const struct cv_rpc_endpoint *e, int timeout_ms,
	struct cv_rpc_client **ret, struct cv_err *err)
{
	struct cv_rpc_client *c = calloc(1, sizeof(*c));

	if (!c)
		return cv_fail(err, CV_LIMIT, "no memory");
	c->d.fd = -1;
	cv_buf_init(&c->wire, CV_RPC_CLIENT_WIRE_BYTES_MAX);
	cv_code code = bearer_take(c, e->bearer, err);
	if (code == CV_OK)
		code = cv_rpc_dial(e, timeout_ms, &c->d, err);
	if (code == CV_OK && session_make(c) != CV_OK)
		code = cv_fail(err, CV_LIMIT, "no memory");
	if (code != CV_OK) {
		cv_rpc_client_close(c);
		return code;
	}
	c->is_https = c->d.ssl != NULL;
	*ret = c;
	return CV_OK;
}

static void reap(struct cv_rpc_client *c, bool is_all)
{
	struct cv_rpc_stream *next;

	for (struct cv_rpc_stream *s = c->streams; s; s = next) {
		next = s->next;
		if (s->is_gone || is_all)
			cv_rpc_stream_free(s);
	}
}

/* ---- a turn ---- */

static void lose(struct cv_rpc_client *c, cv_code code, const char *sentence)
{
	if (c->is_lost)
		return;
	c->is_lost = true;
	(void)cv_fail(&c->lost, code, "%s", sentence);
	for (struct cv_rpc_stream *s = c->streams; s; s = s->next)
		s->is_closed = true;
}

/* NULL: it may be HTTP/2. */
static const char *not_h2(struct cv_str first)
{
	const uint8_t *p = (const uint8_t *)first.p;

	if (cv_str_has_prefix(first, CV_STR("HTTP/")))
		return "answers in HTTP/1: it is not an HTTP/2 server";
	if (first.n >= 3 && (p[0] == 0x15 || p[0] == 0x16) && p[1] == 3 && p[2] <= 4)
		return "speaks TLS: is it https:// instead of http://?";
	if (first.n >= 4 && p[3] != FRAME_SETTINGS)
		return "is not an HTTP/2 server";
	return NULL;
}

static void lose_as_no_server(struct cv_rpc_client *c, const char *what)
{
	struct cv_err err;

	(void)cv_fail(&err, CV_UNAVAILABLE, "%s %s", c->d.where, what);
	lose(c, CV_UNAVAILABLE, err.msg);
}

static void bytes_came(struct cv_rpc_client *c, struct cv_str s)
{
	const char *what = c->has_settings ? NULL : not_h2(s);

	if (what) {
		lose_as_no_server(c, what);
		return;
	}
	const ssize_t n = nghttp2_session_mem_recv(c->session, (const uint8_t *)s.p, s.n);
	if (n < 0)
		lose_as_no_server(c, n == NGHTTP2_ERR_NOMEM ? "sent more than there is memory for"
							    : "broke the rules of HTTP/2");
}

static void read_all(struct cv_rpc_client *c)
{
	char piece[READ_BYTES];
	struct cv_err err;
	size_t n;

	c->has_more_to_read = false;
	for (int i = 0; i < READS_PER_TURN && !c->is_lost; i++) {
		cv_code code = cv_rpc_dialled_read(&c->d, piece, sizeof(piece), &n, &err);

		if (code != CV_OK && !c->has_settings)
			code = cv_rpc_dialled_why(&c->d, &err);
		if (code != CV_OK)
			lose(c, code, err.msg);
		if (code != CV_OK || !n)
			return;
		bytes_came(c, (struct cv_str){ piece, n });
	}
	c->has_more_to_read = true;
}

/* Frames, as many as fit. */
static void wire_fill(struct cv_rpc_client *c)
{
	const uint8_t *data;
	ssize_t n;

	while (cv_buf_len(&c->wire) < CV_RPC_CLIENT_WIRE_BYTES_MAX / 2 &&
		(n = nghttp2_session_mem_send(c->session, &data)) != 0) {
		if (n < 0 ||
			!cv_buf_put(&c->wire, (struct cv_str){ (const char *)data, (size_t)n })) {
			lose(c, CV_LIMIT, "no memory for HTTP/2");
			return;
		}
	}
}

static void write_all(struct cv_rpc_client *c)
{
	struct cv_err err;
	size_t n;

	while (!c->is_lost) {
		wire_fill(c);
		if (c->is_lost || !cv_buf_len(&c->wire))
			return;
		const cv_code code = cv_rpc_dialled_write(&c->d, cv_buf_str(&c->wire), &n, &err);
		if (code != CV_OK) {
			/* what the server said before it closed tells more than EPIPE: read on */
			read_all(c);
			lose(c, code, err.msg);
			return;
		}
		if (!n)
			return;
		cv_buf_skip(&c->wire, n);
	}
}

static void step_all(struct cv_rpc_client *c)
{
	for (struct cv_rpc_stream *s = c->streams; s; s = s->next)
		cv_rpc_stream_step(s);
}

cv_code cv_rpc_client_turn(struct cv_rpc_client *c, struct cv_err *err)
{
	read_all(c);
	step_all(c);
	reap(c, false); /* which resets what was cancelled */
	write_all(c);
	if (!c->is_lost && !nghttp2_session_want_read(c->session) &&
		!nghttp2_session_want_write(c->session) && !cv_buf_len(&c->wire)) {
		struct cv_err why;

		if (c->has_goaway && c->goaway_code != NGHTTP2_NO_ERROR)
			(void)cv_fail(&why, CV_UNAVAILABLE, "%s ended the connection: %s%s%s",
				c->d.where, nghttp2_http2_strerror(c->goaway_code),
				c->goaway_said[0] ? ", " : "", c->goaway_said);
		else
			(void)cv_fail(&why, CV_UNAVAILABLE, "%s %s", c->d.where,
				c->has_goaway     ? "ended the connection"
				: c->has_settings ? "broke the rules of HTTP/2"
						  : "is not an HTTP/2 server");
		lose(c, CV_UNAVAILABLE, why.msg);
	}
	step_all(c);
	reap(c, false);
	return c->is_lost ? cv_fail(err, c->lost.code, "%s", c->lost.msg) : CV_OK;
}

/* What is queued, and that it was all: if it goes at once. */
static void farewell(struct cv_rpc_client *c)
{
	if (!c->session || c->is_lost)
		return;
	if (nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR) == 0)
		write_all(c);
}

void cv_rpc_client_close(struct cv_rpc_client *c)
{
	if (!c)
		return;
	reap(c, true);
	farewell(c);
	nghttp2_session_del(c->session);
	cv_rpc_dialled_close(&c->d);
	cv_buf_fini(&c->wire);
	if (c->authorization)
		explicit_bzero(c->authorization, strlen(c->authorization));
	free(c->authorization);
	free(c);
}

void cv_rpc_client_field(struct cv_rpc_client *c, const char *name, const char *value)
{
	c->field_name = name;
	c->field_value = value;
}

int cv_rpc_client_fd(const struct cv_rpc_client *c)
{
	return c->d.fd;
}

short cv_rpc_client_interest(const struct cv_rpc_client *c)
{
	short events = POLLIN;

	if (cv_buf_len(&c->wire) ? !c->d.wants_read : nghttp2_session_want_write(c->session))
		events |= POLLOUT;
	if (c->has_more_to_read || c->is_lost || c->d.wants_write)
		events |= POLLOUT; /* a turn, soon */
	for (const struct cv_rpc_stream *s = c->streams; s && !(events & POLLOUT); s = s->next)
		if (cv_rpc_stream_has_work(s))
			events |= POLLOUT;
	return events;
}
