/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h - strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF
 */
#pragma once
#include "base/str.h"

/* Bytes of the code point that s starts with, or 0 if s starts with no valid one. */
size_t cv_utf8_step(struct cv_str s);

/* The same, and the code point. */
size_t cv_utf8_decode(struct cv_str s, uint32_t *ret_cp);

/* Code points that end a line, steer a terminal, or hide or reorder the text around them: shown to
 * a person, or searched line by line, they say something else than they are (C11, P9). */
bool cv_utf8_is_hidden(uint32_t cp);

bool cv_utf8_is_valid(struct cv_str s);

/* A text that comes in pieces, which may cut characters.  Zero at its start. */
struct cv_utf8_stream {
	char held[4]; /* what may begin a character */
	uint8_t n;
	bool is_bad;
};

/* False when the text, with s behind what came before, can't become valid any more. */
bool cv_utf8_stream_put(struct cv_utf8_stream *u, struct cv_str s);

static inline bool cv_utf8_stream_is_whole(const struct cv_utf8_stream *u) /* at the end */
{
	return !u->is_bad && u->n == 0;
}
