/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest.c - requests of HTTP as calls; see rest.h
 *
 * Who asks: the page asks for a user (health and the description for nobody), and the route's method
 * for the rest, by its own rule.  A page of a browser is a user too when its machine is trusted by a
 * certificate or by being local, so a request that another site caused is refused, and a body
 * must say that it is JSON, which no other site can say without being allowed to (CORS).
 */
#include "rpc/rest.h"

#include "base/assert.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "rpc/call_int.h"
#include "rpc/grpc_text.h"
#include "rpc/json.h"
#include "rpc/server_int.h"
#include "wire/query.h"

#include <stdio.h>

#define JSON_BYTES_MAX    (32u << 20) /* of one message: base64 and names make it larger than packed */
#define OPENAPI_BYTES_MAX (4u << 20)
#define NO_STORE          "cache-control: no-store\r\n"

struct rest {
	struct cv_rpc_call call;
	struct cv_rpc_request *request;
	bool is_stream, is_started;
	struct cv_buf answer; /* of a unary call, until it finishes */
};

/* ---- the carrier ---- */

static void stream_start(struct rest *x)
{
	x->is_started = true;
	cv_rpc_respond_start(x->request, 200, "text/event-stream", NO_STORE);
}

static bool event_send(struct rest *x, const char *name, struct cv_str data)
{
	if (!x->is_started)
		stream_start(x);
	(void)cv_rpc_respond_piece(x->request, CV_STR("event: "));
	(void)cv_rpc_respond_piece(x->request, cv_str_of(name));
	(void)cv_rpc_respond_piece(x->request, CV_STR("\ndata: "));
	(void)cv_rpc_respond_piece(x->request, data);
	return cv_rpc_respond_piece(x->request, CV_STR("\n\n"));
}

static bool rest_send(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct rest *x = c->carried;

	cv_buf_reset(&x->answer);
	if (!cv_rpc_json_write(&x->answer, m)) {
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "the answer is too large for JSON");
		return true;
	}
	return x->is_stream ? event_send(x, "message", cv_buf_str(&x->answer)) : true;
}

static void stream_finish(struct rest *x)
{
	const struct cv_rpc_call *c = &x->call;
	const char *name = c->status == CV_RPC_OK ? "end" : "error";

	cv_buf_reset(&x->answer);
	cv_buf_printf(&x->answer, "{\"code\":%d,\"status\":\"%s\"", cv_rpc_status_http(c->status),
		cv_rpc_status_name(c->status));
	if (c->status_message.n) {
		cv_buf_put_byte(&x->answer, ',');
		cv_buf_put_json_member(&x->answer, "message", c->status_message);
	}
	cv_buf_put_byte(&x->answer, '}');
	(void)event_send(x, name, cv_buf_str(&x->answer));
	cv_rpc_respond_end(x->request);
}

static void rest_finish(struct cv_rpc_call *c)
{
	struct rest *x = c->carried;

	if (x->is_stream && (x->is_started || c->status == CV_RPC_OK))
		stream_finish(x);
	else if (c->status != CV_RPC_OK)
		cv_rpc_respond_error(x->request, c->status, "%.*s", CV_STR_ARG(c->status_message));
	else {
		cv_buf_put_byte(&x->answer, '\n');
		cv_rpc_respond(
			x->request, 200, "application/json", NO_STORE, cv_buf_str(&x->answer));
	}
}

static struct cv_str rest_metadata(const struct cv_rpc_call *c, const char *name)
{
	const struct rest *x = c->carried;

	return cv_rpc_request_header(x->request, name);
}

static const struct cv_rpc_carrier carrier = {
	.send = rest_send,
	.finish = rest_finish,
	.metadata = rest_metadata,
};

/* ---- the request as a message ---- */

/* %XX decoded; false: malformed, no text, or no memory. */
static bool part_decode(struct cv_str raw, struct cv_arena *a, struct cv_str *ret)
{
	struct cv_str copy = cv_arena_str(a, raw);
	char *p = (char *)(uintptr_t)copy.p;
	size_t n = 0;

	if (!p)
		return false;
	for (size_t i = 0; i < raw.n; i++) {
		if (raw.p[i] != '%') {
			p[n++] = raw.p[i];
			continue;
		}
		const int high = i + 2 < raw.n ? cv_hex_digit(raw.p[i + 1]) : -1;
		const int low = high >= 0 ? cv_hex_digit(raw.p[i + 2]) : -1;
		if (low < 0)
			return false;
		p[n++] = (char)(high << 4 | low);
		i += 2;
	}
	*ret = (struct cv_str){ p, n };
	return cv_utf8_is_valid(*ret);
}

/* "provider.metadata.name": the messages on the way are made if they are not there. */
static cv_code field_set(ProtobufCMessage *m, struct cv_str name, struct cv_str word,
	struct cv_arena *a, struct cv_err *err)
{
	for (size_t dot; (dot = cv_str_find_byte(name, '.')) < name.n;) {
		const ProtobufCFieldDescriptor *f =
			cv_rpc_json_field(m->descriptor, cv_str_slice(name, 0, dot));

		if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE ||
			f->label == PROTOBUF_C_LABEL_REPEATED ||
			(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
			return cv_fail(err, CV_NOT_FOUND, "there is no parameter \"%.*s\"",
				CV_STR_ARG(name));
		const ProtobufCMessageDescriptor *type = f->descriptor;
		ProtobufCMessage **in = (ProtobufCMessage **)(void *)((char *)m + f->offset);
		if (!*in) {
			ProtobufCMessage *made = cv_arena_alloc(a, type->sizeof_message);
			if (!made)
				return cv_fail(err, CV_LIMIT, "the message is too large");
			protobuf_c_message_init(type, made);
			*in = made;
		}
		m = *in;
		name = cv_str_slice(name, dot + 1, name.n);
	}
	return cv_rpc_json_set(m, name, word, a, err);
}

static cv_code query_set(
	ProtobufCMessage *m, struct cv_str query, struct cv_arena *a, struct cv_err *err)
{
	struct cv_query q;
	struct cv_query_pair pair;
	enum cv_query_step step;

	cv_query_start(&q, query.n ? query : CV_STR_NONE, a);
	while ((step = cv_query_next(&q, &pair)) == CV_QUERY_PAIR) {
		const cv_code code = field_set(m, pair.key, pair.value, a, err);
		if (code != CV_OK)
			return code;
	}
	if (step == CV_QUERY_MALFORMED)
		return cv_fail(err, CV_INVALID, "the query is malformed");
	return CV_OK;
}

static bool is_json(struct cv_str type)
{
	return cv_str_eq_nocase(cv_str_trim(cv_str_slice(type, 0, cv_str_find_byte(type, ';'))),
		CV_STR("application/json"));
}

static cv_code message_make(struct cv_rpc_request *r, const struct cv_rpc_route_match *match,
	ProtobufCMessage **ret, struct cv_err *err)
{
	struct cv_arena *a = cv_rpc_request_arena(r);
	const struct cv_str body = cv_rpc_request_body(r);
	ProtobufCMessage *m = NULL;
	struct cv_str word;

	if (body.n && !is_json(cv_rpc_request_header(r, "content-type")))
		return cv_fail(err, CV_INVALID, "the body's content-type must be application/json");
	cv_code code = cv_rpc_json_read(match->route->in, body.n ? body : CV_STR("{}"), a, &m, err);
	for (size_t i = 0; code == CV_OK && i < match->param_count; i++) {
		if (!part_decode(match->param[i].raw, a, &word))
			return cv_fail(err, CV_INVALID, "the path is malformed at \"%.*s\"",
				CV_STR_ARG(match->param[i].name));
		code = field_set(m, match->param[i].name, word, a, err);
	}
	if (code == CV_OK)
		code = query_set(m, cv_rpc_request_query(r), a, err);
	if (code == CV_OK)
		*ret = m;
	return code;
}

/* ---- serving ---- */

/* What browsers say about a request that another site's page caused. */
static bool is_cross_site(const struct cv_rpc_request *r)
{
	const struct cv_str site = cv_rpc_request_header(r, "sec-fetch-site");
	struct cv_str origin = cv_rpc_request_header(r, "origin");

	if (cv_str_eq(site, CV_STR("cross-site")) || cv_str_eq(site, CV_STR("same-site")))
		return true;
	if (!origin.n)
		return false;
	if (cv_str_has_prefix(origin, CV_STR("https://")))
		origin = cv_str_slice(origin, 8, origin.n);
	else if (cv_str_has_prefix(origin, CV_STR("http://")))
		origin = cv_str_slice(origin, 7, origin.n);
	return !cv_str_eq_nocase(origin, cv_rpc_request_host(r));
}

/* Request-Timeout: whole seconds; grpc-timeout: as in gRPC.  *ret 0: no deadline. */
static cv_code deadline_read(const struct cv_rpc_request *r, int64_t *ret, struct cv_err *err)
{
	const struct cv_str seconds = cv_rpc_request_header(r, "request-timeout");
	const struct cv_str grpc = cv_rpc_request_header(r, "grpc-timeout");
	const struct cv_rpc_server *s = cv_rpc_request_server(r);
	uint64_t n = 0;
	int64_t ms = 0;

	*ret = 0;
	if (!seconds.n && !grpc.n)
		return CV_OK;
	if (seconds.n && !cv_str_to_u64(seconds, CV_RPC_TIMEOUT_S_MAX, &n))
		return cv_fail(err, CV_INVALID,
			"Request-Timeout must be a number of seconds, at most %d",
			CV_RPC_TIMEOUT_S_MAX);
	if (!seconds.n && !cv_rpc_timeout_parse(grpc, &ms))
		return cv_fail(err, CV_INVALID, "grpc-timeout is malformed");
	ms = seconds.n ? (int64_t)n * 1000 : ms;
	*ret = s->config.loop->now_ms + CV_MAX(ms, 1);
	return CV_OK;
}

static bool is_head(const struct cv_rpc_request *r)
{
	return cv_str_eq(cv_rpc_request_method(r), CV_STR("HEAD"));
}

/* Of a stream: nothing would ever be its end. */
static void head_only(struct cv_rpc_request *r)
{
	cv_rpc_respond_start(r, 200, "text/event-stream", NO_STORE);
	cv_rpc_respond_end(r);
}

static void call_run(struct cv_rpc_request *r, const struct cv_rpc_route_match *match,
	const struct cv_rpc_method *method, const ProtobufCMessage *m, int64_t deadline_ms)
{
	struct rest *x = cv_arena_new(cv_rpc_request_arena(r), struct rest);

	if (!x) {
		cv_rpc_respond_error(r, CV_RPC_RESOURCE_EXHAUSTED, "no memory for the call");
		return;
	}
	cv_buf_init(&x->answer, JSON_BYTES_MAX);
	x->request = r;
	x->is_stream = match->route->is_stream;
	x->call = (struct cv_rpc_call){
		.carrier = &carrier,
		.carried = x,
		.server = cv_rpc_request_server(r),
		.method = method,
		.who = cv_rpc_request_principal(r),
		.id = cv_rpc_request_id(r),
		.arena = cv_rpc_request_arena(r),
		.route = match->route,
		.deadline_ms = deadline_ms,
	};
	cv_rpc_request_set_state(r, x);
	cv_rpc_call_begin(&x->call);
	if (cv_rpc_call_message(&x->call, m))
		cv_rpc_call_half_close(&x->call);
	if (x->is_stream && !x->is_started && !x->call.is_finished)
		stream_start(x); /* the first event may be long in coming */
}

static void serve(struct cv_rpc_request *r)
{
	struct cv_rpc_route_match match;
	struct cv_err err;
	ProtobufCMessage *m;
	int64_t deadline_ms;
	bool has_path;

	if (!cv_rpc_route_find(
		    cv_rpc_request_method(r), cv_rpc_request_path(r), &match, &has_path)) {
		char allow[CV_RPC_ALLOW_BYTES_MAX];

		cv_rpc_request_set_route(r, "/v1/");
		cv_rpc_route_allow(cv_rpc_request_path(r), allow);
		if (has_path)
			cv_rpc_respond_not_allowed(r, allow);
		else
			cv_rpc_respond_error(r, CV_RPC_NOT_FOUND, "there is no such path");
		return;
	}
	cv_rpc_request_set_route(r, match.route->path);
	if (is_cross_site(r)) {
		cv_rpc_respond_error(
			r, CV_RPC_PERMISSION_DENIED, "a page of another site caused this request");
		return;
	}
	const struct cv_rpc_method *method = cv_rpc_method_find(cv_rpc_request_server(r),
		cv_str_of(match.route->service), cv_str_of(match.route->rpc));
	if (!method) {
		cv_rpc_respond_error(
			r, CV_RPC_UNIMPLEMENTED, "%s is not served here", match.route->rpc);
		return;
	}
	const enum cv_rpc_status s =
		cv_rpc_may_call(&method->rule, cv_rpc_request_principal(r), &err);
	if (s != CV_RPC_OK) {
		cv_rpc_respond_error(r, s, "%s", err.msg);
		return;
	}
	cv_code code = deadline_read(r, &deadline_ms, &err);
	if (code == CV_OK)
		code = message_make(r, &match, &m, &err);
	if (code == CV_OK && match.route->is_stream && is_head(r))
		head_only(r);
	else if (code == CV_OK)
		call_run(r, &match, method, m, deadline_ms);
	else
		cv_rpc_respond_error(r,
			code == CV_LIMIT ? CV_RPC_RESOURCE_EXHAUSTED : CV_RPC_INVALID_ARGUMENT,
			"%s", err.msg);
}

static void writable(struct cv_rpc_request *r)
{
	struct rest *x = cv_rpc_request_state(r);

	if (x)
		cv_rpc_call_writable(&x->call);
}

static void closed(struct cv_rpc_request *r)
{
	struct rest *x = cv_rpc_request_state(r);

	if (!x)
		return;
	cv_rpc_call_over(&x->call);
	cv_buf_wipe(&x->answer);
}

static void openapi(struct cv_rpc_request *r)
{
	struct cv_buf b;

	cv_buf_init(&b, OPENAPI_BYTES_MAX);
	if (cv_rpc_rest_openapi(&b))
		cv_rpc_respond(r, 200, "application/json", NULL, cv_buf_str(&b));
	else
		cv_rpc_respond_error(r, CV_RPC_INTERNAL, "no memory for the description");
	cv_buf_fini(&b);
}

#define NOBODY                                                    \
	{                                                         \
		CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE \
	}
#define A_USER                                           \
	{                                                \
		CV_RPC_AUTH_BEARER, "", CV_RPC_ROLE_NONE \
	}

const struct cv_rpc_page cv_rpc_rest_pages[] = {
	{ "GET", "/openapi.json", NOBODY, openapi, NULL, NULL },
	{ "GET", "/v1/health", NOBODY, serve, writable, closed },
	{ "GET POST PUT PATCH DELETE", "/v1/", A_USER, serve, writable, closed },
};
const size_t cv_rpc_rest_page_count = CV_ARRAY_LEN(cv_rpc_rest_pages);
