/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred_body.c - placeholders in bodies: looked at before the head goes, or watched as they pass
 */
#include "proxy/cred_int.h"

#include "proxy/inside.h"
#include "proxy/sign.h"

static struct cv_str header_of(const struct cv_h1_request *r, enum cv_h1_field field)
{
	size_t at = 0;
	const struct cv_h1_header *h = cv_h1_header_next(r->header, r->header_count, field, &at);

	return h ? h->value : CV_STR_NONE;
}

static struct cv_rewrite_body body_kind(const struct cv_h1_request *r)
{
	return cv_rewrite_body_of(
		header_of(r, CV_H1_FIELD_CONTENT_TYPE), header_of(r, CV_H1_FIELD_CONTENT_ENCODING));
}

static bool is_body_rewritten(const struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_policy_endpoint *e =
		f->verdict.obligations & CV_OBLIGE_INSPECT
			? cv_policy_endpoint_of(f->policy, &f->http.verdict)
			: NULL;

	return e && (e->request_body_credential_rewrite || e->token_endpoint) &&
	       body_kind(r).kind != CV_REWRITE_BODY_NONE;
}

/* How much of a body is kept until it has been looked at; 0: it is watched as it passes.  A client
 * that waits for 100 is kept waiting only where its body has to be changed. */
static size_t body_held_max(const struct cv_flow *f, const struct cv_h1_request *r)
{
	if (r->body == CV_H1_BODY_NONE)
		return 0;
	if (f->is_tls && is_body_rewritten(f, r))
		return CV_REWRITE_BODY_BYTES_MAX;
	const size_t signed_max = cv_sign_body_max(f, r);
	if (signed_max)
		return signed_max;
	if (r->is_expect_continue)
		return 0;
	if (r->body == CV_H1_BODY_CHUNKED ? cv_hold_is_here(f, r)
					  : r->length <= CV_PROXY_HELD_BYTES_MAX)
		return CV_PROXY_HELD_BYTES_MAX;
	return 0;
}

static enum cv_cred_step hold_start(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, size_t max)
{
	const bool is_waiting = r->is_expect_continue && r->minor == 1;

	if (!cv_hold_begin(f, r, max))
		return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_UNAVAILABLE, "no_memory",
			CV_STR("no memory"));
	if (is_waiting)
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 100 Continue\r\n\r\n"));
	return CV_CRED_AGAIN; /* r was in the flow's buffer */
}

/* The body, as far as it must be known before the head goes. */
enum cv_cred_step cred_body_look(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_rewrite_plan *ret)
{
	const size_t max = f->hold ? 0 : body_held_max(f, r);

	ret->count = 0;
	if (max)
		return hold_start(p, f, r, max);
	if (!f->hold)
		return CV_CRED_OK;
	switch (cv_hold_fill(f)) {
	case CV_HOLD_DONE: break;
	case CV_HOLD_MORE: return CV_CRED_WAIT;
	case CV_HOLD_LONG:
		return cv_sign_body_max(f, r) ? cred_sign_refuse(p, f, r, &cv_sign_fault_long)
					      : cred_rewrite_refuse(p, f, r, CV_REWRITE_BODY_LONG);
	case CV_HOLD_BAD: return cred_rewrite_refuse(p, f, r, CV_REWRITE_BODY_MALFORMED);
	case CV_HOLD_CUT: cv_flow_end(p, f, true); return CV_CRED_ANSWERED;
	}
	const struct cv_str body = cv_buf_str(&f->hold->body);
	if (f->is_tls && is_body_rewritten(f, r)) {
		const struct cv_rewrite_body kind = body_kind(r);
		const enum cv_rewrite_rc rc =
			cv_rewrite_body_collect(&p->creds.set, &kind, body, &p->creds.scratch, ret);

		return rc == CV_REWRITE_OK ? CV_CRED_OK : cred_rewrite_refuse(p, f, r, rc);
	}
	if (!cv_ph_is_in(&p->creds.set, body))
		return CV_CRED_OK;
	return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "placeholder_in_body",
		CV_STR("placeholder in a body that is not rewritten"));
}

static bool body_watch(void *ctx, struct cv_str bytes)
{
	return cv_ph_scan_feed(ctx, bytes);
}

void cv_cred_watch(struct cv_proxy *p, struct cv_flow *f)
{
	if (!p->creds.count || f->http.up.is_done)
		return;
	if (!cred_flow_make(f))
		return cv_flow_end(p, f, true);
	cv_ph_scan_init(&f->cred->scan, &p->creds.set);
	f->http.up.watch = body_watch;
	f->http.up.watch_ctx = &f->cred->scan;
}

void cv_cred_body_refuse(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = "credentials",
		.reason_code = "placeholder_in_body",
		.reason = CV_STR("placeholder in a body that is not rewritten"),
		.status = 403,
	};
	const struct cv_denial_text t = { .why = fact.reason };

	cv_decide_record(p, f, &fact);
	if (f->http.has_response)
		cv_flow_end(p, f, true);
	else
		cv_deny(p, f, CV_DENIAL_CREDENTIAL_PLACE, &t);
}
