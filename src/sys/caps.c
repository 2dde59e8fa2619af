/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caps.c - giving up every capability; capabilities(7), capset(2)
 *
 * The bounding set first: emptying it needs CAP_SETPCAP, which the last step takes away.  With an
 * empty bounding set no file and no identity can give a capability back on exec.
 */
#include "sys/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static cv_code bounding_drop(struct cv_err *err)
{
	for (unsigned long cap = 0;; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL) /* past the kernel's last capability */
			return CV_OK;
		return cv_fail_errno(err, "drop capability %lu from the bounding set", cap);
	}
}

/* Empty as far as the kernel knows capabilities. */
static cv_code empty_verify(struct cv_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return cv_fail_errno(err, "read capabilities back");
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (data[i].effective | data[i].permitted | data[i].inheritable)
			return cv_fail(err, CV_DENIED, "a capability stayed after capset");
	for (unsigned long cap = 0;; cap++) {
		const int bounding = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (bounding < 0)
			return CV_OK; /* past the last */
		if (bounding > 0)
			return cv_fail(
				err, CV_DENIED, "capability %lu stayed in the bounding set", cap);
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) > 0)
			return cv_fail(
				err, CV_DENIED, "capability %lu stayed in the ambient set", cap);
	}
}

cv_code cv_caps_drop_all(struct cv_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (bounding_drop(err) != CV_OK)
		return err->code;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return cv_fail_errno(err, "clear ambient capabilities");
	if (syscall(SYS_capset, &head, data) < 0)
		return cv_fail_errno(err, "give up capabilities");
	return empty_verify(err);
}

cv_code cv_caps_drop_own(struct cv_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capset, &head, data) < 0 ? cv_fail_errno(err, "give up capabilities")
						    : CV_OK;
}
