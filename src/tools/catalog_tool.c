/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_tool.c - one tool of a catalog: its backend, limits, result
 *
 * The input comes first, since every template of the backend is judged by it.  Backends are a table
 * of readers, one of which each tool has.
 */
#include "tools/catalog_int.h"

#include <stdio.h>
#include <stdlib.h>

typedef void backend_fn(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t);

/* ---- command ---- */

static void check_program(struct cv_catalog_check *c, const struct cv_policy_texts *argv,
	const struct cv_template *first)
{
	if (first && !first->is_literal)
		cv_catalog_report(c, argv->v[0].pos, "command.argv[0]", "write the program's path",
			"a call can't choose the program");
	else if (first && !cv_catalog_path_is_good(argv->v[0].s))
		cv_catalog_report(c, argv->v[0].pos, "command.argv[0]",
			"write it from the root: /usr/bin/NAME", "'%.*s' is no absolute path",
			CV_POLICY_QUOTE(argv->v[0].s));
}

static void argv_read(
	struct cv_catalog_check *c, const struct cv_policy_texts *argv, struct cv_tool_command *out)
{
	char field[48];

	if (!argv->n || argv->n > CV_TOOL_ARGS_MAX) {
		cv_catalog_report(c, argv->pos, "command.argv", "write [/path/of/program, ...]",
			"%zu words; 1 to %d", argv->n, CV_TOOL_ARGS_MAX);
		return;
	}
	out->argv = cv_arena_array(c->arena, argv->n, sizeof(*out->argv));
	for (size_t i = 0; out->argv && i < argv->n; i++) {
		snprintf(field, sizeof(field), "command.argv[%zu]", i);
		out->argv[i] = cv_catalog_template(c, &argv->v[i], field, CV_TEMPLATE_WORD);
		out->argc = i + 1;
	}
	if (out->argc)
		check_program(c, argv, out->argv[0]);
}

/* none, json, or "{argument}". */
static void stdin_read(
	struct cv_catalog_check *c, const struct cv_policy_text *t, struct cv_tool_command *out)
{
	const struct cv_template *place;

	if (!t->is_present || cv_str_eq(t->s, CV_STR("none")))
		return;
	if (cv_str_eq(t->s, CV_STR("json"))) {
		out->stdin_kind = CV_TOOL_STDIN_JSON;
		return;
	}
	place = cv_catalog_template(c, t, "command.stdin", CV_TEMPLATE_ENV);
	if (place && (place->n != 1 || place->v[0].kind != CV_TEMPLATE_PART_ARGUMENT)) {
		cv_catalog_report(c, t->pos, "command.stdin", "write none, json or \"{argument}\"",
			"unknown '%.*s'", CV_POLICY_QUOTE(t->s));
	} else if (place) {
		out->stdin_kind = CV_TOOL_STDIN_ARGUMENT;
		out->stdin_argument = place->v[0].s;
	}
}

static void command_read(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	struct cv_tool_command *out = cv_arena_new(c->arena, struct cv_tool_command);
	const struct cv_doc_command *k = &d->command;

	if (!out)
		return;
	argv_read(c, &k->argv, out);
	out->env = cv_catalog_pairs(c, &k->env, "command.env", CV_TEMPLATE_ENV, &out->env_count);
	cv_catalog_path(c, &k->workdir, "command.workdir");
	out->workdir = k->workdir.s;
	out->user = k->user.s;
	if (k->user.is_present && (!k->user.s.n || k->user.s.p[0] == '-' || k->user.s.n > 32))
		cv_catalog_report(c, k->user.pos, "command.user", "write a user's name or number",
			"'%.*s' is no user", CV_POLICY_QUOTE(k->user.s));
	stdin_read(c, &k->stdin_text, out);
	out->is_sandboxed = k->has_sandbox;
	cv_catalog_path(c, &k->policy, "command.sandbox.policy");
	out->sandbox_policy = k->policy.s;
	out->room = cv_catalog_room(c, &k->room, "command.",
		k->workdir.is_present ? "only a directory of the call's own is bounded" : NULL);
	t->command = out;
}

/* ---- http, server ---- */

static struct cv_str method_read(
	struct cv_catalog_check *c, const struct cv_policy_text *t, const char *field)
{
	static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

	if (!t->is_present)
		return CV_STR("POST");
	for (size_t i = 0; i < CV_ARRAY_LEN(known); i++)
		if (cv_str_eq(t->s, cv_str_of(known[i])))
			return t->s;
	cv_catalog_report(c, t->pos, field, "expected GET, HEAD, POST, PUT, PATCH or DELETE",
		"unknown method '%.*s'", CV_POLICY_QUOTE(t->s));
	return t->s;
}

static bool has_body(struct cv_str method)
{
	return !cv_str_eq(method, CV_STR("GET")) && !cv_str_eq(method, CV_STR("HEAD"));
}

static void http_common(struct cv_catalog_check *c, const struct cv_doc_http *h,
	const char *backend, struct cv_tool_http *out)
{
	char field[5][24];
	static const char *const keys[] = { "method", "path", "query", "body", "headers" };

	for (size_t i = 0; i < CV_ARRAY_LEN(keys); i++)
		snprintf(field[i], sizeof(field[i]), "%s.%s", backend, keys[i]);
	out->method = method_read(c, &h->method, field[0]);
	out->path = cv_catalog_template(c, &h->path, field[1], CV_TEMPLATE_PATH);
	out->query = cv_catalog_template(c, &h->query, field[2], CV_TEMPLATE_QUERY);
	out->body = cv_catalog_template(c, &h->body, field[3], CV_TEMPLATE_BODY);
	out->headers =
		cv_catalog_pairs(c, &h->headers, field[4], CV_TEMPLATE_HEADER, &out->header_count);
	if (h->path.is_present && (!h->path.s.n || h->path.s.p[0] != '/'))
		cv_catalog_report(c, h->path.pos, field[1], "begin it with /", "'%.*s' is no path",
			CV_POLICY_QUOTE(h->path.s));
	if (cv_str_has_byte(h->path.s, '?') && !memmem(h->path.s.p, h->path.s.n, "{?", 2))
		cv_catalog_report(c, h->path.pos, field[1], "write it into query",
			"'%.*s' has a query", CV_POLICY_QUOTE(h->path.s));
	if (h->body.is_present && !has_body(out->method))
		cv_catalog_report(c, h->body.pos, field[3], "remove it, or write method: POST",
			"%.*s has no body", CV_STR_ARG(out->method));
}

static void http_read(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	struct cv_tool_http *out = cv_arena_new(c->arena, struct cv_tool_http);
	const struct cv_doc_http *h = &d->http;

	if (!out)
		return;
	if (h->url.is_present == h->socket.is_present)
		cv_catalog_report(c, d->pos, "http", "write url or socket", "%s",
			h->url.is_present ? "both url and socket" : "neither url nor socket");
	cv_catalog_url(c, &h->url, "http.url", false);
	cv_catalog_path(c, &h->socket, "http.socket");
	out->base = h->url.s;
	out->socket = h->socket.s;
	http_common(c, h, "http", out);
	t->http = out;
}

static void server_read(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	struct cv_tool_http *out = cv_arena_new(c->arena, struct cv_tool_http);
	const struct cv_catalog *k = c->catalog;

	if (!out)
		return;
	while (t->server < k->server_count &&
		!cv_str_eq(k->servers[t->server].name, d->http.name.s))
		t->server++;
	if (t->server == k->server_count && d->http.name.is_present)
		cv_catalog_report(c, d->http.name.pos, "server.name",
			"declare it in servers:", "there is no server '%.*s'",
			CV_POLICY_QUOTE(d->http.name.s));
	http_common(c, &d->http, "server", out);
	t->http = out;
}

/* ---- mcp ---- */

static void mcp_read(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	const struct cv_catalog *k = c->catalog;

	while (t->mcp < k->mcp_count && !cv_str_eq(k->mcps[t->mcp].name, d->mcp_server.s))
		t->mcp++;
	if (t->mcp == k->mcp_count && d->mcp_server.is_present)
		cv_catalog_report(c, d->mcp_server.pos, "mcp.server",
			"declare it in mcp_servers:", "there is no MCP server '%.*s'",
			CV_POLICY_QUOTE(d->mcp_server.s));
	t->mcp_tool = d->mcp_tool.s;
	if (d->mcp_tool.is_present && (!t->mcp_tool.n || t->mcp_tool.n > CV_MCP_NAME_BYTES_MAX))
		cv_catalog_report(c, d->mcp_tool.pos, "mcp.tool", NULL, "a name of 1 to %d bytes",
			CV_MCP_NAME_BYTES_MAX);
}

/* ---- files ---- */

static void files_read(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	struct cv_tool_files *out = cv_arena_new(c->arena, struct cv_tool_files);

	if (!out)
		return;
	cv_catalog_path(c, &d->files.root, "files.root");
	out->operation = d->files.operation;
	out->root = d->files.root.s;
	out->bytes_max = cv_catalog_bytes(c, &d->files.bytes, "files.bytes",
		CV_TOOL_BUILD_BYTES_MAX, CV_TOOL_FILES_BYTES_DEFAULT);
	out->files_max = (uint32_t)cv_catalog_number(
		c, &d->files.files, "files.files", 1, 10000000, CV_TOOL_FILES_COUNT_DEFAULT);
	out->may_overwrite = d->files.may_overwrite;
	if (out->may_overwrite && out->operation != CV_TOOL_FILES_STORE)
		cv_catalog_report(c, d->pos, "files.overwrite",
			"leave it out, or write operation: store",
			"what is fetched never replaces a file of the sandbox");
	t->files = out;
}

static backend_fn *const backends[CV_TOOL_BACKEND_COUNT] = {
	[CV_TOOL_COMMAND] = command_read,
	[CV_TOOL_HTTP] = http_read,
	[CV_TOOL_SERVER] = server_read,
	[CV_TOOL_MCP] = mcp_read,
	[CV_TOOL_BUILD] = cv_catalog_build,
	[CV_TOOL_FILES] = files_read,
	[CV_TOOL_REPO] = cv_catalog_repo,
};

/* False when it is not exactly one. */
static bool backend_find(
	struct cv_catalog_check *c, const struct cv_doc_tool *d, enum cv_tool_backend *ret)
{
	size_t n = 0;

	for (int i = 0; i < CV_TOOL_BACKEND_COUNT; i++)
		if (d->has[i]) {
			*ret = (enum cv_tool_backend)i;
			n++;
		}
	if (n != 1)
		cv_catalog_report(c, d->pos, "",
			"write one of command, http, server, mcp, build, files, repo", "%s",
			n ? "more than one backend" : "nothing says how it runs");
	return n == 1;
}

/* ---- the rest ---- */

static void host_limit_read(
	struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	t->host_concurrency = (uint32_t)cv_catalog_number(c, &d->host_concurrency,
		"limits.host_concurrency", 1, CV_TOOL_HOST_CONCURRENCY_MAX, 0);
	t->host_group = d->host_group.is_present ? d->host_group.s : t->name;
	if (!d->host_group.is_present)
		return;
	if (!cv_tool_name_is_good(d->host_group.s))
		cv_catalog_report(c, d->host_group.pos, "limits.host_group",
			"write small letters, digits and _, beginning with a letter; dots between parts",
			"'%.*s' can't be a group's name", CV_POLICY_QUOTE(d->host_group.s));
	if (!d->host_concurrency.is_present)
		cv_catalog_report(c, d->host_group.pos, "limits.host_group",
			"say how many at once: host_concurrency: 1", "a group without a limit");
}

static void result_read(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	const uint64_t bytes = cv_catalog_bytes(c, &d->bytes, "limits.bytes",
		CV_TOOL_RESULT_BYTES_MAX, CV_TOOL_RESULT_BYTES_DEFAULT);
	const uint64_t shown = cv_catalog_bytes(
		c, &d->max_bytes, "result.max_bytes", CV_TOOL_RESULT_BYTES_MAX, bytes);
	const uint32_t seconds = t->backend == CV_TOOL_BUILD && t->build ? t->build->seconds
				 : t->backend == CV_TOOL_REPO ? CV_TOOL_REPO_SECONDS_DEFAULT
							      : CV_TOOL_SECONDS_DEFAULT;

	t->result_bytes_max = CV_MIN(bytes, shown);
	t->seconds = (uint32_t)cv_catalog_number(
		c, &d->seconds, "limits.seconds", 1, CV_TOOL_SECONDS_MAX, seconds);
	t->concurrency = (uint32_t)cv_catalog_number(c, &d->concurrency, "limits.concurrency", 1,
		CV_TOOL_CONCURRENCY_MAX, CV_TOOL_CONCURRENCY_DEFAULT);
	host_limit_read(c, d, t);
	/* What these say is JSON of our own. */
	const bool is_ours = t->backend == CV_TOOL_BUILD || t->backend == CV_TOOL_FILES ||
			     t->backend == CV_TOOL_REPO;
	t->output = is_ours ? CV_TOOL_OUTPUT_JSON : d->output;
	if (d->exit_ok.n > CV_TOOL_EXITS_MAX || (d->exit_ok.n && t->backend != CV_TOOL_COMMAND)) {
		cv_catalog_report(c, d->exit_ok.pos, "result.exit_ok", NULL, "%s",
			t->backend != CV_TOOL_COMMAND ? "only a command has an exit status"
						      : "too many of them");
		return;
	}
	t->exit_ok = cv_arena_array(c->arena, d->exit_ok.n ? d->exit_ok.n : 1, sizeof(*t->exit_ok));
	for (size_t i = 0; t->exit_ok && i < d->exit_ok.n; i++)
		t->exit_ok[t->exit_ok_count++] = (int32_t)cv_catalog_number(
			c, &d->exit_ok.v[i], "result.exit_ok", 0, 255, 0);
}

/* Without blanks at its ends, a block's last line break among them. */
static struct cv_str trimmed(struct cv_str s)
{
	while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
		s.n--;
	return cv_str_trim(s);
}

static void name_check(struct cv_catalog_check *c, const struct cv_doc_tool *d)
{
	if (!cv_tool_name_is_good(d->name.s))
		cv_catalog_report(c, d->name.pos, "",
			"write small letters, digits and _, beginning with a letter; dots between parts",
			"'%.*s' can't be a tool's name", CV_POLICY_QUOTE(d->name.s));
	if (d->description.is_present &&
		(!trimmed(d->description.s).n ||
			d->description.s.n > CV_TOOL_DESCRIPTION_BYTES_MAX))
		cv_catalog_report(c, d->description.pos, "description",
			"say what it does, as whoever has to choose it needs to know",
			"%zu bytes; 1 to %d", d->description.s.n, CV_TOOL_DESCRIPTION_BYTES_MAX);
}

/* What a call can say and nobody reads.  Where the arguments go as a whole, all of them are read. */
static void check_unused(struct cv_catalog_check *c, const struct cv_tool *t)
{
	const struct cv_value *properties = cv_value_get(t->input, CV_STR("properties"));
	const bool is_command = t->backend == CV_TOOL_COMMAND && t->command &&
				t->command->stdin_kind != CV_TOOL_STDIN_JSON;
	const bool is_http = t->http && (t->http->body || !has_body(t->http->method));

	if (!properties || properties->type != CV_VALUE_OBJECT || !(is_command || is_http))
		return;
	for (uint32_t i = 0; i < properties->n; i++)
		if (!c->is_used[i])
			cv_catalog_warn(c, cv_catalog_value_pos(&properties->v[i]), "input",
				"use it, or remove it", "nothing uses the argument '%.*s'",
				CV_POLICY_QUOTE(properties->key[i]));
}

static void tool_read(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	const struct cv_value *properties;

	c->name = d->name.s;
	c->tool = t;
	c->uses = &t->uses;
	t->name = d->name.s;
	t->pos = d->pos;
	t->description = trimmed(d->description.s);
	t->has_input = d->has_input;
	name_check(c, d);
	const bool has_backend = backend_find(c, d, &t->backend);
	t->input = cv_catalog_input(c, d, t->backend);
	properties = cv_value_get(t->input, CV_STR("properties"));
	c->is_used = properties ? calloc(properties->n + 1u, 1) : NULL;
	if (has_backend)
		backends[t->backend](c, d, t);
	cv_catalog_tool_route(c, &d->route);
	result_read(c, d, t);
	if (has_backend && c->is_used)
		check_unused(c, t);
	t->is_read_only = d->is_read_only;
	t->is_destructive = d->is_destructive && !d->is_read_only;
	t->is_idempotent = d->is_idempotent;
	free(c->is_used);
	c->is_used = NULL;
	c->uses = NULL;
	c->tool = NULL;
}

void cv_catalog_tools(struct cv_catalog_check *c)
{
	const struct cv_doc_catalog *doc = c->doc;

	if (doc->tool_count > CV_CATALOG_TOOLS_MAX) {
		cv_findings_add(c->findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, "split the catalog", "%zu tools; at most %d", doc->tool_count,
			CV_CATALOG_TOOLS_MAX);
		return;
	}
	c->catalog->tools = cv_arena_array(
		c->arena, doc->tool_count ? doc->tool_count : 1, sizeof(*c->catalog->tools));
	if (!c->catalog->tools)
		return;
	for (size_t i = 0; i < doc->tool_count; i++)
		tool_read(c, &doc->tools[i], &c->catalog->tools[i]);
	c->catalog->tool_count = doc->tool_count;
}
