/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renew.h - the run's renewals: what is asked for when, and what comes of it
 *
 *     schedule says due --request--> courier ... issuer
 *     vault <--new values-- result <--answer-- courier
 *
 * One schedule for each renewal of the set.  The courier's link carries errands one way and answers
 * the other; without a link (before the first, or while a new one is started) everything that is due
 * waits, and what was under way has failed and is asked again.
 *
 * Ownership: plans are the set's, but for the refresh token, which an issuer may replace with each
 * answer: the latest one is kept here, and nowhere else.
 */
#pragma once
#include "cred/carry.h"
#include "cred/schedule.h"
#include "ipc/keeper_link.h"
#include "keeper/vault.h"

/* As many errands as the courier takes at once. */
#define KEEPER_ERRANDS_MAX 8

struct keeper_renewal {
	struct cv_schedule schedule;
	struct cv_cred_refresh plan; /* the set's, with materials of our own */
	char *rotated;               /* the refresh token that holds now; NULL: the plan's first */
	size_t rotated_bytes;
	uint32_t tag;            /* of its last errand; 0: none */
	bool is_used;            /* some credential comes of it */
	const char *slug, *text; /* why the last one failed; NULL: it did not */
	const char *cause;       /* why the last one was asked for */
	bool has_news;           /* it ended, and the proxy was not told */
	enum cv_renewal end;
};

struct keeper_renewals {
	struct cv_vault *vault; /* borrowed */
	struct keeper_renewal *v;
	size_t n;
	uint32_t tag;
	int courier; /* the courier's link, -1 when there is none */
	struct cv_ipc_link answers;
};

/* For all of the vault's set; v may be NULL.  CV_INVALID: one can't work, with what is wrong. */
CV_MUST cv_code keeper_renewals_init(
	struct keeper_renewals *r, struct cv_vault *v, int64_t now_s, struct cv_err *err);

/* Takes over from one for a former set: the courier's link, and refresh tokens that took the place of
 * those in the set. */
CV_MUST cv_code keeper_renewals_succeed(
	struct keeper_renewals *r, struct keeper_renewals *former, struct cv_err *err);
void keeper_renewals_fini(struct keeper_renewals *r);
/* Renewed at the same place with the same materials. */
bool keeper_refresh_is_same(const struct cv_cred_refresh *a, const struct cv_cred_refresh *b);

/* A courier's link, instead of an earlier one. */
void keeper_renewals_courier(struct keeper_renewals *r, int link, int64_t now_s);
/* Sends what is due. */
void keeper_renewals_step(struct keeper_renewals *r, int64_t now_s);
/* An answer is there.  buf as cv_ipc_recv() wants it. */
void keeper_renewals_read(struct keeper_renewals *r, char *buf, int64_t now_s);
/* A server refused cred's value, as it was in epoch.  Static ones and older values: nothing. */
void keeper_renewals_rejected(
	struct keeper_renewals *r, uint32_t cred, uint64_t epoch, int64_t now_s);
/* How long it may be until the next step; -1: for ever. */
CV_MUST int keeper_renewals_wait_ms(const struct keeper_renewals *r, int64_t now_s);

/* How renewals ended since the last call goes to the proxy's link, whose sinks record it.  Where it
 * can't, the latest of each waits: a link that is full or gone costs no more than older ones. */
void keeper_renewals_tell(struct keeper_renewals *r, int proxy);

/* Whether a value for cred may come until then; if not, or not in time, *ret_why says the reason,
 * without anything secret. */
CV_MUST bool keeper_renewals_is_hopeful(const struct keeper_renewals *r, uint32_t cred,
	int64_t until_s, char *ret_why, size_t why_bytes);
