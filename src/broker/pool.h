/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - objects that are named by index and generation
 *
 * An object is made when its place is first taken and its memory is given back when it is freed.
 * Whoever keeps a reference to one that has gone gets NULL.
 */
#pragma once
#include "base/attr.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct pool {
	void **v;      /* NULL: free */
	uint32_t *gen; /* of the present or, when free, the next object */
	uint32_t top;  /* no place at or above it is taken */
	uint32_t max, used;
	size_t bytes; /* of an object */
};

void pool_init(struct pool *p, uint32_t max, size_t bytes); /* aborts without memory */
/* Zeroed; NULL when the pool is full or there is no memory. */
void *pool_new(struct pool *p, struct cv_ref *ret);
void *pool_get(const struct pool *p, struct cv_ref ref); /* NULL: it has gone */
void pool_free(struct pool *p, struct cv_ref ref);

/* The object at index i below top, or NULL. */
static inline void *pool_at(const struct pool *p, uint32_t i)
{
	return p->v[i];
}
