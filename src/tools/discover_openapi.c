/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover_openapi.c - /openapi.json: OpenAPI 3.1 of the tools and of what cove answers by itself
 *
 * OpenAPI wants each path once with its methods inside.  Operations of cove are written from their
 * table, whose rows of one path stand together; of tools, the first with a route writes all that
 * have the same.
 */
#include "tools/discover_int.h"
#include "tools/errors.h"
#include "wire/json_value.h"

static void put(struct cv_buf *out, const char *text)
{
	cv_buf_put(out, cv_str_of(text));
}

static void put_member(struct cv_buf *out, const char *before, struct cv_str s)
{
	put(out, before);
	cv_buf_put_json_str(out, s);
}

static void put_method(struct cv_buf *out, struct cv_str method)
{
	put(out, "\"");
	for (size_t i = 0; i < method.n; i++)
		cv_buf_put_byte(out, cv_ascii_lower(method.p[i]));
	put(out, "\":{");
}

static void put_errors(struct cv_buf *out)
{
	put(out, "\"4XX\":{\"$ref\":\"#/components/responses/Error\"},"
		 "\"5XX\":{\"$ref\":\"#/components/responses/Error\"}}");
}

/* ---- what cove answers by itself ---- */

enum answer { ANSWER_TEXT, ANSWER_JSON, ANSWER_JOB, ANSWER_JOBS, ANSWER_EVENTS, ANSWER_BYTES };

static const char *const answer_content[] = {
	[ANSWER_TEXT] = "{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}",
	[ANSWER_JSON] = "{\"application/json\":{}}",
	[ANSWER_JOB] =
		"{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Job\"}}}",
	[ANSWER_JOBS] =
		("{\"application/json\":{\"schema\":{\"type\":\"array\",\"items\":{\"$ref\":"
		 "\"#/components/schemas/Job\"}}}}"),
	[ANSWER_EVENTS] = "{\"text/event-stream\":{\"schema\":{\"type\":\"string\"}}}",
	[ANSWER_BYTES] = "{\"application/octet-stream\":{}}",
};

#define QUERY(name, type, text)                                           \
	"{\"name\":\"" name "\",\"in\":\"query\",\"description\":\"" text \
	"\",\"schema\":{\"type\":\"" type "\",\"minimum\":0}}"

static const struct {
	enum answer answer;
	const char *query; /* parameters besides {id} */
} operation_more[CV_TOOL_OPERATION_COUNT] = {
	[CV_TOOL_OPERATION_TEXT] = { ANSWER_TEXT },
	[CV_TOOL_OPERATION_HEALTH] = { ANSWER_JSON },
	[CV_TOOL_OPERATION_MCP_LISTEN] = { ANSWER_EVENTS },
	[CV_TOOL_OPERATION_MCP] = { ANSWER_JSON },
	[CV_TOOL_OPERATION_MCP_END] = { ANSWER_JSON },
	[CV_TOOL_OPERATION_OPENAPI] = { ANSWER_JSON },
	[CV_TOOL_OPERATION_LIST] = { ANSWER_JSON },
	[CV_TOOL_OPERATION_JOBS] = { ANSWER_JOBS },
	[CV_TOOL_OPERATION_JOB] = { ANSWER_JOB,
		QUERY("wait", "integer", "Seconds to wait for its end") },
	[CV_TOOL_OPERATION_JOB_DELETE] = { ANSWER_JOB },
	[CV_TOOL_OPERATION_JOB_CANCEL] = { ANSWER_JOB },
	[CV_TOOL_OPERATION_JOB_EVENTS] = { ANSWER_EVENTS,
		QUERY("offset", "integer", "Of the log") },
	[CV_TOOL_OPERATION_JOB_LOG] = { ANSWER_BYTES, QUERY("offset", "integer", "First byte") },
	[CV_TOOL_OPERATION_JOB_RESULT] = { ANSWER_JSON },
};

static void put_operation(struct cv_buf *out, enum cv_tool_operation o)
{
	const struct cv_tool_operation_row *row = cv_tool_operation_row(o);
	const bool has_id = strstr(row->path, "{id}") != NULL;
	const char *query = operation_more[o].query;

	put_method(out, cv_str_of(row->method));
	put_member(out, "\"summary\":", cv_str_of(row->summary));
	if (!row->needs_token)
		put(out, ",\"security\":[]");
	if (has_id || query)
		cv_buf_printf(out, ",\"parameters\":[%s%s%s]",
			has_id ? "{\"$ref\":\"#/components/parameters/Job\"}" : "",
			has_id && query ? "," : "", query ? query : "");
	cv_buf_printf(out,
		",\"responses\":{\"200\":{\"description\":\"It is done.\",\"content\":%s},",
		answer_content[operation_more[o].answer]);
	put_errors(out);
	put(out, "}");
}

static void put_operations(struct cv_buf *out)
{
	const char *path = "";

	for (int o = 0; o < CV_TOOL_OPERATION_COUNT; o++) {
		const struct cv_tool_operation_row *row =
			cv_tool_operation_row((enum cv_tool_operation)o);

		if (strcmp(row->path, path) != 0) {
			cv_buf_printf(out, "%s\"%s\":{", o ? "}," : "", row->path);
			path = row->path;
		} else {
			put(out, ",");
		}
		put_operation(out, (enum cv_tool_operation)o);
	}
	put(out, "}");
}

/* ---- a tool ---- */

static void put_places(struct cv_buf *out, const struct cv_tool *tool)
{
	struct cv_str rest = tool->route;
	const char *comma = "";

	put(out, ",\"parameters\":[");
	while (rest.p) {
		const struct cv_str s = cv_str_cut(&rest, '/'), name = cv_str_slice(s, 1, s.n - 1);
		const struct cv_value *property =
			cv_value_get(cv_value_get(tool->input, CV_STR("properties")), name);

		if (s.n < 3 || s.p[0] != '{' || !property)
			continue;
		put(out, comma);
		put_member(out, "{\"name\":", name);
		put(out, ",\"in\":\"path\",\"required\":true,\"schema\":");
		if (!cv_json_value_write(out, property))
			out->is_overflown = true;
		put(out, "}");
		comma = ",";
	}
	put(out, "]");
}

static void put_tool(struct cv_buf *out, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	put_method(out, cv_tool_endpoint_method(tool));
	put_member(out, "\"operationId\":", tool->name);
	put(out, ",\"tags\":[\"tools\"],");
	cv_discover_put_description(out, tool, conditions);
	if (cv_str_has_byte(tool->route, '{'))
		put_places(out, tool);
	if (cv_tool_method_has_body(cv_tool_endpoint_method(tool))) {
		put(out,
			",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":");
		cv_discover_put_schema(out, tool, true, false);
		put(out, "}}}");
	}
	put(out, ",\"responses\":{\"200\":{\"$ref\":\"#/components/responses/Result\"},"
		 "\"202\":{\"$ref\":\"#/components/responses/Job\"},");
	put_errors(out);
	put(out, "}");
}

/* The next tool after `from` that may be called and has the route of `tool`; NULL: none. */
static const struct cv_tool *same_route(const struct cv_discover_walk *w,
	const struct cv_tool *tool, const struct cv_tool *from,
	struct cv_discover_conditions *conditions)
{
	const struct cv_catalog *c = w->d->catalog;

	for (const struct cv_tool *t = from; t < c->tools + c->tool_count; t++) {
		*conditions = (struct cv_discover_conditions){ 0 };
		if (tool->route.n && cv_str_eq(t->route, tool->route) &&
			(!w->d->may_call || w->d->may_call(w->d->arg, t, conditions)))
			return t;
	}
	return NULL;
}

/* ---- the document ---- */

static void openapi_begin(struct cv_discover_walk *w)
{
	put_member(w->out,
		"{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"cove host tools\",\"version\":",
		w->d->version);
	put(w->out,
		",\"description\":\"What this sandbox may ask of its host. A call with Prefer: respond-async is"
		" answered with a job.\"},\"servers\":[{\"url\":\"http://tools.local\"}],"
		"\"security\":[{\"token\":[]}],\"paths\":{");
	put_operations(w->out);
}

static void openapi_tool(struct cv_discover_walk *w, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	struct cv_discover_conditions more;
	const struct cv_tool *t;

	/* conditions of the first are lost when another tool is asked for */
	t = same_route(w, tool, w->d->catalog->tools, &more);
	if (t && t < tool)
		return; /* it has written this one too */
	put(w->out, ",\"");
	cv_tool_endpoint_write(tool, w->out);
	put(w->out, "\":{");
	put_tool(w->out, tool, t ? &more : conditions);
	for (t = tool; (t = same_route(w, tool, t + 1, &more));) {
		put(w->out, ",");
		put_tool(w->out, t, &more);
	}
	put(w->out, "}");
}

static void put_error_codes(struct cv_buf *out)
{
	for (int e = 0; e < CV_TOOL_ERROR_COUNT; e++)
		put_member(out, e ? "," : "",
			cv_str_of(cv_tool_error_row((enum cv_tool_error)e)->code));
}

static void openapi_end(struct cv_discover_walk *w)
{
	put(w->out,
		"},\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\","
		"\"description\":\"COVE_TOOLS_TOKEN of the environment\"}},"
		"\"parameters\":{\"Job\":{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"schema\":"
		"{\"type\":\"string\"}}},\"schemas\":{"
		"\"Result\":{\"type\":\"object\",\"properties\":{\"output\":{},\"exit\":{\"type\":\"integer\"},"
		"\"stderr\":{\"type\":\"string\"},\"truncated\":{\"type\":\"boolean\"}},\"required\":[\"output\"]},"
		"\"Job\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"tool\":{\"type\":"
		"\"string\"},\"state\":{\"enum\":[\"held\",\"queued\",\"running\",\"succeeded\",\"failed\","
		"\"cancelled\",\"timed_out\",\"denied\"]},\"created\":{\"type\":\"string\"},\"started\":{\"type\":"
		"\"string\"},\"ended\":{\"type\":\"string\"},\"progress\":{},\"result_url\":{\"type\":\"string\"},"
		"\"error\":{\"$ref\":\"#/components/schemas/Error\"}},\"required\":[\"id\",\"tool\",\"state\"]},"
		"\"Error\":{\"type\":\"object\",\"properties\":{\"error\":{\"enum\":[");
	put_error_codes(w->out);
	put(w->out,
		"]},\"detail\":{\"type\":\"string\"}},\"required\":[\"error\",\"detail\"]}},\"responses\":{"
		"\"Result\":{\"description\":\"What the tool said.\",\"content\":{\"application/json\":{\"schema\":"
		"{\"$ref\":\"#/components/schemas/Result\"}}}},"
		"\"Job\":{\"description\":\"It goes on as a job.\",\"headers\":{\"Location\":{\"schema\":{\"type\":"
		"\"string\"}}},\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Job\"}}}},"
		"\"Error\":{\"description\":\"It is not done, and why.\",\"content\":{\"application/json\":{\"schema\":"
		"{\"$ref\":\"#/components/schemas/Error\"}}}}}}}");
}

const struct cv_discover_format cv_discover_openapi = {
	.begin = openapi_begin,
	.tool = openapi_tool,
	.end = openapi_end,
};
