/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: rules about tools decide as policy/tools.h says, in the edges that random tests do not
 * reach, and what is said about a call never holds a value of its arguments.
 */
#include "unit/test.h"

#include "policy/explain.h"
#include "wire/json_value.h"

#include <stdio.h>

struct world {
	struct cv_policy *p;
	struct cv_arena arena;
};

/* Not validated: what is odd has to allow less, not more. */
static struct world opened(const char *tools)
{
	struct world w = { 0 };
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;
	struct cv_buf b;

	cv_buf_init(&b, 1 << 20);
	cv_buf_printf(&b, "version: 1\n%s%s", tools ? "tools:\n" : "", tools ? tools : "");
	cv_findings_init(&f);
	if (cv_policy_load(CV_STR("p.yaml"), cv_buf_str(&b), &doc, &f) != CV_OK)
		fail_msg("%.*s\n%s", CV_STR_ARG(f.v[0].message), tools);
	cv_findings_fini(&f);
	cv_buf_fini(&b);
	assert_int_equal(cv_policy_compile(doc, &w.p, NULL), CV_OK);
	cv_arena_init(&w.arena, 16 << 20);
	return w;
}

static void closed(struct world *w)
{
	cv_policy_unref(w->p);
	cv_arena_fini(&w->arena);
}

static struct cv_tool_facts call(struct world *w, const char *tool, const char *arguments)
{
	struct cv_tool_facts f = { .who = { .is_known = true, .exe = CV_STR("/usr/bin/claude") },
		.tool = cv_str_of(tool) };

	if (arguments && cv_json_value_read(cv_str_of(arguments), &w->arena, &f.arguments, NULL) !=
				 CV_JSON_PROBLEM_NONE)
		fail_msg("not JSON: %s", arguments);
	return f;
}

static struct cv_tool_verdict ask(struct world *w, const char *tool, const char *arguments)
{
	const struct cv_tool_facts f = call(w, tool, arguments);

	return cv_policy_decide_tool(w->p, &f);
}

static void n10_no_section_or_no_rule_denies(void **state)
{
	static const char *const sections[] = { NULL, "  {}\n" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(sections); i++) {
		struct world w = opened(sections[i]);

		assert_false(cv_policy_has_tools(w.p));
		const struct cv_tool_verdict v = ask(&w, "a", "{}");
		assert_int_equal(v.action, CV_ACTION_DENY);
		assert_int_equal(v.reason, CV_REASON_NO_TOOL);
		assert_int_equal(v.rule, CV_POLICY_NONE);
		closed(&w);
	}
	struct cv_policy *nothing = NULL;
	assert_int_equal(cv_policy_compile(NULL, &nothing, NULL), CV_OK);
	assert_false(cv_policy_has_tools(nothing));
	assert_int_equal(
		cv_policy_decide_tool(nothing, &(struct cv_tool_facts){ .tool = CV_STR("a") })
			.action,
		CV_ACTION_DENY);
	cv_policy_unref(nothing);
}

static void first_rule_that_allows_decides(void **state)
{
	struct world w = opened("  one:\n"
				"    tools: [a.b]\n"
				"    arguments: [{path: $.x, equals: 1}]\n"
				"    limits: {calls: 7, concurrency: 2, seconds: 3, bytes: 9}\n"
				"    approval: once\n"
				"  two:\n"
				"    tools: [\"a.*\"]\n"
				"    approval: always\n");

	(void)state;
	struct cv_tool_verdict v = ask(&w, "a.b", "{\"x\": 1.0}");
	assert_int_equal(v.action, CV_ACTION_ALLOW);
	assert_int_equal(v.reason, CV_REASON_NONE);
	assert_int_equal(v.rule, 0);
	assert_int_equal(v.line, 3);
	assert_int_equal(v.approval, CV_TOOL_APPROVAL_ONCE);
	assert_int_equal(v.limits.calls, 7);
	assert_int_equal(v.limits.concurrency, 2);
	assert_int_equal(v.limits.seconds, 3);
	assert_int_equal(v.limits.bytes, 9);
	v = ask(&w, "a.b", "{\"x\": 2}");
	assert_int_equal(v.rule, 1);
	assert_int_equal(v.line, 8);
	assert_int_equal(v.approval, CV_TOOL_APPROVAL_ALWAYS);
	assert_int_equal(v.limits.calls, 0);
	assert_str(cv_policy_tool_rule_name(w.p, 1), "two");
	assert_str(cv_policy_tool_rule_name(w.p, 2), "");
	assert_str(cv_policy_tool_rule_name(w.p, CV_POLICY_NONE), "");
	assert_int_equal(ask(&w, "a.b", NULL).rule, 0); /* may it be called at all */
	assert_int_equal(ask(&w, "a.b.c", "{}").reason, CV_REASON_NO_TOOL);
	assert_int_equal(ask(&w, "", "{}").reason, CV_REASON_NO_TOOL);
	closed(&w);
}

/* One condition, arguments, and whether it holds. */
static void conditions(void **state)
{
	static const struct {
		const char *condition, *arguments;
		bool holds;
	} rows[] = {
		{ "path: $.a, equals: 1", "{\"a\": 10e-1}", true },
		{ "path: $.a, equals: 1", "{\"a\": \"1\"}", false },
		{ "path: $.a, equals: \"1\"", "{\"a\": 1}", false },
		{ "path: $.a, equals: 9007199254740993", "{\"a\": 9007199254740992}", false },
		{ "path: $.a, equals: {x: 1, y: 2}", "{\"a\": {\"y\": 2, \"x\": 1}}", true },
		{ "path: $.a, equals: {x: 1}", "{\"a\": {\"y\": 2, \"x\": 1}}", false },
		{ "path: $.a, equals: null", "{\"a\": null}", true },
		{ "path: $.a, equals: null", "{}", false },
		{ "path: $.a, equals: a", "{\"a\": \"\\u0061\"}", true },
		{ "path: $.a, in: [true, no]", "{\"a\": \"no\"}", true },
		{ "path: $.a, in: [true, no]", "{\"a\": false}", false },
		{ "path: $.a, glob: \"refs/heads/*\"", "{\"a\": \"refs/heads/a\"}", true },
		{ "path: $.a, glob: \"refs/heads/*\"", "{\"a\": \"refs/heads/a/b\"}", false },
		{ "path: $.a, glob: \"refs/**\"", "{\"a\": \"refs/heads/a/b\"}", true },
		{ "path: $.a, glob: \"**\"", "{\"a\": 1}", false },
		{ "path: $.a, range: {min: 1, max: 2}", "{\"a\": 2}", true },
		{ "path: $.a, range: {min: 1, max: 2}", "{\"a\": 2.0000000000000000001}", false },
		{ "path: $.a, range: {min: 1}", "{\"a\": 1e400}", true },
		{ "path: $.a, range: {max: 1}", "{\"a\": -1e400}", true },
		{ "path: $.a, range: {max: 1}", "{\"a\": 1e400}", false },
		{ "path: $.a, range: {max: 1}", "{\"a\": \"1\"}", false },
		{ "path: $.a, length: {max: 2}", "{\"a\": \"\\u00e4\\ud83d\\ude00\"}", true },
		{ "path: $.a, length: {max: 2}", "{\"a\": \"abc\"}", false },
		{ "path: $.a, length: {max: 2}", "{\"a\": [1, 2]}", true },
		{ "path: $.a, length: {min: 1}", "{\"a\": {}}", false },
		{ "path: $.a, length: {min: 0}", "{\"a\": 1}", false },
		{ "path: $, length: {max: 1}", "{\"a\": 1, \"b\": 2}", false },
		{ "path: \"$['a\\\\'b']['c\\\\\\\\d']\", equals: 1", "{\"a'b\": {\"c\\\\d\": 1}}",
			true },
		{ "path: \"$['']\", equals: 1", "{\"\": 1}", true },
		{ "path: $.\303\244, equals: 1", "{\"\303\244\": 1}", true },
		{ "path: \"$.a[1]\", equals: 1", "{\"a\": [0, 1]}", true },
		{ "path: \"$.a[1]\", equals: 1", "{\"a\": {\"1\": 1}}", false },
		{ "path: \"$.a[*]\", in: [1, 2]", "{\"a\": [1, 2, 1]}", true },
		{ "path: \"$.a[*]\", in: [1, 2]", "{\"a\": [1, 3, 1]}", false },
		{ "path: \"$.a[*]\", in: [1, 2]", "{\"a\": []}", false },
		{ "path: \"$.a[*]\", in: [1, 2]", "{\"a\": {\"x\": 2}}", true },
		{ "path: \"$.a[*]\", in: [1, 2]", "{\"a\": {\"x\": 3}}", false },
		/* each way leads somewhere */
		{ "path: \"$.a[*].b\", equals: 1", "{\"a\": [{\"b\": 1}, {}]}", false },
		{ "path: \"$.a[*].b\", equals: 1, optional: true", "{\"a\": [{\"b\": 1}, {}]}",
			true },
		{ "path: \"$.a[*].b\", equals: 1, optional: true", "{\"a\": [{\"b\": 2}, {}]}",
			false },
		/* optional excuses what is absent, not what is something else */
		{ "path: $.a, equals: 1, optional: true", "{}", true },
		{ "path: $.a, equals: 1, optional: true", "{\"a\": null}", false },
		{ "path: $.a, equals: 1, optional: true", "{\"a\": 2}", false },
		{ "path: $.a.b, equals: 1, optional: true", "{\"a\": {}}", true },
		{ "path: $.a.b, equals: 1, optional: true", "{\"a\": \"b\"}", false },
		{ "path: $.a.b, equals: 1, optional: true", "{\"a\": [{\"b\": 2}]}", false },
		{ "path: \"$.a[0]\", equals: 1, optional: true", "{\"a\": []}", true },
		{ "path: \"$.a[0]\", equals: 1, optional: true", "{\"a\": 2}", false },
		{ "path: \"$.a[*]\", in: [bug], optional: true", "{\"a\": []}", true },
		{ "path: \"$.a[*]\", in: [bug], optional: true", "{\"a\": \"evil\"}", false },
		/* what validation refuses holds for nothing */
		{ "path: $.a, optional: true", "{}", false },
		{ "path: $.a, equals: 1, glob: \"*\", optional: true", "{}", false },
		{ "path: $..a, equals: 1, optional: true", "{}", false },
		{ "path: $.a, equals: +1, optional: true", "{}", false },
		{ "path: $.a, in: [], optional: true", "{}", false },
		{ "path: $.a, in: x, optional: true", "{\"a\": \"x\"}", false },
		{ "path: $.a, glob: \"[\", optional: true", "{}", false },
		{ "path: $.a, range: {min: x}, optional: true", "{}", false },
		{ "path: $.a, range: {}, optional: true", "{\"a\": 1}", false },
		{ "path: $.a, length: {}, optional: true", "{\"a\": []}", false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		char text[512];

		snprintf(text, sizeof(text), "  r: {tools: [a], arguments: [{%s}]}\n",
			rows[i].condition);
		struct world w = opened(text);
		const struct cv_tool_verdict v = ask(&w, "a", rows[i].arguments);
		if ((v.action == CV_ACTION_ALLOW) != rows[i].holds)
			fail_msg("%s: %s", rows[i].condition, rows[i].arguments);
		if (!rows[i].holds) {
			assert_int_equal(v.reason, CV_REASON_TOOL_ARGUMENTS);
			assert_int_equal(v.rule, 0);
		}
		closed(&w);
	}
}

static void empty_lists_allow_nothing(void **state)
{
	static const char *const rules[] = { "  r: {tools: []}\n",
		"  r: {tools: [a], binaries: []}\n", "  r: {tools: [a], arguments: []}\n",
		"  r: {tools: [\"[a\"]}\n" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rules); i++) {
		struct world w = opened(rules[i]);

		assert_int_equal(ask(&w, "a", "{}").action, CV_ACTION_DENY);
		assert_int_equal(ask(&w, "a", NULL).action, CV_ACTION_DENY);
		closed(&w);
	}
}

static void arguments_that_are_no_object(void **state)
{
	struct world w = opened("  r: {tools: [a]}\n  s: {tools: [b], arguments: [{path: $.x, "
				"equals: 1, optional: true}]}\n");

	(void)state;
	assert_int_equal(ask(&w, "a", "{}").action, CV_ACTION_ALLOW);
	assert_int_equal(ask(&w, "b", "{}").action, CV_ACTION_ALLOW);
	assert_int_equal(ask(&w, "a", "[]").reason, CV_REASON_TOOL_ARGUMENTS);
	assert_int_equal(ask(&w, "b", "\"x\"").reason, CV_REASON_TOOL_ARGUMENTS);
	closed(&w);
}

static void p3_binaries_ancestors_aliases(void **state)
{
	static const char text[] = "version: 1\n"
				   "tools: {r: {tools: [a], binaries: [{path: /usr/bin/claude}, "
				   "{path: \"/opt/*\"}]}}\n";
	static const struct cv_policy_alias alias = { { "/usr/bin/claude", 15 },
		{ "/usr/lib/claude/cli", 19 } };
	const struct cv_str ancestors[] = { CV_STR("/bin/sh"), CV_STR("/usr/lib/claude/cli") };
	struct cv_tool_facts f = { .who = { .is_known = true, .exe = CV_STR("/bin/sh") },
		.tool = CV_STR("a") };
	struct cv_policy_doc *doc = NULL;
	struct cv_findings findings;
	struct cv_policy *p = NULL;

	(void)state;
	cv_findings_init(&findings);
	assert_int_equal(cv_policy_load(CV_STR("p"), cv_str_of(text), &doc, &findings), CV_OK);
	cv_findings_fini(&findings);
	assert_int_equal(cv_policy_compile_aliased(doc, &alias, 1, &p, NULL), CV_OK);
	assert_int_equal(cv_policy_decide_tool(p, &f).reason, CV_REASON_BINARY);
	f.who.ancestors = ancestors;
	f.who.ancestor_count = 2;
	assert_int_equal(cv_policy_decide_tool(p, &f).action, CV_ACTION_ALLOW);
	f.who.is_known = false;
	assert_int_equal(cv_policy_decide_tool(p, &f).reason, CV_REASON_IDENTITY_UNKNOWN);
	f.who = (struct cv_facts_who){ .is_known = true, .exe = CV_STR("/opt/x") };
	assert_int_equal(cv_policy_decide_tool(p, &f).action, CV_ACTION_ALLOW);
	assert_true(cv_policy_is_binary_named(p, CV_STR("/usr/lib/claude/cli")));
	assert_false(cv_policy_is_binary_named(p, CV_STR("/bin/sh")));
	cv_policy_unref(p);
}

static const char issues[] = "  issues:\n"
			     "    tools: [\"issue.*\"]\n"
			     "    arguments:\n"
			     "      - {path: $.repo, equals: acme/app}\n"
			     "      - {path: \"$.labels[*]\", in: [bug, 1]}\n"
			     "      - {path: $.ref, glob: \"refs/**\"}\n"
			     "      - {path: $.n, range: {min: 1, max: 100}}\n"
			     "      - {path: $.body, length: {max: 4}, optional: true}\n"
			     "  admins:\n"
			     "    tools: [\"issue.*\", deploy]\n"
			     "    binaries: [{path: /opt/admin}]\n";

#define ISSUES_ASK                                                                         \
	"$.repo equals \"acme/app\" and each $.labels[*] is one of \"bug\", 1 and $.ref "  \
	"matches \"refs/**\" and $.n is from 1 to 100 and $.body has a length of at most " \
	"4, if given"

static void denials_name_the_nearest_rule(void **state)
{
	static const struct {
		const char *tool, *arguments, *text;
	} rows[] = {
		{ "x", "{}", "tool 'x' is not named by any rule" },
		{ "deploy", "{}",
			"tool 'deploy' is not allowed by rule 'admins' (line 11): neither binary "
			"'/usr/bin/claude' nor an ancestor of it is listed" },
		{ "issue.new",
			"{\"repo\": \"acme/app\", \"labels\": [\"bug\"], \"ref\": \"refs/a\", \"n\": "
			"101}",
			"tool 'issue.new' is not allowed by rule 'issues' (line 3): it asks that "
			"$.n is from 1 to 100 (it is another value)" },
		{ "issue.new",
			"{\"repo\": \"acme/app\", \"labels\": 3, \"ref\": 5, \"n\": 1, \"body\": "
			"\"12345\"}",
			"tool 'issue.new' is not allowed by rule 'issues' (line 3): it asks that "
			"each $.labels[*] is one of \"bug\", 1 (it is of another type) and $.ref "
			"matches \"refs/**\" (it is of another type) and $.body has a length of "
			"at most 4, if given (it is another value)" },
		{ "issue.new", "{\"repo\": \"acme/app\", \"ref\": \"refs/a\", \"n\": 1}",
			"tool 'issue.new' is not allowed by rule 'issues' (line 3): it asks that "
			"each $.labels[*] is one of \"bug\", 1 (it is not there)" },
		{ "issue.new",
			"{\"repo\": \"acme/app\", \"labels\": [1], \"ref\": \"refs/a\", \"n\": 1}",
			"allowed" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct world w = opened(issues);
		const struct cv_tool_facts f = call(&w, rows[i].tool, rows[i].arguments);
		const struct cv_tool_verdict v = cv_policy_decide_tool(w.p, &f);

		assert_str(cv_policy_tool_denial_text(w.p, &f, &v, &w.arena), rows[i].text);
		closed(&w);
	}
	struct world w = opened(NULL);
	const struct cv_tool_facts f = call(&w, "a", "{}");
	const struct cv_tool_verdict v = cv_policy_decide_tool(w.p, &f);
	assert_str(cv_policy_tool_denial_text(w.p, &f, &v, &w.arena), "the policy allows no tools");
	closed(&w);
}

/* Values and members' names of the arguments, in each way of going wrong. */
static void t10_no_value_of_the_arguments_is_told(void **state)
{
	static const char *const arguments[] = {
		"{\"repo\": \"SECRET\", \"labels\": [\"SECRET\"], \"ref\": \"SECRET\", \"n\": \"SECRET\", \"body\": \"SECRET\", \"SECRET\": 1}",
		"{\"repo\": {\"SECRET\": 1}, \"labels\": {\"SECRET\": \"SECRET\"}, \"n\": [\"SECRET\"]}",
		"{\"labels\": \"SECRET\", \"ref\": [\"SECRET\"], \"body\": [\"SECRET\", 1, 2, 3, 4]}",
		"[\"SECRET\"]",
		"\"SECRET\"",
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(arguments); i++) {
		struct world w = opened(issues);
		const struct cv_tool_facts f = call(&w, "issue.new", arguments[i]);
		const struct cv_tool_verdict v = cv_policy_decide_tool(w.p, &f);
		struct cv_buf out;

		assert_int_equal(v.reason, CV_REASON_TOOL_ARGUMENTS);
		cv_buf_init(&out, 1 << 20);
		cv_buf_put(&out, cv_policy_tool_denial_text(w.p, &f, &v, &w.arena));
		cv_policy_explain_tool_text(w.p, &f, &out);
		cv_policy_explain_tool_json(w.p, &f, &out);
		const struct cv_str said = cv_buf_str(&out);
		assert_true(said.n > 100);
		if (memmem(said.p, said.n, "SECRET", 6))
			fail_msg("%.*s", CV_STR_ARG(said));
		cv_buf_fini(&out);
		closed(&w);
	}
}

static void what_is_asked_of_arguments(void **state)
{
	struct world w = opened("  one: {tools: [a, b], arguments: [{path: $.x, equals: {k: [1, "
				"\"\\\"\"]}}]}\n"
				"  two: {tools: [a], arguments: [{path: $.x, range: {min: 1}}, "
				"{path: $.y, length: {min: 1, max: 2}}]}\n"
				"  three: {tools: [a], binaries: [{path: /opt/x}], arguments: "
				"[{path: $.z, equals: 1}]}\n"
				"  four: {tools: [a, c]}\n"
				"  five: {tools: [a], arguments: [{path: $.v, equals: 1}]}\n");
	struct cv_str line[4];
	struct cv_tool_facts f = call(&w, "a", NULL);

	(void)state;
	assert_int_equal(cv_policy_tool_conditions(w.p, &f, line, 4, &w.arena), 3);
	assert_str(line[0], "$.x equals {\"k\":[1,\"\\\"\"]}");
	assert_str(line[1], "$.x is at least 1 and $.y has a length from 1 to 2");
	assert_str(line[2], "any arguments");
	assert_int_equal(cv_policy_tool_conditions(w.p, &f, line, 1, &w.arena), 1);
	assert_int_equal(cv_policy_tool_conditions(w.p, &f, line, 0, &w.arena), 0);
	f.tool = CV_STR("b");
	assert_int_equal(cv_policy_tool_conditions(w.p, &f, line, 4, &w.arena), 1);
	f.tool = CV_STR("c");
	assert_int_equal(cv_policy_tool_conditions(w.p, &f, line, 4, &w.arena), 0);
	closed(&w);
	w = opened(issues);
	f = call(&w, "issue.new", NULL);
	assert_int_equal(cv_policy_tool_conditions(w.p, &f, line, 4, &w.arena), 1);
	assert_str(line[0], ISSUES_ASK);
	closed(&w);
}

/* Long constants and long lists are cut, at whole characters. */
static void long_constants_are_cut(void **state)
{
	struct cv_str line[1];
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1 << 20);
	cv_buf_printf(&b, "  r: {tools: [a], arguments: [{path: $.x, equals: \"");
	for (int i = 0; i < 300; i++)
		cv_buf_printf(&b, "\303\244");
	cv_buf_printf(&b, "\"}, {path: $.y, in: [0");
	for (int i = 1; i < 40; i++)
		cv_buf_printf(&b, ", %d", i);
	cv_buf_printf(&b, "]}]}\n");
	cv_buf_put_byte(&b, '\0');
	struct world w = opened(cv_buf_str(&b).p);
	const struct cv_tool_facts f = call(&w, "a", NULL);
	assert_int_equal(cv_policy_tool_conditions(w.p, &f, line, 1, &w.arena), 1);
	assert_true(line[0].n < 400);
	assert_non_null(memmem(line[0].p, line[0].n, "\303\244... and ", 9));
	assert_true(cv_str_has_suffix(line[0], CV_STR("14, 15 and 24 more")));
	closed(&w);
	cv_buf_fini(&b);
}

/* What could steer a terminal is escaped; quotes stay. */
static void printed_forms(void **state)
{
	struct world w = opened(issues);
	struct cv_tool_facts f = call(&w, "issue.\033[2J", "{}");
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1 << 20);
	cv_policy_explain_tool_text(w.p, &f, &out);
	assert_null(memchr(cv_buf_str(&out).p, '\033', cv_buf_len(&out)));
	assert_true(cv_str_has_prefix(cv_buf_str(&out), CV_STR("DENY tool issue.\\u001b[2J\n")));
	cv_buf_reset(&out);
	f = call(&w, "issue.new", NULL);
	cv_policy_explain_tool_text(w.p, &f, &out);
	assert_str(cv_buf_str(&out), "ALLOW tool issue.new\n"
				     "  decided at p.yaml:3  tools.issues\n"
				     "  where " ISSUES_ASK "\n");
	cv_buf_reset(&out);
	f = call(&w, "deploy", "{}");
	f.who.exe = CV_STR("/opt/admin");
	cv_policy_explain_tool_json(w.p, &f, &out);
	assert_str(cv_buf_str(&out),
		"{\"action\":\"allow\",\"reason\":\"allowed\",\"tool\":\"deploy\",\"rule\":\"admins\","
		"\"file\":\"p.yaml\",\"line\":11,\"text\":\"allowed\",\"approval\":\"never\","
		"\"limits\":{\"calls\":0,\"concurrency\":0,\"seconds\":0,\"bytes\":0},"
		"\"conditions\":[],\"near_misses\":[]}\n");
	cv_buf_fini(&out);
	closed(&w);
}

/* The largest rule on the largest arguments: bounded, and without recursion that grows. */
static void b7_many_members(void **state)
{
	struct world w = opened(
		"  r: {tools: [a], arguments: [{path: \"$[*][*]\", glob: \"{a,b,c}*x*y*z\"}]}\n");
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 2 << 20);
	cv_buf_printf(&b, "{\"k\":[\"axyz\"");
	for (int i = 0; i < 50000; i++)
		cv_buf_printf(&b, ",\"bxxyyzz%d\"", i % 10 ? 0 : 1);
	cv_buf_printf(&b, "]}");
	cv_buf_put_byte(&b, '\0');
	assert_int_equal(ask(&w, "a", cv_buf_str(&b).p).reason, CV_REASON_TOOL_ARGUMENTS);
	cv_buf_fini(&b);
	closed(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(n10_no_section_or_no_rule_denies),
		cmocka_unit_test(first_rule_that_allows_decides),
		cmocka_unit_test(conditions),
		cmocka_unit_test(empty_lists_allow_nothing),
		cmocka_unit_test(arguments_that_are_no_object),
		cmocka_unit_test(p3_binaries_ancestors_aliases),
		cmocka_unit_test(denials_name_the_nearest_rule),
		cmocka_unit_test(t10_no_value_of_the_arguments_is_told),
		cmocka_unit_test(what_is_asked_of_arguments),
		cmocka_unit_test(long_constants_are_cut),
		cmocka_unit_test(printed_forms),
		cmocka_unit_test(b7_many_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
