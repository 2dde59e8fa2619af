/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - TLS towards upstreams: verified against the roots, for exactly one name
 *
 * Process:   cove-proxy.  Everything is lazy: a sandbox that never speaks TLS pays for none of it
 *            (parsing the system's roots alone takes milliseconds).
 * Sessions:  one is kept per name for resumption, bounded; they belong to this process, hence to
 *            one sandbox (threats T22).
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <openssl/ssl.h>

struct cv_tls_client;

/* roots is PEM, borrowed for the life of the client.  CV_LIMIT. */
CV_MUST cv_code cv_tls_client_new(
	struct cv_str roots, struct cv_tls_client **ret, struct cv_err *err);
void cv_tls_client_free(struct cv_tls_client *c);

/* A connection on fd (non-blocking; not owned), in connect state: SNI and verification for host
 * (canonical text; an address is verified as an address and sends no SNI), TLS 1.2 or newer, ALPN
 * http/1.1 (behind h2 if offers_h2), the kept session offered.  CV_INVALID when the roots can't be
 * read, CV_SYSTEM. */
CV_MUST cv_code cv_tls_client_ssl(struct cv_tls_client *c, int fd, struct cv_str host,
	bool host_is_ip, bool offers_h2, SSL **ret, struct cv_err *err);

/* Why a handshake failed, for a 502 and its audit event: the verification error if there was one,
 * else the library's reason.  Static storage, or until the next call. */
const char *cv_tls_failure_text(const SSL *ssl);
