/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: from a resolver's reply, only addresses that the asked name leads to are taken; every other
 * reply is named for what it is (A6).
 * Method: replies put together record by record, with pointers where a server would put them.
 */
#include "unit/test.h"

#include "wire/dns_response.c"

struct reply {
	struct cv_buf b;
	struct cv_name name;
};

static void begin(struct reply *r, uint16_t flags, uint16_t answers, uint16_t type)
{
	assert_true(cv_name_parse(CV_STR("api.test"), &r->name));
	cv_buf_init(&r->b, 65536);
	cv_buf_put_u16be(&r->b, 0x1234);
	cv_buf_put_u16be(&r->b, flags);
	cv_buf_put_u16be(&r->b, 1);
	cv_buf_put_u16be(&r->b, answers);
	cv_buf_put_u32be(&r->b, 0);
	cv_buf_put(&r->b, CV_STR("\x03"
				 "aPi\x04"
				 "tEst\x00"));
	cv_buf_put_u16be(&r->b, type);
	cv_buf_put_u16be(&r->b, 1);
}

/* Returns where the data stands. */
static uint16_t put(
	struct reply *r, struct cv_str owner, uint16_t type, uint32_t ttl_s, struct cv_str data)
{
	cv_buf_put(&r->b, owner);
	cv_buf_put_u16be(&r->b, type);
	cv_buf_put_u16be(&r->b, 1);
	cv_buf_put_u32be(&r->b, ttl_s);
	cv_buf_put_u16be(&r->b, (uint16_t)data.n);
	const uint16_t at = (uint16_t)cv_buf_len(&r->b);
	cv_buf_put(&r->b, data);
	return at;
}

static struct cv_dns_response end(struct reply *r, uint16_t type)
{
	struct cv_dns_response res;

	cv_dns_response_parse(cv_buf_str(&r->b), 0x1234, &r->name, type, &res);
	cv_buf_fini(&r->b);
	return res;
}

#define QNAME CV_STR("\xc0\x0c")

static void finds_addresses(void **state)
{
	struct reply r;

	(void)state;
	begin(&r, 0x8180, 3, 1);
	put(&r, QNAME, 1, 300, CV_STR("\x01\x02\x03\x04"));
	put(&r,
		CV_STR("\x03"
		       "API\x04"
		       "test\x00"),
		1, 60, CV_STR("\x01\x02\x03\x05"));
	put(&r, CV_STR("\x05other\xc0\x10"), 1, 1, CV_STR("\x7f\x00\x00\x01")); /* by the way */
	const struct cv_dns_response res = end(&r, 1);
	assert_int_equal(res.outcome, CV_DNS_FOUND);
	assert_int_equal(res.ip_count, 2);
	assert_int_equal(res.ip[1].b[15], 5);
	assert_int_equal(res.ttl_s, 60);
	assert_str(cv_name_str(&res.target), "api.test");
}

static void a6_follows_aliases(void **state)
{
	struct reply r;

	(void)state;
	begin(&r, 0x8180, 3, 1);
	/* out of order: the address comes before the alias that leads to it */
	put(&r,
		CV_STR("\x04"
		       "edge\x03net\x00"),
		1, 3600, CV_STR("\x0a\x00\x00\x01"));
	uint16_t at = put(&r, QNAME, 5, 600,
		CV_STR("\x03"
		       "cdn\xc0\x10"));
	const char owner[] = { (char)(0xc0 | at >> 8), (char)at };
	put(&r, (struct cv_str){ owner, 2 }, 5, 30,
		CV_STR("\x04"
		       "edge\x03net\x00"));
	const struct cv_dns_response res = end(&r, 1);
	assert_int_equal(res.outcome, CV_DNS_FOUND);
	assert_int_equal(res.cname_count, 2);
	assert_int_equal(res.ip_count, 1);
	assert_int_equal(res.ttl_s, 30);
	assert_str(cv_name_str(&res.target), "edge.net");
}

static void a6_alias_loops_end(void **state)
{
	struct reply r;

	(void)state;
	begin(&r, 0x8180, 1, 1);
	put(&r, QNAME, 5, 600, QNAME);
	assert_string_equal(end(&r, 1).problem, "too many aliases, or a loop");

	for (unsigned links = CV_DNS_CNAMES_MAX; links <= CV_DNS_CNAMES_MAX + 1; links++) {
		begin(&r, 0x8180, (uint16_t)(links + 1), 1);
		for (unsigned i = 0; i < links; i++) {
			const char owner[] = { 1, (char)('a' + i), 0 },
				   to[] = { 1, (char)('b' + i), 0 };

			put(&r, i ? (struct cv_str){ owner, 3 } : QNAME, 5, 60,
				(struct cv_str){ to, 3 });
		}
		const char last[] = { 1, (char)('a' + links), 0 };
		put(&r, (struct cv_str){ last, 3 }, 1, 60, CV_STR("\x01\x02\x03\x04"));
		assert_int_equal(end(&r, 1).outcome,
			links == CV_DNS_CNAMES_MAX ? CV_DNS_FOUND : CV_DNS_MALFORMED);
	}
}

static void outcomes(void **state)
{
	static const struct {
		uint16_t flags;
		enum cv_dns_outcome want;
	} row[] = {
		{ 0x8183, CV_DNS_NO_NAME }, { 0x8180, CV_DNS_NO_DATA },
		{ 0x8182, CV_DNS_SERVER_FAILED }, { 0x8185, CV_DNS_SERVER_FAILED },
		{ 0x8380, CV_DNS_TRUNCATED }, { 0x8383, CV_DNS_TRUNCATED },
		{ 0x0180, CV_DNS_MISMATCH }, /* not a response */
		{ 0xa180, CV_DNS_MISMATCH }, /* opcode */
	};
	struct reply r;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		begin(&r, row[i].flags, 0, 28);
		const struct cv_dns_response res = end(&r, 28);
		if (res.outcome != row[i].want)
			fail_msg("row %zu: %s", i, cv_dns_outcome_name(res.outcome));
	}
}

static void a6_only_our_question(void **state)
{
	struct cv_dns_response res;
	struct cv_name other;
	struct reply r;

	(void)state;
	begin(&r, 0x8180, 1, 1);
	put(&r, QNAME, 1, 300, CV_STR("\x01\x02\x03\x04"));
	const struct cv_str msg = cv_buf_str(&r.b);
	assert_true(cv_name_parse(CV_STR("api.tesu"), &other));
	assert_int_equal(cv_dns_response_parse(msg, 0x1234, &r.name, 1, &res), CV_DNS_FOUND);
	assert_int_equal(cv_dns_response_parse(msg, 0x1235, &r.name, 1, &res), CV_DNS_MISMATCH);
	assert_int_equal(cv_dns_response_parse(msg, 0x1234, &other, 1, &res), CV_DNS_MISMATCH);
	assert_int_equal(cv_dns_response_parse(msg, 0x1234, &r.name, 28, &res), CV_DNS_MISMATCH);
	for (size_t n = 0; n < msg.n; n++) /* cut anywhere */
		assert_true(cv_dns_response_parse(cv_str_slice(msg, 0, n), 0x1234, &r.name, 1,
				    &res) < CV_DNS_TRUNCATED);
	cv_buf_fini(&r.b);
}

static void pointers_go_back_only(void **state)
{
	static const struct cv_str owner[] = {
		CV_STR("\xc0\x1a"), /* itself: the first record starts at 26 */
		CV_STR("\xc0\x1c"), /* forward */
		CV_STR("\xc0\x00"), /* into the header */
		CV_STR("\x01"
		       "a\xc0\x1a"), /* back to its own start: a loop */
		CV_STR("\x80\x0c"),  /* reserved label type */
		CV_STR("\xff\xff"),
	};
	struct reply r;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(owner); i++) {
		begin(&r, 0x8180, 1, 1);
		assert_int_equal(cv_buf_len(&r.b), 26);
		put(&r, owner[i], 1, 300, CV_STR("\x01\x02\x03\x04"));
		assert_int_equal(end(&r, 1).outcome, CV_DNS_MALFORMED);
	}
}

static void bounds(void **state)
{
	struct cv_dns_response res;
	struct reply r;

	(void)state;
	begin(&r, 0x8180, 20, 1);
	for (int i = 0; i < 20; i++)
		put(&r, QNAME, 1, 0xffffffff, CV_STR("\x01\x02\x03\x04"));
	res = end(&r, 1);
	assert_int_equal(res.ip_count, CV_DNS_ADDRS_MAX);
	assert_int_equal(res.ttl_s, 0); /* RFC 2181 8 */

	begin(&r, 0x8180, CV_DNS_ANSWERS_MAX + 1, 1);
	for (int i = 0; i <= CV_DNS_ANSWERS_MAX; i++)
		put(&r, QNAME, 1, 1, CV_STR("\x01\x02\x03\x04"));
	assert_string_equal(end(&r, 1).problem, "too many records");

	begin(&r, 0x8180, 1, 1);
	put(&r, QNAME, 1, 1, CV_STR("\x01\x02\x03"));
	assert_int_equal(end(&r, 1).outcome, CV_DNS_MALFORMED);

	begin(&r, 0x8180, 1, 1);
	put(&r, QNAME, 5, 1,
		CV_STR("\x03"
		       "a b\x00"));
	assert_string_equal(end(&r, 1).problem, "alias is not a host name");

	begin(&r, 0x8180, 1, 1);
	put(&r, QNAME, 5, 1,
		CV_STR("\x01"
		       "a\x00"
		       "x"));
	assert_string_equal(end(&r, 1).problem, "alias is malformed");

	begin(&r, 0x8180, 1, 28);
	put(&r, QNAME, 28, 1000000, CV_STR("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"));
	res = end(&r, 28);
	assert_int_equal(res.ip_count, 1);
	assert_false(res.ip[0].is_v4);
	assert_int_equal(res.ttl_s, CV_DNS_TTL_S_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_addresses),
		cmocka_unit_test(a6_follows_aliases),
		cmocka_unit_test(a6_alias_loops_end),
		cmocka_unit_test(outcomes),
		cmocka_unit_test(a6_only_our_question),
		cmocka_unit_test(pointers_go_back_only),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests_name("wire/dns_response", tests, NULL, NULL);
}
