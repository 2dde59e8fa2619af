/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_rule.c - rules about tools, compiled, and the predicates that they are made of
 *
 * A rule is a list of globs, a list of binaries and a list of conditions, asked in this order; the
 * first "no" is how far a call came.  See tool_path.h for what a path leads to.
 */
#include "policy/tool_rule.h"

#include "policy/limits.h"

#include "base/assert.h"
#include "base/utf8.h"

/* ---- constants ---- */

bool cv_policy_is_json_number(struct cv_str s)
{
	size_t at = s.n && s.p[0] == '-', point = cv_str_find_byte(s, '.');

	if (at == s.n || s.p[0] == '+' || point == at || point + 1 == s.n)
		return false;
	if (s.p[at] == '0' && at + 1 < s.n && at + 1 != point)
		return false;
	return !cv_str_has_byte(cv_str_slice(s, point + 1, s.n), '.');
}

static bool members_of(
	const struct cv_policy_node *node, struct cv_arena *arena, struct cv_value *ret)
{
	struct cv_value *v = cv_arena_array(arena, node->n, sizeof(*v));
	struct cv_str *key = cv_arena_array(arena, node->n, sizeof(*key));

	if (!v || !key)
		return false;
	for (size_t i = 0; i < node->n; i++) { /* as deep as the reader went */
		key[i] = node->v[i].key.s;
		if (!cv_tool_value_of(&node->v[i], arena, &v[i]))
			return false;
	}
	ret->n = (uint32_t)node->n;
	ret->v = v;
	ret->key = ret->type == CV_VALUE_OBJECT ? key : NULL;
	return true;
}

bool cv_tool_value_of(
	const struct cv_policy_node *node, struct cv_arena *arena, struct cv_value *ret)
{
	*ret = (struct cv_value){ .type = CV_VALUE_NULL };
	switch (node->kind) {
	case CV_POLICY_NODE_NULL: return true;
	case CV_POLICY_NODE_BOOL:
		ret->type = node->s.n && cv_ascii_lower(node->s.p[0]) == 't' ? CV_VALUE_TRUE
									     : CV_VALUE_FALSE;
		return true;
	case CV_POLICY_NODE_NUMBER:
		ret->type = CV_VALUE_NUMBER;
		ret->s = node->s;
		return cv_policy_is_json_number(node->s);
	case CV_POLICY_NODE_STRING:
		ret->type = CV_VALUE_STRING;
		ret->s = node->s;
		return true;
	case CV_POLICY_NODE_LIST: ret->type = CV_VALUE_ARRAY; return members_of(node, arena, ret);
	case CV_POLICY_NODE_MAPPING:
		ret->type = CV_VALUE_OBJECT;
		return members_of(node, arena, ret);
	}
	cv_unreachable();
}

/* ---- compiling ---- */

static bool values_compile(const struct cv_policy_node *nodes, size_t n, struct cv_arena *arena,
	struct cv_tool_argument *a)
{
	a->values = cv_arena_array(arena, n, sizeof(*a->values));
	for (size_t i = 0; i < n && a->values; i++)
		if (!cv_tool_value_of(&nodes[i], arena, &a->values[a->value_count++]))
			return false;
	return a->values && n > 0;
}

/* NULL where the bound is absent; false where it is no number. */
static bool bound_compile(const struct cv_policy_node *node, bool is_there, struct cv_arena *arena,
	const struct cv_value **ret)
{
	struct cv_value *v = is_there ? cv_arena_new(arena, struct cv_value) : NULL;

	*ret = v;
	return !is_there ||
	       (v && node->kind == CV_POLICY_NODE_NUMBER && cv_tool_value_of(node, arena, v));
}

static bool test_compile(struct cv_arena *arena, struct cv_tool_argument *a)
{
	const struct cv_policy_argument *s = a->source;

	switch (a->test) {
	case CV_TOOL_TEST_NEVER: return false;
	case CV_TOOL_TEST_IN:
		if (s->has_equals)
			return values_compile(&s->equals, 1, arena, a);
		return s->in.kind == CV_POLICY_NODE_LIST &&
		       values_compile(s->in.v, s->in.n, arena, a);
	case CV_TOOL_TEST_GLOB:
		return s->glob.s.n <= CV_POLICY_PATTERN_BYTES_MAX &&
		       cv_glob_compile(s->glob.s, CV_GLOB_PATH, arena, &a->glob, NULL) == CV_OK;
	case CV_TOOL_TEST_RANGE:
		return (s->has_range_min || s->has_range_max) &&
		       bound_compile(&s->range_min, s->has_range_min, arena, &a->min) &&
		       bound_compile(&s->range_max, s->has_range_max, arena, &a->max);
	case CV_TOOL_TEST_LENGTH:
		a->length_min = s->has_length_min ? (uint64_t)s->length_min : 0;
		a->length_max = s->has_length_max ? (uint64_t)s->length_max : UINT64_MAX;
		return s->has_length_min || s->has_length_max;
	}
	cv_unreachable();
}

/* More than one of them is as malformed as none. */
static enum cv_tool_test test_of(const struct cv_policy_argument *s)
{
	if (s->has_equals + s->has_in + s->glob.is_present + s->has_range + s->has_length != 1)
		return CV_TOOL_TEST_NEVER;
	return s->has_equals || s->has_in ? CV_TOOL_TEST_IN
	       : s->glob.is_present       ? CV_TOOL_TEST_GLOB
	       : s->has_range             ? CV_TOOL_TEST_RANGE
					  : CV_TOOL_TEST_LENGTH;
}

bool cv_tool_argument_compile(const struct cv_policy_argument *source, struct cv_arena *arena,
	struct cv_tool_argument *ret)
{
	*ret = (struct cv_tool_argument){ .source = source, .test = test_of(source) };
	if (cv_tool_path_compile(source->path.s, arena, &ret->path, NULL) != CV_OK ||
		!test_compile(arena, ret))
		ret->test = CV_TOOL_TEST_NEVER;
	return !arena->is_overflown;
}

bool cv_tool_rule_compile(
	const struct cv_policy_tool_rule *source, struct cv_arena *arena, struct cv_tool_rule *ret)
{
	*ret = (struct cv_tool_rule){ .source = source };
	ret->is_malformed = (source->has_binaries && !source->binary_count) ||
			    (source->has_arguments && !source->argument_count);
	ret->globs = cv_arena_array(arena, source->tools.n, sizeof(struct cv_glob *));
	ret->arguments =
		cv_arena_array(arena, source->argument_count, sizeof(struct cv_tool_argument));
	if (!ret->globs || !ret->arguments)
		return false;
	for (size_t i = 0; i < source->tools.n; i++)
		if (cv_glob_compile(source->tools.v[i].s, CV_GLOB_TEXT, arena,
			    &ret->globs[ret->glob_count], NULL) == CV_OK)
			ret->glob_count++;
	for (size_t i = 0; i < source->argument_count; i++)
		if (!cv_tool_argument_compile(
			    &source->arguments[i], arena, &ret->arguments[ret->argument_count++]))
			return false;
	return !arena->is_overflown;
}

/* ---- conditions ---- */

static enum cv_tool_hold hold_of(bool is_good)
{
	return is_good ? CV_TOOL_HOLDS : CV_TOOL_OTHER;
}

/* OTHER even if no constant is of its type: the author listed values. */
static enum cv_tool_hold in_test(const struct cv_tool_argument *a, const struct cv_value *v)
{
	bool is_found = false;

	for (size_t i = 0; i < a->value_count && !is_found; i++)
		is_found = cv_value_eq(&a->values[i], v);
	return hold_of(is_found);
}

static enum cv_tool_hold range_test(const struct cv_tool_argument *a, const struct cv_value *v)
{
	if (v->type != CV_VALUE_NUMBER)
		return CV_TOOL_TYPE;
	return hold_of((!a->min || cv_value_number_cmp(v, a->min) >= 0) &&
		       (!a->max || cv_value_number_cmp(v, a->max) <= 0));
}

/* A byte that is not UTF-8 counts as a code point; values have none. */
static uint64_t code_points(struct cv_str s)
{
	uint64_t n = 0;

	for (size_t at = 0; at < s.n; n++)
		at += CV_MAX(cv_utf8_step(cv_str_slice(s, at, s.n)), (size_t)1);
	return n;
}

static enum cv_tool_hold length_test(const struct cv_tool_argument *a, const struct cv_value *v)
{
	uint64_t n;

	if (v->type == CV_VALUE_STRING)
		n = code_points(v->s);
	else if (v->type == CV_VALUE_ARRAY || v->type == CV_VALUE_OBJECT)
		n = v->n;
	else
		return CV_TOOL_TYPE;
	return hold_of(n >= a->length_min && n <= a->length_max);
}

enum cv_tool_hold cv_tool_argument_test(const struct cv_tool_argument *a, const struct cv_value *v)
{
	switch (a->test) {
	case CV_TOOL_TEST_NEVER: return CV_TOOL_OTHER;
	case CV_TOOL_TEST_IN: return in_test(a, v);
	case CV_TOOL_TEST_GLOB:
		return v->type == CV_VALUE_STRING ? hold_of(cv_glob_match(a->glob, v->s))
						  : CV_TOOL_TYPE;
	case CV_TOOL_TEST_RANGE: return range_test(a, v);
	case CV_TOOL_TEST_LENGTH: return length_test(a, v);
	}
	cv_unreachable();
}

static enum cv_tool_hold value_test(const struct cv_value *v, const void *arg)
{
	return cv_tool_argument_test(arg, v);
}

enum cv_tool_hold cv_tool_argument_hold(
	const struct cv_tool_argument *a, const struct cv_value *arguments)
{
	if (a->test == CV_TOOL_TEST_NEVER)
		return CV_TOOL_OTHER;
	if (arguments->type != CV_VALUE_OBJECT)
		return CV_TOOL_TYPE;
	return cv_tool_path_test(&a->path, arguments, a->source->is_optional, value_test, a);
}

/* ---- a call ---- */

bool cv_tool_rule_names(const struct cv_tool_rule *rule, struct cv_str tool)
{
	if (tool.n == 0 || tool.n > CV_POLICY_TOOL_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < rule->glob_count; i++)
		if (cv_glob_match(rule->globs[i], tool))
			return true;
	return false;
}

bool cv_tool_rule_has_who(const struct cv_tool_rule *rule, const struct cv_facts_who *who)
{
	return !rule->is_malformed &&
	       (!rule->source->has_binaries || cv_binaries_have_who(&rule->binaries, who));
}

enum cv_tool_miss cv_tool_rule_miss(
	const struct cv_tool_rule *rule, const struct cv_tool_facts *facts)
{
	if (!cv_tool_rule_names(rule, facts->tool))
		return CV_TOOL_MISS_TOOL;
	if (!cv_tool_rule_has_who(rule, &facts->who))
		return CV_TOOL_MISS_BINARY;
	if (facts->arguments && facts->arguments->type != CV_VALUE_OBJECT)
		return CV_TOOL_MISS_ARGUMENTS;
	for (size_t i = 0; i < rule->argument_count && facts->arguments; i++)
		if (cv_tool_argument_hold(&rule->arguments[i], facts->arguments) != CV_TOOL_HOLDS)
			return CV_TOOL_MISS_ARGUMENTS;
	return CV_TOOL_MISS_NONE;
}
