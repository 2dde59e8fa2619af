/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: other content under the same path is seen, whatever its size and times; the same content
 * is never taken for other; tables and files are bounded.
 * Method: real files in a directory of the test's own; times set to look old.
 */
#include "unit/test.h"

#include "sys/first_use.c"

#include <stdio.h>

static char dir[64];

static void file_write(const char *name, const char *text, time_t mtime)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	const struct timespec times[2] = { { .tv_sec = mtime }, { .tv_sec = mtime } };

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static cv_code check(struct cv_first_use *u, const char *path, const char *name)
{
	const int at = open(dir, O_PATH | O_DIRECTORY);
	struct cv_err err;

	const cv_code code = cv_first_use_check(u, cv_str_of(path), at, name, &err);
	close(at);
	return code;
}

static void p3_content_decides(void **state)
{
	struct cv_first_use *u = cv_first_use_new();

	(void)state;
	file_write("a", "one", 1000);
	assert_int_equal(check(u, "/bin/a", "a"), CV_OK);
	assert_int_equal(check(u, "/bin/a", "a"), CV_OK);
	file_write("a", "two", 1000); /* same size, same mtime, at once */
	assert_int_equal(check(u, "/bin/a", "a"), CV_DENIED);
	assert_int_equal(check(u, "/bin/b", "a"), CV_OK); /* its own first use */
	file_write("a", "one", 2000);
	assert_int_equal(check(u, "/bin/a", "a"), CV_OK);
	assert_int_equal(check(u, "/bin/b", "a"), CV_DENIED);
	cv_first_use_free(u);
}

/* A fingerprint is remembered only when a later change would show in it. */
static void fresh_files_are_hashed_again(void **state)
{
	struct cv_first_use *u = cv_first_use_new();

	(void)state;
	file_write("a", "one", 1000);
	assert_int_equal(check(u, "/bin/a", "a"), CV_OK);
	assert_int_equal(u->hashed_count, 0);
	struct fingerprint old = { .ino = 1, .ctime_s = 1000 };
	const unsigned char digest[CV_SHA256_BYTES] = { 1 };
	for (int i = 0; i < CV_FIRST_USE_HASHES_MAX + 1; i++) {
		old.ino = (uint64_t)i;
		remember_hash(u, &old, digest);
	}
	assert_int_equal(u->hashed_count, CV_FIRST_USE_HASHES_MAX);
	assert_int_equal(u->hashed[0].print.ino, CV_FIRST_USE_HASHES_MAX); /* the oldest went */
	cv_first_use_free(u);
}

static void what_is_no_file_is_refused(void **state)
{
	struct cv_first_use *u = cv_first_use_new();
	char path[128];

	(void)state;
	assert_int_equal(check(u, "/x", "absent"), CV_SYSTEM);
	assert_int_equal(check(u, "/x", "."), CV_INVALID);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(check(u, "/x", "fifo"), CV_INVALID); /* and does not wait for a writer */
	unlink(path);
	snprintf(path, sizeof(path), "%s/large", dir);
	const int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, (off_t)CV_FIRST_USE_FILE_BYTES_MAX + 1), 0);
	close(fd);
	assert_int_equal(check(u, "/x", "large"), CV_LIMIT);
	unlink(path);
	assert_int_equal(u->path_count, 0);
	cv_first_use_free(u);
}

static void paths_are_bounded(void **state)
{
	struct cv_first_use *u = cv_first_use_new();
	char path[32];

	(void)state;
	file_write("a", "one", 1000);
	for (int i = 0; i < CV_FIRST_USE_PATHS_MAX; i++) {
		snprintf(path, sizeof(path), "/bin/%d", i);
		assert_int_equal(check(u, path, "a"), CV_OK);
	}
	assert_int_equal(check(u, "/bin/more", "a"), CV_LIMIT);
	assert_int_equal(check(u, "/bin/0", "a"), CV_OK); /* known ones go on */
	cv_first_use_free(u);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/cove-first-use-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/a", dir);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p3_content_decides),
		cmocka_unit_test(fresh_files_are_hashed_again),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(paths_are_bounded),
	};

	return cmocka_run_group_tests_name("sys/first_use", tests, setup, teardown);
}
