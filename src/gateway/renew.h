/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renew.h - one renewal: a vault and a courier that are started for it and end with it
 *
 *     set with references --> vault --errand--> courier --> issuer
 *     envelopes           <-- vault <---------- answer
 *
 * The gateway sees neither materials nor values.  It is asynchronous: an issuer takes its time.
 */
#pragma once
#include "gateway/gateway.h"
#include "gateway/vault.h"

#define CV_GW_RENEWAL_MS 75000 /* the courier and the vault give up earlier */

struct cv_gw_renewal {
	struct cv_gateway *g;
	struct cv_gw_vault *vault;
	pid_t courier;
	int courier_pidfd, courier_link, out;
	int64_t until_ms; /* loop time */
	bool takes_http;
};

/* Begins; w is what the loop says when there is an answer.  The set is copied.  takes_http: it may be
 * asked without TLS, as probes may. */
CV_MUST cv_code cv_gw_renewal_begin(struct cv_gw_renewal *r, struct cv_gateway *g,
	const struct cv_cred_set *set, bool takes_http, struct cv_watch w, struct cv_err *err);

struct cv_gw_renewal_output {
	struct cv_str key, envelope; /* base64 */
};
struct cv_gw_renewal_result {
	struct cv_gw_renewed said;
	struct cv_gw_renewal_output
		v[CV_REFRESH_OUTPUTS_MAX * 4]; /* a token may have several names */
	size_t n;
	struct cv_str rotated; /* base64; empty: none */
};
/* The answer, with its envelopes in the arena.  CV_UNAVAILABLE, CV_INVALID. */
CV_MUST cv_code cv_gw_renewal_read(struct cv_gw_renewal *r, struct cv_arena *arena,
	struct cv_gw_renewal_result *ret, struct cv_err *err);
/* Its processes end, whatever they do. */
void cv_gw_renewal_end(struct cv_gw_renewal *r);
