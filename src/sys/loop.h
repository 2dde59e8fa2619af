/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - one epoll instance whose events name typed things, never pointers
 *
 * A watch is a kind (the program's own enum), and a reference into a pool: index and generation.
 * An event that arrives late finds another generation in the slot and is dropped by whoever looks
 * it up, so a descriptor that was closed and given out again can't be taken for the old one.
 * Dispatch is the caller's: a switch over the kind.
 *
 * epoll(7).  Edge-triggered watches are registered once and never changed: no call per request.
 */
#pragma once
#include "base/err.h"

#include <stdint.h>
#include <sys/epoll.h>

struct cv_ref { /* a pool slot; stale when its generation differs */
	uint32_t index, gen;
};

#define CV_LOOP_INDEX_MAX ((1u << 24) - 1) /* kind and index share 32 bits */

struct cv_watch {
	uint8_t kind;
	struct cv_ref ref;
};

struct cv_loop_event {
	struct cv_watch watch;
	uint32_t events; /* EPOLL... */
};

#define CV_LOOP_EVENTS_MAX 128 /* of one turn; what is more comes in the next */

struct cv_loop {
	int epoll;
	int64_t now_ms; /* CLOCK_MONOTONIC when the present turn began */
};

CV_MUST cv_code cv_loop_init(struct cv_loop *l, struct cv_err *err);
void cv_loop_fini(struct cv_loop *l);

CV_MUST cv_code cv_loop_add(
	struct cv_loop *l, int fd, uint32_t events, struct cv_watch w, struct cv_err *err);
/* What fd, which was added, is watched for from now on, and as what: what is so already is told. */
CV_MUST cv_code cv_loop_change(struct cv_loop *l, int fd, uint32_t events, struct cv_watch w);
/* Only for descriptors that stay open, or that others hold too: closing the last one does it. */
void cv_loop_remove(struct cv_loop *l, int fd);

/* Waits at most timeout_ms (-1: for ever), sets now_ms; returns how many events there are. */
size_t cv_loop_wait(
	struct cv_loop *l, int timeout_ms, struct cv_loop_event ret[CV_LOOP_EVENTS_MAX]);
