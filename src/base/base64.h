/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.h - RFC 4648, one text per value
 *
 * Decoding is strict: no white space, no letters of the other alphabet, unused bits zero; padding
 * is required in the standard alphabet and forbidden in the URL one.  So two different texts never
 * stand for the same bytes, which comparisons of signed or logged values rely on.
 */
#pragma once
#include "base/buf.h"

enum cv_base64 {
	CV_BASE64_STD, /* + / and padding */
	CV_BASE64_URL, /* - _ without padding, as JOSE has it (RFC 7515) */
};

bool cv_buf_put_base64(struct cv_buf *b, struct cv_str bytes, enum cv_base64 alphabet);

/* Appends the bytes of text to out.  False, and out unchanged, if text is not strict or out is
 * full. */
CV_MUST bool cv_base64_decode(struct cv_str text, enum cv_base64 alphabet, struct cv_buf *out);
