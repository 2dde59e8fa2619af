/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traceparent.h - which trace a request belongs to (W3C Trace Context, level 1)
 *
 *     00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *     version, trace, the caller's span, flags
 *
 * Hex digits are lower case.  A version that we don't know may have more behind the flags; of "ff"
 * there is none, and ids of zeros are none.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"

#define CV_TRACE_ID_BYTES        16
#define CV_SPAN_ID_BYTES         8
#define CV_TRACEPARENT_BYTES     55  /* of version 00 */
#define CV_TRACEPARENT_BYTES_MAX 512 /* of any: what is longer is nobody's */

struct cv_traceparent {
	uint8_t trace[CV_TRACE_ID_BYTES], span[CV_SPAN_ID_BYTES];
	bool is_sampled; /* the caller keeps this trace */
};

/* Pure.  False: it says nothing that may be continued. */
CV_MUST bool cv_traceparent_parse(struct cv_str s, struct cv_traceparent *ret);
/* With a NUL. */
void cv_traceparent_write(
	const struct cv_traceparent *t, char ret[static CV_TRACEPARENT_BYTES + 1]);
