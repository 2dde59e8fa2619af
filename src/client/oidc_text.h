/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oidc_text.h - the texts of a log-in: forms, the redirect of a browser, answers of an issuer
 *
 * Who sends a redirect may be anybody on this host, and an issuer's answer comes over a network: both
 * are read strictly, and what may be taken two ways is not taken.
 *
 * Pure: strings go into the caller's arena.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define CL_TOKEN_BYTES_MAX    (16u << 10) /* a JWT with a great many groups */
#define CL_REDIRECT_BYTES_MAX (16u << 10) /* of a request's head */

/* "&name=value"; nothing for an empty value.  The first one has no '&'. */
void cl_form_put(struct cv_buf *b, const char *name, struct cv_str value);

/* The challenge of RFC 7636, S256. */
void cl_pkce_put(struct cv_buf *b, struct cv_str verifier);

/* The value of name in a query or a form, decoded.  False: it is not there, is there twice, or is
 * malformed. */
CV_MUST bool cl_query_get(
	struct cv_str query, const char *name, struct cv_arena *arena, struct cv_str *ret);

enum cl_redirect_kind {
	CL_REDIRECT_PART,  /* not all of the head is there */
	CL_REDIRECT_OTHER, /* no request for our path */
	CL_REDIRECT_OURS
};

struct cl_redirect {
	struct cv_str state, code, error, description, issuer; /* p NULL: not there */
};

enum cl_redirect_kind cl_redirect_read(
	struct cv_str head, struct cv_arena *arena, struct cl_redirect *ret);

struct cl_token {
	struct cv_str access, refresh;    /* refresh.p NULL: none */
	uint64_t lives_s;                 /* 0: not known */
	struct cv_str error, description; /* error.p not NULL: there is no token */
};

/* An answer of a token endpoint.  NULL, or why it is none. */
const char *cl_token_read(struct cv_str text, struct cv_arena *arena, struct cl_token *ret);
/* Whether it can stand in a head. */
CV_MUST bool cl_token_is_fine(struct cv_str token);
/* In a time that does not say how much of them is the same. */
CV_MUST bool cl_same(struct cv_str a, struct cv_str b);
