/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - numbers by name, built once and read many times
 *
 * A key is a name within a scope, so that one table holds many small ones (the children of all
 * nodes of a tree, say).  Keys are borrowed and must outlive the map; memory is the arena's.
 * There is no removal.
 *
 * The hash has no secret: whoever writes the keys can make them collide, and only slows their own
 * table down.  Don't use it for keys that a stranger adds.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

#define CV_MAP_NONE UINT32_MAX

struct cv_map_slot {
	struct cv_str key;
	uint32_t hash; /* 0: free */
	uint32_t scope, value;
};

struct cv_map {
	struct cv_arena *arena;
	struct cv_map_slot *slots;
	uint32_t cap, count; /* cap is 0 or a power of two; at most half is used */
};

void cv_map_init(struct cv_map *m, struct cv_arena *arena); /* no allocation yet */

/* The value of the key, made CV_MAP_NONE if it was not there; valid until the next call.  NULL
 * when the arena is full. */
CV_MUST uint32_t *cv_map_at(struct cv_map *m, uint32_t scope, struct cv_str key);

/* CV_MAP_NONE when the key is not there. */
CV_MUST uint32_t cv_map_get(const struct cv_map *m, uint32_t scope, struct cv_str key);
