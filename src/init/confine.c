/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.c - see confine.h
 *
 * What was given up before: all capabilities and the bounding set went while the sandbox was
 * built, before cove-init was even executed, and with one id in the user namespace there is no
 * other id to become; a command with CV_COMMAND_IDS has those of a namespace of its own.  What is
 * left, in an order where each step still works after the one before:
 *
 *     no_new_privs   lets an unprivileged process do the next two, and disarms setuid for ever
 *     Landlock       needs open() of the rules' paths, which seccomp leaves alone
 *     seccomp        last: the filter may refuse what the steps above needed
 */
#include "init/confine.h"

#include "init/report.h"
#include "plan/limits.h"
#include "sys/landlock.h"
#include "sys/proc.h"
#include "sys/seccomp.h"

#include <unistd.h>

static const enum cv_landlock_access access_of[CV_ACCESS_KIND_COUNT] = {
	[CV_ACCESS_KIND_LIST] = CV_LANDLOCK_LIST,
	[CV_ACCESS_KIND_READ] = CV_LANDLOCK_READ,
	[CV_ACCESS_KIND_WRITE] = CV_LANDLOCK_WRITE,
	[CV_ACCESS_KIND_DEVICE] = CV_LANDLOCK_DEVICE,
};

/* The command's rules, or CV_UNAVAILABLE when it insists on what this kernel lacks. */
static cv_code landlock_apply(
	int link, uint32_t id, const struct cv_plan_command *c, struct cv_err *err)
{
	static struct cv_landlock_rule rules[CV_PLAN_RULES_MAX];
	const struct cv_landlock_caps caps = cv_landlock_probe();
	const char *missing = cv_landlock_missing(caps.abi);

	if (*missing && (c->flags & CV_COMMAND_LANDLOCK_REQUIRED))
		return cv_fail(err, CV_UNAVAILABLE,
			"Landlock of this kernel (ABI %d) lacks %s, and the policy insists",
			caps.abi, missing);
	if (*missing)
		report_weaker(link, id, missing);
	if (caps.abi == 0)
		return CV_OK;
	if (c->flags & CV_COMMAND_NESTED)
		return cv_landlock_scope(caps, err);
	for (uint32_t i = 0; i < c->rule_count; i++)
		rules[i] = (struct cv_landlock_rule){ c->rules[i].path.p,
			access_of[c->rules[i].access] };
	return cv_landlock_apply(caps, rules, c->rule_count, err);
}

/* The listener goes to the supervisor by the filtered process itself: the filter allows sendmsg,
 * and the first connect() waits until the supervisor has it. */
static cv_code seccomp_apply(
	int link, uint32_t id, const struct cv_plan_command *c, struct cv_err *err)
{
	const bool is_nested = c->flags & CV_COMMAND_NESTED;
	int notify = -1;

	if (!(c->flags & CV_COMMAND_NOTIFY))
		return cv_seccomp_install(
			is_nested ? CV_SECCOMP_NESTED : CV_SECCOMP_AGENT, NULL, err);
	const cv_code code = cv_seccomp_install(
		is_nested ? CV_SECCOMP_NESTED_NOTIFY : CV_SECCOMP_AGENT_NOTIFY, &notify, err);
	if (code == CV_OK) {
		report_fd(link, CV_INIT_REPLY_NOTIFY, id, notify);
		close(notify);
	}
	return code;
}

bool confine(int link, uint32_t id, const struct cv_plan_command *c)
{
	struct cv_err err = { 0 };

	if (cv_proc_no_new_privs_set(&err) == CV_OK && landlock_apply(link, id, c, &err) == CV_OK &&
		seccomp_apply(link, id, c, &err) == CV_OK)
		return true;
	report_failed(link, id, CV_INIT_STAGE_CONFINE, err.sys, err.msg);
	return false;
}
