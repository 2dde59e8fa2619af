/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_parts.c - credentials, servers and MCP servers of a catalog
 */
#include "tools/catalog_int.h"

#include <stdio.h>

#define MCP_PREFIX_BYTES_MAX 32 /* of CV_TOOL_NAME_BYTES_MAX, so that names still have room */

static bool is_word(struct cv_str s, bool may_hyphen)
{
	if (!s.n || s.n > CV_TOOL_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i], low = cv_ascii_lower(c);

		if (!((low >= 'a' && low <= 'z') || c == '_' ||
			    (i && ((c >= '0' && c <= '9') || (may_hyphen && c == '-')))))
			return false;
	}
	return true;
}

static void check_word(
	struct cv_catalog_check *c, const struct cv_policy_text *name, bool may_hyphen)
{
	if (!is_word(name->s, may_hyphen))
		cv_catalog_report(c, name->pos, "",
			may_hyphen ? "write letters, digits, _ and -"
				   : "write letters, digits and _",
			"'%.*s' can't be a name here", CV_POLICY_QUOTE(name->s));
}

static bool is_too_many(struct cv_catalog_check *c, size_t n, size_t max, const char *what)
{
	if (n > max)
		cv_findings_add(c->findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, "split the catalog", "%zu %s; at most %zu", n, what, max);
	return n > max;
}

/* A program that will be started: words, the first an absolute path. */
static struct cv_str *argv_read(
	struct cv_catalog_check *c, const struct cv_policy_texts *t, size_t *ret_n)
{
	if (t->is_present && !t->n)
		cv_catalog_report(c, t->pos, "argv", "write [/path/of/program, ...]", "no words");
	if (t->n)
		cv_catalog_path(c, &t->v[0], "argv[0]");
	return cv_catalog_strs(c, t, "argv", CV_TOOL_ARGS_MAX, CV_CATALOG_NO_GLOB, ret_n);
}

/* ---- credentials ---- */

/* NAME.KEY, of a provider of the run. */
static void check_provider(struct cv_catalog_check *c, const struct cv_policy_text *t)
{
	const size_t dot = cv_str_rfind_byte(t->s, '.');

	if (!is_word(cv_str_slice(t->s, 0, dot), true) || dot == t->s.n ||
		!is_word(cv_str_slice(t->s, dot + 1, t->s.n), false))
		cv_catalog_report(c, t->pos, "provider",
			"write NAME.KEY, as in github.GITHUB_TOKEN",
			"this names no value of a provider");
}

static void credential_read(struct cv_catalog_check *c, const struct cv_doc_credential *d,
	struct cv_tool_credential *out)
{
	const bool has[] = {
		[CV_TOOL_CREDENTIAL_ENV] = d->env.is_present,
		[CV_TOOL_CREDENTIAL_FILE] = d->file.is_present,
		[CV_TOOL_CREDENTIAL_COMMAND] = d->command.is_present,
		[CV_TOOL_CREDENTIAL_PROVIDER] = d->provider.is_present,
	};
	size_t n = 0;

	out->name = d->name.s;
	out->pos = d->pos;
	for (size_t i = 0; i < CV_ARRAY_LEN(has); i++)
		if (has[i]) {
			out->source = (enum cv_tool_credential_source)i;
			n++;
		}
	if (n != 1)
		cv_catalog_report(c, d->pos, "", "write one of env, file, command, provider",
			"%s where its value comes from",
			n ? "says more than once" : "does not say");
	out->from = d->env.is_present ? d->env.s : d->file.is_present ? d->file.s : d->provider.s;
	if (d->env.is_present && !is_word(d->env.s, false))
		cv_catalog_report(c, d->env.pos, "env", "write letters, digits and _",
			"this can't be a variable's name");
	if (d->file.is_present && !cv_catalog_path_is_good(d->file.s))
		cv_catalog_report(c, d->file.pos, "file",
			"write it from the root, without '.' and '..'", "this is no absolute path");
	if (d->provider.is_present)
		check_provider(c, &d->provider);
	if (d->command.is_present && (!d->command.n || !cv_catalog_path_is_good(d->command.v[0].s)))
		cv_catalog_report(c, d->command.pos, "command", "write [/path/of/program, ...]",
			"the program needs an absolute path");
	out->argv = cv_catalog_strs(
		c, &d->command, "command", CV_TOOL_ARGS_MAX, CV_CATALOG_NO_GLOB, &out->argc);
}

void cv_catalog_credentials(struct cv_catalog_check *c)
{
	const struct cv_doc_catalog *doc = c->doc;
	const size_t n = doc->credential_count;

	if (!n || is_too_many(c, n, CV_CATALOG_CREDENTIALS_MAX, "credentials"))
		return;
	c->catalog->credentials = cv_arena_array(c->arena, n, sizeof(*c->catalog->credentials));
	if (!c->catalog->credentials)
		return;
	for (size_t i = 0; i < n; i++) {
		c->name = doc->credentials[i].name.s;
		check_word(c, &doc->credentials[i].name, false);
		credential_read(c, &doc->credentials[i], &c->catalog->credentials[i]);
	}
	c->catalog->credential_count = n;
}

/* ---- a process's directory ---- */

struct cv_tool_room cv_catalog_room(struct cv_catalog_check *c, const struct cv_doc_room *d,
	const char *prefix, const char *why_none)
{
	const struct cv_policy_text *given = d->bytes.is_present ? &d->bytes : &d->files;
	char bytes[32], files[32];

	snprintf(bytes, sizeof(bytes), "%sworkdir_bytes", prefix);
	snprintf(files, sizeof(files), "%sworkdir_files", prefix);
	if (why_none && given->is_present)
		cv_catalog_report(c, given->pos, given == &d->bytes ? bytes : files, "leave it out",
			"%s", why_none);
	return (struct cv_tool_room){
		.bytes = cv_catalog_bytes(
			c, &d->bytes, bytes, CV_TOOL_ROOM_BYTES_MAX, CV_TOOL_ROOM_BYTES_DEFAULT),
		.files = cv_catalog_number(
			c, &d->files, files, 1, CV_TOOL_ROOM_FILES_MAX, CV_TOOL_ROOM_FILES_DEFAULT),
		.is_private = d->is_private,
	};
}

/* ---- servers ---- */

static void server_read(
	struct cv_catalog_check *c, const struct cv_doc_server *d, struct cv_tool_server *out)
{
	*out = (struct cv_tool_server){ .name = d->name.s, .pos = d->pos, .socket = d->socket.s };
	out->is_exposed = d->is_exposed;
	out->room = cv_catalog_room(c, &d->room, "", NULL);
	c->uses = &out->uses;
	out->argv = argv_read(c, &d->argv, &out->argc);
	out->env = cv_catalog_pairs(c, &d->env, "env", CV_TEMPLATE_ENV, &out->env_count);
	out->port = (uint16_t)cv_catalog_number(c, &d->port, "port", 1, UINT16_MAX, 0);
	cv_catalog_path(c, &d->socket, "socket");
	if (d->port.is_present && d->socket.is_present)
		cv_catalog_report(
			c, d->socket.pos, "socket", "keep one", "both a port and a socket");
	out->start_ms = 1000 * (uint32_t)cv_catalog_number(c, &d->start, "start_seconds", 1,
				       CV_TOOL_START_SECONDS_MAX, CV_TOOL_START_SECONDS_DEFAULT);
	out->stop_ms = 1000 * (uint32_t)cv_catalog_number(c, &d->stop, "stop_seconds", 1,
				      CV_TOOL_START_SECONDS_MAX, CV_TOOL_STOP_SECONDS_DEFAULT);
	if (out->is_exposed && !out->port)
		cv_catalog_report(c, d->pos, "expose", "add port",
			"a sandbox reaches it as host.openshell.internal:PORT, so it needs a port");
	for (size_t i = 0; out->port && i < c->catalog->server_count; i++)
		if (c->catalog->servers[i].port == out->port)
			cv_catalog_report(c, d->port.pos, "port", "give each its own",
				"'%.*s' has this port too",
				CV_POLICY_QUOTE(c->catalog->servers[i].name));
}

void cv_catalog_servers(struct cv_catalog_check *c)
{
	const struct cv_doc_catalog *doc = c->doc;
	const size_t n = doc->server_count;

	if (!n || is_too_many(c, n, CV_CATALOG_SERVERS_MAX, "servers"))
		return;
	c->catalog->servers = cv_arena_array(c->arena, n, sizeof(*c->catalog->servers));
	if (!c->catalog->servers)
		return;
	for (size_t i = 0; i < n; i++) {
		c->name = doc->servers[i].name.s;
		check_word(c, &doc->servers[i].name, true);
		server_read(c, &doc->servers[i], &c->catalog->servers[i]);
		c->catalog->server_count = i + 1;
	}
}

/* ---- MCP servers ---- */

/* "files." or "files_", so that it and a name are a name. */
static void check_prefix(struct cv_catalog_check *c, const struct cv_policy_text *t)
{
	char whole[MCP_PREFIX_BYTES_MAX + 2];
	const int n =
		snprintf(whole, sizeof(whole), "%.*sx", (int)CV_MIN(t->s.n, (size_t)33), t->s.p);

	if (t->s.n && (t->s.n > MCP_PREFIX_BYTES_MAX ||
			      !cv_tool_name_is_good((struct cv_str){ whole, (size_t)n })))
		cv_catalog_report(c, t->pos, "prefix", "write one such as 'files.'",
			"'%.*s' can't begin a tool's name", CV_POLICY_QUOTE(t->s));
}

static void mcp_read(
	struct cv_catalog_check *c, const struct cv_doc_mcp *d, struct cv_tool_mcp *out)
{
	*out = (struct cv_tool_mcp){
		.name = d->name.s,
		.pos = d->pos,
		.url = d->url.s,
		.prefix = d->prefix.s,
	};
	if (d->argv.is_present == d->url.is_present)
		cv_catalog_report(c, d->pos, "", "write argv or url", "%s",
			d->url.is_present ? "both argv and url" : "neither argv nor url");
	if (d->url.is_present && d->env.n)
		cv_catalog_report(
			c, d->pos, "env", "write headers", "there is no process to give env");
	if (d->argv.is_present && d->headers.n)
		cv_catalog_report(c, d->pos, "headers", "write env", "stdio has no headers");
	c->uses = &out->uses;
	out->argv = argv_read(c, &d->argv, &out->argc);
	cv_catalog_url(c, &d->url, "url", true);
	out->env = cv_catalog_pairs(c, &d->env, "env", CV_TEMPLATE_ENV, &out->env_count);
	out->headers =
		cv_catalog_pairs(c, &d->headers, "headers", CV_TEMPLATE_HEADER, &out->header_count);
	out->allow = cv_catalog_strs(
		c, &d->allow, "allow", CV_TOOL_GLOBS_MAX, CV_GLOB_TEXT, &out->allow_count);
	out->room = cv_catalog_room(
		c, &d->room, "", d->url.is_present ? "there is no process to give one" : NULL);
	check_prefix(c, &d->prefix);
}

void cv_catalog_mcps(struct cv_catalog_check *c)
{
	const struct cv_doc_catalog *doc = c->doc;
	const size_t n = doc->mcp_count;

	if (!n || is_too_many(c, n, CV_CATALOG_SERVERS_MAX, "MCP servers"))
		return;
	c->catalog->mcps = cv_arena_array(c->arena, n, sizeof(*c->catalog->mcps));
	if (!c->catalog->mcps)
		return;
	for (size_t i = 0; i < n; i++) {
		c->name = doc->mcps[i].name.s;
		check_word(c, &doc->mcps[i].name, true);
		mcp_read(c, &doc->mcps[i], &c->catalog->mcps[i]);
	}
	c->catalog->mcp_count = n;
}

/* ---- URLs ---- */

static struct cv_str without_slash(struct cv_str url)
{
	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	return url;
}

void cv_catalog_urls(struct cv_catalog_check *c)
{
	const struct cv_doc_pairs *d = &c->doc->urls;

	c->name = CV_STR("urls");
	if (!d->n || is_too_many(c, d->n, CV_CATALOG_URLS_MAX, "URLs"))
		return;
	c->catalog->urls = cv_arena_array(c->arena, d->n, sizeof(*c->catalog->urls));
	for (size_t i = 0; c->catalog->urls && i < d->n; i++) {
		cv_catalog_url(c, &d->v[i].key, "", true);
		cv_catalog_url(c, &d->v[i].value, "", true);
		c->catalog->urls[i] = (struct cv_tool_url){ without_slash(d->v[i].key.s),
			without_slash(d->v[i].value.s) };
		c->catalog->url_count = i + 1;
	}
}
