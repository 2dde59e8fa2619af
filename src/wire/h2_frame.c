/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_frame.c - see h2_frame.h
 */
#include "wire/h2_frame.h"

bool cv_h2_scan_next(struct cv_h2_scan *s, struct cv_str *in, struct cv_h2_frame *ret)
{
	const uint8_t *h = s->head;

	while (in->n) {
		if (s->left) {
			const size_t n = CV_MIN(in->n, (size_t)s->left);

			s->left -= (uint32_t)n;
			*in = cv_str_slice(*in, n, in->n);
			continue;
		}
		const size_t n = CV_MIN(in->n, sizeof(s->head) - s->have);

		memcpy(s->head + s->have, in->p, n);
		s->have = (uint8_t)(s->have + n);
		*in = cv_str_slice(*in, n, in->n);
		if (s->have < sizeof(s->head))
			break;
		s->have = 0;
		s->left = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2];
		*ret = (struct cv_h2_frame){
			.length = s->left,
			.type = h[3],
			.flags = h[4],
			.stream = ((uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 |
					  (uint32_t)h[7] << 8 | h[8]) &
				  0x7fffffff,
		};
		return true;
	}
	return false;
}
