/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_write.c - messages of the Model Context Protocol, written; see mcp.h
 */
#include "base/assert.h"
#include "tools/mcp.h"
#include "wire/json_value.h"

static void put(struct cv_buf *b, const char *text)
{
	cv_buf_put(b, cv_str_of(text));
}

static void put_member(struct cv_buf *b, const char *before, struct cv_str s)
{
	put(b, before);
	cv_buf_put_json_str(b, s);
}

/* As it was written: a number is its text, so that 007 or a long one stay what they are. */
static void put_id(struct cv_buf *b, const struct cv_value *id)
{
	if (id->type == CV_VALUE_NUMBER)
		cv_buf_put(b, id->s);
	else
		cv_buf_put_json_str(b, id->s);
}

static struct cv_str method_text(enum cv_mcp_method method)
{
#define METHOD_TEXT(name, text, request, client) { text, sizeof(text) - 1 },
	static const struct cv_str texts[] = { CV_MCP_METHODS(METHOD_TEXT) };

	cv_assert(method > CV_MCP_METHOD_UNKNOWN && method < CV_MCP_METHOD_COUNT);
	return texts[method];
}

static void put_method(struct cv_buf *b, enum cv_mcp_method method, struct cv_str params_json)
{
	put_member(b, "\"method\":", method_text(method));
	if (params_json.n) {
		put(b, ",\"params\":");
		cv_buf_put(b, params_json);
	}
	put(b, "}");
}

void cv_mcp_write_request(
	struct cv_buf *b, uint64_t id, enum cv_mcp_method method, struct cv_str params_json)
{
	cv_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"id\":%llu,", (unsigned long long)id);
	put_method(b, method, params_json);
}

void cv_mcp_write_notification(
	struct cv_buf *b, enum cv_mcp_method method, struct cv_str params_json)
{
	put(b, "{\"jsonrpc\":\"2.0\",");
	put_method(b, method, params_json);
}

void cv_mcp_write_result(struct cv_buf *b, const struct cv_value *id, struct cv_str result_json)
{
	put(b, "{\"jsonrpc\":\"2.0\",\"id\":");
	put_id(b, id);
	put(b, ",\"result\":");
	cv_buf_put(b, result_json.n ? result_json : CV_STR("{}"));
	put(b, "}");
}

void cv_mcp_write_error(struct cv_buf *b, const struct cv_value *id, enum cv_mcp_error code,
	struct cv_str message, struct cv_str data_json)
{
	put(b, "{\"jsonrpc\":\"2.0\"");
	if (id) { /* null is what JSON-RPC has for it, and what the SDKs' readers refuse */
		put(b, ",\"id\":");
		put_id(b, id);
	}
	cv_buf_printf(b, ",\"error\":{\"code\":%d", (int)code);
	put_member(b, ",\"message\":", message);
	if (data_json.n) {
		put(b, ",\"data\":");
		cv_buf_put(b, data_json);
	}
	put(b, "}}");
}

void cv_mcp_write_progress(struct cv_buf *b, const struct cv_value *token, uint64_t progress,
	uint64_t total, struct cv_str message)
{
	put(b, "{\"jsonrpc\":\"2.0\",");
	put_member(b, "\"method\":", method_text(CV_MCP_METHOD_PROGRESS));
	put(b, ",\"params\":{\"progressToken\":");
	put_id(b, token);
	cv_buf_printf(b, ",\"progress\":%llu", (unsigned long long)progress);
	if (total)
		cv_buf_printf(b, ",\"total\":%llu", (unsigned long long)total);
	if (message.n)
		put_member(b, ",\"message\":", message);
	put(b, "}}");
}

void cv_mcp_write_log(struct cv_buf *b, const char *level, struct cv_str logger, struct cv_str text)
{
	put(b, "{\"jsonrpc\":\"2.0\",");
	put_member(b, "\"method\":", method_text(CV_MCP_METHOD_MESSAGE));
	put_member(b, ",\"params\":{\"level\":", cv_str_of(level));
	if (logger.n)
		put_member(b, ",\"logger\":", logger);
	put_member(b, ",\"data\":", text);
	put(b, "}}");
}

/* ---- results ---- */

void cv_mcp_result_initialize(struct cv_buf *b, const struct cv_mcp_initialize *i)
{
	put_member(b, "{\"protocolVersion\":", cv_mcp_version_text(i->version));
	cv_buf_printf(b, ",\"capabilities\":{\"logging\":{},\"tools\":{\"listChanged\":%s}}",
		i->has_list_changed ? "true" : "false");
	put_member(b, ",\"serverInfo\":{\"name\":\"cove\",\"version\":", i->server_version);
	put(b, "}");
	if (i->instructions.n)
		put_member(b, ",\"instructions\":", i->instructions);
	put(b, "}");
}

static bool has_structured(enum cv_mcp_version version)
{
#define STRUCTURED_ROW(name, text, batch, structured) structured,
	static const bool has[] = { CV_MCP_VERSIONS(STRUCTURED_ROW) };

	cv_assert(version < CV_MCP_VERSION_COUNT);
	return has[version];
}

void cv_mcp_result_call(struct cv_buf *b, enum cv_mcp_version version, struct cv_str text,
	struct cv_str structured_json, bool is_error)
{
	put_member(b, "{\"content\":[{\"type\":\"text\",\"text\":", text);
	put(b, "}]");
	if (structured_json.n && has_structured(version)) {
		put(b, ",\"structuredContent\":");
		cv_buf_put(b, structured_json);
	}
	cv_buf_printf(b, ",\"isError\":%s}", is_error ? "true" : "false");
}
