/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c - requests and responses, one pair after the other
 *
 *     REQUEST_HEAD --parsed, judged--> (upstream's TLS, the first time) --head written anew-->
 *     EXCHANGE: body up, responses down --both done--> REQUEST_HEAD, or the end
 *
 * A head stays in the buffer until it is sent on, so nothing of it has to be kept elsewhere; if
 * the upstream is not ready yet, it is parsed once more then.  is_decided says that its verdict
 * was given and its event recorded: both happen once.
 *
 * Nothing is copied through.  Heads are written from what was parsed and decided; bodies are
 * framed anew: a length is counted down, chunks are taken apart and put together (T10).  One
 * client connection has one upstream connection, and one request is under way at a time; what a
 * client sends ahead stays in the socket, so the one after a denial is never looked at (T11).
 *
 * The upstream connection may be one that another flow had (idle.h); then the head of a request that
 * may be sent twice stays in the buffer until the upstream has said something.
 *
 * Whatever the upstream says that can't be framed ends the exchange: with 502 while no byte of a
 * response has passed (http_response.c), else by a reset, so that a response that was cut can't pass
 * for whole.
 */
#include "proxy/approve.h"
#include "proxy/http_int.h"
#include "proxy/inside.h"
#include "proxy/local.h"
#include "proxy/mint.h"
#include "proxy/tools.h"
#include "proxy/websocket.h"
#include "wire/h1_write.h"

#include "base/assert.h"

#include <stdlib.h>

static int64_t reply_ms(const struct cv_flow *f)
{
	if (f->is_routed) /* whoever asked it knows the route's own */
		return CV_PROXY_ROUTED_REPLY_MS;
	return f->is_tools ? CV_PROXY_TOOL_REPLY_MS : CV_PROXY_REPLY_MS;
}

void cv_http_start(struct cv_flow *f)
{
	const uint32_t count = f->http.count;

	cv_middleware_end(f);
	cv_mint_end(f);
	cv_body_fini(&f->http.up);
	cv_body_fini(&f->http.down);
	free((void *)(uintptr_t)f->http.method.p);
	f->http = (struct cv_http){ .phase = CV_HTTP_REQUEST_HEAD, .count = count };
}

/* ---- refusals ---- */

static bool malformed_refuse(
	struct cv_proxy *p, struct cv_flow *f, const char *slug, const char *text, unsigned status)
{
	cv_decide_record_refusal(p, f, "l7", slug, text, status);
	cv_deny_bare(p, f, status, CV_STR_NONE);
	return true;
}

static bool head_refuse(struct cv_proxy *p, struct cv_flow *f, enum cv_h1_rc rc)
{
	const struct cv_h1_rc_row *row = cv_h1_rc_row(rc);

	return malformed_refuse(p, f, row->slug, row->text, row->status);
}

/* ---- the request's head ---- */

/* Host, or the target's authority, is the tunnel's; none at all (HTTP/1.0) means it. */
static bool authority_is_fine(const struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_authority ours = { f->host, f->port };

	if (!f->is_tunnel)
		return true; /* it made the destination */
	if (r->form == CV_H1_FORM_ABSOLUTE && r->is_https != f->is_tls)
		return false;
	if (r->authority.host.n == 0)
		return r->minor == 0;
	return cv_authority_eq(&r->authority, &ours, f->is_tls ? 443 : 80);
}

/* Policy may have changed since the connection was allowed. */
static bool policy_is_fine(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	if (f->policy == p->policy)
		return true;
	/* what was HTTP when it began does not become another protocol's because a rule says so now */
	if (cv_decide_connect(p, f) && !(f->verdict.obligations & CV_OBLIGE_POSTGRES))
		return true;
	const struct cv_denial_text t = {
		.request = r,
		.why = cv_decide_reason(p, f, &f->verdict, NULL, CV_STR_NONE),
	};
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r,
		.engine = "opa",
		.status = 403,
	};
	cv_decide_record(p, f, &fact);
	cv_deny(p, f, CV_DENIAL_POLICY, &t);
	return false;
}

/* Judges the parsed head; false when it was answered. */
static bool head_judge(
	struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r, struct cv_path *path)
{
	if (!cv_sinks_are_well(&p->sinks)) {
		cv_inside_refuse(p, f, CV_DENIAL_AUDIT, r,
			CV_STR("the audit log can't be written; nothing is allowed until it can"));
		return false;
	}
	if (r->form == CV_H1_FORM_AUTHORITY) {
		cv_inside_refuse(p, f, CV_DENIAL_PROTOCOL, r,
			CV_STR("CONNECT inside a tunnel is not supported"));
		return false;
	}
	if (!authority_is_fine(f, r)) {
		cv_inside_refuse(p, f, CV_DENIAL_AUTHORITY, r, CV_STR_NONE);
		return false;
	}
	return policy_is_fine(p, f, r) && cv_inside_decide(p, f, r, path);
}

/* The path that was decided on, once more, for a head that waited for its upstream. */
static void path_again(const struct cv_flow *f, const struct cv_h1_request *r, struct cv_path *path)
{
	if ((f->verdict.obligations & CV_OBLIGE_INSPECT) &&
		cv_path_canonical(r->path, true, path) == CV_PATH_OK)
		return;
	const struct cv_str raw = r->path.n ? r->path : CV_STR("/");
	memcpy(path->text, raw.p, raw.n);
	path->n = raw.n;
}

/* What was asked, for who asks again when the policy has changed.  Without memory for it: nothing. */
static void asked_keep(
	struct cv_http *h, struct cv_str method, struct cv_str path, struct cv_str query)
{
	char *p = malloc(method.n + path.n + query.n);

	if (!p)
		return;
	memcpy(p, method.p, method.n);
	memcpy(p + method.n, path.p, path.n);
	if (query.n)
		memcpy(p + method.n + path.n, query.p, query.n);
	h->method = (struct cv_str){ p, method.n };
	h->path = (struct cv_str){ p + method.n, path.n };
	h->query = query.p ? (struct cv_str){ p + method.n + path.n, query.n } : CV_STR_NONE;
}

enum head { HEAD_WRITTEN, HEAD_ANSWERED, HEAD_LONG };

/* Writes the head into p->head and makes the exchange of it. */
static enum head head_write(
	struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r, struct cv_str path)
{
	const struct cv_authority to = { f->host, f->port };
	struct cv_http *h = &f->http;
	const struct cv_str query = r->query; /* as it was decided on, before anything is put in */
	struct cv_str body = CV_STR_NONE;
	struct cv_h1_request_edit e = {
		.authority = &to,
		.port_default = f->is_tls ? 443 : 80,
		.path = r->form == CV_H1_FORM_ASTERISK ? CV_STR("*") : path,
		.query = r->query,
		.is_expect_continue = r->is_expect_continue,
	};

	cv_h1_edit_of_request(&e.common, r);
	e.common.is_keep_alive = true; /* ours with the upstream; it may say no */
	if (!f->is_tunnel && !f->is_tools)
		e.common.via = CV_STR("1.1 openshell-sandbox");
	cv_websocket_free(p, f);
	if (r->is_upgrade && (h->verdict.obligations & CV_OBLIGE_WEBSOCKET) &&
		!cv_websocket_ask(f, r, path))
		return HEAD_LONG;
	if (f->hold) {
		body = cv_buf_str(&f->hold->body);
		e.is_expect_continue = false; /* ours, when the hold began */
	}
	cv_middleware_apply(f, r, &e);
	if (!cv_cred_apply(p, f, r, &e, &body))
		return HEAD_ANSWERED;
	if (f->hold)
		cv_hold_frame(f->hold, body, &e.common);
	cv_buf_reset(&p->head);
	if (!cv_h1_write_request(&p->head, r, &e))
		return HEAD_LONG;
	free((void *)(uintptr_t)h->method.p);
	*h = (struct cv_http){
		.phase = CV_HTTP_EXCHANGE,
		.asked = cv_h1_asked(r->method),
		.client_closes = !r->is_keep_alive,
		.wants_upgrade = r->is_upgrade,
		.to_http10 = r->minor == 0,
		.count = h->count + 1,
		.verdict = h->verdict,
	};
	if (f->verdict.obligations & CV_OBLIGE_INSPECT)
		asked_keep(h, r->method, path, query);
	cv_mint_expect(f);
	if (f->hold && !cv_hold_pass_on(f->hold, body, &h->up))
		return HEAD_LONG;
	if (!f->hold)
		cv_body_start(&h->up, r->body, r->length);
	if (!h->up.is_read)
		cv_cred_watch(p, f);
	return HEAD_WRITTEN;
}

/* It did not wait for a body that was held. */
static bool is_connection_lost(const struct cv_flow *f)
{
	return f->hold && f->server.has_hangup;
}

/* A switch of protocols goes by a connection that nobody had before, and a credential by one that
 * carried nothing else. */
static bool needs_connection(const struct cv_flow *f)
{
	const struct cv_bond bond = cv_bond_of(f);

	return !f->stream && (!cv_leg_is_open(&f->server) || is_connection_lost(f) ||
				     (f->server.is_reused && f->http.wants_new) ||
				     !cv_bond_carries(&f->server.bond, &bond));
}

enum stage {
	STAGE_OK,
	STAGE_WAIT,
	STAGE_MOVED, /* answered, or to be parsed anew */
};

/* Of the route to host tools. */
static enum stage tools_stage(enum cv_tools_step step)
{
	switch (step) {
	case CV_TOOLS_OK: return STAGE_OK;
	case CV_TOOLS_WAIT: return STAGE_WAIT;
	case CV_TOOLS_AGAIN:
	case CV_TOOLS_ANSWERED: break;
	}
	return STAGE_MOVED;
}

static enum stage cred_stage(enum cv_cred_step step)
{
	switch (step) {
	case CV_CRED_OK: return STAGE_OK;
	case CV_CRED_WAIT: return STAGE_WAIT; /* judged again when the keeper answered */
	case CV_CRED_AGAIN:
	case CV_CRED_ANSWERED: break;
	}
	return STAGE_MOVED;
}

/* A request in plain HTTP to the explicit proxy was judged before there was a connection: all but its
 * body. */
static enum stage plain_body_pass(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const enum stage stage = cred_stage(cv_cred_body(p, f, r));

	if (stage != STAGE_OK || !is_connection_lost(f))
		return stage;
	cv_dial_late(p, f);
	return STAGE_MOVED;
}

/* Sent once more, a request needs its credentials once more; and they may have been taken back while
 * it waited for its upstream.  What comes in their place goes by a connection of its own. */
static enum stage cred_again(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const enum stage stage = cred_stage(cv_cred_request(p, f, r, path));
	const struct cv_bond bond = cv_bond_of(f);

	if (stage != STAGE_OK || f->is_tools || f->stream ||
		cv_bond_carries(&f->server.bond, &bond))
		return stage;
	cv_dial_late(p, f);
	return STAGE_MOVED;
}

/* Everything that may refuse a request which policy allows, in the order in which it may. */
static enum stage request_pass(struct cv_proxy *p, struct cv_flow *f, struct cv_str path)
{
	struct cv_h1_request *r = &p->request;
	enum stage stage = f->is_tools ? tools_stage(cv_tools_head(p, f, r, path)) : STAGE_OK;

	if (stage != STAGE_OK)
		return stage;
	if (!f->http.is_decided) {
		switch (cv_approve_request(p, f, r, path)) {
		case CV_APPROVE_WAIT: return STAGE_WAIT;
		case CV_APPROVE_ENDED: return STAGE_MOVED;
		case CV_APPROVE_PASS: break;
		}
	}
	switch (cv_middleware_request(p, f, r, path)) {
	case CV_MIDDLEWARE_WAIT: return STAGE_WAIT;
	case CV_MIDDLEWARE_AGAIN:
	case CV_MIDDLEWARE_ANSWERED: return STAGE_MOVED;
	case CV_MIDDLEWARE_OK: break;
	}
	if (f->http.is_decided && !f->is_tunnel)
		return plain_body_pass(p, f, r);
	if (f->http.is_decided && (f->http.is_replayed || cv_cred_is_taken_back(f->cred)))
		return cred_again(p, f, r, path);
	if (f->http.is_decided)
		return STAGE_OK;
	if (f->is_tools)
		stage = tools_stage(cv_tools_judge(p, f, r, path));
	if (stage != STAGE_OK)
		return stage;
	stage = cred_stage(cv_cred_request(p, f, r, path));
	if (stage != STAGE_OK)
		return stage;
	f->http.is_repeatable = cv_idle_is_repeatable(f, r);
	f->http.wants_new = r->is_upgrade;
	if (!f->is_tools && needs_connection(f)) { /* judged again when there is one */
		cv_dial_late(p, f);
		return STAGE_MOVED;
	}
	if (!f->http.is_tool_call)
		cv_inside_record(p, f, r, path);
	f->http.is_decided = true;
	return STAGE_OK;
}

/* Somebody to send it to. */
static enum stage upstream_await(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->is_tools)
		return tools_stage(cv_tools_connect(p, f, &p->request));
	switch (cv_tls_server_shake(p, f)) {
	case CV_TLS_WAIT: return STAGE_WAIT;
	case CV_TLS_FAILED:
		cv_http_upstream_fail(p, f, CV_DENIAL_UPSTREAM_TLS, f->failure);
		return STAGE_MOVED;
	case CV_TLS_DONE: break;
	}
	return STAGE_OK;
}

/* The upstream is there, and the request may pass. */
static bool head_send(struct cv_proxy *p, struct cv_flow *f, struct cv_str path)
{
	const size_t head_bytes = p->request.head_bytes;
	const bool is_repeatable = cv_idle_is_repeatable(f, &p->request);
	const struct cv_bond bond = cv_bond_of(f);

	if (!f->is_tools && !f->server.link) {
		cv_assert(cv_bond_carries(&f->server.bond, &bond));
		f->server.bond = bond;
	}
	switch (head_write(p, f, &p->request, path)) {
	case HEAD_ANSWERED: return true;
	case HEAD_LONG: cv_cred_head_lost(p); return head_refuse(p, f, CV_H1_HEAD_LONG);
	case HEAD_WRITTEN: break;
	}
	/* with what was put in: the scheme may be part of it */
	if (cv_idle_is_private(p->request.header, p->request.header_count))
		cv_idle_seal(f);
	const bool is_put = cv_leg_put(&f->server, cv_buf_str(&p->head)) == cv_buf_len(&p->head);
	cv_cred_forget(p, f);
	if (!is_put)
		return cv_http_upstream_fail(
			p, f, CV_DENIAL_UPSTREAM, "the upstream's connection broke");
	if (is_repeatable && f->server.is_untried)
		f->http.kept_bytes = head_bytes;
	else if (!f->hold)
		cv_leg_take(&f->client, head_bytes);
	cv_hold_end(f);
	f->deadline_ms = p->loop.now_ms + reply_ms(f);
	return true;
}

static bool head_step(struct cv_proxy *p, struct cv_flow *f)
{
	static struct cv_path path; /* scratch */
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);
	const struct cv_str text = f->hold ? cv_buf_str(&f->hold->head) : cv_leg_text(c);
	struct cv_http *h = &f->http;
	bool has_more = false;

	if (!c->is_broken && cv_cred_body_comes(p, f, &has_more))
		return has_moved || has_more;
	if (c->is_broken || (c->is_eof && !text.n) || (!text.n && f->server.is_wire_eof)) {
		if (c->is_broken)
			cv_flow_end(p, f, true);
		else
			cv_flow_finish(p, f); /* the last response may still be in the buffer */
		return false;
	}
	if (!text.n) {
		/* an idle upstream that closes ends the pair; so does one that speaks unasked */
		if (f->server_tls != CV_SERVER_SHAKING && cv_leg_fill(&f->server) &&
			(f->server.is_eof || cv_leg_text(&f->server).n))
			cv_flow_finish(p, f);
		return has_moved;
	}
	if (f->deadline_ms > p->loop.now_ms + CV_PROXY_HEAD_MS)
		f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	const enum cv_h1_rc rc = cv_h1_request_parse(text,
		f->is_tunnel ? CV_H1_TUNNEL_HEAD_BYTES_MAX : CV_H1_PROXY_HEAD_BYTES_MAX,
		&h->scanned, &p->request);
	if (rc == CV_H1_MORE) {
		if (c->is_eof)
			cv_flow_end(p, f, false);
		return has_moved;
	}
	h->scanned = 0;
	if (rc != CV_H1_OK)
		return head_refuse(p, f, rc);
	if (h->is_decided)
		path_again(f, &p->request, &path);
	else if (!head_judge(p, f, &p->request, &path))
		return true;
	enum stage stage = request_pass(p, f, cv_path_str(&path));
	if (stage == STAGE_OK)
		stage = upstream_await(p, f);
	if (stage != STAGE_OK)
		return stage == STAGE_MOVED || has_moved;
	return head_send(p, f, cv_path_str(&path));
}

/* ---- the exchange ---- */

/* The upstream lives: nothing will be sent twice. */
static void server_tried(struct cv_flow *f)
{
	f->server.is_untried = false;
	if (f->http.kept_bytes)
		cv_leg_take(&f->client, f->http.kept_bytes);
	f->http.kept_bytes = 0;
}

static bool exchange_end(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_http *h = &f->http;

	const bool client_closes = h->client_closes;

	if (!h->up.is_done) {
		cv_flow_finish(p, f);
		return true;
	}
	f->server.has_served = true;
	/* what stands behind the response was not asked for: it must not answer the next request */
	if (h->server_closes || cv_leg_text(&f->server).n)
		cv_flow_drop_server(f);
	cv_http_start(f);
	if (client_closes) {
		cv_flow_finish(p, f);
		return true;
	}
	if (!f->is_tunnel)
		cv_flow_set_state(f, CV_FLOW_HEAD, p->loop.now_ms);
	f->deadline_ms = p->loop.now_ms + CV_PROXY_IDLE_MS;
	return true;
}

/* The upstream ended while its response was passing. */
static bool response_end(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_http *h = &f->http;

	if (h->down.kind == CV_H1_BODY_CLOSE && !f->server.is_cut && !h->down.filter) {
		h->down.is_done = true;
		return true;
	}
	cv_leg_flush(&f->client); /* what came is the sandbox's; that it is not all, too */
	cv_flow_end(p, f, true);
	return true;
}

/* A call of a host tool may take hours, and the broker has to know that nobody waits for it any
 * more. */
static bool is_abandoned(struct cv_flow *f)
{
	if (!f->is_tools || !f->http.up.is_done)
		return false;
	cv_leg_fill(&f->client);
	return f->client.is_eof && !cv_leg_text(&f->client).n;
}

static bool exchange_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *c = &f->client, *s = &f->server;
	struct cv_http *h = &f->http;
	bool has_moved = false;
	enum cv_pass up = CV_PASS_IDLE, down = CV_PASS_IDLE;

	if (!h->up.is_done) {
		has_moved |= cv_leg_fill(c);
		up = cv_body_pass(&h->up, h->up.filter ? &p->filtered : &p->head, c, s);
		if (up == CV_PASS_REFUSED) {
			cv_cred_body_refuse(p, f);
			return true;
		}
		if (up == CV_PASS_BAD && !h->has_response)
			return malformed_refuse(
				p, f, "bad_chunk", "chunked body is malformed", 400);
		if (up == CV_PASS_BAD ||
			(c->is_eof && !h->up.is_read && cv_body_is_starved(&h->up, c))) {
			cv_flow_end(p, f, true); /* a body that can't be framed, or was cut */
			return false;
		}
	}
	if (is_abandoned(f)) {
		cv_flow_end(p, f, false);
		return false;
	}
	has_moved |= cv_leg_fill(s);
	if (s->is_untried && cv_leg_text(s).n)
		server_tried(f);
	if (!h->has_response && (f->mint ? cv_mint_step(p, f) : cv_http_response_step(p, f)))
		return true;
	if (h->has_response) {
		down = cv_body_pass(&h->down, h->down.filter ? &p->filtered : &p->head, s, c);
		if (down == CV_PASS_REFUSED && cv_middleware_body_refuse(p, f))
			return true;
		if (down == CV_PASS_BAD || down == CV_PASS_REFUSED) {
			cv_flow_end(p, f, true);
			return false;
		}
		if (h->down.is_done)
			return exchange_end(p, f);
		if (s->is_eof && !h->down.is_read && !cv_buf_len(&h->down.input) &&
			cv_body_is_starved(&h->down, s))
			return response_end(p, f);
	}
	if (c->is_broken) {
		cv_flow_end(p, f, true);
		return false;
	}
	has_moved |= up == CV_PASS_MOVED || down == CV_PASS_MOVED;
	if (has_moved)
		f->deadline_ms = p->loop.now_ms + reply_ms(f);
	return has_moved;
}

bool cv_http_step(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->local)
		return cv_local_step(p, f);
	return f->http.phase == CV_HTTP_REQUEST_HEAD ? head_step(p, f) : exchange_step(p, f);
}
