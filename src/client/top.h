/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.h - what `cove top` knows and shows: events in, rows out (pure)
 *
 * The model holds the gateway's sandboxes, the last lines of each, and what waits for approval; keys
 * change what is looked at.  cl_top_frame() makes rows of text of it, whose attributes are styles, not
 * colours: the terminal (top_draw.c) and `--once` show the same.  Messages come from top_stream.c,
 * which also does what a key asked for.
 *
 * Every text of the gateway's is kept in the form of base/shown.h.  What is decided about a proposal
 * is decided about the one whose id and review token were on the screen when its key was pressed,
 * whatever came in between; and only after a second key, y, as rows move while hands do.
 */
#pragma once
#include "base/buf.h"

#include "cove.pb-c.h"
#include "openshell.pb-c.h"

#include <stdbool.h>

#define CL_TOP_BOXES_MAX  1000 /* a page of the gateway's; more are counted as not shown */
#define CL_TOP_CHUNKS_MAX 2000 /* of all sandboxes */
#define CL_TOP_LINES_MAX  2000 /* of all sandboxes; the oldest goes */
#define CL_TOP_TEXT_MAX   600  /* of a line, before it is escaped; the middle is left out */
#define CL_TOP_FILTER_MAX 64
#define CL_TOP_ROWS_MAX   500 /* of a frame */
#define CL_TOP_WIDTH_MIN  40
#define CL_TOP_HEIGHT_MIN 8

struct cl_top_box {
	char *id, *name, *workspace; /* as the gateway has them */
	char *shown;                 /* name */
	const char *phase;
	int64_t created_ms, seen_ms; /* the last line's */
	uint32_t policy_version;
	bool is_there; /* in the list that is being taken */
	bool has_usage;
	double cpu;                   /* processors; below 0: not known yet */
	uint64_t memory_bytes, ticks; /* of its processes, when usage_ms was */
	int64_t usage_ms;
};

struct cl_top_chunk { /* a rule that is proposed, or a question that holds a sandbox up */
	bool is_question;
	char *box_id, *id, *token;
	char *box, *rule, *endpoints, *program, *rationale, *notes; /* shown */
	char *changes; /* lines of the rule that would be allowed, shown */
};

struct cl_top_line {
	char *box_id, *box, *text; /* shown */
	int64_t ms;
	uint64_t nth; /* to come */
	bool is_decision, is_denied, is_allowed;
};

enum cl_top_view {
	CL_TOP_SANDBOXES, /* and decisions below */
	CL_TOP_LOGS,      /* of one */
	CL_TOP_APPROVALS,
	CL_TOP_REVIEW, /* one chunk, whole */
	CL_TOP_HELP
};

enum cl_top_ask { CL_TOP_ASK_NOTHING, CL_TOP_ASK_FILTER, CL_TOP_ASK_APPROVE, CL_TOP_ASK_REJECT };

struct cl_top {
	struct cl_top_box *boxes; /* as listed */
	size_t box_count;
	bool has_more; /* than the gateway's page */
	struct cl_top_chunk *chunks;
	size_t chunk_count;
	struct cl_top_line *lines; /* a ring */
	size_t line_count, line_first;
	uint64_t line_next;

	enum cl_top_view view;
	char *at;       /* id of the selected sandbox; NULL: none */
	char *at_chunk; /* of the selected chunk */
	char *logs_of;  /* of CL_TOP_LOGS */
	size_t scroll;  /* rows back from the end, in lists of lines; rows down in a review */
	size_t page;    /* rows of the list at the last frame: what PgDn goes by */
	char filter[CL_TOP_FILTER_MAX + 1];
	enum cl_top_ask ask;
	struct cl_top_chunk *asked; /* a copy: what the question is about */

	const char *program;   /* "cove", "openshell" */
	char *gateway, *state; /* "home", "connected"; shown */
	char *note;            /* what was done or failed; NULL */
	char *quota;           /* what is taken of quotas, shown; NULL: nothing is limited */
};

void cl_top_init(struct cl_top *t);
void cl_top_fini(struct cl_top *t);

/* ---- events ---- */

void cl_top_set_state(struct cl_top *t, const char *gateway, const char *state);
void cl_top_set_note(struct cl_top *t, const char *note);
void cl_top_list(struct cl_top *t, const Openshell__V1__ListSandboxesResponse *m);
void cl_top_sandbox(struct cl_top *t, const Openshell__V1__Sandbox *s); /* one of the list */
void cl_top_log(struct cl_top *t, const char *box_id, const Openshell__V1__SandboxLogLine *l);
/* Lines came sandbox by sandbox. */
void cl_top_lines_sort(struct cl_top *t);
void cl_top_drafts(
	struct cl_top *t, const char *box_id, const Openshell__V1__GetDraftPolicyResponse *m);
void cl_top_questions(
	struct cl_top *t, const Cove__V1__ListApprovalsResponse *m); /* all there are */
/* One after the other, as a watch tells them: none, one more, one less. */
void cl_top_questions_forget(struct cl_top *t);
void cl_top_question(struct cl_top *t, const Cove__V1__Approval *a);
void cl_top_question_end(struct cl_top *t, const char *id);
void cl_top_usage_set(struct cl_top *t, const Cove__V1__GetUsageResponse *m);
struct cl_top_box *cl_top_box(struct cl_top *t, const char *id); /* NULL */

/* The filter lets them be seen. */
bool cl_top_box_fits(const struct cl_top *t, size_t i);
bool cl_top_chunk_fits(const struct cl_top *t, size_t i);

/* ---- keys ---- */

enum cl_top_key { /* beside characters */
	CL_TOP_KEY_UP = 256,
	CL_TOP_KEY_DOWN,
	CL_TOP_KEY_PAGE_UP,
	CL_TOP_KEY_PAGE_DOWN,
	CL_TOP_KEY_HOME,
	CL_TOP_KEY_END,
	CL_TOP_KEY_ENTER,
	CL_TOP_KEY_ESCAPE,
	CL_TOP_KEY_TAB,
	CL_TOP_KEY_BACKSPACE
};

enum cl_top_does {
	CL_TOP_DOES_NOTHING,
	CL_TOP_DOES_QUIT,
	CL_TOP_DOES_APPROVE, /* t->asked, which stays until the next key */
	CL_TOP_DOES_REJECT
};

enum cl_top_does cl_top_press(struct cl_top *t, int key);

/* ---- rows ---- */

enum cl_top_style {
	CL_TOP_PLAIN,
	CL_TOP_TITLE,
	CL_TOP_FAINT,
	CL_TOP_GOOD,
	CL_TOP_BAD,
	CL_TOP_STYLE_COUNT
};

struct cl_top_row {
	size_t at, n; /* in the frame's text; at most `width` columns wide */
	enum cl_top_style style;
	bool is_selected;
};

struct cl_top_frame {
	struct cv_buf text;
	struct cl_top_row row[CL_TOP_ROWS_MAX];
	size_t count, width;
};

void cl_top_frame_init(struct cl_top_frame *f);
void cl_top_frame_fini(struct cl_top_frame *f);
/* Exactly `height` rows.  Too small a screen gets one that says so. */
void cl_top_frame(
	struct cl_top *t, size_t width, size_t height, int64_t now_ms, struct cl_top_frame *f);
/* Columns of a text in the form of base/shown.h. */
size_t cl_top_columns(struct cv_str s);
