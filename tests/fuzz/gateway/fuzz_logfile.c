/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_logfile.c - a file of a sandbox's log, as a crash or somebody else may have left it: any name, any
 * bytes.  A name that is taken is the one that would be written; the records that are read are whole,
 * and written again they are the bytes that they were read from.
 *
 * Input: the name, a NUL, the contents.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "gateway/logfile.c"

static void name_check(struct cv_str name)
{
	char given[LOGFILE_NAME_BYTES], again[LOGFILE_NAME_BYTES];
	struct logfile_of of;
	struct cv_err err;

	if (!cv_str_to_cstr(name, given, sizeof(given)) || !logfile_parse(given, &of))
		return;
	if (logfile_name(&of, again, &err) == CV_OK)
		cv_assert(strcmp(given, again) == 0 && !strchr(again, '/') && again[0] != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_str rest = { (const char *)data, size }, record;
	const struct cv_str name = cv_str_cut(&rest, '\0');
	const struct cv_str all = rest;
	struct cv_buf again;

	name_check(name);
	cv_buf_init(&again, 4 << 20);
	while (logfile_record_next(&rest, &record)) {
		cv_assert(record.n && record.n <= LOGFILE_LINE_BYTES_MAX);
		logfile_record_put(&again, record);
	}
	cv_assert(cv_buf_len(&again) + rest.n == all.n || again.is_overflown);
	if (!again.is_overflown)
		cv_assert(cv_str_eq(cv_buf_str(&again), cv_str_slice(all, 0, cv_buf_len(&again))));
	cv_buf_fini(&again);
	return 0;
}
