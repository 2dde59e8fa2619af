/* SPDX-License-Identifier: Apache-2.0 */
/* pg_link.c - see pg_link.h */
#include "store/pg_link.h"

#include "sys/clock.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS   3000 /* with TLS over a slow line */
#define DIAL_WAIT_MS 200  /* of a call, for a connection that was lost */
#define BYTES_PER_MS 4096 /* of a statement's time: 64 MB to a server in another room */
#define RETRY_MS     1000
#define BYTEA_OID    17
#define INT8_OID     20

void pg_arg_bytes(struct pg_args *a, struct cv_str s)
{
	a->value[a->n] = s.n ? s.p : "";
	a->length[a->n] = (int)s.n;
	a->format[a->n] = 1;
	a->type[a->n++] = BYTEA_OID;
}

void pg_arg_number(struct pg_args *a, uint64_t v)
{
	a->number[a->n] = htobe64(v);
	a->value[a->n] = (const char *)&a->number[a->n];
	a->length[a->n] = 8;
	a->format[a->n] = 1;
	a->type[a->n++] = INT8_OID;
}

uint64_t pg_number(const PGresult *r, int row, int column)
{
	uint64_t v = 0;

	if (PQgetlength(r, row, column) == 8)
		memcpy(&v, PQgetvalue(r, row, column), 8);
	return be64toh(v);
}

struct cv_str pg_bytes(const PGresult *r, int row, int column)
{
	return (struct cv_str){ PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column) };
}

/* ---- the connection ---- */

void pg_drop(struct pg_link *q)
{
	PQfinish(q->c);
	q->c = NULL;
	q->is_in_transaction = false;
}

/* The first line of what libpq says. */
static cv_code lost(struct pg_link *q, const char *what, struct cv_err *err)
{
	const struct cv_str said = cv_str_of(q->c ? PQerrorMessage(q->c) : "");
	struct cv_str rest = said;
	const struct cv_str line = cv_str_cut(&rest, '\n');

	(void)cv_fail(err, CV_UNAVAILABLE, "the database %s: %s: %.*s", q->name, what,
		CV_STR_ARG(line.n ? line : CV_STR("it does not answer in time")));
	pg_drop(q);
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

static void coming_drop(struct pg_link *q)
{
	PQfinish(q->coming);
	q->coming = NULL;
}

static cv_code dial_begin(struct pg_link *q, struct cv_err *err)
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
static cv_code dial_failed(struct pg_link *q, struct cv_err *err)
{
	q->c = q->coming;
	q->coming = NULL;
	return lost(q, "connect", err);
}

/* CV_UNAVAILABLE with q->coming: it may come still. */
static cv_code dial(struct pg_link *q, struct cv_err *err)
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
static cv_code flush(struct pg_link *q, int64_t until, struct cv_err *err)
{
	int more;

	while ((more = PQflush(q->c)) > 0)
		if (!wait_on(q->c, POLLIN | POLLOUT, until) || !PQconsumeInput(q->c))
			return lost(q, "ask", err);
	return more < 0 ? lost(q, "ask", err) : CV_OK;
}

/* The next result of what was asked; NULL in *ret: there are no more. */
static cv_code next(struct pg_link *q, int64_t until, PGresult **ret, struct cv_err *err)
{
	while (PQisBusy(q->c))
		if (!wait_on(q->c, POLLIN, until) || !PQconsumeInput(q->c))
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
static cv_code refused(struct pg_link *q, const PGresult *r, struct cv_err *err)
{
	const struct cv_str state = cv_str_of(PQresultErrorField(r, PG_DIAG_SQLSTATE));
	const char *said = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const struct cv_str class = cv_str_slice(state, 0, 2);

	if (cv_str_eq(state, CV_STR("53100")))
		return cv_fail(err, CV_UNAVAILABLE, "the database %s: the disk is full", q->name);
	const bool is_passing = !state.n || cv_str_eq(class, CV_STR("53")) ||
				cv_str_eq(class, CV_STR("57")) || cv_str_eq(class, CV_STR("08")) ||
				cv_str_eq(class, CV_STR("40")) ||
				cv_str_eq(state, CV_STR("25006")) || /* a standby, for now */
				cv_str_eq(state, CV_STR("55P03"));   /* somebody's lock */
	return cv_fail(err, is_passing ? CV_UNAVAILABLE : CV_SYSTEM, "the database %s: %s%s%.*s",
		q->name, said ? said : PQerrorMessage(q->c), state.n ? ", SQLSTATE " : "",
		CV_STR_ARG(state));
}

static cv_code sent(
	struct pg_link *q, const struct pg_question *x, int64_t until, struct cv_err *err)
{
	const struct pg_args *a = x->args;
	const int ok = a ? PQsendQueryParams(
				   q->c, x->sql, a->n, a->type, a->value, a->length, a->format, 1)
			 : PQsendQuery(q->c, x->sql);

	if (!ok || (x->row && !PQsetSingleRowMode(q->c)))
		return lost(q, "ask", err);
	return flush(q, until, err);
}

static cv_code collected(struct pg_link *q, const struct pg_question *x, int64_t until,
	PGresult **ret, struct cv_err *err)
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
			until = cv_clock_ms() + PG_STATEMENT_MS; /* rows come: it is alive */
		PQclear(*ret);
		*ret = r;
	}
	if (q->c && PQstatus(q->c) == CONNECTION_BAD && code != CV_OK)
		pg_drop(q);
	return code;
}

static int64_t bytes_of_args(const struct pg_args *a)
{
	int64_t n = 0;

	for (int i = 0; a && i < a->n; i++)
		n += a->length[i];
	return n;
}

cv_code pg_ask_once(
	struct pg_link *q, const struct pg_question *x, PGresult **ret, struct cv_err *err)
{
	const int64_t soon =
		cv_clock_ms() + PG_STATEMENT_MS + bytes_of_args(x->args) / BYTES_PER_MS;
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

cv_code pg_command(struct pg_link *q, const char *sql, struct cv_err *err)
{
	const struct pg_question x = { .sql = sql };

	return pg_ask_once(q, &x, NULL, err);
}

cv_code pg_connect(struct pg_link *q, struct cv_err *err)
{
	if (q->c)
		return CV_OK;
	if (cv_clock_ms() < q->retry_ms)
		return cv_fail(err, CV_UNAVAILABLE,
			"the database %s: could not be reached a moment ago", q->name);
	cv_code code = dial(q, err);
	if (code == CV_OK)
		code = pg_command(q,
			"SET client_min_messages = warning; SET synchronous_commit = on; "
			"SET statement_timeout = '4s'; SET lock_timeout = '3s'; "
			"SET idle_in_transaction_session_timeout = '30s'; "
			/* the session of a machine that is gone has the claim no longer than this */
			"SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; "
			"SET tcp_keepalives_count = 3",
			err);
	if (code == CV_OK)
		code = q->ready(q, err);
	if (code != CV_OK) {
		pg_drop(q);
		q->retry_ms = cv_clock_ms() + RETRY_MS;
	}
	return code;
}

cv_code pg_ask(struct pg_link *q, const struct pg_question *x, PGresult **ret, struct cv_err *err)
{
	const bool may_repeat = q->c && !q->is_in_transaction && !x->row;
	cv_code code = pg_connect(q, err);

	if (code != CV_OK)
		return code;
	code = pg_ask_once(q, x, ret, err);
	if (code == CV_UNAVAILABLE && !q->c && may_repeat) {
		code = pg_connect(q, err);
		if (code == CV_OK)
			code = pg_ask_once(q, x, ret, err);
	}
	return code;
}

/* ---- life ---- */

static cv_code name_set(struct pg_link *q, struct cv_err *err)
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

cv_code pg_link_init(struct pg_link *q, const char *url, pg_ready_fn *ready, struct cv_err *err)
{
	*q = (struct pg_link){ .url = strdup(url), .ready = ready };
	cv_code code = q->url ? name_set(q, err) : cv_fail(err, CV_LIMIT, "no memory for a store");
	if (code == CV_OK)
		code = pg_connect(q, err);
	if (code != CV_OK)
		pg_link_fini(q);
	q->is_open = code == CV_OK;
	return code;
}

void pg_link_fini(struct pg_link *q)
{
	PQfinish(q->c);
	coming_drop(q);
	if (q->url)
		explicit_bzero(q->url, strlen(q->url)); /* a password may be in it */
	free(q->url);
}
