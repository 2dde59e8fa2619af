/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.c - see codec.h
 */
#include "plan/codec.h"

#include "plan/limits.h"

static void bad(struct cv_codec *c)
{
	c->is_bad = true;
	c->rest = CV_STR_NONE;
}

/* n bytes from the front, or NULL. */
static const char *take(struct cv_codec *c, size_t n)
{
	if (c->is_bad || c->rest.n < n) {
		bad(c);
		return NULL;
	}
	const char *p = c->rest.p;
	c->rest = (struct cv_str){ p + n, c->rest.n - n };
	return p;
}

static void number(struct cv_codec *c, uint64_t *v, size_t bytes)
{
	unsigned char raw[sizeof(*v)];

	if (c->out) {
		for (size_t i = 0; i < bytes; i++)
			raw[i] = (unsigned char)(*v >> (8 * i));
		if (!cv_buf_put(c->out, (struct cv_str){ (const char *)raw, bytes }))
			c->is_bad = true;
		return;
	}
	const char *p = take(c, bytes);
	*v = 0;
	for (size_t i = bytes; p && i-- > 0;)
		*v = *v << 8 | (unsigned char)p[i];
}

void cv_codec_u32(struct cv_codec *c, uint32_t *v)
{
	uint64_t wide = *v;

	number(c, &wide, sizeof(*v));
	if (!c->out)
		*v = (uint32_t)wide;
}

void cv_codec_u64(struct cv_codec *c, uint64_t *v)
{
	number(c, v, sizeof(*v));
}

void cv_codec_str(struct cv_codec *c, struct cv_str *v)
{
	uint32_t n = (uint32_t)v->n;

	if (c->out && (v->n > CV_PLAN_STRING_MAX || cv_str_has_byte(*v, '\0')))
		c->is_bad = true;
	cv_codec_u32(c, &n);
	if (c->out) {
		if (!cv_buf_put(c->out, *v) || !cv_buf_put_byte(c->out, '\0'))
			c->is_bad = true;
		return;
	}
	*v = CV_STR("");
	if (n > CV_PLAN_STRING_MAX) {
		bad(c);
		return;
	}
	const char *p = take(c, (size_t)n + 1);
	if (!p)
		return;
	if (memchr(p, '\0', (size_t)n + 1) != p + n)
		bad(c);
	else
		*v = (struct cv_str){ p, n };
}

void *cv_codec_array(
	struct cv_codec *c, void *array, uint32_t *count, uint32_t max, size_t bytes_each)
{
	cv_codec_u32(c, count);
	if (*count > max) {
		if (!c->out)
			bad(c);
		c->is_bad = true;
	}
	if (c->out)
		return array;
	/* Every element takes at least four bytes: a short message can't ask for much memory. */
	if (!c->is_bad && *count > c->rest.n / 4)
		bad(c);
	void *room = c->is_bad || *count == 0 ? NULL : cv_arena_array(c->arena, *count, bytes_each);
	if (!room) {
		if (*count)
			bad(c);
		*count = 0;
	}
	return room;
}

void cv_codec_strs(struct cv_codec *c, struct cv_str **v, uint32_t *count, uint32_t max)
{
	*v = cv_codec_array(c, *v, count, max, sizeof(**v));
	for (uint32_t i = 0; i < *count; i++)
		cv_codec_str(c, &(*v)[i]);
}

bool cv_codec_is_done(const struct cv_codec *c)
{
	return !c->is_bad && c->rest.n == 0;
}
