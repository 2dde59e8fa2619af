/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill_reader.h - what the parts of fill.c read and report with; private to this folder
 *
 *     fill_reader.c  where we are, what is wrong, keys, the scratch stack
 *     fill_value.c   values: scalars, lists of them, matchers, whatever the author likes
 *     fill.c         what holds tables: mappings, lists of them
 *
 * Elements of a list are collected on one scratch stack and copied to the arena when the list
 * ends.  An inner list always ends before its owner is pushed, so one stack serves all of them,
 * whatever their types, and the arena holds each array once.
 */
#pragma once
#include "policy/fill_int.h"

#define CV_FILL_PLACE_DEPTH_MAX 12 /* a table's own depth, with its lists */
#define CV_FILL_PLACE_BYTES_MAX 512

struct cv_fill_place { /* a step of "github.endpoints[0].rules[1]" */
	struct cv_str name;
	size_t index; /* SIZE_MAX: none */
};

struct cv_fill {
	struct cv_yaml *y;
	struct cv_arena *arena;
	char *stack;
	size_t stack_used, stack_cap;
	struct cv_fill_place place[CV_FILL_PLACE_DEPTH_MAX];
	size_t place_depth;
	bool is_private;
};

typedef void cv_fill_fn(struct cv_fill *f, const struct cv_fill_key *k, void *obj);

extern cv_fill_fn *const cv_fill_value_fns[CV_FILL_KIND_COUNT]; /* NULL: it is no value */

/* ---- reporting ---- */

struct cv_str cv_fill_place_text(const struct cv_fill *f, char text[CV_FILL_PLACE_BYTES_MAX]);

/* An error at pos in the present place. */
#define CV_FILL_REPORT(f, pos, fix, ...)                                  \
	do {                                                              \
		char place_[CV_FILL_PLACE_BYTES_MAX];                     \
		cv_findings_add((f)->y->findings, CV_FINDING_ERROR, pos,  \
			cv_fill_place_text(f, place_), fix, __VA_ARGS__); \
	} while (0)

void cv_fill_place_push(struct cv_fill *f, struct cv_str name, size_t index);

/* key names the value within the present place; "" for the place itself.  Steps over it. */
void cv_fill_wrong_type(struct cv_fill *f, const char *key, const char *wanted, const char *fix);
void cv_fill_unknown_key(struct cv_fill *f, const struct cv_fill_table *s, struct cv_str name,
	struct cv_policy_pos pos);
void cv_fill_duplicate_key(
	struct cv_fill *f, struct cv_str name, struct cv_policy_pos pos, uint32_t first_line);

/* ---- keys and collections ---- */

const struct cv_fill_key *cv_fill_key_find(const struct cv_fill_table *s, struct cv_str name);

/* Stands on a key.  True: *ret_name is it (in the arena) and the reader stands on its value.
 * False: it was refused and its value stepped over, or the input ended. */
bool cv_fill_key_read(struct cv_fill *f, struct cv_str *ret_name, struct cv_policy_pos *ret_pos);

/* Names of a mapping are as many as the author likes; each of n elements has one at at_key. */
void cv_fill_duplicates_check(
	struct cv_fill *f, const char *v, size_t n, size_t size, size_t at_key);

/* True when the reader stands on a collection of the wanted type.  Nothing (an empty value) is
 * an empty collection: the key's elements are all commented out. */
bool cv_fill_opens(struct cv_fill *f, const char *key, enum cv_yaml_type wanted);

/* The next element's first event; false at the end of the collection (or of the input). */
bool cv_fill_next_in(struct cv_fill *f, yaml_event_type_t end);

/* ---- the scratch stack ---- */

bool cv_fill_stack_put(struct cv_fill *f, const void *elem, size_t bytes);

/* Moves what was pushed since mark to the arena, as an array. */
void *cv_fill_stack_take(struct cv_fill *f, size_t mark, size_t size, size_t *ret_count);

/* ---- fields ---- */

/* The tables name fields by offset; these are the only places that follow one. */
static inline void *cv_fill_field(void *obj, size_t at)
{
	return (char *)obj + at;
}

static inline void cv_fill_array_set(void *obj, const struct cv_fill_key *k, void *v, size_t n)
{
	memcpy(cv_fill_field(obj, k->at), &v, sizeof(v)); /* a pointer of some type */
	memcpy(cv_fill_field(obj, k->at_n), &n, sizeof(n));
}

/* At 0: nowhere. */
static inline void cv_fill_bool_set(void *obj, size_t at, bool value)
{
	if (at)
		memcpy(cv_fill_field(obj, at), &value, sizeof(value));
}
