/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a buffer holds a block exactly while it holds bytes; bytes come out as they went in; the
 * pool's limit holds.  Method: the buffers directly, and a long random walk against a plain copy.
 */
#include "unit/test.h"

#include "proxy/io.c"

static void empty_buffer_holds_nothing(void **state)
{
	struct cv_iopool pool = { 0 };
	struct cv_iob b = { 0 };

	(void)state;
	assert_true(cv_iob_put(&pool, &b, CV_STR("abc")));
	assert_int_equal(pool.used, 1);
	cv_iob_skip(&pool, &b, 1);
	assert_true(cv_str_eq(cv_iob_str(&b), CV_STR("bc")));
	cv_iob_skip(&pool, &b, 2);
	assert_null(b.data);
	assert_int_equal(pool.used, 0);
	assert_int_equal(pool.free_count, 1);
	assert_true(cv_iob_put(&pool, &b, CV_STR_NONE) && !b.data);
	cv_iopool_fini(&pool);
}

static void all_or_nothing(void **state)
{
	static char big[CV_PROXY_IO_BYTES];
	struct cv_iopool pool = { 0 };
	struct cv_iob b = { 0 };

	(void)state;
	assert_true(cv_iob_put(&pool, &b, CV_STR("a")));
	assert_false(cv_iob_put(&pool, &b, (struct cv_str){ big, sizeof(big) }));
	assert_int_equal(cv_iob_len(&b), 1);
	assert_true(cv_iob_put(&pool, &b, (struct cv_str){ big, sizeof(big) - 1 }));
	assert_int_equal(cv_iob_room(&b), 0);
	cv_iob_drop(&pool, &b);
	cv_iopool_fini(&pool);
}

static void pool_has_an_end(void **state)
{
	static struct cv_iob b[CV_PROXY_IO_BLOCKS_MAX + 1];
	struct cv_iopool pool = { 0 };

	(void)state;
	for (size_t i = 0; i < CV_PROXY_IO_BLOCKS_MAX; i++)
		assert_true(cv_iob_put(&pool, &b[i], CV_STR("x")));
	assert_false(cv_iob_put(&pool, &b[CV_PROXY_IO_BLOCKS_MAX], CV_STR("x")));
	cv_iob_drop(&pool, &b[0]);
	assert_true(cv_iob_put(&pool, &b[CV_PROXY_IO_BLOCKS_MAX], CV_STR("x")));
	for (size_t i = 0; i <= CV_PROXY_IO_BLOCKS_MAX; i++)
		cv_iob_drop(&pool, &b[i]);
	assert_int_equal(pool.used, 0);
	assert_int_equal(pool.free_count, CV_PROXY_IO_KEPT_MAX);
	cv_iopool_fini(&pool);
}

static void bytes_come_out_as_they_went_in(void **state)
{
	struct cv_iopool pool = { 0 };
	struct cv_iob b = { 0 };
	uint8_t in = 0, out = 0;
	uint32_t seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245u + 12345u;
		const uint32_t n = seed >> 16 & 0xfff;

		if (seed >> 30 & 1) {
			uint32_t room;
			char *p = cv_iob_reserve(&pool, &b, n, &room);
			const uint32_t take = CV_MIN(n, room);

			for (uint32_t k = 0; k < take; k++)
				p[k] = (char)in++;
			cv_iob_commit(&b, take);
			if (!cv_iob_len(&b))
				cv_iob_drop(&pool, &b);
		} else {
			const uint32_t take = CV_MIN(n, cv_iob_len(&b));

			for (uint32_t k = 0; k < take; k++)
				assert_int_equal((uint8_t)cv_iob_str(&b).p[k], out++);
			if (take)
				cv_iob_skip(&pool, &b, take);
		}
	}
	cv_iob_drop(&pool, &b);
	cv_iopool_fini(&pool);
}

/* Bytes of every length, in and out in turns; the queue refuses what does not fit, whole. */
static void queue_keeps_order_and_bound(void **state)
{
	static char piece[CV_PROXY_IO_BYTES + 77];
	struct cv_iopool pool = { 0 };
	struct cv_ioq q = { .count = 0 };
	unsigned char next_in = 0, next_out = 0;
	uint32_t seed = 7;
	bool was_full = false;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245u + 12345u;
		const size_t n = (seed >> 8) % sizeof(piece);

		if (seed & 0x40) {
			for (size_t k = 0; k < n; k++)
				piece[k] = (char)(next_in + k);
			const uint32_t before = q.bytes;
			if (cv_ioq_put(&pool, &q, (struct cv_str){ piece, n }))
				next_in = (unsigned char)(next_in + n);
			else
				was_full = q.bytes == before;
		} else {
			const struct cv_str front = cv_ioq_front(&q);
			const size_t take = CV_MIN(n, front.n);

			for (size_t k = 0; k < take; k++)
				if ((unsigned char)front.p[k] != next_out++)
					fail_msg("byte %zu of step %d", k, i);
			if (take)
				cv_ioq_skip(&pool, &q, (uint32_t)take);
		}
		assert_true(q.bytes <= CV_PROXY_QUEUE_BLOCKS_MAX * CV_PROXY_IO_BYTES);
		assert_int_equal(pool.used, q.count);
	}
	assert_true(was_full);
	cv_ioq_drop(&pool, &q);
	assert_int_equal(pool.used, 0);
	cv_iopool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_buffer_holds_nothing),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(pool_has_an_end),
		cmocka_unit_test(bytes_come_out_as_they_went_in),
		cmocka_unit_test(queue_keeps_order_and_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
