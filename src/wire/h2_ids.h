/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_ids.h - streams that the peer itself has ended, and those that it passed over
 *
 * Libraries forget streams that are closed, and pass over what comes for them: it may have been under
 * way when we ended the stream ourselves (RFC 9113 5.1).  What the peer sends behind an end of its
 * own can't have been, nor can a stream be opened whose id is lower than one that is open already
 * (5.1.1).  Only what is such a fault for certain is said to be one: nothing here depends on what
 * the peer has seen of ours.  So a fixed number of ids is enough; what is older is forgotten.
 *
 * Pure; frames come from h2_frame.h.
 */
#pragma once
#include "wire/h2_frame.h"

#define CV_H2_IDS_KEPT 32 /* the last ended: a peer that is wrong is so at once */

struct cv_h2_ids {
	uint32_t ended[CV_H2_IDS_KEPT], at; /* a ring; 0: none */
	uint32_t last;                      /* the highest that the peer opened */
	uint32_t gap_from, gap_to;          /* passed over, the last time; 0: none */
};

enum cv_h2_ids_rc {
	CV_H2_IDS_OK,
	CV_H2_IDS_AGAIN,  /* HEADERS that open no stream: trailers, or too late; they cost, too */
	CV_H2_IDS_ENDED,  /* HEADERS or DATA behind the peer's own end: STREAM_CLOSED */
	CV_H2_IDS_PASSED, /* HEADERS of a stream that was passed over: PROTOCOL_ERROR */
};

/* Every frame of the peer's, in their order.  is_client: it is the peer that opens streams. */
enum cv_h2_ids_rc cv_h2_ids_note(struct cv_h2_ids *s, const struct cv_h2_frame *f, bool is_client);
