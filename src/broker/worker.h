/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - a job that is work of our own, in a process of its own
 *
 * What waits for disks and strangers can't be done on the broker's loop.  The worker is spawn_plan's
 * run(); its stderr is the job's log, and on its stdout it says how it ended:
 *
 *     STATUS CODE\n         200 ok, or an error's
 *     a line of detail\n
 *     members of a JSON object
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "broker/broker.h"
#include "broker/spawn.h"

#include <stdarg.h>

struct worker { /* the first member of what the backend has for a run */
	struct spawned p;
	struct cv_buf out;
	const char *died; /* the detail when it did not say how it ended */
	void (*free)(struct worker *w);
	bool is_killed;
};

/* free_run: frees what w is a part of, but not what is in w. */
void worker_init(
	struct worker *w, size_t out_max, const char *died, void (*free_run)(struct worker *w));
CV_MUST cv_code worker_spawn(struct worker *w, const struct spawn_plan *plan, struct cv_err *err);
/* From here on it is the job's.  False: it has been freed. */
CV_MUST bool worker_watch(struct broker *b, struct job *j, struct worker *w, struct cv_err *err);
/* Its shepherd sees that and ends it all. */
void worker_free(struct worker *w);

/* ---- in the worker ---- */

/* What fmt says as one line that a person can read, in out: control bytes are blanks there. */
CV_PRINTF(3, 0) void worker_detail(char *out, size_t size, const char *fmt, va_list ap);

/* ---- of struct backend, for those whose j->run is a worker ---- */

void worker_event(struct broker *b, struct job *j, enum watch what, uint32_t events);
void worker_stop(struct broker *b, struct job *j);
void worker_due(struct broker *b, struct job *j);
void worker_drop(struct broker *b, struct job *j);
