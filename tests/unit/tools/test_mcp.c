/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mcp.c - what is a message of MCP and what is not, and what is written in answer
 */
#include "unit/test.h"

#include <stdio.h>

#include "tools/mcp.c"
#include "wire/json_value.h"

static struct cv_arena arena;
static struct cv_buf out;
static char shown[2048];

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 16 << 20);
	cv_buf_init(&out, sizeof(shown) - 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	cv_buf_fini(&out);
	return 0;
}

static const struct cv_value *value(const char *json)
{
	const struct cv_value *v = NULL;

	if (cv_json_value_read(cv_str_of(json), &arena, &v, NULL) != CV_JSON_PROBLEM_NONE)
		fail_msg("%s", json);
	return v;
}

/* "kind method id", or what is wrong. */
static const char *read_shown(const char *json)
{
	static const char *const kinds[] = { "request", "notification", "response" };
	struct cv_mcp_message m;
	enum cv_mcp_error code;
	struct cv_err err = { 0 };

	if (cv_mcp_read(value(cv_arena_str(&arena, cv_str_of(json)).p), &m, &code, &err) != CV_OK)
		snprintf(shown, sizeof(shown), "%d %s", (int)code, err.msg);
	else
		snprintf(shown, sizeof(shown), "%s %.*s %.*s", kinds[m.kind],
			CV_STR_ARG(m.method_name), CV_STR_ARG(m.id ? m.id->s : CV_STR("-")));
	return shown;
}

#define RPC "\"jsonrpc\":\"2.0\","
static void messages(void **state)
{
	static const struct {
		const char *json, *want;
	} row[] = {
		{ "{" RPC "\"id\":1,\"method\":\"tools/list\"}", "request tools/list 1" },
		{ "{" RPC "\"id\":\"a b\",\"method\":\"ping\",\"params\":{}}", "request ping a b" },
		{ "{" RPC "\"id\":-12345678901234567890,\"method\":\"x/y\"}",
			"request x/y -12345678901234567890" },
		{ "{" RPC "\"method\":\"notifications/initialized\"}",
			"notification notifications/initialized -" },
		{ "{" RPC "\"method\":\"notifications/other\"}",
			"notification notifications/other -" },
		{ "{" RPC "\"id\":1,\"result\":{}}", "response  1" },
		{ "{" RPC "\"id\":1,\"error\":{\"code\":-1,\"message\":\"m\"}}", "response  1" },
		{ "{" RPC "\"error\":{\"code\":-1,\"message\":\"m\"}}", "response  -" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_string_equal(read_shown(row[i].json), row[i].want);
}

static void t16_what_is_no_message(void **state)
{
	static const struct {
		const char *json, *want;
	} row[] = {
		{ "[]", "-32600 a message is an object, not of type array" },
		{ "1", "-32600 a message is an object, not of type number" },
		{ "{\"id\":1,\"method\":\"ping\"}", "-32600 jsonrpc is not \"2.0\"" },
		{ "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"ping\"}",
			"-32600 jsonrpc is not \"2.0\"" },
		{ "{" RPC "\"id\":null,\"method\":\"ping\"}", "-32600 id is neither" },
		{ "{" RPC "\"id\":1.5,\"method\":\"ping\"}", "-32600 id is neither" },
		{ "{" RPC "\"id\":1e2,\"method\":\"ping\"}", "-32600 id is neither" },
		{ "{" RPC "\"id\":{},\"method\":\"ping\"}", "-32600 id is neither" },
		{ "{" RPC "\"id\":true,\"method\":\"ping\"}", "-32600 id is neither" },
		{ "{" RPC "\"id\":1,\"method\":\"\"}", "-32600 method is no string" },
		{ "{" RPC "\"id\":1,\"method\":7}", "-32600 method is no string" },
		{ "{" RPC "\"id\":1,\"methd\":\"ping\"}",
			"-32600 a message has no member 'methd'; did you mean 'method'?" },
		{ "{" RPC "\"id\":1,\"method\":\"ping\",\"sandbox\":\"x\"}",
			"-32600 a message has no member 'sandbox'" },
		{ "{" RPC "\"id\":1,\"method\":\"ping\",\"params\":[1]}",
			"-32600 params is no object" },
		{ "{" RPC "\"id\":1,\"method\":\"ping\",\"params\":null}",
			"-32600 params is no object" },
		/* a call that nobody answers for */
		{ "{" RPC "\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}}",
			"-32600 'tools/call' needs an id" },
		{ "{" RPC "\"method\":\"x\"}", "-32600 'x' needs an id" },
		{ "{" RPC "\"id\":1,\"method\":\"notifications/cancelled\"}",
			"-32600 a notification has no id" },
		{ "{" RPC "\"id\":1,\"method\":\"notifications/x\"}",
			"-32600 a notification has no id" },
		/* answers and requests in one */
		{ "{" RPC "\"id\":1,\"method\":\"ping\",\"result\":{}}", "-32600 both a request" },
		{ "{" RPC "\"id\":1,\"result\":{},\"error\":{\"code\":1,\"message\":\"m\"}}",
			"-32600 neither a request" },
		{ "{" RPC "\"id\":1}", "-32600 neither a request" },
		{ "{" RPC "\"result\":{}}", "-32600 an answer needs an id" },
		{ "{" RPC "\"id\":1,\"result\":[]}", "-32600 an answer needs an id, and result" },
		{ "{" RPC "\"id\":1,\"error\":{}}", "-32600 error needs a code" },
		{ "{" RPC "\"id\":1,\"error\":{\"code\":1.5,\"message\":\"m\"}}",
			"-32600 error needs a code" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (strncmp(read_shown(row[i].json), row[i].want, strlen(row[i].want)) != 0)
			fail_msg("%s: %s", row[i].json, shown);
}

static void t16_tool_names(void **state)
{
	static const char *const good[] = { "a", "build_container", "files.read", "a-b.c_d", "A1",
		"7z" };
	static const char *const bad[] = { "", "a b", "a..b", ".a", "a.", "-a", "a-", "a/b", "../a",
		"build\xe2\x80\x8b_container", "build_c\xd0\xbentainer", "a\nb", "a\t", "a%2e",
		"a:b", "a*" };
	char long_name[CV_MCP_NAME_BYTES_MAX + 2];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(good); i++)
		assert_true(cv_mcp_name_is_strict(cv_str_of(good[i])));
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (cv_mcp_name_is_strict(cv_str_of(bad[i])))
			fail_msg("%s", bad[i]);
	assert_false(cv_mcp_name_is_strict((struct cv_str){ "a\0b", 3 }));
	memset(long_name, 'a', sizeof(long_name));
	assert_true(cv_mcp_name_is_strict((struct cv_str){ long_name, CV_MCP_NAME_BYTES_MAX }));
	assert_false(
		cv_mcp_name_is_strict((struct cv_str){ long_name, CV_MCP_NAME_BYTES_MAX + 1 }));
}

static const char *called(const char *params)
{
	struct cv_mcp_message m = { .params = params ? value(params) : NULL };
	struct cv_mcp_call call;
	struct cv_err err = { 0 };

	if (cv_mcp_read_call(&m, &call, &err) != CV_OK)
		snprintf(shown, sizeof(shown), "%s", err.msg);
	else
		snprintf(shown, sizeof(shown), "%.*s/%u", CV_STR_ARG(call.name), call.arguments->n);
	return shown;
}

static void calls(void **state)
{
	(void)state;
	assert_string_equal(called("{\"name\":\"a\"}"), "a/0");
	assert_string_equal(
		called("{\"name\":\"a\",\"arguments\":{\"x\":1,\"y\":2},\"_meta\":{}}"), "a/2");
	assert_string_equal(called(NULL), "params.name is no string");
	assert_string_equal(called("{\"name\":1}"), "params.name is no string");
	assert_string_equal(called("{\"name\":\"a\",\"argumens\":{}}"),
		"params has no member 'argumens'; did you mean 'arguments'?");
	assert_string_equal(
		called("{\"name\":\"a\",\"arguments\":[]}"), "params.arguments is no object");
	assert_string_equal(called("{\"name\":\"a b\"}"),
		"params.name has more than letters, digits, '_', '-' and single dots");
}

static void other_params(void **state)
{
	struct cv_mcp_message m = {
		.params = value("{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},"
				"\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}")
	};
	const struct cv_value *id;
	struct cv_err err;
	struct cv_str s;

	(void)state;
	assert_int_equal(cv_mcp_read_initialize(&m, &s, &err), CV_OK);
	assert_str(s, "2025-06-18");
	m.params = value("{\"protocolVersion\":\"2025-06-18\"}");
	assert_int_equal(cv_mcp_read_initialize(&m, &s, &err), CV_INVALID);
	m.params = NULL;
	assert_int_equal(cv_mcp_read_initialize(&m, &s, &err), CV_INVALID);
	assert_int_equal(cv_mcp_read_list(&m, &s, &err), CV_OK);
	assert_int_equal(s.n, 0);
	m.params = value("{\"cursor\":\"a.b\"}");
	assert_int_equal(cv_mcp_read_list(&m, &s, &err), CV_OK);
	assert_str(s, "a.b");
	m.params = value("{\"cursor\":7}");
	assert_int_equal(cv_mcp_read_list(&m, &s, &err), CV_INVALID);
	m.params = value("{\"requestId\":7,\"reason\":\"x\"}");
	assert_int_equal(cv_mcp_read_cancelled(&m, &id, &err), CV_OK);
	assert_true(cv_mcp_id_eq(id, value("7")));
	assert_false(cv_mcp_id_eq(id, value("\"7\"")));
	m.params = value("{}");
	assert_int_equal(cv_mcp_read_cancelled(&m, &id, &err), CV_INVALID);
}

static void t16_batches(void **state)
{
	static const char two[] =
		"[{" RPC "\"id\":1,\"method\":\"ping\"},{" RPC "\"id\":\"1\",\"method\":\"ping\"}]";
	const struct cv_value *v;
	struct cv_err err;
	char many[CV_MCP_BATCH_MAX * 3 + 8] = "[0";
	size_t n;

	(void)state;
	assert_int_equal(cv_mcp_batch(value(two), CV_MCP_2025_03_26, &v, &n, &err), CV_OK);
	assert_int_equal(n, 2);
	assert_int_equal(v[1].type, CV_VALUE_OBJECT);
	assert_int_equal(cv_mcp_batch(value("{}"), CV_MCP_2025_11_25, &v, &n, &err), CV_OK);
	assert_int_equal(n, 1);
	assert_int_equal(cv_mcp_batch(value(two), CV_MCP_2025_11_25, &v, &n, &err), CV_INVALID);
	assert_string_equal(err.msg, "version 2025-11-25 has no batches");
	assert_int_equal(cv_mcp_batch(value(two), CV_MCP_2025_06_18, &v, &n, &err), CV_INVALID);
	assert_int_equal(cv_mcp_batch(value(two), CV_MCP_2024_11_05, &v, &n, &err), CV_INVALID);
	assert_int_equal(cv_mcp_batch(value("[]"), CV_MCP_2025_03_26, &v, &n, &err), CV_INVALID);
	assert_int_equal(
		cv_mcp_batch(value("[{\"id\":1},{\"id\":1}]"), CV_MCP_2025_03_26, &v, &n, &err),
		CV_INVALID);
	assert_int_equal(cv_mcp_batch(value("[{\"method\":\"initialize\"}]"), CV_MCP_2025_03_26, &v,
				 &n, &err),
		CV_INVALID);
	for (size_t i = 0; i < CV_MCP_BATCH_MAX; i++)
		memcpy(many + 2 + 2 * i, ",0", 3);
	memcpy(many + 2 + 2 * CV_MCP_BATCH_MAX, "]", 2);
	assert_int_equal(cv_mcp_batch(value(many), CV_MCP_2025_03_26, &v, &n, &err), CV_INVALID);
}

static void versions(void **state)
{
	enum cv_mcp_version v;

	(void)state;
	assert_int_equal(cv_mcp_version_negotiate(CV_STR("2025-03-26")), CV_MCP_2025_03_26);
	assert_int_equal(cv_mcp_version_negotiate(CV_STR("2099-01-01")), CV_MCP_VERSION_NEWEST);
	assert_int_equal(cv_mcp_version_negotiate(CV_STR("")), CV_MCP_VERSION_NEWEST);
	assert_int_equal(CV_MCP_VERSION_NEWEST, CV_MCP_VERSION_COUNT - 1);
	assert_false(cv_mcp_version_find(CV_STR("2025-03-26 "), &v));
	for (int i = 0; i < CV_MCP_VERSION_COUNT; i++) {
		assert_true(cv_mcp_version_find(cv_mcp_version_text((enum cv_mcp_version)i), &v));
		assert_int_equal(v, i);
	}
}

/* What was written since the last time; it has to be one good value. */
static const char *written(void)
{
	assert_false(out.is_overflown);
	assert_true(cv_str_to_cstr(cv_buf_str(&out), shown, sizeof(shown)));
	cv_buf_reset(&out);
	(void)value(cv_arena_str(&arena, cv_str_of(shown)).p);
	return shown;
}

static void writing(void **state)
{
	const struct cv_mcp_initialize i = { .version = CV_MCP_2025_06_18,
		.server_version = CV_STR("0.1.0"),
		.instructions = CV_STR("a \"b\"\n"),
		.has_list_changed = true };

	(void)state;
	cv_mcp_write_request(&out, 7, CV_MCP_METHOD_TOOLS_LIST, CV_STR_NONE);
	assert_string_equal(written(), "{" RPC "\"id\":7,\"method\":\"tools/list\"}");
	cv_mcp_write_notification(&out, CV_MCP_METHOD_INITIALIZED, CV_STR_NONE);
	assert_string_equal(written(), "{" RPC "\"method\":\"notifications/initialized\"}");
	cv_mcp_write_result(&out, value("-12345678901234567890"), CV_STR_NONE);
	assert_string_equal(written(), "{" RPC "\"id\":-12345678901234567890,\"result\":{}}");
	cv_mcp_write_result(&out, value("\"a\\\"b\""), CV_STR("{\"x\":1}"));
	assert_string_equal(written(), "{" RPC "\"id\":\"a\\\"b\",\"result\":{\"x\":1}}");
	cv_mcp_write_error(&out, NULL, CV_MCP_ERROR_PARSE, CV_STR("no \"JSON\""), CV_STR_NONE);
	assert_string_equal(
		written(), "{" RPC "\"error\":{\"code\":-32700,\"message\":\"no \\\"JSON\\\"\"}}");
	cv_mcp_write_error(
		&out, value("1"), CV_MCP_ERROR_DENIED, CV_STR("m"), CV_STR("{\"a\":[]}"));
	assert_string_equal(written(),
		"{" RPC
		"\"id\":1,\"error\":{\"code\":-32003,\"message\":\"m\",\"data\":{\"a\":[]}}}");
	cv_mcp_write_progress(&out, value("\"t\""), 3, 10, CV_STR("m"));
	assert_string_equal(written(),
		"{" RPC "\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"t\","
		"\"progress\":3,\"total\":10,\"message\":\"m\"}}");
	cv_mcp_write_log(&out, "info", CV_STR("deploy"), CV_STR("x\n"));
	assert_string_equal(written(),
		"{" RPC "\"method\":\"notifications/message\",\"params\":{\"level\":\"info\","
		"\"logger\":\"deploy\",\"data\":\"x\\n\"}}");
	cv_mcp_result_initialize(&out, &i);
	assert_string_equal(written(),
		"{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},"
		"\"tools\":{\"listChanged\":true}},\"serverInfo\":{\"name\":\"cove\",\"version\":\"0.1.0\"},"
		"\"instructions\":\"a \\\"b\\\"\\n\"}");
	cv_mcp_result_call(&out, CV_MCP_2025_06_18, CV_STR("t"), CV_STR("{\"output\":1}"), false);
	assert_string_equal(written(),
		"{\"content\":[{\"type\":\"text\",\"text\":\"t\"}],\"structuredContent\":{\"output\":1},\"isError\":false}");
	cv_mcp_result_call(&out, CV_MCP_2025_03_26, CV_STR("t"), CV_STR("{\"output\":1}"), true);
	assert_string_equal(
		written(), "{\"content\":[{\"type\":\"text\",\"text\":\"t\"}],\"isError\":true}");
}

/* What we write we also read: the broker is a client of MCP servers. */
static void written_messages_are_read(void **state)
{
	(void)state;
	cv_mcp_write_request(&out, 7, CV_MCP_METHOD_TOOLS_CALL, CV_STR("{\"name\":\"a\"}"));
	assert_string_equal(read_shown(written()), "request tools/call 7");
	cv_mcp_write_result(&out, value("7"), CV_STR_NONE);
	assert_string_equal(read_shown(written()), "response  7");
	cv_mcp_write_error(&out, value("7"), CV_MCP_ERROR_INTERNAL, CV_STR("m"), CV_STR_NONE);
	assert_string_equal(read_shown(written()), "response  7");
	cv_mcp_write_progress(&out, value("1"), 1, 0, CV_STR_NONE);
	assert_string_equal(read_shown(written()), "notification notifications/progress -");
}

static void progress_tokens(void **state)
{
	struct cv_mcp_message m;
	enum cv_mcp_error code;
	struct cv_err err;

	(void)state;
	assert_int_equal(
		cv_mcp_read(
			value("{" RPC
			      "\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"_meta\":{\"progressToken\":5}}}"),
			&m, &code, &err),
		CV_OK);
	assert_str(m.progress_token->s, "5");
	assert_int_equal(
		cv_mcp_read(
			value("{" RPC
			      "\"id\":1,\"method\":\"ping\",\"params\":{\"_meta\":{\"progressToken\":[]}}}"),
			&m, &code, &err),
		CV_OK);
	assert_null(m.progress_token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(t16_what_is_no_message),
		cmocka_unit_test(t16_tool_names),
		cmocka_unit_test(calls),
		cmocka_unit_test(other_params),
		cmocka_unit_test(t16_batches),
		cmocka_unit_test(versions),
		cmocka_unit_test(writing),
		cmocka_unit_test(written_messages_are_read),
		cmocka_unit_test(progress_tokens),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
