/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c - open addressing, linear probing; see map.h
 */
#include "base/map.h"

#define CAP_MIN 16

/* Eight bytes at a time; multiplication carries upwards, the shifts bring it down again. */
static uint32_t hash_of(uint32_t scope, struct cv_str key)
{
	static const uint64_t k = 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio */
	uint64_t h = (key.n ^ (uint64_t)scope << 32) * k;
	size_t i = 0;

	for (; i + 8 <= key.n; i += 8) {
		uint64_t w;

		memcpy(&w, key.p + i, 8);
		h = (h ^ w) * k;
		h ^= h >> 32;
	}
	if (i < key.n) {
		uint64_t w = 0;

		for (size_t j = i; j < key.n; j++)
			w = w << 8 | (uint8_t)key.p[j];
		h = (h ^ w) * k;
	}
	h ^= h >> 29;
	h *= k;
	return (uint32_t)(h >> 32) | 1;
}

/* Where the key is, or the free slot where it would be. */
static struct cv_map_slot *slot_find(
	const struct cv_map *m, uint32_t hash, uint32_t scope, struct cv_str key)
{
	for (uint32_t i = hash >> 1;; i++) {
		struct cv_map_slot *s = &m->slots[i & (m->cap - 1)];

		if (s->hash == 0 ||
			(s->hash == hash && s->scope == scope && cv_str_eq(s->key, key)))
			return s;
	}
}

static bool grow(struct cv_map *m)
{
	struct cv_map bigger = *m;

	bigger.cap = m->cap ? m->cap * 2 : CAP_MIN;
	bigger.slots = cv_arena_array(m->arena, bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (uint32_t i = 0; i < m->cap; i++) {
		const struct cv_map_slot *s = &m->slots[i];

		if (s->hash)
			*slot_find(&bigger, s->hash, s->scope, s->key) = *s;
	}
	*m = bigger;
	return true;
}

void cv_map_init(struct cv_map *m, struct cv_arena *arena)
{
	*m = (struct cv_map){ .arena = arena };
}

uint32_t *cv_map_at(struct cv_map *m, uint32_t scope, struct cv_str key)
{
	const uint32_t hash = hash_of(scope, key);

	if (m->count * 2 >= m->cap && !grow(m))
		return NULL;
	struct cv_map_slot *s = slot_find(m, hash, scope, key);
	if (s->hash == 0) {
		*s = (struct cv_map_slot){ key, hash, scope, CV_MAP_NONE };
		m->count++;
	}
	return &s->value;
}

uint32_t cv_map_get(const struct cv_map *m, uint32_t scope, struct cv_str key)
{
	if (m->cap == 0)
		return CV_MAP_NONE;
	const struct cv_map_slot *s = slot_find(m, hash_of(scope, key), scope, key);
	return s->hash ? s->value : CV_MAP_NONE;
}
