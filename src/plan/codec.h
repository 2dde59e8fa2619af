/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h - one walk over a value that writes it or reads it
 *
 * Each structure has one function that names its fields in order; whether they are written or
 * read is the codec's state.  So the two directions can't disagree.  Numbers are little-endian;
 * a string is its u32 length, its bytes and a NUL, so that a reader can hand it to the kernel
 * where it lies.  The first fault of a reader is sticky and every later value is zero.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

struct cv_codec {
	struct cv_buf *out;     /* writing, if not NULL */
	struct cv_str rest;     /* reading */
	struct cv_arena *arena; /* reading: arrays */
	bool is_bad;
};

void cv_codec_u32(struct cv_codec *c, uint32_t *v);
void cv_codec_u64(struct cv_codec *c, uint64_t *v);
void cv_codec_str(struct cv_codec *c, struct cv_str *v);
/* A count of at most max; when reading, *array gets that many zeroed elements. */
void *cv_codec_array(
	struct cv_codec *c, void *array, uint32_t *count, uint32_t max, size_t bytes_each);
void cv_codec_strs(struct cv_codec *c, struct cv_str **v, uint32_t *count, uint32_t max);
/* Reading ended well: nothing short, nothing left. */
CV_MUST bool cv_codec_is_done(const struct cv_codec *c);
