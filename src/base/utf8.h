/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h - strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF
 */
#pragma once
#include "base/str.h"

/* Bytes of the code point that s starts with, or 0 if s starts with no valid one. */
size_t cv_utf8_step(struct cv_str s);

bool cv_utf8_is_valid(struct cv_str s);
