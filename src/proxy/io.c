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
