/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.c - the policy language, version 1, as tables: one per mapping level, one row per key
 *
 * Names are OpenShell's (openshell-behaviour 3.1 to 3.3); credential_mode,
 * scrub, body_hold, token_endpoint, enforcement: approve and tools are ours.  What a value may be
 * beyond its type is validation's business (validate.c).
 */
#include "policy/check_int.h"
#include "policy/fill.h"

#include <assert.h>
#include <stddef.h>

#define AT(type, member) .at = offsetof(type, member)

/* A list of mappings whose pointer is `member` and whose count is `count`. */
#define LIST(type, member, count, schema) \
	AT(type, member), .at_n = offsetof(type, count), .sub = &(schema)

#define PROTOCOL_WORD(id, yaml)    { yaml, CV_PROTOCOL_##id },
#define TLS_WORD(id, yaml)         { yaml, CV_TLS_##id },
#define ACCESS_WORD(id, yaml)      { yaml, CV_ACCESS_##id },
#define ENFORCEMENT_WORD(id, yaml) { yaml, CV_ENFORCEMENT_##id },
#define SCRUB_WORD(id, yaml)       { yaml, CV_SCRUB_##id },
#define HOLD_WORD(id, yaml)        { yaml, CV_BODY_HOLD_##id },
#define MODE_WORD(id, yaml)        { yaml, CV_CREDENTIAL_MODE_##id },

static const struct cv_fill_word protocol_words[] = { CV_POLICY_PROTOCOLS(PROTOCOL_WORD){ NULL } };
static const struct cv_fill_word tls_words[] = { CV_POLICY_TLS_MODES(TLS_WORD){ NULL } };
static const struct cv_fill_word access_words[] = { CV_POLICY_ACCESSES(ACCESS_WORD){ NULL } };
static const struct cv_fill_word scrub_words[] = { CV_POLICY_SCRUBS(SCRUB_WORD){ NULL } };
static const struct cv_fill_word body_hold_words[] = { CV_POLICY_BODY_HOLDS(HOLD_WORD){ NULL } };
static const struct cv_fill_word credential_mode_words[] = { CV_POLICY_CREDENTIAL_MODES(MODE_WORD){
	NULL } };
static const struct cv_fill_word enforcement_words[] = {
	{ "", CV_ENFORCEMENT_AUDIT },
	CV_POLICY_ENFORCEMENTS(ENFORCEMENT_WORD){ NULL },
};
static const struct cv_fill_word approval_words[] = {
	{ "", CV_TOOL_APPROVAL_NEVER },
	{ "never", CV_TOOL_APPROVAL_NEVER },
	{ "once", CV_TOOL_APPROVAL_ONCE },
	{ "always", CV_TOOL_APPROVAL_ALWAYS },
	{ NULL },
};
static const struct cv_fill_word compatibility_words[] = {
	{ "", CV_LANDLOCK_BEST_EFFORT },
	{ "best_effort", CV_LANDLOCK_BEST_EFFORT },
	{ "hard_requirement", CV_LANDLOCK_HARD_REQUIREMENT },
	{ NULL },
};

/* clang-format off */
#define R struct cv_policy_rule
static const struct cv_fill_key rule_keys[] = { /* allow: and an element of deny_rules */
	{ "method",         CV_FILL_TEXT,     AT(R, method) },
	{ "path",           CV_FILL_TEXT,     AT(R, path) },
	{ "command",        CV_FILL_TEXT,     AT(R, command) },
	{ "query",          CV_FILL_MATCHERS, AT(R, query), .at_n = offsetof(R, query_count) },
	{ "operation_type", CV_FILL_TEXT,     AT(R, operation_type) },
	{ "operation_name", CV_FILL_TEXT,     AT(R, operation_name) },
	{ "fields",         CV_FILL_TEXTS,    AT(R, fields) },
	{ "tool",           CV_FILL_GLOBS,    AT(R, tool) },
	{ "params",         CV_FILL_MATCHERS, AT(R, params), .at_n = offsetof(R, params_count) },
};
static const struct cv_fill_table rule_schema = { CV_FILL_TABLE("a rule", rule_keys),
	.size = sizeof(R), .has_pos = true };

static const struct cv_fill_key allow_keys[] = {
	{ "allow", CV_FILL_INSIDE, .sub = &rule_schema, .is_required = true },
};
static const struct cv_fill_table allow_schema = { CV_FILL_TABLE("an element of rules", allow_keys),
	.hint = "write \"- allow: {method: GET, path: ...}\"; denials go into deny_rules",
	.size = sizeof(R), .has_pos = true };

#define Q struct cv_policy_persisted_query
static const struct cv_fill_key persisted_keys[] = {
	{ "operation_type", CV_FILL_TEXT,  AT(Q, operation_type) },
	{ "operation_name", CV_FILL_TEXT,  AT(Q, operation_name) },
	{ "fields",         CV_FILL_TEXTS, AT(Q, fields) },
};
static const struct cv_fill_table persisted_schema = { CV_FILL_TABLE("a persisted query", persisted_keys),
	.size = sizeof(Q), .at_key = offsetof(Q, id) };

#define E struct cv_policy_endpoint
static const struct cv_fill_key json_rpc_keys[] = {
	{ "max_body_bytes", CV_FILL_BYTES, AT(E, json_rpc_max_body_bytes) },
};
static const struct cv_fill_table json_rpc_schema = { CV_FILL_TABLE("json_rpc", json_rpc_keys) };

static const struct cv_fill_key mcp_keys[] = {
	{ "max_body_bytes",              CV_FILL_BYTES, AT(E, mcp_max_body_bytes) },
	{ "strict_tool_names",           CV_FILL_BOOL,  AT(E, mcp_strict_tool_names) },
	{ "allow_all_known_mcp_methods", CV_FILL_BOOL,  AT(E, mcp_allow_all_known_methods) },
};
static const struct cv_fill_table mcp_schema = { CV_FILL_TABLE("mcp", mcp_keys) };

static const struct cv_fill_key binding_keys[] = {
	{ "provider", CV_FILL_TEXT, AT(E, credential_binding_provider), .is_required = true },
};
static const struct cv_fill_table binding_schema = { CV_FILL_TABLE("credential_binding", binding_keys) };

#define RULES(member, schema) LIST(E, member.v, member.n, schema), \
	.at_pos = offsetof(E, member.pos), .at_has = offsetof(E, member.is_present)
#define PORTS AT(E, ports), .at_n = offsetof(E, port_count), .at_pos = offsetof(E, ports_pos)
#define WORD(id, words_) AT(E, id), .at_text = offsetof(E, id##_text), .words = words_
static const struct cv_fill_key endpoint_keys[] = {
	{ "host",                 CV_FILL_TEXT,  AT(E, host) },
	{ "port",                 CV_FILL_PORT,  PORTS },
	{ "ports",                CV_FILL_PORTS, PORTS },
	{ "path",                 CV_FILL_TEXT,  AT(E, path) },
	{ "protocol",             CV_FILL_WORD,  WORD(protocol, protocol_words) },
	{ "tls",                  CV_FILL_WORD,  WORD(tls, tls_words) },
	{ "enforcement",          CV_FILL_WORD,  WORD(enforcement, enforcement_words) },
	{ "access",               CV_FILL_WORD,  WORD(access, access_words) },
	{ "rules",                CV_FILL_LIST,  RULES(rules, allow_schema) },
	{ "deny_rules",           CV_FILL_LIST,  RULES(deny_rules, rule_schema) },
	{ "allowed_ips",          CV_FILL_TEXTS, AT(E, allowed_ips) },
	{ "allow_encoded_slash",  CV_FILL_BOOL,  AT(E, allow_encoded_slash) },
	{ "h2c",                  CV_FILL_BOOL,  AT(E, h2c) },
	{ "websocket_credential_rewrite",    CV_FILL_BOOL, AT(E, websocket_credential_rewrite) },
	{ "request_body_credential_rewrite", CV_FILL_BOOL, AT(E, request_body_credential_rewrite) },
	{ "allow_uninspected_credentials",   CV_FILL_BOOL, AT(E, allow_uninspected_credentials) },
	{ "credential_signing",   CV_FILL_TEXT,  AT(E, credential_signing) },
	{ "signing_service",      CV_FILL_TEXT,  AT(E, signing_service) },
	{ "signing_region",       CV_FILL_TEXT,  AT(E, signing_region) },
	{ "credential_binding",   CV_FILL_INSIDE, .sub = &binding_schema,
		.at_has = offsetof(E, has_credential_binding) },
	{ "token_endpoint",       CV_FILL_BOOL,  AT(E, token_endpoint) },
	{ "credential_mode",      CV_FILL_WORD,  WORD(credential_mode, credential_mode_words) },
	{ "scrub",                CV_FILL_WORD,  WORD(scrub, scrub_words) },
	{ "body_hold",            CV_FILL_WORD,  WORD(body_hold, body_hold_words) },
	{ "persisted_queries",    CV_FILL_TEXT,  AT(E, persisted_queries) },
	{ "graphql_persisted_queries", CV_FILL_NAMED, LIST(E, graphql_persisted_queries,
		graphql_persisted_query_count, persisted_schema),
		.at_has = offsetof(E, has_graphql_persisted_queries) },
	{ "graphql_max_body_bytes", CV_FILL_BYTES, AT(E, graphql_max_body_bytes) },
	{ "json_rpc",             CV_FILL_INSIDE, .sub = &json_rpc_schema,
		.at_has = offsetof(E, has_json_rpc) },
	{ "mcp",                  CV_FILL_INSIDE, .sub = &mcp_schema, .at_has = offsetof(E, has_mcp) },
};
/* clang-format on */

static void endpoint_init(void *elem)
{
	((struct cv_policy_endpoint *)elem)->mcp_strict_tool_names = true;
}

/* clang-format off */
const struct cv_fill_table cv_policy_endpoint_schema = { CV_FILL_TABLE("an endpoint", endpoint_keys),
	.size = sizeof(E), .has_pos = true, .at_key_pos = offsetof(E, key_pos), .init = endpoint_init };
static_assert(CV_ARRAY_LEN(endpoint_keys) == CV_POLICY_ENDPOINT_KEYS, "a place for each key");

struct cv_policy_pos cv_policy_key_pos(const struct cv_policy_endpoint *e, const char *key)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(endpoint_keys); i++)
		if (strcmp(endpoint_keys[i].name, key) == 0)
			return e->key_pos[i];
	return (struct cv_policy_pos){ 0 };
}

static const struct cv_fill_key binary_keys[] = {
	{ "path",    CV_FILL_TEXT, AT(struct cv_policy_binary, path), .is_required = true },
	{ "harness", CV_FILL_DROPPED }, /* deprecated upstream: read and ignored */
};
const struct cv_fill_table cv_policy_binary_schema = { CV_FILL_TABLE("a binary", binary_keys),
	.size = sizeof(struct cv_policy_binary), .scalar = &binary_keys[0] };

#define N struct cv_policy_entry
static const struct cv_fill_key entry_keys[] = {
	{ "name",      CV_FILL_STR,  AT(N, name) },
	{ "endpoints", CV_FILL_LIST, LIST(N, endpoints, endpoint_count, cv_policy_endpoint_schema) },
	{ "binaries",  CV_FILL_LIST, LIST(N, binaries, binary_count, cv_policy_binary_schema),
		.at_has = offsetof(N, has_binaries) },
};
static const struct cv_fill_table entry_schema = { CV_FILL_TABLE("a network policy", entry_keys),
	.size = sizeof(N), .has_pos = true, .at_key = offsetof(N, key) };

#define M struct cv_policy_middleware
static const struct cv_fill_key selector_keys[] = {
	{ "include", CV_FILL_TEXTS, AT(M, include) },
	{ "exclude", CV_FILL_TEXTS, AT(M, exclude) },
};
static const struct cv_fill_table selector_schema = { CV_FILL_TABLE("endpoints", selector_keys) };

static const struct cv_fill_key middleware_keys[] = {
	{ "name",       CV_FILL_TEXT,     AT(M, name) },
	{ "middleware", CV_FILL_TEXT,     AT(M, middleware) },
	{ "order",      CV_FILL_ORDER,    AT(M, order) },
	{ "config",     CV_FILL_NODE,     AT(M, config), .at_has = offsetof(M, has_config) },
	{ "on_error",   CV_FILL_TEXT,     AT(M, on_error) },
	{ "endpoints",  CV_FILL_INSIDE,   .sub = &selector_schema },
};
static const struct cv_fill_table middleware_schema = { CV_FILL_TABLE("a middleware", middleware_keys),
	.size = sizeof(M), .has_pos = true, .at_key = offsetof(M, key) };

#define A struct cv_policy_argument
static const struct cv_fill_key range_keys[] = {
	{ "min", CV_FILL_NODE, AT(A, range_min), .at_has = offsetof(A, has_range_min) },
	{ "max", CV_FILL_NODE, AT(A, range_max), .at_has = offsetof(A, has_range_max) },
};
static const struct cv_fill_table range_schema = { CV_FILL_TABLE("range", range_keys) };

static const struct cv_fill_key length_keys[] = {
	{ "min", CV_FILL_COUNT, AT(A, length_min), .at_has = offsetof(A, has_length_min) },
	{ "max", CV_FILL_COUNT, AT(A, length_max), .at_has = offsetof(A, has_length_max) },
};
static const struct cv_fill_table length_schema = { CV_FILL_TABLE("length", length_keys) };

static const struct cv_fill_key argument_keys[] = {
	{ "path",     CV_FILL_TEXT,   AT(A, path), .is_required = true },
	{ "equals",   CV_FILL_NODE,   AT(A, equals), .at_has = offsetof(A, has_equals) },
	{ "in",       CV_FILL_NODE,   AT(A, in), .at_has = offsetof(A, has_in) },
	{ "glob",     CV_FILL_TEXT,   AT(A, glob) },
	{ "range",    CV_FILL_INSIDE, .sub = &range_schema, .at_has = offsetof(A, has_range) },
	{ "length",   CV_FILL_INSIDE, .sub = &length_schema, .at_has = offsetof(A, has_length) },
	{ "optional", CV_FILL_BOOL,   AT(A, is_optional) },
};
static const struct cv_fill_table argument_schema = { CV_FILL_TABLE("an argument", argument_keys),
	.size = sizeof(A), .has_pos = true };

#define T struct cv_policy_tool_rule
static const struct cv_fill_key limits_keys[] = {
	{ "calls",       CV_FILL_BYTES, AT(T, calls) },
	{ "concurrency", CV_FILL_BYTES, AT(T, concurrency) },
	{ "seconds",     CV_FILL_BYTES, AT(T, seconds) },
	{ "bytes",       CV_FILL_BYTES, AT(T, bytes) },
};
static const struct cv_fill_table limits_schema = { CV_FILL_TABLE("limits", limits_keys) };

static const struct cv_fill_key tool_rule_keys[] = {
	{ "tools",     CV_FILL_TEXTS,  AT(T, tools), .is_required = true },
	{ "binaries",  CV_FILL_LIST,   LIST(T, binaries, binary_count, cv_policy_binary_schema),
		.at_has = offsetof(T, has_binaries) },
	{ "arguments", CV_FILL_LIST,   LIST(T, arguments, argument_count, argument_schema),
		.at_has = offsetof(T, has_arguments) },
	{ "limits",    CV_FILL_INSIDE, .sub = &limits_schema, .at_has = offsetof(T, has_limits) },
	{ "approval",  CV_FILL_WORD,   AT(T, approval), .at_text = offsetof(T, approval_text),
		.words = approval_words },
};
static const struct cv_fill_table tool_rule_schema = { CV_FILL_TABLE("a rule about tools", tool_rule_keys),
	.size = sizeof(T), .has_pos = true, .at_key = offsetof(T, key) };

#define D struct cv_policy_doc
static const struct cv_fill_key filesystem_keys[] = {
	{ "include_workdir", CV_FILL_BOOL,  AT(D, include_workdir) },
	{ "read_only",       CV_FILL_TEXTS, AT(D, read_only) },
	{ "read_write",      CV_FILL_TEXTS, AT(D, read_write) },
};
static const struct cv_fill_table filesystem_schema = { CV_FILL_TABLE("filesystem_policy", filesystem_keys) };

static const struct cv_fill_key landlock_keys[] = {
	{ "compatibility", CV_FILL_WORD, AT(D, landlock), .at_text = offsetof(D, landlock_text),
		.words = compatibility_words },
};
static const struct cv_fill_table landlock_schema = { CV_FILL_TABLE("landlock", landlock_keys) };

static const struct cv_fill_key process_keys[] = {
	{ "run_as_user",  CV_FILL_TEXT, AT(D, run_as_user) },
	{ "run_as_group", CV_FILL_TEXT, AT(D, run_as_group) },
};
static const struct cv_fill_table process_schema = { CV_FILL_TABLE("process", process_keys) };

static const struct cv_fill_key doc_keys[] = {
	{ "version",             CV_FILL_VERSION, AT(D, version), .is_required = true },
	{ "filesystem_policy",   CV_FILL_INSIDE,  .sub = &filesystem_schema,
		.at_has = offsetof(D, has_filesystem) },
	{ "landlock",            CV_FILL_INSIDE,  .sub = &landlock_schema },
	{ "process",             CV_FILL_INSIDE,  .sub = &process_schema },
	{ "network_policies",    CV_FILL_NAMED,   LIST(D, entries, entry_count, entry_schema) },
	{ "network_middlewares", CV_FILL_NAMED,   LIST(D, middlewares, middleware_count,
		middleware_schema) },
	{ "tools",               CV_FILL_NAMED,   LIST(D, tool_rules, tool_rule_count,
		tool_rule_schema), .at_has = offsetof(D, has_tools) },
};
const struct cv_fill_table cv_policy_schema = { CV_FILL_TABLE("a policy", doc_keys) };

static const struct cv_fill_key tools_keys[] = {
	{ "tools",               CV_FILL_NAMED,   LIST(D, tool_rules, tool_rule_count,
		tool_rule_schema), .at_has = offsetof(D, has_tools) },
};
const struct cv_fill_table cv_policy_tools_schema = { CV_FILL_TABLE("a policy", tools_keys) };
/* clang-format on */
