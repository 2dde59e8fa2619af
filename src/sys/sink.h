/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - where audit events are written: one write for all events of a loop turn
 *
 * A decision's event is rendered when the decision is made and written before any byte that the
 * decision allows is sent: the loop flushes the sinks between deciding and sending.  So the
 * order of a crash never matters, and a busy process pays one write() for many requests.
 *
 * A sink that can't be written keeps what it has (bounded) and is tried again; while a required
 * one is in that state, nothing new is allowed.
 */
#pragma once
#include "audit/event.h"

#define CV_AUDIT_SINKS_MAX 4 /* OCSF and one-line, and room to spare */

struct cv_audit_sink {
	int fd; /* owned */
	enum cv_audit_form form;
	bool is_required, is_failing;
	struct cv_buf pending;
	uint64_t lost; /* events that did not fit while failing */
};

struct cv_audit_sinks {
	struct cv_audit_sink v[CV_AUDIT_SINKS_MAX];
	size_t n;
	uint64_t seq;
};

void cv_audit_sinks_fini(struct cv_audit_sinks *s);

/* Takes fd.  False when there are too many. */
CV_MUST bool cv_audit_sinks_add(
	struct cv_audit_sinks *s, int fd, enum cv_audit_form form, bool is_required);

/* Numbers, dates and renders the event. */
void cv_audit_sinks_event(struct cv_audit_sinks *s, struct cv_audit_event *e);

/* Writes what is pending.  False when a required sink did not take all of it. */
CV_MUST bool cv_audit_sinks_flush(struct cv_audit_sinks *s);

/* False while a required sink fails: refuse what is new. */
bool cv_audit_sinks_are_well(const struct cv_audit_sinks *s);
