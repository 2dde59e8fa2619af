/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_catalog.c - any bytes as a catalog: a failure is never silent, and every tool that comes out is
 * found by its name, has what the broker relies on, and a route that leads to it alone
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "policy/findings.h"
#include "tools/catalog.h"

static void tool_check(const struct cv_catalog *c, const struct cv_tool *t, struct cv_arena *arena)
{
	struct cv_tool_route_args args;

	cv_assert(cv_tool_name_is_good(t->name) && cv_catalog_find(c, t->name) == t);
	cv_assert(t->input && t->input->type == CV_VALUE_OBJECT && t->schema);
	cv_assert(t->seconds && t->concurrency && t->result_bytes_max);
	cv_assert((t->backend == CV_TOOL_COMMAND) == (t->command != NULL));
	if (t->command) {
		cv_assert(t->command->argc && t->command->argv[0]->is_literal);
		for (size_t i = 0; i < t->command->argc; i++)
			cv_assert(t->command->argv[i]);
	}
	if (t->backend == CV_TOOL_SERVER)
		cv_assert(t->server < c->server_count && t->http->path);
	if (t->backend == CV_TOOL_MCP)
		cv_assert(t->mcp < c->mcp_count);
	if (t->route.n && !cv_str_has_byte(t->route, '{'))
		cv_assert(cv_catalog_route(c, t->method, t->route, &args, arena) == t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	struct cv_catalog *c = NULL;
	struct cv_findings f;
	struct cv_arena arena;

	cv_arena_init(&arena, 1 << 20);
	cv_findings_init(&f);
	const cv_code code = cv_catalog_load(CV_STR("c"), text, &c, &f);
	cv_assert((code == CV_OK) == (c != NULL));
	cv_assert((code == CV_OK) == (f.error_count == 0));
	for (size_t i = 0; c && i < c->tool_count; i++)
		tool_check(c, &c->tools[i], &arena);
	cv_catalog_free(c);
	cv_findings_fini(&f);
	cv_arena_fini(&arena);
	return 0;
}
