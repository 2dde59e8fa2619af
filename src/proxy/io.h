/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h - buffers of one size, held only while they hold bytes
 *
 * A connection that waits has no buffer; the pool's hot ones go round.  Relaying a piece never
 * allocates: it takes the block that the last one gave back.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "proxy/limits.h"

struct cv_iopool {
	char *free[CV_PROXY_IO_KEPT_MAX];
	size_t free_count, used; /* used: blocks given out */
};

void cv_iopool_fini(struct cv_iopool *pool);

/* data is NULL exactly when the buffer holds no block; then start and end are 0. */
struct cv_iob {
	char *data;
	uint32_t start, end;
};

static inline uint32_t cv_iob_len(const struct cv_iob *b)
{
	return b->end - b->start;
}

static inline struct cv_str cv_iob_str(const struct cv_iob *b) /* until the next call on b */
{
	return (struct cv_str){ b->data ? b->data + b->start : NULL, b->end - b->start };
}

/* Bytes that could still be appended, after moving what is there to the front. */
static inline uint32_t cv_iob_room(const struct cv_iob *b)
{
	return CV_PROXY_IO_BYTES - (b->end - b->start);
}

/* Where to write (moves what is there to the front if less than want is behind it) and how much
 * may be written; NULL when the pool is used up. */
char *cv_iob_reserve(struct cv_iopool *pool, struct cv_iob *b, uint32_t want, uint32_t *ret_room);
static inline void cv_iob_commit(struct cv_iob *b, uint32_t n)
{
	b->end += n;
}

/* Appends all of s, or nothing. */
CV_MUST bool cv_iob_put(struct cv_iopool *pool, struct cv_iob *b, struct cv_str s);

/* Takes n bytes from the front; an empty buffer gives its block back. */
void cv_iob_skip(struct cv_iopool *pool, struct cv_iob *b, uint32_t n);
void cv_iob_drop(struct cv_iopool *pool, struct cv_iob *b); /* all of it */

/* ---- a queue of blocks, for what a window lets a peer send before anyone reads it ---- */

struct cv_ioq {
	struct cv_iob b[CV_PROXY_QUEUE_BLOCKS_MAX]; /* a ring */
	uint8_t first, count;
	uint32_t bytes;
};

/* Appends all of s, or (false) nothing: the queue or the pool is full. */
CV_MUST bool cv_ioq_put(struct cv_iopool *pool, struct cv_ioq *q, struct cv_str s);

static inline struct cv_str cv_ioq_front(const struct cv_ioq *q) /* the first piece */
{
	return q->count ? cv_iob_str(&q->b[q->first]) : CV_STR_NONE;
}

void cv_ioq_skip(struct cv_iopool *pool, struct cv_ioq *q, uint32_t n); /* of the first piece */
void cv_ioq_drop(struct cv_iopool *pool, struct cv_ioq *q);
