/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files_int.h - what the files of the backend `files` share
 *
 *     files.c       in the broker: arguments, the worker's start
 *     files_work.c  in the worker: the copy
 */
#pragma once
#include "base/str.h"
#include "tools/catalog.h"

#define FILES_PATH_BYTES_MAX   4000 /* PATH_MAX, less what stands before it */
#define FILES_RESULT_BYTES_MAX 32768

struct files_work {
	const struct cv_tool_files *tool;
	struct cv_str path, dest;
};

/* In a process of its own, with the sandbox's root as SPAWN_KEEP_FD; says what worker.h says. */
int files_run(const void *work);
