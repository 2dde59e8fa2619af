/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.c - reading templates; see template.h.  What they become is template_fill.c's.
 *
 * One pass over the text.  Parts are collected in an array of CV_TEMPLATE_PARTS_MAX and copied to
 * the arena; texts borrow from the source, so a doubled brace ends one text part and begins the
 * next with the second brace.
 */
#include "tools/template.h"

#include "base/assert.h"
#include "tools/limits.h"

#define NAME_BYTES_MAX 64 /* of an argument or credential: longer ones are mistakes */

struct reader {
	struct cv_str text;
	size_t at;
	enum cv_template_kind kind;
	struct cv_template_part v[CV_TEMPLATE_PARTS_MAX];
	size_t n;
	size_t when, when_at; /* the open {?...}: its part, and where it began */
	bool is_in_when;
	size_t spreads;
	struct cv_err *err;
};

const char *cv_template_rc_text(enum cv_template_rc rc)
{
#define RC_TEXT(name, text) [CV_TEMPLATE_##name] = text,
	static const char *const texts[] = { CV_TEMPLATE_RCS(RC_TEXT) };

	cv_assert(rc < CV_TEMPLATE_RC_COUNT);
	return texts[rc];
}

static bool part_add(struct reader *r, enum cv_template_part_kind kind, struct cv_str s)
{
	if (kind == CV_TEMPLATE_PART_TEXT && !s.n)
		return true;
	if (r->n == CV_TEMPLATE_PARTS_MAX) {
		(void)cv_fail(
			r->err, CV_INVALID, "more than %d places and texts", CV_TEMPLATE_PARTS_MAX);
		return false;
	}
	r->v[r->n++] = (struct cv_template_part){
		.kind = kind,
		.s = s,
		.is_covered = r->is_in_when,
	};
	return true;
}

static bool is_name(struct cv_str s)
{
	if (!s.n || s.n > NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i], low = cv_ascii_lower(c);
		const bool is_letter = (low >= 'a' && low <= 'z') || c == '_';

		if (!is_letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-')))
			return false;
	}
	return true;
}

static bool name_check(struct reader *r, struct cv_str name, const char *what)
{
	if (is_name(name))
		return true;
	(void)cv_fail(r->err, CV_INVALID,
		"'%.*s' is no name of %s; double a brace that is meant as such: {{",
		(int)CV_MIN(name.n, (size_t)NAME_BYTES_MAX), name.p ? name.p : "", what);
	return false;
}

/* ---- places ---- */

static bool add_spread(struct reader *r, struct cv_str name)
{
	const bool may = r->kind == CV_TEMPLATE_WORD || r->kind == CV_TEMPLATE_QUERY ||
			 r->kind == CV_TEMPLATE_PATH;

	if (!name_check(r, name, "an argument"))
		return false;
	if (!may || r->is_in_when || (r->kind == CV_TEMPLATE_WORD && r->spreads)) {
		(void)cv_fail(r->err, CV_INVALID, "{%.*s...} can't stand here; %s",
			CV_STR_ARG(name),
			!may            ? "write {json:...}"
			: r->is_in_when ? "it vanishes by itself when there is no member"
					: "a word has one at most");
		return false;
	}
	r->spreads++;
	return part_add(r, CV_TEMPLATE_PART_SPREAD, name);
}

static bool add_credential(struct reader *r, struct cv_str name)
{
	if (!name_check(r, name, "a credential"))
		return false;
	if (r->kind == CV_TEMPLATE_WORD) {
		(void)cv_fail(r->err, CV_INVALID,
			"a credential in an argv can be read by every process; put it into env");
		return false;
	}
	return part_add(r, CV_TEMPLATE_PART_CREDENTIAL, name);
}

/* {?name: ... what stands inside is read by the main loop, until the brace that closes it. */
static bool when_begin(struct reader *r, size_t open)
{
	const struct cv_str rest = cv_str_slice(r->text, open + 2, r->text.n);
	const size_t colon = cv_str_find_byte(rest, ':');
	const struct cv_str name = cv_str_slice(rest, 0, colon);

	if (r->is_in_when) {
		(void)cv_fail(r->err, CV_INVALID, "a {?...} inside another");
		return false;
	}
	if (colon == rest.n || !is_name(name)) {
		(void)cv_fail(r->err, CV_INVALID, "write {?argument:text}");
		return false;
	}
	if (!part_add(r, CV_TEMPLATE_PART_WHEN, name))
		return false;
	r->when = r->n - 1;
	r->when_at = open;
	r->is_in_when = true;
	r->at = open + 2 + colon + 1;
	return true;
}

/* The reader stands on the opening brace of a place. */
static bool place(struct reader *r)
{
	static const struct cv_str json = { "json:", 5 }, credential = { "credential:", 11 },
				   dots = { "...", 3 };
	const size_t open = r->at;

	if (open + 1 < r->text.n && r->text.p[open + 1] == '?')
		return when_begin(r, open);
	const struct cv_str rest = cv_str_slice(r->text, open + 1, r->text.n);
	const size_t end = cv_str_find_byte(rest, '}');
	const struct cv_str inner = cv_str_slice(rest, 0, end);
	if (end == rest.n) {
		(void)cv_fail(
			r->err, CV_INVALID, "a place that is not closed; write {{ for a brace");
		return false;
	}
	r->at = open + 1 + end + 1;
	if (cv_str_has_prefix(inner, credential))
		return add_credential(r, cv_str_slice(inner, credential.n, inner.n));
	if (cv_str_has_suffix(inner, dots))
		return add_spread(r, cv_str_slice(inner, 0, inner.n - dots.n));
	const bool is_json = cv_str_has_prefix(inner, json);
	const struct cv_str name = is_json ? cv_str_slice(inner, json.n, inner.n) : inner;
	return name_check(r, name, "an argument") &&
	       part_add(r, is_json ? CV_TEMPLATE_PART_JSON : CV_TEMPLATE_PART_ARGUMENT, name);
}

/* ---- the text ---- */

static bool is_doubled(const struct reader *r)
{
	return r->at + 1 < r->text.n && r->text.p[r->at + 1] == r->text.p[r->at];
}

/* The brace closes a {?...}, also where another one follows: "{?a:{b}}". */
static bool when_end(struct reader *r)
{
	if (!r->is_in_when) {
		(void)cv_fail(
			r->err, CV_INVALID, "a brace that closes nothing; write }} for a brace");
		return false;
	}
	r->v[r->when].covers = (uint32_t)(r->n - r->when - 1);
	r->is_in_when = false;
	r->at++;
	return true;
}

static bool brace(struct reader *r)
{
	const bool is_close = r->text.p[r->at] == '}';

	if (is_doubled(r) && !(is_close && r->is_in_when)) {
		const bool is_good =
			part_add(r, CV_TEMPLATE_PART_TEXT, cv_str_slice(r->text, r->at, r->at + 1));

		r->at += 2;
		return is_good;
	}
	return is_close ? when_end(r) : place(r);
}

static bool read_all(struct reader *r)
{
	while (r->at < r->text.n) {
		const size_t from = r->at;

		while (r->at < r->text.n && r->text.p[r->at] != '{' && r->text.p[r->at] != '}')
			r->at++;
		if (!part_add(r, CV_TEMPLATE_PART_TEXT, cv_str_slice(r->text, from, r->at)))
			return false;
		if (r->at < r->text.n && !brace(r))
			return false;
	}
	if (!r->is_in_when)
		return true;
	r->at = r->when_at;
	(void)cv_fail(r->err, CV_INVALID, "a {?...} that is not closed");
	return false;
}

static cv_code keep(const struct reader *r, struct cv_arena *arena, const struct cv_template **ret)
{
	struct cv_template *t = cv_arena_new(arena, struct cv_template);
	struct cv_template_part *v = r->n ? cv_arena_array(arena, r->n, sizeof(*v)) : NULL;

	if (!t || (r->n && !v))
		return cv_fail(r->err, CV_LIMIT, "out of memory for templates");
	*t = (struct cv_template){ .kind = r->kind, .source = r->text, .v = v, .n = r->n };
	t->is_literal = true;
	for (size_t i = 0; i < r->n; i++) {
		v[i] = r->v[i];
		t->is_literal = t->is_literal && v[i].kind == CV_TEMPLATE_PART_TEXT;
	}
	*ret = t;
	return CV_OK;
}

cv_code cv_template_compile(struct cv_str text, enum cv_template_kind kind, struct cv_arena *arena,
	const struct cv_template **ret, size_t *ret_at, struct cv_err *err)
{
	struct reader r;

	cv_assert(kind < CV_TEMPLATE_KIND_COUNT);
	r.text = text;
	r.kind = kind;
	r.at = r.n = r.when = r.when_at = r.spreads = 0;
	r.is_in_when = false;
	r.err = err;
	if (ret_at)
		*ret_at = 0;
	if (text.n > CV_TEMPLATE_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "a template of %zu bytes; at most %d", text.n,
			CV_TEMPLATE_BYTES_MAX);
	if (cv_str_has_byte(text, '\0'))
		return cv_fail(err, CV_INVALID, "a NUL");
	if (!read_all(&r)) {
		if (ret_at)
			*ret_at = r.at;
		return CV_INVALID;
	}
	return keep(&r, arena, ret);
}
