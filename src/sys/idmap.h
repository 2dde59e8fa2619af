/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmap.h - more than one id in a user namespace, by the ranges that the host gives to its users
 *
 * subuid(5) says which ids are whose; newuidmap(1) and newgidmap(1), which are set-user-id, write
 * what it allows into a namespace's maps.  Who has no range, or no such program, has one id.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

#define CV_IDMAP_IDS_MAX 65535 /* beside the caller's own: what images use */

struct cv_idmap {
	uint32_t uid_first, uid_count; /* never 0 */
	uint32_t gid_first, gid_count;
};

/* The caller's ranges, when they can be used.  CV_UNAVAILABLE: says what is missing. */
CV_MUST cv_code cv_idmap_find(struct cv_idmap *ret, struct cv_err *err);

/* This process enters a user namespace of its own, is root there, and has the range from 1 on: files of
 * all these ids are its to read and to remove.  It has to be dumpable, and alone. */
CV_MUST cv_code cv_idmap_enter(struct cv_err *err);

/* Maps, in the namespace of a process that has none yet: inner to the caller's own id, and from
 * inner + 1 on the range.  The process has to be dumpable. */
CV_MUST cv_code cv_idmap_apply(pid_t pid, uint32_t inner_uid, uint32_t inner_gid,
	const struct cv_idmap *m, struct cv_err *err);
