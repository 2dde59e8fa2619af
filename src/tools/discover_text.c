/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover_text.c - the documents that a model reads as they are: GET / and SKILL.md
 *
 * Short, since they are read in full: how to call, and a line for each tool.  Descriptions may come
 * from an MCP server that nobody here wrote, so a text stays on its line, and what hides or
 * reorders text is not passed on.
 */
#include "base/utf8.h"
#include "tools/discover_int.h"

#define ENUM_WORDS_MAX 8 /* shown of an enum; the schema has them all */

static void put(struct cv_buf *out, const char *text)
{
	cv_buf_put(out, cv_str_of(text));
}

/* s on one line: what would end it, or is not to be seen, becomes a space. */
static void put_line(struct cv_buf *out, struct cv_str s)
{
	while (s.n) {
		uint32_t c = 0;
		const size_t step = cv_utf8_decode(s, &c);
		const bool is_bad = !step || c < 0x20 || c == 0x7f || cv_utf8_is_hidden(c);

		cv_buf_put(out, is_bad ? CV_STR(" ") : cv_str_slice(s, 0, step));
		s = cv_str_slice(s, step ? step : 1, s.n);
	}
}

/* ---- a tool's arguments in one line ---- */

static void put_enum(struct cv_buf *out, const struct cv_value *v)
{
	for (uint32_t i = 0; i < v->n && i < ENUM_WORDS_MAX; i++) {
		cv_buf_put(out, i ? CV_STR("|") : CV_STR_NONE);
		put_line(
			out, v->v[i].s.n ? v->v[i].s : cv_str_of(cv_value_type_name(v->v[i].type)));
	}
	if (v->n > ENUM_WORDS_MAX)
		put(out, "|...");
}

static void put_type(struct cv_buf *out, const struct cv_value *schema)
{
	const struct cv_value *words = cv_value_get(schema, CV_STR("enum")),
			      *type = cv_value_get(schema, CV_STR("type")),
			      *items = cv_value_get(schema, CV_STR("items"));

	if (words && words->type == CV_VALUE_ARRAY) {
		put_enum(out, words);
	} else if (type && type->type == CV_VALUE_STRING && cv_str_eq(type->s, CV_STR("array"))) {
		put(out, "[");
		put_line(out, cv_value_get_str(items, CV_STR("type")).n
				      ? cv_value_get_str(items, CV_STR("type"))
				      : CV_STR("any"));
		put(out, "]");
	} else if (type && type->type == CV_VALUE_STRING) {
		put_line(out, type->s);
	} else if (type && type->type == CV_VALUE_ARRAY) {
		put_enum(out, type);
	} else {
		put(out, "any");
	}
}

static bool is_required(const struct cv_tool *tool, struct cv_str name)
{
	const struct cv_value *required = cv_value_get(tool->input, CV_STR("required"));

	for (uint32_t i = 0; required && required->type == CV_VALUE_ARRAY && i < required->n; i++)
		if (cv_str_eq(required->v[i].s, name))
			return true;
	return false;
}

static void put_arguments(struct cv_buf *out, const struct cv_tool *tool)
{
	const struct cv_value *properties = cv_value_get(tool->input, CV_STR("properties"));

	put(out, "(");
	for (uint32_t i = 0; properties && properties->type == CV_VALUE_OBJECT && i < properties->n;
		i++) {
		cv_buf_put(out, i ? CV_STR(", ") : CV_STR_NONE);
		put_line(out, properties->key[i]);
		put(out, is_required(tool, properties->key[i]) ? ": " : "?: ");
		put_type(out, &properties->v[i]);
	}
	put(out, ")");
}

static void put_tool(struct cv_discover_walk *w, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions)
{
	put(w->out, "- ");
	put_line(w->out, tool->name);
	put_arguments(w->out, tool);
	put(w->out, ": ");
	put_line(w->out, tool->description);
	put(w->out, "\n");
	for (size_t i = 0; i < conditions->n; i++) {
		put(w->out, "    allowed only if ");
		put_line(w->out, conditions->v[i]);
		put(w->out, "\n");
	}
}

/* ---- how to call ---- */

static const char how[] =
	"Call one:\n"
	"\n"
	"    curl -sS http://tools.local/v1/tools/NAME -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" \\\n"
	"      -H 'Content-Type: application/json' -d '{\"ARGUMENT\": \"VALUE\"}'\n"
	"\n"
	"The answer is {\"output\": ...}, or {\"error\": CODE, \"detail\": SENTENCE}, which says what would be\n"
	"right. What is refused stays refused: do not try the same again, nor another way.\n"
	"\n"
	"What takes long: add -H 'Prefer: respond-async'. The answer is then a job; ask for\n"
	"/v1/jobs/ID?wait=60 until its \"state\" is succeeded, failed, cancelled, timed_out or denied, then\n"
	"for /v1/jobs/ID/result. /v1/jobs/ID/log and /events show it at work; POST /v1/jobs/ID/cancel ends\n"
	"it. All with the same Authorization.\n"
	"\n"
	"The arguments' JSON Schemas: GET /tools.json or /openapi.json. MCP: POST /mcp.\n"
	"\n";

static void text_begin(struct cv_discover_walk *w)
{
	put(w->out,
		"Host tools: work that is done outside this sandbox, as far as its policy allows.\n\n");
	put(w->out, how);
	put(w->out, "Tools (a ? marks what may be left out):\n\n");
}

static void none_end(struct cv_discover_walk *w)
{
	if (!w->shown)
		put(w->out, "None: the policy of this sandbox allows no tools.\n");
}

const struct cv_discover_format cv_discover_text = {
	.begin = text_begin,
	.tool = put_tool,
	.end = none_end,
};

static void skill_begin(struct cv_discover_walk *w)
{
	put(w->out,
		"---\n"
		"name: host-tools\n"
		"description: Calls tools that run outside this sandbox, on its host, at http://tools.local. Use it"
		" when a task needs one of the tools it lists, or something that can't be done in here: a"
		" container build, a logged-in program, a service of the host.\n"
		"---\n\n"
		"# Host tools\n\n"
		"They are reached with curl, without any other set-up; $COVE_TOOLS_TOKEN is set.\n\n");
	put(w->out, how);
	put(w->out, "## Tools\n\nWhat this sandbox may call (a ? marks what may be left out). GET"
		    " http://tools.local/ has the present list.\n\n");
}

const struct cv_discover_format cv_discover_skill = {
	.begin = skill_begin,
	.tool = put_tool,
	.end = none_end,
};
