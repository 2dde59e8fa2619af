/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.h - has a call's own directory reached its bound?
 *
 * In memory the file system knows: it refuses what is too much, and is asked whether it is full.  On a
 * disk somebody has to look what is there, again and again; in between more can be written.
 */
#pragma once
#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct quota {
	int dir; /* -1: nothing is bounded */
	bool is_in_memory;
	uint64_t bytes, files;
	bool was_full;
	unsigned wait_ms; /* until the next look */
};

/* dir: open, and kept open by the caller. */
void quota_init(struct quota *q, int dir, bool is_in_memory, uint64_t bytes, uint64_t files);
/* Looks, and says when to do so again. */
CV_MUST bool quota_is_reached(struct quota *q);
