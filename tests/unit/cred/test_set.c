/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_set.c - a run's credentials as bytes and back, and what is no set
 */
#include "unit/test.h"

#include "cred/set.c"

#define STR(lit)                     \
	{                            \
		lit, sizeof(lit) - 1 \
	} /* CV_STR() of a constant */

static uint16_t ports[] = { 443, 8443 };
static struct cv_cred_rule rules[] = { { STR("GET"), STR("/a/**") }, { STR("*"), STR("**") } };
static struct cv_cred_binding bindings[] = { { .host = STR("api.example"),
	.path = STR("/v1/**"),
	.ports = ports,
	.port_count = 2,
	.rules = rules,
	.rule_count = 2,
	.is_required = true } };
static struct cv_cred_provider providers[] = {
	{ STR("gh"), STR("github"), bindings, 1 },
	{ STR("empty"), STR("generic"), NULL, 0 },
};
static struct cv_str argv[] = { STR("/bin/print-token"), STR("") };
static struct cv_cred_material materials[] = { { STR("client_id"), STR("c-1") } };
static struct cv_cred_refresh refreshes[] = { { .strategy = STR("command"),
	.argv = argv,
	.argc = 2,
	.before_s = 60,
	.materials = materials,
	.material_count = 1 } };

static struct cv_cred creds[2];

static struct cv_cred_set sample(void)
{
	creds[0] = (struct cv_cred){ CV_STR("A_TOKEN"), CV_STR("openshell:resolve:env:A_TOKEN"),
		CV_STR("s3cr3t"), 0, 0, CV_CRED_NONE, CV_STR_NONE };
	creds[1] = (struct cv_cred){ CV_STR("B_TOKEN"), CV_STR("openshell:resolve:env:B_TOKEN"),
		CV_STR_NONE, -5, 1, 0, CV_STR("session_token") };
	return (struct cv_cred_set){ .providers = providers,
		.provider_count = 2,
		.refreshes = refreshes,
		.refresh_count = 1,
		.creds = creds,
		.cred_count = 2 };
}

static void test_round_trip(void **state)
{
	const struct cv_cred_set set = sample();
	struct cv_cred_set got;
	struct cv_buf b, again;
	struct cv_err err;

	(void)state;
	cv_buf_init(&b, CV_CRED_SET_BYTES_MAX);
	cv_buf_init(&again, CV_CRED_SET_BYTES_MAX);
	assert_int_equal(cv_cred_set_write(&set, &b, &err), CV_OK);
	assert_int_equal(cv_cred_set_read(cv_buf_str(&b), &got, &err), CV_OK);
	assert_int_equal(cv_cred_set_write(&got, &again, &err), CV_OK);
	assert_true(cv_str_eq(cv_buf_str(&b), cv_buf_str(&again)));
	memset(b.data, 'x', b.end); /* what was read borrows nothing */
	assert_str(got.creds[0].value, "s3cr3t");
	assert_str(got.creds[1].output, "session_token");
	assert_int_equal(got.creds[1].expires_s, -5);
	assert_int_equal(got.creds[0].refresh, CV_CRED_NONE);
	assert_str(got.providers[0].bindings[0].rules[1].path, "**");
	assert_int_equal(got.providers[0].bindings[0].ports[1], 8443);
	assert_true(got.providers[0].bindings[0].is_required);
	assert_false(got.providers[0].bindings[0].is_unscrubbed);
	assert_str(got.refreshes[0].argv[0], "/bin/print-token");
	assert_str(got.refreshes[0].materials[0].value, "c-1");
	cv_cred_set_fini(&got);
	cv_buf_fini(&b);
	cv_buf_fini(&again);
}

/* Every shorter text is refused, and so is one with more. */
static void test_cut_bytes_are_no_set(void **state)
{
	const struct cv_cred_set set = sample();
	struct cv_cred_set got;
	struct cv_buf b;
	struct cv_err err;

	(void)state;
	cv_buf_init(&b, CV_CRED_SET_BYTES_MAX);
	assert_int_equal(cv_cred_set_write(&set, &b, &err), CV_OK);
	for (size_t n = 0; n < cv_buf_len(&b); n++)
		assert_int_equal(
			cv_cred_set_read(cv_str_slice(cv_buf_str(&b), 0, n), &got, &err), CV_PROTO);
	cv_buf_put_byte(&b, 0);
	assert_int_equal(cv_cred_set_read(cv_buf_str(&b), &got, &err), CV_PROTO);
	cv_buf_fini(&b);
}

static void expect_refused(const struct cv_cred_set *set, const char *why)
{
	struct cv_buf b;
	struct cv_err err;

	cv_buf_init(&b, CV_CRED_SET_BYTES_MAX);
	assert_int_equal(cv_cred_set_write(set, &b, &err), CV_INVALID);
	if (!strstr(err.msg, why))
		fail_msg("said: %s, want: %s", err.msg, why);
	cv_buf_fini(&b);
}

static void test_a_set_is_whole(void **state)
{
	struct cv_cred_set set = sample();

	(void)state;
	creds[1].provider = 2;
	expect_refused(&set, "no provider");
	set = sample();
	creds[1].refresh = 1;
	expect_refused(&set, "no refresh");
	set = sample();
	creds[1].key = creds[0].key;
	expect_refused(&set, "one name");
	set = sample();
	creds[1].placeholder = creds[0].placeholder;
	expect_refused(&set, "one name");
	set = sample();
	creds[0].value = CV_STR_NONE;
	expect_refused(&set, "without a value");
	set = sample();
	creds[0].value = CV_STR("a\r\nX: y");
	expect_refused(&set, "can't be sent");
	set = sample();
	set.grants = &(struct cv_cred_grant){ CV_STR("tool:x"), CV_STR("K"), 2 };
	set.grant_count = 1;
	expect_refused(&set, "grant of nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_bytes_are_no_set),
		cmocka_unit_test(test_a_set_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
