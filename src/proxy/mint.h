/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mint.h - tokens that a server mints for the sandbox are taken in, and placeholders handed on (C9)
 *
 * On an endpoint that is declared a token endpoint an answer of success is held whole, decoded and
 * read (cred/token_answer.h).  Its tokens go to the keeper, which gives a placeholder for each; the
 * answer with these in their places then goes the way of every response, as if it had come so:
 *
 *     head, body --held--> decoded --read--> MINT --> keeper
 *                                   MINTED <-- placeholders, new in the catalog
 *     answer written anew   RELEASE of nothing -> what to scrub, the new tokens among it
 *     --put back into the server's buffer--> scrubbed, looked at by middlewares, sent
 *
 * What can't be read is refused: an answer is never handed on with a token in it.
 *
 * Ownership: flow.mint, wiped at its end.
 */
#pragma once
#include "proxy/proxy.h"

/* The request is about to go: what is read of its answer does not stay in TLS's buffers. */
void cv_mint_expect(struct cv_flow *f);

/* Whether the response that begins with r has to be held. */
CV_MUST bool cv_mint_is_due(const struct cv_flow *f, const struct cv_h1_response *r);

/* Takes the head; then steps until flow.mint is NULL again.  True: something moved. */
CV_MUST bool cv_mint_begin(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_response *r);
CV_MUST bool cv_mint_step(struct cv_proxy *p, struct cv_flow *f);
void cv_mint_end(struct cv_flow *f); /* as often as one likes */

/* MINTED.  False: it makes no sense. */
CV_MUST bool cv_mint_take(struct cv_proxy *p, struct cv_str body);
void cv_mint_keeper_lost(struct cv_proxy *p, struct cv_flow *f);
