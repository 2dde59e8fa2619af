/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what a client can make a server hold or wait for, and why that much
 *
 * The size of a message and of a call's queue are in call.h: handlers must know them.
 */
#pragma once

/* Connections. */
#define CV_RPC_LISTENERS_MAX    8     /* addresses of a gateway, health and metrics beside */
#define CV_RPC_CONNECTIONS_MAX  16384 /* 10,000 watchers and their like; more are closed at once */
#define CV_RPC_CROWD(max)       ((max) / 4 * 3) /* so many: strangers have less time */
#define CV_RPC_ACCEPTS_MAX      64 /* of a listener in one turn: a flood must not starve the rest */
#define CV_RPC_ACCEPT_PAUSE_MS  100   /* without descriptors, instead of a busy loop */
#define CV_RPC_IO_BYTES         65536 /* of one read, or sends of one connection in one round */
#define CV_RPC_PIECE_BYTES      16384 /* of one frame or chunk: a TLS record */
#define CV_RPC_UNSENT_BYTES_MAX (CV_RPC_IO_BYTES + CV_RPC_PIECE_BYTES) /* that the socket refused */
#define CV_RPC_ROUNDS_MAX       8 /* of one turn: others of the program want theirs */

/* Heads.  16 KiB are what servers of gRPC take by default. */
#define CV_RPC_HEAD_BYTES_MAX       16384
#define CV_RPC_FIELDS_MAX           100
#define CV_RPC_FIELD_OVERHEAD       32 /* RFC 9113 6.5.2 */
#define CV_RPC_REQUEST_ID_BYTES_MAX 128

/* Memory.  What all calls together hold: what came, what they unpacked, what was not sent yet. */
#define CV_RPC_CALL_BYTES_MAX \
	(16u << 20) /* of a call's arena: 1 MiB of empty messages unpacks to more */
#define CV_RPC_OUT_BYTES_MAX  (20u << 20)  /* of a call: the longest answer is 16 MiB */
#define CV_RPC_HELD_BYTES_MAX (512u << 20) /* of all calls; then RESOURCE_EXHAUSTED */
#define CV_RPC_STRANGER_BYTES_MAX \
	(64u << 10)               /* of a message or body for which nobody is asked who sends it */
#define CV_RPC_IN_KEPT_BYTES 4096 /* of an empty buffer; larger ones are given back */
#define CV_RPC_STATUS_BYTES_MAX \
	4096                  /* of grpc-message before its coding: clients cap heads at 8 KiB */
#define CV_RPC_TRAILERS_MAX 8 /* beside grpc-status and grpc-message */

/* HTTP/2.  What a peer can make us do is counted: cheap frames cost us more than their sender. */
#define CV_RPC_STREAMS_MAX       256 /* at a time, of one connection: a front end's calls */
#define CV_RPC_STREAM_WINDOW     (256 * 1024)  /* held while a handler holds */
#define CV_RPC_CONNECTION_WINDOW (1024 * 1024) /* of all its streams but held calls' */
#define CV_RPC_CONTINUATIONS_MAX 8             /* of one header block: twice what we would keep */
#define CV_RPC_ACKS_MAX          64            /* that wait for a peer which reads nothing */
#define CV_RPC_CONTROL_MAX       1000          /* frames that carry nothing, saved up ... */
#define CV_RPC_CONTROL_PER_S     100           /* ... earned by time, and ... */
#define CV_RPC_CONTROL_PER_DATA  3             /* ... by each frame with data, either way */
#define CV_RPC_RESETS_MAX        400           /* streams that were ended early */
#define CV_RPC_RESETS_PER_S      40 /* a client that gives up on so many has gone wrong */

/* Tunnels: connections, too, but each of somebody known. */
#define CV_RPC_TUNNELS_MAX            4096 /* a quarter of all connections */
#define CV_RPC_TUNNELS_OWNER_MAX      256  /* of one user: each command and each forward has one */
#define CV_RPC_TUNNEL_FRAME_BYTES_MAX (1u << 20) /* passed as it comes; clients send some 32 KiB */
#define CV_RPC_TUNNEL_FRAGMENTS_MAX   4096       /* of a message: they cost time, not memory */

/* Times, in milliseconds. */
#define CV_RPC_HANDSHAKE_MS        10000  /* of TLS, and to the first request's head */
#define CV_RPC_HEAD_MS             15000  /* a request's head, once its first byte has come */
#define CV_RPC_BODY_MS             30000  /* without a byte of a message or body that has to come */
#define CV_RPC_STALL_MS            60000  /* that a peer takes nothing of what waits for it */
#define CV_RPC_PING_MS             20000  /* of silence, then a PING ... */
#define CV_RPC_PONG_MS             10000  /* ... and so long for any byte */
#define CV_RPC_IDLE_MS             600000 /* a connection of HTTP/2 without a call */
#define CV_RPC_KEEP_MS             75000  /* one of HTTP/1 between two requests */
#define CV_RPC_CROWD_MS            2000   /* in a crowd, for who has made no call that he may */
#define CV_RPC_LINGER_MS           1000 /* after the last byte: it must arrive before a reset does */
#define CV_RPC_DISCARDED_BYTES_MAX (4u << 20) /* ... of a body that nobody reads any more */
#define CV_RPC_SWEEP_MS            500        /* grain of all of these */
#define CV_RPC_WRITES_MS           20         /* of a turn, for calls that store something */
#define CV_RPC_DEADLINE_GRAIN_MS   5          /* of grpc-timeout */
#define CV_RPC_TIMEOUT_S_MAX       86400      /* of Request-Timeout: who waits longer sets none */
