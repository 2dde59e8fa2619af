/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs.h - directories of our own, and those above them
 */
#pragma once
#include "base/err.h"

/* An absolute path's directories, 0700 where they are not there yet. */
CV_MUST cv_code cv_dirs_make(const char *path, struct cv_err *err);
