/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userns.h - the ids of user namespaces; why this host refuses them, and what would allow them
 *
 * No knob is believed before an attempt failed: root, and who has a profile of AppArmor's, may
 * all the same.
 */
#pragma once
#include "base/err.h"

struct cv_userns_knob {
	const char *path, *name;
	const char *forbids; /* the value that does */
	const char *enable;  /* the command */
};

/* The knob that forbids them to this process now; NULL: none does (a container's seccomp filter,
 * perhaps). */
const struct cv_userns_knob *cv_userns_knob_find(void);

/* Adds to an error of an attempt what forbids it and what would allow it; returns the error's code. */
cv_code cv_userns_explain(struct cv_err *err);

/* One of uid_map, gid_map and setgroups of a process, by its path: each takes its text in one
 * write(2) (user_namespaces(7)).  CV_SYSTEM. */
CV_MUST cv_code cv_userns_write(const char *path, const char *text, struct cv_err *err);
