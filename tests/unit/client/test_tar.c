/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the writer makes the reader understands, however it is cut; what is cut off or broken is
 * an error. */
#include "unit/test.h"

#include "client/tar.c"

static struct cv_buf seen;

static cv_code on_entry(void *arg, const struct cl_tar_entry *e, struct cv_err *err)
{
	(void)arg;
	(void)err;
	cv_buf_printf(&seen, "%c %zu:%.*s>%zu %o %llu;", e->type, e->name.n,
		(int)CV_MIN(e->name.n, 12), e->name.p, e->link.n, e->mode,
		(unsigned long long)e->size);
	return CV_OK;
}

static cv_code on_bytes(void *arg, struct cv_str bytes, struct cv_err *err)
{
	(void)arg;
	(void)err;
	cv_buf_put(&seen, bytes);
	return CV_OK;
}

static cv_code on_done(void *arg, struct cv_err *err)
{
	(void)arg;
	(void)err;
	cv_buf_put_byte(&seen, '\n');
	return CV_OK;
}

static cv_code read_in_pieces(struct cv_str all, size_t piece)
{
	static const struct cl_tar_events events = { on_entry, on_bytes, on_done };
	struct cl_tar_reader r;
	struct cv_err err;
	cv_code code = CV_OK;

	cv_buf_reset(&seen);
	cl_tar_reader_init(&r, &events, NULL);
	for (size_t at = 0; at < all.n && code == CV_OK; at += piece)
		code = cl_tar_read(&r, cv_str_slice(all, at, at + piece), &err);
	if (code == CV_OK)
		code = cl_tar_finish(&r, &err);
	cl_tar_reader_fini(&r);
	return code;
}

static void make(struct cv_buf *b)
{
	static char name[300], link[200];

	memset(name, 'n', sizeof(name));
	memset(link, 'l', sizeof(link));
	cv_buf_init(b, 1 << 20);
	cl_tar_head(b, &(struct cl_tar_entry){ CL_TAR_DIR, CV_STR("d"), CV_STR_NONE, 0755, 0, 1 });
	cl_tar_head(
		b, &(struct cl_tar_entry){ CL_TAR_FILE, CV_STR("d/f"), CV_STR_NONE, 0640, 5, 1 });
	cv_buf_put(b, CV_STR("hello"));
	cl_tar_pad(b, 5);
	cl_tar_head(b, &(struct cl_tar_entry){ CL_TAR_LINK, { name, sizeof(name) },
			       { link, sizeof(link) }, 0777, 0, 1 });
	cl_tar_head(b, &(struct cl_tar_entry){ CL_TAR_FILE, CV_STR("e"), CV_STR_NONE, 0600, 0, 1 });
	cl_tar_end(b);
}

static const char want[] = "5 1:d>0 755 0;\n0 3:d/f>0 640 5;hello\n2 300:nnnnnnnnnnnn>200 777 0;\n"
			   "0 1:e>0 600 0;\n";

static void test_round_trip_in_any_pieces(void **state)
{
	static const size_t pieces[] = { 1, 7, 511, 512, 513, 100000 };
	struct cv_buf b;

	(void)state;
	make(&b);
	for (size_t i = 0; i < CV_ARRAY_LEN(pieces); i++) {
		assert_int_equal(read_in_pieces(cv_buf_str(&b), pieces[i]), CV_OK);
		assert_str(cv_buf_str(&seen), want);
	}
	cv_buf_fini(&b);
}

static void test_cut_off_is_an_error(void **state)
{
	struct cv_buf b;

	(void)state;
	make(&b);
	for (size_t n = 513; n < cv_buf_len(&b) - 1024; n += 101)
		if (n % 512)
			assert_int_equal(
				read_in_pieces(cv_str_slice(cv_buf_str(&b), 0, n), 4096), CV_PROTO);
	cv_buf_fini(&b);
}

static void test_a_wrong_sum_is_an_error(void **state)
{
	struct cv_buf b;

	(void)state;
	make(&b);
	b.data[b.start + 3] ^= 1;
	assert_int_equal(read_in_pieces(cv_buf_str(&b), 4096), CV_PROTO);
	cv_buf_fini(&b);
}

static void test_size_beyond_octal(void **state)
{
	struct cl_tar_entry e = { CL_TAR_FILE, CV_STR("big"), CV_STR_NONE, 0600, SIZE_OCTAL_MAX + 1,
		1 };
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1 << 20);
	cl_tar_head(&b, &e);
	(void)read_in_pieces(cv_buf_str(&b), 4096);
	assert_str(cv_buf_str(&seen), "0 3:big>0 600 8589934592;");
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_in_any_pieces),
		cmocka_unit_test(test_cut_off_is_an_error),
		cmocka_unit_test(test_a_wrong_sum_is_an_error),
		cmocka_unit_test(test_size_beyond_octal),
	};

	cv_buf_init(&seen, 1 << 20);
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	cv_buf_fini(&seen);
	return failed;
}
