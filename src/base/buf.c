/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.c - bytes that grow; see buf.h for the invariant
 */
#include "base/buf.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN 256 /* one small message; below it, growth costs more than it saves */

void cv_buf_init(struct cv_buf *b, size_t max)
{
	*b = (struct cv_buf){ .max = max };
}

void cv_buf_fini(struct cv_buf *b)
{
	free(b->data);
	*b = (struct cv_buf){ .max = b->max };
}

void cv_buf_wipe(struct cv_buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	cv_buf_fini(b);
}

void cv_buf_reset(struct cv_buf *b)
{
	b->start = b->end = 0;
	b->is_overflown = false;
}

static void slide(struct cv_buf *b)
{
	if (!b->start)
		return;
	memmove(b->data, b->data + b->start, cv_buf_len(b));
	b->end -= b->start;
	b->start = 0;
}

char *cv_buf_reserve(struct cv_buf *b, size_t n)
{
	const size_t len = cv_buf_len(b);

	if (b->is_overflown || n > b->max || len > b->max - n) {
		b->is_overflown = true;
		return NULL;
	}
	if (b->cap - b->end >= n && b->data)
		return b->data + b->end;
	if (b->data)
		slide(b);
	if (b->cap - b->end < n || !b->data) {
		const size_t wish = CV_MAX(CV_MAX(len + n, b->cap * 2), (size_t)BUF_CAP_MIN);
		const size_t cap = CV_MAX(CV_MIN(wish, b->max), (size_t)1);
		char *data = realloc(b->data, cap);

		if (!data) {
			b->is_overflown = true;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	return b->data + b->end;
}

void cv_buf_commit(struct cv_buf *b, size_t n)
{
	cv_assert(n <= b->cap - b->end);
	b->end += n;
}

void cv_buf_skip(struct cv_buf *b, size_t n)
{
	cv_assert(n <= cv_buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

bool cv_buf_put_growing(struct cv_buf *b, struct cv_str s)
{
	char *room = cv_buf_reserve(b, s.n);

	if (!room)
		return false;
	if (s.n)
		memcpy(room, s.p, s.n);
	cv_buf_commit(b, s.n);
	return true;
}

bool cv_buf_put_u64(struct cv_buf *b, uint64_t v)
{
	char text[20]; /* 2^64 has 20 digits */
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + v % 10);
	while (v /= 10);
	return cv_buf_put(b, (struct cv_str){ text + at, sizeof(text) - at });
}

bool cv_buf_put_u16be(struct cv_buf *b, uint16_t v)
{
	const char bytes[] = { (char)(v >> 8), (char)v };

	return cv_buf_put(b, (struct cv_str){ bytes, sizeof(bytes) });
}

bool cv_buf_put_u32be(struct cv_buf *b, uint32_t v)
{
	return cv_buf_put_u16be(b, (uint16_t)(v >> 16)) && cv_buf_put_u16be(b, (uint16_t)v);
}

bool cv_buf_printf(struct cv_buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	const int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *room = n < 0 ? NULL : cv_buf_reserve(b, (size_t)n + 1); /* vsnprintf writes a NUL */
	if (room) {
		vsnprintf(room, (size_t)n + 1, fmt, again);
		cv_buf_commit(b, (size_t)n);
	}
	va_end(again);
	return room != NULL;
}

static bool put_json_escape(struct cv_buf *b, unsigned char c)
{
	switch (c) {
	case '"': return cv_buf_put(b, CV_STR("\\\""));
	case '\\': return cv_buf_put(b, CV_STR("\\\\"));
	case '\n': return cv_buf_put(b, CV_STR("\\n"));
	case '\r': return cv_buf_put(b, CV_STR("\\r"));
	case '\t': return cv_buf_put(b, CV_STR("\\t"));
	default: return cv_buf_printf(b, "\\u%04x", c);
	}
}

/* A code point above U+FFFF takes a pair of surrogates. */
static bool put_json_hidden(struct cv_buf *b, uint32_t cp)
{
	if (cp < 0x10000)
		return cv_buf_printf(b, "\\u%04x", cp);
	return cv_buf_printf(b, "\\u%04x\\u%04x", 0xd7c0 + (cp >> 10), 0xdc00 + (cp & 0x3ff));
}

static bool is_plain_json(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

bool cv_buf_put_json(struct cv_buf *b, struct cv_str s)
{
	size_t plain = 0; /* start of the run that needs no escape */

	for (size_t i = 0; i < s.n;) {
		const unsigned char c = (unsigned char)s.p[i];
		uint32_t cp = c;

		if (is_plain_json(c)) {
			i++;
			continue;
		}
		const size_t step = c < 0x80 ? 1 : cv_utf8_decode(cv_str_slice(s, i, s.n), &cp);

		if (step > 1 && !cv_utf8_is_hidden(cp)) {
			i += step;
			continue;
		}
		if (!cv_buf_put(b, cv_str_slice(s, plain, i)) ||
			!(step > 1 ? put_json_hidden(b, cp) : put_json_escape(b, c)))
			return false;
		i += step ? step : 1;
		plain = i;
	}
	return cv_buf_put(b, cv_str_slice(s, plain, s.n));
}

bool cv_buf_put_json_str(struct cv_buf *b, struct cv_str s)
{
	return cv_buf_put_byte(b, '"') && cv_buf_put_json(b, s) && cv_buf_put_byte(b, '"');
}

bool cv_buf_put_json_member(struct cv_buf *b, const char *name, struct cv_str value)
{
	return cv_buf_printf(b, "\"%s\":", name) && cv_buf_put_json_str(b, value);
}

bool cv_buf_put_percent(struct cv_buf *b, struct cv_str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char)s.p[i], l = c | 0x20;
		const char escape[] = { '%', digits[c >> 4], digits[c & 15] };
		const bool is_plain = (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') ||
				      c == '-' || c == '.' || c == '_' || c == '~';

		cv_buf_put(b, is_plain ? cv_str_slice(s, i, i + 1)
				       : (struct cv_str){ escape, sizeof(escape) });
	}
	return !b->is_overflown;
}
