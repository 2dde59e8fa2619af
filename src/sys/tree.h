/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - the end of a directory of our own, with all that others put into it
 */
#pragma once
#include "base/err.h"

/* Directories in one another that are open at once; deeper ones are moved up first. */
#define CV_TREE_DEPTH_MAX 256

/* Removes path and everything beneath it, following no link and entering no other file system.  What
 * is added meanwhile can make it fail: call again.  CV_NOT_FOUND: nothing is there.  CV_SYSTEM. */
CV_MUST cv_code cv_tree_remove(const char *path, struct cv_err *err);
