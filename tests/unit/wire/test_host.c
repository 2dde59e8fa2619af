/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a destination has one text or none (A1, A2, A4, A5).
 * Method: tables of spellings with the text or the reason that each must give.
 */
#include "unit/test.h"

#include "wire/host.c"

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}

#define LABEL63 "a23456789012345678901234567890123456789012345678901234567890123"

struct host_row {
	struct cv_str in;
	enum cv_host_rc rc;
	const char *text; /* when OK */
};

static void rows_run(const struct host_row *row, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct cv_host h = { .n = 0 };
		const enum cv_host_rc rc = cv_host_parse(row[i].in, &h);

		if (rc != row[i].rc)
			fail_msg("\"%.*s\": got %s, want %s", CV_STR_ARG(row[i].in),
				cv_host_rc_text(rc), cv_host_rc_text(row[i].rc));
		if (rc == CV_HOST_OK)
			assert_str(cv_host_str(&h), row[i].text);
		else
			assert_int_equal(h.n, 0); /* untouched */
	}
}

static void a1_host_bytes(void **state)
{
	static const struct host_row row[] = {
		{ S("evil.test\0.allowed.test"), CV_HOST_BYTE, NULL },
		{ S("\0"), CV_HOST_BYTE, NULL },
		{ S("a b"), CV_HOST_BYTE, NULL },
		{ S("a\tb"), CV_HOST_BYTE, NULL },
		{ S("a\r\nb"), CV_HOST_BYTE, NULL },
		{ S("a/b"), CV_HOST_BYTE, NULL },
		{ S("a%00b"), CV_HOST_BYTE, NULL },
		{ S("a%2eb"), CV_HOST_BYTE, NULL },
		{ S("a\\b"), CV_HOST_BYTE, NULL },
		{ S("a#b"), CV_HOST_BYTE, NULL },
		{ S("a@b"), CV_HOST_BYTE, NULL },
		{ S("a:1"), CV_HOST_BYTE, NULL },
		{ S("a\x7f"), CV_HOST_BYTE, NULL },
		{ S(""), CV_HOST_EMPTY, NULL },
		{ S("-oProxyCommand"), CV_HOST_LABEL, NULL },
		{ S(LABEL63 ".test"), CV_HOST_OK, LABEL63 ".test" },
		{ S(LABEL63 "x.test"), CV_HOST_LONG, NULL },
		{ S(LABEL63 "." LABEL63 "." LABEL63 "." LABEL63), CV_HOST_LONG, NULL },
		{ S(LABEL63 "." LABEL63 "." LABEL63 ".a234567890123456789012345678901234567890"
			    "12345678901234567890z"),
			CV_HOST_OK,
			LABEL63 "." LABEL63 "." LABEL63 ".a234567890123456789012345678901234567890"
				"12345678901234567890z" },
	};

	(void)state;
	rows_run(row, CV_ARRAY_LEN(row));
}

static void a2_one_spelling(void **state)
{
	static const struct host_row row[] = {
		{ S("API.Example.TEST"), CV_HOST_OK, "api.example.test" },
		{ S("r3---sn_x.example.test"), CV_HOST_OK, "r3---sn_x.example.test" },
		{ S("localhost"), CV_HOST_OK, "localhost" },
		{ S("a.test."), CV_HOST_DOT, NULL },
		{ S("a.test.."), CV_HOST_DOT, NULL },
		{ S("."), CV_HOST_DOT, NULL },
		{ S(".a.test"), CV_HOST_LABEL, NULL },
		{ S("a..test"), CV_HOST_LABEL, NULL },
		{ S("a-.test"), CV_HOST_LABEL, NULL },
		{ S("[a.test]"), CV_HOST_IP6, NULL },
		{ S("[1.2.3.4]"), CV_HOST_IP6, NULL },
		{ S("*.a.test"), CV_HOST_BYTE, NULL },
	};

	(void)state;
	rows_run(row, CV_ARRAY_LEN(row));
}

static void a4_other_scripts(void **state)
{
	static const struct host_row row[] = {
		{ S("xn--e1afmkfd.test"), CV_HOST_OK, "xn--e1afmkfd.test" },
		{ S("XN--E1AFMKFD.test"), CV_HOST_OK, "xn--e1afmkfd.test" },
		{ S("\xd0\xb0pple.test"), CV_HOST_BYTE, NULL },  /* Cyrillic a */
		{ S("a\xef\xbc\x8etest"), CV_HOST_BYTE, NULL },  /* full-width dot */
		{ S("a\xe3\x80\x82test"), CV_HOST_BYTE, NULL },  /* ideographic dot */
		{ S("a\xe2\x80\x8d.test"), CV_HOST_BYTE, NULL }, /* zero-width joiner */
		{ S("a\xc2\xad"
		    "b.test"),
			CV_HOST_BYTE, NULL }, /* soft hyphen */
	};

	(void)state;
	rows_run(row, CV_ARRAY_LEN(row));
}

static void a5_numbers(void **state)
{
	static const struct host_row row[] = {
		{ S("127.0.0.1"), CV_HOST_OK, "127.0.0.1" },
		{ S("1.2.3.4"), CV_HOST_OK, "1.2.3.4" },
		{ S("127.1"), CV_HOST_NUMERIC, NULL },
		{ S("1.2.3"), CV_HOST_NUMERIC, NULL },
		{ S("1.2.3.4.5"), CV_HOST_NUMERIC, NULL },
		{ S("0"), CV_HOST_NUMERIC, NULL },
		{ S("2130706433"), CV_HOST_NUMERIC, NULL },
		{ S("0x7f000001"), CV_HOST_NUMERIC, NULL },
		{ S("0X7F000001"), CV_HOST_NUMERIC, NULL },
		{ S("0x7f.0.0.0x1"), CV_HOST_NUMERIC, NULL },
		{ S("0x"), CV_HOST_NUMERIC, NULL },
		{ S("017700000001"), CV_HOST_NUMERIC, NULL },
		{ S("0177.0.0.1"), CV_HOST_NUMERIC, NULL },
		{ S("127.0.0.01"), CV_HOST_NUMERIC, NULL },
		{ S("127.0.0.256"), CV_HOST_NUMERIC, NULL },
		{ S("127.0.0.1."), CV_HOST_DOT, NULL },
		{ S("a.test.1"), CV_HOST_NUMERIC, NULL },
		{ S("1.2.3.test"), CV_HOST_OK, "1.2.3.test" },
		{ S("1e100.test"), CV_HOST_OK, "1e100.test" },
		{ S("[2001:DB8:0:0:0::1]"), CV_HOST_OK, "2001:db8::1" },
		{ S("[2001:0db8:0000::0001]"), CV_HOST_OK, "2001:db8::1" },
		{ S("[::1]"), CV_HOST_OK, "::1" },
		{ S("[::]"), CV_HOST_OK, "::" },
		{ S("[::ffff:127.0.0.1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[::ffff:7f00:1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[::ffff:0:7f00:1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[::127.0.0.1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[::7f00:1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[64:ff9b::7f00:1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[64:ff9b:1::7f00:1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[2002:7f00:1::]"), CV_HOST_EMBEDDED, NULL },
		{ S("[2001::1]"), CV_HOST_EMBEDDED, NULL },
		{ S("[2001:db8::1.2.3.4]"), CV_HOST_EMBEDDED, NULL },
		{ S("[fe80::1%eth0]"), CV_HOST_IP6, NULL },
		{ S("[fe80::1%25eth0]"), CV_HOST_IP6, NULL },
		{ S("[::1"), CV_HOST_IP6, NULL },
		{ S("[]"), CV_HOST_IP6, NULL },
		{ S("[::1\0]"), CV_HOST_IP6, NULL },
		{ S("[12345::1]"), CV_HOST_IP6, NULL },
		{ S("::1"), CV_HOST_BYTE, NULL },
	};

	(void)state;
	rows_run(row, CV_ARRAY_LEN(row));
}

static void kinds(void **state)
{
	struct cv_host h;
	struct cv_ip ip;

	(void)state;
	assert_int_equal(cv_host_parse_bare(CV_STR("::1"), &h), CV_HOST_OK);
	assert_true(h.is_ip && h.is_ip6);
	assert_int_equal(cv_host_parse_bare(CV_STR("[::1]"), &h), CV_HOST_IP6);
	assert_int_equal(cv_host_parse(CV_STR("10.0.0.1"), &h), CV_HOST_OK);
	assert_true(h.is_ip && !h.is_ip6);
	assert_int_equal(cv_host_parse(CV_STR("a.test"), &h), CV_HOST_OK);
	assert_true(!h.is_ip && !h.is_ip6);
	assert_true(cv_ip_parse(CV_STR("2001:DB8::1"), &ip));
	cv_host_from_ip(&ip, &h);
	assert_true(h.is_ip && h.is_ip6);
	assert_str(cv_host_str(&h), "2001:db8::1");
	assert_true(cv_ip_parse(CV_STR("10.0.0.1"), &ip));
	cv_host_from_ip(&ip, &h);
	assert_true(h.is_ip && !h.is_ip6);
	assert_str(cv_host_str(&h), "10.0.0.1");
}

static void t3_authorities(void **state)
{
	static const struct {
		struct cv_str in;
		enum cv_host_rc rc;
		const char *host;
		uint16_t port;
	} row[] = {
		{ S("a.test"), CV_HOST_OK, "a.test", 0 },
		{ S("A.test:443"), CV_HOST_OK, "a.test", 443 },
		{ S("a.test:65535"), CV_HOST_OK, "a.test", 65535 },
		{ S("[::1]:8443"), CV_HOST_OK, "::1", 8443 },
		{ S("[::1]"), CV_HOST_OK, "::1", 0 },
		{ S("a.test:"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test:0"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test:0443"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test:65536"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test:+443"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test: 443"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test:443:443"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test:443@evil.test"), CV_HOST_USERINFO, NULL, 0 },
		{ S("user:pass@a.test:443"), CV_HOST_USERINFO, NULL, 0 },
		{ S("@a.test"), CV_HOST_USERINFO, NULL, 0 },
		{ S("a.test\\@evil.test"), CV_HOST_USERINFO, NULL, 0 },
		{ S("a.test#@evil.test"), CV_HOST_USERINFO, NULL, 0 },
		{ S("a.test#:443"), CV_HOST_BYTE, NULL, 0 },
		{ S(":443"), CV_HOST_EMPTY, NULL, 0 },
		{ S(""), CV_HOST_EMPTY, NULL, 0 },
		{ S("::1:443"), CV_HOST_EMPTY, NULL, 0 },
		{ S("[::1]443"), CV_HOST_IP6, NULL, 0 },
		{ S("[::1]x:443"), CV_HOST_IP6, NULL, 0 },
		{ S("[::1"), CV_HOST_IP6, NULL, 0 },
		{ S("[::1:443"), CV_HOST_IP6, NULL, 0 },
		{ S("a.test.:443"), CV_HOST_DOT, NULL, 0 },
		{ S("a.test:443\0"), CV_HOST_PORT, NULL, 0 },
		{ S("a.test\0:443"), CV_HOST_BYTE, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_authority a = { .port = 7 };
		const enum cv_host_rc rc = cv_authority_parse(row[i].in, &a);

		if (rc != row[i].rc)
			fail_msg("\"%.*s\": got %s, want %s", CV_STR_ARG(row[i].in),
				cv_host_rc_text(rc), cv_host_rc_text(row[i].rc));
		if (rc == CV_HOST_OK)
			assert_str(cv_host_str(&a.host), row[i].host);
		assert_int_equal(a.port, rc == CV_HOST_OK ? row[i].port : 7);
	}
}

static void authorities_compare_and_write(void **state)
{
	struct cv_authority a, b;
	struct cv_buf buf;

	(void)state;
	cv_buf_init(&buf, 1024);
	assert_int_equal(cv_authority_parse_port(CV_STR("a.test"), &a), CV_HOST_PORT_MISSING);
	assert_int_equal(cv_authority_parse_port(CV_STR("[2001:db8::1]:8443"), &a), CV_HOST_OK);
	assert_true(cv_authority_write(&buf, &a, 443));
	assert_str(cv_buf_str(&buf), "[2001:db8::1]:8443");
	cv_buf_reset(&buf);
	assert_int_equal(cv_authority_parse(CV_STR("a.test:443"), &a), CV_HOST_OK);
	assert_int_equal(cv_authority_parse(CV_STR("A.TEST"), &b), CV_HOST_OK);
	assert_true(cv_authority_write(&buf, &a, 443));
	assert_str(cv_buf_str(&buf), "a.test");
	assert_true(cv_authority_eq(&a, &b, 443));
	assert_false(cv_authority_eq(&a, &b, 80));
	cv_buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a1_host_bytes),
		cmocka_unit_test(a2_one_spelling),
		cmocka_unit_test(a4_other_scripts),
		cmocka_unit_test(a5_numbers),
		cmocka_unit_test(kinds),
		cmocka_unit_test(t3_authorities),
		cmocka_unit_test(authorities_compare_and_write),
	};

	return cmocka_run_group_tests_name("wire/host", tests, NULL, NULL);
}
