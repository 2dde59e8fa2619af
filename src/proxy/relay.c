/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - bytes both ways, unseen
 *
 * What one side said goes to the other straight from the buffer it was read into; it stays there,
 * and nothing more is read, while the other's socket is full.  The end of one direction is passed
 * on as a half-close; the flow ends when both have ended.
 */
#include "proxy/proxy.h"

/* One direction, as far as it goes now. */
static bool pass(struct cv_leg *from, struct cv_leg *to)
{
	bool has_moved = cv_leg_fill(from);
	const struct cv_str text = cv_leg_text(from);
	const size_t n = text.n ? cv_leg_send(to, text) : 0;

	if (n) {
		cv_leg_take(from, n);
		has_moved = true;
	}
	if (from->is_eof && !cv_leg_text(from).n && !to->wants_shut) {
		cv_leg_shut(to);
		has_moved = true;
	}
	return has_moved;
}

bool cv_relay_step(struct cv_proxy *p, struct cv_flow *f)
{
	if (cv_tls_server_shake(p, f) == CV_TLS_FAILED) {
		cv_flow_end(p, f, true);
		return false;
	}
	const bool has_gone_up = pass(&f->client, &f->server);
	const bool has_come_down = pass(&f->server, &f->client);

	if (f->client.is_broken || f->server.is_broken) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (f->client.is_shut && f->server.is_shut && f->client.is_eof && f->server.is_eof) {
		cv_flow_end(p, f, false);
		return false;
	}
	if (has_gone_up || has_come_down)
		f->deadline_ms = p->loop.now_ms + CV_PROXY_IDLE_MS;
	return has_gone_up || has_come_down;
}
