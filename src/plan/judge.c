/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.c - what of a spec can't be built; see judge.h
 */
#include "plan/judge.h"

#include "plan/limits.h"
#include "plan/plan.h"

bool cv_plan_path_is_beneath(struct cv_str path, struct cv_str dir)
{
	if (cv_str_eq(dir, CV_STR("/")))
		return true;
	return cv_str_has_prefix(path, dir) && (path.n == dir.n || path.p[dir.n] == '/');
}

static cv_code path_check(const char *what, struct cv_str path, struct cv_err *err)
{
	struct cv_str rest = path;

	if (path.n == 0 || path.p[0] != '/')
		return cv_fail(err, CV_INVALID, "%s must be an absolute path, got '%.*s'", what,
			CV_STR_ARG(path));
	if (path.n >= CV_PLAN_PATH_MAX)
		return cv_fail(
			err, CV_LIMIT, "%s is longer than %d bytes", what, CV_PLAN_PATH_MAX - 1);
	if (cv_str_has_byte(path, '\0'))
		return cv_fail(err, CV_INVALID, "%s holds a NUL byte", what);
	while (rest.p)
		if (cv_str_eq(cv_str_cut(&rest, '/'), CV_STR("..")))
			return cv_fail(err, CV_INVALID, "%s must not hold '..': %.*s", what,
				CV_STR_ARG(path));
	return CV_OK;
}

/* A user's directory must not lie over what keeps the sandbox together. */
static cv_code dst_check(const char *what, struct cv_str path, struct cv_err *err)
{
	static const char *const trees[] = { "/proc", "/dev", "/sys", "/var/log",
		"/etc/openshell-tls" };
	static const char *const exact[] = { "/", "/usr", "/etc", "/var", "/bin", "/sbin", "/lib",
		"/lib64", "/run" };
	const cv_code code = path_check(what, path, err);

	if (code != CV_OK)
		return code;
	for (size_t i = 0; i < CV_ARRAY_LEN(trees); i++)
		if (cv_plan_path_is_beneath(path, cv_str_of(trees[i])))
			return cv_fail(err, CV_INVALID,
				"%s can't be %.*s: %s belongs to the sandbox", what,
				CV_STR_ARG(path), trees[i]);
	for (size_t i = 0; i < CV_ARRAY_LEN(exact); i++)
		if (cv_str_eq(path, cv_str_of(exact[i])))
			return cv_fail(err, CV_INVALID,
				"%s can't be %s: choose a directory below it or elsewhere", what,
				exact[i]);
	return CV_OK;
}

/* Whoever may write here on the host (root) would hand over the machine. */
static cv_code workdir_check(struct cv_str path, struct cv_err *err)
{
	static const char *const trees[] = { "/usr", "/etc", "/boot", "/lib/modules", "/var/lib" };
	const cv_code code = dst_check("the working directory", path, err);

	if (code != CV_OK)
		return code;
	for (size_t i = 0; i < CV_ARRAY_LEN(trees); i++)
		if (cv_plan_path_is_beneath(path, cv_str_of(trees[i])))
			return cv_fail(err, CV_INVALID,
				"the working directory can't be %.*s: %s is the system's own, and it "
				"would be writable; choose another with --workdir",
				CV_STR_ARG(path), trees[i]);
	return CV_OK;
}

/* The same files at a second place would be there without their protection. */
static cv_code overlap_check(
	const struct cv_run_spec *s, const struct cv_spec_mount *m, struct cv_err *err)
{
	if (m->is_readonly || !s->include_workdir || !s->has_workdir_protection ||
		(!cv_plan_path_is_beneath(m->src, s->workdir) &&
			!cv_plan_path_is_beneath(s->workdir, m->src)))
		return CV_OK;
	return cv_fail(err, CV_INVALID,
		"--mount %.*s: overlaps the working directory, whose .git/hooks and the like would "
		"be writable there; append :ro, or lift the protection with --no-protect",
		CV_STR_ARG(m->src));
}

cv_code cv_plan_id_parse(const char *what, struct cv_str text, uint32_t *ret, struct cv_err *err)
{
	uint64_t id = CV_PLAN_UID_DEFAULT;

	if (text.n && !cv_str_eq(text, CV_STR("sandbox")) &&
		(!cv_str_to_u64(text, UINT32_MAX - 1, &id) || id == 0))
		return cv_fail(err, CV_INVALID,
			"%s must be 'sandbox' or a numeric UID/GID in range [1, 4294967294], "
			"got '%.*s'",
			what, CV_STR_ARG(text));
	*ret = (uint32_t)id;
	return CV_OK;
}

/* The command line and the environment. */
static cv_code words_check(const struct cv_run_spec *s, bool has_main, struct cv_err *err)
{
	cv_code code = CV_OK;

	if (!has_main)
		code = s->argv_count ? cv_fail(err, CV_INVALID,
					       "a sandbox without a main command has none")
				     : CV_OK;
	else if (s->argv_count == 0 || s->argv[0].n == 0)
		return cv_fail(err, CV_INVALID, "no command; write it after --");
	if (s->argv_count > CV_PLAN_ARGS_MAX ||
		s->env_count > CV_PLAN_ARGS_MAX - CV_PLAN_ENV_OWN_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d arguments or variables",
			CV_PLAN_ARGS_MAX - CV_PLAN_ENV_OWN_MAX);
	for (size_t i = 0; code == CV_OK && i < s->argv_count; i++)
		if (s->argv[i].n >= CV_PLAN_STRING_MAX)
			code = cv_fail(err, CV_LIMIT, "argument %zu is longer than %d bytes", i,
				CV_PLAN_STRING_MAX - 1);
	for (size_t i = 0; code == CV_OK && i < s->env_count; i++) {
		const size_t eq = cv_str_find_byte(s->env[i], '=');
		if (eq == 0 || eq == s->env[i].n || s->env[i].n >= CV_PLAN_STRING_MAX)
			code = cv_fail(err, CV_INVALID, "a variable must be NAME=VALUE, got '%.*s'",
				(int)CV_MIN(s->env[i].n, (size_t)80), s->env[i].p);
	}
	return code;
}

/* It would hide the working directory, or show it without what it was given. */
static cv_code cover_check(
	const struct cv_run_spec *s, const struct cv_spec_mount *m, struct cv_err *err)
{
	if (!s->include_workdir || cv_str_eq(m->dst, s->workdir) ||
		!cv_plan_path_is_beneath(s->workdir, m->dst))
		return CV_OK;
	return cv_fail(err, CV_INVALID,
		"--mount to %.*s: it would lie over the working directory %.*s; choose another target",
		CV_STR_ARG(m->dst), CV_STR_ARG(s->workdir));
}

static cv_code mounts_check(const struct cv_run_spec *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; code == CV_OK && i < s->mount_count; i++) {
		code = path_check("a mount's source", s->mounts[i].src, err);
		if (code == CV_OK)
			code = dst_check("a mount's target", s->mounts[i].dst, err);
		if (code == CV_OK)
			code = overlap_check(s, &s->mounts[i], err);
		if (code == CV_OK)
			code = cover_check(s, &s->mounts[i], err);
	}
	return code;
}

static cv_code paths_check(const struct cv_run_spec *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; code == CV_OK && i < s->path_count; i++) {
		code = path_check("a path of filesystem_policy", s->paths[i].path, err);
		if (code == CV_OK && s->paths[i].kind == CV_PATH_ABSENT &&
			s->rootfs == CV_ROOTFS_HOST && s->landlock == CV_LANDLOCK_HARD_REQUIREMENT)
			code = cv_fail(err, CV_UNAVAILABLE,
				"filesystem_policy names %.*s, which is not here; make it, or use "
				"landlock.compatibility: best_effort",
				CV_STR_ARG(s->paths[i].path));
	}
	return code;
}

cv_code cv_plan_spec_judge(const struct cv_run_spec *s, bool has_main, struct cv_err *err)
{
	cv_code code = words_check(s, has_main, err);

	if (code == CV_OK && s->include_workdir)
		code = workdir_check(s->workdir, err);
	if (code == CV_OK)
		code = mounts_check(s, err);
	if (code == CV_OK)
		code = paths_check(s, err);
	if (code == CV_OK && s->interception == CV_INTERCEPTION_ANYIP &&
		s->port_count > CV_PLAN_PORTS_MAX)
		code = cv_fail(err, CV_LIMIT,
			"the policy names port %u, and with --interception anyip no more than %d of "
			"its ports can be listened on; name fewer, or use another interception",
			s->ports[CV_PLAN_PORTS_MAX], CV_PLAN_PORTS_MAX);
	if (code == CV_OK && s->has_ids && !s->is_nested)
		code = cv_fail(err, CV_INVALID, "--nested-ids is for --nested alone; add it");
	if (code == CV_OK && s->is_nested && s->landlock == CV_LANDLOCK_HARD_REQUIREMENT)
		code = cv_fail(err, CV_INVALID,
			"--nested needs a sandbox without file rules of Landlock, and the policy says "
			"landlock.compatibility: hard_requirement; give up one of them");
	if (code == CV_OK && s->rootfs == CV_ROOTFS_DIR)
		code = path_check("--from", s->rootfs_dir, err);
	/* the kernel would find the sandbox's own layers below it: overlayfs says EINVAL */
	if (code == CV_OK && s->rootfs == CV_ROOTFS_DIR && cv_str_eq(s->rootfs_dir, CV_STR("/")))
		code = cv_fail(err, CV_INVALID,
			"--from can't be /: choose a directory below it, or --from host for this "
			"host's own files");
	return code;
}
