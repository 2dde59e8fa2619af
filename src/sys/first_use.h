/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first_use.h - has this executable changed since it was first used?
 *
 * Remembers the SHA-256 of each path's content at first use.  A file is hashed again only when its
 * fingerprint (device, inode, size, both times) is not one that was hashed before, so the usual
 * answer costs one stat.  Both tables are bounded: a full table of paths is an answer (CV_LIMIT),
 * a full table of fingerprints forgets the oldest.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* Paths of one sandbox; a build touches hundreds.  More is somebody filling the table. */
#define CV_FIRST_USE_PATHS_MAX 4096
/* Their text; together with the above a sandbox can make its supervisor keep about 1 MiB. */
#define CV_FIRST_USE_TEXT_BYTES_MAX (512u << 10)
/* Fingerprints with their hashes.  Forgetting one costs time only. */
#define CV_FIRST_USE_HASHES_MAX 512
/* One executable.  The largest in use (browsers, language runtimes in one file) are near 200 MB;
 * hashing this much takes 0.3 s, 2 s without the CPU's help, and its own sandbox waits. */
#define CV_FIRST_USE_FILE_BYTES_MAX (512u << 20)

struct cv_first_use;

/* NULL: out of memory. */
struct cv_first_use *cv_first_use_new(void);
void cv_first_use_free(struct cv_first_use *u);

/* The file `name` of the directory `dir` (which may be a link of procfs) is about to be used under
 * the display path `path`.
 *   CV_OK       first use, or the same content as then
 *   CV_DENIED   other content than at first use
 *   CV_LIMIT    too many paths, or the file is too large
 *   CV_INVALID  not a regular file, or it changed while it was read
 *   CV_SYSTEM   it can't be looked at */
CV_MUST cv_code cv_first_use_check(
	struct cv_first_use *u, struct cv_str path, int dir, const char *name, struct cv_err *err);
