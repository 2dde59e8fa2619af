/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_body.c - credentials in place of placeholders, in a body; see rewrite_body.h
 *
 * The scanner looks first, and a body in which it sees nothing is of no further interest, well-formed
 * or not.  Otherwise the body must be what its type says as far as that decides what a placeholder
 * stands in: the readers below know strings, pairs and parts, and leave the rest to the origin.
 */
#include "cred/rewrite_body.h"

#include "wire/json.h"

#include "base/hex.h"
#include "base/utf8.h"
#include "cred/rewrite_int.h"

struct collect_body {
	const struct cv_ph_set *set;
	struct cv_str bytes;
	struct cv_arena *arena;
	struct cv_rewrite_plan *plan;
};

/* Uses in a slice of the body, if there are any. */
static enum cv_rewrite_rc slice_collect(struct collect_body *c, struct cv_str part,
	enum cred_coding coding, enum cv_rewrite_place place)
{
	if (!cv_ph_is_in(c->set, part))
		return CV_REWRITE_OK;
	return rewrite_uses_find(
		c->set, c->plan, part, (size_t)(part.p - c->bytes.p), coding, place, c->arena);
}

/* ---- content type ---- */

/* `name=value` or `name="value"`; CV_STR_NONE when the parameter has another name. */
static struct cv_str param_value(struct cv_str param, struct cv_str name)
{
	const size_t eq = cv_str_find_byte(param, '=');
	struct cv_str v = cv_str_slice(param, eq + 1, param.n);

	if (!cv_str_eq_nocase(cv_str_slice(param, 0, eq), name))
		return CV_STR_NONE;
	if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
		return cv_str_slice(v, 1, v.n - 1);
	return v;
}

static enum cv_rewrite_body_kind kind_of(struct cv_str type)
{
	static const struct {
		const char *type;
		enum cv_rewrite_body_kind kind;
	} row[] = {
		{ "application/json", CV_REWRITE_BODY_JSON },
		{ "text/json", CV_REWRITE_BODY_JSON },
		{ "application/x-www-form-urlencoded", CV_REWRITE_BODY_FORM },
		{ "multipart/form-data", CV_REWRITE_BODY_MULTIPART },
	};
	const struct cv_str json = CV_STR("+json"), text = CV_STR("text/");

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_str_eq_nocase(type, cv_str_of(row[i].type)))
			return row[i].kind;
	if (type.n > json.n && cv_str_eq_nocase(cv_str_slice(type, type.n - json.n, type.n), json))
		return CV_REWRITE_BODY_JSON;
	return cv_str_eq_nocase(cv_str_slice(type, 0, text.n), text) ? CV_REWRITE_BODY_TEXT
								     : CV_REWRITE_BODY_NONE;
}

struct cv_rewrite_body cv_rewrite_body_of(
	struct cv_str content_type, struct cv_str content_encoding)
{
	const struct cv_rewrite_body none = { CV_REWRITE_BODY_NONE, CV_STR_NONE };
	struct cv_str rest = content_type;
	struct cv_rewrite_body body = { .kind = kind_of(cv_str_trim(cv_str_cut(&rest, ';'))) };

	if (content_encoding.n && !cv_str_eq_nocase(content_encoding, CV_STR("identity")))
		return none;
	while (rest.p) { /* neither parameter has a `;` in it, so quotes need no look */
		const struct cv_str param = cv_str_trim(cv_str_cut(&rest, ';'));
		const struct cv_str charset = param_value(param, CV_STR("charset"));
		const struct cv_str boundary = param_value(param, CV_STR("boundary"));

		if (charset.p && !cv_str_eq_nocase(charset, CV_STR("utf-8")) &&
			!cv_str_eq_nocase(charset, CV_STR("us-ascii")))
			return none;
		if (boundary.p && body.boundary.p)
			return none;
		if (boundary.p)
			body.boundary = boundary;
	}
	const bool is_multipart = body.kind == CV_REWRITE_BODY_MULTIPART;
	if (is_multipart && (!body.boundary.n || body.boundary.n > CV_REWRITE_BOUNDARY_BYTES_MAX))
		return none;
	return body;
}

/* ---- JSON ---- */

/* The end of the string that starts behind its quote at `at`: the offset of the closing quote, or
 * SIZE_MAX. */
static size_t json_string_end(struct cv_str s, size_t at)
{
	unsigned char unit[2];

	for (; at < s.n; at++) {
		if (s.p[at] == '"')
			return at;
		if ((unsigned char)s.p[at] < 0x20)
			return SIZE_MAX;
		if (s.p[at] != '\\')
			continue;
		if (++at == s.n)
			return SIZE_MAX;
		if (s.p[at] == 'u') {
			if (!cv_hex_decode(cv_str_slice(s, at + 1, at + 5), unit, sizeof(unit)))
				return SIZE_MAX;
			at += 4;
		} else if (!s.p[at] || !strchr("\"\\/bfnrt", s.p[at])) {
			return SIZE_MAX;
		}
	}
	return SIZE_MAX;
}

static bool is_json_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What may stand between strings: brackets, numbers and the three words. */
static bool is_json_outside(char c)
{
	return is_json_blank(c) || (c && strchr("{}[]:,0123456789+-.eEtrufalsn", c));
}

static enum cv_rewrite_rc json_collect(struct collect_body *c)
{
	const struct cv_str s = c->bytes;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '"') {
			if (!is_json_outside(s.p[i]))
				return CV_REWRITE_BODY_MALFORMED;
			continue;
		}
		const size_t end = json_string_end(s, i + 1);
		if (end == SIZE_MAX)
			return CV_REWRITE_BODY_MALFORMED;
		const struct cv_str inner = cv_str_slice(s, i + 1, end);

		for (i = end; i + 1 < s.n && is_json_blank(s.p[i + 1]);)
			i++;
		if (i + 1 < s.n && s.p[i + 1] == ':') {
			if (cv_ph_is_in(c->set, inner))
				return CV_REWRITE_BODY_NAME;
			continue;
		}
		const enum cv_rewrite_rc rc =
			slice_collect(c, inner, CRED_JSON, CV_REWRITE_IN_BODY_JSON);
		if (rc != CV_REWRITE_OK)
			return rc;
	}
	return CV_REWRITE_OK;
}

/* ---- forms and text ---- */

static enum cv_rewrite_rc form_collect(struct collect_body *c)
{
	struct cv_str rest = c->bytes;

	while (rest.p) {
		const struct cv_str pair = cv_str_cut(&rest, '&');
		const size_t eq = cv_str_find_byte(pair, '=');

		if (cv_ph_is_in(c->set, cv_str_slice(pair, 0, eq)))
			return CV_REWRITE_BODY_NAME;
		const enum cv_rewrite_rc rc = slice_collect(
			c, cv_str_slice(pair, eq + 1, pair.n), CRED_FORM, CV_REWRITE_IN_BODY_FORM);
		if (rc != CV_REWRITE_OK)
			return rc;
	}
	return CV_REWRITE_OK;
}

/* ---- multipart ---- */

struct delimiter {
	size_t at, end; /* of CR LF "--" boundary ... CR LF; the first may lack the CR LF */
	bool is_last;
};

/* mark is "\r\n--boundary".  A line that goes on after it is no delimiter. */
static bool delimiter_read(struct cv_str s, size_t at, size_t mark_n, struct delimiter *ret)
{
	size_t end = at + mark_n;
	const bool is_last = cv_str_has_prefix(cv_str_slice(s, end, s.n), CV_STR("--"));

	end += is_last ? 2 : 0;
	while (end < s.n && (s.p[end] == ' ' || s.p[end] == '\t'))
		end++;
	const bool is_line = cv_str_has_prefix(cv_str_slice(s, end, s.n), CV_STR("\r\n"));
	if (!is_line && !(is_last && end == s.n))
		return false;
	/* the CR LF stays: the next delimiter may start with it, an empty header section does */
	*ret = (struct delimiter){ at, end, is_last };
	return true;
}

static bool delimiter_find(struct cv_str s, size_t from, struct cv_str mark, struct delimiter *ret)
{
	/* at the very start the line end in front of it is missing */
	if (from == 0 && cv_str_has_prefix(s, cv_str_slice(mark, 2, mark.n)) &&
		delimiter_read(s, 0, mark.n - 2, ret))
		return true;
	while (from < s.n) {
		const char *p = memmem(s.p + from, s.n - from, mark.p, mark.n);

		if (!p)
			return false;
		if (delimiter_read(s, (size_t)(p - s.p), mark.n, ret))
			return true;
		from = (size_t)(p - s.p) + 1;
	}
	return false;
}

/* part: from behind a delimiter's last byte to the next delimiter, starting with CR LF. */
static enum cv_rewrite_rc part_collect(struct collect_body *c, struct cv_str part)
{
	const struct cv_str blank = CV_STR("\r\n\r\n");
	const char *p = part.n ? memmem(part.p, part.n, blank.p, blank.n) : NULL;

	if (!cv_ph_is_in(c->set, part))
		return CV_REWRITE_OK;
	if (!p)
		return CV_REWRITE_PART_HEADER;
	const size_t at = (size_t)(p - part.p) + blank.n;
	const struct cv_str inner = cv_str_slice(part, at, part.n);
	if (cv_ph_is_in(c->set, cv_str_slice(part, 0, at)))
		return CV_REWRITE_PART_HEADER;
	if (!cv_utf8_is_valid(inner))
		return CV_REWRITE_BODY_UTF8;
	return slice_collect(c, inner, CRED_PLAIN, CV_REWRITE_IN_BODY_TEXT);
}

static enum cv_rewrite_rc multipart_collect(struct collect_body *c, struct cv_str boundary)
{
	char mark_text[4 + CV_REWRITE_BOUNDARY_BYTES_MAX] = "\r\n--";
	const struct cv_str s = c->bytes, mark = { mark_text, 4 + boundary.n };
	struct delimiter d, next;

	memcpy(mark_text + 4, boundary.p, boundary.n);
	if (!delimiter_find(s, 0, mark, &d))
		return CV_REWRITE_BODY_MALFORMED;
	if (cv_ph_is_in(c->set, cv_str_slice(s, 0, d.end)))
		return CV_REWRITE_PART_HEADER;
	for (; !d.is_last; d = next) {
		if (!delimiter_find(s, d.end, mark, &next))
			return CV_REWRITE_BODY_MALFORMED;
		const enum cv_rewrite_rc rc = part_collect(c, cv_str_slice(s, d.end, next.at));
		if (rc != CV_REWRITE_OK)
			return rc;
		if (cv_ph_is_in(c->set, cv_str_slice(s, next.at, next.end)))
			return CV_REWRITE_PART_HEADER;
	}
	return cv_ph_is_in(c->set, cv_str_slice(s, d.end, s.n)) ? CV_REWRITE_PART_HEADER
								: CV_REWRITE_OK;
}

/* ---- all kinds ---- */

static enum cv_rewrite_rc kind_collect(struct collect_body *c, const struct cv_rewrite_body *body)
{
	const bool is_multipart = body->kind == CV_REWRITE_BODY_MULTIPART;

	if (!is_multipart && !cv_utf8_is_valid(c->bytes)) /* files are parts too */
		return CV_REWRITE_BODY_UTF8;
	switch (body->kind) {
	case CV_REWRITE_BODY_JSON: return json_collect(c);
	case CV_REWRITE_BODY_FORM: return form_collect(c);
	case CV_REWRITE_BODY_TEXT:
		return slice_collect(c, c->bytes, CRED_PLAIN, CV_REWRITE_IN_BODY_TEXT);
	case CV_REWRITE_BODY_MULTIPART: return multipart_collect(c, body->boundary);
	case CV_REWRITE_BODY_NONE:
	case CV_REWRITE_BODY_KIND_COUNT: break;
	}
	return CV_REWRITE_BODY_MALFORMED;
}

enum cv_rewrite_rc cv_rewrite_body_collect(const struct cv_ph_set *set,
	const struct cv_rewrite_body *body, struct cv_str bytes, struct cv_arena *arena,
	struct cv_rewrite_plan *ret)
{
	struct collect_body c = { set, bytes, arena, ret };

	ret->count = 0;
	if (bytes.n > CV_REWRITE_BODY_BYTES_MAX)
		return CV_REWRITE_BODY_LONG;
	if (!cv_ph_is_in(set, bytes))
		return CV_REWRITE_OK;
	const enum cv_rewrite_rc rc = kind_collect(&c, body);
	/* what no reader takes for JSON may be read in any way */
	if (rc == CV_REWRITE_OK && body->kind == CV_REWRITE_BODY_JSON &&
		cv_json_check(bytes, NULL) != CV_JSON_PROBLEM_NONE)
		return CV_REWRITE_BODY_MALFORMED;
	if (rc == CV_REWRITE_OK && ret->count == 0)
		return CV_REWRITE_SPLIT; /* over two strings, values or parts */
	return rc;
}

enum cv_rewrite_rc cv_rewrite_body_apply(const struct cv_ph_set *set, struct cv_str bytes,
	const struct cv_rewrite_plan *plan, const struct cv_str *values, struct cv_arena *arena,
	struct cv_str *ret)
{
	const enum cv_rewrite_rc rc = rewrite_values_check(plan, set, values);

	if (rc != CV_REWRITE_OK)
		return rc;
	if (plan->count == 0) {
		*ret = bytes;
		return CV_REWRITE_OK;
	}
	return rewrite_splice(set, bytes, plan->use, plan->count, values, arena, ret);
}

void cv_rewrite_body_wipe(struct cv_str made)
{
	rewrite_wipe(made);
}
