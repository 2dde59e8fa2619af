/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: cv_policy_decide_tool() and a naive second implementation give the same verdict.
 * Method: random small documents as YAML over few names and paths, so that things meet; many calls
 * on each, their arguments random JSON over the same names.
 */
#include "unit/test.h"

#include "policy/policy.h"
#include "unit/policy/tool_oracle.h"
#include "wire/json_value.h"

#include <stdlib.h>

#define DOCS    2000
#define PER_DOC 40
#define SEED    0x51f0aac97c4a07b3u

static uint64_t seed = SEED;

static uint32_t roll(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % n;
}

#define PICK(list) ((list)[roll(CV_ARRAY_LEN(list))])

/* clang-format off */
static const char *const tools[] = { "a", "a.b", "a.c", "a.*", "\"*.b\"", "\"*\"", "\"**\"", "\"**.b\"", "\"a.[bc]\"", "\"{a,x}.?\"" };
static const char *const ask_tools[] = { "a", "a.b", "a.c", "x.b", "a.b.c", "b", "x.y.b", "" };
static const char *const binaries[] = { "/bin/sh", "/usr/bin/*", "/usr/**", "/opt/a" };
static const char *const exes[] = { "/bin/sh", "/usr/bin/curl", "/usr/lib/x/y", "/opt/a", "/opt/b" };
static const char *const paths[] = { "$", "$.a", "$.b", "$.a.b", "$['a']['b c']", "$.a[0]", "$.a[1].b", "$.a[*]", "$.a[*].b",
	"$[*]", "$[*][*]", "$['b c'][*]", "$.b[2]", "$[0]" };
static const char *const constants[] = { "1", "1.0", "-2", "\"1\"", "x", "x/y", "true", "null", "[]", "{}", "[1, x]",
	"{a: 1, b: x}", "{b: [1]}", "\"\"", "[[]]" };
static const char *const globs[] = { "\"*\"", "\"**\"", "x*", "\"x/*\"", "\"**/y\"", "\"[xy]\"" };
static const char *const scalars[] = { "1", "1.0", "10e-1", "-2", "0", "3", "\"1\"", "\"x\"", "\"x/y\"", "\"x/y/y\"", "\"\"",
	"true", "false", "null", "\"\\u00e4\\u00f6\"", "\"xyz\"" };
static const char *const keys[] = { "a", "b", "b c", "c" };
/* clang-format on */

/* Random texts are written within what validation accepts; what is odd has tests of its own. */
static void put_test(struct cv_buf *b)
{
	const uint32_t min = roll(3), max = min + roll(3), bounds = 1 + roll(3);

	switch (roll(5)) {
	case 0: cv_buf_printf(b, "equals: %s", PICK(constants)); return;
	case 1:
		cv_buf_printf(
			b, "in: [%s, %s, %s]", PICK(constants), PICK(constants), PICK(constants));
		return;
	case 2: cv_buf_printf(b, "glob: %s", PICK(globs)); return;
	default: break;
	}
	cv_buf_printf(b, roll(2) ? "range: {" : "length: {");
	if (bounds & 1)
		cv_buf_printf(b, "min: %u%s", min, bounds & 2 ? ", " : "");
	if (bounds & 2)
		cv_buf_printf(b, "max: %u", max);
	cv_buf_put_byte(b, '}');
}

static void put_rule(struct cv_buf *b, uint32_t i)
{
	static const char *const approvals[] = { "never", "once", "always" };

	cv_buf_printf(b, "  r%u:\n    tools: [%s, %s]\n", i, PICK(tools), PICK(tools));
	if (roll(3) == 0)
		cv_buf_printf(b, "    binaries: [{path: \"%s\"}, {path: \"%s\"}]\n", PICK(binaries),
			PICK(binaries));
	if (roll(5))
		cv_buf_printf(b, "    arguments:\n");
	else
		return;
	for (uint32_t n = 1 + roll(2); n > 0; n--) {
		cv_buf_printf(b, "      - {path: \"%s\", ", PICK(paths));
		put_test(b);
		cv_buf_printf(b, "%s}\n", roll(3) ? "" : ", optional: true");
	}
	cv_buf_printf(
		b, "    limits: {calls: %u, concurrency: 2, seconds: 3, bytes: 4}\n", 1 + roll(9));
	cv_buf_printf(b, "    approval: %s\n", PICK(approvals));
}

static void put_value(struct cv_buf *b, uint32_t depth)
{
	const uint32_t kind = depth ? roll(3) : 0, n = roll(4);

	if (kind == 0) {
		cv_buf_printf(b, "%s", PICK(scalars));
		return;
	}
	cv_buf_put_byte(b, kind == 1 ? '[' : '{');
	const uint32_t first = roll(CV_ARRAY_LEN(keys)); /* each key once */
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			cv_buf_put_byte(b, ',');
		if (kind == 2)
			cv_buf_printf(b, "\"%s\":", keys[(first + i) % CV_ARRAY_LEN(keys)]);
		put_value(b, depth - 1);
	}
	cv_buf_put_byte(b, kind == 1 ? ']' : '}');
}

static void put_arguments(struct cv_buf *b)
{
	const uint32_t first = roll(CV_ARRAY_LEN(keys)), n = roll(5);

	cv_buf_put_byte(b, '{');
	for (uint32_t i = 0; i < n; i++) {
		cv_buf_printf(b, "%s\"%s\":", i ? "," : "", keys[(first + i) % 4]);
		put_value(b, 2);
	}
	cv_buf_put_byte(b, '}');
}

static struct cv_policy_doc *random_doc(struct cv_buf *text)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	cv_buf_reset(text);
	cv_buf_printf(text, "version: 1\ntools:\n");
	for (uint32_t n = roll(5), i = 0; i < n; i++)
		put_rule(text, i);
	cv_findings_init(&f);
	if (cv_policy_load(CV_STR("p"), cv_buf_str(text), &doc, &f) != CV_OK)
		fail_msg("%.*s\n%.*s", CV_STR_ARG(f.v[0].message), CV_STR_ARG(cv_buf_str(text)));
	cv_findings_fini(&f);
	return doc;
}

static void ask(const struct cv_policy *p, const struct cv_policy_doc *doc, struct cv_str text,
	unsigned by_reason[CV_REASON_COUNT])
{
	struct cv_str ancestors[3];
	struct cv_tool_facts f = { .who = { .is_known = roll(8) != 0,
					   .exe = cv_str_of(PICK(exes)),
					   .ancestors = ancestors,
					   .ancestor_count = roll(3) },
		.tool = cv_str_of(PICK(ask_tools)) };
	struct cv_arena arena;
	struct cv_buf json;

	for (size_t i = 0; i < f.who.ancestor_count; i++)
		ancestors[i] = cv_str_of(PICK(exes));
	cv_arena_init(&arena, 1 << 20);
	cv_buf_init(&json, 1 << 16);
	put_arguments(&json);
	if (roll(8))
		assert_int_equal(cv_json_value_read(cv_buf_str(&json), &arena, &f.arguments, NULL),
			CV_JSON_PROBLEM_NONE);
	const struct cv_tool_verdict got = cv_policy_decide_tool(p, &f);
	const struct cv_tool_verdict want = tool_oracle_decide(doc, &f);
	if (memcmp(&got, &want, sizeof(got)) != 0 &&
		(got.action != want.action || got.reason != want.reason || got.rule != want.rule ||
			got.line != want.line || got.approval != want.approval ||
			got.limits.calls != want.limits.calls ||
			got.limits.concurrency != want.limits.concurrency ||
			got.limits.seconds != want.limits.seconds ||
			got.limits.bytes != want.limits.bytes))
		fail_msg("%.*s%.*s %.*s: got %s %d, want %s %d", CV_STR_ARG(text),
			CV_STR_ARG(f.tool), CV_STR_ARG(cv_buf_str(&json)),
			cv_reason_code(got.reason), (int)got.rule, cv_reason_code(want.reason),
			(int)want.rule);
	by_reason[got.reason]++;
	cv_buf_fini(&json);
	cv_arena_fini(&arena);
}

static void decides_as_the_oracle(void **state)
{
	static const enum cv_reason reasons[] = { CV_REASON_NONE, CV_REASON_NO_TOOL,
		CV_REASON_BINARY, CV_REASON_IDENTITY_UNKNOWN, CV_REASON_TOOL_ARGUMENTS };
	unsigned by_reason[CV_REASON_COUNT] = { 0 };
	struct cv_buf text;

	(void)state;
	print_message("# seed %llx\n", (unsigned long long)seed);
	cv_buf_init(&text, 1 << 20);
	for (uint32_t d = 0; d < DOCS; d++) {
		struct cv_policy_doc *doc = random_doc(&text);
		struct cv_policy *p = NULL;

		assert_int_equal(cv_policy_compile(doc, &p, NULL), CV_OK);
		assert_int_equal(cv_policy_has_tools(p), doc->tool_rule_count > 0);
		for (uint32_t i = 0; i < PER_DOC; i++)
			ask(p, doc, cv_buf_str(&text), by_reason);
		cv_policy_unref(p);
	}
	cv_buf_fini(&text);
	for (size_t i = 0; i < CV_ARRAY_LEN(reasons); i++) {
		print_message("# %7u %s\n", by_reason[reasons[i]], cv_reason_code(reasons[i]));
		assert_true(by_reason[reasons[i]] > 100);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(decides_as_the_oracle) };

	if (argc > 1) /* another seed, by hand */
		seed = strtoull(argv[1], NULL, 16);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
