/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openat2.h - openat2() that is asked again when the kernel could not be sure
 *
 * With RESOLVE_IN_ROOT or RESOLVE_BENEATH a ".." on the way (also one in a link, such as that of
 * /etc/os-release) is EAGAIN whenever any mount or rename on the machine happened meanwhile.  Other
 * sandboxes that start are such mounts, so it is ordinary and means only: ask again.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A try takes microseconds; fifty starting sandboxes needed three.  Only a machine that does nothing
 * but mount could use them all, and then the error is true. */
#define CV_OPENAT2_TRIES 1000

static inline int cv_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
	const struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve };
	int fd = -1;

	for (int i = 0; i < CV_OPENAT2_TRIES; i++) {
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}
