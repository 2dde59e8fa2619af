/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_kept.c - a ring of output as a supervisor that strangers took over might leave it
 *
 * Input: five numbers of eight bytes (first, next, bytes, the reader's place and offset), then what
 * lies in the ring from `first` on.
 * Properties: reading ends; what is read lies in order, each piece where the one before ended.
 */
#include "fuzz/fuzz.h"

#include "ipc/kept.c"

#include <stdlib.h>

#define NUMBERS 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char image[CV_KEPT_BYTES] __attribute__((aligned(16)));
	static char buf[CV_KEPT_PIECE_MAX];
	const struct cv_kept k = { (struct cv_kept_head *)(void *)image };
	struct cv_kept_piece p;
	uint64_t v[NUMBERS];
	enum cv_kept_rc rc;
	size_t turns = 0;

	if (size < sizeof(v))
		return 0;
	memcpy(v, data, sizeof(v));
	const size_t n = CV_MIN(size - sizeof(v), (size_t)CV_KEPT_RING_BYTES);
	atomic_store(&k.head->first, v[0]);
	atomic_store(&k.head->next, v[1]);
	atomic_store(&k.head->bytes, v[2]);
	ring_write(&k, v[0], (struct cv_str){ (const char *)data + sizeof(v), n });
	struct cv_kept_reader r = { .place = v[3], .offset = v[4] };
	(void)cv_kept_first(&k);
	while ((rc = cv_kept_read(&k, &r, buf, sizeof(buf), &p)) == CV_KEPT_DATA ||
		rc == CV_KEPT_GAP) {
		cv_assert(p.n && p.offset + p.n == r.offset);
		cv_assert(rc == CV_KEPT_GAP || p.n <= sizeof(buf));
		cv_assert(++turns <= 4 * (CV_KEPT_RING_BYTES / PIECE_ALIGN));
	}
	return 0;
}
