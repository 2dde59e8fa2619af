/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_import.c - any JSON as the tools of an MCP server: what is taken has a strict name and a
 * schema, and every document that lists it is still well-formed, a line for each tool
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "policy/findings.h"
#include "tools/discover.h"
#include "tools/mcp.h"
#include "wire/json_value.h"

static const char text[] = "version: 1\n"
			   "mcp_servers: {m: {argv: [/m], allow: ['*', '*.*'], prefix: m.}}\n"
			   "tools: {own: {description: d, mcp: {server: m, tool: a}}}\n";

static size_t lines_of_tools(struct cv_str s)
{
	size_t n = 0;

	while (s.p)
		n += cv_str_has_prefix(cv_str_cut(&s, '\n'), CV_STR("- "));
	return n;
}

static void documents_check(const struct cv_catalog *c, struct cv_arena *arena)
{
	const struct cv_discover d = { .catalog = c, .version = CV_STR("0") };

	for (int what = 0; what < CV_DISCOVER_COUNT; what++) {
		const bool is_text = what == CV_DISCOVER_TEXT || what == CV_DISCOVER_SKILL;
		const struct cv_value *v;
		struct cv_buf out;

		cv_buf_init(&out, 16 << 20);
		cv_assert(cv_discover_write(&d, (enum cv_discover_document)what, &out));
		if (is_text)
			cv_assert(lines_of_tools(cv_buf_str(&out)) == c->tool_count);
		else
			cv_assert(cv_json_value_read(cv_buf_str(&out), arena, &v, NULL) ==
				  CV_JSON_PROBLEM_NONE);
		cv_buf_fini(&out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_value *v;
	struct cv_catalog *c = NULL;
	struct cv_findings f;
	struct cv_arena arena;
	struct cv_err err;

	cv_findings_init(&f);
	cv_arena_init(&arena, 64 << 20);
	cv_assert(cv_catalog_load(CV_STR("c"), cv_str_of(text), &c, &f) == CV_OK);
	if (size < 65536 && cv_json_value_read((struct cv_str){ (const char *)data, size }, &arena,
				    &v, NULL) == CV_JSON_PROBLEM_NONE) {
		for (int again = 0; again < 2; again++)
			if (cv_catalog_import(c, 0, v, &f, &err) == CV_OK)
				for (size_t i = 0; i < c->tool_count; i++)
					cv_assert(cv_mcp_name_is_strict(c->tools[i].name) &&
						  c->tools[i].schema);
		documents_check(c, &arena);
	}
	cv_catalog_free(c);
	cv_findings_fini(&f);
	cv_arena_fini(&arena);
	return 0;
}
