/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_int.h - what the three files of PostgreSQL share
 *
 *     postgres_start.c   from the first packet to AuthenticationOk, and cancellations
 *     postgres.c         the session: messages both ways
 *     postgres_decide.c  a statement as facts, the verdict as an event and as an error
 *
 * Phases, and what ends each:
 *
 *     START    the client's packets: SSLRequest, then startup or cancellation
 *     ASKED    the client owes a password: because of a binding, before the server hears anything,
 *              or because the server wants one
 *     RELEASE  it is a placeholder: the keeper is asked for the value
 *     REQUEST  SSLRequest was sent to the server; one byte comes back
 *     SHAKE    TLS with the server, verified for the name that policy allows
 *     AUTH     the server asks, we answer
 *     SESSION  until either side ends
 *     CANCEL   a cancellation was sent; the server closes
 */
#pragma once
#include "policy/pg_command.h"
#include "proxy/postgres.h"
#include "wire/pg.h"
#include "wire/pg_auth.h"

enum cv_pg_phase {
	CV_PG_AT_START,
	CV_PG_AT_ASKED,
	CV_PG_AT_RELEASE,
	CV_PG_AT_REQUEST,
	CV_PG_AT_SHAKE,
	CV_PG_AT_AUTH,
	CV_PG_AT_SESSION,
	CV_PG_AT_CANCEL,
};

struct cv_pg_secret { /* wiped when it is used up */
	char text[CV_PROXY_PG_PASSWORD_BYTES_MAX];
	size_t n;
	bool is_there;
};

struct cv_pg {
	enum cv_pg_phase phase;
	/* What policy said at the start. */
	char path[1 + 3 * 64 + 1]; /* "/" and the database, percent-encoded */
	size_t path_n;
	uint32_t allowed;   /* commands */
	bool is_restricted; /* not everything may pass, so the server's words must stay ours */
	bool is_read_only;  /* nothing that writes may pass: the server is told so too */

	/* Whole packets that are ours or decided, as far as there was no room for them yet. */
	struct cv_buf up, down;

	/* START to AUTH */
	struct cv_buf first; /* the packet with which the server's side begins */
	bool is_ssl_answered, is_cancel;
	bool is_bound; /* to a provider: no password but its placeholder */
	char user[64];
	size_t user_n;
	struct cv_pg_secret password;
	struct cv_scram scram;
	char challenge[CV_SCRAM_TEXT_BYTES_MAX]; /* of the server, while the client is asked */
	size_t challenge_n;
	uint32_t challenge_code;

	/* SESSION */
	uint32_t pid;
	char key[CV_PG_KEY_BYTES_MAX];
	size_t key_n;
	size_t up_left, down_left; /* bytes at the front of the text that may pass */
	size_t skip_left;          /* bytes of the client's that are thrown away */
	struct cv_buf gather;      /* a statement that is longer than a buffer */
	size_t gather_bytes;       /* that it will have; 0: none */
	size_t lent_bytes;         /* of `up`, which has become such a statement */
	char status;               /* of the last ReadyForQuery */
	bool waits;                /* for ReadyForQuery: the client's next message stays */
	bool is_waiting_sync;      /* ... because of a Sync */
	bool has_batch;            /* messages since the last ReadyForQuery went to the server */
	bool is_copying_in;
	bool is_skipping;     /* to the client's next Sync, as after an error */
	struct cv_buf denied; /* stands in for the error that our marker makes the server send */
};

static inline struct cv_str cv_pg_path(const struct cv_pg *g)
{
	return (struct cv_str){ g->path, g->path_n };
}

/* ---- postgres_decide.c ---- */

/* Sets path, is_restricted and is_read_only by the present policy; false when no command that
 * does anything is allowed on the database.  ret_endpoint: the one that allowed first. */
bool cv_pg_access_find(struct cv_proxy *p, struct cv_flow *f, struct cv_pg *g,
	struct cv_str database, const struct cv_policy_endpoint **ret_endpoint);

/* The one that allows first by f's present policy; NULL: none does any more. */
const struct cv_policy_endpoint *cv_pg_endpoint_find(
	struct cv_proxy *p, const struct cv_flow *f, const struct cv_pg *g);

/* May the text go to the server?  Writes the event.  False: g->denied has the whole error
 * message. */
CV_MUST bool cv_pg_decide(struct cv_proxy *p, struct cv_flow *f, struct cv_str sql);
/* The same for what is never allowed, whatever it says. */
void cv_pg_refuse(struct cv_proxy *p, struct cv_flow *f, const char *sqlstate, const char *code,
	struct cv_str why);

/* The session ends with words: an event, a FATAL error, then the end.  True. */
bool cv_pg_fail(struct cv_proxy *p, struct cv_flow *f, const char *sqlstate, const char *code,
	struct cv_str why);

/* ---- postgres.c ---- */

/* Hands over what is in b, as far as leg takes it; true when b is empty. */
bool cv_pg_flush(struct cv_leg *leg, struct cv_buf *b, bool *ret_has_moved);
bool cv_pg_session_step(struct cv_proxy *p, struct cv_flow *f);
void cv_pg_session_end(struct cv_pg *g); /* its share of the memory for long statements */
