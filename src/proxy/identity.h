/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - who opened a connection
 *
 * The supervisor records, at each connect() in the sandbox, the socket's cookie and the process
 * that called, and pushes the record here before the call goes on.  At accept the cookie of the
 * socket at the other end is asked of the kernel, and the record with it is taken: once, and
 * within CV_PROXY_IDENTITY_MS.  No record, no identity (kernel notes in docs: a descriptor that
 * was replaced while its connect was pending finds none).
 */
#pragma once
#include "ipc/proxy_link.h"
#include "policy/verdict.h"
#include "proxy/limits.h"

/* One block of memory, strings behind it. */
struct cv_who {
	struct cv_facts_who facts; /* is_known false when the supervisor said so */
	uint32_t pid;              /* inside the sandbox; 0 unknown */
	struct cv_str unknown_reason, changed_path;
	struct cv_str ancestor[CV_IDENTITY_ANCESTORS_MAX];
};

struct cv_identity_slot {
	uint64_t cookie;
	int64_t expires_ms;
	struct cv_who *who; /* NULL: free */
	uint16_t next;      /* in its bucket; 0 ends, n is slot n - 1 */
};

#define CV_IDENTITY_BUCKETS 1024

struct cv_identities {
	uint16_t bucket[CV_IDENTITY_BUCKETS];
	struct cv_identity_slot slot[CV_PROXY_IDENTITIES_MAX];
	size_t next; /* slot to use next: the oldest */
};

void cv_identities_fini(struct cv_identities *ids);

/* Copies the record.  False when there is no memory: the connection will be unknown. */
bool cv_identities_put(
	struct cv_identities *ids, const struct cv_proxy_identity *id, int64_t now_ms);

/* The record of cookie, which is the caller's to free(), or NULL. */
CV_MUST struct cv_who *cv_identities_take(
	struct cv_identities *ids, uint64_t cookie, int64_t now_ms);
