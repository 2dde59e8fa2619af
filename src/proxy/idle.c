/* SPDX-License-Identifier: Apache-2.0 */
/* idle.c - see idle.h */
#include "proxy/idle.h"

#include "proxy/h2.h"
#include "proxy/proxy.h"

#include <errno.h>
#include <sys/socket.h>

#define WATCHED_IDLE (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define WATCHED_USED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* ---- what may be kept, and sent twice ---- */

/* Between two exchanges: the last one is over, and nothing of a next one was sent. */
static bool is_between(const struct cv_flow *f)
{
	return f->state == CV_FLOW_HEAD ||
	       (f->state == CV_FLOW_HTTP && f->http.phase == CV_HTTP_REQUEST_HEAD);
}

/* Whether any flow would ask for it: one that is not inspected needs its connection before it is known
 * what it speaks. */
static bool is_wanted(const struct cv_flow *f)
{
	return !f->is_tunnel || f->stream || (f->verdict.obligations & CV_OBLIGE_INSPECT);
}

static bool is_clean(const struct cv_leg *s)
{
	return s->has_served && !s->is_private && !s->is_eof && !s->is_wire_eof && !s->is_broken &&
	       !s->has_hangup && !s->wants_shut && !cv_iob_len(&s->in) && !cv_iob_len(&s->plain) &&
	       !cv_iob_len(&s->out) &&
	       (!s->ssl || (SSL_is_init_finished(s->ssl) && !SSL_has_pending(s->ssl) &&
				   !SSL_get_shutdown(s->ssl)));
}

static bool may_keep(const struct cv_proxy *p, const struct cv_flow *f)
{
	return f->server.fd >= 0 && !f->server.link && !f->h2 && !f->local && !f->is_tools &&
	       is_between(f) && is_wanted(f) && (!f->is_routed || f->routes == p->routes) &&
	       (f->server.ssl != NULL) == f->is_tls && is_clean(&f->server) &&
	       !cv_bond_is_over(p, &f->server.bond);
}

bool cv_idle_is_repeatable(const struct cv_flow *f, const struct cv_h1_request *r)
{
	static const struct cv_str method[] = { CV_STR("GET"), CV_STR("HEAD"), CV_STR("OPTIONS") };

	if (r->body != CV_H1_BODY_NONE || r->is_upgrade || f->hold || f->middleware)
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(method); i++)
		if (cv_str_eq(r->method, method[i]))
			return true;
	return false;
}

/* Whether word begins an element of a list of challenges or credentials. */
static bool has_word(struct cv_str s, struct cv_str word)
{
	for (size_t i = 0; i + word.n <= s.n; i++) {
		const char before = i ? s.p[i - 1] : ' ';
		const char after = i + word.n < s.n ? s.p[i + word.n] : ' ';

		if ((before == ' ' || before == ',' || before == '\t') &&
			(after == ' ' || after == ',' || after == '\t') &&
			cv_str_eq_nocase(cv_str_slice(s, i, i + word.n), word))
			return true;
	}
	return false;
}

bool cv_idle_is_private(const struct cv_h1_header *headers, size_t n)
{
	static const struct cv_str scheme[] = { CV_STR("ntlm"), CV_STR("negotiate"),
		CV_STR("nego2"), CV_STR("kerberos") };

	for (size_t i = 0; i < n; i++) {
		const struct cv_h1_header *h = &headers[i];

		if (h->field != CV_H1_FIELD_AUTHORIZATION &&
			h->field != CV_H1_FIELD_WWW_AUTHENTICATE)
			continue;
		for (size_t k = 0; k < CV_ARRAY_LEN(scheme); k++)
			if (has_word(h->value, scheme[k]))
				return true;
	}
	return false;
}

void cv_idle_seal(struct cv_flow *f)
{
	f->server.is_private = true;
	if (f->server.link && f->server.link->h2)
		f->server.link->h2->is_private = true;
}

/* ---- the kept ones ---- */

static void next_set(struct cv_idles *all)
{
	all->next_ms = INT64_MAX;
	for (size_t i = 0; all->count && i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++)
		if (all->v[i].is_used)
			all->next_ms = CV_MIN(
				all->next_ms, all->v[i].since_ms + CV_PROXY_IDLE_UPSTREAM_MS);
}

static void slot_free(struct cv_idles *all, struct cv_idle *e)
{
	e->is_used = false;
	e->gen++;
	all->count--;
	next_set(all);
}

static void drop(struct cv_idles *all, struct cv_idle *e)
{
	cv_leg_close(&e->leg);
	slot_free(all, e);
}

/* A free one, or the one that has waited longest. */
static struct cv_idle *slot_get(struct cv_idles *all)
{
	struct cv_idle *oldest = &all->v[0];

	for (size_t i = 0; i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++) {
		if (!all->v[i].is_used)
			return &all->v[i];
		if (all->v[i].since_ms < oldest->since_ms)
			oldest = &all->v[i];
	}
	drop(all, oldest);
	return oldest;
}

void cv_idle_put(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_idles *all = &p->idles;

	if (!may_keep(p, f))
		return;
	struct cv_idle *e = slot_get(all);
	const struct cv_watch w = {
		.kind = CV_WATCH_IDLE,
		.ref = { (uint32_t)(e - all->v), e->gen },
	};
	/* bytes that are there already make an event, too */
	if (cv_loop_change(&p->loop, f->server.fd, WATCHED_IDLE, w) != CV_OK)
		return;
	f->closed_up += f->server.bytes_out;
	f->closed_down += f->server.bytes_in;
	f->server.bytes_out = f->server.bytes_in = 0;
	e->leg = (struct cv_leg){ .fd = -1 };
	cv_leg_move(&f->server, &e->leg);
	f->server_tls = CV_SERVER_PLAIN;
	e->host = f->host;
	e->port = f->port;
	e->ip = f->dialled;
	e->is_forwarded = f->is_forwarded;
	e->is_routed = f->is_routed;
	e->since_ms = p->loop.now_ms;
	e->is_used = true;
	all->count++;
	next_set(all);
}

bool cv_idle_is_checked(const struct cv_flow *f, const struct cv_ip *ip)
{
	if (f->is_forwarded)
		return cv_ip_eq(ip, &f->dialled);
	for (size_t i = 0; i < f->addr_count; i++)
		if (cv_ip_eq(ip, &f->addr[i]))
			return true;
	return false;
}

static bool is_match(const struct cv_flow *f, const struct cv_idle *e)
{
	return e->is_used && e->port == f->port && cv_host_eq(&e->host, &f->host) &&
	       e->is_forwarded == f->is_forwarded && e->is_routed == f->is_routed &&
	       cv_idle_is_checked(f, &e->ip);
}

bool cv_idle_is_there(struct cv_proxy *p, struct cv_flow *f)
{
	const uint32_t raw = CV_OBLIGE_TLS_SKIP | CV_OBLIGE_TCP | CV_OBLIGE_POSTGRES;
	const struct cv_idles *all = &p->idles;

	if ((!all->count && !p->h2_kept.count) || !f->is_tunnel || f->is_inner || f->http.is_late ||
		(f->verdict.obligations & raw) || !(f->verdict.obligations & CV_OBLIGE_INSPECT))
		return false;
	for (size_t i = 0; all->count && i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++)
		if (is_match(f, &all->v[i])) {
			f->dialled = all->v[i].ip;
			return true;
		}
	return !f->is_routed && cv_h2_kept_is_there(p, f);
}

bool cv_idle_is_h1_only(const struct cv_proxy *p, const struct cv_flow *f)
{
	for (size_t i = 0; p->idles.count && i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++)
		if (is_match(f, &p->idles.v[i]) && p->idles.v[i].leg.is_h1_only)
			return true;
	return false;
}

bool cv_idle_is_fresh(const struct cv_proxy *p, const struct cv_flow *f, int64_t since_ms)
{
	const int64_t ms =
		f->http.is_repeatable ? CV_PROXY_IDLE_UPSTREAM_MS : CV_PROXY_IDLE_REUSE_MS;

	return p->loop.now_ms - since_ms <= ms;
}

/* The one that was in use last: the least likely to be closed just now. */
static struct cv_idle *find(struct cv_proxy *p, const struct cv_flow *f)
{
	const struct cv_bond bond = cv_bond_of(f);
	struct cv_idle *best = NULL;

	for (size_t i = 0; i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++) {
		struct cv_idle *e = &p->idles.v[i];

		if (is_match(f, e) && (e->leg.ssl != NULL) == f->is_tls &&
			cv_bond_carries(&e->leg.bond, &bond) &&
			(!best || e->since_ms > best->since_ms))
			best = e;
	}
	return best && cv_idle_is_fresh(p, f, best->since_ms) ? best : NULL;
}

/* Nothing came since the loop looked last. */
static bool is_silent(const struct cv_leg *leg)
{
	char byte;

	return recv(leg->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool cv_idle_take(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_watch w = { .kind = CV_WATCH_SERVER, .ref = cv_flow_ref(f) };
	struct cv_idle *e;

	if (!p->idles.count || f->h2 || f->http.is_replayed || f->http.wants_new ||
		!(f->http.is_late || f->http.is_decided))
		return false;
	while ((e = find(p, f))) {
		if (!is_silent(&e->leg) ||
			cv_loop_change(&p->loop, e->leg.fd, WATCHED_USED, w) != CV_OK) {
			drop(&p->idles, e);
			continue;
		}
		cv_leg_move(&e->leg, &f->server);
		f->server.is_reused = f->server.is_untried = true;
		f->server_tls = f->is_tls ? CV_SERVER_TLS : CV_SERVER_PLAIN;
		f->dialled = e->ip;
		slot_free(&p->idles, e);
		return true;
	}
	return false;
}

/* ---- their ends ---- */

void cv_idle_event(struct cv_proxy *p, struct cv_ref ref)
{
	struct cv_idle *e = &p->idles.v[ref.index];

	if (e->is_used && e->gen == ref.gen)
		drop(&p->idles, e);
}

void cv_idle_sweep(struct cv_proxy *p)
{
	const int64_t old_ms = p->loop.now_ms - CV_PROXY_IDLE_UPSTREAM_MS;

	if (p->idles.next_ms > p->loop.now_ms)
		return;
	for (size_t i = 0; i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++)
		if (p->idles.v[i].is_used && p->idles.v[i].since_ms <= old_ms)
			drop(&p->idles, &p->idles.v[i]);
}

void cv_idle_clear(struct cv_proxy *p)
{
	for (size_t i = 0; p->idles.count && i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++)
		if (p->idles.v[i].is_used)
			drop(&p->idles, &p->idles.v[i]);
	cv_h2_kept_clear(p, false);
}

void cv_idle_clear_routed(struct cv_proxy *p)
{
	for (size_t i = 0; p->idles.count && i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++)
		if (p->idles.v[i].is_used && p->idles.v[i].is_routed)
			drop(&p->idles, &p->idles.v[i]);
}

void cv_idle_clear_over(struct cv_proxy *p)
{
	for (size_t i = 0; p->idles.count && i < CV_PROXY_IDLE_UPSTREAMS_MAX; i++)
		if (p->idles.v[i].is_used && cv_bond_is_over(p, &p->idles.v[i].leg.bond))
			drop(&p->idles, &p->idles.v[i]);
	cv_h2_kept_clear(p, true);
}
