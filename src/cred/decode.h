/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.h - content codings of HTTP, decoded in a stream
 *
 * gzip (several members, as browsers take), deflate (zlib's format, or raw as some servers send),
 * br, zstd (several frames), identity, and a list of at most CV_DECODE_CODINGS_MAX of them.
 * Refused are: unknown codings, more bytes behind the end, an end that doesn't come, output out of
 * proportion to input, and decoders that want more memory than CV_DECODE_MEMORY_MAX together.
 *
 * Ownership: a decoder owns its memory, which is wiped when it is freed, for it holds the text.
 * Pure.  Limits: CV_DECODE_* in limits_scrub.h.
 */
#pragma once
#include "base/buf.h"
#include "cred/limits_scrub.h"

#include <stdint.h>

/* clang-format off */
#define CV_DECODE_RCS(X) /* name, slug, sentence */                                              \
	X(OK, "ok", "ok")                                                                        \
	X(MORE, "more", "there is more output")                                                  \
	X(UNKNOWN, "unknown_content_coding", "content coding is not known")                      \
	X(DEEP, "too_many_content_codings", "more content codings than anybody needs")           \
	X(CORRUPT, "bad_content_coding", "content is not in its coding")                         \
	X(TRUNCATED, "truncated_content", "content ended inside its coding")                     \
	X(TRAILING, "trailing_content", "bytes follow the end of the coded content")             \
	X(RATIO, "content_ratio", "content grows out of proportion when decoded")                \
	X(MEMORY, "content_memory", "content needs too much memory to decode")                   \
	X(OUTPUT, "content_no_room", "no room for decoded content")
/* clang-format on */

#define CV_DECODE_RC_ENUM(name, slug, text) CV_DECODE_##name,
enum cv_decode_rc { CV_DECODE_RCS(CV_DECODE_RC_ENUM) CV_DECODE_RC_COUNT };
#undef CV_DECODE_RC_ENUM

struct cv_decode_rc_row {
	const char *slug, *text;
};

const struct cv_decode_rc_row *cv_decode_rc_row(enum cv_decode_rc rc); /* static storage */

enum cv_coding {
	CV_CODING_IDENTITY,
	CV_CODING_GZIP,
	CV_CODING_DEFLATE,
	CV_CODING_BR,
	CV_CODING_ZSTD,
	CV_CODING_COUNT,
};

/* Token of a coding as it is written; "x-gzip" is read as gzip. */
struct cv_str cv_coding_name(enum cv_coding c);

/* Reads the value of Content-Encoding; several lines are given joined by commas.  What is identity
 * is left out, so *ret_count is 0 when there is nothing to decode.  OK, UNKNOWN, DEEP. */
CV_MUST enum cv_decode_rc cv_codings_parse(
	struct cv_str value, enum cv_coding ret[CV_DECODE_CODINGS_MAX], size_t *ret_count);

struct cv_decode;

/* codings in the order in which they were applied; count may be 0.  OK, MEMORY. */
CV_MUST enum cv_decode_rc cv_decode_new(
	const enum cv_coding *codings, size_t count, struct cv_decode **ret);
void cv_decode_free(struct cv_decode *d); /* NULL is fine */

/* Takes bytes from the front of *in and appends at most CV_DECODE_CALL_BYTES_MAX to out.  OK: all
 * of *in was taken and nothing is left to give.  MORE: call again, with room in out.  The rest are
 * final, and what is in out by then should not be passed on. */
CV_MUST enum cv_decode_rc cv_decode_feed(
	struct cv_decode *d, struct cv_str *in, struct cv_buf *out);

/* The content has ended: OK, or TRUNCATED.  Content without any byte is whole, as after HEAD. */
CV_MUST enum cv_decode_rc cv_decode_end(const struct cv_decode *d);

size_t cv_decode_memory_peak(const struct cv_decode *d); /* bytes, for tests */
