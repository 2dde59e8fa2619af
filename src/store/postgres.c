/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres.c - a store in a PostgreSQL database
 *
 * One connection, used without waiting for more than a deadline: each statement is sent and its
 * results are collected under poll().  A database that is gone, or silent, fails a call with
 * CV_UNAVAILABLE within STATEMENT_MS, and the connection is given up: the server rolls back what was
 * not committed.  The next call connects anew, and a loop that serves others must not be held up by
 * that: a call waits DIAL_WAIT_MS for it, those of the next RETRY_MS not at all, and the first one
 * after them goes on where it was left.  (A name of the host is looked up by libpq, which waits as
 * long as the system's resolver does; an address or socket avoids that.)
 *
 * Every write is within a transaction of ours and tells its number (xid) with its version.  When the
 * connection is lost at COMMIT, that number is what a new connection asks the server about; so a
 * write is unsure only while the server can't be asked.
 *
 * Records are looked up by names with the prefix cove_ in the connection's own schema.  Values are
 * sent and received in binary.
 */
#include "store/store_int.h"
#include "sys/clock.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_MS     3000  /* with TLS over a slow line */
#define DIAL_WAIT_MS   200   /* of a call, for a connection that was lost */
#define STATEMENT_MS   5000  /* a server that lives ends each after 4 s by itself */
#define BYTES_PER_MS   4096  /* ... once it has it: 64 MB to a server in another room */
#define TRANSACTION_MS 20000 /* a whole batch, whose statements take microseconds */
#define RETRY_MS       1000
#define BYTEA_OID      17
#define INT8_OID       20
#define ARGS_MAX       5

struct pg {
	struct cv_store store;
	char *url;
	PGconn *c;
	PGconn *coming;      /* one that is being made, ... */
	short coming_events; /* ... waits for this, ... */
	int64_t coming_ms;   /* ... and is given up then */
	int64_t retry_ms;    /* nobody waits for it before */
	bool is_in_transaction;
	bool is_open;     /* it was reached before, so somebody is served who can't wait */
	int64_t until_ms; /* of the transaction */
	uint64_t xid;     /* of the transaction, once it has written */
	char name[128];   /* for people: never a password */
};

struct args {
	const char *value[ARGS_MAX];
	int length[ARGS_MAX], format[ARGS_MAX];
	Oid type[ARGS_MAX];
	uint64_t number[ARGS_MAX]; /* in the order of the network */
	int n;
};

static void arg_bytes(struct args *a, struct cv_str s)
{
	a->value[a->n] = s.n ? s.p : "";
	a->length[a->n] = (int)s.n;
	a->format[a->n] = 1;
	a->type[a->n++] = BYTEA_OID;
}

static void arg_number(struct args *a, uint64_t v)
{
	a->number[a->n] = htobe64(v);
	a->value[a->n] = (const char *)&a->number[a->n];
	a->length[a->n] = 8;
	a->format[a->n] = 1;
	a->type[a->n++] = INT8_OID;
}

static uint64_t number_of(const PGresult *r, int row, int column)
{
	uint64_t v = 0;

	if (PQgetlength(r, row, column) == 8)
		memcpy(&v, PQgetvalue(r, row, column), 8);
	return be64toh(v);
}

static struct cv_str bytes_of(const PGresult *r, int row, int column)
{
	return (struct cv_str){ PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column) };
}

/* ---- the connection ---- */

static void drop(struct pg *q)
{
	PQfinish(q->c);
	q->c = NULL;
	q->is_in_transaction = false;
}

/* The first line of what libpq says. */
static cv_code lost(struct pg *q, const char *what, struct cv_err *err)
{
	const struct cv_str said = cv_str_of(q->c ? PQerrorMessage(q->c) : "");
	struct cv_str rest = said;
	const struct cv_str line = cv_str_cut(&rest, '\n');

	(void)cv_fail(err, CV_UNAVAILABLE, "the database %s: %s: %.*s", q->name, what,
		CV_STR_ARG(line.n ? line : CV_STR("it does not answer in time")));
	drop(q);
	return CV_UNAVAILABLE;
}

/* False when it did not happen in time. */
static bool wait_on(PGconn *c, short events, int64_t until_ms)
{
	struct pollfd p = { .fd = PQsocket(c), .events = events };

	for (;;) {
		const int64_t left = until_ms - cv_clock_ms();
		const int n = left > 0 && p.fd >= 0 ? poll(&p, 1, (int)left) : 0;

		if (n >= 0 || errno != EINTR)
			return n > 0;
	}
}

static bool wait_for(struct pg *q, short events, int64_t until_ms)
{
	return wait_on(q->c, events, until_ms);
}

static void coming_drop(struct pg *q)
{
	PQfinish(q->coming);
	q->coming = NULL;
}

static cv_code dial_begin(struct pg *q, struct cv_err *err)
{
	coming_drop(q);
	q->coming = PQconnectStart(q->url);
	if (!q->coming)
		return cv_fail(err, CV_LIMIT, "no memory for a connection");
	q->coming_events = POLLOUT;
	q->coming_ms = cv_clock_ms() + CONNECT_MS;
	return CV_OK;
}

/* Why it can't be: as lost(). */
static cv_code dial_failed(struct pg *q, struct cv_err *err)
{
	q->c = q->coming;
	q->coming = NULL;
	return lost(q, "connect", err);
}

/* CV_UNAVAILABLE with q->coming: it may come still. */
static cv_code dial(struct pg *q, struct cv_err *err)
{
	const int64_t now = cv_clock_ms();
	const bool is_anew = !q->coming || now >= q->coming_ms;
	const cv_code code = is_anew ? dial_begin(q, err) : CV_OK;
	PostgresPollingStatusType s;

	if (code != CV_OK)
		return code;
	const int64_t until = q->is_open ? CV_MIN(q->coming_ms, now + DIAL_WAIT_MS) : q->coming_ms;
	do {
		if (PQstatus(q->coming) == CONNECTION_BAD)
			return dial_failed(q, err);
		if (!wait_on(q->coming, q->coming_events, until)) {
			if (until >= q->coming_ms)
				return dial_failed(q, err);
			return cv_fail(err, CV_UNAVAILABLE,
				"the database %s: connect: it does not answer in time", q->name);
		}
		s = PQconnectPoll(q->coming);
		q->coming_events = s == PGRES_POLLING_READING ? POLLIN : POLLOUT;
	} while (s != PGRES_POLLING_OK);
	if (PQsetnonblocking(q->coming, 1) < 0)
		return dial_failed(q, err);
	q->c = q->coming;
	q->coming = NULL;
	return CV_OK;
}

/* Sends what is queued; reads meanwhile, or both sides could wait for each other. */
static cv_code flush(struct pg *q, int64_t until, struct cv_err *err)
{
	int more;

	while ((more = PQflush(q->c)) > 0)
		if (!wait_for(q, POLLIN | POLLOUT, until) || !PQconsumeInput(q->c))
			return lost(q, "ask", err);
	return more < 0 ? lost(q, "ask", err) : CV_OK;
}

/* The next result of what was asked; NULL in *ret: there are no more. */
static cv_code next(struct pg *q, int64_t until, PGresult **ret, struct cv_err *err)
{
	while (PQisBusy(q->c))
		if (!wait_for(q, POLLIN, until) || !PQconsumeInput(q->c))
			return lost(q, "answer", err);
	*ret = PQgetResult(q->c);
	return CV_OK;
}

static bool is_good(const PGresult *r)
{
	const ExecStatusType s = PQresultStatus(r);

	return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_SINGLE_TUPLE;
}

/* What the server refused.  Its resources and its end (classes 53, 57, 08, 40) come and go. */
static cv_code refused(struct pg *q, const PGresult *r, struct cv_err *err)
{
	const struct cv_str state = cv_str_of(PQresultErrorField(r, PG_DIAG_SQLSTATE));
	const char *said = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const struct cv_str class = cv_str_slice(state, 0, 2);

	if (cv_str_eq(state, CV_STR("53100")))
		return cv_fail(err, CV_UNAVAILABLE, "the database %s: the disk is full", q->name);
	const bool is_passing = !state.n || cv_str_eq(class, CV_STR("53")) ||
				cv_str_eq(class, CV_STR("57")) || cv_str_eq(class, CV_STR("08")) ||
				cv_str_eq(class, CV_STR("40")) ||
				cv_str_eq(state, CV_STR("25006")); /* a standby, for now */
	return cv_fail(err, is_passing ? CV_UNAVAILABLE : CV_SYSTEM, "the database %s: %s%s%.*s",
		q->name, said ? said : PQerrorMessage(q->c), state.n ? ", SQLSTATE " : "",
		CV_STR_ARG(state));
}

/* Asks and collects every result; each row goes to row() as it comes when there is one, else the
 * last result is *ret. */
struct question {
	const char *sql;
	const struct args *args; /* NULL: several statements, no arguments */
	bool (*row)(void *arg, const PGresult *r);
	void *arg;
};

static cv_code sent(struct pg *q, const struct question *x, int64_t until, struct cv_err *err)
{
	const struct args *a = x->args;
	const int ok = a ? PQsendQueryParams(
				   q->c, x->sql, a->n, a->type, a->value, a->length, a->format, 1)
			 : PQsendQuery(q->c, x->sql);

	if (!ok || (x->row && !PQsetSingleRowMode(q->c)))
		return lost(q, "ask", err);
	return flush(q, until, err);
}

static cv_code collected(
	struct pg *q, const struct question *x, int64_t until, PGresult **ret, struct cv_err *err)
{
	cv_code code = CV_OK;
	bool wants = true;
	PGresult *r = NULL;

	for (;;) {
		const cv_code got = next(q, until, &r, err);

		if (got != CV_OK || !r) {
			code = got != CV_OK ? got : code;
			break;
		}
		if (!is_good(r) && code == CV_OK)
			code = refused(q, r, err);
		else if (x->row && code == CV_OK)
			for (int i = 0; i < PQntuples(r) && wants; i++)
				wants = x->row(x->arg, r);
		if (x->row)
			until = cv_clock_ms() + STATEMENT_MS; /* rows come: it is alive */
		PQclear(*ret);
		*ret = r;
	}
	if (q->c && PQstatus(q->c) == CONNECTION_BAD && code != CV_OK)
		drop(q);
	return code;
}

static int64_t bytes_of_args(const struct args *a)
{
	int64_t n = 0;

	for (int i = 0; a && i < a->n; i++)
		n += a->length[i];
	return n;
}

static cv_code asked(struct pg *q, const struct question *x, PGresult **ret, struct cv_err *err)
{
	const int64_t soon = cv_clock_ms() + STATEMENT_MS + bytes_of_args(x->args) / BYTES_PER_MS;
	const int64_t until = q->is_in_transaction ? CV_MIN(soon, q->until_ms) : soon;
	PGresult *r = NULL;
	cv_code code = sent(q, x, until, err);

	if (code == CV_OK)
		code = collected(q, x, until, &r, err);
	if (code == CV_OK && ret)
		*ret = r;
	else
		PQclear(r);
	return code;
}

static cv_code command(struct pg *q, const char *sql, struct cv_err *err)
{
	const struct question x = { .sql = sql };

	return asked(q, &x, NULL, err);
}

/* ---- the schema ---- */

static cv_code schema_version(void *arg, uint32_t *ret, struct cv_err *err)
{
	static const struct args none;
	const struct question is_there = {
		.sql = "SELECT to_regclass('cove_schema_version') IS NULL", .args = &none
	};
	const struct question which = {
		.sql = "SELECT max(version)::bigint FROM cove_schema_version", .args = &none
	};
	PGresult *r = NULL;
	cv_code code = asked(arg, &is_there, &r, err);

	if (code != CV_OK)
		return code;
	const bool is_new = PQntuples(r) == 1 && *PQgetvalue(r, 0, 0);
	PQclear(r);
	*ret = 0;
	if (is_new)
		return CV_OK;
	code = asked(arg, &which, &r, err);
	if (code != CV_OK)
		return code;
	*ret = (uint32_t)number_of(r, 0, 0);
	PQclear(r);
	return CV_OK;
}

static cv_code schema_run(void *arg, const char *sql, struct cv_err *err)
{
	return command(arg, sql, err);
}

static cv_code migrate(
	struct pg *q, const struct store_step *steps, uint32_t count, struct cv_err *err)
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

/* A connection that works, made if there is none. */
static cv_code connected(struct pg *q, struct cv_err *err)
{
	if (q->c)
		return CV_OK;
	if (cv_clock_ms() < q->retry_ms)
		return cv_fail(err, CV_UNAVAILABLE,
			"the database %s: could not be reached a moment ago", q->name);
	cv_code code = dial(q, err);
	if (code == CV_OK)
		code = command(q,
			"SET client_min_messages = warning; SET synchronous_commit = on; "
			"SET statement_timeout = '4s'; SET lock_timeout = '3s'; "
			"SET idle_in_transaction_session_timeout = '30s'",
			err);
	if (code == CV_OK)
		code = migrate(q, store_steps, store_step_count, err);
	if (code != CV_OK) {
		drop(q);
		q->retry_ms = cv_clock_ms() + RETRY_MS;
	}
	return code;
}

/* A question outside of a transaction is asked once more when the connection turns out to be dead:
 * it was, before we asked. */
static cv_code ask(struct pg *q, const struct question *x, PGresult **ret, struct cv_err *err)
{
	const bool may_repeat = q->c && !q->is_in_transaction && !x->row;
	cv_code code = connected(q, err);

	if (code != CV_OK)
		return code;
	code = asked(q, x, ret, err);
	if (code == CV_UNAVAILABLE && !q->c && may_repeat) {
		code = connected(q, err);
		if (code == CV_OK)
			code = asked(q, x, ret, err);
	}
	return code;
}

/* ---- transactions ---- */

static cv_code pg_begin(struct cv_store *s, struct cv_err *err)
{
	struct pg *q = (struct pg *)s;
	const struct question x = { .sql = "BEGIN" };
	const cv_code code = ask(q, &x, NULL, err);

	q->is_in_transaction = code == CV_OK;
	q->until_ms = cv_clock_ms() + TRANSACTION_MS;
	q->xid = 0;
	return code;
}

/* After COMMIT was sent and no answer came: was it heard?  CV_OK: yes. */
static cv_code inquire(struct pg *q, struct cv_err *err)
{
	struct args a = { 0 };
	const struct question x = { .sql = "SELECT pg_xact_status($1::text::xid8)", .args = &a };
	const int64_t until = cv_clock_ms() + STATEMENT_MS;
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
		q->retry_ms = 0;
		if (connected(q, &own) != CV_OK) {
			poll(NULL, 0, 100);
			if (cv_clock_ms() >= until - STATEMENT_MS + CONNECT_MS)
				break; /* long enough for a server that was restarted */
			continue;
		}
		if (asked(q, &x, &r, &own) != CV_OK)
			continue;
		const struct cv_str status = bytes_of(r, 0, 0);
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

	if (!q->c) {
		q->is_in_transaction = false;
		return is_kept ? cv_fail(err, CV_UNAVAILABLE, "the database %s was lost", q->name)
			       : CV_OK;
	}
	cv_code code = command(q, is_kept ? "COMMIT" : "ROLLBACK", e);
	q->is_in_transaction = false;
	if (code == CV_OK)
		return CV_OK;
	drop(q); /* which rolls back what was not committed */
	return is_kept ? inquire(q, e) : code;
}

static cv_code pg_mark(struct cv_store *s, enum store_mark what, struct cv_err *err)
{
	static const char *const sql[] = {
		[STORE_MARK_SET] = "SAVEPOINT m",
		[STORE_MARK_BACK] = "ROLLBACK TO m; RELEASE m",
		[STORE_MARK_DROP] = "RELEASE m",
	};
	const struct question x = { .sql = sql[what] };

	return ask((struct pg *)s, &x, NULL, err);
}

/* A write in a transaction of its own, unless it is in one. */
static cv_code written(struct pg *q, const struct question *x, PGresult **ret, struct cv_err *err)
{
	const bool is_alone = !q->is_in_transaction;
	struct cv_err ignored;
	cv_code code = is_alone ? pg_begin(&q->store, err) : CV_OK;

	if (code != CV_OK)
		return code;
	code = ask(q, x, ret, err);
	if (code == CV_OK && PQntuples(*ret) && PQnfields(*ret) > 1)
		q->xid = number_of(*ret, 0, 1);
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
	struct args a = { 0 };
	struct question x = { .args = &a };
	PGresult *r = NULL;

	arg_bytes(&a, kind);
	arg_bytes(&a, key);
	arg_bytes(&a, value);
	x.sql = expected == CV_STORE_ANY ? upsert : expected == CV_STORE_NEW ? insert : update;
	if (x.sql == update)
		arg_number(&a, expected);
	const cv_code code = written((struct pg *)s, &x, &r, err);
	if (code != CV_OK)
		return code;
	const bool is_put = PQntuples(r) == 1;
	if (is_put && ret_version)
		*ret_version = number_of(r, 0, 0);
	PQclear(r);
	return is_put ? CV_OK : store_late(kind, key, err);
}

static cv_code pg_read(struct cv_store *s, struct cv_str kind, struct cv_str key, uint64_t offset,
	size_t n, struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err)
{
	const bool is_whole = offset == 0 && n == SIZE_MAX;
	struct args a = { 0 };
	const struct question x = {
		.sql = is_whole
			       ? "SELECT version, value FROM cove_record WHERE kind = $1 AND key = $2"
			       : "SELECT version, substring(value FROM $3::bigint::integer FOR "
				 "$4::bigint::integer) FROM cove_record WHERE kind = $1 AND key = $2",
		.args = &a
	};
	PGresult *r = NULL;

	arg_bytes(&a, kind);
	arg_bytes(&a, key);
	if (!is_whole) { /* what is behind the largest value is as empty as any */
		arg_number(&a, CV_MIN(offset, (uint64_t)CV_STORE_VALUE_BYTES_MAX) + 1);
		arg_number(&a, CV_MIN((uint64_t)n, (uint64_t)CV_STORE_VALUE_BYTES_MAX));
	}
	cv_code code = ask((struct pg *)s, &x, &r, err);
	if (code != CV_OK)
		return code;
	if (PQntuples(r) == 0)
		code = store_not_found(kind, key, err);
	else if (!cv_buf_put(ret, bytes_of(r, 0, 1)))
		code = cv_fail(err, CV_LIMIT, "no room for a record");
	else if (ret_version)
		*ret_version = number_of(r, 0, 0);
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
	struct args a = { 0 };
	const struct question x = { .sql = sql, .args = &a };
	PGresult *r = NULL;

	arg_bytes(&a, kind);
	arg_bytes(&a, key);
	arg_number(&a, expected); /* CV_STORE_ANY is -1 */
	const cv_code code = written((struct pg *)s, &x, &r, err);
	if (code != CV_OK)
		return code;
	const bool is_gone = number_of(r, 0, 0) == 1, was_there = number_of(r, 0, 2) == 1;
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
	const struct cv_record record = { bytes_of(r, 0, 1), bytes_of(r, 0, 2),
		number_of(r, 0, 3) };

	return cv_str_has_prefix(record.key, w->prefix) &&
	       w->each(w->arg, bytes_of(r, 0, 0), &record);
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
	struct args a = { 0 };
	char buf[CV_STORE_KEY_BYTES_MAX];
	const struct question x = {
		.sql = "SELECT kind, key, value, version FROM cove_record WHERE kind = $1 AND "
		       "key >= $2 AND key > $3 AND (key < $4 OR $4 = '') ORDER BY key "
		       "LIMIT NULLIF($5, 0)",
		.args = &a,
		.row = walk_row,
		.arg = &w,
	};

	arg_bytes(&a, kind);
	arg_bytes(&a, prefix);
	arg_bytes(&a, after);
	arg_bytes(&a, prefix_end(prefix, buf));
	arg_number(&a, limit);
	return ask((struct pg *)s, &x, NULL, err);
}

static cv_code pg_all(struct cv_store *s, store_each_fn *each, void *arg, struct cv_err *err)
{
	static const struct args none;
	struct walk w = { each, arg, CV_STR_NONE };
	const struct question x = {
		.sql = "SELECT kind, key, value, version FROM cove_record ORDER BY kind, key",
		.args = &none,
		.row = walk_row,
		.arg = &w,
	};

	return ask((struct pg *)s, &x, NULL, err);
}

static cv_code pg_clear(struct cv_store *s, struct cv_err *err)
{
	const struct question x = { .sql = "DELETE FROM cove_record" };

	((struct pg *)s)->until_ms = INT64_MAX; /* a restore takes as long as there are records */
	return ask((struct pg *)s, &x, NULL, err);
}

static cv_code pg_fill(
	struct cv_store *s, struct cv_str kind, const struct cv_record *r, struct cv_err *err)
{
	struct args a = { 0 };
	const struct question x = { .sql = "INSERT INTO cove_record (kind, key, value, version) "
					   "VALUES ($1, $2, $3, $4) RETURNING version, " XID,
		.args = &a };
	PGresult *got = NULL;

	arg_bytes(&a, kind);
	arg_bytes(&a, r->key);
	arg_bytes(&a, r->value);
	arg_number(&a, r->version);
	const cv_code code = written((struct pg *)s, &x, &got, err);
	if (code == CV_OK)
		PQclear(got);
	return code;
}

static void pg_close(struct cv_store *s)
{
	struct pg *q = (struct pg *)s;

	PQfinish(q->c);
	coming_drop(q);
	if (q->url)
		explicit_bzero(q->url, strlen(q->url)); /* a password may be in it */
	free(q->url);
	free(q);
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
};

static cv_code name_set(struct pg *q, struct cv_err *err)
{
	PQconninfoOption *o = PQconninfoParse(q->url, NULL);
	const char *host = NULL, *db = NULL;

	if (!o) /* libpq's words could hold the password */
		return cv_fail(err, CV_INVALID, "not a connection string of PostgreSQL");
	for (const PQconninfoOption *i = o; i->keyword; i++) {
		if (!i->val)
			continue;
		if (strcmp(i->keyword, "host") == 0)
			host = i->val;
		else if (strcmp(i->keyword, "dbname") == 0)
			db = i->val;
	}
	snprintf(q->name, sizeof(q->name), "%s at %s", db ? db : "(default)",
		host ? host : "this host");
	PQconninfoFree(o);
	return CV_OK;
}

cv_code cv_store_open_postgres(const char *url, struct cv_store **ret, struct cv_err *err)
{
	struct pg *q = calloc(1, sizeof(*q));

	if (!q)
		return cv_fail(err, CV_LIMIT, "no memory for a store");
	q->store.ops = &pg_ops;
	q->url = strdup(url);
	cv_code code = q->url ? name_set(q, err) : cv_fail(err, CV_LIMIT, "no memory for a store");
	if (code == CV_OK)
		code = connected(q, err);
	if (code != CV_OK) {
		pg_close(&q->store);
		return code;
	}
	q->is_open = true;
	*ret = &q->store;
	return CV_OK;
}
