/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ph_escape.c - a text without its escapes; see ph_escape_int.h
 */
#include "cred/ph_escape_int.h"

#include "base/hex.h"
#include "wire/json.h"

static size_t utf8_put(uint32_t cp, char piece[static 4])
{
	if (cp < 0x80) {
		piece[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		piece[0] = (char)(0xc0 | cp >> 6);
		piece[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	/* half of a pair stays what it is: no placeholder has one, and the text is never sent */
	piece[0] = (char)(0xe0 | cp >> 12);
	piece[1] = (char)(0x80 | (cp >> 6 & 0x3f));
	piece[2] = (char)(0x80 | (cp & 0x3f));
	return 3;
}

static size_t json_step(struct cv_str raw, char piece[static 4], size_t *ret_n)
{
	unsigned char unit[2];

	if (raw.n >= 6 && raw.p[1] == 'u' &&
		cv_hex_decode(cv_str_slice(raw, 2, 6), unit, sizeof(unit))) {
		*ret_n = utf8_put((uint32_t)unit[0] << 8 | unit[1], piece);
		return 6;
	}
	const char c = raw.n >= 2 ? cv_json_escape_short(raw.p[1]) : 0;

	*ret_n = 1;
	piece[0] = c ? c : raw.p[0];
	return c ? 2 : 1;
}

size_t cred_decode_step(
	struct cv_str raw, enum cred_coding coding, char piece[static 4], size_t *ret_n)
{
	const char c = raw.p[0];
	unsigned char byte;

	*ret_n = 1;
	piece[0] = c;
	if (c == '\\' && coding == CRED_JSON)
		return json_step(raw, piece, ret_n);
	if (c == '+' && coding == CRED_FORM)
		piece[0] = ' ';
	if (c == '%' && (coding == CRED_PERCENT || coding == CRED_FORM) && raw.n >= 3 &&
		cv_hex_decode(cv_str_slice(raw, 1, 3), &byte, 1)) {
		piece[0] = (char)byte;
		return 3;
	}
	return 1;
}

bool cred_decode(struct cv_str raw, enum cred_coding coding, struct cv_arena *arena,
	struct cred_decoded *ret)
{
	/* no piece is longer than its source */
	uint32_t *at = cv_arena_array(arena, raw.n + 1, sizeof(*at));
	char *text = cv_arena_alloc(arena, raw.n + 4);
	size_t n = 0, i = 0;

	if (!at || !text || raw.n >= UINT32_MAX)
		return false;
	while (i < raw.n) {
		size_t made;
		const size_t took =
			cred_decode_step(cv_str_slice(raw, i, raw.n), coding, text + n, &made);

		for (size_t k = 0; k < made; k++)
			at[n++] = (uint32_t)i;
		i += took;
	}
	at[n] = (uint32_t)raw.n;
	*ret = (struct cred_decoded){ { text, n }, at };
	return true;
}
