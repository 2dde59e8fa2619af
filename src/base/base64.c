/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.c - RFC 4648; see base64.h
 */
#include "base/base64.h"

static const char letters[][65] = {
	[CV_BASE64_STD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	[CV_BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

bool cv_buf_put_base64(struct cv_buf *b, struct cv_str bytes, enum cv_base64 alphabet)
{
	const char *letter = letters[alphabet];
	const size_t room_n = bytes.n / 3 <= SIZE_MAX / 4 - 1 ? (bytes.n / 3 + 1) * 4 : SIZE_MAX;
	char *room = cv_buf_reserve(b, bytes.n % 3 ? room_n : room_n - 4);
	size_t n = 0;

	if (!room)
		return false;
	for (size_t i = 0; i < bytes.n; i += 3) {
		const size_t left = CV_MIN(bytes.n - i, (size_t)3);
		uint32_t v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (k < left ? (unsigned char)bytes.p[i + k] : 0);
		for (size_t k = 0; k < 4; k++) {
			if (k <= left)
				room[n++] = letter[v >> (18 - 6 * k) & 63];
			else if (alphabet == CV_BASE64_STD)
				room[n++] = '=';
		}
	}
	cv_buf_commit(b, n);
	return true;
}

static int value_of(char c, enum cv_base64 alphabet)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == letters[alphabet][62])
		return 62;
	return c == letters[alphabet][63] ? 63 : -1;
}

/* Cuts the padding off; false if there is not exactly as much as the alphabet asks for. */
static bool strip_padding(struct cv_str *text, enum cv_base64 alphabet)
{
	if (alphabet == CV_BASE64_URL)
		return text->n % 4 != 1;
	if (text->n % 4)
		return false;
	for (int i = 0; i < 2 && text->n && text->p[text->n - 1] == '='; i++)
		text->n--;
	return true;
}

bool cv_base64_decode(struct cv_str text, enum cv_base64 alphabet, struct cv_buf *out)
{
	unsigned v = 0;
	size_t n = 0;

	if (!strip_padding(&text, alphabet))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		const int d = value_of(text.p[i], alphabet);

		if (d < 0)
			return false;
		v = (unsigned)d;
	}
	/* bits of the last letter that no byte uses */
	if ((text.n % 4 == 2 && v & 15) || (text.n % 4 == 3 && v & 3))
		return false;
	char *room = cv_buf_reserve(out, text.n / 4 * 3 + 2);
	if (!room)
		return false;
	v = 0;
	for (size_t i = 0; i < text.n; i++) {
		v = v << 6 | (unsigned)value_of(text.p[i], alphabet);
		if (i % 4)
			room[n++] = (char)(v >> (6 - 2 * (i % 4)));
	}
	cv_buf_commit(out, n);
	return true;
}
