/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - the last messages of a kind, bounded in number and bytes
 *
 * Messages are kept encoded.  A reader holds a number, not a copy: what it has not seen when it was
 * dropped is first - its number.
 */
#pragma once
#include "base/str.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

struct cv_gw_entry {
	int64_t ms;
	uint8_t rank;    /* of a log line: of its level */
	bool is_sandbox; /* and its source is the sandbox, not the gateway */
	uint32_t n;
	char packed[];
};

struct cv_gw_ring {
	struct cv_gw_entry **v; /* of next - first entries, at number % cap */
	size_t cap, bytes, count_max, bytes_max;
	uint64_t first, next;
};

/* NULL: no memory. */
struct cv_gw_entry *cv_gw_entry_new(struct cv_str packed);
struct cv_gw_entry *cv_gw_entry_of(const ProtobufCMessage *m);
static inline struct cv_str cv_gw_entry_str(const struct cv_gw_entry *e)
{
	return (struct cv_str){ e->packed, e->n };
}

/* Takes e; NULL, or without memory: it is lost, as if it had been overtaken. */
void cv_gw_ring_put(struct cv_gw_ring *r, struct cv_gw_entry *e);
static inline struct cv_gw_entry *cv_gw_ring_at(const struct cv_gw_ring *r, uint64_t number)
{
	return r->v[number % r->cap];
}
void cv_gw_ring_empty(struct cv_gw_ring *r); /* numbers go on */
