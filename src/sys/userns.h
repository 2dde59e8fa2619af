/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userns.h - why this host refuses user namespaces, and the command that would allow them
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
