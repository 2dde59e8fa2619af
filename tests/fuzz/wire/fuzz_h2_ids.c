/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h2_ids.c - frames of a peer that keeps no order
 *
 * Input: the first byte says whether it is a client's; then two bytes a frame: type and flags, and
 * stream, which is as easily hit again.
 * Properties: the same as a model says that remembers everything: a stream is said to be ended only
 * if its sender ended it, and always if it was among the last; one to be passed over only if it was.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/h2_ids.h"

#define IDS 256

struct model {
	uint32_t ended_at[IDS]; /* counted from 1; 0: not ended */
	bool was_opened[IDS];
	uint32_t ends, last;
};

static void check(
	struct model *m, const struct cv_h2_frame *f, enum cv_h2_ids_rc rc, bool is_client)
{
	const uint32_t id = f->stream;
	const bool is_rst = f->type == 3, is_headers = f->type == 1;
	const bool matters = id && (f->type == 0 || is_headers || is_rst);
	const bool is_ended = m->ended_at[id] != 0;
	const bool is_late = matters && !is_rst && is_ended;

	cv_assert(rc != CV_H2_IDS_ENDED || is_late);
	if (is_late && m->ends - m->ended_at[id] < CV_H2_IDS_KEPT)
		cv_assert(rc == CV_H2_IDS_ENDED);
	if (rc == CV_H2_IDS_PASSED)
		cv_assert(is_headers && is_client && id < m->last && !m->was_opened[id] && id % 2);
	if (rc == CV_H2_IDS_AGAIN)
		cv_assert(is_headers && is_client && id <= m->last);
	if (!matters || rc == CV_H2_IDS_ENDED)
		return;
	if (is_headers && is_client && id % 2) {
		m->was_opened[id] |= id > m->last;
		m->last = CV_MAX(m->last, id);
	}
	/* what is remembered still is not moved to the front */
	if ((is_rst || (f->flags & 1)) &&
		(!is_ended || m->ends - m->ended_at[id] >= CV_H2_IDS_KEPT))
		m->ended_at[id] = ++m->ends;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	struct cv_h2_ids ids = { .at = 0 };

	m = (struct model){ .ends = 0 };
	for (size_t i = 1; i + 1 < size; i += 2) {
		const struct cv_h2_frame f = {
			.type = data[i] & 15, .flags = data[i] >> 4, .stream = data[i + 1]
		};

		check(&m, &f, cv_h2_ids_note(&ids, &f, data[0] & 1), data[0] & 1);
	}
	return 0;
}
