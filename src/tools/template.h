/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.h - texts of a catalog with places in them, and what they become
 *
 *     {name}             the argument: a string, number or boolean
 *     {name...}          a list: several words of an argv, several pairs of a query; in a path the
 *                        segments of a string with slashes (or of a list)
 *     {json:name}        the argument, whatever it is, as JSON
 *     {?name:text}       text (with places, but no {?...}), if the argument is there and neither
 *                        false nor null
 *     {credential:NAME}  a secret; never in an argv, where every process can read it
 *     {{ and }}          braces
 *
 * What a value may do depends on where it goes, so each template has a kind:
 *
 *   word     of an argv.  No shell, and no value becomes an option: where the first byte of the word
 *            is a value's, it may not be '-', unless a word "--" stands before.  A word that is
 *            {?...} alone is not there when the condition is false; {list...} makes one for each
 *            member (of an object: KEY=VALUE), with what stands around it.
 *   env      of a variable's value
 *   header   one line without control bytes
 *   path     percent-encoded as (part of) one segment; empty, "." and ".." refused
 *   query    percent-encoded; "a={list...}" becomes a=1&a=2, or nothing when there is no member
 *   body     raw; JSON needs {json:name}
 *
 * A NUL is refused everywhere.  Templates are immutable and in the arena they were compiled into;
 * they borrow their text.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

enum cv_template_kind {
	CV_TEMPLATE_WORD,
	CV_TEMPLATE_ENV,
	CV_TEMPLATE_HEADER,
	CV_TEMPLATE_PATH,
	CV_TEMPLATE_QUERY,
	CV_TEMPLATE_BODY,
	CV_TEMPLATE_KIND_COUNT
};

enum cv_template_part_kind {
	CV_TEMPLATE_PART_TEXT,
	CV_TEMPLATE_PART_ARGUMENT,
	CV_TEMPLATE_PART_SPREAD,
	CV_TEMPLATE_PART_JSON,
	CV_TEMPLATE_PART_CREDENTIAL,
	CV_TEMPLATE_PART_WHEN, /* the next `covers` parts count only if it holds */
};

struct cv_template_part {
	enum cv_template_part_kind kind;
	struct cv_str s; /* the text; the argument's or credential's name */
	uint32_t covers;
	bool is_covered; /* by a WHEN */
};

struct cv_template {
	enum cv_template_kind kind;
	struct cv_str source;
	const struct cv_template_part *v;
	size_t n;
	bool is_literal; /* text alone */
};

/* clang-format off */
#define CV_TEMPLATE_RCS(X) /* name, what is said of the argument */                        \
	X(OK, "is fine")                                                                   \
	X(MISSING, "is not there")                                                         \
	X(TYPE, "is neither a string nor a number nor true or false")                      \
	X(LIST, "is no list of strings, numbers, true and false")                          \
	X(NUL, "has a NUL in it")                                                          \
	X(OPTION, "begins with '-' where it would be read as an option")                   \
	X(CONTROL, "has a control character, which a header can't have")                   \
	X(SEGMENT, "is no segment of a path: it is empty, or '.' or '..'")                 \
	X(VALUE, "has no value")                                                           \
	X(LARGE, "makes it too large")
/* clang-format on */

#define CV_TEMPLATE_RC_ENUM(name, text) CV_TEMPLATE_##name,
enum cv_template_rc { CV_TEMPLATE_RCS(CV_TEMPLATE_RC_ENUM) CV_TEMPLATE_RC_COUNT };
#undef CV_TEMPLATE_RC_ENUM

struct cv_template_failure {
	enum cv_template_rc rc;
	struct cv_str name; /* of the argument, or of the credential; borrowed from the template */
};

const char *cv_template_rc_text(enum cv_template_rc rc);

/* What goes into the places. */
struct cv_template_values {
	const struct cv_value *arguments; /* an object; NULL: none */
	/* The credential's value, good until the call returns; false: there is none.  NULL: no
	 * credential has one. */
	bool (*credential)(void *arg, struct cv_str name, struct cv_str *ret);
	void *arg;
};

/* CV_INVALID: what is wrong, in err, and where in text, in *ret_at (may be NULL).  CV_LIMIT: the
 * arena is full. */
CV_MUST cv_code cv_template_compile(struct cv_str text, enum cv_template_kind kind,
	struct cv_arena *arena, const struct cv_template **ret, size_t *ret_at, struct cv_err *err);

/* False when it is {?...} alone and the condition does not hold: then the variable, header or word
 * is not there at all. */
CV_MUST bool cv_template_is_there(
	const struct cv_template *t, const struct cv_template_values *values);

/* Appends what t becomes, which may hold secrets: wipe the buffer if t has a credential.  Not for
 * words.  ret_failure may be NULL. */
CV_MUST enum cv_template_rc cv_template_text(const struct cv_template *t,
	const struct cv_template_values *values, struct cv_buf *out,
	struct cv_template_failure *ret_failure);

/* The words of a command, each followed by a NUL, in arena. */
CV_MUST enum cv_template_rc cv_template_argv(const struct cv_template *const *v, size_t n,
	const struct cv_template_values *values, struct cv_arena *arena, struct cv_str **ret,
	size_t *ret_n, struct cv_template_failure *ret_failure);
