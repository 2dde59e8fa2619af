/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.h - credentials in place of placeholders, in the head of a request
 *
 * Two phases, between which the keeper is asked:
 *
 *     collect   which credentials stand where; refuses a placeholder where none may stand
 *     apply     the released values in those places, each in the place's own encoding
 *
 * Places: a header's whole value; <scheme> P; user or password of Basic, inside its base64; a
 * cookie's value (also percent-encoded, also in quotes); within a path segment; a query value
 * (also percent-encoded).  Everywhere else a placeholder refuses the request: in a field's name,
 * the method, the host, a query's or cookie's name, within a longer header value, spread over two
 * fields or segments, encoded once more than its place is, Basic in Basic, in a field that ends at
 * this hop.  So it never goes on as it is, and no value ends where it was not meant to be.
 *
 * After apply nothing of any placeholder is left, or it fails.
 *
 * Ownership: plans and results live in the caller's arena and borrow from the request.  Values are
 * copied into the arena: cv_rewrite_wipe() before it goes.  Limits: CV_REWRITE_* in limits.h.
 */
#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "cred/placeholder.h"
#include "wire/h1.h"

/* clang-format off */
/* status is what OpenShell answers; a refusal of ours is never retried as it is. */
#define CV_REWRITE_RCS(X) /* name, status, slug, sentence */                                                \
	X(OK, 200, "ok", "ok")                                                                              \
	X(UNKNOWN, 500, "credential_unknown", "placeholder names no credential of this run")                \
	X(METHOD, 403, "placeholder_in_method", "placeholder in the method")                                \
	X(AUTHORITY, 403, "placeholder_in_host", "placeholder in the host")                                 \
	X(NAME, 403, "placeholder_in_name", "placeholder in a field's name")                                \
	X(HOP, 403, "placeholder_in_hop_field", "placeholder in a field that is not passed on")             \
	X(EMBEDDED, 403, "placeholder_embedded", "placeholder within a longer value")                       \
	X(ENCODED, 403, "placeholder_encoded", "placeholder in an encoding that this place does not have")  \
	X(SPLIT, 403, "placeholder_split", "placeholder is spread over several fields or segments")         \
	X(BASIC, 403, "placeholder_in_basic", "placeholder in Basic credentials that are malformed")        \
	X(NESTED, 403, "placeholder_nested", "placeholder in Basic credentials within others")              \
	X(COOKIE_NAME, 403, "placeholder_in_cookie_name", "placeholder in a cookie's name")                 \
	X(QUERY_NAME, 403, "placeholder_in_query_name", "placeholder in the name of a query parameter")     \
	X(TRAILER, 403, "placeholder_in_trailer", "placeholder in a trailer")                               \
	X(MANY, 403, "too_many_placeholders", "too many placeholders in one request")                       \
	X(BODY_NAME, 403, "placeholder_in_body_name", "placeholder in a name within the body")              \
	X(BODY_MALFORMED, 403, "body_malformed", "body with a placeholder is not what its type says")       \
	X(BODY_LONG, 413, "body_too_large", "body is too large for replacing placeholders")                 \
	X(BODY_UTF8, 403, "body_not_utf8", "body with a placeholder is not UTF-8")                          \
	X(PART_HEADER, 403, "placeholder_in_part_header", "placeholder outside the parts of a form")        \
	X(VALUE_MISSING, 500, "credential_missing", "credential has no value")                              \
	X(VALUE, 500, "credential_bytes", "credential has a control byte or is too long")                   \
	X(VALUE_PLACE, 500, "credential_place", "credential has a byte that may not stand in this place")   \
	X(TARGET_LONG, 500, "credential_target_long", "target is too long with the credential in it")       \
	X(LEFT, 500, "placeholder_left", "a placeholder would have been left")                              \
	X(MEMORY, 500, "credential_memory", "no memory for the request's credentials")
/* clang-format on */

#define CV_REWRITE_RC_ENUM(name, status, slug, text) CV_REWRITE_##name,
enum cv_rewrite_rc { CV_REWRITE_RCS(CV_REWRITE_RC_ENUM) CV_REWRITE_RC_COUNT };
#undef CV_REWRITE_RC_ENUM

struct cv_rewrite_rc_row {
	int status;
	const char *slug, *text;
};

const struct cv_rewrite_rc_row *cv_rewrite_rc_row(enum cv_rewrite_rc rc); /* static storage */

/* What collect and apply may need together: decoded copies of a head, and all its values. */
#define CV_REWRITE_ARENA_BYTES (2u << 20)

#define CV_REWRITE_PLACES(X)   /* name, slug */ \
	X(HEADER, "header")                     \
	X(SCHEME, "scheme")                     \
	X(BASIC_USER, "basic_user")             \
	X(BASIC_PASSWORD, "basic_password")     \
	X(COOKIE, "cookie")                     \
	X(PATH, "path")                         \
	X(QUERY, "query")                       \
	X(BODY_JSON, "body_json")               \
	X(BODY_FORM, "body_form")               \
	X(BODY_TEXT, "body_text")

#define CV_REWRITE_PLACE_ENUM(name, slug) CV_REWRITE_IN_##name,
enum cv_rewrite_place { CV_REWRITE_PLACES(CV_REWRITE_PLACE_ENUM) CV_REWRITE_PLACE_COUNT };
#undef CV_REWRITE_PLACE_ENUM

const char *cv_rewrite_place_slug(enum cv_rewrite_place place);

/* One placeholder: whose, how it was written (the keeper judges that), and where. */
struct cv_rewrite_use {
	uint32_t entry; /* index in the set; never CV_PH_UNKNOWN */
	enum cv_ph_form form;
	enum cv_rewrite_place place;
	struct cv_str tag; /* of a revision or handle; lives as the request and the arena do */
	uint32_t at, n;    /* in header value, path, query or body; of Basic: when decoded */
	uint16_t header;   /* index, of header places */
	bool is_encoded;   /* of a cookie: stood there percent-encoded, and so will the value */
};

struct cv_rewrite_plan {
	size_t count;
	struct cv_rewrite_use use[CV_REWRITE_USES_MAX]; /* in the order of the text */
};

/* A request as it is about to be written. */
struct cv_rewrite_head {
	const struct cv_h1_request *request; /* method, authority, headers */
	struct cv_str path;                  /* canonical (wire/path.h), or "*" */
	struct cv_str query;                 /* raw; CV_STR_NONE: none */
	const struct cv_str *drop;           /* names that the writer leaves out: not looked at */
	size_t drop_count;
};

/* OK with count 0 is a request without placeholders.  *ret is meaningful only after OK. */
CV_MUST enum cv_rewrite_rc cv_rewrite_collect(const struct cv_ph_set *set,
	const struct cv_rewrite_head *head, struct cv_arena *arena, struct cv_rewrite_plan *ret);

/* Trailers are never rewritten: TRAILER if one has a placeholder in it, else OK. */
CV_MUST enum cv_rewrite_rc cv_rewrite_check_trailers(
	const struct cv_ph_set *set, const struct cv_h1_header *headers, size_t count);

struct cv_rewrite_header {
	uint16_t index; /* in the request's headers */
	struct cv_str value;
};

struct cv_rewrite {
	size_t count;
	struct cv_rewrite_header header[CV_REWRITE_USES_MAX]; /* by index, each once */
	struct cv_str path, query; /* new, or those of the head when nothing stood there */
	bool is_path_new, is_query_new;
};

/* values: one for each entry of the set; those without a use are not looked at.  *ret is
 * meaningful only after OK. */
CV_MUST enum cv_rewrite_rc cv_rewrite_apply(const struct cv_ph_set *set,
	const struct cv_rewrite_head *head, const struct cv_rewrite_plan *plan,
	const struct cv_str *values, struct cv_arena *arena, struct cv_rewrite *ret);

/* Puts the new header values into the request, for cv_h1_write_request(); path and query go into
 * its edit.  The request borrows from the rewrite then. */
void cv_rewrite_put(const struct cv_rewrite *w, struct cv_h1_request *request);

/* Overwrites every copy of a value that apply made. */
void cv_rewrite_wipe(struct cv_rewrite *w);
