/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - bytes that grow, up to a stated maximum
 *
 * A buffer owns its memory.  Bytes are appended at the end and taken from the front; what is
 * readable is the slice from cv_buf_str(), valid until the next call on the same buffer.
 *
 *     0 <= start <= end <= cap <= max
 *     data[start, end) is readable; data[end, cap) is room
 *
 * Overflow of max, and want of memory, are sticky: the append that failed and all later ones
 * change nothing, and is_overflown stays true until reset.  So a writer may append a whole message
 * and look once.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"

struct cv_buf {
	char *data;
	size_t start, end, cap, max;
	bool is_overflown;
};

/* No allocation yet.  max is a hard limit in bytes. */
void cv_buf_init(struct cv_buf *b, size_t max);
void cv_buf_fini(struct cv_buf *b); /* frees; b may be used again after init */
void cv_buf_wipe(
	struct cv_buf *b); /* overwrites, then frees; copies that growth left are not found */
void cv_buf_reset(struct cv_buf *b); /* empty, memory kept, overflow forgotten */

static inline size_t cv_buf_len(const struct cv_buf *b)
{
	return b->end - b->start;
}

static inline struct cv_str cv_buf_str(const struct cv_buf *b)
{
	return (struct cv_str){ b->data ? b->data + b->start : NULL, b->end - b->start };
}

bool cv_buf_put_growing(struct cv_buf *b, struct cv_str s); /* cv_buf_put() without room */

/* False when the bytes did not fit (then nothing was appended and b is overflown). */
static inline bool cv_buf_put(struct cv_buf *b, struct cv_str s)
{
	if (b->is_overflown || s.n > b->cap - b->end || !s.n)
		return cv_buf_put_growing(b, s);
	memcpy(b->data + b->end, s.p, s.n);
	b->end += s.n;
	return true;
}

static inline bool cv_buf_put_byte(struct cv_buf *b, char c)
{
	return cv_buf_put(b, (struct cv_str){ &c, 1 });
}

bool cv_buf_put_u64(struct cv_buf *b, uint64_t v); /* decimal */
bool cv_buf_put_u16be(struct cv_buf *b, uint16_t v);
bool cv_buf_put_u32be(struct cv_buf *b, uint32_t v);
CV_PRINTF(2, 3) bool cv_buf_printf(struct cv_buf *b, const char *fmt, ...);

/* s as the inside of a JSON string: quotes, backslashes, control bytes and everything that is not
 * valid UTF-8 escaped, so that the result is one line of valid JSON whatever s holds; characters
 * that hide or reorder text (utf8.h) too, so that it also reads as what it is. */
bool cv_buf_put_json(struct cv_buf *b, struct cv_str s);
/* The same with the quotes around it: a JSON string. */
bool cv_buf_put_json_str(struct cv_buf *b, struct cv_str s);
/* "name":"value"; name is written as it is.  Commas are the caller's. */
bool cv_buf_put_json_member(struct cv_buf *b, const char *name, struct cv_str value);

/* Letters, digits and -._~ as they are, all else as %XX: a value in a query or a form. */
bool cv_buf_put_percent(struct cv_buf *b, struct cv_str s);

/* Room for at least n more bytes at the end, or NULL (b overflown); then cv_buf_commit() says how
 * many were written there. */
char *cv_buf_reserve(struct cv_buf *b, size_t n);
void cv_buf_commit(struct cv_buf *b, size_t n);

/* Drops n bytes (at most the length) from the front. */
void cv_buf_skip(struct cv_buf *b, size_t n);
