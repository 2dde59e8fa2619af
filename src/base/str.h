/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.h - borrowed bytes
 *
 * A struct cv_str never owns: whoever hands one out says how long it lives.  It has no NUL at its
 * end and may have NULs inside; p may be NULL only when n is 0.  Letter case means ASCII
 * everywhere: no function here looks at the locale.
 */
#pragma once
#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cv_str {
	const char *p;
	size_t n;
};

#define CV_STR(lit) ((struct cv_str){ "" lit, sizeof(lit) - 1 })
#define CV_STR_NONE ((struct cv_str){ NULL, 0 })
/* For printf's "%.*s". */
#define CV_STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct cv_str cv_str_of(const char *z) /* NULL gives the empty string */
{
	return (struct cv_str){ z, z ? strlen(z) : 0 };
}

static inline struct cv_str cv_str_range(const char *p, const char *end)
{
	return (struct cv_str){ p, (size_t)(end - p) };
}

static inline bool cv_str_eq(struct cv_str a, struct cv_str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline char cv_ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool cv_str_eq_nocase(struct cv_str a, struct cv_str b);
int cv_str_cmp(struct cv_str a, struct cv_str b); /* order of bytes, shorter first */
bool cv_str_has_prefix(struct cv_str s, struct cv_str prefix);
bool cv_str_has_suffix(struct cv_str s, struct cv_str suffix);
bool cv_str_has_byte(struct cv_str s, char c);

/* Position of the first (last) c in s, or s.n if there is none. */
size_t cv_str_find_byte(struct cv_str s, char c);
size_t cv_str_rfind_byte(struct cv_str s, char c);

/* s[from, to), clipped to s. */
struct cv_str cv_str_slice(struct cv_str s, size_t from, size_t to);

/* Cuts *s at the first sep: returns what stood before it and leaves in *s what follows.  Without
 * a sep, returns all of *s and leaves CV_STR_NONE (p NULL), so a loop is
 * `while (rest.p) part = cv_str_cut(&rest, ',');`. */
struct cv_str cv_str_cut(struct cv_str *s, char sep);

struct cv_str cv_str_trim(struct cv_str s); /* spaces and tabs at both ends */

/* A byte below a space, or DEL: text of one line has none. */
bool cv_str_has_control(struct cv_str s);

/* The whole of s as a decimal number without sign, at most max.  False otherwise. */
CV_MUST bool cv_str_to_u64(struct cv_str s, uint64_t max, uint64_t *ret);

/* Copies s and a NUL into dst of size bytes; false (dst empty) if it does not fit or holds NUL. */
CV_MUST bool cv_str_to_cstr(struct cv_str s, char *dst, size_t size);

/* The same in memory that is the caller's to free; NULL without memory.  strndup(3) is for texts that
 * end with a NUL: it stops at one, and a sanitizer has it read for one. */
CV_MUST char *cv_str_dup(struct cv_str s);
