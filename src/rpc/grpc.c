/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.c - an exchange as a call of gRPC (doc/PROTOCOL-HTTP2.md of grpc)
 *
 *     request   POST /service/method, then messages: 1 byte compressed, 4 bytes length, the message
 *     response  200, messages, trailers with grpc-status; or all in one head: "trailers only"
 *
 * What came is looked at when the exchange runs, never in the library's callbacks.  A message's length
 * is judged before its bytes are waited for.  The one message of a unary call is handed over when the
 * client has said that there is no second.
 *
 * A stream's head goes out as soon as its first message was taken, since clients may wait for it
 * before they send on.
 */
#include "rpc/server_int.h"

#include "base/assert.h"
#include "rpc/dialect.h"
#include "rpc/grpc_text.h"
#include "rpc/nest.h"

static struct cv_rpc_xchg *xchg_of(const struct cv_rpc_call *c)
{
	return c->carried;
}

/* application/grpc, with +proto, with parameters; not grpc-web, not +json. */
bool cv_rpc_is_grpc(struct cv_str type)
{
	type = cv_str_trim(cv_str_slice(type, 0, cv_str_find_byte(type, ';')));
	return cv_str_eq_nocase(type, CV_STR("application/grpc")) ||
	       cv_str_eq_nocase(type, CV_STR("application/grpc+proto"));
}

/* ---- the carrier ---- */

static const struct cv_rpc_field head_fields[] = {
	{ { "content-type", 12 }, { "application/grpc", 16 } },
};

static void head_send(struct cv_rpc_xchg *x)
{
	if (!x->is_head_sent)
		cv_rpc_xchg_head(x, 200, head_fields, CV_ARRAY_LEN(head_fields), true);
}

/* As its client knows the message. */
static bool older_write(struct cv_buf *out, const ProtobufCMessage *m)
{
	const size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t head[CV_RPC_FRAME_HEAD_BYTES];
	struct cv_buf now, then;

	cv_buf_init(&now, n + 1);
	cv_buf_init(&then, 2 * n + 4096);
	char *const to = cv_buf_reserve(&now, n + 1);
	bool is_good = to && n <= UINT32_MAX / 4;
	if (is_good) {
		protobuf_c_message_pack(m, (uint8_t *)to);
		is_good = cv_dialect_answer(m->descriptor->name, (struct cv_str){ to, n }, &then);
	}
	if (is_good) {
		cv_rpc_frame_head_write((uint32_t)cv_buf_len(&then), head);
		is_good = cv_buf_put(out, (struct cv_str){ (const char *)head, sizeof(head) }) &&
			  cv_buf_put(out, cv_buf_str(&then));
	}
	cv_buf_fini(&now);
	cv_buf_fini(&then);
	return is_good;
}

static bool message_write(struct cv_rpc_xchg *x, const ProtobufCMessage *m)
{
	return x->call.is_older ? older_write(&x->out, m) : cv_rpc_frame_write(&x->out, m);
}

static bool grpc_send(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct cv_rpc_xchg *x = xchg_of(c);

	if (x->server->held > CV_RPC_HELD_BYTES_MAX || !message_write(x, m)) {
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED,
			"the answer is larger than what may wait for its client");
		return true;
	}
	head_send(x);
	cv_rpc_xchg_wake(x);
	x->is_full = cv_buf_len(&x->out) >= CV_RPC_QUEUED_BYTES_MAX;
	return !x->is_full;
}

/* Without memory: a status must always get through. */
#define DIGITS(name, grpc, http) [CV_RPC_##name] = #grpc,
static const char *const digits_of[CV_RPC_STATUS_COUNT] = { CV_RPC_STATUSES(DIGITS) };
#undef DIGITS

size_t cv_rpc_grpc_trailers(
	struct cv_rpc_xchg *x, struct cv_rpc_field ret[static CV_RPC_TRAILERS_MAX + 2])
{
	const struct cv_rpc_call *c = &x->call;
	size_t n = 0;

	ret[n++] = (struct cv_rpc_field){ CV_STR("grpc-status"), cv_str_of(digits_of[c->status]) };
	if (c->status_message.n) {
		struct cv_buf text;

		cv_buf_init(&text, 3 * CV_RPC_STATUS_BYTES_MAX);
		cv_rpc_percent_encode(&text, c->status_message);
		const struct cv_str coded = cv_arena_str(&x->arena, cv_buf_str(&text));

		if (coded.p)
			ret[n++] = (struct cv_rpc_field){ CV_STR("grpc-message"), coded };
		cv_buf_fini(&text);
	}
	for (size_t i = 0; i < c->trailer_count; i++)
		ret[n++] = c->trailers[i];
	return n;
}

static void grpc_finish(struct cv_rpc_call *c)
{
	struct cv_rpc_xchg *x = xchg_of(c);
	struct cv_rpc_field f[CV_RPC_TRAILERS_MAX + 3] = { head_fields[0] };

	cv_rpc_due(x);
	if (x->call.is_older && c->status == CV_RPC_NOT_FOUND && !x->is_head_sent &&
		cv_dialect_may_lack(c->method->name)) {
		static const char nothing[CV_RPC_FRAME_HEAD_BYTES]; /* deleted = false */

		c->status = CV_RPC_OK;
		c->status_message = CV_STR_NONE;
		cv_buf_put(&x->out, (struct cv_str){ nothing, sizeof(nothing) });
		head_send(x);
	}
	x->is_out_ended = true;
	if (x->is_head_sent) {
		x->has_trailers = true;
		cv_rpc_xchg_wake(x);
		return;
	}
	cv_rpc_xchg_head(x, 200, f, 1 + cv_rpc_grpc_trailers(x, f + 1), false);
}

static void grpc_hold(struct cv_rpc_call *c)
{
	if (!c->is_held)
		cv_rpc_due(xchg_of(c));
}

static struct cv_str grpc_metadata(const struct cv_rpc_call *c, const char *name)
{
	return cv_rpc_xchg_get(xchg_of(c), name);
}

const struct cv_rpc_carrier cv_rpc_grpc_carrier = {
	.send = grpc_send,
	.finish = grpc_finish,
	.hold = grpc_hold,
	.metadata = grpc_metadata,
};

/* ---- the head ---- */

static void call_fill(struct cv_rpc_xchg *x, const struct cv_rpc_method *m)
{
	x->kind = CV_RPC_XCHG_CALL;
	x->call = (struct cv_rpc_call){
		.carrier = &cv_rpc_grpc_carrier,
		.carried = x,
		.server = x->server,
		.method = m,
		.who = &x->who,
		.id = x->request_id,
		.arena = &x->arena,
		.is_older = x->conn && x->conn->is_older,
	};
	x->frames.bytes_max = cv_rpc_xchg_bytes_max(&m->rule);
}

void cv_rpc_grpc_begin(struct cv_rpc_xchg *x, const struct cv_rpc_method *m)
{
	struct cv_err err = { 0 };
	enum cv_rpc_status s;
	int64_t ms = 0;
	const struct cv_str timeout = cv_rpc_xchg_get(x, "grpc-timeout");

	call_fill(x, m);
	if (timeout.n && !cv_rpc_timeout_parse(timeout, &ms)) {
		cv_rpc_call_begin(&x->call);
		cv_rpc_finish(&x->call, CV_RPC_INTERNAL, "grpc-timeout is malformed");
		return;
	}
	if (timeout.n)
		x->call.deadline_ms = x->server->config.loop->now_ms + CV_MAX(ms, 1);
	cv_rpc_call_begin(&x->call);
	if (x->server->is_draining) {
		cv_rpc_finish(&x->call, CV_RPC_UNAVAILABLE, "the gateway is being stopped");
		return;
	}
	s = cv_rpc_xchg_judge(x, &m->rule, &err);
	if (s != CV_RPC_OK)
		cv_rpc_finish(&x->call, s, "%s", err.msg);
	else if (!m->handler.message)
		cv_rpc_finish(&x->call, CV_RPC_UNIMPLEMENTED, "%s",
			m->why ? m->why : "this method is not served here");
}

void cv_rpc_grpc_unknown(struct cv_rpc_xchg *x)
{
	const struct cv_rpc_field f[] = {
		head_fields[0],
		{ CV_STR("grpc-status"), cv_str_of(digits_of[CV_RPC_UNIMPLEMENTED]) },
		{ CV_STR("grpc-message"), CV_STR("unknown service or method") },
	};

	x->kind = CV_RPC_XCHG_OVER;
	cv_rpc_xchg_head(x, 200, f, CV_ARRAY_LEN(f), false);
}

/* ---- messages ---- */

static void compressed_refuse(struct cv_rpc_xchg *x)
{
	const struct cv_str coding = cv_rpc_xchg_get(x, "grpc-encoding");

	if (!coding.n || cv_str_eq(coding, CV_STR("identity"))) {
		cv_rpc_finish(&x->call, CV_RPC_INTERNAL,
			"a message is flagged as compressed, and grpc-encoding names no coding");
		return;
	}
	cv_rpc_trailer(&x->call, "grpc-accept-encoding", "identity");
	cv_rpc_finish(&x->call, CV_RPC_UNIMPLEMENTED,
		"messages compressed with %.*s are not read here; only identity is",
		CV_STR_ARG(coding));
}

static bool is_single(const struct cv_rpc_call *c)
{
	return c->method->kind == CV_RPC_UNARY || c->method->kind == CV_RPC_SERVER_STREAM;
}

static void unpack_failed(struct cv_rpc_call *c, cv_code code, const struct cv_err *err)
{
	cv_rpc_finish(c, code == CV_LIMIT ? CV_RPC_RESOURCE_EXHAUSTED : CV_RPC_INVALID_ARGUMENT,
		"%s", err->msg);
}

/* The one message of a unary call stays, and waits for the end of the request; one of many goes
 * when the handler returns. */
static void message_take(struct cv_rpc_xchg *x, struct cv_str bytes)
{
	struct cv_rpc_call *c = &x->call;
	struct cv_arena *a = is_single(c) ? &x->message : &x->server->message;
	ProtobufCMessage *m = NULL;
	const char *bad;
	struct cv_buf translated;
	struct cv_err err;
	cv_code code;

	if (x->request) {
		cv_rpc_finish(c, CV_RPC_INTERNAL, "more than one message of the client");
		return;
	}
	cv_buf_init(&translated, 2 * CV_RPC_MESSAGE_BYTES_MAX);
	if (x->call.is_older && cv_dialect_request(c->method->in->name, bytes, &translated))
		bytes = cv_buf_str(&translated); /* else it is refused as what it is */
	code = cv_rpc_unpack(c->method->in, bytes, a, &m, &err);
	/* A line of a log may hold anything: one NUL is no reason to lose all lines to come. */
	bad = code == CV_OK && c->method->kind != CV_RPC_CLIENT_STREAM
		      ? cv_rpc_nest_bad_text(c->method->in, bytes)
		      : NULL;
	if (code != CV_OK)
		unpack_failed(c, code, &err);
	else if (bad)
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT,
			"%s contains a NUL, or bytes that are no UTF-8", bad);
	else if (is_single(c))
		x->request = m;
	else
		(void)cv_rpc_call_message(c, m);
	if (!is_single(c))
		cv_arena_reset(a);
	cv_buf_wipe(&translated);
}

/* True when there may be another message. */
static bool frame_run(struct cv_rpc_xchg *x)
{
	const struct cv_str all = cv_buf_str(&x->in);
	struct cv_str rest = all, message;
	const enum cv_rpc_frame_event e = cv_rpc_frame_next(&x->frames, &rest, &message);

	switch (e) {
	case CV_RPC_FRAME_MORE: break;
	case CV_RPC_FRAME_COMPRESSED: compressed_refuse(x); break;
	case CV_RPC_FRAME_BAD:
		cv_rpc_finish(&x->call, CV_RPC_INTERNAL, "a message has an unknown flag");
		break;
	case CV_RPC_FRAME_LARGE:
		cv_rpc_finish(&x->call, CV_RPC_OUT_OF_RANGE,
			"message length too large: found %u bytes, the limit is: %u bytes",
			x->frames.announced, x->frames.bytes_max);
		break;
	case CV_RPC_FRAME_NO_MEMORY:
		cv_rpc_finish(&x->call, CV_RPC_RESOURCE_EXHAUSTED, "out of memory");
		break;
	case CV_RPC_FRAME_MESSAGE: message_take(x, message); break;
	}
	cv_buf_skip(&x->in, all.n - rest.n);
	return e == CV_RPC_FRAME_MESSAGE && !x->call.is_finished && !x->call.is_held;
}

static void end_run(struct cv_rpc_xchg *x)
{
	struct cv_rpc_call *c = &x->call;

	if (!cv_rpc_frame_reader_is_whole(&x->frames))
		cv_rpc_finish(c, CV_RPC_INTERNAL, "the stream ended inside a message");
	else if (is_single(c) && !x->request)
		cv_rpc_finish(c, CV_RPC_INTERNAL, "the call has no message");
	else if (!c->is_half_closed && (!is_single(c) || cv_rpc_call_message(c, x->request)))
		cv_rpc_call_half_close(c);
}

static void messages_run(struct cv_rpc_xchg *x)
{
	struct cv_rpc_call *c = &x->call;

	if (x->server->held > CV_RPC_HELD_BYTES_MAX) {
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "too much is being received");
		return;
	}
	while (frame_run(x))
		;
	if (x->is_in_ended && !c->is_finished && !c->is_held)
		end_run(x);
}

void cv_rpc_grpc_run(struct cv_rpc_xchg *x)
{
	struct cv_rpc_call *c = &x->call;

	if (x->wants_writable) {
		x->wants_writable = false;
		cv_rpc_call_writable(c);
	}
	if (!c->is_finished && !c->is_held)
		messages_run(x);
	if (c->method->kind != CV_RPC_UNARY && !c->is_finished &&
		(c->is_seen || c->method->kind != CV_RPC_SERVER_STREAM))
		head_send(x);
}
