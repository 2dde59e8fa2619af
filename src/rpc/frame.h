/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - messages in the body of a gRPC request or response: five bytes, then the message
 *
 *     flag (0: as it is, 1: compressed)   length, 4 bytes, most significant first   message
 *
 * The reader takes bytes as they come, cut anywhere, and hands out whole messages; one that lies
 * whole in the bytes given is not copied.  How large a message may be is the caller's: it is judged
 * when the five bytes are there, and memory grows with what has come, not with what was announced.
 * Nobody offers compression here, so a compressed message is refused.  Pure.
 */
#pragma once
#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

#define CV_RPC_FRAME_HEAD_BYTES 5

enum cv_rpc_frame_event {
	CV_RPC_FRAME_MORE,    /* *in is used up */
	CV_RPC_FRAME_MESSAGE, /* *ret_message, valid until the next call and as long as *in was */
	CV_RPC_FRAME_LARGE,   /* longer than bytes_max; announced says how long.  For ever. */
	CV_RPC_FRAME_COMPRESSED, /* for ever */
	CV_RPC_FRAME_BAD,        /* the flag is neither 0 nor 1; for ever */
	CV_RPC_FRAME_NO_MEMORY,  /* for ever */
};

struct cv_rpc_frame_reader {
	uint32_t bytes_max;
	uint32_t announced; /* of the present message, once its head is whole */
	uint8_t head[CV_RPC_FRAME_HEAD_BYTES];
	uint8_t head_n;
	bool is_given;      /* body was handed out: it goes at the next call */
	struct cv_buf body; /* of a message that came in pieces */
};

void cv_rpc_frame_reader_init(
	struct cv_rpc_frame_reader *r, uint32_t bytes_max); /* no memory yet */
void cv_rpc_frame_reader_fini(struct cv_rpc_frame_reader *r);

/* The next event in *in, from whose front what was understood is taken. */
CV_MUST enum cv_rpc_frame_event cv_rpc_frame_next(
	struct cv_rpc_frame_reader *r, struct cv_str *in, struct cv_str *ret_message);

/* At the end of the body: no message is half there. */
bool cv_rpc_frame_reader_is_whole(const struct cv_rpc_frame_reader *r);

void cv_rpc_frame_head_write(uint32_t message_bytes, uint8_t ret_head[CV_RPC_FRAME_HEAD_BYTES]);

/* Appends the frame of m, packed.  False, and b overflown, when it does not fit. */
bool cv_rpc_frame_write(struct cv_buf *b, const ProtobufCMessage *m);
