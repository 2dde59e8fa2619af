/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nursery.h - the process that keepers of a driver's sandboxes are forked from
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

struct cv_driver_nursery {
	struct cv_str exe; /* cove-keeper */
	pid_t pid;         /* 0: none runs */
	int pidfd, link;
	int64_t again_ms; /* not before that is another one started */
};

/* Starts one.  Without one, and whatever becomes of it, sandboxes start their keepers themselves. */
void cv_driver_nursery_init(struct cv_driver_nursery *n, struct cv_str exe);
void cv_driver_nursery_fini(struct cv_driver_nursery *n);
/* Asks for a keeper whose stderr is log.  *ret is its control link, which waits for it; -1: none. */
void cv_driver_nursery_child(struct cv_driver_nursery *n, int log, int *ret);
/* Now and then: one that died is waited for, and another started. */
void cv_driver_nursery_turn(struct cv_driver_nursery *n);
