/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h - a request that is kept until its whole body is there
 *
 * Where the body has to be looked at or changed before anything of the request may go on: the head
 * moves from the flow's buffer into the hold, the body follows unframed, and both are written from
 * here.  A hold belongs to its flow and is wiped when it ends.  Responses are held the same way by
 * mint.h, which has a hold of its own.
 */
#pragma once
#include "base/buf.h"
#include "wire/chunk.h"
#include "wire/h1.h"

struct cv_flow;
struct cv_leg;

enum cv_hold_rc {
	CV_HOLD_MORE, /* the rest has not come */
	CV_HOLD_DONE,
	CV_HOLD_LONG, /* more than max */
	CV_HOLD_BAD,  /* malformed chunks */
	CV_HOLD_CUT,  /* the client closed before the end */
};

struct cv_hold {
	struct cv_buf head, body;
	enum cv_h1_body kind;
	uint64_t left; /* LENGTH */
	struct cv_chunk chunk;
	bool is_done;
};

/* The same for any message: its head, of so many bytes, leaves from. */
CV_MUST bool cv_hold_start(struct cv_hold *h, struct cv_leg *from, size_t head_bytes,
	enum cv_h1_body kind, uint64_t length, size_t max);
CV_MUST enum cv_hold_rc cv_hold_take(struct cv_hold *h, struct cv_leg *from);
void cv_hold_wipe(struct cv_hold *h);

/* Takes r's head out of the flow's buffer; at most max bytes of body will be kept.  False: no
 * memory. */
CV_MUST bool cv_hold_begin(struct cv_flow *f, const struct cv_h1_request *r, size_t max);

/* Takes what came of the body.  Trailers are let go (RFC 9110 section 6.5.1 permits it). */
CV_MUST enum cv_hold_rc cv_hold_fill(struct cv_flow *f);

void cv_hold_end(struct cv_flow *f); /* wiped; as often as one likes */

/* Whether the whole body of r stands in the flow's buffer now, behind the head, without trailers. */
CV_MUST bool cv_hold_is_here(const struct cv_flow *f, const struct cv_h1_request *r);
