/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwt.h - signed assertions (RFC 7515, RFC 7519) from a private key in PEM
 *
 * For issuers that take a JWT of the client's as proof: Google's service accounts, GitHub Apps.
 * Nothing is verified here.  Messages never say anything of the key but its kind.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "cred/limits_refresh.h"

enum cv_jwt_alg { CV_JWT_RS256, CV_JWT_ES256, CV_JWT_EDDSA };

struct cv_jwt_claim {
	const char *name;
	struct cv_str text; /* a string claim; left out if p is NULL */
	int64_t number;     /* with is_number */
	bool is_number;
};

/* Appends header.claims.signature.  pem: PKCS#8, PKCS#1 or SEC1, not encrypted; `\n` written as
 * two characters, as environment variables have it, is a line end.  kid may be empty.
 * CV_INVALID: the key cannot be read, is of another kind, or is too short; CV_LIMIT: too large. */
CV_MUST cv_code cv_jwt_sign(enum cv_jwt_alg alg, struct cv_str pem, struct cv_str kid,
	const struct cv_jwt_claim *claims, size_t claim_count, struct cv_buf *ret,
	struct cv_err *err);
