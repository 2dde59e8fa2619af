/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_tools.c - see run_tools.h
 *
 * Who will call is not known yet, so what is said of a tool here (the dry run, the skill file) is
 * what the policy's rules ask of anybody; a rule for some binaries counts as one that may apply.
 */
#include "cli/run_tools.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "cli/run_int.h"
#include "cli/tools.h"
#include "cred/carry.h"
#include "ipc/frame.h"
#include "plan/limits.h"
#include "plan/toolmap.h"
#include "policy/findings.h"
#include "policy/tools.h"
#include "sys/fd.h"
#include "tools/builtin.h"
#include "tools/discover.h"
#include "tools/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define FINDINGS_BYTES_MAX (1u << 20)
#define CONDITIONS_MAX     16

static cv_code fail_memory(struct cv_err *err)
{
	return cv_fail(err, CV_LIMIT, "no memory for the tools");
}

/* ---- the files ---- */

static void findings_print(
	const struct cv_findings *f, struct cv_str file, const struct cv_run_request *r)
{
	struct cv_buf b;

	if (!f->n || (r->spec.is_quiet && !f->error_count))
		return;
	cv_buf_init(&b, FINDINGS_BYTES_MAX);
	cv_findings_text(f, file, &b);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
}

static cv_code file_load(
	struct run_tools *t, const struct cv_run_request *r, const char *path, struct cv_err *err)
{
	const struct cv_str file = cv_str_of(path);
	struct cv_catalog *more = NULL;
	struct cv_findings findings;
	char *text;
	size_t n;
	cv_code code = cv_catalog_path_read(path, &text, &n, err);

	if (code != CV_OK)
		return cv_wrap(err, "--tools");
	cv_findings_init(&findings);
	code = cv_catalog_load(file, (struct cv_str){ text, n }, &more, &findings);
	if (code == CV_OK && t->catalog)
		code = cv_catalog_merge(t->catalog, more, &findings); /* takes it */
	else if (code == CV_OK)
		t->catalog = more;
	findings_print(&findings, file, r);
	if (code != CV_OK)
		code = cv_fail(err, code, "--tools %s: %zu errors; nothing was started", path,
			findings.error_count);
	cv_findings_fini(&findings);
	free(text);
	return code;
}

static cv_code path_keep(
	const char *path, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err)
{
	if (cv_str_has_prefix(cv_str_of(path), CV_STR(CV_BUILTIN_CATALOG_PREFIX))) {
		*ret = cv_arena_str(arena, cv_str_of(path));
		return CV_OK;
	}
	return cv_driver_path_resolve("--tools", cv_str_of(path), arena, ret, err);
}

cv_code run_tools_load(struct run_tools *t, const struct cv_run_request *r, struct cv_arena *arena,
	struct cv_err *err)
{
	char path[PATH_MAX];
	cv_code code = CV_OK;

	t->files = cv_arena_array(arena, r->tools_count + 1, sizeof(t->files[0]));
	if (!t->files)
		return fail_memory(err);
	for (size_t i = 0; i < r->tools_count && code == CV_OK; i++) {
		code = cv_catalog_word_path(r->tools_paths[i], path, err);
		if (code != CV_OK)
			return cv_wrap(err, "--tools");
		code = file_load(t, r, path, err);
		if (code == CV_OK)
			code = path_keep(path, arena, &t->files[t->count++], err);
	}
	return code;
}

void run_tools_fini(struct run_tools *t)
{
	cv_catalog_free(t->catalog);
	t->catalog = NULL;
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

/* Where nothing may be called the tools are useless, and hardly meant so. */
static void uselessness_tell(
	const struct run_tools *t, const struct cv_run_request *r, const struct cv_policy *policy)
{
	if (cv_policy_has_tools(policy) || r->spec.is_quiet)
		return;
	fprintf(stderr,
		"cove: --tools: the policy has no tools: section, so nothing may be called; "
		"this one allows all:\n\ntools:\n  all:\n    tools: [");
	for (size_t i = 0; i < t->catalog->tool_count; i++)
		fprintf(stderr, "%s%.*s", i ? ", " : "", CV_STR_ARG(t->catalog->tools[i].name));
	fprintf(stderr, "]\n\n");
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

static cv_code skill_make(struct run_tools *t, const struct cv_policy *policy,
	struct cv_arena *arena, struct cv_err *err)
{
	struct asking asking = { .policy = policy, .arena = arena };
	const struct cv_discover d = {
		.catalog = t->catalog,
		.version = CV_STR(CV_VERSION),
		.may_call = may_call,
		.arg = &asking,
	};
	struct cv_buf b;
	cv_code code = CV_OK;

	cv_buf_init(&b, CV_PLAN_STRING_MAX);
	if (!cv_discover_write(&d, CV_DISCOVER_SKILL, &b)) /* GET / has the same, and room */
		code = cv_fail(err, CV_LIMIT,
			"--tools: what the skill file says of the tools takes more than %d bytes",
			CV_PLAN_STRING_MAX);
	else
		t->skill = cv_arena_str(arena, cv_buf_str(&b));
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

static cv_code map_make(struct run_tools *t, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_toolmap map;
	struct cv_buf b;
	cv_code code;

	cv_buf_init(&b, CV_PLAN_STRING_MAX);
	code = map_put(t->catalog, &b) ? CV_OK
				       : cv_fail(err, CV_LIMIT,
						 "--tools: too many tools, or routes "
						 "that are too long");
	if (code == CV_OK)
		code = cv_toolmap_load(cv_buf_str(&b), &map, err); /* as the proxy will */
	if (code == CV_OK) {
		cv_toolmap_fini(&map);
		t->map = cv_arena_str(arena, cv_buf_str(&b));
	}
	cv_buf_fini(&b);
	return code;
}

/* ---- the token ---- */

static cv_code token_make(struct run_tools *t, struct run_providers *providers,
	struct cv_arena *arena, struct cv_err *err)
{
	unsigned char random[CV_COMPOSE_TOKEN_RANDOM + CV_SHAPE_SEED_BYTES],
		digest[CV_SHA256_BYTES];
	struct cv_sha256 sha;
	struct cv_buf token, hex;
	cv_code code = CV_OK;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return cv_fail_errno(err, "getrandom");
	cv_buf_init(&token, 256);
	cv_buf_init(&hex, 256);
	if (!cv_compose_tools_token(random, &token))
		code = fail_memory(err);
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, cv_buf_str(&token).p, cv_buf_len(&token));
	cv_sha256_final(&sha, digest);
	if (!cv_buf_put_hex(&hex, (struct cv_str){ (const char *)digest, sizeof(digest) }))
		code = fail_memory(err);
	t->digest = cv_arena_str(arena, cv_buf_str(&hex));
	if (!providers->has_set) /* a run without other providers */
		cv_cred_set_init(&providers->set);
	providers->has_set = true;
	if (code == CV_OK)
		code = cv_compose_tools(
			&providers->set, cv_buf_str(&token), random + CV_COMPOSE_TOKEN_RANDOM, err);
	explicit_bzero(random, sizeof(random));
	cv_buf_wipe(&token);
	cv_buf_fini(&hex);
	return code;
}

cv_code run_tools_compose(struct run_tools *t, struct cv_run_request *r,
	struct run_providers *providers, const struct cv_policy *policy, struct cv_arena *arena,
	struct cv_err *err)
{
	const struct cv_cred_set *set = &providers->set;
	cv_code code = map_make(t, arena, err);

	if (code == CV_OK)
		code = skill_make(t, policy, arena, err);
	if (code == CV_OK)
		code = token_make(t, providers, arena, err);
	if (code == CV_OK)
		code = run_env_put(r, CV_STR(CV_CRED_TOOLS_PROVIDER), CV_STR(CV_CRED_TOOLS_KEY),
			set->creds[set->cred_count - 1].placeholder, arena, err);
	if (code == CV_OK)
		code = run_tools_grant(t->catalog, r, providers, err);
	t->tools = cv_arena_array(arena, t->catalog->tool_count + 1, sizeof(t->tools[0]));
	if (code == CV_OK && !t->tools)
		code = fail_memory(err);
	for (size_t i = 0; code == CV_OK && i < t->catalog->tool_count; i++)
		t->tools[i] = (struct cv_plan_tool){
			.name = cv_arena_str(arena, t->catalog->tools[i].name),
			.asks = asks_of(policy, &t->catalog->tools[i], arena),
		};
	if (code == CV_OK)
		uselessness_tell(t, r, policy);
	r->spec.has_network = true; /* the route is one, and its token is the keeper's */
	return code;
}

/* ---- the plan ---- */

/* The same as commands that renew get: what programs need to find their own files. */
static cv_code env_list(struct cv_plan_files *files, struct cv_arena *arena, struct cv_err *err)
{
	files->tools_env =
		cv_arena_array(arena, CV_PLAN_COURIER_ENV_MAX, sizeof(files->tools_env[0]));
	if (!files->tools_env)
		return fail_memory(err);
	for (size_t i = 0; cv_carry_env[i]; i++) {
		const char *value = getenv(cv_carry_env[i]);

		if (value && strlen(value) < RUN_COURIER_ENV_BYTES_MAX &&
			files->tools_env_count < CV_PLAN_COURIER_ENV_MAX)
			files->tools_env[files->tools_env_count++] =
				cv_arena_printf(arena, "%s=%s", cv_carry_env[i], value);
	}
	return CV_OK;
}

static bool has_builds(const struct cv_catalog *c)
{
	for (size_t i = 0; i < c->tool_count; i++)
		if (c->tools[i].backend == CV_TOOL_BUILD)
			return true;
	return false;
}

/* Where users have a directory of their own that is in memory, else where everybody has one; images
 * need a disk. */
static struct cv_str state_find(const struct cv_catalog *c)
{
	const char *own = getenv("XDG_RUNTIME_DIR"), *temporary = getenv("TMPDIR");
	const bool is_large = has_builds(c);

	if (!is_large && own && *own == '/' && access(own, W_OK | X_OK) == 0)
		return cv_str_of(own);
	if (temporary && *temporary == '/' && access(temporary, W_OK | X_OK) == 0)
		return cv_str_of(temporary);
	return is_large && access("/var/tmp", W_OK | X_OK) == 0 ? CV_STR("/var/tmp")
								: CV_STR("/tmp");
}

cv_code run_tools_list(const struct run_tools *t, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err)
{
	if (!t->count)
		return CV_OK;
	files->tools_files = t->files;
	files->tools_count = t->count;
	files->tools = t->tools;
	files->tool_count = t->catalog->tool_count;
	files->tools_map = t->map;
	files->tools_digest = t->digest;
	files->tools_state = state_find(t->catalog);
	files->tools_skill = t->skill;
	const cv_code code = env_list(files, arena, err);
	return code == CV_OK && arena->is_overflown ? fail_memory(err) : code;
}
