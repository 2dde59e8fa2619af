/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hex.c - bytes as pairs of hexadecimal digits; see hex.h
 */
#include "base/hex.h"

static const char digits[] = "0123456789abcdef";

static void put(char *to, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[bytes[i] >> 4];
		to[2 * i + 1] = digits[bytes[i] & 15];
	}
}

void cv_hex_text(const void *bytes, size_t n, char *ret)
{
	put(ret, bytes, n);
	ret[2 * n] = 0;
}

bool cv_buf_put_hex(struct cv_buf *b, struct cv_str bytes)
{
	char *room = bytes.n <= SIZE_MAX / 2 ? cv_buf_reserve(b, bytes.n * 2) : NULL;

	if (!room)
		return false;
	put(room, (const unsigned char *)bytes.p, bytes.n);
	cv_buf_commit(b, bytes.n * 2);
	return true;
}

int cv_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = cv_ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool cv_hex_decode(struct cv_str text, void *ret_bytes, size_t n)
{
	unsigned char *out = ret_bytes;

	if (text.n / 2 != n || text.n % 2)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (cv_hex_digit(text.p[i]) < 0)
			return false;
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)(cv_hex_digit(text.p[2 * i]) << 4 |
					 cv_hex_digit(text.p[2 * i + 1]));
	return true;
}
