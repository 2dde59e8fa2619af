/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word.h - the word that somebody probably meant
 */
#pragma once
#include "base/str.h"

#define CV_WORD_BYTES_MAX 64 /* longer words have no neighbour; keys and options are shorter */

/* Changes of one letter (insert, drop, replace; case ignored) that make a of b; SIZE_MAX when
 * either is longer than CV_WORD_BYTES_MAX. */
size_t cv_word_distance(struct cv_str a, struct cv_str b);

/* The same for candidates that come one by one, from several lists, say. */
struct cv_word_search {
	struct cv_str word, nearest; /* nearest: CV_STR_NONE as long as none is near */
	size_t best;                 /* distance that is too far already */
};
void cv_word_search_init(struct cv_word_search *s, struct cv_str word);
bool cv_word_search_offer(struct cv_word_search *s, struct cv_str candidate); /* nearest so far? */

/* Index of the candidate nearest to word, or count when none is near: a third of the letters may
 * be wrong, at least one. */
size_t cv_word_nearest(struct cv_str word, const char *const *candidates, size_t count);
