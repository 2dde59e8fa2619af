/* SPDX-License-Identifier: Apache-2.0 */
/*
 * courier.c - who carries the keeper's renewals, in runs whose credentials are renewed
 *
 *     supervisor ---control--- courier        roots, pinned names, variables for commands
 *         |                       |
 *         +------- keeper --------+           errands: a link of their own, handed to both
 *
 * Either may be started again.  A new courier is configured from nothing; a new keeper gets another
 * link to the courier that runs.  Requests that were under way are asked again by the keeper.
 */
#include "supervisor/supervisor.h"

#include "ipc/courier_link.h"
#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/fd.h"

#include <poll.h>
#include <sys/syscall.h>

static cv_code configure(struct supervisor *s, struct cv_err *err)
{
	cv_code code = roots_text_send(s, s->courier.link, CV_COURIER_CONTROL_ROOTS, err);

	if (code == CV_OK)
		code = pins_send(s, s->courier.link, CV_COURIER_CONTROL_PIN, err);
	for (uint32_t i = 0; code == CV_OK && i < s->plan.courier_env_count; i++)
		code = variable_send(
			s->courier.link, CV_COURIER_CONTROL_ENV, s->plan.courier_env[i], err);
	return code;
}

static cv_code go_put(struct supervisor *s, int link, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u32(
		&b, s->plan.flags & CV_PLAN_RENEWAL_COMMAND ? (uint32_t)CV_COURIER_COMMANDS : 0);
	const cv_code code =
		cv_ipc_send(s->courier.link, CV_COURIER_CONTROL_GO, cv_buf_str(&b), &link, 1, err);
	cv_buf_fini(&b);
	return code;
}

/* One end of a new link to each. */
static cv_code link_put(struct supervisor *s, bool is_new, struct cv_err *err)
{
	int pair[2];
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	code = is_new ? go_put(s, pair[0], err)
		      : cv_ipc_send(s->courier.link, CV_COURIER_CONTROL_LINK, CV_STR_NONE, &pair[0],
				1, err);
	if (code == CV_OK)
		code = cv_ipc_send(
			s->keeper.link, CV_KEEPER_CONTROL_COURIER, CV_STR_NONE, &pair[1], 1, err);
	close(pair[0]);
	close(pair[1]);
	return code;
}

cv_code courier_join(struct supervisor *s, struct cv_err *err)
{
	const bool is_new = !s->courier.pid;
	cv_code code = CV_OK;

	if (!(s->plan.flags & CV_PLAN_RENEWAL))
		return CV_OK;
	if (is_new)
		code = helper_start(&s->courier, s->plan.exe_courier, cv_courier_control_reply_rule,
			CV_COURIER_CONTROL_REPLY_COUNT, err);
	if (code == CV_OK && is_new)
		code = configure(s, err);
	if (code == CV_OK)
		code = link_put(s, is_new, err);
	/* Whichever died meanwhile is found by who reads its link, and both are joined again. */
	if (code != CV_OK && s->courier.pid &&
		(helper_is_gone(&s->courier) || helper_is_gone(&s->keeper)))
		return CV_OK;
	return code == CV_OK ? code : cv_wrap(err, "start the courier");
}

static void died(struct supervisor *s)
{
	const bool was_ready = s->courier.rules.state == CV_COURIER_READY;
	struct cv_err err;

	helper_stop(&s->courier);
	cv_fail(&err, CV_UNAVAILABLE,
		was_ready ? "the courier dies again and again" : "the courier did not start");
	if (!helper_may_restart(&s->courier)) {
		run_fail(s, &err);
		return;
	}
	say("the courier died; a new one is started, renewals under way are asked again");
	if (courier_join(s, &err) != CV_OK)
		run_fail(s, &err);
}

void courier_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(s->courier.link, &s->courier.rules, s->message, &m, &err);

	if (code == CV_UNAVAILABLE)
		return;
	if (code != CV_OK) {
		died(s);
		return;
	}
	if (m.type == CV_COURIER_CONTROL_REPLY_READY) {
		s->courier.rules.state = CV_COURIER_READY;
	} else {
		cv_fail(&err, CV_UNAVAILABLE, "courier: %.*s", CV_STR_ARG(m.body));
		run_fail(s, &err);
	}
	cv_ipc_msg_fini(&m);
}

/* It ends by itself when its link does, and ends its commands first; killed, it could not. */
void courier_stop(struct supervisor *s)
{
	if (!s->courier.pid)
		return;
	close(s->courier.link);
	s->courier.link = -1;
	CV_AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, s->courier.pid, 0);
	struct pollfd w = { pidfd, POLLIN, 0 };

	if (pidfd >= 0)
		(void)!poll(&w, 1, SUP_COURIER_END_MS);
	helper_stop(&s->courier);
}
