/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a log line that is removed, changed or moved is noticed at the next one (B11).
 * Method: a log of the golden events, checked by a small verifier, whole and after each change.
 */
#include "unit/test.h"

#include "audit/chain.c"

#include "unit/audit/events.h"

#define LINES CV_ARRAY_LEN(golden_events)

/* The number of the first line whose sequence or link is wrong, from 1; 0 if all are right. */
static size_t verify(const struct cv_str *line, size_t n)
{
	unsigned char hash[CV_SHA256_BYTES];
	struct cv_buf want;
	size_t bad = 0;

	cv_buf_init(&want, 256);
	for (size_t i = 0; i < n && !bad; i++) {
		struct cv_sha256 sha;

		cv_buf_reset(&want);
		cv_buf_printf(&want, "\"sequence\":%zu}", i + 1);
		struct cv_str s = cv_buf_str(&want);
		if (!memmem(line[i].p, line[i].n, s.p, s.n))
			bad = i + 1;
		cv_buf_reset(&want);
		cv_buf_put(&want, CV_STR("\"prev_sha256\":\""));
		cv_buf_put_hex(&want, (struct cv_str){ (char *)hash, i ? sizeof(hash) : 0 });
		s = cv_buf_str(&want);
		if ((memmem(line[i].p, line[i].n, s.p, s.n) != NULL) != (i > 0))
			bad = i + 1;
		cv_sha256_init(&sha);
		cv_sha256_update(&sha, line[i].p, line[i].n);
		cv_sha256_final(&sha, hash);
	}
	cv_buf_fini(&want);
	return bad;
}

static void b11_first_bad_line_is_found(void **state)
{
	struct cv_str line[LINES], cut[LINES];
	struct cv_audit_chain c;
	struct cv_buf out;
	char changed[4096];

	(void)state;
	cv_audit_chain_init(&c);
	cv_buf_init(&out, 1 << 20);
	for (size_t i = 0; i < LINES; i++)
		assert_true(cv_audit_chain_json(&c, &golden_events[i], &out));
	assert_int_equal(c.seq, LINES);
	struct cv_str rest = cv_buf_str(&out);
	for (size_t i = 0; i < LINES; i++)
		line[i] = cv_str_cut(&rest, '\n');
	assert_int_equal(verify(line, LINES), 0);

	for (size_t gone = 0; gone + 1 < LINES; gone++) {
		memcpy(cut, line, sizeof(line));
		memmove(cut + gone, cut + gone + 1, (LINES - gone - 1) * sizeof(*cut));
		assert_int_equal(verify(cut, LINES - 1), gone + 1);
	}
	memcpy(cut, line, sizeof(line));
	cut[3] = line[4];
	cut[4] = line[3];
	assert_int_equal(verify(cut, LINES), 4);

	memcpy(changed, line[2].p, line[2].n);
	changed[line[2].n / 2] ^= 1;
	memcpy(cut, line, sizeof(line));
	cut[2].p = changed;
	assert_int_equal(verify(cut, LINES), 4); /* the line after it */
	cv_buf_fini(&out);
}

static void a_full_buffer_does_not_move_the_chain(void **state)
{
	struct cv_audit_chain c, before;
	struct cv_buf whole, out;

	(void)state;
	cv_audit_chain_init(&c);
	cv_buf_init(&whole, CV_AUDIT_LINE_BYTES_MAX);
	assert_true(cv_audit_chain_json(&c, &golden_events[0], &whole));
	cv_audit_chain_init(&c);
	before = c;
	for (size_t max = 0; max < cv_buf_len(&whole); max++) {
		cv_buf_init(&out, max);
		assert_false(cv_audit_chain_json(&c, &golden_events[0], &out));
		assert_memory_equal(&c, &before, sizeof(c));
		cv_buf_fini(&out);
	}
	cv_buf_fini(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b11_first_bad_line_is_found),
		cmocka_unit_test(a_full_buffer_does_not_move_the_chain),
	};

	return cmocka_run_group_tests_name("audit/chain", tests, NULL, NULL);
}
