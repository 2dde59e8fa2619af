/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_invoke.c - `invoke`: one HTTP request to a port inside, its body on stdout
 *
 * Exit status: 0 for an answer below 400, 1 otherwise, 124 when none came in time.
 */
#include "client/commands.h"
#include "client/sandbox.h"
#include "sys/clock.h"

#include "wire/chunk.h"
#include "wire/h1.h"

#include <string.h>

#define BODY_BYTES_MAX    (64u << 20) /* that is sent */
#define PENDING_BYTES_MAX (4u << 20)  /* of the answer, between two turns */
#define TIMEOUT_DEFAULT_S 60u
#define FRAME_BYTES       (32u << 10)

struct answer {
	struct cl *c;
	struct cv_buf in;
	struct cv_chunk chunk;
	size_t scanned;
	uint64_t left;
	enum cv_h1_body body;
	enum cv_h1_asked asked;
	int status; /* 0: the head is not there yet */
	bool is_done;
};

static void head_read(struct answer *a)
{
	static struct cv_h1_response r; /* large */
	const struct cv_str all = cv_buf_str(&a->in);
	const enum cv_h1_rc rc =
		cv_h1_response_parse(all, CV_H1_REPLY_HEAD_BYTES_MAX, &a->scanned, a->asked, &r);

	if (rc == CV_H1_MORE)
		return;
	if (rc != CV_H1_OK)
		cl_die(a->c, "the answer is no HTTP: %s", cv_h1_rc_row(rc)->text);
	a->scanned = 0;
	if (r.status >= 200) {
		a->status = r.status;
		a->body = r.body;
		a->left = r.length;
		cv_chunk_init(&a->chunk);
		if (cl_has(&a->c->w, "include"))
			cl_write(a->c, cv_str_slice(all, 0, r.head_bytes));
	}
	cv_buf_skip(&a->in, r.head_bytes);
	if (!a->status)
		head_read(a); /* behind 100 Continue */
}

static void chunks_read(struct answer *a)
{
	struct cv_str in = cv_buf_str(&a->in), data;
	const size_t all = in.n;

	for (;;) {
		const enum cv_chunk_event e = cv_chunk_next(&a->chunk, &in, &data);

		if (e == CV_CHUNK_DATA)
			cl_write(a->c, data);
		else if (e == CV_CHUNK_BAD)
			cl_die(a->c, "the answer is no HTTP: %s",
				cv_chunk_rc_row(a->chunk.rc)->text);
		else {
			a->is_done = e == CV_CHUNK_DONE;
			break;
		}
	}
	cv_buf_skip(&a->in, all - in.n);
}

static void body_read(struct answer *a)
{
	const struct cv_str all = cv_buf_str(&a->in);
	size_t n = all.n;

	if (a->body == CV_H1_BODY_CHUNKED) {
		chunks_read(a);
		return;
	}
	if (a->body == CV_H1_BODY_NONE)
		n = 0;
	if (a->body == CV_H1_BODY_LENGTH)
		n = (size_t)CV_MIN(n, a->left);
	cl_write(a->c, cv_str_slice(all, 0, n));
	cv_buf_skip(&a->in, n);
	a->left -= a->body == CV_H1_BODY_LENGTH ? n : 0;
	a->is_done = a->body == CV_H1_BODY_NONE || (a->body == CV_H1_BODY_LENGTH && !a->left);
}

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Openshell__V1__TcpForwardFrame *f = (const Openshell__V1__TcpForwardFrame *)m;
	struct answer *a = st->arg;

	if (f->payload_case != OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA || a->is_done)
		return;
	cv_buf_put(&a->in, (struct cv_str){ (const char *)f->data.data, f->data.len });
	if (a->in.is_overflown)
		cl_die(a->c, "the answer is larger than this client reads at once");
	if (!a->status)
		head_read(a);
	if (a->status)
		body_read(a);
}

static struct cv_str body_given(struct cl *c)
{
	const char *data = cl_flag(&c->w, "data");

	if (!data)
		return CV_STR_NONE;
	if (strcmp(data, "-") == 0)
		return cl_file_read(c, "-", BODY_BYTES_MAX);
	return data[0] == '@' ? cl_file_read(c, data + 1, BODY_BYTES_MAX) : cv_str_of(data);
}

/* A word that goes into the head as it is. */
static const char *token(struct cl *c, const char *flag, const char *s)
{
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			cl_die_usage(
				c, "invalid value for '--%s': blanks and control characters", flag);
	return s;
}

static void request_put(struct cl *c, struct cv_buf *b, const char *method, uint32_t port)
{
	const char *path = cl_flag(&c->w, "path") ? cl_flag(&c->w, "path") : "/";
	const bool has_body = cl_has(&c->w, "data");
	const struct cv_str body = body_given(c);

	if (path[0] != '/')
		cl_die_usage(c, "invalid value '%s' for '--path <PATH>': expected a /", path);
	cv_buf_printf(b,
		"%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\nAccept: */*\r\n",
		token(c, "method", method), token(c, "path", path), port);
	for (size_t i = 0; i < cl_flag_count(&c->w, "header"); i++) {
		const char *h = cl_flag_at(&c->w, "header", i);
		struct cv_str value = cv_str_of(h);
		const struct cv_str name = cv_str_cut(&value, ':');

		if (!cv_h1_is_token(name) || !value.p || !cv_h1_is_field_value(cv_str_trim(value)))
			cl_die_usage(c, "invalid value for '--header <NAME: VALUE>'");
		cv_buf_printf(
			b, "%.*s: %.*s\r\n", CV_STR_ARG(name), CV_STR_ARG(cv_str_trim(value)));
	}
	if (has_body)
		cv_buf_printf(b, "Content-Length: %zu\r\n", body.n);
	cv_buf_put(b, CV_STR("\r\n"));
	cv_buf_put(b, body);
}

static void target_send(struct cl *c, struct cl_stream *st, const char *id, uint32_t port)
{
	Openshell__V1__TcpForwardInit init;
	Openshell__V1__TcpForwardFrame frame;
	Openshell__V1__TcpRelayTarget tcp;

	openshell__v1__tcp_relay_target__init(&tcp);
	tcp.host = cl_dup(c, "127.0.0.1");
	tcp.port = port;
	openshell__v1__tcp_forward_init__init(&init);
	init.sandbox_id = cl_dup(c, id);
	init.target_case = OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_TCP;
	init.tcp = &tcp;
	openshell__v1__tcp_forward_frame__init(&frame);
	frame.payload_case = OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_INIT;
	frame.init = &init;
	cl_stream_send(st, &frame.base);
}

static void bytes_send(struct cl_stream *st, struct cv_buf *b)
{
	Openshell__V1__TcpForwardFrame frame;
	uint8_t bytes[FRAME_BYTES];

	while (cv_buf_len(b) && !st->is_full && st->s) {
		const struct cv_str s = cv_buf_str(b);
		const size_t n = CV_MIN(s.n, sizeof(bytes));

		memcpy(bytes, s.p, n);
		openshell__v1__tcp_forward_frame__init(&frame);
		frame.payload_case = OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA;
		frame.data = (ProtobufCBinaryData){ n, bytes };
		cl_stream_send(st, &frame.base);
		cv_buf_skip(b, n);
	}
}

int cl_run_invoke(struct cl *c)
{
	const uint32_t port = cl_number(&c->w, "port", 0);
	const char *method = cl_flag(&c->w, "method");
	struct answer a = { .c = c };
	struct cl_stream st = { .on_message = saw, .arg = &a };
	struct cv_buf request;

	if (!port || port > 65535)
		cl_die_usage(c,
			"the following required arguments were not provided: --port <PORT>, "
			"from 1 to 65535");
	if (!method)
		method = cl_has(&c->w, "data") ? "POST" : "GET";
	if (strcmp(method, "HEAD") == 0)
		a.asked = CV_H1_ASKED_HEAD;
	cv_buf_init(&request, BODY_BYTES_MAX + (1u << 20));
	cv_buf_init(&a.in, PENDING_BYTES_MAX);
	request_put(c, &request, method, port);
	const int64_t end =
		cv_clock_ms() + (int64_t)cl_number(&c->w, "timeout", TIMEOUT_DEFAULT_S) * 1000;
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), true);
	cl_stream_open(
		c, &st, CL_METHOD(ForwardTcp), &openshell__v1__tcp_forward_frame__descriptor);
	target_send(c, &st, s->metadata->id, port);
	while (!a.is_done && !st.is_ended) {
		const int64_t left = end - cv_clock_ms();

		if (left <= 0) {
			cl_note(c, "Error: no answer in time");
			return CL_EXIT_TIMEOUT;
		}
		bytes_send(&st, &request);
		cl_turn(c, NULL, 0, (int)CV_MIN(left, 1 << 30));
	}
	if (st.is_ended && st.status != CV_RPC_OK && !a.is_done)
		cl_die_status(c, st.status, st.message);
	if (!a.is_done && (!a.status || a.body != CV_H1_BODY_CLOSE))
		cl_die(c, a.status ? "the answer is cut off" : "there was no answer");
	if (st.s)
		cv_rpc_stream_cancel(st.s);
	if (a.status >= 400 && !cl_has(&c->w, "include"))
		cl_note(c, "HTTP status %d", a.status);
	cv_buf_fini(&request);
	cv_buf_fini(&a.in);
	return a.status < 400 ? 0 : CL_EXIT_FAILED;
}
