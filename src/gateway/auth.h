/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - who calls: tokens of sandboxes, and what the OIDC part proves of users' tokens
 */
#pragma once
#include "gateway/gateway.h"
#include "gateway/jwt.h"

/* A token for the sandbox (openshell-api 2.2): appended to ret, ends after tokens.ttl_secs (in any
 * case after an hour, if others run the sandbox).
 * *ret_expires_at_ms (may be NULL) is 0 when it doesn't. */
CV_MUST cv_code cv_gw_token_mint(struct cv_gateway *g, struct cv_str sandbox_id, struct cv_buf *ret,
	int64_t *ret_expires_at_ms, struct cv_err *err);

/* By its issuer, unverified: would this be a token for us? */
bool cv_gw_token_is_known(const struct cv_gateway *g, struct cv_str token);

/* {"keys":[...]}: the public halves of our keys. */
void cv_gw_jwks_write(const struct cv_gateway *g, struct cv_buf *out);

/* oidc.c: a user's token.  UNAVAILABLE: the issuer's keys are being fetched. */
CV_MUST enum cv_rpc_status cv_gw_oidc_verify(struct cv_gateway *g, const struct cv_jwt *token,
	struct cv_principal *ret, struct cv_err *err);
