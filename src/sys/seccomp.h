/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.h - the system calls that a process may make from here on
 *
 * Ownership: filters are constant data; the notification descriptor belongs to the caller.
 * Process:   cove-init for what it starts (AGENT..., NESTED...); cove-proxy, cove-keeper and
 *            cove-ssh for themselves.
 * Limits:    none.  What each profile permits, and why, stands in seccomp_table.h.
 *
 * A filter holds for the calling thread and what it creates, for ever: install it before the first
 * thread, and last of all confinement, since it forbids the other steps.
 */
#pragma once
#include "base/err.h"

struct sock_filter;

enum cv_seccomp_profile {
	CV_SECCOMP_AGENT,        /* what runs in a sandbox; a call not permitted fails with EPERM */
	CV_SECCOMP_AGENT_NOTIFY, /* the same, and connect() waits for the listener's answer */
	CV_SECCOMP_PROXY,        /* cove-proxy; a call not permitted kills the process */
	CV_SECCOMP_KEEPER,       /* cove-keeper; likewise */
	CV_SECCOMP_NESTED,       /* as AGENT, and namespaces may be made inside */
	CV_SECCOMP_NESTED_NOTIFY, /* as AGENT_NOTIFY */
	CV_SECCOMP_SSH,           /* cove-ssh; as PROXY */
	CV_SECCOMP_PROFILE_COUNT
};

struct cv_seccomp_filter {
	const char *name;
	const struct sock_filter *insns;
	unsigned short insn_count;
};

/* The program of a profile; static storage. */
const struct cv_seccomp_filter *cv_seccomp_filter(enum cv_seccomp_profile profile);

/* Installs the profile's filter.  The caller has set no_new_privs (else CV_INVALID) and is
 * single-threaded.  ..._NOTIFY yields the listener (close-on-exec) in ret_notify_fd, which is
 * NULL for every other profile; when all copies of it are closed, connect() fails with ENOSYS.
 * CV_UNAVAILABLE: this kernel has no filters, or a notification filter is already above this one;
 * CV_SYSTEM: anything else. */
CV_MUST cv_code cv_seccomp_install(
	enum cv_seccomp_profile profile, int *ret_notify_fd, struct cv_err *err);
