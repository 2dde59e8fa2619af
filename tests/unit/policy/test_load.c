/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_load.c - the reader: what is refused, where, and in which words
 *
 * Method: each case of cases_load.h is loaded, and everything said about it is compared word for
 * word.  What is read from valid documents is compared field by field.
 */
#include "unit/test.h"

#include "policy/fill.c"
#include "policy/fill_reader.c"
#include "policy/fill_value.c"
#include "policy/findings.c"
#include "policy/load.c"
#include "policy/yaml.c"

struct said_case {
	const char *name;
	struct cv_str yaml;
	const char *said;
};

#define CASE(name, yaml, said) { #name, { yaml, sizeof(yaml) - 1 }, said },
static const struct said_case cases[] = {
#include "cases_load.h"
};

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(cases); i++) {
		struct cv_policy_doc *doc = NULL;
		struct cv_findings f;
		struct cv_buf out;

		cv_findings_init(&f);
		cv_buf_init(&out, 1 << 20);
		const cv_code code = cv_policy_load(CV_STR("p"), cases[i].yaml, &doc, &f);
		cv_findings_text(&f, CV_STR("p"), &out);
		if (!cv_str_eq(cv_buf_str(&out), cv_str_of(cases[i].said)))
			fail_msg("%s: said\n%.*swant\n%s", cases[i].name,
				CV_STR_ARG(cv_buf_str(&out)), cases[i].said);
		assert_int_equal(code, CV_INVALID);
		assert_null(doc);
		cv_buf_fini(&out);
		cv_findings_fini(&f);
	}
}

static struct cv_policy_doc *must_load(struct cv_str text)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	const cv_code code = cv_policy_load(CV_STR("p"), text, &doc, &f);
	if (f.n)
		fail_msg("%.*s", CV_STR_ARG(f.v[0].message));
	assert_int_equal(code, CV_OK);
	cv_findings_fini(&f);
	return doc;
}

static void test_everything_is_read(void **state)
{
	static const char text[] =
		"version: 1\n"
		"filesystem_policy: {read_only: [/usr, '/lib'], read_write: [/tmp]}\n"
		"landlock: {compatibility: hard_requirement}\n"
		"process: {run_as_user: 1000, run_as_group: sandbox}\n"
		"network_policies:\n"
		"  a:\n"
		"    name: Alpha\n"
		"    endpoints:\n"
		"      - host: x.example.com\n"
		"        ports: [1, 65535]\n"
		"        protocol: REST\n"
		"        tls: skip\n"
		"        enforcement: enforce\n"
		"        rules:\n"
		"          - allow: {method: GET, path: /a, query: {q: x*, r: {any: [b, c]}}}\n"
		"          - allow: {method: tools/call, tool: {any: [t]}, params: {name: {glob: n}}}\n"
		"        deny_rules:\n"
		"          - {operation_type: query, fields: [f, g]}\n"
		"        mcp: {max_body_bytes: 7, strict_tool_names: false}\n"
		"    binaries: [{path: /bin/a, harness: true}, {path: /bin/b}]\n"
		"  b: {}\n"
		"network_middlewares: {m: {order: -3, config: {x: [1]}, endpoints: {include: [h.i]}}}\n";
	struct cv_policy_doc *doc = must_load(CV_STR("version: 1\n"));

	(void)state;
	assert_true(doc->include_workdir); /* no filesystem section: the default policy's */
	cv_policy_doc_free(doc);

	doc = must_load(cv_str_of(text));
	assert_false(doc->include_workdir);
	assert_int_equal(doc->read_only.n, 2);
	assert_str(doc->read_only.v[1].s, "/lib");
	assert_int_equal(doc->landlock, CV_LANDLOCK_HARD_REQUIREMENT);
	assert_str(doc->run_as_user.s, "1000");
	assert_int_equal(doc->entry_count, 2);
	assert_str(doc->entries[0].name, "Alpha");
	assert_str(doc->entries[1].key.s, "b");
	assert_str(doc->entries[1].name, "b");
	assert_int_equal(doc->entries[0].binary_count, 2);
	assert_str(doc->entries[0].binaries[1].path.s, "/bin/b");

	const struct cv_policy_endpoint *e = &doc->entries[0].endpoints[0];
	assert_int_equal(e->pos.line, 9);
	assert_int_equal(e->pos.column, 9);
	assert_int_equal(e->port_count, 2);
	assert_int_equal(e->ports[1], 65535);
	assert_int_equal(e->protocol, CV_PROTOCOL_REST);
	assert_int_equal(e->tls, CV_TLS_SKIP);
	assert_int_equal(e->enforcement, CV_ENFORCEMENT_ENFORCE);
	assert_int_equal(e->mcp_max_body_bytes, 7);
	assert_false(e->mcp_strict_tool_names);
	assert_int_equal(e->rules.n, 2);
	assert_int_equal(e->rules.v[0].query_count, 2);
	assert_false(e->rules.v[0].query[0].is_any);
	assert_str(e->rules.v[0].query[0].globs.v[0].s, "x*");
	assert_true(e->rules.v[0].query[1].is_any);
	assert_str(e->rules.v[0].query[1].globs.v[1].s, "c");
	assert_str(e->rules.v[1].tool.v[0].s, "t");
	assert_str(e->rules.v[1].params[0].globs.v[0].s, "n");
	assert_str(e->deny_rules.v[0].fields.v[1].s, "g");
	assert_int_equal(e->deny_rules.v[0].pos.line, 18);
	assert_int_equal(doc->middlewares[0].order, -3);
	assert_str(doc->middlewares[0].include.v[0].s, "h.i");
	cv_policy_doc_free(doc);
}

static void test_b7_limits(void **state)
{
	const size_t n = CV_POLICY_FILE_BYTES_MAX + 1;
	char *big = malloc(n);
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	(void)state;
	memset(big, '\n', n);
	memcpy(big, "version: 1", 10);
	cv_policy_doc_free(must_load((struct cv_str){ big, n - 1 }));
	cv_findings_init(&f);
	assert_int_equal(
		cv_policy_load(CV_STR("p"), (struct cv_str){ big, n }, &doc, &f), CV_INVALID);
	assert_str(f.v[0].message, "a policy of 4194305 bytes; at most 4194304 are read");
	cv_findings_fini(&f);

	/* Three bytes each, a kilobyte in memory: it is the memory that is bounded. */
	static const char start[] = "version: 1\nnetwork_policies: {p: {endpoints: [";
	memcpy(big, start, sizeof(start) - 1);
	for (size_t i = sizeof(start) - 1; i + 3 < n; i += 3)
		memcpy(big + i, "{},", 3);
	cv_findings_init(&f);
	assert_int_equal(
		cv_policy_load(CV_STR("p"), (struct cv_str){ big, n - 3 }, &doc, &f), CV_INVALID);
	assert_str(f.v[0].message, "the policy needs more than 64 MiB of memory");
	cv_findings_fini(&f);
	free(big);
}

static void test_findings_are_bounded(void **state)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;
	struct cv_buf text, out;

	(void)state;
	cv_buf_init(&text, 1 << 20);
	cv_buf_init(&out, 1 << 20);
	for (int i = 0; i < 100; i++)
		cv_buf_printf(&text, "unknown%d: 1\n", i);
	cv_findings_init(&f);
	assert_int_equal(cv_policy_load(CV_STR("p"), cv_buf_str(&text), &doc, &f), CV_INVALID);
	assert_int_equal(f.n, CV_POLICY_FINDINGS_MAX);
	assert_int_equal(f.error_count, 101); /* and no version */
	assert_true(f.is_cut);
	cv_findings_text(&f, CV_STR("p"), &out);
	assert_true(cv_str_has_suffix(
		cv_buf_str(&out), CV_STR("p: more findings than 64; repair these first\n")));
	cv_buf_fini(&out);
	cv_buf_fini(&text);
	cv_findings_fini(&f);
}

static void test_json(void **state)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;
	struct cv_buf out;

	(void)state;
	cv_findings_init(&f);
	cv_buf_init(&out, 4096);
	(void)!cv_policy_load(CV_STR("a\"b"), CV_STR("version: 2\n"), &doc, &f);
	cv_findings_json(&f, CV_STR("a\"b"), &out);
	assert_str(cv_buf_str(&out),
		"{\"file\":\"a\\\"b\",\"errors\":1,\"cut\":false,\"findings\":[{\"line\":1,"
		"\"column\":10,\"level\":\"error\",\"where\":\"\",\"message\":"
		"\"version 2 is not supported\",\"fix\":\"write version: 1\"}]}\n");
	cv_buf_fini(&out);
	cv_findings_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_everything_is_read),
		cmocka_unit_test(test_b7_limits),
		cmocka_unit_test(test_findings_are_bounded),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
