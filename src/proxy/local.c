/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - see local.h
 */
#include "proxy/local.h"

#include "proxy/denial.h"
#include "proxy/tools.h"
#include "wire/h1_write.h"

#include <stdlib.h>

static const struct {
	struct cv_str host;
	uint16_t port;
	enum cv_local_kind kind;
} ours[] = {
	{ CV_STR("policy.local"), 80, CV_LOCAL_POLICY },
	{ CV_STR("inference.local"), 443, CV_LOCAL_INFERENCE },
	{ CV_STR("metadata.google.internal"), 80, CV_LOCAL_GOOGLE },
	{ CV_STR("169.254.169.254"), 80, CV_LOCAL_GOOGLE },
	{ CV_STR("169.254.170.2"), 80, CV_LOCAL_AWS },
};

/* A metadata server that has nothing to say is not ours: a name as any other, and no address. */
static bool is_there(const struct cv_proxy *p, enum cv_local_kind kind)
{
	if (kind == CV_LOCAL_GOOGLE)
		return p->facts[CV_PROXY_FACT_GOOGLE_TOKEN].n > 0;
	return kind != CV_LOCAL_AWS || p->facts[CV_PROXY_FACT_AWS_PATH].n > 0;
}

bool cv_local_is_ours(const struct cv_proxy *p, struct cv_str host)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(ours); i++)
		if (cv_str_eq(host, ours[i].host) && is_there(p, ours[i].kind))
			return true;
	return cv_tools_is_ours(host);
}

static bool kind_find(
	const struct cv_proxy *p, struct cv_str host, uint16_t port, enum cv_local_kind *ret)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(ours); i++)
		if (cv_str_eq(host, ours[i].host) && port == ours[i].port &&
			is_there(p, ours[i].kind)) {
			*ret = ours[i].kind;
			return true;
		}
	return false;
}

static bool local_new(struct cv_proxy *p, struct cv_flow *f, enum cv_local_kind kind)
{
	f->local = calloc(1, sizeof(*f->local));
	if (!f->local) {
		cv_flow_end(p, f, true);
		return false;
	}
	f->local->kind = kind;
	cv_buf_init(&f->local->out, CV_PROXY_ANSWER_BYTES_MAX + CV_PROXY_HEAD_BYTES_MAX);
	/* policy has no say in it; inspected, because nothing but HTTP is answered */
	cv_policy_unref(f->policy);
	f->policy = cv_policy_ref(p->policy);
	f->verdict = (struct cv_verdict){
		.action = CV_ACTION_ALLOW,
		.obligations = CV_OBLIGE_INSPECT,
		.entry = CV_POLICY_NONE,
		.endpoint = CV_POLICY_NONE,
		.rule = CV_POLICY_NONE,
		.settings = CV_POLICY_NONE,
	};
	return true;
}

/* ---- how requests get here ---- */

static bool scheme_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	if (!local_new(p, f, CV_LOCAL_POLICY))
		return true;
	cv_local_record(p, f, r, 400);
	cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
	cv_local_answer(p, f, 400, CV_STR("application/json"),
		CV_STR("{\"error\":\"invalid_policy_local_scheme\","
		       "\"detail\":\"policy.local is asked by http:// only\"}"),
		cv_str_eq(r->method, CV_STR("HEAD")));
	return true;
}

bool cv_local_explicit(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const bool is_connect = r->form == CV_H1_FORM_AUTHORITY;
	const uint16_t port = r->authority.port ? r->authority.port : r->is_https ? 443 : 80;
	enum cv_local_kind kind = CV_LOCAL_POLICY;

	if (!cv_local_is_ours(p, cv_host_str(&r->authority.host)))
		return false;
	cv_flow_drop_server(f);
	if (!is_connect && r->is_https &&
		cv_str_eq(cv_host_str(&r->authority.host), ours[0].host)) {
		f->host = r->authority.host;
		f->port = port;
		return scheme_refuse(p, f, r);
	}
	if (!kind_find(p, cv_host_str(&r->authority.host), port, &kind) ||
		is_connect != (kind == CV_LOCAL_INFERENCE))
		return false; /* refused as every destination that no policy may list */
	if (kind == CV_LOCAL_INFERENCE && !p->has_keeper)
		return false;
	f->host = r->authority.host;
	f->port = port;
	if (!local_new(p, f, kind))
		return true;
	if (!is_connect) { /* the head stays in the buffer */
		cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
		return true;
	}
	f->is_tunnel = true;
	cv_leg_take(&f->client, r->head_bytes);
	cv_leg_put(&f->client, CV_STR("HTTP/1.1 200 Connection Established\r\n\r\n"));
	cv_flow_set_state(f, CV_FLOW_PEEK, p->loop.now_ms);
	return true;
}

bool cv_local_transparent(struct cv_proxy *p, struct cv_flow *f)
{
	enum cv_local_kind kind;

	if (!kind_find(p, cv_host_str(&f->host), f->port, &kind) ||
		(kind == CV_LOCAL_INFERENCE && !p->has_keeper))
		return false;
	if (!local_new(p, f, kind))
		return true;
	cv_flow_set_state(
		f, kind == CV_LOCAL_INFERENCE ? CV_FLOW_PEEK : CV_FLOW_HTTP, p->loop.now_ms);
	f->client.can_read = f->client.can_write = true;
	return true;
}

/* ---- what they become ---- */

void cv_local_record(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, int status)
{
	const struct cv_fact fact = {
		.action = status < 400 || status == 404 ? CV_AUDIT_ACTION_ALLOW
							: CV_AUDIT_ACTION_NONE,
		.request = r,
		.status = (uint16_t)status,
		.engine = "local",
	};

	cv_decide_record(p, f, &fact);
	f->is_allowed = false; /* nothing was connected to, so nothing ends */
}

bool cv_local_hold(struct cv_proxy *p, struct cv_flow *f, size_t n)
{
	if (n > CV_PROXY_LOCAL_BYTES_MAX - CV_MIN(p->local_bytes, CV_PROXY_LOCAL_BYTES_MAX))
		return false;
	p->local_bytes += n;
	f->local->held += n;
	return true;
}

bool cv_local_head_take(struct cv_flow *f, const struct cv_h1_request *r, struct cv_arena *arena,
	struct cv_h1_request *ret)
{
	const struct cv_str head =
		cv_arena_str(arena, cv_str_slice(cv_leg_text(&f->client), 0, r->head_bytes));
	size_t scanned = 0;

	cv_leg_take(&f->client, r->head_bytes);
	return head.p &&
	       cv_h1_request_parse(head, CV_H1_TUNNEL_HEAD_BYTES_MAX, &scanned, ret) == CV_H1_OK;
}

void cv_local_body_start(struct cv_flow *f, const struct cv_h1_request *r, struct cv_body *ret)
{
	ret->kind = r->body;
	ret->left = r->length;
	ret->is_done =
		r->body == CV_H1_BODY_NONE || (r->body == CV_H1_BODY_LENGTH && r->length == 0);
	cv_chunk_init(&ret->chunk);
	if (r->is_expect_continue)
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

enum cv_chunk_event cv_local_body_next(struct cv_body *b, struct cv_str *in, struct cv_str *ret)
{
	if (b->kind == CV_H1_BODY_LENGTH) {
		*ret = cv_str_slice(*in, 0, (size_t)CV_MIN(b->left, in->n));
		b->left -= ret->n;
		b->is_done = b->left == 0;
		*in = cv_str_slice(*in, ret->n, in->n);
		return CV_CHUNK_DATA;
	}
	const enum cv_chunk_event ev = cv_chunk_next(&b->chunk, in, ret);
	b->is_done = ev == CV_CHUNK_DONE;
	return ev;
}

void cv_local_answer(struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str type,
	struct cv_str body, bool is_head)
{
	const struct cv_h1_header field = { .name = CV_STR("Content-Type"), .value = type };

	cv_local_answer_with(p, f, status, &field, 1, body, is_head);
}

void cv_local_answer_with(struct cv_proxy *p, struct cv_flow *f, int status,
	const struct cv_h1_header *fields, size_t field_count, struct cv_str body, bool is_head)
{
	struct cv_local *l = f->local;
	const bool is_held = cv_local_hold(p, f, body.n);
	const struct cv_h1_edit edit = {
		.set = fields,
		.set_count = field_count,
		.body = CV_H1_BODY_LENGTH,
		.length = is_held ? body.n : 0,
	};

	cv_buf_reset(&l->out);
	if (!cv_h1_write_status(&l->out, is_held ? status : 503, &edit) ||
		(is_held && !is_head && !cv_buf_put(&l->out, body))) {
		cv_flow_end(p, f, true);
		return;
	}
	l->is_answering = true;
	f->deadline_ms = p->loop.now_ms + CV_PROXY_IDLE_MS;
}

static bool answer_step(struct cv_proxy *p, struct cv_flow *f)
{
	const size_t n = cv_leg_put(&f->client, cv_buf_str(&f->local->out));

	cv_buf_skip(&f->local->out, n);
	if (f->client.is_broken) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (!cv_buf_len(&f->local->out))
		cv_flow_finish(p, f);
	else if (n)
		f->deadline_ms = p->loop.now_ms + CV_PROXY_IDLE_MS;
	return n > 0;
}

static bool head_refuse(struct cv_proxy *p, struct cv_flow *f, enum cv_h1_rc rc)
{
	const struct cv_h1_rc_row *row = cv_h1_rc_row(rc);

	cv_decide_record_refusal(p, f, "local", row->slug, row->text, row->status);
	cv_deny_bare(p, f, row->status, CV_STR_NONE);
	return true;
}

/* Is the request for the name that was connected to?  Answered if not. */
static bool authority_is_fine(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_authority a = { f->host, f->port };
	const struct cv_denial_text t = { .request = r };
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r,
		.engine = "request-authority",
		.reason_code = cv_denial_code(CV_DENIAL_AUTHORITY),
		.reason = CV_STR("the request names another host than its connection"),
		.status = 403,
	};

	if (!f->is_tunnel || (r->authority.host.n == 0 && r->minor == 0) ||
		cv_authority_eq(&r->authority, &a, f->is_tls ? 443 : 80))
		return true;
	cv_decide_record(p, f, &fact);
	cv_deny(p, f, CV_DENIAL_AUTHORITY, &t);
	return false;
}

static bool head_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);
	const struct cv_str text = cv_leg_text(c);

	if (c->is_broken || (c->is_eof && !text.n)) {
		cv_flow_end(p, f, c->is_broken);
		return false;
	}
	if (!text.n)
		return has_moved;
	if (f->deadline_ms > p->loop.now_ms + CV_PROXY_HEAD_MS)
		f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	const enum cv_h1_rc rc = cv_h1_request_parse(text,
		f->is_tunnel ? CV_H1_TUNNEL_HEAD_BYTES_MAX : CV_H1_PROXY_HEAD_BYTES_MAX,
		&f->local->scanned, &p->request);
	if (rc == CV_H1_MORE) {
		if (c->is_eof)
			cv_flow_end(p, f, false);
		return has_moved;
	}
	if (rc != CV_H1_OK)
		return head_refuse(p, f, rc);
	if (!authority_is_fine(p, f, &p->request))
		return true;
	if (f->local->kind == CV_LOCAL_INFERENCE)
		return cv_local_inference_head(p, f, &p->request);
	if (f->local->kind == CV_LOCAL_POLICY)
		return cv_local_policy_step(p, f, &p->request);
	return cv_local_metadata_step(p, f, &p->request);
}

bool cv_local_step(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->local->is_answering)
		return answer_step(p, f);
	if (f->local->proposal)
		return cv_local_proposal_step(p, f);
	return f->local->call ? cv_local_inference_step(p, f) : head_step(p, f);
}

void cv_local_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->local->proposal)
		cv_local_proposal_timeout(p, f);
	else if (f->local->call)
		cv_local_inference_timeout(p, f);
	else
		cv_flow_end(p, f, true);
}

void cv_local_end(struct cv_proxy *p, struct cv_flow *f)
{
	if (!f->local)
		return;
	cv_local_inference_end(p, f);
	cv_local_proposal_end(f);
	p->local_bytes -= f->local->held;
	cv_buf_fini(&f->local->out);
	free(f->local);
	f->local = NULL;
}
