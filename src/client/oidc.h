/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oidc.h - tokens of people: where they come from, where they are kept, and their renewal
 *
 * A token lies in oidc_token.json of the gateway's directory (0600) as other clients know it:
 * access_token, refresh_token, expires_at (seconds since 1970), issuer, client_id.  It goes to the
 * gateway that it was got for, and never to one whose registered issuer is another.
 */
#pragma once
#include "client/client.h"
#include "client/fetch.h"
#include "client/oidc_text.h"

#define CL_OIDC_CLIENT_ID "openshell-cli" /* when who registered the gateway said nothing else */

struct cl_oidc {
	const struct cl_gateway *gateway;
	const char *issuer, *client_id;
	const char *secret; /* OPENSHELL_OIDC_CLIENT_SECRET; NULL: we are a public client */
	const char *authorization_url, *token_url, *device_url; /* NULL: the issuer has none */
	bool has_basic; /* the secret goes into Authorization */
};

/* What the gateway's issuer says of itself. */
CV_MUST cv_code cl_oidc_discover(
	struct cl *c, const struct cl_gateway *g, struct cl_oidc *ret, struct cv_err *err);
/* What every request for a token has: the client, and its proof. */
void cl_oidc_form_begin(const struct cl_oidc *o, struct cv_buf *form);
void cl_oidc_scope_put(const struct cl_oidc *o, struct cv_buf *form);
/* Posts the form, which is wiped.  The token, or the issuer's error in ret; CV_UNAVAILABLE: neither. */
CV_MUST cv_code cl_oidc_ask(struct cl *c, const struct cl_oidc *o, const char *url,
	struct cv_buf *form, struct cl_fetched *ret, struct cv_err *err);
CV_MUST cv_code cl_oidc_ask_token(struct cl *c, const struct cl_oidc *o, struct cv_buf *form,
	struct cl_token *ret, struct cv_err *err);

void cl_oidc_store(struct cl *c, const struct cl_gateway *g, const struct cl_token *t);
/* The stored one, renewed when it has run out; NULL: none that is for this gateway.  What could not
 * be renewed is said, and given all the same: whether it holds the gateway says. */
char *cl_oidc_token(struct cl *c, const struct cl_gateway *g);
/* Where the person's own files of a gateway are, also of one that is the system's. */
const char *cl_gateway_own_folder(struct cl *c, const struct cl_gateway *g);
