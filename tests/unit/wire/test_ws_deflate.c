/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ws_deflate.c - messages that zlib made come back as they were; bombs end at the bound
 */
#include "unit/test.h"

#include "base/buf.h"
#include "wire/ws_deflate.c"

/* As a sender of permessage-deflate does; is_final: its last block is marked so. */
static void deflated(struct cv_str s, int level, bool is_final, struct cv_buf *out)
{
	z_stream z = { 0 };

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	const size_t room = deflateBound(&z, s.n) + 64;
	z.next_in = (unsigned char *)(uintptr_t)s.p;
	z.avail_in = (uInt)s.n;
	z.next_out = (unsigned char *)cv_buf_reserve(out, room);
	z.avail_out = (uInt)room;
	deflate(&z, is_final ? Z_FINISH : Z_SYNC_FLUSH);
	const size_t made = room - z.avail_out;
	cv_buf_commit(out, is_final ? made : made - 4);
	if (is_final)
		cv_buf_put_byte(out, '\0'); /* RFC 7692 7.2.3.4 */
	deflateEnd(&z);
}

/* The rc; OK: *out is the message. */
static enum cv_ws_rc inflated(struct cv_str s, size_t in_step, size_t out_step, struct cv_buf *out)
{
	struct cv_ws_inflate *i = cv_ws_inflate_new();
	enum cv_ws_rc rc = CV_WS_RC_OK;
	enum cv_ws_inflated got = CV_WS_INFLATED_WANT;
	static char room[65536];
	size_t at = 0, n = 0;

	assert_non_null(i);
	while (got != CV_WS_INFLATED_END && got != CV_WS_INFLATED_BAD) {
		if (got == CV_WS_INFLATED_WANT) {
			cv_ws_inflate_put(
				i, cv_str_slice(s, at, at + in_step), at + in_step >= s.n);
			at += in_step;
		}
		got = cv_ws_inflate_next(i, room, out_step, &n, &rc);
		if (got != CV_WS_INFLATED_BAD)
			cv_buf_put(out, (struct cv_str){ room, n });
	}
	if (got == CV_WS_INFLATED_BAD)
		assert_int_equal(cv_ws_inflate_next(i, room, 1, &n, &rc), CV_WS_INFLATED_BAD);
	cv_ws_inflate_free(i);
	return rc;
}

static void test_round(void **state)
{
	static const size_t sizes[] = { 0, 1, 5, 1000, 70000 };
	static char text[70000];

	(void)state;
	for (size_t k = 0; k < sizeof(text); k++)
		text[k] = (char)(k * k >> 3);
	for (size_t k = 0; k < CV_ARRAY_LEN(sizes); k++)
		for (int how = 0; how < 12; how++) {
			const struct cv_str s = { text, sizes[k] };
			const size_t in_step = how & 1 ? 7 : CV_WS_INFLATE_IN_BYTES;
			const size_t out_step = how & 2 ? 5 : 65536;
			struct cv_buf wire, back;

			cv_buf_init(&wire, 1 << 20);
			cv_buf_init(&back, 1 << 20);
			deflated(s, how < 4 ? 9 : 0, how >= 8, &wire);
			assert_int_equal(
				inflated(cv_buf_str(&wire), in_step, out_step, &back), CV_WS_RC_OK);
			assert_true(cv_str_eq(cv_buf_str(&back), s));
			/* the rest of it missing, it is none */
			cv_buf_reset(&back);
			if (s.n > 1000)
				assert_int_equal(inflated(cv_str_slice(cv_buf_str(&wire), 0,
								  cv_buf_len(&wire) / 2),
							 in_step, out_step, &back),
					CV_WS_RC_DEFLATE);
			cv_buf_fini(&wire);
			cv_buf_fini(&back);
		}
}

/* The largest that may be is; one byte more is not. */
static void test_bounds(void **state)
{
	static const struct {
		size_t n;
		bool is_zeros;
		enum cv_ws_rc rc;
	} rows[] = {
		{ CV_WS_INFLATE_FREE, true, CV_WS_RC_OK },
		{ CV_WS_INFLATE_FREE + 1, true, CV_WS_RC_RATIO },
		{ 64u << 20, true, CV_WS_RC_RATIO },
		{ CV_WS_INFLATE_BYTES_MAX, false, CV_WS_RC_OK },
		{ CV_WS_INFLATE_BYTES_MAX + 1, false, CV_WS_RC_SIZE },
	};

	(void)state;
	for (size_t k = 0; k < CV_ARRAY_LEN(rows); k++) {
		struct cv_buf text, wire, back;
		uint32_t x = 1;

		cv_buf_init(&text, 80u << 20);
		cv_buf_init(&wire, 80u << 20);
		cv_buf_init(&back, 80u << 20);
		char *p = cv_buf_reserve(&text, rows[k].n);
		for (size_t i = 0; i < rows[k].n; i++) {
			x = x * 1103515245u + 12345u;
			p[i] = rows[k].is_zeros ? 0 : (char)(x >> 28);
		}
		cv_buf_commit(&text, rows[k].n);
		deflated(cv_buf_str(&text), 1, false, &wire);
		assert_int_equal(inflated(cv_buf_str(&wire), CV_WS_INFLATE_IN_BYTES, 16384, &back),
			rows[k].rc);
		assert_true(cv_buf_len(&back) <= CV_WS_INFLATE_BYTES_MAX);
		if (rows[k].rc == CV_WS_RC_OK)
			assert_true(cv_str_eq(cv_buf_str(&back), cv_buf_str(&text)));
		cv_buf_fini(&text);
		cv_buf_fini(&wire);
		cv_buf_fini(&back);
	}
}

static void test_nonsense(void **state)
{
	static const struct cv_str rows[] = { { "", 0 }, { "\xff\xff", 2 }, { "\x07", 1 },
		{ "\x01\x05\x00\xfa\xff"
		  "abc",
			8 },
		{ "\x01\x05\x00\xfb\xff"
		  "abcde",
			10 } };
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 4096);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		assert_int_equal(inflated(rows[i], 100, 100, &out), CV_WS_RC_DEFLATE);
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
