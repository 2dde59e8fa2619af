/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite.c - a store in one file
 *
 * WAL, so that readers and the writer do not wait for each other, and a backup for neither;
 * synchronous FULL: a commit is on the disk before it is acknowledged, with one fsync() of the log.
 * NORMAL for scratch files: a crash of the process loses nothing, one of the machine the last
 * moments, which jobs of that machine don't survive either.  The file is made with mode 0600 before
 * SQLite opens it; what SQLite makes beside it gets the same mode from it.
 *
 * A write compares and changes in one statement, and what it changed says whether it came late.
 * The version is asked for only where nobody knows it: RETURNING makes a temporary table, whose pages
 * are a hundred kilobytes to take, fill and give back each time.
 * A failure within a transaction may have ended it already (a full disk does); end() looks.
 */
#include "store/store_int.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS  2000 /* another process may be making its last checkpoint */
#define CLAIM_AT ((off_t)1 << 62)

enum statement {
	GET,
	INSERT,
	UPDATE,
	UPSERT,
	DELETE,
	DELETE_ANY,
	LIST,
	ROW,
	ALL,
	CLEAR,
	FILL,
	STATEMENT_COUNT
};

static const char *const text[STATEMENT_COUNT] = {
	[GET] = "SELECT version, value FROM record WHERE kind = ?1 AND key = ?2",
	[INSERT] =
		"INSERT OR IGNORE INTO record (kind, key, value, version) VALUES (?1, ?2, ?3, 1)",
	[UPDATE] = "UPDATE record SET value = ?3, version = ?4 + 1 "
		   "WHERE kind = ?1 AND key = ?2 AND version = ?4",
	[UPSERT] = "INSERT INTO record (kind, key, value, version) VALUES (?1, ?2, ?3, 1) "
		   "ON CONFLICT (kind, key) DO UPDATE SET value = ?3, version = version + 1 "
		   "RETURNING version",
	[DELETE] = "DELETE FROM record WHERE kind = ?1 AND key = ?2 AND version = ?4",
	[DELETE_ANY] = "DELETE FROM record WHERE kind = ?1 AND key = ?2",
	[LIST] =
		"SELECT key, value, version FROM record WHERE kind = ?1 AND key >= ?2 AND key > ?3 "
		"ORDER BY key",
	[ROW] = "SELECT rowid FROM record WHERE kind = ?1 AND key = ?2",
	[ALL] = "SELECT kind, key, value, version FROM record ORDER BY kind, key",
	[CLEAR] = "DELETE FROM record",
	[FILL] = "INSERT INTO record (kind, key, value, version) VALUES (?1, ?2, ?3, ?4)",
};

struct sqlite {
	struct cv_store store;
	sqlite3 *db;
	char *path;
	int claim; /* holds the lock; closed behind the database, whose locks go with any descriptor */
	sqlite3_stmt *statement[STATEMENT_COUNT];
};

static cv_code fail(struct sqlite *q, const char *what, struct cv_err *err)
{
	switch (sqlite3_errcode(q->db) & 0xff) {
	case SQLITE_FULL:
		return cv_fail(err, CV_UNAVAILABLE, "%s: the disk is full (%s)", what, q->path);
	case SQLITE_BUSY:
		return cv_fail(err, CV_UNAVAILABLE, "%s: another process holds %s", what, q->path);
	case SQLITE_NOMEM: return cv_fail(err, CV_LIMIT, "%s: no memory", what);
	default: break;
	}
	return cv_fail(err, CV_SYSTEM, "%s: %s: %s", what, q->path, sqlite3_errmsg(q->db));
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
		code = store_not_found(kind, key, err);
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
		return store_not_found(kind, key, err);
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
	const bool is_put = rc == SQLITE_ROW || sqlite3_changes(q->db) > 0;
	uint64_t version = expected + 1;
	if (rc == SQLITE_ROW) {
		version = (uint64_t)sqlite3_column_int64(s, 0);
		rc = sqlite3_step(s); /* which commits */
	}
	if (rc != SQLITE_DONE)
		code = fail(q, "write a record", err);
	else if (!is_put)
		code = store_late(kind, key, err);
	else if (ret_version)
		*ret_version = version;
	sqlite3_reset(s);
	return code;
}

static cv_code sqlite_remove(struct cv_store *store, struct cv_str kind, struct cv_str key,
	uint64_t expected, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	sqlite3_stmt *s = bound(q, expected == CV_STORE_ANY ? DELETE_ANY : DELETE, kind, key);

	if (expected != CV_STORE_ANY)
		sqlite3_bind_int64(s, 4, (sqlite3_int64)expected);
	const int rc = sqlite3_step(s);
	sqlite3_reset(s);
	if (rc != SQLITE_DONE)
		return fail(q, "delete a record", err);
	if (sqlite3_changes(q->db))
		return CV_OK;
	s = bound(q, ROW, kind, key);
	const int there = sqlite3_step(s);
	sqlite3_reset(s);
	if (there == SQLITE_ROW)
		return store_late(kind, key, err);
	return there == SQLITE_DONE ? store_not_found(kind, key, err)
				    : fail(q, "read a record", err);
}

static cv_code sqlite_list(struct cv_store *store, struct cv_str kind, struct cv_str prefix,
	struct cv_str after, size_t limit, store_each_fn *each, void *arg, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	sqlite3_stmt *s = bound(q, LIST, kind, prefix);
	int rc;

	(void)limit; /* rows are made one by one */
	sqlite3_bind_blob(s, 3, after.n ? after.p : "", (int)after.n, SQLITE_STATIC);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const struct cv_record r = { blob(s, 0), blob(s, 1),
			(uint64_t)sqlite3_column_int64(s, 2) };

		if (!cv_str_has_prefix(r.key, prefix) || !each(arg, kind, &r)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? CV_OK : fail(q, "list records", err);
}

static cv_code run(struct sqlite *q, const char *sql, struct cv_err *err)
{
	return sqlite3_exec(q->db, sql, NULL, NULL, NULL) == SQLITE_OK ? CV_OK : fail(q, sql, err);
}

/* A commit whose fsync() failed was refused, but its pages are in the log, and who reads that after a
 * crash would take them for good.  Another commit, of nothing, takes their place there, even if it
 * fails in the same way: what stands behind it does not fit its checksums. */
static void refused_erase(struct sqlite *q)
{
	(void)sqlite3_exec(q->db, "PRAGMA user_version = 0", NULL, NULL, NULL);
}

static cv_code sqlite_begin(struct cv_store *store, struct cv_err *err)
{
	return run((struct sqlite *)store, "BEGIN IMMEDIATE", err);
}

static cv_code sqlite_end(struct cv_store *store, bool is_kept, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	cv_code code = is_kept ? run(q, "COMMIT", err) : CV_OK;
	const bool is_in_log = code != CV_OK && (sqlite3_errcode(q->db) & 0xff) == SQLITE_IOERR;

	if (!sqlite3_get_autocommit(q->db)) { /* what failed may have ended it */
		struct cv_err own;
		const cv_code back = run(q, "ROLLBACK", &own);

		if (code == CV_OK && back != CV_OK) {
			code = back;
			if (err)
				*err = own;
		}
	}
	if (is_in_log)
		refused_erase(q);
	return code;
}

static cv_code sqlite_mark(struct cv_store *store, enum store_mark what, struct cv_err *err)
{
	static const char *const sql[] = {
		[STORE_MARK_SET] = "SAVEPOINT m",
		[STORE_MARK_BACK] = "ROLLBACK TO m; RELEASE m",
		[STORE_MARK_DROP] = "RELEASE m",
	};

	return run((struct sqlite *)store, sql[what], err);
}

static cv_code sqlite_all(
	struct cv_store *store, store_each_fn *each, void *arg, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	sqlite3_stmt *s = q->statement[ALL];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const struct cv_record r = { blob(s, 1), blob(s, 2),
			(uint64_t)sqlite3_column_int64(s, 3) };

		if (!each(arg, blob(s, 0), &r)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? CV_OK : fail(q, "list records", err);
}

static cv_code once(struct sqlite *q, sqlite3_stmt *s, struct cv_err *err)
{
	const int rc = sqlite3_step(s);

	sqlite3_reset(s);
	return rc == SQLITE_DONE ? CV_OK : fail(q, "write a record", err);
}

static cv_code sqlite_clear(struct cv_store *store, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;

	return once(q, q->statement[CLEAR], err);
}

static cv_code sqlite_fill(
	struct cv_store *store, struct cv_str kind, const struct cv_record *r, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;
	sqlite3_stmt *s = bound(q, FILL, kind, r->key);

	sqlite3_bind_blob(s, 3, r->value.n ? r->value.p : "", (int)r->value.n, SQLITE_STATIC);
	sqlite3_bind_int64(s, 4, (sqlite3_int64)r->version);
	return once(q, s, err);
}

/* All pages at once: with steps between them a busy store's copy would start again and again. */
static cv_code copy_into(struct sqlite *from, struct sqlite *to, struct cv_err *err)
{
	sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from->db, "main");

	if (!b)
		return fail(to, "copy records", err);
	const int rc = sqlite3_backup_step(b, -1);
	sqlite3_backup_finish(b);
	if (rc == SQLITE_DONE)
		return CV_OK;
	return sqlite3_errcode(to->db) ? fail(to, "copy records", err)
				       : cv_fail(err, CV_SYSTEM, "copy records of %s: %s",
						 from->path, sqlite3_errstr(rc));
}

static cv_code file_make(const char *path, struct sqlite **ret, struct cv_err *err);

static cv_code sqlite_copy(struct cv_store *store, const char *path, struct cv_err *err)
{
	struct sqlite *to;
	cv_code code = file_make(path, &to, err);

	if (code != CV_OK)
		return code;
	code = copy_into((struct sqlite *)store, to, err);
	if (code == CV_OK)
		code = store_sqlite_settle(&to->store, err);
	cv_store_close(&to->store);
	return code;
}

cv_code store_sqlite_settle(struct cv_store *store, struct cv_err *err)
{
	struct sqlite *q = (struct sqlite *)store;

	for (size_t i = 0; i < STATEMENT_COUNT; i++) { /* a journal in use can't be changed */
		sqlite3_finalize(q->statement[i]);
		q->statement[i] = NULL;
	}
	return run(q, "PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE", err);
}

/* A byte that SQLite never locks, and a lock that is the descriptor's and not the process'. */
static cv_code sqlite_claim(struct cv_store *s, struct cv_err *err)
{
	const struct flock one = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = CLAIM_AT, .l_len = 1
	};
	struct sqlite *q = (struct sqlite *)s;

	if (q->claim < 0)
		q->claim = open(q->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (q->claim < 0)
		return cv_fail_errno(err, "open %s", q->path);
	if (fcntl(q->claim, F_OFD_SETLK, &one) == 0)
		return CV_OK;
	return errno == EAGAIN || errno == EACCES
		       ? cv_fail(err, CV_UNAVAILABLE, "%s is another gateway's", q->path)
		       : cv_fail_errno(err, "lock %s", q->path);
}

static void sqlite_close(struct cv_store *store)
{
	struct sqlite *q = (struct sqlite *)store;

	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(q->statement[i]);
	sqlite3_close(q->db);
	cv_fd_cleanup(&q->claim);
	free(q->path);
	free(q);
}

static const struct store_ops sqlite_ops = {
	.close = sqlite_close,
	.read = sqlite_read,
	.put = sqlite_put,
	.remove = sqlite_remove,
	.list = sqlite_list,
	.begin = sqlite_begin,
	.end = sqlite_end,
	.mark = sqlite_mark,
	.all = sqlite_all,
	.clear = sqlite_clear,
	.fill = sqlite_fill,
	.claim = sqlite_claim,
	.copy = sqlite_copy,
};

static cv_code schema_version(void *arg, uint32_t *ret, struct cv_err *err)
{
	struct sqlite *q = arg;
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(q->db,
		"SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'", -1,
		&s, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	sqlite3_finalize(s);
	s = NULL;
	if (rc == SQLITE_ROW) {
		rc = sqlite3_prepare_v2(
			q->db, "SELECT max(version) FROM schema_version", -1, &s, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(s);
	}
	if (rc == SQLITE_ROW)
		*ret = (uint32_t)sqlite3_column_int64(s, 0);
	else if (rc == SQLITE_DONE)
		*ret = 0;
	sqlite3_finalize(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? CV_OK : fail(q, "read the schema", err);
}

static cv_code schema_run(void *arg, const char *sql, struct cv_err *err)
{
	return run(arg, sql, err);
}

static cv_code migrate(
	struct sqlite *q, const struct store_step *steps, uint32_t count, struct cv_err *err)
{
	const struct store_schema m = { .name = q->path,
		.version = schema_version,
		.run = schema_run,
		.begin = "BEGIN IMMEDIATE",
		.arg = q };

	return store_migrate(&m, steps, count, err);
}

static cv_code prepare(struct sqlite *q, struct cv_err *err)
{
	cv_code code = migrate(q, store_steps, store_step_count, err);

	for (size_t i = 0; i < STATEMENT_COUNT && code == CV_OK; i++)
		if (sqlite3_prepare_v3(q->db, text[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &q->statement[i], NULL) != SQLITE_OK)
			code = fail(q, "prepare", err);
	return code;
}

static const char settings[] = "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA cache_size = -512;" /* KiB: what is read is read once */
			       "PRAGMA trusted_schema = OFF;";

/* path "": a temporary file. */
static cv_code database_open(
	const char *path, const char *name, struct sqlite **ret, struct cv_err *err)
{
	struct sqlite *q = calloc(1, sizeof(*q));
	const int made = *path ? 0 : SQLITE_OPEN_CREATE;

	if (!q)
		return cv_fail(err, CV_LIMIT, "no memory for a store");
	q->store.ops = &sqlite_ops;
	q->claim = -1;
	q->path = strdup(name);
	if (!q->path) {
		free(q);
		return cv_fail(err, CV_LIMIT, "no memory for a store");
	}
	if (sqlite3_open_v2(path, &q->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | made,
		    NULL) != SQLITE_OK) {
		const cv_code code = fail(q, "open", err);

		sqlite_close(&q->store);
		return code;
	}
	sqlite3_busy_timeout(q->db, BUSY_MS);
	*ret = q;
	return CV_OK;
}

static cv_code file_make(const char *path, struct sqlite **ret, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return cv_fail_errno(err, "open %s", path);
	return database_open(path, path, ret, err);
}

static cv_code open_with(
	const char *path, const char *more, struct cv_store **ret, struct cv_err *err)
{
	struct sqlite *q;
	cv_code code = file_make(path, &q, err);

	if (code != CV_OK)
		return code;
	code = run(q, settings, err);
	if (code == CV_OK)
		code = run(q, more, err);
	if (code == CV_OK)
		code = prepare(q, err);
	if (code != CV_OK) {
		sqlite_close(&q->store);
		return code;
	}
	*ret = &q->store;
	return CV_OK;
}

cv_code cv_store_open_sqlite(const char *path, struct cv_store **ret, struct cv_err *err)
{
	return open_with(path, "", ret, err);
}

cv_code cv_store_open_scratch(const char *path, struct cv_store **ret, struct cv_err *err)
{
	return open_with(path, "PRAGMA synchronous = NORMAL", ret, err);
}

static cv_code backup_check(struct sqlite *q, struct cv_err *err)
{
	sqlite3_stmt *s = NULL;
	uint32_t version;
	bool is_whole = false;

	if (sqlite3_prepare_v2(q->db, "PRAGMA quick_check(1)", -1, &s, NULL) == SQLITE_OK &&
		sqlite3_step(s) == SQLITE_ROW)
		is_whole = cv_str_eq(blob(s, 0), CV_STR("ok"));
	sqlite3_finalize(s);
	if (!is_whole)
		return cv_fail(err, CV_INVALID, "%s is damaged, or no backup", q->path);
	const cv_code code = schema_version(q, &version, err);
	if (code == CV_OK && version == 0)
		return cv_fail(err, CV_INVALID, "%s is no backup of a store", q->path);
	return code;
}

cv_code store_open_backup(const char *path, struct cv_store **ret, struct cv_err *err)
{
	sqlite3 *file = NULL;
	struct sqlite *q, from = { 0 };
	cv_code code = database_open("", path, &q, err);

	if (code != CV_OK)
		return code;
	if (sqlite3_open_v2(path, &file, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
		code = cv_fail(err, CV_INVALID, "%s: %s", path, sqlite3_errmsg(file));
	} else {
		from.db = file;
		from.path = q->path;
		if (copy_into(&from, q, err) != CV_OK)
			code = cv_fail(err, CV_INVALID, "%s is damaged, or no backup", path);
	}
	sqlite3_close(file);
	if (code == CV_OK)
		code = backup_check(q, err);
	if (code == CV_OK)
		code = prepare(q, err);
	if (code != CV_OK) {
		sqlite_close(&q->store);
		return code;
	}
	*ret = &q->store;
	return CV_OK;
}
