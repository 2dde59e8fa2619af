/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.h - descriptors that close themselves at the end of their scope, and the three that are always there
 *
 *     CV_AUTO_FD int fd = open(...);
 *     ...
 *     *ret_fd = cv_take_fd(fd);
 */
#pragma once
#include "base/attr.h"

#include <errno.h>
#include <fcntl.h>
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

/* The first thing of a program that a person starts: who was started without a 0, 1 or 2 (`<&-`) would
 * find the next thing that he opens there, and read or print into it.  All three for reading: stdin
 * is at its end, and what is printed fails as it would have without. */
static inline void cv_fd_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
			_exit(1);
}
