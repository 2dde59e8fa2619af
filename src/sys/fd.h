/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.h - descriptors that close themselves at the end of their scope
 *
 *     CV_AUTO_FD int fd = open(...);
 *     ...
 *     *ret_fd = cv_take_fd(fd);
 */
#pragma once
#include "base/attr.h"

#include <errno.h>
#include <unistd.h>

static inline void cv_fd_cleanup(int *fd)
{
	const int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define CV_AUTO_FD CV_AUTO(cv_fd_cleanup)

/* The descriptor, and -1 left behind: it won't be closed here any more. */
#define cv_take_fd(v)                   \
	__extension__({                 \
		const int taken_ = (v); \
		(v) = -1;               \
		taken_;                 \
	})
