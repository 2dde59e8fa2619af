/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_tools.c - see run_tools.h
 */
#include "cli/run_tools.h"

#include "cli/home.h"
#include "cli/run_int.h"
#include "cli/tools.h"
#include "cred/carry.h"
#include "driver/tools.h"
#include "ipc/frame.h"
#include "plan/limits.h"
#include "policy/findings.h"
#include "policy/tools.h"
#include "sys/dirs.h"
#include "sys/fd.h"
#include "tools/builtin.h"
#include "tools/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define FINDINGS_BYTES_MAX (1u << 20)

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
		code = cv_fail(err, code, "--tools %s: %zu error%s; nothing was started", path,
			findings.error_count, findings.error_count == 1 ? "" : "s");
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

/* ---- the token ---- */

static cv_code token_make(struct run_tools *t, struct run_providers *providers,
	struct cv_arena *arena, struct cv_err *err)
{
	unsigned char random[CV_COMPOSE_TOKEN_RANDOM + CV_SHAPE_SEED_BYTES];
	struct cv_buf token;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return cv_fail_errno(err, "getrandom");
	cv_buf_init(&token, 256);
	cv_code code = cv_driver_tools_token(random, &token, arena, &t->digest, err);
	if (!providers->has_set) /* a run without other providers */
		cv_cred_set_init(&providers->set);
	providers->has_set = true;
	if (code == CV_OK)
		code = cv_compose_tools(
			&providers->set, cv_buf_str(&token), random + CV_COMPOSE_TOKEN_RANDOM, err);
	explicit_bzero(random, sizeof(random));
	cv_buf_wipe(&token);
	return code;
}

cv_code run_tools_compose(struct run_tools *t, struct cv_run_request *r,
	struct run_providers *providers, const struct cv_policy *policy, struct cv_arena *arena,
	struct cv_err *err)
{
	const struct cv_cred_set *set = &providers->set;
	cv_code code = cv_driver_tools_map(t->catalog, arena, &t->map, err);

	if (code == CV_OK)
		code = cv_driver_tools_skill(t->catalog, policy, arena, &t->skill, err);
	if (code != CV_OK)
		return cv_wrap(err, "--tools");
	if (code == CV_OK)
		code = token_make(t, providers, arena, err);
	if (code == CV_OK)
		code = run_env_put(r, CV_STR(CV_CRED_TOOLS_PROVIDER), CV_STR(CV_CRED_TOOLS_KEY),
			set->creds[set->cred_count - 1].placeholder, arena, err);
	if (code == CV_OK)
		code = run_tools_grant(t->catalog, r, providers, err);
	if (code == CV_OK)
		code = cv_driver_tools_rows(t->catalog, policy, arena, &t->tools, err);
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

/* Where users have a directory of their own that is in memory, else where everybody has one; images
 * need a disk. */
static struct cv_str state_find(const struct cv_catalog *c)
{
	const char *own = getenv("XDG_RUNTIME_DIR"), *temporary = getenv("TMPDIR");
	const bool is_large = cv_driver_tools_has_builds(c);

	if (!is_large && own && *own == '/' && access(own, W_OK | X_OK) == 0)
		return cv_str_of(own);
	if (temporary && *temporary == '/' && access(temporary, W_OK | X_OK) == 0)
		return cv_str_of(temporary);
	return is_large && access("/var/tmp", W_OK | X_OK) == 0 ? CV_STR("/var/tmp")
								: CV_STR("/tmp");
}

/* Where all runs of this user count. */
static cv_code slots_find(
	const struct cv_catalog *c, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err)
{
	char dir[PATH_MAX];

	if (!cv_catalog_has_slots(c))
		return CV_OK;
	cv_code code =
		cv_home_path("XDG_STATE_HOME", ".local/state", "cove", dir, sizeof(dir), err);
	if (code == CV_OK)
		code = cv_dirs_make(dir, err);
	*ret = cv_arena_printf(arena, "%s/tool-slots", dir);
	return code == CV_OK ? CV_OK : cv_wrap(err, "--tools: host_concurrency");
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
	cv_code code = slots_find(t->catalog, arena, &files->tools_slots, err);
	if (code == CV_OK)
		code = env_list(files, arena, err);
	return code == CV_OK && arena->is_overflown ? fail_memory(err) : code;
}
