/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.h - files out of a sandbox and into one, while whoever is in it does what it can
 *
 * The sandbox is a descriptor of its root (O_PATH is enough); a path in it is resolved in that root,
 * and a symlink or a magic link on the way is an error.  What is copied has the rights of this
 * process, so a caller with more than the sandbox's user gives them up first.
 *
 * These functions read and write as long as it takes: call them in a process of their own.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define CV_COPY_DEPTH_MAX 64   /* directories in one another; each is an open descriptor or two */
#define CV_COPY_NAME_MAX  4096 /* of a path, for messages */

struct cv_copy_limits {
	uint64_t bytes_max; /* holes count: a sparse file is as large as it says */
	uint32_t files_max; /* directories and links too */
};

struct cv_copy_count {
	uint64_t bytes;
	uint32_t files;
};

/* Copies the directory at path in the sandbox into `to`, which is empty and nobody else's.  Regular
 * files, directories and symlinks; of a file with several names each becomes a file.  Set-user-id,
 * set-group-id and sticky bits go, and what may be done with a file is its owner's to say.
 * CV_NOT_FOUND: there is nothing.  CV_DENIED: something that is none of the three, a link that leads
 * out, a name with control characters, another kind of file system, a path with a link in it.
 * CV_LIMIT: too much.  CV_SYSTEM.  `to` holds part of it then. */
CV_MUST cv_code cv_copy_in(int root, const char *path, int to, const struct cv_copy_limits *limits,
	struct cv_copy_count *ret, struct cv_err *err);

/* The same for one regular file, which becomes `name` in `to`. */
CV_MUST cv_code cv_copy_file_in(int root, const char *path, int to, const char *name,
	uint64_t bytes_max, struct cv_copy_count *ret, struct cv_err *err);

/* Copies the open file `from` to path in the sandbox: beside it first, and then in its place at a
 * stroke.  Its directory has to be there.  CV_NOT_FOUND, CV_DENIED, CV_LIMIT, CV_SYSTEM. */
CV_MUST cv_code cv_copy_out(int from, int root, const char *path, uint64_t bytes_max,
	struct cv_copy_count *ret, struct cv_err *err);

/* The same for a regular file of anybody's: with what its owner may do with it, without the bits
 * that cv_copy_in() takes, and with may_replace false only where nothing is. */
CV_MUST cv_code cv_copy_file_out(int from, int root, const char *path, uint64_t bytes_max,
	bool may_replace, struct cv_copy_count *ret, struct cv_err *err);

/* Copies the directory `from` to path in the sandbox, as cv_copy_in() does the other way: beside it
 * first, and then it is there at a stroke.  Nothing is at path, or an empty directory, which goes; the
 * directory that it is in has to be there.  CV_NOT_FOUND, CV_DENIED, CV_INVALID, CV_LIMIT,
 * CV_SYSTEM. */
CV_MUST cv_code cv_copy_tree_out(int from, int root, const char *path,
	const struct cv_copy_limits *limits, struct cv_copy_count *ret, struct cv_err *err);

/* For a signal handler: what is being copied fails with CV_UNAVAILABLE, and takes back what is half
 * done.  There is no way back from it in this process. */
void cv_copy_stop(void);

/* What a tree takes on its disk, as far as it can be read; stops at max. */
uint64_t cv_copy_usage(int dir, uint64_t max);
