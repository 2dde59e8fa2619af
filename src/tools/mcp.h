/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp.h - messages of the Model Context Protocol: JSON-RPC 2.0, read strictly and written
 *
 * Both sides use it: the broker answers clients in a sandbox, and it is itself a client of MCP
 * servers.  A message comes as a value (wire/json_value.h), so repeated keys are refused before it
 * gets here.  What is refused besides (T16), each with a sentence that names the member:
 *
 *   - members that JSON-RPC does not have (the SDKs' own readers refuse them too)
 *   - an id that is null, a fraction or longer than CV_MCP_ID_BYTES_MAX; 1 and "1" are two ids, and an
 *     answer has the id as it was written
 *   - a request's method without an id, which would run a tool that nobody answers for, and a
 *     notification's with one
 *   - params that are a list
 *   - names of tools that are more than letters, digits, '_', '-' and single '.'s
 *   - a batch, where the version has none; an empty one, one too large, one with an id twice
 *
 * Writers append one line without blanks.  Pure.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"
#include "tools/limits.h"

/* clang-format off */
#define CV_MCP_VERSIONS(X) /* enum, text, has batches, has structured results */ \
	X(2024_11_05, "2024-11-05", false, false)                                \
	X(2025_03_26, "2025-03-26", true, false)                                 \
	X(2025_06_18, "2025-06-18", false, true)                                 \
	X(2025_11_25, "2025-11-25", false, true)

#define CV_MCP_METHODS(X) /* enum, text, is a request, may come from a client */ \
	X(UNKNOWN, "", true, true)                                               \
	X(INITIALIZE, "initialize", true, true)                                  \
	X(PING, "ping", true, true)                                              \
	X(TOOLS_LIST, "tools/list", true, true)                                  \
	X(TOOLS_CALL, "tools/call", true, true)                                  \
	X(SET_LEVEL, "logging/setLevel", true, true)                             \
	X(INITIALIZED, "notifications/initialized", false, true)                 \
	X(CANCELLED, "notifications/cancelled", false, true)                     \
	X(PROGRESS, "notifications/progress", false, true)                       \
	X(ROOTS_CHANGED, "notifications/roots/list_changed", false, true)        \
	X(MESSAGE, "notifications/message", false, false)                        \
	X(TOOLS_CHANGED, "notifications/tools/list_changed", false, false)

#define CV_MCP_ERRORS(X) /* enum, code */                                        \
	X(PARSE, -32700)                                                         \
	X(REQUEST, -32600)                                                       \
	X(METHOD, -32601)                                                        \
	X(PARAMS, -32602)                                                        \
	X(INTERNAL, -32603)                                                      \
	X(DENIED, -32003)      /* ours, from here on: policy, approval, token */ \
	X(UNAVAILABLE, -32004)                                                   \
	X(LIMIT, -32005)                                                         \
	X(TIMEOUT, -32006)
/* clang-format on */

#define CV_MCP_VERSION_ENUM(name, text, batch, structured) CV_MCP_##name,
enum cv_mcp_version { CV_MCP_VERSIONS(CV_MCP_VERSION_ENUM) CV_MCP_VERSION_COUNT };
#undef CV_MCP_VERSION_ENUM
#define CV_MCP_VERSION_NEWEST                           CV_MCP_2025_11_25
#define CV_MCP_VERSION_ASSUMED                          CV_MCP_2025_03_26 /* without MCP-Protocol-Version; the SDKs' too */

#define CV_MCP_METHOD_ENUM(name, text, request, client) CV_MCP_METHOD_##name,
enum cv_mcp_method { CV_MCP_METHODS(CV_MCP_METHOD_ENUM) CV_MCP_METHOD_COUNT };
#undef CV_MCP_METHOD_ENUM

#define CV_MCP_ERROR_ENUM(name, code) CV_MCP_ERROR_##name = code,
enum cv_mcp_error { CV_MCP_ERRORS(CV_MCP_ERROR_ENUM) };
#undef CV_MCP_ERROR_ENUM

/* ---- versions ---- */

struct cv_str cv_mcp_version_text(enum cv_mcp_version v);
/* False: a version that cove does not speak. */
CV_MUST bool cv_mcp_version_find(struct cv_str text, enum cv_mcp_version *ret);
/* What an initialize is answered with: the same, or the newest. */
enum cv_mcp_version cv_mcp_version_negotiate(struct cv_str asked);
bool cv_mcp_version_has_batches(enum cv_mcp_version v);

/* ---- reading ---- */

enum cv_mcp_kind { CV_MCP_REQUEST, CV_MCP_NOTIFICATION, CV_MCP_RESPONSE };

struct cv_mcp_message {
	enum cv_mcp_kind kind;
	enum cv_mcp_method method;             /* UNKNOWN: method_name is none of ours */
	struct cv_str method_name;             /* of a request or notification */
	const struct cv_value *id;             /* string or whole number; NULL for a notification */
	const struct cv_value *params;         /* an object; NULL: none */
	const struct cv_value *result;         /* of a response: an object, or NULL and error */
	const struct cv_value *error;          /* an object with code and message */
	const struct cv_value *progress_token; /* params._meta.progressToken; NULL: none wanted */
};

/* One message.  CV_INVALID: err says what is wrong and *ret_error what it is to JSON-RPC; ret->id is
 * set where there was one to answer. */
CV_MUST cv_code cv_mcp_read(const struct cv_value *v, struct cv_mcp_message *ret,
	enum cv_mcp_error *ret_error, struct cv_err *err);

/* The messages of a body: itself, or the members of a batch where the version has them.  *ret is an
 * array of *ret_n values, within v. */
CV_MUST cv_code cv_mcp_batch(const struct cv_value *v, enum cv_mcp_version version,
	const struct cv_value **ret, size_t *ret_n, struct cv_err *err);

/* Letters, digits, '_', '-' and '.', 1 to CV_MCP_NAME_BYTES_MAX of them, no two dots together and
 * neither '.' nor '-' at an end. */
CV_MUST bool cv_mcp_name_is_strict(struct cv_str name);

/* The same id: of the same type, and equal. */
CV_MUST bool cv_mcp_id_eq(const struct cv_value *a, const struct cv_value *b);

struct cv_mcp_call {
	struct cv_str name;
	const struct cv_value *arguments; /* an object, never NULL */
};

/* Params of the methods that have some.  CV_INVALID: answer with CV_MCP_ERROR_PARAMS. */
CV_MUST cv_code cv_mcp_read_call(
	const struct cv_mcp_message *m, struct cv_mcp_call *ret, struct cv_err *err);
/* The protocol version that a client asks for. */
CV_MUST cv_code cv_mcp_read_initialize(
	const struct cv_mcp_message *m, struct cv_str *ret_version, struct cv_err *err);
/* The cursor, or "" for the first page. */
CV_MUST cv_code cv_mcp_read_list(
	const struct cv_mcp_message *m, struct cv_str *ret_cursor, struct cv_err *err);
/* Whose request is cancelled. */
CV_MUST cv_code cv_mcp_read_cancelled(
	const struct cv_mcp_message *m, const struct cv_value **ret_id, struct cv_err *err);

/* ---- writing ----
 *
 * Texts named json are JSON already; others are escaped here.  Overflow is the buffer's. */

void cv_mcp_write_request(
	struct cv_buf *b, uint64_t id, enum cv_mcp_method method, struct cv_str params_json);
void cv_mcp_write_notification(
	struct cv_buf *b, enum cv_mcp_method method, struct cv_str params_json);
void cv_mcp_write_result(struct cv_buf *b, const struct cv_value *id, struct cv_str result_json);
/* id NULL: nobody knows whose; data_json may be empty. */
void cv_mcp_write_error(struct cv_buf *b, const struct cv_value *id, enum cv_mcp_error code,
	struct cv_str message, struct cv_str data_json);

/* total 0: unknown.  message may be empty. */
void cv_mcp_write_progress(struct cv_buf *b, const struct cv_value *token, uint64_t progress,
	uint64_t total, struct cv_str message);
/* level is one of syslog's words: "info". */
void cv_mcp_write_log(
	struct cv_buf *b, const char *level, struct cv_str logger, struct cv_str text);

struct cv_mcp_initialize {
	enum cv_mcp_version version;
	struct cv_str server_version, instructions; /* instructions may be empty */
	bool has_list_changed;
};

/* Results, to be handed to cv_mcp_write_result(). */
void cv_mcp_result_initialize(struct cv_buf *b, const struct cv_mcp_initialize *i);
/* structured_json: an object, or empty; left out where the version has none. */
void cv_mcp_result_call(struct cv_buf *b, enum cv_mcp_version version, struct cv_str text,
	struct cv_str structured_json, bool is_error);

/* What an answer of the route (docs/decisions/host-tools.md, Errors) is to JSON-RPC. */
enum cv_mcp_error cv_mcp_error_of_status(int http_status);
