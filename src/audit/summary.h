/* SPDX-License-Identifier: Apache-2.0 */
/*
 * summary.h - what a run did, in the few lines that stand at its end
 *
 * Counts every decision once and remembers the first CV_SUMMARY_DENIALS_MAX different denials; what
 * does not fit is counted, not kept.  Texts are copied, so events may borrow.
 *
 * It tells what was denied, not what to do about it: that is for who has the policy (proxy/advice.h).
 */
#pragma once
#include "audit/event.h"

#include "base/arena.h"

struct cv_summary_denial {
	uint64_t count;
	enum cv_audit_kind kind;
	struct cv_str host, method, path, exe, reason, reason_code;
	uint16_t port;
	bool is_plain_http;
	bool is_cut; /* a text was too long to be kept whole */
	bool has_ip;
	struct cv_ip ip; /* that was dialled or refused, of the first of them */
};

struct cv_summary {
	struct cv_arena arena; /* owns the texts */
	uint64_t allowed, denied, logged, bytes_up, bytes_down;
	uint64_t tool_calls; /* handed on: their events are the broker's */
	struct cv_summary_denial denial[CV_SUMMARY_DENIALS_MAX];
	size_t denial_count;
	uint64_t overflow_count; /* denials that were not remembered */
};

void cv_summary_init(struct cv_summary *s);
void cv_summary_fini(struct cv_summary *s);

/* Counts e: its action, unless it is the CLOSE of what was counted before, and its bytes. */
void cv_summary_add(struct cv_summary *s, const struct cv_audit_event *e);

/* The lines for stderr, each with its newline.  False if out is full. */
CV_MUST bool cv_summary_text(const struct cv_summary *s, struct cv_buf *out);

/* The indices of the denials that cv_summary_text() shows: most frequent first, then in order of
 * appearance. */
size_t cv_summary_top(const struct cv_summary *s, size_t ret_top[CV_SUMMARY_SHOWN_MAX]);
