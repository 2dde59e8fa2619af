/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo_int.h - what the files of the backend `repo` share
 *
 *     repo.c       in the broker: arguments, the worker's start and end
 *     repo_work.c  in the worker: fetch, look, deliver
 *     repo_scan.c  in the worker: what is suspicious in it
 *     repo_git.c   in the worker: git, with nothing of the host's configuration
 */
#pragma once
#include "broker/limits.h"
#include "sys/copy.h"
#include "tools/catalog.h"
#include "tools/repo.h"

#include <limits.h>
#include <sys/types.h>

struct curl_slist;

struct repo_work {
	const struct cv_tool_repo *tool;
	struct cv_str repo, ref, dest; /* ref, dest empty: not given */
	uint32_t depth;
	char dir[PATH_MAX]; /* the call's own */
	struct cv_buf url;
	struct cv_buf header; /* "Authorization: ..."; empty: no credential.  Wiped with the run */
	struct cv_str roots;  /* PEM; empty: the host's own */
	const struct curl_slist *pins;

	/* In the worker alone. */
	struct cv_arena arena;
	struct cv_repo_findings findings;
	struct cv_repo_target target;
	char commit[CV_REPO_COMMIT_BYTES_MAX + 1];
	struct cv_repo_entry *entry;
	size_t entry_count;
	struct cv_buf listing; /* entries are parts of it */
	uint64_t bytes;        /* of all files */
};

/* In a process of its own, with the sandbox's root as SPAWN_KEEP_FD, which need not be there without
 * dest.  On stdout: "STATUS CODE\n", a line of detail, and the members of a JSON object. */
int repo_run(const void *work);

/* ---- repo_git.c ---- */

struct repo_git {                /* one run of it */
	const char *const *argv; /* behind "git"; NULL at the end */
	bool is_network;         /* is told the credential, and the roots */
	bool is_outside;         /* there is no repository yet */
	struct cv_buf *out;      /* stdout; its max bounds it */
};

enum repo_git_end {
	REPO_GIT_OK,
	REPO_GIT_FAILED, /* said says why */
	REPO_GIT_LARGE,  /* it wrote more than it may */
	REPO_GIT_BROKEN  /* it can't be run */
};

/* said: the last of its stderr. */
CV_MUST enum repo_git_end repo_git(
	const struct repo_work *w, const struct repo_git *g, struct cv_buf *said);

/* ---- repo_scan.c ---- */

/* The listing of the commit, before any of it is written.  CV_LIMIT: it is too large. */
CV_MUST cv_code repo_scan_listing(struct repo_work *w, struct cv_err *err);
/* What was checked out, and git's own directory, in which only what belongs there stays. */
CV_MUST cv_code repo_scan_files(struct repo_work *w, struct cv_err *err);
