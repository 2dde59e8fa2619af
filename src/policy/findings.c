/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings.c - errors and warnings about a document, collected and shown; see findings.h
 *
 * The array has its final size from the first finding on (64 rows), so nothing moves: texts and
 * rows live in the arena and a caller may keep pointers until fini.
 */
#include "policy/findings.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_BYTES_MAX 1024 /* two places, a list of known keys, a few quotes */

void cv_findings_init(struct cv_findings *f)
{
	*f = (struct cv_findings){ 0 };
	cv_arena_init(&f->arena, CV_POLICY_FINDINGS_BYTES_MAX);
}

void cv_findings_fini(struct cv_findings *f)
{
	cv_arena_fini(&f->arena);
	*f = (struct cv_findings){ .arena = f->arena };
}

static struct cv_finding *row_new(struct cv_findings *f)
{
	if (!f->v) {
		f->v = cv_arena_array(&f->arena, CV_POLICY_FINDINGS_MAX, sizeof(*f->v));
		f->cap = f->v ? CV_POLICY_FINDINGS_MAX : 0;
	}
	if (f->n >= f->cap) {
		f->is_cut = true;
		return NULL;
	}
	return &f->v[f->n++];
}

void cv_findings_add(struct cv_findings *f, enum cv_finding_level level, struct cv_policy_pos pos,
	struct cv_str where, const char *fix, const char *fmt, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list ap;

	if (level == CV_FINDING_ERROR)
		f->error_count++; /* an error that is not kept is still one */
	struct cv_finding *row = row_new(f);
	if (!row)
		return;
	va_start(ap, fmt);
	const int n = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	*row = (struct cv_finding){
		.pos = pos,
		.is_error = level == CV_FINDING_ERROR,
		.where = cv_arena_str(&f->arena, where),
		.message = cv_arena_str(
			&f->arena, (struct cv_str){ message,
					   CV_MIN((size_t)CV_MAX(n, 0), sizeof(message) - 1) }),
		.fix = cv_arena_str(&f->arena, cv_str_of(fix)),
	};
}

const char *cv_finding_line(const struct cv_findings *f, const char *before, uint32_t line,
	const char *after, char ret[CV_FINDING_LINE_BYTES])
{
	ret[0] = '\0';
	if (line && !f->has_no_lines)
		snprintf(ret, CV_FINDING_LINE_BYTES, "%s%u%s", before, line, after);
	return ret;
}

static uint32_t code_point(const char *p, size_t n)
{
	uint32_t c = (unsigned char)p[0] & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++)
		c = (c << 6) | ((unsigned char)p[i] & 0x3f);
	return c;
}

/* Bytes for a terminal: whatever a stranger wrote stays on its line and looks like what it is. */
static void put_shown(struct cv_buf *out, struct cv_str s)
{
	for (size_t i = 0; i < s.n;) {
		const unsigned char c = (unsigned char)s.p[i];
		const size_t step = c < 0x80 ? 1 : cv_utf8_step(cv_str_slice(s, i, s.n));

		if (step > 1)
			cv_buf_printf(out, "\\u{%x}", code_point(s.p + i, step));
		else if (c < 0x20 || c >= 0x7f)
			cv_buf_printf(out, "\\x%02x", c);
		else
			cv_buf_put_byte(out, (char)c);
		i += step ? step : 1;
	}
}

void cv_findings_text(const struct cv_findings *f, struct cv_str file, struct cv_buf *out)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct cv_finding *row = &f->v[i];

		put_shown(out, file);
		if (row->pos.line)
			cv_buf_printf(out, ":%u:%u", row->pos.line, row->pos.column);
		cv_buf_printf(out, ": %s: ", row->is_error ? "error" : "warning");
		if (row->where.n) {
			put_shown(out, row->where);
			cv_buf_put(out, CV_STR(": "));
		}
		put_shown(out, row->message);
		if (row->fix.n) {
			cv_buf_put(out, CV_STR("; "));
			put_shown(out, row->fix);
		}
		cv_buf_put_byte(out, '\n');
	}
	if (f->is_cut) {
		put_shown(out, file);
		cv_buf_printf(out, ": more findings than %d; repair these first\n",
			CV_POLICY_FINDINGS_MAX);
	}
}

static void put_member(struct cv_buf *out, const char *name, struct cv_str value)
{
	cv_buf_put_byte(out, ',');
	cv_buf_put_json_member(out, name, value);
}

void cv_findings_json(const struct cv_findings *f, struct cv_str file, struct cv_buf *out)
{
	cv_buf_put_byte(out, '{');
	cv_buf_put_json_member(out, "file", file);
	cv_buf_printf(out, ",\"errors\":%zu,\"cut\":%s,\"findings\":[", f->error_count,
		f->is_cut ? "true" : "false");
	for (size_t i = 0; i < f->n; i++) {
		const struct cv_finding *row = &f->v[i];

		cv_buf_printf(out, "%s{\"line\":%u,\"column\":%u,\"level\":\"%s\"", i ? "," : "",
			row->pos.line, row->pos.column, row->is_error ? "error" : "warning");
		put_member(out, "where", row->where);
		put_member(out, "message", row->message);
		put_member(out, "fix", row->fix);
		cv_buf_put_byte(out, '}');
	}
	cv_buf_put(out, CV_STR("]}\n"));
}
