/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placeholder_int.h - the automaton that finding and scanning walk; see placeholder.c
 */
#pragma once
#include "cred/placeholder.h"

#define PH_ROOT 0u

struct cv_ph_node {
	uint32_t child, sibling, fail; /* 0: none, and the root */
	uint16_t pattern;              /* that ends here, plus one */
	uint8_t byte;
};

#define PH_PAIR_WORDS (65536 / 64)

static inline uint32_t ph_pair(char first, char second)
{
	return (uint32_t)(uint8_t)first << 8 | (uint8_t)second;
}

static inline uint32_t ph_child(const struct cv_ph_set *set, uint32_t node, uint8_t byte)
{
	uint32_t c = set->nodes[node].child;

	while (c && set->nodes[c].byte != byte)
		c = set->nodes[c].sibling;
	return c;
}

static inline uint32_t ph_step(const struct cv_ph_set *set, uint32_t node, uint8_t byte)
{
	for (; node != PH_ROOT; node = set->nodes[node].fail) {
		const uint32_t c = ph_child(set, node, byte);

		if (c)
			return c;
	}
	return set->root[byte];
}
