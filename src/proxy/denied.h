/* SPDX-License-Identifier: Apache-2.0 */
/*
 * denied.h - the last denials of a run, as the lines that its log has
 *
 * What `GET http://policy.local/v1/denials` tells an agent: why was I refused.  A ring of
 * CV_PROXY_DENIED_MAX lines of at most CV_PROXY_DENIED_BYTES_MAX bytes; queries were never in
 * them.  Memory is taken as denials come.
 */
#pragma once
#include "audit/event.h"
#include "proxy/limits.h"

struct cv_denied {
	struct cv_str line[CV_PROXY_DENIED_MAX]; /* owned */
	uint64_t count;                          /* ever */
};

void cv_denied_fini(struct cv_denied *d);

/* Keeps e if it is a denial; without memory, it is forgotten. */
void cv_denied_event(struct cv_denied *d, const struct cv_audit_event *e);

/* How many are kept, and the nth newest of them, from 0. */
size_t cv_denied_kept(const struct cv_denied *d);
struct cv_str cv_denied_at(const struct cv_denied *d, size_t nth);
