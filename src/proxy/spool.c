/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.c - see spool.h
 *
 * Which blocks a body has is remembered here, not in the file: what is in there can't say where
 * anything is.
 */
#include "proxy/spool.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK ((uint64_t)CV_PROXY_SPOOL_BLOCK_BYTES)

void cv_spool_take(struct cv_spool *s, int fd, uint64_t body_max, uint64_t sum_max)
{
	cv_assert(!s->used);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	s->body_max = body_max;
	s->block_count = (uint32_t)CV_MIN(sum_max / BLOCK, (uint64_t)CV_SPOOL_BLOCKS_MAX);
}

static bool is_taken(const struct cv_spool *s, uint32_t i)
{
	return s->taken[i / 64] >> (i % 64) & 1;
}

static bool block_add(struct cv_spooled *b)
{
	struct cv_spool *s = b->spool;
	uint32_t i = s->low;

	while (i < s->block_count && is_taken(s, i))
		i++;
	if (i >= s->block_count)
		return false;
	if (b->count == b->room) {
		const uint32_t room = b->room ? 2 * b->room : 8;
		uint16_t *grown = realloc(b->block, room * sizeof(*grown));

		if (!grown)
			return false;
		b->block = grown;
		b->room = room;
	}
	s->taken[i / 64] |= UINT64_C(1) << (i % 64);
	s->used++;
	s->low = i + 1;
	b->block[b->count++] = (uint16_t)i;
	return true;
}

enum cv_spool_rc cv_spooled_put(struct cv_spooled *b, struct cv_spool *s, struct cv_str bytes)
{
	b->spool = s;
	if (s->fd < 0)
		return CV_SPOOL_FULL;
	while (bytes.n) {
		const uint64_t in_block = b->bytes % BLOCK;

		if (b->bytes / BLOCK == b->count && !block_add(b))
			return CV_SPOOL_FULL;
		const struct cv_str part = cv_str_slice(bytes, 0, (size_t)(BLOCK - in_block));
		const uint64_t at = b->block[b->bytes / BLOCK] * BLOCK + in_block;
		const ssize_t n = pwrite(s->fd, part.p, part.n, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return CV_SPOOL_FAILED;
		b->bytes += (uint64_t)n;
		bytes = cv_str_slice(bytes, (size_t)n, bytes.n);
	}
	return CV_SPOOL_OK;
}

size_t cv_spooled_read(const struct cv_spooled *b, uint64_t at, char *to, size_t n)
{
	size_t done = 0;

	n = (size_t)CV_MIN(n, b->bytes - CV_MIN(at, b->bytes));
	while (done < n) {
		const uint64_t in_block = at % BLOCK;
		const size_t part = (size_t)CV_MIN(n - done, BLOCK - in_block);
		const ssize_t got = pread(b->spool->fd, to + done, part,
			(off_t)(b->block[at / BLOCK] * BLOCK + in_block));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		done += (size_t)got;
		at += (uint64_t)got;
	}
	return done;
}

void cv_spooled_free(struct cv_spooled *b)
{
	struct cv_spool *s = b->spool;

	for (uint32_t i = 0; i < b->count; i++) {
		s->taken[b->block[i] / 64] &= ~(UINT64_C(1) << (b->block[i] % 64));
		s->low = CV_MIN(s->low, b->block[i]);
	}
	if (s)
		s->used -= b->count;
	if (b->count && !s->used) { /* the usual case, in one call */
		(void)!ftruncate(s->fd, 0);
	} else {
		for (uint32_t i = 0, n; i < b->count; i += n) {
			for (n = 1; i + n < b->count && b->block[i + n] == b->block[i] + n;)
				n++;
			/* where the file system has no holes the blocks are written over later */
			(void)!fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(b->block[i] * BLOCK), (off_t)(n * BLOCK));
		}
	}
	free(b->block);
	*b = (struct cv_spooled){ 0 };
}
