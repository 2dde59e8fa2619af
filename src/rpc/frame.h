/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - gRPC's framing of messages, and its texts in header fields
 *
 * Pure.  A frame is 1 byte (0, or 1: compressed), 4 bytes of length, and the message.
 */
#pragma once
#include "base/buf.h"

#define CV_RPC_FRAME_HEAD_BYTES 5

enum cv_rpc_frame_rc {
	CV_RPC_FRAME_OK,
	CV_RPC_FRAME_MORE,       /* not all of it is there yet */
	CV_RPC_FRAME_LONG,       /* longer than max; length is set */
	CV_RPC_FRAME_COMPRESSED, /* its flag says so */
	CV_RPC_FRAME_BAD,        /* another flag */
};

struct cv_rpc_frame {
	uint32_t length;
	struct cv_str message; /* borrowed */
	size_t bytes;          /* of the frame */
};

/* The frame that bytes begins with. */
CV_MUST enum cv_rpc_frame_rc cv_rpc_frame_next(
	struct cv_str bytes, uint32_t max, struct cv_rpc_frame *ret);
void cv_rpc_frame_head(uint32_t length, char to[static CV_RPC_FRAME_HEAD_BYTES]);

/* Appends s as grpc-message has it: bytes outside of 0x20..0x7e, and %, as %XX. */
void cv_rpc_percent_encode(struct cv_buf *to, struct cv_str s);
/* The same back; what is no %XX stays as it is. */
void cv_rpc_percent_decode(struct cv_buf *to, struct cv_str s);

/* "100m" of grpc-timeout, at most 8 digits and H M S m u n; parts of a millisecond count as one. */
CV_MUST bool cv_rpc_timeout_parse(struct cv_str s, int64_t *ret_ms);
