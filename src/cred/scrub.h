/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub.h - a stream of bytes, without the secrets of a set
 *
 * Guarantees:
 *   - Same length.  What comes out has as many bytes as what went in, so that Content-Length, chunk
 *     and frame lengths stay true.
 *   - Same syntax.  A hit is overwritten in a way that its encoding allows: `*` for plain text, %2A
 *     and \u002A for what was escaped, A for base64, 30 for hex.  JSON stays JSON, base64 decodes.
 *   - The cut doesn't matter.  However the bytes are fed, the same bytes come out.
 *   - No fixed delay.  Held back are only bytes that may be the beginning of a hit, at most
 *     CV_SCRUB_HOLD_BYTES_MAX(longest value); ordinary text passes to its last byte.
 *   - Linear time whatever comes: cv_scrub_steps() is at most a constant times the bytes.
 *
 * Found are: the value itself, percent-encoded, JSON-escaped, in any mixture of escaped and plain
 * bytes and either case of digits; base64 and base64url at any alignment, alone or inside longer
 * text, with line ends in it; hex in any case; base64 and hex with escapes in them; escapes inside
 * escapes twice percent, JSON in JSON, and one in the other.  Of base64 up to four bits of the first
 * and the last byte stay when they share a letter with a neighbour.
 * Not found are: other transformations (reversed, encrypted, compressed once more, cut into pieces,
 * other character sets, HTML entities, quoted-printable, base32, hex with separators); and a value in
 * escapes right behind an unfinished escape (`%` and then a value that begins with two hex digits),
 * which any decoder would read as something else.  An escaped slash in base64 (`\/`) stays: nothing
 * else of two bytes is one letter.
 *
 * Ownership: a stream holds a reference on its set.  Memory is fixed when it is made and wiped when
 * it is freed; one that was freed waits, wiped, in its set for who needs the next.  Pure.
 */
#pragma once
#include "base/buf.h"
#include "cred/scrub_set.h"

struct cv_scrub;

/* NULL: no memory. */
CV_MUST struct cv_scrub *cv_scrub_new(struct cv_scrub_set *set);
void cv_scrub_free(struct cv_scrub *s);             /* NULL is fine */
void cv_scrub_spare_free(struct cv_scrub_set *set); /* with the set */

/* Appends to out what of in, and of what was held, is known not to belong to a hit or overwritten.
 * False: out is full, and the stream can't be used any more. */
CV_MUST bool cv_scrub_feed(struct cv_scrub *s, struct cv_str in, struct cv_buf *out);

/* The stream has ended: appends what is held.  The next feed begins a new one. */
CV_MUST bool cv_scrub_end(struct cv_scrub *s, struct cv_buf *out);

/* One whole text, say the value of a header; nothing may be held. */
CV_MUST bool cv_scrub_text(struct cv_scrub *s, struct cv_str in, struct cv_buf *out);

size_t cv_scrub_held(const struct cv_scrub *s);    /* bytes that wait for what follows */
uint64_t cv_scrub_hits(const struct cv_scrub *s);  /* places overwritten since new, for audit */
uint64_t cv_scrub_steps(const struct cv_scrub *s); /* moves of the automata, for tests */
