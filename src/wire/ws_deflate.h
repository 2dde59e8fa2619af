/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_deflate.h - compressed WebSocket messages (RFC 7692), opened within bounds
 *
 * An inflater lives for one message: contexts are never taken over, because our offer says so
 * (ws_handshake.h), and a connection that waits holds nothing.  Bytes go in as they arrive and come
 * out as far as the caller has room; what a message may become is bounded in size and in
 * proportion, and the bound is reached before the bytes are made.
 *
 * There is no deflater.  What we write is not compressed: RFC 7692 6 leaves that to the sender
 * message by message, and compressing a text that holds a released secret beside words of the
 * agent's choice would tell its length (CRIME).
 *
 * A library of its own (wire_deflate_dep), so that only who inflates brings zlib along.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "wire/limits_ws.h"
#include "wire/ws.h"

struct cv_ws_inflate; /* about 44 KiB */

struct cv_ws_inflate *cv_ws_inflate_new(void); /* NULL: no memory */
void cv_ws_inflate_free(struct cv_ws_inflate *i);

/* The next compressed bytes of the message, at most CV_WS_INFLATE_IN_BYTES; is_last: there are no
 * more.  Only at the start, and after WANT. */
void cv_ws_inflate_put(struct cv_ws_inflate *i, struct cv_str bytes, bool is_last);

enum cv_ws_inflated {
	CV_WS_INFLATED_SOME, /* *ret_n > 0 bytes; call again */
	CV_WS_INFLATED_WANT, /* *ret_n bytes, perhaps 0; the next input may be put */
	CV_WS_INFLATED_END,  /* *ret_n bytes, perhaps 0; the message is whole */
	CV_WS_INFLATED_BAD,  /* *ret_rc: DEFLATE, RATIO, SIZE */
};

/* Writes at most n > 0 bytes to dst. */
CV_MUST enum cv_ws_inflated cv_ws_inflate_next(
	struct cv_ws_inflate *i, char *dst, size_t n, size_t *ret_n, enum cv_ws_rc *ret_rc);
