/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer_filter.h - an OpenAI stream without the usage that only we asked for
 *
 * Streams tell their usage in a last event with empty choices, if they are asked to.  A client that
 * did not ask may index choices[0]; so that event is taken out again.  Events pass as soon as they
 * are whole, byte for byte.  One that is longer than CV_INFER_EVENT_BYTES_MAX passes in pieces.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"

struct cv_infer_filter {
	struct cv_buf event; /* what came of the present one */
	bool is_line_empty;  /* nothing of the present line came */
	bool has_cr;         /* it ended with CR: LF may follow */
	bool is_passing;     /* the present event is too long to be kept */
};

void cv_infer_filter_init(struct cv_infer_filter *f);
void cv_infer_filter_fini(struct cv_infer_filter *f);

/* Appends to out what passes of bytes.  False when out is full. */
CV_MUST bool cv_infer_filter_feed(
	struct cv_infer_filter *f, struct cv_str bytes, struct cv_buf *out);

/* The stream has ended: what is left of it passes. */
CV_MUST bool cv_infer_filter_end(struct cv_infer_filter *f, struct cv_buf *out);
