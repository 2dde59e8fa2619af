/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_write.c - a document as JSON and back; JSON as people write it; providers' layers
 */
#include "unit/test.h"

#include "policy/findings.h"
#include "policy/fill.h"

static struct cv_policy_doc *load(struct cv_str text, struct cv_str layer)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;
	struct cv_buf said;

	cv_findings_init(&f);
	cv_buf_init(&said, 1 << 20);
	if (cv_policy_load_layered(CV_STR("p"), text, layer, &doc, &f) != CV_OK) {
		cv_findings_text(&f, CV_STR("p"), &said);
		print_message("%.*s", CV_STR_ARG(cv_buf_str(&said)));
	}
	cv_buf_fini(&said);
	cv_findings_fini(&f);
	return doc;
}

static const char everything[] =
	"version: 1\n"
	"filesystem_policy: {include_workdir: true, read_only: [/usr, \"/a b\"], read_write: []}\n"
	"landlock: {compatibility: hard_requirement}\n"
	"process: {run_as_user: sandbox}\n"
	"network_policies:\n"
	"  a:\n"
	"    name: \"shown \\u00e9\"\n"
	"    endpoints:\n"
	"      - host: a.example\n"
	"        ports: [80, 443]\n"
	"        protocol: rest\n"
	"        enforcement: enforce\n"
	"        rules:\n"
	"          - allow: {method: GET, path: /x/**, query: {q: a*, r: {any: [b, c]}, s: {any: [d]}}}\n"
	"        deny_rules: [{method: GET, path: /x/y}]\n"
	"        allowed_ips: [10.0.0.0/8]\n"
	"        credential_binding: {provider: p}\n"
	"        credential_mode: require\n"
	"        scrub: off\n"
	"        body_hold: hold\n"
	"        mcp: {max_body_bytes: 12}\n"
	"        graphql_persisted_queries: {q: {operation_type: query, fields: [a]}}\n"
	"      - {host: b.example, port: 5432, protocol: tcp}\n"
	"    binaries: [{path: /usr/bin/*}]\n"
	"  b: {endpoints: [], binaries: []}\n"
	"network_middlewares: {m: {middleware: openshell/regex, order: 3, endpoints: {include: [x]}}}\n"
	"tools:\n"
	"  t:\n"
	"    tools: [a.*, b]\n"
	"    binaries: [{path: /usr/bin/a}]\n"
	"    arguments:\n"
	"      - {path: $.a, equals: {x: [1, \"1\", null, TRUE]}}\n"
	"      - {path: \"$['b c'][*]\", in: [1.50, \"\"], optional: true}\n"
	"      - {path: $.c, glob: \"refs/**\"}\n"
	"      - {path: $.d, range: {min: -1}}\n"
	"      - {path: $.e, length: {min: 0}}\n"
	"      - {path: $.f, equals: }\n"
	"    limits: {calls: 3, bytes: 4294967295}\n"
	"    approval: once\n"
	"  u: {tools: [c]}\n";

static void assert_tools(const struct cv_policy_doc *doc)
{
	const struct cv_policy_tool_rule *t = &doc->tool_rules[0];
	const struct cv_policy_argument *a = t->arguments;

	assert_true(doc->has_tools);
	assert_int_equal(doc->tool_rule_count, 2);
	assert_int_equal(t->argument_count, 6);
	assert_true(a[0].has_equals && !a[0].has_in && !a[0].is_optional);
	assert_int_equal(a[0].equals.v[0].n, 4);
	assert_int_equal(a[0].equals.v[0].v[0].kind, CV_POLICY_NODE_NUMBER);
	assert_int_equal(a[0].equals.v[0].v[1].kind, CV_POLICY_NODE_STRING);
	assert_int_equal(a[0].equals.v[0].v[3].kind, CV_POLICY_NODE_BOOL);
	assert_true(a[1].has_in && a[1].is_optional);
	assert_str(a[1].in.v[0].s, "1.50");
	assert_str(a[2].glob.s, "refs/**");
	assert_true(a[3].has_range_min && !a[3].has_range_max);
	assert_true(a[4].has_length_min && !a[4].has_length_max && a[4].length_min == 0);
	assert_true(a[5].has_equals);
	assert_int_equal(a[5].equals.kind, CV_POLICY_NODE_NULL);
	assert_int_equal(t->calls, 3);
	assert_int_equal(t->bytes, UINT32_MAX);
	assert_int_equal(t->approval, CV_TOOL_APPROVAL_ONCE);
	t++;
	assert_false(t->has_arguments || t->has_binaries || t->has_limits);
	assert_int_equal(t->approval, CV_TOOL_APPROVAL_NEVER);
}

static void test_what_is_written_reads_the_same(void **state)
{
	struct cv_buf once, twice;

	(void)state;
	cv_buf_init(&once, 1 << 20);
	cv_buf_init(&twice, 1 << 20);
	struct cv_policy_doc *doc = load(cv_str_of(everything), CV_STR_NONE);
	assert_non_null(doc);
	cv_fill_write(&cv_policy_schema, doc, &once);
	cv_policy_doc_free(doc);
	doc = load(cv_buf_str(&once), CV_STR_NONE);
	assert_non_null(doc);
	cv_fill_write(&cv_policy_schema, doc, &twice);
	assert_true(cv_str_eq(cv_buf_str(&twice), cv_buf_str(&once)));
	assert_int_equal(doc->entries[0].endpoint_count, 2);
	const struct cv_policy_endpoint *e = &doc->entries[0].endpoints[0];
	assert_int_equal(e->port_count, 2);
	assert_int_equal(e->rules.v[0].query_count, 3);
	assert_true(e->rules.v[0].query[1].is_any);
	assert_int_equal(e->rules.v[0].query[2].globs.n, 1);
	assert_int_equal(e->scrub, CV_SCRUB_OFF);
	assert_int_equal(e->body_hold, CV_BODY_HOLD_HOLD);
	assert_int_equal(e->credential_mode, CV_CREDENTIAL_MODE_REQUIRE);
	assert_true(e->has_mcp && e->mcp_strict_tool_names && !e->has_json_rpc);
	assert_int_equal(doc->entries[0].endpoints[1].protocol, CV_PROTOCOL_TCP);
	assert_true(doc->has_filesystem && doc->read_write.is_present);
	assert_int_equal(doc->middlewares[0].order, 3);
	assert_tools(doc);
	cv_policy_doc_free(doc);
	cv_buf_fini(&once);
	cv_buf_fini(&twice);
}

/* Tabs, escapes, no blanks after colons, an escaped slash, characters beyond 16 bits as pairs. */
static void test_json_is_read_as_it_is(void **state)
{
	struct cv_policy_doc *doc = load(
		CV_STR("{\n\t\"version\":1,\n\t\"network_policies\":{\n\t\t\"a\\u0062\":{\"name\":"
		       "\"\\ud83d\\ude00 \\\\ud83d\\t\\/\",\"endpoints\":[\n\t\t\t{\"host\":"
		       "\"a.example\",\"port\":443}\n\t\t],\"binaries\":[]}}}\n"),
		CV_STR_NONE);

	(void)state;
	assert_non_null(doc);
	assert_str(doc->entries[0].key.s, "ab");
	assert_str(doc->entries[0].name, "\xf0\x9f\x98\x80 \\ud83d\t/");
	cv_policy_doc_free(doc);
}

static void test_a_lone_surrogate_is_refused(void **state)
{
	(void)state;
	assert_null(load(
		CV_STR("{\"version\": 1, \"network_policies\": {\"\\ud83d\": {}}}"), CV_STR_NONE));
	assert_null(load(CV_STR("{\"version\": 1, \"network_policies\": {\"\\ude00\\ud83d\": {}}}"),
		CV_STR_NONE));
	assert_null(load(CV_STR("{\"\\ud8"), CV_STR_NONE));
}

static const char layer[] =
	"{\"version\":1,\"network_policies\":{\"_provider_gh\":{\"endpoints\":[{\"host\":"
	"\"api.example\",\"ports\":[443],\"protocol\":\"rest\",\"access\":\"full\"}],\"binaries\":"
	"[{\"path\":\"/**\"}]}}}";

static void test_a_layer_lies_over_the_policy(void **state)
{
	struct cv_policy_doc *doc = load(cv_str_of(everything), cv_str_of(layer));
	struct cv_findings f;

	(void)state;
	assert_non_null(doc);
	assert_int_equal(doc->entry_count, 3);
	assert_true(doc->has_providers && doc->entries[2].is_provider);
	assert_str(doc->entries[2].key.s, "_provider_gh");
	assert_int_equal(doc->entries[2].endpoints[0].pos.line, 0);
	cv_policy_doc_free(doc);
	doc = load(CV_STR("version: 1\n"), cv_str_of(layer));
	assert_non_null(doc);
	cv_findings_init(&f);
	assert_int_equal(cv_policy_validate(doc, &f), CV_OK);
	cv_findings_fini(&f);
	cv_policy_doc_free(doc);
	/* only providers' names may come this way */
	assert_null(
		load(CV_STR("version: 1\n"), CV_STR("version: 1\nnetwork_policies: {a: {}}\n")));
	/* and nothing about tools, be it empty */
	assert_null(load(CV_STR("version: 1\n"), CV_STR("version: 1\ntools: {a: {tools: [b]}}\n")));
	assert_null(load(CV_STR("version: 1\n"), CV_STR("version: 1\ntools: {}\n")));
}

static void test_the_reserved_name_stays_reserved(void **state)
{
	struct cv_policy_doc *doc = load(cv_str_of(layer), CV_STR_NONE);
	struct cv_findings f;

	(void)state;
	assert_non_null(doc);
	cv_findings_init(&f);
	assert_int_equal(cv_policy_validate(doc, &f), CV_INVALID);
	cv_findings_fini(&f);
	cv_policy_doc_free(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_reads_the_same),
		cmocka_unit_test(test_json_is_read_as_it_is),
		cmocka_unit_test(test_a_lone_surrogate_is_refused),
		cmocka_unit_test(test_a_layer_lies_over_the_policy),
		cmocka_unit_test(test_the_reserved_name_stays_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
