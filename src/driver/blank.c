/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blank.c - see blank.h
 */
#include "driver/blank.h"

#include "base/assert.h"
#include "ipc/blank_link.h"
#include "plan/plan.h"

#include <unistd.h>

bool cv_driver_blank_take(
	struct cv_driver_standby *b, const int *fds, pid_t *ret_pid, int *ret_pidfd)
{
	const int credentials = fds[CV_PLAN_CREDENTIALS_FD], keeper = fds[CV_PLAN_KEEPER_FD];
	const int sent[] = { fds[STDERR_FILENO], fds[CV_PLAN_FD],
		credentials >= 0 ? credentials : fds[STDIN_FILENO],
		keeper >= 0 ? keeper : fds[STDIN_FILENO] };
	struct cv_buf body;
	struct cv_err err;

	cv_assert(fds[CV_PLAN_UPSTREAM_FD] < 0); /* the message has no place for it */
	if (!b->pid || cv_driver_standby_has_ended(b))
		return false;
	cv_buf_init(&body, 8);
	cv_ipc_put_u32(&body, (credentials >= 0 ? CV_BLANK_CREDENTIALS : 0) |
				      (keeper >= 0 ? CV_BLANK_KEEPER : 0));
	const bool is_sent = cv_ipc_send(b->link, CV_BLANK_REQ_BEGIN, cv_buf_str(&body), sent,
				     CV_ARRAY_LEN(sent), &err) == CV_OK;
	cv_buf_fini(&body);
	if (!is_sent) {
		cv_driver_standby_end(b);
		return false;
	}
	close(b->link); /* what is in it stays to be read */
	*ret_pid = b->pid;
	*ret_pidfd = b->pidfd;
	cv_driver_standby_forget(b);
	b->again_ms = 0; /* it did not die */
	return true;
}
