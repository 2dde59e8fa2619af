/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres.c - a store in a PostgreSQL database
 *
 * One connection, used without waiting for more than a deadline (pg_link.h).
 *
 * Every write is within a transaction of ours and tells its number (xid) with its version.  When the
 * connection is lost at COMMIT, that number is what a new connection asks the server about; so a
 * write is unsure only while the server can't be asked.
 *
 * A claim is an advisory lock of the session, on the table of records; each new connection takes it
 * first.  A former session of ours that the server takes for alive still is ended, so that a broken
 * line does not lock us out.
 *
 * Records are looked up by names with the prefix cove_ in the connection's own schema.
 */
#include "store/pg_link.h"
#include "store/store_int.h"
#include "sys/clock.h"

#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define TRANSACTION_MS 20000 /* a whole batch, whose statements take microseconds */
#define RESTART_MS     3000  /* of a server, whose answer to a COMMIT is waited for */
#define CLAIM_MS       6000  /* of one who ends: a statement of his may run for four seconds */
#define CLAIM_AGAIN_MS 200   /* of a call that had to connect anew: our former session goes */
#define CLAIM_STEP_MS  20

struct pg {
	struct cv_store store;
	struct pg_link link;
	uint64_t xid; /* of the transaction, once it has written */
	bool is_claimed;
	int session; /* the server's number of the one that had the claim last; 0: none */
};

static struct pg_link *link_of(struct cv_store *s)
{
	return &((struct pg *)s)->link;
}

/* ---- the schema ---- */

static cv_code schema_version(void *arg, uint32_t *ret, struct cv_err *err)
{
	static const struct pg_args none;
	const struct pg_question is_there = {
		.sql = "SELECT to_regclass('cove_schema_version') IS NULL", .args = &none
	};
	const struct pg_question which = {
		.sql = "SELECT max(version)::bigint FROM cove_schema_version", .args = &none
	};
	PGresult *r = NULL;
	cv_code code = pg_ask_once(arg, &is_there, &r, err);

	if (code != CV_OK)
		return code;
	const bool is_new = PQntuples(r) == 1 && *PQgetvalue(r, 0, 0);
	PQclear(r);
	*ret = 0;
	if (is_new)
		return CV_OK;
	code = pg_ask_once(arg, &which, &r, err);
	if (code != CV_OK)
		return code;
	*ret = (uint32_t)pg_number(r, 0, 0);
	PQclear(r);
	return CV_OK;
}

static cv_code schema_run(void *arg, const char *sql, struct cv_err *err)
{
	return pg_command(arg, sql, err);
}

static cv_code migrate(
	struct pg_link *q, const struct store_step *steps, uint32_t count, struct cv_err *err)
{
	const struct store_schema m = { .name = q->name,
		.version = schema_version,
		.run = schema_run,
		.begin =
			"BEGIN; SELECT pg_advisory_xact_lock(7165296781)", /* any number of our own */
		.is_postgres = true,
		.arg = q };

	return store_migrate(&m, steps, count, err);
}

/* ---- the claim ---- */

#define CLAIM_CLASS "1668249189" /* any number of our own */

static cv_code claim_try(struct pg *q, bool *ret_is_ours, struct cv_err *err)
{
	static const struct pg_args none;
	const struct pg_question x = { .sql = "SELECT pg_try_advisory_lock(" CLAIM_CLASS
					      ", 'cove_record'::regclass::oid::integer)",
		.args = &none };
	PGresult *r = NULL;
	const cv_code code = pg_ask_once(&q->link, &x, &r, err);

	if (code != CV_OK)
		return code;
	*ret_is_ours = cv_str_eq(pg_bytes(r, 0, 0), CV_STR("\1"));
	PQclear(r);
	if (*ret_is_ours)
		q->session = PQbackendPID(q->link.c);
	return CV_OK;
}

/* Whoever else has the claim is left alone. */
static cv_code former_end(struct pg *q, struct cv_err *err)
{
	struct pg_args a = { 0 };
	const struct pg_question x = {
		.sql = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND "
		       "granted AND classid = " CLAIM_CLASS
		       " AND objid = 'cove_record'::regclass::oid "
		       "AND objsubid = 2 AND database = (SELECT oid FROM pg_database "
		       "WHERE datname = current_database()) AND pid = $1",
		.args = &a
	};

	pg_arg_number(&a, (uint64_t)q->session);
	return q->session ? pg_ask_once(&q->link, &x, NULL, err) : CV_OK;
}

static cv_code claim_take(struct pg *q, int64_t ms, struct cv_err *err)
{
	const int64_t until = cv_clock_ms() + ms;
	bool is_ours = false;
	cv_code code = claim_try(q, &is_ours, err);

	if (code == CV_OK && !is_ours)
		code = former_end(q, err);
	while (code == CV_OK && !is_ours && cv_clock_ms() < until) {
		poll(NULL, 0, CLAIM_STEP_MS);
		code = claim_try(q, &is_ours, err);
	}
	if (code == CV_OK && !is_ours)
		code = cv_fail(
			err, CV_UNAVAILABLE, "the database %s is another gateway's", q->link.name);
	return code;
}

static cv_code pg_claim(struct cv_store *s, struct cv_err *err)
{
	struct pg *q = (struct pg *)s;
	cv_code code = pg_connect(&q->link, err);

	if (code == CV_OK)
		code = claim_take(q, CLAIM_MS, err);
	q->is_claimed = code == CV_OK;
	return code;
}

static cv_code ready(struct pg_link *link, struct cv_err *err)
{
	struct pg *q = (struct pg *)(void *)((char *)link - offsetof(struct pg, link));
	const cv_code code = migrate(link, store_steps, store_step_count, err);

	return code == CV_OK && q->is_claimed ? claim_take(q, CLAIM_AGAIN_MS, err) : code;
}

/* ---- transactions ---- */

static cv_code pg_begin(struct cv_store *s, struct cv_err *err)
{
	struct pg *q = (struct pg *)s;
	const struct pg_question x = { .sql = "BEGIN" };
	const cv_code code = pg_ask(&q->link, &x, NULL, err);

	q->link.is_in_transaction = code == CV_OK;
	q->link.until_ms = cv_clock_ms() + TRANSACTION_MS;
	q->xid = 0;
	return code;
}

/* After COMMIT was sent and no answer came: was it heard?  CV_OK: yes. */
static cv_code inquire(struct pg *q, struct cv_err *err)
{
	struct pg_args a = { 0 };
	const struct pg_question x = { .sql = "SELECT pg_xact_status($1::text::xid8)", .args = &a };
	const int64_t until = cv_clock_ms() + PG_STATEMENT_MS;
	struct cv_err own;
	char xid[24];
	PGresult *r = NULL;

	if (!q->xid)
		return CV_UNAVAILABLE; /* it wrote nothing */
	a.value[0] = xid;
	a.length[0] = snprintf(xid, sizeof(xid), "%llu", (unsigned long long)q->xid);
	a.n = 1;
	a.type[0] = 25; /* text */
	while (cv_clock_ms() < until) {
		q->link.retry_ms = 0;
		if (pg_connect(&q->link, &own) != CV_OK) {
			poll(NULL, 0, 100);
			if (cv_clock_ms() >= until - PG_STATEMENT_MS + RESTART_MS)
				break; /* long enough for a server that was restarted */
			continue;
		}
		if (pg_ask_once(&q->link, &x, &r, &own) != CV_OK)
			continue;
		const struct cv_str status = pg_bytes(r, 0, 0);
		const bool is_done = cv_str_eq(status, CV_STR("committed"));
		const bool is_open = cv_str_eq(status, CV_STR("in progress"));
		PQclear(r);
		if (is_done)
			return CV_OK;
		if (!is_open)
			return CV_UNAVAILABLE;
		poll(NULL, 0, 50);
	}
	cv_wrap(err, "it is not known whether the last write was stored");
	return CV_UNAVAILABLE;
}

static cv_code pg_end(struct cv_store *s, bool is_kept, struct cv_err *err)
{
	struct pg *q = (struct pg *)s;
	struct cv_err own, *e = err ? err : &own;

	if (!q->link.c) {
		q->link.is_in_transaction = false;
		return is_kept ? cv_fail(err, CV_UNAVAILABLE, "the database %s was lost",
					 q->link.name)
			       : CV_OK;
	}
	cv_code code = pg_command(&q->link, is_kept ? "COMMIT" : "ROLLBACK", e);
	q->link.is_in_transaction = false;
	if (code == CV_OK)
		return CV_OK;
	pg_drop(&q->link); /* which rolls back what was not committed */
	return is_kept ? inquire(q, e) : code;
}

static cv_code pg_mark(struct cv_store *s, enum store_mark what, struct cv_err *err)
{
	static const char *const sql[] = {
		[STORE_MARK_SET] = "SAVEPOINT m",
		[STORE_MARK_BACK] = "ROLLBACK TO m; RELEASE m",
		[STORE_MARK_DROP] = "RELEASE m",
	};
	const struct pg_question x = { .sql = sql[what] };

	return pg_ask(link_of(s), &x, NULL, err);
}

/* A write in a transaction of its own, unless it is in one. */
static cv_code written(
	struct pg *q, const struct pg_question *x, PGresult **ret, struct cv_err *err)
{
	const bool is_alone = !q->link.is_in_transaction;
	struct cv_err ignored;
	cv_code code = is_alone ? pg_begin(&q->store, err) : CV_OK;

	if (code != CV_OK)
		return code;
	code = pg_ask(&q->link, x, ret, err);
	if (code == CV_OK && PQntuples(*ret) && PQnfields(*ret) > 1)
		q->xid = pg_number(*ret, 0, 1);
	if (!is_alone)
		return code;
	if (code != CV_OK) {
		(void)!pg_end(&q->store, false, &ignored);
		return code;
	}
	code = pg_end(&q->store, true, err);
	if (code != CV_OK)
		PQclear(*ret);
	return code;
}

/* ---- records ---- */

#define XID "pg_current_xact_id()::text::bigint"

static cv_code pg_put(struct cv_store *s, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err)
{
	static const char *const insert =
		"INSERT INTO cove_record (kind, key, value, version) VALUES ($1, $2, $3, 1) "
		"ON CONFLICT (kind, key) DO NOTHING RETURNING version, " XID;
	static const char *const upsert =
		"INSERT INTO cove_record AS r (kind, key, value, version) VALUES ($1, $2, $3, 1) "
		"ON CONFLICT (kind, key) DO UPDATE SET value = $3, version = r.version + 1 "
		"RETURNING version, " XID;
	static const char *const update =
		"UPDATE cove_record SET value = $3, version = version + 1 "
		"WHERE kind = $1 AND key = $2 AND version = $4 RETURNING version, " XID;
	struct pg_args a = { 0 };
	struct pg_question x = { .args = &a };
	PGresult *r = NULL;

	pg_arg_bytes(&a, kind);
	pg_arg_bytes(&a, key);
	pg_arg_bytes(&a, value);
	x.sql = expected == CV_STORE_ANY ? upsert : expected == CV_STORE_NEW ? insert : update;
	if (x.sql == update)
		pg_arg_number(&a, expected);
	const cv_code code = written((struct pg *)s, &x, &r, err);
	if (code != CV_OK)
		return code;
	const bool is_put = PQntuples(r) == 1;
	if (is_put && ret_version)
		*ret_version = pg_number(r, 0, 0);
	PQclear(r);
	return is_put ? CV_OK : store_late(kind, key, err);
}

static cv_code pg_read(struct cv_store *s, struct cv_str kind, struct cv_str key, uint64_t offset,
	size_t n, struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err)
{
	const bool is_whole = offset == 0 && n == SIZE_MAX;
	struct pg_args a = { 0 };
	const struct pg_question x = {
		.sql = is_whole
			       ? "SELECT version, value FROM cove_record WHERE kind = $1 AND key = $2"
			       : "SELECT version, substring(value FROM $3::bigint::integer FOR "
				 "$4::bigint::integer) FROM cove_record WHERE kind = $1 AND key = $2",
		.args = &a
	};
	PGresult *r = NULL;

	pg_arg_bytes(&a, kind);
	pg_arg_bytes(&a, key);
	if (!is_whole) { /* what is behind the largest value is as empty as any */
		pg_arg_number(&a, CV_MIN(offset, (uint64_t)CV_STORE_VALUE_BYTES_MAX) + 1);
		pg_arg_number(&a, CV_MIN((uint64_t)n, (uint64_t)CV_STORE_VALUE_BYTES_MAX));
	}
	cv_code code = pg_ask(link_of(s), &x, &r, err);
	if (code != CV_OK)
		return code;
	if (PQntuples(r) == 0)
		code = store_not_found(kind, key, err);
	else if (!cv_buf_put(ret, pg_bytes(r, 0, 1)))
		code = cv_fail(err, CV_LIMIT, "no room for a record");
	else if (ret_version)
		*ret_version = pg_number(r, 0, 0);
	PQclear(r);
	return code;
}

static cv_code pg_remove(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t expected, struct cv_err *err)
{
	/* One statement says both whether it was there and whether it is gone. */
	static const char *const sql =
		"WITH gone AS (DELETE FROM cove_record WHERE kind = $1 AND key = $2 AND "
		"($3 = -1 OR version = $3) RETURNING 1) "
		"SELECT (SELECT count(*) FROM gone), " XID ", "
		"(SELECT count(*) FROM cove_record WHERE kind = $1 AND key = $2)";
	struct pg_args a = { 0 };
	const struct pg_question x = { .sql = sql, .args = &a };
	PGresult *r = NULL;

	pg_arg_bytes(&a, kind);
	pg_arg_bytes(&a, key);
	pg_arg_number(&a, expected); /* CV_STORE_ANY is -1 */
	const cv_code code = written((struct pg *)s, &x, &r, err);
	if (code != CV_OK)
		return code;
	const bool is_gone = pg_number(r, 0, 0) == 1, was_there = pg_number(r, 0, 2) == 1;
	PQclear(r);
	if (is_gone)
		return CV_OK;
	return was_there ? store_late(kind, key, err) : store_not_found(kind, key, err);
}

struct walk {
	store_each_fn *each;
	void *arg;
	struct cv_str prefix;
};

static bool walk_row(void *arg, const PGresult *r)
{
	const struct walk *w = arg;
	const struct cv_record record = { pg_bytes(r, 0, 1), pg_bytes(r, 0, 2),
		pg_number(r, 0, 3) };

	return cv_str_has_prefix(record.key, w->prefix) &&
	       w->each(w->arg, pg_bytes(r, 0, 0), &record);
}

/* The first key behind all those with this prefix; empty: there is none. */
static struct cv_str prefix_end(struct cv_str prefix, char *buf)
{
	size_t n = prefix.n;

	while (n && (unsigned char)prefix.p[n - 1] == 0xff)
		n--;
	memcpy(buf, prefix.p ? prefix.p : "", n);
	if (n)
		buf[n - 1]++;
	return (struct cv_str){ buf, n };
}

static cv_code pg_list(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	struct cv_str after, size_t limit, store_each_fn *each, void *arg, struct cv_err *err)
{
	struct walk w = { each, arg, prefix };
	struct pg_args a = { 0 };
	char buf[CV_STORE_KEY_BYTES_MAX];
	const struct pg_question x = {
		.sql = "SELECT kind, key, value, version FROM cove_record WHERE kind = $1 AND "
		       "key >= $2 AND key > $3 AND (key < $4 OR $4 = '') ORDER BY key "
		       "LIMIT NULLIF($5, 0)",
		.args = &a,
		.row = walk_row,
		.arg = &w,
	};

	pg_arg_bytes(&a, kind);
	pg_arg_bytes(&a, prefix);
	pg_arg_bytes(&a, after);
	pg_arg_bytes(&a, prefix_end(prefix, buf));
	pg_arg_number(&a, limit);
	return pg_ask(link_of(s), &x, NULL, err);
}

static cv_code pg_all(struct cv_store *s, store_each_fn *each, void *arg, struct cv_err *err)
{
	static const struct pg_args none;
	struct walk w = { each, arg, CV_STR_NONE };
	const struct pg_question x = {
		.sql = "SELECT kind, key, value, version FROM cove_record ORDER BY kind, key",
		.args = &none,
		.row = walk_row,
		.arg = &w,
	};

	return pg_ask(link_of(s), &x, NULL, err);
}

static cv_code pg_clear(struct cv_store *s, struct cv_err *err)
{
	const struct pg_question x = { .sql = "DELETE FROM cove_record" };

	link_of(s)->until_ms = INT64_MAX; /* a restore takes as long as there are records */
	return pg_ask(link_of(s), &x, NULL, err);
}

static cv_code pg_fill(
	struct cv_store *s, struct cv_str kind, const struct cv_record *r, struct cv_err *err)
{
	struct pg_args a = { 0 };
	const struct pg_question x = { .sql = "INSERT INTO cove_record (kind, key, value, version) "
					      "VALUES ($1, $2, $3, $4) RETURNING version, " XID,
		.args = &a };
	PGresult *got = NULL;

	pg_arg_bytes(&a, kind);
	pg_arg_bytes(&a, r->key);
	pg_arg_bytes(&a, r->value);
	pg_arg_number(&a, r->version);
	const cv_code code = written((struct pg *)s, &x, &got, err);
	if (code == CV_OK)
		PQclear(got);
	return code;
}

static void pg_close(struct cv_store *s)
{
	pg_link_fini(link_of(s));
	free(s);
}

static const struct store_ops pg_ops = {
	.close = pg_close,
	.read = pg_read,
	.put = pg_put,
	.remove = pg_remove,
	.list = pg_list,
	.begin = pg_begin,
	.end = pg_end,
	.mark = pg_mark,
	.all = pg_all,
	.clear = pg_clear,
	.fill = pg_fill,
	.claim = pg_claim,
};

cv_code cv_store_open_postgres(const char *url, struct cv_store **ret, struct cv_err *err)
{
	struct pg *q = calloc(1, sizeof(*q));

	if (!q)
		return cv_fail(err, CV_LIMIT, "no memory for a store");
	q->store.ops = &pg_ops;
	const cv_code code = pg_link_init(&q->link, url, ready, err);
	if (code != CV_OK) {
		free(q);
		return code;
	}
	*ret = &q->store;
	return CV_OK;
}
