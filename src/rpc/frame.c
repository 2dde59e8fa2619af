/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - see frame.h
 */
#include "rpc/frame.h"

enum { FLAG_PLAIN, FLAG_COMPRESSED };

void cv_rpc_frame_reader_init(struct cv_rpc_frame_reader *r, uint32_t bytes_max)
{
	*r = (struct cv_rpc_frame_reader){ .bytes_max = bytes_max };
	cv_buf_init(&r->body, bytes_max);
}

void cv_rpc_frame_reader_fini(struct cv_rpc_frame_reader *r)
{
	cv_buf_fini(&r->body);
}

static bool has_head(const struct cv_rpc_frame_reader *r)
{
	return r->head_n == CV_RPC_FRAME_HEAD_BYTES;
}

static uint32_t announced(const uint8_t *head)
{
	return (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
}

/* Judges a head that is whole; MESSAGE: it is fine.  A head that is not stays, and with it the
 * verdict. */
static enum cv_rpc_frame_event head_judge(struct cv_rpc_frame_reader *r)
{
	r->announced = announced(r->head);
	if (r->head[0] > FLAG_COMPRESSED)
		return CV_RPC_FRAME_BAD;
	if (r->head[0] == FLAG_COMPRESSED)
		return CV_RPC_FRAME_COMPRESSED;
	return r->announced > r->bytes_max ? CV_RPC_FRAME_LARGE : CV_RPC_FRAME_MESSAGE;
}

static void head_read(struct cv_rpc_frame_reader *r, struct cv_str *in)
{
	const size_t n = CV_MIN(in->n, (size_t)(CV_RPC_FRAME_HEAD_BYTES - r->head_n));

	if (n)
		memcpy(r->head + r->head_n, in->p, n);
	r->head_n += (uint8_t)n;
	*in = cv_str_slice(*in, n, in->n);
}

enum cv_rpc_frame_event cv_rpc_frame_next(
	struct cv_rpc_frame_reader *r, struct cv_str *in, struct cv_str *ret_message)
{
	if (r->is_given) {
		r->is_given = false;
		explicit_bzero(r->body.data, r->body.end); /* a credential, perhaps */
		cv_buf_reset(&r->body);
	}
	head_read(r, in);
	if (!has_head(r))
		return CV_RPC_FRAME_MORE;
	const enum cv_rpc_frame_event verdict = head_judge(r);
	if (verdict != CV_RPC_FRAME_MESSAGE)
		return verdict;
	const size_t held = cv_buf_len(&r->body), missing = r->announced - held;
	const struct cv_str piece = cv_str_slice(*in, 0, missing);
	if (held == 0 && piece.n == missing) {
		*ret_message = piece;
	} else {
		if (piece.n && !cv_buf_put(&r->body, piece))
			return CV_RPC_FRAME_NO_MEMORY;
		*ret_message = cv_buf_str(&r->body);
		r->is_given = piece.n == missing;
	}
	*in = cv_str_slice(*in, piece.n, in->n);
	if (piece.n < missing)
		return CV_RPC_FRAME_MORE;
	r->head_n = 0;
	return CV_RPC_FRAME_MESSAGE;
}

bool cv_rpc_frame_reader_is_whole(const struct cv_rpc_frame_reader *r)
{
	return r->head_n == 0;
}

void cv_rpc_frame_head_write(uint32_t message_bytes, uint8_t ret_head[CV_RPC_FRAME_HEAD_BYTES])
{
	ret_head[0] = FLAG_PLAIN;
	ret_head[1] = (uint8_t)(message_bytes >> 24);
	ret_head[2] = (uint8_t)(message_bytes >> 16);
	ret_head[3] = (uint8_t)(message_bytes >> 8);
	ret_head[4] = (uint8_t)message_bytes;
}

bool cv_rpc_frame_write(struct cv_buf *b, const ProtobufCMessage *m)
{
	const size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *to =
		n > UINT32_MAX ? NULL : (uint8_t *)cv_buf_reserve(b, CV_RPC_FRAME_HEAD_BYTES + n);

	if (!to) {
		b->is_overflown = true;
		return false;
	}
	cv_rpc_frame_head_write((uint32_t)n, to);
	protobuf_c_message_pack(m, to + CV_RPC_FRAME_HEAD_BYTES);
	cv_buf_commit(b, CV_RPC_FRAME_HEAD_BYTES + n);
	return true;
}
