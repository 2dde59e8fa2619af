/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.c - see slots.h
 */
#include "gateway/slots.h"

#include <stdlib.h>

#define SLOTS_FIRST 64

static bool grow(struct cv_slots *s)
{
	const size_t cap = s->cap ? 2 * s->cap : SLOTS_FIRST;

	if (cap > CV_LOOP_INDEX_MAX)
		return false;
	struct cv_slot *v = realloc(s->v, cap * sizeof(*v));
	if (!v)
		return false;
	s->v = v;
	s->cap = cap;
	return true;
}

bool cv_slots_add(struct cv_slots *s, void *thing, struct cv_ref *ret)
{
	uint32_t i = s->first_free;

	if (!s->n || i >= s->n) {
		if (s->n == s->cap && !grow(s))
			return false;
		i = (uint32_t)s->n++;
		s->v[i] = (struct cv_slot){ .gen = 1 };
		s->first_free = (uint32_t)s->n;
	} else {
		s->first_free = s->v[i].next_free;
		if (s->first_free == UINT32_MAX)
			s->first_free = (uint32_t)s->n;
	}
	s->v[i].thing = thing;
	s->count++;
	*ret = (struct cv_ref){ i, s->v[i].gen };
	return true;
}

void *cv_slots_get(const struct cv_slots *s, struct cv_ref ref)
{
	if (ref.index >= s->n || s->v[ref.index].gen != ref.gen)
		return NULL;
	return s->v[ref.index].thing;
}

void cv_slots_remove(struct cv_slots *s, struct cv_ref ref)
{
	if (!cv_slots_get(s, ref))
		return;
	struct cv_slot *v = &s->v[ref.index];
	v->thing = NULL;
	v->gen++;
	v->next_free = s->first_free >= s->n ? UINT32_MAX : s->first_free;
	s->first_free = ref.index;
	s->count--;
}

void cv_slots_fini(struct cv_slots *s)
{
	free(s->v);
	*s = (struct cv_slots){ 0 };
}
