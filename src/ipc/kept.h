/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.h - the output of a command that outlives its client: a bounded ring that two processes share
 *
 *     supervisor: create, put, end          gateway: open, then a reader for each follower
 *
 * The last CV_KEPT_RING_BYTES of what a command printed lie in a memfd, as pieces: sixteen bytes of
 * head (offset, length, stream) and the bytes, up to a multiple of sixteen.  Offsets count all that was
 * printed, of both streams, in the order in which it was read.  The ring never waits for a reader:
 * it lets the oldest pieces go, and who was not fast enough is told how many bytes are missing.
 *
 * How the command ended is written there too, once all output is.  So whoever has the descriptor has
 * everything: a gateway that comes back gets it again, and it is of use when its supervisor is gone.
 *
 * Lifetimes: a map owns its mapping, not the descriptor.  What a reader sees is checked as if a
 * stranger had written it: the writer may be at it, or be another version.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define CV_KEPT_RING_BYTES \
	(1u << 20)              /* ten thousand lines: what a person scrolls, or an agent reads */
#define CV_KEPT_HEAD_BYTES 4096 /* a page */
#define CV_KEPT_BYTES      (CV_KEPT_HEAD_BYTES + CV_KEPT_RING_BYTES)
#define CV_KEPT_ABOUT_MAX  3072        /* about the command, opaque here */
#define CV_KEPT_PIECE_MAX  (32u << 10) /* many pieces fit: the newest is always there whole */

enum cv_kept_stream { CV_KEPT_STDOUT, CV_KEPT_STDERR };
/* Why it ended. */
enum cv_kept_reason {
	CV_KEPT_EXITED,
	CV_KEPT_TIMED_OUT,
	CV_KEPT_NOT_STARTED, /* stderr says why */
	CV_KEPT_LOST,        /* with its sandbox; never written by a supervisor that lives */
	CV_KEPT_REASON_COUNT
};

struct cv_kept_head;

struct cv_kept {                   /* a mapping */
	struct cv_kept_head *head; /* NULL: none */
};

/* For the writer: *ret_fd may be given away, nobody can change anything through it. */
CV_MUST cv_code cv_kept_create(
	struct cv_str about, struct cv_kept *ret, int *ret_fd, struct cv_err *err);
/* For readers.  CV_INVALID: it is none. */
CV_MUST cv_code cv_kept_open(int fd, struct cv_kept *ret, struct cv_err *err);
void cv_kept_close(struct cv_kept *k); /* not opened is fine */

void cv_kept_put(struct cv_kept *k, enum cv_kept_stream stream, struct cv_str bytes);
/* Of the ring, where the next piece will be: what a reader whose place is `behind` has not seen yet is
 * there as long as this is less than CV_KEPT_RING_BYTES further. */
uint64_t cv_kept_place(const struct cv_kept *k);
void cv_kept_end(struct cv_kept *k, int exit_code, enum cv_kept_reason reason, int64_t unix_ms);

/* ---- reading ---- */

struct cv_kept_end {
	int exit_code;
	enum cv_kept_reason reason;
	int64_t unix_ms;
};
/* It is over: what is read from now on is all there will ever be.  ret may be NULL. */
CV_MUST bool cv_kept_is_over(const struct cv_kept *k, struct cv_kept_end *ret);
uint64_t cv_kept_bytes(const struct cv_kept *k); /* printed in all; the offset of what comes next */
uint64_t cv_kept_first(const struct cv_kept *k); /* the offset of the oldest byte that is there */
struct cv_str cv_kept_about(const struct cv_kept *k); /* as long as the mapping */

struct cv_kept_reader {
	uint64_t place;  /* of a piece in the ring; 0: the oldest */
	uint64_t offset; /* what is wanted next */
};

enum cv_kept_rc {
	CV_KEPT_NONE, /* nothing more is there now */
	CV_KEPT_DATA,
	CV_KEPT_GAP, /* n bytes from offset on are lost */
	CV_KEPT_BAD  /* no ring */
};

struct cv_kept_piece {
	uint64_t offset, n;
	enum cv_kept_stream stream;
};

/* The next bytes (at most room, into buf), or how many are missing; the reader goes on behind them. */
CV_MUST enum cv_kept_rc cv_kept_read(const struct cv_kept *k, struct cv_kept_reader *r, char *buf,
	size_t room, struct cv_kept_piece *ret);
