/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_value.c - see json_value.h
 *
 * Reading: values that are complete wait on a stack until their container ends; then they are
 * copied to the arena side by side and the container waits in their place.  So there is no
 * recursion, and nothing but the stack is moved.  Writing recurses, as deep as what was read.
 */
#include "wire/json_value.h"

#include "base/assert.h"

#include <stdlib.h>

struct item {
	struct cv_value v;
	struct cv_str key; /* of an object's member */
};

struct reader {
	struct cv_json json;
	struct cv_arena *arena;
	struct item *items; /* owned: a stack */
	size_t count, cap;
	size_t opened[CV_JSON_DEPTH_MAX]; /* index of each open container; its members follow */
	struct cv_str key;                /* of the value that comes */
	size_t total;                     /* values so far */
};

/* ---- reading ---- */

static struct item *item_push(struct reader *r, enum cv_value_type type, size_t at)
{
	if (r->count == r->cap) {
		const size_t cap = r->cap ? r->cap * 2 : 64;
		struct item *items = realloc(r->items, cap * sizeof(*items));

		if (!items)
			return NULL;
		r->items = items;
		r->cap = cap;
	}
	if (r->total == CV_JSON_TREE_VALUES_MAX)
		return NULL;
	r->total++;
	struct item *item = &r->items[r->count++];
	*item = (struct item){ .v = { .type = type, .at = at }, .key = r->key };
	r->key = CV_STR_NONE;
	return item;
}

static bool text_take(struct reader *r, const struct cv_json_token *t, struct cv_str *ret)
{
	struct cv_buf said;
	bool is_good;

	*ret = t->raw;
	if (!t->has_escapes)
		return true;
	cv_buf_init(&said, t->raw.n); /* escapes are longer than what they say */
	is_good = cv_json_decode(t, &said);
	if (is_good) {
		*ret = cv_arena_str(r->arena, cv_buf_str(&said));
		is_good = ret->p != NULL;
	}
	cv_buf_fini(&said);
	return is_good;
}

/* The container's members leave the stack. */
static bool container_close(struct reader *r)
{
	const size_t from = r->opened[r->json.depth]; /* the reader has left it already */
	struct cv_value *v = &r->items[from].v;
	const size_t n = r->count - from - 1;
	const bool has_keys = v->type == CV_VALUE_OBJECT;

	r->count = from + 1;
	if (!n)
		return true;
	struct cv_value *values = cv_arena_array(r->arena, n, sizeof(*values));
	struct cv_str *keys = has_keys ? cv_arena_array(r->arena, n, sizeof(*keys)) : NULL;
	if (!values || (has_keys && !keys))
		return false;
	for (size_t i = 0; i < n; i++) {
		values[i] = r->items[from + 1 + i].v;
		if (keys)
			keys[i] = r->items[from + 1 + i].key;
	}
	v->n = (uint32_t)n;
	v->v = values;
	v->key = keys;
	return true;
}

/* False: too large. */
static bool token_take(struct reader *r, const struct cv_json_token *t)
{
	static const enum cv_value_type type_of[CV_JSON_TYPE_COUNT] = {
		[CV_JSON_NULL] = CV_VALUE_NULL,
		[CV_JSON_FALSE] = CV_VALUE_FALSE,
		[CV_JSON_TRUE] = CV_VALUE_TRUE,
		[CV_JSON_NUMBER] = CV_VALUE_NUMBER,
		[CV_JSON_STRING] = CV_VALUE_STRING,
		[CV_JSON_OBJECT] = CV_VALUE_OBJECT,
		[CV_JSON_ARRAY] = CV_VALUE_ARRAY,
	};

	if (t->type == CV_JSON_KEY)
		return text_take(r, t, &r->key);
	if (t->type == CV_JSON_OBJECT_END || t->type == CV_JSON_ARRAY_END)
		return container_close(r);
	struct item *item = item_push(r, type_of[t->type], t->at);
	if (!item)
		return false;
	if (t->type == CV_JSON_OBJECT || t->type == CV_JSON_ARRAY)
		r->opened[r->json.depth - 1] = r->count - 1;
	else if (t->type == CV_JSON_NUMBER)
		item->v.s = t->raw;
	else if (t->type == CV_JSON_STRING)
		return text_take(r, t, &item->v.s);
	return true;
}

static enum cv_json_problem tree_read(struct reader *r, const struct cv_value **ret, size_t *ret_at)
{
	struct cv_json_token t;

	while (cv_json_next(&r->json, &t) != CV_JSON_END) {
		if (t.type == CV_JSON_BAD) {
			*ret_at = r->json.at;
			return r->json.problem;
		}
		if (!token_take(r, &t)) {
			*ret_at = t.at;
			return CV_JSON_PROBLEM_LARGE;
		}
	}
	cv_assert(r->count == 1);
	struct cv_value *v = cv_arena_new(r->arena, struct cv_value);
	*ret_at = r->json.at;
	if (!v)
		return CV_JSON_PROBLEM_LARGE;
	*v = r->items[0].v;
	*ret = v;
	return CV_JSON_PROBLEM_NONE;
}

enum cv_json_problem cv_json_value_read(
	struct cv_str text, struct cv_arena *arena, const struct cv_value **ret, size_t *ret_at)
{
	struct reader r = { .arena = arena };
	size_t at;

	cv_json_init(&r.json, text);
	const enum cv_json_problem problem = tree_read(&r, ret, ret_at ? ret_at : &at);
	cv_json_fini(&r.json);
	free(r.items);
	return problem;
}

/* ---- writing ---- */

struct member {
	struct cv_str key;
	const struct cv_value *v;
};

static int member_cmp(const void *a, const void *b)
{
	return cv_str_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static bool value_write(struct cv_buf *b, const struct cv_value *v, uint32_t depth);

static bool object_write(struct cv_buf *b, const struct cv_value *v, uint32_t depth)
{
	struct member *m = v->n ? calloc(v->n, sizeof(*m)) : NULL;
	bool is_good = (m || !v->n) && cv_buf_put_byte(b, '{');

	for (uint32_t i = 0; i < v->n && is_good; i++)
		m[i] = (struct member){ v->key[i], &v->v[i] };
	if (m)
		qsort(m, v->n, sizeof(*m), member_cmp);
	for (uint32_t i = 0; i < v->n && is_good; i++)
		is_good = (!i || cv_buf_put_byte(b, ',')) && cv_buf_put_json_str(b, m[i].key) &&
			  cv_buf_put_byte(b, ':') && value_write(b, m[i].v, depth);
	free(m);
	return is_good && cv_buf_put_byte(b, '}');
}

static bool array_write(struct cv_buf *b, const struct cv_value *v, uint32_t depth)
{
	if (!cv_buf_put_byte(b, '['))
		return false;
	for (uint32_t i = 0; i < v->n; i++)
		if ((i && !cv_buf_put_byte(b, ',')) || !value_write(b, &v->v[i], depth))
			return false;
	return cv_buf_put_byte(b, ']');
}

static bool value_write(struct cv_buf *b, const struct cv_value *v, uint32_t depth)
{
	if (depth > CV_JSON_DEPTH_MAX)
		return false;
	switch (v->type) {
	case CV_VALUE_NULL: return cv_buf_put(b, CV_STR("null"));
	case CV_VALUE_FALSE: return cv_buf_put(b, CV_STR("false"));
	case CV_VALUE_TRUE: return cv_buf_put(b, CV_STR("true"));
	case CV_VALUE_NUMBER: return cv_buf_put(b, v->s);
	case CV_VALUE_STRING: return cv_buf_put_json_str(b, v->s);
	case CV_VALUE_ARRAY: return array_write(b, v, depth + 1);
	case CV_VALUE_OBJECT: return object_write(b, v, depth + 1);
	case CV_VALUE_TYPE_COUNT: break;
	}
	cv_assert(!"a type");
	return false;
}

bool cv_json_value_write(struct cv_buf *b, const struct cv_value *v)
{
	return value_write(b, v, 0);
}
