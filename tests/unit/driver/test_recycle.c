/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a directory serves again only if nothing is in it but what the driver wrote itself, no sandbox
 * that has one loses it, and what an earlier owner left is removed.  Method: real directories.
 */
#include "unit/test.h"

#include "driver/recycle.c"

#include <stdlib.h>

static struct cv_driver d;
static char state[64];

static int setup(void **unused)
{
	char path[96];

	(void)unused;
	d = (struct cv_driver){ .recycled = -1, .sandboxes = -1 };
	snprintf(state, sizeof(state), "/tmp/cove-recycle-XXXXXX");
	assert_non_null(mkdtemp(state));
	snprintf(path, sizeof(path), "%s/sandboxes", state);
	assert_int_equal(mkdir(path, 0700), 0);
	d.sandboxes = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d.sandboxes >= 0);
	cv_driver_recycle_open(&d, cv_str_of(state));
	return d.recycled < 0;
}

static void file_make(const char *path)
{
	const int fd = openat(d.sandboxes, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void dir_make(const char *path)
{
	assert_int_equal(mkdirat(d.sandboxes, path, 0700), 0);
}

static bool is_there(const char *path)
{
	return faccessat(d.sandboxes, path, F_OK, 0) == 0;
}

static int teardown(void **unused)
{
	static const char *const left[] = { "b/run", "b/policy.yaml", "c/workspace/x", "d/log",
		"e/tools-0.yaml", "b/log", "../recycled/0/run", "../recycled/0/policy.yaml",
		"../recycled/0/log" };
	static const char *const dirs[] = { "b/workspace", "b", "c/workspace", "c", "d", "e", "f",
		"../recycled/0/workspace", "../recycled/0", "../recycled", "../sandboxes" };

	(void)unused;
	for (size_t i = 0; i < CV_ARRAY_LEN(left); i++)
		(void)unlinkat(d.sandboxes, left[i], 0);
	for (size_t i = 0; i < CV_ARRAY_LEN(dirs); i++)
		(void)unlinkat(d.sandboxes, dirs[i], AT_REMOVEDIR);
	close(d.sandboxes);
	close(d.recycled);
	return rmdir(state);
}

static void what_is_ours_serves_again(void **unused)
{
	(void)unused;
	dir_make("a");
	file_make("a/run");
	file_make("a/policy.yaml");
	assert_true(cv_driver_recycle_put(&d, CV_STR("a")));
	assert_false(is_there("a"));
	assert_true(cv_driver_recycle_take(&d, CV_STR("b")));
	assert_true(is_there("b/run") && is_there("b/policy.yaml"));
	assert_int_equal(d.recycled_count, 0);
	assert_false(cv_driver_recycle_take(&d, CV_STR("f"))); /* there is none */
	assert_false(is_there("f"));
}

/* Those that were somebody else's are not among what serves again. */
static void workspace_and_log_are_new(void **unused)
{
	struct stat before, now;

	(void)unused;
	dir_make("a");
	file_make("a/run");
	assert_int_equal(fstatat(d.sandboxes, "a", &before, 0), 0);
	assert_true(cv_driver_recycle_put(&d, CV_STR("a")));
	assert_true(cv_driver_recycle_take(&d, CV_STR("b")));
	assert_int_equal(fstatat(d.sandboxes, "b", &now, 0), 0);
	assert_true(now.st_ino == before.st_ino);
	assert_int_equal(fstatat(d.sandboxes, "b/log", &now, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(now.st_mode) && now.st_size == 0 && (now.st_mode & 0777) == 0600);
	assert_int_equal(fstatat(d.sandboxes, "b/workspace", &now, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISDIR(now.st_mode));
}

static void what_else_is_there_keeps_it(void **unused)
{
	static const char *const more[] = { "c/workspace", "d/log", "e/tools-0.yaml" };

	(void)unused;
	for (size_t i = 0; i < CV_ARRAY_LEN(more); i++) {
		const char id[] = { more[i][0], '\0' };

		dir_make(id);
		if (i)
			file_make(more[i]);
		else
			dir_make(more[i]);
		assert_false(cv_driver_recycle_put(&d, cv_str_of(id)));
		assert_true(is_there(more[i]));
	}
	assert_false(cv_driver_recycle_put(&d, CV_STR("nobody")));
}

static void a_sandbox_keeps_its_own(void **unused)
{
	(void)unused;
	dir_make("a");
	assert_true(cv_driver_recycle_put(&d, CV_STR("a")));
	dir_make("b");
	file_make("b/run");
	assert_false(cv_driver_recycle_take(&d, CV_STR("b")));
	assert_true(is_there("b/run") && !is_there("b/log"));
	assert_int_equal(d.recycled_count, 1);
}

static void there_is_an_end_to_it(void **unused)
{
	(void)unused;
	d.recycled_count = DIRS_MAX;
	dir_make("b");
	assert_false(cv_driver_recycle_put(&d, CV_STR("b")));
	d.recycled_count = 0;
}

static void an_earlier_owners_are_removed(void **unused)
{
	(void)unused;
	dir_make("a");
	file_make("a/run");
	assert_true(cv_driver_recycle_put(&d, CV_STR("a")));
	close(d.recycled);
	d.recycled = -1;
	d.recycled_count = 0;
	cv_driver_recycle_open(&d, cv_str_of(state));
	assert_false(is_there("../recycled/0"));
	assert_int_equal(d.recycled_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_ours_serves_again, setup, teardown),
		cmocka_unit_test_setup_teardown(workspace_and_log_are_new, setup, teardown),
		cmocka_unit_test_setup_teardown(what_else_is_there_keeps_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sandbox_keeps_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(there_is_an_end_to_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_earlier_owners_are_removed, setup, teardown),
	};

	return cmocka_run_group_tests_name("driver/recycle", tests, NULL, NULL);
}
