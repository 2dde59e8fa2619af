/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_inference.c - https://inference.local: calls of models, by the run's routes
 *
 *     head -> BODY: kept, bounded -> a route is asked (local_call.c) -> WAIT: its response's head
 *       ^                                  |                               |
 *       |                                  +--- next route <--- no connection, 429, 5xx
 *       |                                                                  |
 *       one call for each connection                 PASS: the body, as it comes, counted
 *
 * The agent names any model and sends any key; the route's model is asked for, and the route's
 * credential is sent, as a placeholder that is replaced on the way like any other.  The body is kept
 * until a response passes, so that the next route can be asked the same.  Once a byte of a response
 * has passed there is no other route; nor when the request went by a kept connection that ended
 * without a word, since the server may have looked at it: that is not the route's failure, and not
 * sent twice.
 *
 * A route has its own time for an answer to begin, and for the silence between two pieces of a
 * whole one; a stream may be silent for CV_PROXY_CALL_IDLE_MS.
 *
 * Tokens are counted when a call ends, however it does: what the upstream said, or else what passed
 * (infer_usage.h).  Errors are OpenShell's (openshell-behaviour 7), with `error` as text.
 */
#include "proxy/local_inference.h"

#include "proxy/denial.h"
#include "wire/h1_write.h"

#include <stdlib.h>

#define JSON CV_STR("application/json")

/* ---- answers of our own ---- */

struct refusal {
	int status;
	const char *error, *code; /* code: for the audit */
};

static const struct refusal not_a_call = { 403, "connection not allowed by policy",
	"not_an_inference_call" };
static const struct refusal no_routes = { 503, "cluster inference is not configured",
	"inference_not_configured" };
static const struct refusal no_fit = { 400, "no compatible inference route available",
	"no_compatible_route" };
static const struct refusal too_large = { 413, "request body is too large", "body_too_large" };
static const struct refusal malformed = { 400, "request body is malformed", "body_malformed" };
static const struct refusal unauthorized = { 401, "unauthorized", "upstream_unauthorized" };
static const struct refusal unavailable = { 503, "inference service unavailable",
	"inference_unavailable" };
static const struct refusal broken = { 502, "inference service error", "inference_error" };

static void event_write(struct cv_proxy *p, struct cv_flow *f, enum cv_audit_action action,
	int status, const char *code, struct cv_str reason)
{
	const struct cv_fact fact = {
		.action = action,
		.request = &f->local->call->request,
		.path = cv_path_str(&f->local->call->path),
		.status = (uint16_t)status,
		.engine = "inference",
		.reason_code = code,
		.reason = reason,
	};

	cv_decide_record(p, f, &fact);
	f->is_allowed = false;
}

static bool refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct refusal *r, const char *detail)
{
	struct cv_buf body;

	event_write(p, f,
		r->status == 403 || r->status == 413 || r->status == 400 ? CV_AUDIT_ACTION_DENY
									 : CV_AUDIT_ACTION_NONE,
		r->status, r->code, cv_str_of(detail ? detail : r->error));
	cv_buf_init(&body, 1024);
	cv_buf_printf(&body, "{\"error\":\"%s\"", r->error);
	if (r == &no_routes)
		cv_buf_put(&body, CV_STR(",\"hint\":\"set a route: cove run --inference FILE, or "
					 "cove inference set\""));
	if (detail) {
		cv_buf_put(&body, CV_STR(",\"detail\":\""));
		cv_buf_put_json(&body, cv_str_of(detail));
		cv_buf_put_byte(&body, '"');
	}
	cv_buf_put_byte(&body, '}');
	cv_local_answer(p, f, r->status, JSON, cv_buf_str(&body), false);
	cv_buf_fini(&body);
	return true;
}

static bool budget_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_budget *over)
{
	struct cv_buf why, body;

	cv_buf_init(&why, 1024);
	cv_buf_init(&body, 4096);
	cv_budget_sentence_put(&why, over);
	cv_budget_body_put(&body, over);
	event_write(p, f, CV_AUDIT_ACTION_DENY, 429, "budget_exceeded", cv_buf_str(&why));
	cv_local_answer(p, f, 429, JSON, cv_buf_str(&body), false);
	cv_buf_fini(&why);
	cv_buf_fini(&body);
	return true;
}

/* ---- budgets ---- */

static struct cv_budget_where where_agent(const struct cv_flow *f)
{
	return (struct cv_budget_where){ .is_run = true, .host = cv_host_str(&f->host) };
}

static struct cv_budget_where where_route(const struct cv_route *r)
{
	return (struct cv_budget_where){ .host = cv_host_str(&r->host), .route = r->name };
}

/* The route's answer has ended, or what was to be one. */
static void usage_count(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;
	const struct cv_route *r = call->route;

	if (!call->is_tapped)
		return;
	call->is_tapped = false;
	const struct cv_infer_usage u = cv_infer_tap_end(&call->tap);
	cv_infer_tap_fini(&call->tap);
	const uint64_t in_cost = cv_budget_cost(u.input, r->input_price);
	const uint64_t out_cost = cv_budget_cost(u.output, r->output_price);
	const struct cv_budget_where where[] = { where_agent(f), where_route(r) };
	for (size_t i = 0; i < CV_ARRAY_LEN(where); i++) {
		cv_budgets_add(&p->budgets, CV_BUDGET_TOKENS, &where[i], u.input);
		cv_budgets_add(&p->budgets, CV_BUDGET_TOKENS, &where[i], u.output);
		cv_budgets_add(&p->budgets, CV_BUDGET_USD, &where[i], in_cost);
		cv_budgets_add(&p->budgets, CV_BUDGET_USD, &where[i], out_cost);
	}
	if (call->protocol == CV_INFER_MODELS)
		return;
	event_write(p, f, CV_AUDIT_ACTION_NONE, 0, "inference_usage",
		cv_arena_printf(&p->arena, "route %.*s: %llu input and %llu output tokens%s",
			CV_STR_ARG(r->name), (unsigned long long)u.input,
			(unsigned long long)u.output, u.is_told ? "" : ", estimated"));
}

/* ---- asking routes ---- */

static int64_t silence_ms(const struct cv_local_call *call)
{
	const bool is_stream = call->phase == CV_CALL_PASS && (call->is_sse || call->is_stream);

	return is_stream ? CV_PROXY_CALL_IDLE_MS : (int64_t)call->route->timeout_s * 1000;
}

static void inner_end(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_flow *inner = cv_flow_get(&p->flows, f->local->call->inner);

	if (inner && inner->is_routed && inner->state != CV_FLOW_DYING) {
		cv_flow_end(p, inner, true);
		cv_proxy_queue(p, inner);
	}
	f->local->call->inner = (struct cv_ref){ UINT32_MAX, 0 };
}

/* No other route is asked. */
static bool call_end(struct cv_proxy *p, struct cv_flow *f, const struct refusal *r)
{
	inner_end(p, f);
	cv_flow_drop_server(f);
	return refuse(p, f, r, NULL);
}

/* The next route that may be asked is; without one, the answer is given. */
static bool route_next(struct cv_proxy *p, struct cv_flow *f, const struct refusal *last)
{
	struct cv_local_call *call = f->local->call;

	inner_end(p, f);
	cv_flow_drop_server(f);
	while (call->order_next < call->order_count) {
		const struct cv_route *r = &call->routes->set.v[call->order[call->order_next++]];
		const struct cv_budget_where where = where_route(r);
		const struct cv_budget *over = cv_budgets_exceeded(&p->budgets, &where);

		call->over = over ? over : call->over;
		if (over)
			continue;
		call->route = r;
		call->scanned = 0;
		call->is_broken = call->is_lost = false;
		if (!cv_call_wire_make(call))
			return refuse(p, f, &too_large, NULL);
		if (!cv_call_inner_start(p, f))
			continue;
		cv_budgets_add(&p->budgets, CV_BUDGET_REQUESTS, &where, 1);
		call->phase = CV_CALL_WAIT;
		f->deadline_ms = p->loop.now_ms + silence_ms(call);
		return true;
	}
	if (!call->route && call->over)
		return budget_refuse(p, f, call->over);
	return refuse(p, f, last, NULL);
}

/* A call that got no word from its route, and may be asked again: of the routes that there are now, if
 * they have changed, since with the former ones their credentials went. */
static bool route_next_new(struct cv_proxy *p, struct cv_flow *f, const struct refusal *last)
{
	struct cv_local_call *call = f->local->call;

	if (call->routes == p->routes)
		return route_next(p, f, last);
	cv_call_routes_unref(call->routes);
	call->routes = cv_call_routes_ref(p->routes);
	call->route = NULL;
	call->over = NULL;
	call->order_count = call->order_next = 0;
	if (call->routes)
		cv_call_routes_order(call);
	return route_next(p, f, !call->routes ? &no_routes : call->order_count ? last : &no_fit);
}

/* A budget that was passed over as the first and only one must not hide what the others said. */
static bool has_next(const struct cv_proxy *p, const struct cv_local_call *call)
{
	for (size_t i = call->order_next; i < call->order_count; i++) {
		const struct cv_budget_where where =
			where_route(&call->routes->set.v[call->order[i]]);

		if (!cv_budgets_exceeded(&p->budgets, &where))
			return true;
	}
	return false;
}

/* ---- the agent's request ---- */

static bool call_start(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;
	struct cv_infer_asked asked = { .is_stream = false };
	enum cv_json_problem problem = CV_JSON_PROBLEM_NONE;

	if (call->protocol != CV_INFER_MODELS)
		problem = cv_infer_read(cv_buf_str(&call->body), &asked);
	if (problem != CV_JSON_PROBLEM_NONE)
		return refuse(p, f, &malformed,
			problem == CV_JSON_PROBLEM_TOKEN
				? "it is no JSON object with a model and a stream of their types"
				: cv_json_problem_text(problem));
	call->hides_usage =
		asked.is_stream && !asked.wants_usage &&
		(call->protocol == CV_INFER_CHAT || call->protocol == CV_INFER_COMPLETIONS);
	call->is_stream = asked.is_stream || cv_infer_is_stream(call->protocol);
	event_write(p, f, CV_AUDIT_ACTION_ALLOW, 0, NULL,
		cv_str_of(cv_infer_protocol_id(call->protocol)));
	return route_next(p, f, &unavailable);
}

/* What is there of the body is taken and kept. */
static bool body_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);
	struct cv_str in = cv_leg_text(c), data;
	const size_t given = in.n;

	while (!call->up.is_done && in.n) {
		const enum cv_chunk_event ev = cv_local_body_next(&call->up, &in, &data);

		if (ev == CV_CHUNK_BAD)
			return refuse(p, f, &malformed, "its chunks are malformed");
		if (ev != CV_CHUNK_DATA)
			break;
		call->chunks += call->up.kind != CV_H1_BODY_LENGTH && call->up.chunk.left == 0;
		if (call->chunks > CV_PROXY_CALL_CHUNKS_MAX ||
			cv_buf_len(&call->body) + data.n > CV_PROXY_CALL_BYTES_MAX)
			return refuse(p, f, &too_large, NULL);
		/* twice: as it is kept, and as it is sent */
		if (!cv_local_hold(p, f, 2 * data.n) || !cv_buf_put(&call->body, data))
			return refuse(p, f, &unavailable, NULL);
	}
	cv_leg_take(c, given - in.n);
	if (call->up.is_done)
		return call_start(p, f);
	if (c->is_broken || (c->is_eof && cv_body_is_starved(&call->up, c))) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (given != in.n)
		f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	return has_moved || given != in.n;
}

static bool call_refused(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;
	const struct cv_h1_request *r = &call->request;
	const struct cv_budget_where where = where_agent(f);
	const struct cv_budget *over;

	if (call->protocol == CV_INFER_NONE || r->is_upgrade)
		return refuse(p, f, &not_a_call, NULL);
	call->routes = cv_call_routes_ref(p->routes);
	if (!call->routes)
		return refuse(p, f, &no_routes, NULL);
	over = cv_budgets_exceeded(&p->budgets, &where);
	if (over)
		return budget_refuse(p, f, over);
	cv_call_routes_order(call);
	if (!call->order_count)
		return refuse(p, f, &no_fit, NULL);
	if (r->body == CV_H1_BODY_LENGTH && r->length > CV_PROXY_CALL_BYTES_MAX)
		return refuse(p, f, &too_large, NULL);
	if (call->protocol == CV_INFER_MODELS &&
		(r->body == CV_H1_BODY_CHUNKED || (r->body == CV_H1_BODY_LENGTH && r->length)))
		return refuse(p, f, &malformed, "a GET has no body here");
	cv_budgets_add(&p->budgets, CV_BUDGET_REQUESTS, &where, 1);
	return false;
}

bool cv_local_inference_head(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	struct cv_local_call *call = calloc(1, sizeof(*call));

	if (!call) {
		cv_flow_end(p, f, true);
		return false;
	}
	f->local->call = call;
	call->inner = (struct cv_ref){ UINT32_MAX, 0 };
	cv_infer_filter_init(&call->filter);
	cv_arena_init(&call->arena, 4 * CV_H1_TUNNEL_HEAD_BYTES_MAX);
	cv_buf_init(&call->body, CV_PROXY_CALL_BYTES_MAX);
	cv_buf_init(&call->wire,
		CV_PROXY_CALL_BYTES_MAX + CV_PROXY_HEAD_BYTES_MAX + 4 * CV_JSON_EDIT_BYTES_MAX);
	if (!cv_local_head_take(f, r, &call->arena, &call->request)) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (cv_path_canonical(call->request.path, true, &call->path) != CV_PATH_OK)
		call->path.n = 0; /* no call has none */
	call->protocol = cv_infer_classify(
		call->request.method, cv_path_str(&call->path), &call->path_model);
	if (call_refused(p, f))
		return true;
	cv_local_body_start(f, &call->request, &call->up);
	f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	return call->up.is_done ? call_start(p, f) : true;
}

/* ---- the response ---- */

static struct cv_str field_of(const struct cv_h1_response *r, enum cv_h1_field field)
{
	size_t at = 0;
	const struct cv_h1_header *h = cv_h1_header_next(r->header, r->header_count, field, &at);

	return h ? h->value : CV_STR_NONE;
}

static void tap_start(struct cv_local_call *call, const struct cv_h1_response *r)
{
	const struct cv_str type = r ? field_of(r, CV_H1_FIELD_CONTENT_TYPE) : CV_STR_NONE;
	const struct cv_str coding = r ? field_of(r, CV_H1_FIELD_CONTENT_ENCODING) : CV_STR_NONE;

	cv_infer_tap_init(&call->tap, call->protocol, type,
		coding.n && !cv_str_eq_nocase(coding, CV_STR("identity")), cv_buf_len(&call->body));
	for (size_t i = 0; r && i < r->header_count; i++)
		cv_infer_tap_field(&call->tap, r->header[i].name, r->header[i].value);
	call->is_tapped = true;
	call->is_sse = call->tap.form == CV_INFER_SSE;
	call->hides_usage &= call->is_sse;
}

static bool response_start(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_response *r)
{
	struct cv_local_call *call = f->local->call;
	struct cv_h1_edit e;

	if (r->status < 400)
		tap_start(call, r);
	else
		call->hides_usage = false;
	call->down.kind = r->body;
	call->down.left = r->length;
	call->down.is_done =
		r->body == CV_H1_BODY_NONE || (r->body == CV_H1_BODY_LENGTH && r->length == 0);
	cv_chunk_init(&call->down.chunk);
	cv_h1_edit_of_response(&e, r);
	e.is_keep_alive = false;
	e.upgrade = CV_STR_NONE;
	call->is_chunked = (r->body == CV_H1_BODY_CHUNKED || r->body == CV_H1_BODY_CLOSE) &&
			   call->request.minor == 1;
	if (r->body == CV_H1_BODY_CHUNKED || r->body == CV_H1_BODY_CLOSE)
		e.body = call->is_chunked ? CV_H1_BODY_CHUNKED : CV_H1_BODY_CLOSE;
	cv_buf_reset(&p->head);
	if (!cv_h1_write_response(&p->head, r, &e))
		return route_next(p, f, &broken);
	cv_leg_take(&f->server, r->head_bytes);
	cv_leg_put(&f->client, cv_buf_str(&p->head));
	/* there is no other route any more: what was kept for it goes */
	cv_buf_fini(&call->wire);
	cv_buf_fini(&call->body);
	cv_buf_init(&call->wire, 0);
	cv_buf_init(&call->body, 0);
	p->local_bytes -= f->local->held;
	f->local->held = 0;
	call->phase = CV_CALL_PASS;
	f->deadline_ms = p->loop.now_ms + silence_ms(call);
	return true;
}

/* Sends the request as far as there is room, and looks for the response's head. */
static bool wait_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;
	struct cv_leg *s = &f->server;
	bool has_moved = cv_leg_fill(s);
	const size_t sent = cv_leg_put(s, cv_buf_str(&call->wire));
	const struct cv_str text = cv_leg_text(s);

	cv_buf_skip(&call->wire, sent);
	has_moved |= sent > 0;
	cv_leg_fill(&f->client);
	if (f->client.is_broken || f->client.is_eof) { /* nobody waits for it any more */
		if (!cv_buf_len(&call->wire))
			tap_start(call, NULL);
		cv_flow_end(p, f, true);
		return false;
	}
	if (!text.n && (s->is_eof || s->is_broken))
		return call->is_lost
			       ? call_end(p, f, &broken)
			       : route_next_new(p, f, call->is_broken ? &broken : &unavailable);
	if (!text.n || cv_leg_room(&f->client) < CV_PROXY_HEAD_BYTES_MAX)
		return has_moved;
	const enum cv_h1_rc rc = cv_h1_response_parse(
		text, CV_PROXY_HEAD_BYTES_MAX, &call->scanned, CV_H1_ASKED_OTHER, &p->response);
	if (rc == CV_H1_MORE && !s->is_eof && !s->is_broken)
		return has_moved;
	call->scanned = 0;
	if (rc != CV_H1_OK || p->response.status == 101)
		return route_next(p, f, &broken);
	if (p->response.status < 200) {
		cv_leg_take(s, p->response.head_bytes);
		return true;
	}
	if ((p->response.status == 429 || p->response.status >= 500) && has_next(p, call))
		return route_next(p, f, &unavailable);
	if (p->response.status == 401) /* its text may show a part of the key */
		return call_end(p, f, &unauthorized);
	return response_start(p, f, &p->response);
}

#define STREAM_ERROR(text) \
	CV_STR("data: {\"error\":{\"message\":\"" text "\",\"type\":\"proxy_stream_error\"}}\n\n")

/* A stream that can't go on says so in its own words; any other answer is cut, and seen to be. */
static bool pass_fail(struct cv_proxy *p, struct cv_flow *f, struct cv_str said)
{
	struct cv_local_call *call = f->local->call;

	usage_count(p, f);
	inner_end(p, f);
	if (!call->is_sse) {
		cv_leg_flush(&f->client);
		cv_flow_end(p, f, true);
		return false;
	}
	cv_buf_reset(&p->head);
	cv_buf_put(&p->head, CV_STR("\n\n")); /* ends an event that was cut */
	cv_buf_put(&p->head, said);
	struct cv_buf *out = &f->local->out; /* behind what waits there */
	if (!call->is_chunked)
		cv_buf_put(out, cv_buf_str(&p->head));
	else if (!cv_chunk_write(out, cv_buf_str(&p->head)) || !cv_chunk_write_end(out, NULL, 0))
		return false;
	f->local->is_answering = true;
	return true;
}

/* Puts a piece of the body behind what waits to be sent.  False: it can't be. */
static bool piece_put(struct cv_proxy *p, struct cv_flow *f, struct cv_str piece)
{
	struct cv_local_call *call = f->local->call;
	struct cv_buf *out = &f->local->out;

	if (call->hides_usage) {
		cv_buf_reset(&p->stage);
		if (!cv_infer_filter_feed(&call->filter, piece, &p->stage))
			return false;
		piece = cv_buf_str(&p->stage);
	}
	return !piece.n || (call->is_chunked ? cv_chunk_write(out, piece) : cv_buf_put(out, piece));
}

static bool pass_end(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;

	cv_buf_reset(&p->stage);
	if (call->hides_usage && cv_infer_filter_end(&call->filter, &p->stage) &&
		cv_buf_len(&p->stage)) {
		call->hides_usage = false;
		if (!piece_put(p, f, cv_buf_str(&p->stage)))
			return false;
	}
	usage_count(p, f);
	inner_end(p, f);
	if (f->local->call->is_chunked)
		cv_buf_put(&f->local->out, CV_CHUNK_END);
	f->local->is_answering = true; /* what is left of it, then the end */
	return true;
}

/* The next piece of the body out of *in; false: no more now. */
static bool piece_next(
	struct cv_local_call *call, struct cv_str *in, struct cv_str *ret, bool *ret_bad)
{
	struct cv_body *b = &call->down;

	if (b->is_done || !in->n)
		return false;
	if (b->kind == CV_H1_BODY_CHUNKED) {
		const enum cv_chunk_event ev = cv_chunk_next(&b->chunk, in, ret);

		*ret_bad = ev == CV_CHUNK_BAD;
		b->is_done = ev == CV_CHUNK_DONE; /* trailers of a model's answer say nothing */
		return ev == CV_CHUNK_DATA;
	}
	*ret = *in;
	if (b->kind == CV_H1_BODY_LENGTH) {
		*ret = cv_str_slice(*in, 0, (size_t)CV_MIN(b->left, in->n));
		b->left -= ret->n;
		b->is_done = b->left == 0;
	}
	*in = cv_str_slice(*in, ret->n, in->n);
	return true;
}

static bool pass_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;
	struct cv_leg *s = &f->server, *c = &f->client;
	bool is_bad = false, has_moved = cv_leg_fill(s);
	struct cv_buf *out = &f->local->out;
	struct cv_str piece, in = CV_STR_NONE;
	size_t sent = cv_leg_put(c, cv_buf_str(out)), given;

	cv_buf_skip(out, sent);
	if (!cv_buf_len(out)) { /* no more is taken than the agent takes */
		cv_buf_reset(out);
		in = cv_leg_text(s);
	}
	given = in.n;
	while (piece_next(call, &in, &piece, &is_bad) && !is_bad) {
		if (call->is_tapped && call->tap.form == CV_INFER_WHOLE && !call->tap.is_long)
			call->tap.is_long = !cv_local_hold(p, f, piece.n);
		if (call->is_tapped)
			cv_infer_tap_feed(&call->tap, piece);
		call->passed += piece.n;
		is_bad = !piece_put(p, f, piece);
	}
	cv_leg_take(s, given - in.n);
	if (given) {
		const size_t n = cv_leg_put(c, cv_buf_str(out));

		cv_buf_skip(out, n);
		sent += n;
	}
	if (given != in.n || sent) {
		has_moved = true;
		f->deadline_ms = p->loop.now_ms + silence_ms(call);
	}
	if (c->is_broken) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (!given && cv_buf_len(out))
		return has_moved;
	if (is_bad)
		return pass_fail(p, f, STREAM_ERROR("the upstream's response is malformed"));
	if (call->down.is_done)
		return pass_end(p, f);
	if (call->is_stream && call->passed > CV_PROXY_CALL_STREAM_MAX)
		return pass_fail(p, f, STREAM_ERROR("the response is longer than 32 MiB"));
	if ((s->is_eof || s->is_broken) && cv_body_is_starved(&call->down, s)) {
		if (call->down.kind == CV_H1_BODY_CLOSE && !s->is_broken)
			return pass_end(p, f);
		return pass_fail(p, f, STREAM_ERROR("the upstream's response was cut"));
	}
	return has_moved;
}

bool cv_local_inference_step(struct cv_proxy *p, struct cv_flow *f)
{
	switch (f->local->call->phase) {
	case CV_CALL_BODY: return body_step(p, f);
	case CV_CALL_WAIT: return wait_step(p, f);
	case CV_CALL_PASS: return pass_step(p, f);
	}
	return false;
}

void cv_local_inference_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->local->is_answering || f->local->call->phase == CV_CALL_BODY)
		cv_flow_end(p, f, true);
	else if (f->local->call->phase == CV_CALL_WAIT)
		route_next(p, f, &unavailable);
	else
		pass_fail(p, f, STREAM_ERROR("the upstream was silent for 120 s"));
}

/* To nobody yet. */
static bool is_connecting(const struct cv_flow *f)
{
	return f->state == CV_FLOW_RESOLVE || f->state == CV_FLOW_DIAL ||
	       f->state == CV_FLOW_FORWARD;
}

void cv_local_inner_failed(struct cv_proxy *p, const struct cv_flow *inner)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (!f->local || !f->local->call ||
			cv_flow_get(&p->flows, f->local->call->inner) != inner)
			continue;
		f->local->call->is_broken = !is_connecting(inner);
		f->local->call->is_lost =
			inner->server.is_untried && inner->http.phase == CV_HTTP_EXCHANGE;
	}
}

void cv_local_inference_end(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_call *call = f->local->call;

	if (!call)
		return;
	usage_count(p, f);
	inner_end(p, f);
	cv_infer_filter_fini(&call->filter);
	cv_buf_fini(&call->body);
	cv_buf_fini(&call->wire);
	cv_arena_fini(&call->arena);
	cv_call_routes_unref(call->routes);
	free(call);
	f->local->call = NULL;
}
