/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover_json.c - lists of tools as JSON: /tools.json, MCP's tools/list, and what errors name
 */
#include "tools/discover_int.h"
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

static void put_endpoint(struct cv_buf *out, const struct cv_tool *tool)
{
	put(out, "\"endpoint\":\"");
	cv_tool_endpoint_write(tool, out); /* letters, digits, -._~/{} */
	put(out, "\"");
}

void cv_discover_put_description(struct cv_buf *out, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	put(out, "\"description\":\"");
	cv_buf_put_json(out, tool->description);
	for (size_t i = 0; i < conditions->n; i++) {
		put(out, i ? "; " : "\\n\\nAllowed here only if ");
		cv_buf_put_json(out, conditions->v[i]);
	}
	put(out, conditions->n ? ".\"" : "\"");
}

/* ---- schemas ---- */

bool cv_tool_route_has_place(const struct cv_tool *tool, struct cv_str name)
{
	struct cv_str rest = tool->route;

	while (rest.p) {
		const struct cv_str s = cv_str_cut(&rest, '/');

		if (s.n == name.n + 2 && s.p[0] == '{' &&
			cv_str_eq(cv_str_slice(s, 1, s.n - 1), name))
			return true;
	}
	return false;
}

static void put_value(struct cv_buf *out, const struct cv_value *v)
{
	if (!cv_json_value_write(out, v))
		out->is_overflown = true; /* too deep; no reader makes one so */
}

static void put_subschema(struct cv_buf *out, const struct cv_value *v, bool is_mcp)
{
	if (is_mcp && v->type == CV_VALUE_TRUE)
		put(out, "{}");
	else if (is_mcp && v->type == CV_VALUE_FALSE)
		put(out, "{\"not\":{}}");
	else
		put_value(out, v);
}

static void put_properties(struct cv_buf *out, const struct cv_tool *tool,
	const struct cv_value *properties, bool is_body, bool is_mcp)
{
	const char *comma = "";

	put(out, "{");
	for (uint32_t i = 0; i < properties->n; i++) {
		if (is_body && cv_tool_route_has_place(tool, properties->key[i]))
			continue;
		put_member(out, comma, properties->key[i]);
		put(out, ":");
		put_subschema(out, &properties->v[i], is_mcp);
		comma = ",";
	}
	put(out, "}");
}

static void put_required(struct cv_buf *out, const struct cv_tool *tool, const struct cv_value *v)
{
	const char *comma = "";

	put(out, "[");
	for (uint32_t i = 0; i < v->n; i++) {
		if (cv_tool_route_has_place(tool, v->v[i].s))
			continue;
		put_member(out, comma, v->v[i].s);
		comma = ",";
	}
	put(out, "]");
}

void cv_discover_put_schema(
	struct cv_buf *out, const struct cv_tool *tool, bool is_body, bool is_mcp)
{
	const struct cv_value *input = tool->input;

	put(out, "{");
	for (uint32_t i = 0; i < input->n; i++) {
		const struct cv_value *v = &input->v[i];
		const struct cv_str key = input->key[i];

		put_member(out, i ? "," : "", key);
		put(out, ":");
		if (cv_str_eq(key, CV_STR("properties")) && v->type == CV_VALUE_OBJECT)
			put_properties(out, tool, v, is_body, is_mcp);
		else if (is_body && cv_str_eq(key, CV_STR("required")) && v->type == CV_VALUE_ARRAY)
			put_required(out, tool, v);
		else
			put_value(out, v);
	}
	put(out, "}");
}

/* ---- /tools.json ---- */

static void list_begin(struct cv_discover_walk *w)
{
	put(w->out, "[");
}

static void list_end(struct cv_discover_walk *w)
{
	put(w->out, "]");
}

static void tools_tool(struct cv_discover_walk *w, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	put_member(w->out, w->shown ? ",{\"name\":" : "{\"name\":", tool->name);
	put(w->out, ",");
	cv_discover_put_description(w->out, tool, conditions);
	put(w->out, ",");
	put_endpoint(w->out, tool);
	put_member(w->out, ",\"method\":", cv_tool_endpoint_method(tool));
	put(w->out, ",\"input_schema\":");
	cv_discover_put_schema(w->out, tool, false, false);
	put(w->out, "}");
}

const struct cv_discover_format cv_discover_tools = {
	.begin = list_begin,
	.tool = tools_tool,
	.end = list_end,
};

/* ---- tools/list of MCP ---- */

static void mcp_begin(struct cv_discover_walk *w)
{
	put(w->out, "{\"tools\":[");
}

static void mcp_tool(struct cv_discover_walk *w, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	put_member(w->out, w->shown ? ",{\"name\":" : "{\"name\":", tool->name);
	put(w->out, ",");
	cv_discover_put_description(w->out, tool, conditions);
	put(w->out, ",\"inputSchema\":");
	cv_discover_put_schema(w->out, tool, false, true);
	cv_buf_printf(w->out,
		",\"annotations\":{\"readOnlyHint\":%s,\"destructiveHint\":%s,\"idempotentHint\":%s}}",
		tool->is_read_only ? "true" : "false", tool->is_destructive ? "true" : "false",
		tool->is_idempotent ? "true" : "false");
}

static void mcp_end(struct cv_discover_walk *w)
{
	put(w->out, "]");
	if (w->has_more)
		put_member(w->out, ",\"nextCursor\":", w->last);
	put(w->out, "}");
}

const struct cv_discover_format cv_discover_mcp = {
	.begin = mcp_begin,
	.tool = mcp_tool,
	.end = mcp_end,
	.is_paged = true,
};

/* ---- members of errors ---- */

static void allowed_tool(struct cv_discover_walk *w, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	put_member(w->out, w->shown ? ",{\"tool\":" : "{\"tool\":", tool->name);
	put_member(w->out, ",\"method\":", cv_tool_endpoint_method(tool));
	put(w->out, ",");
	put_endpoint(w->out, tool);
	put(w->out, ",\"conditions\":[");
	for (size_t i = 0; i < conditions->n; i++)
		put_member(w->out, i ? "," : "", conditions->v[i]);
	put(w->out, "]}");
}

const struct cv_discover_format cv_discover_allowed = {
	.begin = list_begin,
	.tool = allowed_tool,
	.end = list_end,
};

static void known_tool(struct cv_discover_walk *w, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	(void)conditions;
	put_member(w->out, w->shown ? "," : "", tool->name);
}

const struct cv_discover_format cv_discover_known = {
	.begin = list_begin,
	.tool = known_tool,
	.end = list_end,
};
