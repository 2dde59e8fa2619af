/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.c - installs the filters that tools/seccomp-gen.c made at build time
 *
 * There is nothing to decide here at run time: a profile is an array of instructions.  So the
 * process that confines itself needs no library, no memory and no parsing for it, and what it
 * installs is what the tests ran.
 */
#include "sys/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "sys/seccomp_filters.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

#define FILTER(name)                                                                \
	{                                                                           \
#name, name##_insns, sizeof(name##_insns) / sizeof(name##_insns[0]) \
	}

/* clang-format off */
static const struct cv_seccomp_filter filters[CV_SECCOMP_PROFILE_COUNT] = {
	[CV_SECCOMP_AGENT]        = FILTER(agent),
	[CV_SECCOMP_AGENT_NOTIFY] = FILTER(agent_notify),
	[CV_SECCOMP_PROXY]        = FILTER(proxy),
	[CV_SECCOMP_KEEPER]       = FILTER(keeper),
	[CV_SECCOMP_NESTED]        = FILTER(nested),
	[CV_SECCOMP_NESTED_NOTIFY] = FILTER(nested_notify),
	[CV_SECCOMP_SSH]          = FILTER(ssh),
};
/* clang-format on */

const struct cv_seccomp_filter *cv_seccomp_filter(enum cv_seccomp_profile profile)
{
	cv_assert(profile < CV_SECCOMP_PROFILE_COUNT);
	return &filters[profile];
}

static long set_filter(unsigned long flags, const struct sock_fprog *prog)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, prog);
}

/* A descriptor, or -1 and errno.  WAIT_KILLABLE_RECV keeps a runtime's own signals (Go preempts
 * with SIGURG) from restarting a connect() that the listener already looks at; kernels before 5.19
 * don't know it and only repeat the work. */
static long set_notify_filter(const struct sock_fprog *prog)
{
	const unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	const long fd = set_filter(flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, prog);

	return fd < 0 && errno == EINVAL ? set_filter(flags, prog) : fd;
}

cv_code cv_seccomp_install(enum cv_seccomp_profile profile, int *ret_notify_fd, struct cv_err *err)
{
	const struct cv_seccomp_filter *f = cv_seccomp_filter(profile);
	const bool is_notify =
		profile == CV_SECCOMP_AGENT_NOTIFY || profile == CV_SECCOMP_NESTED_NOTIFY;
	/* The kernel's struct wants a pointer to non-const, and reads only. */
	const struct sock_fprog prog = { f->insn_count, (struct sock_filter *)(uintptr_t)f->insns };
	long rc;

	cv_assert(is_notify == (ret_notify_fd != NULL));
	/* Root could install a filter without it, and would leave set-user-id programs beneath it. */
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return cv_fail(
			err, CV_INVALID, "seccomp filter %s: no_new_privs is not set", f->name);
	rc = is_notify ? set_notify_filter(&prog) : set_filter(0, &prog);
	if (rc < 0 && errno == EBUSY)
		return cv_fail(err, CV_UNAVAILABLE,
			"seccomp filter %s: whoever started this process already listens for its calls, "
			"and the kernel allows one listener",
			f->name);
	if (rc < 0 && (errno == ENOSYS || errno == EINVAL))
		return cv_fail(err, CV_UNAVAILABLE,
			"seccomp filter %s: this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)",
			f->name);
	if (rc < 0)
		return cv_fail_errno(err, "seccomp filter %s", f->name);
	if (is_notify)
		*ret_notify_fd = (int)rc;
	return CV_OK;
}
