/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_scrub.c - hostile text around, inside and between values in every encoding
 *
 * The first byte is the size of the steps that the text arrives in.  In the rest, a byte below 9
 * puts a value there, encoded as its number says and as the byte behind it varies; other bytes
 * stand for themselves.
 *
 * Properties: the length stays; the cut changes nothing; what is held is bounded; a naive decoder
 * finds no value in what comes out.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/hex.h"
#include "cred/scrub.h"

#include <stdlib.h>

#define TEXT_MAX (1u << 20)

/* None begins with what could end an escape: what stands before it would take that away. */
static const struct cv_str values[] = { { "ghp_16C7e42F/92c+9", 18 }, { "sk-p/r%o\\j\"ey", 13 },
	{ "ghp_16C7e42F/92c+91LONGER", 25 }, { "zzzzzzzzzz", 10 } };

/* ---- encoders ---- */

static void escaped_put(struct cv_buf *b, struct cv_str v, bool is_percent, uint8_t how)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] == (is_percent ? '%' : '\\') || (how >> i % 8 & 1))
			cv_buf_printf(b, is_percent ? "%%%02x" : "\\u%04X", (uint8_t)v.p[i]);
		else if (!is_percent && strchr("/\"", v.p[i]))
			cv_buf_printf(b, "\\%c", v.p[i]);
		else
			cv_buf_put_byte(b, v.p[i]);
}

static void base64_put(struct cv_buf *b, struct cv_str v, uint8_t how)
{
	char in[64] = "ab";
	const size_t before = how % 3;

	memcpy(in + before, v.p, v.n);
	cv_buf_put_base64(b, (struct cv_str){ in, before + v.n + how / 3 % 3 },
		how & 0x80 ? CV_BASE64_URL : CV_BASE64_STD);
}

static void encoded_put(struct cv_buf *b, uint8_t kind, uint8_t how)
{
	const struct cv_str v = values[how % CV_ARRAY_LEN(values)];
	struct cv_buf once;

	cv_buf_init(&once, 4096);
	switch (kind) {
	case 0: cv_buf_put(b, v); break;
	case 1: cv_buf_put(b, cv_str_slice(v, 0, how % v.n)); break;
	case 2: escaped_put(b, v, true, how); break;
	case 3: escaped_put(b, v, false, how); break;
	case 4:
		escaped_put(&once, v, true, how);
		escaped_put(b, cv_buf_str(&once), false, (uint8_t)(how * 5));
		break;
	case 5:
		escaped_put(&once, v, false, how);
		escaped_put(b, cv_buf_str(&once), true, (uint8_t)(how * 3));
		break;
	case 6: base64_put(b, v, how); break;
	case 7: cv_buf_put_hex(b, v); break;
	default:
		base64_put(&once, v, how);
		cv_buf_put(b, cv_str_slice(cv_buf_str(&once), 0, how % 16));
		cv_buf_put_byte(b, '\n');
		cv_buf_put(b, cv_str_slice(cv_buf_str(&once), how % 16, 1000));
		break;
	}
	cv_buf_fini(&once);
}

/* ---- the naive decoders ---- */

static void no_value(struct cv_str s)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(values); i++)
		cv_assert(!s.n || !memmem(s.p, s.n, values[i].p, values[i].n));
}

static bool hex_at(struct cv_str s, size_t at, size_t digits, unsigned *ret)
{
	unsigned v = 0;

	for (size_t i = 0; i < digits; i++) {
		const int d = at + i < s.n ? cv_hex_digit(s.p[at + i]) : -1;

		if (d < 0)
			return false;
		v = v << 4 | (unsigned)d;
	}
	*ret = v;
	return true;
}

static void percent_decode(struct cv_str s, struct cv_buf *out)
{
	unsigned v;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '%' && hex_at(s, i + 1, 2, &v)) {
			cv_buf_put_byte(out, (char)v);
			i += 2;
		} else {
			cv_buf_put_byte(out, s.p[i]);
		}
}

static void json_decode(struct cv_str s, struct cv_buf *out)
{
	unsigned v;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == 'u' && hex_at(s, i + 2, 4, &v)) {
			cv_buf_put_byte(out, v < 0x80 ? (char)v : '?');
			i += 5;
		} else if (s.p[i] == '\\' && i + 1 < s.n && strchr("\"\\/bfnrt", s.p[i + 1])) {
			i++;
			cv_buf_put_byte(out, strchr("bfnrt", s.p[i]) ? ' ' : s.p[i]);
		} else {
			cv_buf_put_byte(out, s.p[i]);
		}
}

static void hex_decode(struct cv_str s, struct cv_buf *out)
{
	unsigned v;

	for (size_t from = 0; from < 2; from++, cv_buf_put_byte(out, '\n'))
		for (size_t i = from; i < s.n; i += 2)
			cv_buf_put_byte(out, hex_at(s, i, 2, &v) ? (char)v : '\n');
}

static int letter(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+' || c == '-' ? 62
	       : c == '/' || c == '_' ? 63
				      : -1;
}

static void base64_decode(struct cv_str s, struct cv_buf *out)
{
	for (size_t from = 0; from < 4; from++) {
		unsigned bits = 0, have = 0;

		for (size_t i = 0, n = 0; i < s.n; i++) {
			const int v = letter(s.p[i]);

			if (v < 0) {
				have = 0;
				n = 0;
				cv_buf_put_byte(out, '\n');
				continue;
			}
			if (n++ < from)
				continue;
			bits = bits << 6 | (unsigned)v;
			if ((have += 6) >= 8)
				cv_buf_put_byte(out, (char)(bits >> (have -= 8)));
		}
	}
}

typedef void decode_fn(struct cv_str s, struct cv_buf *out);

static void judge(struct cv_str s)
{
	static decode_fn *const ways[][2] = { { percent_decode, NULL }, { json_decode, NULL },
		{ json_decode, percent_decode }, { percent_decode, json_decode },
		{ hex_decode, NULL }, { base64_decode, NULL } };
	struct cv_buf a, b;

	no_value(s);
	cv_buf_init(&a, 8 * TEXT_MAX);
	cv_buf_init(&b, 8 * TEXT_MAX);
	for (size_t i = 0; i < CV_ARRAY_LEN(ways); i++) {
		cv_buf_reset(&a);
		cv_buf_reset(&b);
		ways[i][0](s, &a);
		no_value(cv_buf_str(&a));
		if (ways[i][1])
			ways[i][1](cv_buf_str(&a), &b);
		no_value(cv_buf_str(&b));
	}
	cv_buf_fini(&a);
	cv_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_buf in, whole, steps;
	struct cv_scrub_set *set;

	if (size == 0 || size > 2000)
		return 0;
	cv_buf_init(&in, TEXT_MAX);
	cv_buf_init(&whole, TEXT_MAX);
	cv_buf_init(&steps, TEXT_MAX);
	for (size_t i = 1; i < size; i++)
		if (data[i] < 9 && i + 1 < size) {
			encoded_put(&in, data[i], data[i + 1]);
			i++;
		} else {
			cv_buf_put_byte(&in, (char)data[i]);
		}
	const struct cv_str text = cv_buf_str(&in);
	const size_t step = (data[0] & 31u) + 1u;

	cv_assert(cv_scrub_set_new(values, CV_ARRAY_LEN(values), NULL, &set, NULL) == CV_OK);
	struct cv_scrub *s = cv_scrub_new(set);

	cv_assert(s && cv_scrub_text(s, text, &whole));
	cv_assert(cv_buf_len(&whole) == text.n);
	for (size_t at = 0; at < text.n; at += step) {
		cv_assert(cv_scrub_feed(s, cv_str_slice(text, at, at + step), &steps));
		cv_assert(cv_scrub_held(s) <= CV_SCRUB_HOLD_BYTES_MAX(25u));
	}
	cv_assert(cv_scrub_end(s, &steps));
	cv_assert(cv_str_eq(cv_buf_str(&whole), cv_buf_str(&steps)));
	cv_assert(cv_scrub_steps(s) <= 2u * 24u * text.n);
	judge(cv_buf_str(&whole));
	cv_scrub_free(s);
	cv_scrub_set_unref(set);
	cv_buf_fini(&in);
	cv_buf_fini(&whole);
	cv_buf_fini(&steps);
	return 0;
}
