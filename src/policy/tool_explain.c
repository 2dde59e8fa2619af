/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_explain.c - rules about tools in words: what they ask, and why a call was denied
 *
 * What is shown of a call is its tool and its program; of its arguments only whether what a rule
 * asks for is there, never a value: the text goes into answers, logs and audit.  Constants of the
 * policy are shown.  Texts hold names as they are: whoever prints them escapes.
 */
#include "policy/findings.h"
#include "policy/tool_rule.h"

#include "base/assert.h"

#include <stdio.h>

/* A constant before it is cut; longer strings than this are not shown at all. */
#define RENDER_BYTES_MAX (64u << 10)

/* Values of an `in`, and conditions that did not hold, that are told; then "and N more". */
#define VALUES_SHOWN 16
#define MISSES_SHOWN 8

/* ---- constants ---- */

static void value_put(struct cv_buf *out, const struct cv_value *v)
{
	switch (v->type) {
	case CV_VALUE_NULL: cv_buf_put(out, CV_STR("null")); return;
	case CV_VALUE_FALSE: cv_buf_put(out, CV_STR("false")); return;
	case CV_VALUE_TRUE: cv_buf_put(out, CV_STR("true")); return;
	case CV_VALUE_NUMBER: cv_buf_put(out, v->s); return;
	case CV_VALUE_STRING: cv_buf_put_json_str(out, v->s); return;
	case CV_VALUE_ARRAY:
	case CV_VALUE_OBJECT: break;
	case CV_VALUE_TYPE_COUNT: cv_unreachable();
	}
	cv_buf_put_byte(out, v->type == CV_VALUE_ARRAY ? '[' : '{');
	for (uint32_t i = 0; i < v->n; i++) { /* as deep as the policy's reader went */
		if (i)
			cv_buf_put_byte(out, ',');
		if (v->type == CV_VALUE_OBJECT) {
			cv_buf_put_json_str(out, v->key[i]);
			cv_buf_put_byte(out, ':');
		}
		value_put(out, &v->v[i]);
	}
	cv_buf_put_byte(out, v->type == CV_VALUE_ARRAY ? ']' : '}');
}

/* The beginning of s, of whole characters. */
static struct cv_str beginning(struct cv_str s, size_t n)
{
	if (s.n <= n)
		return s;
	while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return cv_str_slice(s, 0, n);
}

static struct cv_str value_text(const struct cv_value *v, struct cv_arena *arena)
{
	struct cv_str text;
	struct cv_buf b;

	cv_buf_init(&b, RENDER_BYTES_MAX);
	value_put(&b, v);
	const struct cv_str whole = cv_buf_str(&b);
	if (b.is_overflown || whole.n > CV_POLICY_TOOL_CONSTANT_BYTES_MAX)
		text = cv_arena_printf(arena, "%.*s...",
			CV_STR_ARG(beginning(whole, CV_POLICY_TOOL_CONSTANT_BYTES_MAX)));
	else
		text = cv_arena_str(arena, whole);
	cv_buf_fini(&b);
	return text;
}

/* ---- conditions ---- */

static struct cv_str values_text(const struct cv_tool_argument *a, struct cv_arena *arena)
{
	struct cv_str list = CV_STR("");

	for (size_t i = 0; i < a->value_count && i < VALUES_SHOWN; i++)
		list = cv_arena_printf(arena, "%.*s%s%.*s", CV_STR_ARG(list), i ? ", " : "",
			CV_STR_ARG(value_text(&a->values[i], arena)));
	if (a->value_count > VALUES_SHOWN)
		list = cv_arena_printf(arena, "%.*s and %zu more", CV_STR_ARG(list),
			a->value_count - VALUES_SHOWN);
	return list;
}

static struct cv_str bounds_text(
	const char *what, struct cv_str min, struct cv_str max, struct cv_arena *arena)
{
	if (min.n && max.n)
		return cv_arena_printf(
			arena, "%s from %.*s to %.*s", what, CV_STR_ARG(min), CV_STR_ARG(max));
	return cv_arena_printf(arena, "%s %s %.*s", what, min.n ? "at least" : "at most",
		CV_STR_ARG(min.n ? min : max));
}

static struct cv_str number_text(const struct cv_value *v, struct cv_arena *arena)
{
	return v ? value_text(v, arena) : CV_STR_NONE;
}

static struct cv_str length_text(int64_t v, bool is_there, struct cv_arena *arena)
{
	return is_there ? cv_arena_printf(arena, "%lld", (long long)v) : CV_STR_NONE;
}

static struct cv_str test_text(const struct cv_tool_argument *a, struct cv_arena *arena)
{
	const struct cv_policy_argument *s = a->source;

	switch (a->test) {
	case CV_TOOL_TEST_NEVER: return CV_STR("can't be satisfied");
	case CV_TOOL_TEST_IN:
		return cv_arena_printf(arena, s->has_equals ? "equals %.*s" : "is one of %.*s",
			CV_STR_ARG(values_text(a, arena)));
	case CV_TOOL_TEST_GLOB:
		return cv_arena_printf(arena, "matches %.*s",
			CV_STR_ARG(value_text(
				&(struct cv_value){ .type = CV_VALUE_STRING, .s = s->glob.s },
				arena)));
	case CV_TOOL_TEST_RANGE:
		return bounds_text(
			"is", number_text(a->min, arena), number_text(a->max, arena), arena);
	case CV_TOOL_TEST_LENGTH:
		return bounds_text(
			s->has_length_min && s->has_length_max ? "has a length" : "has a length of",
			length_text(s->length_min, s->has_length_min, arena),
			length_text(s->length_max, s->has_length_max, arena), arena);
	}
	cv_unreachable();
}

static bool has_many(const struct cv_tool_path *path)
{
	for (uint32_t i = 0; i < path->n; i++)
		if (path->steps[i].kind == CV_TOOL_STEP_ALL)
			return true;
	return false;
}

static struct cv_str condition_text(const struct cv_tool_argument *a, struct cv_arena *arena)
{
	return cv_arena_printf(arena, "%s%.*s %.*s%s", has_many(&a->path) ? "each " : "",
		CV_STR_ARG(a->source->path.s), CV_STR_ARG(test_text(a, arena)),
		a->source->is_optional ? ", if given" : "");
}

struct cv_str cv_tool_rule_conditions_text(const struct cv_tool_rule *rule, struct cv_arena *arena)
{
	struct cv_str text = CV_STR("");

	for (size_t i = 0; i < rule->argument_count; i++)
		text = cv_arena_printf(arena, "%.*s%s%.*s", CV_STR_ARG(text), i ? " and " : "",
			CV_STR_ARG(condition_text(&rule->arguments[i], arena)));
	return text;
}

size_t cv_policy_tool_conditions(const struct cv_policy *policy, const struct cv_tool_facts *facts,
	struct cv_str *ret, size_t max, struct cv_arena *arena)
{
	size_t n = 0;

	for (uint32_t i = 0; i < policy->tool_rule_count && n < max; i++) {
		const struct cv_tool_rule *rule = &policy->tool_rules[i];

		if (!cv_tool_rule_names(rule, facts->tool) ||
			!cv_tool_rule_has_who(rule, &facts->who))
			continue;
		if (rule->argument_count) {
			ret[n++] = cv_tool_rule_conditions_text(rule, arena);
			continue;
		}
		if (n) /* the rules before it may ask for less approval, or have higher limits */
			ret[n++] = CV_STR("any arguments");
		break;
	}
	return n;
}

/* ---- denials ---- */

static const char *hold_text(enum cv_tool_hold hold)
{
	switch (hold) {
	case CV_TOOL_HOLDS: return "it does";
	case CV_TOOL_OTHER: return "it is another value";
	case CV_TOOL_TYPE: return "it is of another type";
	case CV_TOOL_ABSENT: return "it is not there";
	}
	cv_unreachable();
}

static struct cv_str arguments_miss_text(
	const struct cv_tool_rule *rule, const struct cv_value *arguments, struct cv_arena *arena)
{
	struct cv_str text = CV_STR("");
	size_t n = 0;

	if (arguments->type != CV_VALUE_OBJECT)
		return CV_STR("arguments are an object, and these are not");
	for (size_t i = 0; i < rule->argument_count; i++) {
		const struct cv_tool_argument *a = &rule->arguments[i];
		const enum cv_tool_hold hold = cv_tool_argument_hold(a, arguments);

		if (hold == CV_TOOL_HOLDS || n++ >= MISSES_SHOWN)
			continue;
		text = cv_arena_printf(arena, "%.*s%s%.*s (%s)", CV_STR_ARG(text),
			n > 1 ? " and " : "it asks that ", CV_STR_ARG(condition_text(a, arena)),
			hold_text(hold));
	}
	if (n > MISSES_SHOWN)
		text = cv_arena_printf(
			arena, "%.*s and %zu more", CV_STR_ARG(text), n - MISSES_SHOWN);
	return text;
}

struct cv_str cv_tool_rule_miss_text(
	const struct cv_tool_rule *rule, const struct cv_tool_facts *facts, struct cv_arena *arena)
{
	switch (cv_tool_rule_miss(rule, facts)) {
	case CV_TOOL_MISS_TOOL: return CV_STR("it does not name this tool");
	case CV_TOOL_MISS_BINARY:
		if (!facts->who.is_known)
			return CV_STR("nobody knows which program is asking");
		return cv_arena_printf(arena,
			"neither binary '%.*s' nor an ancestor of it is listed",
			CV_STR_ARG(facts->who.exe));
	case CV_TOOL_MISS_ARGUMENTS: return arguments_miss_text(rule, facts->arguments, arena);
	case CV_TOOL_MISS_NONE: return CV_STR("it allows this");
	}
	cv_unreachable();
}

struct cv_str cv_policy_tool_denial_text(const struct cv_policy *policy,
	const struct cv_tool_facts *facts, const struct cv_tool_verdict *verdict,
	struct cv_arena *arena)
{
	char line[32] = "";

	if (verdict->action == CV_ACTION_ALLOW)
		return CV_STR("allowed");
	if (verdict->reason == CV_REASON_IDENTITY_CHANGED) /* the proxy's to say */
		return cv_arena_printf(
			arena, "binary integrity check failed: %.*s", CV_STR_ARG(facts->who.exe));
	if (!policy->tool_rule_count)
		return CV_STR("the policy allows no tools");
	if (verdict->rule >= policy->tool_rule_count)
		return cv_arena_printf(arena, "tool '%.*s' is not named by any rule",
			CV_POLICY_QUOTE(facts->tool));
	const struct cv_tool_rule *rule = &policy->tool_rules[verdict->rule];
	if (verdict->line)
		snprintf(line, sizeof(line), " (line %u)", verdict->line);
	return cv_arena_printf(arena, "tool '%.*s' is not allowed by rule '%.*s'%s: %.*s",
		CV_POLICY_QUOTE(facts->tool), CV_STR_ARG(rule->source->key.s), line,
		CV_STR_ARG(cv_tool_rule_miss_text(rule, facts, arena)));
}
