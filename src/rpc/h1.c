/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1.c - HTTP/1: one request after another on a connection
 *
 * Heads are read by wire/h1.h, which refuses whatever two implementations could read differently.
 * The next request is not looked at before the answer to the last has been made, so answers can't
 * change places.  An answer that comes before the end of its request's body closes the connection:
 * where the next request begins is not known for sure then.
 */
#include "rpc/server_int.h"

#include "base/assert.h"
#include "wire/http_status.h"

#include <stdlib.h>

/* ---- in ---- */

static void head_refuse(struct cv_rpc_conn *c, int status, const char *text)
{
	struct cv_rpc_xchg *x = cv_rpc_xchg_new(c, 0);

	if (!x) {
		c->is_broken = true;
		return;
	}
	c->is_h1_busy = true;
	c->is_keep_alive = false;
	cv_rpc_xchg_refuse(x, status, text);
}

/* For a page that takes such an upgrade; others answer as if it had not been asked for. */
static void websocket_look(struct cv_rpc_xchg *x, const struct cv_h1_request *r)
{
	struct cv_ws_offer offer;
	const enum cv_ws_hand rc = cv_ws_request_check(r, &offer);

	if (rc == CV_WS_HAND_OK)
		x->ws_key = cv_arena_str(&x->arena, offer.key);
	else
		x->ws_why = cv_ws_hand_text(rc);
}

static void fields_take(struct cv_rpc_xchg *x, const struct cv_h1_request *r)
{
	char name[CV_H1_NAME_BYTES_MAX];

	for (size_t i = 0; i < r->header_count; i++) {
		const struct cv_h1_header *h = &r->header[i];

		cv_assert(h->name.n <= sizeof(name));
		for (size_t k = 0; k < h->name.n; k++)
			name[k] = cv_ascii_lower(h->name.p[k]);
		cv_rpc_xchg_field(x, (struct cv_str){ name, h->name.n }, h->value);
	}
	x->method = cv_arena_str(&x->arena, r->method);
	x->path = cv_arena_str(&x->arena, r->path);
	x->query = cv_arena_str(&x->arena, r->query);
	x->has_query = r->query.p != NULL;
	x->host = cv_rpc_xchg_get(x, "host");
	x->is_relay = cv_rpc_relay_claims(x->conn, x->host);
	x->is_upgrade = x->is_relay && r->is_upgrade;
	if (r->is_upgrade && !x->is_relay)
		websocket_look(x, r);
}

static void body_begin(struct cv_rpc_conn *c, struct cv_rpc_xchg *x, const struct cv_h1_request *r)
{
	c->has_body_length = r->body == CV_H1_BODY_LENGTH;
	c->body_left = c->has_body_length ? r->length : 0;
	free(c->chunk);
	c->chunk = NULL;
	if (r->body == CV_H1_BODY_CHUNKED) {
		c->chunk = malloc(sizeof(*c->chunk));
		if (!c->chunk) {
			c->is_broken = true;
			return;
		}
		cv_chunk_init(c->chunk);
	}
	x->is_in_ended = !c->chunk && !c->body_left;
	if (!x->is_in_ended && r->is_expect_continue)
		cv_buf_put(&c->out, CV_STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void request_begin(struct cv_rpc_conn *c, const struct cv_h1_request *r)
{
	struct cv_rpc_xchg *x = cv_rpc_xchg_new(c, 0);

	if (!x) {
		c->is_broken = true;
		return;
	}
	c->is_h1_busy = true;
	c->is_keep_alive = r->is_keep_alive && !c->server->is_draining;
	c->is_chunked_out = r->minor >= 1;
	fields_take(x, r);
	if (r->form == CV_H1_FORM_AUTHORITY || r->form == CV_H1_FORM_ASTERISK ||
		(r->is_overriding && !x->is_relay)) {
		c->is_keep_alive = false;
		cv_rpc_xchg_refuse(x, 400, "this form of request is not served here");
	} else if (r->body == CV_H1_BODY_LENGTH && r->length > CV_RPC_MESSAGE_BYTES_MAX &&
		   !x->is_relay) {
		c->is_keep_alive = false;
		cv_rpc_xchg_refuse(x, 413, "the body is too large");
	} else {
		body_begin(c, x, r);
		x->is_head_done = true;
	}
	cv_rpc_due(x);
}

/* True when a request has begun. */
static bool head_take(struct cv_rpc_conn *c)
{
	struct cv_h1_request r;
	const enum cv_h1_rc rc =
		cv_h1_request_parse(cv_buf_str(&c->in), CV_RPC_HEAD_BYTES_MAX, &c->scanned, &r);

	if (rc == CV_H1_MORE)
		return false;
	if (rc != CV_H1_OK) {
		head_refuse(c, cv_h1_rc_row(rc)->status, cv_h1_rc_row(rc)->text);
		return false;
	}
	request_begin(c, &r);
	cv_buf_skip(&c->in, r.head_bytes);
	c->scanned = 0;
	return true;
}

static void piece_take(struct cv_rpc_conn *c, struct cv_str piece)
{
	struct cv_rpc_xchg *x = c->xchgs;

	if (x->is_out_ended) /* answered: nobody reads it */
		return;
	if (!cv_rpc_xchg_data(x, piece))
		c->is_broken = true;
}

static void length_body_take(struct cv_rpc_conn *c)
{
	const struct cv_str have = cv_buf_str(&c->in);
	const size_t n = (size_t)CV_MIN((uint64_t)have.n, c->body_left);

	piece_take(c, cv_str_slice(have, 0, n));
	cv_buf_skip(&c->in, n);
	c->body_left -= n;
	c->xchgs->is_in_ended = c->body_left == 0;
}

static void raw_take(struct cv_rpc_conn *c)
{
	const struct cv_str have = cv_buf_str(&c->in);

	piece_take(c, have);
	cv_buf_skip(&c->in, have.n);
}

static void chunk_body_take(struct cv_rpc_conn *c)
{
	const struct cv_str all = cv_buf_str(&c->in);
	struct cv_str rest = all, piece;
	enum cv_chunk_event e;

	while ((e = cv_chunk_next(c->chunk, &rest, &piece)) == CV_CHUNK_DATA)
		piece_take(c, piece);
	cv_buf_skip(&c->in, all.n - rest.n);
	if (e == CV_CHUNK_DONE) {
		c->xchgs->is_in_ended = true;
	} else if (e == CV_CHUNK_BAD) {
		c->is_keep_alive = false;
		if (c->xchgs->is_head_sent || c->xchgs->kind == CV_RPC_XCHG_PAGE ||
			c->xchgs->is_relay)
			c->is_broken = true;
		else
			cv_rpc_xchg_refuse(c->xchgs, 400, cv_chunk_rc_row(c->chunk->rc)->text);
	}
}

void cv_rpc_h1_receive(struct cv_rpc_conn *c)
{
	c->is_body_held = false;
	if (c->is_ending || (!c->is_h1_busy && !head_take(c)))
		return;
	if (c->xchgs->is_in_ended || !cv_buf_len(&c->in)) {
		if (!cv_buf_len(&c->in))
			cv_buf_fini(&c->in);
		return;
	}
	c->is_body_held = c->xchgs->is_relay && cv_buf_len(&c->xchgs->in) >= CV_RPC_RELAY_IN_BYTES;
	if (c->is_body_held)
		return;
	if (c->is_raw)
		raw_take(c);
	else if (c->chunk)
		chunk_body_take(c);
	else if (c->body_left)
		length_body_take(c);
	if (c->xchgs->is_in_ended)
		cv_rpc_due(c->xchgs);
	if (!cv_buf_len(&c->in))
		cv_buf_fini(&c->in);
}

/* ---- out ---- */

static void line_put(struct cv_buf *b, struct cv_str name, struct cv_str value)
{
	cv_buf_put(b, name);
	cv_buf_put(b, CV_STR(": "));
	cv_buf_put(b, value);
	cv_buf_put(b, CV_STR("\r\n"));
}

void cv_rpc_h1_head(struct cv_rpc_xchg *x, int status, const struct cv_rpc_field *fields,
	size_t count, bool has_body)
{
	struct cv_rpc_conn *c = x->conn;
	bool has_length = false;

	if (!x->is_in_ended)
		c->is_keep_alive = false;
	cv_buf_printf(&c->out, "HTTP/1.1 %d %s\r\n", status, cv_http_status_text(status));
	for (size_t i = 0; i < count; i++) {
		line_put(&c->out, fields[i].name, fields[i].value);
		has_length |= cv_str_eq(fields[i].name, CV_STR("content-length"));
	}
	c->is_chunked_out = c->is_chunked_out && has_body && !has_length;
	if (c->is_chunked_out)
		line_put(&c->out, CV_STR("transfer-encoding"), CV_STR("chunked"));
	else if (has_body && !has_length)
		c->is_keep_alive = false;
	if (x->request_id[0])
		line_put(&c->out, CV_STR("x-request-id"), cv_str_of(x->request_id));
	if (!c->is_keep_alive)
		line_put(&c->out, CV_STR("connection"), CV_STR("close"));
	cv_buf_put(&c->out, CV_STR("\r\n"));
	if (c->out.is_overflown)
		c->is_broken = true;
}

void cv_rpc_h1_switch(struct cv_rpc_xchg *x, const struct cv_rpc_field *fields, size_t count)
{
	struct cv_rpc_conn *c = x->conn;

	cv_buf_put(&c->out, CV_STR("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n"));
	for (size_t i = 0; i < count; i++)
		line_put(&c->out, fields[i].name, fields[i].value);
	cv_buf_put(&c->out, CV_STR("\r\n"));
	x->is_head_sent = true;
	x->is_in_ended = false;
	c->is_chunked_out = c->is_keep_alive = false;
	c->is_raw = true;
	if (c->out.is_overflown)
		c->is_broken = true;
}

static void request_end(struct cv_rpc_conn *c)
{
	if (c->is_chunked_out)
		cv_buf_put(&c->out, CV_CHUNK_END);
	c->is_chunked_out = false;
	c->is_h1_busy = false;
	cv_rpc_xchg_detach(c->xchgs);
	c->since_ms = c->server->config.loop->now_ms;
	if (c->tunnel)
		cv_rpc_conn_tunnel(c);
	else if (!c->is_keep_alive || c->server->is_draining)
		c->is_ending = true;
	else if (cv_buf_len(&c->in))
		cv_rpc_dirty(c); /* the next one is there already */
}

void cv_rpc_h1_fill(struct cv_rpc_conn *c)
{
	struct cv_rpc_xchg *x = c->is_h1_busy ? c->xchgs : NULL;

	if (!x || !x->is_head_sent)
		return;
	while (cv_buf_len(&x->out) && cv_buf_len(&c->out) < CV_RPC_PIECE_BYTES) {
		const struct cv_str piece =
			cv_str_slice(cv_buf_str(&x->out), 0, CV_RPC_PIECE_BYTES);

		if (c->is_chunked_out)
			cv_chunk_write(&c->out, piece);
		else
			cv_buf_put(&c->out, piece);
		cv_buf_skip(&x->out, piece.n);
	}
	cv_rpc_xchg_sent(x);
	if (c->out.is_overflown)
		c->is_broken = true;
	else if (x->is_out_ended && !cv_buf_len(&x->out))
		request_end(c);
}
