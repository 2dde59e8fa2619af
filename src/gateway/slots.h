/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.h - things that a late event may name: index and generation instead of a pointer
 *
 * A slot that was given back gets another generation, so a reference to what was there finds
 * nothing.  It owns no thing, only the table.
 */
#pragma once
#include "sys/loop.h"

#include <stdbool.h>

struct cv_slots {
	struct cv_slot {
		void *thing; /* NULL: free */
		uint32_t gen, next_free;
	} * v;
	size_t n, cap, count;
	uint32_t first_free; /* n: none */
};

/* False without memory, or with CV_LOOP_INDEX_MAX things. */
CV_MUST bool cv_slots_add(struct cv_slots *s, void *thing, struct cv_ref *ret);
/* NULL: it is gone. */
void *cv_slots_get(const struct cv_slots *s, struct cv_ref ref);
void cv_slots_remove(struct cv_slots *s, struct cv_ref ref);
void cv_slots_fini(struct cv_slots *s);
