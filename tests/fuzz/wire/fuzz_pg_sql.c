/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pg_sql.c - hostile SQL
 *
 * Property: a problem and OTHER go together; a statement more only adds commands; and what
 * follows a text that was understood is seen, whatever that text was.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/buf.h"
#include "wire/pg_sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	const struct cv_pg_sql r = cv_pg_sql_classify(text);
	struct cv_buf b;

	cv_assert(!!(r.commands & CV_PG_BIT(OTHER)) == (r.problem != NULL));
	cv_assert((r.statements > 0) >= (r.commands != 0 && !r.problem));
	if (size > 65536)
		return 0;
	cv_buf_init(&b, size + 64);
	cv_buf_put(&b, text);
	cv_buf_put(&b, CV_STR("\n; DROP TABLE t"));
	const struct cv_pg_sql more = cv_pg_sql_classify(cv_buf_str(&b));
	cv_assert((more.commands & r.commands) == r.commands || more.problem);
	cv_assert(more.commands & (CV_PG_BIT(DROP) | CV_PG_BIT(OTHER)));
	cv_buf_fini(&b);
	return 0;
}
