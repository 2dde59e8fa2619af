/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - how much of a stranger's bytes the HTTP/1 codecs look at
 *
 * Everything here bounds memory or time that a sandbox or an origin could make us spend.  What
 * is longer is refused with its own reason, never cut.
 */
#pragma once

/* Names and addresses. */
#define CV_HOST_BYTES_MAX  253 /* RFC 1035 2.3.4 without the root's length byte */
#define CV_LABEL_BYTES_MAX 63  /* RFC 1035 2.3.4 */

/* Heads.  A head that is never ended is refused at these sizes, so they are also the buffer that a
 * connection needs before anything is decided about it. */
#define CV_H1_PROXY_HEAD_BYTES_MAX  8192  /* first head on the explicit proxy: clients expect 431 */
#define CV_H1_TUNNEL_HEAD_BYTES_MAX 16384 /* inside a tunnel: room for cookies and tokens */
#define CV_H1_REPLY_HEAD_BYTES_MAX  65536 /* origins' content security policies grow long */
#define CV_H1_HEADERS_MAX           100   /* what common servers take; bounds quadratic look-ups */
#define CV_H1_METHOD_BYTES_MAX      32    /* the longest registered one has 17 */
#define CV_H1_NAME_BYTES_MAX        256   /* field names: the longest registered one has 44 */
#define CV_H1_TARGET_BYTES_MAX      8192  /* RFC 9112 3 asks for 8000; path has its own limit */
#define CV_H1_TOKENS_MAX            16    /* in Connection: each is compared with every header */
#define CV_H1_LENGTH_DIGITS_MAX     18    /* Content-Length below 10^18 fits int64 everywhere */

/* Paths and queries. */
#define CV_PATH_BYTES_MAX   4096 /* raw and canonical; what OpenShell promises */
#define CV_PATH_DECODES_MAX 4    /* nobody encodes more often; bounds the search for hidden dots */
#define CV_QUERY_PAIRS_MAX  256  /* each is compared with each rule's matchers */

/* Chunked bodies. */
#define CV_CHUNK_DIGITS_MAX        15   /* of a size: below 2^60, so that no sum overflows */
#define CV_CHUNK_TRAILER_BYTES_MAX 4096 /* whole trailer section; gRPC status with a message */
#define CV_CHUNK_TRAILERS_MAX      16

/* JSON. */
#define CV_JSON_DEPTH_MAX       128   /* tool schemas of today stay below 40; a multiple of 32 */
#define CV_JSON_KEYS_MAX        65536 /* of all open objects: 1.5 MiB of memory, no more */
#define CV_JSON_TREE_VALUES_MAX (1 << 18) /* of a tree: 16 MiB of memory, keys included */
#define CV_JSON_PATH_DEPTH_MAX  8         /* of a value that we look for */
#define CV_JSON_VALUES_MAX      16        /* that are looked for in one pass */

/* Calls of models. */
#define CV_JSON_EDIT_BYTES_MAX   4096 /* of one value that is put in: a model's name, escaped */
#define CV_INFER_WHOLE_BYTES_MAX (4 << 20) /* of an answer that is read: 200 embeddings, say */
#define CV_INFER_EVENT_BYTES_MAX (2 << 20) /* of Bedrock's stream: twice the longest message read */
#define CV_INFER_TOKEN_BYTES     4         /* of English, where nobody counted */

/* HTTP/2 header lists. */
#define CV_H2_LIST_BYTES_MAX 32768 /* what is kept of one: a head of HTTP/1 and its overhead */
#define CV_H2_FIELDS_MAX     256   /* kept: cookies come in crumbs, a field each */
