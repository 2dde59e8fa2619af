/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_frame.c - messages in a gRPC body, cut anywhere, too long, or none
 */
#include "unit/test.h"

#include "rpc/frame.c"

#include "openshell.pb-c.h"

static void write_then_read_in_pieces(void **state)
{
	(void)state;
	static char name[600];
	Openshell__V1__GetSandboxRequest m;
	struct cv_rpc_frame_reader r;
	struct cv_buf b;
	struct cv_str got = CV_STR_NONE;

	memset(name, 'x', sizeof(name) - 1);
	openshell__v1__get_sandbox_request__init(&m);
	m.name = name;
	const size_t packed = openshell__v1__get_sandbox_request__get_packed_size(&m);
	for (size_t step = 1; step < 1400; step += 7) {
		int count = 0;

		cv_buf_init(&b, 1 << 16);
		assert_true(cv_rpc_frame_write(&b, &m.base));
		assert_true(cv_rpc_frame_write(&b, &m.base));
		assert_int_equal(cv_buf_len(&b), 2 * (packed + CV_RPC_FRAME_HEAD_BYTES));
		cv_rpc_frame_reader_init(&r, (uint32_t)packed);
		for (size_t at = 0; at < cv_buf_len(&b); at += step) {
			struct cv_str in = cv_str_slice(cv_buf_str(&b), at, at + step);
			enum cv_rpc_frame_event e;

			while ((e = cv_rpc_frame_next(&r, &in, &got)) == CV_RPC_FRAME_MESSAGE) {
				assert_int_equal(got.n, packed);
				assert_memory_equal(
					got.p, b.data + CV_RPC_FRAME_HEAD_BYTES, packed);
				count++;
			}
			assert_int_equal(e, CV_RPC_FRAME_MORE);
		}
		assert_int_equal(count, 2);
		assert_true(cv_rpc_frame_reader_is_whole(&r));
		cv_rpc_frame_reader_fini(&r);
		cv_buf_fini(&b);
	}
}

static void whole_message_is_not_copied(void **state)
{
	(void)state;
	static const char wire[] = "\0\0\0\0\003abc\0\0\0\0\0";
	struct cv_str in = { wire, sizeof(wire) - 1 }, got;
	struct cv_rpc_frame_reader r;

	cv_rpc_frame_reader_init(&r, 3);
	assert_int_equal(cv_rpc_frame_next(&r, &in, &got), CV_RPC_FRAME_MESSAGE);
	assert_ptr_equal(got.p, wire + 5);
	assert_null(r.body.data);
	assert_int_equal(cv_rpc_frame_next(&r, &in, &got), CV_RPC_FRAME_MESSAGE);
	assert_int_equal(got.n, 0);
	assert_int_equal(cv_rpc_frame_next(&r, &in, &got), CV_RPC_FRAME_MORE);
	assert_true(cv_rpc_frame_reader_is_whole(&r));
	cv_rpc_frame_reader_fini(&r);
}

static enum cv_rpc_frame_event one(const char *wire, size_t n, struct cv_rpc_frame_reader *r)
{
	struct cv_str in = { wire, n }, got;

	cv_rpc_frame_reader_init(r, 3);
	const enum cv_rpc_frame_event e = cv_rpc_frame_next(r, &in, &got);
	if (e != CV_RPC_FRAME_MORE && e != CV_RPC_FRAME_MESSAGE) { /* for ever */
		in = (struct cv_str){ "\0\0\0\0\0", 5 };
		assert_int_equal(cv_rpc_frame_next(r, &in, &got), e);
	}
	return e;
}

static void refused_before_memory_is_taken(void **state)
{
	(void)state;
	struct cv_rpc_frame_reader r;

	assert_int_equal(one("\0\0\0\0\004", 5, &r), CV_RPC_FRAME_LARGE);
	assert_int_equal(r.announced, 4);
	assert_null(r.body.data);
	assert_int_equal(one("\0\377\377\377\377", 5, &r), CV_RPC_FRAME_LARGE);
	assert_int_equal(r.announced, UINT32_MAX);
	assert_null(r.body.data);
	assert_int_equal(one("\1\0\0\0\1x", 6, &r), CV_RPC_FRAME_COMPRESSED);
	assert_int_equal(one("\2\0\0\0\1x", 6, &r), CV_RPC_FRAME_BAD);
	assert_int_equal(one("HTTP/1.1", 8, &r), CV_RPC_FRAME_BAD);
	/* announced, and never sent: nothing is held for it */
	assert_int_equal(one("\0\0\0\0\3", 5, &r), CV_RPC_FRAME_MORE);
	assert_null(r.body.data);
	assert_false(cv_rpc_frame_reader_is_whole(&r));
}

static void writer_keeps_to_the_limit(void **state)
{
	(void)state;
	Openshell__V1__GetSandboxRequest m;
	static char name[] = "sandbox";
	struct cv_buf b;

	openshell__v1__get_sandbox_request__init(&m);
	m.name = name;
	cv_buf_init(&b, 8);
	assert_false(cv_rpc_frame_write(&b, &m.base));
	assert_true(b.is_overflown);
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_then_read_in_pieces),
		cmocka_unit_test(whole_message_is_not_copied),
		cmocka_unit_test(refused_before_memory_is_taken),
		cmocka_unit_test(writer_keeps_to_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
