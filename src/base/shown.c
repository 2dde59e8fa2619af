/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shown.c - see shown.h
 *
 * Words are judged whole: a first pass over a word finds its scripts, a second writes it.  What a
 * word is made of are ASCII letters and digits, and the characters of script_range[]; anything else
 * stands between words.  The table says what may be shown, not what may not: a character that
 * Unicode gets next year is escaped until somebody has looked at it.
 */
#include "base/shown.h"

#include "base/utf8.h"

enum script { SCRIPT_NONE, SCRIPT_LATIN, SCRIPT_GREEK, SCRIPT_CYRILLIC, SCRIPT_CJK };

/* Precomposed letters alone, without those that have another form in NFC, and without those that
 * are read as ASCII letters wherever they stand (dotless i, long s, ...). */
static const struct {
	uint32_t min, max;
	enum script script;
} script_range[] = {
	{ 0x00c0, 0x00d6, SCRIPT_LATIN },
	{ 0x00d8, 0x00f6, SCRIPT_LATIN },
	{ 0x00f8, 0x0130, SCRIPT_LATIN },
	{ 0x0132, 0x0137, SCRIPT_LATIN },
	{ 0x0139, 0x0148, SCRIPT_LATIN },
	{ 0x014a, 0x017e, SCRIPT_LATIN },
	{ 0x01cd, 0x01dc, SCRIPT_LATIN },
	{ 0x0218, 0x021b, SCRIPT_LATIN },
	{ 0x0386, 0x0386, SCRIPT_GREEK },
	{ 0x0388, 0x038a, SCRIPT_GREEK },
	{ 0x038c, 0x038c, SCRIPT_GREEK },
	{ 0x038e, 0x03a1, SCRIPT_GREEK },
	{ 0x03a3, 0x03ce, SCRIPT_GREEK },
	{ 0x0400, 0x0481, SCRIPT_CYRILLIC },
	{ 0x048a, 0x04ff, SCRIPT_CYRILLIC },
	{ 0x1e00, 0x1e99, SCRIPT_LATIN },
	{ 0x1ea0, 0x1ef9, SCRIPT_LATIN },
	{ 0x3041, 0x3096, SCRIPT_CJK },
	{ 0x30a1, 0x30fa, SCRIPT_CJK },
	{ 0x30fc, 0x30fc, SCRIPT_CJK },
	{ 0x3400, 0x4dbf, SCRIPT_CJK },
	{ 0x4e00, 0x9fff, SCRIPT_CJK },
	{ 0xac00, 0xd7a3, SCRIPT_CJK },
};

/* Of these, what can be taken for an ASCII letter, digit or sign. */
static const uint16_t lookalike[] = { 0x0391, 0x0392, 0x0395, 0x0396, 0x0397, 0x0399, 0x039a,
	0x039c, 0x039d, 0x039f, 0x03a1, 0x03a4, 0x03a5, 0x03a7, 0x03b1, 0x03b9, 0x03ba, 0x03bd,
	0x03bf, 0x03c1, 0x03c5, 0x03c7, 0x0405, 0x0406, 0x0408, 0x0410, 0x0412, 0x0415, 0x0417,
	0x041a, 0x041c, 0x041d, 0x041e, 0x0420, 0x0421, 0x0422, 0x0423, 0x0425, 0x0430, 0x0435,
	0x043e, 0x0440, 0x0441, 0x0443, 0x0445, 0x0455, 0x0456, 0x0458, 0x04ae, 0x04af, 0x04bb,
	0x04c0, 0x04cf, 0x30cb, 0x30ce, 0x30cf, 0x30ed, 0x30fc, 0x4e00, 0x4e28, 0x4e36, 0x4e3f,
	0x4e8c, 0x516b, 0x53e3, 0x5de5, 0xc624, 0xd2b8 };

static bool is_lookalike(uint32_t cp)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(lookalike); i++)
		if (lookalike[i] == cp)
			return true;
	return false;
}

static bool is_ascii_letter(uint32_t cp)
{
	return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
}

static enum script script_of(uint32_t cp)
{
	if (is_ascii_letter(cp))
		return SCRIPT_LATIN;
	for (size_t i = 0; cp >= 0x80 && i < CV_ARRAY_LEN(script_range); i++)
		if (cp >= script_range[i].min && cp <= script_range[i].max)
			return script_range[i].script;
	return SCRIPT_NONE;
}

static bool is_of_word(uint32_t cp)
{
	return (cp >= '0' && cp <= '9') || script_of(cp) != SCRIPT_NONE;
}

/* ---- writing ---- */

struct writer {
	struct cv_buf *out;
	const struct cv_shown *how;
	size_t column;
};

/* n columns of a thing that must not be torn. */
static void put(struct writer *w, struct cv_str s, size_t n)
{
	if (w->how->columns && w->column + n > w->how->columns && w->column) {
		cv_buf_put_byte(w->out, '\n');
		cv_buf_put(w->out, cv_str_of(w->how->prefix ? w->how->prefix : ""));
		w->column = 0;
	}
	cv_buf_put(w->out, s);
	w->column += n;
}

static void put_escape(struct writer *w, char kind, uint32_t value)
{
	static const char digit[] = "0123456789abcdef";
	char text[16] = { '\\', kind, '{' };
	size_t n = 3, shift = 20;

	while (shift > 4 && !(value >> shift))
		shift -= 4;
	if (kind == 'x')
		shift = 4;
	for (;; shift -= 4) {
		text[n++] = digit[(value >> shift) & 15];
		if (!shift)
			break;
	}
	text[n++] = '}';
	put(w, (struct cv_str){ text, n }, n);
}

static void put_cp(struct writer *w, struct cv_str bytes, uint32_t cp)
{
	put(w, bytes, cp >= 0x3000 ? 2 : 1);
}

/* ---- words ---- */

struct word {
	size_t n; /* bytes */
	enum script script;
	bool is_mixed, is_disguised;
};

static struct word word_find(struct cv_str s)
{
	struct word word = { .is_disguised = true };
	bool has_other = false;
	uint32_t cp;
	size_t step;

	while ((step = cv_utf8_decode(cv_str_slice(s, word.n, s.n), &cp)) && is_of_word(cp)) {
		const enum script script = script_of(cp);

		word.n += step;
		if (script == SCRIPT_NONE)
			continue;
		if (script != SCRIPT_LATIN) {
			has_other = true;
			word.is_disguised &= is_lookalike(cp);
		}
		word.is_mixed |= word.script != SCRIPT_NONE && word.script != script;
		word.script = script;
	}
	word.is_disguised &= has_other;
	return word;
}

static void put_word(struct writer *w, struct cv_str s, const struct word *word)
{
	const bool is_latin_only = word->is_mixed || word->is_disguised;
	uint32_t cp;
	size_t step;

	for (size_t at = 0; at < s.n; at += step) {
		step = cv_utf8_decode(cv_str_slice(s, at, s.n), &cp);
		if (is_latin_only && cp >= 0x80 && script_of(cp) != SCRIPT_LATIN)
			put_escape(w, 'u', cp);
		else
			put_cp(w, cv_str_slice(s, at, at + step), cp);
	}
}

/* An escape of JSON is no part of the word behind it. */
static size_t backslash_put(struct writer *w, struct cv_str s)
{
	const size_t n = s.n > 1 && s.p[1] == 'u' ? 6 : 2;

	if (!w->how->is_json) {
		put(w, CV_STR("\\\\"), 2);
		return 1;
	}
	for (size_t i = 1; i < n; i++)
		if (i >= s.n || s.p[i] <= ' ' || s.p[i] >= 0x7f) {
			put(w, CV_STR("\\\\"), 2); /* no JSON after all */
			return 1;
		}
	put(w, cv_str_slice(s, 0, n), n);
	return n;
}

static void text_put(struct writer *w, struct cv_str s)
{
	uint32_t cp;

	while (s.n) {
		const struct word word = word_find(s);
		size_t step = word.n;

		if (word.n) {
			put_word(w, cv_str_slice(s, 0, word.n), &word);
		} else if (s.p[0] == '\\') {
			step = backslash_put(w, s);
		} else if (!(step = cv_utf8_decode(s, &cp))) {
			put_escape(w, 'x', (unsigned char)s.p[0]);
			step = 1;
		} else if (cp >= ' ' && cp < 0x7f) {
			put_cp(w, cv_str_slice(s, 0, step), cp);
		} else {
			put_escape(w, 'u', cp);
		}
		s = cv_str_slice(s, step, s.n);
	}
}

/* The last place at or before at where a character begins. */
static size_t boundary(struct cv_str s, size_t at)
{
	for (unsigned i = 0; i < 3 && at > 0 && at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80;
		i++)
		at--;
	return at;
}

bool cv_shown_put(struct cv_buf *out, struct cv_str s, const struct cv_shown *how)
{
	struct writer w = { out, how, 0 };

	if (!how->bytes_max || s.n <= how->bytes_max) {
		text_put(&w, s);
		return !out->is_overflown;
	}
	/* the end of a path says as much as its beginning */
	const size_t head = boundary(s, how->bytes_max - how->bytes_max / 3);
	const size_t tail = boundary(s, s.n - how->bytes_max / 3);
	struct cv_buf more;
	cv_buf_init(&more, 64);
	cv_buf_printf(&more, "…(%zu bytes more)…", tail - head);
	text_put(&w, cv_str_slice(s, 0, head));
	put(&w, cv_buf_str(&more), cv_buf_len(&more) - 4);
	text_put(&w, cv_str_slice(s, tail, s.n));
	cv_buf_fini(&more);
	return !out->is_overflown;
}

bool cv_shown_put_line(struct cv_buf *out, struct cv_str s, size_t bytes_max)
{
	return cv_shown_put(out, s, &(struct cv_shown){ .bytes_max = bytes_max });
}

static bool visible_put(struct cv_buf *out, struct cv_str s, bool has_lines)
{
	struct writer w = { out, &(struct cv_shown){ 0 }, 0 };
	uint32_t cp;

	while (s.n) {
		const size_t step = cv_utf8_decode(s, &cp);

		if (!step) /* the last character may have been cut */
			put_escape(&w, 'x', (unsigned char)s.p[0]);
		else if (!(has_lines && cp == '\n') && cv_utf8_is_hidden(cp))
			put_escape(&w, 'u', cp);
		else
			put_cp(&w, cv_str_slice(s, 0, step), cp);
		s = cv_str_slice(s, step ? step : 1, s.n);
	}
	return !out->is_overflown;
}

bool cv_shown_put_message(struct cv_buf *out, struct cv_str s)
{
	return visible_put(out, s, true);
}

bool cv_shown_put_record(struct cv_buf *out, struct cv_str s)
{
	return visible_put(out, s, false);
}
