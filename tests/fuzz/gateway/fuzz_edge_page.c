/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_edge_page.c - the query of /auth/connect, and a name that an edge proxy gives somebody
 *
 * A query that is taken is a port and a code of the alphabet; whatever the name is, the page has the
 * markup that it has with any other.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "gateway/edge_page.c"

static size_t count(struct cv_str s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cv_gw_edge_asked asked = { 40000, "ABC-DEF2" };
	const struct cv_str all = { (const char *)data, n };
	struct cv_buf plain, b;
	char name[512];

	if (cv_gw_edge_query_read(all, &asked)) {
		cv_assert(asked.port >= PORT_MIN && strlen(asked.code) == CV_GW_EDGE_CODE_BYTES);
		cv_assert(!strpbrk(asked.code, "<>\"'& /"));
	}
	if (!cv_str_to_cstr(cv_str_slice(all, 0, 500), name, sizeof(name)))
		return 0;
	cv_buf_init(&plain, 1 << 16);
	cv_buf_init(&b, 1 << 16);
	cv_gw_edge_page_put(&plain, &asked, "x", CV_STR("a.b.c"));
	cv_gw_edge_page_put(&b, &asked, name, CV_STR("a.b.c"));
	cv_assert(count(cv_buf_str(&plain), '<') == count(cv_buf_str(&b), '<'));
	cv_assert(count(cv_buf_str(&plain), '"') == count(cv_buf_str(&b), '"'));
	cv_buf_fini(&plain);
	cv_buf_fini(&b);
	return 0;
}
