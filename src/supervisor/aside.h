/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aside.h - a second process inside, for the two steps of set-up that mostly wait
 *
 * Process: forked by the builder of a sandbox, ended before the first command starts.
 */
#pragma once
#include "plan/plan.h"
#include "sys/netns.h"

#include <sys/types.h>

struct aside_shared;

struct aside {
	struct aside_shared *shared;
	int link;  /* one byte each way: "network is there", "let go" */
	int pidfd; /* of it, readable once it has ended */
};

/* Forks it: it makes the network namespace at once, as the plan wants it. */
CV_MUST cv_code aside_start(struct aside *a, const struct cv_plan *plan, struct cv_err *err);
/* Waits for the network, and enters its namespace. */
CV_MUST cv_code aside_network(struct aside *a, struct cv_netns_fds *ret, struct cv_err *err);
/* Has it let the host's tree go (descriptor host), and end.  cove-init waits for that. */
CV_MUST cv_code aside_let_go(struct aside *a, int host, struct cv_err *err);
