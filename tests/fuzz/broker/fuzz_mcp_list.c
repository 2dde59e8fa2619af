/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_mcp_list.c - any JSON as a page of an MCP server's list of tools: what is kept has a strict
 * name, a schema and room; names that are there twice mean nothing
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "broker/mcp_tools.c"

/* What the file needs of the broker: nobody is told, and nothing is published. */
void audit_note(struct broker *b, bool is_error, const char *fmt, ...)
{
	(void)b;
	(void)is_error;
	(void)fmt;
}

struct tool_slot *tool_slot_find(struct broker *b, struct cv_str name)
{
	(void)b;
	(void)name;
	return NULL;
}

void tool_slots_publish(struct broker *b)
{
	(void)b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cv_tool_mcp its = { .name = CV_STR("fuzz") };
	struct mcp_server m = { .its = &its };
	const struct cv_value *v;
	struct cv_arena arena;
	struct cv_str cursor;
	struct cv_err err;

	cv_arena_init(&arena, 8 << 20);
	if (cv_json_value_read((struct cv_str){ (const char *)data, size }, &arena, &v, NULL) ==
		CV_JSON_PROBLEM_NONE) {
		/* twice: the second page has each name again */
		bool is_good = mcp_list_take(NULL, &m, v, &cursor, &err);
		const size_t once = m.fresh ? m.fresh->n : 0;

		is_good = is_good && mcp_list_take(NULL, &m, v, &cursor, &err);
		if (is_good)
			cv_assert(m.fresh->n == once);
		for (size_t i = 0; m.fresh && i < m.fresh->n; i++) {
			const struct mcp_entry *e = &m.fresh->v[i];

			cv_assert(cv_mcp_name_is_strict(e->name) && e->input && e->schema);
			cv_assert(!is_good || (e->is_twice && !mcp_list_find(m.fresh, e->name)));
		}
		mcp_list_free(m.fresh);
	}
	cv_arena_fini(&arena);
	return 0;
}
