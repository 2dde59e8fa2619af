/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xchg.c - one request and its answer, whichever protocol and whichever kind
 *
 * Life: made by the protocol when a head begins; judged when the head is there (a call, a page, or
 * refused); detached when its stream or connection is gone.  It is freed by its own run after that,
 * when the program has been told.  Between two runs nothing of it is on anybody's stack.
 *
 * Its memory is counted in the server's sum when it may have changed, after each run.
 */
#include "rpc/server_int.h"

#include "base/assert.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>

struct cv_rpc_xchg *cv_rpc_xchg_new(struct cv_rpc_conn *c, int32_t id)
{
	struct cv_rpc_xchg *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->server = c->server;
	x->conn = c;
	x->id = id;
	x->read_ms = c->server->config.loop->now_ms;
	cv_arena_init(&x->arena, CV_RPC_CALL_BYTES_MAX);
	cv_buf_init(&x->in, CV_RPC_MESSAGE_BYTES_MAX + CV_RPC_STREAM_WINDOW + CV_RPC_IO_BYTES);
	cv_arena_init(&x->message, CV_RPC_CALL_BYTES_MAX);
	cv_rpc_frame_reader_init(&x->frames, CV_RPC_MESSAGE_BYTES_MAX);
	cv_buf_init(&x->out, CV_RPC_OUT_BYTES_MAX);
	x->next = c->xchgs;
	if (c->xchgs)
		c->xchgs->prev = x;
	c->xchgs = x;
	c->xchg_count++;
	return x;
}

void cv_rpc_xchg_detach(struct cv_rpc_xchg *x)
{
	struct cv_rpc_conn *c = x->conn;

	if (!c)
		return;
	*(x->prev ? &x->prev->next : &c->xchgs) = x->next;
	if (x->next)
		x->next->prev = x->prev;
	c->xchg_count--;
	c->idle_ms = c->server->config.loop->now_ms;
	x->conn = NULL;
	cv_rpc_due(x);
}

static void xchg_free(struct cv_rpc_xchg *x)
{
	cv_assert(x->held <= x->server->held);
	x->server->held -= x->held;
	cv_arena_fini(&x->arena);
	cv_arena_fini(&x->message);
	cv_buf_fini(&x->in);
	cv_buf_fini(&x->out);
	cv_rpc_frame_reader_fini(&x->frames);
	free(x);
}

void cv_rpc_xchg_account(struct cv_rpc_xchg *x)
{
	const size_t held =
		x->arena.used + x->message.used + x->in.cap + x->frames.body.cap + x->out.cap;

	x->server->held += held - x->held;
	x->held = held;
}

/* ---- the request ---- */

bool cv_rpc_xchg_field(struct cv_rpc_xchg *x, struct cv_str name, struct cv_str value)
{
	x->head_bytes += name.n + value.n + CV_RPC_FIELD_OVERHEAD;
	if (x->head_bytes > CV_RPC_HEAD_BYTES_MAX || x->field_count == CV_RPC_FIELDS_MAX) {
		x->is_head_long = true;
		return false;
	}
	name = cv_arena_str(&x->arena, name);
	value = cv_arena_str(&x->arena, value);
	if (x->arena.is_overflown) {
		x->is_head_long = true;
		return false;
	}
	x->fields[x->field_count++] = (struct cv_rpc_field){ name, value };
	return true;
}

struct cv_str cv_rpc_xchg_get(const struct cv_rpc_xchg *x, const char *name)
{
	const struct cv_str wanted = cv_str_of(name);

	for (size_t i = 0; i < x->field_count; i++)
		if (cv_str_eq(x->fields[i].name, wanted))
			return x->fields[i].value;
	return CV_STR("");
}

void cv_rpc_xchg_target(struct cv_rpc_xchg *x, struct cv_str target)
{
	const size_t at = cv_str_find_byte(target, '?');

	x->path = cv_str_slice(target, 0, at);
	x->has_query = at < target.n;
	x->query = at < target.n ? cv_str_slice(target, at + 1, target.n) : CV_STR("");
}

bool cv_rpc_xchg_data(struct cv_rpc_xchg *x, struct cv_str bytes)
{
	x->read_ms = x->server->config.loop->now_ms;
	cv_rpc_due(x);
	return cv_buf_put(&x->in, bytes);
}

/* ---- who it is ---- */

static bool is_request_id(struct cv_str s)
{
	if (!s.n || s.n > CV_RPC_REQUEST_ID_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* The client's, or a UUID of version 4 (RFC 9562 section 5.4). */
void cv_rpc_xchg_identify(struct cv_rpc_xchg *x)
{
	static const char digits[] = "0123456789abcdef";
	const struct cv_str given = cv_rpc_xchg_get(x, "x-request-id");
	unsigned char r[16];
	char *to = x->request_id;

	if (x->request_id[0])
		return;
	if (is_request_id(given)) {
		memcpy(to, given.p, given.n);
		to[given.n] = '\0';
		return;
	}
	cv_rpc_random(x->server, r, sizeof(r));
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(r); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[r[i] >> 4];
		*to++ = digits[r[i] & 15];
	}
	*to = '\0';
}

static struct cv_str bearer_of(const struct cv_rpc_xchg *x)
{
	const struct cv_str a = cv_rpc_xchg_get(x, "authorization");
	const struct cv_str scheme = CV_STR("Bearer ");

	if (!cv_str_eq_nocase(cv_str_slice(a, 0, scheme.n), scheme))
		return CV_STR("");
	return cv_str_trim(cv_str_slice(a, scheme.n, a.n));
}

/* Of two of them none would be looked at, so they come as one that is no token. */
struct cv_str cv_rpc_xchg_assertion(const struct cv_rpc_xchg *x)
{
	struct cv_str found = CV_STR("");
	size_t n = 0;

	for (size_t i = 0; i < x->field_count; i++)
		if (cv_str_eq(x->fields[i].name, CV_STR("cf-access-jwt-assertion"))) {
			found = x->fields[i].value;
			n++;
		}
	if (n && (n > 1 || !found.n))
		return CV_STR("-");
	return found;
}

/* Who calls, and whether they may.  Nobody is asked for what is open to all. */
enum cv_rpc_status cv_rpc_xchg_judge(
	struct cv_rpc_xchg *x, const struct cv_rpc_rule *rule, struct cv_err *err)
{
	const struct cv_rpc_server_config *config = &x->server->config;
	const struct cv_rpc_presented given = {
		.certificate = x->conn->certificate,
		.bearer = bearer_of(x),
		.assertion = cv_rpc_xchg_assertion(x),
		.tunnel = x->conn->tunnel ? cv_buf_str(&x->conn->tunnel->proof) : CV_STR(""),
		.is_plaintext = !x->conn->ssl,
		.is_loopback = x->conn->is_loopback && !x->is_foreign,
	};
	enum cv_rpc_status s;

	if (rule->auth == CV_RPC_AUTH_UNAUTHENTICATED || !config->authenticate)
		return cv_rpc_may_call(rule, &x->who, err);
	s = config->authenticate(config->arg, &given, &x->who, err);
	if (s == CV_RPC_OK)
		s = cv_rpc_may_call(rule, &x->who, err);
	x->conn->is_known |= s == CV_RPC_OK;
	return s;
}

uint32_t cv_rpc_xchg_bytes_max(const struct cv_rpc_rule *rule)
{
	return rule->auth == CV_RPC_AUTH_UNAUTHENTICATED ? CV_RPC_STRANGER_BYTES_MAX
							 : CV_RPC_MESSAGE_BYTES_MAX;
}

/* ---- where it goes ---- */

static const struct cv_rpc_method *method_of(const struct cv_rpc_xchg *x)
{
	struct cv_str service = x->path;
	size_t at;

	if (!cv_str_has_prefix(service, CV_STR("/")))
		return NULL;
	service = cv_str_slice(service, 1, service.n);
	at = cv_str_find_byte(service, '/');
	if (at == service.n)
		return NULL;
	return cv_rpc_method_find(
		x->server, cv_str_slice(service, 0, at), cv_str_slice(service, at + 1, service.n));
}

/* A port for some pages has no calls, no other pages and no hosts of others. */
static bool is_served_here(const struct cv_rpc_xchg *x)
{
	const char *const *p = x->conn->paths;

	while (p && *p && !cv_str_eq(x->path, cv_str_of(*p)))
		p++;
	return !p || *p;
}

static void route(struct cv_rpc_xchg *x)
{
	const struct cv_str type = cv_rpc_xchg_get(x, "content-type");
	const struct cv_rpc_method *m = method_of(x);

	x->began_us = cv_clock_us();
	cv_rpc_xchg_identify(x);
	if (x->is_head_long) {
		cv_rpc_xchg_refuse(x, 431, "the head of the request is too large");
	} else if (!is_served_here(x)) {
		cv_rpc_xchg_refuse(x, 404, "there is no such path at this port");
	} else if (x->is_relay || cv_rpc_relay_claims(x->conn, x->host)) {
		cv_rpc_relay_begin(x);
	} else if (x->conn->is_clear) {
		cv_rpc_xchg_refuse(x, 400, "TLS is spoken here");
	} else if (m && !cv_str_eq(x->method, CV_STR("POST"))) {
		cv_rpc_xchg_refuse(x, 405, "a call is a POST");
	} else if (m && !cv_rpc_is_grpc(type)) {
		cv_rpc_xchg_refuse(x, 415, "the content-type of a call is application/grpc");
	} else if (cv_rpc_is_grpc(type) && x->id == 0) {
		cv_rpc_xchg_refuse(x, 505, "gRPC needs HTTP/2");
	} else if (m) {
		cv_rpc_grpc_begin(x, m);
	} else if (cv_rpc_is_grpc(type)) {
		cv_rpc_grpc_unknown(x);
	} else {
		cv_rpc_page_begin(x);
	}
}

/* Streams carry bytes, or are told what happened; what stores something has one answer. */
bool cv_rpc_xchg_may_write(const struct cv_rpc_xchg *x)
{
	const struct cv_rpc_method *m = NULL;

	if (!x->conn || x->is_relay || !x->is_head_done)
		return false;
	if (x->kind == CV_RPC_XCHG_CALL)
		m = x->call.is_finished ? NULL : x->call.method;
	else if (x->kind == CV_RPC_XCHG_NEW)
		m = method_of(x);
	if (m)
		return m->kind == CV_RPC_UNARY &&
		       (m->rule.auth == CV_RPC_AUTH_SANDBOX ||
			       cv_str_has_suffix(cv_str_of(m->rule.scope), CV_STR(":write")));
	return (x->kind == CV_RPC_XCHG_NEW || x->kind == CV_RPC_XCHG_PAGE) &&
	       !cv_str_eq(x->method, CV_STR("GET")) && !cv_str_eq(x->method, CV_STR("HEAD"));
}

/* ---- the answer ---- */

void cv_rpc_xchg_head(struct cv_rpc_xchg *x, int status, const struct cv_rpc_field *fields,
	size_t count, bool has_body)
{
	x->is_head_sent = true;
	if (!has_body)
		x->is_out_ended = true;
	if (!x->conn)
		return;
	if (x->id)
		cv_rpc_h2_head(x, status, fields, count, has_body);
	else
		cv_rpc_h1_head(x, status, fields, count, has_body);
	cv_rpc_dirty(x->conn);
}

void cv_rpc_xchg_requested(const struct cv_rpc_xchg *x, const char *route, int status)
{
	const struct cv_rpc_server_config *config = &x->server->config;

	if (config->requested)
		config->requested(
			config->arg, route, status, x->began_us ? cv_clock_us() - x->began_us : 0);
}

void cv_rpc_xchg_abort(struct cv_rpc_xchg *x)
{
	if (!x->conn)
		return;
	if (x->id)
		cv_rpc_h2_reset(x, NGHTTP2_INTERNAL_ERROR);
	else
		x->conn->is_broken = true;
	cv_rpc_dirty(x->conn);
}

/* Streams of a client may be silent; what is to be answered when all of it is there may not. */
void cv_rpc_xchg_late(struct cv_rpc_xchg *x)
{
	const bool is_call = x->kind == CV_RPC_XCHG_CALL;

	if (x->is_in_ended || x->is_out_ended || x->kind == CV_RPC_XCHG_RELAY ||
		(is_call && x->call.method->kind != CV_RPC_UNARY &&
			x->call.method->kind != CV_RPC_SERVER_STREAM))
		return;
	if (is_call)
		cv_rpc_finish(
			&x->call, CV_RPC_DEADLINE_EXCEEDED, "the message of the call has not come");
	else
		cv_rpc_xchg_abort(x);
}

void cv_rpc_xchg_wake(struct cv_rpc_xchg *x)
{
	cv_rpc_xchg_account(x);
	if (!x->conn)
		return;
	if (x->id)
		cv_rpc_h2_resume(x);
	cv_rpc_dirty(x->conn);
}

void cv_rpc_xchg_sent(struct cv_rpc_xchg *x)
{
	if (x->is_full && cv_buf_len(&x->out) <= CV_RPC_QUEUED_BYTES_MAX / 2) {
		x->is_full = false;
		x->wants_writable = true;
		cv_rpc_due(x);
	}
	if (cv_buf_len(&x->out) == 0)
		cv_buf_fini(&x->out);
}

/* ---- the run ---- */

static void input_run(struct cv_rpc_xchg *x)
{
	if (x->kind == CV_RPC_XCHG_NEW && x->is_head_done)
		route(x);
	if (x->kind == CV_RPC_XCHG_CALL)
		cv_rpc_grpc_run(x);
	else if (x->kind == CV_RPC_XCHG_PAGE)
		cv_rpc_page_run(x);
	else if (x->kind == CV_RPC_XCHG_RELAY)
		cv_rpc_relay_run(x);
	if (x->kind == CV_RPC_XCHG_OVER || x->is_out_ended)
		cv_buf_reset(&x->in); /* nobody reads it */
	if (x->unconsumed && !(x->kind == CV_RPC_XCHG_CALL && x->call.is_held) &&
		!(x->kind == CV_RPC_XCHG_RELAY && !x->is_out_ended)) {
		cv_rpc_h2_consume(x, x->unconsumed);
		x->unconsumed = 0;
		if (x->conn)
			cv_rpc_dirty(x->conn);
	}
	if (x->kind == CV_RPC_XCHG_CALL && x->call.is_held)
		cv_rpc_h2_lend(x);
	if (!cv_buf_len(&x->in) && x->in.cap > CV_RPC_IN_KEPT_BYTES)
		cv_buf_fini(&x->in);
}

void cv_rpc_xchg_run(struct cv_rpc_xchg *x)
{
	if (x->conn)
		input_run(x);
	if (x->kind == CV_RPC_XCHG_CALL && (!x->conn || x->call.is_finished))
		cv_rpc_call_over(&x->call);
	if (x->kind == CV_RPC_XCHG_PAGE && (!x->conn || x->page.is_ended))
		cv_rpc_page_over(x);
	if (x->kind == CV_RPC_XCHG_RELAY && (!x->conn || x->page.is_ended))
		cv_rpc_relay_over(x);
	if (x->conn)
		cv_rpc_xchg_account(x);
	else
		xchg_free(x);
}
