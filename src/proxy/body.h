/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.h - the body of a message: unframed as it comes, framed anew as it goes
 *
 *     from --unframe--> (watch) --------------------------------> frame --> to
 *     from --unframe--> input --filter--> frame --> pending ----------------> to
 *     spool --read--> frame --> to, and then perhaps the rest as it comes
 *
 * Nothing is copied through (T10).  A watch looks at the bytes and may refuse them; a filter makes
 * others of them, as many as it likes, and is given no more while what it made has not gone.
 *
 * Ownership: watch and filter are borrowed, and outlive the body.
 */
#pragma once
#include "base/buf.h"
#include "proxy/leg.h"
#include "proxy/spool.h"
#include "wire/chunk.h"

enum cv_pass { CV_PASS_IDLE, CV_PASS_MOVED, CV_PASS_BAD, CV_PASS_REFUSED };

enum cv_filter_rc {
	CV_FILTER_OK,   /* all input was taken */
	CV_FILTER_MORE, /* there is more output: call again */
	CV_FILTER_BAD,  /* final; the filter's why says it */
};

struct cv_filter {
	/* Takes bytes from the front of *in, appends a bounded number to out. */
	enum cv_filter_rc (*feed)(struct cv_filter *f, struct cv_str *in, struct cv_buf *out);
	/* The input has ended. */
	enum cv_filter_rc (*end)(struct cv_filter *f, struct cv_buf *out);
	/* Name or value of a trailer; false: it can't pass. */
	bool (*trailer)(struct cv_filter *f, struct cv_str value, struct cv_buf *out);
	const char *why;
};

struct cv_body {
	enum cv_h1_body kind, out; /* framing as it comes, and as it goes; CLOSE is none at all */
	bool is_read;              /* all of it came */
	bool is_done;              /* ... and all of it went */
	bool has_more;             /* the filter has more to give for what it took */
	bool is_begun;             /* pending is a head: the first of the body goes with it */
	uint64_t left;             /* LENGTH */
	struct cv_chunk chunk;
	/* True when what was seen so far may not pass. */
	bool (*watch)(void *ctx, struct cv_str bytes);
	void *watch_ctx;
	struct cv_filter *filter;     /* NULL: bytes pass as they are */
	struct cv_buf lead;           /* goes before the first that the filter lets go: the head */
	struct cv_buf input, pending; /* of the filter; pending also of a body that was held */
	struct cv_spooled file;       /* goes first, from file_at on */
	uint64_t file_at;
	struct cv_buf tail; /* ... and this behind it */
};

/* A body that is framed alike on both sides. */
void cv_body_start(struct cv_body *b, enum cv_h1_body kind, uint64_t length);
void cv_body_fini(struct cv_body *b); /* wiped: they may hold what nobody else should */

/* Something was taken from its source that has not gone: room is all it waits for. */
static inline bool cv_body_is_waiting(const struct cv_body *b)
{
	return cv_buf_len(&b->pending) || cv_buf_len(&b->input) || b->has_more || b->file.bytes;
}

/* A body that is all there already. */
CV_MUST bool cv_body_start_held(struct cv_body *b, struct cv_str bytes);

/* The same; file and tail are taken.  bytes are instead of a file.  With a tail, the end of a body in
 * chunks, it is written in chunks, and with rest, which is how far its source has been read: there is
 * more to come, then from a file. */
CV_MUST bool cv_body_start_spooled(struct cv_body *b, struct cv_str bytes, struct cv_spooled *file,
	struct cv_buf *tail, const struct cv_chunk *rest);

/* Whether what is there of it gives nothing without more: where from has ended, it was cut. */
bool cv_body_is_starved(const struct cv_body *b, const struct cv_leg *from);

/* Moves what is there, as far as there is room.  scratch is empty before and after. */
enum cv_pass cv_body_pass(
	struct cv_body *b, struct cv_buf *scratch, struct cv_leg *from, struct cv_leg *to);
