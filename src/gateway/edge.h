/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge.h - users behind an edge proxy (Cloudflare Access): who they are, and how they come in
 *
 * The proxy asks people who they are and puts the answer beside each request that it passes on: a
 * token (`Cf-Access-Jwt-Assertion`) that is signed with its team's key, for this application, and
 * ends.  That token is what lets somebody in here, wherever the connection came from; a request that
 * came by the proxy and has none is nobody's.
 */
#pragma once
#include "gateway/issuer.h"

struct cv_gw_config;

CV_MUST bool cv_gw_edge_is_on(const struct cv_gw_config *c);
/* Who the assertion is about.  UNAUTHENTICATED, PERMISSION_DENIED (no role), UNAVAILABLE (the team's
 * keys are being fetched); the refusal is logged and counted. */
CV_MUST enum cv_rpc_status cv_gw_edge_verify(struct cv_gateway *g, struct cv_str assertion,
	struct cv_principal *ret, struct cv_err *err);

/* For the part that fetches keys (oidc.c). */
struct cv_gw_issuer_words cv_gw_edge_words(const struct cv_gw_config *c);
struct cv_gw_issuer *cv_gw_edge_issuer(const struct cv_gateway *g);

/* ---- edge_page.c ---- */

#define CV_GW_EDGE_CODE_BYTES 8 /* "XXX-XXXX" */

struct cv_gw_edge_asked {
	uint16_t port; /* of the client, on the machine of the browser */
	char code[CV_GW_EDGE_CODE_BYTES + 1];
};
/* Of the query: each once, and as it must be; what else is in it means nothing.  Pure. */
CV_MUST bool cv_gw_edge_query_read(struct cv_str query, struct cv_gw_edge_asked *ret);

extern const char cv_gw_edge_page_error[]; /* whole, and the same for everybody */
/* Heads of a page, for whose script one address outside is open; asked NULL: none is. */
void cv_gw_edge_heads_put(struct cv_buf *b, const struct cv_gw_edge_asked *asked);
/* The page: token goes to the client when the person says so. */
void cv_gw_edge_page_put(struct cv_buf *b, const struct cv_gw_edge_asked *asked, const char *who,
	struct cv_str token);
