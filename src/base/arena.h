/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory of one lifetime, with a cap
 *
 * One request, or one policy snapshot, allocates here and frees everything at once.  Running out
 * (of the cap or of memory) is sticky: allocation returns NULL from then on and is_overflown
 * stays true, so that a caller may build a whole head and look once.  Memory is zeroed and
 * aligned for any object.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"

struct cv_arena_chunk;

struct cv_arena {
	struct cv_arena_chunk *chunk; /* newest first */
	char *at, *end;               /* room in the newest chunk */
	size_t used, max;             /* bytes handed out (with alignment), and the cap */
	bool is_overflown;
};

void cv_arena_init(struct cv_arena *a, size_t max); /* no allocation yet */
void cv_arena_fini(struct cv_arena *a);
void cv_arena_reset(struct cv_arena *a); /* all objects die; one chunk of memory is kept */
void cv_arena_wipe(struct cv_arena *a);  /* the same, and no byte of them is left */

void *cv_arena_alloc(struct cv_arena *a, size_t bytes);
void *cv_arena_array(struct cv_arena *a, size_t count, size_t bytes_each);
#define cv_arena_new(a, type) ((type *)cv_arena_alloc((a), sizeof(type)))

/* Copies; the copy is followed by a NUL that its n does not count.  CV_STR_NONE when full. */
struct cv_str cv_arena_str(struct cv_arena *a, struct cv_str s);
CV_PRINTF(2, 3) struct cv_str cv_arena_printf(struct cv_arena *a, const char *fmt, ...);
