/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.h - patterns with a delimiter, compiled once, matched in linear time without allocation
 *
 *     *        any run of characters without the delimiter, also none
 *     ?        one character, not the delimiter
 *     [a-z]    one of a set, [!a] and [^a] one outside it; never the delimiter
 *     {a,b}    alternatives, which may nest and be empty
 *     \x       x itself
 *     **       only as a whole component (between delimiters, or the pattern's ends):
 *              alone: anything.  First, "**" "/x": "x", "/x" or anything that ends in "/x".
 *              Middle, "a/" "**" "/b": "a/b" or "a/", anything, "/b".  Last, "a/" "**": "a/" and
 *              anything after it, not "a".  Elsewhere, and three or more: the same as one *.
 *
 * A character is a code point of UTF-8; a byte that is not UTF-8 is a character of its own, equal
 * to no other.  Letter case counts.  A malformed pattern is refused when compiled: unclosed or
 * empty [, unclosed {, stray }, a range backwards, \ at the end.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Between the literal beginning and end, which cost nothing: states, one for a character or an
 * operator, two for an alternative.  Time to match is at most this for each character of the
 * text. */
#define CV_GLOB_STATES_MAX 1024

/* Braces in braces; compilation recurses this deep. */
#define CV_GLOB_DEPTH_MAX 8

enum cv_glob_kind {
	CV_GLOB_PATH, /* delimiter / */
	CV_GLOB_HOST, /* delimiter .; "**" first is one or more labels, never none */
	CV_GLOB_TEXT, /* delimiter . */
	CV_GLOB_FLAT, /* no delimiter: *, ** and ? match everything */
	CV_GLOB_KIND_COUNT
};

struct cv_glob; /* immutable, in the arena it was compiled into */

/* The compiled form of text.  CV_INVALID: malformed.  CV_LIMIT: too long, or arena full. */
CV_MUST cv_code cv_glob_compile(struct cv_str text, enum cv_glob_kind kind, struct cv_arena *arena,
	const struct cv_glob **ret, struct cv_err *err);

/* All of s?  NULL (a pattern that did not compile) matches nothing. */
CV_MUST bool cv_glob_match(const struct cv_glob *g, struct cv_str s);

/* What every match starts with, as long as it is plain ASCII; lives as long as g. */
struct cv_str cv_glob_prefix(const struct cv_glob *g);
