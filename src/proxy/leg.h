/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leg.h - one side of a connection: a socket, perhaps TLS on it, and its buffers
 *
 * What came is read with cv_leg_text() and taken with cv_leg_take(); what goes is handed over with
 * cv_leg_put() and sent by cv_leg_flush().  Whether TLS lies in between is no concern of who does
 * that.  A leg belongs to its flow.  A virtual leg has no socket but a link to a stream of an HTTP/2
 * session (h2.h), and behaves the same.
 *
 *     socket --recv--> in --(TLS)--> plain      the text is plain, or in without TLS
 *     socket <--send-- out <--(TLS)-- put
 */
#pragma once
#include "proxy/bond.h"
#include "proxy/io.h"

#include <openssl/ssl.h>
#include <stdint.h>

enum cv_tls_step { CV_TLS_WAIT, CV_TLS_DONE, CV_TLS_FAILED };

struct cv_h2_link;

struct cv_leg {
	struct cv_iopool *pool;
	SSL *ssl;                /* owned; NULL: bytes as they are */
	struct cv_h2_link *link; /* NULL: not virtual */
	struct cv_iob in, plain, out;
	uint64_t bytes_in, bytes_out; /* on the wire */
	int fd;                       /* owned; -1: not open */
	/* Readiness, as the edges of epoll told it. */
	bool can_read, can_write, has_hangup;
	bool is_wire_eof;         /* the socket will give no more */
	bool is_eof;              /* the peer will say no more; the text may still hold bytes */
	bool is_cut;              /* ... and that without TLS's own end: perhaps not the whole */
	bool is_broken;           /* reset, or TLS failed: nothing can be sent or will come */
	bool wants_shut, is_shut; /* half-close, once out is empty */
	/* Of an upstream's, for idle.h. */
	bool has_served;     /* a whole exchange of HTTP/1.1 */
	bool is_private;     /* has something that is not for another flow */
	bool is_reused;      /* came from another flow ... */
	bool is_untried;     /* ... and has said nothing since */
	bool is_h1_only;     /* h2 was offered, and http/1.1 chosen */
	struct cv_bond bond; /* whose requests go by it; of HTTP/2 the session has it */
};

/* Takes fd. */
void cv_leg_open(struct cv_leg *leg, struct cv_iopool *pool, int fd);
void cv_leg_close(struct cv_leg *leg); /* what is not sent is lost; as often as one likes */
void cv_leg_reset(struct cv_leg *leg); /* the same, and the peer sees a reset */

static inline bool cv_leg_is_open(const struct cv_leg *leg)
{
	return leg->fd >= 0 || leg->link;
}

/* The socket and all that was read from it and not taken become to's. */
void cv_leg_move(struct cv_leg *from, struct cv_leg *to);

/* Takes in the edges of one event. */
void cv_leg_ready(struct cv_leg *leg, uint32_t epoll_events);

/* Reads what the socket has, as far as there is room; true when the text grew or ended. */
bool cv_leg_fill(struct cv_leg *leg);

static inline struct cv_str cv_leg_text(const struct cv_leg *leg)
{
	return cv_iob_str(leg->ssl ? &leg->plain : &leg->in);
}

/* Reads and throws away, without decrypting; returns how much.  For legs that are only waited for. */
size_t cv_leg_discard(struct cv_leg *leg);

/* Something may be there that cv_leg_fill() did not get to. */
bool cv_leg_has_more(const struct cv_leg *leg);

void cv_leg_take(struct cv_leg *leg, size_t n);

/* How many bytes cv_leg_put() would take now. */
size_t cv_leg_room(const struct cv_leg *leg);

/* Hands over as much of s as there is room for; returns how much. */
size_t cv_leg_put(struct cv_leg *leg, struct cv_str s);

/* Sends from s without keeping a copy, where that is possible (no TLS, nothing waiting); else as
 * cv_leg_put(). */
size_t cv_leg_send(struct cv_leg *leg, struct cv_str s);

/* No more will be put: once all is sent, TLS's end and a half-close follow. */
void cv_leg_shut(struct cv_leg *leg);

/* Sends what waits, as far as the socket takes it; true when something went. */
bool cv_leg_flush(struct cv_leg *leg);

static inline bool cv_leg_has_output(const struct cv_leg *leg)
{
	return cv_iob_len(&leg->out) > 0 || (leg->wants_shut && !leg->is_shut);
}

/* From here on the leg speaks TLS; takes ssl (made for no descriptor), which reads what is in the
 * buffer already.  False when the library has no memory: ssl is freed. */
CV_MUST bool cv_leg_tls(struct cv_leg *leg, SSL *ssl);
enum cv_tls_step cv_leg_handshake(struct cv_leg *leg);
