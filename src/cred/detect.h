/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.h - the detectors of cove/dlp and openshell/regex over a text that is there whole
 *
 * A detector is a row of a table: a name, and a function that says how long the match at a place
 * is.  Each works in linear time; a policy's own expressions have a budget (policy/regex.h).
 * Matches of all detectors are found in one pass, in the order of the text; where two overlap the
 * one that begins first (then the first of the table) is taken.
 *
 * Texts are looked at as they are: what is percent-encoded, base64 or escaped is not decoded.
 *
 * Ownership: a set is malloc'ed, counted, and belongs to one thread; it borrows nothing.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "policy/middleware.h"

struct cv_detect;

/* What one middleware looks for.  CV_LIMIT: no memory; CV_INVALID: an expression of the policy, which
 * validation would have found. */
CV_MUST cv_code cv_detect_new(
	const struct cv_middleware *m, struct cv_detect **ret, struct cv_err *err);
void cv_detect_free(struct cv_detect *d); /* NULL is fine */

struct cv_detect_hit {
	const char *name; /* lives as long as the set */
	size_t start, end;
};

enum cv_detect_rc {
	CV_DETECT_HIT,
	CV_DETECT_NONE,
	CV_DETECT_COSTLY, /* an expression took too long: nothing is known of the text */
};

/* The first match in text. */
CV_MUST enum cv_detect_rc cv_detect_first(
	const struct cv_detect *d, struct cv_str text, struct cv_detect_hit *ret);

struct cv_detect_result {
	size_t count;      /* of what was replaced */
	const char *first; /* name of the first; NULL: none */
};

/* Appends text to out with each match written as [REDACTED:name].  HIT: something was replaced.
 * NONE: out was not touched.  COSTLY, also when out overflows: out is good for nothing. */
CV_MUST enum cv_detect_rc cv_detect_redact(const struct cv_detect *d, struct cv_str text,
	struct cv_buf *out, struct cv_detect_result *ret);
