/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sts_xml.c - see sts_xml.h
 *
 * A stack of names says where the reader is; a table of paths says which text is kept.  End tags
 * must match, so that a path means the same to us and to any other reader.
 */
#include "cred/sts_xml.h"

#include "cred/limits_refresh.h"

struct reader {
	struct cv_str rest;
	struct cv_str path[CV_XML_DEPTH_MAX];
	size_t depth;
	const char *failure;
};

/* Where a text is, from the root; NULL ends. */
static const struct {
	size_t field; /* offset in struct cv_sts_answer */
	const char *path[5];
} wanted[] = {
#define FIELD(f)    offsetof(struct cv_sts_answer, f)
#define CREDENTIALS "AssumeRoleResponse", "AssumeRoleResult", "Credentials"
	{ FIELD(key_id), { CREDENTIALS, "AccessKeyId" } },
	{ FIELD(secret), { CREDENTIALS, "SecretAccessKey" } },
	{ FIELD(session_token), { CREDENTIALS, "SessionToken" } },
	{ FIELD(expiration), { CREDENTIALS, "Expiration" } },
	{ FIELD(error_code), { "ErrorResponse", "Error", "Code" } },
#undef CREDENTIALS
#undef FIELD
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

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void blanks_skip(struct reader *r)
{
	while (r->rest.n && is_blank(r->rest.p[0]))
		advance(r, 1);
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || c == ':';
}

static struct cv_str name(struct reader *r)
{
	size_t n = 0;

	while (n < r->rest.n && is_name_byte(r->rest.p[n]))
		n++;
	const struct cv_str s = cv_str_slice(r->rest, 0, n);
	advance(r, n);
	if (!n)
		flunk(r, "a name is missing");
	return s;
}

static void attributes_skip(struct reader *r)
{
	for (;;) {
		blanks_skip(r);
		if (!r->rest.n || r->rest.p[0] == '>' || r->rest.p[0] == '/')
			return;
		name(r);
		const char quote = r->rest.n > 1 ? r->rest.p[1] : 0;
		if (!r->rest.n || r->rest.p[0] != '=' || (quote != '"' && quote != '\'')) {
			flunk(r, "an attribute is malformed");
			return;
		}
		advance(r, 2);
		const size_t end = cv_str_find_byte(r->rest, quote);
		if (end == r->rest.n || cv_str_has_byte(cv_str_slice(r->rest, 0, end), '<'))
			flunk(r, "an attribute does not end");
		advance(r, end + 1);
	}
}

/* ---- text ---- */

static char entity(struct reader *r)
{
	static const struct {
		const char *text;
		char c;
	} entities[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' },
		{ "&apos;", '\'' } };

	for (size_t i = 0; i < CV_ARRAY_LEN(entities); i++)
		if (cv_str_has_prefix(r->rest, cv_str_of(entities[i].text))) {
			advance(r, strlen(entities[i].text));
			return entities[i].c;
		}
	flunk(r, "an entity that is not predefined");
	return 0;
}

static bool is_at(const struct reader *r, const char *const path[5])
{
	size_t i = 0;

	for (; i < r->depth; i++)
		if (i == 5 || !path[i] || !cv_str_eq(r->path[i], cv_str_of(path[i])))
			return false;
	return i == 5 || !path[i];
}

static struct cv_str *field_here(const struct reader *r, struct cv_sts_answer *a)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(wanted); i++)
		if (is_at(r, wanted[i].path))
			return (struct cv_str *)(void *)((char *)a + wanted[i].field);
	return NULL;
}

static struct cv_str trimmed(struct cv_str s)
{
	while (s.n && is_blank(s.p[0]))
		s = cv_str_slice(s, 1, s.n);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Up to the next tag.  A second piece in the same element (behind a child) is an element twice. */
static void text(struct reader *r, struct cv_arena *arena, struct cv_sts_answer *a)
{
	struct cv_str *const field = field_here(r, a);
	const size_t bytes = cv_str_find_byte(r->rest, '<');
	char *const out = field ? cv_arena_alloc(arena, bytes + 1) : NULL;
	size_t n = 0;

	if (field && !out)
		flunk(r, "too large");
	while (r->rest.n && r->rest.p[0] != '<') {
		char c = r->rest.p[0];

		if (c == '&') {
			c = entity(r);
		} else {
			if ((unsigned char)c < 0x20 && !is_blank(c))
				flunk(r, "a control byte");
			advance(r, 1);
		}
		if (out)
			out[n++] = c;
		else if (!r->depth && !is_blank(c))
			flunk(r, "text outside the root");
	}
	if (!field)
		return;
	if (field->p)
		flunk(r, "an element stands twice");
	*field = trimmed((struct cv_str){ out, n });
}

/* ---- elements ---- */

/* Behind "</". */
static void end_tag(struct reader *r)
{
	const struct cv_str s = name(r);

	blanks_skip(r);
	if (!r->depth || !cv_str_eq(s, r->path[r->depth - 1]) || !r->rest.n || r->rest.p[0] != '>')
		flunk(r, "an end tag does not match");
	else
		r->depth--;
	advance(r, 1);
}

/* Behind "<". */
static void start_tag(struct reader *r)
{
	const struct cv_str s = name(r);

	if (r->depth == CV_XML_DEPTH_MAX) {
		flunk(r, "nested too deep");
		return;
	}
	attributes_skip(r);
	const bool is_empty = r->rest.n && r->rest.p[0] == '/';
	advance(r, is_empty);
	if (!r->rest.n || r->rest.p[0] != '>')
		flunk(r, "a tag does not end");
	advance(r, 1);
	if (!is_empty && !r->failure)
		r->path[r->depth++] = s;
}

static void declaration_skip(struct reader *r)
{
	blanks_skip(r);
	if (!cv_str_has_prefix(r->rest, CV_STR("<?xml ")))
		return;
	advance(r, cv_str_find_byte(r->rest, '>') + 1);
}

cv_code cv_sts_xml_parse(
	struct cv_str bytes, struct cv_arena *arena, struct cv_sts_answer *ret, struct cv_err *err)
{
	struct reader r = { .rest = bytes };
	struct cv_sts_answer a = { .key_id = CV_STR_NONE };
	size_t roots = 0;

	declaration_skip(&r);
	while (r.rest.n) {
		if (r.rest.p[0] != '<') {
			text(&r, arena, &a);
			continue;
		}
		advance(&r, 1);
		if (r.rest.n && r.rest.p[0] == '/') {
			advance(&r, 1);
			end_tag(&r);
		} else {
			if (!r.depth && roots++)
				flunk(&r, "two roots");
			start_tag(&r);
		}
	}
	if (!r.failure && (r.depth || !roots))
		r.failure = "it ends early";
	if (r.failure)
		return cv_fail(err, CV_PROTO, "XML: %s", r.failure);
	*ret = a;
	return CV_OK;
}
