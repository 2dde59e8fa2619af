/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nursery.c - see nursery.h, and keeper/nursery.c for what it does and why
 *
 * It is asked and not waited for: the supervisor starts with the link of the keeper that will be, and
 * is started first, since the kernel may run the nursery in our place.  All of it is only ever faster:
 * where there is no nursery, the supervisor is told of no keeper and starts one; where it does not take
 * the message, the link ends, as it does when a keeper dies.
 */
#include "driver/nursery.h"

#include "ipc/keeper_link.h"

void cv_driver_nursery_turn(struct cv_driver_standby *n)
{
	struct cv_err err;

	if (cv_driver_standby_turn(n) && cv_ipc_send(n->link, CV_KEEPER_CONTROL_NURSERY,
						 CV_STR_NONE, NULL, 0, &err) != CV_OK)
		cv_driver_standby_end(n);
}

void cv_driver_nursery_link(const struct cv_driver_standby *n, int *ret_link, int *ret_child)
{
	struct cv_err err;
	int pair[2] = { -1, -1 };

	if (n->link >= 0 && cv_ipc_pair(pair, &err) != CV_OK)
		pair[0] = pair[1] = -1;
	*ret_link = pair[0];
	*ret_child = pair[1];
}

void cv_driver_nursery_child(struct cv_driver_standby *n, int child, int log)
{
	const int fds[] = { child, log };
	struct cv_err err;

	if (cv_ipc_send(n->link, CV_KEEPER_CONTROL_CHILD, CV_STR_NONE, fds, CV_ARRAY_LEN(fds),
		    &err) != CV_OK)
		cv_driver_standby_end(n);
}
