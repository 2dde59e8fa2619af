/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - a command to bytes and back
 */
#include "plan/command.h"

#include "plan/codec.h"
#include "plan/limits.h"

#define ACCESS_NAME(name, text) text,
static const char *const access_name[] = { CV_ACCESSES(ACCESS_NAME) };
#undef ACCESS_NAME

const char *cv_access_kind_name(uint32_t kind)
{
	return kind < CV_ACCESS_KIND_COUNT ? access_name[kind] : "?";
}

#define RLIMITS_MAX 16 /* the kernel's RLIM_NLIMITS */

static void walk(struct cv_codec *c, struct cv_plan_command *v)
{
	cv_codec_strs(c, &v->argv, &v->argc, CV_PLAN_ARGS_MAX);
	cv_codec_strs(c, &v->env, &v->envc, CV_PLAN_ARGS_MAX);
	cv_codec_str(c, &v->cwd);
	cv_codec_u32(c, &v->flags);
	v->rules =
		cv_codec_array(c, v->rules, &v->rule_count, CV_PLAN_RULES_MAX, sizeof(v->rules[0]));
	for (uint32_t i = 0; i < v->rule_count; i++) {
		cv_codec_str(c, &v->rules[i].path);
		cv_codec_u32(c, &v->rules[i].access);
		if (v->rules[i].access >= CV_ACCESS_KIND_COUNT)
			c->is_bad = true;
	}
	v->rlimits =
		cv_codec_array(c, v->rlimits, &v->rlimit_count, RLIMITS_MAX, sizeof(v->rlimits[0]));
	for (uint32_t i = 0; i < v->rlimit_count; i++) {
		cv_codec_u32(c, &v->rlimits[i].resource);
		cv_codec_u64(c, &v->rlimits[i].soft);
		cv_codec_u64(c, &v->rlimits[i].hard);
	}
}

bool cv_plan_command_put(struct cv_buf *b, const struct cv_plan_command *command)
{
	struct cv_plan_command v = *command; /* the walk may store what it reads */
	struct cv_codec c = { .out = b };

	walk(&c, &v);
	return !c.is_bad;
}

cv_code cv_plan_command_get(struct cv_str bytes, struct cv_arena *arena,
	struct cv_plan_command *ret, struct cv_err *err)
{
	struct cv_codec c = { .rest = bytes, .arena = arena };
	struct cv_plan_command v = { 0 };

	walk(&c, &v);
	if (!cv_codec_is_done(&c))
		return cv_fail(err, CV_PROTO, "not a command");
	*ret = v;
	return CV_OK;
}
