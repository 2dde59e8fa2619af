/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.c - chunked bodies; see chunk.h
 *
 *     SIZE -hex-> SIZE -CR-> SIZE_LF -LF-> DATA -...-> DATA_CR -> DATA_LF -> SIZE
 *                                     \-0-> TRAILER -> DONE
 *     any -refusal-> BAD, which stays
 *
 * Everything but the trailer section is taken byte by byte or as a slice, so nothing has to be kept
 * in front of a chunk.
 */
#include "wire/chunk.h"

#include "base/assert.h"
#include "base/hex.h"
#include "wire/h1_int.h"

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,
	CHUNK_DONE,
	CHUNK_BAD,
};

#define RC_ROW(name, slug, text) { slug, text },
static const struct cv_chunk_rc_row rc_row[] = { CV_CHUNK_RCS(RC_ROW) };

/* What may never come after a body: framing, routing, credentials, anything that a recipient reads
 * before the body (RFC 9110 6.5.1). */
#define TRAILER_REFUSED \
	(CV_H1_NO_TRAILER | CV_H1_HOP | CV_H1_FRAMING | CV_H1_OVERRIDE | CV_H1_REPLY_DROP)

const struct cv_chunk_rc_row *cv_chunk_rc_row(enum cv_chunk_rc rc)
{
	return &rc_row[rc < CV_CHUNK_RC_COUNT ? rc : CV_CHUNK_RC_SIZE];
}

void cv_chunk_init(struct cv_chunk *c)
{
	*c = (struct cv_chunk){ .state = CHUNK_SIZE };
}

static enum cv_chunk_event bad(struct cv_chunk *c, enum cv_chunk_rc rc)
{
	c->state = CHUNK_BAD;
	c->rc = rc;
	return CV_CHUNK_BAD;
}

/* Each step takes one byte, and says MORE when it agrees with it. */
static enum cv_chunk_event size_step(struct cv_chunk *c, char byte)
{
	const int value = cv_hex_digit(byte);

	if (value >= 0) {
		if (c->digits == CV_CHUNK_DIGITS_MAX)
			return bad(c, CV_CHUNK_RC_SIZE_LONG);
		c->digits++;
		c->left = c->left << 4 | (uint64_t)value;
		return CV_CHUNK_MORE;
	}
	if (c->digits == 0)
		return bad(c, CV_CHUNK_RC_SIZE);
	if (byte == ';')
		return bad(c, CV_CHUNK_RC_EXTENSION);
	if (byte == '\n')
		return bad(c, CV_CHUNK_RC_LINE_END);
	if (byte != '\r')
		return bad(c, CV_CHUNK_RC_SIZE);
	c->state = CHUNK_SIZE_LF;
	return CV_CHUNK_MORE;
}

static enum cv_chunk_event line_end_step(
	struct cv_chunk *c, char byte, char want, enum chunk_state next)
{
	if (byte != want)
		return bad(c, CV_CHUNK_RC_LINE_END);
	c->state = (uint8_t)next;
	return CV_CHUNK_MORE;
}

static enum cv_chunk_event data_take(struct cv_chunk *c, struct cv_str *in, struct cv_str *ret_data)
{
	const size_t n = c->left < in->n ? (size_t)c->left : in->n;

	*ret_data = cv_str_slice(*in, 0, n);
	*in = cv_str_slice(*in, n, in->n);
	c->left -= n;
	c->total += n;
	if (c->left == 0)
		c->state = CHUNK_DATA_CR;
	return CV_CHUNK_DATA;
}

static enum cv_chunk_event trailer_take(struct cv_chunk *c, struct cv_str *in)
{
	const struct cv_str seen = cv_str_slice(*in, 0, CV_CHUNK_TRAILER_BYTES_MAX);
	size_t count = 0, bytes = 0;
	const enum cv_h1_rc rc =
		cv_h1_fields_parse(seen, c->trailer, CV_CHUNK_TRAILERS_MAX, &count, &bytes);

	if (rc == CV_H1_MORE)
		return in->n < CV_CHUNK_TRAILER_BYTES_MAX ? CV_CHUNK_MORE
							  : bad(c, CV_CHUNK_RC_TRAILER_LONG);
	if (rc == CV_H1_UNDERSCORE)
		return bad(c, CV_CHUNK_RC_TRAILER_NAME);
	if (rc != CV_H1_OK)
		return bad(c,
			rc == CV_H1_HEADERS_MANY ? CV_CHUNK_RC_TRAILER_LONG : CV_CHUNK_RC_TRAILER);
	for (size_t i = 0; i < count; i++)
		if (c->trailer[i].flags & TRAILER_REFUSED)
			return bad(c, CV_CHUNK_RC_TRAILER_NAME);
	*in = cv_str_slice(*in, bytes, in->n);
	c->trailer_count = (uint8_t)count;
	c->state = CHUNK_DONE;
	return CV_CHUNK_DONE;
}

static enum cv_chunk_event byte_step(struct cv_chunk *c, char byte)
{
	const bool is_last = c->left == 0;

	switch ((enum chunk_state)c->state) {
	case CHUNK_SIZE: return size_step(c, byte);
	case CHUNK_SIZE_LF:
		return line_end_step(c, byte, '\n', is_last ? CHUNK_TRAILER : CHUNK_DATA);
	case CHUNK_DATA_CR: return line_end_step(c, byte, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF: c->digits = 0; return line_end_step(c, byte, '\n', CHUNK_SIZE);
	case CHUNK_DATA:
	case CHUNK_TRAILER:
	case CHUNK_DONE:
	case CHUNK_BAD: break;
	}
	cv_unreachable();
}

enum cv_chunk_event cv_chunk_next(struct cv_chunk *c, struct cv_str *in, struct cv_str *ret_data)
{
	for (;;) {
		if (c->state == CHUNK_BAD)
			return CV_CHUNK_BAD;
		if (c->state == CHUNK_DONE)
			return CV_CHUNK_DONE;
		if (in->n == 0)
			return CV_CHUNK_MORE;
		if (c->state == CHUNK_DATA)
			return data_take(c, in, ret_data);
		if (c->state == CHUNK_TRAILER)
			return trailer_take(c, in);
		if (byte_step(c, in->p[0]) == CV_CHUNK_BAD)
			return CV_CHUNK_BAD;
		*in = cv_str_slice(*in, 1, in->n);
	}
}

bool cv_chunk_is_starved(const struct cv_chunk *c, struct cv_str in)
{
	size_t scanned = 0, end;

	if (in.n == 0)
		return true;
	return c->state == CHUNK_TRAILER && in.n < CV_CHUNK_TRAILER_BYTES_MAX &&
	       cv_h1_head_end(in, SIZE_MAX, &scanned, &end) == CV_H1_MORE;
}

size_t cv_chunk_line(uint64_t n, char dst[static CV_CHUNK_LINE_BYTES_MAX])
{
	static const char hex[] = "0123456789abcdef";
	size_t digits = 1;

	cv_assert(n > 0 && n >> (4 * CV_CHUNK_DIGITS_MAX) == 0);
	while (n >> (4 * digits))
		digits++;
	for (size_t i = 0; i < digits; i++)
		dst[i] = hex[n >> (4 * (digits - 1 - i)) & 15];
	dst[digits] = '\r';
	dst[digits + 1] = '\n';
	return digits + 2;
}

bool cv_chunk_write(struct cv_buf *b, struct cv_str data)
{
	char line[CV_CHUNK_LINE_BYTES_MAX];

	if (data.n == 0) /* a chunk of size 0 would end the body */
		return !b->is_overflown;
	cv_buf_put(b, (struct cv_str){ line, cv_chunk_line(data.n, line) });
	cv_buf_put(b, data);
	return cv_buf_put(b, CV_CHUNK_DATA_END);
}

bool cv_chunk_write_end(struct cv_buf *b, const struct cv_h1_header *trailers, size_t count)
{
	cv_buf_put(b, CV_STR("0\r\n"));
	for (size_t i = 0; i < count; i++) {
		const struct cv_h1_header *t = &trailers[i];

		if ((t->flags & TRAILER_REFUSED) || !cv_h1_is_token(t->name) ||
			!cv_h1_is_field_value(t->value))
			continue;
		cv_buf_put(b, t->name);
		cv_buf_put(b, CV_STR(": "));
		cv_buf_put(b, t->value);
		cv_buf_put(b, CV_STR("\r\n"));
	}
	return cv_buf_put(b, CV_STR("\r\n"));
}
