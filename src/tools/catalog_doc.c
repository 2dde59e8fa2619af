/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_doc.c - the catalog's language as tables: one per mapping level, one row per key
 */
#include "tools/catalog_doc.h"

#include <stddef.h>

#define AT(type, member) .at = offsetof(type, member)
#define LIST(type, member, count, schema) \
	AT(type, member), .at_n = offsetof(type, count), .sub = &(schema)
/* Of a process of the host's: the last rows of its table. */
#define ROOM(type, member)                                                 \
	{ "workdir_bytes", CV_FILL_TEXT, AT(type, member.bytes) },         \
		{ "workdir_files", CV_FILL_TEXT, AT(type, member.files) }, \
	{                                                                  \
		"private", CV_FILL_BOOL, AT(type, member.is_private)       \
	}
#define PAIRS(type, member) AT(type, member.v), .at_n = offsetof(type, member.n)

/* clang-format off */
static const struct cv_fill_word output_words[] = {
	{ "text", CV_TOOL_OUTPUT_TEXT }, { "json", CV_TOOL_OUTPUT_JSON },
	{ "lines", CV_TOOL_OUTPUT_LINES }, { NULL },
};
static const struct cv_fill_word build_words[] = {
	{ "build", CV_TOOL_BUILD_BUILD }, { "push", CV_TOOL_BUILD_PUSH },
	{ "list", CV_TOOL_BUILD_LIST }, { NULL },
};
static const struct cv_fill_word engine_words[] = {
	{ "buildah", CV_TOOL_ENGINE_BUILDAH }, { "podman", CV_TOOL_ENGINE_PODMAN },
	{ "docker", CV_TOOL_ENGINE_DOCKER }, { "buildkit", CV_TOOL_ENGINE_BUILDKIT }, { NULL },
};
static const struct cv_fill_word files_words[] = {
	{ "fetch", CV_TOOL_FILES_FETCH }, { "store", CV_TOOL_FILES_STORE }, { NULL },
};

#define C struct cv_doc_credential
static const struct cv_fill_key credential_keys[] = {
	{ "env",      CV_FILL_TEXT,  AT(C, env) },
	{ "file",     CV_FILL_TEXT,  AT(C, file) },
	{ "command",  CV_FILL_TEXTS, AT(C, command) },
	{ "provider", CV_FILL_TEXT,  AT(C, provider) },
	{ "value",    CV_FILL_REFUSED,
		.why = "a catalog holds no secret; say where it comes from: env, file, command or provider" },
};
static const struct cv_fill_table credential_schema = { CV_FILL_TABLE("a credential", credential_keys),
	.size = sizeof(C), .has_pos = true, .at_key = offsetof(C, name), .is_private = true,
	.hint = "write {env: VARIABLE}, {file: PATH}, {command: [ARGV]} or {provider: NAME.KEY}" };

#define S struct cv_doc_server
static const struct cv_fill_key server_keys[] = {
	{ "argv",          CV_FILL_TEXTS, AT(S, argv), .is_required = true },
	{ "port",          CV_FILL_TEXT,  AT(S, port) },
	{ "socket",        CV_FILL_TEXT,  AT(S, socket) },
	{ "env",           CV_FILL_PAIRS, PAIRS(S, env) },
	{ "start_seconds", CV_FILL_TEXT,  AT(S, start) },
	{ "stop_seconds",  CV_FILL_TEXT,  AT(S, stop) },
	{ "expose",        CV_FILL_BOOL,  AT(S, is_exposed) },
	ROOM(S, room),
};

static void server_init(void *elem)
{
	((S *)elem)->room.is_private = true;
}

static const struct cv_fill_table server_schema = { CV_FILL_TABLE("a server", server_keys),
	.size = sizeof(S), .has_pos = true, .at_key = offsetof(S, name), .init = server_init };

#define M struct cv_doc_mcp
static const struct cv_fill_key mcp_server_keys[] = {
	{ "argv",    CV_FILL_TEXTS, AT(M, argv) },
	{ "url",     CV_FILL_TEXT,  AT(M, url) },
	{ "env",     CV_FILL_PAIRS, PAIRS(M, env) },
	{ "headers", CV_FILL_PAIRS, PAIRS(M, headers) },
	{ "allow",   CV_FILL_TEXTS, AT(M, allow) },
	{ "prefix",  CV_FILL_TEXT,  AT(M, prefix) },
	ROOM(M, room),
};

static void mcp_server_init(void *elem)
{
	((M *)elem)->room.is_private = true;
}

static const struct cv_fill_table mcp_server_schema = { CV_FILL_TABLE("an MCP server", mcp_server_keys),
	.size = sizeof(M), .has_pos = true, .at_key = offsetof(M, name), .init = mcp_server_init };

#define T struct cv_doc_tool
static const struct cv_fill_key sandbox_keys[] = {
	{ "policy", CV_FILL_TEXT, AT(T, command.policy) },
};
static const struct cv_fill_table sandbox_schema = { CV_FILL_TABLE("sandbox", sandbox_keys) };

static const struct cv_fill_key command_keys[] = {
	{ "argv",    CV_FILL_TEXTS,  AT(T, command.argv), .is_required = true },
	{ "env",     CV_FILL_PAIRS,  PAIRS(T, command.env) },
	{ "workdir", CV_FILL_TEXT,   AT(T, command.workdir) },
	{ "user",    CV_FILL_TEXT,   AT(T, command.user) },
	{ "stdin",   CV_FILL_TEXT,   AT(T, command.stdin_text) },
	{ "sandbox", CV_FILL_INSIDE, .sub = &sandbox_schema, .at_has = offsetof(T, command.has_sandbox) },
	ROOM(T, command.room),
	{ "shell",   CV_FILL_REFUSED,
		.why = "there is no shell; write the words into argv, or a script's path" },
};
static const struct cv_fill_table command_schema = { CV_FILL_TABLE("command", command_keys) };

static const struct cv_fill_key http_keys[] = {
	{ "url",     CV_FILL_TEXT,  AT(T, http.url) },
	{ "socket",  CV_FILL_TEXT,  AT(T, http.socket) },
	{ "method",  CV_FILL_TEXT,  AT(T, http.method) },
	{ "path",    CV_FILL_TEXT,  AT(T, http.path), .is_required = true },
	{ "query",   CV_FILL_TEXT,  AT(T, http.query) },
	{ "headers", CV_FILL_PAIRS, PAIRS(T, http.headers) },
	{ "body",    CV_FILL_TEXT,  AT(T, http.body) },
};
static const struct cv_fill_table http_schema = { CV_FILL_TABLE("http", http_keys) };

static const struct cv_fill_key server_tool_keys[] = {
	{ "name",    CV_FILL_TEXT,  AT(T, http.name), .is_required = true },
	{ "method",  CV_FILL_TEXT,  AT(T, http.method) },
	{ "path",    CV_FILL_TEXT,  AT(T, http.path), .is_required = true },
	{ "query",   CV_FILL_TEXT,  AT(T, http.query) },
	{ "headers", CV_FILL_PAIRS, PAIRS(T, http.headers) },
	{ "body",    CV_FILL_TEXT,  AT(T, http.body) },
};
static const struct cv_fill_table server_tool_schema = { CV_FILL_TABLE("server", server_tool_keys) };

static const struct cv_fill_key mcp_keys[] = {
	{ "server", CV_FILL_TEXT, AT(T, mcp_server), .is_required = true },
	{ "tool",   CV_FILL_TEXT, AT(T, mcp_tool), .is_required = true },
};
static const struct cv_fill_table mcp_schema = { CV_FILL_TABLE("mcp", mcp_keys) };

#define L struct cv_doc_login
static const struct cv_fill_key login_keys[] = {
	{ "user",       CV_FILL_TEXT,  AT(L, user), .is_required = true },
	{ "credential", CV_FILL_TEXT,  AT(L, credential), .is_required = true },
	{ "hosts",      CV_FILL_TEXTS, AT(L, hosts) },
	{ "password",   CV_FILL_REFUSED,
		.why = "a catalog holds no secret; declare it in credentials: and write credential: NAME" },
};
static const struct cv_fill_table login_schema = { CV_FILL_TABLE("a login", login_keys),
	.size = sizeof(L), .has_pos = true, .at_key = offsetof(L, registry), .is_private = true,
	.hint = "write REGISTRY: {user: NAME, credential: NAME}" };

static const struct cv_fill_key build_keys[] = {
	{ "operation",     CV_FILL_WORD,  AT(T, build.operation), .words = build_words },
	{ "engine",        CV_FILL_WORD,  AT(T, build.engine), .words = engine_words },
	{ "base_images",   CV_FILL_TEXTS, AT(T, build.base_images) },
	{ "needs_digest",  CV_FILL_BOOL,  AT(T, build.needs_digest) },
	{ "push",          CV_FILL_TEXTS, AT(T, build.push) },
	{ "hosts",         CV_FILL_TEXTS, AT(T, build.hosts) },
	{ "allowed_ips",   CV_FILL_TEXTS, AT(T, build.allowed_ips) },
	{ "plain_http",    CV_FILL_TEXTS, AT(T, build.plain_http) },
	{ "logins",        CV_FILL_NAMED, LIST(T, build.logins, build.login_count, login_schema) },
	{ "context_bytes", CV_FILL_TEXT,  AT(T, build.context_bytes) },
	{ "context_files", CV_FILL_TEXT,  AT(T, build.context_files) },
	{ "image_bytes",   CV_FILL_TEXT,  AT(T, build.image_bytes) },
	{ "memory",        CV_FILL_TEXT,  AT(T, build.memory) },
	{ "cpus",          CV_FILL_TEXT,  AT(T, build.cpus) },
	{ "seconds",       CV_FILL_TEXT,  AT(T, build.seconds) },
	{ "cache",         CV_FILL_TEXT,  AT(T, build.cache) },
};
static const struct cv_fill_table build_schema = { CV_FILL_TABLE("build", build_keys) };

static const struct cv_fill_key files_keys[] = {
	{ "operation", CV_FILL_WORD, AT(T, files.operation), .words = files_words, .is_required = true },
	{ "root",      CV_FILL_TEXT, AT(T, files.root), .is_required = true },
	{ "bytes",     CV_FILL_TEXT, AT(T, files.bytes) },
	{ "files",     CV_FILL_TEXT, AT(T, files.files) },
	{ "overwrite", CV_FILL_BOOL, AT(T, files.may_overwrite) },
};
static const struct cv_fill_table files_schema = { CV_FILL_TABLE("files", files_keys) };

static const struct cv_fill_key repo_keys[] = {
	{ "url",        CV_FILL_TEXT,  AT(T, repo.url), .is_required = true },
	{ "allow",      CV_FILL_TEXTS, AT(T, repo.allow), .is_required = true },
	{ "credential", CV_FILL_TEXT,  AT(T, repo.credential) },
	{ "user",       CV_FILL_TEXT,  AT(T, repo.user) },
	{ "bytes",      CV_FILL_TEXT,  AT(T, repo.bytes) },
	{ "files",      CV_FILL_TEXT,  AT(T, repo.files) },
	{ "git",        CV_FILL_TEXT,  AT(T, repo.git) },
};
static const struct cv_fill_table repo_schema = { CV_FILL_TABLE("repo", repo_keys) };

static const struct cv_fill_key result_keys[] = {
	{ "stdout",    CV_FILL_WORD,  AT(T, output), .words = output_words },
	{ "max_bytes", CV_FILL_TEXT,  AT(T, max_bytes) },
	{ "exit_ok",   CV_FILL_TEXTS, AT(T, exit_ok) },
};
static const struct cv_fill_table result_schema = { CV_FILL_TABLE("result", result_keys) };

static const struct cv_fill_key limits_keys[] = {
	{ "seconds",          CV_FILL_TEXT, AT(T, seconds) },
	{ "concurrency",      CV_FILL_TEXT, AT(T, concurrency) },
	{ "host_concurrency", CV_FILL_TEXT, AT(T, host_concurrency) },
	{ "host_group",       CV_FILL_TEXT, AT(T, host_group) },
	{ "bytes",            CV_FILL_TEXT, AT(T, bytes) },
	{ "calls",            CV_FILL_REFUSED,
		.why = "how often a sandbox may call is its policy's: tools: NAME: limits: {calls: N}" },
};
static const struct cv_fill_table limits_schema = { CV_FILL_TABLE("limits", limits_keys) };

static const struct cv_fill_key annotation_keys[] = {
	{ "read_only",   CV_FILL_BOOL, AT(T, is_read_only) },
	{ "destructive", CV_FILL_BOOL, AT(T, is_destructive) },
	{ "idempotent",  CV_FILL_BOOL, AT(T, is_idempotent) },
};
static const struct cv_fill_table annotations_schema = { CV_FILL_TABLE("annotations", annotation_keys) };

#define BACKEND(id, schema) .sub = &(schema), .at_has = offsetof(T, has[CV_TOOL_##id])
static const struct cv_fill_key tool_keys[] = {
	{ "description", CV_FILL_TEXT,   AT(T, description), .is_required = true },
	{ "input",       CV_FILL_NODE,   AT(T, input), .at_has = offsetof(T, has_input) },
	{ "command",     CV_FILL_INSIDE, BACKEND(COMMAND, command_schema) },
	{ "http",        CV_FILL_INSIDE, BACKEND(HTTP, http_schema) },
	{ "server",      CV_FILL_INSIDE, BACKEND(SERVER, server_tool_schema) },
	{ "mcp",         CV_FILL_INSIDE, BACKEND(MCP, mcp_schema) },
	{ "build",       CV_FILL_INSIDE, BACKEND(BUILD, build_schema) },
	{ "files",       CV_FILL_INSIDE, BACKEND(FILES, files_schema) },
	{ "repo",        CV_FILL_INSIDE, BACKEND(REPO, repo_schema) },
	{ "result",      CV_FILL_INSIDE, .sub = &result_schema },
	{ "limits",      CV_FILL_INSIDE, .sub = &limits_schema },
	{ "route",       CV_FILL_TEXT,   AT(T, route) },
	{ "annotations", CV_FILL_INSIDE, .sub = &annotations_schema },
	{ "approval",    CV_FILL_REFUSED,
		.why = "who has to agree is the policy's to say: tools: NAME: approval: always" },
};

static void tool_init(void *elem)
{
	((T *)elem)->is_destructive = true; /* MCP's default: who says nothing promises nothing */
	((T *)elem)->command.room.is_private = true;
}

static const struct cv_fill_table tool_schema = { CV_FILL_TABLE("a tool", tool_keys),
	.size = sizeof(T), .has_pos = true, .at_key = offsetof(T, name), .init = tool_init };

#define D struct cv_doc_catalog
static const struct cv_fill_key catalog_keys[] = {
	{ "version",     CV_FILL_VERSION, AT(D, version), .is_required = true },
	{ "credentials", CV_FILL_NAMED,   LIST(D, credentials, credential_count, credential_schema) },
	{ "servers",     CV_FILL_NAMED,   LIST(D, servers, server_count, server_schema) },
	{ "mcp_servers", CV_FILL_NAMED,   LIST(D, mcps, mcp_count, mcp_server_schema) },
	{ "urls",        CV_FILL_PAIRS,   PAIRS(D, urls) },
	{ "tools",       CV_FILL_NAMED,   LIST(D, tools, tool_count, tool_schema) },
};
const struct cv_fill_table cv_catalog_doc_schema = { CV_FILL_TABLE("a catalog", catalog_keys) };
/* clang-format on */
