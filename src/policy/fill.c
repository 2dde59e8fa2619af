/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill.c - the reader that follows the tables; see fill_int.h
 *
 * A wrong value is reported and stepped over, and reading goes on: the author sees all that is
 * wrong at once.  The value's field then stays at its default, which is why a document with any
 * finding is thrown away by the caller.
 */
#include "policy/fill_reader.h"

#include "base/assert.h"

#include <stddef.h>
#include <stdlib.h>

static void fill_mapping(struct cv_fill *f, const struct cv_fill_table *s, void *obj);

/* One element of a list or of a mapping of names, built beside the stack and then pushed. */
union element {
	max_align_t aligned;
	char bytes[CV_FILL_ELEMENT_BYTES_MAX];
};

static void element_begin(union element *e, const struct cv_fill_table *s, struct cv_policy_pos pos)
{
	cv_assert(s->size <= sizeof(*e));
	memset(e, 0, s->size);
	if (s->has_pos)
		memcpy(e, &pos, sizeof(pos));
	if (s->init)
		s->init(e);
}

static void fill_list(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	union element e;
	size_t index = 0, n;

	cv_fill_bool_set(obj, k->at_has, true);
	if (k->at_pos)
		memcpy(cv_fill_field(obj, k->at_pos),
			&(struct cv_policy_pos){ cv_yaml_pos(f->y).line, cv_yaml_pos(f->y).column },
			sizeof(struct cv_policy_pos));
	if (!cv_fill_opens(f, k->name, CV_YAML_LIST))
		return;
	while (cv_fill_next_in(f, YAML_SEQUENCE_END_EVENT)) {
		cv_fill_place_push(f, cv_str_of(k->name), index++);
		element_begin(&e, k->sub, cv_yaml_pos(f->y));
		if (k->sub->scalar && cv_yaml_type(f->y) == CV_YAML_STRING)
			cv_fill_value_fns[k->sub->scalar->kind](f, k->sub->scalar, &e);
		else
			fill_mapping(f, k->sub, &e);
		f->place_depth--;
		if (!cv_fill_stack_put(f, &e, k->sub->size))
			break;
	}
	void *v = cv_fill_stack_take(f, mark, k->sub->size, &n);
	cv_fill_array_set(obj, k, v, n);
}

static void fill_named(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	const size_t mark = f->stack_used;
	struct cv_policy_text key = { .is_present = true };
	union element e;
	size_t n;

	cv_fill_bool_set(obj, k->at_has, true);
	if (!cv_fill_opens(f, k->name, CV_YAML_MAPPING))
		return;
	while (cv_fill_next_in(f, YAML_MAPPING_END_EVENT)) {
		if (!cv_fill_key_read(f, &key.s, &key.pos))
			continue;
		cv_fill_place_push(f, key.s, SIZE_MAX);
		element_begin(&e, k->sub, key.pos);
		memcpy((char *)&e + k->sub->at_key, &key, sizeof(key));
		fill_mapping(f, k->sub, &e);
		f->place_depth--;
		if (!cv_fill_stack_put(f, &e, k->sub->size))
			break;
	}
	void *v = cv_fill_stack_take(f, mark, k->sub->size, &n);
	cv_fill_array_set(obj, k, v, n);
	cv_fill_duplicates_check(f, v, n, k->sub->size, k->sub->at_key);
}

/* ---- mappings ---- */

/* An empty value leaves a section absent, as an optional one of upstream's reader. */
static void fill_inside(struct cv_fill *f, const struct cv_fill_key *k, void *obj)
{
	if (cv_yaml_type(f->y) == CV_YAML_NULL && !k->is_required)
		return;
	cv_fill_bool_set(obj, k->at_has, true);
	cv_fill_place_push(f, cv_str_of(k->name), SIZE_MAX);
	fill_mapping(f, k->sub, obj);
	f->place_depth--;
}

static cv_fill_fn *const table_fns[CV_FILL_KIND_COUNT] = {
	[CV_FILL_INSIDE] = fill_inside,
	[CV_FILL_LIST] = fill_list,
	[CV_FILL_NAMED] = fill_named,
};

/* The reader stands on a mapping. */
static void keys_fill(struct cv_fill *f, const struct cv_fill_table *s, void *obj)
{
	const struct cv_policy_pos start = cv_yaml_pos(f->y);
	uint32_t line[CV_FILL_KEYS_MAX] = { 0 }; /* where each key was; 0 not yet */
	struct cv_policy_pos pos;
	struct cv_str name;

	while (cv_fill_next_in(f, YAML_MAPPING_END_EVENT)) {
		if (!cv_fill_key_read(f, &name, &pos))
			continue;
		const struct cv_fill_key *k = cv_fill_key_find(s, name);
		if (!k) {
			if (!s->is_open)
				cv_fill_unknown_key(f, s, name, pos);
			cv_yaml_skip(f->y);
		} else if (line[k - s->keys]) {
			cv_fill_duplicate_key(f, name, pos, line[k - s->keys]);
			cv_yaml_skip(f->y);
		} else {
			line[k - s->keys] = pos.line;
			if (s->at_key_pos)
				memcpy((char *)obj + s->at_key_pos +
						(size_t)(k - s->keys) * sizeof(pos),
					&pos, sizeof(pos));
			(cv_fill_value_fns[k->kind] ? cv_fill_value_fns : table_fns)[k->kind](
				f, k, obj);
		}
	}
	for (size_t i = 0; i < s->key_count && !f->y->has_failed; i++)
		if (s->keys[i].is_required && !line[i])
			CV_FILL_REPORT(f, start, "add it", "%s needs the key '%s'", s->noun,
				s->keys[i].name);
}

static void fill_mapping(struct cv_fill *f, const struct cv_fill_table *s, void *obj)
{
	const bool was_private = f->is_private;

	cv_assert(s->key_count <= CV_FILL_KEYS_MAX);
	f->is_private |= s->is_private;
	if (cv_yaml_type(f->y) != CV_YAML_MAPPING)
		cv_fill_wrong_type(f, "", "a mapping", s->is_private ? s->hint : NULL);
	else
		keys_fill(f, s, obj);
	f->is_private = was_private;
}

void cv_fill(
	struct cv_yaml *y, const struct cv_fill_table *table, void *obj, struct cv_arena *arena)
{
	struct cv_fill f = { .y = y, .arena = arena };

	fill_mapping(&f, table, obj);
	free(f.stack);
}
