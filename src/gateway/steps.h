/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h - what takes time, as metrics and, in a trace that is kept, as spans
 *
 *     a start    store ─► queue ─► spawn ─► dial ─► build
 *                written  its turn  plan,    the     the sandbox
 *                                   process  link    stands
 *
 * The steps of a start follow each other without a gap, so they add up to the whole.  A sandbox that
 * was built ahead has hardly any "dial"; one that was written down long ago (a reboot) no "store".
 */
#pragma once
#include "rpc/call.h"

struct cv_gw_box;

/* clang-format off */
#define CV_GW_STEPS(X) /* in their order */ \
	X(STORE, "store") \
	X(QUEUE, "queue") \
	X(SPAWN, "spawn") \
	X(DIAL, "dial")   \
	X(BUILD, "build")
/* clang-format on */
#define CV_GW_STEP_ENUM(name, text) CV_GW_STEP_##name,
enum cv_gw_step { CV_GW_STEPS(CV_GW_STEP_ENUM) CV_GW_STEP_COUNT };
#undef CV_GW_STEP_ENUM

struct cv_gw_start { /* of a box */
	bool is_on;
	bool has_parent;
	struct cv_traceparent parent;       /* the call's that asked for it */
	int64_t began_us;                   /* CLOCK_MONOTONIC */
	int64_t ended_us[CV_GW_STEP_COUNT]; /* 0: not yet, or not at all */
};

/* c: the call that asked for it, which came at began_us; NULL: nobody did. */
void cv_gw_start_begin(struct cv_gw_box *b, struct cv_rpc_call *c, int64_t began_us);
/* The step has ended now; nothing when no start is under way. */
void cv_gw_start_step(struct cv_gw_box *b, enum cv_gw_step step);
/* failure: NULL, or a word of ours. */
void cv_gw_start_end(struct cv_gw_box *b, const char *failure);

/* COUNTS and LOST of a supervisor, added to the sums of all sandboxes. */
void cv_gw_counts_take(struct cv_str body);
void cv_gw_lost_take(struct cv_str body);

/* Commands: asked for, running, over.  c NULL: nobody asked. */
void cv_gw_exec_began(struct cv_rpc_call *c);
void cv_gw_exec_ran(struct cv_rpc_call *c);
void cv_gw_exec_ended(struct cv_rpc_call *c, int exit_code);
