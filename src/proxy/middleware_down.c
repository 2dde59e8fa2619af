/* SPDX-License-Identifier: Apache-2.0 */
/*
 * middleware_down.c - middlewares at a response
 *
 *     body --scrub (if any)--> held until its end, or an event's --looked at--> body's framing
 *
 * The head waits in the body (cv_body.lead) until the first of the body may go, so a response that
 * is refused whole gets an answer in its place.  Of a stream whose beginning has passed the rest is
 * cut off.
 */
#include "proxy/middleware_int.h"
#include "wire/sse.h"

#include <stdlib.h>

void cv_mw_filter_fini(struct cv_flow_middleware *m)
{
	cv_buf_wipe(&m->filter.held);
	cv_buf_wipe(&m->filter.step);
}

/* ---- looking ---- */

static struct cv_mw_filter *filter_of(struct cv_filter *f)
{
	return (struct cv_mw_filter *)f;
}

static bool refuse(
	struct cv_mw_filter *m, const struct cv_middleware *mw, const char *code, const char *text)
{
	m->refusal = (struct cv_mw_refusal){ mw, code, text };
	m->base.why = text;
	return false;
}

/* mw could not do its work.  False: nothing may pass. */
static bool failed(struct cv_mw_filter *m, const struct cv_middleware *mw, const char *text)
{
	if (!mw->is_fail_open)
		return refuse(m, mw, NULL, text);
	cv_mw_note(m->p, m->f, NULL, "middleware_failed",
		cv_arena_printf(
			&m->p->arena, "middleware %.*s let pass: %s", CV_STR_ARG(mw->name), text));
	return true;
}

/* One middleware at text, which it may replace (then *text is in made).  False: refused. */
static bool look(struct cv_mw_filter *m, size_t i, struct cv_str *text, struct cv_buf *made)
{
	const struct cv_engines *e = m->f->middleware->engines;
	const struct cv_middleware *mw = &e->list[i];
	struct cv_detect_result sum;
	struct cv_detect_hit hit;
	enum cv_detect_rc rc;

	if (mw->action == CV_MIDDLEWARE_DENY) {
		rc = cv_detect_first(e->v[i], *text, &hit);
		if (rc == CV_DETECT_HIT)
			return refuse(m, mw, hit.name, "found what may not come in");
	} else {
		rc = cv_detect_redact(e->v[i], *text, made, &sum);
		if (rc == CV_DETECT_HIT && !m->is_text)
			return failed(m, mw, "something to redact in a body that is not text");
		if (rc == CV_DETECT_HIT) {
			*text = cv_buf_str(made);
			cv_mw_note(m->p, m->f, NULL, sum.first,
				cv_arena_printf(&m->p->arena,
					"middleware %.*s redacted %zu in the response",
					CV_STR_ARG(mw->name), sum.count));
		}
	}
	return rc != CV_DETECT_COSTLY ||
	       failed(m, mw, "a response that took too long to look through");
}

/* All middlewares at a whole text, into out. */
static bool all_look(struct cv_mw_filter *m, struct cv_str text, struct cv_buf *out)
{
	const struct cv_flow_middleware *fm = m->f->middleware;
	struct cv_buf made[2];
	bool is_fine = true;

	for (size_t i = 0; i < CV_ARRAY_LEN(made); i++)
		cv_buf_init(&made[i], CV_PROXY_FILTERED_BYTES_MAX / 2);
	for (size_t i = 0, turn = 0; i < fm->engines->count && is_fine; i++) {
		const char *before = text.p;

		if (!cv_mw_is_on(fm, i, CV_MIDDLEWARE_RESPONSE) || !fm->engines->v[i])
			continue;
		cv_buf_reset(&made[turn]);
		is_fine = look(m, i, &text, &made[turn]);
		turn = text.p != before ? !turn : turn; /* the other one is read now */
	}
	if (is_fine && !cv_buf_put(out, text) && text.n)
		is_fine = false;
	for (size_t i = 0; i < CV_ARRAY_LEN(made); i++)
		cv_buf_wipe(&made[i]);
	return is_fine;
}

/* ---- holding ---- */

/* Behind the first empty line of held, or 0.  Lines end as they do in event streams. */
static size_t event_end(struct cv_mw_filter *m)
{
	const struct cv_str t = cv_buf_str(&m->held);

	for (size_t i = m->scanned; i + 1 < t.n; i++) {
		const bool is_lf = t.p[i] == '\n' && t.p[i + 1] == '\n';
		const bool is_cr = t.p[i] == '\r' && t.p[i + 1] == '\r';
		const bool is_both = t.p[i] == '\n' && t.p[i + 1] == '\r';

		if (is_lf || is_cr || is_both) {
			const bool is_crlf = is_both && i + 2 < t.n && t.p[i + 2] == '\n';

			m->scanned = 0;
			return i + 2 + is_crlf;
		}
	}
	m->scanned = t.n ? t.n - 1 : 0;
	return 0;
}

/* More than may be held: each middleware that looks this way has failed. */
static bool give_up(struct cv_mw_filter *m, struct cv_buf *out)
{
	const struct cv_flow_middleware *fm = m->f->middleware;

	for (size_t i = 0; i < fm->engines->count; i++)
		if (cv_mw_is_on(fm, i, CV_MIDDLEWARE_RESPONSE) &&
			!failed(m, &fm->engines->list[i],
				m->is_events ? "an event that is too long to be looked into"
					     : "a response that is too long to be looked into"))
			return false;
	m->is_raw = true;
	const bool is_put = cv_buf_put(out, cv_buf_str(&m->held)) || !cv_buf_len(&m->held);
	cv_buf_wipe(&m->held);
	return is_put;
}

static bool absorb(struct cv_mw_filter *m, struct cv_str data, struct cv_buf *out)
{
	size_t n;

	if (m->is_raw)
		return !data.n || cv_buf_put(out, data);
	if (data.n && !cv_buf_put(&m->held, data)) /* room is far above what is held */
		return refuse(m, &m->f->middleware->engines->list[0], NULL, "there is no memory");
	while (m->is_events && (n = event_end(m)) > 0) {
		if (!all_look(m, cv_str_slice(cv_buf_str(&m->held), 0, n), out))
			return false;
		cv_buf_skip(&m->held, n);
	}
	return cv_buf_len(&m->held) <= CV_PROXY_MIDDLEWARE_BYTES_MAX || give_up(m, out);
}

static enum cv_filter_rc feed(struct cv_filter *f, struct cv_str *in, struct cv_buf *out)
{
	struct cv_mw_filter *m = filter_of(f);
	enum cv_filter_rc rc = CV_FILTER_OK;
	struct cv_str data = *in;

	if (m->inner) {
		cv_buf_reset(&m->step);
		rc = m->inner->feed(m->inner, in, &m->step);
		data = cv_buf_str(&m->step);
		f->why = m->inner->why;
	} else {
		*in = cv_str_slice(*in, in->n, in->n);
	}
	if (rc == CV_FILTER_BAD)
		return rc;
	return absorb(m, data, out) ? rc : CV_FILTER_BAD;
}

static enum cv_filter_rc end(struct cv_filter *f, struct cv_buf *out)
{
	struct cv_mw_filter *m = filter_of(f);

	if (m->inner) {
		cv_buf_reset(&m->step);
		if (m->inner->end(m->inner, &m->step) == CV_FILTER_BAD) {
			f->why = m->inner->why;
			return CV_FILTER_BAD;
		}
		if (!absorb(m, cv_buf_str(&m->step), out))
			return CV_FILTER_BAD;
	}
	if (!m->is_raw && !all_look(m, cv_buf_str(&m->held), out))
		return CV_FILTER_BAD;
	cv_buf_wipe(&m->held);
	return CV_FILTER_OK;
}

static bool trailer(struct cv_filter *f, struct cv_str value, struct cv_buf *out)
{
	struct cv_mw_filter *m = filter_of(f);
	struct cv_buf step;
	bool is_fine;

	cv_buf_init(&step, CV_PROXY_HEAD_BYTES_MAX);
	is_fine = !m->inner || m->inner->trailer(m->inner, value, &step);
	is_fine = is_fine && all_look(m, m->inner ? cv_buf_str(&step) : value, out);
	cv_buf_wipe(&step);
	return is_fine;
}

/* ---- the response ---- */

static struct cv_str content_type(const struct cv_h1_response *r)
{
	size_t at = 0;
	const struct cv_h1_header *h =
		cv_h1_header_next(r->header, r->header_count, CV_H1_FIELD_CONTENT_TYPE, &at);

	return h ? h->value : CV_STR_NONE;
}

static void filter_start(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_response *r)
{
	struct cv_mw_filter *m = &f->middleware->filter;
	struct cv_body *b = &f->http.down;

	cv_mw_filter_fini(f->middleware);
	*m = (struct cv_mw_filter){
		.base = { .feed = feed, .end = end, .trailer = trailer },
		.inner = b->filter,
		.p = p,
		.f = f,
		.is_on = true,
		.is_events = cv_sse_is_type(content_type(r)),
		.is_text = cv_mw_is_text(r->header, r->header_count),
	};
	cv_buf_init(&m->held, CV_PROXY_MIDDLEWARE_BYTES_MAX + CV_PROXY_PENDING_BYTES_MAX);
	cv_buf_init(&m->step, CV_PROXY_PENDING_BYTES_MAX);
	cv_buf_init(&b->lead, CV_PROXY_IO_BYTES);
	cv_buf_init(&b->pending, CV_PROXY_FILTERED_BYTES_MAX);
	b->filter = &m->base;
	if (b->kind == CV_H1_BODY_LENGTH || b->kind == CV_H1_BODY_CHUNKED) {
		b->out = f->http.to_http10 ? CV_H1_BODY_CLOSE : CV_H1_BODY_CHUNKED;
		f->http.client_closes |= f->http.to_http10;
	}
}

bool cv_middleware_response(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_response *r)
{
	struct cv_flow_middleware *m = f->middleware;
	const char *why;

	if (!m || r->status < 200 || f->http.down.is_done)
		return true;
	why = cv_mw_unseen(r->header, r->header_count);
	for (size_t i = 0; i < m->engines->count; i++) {
		const struct cv_middleware *mw = &m->engines->list[i];

		if (!cv_mw_is_on(m, i, CV_MIDDLEWARE_RESPONSE))
			continue;
		if (!why) {
			filter_start(p, f, r);
			return true;
		}
		const struct cv_mw_refusal refusal = { mw, NULL, why };
		if (!mw->is_fail_open) {
			cv_mw_refuse(p, f, NULL, CV_DENIAL_MIDDLEWARE_FAILED, &refusal);
			return false;
		}
		cv_mw_note(p, f, NULL, "middleware_failed",
			cv_arena_printf(&p->arena, "middleware %.*s let pass: %s",
				CV_STR_ARG(mw->name), why));
	}
	return true;
}

bool cv_middleware_body_refuse(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_mw_filter *m = f->middleware ? &f->middleware->filter : NULL;

	if (!m || !m->is_on || !m->refusal.middleware)
		return false;
	const bool is_whole = cv_buf_len(&f->http.down.lead) > 0;
	const enum cv_denial d =
		m->refusal.code ? CV_DENIAL_MIDDLEWARE_DENIED : CV_DENIAL_MIDDLEWARE_FAILED;
	const struct cv_mw_refusal why = m->refusal;

	if (is_whole) {
		cv_mw_refuse(p, f, NULL, d, &why);
		return true;
	}
	cv_mw_note(p, f, NULL, why.code ? why.code : "middleware_failed",
		cv_arena_printf(&p->arena, "middleware %.*s cut the response off: %s",
			CV_STR_ARG(why.middleware->name), why.text));
	cv_leg_flush(&f->client); /* what was looked at is the sandbox's */
	cv_flow_end(p, f, true);
	return true;
}
