/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c - the one spelling of a request path; see path.h
 *
 * Three passes over at most CV_PATH_BYTES_MAX bytes, each simple:
 *   1. decode the whole path into text; an encoded slash that may stay becomes a mark (a control
 *      byte, which decoding refuses otherwise);
 *   2. walk the segments, cut parameters, resolve dots; segments are moved down in place, so the
 *      result is never longer than what was decoded;
 *   3. encode from a copy of that.
 * Pass 2 sees only decoded text, so an encoded dot or semicolon is no different from a plain one.
 */
#include "wire/path.h"

#include "base/hex.h"
#include "base/utf8.h"

#define SLASH_MARK      '\x01' /* stands for a %2F that stays */

#define ROW(name, text) text,
static const char *const rc_text[] = { CV_PATH_RCS(ROW) };
#undef ROW

/* clang-format off */
/* RFC 3986 pchar without `;` (no parameters remain) and without the percent sign. */
static const bool is_plain[256] = {
	['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true,
	['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true,
	['!'] = true, ['$'] = true, ['&'] = true, ['\''] = true, ['('] = true, [')'] = true,
	['*'] = true, ['+'] = true, [','] = true, ['='] = true, [':'] = true, ['@'] = true,
	['/'] = true,
};
/* clang-format on */

const char *cv_path_rc_text(enum cv_path_rc rc)
{
	return rc < CV_PATH_RC_COUNT ? rc_text[rc] : "unknown reason";
}

/* The byte that two hex digits at the front of s mean, or -1. */
static int hex_pair(struct cv_str s)
{
	unsigned char byte;

	return cv_hex_decode(cv_str_slice(s, 0, 2), &byte, 1) ? byte : -1;
}

static bool is_control(int c)
{
	return c < 0x20 || c == 0x7f;
}

static enum cv_path_rc escape_decode(struct cv_str digits, bool allow_slash, char *ret)
{
	const int c = hex_pair(digits);

	if (c < 0)
		return CV_PATH_ESCAPE;
	if (is_control(c))
		return CV_PATH_CONTROL;
	if (c == '\\')
		return CV_PATH_BACKSLASH;
	if (c == '/' && !allow_slash)
		return CV_PATH_SLASH;
	*ret = c == '/' ? SLASH_MARK : (char)c;
	return CV_PATH_OK;
}

static enum cv_path_rc decode(struct cv_str raw, bool allow_slash, struct cv_path *ret)
{
	bool has_high = false; /* most paths are ASCII, and valid without a look */
	enum cv_path_rc rc;

	ret->n = 0;
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c <= ' ' || c >= 0x7f || c == '#' || c == '?')
			return CV_PATH_BYTE;
		if (c == '\\')
			return CV_PATH_BACKSLASH;
		if (c == '%') {
			rc = escape_decode(cv_str_slice(raw, i + 1, raw.n), allow_slash, &c);
			if (rc != CV_PATH_OK)
				return rc;
			i += 2;
		}
		has_high |= (unsigned char)c >= 0x80;
		ret->text[ret->n++] = c;
	}
	return !has_high || cv_utf8_is_valid(cv_path_str(ret)) ? CV_PATH_OK : CV_PATH_UTF8;
}

/* One more decoding of text, as lenient programs do it: a sign without two digits stays.  True if
 * anything was decoded; *ret_bad if that made a byte which must not be there. */
static bool decode_again(char *text, size_t *n, bool *ret_bad)
{
	const struct cv_str s = { text, *n };
	size_t out = 0;

	for (size_t i = 0; i < s.n; i++) {
		int c = text[i] == '%' ? hex_pair(cv_str_slice(s, i + 1, s.n)) : -1;

		if (c < 0) {
			text[out++] = text[i];
			continue;
		}
		*ret_bad |= is_control(c) || c == '/' || c == '\\' || c == ';';
		text[out++] = (char)c;
		i += 2;
	}
	const bool has_decoded = out < *n;
	*n = out;
	*ret_bad |= !cv_utf8_is_valid((struct cv_str){ text, out });
	return has_decoded;
}

/* A dot segment between slashes that stayed encoded. */
static bool has_dot_part(struct cv_str seg)
{
	while (seg.p) {
		const struct cv_str part = cv_str_cut(&seg, SLASH_MARK);

		if (cv_str_eq(part, CV_STR(".")) || cv_str_eq(part, CV_STR("..")))
			return true;
	}
	return false;
}

/*
 * A segment with an escape after decoding, or with a slash that stays, must not become several
 * segments, parameters or dot segments for somebody who decodes further than we did.
 */
CV_COLD static bool hides_something(struct cv_str seg)
{
	char text[CV_PATH_BYTES_MAX];
	bool is_bad = false;
	size_t n = seg.n;

	memcpy(text, seg.p, n);
	for (size_t round = 0; round < CV_PATH_DECODES_MAX; round++) {
		if (has_dot_part((struct cv_str){ text, n }))
			return true;
		if (!decode_again(text, &n, &is_bad))
			return false;
		if (is_bad)
			return true;
	}
	return true;
}

/* Nearly no segment does, so they are spared the copy. */
static bool may_hide(struct cv_str seg)
{
	return cv_str_has_byte(seg, '%') || cv_str_has_byte(seg, SLASH_MARK);
}

/* Drops the last segment of text[0, n), which ends in a slash; 0 when only the root is left. */
static size_t parent(const char *text, size_t n)
{
	if (n <= 1)
		return 0;
	for (n--; text[n - 1] != '/';)
		n--;
	return n;
}

/* Resolves in place.  text starts with a slash; out never passes the segment being read. */
static enum cv_path_rc resolve(struct cv_path *p)
{
	struct cv_str rest = cv_str_slice(cv_path_str(p), 1, p->n);
	size_t out = 1;

	while (rest.p) {
		struct cv_str seg = cv_str_cut(&rest, '/');
		const bool is_last = !rest.p;

		seg = cv_str_slice(seg, 0, cv_str_find_byte(seg, ';'));
		if (may_hide(seg) && hides_something(seg))
			return CV_PATH_TWICE;
		if (seg.n == 0 || cv_str_eq(seg, CV_STR(".")))
			continue;
		if (cv_str_eq(seg, CV_STR(".."))) {
			out = parent(p->text, out);
			if (out == 0)
				return CV_PATH_ROOT;
			continue;
		}
		memmove(p->text + out, seg.p, seg.n);
		out += seg.n;
		if (!is_last)
			p->text[out++] = '/';
	}
	p->n = out;
	return CV_PATH_OK;
}

static enum cv_path_rc encode(const struct cv_path *from, struct cv_path *ret)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < from->n; i++) {
		const unsigned char c =
			from->text[i] == SLASH_MARK ? '/' : (unsigned char)from->text[i];
		const bool stays = is_plain[c] && from->text[i] != SLASH_MARK;

		if (n + (stays ? 1 : 3) > sizeof(ret->text))
			return CV_PATH_LONG;
		if (stays) {
			ret->text[n++] = (char)c;
			continue;
		}
		ret->text[n++] = '%';
		ret->text[n++] = hex[c >> 4];
		ret->text[n++] = hex[c & 15];
	}
	ret->n = n;
	return CV_PATH_OK;
}

enum cv_path_rc cv_path_canonical(struct cv_str raw, bool allow_encoded_slash, struct cv_path *ret)
{
	struct cv_path decoded;
	enum cv_path_rc rc;

	if (raw.n == 0)
		raw = CV_STR("/");
	if (raw.n > CV_PATH_BYTES_MAX)
		return CV_PATH_LONG;
	if (raw.p[0] != '/')
		return CV_PATH_FORM;
	rc = decode(raw, allow_encoded_slash, &decoded);
	if (rc == CV_PATH_OK)
		rc = resolve(&decoded);
	return rc == CV_PATH_OK ? encode(&decoded, ret) : rc;
}
