/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve.h - what waits for a person's yes, and where it is asked for
 *
 *     broker, proxy --ASK--> approve.c: the table --> approve_tty.c: the terminal of `cove run`
 *                  <-ANSWER-       ^                  approve_socket.c: `cove approve`
 *                                  |                  approve_gateway.c: the gateway of the sandbox
 *                                  +-- deadline: denied
 *
 * One mechanism for calls of host tools and for requests.  Who asks keeps what is held; here is only
 * the question.  Nothing that comes from the sandbox is ever read as an answer: answers come by the
 * terminal, where the sandbox does not read it, and by a socket that is in no namespace of the
 * sandbox and takes nobody who is in one.
 */
#pragma once
#include "ipc/approve_link.h"
#include "supervisor/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct supervisor;

enum asker { ASKER_BROKER, ASKER_PROXY };

struct question {
	uint64_t id; /* counted in the run; 0: the place is free */
	enum asker asker;
	uint64_t theirs; /* its id there */
	int64_t due_ms;
	char *body;        /* owned; malloc'd */
	struct cv_ask ask; /* borrows from body */
};

/* An answer that is for all alike: the same asker, rule and tool, or method and URL. */
struct standing {
	unsigned char digest[32];
	enum cv_approval_answer answer;
};

struct approver { /* a connection of `cove approve` */
	int fd;   /* -1: free */
	struct cv_ipc_link rules;
	char who[96];     /* as the kernel knows it; for the audit */
	uint64_t sent;    /* the last question that it was sent */
	uint64_t listed;  /* the last one of the list */
	bool is_listing;  /* LIST came */
	bool has_run;     /* RUN was sent */
	bool has_list;    /* LISTED was sent */
	bool wants_later; /* those that come after */
};

struct approvals {
	struct question question[SUP_ASKS_MAX];
	uint64_t last_id;
	int64_t window_ms;      /* when the present minute began */
	unsigned asked;         /* in it */
	int64_t told_window_ms; /* the last minute in which it was said that too many come */
	struct standing standing[SUP_STANDING_MAX];
	size_t standing_count;

	int listener, dir; /* -1: not there yet */
	char name[32];     /* of the socket in dir */
	bool has_failed;   /* it can't be had, and that was said */
	struct approver approver[SUP_APPROVERS_MAX];

	int tty;         /* /dev/tty while questions are asked there; -1 */
	uint64_t on_tty; /* the question that is; 0: none */
	char line[64];   /* typed */
	size_t line_n;
	bool is_line_long;
};

/* ---- approve.c: the table ---- */

void approve_init(struct supervisor *s);
void approve_ask(struct supervisor *s, enum asker asker, struct cv_str body);     /* ASK */
void approve_ask_end(struct supervisor *s, enum asker asker, struct cv_str body); /* ASK_END */
void approve_drop(struct supervisor *s, enum asker asker); /* who asked has died */
int64_t approve_due_ms(const struct supervisor *s);        /* of the first deadline; 0: none */
void approve_due(struct supervisor *s);
void approve_end(struct supervisor *s);
/* The one with the least id above after, or NULL. */
struct question *approve_next(struct supervisor *s, uint64_t after);
struct question *approve_find(struct supervisor *s, uint64_t id);
uint32_t approve_seconds(const struct question *q); /* left */
enum cv_approve_result approve_answer(struct supervisor *s, uint64_t id,
	enum cv_approval_answer answer, bool is_for_all, struct cv_str who);

/* ---- approve_socket.c ---- */

void approve_listen(struct supervisor *s); /* once there is a question */
void approve_accept(struct supervisor *s);
short approve_interest(const struct supervisor *s, size_t i);
void approve_serve(struct supervisor *s, size_t i, short events);
void approve_tell_ended(struct supervisor *s, uint64_t id);
void approve_close(struct supervisor *s);

/* ---- approve_gateway.c: a sandbox of a gateway is asked about there and nowhere else ---- */

bool approve_gateway_ask(struct supervisor *s, struct question *q); /* false: there is no gateway */
void approve_gateway_ended(struct supervisor *s, uint64_t id);
void approve_gateway_answer(struct supervisor *s, struct cv_str body); /* ANSWER */
void approve_retell(struct supervisor *s); /* to a gateway that has just come */

/* ---- approve_tty.c ---- */

/* Shows the next question if the terminal is ours to ask on; false: it is not. */
bool approve_tty_show(struct supervisor *s);
void approve_tty_read(struct supervisor *s);
void approve_tty_ended(struct supervisor *s, uint64_t id);
void approve_tty_close(struct supervisor *s);
