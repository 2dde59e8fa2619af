/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo.h - what a call may ask of a clone, what git answers, and what is suspicious in a repository
 *
 * A clone is looked at before a sandbox gets it: first the list of what the commit holds, which says
 * how much it would become before anything is written, then the files themselves.  Findings say
 * `high` of what is not delivered, `medium` of what somebody should look at, `low` of what runs by
 * itself in some program.
 *
 * Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define CV_REPO_NAME_BYTES_MAX   200
#define CV_REPO_REF_BYTES_MAX    200
#define CV_REPO_COMMIT_BYTES_MAX 64         /* SHA-256, in hexadecimal */
#define CV_REPO_FINDINGS_MAX     200        /* in one result; the rest is counted */
#define CV_REPO_TEXT_BYTES_MAX   (1u << 20) /* of a document that is read for instructions */

/* ---- arguments: NULL, or what is wrong ---- */

const char *cv_repo_name_wrong(struct cv_str s); /* OWNER/NAME */
const char *cv_repo_ref_wrong(struct cv_str s);  /* a branch, tag or commit */
const char *cv_repo_dest_wrong(struct cv_str s); /* an absolute path that says what it means */
bool cv_repo_is_allowed(const struct cv_str *globs, size_t n, struct cv_str name);

/* ---- what git says ---- */

enum cv_repo_kind { CV_REPO_BRANCH, CV_REPO_TAG, CV_REPO_COMMIT };

struct cv_repo_target {
	enum cv_repo_kind kind;
	struct cv_str name; /* without refs/heads/ or refs/tags/; of a commit, the commit */
};

/* Which of what `git ls-remote --symref` lists is meant; want empty: the default branch.  A branch
 * goes before a tag, a tag before a commit.  Parts of listing and want.  False: none is. */
CV_MUST bool cv_repo_target_find(
	struct cv_str listing, struct cv_str want, struct cv_repo_target *ret);

enum cv_repo_entry_kind { CV_REPO_FILE, CV_REPO_LINK, CV_REPO_SUBMODULE };

struct cv_repo_entry {
	enum cv_repo_entry_kind kind;
	uint64_t size; /* of a file or link */
	struct cv_str path;
};

/* One of `git ls-tree -r -l -z`, without the NUL.  False: it is none. */
CV_MUST bool cv_repo_entry_parse(struct cv_str s, struct cv_repo_entry *ret);

/* ---- findings ---- */

enum cv_repo_severity { CV_REPO_LOW, CV_REPO_MEDIUM, CV_REPO_HIGH };

struct cv_repo_findings {
	struct cv_buf json; /* members of an array */
	size_t n, dropped;
	bool has_high; /* counts what was dropped too */
};

void cv_repo_findings_init(struct cv_repo_findings *f);
void cv_repo_findings_fini(struct cv_repo_findings *f);
void cv_repo_finding(struct cv_repo_findings *f, struct cv_str file, enum cv_repo_severity severity,
	const char *issue);

/* By the name of what the commit holds. */
void cv_repo_entry_judge(struct cv_repo_findings *f, const struct cv_repo_entry *e);

/* Names that are one on file systems without letter case (ASCII), in a list sorted as git has it. */
void cv_repo_case_judge(struct cv_repo_findings *f, const struct cv_repo_entry *v, size_t n,
	struct cv_arena *arena);

/* .gitmodules: where submodules would come from.  They are not fetched. */
void cv_repo_modules_judge(struct cv_repo_findings *f, struct cv_str text);
/* .gitattributes at path: programs that a checkout or a diff would run, were they configured. */
void cv_repo_attributes_judge(struct cv_repo_findings *f, struct cv_str path, struct cv_str text);
/* The beginning of a file. */
void cv_repo_file_judge(struct cv_repo_findings *f, struct cv_str path, struct cv_str text);
bool cv_repo_is_document(struct cv_str path); /* read for instructions to whoever reads it */
bool cv_repo_is_automation(
	struct cv_str path); /* in a directory that editors or CI run things of */
/* What a link's text says; where it leads is for a file system to say. */
void cv_repo_link_judge(struct cv_repo_findings *f, struct cv_str path, struct cv_str target);
