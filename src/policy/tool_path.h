/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_path.h - where in a tool's arguments a condition looks
 *
 * A small part of JSONPath (RFC 9535), in its canonical spelling and with its meaning:
 *
 *     $            the arguments themselves
 *     .name        a member; letters, digits and _ (no digit first), and everything beyond ASCII
 *     ['name']     a member of any name; \' and \\ are the only escapes
 *     [n]          an element, from 0
 *     [*]          every element of an array, every member of an object
 *
 * Not in it: .. and .*, negative indices, slices, lists of selectors, filters, blanks.  At most
 * CV_POLICY_TOOL_PATH_STEPS_MAX steps.
 *
 * Two things are stricter than a query's answer would be, because here a path guards something.
 * Each way that [*] opens has to lead somewhere: {a: [{b: 1}, {}]} does not satisfy a condition on
 * $.a[*].b.  And what is of another type than the path needs is not the same as what is absent:
 * `optional` excuses only a member that an object has not, an element behind an array's end, and
 * [*] of something empty; never null or a string where an object should be.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/value.h"

enum cv_tool_step_kind { CV_TOOL_STEP_NAME, CV_TOOL_STEP_INDEX, CV_TOOL_STEP_ALL };

struct cv_tool_step {
	enum cv_tool_step_kind kind;
	struct cv_str name;
	uint32_t index;
};

struct cv_tool_path {
	const struct cv_tool_step *steps;
	uint32_t n;
};

/* How a condition fared. */
enum cv_tool_hold {
	CV_TOOL_HOLDS,
	CV_TOOL_OTHER,  /* the value is another than what is asked for */
	CV_TOOL_TYPE,   /* it, or what leads there, is of another type */
	CV_TOOL_ABSENT, /* there is nothing */
};

/* The compiled form of text, in arena.  CV_INVALID with what is wrong and where ("at character 5"),
 * CV_LIMIT when the arena is full. */
CV_MUST cv_code cv_tool_path_compile(
	struct cv_str text, struct cv_arena *arena, struct cv_tool_path *ret, struct cv_err *err);

CV_MUST bool cv_tool_path_eq(const struct cv_tool_path *a, const struct cv_tool_path *b);

typedef enum cv_tool_hold cv_tool_test_fn(const struct cv_value *v, const void *arg);

/* Asks test about each value that path leads to from root, until one does not hold. */
enum cv_tool_hold cv_tool_path_test(const struct cv_tool_path *path, const struct cv_value *root,
	bool is_optional, cv_tool_test_fn *test, const void *arg);
