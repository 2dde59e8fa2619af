/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: content comes out as it was coded, however it is cut; bombs, cut ends, bytes behind the end
 * and unknown codings are refused with their reason (T15).
 * Method: texts are coded here with the libraries' encoders and decoded whole, in two pieces at
 * every cut, and byte by byte.
 */
#include "unit/test.h"

#include "cred/decode.c"

#include <brotli/encode.h>
#include <stdio.h>

#define TEXT_MAX (64u << 20)

/* ---- encoders ---- */

static void zlib_put(struct cv_buf *b, struct cv_str v, int window_bits)
{
	z_stream z = { 0 };
	const size_t room = v.n + v.n / 100 + 1000;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)v.p;
	z.avail_in = (uInt)v.n;
	z.next_out = (Bytef *)cv_buf_reserve(b, room);
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	cv_buf_commit(b, z.total_out);
	deflateEnd(&z);
}

static void gzip_put(struct cv_buf *b, struct cv_str v)
{
	zlib_put(b, v, MAX_WBITS + 16);
}

static void members_put(struct cv_buf *b, struct cv_str v)
{
	gzip_put(b, cv_str_slice(v, 0, v.n / 2));
	gzip_put(b, CV_STR_NONE);
	gzip_put(b, cv_str_slice(v, v.n / 2, v.n));
}

static void deflate_put(struct cv_buf *b, struct cv_str v)
{
	zlib_put(b, v, MAX_WBITS);
}

static void raw_put(struct cv_buf *b, struct cv_str v)
{
	zlib_put(b, v, -MAX_WBITS);
}

static void br_put(struct cv_buf *b, struct cv_str v)
{
	size_t n = v.n + 10000;

	assert_true(BrotliEncoderCompress(5, BROTLI_DEFAULT_WINDOW, BROTLI_DEFAULT_MODE, v.n,
		(const uint8_t *)v.p, &n, (uint8_t *)cv_buf_reserve(b, n)));
	cv_buf_commit(b, n);
}

static void zstd_put(struct cv_buf *b, struct cv_str v)
{
	const size_t room = ZSTD_compressBound(v.n);
	const size_t n = ZSTD_compress(cv_buf_reserve(b, room), room, v.p, v.n, 3);

	assert_false(ZSTD_isError(n));
	cv_buf_commit(b, n);
}

static void frames_put(struct cv_buf *b, struct cv_str v)
{
	zstd_put(b, cv_str_slice(v, 0, v.n / 2));
	zstd_put(b, cv_str_slice(v, v.n / 2, v.n));
}

static void copy_put(struct cv_buf *b, struct cv_str v)
{
	cv_buf_put(b, v);
}

static const struct {
	const char *coding;
	void (*put)(struct cv_buf *b, struct cv_str v);
} coder[] = {
	{ "gzip", gzip_put },
	{ "x-gzip", members_put },
	{ "Deflate", deflate_put },
	{ "deflate", raw_put },
	{ "br", br_put },
	{ "zstd", zstd_put },
	{ "zstd, identity", frames_put },
	{ "identity", copy_put },
};

/* ---- feeding ---- */

static enum cv_decode_rc fed(struct cv_decode *d, struct cv_str in, struct cv_buf *out)
{
	enum cv_decode_rc rc;

	do {
		const size_t had = cv_buf_len(out);

		rc = cv_decode_feed(d, &in, out);
		assert_true(cv_buf_len(out) - had <= CV_DECODE_CALL_BYTES_MAX);
		assert_true(cv_decode_memory_peak(d) <= CV_DECODE_MEMORY_MAX);
	} while (rc == CV_DECODE_MORE);
	if (rc == CV_DECODE_OK)
		assert_int_equal(in.n, 0);
	return rc;
}

/* Whole after `first` bytes, then in steps. */
static enum cv_decode_rc decoded(
	const char *codings, struct cv_str in, size_t first, size_t step, struct cv_buf *out)
{
	enum cv_coding list[CV_DECODE_CODINGS_MAX];
	struct cv_decode *d;
	size_t count;
	enum cv_decode_rc rc = cv_codings_parse(cv_str_of(codings), list, &count);

	if (rc)
		return rc;
	assert_int_equal(cv_decode_new(list, count, &d), CV_DECODE_OK);
	cv_buf_reset(out);
	rc = fed(d, cv_str_slice(in, 0, first), out);
	for (size_t at = first; !rc && at < in.n; at += step)
		rc = fed(d, cv_str_slice(in, at, at + step), out);
	if (!rc)
		rc = cv_decode_end(d);
	cv_decode_free(d);
	return rc;
}

static struct cv_buf coded, out, text;

static int setup(void **state)
{
	(void)state;
	cv_buf_init(&coded, TEXT_MAX);
	cv_buf_init(&out, TEXT_MAX);
	cv_buf_init(&text, TEXT_MAX);
	for (unsigned i = 0; i < 200; i++)
		cv_buf_printf(&text, "%u bottles %u ", i * 7919 % 1000, i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_buf_fini(&coded);
	cv_buf_fini(&out);
	cv_buf_fini(&text);
	return 0;
}

static void codings(void **state)
{
	const struct cv_str want = cv_buf_str(&text);

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(coder); i++) {
		cv_buf_reset(&coded);
		coder[i].put(&coded, want);
		const struct cv_str in = cv_buf_str(&coded);

		for (size_t cut = 0; cut <= in.n; cut++) {
			assert_int_equal(
				decoded(coder[i].coding, in, cut, in.n, &out), CV_DECODE_OK);
			assert_true(cv_str_eq(cv_buf_str(&out), want));
		}
		assert_int_equal(decoded(coder[i].coding, in, 0, 1, &out), CV_DECODE_OK);
		assert_true(cv_str_eq(cv_buf_str(&out), want));
		assert_int_equal(decoded(coder[i].coding, CV_STR_NONE, 0, 1, &out), CV_DECODE_OK);
	}
}

static void t15_cut_ends_and_more_behind_the_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(coder); i++) {
		if (coder[i].put == copy_put || coder[i].put == members_put ||
			coder[i].put == frames_put) /* these may end at places inside */
			continue;
		cv_buf_reset(&coded);
		coder[i].put(&coded, cv_buf_str(&text));
		const struct cv_str in = cv_buf_str(&coded);

		for (size_t n = 1; n < in.n; n++)
			assert_int_equal(
				decoded(coder[i].coding, cv_str_slice(in, 0, n), n, 1, &out),
				CV_DECODE_TRUNCATED);
		cv_buf_put(&coded, CV_STR("garbage"));
		assert_int_equal(decoded(coder[i].coding, cv_buf_str(&coded), 0, 100000, &out),
			CV_DECODE_TRAILING);
		assert_int_equal(decoded(coder[i].coding, cv_buf_str(&coded), 0, 1, &out),
			CV_DECODE_TRAILING);
	}
}

static void t15_what_is_not_in_its_coding(void **state)
{
	static const char *const names[] = { "gzip", "deflate", "br", "zstd" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		assert_int_equal(
			decoded(names[i], CV_STR("\xff\xfe plain text, no coding"), 0, 100, &out),
			CV_DECODE_CORRUPT);
}

static void two_codings(void **state)
{
	struct cv_buf once;

	(void)state;
	cv_buf_init(&once, TEXT_MAX);
	for (size_t a = 0; a + 1 < CV_ARRAY_LEN(coder); a++)
		for (size_t b = 0; b + 1 < CV_ARRAY_LEN(coder); b++) {
			char list[64];

			cv_buf_reset(&once);
			cv_buf_reset(&coded);
			coder[a].put(&once, cv_buf_str(&text));
			coder[b].put(&coded, cv_buf_str(&once));
			snprintf(list, sizeof(list), "%s,, %s", coder[a].coding, coder[b].coding);
			for (size_t step = 1; step < 5000; step *= 7) {
				assert_int_equal(decoded(list, cv_buf_str(&coded), 0, step, &out),
					CV_DECODE_OK);
				assert_true(cv_str_eq(cv_buf_str(&out), cv_buf_str(&text)));
			}
		}
	cv_buf_fini(&once);
}

static void t15_bombs(void **state)
{
	struct cv_buf zeros, once;

	(void)state;
	cv_buf_init(&zeros, TEXT_MAX);
	cv_buf_init(&once, TEXT_MAX);
	memset(cv_buf_reserve(&zeros, 48u << 20), 0, 48u << 20);
	cv_buf_commit(&zeros, 48u << 20);
	for (size_t i = 0; i + 1 < CV_ARRAY_LEN(coder); i++) {
		cv_buf_reset(&coded);
		coder[i].put(&coded, cv_buf_str(&zeros));
		assert_int_equal(decoded(coder[i].coding, cv_buf_str(&coded), 0, 1024, &out),
			CV_DECODE_RATIO);
		/* A feed of 1 KiB never gave more than its share and one call's output. */
		assert_true(cv_buf_len(&out) <= CV_DECODE_FREE_BYTES + CV_DECODE_CALL_BYTES_MAX +
							cv_buf_len(&coded) * CV_DECODE_RATIO_MAX);
		/* Twice: small outside, small inside, large between. */
		cv_buf_reset(&once);
		gzip_put(&once, cv_buf_str(&coded));
		assert_true(
			decoded("br, gzip", cv_buf_str(&once), 0, 1u << 20, &out) > CV_DECODE_MORE);
	}
	cv_buf_fini(&zeros);
	cv_buf_fini(&once);
}

static void t15_windows(void **state)
{
	/* A zstd frame that declares a window of 16 MiB, and a brotli one of 2^30. */
	static const char zstd_wide[] = "\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00";
	static const char br_wide[] = "\x11\x1e\x03\x00";

	(void)state;
	assert_int_equal(
		decoded("zstd", (struct cv_str){ zstd_wide, 9 }, 0, 9, &out), CV_DECODE_MEMORY);
	assert_int_equal(
		decoded("br", (struct cv_str){ br_wide, 4 }, 0, 4, &out), CV_DECODE_CORRUPT);
}

static void names(void **state)
{
	static const struct {
		const char *value;
		enum cv_decode_rc rc;
		size_t count;
	} row[] = {
		{ "", CV_DECODE_OK, 0 },
		{ "identity", CV_DECODE_OK, 0 },
		{ " GZip ", CV_DECODE_OK, 1 },
		{ "gzip, br", CV_DECODE_OK, 2 },
		{ "gzip, identity, br", CV_DECODE_OK, 2 },
		{ "gzip, br, zstd", CV_DECODE_DEEP, 0 },
		{ "compress", CV_DECODE_UNKNOWN, 0 },
		{ "gzip br", CV_DECODE_UNKNOWN, 0 },
		{ "aws-chunked", CV_DECODE_UNKNOWN, 0 },
		{ "gzip;q=1", CV_DECODE_UNKNOWN, 0 },
		{ "dcb", CV_DECODE_UNKNOWN, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		enum cv_coding list[CV_DECODE_CODINGS_MAX];
		size_t count = 0;

		assert_int_equal(
			cv_codings_parse(cv_str_of(row[i].value), list, &count), row[i].rc);
		assert_int_equal(count, row[i].count);
	}
	for (int i = 0; i < CV_DECODE_RC_COUNT; i++)
		assert_non_null(cv_decode_rc_row((enum cv_decode_rc)i)->slug);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codings),
		cmocka_unit_test(t15_cut_ends_and_more_behind_the_end),
		cmocka_unit_test(t15_what_is_not_in_its_coding),
		cmocka_unit_test(two_codings),
		cmocka_unit_test(t15_bombs),
		cmocka_unit_test(t15_windows),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("cred/decode", tests, setup, teardown);
}
