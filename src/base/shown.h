/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shown.h - text of a stranger's, for a person who decides by what he sees
 *
 * What comes out is one line of printable characters, or lines that each begin as the caller says.
 * Shown as they are: printable ASCII, and the letters of a few scripts in which what is seen is what
 * is there.  Everything else is written \u{202e}, or \x{ff} where the bytes are no UTF-8: controls
 * and escape sequences, what is invisible, what reorders or combines, scripts that run from right to
 * left, what is not in normal form C, what looks like ASCII.  A word of more than one script is
 * escaped but for its Latin letters, and so is a word whose every letter could be taken for ASCII
 * (B6, P9, A4).  A backslash of the text is doubled, so nothing in it can pass for an escape of ours.
 */
#pragma once
#include "base/buf.h"

struct cv_shown {
	size_t bytes_max;   /* of the text; the middle of a longer one is left out.  0: all of it */
	size_t columns;     /* of a line, then the next one begins; 0: one line */
	const char *prefix; /* of each further line, behind its line feed */
	bool is_json;       /* backslashes are JSON's own, and stay single */
};

/* False: out is overflown.  Where the middle was left out, "…(N bytes more)…" stands, which no text
 * can imitate, as its … would be escaped. */
bool cv_shown_put(struct cv_buf *out, struct cv_str s, const struct cv_shown *how);

/* What a peer answers to a person who asked: its line ends stay, for some sentences are lists, and so
 * does whatever is visible.  Escaped is what steers, hides or reorders (cv_utf8_is_hidden()). */
bool cv_shown_put_message(struct cv_buf *out, struct cv_str s);

/* One line of a record, which has escapes of its own: what is visible stays, backslashes single, so that
 * it is the same here as in the record's file. */
bool cv_shown_put_record(struct cv_buf *out, struct cv_str s);

/* One short line of it: a name, a path. */
bool cv_shown_put_line(struct cv_buf *out, struct cv_str s, size_t bytes_max);
