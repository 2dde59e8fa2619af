/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws.h - WebSocket frames (RFC 6455 5), taken apart as they arrive and written anew
 *
 * One parser reads one direction.  It holds a frame's head and a control frame's payload, nothing
 * else: payload of messages comes out unmasked in pieces, in the caller's room.  What a sender may
 * not do is refused with the close code that answers it; a parser that refused stays so.
 *
 * A message's pieces say where it begins and ends, so a caller may frame it anew with one frame
 * for each piece and need not know how it was cut before.  Control frames come whole, also between
 * the fragments of a message.  Behind a close frame nothing is read any more.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "wire/limits_ws.h"

enum cv_ws_opcode {
	CV_WS_CONTINUATION = 0,
	CV_WS_TEXT = 1,
	CV_WS_BINARY = 2,
	CV_WS_CLOSE = 8,
	CV_WS_PING = 9,
	CV_WS_PONG = 10,
};

/* Close codes that we send (RFC 6455 7.4.1 and its registry). */
enum {
	CV_WS_CODE_NORMAL = 1000,
	CV_WS_CODE_GOING = 1001,
	CV_WS_CODE_PROTOCOL = 1002,
	CV_WS_CODE_KIND = 1003, /* messages of this kind mean nothing here */
	CV_WS_CODE_DATA = 1007,
	CV_WS_CODE_POLICY = 1008,
	CV_WS_CODE_SIZE = 1009,
	CV_WS_CODE_RESTART = 1012, /* another policy: connect again */
	CV_WS_CODE_BUSY = 1013,
};

/* clang-format off */
#define CV_WS_RCS(X) /* name, close code, slug, sentence */                                       \
	X(OK, 0, "ok", "ok")                                                                      \
	X(UNMASKED, 1002, "ws_unmasked", "frame of a client is not masked")                       \
	X(MASKED, 1002, "ws_masked", "frame of a server is masked")                               \
	X(RESERVED, 1002, "ws_reserved_bit", "reserved bit is set without its extension")         \
	X(OPCODE, 1002, "ws_opcode", "opcode is reserved")                                        \
	X(LENGTH, 1002, "ws_length", "length is not in its shortest form, or negative")           \
	X(CONTROL_LONG, 1002, "ws_control_too_long", "control frame has more than 125 bytes")     \
	X(CONTROL_CUT, 1002, "ws_control_fragmented", "control frame is fragmented")              \
	X(NO_MESSAGE, 1002, "ws_no_message", "continuation of no message")                        \
	X(IN_MESSAGE, 1002, "ws_in_message", "message begins before the one before has ended")    \
	X(CLOSE_CODE, 1002, "ws_close_code", "close frame has no valid code")                     \
	X(CLOSE_TEXT, 1007, "ws_close_text", "close reason is not UTF-8")                         \
	X(UTF8, 1007, "ws_not_utf8", "text message is not UTF-8")                                 \
	X(DEFLATE, 1007, "ws_deflate", "compressed message can't be decompressed")                \
	X(SIZE, 1009, "ws_too_large", "message is too large")                                     \
	X(FRAGMENTS, 1009, "ws_fragments", "message has too many fragments")                      \
	X(RATIO, 1009, "ws_ratio", "compressed message grows too much")
/* clang-format on */

#define CV_WS_RC_ENUM(name, code, slug, text) CV_WS_RC_##name,
enum cv_ws_rc { CV_WS_RCS(CV_WS_RC_ENUM) CV_WS_RC_COUNT };
#undef CV_WS_RC_ENUM

struct cv_ws_rc_row {
	uint16_t code;
	const char *slug, *text;
};

const struct cv_ws_rc_row *cv_ws_rc_row(enum cv_ws_rc rc); /* static storage */

/* What one direction may send.  Zero bounds nothing. */
struct cv_ws_rules {
	bool is_client;            /* its frames must be masked; a server's must not */
	bool may_compress;         /* RSV1 on a message's first frame (RFC 7692 6) */
	uint64_t text_bytes_max;   /* a text message as it is framed: all its fragments */
	uint64_t binary_frame_max; /* one frame of a binary message */
	uint32_t fragments_max;    /* of one message */
	size_t piece_bytes_min;    /* a piece that is not its frame's rest has at least so many */
};

enum cv_ws_event {
	CV_WS_MORE,  /* what is in *in does not suffice; append to what is left of it */
	CV_WS_DATA,  /* a piece of a message */
	CV_WS_FRAME, /* a whole control frame */
	CV_WS_BAD,   /* refused: rc says why */
};

struct cv_ws_piece {
	enum cv_ws_opcode opcode; /* the message's, also in its continuations */
	bool is_first, is_last;   /* of the message; a message has at least one piece */
	bool is_compressed;
	/* DATA: in the caller's room, perhaps empty.  FRAME: in the parser, until its next call. */
	struct cv_str data;
};

struct cv_ws {
	struct cv_ws_rules rules;
	uint8_t state, head_bytes, head_want;
	uint8_t head[CV_WS_HEAD_BYTES_MAX];
	uint8_t mask[4];
	uint8_t opcode, message; /* of the frame; of the message that is open, 0 for none */
	bool is_final, is_compressed, is_first;
	enum cv_ws_rc rc;
	uint8_t control_bytes;
	uint32_t fragments;
	uint64_t left, at,
		message_bytes; /* of the frame's payload; taken of it; announced so far */
	char control[CV_WS_CONTROL_BYTES_MAX];
};

void cv_ws_init(struct cv_ws *w, const struct cv_ws_rules *rules);

/* The next event in *in, from whose front what was understood is taken.  A piece has at most n > 0
 * bytes and stands in room. */
CV_MUST enum cv_ws_event cv_ws_next(
	struct cv_ws *w, struct cv_str *in, char *room, size_t n, struct cv_ws_piece *ret);

/* Behind a close frame. */
bool cv_ws_is_closed(const struct cv_ws *w);

/* ---- writing ---- */

/* The head of a frame with n bytes; mask NULL for a server's.  Returns its length. */
size_t cv_ws_head_write(char dst[static CV_WS_HEAD_BYTES_MAX], enum cv_ws_opcode opcode,
	bool is_final, uint64_t n, const uint8_t mask[4]);

/* Masks or unmasks n bytes in place; at: how many of the frame came before. */
void cv_ws_mask(char *p, size_t n, const uint8_t mask[4], uint64_t at);

/* ---- close frames ---- */

/* May this code stand in a close frame? */
bool cv_ws_code_is_valid(uint16_t code);

/* The payload of a close frame: empty gives code 1005 (RFC 6455 7.1.5).  OK, CLOSE_CODE, CLOSE_TEXT. */
enum cv_ws_rc cv_ws_close_read(struct cv_str payload, uint16_t *ret_code, struct cv_str *ret_text);

/* Writes such a payload; text (UTF-8) is cut at a character to fit.  Returns its length. */
size_t cv_ws_close_write(
	char dst[static CV_WS_CONTROL_BYTES_MAX], uint16_t code, struct cv_str text);
