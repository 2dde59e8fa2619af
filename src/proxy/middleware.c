/* SPDX-License-Identifier: Apache-2.0 */
/*
 * middleware.c - see middleware.h
 *
 * A request is held by the flow's hold, so the body that credentials are put into is the one that
 * the middlewares left.  They run in their order, each over what the one before it made.
 */
#include "proxy/middleware_int.h"

#include "base/assert.h"
#include "proxy/inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- engines ---- */

static void engines_unref(struct cv_engines *e)
{
	if (!e || --e->refs)
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(e->v); i++)
		cv_detect_free(e->v[i]);
	cv_policy_unref(e->policy);
	free(e);
}

/* NULL: no memory. */
static struct cv_engines *engines_of(struct cv_proxy *p, struct cv_policy *policy)
{
	struct cv_engines *e = p->middlewares.engines;

	if (e && e->policy == policy) {
		e->refs++;
		return e;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->refs = 1;
	e->policy = cv_policy_ref(policy);
	e->list = cv_policy_middleware_list(policy, &e->count);
	for (size_t i = 0; i < e->count; i++)
		if (e->list[i].kind != CV_MIDDLEWARE_OTHER &&
			cv_detect_new(&e->list[i], &e->v[i], NULL) != CV_OK) {
			engines_unref(e);
			return NULL;
		}
	engines_unref(p->middlewares.engines);
	p->middlewares.engines = e;
	e->refs++;
	return e;
}

static uint32_t bits_of(const struct cv_flow *f)
{
	return cv_policy_middlewares(f->policy, cv_host_str(&f->host), f->host.is_ip);
}

bool cv_mw_is_on(const struct cv_flow_middleware *m, size_t i, unsigned direction)
{
	return (m->bits >> i & 1) && (m->engines->list[i].directions & direction);
}

/* The first that looks this way and must not fail open; NULL: there is none. */
static const struct cv_middleware *closed_one(
	const struct cv_flow_middleware *m, unsigned direction)
{
	for (size_t i = 0; i < m->engines->count; i++)
		if (cv_mw_is_on(m, i, direction) && !m->engines->list[i].is_fail_open)
			return &m->engines->list[i];
	return NULL;
}

static bool is_any_on(const struct cv_flow_middleware *m, unsigned direction)
{
	for (size_t i = 0; i < m->engines->count; i++)
		if (cv_mw_is_on(m, i, direction))
			return true;
	return false;
}

void cv_middleware_end(struct cv_flow *f)
{
	struct cv_flow_middleware *m = f->middleware;

	if (!m)
		return;
	f->middleware = NULL;
	cv_mw_filter_fini(m);
	cv_arena_fini(&m->arena);
	engines_unref(m->engines);
	free(m);
}

/* ---- records and refusals ---- */

void cv_mw_note(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	const char *code, struct cv_str reason)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_LOG,
		.request = r,
		.engine = "middleware",
		.reason_code = code,
		.reason = reason,
	};

	cv_decide_record(p, f, &fact);
}

void cv_mw_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	enum cv_denial d, const struct cv_mw_refusal *why)
{
	const struct cv_verdict *v =
		f->verdict.obligations & CV_OBLIGE_INSPECT ? &f->http.verdict : &f->verdict;
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r,
		.engine = "middleware",
		.reason_code = why->code ? why->code : cv_denial_code(d),
		.reason = cv_arena_printf(&p->arena, "middleware %.*s: %s",
			CV_STR_ARG(why->middleware->name), why->text),
		.status = (uint16_t)cv_denial_status(d),
	};
	const struct cv_denial_text t = {
		.request = r,
		.verdict = v,
		.why = fact.reason,
		.middleware = why->middleware->name,
		.reason_code = cv_str_of(why->code),
	};

	cv_decide_record(p, f, &fact);
	cv_deny(p, f, d, &t);
}

static enum cv_middleware_step refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, enum cv_denial d, struct cv_mw_refusal why)
{
	cv_mw_refuse(p, f, r, d, &why);
	return CV_MIDDLEWARE_ANSWERED;
}

bool cv_middleware_tunnel_refuse(struct cv_proxy *p, struct cv_flow *f)
{
	const uint32_t bits = bits_of(f);
	size_t n;
	const struct cv_middleware *list = cv_policy_middleware_list(f->policy, &n);

	for (size_t i = 0; i < n; i++)
		if ((bits >> i & 1) && !list[i].is_fail_open) {
			const struct cv_mw_refusal why = { &list[i], NULL,
				"bytes that would pass unseen" };

			cv_mw_refuse(p, f, NULL, CV_DENIAL_MIDDLEWARE_REQUIRED, &why);
			return true;
		}
	if (bits)
		cv_mw_note(p, f, NULL, "middleware_unseen",
			CV_STR("a tunnel that middlewares can't look into"));
	return false;
}

/* ---- what can be looked into ---- */

static struct cv_str field_of(const struct cv_h1_header *v, size_t n, enum cv_h1_field field)
{
	size_t at = 0;
	const struct cv_h1_header *h = cv_h1_header_next(v, n, field, &at);

	return h ? h->value : CV_STR_NONE;
}

static bool holds_word(struct cv_str s, const char *word)
{
	const size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.n; i++)
		if (cv_str_eq_nocase(cv_str_slice(s, i, i + n), cv_str_of(word)))
			return true;
	return false;
}

const char *cv_mw_unseen(const struct cv_h1_header *v, size_t n)
{
	const struct cv_str type = field_of(v, n, CV_H1_FIELD_CONTENT_TYPE);
	const struct cv_str coding = field_of(v, n, CV_H1_FIELD_CONTENT_ENCODING);

	if (coding.n && !cv_str_eq_nocase(coding, CV_STR("identity")))
		return "a body with a content coding";
	if (holds_word(type, "application/grpc"))
		return "a stream of gRPC messages";
	if (holds_word(type, "utf-16") || holds_word(type, "utf-32") || holds_word(type, "utf-7"))
		return "a body in a character set that is not read";
	return NULL;
}

bool cv_mw_is_text(const struct cv_h1_header *v, size_t n)
{
	static const char *const words[] = { "text/", "json", "xml", "javascript", "graphql",
		"yaml", "x-www-form-urlencoded", "multipart/form-data" };
	const struct cv_str type = field_of(v, n, CV_H1_FIELD_CONTENT_TYPE);

	for (size_t i = 0; i < CV_ARRAY_LEN(words); i++)
		if (holds_word(type, words[i]))
			return true;
	return type.n == 0; /* nobody said that it is anything else */
}

/* ---- a request's texts ---- */

/* Fields that route, frame or carry the caller's credential are none of a middleware's business. */
static bool is_seen_field(const struct cv_h1_header *h)
{
	static const char *const credential[] = { "cookie", "x-api-key", "api-key", "apikey",
		"x-auth-token", "x-access-token", "private-token", "job-token", "x-goog-api-key",
		"x-amz-security-token", "x-github-token", "x-vault-token" };

	if (h->field != CV_H1_FIELD_OTHER)
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(credential); i++)
		if (cv_h1_name_eq(h->name, cv_str_of(credential[i])))
			return false;
	return true;
}

struct look { /* one middleware at one request */
	struct cv_proxy *p;
	struct cv_flow *f;
	const struct cv_h1_request *r;
	const struct cv_middleware *mw;
	const struct cv_detect *detect;
};

static struct cv_str header_now(const struct look *l, size_t i)
{
	const struct cv_str *changed = &l->f->middleware->header[i];

	return changed->p ? *changed : l->r->header[i].value;
}

/* The first match in any of the request's texts, for those that deny. */
static enum cv_detect_rc request_find(const struct look *l, struct cv_detect_hit *ret)
{
	const struct cv_str head[] = { l->r->path, l->r->query };
	enum cv_detect_rc rc = CV_DETECT_NONE;

	for (size_t i = 0; i < CV_ARRAY_LEN(head) && rc == CV_DETECT_NONE; i++)
		rc = cv_detect_first(l->detect, head[i], ret);
	for (size_t i = 0; i < l->r->header_count && rc == CV_DETECT_NONE; i++)
		if (is_seen_field(&l->r->header[i]))
			rc = cv_detect_first(l->detect, header_now(l, i), ret);
	if (rc == CV_DETECT_NONE && l->f->hold)
		rc = cv_detect_first(l->detect, cv_buf_str(&l->f->hold->body), ret);
	return rc;
}

/* NULL, or why it can't be done. */
static const char *headers_redact(const struct look *l, struct cv_detect_result *sum)
{
	struct cv_flow_middleware *m = l->f->middleware;
	struct cv_detect_result found;
	enum cv_detect_rc rc = CV_DETECT_NONE;
	struct cv_buf out;

	cv_buf_init(&out, CV_PROXY_HEAD_BYTES_MAX);
	for (size_t i = 0; i < l->r->header_count && rc != CV_DETECT_COSTLY; i++) {
		if (!is_seen_field(&l->r->header[i]))
			continue;
		cv_buf_reset(&out);
		rc = cv_detect_redact(l->detect, header_now(l, i), &out, &found);
		if (rc != CV_DETECT_HIT)
			continue;
		m->header[i] = cv_arena_str(&m->arena, cv_buf_str(&out));
		rc = m->header[i].p ? rc : CV_DETECT_COSTLY;
		sum->count += found.count;
		sum->first = sum->first ? sum->first : found.first;
	}
	cv_buf_fini(&out);
	return rc == CV_DETECT_COSTLY ? "headers that took too long to look through" : NULL;
}

static const char *body_redact(const struct look *l, struct cv_detect_result *sum)
{
	struct cv_hold *h = l->f->hold;
	struct cv_detect_result found;
	struct cv_buf out;

	if (!h)
		return NULL;
	cv_buf_init(&out, 2 * (size_t)CV_PROXY_MIDDLEWARE_BYTES_MAX);
	const enum cv_detect_rc rc =
		cv_detect_redact(l->detect, cv_buf_str(&h->body), &out, &found);
	if (rc == CV_DETECT_HIT && cv_mw_is_text(l->r->header, l->r->header_count)) {
		cv_buf_wipe(&h->body);
		h->body = out;
		sum->count += found.count;
		sum->first = sum->first ? sum->first : found.first;
		return NULL;
	}
	cv_buf_wipe(&out);
	return rc == CV_DETECT_COSTLY ? "a body that took too long to look through"
	       : rc == CV_DETECT_HIT  ? "something to redact in a body that is not text"
				      : NULL;
}

static enum cv_middleware_step failed(const struct look *l, const char *why)
{
	if (!l->mw->is_fail_open)
		return refuse(l->p, l->f, l->r, CV_DENIAL_MIDDLEWARE_FAILED,
			(struct cv_mw_refusal){ l->mw, NULL, why });
	cv_mw_note(l->p, l->f, l->r, "middleware_failed",
		cv_arena_printf(&l->p->arena, "middleware %.*s let pass: %s",
			CV_STR_ARG(l->mw->name), why));
	return CV_MIDDLEWARE_OK;
}

static enum cv_middleware_step look(const struct look *l)
{
	struct cv_detect_result sum = { 0 };
	struct cv_detect_hit hit;

	if (l->mw->action == CV_MIDDLEWARE_DENY) {
		switch (request_find(l, &hit)) {
		case CV_DETECT_NONE: return CV_MIDDLEWARE_OK;
		case CV_DETECT_COSTLY:
			return failed(l, "a request that took too long to look through");
		case CV_DETECT_HIT: break;
		}
		return refuse(l->p, l->f, l->r, CV_DENIAL_MIDDLEWARE_DENIED,
			(struct cv_mw_refusal){ l->mw, hit.name, "found what may not leave" });
	}
	const char *fault = headers_redact(l, &sum);
	if (!fault)
		fault = body_redact(l, &sum);
	if (sum.count)
		cv_mw_note(l->p, l->f, l->r, sum.first,
			cv_arena_printf(&l->p->arena, "middleware %.*s redacted %zu in the request",
				CV_STR_ARG(l->mw->name), sum.count));
	return fault ? failed(l, fault) : CV_MIDDLEWARE_OK;
}

/* ---- a request ---- */

/* False: no memory. */
static bool flow_begin(struct cv_proxy *p, struct cv_flow *f, uint32_t bits)
{
	struct cv_flow_middleware *m = calloc(1, sizeof(*m));

	if (!m)
		return false;
	m->engines = engines_of(p, f->policy);
	if (!m->engines) {
		free(m);
		return false;
	}
	m->bits = bits;
	cv_arena_init(&m->arena, 4 * (size_t)CV_PROXY_HEAD_BYTES_MAX);
	f->middleware = m;
	return true;
}

/* What all flows hold together is bounded: the sum is made only when one more is to begin. */
static bool has_room(const struct cv_proxy *p, size_t more)
{
	size_t sum = more;

	for (uint32_t i = 0; i < p->flows.high; i++) {
		const struct cv_flow *f = &p->flows.v[i];

		if (f->state == CV_FLOW_FREE || !f->middleware)
			continue;
		sum += f->hold ? f->hold->body.max : 0;
		sum += cv_buf_len(&f->middleware->filter.held);
	}
	return sum <= CV_PROXY_MIDDLEWARE_SUM_MAX;
}

/* The request goes on without its body being seen, or is refused. */
static enum cv_middleware_step unseen(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, const char *why)
{
	struct cv_flow_middleware *m = f->middleware;
	const struct cv_middleware *closed = closed_one(m, CV_MIDDLEWARE_REQUEST);

	if (closed)
		return refuse(p, f, r, CV_DENIAL_MIDDLEWARE_FAILED,
			(struct cv_mw_refusal){ closed, NULL, why });
	m->is_unseen = true;
	cv_mw_note(p, f, r, "middleware_failed",
		cv_arena_printf(&p->arena, "middlewares let pass: %s", why));
	return CV_MIDDLEWARE_OK;
}

static enum cv_middleware_step hold_begin(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const bool is_sized = r->body != CV_H1_BODY_CHUNKED;
	const size_t max = is_sized ? (size_t)CV_MIN(r->length, CV_PROXY_MIDDLEWARE_BYTES_MAX)
				    : CV_PROXY_MIDDLEWARE_BYTES_MAX;
	const char *why = cv_mw_unseen(r->header, r->header_count);

	if (!why && is_sized && r->length > CV_PROXY_MIDDLEWARE_BYTES_MAX)
		why = "a body that is too long to be looked into";
	if (!why && !has_room(p, max))
		why = "too much is held already";
	if (why)
		return unseen(p, f, r, why);
	const bool is_waiting = r->is_expect_continue && r->minor == 1;
	if (!cv_hold_begin(f, r, CV_MAX(max, (size_t)1)))
		return unseen(p, f, r, "there is no memory");
	if (is_waiting)
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 100 Continue\r\n\r\n"));
	return CV_MIDDLEWARE_AGAIN; /* r was in the flow's buffer */
}

/* Until the body is there, or is known not to be seen. */
static enum cv_middleware_step body_await(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const size_t before = f->hold ? cv_buf_len(&f->hold->body) : 0;

	if (r->body == CV_H1_BODY_NONE || f->middleware->is_unseen)
		return CV_MIDDLEWARE_OK;
	if (!f->hold)
		return hold_begin(p, f, r);
	if (f->hold->file.bytes) /* it was held before a new policy asked us */
		return unseen(p, f, r, "a body that is too long to be looked into");
	switch (cv_hold_fill(f)) {
	case CV_HOLD_DONE: return CV_MIDDLEWARE_OK;
	case CV_HOLD_MORE:
		if (cv_buf_len(&f->hold->body) > before) /* slow is not idle */
			f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
		return CV_MIDDLEWARE_WAIT;
	case CV_HOLD_LONG: { /* in chunks: what was taken can't be given back */
		const struct cv_middleware *closed =
			closed_one(f->middleware, CV_MIDDLEWARE_REQUEST);

		for (size_t i = 0; !closed; i++)
			if (cv_mw_is_on(f->middleware, i, CV_MIDDLEWARE_REQUEST))
				closed = &f->middleware->engines->list[i];
		return refuse(p, f, r, CV_DENIAL_MIDDLEWARE_FAILED,
			(struct cv_mw_refusal){ closed, NULL,
				"a body in chunks that is too long to be looked into" });
	}
	case CV_HOLD_BAD:
	case CV_HOLD_CUT: cv_flow_end(p, f, true); return CV_MIDDLEWARE_ANSWERED;
	case CV_HOLD_FOUND:
	case CV_HOLD_FULL: return CV_MIDDLEWARE_OK; /* who asked for it refuses it */
	}
	cv_unreachable();
}

static enum cv_middleware_step all_look(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	struct cv_flow_middleware *m = f->middleware;
	enum cv_middleware_step step = CV_MIDDLEWARE_OK;

	m->header = cv_arena_array(&m->arena, r->header_count + 1, sizeof(*m->header));
	if (!m->header)
		return unseen(p, f, r, "there is no memory");
	memset(m->header, 0, (r->header_count + 1) * sizeof(*m->header));
	for (size_t i = 0; i < m->engines->count && step == CV_MIDDLEWARE_OK; i++) {
		const struct look l = { p, f, r, &m->engines->list[i], m->engines->v[i] };

		if (cv_mw_is_on(m, i, CV_MIDDLEWARE_REQUEST) && l.detect)
			step = look(&l);
	}
	return step;
}

enum cv_middleware_step cv_middleware_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	enum cv_middleware_step step = CV_MIDDLEWARE_OK;

	(void)path;
	if (!f->middleware) {
		const uint32_t bits = bits_of(f);

		if (!bits)
			return CV_MIDDLEWARE_OK;
		if (!flow_begin(p, f, bits)) {
			cv_flow_end(p, f, true);
			return CV_MIDDLEWARE_ANSWERED;
		}
		if (r->is_upgrade)
			step = unseen(p, f, r, "messages behind an upgrade");
	}
	struct cv_flow_middleware *m = f->middleware;
	if (step != CV_MIDDLEWARE_OK || m->is_done || !is_any_on(m, CV_MIDDLEWARE_REQUEST))
		return step;
	step = body_await(p, f, r);
	if (step == CV_MIDDLEWARE_OK)
		step = all_look(p, f, r);
	if (step != CV_MIDDLEWARE_OK)
		return step;
	m->is_done = true;
	/* Plain HTTP was looked through for placeholders before its body was here. */
	if (f->http.is_decided && f->hold && p->creds.count &&
		cv_ph_is_in(&p->creds.set, cv_buf_str(&f->hold->body))) {
		cv_cred_body_refuse(p, f);
		return CV_MIDDLEWARE_ANSWERED;
	}
	return CV_MIDDLEWARE_OK;
}

void cv_middleware_apply(struct cv_flow *f, struct cv_h1_request *r, struct cv_h1_request_edit *e)
{
	static const struct cv_h1_header identity = {
		.name = { "Accept-Encoding", 15 },
		.value = { "identity", 8 },
	};
	struct cv_flow_middleware *m = f->middleware;

	if (!m)
		return;
	for (size_t i = 0; m->header && i < r->header_count; i++)
		if (m->header[i].p)
			r->header[i].value = m->header[i];
	if (is_any_on(m, CV_MIDDLEWARE_RESPONSE)) {
		e->common.set = &identity;
		e->common.set_count = 1;
	}
}
