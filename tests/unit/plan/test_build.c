/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a spec becomes the plan that was reviewed, and a spec that contradicts the sandbox none.
 * Method: the text of plans is compared with golden files (CV_GOLDEN_WRITE=1 writes them anew, to
 * be read before they are committed); refusals are a table.
 */
#include "unit/test.h"

#include "plan/build.c"
#include "plan/limits.h"

#include <stdio.h>
#include <stdlib.h>

static const struct cv_str argv_true[] = { { "true", 4 } };

static struct cv_run_spec basic(void)
{
	return (struct cv_run_spec){ .workdir = CV_STR("/home/user/project"),
		.include_workdir = true,
		.has_workdir_protection = true,
		.argv = argv_true,
		.argv_count = 1,
		.date = CV_STR("2026-11-21"),
		.host_uid = 1001,
		.host_gid = 1001,
		.shell = CV_STR("/bin/bash"),
		.has_merged_usr = true };
}

static void golden(const char *name, const struct cv_run_spec *spec, const struct cv_plan_files *f)
{
	static char want[65536];
	char path[512];
	struct cv_arena arena;
	struct cv_plan plan;
	struct cv_buf out;
	struct cv_err err;

	cv_arena_init(&arena, 1u << 20);
	cv_buf_init(&out, sizeof(want));
	if (cv_plan_build(spec, f, &arena, &plan, &err) != CV_OK)
		fail_msg("%s", err.msg);
	cv_plan_text(&plan, &out);
	assert_false(out.is_overflown);
	snprintf(path, sizeof(path), "%s/%s.plan", getenv("CV_GOLDEN_DIR"), name);
	if (getenv("CV_GOLDEN_WRITE")) {
		FILE *to = fopen(path, "w");
		assert_non_null(to);
		fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), to);
		fclose(to);
	}
	FILE *from = fopen(path, "r");
	assert_non_null(from);
	const size_t n = fread(want, 1, sizeof(want) - 1, from);
	fclose(from);
	want[n] = '\0';
	assert_str(cv_buf_str(&out), want);
	cv_buf_fini(&out);
	cv_arena_fini(&arena);
}

static void no_policy(void **state)
{
	const struct cv_plan_files files = { 0 };
	struct cv_run_spec s = basic();

	(void)state;
	golden("no-policy", &s, &files);
}

static void policy_with_network(void **state)
{
	static const struct cv_str env[] = { { "HOME=/tmp", 9 }, { "A=b c", 5 } };
	static const struct cv_spec_path paths[] = {
		{ { "/usr", 4 }, CV_PATH_DIR, false },
		{ { "/srv/data", 9 }, CV_PATH_DIR, false },
		{ { "/srv/out", 8 }, CV_PATH_DIR, true },
		{ { "/srv/absent", 11 }, CV_PATH_ABSENT, true },
		{ { "/dev/kvm", 8 }, CV_PATH_OTHER, true },
		{ { "/etc/gitconfig", 14 }, CV_PATH_FILE, false },
	};
	static const struct cv_spec_mount mounts[] = { { { "/a", 2 }, { "/b", 2 }, true } };
	const struct cv_plan_files files = { .has_terminal = true };
	struct cv_run_spec s = basic();

	(void)state;
	s.has_network = true;
	s.env = env;
	s.env_count = CV_ARRAY_LEN(env);
	s.paths = paths;
	s.path_count = CV_ARRAY_LEN(paths);
	s.mounts = mounts;
	s.mount_count = CV_ARRAY_LEN(mounts);
	s.cpu_milli = 1500;
	s.memory_bytes = 1 << 20;
	s.pids = 64;
	s.pids_by_rlimit = true;
	s.timeout_ms = 90000;
	s.interception = CV_INTERCEPTION_ANYIP;
	s.ports = (const uint32_t[]){ 443, 8080 };
	s.port_count = 2;
	s.user = CV_STR("1234");
	golden("policy", &s, &files);
}

static void image_as_root(void **state)
{
	const struct cv_plan_files files = { 0 };
	struct cv_run_spec s = basic();

	(void)state;
	s.rootfs = CV_ROOTFS_DIR;
	s.rootfs_dir = CV_STR("/images/a, b:c");
	s.is_host_root = true;
	s.include_workdir = false;
	golden("image", &s, &files);
}

/* P11: what exists is read-only, under a directory that can't be renamed away; what does not is
 * looked for at the end. */
static void p11_workdir_protection(void **state)
{
	static const struct cv_spec_path paths[] = {
		{ { "/home/user/project/.git/hooks", 27 }, CV_PATH_DIR, false },
		{ { "/home/user/project/.git/config", 28 }, CV_PATH_FILE, false },
		{ { "/home/user/project/.envrc", 23 }, CV_PATH_ABSENT, false },
		{ { "/home/user/project/.vscode", 24 }, CV_PATH_OTHER, false },
	};
	const struct cv_plan_files files = { 0 };
	struct cv_run_spec s = basic();
	struct cv_arena arena;
	struct cv_plan plan;
	struct cv_err err;
	uint32_t kept = 0, protected = 0;

	(void)state;
	s.protected_paths = paths;
	s.protected_count = CV_ARRAY_LEN(paths);
	golden("protected", &s, &files);
	cv_arena_init(&arena, 1u << 20);
	assert_int_equal(cv_plan_build(&s, &files, &arena, &plan, &err), CV_OK);
	for (uint32_t i = 0; i < plan.op_count; i++) {
		kept += plan.ops[i].type == CV_PLAN_KEEP &&
			cv_str_eq(plan.ops[i].dst, CV_STR("/home/user/project/.git"));
		protected += plan.ops[i].type == CV_PLAN_PROTECT;
	}
	assert_int_equal(kept, 1);
	assert_int_equal(protected, 2);
	assert_int_equal(plan.watch_count, 2);
	s.has_workdir_protection = false;
	assert_int_equal(cv_plan_build(&s, &files, &arena, &plan, &err), CV_OK);
	assert_int_equal(plan.watch_count, 0);
	cv_arena_fini(&arena);
}

static void refuse(struct cv_run_spec s, cv_code code, const char *part)
{
	const struct cv_plan_files files = { 0 };
	struct cv_arena arena;
	struct cv_plan plan;
	struct cv_err err = { 0 };

	cv_arena_init(&arena, 1u << 20);
	assert_int_equal(cv_plan_build(&s, &files, &arena, &plan, &err), code);
	if (!strstr(err.msg, part))
		fail_msg("got \"%s\", want \"%s\"", err.msg, part);
	cv_arena_fini(&arena);
}

static void refusals(void **state)
{
	static const char *const workdirs[] = { "", "relative", "/", "/usr", "/etc", "/proc/self",
		"/dev", "/var/log/x", "/etc/openshell-tls", "/a/../etc", "/sys/x" };
	static const char *const users[] = { "root", "0", "-1", "4294967295", "1 ", "0x1" };
	static const char *const variables[] = { "", "novalue", "=x" };
	static const struct cv_spec_path absent = { { "/no", 3 }, CV_PATH_ABSENT, false };
	struct cv_run_spec s;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(workdirs); i++) {
		s = basic();
		s.workdir = cv_str_of(workdirs[i]);
		refuse(s, CV_INVALID, "the working directory");
		s = basic();
		const struct cv_spec_mount m = { CV_STR("/x"), cv_str_of(workdirs[i]), false };
		s.mounts = &m;
		s.mount_count = 1;
		refuse(s, CV_INVALID, "a mount's target");
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(users); i++) {
		s = basic();
		s.user = cv_str_of(users[i]);
		refuse(s, CV_INVALID,
			"run_as_user must be 'sandbox' or a numeric UID/GID in range");
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(variables); i++) {
		const struct cv_str v = cv_str_of(variables[i]);
		s = basic();
		s.env = &v;
		s.env_count = 1;
		refuse(s, CV_INVALID, "NAME=VALUE");
	}
	s = basic();
	s.argv_count = 0;
	refuse(s, CV_INVALID, "no command");
	s = basic();
	s.paths = &absent;
	s.path_count = 1;
	s.landlock = CV_LANDLOCK_HARD_REQUIREMENT;
	refuse(s, CV_UNAVAILABLE, "/no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_policy),
		cmocka_unit_test(policy_with_network),
		cmocka_unit_test(image_as_root),
		cmocka_unit_test(p11_workdir_protection),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests_name("plan/build", tests, NULL, NULL);
}
