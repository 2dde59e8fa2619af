/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_int.h - what an implementation of a store provides
 */
#pragma once
#include "store/store.h"

typedef bool store_each_fn(void *arg, struct cv_str kind, const struct cv_record *r);

enum store_mark { STORE_MARK_SET, STORE_MARK_BACK, STORE_MARK_DROP };

/* As in store.h; keys and values were checked. */
struct store_ops {
	void (*close)(struct cv_store *s);
	cv_code (*read)(struct cv_store *s, struct cv_str kind, struct cv_str key, uint64_t offset,
		size_t n, struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err);
	cv_code (*put)(struct cv_store *s, struct cv_str kind, struct cv_str key,
		struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err);
	cv_code (*remove)(struct cv_store *s, struct cv_str kind, struct cv_str key,
		uint64_t expected, struct cv_err *err);
	/* limit is a hint (0: none): store.c stops by itself. */
	cv_code (*list)(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
		struct cv_str after, size_t limit, store_each_fn *each, void *arg,
		struct cv_err *err);

	/* A transaction.  Between begin and end: put, remove, mark, clear, fill.  After a failure of
	 * another kind than CV_DENIED or CV_NOT_FOUND only end(false) is called. */
	cv_code (*begin)(struct cv_store *s, struct cv_err *err);
	cv_code (*end)(struct cv_store *s, bool is_kept, struct cv_err *err);
	/* One at a time: a place to go back to. */
	cv_code (*mark)(struct cv_store *s, enum store_mark what, struct cv_err *err);

	/* For copies: every record; in a transaction: none, and one with its version. */
	cv_code (*all)(struct cv_store *s, store_each_fn *each, void *arg, struct cv_err *err);
	cv_code (*clear)(struct cv_store *s, struct cv_err *err);
	cv_code (*fill)(struct cv_store *s, struct cv_str kind, const struct cv_record *r,
		struct cv_err *err);

	/* NULL: nobody else can reach it. */
	cv_code (*claim)(struct cv_store *s, struct cv_err *err);

	/* NULL, or a copy in the implementation's own way to a file that is not there yet. */
	cv_code (*copy)(struct cv_store *s, const char *path, struct cv_err *err);
};

struct cv_store { /* the first member of each implementation */
	const struct store_ops *ops;
	void (*seen)(void *arg, const struct cv_store_event *e);
	void *seen_arg;
};

/* ---- store.c ---- */

/* For seen(): when it begins; and at the end, with its code, which is returned. */
int64_t store_clock_us(const struct cv_store *s);
cv_code store_seen(const struct cv_store *s, struct cv_store_event e, int64_t began_us);
cv_code store_key_check(struct cv_str kind, struct cv_str key, struct cv_err *err);
cv_code store_not_found(struct cv_str kind, struct cv_str key, struct cv_err *err);
cv_code store_late(struct cv_str kind, struct cv_str key, struct cv_err *err);

/* ---- schema.c ---- */

struct store_step { /* from the version before it to its own, which is its place in the table plus 1 */
	const char *sqlite, *postgres;
};

extern const struct store_step store_steps[];
extern const uint32_t store_step_count;

/* What an implementation tells schema.c of itself: the version of its schema (0: none), a
 * transaction, statements. */
struct store_schema {
	const char *name; /* of the file or database, for people */
	cv_code (*version)(void *arg, uint32_t *ret, struct cv_err *err);
	cv_code (*run)(void *arg, const char *sql, struct cv_err *err);
	const char *begin;
	bool is_postgres;
	void *arg;
};

/* Brings the schema to the last step.  CV_INVALID: it is newer than the steps. */
CV_MUST cv_code store_migrate(const struct store_schema *m, const struct store_step *steps,
	uint32_t count, struct cv_err *err);

/* ---- sqlite.c ---- */

/* A backup, opened as a copy in a temporary file that has no name, migrated and checked. */
CV_MUST cv_code store_open_backup(const char *path, struct cv_store **ret, struct cv_err *err);
/* The end of a copy: no journal beside it, all of it on the disk. */
CV_MUST cv_code store_sqlite_settle(struct cv_store *s, struct cv_err *err);
