/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a file that a run was told of is guarded at each place where the sandbox sees it and could write,
 * and nowhere else.  Method: a spec with one binding of each kind; the steps as text.
 */
#include "unit/test.h"

#include "plan/named.c"

#include <stdio.h>

#define PATH(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

static const char *const step_text[] = { "pin", "guard", "hide" };

static void expect(
	const struct cv_run_spec *spec, const char *path, enum cv_named_kind kind, const char *want)
{
	const struct cv_spec_named named = { cv_str_of(path), kind };
	struct cv_run_spec s = *spec;
	struct cv_named_place *v;
	struct cv_arena arena;
	char got[512] = "";
	size_t n;

	s.named = &named;
	s.named_count = 1;
	cv_arena_init(&arena, 1u << 16);
	assert_true(cv_plan_named_places(&s, &arena, &v, &n));
	for (size_t i = 0; i < n; i++) {
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s %.*s%s\n",
			step_text[v[i].step], CV_STR_ARG(v[i].path),
			v[i].is_policy ? " policy" : "");
	}
	assert_string_equal(got, want);
	cv_arena_fini(&arena);
}

static const struct cv_spec_path paths[] = {
	{ PATH("/srv/in"), CV_PATH_DIR, false },
	{ PATH("/srv/out"), CV_PATH_DIR, true },
	{ PATH("/srv/gone"), CV_PATH_ABSENT, true },
	{ PATH("/tmp"), CV_PATH_DIR, true },
};
static const struct cv_spec_mount mounts[] = {
	{ PATH("/data"), PATH("/mnt/data"), false },
	{ PATH("/data/ro"), PATH("/mnt/ro"), true },
	{ PATH("/other"), PATH("/work/cover"), false },
};

static struct cv_run_spec spec(void)
{
	return (struct cv_run_spec){ .workdir = CV_STR("/work"),
		.include_workdir = true,
		.paths = paths,
		.path_count = CV_ARRAY_LEN(paths),
		.mounts = mounts,
		.mount_count = CV_ARRAY_LEN(mounts) };
}

static void p11_where_it_could_be_written(void **state)
{
	const struct cv_run_spec s = spec();

	(void)state;
	expect(&s, "/work/p.yaml", CV_NAMED_POLICY, "guard /work/p.yaml policy\n");
	expect(&s, "/work/a/b/p.yaml", CV_NAMED_FILE,
		"pin /work/a\npin /work/a/b\nguard /work/a/b/p.yaml\n");
	expect(&s, "/srv/out/x", CV_NAMED_FILE, "guard /srv/out/x\n");
	expect(&s, "/data/d/x", CV_NAMED_FILE, "pin /mnt/data/d\nguard /mnt/data/d/x\n");
	expect(&s, "/data/ro/x", CV_NAMED_FILE, "pin /mnt/data/ro\nguard /mnt/data/ro/x\n");
}

static void nowhere_else(void **state)
{
	struct cv_run_spec s = spec();

	(void)state;
	expect(&s, "/workers/x", CV_NAMED_FILE, "");
	expect(&s, "/etc/x", CV_NAMED_FILE, "");
	expect(&s, "/srv/in/x", CV_NAMED_FILE, "");
	expect(&s, "/srv/gone/x", CV_NAMED_FILE, "");
	expect(&s, "/tmp/x", CV_NAMED_FILE, ""); /* the sandbox's own /tmp */
	expect(&s, "/work/cover/x", CV_NAMED_FILE, "");
	expect(&s, "/other/x", CV_NAMED_FILE, "guard /work/cover/x\n");
	s.include_workdir = false;
	expect(&s, "/work/x", CV_NAMED_FILE, "");
	s.rootfs = CV_ROOTFS_DIR; /* the policy's paths are the image's */
	expect(&s, "/srv/out/x", CV_NAMED_FILE, "");
}

static void c10_secrets_wherever_they_are_seen(void **state)
{
	const struct cv_run_spec s = spec();

	(void)state;
	expect(&s, "/work/a/key", CV_NAMED_SECRET, "pin /work/a\nhide /work/a/key\n");
	expect(&s, "/srv/in/a/key", CV_NAMED_SECRET, "hide /srv/in/a/key\n");
	expect(&s, "/data/ro/key", CV_NAMED_SECRET,
		"pin /mnt/data/ro\nhide /mnt/data/ro/key\nhide /mnt/ro/key\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p11_where_it_could_be_written),
		cmocka_unit_test(nowhere_else),
		cmocka_unit_test(c10_secrets_wherever_they_are_seen),
	};

	return cmocka_run_group_tests_name("plan/named", tests, NULL, NULL);
}
