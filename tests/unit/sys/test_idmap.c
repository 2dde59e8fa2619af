/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose ids subuid(5) says which are.
 */
#include "unit/test.h"

#include "../../../src/sys/idmap.c"

static const struct {
	const char *text;
	uint32_t first, count; /* count 0: none */
} row[] = {
	{ "me:100000:65536\n", 100000, 65535 },
	{ "me:100000:1000", 100000, 1000 },
	{ "other:1:2\nme:200000:10\nme:300000:10\n", 200000, 10 },
	{ "1234:100000:10\n", 100000, 10 },
	{ "# me:1:2\n\nmen:1:2\nm:1:2\nme :1:2\n", 0, 0 },
	{ "me:0:65536\n", 0, 0 }, /* the host's root is nobody's */
	{ "me:100000:0\n", 0, 0 },
	{ "me:100000\n", 0, 0 },
	{ "me:-1:10\n", 0, 0 },
	{ "me:4294967290:65536\n", 0, 0 },
	{ "me:99999999999:1\n", 0, 0 },
	{ "me:1:x\nme:5:6\n", 5, 6 },
	{ "12345:1:2\n", 0, 0 },
	{ "", 0, 0 },
};

static void p1_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		uint32_t first = 0, count = 0;
		const bool is_found =
			range_find(cv_str_of(row[i].text), CV_STR("me"), 1234, &first, &count);

		if (is_found != (row[i].count > 0) ||
			(is_found && (first != row[i].first || count != row[i].count)))
			fail_msg("%s: %u %u", row[i].text, first, count);
	}
}

/* A user whom no list of accounts names has the number alone. */
static void without_a_name(void **state)
{
	uint32_t first, count;

	(void)state;
	assert_false(range_find(CV_STR(":1:2\nme:1:2\n"), CV_STR_NONE, 7, &first, &count));
	assert_true(range_find(CV_STR("7:9:2\n"), CV_STR_NONE, 7, &first, &count));
	assert_int_equal(first, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p1_ranges),
		cmocka_unit_test(without_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
