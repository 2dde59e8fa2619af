/* SPDX-License-Identifier: Apache-2.0 */
/*
 * validate_rule.c - one function for each rule of the language about rules and deny_rules
 *
 * openshell-behaviour 3.4 and 3.5.  A check belongs to some protocols; the table says to which.
 */
#include "base/hex.h"
#include "policy/check_int.h"
#include "policy/pg_command.h"

#define ON(protocol) (1u << CV_PROTOCOL_##protocol)

static bool has_operation(const struct cv_policy_rule *r)
{
	return r->operation_type.s.n || r->operation_name.s.n || r->fields.is_present;
}

static bool is_pattern(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr("*?[{", s.p[i]))
			return true;
	return false;
}

/* ---- globs ---- */

/* What is wrong with a glob's syntax, or NULL.  Braces do not nest. */
static const char *glob_fault(struct cv_str s)
{
	bool is_in_braces = false;

	if (s.n > CV_POLICY_PATTERN_BYTES_MAX)
		return "is too long";
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && ++i == s.n)
			return "ends with a backslash";
		else if (s.p[i] == '[') {
			const size_t close = cv_str_find_byte(cv_str_slice(s, i + 2, s.n), ']');

			if (i + 2 >= s.n || i + 2 + close >= s.n)
				return "has a '[' without ']'";
			i += 2 + close;
		} else if (s.p[i] == '{') {
			if (is_in_braces)
				return "has a brace within braces";
			is_in_braces = true;
		} else if (s.p[i] == '}') {
			is_in_braces = false;
		}
	}
	return is_in_braces ? "has a '{' without '}'" : NULL;
}

/* What is malformed allows less: it matches nothing that is allowed, and everything that is denied. */
static void check_glob(struct cv_check *c, const char *what, const struct cv_policy_text *t)
{
	const char *fault = t->is_present ? glob_fault(t->s) : NULL;

	if (fault)
		CV_CHECK_WARNING(c, t->pos, "escape the character with a backslash",
			"%s pattern '%.*s' %s and %s", what, CV_POLICY_QUOTE(t->s), fault,
			c->is_deny ? "so stands for everything" : "never matches");
}

static void check_matchers(
	struct cv_check *c, const char *what, const struct cv_policy_matcher *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct cv_policy_matcher *m = &v[i];

		if (!m->globs.n)
			CV_CHECK_ERROR(c, m->key.pos, "list at least one string",
				"%s.%.*s: any is empty", what, CV_POLICY_QUOTE(m->key.s));
		for (size_t j = 0; j < m->globs.n; j++) {
			if (m->is_any && !m->globs.v[j].s.n)
				CV_CHECK_ERROR(c, m->globs.v[j].pos, "remove it",
					"%s.%.*s: any has an empty string", what,
					CV_POLICY_QUOTE(m->key.s));
			check_glob(c, what, &m->globs.v[j]);
		}
	}
}

static void check_globs(struct cv_check *c)
{
	check_glob(c, "path", &c->rule->path);
	check_matchers(c, "query", c->rule->query, c->rule->query_count);
	check_matchers(c, "params", c->rule->params, c->rule->params_count);
	for (size_t i = 0; i < c->rule->tool.n; i++)
		check_glob(c, "tool", &c->rule->tool.v[i]);
}

/* ---- http ---- */

static const char *const methods[] = { "*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
	"OPTIONS", "CONNECT", "TRACE", "WEBSOCKET_TEXT" };

static void check_method(struct cv_check *c)
{
	const struct cv_policy_text *m = &c->rule->method;

	if (!m->s.n && has_operation(c->rule))
		return;
	if (!m->s.n) {
		CV_CHECK_WARNING(
			c, CV_CHECK_HERE, "write method: \"*\" for any", "no method is given");
		return;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(methods); i++)
		if (cv_str_eq_nocase(m->s, cv_str_of(methods[i])))
			return;
	CV_CHECK_WARNING(c, m->pos, "expected an HTTP method or *", "unknown HTTP method '%.*s'",
		CV_POLICY_QUOTE(m->s));
}

static void check_path_start(struct cv_check *c)
{
	const struct cv_policy_text *p = &c->rule->path;

	if (p->s.n && p->s.p[0] != '/' && !cv_str_has_prefix(p->s, CV_STR("*")) &&
		!is_pattern(cv_str_slice(p->s, 0, 1)))
		CV_CHECK_WARNING(c, p->pos, "begin it with /",
			"path '%.*s' does not begin with / and never matches",
			CV_POLICY_QUOTE(p->s));
}

/* A deny rule without one denies every path. */
static void check_path_given(struct cv_check *c)
{
	if (!c->rule->path.s.n && !c->is_deny && !has_operation(c->rule))
		CV_CHECK_WARNING(c, CV_CHECK_HERE, "write path: \"/**\" for any",
			"no path is given, so it allows nothing");
}

/* Paths are compared in one spelling (wire/path.h): these bytes stand in it as they are. */
static bool is_plain(int b)
{
	return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
	       (b > 0 && strchr("-._~!$&'()*+,=:@", b));
}

/* At a percent sign. */
static const char *escape_fault(struct cv_str at, bool keeps_slash, const char **ret_fix)
{
	const int high = at.n > 2 ? cv_hex_digit(at.p[1]) : -1;
	const int low = at.n > 2 ? cv_hex_digit(at.p[2]) : -1;

	if (high < 0 || low < 0)
		return NULL;
	if (high * 16 + low == '/' && !keeps_slash) {
		*ret_fix = "write /, or set allow_encoded_slash: true";
		return "has an encoded slash, which its endpoint does not keep";
	}
	if (is_plain(high * 16 + low)) {
		*ret_fix = "write the character itself";
		return "has an escape for a character that is compared as it is";
	}
	if (at.p[1] > 'F' || at.p[2] > 'F') {
		*ret_fix = "write its digits in upper case";
		return "has an escape in lower case";
	}
	return NULL;
}

/* At a slash: what the segment after it is. */
static const char *segment_fault(struct cv_str at)
{
	struct cv_str rest = cv_str_slice(at, 1, at.n);
	const bool is_last = !cv_str_has_byte(rest, '/');
	const struct cv_str segment = cv_str_cut(&rest, '/');

	if (!segment.n && !is_last)
		return "has an empty segment";
	if (cv_str_eq(segment, CV_STR(".")) || cv_str_eq(segment, CV_STR("..")))
		return "has a dot segment";
	return NULL;
}

/* What no request's path has when it is compared, or NULL. */
static const char *path_fault(struct cv_str p, bool keeps_slash, const char **ret_fix)
{
	const char *fault = NULL;

	*ret_fix = "write the path that the server sees";
	for (size_t i = 0; i < p.n && !fault; i++) {
		const unsigned char b = (unsigned char)p.p[i];

		if (b == '\\')
			i++;
		else if (b == '#')
			fault = "has '#'";
		else if (b == ';')
			fault = "has ';', which is cut from paths";
		else if (b <= ' ' || b >= 0x7f)
			fault = "has a character that paths have only percent-encoded";
		else if (b == '%')
			fault = escape_fault(cv_str_slice(p, i, p.n), keeps_slash, ret_fix);
		else if (b == '/')
			fault = segment_fault(cv_str_slice(p, i, p.n));
	}
	return fault;
}

static void check_path_spelling(struct cv_check *c)
{
	const struct cv_policy_text *p = &c->rule->path;
	const size_t mark = cv_str_find_byte(p->s, '?');
	const char *fix, *fault = path_fault(p->s, c->ep->allow_encoded_slash, &fix);

	if (fault)
		CV_CHECK_WARNING(c, p->pos, fix, "path '%.*s' %s, so it never matches",
			CV_POLICY_QUOTE(p->s), fault);
	else if (cv_str_has_byte(cv_str_slice(p->s, mark, p->s.n), '='))
		CV_CHECK_WARNING(c, p->pos, "write query: {KEY: PATTERN}",
			"path '%.*s' has a query, and '?' in it stands for any one character",
			CV_POLICY_QUOTE(p->s));
}

/* Fields of other protocols, which this one ignores. */
static void check_ignored(struct cv_check *c)
{
	const struct cv_policy_rule *r = c->rule;
	const unsigned on = 1u << c->ep->protocol;
	const unsigned http = ON(REST) | ON(WEBSOCKET), rpc = ON(JSON_RPC) | ON(MCP);
	const struct {
		bool is_there;
		unsigned used_on; /* or an error there, by a check of its own */
		const char *name;
	} fields[] = {
		{ r->method.s.n > 0, http | rpc, "method" },
		{ r->path.s.n > 0, http | ON(JSON_RPC) | ON(POSTGRES), "path" },
		{ r->query_count > 0, http | ON(JSON_RPC), "query" },
		{ r->command.s.n > 0, ON(SQL) | ON(POSTGRES), "command" },
		{ has_operation(r), ON(GRAPHQL) | ON(WEBSOCKET),
			"operation_type, operation_name or fields" },
		{ r->tool.is_present, rpc, "tool" },
		{ r->params_count > 0, rpc, "params" },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(fields); i++)
		if (fields[i].is_there && !(fields[i].used_on & on))
			CV_CHECK_WARNING(c, CV_CHECK_HERE, "remove it",
				"%s is ignored by protocol %s", fields[i].name,
				cv_policy_protocol_name(c->ep->protocol));
}

/* ---- postgres ---- */

/* An unknown command is an error: a deny rule with one would deny nothing. */
static void check_command(struct cv_check *c)
{
	const struct cv_policy_text *t = &c->rule->command;

	if (!t->s.n)
		CV_CHECK_ERROR(c, CV_CHECK_HERE,
			"write command: SELECT (or another), \"*\" for any",
			"a rule for postgres needs a command");
	else if (!cv_policy_is_word(*t, "*") && cv_pg_command_of(t->s) == CV_PG_COMMAND_COUNT)
		CV_CHECK_ERROR(c, t->pos,
			"expected SELECT, INSERT, ... (docs/concepts/postgres.md)",
			"unknown command '%.*s'", CV_POLICY_QUOTE(t->s));
}

/* ---- graphql, websocket ---- */

static void check_operation(struct cv_check *c)
{
	static const char *const types[] = { "query", "mutation", "subscription", "*" };
	const struct cv_policy_rule *r = c->rule;
	bool is_known = false;

	if (c->ep->protocol == CV_PROTOCOL_WEBSOCKET && !has_operation(r))
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(types); i++)
		is_known |= cv_policy_is_word(r->operation_type, types[i]);
	if (!is_known)
		CV_CHECK_ERROR(c, r->operation_type.pos,
			"expected query, mutation, subscription or *",
			"unknown operation_type '%.*s'", CV_POLICY_QUOTE(r->operation_type.s));
	if (r->fields.is_present && !r->fields.n)
		CV_CHECK_ERROR(
			c, r->fields.pos, "remove it, or list root fields", "fields is empty");
	for (size_t i = 0; i < r->fields.n; i++)
		if (!r->fields.v[i].s.n)
			CV_CHECK_ERROR(
				c, r->fields.v[i].pos, "remove it", "fields has an empty string");
}

static void check_websocket_mix(struct cv_check *c)
{
	const struct cv_policy_rule *r = c->rule;

	if (has_operation(r) && (r->method.s.n || r->path.s.n || r->query_count))
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "make two rules of it",
			"a GraphQL rule can't have method, path or query");
}

static bool has_text_allow(const struct cv_policy_endpoint *e)
{
	for (size_t i = 0; i < e->rules.n; i++)
		if (cv_str_eq_nocase(e->rules.v[i].method.s, CV_STR("WEBSOCKET_TEXT")))
			return true;
	return false;
}

static void check_websocket_text(struct cv_check *c)
{
	if (has_operation(c->rule) && has_text_allow(c->ep))
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "remove one of them",
			"a rule for WEBSOCKET_TEXT would let every GraphQL message pass");
}

/* ---- json-rpc, mcp ---- */

static void check_json_rpc(struct cv_check *c)
{
	const struct cv_policy_rule *r = c->rule;

	if (!r->method.s.n)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add the method's name, or \"*\"",
			"a rule for json-rpc needs a method");
	else if (is_pattern(r->method.s) && !cv_policy_is_word(r->method, "*"))
		CV_CHECK_ERROR(c, r->method.pos, "write the whole name, or \"*\"",
			"json-rpc methods are exact, '%.*s' is a pattern",
			CV_POLICY_QUOTE(r->method.s));
	if (r->params_count || r->tool.is_present || r->path.s.n || r->query_count)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "remove them",
			"a rule for json-rpc can't have params, tool, path or query");
}

static const struct cv_policy_texts *tools_of(const struct cv_policy_rule *r)
{
	if (r->tool.is_present)
		return &r->tool;
	for (size_t i = 0; i < r->params_count; i++)
		if (cv_policy_is_word(r->params[i].key, "name"))
			return &r->params[i].globs;
	return NULL;
}

static void check_mcp_method(struct cv_check *c)
{
	const struct cv_policy_text *m = &c->rule->method;

	if (!m->s.n && !c->ep->mcp_allow_all_known_methods && !c->is_deny)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add method: tools/call (or another)",
			"a rule for mcp needs a method");
	if (is_pattern(m->s) && !cv_str_has_prefix(m->s, CV_STR("tools/")))
		CV_CHECK_ERROR(c, m->pos, "write tools/*, or the whole name",
			"method patterns are accepted only below tools/, not '%.*s'",
			CV_POLICY_QUOTE(m->s));
}

static void check_mcp_tool(struct cv_check *c)
{
	const struct cv_policy_rule *r = c->rule;
	const struct cv_policy_texts *tools = tools_of(r);

	for (size_t i = 0; i < r->params_count; i++)
		if (!cv_policy_is_word(r->params[i].key, "name"))
			CV_CHECK_ERROR(c, r->params[i].key.pos, "remove it",
				"params.%.*s can't be matched; only params.name can",
				CV_POLICY_QUOTE(r->params[i].key.s));
		else if (r->tool.is_present)
			CV_CHECK_ERROR(c, r->params[i].key.pos, "keep tool",
				"tool and params.name are the same thing");
	if (tools && !cv_policy_is_word(r->method, "tools/call") &&
		!(c->ep->mcp_allow_all_known_methods && !r->method.s.n))
		CV_CHECK_ERROR(c, tools->pos, "add method: tools/call",
			"a rule that names a tool needs method: tools/call");
	for (size_t i = 0; tools && i < tools->n; i++)
		if (is_pattern(tools->v[i].s) && !c->ep->mcp_strict_tool_names)
			CV_CHECK_ERROR(c, tools->v[i].pos, "set mcp.strict_tool_names: true",
				"the tool pattern '%.*s' needs strict tool names",
				CV_POLICY_QUOTE(tools->v[i].s));
}

static void check_mcp_cover(struct cv_check *c)
{
	const struct cv_policy_rule *r = c->rule;
	const bool covers = !tools_of(r) && (cv_policy_is_word(r->method, "tools/call") ||
						    cv_policy_is_word(r->method, "tools/*"));
	char line[CV_FINDING_LINE_BYTES];

	for (size_t i = 0; covers && !c->is_deny && i < c->ep->rules.n; i++)
		if (tools_of(&c->ep->rules.v[i])) {
			CV_CHECK_ERROR(c, CV_CHECK_HERE, "remove one of them",
				"allows every tool, and rules[%zu]%s allows single ones", i,
				cv_finding_line(c->findings, " (line ", c->ep->rules.v[i].pos.line,
					")", line));
			return;
		}
}

/* clang-format off */
static const struct {
	cv_check_fn *check;
	unsigned on;
} rule_checks[] = {
	{ check_globs,          ~0u },
	{ check_ignored,        ~(ON(L4) | ON(TCP)) }, /* the endpoint's checks speak there */
	{ check_method,         ON(REST) | ON(WEBSOCKET) },
	{ check_path_start,     ON(REST) | ON(WEBSOCKET) | ON(POSTGRES) },
	{ check_path_given,     ON(REST) | ON(WEBSOCKET) },
	{ check_path_spelling,  ON(REST) | ON(WEBSOCKET) },
	{ check_command,        ON(POSTGRES) },
	{ check_operation,      ON(GRAPHQL) | ON(WEBSOCKET) },
	{ check_websocket_mix,  ON(WEBSOCKET) },
	{ check_websocket_text, ON(WEBSOCKET) },
	{ check_json_rpc,       ON(JSON_RPC) },
	{ check_mcp_method,     ON(MCP) },
	{ check_mcp_tool,       ON(MCP) },
	{ check_mcp_cover,      ON(MCP) },
};
/* clang-format on */

static void check_list(struct cv_check *c, const struct cv_policy_rules *rules, bool is_deny)
{
	c->is_deny = is_deny;
	for (size_t i = 0; i < rules->n && !cv_findings_is_full(c->findings); i++) {
		c->rule = &rules->v[i];
		c->rule_index = i;
		for (size_t k = 0; k < CV_ARRAY_LEN(rule_checks); k++)
			if (rule_checks[k].on & (1u << c->ep->protocol))
				rule_checks[k].check(c);
	}
	c->rule = NULL;
}

void cv_check_rules(struct cv_check *c)
{
	check_list(c, &c->ep->rules, false);
	check_list(c, &c->ep->deny_rules, true);
}
