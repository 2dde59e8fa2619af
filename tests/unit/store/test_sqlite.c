/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sqlite.c - what can go wrong with a file, and with its schema
 *
 * Goal: nothing that was acknowledged is lost, nothing is half there, and every refusal says why.
 * Method: a writer that is killed, a file system of its own that is full, schemas that this program
 * does not know.
 */
#include "store/sqlite.c"
#include "unit/test.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIND CV_STR("job")

struct fixture {
	char dir[64], path[128];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/cove-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/store.db", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const suffix[] = { "", "-wal", "-shm" };
	struct fixture *f = *state;
	char path[160];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, suffix[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static struct cv_store *opened(const struct fixture *f)
{
	struct cv_store *s;
	struct cv_err err;

	assert_int_equal(cv_store_open_sqlite(f->path, &s, &err), CV_OK);
	return s;
}

static bool has(struct cv_store *s, const char *key)
{
	struct cv_buf b;

	cv_buf_init(&b, 1 << 20);
	const cv_code code = cv_store_get(s, KIND, cv_str_of(key), &b, NULL, NULL);
	cv_buf_fini(&b);
	return code == CV_OK;
}

/* ---- what lasts ---- */

/* Batches of two until it is killed; each that was acknowledged is told. */
static void write_until_killed(const struct fixture *f, int told)
{
	struct cv_store *s = opened(f);

	for (uint32_t i = 0;; i++) {
		struct cv_store_batch *b = cv_store_batch_begin();
		char key[2][16];

		for (size_t k = 0; k < 2; k++) {
			snprintf(key[k], sizeof(key[k]), "%u%c", i, "ab"[k]);
			cv_store_batch_put(b, KIND, cv_str_of(key[k]), CV_STR("x"), CV_STORE_NEW);
		}
		if (cv_store_batch_commit(s, b, NULL) != CV_OK ||
			write(told, &i, sizeof(i)) != sizeof(i))
			_exit(1);
		cv_store_batch_free(b);
	}
}

static void test_acknowledged_survives_a_kill(void **state)
{
	struct fixture *f = *state;
	uint32_t last = 0, i;
	int fds[2];

	cv_store_close(opened(f));
	assert_int_equal(pipe(fds), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		write_until_killed(f, fds[1]);
	}
	close(fds[1]);
	while (last < 50 && read(fds[0], &i, sizeof(i)) == sizeof(i))
		last = i;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (read(fds[0], &i, sizeof(i)) == sizeof(i))
		last = i;
	close(fds[0]);
	assert_true(last >= 50);
	struct cv_store *s = opened(f);
	for (i = 0; i <= last + 1; i++) {
		char a[16], b[16];

		snprintf(a, sizeof(a), "%ua", i);
		snprintf(b, sizeof(b), "%ub", i);
		if (i <= last)
			assert_true(has(s, a));
		assert_int_equal(has(s, a), has(s, b)); /* never one without the other */
	}
	cv_store_close(s);
}

/* FULL: the log is on the disk before a commit is acknowledged. */
static void test_commits_are_synchronous(void **state)
{
	struct fixture *f = *state;
	static const struct {
		cv_code (*open)(const char *path, struct cv_store **ret, struct cv_err *err);
		int want;
	} row[] = { { cv_store_open_sqlite, 2 }, { cv_store_open_scratch, 1 } };

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_store *s;
		sqlite3_stmt *st;

		assert_int_equal(row[i].open(f->path, &s, NULL), CV_OK);
		assert_int_equal(sqlite3_prepare_v2(((struct sqlite *)s)->db, "PRAGMA synchronous",
					 -1, &st, NULL),
			SQLITE_OK);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		assert_int_equal(sqlite3_column_int(st, 0), row[i].want);
		sqlite3_finalize(st);
		cv_store_close(s);
	}
}

/* ---- a full disk ---- */

static bool is_written(const char *path, const char *words)
{
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, words, strlen(words)) == (ssize_t)strlen(words);
}

/* A mount namespace; for who is not root in a user namespace, with the ids as they are. */
static bool own_mounts(void)
{
	const unsigned uid = geteuid(), gid = getegid();
	char users[32], groups[32];

	if (!uid)
		return unshare(CLONE_NEWNS) == 0;
	if (unshare(CLONE_NEWNS | CLONE_NEWUSER) < 0)
		return false;
	/* The group too: nobody makes a file whose owner the file system's namespace can't say. */
	snprintf(users, sizeof(users), "%u %u 1", uid, uid);
	snprintf(groups, sizeof(groups), "%u %u 1", gid, gid);
	return is_written("/proc/self/setgroups", "deny") &&
	       is_written("/proc/self/uid_map", users) && is_written("/proc/self/gid_map", groups);
}

/* In a file system of 1 MB that nobody else sees.  0: as it should be; 77: can't be made here. */
static int fill_disk(const struct fixture *f)
{
	static char big[300000];
	struct cv_store *s;
	struct cv_err err;

	if (!own_mounts() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", f->dir, "tmpfs", 0, "size=1m") < 0)
		return 77;
	if (cv_store_open_sqlite(f->path, &s, &err) != CV_OK ||
		cv_store_put(s, KIND, CV_STR("a"), CV_STR("old"), CV_STORE_NEW, NULL, &err) !=
			CV_OK)
		return 1;
	struct cv_store_batch *b = cv_store_batch_begin();
	cv_store_batch_put(b, KIND, CV_STR("a"), CV_STR("new"), 1);
	for (char k = 'b'; k < 'g'; k++)
		cv_store_batch_put(b, KIND, (struct cv_str){ &k, 1 },
			(struct cv_str){ big, sizeof(big) }, CV_STORE_NEW);
	if (cv_store_batch_commit(s, b, &err) != CV_UNAVAILABLE || !strstr(err.msg, "disk is full"))
		return 2;
	cv_store_batch_free(b);
	/* The old state is whole, and what has room is stored. */
	struct cv_buf v;
	uint64_t version;
	cv_buf_init(&v, 100);
	if (cv_store_get(s, KIND, CV_STR("a"), &v, &version, &err) != CV_OK || version != 1 ||
		!cv_str_eq(cv_buf_str(&v), CV_STR("old")) || has(s, "b"))
		return 4;
	cv_buf_fini(&v);
	if (cv_store_put(s, KIND, CV_STR("z"), CV_STR("fits"), CV_STORE_NEW, NULL, &err) != CV_OK)
		return 5;
	/* A backup that has no room leaves nothing behind. */
	char path[160];
	snprintf(path, sizeof(path), "%s/copy", f->dir);
	for (size_t i = 0; i < 9; i++)
		(void)!cv_store_put(s, KIND, cv_str_slice(CV_STR("123456789"), i, i + 1),
			(struct cv_str){ big, 60000 }, CV_STORE_NEW, NULL, &err);
	if (cv_store_backup(s, path, &err) != CV_UNAVAILABLE || access(path, F_OK) == 0)
		return 6;
	cv_store_close(s);
	return 0;
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;
	int status;

	const pid_t pid = fork();
	if (pid == 0)
		_exit(fill_disk(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_unavailable("no user namespace, so no small file system to fill");
	assert_int_equal(status, 0);
}

/* ---- the schema ---- */

static void sql(const struct fixture *f, const char *text_)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text_, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	struct cv_store *s;
	struct cv_err err;

	cv_store_close(opened(f));
	sql(f, "UPDATE schema_version SET version = 7");
	assert_int_equal(cv_store_open_sqlite(f->path, &s, &err), CV_INVALID);
	assert_non_null(strstr(err.msg, "has schema 7"));
	assert_non_null(strstr(err.msg, "schemas up to 1:"));
	assert_non_null(strstr(err.msg, f->path));
}

/* What there was before schemas had a number. */
static void test_an_unnumbered_file(void **state)
{
	struct fixture *f = *state;

	sql(f, "CREATE TABLE record (kind BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
	       "version INTEGER NOT NULL, PRIMARY KEY (kind, key)) STRICT;"
	       "INSERT INTO record VALUES (x'6a6f62', x'61', x'78', 3)");
	struct cv_store *s = opened(f);
	assert_true(has(s, "a"));
	cv_store_close(s);
}

static void test_steps(void **state)
{
	struct fixture *f = *state;
	struct store_step steps[] = {
		store_steps[0],
		{ .sqlite = "CREATE TABLE second (x)" },
		{ .sqlite = "CREATE TABLE third (x); CREATE TABLE nonsense" },
	};
	struct cv_store *s = opened(f);
	struct sqlite *q = (struct sqlite *)s;
	struct cv_err err;
	uint32_t version;

	/* The last step fails: none was made. */
	assert_int_equal(migrate(q, steps, 3, &err), CV_SYSTEM);
	assert_non_null(strstr(err.msg, "step 3 of the schema"));
	assert_int_equal(schema_version(q, &version, &err), CV_OK);
	assert_int_equal(version, 1);
	steps[2].sqlite = "CREATE TABLE third (x)";
	assert_int_equal(migrate(q, steps, 3, &err), CV_OK);
	assert_int_equal(schema_version(q, &version, &err), CV_OK);
	assert_int_equal(version, 3);
	assert_int_equal(migrate(q, steps, 3, &err), CV_OK);
	assert_int_equal(run(q, "INSERT INTO second VALUES (1)", &err), CV_OK);
	cv_store_close(s);
}

static void test_a_claim_is_for_one(void **state)
{
	struct fixture *f = *state;
	struct cv_store *first = opened(f), *second = opened(f);
	struct cv_err err;

	assert_int_equal(cv_store_claim(first, &err), CV_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cv_store_claim(second, &err), CV_UNAVAILABLE);
		assert_non_null(strstr(err.msg, "is another gateway's"));
	}
	cv_store_close(first);
	assert_int_equal(cv_store_claim(second, &err), CV_OK);
	cv_store_close(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_acknowledged_survives_a_kill),
		TEST(test_commits_are_synchronous),
		TEST(test_full_disk),
		TEST(test_a_newer_schema_is_refused),
		TEST(test_an_unnumbered_file),
		TEST(test_steps),
		TEST(test_a_claim_is_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
