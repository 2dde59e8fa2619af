/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - see exec.h
 */
#include "plan/exec.h"

#include "plan/codec.h"
#include "plan/limits.h"

#define EXEC_MAGIC 0x31785643u /* "CVx1" */

static void walk(struct cv_codec *c, struct cv_plan_exec *v)
{
	uint32_t magic = EXEC_MAGIC;

	cv_codec_u32(c, &magic);
	if (magic != EXEC_MAGIC)
		c->is_bad = true;
	cv_codec_strs(c, &v->argv, &v->argc, CV_PLAN_ARGS_MAX);
	cv_codec_strs(c, &v->env, &v->envc, CV_PLAN_EXEC_ENV_MAX);
	cv_codec_str(c, &v->cwd);
}

bool cv_plan_exec_put(struct cv_buf *b, const struct cv_plan_exec *exec)
{
	struct cv_plan_exec v = *exec;
	struct cv_codec c = { .out = b };

	walk(&c, &v);
	return !c.is_bad;
}

static cv_code check(const struct cv_plan_exec *v, struct cv_err *err)
{
	if (v->argc == 0 || v->argv[0].n == 0)
		return cv_fail(err, CV_INVALID, "no command");
	if (v->cwd.n && v->cwd.p[0] != '/')
		return cv_fail(err, CV_INVALID, "the working directory must be absolute");
	if (v->cwd.n >= CV_PLAN_PATH_MAX)
		return cv_fail(err, CV_INVALID, "the working directory's path is too long");
	for (uint32_t i = 0; i < v->envc; i++) {
		const size_t eq = cv_str_find_byte(v->env[i], '=');

		if (eq == 0 || eq == v->env[i].n)
			return cv_fail(err, CV_INVALID, "a variable must be NAME=VALUE");
	}
	return CV_OK;
}

cv_code cv_plan_exec_get(
	struct cv_str bytes, struct cv_arena *arena, struct cv_plan_exec *ret, struct cv_err *err)
{
	struct cv_codec c = { .rest = bytes, .arena = arena };
	struct cv_plan_exec v = { 0 };

	walk(&c, &v);
	if (!cv_codec_is_done(&c))
		return cv_fail(err, CV_PROTO, "not a command");
	*ret = v;
	return check(&v, err);
}

/* With the "=" behind it, so that PATH is not found in PATHEXT. */
static struct cv_str name_of(struct cv_str variable)
{
	return cv_str_slice(variable, 0, cv_str_find_byte(variable, '=') + 1);
}

static bool has_name(const struct cv_str *v, uint32_t n, struct cv_str name)
{
	for (uint32_t i = 0; i < n; i++)
		if (cv_str_has_prefix(v[i], name))
			return true;
	return false;
}

cv_code cv_plan_exec_command(const struct cv_plan_exec *exec, const struct cv_plan_command *base,
	struct cv_arena *arena, struct cv_plan_command *ret, struct cv_err *err)
{
	struct cv_plan_command v = *base;

	v.argv = exec->argv;
	v.argc = exec->argc;
	if (exec->cwd.n)
		v.cwd = exec->cwd;
	v.flags &= ~(uint32_t)CV_COMMAND_LAST;
	v.envc = 0;
	v.env = cv_arena_array(arena, (size_t)base->envc + exec->envc + 1, sizeof(v.env[0]));
	if (!v.env)
		return cv_fail(err, CV_LIMIT, "too many variables");
	for (uint32_t i = 0; i < base->envc; i++)
		if (!has_name(exec->env, exec->envc, name_of(base->env[i])))
			v.env[v.envc++] = base->env[i];
	for (uint32_t i = 0; i < exec->envc; i++)
		if (!has_name(exec->env + i + 1, exec->envc - i - 1, name_of(exec->env[i])))
			v.env[v.envc++] = exec->env[i];
	if (v.envc > CV_PLAN_ARGS_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d variables", CV_PLAN_ARGS_MAX);
	*ret = v;
	return CV_OK;
}
