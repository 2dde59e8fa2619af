/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - a policy document as data: what the YAML says, with the place of every part
 *
 * The shape is OpenShell's policy language, version 1.  The loader fills it, validation judges
 * it, compilation turns it into a snapshot; nothing else reads it.  All memory belongs to the
 * document's arena and lives as long as the document.  Strings are as written (no case folding,
 * no canonical form): messages must be able to quote the author.
 *
 * Absent and empty differ in places (rules: [] is an error, no rules is not), so lists carry
 * is_present where validation needs to know.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

#include <stdint.h>

/* Where in the source a thing begins; both count from 1.  Line 0: not from a file. */
struct cv_policy_pos {
	uint32_t line, column;
};

struct cv_policy_text { /* a scalar and its place */
	struct cv_str s;
	struct cv_policy_pos pos;
	bool is_present;
};

struct cv_policy_texts { /* a list of scalars */
	struct cv_policy_text *v;
	size_t n;
	struct cv_policy_pos pos;
	bool is_present;
};

/* clang-format off */
#define CV_POLICY_PROTOCOLS(X) /* enum, YAML */                                       \
	X(L4, "")               /* absent: connections through the explicit proxy */  \
	X(TCP, "tcp")           /* policy DNS and transparent TCP */                  \
	X(REST, "rest")                                                               \
	X(WEBSOCKET, "websocket")                                                     \
	X(GRAPHQL, "graphql")                                                         \
	X(MCP, "mcp")                                                                 \
	X(JSON_RPC, "json-rpc")                                                       \
	X(SQL, "sql")                                                                 \
	X(POSTGRES, "postgres") /* ours: statements decided by their commands */

#define CV_POLICY_TLS_MODES(X)                                                        \
	X(AUTO, "")             /* detect and terminate */                            \
	X(SKIP, "skip")         /* raw tunnel */                                      \
	X(TERMINATE, "terminate")     /* deprecated, as AUTO */                       \
	X(PASSTHROUGH, "passthrough") /* deprecated, as AUTO */

#define CV_POLICY_ACCESSES(X)                                                         \
	X(NONE, "")                                                                   \
	X(READ_ONLY, "read-only")                                                     \
	X(READ_WRITE, "read-write")                                                   \
	X(FULL, "full")

#define CV_POLICY_ENFORCEMENTS(X)                                                     \
	X(AUDIT, "audit")       /* the default */                                     \
	X(ENFORCE, "enforce")                                                         \
	X(APPROVE, "approve")   /* ours: what no rule allows waits for a person */

/* Ours, beyond OpenShell's language. */
#define CV_POLICY_SCRUBS(X)                                                           \
	X(ON, "")               /* released secrets are taken out of what comes back */ \
	X(ON_SAID, "on")                                                              \
	X(OFF, "off")

#define CV_POLICY_BODY_HOLDS(X)                                                       \
	X(AUTO, "")       /* held and judged whole, but for what can't be */          \
	X(HOLD, "hold")   /* ... and what can't be is refused */                      \
	X(WATCH, "watch") /* judged as it passes: its beginning may have gone */

#define CV_POLICY_CREDENTIAL_MODES(X)                                                 \
	X(OPTIONAL, "")         /* the agent's own credential passes as it is */      \
	X(OPTIONAL_SAID, "optional")                                                  \
	X(REQUIRE, "require")   /* it is refused: only the provider's goes out */
/* clang-format on */

#define CV_PROTOCOL_ENUM(name, yaml)    CV_PROTOCOL_##name,
#define CV_TLS_ENUM(name, yaml)         CV_TLS_##name,
#define CV_ACCESS_ENUM(name, yaml)      CV_ACCESS_##name,
#define CV_ENFORCEMENT_ENUM(name, yaml) CV_ENFORCEMENT_##name,
#define CV_SCRUB_ENUM(name, yaml)       CV_SCRUB_##name,
#define CV_BODY_HOLD_ENUM(name, yaml)   CV_BODY_HOLD_##name,
#define CV_MODE_ENUM(name, yaml)        CV_CREDENTIAL_MODE_##name,
enum cv_policy_protocol { CV_POLICY_PROTOCOLS(CV_PROTOCOL_ENUM) CV_PROTOCOL_COUNT };
enum cv_policy_tls { CV_POLICY_TLS_MODES(CV_TLS_ENUM) CV_TLS_COUNT };
enum cv_policy_access { CV_POLICY_ACCESSES(CV_ACCESS_ENUM) CV_ACCESS_COUNT };
enum cv_policy_enforcement { CV_POLICY_ENFORCEMENTS(CV_ENFORCEMENT_ENUM) };
enum cv_policy_scrub { CV_POLICY_SCRUBS(CV_SCRUB_ENUM) CV_SCRUB_COUNT };
enum cv_policy_body_hold { CV_POLICY_BODY_HOLDS(CV_BODY_HOLD_ENUM) CV_BODY_HOLD_COUNT };
enum cv_policy_credential_mode {
	CV_POLICY_CREDENTIAL_MODES(CV_MODE_ENUM) CV_CREDENTIAL_MODE_COUNT
};
#undef CV_PROTOCOL_ENUM
#undef CV_TLS_ENUM
#undef CV_ACCESS_ENUM
#undef CV_ENFORCEMENT_ENUM
#undef CV_SCRUB_ENUM
#undef CV_BODY_HOLD_ENUM
#undef CV_MODE_ENUM

/* One query (or params) matcher: every value of key is matched against the globs; with one glob
 * it was written as a string or {glob: …}, with is_any as {any: […]}. */
struct cv_policy_matcher {
	struct cv_policy_text key;
	struct cv_policy_texts globs;
	bool is_any;
};

struct cv_policy_rule { /* the inside of rules[].allow, or one of deny_rules[] */
	struct cv_policy_pos pos;
	struct cv_policy_text method, path, command;
	struct cv_policy_matcher *query;
	size_t query_count;
	/* graphql, websocket */
	struct cv_policy_text operation_type, operation_name;
	struct cv_policy_texts fields;
	/* mcp */
	struct cv_policy_texts tool; /* a string or {any: […]} */
	struct cv_policy_matcher *params;
	size_t params_count;
};

struct cv_policy_rules {
	struct cv_policy_rule *v;
	size_t n;
	struct cv_policy_pos pos;
	bool is_present;
};

struct cv_policy_persisted_query {
	struct cv_policy_text id, operation_type, operation_name;
	struct cv_policy_texts fields;
};

#define CV_POLICY_ENDPOINT_KEYS 29

struct cv_policy_endpoint {
	struct cv_policy_pos pos;
	struct cv_policy_pos key_pos[CV_POLICY_ENDPOINT_KEYS]; /* of schema.c's rows; 0: absent */
	struct cv_policy_text host, path;
	struct cv_policy_pos ports_pos;
	uint16_t *ports; /* from port or ports, in the order written */
	size_t port_count;
	struct cv_policy_text protocol_text, tls_text, enforcement_text, access_text;
	enum cv_policy_protocol protocol;
	enum cv_policy_tls tls;
	enum cv_policy_enforcement enforcement;
	enum cv_policy_access access;
	struct cv_policy_rules rules, deny_rules;
	struct cv_policy_texts allowed_ips;
	bool allow_encoded_slash;
	bool h2c; /* HTTP/2 by prior knowledge */
	bool websocket_credential_rewrite;
	bool request_body_credential_rewrite;
	bool allow_uninspected_credentials;
	bool token_endpoint; /* what it answers holds tokens for the caller */
	struct cv_policy_text credential_signing, signing_service, signing_region;
	bool has_credential_binding;
	struct cv_policy_text credential_binding_provider;
	struct cv_policy_text scrub_text, credential_mode_text, body_hold_text;
	enum cv_policy_scrub scrub;
	enum cv_policy_credential_mode credential_mode;
	enum cv_policy_body_hold body_hold;
	struct cv_policy_text persisted_queries;
	struct cv_policy_persisted_query *graphql_persisted_queries;
	size_t graphql_persisted_query_count;
	uint64_t graphql_max_body_bytes, json_rpc_max_body_bytes,
		mcp_max_body_bytes;                                /* 0: absent */
	bool has_graphql_persisted_queries, has_json_rpc, has_mcp; /* the key was written */
	bool mcp_strict_tool_names;                                /* default true */
	bool mcp_allow_all_known_methods;
};

struct cv_policy_binary {
	struct cv_policy_text path;
};

struct cv_policy_entry {          /* one of network_policies */
	struct cv_policy_pos pos; /* of its key */
	struct cv_policy_text key;
	struct cv_str name; /* defaults to the key */
	struct cv_policy_endpoint *endpoints;
	size_t endpoint_count;
	struct cv_policy_binary *binaries;
	size_t binary_count;
	bool has_binaries; /* the key was written */
	bool is_provider;  /* of a provider's layer; places in it mean nothing */
};

enum cv_policy_node_kind {
	CV_POLICY_NODE_NULL,
	CV_POLICY_NODE_BOOL,
	CV_POLICY_NODE_NUMBER,
	CV_POLICY_NODE_STRING,
	CV_POLICY_NODE_LIST,
	CV_POLICY_NODE_MAPPING,
};

/* Any value, where another part of the document says what may stand there. */
struct cv_policy_node {
	enum cv_policy_node_kind kind;
	struct cv_policy_pos pos;
	struct cv_policy_text key; /* in a mapping */
	struct cv_str s;           /* of a scalar, as written */
	struct cv_policy_node *v;  /* of a list or mapping */
	size_t n;
};

struct cv_policy_middleware {
	struct cv_policy_pos pos;
	struct cv_policy_text key, name, middleware, on_error;
	int64_t order;                /* default 0 */
	struct cv_policy_node config; /* what it means is the middleware's to say (middleware.h) */
	bool has_config;
	struct cv_policy_texts include, exclude;
};

/* ---- tools: what a rule says about calls of host tools (tools.h); ours ---- */

enum cv_tool_approval { CV_TOOL_APPROVAL_NEVER, CV_TOOL_APPROVAL_ONCE, CV_TOOL_APPROVAL_ALWAYS };

/* A condition on the arguments.  One of equals, in, glob, range and length is what it asks. */
struct cv_policy_argument {
	struct cv_policy_pos pos;
	struct cv_policy_text path;
	struct cv_policy_node equals, in; /* in: a list */
	struct cv_policy_text glob;
	struct cv_policy_node range_min, range_max; /* numbers */
	int64_t length_min, length_max;
	bool has_equals, has_in;
	bool has_range, has_range_min, has_range_max;
	bool has_length, has_length_min, has_length_max;
	bool is_optional;
};

struct cv_policy_tool_rule {
	struct cv_policy_pos pos;
	struct cv_policy_text key;
	struct cv_policy_texts tools; /* names and globs */
	struct cv_policy_binary *binaries;
	size_t binary_count;
	struct cv_policy_argument *arguments;
	size_t argument_count;
	uint64_t calls, concurrency, seconds, bytes; /* 0: no limit */
	struct cv_policy_text approval_text;
	enum cv_tool_approval approval;
	bool has_binaries, has_arguments, has_limits; /* the key was written */
};

enum cv_landlock_compat { CV_LANDLOCK_BEST_EFFORT, CV_LANDLOCK_HARD_REQUIREMENT };

struct cv_policy_doc {
	struct cv_arena arena; /* owns everything below */
	struct cv_str file;    /* as the user named it, for messages */
	uint32_t version;
	bool has_filesystem;
	/* Absent section: true, as in the default policy.  Section without the key: false, as in
	 * upstream's reader: who lists paths lists all of them. */
	bool include_workdir;
	struct cv_policy_texts read_only, read_write;
	struct cv_policy_text landlock_text;
	enum cv_landlock_compat landlock;
	struct cv_policy_text run_as_user, run_as_group;
	struct cv_policy_entry *entries; /* in the order written */
	size_t entry_count;
	struct cv_policy_middleware *middlewares;
	size_t middleware_count;
	bool has_providers;                     /* a layer was laid over it, be it empty */
	struct cv_policy_doc *layer;            /* owned: whose memory the layer's entries are in */
	struct cv_policy_tool_rule *tool_rules; /* in the order written, which decides */
	size_t tool_rule_count;
	bool has_tools; /* the key was written */
};
