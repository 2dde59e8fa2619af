/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_import.c - tools that an MCP server has, made tools of the catalog
 *
 * The server is the operator's, but what it says is read as a stranger's: names are strict, so that
 * none looks like another's, and a schema that can't be compiled makes no tool.  All is copied into
 * the catalog's arena, and the list of tools is made anew, so that who holds a tool of the old list
 * can finish with it.
 */
#include "tools/schema.h"

#include "base/assert.h"
#include "base/glob.h"
#include "policy/findings.h"
#include "tools/catalog.h"
#include "tools/mcp.h"

#include <stdlib.h>

struct import {
	struct cv_catalog *c;
	const struct cv_tool_mcp *server;
	uint32_t mcp;
	struct cv_findings *findings;
	struct cv_tool *v; /* the new list */
	size_t n;
	struct cv_schema **schemas;
	size_t schema_count;
	bool has_taken[CV_CATALOG_TOOLS_MAX]; /* of v: the server's schema, which may come twice */
};

#define WARN(im, name, ...) \
	cv_findings_add(    \
		(im)->findings, CV_FINDING_WARNING, (im)->server->pos, name, NULL, __VA_ARGS__)

/* ---- copies ---- */

/* Recursion is bounded by the reader (CV_JSON_DEPTH_MAX). */
static bool copy(struct cv_arena *arena, const struct cv_value *from, struct cv_value *to)
{
	struct cv_value *v = NULL;
	struct cv_str *key = NULL;

	*to = *from;
	to->s = from->s.n ? cv_arena_str(arena, from->s) : CV_STR_NONE;
	if (from->n) {
		v = cv_arena_array(arena, from->n, sizeof(*v));
		key = from->key ? cv_arena_array(arena, from->n, sizeof(*key)) : NULL;
		if (!v || (from->key && !key))
			return false;
	}
	for (uint32_t i = 0; i < from->n; i++) {
		if (!copy(arena, &from->v[i], &v[i]))
			return false;
		if (key)
			key[i] = cv_arena_str(arena, from->key[i]);
	}
	to->v = v;
	to->key = key;
	return !arena->is_overflown;
}

/* The server's schema, compiled; false when it is none, and that is said. */
static bool schema_take(struct import *im, struct cv_tool *t, const struct cv_value *schema)
{
	struct cv_value *own = cv_arena_new(&im->c->arena, struct cv_value);
	struct cv_schema_errors errors;

	if (!own || !schema || schema->type != CV_VALUE_OBJECT ||
		!cv_str_eq(cv_value_get_str(schema, CV_STR("type")), CV_STR("object")) ||
		!copy(&im->c->arena, schema, own)) {
		WARN(im, t->name, "left out: inputSchema is no schema of an object");
		return false;
	}
	cv_schema_errors_init(&errors, &im->c->arena);
	if (cv_schema_compile(own, CV_SCHEMA_LENIENT, &t->schema, &errors) != CV_OK) {
		const struct cv_schema_error *e = errors.n ? &errors.e[0] : NULL;

		WARN(im, t->name, "left out: inputSchema%.*s %.*s",
			CV_POLICY_QUOTE(e ? e->pointer : CV_STR_NONE),
			CV_STR_ARG(e ? e->message : CV_STR("is too large")));
		return false;
	}
	im->schemas[im->schema_count++] = t->schema;
	t->input = own;
	return true;
}

/* ---- which ---- */

static bool is_allowed(struct import *im, struct cv_str name, struct cv_arena *scratch)
{
	const struct cv_glob *glob;
	struct cv_err err;

	for (size_t i = 0; i < im->server->allow_count; i++)
		if (cv_glob_compile(im->server->allow[i], CV_GLOB_TEXT, scratch, &glob, &err) ==
				CV_OK &&
			cv_glob_match(glob, name))
			return true;
	return false;
}

static bool is_taken(const struct import *im, struct cv_str name)
{
	for (size_t i = 0; i < im->n; i++)
		if (cv_str_eq(im->v[i].name, name))
			return true;
	return false;
}

static bool hint(const struct cv_value *tool, const char *name, bool otherwise)
{
	const struct cv_value *v =
		cv_value_get(cv_value_get(tool, CV_STR("annotations")), cv_str_of(name));

	return v ? v->type == CV_VALUE_TRUE : otherwise;
}

static struct cv_str description_of(struct import *im, const struct cv_value *tool)
{
	const struct cv_str s = cv_value_get_str(tool, CV_STR("description"));

	return cv_arena_str(&im->c->arena, cv_str_slice(s, 0, CV_TOOL_DESCRIPTION_BYTES_MAX));
}

static void tool_add(struct import *im, const struct cv_value *tool, struct cv_str name)
{
	struct cv_arena *arena = &im->c->arena;
	struct cv_tool t = {
		.name = cv_arena_printf(
			arena, "%.*s%.*s", CV_STR_ARG(im->server->prefix), CV_STR_ARG(name)),
		.description = description_of(im, tool),
		.pos = im->server->pos,
		.backend = CV_TOOL_MCP,
		.mcp = im->mcp,
		.mcp_tool = cv_arena_str(arena, name),
		.seconds = CV_TOOL_SECONDS_DEFAULT,
		.concurrency = CV_TOOL_CONCURRENCY_DEFAULT,
		.result_bytes_max = CV_TOOL_RESULT_BYTES_DEFAULT,
		.is_imported = true,
		.is_read_only = hint(tool, "readOnlyHint", false),
		.is_idempotent = hint(tool, "idempotentHint", false),
	};

	t.is_destructive = !t.is_read_only && hint(tool, "destructiveHint", true);
	if (!cv_mcp_name_is_strict(t.name))
		WARN(im, t.name,
			"left out: not a name of letters, digits, '_', '-' and single dots");
	else if (is_taken(im, t.name))
		WARN(im, t.name, "left out: there is another tool of this name");
	else if (im->n == CV_CATALOG_TOOLS_MAX)
		WARN(im, t.name, "left out: there are %d tools already", CV_CATALOG_TOOLS_MAX);
	else if (schema_take(im, &t, cv_value_get(tool, CV_STR("inputSchema"))))
		im->v[im->n++] = t;
}

/* Tools that the catalog itself has of this server, and that leave the schema to it. */
static void own_tools(struct import *im, const struct cv_value *tool, struct cv_str name)
{
	for (size_t i = 0; i < im->n; i++) {
		struct cv_tool *t = &im->v[i];

		if (t->backend == CV_TOOL_MCP && t->mcp == im->mcp && !t->is_imported &&
			!t->has_input && !im->has_taken[i] && cv_str_eq(t->mcp_tool, name))
			im->has_taken[i] =
				schema_take(im, t, cv_value_get(tool, CV_STR("inputSchema")));
	}
}

/* Room for what there is, all that comes, and a schema for each of both. */
static bool begin(struct import *im, const struct cv_value *tools)
{
	struct cv_catalog *c = im->c;
	const size_t more = CV_MIN((size_t)tools->n, (size_t)CV_CATALOG_TOOLS_MAX);

	im->v = cv_arena_array(&c->arena, CV_CATALOG_TOOLS_MAX + 1, sizeof(*im->v));
	im->schemas = cv_arena_array(
		&c->arena, c->schema_count + c->tool_count + 2 * more + 1, sizeof(*im->schemas));
	if (!im->v || !im->schemas)
		return false;
	for (size_t i = 0; i < c->tool_count; i++)
		if (!c->tools[i].is_imported || c->tools[i].mcp != im->mcp)
			im->v[im->n++] = c->tools[i];
	for (size_t i = 0; i < c->schema_count; i++)
		im->schemas[im->schema_count++] = c->schemas[i];
	return true;
}

cv_code cv_catalog_import(struct cv_catalog *c, uint32_t mcp, const struct cv_value *tools,
	struct cv_findings *findings, struct cv_err *err)
{
	struct import im = { .c = c, .mcp = mcp, .findings = findings };
	struct cv_arena scratch;

	cv_assert(mcp < c->mcp_count);
	im.server = &c->mcps[mcp];
	if (tools->type != CV_VALUE_ARRAY)
		return cv_fail(err, CV_INVALID, "the tools of '%.*s' are no list",
			CV_STR_ARG(im.server->name));
	if (!begin(&im, tools))
		return cv_fail(err, CV_LIMIT, "no memory for the tools of '%.*s'",
			CV_STR_ARG(im.server->name));
	cv_arena_init(&scratch, 4 << 20);
	for (uint32_t i = 0; i < tools->n && i < CV_CATALOG_TOOLS_MAX; i++) {
		const struct cv_str name = cv_value_get_str(&tools->v[i], CV_STR("name"));

		own_tools(&im, &tools->v[i], name);
		if (name.n && name.n <= CV_MCP_NAME_BYTES_MAX && is_allowed(&im, name, &scratch))
			tool_add(&im, &tools->v[i], name);
		cv_arena_reset(&scratch);
	}
	cv_arena_fini(&scratch);
	c->schemas = im.schemas; /* also on failure: what was compiled has to be freed */
	c->schema_count = im.schema_count;
	if (c->arena.is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory for the tools of '%.*s'",
			CV_STR_ARG(im.server->name));
	qsort(im.v, im.n, sizeof(*im.v), cv_tool_by_name);
	c->tools = im.v;
	c->tool_count = im.n;
	return CV_OK;
}
