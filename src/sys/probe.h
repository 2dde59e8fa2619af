/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what this host can enforce, found out by doing it
 *
 * Each mechanism is tried in a child that ends afterwards, with a time limit; nothing is left
 * behind, and no knob is believed: knobs only explain a failure.
 */
#pragma once
#include "base/err.h"
#include "plan/spec.h"

/* clang-format off */
#define CV_PROBES(X)                                                                       \
	X(KERNEL, "kernel")          X(USERNS, "user-namespace")                           \
	X(NAMESPACES, "namespaces")  X(NETNS, "network-interception")                      \
	X(CALLERS, "caller-lookup")                                                        \
	X(SECCOMP, "seccomp")        X(IDENTITY, "identity")                               \
	X(LANDLOCK, "landlock")      X(OVERLAY, "overlay")                                 \
	X(PIDFD, "pidfd")            X(MEMORY, "limit-memory")                             \
	X(CPU, "limit-cpu")          X(PIDS, "limit-pids")                                 \
	X(GVISOR, "gvisor")          X(KVM, "kvm")                                         \
	X(CELLS, "host-tool-cells")
/* clang-format on */
#define CV_PROBE_ENUM(name, text) CV_PROBE_##name,
enum cv_probe { CV_PROBES(CV_PROBE_ENUM) CV_PROBE_COUNT };
#undef CV_PROBE_ENUM

enum cv_probe_status {
	CV_PROBE_MISSING,
	CV_PROBE_DEGRADED, /* there, with less than it could be */
	CV_PROBE_OK,
	CV_PROBE_STATUS_COUNT
};

#define CV_PROBE_DETAIL_BYTES 200
#define CV_PROBE_TIER_BIT(t)  (1u << (t))

struct cv_probe_row {
	const char *name;
	enum cv_probe_status status;
	char detail[CV_PROBE_DETAIL_BYTES]; /* version, or what went wrong */
	char enable[CV_PROBE_DETAIL_BYTES]; /* the command that would help; empty when ok */
	const char *protects;               /* what it is for */
	char lost[CV_PROBE_DETAIL_BYTES];   /* what a run is without, where it is missing */
	unsigned needed_for; /* CV_PROBE_TIER_BIT of each tier that can't do without */
};

struct cv_probe_report {
	struct cv_probe_row rows[CV_PROBE_COUNT];
	enum cv_tier tier;     /* the strongest that this build can make here */
	uint32_t interception; /* cv_interception that a run has here; AUTO: none */
};

const char *cv_probe_status_name(enum cv_probe_status status); /* "missing", "degraded", "ok" */

/* The tier that the rows allow; pure. */
enum cv_tier cv_probe_tier(const struct cv_probe_row rows[CV_PROBE_COUNT]);

/* Tries everything, one after the other: some tens of milliseconds. */
void cv_probe_all(struct cv_probe_report *ret);
