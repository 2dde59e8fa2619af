/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hex.h - bytes as pairs of hexadecimal digits
 */
#pragma once
#include "base/buf.h"

bool cv_buf_put_hex(struct cv_buf *b, struct cv_str bytes); /* lower case */

/* The same with a NUL behind it; ret has room for 2n + 1. */
void cv_hex_text(const void *bytes, size_t n, char *ret);

/* Value of a digit of either case, or -1. */
int cv_hex_digit(char c);

/* text is exactly 2n digits of either case; false otherwise, and ret_bytes is untouched. */
CV_MUST bool cv_hex_decode(struct cv_str text, void *ret_bytes, size_t n);
