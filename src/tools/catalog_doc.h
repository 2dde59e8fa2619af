/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_doc.h - a catalog's YAML as it stands, with the place of every part; private to this folder
 *
 * Tables (catalog_doc.c) fill it, catalog_*.c judge it and make the catalog of it.
 */
#pragma once
#include "policy/fill.h"
#include "tools/catalog.h"

struct cv_doc_pairs {
	struct cv_fill_pair *v;
	size_t n;
};

struct cv_doc_credential {
	struct cv_policy_pos pos;
	struct cv_policy_text name, env, file, provider;
	struct cv_policy_texts command;
};

struct cv_doc_room {
	struct cv_policy_text bytes, files;
	bool is_private;
};

struct cv_doc_server {
	struct cv_policy_pos pos;
	struct cv_policy_text name, port, socket, start, stop;
	struct cv_policy_texts argv;
	struct cv_doc_pairs env;
	bool is_exposed;
	struct cv_doc_room room;
};

struct cv_doc_mcp {
	struct cv_policy_pos pos;
	struct cv_policy_text name, url, prefix;
	struct cv_policy_texts argv, allow;
	struct cv_doc_pairs env, headers;
	struct cv_doc_room room;
};

struct cv_doc_command {
	struct cv_policy_texts argv;
	struct cv_doc_pairs env;
	struct cv_policy_text workdir, user, stdin_text, policy;
	bool has_sandbox;
	struct cv_doc_room room;
};

struct cv_doc_http { /* of http: and of server: */
	struct cv_policy_text name, url, socket, method, path, query, body;
	struct cv_doc_pairs headers;
};

struct cv_doc_login {
	struct cv_policy_pos pos;
	struct cv_policy_text registry, user, credential;
	struct cv_policy_texts hosts;
};

struct cv_doc_build {
	enum cv_tool_build_operation operation;
	enum cv_tool_build_engine engine;
	struct cv_policy_texts base_images, push, hosts, allowed_ips, plain_http;
	struct cv_doc_login *logins;
	size_t login_count;
	struct cv_policy_text context_bytes, context_files, image_bytes, memory, cpus, seconds,
		cache;
	bool needs_digest;
};

struct cv_doc_files {
	enum cv_tool_files_operation operation;
	struct cv_policy_text root, bytes, files;
	bool may_overwrite;
};

struct cv_doc_repo {
	struct cv_policy_text url, git, credential, user, bytes, files;
	struct cv_policy_texts allow;
};

struct cv_doc_tool {
	struct cv_policy_pos pos;
	struct cv_policy_text name, description, route;
	struct cv_policy_node input;
	bool has_input;
	bool has[CV_TOOL_BACKEND_COUNT]; /* which backends are written */
	struct cv_doc_command command;
	struct cv_doc_http http;
	struct cv_policy_text mcp_server, mcp_tool;
	struct cv_doc_build build;
	struct cv_doc_files files;
	struct cv_doc_repo repo;
	enum cv_tool_output output;
	struct cv_policy_texts exit_ok;
	struct cv_policy_text max_bytes, seconds, concurrency, host_concurrency, host_group, bytes;
	bool is_read_only, is_destructive, is_idempotent;
};

struct cv_doc_catalog {
	uint32_t version;
	struct cv_doc_credential *credentials;
	size_t credential_count;
	struct cv_doc_server *servers;
	size_t server_count;
	struct cv_doc_mcp *mcps;
	size_t mcp_count;
	struct cv_doc_pairs urls;
	struct cv_doc_tool *tools;
	size_t tool_count;
};

extern const struct cv_fill_table cv_catalog_doc_schema;
