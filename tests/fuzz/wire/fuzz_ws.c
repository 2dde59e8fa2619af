/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ws.c - hostile frames; the first byte says whose they are and in which steps they arrive
 *
 * Properties: the cut of the bytes changes neither what comes out nor the end; messages begin and
 * end in order; what came out, framed anew, comes out the same.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/buf.h"
#include "wire/ws.h"

#define BYTES_MAX (8u << 20)

/* Everything that came out, as frames of our own for the same direction; each message in one. */
static enum cv_ws_rc feed(struct cv_str s, const struct cv_ws_rules *rules, size_t step,
	size_t room_n, struct cv_buf *out)
{
	static const uint8_t mask[4] = { 0, 0, 0, 0 };
	static char room[512];
	char head[CV_WS_HEAD_BYTES_MAX];
	struct cv_buf message;
	struct cv_ws_piece piece;
	struct cv_ws w;
	size_t taken = 0;
	bool is_open = false;

	cv_buf_init(&message, BYTES_MAX);
	cv_ws_init(&w, rules);
	for (size_t n = CV_MIN(step, s.n);; n = CV_MIN(n + step, s.n)) {
		struct cv_str in = cv_str_slice(s, taken, n);
		enum cv_ws_event ev;

		while ((ev = cv_ws_next(&w, &in, room, room_n, &piece)) == CV_WS_DATA ||
			ev == CV_WS_FRAME) {
			struct cv_buf *to = ev == CV_WS_DATA ? &message : NULL;

			cv_assert(piece.data.n <= (ev == CV_WS_DATA ? room_n : 125));
			if (to) {
				cv_assert(piece.is_first == !is_open);
				is_open = !piece.is_last;
				cv_buf_put(to, piece.data);
				if (!piece.is_last)
					continue;
			}
			const struct cv_str whole = to ? cv_buf_str(to) : piece.data;
			const size_t head_n = cv_ws_head_write(
				head, piece.opcode, true, whole.n, rules->is_client ? mask : NULL);
			if (to && piece.is_compressed)
				head[0] = (char)(head[0] | 0x40);
			cv_buf_put(out, (struct cv_str){ head, head_n });
			cv_buf_put(out, whole);
			cv_buf_reset(&message);
		}
		taken = n - in.n;
		if (ev == CV_WS_BAD || n == s.n)
			break;
		cv_assert(in.n < CV_MAX(rules->piece_bytes_min, (size_t)1));
	}
	cv_buf_fini(&message);
	return w.rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_buf whole, steps, again;

	if (size == 0)
		return 0;
	const struct cv_str s = { (const char *)data + 1, size - 1 };
	const size_t step = (data[0] >> 2 & 15u) + 1u;
	const struct cv_ws_rules rules = {
		.is_client = data[0] & 1,
		.may_compress = data[0] & 2,
		.text_bytes_max = data[0] & 64 ? 300 : 0,
		.binary_frame_max = data[0] & 64 ? 200 : 0,
		.fragments_max = data[0] & 64 ? 5 : 0,
		.piece_bytes_min = data[0] & 128 ? 16 : 0,
	};
	const struct cv_ws_rules free = { .is_client = rules.is_client, .may_compress = true };

	cv_buf_init(&whole, BYTES_MAX);
	cv_buf_init(&steps, BYTES_MAX);
	cv_buf_init(&again, BYTES_MAX);
	const enum cv_ws_rc rc = feed(s, &rules, s.n + 1, 512, &whole);
	cv_assert(feed(s, &rules, step, step + 2, &steps) == rc);
	cv_assert(cv_str_eq(cv_buf_str(&whole), cv_buf_str(&steps)));
	cv_assert(feed(cv_buf_str(&whole), &free, 100, 77, &again) == CV_WS_RC_OK);
	cv_assert(cv_str_eq(cv_buf_str(&whole), cv_buf_str(&again)));
	cv_buf_fini(&whole);
	cv_buf_fini(&steps);
	cv_buf_fini(&again);
	return 0;
}
