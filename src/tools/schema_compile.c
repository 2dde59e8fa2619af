/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_compile.c - from a schema's value to nodes
 *
 * One table says of each keyword what its value must be and which field of a node it fills.  The
 * walk follows the keywords whose values are schemas; so a "properties" within an enum, or a $id
 * within a default, is data.  A reference that leads to a place where no keyword put a schema makes
 * one of it later (schema_ref.c).
 */
#include "base/assert.h"
#include "base/word.h"
#include "tools/ecma.h"
#include "tools/schema_int.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- mistakes ---- */

static void fault_put(struct compiler *c, const struct node *node, const char *keyword,
	struct cv_str nearest, const char *text)
{
	const struct place whole = { .is_index = true };
	const struct cv_value *v = cv_value_get(node->src, cv_str_of(keyword));
	struct cv_schema_errors *e = c->errors;
	const size_t before = e->n;

	c->is_bad = true;
	schema_say(e, &whole, nearest, "%s", text);
	if (e->n == before)
		return;
	/* places of a schema are known as texts, not as a chain */
	e->e[before].pointer = keyword[0] ? cv_arena_printf(e->arena, "%.*s/%s",
						    CV_STR_ARG(node->pointer), keyword)
					  : cv_arena_str(e->arena, node->pointer);
	e->e[before].at = v ? v : node->src;
	if (e->arena->is_overflown) {
		e->n = before;
		e->is_cut = true;
	}
}

void schema_fault(
	struct compiler *c, const struct node *node, const char *keyword, const char *fmt, ...)
{
	char text[CV_SCHEMA_MESSAGE_BYTES_MAX * 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fault_put(c, node, keyword, CV_STR_NONE, text);
}

void schema_full(struct compiler *c, const char *what)
{
	const struct node root = { .src = c->nodes && c->node_count ? c->nodes[0]->src : NULL };

	if (!c->is_full)
		fault_put(c, &root, "", CV_STR_NONE, what);
	c->is_full = true;
}

/* ---- the table ---- */

enum kind {
	KIND_NOTE,     /* an annotation: anything */
	KIND_TEXT,     /* a string, looked at by who wants it */
	KIND_SCHEMA,   /* const struct node * */
	KIND_SCHEMAS,  /* struct node_list */
	KIND_ITEMS,    /* a schema; an array of them in older drafts */
	KIND_NAMED,    /* struct named_list: an object of schemas */
	KIND_PATTERNS, /* the same, by expressions */
	KIND_DEFS,     /* the same, only referred to */
	KIND_MIXED,    /* the same, arrays of strings among them */
	KIND_COUNT,    /* uint64_t */
	KIND_NUMBER,   /* const struct cv_value * */
	KIND_DIVISOR,
	KIND_VALUE,
	KIND_VALUES,
	KIND_STRINGS,    /* an array of them, no two the same */
	KIND_STRINGS_OF, /* an object of such arrays */
	KIND_FLAG,       /* bool */
	KIND_TYPE,
	KIND_PATTERN,
	KIND_FORMAT,
};

struct keyword {
	const char *name;
	enum kind kind;
	size_t field;
};

#define F(field) offsetof(struct node, field)

static const struct keyword keywords[] = {
	{ "$anchor", KIND_TEXT },
	{ "$comment", KIND_TEXT },
	{ "$defs", KIND_DEFS },
	{ "$dynamicAnchor", KIND_TEXT },
	{ "$dynamicRef", KIND_TEXT },
	{ "$id", KIND_TEXT },
	{ "$ref", KIND_TEXT },
	{ "$schema", KIND_TEXT },
	{ "$vocabulary", KIND_NOTE },
	{ "additionalProperties", KIND_SCHEMA, F(additional) },
	{ "allOf", KIND_SCHEMAS, F(all_of) },
	{ "anyOf", KIND_SCHEMAS, F(any_of) },
	{ "const", KIND_VALUE, F(one_value) },
	{ "contains", KIND_SCHEMA, F(contains) },
	{ "contentEncoding", KIND_NOTE },
	{ "contentMediaType", KIND_NOTE },
	{ "contentSchema", KIND_NOTE },
	{ "default", KIND_NOTE },
	{ "definitions", KIND_DEFS },
	{ "dependencies", KIND_MIXED, F(dependencies) },
	{ "dependentRequired", KIND_STRINGS_OF, F(required_by) },
	{ "dependentSchemas", KIND_NAMED, F(dependents) },
	{ "deprecated", KIND_NOTE },
	{ "description", KIND_TEXT },
	{ "else", KIND_SCHEMA, F(otherwise) },
	{ "enum", KIND_VALUES, F(values) },
	{ "examples", KIND_NOTE },
	{ "exclusiveMaximum", KIND_NUMBER, F(below) },
	{ "exclusiveMinimum", KIND_NUMBER, F(above) },
	{ "format", KIND_FORMAT, F(format) },
	{ "if", KIND_SCHEMA, F(condition) },
	{ "items", KIND_ITEMS, F(items) },
	{ "maxContains", KIND_COUNT, F(contains_max) },
	{ "maxItems", KIND_COUNT, F(items_max) },
	{ "maxLength", KIND_COUNT, F(length_max) },
	{ "maxProperties", KIND_COUNT, F(members_max) },
	{ "maximum", KIND_NUMBER, F(maximum) },
	{ "minContains", KIND_COUNT, F(contains_min) },
	{ "minItems", KIND_COUNT, F(items_min) },
	{ "minLength", KIND_COUNT, F(length_min) },
	{ "minProperties", KIND_COUNT, F(members_min) },
	{ "minimum", KIND_NUMBER, F(minimum) },
	{ "multipleOf", KIND_DIVISOR, F(divisor) },
	{ "not", KIND_SCHEMA, F(none_of) },
	{ "oneOf", KIND_SCHEMAS, F(one_of) },
	{ "pattern", KIND_PATTERN, F(pattern) },
	{ "patternProperties", KIND_PATTERNS, F(patterns) },
	{ "prefixItems", KIND_SCHEMAS, F(prefix) },
	{ "properties", KIND_NAMED, F(properties) },
	{ "propertyNames", KIND_SCHEMA, F(names) },
	{ "readOnly", KIND_NOTE },
	{ "required", KIND_STRINGS, F(required) },
	{ "then", KIND_SCHEMA, F(then) },
	{ "title", KIND_TEXT },
	{ "type", KIND_TYPE, F(types) },
	{ "unevaluatedItems", KIND_SCHEMA, F(items_rest) },
	{ "unevaluatedProperties", KIND_SCHEMA, F(members_rest) },
	{ "uniqueItems", KIND_FLAG, F(is_unique) },
	{ "writeOnly", KIND_NOTE },
};

/* Words of other dialects that are near to one of ours and mean no slip. */
static const char *const others[] = { "example", "id", "$recursiveRef", "$recursiveAnchor",
	"additionalItems", "nullable", "xml", "discriminator", "externalDocs", "units", "unit",
	"order", "enumNames", "name", "names", "notes", "note", "tags" };

static const struct keyword *keyword_find(struct cv_str name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(keywords); i++)
		if (cv_str_eq(name, cv_str_of(keywords[i].name)))
			return &keywords[i];
	return NULL;
}

static void keyword_unknown(struct compiler *c, const struct node *node, struct cv_str name)
{
	struct cv_word_search s;
	char key[CV_WORD_BYTES_MAX + 1];
	char text[CV_SCHEMA_MESSAGE_BYTES_MAX];

	if (c->flags & CV_SCHEMA_LENIENT || cv_str_has_prefix(name, CV_STR("x-")))
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(others); i++)
		if (cv_str_eq(name, cv_str_of(others[i])))
			return;
	cv_word_search_init(&s, name);
	s.best = CV_MAX(name.n / 4, (size_t)1) + 1; /* most others are nobody's slip */
	for (size_t i = 0; i < CV_ARRAY_LEN(keywords); i++)
		cv_word_search_offer(&s, cv_str_of(keywords[i].name));
	if (!s.nearest.p || !cv_str_to_cstr(name, key, sizeof(key)))
		return;
	snprintf(text, sizeof(text), "is no keyword; \"%s\" is", s.nearest.p);
	fault_put(c, node, key, s.nearest, text);
}

/* ---- operands ---- */

static void *field_of(struct node *node, const struct keyword *k)
{
	return (char *)node + k->field;
}

static struct cv_str step_add(struct compiler *c, struct cv_str pointer, struct cv_str key)
{
	struct cv_arena *a = &c->s->arena;
	size_t n = 0;
	char *p;

	for (size_t i = 0; i < key.n; i++)
		n += 1 + (key.p[i] == '~' || key.p[i] == '/');
	p = cv_arena_alloc(a, pointer.n + 1 + n + 1);
	if (!p)
		return CV_STR_NONE;
	char *at = pointer.n ? mempcpy(p, pointer.p, pointer.n) : p;
	*at++ = '/';
	for (size_t i = 0; i < key.n; i++) {
		const bool is_special = key.p[i] == '~' || key.p[i] == '/';

		if (is_special)
			*at++ = '~';
		*at++ = !is_special ? key.p[i] : key.p[i] == '~' ? '0' : '1';
	}
	return cv_str_range(p, at);
}

static const struct node *child(
	struct compiler *c, const struct node *node, const char *keyword, const struct cv_value *v)
{
	return schema_node_make(c, v, step_add(c, node->pointer, cv_str_of(keyword)));
}

static bool list_fill(struct compiler *c, struct node *node, const struct keyword *k,
	const struct cv_value *v, struct node_list *list)
{
	const struct cv_str pointer = step_add(c, node->pointer, cv_str_of(k->name));

	if (v->type != CV_VALUE_ARRAY || !v->n)
		return false;
	list->v = cv_arena_array(&c->s->arena, v->n, sizeof(struct node *));
	for (uint32_t i = 0; i < v->n && list->v; i++) {
		char index[16];

		snprintf(index, sizeof(index), "%u", i);
		list->v[i] = schema_node_make(c, &v->v[i], step_add(c, pointer, cv_str_of(index)));
		if (!list->v[i])
			return true;
		list->n = i + 1;
	}
	return true;
}

static struct cv_regex *pattern_compile(
	struct compiler *c, struct node *node, const char *keyword, struct cv_str text)
{
	struct cv_schema *s = c->s;
	struct cv_regex *regex = NULL;
	struct schema_quoted q;
	struct cv_buf out;
	struct cv_err err;

	if (s->pattern_count == CV_SCHEMA_PATTERNS_MAX) {
		schema_full(c, "has too many patterns");
		return NULL;
	}
	cv_buf_init(&out, CV_ECMA_OUT_BYTES_MAX);
	cv_code code = cv_ecma_translate(text, &out, &err);
	if (code == CV_OK)
		code = cv_regex_compile_utf8(cv_buf_str(&out), &regex, &err);
	cv_buf_fini(&out);
	if (code != CV_OK)
		schema_fault(c, node, keyword, "%s is no expression: %s",
			schema_quoted_str(&q, text), err.msg);
	else
		s->patterns[s->pattern_count++] = regex;
	return regex;
}

static int named_cmp(const void *a, const void *b)
{
	return cv_str_cmp(
		((const struct named_node *)a)->name, ((const struct named_node *)b)->name);
}

static bool is_strings(const struct cv_value *v)
{
	if (v->type != CV_VALUE_ARRAY)
		return false;
	for (uint32_t i = 0; i < v->n; i++)
		if (v->v[i].type != CV_VALUE_STRING)
			return false;
	return true;
}

static bool named_fill(struct compiler *c, struct node *node, const struct keyword *k,
	const struct cv_value *v, struct named_list *list)
{
	const struct cv_str pointer = step_add(c, node->pointer, cv_str_of(k->name));

	if (v->type != CV_VALUE_OBJECT)
		return false;
	list->v = cv_arena_array(&c->s->arena, v->n, sizeof(*list->v));
	for (uint32_t i = 0; i < v->n && list->v; i++) {
		struct named_node *named = &list->v[list->n];

		if (k->kind == KIND_MIXED && is_strings(&v->v[i]))
			continue;
		named->name = v->key[i];
		if (k->kind == KIND_PATTERNS)
			named->regex = pattern_compile(c, node, k->name, v->key[i]);
		named->node = schema_node_make(c, &v->v[i], step_add(c, pointer, v->key[i]));
		if (!named->node)
			return true;
		list->n++;
	}
	if (k->kind != KIND_PATTERNS && list->n)
		qsort(list->v, list->n, sizeof(*list->v), named_cmp);
	return true;
}

static bool is_strings_of(const struct cv_value *v)
{
	if (v->type != CV_VALUE_OBJECT)
		return false;
	for (uint32_t i = 0; i < v->n; i++)
		if (!is_strings(&v->v[i]))
			return false;
	return true;
}

static bool count_read(const struct cv_value *v, uint64_t *ret)
{
	static const struct cv_value zero = { .type = CV_VALUE_NUMBER, .s = { "0", 1 } };
	int64_t count = INT64_MAX;

	if (!cv_value_is_integer(v) || cv_value_number_cmp(v, &zero) < 0)
		return false;
	(void)!cv_value_to_i64(v, &count); /* else larger than anything that is counted */
	*ret = (uint64_t)count;
	return true;
}

static bool type_add(struct node *node, const struct cv_value *v)
{
	static const struct {
		const char *name;
		uint16_t bits;
	} row[] = {
		{ "null", 1 << CV_VALUE_NULL },
		{ "boolean", 1 << CV_VALUE_FALSE | 1 << CV_VALUE_TRUE },
		{ "number", 1 << CV_VALUE_NUMBER },
		{ "integer", 1 << TYPE_INTEGER },
		{ "string", 1 << CV_VALUE_STRING },
		{ "array", 1 << CV_VALUE_ARRAY },
		{ "object", 1 << CV_VALUE_OBJECT },
	};

	for (size_t i = 0; v->type == CV_VALUE_STRING && i < CV_ARRAY_LEN(row); i++)
		if (cv_str_eq(v->s, cv_str_of(row[i].name))) {
			node->types |= row[i].bits;
			return true;
		}
	return false;
}

static bool type_fill(struct node *node, const struct cv_value *v)
{
	if (v->type != CV_VALUE_ARRAY)
		return type_add(node, v);
	for (uint32_t i = 0; i < v->n; i++)
		if (!type_add(node, &v->v[i]))
			return false;
	return v->n > 0;
}

/* False: v is not what the keyword needs. */
static bool operand_fill(
	struct compiler *c, struct node *node, const struct keyword *k, const struct cv_value *v)
{
	void *field = field_of(node, k);

	switch (k->kind) {
	case KIND_NOTE: return true;
	case KIND_TEXT: return v->type == CV_VALUE_STRING;
	case KIND_ITEMS:
		if (v->type == CV_VALUE_ARRAY && c->flags & CV_SCHEMA_LENIENT) {
			const struct cv_value *rest =
				cv_value_get(node->src, CV_STR("additionalItems"));

			if (rest)
				node->items = child(c, node, "additionalItems", rest);
			return list_fill(c, node, k, v, &node->prefix);
		}
		CV_FALLTHROUGH;
	case KIND_SCHEMA: *(const struct node **)field = child(c, node, k->name, v); return true;
	case KIND_SCHEMAS: return list_fill(c, node, k, v, field);
	case KIND_NAMED:
	case KIND_PATTERNS: return named_fill(c, node, k, v, field);
	case KIND_DEFS: return named_fill(c, node, k, v, &(struct named_list){ 0 });
	case KIND_MIXED: node->dependencies_src = v; return named_fill(c, node, k, v, field);
	case KIND_COUNT: return count_read(v, field);
	case KIND_DIVISOR:
		if (!cv_value_is_divisor(v))
			return false;
		CV_FALLTHROUGH;
	case KIND_NUMBER:
	case KIND_VALUE:
	case KIND_VALUES:
	case KIND_STRINGS:
	case KIND_STRINGS_OF:
		*(const struct cv_value **)field = v;
		return k->kind == KIND_VALUE ||
		       (k->kind == KIND_VALUES && v->type == CV_VALUE_ARRAY) ||
		       (k->kind <= KIND_DIVISOR && v->type == CV_VALUE_NUMBER) ||
		       (k->kind == KIND_STRINGS && is_strings(v)) ||
		       (k->kind == KIND_STRINGS_OF && is_strings_of(v));
	case KIND_FLAG:
		*(bool *)field = v->type == CV_VALUE_TRUE;
		return v->type == CV_VALUE_TRUE || v->type == CV_VALUE_FALSE;
	case KIND_TYPE: return type_fill(node, v);
	case KIND_PATTERN:
		if (v->type != CV_VALUE_STRING)
			return false;
		node->pattern_text = v->s;
		node->pattern = pattern_compile(c, node, k->name, v->s);
		return true;
	case KIND_FORMAT:
		if (v->type == CV_VALUE_STRING && !(c->flags & CV_SCHEMA_FORMAT_SAYS))
			node->format = cv_format_find(v->s);
		return v->type == CV_VALUE_STRING;
	}
	return true;
}

static const char *kind_needs(enum kind kind)
{
	static const char *const needs[] = {
		[KIND_TEXT] = "a string",
		[KIND_SCHEMAS] = "an array of schemas that is not empty",
		[KIND_NAMED] = "an object of schemas",
		[KIND_PATTERNS] = "an object of schemas",
		[KIND_DEFS] = "an object of schemas",
		[KIND_MIXED] = "an object of schemas or arrays of strings",
		[KIND_COUNT] = "a whole number from 0 on",
		[KIND_NUMBER] = "a number",
		[KIND_DIVISOR] = "a number above 0 of at most 19 digits",
		[KIND_VALUES] = "an array",
		[KIND_STRINGS] = "an array of strings",
		[KIND_STRINGS_OF] = "an object of arrays of strings",
		[KIND_FLAG] = "true or false",
		[KIND_TYPE] = "one of null, boolean, object, array, number, string, integer, or an "
			      "array of them",
		[KIND_PATTERN] = "a string",
		[KIND_FORMAT] = "a string",
	};

	cv_assert(kind < CV_ARRAY_LEN(needs) && needs[kind]);
	return needs[kind];
}

/* ---- nodes ---- */

struct node *schema_node_find(const struct compiler *c, const struct cv_value *v)
{
	const uint32_t i =
		cv_map_get(&c->by_src, 0, (struct cv_str){ (const char *)&v, sizeof(v) });

	return i == CV_MAP_NONE ? NULL : c->nodes[i];
}

static struct node *node_new(struct compiler *c, const struct cv_value *v, struct cv_str pointer)
{
	struct node *node = NULL;

	if (c->node_count < CV_SCHEMA_NODES_MAX)
		node = cv_arena_new(&c->s->arena, struct node);
	if (!node) {
		schema_full(c, "is too large");
		return NULL;
	}
	node->src = v;
	node->pointer = pointer;
	node->resource = c->resource;
	node->length_max = node->items_max = node->members_max = node->contains_max = UINT64_MAX;
	node->contains_min = 1;
	uint32_t *slot = cv_map_at(
		&c->by_src, 0, (struct cv_str){ (const char *)&node->src, sizeof(node->src) });
	if (!slot) {
		schema_full(c, "is too large");
		return NULL;
	}
	*slot = c->node_count;
	c->nodes[c->node_count++] = node;
	return node;
}

static void dialect_check(struct compiler *c, const struct node *node)
{
	const struct cv_str s = cv_value_get_str(node->src, CV_STR("$schema"));
	const struct cv_str ours = CV_STR("https://json-schema.org/draft/2020-12/schema");

	if (!s.p || c->flags & CV_SCHEMA_LENIENT || cv_str_eq(s, ours) ||
		(s.n == ours.n + 1 && cv_str_has_prefix(s, ours) && s.p[ours.n] == '#'))
		return;
	schema_fault(c, node, "$schema", "is not %s", ours.p);
}

static void node_fill(struct compiler *c, struct node *node)
{
	const struct cv_value *v = node->src;

	dialect_check(c, node);
	for (uint32_t i = 0; i < v->n && !c->is_full; i++) {
		const struct keyword *k = keyword_find(v->key[i]);

		if (!k)
			keyword_unknown(c, node, v->key[i]);
		else if (!operand_fill(c, node, k, &v->v[i]))
			schema_fault(c, node, k->name, "must be %s", kind_needs(k->kind));
	}
	node->has_properties = cv_value_get(v, CV_STR("properties")) != NULL;
	if (!node->contains)
		node->contains_min = 0;
}

struct node *schema_node_make(struct compiler *c, const struct cv_value *v, struct cv_str pointer)
{
	const uint16_t resource = c->resource;
	struct node *node = schema_node_find(c, v);

	if (node || c->is_full)
		return node;
	node = node_new(c, v, pointer);
	if (!node)
		return NULL;
	if (v->type == CV_VALUE_TRUE || v->type == CV_VALUE_FALSE) {
		node->kind = v->type == CV_VALUE_TRUE ? NODE_ANYTHING : NODE_NOTHING;
		return node;
	}
	if (v->type != CV_VALUE_OBJECT) {
		schema_fault(c, node, "", "must be a schema: an object, true or false");
		return node;
	}
	if (++c->depth > CV_SCHEMA_DEPTH_MAX) {
		schema_full(c, "is nested too deep");
	} else {
		schema_resource_enter(c, node);
		schema_anchors_add(c, node);
		schema_refs_add(c, node);
		node_fill(c, node);
	}
	c->depth--;
	c->resource = resource;
	return node;
}

/* ---- the whole ---- */

static bool compiler_init(struct compiler *c)
{
	struct cv_schema *s = c->s;
	struct cv_arena *a = &s->arena;

	cv_arena_init(a, CV_SCHEMA_MEMORY_MAX);
	cv_map_init(&c->by_src, a);
	s->anchors = calloc(CV_SCHEMA_ANCHORS_MAX, sizeof(*s->anchors));
	s->resources = calloc(CV_SCHEMA_RESOURCES_MAX, sizeof(*s->resources));
	s->patterns = calloc(CV_SCHEMA_PATTERNS_MAX, sizeof(struct cv_regex *));
	c->nodes = calloc(CV_SCHEMA_NODES_MAX, sizeof(struct node *));
	c->refs = calloc(CV_SCHEMA_NODES_MAX, sizeof(*c->refs));
	return s->anchors && s->resources && s->patterns && c->nodes && c->refs;
}

/* Tables keep what they hold. */
static void tables_shrink(struct cv_schema *s)
{
	void *p;

	p = realloc(s->anchors, CV_MAX(s->anchor_count, 1u) * sizeof(*s->anchors));
	s->anchors = p ? p : s->anchors;
	p = realloc(s->resources, CV_MAX(s->resource_count, 1u) * sizeof(*s->resources));
	s->resources = p ? p : s->resources;
	p = realloc(s->patterns, CV_MAX(s->pattern_count, 1u) * sizeof(struct cv_regex *));
	s->patterns = p ? p : s->patterns;
}

cv_code cv_schema_compile(const struct cv_value *schema, unsigned flags, struct cv_schema **ret,
	struct cv_schema_errors *errors)
{
	struct compiler c = { .errors = errors, .flags = flags };
	cv_code code = CV_LIMIT;

	c.s = calloc(1, sizeof(*c.s));
	if (!c.s)
		return CV_LIMIT;
	if (compiler_init(&c)) {
		c.s->resources[c.s->resource_count++].uri = CV_STR("");
		c.s->root = schema_node_make(&c, schema, CV_STR(""));
		c.s->resources[0].node = c.s->root;
		schema_refs_resolve(&c);
		schema_loops_find(&c);
		if (c.s->arena.is_overflown)
			schema_full(&c, "is too large");
		code = c.is_full ? CV_LIMIT : c.is_bad ? CV_INVALID : CV_OK;
	}
	free(c.nodes);
	free(c.refs);
	if (code != CV_OK) {
		cv_schema_free(c.s);
		return code;
	}
	tables_shrink(c.s);
	*ret = c.s;
	return CV_OK;
}

void cv_schema_free(struct cv_schema *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->pattern_count; i++)
		cv_regex_free(s->patterns[i]);
	free(s->patterns);
	free(s->anchors);
	free(s->resources);
	cv_arena_fini(&s->arena);
	free(s);
}
