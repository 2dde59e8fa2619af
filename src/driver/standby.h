/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standby.h - a process that a driver has started ahead of what it is for
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

struct cv_driver_standby {
	const char *exe;
	pid_t pid; /* 0: none runs */
	int pidfd, link;
	int64_t again_ms; /* not before that is another one started */
};

/* None yet; exe is borrowed. */
void cv_driver_standby_init(struct cv_driver_standby *s, const char *exe);
bool cv_driver_standby_has_ended(const struct cv_driver_standby *s);
/* It is killed: it holds nothing that could be lost. */
void cv_driver_standby_end(struct cv_driver_standby *s);
/* Now and then: one that died is waited for.  True: another one was started this moment.  Without
 * one, and whatever becomes of it, the driver does without. */
bool cv_driver_standby_turn(struct cv_driver_standby *s);
/* It is somebody else's process from here on. */
void cv_driver_standby_forget(struct cv_driver_standby *s);
