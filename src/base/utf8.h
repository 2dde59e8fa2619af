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
