/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_path.c - see tool_path.h
 *
 * Compiled into steps; walked by recursion, one level for each step, so its depth is bounded by
 * CV_POLICY_TOOL_PATH_STEPS_MAX.  No value is visited twice: the ways that [*] opens lead to
 * different ones.
 */
#include "policy/tool_path.h"

#include "policy/limits.h"

#include "base/assert.h"

/* An index of more digits is of no array that fits into a body. */
#define INDEX_MAX 9999999u

struct reader {
	struct cv_str text;
	size_t at;
	struct cv_arena *arena;
	struct cv_tool_step step[CV_POLICY_TOOL_PATH_STEPS_MAX];
	uint32_t n;
	const char *fault;
};

static bool has(const struct reader *r, char c)
{
	return r->at < r->text.n && r->text.p[r->at] == c;
}

static bool wrong(struct reader *r, const char *fault)
{
	r->fault = fault;
	return false;
}

static bool is_name_byte(char c, bool is_first)
{
	const unsigned char b = (unsigned char)c;

	return b >= 0x80 || b == '_' || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
	       (!is_first && b >= '0' && b <= '9');
}

/* Stands behind the dot. */
static bool name_read(struct reader *r, struct cv_tool_step *step)
{
	const size_t from = r->at;

	if (has(r, '.'))
		return wrong(r, "'..' is not supported; name the members on the way");
	if (has(r, '*'))
		return wrong(r, "'.*' is not supported; write [*]");
	while (r->at < r->text.n && is_name_byte(r->text.p[r->at], r->at == from))
		r->at++;
	if (r->at == from)
		return wrong(r, "a member's name should follow; write others as ['name']");
	*step = (struct cv_tool_step){ .kind = CV_TOOL_STEP_NAME,
		.name = cv_arena_str(r->arena, cv_str_slice(r->text, from, r->at)) };
	return true;
}

/* Stands behind the opening quote. */
static bool quoted_read(struct reader *r, struct cv_tool_step *step)
{
	char *name = cv_arena_alloc(r->arena, r->text.n + 1);
	size_t n = 0;

	if (!name)
		return wrong(r, "no memory");
	while (r->at < r->text.n && r->text.p[r->at] != '\'') {
		if (r->text.p[r->at] == '\\' &&
			(++r->at == r->text.n ||
				(r->text.p[r->at] != '\'' && r->text.p[r->at] != '\\')))
			return wrong(r, "only \\' and \\\\ can be escaped");
		name[n++] = r->text.p[r->at++];
	}
	if (!has(r, '\''))
		return wrong(r, "the quote is not closed");
	r->at++;
	*step = (struct cv_tool_step){ .kind = CV_TOOL_STEP_NAME, .name = { name, n } };
	return true;
}

static bool index_read(struct reader *r, struct cv_tool_step *step)
{
	const size_t from = r->at;
	uint64_t v = 0;

	while (r->at < r->text.n && r->text.p[r->at] >= '0' && r->text.p[r->at] <= '9')
		r->at++;
	if (r->at - from > 1 && r->text.p[from] == '0')
		return wrong(r, "an index has no zero in front");
	if (!cv_str_to_u64(cv_str_slice(r->text, from, r->at), INDEX_MAX, &v))
		return wrong(r, "the index is too large");
	*step = (struct cv_tool_step){ .kind = CV_TOOL_STEP_INDEX, .index = (uint32_t)v };
	return true;
}

/* Stands behind the bracket. */
static bool bracket_read(struct reader *r, struct cv_tool_step *step)
{
	const char c = r->at < r->text.n ? r->text.p[r->at] : '\0';
	bool is_good;

	if (c == '*') {
		r->at++;
		*step = (struct cv_tool_step){ .kind = CV_TOOL_STEP_ALL };
		is_good = true;
	} else if (c == '\'') {
		r->at++;
		is_good = quoted_read(r, step);
	} else if (c >= '0' && c <= '9') {
		is_good = index_read(r, step);
	} else if (c == '-') {
		return wrong(r, "negative indices are not supported");
	} else if (c == '"') {
		return wrong(r, "names in brackets have single quotes: ['name']");
	} else {
		return wrong(r, "['name'], [0] or [*] should follow");
	}
	if (is_good && !has(r, ']'))
		return wrong(r, "']' should follow");
	r->at += is_good;
	return is_good;
}

static bool steps_read(struct reader *r)
{
	struct cv_tool_step step;

	if (r->text.n > CV_POLICY_TOOL_PATH_BYTES_MAX)
		return wrong(r, "the path is too long");
	if (!has(r, '$'))
		return wrong(r, "a path starts with $");
	r->at++;
	while (r->at < r->text.n) {
		const char c = r->text.p[r->at++];

		if (c != '.' && c != '[') {
			r->at--;
			return wrong(r, ".name, ['name'], [0] or [*] should follow");
		}
		if (!(c == '.' ? name_read(r, &step) : bracket_read(r, &step)))
			return false;
		if (r->n == CV_POLICY_TOOL_PATH_STEPS_MAX)
			return wrong(r, "the path has too many steps");
		r->step[r->n++] = step;
	}
	return true;
}

cv_code cv_tool_path_compile(
	struct cv_str text, struct cv_arena *arena, struct cv_tool_path *ret, struct cv_err *err)
{
	struct reader r = { .text = text, .arena = arena };

	if (!steps_read(&r))
		return cv_fail(err, arena->is_overflown ? CV_LIMIT : CV_INVALID,
			"%s, at character %zu", r.fault, r.at + 1);
	struct cv_tool_step *steps = cv_arena_array(arena, r.n, sizeof(*steps));
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory for the path");
	if (r.n)
		memcpy(steps, r.step, r.n * sizeof(*steps));
	*ret = (struct cv_tool_path){ steps, r.n };
	return CV_OK;
}

bool cv_tool_path_eq(const struct cv_tool_path *a, const struct cv_tool_path *b)
{
	bool is_same = a->n == b->n;

	for (uint32_t i = 0; i < a->n && is_same; i++)
		is_same = a->steps[i].kind == b->steps[i].kind &&
			  a->steps[i].index == b->steps[i].index &&
			  cv_str_eq(a->steps[i].name, b->steps[i].name);
	return is_same;
}

/* ---- walking ---- */

struct walk {
	const struct cv_tool_path *path;
	bool is_optional;
	cv_tool_test_fn *test;
	const void *arg;
};

static enum cv_tool_hold absent(const struct walk *w)
{
	return w->is_optional ? CV_TOOL_HOLDS : CV_TOOL_ABSENT;
}

static bool is_container(const struct cv_value *v)
{
	return v->type == CV_VALUE_ARRAY || v->type == CV_VALUE_OBJECT;
}

static enum cv_tool_hold walk(const struct walk *w, const struct cv_value *v, uint32_t at)
{
	enum cv_tool_hold hold = CV_TOOL_HOLDS;

	if (at == w->path->n)
		return w->test(v, w->arg);
	const struct cv_tool_step *step = &w->path->steps[at];
	switch (step->kind) {
	case CV_TOOL_STEP_NAME: {
		const struct cv_value *member = cv_value_get(v, step->name);

		if (v->type != CV_VALUE_OBJECT)
			return CV_TOOL_TYPE;
		return member ? walk(w, member, at + 1) : absent(w);
	}
	case CV_TOOL_STEP_INDEX:
		if (v->type != CV_VALUE_ARRAY)
			return CV_TOOL_TYPE;
		return step->index < v->n ? walk(w, &v->v[step->index], at + 1) : absent(w);
	case CV_TOOL_STEP_ALL:
		if (!is_container(v))
			return CV_TOOL_TYPE;
		if (!v->n)
			return absent(w);
		for (uint32_t i = 0; i < v->n && hold == CV_TOOL_HOLDS; i++)
			hold = walk(w, &v->v[i], at + 1);
		return hold;
	}
	cv_unreachable();
}

enum cv_tool_hold cv_tool_path_test(const struct cv_tool_path *path, const struct cv_value *root,
	bool is_optional, cv_tool_test_fn *test, const void *arg)
{
	const struct walk w = { path, is_optional, test, arg };

	return walk(&w, root, 0);
}
