/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.c - libyaml's events, filtered
 *
 * YAML can do more than a policy should: aliases make a document mean more than it shows (and a
 * few of them make it exponentially large), tags choose types, merge keys hide where a value
 * comes from.  All of these are findings here, so that nothing above ever sees them.  Bytes are
 * looked at first, since libyaml would also accept UTF-16.
 */
#include "policy/yaml_events.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const type_names[CV_YAML_TYPE_COUNT] = {
	[CV_YAML_NULL] = "nothing",
	[CV_YAML_BOOL] = "true or false",
	[CV_YAML_NUMBER] = "a number",
	[CV_YAML_STRING] = "a string",
	[CV_YAML_LIST] = "a list",
	[CV_YAML_MAPPING] = "a mapping",
};

const char *cv_yaml_type_name(enum cv_yaml_type type)
{
	cv_assert(type < CV_YAML_TYPE_COUNT);
	return type_names[type];
}

static struct cv_policy_pos pos_of(yaml_mark_t mark)
{
	return (struct cv_policy_pos){ (uint32_t)mark.line + 1, (uint32_t)mark.column + 1 };
}

struct cv_policy_pos cv_yaml_pos(const struct cv_yaml *y)
{
	return pos_of(y->ev.start_mark);
}

struct cv_str cv_yaml_scalar(const struct cv_yaml *y)
{
	cv_assert(y->ev.type == YAML_SCALAR_EVENT);
	return (struct cv_str){ (const char *)y->ev.data.scalar.value, y->ev.data.scalar.length };
}

static bool is_one_of(struct cv_str s, const char *const words[], size_t n)
{
	if (s.n > strlen("false")) /* the longest of them; this is asked for every scalar */
		return false;
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(s, cv_str_of(words[i])))
			return true;
	return false;
}

static bool is_number(struct cv_str s)
{
	const size_t sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
	size_t digits = 0;

	for (size_t i = sign; i < s.n; i++) {
		if (s.p[i] >= '0' && s.p[i] <= '9')
			digits++;
		else if (s.p[i] != '.')
			return false;
	}
	return digits > 0;
}

enum cv_yaml_type cv_yaml_type(const struct cv_yaml *y)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	static const char *const bools[] = { "true", "True", "TRUE", "false", "False", "FALSE" };

	if (y->ev.type == YAML_SEQUENCE_START_EVENT)
		return CV_YAML_LIST;
	if (y->ev.type == YAML_MAPPING_START_EVENT)
		return CV_YAML_MAPPING;
	const struct cv_str s = cv_yaml_scalar(y);
	if (y->ev.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return CV_YAML_STRING;
	if (is_one_of(s, nulls, CV_ARRAY_LEN(nulls)))
		return CV_YAML_NULL;
	if (is_one_of(s, bools, CV_ARRAY_LEN(bools)))
		return CV_YAML_BOOL;
	return is_number(s) ? CV_YAML_NUMBER : CV_YAML_STRING;
}

/* Bytes of the line break that s begins with, as YAML 1.1 counts lines, or 0. */
static size_t line_break(struct cv_str s)
{
	static const struct cv_str breaks[] = { { "\r\n", 2 }, { "\n", 1 }, { "\r", 1 },
		{ "\xc2\x85", 2 }, { "\xe2\x80\xa8", 3 }, { "\xe2\x80\xa9", 3 } };

	for (size_t i = 0; i < CV_ARRAY_LEN(breaks); i++)
		if (cv_str_has_prefix(s, breaks[i]))
			return breaks[i].n;
	return 0;
}

static struct cv_policy_pos pos_at(struct cv_str text, size_t offset)
{
	struct cv_policy_pos pos = { 1, 1 };

	for (size_t i = 0; i < offset && i < text.n;) {
		const unsigned char c = (unsigned char)text.p[i];
		const bool may_break = c == '\r' || c == '\n' || c == 0xc2 || c == 0xe2;
		const size_t n = may_break ? line_break(cv_str_slice(text, i, text.n)) : 0;

		if (n)
			pos = (struct cv_policy_pos){ pos.line + 1, 1 };
		else if ((c & 0xc0) != 0x80)
			pos.column++; /* code points, as libyaml counts */
		i += n ? n : 1;
	}
	return pos;
}

/* The first byte that no policy may hold, or text.n. */
static size_t bad_byte(struct cv_str text)
{
	for (size_t i = 0; i < text.n;) {
		const unsigned char c = (unsigned char)text.p[i];
		const size_t step = c < 0x80 ? 1 : cv_utf8_step(cv_str_slice(text, i, text.n));

		if (!step || c == 0x7f || (c < 0x20 && c != '\n' && c != '\t' && c != '\r'))
			return i;
		i += step;
	}
	return text.n;
}

static bool bytes_are_fine(struct cv_str text, const char *noun, struct cv_findings *f)
{
	if (text.n > CV_POLICY_FILE_BYTES_MAX) {
		cv_findings_add(f, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 }, CV_STR_NONE,
			"split it, or use host patterns", "a %s of %zu bytes; at most %u are read",
			noun, text.n, CV_POLICY_FILE_BYTES_MAX);
		return false;
	}
	const size_t at = bad_byte(text);
	if (at == text.n)
		return true;
	char fix[96];

	snprintf(fix, sizeof(fix), "a %s is UTF-8 text without control characters", noun);
	const unsigned char c = (unsigned char)text.p[at];
	cv_findings_add(f, CV_FINDING_ERROR, pos_at(text, at), CV_STR_NONE, fix, "%s 0x%02x",
		c == 0     ? "NUL byte"
		: c < 0x80 ? "control character"
			   : "not UTF-8: byte",
		c);
	return false;
}

/* ---- JSON's surrogate pairs ---- */

static bool hex4(struct cv_str s, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		const char c = i < s.n ? cv_ascii_lower(s.p[i]) : ' ';

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	return true;
}

/* s begins with an escaped pair, the JSON way to write what is beyond 16 bits: its code point. */
static bool surrogates(struct cv_str s, uint32_t *ret)
{
	uint32_t high, low;

	if (s.n < 12 || s.p[1] != 'u' || s.p[6] != '\\' || s.p[7] != 'u' ||
		!hex4(cv_str_slice(s, 2, 6), &high) || !hex4(cv_str_slice(s, 8, 12), &low) ||
		high < 0xd800 || high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return false;
	*ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

/* libyaml knows \\U00012345 and refuses JSON's pairs: they are written anew, in a copy.  What is
 * behind one on its line moves by two columns.  Only a text that is JSON (its first character is a
 * brace) is touched, since a backslash in YAML may be just that.  False: out of memory. */
static bool json_rewrite(struct cv_yaml *y)
{
	size_t from = 0, n = 0;
	uint32_t c;

	while (from < y->text.n && strchr(" \t\r\n", y->text.p[from]))
		from++;
	if (from == y->text.n || y->text.p[from] != '{' || !memmem(y->text.p, y->text.n, "\\ud", 3))
		return true;
	y->rewritten = malloc(y->text.n + 1);
	if (!y->rewritten)
		return false;
	for (size_t i = 0; i < y->text.n; n++) {
		const struct cv_str rest = cv_str_slice(y->text, i, y->text.n);
		const bool is_escape = rest.p[0] == '\\' && rest.n > 1;

		if (is_escape && surrogates(rest, &c)) {
			n += (size_t)snprintf(y->rewritten + n, 11, "\\U%08x", c) - 1;
			i += 12;
			continue;
		}
		y->rewritten[n] = rest.p[0];
		if (is_escape) /* both of them: the second may be a backslash too */
			y->rewritten[++n] = rest.p[1];
		i += is_escape ? 2 : 1;
	}
	y->text = (struct cv_str){ y->rewritten, n };
	return true;
}

bool cv_yaml_open(
	struct cv_yaml *y, struct cv_str text, const char *noun, struct cv_findings *findings)
{
	*y = (struct cv_yaml){ .findings = findings, .text = text, .noun = noun };
	if (!bytes_are_fine(text, noun, findings))
		return false;
	if (cv_str_has_prefix(text, CV_STR("\xef\xbb\xbf")))
		y->text = cv_str_slice(text, 3, text.n); /* a byte order mark says nothing */
	if (!json_rewrite(y) || !yaml_parser_initialize(&y->parser)) {
		free(y->rewritten);
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, NULL, "out of memory");
		return false;
	}
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)y->text.p, y->text.n);
	return true;
}

/* libyaml ends each text with a line break of its own; no place is said to be behind it. */
static void places_within_text(struct cv_yaml *y)
{
	const struct cv_policy_pos end = pos_at(y->text, y->text.n);

	for (size_t i = 0; i < y->findings->n; i++)
		if (y->findings->v[i].pos.line > end.line)
			y->findings->v[i].pos = end;
}

void cv_yaml_close(struct cv_yaml *y)
{
	if (y->findings->n)
		places_within_text(y);
	yaml_event_delete(&y->ev);
	yaml_parser_delete(&y->parser);
	free(y->rewritten);
}

static void refuse(struct cv_yaml *y, const char *fix, const char *what)
{
	cv_findings_add(
		y->findings, CV_FINDING_ERROR, cv_yaml_pos(y), CV_STR_NONE, fix, "%s", what);
}

/* libyaml's words, where they do not tell the author what to do. */
static const struct {
	const char *problem, *fix;
} syntax_fixes[] = {
	{ "found character that cannot start any token",
		"indent with spaces, and quote values that begin with @, ` or %" },
	{ "mapping values are not allowed in this context",
		"check the indentation, and quote values that contain ': '" },
	{ "did not find expected key", "check the indentation of this line and the one before" },
	{ "did not find expected '-' indicator", "check the indentation of this list" },
	{ "could not find expected ':'", "write \"key: value\" with a space after the colon" },
	{ "did not find expected alphabetic or numeric character",
		"quote values that begin with * or &" },
};

static void syntax_error(struct cv_yaml *y)
{
	const yaml_parser_t *p = &y->parser;
	const char *problem = p->problem ? p->problem : "out of memory", *fix = NULL;
	const bool is_reader = p->error == YAML_READER_ERROR;
	const struct cv_policy_pos pos =
		is_reader ? pos_at(y->text, p->problem_offset) : pos_of(p->problem_mark);

	for (size_t i = 0; i < CV_ARRAY_LEN(syntax_fixes); i++)
		if (!strcmp(problem, syntax_fixes[i].problem))
			fix = syntax_fixes[i].fix;
	if (p->context && !is_reader)
		cv_findings_add(y->findings, CV_FINDING_ERROR, pos, CV_STR_NONE, fix,
			"not YAML: %s (%s that begins at line %zu)", problem, p->context,
			p->context_mark.line + 1);
	else
		cv_findings_add(y->findings, CV_FINDING_ERROR, pos, CV_STR_NONE, fix,
			"not YAML: %s", problem);
}

static bool stop(struct cv_yaml *y)
{
	yaml_event_delete(&y->ev);
	y->has_failed = true;
	return false;
}

/* An alias is reported and then read as an empty value, so that reading may go on. */
static bool alias_to_null(struct cv_yaml *y)
{
	const yaml_mark_t start = y->ev.start_mark, end = y->ev.end_mark;

	refuse(y, "write the value out", "aliases (*name) are not accepted");
	yaml_event_delete(&y->ev);
	if (!yaml_scalar_event_initialize(
		    &y->ev, NULL, NULL, (const yaml_char_t *)"", 0, 1, 1, YAML_PLAIN_SCALAR_STYLE))
		return stop(y);
	y->ev.start_mark = start;
	y->ev.end_mark = end;
	return true;
}

static void check_properties(struct cv_yaml *y, const void *anchor, const void *tag)
{
	if (anchor)
		refuse(y, "remove it", "anchors (&name) are not accepted");
	if (tag)
		refuse(y, "remove it", "tags (!name) are not accepted");
}

static bool open_collection(struct cv_yaml *y)
{
	if (++y->depth <= CV_POLICY_DEPTH_MAX)
		return true;
	cv_findings_add(y->findings, CV_FINDING_ERROR, cv_yaml_pos(y), CV_STR_NONE, NULL,
		"nested more than %d deep", CV_POLICY_DEPTH_MAX);
	return stop(y);
}

bool cv_yaml_next(struct cv_yaml *y)
{
	if (y->has_failed)
		return false;
	yaml_event_delete(&y->ev);
	if (!yaml_parser_parse(&y->parser, &y->ev)) {
		syntax_error(y);
		return stop(y);
	}
	switch (y->ev.type) {
	case YAML_ALIAS_EVENT: return alias_to_null(y);
	case YAML_SCALAR_EVENT:
		check_properties(y, y->ev.data.scalar.anchor, y->ev.data.scalar.tag);
		return true;
	case YAML_SEQUENCE_START_EVENT:
		check_properties(
			y, y->ev.data.sequence_start.anchor, y->ev.data.sequence_start.tag);
		return open_collection(y);
	case YAML_MAPPING_START_EVENT:
		check_properties(y, y->ev.data.mapping_start.anchor, y->ev.data.mapping_start.tag);
		return open_collection(y);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: y->depth--; return true;
	case YAML_STREAM_END_EVENT: return stop(y);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT: return true;
	}
	cv_unreachable();
}

void cv_yaml_skip(struct cv_yaml *y)
{
	const bool is_collection =
		y->ev.type == YAML_SEQUENCE_START_EVENT || y->ev.type == YAML_MAPPING_START_EVENT;
	const unsigned outside = y->depth - 1;

	if (is_collection)
		while (y->depth > outside && cv_yaml_next(y))
			;
}
