/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - TLS towards the sandbox: this proxy's own key, a leaf for the name asked
 *
 * The key pair is made here at the first use and never leaves; the keeper signs its public half
 * into one leaf per name.  Session tickets are encrypted with keys of this process alone, so no
 * other sandbox's proxy accepts them (threats T22).  A resumed session still names its host: the
 * caller compares SNI with the destination on every connection.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <openssl/ssl.h>

struct cv_tls_server;

CV_MUST cv_code cv_tls_server_new(struct cv_tls_server **ret, struct cv_err *err); /* cheap: lazy */
void cv_tls_server_free(struct cv_tls_server *s);

/* The public key as DER SubjectPublicKeyInfo, for the keeper. */
CV_MUST cv_code cv_tls_server_spki(struct cv_tls_server *s, struct cv_buf *ret, struct cv_err *err);

/* A connection on fd (non-blocking; not owned), in accept state, with leaf as its certificate
 * (referenced, not taken).  ALPN: h2 or http/1.1, whichever the client named first; one that
 * offers neither gets the alert no_application_protocol (RFC 7301 section 3.2). */
CV_MUST cv_code cv_tls_server_ssl(
	struct cv_tls_server *s, int fd, X509 *leaf, SSL **ret, struct cv_err *err);

/* Instead of h2 and http/1.1 only this one: an ALPN name with its length before it; static.  Before
 * the handshake. */
#define CV_TLS_ALPN_HTTP1 "\x08http/1.1"
void cv_tls_server_alpn(SSL *ssl, const char *name);
