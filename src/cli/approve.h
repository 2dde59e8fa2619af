/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve.h - runs whose questions can be answered from here
 *
 * A run that holds a question has a socket, named after it, in a directory that is its user's alone.
 * `cove run` chooses the directory by its environment, which may differ from that of `cove approve`:
 * so all that it may have chosen are looked at.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "ipc/approve_link.h"

#include <limits.h>

#define APPROVE_DIRS     3
#define APPROVE_RUNS_MAX 64 /* of one user, that hold a question at the same time */

/* Where a run that is started now puts its socket; of what is returned, the first that can be made
 * is used. */
size_t approve_dirs(char ret[APPROVE_DIRS][PATH_MAX]);

struct approve_run {
	char name[64];      /* of its socket */
	char command[4096]; /* what runs in it, as it says */
	int fd;             /* -1: not connected, or ended */
	struct cv_ipc_link rules;
	bool is_listed; /* all that was held has come */
};

struct approve_event {
	enum {
		APPROVE_NOTHING,
		APPROVE_HELD,
		APPROVE_LISTED,
		APPROVE_ENDED,
		APPROVE_RESULT,
		APPROVE_CLOSED
	} what;
	struct cv_ask ask; /* HELD: borrows from the buffer */
	uint64_t id;       /* ENDED, RESULT */
	enum cv_approve_result result;
};

/* Connects to runs that are not in it yet, and asks each for its questions; returns how many there
 * are.  name: NULL for all, or of one, with or without "cove-". */
size_t approve_connect(
	struct approve_run run[APPROVE_RUNS_MAX], size_t n, const char *name, bool wants_later);

/* One message, waiting for at most ms; buf as for cv_ipc_recv(). */
void approve_receive(struct approve_run *run, int ms, char *buf, struct approve_event *ret);

CV_MUST cv_code approve_send(struct approve_run *run, uint64_t id, enum cv_approval_answer answer,
	bool is_for_all, struct cv_err *err);
void approve_disconnect(struct approve_run *run);
