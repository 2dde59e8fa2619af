/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_deflate.c - see ws_deflate.h
 *
 * The sender cuts the empty stored block 00 00 ff ff from a message's end (RFC 7692 7.2.1); it is
 * put back behind the last input.  Blocks marked final may come too (7.2.3.4): the stream is then
 * begun again for what follows.
 */
#include "wire/ws_deflate.h"

#include "base/assert.h"

#include <stdlib.h>
#include <zlib.h>

#define WINDOW_BITS (-15) /* raw deflate; the largest window opens what any smaller one made */

static const unsigned char tail[] = { 0x00, 0x00, 0xff, 0xff };

struct cv_ws_inflate {
	z_stream z;
	bool is_last; /* no input will follow */
	bool has_tail;
	enum cv_ws_rc rc; /* once refused */
	uint64_t in, out; /* bytes of the message */
	unsigned char bytes[CV_WS_INFLATE_IN_BYTES + sizeof(tail)];
};

struct cv_ws_inflate *cv_ws_inflate_new(void)
{
	struct cv_ws_inflate *i = calloc(1, sizeof(*i));

	if (i && inflateInit2(&i->z, WINDOW_BITS) != Z_OK) {
		free(i);
		return NULL;
	}
	return i;
}

void cv_ws_inflate_free(struct cv_ws_inflate *i)
{
	if (!i)
		return;
	inflateEnd(&i->z);
	free(i);
}

void cv_ws_inflate_put(struct cv_ws_inflate *i, struct cv_str bytes, bool is_last)
{
	cv_assert(!i->z.avail_in && !i->is_last && bytes.n <= CV_WS_INFLATE_IN_BYTES);
	if (bytes.n)
		memcpy(i->bytes, bytes.p, bytes.n);
	i->z.next_in = i->bytes;
	i->z.avail_in = (uInt)bytes.n;
	i->is_last = is_last;
	i->in += bytes.n;
}

/* How much the message may still become, as long as no more comes in. */
static uint64_t allowance(const struct cv_ws_inflate *i, enum cv_ws_rc *ret_rc)
{
	const uint64_t ratio =
		CV_MAX(i->in * CV_WS_INFLATE_RATIO_MAX, (uint64_t)CV_WS_INFLATE_FREE);
	const uint64_t max = CV_MIN(ratio, (uint64_t)CV_WS_INFLATE_BYTES_MAX);

	*ret_rc = ratio < CV_WS_INFLATE_BYTES_MAX ? CV_WS_RC_RATIO : CV_WS_RC_SIZE;
	return max - i->out;
}

/* One call of the library for the input at hand; false when that is no deflate. */
static bool inflate_some(struct cv_ws_inflate *i)
{
	const int rc = inflate(&i->z, Z_SYNC_FLUSH);

	if (rc == Z_STREAM_END) /* a final block */
		return inflateReset(&i->z) == Z_OK;
	return rc == Z_OK || rc == Z_BUF_ERROR;
}

static enum cv_ws_inflated refuse(struct cv_ws_inflate *i, enum cv_ws_rc rc, enum cv_ws_rc *ret_rc)
{
	i->rc = rc;
	*ret_rc = rc;
	return CV_WS_INFLATED_BAD;
}

enum cv_ws_inflated cv_ws_inflate_next(
	struct cv_ws_inflate *i, char *dst, size_t n, size_t *ret_n, enum cv_ws_rc *ret_rc)
{
	enum cv_ws_rc over;
	const uint64_t may = allowance(i, &over);
	char extra; /* room for the byte that would be too much, when no other is left */

	cv_assert(n > 0);
	if (i->rc != CV_WS_RC_OK)
		return refuse(i, i->rc, ret_rc);
	const size_t room = (size_t)CV_MIN((uint64_t)CV_MIN(n, (size_t)UINT32_MAX), may);
	i->z.next_out = (unsigned char *)(room ? dst : &extra);
	i->z.avail_out = room ? (uInt)room : 1;
	const uInt out_before = i->z.avail_out;
	for (;;) {
		const uInt in_before = i->z.avail_in, room_before = i->z.avail_out;

		if (!inflate_some(i))
			return refuse(i, CV_WS_RC_DEFLATE, ret_rc);
		if (i->z.avail_out == 0)
			break;
		if (i->z.avail_in && (i->z.avail_in < in_before || i->z.avail_out < room_before))
			continue; /* behind a final block */
		if (i->z.avail_in)
			return refuse(i, CV_WS_RC_DEFLATE, ret_rc); /* it makes no step */
		if (!i->is_last || i->has_tail)
			break;
		i->has_tail = true;
		memcpy(i->bytes, tail, sizeof(tail));
		i->z.next_in = i->bytes;
		i->z.avail_in = sizeof(tail);
	}
	const uInt made = out_before - i->z.avail_out;
	if (!room && made)
		return refuse(i, over, ret_rc);
	*ret_n = made;
	i->out += made;
	if (i->z.avail_out == 0 && room)
		return CV_WS_INFLATED_SOME; /* there may be more behind it */
	if (!i->is_last)
		return CV_WS_INFLATED_WANT;
	/* not behind the end of a block: the message was cut */
	if (!(i->z.data_type & 128))
		return refuse(i, CV_WS_RC_DEFLATE, ret_rc);
	return CV_WS_INFLATED_END;
}
