/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_mcp.c - any JSON as messages of MCP: what is taken keeps the promises of mcp.h, and an answer
 * to it is read back as one, with the same id
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "tools/mcp.h"
#include "wire/json_value.h"

static void answer_check(const struct cv_mcp_message *m, struct cv_arena *arena)
{
	struct cv_mcp_message again;
	const struct cv_value *v;
	enum cv_mcp_error code;
	struct cv_err err;
	struct cv_buf out;

	cv_buf_init(&out, 1 << 16);
	cv_mcp_write_error(&out, m->id, CV_MCP_ERROR_INTERNAL, CV_STR("m"), CV_STR_NONE);
	cv_assert(cv_json_value_read(cv_buf_str(&out), arena, &v, NULL) == CV_JSON_PROBLEM_NONE);
	cv_assert(cv_mcp_read(v, &again, &code, &err) == CV_OK && again.kind == CV_MCP_RESPONSE);
	cv_assert(cv_mcp_id_eq(again.id, m->id));
	cv_buf_fini(&out);
}

static void message_check(const struct cv_value *v, struct cv_arena *arena)
{
	const struct cv_value *id;
	struct cv_mcp_message m;
	struct cv_mcp_call call;
	enum cv_mcp_error code;
	struct cv_err err = { 0 };
	struct cv_str s;

	if (cv_mcp_read(v, &m, &code, &err) != CV_OK) {
		cv_assert(err.msg[0] && code == CV_MCP_ERROR_REQUEST);
		return;
	}
	cv_assert((m.kind == CV_MCP_NOTIFICATION) <= (m.id == NULL));
	cv_assert((m.kind == CV_MCP_REQUEST) <= (m.id != NULL && m.method_name.n));
	cv_assert(!m.params || m.params->type == CV_VALUE_OBJECT);
	if (m.id)
		answer_check(&m, arena);
	if (cv_mcp_read_call(&m, &call, &err) == CV_OK)
		cv_assert(cv_mcp_name_is_strict(call.name) &&
			  call.arguments->type == CV_VALUE_OBJECT);
	(void)!cv_mcp_read_initialize(&m, &s, &err);
	(void)!cv_mcp_read_list(&m, &s, &err);
	(void)!cv_mcp_read_cancelled(&m, &id, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_value *v, *items;
	struct cv_arena arena;
	struct cv_err err = { 0 };
	size_t n;

	cv_arena_init(&arena, 8 << 20);
	if (cv_json_value_read((struct cv_str){ (const char *)data, size }, &arena, &v, NULL) ==
		CV_JSON_PROBLEM_NONE) {
		if (cv_mcp_batch(v, CV_MCP_2025_03_26, &items, &n, &err) == CV_OK) {
			cv_assert(n && n <= CV_MCP_BATCH_MAX);
			for (size_t i = 0; i < n; i++)
				message_check(&items[i], &arena);
		}
	}
	cv_arena_fini(&arena);
	return 0;
}
