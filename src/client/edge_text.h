/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge_text.h - what a browser sends when it brings a token from the page /auth/connect
 *
 *     OPTIONS /callback    may that page ask?  (CORS; private network access)
 *     POST /callback       {"token": "...", "code": "XXX-XXXX"}
 *
 * Any page in the browser, and any program on this host, can send anything: what is not from the one
 * origin is refused before its body is looked at.
 *
 * Pure: strings go into the caller's arena.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>

#define CL_EDGE_BYTES_MAX    (40u << 10) /* of a request: a token of 16 KB, escaped, and a head */
#define CL_EDGE_CODE_BYTES   8           /* "XXX-XXXX" */
#define CL_EDGE_ORIGIN_BYTES 320
#define CL_EDGE_RANDOM_BYTES 7 /* of which a code is made */

enum cl_edge_kind {
	CL_EDGE_PART,      /* not all of it is there */
	CL_EDGE_OTHER,     /* no request for our path, or no HTTP */
	CL_EDGE_FORBIDDEN, /* of a page of another origin, or of no page */
	CL_EDGE_METHOD,    /* neither of the two */
	CL_EDGE_PREFLIGHT,
	CL_EDGE_BAD,   /* a body that is not that */
	CL_EDGE_WRONG, /* another code */
	CL_EDGE_TOKEN
};

struct cl_edge_call {
	bool asks_private; /* Access-Control-Request-Private-Network: true */
	struct cv_str token;
};

/* origin: "https://gw.example", as browsers write it. */
enum cl_edge_kind cl_edge_call_read(struct cv_str sent, struct cv_str origin, struct cv_str code,
	struct cv_arena *arena, struct cl_edge_call *ret);
/* The answer to it, for the page. */
void cl_edge_answer_put(struct cv_buf *b, enum cl_edge_kind kind, const struct cl_edge_call *call,
	struct cv_str origin);

/* Of random bytes: letters and digits that nobody takes for another. */
void cl_edge_code_make(const unsigned char random[static CL_EDGE_RANDOM_BYTES],
	char ret[static CL_EDGE_CODE_BYTES + 1]);
/* The origin of an address, without the scheme's own port.  False: it is no address. */
CV_MUST bool cl_edge_origin_of(struct cv_str url, char ret[static CL_EDGE_ORIGIN_BYTES]);
