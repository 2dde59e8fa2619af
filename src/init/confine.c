/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.c - see confine.h
 *
 * What was given up before: all capabilities and the bounding set went while the sandbox was
 * built, before cove-init was even executed, and with one id in the user namespace there is no
 * other id to become.  What is left, in an order where each step still works after the one before:
 *
 *     no_new_privs   lets an unprivileged process do the next two, and disarms setuid for ever
 *     Landlock       needs open() of the rules' paths, which seccomp leaves alone
 *     seccomp        last: the filter may refuse what the steps above needed
 */
#include "init/confine.h"

#include "init/report.h"

#include <errno.h>
#include <sys/prctl.h>

bool confine(int link, uint32_t id, const struct cv_plan_command *c)
{
	(void)c;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		report_failed(link, id, CV_INIT_STAGE_CONFINE, errno, "no_new_privs");
		return false;
	}
	return true;
}
