/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h - the one spelling of a request path, decided on and sent
 *
 * Steps: percent-decode everything once, cut `;parameters` from each segment, drop empty segments,
 * resolve `.` and `..`, keep a trailing slash, encode again with upper-case hex.  Letters, digits
 * and -._~!$&'()*+,=:@ stay as they are.  canonical(canonical(x)) == canonical(x).
 *
 * Refused rather than guessed: bytes outside printable ASCII, `#`, bad escapes, encoded control
 * bytes, anything that climbs above the root, and also
 *   - `\` and %5C: some servers take it for a slash, so it would hide a segment from the rules;
 *   - bytes that are not UTF-8 once decoded: overlong forms are how %C0%AF becomes a slash;
 *   - %2F unless the endpoint opted in; then it stays %2F inside its segment;
 *   - what further decoding turns into a slash, backslash, semicolon, control byte or dot segment
 *     (%252F, %252e%252e), and dot segments between slashes that stay encoded (a%2F..%2Fb).  Other
 *     twice-encoded text passes, unchanged in meaning.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "wire/limits.h"

/* clang-format off */
#define CV_PATH_RCS(X) /* name, sentence */                                        \
	X(OK, "ok")                                                                \
	X(FORM, "path does not start with /")                                      \
	X(LONG, "path is too long")                                                \
	X(BYTE, "path has a control, space, non-ASCII or # byte")                  \
	X(ESCAPE, "path has a percent sign that two hex digits do not follow")     \
	X(CONTROL, "path has an encoded control byte")                             \
	X(SLASH, "path has an encoded slash, which this endpoint does not allow")  \
	X(BACKSLASH, "path has a backslash")                                       \
	X(UTF8, "path is not UTF-8 when decoded")                                  \
	X(TWICE, "path is encoded twice in a way that can hide a segment")         \
	X(ROOT, "path climbs above the root")
/* clang-format on */

#define CV_PATH_RC_ENUM(name, text) CV_PATH_##name,
enum cv_path_rc { CV_PATH_RCS(CV_PATH_RC_ENUM) CV_PATH_RC_COUNT };
#undef CV_PATH_RC_ENUM

const char *cv_path_rc_text(enum cv_path_rc rc);

struct cv_path {
	char text[CV_PATH_BYTES_MAX];
	size_t n;
};

static inline struct cv_str cv_path_str(const struct cv_path *p)
{
	return (struct cv_str){ p->text, p->n };
}

/* raw is the path without query; an empty one means "/".  ret must not overlap raw; its contents
 * are undefined unless OK. */
CV_MUST enum cv_path_rc cv_path_canonical(
	struct cv_str raw, bool allow_encoded_slash, struct cv_path *ret);
