/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_store.c - one suite over every implementation of a store
 *
 * Goal: that memory, SQLite and PostgreSQL can't be told apart but by what lasts.  Method: each test is
 * run with a store of each kind, the last against a real server that this program starts (pg.h);
 * those at the end look at SQLite's file.
 */
#include "store/store_int.h"
#include "unit/store/pg.h"
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND CV_STR("job")

struct fixture {
	struct cv_store *store;
	char dir[64], path[128];
};

static void directory_make(struct fixture *f)
{
	snprintf(f->dir, sizeof(f->dir), "/tmp/cove-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/store.db", f->dir);
}

static int setup_memory(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	directory_make(f);
	*state = f;
	return cv_store_open_memory(&f->store, NULL) == CV_OK ? 0 : -1;
}

static int setup_sqlite(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	directory_make(f);
	*state = f;
	return cv_store_open_sqlite(f->path, &f->store, NULL) == CV_OK ? 0 : -1;
}

static struct pg_server server;

static int setup_postgres(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cv_err err;

	if (!pg_server_start(&server)) {
		free(f);
		return -1;
	}
	directory_make(f);
	*state = f;
	pg_server_sql(&server, "DROP TABLE IF EXISTS cove_record, cove_schema_version");
	return cv_store_open_postgres(server.url, &f->store, &err) == CV_OK ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const suffix[] = { "", "-wal", "-shm" };
	struct fixture *f = *state;
	char path[160];

	cv_store_close(f->store);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, suffix[i]);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

static cv_code put(
	struct fixture *f, const char *key, const char *value, uint64_t expected, uint64_t *version)
{
	return cv_store_put(
		f->store, KIND, cv_str_of(key), cv_str_of(value), expected, version, NULL);
}

static void assert_value(
	struct fixture *f, const char *key, const char *want, uint64_t want_version)
{
	struct cv_buf b;
	uint64_t version;

	cv_buf_init(&b, 1 << 20);
	assert_int_equal(cv_store_get(f->store, KIND, cv_str_of(key), &b, &version, NULL), CV_OK);
	assert_true(cv_str_eq(cv_buf_str(&b), cv_str_of(want)));
	assert_int_equal(version, want_version);
	cv_buf_fini(&b);
}

static void test_put_get(void **state)
{
	struct fixture *f = *state;
	uint64_t version = 0;
	struct cv_buf b;

	assert_int_equal(put(f, "a", "one", CV_STORE_NEW, &version), CV_OK);
	assert_int_equal(version, 1);
	assert_value(f, "a", "one", 1);
	assert_int_equal(put(f, "a", "two", version, &version), CV_OK);
	assert_int_equal(version, 2);
	assert_value(f, "a", "two", 2);
	assert_int_equal(put(f, "a", "", CV_STORE_ANY, &version), CV_OK);
	assert_value(f, "a", "", 3);
	cv_buf_init(&b, 100);
	assert_int_equal(cv_store_get(f->store, KIND, CV_STR("b"), &b, NULL, NULL), CV_NOT_FOUND);
	assert_int_equal(
		cv_store_get(f->store, CV_STR("log"), CV_STR("a"), &b, NULL, NULL), CV_NOT_FOUND);
	cv_buf_fini(&b);
}

/* Of two writers that saw the same version one is told. */
static void test_compare_and_swap(void **state)
{
	struct fixture *f = *state;
	uint64_t version;

	assert_int_equal(put(f, "a", "x", 1, NULL), CV_DENIED);
	assert_int_equal(put(f, "a", "new", CV_STORE_NEW, &version), CV_OK);
	assert_int_equal(put(f, "a", "again", CV_STORE_NEW, NULL), CV_DENIED);
	assert_int_equal(put(f, "a", "first", version, NULL), CV_OK);
	assert_int_equal(put(f, "a", "second", version, NULL), CV_DENIED);
	assert_value(f, "a", "first", 2);
	assert_int_equal(cv_store_delete(f->store, KIND, CV_STR("a"), 1, NULL), CV_DENIED);
	assert_int_equal(cv_store_delete(f->store, KIND, CV_STR("a"), 2, NULL), CV_OK);
	assert_int_equal(cv_store_delete(f->store, KIND, CV_STR("a"), 2, NULL), CV_NOT_FOUND);
	assert_int_equal(
		cv_store_delete(f->store, KIND, CV_STR("a"), CV_STORE_ANY, NULL), CV_NOT_FOUND);
	assert_int_equal(put(f, "a", "third", CV_STORE_NEW, &version), CV_OK);
	assert_int_equal(version, 1);
}

struct seen {
	char text[256];
	size_t stop_after, n;
};

static bool see(void *arg, const struct cv_record *r)
{
	struct seen *s = arg;
	const size_t used = strlen(s->text);

	snprintf(s->text + used, sizeof(s->text) - used, "%.*s=%.*s ", CV_STR_ARG(r->key),
		CV_STR_ARG(r->value));
	return ++s->n != s->stop_after;
}

static void assert_list(struct fixture *f, const char *prefix, size_t stop_after, const char *want)
{
	struct seen s = { .stop_after = stop_after };

	assert_int_equal(cv_store_list(f->store, KIND, cv_str_of(prefix), see, &s, NULL), CV_OK);
	assert_string_equal(s.text, want);
}

static void test_list(void **state)
{
	struct fixture *f = *state;

	assert_list(f, "", 0, "");
	assert_int_equal(put(f, "b/2", "y", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "a/1", "w", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "b/1", "x", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "b\xff", "z", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(cv_store_put(f->store, CV_STR("log"), CV_STR("b/3"), CV_STR("other"),
				 CV_STORE_NEW, NULL, NULL),
		CV_OK);
	assert_list(f, "b/", 0, "b/1=x b/2=y ");
	assert_list(f, "", 0, "a/1=w b/1=x b/2=y b\xff=z ");
	assert_list(f, "", 2, "a/1=w b/1=x ");
	assert_list(f, "c", 0, "");
}

static void test_read_parts(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t offset;
		size_t n;
		const char *want;
	} row[] = {
		{ 0, 3, "012" },
		{ 3, 3, "345" },
		{ 8, 5, "89" },
		{ 10, 5, "" },
		{ 1000, 5, "" },
		{ 0, SIZE_MAX, "0123456789" },
		{ 7, SIZE_MAX, "789" },
		{ 2, 0, "" },
	};

	assert_int_equal(put(f, "a", "0123456789", CV_STORE_NEW, NULL), CV_OK);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_buf b;

		cv_buf_init(&b, 100);
		assert_int_equal(cv_store_read(f->store, KIND, CV_STR("a"), row[i].offset, row[i].n,
					 &b, NULL),
			CV_OK);
		assert_true(cv_str_eq(cv_buf_str(&b), cv_str_of(row[i].want)));
		cv_buf_fini(&b);
	}
}

static void test_bad_input(void **state)
{
	struct fixture *f = *state;
	static char big[CV_STORE_KEY_BYTES_MAX + 2];
	const struct cv_str huge = { big, (size_t)CV_STORE_VALUE_BYTES_MAX + 1 }; /* never read */
	struct cv_buf small;

	memset(big, 'k', sizeof(big) - 1);
	assert_int_equal(put(f, "", "x", CV_STORE_NEW, NULL), CV_LIMIT);
	assert_int_equal(put(f, big, "x", CV_STORE_NEW, NULL), CV_LIMIT);
	big[CV_STORE_KEY_BYTES_MAX] = 0;
	assert_int_equal(put(f, big, "x", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(
		cv_store_put(f->store, KIND, CV_STR("a\0b"), CV_STR("x"), CV_STORE_NEW, NULL, NULL),
		CV_INVALID);
	assert_int_equal(cv_store_put(f->store, KIND, CV_STR("a"), huge, CV_STORE_NEW, NULL, NULL),
		CV_LIMIT);
	assert_int_equal(
		put(f, "'; DROP TABLE record; --", "0123456789", CV_STORE_NEW, NULL), CV_OK);
	assert_value(f, "'; DROP TABLE record; --", "0123456789", 1);
	cv_buf_init(&small, 4);
	assert_int_equal(cv_store_get(f->store, KIND, CV_STR("'; DROP TABLE record; --"), &small,
				 NULL, NULL),
		CV_LIMIT);
	cv_buf_fini(&small);
}

static void test_bytes_are_kept(void **state)
{
	struct fixture *f = *state;
	char all[256];
	struct cv_buf b;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	assert_int_equal(cv_store_put(f->store, KIND, CV_STR("bytes"), (struct cv_str){ all, 256 },
				 CV_STORE_NEW, NULL, NULL),
		CV_OK);
	cv_buf_init(&b, 300);
	assert_int_equal(cv_store_get(f->store, KIND, CV_STR("bytes"), &b, NULL, NULL), CV_OK);
	assert_true(cv_str_eq(cv_buf_str(&b), (struct cv_str){ all, 256 }));
	cv_buf_fini(&b);
}

/* ---- pages ---- */

static void assert_page(
	struct fixture *f, const char *prefix, const char *after, size_t limit, const char *want)
{
	struct seen s = { .stop_after = 0 };

	assert_int_equal(cv_store_page(f->store, KIND, cv_str_of(prefix), cv_str_of(after), limit,
				 see, &s, NULL),
		CV_OK);
	assert_string_equal(s.text, want);
}

static void test_pages(void **state)
{
	struct fixture *f = *state;

	for (const char *k = "abcde"; *k; k++) {
		const char key[] = { 'w', '/', *k, 0 };

		assert_int_equal(put(f, key, "1", CV_STORE_NEW, NULL), CV_OK);
	}
	assert_int_equal(put(f, "v/a", "1", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "x/a", "1", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "\xff\xff/a", "1", CV_STORE_NEW, NULL), CV_OK);
	assert_page(f, "w/", "", 2, "w/a=1 w/b=1 ");
	assert_page(f, "w/", "w/b", 2, "w/c=1 w/d=1 ");
	assert_page(f, "w/", "w/d", 2, "w/e=1 ");
	assert_page(f, "w/", "w/e", 2, "");
	assert_page(f, "w/", "w/bb", 1, "w/c=1 ");
	assert_page(f, "w/", "v/z", 1, "w/a=1 ");
	assert_page(f, "w/", "x", 1, "");
	assert_page(f, "", "w/e", 0, "x/a=1 \xff\xff/a=1 ");
	assert_page(f, "\xff", "", 0, "\xff\xff/a=1 ");
}

/* ---- batches ---- */

static void batch_put(
	struct cv_store_batch *b, const char *key, const char *value, uint64_t expected)
{
	cv_store_batch_put(b, KIND, cv_str_of(key), cv_str_of(value), expected);
}

static void test_batch(void **state)
{
	struct fixture *f = *state;
	struct cv_store_batch *b = cv_store_batch_begin();

	assert_int_equal(put(f, "old", "x", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "gone", "x", CV_STORE_NEW, NULL), CV_OK);
	batch_put(b, "a", "one", CV_STORE_NEW);
	batch_put(b, "old", "y", 1);
	cv_store_batch_delete(b, KIND, CV_STR("gone"), 1);
	batch_put(b, "a", "two", 1); /* sees the first */
	assert_int_equal(cv_store_batch_commit(f->store, b, NULL), CV_OK);
	assert_int_equal(cv_store_batch_version(b, 0), 1);
	assert_int_equal(cv_store_batch_version(b, 1), 2);
	assert_int_equal(cv_store_batch_version(b, 2), 0);
	assert_int_equal(cv_store_batch_version(b, 3), 2);
	cv_store_batch_free(b);
	assert_list(f, "", 0, "a=two old=y ");
}

/* Each part in turn is the one that came late; nothing of the rest is there. */
static void test_batch_all_or_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, "m", "old", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "n", "old", CV_STORE_NEW, NULL), CV_OK);
	for (size_t late = 0; late < 4; late++) {
		struct cv_store_batch *b = cv_store_batch_begin();
		static const char *const names[] = { "job a", "job m", "job n", "job z" };
		struct cv_err err;

		batch_put(b, "a", "new", late == 0 ? 7 : CV_STORE_NEW);
		batch_put(b, "m", "new", late == 1 ? 7 : 1);
		cv_store_batch_delete(b, KIND, CV_STR("n"), late == 2 ? 7 : 1);
		if (late == 3)
			cv_store_batch_delete(b, KIND, CV_STR("z"), CV_STORE_ANY);
		assert_int_equal(cv_store_batch_commit(f->store, b, &err),
			late == 3 ? CV_NOT_FOUND : CV_DENIED);
		assert_int_equal(cv_store_batch_culprit(b), late);
		assert_non_null(strstr(err.msg, names[late]));
		assert_list(f, "", 0, "m=old n=old ");
		assert_value(f, "m", "old", 1);
		cv_store_batch_free(b);
	}
	assert_int_equal(put(f, "m", "after", 1, NULL), CV_OK);
}

/* Batches of one turn: the one that is refused leaves the others, and those see each other. */
static void test_commit_of_many(void **state)
{
	struct fixture *f = *state;
	struct cv_store_batch *b[4];
	struct cv_err err;

	for (size_t i = 0; i < 4; i++)
		b[i] = cv_store_batch_begin();
	batch_put(b[0], "a", "1", CV_STORE_NEW);
	batch_put(b[1], "b", "1", CV_STORE_NEW);
	batch_put(b[1], "a", "2", CV_STORE_NEW); /* is there since b[0] */
	batch_put(b[2], "a", "3", 1);
	batch_put(b[3], "c", "1", CV_STORE_NEW);
	cv_store_batch_put(b[3], KIND, CV_STR("a\0b"), CV_STR("x"), CV_STORE_NEW);
	assert_int_equal(cv_store_commit(f->store, b, 4, &err), CV_OK);
	assert_int_equal(cv_store_batch_result(b[0], NULL), CV_OK);
	assert_int_equal(cv_store_batch_result(b[1], &err), CV_DENIED);
	assert_string_equal(err.msg, "job a was written in between");
	assert_int_equal(cv_store_batch_culprit(b[1]), 1);
	assert_int_equal(cv_store_batch_result(b[2], NULL), CV_OK);
	assert_int_equal(cv_store_batch_version(b[2], 0), 2);
	assert_int_equal(cv_store_batch_result(b[3], NULL), CV_INVALID);
	assert_list(f, "", 0, "a=3 ");
	for (size_t i = 0; i < 4; i++)
		cv_store_batch_free(b[i]);
}

/* One that was refused may be tried again when the reason is gone. */
static void test_batch_again(void **state)
{
	struct fixture *f = *state;
	struct cv_store_batch *b = cv_store_batch_begin();

	batch_put(b, "a", "1", 1);
	assert_int_equal(cv_store_batch_commit(f->store, b, NULL), CV_DENIED);
	assert_int_equal(put(f, "a", "0", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(cv_store_batch_commit(f->store, b, NULL), CV_OK);
	assert_value(f, "a", "1", 2);
	cv_store_batch_free(b);
}

/* ---- copies ---- */

static void test_backup(void **state)
{
	struct fixture *f = *state;
	struct cv_store *other;
	char path[160], again[176];
	struct stat st;
	struct cv_err err;

	snprintf(path, sizeof(path), "%s/copy", f->dir);
	assert_int_equal(put(f, "a", "1", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(put(f, "a", "2", 1, NULL), CV_OK);
	assert_int_equal(put(f, "b", "", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(cv_store_backup(f->store, path, &err), CV_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(again, sizeof(again), "%s-wal", path);
	assert_int_equal(stat(again, &st), -1); /* one file is all there is to take away */

	assert_int_equal(put(f, "a", "3", 2, NULL), CV_OK);
	assert_int_equal(put(f, "c", "later", CV_STORE_NEW, NULL), CV_OK);
	assert_int_equal(cv_store_restore(f->store, path, &err), CV_OK);
	assert_list(f, "", 0, "a=2 b= ");
	assert_value(f, "a", "2", 2);

	assert_int_equal(cv_store_open_memory(&other, NULL), CV_OK); /* into another kind */
	assert_int_equal(cv_store_restore(other, path, &err), CV_OK);
	struct fixture g = { .store = other };
	assert_value(&g, "a", "2", 2);
	assert_int_equal(cv_store_backup(other, path, &err), CV_OK); /* over the first */
	assert_int_equal(cv_store_restore(f->store, path, &err), CV_OK);
	assert_list(f, "", 0, "a=2 b= ");
	cv_store_close(other);
	assert_int_equal(unlink(path), 0);
}

/* A backup that is none, or damaged, leaves what is there. */
static void test_restore_refused(void **state)
{
	struct fixture *f = *state;
	char path[160];
	struct cv_err err;

	snprintf(path, sizeof(path), "%s/copy", f->dir);
	for (int i = 0; i < 300; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(
			put(f, key, "some text to fill pages with", CV_STORE_NEW, NULL), CV_OK);
	}
	assert_int_equal(cv_store_restore(f->store, "/nonexistent", &err), CV_INVALID);
	assert_int_equal(cv_store_backup(f->store, path, &err), CV_OK);
	FILE *file = fopen(path, "r+");
	fseek(file, 8192, SEEK_SET);
	for (int i = 0; i < 4096; i++)
		fputc(0xa5, file);
	fclose(file);
	assert_int_equal(cv_store_restore(f->store, path, &err), CV_INVALID);
	assert_non_null(strstr(err.msg, "damaged"));
	file = fopen(path, "w");
	fputs("text", file);
	fclose(file);
	assert_int_equal(cv_store_restore(f->store, path, &err), CV_INVALID);
	file = fopen(path, "w"); /* an empty file is an empty database, and no backup */
	fclose(file);
	assert_int_equal(cv_store_restore(f->store, path, &err), CV_INVALID);
	unlink(path);
	assert_value(f, "17", "some text to fill pages with", 1);
}

/* ---- the file ---- */

static void test_it_lasts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put(f, "a", "kept", CV_STORE_NEW, NULL), CV_OK);
	cv_store_close(f->store);
	f->store = NULL;
	assert_int_equal(cv_store_open_sqlite(f->path, &f->store, NULL), CV_OK);
	assert_value(f, "a", "kept", 1);
}

static void test_nobody_else_reads_it(void **state)
{
	static const char *const suffix[] = { "", "-wal", "-shm" };
	struct fixture *f = *state;

	assert_int_equal(put(f, "a", "x", CV_STORE_NEW, NULL), CV_OK);
	for (size_t i = 0; i < 3; i++) {
		char path[160];
		struct stat st;

		snprintf(path, sizeof(path), "%s%s", f->path, suffix[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void test_a_file_that_is_none(void **state)
{
	struct fixture *f = *state;
	struct cv_store *other = NULL;
	char path[160];
	struct cv_err err;

	snprintf(path, sizeof(path), "%s/other.db", f->dir);
	FILE *file = fopen(path, "w");
	fputs("this is not a database, however long one looks at it: it is text and nothing else",
		file);
	fclose(file);
	assert_int_equal(cv_store_open_sqlite(path, &other, &err), CV_SYSTEM);
	assert_null(other);
	unlink(path);
	assert_int_equal(cv_store_open_sqlite("/nonexistent/x.db", &other, &err), CV_SYSTEM);
	assert_int_equal(symlink(f->path, path), 0);
	assert_int_equal(cv_store_open_sqlite(path, &other, &err), CV_SYSTEM);
	unlink(path);
}

/* clang-format off */
#define ALL_KINDS(name)                                             \
	{ #name "/memory", name, setup_memory, teardown, NULL },     \
	{ #name "/sqlite", name, setup_sqlite, teardown, NULL },     \
	{ #name "/postgres", name, setup_postgres, teardown, NULL }
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_KINDS(test_put_get),
		ALL_KINDS(test_compare_and_swap),
		ALL_KINDS(test_list),
		ALL_KINDS(test_read_parts),
		ALL_KINDS(test_bad_input),
		ALL_KINDS(test_bytes_are_kept),
		ALL_KINDS(test_pages),
		ALL_KINDS(test_batch),
		ALL_KINDS(test_batch_all_or_nothing),
		ALL_KINDS(test_commit_of_many),
		ALL_KINDS(test_batch_again),
		ALL_KINDS(test_backup),
		ALL_KINDS(test_restore_refused),
		cmocka_unit_test_setup_teardown(test_it_lasts, setup_sqlite, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_else_reads_it, setup_sqlite, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_none, setup_sqlite, teardown),
	};

	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pg_server_stop(&server);
	return failed;
}
