/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_oracle.c - written from policy/tools.h and policy/tool_path.h alone; shares nothing with
 * src/policy but the model and the verdict
 *
 * A path is read anew at each step, as text; numbers are doubles (tests write none that need more).
 * Documents are valid ones.
 */
#include "unit/policy/tool_oracle.h"

#include "base/assert.h"
#include "unit/base/naive_glob.h"

#include <stdlib.h>

static double number(struct cv_str s)
{
	char text[64];

	cv_assert(cv_str_to_cstr(s, text, sizeof(text)));
	return strtod(text, NULL);
}

static bool same(const struct cv_policy_node *node, const struct cv_value *v)
{
	switch (node->kind) {
	case CV_POLICY_NODE_NULL: return v->type == CV_VALUE_NULL;
	case CV_POLICY_NODE_BOOL:
		return v->type == (strchr("tT", node->s.p[0]) ? CV_VALUE_TRUE : CV_VALUE_FALSE);
	case CV_POLICY_NODE_NUMBER:
		return v->type == CV_VALUE_NUMBER && number(node->s) == number(v->s);
	case CV_POLICY_NODE_STRING: return v->type == CV_VALUE_STRING && cv_str_eq(node->s, v->s);
	case CV_POLICY_NODE_LIST:
		if (v->type != CV_VALUE_ARRAY || v->n != node->n)
			return false;
		for (size_t i = 0; i < node->n; i++)
			if (!same(&node->v[i], &v->v[i]))
				return false;
		return true;
	case CV_POLICY_NODE_MAPPING: break;
	}
	if (v->type != CV_VALUE_OBJECT || v->n != node->n)
		return false;
	for (size_t i = 0; i < node->n; i++) {
		size_t k = 0;

		while (k < v->n && !cv_str_eq(v->key[k], node->v[i].key.s))
			k++;
		if (k == v->n || !same(&node->v[i], &v->v[k]))
			return false;
	}
	return true;
}

static size_t letters(struct cv_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static bool satisfied(const struct cv_policy_argument *a, const struct cv_value *v)
{
	bool is_good = true;

	if (a->has_equals)
		is_good = same(&a->equals, v);
	if (a->has_in) {
		is_good = false;
		for (size_t i = 0; i < a->in.n; i++)
			is_good |= same(&a->in.v[i], v);
	}
	if (a->glob.is_present)
		is_good = v->type == CV_VALUE_STRING &&
			  naive_glob(a->glob.s, CV_GLOB_PATH, v->s) == 1;
	if (a->has_range)
		is_good = v->type == CV_VALUE_NUMBER &&
			  (!a->has_range_min || number(v->s) >= number(a->range_min.s)) &&
			  (!a->has_range_max || number(v->s) <= number(a->range_max.s));
	if (a->has_length) {
		const size_t n = v->type == CV_VALUE_STRING ? letters(v->s) : v->n;

		is_good = v->type >= CV_VALUE_STRING &&
			  (!a->has_length_min || n >= (size_t)a->length_min) &&
			  (!a->has_length_max || n <= (size_t)a->length_max);
	}
	return is_good;
}

/* path: what follows of it from v on. */
static bool holds(const struct cv_policy_argument *a, struct cv_str path, const struct cv_value *v)
{
	size_t end = 1;

	if (path.n == 0)
		return satisfied(a, v);
	if (cv_str_has_prefix(path, CV_STR("[*]"))) {
		if (v->type != CV_VALUE_ARRAY && v->type != CV_VALUE_OBJECT)
			return false;
		for (size_t i = 0; i < v->n; i++)
			if (!holds(a, cv_str_slice(path, 3, path.n), &v->v[i]))
				return false;
		return v->n || a->is_optional;
	}
	if (path.p[0] == '[' && path.p[1] != '\'') {
		const size_t index = strtoul(path.p + 1, NULL, 10);

		end = cv_str_find_byte(path, ']') + 1;
		if (v->type != CV_VALUE_ARRAY)
			return false;
		return index < v->n ? holds(a, cv_str_slice(path, end, path.n), &v->v[index])
				    : a->is_optional;
	}
	struct cv_str name;
	if (path.p[0] == '[') { /* no escapes in the tests' names */
		end = cv_str_find_byte(path, ']') + 1;
		name = cv_str_slice(path, 2, end - 2);
	} else {
		while (end < path.n && path.p[end] != '.' && path.p[end] != '[')
			end++;
		name = cv_str_slice(path, 1, end);
	}
	if (v->type != CV_VALUE_OBJECT)
		return false;
	for (size_t i = 0; i < v->n; i++)
		if (cv_str_eq(v->key[i], name))
			return holds(a, cv_str_slice(path, end, path.n), &v->v[i]);
	return a->is_optional;
}

static bool is_listed(const struct cv_policy_tool_rule *r, struct cv_str path)
{
	for (size_t i = 0; i < r->binary_count; i++) {
		const struct cv_str p = r->binaries[i].path.s;

		if (cv_str_has_byte(p, '*') ? naive_glob(p, CV_GLOB_PATH, path) == 1
					    : cv_str_eq(p, path))
			return true;
	}
	return false;
}

static bool who_is_listed(const struct cv_policy_tool_rule *r, const struct cv_facts_who *who)
{
	bool is_good = is_listed(r, who->exe);

	for (size_t i = 0; i < who->ancestor_count; i++)
		is_good |= is_listed(r, who->ancestors[i]);
	return !r->has_binaries || (who->is_known && is_good);
}

static bool is_named(const struct cv_policy_tool_rule *r, struct cv_str tool)
{
	for (size_t i = 0; i < r->tools.n && tool.n; i++)
		if (naive_glob(r->tools.v[i].s, CV_GLOB_TEXT, tool) == 1)
			return true;
	return false;
}

static bool all_hold(const struct cv_policy_tool_rule *r, const struct cv_value *arguments)
{
	for (size_t i = 0; i < r->argument_count && arguments; i++)
		if (!holds(&r->arguments[i], cv_str_slice(r->arguments[i].path.s, 1, SIZE_MAX),
			    arguments))
			return false;
	return true;
}

static struct cv_tool_verdict say(enum cv_reason reason, const struct cv_policy_doc *doc, size_t i)
{
	return (struct cv_tool_verdict){ .action = reason ? CV_ACTION_DENY : CV_ACTION_ALLOW,
		.reason = reason,
		.rule = (uint32_t)i,
		.line = doc->tool_rules[i].pos.line };
}

struct cv_tool_verdict tool_oracle_decide(
	const struct cv_policy_doc *doc, const struct cv_tool_facts *f)
{
	const struct cv_policy_tool_rule *r = doc->tool_rules;
	const size_t n = doc->tool_rule_count;

	for (size_t i = 0; i < n; i++)
		if (is_named(&r[i], f->tool) && who_is_listed(&r[i], &f->who) &&
			all_hold(&r[i], f->arguments)) {
			struct cv_tool_verdict v = say(CV_REASON_NONE, doc, i);

			v.approval = r[i].approval;
			v.limits = (struct cv_tool_limits){ r[i].calls, (uint32_t)r[i].concurrency,
				(uint32_t)r[i].seconds, r[i].bytes };
			return v;
		}
	for (size_t i = 0; i < n; i++)
		if (is_named(&r[i], f->tool) && who_is_listed(&r[i], &f->who))
			return say(CV_REASON_TOOL_ARGUMENTS, doc, i);
	for (size_t i = 0; i < n; i++)
		if (is_named(&r[i], f->tool))
			return say(f->who.is_known ? CV_REASON_BINARY : CV_REASON_IDENTITY_UNKNOWN,
				doc, i);
	return (struct cv_tool_verdict){ .reason = CV_REASON_NO_TOOL, .rule = CV_POLICY_NONE };
}
