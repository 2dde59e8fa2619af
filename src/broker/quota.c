/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.c - see quota.h
 *
 * A walk is given up as soon as it has seen too much, so what it costs is bounded too; a tree that
 * takes long to walk is walked less often.  A file with several names counts once for all of them.
 * One that has lost its name and is still open is not seen: there RLIMIT_FSIZE is what holds.  A
 * directory that its owner has closed is opened again; a tree with one that can't be, or one below
 * DEPTH_MAX others, is taken for full.
 */
#include "broker/quota.h"

#include "broker/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define DEPTH_MAX 128 /* each level is a descriptor */
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

void quota_init(struct quota *q, int dir, bool is_in_memory, uint64_t bytes, uint64_t files)
{
	*q = (struct quota){
		.dir = dir,
		.is_in_memory = is_in_memory,
		.bytes = bytes,
		.files = files,
		.wait_ms = BROKER_QUOTA_LOOK_MS,
	};
}

struct walk {
	uint64_t bytes, files, bytes_max, files_max;
	bool is_closed; /* some of it can't be looked at */
};

static bool is_too_much(const struct walk *w)
{
	return w->bytes >= w->bytes_max || w->files > w->files_max || w->is_closed;
}

/* By descriptor: a link that is put in its place is not followed. */
static int closed_open(int path)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
	if (path < 0 || fstat(path, &st) < 0 || chmod(link, (st.st_mode & 0777) | 0500) < 0)
		return -1;
	return openat(path, ".", DIR_FLAGS);
}

/* name NULL: `at` itself.  -1: it is gone, or w says that it is closed. */
static int dir_open(struct walk *w, int at, const char *name)
{
	int fd = openat(at, name ? name : ".", DIR_FLAGS);

	if (fd >= 0 || errno != EACCES)
		return fd;
	CV_AUTO_FD int path =
		name ? openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	fd = closed_open(name ? path : at);
	w->is_closed = fd < 0 && (!name || path >= 0);
	return fd;
}

static void walk(struct walk *w, int at, const char *name, unsigned depth)
{
	const int fd = dir_open(w, at, name);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	struct stat st;

	if (!d && fd >= 0)
		close(fd);
	while (d && !is_too_much(w) && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		w->files++;
		w->bytes += (uint64_t)st.st_blocks * 512 /
			    (S_ISDIR(st.st_mode) || !st.st_nlink ? 1 : st.st_nlink);
		w->is_closed |= S_ISDIR(st.st_mode) && !depth;
		if (S_ISDIR(st.st_mode) && depth)
			walk(w, fd, e->d_name, depth - 1);
	}
	if (d)
		closedir(d);
}

static bool disk_look(struct quota *q)
{
	struct walk w = { .bytes_max = q->bytes, .files_max = q->files };
	const uint64_t begun = cv_clock_ms();

	walk(&w, q->dir, NULL, DEPTH_MAX);
	const uint64_t took = cv_clock_ms() - begun;
	q->wait_ms = (unsigned)CV_MAX((uint64_t)BROKER_QUOTA_LOOK_MS,
		CV_MIN(took * BROKER_QUOTA_LOOK_SHARE, (uint64_t)BROKER_QUOTA_LOOK_MAX_MS));
	return is_too_much(&w);
}

bool quota_is_reached(struct quota *q)
{
	struct statfs st;

	if (q->dir < 0)
		return false;
	if (!q->is_in_memory)
		return disk_look(q);
	return fstatfs(q->dir, &st) == 0 &&
	       ((q->bytes && !st.f_bfree) || (q->files && !st.f_ffree));
}
