/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell.h - pid and mount namespaces for a program of the host that is trusted, but not with others'
 * work
 *
 * Not a sandbox: who is in a cell has the user's network, home and rights.  It does not see processes
 * that are not its own, nor the directories that it was not given, and when its first process ends,
 * whoever ends that, the kernel ends all of it.
 *
 * Root makes the namespaces itself.  Everybody else needs a user namespace for it, in which there
 * is one user, himself: one is made by cv_cells_open(), and serves every cell.
 */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cv_cells {
	bool is_open;
	int userns; /* -1: not needed */
};

/* Tries one, too: what is not CV_OK can't be had here, and err says why. */
CV_MUST cv_code cv_cells_open(struct cv_cells *ret, struct cv_err *err);
void cv_cells_close(struct cv_cells *c);

/* As fork(2), but the child is the first process of new namespaces, and a child of the caller's all the
 * same.  It has a copy of the memory as another thread may just have left it: it must not allocate.  */
CV_MUST pid_t cv_cell_fork(const struct cv_cells *c);

struct cv_cell_view {
	const char *const *hide; /* directories of which nothing is seen */
	size_t hide_count;
	/* A directory that is there nevertheless, in the first of them that it is beneath: new and
	 * empty, in memory, 0700, with these bounds; or, with is_kept, the host's own.  NULL:
	 * none. */
	const char *own;
	bool is_kept;
	uint64_t bytes, files; /* 0: without a bound */
	uid_t uid;             /* whose it is */
	gid_t gid;
};

/* In the child: what it sees of files from here on, and of processes.  Every mount of the host's
 * that is made later is seen too, and none that is made here is seen there. */
CV_MUST cv_code cv_cell_enter(const struct cv_cell_view *view, struct cv_err *err);

/* Is `path` beneath the directory, or that itself?  Neither ends with a slash. */
CV_MUST bool cv_cell_is_beneath(const char *path, const char *dir);
