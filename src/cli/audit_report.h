/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_report.h - what `cove audit secrets` looked at, a row for each place
 *
 * A row is clean only if all of it was read: what could not be read is said in the row itself, and
 * such a row is no proof.  Rows are added while the search goes on and keep their addresses.
 */
#pragma once
#include "base/buf.h"

#include <stdint.h>
#include <sys/types.h>

#define AUDIT_DETAILS_MAX 8 /* of a row; more hits are counted, and these show where to look */
#define AUDIT_ROWS_MAX    100000u /* three of a process and one of a mount, and room */

struct audit_detail {
	char *where; /* within the place: a file's path, a process; may be empty */
	const char *form;
	uint64_t at; /* offset in it; in memory an address */
};

struct audit_row {
	struct audit_row *next;
	pid_t run;         /* 0: the host */
	char *subject;     /* "cove-proxy 123" */
	const char *place; /* "memory" */
	uint64_t bytes, hits;
	char *unsearched;   /* why not all of it was read; NULL: it was */
	const char *exempt; /* why it isn't searched at all, rightly */
	bool is_yours;      /* hits are where the user put the value */
	struct audit_detail detail[AUDIT_DETAILS_MAX];
	size_t detail_count;
};

enum audit_state {
	AUDIT_CLEAN,
	AUDIT_FOUND,
	AUDIT_YOURS,
	AUDIT_UNSEARCHED,
	AUDIT_EXEMPT,
	AUDIT_STATE_COUNT
};

struct audit_report {
	struct audit_row *first, **last;
	size_t count;
	bool is_overflown; /* a row or part of one was lost: the report proves nothing */
};

void audit_report_init(struct audit_report *r);
void audit_report_fini(struct audit_report *r);

/* Never NULL: without memory, a row that is not part of the report, which then is overflown. */
CV_PRINTF(4, 5)
struct audit_row *audit_row_add(
	struct audit_report *r, pid_t run, const char *place, const char *subject_fmt, ...);
/* The first reason stays. */
CV_PRINTF(2, 3) void audit_row_unsearched(struct audit_row *row, const char *fmt, ...);
void audit_row_hit(struct audit_row *row, const char *where, const char *form, uint64_t at);

enum audit_state audit_row_state(const struct audit_row *row);
const char *audit_state_name(enum audit_state state);

struct audit_summary {
	uint64_t bytes, hits, rows[AUDIT_STATE_COUNT];
};

struct audit_summary audit_report_sum(const struct audit_report *r);

/* is_clean as the exit status has it. */
void audit_report_text(const struct audit_report *r, bool is_clean, struct cv_buf *out);
void audit_report_json(const struct audit_report *r, bool is_clean, struct cv_buf *out);
