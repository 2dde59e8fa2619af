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

size_t cv_word_nearest(struct cv_str word, const char *const *candidates, size_t count)
{
	size_t best = CV_MAX(word.n / 3, (size_t)1) + 1;
	size_t nearest = count;

	for (size_t i = 0; i < count; i++) {
		const size_t d = cv_word_distance(word, cv_str_of(candidates[i]));

		if (d < best) {
			best = d;
			nearest = i;
		}
	}
	return nearest;
}
