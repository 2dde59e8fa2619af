/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a synthetic address means one name for as long as a client may hold the answer, and no
 * other address ever means a name.  Method: the module whole, with time given.
 */
#include "unit/test.h"

#include "proxy/names.c"

#include <stdio.h>

static struct cv_str name_of(char *text, size_t size, int i)
{
	return (struct cv_str){ text, (size_t)snprintf(text, size, "h%d.example.com", i) };
}

static void addresses_mean_names(void **state)
{
	struct cv_names *n;
	struct cv_err err;
	struct cv_ip a4, a6, b4, b6;

	(void)state;
	assert_int_equal(cv_names_new(&n, &err), CV_OK);
	assert_int_equal(cv_names_assign(n, CV_STR("a.example"), 0, &a4, &a6, &err), CV_OK);
	assert_int_equal(cv_names_assign(n, CV_STR("b.example"), 0, &b4, &b6, &err), CV_OK);
	assert_true(a4.is_v4 && !a6.is_v4);
	assert_false(cv_ip_eq(&a4, &b4));
	assert_str(cv_names_find(n, &a4, 0), "a.example");
	assert_str(cv_names_find(n, &a6, 0), "a.example");
	assert_str(cv_names_find(n, &b6, 0), "b.example");
	assert_int_equal(cv_names_assign(n, CV_STR("a.example"), 5, &b4, &b6, &err), CV_OK);
	assert_true(cv_ip_eq(&a4, &b4)); /* the same name keeps its addresses */
	cv_names_free(n);
}

static void other_addresses_mean_nothing(void **state)
{
	static const char *const text[] = { "198.18.0.0", "198.18.0.2", "198.19.0.1", "198.20.0.1",
		"1.2.3.4", "fd23:6f70:656e::", "fd23:6f70:656e::2", "fd23:6f70:656e:1::1",
		"fd23:6f70:656f::1", "::c612:1" };
	struct cv_names *n;
	struct cv_err err;
	struct cv_ip ip, other;

	(void)state;
	assert_int_equal(cv_names_new(&n, &err), CV_OK);
	assert_true(cv_ip_parse(CV_STR("198.18.0.1"), &ip));
	assert_int_equal(cv_names_find(n, &ip, 0).n, 0); /* nobody has a name yet */
	assert_int_equal(cv_names_assign(n, CV_STR("a.example"), 0, &ip, &other, &err), CV_OK);
	for (size_t i = 0; i < CV_ARRAY_LEN(text); i++) {
		assert_true(cv_ip_parse(cv_str_of(text[i]), &ip));
		assert_int_equal(cv_names_find(n, &ip, 0).n, 0);
	}
	cv_names_free(n);
}

static void a_full_table_gives_away_only_what_expired(void **state)
{
	struct cv_names *n;
	struct cv_err err;
	struct cv_ip ip, other;
	char text[32];

	(void)state;
	assert_int_equal(cv_names_new(&n, &err), CV_OK);
	for (int i = 0; i < CV_NAMES_MAX; i++)
		assert_int_equal(
			cv_names_assign(n, name_of(text, sizeof(text), i), i, &ip, &other, &err),
			CV_OK);
	const int64_t later = CV_NAMES_TTL_S * 1000;
	assert_int_equal(
		cv_names_assign(n, CV_STR("new.example"), later, &ip, &other, &err), CV_LIMIT);
	assert_int_equal(
		cv_names_assign(n, CV_STR("new.example"), later + 1, &ip, &other, &err), CV_OK);
	assert_str(cv_names_find(n, &ip, later + 1), "new.example");
	assert_int_equal(slot_find(n, name_of(text, sizeof(text), 0)), NO_SLOT);
	for (int i = 1; i < CV_NAMES_MAX; i++)
		assert_int_not_equal(slot_find(n, name_of(text, sizeof(text), i)), NO_SLOT);
	cv_names_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_mean_names),
		cmocka_unit_test(other_addresses_mean_nothing),
		cmocka_unit_test(a_full_table_gives_away_only_what_expired),
	};

	return cmocka_run_group_tests_name("proxy/names", tests, NULL, NULL);
}
