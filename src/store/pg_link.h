/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_link.h - a connection to PostgreSQL that never waits for more than a deadline
 *
 * Each statement is sent and its results are collected under poll().  A database that is gone, or
 * silent, fails a call with CV_UNAVAILABLE within PG_STATEMENT_MS, and the connection is given up: the
 * server rolls back what was not committed.  The next call connects anew, and a loop that serves
 * others must not be held up by that: a call waits a moment for it, those of the next second not at
 * all, and the first one after them goes on where it was left.  (A name of the host is looked up by
 * libpq, which waits as long as the system's resolver does; an address or socket avoids that.)
 *
 * Values are sent and received in binary.  Ownership: a PGresult that is returned is the caller's.
 * Errors: CV_UNAVAILABLE, try later; CV_SYSTEM, the server refused it, and will again.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <libpq-fe.h>
#include <stdint.h>

#define PG_STATEMENT_MS 5000 /* a server that lives ends each after 4 s by itself */
#define PG_ARGS_MAX     5

struct pg_link;
/* A connection was made: what has to be there before anything is asked. */
typedef cv_code pg_ready_fn(struct pg_link *q, struct cv_err *err);

struct pg_link {
	char *url;
	pg_ready_fn *ready;
	PGconn *c;           /* NULL: none */
	PGconn *coming;      /* one that is being made, ... */
	short coming_events; /* ... waits for this, ... */
	int64_t coming_ms;   /* ... and is given up then */
	int64_t retry_ms;    /* nobody waits for it before */
	bool is_open;        /* it was reached before, so somebody is served who can't wait */
	bool is_in_transaction;
	int64_t until_ms; /* of the transaction */
	char name[128];   /* for people: never a password */
};

struct pg_args {
	const char *value[PG_ARGS_MAX];
	int length[PG_ARGS_MAX], format[PG_ARGS_MAX];
	Oid type[PG_ARGS_MAX];
	uint64_t number[PG_ARGS_MAX]; /* in the order of the network */
	int n;
};

void pg_arg_bytes(struct pg_args *a, struct cv_str s); /* borrowed */
void pg_arg_number(struct pg_args *a, uint64_t v);

uint64_t pg_number(const PGresult *r, int row, int column); /* a bigint */
struct cv_str pg_bytes(const PGresult *r, int row, int column);

/* Connects; url is a connection string of libpq, copied. */
CV_MUST cv_code pg_link_init(
	struct pg_link *q, const char *url, pg_ready_fn *ready, struct cv_err *err);
void pg_link_fini(struct pg_link *q);

/* A connection that works, made if there is none. */
CV_MUST cv_code pg_connect(struct pg_link *q, struct cv_err *err);
void pg_drop(struct pg_link *q);

/* Every result is collected; each row goes to row() as it comes when there is one (false: it wants
 * no more), else the last result is *ret. */
struct pg_question {
	const char *sql;
	const struct pg_args *args; /* NULL: several statements, no arguments */
	bool (*row)(void *arg, const PGresult *r);
	void *arg;
};

/* On the connection that is there; ret NULL: nobody wants to see it. */
CV_MUST cv_code pg_ask_once(
	struct pg_link *q, const struct pg_question *x, PGresult **ret, struct cv_err *err);
CV_MUST cv_code pg_command(struct pg_link *q, const char *sql, struct cv_err *err);
/* The same on a connection that is made if need be.  A question outside of a transaction is asked
 * once more when the connection turns out to be dead: it was, before we asked. */
CV_MUST cv_code pg_ask(
	struct pg_link *q, const struct pg_question *x, PGresult **ret, struct cv_err *err);
