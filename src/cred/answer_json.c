/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_json.c - see answer_json.h
 *
 * One pass without recursion: a bit per level says whether it is an object or an array.  A failure
 * is remembered in the reader, which then stands still, so that the steps need no ladders.
 */
#include "cred/answer_json.h"

#include "base/hex.h"
#include "base/utf8.h"

struct reader {
	struct cv_str rest;
	struct cv_arena *arena;
	const char *failure; /* the first; NULL while all is well */
};

static void flunk(struct reader *r, const char *why)
{
	if (!r->failure)
		r->failure = why;
	r->rest = CV_STR_NONE;
}

static void advance(struct reader *r, size_t n)
{
	r->rest = cv_str_slice(r->rest, n, r->rest.n);
}

static int peek(struct reader *r)
{
	while (r->rest.n && (r->rest.p[0] == ' ' || r->rest.p[0] == '\t' || r->rest.p[0] == '\n' ||
				    r->rest.p[0] == '\r'))
		advance(r, 1);
	return r->rest.n ? (unsigned char)r->rest.p[0] : -1;
}

static bool take(struct reader *r, char c)
{
	if (peek(r) != c)
		return false;
	advance(r, 1);
	return true;
}

static void expect(struct reader *r, char c)
{
	if (!take(r, c))
		flunk(r, "a bracket, colon or comma is missing");
}

/* ---- strings ---- */

static size_t utf8_put(char *out, uint32_t cp)
{
	if (cp < 0x80)
		return out[0] = (char)cp, 1;
	if (cp < 0x800)
		return out[0] = (char)(0xc0 | cp >> 6), out[1] = (char)(0x80 | (cp & 63)), 2;
	if (cp < 0x10000)
		return out[0] = (char)(0xe0 | cp >> 12), out[1] = (char)(0x80 | (cp >> 6 & 63)),
		       out[2] = (char)(0x80 | (cp & 63)), 3;
	return out[0] = (char)(0xf0 | cp >> 18), out[1] = (char)(0x80 | (cp >> 12 & 63)),
	       out[2] = (char)(0x80 | (cp >> 6 & 63)), out[3] = (char)(0x80 | (cp & 63)), 4;
}

/* Four digits of \uXXXX, whose \u has been read. */
static uint32_t hex4(struct reader *r)
{
	unsigned char b[2] = { 0, 0 };

	if (!cv_hex_decode(cv_str_slice(r->rest, 0, 4), b, 2))
		flunk(r, "a \\u escape is malformed");
	else
		advance(r, 4);
	return (uint32_t)b[0] << 8 | b[1];
}

static uint32_t escaped_code_point(struct reader *r)
{
	const uint32_t high = hex4(r);

	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high < 0xdc00 && cv_str_has_prefix(r->rest, CV_STR("\\u"))) {
		advance(r, 2);
		const uint32_t low = hex4(r);

		if (low >= 0xdc00 && low <= 0xdfff)
			return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	flunk(r, "half a surrogate pair");
	return 0;
}

static size_t escape_put(struct reader *r, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char c = r->rest.n ? r->rest.p[0] : 0;

	advance(r, 1);
	if (c == 'u')
		return utf8_put(out, escaped_code_point(r));
	for (size_t i = 0; i < sizeof(from) - 1; i++)
		if (from[i] == c)
			return out[0] = to[i], 1;
	flunk(r, "an unknown escape");
	return 0;
}

/* The opening quote is next.  No decoded text is longer than its source. */
static struct cv_str string(struct reader *r)
{
	size_t bytes = 0, n = 0;

	expect(r, '"');
	while (bytes < r->rest.n && r->rest.p[bytes] != '"')
		bytes += r->rest.p[bytes] == '\\' ? 2 : 1;
	char *const out = cv_arena_alloc(r->arena, bytes + 1);
	if (!out)
		flunk(r, "too large");
	while (r->rest.n && r->rest.p[0] != '"') {
		if (r->rest.p[0] == '\\') {
			advance(r, 1);
			n += escape_put(r, out + n);
			continue;
		}
		const size_t step = (unsigned char)r->rest.p[0] < 0x20 ? 0 : cv_utf8_step(r->rest);
		if (!step) {
			flunk(r, "a string has a control byte or is not UTF-8");
			break;
		}
		memcpy(out + n, r->rest.p, step);
		n += step;
		advance(r, step);
	}
	expect(r, '"');
	return (struct cv_str){ out, out ? n : 0 };
}

/* ---- other values ---- */

static size_t digits(struct cv_str s, size_t at)
{
	while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
		at++;
	return at;
}

static struct cv_str number(struct reader *r)
{
	const struct cv_str s = r->rest;
	size_t at = s.n && s.p[0] == '-' ? 1 : 0;
	const size_t whole = at;
	bool is_bad;

	at = digits(s, at);
	is_bad = at == whole || (s.p[whole] == '0' && at > whole + 1);
	if (at < s.n && s.p[at] == '.') {
		const size_t from = ++at;
		at = digits(s, at);
		is_bad |= at == from;
	}
	if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
		at++;
		if (at < s.n && (s.p[at] == '+' || s.p[at] == '-'))
			at++;
		const size_t from = at;
		at = digits(s, at);
		is_bad |= at == from;
	}
	if (is_bad)
		flunk(r, "a value is malformed");
	else
		advance(r, at);
	return cv_str_slice(s, 0, at);
}

static enum cv_json_type scalar(struct reader *r, struct cv_str *ret)
{
	static const struct {
		const char *word;
		enum cv_json_type type;
	} words[] = { { "true", CV_JSON_TRUE }, { "false", CV_JSON_FALSE },
		{ "null", CV_JSON_NULL } };

	if (peek(r) == '"') {
		*ret = string(r);
		return CV_JSON_STRING;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(words); i++) {
		const struct cv_str word = cv_str_of(words[i].word);

		if (cv_str_has_prefix(r->rest, word)) {
			*ret = word;
			advance(r, word.n);
			return words[i].type;
		}
	}
	*ret = number(r);
	return CV_JSON_NUMBER;
}

/* A nested object or array: checked, not kept.  Names that stand twice in it are not sought. */
static void nested(struct reader *r)
{
	uint32_t is_object = 0; /* bit of a level: object, not array */
	size_t depth = 0;
	struct cv_str ignored;
	bool is_value_done;

	do {
		const int c = peek(r);

		if (c == '{' || c == '[') {
			advance(r, 1);
			if (++depth >= CV_ANSWER_DEPTH_MAX) {
				flunk(r, "nested too deep");
				return;
			}
			is_object = c == '{' ? is_object | 1u << depth : is_object & ~(1u << depth);
			is_value_done = peek(r) == (c == '{' ? '}' : ']');
		} else {
			scalar(r, &ignored);
			is_value_done = true;
		}
		if (is_value_done) {
			while (depth && take(r, is_object & 1u << depth ? '}' : ']'))
				depth--;
			if (depth)
				expect(r, ',');
		}
		if (depth && is_object & 1u << depth) {
			peek(r);
			string(r);
			expect(r, ':');
		}
	} while (depth && !r->failure);
}

static void member(struct reader *r, struct cv_json_object *o)
{
	struct cv_json_member m = { .name = (peek(r), string(r)) };

	expect(r, ':');
	for (size_t i = 0; i < o->count; i++)
		if (cv_str_eq(o->members[i].name, m.name))
			flunk(r, "a name stands twice");
	const int c = peek(r);
	if (c == '{' || c == '[') {
		const struct cv_str from = r->rest;

		nested(r);
		m.type = c == '{' ? CV_JSON_OBJECT : CV_JSON_ARRAY;
		m.text = cv_str_slice(from, 0, from.n - r->rest.n);
	} else {
		m.type = scalar(r, &m.text);
	}
	if (o->count == CV_JSON_MEMBERS_MAX)
		flunk(r, "too many members");
	else
		o->members[o->count++] = m;
}

cv_code cv_json_object_parse(
	struct cv_str text, struct cv_arena *arena, struct cv_json_object *ret, struct cv_err *err)
{
	struct reader r = { .rest = text, .arena = arena };

	ret->count = 0;
	expect(&r, '{');
	if (peek(&r) != '}')
		do
			member(&r, ret);
		while (take(&r, ',') && !r.failure);
	expect(&r, '}');
	if (!r.failure && peek(&r) >= 0)
		flunk(&r, "something stands behind the object");
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "JSON: too large");
	return r.failure ? cv_fail(err, CV_PROTO, "JSON: %s", r.failure) : CV_OK;
}

/* ---- members ---- */

struct cv_json_member cv_json_get(const struct cv_json_object *o, struct cv_str name)
{
	for (size_t i = 0; i < o->count; i++)
		if (cv_str_eq(o->members[i].name, name))
			return o->members[i];
	return (struct cv_json_member){ .type = CV_JSON_NONE };
}

struct cv_str cv_json_get_string(const struct cv_json_object *o, struct cv_str name)
{
	const struct cv_json_member m = cv_json_get(o, name);

	return m.type == CV_JSON_STRING ? m.text : CV_STR_NONE;
}

bool cv_json_get_u64(
	const struct cv_json_object *o, struct cv_str name, uint64_t max, uint64_t *ret)
{
	const struct cv_json_member m = cv_json_get(o, name);

	return (m.type == CV_JSON_STRING || m.type == CV_JSON_NUMBER) &&
	       cv_str_to_u64(m.text, max, ret);
}
