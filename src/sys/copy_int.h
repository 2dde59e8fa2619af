/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_int.h - one copy under way: what copy.c has for copy_out.c
 */
#pragma once
#include "sys/copy.h"

#include "sys/openat2.h"

#include <fcntl.h>
#include <sys/types.h>

#define DIR_FLAGS  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define IN_SANDBOX (RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct copy {
	struct cv_copy_limits limits;
	struct cv_copy_count count;
	char path[CV_COPY_NAME_MAX]; /* of what is being copied, below the top */
	size_t path_n;
	dev_t device; /* the last that was looked at and is fine */
	bool has_device;
	struct cv_err *err;
};

void copy_begin(struct copy *c, const struct cv_copy_limits *limits, struct cv_err *err);

/* Errors, with the path that it is at. */
cv_code copy_fail(struct copy *c, cv_code code, const char *what);
cv_code copy_fail_errno(struct copy *c);
cv_code copy_fail_bytes(struct copy *c); /* too many of them */

/* One step down.  Messages show the name, so it is made harmless even where it is refused. */
bool copy_path_push(struct copy *c, const char *name, size_t *ret_before);

bool copy_is_dots(const char *name);       /* "." and ".." */
bool copy_name_is_plain(const char *name); /* no control characters */
/* Of a file system whose files are not data but ways to ask the kernel something? */
bool copy_is_pseudo(int fd);
CV_MUST cv_code copy_device_check(struct copy *c, int fd, dev_t device); /* CV_DENIED: of such */

/* Until its end or the limit, whatever its size was said to be. */
CV_MUST cv_code copy_bytes(struct copy *c, int from, int to);
CV_MUST cv_code copy_dir(struct copy *c, int from, int to, unsigned depth);
/* When nobody changes it any more: does each link in dir stay below top? */
CV_MUST cv_code copy_links_check(struct copy *c, int top, int dir, unsigned depth);
