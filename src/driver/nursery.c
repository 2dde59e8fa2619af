/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nursery.c - see nursery.h, and keeper/nursery.c for what it does and why
 *
 * It is asked and not waited for: the link of the keeper that it will fork goes to the supervisor at
 * once, and both start at the same time.  All of it is only ever faster: where there is no nursery, or
 * it does not take the message, the supervisor is told of no keeper and starts one.
 */
#include "driver/nursery.h"

#include "driver/spawn.h"
#include "ipc/keeper_link.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define AGAIN_MS 1000 /* one that dies at once is not started in a loop */

static void end(struct cv_driver_nursery *n)
{
	if (n->link >= 0)
		close(n->link);
	if (n->pid > 0) {
		kill(n->pid, SIGKILL); /* nothing is lost: it holds nothing */
		while (waitpid(n->pid, NULL, 0) < 0 && errno == EINTR)
			;
		close(n->pidfd);
	}
	n->pid = 0;
	n->pidfd = n->link = -1;
}

static cv_code start(struct cv_driver_nursery *n, struct cv_err *err)
{
	CV_AUTO_FD int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pair[2];

	if (nothing < 0)
		return cv_fail_errno(err, "open /dev/null");
	cv_code code = cv_ipc_pair(pair, err);
	if (code != CV_OK)
		return code;
	const int fds[] = { nothing, nothing, 2, pair[1] };
	code = cv_driver_spawn(n->exe.p, fds, CV_ARRAY_LEN(fds), &n->pid, &n->pidfd, err);
	close(pair[1]);
	n->link = pair[0];
	if (code != CV_OK)
		n->pid = 0;
	/* One that does not read must not stop us. */
	if (code == CV_OK && fcntl(n->link, F_SETFL, O_NONBLOCK) < 0)
		code = cv_fail_errno(err, "fcntl");
	return code == CV_OK
		       ? cv_ipc_send(n->link, CV_KEEPER_CONTROL_NURSERY, CV_STR_NONE, NULL, 0, err)
		       : code;
}

static void start_or_not(struct cv_driver_nursery *n)
{
	struct cv_err err;

	n->again_ms = cv_clock_ms() + AGAIN_MS;
	if (start(n, &err) != CV_OK)
		end(n);
}

void cv_driver_nursery_init(struct cv_driver_nursery *n, struct cv_str exe)
{
	*n = (struct cv_driver_nursery){ .exe = exe, .pidfd = -1, .link = -1 };
	start_or_not(n);
}

void cv_driver_nursery_fini(struct cv_driver_nursery *n)
{
	end(n);
}

void cv_driver_nursery_child(struct cv_driver_nursery *n, int log, int *ret)
{
	struct cv_err err;
	int pair[2];

	*ret = -1;
	if (n->link < 0 || cv_ipc_pair(pair, &err) != CV_OK)
		return;
	const int fds[] = { pair[1], log };
	if (cv_ipc_send(n->link, CV_KEEPER_CONTROL_CHILD, CV_STR_NONE, fds, CV_ARRAY_LEN(fds),
		    &err) == CV_OK) {
		*ret = pair[0];
	} else {
		close(pair[0]);
		end(n);
	}
	close(pair[1]);
}

void cv_driver_nursery_turn(struct cv_driver_nursery *n)
{
	struct pollfd p = { .fd = n->pidfd, .events = POLLIN };

	if (n->pidfd >= 0 && poll(&p, 1, 0) == 1)
		end(n);
	if (!n->pid && cv_clock_ms() >= n->again_ms)
		start_or_not(n);
}
