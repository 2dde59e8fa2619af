/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws.c - see ws.h
 *
 *     HEAD -all its bytes, all its rules-> DATA -last byte-> HEAD
 *                                       \-> CONTROL -last byte-> HEAD, or CLOSED
 *     any -refusal-> BAD, which stays
 *
 * The rules that two bytes can show are looked at as soon as these two are there: a peer that
 * breaks them is answered before it says how much it is going to send.
 */
#include "wire/ws.h"

#include "base/assert.h"
#include "base/utf8.h"

enum ws_state { WS_HEAD, WS_DATA, WS_CONTROL, WS_CLOSED, WS_BAD };

#define FIN                            0x80u
#define RSV1                           0x40u
#define RSV23                          0x30u
#define MASKED                         0x80u
#define LEN_16                         126u
#define LEN_64                         127u
#define CODE_MIN                       1000u

#define RC_ROW(name, code, slug, text) { code, slug, text },
static const struct cv_ws_rc_row rc_row[] = { CV_WS_RCS(RC_ROW) };

const struct cv_ws_rc_row *cv_ws_rc_row(enum cv_ws_rc rc)
{
	cv_assert(rc < CV_WS_RC_COUNT);
	return &rc_row[rc];
}

void cv_ws_init(struct cv_ws *w, const struct cv_ws_rules *rules)
{
	*w = (struct cv_ws){ .rules = *rules, .head_want = 2 };
}

bool cv_ws_is_closed(const struct cv_ws *w)
{
	return w->state == WS_CLOSED;
}

static enum cv_ws_event bad(struct cv_ws *w, enum cv_ws_rc rc)
{
	w->state = WS_BAD;
	w->rc = rc;
	return CV_WS_BAD;
}

/* ---- heads ---- */

static bool is_control(uint8_t opcode)
{
	return opcode & 8;
}

static enum cv_ws_rc control_look(uint8_t first, uint8_t length)
{
	if (!(first & FIN))
		return CV_WS_RC_CONTROL_CUT;
	return length > CV_WS_CONTROL_BYTES_MAX ? CV_WS_RC_CONTROL_LONG : CV_WS_RC_OK;
}

static enum cv_ws_rc data_look(const struct cv_ws *w, uint8_t opcode)
{
	if (opcode == CV_WS_CONTINUATION)
		return w->message ? CV_WS_RC_OK : CV_WS_RC_NO_MESSAGE;
	return w->message ? CV_WS_RC_IN_MESSAGE : CV_WS_RC_OK;
}

/* What the first two bytes show. */
static enum cv_ws_rc first_look(const struct cv_ws *w)
{
	const uint8_t opcode = w->head[0] & 0x0f, length = w->head[1] & 0x7f;
	const bool may_rsv1 =
		w->rules.may_compress && (opcode == CV_WS_TEXT || opcode == CV_WS_BINARY);

	if ((w->head[0] & RSV23) || ((w->head[0] & RSV1) && !may_rsv1))
		return CV_WS_RC_RESERVED;
	if ((opcode > CV_WS_BINARY && opcode < CV_WS_CLOSE) || opcode > CV_WS_PONG)
		return CV_WS_RC_OPCODE;
	if (w->rules.is_client && !(w->head[1] & MASKED))
		return CV_WS_RC_UNMASKED;
	if (!w->rules.is_client && (w->head[1] & MASKED))
		return CV_WS_RC_MASKED;
	return is_control(opcode) ? control_look(w->head[0], length) : data_look(w, opcode);
}

static uint8_t head_bytes_want(const struct cv_ws *w)
{
	const uint8_t length = w->head[1] & 0x7f;
	const unsigned more = length == LEN_16 ? 2 : length == LEN_64 ? 8 : 0;

	return (uint8_t)(2 + more + (w->rules.is_client ? 4 : 0));
}

/* False when it could have been written shorter, or has the top bit. */
static bool length_read(const struct cv_ws *w, uint64_t *ret)
{
	const uint8_t length = w->head[1] & 0x7f;
	const unsigned bytes = length == LEN_16 ? 2 : length == LEN_64 ? 8 : 0;
	uint64_t n = 0;

	if (!bytes) {
		*ret = length;
		return true;
	}
	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | w->head[2 + i];
	*ret = n;
	return bytes == 2 ? n >= LEN_16 : n > UINT16_MAX && n <= INT64_MAX;
}

static bool is_over(uint64_t n, uint64_t max)
{
	return max && n > max;
}

static enum cv_ws_event message_start(struct cv_ws *w, uint64_t n)
{
	if (w->opcode != CV_WS_CONTINUATION) {
		w->message = w->opcode;
		w->is_first =
			true; /* until a piece has come out: the first fragment may be empty */
		w->is_compressed = w->head[0] & RSV1;
		w->message_bytes = 0;
		w->fragments = 0;
	}
	if (w->rules.fragments_max && w->fragments >= w->rules.fragments_max)
		return bad(w, CV_WS_RC_FRAGMENTS);
	w->fragments++;
	if (w->message_bytes > UINT64_MAX - n)
		return bad(w, CV_WS_RC_SIZE);
	w->message_bytes += n;
	if (is_over(w->message == CV_WS_TEXT ? w->message_bytes : n,
		    w->message == CV_WS_TEXT ? w->rules.text_bytes_max : w->rules.binary_frame_max))
		return bad(w, CV_WS_RC_SIZE);
	w->state = WS_DATA;
	return CV_WS_MORE;
}

static enum cv_ws_event head_end(struct cv_ws *w)
{
	uint64_t n;

	w->opcode = w->head[0] & 0x0f;
	w->is_final = w->head[0] & FIN;
	if (!length_read(w, &n))
		return bad(w, CV_WS_RC_LENGTH);
	if (w->rules.is_client)
		memcpy(w->mask, w->head + w->head_want - 4, 4);
	w->left = n;
	w->at = 0;
	if (!is_control(w->opcode))
		return message_start(w, n);
	w->control_bytes = 0;
	w->state = WS_CONTROL;
	return CV_WS_MORE;
}

/* Takes bytes of a head; MORE with a state other than HEAD when it is whole. */
static enum cv_ws_event head_step(struct cv_ws *w, struct cv_str *in)
{
	while (w->head_bytes < w->head_want && in->n) {
		w->head[w->head_bytes++] = (uint8_t)*in->p;
		*in = cv_str_slice(*in, 1, in->n);
		if (w->head_bytes == 2) {
			const enum cv_ws_rc rc = first_look(w);

			if (rc != CV_WS_RC_OK)
				return bad(w, rc);
			w->head_want = head_bytes_want(w);
		}
	}
	return w->head_bytes < w->head_want ? CV_WS_MORE : head_end(w);
}

static void head_again(struct cv_ws *w)
{
	w->state = WS_HEAD;
	w->head_bytes = 0;
	w->head_want = 2;
}

/* ---- payloads ---- */

/* Moves at most n bytes of the frame from *in to dst, unmasked. */
static size_t payload_take(struct cv_ws *w, struct cv_str *in, char *dst, size_t n)
{
	n = (size_t)CV_MIN(w->left, (uint64_t)CV_MIN(n, in->n));
	if (!n)
		return 0;
	memcpy(dst, in->p, n);
	if (w->rules.is_client)
		cv_ws_mask(dst, n, w->mask, w->at);
	*in = cv_str_slice(*in, n, in->n);
	w->left -= n;
	w->at += n;
	return n;
}

static enum cv_ws_event data_step(
	struct cv_ws *w, struct cv_str *in, char *room, size_t n, struct cv_ws_piece *ret)
{
	if (w->left && (!in->n || (in->n < w->left && in->n < w->rules.piece_bytes_min)))
		return CV_WS_MORE;
	n = payload_take(w, in, room, n);
	const bool is_frame_end = w->left == 0;
	*ret = (struct cv_ws_piece){
		.opcode = (enum cv_ws_opcode)w->message,
		.is_first = w->is_first,
		.is_last = is_frame_end && w->is_final,
		.is_compressed = w->is_compressed,
		.data = { room, n },
	};
	if (is_frame_end)
		head_again(w);
	if (!n && !ret->is_last)
		return CV_WS_MORE; /* an empty fragment says nothing */
	w->is_first = false;
	if (ret->is_last)
		w->message = 0;
	return CV_WS_DATA;
}

static enum cv_ws_event control_step(struct cv_ws *w, struct cv_str *in, struct cv_ws_piece *ret)
{
	struct cv_str text;
	uint16_t code;

	w->control_bytes += (uint8_t)payload_take(
		w, in, w->control + w->control_bytes, sizeof(w->control) - w->control_bytes);
	if (w->left)
		return CV_WS_MORE;
	*ret = (struct cv_ws_piece){
		.opcode = (enum cv_ws_opcode)w->opcode,
		.is_first = true,
		.is_last = true,
		.data = { w->control, w->control_bytes },
	};
	head_again(w);
	if (w->opcode == CV_WS_CLOSE) {
		const enum cv_ws_rc rc = cv_ws_close_read(ret->data, &code, &text);

		if (rc != CV_WS_RC_OK)
			return bad(w, rc);
		w->state = WS_CLOSED;
	}
	return CV_WS_FRAME;
}

enum cv_ws_event cv_ws_next(
	struct cv_ws *w, struct cv_str *in, char *room, size_t n, struct cv_ws_piece *ret)
{
	cv_assert(n > 0);
	for (;;) {
		enum cv_ws_event ev = CV_WS_MORE;
		const enum ws_state before = (enum ws_state)w->state;

		switch (before) {
		case WS_HEAD: ev = head_step(w, in); break;
		case WS_DATA: ev = data_step(w, in, room, n, ret); break;
		case WS_CONTROL: ev = control_step(w, in, ret); break;
		case WS_CLOSED: *in = cv_str_slice(*in, in->n, in->n); return CV_WS_MORE;
		case WS_BAD: return CV_WS_BAD;
		}
		if (ev != CV_WS_MORE || w->state == before)
			return ev;
	}
}

/* ---- writing ---- */

size_t cv_ws_head_write(char dst[static CV_WS_HEAD_BYTES_MAX], enum cv_ws_opcode opcode,
	bool is_final, uint64_t n, const uint8_t mask[4])
{
	const unsigned bytes = n < LEN_16 ? 0 : n <= UINT16_MAX ? 2 : 8;
	const unsigned length = bytes == 0 ? (unsigned)n : bytes == 2 ? LEN_16 : LEN_64;
	size_t at = 0;

	dst[at++] = (char)((is_final ? FIN : 0) | opcode);
	dst[at++] = (char)((mask ? MASKED : 0) | length);
	for (unsigned i = bytes; i > 0; i--)
		dst[at++] = (char)(n >> (8 * (i - 1)));
	if (mask) {
		memcpy(dst + at, mask, 4);
		at += 4;
	}
	return at;
}

void cv_ws_mask(char *p, size_t n, const uint8_t mask[4], uint64_t at)
{
	uint8_t turned[8];
	uint64_t word, bytes;
	size_t i = 0;

	for (unsigned k = 0; k < 8; k++)
		turned[k] = mask[(at + k) & 3];
	memcpy(&word, turned, sizeof(word));
	for (; i + 8 <= n; i += 8) {
		memcpy(&bytes, p + i, sizeof(bytes));
		bytes ^= word;
		memcpy(p + i, &bytes, sizeof(bytes));
	}
	for (; i < n; i++)
		p[i] = (char)(p[i] ^ turned[i & 7]);
}

/* ---- close frames ---- */

bool cv_ws_code_is_valid(uint16_t code)
{
	/* 1004 is reserved; 1005, 1006 and 1015 are said of a connection, never on it */
	return (code >= CODE_MIN && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

enum cv_ws_rc cv_ws_close_read(struct cv_str payload, uint16_t *ret_code, struct cv_str *ret_text)
{
	*ret_code = 1005;
	*ret_text = CV_STR_NONE;
	if (!payload.n)
		return CV_WS_RC_OK;
	if (payload.n < 2)
		return CV_WS_RC_CLOSE_CODE;
	const uint16_t code = (uint16_t)((uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1]);
	if (!cv_ws_code_is_valid(code))
		return CV_WS_RC_CLOSE_CODE;
	const struct cv_str text = cv_str_slice(payload, 2, payload.n);
	if (!cv_utf8_is_valid(text))
		return CV_WS_RC_CLOSE_TEXT;
	*ret_code = code;
	*ret_text = text;
	return CV_WS_RC_OK;
}

size_t cv_ws_close_write(
	char dst[static CV_WS_CONTROL_BYTES_MAX], uint16_t code, struct cv_str text)
{
	size_t n = 0, step;

	while (n < text.n && (step = cv_utf8_step(cv_str_slice(text, n, text.n))) > 0 &&
		n + step <= CV_WS_CONTROL_BYTES_MAX - 2)
		n += step;
	dst[0] = (char)(code >> 8);
	dst[1] = (char)code;
	if (n)
		memcpy(dst + 2, text.p, n);
	return n + 2;
}
