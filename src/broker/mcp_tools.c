/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_tools.c - see mcp_client.h; a server's list of tools, and what of it the catalog has
 *
 * A list is read page by page into an arena of its own and takes the place of the one before when
 * it is whole: description, schema and hints at once, so that no call is judged by half of each.
 * Refused, and noted: names that are not strict, names that are there twice, schemas that can't be
 * compiled or are of no object, and names that the catalog has itself.
 *
 * Jobs keep pointers to their tool, so each name has a slot (broker.h) that never moves; the
 * catalog's sorted table is made anew from the slots.  A tool that vanished is not in the table,
 * and its slot says so to calls that are on their way.
 */
#include "broker/mcp_client.h"

#include "base/glob.h"
#include "wire/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mcp_list_free(struct mcp_list *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		cv_schema_free(l->v[i].schema);
	cv_arena_fini(&l->arena);
	free(l);
}

const struct mcp_entry *mcp_list_find(const struct mcp_list *l, struct cv_str name)
{
	for (size_t i = 0; l && i < l->n; i++)
		if (cv_str_eq(l->v[i].name, name) && !l->v[i].is_twice)
			return &l->v[i];
	return NULL;
}

/* ---- reading ---- */

/* The catalog's own copy: values of a message go with it. */
static const struct cv_value *value_copy(const struct cv_value *v, struct cv_arena *a)
{
	const struct cv_value *copy = NULL;
	struct cv_buf text;

	cv_buf_init(&text, MCP_SCHEMA_BYTES_MAX);
	if (cv_json_value_write(&text, v)) {
		const struct cv_str kept = cv_arena_str(a, cv_buf_str(&text));

		if (!kept.p || cv_json_value_read(kept, a, &copy, NULL) != CV_JSON_PROBLEM_NONE)
			copy = NULL;
	}
	cv_buf_fini(&text);
	return copy;
}

static bool is_true(const struct cv_value *o, struct cv_str key, bool otherwise)
{
	const struct cv_value *v = cv_value_get(o, key);

	return v ? v->type == CV_VALUE_TRUE : otherwise;
}

/* Why it is refused; NULL: it is in. */
static const char *entry_make(struct mcp_list *l, const struct cv_value *tool, struct mcp_entry *e)
{
	static struct cv_schema_errors errors; /* large; nobody reads them */
	const struct cv_str name = cv_value_get_str(tool, CV_STR("name"));
	const struct cv_value *schema = cv_value_get(tool, CV_STR("inputSchema"));
	const struct cv_value *hints = cv_value_get(tool, CV_STR("annotations"));
	struct cv_str description = cv_value_get_str(tool, CV_STR("description"));
	struct cv_arena texts;

	if (!cv_mcp_name_is_strict(name))
		return "its name has more than letters, digits, '_', '-' and '.'";
	if (!schema || schema->type != CV_VALUE_OBJECT ||
		!cv_str_eq(cv_value_get_str(schema, CV_STR("type")), CV_STR("object")))
		return "its inputSchema is of no object";
	description.n = CV_MIN(description.n, (size_t)CV_TOOL_DESCRIPTION_BYTES_MAX);
	*e = (struct mcp_entry){
		.name = cv_arena_str(&l->arena, name),
		.description = cv_arena_str(&l->arena, description),
		.input = value_copy(schema, &l->arena),
		.is_read_only = is_true(hints, CV_STR("readOnlyHint"), false),
		.is_destructive = is_true(hints, CV_STR("destructiveHint"), true),
		.is_idempotent = is_true(hints, CV_STR("idempotentHint"), false),
	};
	if (!e->input || l->arena.is_overflown)
		return "its inputSchema is too large";
	cv_arena_init(&texts, 1u << 20);
	cv_schema_errors_init(&errors, &texts);
	const cv_code code = cv_schema_compile(
		e->input, CV_SCHEMA_LENIENT | CV_SCHEMA_FORMAT_SAYS, &e->schema, &errors);
	cv_arena_fini(&texts);
	return code == CV_OK ? NULL : "its inputSchema can't be read";
}

static void entry_take(struct broker *b, const struct mcp_server *m, const struct cv_value *tool)
{
	struct mcp_list *l = m->fresh;
	struct mcp_entry *e = &l->v[l->n];
	struct cv_str name = cv_value_get_str(tool, CV_STR("name"));
	const char *why = entry_make(l, tool, e);

	for (size_t i = 0; i < l->n && !why; i++)
		if (cv_str_eq(l->v[i].name, name)) {
			why = "its name is there twice, and means neither";
			l->v[i].is_twice = true;
			cv_schema_free(e->schema);
		}
	if (!why) {
		l->n++;
		return;
	}
	name.n = CV_MIN(name.n, (size_t)64);
	if (l->refused++ < MCP_REFUSALS_NOTED)
		audit_note(b, true, "MCP server %.*s: tool '%.*s' is refused: %s",
			CV_STR_ARG(m->its->name), CV_STR_ARG(name), why);
}

bool mcp_list_take(struct broker *b, struct mcp_server *m, const struct cv_value *result,
	struct cv_str *ret_cursor, struct cv_err *err)
{
	const struct cv_value *tools = cv_value_get(result, CV_STR("tools"));

	if (!m->fresh) {
		m->fresh = calloc(1, sizeof(*m->fresh));
		if (!m->fresh)
			return cv_fail(err, CV_LIMIT, "no memory"), false;
		cv_arena_init(&m->fresh->arena, MCP_LIST_MEMORY_MAX);
	}
	if (!tools || tools->type != CV_VALUE_ARRAY)
		return cv_fail(err, CV_PROTO, "its list of tools is none"), false;
	if (++m->fresh->pages > MCP_PAGES_MAX)
		return cv_fail(err, CV_LIMIT, "its list has more than %d pages", MCP_PAGES_MAX),
		       false;
	for (uint32_t i = 0; i < tools->n; i++) {
		if (m->fresh->n == MCP_TOOLS_MAX)
			return cv_fail(err, CV_LIMIT, "it has more than %d tools", MCP_TOOLS_MAX),
			       false;
		entry_take(b, m, &tools->v[i]);
	}
	*ret_cursor = cv_value_get_str(result, CV_STR("nextCursor"));
	return true;
}

/* ---- into the catalog ---- */

static bool is_allowed(const struct mcp_server *m, struct cv_str name)
{
	struct cv_arena scratch;
	struct cv_err err;
	bool is = false;

	cv_arena_init(&scratch, 1u << 16);
	for (size_t i = 0; i < m->its->allow_count && !is; i++) {
		const struct cv_glob *glob;

		is = cv_glob_compile(m->its->allow[i], CV_GLOB_TEXT, &scratch, &glob, &err) ==
			     CV_OK &&
		     cv_glob_match(glob, name);
	}
	cv_arena_fini(&scratch);
	return is;
}

static void tool_fill(struct cv_tool *t, const struct mcp_entry *e)
{
	t->input = e->input;
	t->schema = e->schema;
	t->is_read_only = e->is_read_only;
	t->is_destructive = e->is_destructive;
	t->is_idempotent = e->is_idempotent;
}

static struct tool_slot *slot_new(
	struct broker *b, const struct mcp_server *m, struct cv_str name, const struct mcp_entry *e)
{
	struct tool_slot *s = b->slot_count < BROKER_SLOTS_MAX ? calloc(1, sizeof(*s)) : NULL;
	char *own = s ? cv_str_dup(name) : NULL;
	char *theirs = own ? cv_str_dup(e->name) : NULL;

	if (!theirs) {
		free(own);
		free(s);
		return NULL;
	}
	s->tool = (struct cv_tool){
		.name = { own, name.n },
		.mcp_tool = { theirs, e->name.n },
		.backend = CV_TOOL_MCP,
		.mcp = m->ref.index,
		.seconds = CV_TOOL_SECONDS_DEFAULT,
		.concurrency = CV_TOOL_CONCURRENCY_DEFAULT,
		.result_bytes_max = CV_TOOL_RESULT_BYTES_DEFAULT,
	};
	s->is_found = true;
	b->slots[b->slot_count++] = s;
	return s;
}

static void entry_publish(struct broker *b, const struct mcp_server *m, const struct mcp_entry *e)
{
	char text[CV_MCP_NAME_BYTES_MAX + CV_TOOL_NAME_BYTES_MAX + 1];
	const int n = snprintf(
		text, sizeof(text), "%.*s%.*s", CV_STR_ARG(m->its->prefix), CV_STR_ARG(e->name));
	const struct cv_str name = { text, (size_t)n };
	struct tool_slot *s = tool_slot_find(b, name);

	if (!is_allowed(m, e->name))
		return;
	if (s && (!s->is_found || s->tool.mcp != m->ref.index)) {
		audit_note(b, true,
			"MCP server %.*s: tool '%.*s' is refused: there is one of this name",
			CV_STR_ARG(m->its->name), CV_STR_ARG(name));
		return;
	}
	if (!s && !(s = slot_new(b, m, name, e))) {
		audit_note(b, true, "MCP server %.*s: more tools than there is room for",
			CV_STR_ARG(m->its->name));
		return;
	}
	tool_fill(&s->tool, e);
	s->tool.description = e->description;
	s->is_listed = true;
}

/* Those of the catalog that take the server's schema, or none when it has gone. */
static void named_fill(struct broker *b, const struct mcp_server *m)
{
	static const struct cv_value nothing = { .type = CV_VALUE_OBJECT };

	for (size_t i = 0; i < b->slot_count; i++) {
		struct tool_slot *s = b->slots[i];
		const struct mcp_entry *e;

		if (s->tool.backend != CV_TOOL_MCP || s->tool.mcp != m->ref.index)
			continue;
		e = mcp_list_find(m->list, s->tool.mcp_tool);
		if (s->is_found && !s->is_listed) {
			s->tool.input = &nothing;
			s->tool.schema = NULL;
		} else if (!s->is_found && !s->tool.has_input) {
			s->tool.input = e ? e->input : s->input;
			s->tool.schema = e ? e->schema : s->schema;
		}
	}
}

void mcp_list_commit(struct broker *b, struct mcp_server *m)
{
	struct mcp_list *before = m->list;

	m->list = m->fresh;
	m->fresh = NULL;
	for (size_t i = 0; i < b->slot_count; i++)
		if (b->slots[i]->is_found && b->slots[i]->tool.mcp == m->ref.index)
			b->slots[i]->is_listed = false;
	for (size_t i = 0; i < m->list->n; i++)
		if (!m->list->v[i].is_twice)
			entry_publish(b, m, &m->list->v[i]);
	named_fill(b, m);
	tool_slots_publish(b);
	mcp_list_free(before);
}
