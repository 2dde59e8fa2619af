/* SPDX-License-Identifier: Apache-2.0 */
/*
 * denied.c - see denied.h
 */
#include "proxy/denied.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <stdlib.h>

#define CUT_MARK CV_STR("...[truncated]")

void cv_denied_fini(struct cv_denied *d)
{
	for (size_t i = 0; i < CV_PROXY_DENIED_MAX; i++)
		free((char *)(uintptr_t)d->line[i].p);
	*d = (struct cv_denied){ 0 };
}

/* The first max bytes, without half of a character at the end. */
static struct cv_str cut(struct cv_str s, size_t max)
{
	while (max && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return cv_str_slice(s, 0, max);
}

void cv_denied_event(struct cv_denied *d, const struct cv_audit_event *e)
{
	struct cv_str *slot = &d->line[d->count % CV_PROXY_DENIED_MAX], mark = CV_STR_NONE;
	struct cv_buf b;

	if (e->action != CV_AUDIT_ACTION_DENY)
		return;
	cv_buf_init(&b, 256 * 1024);
	struct cv_str line = cv_audit_line(e, &b) ? cv_buf_str(&b) : CV_STR_NONE;
	if (line.n > CV_PROXY_DENIED_BYTES_MAX) {
		line = cut(line, CV_PROXY_DENIED_BYTES_MAX);
		mark = CUT_MARK;
	}
	char *copy = line.n ? malloc(line.n + mark.n) : NULL;
	if (copy) {
		memcpy(copy, line.p, line.n);
		if (mark.n)
			memcpy(copy + line.n, mark.p, mark.n);
		free((char *)(uintptr_t)slot->p);
		*slot = (struct cv_str){ copy, line.n + mark.n };
		d->count++;
	}
	cv_buf_fini(&b);
}

size_t cv_denied_kept(const struct cv_denied *d)
{
	return (size_t)CV_MIN(d->count, (uint64_t)CV_PROXY_DENIED_MAX);
}

struct cv_str cv_denied_at(const struct cv_denied *d, size_t nth)
{
	cv_assert(nth < cv_denied_kept(d));
	return d->line[(d->count - 1 - nth) % CV_PROXY_DENIED_MAX];
}
