/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - records that outlive the process that wrote them
 *
 * A record is bytes under a kind and a key, with a version that grows by one with each write.  Who
 * writes says which version it has seen: of two who change the same record one is told that it
 * came late.  So a state machine's "at most one end" holds across processes.
 *
 * Implementations: memory, for tests and for what need not last; SQLite in WAL mode, a file of mode
 * 0600.  Both pass the same tests.  A value is at most CV_STORE_VALUE_BYTES_MAX.
 *
 * One thread.  Codes: CV_NOT_FOUND, CV_DENIED (another version than expected), CV_LIMIT (value or
 * key too large, or no memory), CV_INVALID (a key with a NUL), CV_SYSTEM (the file).
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
void cv_store_close(struct cv_store *s); /* NULL is fine */

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
