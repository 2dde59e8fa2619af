/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.h - the host tools that exist, as data
 *
 * A catalog is YAML.  The launcher reads it to refuse a bad one before anything starts, the broker
 * reads the same text to run it; discovery documents are made from nothing else (discover.h).
 *
 *     version: 1
 *     credentials:                       # never shown to a sandbox; values come from outside
 *       GITHUB_TOKEN: {env: GITHUB_TOKEN}    # or file: PATH, command: [ARGV], provider: NAME.KEY
 *     servers:                           # that the broker starts (fullsend's contract)
 *       provisioner:
 *         argv: [/usr/bin/provisioner]
 *         port: 9091                   # or socket: PATH; neither: a port is chosen
 *         env: {GITHUB_TOKEN: "{credential:GITHUB_TOKEN}"}
 *         start_seconds: 15            # until /healthz answers
 *         stop_seconds: 5              # from SIGTERM to SIGKILL
 *         expose: true                 # as host.openshell.internal:PORT, where policy says so
 *     mcp_servers:
 *       files: {argv: [/usr/bin/files-mcp], allow: ["read_*"], prefix: files.}    # or url:, headers:
 *     urls: {"https://api.github.com": "https://ghe.example/api/v3"}    # where tools say the first
 *     tools:
 *       deploy:                          # the tool's name: [a-z][a-z0-9_]*, dots between parts
 *         description: Deploys a service.
 *         input:                         # JSON Schema 2020-12 of an object; names that it does not
 *           properties: {service: {type: string}}    # have are refused unless it says otherwise
 *           required: [service]
 *         command:                       # exactly one backend
 *           argv: [/usr/bin/deploy, "--service={service}", "{?verbose:--verbose}"]    # template.h
 *           env: {TOKEN: "{credential:GITHUB_TOKEN}", PATH: /usr/bin:/bin}
 *           workdir: /srv/deploy           # none: one of its own, empty, with these bounds
 *           workdir_bytes: 256MiB
 *           workdir_files: 65536
 *           private: true                  # sees no process but its own; servers have these three too
 *           stdin: json                  # none (default), json: the arguments, or "{body}"
 *           user: deploy                 # as root only
 *           sandbox: {policy: FILE}      # inside a cove sandbox of its own
 *         result: {stdout: text, exit_ok: [0, 3]}    # text, json, lines
 *         limits: {seconds: 60, concurrency: 4, host_concurrency: 8, host_group: deploys, bytes: 1048576}
 *         route: POST /deploy            # besides POST /v1/tools/deploy; may have {argument}s
 *         annotations: {read_only: false, destructive: true, idempotent: false}
 *
 * The other backends:
 *
 *     http:   {url: "http://127.0.0.1:8080", method: POST, path: "/r/{owner}", query: "state={s}",
 *              headers: {Authorization: "Bearer {credential:GITHUB_TOKEN}"}, body: "{json:payload}"}
 *             (socket: PATH instead of url; without a body the arguments go as JSON)
 *     server: {name: provisioner, method: POST, path: /repo/provision}    (and query, headers, body)
 *     mcp:    {server: files, tool: read_file}
 *     build:  {operation: build, base_images: ["docker.io/library/debian"], ...}   build, push, list
 *     files:  {operation: fetch, root: /srv/data}                        fetch, store (overwrite: true)
 *     repo:   {url: "https://github.com", allow: ["acme/site"], credential: GITHUB_TOKEN}    a git clone
 *
 * Every mistake has file, line and column.  All memory is the catalog's arena's.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/value.h"
#include "policy/policy.h"
#include "tools/limits.h"
#include "tools/template.h"

enum cv_tool_backend {
	CV_TOOL_COMMAND,
	CV_TOOL_HTTP,
	CV_TOOL_SERVER, /* an endpoint of a server of the catalog */
	CV_TOOL_MCP,    /* a tool of an MCP server of the catalog */
	CV_TOOL_BUILD,
	CV_TOOL_FILES,
	CV_TOOL_REPO,
	CV_TOOL_BACKEND_COUNT
};

enum cv_tool_stdin { CV_TOOL_STDIN_NONE, CV_TOOL_STDIN_JSON, CV_TOOL_STDIN_ARGUMENT };
enum cv_tool_output { CV_TOOL_OUTPUT_TEXT, CV_TOOL_OUTPUT_JSON, CV_TOOL_OUTPUT_LINES };

struct cv_tool_uses { /* names of credentials, each once */
	struct cv_str *v;
	size_t n;
};

struct cv_tool_pair { /* of env, of headers */
	struct cv_str name;
	const struct cv_template *value;
};

struct cv_tool_room { /* of a process's own directory, and what it sees besides */
	uint64_t bytes, files;
	bool is_private; /* not the processes of the machine, nor the directories of other runs */
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
	struct cv_tool_room room;
};

struct cv_tool_http {         /* also of CV_TOOL_SERVER, where base and socket are empty */
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
	struct cv_tool_uses uses;
	uint32_t start_ms, stop_ms; /* until /healthz answers; between SIGTERM and SIGKILL */
	bool is_exposed;            /* as host.openshell.internal:port, where policy says so */
	struct cv_tool_room room;
	struct cv_policy_pos pos;
};

struct cv_tool_mcp { /* of mcp_servers: */
	struct cv_str name;
	struct cv_str *argv; /* stdio */
	size_t argc;
	struct cv_str url; /* Streamable HTTP */
	const struct cv_tool_pair *env, *headers;
	size_t env_count, header_count;
	struct cv_tool_uses uses;
	struct cv_str *allow; /* globs over its tools' names */
	size_t allow_count;
	struct cv_str prefix; /* of the names of its tools here: "files." */
	struct cv_tool_room room;
	struct cv_policy_pos pos;
};

enum cv_tool_build_operation { CV_TOOL_BUILD_BUILD, CV_TOOL_BUILD_PUSH, CV_TOOL_BUILD_LIST };
enum cv_tool_build_engine {
	CV_TOOL_ENGINE_BUILDAH,
	CV_TOOL_ENGINE_PODMAN,
	CV_TOOL_ENGINE_DOCKER,
	CV_TOOL_ENGINE_BUILDKIT
};

struct cv_tool_login {          /* to a registry, while its images are fetched or pushed */
	struct cv_str registry; /* as references have it: HOST or HOST:PORT */
	struct cv_str user, credential;
	struct cv_str *hosts; /* that it sends a client to for a token: HOST or HOST:PORT */
	size_t host_count;
};

struct cv_tool_build { /* defaults and bounds of container builds; none of them 0 */
	enum cv_tool_build_operation operation;
	enum cv_tool_build_engine engine;
	struct cv_str *base_allow; /* base_images: globs over references; none: only scratch */
	size_t base_allow_count;
	bool needs_digest;         /* FROM has to name one */
	struct cv_str *push_allow; /* push: globs; none: no push */
	size_t push_allow_count;
	struct cv_str *hosts; /* that registries send us on to: HOST or HOST:PORT */
	size_t host_count;
	struct cv_str *allowed_ips; /* networks that are not public and registries may be in */
	size_t allowed_ip_count;
	struct cv_str *plain_http; /* registries without TLS: HOST or HOST:PORT */
	size_t plain_http_count;
	struct cv_tool_login *logins;
	size_t login_count;
	uint64_t context_bytes_max, image_bytes_max;
	uint32_t context_files_max;
	uint64_t memory_bytes;
	uint32_t cpu_milli, seconds;
	struct cv_str cache; /* empty: of the run alone; else a name that runs share */
};

enum cv_tool_files_operation { CV_TOOL_FILES_FETCH, CV_TOOL_FILES_STORE };

struct cv_tool_files { /* files below root into the sandbox (fetch), or from it to there (store) */
	enum cv_tool_files_operation operation;
	struct cv_str root;
	uint64_t bytes_max;
	uint32_t files_max;
	bool may_overwrite; /* store: one file, by another */
};

struct cv_tool_repo {         /* git clones into the sandbox */
	struct cv_str base;   /* https://HOST[:PORT][/PATH], without a slash at its end */
	struct cv_str git;    /* the program */
	struct cv_str *allow; /* globs over OWNER/NAME; never none */
	size_t allow_count;
	struct cv_str credential, user; /* empty: asked without; the name that goes with it */
	uint64_t bytes_max;             /* of what is fetched, and of what it becomes */
	uint32_t files_max;
};

struct cv_tool {
	struct cv_str name, description;
	struct cv_policy_pos pos;
	const struct cv_value *input; /* the schema, as JSON and as it is shown; never NULL */
	struct cv_schema *schema;     /* the same, compiled (schema.h) */
	bool has_input;   /* the catalog has one; else an MCP server's tool takes the server's */
	bool is_imported; /* not written in the catalog: cv_catalog_import() */
	bool is_moved;    /* its URL is one of urls: */
	enum cv_tool_backend backend;
	const struct cv_tool_command *command;
	const struct cv_tool_http *http; /* of CV_TOOL_SERVER too */
	const struct cv_tool_build *build;
	const struct cv_tool_files *files;
	const struct cv_tool_repo *repo;
	uint32_t server;             /* CV_TOOL_SERVER: index into servers */
	uint32_t mcp;                /* CV_TOOL_MCP: index into mcps */
	struct cv_str mcp_tool;      /* CV_TOOL_MCP: its name there */
	struct cv_str method, route; /* "POST", "/deploy"; empty: none of its own */
	enum cv_tool_output output;
	int32_t *exit_ok; /* command: those that are success; none: 0 */
	size_t exit_ok_count;
	uint32_t seconds, concurrency; /* never 0 */
	uint32_t host_concurrency;     /* of all sandboxes that count together; 0: no limit */
	struct cv_str host_group;  /* ... calls of what; of this tool, unless the catalog says */
	uint64_t result_bytes_max; /* never 0 */
	bool is_read_only, is_destructive, is_idempotent;
	struct cv_tool_uses uses;
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

struct cv_tool_url { /* of urls: */
	struct cv_str from, to;
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
	struct cv_tool_url
		*urls; /* base URLs that are others here, of every catalog merged with it */
	size_t url_count;
	struct cv_schema **schemas; /* owned: those of the tools that were loaded with it */
	size_t schema_count;
	struct cv_catalog *merged; /* owned: whose memory merged parts are in */
};

/* "podman", as the catalog writes it. */
const char *cv_tool_build_engine_name(enum cv_tool_build_engine engine);

/* "command", as the catalog writes it. */
const char *cv_tool_backend_name(enum cv_tool_backend backend);

/* [a-z][a-z0-9_]*, with dots between parts, CV_TOOL_NAME_BYTES_MAX at most. */
CV_MUST bool cv_tool_name_is_good(struct cv_str name);

/* CV_INVALID with every mistake in findings.  *ret is the caller's to free. */
CV_MUST cv_code cv_catalog_load(struct cv_str file, struct cv_str text, struct cv_catalog **ret,
	struct cv_findings *findings);
/* Adds what b has to a; a name or route that both have is a finding.  b is taken in either case. */
CV_MUST cv_code cv_catalog_merge(
	struct cv_catalog *a, struct cv_catalog *b, struct cv_findings *findings);
void cv_catalog_free(struct cv_catalog *c); /* NULL is fine */

/* Whether a limit of it counts the calls of other sandboxes too. */
bool cv_catalog_has_slots(const struct cv_catalog *c);
const struct cv_tool *cv_catalog_find(const struct cv_catalog *c, struct cv_str name);
int cv_tool_by_name(const void *a, const void *b); /* the order of tools, for qsort(3) */
/* The known name that is nearest to a wrong one, or "". */
struct cv_str cv_catalog_nearest(const struct cv_catalog *c, struct cv_str name);

/* For each credential that something of the catalog is given, once or several times, by its index
 * among the catalog's: who is "tool:NAME", "server:NAME" or "mcp:NAME", borrowed.  The first failure
 * ends it. */
typedef cv_code cv_catalog_use_fn(
	void *arg, struct cv_str who, size_t credential, struct cv_err *err);
CV_MUST cv_code cv_catalog_uses_each(
	const struct cv_catalog *c, cv_catalog_use_fn *fn, void *arg, struct cv_err *err);

/* What an MCP server said its tools are (the list of tools/list), as tools of the catalog: those
 * that its `allow` names, as prefix and name, in place of what was imported from it before.  A tool
 * of the catalog that is one of them and has no input takes the server's schema.  What can't be
 * taken (a name that is no strict one or taken, a schema that is none) is a warning in findings and
 * left out.  Tools move: pointers to them stay good, but are those of before.  CV_LIMIT: the
 * catalog is full. */
CV_MUST cv_code cv_catalog_import(struct cv_catalog *c, uint32_t mcp, const struct cv_value *tools,
	struct cv_findings *findings, struct cv_err *err);

/* ---- routes (catalog_route.c) ---- */

#define CV_TOOL_ROUTE_PREFIX "/v1/tools/"

/* What a route's {places} say. */
struct cv_tool_route_args {
	struct cv_str name[CV_TOOL_ROUTE_PLACES_MAX], value[CV_TOOL_ROUTE_PLACES_MAX];
	size_t n;
};

/* The tool that a method and canonical path lead to, by its own route or /v1/tools/NAME, and what
 * its places say, decoded, in arena; NULL: none. */
const struct cv_tool *cv_catalog_route(const struct cv_catalog *c, struct cv_str method,
	struct cv_str path, struct cv_tool_route_args *ret, struct cv_arena *arena);

bool cv_tool_method_has_body(struct cv_str method); /* of a route */

/* Methods with which the path leads to a tool, for 405; returns their number, at most max. */
size_t cv_catalog_route_methods(
	const struct cv_catalog *c, struct cv_str path, struct cv_str *ret, size_t max);

/* A call's arguments: the body's object (NULL: none) and the places, which become numbers and
 * booleans where the input's schema says that they are.  One in both is CV_INVALID, and so is a body
 * that is no object. */
CV_MUST cv_code cv_tool_arguments(const struct cv_tool *tool, const struct cv_tool_route_args *args,
	const struct cv_value *body, struct cv_arena *arena, const struct cv_value **ret,
	struct cv_err *err);
