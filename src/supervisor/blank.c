/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blank.c - a supervisor that is there before its plan is
 *
 *     gateway's driver --BEGIN--> blank: log, plan, credentials, keeper's link are put where they would
 *     have been, and all goes on as after an ordinary start
 *
 * It was started with /dev/null, the gateway's stderr and the link as descriptor 3, all signals blocked
 * and a session of its own.  It has done nothing and knows nothing, so it ends when the link does.
 */
#include "supervisor/supervisor.h"

#include "ipc/blank_link.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { SENT_LOG, SENT_PLAN, SENT_CREDENTIALS, SENT_KEEPER };

bool blank_is(void)
{
	struct stat st;

	return fstat(CV_PLAN_FD, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Above all places first: what was received stands where others belong. */
static bool lift(struct cv_ipc_msg *m, int sent)
{
	CV_AUTO_FD int high = fcntl(m->fds[sent], F_DUPFD_CLOEXEC, CV_PLAN_FD_COUNT);

	if (high < 0)
		return false;
	close(cv_take_fd(m->fds[sent]));
	m->fds[sent] = cv_take_fd(high);
	return true;
}

static bool place(struct cv_ipc_msg *m, uint32_t flags)
{
	for (int i = 0; i <= SENT_KEEPER; i++)
		if (!lift(m, i))
			return false;
	return dup2(m->fds[SENT_LOG], STDOUT_FILENO) >= 0 &&
	       dup2(m->fds[SENT_LOG], STDERR_FILENO) >= 0 &&
	       dup2(m->fds[SENT_PLAN], CV_PLAN_FD) >= 0 &&
	       (!(flags & CV_BLANK_CREDENTIALS) ||
		       dup2(m->fds[SENT_CREDENTIALS], CV_PLAN_CREDENTIALS_FD) >= 0) &&
	       (!(flags & CV_BLANK_KEEPER) || dup2(m->fds[SENT_KEEPER], CV_PLAN_KEEPER_FD) >= 0);
}

cv_code blank_wait(struct supervisor *s, struct cv_err *err)
{
	struct cv_ipc_link link = { cv_blank_req_rule, CV_BLANK_REQ_COUNT, CV_BLANK_WAITS, 0 };
	struct cv_ipc_msg m;

	prctl(PR_SET_NAME, CV_BLANK_COMM);
	const cv_code code = cv_ipc_recv(CV_PLAN_FD, &link, s->message, &m, err);
	if (code == CV_NOT_FOUND)
		exit(0);
	if (code != CV_OK)
		return code;
	prctl(PR_SET_NAME, CV_SUPERVISOR_COMM);
	struct cv_ipc_reader r = { .rest = m.body };
	const uint32_t flags = cv_ipc_get_u32(&r);
	const bool is_placed = place(&m, flags);
	cv_ipc_msg_fini(&m);
	return is_placed ? CV_OK : cv_fail_errno(err, "place descriptors");
}
