/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.c - see tree.h
 *
 * Names are only ever used beneath an open directory, so whoever moves things about meanwhile can't
 * lead us out.  A directory that its owner has locked is unlocked first; what belongs to somebody
 * else fails.
 *
 * Directories in one another are open all at once.  One that lies too deep for that is moved up, to
 * the root of what is removed, which is then read once more.
 */
#include "sys/tree.h"

#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAISE_TRIES_MAX 1024 /* names that somebody took before us */
#define PASSES_MAX      4096 /* each takes away CV_TREE_DEPTH_MAX levels */
#define OPEN_FLAGS      (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* fchmodat() follows links: who swaps the directory for one would have us change what it leads to. */
static int dir_unlock(int at, const char *name)
{
	CV_AUTO_FD int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char path[32];

	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, 0700);
}

static int dir_open(int at, const char *name)
{
	int fd = openat(at, name, OPEN_FLAGS);

	if (fd < 0 && errno == EACCES && dir_unlock(at, name) == 0)
		fd = openat(at, name, OPEN_FLAGS);
	return fd;
}

struct removal {
	dev_t device;
	int root;       /* of the tree, open; -1: not yet */
	unsigned moved; /* to the root, whose names then are free of meaning */
};

static int entry_remove(struct removal *r, int dir, const char *name, unsigned depth);

static int entries_remove(struct removal *r, DIR *d, unsigned depth)
{
	const struct dirent *e;
	int rc = 0;

	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			entry_remove(r, dirfd(d), e->d_name, depth) < 0)
			rc = -1;
	return rc;
}

/* Takes fd. */
static int contents_remove(struct removal *r, int fd, unsigned depth)
{
	DIR *d = fdopendir(fd);
	unsigned before, passes = 0;
	int rc;

	if (!d) {
		close(fd);
		return -1;
	}
	(void)fchmod(fd, 0700); /* a directory that may be read and not changed */
	if (depth == 1)
		r->root = fd;
	do {
		before = r->moved;
		rc = entries_remove(r, d, depth);
		rewinddir(d);
	} while (depth == 1 && r->moved != before && ++passes < PASSES_MAX);
	closedir(d);
	return rc;
}

/* To the root, under a name that is free, or an empty directory's. */
static int entry_raise(struct removal *r, int dir, const char *name)
{
	char fresh[32];

	(void)dir_unlock(dir, name); /* its ".." changes */
	for (int tries = 0; tries < RAISE_TRIES_MAX; tries++) {
		snprintf(fresh, sizeof(fresh), "raised-%u", ++r->moved);
		if (renameat(dir, name, r->root, fresh) == 0)
			return 0;
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			break;
	}
	return -1;
}

static int entry_remove(struct removal *r, int dir, const char *name, unsigned depth)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dir, name, 0);
	if (st.st_dev != r->device) {
		errno = EXDEV;
		return -1;
	}
	if (depth == CV_TREE_DEPTH_MAX)
		return entry_raise(r, dir, name);
	fd = dir_open(dir, name);
	if (fd < 0 || contents_remove(r, fd, depth + 1) < 0)
		return -1;
	return unlinkat(dir, name, AT_REMOVEDIR);
}

cv_code cv_tree_remove(const char *path, struct cv_err *err)
{
	struct removal r = { .root = -1 };
	struct stat st;

	if (lstat(path, &st) < 0) {
		const bool is_missing = errno == ENOENT;
		const cv_code code = cv_fail_errno(err, "%s", path);

		return is_missing ? CV_NOT_FOUND : code;
	}
	r.device = st.st_dev;
	if (entry_remove(&r, AT_FDCWD, path, 0) == 0)
		return CV_OK;
	return cv_fail_errno(err, "remove %s", path);
}
