/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred_body.c - placeholders in bodies: looked at before the head goes, or watched as they pass
 *
 * Every body is held until all of it was looked at, in memory or in the spool, so that nothing of a
 * refused request is seen by anybody.  Watched are those whose end may wait for an answer (gRPC), those
 * that are too long and go out without a credential, and what an endpoint says is to be.
 */
#include "proxy/cred_int.h"

#include "proxy/h2.h"
#include "proxy/inside.h"
#include "proxy/sign.h"

#define PLACE_WHY CV_STR("placeholder in a body that is not rewritten")

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

static const struct cv_policy_endpoint *endpoint_of(const struct cv_flow *f)
{
	return cv_policy_endpoint_of(f->policy,
		f->verdict.obligations & CV_OBLIGE_INSPECT ? &f->http.verdict : &f->verdict);
}

static enum cv_policy_body_hold body_hold_of(const struct cv_flow *f)
{
	const struct cv_policy_endpoint *e = endpoint_of(f);

	return e ? e->body_hold : CV_BODY_HOLD_AUTO;
}

/* How a body is dealt with before its head goes. */
enum way {
	WAY_PASS,   /* there is none, or it is watched as it passes */
	WAY_MEMORY, /* kept, to be changed or signed */
	WAY_SPOOL,  /* kept until it was looked at */
	WAY_LONG,   /* it can't be kept, and may not pass unseen */
	WAY_ROOM,   /* the same, because there is no file to keep it in */
};

/* Small, and here or soon: what is kept where nothing else has to be. */
static bool is_at_hand(const struct cv_flow *f, const struct cv_h1_request *r)
{
	if (r->is_expect_continue)
		return false;
	return r->body == CV_H1_BODY_CHUNKED ? cv_hold_is_here(f, r)
					     : r->length <= CV_PROXY_HELD_BYTES_MAX;
}

/* Messages go both ways in turns, so the end of the request may wait for an answer. */
static bool is_conversation(const struct cv_flow *f, const struct cv_h1_request *r)
{
	return f->stream && f->stream->is_grpc && r->body == CV_H1_BODY_CHUNKED;
}

static enum way look_way(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_h1_request *r, bool has_credential)
{
	const enum cv_policy_body_hold hold = body_hold_of(f);
	const bool must = has_credential || hold == CV_BODY_HOLD_HOLD;
	const bool is_small = r->body == CV_H1_BODY_LENGTH && r->length <= CV_PROXY_HELD_BYTES_MAX;

	if (hold == CV_BODY_HOLD_WATCH || (hold == CV_BODY_HOLD_AUTO && is_conversation(f, r)))
		return is_at_hand(f, r) ? WAY_SPOOL : WAY_PASS;
	if (is_small)
		return WAY_SPOOL;
	if (p->spool.fd < 0 && !must)
		return is_at_hand(f, r) ? WAY_SPOOL : WAY_PASS;
	if (p->spool.fd < 0) /* chunks may turn out to be few */
		return r->body == CV_H1_BODY_CHUNKED ? WAY_SPOOL : WAY_ROOM;
	if (r->body == CV_H1_BODY_LENGTH && r->length > p->spool.body_max)
		return must ? WAY_LONG : WAY_PASS;
	return WAY_SPOOL;
}

static enum way body_way(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_h1_request *r, bool has_credential, size_t *ret_max)
{
	if (r->body == CV_H1_BODY_NONE)
		return WAY_PASS;
	*ret_max = f->is_tls && is_body_rewritten(f, r) ? CV_REWRITE_BODY_BYTES_MAX
							: cv_sign_body_max(f, r);
	return *ret_max ? WAY_MEMORY : look_way(p, f, r, has_credential);
}

/* ---- refusals ---- */

static enum cv_cred_step body_refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, enum cv_denial d, struct cv_str why)
{
	return cred_refuse(p, f, r, d, cv_denial_code(d), why);
}

static enum cv_cred_step long_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	return body_refuse(p, f, r, CV_DENIAL_BODY_LONG,
		cv_arena_printf(&p->arena,
			"a body is held until it was searched for placeholders, and this one is longer "
			"than the %llu bytes that can be; body_hold: watch on the endpoint lets it pass "
			"while it is searched",
			(unsigned long long)p->spool.body_max));
}

static enum cv_cred_step room_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	return body_refuse(p, f, r, CV_DENIAL_BODY_ROOM,
		CV_STR("a body is held until it was searched for placeholders, and there is no room for "
		       "this one now; body_hold: watch on the endpoint lets it pass while it is searched"));
}

static enum cv_cred_step place_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "placeholder_in_body", PLACE_WHY);
}

/* ---- held ---- */

static bool spool_begin(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	if (!cred_flow_make(f))
		return false;
	cv_ph_scan_init(&f->cred->scan, &p->creds.set);
	if (!cv_hold_begin_spooled(f, r, &p->spool, &f->cred->scan))
		return false;
	f->hold->until_ms = p->loop.now_ms + CV_PROXY_SPOOL_MS;
	f->deadline_ms = p->loop.now_ms + CV_PROXY_SPOOL_IDLE_MS;
	return true;
}

static enum cv_cred_step hold_start(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, enum way way, size_t max)
{
	const bool is_waiting = r->is_expect_continue && r->minor == 1;

	if (way == WAY_LONG)
		return long_refuse(p, f, r);
	if (way == WAY_ROOM)
		return room_refuse(p, f, r);
	if (way == WAY_SPOOL ? !spool_begin(p, f, r) : !cv_hold_begin(f, r, max))
		return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_UNAVAILABLE, "no_memory",
			CV_STR("no memory"));
	if (is_waiting)
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 100 Continue\r\n\r\n"));
	return CV_CRED_AGAIN; /* r was in the flow's buffer */
}

/* Longer than what can be kept: the rest may pass as it comes where nothing is at stake but a
 * placeholder, which is worth nothing. */
static enum cv_cred_step long_step(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, bool has_credential)
{
	if (!f->hold->spool)
		return cv_sign_body_max(f, r) ? cred_sign_refuse(p, f, r, &cv_sign_fault_long)
					      : cred_rewrite_refuse(p, f, r, CV_REWRITE_BODY_LONG);
	if (has_credential || body_hold_of(f) == CV_BODY_HOLD_HOLD)
		return long_refuse(p, f, r);
	f->hold->is_open = true;
	return CV_CRED_OK;
}

/* The placeholders of the run changed while it came. */
static void stale_scan(struct cv_proxy *p, struct cv_hold *h)
{
	if (!h->is_stale || !h->file.bytes)
		return;
	h->is_stale = false;
	const enum cv_hold_rc rc = cv_hold_scan_again(h, &p->creds.set);
	h->end = rc == CV_HOLD_DONE ? h->end : rc;
}

static enum cv_hold_rc held_fill(struct cv_proxy *p, struct cv_flow *f)
{
	const enum cv_hold_rc rc = cv_hold_fill(f);

	if (!f->hold->spool || (rc != CV_HOLD_DONE && rc != CV_HOLD_LONG))
		return rc;
	stale_scan(p, f->hold);
	return f->hold->end;
}

/* The body, as far as it must be known before the head goes. */
enum cv_cred_step cred_body_look(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, bool has_credential, struct cv_rewrite_plan *ret)
{
	size_t max = 0;
	const enum way way = f->hold ? WAY_PASS : body_way(p, f, r, has_credential, &max);

	ret->count = 0;
	if (way != WAY_PASS)
		return hold_start(p, f, r, way, max);
	if (!f->hold)
		return CV_CRED_OK;
	switch (held_fill(p, f)) {
	case CV_HOLD_DONE: break;
	case CV_HOLD_MORE: return CV_CRED_WAIT;
	case CV_HOLD_LONG: return long_step(p, f, r, has_credential);
	case CV_HOLD_BAD: return cred_rewrite_refuse(p, f, r, CV_REWRITE_BODY_MALFORMED);
	case CV_HOLD_CUT: cv_flow_end(p, f, true); return CV_CRED_ANSWERED;
	case CV_HOLD_FOUND: return place_refuse(p, f, r);
	case CV_HOLD_FULL: return room_refuse(p, f, r);
	}
	const struct cv_str body = cv_buf_str(&f->hold->body);
	if (f->is_tls && !f->hold->file.bytes && is_body_rewritten(f, r)) {
		const struct cv_rewrite_body kind = body_kind(r);
		const enum cv_rewrite_rc rc =
			cv_rewrite_body_collect(&p->creds.set, &kind, body, &p->creds.scratch, ret);

		return rc == CV_REWRITE_OK ? CV_CRED_OK : cred_rewrite_refuse(p, f, r, rc);
	}
	return cv_ph_is_in(&p->creds.set, body) ? place_refuse(p, f, r) : CV_CRED_OK;
}

bool cred_is_held(const struct cv_flow *f)
{
	return f->hold && f->hold->spool;
}

enum cv_cred_step cv_cred_body(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	struct cv_rewrite_plan none;

	return p->creds.count || cred_is_held(f) ? cred_body_look(p, f, r, false, &none)
						 : CV_CRED_OK;
}

static bool is_coming(const struct cv_flow *f)
{
	return cred_is_held(f) && f->hold->end == CV_HOLD_MORE;
}

bool cv_cred_body_comes(struct cv_proxy *p, struct cv_flow *f, bool *ret_more)
{
	struct cv_hold *h = f->hold;

	if (!is_coming(f))
		return false;
	const uint64_t before = h->bytes;
	const bool was_found = h->is_found;
	if (cv_hold_fill(f) != CV_HOLD_MORE) {
		f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
		return false;
	}
	if (h->is_found && !was_found)
		h->until_ms = CV_MIN(h->until_ms, p->loop.now_ms + CV_PROXY_SPOOL_FOUND_MS);
	if (h->bytes > before)
		f->deadline_ms = CV_MIN(p->loop.now_ms + CV_PROXY_SPOOL_IDLE_MS, h->until_ms);
	*ret_more = cv_leg_has_more(&f->client);
	return true;
}

bool cv_cred_body_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	const enum cv_denial d = !is_coming(f)       ? CV_DENIAL_COUNT
				 : f->hold->is_found ? CV_DENIAL_CREDENTIAL_PLACE
						     : CV_DENIAL_BODY_LATE;
	struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = "credentials",
		.reason_code = "placeholder_in_body",
		.reason = PLACE_WHY,
	};

	if (d == CV_DENIAL_COUNT)
		return false;
	if (d == CV_DENIAL_BODY_LATE) {
		fact.reason_code = cv_denial_code(d);
		fact.reason =
			CV_STR("a body is held until it was searched for placeholders, and the end "
			       "of this one did not come in time; body_hold: watch on the "
			       "endpoint lets it pass while it is searched");
	}
	fact.status = (uint16_t)cv_denial_status(d);
	const struct cv_denial_text t = { .why = fact.reason };
	cv_decide_record(p, f, &fact);
	cv_deny(p, f, d, &t);
	return true;
}

/* ---- watched ---- */

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
	if (!f->hold) /* else it has seen what was held */
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
		.reason = PLACE_WHY,
		.status = 403,
	};
	const struct cv_denial_text t = { .why = fact.reason };

	cv_decide_record(p, f, &fact);
	if (f->http.has_response)
		cv_flow_end(p, f, true);
	else
		cv_deny(p, f, CV_DENIAL_CREDENTIAL_PLACE, &t);
}
