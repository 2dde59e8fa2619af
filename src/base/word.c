/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word.c - Levenshtein distance in one row; see word.h
 */
#include "base/word.h"

size_t cv_word_distance(struct cv_str a, struct cv_str b)
{
	size_t row[CV_WORD_BYTES_MAX + 1];

	if (a.n > CV_WORD_BYTES_MAX || b.n > CV_WORD_BYTES_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			const bool differs =
				cv_ascii_lower(a.p[i - 1]) != cv_ascii_lower(b.p[j - 1]);
			const size_t change = diagonal + differs;

			diagonal = row[j];
			row[j] = CV_MIN(change, CV_MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[b.n];
}

void cv_word_search_init(struct cv_word_search *s, struct cv_str word)
{
	s->word = word;
	s->nearest = CV_STR_NONE;
	s->best = CV_MAX(word.n / 3, (size_t)1) + 1;
}

bool cv_word_search_offer(struct cv_word_search *s, struct cv_str candidate)
{
	const size_t d = cv_word_distance(s->word, candidate);

	if (d >= s->best)
		return false;
	s->best = d;
	s->nearest = candidate;
	return true;
}

size_t cv_word_nearest(struct cv_str word, const char *const *candidates, size_t count)
{
	struct cv_word_search s;
	size_t nearest = count;

	cv_word_search_init(&s, word);
	for (size_t i = 0; i < count; i++)
		if (cv_word_search_offer(&s, cv_str_of(candidates[i])))
			nearest = i;
	return nearest;
}
