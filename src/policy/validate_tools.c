/* SPDX-License-Identifier: Apache-2.0 */
/*
 * validate_tools.c - the rules of the language about the tools section
 *
 * Rules are compiled into scratch memory first, so that what is judged here is what will decide:
 * whether two conditions can hold together is asked of the conditions themselves.
 *
 * An empty list is an error where an absent one allows more: somebody commented its elements out.
 */
#include "policy/check_int.h"
#include "policy/limits.h"
#include "policy/tool_rule.h"

#include "base/glob.h"

#include <stdarg.h>
#include <stdio.h>

#define WHERE_BYTES_MAX   256
#define TEXT_BYTES_MAX    512
#define SCRATCH_BYTES_MAX CV_POLICY_SNAPSHOT_BYTES_MAX

struct tool_check {
	struct cv_findings *findings;
	struct cv_arena arena;
	const struct cv_policy_tool_rule *rule;
	const struct cv_policy_argument *argument; /* NULL: of the rule itself */
	struct cv_tool_rule *compiled;             /* all rules */
	uint32_t comparisons;                      /* so far; what they find harms nobody unfound */
};

CV_PRINTF(5, 6)
static void report(struct tool_check *c, enum cv_finding_level level, struct cv_policy_pos pos,
	const char *fix, const char *fmt, ...)
{
	char where[WHERE_BYTES_MAX], text[TEXT_BYTES_MAX];
	const struct cv_str key = c->rule->key.s;
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->argument)
		n = snprintf(where, sizeof(where), "%.*s.arguments[%zu]", CV_POLICY_QUOTE(key),
			(size_t)(c->argument - c->rule->arguments));
	else
		n = snprintf(where, sizeof(where), "%.*s", CV_POLICY_QUOTE(key));
	if (!pos.line)
		pos = c->argument ? c->argument->pos : c->rule->pos;
	cv_findings_add(c->findings, level, pos, (struct cv_str){ where, (size_t)CV_MAX(n, 0) },
		fix, "%s", text);
}

#define ERROR(c, pos, ...)   report(c, CV_FINDING_ERROR, pos, __VA_ARGS__)
#define WARNING(c, pos, ...) report(c, CV_FINDING_WARNING, pos, __VA_ARGS__)
#define HERE                 ((struct cv_policy_pos){ 0 })

static bool is_good_glob(struct cv_str text, enum cv_glob_kind kind, struct cv_arena *arena)
{
	const struct cv_glob *glob;

	return cv_glob_compile(text, kind, arena, &glob, NULL) == CV_OK;
}

/* ---- a rule ---- */

static void check_tools(struct tool_check *c)
{
	const struct cv_policy_texts *tools = &c->rule->tools;

	if (!tools->n)
		ERROR(c, tools->pos, "list names, or remove the rule", "tools is empty");
	if (tools->n > CV_POLICY_TOOL_NAMES_MAX)
		ERROR(c, tools->pos, "use globs, or a second rule",
			"tools has %zu names; at most %d", tools->n, CV_POLICY_TOOL_NAMES_MAX);
	for (size_t i = 0; i < tools->n; i++) {
		const struct cv_policy_text *t = &tools->v[i];

		if (!t->s.n)
			ERROR(c, t->pos, "remove it", "tools[%zu] is empty", i);
		else if (t->s.n > CV_POLICY_TOOL_NAME_BYTES_MAX)
			ERROR(c, t->pos, NULL, "tools[%zu] is longer than %d bytes", i,
				CV_POLICY_TOOL_NAME_BYTES_MAX);
		else if (!is_good_glob(t->s, CV_GLOB_TEXT, &c->arena))
			ERROR(c, t->pos, NULL, "tools[%zu]: '%.*s' is a malformed glob", i,
				CV_POLICY_QUOTE(t->s));
		else if (cv_policy_is_word(*t, "*"))
			WARNING(c, t->pos, "write ** if every tool is meant",
				"tools[%zu]: '*' is only names without a dot", i);
	}
}

static void check_binaries(struct tool_check *c)
{
	if (c->rule->has_binaries && !c->rule->binary_count)
		ERROR(c, HERE, "list programs, or remove it to allow every program",
			"binaries is empty");
	for (size_t i = 0; i < c->rule->binary_count; i++) {
		const struct cv_policy_text *t = &c->rule->binaries[i].path;

		if (!t->s.n)
			ERROR(c, t->pos, "write the program's absolute path",
				"binaries[%zu]: the path is empty", i);
		else if (t->s.p[0] != '/' && t->s.p[0] != '*')
			WARNING(c, t->pos, "write the program's absolute path",
				"binaries[%zu]: '%.*s' is not absolute and matches no program", i,
				CV_POLICY_QUOTE(t->s));
		else if (cv_str_has_byte(t->s, '*') && !is_good_glob(t->s, CV_GLOB_PATH, &c->arena))
			ERROR(c, t->pos, NULL, "binaries[%zu]: '%.*s' is a malformed glob", i,
				CV_POLICY_QUOTE(t->s));
	}
}

static void check_limits(struct tool_check *c)
{
	const struct cv_policy_tool_rule *r = c->rule;

	if (r->has_limits && !r->calls && !r->concurrency && !r->seconds && !r->bytes)
		WARNING(c, HERE, "add calls, concurrency, seconds or bytes, or remove it",
			"limits is empty");
}

/* ---- a condition ---- */

static void check_path(struct tool_check *c)
{
	const struct cv_policy_text *t = &c->argument->path;
	struct cv_tool_path path;
	struct cv_err err = { 0 };

	if (cv_tool_path_compile(t->s, &c->arena, &path, &err) == CV_INVALID)
		ERROR(c, t->pos, NULL, "path '%.*s': %s", CV_POLICY_QUOTE(t->s), err.msg);
}

static void check_one_test(struct tool_check *c)
{
	const struct cv_policy_argument *a = c->argument;
	const struct {
		bool is_there;
		const char *name;
	} tests[] = {
		{ a->has_equals, "equals" },
		{ a->has_in, "in" },
		{ a->glob.is_present, "glob" },
		{ a->has_range, "range" },
		{ a->has_length, "length" },
	};
	const char *first = NULL;

	for (size_t i = 0; i < CV_ARRAY_LEN(tests); i++) {
		if (tests[i].is_there && first)
			ERROR(c, HERE, "make two conditions on the same path of it",
				"both %s and %s are given", first, tests[i].name);
		if (tests[i].is_there && !first)
			first = tests[i].name;
	}
	if (!first)
		ERROR(c, HERE, "add one of equals, in, glob, range, length",
			"nothing is asked of the value");
}

/* Numbers are compared as JSON's, so they have to be some. */
static void check_constant(struct tool_check *c, const struct cv_policy_node *node)
{
	if (node->kind == CV_POLICY_NODE_NUMBER && !cv_policy_is_json_number(node->s))
		ERROR(c, node->pos, "write it as in JSON, or in quotes if it is a string",
			"'%.*s' is no number in JSON", CV_POLICY_QUOTE(node->s));
	for (size_t i = 0; i < node->n; i++) /* as deep as the reader went */
		check_constant(c, &node->v[i]);
}

static void check_in(struct tool_check *c)
{
	const struct cv_policy_node *in = &c->argument->in;

	if (!c->argument->has_in)
		return;
	if (in->kind != CV_POLICY_NODE_LIST)
		ERROR(c, in->pos, "write in: [a, b]", "in: expected a list");
	else if (!in->n)
		ERROR(c, in->pos, "list values, or remove the condition", "in is empty");
	else if (in->n > CV_POLICY_TOOL_VALUES_MAX)
		ERROR(c, in->pos, "use a glob or a range", "in has %zu values; at most %d", in->n,
			CV_POLICY_TOOL_VALUES_MAX);
	check_constant(c, in);
}

static void check_glob(struct tool_check *c)
{
	const struct cv_policy_text *t = &c->argument->glob;

	if (!t->is_present)
		return;
	if (!t->s.n)
		ERROR(c, t->pos, "write equals: \"\" if that is meant", "glob is empty");
	else if (t->s.n > CV_POLICY_PATTERN_BYTES_MAX)
		ERROR(c, t->pos, NULL, "glob is longer than %d bytes", CV_POLICY_PATTERN_BYTES_MAX);
	else if (!is_good_glob(t->s, CV_GLOB_PATH, &c->arena))
		ERROR(c, t->pos, NULL, "'%.*s' is a malformed glob", CV_POLICY_QUOTE(t->s));
}

static bool is_number(
	struct tool_check *c, const struct cv_policy_node *node, bool is_there, const char *name)
{
	if (!is_there)
		return false;
	if (node->kind != CV_POLICY_NODE_NUMBER) {
		ERROR(c, node->pos, "remove the quotes, if there are any",
			"range.%s: expected a number", name);
		return false;
	}
	check_constant(c, node);
	return cv_policy_is_json_number(node->s);
}

static void check_range(struct tool_check *c)
{
	const struct cv_policy_argument *a = c->argument;
	struct cv_value min, max;

	if (!a->has_range)
		return;
	if (!a->has_range_min && !a->has_range_max)
		ERROR(c, HERE, "add min or max", "range is empty");
	const bool has_min = is_number(c, &a->range_min, a->has_range_min, "min");
	const bool has_max = is_number(c, &a->range_max, a->has_range_max, "max");
	if (has_min && has_max && cv_tool_value_of(&a->range_min, &c->arena, &min) &&
		cv_tool_value_of(&a->range_max, &c->arena, &max) &&
		cv_value_number_cmp(&min, &max) > 0)
		ERROR(c, a->range_min.pos, NULL, "range: min %.*s is larger than max %.*s",
			CV_POLICY_QUOTE(a->range_min.s), CV_POLICY_QUOTE(a->range_max.s));
}

static void check_length(struct tool_check *c)
{
	const struct cv_policy_argument *a = c->argument;

	if (!a->has_length)
		return;
	if (!a->has_length_min && !a->has_length_max)
		ERROR(c, HERE, "add min or max", "length is empty");
	else if (a->has_length_max && a->length_min > a->length_max)
		ERROR(c, HERE, NULL, "length: min %lld is larger than max %lld",
			(long long)a->length_min, (long long)a->length_max);
}

/* ---- conditions on the same path ---- */

static unsigned types_of(enum cv_tool_test test)
{
	const unsigned string = 1u << CV_VALUE_STRING, number = 1u << CV_VALUE_NUMBER;

	switch (test) {
	case CV_TOOL_TEST_NEVER:
	case CV_TOOL_TEST_IN: break;
	case CV_TOOL_TEST_GLOB: return string;
	case CV_TOOL_TEST_RANGE: return number;
	case CV_TOOL_TEST_LENGTH: return string | 1u << CV_VALUE_ARRAY | 1u << CV_VALUE_OBJECT;
	}
	return ~0u;
}

/* Is some constant of a good for b? */
static bool constants_agree(
	struct tool_check *c, const struct cv_tool_argument *a, const struct cv_tool_argument *b)
{
	bool is_found = false;

	c->comparisons += (uint32_t)(a->value_count * CV_MAX(b->value_count, (size_t)1));
	for (size_t i = 0; i < a->value_count && !is_found; i++)
		is_found = cv_tool_argument_test(b, &a->values[i]) == CV_TOOL_HOLDS;
	return is_found;
}

static bool bounds_meet(const struct cv_tool_argument *a, const struct cv_tool_argument *b)
{
	return !a->min || !b->max || cv_value_number_cmp(a->min, b->max) <= 0;
}

/* False only where it is sure that no value satisfies both. */
static bool may_agree(
	struct tool_check *c, const struct cv_tool_argument *a, const struct cv_tool_argument *b)
{
	if (a->test == CV_TOOL_TEST_NEVER || b->test == CV_TOOL_TEST_NEVER)
		return true; /* said already */
	if (a->test == CV_TOOL_TEST_IN)
		return constants_agree(c, a, b);
	if (b->test == CV_TOOL_TEST_IN)
		return constants_agree(c, b, a);
	if (!(types_of(a->test) & types_of(b->test)))
		return false;
	if (a->test == CV_TOOL_TEST_RANGE)
		return bounds_meet(a, b) && bounds_meet(b, a);
	if (a->test == CV_TOOL_TEST_LENGTH && b->test == CV_TOOL_TEST_LENGTH)
		return a->length_min <= b->length_max && b->length_min <= a->length_max;
	return true;
}

static bool is_exhausted(const struct tool_check *c)
{
	return c->comparisons > CV_POLICY_OVERLAP_COMPARISONS_MAX ||
	       cv_findings_is_full(c->findings);
}

/* The first condition that argument j of the rule contradicts. */
static void check_contradiction(struct tool_check *c, const struct cv_tool_rule *rule, size_t j)
{
	char line[CV_FINDING_LINE_BYTES];

	for (size_t i = 0; i < j && !is_exhausted(c); i++) {
		const struct cv_tool_argument *a = &rule->arguments[i], *b = &rule->arguments[j];

		c->comparisons++;
		if (!cv_tool_path_eq(&a->path, &b->path) || may_agree(c, a, b))
			continue;
		ERROR(c, HERE, "a rule's arguments must all hold; make two rules of it",
			"contradicts arguments[%zu]%s: no value of %.*s satisfies both", i,
			cv_finding_line(c->findings, " (line ", a->source->pos.line, ")", line),
			CV_POLICY_QUOTE(b->source->path.s));
		return;
	}
}

static void check_arguments(struct tool_check *c)
{
	const struct cv_policy_tool_rule *r = c->rule;

	if (r->has_arguments && !r->argument_count)
		ERROR(c, HERE, "list conditions, or remove it to allow any arguments",
			"arguments is empty");
	if (r->argument_count > CV_POLICY_TOOL_ARGUMENTS_MAX) {
		ERROR(c, HERE, NULL, "%zu arguments; at most %d", r->argument_count,
			CV_POLICY_TOOL_ARGUMENTS_MAX);
		return; /* what follows is quadratic */
	}
	for (size_t i = 0; i < r->argument_count && !cv_findings_is_full(c->findings); i++) {
		c->argument = &r->arguments[i];
		check_path(c);
		check_one_test(c);
		if (c->argument->has_equals)
			check_constant(c, &c->argument->equals);
		check_in(c);
		check_glob(c);
		check_range(c);
		check_length(c);
	}
	c->argument = NULL;
}

/* ---- all of them ---- */

static bool is_plain(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (memchr("*?[]{}\\", s.p[i], 7))
			return false;
	return true;
}

/* Is each tool of b one of a's?  A pattern only by the same pattern: that is enough to be sure. */
static bool covers(struct tool_check *c, const struct cv_tool_rule *a, const struct cv_tool_rule *b)
{
	for (size_t i = 0; i < b->source->tools.n; i++) {
		const struct cv_str name = b->source->tools.v[i].s;
		bool is_found = is_plain(name) && cv_tool_rule_names(a, name);

		c->comparisons += (uint32_t)a->source->tools.n;
		for (size_t k = 0; k < a->source->tools.n && !is_found; k++)
			is_found = cv_str_eq(a->source->tools.v[k].s, name) ||
				   cv_policy_is_word(a->source->tools.v[k], "**");
		if (!is_found)
			return false;
	}
	return b->source->tools.n > 0;
}

/* A rule behind one that allows the same to everybody is never asked. */
static void check_reached(struct tool_check *c, size_t j)
{
	char line[CV_FINDING_LINE_BYTES];

	for (size_t i = 0; i < j && !is_exhausted(c); i++) {
		const struct cv_policy_tool_rule *first = c->compiled[i].source;

		if (first->has_binaries || first->has_arguments ||
			!covers(c, &c->compiled[i], &c->compiled[j]))
			continue;
		WARNING(c, HERE, "put the rule that asks for more first",
			"is never asked: rule %.*s%s allows its tools with any arguments",
			CV_POLICY_QUOTE(first->key.s),
			cv_finding_line(c->findings, " (line ", first->pos.line, ")", line));
		return;
	}
}

static void check_rules(struct tool_check *c, const struct cv_policy_doc *doc)
{
	for (size_t i = 0; i < doc->tool_rule_count && !cv_findings_is_full(c->findings); i++) {
		c->rule = &doc->tool_rules[i];
		if (!c->rule->key.s.n)
			ERROR(c, HERE, NULL, "a rule about tools needs a name");
		check_tools(c);
		check_binaries(c);
		check_arguments(c);
		check_limits(c);
	}
}

/* What rules say about each other, once each is well-formed. */
static void check_together(struct tool_check *c, const struct cv_policy_doc *doc)
{
	c->compiled = cv_arena_array(&c->arena, doc->tool_rule_count, sizeof(*c->compiled));
	for (size_t i = 0; i < doc->tool_rule_count && c->compiled; i++)
		if (!cv_tool_rule_compile(&doc->tool_rules[i], &c->arena, &c->compiled[i]))
			return; /* compiling the policy will say so */
	for (size_t i = 0; i < doc->tool_rule_count && c->compiled; i++) {
		c->rule = &doc->tool_rules[i];
		for (size_t j = 1; j < c->rule->argument_count; j++) {
			c->argument = &c->rule->arguments[j];
			check_contradiction(c, &c->compiled[i], j);
		}
		c->argument = NULL;
		check_reached(c, i);
	}
}

void cv_check_tools(struct cv_check *check)
{
	struct tool_check c = { .findings = check->findings };
	const struct cv_policy_doc *doc = check->doc;
	const size_t before = check->findings->error_count;

	if (doc->tool_rule_count > CV_POLICY_TOOL_RULES_MAX) {
		c.rule = &doc->tool_rules[CV_POLICY_TOOL_RULES_MAX];
		ERROR(&c, HERE, "join rules that ask the same", "%zu rules about tools; at most %d",
			doc->tool_rule_count, CV_POLICY_TOOL_RULES_MAX);
		return;
	}
	cv_arena_init(&c.arena, SCRATCH_BYTES_MAX);
	check_rules(&c, doc);
	if (check->findings->error_count == before)
		check_together(&c, doc);
	cv_arena_fini(&c.arena);
}
