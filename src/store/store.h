/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - records that outlive the process that wrote them
 *
 * A record is bytes under a kind and a key, with a version that grows by one with each write.  Who
 * writes says which version it has seen: of two who change the same record one is told that it
 * came late.  So a state machine's "at most one end" holds across processes.
 *
 * Implementations: memory, for tests and for what need not last; SQLite in WAL mode, a file of mode
 * 0600; PostgreSQL.  All pass the same tests.  A value is at most CV_STORE_VALUE_BYTES_MAX.
 *
 * What changes together is a batch: all of it is stored or nothing.  Batches of one turn of a loop are
 * committed together: each stands for itself, but they wait for the disk once.  What was
 * acknowledged survives kill -9 and a power cut (not in memory, nor in a scratch file).
 *
 * One thread.  Codes: CV_NOT_FOUND, CV_DENIED (another version than expected), CV_LIMIT (value or
 * key too large, or no memory), CV_INVALID (a key with a NUL), CV_UNAVAILABLE (the disk is full,
 * the database does not answer: the same call may work later), CV_SYSTEM (the file).
 * A write that ended in CV_UNAVAILABLE was not stored, but for one case: a PostgreSQL that was lost
 * while it committed, and that could not be asked since.  Who tries again with the version that it
 * expected then is told with CV_DENIED that the write was there.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define CV_STORE_KEY_BYTES_MAX   512
#define CV_STORE_VALUE_BYTES_MAX (64u << 20) /* one result; SQLite could take 1 GB */

#define CV_STORE_NEW             0          /* expected: there is none yet */
#define CV_STORE_ANY             UINT64_MAX /* expected: whatever is there */

struct cv_store;

struct cv_record { /* borrowed until the callback returns */
	struct cv_str key, value;
	uint64_t version;
};

CV_MUST cv_code cv_store_open_memory(struct cv_store **ret, struct cv_err *err);
/* Makes the file if there is none.  CV_SYSTEM: the file, or its contents. */
CV_MUST cv_code cv_store_open_sqlite(const char *path, struct cv_store **ret, struct cv_err *err);
/* The same for what ends with the machine anyway: the last moments before a power cut may be lost. */
CV_MUST cv_code cv_store_open_scratch(const char *path, struct cv_store **ret, struct cv_err *err);
/* A connection string or URL of libpq; link store_pg_dep.  CV_UNAVAILABLE: no database answers. */
CV_MUST cv_code cv_store_open_postgres(const char *url, struct cv_store **ret, struct cv_err *err);
void cv_store_close(struct cv_store *s); /* NULL is fine */

/* For who keeps in memory what the store holds: until it is closed no other process can claim the same
 * records.  CV_UNAVAILABLE: somebody else has.  Waits some seconds for one who is about to end. */
CV_MUST cv_code cv_store_claim(struct cv_store *s, struct cv_err *err);

/* Appends the value to ret_value; ret_version may be NULL. */
CV_MUST cv_code cv_store_get(struct cv_store *s, struct cv_str kind, struct cv_str key,
	struct cv_buf *ret_value, uint64_t *ret_version, struct cv_err *err);
/* At most n bytes of the value from offset on; none behind its end. */
CV_MUST cv_code cv_store_read(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t offset, size_t n, struct cv_buf *ret_bytes, struct cv_err *err);
CV_MUST cv_code cv_store_put(struct cv_store *s, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err);
CV_MUST cv_code cv_store_delete(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t expected, struct cv_err *err);

/* Every record of a kind whose key begins with prefix, in the order of their keys, until each() says
 * false.  each() must not call the store. */
CV_MUST cv_code cv_store_list(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	bool (*each)(void *arg, const struct cv_record *r), void *arg, struct cv_err *err);
/* The same for one page: at most limit records (0: all) whose keys come after `after` (empty: from
 * the first on). */
CV_MUST cv_code cv_store_page(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	struct cv_str after, size_t limit, bool (*each)(void *arg, const struct cv_record *r),
	void *arg, struct cv_err *err);

/* ---- who looks on ---- */

/* What was asked and what came of it: "get", "put", "delete", "list", "commit"; of a
 * commit the batches and records that it was asked for.  seen must not call the store. */
struct cv_store_event {
	const char *operation;
	cv_code code;
	int64_t us;
	size_t batches, records;
};
/* seen NULL: nobody. */
void cv_store_observe(
	struct cv_store *s, void (*seen)(void *arg, const struct cv_store_event *e), void *arg);

/* ---- batches ---- */

#define CV_STORE_BATCH_PARTS_MAX \
	4096 /* what one call changes; a workspace with all in it has fewer */

struct cv_store_batch;

/* NULL: no memory. */
struct cv_store_batch *cv_store_batch_begin(void);
void cv_store_batch_free(
	struct cv_store_batch *b); /* NULL is fine; what was not committed is gone */
/* Copied.  What is wrong with a part is said by the commit. */
void cv_store_batch_put(struct cv_store_batch *b, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected);
void cv_store_batch_delete(
	struct cv_store_batch *b, struct cv_str kind, struct cv_str key, uint64_t expected);
size_t cv_store_batch_count(const struct cv_store_batch *b);

/* All parts in their order, or none.  CV_DENIED, CV_NOT_FOUND: err names the record, and so does
 * cv_store_batch_culprit(). */
CV_MUST cv_code cv_store_batch_commit(
	struct cv_store *s, struct cv_store_batch *b, struct cv_err *err);
/* Several batches with one wait for the disk.  Each is all or nothing for itself and sees those
 * before it; which of them were stored is in their results.  Other codes than CV_OK: none was. */
CV_MUST cv_code cv_store_commit(
	struct cv_store *s, struct cv_store_batch *const *b, size_t n, struct cv_err *err);
CV_MUST cv_code cv_store_batch_result(const struct cv_store_batch *b, struct cv_err *ret_why);
/* After it was stored: the version that part i (in order of the calls) has now; 0: deleted. */
uint64_t cv_store_batch_version(const struct cv_store_batch *b, size_t i);
/* After it was refused: the part that was the reason; the count of parts when none was. */
size_t cv_store_batch_culprit(const struct cv_store_batch *b);

/* ---- copies ---- */

/* Writes all records to a new SQLite file (mode 0600; an older one of that name is replaced when
 * the new one is whole), whatever this store is.  The store stays in use. */
CV_MUST cv_code cv_store_backup(struct cv_store *s, const char *path, struct cv_err *err);
/* Replaces all records by those of a backup, versions too: all, or on failure none.  CV_INVALID: the
 * file is no backup, or is damaged, or of a newer schema. */
CV_MUST cv_code cv_store_restore(struct cv_store *s, const char *path, struct cv_err *err);
/* Before anything is given up for it: CV_INVALID, as above. */
CV_MUST cv_code cv_store_backup_check(const char *path, struct cv_err *err);
