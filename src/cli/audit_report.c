/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_report.c - see audit_report.h
 */
#include "cli/audit_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct audit_row lost; /* takes what is written when memory is out */

void audit_report_init(struct audit_report *r)
{
	*r = (struct audit_report){ 0 };
	r->last = &r->first;
}

void audit_report_fini(struct audit_report *r)
{
	for (struct audit_row *row = r->first, *next; row; row = next) {
		next = row->next;
		for (size_t i = 0; i < row->detail_count; i++)
			free(row->detail[i].where);
		free(row->subject);
		free(row->unsearched);
		free(row);
	}
	audit_report_init(r);
}

struct audit_row *audit_row_add(
	struct audit_report *r, pid_t run, const char *place, const char *subject_fmt, ...)
{
	struct audit_row *row = r->count < AUDIT_ROWS_MAX ? calloc(1, sizeof(*row)) : NULL;
	va_list ap;

	if (!row) {
		r->is_overflown = true;
		return &lost;
	}
	va_start(ap, subject_fmt);
	if (vasprintf(&row->subject, subject_fmt, ap) < 0)
		row->subject = NULL;
	va_end(ap);
	if (!row->subject)
		r->is_overflown = true;
	row->run = run;
	row->place = place;
	*r->last = row;
	r->last = &row->next;
	r->count++;
	return row;
}

void audit_row_unsearched(struct audit_row *row, const char *fmt, ...)
{
	va_list ap;

	if (row->unsearched)
		return;
	va_start(ap, fmt);
	if (vasprintf(&row->unsearched, fmt, ap) < 0)
		row->unsearched = strdup("no memory");
	va_end(ap);
}

void audit_row_hit(struct audit_row *row, const char *where, const char *form, uint64_t at)
{
	if (row->detail_count == AUDIT_DETAILS_MAX)
		return;
	char *copy = strdup(where);
	if (!copy) /* the hit is counted all the same */
		return;
	row->detail[row->detail_count++] = (struct audit_detail){ copy, form, at };
}

enum audit_state audit_row_state(const struct audit_row *row)
{
	if (row->is_yours) /* where a hit is no fault, not having looked is none */
		return row->hits ? AUDIT_YOURS : row->unsearched ? AUDIT_EXEMPT : AUDIT_CLEAN;
	if (row->hits)
		return AUDIT_FOUND;
	if (row->unsearched)
		return AUDIT_UNSEARCHED;
	return row->exempt ? AUDIT_EXEMPT : AUDIT_CLEAN;
}

const char *audit_state_name(enum audit_state state)
{
	static const char *const name[AUDIT_STATE_COUNT] = {
		[AUDIT_CLEAN] = "clean",
		[AUDIT_FOUND] = "FOUND",
		[AUDIT_YOURS] = "yours",
		[AUDIT_UNSEARCHED] = "not searched",
		[AUDIT_EXEMPT] = "left out",
	};

	return name[state];
}

struct audit_summary audit_report_sum(const struct audit_report *r)
{
	struct audit_summary s = { 0 };

	for (const struct audit_row *row = r->first; row; row = row->next) {
		const enum audit_state state = audit_row_state(row);

		s.rows[state]++;
		s.bytes += row->bytes;
		if (state == AUDIT_FOUND) {
			s.hits += row->hits;
			s.rows[AUDIT_UNSEARCHED] += row->unsearched != NULL;
		}
	}
	return s;
}

/* ---- as text ---- */

static void put_row(const struct audit_row *row, struct cv_buf *out)
{
	const enum audit_state state = audit_row_state(row);

	cv_buf_printf(out, "  %-12s  %-14s %s", audit_state_name(state), row->place,
		row->subject ? row->subject : "");
	if (!row->exempt)
		cv_buf_printf(out, ", %" PRIu64 " bytes", row->bytes);
	if (row->hits)
		cv_buf_printf(out, ", %" PRIu64 " hit%s", row->hits, row->hits == 1 ? "" : "s");
	cv_buf_put_byte(out, '\n');
	if (row->unsearched || row->exempt)
		cv_buf_printf(
			out, "%-16s%s\n", "", row->unsearched ? row->unsearched : row->exempt);
	for (size_t i = 0; i < row->detail_count; i++) {
		const struct audit_detail *d = &row->detail[i];

		cv_buf_printf(out, "%-16s%s at 0x%" PRIx64 "%s%s\n", "", d->form, d->at,
			*d->where ? " of " : "", d->where);
	}
}

void audit_report_text(const struct audit_report *r, bool is_clean, struct cv_buf *out)
{
	const struct audit_summary s = audit_report_sum(r);
	pid_t run = -1;

	for (const struct audit_row *row = r->first; row; row = row->next) {
		if (row->run != run && row->run)
			cv_buf_printf(out, "run cove-%d\n", (int)row->run);
		else if (row->run != run)
			cv_buf_put(out, CV_STR("host\n"));
		run = row->run;
		put_row(row, out);
	}
	cv_buf_printf(out,
		"%s: %" PRIu64 " hits in %" PRIu64 " places, %" PRIu64 " clean, %" PRIu64
		" not searched; %" PRIu64 " bytes read\n",
		is_clean ? "clean" : "NOT CLEAN", s.hits, s.rows[AUDIT_FOUND],
		s.rows[AUDIT_CLEAN] + s.rows[AUDIT_YOURS], s.rows[AUDIT_UNSEARCHED], s.bytes);
}

/* ---- as JSON ---- */

static void put_member(struct cv_buf *out, const char *key, const char *value)
{
	cv_buf_put_json_member(out, key, cv_str_of(value));
	cv_buf_put_byte(out, ',');
}

static void put_row_json(const struct audit_row *row, struct cv_buf *out)
{
	cv_buf_put_byte(out, '{');
	if (row->run)
		cv_buf_printf(out, "\"run\":\"cove-%d\",", (int)row->run);
	put_member(out, "place", row->place);
	put_member(out, "subject", row->subject ? row->subject : "");
	put_member(out, "state", audit_state_name(audit_row_state(row)));
	if (row->unsearched || row->exempt)
		put_member(out, "reason", row->unsearched ? row->unsearched : row->exempt);
	cv_buf_printf(out, "\"bytes\":%" PRIu64 ",\"hits\":%" PRIu64 ",\"found\":[", row->bytes,
		row->hits);
	for (size_t i = 0; i < row->detail_count; i++) {
		const struct audit_detail *d = &row->detail[i];

		cv_buf_printf(out, "%s{", i ? "," : "");
		put_member(out, "where", d->where);
		put_member(out, "encoding", d->form);
		cv_buf_printf(out, "\"offset\":%" PRIu64 "}", d->at);
	}
	cv_buf_put(out, CV_STR("]}"));
}

void audit_report_json(const struct audit_report *r, bool is_clean, struct cv_buf *out)
{
	const struct audit_summary s = audit_report_sum(r);
	const char *comma = "\n";

	cv_buf_printf(out,
		"{\"is_clean\":%s,\"hits\":%" PRIu64 ",\"found\":%" PRIu64
		",\"not_searched\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"rows\":[",
		is_clean ? "true" : "false", s.hits, s.rows[AUDIT_FOUND], s.rows[AUDIT_UNSEARCHED],
		s.bytes);
	for (const struct audit_row *row = r->first; row; row = row->next) {
		cv_buf_put(out, cv_str_of(comma));
		put_row_json(row, out);
		comma = ",\n";
	}
	cv_buf_put(out, CV_STR("\n]}\n"));
}
