/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_down.c - the sandbox's side of HTTP/2: a connection whose requests are flows
 *
 * A request's head becomes text and a virtual flow (V), which carries on alone; it begins with the
 * connection's facts: who, where, the policy that allowed it.  A head that is malformed has no
 * text: its stream is reset, and that is recorded.  The verdict of each stream is its own, and so
 * is its end.
 */
#include "proxy/h2.h"
#include "proxy/proxy.h"

#include "base/assert.h"

#include <stdlib.h>

void cv_h2_down_start(struct cv_proxy *p, struct cv_flow *f)
{
	if (!cv_h2_new(p, f, false) || !cv_h2_session_start(f->h2)) {
		cv_flow_end(p, f, true);
		return;
	}
	cv_flow_set_state(f, CV_FLOW_H2, p->loop.now_ms);
	cv_proxy_queue(p, f);
}

/* ---- streams ---- */

static void head_refuse(struct cv_h2 *h2, int32_t id, enum cv_h2_rc rc)
{
	const struct cv_h2_rc_row *row = cv_h2_rc_row(rc);
	uint8_t status[] = ":status", long_head[] = "431";
	const nghttp2_nv nv = { status, long_head, sizeof(status) - 1, sizeof(long_head) - 1, 0 };

	cv_decide_record_refusal(
		h2->p, h2->flow, "l7", row->slug, row->text, rc == CV_H2_LIST_LONG ? 431 : 400);
	if (rc == CV_H2_LIST_LONG)
		nghttp2_submit_response(h2->session, id, &nv, 1, NULL);
	else
		nghttp2_submit_rst_stream(
			h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
}

/* The facts that a stream and an upstream connection have from their connection. */
static void facts_copy(const struct cv_flow *from, struct cv_flow *to, int64_t now_ms)
{
	to->is_tunnel = true;
	to->is_tls = from->is_tls;
	to->who = from->who;
	to->who_problem = from->who_problem;
	to->src_ip = from->src_ip;
	to->src_port = from->src_port;
	to->dst_ip = from->dst_ip;
	to->dst_port = from->dst_port;
	to->host = from->host;
	to->port = from->port;
	to->policy = cv_policy_ref(from->policy);
	to->verdict = from->verdict;
	to->dialled = from->dialled;
	to->started_ms = now_ms;
}

struct cv_flow *cv_h2_inner_new(struct cv_proxy *p, const struct cv_flow *d)
{
	struct cv_flow *f = cv_flow_new_inner(&p->flows);

	if (f)
		facts_copy(d, f, p->loop.now_ms);
	return f;
}

static struct cv_flow *stream_new(struct cv_h2 *h2, int32_t id, const struct cv_h2_head *head)
{
	struct cv_proxy *p = h2->p;
	struct cv_stream *s = calloc(1, sizeof(*s));
	struct cv_flow *v = s ? cv_h2_inner_new(p, h2->flow) : NULL;

	if (!v) {
		free(s);
		return NULL;
	}
	s->owner = cv_flow_ref(h2->flow);
	s->is_grpc = head->is_grpc;
	s->wants_trailers = head->wants_trailers;
	s->down.flow = s->up.flow = v;
	s->down.in_kind = head->body;
	s->down.in_left = head->length;
	s->down.asked = s->up.asked = head->asked;
	v->stream = s;
	cv_vleg_open(&v->client, &p->io, &s->down);
	s->down.id = id;
	cv_h2_link_add(h2, &s->down);
	nghttp2_session_set_stream_user_data(h2->session, id, &s->down);
	cv_http_start(v);
	cv_flow_set_state(v, CV_FLOW_HTTP, p->loop.now_ms);
	v->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	return v;
}

void cv_h2_down_head(struct cv_h2 *h2, int32_t id, bool is_ended)
{
	struct cv_proxy *p = h2->p;
	struct cv_h2_head head;

	cv_buf_reset(&p->head);
	const enum cv_h2_rc rc =
		cv_h2_request_text(&h2->fields, h2->flow->is_tls, is_ended, &p->head, &head);
	if (rc != CV_H2_OK) {
		head_refuse(h2, id, rc);
		return;
	}
	struct cv_flow *v = stream_new(h2, id, &head);
	if (!v) { /* the pool is used up; the client may try again */
		nghttp2_submit_rst_stream(
			h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return;
	}
	cv_proxy_queue(p, v);
	if (!cv_iob_put(&p->io, &v->client.in, cv_buf_str(&p->head)) ||
		(is_ended && !cv_vleg_end(&v->stream->down)))
		cv_h2_stream_end(p, v);
}

void cv_h2_stream_end(struct cv_proxy *p, struct cv_flow *v)
{
	cv_flow_end(p, v, true);
	cv_proxy_queue(p, v); /* freed by way of the queue */
}

void cv_h2_count(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_flow *d = cv_flow_get(&p->flows, f->stream ? f->stream->owner : f->h2->owner);

	if (!d)
		return;
	d->closed_up += f->closed_up + f->server.bytes_out;
	d->closed_down += f->closed_down + f->server.bytes_in;
}

void cv_h2_down_drop(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_ref ref = cv_flow_ref(f);

	while (f->h2->links)
		cv_h2_stream_end(p, f->h2->links->flow);
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *u = &p->flows.v[i];

		if (u->state == CV_FLOW_FREE || u->state == CV_FLOW_DYING || !u->h2 ||
			!u->h2->is_client || u->h2->owner.index != ref.index ||
			u->h2->owner.gen != ref.gen || cv_h2_keep(p, u))
			continue;
		cv_flow_end(p, u, false);
		cv_proxy_queue(p, u);
	}
}

/* ---- the connection ---- */

static bool is_spent(const struct cv_h2 *h2)
{
	return !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session);
}

/* Once, whatever it was: GOAWAY follows, unless the library said it already. */
static void abuse_end(struct cv_h2 *h2)
{
	cv_decide_record_refusal(h2->p, h2->flow, "l7",
		h2->is_over || h2->abuse_error ? "h2_protocol_error" : "h2_flood", h2->abuse, 0);
	cv_h2_terminate(h2, h2->abuse_error ? h2->abuse_error : NGHTTP2_ENHANCE_YOUR_CALM);
	h2->abuse = NULL;
	h2->flow->deadline_ms = h2->p->loop.now_ms + CV_PROXY_LINGER_MS;
}

static void deadline_set(struct cv_proxy *p, struct cv_flow *f, bool has_moved)
{
	const int64_t now = p->loop.now_ms;
	struct cv_h2 *h2 = f->h2;

	if (h2->is_over)
		f->deadline_ms = CV_MIN(f->deadline_ms, now + CV_PROXY_LINGER_MS);
	else if (h2->has_block) /* T20: a head that trickles in */
		f->deadline_ms = CV_MIN(f->deadline_ms, now + CV_PROXY_HEAD_MS);
	else if (h2->links)
		f->deadline_ms = INT64_MAX; /* each stream has its own */
	else if (has_moved || f->deadline_ms > now + CV_PROXY_IDLE_MS)
		f->deadline_ms = now + CV_PROXY_IDLE_MS;
}

bool cv_h2_down_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_h2 *h2 = f->h2;
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);

	if (c->is_broken) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (!h2->is_over && !cv_h2_receive(h2, c) && !h2->abuse)
		h2->abuse = "the session can't go on";
	if (h2->abuse)
		abuse_end(h2);
	if (is_spent(h2)) {
		cv_flow_finish(p, f);
		return true;
	}
	if (c->is_eof && !cv_leg_text(c).n) {
		cv_flow_end(p, f, false);
		return false;
	}
	deadline_set(p, f, has_moved);
	return has_moved && !h2->is_over;
}

void cv_h2_down_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->h2->is_over) { /* it has had its moment to take GOAWAY */
		cv_flow_end(p, f, true);
		return;
	}
	cv_h2_terminate(f->h2, f->h2->has_block ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR);
	f->deadline_ms = p->loop.now_ms + CV_PROXY_LINGER_MS;
}
