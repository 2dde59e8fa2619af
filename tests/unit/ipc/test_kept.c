/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kept.c - what goes into the ring comes out in order; what was dropped is said; the end is there
 */
#include "unit/test.h"

#include "ipc/kept.c"

#include <stdlib.h>

struct pair {
	struct cv_kept writer, reader;
	int fd;
};

static struct pair pair_make(const char *about)
{
	struct pair p = { .fd = -1 };
	struct cv_err err = { 0 };

	if (cv_kept_create(cv_str_of(about), &p.writer, &p.fd, &err) != CV_OK ||
		cv_kept_open(p.fd, &p.reader, &err) != CV_OK)
		fail_msg("%s", err.msg);
	return p;
}

static void pair_free(struct pair *p)
{
	cv_kept_close(&p->writer);
	cv_kept_close(&p->reader);
	close(p->fd);
}

static char pattern(uint64_t offset)
{
	return (char)(offset * 2654435761u >> 13);
}

static void pattern_put(struct cv_kept *k, size_t n)
{
	const uint64_t from = cv_kept_bytes(k);
	char *b = malloc(n);

	for (size_t i = 0; i < n; i++)
		b[i] = pattern(from + i);
	cv_kept_put(k, CV_KEPT_STDOUT, (struct cv_str){ b, n });
	free(b);
}

/* Reads all that is there; each byte is the one that was put.  Returns what was missing. */
static uint64_t drain(const struct cv_kept *k, struct cv_kept_reader *r, size_t room)
{
	static char buf[CV_KEPT_PIECE_MAX];
	struct cv_kept_piece p;
	enum cv_kept_rc rc;
	uint64_t missing = 0;

	while ((rc = cv_kept_read(k, r, buf, room, &p)) != CV_KEPT_NONE) {
		assert_int_not_equal(rc, CV_KEPT_BAD);
		assert_int_equal(p.offset + p.n, r->offset);
		if (rc == CV_KEPT_GAP)
			missing += p.n;
		for (size_t i = 0; rc == CV_KEPT_DATA && i < p.n; i++)
			if (buf[i] != pattern(p.offset + i))
				fail_msg("wrong byte at %llu", (unsigned long long)(p.offset + i));
	}
	return missing;
}

static void both_streams_in_order(void **state)
{
	struct pair p = pair_make("about it");
	struct cv_kept_reader r = { 0 };
	struct cv_kept_piece piece;
	char buf[64];

	(void)state;
	assert_str(cv_kept_about(&p.reader), "about it");
	assert_int_equal(cv_kept_read(&p.reader, &r, buf, sizeof(buf), &piece), CV_KEPT_NONE);
	cv_kept_put(&p.writer, CV_KEPT_STDOUT, CV_STR("out"));
	cv_kept_put(&p.writer, CV_KEPT_STDERR, CV_STR("error"));
	assert_int_equal(cv_kept_read(&p.reader, &r, buf, 2, &piece), CV_KEPT_DATA);
	assert_int_equal(piece.offset, 0);
	assert_str(((struct cv_str){ buf, piece.n }), "ou");
	assert_int_equal(cv_kept_read(&p.reader, &r, buf, sizeof(buf), &piece), CV_KEPT_DATA);
	assert_str(((struct cv_str){ buf, piece.n }), "t");
	assert_int_equal(cv_kept_read(&p.reader, &r, buf, sizeof(buf), &piece), CV_KEPT_DATA);
	assert_int_equal(piece.stream, CV_KEPT_STDERR);
	assert_int_equal(piece.offset, 3);
	assert_str(((struct cv_str){ buf, piece.n }), "error");
	assert_int_equal(cv_kept_read(&p.reader, &r, buf, sizeof(buf), &piece), CV_KEPT_NONE);
	assert_int_equal(cv_kept_bytes(&p.reader), 8);
	pair_free(&p);
}

static void any_offset_is_found(void **state)
{
	struct pair p = pair_make("");

	(void)state;
	for (size_t i = 1; i < 400; i++)
		pattern_put(&p.writer, i);
	const uint64_t all = cv_kept_bytes(&p.writer);
	for (uint64_t from = 0; from <= all; from += 97) {
		struct cv_kept_reader r = { .offset = from };

		assert_int_equal(drain(&p.reader, &r, 333), 0);
		assert_int_equal(r.offset, all);
	}
	pair_free(&p);
}

static void what_was_dropped_is_said(void **state)
{
	struct pair p = pair_make("");
	struct cv_kept_reader slow = { 0 }, late = { 0 };

	(void)state;
	pattern_put(&p.writer, 1000);
	assert_int_equal(drain(&p.reader, &slow, 100), 0);
	for (int i = 0; i < 40; i++)
		pattern_put(&p.writer, 70001); /* 2.8 MB: it goes round */
	const uint64_t all = cv_kept_bytes(&p.writer), first = cv_kept_first(&p.reader);
	assert_true(all - first > CV_KEPT_RING_BYTES / 100 * 95);
	assert_true(all - first <= CV_KEPT_RING_BYTES);
	assert_int_equal(drain(&p.reader, &slow, CV_KEPT_PIECE_MAX), first - 1000);
	assert_int_equal(drain(&p.reader, &late, CV_KEPT_PIECE_MAX), first);
	assert_int_equal(slow.offset, all);
	pair_free(&p);
}

static void an_overtaken_reader_goes_on(void **state)
{
	struct pair p = pair_make("");
	struct cv_kept_reader r = { 0 };
	uint64_t missing = 0;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		pattern_put(&p.writer, 1 + (size_t)(i * 7919) % 5000);
		if (i % 611 == 0)
			missing += drain(&p.reader, &r, 4096);
	}
	missing += drain(&p.reader, &r, 4096);
	assert_true(missing > 0 && r.offset == cv_kept_bytes(&p.writer));
	pair_free(&p);
}

static void the_end_is_there_for_everybody(void **state)
{
	struct pair p = pair_make("");
	struct cv_kept_reader r = { 0 };
	struct cv_kept_end end;

	(void)state;
	pattern_put(&p.writer, 10);
	assert_false(cv_kept_is_over(&p.reader, &end));
	cv_kept_end(&p.writer, 7, CV_KEPT_EXITED, 123456789);
	for (int i = 0; i < 2; i++) {
		assert_true(cv_kept_is_over(&p.reader, &end));
		assert_int_equal(end.exit_code, 7);
		assert_int_equal(end.reason, CV_KEPT_EXITED);
		assert_int_equal(end.unix_ms, 123456789);
	}
	assert_int_equal(drain(&p.reader, &r, 4), 0);
	assert_int_equal(r.offset, 10);
	pair_free(&p);
}

static void nobody_else_can_write(void **state)
{
	struct pair p = pair_make("");

	(void)state;
	assert_true(mmap(NULL, CV_KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0) ==
		    MAP_FAILED);
	assert_int_equal(pwrite(p.fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(p.fd, 0), -1);
	pair_free(&p);
}

static void what_is_none_is_refused(void **state)
{
	struct cv_kept k = { 0 };
	struct cv_err err;
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	assert_int_equal(cv_kept_open(fd, &k, &err), CV_INVALID);
	assert_int_equal(ftruncate(fd, CV_KEPT_BYTES), 0);
	assert_int_equal(cv_kept_open(fd, &k, &err), CV_INVALID); /* it could become shorter */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(cv_kept_open(fd, &k, &err), CV_INVALID); /* no magic */
	close(fd);
	assert_int_equal(cv_kept_open(-1, &k, &err), CV_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_streams_in_order),
		cmocka_unit_test(any_offset_is_found),
		cmocka_unit_test(what_was_dropped_is_said),
		cmocka_unit_test(an_overtaken_reader_goes_on),
		cmocka_unit_test(the_end_is_there_for_everybody),
		cmocka_unit_test(nobody_else_can_write),
		cmocka_unit_test(what_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
