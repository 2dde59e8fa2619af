/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - JSON read so that it can mean one thing only
 *
 * A pull reader over a whole text (RFC 8259): each call gives one token with its place in the text,
 * so that a caller can look at what it knows, pass over what it does not, and replace one value
 * where it stands without writing the rest anew.  Nothing is converted: numbers stay text (1e400
 * is fine), strings are decoded only when asked for.
 *
 * Whatever two readers could take differently is refused (T15): a byte order mark, bytes that are
 * not UTF-8, lone surrogates, a key that is there twice (compared decoded), anything behind the
 * value, nesting without end.  A repeated key is seen when its object ends, so nothing may be
 * acted on before CV_JSON_END came; the functions that find values keep to that by themselves.
 *
 * Ownership: tokens borrow from the text; the reader owns the list of keys of the objects that are
 * open, CV_JSON_KEYS_MAX at most.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"
#include "wire/limits.h"

#include <stdint.h>

enum cv_json_type {
	CV_JSON_END, /* of the text: all of it was good */
	CV_JSON_BAD, /* problem and at say what and where */
	CV_JSON_NULL,
	CV_JSON_FALSE,
	CV_JSON_TRUE,
	CV_JSON_NUMBER,
	CV_JSON_STRING,
	CV_JSON_KEY, /* of an object's member; its value follows */
	CV_JSON_OBJECT,
	CV_JSON_OBJECT_END,
	CV_JSON_ARRAY,
	CV_JSON_ARRAY_END,
	CV_JSON_TYPE_COUNT
};

#define CV_JSON_PROBLEMS(X) /* name, sentence */          \
	X(NONE, "ok")                                     \
	X(EMPTY, "there is no value")                     \
	X(BOM, "starts with a byte order mark")           \
	X(CUT, "ends in the middle")                      \
	X(TOKEN, "has a byte that does not belong there") \
	X(NUMBER, "has a malformed number")               \
	X(CONTROL, "has a control byte in a string")      \
	X(ESCAPE, "has a malformed escape")               \
	X(SURROGATE, "has half of a surrogate pair")      \
	X(UTF8, "is not UTF-8")                           \
	X(TRAILING, "has more behind its value")          \
	X(DEPTH, "is nested too deep")                    \
	X(DUPLICATE, "has a key twice in one object")     \
	X(KEYS, "has too many keys")                      \
	X(LARGE, "has too many values")

#define CV_JSON_PROBLEM_ENUM(name, text) CV_JSON_PROBLEM_##name,
enum cv_json_problem { CV_JSON_PROBLEMS(CV_JSON_PROBLEM_ENUM) CV_JSON_PROBLEM_COUNT };
#undef CV_JSON_PROBLEM_ENUM

const char *cv_json_problem_text(enum cv_json_problem p); /* static storage */

struct cv_json_token {
	enum cv_json_type type;
	struct cv_str raw; /* as it stands; strings and keys without their quotes */
	size_t at;         /* where it begins, a quote included; of a container its bracket */
	size_t end;        /* behind it, a closing quote included */
	bool has_escapes;  /* of strings and keys: raw is not what they say */
};

enum cv_json_want { /* what may come next */
	CV_JSON_WANT_VALUE,
	CV_JSON_WANT_FIRST, /* of an array, or its end */
	CV_JSON_WANT_KEY,
	CV_JSON_WANT_FIRST_KEY, /* or the object's end */
	CV_JSON_WANT_COMMA,     /* or the container's end */
	CV_JSON_WANT_NOTHING,
};

struct cv_json_key { /* of an open object */
	struct cv_str raw;
	bool has_escapes;
};

struct cv_json {
	struct cv_str text;
	size_t at; /* of the next byte; of the problem after BAD */
	enum cv_json_want want;
	enum cv_json_problem problem;
	uint32_t depth;                             /* open containers */
	uint32_t is_object[CV_JSON_DEPTH_MAX / 32]; /* a bit for each of them */
	uint32_t keys_from[CV_JSON_DEPTH_MAX];      /* where the keys of each begin */
	struct cv_json_key *keys;                   /* owned */
	uint32_t key_count, key_cap;
};

void cv_json_init(struct cv_json *j, struct cv_str text);
void cv_json_fini(struct cv_json *j);

/* The next token.  END and BAD are for ever. */
enum cv_json_type cv_json_next(struct cv_json *j, struct cv_json_token *ret);

/* The whole text is one good value.  ret_at may be NULL. */
CV_MUST enum cv_json_problem cv_json_check(struct cv_str text, size_t *ret_at);

/* What a string or key says, appended to b.  False when it did not fit. */
CV_MUST bool cv_json_decode(const struct cv_json_token *t, struct cv_buf *b);
/* The same, in the arena (and wiped with it: no copy is elsewhere); CV_STR_NONE when that is full. */
CV_MUST struct cv_str cv_json_text(const struct cv_json_token *t, struct cv_arena *arena);
bool cv_json_says(const struct cv_json_token *t, struct cv_str s); /* exactly this */

/* What a backslash and c stand for (RFC 8259 section 7); 0: that is no escape of two bytes. */
char cv_json_escape_short(char c);

/* A number as a whole one: fractions are cut off, what is larger than UINT64_MAX becomes that.
 * False for negative ones and what is no number. */
CV_MUST bool cv_json_to_u64(const struct cv_json_token *t, uint64_t *ret);

/* A value at a path of keys and indices, "usage.total_tokens" or "choices.0.index" (a key with a
 * dot in it can't be named).  Not there: type is CV_JSON_END.  A container's token reaches from
 * its bracket to its last. */
struct cv_json_value {
	const char *path;
	struct cv_json_token token;
};

/* Finds them all in one pass, which also checks the whole text: on a problem none is found. */
CV_MUST enum cv_json_problem cv_json_find(
	struct cv_str text, struct cv_json_value *values, size_t count);
