/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_catalog.c - what a catalog says, and every mistake with its place and what would be right
 */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/findings.h"
#include "tools/catalog.h"
#include "wire/json_value.h"

static const char good[] =
	"version: 1\n"
	"credentials:\n"
	"  GITHUB_TOKEN: {env: GITHUB_TOKEN}\n"
	"  NPM: {command: [/usr/bin/pass, npm]}\n"
	"  DB: {provider: my-db.PASSWORD}\n"
	"  CERT: {file: /etc/cove/cert}\n"
	"servers:\n"
	"  provisioner:\n"
	"    argv: [/usr/bin/provisioner]\n"
	"    port: 9091\n"
	"    env: {GITHUB_TOKEN: \"{credential:GITHUB_TOKEN}\"}\n"
	"    expose: true\n"
	"mcp_servers:\n"
	"  files: {argv: [/usr/bin/files-mcp], allow: [\"read_*\"], prefix: files.}\n"
	"  remote: {url: \"https://mcp.example/mcp\", headers: {Authorization: \"Bearer {credential:NPM}\"}}\n"
	"tools:\n"
	"  repo.deploy:\n"
	"    description: Deploys a service.\n"
	"    input:\n"
	"      properties:\n"
	"        service: {type: string, maxLength: 40}\n"
	"        verbose: {type: boolean}\n"
	"        labels: {type: array, items: {type: string}}\n"
	"      required: [service]\n"
	"    command:\n"
	"      argv: [/usr/bin/deploy, \"--service={service}\", \"{?verbose:--verbose}\", --, \"{labels...}\"]\n"
	"      env: {TOKEN: \"{credential:GITHUB_TOKEN}\", PATH: \"/usr/bin:/bin\"}\n"
	"      workdir: /srv/deploy\n"
	"      stdin: json\n"
	"      user: deploy\n"
	"      sandbox: {policy: /srv/deploy.yaml}\n"
	"    result: {stdout: lines, max_bytes: 64KiB, exit_ok: [0, 3]}\n"
	"    limits: {seconds: 90, concurrency: 2, host_concurrency: 3, host_group: production, bytes: 1MiB}\n"
	"    route: POST /deploy/{service}\n"
	"    annotations: {idempotent: true}\n"
	"  provision_repo:\n"
	"    description: Clones.\n"
	"    input: {properties: {repo: {type: string}}, required: [repo]}\n"
	"    server: {name: provisioner, path: /repo/provision}\n"
	"    route: POST /repo/provision\n"
	"  check_provision_status:\n"
	"    description: Status.\n"
	"    input: {type: object, properties: {id: {type: integer}}, required: [id]}\n"
	"    server: {name: provisioner, method: GET, path: \"/repo/status/{id}\"}\n"
	"    route: GET /repo/status/{id}\n"
	"    annotations: {read_only: true}\n"
	"  issue.get:\n"
	"    description: Reads an issue.\n"
	"    input: {properties: {owner: {type: string}, n: {type: integer}, s: {type: string}}, required: [owner, n]}\n"
	"    http:\n"
	"      url: https://api.github.com\n"
	"      method: GET\n"
	"      path: /repos/{owner}/issues/{n}\n"
	"      query: \"{?s:state={s}}\"\n"
	"      headers: {Authorization: \"Bearer {credential:GITHUB_TOKEN}\"}\n"
	"  read:\n"
	"    description: Reads a file.\n"
	"    mcp: {server: files, tool: read_file}\n"
	"  build_container:\n"
	"    description: Builds an image.\n"
	"    build: {base_images: [\"docker.io/library/**\"], memory: 2GiB, cpus: 1.5, seconds: 600, cache: shared,\n"
	"            plain_http: [\"plain.test:5000\"],\n"
	"            logins: {\"r.test:5000\": {user: robot, credential: NPM, hosts: [auth.test]}}}\n"
	"  fetch:\n"
	"    description: Copies.\n"
	"    files: {operation: fetch, root: /srv/data, bytes: 10MiB}\n";

static struct cv_findings findings;
static struct cv_arena arena;

static int setup(void **state)
{
	(void)state;
	cv_findings_init(&findings);
	cv_arena_init(&arena, 16 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_findings_fini(&findings);
	cv_arena_fini(&arena);
	return 0;
}

static const char *said(void)
{
	static char text[16384];
	struct cv_buf out;

	cv_buf_init(&out, sizeof(text) - 1);
	cv_findings_text(&findings, CV_STR("c"), &out);
	assert_true(cv_str_to_cstr(cv_buf_str(&out), text, sizeof(text)));
	cv_buf_fini(&out);
	return text;
}

static struct cv_catalog *loaded(const char *text)
{
	struct cv_catalog *c = NULL;

	if (cv_catalog_load(CV_STR("c"), cv_str_of(text), &c, &findings) != CV_OK)
		fail_msg("%s", said());
	return c;
}

static const struct cv_tool *tool(const struct cv_catalog *c, const char *name)
{
	const struct cv_tool *t = cv_catalog_find(c, cv_str_of(name));

	if (!t)
		fail_msg("no tool %s", name);
	return t;
}

static const char *json(const struct cv_value *v)
{
	static char text[4096];
	struct cv_buf out;

	cv_buf_init(&out, sizeof(text) - 1);
	assert_true(cv_json_value_write(&out, v));
	assert_true(cv_str_to_cstr(cv_buf_str(&out), text, sizeof(text)));
	cv_buf_fini(&out);
	return text;
}

static void a_whole_catalog(void **state)
{
	struct cv_catalog *c = loaded(good);
	const struct cv_tool *t = tool(c, "repo.deploy");

	(void)state;
	assert_string_equal(said(), "");
	assert_int_equal(c->tool_count, 7);
	assert_int_equal(t->backend, CV_TOOL_COMMAND);
	assert_int_equal(t->command->argc, 5);
	assert_str(t->command->argv[0]->source, "/usr/bin/deploy");
	assert_int_equal(t->command->stdin_kind, CV_TOOL_STDIN_JSON);
	assert_true(t->command->is_sandboxed);
	assert_int_equal(t->output, CV_TOOL_OUTPUT_LINES);
	assert_int_equal(t->exit_ok_count, 2);
	assert_int_equal(t->exit_ok[1], 3);
	assert_int_equal(t->result_bytes_max, 65536); /* the lower of both */
	assert_int_equal(t->seconds, 90);
	assert_int_equal(t->concurrency, 2);
	assert_int_equal(t->host_concurrency, 3);
	assert_true(cv_str_eq(t->host_group, CV_STR("production")));
	assert_true(cv_catalog_has_slots(c));
	assert_true(t->is_idempotent && t->is_destructive && !t->is_read_only);
	assert_int_equal(t->uses.n, 1);
	assert_str(t->uses.v[0], "GITHUB_TOKEN");
	assert_str(t->method, "POST");
	t = tool(c, "check_provision_status");
	assert_true(t->is_read_only && !t->is_destructive);
	assert_str(c->servers[t->server].name, "provisioner");
	assert_str(t->http->method, "GET");
	assert_int_equal(tool(c, "read")->mcp, 0);
	assert_str(tool(c, "read")->mcp_tool, "read_file");
	assert_int_equal(c->servers[0].port, 9091);
	assert_int_equal(c->servers[0].start_ms, 15000);
	assert_int_equal(c->credential_count, 4);
	t = tool(c, "build_container");
	assert_int_equal(t->build->cpu_milli, 1500);
	assert_int_equal(t->build->memory_bytes, 2ull << 30);
	assert_int_equal(t->seconds, 600);
	assert_str(t->build->cache, "shared");
	assert_int_equal(t->build->plain_http_count, 1);
	assert_str(t->build->plain_http[0], "plain.test:5000");
	assert_int_equal(t->build->login_count, 1);
	assert_str(t->build->logins[0].registry, "r.test:5000");
	assert_str(t->build->logins[0].user, "robot");
	assert_str(t->build->logins[0].credential, "NPM");
	assert_str(t->build->logins[0].hosts[0], "auth.test");
	assert_int_equal(t->uses.n, 1);
	assert_str(t->uses.v[0], "NPM");
	assert_int_equal(tool(c, "fetch")->files->bytes_max, 10 << 20);
	assert_int_equal(tool(c, "fetch")->concurrency, CV_TOOL_CONCURRENCY_DEFAULT);
	assert_int_equal(tool(c, "fetch")->host_concurrency, 0);
	cv_catalog_free(c);
}

static void s6_other_names_are_refused_where_nobody_spoke_of_them(void **state)
{
	struct cv_catalog *c = loaded(
		"version: 1\ntools:\n"
		"  a: {description: d, input: {properties: {x: {const: 1.5}}, required: [x]}, mcp: {server: m, tool: t}}\n"
		"  b: {description: d, input: {additionalProperties: true}, mcp: {server: m, tool: t}}\n"
		"  c: {description: d, input: {allOf: [{properties: {x: {type: [string, 'null'], default: null}}}]}, mcp: {server: m, tool: t}}\n"
		"  d: {description: d, command: {argv: [/bin/true]}}\n"
		"  e: {description: d, mcp: {server: m, tool: t}}\n"
		"mcp_servers: {m: {argv: [/bin/m]}}\n");

	(void)state;
	assert_string_equal(json(tool(c, "a")->input),
		"{\"additionalProperties\":false,\"properties\":{\"x\":{\"const\":1.5}},\"required\":[\"x\"],\"type\":\"object\"}");
	assert_string_equal(
		json(tool(c, "b")->input), "{\"additionalProperties\":true,\"type\":\"object\"}");
	assert_string_equal(json(tool(c, "c")->input),
		"{\"allOf\":[{\"properties\":{\"x\":{\"default\":null,\"type\":[\"string\",\"null\"]}}}],\"type\":\"object\"}");
	assert_string_equal(json(tool(c, "d")->input),
		"{\"additionalProperties\":false,\"properties\":{},\"type\":\"object\"}");
	assert_string_equal(json(tool(c, "e")->input), "{\"type\":\"object\"}");
	assert_false(tool(c, "e")->has_input);
	cv_catalog_free(c);
}

/* ---- mistakes ---- */

#define TOOL "version: 1\ntools:\n  t:\n    description: d\n"
#define COMMAND \
	TOOL "    input: {properties: {x: {type: string}, l: {type: array}}, required: [x]}\n    command:\n"
#define HTTP TOOL "    input: {properties: {x: {type: string}}, required: [x]}\n    http:\n"
#define ROUTE(r)                                                                                                          \
	TOOL "    input: {properties: {x: {type: string}}}\n    command: {argv: [/bin/true], stdin: json}\n    route: " r \
	     "\n"

static const struct {
	const char *text, *want;
} mistake[] = {
	{ "", "c:1:1: error: the catalog is empty; it needs at least" },
	{ "tools: {}\n", "c:1:1: error: a catalog needs the key 'version'" },
	{ "version: 2\n", "c:1:10: error: version 2 is not supported" },
	{ "version: 1\ntool: {}\n",
		"c:2:1: error: unknown key 'tool' in a catalog; did you mean 'tools'?" },
	/* names */
	{ "version: 1\ntools: {Deploy: {description: d, command: {argv: [/bin/true]}}}\n",
		"c:2:9: error: Deploy: 'Deploy' can't be a tool's name; write small letters" },
	{ "version: 1\ntools: {a..b: {description: d, command: {argv: [/bin/true]}}}\n",
		"'a..b' can't be a tool's name" },
	{ "version: 1\ntools: {a.: {description: d, command: {argv: [/bin/true]}}}\n",
		"'a.' can't be a tool's name" },
	{ "version: 1\ntools: {a/b: {description: d, command: {argv: [/bin/true]}}}\n",
		"'a/b' can't be a tool's name" },
	{ TOOL "    command: {argv: [/bin/true]}\n  t: {description: d, command: {argv: [/bin/true]}}\n",
		"c:6:3: error: duplicate key 't', first at line 3" },
	/* backends */
	{ TOOL, "c:3:3: error: t: nothing says how it runs; write one of command, http" },
	{ TOOL "    command: {argv: [/bin/true]}\n    files: {operation: fetch, root: /srv}\n",
		"c:3:3: error: t: more than one backend" },
	{ TOOL "    comand: {}\n",
		"c:5:5: error: t: unknown key 'comand' in a tool; did you mean 'command'?" },
	{ TOOL "    approval: always\n    command: {argv: [/bin/true]}\n",
		"'approval' is not accepted; who has to agree is the policy's" },
	/* command */
	{ COMMAND "      argv: [deploy, \"{x}\"]\n",
		"c:7:14: error: t.command.argv[0]: 'deploy' is no absolute path; write it from the root" },
	{ COMMAND "      argv: [\"{x}\"]\n",
		"c:7:14: error: t.command.argv[0]: a call can't choose the program" },
	{ COMMAND "      argv: [/bin/../bin/sh, \"{x}\"]\n",
		"'/bin/../bin/sh' is no absolute path" },
	{ COMMAND "      argv: []\n", "c:7:13: error: t.command.argv: 0 words" },
	{ COMMAND "      argv: [/bin/echo, \"{y}\"]\n",
		"c:7:25: error: t.command.argv[1]: there is no argument 'y'; did you mean 'x'?" },
	{ COMMAND "      argv: [/bin/echo, \"{nothing}\"]\n",
		"there is no argument 'nothing'; add it to the properties of input" },
	{ COMMAND "      argv: [/bin/echo, \"{l}\"]\n",
		"t.command.argv[1]: 'l' is an array, and no single text; write {name...}" },
	{ COMMAND "      argv: [/bin/echo, \"{x...}\"]\n", "'x' is of type string, and no list" },
	{ COMMAND "      argv: [/bin/echo, \"{x\"]\n",
		"a place that is not closed; write {{ for a brace (byte 1 of '{x')" },
	{ COMMAND "      argv: [/bin/echo, \"{json:l}\", \"{x}\"]\n",
		"'l' may be absent in a call; list it in required, or write {?name:" },
	{ COMMAND "      argv: [/bin/echo, \"{credential:T}\"]\n",
		"a credential in an argv can be read by every process" },
	{ COMMAND "      argv: [/bin/echo, \"{x}\", \"{l...}\"]\n      env: {A-B: x}\n",
		"c:8:13: error: t.command.env: 'A-B' can't be the name of a variable" },
	{ COMMAND
		"      argv: [/bin/echo, \"{x}\", \"{l...}\"]\n      env: {T: \"{credential:TOK}\"}\n",
		"c:8:16: error: t.command.env: there is no credential 'TOK'; declare it" },
	{ COMMAND "      argv: [/bin/echo, \"{x}\", \"{l...}\"]\n      workdir: srv\n",
		"c:8:16: error: t.command.workdir: 'srv' is no absolute path" },
	{ COMMAND "      argv: [/bin/echo, \"{x}\", \"{l...}\"]\n      stdin: yaml\n",
		"c:8:14: error: t.command.stdin: unknown 'yaml'; write none, json or" },
	{ COMMAND "      argv: [/bin/echo, \"{x}\", \"{l...}\"]\n      shell: echo\n",
		"'shell' is not accepted; there is no shell" },
	/* http */
	{ HTTP "      url: http://api.example\n      path: /{x}\n",
		"c:7:12: error: t.http.url: http to 'api.example', which is not this machine" },
	{ HTTP "      url: http://127.0.0.1.example\n      path: /{x}\n",
		"http to '127.0.0.1.example', which is not this machine" },
	{ HTTP "      url: http://10.0.0.1\n      path: /{x}\n",
		"http to '10.0.0.1', which is not this machine" },
	{ HTTP "      url: ftp://127.0.0.1\n      path: /{x}\n", "does not start with http://" },
	{ HTTP "      url: https://api.example/v1\n      path: /{x}\n",
		"has a path or query; write them into path and query" },
	{ HTTP "      path: /{x}\n", "t.http: neither url nor socket" },
	{ HTTP "      url: https://a.example\n      socket: /run/a\n      path: /{x}\n",
		"t.http: both url and socket" },
	{ HTTP "      url: https://a.example\n      path: \"{x}\"\n",
		"'{x}' is no path; begin it with /" },
	{ HTTP "      url: https://a.example\n      path: /a?x={x}\n",
		"'/a?x={x}' has a query; write it into query" },
	{ HTTP "      url: https://a.example\n      path: /a\n      body: 'a={x}'\n",
		"'x' as it is could say anything within the body; write {json:name}" },
	{ HTTP "      url: https://a.example\n      path: /{x}\n      method: GET\n      body: '{x}'\n",
		"GET has no body; remove it" },
	{ HTTP "      url: https://a.example\n      path: /{x}\n      method: get\n",
		"unknown method 'get'; expected GET" },
	{ HTTP "      url: https://a.example\n      path: /{x}\n      headers: {Host: x}\n",
		"the header Host is written by cove itself" },
	{ HTTP "      url: https://a.example\n      path: /{x}\n      headers: {\"A B\": x}\n",
		"'A B' can't be the name of a header" },
	/* server, mcp, build, files */
	{ TOOL "    server: {name: s, path: /}\n",
		"c:5:20: error: t.server.name: there is no server 's'; declare it in servers:" },
	{ TOOL "    mcp: {server: s, tool: x}\n",
		"t.mcp.server: there is no MCP server 's'; declare it in mcp_servers:" },
	{ TOOL "    build: {engine: kaniko}\n",
		"unknown engine 'kaniko'; expected buildah, podman, docker, buildkit" },
	{ TOOL "    build: {cpus: many}\n",
		"t.build.cpus: 'many' is no number of CPUs; write one such as" },
	{ TOOL "    build: {operation: push}\n", "t.build: nothing may be pushed to; add push:" },
	{ TOOL "    build: {memory: 5 bananas}\n", "t.build.memory: expected a number from 1 to" },
	{ TOOL "    build: {hosts: [\"a b\"]}\n",
		"c:5:21: error: t.build.hosts: 'a b' is no host" },
	{ TOOL "    build: {hosts: [\"a.test:0\"]}\n",
		"c:5:21: error: t.build.hosts: 'a.test:0' is no host" },
	{ TOOL "    build: {allowed_ips: [10.0.0.0/33]}\n",
		"c:5:27: error: t.build.allowed_ips: '10.0.0.0/33' is no network" },
	{ TOOL "    build: {plain_http: [\"*.test:5000\"]}\n",
		"t.build.plain_http: '*.test:5000' names no registry; write it as" },
	{ TOOL "    build: {plain_http: [\"10.0.0.0/8\"]}\n", "'10.0.0.0/8' names no registry" },
	{ TOOL "    build: {plain_http: [\"localhost:5000\"]}\n",
		"'localhost:5000' is in each sandbox its own loopback; write a name" },
	{ TOOL "    build: {plain_http: [\"127.0.0.1:5000\"]}\n", "its own loopback" },
	{ TOOL "    build: {logins: {\"r.test\": {user: u, credential: C}}}\n",
		"t.build.logins: there is no credential 'C'; declare it in credentials:" },
	{ TOOL "    build: {logins: {\"r.test\": {user: u, password: hunter2}}}\n",
		"a catalog holds no secret" },
	{ TOOL "    build: {logins: {\"r.test\": {user: u}}}\n", "credential" },
	{ TOOL "    build: {logins: {\"r.test\": {user: \"a:b\", credential: C}}}\n",
		"printable characters without a colon" },
	{ TOOL "    build: {logins: {\"r.test/a\": {user: u, credential: C}}}\n",
		"'r.test/a' names no registry" },
	{ TOOL "    build: {logins: {\"r.test\": {user: u, credential: C, hosts: [\"*.test\"]}}}\n",
		"a credential goes to no pattern of hosts" },
	{ TOOL "    build: {plain_http: [r.test], logins: {r.test: {user: u, credential: C}}}\n",
		"credentials are not sent without TLS, which 'r.test' does not have; give it TLS" },
	{ TOOL "    build: {base_images: [\"[\"]}\n", "c:5:27: error: t.build.base_images: '['" },
	{ TOOL "    files: {operation: fetch, root: data}\n",
		"t.files.root: 'data' is no absolute path" },
	{ TOOL "    files: {operation: fetch, root: /srv, overwrite: true}\n",
		"t.files.overwrite: what is fetched never replaces a file of the sandbox" },
	/* input */
	{ TOOL "    input: [a]\n    command: {argv: [/bin/true]}\n",
		"c:5:12: error: t.input: expected a JSON Schema of an object" },
	{ TOOL "    input: {type: string}\n    command: {argv: [/bin/true]}\n",
		"c:5:19: error: t.input: the arguments of a call are an object" },
	{ TOOL "    input: {properties: {x: {minimum: +1}}}\n    command: {argv: [/bin/true], stdin: json}\n",
		"t.input: '+1' is no number of JSON" },
	/* the schema itself: its mistakes have places too */
	{ TOOL "    input: {properties: {x: {type: strin}}}\n    command: {argv: [/bin/true], stdin: json}\n",
		"c:5:36: error: t.input/properties/x/type: must be one of null" },
	{ TOOL "    input: {properties: {x: {}}, requried: [x]}\n    command: {argv: [/bin/true], stdin: json}\n",
		"c:5:44: error: t.input/requried: is no keyword; \"required\" is" },
	{ COMMAND
		"      argv: [/bin/echo, \"{x}\", \"{l...}\"]\n      workdir: /srv\n      workdir_bytes: 1MiB\n",
		"t.command.workdir_bytes: only a directory of the call's own is bounded; leave it out" },
	{ COMMAND "      argv: [/bin/echo, \"{x}\", \"{l...}\"]\n      workdir_files: 0\n",
		"t.command.workdir_files: expected a number from 1 to 10000000, found '0'" },
	{ "version: 1\nmcp_servers: {m: {url: \"https://a.example\", workdir_files: 9}}\n",
		"m.workdir_files: there is no process to give one; leave it out" },
	/* limits */
	{ TOOL "    command: {argv: [/bin/true]}\n    limits: {seconds: 0}\n",
		"c:6:23: error: t.limits.seconds: expected a number from 1 to 86400, found '0'" },
	{ TOOL "    command: {argv: [/bin/true]}\n    limits: {calls: 7}\n",
		"'calls' is not accepted; how often a sandbox may call is its policy's" },
	{ TOOL "    command: {argv: [/bin/true]}\n    limits: {host_concurrency: 5000}\n",
		"c:6:32: error: t.limits.host_concurrency: expected a number from 1 to 4096, found '5000'" },
	{ TOOL "    command: {argv: [/bin/true]}\n    limits: {host_group: g}\n",
		"c:6:26: error: t.limits.host_group: a group without a limit; say how many at once: host_concurrency: 1" },
	{ TOOL "    command: {argv: [/bin/true]}\n    limits: {host_concurrency: 1, host_group: \"G 1\"}\n",
		"t.limits.host_group: 'G 1' can't be a group's name" },
	{ TOOL "    files: {operation: fetch, root: /srv}\n    result: {exit_ok: [0]}\n",
		"only a command has an exit status" },
	/* routes */
	{ ROUTE("POST /"), "'/' is cove's own" },
	{ ROUTE("POST /mcp"), "'/mcp' is cove's own; choose another" },
	{ ROUTE("POST /v1/x"), "'/v1' is cove's own" },
	{ ROUTE("POST /MCP"), "'/MCP' is cove's own" },
	{ ROUTE("POST /healthz"), "'/healthz' is cove's own" },
	{ ROUTE("POST /tools.json"), "'/tools.json' is cove's own" },
	{ ROUTE("POST /openapi.json"), "'/openapi.json' is cove's own" },
	{ ROUTE("POST /.well-known/x"), "'/.well-known' is cove's own" },
	{ ROUTE("\"POST /{x}\""), "'{x}' can't be a segment of a route" },
	{ ROUTE("POST /a/../mcp"), "'..' can't be a segment" },
	{ ROUTE("POST /a//b"), "'' can't be a segment" },
	{ ROUTE("POST /a/"), "'' can't be a segment" },
	{ ROUTE("POST /a%2fb"), "'a%2fb' can't be a segment" },
	{ ROUTE("POST /a/x{x}"), "'x{x}' can't be a segment" },
	{ ROUTE("POST /a/{y}"), "c:7:12: error: t.route: there is no argument 'y'" },
	{ ROUTE("POST /a/{x}/{x}"), "'{x}' is there twice" },
	{ ROUTE("FETCH /a"), "'FETCH /a' is no method and path" },
	{ ROUTE("/a"), "'/a' is no method and path" },
	{ ROUTE("GET /a"), "GET has no body, so nothing can say 'x'" },
	{ ROUTE("POST /a/b") "  u: {description: d, route: POST /a/b, command: {argv: [/bin/true]}}\n",
		"c:8:3: error: u: one request could mean 'POST /a/b' and the route of 't' (line 3); give each its own" },
	{ ROUTE("POST /a/{x}") "  u: {description: d, route: POST /a/b, command: {argv: [/bin/true]}}\n",
		"one request could mean 'POST /a/b' and the route of 't'" },
	/* credentials */
	{ "version: 1\ncredentials: {T: {}}\n",
		"c:2:15: error: T: does not say where its value comes from; write one of env" },
	{ "version: 1\ncredentials: {T: {env: A, file: /b}}\n",
		"T: says more than once where its value comes from" },
	{ "version: 1\ncredentials: {T: {value: hunter2}}\n",
		"'value' is not accepted; a catalog holds no secret" },
	{ "version: 1\ncredentials: {T: hunter2}\n",
		"expected a mapping, found a string; write {env: VARIABLE}" },
	{ "version: 1\ncredentials: {T: {file: b}}\n", "T.file: this is no absolute path" },
	{ "version: 1\ncredentials: {T: {provider: x}}\n",
		"T.provider: this names no value of a provider; write NAME.KEY" },
	{ "version: 1\ncredentials: {T-X: {env: A}}\n", "'T-X' can't be a name here" },
	/* servers */
	{ "version: 1\nservers: {s: {port: 1}}\n", "a server needs the key 'argv'" },
	{ "version: 1\nservers: {s: {argv: [x]}}\n", "s.argv[0]: 'x' is no absolute path" },
	{ "version: 1\nservers: {s: {argv: [/x], port: 70000}}\n",
		"s.port: expected a number from 1 to 65535" },
	{ "version: 1\nservers: {s: {argv: [/x], expose: true}}\n",
		"s.expose: a sandbox reaches it as host.openshell.internal:PORT" },
	{ "version: 1\nservers: {s: {argv: [/x], port: 1, socket: /r}}\n",
		"s.socket: both a port and a socket" },
	{ "version: 1\nservers: {s: {argv: [/x], port: 1}, r: {argv: [/x], port: 1}}\n",
		"r.port: 's' has this port too" },
	{ "version: 1\nservers: {s: {argv: [/x], env: {A: \"{b}\"}}}\n",
		"s.env: a call's argument 'b', where there is no call" },
	{ "version: 1\nmcp_servers: {m: {}}\n", "m: neither argv nor url; write argv or url" },
	{ "version: 1\nmcp_servers: {m: {url: \"http://x.example/mcp\"}}\n",
		"m.url: http to 'x.example'" },
	{ "version: 1\nmcp_servers: {m: {argv: [/x], prefix: Files.}}\n",
		"m.prefix: 'Files.' can't begin a tool's name" },
	{ "version: 1\nmcp_servers: {m: {argv: [/x], headers: {A: b}}}\n",
		"m.headers: stdio has no headers" },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"https://x\"}}}\n",
		"repo needs the key 'allow'" },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"https://x\", allow: []}}}\n",
		"t.repo.allow: no repository may be cloned" },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"http://127.0.0.1\", allow: [a/b]}}}\n",
		"t.repo.url: repositories are fetched by https alone" },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"file:///srv\", allow: [a/b]}}}\n",
		"t.repo.url: " },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"https://u:p@x\", allow: [a/b]}}}\n",
		"t.repo.url: " },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"https://x\", allow: [a/b], credential: NONE}}}\n",
		"t.repo.credential: there is no credential 'NONE'" },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"https://x\", allow: [a/b], user: \"a:b\"}}}\n",
		"t.repo.user: 1 to 64 printable characters without a colon" },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"https://x\", allow: [a/b], git: git}}}\n",
		"t.repo.git: 'git' is no absolute path" },
	{ "version: 1\ntools: {t: {description: d, repo: {url: \"https://x\", allow: [\"[\"]}}}\n",
		"t.repo.allow: '['" },
	{ "version: 1\nurls: {\"https://a\": \"http://b.example\"}\n",
		"urls: http to 'b.example'" },
	{ "version: 1\nurls: {a: \"https://b\"}\n", "urls: 'a': " },
};

static void rooms(void **state)
{
	struct cv_catalog *c = NULL;

	(void)state;
	assert_int_equal(
		cv_catalog_load(CV_STR("c"),
			CV_STR("version: 1\n"
			       "servers: {s: {argv: [/bin/s], private: false}}\n"
			       "mcp_servers: {m: {argv: [/bin/m], workdir_bytes: 2GiB, allow: [x]}}\n"
			       "tools:\n"
			       "  a: {description: d, command: {argv: [/bin/true]}}\n"
			       "  b: {description: d, command: {argv: [/bin/true], private: false,\n"
			       "      workdir_bytes: 4MiB, workdir_files: 7}}\n"),
			&c, &findings),
		CV_OK);
	assert_true(c->tools[0].command->room.is_private);
	assert_int_equal(c->tools[0].command->room.bytes, 256u << 20);
	assert_int_equal(c->tools[0].command->room.files, 65536);
	assert_false(c->tools[1].command->room.is_private);
	assert_int_equal(c->tools[1].command->room.bytes, 4u << 20);
	assert_int_equal(c->tools[1].command->room.files, 7);
	assert_false(c->servers[0].room.is_private);
	assert_true(c->mcps[0].room.is_private);
	assert_int_equal(c->mcps[0].room.bytes, 2ull << 30);
	cv_catalog_free(c);
}

static void mistakes(void **state)
{
	struct cv_catalog *c = NULL;
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(mistake); i++) {
		cv_findings_fini(&findings);
		cv_findings_init(&findings);
		const cv_code code =
			cv_catalog_load(CV_STR("c"), cv_str_of(mistake[i].text), &c, &findings);

		if (code == CV_INVALID && !c && strstr(said(), mistake[i].want))
			continue;
		wrong++;
		print_error("row %zu:\n%swant: %s\ngot: %s\n", i, mistake[i].text, mistake[i].want,
			said());
	}
	assert_int_equal(wrong, 0);
}

static void c1_a_secret_in_a_catalog_is_never_quoted(void **state)
{
	static const char *const text[] = {
		"version: 1\ncredentials: {T: {value: hunter2}}\n",
		"version: 1\ncredentials: {T: hunter2}\n",
		"version: 1\ncredentials: {T: {env: hunter2-}}\n",
		"version: 1\ncredentials: {T: {file: hunter2}}\n",
		"version: 1\ncredentials: {T: {provider: hunter2}}\n",
		"version: 1\ncredentials: {T: {command: hunter2}}\n",
		"version: 1\ncredentials: {T: {command: [hunter2]}}\n",
	};
	struct cv_catalog *c;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(text); i++) {
		cv_findings_fini(&findings);
		cv_findings_init(&findings);
		assert_int_equal(cv_catalog_load(CV_STR("c"), cv_str_of(text[i]), &c, &findings),
			CV_INVALID);
		if (strstr(said(), "hunter2"))
			fail_msg("%s", said());
	}
}

static void unused_arguments_are_warned_of(void **state)
{
	struct cv_catalog *c = loaded(COMMAND "      argv: [/bin/echo, \"{x}\"]\n");

	(void)state;
	assert_non_null(strstr(said(), "c:5:48: warning: t.input: nothing uses the argument 'l'"));
	cv_catalog_free(c);
}

/* ---- routes, arguments ---- */

static const char *routed(const struct cv_catalog *c, const char *method, const char *path)
{
	static char text[256];
	struct cv_tool_route_args args;
	const struct cv_tool *t =
		cv_catalog_route(c, cv_str_of(method), cv_str_of(path), &args, &arena);
	int n = snprintf(text, sizeof(text), "%.*s", CV_STR_ARG(t ? t->name : CV_STR("-")));

	for (size_t i = 0; i < args.n; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %.*s=%.*s",
			CV_STR_ARG(args.name[i]), CV_STR_ARG(args.value[i]));
	return text;
}

static void routes(void **state)
{
	static const struct {
		const char *method, *path, *want;
	} row[] = {
		{ "POST", "/v1/tools/issue.get", "issue.get" },
		{ "GET", "/v1/tools/issue.get", "-" },
		{ "POST", "/v1/tools/issue", "-" },
		{ "POST", "/v1/tools/", "-" },
		{ "POST", "/v1/tools/read/x", "-" },
		{ "POST", "/repo/provision", "provision_repo" },
		{ "POST", "/repo/provision/", "-" },
		{ "POST", "/repo", "-" },
		{ "GET", "/repo/status/7", "check_provision_status id=7" },
		{ "POST", "/repo/status/7", "-" },
		{ "GET", "/repo/status/a%2Fb%25", "check_provision_status id=a/b%" },
		{ "GET", "/repo/status/", "-" },
		{ "GET", "/repo/status/7/8", "-" },
		{ "POST", "/deploy/x", "repo.deploy service=x" },
	};
	struct cv_str methods[8];
	struct cv_catalog *c = loaded(good);

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_string_equal(routed(c, row[i].method, row[i].path), row[i].want);
	assert_int_equal(cv_catalog_route_methods(c, CV_STR("/repo/status/7"), methods, 8), 1);
	assert_str(methods[0], "GET");
	assert_int_equal(cv_catalog_route_methods(c, CV_STR("/nothing"), methods, 8), 0);
	assert_int_equal(cv_catalog_route_methods(c, CV_STR("/v1/tools/read"), methods, 8), 1);
	assert_str(methods[0], "POST");
	cv_catalog_free(c);
}

static const char *arguments(
	const struct cv_tool *t, const char *name, const char *value, const char *body)
{
	struct cv_tool_route_args args = { .n = name ? 1 : 0 };
	const struct cv_value *v = NULL, *out = NULL;
	struct cv_err err = { 0 };
	static char text[512];

	if (name) {
		args.name[0] = cv_str_of(name);
		args.value[0] = cv_str_of(value);
	}
	if (body)
		assert_int_equal(cv_json_value_read(cv_str_of(body), &arena, &v, NULL), 0);
	if (cv_tool_arguments(t, &args, v, &arena, &out, &err) != CV_OK) {
		snprintf(text, sizeof(text), "%s", err.msg);
		return text;
	}
	return json(out);
}

static void places_and_body_are_one_object(void **state)
{
	struct cv_catalog *c = loaded(good);
	const struct cv_tool *status = tool(c, "check_provision_status"),
			     *deploy = tool(c, "repo.deploy");

	(void)state;
	assert_string_equal(arguments(status, "id", "7", NULL), "{\"id\":7}");
	assert_string_equal(arguments(status, "id", "x", NULL), "{\"id\":\"x\"}");
	assert_string_equal(arguments(deploy, "service", "7", "{\"verbose\":true}"),
		"{\"service\":\"7\",\"verbose\":true}");
	assert_string_equal(arguments(deploy, "service", "a", "{\"service\":\"b\"}"),
		"'service' is in the path and in the body");
	assert_string_equal(arguments(deploy, NULL, NULL, "[1]"),
		"the arguments must be an object, not of type array");
	assert_string_equal(arguments(deploy, NULL, NULL, NULL), "{}");
	cv_catalog_free(c);
}

/* ---- several ---- */

static void merging(void **state)
{
	struct cv_catalog *a = loaded(good),
			  *b = loaded("version: 1\nservers: {other: {argv: [/bin/o]}}\ntools:\n"
				      "  aaa: {description: d, server: {name: other, path: /}}\n"
				      "  zzz: {description: d, command: {argv: [/bin/true]}}\n");

	(void)state;
	assert_int_equal(cv_catalog_merge(a, b, &findings), CV_OK);
	assert_int_equal(a->tool_count, 9);
	assert_str(a->servers[tool(a, "aaa")->server].name, "other");
	assert_str(a->servers[tool(a, "provision_repo")->server].name, "provisioner");
	assert_non_null(tool(a, "zzz"));
	assert_int_equal(
		cv_catalog_merge(a,
			loaded("version: 1\ntools:\n"
			       "  zzz: {description: d, command: {argv: [/bin/true]}}\n"
			       "  y: {description: d, command: {argv: [/bin/true]}, route: POST /repo/provision}\n"),
			&findings),
		CV_INVALID);
	assert_non_null(
		strstr(said(), "c has a tool 'zzz' too, at line 5; give each its own name"));
	assert_non_null(strstr(said(),
		"one request could mean 'POST /repo/provision' and the route of 'provision_repo' in c"));
	cv_catalog_free(a);
}

/* ---- tools of MCP servers ---- */

/* Nothing of the message is there afterwards. */
static cv_code import(struct cv_catalog *c, const char *list)
{
	const struct cv_value *v = NULL;
	struct cv_arena message;
	struct cv_err err;
	char *text = strdup(list);

	cv_arena_init(&message, 1 << 20);
	assert_int_equal(cv_json_value_read(cv_str_of(text), &message, &v, NULL), 0);
	const cv_code code = cv_catalog_import(c, 0, v, &findings, &err);
	cv_arena_wipe(&message);
	explicit_bzero(text, strlen(text));
	free(text);
	return code;
}

#define SCHEMA \
	"\"inputSchema\":{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}"

static void tools_of_a_server(void **state)
{
	struct cv_catalog *c = loaded(good);
	const struct cv_tool *before = tool(c, "build_container");

	(void)state;
	assert_int_equal(import(c, "[{\"name\":\"read_file\",\"description\":\"Reads.\"," SCHEMA
				   ",\"annotations\":{\"readOnlyHint\":true}},"
				   "{\"name\":\"read_dir\"," SCHEMA
				   "},{\"name\":\"write_file\"," SCHEMA "}]"),
		CV_OK);
	assert_string_equal(said(), "");
	assert_int_equal(c->tool_count, 9); /* write_file is not allowed */
	const struct cv_tool *t = tool(c, "files.read_file");
	assert_true(t->is_imported && t->is_read_only && !t->is_destructive);
	assert_str(t->mcp_tool, "read_file");
	assert_str(t->description, "Reads.");
	assert_string_equal(json(t->input),
		"{\"properties\":{\"path\":{\"type\":\"string\"}},\"type\":\"object\"}");
	/* the catalog's own tool of that server has its schema now, too */
	assert_string_equal(json(tool(c, "read")->input), json(t->input));
	assert_str(before->name, "build_container");
	/* another list takes the place of the first */
	assert_int_equal(import(c, "[{\"name\":\"read_dir\"," SCHEMA "}]"), CV_OK);
	assert_int_equal(c->tool_count, 8);
	assert_null(cv_catalog_find(c, CV_STR("files.read_file")));
	assert_str(t->mcp_tool, "read_file"); /* who runs it may finish */
	cv_catalog_free(c);
}

static void t16_what_a_server_may_not_call_its_tools(void **state)
{
	static const struct {
		const char *list, *want;
	} row[] = {
		{ "[{\"name\":\"read_..x\"," SCHEMA "}]", "" }, /* allow stays within dots */
		{ "[{\"name\":\"read_ x\"," SCHEMA "}]",
			"files.read_ x: left out: not a name of letters" },
		{ "[{\"name\":\"read_\u0430\"," SCHEMA "}]",
			"files.read_\\u{430}: left out: not a name" },
		{ "[{\"name\":\"read_a\"," SCHEMA "},{\"name\":\"read_a\"," SCHEMA "}]",
			"files.read_a: left out: there is another tool of this name" },
		{ "[{\"name\":\"read_a\"}]",
			"files.read_a: left out: inputSchema is no schema of an object" },
		{ "[{\"name\":\"read_a\",\"inputSchema\":{\"type\":\"object\",\"properties\":7}}]",
			"files.read_a: left out: inputSchema/properties" },
		{ "[7,{},{\"name\":7}]", "" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		cv_findings_fini(&findings);
		cv_findings_init(&findings);
		struct cv_catalog *c = loaded(good);
		const bool has_one = strstr(row[i].want, "another") != NULL;

		assert_int_equal(import(c, row[i].list), CV_OK);
		if (!strstr(said(), row[i].want))
			fail_msg("%s: %s", row[i].list, said());
		assert_int_equal(c->tool_count, has_one ? 8 : 7);
		assert_int_equal(findings.error_count, 0);
		cv_catalog_free(c);
	}
}

/* Where a catalog says that others' servers are, before them or after. */
static void other_urls(void **state)
{
	static const char there
		[] = "version: 1\nurls: {\"https://a.example\": \"https://b.example/v3/\","
		     " \"https://b.example/v3\": \"https://c.example\"}\n",
	   tools[] =
		   "version: 1\ntools:\n"
		   "  h: {description: d, http: {url: \"https://a.example\", path: /}}\n"
		   "  r: {description: d, repo: {url: \"https://a.example/\", allow: [\"a/*\"]}}\n"
		   "  o: {description: d, http: {url: \"https://o.example\", path: /}}\n";

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct cv_catalog *a = loaded(i ? there : tools);

		assert_int_equal(cv_catalog_merge(a, loaded(i ? tools : there), &findings), CV_OK);
		assert_str(tool(a, "h")->http->base, "https://b.example/v3");
		assert_str(tool(a, "r")->repo->base, "https://b.example/v3");
		assert_str(tool(a, "o")->http->base, "https://o.example");
		/* Moved once, whatever is merged later. */
		assert_int_equal(cv_catalog_merge(a, loaded("version: 1\n"), &findings), CV_OK);
		assert_str(tool(a, "h")->http->base, "https://b.example/v3");
		cv_catalog_free(a);
	}
}

static void nearest(void **state)
{
	struct cv_catalog *c = loaded(good);

	(void)state;
	assert_str(cv_catalog_nearest(c, CV_STR("build_containr")), "build_container");
	assert_str(cv_catalog_nearest(c, CV_STR("issue_get")), "issue.get");
	assert_str(cv_catalog_nearest(c, CV_STR("something_else_entirely")), "");
	assert_null(cv_catalog_find(c, CV_STR("Read")));
	cv_catalog_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_whole_catalog, setup, teardown),
		cmocka_unit_test_setup_teardown(
			s6_other_names_are_refused_where_nobody_spoke_of_them, setup, teardown),
		cmocka_unit_test_setup_teardown(mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(rooms, setup, teardown),
		cmocka_unit_test_setup_teardown(
			c1_a_secret_in_a_catalog_is_never_quoted, setup, teardown),
		cmocka_unit_test_setup_teardown(unused_arguments_are_warned_of, setup, teardown),
		cmocka_unit_test_setup_teardown(routes, setup, teardown),
		cmocka_unit_test_setup_teardown(places_and_body_are_one_object, setup, teardown),
		cmocka_unit_test_setup_teardown(merging, setup, teardown),
		cmocka_unit_test_setup_teardown(tools_of_a_server, setup, teardown),
		cmocka_unit_test_setup_teardown(
			t16_what_a_server_may_not_call_its_tools, setup, teardown),

		cmocka_unit_test_setup_teardown(other_urls, setup, teardown),
		cmocka_unit_test_setup_teardown(nearest, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
