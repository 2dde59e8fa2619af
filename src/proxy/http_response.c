/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_response.c - the head of a response: parsed, searched, judged by middleware, written anew
 *
 * Interim responses (1xx) pass one by one; the final one decides how its body is framed and whether
 * both connections last.  101 ends HTTP: the flow becomes a WebSocket's or, where nobody has to look
 * at what is said, a relay.  A head that can't be parsed, or that may not pass, is answered with 502:
 * no byte of it has passed then.
 */
#include "proxy/http_int.h"

#include "proxy/inside.h"
#include "proxy/mint.h"
#include "proxy/tools.h"
#include "proxy/websocket.h"
#include "wire/h1_write.h"

#include <stdlib.h>

bool cv_http_upstream_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_denial d, const char *why)
{
	if (f->is_tools) {
		cv_tools_upstream_fail(p, f, why);
		return true;
	}
	const struct cv_denial_text t = { .why = cv_str_of(why) };
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_NONE,
		.activity = CV_ACTIVITY_FAIL,
		.engine = d == CV_DENIAL_UPSTREAM_TLS ? "tls" : "l7",
		.reason_code = cv_denial_code(d),
		.reason = cv_str_of(why),
		.status = 502,
	};

	cv_decide_record(p, f, &fact);
	cv_deny(p, f, d, &t);
	return true;
}

/* Whether the sandbox's connection lasts beyond this response. */
static bool client_stays(const struct cv_flow *f, const struct cv_h1_response *r)
{
	return !f->http.client_closes && r->body != CV_H1_BODY_CLOSE &&
	       (r->is_keep_alive || !f->is_tunnel);
}

/* Credentials may go to this server, and nobody will look at what it says from here on. */
static bool is_uninspected(const struct cv_flow *f)
{
	const struct cv_policy_endpoint *e = cv_policy_endpoint_of(f->policy, &f->verdict);

	return !f->ws && f->cred && (f->cred->flags & CV_RELEASED_BOUND) &&
	       !(f->cred->flags & CV_RELEASED_UNSCRUBBED) &&
	       !(e && e->allow_uninspected_credentials);
}

static bool switch_protocols(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_response *r)
{
	struct cv_h1_edit e;

	if (!f->http.wants_upgrade || !r->is_upgrade || !f->http.up.is_done)
		return cv_http_upstream_fail(
			p, f, CV_DENIAL_UPSTREAM, "the upstream switched protocols unasked");
	cv_h1_edit_of_response(&e, r);
	const char *fault = f->ws ? cv_websocket_answer(f, r) : NULL;
	if (!f->ws && (f->verdict.obligations & CV_OBLIGE_INSPECT))
		fault = "the upstream switched to a protocol that can't be inspected";
	if (!fault && is_uninspected(f))
		fault = "the upstream switched to a protocol that can't be scrubbed";
	if (!fault)
		fault = cv_scrub_response(p, f, r);
	if (fault)
		return cv_http_upstream_fail(p, f, CV_DENIAL_UPSTREAM, fault);
	cv_buf_reset(&p->head);
	if (!cv_h1_write_response(&p->head, r, &e))
		return cv_http_upstream_fail(
			p, f, CV_DENIAL_UPSTREAM, "the upstream's response can't be passed on");
	cv_leg_put(&f->client, cv_buf_str(&p->head));
	cv_leg_take(&f->server, r->head_bytes);
	if (f->ws)
		cv_websocket_start(p, f);
	else
		cv_flow_set_state(f, CV_FLOW_RELAY, p->loop.now_ms);
	return true;
}

/* The server does not take the credential: what it thinks of the connection now is not known. */
static bool is_refused(const struct cv_flow *f, const struct cv_h1_response *r)
{
	const struct cv_bond *b = f->server.link ? &f->server.link->bond : &f->server.bond;

	return r->status == 407 ||
	       (r->status == 401 && (b->kind == CV_BOND_CREDENTIAL || f->is_routed));
}

/* A final response: what it decides about the connections, and how its body is read. */
static void response_accept(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_response *r)
{
	struct cv_http *h = &f->http;

	f->server.is_private |= h->asked == CV_H1_ASKED_HEAD;
	if (cv_idle_is_private(r->header, r->header_count) || is_refused(f, r))
		cv_idle_seal(f);
	h->client_closes = !client_stays(f, r);
	h->server_closes = !r->is_keep_alive || r->body == CV_H1_BODY_CLOSE;
	cv_body_start(&h->down, r->body, r->length);
	if (h->to_http10 && r->body == CV_H1_BODY_CHUNKED)
		h->down.out = CV_H1_BODY_CLOSE;
	if (r->status == 401)
		cv_cred_rejected(p, f);
}

/* r's head as the sandbox gets it, into p->head. */
static bool response_write(struct cv_proxy *p, const struct cv_flow *f, struct cv_h1_response *r)
{
	const struct cv_http *h = &f->http;
	const bool is_final = r->status >= 200;
	struct cv_h1_edit e;

	cv_h1_edit_of_response(&e, r);
	e.upgrade = CV_STR_NONE;
	e.is_keep_alive = !is_final || !h->client_closes;
	if (is_final && h->down.kind != CV_H1_BODY_NONE)
		e.body = h->down.out;
	cv_buf_reset(&p->head);
	return cv_h1_write_response(&p->head, r, &e);
}

/* The first of the body goes with the head: one record, one packet. */
static void body_begin(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_body *down = &f->http.down;

	if (down->is_done || down->filter || down->kind == CV_H1_BODY_CHUNKED)
		return;
	const struct cv_str text = cv_leg_text(&f->server);
	const size_t used = cv_buf_len(&p->head);
	size_t n = used < CV_PROXY_RECORD_BYTES ? CV_PROXY_RECORD_BYTES - used : 0;

	n = CV_MIN(n, text.n);
	if (down->kind == CV_H1_BODY_LENGTH)
		n = (size_t)CV_MIN(n, down->left);
	if (!n || !cv_buf_put(&p->head, cv_str_slice(text, 0, n)))
		return;
	cv_leg_take(&f->server, n);
	if (down->kind == CV_H1_BODY_LENGTH) {
		down->left -= n;
		down->is_read = down->is_done = down->left == 0;
	}
}

static bool response_pass(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_response *r)
{
	struct cv_http *h = &f->http;
	const bool is_final = r->status >= 200;
	const size_t head_bytes = r->head_bytes;

	if (r->status == 101)
		return switch_protocols(p, f, r);
	if (!is_final && h->to_http10) { /* it knows of none (RFC 9110 15.2) */
		cv_leg_take(&f->server, head_bytes);
		return true;
	}
	if (is_final)
		response_accept(p, f, r);
	const char *fault = cv_scrub_response(p, f, r);
	if (fault)
		return cv_http_upstream_fail(p, f, CV_DENIAL_UPSTREAM, fault);
	if (!cv_middleware_response(p, f, r))
		return true;
	h->has_response = is_final;
	if (!response_write(p, f, r))
		return cv_http_upstream_fail(
			p, f, CV_DENIAL_UPSTREAM, "the upstream's response can't be passed on");
	cv_leg_take(&f->server, head_bytes);
	if (is_final)
		body_begin(p, f);
	const struct cv_str head = cv_buf_str(&p->head);
	if (h->down.lead.max) { /* a middleware may refuse it yet */
		if (!cv_buf_put(&h->down.lead, head))
			cv_flow_end(p, f, true);
	} else if (h->down.filter) { /* with the first of its body, or without, in this very turn */
		h->down.is_begun = true;
		if (!cv_buf_put(&h->down.pending, head))
			cv_flow_end(p, f, true);
	} else if (cv_leg_put(&f->client, head) != head.n) {
		cv_flow_end(p, f, true);
	}
	return true;
}

/* The kept connection that the request went by was closed without a word: once more, by a new one. */
static void replay(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_http *h = &f->http;

	cv_body_fini(&h->up);
	free((void *)(uintptr_t)h->method.p);
	*h = (struct cv_http){
		.phase = CV_HTTP_REQUEST_HEAD,
		.is_decided = true,
		.is_counted = true,
		.is_replayed = true,
		.count = h->count - 1,
		.verdict = h->verdict,
	};
	f->server.is_private = true;
	cv_dial_late(p, f);
}

/* Room for any head must be there before one is parsed. */
bool cv_http_response_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *s = &f->server;
	struct cv_http *h = &f->http;
	const struct cv_str text = cv_leg_text(s);

	if (!text.n && !s->is_eof)
		return false;
	if (cv_leg_room(&f->client) < CV_PROXY_HEAD_BYTES_MAX)
		return false;
	const enum cv_h1_rc rc = cv_h1_response_parse(
		text, CV_PROXY_HEAD_BYTES_MAX, &h->response_scanned, h->asked, &p->response);
	if (rc == CV_H1_MORE && !s->is_eof)
		return false;
	h->response_scanned = 0;
	if (rc == CV_H1_OK && cv_mint_is_due(f, &p->response))
		return cv_mint_begin(p, f, &p->response);
	if (rc == CV_H1_OK)
		return response_pass(p, f, &p->response);
	if (rc == CV_H1_MORE && h->kept_bytes && !text.n) {
		replay(p, f);
		return true;
	}
	if (rc == CV_H1_MORE && h->count > 1 && !text.n && !s->is_untried && !f->is_tools) {
		/* a kept connection that the upstream closed just now: the sandbox's client knows
		 * that case, and may try again where that is safe */
		cv_flow_finish(p, f);
		return true;
	}
	return cv_http_upstream_fail(p, f, CV_DENIAL_UPSTREAM,
		rc == CV_H1_MORE ? "the upstream closed without a response"
				 : cv_h1_rc_row(rc)->text);
}
