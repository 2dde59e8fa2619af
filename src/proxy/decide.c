/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - a flow as facts, a verdict as an audit event
 *
 * cv_policy_decide() alone says yes or no; here its question is put together and its answer is
 * written down.  What comes after policy and is no part of it, the check of the addresses that a
 * name led to, is here too.
 */
#include "proxy/local.h"
#include "proxy/tools.h"

#include "policy/destination.h"
#include "policy/explain.h"

#include <stdio.h>

void cv_decide_facts(
	const struct cv_proxy *p, const struct cv_flow *f, enum cv_op op, struct cv_facts *ret)
{
	(void)p;
	*ret = (struct cv_facts){
		.op = op,
		.host = cv_host_str(&f->host),
		.host_is_ip = f->host.is_ip,
		.port = f->port,
	};
	if (f->who)
		ret->who = f->who->facts;
}

/* An executable that changed since its first use is unknown to policy, for a reason of its own. */
static void verdict_mend(const struct cv_flow *f, struct cv_verdict *v)
{
	if (v->reason == CV_REASON_IDENTITY_UNKNOWN && f->who && f->who->changed_path.n)
		v->reason = CV_REASON_IDENTITY_CHANGED;
}

bool cv_decide_connect(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_facts facts;

	cv_decide_facts(p, f, CV_OP_CONNECT, &facts);
	if (f->policy != p->policy) {
		cv_policy_unref(f->policy);
		f->policy = cv_policy_ref(p->policy);
	}
	if (f->is_routed)
		return true; /* its verdict was given with it */
	if (f->is_tools) {
		f->verdict = cv_tools_verdict(f);
		verdict_mend(f, &f->verdict);
		return f->verdict.action == CV_ACTION_ALLOW;
	}
	f->verdict = cv_policy_decide(f->policy, &facts);
	verdict_mend(f, &f->verdict);
	if (cv_local_is_ours(p, facts.host) && f->verdict.action == CV_ACTION_ALLOW)
		f->verdict = (struct cv_verdict){
			/* never a network route, whatever is listed */
			.action = CV_ACTION_DENY,
			.reason = CV_REASON_NO_ENDPOINT,
			.entry = CV_POLICY_NONE,
			.endpoint = CV_POLICY_NONE,
			.rule = CV_POLICY_NONE,
			.settings = CV_POLICY_NONE,
		};
	return f->verdict.action == CV_ACTION_ALLOW;
}

bool cv_decide_again(struct cv_proxy *p, struct cv_flow *f)
{
	const uint32_t raw = CV_OBLIGE_TLS_SKIP | CV_OBLIGE_TCP;
	const uint32_t before = f->verdict.obligations;

	if (!cv_decide_connect(p, f)) {
		const struct cv_fact fact = {
			.action = CV_AUDIT_ACTION_DENY,
			.activity = CV_ACTIVITY_CLOSE,
			.engine = "opa",
		};
		cv_decide_record(p, f, &fact);
		return false;
	}
	/* bytes went unseen because policy said so; if it now wants to see them, the end */
	return !(f->verdict.obligations & CV_OBLIGE_INSPECT) &&
	       (before & raw) == (f->verdict.obligations & raw);
}

bool cv_decide_exchange_again(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_facts facts;
	struct cv_verdict v;

	if (f->is_routed || f->is_tools || f->http.phase != CV_HTTP_EXCHANGE || !f->http.method.p)
		return true;
	cv_decide_facts(p, f, CV_OP_CONNECT, &facts);
	v = cv_policy_decide(p->policy, &facts);
	if (v.action == CV_ACTION_ALLOW) {
		cv_decide_facts(p, f, CV_OP_REQUEST, &facts);
		facts.method = f->http.method;
		facts.path = f->http.path;
		facts.query = f->http.query;
		v = cv_policy_decide(p->policy, &facts);
		verdict_mend(f, &v);
	}
	if (v.action == CV_ACTION_ALLOW)
		return true;
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_CLOSE,
		.engine = "l7",
		.reason_code = cv_reason_code(v.reason),
		.reason = CV_STR(
			"the policy changed, and does not allow the request that is under way"),
	};
	cv_decide_record(p, f, &fact);
	return false;
}

/* ---- the record ---- */

static void event_who(const struct cv_flow *f, struct cv_audit_event *e)
{
	e->src_ip = &f->src_ip;
	e->src_port = f->src_port;
	if (!f->who)
		return;
	e->pid = f->who->pid;
	e->exe = f->who->facts.exe;
	e->ancestors = f->who->facts.ancestors;
	e->ancestor_count = f->who->facts.ancestor_count;
}

static void event_request(
	const struct cv_flow *f, const struct cv_fact *fact, struct cv_audit_event *e)
{
	const struct cv_h1_request *r = fact->request;

	e->kind = CV_AUDIT_HTTP;
	e->activity = CV_ACTIVITY_OTHER;
	e->scheme = f->is_tls ? CV_STR("https") : CV_STR("http");
	e->method = r->method;
	e->path = fact->path.n ? fact->path : r->path.n ? r->path : CV_STR("/");
	e->has_query = r->query.p != NULL;
}

/* Who came nearest, and what was missing: only for denials, which are rare and slow anyway. */
static void event_near(struct cv_proxy *p, const struct cv_flow *f, const struct cv_fact *fact,
	struct cv_audit_event *e)
{
	struct cv_near_miss near;
	struct cv_facts facts;

	cv_decide_facts(p, f, fact->request ? CV_OP_REQUEST : CV_OP_CONNECT, &facts);
	if (fact->request) {
		facts.method = fact->request->method;
		facts.path = e->path;
		facts.query = fact->request->query;
	}
	if (cv_policy_near_misses(f->policy, &facts, &p->arena, &near, 1) == 0)
		return;
	e->nearest_policy = cv_policy_entry_name(f->policy, near.entry);
	e->nearest_miss = near.text;
}

struct cv_str cv_decide_reason(struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_verdict *v, const struct cv_h1_request *request, struct cv_str path)
{
	struct cv_facts facts;

	if (v->reason == CV_REASON_IDENTITY_CHANGED)
		return cv_arena_printf(&p->arena, "binary integrity check failed: %.*s",
			CV_STR_ARG(f->who->changed_path));
	if (v->reason == CV_REASON_IDENTITY_UNKNOWN)
		return f->who && f->who->unknown_reason.n ? f->who->unknown_reason
							  : cv_str_of(f->who_problem);
	cv_decide_facts(p, f, request ? CV_OP_REQUEST : CV_OP_CONNECT, &facts);
	if (request) {
		facts.method = request->method;
		facts.path = path;
		facts.query = request->query;
	}
	return cv_policy_denial_text(f->policy, &facts, v, &p->arena);
}

void cv_decide_record(struct cv_proxy *p, struct cv_flow *f, const struct cv_fact *fact)
{
	static const struct cv_ip nowhere;
	const struct cv_verdict *v = fact->verdict ? fact->verdict : &f->verdict;
	struct cv_audit_event e = {
		.kind = CV_AUDIT_NET,
		.activity = fact->activity ? fact->activity : CV_ACTIVITY_OPEN,
		.action = fact->action,
		.host = fact->host.n ? fact->host : cv_host_str(&f->host),
		.port = f->port,
		.status = fact->status,
		.engine = fact->engine,
		.reason_code = fact->reason_code,
		.sni = fact->sni,
		.protocol = fact->protocol,
		.extra = fact->extra,
		.extra_count = fact->extra_count,
	};

	event_who(f, &e);
	if (fact->request)
		event_request(f, fact, &e);
	if (!cv_ip_eq(&f->dialled, &nowhere))
		e.dst_ip = &f->dialled;
	if (f->policy) {
		e.policy = cv_policy_entry_name(f->policy, v->entry);
		e.rule_line = v->line;
	}
	if (fact->action == CV_AUDIT_ACTION_DENY || fact->action == CV_AUDIT_ACTION_LOG) {
		if (!e.reason_code)
			e.reason_code = cv_reason_code(v->reason);
		e.reason = fact->reason;
		if (f->policy && !e.reason.n)
			e.reason = cv_decide_reason(p, f, v, fact->request, e.path);
		if (f->policy && !fact->reason_code)
			event_near(p, f, fact, &e);
	} else {
		e.reason = fact->reason;
	}
	if (fact->has_counts) {
		e.has_counts = true;
		e.bytes_up = f->closed_up + (cv_leg_is_open(&f->server) ? f->server.bytes_out : 0);
		e.bytes_down =
			f->closed_down + (cv_leg_is_open(&f->server) ? f->server.bytes_in : 0);
		e.duration_us = (uint64_t)(p->loop.now_ms - f->started_ms) * 1000;
	}
	cv_sinks_event(&p->sinks, &e);
	if (fact->action == CV_AUDIT_ACTION_ALLOW || fact->action == CV_AUDIT_ACTION_LOG)
		f->is_decided = f->is_allowed = true;
}

void cv_decide_record_refusal(struct cv_proxy *p, struct cv_flow *f, const char *engine,
	const char *slug, const char *text, unsigned status)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = engine,
		.reason_code = slug,
		.reason = cv_str_of(text),
		.status = (uint16_t)status,
	};

	cv_decide_record(p, f, &fact);
}

struct cv_verdict cv_decide_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	struct cv_facts facts;

	if (f->is_routed || f->is_tools)
		return f->verdict;
	cv_decide_facts(p, f, CV_OP_REQUEST, &facts);
	facts.method = r->method;
	facts.path = path;
	facts.query = r->query;
	struct cv_verdict v = cv_policy_decide(f->policy, &facts);
	verdict_mend(f, &v);
	return v;
}

/* ---- addresses ---- */

const char *cv_decide_addresses(
	struct cv_flow *f, const struct cv_addresses *a, char *ret_reason, size_t size)
{
	const struct cv_facts facts = {
		.host = cv_host_str(&f->host), .host_is_ip = f->host.is_ip, .port = f->port
	};
	const struct cv_ip *refused = NULL;
	const char *word = cv_policy_destination_refusal(
		f->policy, &facts, &f->verdict, a->ip, a->n, &refused, ret_reason, size);

	if (refused)
		f->dialled = *refused; /* what the record names */
	return word;
}
