/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock.h - the last word on files, signals and abstract sockets, by the newest ABI present
 *
 * A rule set is plain data: paths with one of a few kinds of access.  What the kernel can't
 * enforce is told by name, so that the caller can refuse (hard requirement) or report.  Own
 * constants, because Debian 12's headers stop at ABI 2.
 *
 * Sources: landlock(7); Documentation/userspace-api/landlock.rst of Linux 6.18.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define CV_LANDLOCK_ABI_MAX 7 /* the newest that this code knows by name; newer ones work as it */

struct cv_landlock_caps {
	int abi;         /* 0: not there (not built, or switched off at boot) */
	unsigned errata; /* bit N-1: erratum N is fixed */
};

struct cv_landlock_caps cv_landlock_probe(void);

enum cv_landlock_access {
	CV_LANDLOCK_READ,   /* read files and directories, execute */
	CV_LANDLOCK_WRITE,  /* all of that, and create, change, truncate, link, remove */
	CV_LANDLOCK_DEVICE, /* read, write and ioctl of a device node; nothing is created */
	CV_LANDLOCK_LIST,   /* names in directories, no contents */
	CV_LANDLOCK_ACCESS_COUNT
};

struct cv_landlock_rule {
	const char *path;
	enum cv_landlock_access access;
};

/* Confines this single-threaded process and its children for good: what no rule allows is denied,
 * signals and abstract sockets reach only processes confined with or below it (ABI 6).  Rules
 * whose path does not exist are skipped.  no_new_privs must be set.
 *
 * caps says what to use; what is missing from it against CV_LANDLOCK_ABI_MAX was the caller's to
 * judge.  CV_UNAVAILABLE when caps.abi is 0; CV_SYSTEM with the path that failed. */
CV_MUST cv_code cv_landlock_apply(struct cv_landlock_caps caps,
	const struct cv_landlock_rule *rules, size_t count, struct cv_err *err);

/* Only what needs no rules: signals and abstract sockets (ABI 6; an older one does nothing).  A
 * process under file rules can't mount anything, not even in namespaces of its own. */
CV_MUST cv_code cv_landlock_scope(struct cv_landlock_caps caps, struct cv_err *err);

/* Denies every file access: for processes that have all they need open. */
CV_MUST cv_code cv_landlock_deny_files(struct cv_landlock_caps caps, struct cv_err *err);

/* What this ABI does not enforce, in words ("truncate, TCP ports, ..."); "" when nothing. */
const char *cv_landlock_missing(int abi);
