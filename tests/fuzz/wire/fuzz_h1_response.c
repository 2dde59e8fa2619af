/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h1_response.c - hostile response heads; the first byte chooses what was asked
 *
 * Properties: cutting the bytes does not change the answer; what is written has at most one kind of
 * framing, and parsed again for the same question it frames the same body.
 */
#include "fuzz/fuzz.h"

#include "fuzz/wire/head_check.h"
#include "wire/h1_write.h"

static enum cv_h1_rc parse(
	struct cv_str s, size_t first, enum cv_h1_asked asked, struct cv_h1_response *ret)
{
	size_t scanned = 0;
	enum cv_h1_rc rc;

	rc = cv_h1_response_parse(
		cv_str_slice(s, 0, first), CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, asked, ret);
	if (rc == CV_H1_MORE)
		rc = cv_h1_response_parse(s, CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, asked, ret);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_h1_response r, again;
	struct cv_h1_edit e;
	struct cv_buf out;
	size_t scanned = 0;

	if (size == 0)
		return 0;
	const enum cv_h1_asked asked = (enum cv_h1_asked)(data[0] % 3);
	const struct cv_str s = { (const char *)data + 1, size - 1 };
	const enum cv_h1_rc rc = parse(s, s.n, asked, &r);

	cv_assert(parse(s, s.n / 2, asked, &again) == rc);
	cv_assert(parse(s, data[size - 1] % size, asked, &again) == rc);
	if (rc != CV_H1_OK || r.header_count > CV_H1_HEADERS_MAX - 4) /* we add a few */
		return 0;
	cv_buf_init(&out, 1u << 20);
	cv_h1_edit_of_response(&e, &r);
	cv_assert(cv_h1_write_response(&out, &r, &e));
	const struct head_counts c = head_count(cv_buf_str(&out));
	cv_assert(c.overrides == 0);
	cv_assert(cv_h1_response_parse(cv_buf_str(&out), 1u << 20, &scanned, asked, &again) ==
		  CV_H1_OK);
	cv_assert(again.head_bytes == cv_buf_len(&out));
	cv_assert(again.status == r.status && cv_str_eq(again.reason, r.reason));
	cv_assert(again.body == r.body && again.length == r.length);
	cv_assert(again.has_length == r.has_length);
	cv_assert(again.is_upgrade == r.is_upgrade && cv_str_eq(again.upgrade, r.upgrade));
	cv_assert(again.is_keep_alive == r.is_keep_alive || r.is_upgrade);
	cv_buf_fini(&out);
	return 0;
}
