/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.c - tunnels by way of an upstream proxy, where a network has no other way out
 *
 * Only tunnels go by it (CONNECT and transparent connections): a plain http:// request would have
 * to be said to it in clear.  The destination was looked up and checked as ever, and the CONNECT
 * line names the address that was checked, so that the proxy's own idea of the name decides
 * nothing; with by_name it names the host, for proxies that insist, and then what the name leads
 * to is the proxy's to decide.  TLS inside is verified for the name either way.
 *
 * What it has to be shown is the keeper's, which says it once for each connection; until then the
 * flow waits in its state, and nothing is said to the upstream proxy.
 *
 * The proxy itself is the run's owner's choice: its address is not checked.  Its answer is read up
 * to the end of the head and never shown; anything but 2xx ends the connection with a reason of
 * our own.
 */
#include "proxy/h2.h"
#include "proxy/inside.h"

#include <stdlib.h>

bool cv_forward_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_forwarding *to = &p->forward;
	const struct cv_str url = cv_ipc_get_str(&r);
	const struct cv_str list = cv_ipc_get_str(&r);

	to->is_by_name = cv_ipc_get_u32(&r) != 0;
	to->has_secret = cv_ipc_get_u32(&r) != 0;
	to->words = calloc(1, sizeof(*to->words));
	return to->words && cv_ipc_reader_is_done(&r) &&
	       cv_forward_parse(url, to->words, NULL) == CV_OK &&
	       cv_forward_direct_parse(list, to->words, NULL) == CV_OK;
}

bool cv_forward_wants(
	const struct cv_proxy *p, const struct cv_flow *f, const struct cv_addresses *a)
{
	return p->forward.words && f->is_tunnel &&
	       !cv_forward_is_direct(p->forward.words, &f->host, f->port, a->ip, a->n);
}

/* Of the checked addresses the one to ask for: IPv4 if there is one, which every proxy can reach. */
void cv_forward_choose(struct cv_flow *f, const struct cv_addresses *a)
{
	f->is_forwarded = true;
	f->dialled = a->ip[0];
	for (size_t i = 0; i < a->n; i++) {
		if (!a->ip[i].is_v4)
			continue;
		f->dialled = a->ip[i];
		return;
	}
}

static void fail(struct cv_proxy *p, struct cv_flow *f, const char *why)
{
	cv_dial_fail(p, f, CV_DENIAL_UPSTREAM_PROXY, why);
}

/* The request; authorization empty: none is shown. */
static void connect_put(struct cv_proxy *p, struct cv_flow *f, struct cv_str authorization)
{
	struct cv_authority to = { f->host, f->port };
	struct cv_buf b;

	if (!p->forward.is_by_name)
		cv_host_from_ip(&f->dialled, &to.host);
	cv_buf_init(&b, CV_PROXY_FORWARD_HEAD_BYTES_MAX);
	cv_buf_reserve(&b, CV_PROXY_FORWARD_HEAD_BYTES_MAX); /* it does not move, and is wiped */
	cv_buf_put(&b, CV_STR("CONNECT "));
	cv_authority_write(&b, &to, 0);
	cv_buf_put(&b, CV_STR(" HTTP/1.1\r\nHost: "));
	cv_authority_write(&b, &to, 0);
	cv_buf_put(&b, CV_STR("\r\n"));
	if (authorization.n) {
		cv_buf_put(&b, CV_STR("Proxy-Authorization: "));
		cv_buf_put(&b, authorization);
		cv_buf_put(&b, CV_STR("\r\n"));
	}
	cv_buf_put(&b, CV_STR("\r\n"));
	const bool is_put =
		!b.is_overflown && cv_leg_send(&f->server, cv_buf_str(&b)) == cv_buf_len(&b);
	cv_buf_wipe(&b);
	if (!is_put)
		fail(p, f, "no memory for the request");
}

static bool value_ask(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_buf b;

	if (++p->forward.tag == 0)
		p->forward.tag = 1;
	f->forward_tag = p->forward.tag;
	cv_buf_init(&b, 4);
	const bool is_sent = p->keeper >= 0 && cv_ipc_put_u32(&b, f->forward_tag) &&
			     cv_ipc_send(p->keeper, CV_KEEPER_REQ_UPSTREAM, cv_buf_str(&b), NULL, 0,
				     NULL) == CV_OK;
	cv_buf_fini(&b);
	return is_sent;
}

void cv_forward_start(struct cv_proxy *p, struct cv_flow *f)
{
	cv_flow_set_state(f, CV_FLOW_FORWARD, p->loop.now_ms);
	f->http.response_scanned = 0;
	if (!p->forward.has_secret)
		connect_put(p, f, CV_STR_NONE);
	else if (!value_ask(p, f))
		fail(p, f, "the credentials for it can't be had now");
}

bool cv_forward_value_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t tag = cv_ipc_get_u32(&r);
	const struct cv_str value = cv_ipc_get_str(&r);

	if (!cv_ipc_reader_is_done(&r) || !tag)
		return false;
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FORWARD || f->forward_tag != tag)
			continue;
		f->forward_tag = 0;
		connect_put(p, f, value);
		cv_proxy_queue(p, f);
	}
	return true;
}

void cv_forward_keeper_lost(struct cv_proxy *p)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FORWARD || !f->forward_tag)
			continue;
		f->forward_tag = 0;
		fail(p, f, "the credentials for it can't be had now");
		cv_proxy_queue(p, f);
	}
}

/* What a status says about whose mistake it is. */
static const char *refusal(struct cv_proxy *p, int status)
{
	if (status == 407)
		return p->forward.has_secret ? "it does not take our credentials (407)"
					     : "it wants credentials (407)";
	const struct cv_str s = cv_arena_printf(&p->arena, "it answered %d", status);
	return s.p ? s.p : "it refused";
}

bool cv_forward_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *s = &f->server;

	if (f->client.has_hangup && f->client.can_read && cv_leg_fill(&f->client) &&
		f->client.is_broken) {
		cv_flow_end(p, f, false);
		return false;
	}
	if (f->forward_tag) /* it was asked nothing yet */
		return false;
	const bool has_moved = cv_leg_fill(s);
	const struct cv_str text = cv_leg_text(s);
	const enum cv_h1_rc rc = cv_h1_response_parse(text, CV_PROXY_FORWARD_HEAD_BYTES_MAX,
		&f->http.response_scanned, CV_H1_ASKED_CONNECT, &p->response);

	if (rc == CV_H1_MORE && !s->is_eof)
		return has_moved;
	f->http.response_scanned = 0;
	if (rc != CV_H1_OK) {
		fail(p, f,
			rc == CV_H1_MORE        ? "it closed without an answer"
			: rc == CV_H1_HEAD_LONG ? "the head of its answer is too long"
						: "its answer is not HTTP");
		return true;
	}
	if (p->response.status >= 100 && p->response.status < 200 && p->response.status != 101) {
		cv_leg_take(s, p->response.head_bytes);
		return true;
	}
	if (p->response.status < 200 || p->response.status > 299) {
		fail(p, f, refusal(p, p->response.status));
		return true;
	}
	cv_leg_take(s, p->response.head_bytes);
	cv_dial_done(p, f);
	return true;
}

void cv_forward_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	fail(p, f, "it did not answer in time");
}
