/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.c - see tools.h
 */
#include "driver/tools.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "cred/compose.h"
#include "plan/limits.h"
#include "plan/toolmap.h"
#include "policy/tools.h"
#include "tools/discover.h"
#include "tools/limits.h"

#define CONDITIONS_MAX 16

static cv_code fail_memory(struct cv_err *err)
{
	return cv_fail(err, CV_LIMIT, "no memory for the tools");
}

/* ---- what the policy says ---- */

static struct cv_tool_facts facts_of(const struct cv_tool *tool)
{
	return (struct cv_tool_facts){ .tool = tool->name };
}

static struct cv_str asks_of(
	const struct cv_policy *policy, const struct cv_tool *tool, struct cv_arena *arena)
{
	const struct cv_tool_facts facts = facts_of(tool);
	const struct cv_tool_verdict v = cv_policy_decide_tool(policy, &facts);
	struct cv_str row[CONDITIONS_MAX], s = CV_STR("allowed");

	if (v.reason == CV_REASON_NO_TOOL)
		return CV_STR("denied");
	if (v.action != CV_ACTION_ALLOW)
		return CV_STR("allowed to some programs");
	const size_t n = cv_policy_tool_conditions(policy, &facts, row, CONDITIONS_MAX, arena);
	for (size_t i = 0; i < n; i++)
		s = cv_arena_printf(arena, "%.*s %s %.*s", CV_STR_ARG(s), i ? "or" : "where",
			CV_STR_ARG(row[i]));
	return s;
}

cv_code cv_driver_tools_rows(const struct cv_catalog *c, const struct cv_policy *policy,
	struct cv_arena *arena, struct cv_plan_tool **ret, struct cv_err *err)
{
	*ret = cv_arena_array(arena, c->tool_count + 1, sizeof(**ret));
	if (!*ret)
		return fail_memory(err);
	for (size_t i = 0; i < c->tool_count; i++)
		(*ret)[i] = (struct cv_plan_tool){
			.name = cv_arena_str(arena, c->tools[i].name),
			.asks = asks_of(policy, &c->tools[i], arena),
		};
	return CV_OK;
}

/* ---- for an agent ---- */

struct asking {
	const struct cv_policy *policy;
	struct cv_arena *arena;
	struct cv_str row[CONDITIONS_MAX];
};

/* Some rule names the tool; for whom is not known yet. */
static bool may_call(void *arg, const struct cv_tool *tool, struct cv_discover_conditions *ret)
{
	struct asking *a = arg;
	const struct cv_tool_facts facts = facts_of(tool);

	if (cv_policy_decide_tool(a->policy, &facts).reason == CV_REASON_NO_TOOL)
		return false;
	ret->v = a->row;
	ret->n = cv_policy_tool_conditions(a->policy, &facts, a->row, CONDITIONS_MAX, a->arena);
	return true;
}

cv_code cv_driver_tools_skill(const struct cv_catalog *c, const struct cv_policy *policy,
	struct cv_arena *arena, struct cv_str *ret, struct cv_err *err)
{
	struct asking asking = { .policy = policy, .arena = arena };
	const struct cv_discover d = {
		.catalog = c,
		.version = CV_STR(CV_VERSION),
		.may_call = may_call,
		.arg = &asking,
	};
	struct cv_buf b;
	cv_code code = CV_OK;

	cv_buf_init(&b, CV_PLAN_STRING_MAX);
	if (!cv_discover_write(&d, CV_DISCOVER_SKILL, &b)) /* GET / has the same, and room */
		code = cv_fail(err, CV_LIMIT,
			"what the skill file says of the tools takes more than %d bytes",
			CV_PLAN_STRING_MAX);
	else
		*ret = cv_arena_str(arena, cv_buf_str(&b));
	cv_buf_fini(&b);
	return code;
}

/* ---- for the proxy ---- */

static bool type_has(const struct cv_value *property, const char *word)
{
	const struct cv_value *type = cv_value_get(property, CV_STR("type"));

	if (type && type->type == CV_VALUE_STRING)
		return cv_str_eq(type->s, cv_str_of(word));
	for (uint32_t i = 0; type && type->type == CV_VALUE_ARRAY && i < type->n; i++)
		if (type->v[i].type == CV_VALUE_STRING && cv_str_eq(type->v[i].s, cv_str_of(word)))
			return true;
	return false;
}

/* A place of a route, with what its text may be beside a string. */
static void place_put(struct cv_buf *b, const struct cv_tool *tool, struct cv_str place)
{
	const struct cv_value *properties = cv_value_get(tool->input, CV_STR("properties"));
	const struct cv_value *property = cv_value_get(properties, place);

	cv_buf_put_byte(b, '{');
	cv_buf_put(b, place);
	if (type_has(property, "string"))
		cv_buf_put(b, CV_STR_NONE);
	else if (type_has(property, "integer") || type_has(property, "number"))
		cv_buf_put(b, CV_STR(":number"));
	else if (type_has(property, "boolean"))
		cv_buf_put(b, CV_STR(":boolean"));
	cv_buf_put_byte(b, '}');
}

static void route_put(struct cv_buf *b, const struct cv_tool *tool)
{
	struct cv_str rest = tool->route;

	while (rest.n) {
		const size_t open = cv_str_find_byte(rest, '{');
		const struct cv_str tail = cv_str_slice(rest, open + 1, rest.n);
		const size_t close = cv_str_find_byte(tail, '}');

		cv_buf_put(b, cv_str_slice(rest, 0, open));
		if (open == rest.n)
			return;
		place_put(b, tool, cv_str_slice(tail, 0, close));
		rest = cv_str_slice(tail, close + 1, tail.n);
	}
}

static bool map_put(const struct cv_catalog *c, struct cv_buf *b)
{
	struct cv_buf route;

	cv_buf_init(&route, CV_TOOLMAP_ROUTE_BYTES_MAX);
	for (size_t i = 0; i < c->tool_count; i++) {
		cv_buf_reset(&route);
		route_put(&route, &c->tools[i]);
		cv_toolmap_put(b, c->tools[i].name, c->tools[i].method, cv_buf_str(&route));
	}
	for (size_t i = 0; i < c->mcp_count; i++) { /* its tools are known when it has been asked */
		cv_buf_put(b, c->mcps[i].prefix);
		cv_buf_put(b, CV_STR("*\n"));
	}
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].is_exposed)
			cv_toolmap_put_port(b, c->servers[i].port);
	const bool is_good = !b->is_overflown && !route.is_overflown;
	cv_buf_fini(&route);
	return is_good;
}

cv_code cv_driver_tools_map(
	const struct cv_catalog *c, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err)
{
	struct cv_toolmap map;
	struct cv_buf b;
	cv_code code;

	cv_buf_init(&b, CV_PLAN_STRING_MAX);
	code = map_put(c, &b) ? CV_OK
			      : cv_fail(err, CV_LIMIT,
					"too many tools, or routes "
					"that are too long");
	if (code == CV_OK)
		code = cv_toolmap_load(cv_buf_str(&b), &map, err); /* as the proxy will */
	if (code == CV_OK) {
		cv_toolmap_fini(&map);
		*ret = cv_arena_str(arena, cv_buf_str(&b));
	}
	cv_buf_fini(&b);
	return code;
}

/* ---- the token ---- */

cv_code cv_driver_tools_token(const unsigned char *random, struct cv_buf *token,
	struct cv_arena *arena, struct cv_str *ret_digest, struct cv_err *err)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 sha;
	struct cv_buf hex;

	cv_buf_init(&hex, 256);
	bool is_good = cv_compose_tools_token(random, token);
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, cv_buf_str(token).p, cv_buf_len(token));
	cv_sha256_final(&sha, digest);
	is_good = cv_buf_put_hex(&hex, (struct cv_str){ (const char *)digest, sizeof(digest) }) &&
		  is_good;
	*ret_digest = cv_arena_str(arena, cv_buf_str(&hex));
	cv_buf_fini(&hex);
	return is_good && ret_digest->p ? CV_OK : fail_memory(err);
}

bool cv_driver_tools_may_be_late(const struct cv_catalog *c)
{
	if (c->server_count || c->mcp_count)
		return false;
	for (size_t i = 0; i < c->tool_count; i++) {
		const struct cv_tool *t = &c->tools[i];

		if (t->backend == CV_TOOL_BUILD ||
			(t->command && (t->command->is_sandboxed || t->command->user.n)))
			return false;
	}
	return true;
}

bool cv_driver_tools_has_builds(const struct cv_catalog *c)
{
	for (size_t i = 0; i < c->tool_count; i++)
		if (c->tools[i].backend == CV_TOOL_BUILD)
			return true;
	return false;
}
