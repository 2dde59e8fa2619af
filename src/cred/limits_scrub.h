/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits_scrub.h - how much is spent on keeping released secrets out of responses
 *
 * Everything here bounds memory or time that an origin, or what it echoes for the sandbox, could
 * make us spend.
 */
#pragma once

/* Values. */
#define CV_SCRUB_VALUE_BYTES_MIN  8     /* shorter ones are found in text they are not in */
#define CV_SCRUB_VALUE_BYTES_MAX  8192  /* what servers take as a header; a PEM key has 3272 */
#define CV_SCRUB_VALUES_BYTES_MAX 32768 /* of a set: each becomes up to 9 nodes of 20 bytes */
#define CV_SCRUB_VALUES_MAX       64    /* of a set: no request is given more */

/* Streams. */
#define CV_SCRUB_BYTES_PER_BYTE_MAX 18   /* longest form: \u0061 with each byte as %XX */
#define CV_SCRUB_TOKEN_BYTES_MAX    1024 /* of an escape in escapes; the decoders keep 650 */
#define CV_SCRUB_PIECE_BYTES        2048 /* scanned at a time: stays in the first cache */

/* Bytes that a stream whose longest value has n may hold back. */
#define CV_SCRUB_HOLD_BYTES_MAX(n) ((n)*CV_SCRUB_BYTES_PER_BYTE_MAX + CV_SCRUB_TOKEN_BYTES_MAX)

/* Decoding. */
#define CV_DECODE_CODINGS_MAX     2           /* `gzip, br` is seen; three are an attack */
#define CV_DECODE_CALL_BYTES_MAX  (64u << 10) /* output of one call: one relay buffer */
#define CV_DECODE_FREE_BYTES      (64u << 10) /* output without a ratio: small bodies shrink */
#define CV_DECODE_RATIO_MAX       1000        /* deflate can't pass 1032, text stays below 100 */
#define CV_DECODE_ZSTD_WINDOW_LOG 23          /* 8 MiB: what RFC 9659 allows */
#define CV_DECODE_MEMORY_MAX      (24u << 20) /* brotli's window of 16 MiB and its tables */
#define CV_DECODE_BETWEEN_BYTES   (16u << 10) /* from the first of two decoders to the second */
