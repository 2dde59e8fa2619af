/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite.c - a store in one file
 *
 * WAL, so that readers and the writer do not wait for each other; synchronous NORMAL: a crash of the
 * process loses nothing, one of the machine the last moments, which jobs of that machine don't
 * survive either.  The file is made with mode 0600 before SQLite opens it; what SQLite makes beside
 * it gets the same mode from it.
 *
 * A write compares and changes in one statement, and what it changed says whether it came late.
 */
#include "store/store_int.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS 2000 /* another process may be making its last checkpoint */

enum statement { GET, INSERT, UPDATE, UPSERT, DELETE, DELETE_ANY, LIST, ROW, STATEMENT_COUNT };

static const char *const text[STATEMENT_COUNT] = {
	[GET] = "SELECT version, value FROM record WHERE kind = ?1 AND key = ?2",
	[INSERT] =
		"INSERT OR IGNORE INTO record (kind, key, value, version) VALUES (?1, ?2, ?3, 1) "
		"RETURNING version",
	[UPDATE] = "UPDATE record SET value = ?3, version = version + 1 "
		   "WHERE kind = ?1 AND key = ?2 AND version = ?4 RETURNING version",
	[UPSERT] = "INSERT INTO record (kind, key, value, version) VALUES (?1, ?2, ?3, 1) "
		   "ON CONFLICT (kind, key) DO UPDATE SET value = ?3, version = version + 1 "
		   "RETURNING version",
	[DELETE] = "DELETE FROM record WHERE kind = ?1 AND key = ?2 AND version = ?4",
	[DELETE_ANY] = "DELETE FROM record WHERE kind = ?1 AND key = ?2",
	[LIST] =
		"SELECT key, value, version FROM record WHERE kind = ?1 AND key >= ?2 ORDER BY key",
	[ROW] = "SELECT rowid FROM record WHERE kind = ?1 AND key = ?2",
};

struct sqlite {
	struct cv_store store;
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENT_COUNT];
};

static cv_code fail(struct sqlite *q, const char *what, struct cv_err *err)
{
	return cv_fail(err, CV_SYSTEM, "%s: %s", what, sqlite3_errmsg(q->db));
}

static cv_code not_found(struct cv_str kind, struct cv_str key, struct cv_err *err)
{
	return cv_fail(err, CV_NOT_FOUND, "no %.*s %.*s", CV_STR_ARG(kind), CV_STR_ARG(key));
}

/* Keys are bytes: their order is that of the bytes in every implementation. */
static sqlite3_stmt *bound(
	struct sqlite *q, enum statement which, struct cv_str kind, struct cv_str key)
{
	sqlite3_stmt *s = q->statement[which];

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	sqlite3_bind_blob(s, 1, kind.p, (int)kind.n, SQLITE_STATIC);
	sqlite3_bind_blob(s, 2, key.n ? key.p : "", (int)key.n, SQLITE_STATIC);
	return s;
}

static struct cv_str blob(sqlite3_stmt *s, int column)
{
	const char *p = sqlite3_column_blob(s, column);

	return (struct cv_str){ p, (size_t)sqlite3_column_bytes(s, column) };
}

static cv_code whole_read(struct sqlite *q, struct cv_str kind, struct cv_str key,
	struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err)
{
	sqlite3_stmt *s = bound(q, GET, kind, key);
	const int rc = sqlite3_step(s);
	cv_code code = CV_OK;

	if (rc == SQLITE_DONE)
		code = not_found(kind, key, err);
	else if (rc != SQLITE_ROW)
		code = fail(q, "read a record", err);
	else if (!cv_buf_put(ret, blob(s, 1)))
		code = cv_fail(err, CV_LIMIT, "no room for a record");
	else if (ret_version)
		*ret_version = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return code;
}

/* Without the rest of a large value. */
static cv_code part_read(struct sqlite *q, struct cv_str kind, struct cv_str key, uint64_t offset,
	size_t n, struct cv_buf *ret, struct cv_err *err)
{
	sqlite3_stmt *s = bound(q, ROW, kind, key);
	const int rc = sqlite3_step(s);
	const int64_t row = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_blob *b = NULL;
	cv_code code = CV_OK;

	sqlite3_reset(s);
	if (rc == SQLITE_DONE)
		return not_found(kind, key, err);
	if (rc != SQLITE_ROW ||
		sqlite3_blob_open(q->db, "main", "record", "value", row, 0, &b) != SQLITE_OK)
		return fail(q, "read a record", err);
	const uint64_t all = (uint64_t)sqlite3_blob_bytes(b);
	if (offset < all) {
		const size_t some = (size_t)CV_MIN((uint64_t)n, all - offset);
		char *room = cv_buf_reserve(ret, some);

		if (!room)
			code = cv_fail(err, CV_LIMIT, "no room for a record");
		else if (sqlite3_blob_read(b, room, (int)some, (int)offset) != SQLITE_OK)
			code = fail(q, "read a record", err);
		else
			cv_buf_commit(ret, some);
	}
	sqlite3_blob_close(b);
	return code;
}

static cv_code sqlite_read(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t offset, size_t n, struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)s;

	if (offset == 0 && n == SIZE_MAX)
		return whole_read(q, kind, key, ret, ret_version, err);
	return part_read(q, kind, key, offset, n, ret, err);
}

static cv_code sqlite_put(struct cv_store *store, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	const enum statement which = expected == CV_STORE_ANY   ? UPSERT
				     : expected == CV_STORE_NEW ? INSERT
								: UPDATE;
	sqlite3_stmt *s = bound(q, which, kind, key);
	cv_code code = CV_OK;

	sqlite3_bind_blob(s, 3, value.n ? value.p : "", (int)value.n, SQLITE_STATIC);
	if (which == UPDATE)
		sqlite3_bind_int64(s, 4, (sqlite3_int64)expected);
	int rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		if (ret_version)
			*ret_version = (uint64_t)sqlite3_column_int64(s, 0);
		rc = sqlite3_step(s); /* which commits */
	} else if (rc == SQLITE_DONE) {
		code = cv_fail(err, CV_DENIED, "%.*s %.*s was written in between", CV_STR_ARG(kind),
			CV_STR_ARG(key));
	}
	if (rc != SQLITE_DONE)
		code = fail(q, "write a record", err);
	sqlite3_reset(s);
	return code;
}

static cv_code sqlite_remove(struct cv_store *store, struct cv_str kind, struct cv_str key,
	uint64_t expected, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	sqlite3_stmt *s = bound(q, expected == CV_STORE_ANY ? DELETE_ANY : DELETE, kind, key);
	struct cv_buf none;

	if (expected != CV_STORE_ANY)
		sqlite3_bind_int64(s, 4, (sqlite3_int64)expected);
	const int rc = sqlite3_step(s);
	sqlite3_reset(s);
	if (rc != SQLITE_DONE)
		return fail(q, "delete a record", err);
	if (sqlite3_changes(q->db))
		return CV_OK;
	cv_buf_init(&none, CV_STORE_VALUE_BYTES_MAX);
	const cv_code code = whole_read(q, kind, key, &none, NULL, err);
	cv_buf_fini(&none);
	return code == CV_OK ? cv_fail(err, CV_DENIED, "%.*s %.*s was written in between",
				       CV_STR_ARG(kind), CV_STR_ARG(key))
			     : code;
}

static cv_code sqlite_list(struct cv_store *store, struct cv_str kind, struct cv_str prefix,
	bool (*each)(void *arg, const struct cv_record *r), void *arg, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	sqlite3_stmt *s = bound(q, LIST, kind, prefix);
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const struct cv_record r = { blob(s, 0), blob(s, 1),
			(uint64_t)sqlite3_column_int64(s, 2) };

		if (!cv_str_has_prefix(r.key, prefix) || !each(arg, &r)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? CV_OK : fail(q, "list records", err);
}

static void sqlite_close(struct cv_store *store)
{
	struct sqlite *q = (struct sqlite *)store;

	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(q->statement[i]);
	sqlite3_close(q->db);
	free(q);
}

static const struct store_ops sqlite_ops = {
	.close = sqlite_close,
	.read = sqlite_read,
	.put = sqlite_put,
	.remove = sqlite_remove,
	.list = sqlite_list,
};

static const char schema[] =
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = NORMAL;"
	"PRAGMA cache_size = -512;" /* KiB: what is read is read once */
	"PRAGMA trusted_schema = OFF;"
	"CREATE TABLE IF NOT EXISTS record ("
	"  kind BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL,"
	"  PRIMARY KEY (kind, key)) STRICT;";

static cv_code prepare(struct sqlite *q, const char *path, struct cv_err *err)
{
	if (sqlite3_open_v2(path, &q->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) !=
		SQLITE_OK)
		return fail(q, path, err);
	sqlite3_busy_timeout(q->db, BUSY_MS);
	if (sqlite3_exec(q->db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return fail(q, path, err);
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(q->db, text[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &q->statement[i], NULL) != SQLITE_OK)
			return fail(q, path, err);
	return CV_OK;
}

cv_code cv_store_open_sqlite(const char *path, struct cv_store **ret, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct sqlite *q = calloc(1, sizeof(*q));

	if (!q)
		return cv_fail(err, CV_LIMIT, "no memory for a store");
	q->store.ops = &sqlite_ops;
	cv_code code = CV_OK;
	if (fd < 0 || fchmod(fd, 0600) < 0)
		code = cv_fail_errno(err, "open %s", path);
	else
		code = prepare(q, path, err);
	if (code != CV_OK) {
		sqlite_close(&q->store);
		return code;
	}
	*ret = &q->store;
	return CV_OK;
}
