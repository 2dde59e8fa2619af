/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.c - see tools.h; the part, and what a start of a sandbox is told
 */
#include "gateway/tools_int.h"

#include "cred/carry.h"
#include "driver/tools.h"
#include "gateway/box_file.h"
#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/sandbox.h"
#include "plan/plan.h"
#include "policy/findings.h"
#include "policy/policy.h"
#include "rpc/policy_pb.h"

#include <assert.h>
#include <stdlib.h>

#define ENV_MAX       64 /* CV_PLAN_COURIER_ENV_MAX */
#define ENV_VALUE_MAX 8192

/* The policy as it will be enforced, for what is said about tools. */
static cv_code policy_compile(
	const struct cv_driver_sandbox *s, struct cv_policy **ret, struct cv_err *err)
{
	const struct cv_str text = s->policy.n ? s->policy : CV_STR(CV_PLAN_NO_POLICY_TEXT);
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	cv_code code = cv_policy_load_layered(CV_STR("policy"), text, s->policy_layer, &doc, &f);
	if (code == CV_OK)
		code = cv_policy_validate(doc, &f);
	if (code != CV_OK)
		cv_findings_first(&f, err);
	cv_findings_fini(&f);
	if (code != CV_OK) {
		cv_policy_doc_free(doc);
		return code;
	}
	return cv_policy_compile(doc, ret, err); /* takes doc */
}

/* The same variables that tools of a run inherit. */
static cv_code env_fill(
	struct cv_gateway *g, struct cv_driver_tools *t, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_str *v = cv_arena_array(arena, ENV_MAX, sizeof(*v));

	if (!v)
		return cv_fail(err, CV_LIMIT, "no memory for the tools");
	for (size_t i = 0; cv_carry_env[i] && t->env_count < ENV_MAX; i++) {
		const struct cv_str value = cv_gw_env_plain(g->env, cv_carry_env[i]);

		if (value.p && value.n < ENV_VALUE_MAX)
			v[t->env_count++] = cv_arena_printf(
				arena, "%s=%.*s", cv_carry_env[i], CV_STR_ARG(value));
	}
	t->env = v;
	return CV_OK;
}

static cv_code told(struct cv_gw_box *b, const struct tools_set *set, struct cv_driver_sandbox *s,
	struct cv_driver_tools *t, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_policy *policy = NULL;
	cv_code code = policy_compile(s, &policy, err);

	if (code != CV_OK)
		return code;
	code = cv_driver_tools_map(set->catalog, arena, &t->map, err);
	if (code == CV_OK)
		code = cv_driver_tools_skill(set->catalog, policy, arena, &t->skill, err);
	if (code == CV_OK)
		code = cv_driver_tools_rows(set->catalog, policy, arena, &t->tools, err);
	t->tool_count = set->catalog->tool_count;
	t->is_late = cv_driver_tools_may_be_late(set->catalog);
	cv_policy_unref(policy);
	if (code == CV_OK)
		code = env_fill(b->g, t, arena, err);
	if (code != CV_OK)
		return cv_wrap(err, "tools");
	return CV_OK;
}

/* After the policy's part, before the one that makes the set. */
static cv_code on_prepare(struct cv_gw_box *b, struct cv_driver_sandbox *s, struct cv_arena *arena,
	struct cv_err *err)
{
	const struct tools_set *set = tools_of(b->g, b->object->scope);
	struct cv_driver_tools *t;

	s->approve_seconds = b->g->config->tools_approve_seconds;
	if (!set) {
		cv_gw_box_file_remove(b->g, CV_GW_BOX_TOKEN, b->object);
		return CV_OK;
	}
	t = cv_arena_new(arena, struct cv_driver_tools);
	struct cv_str *texts = cv_arena_array(arena, set->count + 1, sizeof(*texts)),
		      *names = cv_arena_array(arena, set->count + 1, sizeof(*names));
	if (!t || !texts || !names)
		return cv_fail(err, CV_LIMIT, "no memory for the tools");
	for (size_t i = 0; i < set->count; i++) {
		names[i] = set->names[i];
		texts[i] = cv_str_of(set->texts[i]);
	}
	t->names = names;
	t->texts = texts;
	t->count = set->count;
	t->state = cv_arena_printf(arena, "%s/sandboxes/%s/tools", b->g->state_dir, b->object->id);
	if (cv_catalog_has_slots(set->catalog))
		t->slots = cv_arena_printf(arena, "%s/tool-slots", b->g->state_dir);
	cv_code code = told(b, set, s, t, arena, err);
	if (code == CV_OK)
		code = tools_token_make(b->g, b->object, arena, &t->digest, err);
	if (code == CV_OK && arena->is_overflown)
		code = cv_fail(err, CV_LIMIT, "no memory for the tools");
	s->tools = t;
	return code;
}

static void on_deleted(struct cv_gw_box *b)
{
	cv_gw_box_file_remove(b->g, CV_GW_BOX_TOKEN, b->object);
}

static const struct cv_gw_box_hooks hooks = { .prepare = on_prepare, .deleted = on_deleted };

/* ---- the part ---- */

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	g->tools = calloc(1, sizeof(*g->tools));
	if (!g->tools)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_gw_box_hook(g, &hooks);
	return tools_load(g->config, g->tools, err);
}

static void stop(struct cv_gateway *g)
{
	if (g->tools)
		tools_unload(g->tools);
	free(g->tools);
	g->tools = NULL;
}

/* Sandboxes that run keep what they were started with. */
static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	struct cv_gw_tools next;
	struct cv_err err;

	(void)old;
	if (tools_load(g->config, &next, &err) != CV_OK) {
		/* It was good a moment ago, when the configuration was judged. */
		cv_log(CV_LOG_ERROR, "tools", CV_LOG_FIELDS({ "why", cv_str_of(err.msg) }),
			"catalogs were not reloaded");
		return;
	}
	tools_unload(g->tools);
	*g->tools = next;
}

const struct cv_gw_part cv_gw_part_tools = {
	.name = "tools",
	.start = start,
	.stop = stop,
	.reload = reload,
};
