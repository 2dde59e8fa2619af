/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.c - strict UTF-8; the table is RFC 3629 section 4
 */
#include "base/utf8.h"

static const struct {
	unsigned char lead_min, lead_max;     /* first byte */
	unsigned char second_min, second_max; /* second byte; all later ones are 80..bf */
	unsigned char len;
} utf8_form[] = {
	{ 0x00, 0x7f, 0x00, 0x00, 1 },
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 },
	{ 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

size_t cv_utf8_step(struct cv_str s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	if (!s.n)
		return 0;
	for (size_t f = 0; f < CV_ARRAY_LEN(utf8_form); f++) {
		const size_t len = utf8_form[f].len;

		if (p[0] < utf8_form[f].lead_min || p[0] > utf8_form[f].lead_max)
			continue;
		if (s.n < len)
			return 0;
		if (len > 1 && (p[1] < utf8_form[f].second_min || p[1] > utf8_form[f].second_max))
			return 0;
		for (size_t i = 2; i < len; i++)
			if ((p[i] & 0xc0) != 0x80)
				return 0;
		return len;
	}
	return 0;
}

size_t cv_utf8_decode(struct cv_str s, uint32_t *ret_cp)
{
	static const unsigned char lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	const size_t n = cv_utf8_step(s);

	if (!n)
		return 0;
	*ret_cp = (unsigned char)s.p[0] & lead_bits[n];
	for (size_t i = 1; i < n; i++)
		*ret_cp = *ret_cp << 6 | ((unsigned char)s.p[i] & 0x3f);
	return n;
}

bool cv_utf8_is_hidden(uint32_t cp)
{
	static const struct {
		uint32_t min, max;
	} range[] = {
		{ 0x0000, 0x001f }, { 0x007f, 0x009f }, /* controls; U+0085 ends a line */
		{ 0x00ad, 0x00ad },                     /* soft hyphen */
		{ 0x061c, 0x061c }, { 0x200b, 0x200f }, /* zero width, direction marks */
		{ 0x2028, 0x202e },                     /* line ends, direction overrides */
		{ 0x2060, 0x206f },                     /* invisible operators, isolates */
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
		{ 0xe0000, 0xe0fff }, /* tags: whole texts unseen */
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(range); i++)
		if (cp >= range[i].min && cp <= range[i].max)
			return true;
	return false;
}

bool cv_utf8_is_valid(struct cv_str s)
{
	while (s.n) {
		const size_t step = (unsigned char)s.p[0] < 0x80 ? 1 : cv_utf8_step(s);

		if (!step)
			return false;
		s = cv_str_slice(s, step, s.n);
	}
	return true;
}

/* The character that was cut, one byte after the other. */
static bool held_put(struct cv_utf8_stream *u, struct cv_str *s)
{
	while (u->n && s->n) {
		u->held[u->n++] = s->p[0];
		*s = cv_str_slice(*s, 1, s->n);
		if (cv_utf8_step((struct cv_str){ u->held, u->n }))
			u->n = 0;
		else if (u->n == sizeof(u->held))
			return false; /* no character is longer */
	}
	return true;
}

bool cv_utf8_stream_put(struct cv_utf8_stream *u, struct cv_str s)
{
	u->is_bad = u->is_bad || !held_put(u, &s);
	while (s.n && !u->is_bad) {
		const size_t step = (unsigned char)s.p[0] < 0x80 ? 1 : cv_utf8_step(s);

		if (step) {
			s = cv_str_slice(s, step, s.n);
			continue;
		}
		u->is_bad = s.n >= sizeof(u->held);
		if (!u->is_bad) {
			memcpy(u->held, s.p, s.n);
			u->n = (uint8_t)s.n;
			break;
		}
	}
	return !u->is_bad;
}
