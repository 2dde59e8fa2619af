/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfile.h - the lines of sandboxes on disk: bounded, append-only, there after a restart
 *
 *     STATE/logs/WORKSPACE--NAME--ID      and the same with .1: the part before, when it grew too long
 *
 * A file is records: four bytes of length (big-endian), then an encoded SandboxLogLine.  A crash can
 * cut the last record; whatever follows a record that is none is cut off before more is appended.
 * Names of workspaces and sandboxes have no double hyphen, so a file's name says whose it is, also
 * when the sandbox is gone: then it is kept for LOGFILE_KEPT_MS after its last line.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define LOGFILE_BYTES_MAX      (512u << 10) /* of each of the two: some ten thousand lines */
#define LOGFILE_LINE_BYTES_MAX (64u << 10)  /* of a record: a line with all its fields */
#define LOGFILE_NAME_BYTES     128
#define LOGFILE_KEPT_MS        (15 * 60 * 1000) /* after a sandbox is gone */
#define LOGFILE_GONE_MAX       1024             /* sandboxes that are gone: the oldest make room */

struct logfile_of {
	struct cv_str workspace, name, id;
};

CV_MUST cv_code logfile_name(
	const struct logfile_of *of, char ret[LOGFILE_NAME_BYTES], struct cv_err *err);
/* Borrows from the file's name; false: it is none, or the part before. */
CV_MUST bool logfile_parse(const char *file, struct logfile_of *ret);

/* records: whole ones. */
CV_MUST cv_code logfile_append(
	int dir, const struct logfile_of *of, struct cv_str records, struct cv_err *err);
/* Appends to ret all there is, oldest first, whole records only; nothing is fine.  A torn end is cut
 * off the file. */
CV_MUST cv_code logfile_read(
	int dir, const struct logfile_of *of, struct cv_buf *ret, struct cv_err *err);
void logfile_remove(int dir, const struct logfile_of *of);

void logfile_record_put(struct cv_buf *b, struct cv_str line);
/* The next record, taken off *rest; false: no more. */
bool logfile_record_next(struct cv_str *rest, struct cv_str *ret);

/* The newest file of a sandbox that has this id, or this name in the workspace;
 * false: none.  file: what ret borrows from. */
CV_MUST bool logfile_find(int dir, struct cv_str workspace, struct cv_str id_or_name,
	char file[LOGFILE_NAME_BYTES], struct logfile_of *ret);
/* Removes those of sandboxes that are gone long enough, and the oldest of too many. */
void logfile_sweep(
	int dir, int64_t unix_ms, bool (*is_there)(void *arg, struct cv_str id), void *arg);
