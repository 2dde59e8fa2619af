/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - bodies of requests, on disk until they were looked at whole
 *
 * One file without a name, which the supervisor opens for each proxy: nobody else can open it, and it
 * ends with the process, however that ends.  Bodies get blocks of it, one after the other as they
 * grow, and give them back: the file's length is bounded by the blocks that there are, and what was
 * given back takes no room on the disk.
 *
 * A write may wait for the disk, and the loop with it; the kernel's cache takes what we allow here,
 * unless the machine is writing more than it can.
 *
 * Ownership: the file is the proxy's (struct cv_proxy); a cv_spooled has its blocks until it is
 *            freed, and may be moved by assignment if the source is cleared.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "proxy/limits.h"

#include <stddef.h>
#include <stdint.h>

#define CV_SPOOL_BLOCKS_MAX (CV_PROXY_SPOOL_BYTES_MAX / CV_PROXY_SPOOL_BLOCK_BYTES)

struct cv_spool {
	int fd;                     /* owned; -1: there is none */
	uint64_t body_max;          /* of one body; at most so much is begun to be kept */
	uint32_t block_count, used; /* blocks that may be, and are, handed out */
	uint32_t low;               /* none before is free */
	size_t memory;              /* bytes of bodies that come and are not in the file yet */
	uint64_t taken[CV_SPOOL_BLOCKS_MAX / 64]; /* a bit for each block */
};

enum cv_spool_rc {
	CV_SPOOL_OK,
	CV_SPOOL_FULL,   /* there is no block left, or no memory to remember one */
	CV_SPOOL_FAILED, /* the file can't be written: no room on the disk */
};

/* Takes fd, a file that is open for reading and writing.  sum_max: of all bodies together. */
void cv_spool_take(struct cv_spool *s, int fd, uint64_t body_max, uint64_t sum_max);

struct cv_spooled { /* a body; zeroed: nothing */
	struct cv_spool *spool;
	uint16_t *block; /* owned: which, in order */
	uint32_t count, room;
	uint64_t bytes;
};

CV_MUST enum cv_spool_rc cv_spooled_put(
	struct cv_spooled *b, struct cv_spool *s, struct cv_str bytes);

/* The bytes from at on, at most n of them; 0: it can't be read. */
CV_MUST size_t cv_spooled_read(const struct cv_spooled *b, uint64_t at, char *to, size_t n);

void cv_spooled_free(struct cv_spooled *b); /* as often as one likes */
