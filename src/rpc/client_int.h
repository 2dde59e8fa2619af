/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_int.h - what the parts of the client share
 *
 *     client.c         the connection: nghttp2's session, bytes in and out, a turn
 *     client_stream.c  calls: messages out, messages in, how each ended
 *     client_unary.c   one question, one answer
 *
 * nghttp2's callbacks only note what came; the caller's functions are called between, by
 * cv_rpc_stream_step(), so they may do anything with any stream.  A stream that is gone (ended or
 * cancelled) stays in the list until the turn's end.
 */
#pragma once
#include "rpc/client.h"
#include "rpc/dial.h"
#include "rpc/frame.h"

#include <nghttp2/nghttp2.h>

/* A message a stream waits with, and what is behind it: the largest that a server of ours takes is
 * a megabyte, but others may take more. */
#define CV_RPC_CLIENT_OUT_BYTES_MAX    (17u << 20)
#define CV_RPC_CLIENT_QUEUED_BYTES_MAX (256u << 10) /* then not writable; as the server's */
/* What a server may send of one call before we read it, so what a held one costs us. */
#define CV_RPC_CLIENT_WINDOW_BYTES (1u << 20)
/* Of all: streams that are held don't count, their bytes are given back to the connection. */
#define CV_RPC_CLIENT_ALL_WINDOW_BYTES (4u << 20)
#define CV_RPC_CLIENT_WIRE_BYTES_MAX   (128u << 10) /* made, and not yet sent */
#define CV_RPC_CLIENT_TEXT_BYTES       1024 /* of a server's grpc-message; escapes take three for one */
#define CV_RPC_CLIENT_SAID_BYTES       128 /* of GOAWAY's words, of a content type */
#define CV_RPC_CLIENT_BEARER_BYTES_MAX \
	16384 /* tokens with many claims; heads above 16 KiB are refused */

struct cv_rpc_stream {
	struct cv_rpc_client *c;
	struct cv_rpc_stream *prev, *next;
	int32_t id;
	const ProtobufCMessageDescriptor *out;
	struct cv_rpc_stream_events events;
	void *arg;

	/* towards the server */
	struct cv_buf queued; /* frames */
	bool is_half_closed, was_full, is_deferred;

	/* from it */
	struct cv_rpc_frame_reader reader;
	struct cv_buf received; /* at most a window */
	bool is_held;
	bool is_closed; /* nghttp2 has done with it: what is in received is the last */
	bool is_gone;   /* the caller has done with it */
	uint32_t close_code;
	int http_status;
	bool has_grpc_status, is_grpc;
	enum cv_rpc_status status;
	char content_type[CV_RPC_CLIENT_SAID_BYTES];
	char text[CV_RPC_CLIENT_TEXT_BYTES]; /* grpc-message, decoded */
};

struct cv_rpc_client {
	struct cv_rpc_dialled d;
	nghttp2_session *session;
	struct cv_buf wire; /* frames on their way */
	struct cv_rpc_stream *streams;
	char *authorization;                  /* "Bearer ..."; NULL */
	const char *field_name, *field_value; /* the caller's; NULL */
	bool is_https;
	bool has_settings;     /* the server speaks HTTP/2 */
	bool has_more_to_read; /* the turn's share was used up */
	bool is_lost;
	struct cv_err lost; /* why */
	bool has_goaway;
	uint32_t goaway_code;
	char goaway_said[CV_RPC_CLIENT_SAID_BYTES];
};

/* client_stream.c */
void cv_rpc_stream_header(struct cv_rpc_stream *s, struct cv_str name, struct cv_str value);
void cv_rpc_stream_received(struct cv_rpc_stream *s, struct cv_str data);
void cv_rpc_stream_step(struct cv_rpc_stream *s); /* calls back */
bool cv_rpc_stream_has_work(const struct cv_rpc_stream *s);
void cv_rpc_stream_free(struct cv_rpc_stream *s);
/* With a deadline for the server to know; 0: none. */
CV_MUST cv_code cv_rpc_stream_open_until(struct cv_rpc_client *c, const char *method,
	const ProtobufCMessageDescriptor *out, const struct cv_rpc_stream_events *events, void *arg,
	int timeout_ms, struct cv_rpc_stream **ret, struct cv_err *err);
