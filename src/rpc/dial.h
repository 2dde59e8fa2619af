/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.h - a connection to a server of ours: names, addresses, TLS; bytes in both directions
 *
 * Opening waits (name lookup, connecting and the handshake are answered in turn, all within one
 * timeout but for the lookup, which has the resolver's own); after that nothing waits.  What fails
 * is said in a sentence that names the place and what to do about it.
 */
#pragma once
#include "rpc/client.h"

#include <openssl/ssl.h>

#define CV_RPC_WHERE_BYTES 320 /* a name of 253 characters, a port, brackets */

struct cv_rpc_dialled {
	int fd;                           /* non-blocking; -1: closed */
	SSL *ssl;                         /* NULL: plaintext */
	SSL_CTX *ctx;                     /* NULL: plaintext */
	bool was_asked;                   /* for a certificate of ours */
	bool has_certificate;             /* of ours, to show */
	bool wants_write, wants_read;     /* TLS can't go on without (renewed by each call) */
	char where[CV_RPC_WHERE_BYTES];   /* "host:port", as an authority */
	struct cv_rpc_tunnel_end *tunnel; /* NULL: the bytes are on the connection itself */
};

/* CV_INVALID: the endpoint; CV_UNAVAILABLE: nobody answers, or not in h2; CV_DENIED: certificate. */
CV_MUST cv_code cv_rpc_dial(const struct cv_rpc_endpoint *e, int timeout_ms,
	struct cv_rpc_dialled *ret, struct cv_err *err);
void cv_rpc_dialled_close(struct cv_rpc_dialled *d);

/* CV_OK and *ret 0: not now.  CV_UNAVAILABLE: the connection is lost; CV_DENIED: the server wants
 * another certificate of ours, or one at all. */
CV_MUST cv_code cv_rpc_dialled_read(
	struct cv_rpc_dialled *d, void *to, size_t n, size_t *ret, struct cv_err *err);
CV_MUST cv_code cv_rpc_dialled_write(
	struct cv_rpc_dialled *d, struct cv_str s, size_t *ret, struct cv_err *err);

/* The connection ended (err says how) before the server said a word of HTTP/2.  Many servers close
 * without an alert when they do not like our certificate: then that is said, with CV_DENIED. */
cv_code cv_rpc_dialled_why(const struct cv_rpc_dialled *d, struct cv_err *err);
