/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_pb.c - policies as messages and back
 *
 * Round trips are over every policy of the tree (arguments: the files), compared as the writer's
 * JSON, which says all that the document holds.
 */
#include "unit/test.h"

#include "policy/fill.h"
#include "rpc/policy_text.c"

#include <glob.h>

static struct cv_str read_file(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	const size_t n = fread(buf, 1, size, f);
	fclose(f);
	assert_true(n < size);
	return (struct cv_str){ buf, n };
}

static struct cv_policy_doc *load(struct cv_str text)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	if (cv_policy_load(CV_STR("t"), text, &doc, &f) != CV_OK)
		doc = NULL;
	cv_findings_fini(&f);
	return doc;
}

/* What a document says, without the order of what are maps in the message. */
static int key_cmp(const void *a, const void *b)
{
	return cv_str_cmp(((const struct cv_policy_entry *)a)->key.s,
		((const struct cv_policy_entry *)b)->key.s);
}

static int middleware_cmp(const void *a, const void *b)
{
	return cv_str_cmp(((const struct cv_policy_middleware *)a)->key.s,
		((const struct cv_policy_middleware *)b)->key.s);
}

static int query_cmp(const void *a, const void *b)
{
	return cv_str_cmp(((const struct cv_policy_matcher *)a)->key.s,
		((const struct cv_policy_matcher *)b)->key.s);
}

static int persisted_cmp(const void *a, const void *b)
{
	return cv_str_cmp(((const struct cv_policy_persisted_query *)a)->id.s,
		((const struct cv_policy_persisted_query *)b)->id.s);
}

#define SORT(v, n, cmp)                                   \
	do {                                              \
		if (n)                                    \
			qsort(v, n, sizeof((v)[0]), cmp); \
	} while (0)

static void flatten(struct cv_policy_doc *doc)
{
	SORT(doc->entries, doc->entry_count, key_cmp);
	SORT(doc->middlewares, doc->middleware_count, middleware_cmp);
	for (size_t i = 0; i < doc->entry_count; i++)
		for (size_t k = 0; k < doc->entries[i].endpoint_count; k++) {
			struct cv_policy_endpoint *e = &doc->entries[i].endpoints[k];
			struct cv_policy_rules *lists[] = { &e->rules, &e->deny_rules };

			SORT(e->graphql_persisted_queries, e->graphql_persisted_query_count,
				persisted_cmp);
			e->has_graphql_persisted_queries = false;
			for (size_t l = 0; l < 2; l++)
				for (size_t r = 0; r < lists[l]->n; r++) {
					SORT(lists[l]->v[r].query, lists[l]->v[r].query_count,
						query_cmp);
					SORT(lists[l]->v[r].params, lists[l]->v[r].params_count,
						query_cmp);
				}
		}
}

static void says_the_same(struct cv_policy_doc *a, struct cv_policy_doc *b)
{
	struct cv_buf x, y;

	flatten(a);
	flatten(b);
	cv_buf_init(&x, 8u << 20);
	cv_buf_init(&y, 8u << 20);
	cv_fill_write(&cv_policy_schema, a, &x);
	cv_fill_write(&cv_policy_schema, b, &y);
	assert_int_equal(cv_buf_len(&x), cv_buf_len(&y));
	assert_memory_equal(cv_buf_str(&x).p, cv_buf_str(&y).p, cv_buf_len(&x));
	cv_buf_fini(&x);
	cv_buf_fini(&y);
}

/* Text to message to text to document: the same; and the message is canonical. */
static void round_trip(struct cv_str text)
{
	struct cv_policy_doc *doc = load(text), *again;
	struct cv_err err = { 0 };
	struct cv_arena arena;
	cv_policy_pb *m, *canonical;
	char hash[2][CV_POLICY_HASH_BYTES];

	assert_non_null(doc);
	cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
	if (cv_policy_pb_from_doc(doc, &arena, &m, &err) != CV_OK)
		fail_msg("%s", err.msg);
	if (cv_policy_pb_to_doc(m, &again, &err) != CV_OK)
		fail_msg("%s", err.msg);
	says_the_same(doc, again);
	assert_int_equal(cv_policy_pb_canonical(m, &arena, &canonical, &err), CV_OK);
	assert_int_equal(cv_policy_pb_hash(m, hash[0], &err), CV_OK);
	assert_int_equal(cv_policy_pb_hash(canonical, hash[1], &err), CV_OK);
	assert_string_equal(hash[0], hash[1]);
	cv_policy_doc_free(doc);
	cv_policy_doc_free(again);
	cv_arena_fini(&arena);
}

static void examples_survive(void **state)
{
	static char buf[1 << 20];
	glob_t g = { 0 };
	size_t n = 0;

	(void)state;
	assert_int_equal(glob(TREE "/examples/policies/*.yaml", 0, NULL, &g), 0);
	(void)glob(TREE "/tests/fuzz/policy/corpus/policy/*", GLOB_APPEND, NULL, &g);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		const struct cv_str text = read_file(g.gl_pathv[i], buf, sizeof(buf));
		struct cv_findings f;
		struct cv_policy *policy;

		cv_findings_init(&f); /* of seeds that are no policies there is nothing to say */
		if (cv_policy_open(CV_STR("t"), text, &policy, &f) == CV_OK) {
			cv_policy_unref(policy);
			round_trip(text);
			n++;
		}
		cv_findings_fini(&f);
	}
	globfree(&g);
	assert_true(n > 8);
}

#define HEAD \
	"version: 1\nnetwork_policies:\n  p:\n    endpoints:\n    - {host: a.example.com, port: 443, "
#define BINARIES "}\n    binaries: [{path: /usr/bin/curl}]\n"

static void fields_survive(void **state)
{
	static const char *const texts[] = {
		"version: 1\nfilesystem_policy: {read_only: [/usr, \"/a b\"], read_write: [/tmp]}\n"
		"landlock: {compatibility: hard_requirement}\nprocess: {run_as_user: \"1000\"}\n",
		"version: 1\nlandlock: {compatibility: best_effort}\n",
		HEAD
		"protocol: rest, enforcement: enforce, path: /v1/**, rules: [{allow: {method: GET, "
		"path: '/**', query: {b: {any: [x, 'y z']}, a: '1*', c: {glob: q}}}}], deny_rules: "
		"[{method: '*', path: /admin}], allowed_ips: [10.0.0.0/8], allow_encoded_slash: true, "
		"h2c: true, token_endpoint: true, scrub: 'off', body_hold: watch, credential_mode: require" BINARIES,
		HEAD
		"protocol: graphql, rules: [{allow: {operation_type: query, operation_name: 'A*', "
		"fields: [viewer]}}], persisted_queries: allow_registered, graphql_persisted_queries: "
		"{b: {operation_type: query, fields: [x]}, a: {operation_name: N}}, "
		"graphql_max_body_bytes: 100000" BINARIES,
		HEAD
		"protocol: mcp, rules: [{allow: {method: tools/call, tool: {any: [a, b]}}}, "
		"{allow: {method: initialize}}], mcp: {max_body_bytes: 1000, strict_tool_names: false, "
		"allow_all_known_mcp_methods: true}" BINARIES,
		HEAD
		"protocol: json-rpc, rules: [{allow: {method: m}}], json_rpc: {max_body_bytes: 5}" BINARIES,
		HEAD
		"credential_binding: {provider: aws}, credential_signing: sigv4, signing_service: s3, "
		"signing_region: eu-1, tls: skip, allow_uninspected_credentials: true" BINARIES,
		"version: 1\nnetwork_policies:\n  \"1\": {name: \"true\", endpoints: [{host: x, ports: [1, 2, "
		"65535], protocol: tcp}]}\n  _: {}\n",
		"version: 1\nnetwork_middlewares:\n  m: {middleware: cove/dlp, order: -3, on_error: "
		"fail_open, config: {a: 1.5, b: [x, 2, null, {c: true}, [], [1, [2]], {}], d: {}, e: \"1\", "
		"f: -0.25, g: []}, endpoints: {include: ['*.a.com'], exclude: [b.a.com]}}\n",
		"version: 1\ntools:\n  z: {tools: ['b/*'], arguments: [{path: x, range: {min: 1.50}}]}\n"
		"  a: {tools: [c], approval: once, limits: {calls: 3}}\n",
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(texts); i++)
		round_trip(cv_str_of(texts[i]));
}

static void texts_are_quoted(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain", "plain" },
		{ "/a/**", "/a/**" },
		{ "*.x", "\"*.x\"" },
		{ "yes", "\"yes\"" },
		{ "1", "\"1\"" },
		{ "a: b", "\"a: b\"" },
		{ "a\n- b", "\"a\\U0000000a- b\"" },
		{ "\xe2\x80\xae", "\"\\U0000202e\"" },
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
		{ "q\"\\", "\"q\\\"\\\\\"" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_err err;
		struct cv_buf out;
		struct cv_yout w = { .out = &out, .err = &err };

		cv_buf_init(&out, 4096);
		cv_yout_scalar(&w, rows[i].in);
		assert_int_equal(cv_buf_len(&out), strlen(rows[i].out));
		assert_memory_equal(cv_buf_str(&out).p, rows[i].out, strlen(rows[i].out));
		cv_buf_fini(&out);
	}
}

/* ---- what clients send ---- */

struct sample {
	cv_policy_pb m;
	PB(SandboxPolicy__NetworkPoliciesEntry) entry, *entries[1];
	PB(NetworkPolicyRule) rule;
	PB(NetworkEndpoint) endpoint, *endpoints[1];
	PB(NetworkBinary) binary, *binaries[1];
	uint32_t ports[2];
};

static void sample_init(struct sample *s)
{
	openshell__sandbox__v1__sandbox_policy__init(&s->m);
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(&s->entry);
	openshell__sandbox__v1__network_policy_rule__init(&s->rule);
	openshell__sandbox__v1__network_endpoint__init(&s->endpoint);
	openshell__sandbox__v1__network_binary__init(&s->binary);
	s->m.version = 1;
	s->m.network_policies = s->entries;
	s->m.n_network_policies = 1;
	s->entries[0] = &s->entry;
	s->entry.key = (char[]){ "github" };
	s->entry.value = &s->rule;
	s->rule.endpoints = s->endpoints;
	s->rule.n_endpoints = 1;
	s->endpoints[0] = &s->endpoint;
	s->rule.binaries = s->binaries;
	s->rule.n_binaries = 1;
	s->binaries[0] = &s->binary;
}

static void canonical_has_one_spelling(void **state)
{
	static char key[] = "github", host[] = "api.github.com", path[] = "/usr/bin/gh";
	char hash[2][CV_POLICY_HASH_BYTES];
	struct cv_err err = { 0 };
	struct cv_arena arena;
	struct sample s;
	cv_policy_pb *a, *b;

	(void)state;
	cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
	sample_init(&s);
	s.entry.key = key;
	s.endpoint.host = host;
	s.endpoint.port = 443;
	s.binary.path = path;
	assert_int_equal(cv_policy_pb_canonical(&s.m, &arena, &a, &err), CV_OK);
	s.m.version = 0;
	s.rule.name = key;
	s.endpoint.port = 80; /* ports wins */
	s.ports[0] = 443;
	s.endpoint.ports = s.ports;
	s.endpoint.n_ports = 1;
	s.endpoint.advisor_proposed = s.endpoint.provider_credentialed = true;
	assert_int_equal(cv_policy_pb_canonical(&s.m, &arena, &b, &err), CV_OK);
	assert_int_equal(cv_policy_pb_hash(a, hash[0], &err), CV_OK);
	assert_int_equal(cv_policy_pb_hash(b, hash[1], &err), CV_OK);
	assert_string_equal(hash[0], hash[1]);
	assert_string_equal(b->network_policies[0]->value->name, "github");
	assert_int_equal(b->network_policies[0]->value->endpoints[0]->port, 443);
	assert_false(b->network_policies[0]->value->endpoints[0]->advisor_proposed);
	cv_arena_fini(&arena);
}

static void refused(const cv_policy_pb *m, const char *message)
{
	struct cv_err err = { 0 };
	struct cv_arena arena;
	cv_policy_pb *ret;

	cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
	assert_int_equal(cv_policy_pb_canonical(m, &arena, &ret, &err), CV_INVALID);
	if (!strstr(err.msg, message))
		fail_msg("'%s' is not in '%s'", message, err.msg);
	cv_arena_fini(&arena);
}

static void errors_name_the_field(void **state)
{
	static char key[] = "github", bad[] = "a\xff", word[] = "smtp", glob_[] = "x",
		    injected[] = "{}\nversion: 1";
	char *any[] = { glob_ };
	PB(L7Rule) rule, *rules[] = { &rule };
	PB(L7Allow) allow;
	PB(L7Allow__QueryEntry) query, *queries[] = { &query };
	PB(L7QueryMatcher) matcher;
	struct sample s;

	(void)state;
	sample_init(&s);
	s.entry.key = key;
	s.endpoint.port = 70000;
	refused(&s.m, "network_policies.github.endpoints[0].port: 70000 is no port");
	s.endpoint.port = 1;
	s.endpoint.host = bad;
	refused(&s.m, "network_policies.github.endpoints[0].host: is not UTF-8");
	s.endpoint.host = glob_;
	s.endpoint.protocol = word;
	refused(&s.m, "github.endpoints[0]: unknown protocol 'smtp'");
	openshell__sandbox__v1__l7_rule__init(&rule);
	openshell__sandbox__v1__l7_allow__init(&allow);
	openshell__sandbox__v1__l7_allow__query_entry__init(&query);
	openshell__sandbox__v1__l7_query_matcher__init(&matcher);
	s.endpoint.protocol = glob_;
	s.endpoint.rules = rules;
	s.endpoint.n_rules = 1;
	refused(&s.m, "network_policies.github.endpoints[0].rules[0]: has no allow");
	rule.allow = &allow;
	allow.query = queries;
	allow.n_query = 1;
	query.key = glob_;
	query.value = &matcher;
	matcher.glob = glob_;
	matcher.any = any;
	matcher.n_any = 1;
	refused(&s.m, "network_policies.github.endpoints[0].rules[0].allow.query.x: has both");
	s.m.n_network_policies = 0;
	s.m.tools = injected;
	refused(&s.m, "tools: is not one line");
}

static void what_has_no_message_is_refused(void **state)
{
	static const char *const texts[] = {
		HEAD "protocol: rest, rules: []" BINARIES,
		HEAD "allowed_ips: []" BINARIES,
		HEAD
		"protocol: mcp, rules: [{allow: {method: tools/call, tool: a, params: {name: b}}}]" BINARIES,
		"version: 1\nnetwork_middlewares: {m: {config: {a: 9007199254740993}}}\n",
		"version: 1\nprocess: {run_as_user: \"a\\0b\"}\n",
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(texts); i++) {
		struct cv_err err = { 0 };
		struct cv_arena arena;
		cv_policy_pb *m;

		cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
		if (cv_policy_pb_from_text(CV_STR("t"), cv_str_of(texts[i]), &arena, &m, &err) !=
			CV_INVALID)
			fail_msg("accepted: %s", texts[i]);
		assert_true(err.msg[0]);
		cv_arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_survive),
		cmocka_unit_test(fields_survive),
		cmocka_unit_test(texts_are_quoted),
		cmocka_unit_test(canonical_has_one_spelling),
		cmocka_unit_test(errors_name_the_field),
		cmocka_unit_test(what_has_no_message_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
