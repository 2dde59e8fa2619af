/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.c - content codings by zlib, brotli and zstd; see decode.h
 *
 * A stage is one library's stream behind one function, turn(): it takes input, gives output, and
 * says where it stands.  Two stages are joined by a small buffer.  All memory of the libraries comes
 * through count_alloc(), which keeps the sum below the limit and wipes what is freed.
 *
 * State of a stage: FRESH before the first byte, INSIDE, and ENDED when the coding said so.  Behind
 * the end of a gzip member or a zstd frame another one may begin; behind the others nothing may.
 */
#define ZSTD_STATIC_LINKING_ONLY /* for the allocator; there since zstd 1.0 */
#include "cred/decode.h"

#include "base/assert.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define CODE_ROW(name, slug, text) [CV_DECODE_##name] = { slug, text },
static const struct cv_decode_rc_row rc_row[] = { CV_DECODE_RCS(CODE_ROW) };

const struct cv_decode_rc_row *cv_decode_rc_row(enum cv_decode_rc rc)
{
	cv_assert(rc < CV_DECODE_RC_COUNT);
	return &rc_row[rc];
}

/* ---- names ---- */

static const struct cv_str coding_name[] = {
	[CV_CODING_IDENTITY] = { "identity", 8 },
	[CV_CODING_GZIP] = { "gzip", 4 },
	[CV_CODING_DEFLATE] = { "deflate", 7 },
	[CV_CODING_BR] = { "br", 2 },
	[CV_CODING_ZSTD] = { "zstd", 4 },
};

struct cv_str cv_coding_name(enum cv_coding c)
{
	return coding_name[c];
}

static bool coding_find(struct cv_str name, enum cv_coding *ret)
{
	if (cv_str_eq_nocase(name, CV_STR("x-gzip")))
		name = coding_name[CV_CODING_GZIP];
	for (int c = 0; c < CV_CODING_COUNT; c++)
		if (cv_str_eq_nocase(name, coding_name[c])) {
			*ret = (enum cv_coding)c;
			return true;
		}
	return false;
}

enum cv_decode_rc cv_codings_parse(
	struct cv_str value, enum cv_coding ret[CV_DECODE_CODINGS_MAX], size_t *ret_count)
{
	enum cv_coding found[CV_DECODE_CODINGS_MAX];
	size_t count = 0;

	while (value.p) {
		const struct cv_str name = cv_str_trim(cv_str_cut(&value, ','));
		enum cv_coding c;

		if (!name.n) /* empty elements are allowed: RFC 9110 5.6.1 */
			continue;
		if (!coding_find(name, &c))
			return CV_DECODE_UNKNOWN;
		if (c == CV_CODING_IDENTITY)
			continue;
		if (count == CV_DECODE_CODINGS_MAX)
			return CV_DECODE_DEEP;
		found[count++] = c;
	}
	memcpy(ret, found, count * sizeof(found[0]));
	*ret_count = count;
	return CV_DECODE_OK;
}

/* ---- memory ---- */

struct memory {
	size_t used, peak;
	bool is_short; /* a request was refused */
};

/* In front of each block; keeps the alignment of malloc. */
union block {
	size_t bytes;
	max_align_t align;
};

static void *count_alloc(void *arg, size_t n)
{
	struct memory *m = arg;

	if (n > CV_DECODE_MEMORY_MAX || m->used + n > CV_DECODE_MEMORY_MAX) {
		m->is_short = true;
		return NULL;
	}
	union block *b = malloc(sizeof(*b) + n);

	if (!b) {
		m->is_short = true;
		return NULL;
	}
	b->bytes = n;
	m->used += n;
	m->peak = CV_MAX(m->peak, m->used);
	return b + 1;
}

static void count_free(void *arg, void *p)
{
	struct memory *m = arg;
	union block *b = p;

	if (!b)
		return;
	b--;
	m->used -= b->bytes;
	explicit_bzero(b + 1, b->bytes);
	free(b);
}

static void *zlib_alloc(void *arg, unsigned count, unsigned bytes)
{
	return count_alloc(arg, (size_t)count * bytes);
}

/* ---- one stage ---- */

enum stage_state { STAGE_FRESH, STAGE_INSIDE, STAGE_ENDED };

struct stage {
	enum cv_coding coding;
	enum stage_state state;
	bool may_have_output; /* the last turn filled the room */
	uint64_t in_bytes, out_bytes;
	bool is_zlib_open; /* deflate: after the first byte says which format */
	struct memory *memory;
	z_stream zlib;
	BrotliDecoderState *brotli;
	ZSTD_DCtx *zstd;
};

struct room {
	char *p;
	size_t n;
};

typedef enum cv_decode_rc turn_fn(struct stage *s, struct cv_str *in, struct room *out);

static enum cv_decode_rc failed(const struct stage *s)
{
	return s->memory->is_short ? CV_DECODE_MEMORY : CV_DECODE_CORRUPT;
}

static bool zlib_open(struct stage *s, int window_bits)
{
	s->zlib.zalloc = zlib_alloc;
	s->zlib.zfree = count_free;
	s->zlib.opaque = s->memory;
	s->is_zlib_open = inflateInit2(&s->zlib, window_bits) == Z_OK;
	return s->is_zlib_open;
}

static enum cv_decode_rc zlib_turn(struct stage *s, struct cv_str *in, struct room *out)
{
	/* zlib's input is not const by name only. */
	s->zlib.next_in = (Bytef *)(uintptr_t)in->p;
	s->zlib.avail_in = (uInt)in->n;
	s->zlib.next_out = (Bytef *)out->p;
	s->zlib.avail_out = (uInt)out->n;
	const int rc = inflate(&s->zlib, Z_NO_FLUSH);

	*in = cv_str_slice(*in, in->n - s->zlib.avail_in, in->n);
	*out = (struct room){ (char *)s->zlib.next_out, s->zlib.avail_out };
	if (rc == Z_STREAM_END)
		s->state = STAGE_ENDED;
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? CV_DECODE_OK : failed(s);
}

static enum cv_decode_rc gzip_turn(struct stage *s, struct cv_str *in, struct room *out)
{
	if (!s->is_zlib_open && !zlib_open(s, MAX_WBITS + 16))
		return failed(s);
	if (s->state == STAGE_ENDED) { /* another member, or nothing: RFC 1952 2.2 */
		if ((uint8_t)in->p[0] != 0x1f)
			return CV_DECODE_TRAILING;
		if (inflateReset(&s->zlib) != Z_OK)
			return failed(s);
	}
	s->state = STAGE_INSIDE;
	return zlib_turn(s, in, out);
}

/* "deflate" is zlib's format (RFC 9110 8.4.1.2); some servers send it raw.  The first byte tells: in
 * zlib's its low half is 8 and its high half below 8 (RFC 1950 2.2); raw, a low half of 8 would be a
 * stored block with padding that no encoder sets (RFC 1951 3.2.4). */
static enum cv_decode_rc deflate_turn(struct stage *s, struct cv_str *in, struct room *out)
{
	if (s->state == STAGE_ENDED)
		return CV_DECODE_TRAILING;
	if (!s->is_zlib_open) {
		const uint8_t first = (uint8_t)in->p[0];
		const bool is_zlib = (first & 15) == 8 && first >> 4 < 8;

		if (!zlib_open(s, is_zlib ? MAX_WBITS : -MAX_WBITS))
			return failed(s);
	}
	s->state = STAGE_INSIDE;
	return zlib_turn(s, in, out);
}

static enum cv_decode_rc brotli_turn(struct stage *s, struct cv_str *in, struct room *out)
{
	if (s->state == STAGE_ENDED)
		return CV_DECODE_TRAILING;
	if (!s->brotli) {
		s->brotli = BrotliDecoderCreateInstance(count_alloc, count_free, s->memory);
		if (!s->brotli ||
			!BrotliDecoderSetParameter(s->brotli, BROTLI_DECODER_PARAM_LARGE_WINDOW, 0))
			return failed(s);
	}
	s->state = STAGE_INSIDE;
	const uint8_t *next_in = (const uint8_t *)in->p;
	uint8_t *next_out = (uint8_t *)out->p;
	size_t in_n = in->n, out_n = out->n;
	const BrotliDecoderResult rc =
		BrotliDecoderDecompressStream(s->brotli, &in_n, &next_in, &out_n, &next_out, NULL);

	*in = (struct cv_str){ (const char *)next_in, in_n };
	*out = (struct room){ (char *)next_out, out_n };
	if (rc == BROTLI_DECODER_RESULT_SUCCESS)
		s->state = STAGE_ENDED;
	return rc == BROTLI_DECODER_RESULT_ERROR ? failed(s) : CV_DECODE_OK;
}

static enum cv_decode_rc zstd_turn(struct stage *s, struct cv_str *in, struct room *out)
{
	if (!s->zstd) {
		s->zstd = ZSTD_createDCtx_advanced(
			(ZSTD_customMem){ count_alloc, count_free, s->memory });
		if (!s->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(
					s->zstd, ZSTD_d_windowLogMax, CV_DECODE_ZSTD_WINDOW_LOG)))
			return failed(s);
	}
	ZSTD_inBuffer i = { in->p, in->n, 0 };
	ZSTD_outBuffer o = { out->p, out->n, 0 };
	const bool is_next = s->state == STAGE_ENDED;
	const size_t rc = ZSTD_decompressStream(s->zstd, &o, &i);

	*in = cv_str_slice(*in, i.pos, in->n);
	*out = (struct room){ out->p + o.pos, out->n - o.pos };
	if (!ZSTD_isError(rc)) {
		s->state = rc == 0 ? STAGE_ENDED : STAGE_INSIDE;
		return CV_DECODE_OK;
	}
	const ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);

	if (code == ZSTD_error_frameParameter_windowTooLarge ||
		code == ZSTD_error_memory_allocation)
		return CV_DECODE_MEMORY;
	return is_next && code == ZSTD_error_prefix_unknown ? CV_DECODE_TRAILING : failed(s);
}

static turn_fn *const turn_of[] = {
	[CV_CODING_GZIP] = gzip_turn,
	[CV_CODING_DEFLATE] = deflate_turn,
	[CV_CODING_BR] = brotli_turn,
	[CV_CODING_ZSTD] = zstd_turn,
};

static void stage_fini(struct stage *s)
{
	if (s->is_zlib_open)
		inflateEnd(&s->zlib);
	if (s->brotli)
		BrotliDecoderDestroyInstance(s->brotli);
	ZSTD_freeDCtx(s->zstd);
}

static bool is_out_of_proportion(uint64_t in_bytes, uint64_t out_bytes)
{
	return out_bytes > CV_DECODE_FREE_BYTES &&
	       (out_bytes - CV_DECODE_FREE_BYTES) / CV_DECODE_RATIO_MAX > in_bytes;
}

/* Runs a stage until its input is used up or the room is full.  Each stage keeps the ratio by
 * itself: what the first gives may be large and become nothing in the second. */
static enum cv_decode_rc stage_run(struct stage *s, struct cv_str *in, struct room *out)
{
	while (out->n && (in->n || s->may_have_output)) {
		const size_t in_n = in->n, out_n = out->n;

		if (!in->n && s->state == STAGE_ENDED)
			break;
		const enum cv_decode_rc rc = turn_of[s->coding](s, in, out);

		s->in_bytes += in_n - in->n;
		s->out_bytes += out_n - out->n;
		if (rc)
			return rc;
		if (is_out_of_proportion(s->in_bytes, s->out_bytes))
			return CV_DECODE_RATIO;
		s->may_have_output = out->n == 0;
		if (in->n == in_n && out->n == out_n)
			break; /* waits for more input */
	}
	return CV_DECODE_OK;
}

/* ---- the decoder ---- */

struct cv_decode {
	size_t count;
	struct stage stage[CV_DECODE_CODINGS_MAX]; /* in the order of decoding */
	struct memory memory;
	uint64_t in_bytes, out_bytes;
	struct cv_str waiting; /* of between: given by stage 0, not yet taken by stage 1 */
	char between[CV_DECODE_BETWEEN_BYTES];
};

enum cv_decode_rc cv_decode_new(const enum cv_coding *codings, size_t count, struct cv_decode **ret)
{
	cv_assert(count <= CV_DECODE_CODINGS_MAX);
	struct cv_decode *d = calloc(1, sizeof(*d));

	if (!d)
		return CV_DECODE_MEMORY;
	d->count = count;
	for (size_t i = 0; i < count; i++) {
		d->stage[i].coding = codings[count - 1 - i];
		d->stage[i].memory = &d->memory;
	}
	*ret = d;
	return CV_DECODE_OK;
}

void cv_decode_free(struct cv_decode *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->count; i++)
		stage_fini(&d->stage[i]);
	cv_assert(!d->memory.used);
	explicit_bzero(d, sizeof(*d));
	free(d);
}

/* Both stages, the second as long as the first gives something. */
static enum cv_decode_rc both_run(struct cv_decode *d, struct cv_str *in, struct room *out)
{
	enum cv_decode_rc rc;

	for (;;) {
		rc = stage_run(&d->stage[1], &d->waiting, out);
		if (rc || !out->n)
			return rc;
		cv_assert(!d->waiting.n);
		struct room between = { d->between, sizeof(d->between) };

		rc = stage_run(&d->stage[0], in, &between);
		d->waiting = (struct cv_str){ d->between, sizeof(d->between) - between.n };
		if (rc || !d->waiting.n)
			return rc;
	}
}

static enum cv_decode_rc identity_run(struct cv_str *in, struct room *out)
{
	const size_t n = CV_MIN(in->n, out->n);

	if (n)
		memcpy(out->p, in->p, n);
	*in = cv_str_slice(*in, n, in->n);
	*out = (struct room){ out->p + n, out->n - n };
	return CV_DECODE_OK;
}

enum cv_decode_rc cv_decode_feed(struct cv_decode *d, struct cv_str *in, struct cv_buf *out)
{
	const size_t in_n = in->n;
	struct room room = { cv_buf_reserve(out, CV_DECODE_CALL_BYTES_MAX),
		CV_DECODE_CALL_BYTES_MAX };

	if (!room.p)
		return CV_DECODE_OUTPUT;
	const enum cv_decode_rc rc = d->count == 0   ? identity_run(in, &room)
				     : d->count == 1 ? stage_run(&d->stage[0], in, &room)
						     : both_run(d, in, &room);
	const size_t given = CV_DECODE_CALL_BYTES_MAX - room.n;

	cv_buf_commit(out, given);
	d->in_bytes += in_n - in->n;
	d->out_bytes += given;
	if (rc)
		return rc;
	if (d->count && is_out_of_proportion(d->in_bytes, d->out_bytes))
		return CV_DECODE_RATIO;
	return room.n == 0 ? CV_DECODE_MORE : CV_DECODE_OK;
}

enum cv_decode_rc cv_decode_end(const struct cv_decode *d)
{
	for (size_t i = 0; i < d->count && d->in_bytes; i++)
		if (d->stage[i].state != STAGE_ENDED)
			return CV_DECODE_TRUNCATED;
	return CV_DECODE_OK;
}

size_t cv_decode_memory_peak(const struct cv_decode *d)
{
	return d->memory.peak;
}
