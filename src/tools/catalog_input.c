/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_input.c - a tool's input: from YAML to a JSON Schema as it is shown
 *
 * YAML nodes become values one by one.  A value made so has no place in a JSON text; its `at` holds
 * line and column instead, so that a mistake that the schema's compiler finds has its place.
 *
 * A schema is completed: `type: object` is added, and `additionalProperties: false` where the author
 * said nothing of other names.  So what is shown says what is enforced: a name that is nobody's is
 * refused, never ignored.
 */
#include "tools/catalog_int.h"
#include "tools/containerfile.h"
#include "wire/json_value.h"

#define COLUMN_BITS 20

static size_t at_of(struct cv_policy_pos pos)
{
	return (size_t)pos.line << COLUMN_BITS |
	       CV_MIN((size_t)pos.column, ((size_t)1 << COLUMN_BITS) - 1);
}

struct cv_policy_pos cv_catalog_value_pos(const struct cv_value *v)
{
	return (struct cv_policy_pos){ (uint32_t)(v->at >> COLUMN_BITS),
		(uint32_t)(v->at & (((size_t)1 << COLUMN_BITS) - 1)) };
}

/* ---- YAML to values ---- */

/* YAML's numbers are more than JSON's: +1, 01, 1. and .5 are said to be mistakes, 1.2.3 is text. */
static void number_read(
	struct cv_catalog_check *c, const struct cv_policy_node *n, struct cv_value *out)
{
	const size_t dot = cv_str_find_byte(n->s, '.');
	const bool has_dots = cv_str_has_byte(cv_str_slice(n->s, dot + 1, n->s.n), '.');

	out->type = has_dots ? CV_VALUE_STRING : CV_VALUE_NUMBER;
	out->s = n->s;
	if (!has_dots && cv_json_check(n->s, NULL) != CV_JSON_PROBLEM_NONE)
		cv_catalog_report(c, n->pos, "input", "write it as JSON does, or in quotes",
			"'%.*s' is no number of JSON", CV_POLICY_QUOTE(n->s));
}

static bool value_read(
	struct cv_catalog_check *c, const struct cv_policy_node *n, struct cv_value *out);

static bool members_read(
	struct cv_catalog_check *c, const struct cv_policy_node *n, struct cv_value *out)
{
	const bool is_object = n->kind == CV_POLICY_NODE_MAPPING;
	struct cv_value *v = cv_arena_array(c->arena, n->n ? n->n : 1, sizeof(*v));
	struct cv_str *key = cv_arena_array(c->arena, n->n ? n->n : 1, sizeof(*key));

	if (!v || !key)
		return false;
	for (size_t i = 0; i < n->n; i++) {
		if (!value_read(c, &n->v[i], &v[i]))
			return false;
		key[i] = n->v[i].key.s;
	}
	out->type = is_object ? CV_VALUE_OBJECT : CV_VALUE_ARRAY;
	out->n = (uint32_t)n->n;
	out->v = v;
	out->key = is_object ? key : NULL;
	return true;
}

/* Recursion is bounded by the reader's depth (CV_POLICY_DEPTH_MAX).  False: the arena is full. */
static bool value_read(
	struct cv_catalog_check *c, const struct cv_policy_node *n, struct cv_value *out)
{
	*out = (struct cv_value){ .at = at_of(n->pos) };
	switch (n->kind) {
	case CV_POLICY_NODE_NULL: out->type = CV_VALUE_NULL; return true;
	case CV_POLICY_NODE_BOOL:
		out->type = cv_ascii_lower(n->s.p[0]) == 't' ? CV_VALUE_TRUE : CV_VALUE_FALSE;
		return true;
	case CV_POLICY_NODE_NUMBER: number_read(c, n, out); return true;
	case CV_POLICY_NODE_STRING:
		out->type = CV_VALUE_STRING;
		out->s = n->s;
		return true;
	case CV_POLICY_NODE_LIST:
	case CV_POLICY_NODE_MAPPING: return members_read(c, n, out);
	}
	return false;
}

/* ---- what a backend brings along ---- */

static const char *built_in(const struct cv_doc_tool *doc, enum cv_tool_backend backend)
{
	static const char open
		[] = "{\"type\":\"object\"}",
	    none[] = "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}",
	    build[] =
		    "{\"type\":\"object\",\"properties\":{"
		    "\"tag\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Name of the image, within this run: app or team/app:1\"},"
		    "\"dockerfile\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Path below context_dir; Containerfile or Dockerfile by default\"},"
		    "\"context_dir\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Directory in the sandbox; the working directory by default\"},"
		    "\"dest\":{\"type\":\"string\",\"minLength\":1,\"description\":\"File in the sandbox that gets the image as an OCI archive\"},"
		    "\"push\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Reference to push the image to\"},"
		    "\"target\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Stage to build; the last by default\"},"
		    "\"build_args\":{\"type\":\"object\",\"maxProperties\":64,\"additionalProperties\":{\"type\":\"string\"},\"description\":\"Values of ARGs\"},"
		    "\"labels\":{\"type\":\"object\",\"maxProperties\":64,\"additionalProperties\":{\"type\":\"string\",\"maxLength\":4096},\"description\":\"Labels of the image\"},"
		    "\"platform\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Only that of the machine that builds, " CV_CONTAINERFILE_PLATFORM
		    "\"},"
		    "\"sandbox\":{\"type\":\"string\",\"description\":\"Not needed; must be this sandbox\"}"
		    "},\"required\":[\"tag\"],\"additionalProperties\":false}",
	    push[] =
		    "{\"type\":\"object\",\"properties\":{"
		    "\"tag\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Name of an image of this run\"},"
		    "\"destination\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Reference to push to\"}"
		    "},\"required\":[\"tag\",\"destination\"],\"additionalProperties\":false}",
	    files[] =
		    "{\"type\":\"object\",\"properties\":{"
		    "\"path\":{\"type\":\"string\",\"minLength\":1,\"description\":\"What to copy\"},"
		    "\"dest\":{\"type\":\"string\",\"minLength\":1,\"description\":\"Where to\"}"
		    "},\"required\":[\"path\",\"dest\"],\"additionalProperties\":false}",
	    repo[] =
		    "{\"type\":\"object\",\"properties\":{"
		    "\"repo\":{\"type\":\"string\",\"minLength\":3,\"maxLength\":200,\"description\":\"OWNER/NAME\"},"
		    "\"ref\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200,\"description\":\"Branch, tag or commit; the default branch by default\"},"
		    "\"dest\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":4000,\"description\":\"Absolute path in the sandbox that becomes the repository: nothing is there, or an empty directory. Without it the repository is only scanned\"},"
		    "\"depth\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000,\"description\":\"Commits of history; 1 by default, 0 for all\"},"
		    "\"sandbox\":{\"type\":\"string\",\"description\":\"Not needed; must be this sandbox\"}"
		    "},\"required\":[\"repo\"],\"additionalProperties\":false}";

	if (backend == CV_TOOL_MCP)
		return open; /* the server says */
	if (backend == CV_TOOL_FILES)
		return files;
	if (backend == CV_TOOL_REPO)
		return repo;
	if (backend != CV_TOOL_BUILD || doc->build.operation == CV_TOOL_BUILD_LIST)
		return none;
	return doc->build.operation == CV_TOOL_BUILD_PUSH ? push : build;
}

/* ---- completing ---- */

static const char *const composing[] = { "$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if",
	"dependentSchemas", "patternProperties", "unevaluatedProperties" };

static bool is_composed(const struct cv_value *input)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(composing); i++)
		if (cv_value_get(input, cv_str_of(composing[i])))
			return true;
	return false;
}

static void complete(struct cv_catalog_check *c, struct cv_value *input)
{
	const struct cv_str type = CV_STR("type"), others = CV_STR("additionalProperties");
	struct cv_value *v = cv_arena_array(c->arena, input->n + 2u, sizeof(*v));
	struct cv_str *key = cv_arena_array(c->arena, input->n + 2u, sizeof(*key));
	const bool has_type = cv_value_get(input, type) != NULL,
		   has_others = cv_value_get(input, others) || is_composed(input);
	uint32_t n = 0;

	if (!v || !key)
		return;
	if (!has_type) {
		key[n] = type;
		v[n++] = (struct cv_value){
			.type = CV_VALUE_STRING, .s = CV_STR("object"), .at = input->at
		};
	}
	for (uint32_t i = 0; i < input->n; i++) {
		key[n] = input->key[i];
		v[n++] = input->v[i];
	}
	if (!has_others) {
		key[n] = others;
		v[n++] = (struct cv_value){ .type = CV_VALUE_FALSE, .at = input->at };
	}
	input->v = v;
	input->key = key;
	input->n = n;
}

const struct cv_value *cv_catalog_input(
	struct cv_catalog_check *c, const struct cv_doc_tool *doc, enum cv_tool_backend backend)
{
	static const struct cv_value nothing = { .type = CV_VALUE_OBJECT };
	const struct cv_value *given = &nothing, *type;
	struct cv_value *input;

	if (!doc->has_input) {
		(void)!cv_json_value_read(
			cv_str_of(built_in(doc, backend)), c->arena, &given, NULL);
		return given;
	}
	input = cv_arena_new(c->arena, struct cv_value);
	if (!input || !value_read(c, &doc->input, input))
		return &nothing;
	if (input->type != CV_VALUE_OBJECT) {
		cv_catalog_report(c, doc->input.pos, "input",
			"write {type: object, properties: {...}}",
			"expected a JSON Schema of an object");
		return &nothing;
	}
	type = cv_value_get(input, CV_STR("type"));
	if (type && !cv_str_eq(cv_value_get_str(input, CV_STR("type")), CV_STR("object")))
		cv_catalog_report(c, cv_catalog_value_pos(type), "input", "write type: object",
			"the arguments of a call are an object, and nothing else");
	complete(c, input);
	return input;
}

/* ---- looking into it ---- */

const struct cv_value *cv_tool_property(const struct cv_tool *tool, struct cv_str name)
{
	return cv_value_get(cv_value_get(tool->input, CV_STR("properties")), name);
}

bool cv_tool_property_is_required(const struct cv_tool *tool, struct cv_str name)
{
	const struct cv_value *required = cv_value_get(tool->input, CV_STR("required"));

	for (uint32_t i = 0; required && required->type == CV_VALUE_ARRAY && i < required->n; i++)
		if (required->v[i].type == CV_VALUE_STRING && cv_str_eq(required->v[i].s, name))
			return true;
	return false;
}

bool cv_tool_input_is_composed(const struct cv_tool *tool)
{
	return is_composed(tool->input);
}
