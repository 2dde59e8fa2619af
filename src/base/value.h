/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h - a JSON value as plain data
 *
 * The tree that a reader fills (wire/json_value.h) and that rules are applied to: policy looks at a
 * tool's arguments, a schema judges them, a template takes words from them.  It means one thing
 * only: strings are decoded UTF-8, no object has a key twice, numbers are kept as they were written
 * (1e400 is fine) and compared by what they mean.
 *
 * Ownership: everything is in the arena of whoever read it; a value borrows, and is never changed.
 * Pure.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum cv_value_type {
	CV_VALUE_NULL,
	CV_VALUE_FALSE,
	CV_VALUE_TRUE,
	CV_VALUE_NUMBER,
	CV_VALUE_STRING,
	CV_VALUE_ARRAY,
	CV_VALUE_OBJECT,
	CV_VALUE_TYPE_COUNT
};

struct cv_value {
	enum cv_value_type type;
	uint32_t n;               /* of an array or object: members */
	struct cv_str s;          /* of a string: decoded; of a number: as written */
	const struct cv_value *v; /* of an array or object, in the order written */
	const struct cv_str *key; /* of an object: decoded, beside v */
	size_t at;                /* where it begins in the text */
};

/* JSON Schema's word for it: "null", "boolean", "number", "string", "array", "object". */
const char *cv_value_type_name(enum cv_value_type type);

/* The member, or NULL; also NULL when o is NULL or no object. */
const struct cv_value *cv_value_get(const struct cv_value *o, struct cv_str key);
/* The same, if it is a string; CV_STR_NONE otherwise. */
struct cv_str cv_value_get_str(const struct cv_value *o, struct cv_str key);

/* Follows a JSON pointer (RFC 6901), "" being v itself.  NULL: not there, or no pointer. */
const struct cv_value *cv_value_at(const struct cv_value *v, struct cv_str pointer);

/* Numbers by value (1, 1.0 and 10e-1 are one), objects without regard to order. */
CV_MUST bool cv_value_eq(const struct cv_value *a, const struct cv_value *b);
/* Some order of all values in which only those that are eq are 0: to sort by.  Two objects of n
 * members cost n log n. */
int cv_value_cmp(const struct cv_value *a, const struct cv_value *b);

/* Numbers of any length, exactly: <0, 0, >0.  Both must be numbers. */
int cv_value_number_cmp(const struct cv_value *a, const struct cv_value *b);
CV_MUST bool cv_value_is_integer(const struct cv_value *v); /* 1.0 and 1e3 are */
/* An integer that fits; false otherwise. */
CV_MUST bool cv_value_to_i64(const struct cv_value *v, int64_t *ret);

/* In plain digits: no exponent, no zeroes that say nothing, no -0; so numbers that are equal are the
 * same text.  False when that is more than out takes; what is in out then is not to be used. */
CV_MUST bool cv_value_number_write(const struct cv_value *v, struct cv_buf *out);

/* A number above 0 of few enough digits (zeroes at both ends don't count) to divide by. */
#define CV_VALUE_DIVISOR_DIGITS_MAX 19 /* below 2^64 */
CV_MUST bool cv_value_is_divisor(const struct cv_value *v);
/* Whether a whole number times divisor is v, exactly (0.3 is of 0.1).  Both must be numbers, and
 * the second a divisor. */
CV_MUST bool cv_value_is_multiple(const struct cv_value *v, const struct cv_value *divisor);
