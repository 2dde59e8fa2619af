/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_auth.h - proving to a PostgreSQL server that one knows a password
 *
 * SCRAM-SHA-256 (RFC 5802, RFC 7677), with the channel bound to the server's certificate
 * (tls-server-end-point, RFC 5929) where the server offers it, and the MD5 answer of older
 * servers.  Pure: the nonce and the certificate's hash come in as arguments.  Passwords are taken
 * as they are; what SASLprep would change (some non-ASCII letters) has to be given prepared.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/sha256.h"

#define CV_SCRAM_NONCE_BYTES       18     /* random; 24 characters as text, as libpq has */
#define CV_SCRAM_TEXT_BYTES_MAX    1024   /* of a server's message: salt, nonces, a number */
#define CV_SCRAM_ITERATIONS_MIN    4096   /* RFC 7677 4; fewer would help who listens to guess */
#define CV_SCRAM_ITERATIONS_MAX    200000 /* 50 ms of work; servers ask for 4096 unless told */
#define CV_SCRAM_BINDING_BYTES_MAX 64     /* a SHA-512 */

#define CV_SCRAM_PLAIN             CV_STR("SCRAM-SHA-256")
#define CV_SCRAM_PLUS              CV_STR("SCRAM-SHA-256-PLUS")

enum cv_scram_phase { CV_SCRAM_NEW, CV_SCRAM_FIRST, CV_SCRAM_SENT, CV_SCRAM_PROVEN };

struct cv_scram {
	enum cv_scram_phase phase;
	char first[64]; /* client-first-message-bare */
	size_t first_n;
	char binding[16 + 2 * CV_SCRAM_BINDING_BYTES_MAX + 32]; /* c=... */
	size_t binding_n;
	unsigned char server_signature[CV_SHA256_BYTES];
};

/* Chooses from the mechanisms of AuthenticationSASL (zero-terminated names, then one zero byte)
 * and appends the first message.  certificate_hash empty: no channel binding is possible here.
 * CV_PROTO: the list is malformed; CV_UNAVAILABLE: nothing in it is known. */
CV_MUST cv_code cv_scram_start(struct cv_scram *s, struct cv_str mechanisms,
	struct cv_str certificate_hash, const unsigned char nonce[CV_SCRAM_NONCE_BYTES],
	struct cv_str *ret_mechanism, struct cv_buf *ret, struct cv_err *err);

/* Appends the answer to the server's first message.  CV_PROTO. */
CV_MUST cv_code cv_scram_answer(struct cv_scram *s, struct cv_str server_first,
	struct cv_str password, struct cv_buf *ret, struct cv_err *err);

/* The server knows the password too; without this its AuthenticationOk must not be believed.
 * CV_PROTO, CV_DENIED. */
CV_MUST cv_code cv_scram_finish(struct cv_scram *s, struct cv_str server_final, struct cv_err *err);

#define CV_PG_MD5_TEXT_BYTES 36 /* "md5", 32 digits, NUL */

/* "md5" and md5(md5(password user) salt) in hex. */
void cv_pg_md5_answer(struct cv_str user, struct cv_str password, const unsigned char salt[4],
	char ret[CV_PG_MD5_TEXT_BYTES]);
