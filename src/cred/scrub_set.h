/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_set.h - secret values, compiled into what scrub.h searches for
 *
 * Ownership: counted; immutable after it is made, but for the stream that it keeps for who needs the
 * next.  One set may serve any number of streams of one thread.  The last reference wipes and frees it.
 * Pure.  Limits: CV_SCRUB_* in limits_scrub.h.
 *
 * Three forms of each value are compiled, each into an automaton of its own (Aho and Corasick 1975,
 * failure links kept as links, so that memory grows with the values and not with the alphabet):
 *
 *     plain   the value; a second time with `+` for each blank (forms) if it has one
 *     base64  at three alignments, the letters that depend on the value alone; `-` and `_` are
 *             folded into `+` and `/`
 *     hex     its digits, upper case folded into lower
 *
 * Besides, a bitmap of the triples of bytes that can stand in the first eight bytes of a match lets
 * a stream step over most text by sixes.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "cred/limits_scrub.h"

#include <stdint.h>

enum cv_scrub_form { CV_SCRUB_PLAIN, CV_SCRUB_BASE64, CV_SCRUB_HEX, CV_SCRUB_FORM_COUNT };

struct cv_scrub_node {
	uint32_t child, sibling; /* 0: none (the root is nobody's child) */
	uint32_t fail;           /* longest proper suffix that some pattern starts with */
	uint16_t depth;
	uint16_t match; /* units of the longest pattern that ends here; 0: none */
	uint8_t symbol;
};

struct cv_scrub_trie {
	struct cv_scrub_node *node; /* [0] is the root */
	uint32_t count, cap;
	uint32_t units_max;  /* longest pattern */
	uint32_t first[256]; /* child of the root for a byte, folded already */
	uint8_t fold[256];   /* byte to symbol */
};

#define CV_SCRUB_WINDOW      8 /* no match has fewer bytes: CV_SCRUB_VALUE_BYTES_MIN, plain */
#define CV_SCRUB_GRAM        3
#define CV_SCRUB_FILTER_BITS 16

struct cv_scrub;

struct cv_scrub_set {
	uint32_t refs;
	struct cv_scrub *spare; /* scrub.c: one that nobody uses; without a reference on the set */
	uint32_t value_bytes_max; /* longest value */
	struct cv_scrub_trie trie[CV_SCRUB_FORM_COUNT];
	bool is_used[256]; /* by some match, as a byte of it */
	bool is_high_used; /* some byte from 0x80 up is */
	uint8_t filter[(1u << CV_SCRUB_FILTER_BITS) / 8];
};

/* Compiles values (copied in effect: none is kept).  ret_is_short, NULL or room for count, is told
 * which are below CV_SCRUB_VALUE_BYTES_MIN; those are not searched for and whoever made the set
 * should warn.  CV_LIMIT: too long, too many, or no memory. */
CV_MUST cv_code cv_scrub_set_new(const struct cv_str *values, size_t count, bool *ret_is_short,
	struct cv_scrub_set **ret, struct cv_err *err);

struct cv_scrub_set *cv_scrub_set_ref(struct cv_scrub_set *set);
void cv_scrub_set_unref(struct cv_scrub_set *set); /* NULL is fine */

static inline bool cv_scrub_set_is_empty(const struct cv_scrub_set *set)
{
	return !set->value_bytes_max;
}

static inline uint32_t cv_scrub_gram_hash(uint8_t a, uint8_t b, uint8_t c)
{
	const uint32_t gram = a | (uint32_t)b << 8 | (uint32_t)c << 16;

	return (gram * 2654435761u) >> (32 - CV_SCRUB_FILTER_BITS);
}

/* Whether a match may have a byte of this character. */
static inline bool cv_scrub_set_uses(const struct cv_scrub_set *set, int c)
{
	return c < 0x80 ? set->is_used[c] : set->is_high_used;
}

/* Whether a match whose first eight bytes cover these three may exist. */
static inline bool cv_scrub_set_may_have(const struct cv_scrub_set *set, const char *p)
{
	const uint32_t h = cv_scrub_gram_hash((uint8_t)p[0], (uint8_t)p[1], (uint8_t)p[2]);

	return set->filter[h >> 3] >> (h & 7) & 1;
}
