/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git.h - where a repository keeps what git executes, when that is not .git
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"

#define CV_DRIVER_GIT_PATHS_MAX 16 /* a gitdir's two, hooksPath, and a dozen includes */

/* Paths below workdir that git on the host would execute or obey and that its fixed list does not
 * name: the directory that a .git file points to, core.hooksPath, include.path.  Fills ret (in
 * arena) and returns how many.  What can't be read is nothing that git could read for us. */
size_t cv_driver_git_paths(
	struct cv_str workdir, struct cv_arena *arena, struct cv_str ret[CV_DRIVER_GIT_PATHS_MAX]);
