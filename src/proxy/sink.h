/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - the proxy's audit: its sinks (sys/sink.h), the run's summary, and the last denials
 *
 * A gateway proposes rules for what policy denied: where there is one, each such denial also goes to
 * the supervisor, as DENIED, if its link takes it at once, and what was decided is told as numbers.
 */
#pragma once
#include "audit/summary.h"
#include "proxy/denied.h"
#include "sys/sink.h"

#define CV_SINK_COUNTS 5

struct cv_sinks {
	struct cv_audit_sinks out;
	struct cv_summary summary;
	struct cv_denied denied; /* the last of them, for policy.local */
	bool wants_denials;
	int link;                      /* to the supervisor, for DENIED and COUNTS */
	uint64_t told[CV_SINK_COUNTS]; /* of what COUNTS counts */
	int64_t told_ms;               /* loop time; 0: never */
};

void cv_sinks_init(struct cv_sinks *s);
void cv_sinks_fini(struct cv_sinks *s);

/* Takes fd.  False when there are too many. */
CV_MUST bool cv_sinks_add(struct cv_sinks *s, int fd, enum cv_audit_form form, bool is_required);

/* Each denial by policy, and how much was decided, goes to that link from here on. */
void cv_sinks_denials(struct cv_sinks *s, int link);

/* Numbers, dates and renders the event; counts it in the summary. */
void cv_sinks_event(struct cv_sinks *s, struct cv_audit_event *e);

/* Tells how much was decided since the last time; returns when to call it again, INT64_MAX: no need. */
int64_t cv_sinks_counts(struct cv_sinks *s, int64_t now_ms);

/* Writes what is pending.  False when a required sink did not take all of it. */
CV_MUST bool cv_sinks_flush(struct cv_sinks *s);

/* False while a required sink fails: refuse new egress. */
bool cv_sinks_are_well(const struct cv_sinks *s);
