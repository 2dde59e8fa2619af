/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a record is found by its cookie, once and for a while; the oldest makes place, and nothing
 * is lost or leaked on the way.  Method: the table directly, time given.
 */
#include "unit/test.h"

#include "proxy/identity.c"

static struct cv_identities ids;

static void put(uint64_t cookie, const char *exe, int64_t now)
{
	const struct cv_proxy_identity id = {
		.cookie = cookie,
		.pid = 7,
		.exe = cv_str_of(exe),
		.ancestors = { CV_STR("/bin/sh"), CV_STR("/sbin/init") },
		.ancestor_count = 2,
	};

	assert_true(cv_identities_put(&ids, &id, now));
}

static void record_is_used_once(void **state)
{
	(void)state;
	put(1, "/a", 0);
	put(1 + CV_IDENTITY_BUCKETS, "/b", 0); /* the same bucket */
	struct cv_who *who = cv_identities_take(&ids, 1, 10);
	assert_non_null(who);
	assert_true(cv_str_eq(who->facts.exe, CV_STR("/a")) && who->facts.is_known);
	assert_true(cv_str_eq(who->facts.ancestors[1], CV_STR("/sbin/init")));
	free(who);
	assert_null(cv_identities_take(&ids, 1, 10));
	who = cv_identities_take(&ids, 1 + CV_IDENTITY_BUCKETS, 10);
	assert_true(who && cv_str_eq(who->facts.exe, CV_STR("/b")));
	free(who);
}

static void record_expires(void **state)
{
	(void)state;
	put(2, "/a", 0);
	assert_null(cv_identities_take(&ids, 2, CV_PROXY_IDENTITY_MS + 1));
}

static void later_record_replaces(void **state)
{
	(void)state;
	put(3, "/a", 0);
	put(3, "/b", 0);
	struct cv_who *who = cv_identities_take(&ids, 3, 0);
	assert_true(who && cv_str_eq(who->facts.exe, CV_STR("/b")));
	free(who);
	assert_null(cv_identities_take(&ids, 3, 0));
}

static void oldest_makes_place(void **state)
{
	(void)state;
	for (uint64_t i = 0; i <= CV_PROXY_IDENTITIES_MAX; i++)
		put(1000 + i, "/a", 0);
	assert_null(cv_identities_take(&ids, 1000, 0));
	for (uint64_t i = 1; i <= CV_PROXY_IDENTITIES_MAX; i++) {
		struct cv_who *who = cv_identities_take(&ids, 1000 + i, 0);

		assert_non_null(who);
		free(who);
	}
}

static void p4_unknown_is_unknown(void **state)
{
	const struct cv_proxy_identity no[] = {
		{ .cookie = 4, .exe = CV_STR("/a"), .unknown_reason = CV_STR("gone") },
		{ .cookie = 4, .exe = CV_STR("/a"), .changed_path = CV_STR("/a") },
		{ .cookie = 4 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(no); i++) {
		assert_true(cv_identities_put(&ids, &no[i], 0));
		struct cv_who *who = cv_identities_take(&ids, 4, 0);
		assert_true(who && !who->facts.is_known);
		free(who);
	}
}

static int finish(void **state)
{
	(void)state;
	cv_identities_fini(&ids);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_is_used_once),
		cmocka_unit_test(record_expires),
		cmocka_unit_test(later_record_replaces),
		cmocka_unit_test(oldest_makes_place),
		cmocka_unit_test(p4_unknown_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
