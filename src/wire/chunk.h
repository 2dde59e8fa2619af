/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.h - bodies in chunks: a decoder over slices, and the bytes to frame them anew
 *
 * The decoder never copies data: it hands out slices of the caller's bytes.  Sizes are plain hex of
 * bounded length; extensions, blanks, signs and bare LF are refused (RFC 9112 11.2 and the
 * smuggling they made possible).  The trailer section is parsed when all of it is there, so the
 * caller keeps up to CV_CHUNK_TRAILER_BYTES_MAX bytes that the decoder did not take.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"
#include "wire/h1.h"
#include "wire/limits.h"

enum cv_chunk_event {
	CV_CHUNK_MORE, /* *in is used up, or (trailers) too short; append to what is left of it */
	CV_CHUNK_DATA, /* *ret_data is the next piece of the body */
	CV_CHUNK_DONE, /* body ended; *in starts behind it */
	CV_CHUNK_BAD,  /* refused: close; rc says why */
};

/* clang-format off */
#define CV_CHUNK_RCS(X) /* name, slug, sentence */                                              \
	X(OK, "ok", "ok")                                                                       \
	X(SIZE, "bad_chunk_size", "chunk size is not plain hex digits")                         \
	X(SIZE_LONG, "chunk_size_too_long", "chunk size has too many digits")                   \
	X(EXTENSION, "chunk_extension", "chunk has an extension")                               \
	X(LINE_END, "bad_chunk_line_end", "chunk line or data does not end with CR LF")         \
	X(TRAILER, "bad_trailer", "trailer section is malformed")                               \
	X(TRAILER_LONG, "trailer_too_large", "trailer section is too large")                    \
	X(TRAILER_NAME, "forbidden_trailer", "trailer section has a field that is not allowed there")
/* clang-format on */

#define CV_CHUNK_RC_ENUM(name, slug, text) CV_CHUNK_RC_##name,
enum cv_chunk_rc { CV_CHUNK_RCS(CV_CHUNK_RC_ENUM) CV_CHUNK_RC_COUNT };
#undef CV_CHUNK_RC_ENUM

struct cv_chunk_rc_row {
	const char *slug, *text;
};

const struct cv_chunk_rc_row *cv_chunk_rc_row(enum cv_chunk_rc rc);

struct cv_chunk {
	uint8_t state;
	uint8_t digits;      /* of the present size */
	enum cv_chunk_rc rc; /* after BAD */
	uint64_t left;       /* of the present chunk's data */
	uint64_t total;      /* data bytes handed out so far */
	uint8_t trailer_count;
	struct cv_h1_header trailer[CV_CHUNK_TRAILERS_MAX]; /* after DONE; borrow from *in */
};

void cv_chunk_init(struct cv_chunk *c);

/* The next event in *in, from whose front what was understood is taken. */
CV_MUST enum cv_chunk_event cv_chunk_next(
	struct cv_chunk *c, struct cv_str *in, struct cv_str *ret_data);

/* Whether in, what was not taken, gives nothing more without more behind it: at the end of the bytes,
 * the body was cut. */
bool cv_chunk_is_starved(const struct cv_chunk *c, struct cv_str in);

#define CV_CHUNK_LINE_BYTES_MAX (CV_CHUNK_DIGITS_MAX + 2)
#define CV_CHUNK_END            CV_STR("0\r\n\r\n") /* last chunk, no trailers */
#define CV_CHUNK_DATA_END       CV_STR("\r\n")      /* behind the data of each chunk */

/* Writes the line before n > 0 bytes of data; returns its length. */
size_t cv_chunk_line(uint64_t n, char dst[static CV_CHUNK_LINE_BYTES_MAX]);

/* Appends data as one chunk (nothing if it is empty). */
bool cv_chunk_write(struct cv_buf *b, struct cv_str data);

/* Appends the last chunk, and trailers that h1_write.h would let pass. */
bool cv_chunk_write_end(struct cv_buf *b, const struct cv_h1_header *trailers, size_t count);
