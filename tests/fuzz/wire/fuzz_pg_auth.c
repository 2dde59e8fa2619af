/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pg_auth.c - a hostile server's part of SCRAM: list, challenge and end, a line feed between
 *
 * Property: nothing but the right signature ends in PROVEN, and no input makes that by chance.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/pg_auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char nonce[CV_SCRAM_NONCE_BYTES] = "0123456789abcdefg";
	struct cv_str rest = { (const char *)data, size }, mechanism;
	const struct cv_str list = cv_str_cut(&rest, '\n');
	const struct cv_str challenge = cv_str_cut(&rest, '\n');
	const struct cv_str hash = size % 2 ? CV_STR("hash") : CV_STR_NONE;
	char md5[CV_PG_MD5_TEXT_BYTES];
	struct cv_scram s;
	struct cv_buf b;

	cv_buf_init(&b, 8192);
	if (cv_scram_start(&s, list, hash, nonce, &mechanism, &b, NULL) == CV_OK &&
		cv_scram_answer(&s, challenge, CV_STR("pencil"), &b, NULL) == CV_OK) {
		cv_assert(s.phase == CV_SCRAM_SENT);
		if (cv_scram_finish(&s, rest, NULL) == CV_OK)
			cv_assert(s.phase == CV_SCRAM_PROVEN);
	}
	cv_pg_md5_answer(list, challenge, nonce, md5);
	cv_assert(strlen(md5) == CV_PG_MD5_TEXT_BYTES - 1);
	cv_buf_fini(&b);
	return 0;
}
