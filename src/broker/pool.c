/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - see pool.h
 */
#include "broker/pool.h"

#include "base/assert.h"

#include <stdlib.h>

void pool_init(struct pool *p, uint32_t max, size_t bytes)
{
	*p = (struct pool){ .max = max, .bytes = bytes };
	p->v = calloc(max, sizeof(*p->v));
	p->gen = calloc(max, sizeof(*p->gen));
	cv_assert(p->v && p->gen);
	for (uint32_t i = 0; i < max; i++)
		p->gen[i] = 1; /* so that a zeroed reference names nothing */
}

void *pool_new(struct pool *p, struct cv_ref *ret)
{
	if (p->used == p->max)
		return NULL;
	for (uint32_t i = 0; i < p->max; i++)
		if (!p->v[i]) {
			p->v[i] = calloc(1, p->bytes);
			if (!p->v[i])
				return NULL;
			p->used++;
			p->top = CV_MAX(p->top, i + 1);
			*ret = (struct cv_ref){ i, p->gen[i] };
			return p->v[i];
		}
	cv_unreachable(); /* used counts what is taken */
}

void *pool_get(const struct pool *p, struct cv_ref ref)
{
	return ref.index < p->max && p->gen[ref.index] == ref.gen ? p->v[ref.index] : NULL;
}

void pool_free(struct pool *p, struct cv_ref ref)
{
	cv_assert(pool_get(p, ref));
	free(p->v[ref.index]);
	p->v[ref.index] = NULL;
	p->gen[ref.index]++;
	p->used--;
	while (p->top && !p->v[p->top - 1])
		p->top--;
}
