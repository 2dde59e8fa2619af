/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pg.c - hostile packets of PostgreSQL
 *
 * Property: what is read lies within the packet, and a startup packet written again from what
 * was read is read as the same.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/pg.h"

static void again_check(const struct cv_pg_startup *s)
{
	struct cv_pg_startup again;
	struct cv_buf b;

	cv_buf_init(&b, CV_PG_STARTUP_BYTES_MAX + 64);
	cv_pg_startup_begin(&b);
	for (size_t i = 0; i < s->parameter_count; i++)
		cv_pg_startup_add(&b, s->parameter[i].name, s->parameter[i].value);
	cv_assert(cv_pg_startup_end(&b));
	cv_assert(cv_pg_startup_parse(cv_buf_str(&b), &again) == CV_PG_OK);
	cv_assert(cv_str_eq(again.user, s->user) && cv_str_eq(again.database, s->database));
	cv_assert(again.parameter_count == s->parameter_count);
	cv_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	struct cv_pg_startup s;
	struct cv_pg_head h;
	struct cv_str a, b;

	if (cv_pg_startup_parse(text, &s) == CV_PG_OK) {
		cv_assert(s.bytes <= size);
		if (s.kind == CV_PG_STARTUP)
			again_check(&s);
	}
	for (int from_server = 0; from_server < 2; from_server++)
		if (cv_pg_head_parse(text, from_server, &h) == CV_PG_OK)
			cv_assert(h.body_bytes <= CV_PG_MESSAGE_BYTES_MAX);
	if (cv_pg_query_parse(text, &a))
		cv_assert(a.n + 1 == size);
	if (cv_pg_parse_parse(text, &a, &b))
		cv_assert(a.n + b.n + 4 <= size);
	if (cv_pg_pair_parse(text, &a, &b))
		cv_assert(a.n + b.n + 2 == size);
	cv_assert(cv_pg_error_field(text, 'M').n <= size);
	return 0;
}
