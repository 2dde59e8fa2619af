/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: digests are those of FIPS 180-4, whatever the pieces, with and without instructions.
 * Method: NIST's vectors on both paths; every length around a block boundary in odd pieces.
 */
#include "unit/test.h"

#include "base/sha256.c"
#include "base/hex.h"

#include <stdlib.h>

struct vector {
	const char *piece;
	size_t times;
	const char *hex;
};

static const struct vector vector[] = {
	{ "", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
	  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	{ "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
};

static void check(const struct vector *v, bool has_instructions)
{
	unsigned char got[CV_SHA256_BYTES], want[CV_SHA256_BYTES];
	struct cv_sha256 s;

	cv_sha256_init(&s);
	if (has_instructions)
		cv_sha256_ask(&s);
	else
		s.is_asked = true; /* answered: none */
	for (size_t i = 0; i < v->times; i++)
		cv_sha256_update(&s, v->piece, strlen(v->piece));
	cv_sha256_final(&s, got);
	assert_true(cv_hex_decode(cv_str_of(v->hex), want, sizeof(want)));
	assert_memory_equal(got, want, sizeof(want));
}

static void vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(vector); i++) {
		check(&vector[i], false);
		check(&vector[i], true);
	}
}

static void digest(const unsigned char *p, size_t n, size_t step, bool has_instructions,
	unsigned char ret[CV_SHA256_BYTES])
{
	struct cv_sha256 s;

	cv_sha256_init(&s);
	if (has_instructions)
		cv_sha256_ask(&s);
	else
		s.is_asked = true; /* answered: none */
	for (size_t at = 0; at < n; at += step)
		cv_sha256_update(&s, p + at, CV_MIN(step, n - at));
	cv_sha256_final(&s, ret);
}

static void pieces_and_paths_agree(void **state)
{
	static const size_t step[] = { 1, 3, 63, 64, 65, 200 };
	unsigned char want[CV_SHA256_BYTES], got[CV_SHA256_BYTES], p[300];

	(void)state;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (unsigned char)(i * 151 + 7);
	for (size_t n = 0; n < sizeof(p); n++) {
		digest(p, n, sizeof(p), false, want);
		for (size_t i = 0; i < CV_ARRAY_LEN(step); i++) {
			digest(p, n, step[i], true, got);
			assert_memory_equal(got, want, sizeof(want));
			digest(p, n, step[i], false, got);
			assert_memory_equal(got, want, sizeof(want));
		}
	}
}

/* Short ones leave the CPU alone; what changes in the middle of a long one changes no digest. */
static void it_asks_when_there_is_enough(void **state)
{
	static unsigned char p[3 * ASK_BYTES];
	unsigned char want[CV_SHA256_BYTES], got[CV_SHA256_BYTES];
	struct cv_sha256 s;

	(void)state;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (unsigned char)(i * 31 + 5);
	cv_sha256_init(&s);
	cv_sha256_update(&s, p, ASK_BYTES - 1);
	assert_false(s.is_asked);
	for (size_t at = ASK_BYTES - 1; at < sizeof(p); at += 4096 + 1)
		cv_sha256_update(&s, p + at, CV_MIN((size_t)4097, sizeof(p) - at));
	assert_true(s.is_asked);
	cv_sha256_final(&s, got);
	digest(p, sizeof(p), sizeof(p), false, want);
	assert_memory_equal(got, want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(pieces_and_paths_agree),
		cmocka_unit_test(it_asks_when_there_is_enough),
	};

	return cmocka_run_group_tests_name("base/sha256", tests, NULL, NULL);
}
