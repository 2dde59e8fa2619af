/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peek.c - what a tunnel speaks, from its first bytes
 *
 *     verdict of CONNECT     client speaks first                        server speaks first
 *     protocol: tcp          relayed, never looked at                   relayed
 *     tls: skip              TLS: SNI must be the host; then relayed    relayed
 *     to be inspected        TLS: ended here; HTTP/1: parsed;           waits for the client
 *                            HTTP/2 in clear: where the endpoint says
 *                            h2c; anything else is refused (T5)
 *     plain L4               TLS: ended here, or relayed when ours      relayed
 *                            can't be what it wants (ALPN without
 *                            h2 and http/1.1); HTTP/1: parsed for its
 *                            authority; anything else is relayed
 *
 * There is no timer in it: where nothing would be inspected, the upstream is connected and both
 * sides are watched, so a protocol whose server speaks first loses no time (OpenShell waits
 * 100 ms for the client).  The same table holds again inside TLS that was ended here.
 *
 * TLS is ended on plain L4 endpoints too, as upstream does, so that a Host inside can't differ
 * from the name that was allowed (T2).
 */
#include "proxy/h2.h"
#include "proxy/inside.h"

#include "wire/clienthello.h"

/* TLS's own words for a refusal, before any handshake: fatal, access_denied (RFC 8446 6.2). */
#define TLS_ACCESS_DENIED CV_STR("\x15\x03\x03\x00\x02\x02\x31")
#define TLS_NO_PROTOCOL   CV_STR("\x15\x03\x03\x00\x02\x02\x78") /* no_application_protocol */

static bool hello_refuse(struct cv_proxy *p, struct cv_flow *f, struct cv_str alert,
	const char *code, struct cv_str reason, struct cv_str sni)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.engine = "tls",
		.reason_code = code,
		.reason = reason,
		.sni = sni,
	};

	cv_decide_record(p, f, &fact);
	cv_leg_put(&f->client, alert);
	cv_flow_finish(p, f);
	return true;
}

static bool relay_start(struct cv_proxy *p, struct cv_flow *f)
{
	if (!cv_middleware_tunnel_refuse(p, f))
		cv_flow_set_state(f, CV_FLOW_RELAY, p->loop.now_ms);
	return true;
}

/* The name in the hello is the one that was allowed.  Without a name in it: fine where we end the
 * TLS (the upstream is verified for the allowed name anyway) or where there is no name. */
static bool sni_is_fine(const struct cv_flow *f, const struct cv_hello *h, bool is_relayed)
{
	if (h->sni.n == 0)
		return f->host.is_ip || !is_relayed;
	return !f->host.is_ip && cv_str_eq(cv_name_str(&h->sni), cv_host_str(&f->host));
}

static bool hello_step(struct cv_proxy *p, struct cv_flow *f, struct cv_str text)
{
	static struct cv_hello h; /* scratch */
	const uint32_t obligations = f->verdict.obligations;
	bool is_relayed = obligations & CV_OBLIGE_TLS_SKIP;

	switch (cv_hello_parse(text, &h)) {
	case CV_HELLO_NEED_MORE:
		if (text.n < CV_PROXY_HEAD_BYTES_MAX && !f->client.is_eof)
			return false;
		return hello_refuse(p, f, TLS_ACCESS_DENIED, "tls_hello_refused",
			CV_STR("ClientHello is too long or was cut"), CV_STR_NONE);
	case CV_HELLO_NOT_TLS:
	case CV_HELLO_ERROR:
		return hello_refuse(p, f, TLS_ACCESS_DENIED, "tls_hello_refused",
			cv_str_of(cv_hello_problem_text(h.problem)), CV_STR_NONE);
	case CV_HELLO_OK: break;
	}
	if (!sni_is_fine(f, &h, is_relayed))
		return hello_refuse(p, f, TLS_ACCESS_DENIED, "sni_mismatch",
			h.sni.n ? cv_arena_printf(&p->arena,
					  "TLS server name %s is not the host %s that was allowed",
					  h.sni.text, f->host.text)
				: CV_STR("TLS without a server name can't be checked"),
			cv_name_str(&h.sni));
	if (h.has_alpn && !h.offers_http11 && !h.offers_h2 && !is_relayed) {
		if (obligations & CV_OBLIGE_INSPECT)
			return hello_refuse(p, f, TLS_NO_PROTOCOL,
				cv_denial_code(CV_DENIAL_PROTOCOL),
				CV_STR("the client offers no protocol that can be inspected "
				       "(h2, http/1.1)"),
				cv_name_str(&h.sni));
		is_relayed = true;
	}
	if (is_relayed)
		return sni_is_fine(f, &h, true)
			       ? relay_start(p, f)
			       : hello_refuse(p, f, TLS_ACCESS_DENIED, "sni_mismatch",
					 CV_STR("TLS without a server name can't "
						"be checked"),
					 CV_STR_NONE);
	f->is_tls = true;
	f->server_tls = CV_SERVER_TLS_LATER;
	cv_flow_set_state(f, CV_FLOW_LEAF, p->loop.now_ms);
	return true;
}

/* Methods that a client of HTTP starts with.  Where nothing is inspected, other words and a space
 * may be any protocol's. */
static bool is_http_method(struct cv_str text)
{
	static const struct cv_str method[] = { CV_STR("GET "), CV_STR("HEAD "), CV_STR("POST "),
		CV_STR("PUT "), CV_STR("DELETE "), CV_STR("OPTIONS "), CV_STR("PATCH "),
		CV_STR("TRACE "), CV_STR("CONNECT "), CV_STR("PROPFIND "), CV_STR("PROPPATCH "),
		CV_STR("MKCOL "), CV_STR("COPY "), CV_STR("MOVE "), CV_STR("LOCK "),
		CV_STR("UNLOCK "), CV_STR("REPORT "), CV_STR("SEARCH ") };

	for (size_t i = 0; i < CV_ARRAY_LEN(method); i++)
		if (cv_str_has_prefix(text, method[i]))
			return true;
	return false;
}

static bool bytes_refuse(struct cv_proxy *p, struct cv_flow *f, struct cv_str why)
{
	return cv_inside_refuse(p, f, CV_DENIAL_PROTOCOL, NULL, why);
}

/* What it is, is known. */
static bool spoken(struct cv_proxy *p, struct cv_flow *f, enum cv_peek what, struct cv_str text)
{
	const bool is_inspected = f->verdict.obligations & CV_OBLIGE_INSPECT;

	if (f->verdict.obligations & CV_OBLIGE_TLS_SKIP)
		return what == CV_PEEK_TLS ? hello_step(p, f, text) : relay_start(p, f);
	switch (what) {
	case CV_PEEK_TLS:
		if (!f->is_tls)
			return hello_step(p, f, text);
		return is_inspected ? bytes_refuse(p, f,
					      CV_STR("TLS inside TLS is not supported "
						     "for L7-inspected endpoints"))
				    : relay_start(p, f);
	case CV_PEEK_HTTP1:
		if (!is_inspected && !is_http_method(text))
			return relay_start(p, f);
		cv_http_start(f);
		cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
		return true;
	case CV_PEEK_HTTP2:
		if (is_inspected && (f->is_tls || !(f->verdict.obligations & CV_OBLIGE_H2C)))
			return bytes_refuse(p, f,
				CV_STR("HTTP/2 with prior knowledge (h2c) is not supported for "
				       "L7-inspected endpoints, unless they say so"));
		cv_h2_down_start(p, f); /* for its authorities, at least */
		return true;
	case CV_PEEK_OTHER:
		return is_inspected ? bytes_refuse(p, f,
					      CV_STR("the tunnel carries neither TLS nor "
						     "HTTP/1, which an L7-inspected "
						     "endpoint needs"))
				    : relay_start(p, f);
	case CV_PEEK_NEED_MORE:
	case CV_PEEK_COUNT: break;
	}
	return false;
}

/* A server of HTTP/2 may speak first, but what counts is what its client says: were it relayed for
 * that, a client that waits a moment could name any authority. */
static bool is_settings(struct cv_str text)
{
	struct cv_h2_scan scan = { .left = 0 };
	struct cv_h2_frame frame;

	return cv_h2_scan_next(&scan, &text, &frame) && frame.type == NGHTTP2_SETTINGS &&
	       frame.stream == 0 && frame.length % 6 == 0;
}

/* The upstream said something before the client did.  Under TLS that takes its handshake. */
static bool server_spoke(struct cv_proxy *p, struct cv_flow *f, bool *ret_is_broken)
{
	*ret_is_broken = cv_tls_server_shake(p, f) == CV_TLS_FAILED;
	cv_leg_fill(&f->server);
	const struct cv_str text = cv_leg_text(&f->server);
	return text.n > 0 && !is_settings(text);
}

bool cv_peek_step(struct cv_proxy *p, struct cv_flow *f)
{
	const bool is_inspected = f->verdict.obligations & CV_OBLIGE_INSPECT;
	bool has_moved = cv_leg_fill(&f->client);
	const struct cv_str text = cv_leg_text(&f->client);
	size_t need = 0;
	bool is_broken = false;

	if (f->client.is_broken) {
		cv_flow_end(p, f, true);
		return false;
	}
	const enum cv_peek what = cv_peek_classify(text, is_inspected, &need);
	if (what != CV_PEEK_NEED_MORE)
		return spoken(p, f, what, text) || has_moved;
	if (!is_inspected && server_spoke(p, f, &is_broken))
		return relay_start(p, f);
	if (f->client.is_eof && is_inspected) {
		cv_flow_end(p, f, false);
		return false;
	}
	if (is_broken) /* told in HTTP if that is spoken, else by the end */
		return has_moved;
	if (f->client.is_eof || f->server.is_eof)
		return relay_start(p, f);
	return has_moved;
}
