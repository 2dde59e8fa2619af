/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.h - AWS Signature Version 4, made anew for a request that a sandbox sends
 *
 * The sandbox's SDK signs with placeholders.  That signature is dropped, and this one, with the
 * real keys, is put in its place (C12).  Pure: the clock is an argument.
 *
 * What a caller does, in this order:
 *
 *   1. cv_sigv4_region()   which region the host is in; another than the endpoint fixes is refused
 *   2. cv_sigv4_payload()  how the body is covered; HASH means: buffer it, at most
 *                          CV_SIGV4_BODY_BYTES_MAX, and give its SHA-256
 *   3. cv_sigv4_sign()     the headers to remove and to set, and path and query to send
 *
 * Signed are Host, Content-Type, Content-MD5, every x-amz-*, and what the dropped signature had
 * covered, save what a proxy has to change (Content-Length, Accept-Encoding, hop-by-hop).
 *
 * A request that carries a signature in its query (presigned, by SigV4 or by the older Signature
 * Version 2) is refused: it is either made with placeholders by an SDK that can sign headers as
 * well, or it is a foreign credential (C5).
 *
 * Ownership: results are in the caller's arena and borrow from the request.  The arena holds no
 * secret: derived keys are wiped before the return; the session token is in a header's value.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/sha256.h"
#include "cred/http.h"
#include "cred/limits_refresh.h"

/* clang-format off */
/* What an endpoint's `credential_signing` says. */
#define CV_SIGV4_MODES(X)             \
	X(AUTO, "sigv4")              \
	X(BODY, "sigv4:body")         \
	X(NO_BODY, "sigv4:no_body")
/* clang-format on */
#define CV_SIGV4_MODE_ENUM(name, text) CV_SIGV4_##name,
enum cv_sigv4_mode { CV_SIGV4_MODES(CV_SIGV4_MODE_ENUM) CV_SIGV4_MODE_COUNT };
#undef CV_SIGV4_MODE_ENUM

/* How the signature covers the body. */
enum cv_sigv4_payload {
	CV_SIGV4_PAYLOAD_HASH,     /* SHA-256 of all of it */
	CV_SIGV4_PAYLOAD_UNSIGNED, /* not at all: UNSIGNED-PAYLOAD */
	CV_SIGV4_PAYLOAD_TRAILER, /* STREAMING-UNSIGNED-PAYLOAD-TRAILER: aws-chunked, passed as it is */
};

struct cv_sigv4_keys {
	struct cv_str id, secret;
	struct cv_str session_token; /* empty: none */
};

struct cv_sigv4_request {
	struct cv_str method;
	struct cv_str host;  /* as Host is sent, with the port if that is sent */
	struct cv_str path;  /* raw, from the first slash */
	struct cv_str query; /* raw, without the question mark */
	const struct cv_cred_header *headers;
	size_t header_count;
};

struct cv_sigv4_scope {
	struct cv_str region, service;
	int64_t now_s;
};

#define CV_SIGV4_SET_MAX 4 /* Authorization, date, token, hash */

/* Remove every header that cv_sigv4_is_dropped() names, then add these. */
struct cv_sigv4_result {
	struct cv_cred_header set[CV_SIGV4_SET_MAX];
	size_t set_count;
	struct cv_str path, query; /* what was signed, in wire form: send this */
};

/* AUTO for "sigv4", and so on; false if it is none. */
CV_MUST bool cv_sigv4_mode_parse(struct cv_str text, enum cv_sigv4_mode *ret);

/* The region of a host below amazonaws.com(.cn); global hosts are us-east-1 (cn-north-1).  fixed,
 * if not empty, is what the endpoint says: it decides where the host says nothing, and CV_DENIED
 * where the host says another.  CV_INVALID when neither says.  *ret borrows from both. */
CV_MUST cv_code cv_sigv4_region(
	struct cv_str host, struct cv_str fixed, struct cv_str *ret, struct cv_err *err);

/* sha256 is the value of x-amz-content-sha256, p NULL without one; has_length: the body's length is
 * known, also when there is no body.  CV_DENIED: a payload that is signed chunk by chunk, which
 * nobody can do anew without reading all chunks. */
CV_MUST cv_code cv_sigv4_payload(enum cv_sigv4_mode mode, struct cv_str sha256, bool has_length,
	enum cv_sigv4_payload *ret, struct cv_err *err);

/* The client's own signature and what belongs to it: never sent on. */
bool cv_sigv4_is_dropped(struct cv_str header);

/* body_sha256 (CV_SHA256_BYTES bytes) only with PAYLOAD_HASH.  CV_DENIED: the query has a
 * signature.  CV_LIMIT: too many headers or parameters, or the arena is full.  CV_INVALID: a key
 * or the scope cannot stand in a header. */
CV_MUST cv_code cv_sigv4_sign(const struct cv_sigv4_request *request,
	const struct cv_sigv4_keys *keys, const struct cv_sigv4_scope *scope,
	enum cv_sigv4_payload payload, const unsigned char *body_sha256, struct cv_arena *arena,
	struct cv_sigv4_result *ret, struct cv_err *err);
