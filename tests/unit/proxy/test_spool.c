/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies in the spool: what is written is read, blocks are handed out once and given back, and neither
 * a full spool nor a file that takes nothing does harm.
 */
#include "unit/test.h"

#include "proxy/spool.c"

#include <sys/stat.h>

#define PIECE 100000

static struct cv_spool spool;

static int file_new(void)
{
	const int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void spool_new(int fd, uint64_t sum_max)
{
	memset(&spool, 0, sizeof(spool));
	spool.fd = -1;
	cv_spool_take(&spool, fd, sum_max, sum_max);
}

static uint64_t file_bytes(void)
{
	struct stat st;

	assert_int_equal(fstat(spool.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* n bytes, each told by its place and by seed. */
static void put(struct cv_spooled *b, size_t n, unsigned seed)
{
	static char piece[PIECE];

	while (n) {
		const size_t part = CV_MIN(n, sizeof(piece));

		for (size_t i = 0; i < part; i++)
			piece[i] = (char)((b->bytes + i) * 31 + seed);
		assert_int_equal(
			cv_spooled_put(b, &spool, (struct cv_str){ piece, part }), CV_SPOOL_OK);
		n -= part;
	}
}

static void check(const struct cv_spooled *b, unsigned seed)
{
	static char piece[77777];
	size_t n;

	for (uint64_t at = 0; at < b->bytes; at += n) {
		n = cv_spooled_read(b, at, piece, sizeof(piece));
		assert_int_equal(n, CV_MIN(sizeof(piece), b->bytes - at));
		for (size_t i = 0; i < n; i++)
			assert_int_equal(piece[i], (char)((at + i) * 31 + seed));
	}
	assert_int_equal(cv_spooled_read(b, b->bytes, piece, 1), 0);
}

static void bodies_do_not_mix(void **state)
{
	struct cv_spooled b[3] = { 0 };

	(void)state;
	spool_new(file_new(), 16 * BLOCK);
	for (int i = 0; i < 10; i++)
		for (unsigned k = 0; k < 3; k++)
			put(&b[k], 90001, k);
	for (unsigned k = 0; k < 3; k++)
		check(&b[k], k);
	cv_spooled_free(&b[1]);
	assert_int_equal(spool.used, b[0].count + b[2].count);
	put(&b[1], 700000, 9); /* in the blocks that were given back */
	for (unsigned k = 0; k < 3; k++)
		check(&b[k], k == 1 ? 9 : k);
	for (unsigned k = 0; k < 3; k++)
		cv_spooled_free(&b[k]);
	assert_int_equal(spool.used, 0);
	assert_int_equal(file_bytes(), 0);
	close(spool.fd);
}

static void a_part_is_given_back(void **state)
{
	struct cv_spooled a = { 0 }, b = { 0 };

	(void)state;
	spool_new(file_new(), 16 * BLOCK);
	put(&a, 3 * BLOCK, 1);
	put(&b, 2 * BLOCK, 2);
	cv_spooled_free(&a);
	assert_true(file_bytes() <= 2 * BLOCK);
	check(&b, 2);
	cv_spooled_free(&b);
	cv_spooled_free(&b);
	close(spool.fd);
}

static void a_full_spool_says_so(void **state)
{
	struct cv_spooled a = { 0 }, b = { 0 };

	(void)state;
	spool_new(file_new(), 4 * BLOCK);
	put(&a, 3 * BLOCK, 1);
	put(&b, BLOCK, 2);
	assert_int_equal(cv_spooled_put(&b, &spool, CV_STR("x")), CV_SPOOL_FULL);
	assert_int_equal(b.bytes, BLOCK);
	cv_spooled_free(&a);
	put(&b, 3 * BLOCK, 2);
	check(&b, 2);
	assert_int_equal(cv_spooled_put(&b, &spool, CV_STR("x")), CV_SPOOL_FULL);
	cv_spooled_free(&b);
	close(spool.fd);
}

static void a_file_that_takes_nothing(void **state)
{
	struct cv_spooled b = { 0 };
	char c;

	(void)state;
	spool_new(open("/dev/full", O_RDWR), 4 * BLOCK);
	assert_int_equal(cv_spooled_put(&b, &spool, CV_STR("x")), CV_SPOOL_FAILED);
	assert_int_equal(cv_spooled_read(&b, 0, &c, 1), 0);
	cv_spooled_free(&b);
	assert_int_equal(spool.used, 0);
	close(spool.fd);
	spool.fd = -1;
	assert_int_equal(cv_spooled_put(&b, &spool, CV_STR("x")), CV_SPOOL_FULL);
	cv_spooled_free(&b);
}

/* No more blocks than a number of ours can name. */
static void the_largest(void **state)
{
	(void)state;
	spool_new(file_new(), UINT64_MAX);
	assert_int_equal(spool.block_count, CV_SPOOL_BLOCKS_MAX);
	assert_true(CV_SPOOL_BLOCKS_MAX <= UINT16_MAX);
	close(spool.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_do_not_mix),
		cmocka_unit_test(a_part_is_given_back),
		cmocka_unit_test(a_full_spool_says_so),
		cmocka_unit_test(a_file_that_takes_nothing),
		cmocka_unit_test(the_largest),
	};

	return cmocka_run_group_tests_name("proxy/spool", tests, NULL, NULL);
}
