/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_try.h - the single attempts behind probe.h: each runs in a child of its own
 */
#pragma once
#include "sys/probe.h"

struct cv_probe_outcome {
	enum cv_probe_status status;
	char detail[CV_PROBE_DETAIL_BYTES];
	char enable[CV_PROBE_DETAIL_BYTES]; /* empty: the table's */
	char lost[CV_PROBE_DETAIL_BYTES];   /* empty: the table's */
	uint32_t interception;              /* that a run would have */
};

/* Fills the outcome, which starts as missing.  May confine or unshare its process at will. */
typedef void cv_probe_try_fn(struct cv_probe_outcome *o);

cv_probe_try_fn cv_probe_try_kernel, cv_probe_try_userns, cv_probe_try_namespaces,
	cv_probe_try_netns, cv_probe_try_callers, cv_probe_try_seccomp, cv_probe_try_identity,
	cv_probe_try_landlock, cv_probe_try_overlay, cv_probe_try_pidfd, cv_probe_try_memory,
	cv_probe_try_cpu, cv_probe_try_pids, cv_probe_try_gvisor, cv_probe_try_kvm,
	cv_probe_try_cells;
