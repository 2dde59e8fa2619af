/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel.c - see tunnel.h
 *
 *     serve(): open ─► 101 is queued ─► the exchange ends (h1.c) ─► begin: H2, behind frames
 *
 * In:  a piece of a message goes to HTTP/2 as it comes, however messages are cut.  Text is refused,
 *      since nobody who speaks HTTP/2 sends it.  Of pings only the last is owed a pong (RFC 6455
 *      5.5.3 allows it), so who pings and does not read makes nothing grow.  Frames that carry
 *      nothing are counted with HTTP/2's own.
 * Out: one frame for what HTTP/2 made in one round.  It is finished before another begins, so a
 *      control frame goes when nothing is unsent.
 */
#include "rpc/tunnel.h"

#include "base/base64.h"
#include "rpc/server_int.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 8192 /* unmasked at a time, on the stack */

static struct cv_rpc_xchg *xchg_of(const struct cv_rpc_request *r)
{
	return (struct cv_rpc_xchg *)((uintptr_t)r - offsetof(struct cv_rpc_xchg, page));
}

/* ---- open ---- */

static void accept_put(struct cv_buf *b, struct cv_str key)
{
	unsigned char input[CV_WS_ACCEPT_INPUT_BYTES], digest[SHA_DIGEST_LENGTH];

	cv_ws_accept_input(key, (char *)input);
	SHA1(input, sizeof(input), digest);
	cv_buf_put_base64(
		b, (struct cv_str){ (const char *)digest, sizeof(digest) }, CV_BASE64_STD);
}

static uint32_t tunnels_of(const struct cv_rpc_server *s, const char *owner)
{
	uint32_t n = 0;

	for (const struct cv_rpc_conn *c = s->conns; c; c = c->next)
		n += c->tunnel && strcmp(c->tunnel->owner, owner) == 0;
	return n;
}

/* Whether there may be one more; answers if not. */
static bool is_room(struct cv_rpc_request *r, const char *owner)
{
	const struct cv_rpc_server *s = xchg_of(r)->server;

	if (s->is_draining)
		cv_rpc_respond_error(r, CV_RPC_UNAVAILABLE, "the server is ending");
	else if (s->tunnel_count >= CV_RPC_TUNNELS_MAX)
		cv_rpc_respond_error(r, CV_RPC_RESOURCE_EXHAUSTED,
			"there are %d tunnels, and no more are opened", CV_RPC_TUNNELS_MAX);
	else if (tunnels_of(s, owner) >= CV_RPC_TUNNELS_OWNER_MAX)
		cv_rpc_respond_error(r, CV_RPC_RESOURCE_EXHAUSTED,
			"you have %d tunnels open, and no more are opened",
			CV_RPC_TUNNELS_OWNER_MAX);
	else
		return true;
	return false;
}

static struct cv_rpc_tunnel *tunnel_new(
	struct cv_rpc_server *s, struct cv_str proof, const char *owner)
{
	static const struct cv_ws_rules rules = {
		.is_client = true,
		.binary_frame_max = CV_RPC_TUNNEL_FRAME_BYTES_MAX,
		.fragments_max = CV_RPC_TUNNEL_FRAGMENTS_MAX,
	};
	struct cv_rpc_tunnel *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	cv_ws_init(&t->in, &rules);
	cv_buf_init(&t->proof, CV_RPC_HEAD_BYTES_MAX);
	snprintf(t->owner, sizeof(t->owner), "%s", owner);
	t->code = CV_WS_CODE_NORMAL;
	if (!cv_buf_put(&t->proof, proof)) {
		free(t);
		return NULL;
	}
	s->tunnel_count++;
	return t;
}

void cv_rpc_tunnel_open(struct cv_rpc_request *r, struct cv_str proof, const char *owner)
{
	struct cv_rpc_xchg *x = xchg_of(r);
	struct cv_rpc_conn *c = x->conn;

	if (r->is_started || r->is_ended || !c)
		return;
	if (x->id) {
		cv_rpc_respond_error(
			r, CV_RPC_INVALID_ARGUMENT, "a tunnel begins with an upgrade of HTTP/1.1");
		return;
	}
	if (!x->ws_key.n) {
		cv_rpc_respond_error(r, CV_RPC_INVALID_ARGUMENT, "%s",
			x->ws_why ? x->ws_why : "a tunnel begins with an upgrade to WebSocket");
		return;
	}
	if (!is_room(r, owner))
		return;
	c->tunnel = tunnel_new(c->server, proof, owner);
	if (!c->tunnel || !cv_rpc_h2_start(c)) {
		c->is_broken = true;
		return;
	}
	c->is_known = true;
	c->is_chunked_out = false;
	cv_buf_put(&c->out, CV_STR("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n"
				   "upgrade: websocket\r\nsec-websocket-accept: "));
	accept_put(&c->out, x->ws_key);
	cv_buf_put(&c->out, CV_STR("\r\n\r\n"));
	r->is_started = r->is_ended = true;
	r->status = 101;
	x->is_head_sent = x->is_out_ended = true;
	cv_rpc_due(x);
	cv_rpc_dirty(c);
}

void cv_rpc_tunnel_free(struct cv_rpc_conn *c)
{
	if (!c->tunnel)
		return;
	cv_buf_wipe(&c->tunnel->proof);
	free(c->tunnel);
	c->tunnel = NULL;
	c->server->tunnel_count--;
}

/* ---- in ---- */

/* Nothing more is taken; the close frame says why. */
static void refuse(struct cv_rpc_conn *c, uint16_t code)
{
	c->tunnel->code = code;
	c->is_ending = true;
}

static void control_take(struct cv_rpc_conn *c, const struct cv_ws_piece *piece)
{
	struct cv_rpc_tunnel *t = c->tunnel;
	struct cv_str why;

	cv_rpc_h2_nothing(c);
	if (piece->opcode == CV_WS_PING) {
		memcpy(t->pong, piece->data.p, piece->data.n);
		t->pong_bytes = (uint8_t)piece->data.n;
		t->has_pong = true;
	} else if (piece->opcode == CV_WS_CLOSE) {
		if (cv_ws_close_read(piece->data, &t->code, &why) != CV_WS_RC_OK ||
			!cv_ws_code_is_valid(t->code))
			t->code = CV_WS_CODE_NORMAL;
		c->is_ending = true;
	}
}

static void data_take(struct cv_rpc_conn *c, const struct cv_ws_piece *piece)
{
	if (piece->opcode != CV_WS_BINARY)
		refuse(c, CV_WS_CODE_KIND);
	else if (piece->data.n)
		cv_rpc_h2_receive(c, piece->data);
	else
		cv_rpc_h2_nothing(c);
}

void cv_rpc_tunnel_receive(struct cv_rpc_conn *c, struct cv_str bytes)
{
	struct cv_ws_piece piece;
	char room[PIECE_BYTES];

	while (!c->is_ending) {
		switch (cv_ws_next(&c->tunnel->in, &bytes, room, sizeof(room), &piece)) {
		case CV_WS_DATA: data_take(c, &piece); continue;
		case CV_WS_FRAME: control_take(c, &piece); continue;
		case CV_WS_BAD: refuse(c, cv_ws_rc_row(c->tunnel->in.rc)->code); continue;
		case CV_WS_MORE: break;
		}
		break;
	}
	explicit_bzero(room, sizeof(room)); /* as the buffer that it came from */
}

/* The exchange of the upgrade has ended, and its answer is on its way. */
void cv_rpc_tunnel_begin(struct cv_rpc_conn *c)
{
	c->is_loopback = false;
	X509_free(c->certificate);
	c->certificate = NULL;
	cv_rpc_tunnel_receive(c, cv_buf_str(&c->in)); /* who did not wait for the 101 */
	cv_buf_fini(&c->in);
	cv_rpc_dirty(c);
}

/* ---- out ---- */

struct cv_str cv_rpc_tunnel_frame(char *payload, size_t n)
{
	char head[CV_WS_HEAD_BYTES_MAX];
	const size_t head_n = cv_ws_head_write(head, CV_WS_BINARY, true, n, NULL);

	memcpy(payload - head_n, head, head_n);
	return (struct cv_str){ payload - head_n, head_n + n };
}

/* The control frame that is due, whole; empty: none. */
struct cv_str cv_rpc_tunnel_control(
	struct cv_rpc_conn *c, char room[static CV_RPC_TUNNEL_CONTROL_BYTES])
{
	struct cv_rpc_tunnel *t = c->tunnel;
	char text[CV_WS_CONTROL_BYTES_MAX];
	struct cv_str payload = { t->pong, t->pong_bytes };
	enum cv_ws_opcode opcode = CV_WS_PONG;

	if (c->is_ending && !t->is_close_sent) {
		payload = (struct cv_str){ text, cv_ws_close_write(text, t->code, CV_STR("")) };
		opcode = CV_WS_CLOSE;
		t->is_close_sent = true;
	} else if (!t->has_pong || t->is_close_sent) {
		return CV_STR("");
	}
	t->has_pong = false;

	char head[CV_WS_HEAD_BYTES_MAX];
	const size_t head_n = cv_ws_head_write(head, opcode, true, payload.n, NULL);

	memcpy(room, head, head_n);
	memcpy(room + head_n, payload.p, payload.n);
	return (struct cv_str){ room, head_n + payload.n };
}
