/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ph_escape_int.h - a text without its escapes, and where each byte of it came from
 *
 * A placeholder is sought in what the receiver will read, and cut out of what was sent: the map
 * leads from one to the other.  Lenient, as receivers are: an escape that is none stays.
 */
#pragma once
#include "base/arena.h"
#include "base/str.h"

enum cred_coding {
	CRED_PLAIN,
	CRED_PERCENT, /* %41 */
	CRED_FORM,    /* that, and + for a space */
	CRED_JSON,    /* the inside of a string: \n, \u0041 */
};

struct cred_decoded {
	struct cv_str text;
	uint32_t
		*at; /* text.n + 1 offsets: where in raw each byte's source starts, and raw's end */
};

/* False when the arena is full.  The result is the arena's: five bytes for each of raw. */
CV_MUST bool cred_decode(struct cv_str raw, enum cred_coding coding, struct cv_arena *arena,
	struct cred_decoded *ret);

/* One step of it: the bytes of raw (not empty) that make the next piece, of which up to four are
 * written to piece and counted in *ret_n. */
size_t cred_decode_step(
	struct cv_str raw, enum cred_coding coding, char piece[static 4], size_t *ret_n);
