/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_head.c - any text as Accept and as Last-Event-ID: what is read is what was written, and a type
 * that is taken although others are not, is taken when any is
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "broker/head.c"

#include <stdio.h>

static void event_check(struct cv_str text)
{
	uint64_t id, number, again_id, again;
	char said[64];

	if (!mcp_event_read(text, &id, &number))
		return;
	snprintf(said, sizeof(said), "%016llx-%llu", (unsigned long long)id,
		(unsigned long long)number);
	cv_assert(number < UINT64_MAX);
	cv_assert(mcp_event_read(cv_str_of(said), &again_id, &again));
	cv_assert(id == again_id && number == again);
}

static void position_check(struct cv_str text)
{
	struct job_position at, again;
	char said[96];

	if (!job_position_read(text, &at))
		return;
	cv_assert(at.results <= 2);
	snprintf(said, sizeof(said), "%llu-%u-%u", (unsigned long long)at.log, at.progress,
		at.results);
	cv_assert(job_position_read(cv_str_of(said), &again));
	cv_assert(at.log == again.log && at.progress == again.progress &&
		  at.results == again.results);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "application/json", "text/event-stream" };
	const struct cv_str text = { (const char *)data, size };

	for (size_t i = 0; i < CV_ARRAY_LEN(types); i++)
		if (mcp_accepts(text, types[i], true))
			cv_assert(mcp_accepts(text, types[i], false));
	event_check(text);
	position_check(text);
	return 0;
}
