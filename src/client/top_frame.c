/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_frame.c - the model as rows of text; see top.h
 *
 * A frame is a head line, a body that the view fills, and a line of keys, a question or a note.  Every
 * row is cut to the width by columns: what base/shown.h lets through is one column wide, or two.
 */
#include "client/top.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FRAME_BYTES_MAX (1u << 20)
#define NAME_MAX_COLS   28     /* of a sandbox's name in a list */
#define WIDE_MIN        0x3041 /* the first character of shown.h that takes two columns */

size_t cl_top_columns(struct cv_str s)
{
	size_t n = 0;

	for (size_t at = 0; at < s.n;) {
		uint32_t cp = 0;
		const size_t bytes = cv_utf8_decode(cv_str_slice(s, at, s.n), &cp);

		n += bytes && cp >= WIDE_MIN ? 2 : 1;
		at += bytes ? bytes : 1;
	}
	return n;
}

/* The part of s that fits. */
static struct cv_str fitting(struct cv_str s, size_t columns)
{
	size_t n = 0, at = 0;

	while (at < s.n) {
		uint32_t cp = 0;
		const size_t bytes = cv_utf8_decode(cv_str_slice(s, at, s.n), &cp);

		n += bytes && cp >= WIDE_MIN ? 2 : 1;
		if (n > columns)
			break;
		at += bytes ? bytes : 1;
	}
	return cv_str_slice(s, 0, at);
}

void cl_top_frame_init(struct cl_top_frame *f)
{
	*f = (struct cl_top_frame){ .count = 0 };
	cv_buf_init(&f->text, FRAME_BYTES_MAX);
}

void cl_top_frame_fini(struct cl_top_frame *f)
{
	cv_buf_fini(&f->text);
}

static void row_put(
	struct cl_top_frame *f, enum cl_top_style style, bool is_selected, struct cv_str text)
{
	const struct cv_str s = fitting(text, f->width);

	if (f->count == CL_TOP_ROWS_MAX)
		return;
	f->row[f->count++] = (struct cl_top_row){ cv_buf_len(&f->text), s.n, style, is_selected };
	(void)cv_buf_put(&f->text, s);
}

static CV_PRINTF(4, 5) void row(
	struct cl_top_frame *f, enum cl_top_style style, bool is_selected, const char *fmt, ...)
{
	char text[8192];
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	row_put(f, style, is_selected,
		(struct cv_str){ text, n < 0 ? 0 : CV_MIN((size_t)n, sizeof(text) - 1) });
}

/* name, padded or cut to columns; in b */
static const char *padded(char b[512], const char *name, size_t columns)
{
	const struct cv_str s = fitting(cv_str_of(name), columns);
	const size_t used = cl_top_columns(s);

	snprintf(b, 512, "%.*s%*s", CV_STR_ARG(s), (int)(columns - used), "");
	return b;
}

static const char *age(char b[32], int64_t now_ms, int64_t ms)
{
	const int64_t s = now_ms > ms ? (now_ms - ms) / 1000 : 0;

	if (s < 60)
		snprintf(b, 32, "%ds", (int)s);
	else if (s < 3600)
		snprintf(b, 32, "%dm", (int)(s / 60));
	else if (s < 86400)
		snprintf(b, 32, "%dh", (int)(s / 3600));
	else
		snprintf(b, 32, "%lldd", (long long)(s / 86400));
	return b;
}

/* Time of day, UTC, as everything in logs. */
static const char *clock_of(char b[32], int64_t ms)
{
	const int s = (int)(ms / 1000 % 86400);

	snprintf(b, 32, "%02d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
	return b;
}

static size_t pending_of(const struct cl_top *t, const char *box_id)
{
	size_t n = 0;

	for (size_t i = 0; i < t->chunk_count; i++)
		n += strcmp(t->chunks[i].box_id, box_id) == 0;
	return n;
}

static enum cl_top_style phase_style(const char *phase)
{
	return strcmp(phase, "Ready") == 0   ? CL_TOP_GOOD
	       : strcmp(phase, "Error") == 0 ? CL_TOP_BAD
					     : CL_TOP_PLAIN;
}

/* ---- lists with a selection ---- */

static void box_row(
	const struct cl_top *t, const struct cl_top_box *b, int64_t now_ms, struct cl_top_frame *f)
{
	char name[512], old[32], cpu[32] = "-", memory[32] = "-", pending[32] = "";
	const size_t waiting = pending_of(t, b->id);

	if (b->has_usage) {
		if (b->cpu >= 0)
			snprintf(cpu, sizeof(cpu), "%.0f%%", b->cpu * 100);
		snprintf(memory, sizeof(memory), "%lluM",
			(unsigned long long)(b->memory_bytes >> 20));
	}
	if (waiting)
		snprintf(pending, sizeof(pending), "%zu", waiting);
	row(f, phase_style(b->phase), t->at && strcmp(t->at, b->id) == 0,
		"%s %-12s %5s %6u %6s %7s %7s", padded(name, b->shown, NAME_MAX_COLS), b->phase,
		age(old, now_ms, b->created_ms), b->policy_version, cpu, memory, pending);
}

/* The first of n rows to show so that the selected one is among `room` of them. */
static size_t window(size_t n, size_t selected, size_t room)
{
	if (n <= room || selected < room / 2)
		return 0;
	return CV_MIN(selected - room / 2, n - room);
}

static void boxes_put(struct cl_top *t, size_t room, int64_t now_ms, struct cl_top_frame *f)
{
	size_t n = 0, at = 0, k = 0;
	char name[512];

	row(f, CL_TOP_TITLE, false, "%s %-12s %5s %6s %6s %7s %7s",
		padded(name, "NAME", NAME_MAX_COLS), "PHASE", "AGE", "POLICY", "CPU", "MEMORY",
		"PENDING");
	room--;
	t->page = room;
	for (size_t i = 0; i < t->box_count; i++)
		if (cl_top_box_fits(t, i)) {
			if (t->at && strcmp(t->at, t->boxes[i].id) == 0)
				at = n;
			n++;
		}
	const size_t first = window(n, at, room);
	for (size_t i = 0; i < t->box_count; i++)
		if (cl_top_box_fits(t, i) && k++ >= first && k <= first + room)
			box_row(t, &t->boxes[i], now_ms, f);
	if (!n)
		row(f, CL_TOP_FAINT, false, "%s",
			*t->filter ? "no sandbox has that in its name" : "no sandboxes");
}

static void chunks_put(struct cl_top *t, size_t room, struct cl_top_frame *f)
{
	size_t n = 0, at = 0, k = 0;
	char name[512];

	row(f, CL_TOP_TITLE, false, "%s %s", padded(name, "SANDBOX", 20),
		"PENDING: what would be allowed, for which program");
	room--;
	t->page = room;
	for (size_t i = 0; i < t->chunk_count; i++)
		if (t->at_chunk && strcmp(t->at_chunk, t->chunks[i].id) == 0)
			at = i;
	const size_t first = window(t->chunk_count, at, room);
	for (size_t i = 0; i < t->chunk_count && n < room; i++) {
		const struct cl_top_chunk *c = &t->chunks[i];

		if (!cl_top_chunk_fits(t, i))
			continue;
		if (k++ < first)
			continue;
		n++;
		row(f, *c->notes ? CL_TOP_BAD : CL_TOP_PLAIN,
			t->at_chunk && strcmp(t->at_chunk, c->id) == 0, "%s %s  %s%s%s",
			padded(name, c->box, 20), c->endpoints, c->program, *c->notes ? "  ! " : "",
			c->notes);
	}
	if (!n)
		row(f, CL_TOP_FAINT, false, "nothing waits for you");
}

/* ---- lines ---- */

static bool line_fits(const struct cl_top *t, const struct cl_top_line *l, const char *box_id)
{
	if (box_id ? strcmp(l->box_id, box_id) != 0 : !l->is_decision)
		return false;
	return !*t->filter || strstr(l->text, t->filter) || strstr(l->box, t->filter);
}

/* The last ones, `back` rows before the end. */
static void log_put(
	struct cl_top *t, const char *box_id, size_t back, size_t room, struct cl_top_frame *f)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < t->line_count; i++)
		n += line_fits(t, &t->lines[(t->line_first + i) % CL_TOP_LINES_MAX], box_id);
	back = CV_MIN(back, n > room ? n - room : 0);
	const size_t end = n - back, first = end > room ? end - room : 0;
	for (size_t i = 0; i < t->line_count; i++) {
		const struct cl_top_line *l = &t->lines[(t->line_first + i) % CL_TOP_LINES_MAX];
		char when[32];

		if (!line_fits(t, l, box_id) || k++ < first || k > end)
			continue;
		row(f,
			l->is_denied    ? CL_TOP_BAD
			: l->is_allowed ? CL_TOP_GOOD
					: CL_TOP_PLAIN,
			false, "%s %s%s%s", clock_of(when, l->ms), box_id ? "" : l->box,
			box_id ? "" : " ", l->text);
	}
	if (!n)
		row(f, CL_TOP_FAINT, false, "nothing yet");
	if (box_id)
		t->scroll = back;
}

static void text_put(struct cl_top_frame *f, const char *label, const char *value)
{
	if (*value)
		row(f, CL_TOP_PLAIN, false, "%-10s %s", label, value);
}

static void review_put(struct cl_top *t, size_t room, struct cl_top_frame *f)
{
	const struct cl_top_chunk *c = NULL;
	const size_t begin = f->count;
	size_t lines = 0, k = 0;

	for (size_t i = 0; i < t->chunk_count; i++)
		if (t->at_chunk && strcmp(t->at_chunk, t->chunks[i].id) == 0)
			c = &t->chunks[i];
	if (!c) {
		row(f, CL_TOP_FAINT, false, "it does not wait any more");
		return;
	}
	text_put(f, "Sandbox", c->box);
	text_put(f, "Rule", c->rule);
	text_put(f, c->is_question ? "Asks for" : "Endpoints", c->endpoints);
	text_put(f, "Program", c->program);
	text_put(f, "Reason", c->rationale);
	if (*c->notes)
		row(f, CL_TOP_BAD, false, "%-10s %s", "Security", c->notes);
	const size_t used = CV_MIN(f->count - begin, room), left = room - used;
	t->page = left;
	for (const char *p = c->changes; *p; p++)
		lines += *p == '\n';
	t->scroll = CV_MIN(t->scroll, lines > left ? lines - left : 0);
	for (struct cv_str rest = cv_str_of(c->changes); rest.n; k++) {
		const struct cv_str line = cv_str_cut(&rest, '\n');

		if (k >= t->scroll && k < t->scroll + left)
			row_put(f,
				cv_str_has_prefix(line, CV_STR("-"))   ? CL_TOP_BAD
				: cv_str_has_prefix(line, CV_STR(" ")) ? CL_TOP_PLAIN
								       : CL_TOP_GOOD,
				false, line);
	}
}

static void help_put(struct cl_top_frame *f)
{
	static const char *const text[] = {
		"j k  arrows  PgUp PgDn  g G   move",
		"Enter l                       logs of a sandbox, or a proposal whole",
		"Esc h                         back",
		"Tab                           sandboxes, or what waits for approval (p)",
		"a  x                          approve, reject a proposal; then y",
		"/                             filter; Enter keeps it, Esc drops it",
		"q                             quit",
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(text); i++)
		row(f, CL_TOP_PLAIN, false, "%s", text[i]);
}

/* ---- the frame ---- */

static void head_put(const struct cl_top *t, struct cl_top_frame *f)
{
	row(f, CL_TOP_TITLE, false, "%s top  %s  %s  %zu%s sandboxes  %zu pending%s%s",
		t->program ? t->program : "cove", t->gateway ? t->gateway : "",
		t->state ? t->state : "", t->box_count, t->has_more ? "+" : "", t->chunk_count,
		*t->filter ? "  filter: " : "", t->filter);
}

static void foot_put(const struct cl_top *t, struct cl_top_frame *f)
{
	static const char *const keys[] = {
		[CL_TOP_SANDBOXES] = "Enter logs  p approvals  / filter  ? help  q quit",
		[CL_TOP_LOGS] = "Esc back  / filter  q quit",
		[CL_TOP_APPROVALS] = "Enter review  a approve  x reject  Esc back  q quit",
		[CL_TOP_REVIEW] = "a approve  x reject  Esc back  q quit",
		[CL_TOP_HELP] = "Esc back  q quit",
	};

	switch (t->ask) {
	case CL_TOP_ASK_FILTER: row(f, CL_TOP_TITLE, false, "filter: %s_", t->filter); return;
	case CL_TOP_ASK_APPROVE:
	case CL_TOP_ASK_REJECT:
		row(f, CL_TOP_TITLE, false, "%s %s for %s? y",
			t->ask == CL_TOP_ASK_APPROVE ? "Approve" : "Reject", t->asked->endpoints,
			t->asked->box);
		return;
	case CL_TOP_ASK_NOTHING: break;
	}
	row(f, t->note ? CL_TOP_TITLE : CL_TOP_FAINT, false, "%s",
		t->note ? t->note : keys[t->view]);
}

static void body_put(struct cl_top *t, size_t room, int64_t now_ms, struct cl_top_frame *f)
{
	const struct cl_top_box *b;
	size_t upper;

	switch (t->view) {
	case CL_TOP_SANDBOXES:
		upper = CV_MIN(t->box_count + 2, room - room / 3);
		boxes_put(t, upper, now_ms, f);
		row(f, CL_TOP_TITLE, false, "DECISIONS");
		log_put(t, NULL, 0, room - CV_MIN(room - 1, f->count - 1), f);
		break;
	case CL_TOP_LOGS:
		b = t->logs_of ? cl_top_box(t, t->logs_of) : NULL;
		row(f, CL_TOP_TITLE, false, "LOG of %s", b ? b->shown : "a sandbox that is gone");
		t->page = room - 1;
		log_put(t, t->logs_of ? t->logs_of : "", t->scroll, room - 1, f);
		break;
	case CL_TOP_APPROVALS: chunks_put(t, room, f); break;
	case CL_TOP_REVIEW: review_put(t, room, f); break;
	case CL_TOP_HELP: help_put(f); break;
	}
}

void cl_top_frame(
	struct cl_top *t, size_t width, size_t height, int64_t now_ms, struct cl_top_frame *f)
{
	cv_buf_reset(&f->text);
	f->count = 0;
	f->width = width;
	height = CV_MIN(height, (size_t)CL_TOP_ROWS_MAX);
	if (width < CL_TOP_WIDTH_MIN || height < CL_TOP_HEIGHT_MIN) {
		if (height)
			row(f, CL_TOP_PLAIN, false, "too small: %dx%d", CL_TOP_WIDTH_MIN,
				CL_TOP_HEIGHT_MIN);
		while (f->count < height)
			row(f, CL_TOP_PLAIN, false, "%s", "");
		return;
	}
	head_put(t, f);
	if (t->quota)
		row(f, CL_TOP_FAINT, false, "QUOTA  %s", t->quota);
	body_put(t, height - 1 - f->count, now_ms, f);
	f->count = CV_MIN(f->count, height - 1);
	while (f->count < height - 1)
		row(f, CL_TOP_PLAIN, false, "%s", "");
	foot_put(t, f);
}
