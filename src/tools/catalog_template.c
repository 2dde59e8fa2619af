/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_template.c - templates of a catalog, and whether their places make sense
 *
 * A place names a property of the tool's input that fits there and that is always given, or stands
 * within {?its name:...}.  So a call that the schema took can fail in a template only by what
 * the value itself says (a '-' in front, a NUL, "..").
 */
#include "base/word.h"
#include "tools/catalog_int.h"

#include <stdio.h>

struct places {
	struct cv_catalog_check *c;
	const struct cv_template *t;
	const char *field;
	struct cv_policy_pos pos;
	struct cv_str when; /* the {?...} around the place */
};

#define REPORT(p, fix, ...) cv_catalog_report((p)->c, (p)->pos, (p)->field, fix, __VA_ARGS__)

/* ---- credentials ---- */

static void use_credential(struct cv_tool_uses *uses, struct cv_str name, struct cv_arena *arena)
{
	struct cv_str *v;

	for (size_t i = 0; i < uses->n; i++)
		if (cv_str_eq(uses->v[i], name))
			return;
	v = cv_arena_array(arena, uses->n + 1, sizeof(*v));
	if (!v)
		return;
	if (uses->n)
		memcpy(v, uses->v, uses->n * sizeof(*v));
	v[uses->n++] = name;
	uses->v = v;
}

void cv_catalog_uses(struct cv_catalog_check *c, struct cv_str name)
{
	if (c->uses)
		use_credential(c->uses, name, c->arena);
}

static void check_credential(const struct places *p, struct cv_str name)
{
	const struct cv_catalog *catalog = p->c->catalog;

	for (size_t i = 0; i < catalog->credential_count; i++)
		if (cv_str_eq(catalog->credentials[i].name, name)) {
			cv_catalog_uses(p->c, name);
			return;
		}
	REPORT(p, "declare it in credentials:", "there is no credential '%.*s'",
		CV_POLICY_QUOTE(name));
}

/* ---- arguments ---- */

static struct cv_str nearest_property(const struct cv_tool *tool, struct cv_str name)
{
	const struct cv_value *properties = cv_value_get(tool->input, CV_STR("properties"));
	struct cv_word_search search;

	cv_word_search_init(&search, name);
	if (properties && properties->type == CV_VALUE_OBJECT)
		for (uint32_t i = 0; i < properties->n; i++)
			(void)cv_word_search_offer(&search, properties->key[i]);
	return search.nearest;
}

static void unknown(const struct places *p, struct cv_str name)
{
	const struct cv_str near = nearest_property(p->c->tool, name);
	char fix[128];

	if (near.n)
		snprintf(fix, sizeof(fix), "did you mean '%.*s'?", CV_POLICY_QUOTE(near));
	else
		snprintf(fix, sizeof(fix), "add it to the properties of input");
	REPORT(p, fix, "there is no argument '%.*s'", CV_POLICY_QUOTE(name));
}

static void mark_used(struct cv_catalog_check *c, const struct cv_value *property)
{
	const struct cv_value *properties = cv_value_get(c->tool->input, CV_STR("properties"));

	if (c->is_used)
		c->is_used[property - properties->v] = true;
}

/* What does not fit a place, as far as the schema says what it is. */
static void check_type(const struct places *p, const struct cv_template_part *part,
	const struct cv_value *property)
{
	const struct cv_str type = cv_value_get_str(property, CV_STR("type"));
	const bool is_list = cv_str_eq(type, CV_STR("array")),
		   is_object = cv_str_eq(type, CV_STR("object")),
		   is_string = cv_str_eq(type, CV_STR("string"));
	const struct cv_str name = part->s;

	if (!type.n || part->kind == CV_TEMPLATE_PART_JSON || part->kind == CV_TEMPLATE_PART_WHEN)
		return;
	if (part->kind == CV_TEMPLATE_PART_ARGUMENT && (is_list || is_object))
		REPORT(p, "write {name...} or {json:name}", "'%.*s' is an %.*s, and no single text",
			CV_POLICY_QUOTE(name), CV_STR_ARG(type));
	if (part->kind == CV_TEMPLATE_PART_SPREAD && !is_list &&
		!(is_object && p->t->kind == CV_TEMPLATE_WORD) &&
		!(is_string && p->t->kind == CV_TEMPLATE_PATH))
		REPORT(p, "write {name}", "'%.*s' is of type %.*s, and no list",
			CV_POLICY_QUOTE(name), CV_POLICY_QUOTE(type));
}

/* A text among others in a body could end where its author did not think. */
static void check_body(const struct places *p, const struct cv_template_part *part,
	const struct cv_value *property)
{
	const struct cv_str type = cv_value_get_str(property, CV_STR("type"));

	if (p->t->kind == CV_TEMPLATE_BODY && p->t->n > 1 &&
		part->kind == CV_TEMPLATE_PART_ARGUMENT && !cv_str_eq(type, CV_STR("integer")) &&
		!cv_str_eq(type, CV_STR("number")) && !cv_str_eq(type, CV_STR("boolean")))
		REPORT(p, "write {json:name}, which brings its quotes along",
			"'%.*s' as it is could say anything within the body",
			CV_POLICY_QUOTE(part->s));
}

static void check_argument(const struct places *p, const struct cv_template_part *part)
{
	const struct cv_tool *tool = p->c->tool;
	const struct cv_value *property = tool ? cv_tool_property(tool, part->s) : NULL;
	const bool may_vanish =
		part->kind == CV_TEMPLATE_PART_WHEN ||
		(part->kind == CV_TEMPLATE_PART_SPREAD && p->t->kind != CV_TEMPLATE_PATH);

	if (!tool) {
		REPORT(p, "only {credential:NAME} has a meaning here",
			"a call's argument '%.*s', where there is no call",
			CV_POLICY_QUOTE(part->s));
		return;
	}
	if (!property) {
		if (!cv_tool_input_is_composed(tool))
			unknown(p, part->s);
		return;
	}
	mark_used(p->c, property);
	check_type(p, part, property);
	check_body(p, part, property);
	if (!may_vanish && !cv_str_eq(p->when, part->s) &&
		!cv_tool_property_is_required(tool, part->s))
		REPORT(p, "list it in required, or write {?name:...} around it",
			"'%.*s' may be absent in a call", CV_POLICY_QUOTE(part->s));
}

static void check_places(struct places *p)
{
	size_t until = 0;

	for (size_t i = 0; i < p->t->n; i++) {
		const struct cv_template_part *part = &p->t->v[i];

		if (i >= until)
			p->when = CV_STR_NONE;
		if (part->kind == CV_TEMPLATE_PART_CREDENTIAL)
			check_credential(p, part->s);
		else if (part->kind != CV_TEMPLATE_PART_TEXT)
			check_argument(p, part);
		if (part->kind == CV_TEMPLATE_PART_WHEN) {
			p->when = part->s;
			until = i + 1 + part->covers;
		}
	}
}

const struct cv_template *cv_catalog_template(struct cv_catalog_check *c,
	const struct cv_policy_text *text, const char *field, enum cv_template_kind kind)
{
	struct places p = { .c = c, .field = field, .pos = text->pos };
	struct cv_err err = { 0 };
	size_t at = 0;

	if (!text->is_present)
		return NULL;
	if (cv_template_compile(text->s, kind, c->arena, &p.t, &at, &err) != CV_OK) {
		REPORT(&p, NULL, "%s (byte %zu of '%.*s')", err.msg, at + 1,
			CV_POLICY_QUOTE(text->s));
		return NULL;
	}
	check_places(&p);
	return p.t;
}

/* ---- env, headers ---- */

static bool is_variable(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i], low = cv_ascii_lower(c);

		if (!((low >= 'a' && low <= 'z') || c == '_' || (i && c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0;
}

/* What frames a message, or says who sends it, is ours to write. */
static bool is_own_header(struct cv_str s)
{
	static const char *const own[] = { "host", "content-length", "transfer-encoding",
		"connection", "keep-alive", "te", "trailer", "upgrade", "expect",
		"proxy-authorization", "proxy-connection" };

	for (size_t i = 0; i < CV_ARRAY_LEN(own); i++)
		if (cv_str_eq_nocase(s, cv_str_of(own[i])))
			return true;
	return false;
}

static bool is_token(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", s.p[i]))
			return false;
	return s.n > 0 && s.n <= 256;
}

const struct cv_tool_pair *cv_catalog_pairs(struct cv_catalog_check *c,
	const struct cv_doc_pairs *pairs, const char *field, enum cv_template_kind kind,
	size_t *ret_n)
{
	struct cv_tool_pair *v = cv_arena_array(c->arena, pairs->n ? pairs->n : 1, sizeof(*v));
	const bool is_env = kind == CV_TEMPLATE_ENV;
	const size_t max = is_env ? CV_TOOL_ENV_MAX : CV_TOOL_HEADERS_MAX;

	*ret_n = 0;
	if (!v || !pairs->n)
		return v;
	if (pairs->n > max)
		cv_catalog_report(c, pairs->v[0].key.pos, field, NULL, "%zu of them; at most %zu",
			pairs->n, max);
	for (size_t i = 0; i < pairs->n && i < max; i++) {
		const struct cv_policy_text *key = &pairs->v[i].key;

		v[i].name = key->s;
		v[i].value = cv_catalog_template(c, &pairs->v[i].value, field, kind);
		if (is_env ? !is_variable(key->s) : !is_token(key->s))
			cv_catalog_report(c, key->pos, field, NULL,
				"'%.*s' can't be the name of a %s", CV_POLICY_QUOTE(key->s),
				is_env ? "variable" : "header");
		else if (!is_env && is_own_header(key->s))
			cv_catalog_report(c, key->pos, field, "remove it",
				"the header %.*s is written by cove itself",
				CV_POLICY_QUOTE(key->s));
	}
	*ret_n = CV_MIN(pairs->n, max);
	return v;
}
