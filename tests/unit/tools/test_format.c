/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: each format takes what its RFC has and nothing else.  Method: edges by table, besides those
 * of the public suite (suite/optional__format__*.json).
 */
#include "unit/test.h"

#include "tools/format.c"

static void formats(void **state)
{
	static const struct {
		const char *format, *text;
		bool want;
	} row[] = {
		{ "date-time", "2024-02-29T23:59:60Z", true },
		{ "date-time", "2024-02-29t00:00:00.123456789z", true },
		{ "date-time", "2023-02-29T00:00:00Z", false },
		{ "date-time", "2024-01-01T00:00:00", false },
		{ "date-time", "2024-01-01 00:00:00Z", false },
		{ "date-time", "2024-01-01T00:00:00.Z", false },
		{ "date", "1900-02-29", false },
		{ "date", "2000-02-29", true },
		{ "date", "2000-02-2", false },
		{ "time", "08:29:60+08:30", true },
		{ "time", "08:29:60+08:30 ", false },
		{ "time", "08:29:60-15:30", true },
		{ "time", "08:30:60+08:30", false },
		{ "duration", "P1Y2M3DT4H5M6S", true },
		{ "duration", "P1Y2D", false },
		{ "duration", "P", false },
		{ "duration", "PT", false },
		{ "duration", "P4W", true },
		{ "duration", "P1W1D", false },
		{ "email", "a.b+c@example.org", true },
		{ "email", "\"a b\\\"\"@example.org", true },
		{ "email", "\"a\"b\"@example.org", false },
		{ "email", "a..b@example.org", false },
		{ "email", "@example.org", false },
		{ "email", "a@[127.0.0.1]", true },
		{ "email", "a@[IPv6:::1]", true },
		{ "email", "a@[IPv6:1.2.3.4]", false },
		{ "email", "a@", false },
		{ "hostname", "a-b.example", true },
		{ "hostname", "-a", false },
		{ "hostname", "a.", false },
		{ "hostname", "a_b", false },
		{ "ipv4", "127.0.0.1", true },
		{ "ipv4", "127.1", false },
		{ "ipv4", "::1", false },
		{ "ipv6", "::1", true },
		{ "ipv6", "fe80::1%eth0", false },
		{ "ipv6", "127.0.0.1", false },
		{ "uri", "http://u:p@[::1]:80/a?b#c", true },
		{ "uri", "http://[v1.a]/", true },
		{ "uri", "http://a:b/", false },
		{ "uri", "http://a b/", false },
		{ "uri", "a/b", false },
		{ "uri", "urn:a%2", false },
		{ "uri", "urn:a#b#c", false },
		{ "uri-reference", "a/b:c", true },
		{ "uri-reference", "1a:b", false },
		{ "uri-reference", "", true },
		{ "uuid", "2EB8AA08-AA98-11EA-B4AA-73B441D16380", true },
		{ "uuid", "2eb8aa08aa9811eab4aa73b441d16380", false },
		{ "json-pointer", "/a~0b~1/", true },
		{ "json-pointer", "/a~", false },
		{ "json-pointer", "a", false },
		{ "relative-json-pointer", "1/a", true },
		{ "relative-json-pointer", "0#", true },
		{ "relative-json-pointer", "01/a", false },
		{ "relative-json-pointer", "/a", false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_format *f = cv_format_find(cv_str_of(row[i].format));

		assert_non_null(f);
		if (f->is(cv_str_of(row[i].text)) != row[i].want)
			fail_msg("%s: %s", row[i].format, row[i].text);
	}
	assert_null(cv_format_find(CV_STR("regex")));
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) /* nothing at all */
		(void)cv_format_find(cv_str_of(row[i].format))->is(CV_STR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(formats) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
