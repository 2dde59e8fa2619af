/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - an exchange whose bytes are somebody else's; see relay.h
 */
#include "rpc/relay.h"

#include "base/assert.h"
#include "rpc/server_int.h"

static struct cv_rpc_xchg *xchg_of(const struct cv_rpc_request *r)
{
	return (struct cv_rpc_xchg *)((uintptr_t)r - offsetof(struct cv_rpc_xchg, page));
}

/* ---- the request ---- */

const struct cv_rpc_field *cv_rpc_relay_fields(const struct cv_rpc_request *r, size_t *ret_n)
{
	*ret_n = xchg_of(r)->field_count;
	return xchg_of(r)->fields;
}

bool cv_rpc_relay_is_tls(const struct cv_rpc_request *r)
{
	return xchg_of(r)->conn && xchg_of(r)->conn->ssl;
}

bool cv_rpc_relay_is_near(const struct cv_rpc_request *r)
{
	return xchg_of(r)->conn && xchg_of(r)->conn->is_loopback;
}

bool cv_rpc_relay_is_upgrade(const struct cv_rpc_request *r)
{
	return xchg_of(r)->is_upgrade;
}

bool cv_rpc_relay_has_query(const struct cv_rpc_request *r)
{
	return xchg_of(r)->query.p && xchg_of(r)->has_query;
}

enum cv_rpc_status cv_rpc_relay_caller(
	struct cv_rpc_request *r, const struct cv_rpc_rule *rule, struct cv_err *err)
{
	return cv_rpc_xchg_judge(xchg_of(r), rule, err);
}

struct cv_str cv_rpc_relay_body(const struct cv_rpc_request *r)
{
	return cv_buf_str(&xchg_of(r)->in);
}

void cv_rpc_relay_take(struct cv_rpc_request *r, size_t n)
{
	struct cv_rpc_xchg *x = xchg_of(r);
	const size_t window = CV_MIN(n, x->unconsumed);

	cv_buf_skip(&x->in, n);
	if (!x->conn || !n)
		return;
	x->unconsumed -= window;
	if (window)
		cv_rpc_h2_consume(x, window);
	cv_rpc_dirty(x->conn); /* it may send, or read, again */
}

bool cv_rpc_relay_is_body_over(const struct cv_rpc_request *r)
{
	return xchg_of(r)->is_in_ended;
}

/* ---- the answer ---- */

void cv_rpc_relay_head(struct cv_rpc_request *r, int status, const struct cv_rpc_field *fields,
	size_t n, bool has_body)
{
	struct cv_rpc_xchg *x = xchg_of(r);

	if (r->is_started || r->is_ended)
		return;
	r->is_started = true;
	r->status = status;
	cv_rpc_xchg_head(x, status, fields, n, has_body);
}

void cv_rpc_relay_switch(struct cv_rpc_request *r, const struct cv_rpc_field *fields, size_t n)
{
	struct cv_rpc_xchg *x = xchg_of(r);

	cv_assert(x->is_upgrade);
	if (r->is_started || r->is_ended || !x->conn)
		return;
	r->is_started = true;
	r->status = 101;
	cv_rpc_h1_switch(x, fields, n);
	cv_rpc_dirty(x->conn);
}

bool cv_rpc_relay_put(struct cv_rpc_request *r, struct cv_str bytes)
{
	return cv_rpc_respond_piece(r, bytes);
}

void cv_rpc_relay_end(struct cv_rpc_request *r)
{
	cv_rpc_respond_end(r);
}

void cv_rpc_relay_abort(struct cv_rpc_request *r)
{
	struct cv_rpc_xchg *x = xchg_of(r);

	if (r->is_ended)
		return;
	r->is_ended = true;
	cv_rpc_xchg_abort(x);
	cv_rpc_due(x);
}

/* ---- for the server ---- */

bool cv_rpc_relay_claims(const struct cv_rpc_conn *c, struct cv_str host)
{
	const struct cv_rpc_server_config *config = &c->server->config;

	return !c->paths && config->relay && host.n && config->relay->claims(config->arg, host);
}

void cv_rpc_relay_begin(struct cv_rpc_xchg *x)
{
	x->kind = CV_RPC_XCHG_RELAY;
	x->page.is_seen = true;
	x->server->config.relay->begin(&x->page);
}

void cv_rpc_relay_run(struct cv_rpc_xchg *x)
{
	const struct cv_rpc_relay_handler *h = x->server->config.relay;
	struct cv_rpc_request *r = &x->page;

	if (!r->is_ended && (cv_buf_len(&x->in) || x->is_in_ended))
		h->readable(r);
	if (x->wants_writable) {
		x->wants_writable = false;
		if (!r->is_ended)
			h->writable(r);
	}
}

void cv_rpc_relay_over(struct cv_rpc_xchg *x)
{
	x->page.is_ended = true;
	x->kind = CV_RPC_XCHG_OVER;
	cv_rpc_xchg_requested(x, "relay", x->page.status);
	x->server->config.relay->closed(&x->page);
}
