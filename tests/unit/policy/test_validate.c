/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_validate.c - the rules of the language: each broken once, and what is said
 *
 * Method: each case of cases_rules.h is loaded and judged, and everything said is compared word
 * for word; a case that is fine has nothing said.  The examples must be fine.  Overlap of patterns
 * is also compared with what single names and paths match, and the search of ambiguities with
 * comparing every pair.
 */
#include "unit/test.h"

#include "policy/ambiguity.c"

#include <time.h>

struct said_case {
	const char *name;
	struct cv_str yaml;
	const char *said;
};

#define CASE(name, yaml, said) { #name, { yaml, sizeof(yaml) - 1 }, said },
static const struct said_case cases[] = {
#include "cases_rules.h"
};

static struct cv_policy_doc *must_load(struct cv_str text)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	if (cv_policy_load(CV_STR("p"), text, &doc, &f) != CV_OK)
		fail_msg("%.*s", CV_STR_ARG(f.v[0].message));
	cv_findings_fini(&f);
	return doc;
}

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(cases); i++) {
		struct cv_policy_doc *doc = must_load(cases[i].yaml);
		struct cv_findings f;
		struct cv_buf out;

		cv_findings_init(&f);
		cv_buf_init(&out, 1 << 20);
		const cv_code code = cv_policy_validate(doc, &f);
		cv_findings_text(&f, CV_STR("p"), &out);
		if (!cv_str_eq(cv_buf_str(&out), cv_str_of(cases[i].said)))
			fail_msg("%s: said\n%.*swant\n%s", cases[i].name,
				CV_STR_ARG(cv_buf_str(&out)), cases[i].said);
		assert_int_equal(code, strstr(cases[i].said, "error:") ? CV_INVALID : CV_OK);
		cv_buf_fini(&out);
		cv_findings_fini(&f);
		cv_policy_doc_free(doc);
	}
}

static void test_examples_are_valid(void **state)
{
	static const char *const names[] = { "api-with-rules", "database", "github-read-only",
		"internal-host", "npm", "pypi" };
	static char text[1 << 16];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++) {
		char path[512];
		struct cv_findings f;

		snprintf(path, sizeof(path), "%s/%s.yaml", EXAMPLES_DIR, names[i]);
		FILE *file = fopen(path, "r");
		assert_non_null(file);
		const size_t n = fread(text, 1, sizeof(text), file);
		fclose(file);
		struct cv_policy_doc *doc = must_load((struct cv_str){ text, n });
		cv_findings_init(&f);
		assert_int_equal(cv_policy_validate(doc, &f), CV_OK);
		assert_int_equal(cv_policy_enforceable(doc, &f), CV_OK);
		if (f.n)
			fail_msg("%s: %.*s", names[i], CV_STR_ARG(f.v[0].message));
		cv_findings_fini(&f);
		cv_policy_doc_free(doc);
	}
}

static void test_not_built_is_refused_by_name(void **state)
{
	static const struct {
		const char *endpoint, *said;
		enum { NOT_BUILT, OF_PROVIDER, IDLE, ON_REST } what;
	} rows[] = {
		{ "protocol: websocket, rules: [{allow: {operation_type: query}}]",
			"GraphQL on protocol websocket" },
		{ "protocol: websocket, access: full, deny_rules: [{operation_type: mutation}]",
			"GraphQL on protocol websocket" },
		{ "protocol: websocket, access: full, persisted_queries: deny",
			"persisted_queries" },
		{ "protocol: websocket, access: full, websocket_credential_rewrite: true",
			"websocket_credential_rewrite", IDLE },
		{ "protocol: graphql, access: full", "protocol graphql" },
		{ "protocol: sql, access: full", "protocol sql" },
		{ "protocol: json-rpc, rules: [{allow: {method: a}}]", "protocol json-rpc" },
		{ "protocol: mcp, rules: [{allow: {method: a}}]", "protocol mcp" },
		{ "protocol: rest, access: full, websocket_credential_rewrite: true",
			"websocket_credential_rewrite", ON_REST },
		{ "protocol: rest, access: full, request_body_credential_rewrite: true",
			"request_body_credential_rewrite", IDLE },
		{ "protocol: rest, access: full, credential_signing: sigv4, signing_service: s3",
			"credential_signing", OF_PROVIDER },
		{ "protocol: rest, access: full, token_endpoint: true, credential_binding: {provider: x}",
			"credential_binding", OF_PROVIDER },
		{ "credential_binding: {provider: x}", "credential_binding", OF_PROVIDER },
		{ "allow_uninspected_credentials: true", "allow_uninspected_credentials", IDLE },
	};

	static const char *const said[] = { [NOT_BUILT] = "is not enforced by this build",
		[OF_PROVIDER] = "means something only beside a provider",
		[IDLE] = "does nothing without a provider",
		[ON_REST] = "does nothing on protocol rest, where upgrades are refused" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const bool is_error = rows[i].what == NOT_BUILT || rows[i].what == OF_PROVIDER;
		char text[512], want[256];
		struct cv_findings f;

		snprintf(text, sizeof(text),
			"version: 1\nnetwork_policies: {p: {binaries: [{path: /a}], endpoints: "
			"[{host: a.example.com, port: 1, %s}]}}\n",
			rows[i].endpoint);
		snprintf(want, sizeof(want), "%s %s", rows[i].said, said[rows[i].what]);
		struct cv_policy_doc *doc = must_load(cv_str_of(text));
		cv_findings_init(&f);
		assert_int_equal(cv_policy_validate(doc, &f), CV_OK);
		assert_int_equal(f.n, 0);
		assert_int_equal(cv_policy_enforceable(doc, &f), is_error ? CV_INVALID : CV_OK);
		assert_int_equal(f.n, 1);
		assert_int_equal(f.v[0].is_error, is_error);
		assert_str(f.v[0].message, want);
		cv_findings_fini(&f);
		cv_policy_doc_free(doc);
	}
}

static void test_credentials_beside_a_provider(void **state)
{
	static const struct {
		const char *endpoint;
		cv_code code;
	} rows[] = {
		{ "protocol: websocket, access: full, websocket_credential_rewrite: true", CV_OK },
		{ "protocol: websocket, access: full, allow_uninspected_credentials: true", CV_OK },
		{ "allow_uninspected_credentials: true", CV_OK },
		{ "protocol: rest, access: full, websocket_credential_rewrite: true", CV_OK },
		{ "protocol: graphql, access: full", CV_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		char text[512];
		struct cv_findings f;

		snprintf(text, sizeof(text),
			"version: 1\nnetwork_policies: {p: {binaries: [{path: /a}], endpoints: "
			"[{host: a.example.com, port: 1, %s}]}}\n",
			rows[i].endpoint);
		struct cv_policy_doc *doc = must_load(cv_str_of(text));
		doc->has_providers = true;
		cv_findings_init(&f);
		assert_int_equal(cv_policy_enforceable(doc, &f), rows[i].code);
		cv_findings_fini(&f);
		cv_policy_doc_free(doc);
	}
}

static void test_path_overlap(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} rows[] = {
		{ "", "/a", true },
		{ "**", "/a", true },
		{ "/a", "/a", true },
		{ "/a", "/b", false },
		{ "/a/**", "/a", true },
		{ "/a/**", "/ab", false },
		{ "/a/**", "/a/b/c", true },
		{ "/a/*", "/a/b/c", true }, /* the selector's * crosses / */
		{ "/a/*.json", "/a/*.xml", false },
		{ "/a/*.json", "/a/x*", true },
		{ "/*/b", "/a/c", false },
		{ "/a?c", "/abc", true },
		{ "/a[bc]", "/ab", true },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const struct cv_str a = cv_str_of(rows[i].a), b = cv_str_of(rows[i].b);

		if (cv_policy_paths_overlap(a, b) != rows[i].overlap ||
			cv_policy_paths_overlap(b, a) != rows[i].overlap)
			fail_msg("%s %s", rows[i].a, rows[i].b);
	}
}

/* A policy of n endpoints from few hosts, ports, paths and settings. */
static void put_random(struct cv_buf *b, unsigned n, unsigned *seed)
{
	static const char *const hosts[] = { "a.x.com", "b.x.com", "*.x.com", "**.x.com",
		"a-*.x.com", "a-b.x.com", "a.*.com", "*.y.x.com", "a.y.x.com", "**.y.x.com" };
	static const char *const paths[] = { "", "/a", "/a/**", "/b/*", "/a/b" };

	cv_buf_printf(
		b, "version: 1\nnetwork_policies: {p: {binaries: [{path: /a}], endpoints: [\n");
	for (unsigned i = 0; i < n; i++) {
		const unsigned r = (unsigned)rand_r(seed);

		cv_buf_printf(b, "{host: \"%s\", port: %u%s, path: \"%s\"%s},\n", hosts[r % 10],
			r / 10 % 3 + 1, r / 30 % 4 ? ", protocol: rest, access: full" : "",
			paths[r / 120 % 5],
			r / 600 % 8 == 0   ? ", tls: skip"
			: r / 600 % 8 == 1 ? ", enforcement: enforce"
					   : "");
	}
	cv_buf_printf(b, "]}}\n");
}

static bool naive_differs(const struct cv_policy_doc *doc)
{
	struct item items[16];
	struct search s = { .items = items, .item_count = doc->entries[0].endpoint_count };
	size_t node_max;
	bool differs = false;

	assert_true(s.item_count <= CV_ARRAY_LEN(items));
	cv_arena_init(&s.arena, CV_POLICY_DOC_BYTES_MAX);
	assert_true(items_fill(&s, doc, &node_max));
	for (size_t i = 0; i < s.item_count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct item *a = &items[i], *b = &items[j];

			differs |= a->ep->ports[0] == b->ep->ports[0] &&
				   cv_policy_hosts_overlap(a->ep->host.s, b->ep->host.s) &&
				   (fields_differ(FIELD_CONNECTION, a, b, NULL, 0) ||
					   (request_overlaps(a->ep, b->ep) &&
						   fields_differ(FIELD_REQUEST, a, b, NULL, 0)));
		}
	cv_arena_fini(&s.arena);
	return differs;
}

static void test_search_equals_comparing_all_pairs(void **state)
{
	unsigned seed = 7, counts[2] = { 0 };

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct cv_findings f;
		struct cv_buf b;

		cv_buf_init(&b, 1 << 16);
		put_random(&b, 2 + (unsigned)round % 5, &seed);
		struct cv_policy_doc *doc = must_load(cv_buf_str(&b));
		cv_findings_init(&f);
		cv_check_ambiguity(doc, &f);
		const bool want = naive_differs(doc);
		if ((f.error_count > 0) != want)
			fail_msg("want %d:\n%.*s", want, CV_STR_ARG(cv_buf_str(&b)));
		counts[want]++;
		cv_findings_fini(&f);
		cv_policy_doc_free(doc);
		cv_buf_fini(&b);
	}
	assert_true(counts[0] > 300 && counts[1] > 300);
}

/* Thousands of overlapping endpoints: judged or refused, in bounded work. */
static void test_b7_many_endpoints(void **state)
{
	(void)state;
	for (int is_tangled = 0; is_tangled < 2; is_tangled++) {
		struct cv_findings f;
		struct cv_buf b;

		cv_buf_init(&b, 4 << 20);
		cv_buf_printf(&b,
			"version: 1\nnetwork_policies: {p: {binaries: [{path: /a}], endpoints: [\n");
		for (int i = 0; i < 10000; i++)
			cv_buf_printf(&b,
				"{host: \"h%05d-*.example.com\", port: 443, protocol: rest, "
				"access: full%s},\n",
				i, is_tangled && i % 2 ? ", enforcement: enforce" : "");
		cv_buf_printf(&b, "]}}\n");
		struct cv_policy_doc *doc = must_load(cv_buf_str(&b));
		cv_findings_init(&f);
		const clock_t start = clock();
		const cv_code code = cv_policy_validate(doc, &f);
		assert_true(clock() - start < CLOCKS_PER_SEC); /* sanitizers, busy machines */
		assert_int_equal(code, is_tangled ? CV_INVALID : CV_OK);
		if (is_tangled)
			assert_str(f.v[0].message,
				"too many endpoints overlap and differ to compare them all");
		cv_findings_fini(&f);
		cv_policy_doc_free(doc);
		cv_buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_examples_are_valid),
		cmocka_unit_test(test_not_built_is_refused_by_name),
		cmocka_unit_test(test_credentials_beside_a_provider),
		cmocka_unit_test(test_path_overlap),
		cmocka_unit_test(test_search_equals_comparing_all_pairs),
		cmocka_unit_test(test_b7_many_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
