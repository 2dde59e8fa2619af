/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token of the route to host tools: one credential more, bound to the route and to nothing else,
 * in a set that has others and in one that has none.
 */
#include "unit/test.h"

#include "cred/compose_tools.c"

static const unsigned char seed[CV_SHAPE_SEED_BYTES] = { 1, 2, 3 },
			   other[CV_SHAPE_SEED_BYTES] = { 4 };

static void a_set_of_its_own(void **state)
{
	struct cv_cred_set set, again;
	struct cv_buf b;

	(void)state;
	cv_cred_set_init(&set);
	assert_int_equal(cv_compose_tools(&set, CV_STR("cvt_abc"), seed, NULL), CV_OK);
	cv_buf_init(&b, CV_CRED_SET_BYTES_MAX);
	assert_int_equal(cv_cred_set_write(&set, &b, NULL), CV_OK);
	assert_int_equal(cv_cred_set_read(cv_buf_str(&b), &again, NULL), CV_OK);
	assert_int_equal(again.provider_count, 1);
	assert_int_equal(again.cred_count, 1);
	assert_str(again.providers[0].name, CV_CRED_TOOLS_PROVIDER);
	assert_str(again.creds[0].key, "COVE_TOOLS_TOKEN");
	assert_str(again.creds[0].value, "cvt_abc");
	assert_int_equal(again.providers[0].binding_count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct cv_cred_binding *at = &again.providers[0].bindings[i];

		assert_str(at->host, i ? "host.cove.internal" : "tools.local");
		assert_int_equal(at->port_count, 1);
		assert_int_equal(at->ports[0], 80);
	}
	cv_cred_set_fini(&again);
	cv_cred_set_fini(&set);
	cv_buf_fini(&b);
}

static void beside_others(void **state)
{
	char value[] = "va"; /* it is wiped */
	struct cv_cred first = { .key = CV_STR("A"),
		.placeholder = CV_STR("pa"),
		.value = { value, 2 },
		.refresh = CV_CRED_NONE };
	struct cv_cred_provider provider = { .name = CV_STR("x"), .type = CV_STR("x") };
	struct cv_cred_set set, second;

	(void)state;
	cv_cred_set_init(&set);
	set.providers = &provider;
	set.creds = &first;
	set.provider_count = set.cred_count = 1;
	assert_int_equal(cv_compose_tools(&set, CV_STR("cvt_abc"), seed, NULL), CV_OK);
	assert_str(set.creds[0].key, "A");
	assert_str(set.providers[0].name, "x");
	assert_int_equal(set.creds[1].provider, 1);
	cv_cred_set_init(&second);
	assert_int_equal(cv_compose_tools(&second, CV_STR("cvt_abc"), other, NULL), CV_OK);
	assert_true(cv_str_has_prefix(second.creds[0].placeholder, CV_STR("cvt_")));
	assert_false(cv_str_eq(second.creds[0].placeholder, set.creds[1].placeholder));
	cv_cred_set_fini(&second);
	cv_cred_set_fini(&set);
}

static void too_many(void **state)
{
	struct cv_cred_provider full[CV_CRED_PROVIDERS_MAX] = { 0 };
	struct cv_cred_set set;
	struct cv_err err;

	(void)state;
	cv_cred_set_init(&set);
	set.providers = full;
	set.provider_count = CV_CRED_PROVIDERS_MAX;
	assert_int_equal(cv_compose_tools(&set, CV_STR("t"), seed, &err), CV_LIMIT);
	cv_cred_set_fini(&set);
}

static void a_token_has_all_its_bits(void **state)
{
	unsigned char random[CV_COMPOSE_TOKEN_RANDOM];
	struct cv_buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (unsigned char)(i * 7 + 1);
	cv_buf_init(&b, 256);
	assert_true(cv_compose_tools_token(random, &b));
	assert_int_equal(cv_buf_len(&b), 4 + 64);
	assert_true(cv_str_has_suffix(cv_buf_str(&b), CV_STR("da")));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_of_its_own),
		cmocka_unit_test(beside_others),
		cmocka_unit_test(too_many),
		cmocka_unit_test(a_token_has_all_its_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
