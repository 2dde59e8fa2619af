/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer_usage.h - how many tokens a model's answer says that it cost
 *
 * A reader that follows a response's body as it passes, whole or as a stream (server-sent events;
 * Bedrock's binary event stream), and changes nothing.  Numbers are the upstream's claim: read
 * tolerantly (unknown fields are passed over, the largest claim of a stream counts, since claims
 * grow as it goes on) and added saturating, so that no number makes a counter small again.
 *
 * Where nothing is said (a stream that was cut, an upstream that does not tell) the usage is
 * estimated from what passed, so that hanging up early makes no call free.
 */
#pragma once
#include "wire/infer.h"
#include "wire/sse.h"

struct cv_infer_usage {
	uint64_t input, output; /* tokens */
	bool is_told;           /* by the upstream; else estimated */
};

enum cv_infer_form { CV_INFER_WHOLE, CV_INFER_SSE, CV_INFER_EVENTS, CV_INFER_OPAQUE };

struct cv_infer_tap {
	enum cv_infer_protocol protocol;
	enum cv_infer_form form;
	bool has_input, has_output;
	uint64_t input, output;
	uint64_t bytes_asked, bytes_passed, events;
	struct cv_sse sse;
	struct cv_buf whole; /* WHOLE: the body; EVENTS: the message that is not complete yet */
	bool is_long;        /* ... and it is not kept any more */
	uint64_t skip;       /* EVENTS: bytes of a message that is too long */
};

/* content_type, and whether the body is coded (then it can't be read). */
void cv_infer_tap_init(struct cv_infer_tap *t, enum cv_infer_protocol p, struct cv_str content_type,
	bool is_coded, uint64_t bytes_asked);
void cv_infer_tap_fini(struct cv_infer_tap *t);

/* A field of the response's head: Bedrock tells there. */
void cv_infer_tap_field(struct cv_infer_tap *t, struct cv_str name, struct cv_str value);
void cv_infer_tap_feed(struct cv_infer_tap *t, struct cv_str bytes); /* of the body, as they pass */

/* The body has ended, wholly or not. */
struct cv_infer_usage cv_infer_tap_end(struct cv_infer_tap *t);
