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
 * Credentials.  A client's text is made ready when it is whole (cv_cred_message()), which may have
 * to wait for the keeper; nothing else of the client is read meanwhile.  A placeholder anywhere
 * else ends the connection.  What the server says is scrubbed of what it was ever given.
 */
#include "base/base64.h"
#include "proxy/websocket_int.h"
#include "wire/ws_handshake.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define ENGINE        "l7-websocket"
#define TEXT_KEPT_MAX 4096 /* memory that a connection keeps between messages */
#define ROOM_MIN      (CV_WS_HEAD_BYTES_MAX + CV_WS_CONTROL_BYTES_MAX) /* for any control frame */
#define HANDSHAKE_MAX (64u << 10) /* path, query and subprotocols of one request */

/* One frame being made; no two uses overlap.  Payload is put behind the room for a head. */
static char frame[CV_WS_HEAD_BYTES_MAX + CV_PROXY_WS_PIECE_BYTES];
char *const cv_websocket_payload = frame + CV_WS_HEAD_BYTES_MAX;

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
	cv_buf_init(&ws->text, CV_PROXY_WS_TEXT_MAX);
	cv_buf_init(&ws->stage, CV_PROXY_WS_STAGE_MAX);
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

void cv_websocket_place_give(struct cv_proxy *p, struct cv_websocket *ws)
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
bool cv_websocket_place_take(struct cv_proxy *p, struct cv_websocket *ws)
{
	if (ws->has_place)
		return true;
	if (p->ws_assemblies < CV_PROXY_WS_ASSEMBLIES_MAX) {
		cv_websocket_place_give(p, ws); /* of those who wait */
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
void cv_websocket_text_drop(struct cv_buf *text)
{
	if (text->data)
		explicit_bzero(text->data, text->cap);
	if (text->cap > TEXT_KEPT_MAX) {
		cv_buf_fini(text);
		cv_buf_init(text, CV_PROXY_WS_TEXT_MAX);
	}
	cv_buf_reset(text);
}

void cv_websocket_free(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;

	if (!ws)
		return;
	f->ws = NULL;
	cv_websocket_place_give(p, ws);
	cv_websocket_text_drop(&ws->text);
	cv_buf_fini(&ws->text);
	cv_buf_fini(&ws->stage);
	cv_websocket_scrub_fini(&ws->scrub);
	cv_websocket_scrub_fini(&ws->control_scrub);
	cv_ws_inflate_free(ws->inflate);
	cv_arena_fini(&ws->arena);
	free(ws);
}

/* ---- frames of our own ---- */

/* Sends the n bytes at payload as one frame; false when the leg is broken.  There is room. */
bool cv_websocket_frame_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, bool is_final, size_t n)
{
	char head[CV_WS_HEAD_BYTES_MAX];
	uint8_t mask[4];

	if (is_masked && RAND_bytes(mask, sizeof(mask)) != 1)
		return false;
	const size_t head_n = cv_ws_head_write(head, opcode, is_final, n, is_masked ? mask : NULL);
	memcpy(cv_websocket_payload - head_n, head, head_n);
	if (is_masked)
		cv_ws_mask(cv_websocket_payload, n, mask, 0);
	return cv_leg_put(to, (struct cv_str){ cv_websocket_payload - head_n, head_n + n }) ==
	       head_n + n;
}

bool cv_websocket_control_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, struct cv_str data)
{
	if (data.n)
		memcpy(cv_websocket_payload, data.p, data.n);
	return cv_websocket_frame_put(to, is_masked, opcode, true, data.n);
}

/* How much payload a frame to this leg may have now. */
size_t cv_websocket_room(const struct cv_leg *to)
{
	const size_t room = cv_leg_room(to);

	if (room < ROOM_MIN)
		return 0;
	return CV_MIN(room - CV_WS_HEAD_BYTES_MAX, (size_t)CV_PROXY_WS_PIECE_BYTES);
}

/* One event of a parser, taken from its leg. */
enum cv_ws_event cv_websocket_event_next(struct cv_ws *w, struct cv_leg *from, size_t room,
	struct cv_ws_piece *piece, bool *has_moved)
{
	struct cv_str in = cv_leg_text(from);
	const size_t before = in.n;
	const enum cv_ws_event ev = cv_ws_next(w, &in, cv_websocket_payload, room, piece);

	if (before != in.n) {
		cv_leg_take(from, before - in.n);
		*has_moved = true;
	}
	return ev;
}

/* ---- ends ---- */

static void close_put(struct cv_leg *to, bool is_masked, uint16_t code, const char *why)
{
	char text[CV_WS_CONTROL_BYTES_MAX];
	const size_t n = cv_ws_close_write(text, code, cv_str_of(why));

	if (cv_websocket_room(to)) /* else it takes nothing: it will see the end itself */
		cv_websocket_control_put(to, is_masked, CV_WS_CLOSE, (struct cv_str){ text, n });
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
	cv_websocket_place_give(p, ws);
	ws->is_closing = true;
	ws->close_by_ms = p->loop.now_ms + CV_PROXY_WS_CLOSE_MS;
	f->deadline_ms = ws->close_by_ms;
}

/* The client broke a rule: an event, and the end. */
void cv_websocket_client_refuse(
	struct cv_proxy *p, struct cv_flow *f, uint16_t code, const char *slug, const char *why)
{
	cv_decide_record_refusal(p, f, ENGINE, slug, why, 0);
	both_close(p, f, code, CV_WS_CODE_GOING, why);
}

void cv_websocket_client_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_rc rc)
{
	const struct cv_ws_rc_row *row = cv_ws_rc_row(rc);

	cv_websocket_client_refuse(p, f, row->code, row->slug, row->text);
}

void cv_websocket_server_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_rc rc)
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
bool cv_websocket_message_is_allowed(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;

	if (!cv_sinks_are_well(&p->sinks)) {
		cv_websocket_client_refuse(p, f, CV_WS_CODE_BUSY, "audit_unavailable",
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
		cv_websocket_place_give(p, f->ws); /* what it began to say has no end */
		f->ws->is_assembling = false;
		cv_websocket_text_drop(&f->ws->text);
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
	has_moved |= cv_websocket_up_step(p, f);
	if (!is_over(f))
		has_moved |= cv_websocket_down_step(p, f);
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
		cv_websocket_client_refuse(
			p, f, CV_WS_CODE_BUSY, "ws_busy", "too many messages are being assembled");
	else if (ws->is_assembling)
		cv_websocket_client_refuse(p, f, CV_WS_CODE_POLICY, "ws_message_timeout",
			"message was not finished in time");
	else if (ws->is_whole || ws->is_forwarding)
		both_close(p, f, CV_WS_CODE_BUSY, CV_WS_CODE_GOING,
			"the message could not be sent in time");
	else
		both_close(p, f, CV_WS_CODE_GOING, CV_WS_CODE_GOING, "idle for too long");
}
