/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape.h - placeholders that look like the credential they stand for
 *
 * Some SDKs look at a token before they send it: prefix, length, alphabet, GitHub's checksum, three
 * parts of a JWT and when it ends.  A shape is what they look for; a placeholder made from it is
 * random otherwise, and worth nothing anywhere.  Without a shape the canonical text does.
 *
 * Pure: randomness is given.  Every text is fit for cv_ph_set_compile().
 */
#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

#define CV_SHAPE_SEED_BYTES 32 /* from the kernel, fresh for each placeholder */

struct cv_shape; /* a row of the table; static storage */

struct cv_str cv_shape_name(const struct cv_shape *shape); /* "github_pat"; NULL: "canonical" */

/* The shape that a profile names; `canonical` is NULL.  False when there is none of that name. */
CV_MUST bool cv_shape_find(struct cv_str name, const struct cv_shape **ret);

/* The shape of a credential that nobody described: by the prefix of its value (empty: unknown),
 * else by the variable's name, which may have words in front (MY_GITHUB_TOKEN).  NULL: canonical.
 * Of the value only its kind shows in the placeholder. */
const struct cv_shape *cv_shape_guess(struct cv_str key, struct cv_str value);

/* A placeholder for the variable key; false when the arena is full.  Other seeds, and other keys,
 * give other texts, the canonical one apart. */
CV_MUST bool cv_shape_make(const struct cv_shape *shape, struct cv_str key,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], struct cv_arena *arena, struct cv_str *ret);

/* The n-th shape, for listings and tests; NULL behind the last. */
const struct cv_shape *cv_shape_at(size_t n);
