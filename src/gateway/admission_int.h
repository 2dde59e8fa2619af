/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission_int.h - what the files of the part "admission" share
 */
#pragma once
#include "gateway/admission.h"

struct cv_gw_admission {
	struct cv_quota q;
	bool is_due;      /* there may be room for somebody */
	bool has_moved;   /* places in the queue are others: whoever follows wants to know */
	int64_t due_ms;   /* Unix; when the next one's time is over */
	int64_t retry_ms; /* loop time; the store did not take it, and is not asked before */
};

/* admission.c: how many of one workspace may wait, so that it can't keep the others out of the
 * queue. */
uint32_t admission_queue_share(const struct cv_gateway *g);

/* admission_rpc.c */
#define ADMISSION_METHODS 1
extern const struct cv_gw_method admission_methods[ADMISSION_METHODS];
