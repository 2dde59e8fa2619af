/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - see run.h
 *
 * Everything that can be wrong is found here, before the first process starts.  Then the plan
 * travels in a sealed memfd as descriptor 3, and this process becomes the supervisor, which gets
 * no arguments and an empty environment: signals, the terminal and the exit status need nobody in
 * between.
 */
#include "cli/approve.h"
#include "cli/run_int.h"

#include "ipc/frame.h"
#include "plan/budget.h"
#include "plan/limits.h"
#include "plan/routes.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define RUN_CA_BYTES_MAX (8u << 20) /* Debian's whole bundle is 220 KB */

#define RUN_ARENA_MAX    (16u << 20) /* argv and env of the largest plan, as arrays */

/* Which of its user is at the terminal, and where `cove approve` looks. */
static cv_code people_fill(struct cv_plan_files *files, struct cv_arena *arena, struct cv_err *err)
{
	static char dirs[APPROVE_DIRS][PATH_MAX]; /* scratch */

	approve_dirs(dirs);
	files->approve_dir = cv_arena_str(arena, cv_str_of(dirs[0]));
	files->has_terminal = isatty(0) && isatty(1);
	return files->approve_dir.p ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
}

/* One id exists in the sandbox: files of any other owner could be read by mode, but neither
 * changed nor, at the root, replaced. */
static cv_code image_check(struct cv_str dir, struct cv_err *err)
{
	struct stat st;

	if (cv_str_eq(dir, CV_STR("/")))
		return CV_OK; /* whoever owns it: the plan's judge says why not */
	if (stat(dir.p, &st) < 0)
		return cv_fail_errno(err, "--from %.*s", CV_STR_ARG(dir));
	if (!S_ISDIR(st.st_mode))
		return cv_fail(err, CV_INVALID, "--from %.*s: not a directory", CV_STR_ARG(dir));
	if (st.st_uid != geteuid() || st.st_gid != getegid())
		return cv_fail(err, CV_UNAVAILABLE,
			"--from %.*s: belongs to %u:%u, and only your own %u:%u can be mapped; "
			"unpack the image as yourself",
			CV_STR_ARG(dir), st.st_uid, st.st_gid, geteuid(), getegid());
	return CV_OK;
}

/* What the kernel answers in these is the host's, whatever the namespace: with /proc a sandbox that
 * root started would set the host's core_pattern.  The sandbox has its own where it may. */
static cv_code mount_source_check(struct cv_str src, struct cv_err *err)
{
	static const unsigned long kernels_own[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,
		CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,
		SECURITYFS_MAGIC, BPF_FS_MAGIC, EFIVARFS_MAGIC, BINFMTFS_MAGIC };
	struct statfs fs;

	if (cv_str_eq(src, CV_STR("/"))) /* the kernel's own are below it */
		return cv_fail(err, CV_INVALID,
			"mount /: that is all of the host; name the directories that are needed");
	if (statfs(src.p, &fs) < 0)
		return cv_fail_errno(err, "mount %s", src.p);
	for (size_t i = 0; i < CV_ARRAY_LEN(kernels_own); i++)
		if ((unsigned long)fs.f_type == kernels_own[i])
			return cv_fail(err, CV_INVALID,
				"mount %s: this is the host kernel's own; leave it out", src.p);
	return CV_OK;
}

static cv_code paths_resolve(struct cv_run_request *r, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_run_spec *s = &r->spec;
	const struct cv_str workdir = s->workdir.n ? s->workdir : CV_STR(".");
	cv_code code = CV_OK;

	/* A policy may keep the working directory out; then it need not be mountable. */
	if (s->include_workdir)
		code = cv_driver_path_resolve(
			"working directory", workdir, arena, &s->workdir, err);
	if (code == CV_OK && s->include_workdir && cv_driver_path_kind(s->workdir.p) != CV_PATH_DIR)
		return cv_fail(err, CV_INVALID, "working directory %.*s: not a directory",
			CV_STR_ARG(s->workdir));
	if (code == CV_OK && s->rootfs == CV_ROOTFS_DIR)
		code = cv_driver_path_resolve("--from", s->rootfs_dir, arena, &s->rootfs_dir, err);
	if (code == CV_OK && s->rootfs == CV_ROOTFS_DIR)
		code = image_check(s->rootfs_dir, err);
	for (size_t i = 0; code == CV_OK && i < s->mount_count; i++) {
		code = cv_driver_path_resolve(
			"mount", r->mounts[i].src, arena, &r->mounts[i].src, err);
		if (code == CV_OK)
			code = mount_source_check(r->mounts[i].src, err);
	}
	return code;
}

/* A file that does not exist yet is named by its directory, which does. */
static cv_code audit_resolve(
	const char *path, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err)
{
	CV_AUTO_FD int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);

	if (fd < 0)
		return cv_fail_errno(err, "--audit %s", path);
	return cv_driver_path_resolve("--audit", cv_str_of(path), arena, ret, err);
}

/* A file without a certificate would be trusted for nothing, and nobody would notice. */
static cv_code ca_check(const char *path, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	size_t n;

	if (fd < 0)
		return cv_fail_errno(err, "--ca %s", path);
	if (cv_ipc_fd_read_all(fd, RUN_CA_BYTES_MAX, &text, &n, err) != CV_OK)
		return cv_wrap(err, "--ca %s", path);
	const bool has_one = strstr(text, "-----BEGIN CERTIFICATE-----") != NULL;
	free(text);
	return has_one ? CV_OK
		       : cv_fail(err, CV_INVALID, "--ca %s: holds no certificate in PEM form",
				 path);
}

/* Read and judged here, so that nothing starts with routes that the proxy could not read; and a
 * budget for a route that is not there would bound nothing. */
static cv_code routes_check(
	const struct cv_run_request *r, struct cv_routes *routes, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(r->routes_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	size_t n;

	if (fd < 0)
		return cv_fail_errno(err, "--inference %s", r->routes_path);
	cv_code code = cv_ipc_fd_read_all(fd, CV_ROUTES_FILE_BYTES_MAX + 1, &text, &n, err);
	if (code == CV_OK)
		code = cv_routes_load((struct cv_str){ text, n }, routes, err);
	free(text);
	return code == CV_OK ? code : cv_wrap(err, "--inference %s", r->routes_path);
}

static cv_code budgets_check(
	const struct cv_run_request *r, const struct cv_routes *routes, struct cv_err *err)
{
	for (size_t i = 0; i < r->budget_count; i++) {
		struct cv_budget_rule rule;
		bool is_there = false;

		if (cv_budget_parse(r->budgets[i], &rule, err) != CV_OK)
			return err->code;
		for (size_t k = 0; k < routes->n; k++)
			is_there |= cv_str_eq(cv_str_of(rule.route), routes->v[k].name);
		if (rule.scope == CV_BUDGET_ROUTE && !is_there)
			return cv_fail(err, CV_INVALID, "--budget %.*s: there is no such route",
				CV_STR_ARG(r->budgets[i]));
		if (!r->routes_path && !r->spec.is_quiet &&
			(rule.unit == CV_BUDGET_TOKENS || rule.unit == CV_BUDGET_USD))
			fprintf(stderr,
				"cove: --budget %.*s: %s are counted in calls of "
				"https://inference.local, which this run does not have; add --inference\n",
				CV_STR_ARG(r->budgets[i]), cv_budget_unit_word(rule.unit));
	}
	return CV_OK;
}

static cv_code inference_resolve(struct cv_run_request *r, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_routes *routes = cv_arena_new(arena, struct cv_routes);
	cv_code code = CV_OK;

	if (!routes)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_routes_init(routes);
	if (r->routes_path) {
		code = routes_check(r, routes, err);
		if (code == CV_OK)
			code = cv_driver_path_resolve("--inference", cv_str_of(r->routes_path),
				arena, &files->routes_file, err);
		r->spec.has_network = true; /* inference.local is one, and its TLS is ours */
	}
	if (code == CV_OK)
		code = budgets_check(r, routes, err);
	files->budgets = r->budgets;
	files->budget_count = r->budget_count;
	cv_routes_fini(routes);
	return code;
}

static cv_code files_resolve(struct cv_run_request *r, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_str *cas = cv_arena_array(arena, r->ca_count + 1, sizeof(*cas));
	cv_code code = CV_OK;

	if (!cas)
		return cv_fail(err, CV_LIMIT, "no memory");
	files->ca_files = cas;
	for (size_t i = 0; code == CV_OK && i < r->ca_count; i++) {
		code = cv_driver_path_resolve(
			"--ca", cv_str_of(r->ca_paths[i]), arena, &cas[files->ca_count++], err);
		if (code == CV_OK)
			code = ca_check(r->ca_paths[i], err);
	}
	if (r->provider_count)
		files->policy_name = CV_STR(CV_PLAN_NO_POLICY_NAME);
	if (code == CV_OK && r->policy_path) {
		files->policy_name = cv_str_of(r->policy_path);
		code = cv_driver_path_resolve(
			"policy", files->policy_name, arena, &files->policy_file, err);
	}
	if (code == CV_OK && r->audit_path && !r->is_dry_run)
		code = audit_resolve(r->audit_path, arena, &files->audit_file, err);
	return code;
}

static cv_code print(const struct cv_run_request *r, const struct cv_plan *plan, struct cv_err *err)
{
	struct cv_buf out;
	cv_code code = CV_OK;

	cv_buf_init(&out, 2 * CV_PLAN_BYTES_MAX);
	if (r->output == CV_OUTPUT_JSON)
		cv_plan_json(plan, &out);
	else
		cv_plan_text(plan, &out);
	if (out.is_overflown)
		code = cv_fail(err, CV_LIMIT, "the plan is too long to print");
	else if (fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), stdout) != cv_buf_len(&out) ||
		 fflush(stdout) != 0)
		code = cv_fail_errno(err, "print the plan");
	cv_buf_fini(&out);
	return code;
}

/* Numbers 0 to 2 exist, so that no descriptor of ours can be mistaken for standard output. */
static cv_code stdio_ensure(struct cv_err *err)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return cv_fail_errno(err, "open /dev/null");
	close(fd);
	return CV_OK;
}

/* What of the providers is no secret, for the plan. */
static cv_code providers_list(const struct run_providers *p, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_plan_provider *v = cv_arena_array(arena, p->count + 1, sizeof(*v));

	for (size_t i = 0; v && i < p->count; i++) {
		const struct cv_attached *a = &p->attached[i];

		v[i] = (struct cv_plan_provider){ .name = a->name, .type = a->profile->id.s };
		v[i].keys = cv_arena_array(arena, a->key_count + 1, sizeof(v[i].keys[0]));
		for (size_t k = 0; v[i].keys && k < a->key_count; k++)
			v[i].keys[v[i].key_count++] = a->keys[k].key;
	}
	files->providers = v;
	files->provider_count = p->count;
	files->policy_layer = run_providers_layer(p);
	files->metadata = p->facts;
	files->metadata_count = p->has_facts ? CV_PROXY_FACT_COUNT : 0;
	return arena->is_overflown ? cv_fail(err, CV_LIMIT, "no memory for the providers") : CV_OK;
}

/* Descriptors of the plan and what goes beside it, in their places; no other above. */
static cv_code descriptors_place(const struct cv_run_request *r, const struct cv_plan *plan,
	struct run_providers *providers, struct cv_str plan_bytes, struct cv_err *err)
{
	const bool has[] = { true, plan->flags & CV_PLAN_CREDENTIALS,
		plan->flags & CV_PLAN_UPSTREAM_AUTH, false };
	int fd[] = { -1, -1, -1, -1 }; /* for CV_PLAN_FD and those behind it */
	_Static_assert(CV_ARRAY_LEN(fd) == CV_PLAN_FD_COUNT - CV_PLAN_FD, "a place for each");
	cv_code code = cv_ipc_memfd("cove-plan", plan_bytes, &fd[0], err);

	if (code == CV_OK && has[1])
		code = run_providers_memfd(providers, &fd[1], err);
	if (code == CV_OK && has[2])
		code = cv_ipc_memfd("cove-upstream", r->upstream_secret, &fd[2], err);
	for (size_t i = 0; code == CV_OK && i < CV_ARRAY_LEN(fd); i++) {
		/* Out of the way first: each may stand where another belongs. */
		const int high = has[i] ? fcntl(fd[i], F_DUPFD_CLOEXEC, CV_PLAN_FD_COUNT) : -1;

		if (has[i] && high < 0)
			code = cv_fail_errno(err, "place a descriptor");
		fd[i] = high;
	}
	if (code != CV_OK)
		return code;
	for (size_t i = 0; i < CV_ARRAY_LEN(fd); i++) {
		const int place = CV_PLAN_FD + (int)i;

		if (!has[i])
			close(place);
		else if (dup2(fd[i], place) < 0)
			return cv_fail_errno(err, "place a descriptor");
	}
	/* Whatever else our caller left open ends here. */
	if (syscall(SYS_close_range, CV_PLAN_FD_COUNT, ~0U, 0) < 0)
		return cv_fail_errno(err, "close_range");
	return CV_OK;
}

/* Returns only on failure. */
static cv_code supervise(const struct cv_run_request *r, struct cv_str exe,
	const struct cv_plan *plan, struct run_providers *providers, struct cv_err *err)
{
	static char *const none[] = { NULL };
	static char name[] = "cove-supervisor";
	char *const argv[] = { name, NULL };
	struct cv_buf b;

	cv_buf_init(&b, CV_PLAN_BYTES_MAX);
	if (!cv_plan_put(&b, plan)) {
		cv_buf_fini(&b);
		return cv_fail(err, CV_LIMIT, "arguments and variables exceed %u bytes",
			CV_PLAN_BYTES_MAX);
	}
	const cv_code code = descriptors_place(r, plan, providers, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	run_providers_fini(providers); /* the values are in the memfd, and here no more */
	if (code != CV_OK)
		return code;
	execve(exe.p, argv, none);
	return cv_fail_errno(err, "execute %s", exe.p);
}

/* TERM describes the user's terminal, which is the one output ends up on; the rest of our
 * environment stays outside. */
static void terminal_name_add(struct cv_run_request *r, struct cv_arena *arena)
{
	const char *term = getenv("TERM");

	for (size_t i = 0; i < r->spec.env_count; i++)
		if (cv_str_has_prefix(r->env[i], CV_STR("TERM=")))
			return;
	if (term && *term && r->spec.env_count < CV_RUN_ENV_MAX) {
		const struct cv_str pair = cv_arena_printf(arena, "TERM=%s", term);
		if (pair.p)
			r->env[r->spec.env_count++] = pair;
	}
}

static cv_code start(struct cv_run_request *r, struct run_providers *providers,
	struct run_tools *tools, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_plan_files files = { 0 };
	struct cv_str supervisor;
	struct cv_plan plan;
	cv_code code;

	if (r->spec.tier_min > CV_TIER_NAMESPACES)
		return cv_fail(err, CV_UNAVAILABLE,
			"--require: this build reaches the tier 'namespaces', not what was asked for");
	r->spec.include_workdir = true;
	terminal_name_add(r, arena);
	code = stdio_ensure(err);
	if (code == CV_OK && r->provider_count)
		code = run_providers_attach(providers, r, err);
	if (code == CV_OK && r->tools_count)
		code = run_tools_load(tools, r, arena, err);
	if (code == CV_OK && (r->policy_path || r->provider_count || r->tools_count))
		code = run_policy_fill(r, providers, tools, arena, err);
	if (code == CV_OK)
		code = providers_list(providers, &files, arena, err);
	if (code == CV_OK)
		code = run_tools_list(tools, &files, arena, err);
	if (code == CV_OK)
		code = run_providers_renewal(providers, &files, arena, err);
	if (code == CV_OK)
		code = cv_driver_programs_find(&files, arena, &supervisor, err);
	if (code == CV_OK)
		code = paths_resolve(r, arena, err);
	if (code == CV_OK)
		code = files_resolve(r, &files, arena, err);
	if (code == CV_OK)
		code = inference_resolve(r, &files, arena, err);
	if (code == CV_OK)
		code = run_forward_fill(r, providers, &files, err);
	if (code == CV_OK)
		code = people_fill(&files, arena, err);
	if (code == CV_OK)
		code = cv_driver_host_fill(&r->spec, &files, arena, err);
	if (code == CV_OK)
		code = cv_driver_limits_fill(&r->spec, err);
	if (code == CV_OK)
		code = run_named_find(r, providers, tools, &files, arena, err);
	if (code == CV_OK)
		code = cv_plan_build(&r->spec, &files, arena, &plan, err);
	if (code != CV_OK)
		return code;
	return r->is_dry_run ? print(r, &plan, err)
			     : supervise(r, supervisor, &plan, providers, err);
}

cv_code cv_run_start(struct cv_run_request *request, struct cv_err *err)
{
	static struct run_providers providers; /* too large for a stack */
	struct run_tools tools = { 0 };
	struct cv_arena arena;

	cv_arena_init(&arena, RUN_ARENA_MAX);
	run_providers_init(&providers);
	/* From here on no core of ours holds a value; exec makes the supervisor dumpable again. */
	if (request->provider_count || request->upstream_auth || request->tools_count)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	const cv_code code = start(request, &providers, &tools, &arena, err);
	run_tools_fini(&tools);
	run_providers_fini(&providers);
	cv_arena_fini(&arena);
	return code;
}
