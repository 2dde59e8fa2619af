/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_forward - which words name an upstream proxy, and what goes past it
 *
 * Goal: only http://HOST:PORT is one, a password in it is refused and not repeated; each kind of
 * entry matches what it says and its neighbours not.  Method: tables.
 */
#include "unit/test.h"

#include "plan/forward.c"

static void proxies(void **state)
{
	static const char *const good[] = { "http://proxy.corp:3128", "http://10.0.0.1:8080/",
		"http://[fd00::1]:3128" };
	static const char *const bad[] = { "", "proxy.corp:3128", "https://proxy.corp:3128",
		"socks5://proxy.corp:1080", "http://proxy.corp", "http://proxy.corp:0",
		"http://proxy.corp:99999", "http://proxy.corp:3128/x", "http://:3128",
		"http://u:hunter2@proxy.corp:3128", "http://proxy.corp:3128?x" };
	struct cv_forward f;
	struct cv_err err;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(good); i++) {
		f = (struct cv_forward){ 0 };
		assert_int_equal(cv_forward_parse(cv_str_of(good[i]), &f, &err), CV_OK);
		assert_int_not_equal(f.at.port, 0);
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		f = (struct cv_forward){ 0 };
		assert_int_equal(cv_forward_parse(cv_str_of(bad[i]), &f, &err), CV_INVALID);
		assert_int_equal(f.at.port, 0);
		assert_null(strstr(err.msg, "hunter2"));
	}
}

static bool is_direct(
	const char *list, const char *host, uint16_t port, const char *a, const char *b)
{
	static struct cv_forward f;
	struct cv_host h;
	struct cv_ip ip[2];
	struct cv_err err;
	size_t n = 0;

	f = (struct cv_forward){ 0 };
	assert_int_equal(cv_forward_direct_parse(cv_str_of(list), &f, &err), CV_OK);
	assert_int_equal(cv_host_parse_bare(cv_str_of(host), &h), CV_HOST_OK);
	n += a && cv_ip_parse(cv_str_of(a), &ip[n]);
	n += b && cv_ip_parse(cv_str_of(b), &ip[n]);
	return cv_forward_is_direct(&f, &h, port, ip, n);
}

static void direct(void **state)
{
	static const struct {
		const char *list, *host;
		uint16_t port;
		const char *a, *b;
		bool want;
	} row[] = {
		{ "", "example.com", 443, "93.184.216.34", NULL, false },
		{ "*", "example.com", 443, "93.184.216.34", NULL, true },
		{ "*:443", "example.com", 80, "93.184.216.34", NULL, false },
		{ "example.com", "example.com", 443, NULL, NULL, true },
		{ "EXAMPLE.com", "a.example.com", 443, NULL, NULL, true },
		{ "example.com", "badexample.com", 443, NULL, NULL, false },
		{ "example.com", "example.com.evil", 443, NULL, NULL, false },
		{ ".example.com", "a.example.com", 443, NULL, NULL, true },
		{ ".example.com", "example.com", 443, NULL, NULL, false },
		{ "*.example.com", "example.com", 443, NULL, NULL, false },
		{ "*.example.com", "a.b.example.com", 443, NULL, NULL, true },
		{ "example.com:8443", "example.com", 443, NULL, NULL, false },
		{ "example.com:8443", "example.com", 8443, NULL, NULL, true },
		{ "x.test, ,example.com", "example.com", 443, NULL, NULL, true },
		{ "x.test example.com", "example.com", 443, NULL, NULL, true },
		{ "10.0.0.0/8", "10.1.2.3", 443, "10.1.2.3", NULL, true },
		{ "10.0.0.0/8", "in.corp", 443, "10.1.2.3", "10.1.2.4", true },
		{ "10.0.0.0/8", "in.corp", 443, "10.1.2.3", "93.184.216.34", false },
		{ "10.0.0.0/8", "in.corp", 443, NULL, NULL, false },
		{ "10.1.2.3:443", "10.1.2.3", 80, "10.1.2.3", NULL, false },
		{ "10.1.2.3:443", "10.1.2.3", 443, "10.1.2.3", NULL, true },
		{ "fd00::/8", "fd00::1", 443, "fd00::1", NULL, true },
		{ "fd00::1", "fd00::1", 443, "fd00::1", NULL, true },
		{ "[fd00::1]:443", "fd00::1", 443, "fd00::1", NULL, true },
		{ "[fd00::1]:443", "fd00::1", 80, "fd00::1", NULL, false },
		{ "[fd00::1]", "fd00::1", 80, "fd00::1", NULL, true },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (is_direct(row[i].list, row[i].host, row[i].port, row[i].a, row[i].b) !=
			row[i].want)
			fail_msg("%s against %s:%u", row[i].list, row[i].host, row[i].port);
}

static void refused(void **state)
{
	static const char *const bad[] = { "a b!", "host:0", "host:99999", "host:x", "[fd00::1",
		"[10.0.0.1]:80", "10.0.0.0/8:80", "10.0.0.0/33", "127.1", ".", "*.", "*x.test",
		"http://x.test" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		struct cv_forward f = { 0 };
		struct cv_err err;

		if (cv_forward_direct_parse(cv_str_of(bad[i]), &f, &err) != CV_INVALID)
			fail_msg("'%s' was accepted", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proxies),
		cmocka_unit_test(direct),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
