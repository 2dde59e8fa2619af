/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside.c - see inside.h
 *
 * Where policy has no rule about requests (plain L4 endpoints) a request has no verdict and no
 * event of its own, except that through the explicit proxy, where it stands for the connection.
 * Its path then passes as it came (the parser took care of its bytes): to make it canonical would
 * change requests that nobody decides about.
 */
#include "proxy/inside.h"

#include "proxy/spend.h"
#include "proxy/websocket.h"
#include "wire/h1.h"

bool cv_inside_refuse(struct cv_proxy *p, struct cv_flow *f, enum cv_denial d,
	const struct cv_h1_request *request, struct cv_str why)
{
	const struct cv_denial_text t = { .request = request, .why = why };
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = request,
		.engine = d == CV_DENIAL_AUTHORITY ? "request-authority"
			  : d == CV_DENIAL_NO_TLS  ? "tls"
						   : "l7",
		.reason_code = cv_denial_code(d),
		.reason = why,
	};

	cv_decide_record(p, f, &fact);
	cv_deny(p, f, d, &t);
	return true;
}

static bool path_find(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_path *ret)
{
	if (!(f->verdict.obligations & CV_OBLIGE_INSPECT)) {
		const struct cv_str path = r->path.n ? r->path : CV_STR("/");

		if (path.n <= sizeof(ret->text)) {
			memcpy(ret->text, path.p, path.n);
			ret->n = path.n;
			return true;
		}
		cv_inside_refuse(p, f, CV_DENIAL_TARGET, r, CV_STR("path is too long"));
		return false;
	}
	/* %2F stays one: whether the endpoint keeps it is the decision's to say */
	const enum cv_path_rc rc = cv_path_canonical(r->path, true, ret);
	if (rc == CV_PATH_OK)
		return true;
	cv_inside_refuse(p, f, CV_DENIAL_TARGET, r, cv_str_of(cv_path_rc_text(rc)));
	return false;
}

/* Before policy is asked: what no policy can allow. */
static bool method_is_fine(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	if (!(f->verdict.obligations & CV_OBLIGE_INSPECT) ||
		!cv_str_eq_nocase(r->method, CV_STR("WEBSOCKET_TEXT")))
		return true;
	/* rules mean messages by it: no request may pass for one */
	cv_inside_refuse(
		p, f, CV_DENIAL_PROTOCOL, r, CV_STR("WEBSOCKET_TEXT is no method of requests"));
	return false;
}

/* After policy has allowed the request; v is NULL where it was not asked. */
static bool upgrade_is_fine(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	const struct cv_verdict *v)
{
	const bool is_h2c = cv_h1_list_has(r->upgrade, CV_STR("h2c"));

	if (!r->is_upgrade || (!is_h2c && !v))
		return true;
	if (!is_h2c && (v->obligations & CV_OBLIGE_WEBSOCKET) &&
		cv_h1_list_has(r->upgrade, CV_STR("websocket"))) {
		const char *fault = cv_websocket_request_fault(r);

		if (fault)
			cv_inside_refuse(p, f, CV_DENIAL_WEBSOCKET, r, cv_str_of(fault));
		return !fault;
	}
	cv_inside_refuse(p, f, CV_DENIAL_PROTOCOL, r,
		is_h2c ? CV_STR("HTTP/2 cleartext upgrade (h2c) is not supported for "
				"L7-inspected endpoints")
		       : CV_STR("protocol upgrades are not supported for L7-inspected endpoints"));
	return false;
}

bool cv_inside_decide(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_path *ret_path)
{
	if (!path_find(p, f, r, ret_path) || !method_is_fine(p, f, r))
		return false;
	if (!(f->verdict.obligations & CV_OBLIGE_INSPECT))
		return upgrade_is_fine(p, f, r, NULL) && cv_spend_request(p, f, r);
	const struct cv_verdict v = cv_decide_request(p, f, r, cv_path_str(ret_path));
	f->http.verdict = v;
	if (v.action == CV_ACTION_ALLOW)
		return upgrade_is_fine(p, f, r, &v) && cv_spend_request(p, f, r);
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r,
		.path = cv_path_str(ret_path),
		.verdict = &v,
		.engine = "l7",
		.status = 403,
	};
	const struct cv_denial_text t = {
		.request = r,
		.path = cv_path_str(ret_path),
		.verdict = &v,
		.why = cv_decide_reason(p, f, &v, r, cv_path_str(ret_path)),
	};

	cv_decide_record(p, f, &fact);
	cv_deny(p, f, f->is_tunnel ? CV_DENIAL_L7 : CV_DENIAL_POLICY, &t);
	return false;
}

void cv_inside_record(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const bool is_inspected = f->verdict.obligations & CV_OBLIGE_INSPECT;
	const struct cv_verdict *v = is_inspected ? &f->http.verdict : &f->verdict;
	const struct cv_fact fact = {
		.action = v->obligations & CV_OBLIGE_LOG_ONLY ? CV_AUDIT_ACTION_LOG
							      : CV_AUDIT_ACTION_ALLOW,
		.request = r,
		.path = path,
		.verdict = v,
		.engine = is_inspected ? "l7" : "opa",
		.reason = v->obligations & CV_OBLIGE_APPROVE ? CV_STR("approved by a person")
							     : CV_STR_NONE,
	};

	if (is_inspected || !f->is_tunnel)
		cv_decide_record(p, f, &fact);
}
