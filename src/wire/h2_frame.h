/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_frame.h - where frames begin in a stream of bytes
 *
 * For counting only: what each frame means is somebody else's to say.  Pure; every byte sequence is
 * some sequence of frames, so there is nothing to refuse.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"

#define CV_H2_PREFACE_BYTES 24 /* of a client, before its first frame */

struct cv_h2_scan {
	uint8_t head[9], have;
	uint32_t left; /* bytes to pass over: a payload's, or the preface's */
};

struct cv_h2_frame {
	uint32_t length;
	uint8_t type, flags;
	uint32_t stream;
};

/* The next frame whose header ends in *in, from whose front it is taken; false when *in is used up. */
bool cv_h2_scan_next(struct cv_h2_scan *s, struct cv_str *in, struct cv_h2_frame *ret);
