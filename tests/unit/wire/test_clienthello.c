/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the name, protocols and versions of a ClientHello are found however it is cut, and what is
 * not exactly one proper hello is refused by name (T1, T4, T5, T9).
 * Method: a hello is built extension by extension, then cut into records of every size and handed
 * over byte by byte; each fault is one change to a good hello.
 */
#include "unit/test.h"

#include "wire/clienthello.c"

#include "base/buf.h"

struct made {
	struct cv_buf ext, hello;
};

static void make_begin(struct made *m)
{
	cv_buf_init(&m->ext, 1 << 20);
	cv_buf_init(&m->hello, 1 << 20);
}

static void add_ext(struct made *m, uint16_t type, struct cv_str data)
{
	cv_buf_put_u16be(&m->ext, type);
	cv_buf_put_u16be(&m->ext, (uint16_t)data.n);
	cv_buf_put(&m->ext, data);
}

static void add_sni(struct made *m, struct cv_str name)
{
	struct cv_buf b;

	cv_buf_init(&b, 65536);
	cv_buf_put_u16be(&b, (uint16_t)(name.n + 3));
	cv_buf_put_byte(&b, 0);
	cv_buf_put_u16be(&b, (uint16_t)name.n);
	cv_buf_put(&b, name);
	add_ext(m, 0, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* The handshake message: header and body. */
static struct cv_str make_hello(struct made *m)
{
	static const char random[32];
	const struct cv_str ext = cv_buf_str(&m->ext);
	const size_t n = 2 + 32 + 1 + 4 + 2 + 2 + ext.n;

	cv_buf_reset(&m->hello);
	cv_buf_put_u32be(&m->hello, (uint32_t)(CLIENT_HELLO << 24 | n));
	cv_buf_put_u16be(&m->hello, 0x0303);
	cv_buf_put(&m->hello, (struct cv_str){ random, 32 });
	cv_buf_put(&m->hello, CV_STR("\x00\x00\x02\x13\x01\x01\x00"));
	cv_buf_put_u16be(&m->hello, (uint16_t)ext.n);
	cv_buf_put(&m->hello, ext);
	return cv_buf_str(&m->hello);
}

static void put_records(struct cv_buf *out, struct cv_str hello, size_t each)
{
	for (size_t at = 0; at < hello.n; at += each) {
		const struct cv_str part = cv_str_slice(hello, at, at + each);

		cv_buf_put(out, CV_STR("\x16\x03\x01"));
		cv_buf_put_u16be(out, (uint16_t)part.n);
		cv_buf_put(out, part);
	}
}

static struct cv_hello parse_made(struct made *m)
{
	struct cv_hello h;
	struct cv_buf out;

	cv_buf_init(&out, 1 << 20);
	put_records(&out, make_hello(m), CV_HELLO_RECORD_BYTES_MAX);
	cv_hello_parse(cv_buf_str(&out), &h);
	cv_buf_fini(&out);
	cv_buf_fini(&m->ext);
	cv_buf_fini(&m->hello);
	return h;
}

#define ALPN_BOTH CV_STR("\x00\x0c\x02h2\x08http/1.1")

static void make_usual(struct made *m)
{
	make_begin(m);
	add_ext(m, 0x0a0a, CV_STR_NONE); /* GREASE */
	add_sni(m, CV_STR("Api.Example.Test"));
	add_ext(m, 16, ALPN_BOTH);
	add_ext(m, 43, CV_STR("\x06\xfa\xfa\x03\x04\x03\x03"));
}

static void reads_a_hello(void **state)
{
	struct made m;
	size_t pos = 0;

	(void)state;
	make_usual(&m);
	const struct cv_hello h = parse_made(&m);
	assert_int_equal(h.status, CV_HELLO_OK);
	assert_str(cv_name_str(&h.sni), "api.example.test");
	assert_true(h.has_alpn && h.offers_h2 && h.offers_http11);
	assert_false(h.has_ech || h.has_session_id);
	assert_int_equal(cv_hello_version_max(&h), 0x0304);
	assert_str(cv_hello_alpn_next(&h, &pos), "h2");
	assert_str(cv_hello_alpn_next(&h, &pos), "http/1.1");
	assert_null(cv_hello_alpn_next(&h, &pos).p);
}

static void t4_any_cut_gives_the_same(void **state)
{
	struct made m;
	struct cv_buf out;

	(void)state;
	make_usual(&m);
	const struct cv_str hello = make_hello(&m);
	cv_buf_init(&out, 65536);
	for (size_t each = hello.n / CV_HELLO_RECORDS_MAX + 1; each <= hello.n; each++) {
		struct cv_hello h;
		size_t n = 0, calls = 0;

		cv_buf_reset(&out);
		put_records(&out, hello, each);
		const struct cv_str all = cv_buf_str(&out);
		for (; calls < 200; calls++) { /* wait for what was asked for, no more */
			if (cv_hello_parse(cv_str_slice(all, 0, n), &h) != CV_HELLO_NEED_MORE)
				break;
			assert_true(h.need > n && h.need <= all.n);
			n = h.need;
		}
		assert_int_equal(h.status, CV_HELLO_OK);
		assert_int_equal(h.bytes, all.n);
		assert_str(cv_name_str(&h.sni), "api.example.test");
		assert_true(h.offers_h2 && cv_hello_version_max(&h) == 0x0304);
		for (n = 0; n < all.n; n++) /* byte by byte */
			assert_int_equal(
				cv_hello_parse(cv_str_slice(all, 0, n), &h), CV_HELLO_NEED_MORE);
	}
	cv_buf_reset(&out);
	put_records(&out, hello, 1);
	struct cv_hello h;
	cv_hello_parse(cv_buf_str(&out), &h);
	assert_int_equal(h.problem, CV_HELLO_PROBLEM_RECORD_COUNT);
	cv_buf_fini(&out);
	cv_buf_fini(&m.ext);
	cv_buf_fini(&m.hello);
}

static void t4_large_hellos(void **state)
{
	static char padding[60000];
	struct made m;

	(void)state;
	make_usual(&m); /* larger than a record */
	add_ext(&m, 21, (struct cv_str){ padding, sizeof(padding) });
	const struct cv_hello h = parse_made(&m);
	assert_int_equal(h.status, CV_HELLO_OK);
	assert_str(cv_name_str(&h.sni), "api.example.test");

	const struct cv_str huge = CV_STR("\x16\x03\x01\x40\x00\x01\x01\x00\x00");
	struct cv_hello t;
	assert_int_equal(cv_hello_parse(huge, &t), CV_HELLO_ERROR);
	assert_int_equal(t.problem, CV_HELLO_PROBLEM_TOO_LARGE);
}

static void t4_names(void **state)
{
	static const struct {
		struct cv_str name;
		enum cv_hello_problem want;
	} row[] = {
		{ CV_STR("a.test"), CV_HELLO_PROBLEM_NONE },
		{ CV_STR(""), CV_HELLO_PROBLEM_SNI_NAME },
		{ CV_STR("a.test."), CV_HELLO_PROBLEM_SNI_NAME },
		{ CV_STR("a.test\0.b"), CV_HELLO_PROBLEM_SNI_NAME },
		{ CV_STR("a test"), CV_HELLO_PROBLEM_SNI_NAME },
		{ CV_STR("*.test"), CV_HELLO_PROBLEM_SNI_NAME },
		{ CV_STR("a.test:443"), CV_HELLO_PROBLEM_SNI_NAME },
		{ CV_STR("b\xc3\xbc.test"), CV_HELLO_PROBLEM_SNI_NAME },
		{ CV_STR("10.0.0.1"), CV_HELLO_PROBLEM_SNI_ADDRESS },
		{ CV_STR("127.1"), CV_HELLO_PROBLEM_SNI_ADDRESS },
		{ CV_STR("0x7f000001"), CV_HELLO_PROBLEM_SNI_ADDRESS },
		{ CV_STR("::1"), CV_HELLO_PROBLEM_SNI_ADDRESS },
		{ CV_STR("[::1]"), CV_HELLO_PROBLEM_SNI_NAME },
	};
	struct made m;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		make_begin(&m);
		add_sni(&m, row[i].name);
		const struct cv_hello h = parse_made(&m);
		if (h.problem != row[i].want)
			fail_msg("row %zu: %s", i, cv_hello_problem_name(h.problem));
		assert_int_equal(h.sni.n > 0, row[i].want == CV_HELLO_PROBLEM_NONE);
	}
	make_begin(&m);
	const struct cv_hello none = parse_made(&m); /* no SNI is for the caller to judge */
	assert_int_equal(none.status, CV_HELLO_OK);
	assert_int_equal(none.sni.n, 0);
}

static void t1_t4_extensions(void **state)
{
	static const struct {
		uint16_t type;
		struct cv_str data;
		enum cv_hello_problem want;
	} row[] = {
		{ 0,
			CV_STR("\x00\x0c\x00\x00\x03"
			       "a.b\x00\x00\x03"
			       "c.d"),
			CV_HELLO_PROBLEM_SNI_COUNT },
		{ 0, CV_STR("\x00\x00"), CV_HELLO_PROBLEM_SNI_COUNT },
		{ 0, CV_STR(""), CV_HELLO_PROBLEM_SNI_LIST },
		{ 0,
			CV_STR("\x00\x06\x01\x00\x03"
			       "a.b"),
			CV_HELLO_PROBLEM_SNI_TYPE },
		{ 0,
			CV_STR("\x00\x06\x00\x00\x04"
			       "a.b"),
			CV_HELLO_PROBLEM_SNI_LIST },
		{ 0,
			CV_STR("\x00\x06\x00\x00\x03"
			       "a.bx"),
			CV_HELLO_PROBLEM_SNI_LIST },
		{ 16, CV_STR("\x00\x00"), CV_HELLO_PROBLEM_ALPN },
		{ 16, CV_STR("\x00\x03\x00h2"), CV_HELLO_PROBLEM_ALPN },
		{ 16, CV_STR("\x00\x03\x03h2"), CV_HELLO_PROBLEM_ALPN },
		{ 16, CV_STR("\x00\x03\x02h2x"), CV_HELLO_PROBLEM_ALPN },
		{ 43, CV_STR("\x03\x03\x04\x03"), CV_HELLO_PROBLEM_VERSIONS },
		{ 43, CV_STR("\x00"), CV_HELLO_PROBLEM_VERSIONS },
		{ 0xfe0d, CV_STR("\x00"), CV_HELLO_PROBLEM_NONE },
	};
	struct made m;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		make_begin(&m);
		add_ext(&m, row[i].type, row[i].data);
		const struct cv_hello h = parse_made(&m);
		if (h.problem != row[i].want)
			fail_msg("row %zu: %s", i, cv_hello_problem_name(h.problem));
		assert_int_equal(h.has_ech, row[i].type == 0xfe0d);
	}
	make_usual(&m);
	add_sni(&m, CV_STR("b.test")); /* a second extension of the same type */
	assert_int_equal(parse_made(&m).problem, CV_HELLO_PROBLEM_EXT_DUPLICATE);
	make_begin(&m);
	for (unsigned i = 0; i <= CV_HELLO_EXTENSIONS_MAX; i++)
		add_ext(&m, (uint16_t)(1000 + i), CV_STR_NONE);
	assert_int_equal(parse_made(&m).problem, CV_HELLO_PROBLEM_EXT_COUNT);
	make_begin(&m);
	cv_buf_put(&m.ext, CV_STR("\x00\x00\x00\x09"
				  "abc")); /* longer than the list */
	assert_int_equal(parse_made(&m).problem, CV_HELLO_PROBLEM_MALFORMED);
}

static void records(void **state)
{
	static const struct {
		struct cv_str s;
		enum cv_hello_status status;
		enum cv_hello_problem want;
	} row[] = {
		{ CV_STR("G"), CV_HELLO_NOT_TLS, CV_HELLO_PROBLEM_NONE },
		{ CV_STR("\x80\x2e\x01"), CV_HELLO_NOT_TLS, CV_HELLO_PROBLEM_NONE }, /* SSL 2 */
		{ CV_STR("\x16\x02\x00\x00\x05"), CV_HELLO_ERROR, CV_HELLO_PROBLEM_RECORD_VERSION },
		{ CV_STR("\x16\x03\x01\x00\x00"), CV_HELLO_ERROR, CV_HELLO_PROBLEM_RECORD_LENGTH },
		{ CV_STR("\x16\x03\x01\x40\x01"), CV_HELLO_ERROR, CV_HELLO_PROBLEM_RECORD_LENGTH },
		{ CV_STR("\x16\x03\x01\x00\x05\x02"), CV_HELLO_ERROR,
			CV_HELLO_PROBLEM_MESSAGE_TYPE },
		{ CV_STR("\x16\x03\x01\x00\x02\x01\x00\x15\x03\x01\x00\x02"), CV_HELLO_ERROR,
			CV_HELLO_PROBLEM_RECORD_TYPE },
		{ CV_STR("\x16\x03\x01\x00\x09\x01\x00\x00\x04xxxxx"), CV_HELLO_ERROR,
			CV_HELLO_PROBLEM_TRAILING },
		{ CV_STR("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), CV_HELLO_ERROR,
			CV_HELLO_PROBLEM_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_hello h;

		if (cv_hello_parse(row[i].s, &h) != row[i].status || h.problem != row[i].want)
			fail_msg("row %zu: %d %s", i, (int)h.status,
				cv_hello_problem_name(h.problem));
	}
}

static void t5_t9_peek(void **state)
{
	static const struct {
		struct cv_str s;
		enum cv_peek want;
	} row[] = {
		{ CV_STR(""), CV_PEEK_NEED_MORE },
		{ CV_STR("\x16"), CV_PEEK_NEED_MORE },
		{ CV_STR("\x16\x03"), CV_PEEK_TLS },
		{ CV_STR("\x16\x04"), CV_PEEK_OTHER },
		{ CV_STR("GET"), CV_PEEK_NEED_MORE },
		{ CV_STR("GET "), CV_PEEK_HTTP1 },
		{ CV_STR("M-SEARCH * HTTP/1.1"), CV_PEEK_HTTP1 },
		{ CV_STR("P"), CV_PEEK_NEED_MORE },
		{ CV_STR("PRI"), CV_PEEK_NEED_MORE },
		{ CV_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r"), CV_PEEK_NEED_MORE },
		{ CV_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), CV_PEEK_HTTP2 },
		{ CV_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"), CV_PEEK_HTTP2 },
		{ CV_STR("PRI * HTTP/1.1\r\n"), CV_PEEK_OTHER },
		{ CV_STR("PRINT "), CV_PEEK_HTTP1 },
		{ CV_STR("POST "), CV_PEEK_HTTP1 },
		{ CV_STR("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), CV_PEEK_OTHER },
		{ CV_STR("EHLO\r\n"), CV_PEEK_OTHER },
		{ CV_STR(" GET / "), CV_PEEK_OTHER },
		{ CV_STR("get / "), CV_PEEK_OTHER },
		{ CV_STR("\0"), CV_PEEK_OTHER },
		{ CV_STR("*1\r\n"), CV_PEEK_OTHER },
		{ CV_STR("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), CV_PEEK_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		size_t need = 0;
		const enum cv_peek p = cv_peek_classify(row[i].s, false, &need);

		if (p != row[i].want)
			fail_msg("row %zu: %s", i, cv_peek_name(p));
		assert_int_equal(p == CV_PEEK_NEED_MORE, need > row[i].s.n);
	}
}

/* Where requests are inspected, letters of any case are a method: policy compares them without. */
static void methods_of_any_case(void **state)
{
	static const struct {
		struct cv_str s;
		enum cv_peek want;
	} row[] = {
		{ CV_STR("get / "), CV_PEEK_HTTP1 },
		{ CV_STR("Post /"), CV_PEEK_HTTP1 },
		{ CV_STR("m-search *"), CV_PEEK_HTTP1 },
		{ CV_STR("get"), CV_PEEK_NEED_MORE },
		{ CV_STR("GET "), CV_PEEK_HTTP1 },
		{ CV_STR("PRI * HTTP/1.1\r\n"), CV_PEEK_OTHER },
		{ CV_STR("ssh-2.0-x\r\n"), CV_PEEK_OTHER },
		{ CV_STR("helo\r\n"), CV_PEEK_OTHER },
		{ CV_STR(" get / "), CV_PEEK_OTHER },
		{ CV_STR("*1\r\n"), CV_PEEK_OTHER },
		{ CV_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), CV_PEEK_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		size_t need = 0;
		const enum cv_peek p = cv_peek_classify(row[i].s, true, &need);

		if (p != row[i].want)
			fail_msg("row %zu: %s", i, cv_peek_name(p));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_hello),
		cmocka_unit_test(t4_any_cut_gives_the_same),
		cmocka_unit_test(t4_large_hellos),
		cmocka_unit_test(t4_names),
		cmocka_unit_test(t1_t4_extensions),
		cmocka_unit_test(records),
		cmocka_unit_test(t5_t9_peek),
		cmocka_unit_test(methods_of_any_case),
	};

	return cmocka_run_group_tests_name("wire/clienthello", tests, NULL, NULL);
}
