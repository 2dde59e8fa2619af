/* SPDX-License-Identifier: Apache-2.0 */
/*
 * children.h - for a subreaper (prctl(2)): the end of all that became its child
 */
#pragma once
#include "base/attr.h"

#include <stddef.h>
#include <sys/types.h>

/* Signals every child of this process and their groups, except those in keep; how many there were.
 * What these leave becomes our child: call again until there is none. */
size_t cv_children_kill(const pid_t *keep, size_t keep_count, int signal_number);

/* Kills them and waits for them, until there is none but those in keep, or the time is over.  A
 * sandbox's janitor, which ends by itself when it has cleaned up, is left alone. */
void cv_children_end(const pid_t *keep, size_t keep_count, unsigned ms);

#define CV_JANITOR_NAME "cove-janitor" /* prctl(2), PR_SET_NAME */
