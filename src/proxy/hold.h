/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h - a request that is kept until its whole body is there
 *
 * Where the body has to be looked at or changed before anything of the request may go on: the head
 * moves from the flow's buffer into the hold, the body follows unframed, and both are written from
 * here.  A hold belongs to its flow and is wiped when it ends.  Responses are held the same way by
 * mint.h, which has a hold of its own.
 *
 * A body that is only looked at may be larger than memory: a hold with a spool keeps
 * CV_PROXY_HELD_BYTES_MAX and then moves to the spool's file (spool.h).  What goes there is scanned
 * as it goes, and what stays in memory when all of it is there, by who asked for the hold.
 */
#pragma once
#include "base/buf.h"
#include "cred/placeholder.h"
#include "proxy/spool.h"
#include "wire/chunk.h"
#include "wire/h1.h"

struct cv_body;
struct cv_flow;
struct cv_h1_edit;
struct cv_leg;

enum cv_hold_rc {
	CV_HOLD_MORE, /* the rest has not come */
	CV_HOLD_DONE,
	CV_HOLD_LONG, /* more than max */
	CV_HOLD_BAD,  /* malformed chunks */
	CV_HOLD_CUT,  /* the client closed before the end */
	/* of a hold with a spool */
	CV_HOLD_FOUND, /* a placeholder */
	CV_HOLD_FULL,  /* it can't be kept: no room */
};

struct cv_hold {
	struct cv_buf head, body;
	enum cv_h1_body kind;
	uint64_t left; /* LENGTH */
	struct cv_chunk chunk;
	bool is_done;

	/* with a spool */
	struct cv_spool *spool;
	struct cv_spooled file;  /* the body, when it is too large for memory: then body is empty */
	struct cv_ph_scan *scan; /* of what is in the file; whose it is outlives the hold */
	struct cv_buf tail;      /* the last chunk and its trailers, if there are any */
	enum cv_hold_rc end;     /* MORE until it has one, which stays */
	size_t counted;          /* in spool->memory */
	bool is_stale;           /* the scan was begun anew on the way: it has not seen all */
	bool is_found;  /* a placeholder: the rest is thrown away, so that the answer arrives */
	uint64_t bytes; /* that came */
	bool is_open;   /* LONG, and the rest may pass as it comes */
	int64_t until_ms;
};

/* The same for any message: its head, of so many bytes, leaves from. */
CV_MUST bool cv_hold_start(struct cv_hold *h, struct cv_leg *from, size_t head_bytes,
	enum cv_h1_body kind, uint64_t length, size_t max);
CV_MUST enum cv_hold_rc cv_hold_take(struct cv_hold *h, struct cv_leg *from);
void cv_hold_wipe(struct cv_hold *h);

/* Takes r's head out of the flow's buffer; at most max bytes of body will be kept.  False: no
 * memory. */
CV_MUST bool cv_hold_begin(struct cv_flow *f, const struct cv_h1_request *r, size_t max);
/* The same, as much as the spool allows; what goes to its file is fed to scan. */
CV_MUST bool cv_hold_begin_spooled(struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_spool *spool, struct cv_ph_scan *scan);

/* Takes what came of the body.  Trailers are let go (RFC 9110 section 6.5.1 permits it), but by a hold
 * with a spool, which takes a bounded amount at a time: cv_leg_has_more() says whether there is
 * more. */
CV_MUST enum cv_hold_rc cv_hold_fill(struct cv_flow *f);

/* What is in the file once more, from its begin.  FOUND, FULL: it can't be read; else DONE. */
CV_MUST enum cv_hold_rc cv_hold_scan_again(struct cv_hold *h, const struct cv_ph_set *set);

/* The framing of what goes on, and then that itself; body is what became of the part in memory.  False:
 * no memory. */
void cv_hold_frame(const struct cv_hold *h, struct cv_str body, struct cv_h1_edit *e);
CV_MUST bool cv_hold_pass_on(struct cv_hold *h, struct cv_str body, struct cv_body *to);

void cv_hold_end(struct cv_flow *f); /* wiped; as often as one likes */

/* Whether the whole body of r stands in the flow's buffer now, behind the head, without trailers. */
CV_MUST bool cv_hold_is_here(const struct cv_flow *f, const struct cv_h1_request *r);
