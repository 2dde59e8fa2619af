/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - limits of memory, CPU and processes for one sandbox
 *
 * What can enforce a limit differs by host: a delegated cgroup v2, a writable hierarchy of v1,
 * a resource limit of processes (weaker, see cv_cgroup_means_words()), or nothing.  A look at the
 * host gives that as data, each limit by itself; then a group is made, filled, killed and removed.
 * A limit that nothing enforces is an error, never ignored.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <limits.h>
#include <sys/types.h>

enum cv_cgroup_limit { CV_CGROUP_MEMORY, CV_CGROUP_CPU, CV_CGROUP_PIDS, CV_CGROUP_LIMIT_COUNT };

/* Weakest first. */
enum cv_cgroup_means {
	CV_CGROUP_NONE,
	CV_CGROUP_RLIMIT,
	CV_CGROUP_V1,
	CV_CGROUP_V2,
	CV_CGROUP_MEANS_COUNT
};

/* "memory", "cpu", "pids": the kernel's names of the controllers. */
const char *cv_cgroup_limit_name(enum cv_cgroup_limit limit);
/* "cgroup v2", "cgroup v1", "rlimit", "none". */
const char *cv_cgroup_means_name(enum cv_cgroup_means means);
/* What is in force, for a run's message: "RLIMIT_AS, which bounds each process by itself". */
const char *cv_cgroup_means_words(enum cv_cgroup_limit limit, enum cv_cgroup_means means);
/* What would enable the limit where nothing does. */
const char *cv_cgroup_remedy(void);

/* --- Where our own process is, from the kernel's text; pure --- */

/* Directories of this process's own groups; empty when there is none that can be reached. */
struct cv_cgroup_places {
	char v2[PATH_MAX], v2_mount[PATH_MAX];    /* own group, and the top of what is mounted */
	char v1[CV_CGROUP_LIMIT_COUNT][PATH_MAX]; /* of each controller */
	char v1_freezer[PATH_MAX];
};

/* From /proc/self/cgroup and /proc/self/mountinfo. */
void cv_cgroup_places_parse(
	struct cv_str cgroup, struct cv_str mountinfo, struct cv_cgroup_places *ret);

/* --- This host --- */

struct cv_cgroup_host {
	enum cv_cgroup_means means[CV_CGROUP_LIMIT_COUNT];
	char v2[PATH_MAX]; /* a group may be made in here; empty: not */
	char v1[CV_CGROUP_LIMIT_COUNT][PATH_MAX];
	char v1_freezer[PATH_MAX];
};

/* Looks, and changes nothing.  CV_SYSTEM: /proc can't be read. */
CV_MUST cv_code cv_cgroup_host_look(struct cv_cgroup_host *ret, struct cv_err *err);

/* --- A group --- */

struct cv_cgroup_limits { /* 0: not asked for */
	uint64_t memory_bytes;
	uint32_t cpu_milli;
	uint32_t pids;
};

struct cv_cgroup;

/* Makes the group "cove-NAME" with the limits.  Without a limit that a cgroup enforces there is no
 * group, and the other functions do nothing.
 * CV_UNAVAILABLE: a limit that nothing enforces.  CV_INVALID: the name.  CV_SYSTEM. */
CV_MUST cv_code cv_cgroup_new(const struct cv_cgroup_host *host, struct cv_str name,
	const struct cv_cgroup_limits *limits, struct cv_cgroup **ret, struct cv_err *err);

/* Forgets the group; does not remove it.  NULL is fine. */
void cv_cgroup_free(struct cv_cgroup *cg);

/* Moves a process in; what it forks from now on is in as well. */
CV_MUST cv_code cv_cgroup_add(const struct cv_cgroup *cg, pid_t pid, struct cv_err *err);

/* Kills every process in the group; they may take a moment to be gone. */
CV_MUST cv_code cv_cgroup_kill(const struct cv_cgroup *cg, struct cv_err *err);

/* Removes the group, waiting up to two seconds for processes that are still ending. */
CV_MUST cv_code cv_cgroup_remove(const struct cv_cgroup *cg, struct cv_err *err);

/* Removes empty groups "cove-PID-..." beside this one whose process is gone: what is left where a
 * supervisor and the process that tidies up after it were killed at once.  Best effort. */
void cv_cgroup_sweep(const struct cv_cgroup *cg);

/* For limits whose means is CV_CGROUP_RLIMIT: bounds the calling process and its children.  Call
 * in the sandbox, before exec. */
CV_MUST cv_code cv_cgroup_rlimits_set(const struct cv_cgroup_host *host,
	const struct cv_cgroup_limits *limits, struct cv_err *err);
