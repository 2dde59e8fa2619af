/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_handshake.h - the upgrade to WebSocket (RFC 6455 4), request and 101, checked to the letter
 *
 * Heads are h1.h's.  A request is judged before policy is asked, a 101 before a byte of it passes.
 * The hash in between is the caller's, since this folder has no SHA-1:
 *
 *     key --cv_ws_accept_input()--> bytes --SHA-1, base64--> what the 101 must carry
 *
 * Extensions belong to a connection, and we are two of them.  So what the client offers is only
 * looked at (would it like compression?), what the server is offered is ours, and what the server
 * took is judged against that.
 */
#pragma once
#include "base/attr.h"
#include "wire/h1.h"
#include "wire/limits_ws.h"

/* clang-format off */
#define CV_WS_HANDS(X) /* name, slug, sentence */                                                 \
	X(OK, "ok", "ok")                                                                         \
	X(METHOD, "ws_method", "a WebSocket upgrade must be GET without a body")                  \
	X(UPGRADE, "ws_upgrade", "Upgrade must be websocket and nothing else")                    \
	X(VERSION, "ws_version", "Sec-WebSocket-Version must be there once and be 13")            \
	X(KEY, "ws_key", "Sec-WebSocket-Key must be there once and be 16 bytes in base64")        \
	X(PROTOCOL, "ws_protocol", "Sec-WebSocket-Protocol must list different tokens")           \
	X(UNASKED, "ws_unasked", "the request has a field of WebSocket's responses")              \
	X(ACCEPT, "ws_accept", "Sec-WebSocket-Accept does not answer the key")                    \
	X(PROTOCOL_TAKEN, "ws_protocol_taken", "the server took a subprotocol that was not offered") \
	X(EXTENSION, "ws_extension", "the server took an extension that was not offered so")
/* clang-format on */

#define CV_WS_HAND_ENUM(name, slug, text) CV_WS_HAND_##name,
enum cv_ws_hand { CV_WS_HANDS(CV_WS_HAND_ENUM) CV_WS_HAND_COUNT };
#undef CV_WS_HAND_ENUM

const char *cv_ws_hand_slug(enum cv_ws_hand rc);
const char *cv_ws_hand_text(enum cv_ws_hand rc);

/* Our own offer to a server, when the client made one: compressed messages, none of which needs
 * what was said before it, so that a connection that waits holds no window. */
#define CV_WS_OFFER_DEFLATE \
	CV_STR("permessage-deflate; server_no_context_takeover; client_no_context_takeover")

struct cv_ws_offer { /* borrows from the head */
	struct cv_str key;
	struct cv_str protocols[CV_WS_PROTOCOLS_MAX];
	size_t protocol_count;
	bool has_deflate; /* permessage-deflate is among the extensions */
};

/* The request is an upgrade (r->is_upgrade).  *ret is meaningful after OK. */
CV_MUST enum cv_ws_hand cv_ws_request_check(const struct cv_h1_request *r, struct cv_ws_offer *ret);

#define CV_WS_ACCEPT_INPUT_BYTES (CV_WS_KEY_TEXT_BYTES + 36)
void cv_ws_accept_input(struct cv_str key, char dst[static CV_WS_ACCEPT_INPUT_BYTES]);

struct cv_ws_asked {                    /* what the server was sent */
	struct cv_str accept;           /* the answer that proves it read the key */
	const struct cv_str *protocols; /* that it may take */
	size_t protocol_count;
	bool has_deflate; /* CV_WS_OFFER_DEFLATE was sent */
};

/* r is a 101 (r->is_upgrade).  *ret_deflate: its messages may be compressed. */
CV_MUST enum cv_ws_hand cv_ws_response_check(
	const struct cv_h1_response *r, const struct cv_ws_asked *asked, bool *ret_deflate);
