/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leg.c - see leg.h
 *
 * Sockets are watched edge-triggered, once, for everything.  An edge sets can_read or can_write;
 * a call that takes less than it could have, or EAGAIN, clears it.  A short read means that the
 * socket is empty (epoll(7)), which saves the second recv() that would only say EAGAIN; after a
 * hangup edge it means nothing, because the end of file behind it makes no further edge.
 *
 * TLS reads from and writes to the leg's buffers by a BIO of our own.  So what was peeked at
 * (a ClientHello) is simply still there when the library starts, and a turn of the loop makes one
 * recv() and one send() however many records they carry.
 */
#include "proxy/leg.h"

#include "base/assert.h"
#include "proxy/h2.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void cv_leg_open(struct cv_leg *leg, struct cv_iopool *pool, int fd)
{
	*leg = (struct cv_leg){ .pool = pool, .fd = fd };
}

void cv_leg_close(struct cv_leg *leg)
{
	if (leg->link)
		cv_vleg_close(leg, false);
	if (leg->fd >= 0)
		close(leg->fd);
	leg->fd = -1;
	SSL_free(leg->ssl);
	leg->ssl = NULL;
	if (leg->pool) {
		cv_iob_drop(leg->pool, &leg->in);
		cv_iob_drop(leg->pool, &leg->plain);
		cv_iob_drop(leg->pool, &leg->out);
	}
	leg->can_read = leg->can_write = false;
}

void cv_leg_reset(struct cv_leg *leg)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (leg->link)
		cv_vleg_close(leg, true);
	if (leg->fd >= 0)
		setsockopt(leg->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	cv_leg_close(leg);
}

void cv_leg_move(struct cv_leg *from, struct cv_leg *to)
{
	cv_assert(!from->link && !cv_leg_is_open(to));
	*to = *from;
	if (to->ssl)
		BIO_set_data(SSL_get_rbio(to->ssl), to);
	*from = (struct cv_leg){ .fd = -1 };
}

void cv_leg_ready(struct cv_leg *leg, uint32_t epoll_events)
{
	if (epoll_events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		leg->can_read = true;
	if (epoll_events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		leg->can_write = true;
	if (epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		leg->has_hangup = true;
}

static void leg_break(struct cv_leg *leg)
{
	leg->is_broken = true;
	leg->is_wire_eof = true;
	leg->is_eof = true;
	leg->is_cut = true;
	leg->can_read = false;
	if (leg->pool)
		cv_iob_drop(leg->pool, &leg->out);
}

/* One recv() into in; true when bytes or the end came. */
static bool wire_read(struct cv_leg *leg)
{
	uint32_t room;
	ssize_t n;
	char *p;

	if (!leg->can_read || leg->is_wire_eof || cv_iob_room(&leg->in) == 0)
		return false;
	p = cv_iob_reserve(leg->pool, &leg->in, CV_PROXY_RELAY_BYTES_MAX, &room);
	if (!p) { /* the pool is used up: nobody would come back to wake us */
		leg_break(leg);
		return true;
	}
	room = CV_MIN(room, (uint32_t)CV_PROXY_RELAY_BYTES_MAX);
	do
		n = recv(leg->fd, p, room, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		cv_iob_commit(&leg->in, (uint32_t)n);
		leg->bytes_in += (uint64_t)n;
		if ((uint32_t)n < room && !leg->has_hangup)
			leg->can_read = false;
		return true;
	}
	if (cv_iob_len(&leg->in) == 0)
		cv_iob_drop(leg->pool, &leg->in);
	if (n < 0 && errno == EAGAIN) {
		leg->can_read = false;
		return false;
	}
	if (n < 0)
		leg_break(leg);
	leg->is_wire_eof = true;
	leg->can_read = false;
	return true;
}

/* Decrypts what is in in; true when text or its end came. */
static bool tls_read(struct cv_leg *leg)
{
	bool has_grown = false;

	while (!leg->is_eof && cv_iob_room(&leg->plain) > 0) {
		uint32_t room;
		char *p;

		if (!cv_iob_len(&leg->in) && !leg->is_wire_eof && !SSL_has_pending(leg->ssl))
			break;
		p = cv_iob_reserve(leg->pool, &leg->plain, CV_PROXY_RECORD_BYTES, &room);
		if (!p) {
			leg_break(leg);
			return true;
		}
		ERR_clear_error();
		const int n = SSL_read(leg->ssl, p, (int)room);
		if (n > 0) {
			cv_iob_commit(&leg->plain, (uint32_t)n);
			has_grown = true;
			continue;
		}
		const int why = SSL_get_error(leg->ssl, n);
		if (!cv_iob_len(&leg->plain))
			cv_iob_drop(leg->pool, &leg->plain);
		if (why == SSL_ERROR_ZERO_RETURN) {
			leg->is_eof = true;
			return true;
		}
		if (why == SSL_ERROR_WANT_READ && !leg->is_wire_eof)
			break;
		if (why == SSL_ERROR_WANT_WRITE)
			break;
		leg->is_eof = leg->is_cut = true;
		if (!leg->is_wire_eof)
			leg_break(leg); /* a bad record, an alert */
		return true;
	}
	return has_grown;
}

bool cv_leg_fill(struct cv_leg *leg)
{
	if (leg->link)
		return cv_vleg_fill(leg);
	bool has_grown = wire_read(leg);

	/* a record without text (a ticket, say) may have been all that came before the end: what is
	 * still to be read must be, since no edge will tell of it again */
	if (leg->ssl && SSL_is_init_finished(leg->ssl))
		return tls_read(leg) || (has_grown && leg->can_read);
	if (leg->ssl)
		return has_grown;
	if (leg->is_wire_eof)
		leg->is_eof = true;
	return has_grown;
}

size_t cv_leg_discard(struct cv_leg *leg)
{
	const uint64_t before = leg->bytes_in;

	cv_iob_drop(leg->pool, &leg->plain);
	cv_iob_drop(leg->pool, &leg->in);
	wire_read(leg);
	cv_iob_drop(leg->pool, &leg->in);
	return (size_t)(leg->bytes_in - before);
}

bool cv_leg_has_more(const struct cv_leg *leg)
{
	if (leg->link)
		return cv_vleg_has_more(leg);
	if (leg->fd < 0 || leg->is_eof)
		return false;
	if (leg->can_read && cv_iob_room(&leg->in) > 0)
		return true;
	return leg->ssl && SSL_is_init_finished(leg->ssl) && cv_iob_room(&leg->plain) > 0 &&
	       (cv_iob_len(&leg->in) > 0 || SSL_has_pending(leg->ssl));
}

void cv_leg_take(struct cv_leg *leg, size_t n)
{
	cv_iob_skip(leg->pool, leg->ssl ? &leg->plain : &leg->in, (uint32_t)n);
}

size_t cv_leg_room(const struct cv_leg *leg)
{
	const uint32_t room = cv_iob_room(&leg->out);

	if (leg->is_broken || leg->wants_shut || !cv_leg_is_open(leg))
		return 0;
	if (!leg->ssl)
		return room;
	if (!SSL_is_init_finished(leg->ssl))
		return 0;
	/* at most two records of a full buffer, each with its overhead */
	return room > 2 * CV_PROXY_RECORD_EXTRA ? room - 2 * CV_PROXY_RECORD_EXTRA : 0;
}

size_t cv_leg_put(struct cv_leg *leg, struct cv_str s)
{
	size_t done = 0;
	size_t n = CV_MIN(cv_leg_room(leg), s.n);

	if (n == 0)
		return 0;
	if (!leg->ssl)
		return cv_iob_put(leg->pool, &leg->out, (struct cv_str){ s.p, n }) ? n : 0;
	while (done < n) {
		ERR_clear_error();
		const int w = SSL_write(leg->ssl, s.p + done, (int)(n - done));
		if (w <= 0) {
			leg_break(leg);
			break;
		}
		done += (size_t)w;
	}
	return done;
}

/* As much of s as the socket takes; breaks the leg when it takes no more for ever. */
static size_t wire_send(struct cv_leg *leg, struct cv_str s)
{
	ssize_t n;

	if (!leg->can_write || leg->is_broken)
		return 0;
	do
		n = send(leg->fd, s.p, s.n, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		leg_break(leg);
		return 0;
	}
	if (n < 0)
		n = 0;
	if ((size_t)n < s.n)
		leg->can_write = false;
	leg->bytes_out += (uint64_t)n;
	return (size_t)n;
}

size_t cv_leg_send(struct cv_leg *leg, struct cv_str s)
{
	/* what the socket does not take now stays with the caller: that is the back-pressure */
	if (!leg->ssl && !leg->link && !cv_iob_len(&leg->out) && cv_leg_room(leg))
		return wire_send(leg, s);
	return cv_leg_put(leg, s);
}

void cv_leg_shut(struct cv_leg *leg)
{
	if (!cv_leg_is_open(leg) || leg->wants_shut)
		return;
	if (leg->ssl && SSL_is_init_finished(leg->ssl) && !leg->is_broken) {
		ERR_clear_error();
		SSL_shutdown(leg->ssl); /* its alert goes to out */
	}
	leg->wants_shut = true;
}

bool cv_leg_flush(struct cv_leg *leg)
{
	bool has_moved = false;

	if (leg->link) {
		cv_vleg_flush(leg);
		return false;
	}
	if (leg->fd < 0)
		return false;
	if (cv_iob_len(&leg->out)) {
		const size_t n = wire_send(leg, cv_iob_str(&leg->out));

		if (n) {
			cv_iob_skip(leg->pool, &leg->out, (uint32_t)n);
			has_moved = true;
		}
	}
	if (leg->wants_shut && !leg->is_shut && !cv_iob_len(&leg->out)) {
		shutdown(leg->fd, SHUT_WR);
		leg->is_shut = true;
		has_moved = true;
	}
	return has_moved;
}

/* ---- the BIO between the library and the leg's buffers ---- */

static int bio_read(BIO *bio, char *to, int n)
{
	struct cv_leg *leg = BIO_get_data(bio);
	const uint32_t take = CV_MIN((uint32_t)n, cv_iob_len(&leg->in));

	BIO_clear_retry_flags(bio);
	if (!take) {
		if (leg->is_wire_eof)
			return 0;
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, leg->in.data + leg->in.start, take);
	cv_iob_skip(leg->pool, &leg->in, take);
	return (int)take;
}

static int bio_write(BIO *bio, const char *from, int n)
{
	struct cv_leg *leg = BIO_get_data(bio);
	const uint32_t take = CV_MIN((uint32_t)n, cv_iob_room(&leg->out));

	BIO_clear_retry_flags(bio);
	if (!take) {
		BIO_set_retry_write(bio);
		return -1;
	}
	return cv_iob_put(leg->pool, &leg->out, (struct cv_str){ from, take }) ? (int)take : -1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method(void)
{
	static BIO_METHOD *method; /* of the process: made once, never changed */

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "leg");
		if (!method)
			return NULL;
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	return method;
}

bool cv_leg_tls(struct cv_leg *leg, SSL *ssl)
{
	BIO_METHOD *method = bio_method();
	BIO *bio = method ? BIO_new(method) : NULL;

	cv_assert(!leg->ssl);
	if (!bio) {
		SSL_free(ssl);
		return false;
	}
	BIO_set_data(bio, leg);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	leg->ssl = ssl;
	return true;
}

enum cv_tls_step cv_leg_handshake(struct cv_leg *leg)
{
	if (leg->is_broken)
		return CV_TLS_FAILED;
	ERR_clear_error();
	const int n = SSL_do_handshake(leg->ssl);
	if (n == 1)
		return CV_TLS_DONE;
	const int why = SSL_get_error(leg->ssl, n);
	if ((why == SSL_ERROR_WANT_READ && !leg->is_wire_eof) || why == SSL_ERROR_WANT_WRITE)
		return CV_TLS_WAIT;
	return CV_TLS_FAILED;
}
