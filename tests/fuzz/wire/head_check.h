/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head_check.h - what must hold for every head that we write, seen with other eyes than the parser's
 *
 * Lines are cut with the plainest possible code and counted.
 */
#pragma once
#include "base/assert.h"
#include "base/str.h"

struct head_counts {
	size_t lines, hosts, lengths, codings, connections, overrides;
};

static inline bool line_is(struct cv_str line, const char *name)
{
	const struct cv_str want = cv_str_of(name);

	return line.n > want.n && line.p[want.n] == ':' &&
	       cv_str_eq_nocase(cv_str_slice(line, 0, want.n), want);
}

static inline struct head_counts head_count(struct cv_str head)
{
	struct head_counts c = { .lines = 0 };

	cv_assert(cv_str_has_suffix(head, CV_STR("\r\n\r\n")));
	head.n -= 2;
	while (head.n > 0) {
		const size_t lf = cv_str_find_byte(head, '\n');
		struct cv_str line = cv_str_slice(head, 0, lf);

		cv_assert(lf < head.n && lf > 1 && line.p[lf - 1] == '\r'); /* no empty line */
		line.n--;
		for (size_t i = 0; i < line.n; i++)
			cv_assert(((unsigned char)line.p[i] >= ' ' && line.p[i] != 0x7f) ||
				  line.p[i] == '\t');
		cv_assert(line.p[0] != ' ' && line.p[0] != '\t');
		c.lines++;
		c.hosts += line_is(line, "host");
		c.lengths += line_is(line, "content-length") + line_is(line, "content_length");
		c.codings +=
			line_is(line, "transfer-encoding") + line_is(line, "transfer_encoding");
		c.connections += line_is(line, "connection");
		c.overrides += line_is(line, "x-http-method-override") +
			       line_is(line, "x-original-url") + line_is(line, "alt-svc") +
			       line_is(line, "proxy-authorization");
		head = cv_str_slice(head, lf + 1, head.n);
	}
	cv_assert(c.lengths + c.codings <= 1 && c.connections <= 1);
	return c;
}
