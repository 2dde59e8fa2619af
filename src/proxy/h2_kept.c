/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_kept.c - upstream sessions that nobody uses just now
 *
 *     U of D --D ends--> kept, for CV_PROXY_IDLE_UPSTREAM_MS --> U of the next D
 *
 * A kept one is still a flow in state H2_UP, without an owner: its peer may go on to send what needs no
 * stream, and its GOAWAY or end is its end.  Whoever wants one has looked the name up like everyone
 * who dials, and has a flow of its own for the new connection already: that flow takes the session
 * over.  The rules are those of idle.h, and the same time of grace for what can't be sent twice: a
 * server that closes says with GOAWAY which streams it never looked at, but the client has to
 * repeat those with a body.
 */
#include "proxy/h2.h"
#include "proxy/idle.h"
#include "proxy/proxy.h"
#include "proxy/spend.h"

#include <errno.h>
#include <sys/socket.h>

static struct cv_flow *kept(struct cv_proxy *p, size_t i)
{
	struct cv_flow *u = cv_flow_get(&p->flows, p->h2_kept.v[i]);

	return u && u->state == CV_FLOW_H2_UP && u->h2 && u->h2->owner.index == UINT32_MAX ? u
											   : NULL;
}

static bool is_usable(const struct cv_flow *u)
{
	const struct cv_h2 *h2 = u->h2;
	const struct cv_leg *s = &u->server;

	return h2->session && !h2->links && !h2->is_draining && !h2->is_over && !h2->abuse &&
	       !h2->has_block && !h2->is_private && s->fd >= 0 && !s->is_eof && !s->is_wire_eof &&
	       !s->is_broken && !s->has_hangup && !s->wants_shut;
}

/* ---- kept ---- */

static void end(struct cv_proxy *p, struct cv_flow *u)
{
	cv_flow_end(p, u, false);
	cv_proxy_queue(p, u);
}

/* A free place, or that of the one that has waited longest. */
static size_t place_make(struct cv_proxy *p)
{
	int64_t oldest_ms = INT64_MAX;
	size_t at = 0;

	for (size_t i = 0; i < CV_PROXY_IDLE_SESSIONS_MAX; i++) {
		const struct cv_flow *u = i < p->h2_kept.count ? kept(p, i) : NULL;

		if (!u)
			return i;
		if (u->h2->since_ms < oldest_ms) {
			oldest_ms = u->h2->since_ms;
			at = i;
		}
	}
	end(p, kept(p, at));
	return at;
}

bool cv_h2_keep(struct cv_proxy *p, struct cv_flow *u)
{
	if (u->state != CV_FLOW_H2_UP || !is_usable(u) || u->h2->bond.kind == CV_BOND_NONE ||
		cv_bond_is_over(p, &u->h2->bond))
		return false;
	const size_t at = place_make(p);

	p->h2_kept.v[at] = cv_flow_ref(u);
	p->h2_kept.count = CV_MAX(p->h2_kept.count, (uint32_t)at + 1);
	cv_h2_count(p, u); /* its owner's end says what went so far */
	cv_spend_bytes_last(p, u);
	u->closed_up = u->closed_down = u->bytes_spent = 0;
	u->server.bytes_in = u->server.bytes_out = 0;
	u->who = NULL;
	u->who_problem = NULL;
	u->h2->owner = (struct cv_ref){ UINT32_MAX, 0 };
	u->h2->since_ms = p->loop.now_ms;
	u->deadline_ms = p->loop.now_ms + CV_PROXY_IDLE_UPSTREAM_MS;
	p->next_sweep_ms = CV_MIN(p->next_sweep_ms, u->deadline_ms);
	return true;
}

void cv_h2_kept_clear(struct cv_proxy *p, bool is_over_only)
{
	for (size_t i = 0; i < p->h2_kept.count; i++) {
		struct cv_flow *u = kept(p, i);

		if (u && (!is_over_only || cv_bond_is_over(p, &u->h2->bond)))
			end(p, u);
	}
	if (!is_over_only)
		p->h2_kept.count = 0;
}

/* ---- taken ---- */

static bool is_match(const struct cv_flow *f, const struct cv_flow *u)
{
	return u->port == f->port && cv_host_eq(&u->host, &f->host) &&
	       u->is_forwarded == f->is_forwarded && cv_idle_is_checked(f, &u->dialled);
}

bool cv_h2_kept_is_there(struct cv_proxy *p, struct cv_flow *d)
{
	for (size_t i = 0; i < p->h2_kept.count; i++) {
		const struct cv_flow *u = kept(p, i);

		if (u && is_usable(u) && is_match(d, u)) {
			d->dialled = u->dialled;
			return true;
		}
	}
	return false;
}

/* Nothing came since the loop looked last: perhaps it was GOAWAY. */
static bool is_silent(const struct cv_flow *u)
{
	char byte;

	return recv(u->server.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct cv_flow *find(struct cv_proxy *p, const struct cv_flow *f)
{
	struct cv_flow *best = NULL;

	for (size_t i = 0; i < p->h2_kept.count; i++) {
		struct cv_flow *u = kept(p, i);

		if (u && is_usable(u) && is_match(f, u) && u->is_tls == f->is_tls &&
			cv_bond_carries(&u->h2->bond, &f->h2->bond) &&
			cv_idle_is_fresh(p, f, u->h2->since_ms) &&
			(!best || u->h2->since_ms > best->h2->since_ms) && is_silent(u))
			best = u;
	}
	return best;
}

bool cv_h2_kept_take(struct cv_proxy *p, struct cv_flow *u)
{
	struct cv_flow *from = p->h2_kept.count ? find(p, u) : NULL;

	if (!from)
		return false;
	struct cv_h2 *ours = u->h2, *theirs = from->h2;

	theirs->owner = ours->owner;
	theirs->is_untried = true;
	ours->owner = (struct cv_ref){ UINT32_MAX, 0 };
	theirs->flow = u;
	ours->flow = from;
	u->h2 = theirs;
	from->h2 = ours;
	cv_server_move(p, from, u);
	u->server_tls = from->server_tls;
	u->server.can_read = u->server.can_write = true;
	end(p, from);
	if (theirs->is_dirty) { /* under the number of the other flow */
		theirs->is_dirty = false;
		cv_h2_mark(theirs);
	}
	cv_flow_set_state(u, CV_FLOW_H2_UP, p->loop.now_ms);
	cv_h2_up_run(p, u);
	return true;
}
