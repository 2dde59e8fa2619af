/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel_dial.c - HTTP/2 within a WebSocket, on the client's side; see tunnel.h for the server's
 *
 * The proxy in front looks at the token of the upgrade and lets the upgrade through, or answers in
 * the gateway's place: with a redirect to its log-in, mostly.  Whatever it is, it becomes a sentence
 * that says what to do.
 *
 * Writing takes a piece, makes a frame of it, and has taken the piece when the frame is out; until
 * then the caller keeps it and offers it again, as TLS wants it too.  So nothing is held here but one
 * frame, and the caller's own bounds hold.
 */
#include "rpc/dial_int.h"

#include "base/base64.h"
#include "sys/clock.h"
#include "wire/json_value.h"
#include "wire/ws.h"
#include "wire/ws_handshake.h"

#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define PATH             "/_ws_tunnel"
#define TOKEN_BYTES_MAX  16384
#define HEAD_BYTES_MAX   (64u << 10) /* of the request: the token is in it three times */
#define READ_BYTES       16384
#define PAYLOAD_BYTES    16384        /* of a frame of ours: a record of TLS */
#define ANSWER_BYTES_MAX (16u << 10)  /* of a head, and of a body that says why not */
#define FRAME_BYTES_MAX  (16u << 20)  /* of a server's frame: passed as it comes */
#define SAID_BYTES       200          /* of what the other side said why not */
#define ANSWER_ARENA_MAX (256u << 10) /* of such a body, taken apart */

struct cv_rpc_tunnel_end {
	struct cv_ws in;
	struct cv_buf raw;   /* read, and not taken apart yet */
	struct cv_buf frame; /* on its way */
	size_t promised;     /* of the caller's bytes that are in it; 0: it is a control frame */
	struct cv_buf pong;  /* payload that is owed */
	bool has_pong, is_closed;
};

/* ---- frames ---- */

static bool frame_make(struct cv_rpc_tunnel_end *t, enum cv_ws_opcode opcode, struct cv_str payload)
{
	char head[CV_WS_HEAD_BYTES_MAX];
	uint8_t mask[4];
	char *room;

	if (getrandom(mask, sizeof(mask), 0) != sizeof(mask))
		return false;
	cv_buf_reset(&t->frame);
	cv_buf_put(&t->frame,
		(struct cv_str){ head, cv_ws_head_write(head, opcode, true, payload.n, mask) });
	room = cv_buf_reserve(&t->frame, payload.n ? payload.n : 1);
	if (!room)
		return false;
	if (payload.n)
		memcpy(room, payload.p, payload.n);
	cv_ws_mask(room, payload.n, mask, 0);
	cv_buf_commit(&t->frame, payload.n);
	return true;
}

/* The next one, when the last is out.  False: no memory, no random numbers. */
static bool frame_next(struct cv_rpc_tunnel_end *t, struct cv_str s)
{
	if (t->has_pong) {
		t->has_pong = false;
		t->promised = 0;
		return frame_make(t, CV_WS_PONG, cv_buf_str(&t->pong));
	}
	s.n = CV_MIN(s.n, (size_t)PAYLOAD_BYTES);
	t->promised = s.n;
	return !s.n || frame_make(t, CV_WS_BINARY, s);
}

cv_code cv_rpc_tunnel_write(
	struct cv_rpc_dialled *d, struct cv_str s, size_t *ret, struct cv_err *err)
{
	struct cv_rpc_tunnel_end *t = d->tunnel;
	size_t n;

	*ret = 0;
	for (;;) {
		if (!cv_buf_len(&t->frame) && !frame_next(t, s))
			return cv_fail(err, CV_LIMIT, "no memory");
		while (cv_buf_len(&t->frame)) {
			const cv_code code = cv_rpc_raw_write(d, cv_buf_str(&t->frame), &n, err);

			if (code != CV_OK || !n)
				return code;
			cv_buf_skip(&t->frame, n);
		}
		*ret = t->promised;
		if (*ret || !s.n)
			break;
	}
	t->promised = 0;
	return CV_OK;
}

static cv_code control_take(
	struct cv_rpc_dialled *d, const struct cv_ws_piece *piece, struct cv_err *err)
{
	struct cv_rpc_tunnel_end *t = d->tunnel;
	struct cv_str why;
	uint16_t code;
	size_t n;

	if (piece->opcode == CV_WS_CLOSE) {
		t->is_closed = true;
		if (cv_ws_close_read(piece->data, &code, &why) != CV_WS_RC_OK)
			code = 0;
		return cv_fail(
			err, CV_UNAVAILABLE, "%s ended the tunnel (%u)", d->where, (unsigned)code);
	}
	if (piece->opcode != CV_WS_PING)
		return CV_OK;
	cv_buf_reset(&t->pong);
	t->has_pong = cv_buf_put(&t->pong, piece->data);
	if (cv_buf_len(&t->frame)) /* behind the frame that is on its way */
		return CV_OK;
	return cv_rpc_tunnel_write(d, CV_STR(""), &n, err);
}

cv_code cv_rpc_tunnel_read(
	struct cv_rpc_dialled *d, void *to, size_t n, size_t *ret, struct cv_err *err)
{
	struct cv_rpc_tunnel_end *t = d->tunnel;
	struct cv_ws_piece piece;
	cv_code code = CV_OK;

	*ret = 0;
	while (code == CV_OK) {
		const struct cv_str all = cv_buf_str(&t->raw);
		struct cv_str rest = all;
		const enum cv_ws_event e = cv_ws_next(&t->in, &rest, to, n, &piece);

		cv_buf_skip(&t->raw, all.n - rest.n);
		if (e == CV_WS_BAD)
			return cv_fail(err, CV_UNAVAILABLE, "%s broke the rules of WebSocket: %s",
				d->where, cv_ws_rc_row(t->in.rc)->text);
		if (e == CV_WS_FRAME) {
			code = control_take(d, &piece, err);
		} else if (e == CV_WS_DATA) {
			if (piece.opcode != CV_WS_BINARY)
				return cv_fail(err, CV_UNAVAILABLE, "%s sends text in the tunnel",
					d->where);
			*ret = piece.data.n;
			if (*ret)
				return CV_OK;
		} else {
			char *room = cv_buf_reserve(&t->raw, READ_BYTES);
			size_t got = 0;

			code = room ? cv_rpc_raw_read(d, room, READ_BYTES, &got, err)
				    : cv_fail(err, CV_LIMIT, "no memory");
			cv_buf_commit(&t->raw, got);
			if (!got)
				return code;
		}
	}
	return code;
}

void cv_rpc_tunnel_close(struct cv_rpc_dialled *d)
{
	struct cv_rpc_tunnel_end *t = d->tunnel;
	char text[CV_WS_CONTROL_BYTES_MAX];
	struct cv_err err;
	size_t n;

	if (!t)
		return;
	if (!t->is_closed && !cv_buf_len(&t->frame) && d->fd >= 0 &&
		frame_make(t, CV_WS_CLOSE,
			(struct cv_str){
				text, cv_ws_close_write(text, CV_WS_CODE_NORMAL, CV_STR("")) }))
		(void)!cv_rpc_raw_write(d, cv_buf_str(&t->frame), &n, &err);
	cv_buf_fini(&t->raw);
	cv_buf_fini(&t->frame);
	cv_buf_fini(&t->pong);
	free(t);
	d->tunnel = NULL;
}

/* ---- the upgrade ---- */

static cv_code token_check(const char *token, struct cv_err *err)
{
	const size_t n = strlen(token);

	for (size_t i = 0; i < n; i++) /* of a cookie (RFC 6265 4.1.1) */
		if (token[i] <= ' ' || token[i] > '~' || token[i] == ';' || token[i] == ',' ||
			token[i] == '"' || token[i] == '\\')
			return cv_fail(err, CV_INVALID,
				"the token has a byte that no token has: is the file what it should be?");
	return n <= TOKEN_BYTES_MAX ? CV_OK
				    : cv_fail(err, CV_INVALID, "the token is longer than %d bytes",
					      TOKEN_BYTES_MAX);
}

static bool key_make(char ret[CV_WS_KEY_TEXT_BYTES + 1], char ret_accept[CV_WS_ACCEPT_BYTES + 1])
{
	unsigned char key[CV_WS_KEY_BYTES], input[CV_WS_ACCEPT_INPUT_BYTES];
	unsigned char digest[SHA_DIGEST_LENGTH];
	struct cv_buf b;
	bool is_made;

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return false;
	cv_buf_init(&b, 128);
	cv_buf_put_base64(&b, (struct cv_str){ (const char *)key, sizeof(key) }, CV_BASE64_STD);
	is_made = cv_str_to_cstr(cv_buf_str(&b), ret, CV_WS_KEY_TEXT_BYTES + 1);
	cv_buf_reset(&b);
	cv_ws_accept_input(cv_str_of(ret), (char *)input);
	SHA1(input, sizeof(input), digest);
	cv_buf_put_base64(
		&b, (struct cv_str){ (const char *)digest, sizeof(digest) }, CV_BASE64_STD);
	is_made = is_made && cv_str_to_cstr(cv_buf_str(&b), ret_accept, CV_WS_ACCEPT_BYTES + 1);
	cv_buf_fini(&b);
	return is_made;
}

static cv_code all_write(
	struct cv_rpc_dialled *d, struct cv_str s, int64_t until_ms, struct cv_err *err)
{
	size_t n;

	while (s.n) {
		const cv_code code = cv_rpc_raw_write(d, s, &n, err);

		if (code != CV_OK)
			return code;
		if (!n && !cv_rpc_dial_wait(d->fd, d->wants_read ? POLLIN : POLLOUT, until_ms))
			return cv_fail(err, CV_UNAVAILABLE, "%s takes nothing", d->where);
		s = cv_str_slice(s, n, s.n);
	}
	return CV_OK;
}

/* More bytes behind those in raw; CV_OK with *ret_is_end at the end. */
static cv_code more_read(
	struct cv_rpc_dialled *d, struct cv_buf *raw, int64_t until_ms, struct cv_err *err)
{
	for (;;) {
		char *room = cv_buf_reserve(raw, READ_BYTES);
		size_t n = 0;
		const cv_code code = room ? cv_rpc_raw_read(d, room, READ_BYTES, &n, err)
					  : cv_fail(err, CV_LIMIT, "no memory");

		cv_buf_commit(raw, n);
		if (code != CV_OK || n)
			return code;
		if (!cv_rpc_dial_wait(d->fd, d->wants_write ? POLLOUT : POLLIN, until_ms))
			return cv_fail(err, CV_UNAVAILABLE,
				"%s does not answer the upgrade to a tunnel", d->where);
	}
}

/* {"error":{"message":...}}, as the gateway says why not; "" for anything else. */
static void said_read(struct cv_rpc_dialled *d, struct cv_buf *raw, const struct cv_h1_response *r,
	int64_t until_ms, char ret[SAID_BYTES])
{
	const size_t head_n = r->head_bytes;
	const uint64_t length = r->has_length ? r->length : 0;
	const struct cv_value *v;
	struct cv_arena arena;
	struct cv_err unused;

	ret[0] = '\0';
	if (!length || length > ANSWER_BYTES_MAX)
		return;
	while (cv_buf_len(raw) < head_n + length)
		if (more_read(d, raw, until_ms, &unused) != CV_OK)
			return;
	cv_arena_init(&arena, ANSWER_ARENA_MAX);
	if (cv_json_value_read(cv_str_slice(cv_buf_str(raw), head_n, head_n + length), &arena, &v,
		    NULL) == CV_JSON_PROBLEM_NONE) {
		const struct cv_str text =
			cv_value_get_str(cv_value_get(v, CV_STR("error")), CV_STR("message"));

		snprintf(ret, SAID_BYTES, "%.*s", (int)CV_MIN(text.n, (size_t)SAID_BYTES - 1),
			text.p ? text.p : "");
	}
	cv_arena_fini(&arena);
}

static cv_code refused(struct cv_rpc_dialled *d, const struct cv_rpc_endpoint *e, int status,
	const char *said, struct cv_err *err)
{
	const bool wants_login = (status >= 301 && status <= 308) || status == 401 || status == 403;

	if (wants_login && e->ret_is_refused)
		*e->ret_is_refused = true;
	if (status >= 301 && status <= 308)
		return cv_fail(err, CV_DENIED,
			"%s asks for a log-in: there is no token for it, or it has expired",
			d->where);
	if (wants_login)
		return cv_fail(err, CV_DENIED, "%s refused the token: %s", d->where,
			*said ? said : "it says no reason");
	if (status == 404)
		return cv_fail(err, CV_UNAVAILABLE, "%s has no tunnel%s%s", d->where,
			*said ? ": " : ", so it is no gateway behind an edge proxy", said);
	return cv_fail(err, CV_UNAVAILABLE, "%s opens no tunnel: it answered %d%s%s", d->where,
		status, *said ? ": " : "", said);
}

static cv_code answer_take(struct cv_rpc_dialled *d, const struct cv_rpc_endpoint *e,
	const char *accept, int64_t until_ms, struct cv_err *err)
{
	const struct cv_ws_asked asked = { .accept = cv_str_of(accept) };
	struct cv_buf *raw = &d->tunnel->raw;
	struct cv_h1_response r;
	enum cv_h1_rc rc;
	size_t scanned = 0;
	char said[SAID_BYTES];
	bool has_deflate;

	while ((rc = cv_h1_response_parse(cv_buf_str(raw), ANSWER_BYTES_MAX, &scanned,
			CV_H1_ASKED_OTHER, &r)) == CV_H1_MORE) {
		const cv_code code = more_read(d, raw, until_ms, err);

		if (code != CV_OK)
			return code;
	}
	if (rc != CV_H1_OK)
		return cv_fail(err, CV_UNAVAILABLE, "%s is no HTTP server: %s", d->where,
			cv_h1_rc_row(rc)->text);
	if (r.status != 101) {
		const int status = r.status;

		said_read(d, raw, &r, until_ms, said);
		return refused(d, e, status, said, err);
	}
	const enum cv_ws_hand hand = cv_ws_response_check(&r, &asked, &has_deflate);
	if (hand != CV_WS_HAND_OK)
		return cv_fail(err, CV_UNAVAILABLE, "%s answers the upgrade wrongly: %s", d->where,
			cv_ws_hand_text(hand));
	cv_buf_skip(raw, r.head_bytes);
	return CV_OK;
}

cv_code cv_rpc_tunnel_dial(struct cv_rpc_dialled *d, const struct cv_rpc_endpoint *e,
	const char *host, int64_t until_ms, struct cv_err *err)
{
	static const struct cv_ws_rules rules = { .binary_frame_max = FRAME_BYTES_MAX };
	char key[CV_WS_KEY_TEXT_BYTES + 1], accept[CV_WS_ACCEPT_BYTES + 1];
	struct cv_rpc_tunnel_end *t = calloc(1, sizeof(*t));
	struct cv_buf head;
	cv_code code = token_check(e->tunnel_token, err);

	if (!t)
		return cv_fail(err, CV_LIMIT, "no memory");
	d->tunnel = t;
	cv_ws_init(&t->in, &rules);
	cv_buf_init(&t->raw, 4 * READ_BYTES);
	cv_buf_init(&t->frame, PAYLOAD_BYTES + CV_WS_HEAD_BYTES_MAX);
	cv_buf_init(&t->pong, CV_WS_CONTROL_BYTES_MAX);
	t->is_closed = true; /* until it is open, there is nothing to say */
	if (code == CV_OK && !key_make(key, accept))
		code = cv_fail(err, CV_SYSTEM, "no random numbers");
	if (code != CV_OK)
		return code;
	cv_buf_init(&head, HEAD_BYTES_MAX);
	cv_buf_printf(&head,
		"GET " PATH " HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nUser-Agent: cove\r\n",
		host, key);
	if (e->tunnel_token[0])
		cv_buf_printf(&head,
			"Cf-Access-Token: %s\r\nCf-Access-Jwt-Assertion: %s\r\n"
			"Cookie: CF_Authorization=%s\r\n",
			e->tunnel_token, e->tunnel_token, e->tunnel_token);
	cv_buf_put(&head, CV_STR("\r\n"));
	code = head.is_overflown ? cv_fail(err, CV_LIMIT, "no memory")
				 : all_write(d, cv_buf_str(&head), until_ms, err);
	cv_buf_wipe(&head);
	if (code == CV_OK)
		code = answer_take(d, e, accept, until_ms, err);
	t->is_closed = code != CV_OK;
	return code;
}
