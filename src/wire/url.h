/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - absolute http and https URLs, cut into parts
 *
 * Used for absolute-form request targets and for URLs in configuration.  Authority is canonical;
 * path and query are raw slices of the input for path.h and query.h.  Pure.
 */
#pragma once
#include "wire/host.h"

/* clang-format off */
#define CV_URL_RCS(X) /* name, sentence */                                \
	X(OK, "ok")                                                       \
	X(BYTE, "URL has a space, control, non-ASCII or fragment byte")   \
	X(SCHEME, "URL does not start with http:// or https://")          \
	X(AUTHORITY, "URL has a bad host or port")
/* clang-format on */

#define CV_URL_RC_ENUM(name, text) CV_URL_##name,
enum cv_url_rc { CV_URL_RCS(CV_URL_RC_ENUM) CV_URL_RC_COUNT };
#undef CV_URL_RC_ENUM

const char *cv_url_rc_text(enum cv_url_rc rc);

struct cv_url {
	bool is_https;
	struct cv_authority authority; /* port filled in from the scheme when absent */
	struct cv_str path;            /* raw, from the first /; empty when absent */
	struct cv_str query;           /* raw, without ?; CV_STR_NONE when there is no ? */
};

/* *ret borrows from s; untouched unless OK.  ret_host_rc (or NULL) says why AUTHORITY. */
CV_MUST enum cv_url_rc cv_url_parse(
	struct cv_str s, struct cv_url *ret, enum cv_host_rc *ret_host_rc);

/* Cuts path?query at the first ?.  Both borrow from s. */
void cv_url_split_query(struct cv_str s, struct cv_str *ret_path, struct cv_str *ret_query);
