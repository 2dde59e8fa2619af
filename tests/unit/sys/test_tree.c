/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a directory: all of it goes, and nothing that a link in it leads to.
 */
#include "unit/test.h"

#include "../../../src/sys/tree.c"

#include <stdio.h>
#include <stdlib.h>

static void must(int rc)
{
	assert_int_equal(rc, 0);
}

static void file_make(int at, const char *name)
{
	const int fd = openat(at, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void all_goes_and_no_more(void **state)
{
	char base[] = "/tmp/cove-tree-XXXXXX", inside[64], outside[64];
	struct cv_err err;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(base));
	const int at = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(mkdirat(at, "own", 0700));
	must(mkdirat(at, "own/a", 0700));
	must(mkdirat(at, "own/a/locked", 0700));
	must(mkdirat(at, "other", 0700));
	file_make(at, "own/a/locked/f");
	file_make(at, "other/keep");
	must(fchmodat(at, "own/a/locked", 0, 0));
	must(symlinkat("../../other", at, "own/a/link"));
	must(symlinkat("/", at, "own/root"));
	snprintf(inside, sizeof(inside), "%s/own", base);
	snprintf(outside, sizeof(outside), "%s/other", base);
	assert_int_equal(cv_tree_remove(inside, &err), CV_OK);
	assert_int_equal(fstatat(at, "own", &st, AT_SYMLINK_NOFOLLOW), -1);
	must(fstatat(at, "other/keep", &st, AT_SYMLINK_NOFOLLOW));
	assert_int_equal(cv_tree_remove(inside, &err), CV_NOT_FOUND);
	assert_int_equal(cv_tree_remove(outside, &err), CV_OK);
	assert_int_equal(cv_tree_remove(base, &err), CV_OK);
	close(at);
}

static void p10_a_tree_is_never_too_deep(void **state)
{
	char base[] = "/tmp/cove-tree-XXXXXX";
	struct cv_err err;

	(void)state;
	assert_non_null(mkdtemp(base));
	const int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(chdir(base));
	must(mkdir("raised-1", 0700)); /* a name that is wanted, and taken */
	for (int i = 0; i < 5 * CV_TREE_DEPTH_MAX; i++) {
		must(mkdir("d", 0700));
		must(chdir("d"));
		must(mkdir("beside", 0700));
	}
	must(chmod(".", 0));
	must(fchdir(home));
	close(home);
	assert_int_equal(cv_tree_remove(base, &err), CV_OK);
	assert_int_equal(cv_tree_remove(base, &err), CV_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_goes_and_no_more),
		cmocka_unit_test(p10_a_tree_is_never_too_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
