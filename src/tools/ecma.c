/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ecma.c - see ecma.h
 *
 * One pass over the text: at each place a unit (escape, class, group's beginning, repetition,
 * character) is recognised and written.  Whether groups and ranges make sense is left to PCRE2;
 * this file only sees to it that what PCRE2 reads is what ECMA 262 would have read.
 */
#include "tools/ecma.h"

#include "base/utf8.h"
#include "tools/limits_schema.h"

/* What ECMA 262 calls white space and ends of lines, and the complement, within brackets. */
#define SPACES                                                                                  \
	"\\x09-\\x0d\\x20\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}" \
	"\\x{3000}\\x{feff}"
#define NO_SPACES                                                                      \
	"\\x00-\\x08\\x0e-\\x1f\\x21-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}"          \
	"\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}" \
	"\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}"

struct ecma {
	struct cv_str text;
	size_t at;
	struct cv_buf *out;
	struct cv_err *err;
	bool is_class;   /* within brackets */
	bool can_repeat; /* what came last is something that a repetition may follow */
};

static cv_code refuse(struct ecma *e, const char *what)
{
	return cv_fail(e->err, CV_INVALID, "%s at character %zu", what, e->at + 1);
}

static char peek(const struct ecma *e, size_t ahead)
{
	return e->at + ahead < e->text.n ? e->text.p[e->at + ahead] : 0;
}

static bool is_next(const struct ecma *e, const char *z)
{
	return cv_str_has_prefix(cv_str_slice(e->text, e->at, e->text.n), cv_str_of(z));
}

static bool is_letter(char c)
{
	return cv_ascii_lower(c) >= 'a' && cv_ascii_lower(c) <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Writes z for the next n bytes. */
static cv_code put(struct ecma *e, size_t n, struct cv_str z)
{
	cv_buf_put(e->out, z);
	e->at += n;
	return CV_OK;
}

static cv_code copy(struct ecma *e, size_t n)
{
	return put(e, n, cv_str_slice(e->text, e->at, e->at + n));
}

/* ---- escapes ---- */

/* Hex digits from `ahead` on: exactly n, or with n 0 as many as there are before '}'. */
static bool hex_read(const struct ecma *e, size_t ahead, size_t n, uint32_t *ret, size_t *ret_n)
{
	uint32_t v = 0;
	size_t i = 0;

	for (; (!n || i < n) && v <= 0x10ffff; i++) {
		const char c = cv_ascii_lower(peek(e, ahead + i));

		if (is_digit(c))
			v = v * 16 + (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (uint32_t)(c - 'a' + 10);
		else
			break;
	}
	*ret = v;
	*ret_n = i;
	return i > 0 && (!n || i == n) && v <= 0x10ffff;
}

static cv_code point_put(struct ecma *e, size_t n, uint32_t cp)
{
	if (cp >= 0xd800 && cp <= 0xdfff)
		return refuse(e, "half of a surrogate pair");
	cv_buf_printf(e->out, "\\x{%x}", cp);
	e->at += n;
	return CV_OK;
}

/* \uXXXX, a pair of them, \u{X}, \xXX */
static cv_code code_escape(struct ecma *e)
{
	uint32_t cp, low;
	size_t n;

	if (peek(e, 1) == 'x')
		return hex_read(e, 2, 2, &cp, &n) ? point_put(e, 4, cp)
						  : refuse(e, "malformed \\x");
	if (peek(e, 2) == '{') {
		if (!hex_read(e, 3, 0, &cp, &n) || peek(e, 3 + n) != '}')
			return refuse(e, "malformed \\u{}");
		return point_put(e, 4 + n, cp);
	}
	if (!hex_read(e, 2, 4, &cp, &n))
		return refuse(e, "malformed \\u");
	if (cp >= 0xd800 && cp <= 0xdbff && peek(e, 6) == '\\' && peek(e, 7) == 'u' &&
		hex_read(e, 8, 4, &low, &n) && low >= 0xdc00 && low <= 0xdfff)
		return point_put(e, 12, 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00));
	return point_put(e, 6, cp);
}

/* PCRE2 knows general categories by their short names only. */
static struct cv_str category(struct cv_str name)
{
	static const struct {
		const char *name, *is;
	} row[] = { { "Letter", "L" }, { "Cased_Letter", "L&" }, { "LC", "L&" },
		{ "Uppercase_Letter", "Lu" }, { "Lowercase_Letter", "Ll" },
		{ "Titlecase_Letter", "Lt" }, { "Modifier_Letter", "Lm" }, { "Other_Letter", "Lo" },
		{ "Mark", "M" }, { "Combining_Mark", "M" }, { "Nonspacing_Mark", "Mn" },
		{ "Spacing_Mark", "Mc" }, { "Enclosing_Mark", "Me" }, { "Number", "N" },
		{ "Decimal_Number", "Nd" }, { "digit", "Nd" }, { "Letter_Number", "Nl" },
		{ "Other_Number", "No" }, { "Punctuation", "P" }, { "punct", "P" },
		{ "Connector_Punctuation", "Pc" }, { "Dash_Punctuation", "Pd" },
		{ "Open_Punctuation", "Ps" }, { "Close_Punctuation", "Pe" },
		{ "Initial_Punctuation", "Pi" }, { "Final_Punctuation", "Pf" },
		{ "Other_Punctuation", "Po" }, { "Symbol", "S" }, { "Math_Symbol", "Sm" },
		{ "Currency_Symbol", "Sc" }, { "Modifier_Symbol", "Sk" }, { "Other_Symbol", "So" },
		{ "Separator", "Z" }, { "Space_Separator", "Zs" }, { "Line_Separator", "Zl" },
		{ "Paragraph_Separator", "Zp" }, { "Other", "C" }, { "Control", "Cc" },
		{ "cntrl", "Cc" }, { "Format", "Cf" }, { "Surrogate", "Cs" },
		{ "Private_Use", "Co" }, { "Unassigned", "Cn" } };

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_str_eq(name, cv_str_of(row[i].name)))
			return cv_str_of(row[i].is);
	return name;
}

static cv_code property(struct ecma *e)
{
	static const struct {
		const char *key, *is;
	} row[] = { { "General_Category", "" }, { "gc", "" }, { "Script", "sc:" }, { "sc", "sc:" },
		{ "Script_Extensions", "scx:" }, { "scx", "scx:" } };
	const struct cv_str rest = cv_str_slice(e->text, e->at + 3, e->text.n);
	const size_t n = cv_str_find_byte(rest, '}');
	struct cv_str name = cv_str_slice(rest, 0, n), kind = CV_STR_NONE;

	if (peek(e, 2) != '{' || !n || n == rest.n)
		return refuse(e, "malformed \\p{}");
	for (size_t i = 0; i < name.n; i++)
		if (!is_letter(name.p[i]) && !is_digit(name.p[i]) && name.p[i] != '_' &&
			name.p[i] != '=')
			return refuse(e, "malformed \\p{}");
	if (cv_str_has_byte(name, '=')) {
		const struct cv_str key = cv_str_cut(&name, '=');
		size_t i = 0;

		while (i < CV_ARRAY_LEN(row) && !cv_str_eq(key, cv_str_of(row[i].key)))
			i++;
		if (i == CV_ARRAY_LEN(row))
			return refuse(e, "unknown property");
		kind = cv_str_of(row[i].is);
	}
	name = category(name);
	cv_buf_printf(e->out, "\\%c{%.*s%.*s}", peek(e, 1), CV_STR_ARG(kind), CV_STR_ARG(name));
	e->at += 4 + n;
	return CV_OK;
}

/* \1 to \99, \k<name> */
static cv_code reference(struct ecma *e)
{
	size_t n = 1;

	if (e->is_class)
		return refuse(e, "reference within brackets");
	if (peek(e, 1) == 'k') {
		const struct cv_str rest = cv_str_slice(e->text, e->at, e->text.n);

		if (peek(e, 2) != '<' || !cv_str_has_byte(rest, '>'))
			return refuse(e, "malformed \\k");
		return copy(e, cv_str_find_byte(rest, '>') + 1);
	}
	while (is_digit(peek(e, 1 + n)) && n < 4)
		n++;
	cv_buf_printf(e->out, "\\g{%.*s}", (int)n, e->text.p + e->at + 1);
	e->at += 1 + n;
	return CV_OK;
}

static cv_code escape(struct ecma *e)
{
	const char c = peek(e, 1);

	e->can_repeat = true;
	switch (c) {
	case 0: return refuse(e, "escape of nothing");
	case 's': return put(e, 2, e->is_class ? CV_STR(SPACES) : CV_STR("[" SPACES "]"));
	case 'S': return put(e, 2, e->is_class ? CV_STR(NO_SPACES) : CV_STR("[^" SPACES "]"));
	case 'u':
	case 'x': return code_escape(e);
	case 'p':
	case 'P': return property(e);
	case '0':
		return is_digit(peek(e, 2)) ? refuse(e, "octal escape")
					    : put(e, 2, CV_STR("\\x00"));
	case 'c':
		if (!is_letter(peek(e, 2)))
			return refuse(e, "malformed \\c");
		return point_put(e, 3, (uint32_t)peek(e, 2) & 31);
	case 'B':
		if (e->is_class)
			return refuse(e, "\\B within brackets");
		return copy(e, 2);
	case 'v': return put(e, 2, CV_STR("\\x0b"));
	case '-': return put(e, 2, CV_STR("\\-"));
	default: break;
	}
	if (c == 'k' || is_digit(c))
		return reference(e);
	if (c & 0x80) /* not of ECMA 262 with u, but its sense is plain */
		return put(e, 1, CV_STR_NONE);
	if (is_letter(c) && !cv_str_has_byte(CV_STR("dDwWbfnrt"), c))
		return refuse(e, "escape that ECMA 262 does not have");
	return copy(e, 2);
}

/* ---- brackets, groups, repetition ---- */

static cv_code class_read(struct ecma *e)
{
	cv_code code = copy(e, peek(e, 1) == '^' ? 2 : 1);

	e->is_class = true;
	while (code == CV_OK && e->at < e->text.n && peek(e, 0) != ']') {
		if (peek(e, 0) == '\\')
			code = escape(e);
		else if (peek(e, 0) == '[') /* PCRE2 would look for [:alpha:] */
			code = put(e, 1, CV_STR("\\["));
		else
			code = copy(e, 1);
	}
	e->is_class = false;
	if (code != CV_OK)
		return code;
	if (e->at == e->text.n)
		return refuse(e, "missing ]");
	e->can_repeat = true;
	return copy(e, 1);
}

static cv_code group_open(struct ecma *e)
{
	static const char *const kind[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!" };

	e->can_repeat = false;
	if (peek(e, 1) == '*')
		return refuse(e, "nothing to repeat");
	if (peek(e, 1) != '?')
		return copy(e, 1);
	for (size_t i = 0; i < CV_ARRAY_LEN(kind); i++)
		if (is_next(e, kind[i]))
			return copy(e, strlen(kind[i]));
	if (peek(e, 2) == '<' && (is_letter(peek(e, 3)) || peek(e, 3) == '_' || peek(e, 3) == '$'))
		return copy(e, 3);
	return refuse(e, "group that ECMA 262 does not have");
}

/* Bytes of {n}, {n,} or {n,m} here, or 0. */
static size_t braces_bytes(const struct ecma *e)
{
	size_t n = 1;

	while (is_digit(peek(e, n)))
		n++;
	if (n == 1)
		return 0;
	if (peek(e, n) == ',')
		n++;
	while (is_digit(peek(e, n)))
		n++;
	return peek(e, n) == '}' ? n + 1 : 0;
}

static cv_code repetition(struct ecma *e)
{
	const size_t braces = peek(e, 0) == '{' ? braces_bytes(e) : 1;

	if (!braces) { /* what is no repetition is text to browsers, and was meant as that */
		e->can_repeat = true;
		return put(e, 1, CV_STR("\\{"));
	}
	if (!e->can_repeat)
		return refuse(e, "nothing to repeat");
	(void)copy(e, braces);
	if (peek(e, 0) == '?')
		(void)copy(e, 1);
	e->can_repeat = false;
	return CV_OK;
}

static cv_code unit(struct ecma *e)
{
	const char c = peek(e, 0);

	switch (c) {
	case '\\': return escape(e);
	case '[': return class_read(e);
	case '(': return group_open(e);
	case '*':
	case '+':
	case '?':
	case '{': return repetition(e);
	case '.': e->can_repeat = true; return put(e, 1, CV_STR("[^\\n\\r\\x{2028}\\x{2029}]"));
	default: break;
	}
	e->can_repeat = c != '|' && c != '^' && c != '$';
	return copy(e, 1);
}

cv_code cv_ecma_translate(struct cv_str text, struct cv_buf *out, struct cv_err *err)
{
	struct ecma e = { .text = text, .out = out, .err = err };

	if (text.n > CV_ECMA_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "longer than %d bytes", CV_ECMA_BYTES_MAX);
	if (!cv_utf8_is_valid(text) || cv_str_has_byte(text, 0))
		return cv_fail(err, CV_INVALID, "not a text");
	while (e.at < text.n) {
		const cv_code code = unit(&e);

		if (code != CV_OK)
			return code;
	}
	if (out->is_overflown)
		return cv_fail(err, CV_LIMIT, "too long for PCRE2");
	return CV_OK;
}
