/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - where audit events are written: one write for all events of a loop turn
 *
 * A decision's event is rendered when the decision is made and written before any byte that the
 * decision allows is sent: the loop flushes the sinks between deciding and sending.  So the
 * order of a crash never matters, and a busy proxy pays one write() for many requests.
 *
 * A sink that can't be written keeps what it has (bounded) and is tried again; while a required
 * one is in that state, no new egress is allowed.
 */
#pragma once
#include "audit/event.h"
#include "audit/summary.h"
#include "ipc/proxy_link.h"
#include "proxy/denied.h"
#include "proxy/limits.h"

struct cv_sink {
	int fd; /* owned */
	enum cv_audit_form form;
	bool is_required, is_failing;
	struct cv_buf pending;
	uint64_t lost; /* events that did not fit while failing */
};

struct cv_sinks {
	struct cv_sink v[CV_PROXY_SINKS_MAX];
	size_t n;
	uint64_t seq;
	struct cv_summary summary;
	struct cv_denied denied; /* the last of them, for policy.local */
};

void cv_sinks_init(struct cv_sinks *s);
void cv_sinks_fini(struct cv_sinks *s);

/* Takes fd.  False when there are too many. */
CV_MUST bool cv_sinks_add(struct cv_sinks *s, int fd, enum cv_audit_form form, bool is_required);

/* Numbers, dates and renders the event; counts it in the summary. */
void cv_sinks_event(struct cv_sinks *s, struct cv_audit_event *e);

/* Writes what is pending.  False when a required sink did not take all of it. */
CV_MUST bool cv_sinks_flush(struct cv_sinks *s);

/* False while a required sink fails: refuse new egress. */
bool cv_sinks_are_well(const struct cv_sinks *s);
