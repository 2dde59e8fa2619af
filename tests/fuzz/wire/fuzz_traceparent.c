/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_traceparent.c - hostile values of traceparent
 *
 * Property: what is continued is written as version 00 and read back as the same.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/traceparent.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_traceparent t, again;
	char text[CV_TRACEPARENT_BYTES + 1];

	if (!cv_traceparent_parse((struct cv_str){ (const char *)data, size }, &t))
		return 0;
	cv_traceparent_write(&t, text);
	cv_assert(strlen(text) == CV_TRACEPARENT_BYTES);
	cv_assert(cv_traceparent_parse(cv_str_of(text), &again));
	cv_assert(!memcmp(t.trace, again.trace, sizeof(t.trace)) &&
		  !memcmp(t.span, again.span, sizeof(t.span)) && t.is_sampled == again.is_sampled);
	return 0;
}
