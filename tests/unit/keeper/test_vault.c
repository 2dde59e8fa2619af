/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a credential is released for host, port, method and path that its provider is bound to and
 * for nothing else (C1); a dead one never; what was released is scrubbed on its hosts, also the
 * value before a renewal.
 * Method: a set of two providers, asked row by row.
 */
#include "unit/test.h"

#include "keeper/vault.c"

#include <stdio.h>

#define NOW 1790000000

static struct cv_vault *vault;
static struct cv_err err;

static struct cv_str words(const char *z)
{
	return cv_str_of(z);
}

static int setup(void **state)
{
	static uint16_t ports[] = { 443, 8443 };
	static struct cv_cred_rule rules[] = { { { "GET", 3 }, { "/repos/**", 9 } },
		{ { "POST", 4 }, { "/graphql", 8 } } };
	struct cv_cred_set set;
	struct cv_buf b;

	(void)state;
	cv_cred_set_init(&set);
	set.providers = cv_arena_array(&set.arena, 2, sizeof(set.providers[0]));
	set.creds = cv_arena_array(&set.arena, 3, sizeof(set.creds[0]));
	set.provider_count = 2;
	set.cred_count = 3;
	struct cv_cred_binding *b0 = cv_arena_array(&set.arena, 2, sizeof(*b0));
	struct cv_cred_binding *b1 = cv_arena_array(&set.arena, 1, sizeof(*b1));
	*b0 = (struct cv_cred_binding){ .host = CV_STR("api.test"),
		.ports = ports,
		.port_count = 2,
		.rules = rules,
		.rule_count = 2 };
	b0[1] = (struct cv_cred_binding){ .host = CV_STR("auth.test"),
		.path = CV_STR("/oauth/**"),
		.ports = ports,
		.port_count = 1,
		.is_token = true };
	*b1 = (struct cv_cred_binding){ .host = CV_STR("*.cloud.test"),
		.path = CV_STR("/v1/**"),
		.ports = ports,
		.port_count = 1,
		.is_required = true,
		.is_unscrubbed = true };
	set.providers[0] = (struct cv_cred_provider){ CV_STR("hub"), CV_STR("hub"), b0, 2 };
	set.providers[1] = (struct cv_cred_provider){ CV_STR("cloud"), CV_STR("cloud"), b1, 1 };
	set.creds[0] = (struct cv_cred){ .key = CV_STR("HUB"),
		.placeholder = CV_STR("p-hub"),
		.value = cv_arena_str(&set.arena, CV_STR("value-of-hub")),
		.refresh = CV_CRED_NONE };
	set.creds[1] = (struct cv_cred){ .key = CV_STR("CLOUD"),
		.placeholder = CV_STR("p-cloud"),
		.value = cv_arena_str(&set.arena, CV_STR("value-of-cloud")),
		.provider = 1,
		.refresh = CV_CRED_NONE };
	set.creds[2] = (struct cv_cred){ .key = CV_STR("OLD"),
		.placeholder = CV_STR("p-old"),
		.value = cv_arena_str(&set.arena, CV_STR("value-of-old")),
		.expires_s = NOW - 1,
		.refresh = CV_CRED_NONE };
	set.grants = cv_arena_array(&set.arena, 2, sizeof(set.grants[0]));
	set.grant_count = 2;
	set.grants[0] = (struct cv_cred_grant){ CV_STR("tool:deploy"), CV_STR("KEY"), 0 };
	set.grants[1] = (struct cv_cred_grant){ CV_STR("server:main"), CV_STR("KEY"), 2 };
	cv_buf_init(&b, 1 << 20);
	assert_int_equal(cv_cred_set_write(&set, &b, &err), CV_OK);
	assert_int_equal(cv_vault_new(cv_buf_str(&b), &vault, &err), CV_OK);
	cv_buf_fini(&b);
	cv_cred_set_fini(&set);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_vault_free(vault);
	return 0;
}

static struct cv_vault_answer ask(
	uint32_t cred, const char *host, uint16_t port, const char *method, const char *path)
{
	const struct cv_keeper_release r = { .host = words(host),
		.port = port,
		.method = words(method),
		.path = words(path),
		.creds = { cred },
		.count = 1 };
	struct cv_vault_answer a;

	cv_vault_release(vault, &r, NOW, &a);
	return a;
}

static void c1_bound_to_requests(void **state)
{
	static const struct {
		uint32_t cred;
		const char *host;
		uint16_t port;
		const char *method, *path;
		enum cv_release want;
	} rows[] = {
		{ 0, "api.test", 443, "GET", "/repos/a/b", CV_RELEASE_OK },
		{ 0, "api.test", 443, "HEAD", "/repos/a", CV_RELEASE_OK },
		{ 0, "api.test", 8443, "POST", "/graphql", CV_RELEASE_OK },
		{ 0, "api.test", 443, "POST", "/repos/a", CV_RELEASE_MISMATCH },
		{ 0, "api.test", 443, "GET", "/users", CV_RELEASE_MISMATCH },
		{ 0, "api.test", 80, "GET", "/repos/a", CV_RELEASE_MISMATCH },
		{ 0, "other.test", 443, "GET", "/repos/a", CV_RELEASE_MISMATCH },
		{ 0, "xapi.test", 443, "GET", "/repos/a", CV_RELEASE_MISMATCH },
		{ 0, "a.cloud.test", 443, "GET", "/v1/x", CV_RELEASE_MISMATCH },
		{ 1, "a.cloud.test", 443, "DELETE", "/v1/x", CV_RELEASE_OK },
		{ 1, "a.cloud.test", 443, "GET", "/v2/x", CV_RELEASE_MISMATCH },
		{ 1, "a.cloud.test", 8443, "GET", "/v1/x", CV_RELEASE_MISMATCH },
		{ 1, "a.b.cloud.test", 443, "GET", "/v1/x", CV_RELEASE_MISMATCH },
		{ 1, "api.test", 443, "GET", "/repos/a", CV_RELEASE_MISMATCH },
		{ 2, "api.test", 443, "GET", "/repos/a", CV_RELEASE_DEAD },
		{ 3, "api.test", 443, "GET", "/repos/a", CV_RELEASE_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const struct cv_vault_answer a =
			ask(rows[i].cred, rows[i].host, rows[i].port, rows[i].method, rows[i].path);

		if (a.release != rows[i].want)
			print_error("row %zu: %s\n", i, cv_release_slug(a.release));
		assert_int_equal(a.release, rows[i].want);
	}
}

static void flags_of_the_endpoint(void **state)
{
	(void)state;
	assert_int_equal(ask(0, "api.test", 443, "GET", "/repos/a").flags, CV_RELEASED_BOUND);
	assert_int_equal(ask(1, "a.cloud.test", 443, "GET", "/v1/x").flags,
		CV_RELEASED_BOUND | CV_RELEASED_REQUIRED | CV_RELEASED_UNSCRUBBED);
	assert_int_equal(ask(0, "free.test", 443, "GET", "/").flags, CV_RELEASED_ANY_PATH);
}

/* Where no binding looks at paths the answer is the same for every plain one. */
static void c1_any_path_is_any(void **state)
{
	static const char *const paths[] = { "/", "/a", "/repos/a", "/v1/x/..y", "//a", "/*", "/-",
		"/a?b", "/a;b", "/ä" };
	static const struct {
		const char *host;
		bool is_any;
	} rows[] = { { "plain.test", true }, { "methods.test", true }, { "paths.test", false },
		{ "selector.test", false }, { "both.test", false }, { "free.test", true } };
	struct cv_cred_rule any[] = { { CV_STR("GET"), CV_STR("**") },
		{ CV_STR("POST"), CV_STR("/**") } };
	struct cv_cred_rule some[] = { { CV_STR("GET"), CV_STR("/repos/**") } };
	static uint16_t port = 443;
	struct cv_cred_binding b[] = {
		{ .host = CV_STR("plain.test"), .ports = &port, .port_count = 1 },
		{ .host = CV_STR("methods.test"),
			.ports = &port,
			.port_count = 1,
			.rules = any,
			.rule_count = 2 },
		{ .host = CV_STR("both.test"), .ports = &port, .port_count = 1 },
		{ .host = CV_STR("paths.test"),
			.ports = &port,
			.port_count = 1,
			.rules = some,
			.rule_count = 1 },
		{ .host = CV_STR("selector.test"),
			.ports = &port,
			.port_count = 1,
			.path = CV_STR("/v1/**") },
		{ .host = CV_STR("both.test"),
			.ports = &port,
			.port_count = 1,
			.rules = some,
			.rule_count = 1 },
	};
	struct cv_cred_provider p[] = { { CV_STR("one"), CV_STR("one"), b, 3 },
		{ CV_STR("two"), CV_STR("two"), b + 3, 3 } };
	struct cv_cred c[] = { { .key = CV_STR("A"),
				       .placeholder = CV_STR("p-a"),
				       .value = CV_STR("value-a"),
				       .refresh = CV_CRED_NONE },
		{ .key = CV_STR("B"),
			.placeholder = CV_STR("p-b"),
			.value = CV_STR("value-b"),
			.provider = 1,
			.refresh = CV_CRED_NONE } };
	const struct cv_cred_set set = {
		.providers = p, .provider_count = 2, .creds = c, .cred_count = 2
	};
	struct cv_buf text;

	(void)state;
	cv_vault_free(vault);
	cv_buf_init(&text, 1 << 20);
	assert_int_equal(cv_cred_set_write(&set, &text, &err), CV_OK);
	assert_int_equal(cv_vault_new(cv_buf_str(&text), &vault, &err), CV_OK);
	cv_buf_fini(&text);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		for (uint32_t cred = 0; cred < 2; cred++) {
			const struct cv_vault_answer a = ask(cred, rows[i].host, 443, "GET", "/a");

			assert_int_equal(!!(a.flags & CV_RELEASED_ANY_PATH), rows[i].is_any);
			for (size_t k = 0; rows[i].is_any && k < CV_ARRAY_LEN(paths); k++) {
				const struct cv_vault_answer other =
					ask(cred, rows[i].host, 443, "GET", paths[k]);

				assert_int_equal(other.release, a.release);
				assert_int_equal(other.flags, a.flags);
			}
		}
	assert_false(ask(0, "plain.test", 443, "GET", "/a%2fb").flags & CV_RELEASED_ANY_PATH);
	assert_false(ask(0, "plain.test", 443, "OPTIONS", "*").flags & CV_RELEASED_ANY_PATH);
}

static void scrubbed_once_released(void **state)
{
	const struct cv_keeper_release there = { .host = CV_STR("api.test"),
		.port = 443,
		.method = CV_STR("GET"),
		.path = CV_STR("/anything") };
	const struct cv_keeper_release elsewhere = { .host = CV_STR("free.test"),
		.port = 443,
		.method = CV_STR("GET"),
		.path = CV_STR("/") };

	(void)state;
	assert_false(cv_vault_is_scrubbed(vault, 0, &there));
	ask(0, "api.test", 443, "GET", "/users"); /* refused: not released */
	assert_false(cv_vault_is_scrubbed(vault, 0, &there));
	ask(0, "api.test", 443, "GET", "/repos/a");
	assert_true(cv_vault_is_scrubbed(vault, 0, &there));
	assert_false(cv_vault_is_scrubbed(vault, 0, &elsewhere));
	assert_false(cv_vault_is_scrubbed(vault, 1, &there));
	assert_false(cv_vault_is_scrubbed(vault, 2, &there));
	cv_vault_again(vault, NULL); /* a vault before this one may have released it */
	assert_true(cv_vault_is_scrubbed(vault, 2, &there));
	assert_false(cv_vault_is_scrubbed(vault, 0, &elsewhere));
}

static void renewed(void **state)
{
	const uint64_t before = cv_vault_epoch(vault);

	(void)state;
	assert_int_equal(cv_vault_renew(vault, 0, CV_STR("a\nb"), 0, &err), CV_INVALID); /* C7 */
	assert_int_equal(cv_vault_renew(vault, 0, CV_STR("second"), 0, &err), CV_OK);
	assert_true(cv_str_eq(cv_vault_value(vault, 0), CV_STR("second")));
	assert_int_equal(cv_vault_former(vault, 0).n, 0); /* the first was never out */
	ask(0, "api.test", 443, "GET", "/repos/a");
	assert_int_equal(cv_vault_renew(vault, 0, CV_STR("third"), NOW + 60, &err), CV_OK);
	assert_true(cv_str_eq(cv_vault_former(vault, 0), CV_STR("second")));
	assert_int_not_equal(cv_vault_epoch(vault), before);
	assert_false(cv_vault_is_present(vault, 0, cv_vault_epoch(vault) - 1));
	assert_true(cv_vault_is_present(vault, 0, cv_vault_epoch(vault)));
	assert_false(cv_vault_is_present(vault, 0, cv_vault_epoch(vault) + 1)); /* to come */
	assert_false(cv_vault_is_present(vault, 1, cv_vault_epoch(vault)));     /* never out */
	assert_false(cv_vault_is_present(vault, 1000, cv_vault_epoch(vault)));
	cv_vault_refuse(vault, 0, true);
	assert_int_equal(ask(0, "api.test", 443, "GET", "/repos/a").release, CV_RELEASE_DEAD);
	assert_int_equal(cv_vault_renew(vault, 0, CV_STR("fourth"), 0, &err), CV_OK);
	assert_int_equal(ask(0, "api.test", 443, "GET", "/repos/a").release, CV_RELEASE_OK);
}

static const unsigned char seed[CV_SHAPE_SEED_BYTES] = "a seed";

static uint32_t mint(enum cv_keeper_token kind, const char *value, int64_t expires_s)
{
	return cv_vault_mint(vault, 0, kind, words(value), expires_s, NOW, seed);
}

static void c9_minted_ones_are_bound(void **state)
{
	const struct cv_keeper_release token = { .host = CV_STR("auth.test"),
		.port = 443,
		.method = CV_STR("POST"),
		.path = CV_STR("/oauth/token") };
	const struct cv_keeper_release other = { .host = CV_STR("api.test"),
		.port = 443,
		.method = CV_STR("POST"),
		.path = CV_STR("/graphql") };

	(void)state;
	assert_int_equal(cv_vault_token_provider(vault, &token), 0);
	assert_int_equal(cv_vault_token_provider(vault, &other), CV_CRED_NONE);
	const uint32_t access = mint(CV_KEEPER_TOKEN_ACCESS, "ghp_the-access-token", NOW + 60);
	const uint32_t refresh = mint(CV_KEEPER_TOKEN_REFRESH, "the-refresh-token", 0);
	const uint32_t id = mint(CV_KEEPER_TOKEN_ID, "e30.e30.sig", 0);
	const struct cv_cred *creds = cv_vault_set(vault)->creds;
	assert_int_equal(access, 3);
	assert_int_equal(cv_vault_minted_first(vault), 3);
	assert_true(cv_str_has_prefix(creds[access].placeholder, CV_STR("ghp_")));
	assert_true(
		cv_str_has_prefix(creds[refresh].placeholder, CV_STR("openshell:resolve:env:")));
	assert_true(cv_str_has_prefix(creds[id].placeholder, CV_STR("eyJ")));
	assert_int_equal(ask(access, "api.test", 443, "POST", "/graphql").release, CV_RELEASE_OK);
	assert_int_equal(
		ask(access, "x.cloud.test", 443, "POST", "/v1/a").release, CV_RELEASE_MISMATCH);
	assert_int_equal(
		ask(refresh, "api.test", 443, "POST", "/graphql").release, CV_RELEASE_MISMATCH);
	assert_int_equal(
		ask(refresh, "auth.test", 443, "POST", "/oauth/token").release, CV_RELEASE_OK);
	assert_true(cv_vault_is_scrubbed(vault, access, &other));
	/* the same value again, and one that was there from the start */
	assert_int_equal(mint(CV_KEEPER_TOKEN_REFRESH, "the-refresh-token", 0), refresh);
	assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, "value-of-hub", 0), 0);
	assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, "", 0), CV_CRED_NONE);
	assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, "a\r\nb", 0), CV_CRED_NONE);
	assert_int_equal(cv_vault_set(vault)->cred_count, 6);
	assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, "short-lived", NOW + 1), 6);
	vault->slots[6].expires_s = NOW;
	assert_int_equal(ask(6, "api.test", 443, "POST", "/graphql").release, CV_RELEASE_DEAD);
}

static void c9_minted_ones_are_bounded(void **state)
{
	static char large[CV_VAULT_MINTED_BYTES_MAX / 2 + 1];
	char value[32];
	struct cv_str first = CV_STR_NONE;

	(void)state;
	for (uint32_t i = 0; i < CV_PH_MINTED_MAX; i++) {
		snprintf(value, sizeof(value), "token-number-%u", i);
		assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, value,
					 i == 7   ? NOW - 5
					 : i == 9 ? NOW - 9
						  : 0),
			3 + i);
	}
	first = cv_vault_set(vault)->creds[3].key;
	assert_true(cv_str_eq(first, CV_STR("COVE_MINTED_1_00000000")));
	/* of the expired that which expired first; then the oldest */
	assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, "one more", 0), 3 + 9);
	assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, "two more", 0), 3 + 7);
	assert_int_equal(mint(CV_KEEPER_TOKEN_ACCESS, "three more", 0), 3);
	assert_true(
		cv_str_eq(cv_vault_set(vault)->creds[3].key, CV_STR("COVE_MINTED_35_00000000")));
	assert_true(cv_str_eq(cv_vault_value(vault, 3), CV_STR("three more")));
	/* and all together */
	memset(large, 'a', sizeof(large) - 1);
	const uint32_t a = mint(CV_KEEPER_TOKEN_ACCESS, large, 0);
	large[0] = 'b';
	const uint32_t b = mint(CV_KEEPER_TOKEN_ACCESS, large, 0);
	large[0] = 'c';
	const uint32_t c = mint(CV_KEEPER_TOKEN_ACCESS, large, 0);
	assert_int_not_equal(b, CV_CRED_NONE);
	assert_true(cv_vault_value(vault, c).n > 0);
	assert_int_equal(cv_vault_value(vault, a).n && a != c, 0);
	assert_true(minted_bytes(vault) <= CV_VAULT_MINTED_BYTES_MAX);
	assert_int_equal(cv_vault_set(vault)->cred_count, 3 + CV_PH_MINTED_MAX);
}

static void c10_granted_to_tools_by_name(void **state)
{
	uint32_t cred = 7;

	(void)state;
	assert_true(cv_vault_grant_find(vault, words("tool:deploy"), words("KEY"), &cred));
	assert_int_equal(cred, 0);
	assert_int_equal(cv_vault_release_tool(vault, cred, NOW), CV_RELEASE_OK);
	assert_true(cv_vault_grant_find(vault, words("server:main"), words("KEY"), &cred));
	assert_int_equal(cv_vault_release_tool(vault, cred, NOW), CV_RELEASE_DEAD);
	assert_false(cv_vault_grant_find(vault, words("tool:main"), words("KEY"), &cred));
	assert_false(cv_vault_grant_find(vault, words("tool:deploy"), words("HUB"), &cred));
	assert_false(cv_vault_grant_find(vault, words("tool:deploy2"), words("KEY"), &cred));
	assert_int_equal(cred, 2);
}

/* Whatever changes an answer changes the number; what changes none does not. */
static void c1_version_tells_changes(void **state)
{
	const struct cv_keeper_release both = { .host = CV_STR("api.test"),
		.port = 443,
		.method = CV_STR("POST"),
		.path = CV_STR("/graphql"),
		.creds = { 0, 3 },
		.count = 2 };
	uint64_t last = cv_vault_version(vault);
	uint32_t id;

#define CHANGES(what)                                                \
	do {                                                         \
		what;                                                \
		assert_int_not_equal(cv_vault_version(vault), last); \
		last = cv_vault_version(vault);                      \
	} while (0)
#define SAME(what)                                               \
	do {                                                     \
		what;                                            \
		assert_int_equal(cv_vault_version(vault), last); \
	} while (0)
	(void)state;
	SAME(ask(0, "other.test", 443, "POST", "/graphql"));
	CHANGES(ask(0, "api.test", 443, "POST", "/graphql")); /* is searched for from now on */
	SAME(ask(0, "api.test", 443, "POST", "/graphql"));
	SAME((void)!cv_vault_release_tool(vault, 0, NOW));
	CHANGES((void)!cv_vault_release_tool(vault, 1, NOW));
	CHANGES(cv_vault_refuse(vault, 0, true));
	SAME(cv_vault_refuse(vault, 0, true));
	CHANGES(cv_vault_refuse(vault, 0, false));
	CHANGES(assert_int_equal(
		cv_vault_renew(vault, 0, CV_STR("another-value"), NOW + 60, &err), CV_OK));
	CHANGES(id = mint(CV_KEEPER_TOKEN_ACCESS, "a-token-of-theirs", NOW + 9));
	SAME(mint(CV_KEEPER_TOKEN_ACCESS, "a-token-of-theirs", NOW + 9));
	CHANGES(mint(CV_KEEPER_TOKEN_ACCESS, "a-token-of-theirs", NOW + 8));
	assert_int_equal(id, 3);
	assert_int_equal(cv_vault_lasts_s(vault, &both, NOW), 8);
	CHANGES(cv_vault_again(vault, NULL));
	SAME(cv_vault_again(vault, NULL));
#undef CHANGES
#undef SAME
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(c1_bound_to_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(flags_of_the_endpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(c1_any_path_is_any, setup, teardown),
		cmocka_unit_test_setup_teardown(scrubbed_once_released, setup, teardown),
		cmocka_unit_test_setup_teardown(c9_minted_ones_are_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(c9_minted_ones_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(renewed, setup, teardown),
		cmocka_unit_test_setup_teardown(c10_granted_to_tools_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(c1_version_tells_changes, setup, teardown),
	};

	return cmocka_run_group_tests_name("keeper/vault", tests, NULL, NULL);
}
