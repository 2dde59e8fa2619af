/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_tools_show.c - `cove tools show FILE...`: what a catalog offers, and what it needs of this host
 *
 * For the person who runs it, so unlike the documents of the route (tools/discover.h) it says where a
 * tool runs and which credentials it uses.  No value is looked for and nothing is started.  Several
 * files are one catalog, as for `cove run`.
 */
#include "cli/tools.h"

#include "tools/discover.h"

#define OUTPUT_BYTES_MAX (4u << 20)

struct show_options {
	enum cv_output output;
};

static const struct cv_option option[] = {
	{ "output", 'o', "text|json", "how to print it", cv_option_set_output,
		offsetof(struct show_options, output) },
};

/* ---- where a tool runs ---- */

static void put(struct cv_buf *out, struct cv_str s)
{
	cv_buf_put(out, s);
}

static void put_template(struct cv_buf *out, const struct cv_template *t)
{
	put(out, t ? t->source : CV_STR_NONE);
}

static void put_command(struct cv_buf *out, const struct cv_tool_command *c)
{
	for (size_t i = 0; i < c->argc; i++) {
		cv_buf_put(out, i ? CV_STR(" ") : CV_STR_NONE);
		put_template(out, c->argv[i]);
	}
	if (c->is_sandboxed)
		put(out, CV_STR(" (in a sandbox of its own)"));
}

static void put_http(struct cv_buf *out, const struct cv_tool_http *h, struct cv_str base)
{
	put(out, h->method);
	put(out, CV_STR(" "));
	put(out, base);
	put_template(out, h->path);
	put(out, h->query ? CV_STR("?") : CV_STR_NONE);
	put_template(out, h->query);
}

static void put_where(struct cv_buf *out, const struct cv_catalog *c, const struct cv_tool *t)
{
	switch (t->backend) {
	case CV_TOOL_COMMAND: put_command(out, t->command); break;
	case CV_TOOL_HTTP:
		put_http(out, t->http, t->http->base.n ? t->http->base : t->http->socket);
		break;
	case CV_TOOL_SERVER: put_http(out, t->http, c->servers[t->server].name); break;
	case CV_TOOL_MCP:
		put(out, c->mcps[t->mcp].name);
		put(out, CV_STR(" "));
		put(out, t->mcp_tool);
		break;
	case CV_TOOL_FILES: put(out, t->files->root); break;
	case CV_TOOL_REPO:
		put(out, t->repo->base);
		for (size_t i = 0; i < t->repo->allow_count; i++) {
			put(out, i ? CV_STR(", ") : CV_STR("  "));
			put(out, t->repo->allow[i]);
		}
		break;
	case CV_TOOL_BUILD:
	case CV_TOOL_BACKEND_COUNT: break;
	}
}

static struct cv_str origin(const struct cv_tool_credential *k)
{
	return k->source == CV_TOOL_CREDENTIAL_COMMAND ? k->argv[0] : k->from;
}

static const char *origin_kind(const struct cv_tool_credential *k)
{
	static const char *const kinds[] = {
		[CV_TOOL_CREDENTIAL_ENV] = "env",
		[CV_TOOL_CREDENTIAL_FILE] = "file",
		[CV_TOOL_CREDENTIAL_COMMAND] = "command",
		[CV_TOOL_CREDENTIAL_PROVIDER] = "provider",
	};

	return kinds[k->source];
}

/* ---- as text ---- */

static void tool_text(struct cv_buf *out, const struct cv_catalog *c, const struct cv_tool *t)
{
	cv_buf_printf(out, "%.*s\n    ", CV_STR_ARG(t->name));
	put(out, cv_str_slice(t->description, 0, cv_str_find_byte(t->description, '\n')));
	cv_buf_printf(out, "\n    route        %.*s ", CV_STR_ARG(cv_tool_endpoint_method(t)));
	cv_tool_endpoint_write(t, out);
	cv_buf_printf(out, "\n    %-12s ", cv_tool_backend_name(t->backend));
	put_where(out, c, t);
	for (size_t i = 0; i < t->uses.n; i++)
		cv_buf_printf(
			out, "%s%.*s", i ? ", " : "\n    credentials  ", CV_STR_ARG(t->uses.v[i]));
	cv_buf_printf(out, "\n    limits       %u s, %u at once, ", t->seconds, t->concurrency);
	if (t->host_concurrency)
		cv_buf_printf(out, "%u of %.*s on this host, ", t->host_concurrency,
			CV_STR_ARG(t->host_group));
	cv_buf_printf(out, "%llu bytes%s%s\n", (unsigned long long)t->result_bytes_max,
		t->is_read_only ? ", read only" : "",
		t->command && !t->command->room.is_private ? ", not private" : "");
}

static void show_text(const struct cv_catalog *c, struct cv_buf *out)
{
	for (size_t i = 0; i < c->tool_count; i++)
		tool_text(out, c, &c->tools[i]);
	if (c->credential_count)
		cv_buf_printf(out, "credentials\n");
	for (size_t i = 0; i < c->credential_count; i++)
		cv_buf_printf(out, "    %-24.*s %s %.*s\n", CV_STR_ARG(c->credentials[i].name),
			origin_kind(&c->credentials[i]), CV_STR_ARG(origin(&c->credentials[i])));
	for (size_t i = 0; i < c->server_count; i++)
		cv_buf_printf(out, "server %.*s  %.*s\n", CV_STR_ARG(c->servers[i].name),
			CV_STR_ARG(c->servers[i].argv[0]));
	for (size_t i = 0; i < c->mcp_count; i++)
		cv_buf_printf(out, "MCP server %.*s  %.*s\n", CV_STR_ARG(c->mcps[i].name),
			CV_STR_ARG(c->mcps[i].argc ? c->mcps[i].argv[0] : c->mcps[i].url));
}

/* ---- as JSON ---- */

static void json_str(struct cv_buf *out, const char *before, struct cv_str s)
{
	cv_buf_put(out, cv_str_of(before));
	cv_buf_put_json_str(out, s);
}

static void tool_json(struct cv_buf *out, const struct cv_catalog *c, const struct cv_tool *t)
{
	struct cv_buf where;

	cv_buf_init(&where, OUTPUT_BYTES_MAX);
	put_where(&where, c, t);
	json_str(out, "{\"name\":", t->name);
	json_str(out, ",\"backend\":", cv_str_of(cv_tool_backend_name(t->backend)));
	json_str(out, ",\"where\":", cv_buf_str(&where));
	cv_buf_put(out, CV_STR(",\"credentials\":["));
	for (size_t i = 0; i < t->uses.n; i++)
		json_str(out, i ? "," : "", t->uses.v[i]);
	cv_buf_printf(out, "],\"limits\":{\"seconds\":%u,\"concurrency\":%u,", t->seconds,
		t->concurrency);
	if (t->host_concurrency) {
		cv_buf_printf(out, "\"host_concurrency\":%u,", t->host_concurrency);
		json_str(out, "\"host_group\":", t->host_group);
		cv_buf_put_byte(out, ',');
	}
	cv_buf_printf(out, "\"bytes\":%llu}}", (unsigned long long)t->result_bytes_max);
	cv_buf_fini(&where);
}

/* "tools" as /tools.json has them to whoever may call all of them, and what it does not say. */
static void show_json(const struct cv_catalog *c, struct cv_buf *out)
{
	const struct cv_discover all = { .catalog = c };

	cv_buf_put(out, CV_STR("{\"tools\":"));
	(void)!cv_discover_write(&all, CV_DISCOVER_TOOLS, out);
	cv_buf_put(out, CV_STR(",\"backends\":["));
	for (size_t i = 0; i < c->tool_count; i++) {
		cv_buf_put(out, i ? CV_STR(",") : CV_STR_NONE);
		tool_json(out, c, &c->tools[i]);
	}
	cv_buf_put(out, CV_STR("],\"credentials\":["));
	for (size_t i = 0; i < c->credential_count; i++) {
		json_str(out, i ? ",{\"name\":" : "{\"name\":", c->credentials[i].name);
		json_str(out, ",\"source\":", cv_str_of(origin_kind(&c->credentials[i])));
		json_str(out, ",\"from\":", origin(&c->credentials[i]));
		cv_buf_put_byte(out, '}');
	}
	cv_buf_put(out, CV_STR("]}\n"));
}

/* ---- the command ---- */

static int show_run(const struct cv_command *self, int argc, char **argv)
{
	struct cv_catalog *catalog = NULL;
	struct show_options o = { 0 };
	struct cv_err err = { 0 };
	cv_code code = CV_OK;
	struct cv_buf out;
	int first, status;

	if (!cv_command_begin(self, argc, argv, &o, &first, &status))
		return status;
	if (first >= argc)
		code = cv_fail(&err, CV_INVALID, "name the catalog's file");
	for (int i = first; i < argc && code == CV_OK; i++)
		code = cv_catalog_file_load(argv[i], &catalog, &err);
	if (code == CV_OK) {
		cv_buf_init(&out, OUTPUT_BYTES_MAX);
		(o.output == CV_OUTPUT_JSON ? show_json : show_text)(catalog, &out);
		cv_command_put_printable(cv_buf_str(&out));
		cv_buf_fini(&out);
	}
	cv_catalog_free(catalog);
	return code == CV_OK ? 0 : cv_command_fail(self, &err);
}

const struct cv_command cv_cmd_tools_show = {
	.name = "tools show",
	.operands = "FILE...",
	.summary = "tell what catalogs of host tools offer, and what they need of this host",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = show_run,
};
