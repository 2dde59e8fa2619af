/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.h - the host tools that exist, as data
 *
 * A catalog is YAML. The launcher reads it to refuse a bad one before anything starts, the broker
 * reads the same text to run it; discovery documents are made from nothing else (discover.h).
 *
 *     version: 1
 *     credentials:                       # never shown to a sandbox; values come from outside
 *       GITHUB_TOKEN: {env: GITHUB_TOKEN}    # or file: PATH, or command: [ARGV]; or provider: NAME
 *     tools:
 *       deploy:                          # the tool's name: [a-z][a-z0-9_]*, dots between parts
 *         description: Deploys a service.
 *         input:                         # JSON Schema 2020-12 of an object
 *           type: object
 *           properties: {service: {type: string}}
 *           required: [service]
 *         command:                       # exactly one backend: command, http, server, mcp, build, files
 *           argv: [/usr/bin/deploy, "--service={service}", "{?verbose:--verbose}"]
 *           env: {TOKEN: "{credential:GITHUB_TOKEN}", PATH: /usr/bin:/bin}
 *           workdir: /srv/deploy
 *           stdin: json                  # none (default), json: the arguments, or an argument: {body}
 *           user: deploy                 # as root only
 *           sandbox: {policy: FILE}      # inside a cove sandbox of its own
 *         result: {stdout: text, max_bytes: 65536}  # text, json, lines; exit_ok: [0]
 *         limits: {seconds: 60, concurrency: 4, bytes: 1048576}
 *         route: POST /deploy            # besides POST /v1/tools/deploy; may have {argument}s
 *         annotations: {read_only: false, destructive: true, idempotent: false}
 *
 * Every mistake has file, line and column.  All memory is the catalog's arena's.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/value.h"
#include "policy/policy.h"

enum cv_tool_backend {
	CV_TOOL_COMMAND,
	CV_TOOL_HTTP,
	CV_TOOL_SERVER, /* an endpoint of a server of the catalog */
	CV_TOOL_MCP,    /* a tool of an MCP server of the catalog */
	CV_TOOL_BUILD,
	CV_TOOL_FILES,
	CV_TOOL_BACKEND_COUNT
};

enum cv_tool_stdin { CV_TOOL_STDIN_NONE, CV_TOOL_STDIN_JSON, CV_TOOL_STDIN_ARGUMENT };
enum cv_tool_output { CV_TOOL_OUTPUT_TEXT, CV_TOOL_OUTPUT_JSON, CV_TOOL_OUTPUT_LINES };

/* A text with places in it, cut into parts (template.h). */
struct cv_template;

struct cv_tool_pair { /* of env, of headers */
	struct cv_str name;
	const struct cv_template *value;
};

struct cv_tool_command {
	const struct cv_template **argv; /* the first has no places */
	size_t argc;
	const struct cv_tool_pair *env;
	size_t env_count;
	struct cv_str workdir,
		user; /* empty: the broker's own directory for the call; the broker's user */
	enum cv_tool_stdin stdin_kind;
	struct cv_str stdin_argument; /* CV_TOOL_STDIN_ARGUMENT: its name */
	struct cv_str sandbox_policy; /* file; empty: not in a sandbox */
	bool is_sandboxed;
};

struct cv_tool_http {
	struct cv_str base;   /* http://127.0.0.1:8080, https://..., or empty with a socket */
	struct cv_str socket; /* path of a Unix socket; empty: none */
	struct cv_str method;
	const struct cv_template *path, *query,
		*body; /* body NULL: the arguments as JSON, or none for GET */
	const struct cv_tool_pair *headers;
	size_t header_count;
};

struct cv_tool_server { /* of servers:, by the contract of host servers */
	struct cv_str name;
	struct cv_str *argv;
	size_t argc;
	uint16_t port;        /* --port; 0: one is chosen */
	struct cv_str socket; /* it listens on this Unix socket instead; empty: on 127.0.0.1 */
	const struct cv_tool_pair *env;
	size_t env_count;
	uint32_t start_ms, stop_ms; /* until /healthz answers; between SIGTERM and SIGKILL */
	bool is_exposed;            /* as host.openshell.internal:port, where policy says so */
	struct cv_policy_pos pos;
};

struct cv_tool_mcp { /* of mcp_servers: */
	struct cv_str name;
	struct cv_str *argv; /* stdio */
	size_t argc;
	struct cv_str url; /* Streamable HTTP */
	const struct cv_tool_pair *env, *headers;
	size_t env_count, header_count;
	struct cv_str *allow; /* globs over its tools' names */
	size_t allow_count;
	struct cv_str prefix; /* of the names of its tools here: "files." */
	struct cv_policy_pos pos;
};

struct cv_tool_build {             /* defaults and bounds of container builds */
	struct cv_str engine;      /* buildah, podman, docker, buildkit; empty: buildah */
	struct cv_str *base_allow; /* globs over references of base images */
	size_t base_allow_count;
	bool needs_digest; /* FROM has to name one */
	struct cv_str *push_allow;
	size_t push_allow_count;
	uint64_t context_bytes_max, image_bytes_max;
	uint32_t context_files_max;
	uint64_t memory_bytes;
	uint32_t cpu_milli, seconds;
	struct cv_str cache; /* run (default), or a name that runs share */
};

struct cv_tool {
	struct cv_str name, description;
	struct cv_policy_pos pos;
	const struct cv_value
		*input;           /* the schema, as JSON; never NULL: an empty object's otherwise */
	struct cv_schema *schema; /* the same, compiled (schema.h) */
	enum cv_tool_backend backend;
	const struct cv_tool_command *command;
	const struct cv_tool_http *http;
	const struct cv_tool_build *build;
	uint32_t server;             /* CV_TOOL_SERVER: index into servers; with http, its paths */
	uint32_t mcp;                /* CV_TOOL_MCP: index into mcps */
	struct cv_str method, route; /* "POST", "/deploy"; empty: none of its own */
	enum cv_tool_output output;
	int32_t *exit_ok; /* command: those that are success; none: 0 */
	size_t exit_ok_count;
	uint32_t seconds, concurrency; /* never 0 */
	uint64_t result_bytes_max;
	bool is_read_only, is_destructive, is_idempotent;
	struct cv_str *credentials; /* names that it uses */
	size_t credential_count;
};

enum cv_tool_credential_source {
	CV_TOOL_CREDENTIAL_ENV,
	CV_TOOL_CREDENTIAL_FILE,
	CV_TOOL_CREDENTIAL_COMMAND,
	CV_TOOL_CREDENTIAL_PROVIDER, /* "name.KEY" of a provider of the run */
};

struct cv_tool_credential {
	struct cv_str name;
	enum cv_tool_credential_source source;
	struct cv_str from;  /* variable, path, provider */
	struct cv_str *argv; /* command */
	size_t argc;
	struct cv_policy_pos pos;
};

struct cv_catalog {
	struct cv_arena arena;
	struct cv_str file;
	struct cv_tool *tools; /* by name */
	size_t tool_count;
	struct cv_tool_server *servers;
	size_t server_count;
	struct cv_tool_mcp *mcps;
	size_t mcp_count;
	struct cv_tool_credential *credentials;
	size_t credential_count;
};

/* CV_INVALID with every mistake in findings.  *ret is the caller's to free. */
CV_MUST cv_code cv_catalog_load(struct cv_str file, struct cv_str text, struct cv_catalog **ret,
	struct cv_findings *findings);
/* Adds what b has to a; a name that both have is a finding.  b is taken in either case. */
CV_MUST cv_code cv_catalog_merge(
	struct cv_catalog *a, struct cv_catalog *b, struct cv_findings *findings);
void cv_catalog_free(struct cv_catalog *c); /* NULL is fine */

const struct cv_tool *cv_catalog_find(const struct cv_catalog *c, struct cv_str name);

/* The tool that a method and canonical path lead to, by its own route or /v1/tools/NAME, and what
 * the route's {places} say, as arguments; NULL: none. */
struct cv_tool_route_args {
	struct cv_str name[8], value[8];
	size_t n;
};
const struct cv_tool *cv_catalog_route(const struct cv_catalog *c, struct cv_str method,
	struct cv_str path, struct cv_tool_route_args *ret);

/* The known name that is nearest to a wrong one, or "". */
struct cv_str cv_catalog_nearest(const struct cv_catalog *c, struct cv_str name);
