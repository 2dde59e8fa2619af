/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_compose.c - attached providers: what is refused, the layer, bindings and rules of the set
 */
#include "unit/test.h"

#include "cred/compose.c"

static const unsigned char seed[CV_SHAPE_SEED_BYTES] = { 1, 2, 3 };

#define NOW 1000000

static struct cv_profile *profile(const char *text)
{
	struct cv_profile *p = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	assert_int_equal(cv_profile_load(CV_STR("p"), cv_str_of(text), &p, &f), CV_OK);
	cv_findings_fini(&f);
	return p;
}

static const char api[] =
	"id: api\n"
	"credentials: [{name: t, env_vars: [T]}]\n"
	"endpoints:\n"
	"  - {host: ro.example, port: 443, protocol: rest, access: read-only}\n"
	"  - {host: rw.example, ports: [443, 8443], path: /v1/**, protocol: rest, access: read-write,\n"
	"     credential_mode: require, scrub: off}\n"
	"  - {host: full.example, port: 443, protocol: rest, access: full}\n"
	"  - host: rules.example\n"
	"    port: 443\n"
	"    protocol: rest\n"
	"    rules: [{allow: {method: GET, path: /a/*}}, {allow: {path: /b}}]\n"
	"  - {host: nothing.example, port: 443, protocol: rest, rules: [{allow: {path: /b}}]}\n"
	"  - {host: raw.example, port: 443, tls: skip}\n"
	"  - {host: db.example, port: 5432, protocol: tcp}\n"
	"binaries: [{path: /usr/bin/x}]\n";

static struct cv_attached_key one_key(const char *key, const char *value)
{
	return (struct cv_attached_key){
		.key = cv_str_of(key), .value = cv_str_of(value), .refresh = CV_CRED_NONE
	};
}

static void expect(const struct cv_attached *v, size_t n, const char *said)
{
	struct cv_err err = { 0 };
	const cv_code code = cv_compose_check(v, n, NOW, &err);

	if ((code == CV_OK) != !said || (said && !strstr(err.msg, said)))
		fail_msg("said '%s', want '%s'", err.msg, said ? said : "nothing");
}

static void test_what_is_refused(void **state)
{
	struct cv_profile *p = profile(api);
	struct cv_attached_key a = one_key("A", "1"), b = one_key("B", "2");
	struct cv_attached v[] = {
		{ .name = CV_STR("x"), .profile = p, .keys = &a, .key_count = 1 },
		{ .name = CV_STR("y"), .profile = p, .keys = &b, .key_count = 1 },
	};

	(void)state;
	expect(v, 2, NULL);
	b.key = CV_STR("A");
	expect(v, 2, "providers x and y both set A");
	b = one_key("v1_B", "2");
	expect(v, 2, "can't be a variable's name");
	static const struct {
		struct cv_str value;
		const char *said;
	} values[] = { { { "a\rb", 3 }, "line break" }, { { "a\nb", 3 }, "line break" },
		{ { "a\0b", 3 }, "NUL" }, { { "", 0 }, "is empty" } };
	for (size_t i = 0; i < CV_ARRAY_LEN(values); i++) {
		b = one_key("B", "2");
		b.value = values[i].value;
		expect(v, 2, values[i].said);
	}
	static char large[CV_CRED_VALUE_BYTES_MAX + 1];
	memset(large, 'x', sizeof(large));
	b.value = (struct cv_str){ large, sizeof(large) - 1 };
	expect(v, 2, NULL);
	b.value.n++;
	expect(v, 2, "longer than 64 KiB");
	b = one_key("B", "2");
	b.expires_s = NOW + 1;
	expect(v, 2, NULL);
	b.expires_s = NOW;
	expect(v, 2, "B has expired");
	b.refresh = 0;
	expect(v, 2, NULL);
	b.value = CV_STR_NONE; /* to be refreshed first */
	expect(v, 2, NULL);
	v[1].name = CV_STR("x");
	expect(v, 2, "two providers are named x");
	cv_profile_free(p);
}

static const struct cv_cred_binding *binding(const struct cv_cred_set *set, const char *host)
{
	for (size_t i = 0; i < set->providers[0].binding_count; i++)
		if (cv_str_eq(set->providers[0].bindings[i].host, cv_str_of(host)))
			return &set->providers[0].bindings[i];
	return NULL;
}

static void test_bindings_are_the_endpoints(void **state)
{
	struct cv_profile *p = profile(api);
	struct cv_attached_key key = one_key("T", "value");
	const struct cv_attached v = {
		.name = CV_STR("mine"), .profile = p, .keys = &key, .key_count = 1
	};
	struct cv_cred_set set;
	struct cv_err err;

	(void)state;
	assert_int_equal(cv_compose_set(&v, 1, NULL, seed, &set, &err), CV_OK);
	assert_int_equal(set.cred_count, 1);
	assert_str(set.creds[0].placeholder, "openshell:resolve:env:T");
	assert_str(set.creds[0].value, "value");
	assert_true(set.creds[0].value.p != key.value.p);
	assert_str(set.providers[0].type, "api");
	const struct cv_cred_binding *b = binding(&set, "ro.example");
	assert_int_equal(b->rule_count, 3);
	assert_str(b->rules[2].method, "OPTIONS");
	assert_str(b->rules[2].path, "**");
	assert_false(b->is_required || b->is_unscrubbed);
	b = binding(&set, "rw.example");
	assert_int_equal(b->rule_count, 6);
	assert_str(b->path, "/v1/**");
	assert_int_equal(b->port_count, 2);
	assert_int_equal(b->ports[1], 8443);
	assert_true(b->is_required && b->is_unscrubbed);
	assert_int_equal(binding(&set, "full.example")->rule_count, 0); /* every method */
	b = binding(&set, "rules.example");
	assert_int_equal(b->rule_count, 1); /* without a method a rule allows nothing */
	assert_str(b->rules[0].path, "/a/*");
	assert_int_equal(
		binding(&set, "nothing.example")->rule_count, 1); /* and not every method */
	assert_str(binding(&set, "nothing.example")->rules[0].method, "-");
	assert_null(binding(&set, "raw.example")); /* nothing can be put in place there */
	assert_non_null(binding(&set, "db.example"));
	cv_cred_set_fini(&set);
	cv_profile_free(p);
}

static struct cv_policy_doc *policy(const char *text, struct cv_str layer)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	assert_int_equal(
		cv_policy_load_layered(CV_STR("p"), cv_str_of(text), layer, &doc, &f), CV_OK);
	cv_findings_fini(&f);
	return doc;
}

#define BINDS(provider)                                                                          \
	"version: 1\nnetwork_policies: {a: {endpoints: [{host: b.example, port: 443, protocol: " \
	"rest, access: read-only, credential_binding: {provider: " provider                      \
	"}}], binaries: []}}\n"

static void test_policies_bind(void **state)
{
	struct cv_profile *loose = profile("id: generic\n"), *bound = profile(api);
	struct cv_attached_key key = one_key("T", "value");
	struct cv_attached v = {
		.name = CV_STR("mine"), .profile = loose, .keys = &key, .key_count = 1
	};
	struct cv_policy_doc *doc = policy(BINDS("mine"), CV_STR("version: 1"));
	struct cv_cred_set set;
	struct cv_err err;

	(void)state;
	assert_int_equal(cv_compose_set(&v, 1, doc, seed, &set, &err), CV_OK);
	assert_int_equal(set.providers[0].binding_count, 1);
	assert_str(set.providers[0].bindings[0].host, "b.example");
	assert_int_equal(set.providers[0].bindings[0].rule_count, 3);
	cv_cred_set_fini(&set);
	v.profile = bound;
	assert_int_equal(cv_compose_set(&v, 1, doc, seed, &set, &err), CV_INVALID);
	assert_non_null(strstr(err.msg, "has endpoints of its own"));
	cv_policy_doc_free(doc);
	doc = policy(BINDS("other"), CV_STR("version: 1"));
	assert_int_equal(cv_compose_set(&v, 1, doc, seed, &set, &err), CV_INVALID);
	assert_non_null(strstr(err.msg, "not attached"));
	cv_policy_doc_free(doc);
	cv_profile_free(loose);
	cv_profile_free(bound);
}

/* The layer is what the profile says, under the provider's name. */
static void test_layer(void **state)
{
	struct cv_profile *p = profile(api), *loose = profile("id: generic\n");
	const struct cv_attached v[] = { { .name = CV_STR("mine"), .profile = p },
		{ .name = CV_STR("loose"), .profile = loose } };
	struct cv_buf b;
	struct cv_err err;

	(void)state;
	cv_buf_init(&b, 1 << 16);
	assert_int_equal(cv_compose_layer(v, 2, &b, &err), CV_OK);
	struct cv_policy_doc *doc = policy("version: 1\n", cv_buf_str(&b));
	assert_int_equal(doc->entry_count, 1);
	assert_str(doc->entries[0].key.s, "_provider_mine");
	assert_str(doc->entries[0].name, "_provider_mine");
	assert_int_equal(doc->entries[0].endpoint_count, p->network.endpoint_count);
	assert_int_equal(doc->entries[0].endpoints[1].scrub, CV_SCRUB_OFF);
	assert_str(doc->entries[0].binaries[0].path.s, "/usr/bin/x");
	cv_policy_doc_free(doc);
	cv_buf_fini(&b);
	cv_buf_init(&b, 64);
	assert_int_equal(cv_compose_layer(v, 2, &b, &err), CV_LIMIT);
	cv_buf_fini(&b);
	/* nothing to lay over, and yet there is a provider */
	cv_buf_init(&b, 1 << 16);
	assert_int_equal(cv_compose_layer(&v[1], 1, &b, &err), CV_OK);
	doc = policy("version: 1\n", cv_buf_str(&b));
	assert_true(doc->has_providers && !doc->entry_count);
	cv_policy_doc_free(doc);
	cv_buf_fini(&b);
	cv_profile_free(p);
	cv_profile_free(loose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_bindings_are_the_endpoints),
		cmocka_unit_test(test_policies_bind),
		cmocka_unit_test(test_layer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
