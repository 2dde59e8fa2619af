/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.c - see tree.h
 *
 * Names are only ever used beneath an open directory, so whoever moves things about meanwhile can't
 * lead us out.  A directory that its owner has locked is unlocked first; what belongs to somebody
 * else fails.
 */
#include "sys/tree.h"

#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int dir_open(int at, const char *name)
{
	int fd = openat(at, name, OPEN_FLAGS);

	if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
		fd = openat(at, name, OPEN_FLAGS);
	return fd;
}

static int entry_remove(int dir, const char *name, dev_t device, unsigned depth);

/* Takes fd. */
static int contents_remove(int fd, dev_t device, unsigned depth)
{
	DIR *d = fdopendir(fd);
	const struct dirent *e;
	int rc = 0;

	if (!d) {
		close(fd);
		return -1;
	}
	(void)fchmod(fd, 0700); /* a directory that may be read and not changed */
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			entry_remove(fd, e->d_name, device, depth) < 0)
			rc = -1;
	closedir(d);
	return rc;
}

static int entry_remove(int dir, const char *name, dev_t device, unsigned depth)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dir, name, 0);
	if (st.st_dev != device || depth == CV_TREE_DEPTH_MAX) {
		errno = depth == CV_TREE_DEPTH_MAX ? ELOOP : EXDEV;
		return -1;
	}
	fd = dir_open(dir, name);
	if (fd < 0 || contents_remove(fd, device, depth + 1) < 0)
		return -1;
	return unlinkat(dir, name, AT_REMOVEDIR);
}

cv_code cv_tree_remove(const char *path, struct cv_err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		const bool is_missing = errno == ENOENT;
		const cv_code code = cv_fail_errno(err, "%s", path);

		return is_missing ? CV_NOT_FOUND : code;
	}
	if (entry_remove(AT_FDCWD, path, st.st_dev, 0) == 0)
		return CV_OK;
	return cv_fail_errno(err, "remove %s", path);
}
