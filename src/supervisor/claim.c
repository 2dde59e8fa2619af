/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.c - a spare sandbox becomes the one that somebody asked for
 *
 *     spare: built, CA inside, no proxy, no command --CLAIM plan--> the sandbox of that plan
 *                                                        \- with a set: once its keeper has it
 *
 * The plan takes the place of the former; what both must have in common was compared by the gateway's
 * driver, and is again here, because it is what this process has already done.  Nothing has run in
 * the sandbox before, so nobody can have left anything in it.
 */
#include "supervisor/supervisor.h"

#include "plan/claim.h"
#include "plan/limits.h"
#include "supervisor/limits.h"

#include <unistd.h>

void claim_never(struct supervisor *s)
{
	if (s->outcome != OUTCOME_NONE)
		return;
	s->outcome = OUTCOME_STATUS;
	s->status = 0;
}

static cv_code plan_take(struct supervisor *s, int fd, struct cv_err *err)
{
	struct cv_arena scratch;
	struct cv_plan plan;
	char *bytes;
	size_t n;
	cv_code code = cv_ipc_fd_read_all(fd, CV_PLAN_BYTES_MAX, &bytes, &n, err);

	if (code != CV_OK)
		return code;
	/* The plan borrows from bytes, to the end of the process. */
	code = cv_plan_get((struct cv_str){ bytes, n }, &s->arena, &plan, err);
	cv_arena_init(&scratch, SUP_ARENA_MAX);
	if (code == CV_OK)
		code = cv_plan_claim_check(&s->plan, &plan, &scratch, err);
	cv_arena_fini(&scratch);
	if (code == CV_OK)
		s->plan = plan;
	return code;
}

void claim(struct supervisor *s, int plan, int set)
{
	struct cv_err err;
	cv_code code = plan_take(s, plan, &err);

	close(plan);
	if (code == CV_OK && set >= 0)
		code = push_claimed(s, set, &err);
	else if (set >= 0)
		close(set);
	if (code != CV_OK) {
		run_fail(s, &err);
		return;
	}
	s->service.is_ready = false;
	service_await(s);
	reload_start(s);
	inside_command(s);
}
