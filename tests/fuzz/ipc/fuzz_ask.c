/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ask.c - a question as a proxy that strangers took over might send it, read and shown
 *
 * Properties: what is read can be put again and is the same then; what is shown has no control
 * character but the line feeds that are ours: as many as fields and breaks allow, never in a text.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/utf8.h"
#include "ipc/approve_show.h"

#include <stdlib.h>

static void show(const struct cv_ask *ask, bool is_whole)
{
	struct cv_buf out;
	struct cv_str s;
	uint32_t cp;
	size_t step;

	cv_buf_init(&out, 4u << 20);
	if (cv_ask_show(&out, ask, is_whole) && cv_ask_show_line(&out, ask))
		for (s = cv_buf_str(&out); s.n; s = cv_str_slice(s, step, s.n)) {
			step = cv_utf8_decode(s, &cp);
			cv_assert(step && (cp == '\n' || !cv_utf8_is_hidden(cp)));
		}
	cv_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_ask ask, again;
	struct cv_buf b;

	if (!cv_ask_get((struct cv_str){ (const char *)data, size }, &ask))
		return 0;
	show(&ask, false);
	show(&ask, true);
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_assert(cv_ask_put(&b, &ask) && cv_ask_get(cv_buf_str(&b), &again));
	cv_assert(again.id == ask.id && again.text_bytes == ask.text_bytes);
	cv_assert(again.ancestor_count + again.ancestors_more >= again.ancestor_count);
	cv_buf_fini(&b);
	return 0;
}
