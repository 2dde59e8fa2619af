/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission.h - quotas of workspaces and of the host, applied to sandboxes
 *
 *     quota.[ch]      totals, verdicts, the order of the queue: pure
 *     admission.c     what each sandbox is counted with; who is let in, waits, or is refused
 *     admission_rpc.c GetUsage, numbers for /metrics
 *
 * What a sandbox is counted with is a function of what is stored and of whether it has a process
 * (counts_of()), computed anew with each change of it.  So nothing of it is stored, and a gateway that
 * comes back has the same totals.
 *
 *     as a sandbox       from when it is let in until it is gone, whatever its phase
 *     memory and CPU     while it should run, and then until its process has ended
 *
 * One that waits has the stored phase PROVISIONING, with conditions that say since when and until when
 * (they are the gateway's own notes; view.c shows others).  "Admitted" is "False" for one that was
 * never let in: it is not counted at all.
 */
#pragma once
#include "gateway/sandbox.h"

#define CV_GW_QUEUE_HEADER \
	"x-cove-queue" /* of a request: how long it may wait, as in 30s, 5m, 1h */

/* ---- for sandbox.c and its kin ---- */

CV_MUST bool cv_gw_admission_join(struct cv_gw_box *b); /* a new box; false: no memory */
void cv_gw_admission_recount(struct cv_gw_box *b);      /* its state or its stored part changed */
void cv_gw_admission_leave(struct cv_gw_box *b);        /* it is about to go; twice is fine */
/* It should run, and there is no room for it yet. */
bool cv_gw_admission_waits(const struct cv_gw_box *b);
bool cv_gw_admission_is_new(const struct cv_gw_box *b); /* it was never let in */
/* May a sandbox be made from m, which was found good?  Its status says then whether it goes or waits;
 * anything but OK refuses it: RESOURCE_EXHAUSTED, with what is short. */
CV_MUST enum cv_rpc_status cv_gw_admission_create(
	const struct cv_rpc_call *c, Openshell__V1__Sandbox *m, struct cv_err *err);
/* May it be started again?  *ret is what should be written: READY, or PROVISIONING to wait; anything
 * but OK refuses it. */
CV_MUST enum cv_rpc_status cv_gw_admission_start(const struct cv_rpc_call *c, struct cv_gw_box *b,
	Openshell__V1__SandboxPhase *ret, struct cv_err *err);
/* The notes of a phase that is about to be stored, as b should have them. */
void cv_gw_admission_note(const struct cv_gw_box *b, Openshell__V1__SandboxStatus *s);
/* For whom room is there, goes; whose time is over, fails.  When it wants to be called again. */
int64_t cv_gw_admission_turn(struct cv_gateway *g);
/* "Place 2 of 5 in the queue until 2026-...: the host is short of memory: ..." */
struct cv_str cv_gw_admission_words(const struct cv_gw_box *b, struct cv_arena *arena);

/* ---- for pages ---- */

void cv_gw_admission_metrics(const struct cv_gateway *g); /* sets its gauges */
