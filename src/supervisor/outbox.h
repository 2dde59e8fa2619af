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

struct outbox_message;

struct outbox {
	struct outbox_message *first, *last;
	size_t count, bytes;
};

static inline bool outbox_is_empty(const struct outbox *o)
{
	return o->count == 0;
}

/* Sends the message (through a non-blocking socket), or keeps it.  fds are borrowed.  CV_LIMIT: too
 * much waits, the other side does not read; other codes: the link is broken. */
CV_MUST cv_code outbox_put(struct outbox *o, int sock, uint32_t type, struct cv_str body,
	const int *fds, size_t fd_count, struct cv_err *err);
/* Keeps it without trying. */
CV_MUST cv_code outbox_keep(struct outbox *o, uint32_t type, struct cv_str body, const int *fds,
	size_t fd_count, struct cv_err *err);
/* What waits, as far as the socket takes it: CV_OK also when it did not take all. */
CV_MUST cv_code outbox_flush(struct outbox *o, int sock, struct cv_err *err);
void outbox_clear(struct outbox *o);
