/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traceparent.c - see traceparent.h
 */
#include "wire/traceparent.h"

#include "base/hex.h"

#include <string.h>

#define SAMPLED 1 /* of the flags */

/* The next n bytes of two digits each.  Lower case only: "A" here and "a" there would be two ids of one
 * trace. */
static bool bytes_take(struct cv_str *s, uint8_t *ret, size_t n)
{
	const struct cv_str text = cv_str_slice(*s, 0, 2 * n);

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= 'A' && text.p[i] <= 'F')
			return false;
	*s = cv_str_slice(*s, 2 * n, s->n);
	return cv_hex_decode(text, ret, n);
}

static bool dash_take(struct cv_str *s)
{
	if (!s->n || s->p[0] != '-')
		return false;
	*s = cv_str_slice(*s, 1, s->n);
	return true;
}

static bool is_zero(const uint8_t *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (id[i])
			return false;
	return true;
}

bool cv_traceparent_parse(struct cv_str s, struct cv_traceparent *ret)
{
	uint8_t version, flags;
	struct cv_traceparent t;

	if (s.n > CV_TRACEPARENT_BYTES_MAX || !bytes_take(&s, &version, 1) || !dash_take(&s) ||
		!bytes_take(&s, t.trace, sizeof(t.trace)) || !dash_take(&s) ||
		!bytes_take(&s, t.span, sizeof(t.span)) || !dash_take(&s) ||
		!bytes_take(&s, &flags, 1))
		return false;
	if (version == 0xff || (s.n && (version == 0 || s.p[0] != '-')))
		return false;
	if (is_zero(t.trace, sizeof(t.trace)) || is_zero(t.span, sizeof(t.span)))
		return false;
	t.is_sampled = flags & SAMPLED;
	*ret = t;
	return true;
}

void cv_traceparent_write(const struct cv_traceparent *t, char ret[static CV_TRACEPARENT_BYTES + 1])
{
	memcpy(ret, "00-", 3);
	cv_hex_text(t->trace, sizeof(t->trace), ret + 3);
	ret[35] = '-';
	cv_hex_text(t->span, sizeof(t->span), ret + 36);
	memcpy(ret + 52, t->is_sampled ? "-01" : "-00", 4);
}
