/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_text.c - see grpc_text.h
 */
#include "rpc/grpc_text.h"

#define TIMEOUT_DIGITS_MAX 8 /* PROTOCOL-HTTP2.md: TimeoutValue */

void cv_rpc_percent_encode(struct cv_buf *to, struct cv_str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c <= 0x7e && c != '%') {
			cv_buf_put_byte(to, (char)c);
			continue;
		}
		const char coded[] = { '%', digits[c >> 4], digits[c & 15] };
		cv_buf_put(to, (struct cv_str){ coded, sizeof(coded) });
	}
}

bool cv_rpc_timeout_parse(struct cv_str s, int64_t *ret_ms)
{
	uint64_t n;

	if (s.n < 2 || s.n > TIMEOUT_DIGITS_MAX + 1 ||
		!cv_str_to_u64(cv_str_slice(s, 0, s.n - 1), 99999999, &n))
		return false;
	switch (s.p[s.n - 1]) {
	case 'H': *ret_ms = (int64_t)n * 3600000; return true;
	case 'M': *ret_ms = (int64_t)n * 60000; return true;
	case 'S': *ret_ms = (int64_t)n * 1000; return true;
	case 'm': *ret_ms = (int64_t)n; return true;
	case 'u': *ret_ms = (int64_t)(n + 999) / 1000; return true;
	case 'n': *ret_ms = (int64_t)(n + 999999) / 1000000; return true;
	default: return false;
	}
}
