/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - chunks in a list, the newest one is filled; see arena.h
 */
#include "base/arena.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN           _Alignof(max_align_t)
#define CHUNK_BYTES_MIN 4096 /* a request head and its facts fit in one */

struct cv_arena_chunk {
	struct cv_arena_chunk *next;
	size_t bytes;
	_Alignas(max_align_t) char data[];
};

void cv_arena_init(struct cv_arena *a, size_t max)
{
	*a = (struct cv_arena){ .max = max };
}

static void chunks_free(struct cv_arena_chunk *c)
{
	while (c) {
		struct cv_arena_chunk *next = c->next;

		free(c);
		c = next;
	}
}

void cv_arena_fini(struct cv_arena *a)
{
	chunks_free(a->chunk);
	*a = (struct cv_arena){ .max = a->max };
}

void cv_arena_reset(struct cv_arena *a)
{
	struct cv_arena_chunk *keep = a->chunk;

	if (keep) {
		chunks_free(keep->next);
		keep->next = NULL;
		a->at = keep->data;
		a->end = keep->data + keep->bytes;
	}
	a->used = 0;
	a->is_overflown = false;
}

void cv_arena_wipe(struct cv_arena *a)
{
	for (struct cv_arena_chunk *c = a->chunk; c; c = c->next)
		explicit_bzero(c->data, c->bytes);
	cv_arena_reset(a);
}

static bool chunk_add(struct cv_arena *a, size_t bytes)
{
	const size_t doubled = a->chunk ? a->chunk->bytes * 2 : CHUNK_BYTES_MIN;
	const size_t size = CV_MAX(bytes, CV_MIN(doubled, CV_MAX(a->max, (size_t)CHUNK_BYTES_MIN)));
	struct cv_arena_chunk *c = malloc(sizeof(*c) + size);

	if (!c)
		return false;
	c->next = a->chunk;
	c->bytes = size;
	a->chunk = c;
	a->at = c->data;
	a->end = c->data + size;
	return true;
}

static void *overflow(struct cv_arena *a)
{
	a->is_overflown = true;
	return NULL;
}

void *cv_arena_alloc(struct cv_arena *a, size_t bytes)
{
	size_t size;

	if (a->is_overflown || __builtin_add_overflow(bytes, ALIGN - 1, &size))
		return overflow(a);
	size &= ~(ALIGN - 1);
	if (size > a->max - a->used)
		return overflow(a);
	if ((!a->at || (size_t)(a->end - a->at) < size) && !chunk_add(a, size))
		return overflow(a);
	void *p = a->at;
	a->at += size;
	a->used += size;
	return memset(p, 0, size);
}

void *cv_arena_array(struct cv_arena *a, size_t count, size_t bytes_each)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, bytes_each, &bytes))
		return overflow(a);
	return cv_arena_alloc(a, bytes);
}

struct cv_str cv_arena_str(struct cv_arena *a, struct cv_str s)
{
	char *p = s.n < SIZE_MAX ? cv_arena_alloc(a, s.n + 1) : NULL;

	if (!p)
		return CV_STR_NONE;
	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct cv_str){ p, s.n };
}

struct cv_str cv_arena_printf(struct cv_arena *a, const char *fmt, ...)
{
	va_list ap, again;
	struct cv_str s = CV_STR_NONE;

	va_start(ap, fmt);
	va_copy(again, ap);
	const int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : cv_arena_alloc(a, (size_t)n + 1);
	if (p) {
		vsnprintf(p, (size_t)n + 1, fmt, again);
		s = (struct cv_str){ p, (size_t)n };
	}
	va_end(again);
	return s;
}
