/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket_int.h - what the parts of websocket.c share
 *
 *     websocket.c       handshake, frames of our own, decisions, ends
 *     websocket_up.c    client to server: assembled, decided, rewritten
 *     websocket_down.c  server to client: inflated, scrubbed
 */
#pragma once
#include "base/utf8.h"
#include "cred/scrub.h"
#include "proxy/websocket.h"
#include "wire/ws.h"
#include "wire/ws_deflate.h"

#define CV_PROXY_WS_TEXT_MAX \
	(CV_WS_TEXT_BYTES_MAX + (64u << 10)) /* credentials outgrow placeholders */
#define CV_PROXY_WS_STAGE_MAX \
	(1u << 20) /* of a server's message: a piece, and what a scrubber held */

/* Made anew when the set of its flow has changed. */
struct cv_websocket_scrub {
	struct cv_scrub *scrub;         /* owned */
	const struct cv_scrub_set *set; /* which scrub holds */
};

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
	bool has_credential;
	size_t forwarded;
	int64_t began_ms, part_ms; /* assembling, or forwarding */

	struct cv_ph_scan scan; /* of the client's binary message */

	/* the server's message */
	struct cv_websocket_scrub scrub, control_scrub;
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

/* Where the payload of the next frame is put: CV_PROXY_WS_PIECE_BYTES.  No two uses overlap. */
extern char *const cv_websocket_payload;

/* How much payload a frame to this leg may have now; 0: wait. */
size_t cv_websocket_room(const struct cv_leg *to);

/* Sends the n bytes at cv_websocket_payload as one frame; false when the leg is broken. */
bool cv_websocket_frame_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, bool is_final, size_t n);
bool cv_websocket_control_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, struct cv_str data);

/* One event of a parser, taken from its leg. */
enum cv_ws_event cv_websocket_event_next(struct cv_ws *w, struct cv_leg *from, size_t room,
	struct cv_ws_piece *piece, bool *has_moved);

/* Who broke a rule: an event, and the end. */
void cv_websocket_client_refuse(
	struct cv_proxy *p, struct cv_flow *f, uint16_t code, const char *slug, const char *why);
void cv_websocket_client_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_rc rc);
void cv_websocket_server_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_rc rc);

/* May the client say anything?  Asked before the first piece of each message; false: the end. */
bool cv_websocket_message_is_allowed(struct cv_proxy *p, struct cv_flow *f);

/* A place for an assembly.  False: none is free; is_waiting says whether one may be waited for. */
bool cv_websocket_place_take(struct cv_proxy *p, struct cv_websocket *ws);
void cv_websocket_place_give(struct cv_proxy *p, struct cv_websocket *ws);
void cv_websocket_text_drop(struct cv_buf *text); /* wiped */

void cv_websocket_scrub_fini(struct cv_websocket_scrub *s);

/* True when something moved.  The flow may have ended, or be closing. */
bool cv_websocket_up_step(struct cv_proxy *p, struct cv_flow *f);
bool cv_websocket_down_step(struct cv_proxy *p, struct cv_flow *f);
