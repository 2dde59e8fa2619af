/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh.h - credentials that are renewed: who renews them, when, and what clients are told of it
 *
 *     object (kind REFRESH): strategy, sealed materials, what came of the last time
 *     runtime: a schedule (cred/schedule.h), and a renewal (renew.h) while one is under way
 *
 * The gateway renews, not each sandbox for itself: an issuer that takes the refresh token of each
 * answer back would see several who use one, and what a stopped sandbox had learned would be lost.
 * What comes back is written to refresh and provider, and goes to sandboxes as any change does.
 *
 *     refresh.c      the rpcs            refresh_run.c     schedules, renewals, results
 */
#pragma once
#include "cred/schedule.h"
#include "gateway/renew.h"

#include "openshell.pb-c.h"

#define CV_GW_REFRESH_MATERIALS_MAX 16 /* the richest strategy has seven */
#define CV_GW_REFRESH_WAITERS_MAX   16
#define CV_GW_RENEWALS_MAX          8 /* at once: two processes each */

typedef Openshell__V1__StoredProviderCredentialRefreshState cv_gw_refresh_pb;

struct cv_gw_refresh {
	struct cv_schedule schedule;
	struct cv_gw_renewal renewal;
	struct cv_ref ref; /* while it runs */
	bool is_running;
	struct cv_rpc_call *waiter[CV_GW_REFRESH_WAITERS_MAX]; /* of RotateProviderCredential */
	size_t waiter_count;
};

static inline const cv_gw_refresh_pb *cv_gw_refresh_of(const struct cv_object *o)
{
	return (const cv_gw_refresh_pb *)(const void *)o->message;
}

/* What clients see, in the arena; borrows from the stored message.  NULL: no memory. */
Openshell__V1__ProviderCredentialRefreshStatus *cv_gw_refresh_view(
	const struct cv_object *o, struct cv_arena *arena);

/* Whether this variable of the provider is made by a renewal. */
bool cv_gw_refresh_owns(
	const struct cv_gateway *g, const struct cv_object *provider, const char *key);
/* The i-th variable of those; NULL behind the last.  The stored message's. */
const char *cv_gw_refresh_key_at(
	const struct cv_gateway *g, const struct cv_object *provider, size_t i);

/* "KEY/MATERIAL": beside the credentials' own contexts, whose keys have no slash. */
bool cv_gw_refresh_context(
	struct cv_buf *b, const struct cv_object *provider, const char *key, const char *material);

/* ---- refresh_run.c ---- */

/* After it was configured: its schedule begins anew. */
void cv_gw_refresh_begin(struct cv_gateway *g, struct cv_object *o);
/* It is asked for now, whatever the schedule says; c hears of the end.  False: too many wait. */
bool cv_gw_refresh_now(struct cv_gateway *g, struct cv_object *o, struct cv_rpc_call *c);
/* c is gone. */
void cv_gw_refresh_forget(struct cv_gateway *g, const struct cv_rpc_call *c);

size_t cv_gw_refreshes_running(const struct cv_gateway *g);

cv_code cv_gw_refreshes_start(struct cv_gateway *g, struct cv_err *err);
void cv_gw_refreshes_stop(struct cv_gateway *g);
void cv_gw_refreshes_event(struct cv_gateway *g, const struct cv_loop_event *e);
int64_t cv_gw_refreshes_turn(struct cv_gateway *g);
