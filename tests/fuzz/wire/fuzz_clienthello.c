/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the start of a stream.  A prefix never has a verdict that more bytes overturn, and
 * whoever waits for as many bytes as were asked for gets an end.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/clienthello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str s = { (const char *)data, size };
	struct cv_hello h, part;
	size_t need = 0, pos = 0;

	for (unsigned any_case = 0; any_case < 2; any_case++)
		if (cv_peek_classify(s, any_case, &need) == CV_PEEK_NEED_MORE)
			cv_assert(need > size);
	const enum cv_hello_status st = cv_hello_parse(s, &h);
	if (st == CV_HELLO_NEED_MORE)
		cv_assert(h.need > size);
	if (st == CV_HELLO_OK) {
		cv_assert(h.bytes <= size);
		(void)cv_hello_version_max(&h); /* 0 when only GREASE is offered */
		while (cv_hello_alpn_next(&h, &pos).p)
			;
		cv_assert(pos == h.alpn_n);
	}
	for (size_t n = 0, step = 0; n < size; n = CV_MAX(part.need, n + 1)) {
		cv_assert(step++ <= 2 * CV_HELLO_RECORDS_MAX + 2);
		if (cv_hello_parse(cv_str_slice(s, 0, n), &part) == CV_HELLO_NEED_MORE)
			continue;
		cv_assert(part.status == st && part.problem == h.problem);
		break;
	}
	return 0;
}
