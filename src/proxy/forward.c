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
 * The proxy itself is the run's owner's choice: its address is not checked.  Its answer is read up
 * to the end of the head and never shown; anything but 2xx ends the connection with a reason of
 * our own.
 */
#include "proxy/h2.h"
#include "proxy/inside.h"

#include "base/base64.h"

#include <stdlib.h>

bool cv_forward_take(struct cv_proxy *p, struct cv_str body, struct cv_str secret)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_forwarding *to = &p->forward;
	const struct cv_str url = cv_ipc_get_str(&r);
	const struct cv_str list = cv_ipc_get_str(&r);
	struct cv_buf b;

	to->is_by_name = cv_ipc_get_u32(&r) != 0;
	to->words = calloc(1, sizeof(*to->words));
	if (!to->words || !cv_ipc_reader_is_done(&r) ||
		cv_forward_parse(url, to->words, NULL) != CV_OK ||
		cv_forward_direct_parse(list, to->words, NULL) != CV_OK)
		return false;
	if (!secret.n)
		return true;
	cv_buf_init(&b, 2 * CV_FORWARD_SECRET_BYTES_MAX);
	if (!cv_buf_put_base64(&b, secret, CV_BASE64_STD))
		return false;
	to->secret = cv_buf_str(&b); /* the proxy's from here on */
	return true;
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

void cv_forward_start(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_authority to = { f->host, f->port };
	struct cv_buf b;

	if (!p->forward.is_by_name)
		cv_host_from_ip(&f->dialled, &to.host);
	cv_buf_init(&b, CV_PROXY_FORWARD_HEAD_BYTES_MAX);
	cv_buf_put(&b, CV_STR("CONNECT "));
	cv_authority_write(&b, &to, 0);
	cv_buf_put(&b, CV_STR(" HTTP/1.1\r\nHost: "));
	cv_authority_write(&b, &to, 0);
	cv_buf_put(&b, CV_STR("\r\n"));
	if (p->forward.secret.n) {
		cv_buf_put(&b, CV_STR("Proxy-Authorization: Basic "));
		cv_buf_put(&b, p->forward.secret);
		cv_buf_put(&b, CV_STR("\r\n"));
	}
	cv_buf_put(&b, CV_STR("\r\n"));
	cv_flow_set_state(f, CV_FLOW_FORWARD, p->loop.now_ms);
	const bool is_put = cv_leg_put(&f->server, cv_buf_str(&b)) == cv_buf_len(&b);
	cv_buf_wipe(&b);
	f->http.response_scanned = 0;
	if (!is_put)
		fail(p, f, "no memory for the request");
}

/* What a status says about whose mistake it is. */
static const char *refusal(struct cv_proxy *p, int status)
{
	if (status == 407)
		return p->forward.secret.n ? "it does not take our credentials (407)"
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
