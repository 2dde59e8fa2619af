/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: queries are read strictly and answered as a resolver would; nothing but a plain question
 * for a host name gets through (N4, N6).
 * Method: messages written here byte by byte; each refusal by one change to a good query; answers
 * compared as bytes, and read back by the client side.
 */
#include "unit/test.h"

#include "wire/dns.c"

#define HEADER(flags_hi, questions, additional) \
	"\x12\x34" flags_hi "\x00\x00" questions "\x00\x00\x00\x00\x00" additional
#define GOOD                           \
	HEADER("\x01", "\x01", "\x00") \
	"\x03"                         \
	"Api\x04test\x00\x00\x01\x00\x01"
#define GOOD_OPT                       \
	HEADER("\x01", "\x01", "\x01") \
	"\x03"                         \
	"api\x04test\x00\x00\x1c\x00\x01"
#define OPT "\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00"

static void reads_a_query(void **state)
{
	struct cv_dns_query q;

	(void)state;
	assert_int_equal(cv_dns_query_parse(CV_STR(GOOD), &q), CV_DNS_PROBLEM_NONE);
	assert_str(cv_name_str(&q.name), "api.test");
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.type, CV_DNS_TYPE_A);
	assert_int_equal(q.udp_bytes_max, 512);
	assert_true(q.wants_recursion);
	assert_false(q.has_edns);

	assert_int_equal(cv_dns_query_parse(CV_STR(GOOD_OPT OPT), &q), CV_DNS_PROBLEM_NONE);
	assert_int_equal(q.type, CV_DNS_TYPE_AAAA);
	assert_true(q.has_edns);
	assert_int_equal(q.udp_bytes_max, CV_DNS_UDP_BYTES_MAX); /* 4096 offered */
}

static const struct {
	struct cv_str msg;
	enum cv_dns_problem want;
} bad[] = {
	{ CV_STR(""), CV_DNS_PROBLEM_SHORT },
	{ CV_STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00"), CV_DNS_PROBLEM_SHORT },
	{ CV_STR(HEADER("\x81", "\x01", "\x00") "\x01"
						"a\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_RESPONSE },
	{ CV_STR(HEADER("\x29", "\x01", "\x00") "\x01"
						"a\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_OPCODE }, /* update */
	{ CV_STR(HEADER("\x03", "\x01", "\x00") "\x01"
						"a\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_FLAGS }, /* TC */
	{ CV_STR(HEADER("\x01", "\x00", "\x00")), CV_DNS_PROBLEM_COUNTS },
	{ CV_STR(HEADER("\x01", "\x02", "\x00") "\x01"
						"a\x00\x00\x01\x00\x01"
						"\x01"
						"b\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_COUNTS },
	{ CV_STR(HEADER("\x01", "\x01", "\x02") "\x01"
						"a\x00\x00\x01\x00\x01" OPT OPT),
		CV_DNS_PROBLEM_COUNTS },
	{ CV_STR("\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00"
		 "\x01"
		 "a\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_COUNTS }, /* an answer in a query */
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\xc0\x0c\x00\x01\x00\x01"), CV_DNS_PROBLEM_NAME },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x01"
						"a\xc0\x0c\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_NAME },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x41"
						"a\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_NAME },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x05"
						"a"),
		CV_DNS_PROBLEM_NAME },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x01"
						"a\x00\x00\x01\x00"),
		CV_DNS_PROBLEM_NAME },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x01"
						"a"),
		CV_DNS_PROBLEM_NAME },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x00\x00\x02\x00\x01"),
		CV_DNS_PROBLEM_NAME_BYTES }, /* the root */
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x03"
						"a.b\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_NAME_BYTES },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x03"
						"a\0b\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_NAME_BYTES },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x03"
						"a b\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_NAME_BYTES },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x03"
						"127\x01"
						"1\x00\x00\x01\x00\x01"),
		CV_DNS_PROBLEM_NAME_BYTES },
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x01"
						"a\x00\x00\x01\x00\x03"),
		CV_DNS_PROBLEM_CLASS }, /* CHAOS */
	{ CV_STR(HEADER("\x01", "\x01", "\x00") "\x01"
						"a\x00\x00\x01\x00\x01"
						"x"),
		CV_DNS_PROBLEM_TRAILING },
	{ CV_STR(GOOD_OPT), CV_DNS_PROBLEM_EDNS },
	{ CV_STR(GOOD_OPT OPT "x"), CV_DNS_PROBLEM_TRAILING },
	{ CV_STR(GOOD_OPT "\x00\x00\x29\x10\x00\x00\x01\x00\x00\x00\x00"),
		CV_DNS_PROBLEM_EDNS_VERSION },
	{ CV_STR(GOOD_OPT "\x00\x00\xfa\x10\x00\x00\x00\x00\x00\x00\x00"),
		CV_DNS_PROBLEM_EDNS }, /* TSIG */
	{ CV_STR(GOOD_OPT "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x08"),
		CV_DNS_PROBLEM_EDNS }, /* option longer than its record */
	{ CV_STR(GOOD_OPT "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x09\x00"),
		CV_DNS_PROBLEM_EDNS },
};

static void n4_refuses_all_else(void **state)
{
	struct cv_dns_query q;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		const enum cv_dns_problem p = cv_dns_query_parse(bad[i].msg, &q);

		if (p != bad[i].want)
			fail_msg("row %zu: %s, not %s", i, problem_row[p].name,
				problem_row[bad[i].want].name);
		assert_int_equal(cv_dns_is_answerable(p),
			p != CV_DNS_PROBLEM_SHORT && p != CV_DNS_PROBLEM_RESPONSE);
		if (p == CV_DNS_PROBLEM_NONE)
			continue;
		/* every refusal can be answered with what was read */
		struct cv_buf out;
		cv_buf_init(&out, 1024);
		assert_true(cv_dns_answer_write(&q,
			&(struct cv_dns_answer){ .rcode = cv_dns_problem_row(p)->rcode }, 512,
			&out));
		cv_buf_fini(&out);
	}
	char big[CV_DNS_QUERY_BYTES_MAX + 1] = GOOD;
	assert_int_equal(
		cv_dns_query_parse((struct cv_str){ big, sizeof(big) }, &q), CV_DNS_PROBLEM_LONG);
}

static struct cv_ip ip_ok(const char *text)
{
	struct cv_ip ip = { 0 };

	assert_true(cv_ip_parse(cv_str_of(text), &ip));
	return ip;
}

static void writes_addresses(void **state)
{
	const struct cv_ip ip[] = { ip_ok("198.18.0.7"), ip_ok("fd23::7"), ip_ok("198.18.0.8") };
	const struct cv_dns_answer a = { .ttl_s = 30, .ip = ip, .ip_count = 3 };
	struct cv_dns_query q;
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 65536);
	assert_int_equal(cv_dns_query_parse(CV_STR(GOOD), &q), CV_DNS_PROBLEM_NONE);
	assert_true(cv_dns_answer_write(&q, &a, q.udp_bytes_max, &out));
	const struct cv_str want =
		CV_STR("\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"
		       "\x03"
		       "Api\x04test\x00\x00\x01\x00\x01"
		       "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc6\x12\x00\x07"
		       "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc6\x12\x00\x08");
	assert_true(cv_str_eq(cv_buf_str(&out), want));

	cv_buf_reset(&out);
	assert_int_equal(cv_dns_query_parse(CV_STR(GOOD_OPT OPT), &q), CV_DNS_PROBLEM_NONE);
	assert_true(cv_dns_answer_write(&q, &a, q.udp_bytes_max, &out));
	struct cv_dns_response res;
	assert_int_equal(
		cv_dns_response_parse(cv_buf_str(&out), 0x1234, &q.name, CV_DNS_TYPE_AAAA, &res),
		CV_DNS_FOUND);
	assert_int_equal(res.ip_count, 1);
	assert_true(cv_ip_eq(&res.ip[0], &ip[1]));
	assert_int_equal(res.ttl_s, 30);
	cv_buf_fini(&out);
}

/* An allowed name has addresses and nothing else: HTTPS and SVCB records would carry ECH keys. */
static void n6_other_types_have_no_data(void **state)
{
	static const uint16_t type[] = { 16, 255, 64, 65, 15, 33 }; /* TXT ANY SVCB HTTPS MX SRV */
	const struct cv_ip ip[] = { ip_ok("198.18.0.7"), ip_ok("fd23::7") };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(type); i++) {
		char msg[] = GOOD;
		struct cv_dns_query q;
		struct cv_buf out;

		cv_buf_init(&out, 512);
		msg[sizeof(msg) - 1 - 3] = (char)type[i];
		assert_int_equal(cv_dns_query_parse((struct cv_str){ msg, sizeof(msg) - 1 }, &q),
			CV_DNS_PROBLEM_NONE);
		assert_int_equal(q.type, type[i]);
		assert_true(cv_dns_answer_write(
			&q, &(struct cv_dns_answer){ .ip = ip, .ip_count = 2 }, 512, &out));
		assert_int_equal(u16_at(cv_buf_str(&out), 2), 0x8180);
		assert_int_equal(u16_at(cv_buf_str(&out), 6), 0);
		cv_buf_fini(&out);
	}
}

static void errors_carry_no_addresses(void **state)
{
	const struct cv_ip ip = ip_ok("198.18.0.7");
	struct cv_dns_query q;
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 512);
	assert_int_equal(cv_dns_query_parse(CV_STR(GOOD), &q), CV_DNS_PROBLEM_NONE);
	assert_true(cv_dns_answer_write(&q,
		&(struct cv_dns_answer){ .rcode = CV_DNS_REFUSED, .ip = &ip, .ip_count = 1 }, 512,
		&out));
	assert_int_equal(u16_at(cv_buf_str(&out), 2), 0x8185);
	assert_int_equal(u16_at(cv_buf_str(&out), 6), 0);

	/* BADVERS has its high bits in the OPT */
	cv_buf_reset(&out);
	assert_int_equal(
		cv_dns_query_parse(
			CV_STR(GOOD_OPT "\x00\x00\x29\x10\x00\x00\x01\x00\x00\x00\x00"), &q),
		CV_DNS_PROBLEM_EDNS_VERSION);
	assert_true(cv_dns_answer_write(
		&q, &(struct cv_dns_answer){ .rcode = CV_DNS_BADVERS }, 512, &out));
	const struct cv_str s = cv_buf_str(&out);
	assert_int_equal(u16_at(s, 2), 0x8180);
	assert_int_equal(s.p[s.n - 6], 1);
	cv_buf_fini(&out);
}

static void too_many_addresses_set_tc(void **state)
{
	struct cv_ip ip[CV_DNS_ADDRS_MAX + 4];
	char msg[CV_DNS_HEADER_BYTES + 256 + 4] = HEADER("\x01", "\x01", "\x00");
	size_t n = CV_DNS_HEADER_BYTES;
	struct cv_dns_query q;
	struct cv_buf out;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(ip); i++)
		ip[i] = ip_ok("2001:db8::1");
	for (int label = 0; label < 4; label++) { /* the longest name: 255 bytes */
		const size_t len = label < 3 ? 63 : 61;

		msg[n++] = (char)len;
		memset(msg + n, 'a', len);
		n += len;
	}
	memcpy(msg + n, "\x00\x00\x1c\x00\x01", 5);
	n += 5;
	cv_buf_init(&out, 65536);
	assert_int_equal(cv_dns_query_parse((struct cv_str){ msg, n }, &q), CV_DNS_PROBLEM_NONE);
	assert_int_equal(q.name.n, CV_NAME_BYTES_MAX);

	const struct cv_dns_answer a = { .ip = ip, .ip_count = CV_ARRAY_LEN(ip) };
	assert_true(cv_dns_answer_write(&q, &a, 512, &out));
	assert_int_equal(u16_at(cv_buf_str(&out), 2), 0x8380);
	assert_int_equal(u16_at(cv_buf_str(&out), 6), 0);
	assert_true(cv_buf_len(&out) <= 512);

	cv_buf_reset(&out); /* over TCP all fit, and more than the maximum are never written */
	assert_true(cv_dns_answer_write(&q, &a, CV_DNS_TCP_BYTES_MAX, &out));
	assert_int_equal(u16_at(cv_buf_str(&out), 6), CV_DNS_ADDRS_MAX);
	cv_buf_fini(&out);
}

static void writes_queries(void **state)
{
	struct cv_name name;
	struct cv_dns_query q;
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1024);
	assert_true(cv_name_parse(CV_STR("Api.test"), &name));
	assert_true(cv_dns_query_write(0xbeef, &name, CV_DNS_TYPE_AAAA, true, &out));
	assert_int_equal(cv_dns_query_parse(cv_buf_str(&out), &q), CV_DNS_PROBLEM_NONE);
	assert_int_equal(q.id, 0xbeef);
	assert_str(cv_name_str(&q.name), "api.test");
	assert_true(q.has_edns && q.wants_recursion);
	assert_int_equal(q.udp_bytes_max, 1232);
	cv_buf_reset(&out);
	assert_true(cv_dns_query_write(1, &name, CV_DNS_TYPE_A, false, &out));
	assert_int_equal(cv_dns_query_parse(cv_buf_str(&out), &q), CV_DNS_PROBLEM_NONE);
	assert_false(q.has_edns);
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_query),
		cmocka_unit_test(n4_refuses_all_else),
		cmocka_unit_test(writes_addresses),
		cmocka_unit_test(n6_other_types_have_no_data),
		cmocka_unit_test(errors_carry_no_addresses),
		cmocka_unit_test(too_many_addresses_set_tc),
		cmocka_unit_test(writes_queries),
	};

	return cmocka_run_group_tests_name("wire/dns", tests, NULL, NULL);
}
