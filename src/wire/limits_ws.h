/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits_ws.h - bounds on WebSocket messages and event streams, each with its reason
 */
#pragma once

/* Frames (RFC 6455 5.2). */
#define CV_WS_HEAD_BYTES_MAX    14  /* two bytes, eight of length, four of mask */
#define CV_WS_CONTROL_BYTES_MAX 125 /* of payload, RFC 6455 5.5 */

/* What a client may make us hold: a text message is decided, and rewritten, as a whole. */
#define CV_WS_TEXT_BYTES_MAX (4u << 20) /* what OpenShell promises; a large JSON document */
#define CV_WS_FRAGMENTS_MAX  4096       /* of a message: empty ones cost time, not memory */
#define CV_WS_BINARY_FRAME_BYTES \
	(16u << 20) /* passed as it comes; bounds what one head announces */

/* The handshake. */
#define CV_WS_KEY_BYTES      16 /* RFC 6455 4.1 */
#define CV_WS_KEY_TEXT_BYTES 24 /* the same in base64 */
#define CV_WS_ACCEPT_BYTES   28 /* a SHA-1 in base64 */
#define CV_WS_PROTOCOLS_MAX  32 /* offered subprotocols; clients of GraphQL offer two */

/* permessage-deflate.  A message may grow by the ratio once it is past what small repetitive
 * ones legitimately reach; deflate's own bound is 1032. */
#define CV_WS_INFLATE_IN_BYTES  4096        /* compressed bytes taken at a time */
#define CV_WS_INFLATE_BYTES_MAX (16u << 20) /* of one message, as one binary frame */
#define CV_WS_INFLATE_FREE      (4u << 20)  /* below this, any ratio: what a client may say, too */
#define CV_WS_INFLATE_RATIO_MAX 200         /* logs and tables of zeros reach 100 */

/* Event streams (server-sent events). */
#define CV_SSE_LINE_BYTES_MAX  (1u << 20) /* one data line: language models send up to 100 KiB */
#define CV_SSE_EVENT_BYTES_MAX (4u << 20) /* all data lines of an event */
#define CV_SSE_NAME_BYTES_MAX  256        /* of an event's type, of its id */
