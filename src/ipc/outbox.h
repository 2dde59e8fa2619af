/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.h - messages for a link that may be full
 *
 * Between two processes that send to each other without waiting for an answer, one that blocks in
 * sending may wait for the other, which waits for it.  Here nobody blocks: what the socket does not
 * take is kept, in order, with descriptors of its own, until the socket can be written.
 */
#pragma once
#include "ipc/frame.h"

#define CV_IPC_OUTBOX_MAX       8192        /* some per command */
#define CV_IPC_OUTBOX_BYTES_MAX (16u << 20) /* four of the largest commands */

struct cv_ipc_outbox_message;

struct cv_ipc_outbox {
	struct cv_ipc_outbox_message *first, *last;
	size_t count, bytes;
};

static inline bool cv_ipc_outbox_is_empty(const struct cv_ipc_outbox *o)
{
	return o->count == 0;
}

/* Sends the message (through a non-blocking socket), or keeps it.  fds are borrowed.  CV_LIMIT: too
 * much waits, the other side does not read; other codes: the link is broken. */
CV_MUST cv_code cv_ipc_outbox_put(struct cv_ipc_outbox *o, int sock, uint32_t type,
	struct cv_str body, const int *fds, size_t fd_count, struct cv_err *err);
/* Keeps it in any case: for a link that is not there yet. */
CV_MUST cv_code cv_ipc_outbox_keep(struct cv_ipc_outbox *o, uint32_t type, struct cv_str body,
	const int *fds, size_t fd_count, struct cv_err *err);
/* What waits, as far as the socket takes it: CV_OK also when it did not take all. */
CV_MUST cv_code cv_ipc_outbox_flush(struct cv_ipc_outbox *o, int sock, struct cv_err *err);
void cv_ipc_outbox_clear(struct cv_ipc_outbox *o);
