/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step.c - what a flow does next, by its state; and the ways in which one ends
 *
 * A flow ends in one of two ways.  finish: the sandbox has still to get some last bytes (a denial,
 * the end of a response); they are sent, our side is half-closed, and what the sandbox still
 * sends is read and thrown away for a moment, because closing a socket with unread bytes makes
 * the kernel send a reset that destroys the answer on its way.  end: now.
 */
#include "base/assert.h"
#include "proxy/approve.h"
#include "proxy/denial.h"
#include "proxy/local.h"
#include "proxy/mint.h"
#include "proxy/routes.h"
#include "proxy/spend.h"
#include "proxy/tools.h"
#include "proxy/h2.h"
#include "proxy/postgres.h"
#include "proxy/websocket.h"

#include <stdlib.h>
#include <sys/epoll.h>

void cv_flow_drop_server(struct cv_flow *f)
{
	f->closed_up += f->server.bytes_out;
	f->closed_down += f->server.bytes_in;
	f->server.bytes_out = f->server.bytes_in = 0;
	cv_dial_stop(f);
	cv_leg_close(&f->server);
	f->server_tls = CV_SERVER_PLAIN;
}

/* The record of the end belongs to what was allowed and carried bytes. */
static void end_record(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_ALLOW,
		.activity = CV_ACTIVITY_CLOSE,
		.has_counts = true,
	};
	const bool was_decided = f->is_decided;

	if (!f->is_allowed || f->is_tools) /* nothing left the machine */
		return;
	cv_decide_record(p, f, &fact);
	f->is_allowed = false;
	f->is_decided = was_decided;
}

/* The streams of f go before it: those that the sandbox opened, or those to the upstream. */
static void h2_drop(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->h2->is_client)
		cv_h2_up_drop(p, f);
	else
		cv_h2_down_drop(p, f);
}

void cv_server_move(struct cv_proxy *p, struct cv_flow *from, struct cv_flow *to)
{
	const struct cv_watch w = { .kind = CV_WATCH_SERVER, .ref = cv_flow_ref(to) };

	cv_leg_move(&from->server, &to->server);
	to->dialled = from->dialled;
	to->is_forwarded = from->is_forwarded;
	cv_loop_remove(&p->loop, to->server.fd);
	if (cv_loop_add(&p->loop, to->server.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, w,
		    NULL) != CV_OK)
		cv_leg_close(&to->server);
}

void cv_flow_end(struct cv_proxy *p, struct cv_flow *f, bool reset)
{
	if (f->state == CV_FLOW_DYING)
		return;
	cv_approve_end(p, f);
	if (f->h2)
		h2_drop(p, f);
	if (f->is_inner)
		cv_h2_count(p, f);
	else
		end_record(p, f);
	cv_spend_bytes_last(p, f);
	if (reset)
		cv_leg_reset(&f->client);
	else
		cv_leg_close(&f->client);
	cv_dial_stop(f);
	cv_idle_put(p, f);
	cv_leg_close(&f->server);
	cv_local_end(p, f);
	cv_h2_free(f);
	free(f->stream);
	f->stream = NULL;
	cv_policy_unref(f->policy);
	f->policy = NULL;
	cv_call_routes_unref(f->routes);
	f->routes = NULL;
	free((void *)(uintptr_t)f->http.method.p);
	cv_body_fini(&f->http.up);
	cv_body_fini(&f->http.down);
	cv_hold_end(f);
	cv_mint_end(f);
	cv_cred_end(f);
	cv_middleware_end(f);
	if (!f->is_inner)
		free(f->who);
	f->who = NULL;
	cv_websocket_free(p, f);
	cv_postgres_free(f);
	cv_flow_set_state(f, CV_FLOW_DYING, p->loop.now_ms);
}

void cv_flow_finish(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->state == CV_FLOW_DYING || f->state == CV_FLOW_CLOSING)
		return;
	cv_approve_end(p, f);
	cv_leg_shut(&f->client);
	if (f->h2)
		h2_drop(p, f);
	cv_idle_put(p, f);
	cv_flow_drop_server(f);
	cv_websocket_free(p, f);
	cv_flow_set_state(f, CV_FLOW_CLOSING, p->loop.now_ms);
}

/* Throws away what still comes; the end when the sandbox has closed too, or talks too much. */
static bool closing_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *c = &f->client;

	if (f->stream) { /* the session ends it, when all is sent */
		if (!c->link || !c->link->h2)
			cv_flow_end(p, f, false);
		return false;
	}
	while (c->can_read && !c->is_wire_eof && f->drained <= CV_PROXY_DRAIN_BYTES_MAX)
		f->drained += cv_leg_discard(c);
	if (c->is_shut && !f->is_lingering) {
		f->is_lingering = true;
		f->deadline_ms = p->loop.now_ms + CV_PROXY_LINGER_MS;
	}
	/* after TLS's own end nothing more comes but the socket's */
	if (c->is_broken || (c->is_shut && (c->is_wire_eof || c->is_eof)) ||
		f->drained > CV_PROXY_DRAIN_BYTES_MAX)
		cv_flow_end(p, f, false);
	return false;
}

void cv_flow_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_denial_text late = { .why = CV_STR("the upstream did not answer in time") };
	const struct cv_denial_text none = { 0 };
	const struct cv_fact fact = {
		.activity = CV_ACTIVITY_FAIL,
		.reason_code = cv_denial_code(CV_DENIAL_UNREACHABLE),
		.reason = CV_STR("no connection in time"),
	};

	switch (f->state) {
	case CV_FLOW_RESOLVE:
	case CV_FLOW_DIAL:
		cv_decide_record(p, f, &fact);
		if (f->h2) {
			cv_h2_up_fail(p, f, CV_DENIAL_UNREACHABLE, NULL);
			return;
		}
		if (!f->is_transparent || f->http.is_late) {
			cv_deny(p, f, CV_DENIAL_UNREACHABLE, &none);
			return;
		}
		break;
	case CV_FLOW_HTTP:
		if (f->local) {
			cv_local_timeout(p, f);
			return;
		}
		if (cv_cred_timeout(p, f) || cv_cred_body_timeout(p, f))
			return;
		if (f->is_tools && cv_tools_timeout(p, f))
			return;
		if (f->http.is_decided ||
			(f->http.phase == CV_HTTP_EXCHANGE && !f->http.has_response)) {
			cv_deny(p, f, CV_DENIAL_TIMEOUT, &late);
			return;
		}
		break;
	case CV_FLOW_FORWARD: cv_forward_timeout(p, f); return;
	case CV_FLOW_LEAF: cv_tls_leaf_timeout(p, f); return;
	case CV_FLOW_H2: cv_h2_down_timeout(p, f); return;
	case CV_FLOW_H2_UP: cv_h2_up_timeout(p, f); return;
	case CV_FLOW_WEBSOCKET: cv_websocket_timeout(p, f); return;
	case CV_FLOW_HEAD:
	case CV_FLOW_QUIET:
	case CV_FLOW_HELD:
	case CV_FLOW_PEEK:
	case CV_FLOW_ACCEPT:
	case CV_FLOW_RELAY:
	case CV_FLOW_DNS:
	case CV_FLOW_CLOSING: break;
	case CV_FLOW_PG:
		if (cv_cred_timeout(p, f))
			return;
		break;
	case CV_FLOW_FREE:
	case CV_FLOW_DYING:
	case CV_FLOW_STATE_COUNT: cv_unreachable();
	}
	cv_flow_end(p, f, f->state != CV_FLOW_CLOSING && f->state != CV_FLOW_HEAD);
}

bool cv_step(struct cv_proxy *p, struct cv_flow *f)
{
	cv_arena_reset(&p->arena);
	p->creds.planned = CV_STR_NONE;
	switch (f->state) {
	case CV_FLOW_HEAD: return cv_explicit_step(p, f);
	case CV_FLOW_QUIET: return cv_transparent_step(p, f);
	case CV_FLOW_RESOLVE: return cv_resolve_step(p, f);
	case CV_FLOW_DIAL: return cv_dial_step(p, f);
	case CV_FLOW_FORWARD: return cv_forward_step(p, f);
	case CV_FLOW_PEEK: return cv_peek_step(p, f);
	case CV_FLOW_LEAF: return cv_tls_leaf_step(p, f);
	case CV_FLOW_ACCEPT: return cv_tls_accept_step(p, f);
	case CV_FLOW_HTTP: return cv_http_step(p, f);
	case CV_FLOW_RELAY: return cv_relay_step(p, f);
	case CV_FLOW_WEBSOCKET: return cv_websocket_step(p, f);
	case CV_FLOW_PG: return cv_postgres_step(p, f);
	case CV_FLOW_DNS: return cv_dnsd_step(p, f);
	case CV_FLOW_H2: return cv_h2_down_step(p, f);
	case CV_FLOW_H2_UP: return cv_h2_up_step(p, f);
	case CV_FLOW_CLOSING: return closing_step(p, f);
	case CV_FLOW_HELD: /* until the end of this turn */
	case CV_FLOW_DYING: return false;
	case CV_FLOW_FREE:
	case CV_FLOW_STATE_COUNT: break;
	}
	cv_unreachable();
}
