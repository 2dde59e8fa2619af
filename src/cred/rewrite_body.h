/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_body.h - credentials in place of placeholders, in a textual body
 *
 * Only where the endpoint opted in; other bodies go through the scanner (placeholder.h) and end the
 * request if it sees one.  The same two phases as for heads, over a body that is there whole.
 *
 *     application/json, +json   within string values, \u escapes understood; not in names
 *     x-www-form-urlencoded     within values, percent-encoded in part or whole; not in names
 *     text/...                  anywhere, plain
 *     multipart/form-data       anywhere in a part's body, plain; not in part headers
 *
 * A value is written in the place's own encoding.  Bodies with a charset other than UTF-8, or with
 * a content coding, are of no kind.
 *
 * The caller writes the new length: a body is framed anew (h1_write.h).  Limits:
 * CV_REWRITE_BODY_BYTES_MAX.  Values are copied into the arena, as rewrite.h says.
 */
#pragma once
#include "cred/rewrite.h"

/* What collect and apply may need together: a copy with its map, and the body with 32 values. */
#define CV_REWRITE_BODY_ARENA_BYTES (3u << 20)

enum cv_rewrite_body_kind {
	CV_REWRITE_BODY_NONE, /* not to be rewritten */
	CV_REWRITE_BODY_JSON,
	CV_REWRITE_BODY_FORM,
	CV_REWRITE_BODY_TEXT,
	CV_REWRITE_BODY_MULTIPART,
	CV_REWRITE_BODY_KIND_COUNT
};

struct cv_rewrite_body {
	enum cv_rewrite_body_kind kind;
	struct cv_str boundary; /* of multipart; borrowed from the content type */
};

/* Empty values for fields that are not there. */
struct cv_rewrite_body cv_rewrite_body_of(
	struct cv_str content_type, struct cv_str content_encoding);

/* Kind NONE gives BODY_MALFORMED if a placeholder is in there.  OK with count 0: pass it on. */
CV_MUST enum cv_rewrite_rc cv_rewrite_body_collect(const struct cv_ph_set *set,
	const struct cv_rewrite_body *body, struct cv_str bytes, struct cv_arena *arena,
	struct cv_rewrite_plan *ret);

/* *ret is in the arena, to be wiped with cv_rewrite_body_wipe(); when the plan is empty it is bytes
 * itself, and nothing is to be wiped. */
CV_MUST enum cv_rewrite_rc cv_rewrite_body_apply(const struct cv_ph_set *set, struct cv_str bytes,
	const struct cv_rewrite_plan *plan, const struct cv_str *values, struct cv_arena *arena,
	struct cv_str *ret);

void cv_rewrite_body_wipe(struct cv_str made);
