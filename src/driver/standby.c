/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standby.c - see standby.h; which there are: nursery.h, blank.h
 *
 * Each has /dev/null, our stderr, and one end of a link as descriptor 3, whose end is its end.
 */
#include "driver/standby.h"

#include "driver/spawn.h"
#include "ipc/frame.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <poll.h>

#define AGAIN_MS 1000 /* one that dies at once is not started in a loop */

void cv_driver_standby_forget(struct cv_driver_standby *s)
{
	s->pid = 0;
	s->pidfd = s->link = -1;
}

void cv_driver_standby_init(struct cv_driver_standby *s, const char *exe)
{
	*s = (struct cv_driver_standby){ .exe = exe };
	cv_driver_standby_forget(s);
}

void cv_driver_standby_end(struct cv_driver_standby *s)
{
	if (s->link >= 0)
		close(s->link);
	if (s->pid > 0) {
		cv_child_kill(s->pid);
		close(s->pidfd);
	}
	cv_driver_standby_forget(s);
}

static cv_code start(struct cv_driver_standby *s, struct cv_err *err)
{
	CV_AUTO_FD int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pair[2];

	if (nothing < 0)
		return cv_fail_errno(err, "open /dev/null");
	cv_code code = cv_ipc_pair(pair, err);
	if (code != CV_OK)
		return code;
	const int fds[] = { nothing, nothing, 2, pair[1] };
	code = cv_driver_spawn(s->exe, fds, CV_ARRAY_LEN(fds), &s->pid, &s->pidfd, err);
	close(pair[1]);
	s->link = pair[0];
	if (code != CV_OK)
		s->pid = 0;
	/* One that does not read must not stop us. */
	else if (fcntl(s->link, F_SETFL, O_NONBLOCK) < 0)
		code = cv_fail_errno(err, "fcntl");
	return code;
}

bool cv_driver_standby_has_ended(const struct cv_driver_standby *s)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	return s->pid && poll(&p, 1, 0) == 1;
}

bool cv_driver_standby_turn(struct cv_driver_standby *s)
{
	struct cv_err err;

	if (cv_driver_standby_has_ended(s))
		cv_driver_standby_end(s);
	if (s->pid || cv_clock_ms() < s->again_ms)
		return false;
	s->again_ms = cv_clock_ms() + AGAIN_MS;
	if (start(s, &err) == CV_OK)
		return true;
	cv_driver_standby_end(s);
	return false;
}
