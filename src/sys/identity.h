/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - who is connecting: answers the seccomp notifications of connect(2)
 *
 * The sandbox's filter stops each connect() until the reader of its notification descriptor lets
 * it proceed.  In between the reader records, under the socket's cookie, which executable called
 * and which executables are its ancestors; the proxy finds the record again when the connection
 * arrives (kernel.md, section 6).  This is attribution, not permission: the call always proceeds,
 * and a connection without a record, or with an unknown_reason, is one that rules for executables
 * don't match.
 *
 * Nothing is recorded for UDP, UNIX and other sockets than TCP, nor for a caller whose descriptor
 * can't be fetched: such a connection has no record, which denies it.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define CV_IDENTITY_ANCESTOR_MAX 64 /* processes above the caller that are looked at */

/* Paths of one record together.  Usual ones take some hundreds of bytes; this leaves room in a
 * message between processes (64 KiB).  More is an unknown identity. */
#define CV_IDENTITY_TEXT_BYTES_MAX (32u << 10)

/* Strings live until the next call on the object they came from. */
struct cv_identity_record {
	uint64_t cookie;              /* SO_COOKIE of the connecting socket */
	uint32_t pid;                 /* inside the sandbox, for the log; 0: not known */
	struct cv_str unknown_reason; /* not empty: the identity could not be established */
	struct cv_str changed_path;   /* not empty: this executable changed since its first use */
	struct cv_str exe;            /* as the sandbox names it, without " (deleted)" */
	struct cv_str ancestors[CV_IDENTITY_ANCESTOR_MAX]; /* nearest first, without init */
	size_t ancestor_count;
};

/* Takes the record on, before the connection proceeds.  False: not now (the queue is full). */
typedef bool cv_identity_fn(const struct cv_identity_record *record, void *arg);

struct cv_identity;

/* init is the sandbox's first process as this process sees it: the walk through the ancestors ends
 * there.  CV_UNAVAILABLE (the kernel's notifications are not ours), CV_LIMIT (memory). */
CV_MUST cv_code cv_identity_new(pid_t init, struct cv_identity **ret, struct cv_err *err);
void cv_identity_free(struct cv_identity *id);

/* Whether contents are compared with those of the first use; they are, unless told otherwise.
 * When no rule names an executable, hashing is time for nothing. */
void cv_identity_hashing_set(struct cv_identity *id, bool is_wanted);

/* Tells the kernel that an answer follows at once, where it can be told (6.6): saves a fifth of a
 * connect.  Call once for each notification descriptor. */
void cv_identity_prepare(int notify_fd);

/* Handles one notification; call when notify_fd is readable (not when it only hung up, which may
 * block).  Costs about 18 system calls, and 7 for each ancestor.
 *   CV_OK           handled, or its caller is gone
 *   CV_UNAVAILABLE  the callback could not take the record on: the caller waits, nothing more is
 *                   read, and cv_identity_resume() tries again
 *   CV_SYSTEM       the descriptor is not, or no longer, good for notifications */
CV_MUST cv_code cv_identity_serve(
	struct cv_identity *id, int notify_fd, cv_identity_fn *take, void *arg, struct cv_err *err);

/* Offers the waiting record again; codes as above, CV_OK also when none waits. */
CV_MUST cv_code cv_identity_resume(
	struct cv_identity *id, int notify_fd, cv_identity_fn *take, void *arg, struct cv_err *err);
