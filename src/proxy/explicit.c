/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explicit.c - a program that talks to the proxy as a proxy: CONNECT and http://
 *
 * CONNECT: policy, addresses, connection, and only then 200; so a client learns of a refusal or
 * a failure in HTTP.  Absolute form: the same for the request's own host, and the request itself
 * is decided before anything is looked up.  The connection may be kept: each further request is
 * decided anew, and reaches the upstream connection of the last one only if it is for the same
 * host and port.
 */
#include "proxy/approve.h"
#include "proxy/denial.h"
#include "proxy/inside.h"
#include "proxy/local.h"
#include "proxy/tools.h"

#include "wire/path.h"

static const uint16_t http_port = 80;

/* A head that can't be understood. */
static bool head_refuse(struct cv_proxy *p, struct cv_flow *f, enum cv_h1_rc rc)
{
	const struct cv_h1_rc_row *row = cv_h1_rc_row(rc);
	const int status = row->status == 431 ? 431 : 400;

	cv_decide_record_refusal(p, f, "l7", row->slug, row->text, (unsigned)status);
	cv_deny_bare(p, f, status, CV_STR_NONE);
	return true;
}

static bool target_refuse(struct cv_proxy *p, struct cv_flow *f, struct cv_str why)
{
	const struct cv_denial_text t = { .request = &p->request, .why = why };
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = &p->request,
		.engine = "l7",
		.reason_code = cv_denial_code(CV_DENIAL_TARGET),
		.reason = why,
		.status = 400,
	};

	cv_decide_record(p, f, &fact);
	if (p->request.is_https)
		cv_deny_bare(p, f, 400, why);
	else
		cv_deny(p, f, CV_DENIAL_TARGET, &t);
	return true;
}

/* Where the request wants to go becomes the flow's destination; an upstream connection to
 * elsewhere is closed. */
static void destination_set(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_authority *a, uint16_t port_default)
{
	const uint16_t port = a->port ? a->port : port_default;

	if (cv_leg_is_open(&f->server) && (port != f->port || !cv_host_eq(&a->host, &f->host) ||
						  f->server.is_eof || f->server.is_broken)) {
		cv_idle_put(p, f);
		cv_flow_drop_server(f);
	}
	f->host = a->host;
	f->port = port;
}

/* The policy's no, to a CONNECT or (request not NULL) a plain request. */
static bool connect_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *request)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = request,
		.engine = "opa",
		.status = 403,
	};
	const struct cv_denial_text t = {
		.request = request,
		.why = cv_decide_reason(p, f, &f->verdict, NULL, CV_STR_NONE),
	};

	cv_decide_record(p, f, &fact);
	cv_deny(p, f, CV_DENIAL_POLICY, &t);
	return true;
}

static bool connect_head(struct cv_proxy *p, struct cv_flow *f)
{
	const uint32_t raw = CV_OBLIGE_TLS_SKIP | CV_OBLIGE_TCP;

	cv_idle_put(p, f);
	cv_flow_drop_server(f);
	destination_set(p, f, &p->request.authority, 0);
	cv_leg_take(&f->client, p->request.head_bytes);
	f->is_tunnel = true;
	if (!cv_decide_connect(p, f))
		return connect_refuse(p, f, NULL);
	if (!cv_cred_may_tunnel(f))
		return cv_inside_refuse(p, f, CV_DENIAL_UNINSPECTED, NULL, CV_STR_NONE);
	if (!(f->verdict.obligations & raw) && !p->has_keeper)
		return cv_inside_refuse(p, f, CV_DENIAL_NO_TLS, NULL,
			CV_STR("TLS termination is not available: there is no certificate authority"));
	cv_flow_set_state(f, CV_FLOW_RESOLVE, p->loop.now_ms);
	return true;
}

static bool absolute_head(struct cv_proxy *p, struct cv_flow *f, bool has_moved)
{
	static struct cv_path path; /* scratch */
	struct cv_h1_request *r = &p->request;

	if (r->is_https)
		return target_refuse(p, f, CV_STR("Use CONNECT for HTTPS URLs"));
	destination_set(p, f, &r->authority, http_port);
	if (!cv_decide_connect(p, f))
		return connect_refuse(p, f, r);
	if (f->verdict.obligations & CV_OBLIGE_POSTGRES)
		return cv_inside_refuse(p, f, CV_DENIAL_PROTOCOL, r,
			CV_STR("the endpoint speaks PostgreSQL, not HTTP"));
	if (!cv_inside_decide(p, f, r, &path))
		return true; /* answered */
	switch (cv_approve_request(p, f, r, cv_path_str(&path))) {
	case CV_APPROVE_WAIT: return has_moved;
	case CV_APPROVE_ENDED: return true;
	case CV_APPROVE_PASS: break;
	}
	if (!cv_cred_is_without(p, f, r, cv_path_str(&path)))
		return true; /* answered */
	f->http.is_decided = true;
	f->http.is_repeatable = cv_idle_is_repeatable(f, r);
	f->http.wants_new = r->is_upgrade;
	if (!cv_leg_is_open(&f->server)) {
		cv_flow_set_state(f, CV_FLOW_RESOLVE, p->loop.now_ms);
		return true;
	}
	cv_inside_record(p, f, r, cv_path_str(&path));
	f->http.phase = CV_HTTP_REQUEST_HEAD;
	cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
	return true;
}

bool cv_explicit_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);
	const struct cv_str text = cv_leg_text(c);

	if (cv_leg_is_open(&f->server) && cv_leg_fill(&f->server))
		cv_flow_drop_server(f); /* closed while idle, or said something unasked */
	if (c->is_broken || (c->is_eof && !text.n)) {
		cv_flow_end(p, f, false);
		return false;
	}
	if (!text.n)
		return has_moved;
	if (f->deadline_ms > p->loop.now_ms + CV_PROXY_HEAD_MS)
		f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	const enum cv_h1_rc rc = cv_h1_request_parse(
		text, CV_H1_PROXY_HEAD_BYTES_MAX, &f->http.scanned, &p->request);
	if (rc == CV_H1_MORE) {
		if (c->is_eof)
			cv_flow_end(p, f, false);
		return has_moved;
	}
	f->http.scanned = 0;
	if (rc != CV_H1_OK)
		return head_refuse(p, f, rc);
	if (!cv_sinks_are_well(&p->sinks))
		return cv_inside_refuse(p, f, CV_DENIAL_AUDIT,
			p->request.form == CV_H1_FORM_AUTHORITY ? NULL : &p->request,
			CV_STR("the audit log can't be written; nothing is allowed until it can"));
	if (cv_tools_explicit(p, f, &p->request) || cv_local_explicit(p, f, &p->request))
		return true;
	switch (p->request.form) {
	case CV_H1_FORM_AUTHORITY: return connect_head(p, f);
	case CV_H1_FORM_ABSOLUTE: return absolute_head(p, f, has_moved);
	case CV_H1_FORM_ORIGIN:
	case CV_H1_FORM_ASTERISK: break;
	}
	return target_refuse(p, f, CV_STR("a proxy needs CONNECT host:port or an http:// URL"));
}
