/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.c - a spare sandbox becomes the one that somebody asked for
 *
 *     spare: built, CA inside, no proxy, no command --CLAIM plan--> the sandbox of that plan
 *                                                        \- with a set: once its keeper has it
 *
 * The plan takes the place of the former; what both must have in common was compared by the gateway's
 * driver, and is again here, because it is what this process has already done; a file that its agents
 * read is made now, and what holds its name is made again.  Nothing has run in the sandbox before, so nobody can have left anything in it.
 */
#include "supervisor/supervisor.h"

#include "plan/claim.h"
#include "plan/limits.h"
#include "supervisor/limits.h"
#include "sys/child.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
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

static int file_write(const struct supervisor *s, const struct cv_plan_op *op, int flags)
{
	CV_AUTO_FD int fd = openat(s->built[CV_BUILT_LAYER], op->dst.p + 1,
		O_WRONLY | O_NOFOLLOW | O_CLOEXEC | flags, op->arg);

	return fd >= 0 && write(fd, op->text.p, op->text.n) == (ssize_t)op->text.n ? 0 : -1;
}

/* Only who is in both namespaces may set it, and nobody comes back from the user's: a process goes, with
 * our memory and while we wait.  setns(2) takes a pidfd since Linux 5.8. */
static int hostname_set(const struct supervisor *s, struct cv_str name)
{
	volatile int failure = 0;
	const pid_t pid = vfork();

	if (pid == 0) {
		if (setns(s->sandbox.pidfd, CLONE_NEWUSER | CLONE_NEWUTS) < 0 ||
			sethostname(name.p, name.n) < 0)
			failure = errno;
		_exit(0);
	}
	if (pid < 0 || cv_child_wait(pid, NULL) != CV_OK)
		return -1;
	errno = failure;
	return failure ? -1 : 0;
}

static int op_make(const struct supervisor *s, const struct cv_plan_op *op)
{
	if (op->type == CV_PLAN_HOSTNAME)
		return hostname_set(s, op->text);
	if (op->type == CV_PLAN_DIR)
		return mkdirat(s->built[CV_BUILT_LAYER], op->dst.p + 1, op->arg);
	return file_write(s, op, cv_plan_claim_renames(op) ? O_TRUNC : O_CREAT | O_EXCL);
}

/* What its plan has besides the spare's, or otherwise. */
static cv_code ops_make(struct supervisor *s, struct cv_err *err)
{
	for (uint32_t i = 0; i < s->plan.op_count; i++) {
		const struct cv_plan_op *op = &s->plan.ops[i];

		if ((cv_plan_claim_makes(op) || cv_plan_claim_renames(op)) && op_make(s, op) < 0)
			return cv_fail_errno(err, "make %.*s in the sandbox",
				CV_STR_ARG(op->dst.n ? op->dst : CV_STR("its name")));
	}
	return CV_OK;
}

void claim(struct supervisor *s, int plan, int set)
{
	struct cv_err err;
	cv_code code = plan_take(s, plan, &err);

	close(plan);
	if (code == CV_OK)
		code = ops_make(s, &err);
	if (code == CV_OK)
		code = broker_state_make(s, &err);
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
