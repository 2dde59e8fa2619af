/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings.h - how the parts of policy report, and how reports are shown
 *
 * Findings are bounded in number and bytes; what does not fit sets is_cut, and still counts as
 * an error where it was one.  Texts of the document are quoted in messages as they are; rendering
 * makes them safe (one line, no control bytes, no look-alike letters: everything outside printable
 * ASCII is shown as \xNN or \u{N}).
 */
#pragma once
#include "base/buf.h"
#include "policy/limits.h"
#include "policy/policy.h"

/* For "%.*s": at most CV_POLICY_QUOTE_BYTES_MAX bytes of s. */
#define CV_POLICY_QUOTE(s) (int)CV_MIN((s).n, (size_t)CV_POLICY_QUOTE_BYTES_MAX), (s).p ? (s).p : ""

enum cv_finding_level { CV_FINDING_WARNING, CV_FINDING_ERROR };

/* Adds one.  where and fix are copied (fix may be NULL); the rest is the message. */
CV_PRINTF(6, 7)
void cv_findings_add(struct cv_findings *f, enum cv_finding_level level, struct cv_policy_pos pos,
	struct cv_str where, const char *fix, const char *fmt, ...);

/* The line of another place for a message: before, the number, after; "" where there is none to name. */
#define CV_FINDING_LINE_BYTES 40
const char *cv_finding_line(const struct cv_findings *f, const char *before, uint32_t line,
	const char *after, char ret[CV_FINDING_LINE_BYTES]);

/* True when nothing more will be kept: whoever searches may stop. */
static inline bool cv_findings_is_full(const struct cv_findings *f)
{
	return f->n >= CV_POLICY_FINDINGS_MAX;
}

/* CV_INVALID if any error was reported since error_count was `before`. */
static inline cv_code cv_findings_code(const struct cv_findings *f, size_t before)
{
	return f->error_count > before ? CV_INVALID : CV_OK;
}

/* One line each: "FILE:LINE:COLUMN: error: WHERE: message; fix". */
void cv_findings_text(const struct cv_findings *f, struct cv_str file, struct cv_buf *out);

/* {"file":…,"errors":N,"cut":bool,"findings":[{"line","column","level","where","message","fix"}]} */
void cv_findings_json(const struct cv_findings *f, struct cv_str file, struct cv_buf *out);
