/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transparent.c - a program that knows of no proxy, and connects to where it wants to go
 *
 * Its destination is an address.  One that our DNS handed out is the name behind it; any other is
 * itself, an address, and policy has to name it as one.  A synthetic address that is nobody's is
 * refused.  From there on all is as after CONNECT, without the 200.
 *
 * A refused one is looked at for a moment: if it speaks HTTP it gets the same answer as through
 * the explicit proxy; everything else sees a reset, TLS too (it would not believe words that are
 * not encrypted).
 */
#include "proxy/inside.h"
#include "proxy/local.h"
#include "proxy/tools.h"

#include "wire/clienthello.h"

static void refuse(struct cv_proxy *p, struct cv_flow *f, const char *code, struct cv_str reason)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.engine = "opa",
		.reason_code = code,
		.reason = reason,
	};

	cv_decide_record(p, f, &fact);
	cv_flow_set_state(f, CV_FLOW_QUIET, p->loop.now_ms);
	f->client.can_read = true;
}

/* A proxy that was started anew knows none of the names that the former one gave addresses to. */
#define NOBODYS CV_STR("the address belongs to no name that was asked for; look the name up again")

static bool is_nobodys(const struct cv_flow *f)
{
	return f->host.is_ip && cv_names_is_synthetic(&f->dst_ip);
}

void cv_transparent_start(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_str name = cv_names_find(p->names, &f->dst_ip, p->loop.now_ms);

	f->is_transparent = f->is_tunnel = true;
	f->port = f->dst_port;
	cv_host_from_ip(&f->dst_ip, &f->host);
	if (name.n && cv_host_parse_bare(name, &f->host) != CV_HOST_OK)
		cv_host_from_ip(&f->dst_ip, &f->host);
	if (!cv_sinks_are_well(&p->sinks)) {
		cv_decide_connect(p, f); /* so that the record names a policy */
		refuse(p, f, cv_denial_code(CV_DENIAL_AUDIT),
			CV_STR("the audit log can't be written; nothing is allowed until it can"));
		return;
	}
	if (cv_local_transparent(p, f))
		return;
	cv_tools_transparent(f);
	if (!cv_decide_connect(p, f)) {
		refuse(p, f, NULL, is_nobodys(f) ? NOBODYS : CV_STR_NONE);
		return;
	}
	if (f->is_tools) {
		cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
		f->client.can_read = f->client.can_write = true;
		return;
	}
	if (!cv_cred_may_tunnel(f)) {
		refuse(p, f, cv_denial_code(CV_DENIAL_UNINSPECTED),
			CV_STR("a provider's credentials can't be put into a raw tunnel"));
		return;
	}
	cv_flow_set_state(f, CV_FLOW_RESOLVE, p->loop.now_ms);
}

bool cv_transparent_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);
	const struct cv_str text = cv_leg_text(c);
	size_t need;

	switch (cv_peek_classify(text, false, &need)) {
	case CV_PEEK_NEED_MORE:
		if (!c->is_eof && !c->is_broken)
			return has_moved;
		break;
	case CV_PEEK_HTTP1: {
		const struct cv_denial_text t = {
			.why = is_nobodys(f) ? NOBODYS
			       : f->verdict.action == CV_ACTION_DENY
				       ? cv_decide_reason(p, f, &f->verdict, NULL, CV_STR_NONE)
				       : CV_STR("internal address"),
		};

		c->can_write = true;
		if (cv_tools_is_ours(cv_host_str(&f->host)) && !f->is_tools) {
			cv_tools_place_answer(p, f, false);
			return true;
		}
		cv_deny(p, f,
			f->verdict.action == CV_ACTION_DENY ? CV_DENIAL_POLICY : CV_DENIAL_SSRF,
			&t);
		return true;
	}
	case CV_PEEK_TLS:
	case CV_PEEK_HTTP2:
	case CV_PEEK_OTHER:
	case CV_PEEK_COUNT: break;
	}
	cv_flow_end(p, f, true);
	return false;
}
