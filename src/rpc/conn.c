/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - one connection: bytes in, bytes out, TLS, and which protocol it is
 *
 * The socket is watched edge-triggered, once.  An edge sets can_read or can_write; a call that
 * takes less than it could have, or EAGAIN, clears it.  A short read means that the socket is empty
 * (epoll(7)), except behind a hangup.  Bytes are read into the server's one buffer and eaten at
 * once by the protocol, so a connection that waits has none.
 *
 *     HANDSHAKE ─► PREFACE ─► H1 ─┬► LINGER ─► closed
 *                        └──► H2 ─┘
 *
 * TLS reads and writes the socket by a BIO of our own: send() must not raise SIGPIPE, and a short
 * read is to be noticed.
 */
#include "rpc/server_int.h"

#include "base/assert.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_RECORD_HANDSHAKE 22 /* RFC 8446 5.1 */

static const struct cv_str preface = { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CV_H2_PREFACE_BYTES };

static int64_t now_of(const struct cv_rpc_conn *c)
{
	return c->server->config.loop->now_ms;
}

static void state_set(struct cv_rpc_conn *c, enum cv_rpc_conn_state state)
{
	c->state = (uint8_t)state;
	c->since_ms = c->idle_ms = now_of(c);
}

/* ---- the socket ---- */

/* As recv(): 0 at the end, -1 with EAGAIN when there is nothing now. */
static ssize_t socket_read(struct cv_rpc_conn *c, void *to, size_t n)
{
	ssize_t got;

	if (!c->can_read) {
		errno = EAGAIN;
		return -1;
	}
	do
		got = recv(c->fd, to, n, 0);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		c->read_ms = now_of(c);
		c->is_pinged = false;
		if ((size_t)got < n && !c->has_hangup)
			c->can_read = false;
		return got;
	}
	c->can_read = false;
	if (got == 0)
		c->is_eof = true;
	else if (errno != EAGAIN)
		c->is_broken = true;
	return got;
}

static ssize_t socket_write(struct cv_rpc_conn *c, const void *from, size_t n)
{
	ssize_t put;

	if (!c->can_write) {
		errno = EAGAIN;
		return -1;
	}
	do
		put = send(c->fd, from, n, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	if (put > 0)
		c->sent_ms = now_of(c);
	if (put < (ssize_t)n)
		c->can_write = false;
	if (put < 0 && errno != EAGAIN)
		c->is_broken = true;
	return put;
}

/* ---- TLS ---- */

static int bio_read(BIO *b, char *to, int n)
{
	const ssize_t got = socket_read(BIO_get_data(b), to, (size_t)n);

	BIO_clear_retry_flags(b);
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	return (int)got;
}

static int bio_write(BIO *b, const char *from, int n)
{
	const ssize_t put = socket_write(BIO_get_data(b), from, (size_t)n);

	BIO_clear_retry_flags(b);
	if (put < 0 && errno == EAGAIN)
		BIO_set_retry_write(b);
	return (int)put;
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
	const struct cv_rpc_conn *c = BIO_get_data(b);

	(void)n;
	(void)p;
	if (what == BIO_CTRL_EOF)
		return c->is_eof;
	return what == BIO_CTRL_FLUSH;
}

static BIO *bio_make(struct cv_rpc_conn *c)
{
	static BIO_METHOD *method; /* made once, as the library wants it */
	BIO *b;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rpc");
		if (!method)
			return NULL;
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	b = BIO_new(method);
	if (b) {
		BIO_set_data(b, c);
		BIO_set_init(b, 1);
	}
	return b;
}

static bool tls_start(struct cv_rpc_conn *c, SSL_CTX *tls)
{
	static const unsigned char context[] = "cove-rpc";
	BIO *b;

	c->ssl = SSL_new(tls);
	b = c->ssl ? bio_make(c) : NULL;
	if (!b)
		return false;
	SSL_set_bio(c->ssl, b, b);
	SSL_set_accept_state(c->ssl);
	SSL_set_read_ahead(c->ssl, 1);
	SSL_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* with certificates of clients the library resumes no session without it */
	return SSL_set_session_id_context(c->ssl, context, sizeof(context) - 1) == 1;
}

/* What SSL_read() or SSL_write() returned; -1 with EAGAIN: later. */
static ssize_t tls_result(struct cv_rpc_conn *c, int n)
{
	if (n > 0)
		return n;
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
	case SSL_ERROR_ZERO_RETURN: c->is_eof = true; return 0;
	default:
		ERR_clear_error();
		c->is_broken = true;
		errno = ECONNRESET;
		return -1;
	}
}

static ssize_t text_read(struct cv_rpc_conn *c, char *to, size_t n)
{
	size_t have = 0;

	if (!c->ssl)
		return socket_read(c, to, n);
	while (have < n) {
		ERR_clear_error();
		const ssize_t got = tls_result(c, SSL_read(c->ssl, to + have, (int)(n - have)));

		if (got <= 0)
			return have ? (ssize_t)have : got;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

static ssize_t text_write(struct cv_rpc_conn *c, const char *from, size_t n)
{
	if (!c->ssl)
		return socket_write(c, from, n);
	ERR_clear_error();
	return tls_result(c, SSL_write(c->ssl, from, (int)n));
}

/* Before anything is read: a first byte that no handshake begins with, from this machine, is
 * plaintext for another host.  False: there is no byte yet. */
static bool first_byte_look(struct cv_rpc_conn *c)
{
	const struct cv_rpc_relay_handler *h = c->server->config.relay;
	unsigned char first = TLS_RECORD_HANDSHAKE;

	if (!h || !h->may_be_clear || !c->is_loopback || c->is_looked_at)
		return true;
	if (recv(c->fd, &first, 1, MSG_PEEK) < 0 && errno == EAGAIN) {
		c->can_read = false;
		return false;
	}
	c->is_looked_at = true;
	if (first == TLS_RECORD_HANDSHAKE || !h->may_be_clear(c->server->config.arg))
		return true;
	SSL_free(c->ssl);
	c->ssl = NULL;
	c->is_clear = true;
	state_set(c, CV_RPC_CONN_H1);
	return true;
}

static void handshake_step(struct cv_rpc_conn *c)
{
	const unsigned char *name;
	unsigned int n;

	if (!first_byte_look(c) || c->is_clear)
		return;
	ERR_clear_error();
	if (tls_result(c, SSL_do_handshake(c->ssl)) <= 0)
		return;
	if (SSL_get_verify_result(c->ssl) == X509_V_OK &&
		(SSL_get_verify_mode(c->ssl) & SSL_VERIFY_PEER))
		c->certificate = SSL_get1_peer_certificate(c->ssl);
	SSL_get0_alpn_selected(c->ssl, &name, &n);
	state_set(c, n == 8 ? CV_RPC_CONN_H1 : CV_RPC_CONN_PREFACE);
	if (n == 2 && !cv_rpc_h2_start(c))
		c->is_broken = true;
	else if (n == 2)
		state_set(c, CV_RPC_CONN_H2);
}

/* ---- life ---- */

struct cv_rpc_conn *cv_rpc_conn_new(struct cv_rpc_server *s, int fd, SSL_CTX *tls)
{
	struct cv_rpc_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = s;
	c->fd = fd;
	c->can_write = true;
	c->read_ms = c->sent_ms = s->config.loop->now_ms;
	cv_buf_init(&c->in, CV_RPC_HEAD_BYTES_MAX + CV_RPC_IO_BYTES);
	cv_buf_init(&c->out, CV_RPC_UNSENT_BYTES_MAX);
	state_set(c, tls ? CV_RPC_CONN_HANDSHAKE : CV_RPC_CONN_PREFACE);
	if (tls && !tls_start(c, tls)) {
		SSL_free(c->ssl);
		free(c);
		return NULL;
	}
	return c;
}

void cv_rpc_conn_free(struct cv_rpc_conn *c)
{
	while (c->xchgs)
		cv_rpc_xchg_detach(c->xchgs);
	cv_rpc_tunnel_free(c);
	cv_rpc_conn_forget(c->server, c);
	nghttp2_session_del(c->h2);
	close(c->fd);
	SSL_free(c->ssl);
	X509_free(c->certificate);
	cv_buf_fini(&c->in);
	cv_buf_fini(&c->out);
	free(c->chunk);
	free(c);
}

/* ---- in ---- */

static bool is_reading(const struct cv_rpc_conn *c)
{
	if (c->is_broken || c->is_eof)
		return false;
	/* one request after another, and no more of the next ones than a buffer */
	return c->state != CV_RPC_CONN_H1 || cv_buf_len(&c->in) < CV_RPC_HEAD_BYTES_MAX;
}

/* Bytes were held back, the last ones perhaps, and by now there is room for them. */
static bool is_body_movable(const struct cv_rpc_conn *c)
{
	return c->is_body_held && c->is_h1_busy &&
	       cv_buf_len(&c->xchgs->in) < CV_RPC_RELAY_IN_BYTES && !c->is_broken;
}

bool cv_rpc_conn_wants_read(const struct cv_rpc_conn *c)
{
	return is_body_movable(c) || (is_reading(c) && (c->can_read || c->has_more));
}

/* Which protocol the first bytes are. */
static void preface_look(struct cv_rpc_conn *c)
{
	const struct cv_str have = cv_buf_str(&c->in);
	const size_t n = CV_MIN(have.n, preface.n);

	if (memcmp(have.p, preface.p, n) != 0) {
		state_set(c, CV_RPC_CONN_H1);
		cv_rpc_h1_receive(c);
		return;
	}
	if (n < preface.n)
		return;
	if (!cv_rpc_h2_start(c)) {
		c->is_broken = true;
		return;
	}
	state_set(c, CV_RPC_CONN_H2);
	cv_rpc_h2_receive(c, have);
	cv_buf_fini(&c->in);
}

static void bytes_take(struct cv_rpc_conn *c, struct cv_str bytes)
{
	switch ((enum cv_rpc_conn_state)c->state) {
	case CV_RPC_CONN_H2:
		if (c->tunnel)
			cv_rpc_tunnel_receive(c, bytes);
		else
			cv_rpc_h2_receive(c, bytes);
		return;
	case CV_RPC_CONN_LINGER: return;
	case CV_RPC_CONN_PREFACE:
	case CV_RPC_CONN_H1:
		if (!cv_buf_put(&c->in, bytes)) {
			c->is_broken = true;
			return;
		}
		if (c->state == CV_RPC_CONN_PREFACE)
			preface_look(c);
		else
			cv_rpc_h1_receive(c);
		return;
	case CV_RPC_CONN_HANDSHAKE: break;
	}
	cv_unreachable();
}

void cv_rpc_conn_receive(struct cv_rpc_conn *c)
{
	ssize_t n;

	if (c->state == CV_RPC_CONN_HANDSHAKE)
		handshake_step(c);
	if (c->state == CV_RPC_CONN_HANDSHAKE)
		return;
	if (c->state == CV_RPC_CONN_H1 && c->in.data)
		cv_rpc_h1_receive(c); /* the next request, perhaps */
	if (!is_reading(c) || (!c->can_read && !(c->ssl && SSL_has_pending(c->ssl))))
		return;
	n = text_read(c, c->server->io, sizeof(c->server->io));
	c->has_more = c->ssl && n == sizeof(c->server->io); /* perhaps, and no edge would say so */
	if (n > 0) {
		bytes_take(c, (struct cv_str){ c->server->io, (size_t)n });
		/* A credential, perhaps; the next bytes may be fewer. */
		explicit_bzero(c->server->io, (size_t)n);
	}
}

/* ---- out ---- */

/* What the socket does not take is kept. */
static void out_write(struct cv_rpc_conn *c, struct cv_str s)
{
	while (s.n) {
		const ssize_t n = text_write(c, s.p, s.n);

		if (n <= 0)
			break;
		s = cv_str_slice(s, (size_t)n, s.n);
	}
	if (s.n && !c->is_broken && !cv_buf_put(&c->out, s))
		c->is_broken = true;
}

static void out_flush(struct cv_rpc_conn *c)
{
	while (cv_buf_len(&c->out)) {
		const struct cv_str s = cv_buf_str(&c->out);
		const ssize_t n = text_write(c, s.p, s.n);

		if (n <= 0)
			return;
		cv_buf_skip(&c->out, (size_t)n);
	}
	cv_buf_fini(&c->out); /* who waits has no buffer */
}

static void h2_send(struct cv_rpc_conn *c)
{
	struct cv_rpc_server *s = c->server;
	const size_t head = c->tunnel ? CV_WS_HEAD_BYTES_MAX : 0;
	size_t n;

	do {
		n = cv_rpc_h2_fill(c, s->io + head, sizeof(s->io) - head);
		if (n && c->tunnel)
			out_write(c, cv_rpc_tunnel_frame(s->io + head, n));
		else if (n)
			out_write(c, (struct cv_str){ s->io, n });
	} while (n && !c->out.data && !c->is_broken);
}

/* A pong, a close frame: when nothing is unsent. */
static void control_send(struct cv_rpc_conn *c)
{
	char room[CV_RPC_TUNNEL_CONTROL_BYTES];

	if (!c->tunnel || c->state != CV_RPC_CONN_H2 || c->out.data || c->is_broken)
		return;
	out_write(c, cv_rpc_tunnel_control(c, room));
}

void cv_rpc_conn_tunnel(struct cv_rpc_conn *c)
{
	state_set(c, CV_RPC_CONN_H2);
	cv_rpc_tunnel_begin(c);
}

static void h1_send(struct cv_rpc_conn *c)
{
	do {
		cv_rpc_h1_fill(c);
		out_flush(c);
	} while (!c->out.data && !c->is_broken && c->is_h1_busy && c->xchgs &&
		 cv_buf_len(&c->xchgs->out));
}

/* Nothing is left to be sent: shut our side, and wait a moment for the peer to have it. */
static void end_begin(struct cv_rpc_conn *c)
{
	if (c->ssl && !c->is_broken) {
		ERR_clear_error();
		SSL_shutdown(c->ssl);
	}
	shutdown(c->fd, SHUT_WR);
	state_set(c, CV_RPC_CONN_LINGER);
}

void cv_rpc_conn_send(struct cv_rpc_conn *c)
{
	if (c->is_broken || c->state == CV_RPC_CONN_HANDSHAKE || c->state == CV_RPC_CONN_LINGER)
		return;
	out_flush(c);
	if (!c->is_ending)
		control_send(c);
	if (!c->out.data && c->state == CV_RPC_CONN_H2)
		h2_send(c);
	else if (!c->out.data && c->state == CV_RPC_CONN_H1)
		h1_send(c);
	if (c->state == CV_RPC_CONN_H2 && !nghttp2_session_want_read(c->h2) &&
		!nghttp2_session_want_write(c->h2))
		c->is_ending = true; /* GOAWAY was said, and the last stream has ended */
	if (c->is_ending)
		control_send(c);
	if (c->is_ending && !c->out.data && !c->is_broken)
		end_begin(c);
}

/* Some clients of HTTP/1 say so when they have asked; an answer goes to them, a stream does not. */
static bool is_waiting(const struct cv_rpc_conn *c)
{
	return c->state == CV_RPC_CONN_H1 && c->is_h1_busy && c->xchgs->is_in_ended &&
	       (!c->xchgs->is_head_sent || c->xchgs->is_out_ended);
}

bool cv_rpc_conn_is_over(const struct cv_rpc_conn *c)
{
	/* a hangup behind bytes that are not read now is as good as the end */
	const bool is_gone = c->is_eof || (c->has_hangup && !is_reading(c));

	return c->is_broken || (is_gone && !is_waiting(c));
}

/* ---- clocks ---- */

/* Where many are, one of whom nothing is known must not keep others out by waiting. */
static bool is_in_the_way(const struct cv_rpc_conn *c, int64_t now)
{
	const struct cv_rpc_server *s = c->server;

	return !c->is_known && s->conn_count >= CV_RPC_CROWD(s->conns_max) && !c->xchgs &&
	       now - CV_MIN(c->since_ms, c->idle_ms) >= CV_RPC_CROWD_MS;
}

static bool is_silent(const struct cv_rpc_conn *c, int64_t now)
{
	switch ((enum cv_rpc_conn_state)c->state) {
	case CV_RPC_CONN_HANDSHAKE:
	case CV_RPC_CONN_PREFACE: return now - c->since_ms >= CV_RPC_HANDSHAKE_MS;
	case CV_RPC_CONN_LINGER: return now - c->since_ms >= CV_RPC_LINGER_MS;
	case CV_RPC_CONN_H1:
		if (c->is_h1_busy)
			return !c->xchgs->is_relay && /* its handler has clocks of its own */
			       now - CV_MAX(c->read_ms, c->since_ms) >= CV_RPC_BODY_MS &&
			       (!c->xchgs->is_in_ended || !is_reading(c)); /* too far ahead */
		return now - c->since_ms >= (c->in.data ? CV_RPC_HEAD_MS : CV_RPC_KEEP_MS);
	case CV_RPC_CONN_H2:
		return c->is_pinged && now - c->read_ms >= CV_RPC_PING_MS + CV_RPC_PONG_MS;
	}
	cv_unreachable();
}

void cv_rpc_conn_sweep(struct cv_rpc_conn *c, int64_t now)
{
	if (is_silent(c, now) || is_in_the_way(c, now) ||
		(c->out.data && now - c->sent_ms >= CV_RPC_STALL_MS)) {
		c->is_broken = true;
		cv_rpc_dirty(c);
		return;
	}
	if (c->state != CV_RPC_CONN_H2)
		return;
	cv_rpc_h2_sweep(c, now);
	if (!c->xchgs && now - c->idle_ms >= CV_RPC_IDLE_MS && !c->is_ending) {
		cv_rpc_conn_drain(c);
		cv_rpc_dirty(c);
	} else if (!c->is_pinged && now - c->read_ms >= CV_RPC_PING_MS) {
		c->is_pinged = true;
		cv_rpc_h2_ping(c);
		cv_rpc_dirty(c);
	}
}

void cv_rpc_conn_drain(struct cv_rpc_conn *c)
{
	if (c->state == CV_RPC_CONN_H2)
		cv_rpc_h2_goaway(c, NGHTTP2_NO_ERROR);
	else if (!c->is_h1_busy)
		c->is_ending = true;
	c->is_keep_alive = false;
}
