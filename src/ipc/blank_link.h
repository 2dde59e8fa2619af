/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blank_link.h - the link of a supervisor that was started before there was a sandbox for it
 *
 * Descriptor 3 of it is a socket and not a plan (supervisor/blank.c).  The one message that comes
 * has what the others that a supervisor starts with would have been; from then on there is no link
 * any more.
 */
#pragma once
#include "ipc/frame.h"

/* What such a process is called, and what it is from then on, as any supervisor (PR_SET_NAME): who finds
 * a sandbox's again knows it by that. */
#define CV_BLANK_COMM      "cove-blank"
#define CV_SUPERVISOR_COMM "cove-supervisor"

enum cv_blank_state { CV_BLANK_WAITS };

/* Of BEGIN. */
enum {
	CV_BLANK_CREDENTIALS = 1 << 0, /* the third descriptor is the one of that name */
	CV_BLANK_KEEPER = 1 << 1,      /* the fourth */
};

/* clang-format off */
/* driver to supervisor: message, body bytes, descriptors, states, flags */
#define CV_BLANK_REQS(X)                                                                        \
	X(BEGIN, 4, 4, IN(WAITS), CV_IPC_ONCE) /* u32 flags; log, plan, credentials, keeper's link: any \
						* where there is none */
/* clang-format on */

#define CV_BLANK_REQ_ENUM(name, bytes, fds, states, flags) CV_BLANK_REQ_##name,
enum cv_blank_req { CV_BLANK_REQS(CV_BLANK_REQ_ENUM) CV_BLANK_REQ_COUNT };

extern const struct cv_ipc_rule cv_blank_req_rule[CV_BLANK_REQ_COUNT];
