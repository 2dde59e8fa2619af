/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - see io.h
 *
 * Free blocks are a stack, so the block given out next is the one that is still in the cache.
 */
#include "proxy/io.h"

#include "base/assert.h"

#include <stdlib.h>

void cv_iopool_fini(struct cv_iopool *pool)
{
	while (pool->free_count)
		free(pool->free[--pool->free_count]);
}

static char *block_take(struct cv_iopool *pool)
{
	char *p;

	if (pool->used >= CV_PROXY_IO_BLOCKS_MAX)
		return NULL;
	p = pool->free_count ? pool->free[--pool->free_count] : malloc(CV_PROXY_IO_BYTES);
	if (p)
		pool->used++;
	return p;
}

static void block_give(struct cv_iopool *pool, char *p)
{
	cv_assert(pool->used > 0);
	pool->used--;
	if (pool->free_count < CV_PROXY_IO_KEPT_MAX)
		pool->free[pool->free_count++] = p;
	else
		free(p);
}

char *cv_iob_reserve(struct cv_iopool *pool, struct cv_iob *b, uint32_t want, uint32_t *ret_room)
{
	if (!b->data) {
		b->data = block_take(pool);
		if (!b->data)
			return NULL;
	}
	if (CV_PROXY_IO_BYTES - b->end < want && b->start) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	*ret_room = CV_PROXY_IO_BYTES - b->end;
	return b->data + b->end;
}

bool cv_iob_put(struct cv_iopool *pool, struct cv_iob *b, struct cv_str s)
{
	uint32_t room;
	char *p;

	if (s.n == 0)
		return true;
	if (s.n > cv_iob_room(b))
		return false;
	p = cv_iob_reserve(pool, b, (uint32_t)s.n, &room);
	if (!p)
		return false;
	memcpy(p, s.p, s.n);
	cv_iob_commit(b, (uint32_t)s.n);
	return true;
}

void cv_iob_skip(struct cv_iopool *pool, struct cv_iob *b, uint32_t n)
{
	cv_assert(n <= b->end - b->start);
	b->start += n;
	if (b->start == b->end)
		cv_iob_drop(pool, b);
}

void cv_iob_drop(struct cv_iopool *pool, struct cv_iob *b)
{
	if (b->data)
		block_give(pool, b->data);
	*b = (struct cv_iob){ 0 };
}

static struct cv_iob *ioq_at(struct cv_ioq *q, size_t i)
{
	return &q->b[(q->first + i) % CV_PROXY_QUEUE_BLOCKS_MAX];
}

/* Blocks behind the last are full or unused, so the room is known beforehand. */
bool cv_ioq_put(struct cv_iopool *pool, struct cv_ioq *q, struct cv_str s)
{
	const size_t spare = CV_PROXY_QUEUE_BLOCKS_MAX - q->count;
	const size_t behind = q->count ? CV_PROXY_IO_BYTES - ioq_at(q, q->count - 1u)->end : 0;

	if (s.n > behind + spare * CV_PROXY_IO_BYTES ||
		(s.n > behind && pool->used + (s.n - behind) / CV_PROXY_IO_BYTES + 1 >
					 CV_PROXY_IO_BLOCKS_MAX))
		return false;
	while (s.n) {
		uint32_t room = 0;
		char *p = NULL;

		if (q->count && ioq_at(q, q->count - 1u)->end < CV_PROXY_IO_BYTES)
			p = cv_iob_reserve(pool, ioq_at(q, q->count - 1u), 0, &room);
		else if ((p = cv_iob_reserve(pool, ioq_at(q, q->count), 0, &room)))
			q->count++;
		if (!p) /* no memory: what was put is cut off with the connection */
			return false;
		const uint32_t n = CV_MIN(room, (uint32_t)CV_MIN(s.n, (size_t)UINT32_MAX));
		memcpy(p, s.p, n);
		cv_iob_commit(ioq_at(q, q->count - 1u), n);
		q->bytes += n;
		s = cv_str_slice(s, n, s.n);
	}
	return true;
}

void cv_ioq_skip(struct cv_iopool *pool, struct cv_ioq *q, uint32_t n)
{
	struct cv_iob *b = &q->b[q->first];

	cv_assert(q->count && n <= cv_iob_len(b));
	cv_iob_skip(pool, b, n);
	q->bytes -= n;
	if (!b->data) {
		q->first = (uint8_t)((q->first + 1) % CV_PROXY_QUEUE_BLOCKS_MAX);
		q->count--;
	}
}

void cv_ioq_drop(struct cv_iopool *pool, struct cv_ioq *q)
{
	for (size_t i = 0; i < q->count; i++)
		cv_iob_drop(pool, ioq_at(q, i));
	*q = (struct cv_ioq){ .count = 0 };
}
