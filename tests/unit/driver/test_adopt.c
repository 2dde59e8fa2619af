/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_adopt.c - what is believed of the file that names a supervisor, and of a process
 */
#include "unit/test.h"

#include "driver/adopt.c"

#include <sys/stat.h>

#define INSTANCE "408e86f8-6f13-438f-968e-cbb74fe6aed0"
#define TOKEN    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static bool parse(const char *text, struct cv_driver_process *p, uint64_t *pid, uint64_t *started)
{
	*p = (struct cv_driver_process){ .pidfd = -1 };
	return run_parse(cv_str_of(text), p, pid, started);
}

static void test_run(void **state)
{
	struct cv_driver_process p;
	uint64_t pid, started;

	(void)state;
	assert_true(parse(INSTANCE " " TOKEN "\n42 4711\n", &p, &pid, &started));
	assert_string_equal(p.instance, INSTANCE);
	assert_int_equal(p.token[31], 0x1f);
	assert_int_equal(pid, 42);
	assert_int_equal(started, 4711);
	/* void, and written over without having been cut yet */
	assert_false(parse("----------", &p, &pid, &started));
	assert_true(parse(INSTANCE " " TOKEN "\n---------", &p, &pid, &started));
	assert_int_equal(pid, 0);
	/* cut off anywhere behind the first line: it will dial */
	assert_true(parse(INSTANCE " " TOKEN "\n", &p, &pid, &started));
	assert_int_equal(pid, 0);
	assert_true(parse(INSTANCE " " TOKEN "\n42 47", &p, &pid, &started));
	assert_int_equal(pid, 0);
	assert_true(parse(INSTANCE " " TOKEN "\nx y\n", &p, &pid, &started));
	assert_int_equal(pid, 0);
	assert_false(parse("", &p, &pid, &started));
	assert_false(parse(INSTANCE, &p, &pid, &started));
	assert_false(parse(INSTANCE " " TOKEN, &p, &pid, &started));
	assert_false(parse(INSTANCE " 00\n", &p, &pid, &started));
	assert_false(parse("x " TOKEN "\n", &p, &pid, &started));
}

static void test_ids(void **state)
{
	(void)state;
	assert_true(cv_driver_id_is_plain(CV_STR(INSTANCE)));
	assert_false(cv_driver_id_is_plain(CV_STR("")));
	assert_false(cv_driver_id_is_plain(CV_STR(".")));
	assert_false(cv_driver_id_is_plain(CV_STR("..")));
	assert_false(cv_driver_id_is_plain(CV_STR("a/b")));
	assert_false(cv_driver_id_is_plain(CV_STR(".removed-a")));
	assert_false(cv_driver_id_is_plain(CV_STR("a\0b")));
}

static void test_started(void **state)
{
	(void)state;
	assert_int_equal(cv_driver_pid_started(getpid()), 0); /* this is no supervisor */
	assert_int_equal(cv_driver_pid_started(0x7fffffff), 0);
}

/* ---- those that are new ---- */

static void run_make(const char *dir, const char *text)
{
	char path[128];

	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/run", dir);
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static bool is_first(void *arg, struct cv_str id)
{
	(void)arg;
	return cv_str_eq(id, CV_STR("first"));
}

static void test_new(void **state)
{
	char place[] = "/tmp/cove-adopt-XXXXXX", text[CV_DRIVER_RUN_BYTES_MAX] = "";
	const struct cv_driver_process its = { .pid = 7 };
	struct cv_driver_process p;
	uint64_t pid, started;

	(void)state;
	assert_non_null(mkdtemp(place));
	assert_int_equal(chdir(place), 0);
	struct cv_driver d = { .path = cv_str_of(place), .recycled = -1 };
	d.sandboxes = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* known, not known, one that ran, one that was stopped, and what is no sandbox */
	run_make("first", INSTANCE " " TOKEN "\n" CV_DRIVER_RUN_NEW);
	run_make("second", INSTANCE " " TOKEN "\n" CV_DRIVER_RUN_NEW);
	run_make("third", INSTANCE " " TOKEN "\n42 4711\n");
	run_make("fourth", "-----------------------");
	run_make(".hidden", INSTANCE " " TOKEN "\n" CV_DRIVER_RUN_NEW);
	cv_driver_local_sweep(&d, is_first, NULL);
	assert_int_equal(access("second", F_OK), -1);
	assert_int_equal(access("first/run", F_OK) | access("third/run", F_OK) |
				 access("fourth/run", F_OK) | access(".hidden/run", F_OK),
		0);
	/* Its process' line takes the place of the word. */
	assert_true(is_new(&d, "first"));
	cv_driver_local_confirm(&d, CV_STR("first"), &its);
	assert_false(is_new(&d, "first"));
	const int fd = open("first/run", O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_true(parse(text, &p, &pid, &started));
	assert_int_equal(pid, 7);
	close(d.sandboxes);
	for (size_t i = 0; i < 4; i++) {
		static const char *const left[] = { "first", "third", "fourth", ".hidden" };
		char path[32];

		snprintf(path, sizeof(path), "%s/run", left[i]);
		assert_int_equal(unlink(path) | rmdir(left[i]), 0);
	}
	assert_int_equal(rmdir(place), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_started),
		cmocka_unit_test(test_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
