/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issuer.h - somebody else's signing keys, and whether a token is theirs and for us
 *
 * There are two of them: the issuer of users' tokens (oidc.c), and the edge proxy that says who is
 * behind it (edge.c).  What each is called, and for whom its tokens are, comes from the present
 * configuration at each use, so a reload is nothing but other words.
 *
 * Process:  cove-gateway.  Nothing blocks (curl_loop.h).
 */
#pragma once
#include "gateway/gateway.h"
#include "gateway/jwt.h"

struct cv_gw_issuer;

struct cv_gw_issuer_words { /* borrowed from the configuration */
	const char *part;   /* in log lines */
	struct cv_str name; /* `iss` of its tokens; empty: there is no such issuer */
	struct cv_str audience;
	struct cv_str keys_url; /* where its keys are; empty: ... */
	const char *keys_path;  /* ... behind its name; NULL: its discovery document says it */
	struct cv_str ca;       /* a file of authorities for it; empty: the system's */
	uint32_t ttl_s;         /* of its keys */
};
typedef struct cv_gw_issuer_words cv_gw_issuer_words_fn(const struct cv_gw_config *c);

/* watch_kind is for nothing else. */
CV_MUST cv_code cv_gw_issuer_new(struct cv_gateway *g, uint8_t watch_kind,
	cv_gw_issuer_words_fn *words, struct cv_gw_issuer **ret, struct cv_err *err);
void cv_gw_issuer_free(struct cv_gw_issuer *i); /* NULL is fine */
void cv_gw_issuer_reload(struct cv_gw_issuer *i);
void cv_gw_issuer_event(struct cv_gw_issuer *i, const struct cv_loop_event *e);
int64_t cv_gw_issuer_turn(struct cv_gw_issuer *i); /* as a part's */

/* Issuer, key, signature, audience, dates.  UNAUTHENTICATED; UNAVAILABLE: its keys are being
 * fetched, try again. */
CV_MUST enum cv_rpc_status cv_gw_issuer_verify(
	struct cv_gw_issuer *i, const struct cv_jwt *t, struct cv_err *err);

/* ---- claims.c: what a verified token's claims mean here ---- */

/* subject and display_name.  False: it names nobody, or by a name that is too long. */
CV_MUST bool cv_gw_claims_name(const struct cv_jwt *t, struct cv_principal *who);
/* By the names of the two roles; either may be empty.  PERMISSION_DENIED: it has neither. */
CV_MUST enum cv_rpc_status cv_gw_claims_roles(const struct cv_jwt *t, struct cv_str path,
	struct cv_str admin_role, struct cv_str user_role, struct cv_principal *who,
	struct cv_err *err);
