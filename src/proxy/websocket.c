/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket.c - see websocket.h
 *
 *     client --frames--> parser --text: assembled, decided, rewritten--> frames --> server
 *                              \--binary: decided, piece by piece----/
 *     client <--frames-- written anew <--scrubbed <--(inflated) <--parser <--frames-- server
 *
 * Nothing is copied through.  Each piece that a parser hands out goes on in a frame of our own, with
 * a mask of our own towards the server, so how a message was cut says nothing to the other side,
 * and whoever changes a piece may change its length.  A whole frame of up to CV_PROXY_WS_PIECE_BYTES
 * stays one; larger ones are fragmented (RFC 6455 5.4).  Therefore a close frame can be put between
 * any two pieces.
 *
 * Decisions.  What a client says needs leave for WEBSOCKET_TEXT on the path of the upgrade; binary
 * messages need the same, or a text would only have to call itself binary.  The facts are the same
 * for every message of a connection, so there is one decision, and one event, per policy.
 *
 * Compression.  With the client none is agreed on.  With the server it is, if the client would have
 * liked it, because there it saves bytes of the Internet; its messages are inflated within bounds
 * and passed on as they are.  We never compress (ws_deflate.h says why).
 *
 * Assemblies.  A text message that is not in hand as a whole takes one of few places; without one
 * its connection is not read on (and the next after too many that wait is told to try later).
 *
 * Ends.  Who broke a rule is told by a close code; the other side gets the same when it is the
 * sandbox, else "going away".  Then both legs are given a moment to take that.
 *
 * What credentials need of this file is in the hooks below, each a function of its own.
 */
#include "proxy/websocket.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "wire/ws.h"
#include "wire/ws_deflate.h"
#include "wire/ws_handshake.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define ENGINE        "l7-websocket"
#define TEXT_MAX      (CV_WS_TEXT_BYTES_MAX + (64u << 10)) /* credentials outgrow placeholders */
#define STAGE_MAX     (1u << 20) /* of a server's message: a piece, and what a scrubber held */
#define TEXT_KEPT_MAX 4096       /* memory that a connection keeps between messages */
#define ROOM_MIN      (CV_WS_HEAD_BYTES_MAX + CV_WS_CONTROL_BYTES_MAX) /* for any control frame */
#define HANDSHAKE_MAX (64u << 10) /* path, query and subprotocols of one request */

struct cv_websocket {
	/* of the handshake */
	struct cv_arena arena;
	struct cv_str path, query; /* of the upgrade; every message is decided with them */
	struct cv_str protocols[CV_WS_PROTOCOLS_MAX];
	size_t protocol_count;
	char accept[CV_WS_ACCEPT_BYTES];
	bool has_offered_deflate, may_inflate;

	struct cv_ws up, down;
	bool is_up_starved, is_down_starved; /* nothing more to parse until bytes come */

	/* the client's text message */
	struct cv_buf text;
	bool is_assembling, is_whole, is_forwarding; /* one after the other */
	bool has_place, is_waiting;                  /* of the assemblies */
	size_t forwarded;
	int64_t began_ms, part_ms; /* assembling, or forwarding */

	/* the server's message */
	struct cv_utf8_stream utf8;
	struct cv_ws_inflate *inflate; /* while a compressed one passes */
	bool is_inflating, is_out_first;
	enum cv_ws_opcode out_opcode;
	struct cv_buf stage; /* scrubbed, not sent yet; only where there is something to scrub */
	bool is_staged, is_stage_first, is_stage_last;
	enum cv_ws_opcode stage_opcode;

	bool has_verdict; /* on messages, of flow.policy */
	struct cv_verdict verdict;

	bool is_closing;
	int64_t idle_by_ms, close_by_ms;
};

/* One frame being made; no two uses overlap.  Payload is put behind the room for a head. */
static char frame[CV_WS_HEAD_BYTES_MAX + CV_PROXY_WS_PIECE_BYTES];
static char *const payload = frame + CV_WS_HEAD_BYTES_MAX;

/* ---- hooks for credentials ---- */

enum hook_result { HOOK_DONE, HOOK_WAIT, HOOK_REFUSED };

/* A client's text message, whole and allowed, before any of it is sent: placeholders become
 * credentials here.  May change text (its maximum holds).  WAIT: somebody has been asked; whoever
 * has the answer queues the flow, and this is called again with the same text.  REFUSED: *ret_why
 * is a sentence for audit and for the client, whose close code is 1008. */
static enum hook_result hook_client_text(
	struct cv_proxy *p, struct cv_flow *f, struct cv_buf *text, const char **ret_why)
{
	(void)p;
	(void)f;
	(void)text;
	(void)ret_why;
	return HOOK_DONE;
}

/* Is there anything to scrub from what this server says?  Then its messages go by way of
 * hook_server_payload(). */
static bool hook_is_scrubbed(const struct cv_flow *f)
{
	(void)f;
	return false;
}

/* The next bytes of a server's message (inflated): appends to out what may pass.  What may be the
 * beginning of a secret can be held until more comes, but not behind is_last.  False: out is full. */
static bool hook_server_payload(
	struct cv_flow *f, struct cv_str in, bool is_last, struct cv_buf *out)
{
	(void)f;
	(void)is_last;
	return cv_buf_put(out, in);
}

/* The payload of a server's ping, pong or close, in place. */
static void hook_server_control(struct cv_flow *f, char *bytes, size_t n)
{
	(void)f;
	(void)bytes;
	(void)n;
}

/* Is this an endpoint for which credentials may be released?  Then binary messages, which nobody
 * looks into, may not pass. */
static bool hook_is_credentialed(
	const struct cv_proxy *p, const struct cv_flow *f, const struct cv_policy_endpoint *e)
{
	(void)p;
	(void)f;
	return e->websocket_credential_rewrite || e->has_credential_binding;
}

/* ---- the handshake ---- */

const char *cv_websocket_request_fault(const struct cv_h1_request *r)
{
	struct cv_ws_offer offer;
	const enum cv_ws_hand rc = cv_ws_request_check(r, &offer);

	return rc == CV_WS_HAND_OK ? NULL : cv_ws_hand_text(rc);
}

static bool accept_make(struct cv_websocket *ws, struct cv_str key)
{
	unsigned char input[CV_WS_ACCEPT_INPUT_BYTES], digest[SHA_DIGEST_LENGTH];
	struct cv_buf b;

	cv_ws_accept_input(key, (char *)input);
	SHA1(input, sizeof(input), digest);
	cv_buf_init(&b, sizeof(ws->accept) + 1);
	const bool is_made =
		cv_buf_put_base64(&b, (struct cv_str){ (const char *)digest, sizeof(digest) },
			CV_BASE64_STD) &&
		cv_buf_len(&b) == sizeof(ws->accept);
	if (is_made)
		memcpy(ws->accept, cv_buf_str(&b).p, sizeof(ws->accept));
	cv_buf_fini(&b);
	return is_made;
}

static bool ask_keep(struct cv_websocket *ws, const struct cv_h1_request *r, struct cv_str path,
	const struct cv_ws_offer *offer)
{
	cv_arena_init(&ws->arena, HANDSHAKE_MAX);
	ws->path = cv_arena_str(&ws->arena, path);
	ws->query = r->query.p ? cv_arena_str(&ws->arena, r->query) : CV_STR_NONE;
	for (size_t i = 0; i < offer->protocol_count; i++)
		ws->protocols[i] = cv_arena_str(&ws->arena, offer->protocols[i]);
	ws->protocol_count = offer->protocol_count;
	ws->has_offered_deflate = offer->has_deflate;
	cv_buf_init(&ws->text, TEXT_MAX);
	cv_buf_init(&ws->stage, STAGE_MAX);
	return !ws->arena.is_overflown && accept_make(ws, offer->key);
}

/* The first field about extensions gets our value, if there is one; all others stay here. */
static void extensions_set(struct cv_h1_header *headers, size_t n, struct cv_str value)
{
	for (size_t i = 0; i < n; i++) {
		if (!cv_h1_name_eq(headers[i].name, CV_STR("Sec-WebSocket-Extensions")))
			continue;
		if (value.n)
			headers[i].value = value;
		else
			headers[i].flags |= CV_H1_NAMED; /* as what belongs to one connection */
		value = CV_STR_NONE;
	}
}

bool cv_websocket_ask(struct cv_flow *f, struct cv_h1_request *r, struct cv_str path)
{
	struct cv_ws_offer offer;

	if (cv_ws_request_check(r, &offer) != CV_WS_HAND_OK)
		return false;
	f->ws = calloc(1, sizeof(*f->ws));
	if (!f->ws || !ask_keep(f->ws, r, path, &offer))
		return false; /* what there is, is freed with the flow */
	extensions_set(
		r->header, r->header_count, offer.has_deflate ? CV_WS_OFFER_DEFLATE : CV_STR_NONE);
	return true;
}

const char *cv_websocket_answer(struct cv_flow *f, struct cv_h1_response *r)
{
	struct cv_websocket *ws = f->ws;
	const struct cv_ws_asked asked = {
		.accept = { ws->accept, sizeof(ws->accept) },
		.protocols = ws->protocols,
		.protocol_count = ws->protocol_count,
		.has_deflate = ws->has_offered_deflate,
	};
	const enum cv_ws_hand rc = cv_ws_response_check(r, &asked, &ws->may_inflate);

	extensions_set(
		r->header, r->header_count, CV_STR_NONE); /* with the client there are none */
	return rc == CV_WS_HAND_OK ? NULL : cv_ws_hand_text(rc);
}

void cv_websocket_start(struct cv_proxy *p, struct cv_flow *f)
{
	static const struct cv_ws_rules client = {
		.is_client = true,
		.text_bytes_max = CV_WS_TEXT_BYTES_MAX,
		.binary_frame_max = CV_WS_BINARY_FRAME_BYTES,
		.fragments_max = CV_WS_FRAGMENTS_MAX,
		.piece_bytes_min = CV_PROXY_WS_PIECE_BYTES,
	};
	/* what is passed on as it comes needs no bound but that of one frame's announcement */
	const struct cv_ws_rules server = {
		.may_compress = f->ws->may_inflate,
		.binary_frame_max = CV_WS_BINARY_FRAME_BYTES,
		.piece_bytes_min =
			f->ws->may_inflate ? CV_WS_INFLATE_IN_BYTES : CV_PROXY_WS_PIECE_BYTES,
	};

	cv_ws_init(&f->ws->up, &client);
	cv_ws_init(&f->ws->down, &server);
	cv_flow_set_state(f, CV_FLOW_WEBSOCKET, p->loop.now_ms);
	f->ws->idle_by_ms = f->deadline_ms;
}

/* ---- places for assemblies ---- */

static void waiting_wake(struct cv_proxy *p)
{
	for (uint32_t i = 0; i < p->flows.high && p->ws_waiting; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state == CV_FLOW_WEBSOCKET && f->ws && f->ws->is_waiting)
			cv_proxy_queue(p, f);
	}
}

static void place_give(struct cv_proxy *p, struct cv_websocket *ws)
{
	if (ws->is_waiting)
		p->ws_waiting--;
	ws->is_waiting = false;
	if (!ws->has_place)
		return;
	ws->has_place = false;
	p->ws_assemblies--;
	waiting_wake(p);
}

/* False: none is free; is_waiting says whether one may be waited for. */
static bool place_take(struct cv_proxy *p, struct cv_websocket *ws)
{
	if (ws->has_place)
		return true;
	if (p->ws_assemblies < CV_PROXY_WS_ASSEMBLIES_MAX) {
		place_give(p, ws); /* of those who wait */
		p->ws_assemblies++;
		ws->has_place = true;
		return true;
	}
	if (!ws->is_waiting && p->ws_waiting < CV_PROXY_WS_WAITING_MAX) {
		p->ws_waiting++;
		ws->is_waiting = true;
	}
	return false;
}

/* Credentials may have been in it. */
static void text_drop(struct cv_buf *text)
{
	if (text->data)
		explicit_bzero(text->data, text->cap);
	if (text->cap > TEXT_KEPT_MAX) {
		cv_buf_fini(text);
		cv_buf_init(text, TEXT_MAX);
	}
	cv_buf_reset(text);
}

void cv_websocket_free(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;

	if (!ws)
		return;
	f->ws = NULL;
	place_give(p, ws);
	text_drop(&ws->text);
	cv_buf_fini(&ws->text);
	cv_buf_fini(&ws->stage);
	cv_ws_inflate_free(ws->inflate);
	cv_arena_fini(&ws->arena);
	free(ws);
}

/* ---- frames of our own ---- */

/* Sends the n bytes at payload as one frame; false when the leg is broken.  There is room. */
static bool frame_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, bool is_final, size_t n)
{
	char head[CV_WS_HEAD_BYTES_MAX];
	uint8_t mask[4];

	if (is_masked && RAND_bytes(mask, sizeof(mask)) != 1)
		return false;
	const size_t head_n = cv_ws_head_write(head, opcode, is_final, n, is_masked ? mask : NULL);
	memcpy(payload - head_n, head, head_n);
	if (is_masked)
		cv_ws_mask(payload, n, mask, 0);
	return cv_leg_put(to, (struct cv_str){ payload - head_n, head_n + n }) == head_n + n;
}

static bool control_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, struct cv_str data)
{
	if (data.n)
		memcpy(payload, data.p, data.n);
	return frame_put(to, is_masked, opcode, true, data.n);
}

/* How much payload a frame to this leg may have now. */
static size_t payload_room(const struct cv_leg *to)
{
	const size_t room = cv_leg_room(to);

	if (room < ROOM_MIN)
		return 0;
	return CV_MIN(room - CV_WS_HEAD_BYTES_MAX, (size_t)CV_PROXY_WS_PIECE_BYTES);
}

/* ---- ends ---- */

static void close_put(struct cv_leg *to, bool is_masked, uint16_t code, const char *why)
{
	char text[CV_WS_CONTROL_BYTES_MAX];
	const size_t n = cv_ws_close_write(text, code, cv_str_of(why));

	if (payload_room(to)) /* else it takes nothing: it will see the end itself */
		control_put(to, is_masked, CV_WS_CLOSE, (struct cv_str){ text, n });
}

/* Both sides are told, unless they were: behind a close frame nothing may follow. */
static void both_close(struct cv_proxy *p, struct cv_flow *f, uint16_t client_code,
	uint16_t server_code, const char *why)
{
	struct cv_websocket *ws = f->ws;

	if (!cv_ws_is_closed(&ws->down))
		close_put(&f->client, false, client_code, why);
	if (!cv_ws_is_closed(&ws->up))
		close_put(
			&f->server, true, server_code, server_code == CV_WS_CODE_GOING ? "" : why);
	cv_leg_shut(&f->client);
	cv_leg_shut(&f->server);
	place_give(p, ws);
	ws->is_closing = true;
	ws->close_by_ms = p->loop.now_ms + CV_PROXY_WS_CLOSE_MS;
	f->deadline_ms = ws->close_by_ms;
}

/* The client broke a rule: an event, and the end. */
static void client_refuse(
	struct cv_proxy *p, struct cv_flow *f, uint16_t code, const char *slug, const char *why)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = ENGINE,
		.reason_code = slug,
		.reason = cv_str_of(why),
	};

	cv_decide_record(p, f, &fact);
	both_close(p, f, code, CV_WS_CODE_GOING, why);
}

static void client_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_rc rc)
{
	const struct cv_ws_rc_row *row = cv_ws_rc_row(rc);

	client_refuse(p, f, row->code, row->slug, row->text);
}

static void server_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_rc rc)
{
	const struct cv_ws_rc_row *row = cv_ws_rc_row(rc);
	const struct cv_fact fact = {
		.activity = CV_ACTIVITY_FAIL,
		.engine = ENGINE,
		.reason_code = row->slug,
		.reason = cv_str_of(row->text),
	};

	cv_decide_record(p, f, &fact);
	both_close(p, f, row->code, row->code, row->text);
}

/* The end is under way: what still comes is thrown away, until the server has ended too. */
static bool closing_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *s = &f->server;

	while (s->can_read && !s->is_wire_eof && cv_leg_discard(s))
		;
	cv_leg_discard(&f->client);
	if (f->client.is_broken)
		cv_flow_end(p, f, true);
	else if (s->is_broken || !cv_leg_is_open(s) || (s->is_shut && s->is_wire_eof))
		cv_flow_finish(p, f);
	return false;
}

/* ---- decisions ---- */

/* The message as policy and audit see it. */
static const struct cv_h1_request *message_request(
	struct cv_proxy *p, const struct cv_websocket *ws, struct cv_str method)
{
	p->request = (struct cv_h1_request){
		.method = method,
		.path = ws->path,
		.query = ws->query,
	};
	return &p->request;
}

static void verdict_record(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	const struct cv_verdict *v)
{
	const struct cv_fact fact = {
		.action = v->action != CV_ACTION_ALLOW            ? CV_AUDIT_ACTION_DENY
			  : (v->obligations & CV_OBLIGE_LOG_ONLY) ? CV_AUDIT_ACTION_LOG
								  : CV_AUDIT_ACTION_ALLOW,
		.request = r,
		.path = f->ws->path,
		.verdict = v,
		.engine = ENGINE,
	};

	cv_decide_record(p, f, &fact);
}

/* May the client say anything?  Asked before the first piece of each message. */
static bool message_is_allowed(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;

	if (!cv_sinks_are_well(&p->sinks)) {
		client_refuse(p, f, CV_WS_CODE_BUSY, "audit_unavailable",
			"the audit log can't be written");
		return false;
	}
	if (!ws->has_verdict) {
		const struct cv_h1_request *r = message_request(p, ws, CV_STR("WEBSOCKET_TEXT"));

		ws->verdict = cv_decide_request(p, f, r, ws->path);
		ws->has_verdict = true;
		verdict_record(p, f, r, &ws->verdict);
	}
	if (ws->verdict.action == CV_ACTION_ALLOW)
		return true;
	both_close(p, f, CV_WS_CODE_POLICY, CV_WS_CODE_GOING, "message not permitted by policy");
	return false;
}

static bool binary_is_fine(
	const struct cv_proxy *p, const struct cv_flow *f, const struct cv_policy_endpoint *e)
{
	return !e || !hook_is_credentialed(p, f, e) || e->allow_uninspected_credentials;
}

static bool binary_is_allowed(struct cv_proxy *p, struct cv_flow *f)
{
	if (!message_is_allowed(p, f))
		return false;
	if (binary_is_fine(p, f, cv_policy_endpoint_of(f->policy, &f->ws->verdict)))
		return true;
	client_refuse(p, f, CV_WS_CODE_POLICY, "ws_binary_uninspected",
		"binary message where credentials may be released");
	return false;
}

void cv_websocket_reload(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;

	if (ws->is_closing)
		return;
	cv_arena_reset(&p->arena);
	ws->has_verdict = false;
	if (cv_decide_connect(p, f)) {
		const struct cv_h1_request *r = message_request(p, ws, CV_STR("GET"));
		const struct cv_verdict v = cv_decide_request(p, f, r, ws->path);

		if (v.action == CV_ACTION_ALLOW && (v.obligations & CV_OBLIGE_WEBSOCKET))
			return;
		if (v.action != CV_ACTION_ALLOW)
			verdict_record(p, f, r, &v);
	} else {
		const struct cv_fact fact = {
			.action = CV_AUDIT_ACTION_DENY,
			.activity = CV_ACTIVITY_CLOSE,
			.engine = "opa",
		};
		cv_decide_record(p, f, &fact);
	}
	both_close(p, f, CV_WS_CODE_RESTART, CV_WS_CODE_RESTART, "policy changed");
	cv_proxy_queue(p, f);
}

/* ---- client to server ---- */

/* The next frame of the text message; false when there is no room, or it is the end. */
static bool text_forward(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	const size_t room = payload_room(&f->server);
	const struct cv_str rest =
		cv_str_slice(cv_buf_str(&ws->text), ws->forwarded, cv_buf_len(&ws->text));
	const size_t n = CV_MIN(room, rest.n);

	if (!room)
		return false;
	if (n)
		memcpy(payload, rest.p, n);
	if (!frame_put(&f->server, true, ws->forwarded ? CV_WS_CONTINUATION : CV_WS_TEXT,
		    n == rest.n, n)) {
		cv_flow_end(p, f, true);
		return false;
	}
	ws->forwarded += n;
	if (n == rest.n) {
		ws->is_forwarding = false;
		text_drop(&ws->text);
		place_give(p, ws);
	}
	return true;
}

/* The whole message is made ready to be sent; false when it must wait, or it is the end. */
static bool text_release(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	const char *why = "message is too large with its credentials";
	const enum hook_result got = hook_client_text(p, f, &ws->text, &why);

	if (got == HOOK_WAIT)
		return false;
	if (got == HOOK_REFUSED || ws->text.is_overflown) {
		client_refuse(p, f, CV_WS_CODE_POLICY, "ws_text_refused", why);
		return false;
	}
	ws->is_whole = false;
	ws->is_forwarding = true;
	ws->forwarded = 0;
	ws->began_ms = p->loop.now_ms;
	return true;
}

/* False: the flow's reading ends for now, or for ever. */
static bool text_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	struct cv_websocket *ws = f->ws;

	if (piece->is_first) {
		if (!message_is_allowed(p, f))
			return false;
		ws->is_assembling = true;
		ws->began_ms = p->loop.now_ms;
	}
	ws->part_ms = p->loop.now_ms;
	if (!cv_buf_put(&ws->text, piece->data)) {
		client_fail(p, f, CV_WS_RC_SIZE);
		return false;
	}
	if (piece->is_last) {
		ws->is_assembling = false;
		ws->is_whole = true;
		if (cv_utf8_is_valid(cv_buf_str(&ws->text)))
			return true;
		client_fail(p, f, CV_WS_RC_UTF8);
		return false;
	}
	if (place_take(p, ws))
		return true;
	if (!ws->is_waiting)
		client_refuse(
			p, f, CV_WS_CODE_BUSY, "ws_busy", "too many messages are being assembled");
	return false;
}

static bool binary_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	if (piece->is_first && !binary_is_allowed(p, f))
		return false;
	if (frame_put(&f->server, true, piece->is_first ? CV_WS_BINARY : CV_WS_CONTINUATION,
		    piece->is_last, piece->data.n))
		return true;
	cv_flow_end(p, f, true);
	return false;
}

static bool up_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	if (piece->opcode == CV_WS_TEXT)
		return text_take(p, f, piece);
	if (piece->opcode == CV_WS_BINARY)
		return binary_take(p, f, piece);
	if (control_put(&f->server, true, piece->opcode, piece->data))
		return true;
	cv_flow_end(p, f, true);
	return false;
}

/* One event of a parser, taken from its leg. */
static enum cv_ws_event event_next(struct cv_ws *w, struct cv_leg *from, size_t room,
	struct cv_ws_piece *piece, bool *has_moved)
{
	struct cv_str in = cv_leg_text(from);
	const size_t before = in.n;
	const enum cv_ws_event ev = cv_ws_next(w, &in, payload, room, piece);

	if (before != in.n) {
		cv_leg_take(from, before - in.n);
		*has_moved = true;
	}
	return ev;
}

/* True when something moved.  The flow may have ended, or be closing. */
static bool up_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	struct cv_ws_piece piece;
	bool has_moved = false;

	ws->is_up_starved = false;
	for (;;) {
		if (ws->is_whole && !text_release(p, f))
			return has_moved;
		if (ws->is_forwarding) {
			if (!text_forward(p, f))
				return has_moved;
			has_moved = true;
			continue;
		}
		const size_t room = payload_room(&f->server);
		if (!room || (ws->is_waiting && !place_take(p, ws)))
			return has_moved;
		switch (event_next(&ws->up, &f->client, room, &piece, &has_moved)) {
		case CV_WS_MORE: ws->is_up_starved = true; return has_moved;
		case CV_WS_BAD: client_fail(p, f, ws->up.rc); return true;
		case CV_WS_DATA:
		case CV_WS_FRAME:
			has_moved = true;
			if (!up_take(p, f, &piece))
				return true;
		}
	}
}

/* ---- server to client ---- */

/* The next frame of what is staged; false when there is no room, or the flow ended. */
static bool stage_pass(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	const struct cv_str rest = cv_buf_str(&ws->stage);
	const size_t room = payload_room(&f->client), n = CV_MIN(room, rest.n);
	const bool is_end = n == rest.n;

	if (!room)
		return false;
	if (n)
		memcpy(payload, rest.p, n);
	if (!frame_put(&f->client, false,
		    ws->is_stage_first ? ws->stage_opcode : CV_WS_CONTINUATION,
		    is_end && ws->is_stage_last, n)) {
		cv_flow_end(p, f, true);
		return false;
	}
	ws->is_stage_first = false;
	cv_buf_skip(&ws->stage, n);
	ws->is_staged = !is_end;
	if (is_end) { /* one that waits holds nothing */
		cv_buf_fini(&ws->stage);
		cv_buf_init(&ws->stage, STAGE_MAX);
	}
	return true;
}

/* Stages the n bytes at payload, scrubbed.  False: the flow ended. */
static bool stage_put(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_opcode opcode, size_t n,
	bool is_first, bool is_last)
{
	struct cv_websocket *ws = f->ws;

	if (is_first) {
		ws->is_stage_first = true;
		ws->stage_opcode = opcode;
	}
	ws->is_stage_last = is_last;
	if (!hook_server_payload(f, (struct cv_str){ payload, n }, is_last, &ws->stage)) {
		server_fail(p, f, CV_WS_RC_SIZE);
		return false;
	}
	ws->is_staged = is_last || cv_buf_len(&ws->stage);
	return true;
}

/* The n bytes at payload are a piece of the server's message.  False: the flow ended. */
static bool down_put(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_opcode opcode, size_t n,
	bool is_first, bool is_last)
{
	struct cv_websocket *ws = f->ws;

	if (is_first)
		ws->utf8 = (struct cv_utf8_stream){ 0 };
	if (opcode == CV_WS_TEXT &&
		(!cv_utf8_stream_put(&ws->utf8, (struct cv_str){ payload, n }) ||
			(is_last && !cv_utf8_stream_is_whole(&ws->utf8)))) {
		server_fail(p, f, CV_WS_RC_UTF8);
		return false;
	}
	if (hook_is_scrubbed(f))
		return stage_put(p, f, opcode, n, is_first, is_last);
	if (frame_put(&f->client, false, is_first ? opcode : CV_WS_CONTINUATION, is_last, n))
		return true;
	cv_flow_end(p, f, true);
	return false;
}

/* What a compressed piece has become, as far as there is room; false: the flow ended. */
static bool inflate_pass(struct cv_proxy *p, struct cv_flow *f, size_t room)
{
	struct cv_websocket *ws = f->ws;
	enum cv_ws_rc rc = CV_WS_RC_OK;
	size_t n = 0;
	const enum cv_ws_inflated got = cv_ws_inflate_next(ws->inflate, payload, room, &n, &rc);

	if (got == CV_WS_INFLATED_BAD) {
		server_fail(p, f, rc);
		return false;
	}
	if (got != CV_WS_INFLATED_SOME)
		ws->is_inflating = false;
	if ((n || got == CV_WS_INFLATED_END) &&
		!down_put(p, f, ws->out_opcode, n, ws->is_out_first, got == CV_WS_INFLATED_END))
		return false;
	if (n)
		ws->is_out_first = false;
	if (got == CV_WS_INFLATED_END) {
		cv_ws_inflate_free(ws->inflate);
		ws->inflate = NULL;
	}
	return true;
}

static bool down_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	struct cv_websocket *ws = f->ws;

	if (piece->opcode != CV_WS_TEXT && piece->opcode != CV_WS_BINARY) {
		if (piece->data.n)
			memcpy(payload, piece->data.p, piece->data.n);
		hook_server_control(f, payload, piece->data.n);
		if (frame_put(&f->client, false, piece->opcode, true, piece->data.n))
			return true;
		cv_flow_end(p, f, true);
		return false;
	}
	if (!piece->is_compressed)
		return down_put(
			p, f, piece->opcode, piece->data.n, piece->is_first, piece->is_last);
	if (piece->is_first) {
		ws->inflate = cv_ws_inflate_new();
		ws->out_opcode = piece->opcode;
		ws->is_out_first = true;
		if (!ws->inflate) {
			server_fail(p, f, CV_WS_RC_SIZE);
			return false;
		}
	}
	cv_ws_inflate_put(ws->inflate, piece->data, piece->is_last);
	ws->is_inflating = true;
	return true;
}

static bool down_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	struct cv_ws_piece piece;
	bool has_moved = false;

	ws->is_down_starved = false;
	for (;;) {
		size_t room = payload_room(&f->client);

		if (!room)
			return has_moved;
		if (ws->is_staged) {
			if (!stage_pass(p, f))
				return has_moved;
			has_moved = true;
			continue;
		}
		if (ws->is_inflating) {
			if (!inflate_pass(p, f, room))
				return true;
			has_moved = true;
			continue;
		}
		if (ws->may_inflate)
			room = CV_MIN(room, (size_t)CV_WS_INFLATE_IN_BYTES);
		switch (event_next(&ws->down, &f->server, room, &piece, &has_moved)) {
		case CV_WS_MORE: ws->is_down_starved = true; return has_moved;
		case CV_WS_BAD: server_fail(p, f, ws->down.rc); return true;
		case CV_WS_DATA:
		case CV_WS_FRAME:
			has_moved = true;
			if (!down_take(p, f, &piece))
				return true;
		}
	}
}

/* ---- the flow ---- */

static void deadline_set(struct cv_proxy *p, struct cv_flow *f, bool has_moved)
{
	struct cv_websocket *ws = f->ws;

	if (has_moved)
		ws->idle_by_ms = p->loop.now_ms + CV_PROXY_IDLE_MS;
	f->deadline_ms = ws->idle_by_ms;
	if (ws->is_whole || ws->is_forwarding)
		f->deadline_ms = CV_MIN(f->deadline_ms, ws->began_ms + CV_PROXY_WS_FORWARD_MS);
	if (ws->is_assembling) {
		f->deadline_ms = CV_MIN(f->deadline_ms, ws->part_ms + CV_PROXY_WS_PART_MS);
		f->deadline_ms = CV_MIN(f->deadline_ms, ws->began_ms + CV_PROXY_WS_MESSAGE_MS);
	}
}

static bool is_over(const struct cv_flow *f)
{
	return f->state != CV_FLOW_WEBSOCKET || f->ws->is_closing;
}

/* An end without a close frame is passed on as what it is. */
static bool ends_look(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_leg *c = &f->client, *s = &f->server;

	if (c->is_broken) {
		cv_flow_end(p, f, true);
		return true;
	}
	if (s->is_broken || (s->is_eof && f->ws->is_down_starved)) {
		cv_flow_finish(p, f);
		return true;
	}
	if (c->is_eof && f->ws->is_up_starved && !s->wants_shut) {
		place_give(p, f->ws); /* what it began to say has no end */
		f->ws->is_assembling = false;
		text_drop(&f->ws->text);
		cv_leg_shut(s);
	}
	return false;
}

bool cv_websocket_step(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->ws->is_closing)
		return closing_step(p, f);
	bool has_moved = cv_leg_fill(&f->client);
	has_moved |= cv_leg_fill(&f->server);
	has_moved |= up_step(p, f);
	if (!is_over(f))
		has_moved |= down_step(p, f);
	if (is_over(f))
		return f->state == CV_FLOW_WEBSOCKET;
	if (ends_look(p, f))
		return false;
	deadline_set(p, f, has_moved);
	return has_moved;
}

void cv_websocket_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;

	cv_arena_reset(&p->arena);
	if (ws->is_closing)
		cv_flow_finish(p, f);
	else if (ws->is_waiting)
		client_refuse(
			p, f, CV_WS_CODE_BUSY, "ws_busy", "too many messages are being assembled");
	else if (ws->is_assembling)
		client_refuse(p, f, CV_WS_CODE_POLICY, "ws_message_timeout",
			"message was not finished in time");
	else if (ws->is_whole || ws->is_forwarding)
		both_close(p, f, CV_WS_CODE_BUSY, CV_WS_CODE_GOING,
			"the message could not be sent in time");
	else
		both_close(p, f, CV_WS_CODE_GOING, CV_WS_CODE_GOING, "idle for too long");
}
