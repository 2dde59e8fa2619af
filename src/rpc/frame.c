/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - see frame.h
 */
#include "rpc/frame.h"

#define TIMEOUT_DIGITS_MAX 8 /* PROTOCOL-HTTP2.md: TimeoutValue */

enum cv_rpc_frame_rc cv_rpc_frame_next(struct cv_str bytes, uint32_t max, struct cv_rpc_frame *ret)
{
	const unsigned char *p = (const unsigned char *)bytes.p;

	if (!bytes.n)
		return CV_RPC_FRAME_MORE;
	if (p[0])
		return p[0] == 1 ? CV_RPC_FRAME_COMPRESSED : CV_RPC_FRAME_BAD;
	if (bytes.n < CV_RPC_FRAME_HEAD_BYTES)
		return CV_RPC_FRAME_MORE;
	ret->length = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	if (ret->length > max)
		return CV_RPC_FRAME_LONG;
	ret->bytes = (size_t)CV_RPC_FRAME_HEAD_BYTES + ret->length;
	if (bytes.n < ret->bytes)
		return CV_RPC_FRAME_MORE;
	ret->message = cv_str_slice(bytes, CV_RPC_FRAME_HEAD_BYTES, ret->bytes);
	return CV_RPC_FRAME_OK;
}

void cv_rpc_frame_head(uint32_t length, char to[static CV_RPC_FRAME_HEAD_BYTES])
{
	to[0] = 0;
	for (int i = 1; i <= 4; i++)
		to[i] = (char)(length >> (32 - 8 * i));
}

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

static int digit_of(char c)
{
	c = cv_ascii_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void cv_rpc_percent_decode(struct cv_buf *to, struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const int high = s.p[i] == '%' && i + 2 < s.n ? digit_of(s.p[i + 1]) : -1;
		const int low = high >= 0 ? digit_of(s.p[i + 2]) : -1;

		if (low < 0) {
			cv_buf_put_byte(to, s.p[i]);
			continue;
		}
		cv_buf_put_byte(to, (char)(high << 4 | low));
		i += 2;
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
