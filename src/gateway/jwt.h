/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwt.h - tokens that others show us (RFC 7515, 7517, 7519): read, then verified
 *
 * One algorithm per key: it comes from the key, and a token whose header says another is refused;
 * `none` is no algorithm.  Claims of a token that was not verified are for choosing the key alone.
 * Reading and verifying make no system call and read no clock.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"
#include "cred/jwt.h" /* enum cv_jwt_alg */

#include <openssl/evp.h>

#define CV_JWT_TOKEN_BYTES_MAX (16u << 10) /* of a token: fits the field of a head */
#define CV_JWT_KID_BYTES_MAX   256
#define CV_JWKS_KEYS_MAX       64 /* issuers have two or three */
#define CV_JWKS_BYTES_MAX      (256u << 10)
#define CV_JWT_LEEWAY_S        60 /* clocks of issuers differ from ours */

struct cv_jwt {
	enum cv_jwt_alg alg;
	struct cv_str kid; /* may be empty */
	const struct cv_value *header, *claims;
	struct cv_str signed_part, signature; /* what was signed; the bytes */
};

struct cv_jwt_key {
	enum cv_jwt_alg alg;
	char kid[CV_JWT_KID_BYTES_MAX];
	EVP_PKEY *pkey;
};

struct cv_jwks {
	struct cv_jwt_key key[CV_JWKS_KEYS_MAX];
	size_t n;
};

/* Everything is in arena or borrows text.  CV_INVALID: no JWT that we would verify. */
CV_MUST cv_code cv_jwt_read(
	struct cv_str text, struct cv_arena *arena, struct cv_jwt *ret, struct cv_err *err);
CV_MUST bool cv_jwt_verify(const struct cv_jwt *t, const struct cv_jwt_key *key);

/* exp, nbf and iat, with leeway: CV_DENIED with the reason.  may_last: one of our own, which may be
 * without exp, and whose iat is not looked at. */
CV_MUST cv_code cv_jwt_check_times(
	const struct cv_jwt *t, int64_t now_s, bool may_last, struct cv_err *err);
/* aud is the audience, or a list that has it. */
CV_MUST bool cv_jwt_has_audience(const struct cv_jwt *t, struct cv_str audience);
/* A claim by a dotted path ("realm_access.roles"); a claim with dots in its name wins.  NULL. */
const struct cv_value *cv_jwt_claim_at(const struct cv_jwt *t, struct cv_str path);

/* Keys for signatures; those that we can't use are left out.  CV_INVALID: no JSON of that shape. */
CV_MUST cv_code cv_jwks_read(struct cv_str text, struct cv_jwks *ret, struct cv_err *err);
void cv_jwks_fini(struct cv_jwks *k);
/* The key with this id, or without an id the only key of the algorithm; NULL. */
const struct cv_jwt_key *cv_jwks_find(
	const struct cv_jwks *k, struct cv_str kid, enum cv_jwt_alg alg);
/* One public key as JWK, for Ed25519: {"kty":"OKP",...}. */
bool cv_jwk_write(struct cv_buf *out, const struct cv_jwt_key *key);
