/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_up.c - the upstream's side of HTTP/2
 *
 * The connection that was dialled for D's CONNECT waits until a stream of D may pass; then it is
 * U's, and its handshake starts: for a refused stream the upstream never hears a word.  ALPN
 * decides for all of D.  h2: every stream is joined to U's session.  http/1.1: the first stream
 * that waits gets the connection, and each other one takes a kept one (idle.h) or dials its own.
 * A kept one that chose http/1.1 decides, too.
 *
 * A U that said GOAWAY, or is lost, gets no more streams: the next one makes a new U, whose name
 * is looked up and whose addresses are checked again.  Streams that the upstream says it never
 * looked at are sent there once more if they have no body, else refused towards the sandbox in the
 * same words, so its client may try again; others are cut off and never tried again by us.
 */
#include "proxy/denial.h"
#include "proxy/h2.h"

#include "base/assert.h"

#include <stdio.h>

static struct cv_flow *owner_of(struct cv_proxy *p, const struct cv_flow *f)
{
	return cv_flow_get(&p->flows, f->stream ? f->stream->owner : f->h2->owner);
}

static bool is_taking(const struct cv_flow *u)
{
	return u && u->state != CV_FLOW_DYING && u->h2 && !u->h2->is_draining && !u->h2->is_over;
}

/* The same of one whose place another has got. */
static struct cv_flow *forgotten(
	struct cv_proxy *p, const struct cv_flow *d, const struct cv_bond *bond)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *u = &p->flows.v[i];

		if (u->state != CV_FLOW_FREE && is_taking(u) && u->h2->is_client &&
			u->h2->owner.index == d->index && u->h2->owner.gen == d->gen &&
			cv_bond_carries(&u->h2->bond, bond))
			return u;
	}
	return NULL;
}

/* D's U that takes new streams of that bond, if there is one. */
static struct cv_flow *current(
	struct cv_proxy *p, const struct cv_flow *d, const struct cv_bond *bond)
{
	bool has_room = false; /* so all of them are here */

	for (size_t i = 0; i < CV_H2_UPSTREAMS_MAX; i++) {
		struct cv_flow *u = cv_flow_get(&p->flows, d->h2->up[i]);

		if (is_taking(u) && cv_bond_carries(&u->h2->bond, bond))
			return u;
		has_room |= !is_taking(u);
	}
	return has_room ? NULL : forgotten(p, d, bond);
}

static bool has_current(struct cv_proxy *p, const struct cv_flow *d)
{
	for (size_t i = 0; i < CV_H2_UPSTREAMS_MAX; i++)
		if (is_taking(cv_flow_get(&p->flows, d->h2->up[i])))
			return true;
	return false;
}

/* u is current; if need be instead of another, which goes on with the streams that it has. */
static void current_set(struct cv_proxy *p, struct cv_flow *d, const struct cv_flow *u)
{
	struct cv_h2 *h2 = d->h2;
	size_t at = 0;

	while (at < CV_H2_UPSTREAMS_MAX && is_taking(cv_flow_get(&p->flows, h2->up[at])))
		at++;
	if (at == CV_H2_UPSTREAMS_MAX)
		at = h2->up_next++ % CV_H2_UPSTREAMS_MAX;
	h2->up[at] = cv_flow_ref(u);
}

/* A stream whose head may pass, and which has no upstream yet. */
static bool is_waiting(const struct cv_flow *v)
{
	return v->state == CV_FLOW_HTTP && v->http.is_decided &&
	       v->http.phase == CV_HTTP_REQUEST_HEAD && !cv_leg_is_open(&v->server);
}

static void waiting_queue(struct cv_proxy *p, struct cv_flow *d)
{
	for (struct cv_h2_link *l = d->h2->links; l; l = l->next)
		if (is_waiting(l->flow))
			cv_proxy_queue(p, l->flow);
}

/* For streams of that bond; is_repeatable: of the one that it is made for. */
static struct cv_flow *up_new(
	struct cv_proxy *p, struct cv_flow *d, const struct cv_bond *bond, bool is_repeatable)
{
	struct cv_flow *u = cv_h2_inner_new(p, d);

	if (!u)
		return NULL;
	if (d->server.has_hangup) /* it did not wait for us */
		cv_flow_drop_server(d);
	const bool has_connection = cv_leg_is_open(&d->server);
	u->server_tls = u->is_tls ? CV_SERVER_TLS_LATER : CV_SERVER_PLAIN;
	cv_flow_set_state(u, has_connection ? CV_FLOW_H2_UP : CV_FLOW_RESOLVE, p->loop.now_ms);
	if (!cv_h2_new(p, u, true)) {
		cv_flow_end(p, u, false);
		cv_proxy_queue(p, u);
		return NULL;
	}
	u->h2->owner = cv_flow_ref(d);
	u->h2->bond = *bond;
	u->http.is_repeatable = is_repeatable;
	if (has_connection)
		cv_server_move(p, d, u);
	/* what this turn allowed is not written yet: without its record this, too, is taken back */
	u->is_decided = has_connection;
	current_set(p, d, u);
	cv_proxy_queue(p, u);
	return u;
}

static enum cv_tls_step own_dial(struct cv_proxy *p, struct cv_flow *v)
{
	if (v->stream->has_dialled) {
		snprintf(v->failure, sizeof(v->failure), "the upstream's connection broke");
		return CV_TLS_FAILED;
	}
	v->stream->has_dialled = true;
	v->server_tls = v->is_tls ? CV_SERVER_TLS_LATER : CV_SERVER_PLAIN;
	cv_flow_set_state(v, CV_FLOW_RESOLVE, p->loop.now_ms);
	cv_proxy_queue(p, v);
	return CV_TLS_WAIT;
}

enum cv_tls_step cv_h2_upstream(struct cv_proxy *p, struct cv_flow *v)
{
	const struct cv_bond bond = cv_bond_of(v);
	struct cv_flow *d = owner_of(p, v);

	if (v->server.link)
		return CV_TLS_DONE;
	cv_assert(d && d->h2);
	if (d->h2->upstream == CV_H2_UPSTREAM_UNKNOWN && !cv_leg_is_open(&d->server) &&
		!has_current(p, d) && cv_idle_is_h1_only(p, d))
		d->h2->upstream = CV_H2_UPSTREAM_H1;
	if (d->h2->upstream == CV_H2_UPSTREAM_H1)
		return own_dial(p, v);
	struct cv_flow *u = current(p, d, &bond);
	if (!u)
		u = up_new(p, d, &bond, v->http.is_repeatable);
	if (!u) {
		snprintf(v->failure, sizeof(v->failure), "no connection is free");
		return CV_TLS_FAILED;
	}
	if (!u->h2->session)
		return CV_TLS_WAIT;
	cv_vleg_open(&v->server, &p->io, &v->stream->up);
	v->stream->up.bond = bond;
	cv_h2_link_add(u->h2, &v->stream->up);
	return CV_TLS_DONE;
}

void cv_h2_up_rejoin(struct cv_proxy *p, struct cv_h2_link *link)
{
	struct cv_flow *d = owner_of(p, link->flow);
	const bool may_go = d && d->h2 && !cv_bond_is_over(p, &link->bond);
	struct cv_flow *u = may_go ? current(p, d, &link->bond) : NULL;

	if (!u && may_go)
		u = up_new(p, d, &link->bond, true);
	link->is_waiting = u && !u->h2->session;
	if (u && u->h2->session) {
		cv_h2_link_add(u->h2, link);
		cv_vleg_flush(link->leg);
	} else if (!u) {
		cv_vleg_cut(link, NGHTTP2_REFUSED_STREAM);
		cv_proxy_queue(p, link->flow);
	}
}

/* Those that waited for the connection u, whose session runs, or never will. */
static void rejoin_all(struct cv_proxy *p, struct cv_flow *d, struct cv_flow *u, bool is_well)
{
	for (struct cv_h2_link *l = d->h2->links; l; l = l->next) {
		struct cv_h2_link *up = &l->flow->stream->up;

		if (!up->is_waiting || !cv_bond_carries(&u->h2->bond, &up->bond))
			continue;
		up->is_waiting = false;
		if (is_well) {
			cv_h2_link_add(u->h2, up);
			cv_vleg_flush(up->leg);
		} else {
			cv_vleg_cut(up, NGHTTP2_REFUSED_STREAM);
			cv_proxy_queue(p, l->flow);
		}
	}
}

void cv_h2_up_head(struct cv_h2_link *link, bool is_ended)
{
	struct cv_h2 *h2 = link->h2;
	struct cv_proxy *p = h2->p;
	struct cv_h2_head head;

	cv_buf_reset(&p->head);
	const enum cv_h2_rc rc =
		cv_h2_response_text(&h2->fields, link->asked, is_ended, &p->head, &head);
	if (rc != CV_H2_OK || !cv_iob_put(&p->io, &link->leg->in, cv_buf_str(&p->head))) {
		nghttp2_submit_rst_stream(
			h2->session, NGHTTP2_FLAG_NONE, link->id, NGHTTP2_PROTOCOL_ERROR);
		cv_vleg_cut(link, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	link->has_in_head = head.status >= 200;
	cv_buf_fini(&link->retry);
	if (link->has_in_head) {
		link->in_kind = head.body;
		link->in_left = head.length;
	}
	cv_proxy_queue(p, link->flow);
	if (is_ended && !cv_vleg_end(link))
		cv_vleg_cut(link, NGHTTP2_PROTOCOL_ERROR);
}

/* ---- U's own life ---- */

static void up_end(struct cv_proxy *p, struct cv_flow *u)
{
	cv_flow_end(p, u, false);
	cv_proxy_queue(p, u);
}

void cv_h2_up_drop(struct cv_proxy *p, struct cv_flow *u)
{
	(void)p;
	u->h2->is_draining = true; /* nothing joins it any more */
	while (u->h2->links) {
		struct cv_h2_link *l = u->h2->links;

		if (u->h2->is_untried && cv_vleg_repeat(l))
			continue;
		cv_vleg_cut(l, NGHTTP2_INTERNAL_ERROR);
		l->id = -1;
		u->h2->links = l->next;
		if (l->next)
			l->next->prev = NULL;
		u->h2->link_count--;
		l->h2 = NULL;
		l->next = NULL;
	}
}

/* The event of a stream that found no upstream; a failed look-up or dial has written its own. */
static void fail_record(struct cv_proxy *p, struct cv_flow *v, struct cv_str why)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_NONE,
		.activity = CV_ACTIVITY_FAIL,
		.engine = "tls",
		.reason_code = cv_denial_code(CV_DENIAL_UPSTREAM_TLS),
		.reason = why,
		.status = 502,
	};

	cv_decide_record(p, v, &fact);
}

void cv_h2_up_fail(struct cv_proxy *p, struct cv_flow *u, unsigned denial, const char *word)
{
	struct cv_flow *d = owner_of(p, u);
	const struct cv_denial_text t = { .why = cv_str_of(word) };

	if (d && d->h2) {
		rejoin_all(p, d, u, false);
		for (struct cv_h2_link *l = d->h2->links; l; l = l->next) {
			const struct cv_bond bond = cv_bond_of(l->flow);

			if (!is_waiting(l->flow) || !cv_bond_carries(&u->h2->bond, &bond))
				continue;
			if (denial == CV_DENIAL_UPSTREAM_TLS)
				fail_record(p, l->flow, t.why);
			cv_deny(p, l->flow, (enum cv_denial)denial, &t);
			cv_proxy_queue(p, l->flow);
		}
	}
	up_end(p, u);
}

static bool speaks_h2(const struct cv_flow *u)
{
	const unsigned char *name = NULL;
	unsigned n = 0;

	if (!u->server.ssl)
		return true; /* prior knowledge: the sandbox's client has it, and policy agreed */
	SSL_get0_alpn_selected(u->server.ssl, &name, &n);
	return cv_str_eq((struct cv_str){ (const char *)name, n }, CV_STR("h2"));
}

/* The upstream chose HTTP/1.1: this connection is the first waiting stream's. */
static void hand_over(struct cv_proxy *p, struct cv_flow *u, struct cv_flow *d)
{
	d->h2->upstream = CV_H2_UPSTREAM_H1;
	u->server.is_h1_only = true;
	rejoin_all(p, d, u, false);
	for (struct cv_h2_link *l = d->h2->links; l; l = l->next) {
		struct cv_flow *v = l->flow;

		if (!is_waiting(v))
			continue;
		cv_server_move(p, u, v);
		v->server_tls = u->server_tls;
		v->stream->has_dialled = true;
		cv_proxy_queue(p, v);
		break;
	}
	waiting_queue(p, d);
	up_end(p, u);
}

void cv_h2_up_run(struct cv_proxy *p, struct cv_flow *u)
{
	struct cv_flow *d = owner_of(p, u);

	cv_assert(d && d->h2);
	d->h2->upstream = CV_H2_UPSTREAM_H2;
	cv_h2_idle(u->h2); /* until the first is joined */
	waiting_queue(p, d);
	rejoin_all(p, d, u, true);
}

/* True when the session runs. */
static bool start(struct cv_proxy *p, struct cv_flow *u)
{
	struct cv_flow *d = owner_of(p, u);

	cv_assert(d && d->h2);
	switch (cv_tls_server_shake(p, u)) {
	case CV_TLS_WAIT: return false;
	case CV_TLS_FAILED: cv_h2_up_fail(p, u, CV_DENIAL_UPSTREAM_TLS, u->failure); return false;
	case CV_TLS_DONE: break;
	}
	if (!speaks_h2(u)) {
		hand_over(p, u, d);
		return false;
	}
	if (!cv_h2_session_start(u->h2)) {
		cv_h2_up_fail(p, u, CV_DENIAL_UPSTREAM_TLS, "no memory for a session");
		return false;
	}
	cv_h2_up_run(p, u);
	return true;
}

static void abuse_record(struct cv_proxy *p, struct cv_flow *u)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_NONE,
		.activity = CV_ACTIVITY_FAIL,
		.engine = "l7",
		.reason_code = cv_denial_code(CV_DENIAL_UPSTREAM),
		.reason = cv_str_of(u->h2->abuse),
	};

	cv_decide_record(p, u, &fact);
}

bool cv_h2_up_step(struct cv_proxy *p, struct cv_flow *u)
{
	struct cv_h2 *h2 = u->h2;
	struct cv_leg *s = &u->server;

	if (!h2->session && !start(p, u))
		return false;
	const bool has_moved = cv_leg_fill(s);
	if (cv_leg_text(s).n)
		h2->is_untried = false;
	const bool is_well = s->is_broken || h2->is_over || cv_h2_receive(h2, s);
	if (s->is_broken || (s->is_eof && !cv_leg_text(s).n) ||
		(h2->is_draining && !h2->links && !nghttp2_session_want_write(h2->session))) {
		up_end(p, u);
		return false;
	}
	if (!is_well || h2->abuse) { /* an upstream that floods or breaks the protocol */
		if (h2->abuse)
			abuse_record(p, u);
		h2->abuse = NULL;
		if (!h2->is_over)
			nghttp2_session_terminate_session(h2->session, NGHTTP2_PROTOCOL_ERROR);
		h2->is_over = true;
		cv_h2_up_drop(p, u);
		cv_h2_mark(h2);
		u->deadline_ms = p->loop.now_ms + CV_PROXY_LINGER_MS;
	}
	if (h2->is_over && !nghttp2_session_want_write(h2->session)) {
		up_end(p, u);
		return false;
	}
	return has_moved;
}

void cv_h2_up_timeout(struct cv_proxy *p, struct cv_flow *u)
{
	if (u->h2->session)
		up_end(p, u);
	else
		cv_h2_up_fail(p, u, CV_DENIAL_UPSTREAM_TLS, "no TLS handshake in time");
}
