/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: absolute URLs are cut where RFC 3986 says, and nowhere else; status phrases are known.
 * Method: tables.
 */
#include "unit/test.h"

#include "wire/http_status.c"
#include "wire/url.c"

static void t3_urls(void **state)
{
	static const struct {
		const char *in;
		enum cv_url_rc rc;
		const char *host;
		uint16_t port;
		const char *path, *query; /* query NULL: none */
	} row[] = {
		{ "http://a.test", CV_URL_OK, "a.test", 80, "", NULL },
		{ "HTTPS://A.test/", CV_URL_OK, "a.test", 443, "/", NULL },
		{ "http://a.test:8080/x?y=z?w", CV_URL_OK, "a.test", 8080, "/x", "y=z?w" },
		{ "http://a.test?q", CV_URL_OK, "a.test", 80, "", "q" },
		{ "http://a.test/?", CV_URL_OK, "a.test", 80, "/", "" },
		{ "http://a.test?q=/b@c", CV_URL_OK, "a.test", 80, "", "q=/b@c" },
		{ "ftp://a.test/", CV_URL_SCHEME, NULL, 0, NULL, NULL },
		{ "http:/a.test/", CV_URL_SCHEME, NULL, 0, NULL, NULL },
		{ "a.test/", CV_URL_SCHEME, NULL, 0, NULL, NULL },
		{ "", CV_URL_SCHEME, NULL, 0, NULL, NULL },
		{ "http://", CV_URL_AUTHORITY, NULL, 0, NULL, NULL },
		{ "http:///x", CV_URL_AUTHORITY, NULL, 0, NULL, NULL },
		{ "http://u@a.test/", CV_URL_AUTHORITY, NULL, 0, NULL, NULL },
		{ "http://a.test\\@evil.test/", CV_URL_AUTHORITY, NULL, 0, NULL, NULL },
		{ "http://a.test\\.evil.test/", CV_URL_AUTHORITY, NULL, 0, NULL, NULL },
		{ "http://a.test:/", CV_URL_AUTHORITY, NULL, 0, NULL, NULL },
		{ "http://a.test/#f", CV_URL_BYTE, NULL, 0, NULL, NULL },
		{ "http://a.test#@b.test/", CV_URL_BYTE, NULL, 0, NULL, NULL },
		{ "http://a.test/ x", CV_URL_BYTE, NULL, 0, NULL, NULL },
		{ "http://a.test/\xc3\xa9", CV_URL_BYTE, NULL, 0, NULL, NULL },
		{ "http://a.test/\x7f", CV_URL_BYTE, NULL, 0, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_url u;
		const enum cv_url_rc rc = cv_url_parse(cv_str_of(row[i].in), &u, NULL);

		if (rc != row[i].rc)
			fail_msg("%s: got %s", row[i].in, cv_url_rc_text(rc));
		if (rc != CV_URL_OK)
			continue;
		assert_str(cv_host_str(&u.authority.host), row[i].host);
		assert_int_equal(u.authority.port, row[i].port);
		assert_str(u.path, row[i].path);
		assert_int_equal(u.query.p != NULL, row[i].query != NULL);
		assert_str(u.query, row[i].query ? row[i].query : "");
	}
}

static void phrases(void **state)
{
	(void)state;
	assert_string_equal(cv_http_status_text(404), "Not Found");
	assert_string_equal(cv_http_status_text(499), "Client Error");
	assert_string_equal(cv_http_status_text(0), "Unknown");
	assert_string_equal(cv_http_status_text(-5), "Unknown");
	assert_string_equal(cv_http_status_text(1000), "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t3_urls),
		cmocka_unit_test(phrases),
	};

	return cmocka_run_group_tests_name("wire/url", tests, NULL, NULL);
}
