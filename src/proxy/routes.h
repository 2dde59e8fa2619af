/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.h - the routes of inference.local, which a gateway may change while the sandbox runs
 *
 * A set never changes.  Another takes its place for calls that begin from then on; who began with the
 * former keeps it, so that a call never meets two sets.
 */
#pragma once
#include "plan/routes.h"

struct cv_proxy;

struct cv_call_routes {
	struct cv_routes set;
	int64_t turn[CV_ROUTES_MAX]; /* what each is owed of its weight */
	uint32_t users;
};

/* The one that is there, for a call; NULL: none is configured. */
struct cv_call_routes *cv_call_routes_ref(struct cv_call_routes *r);
void cv_call_routes_unref(struct cv_call_routes *r); /* NULL is fine */

/* As plan/routes.h reads it; an empty text: none from now on.  False: it is wrong, those before
 * stay. */
CV_MUST bool cv_call_routes_take(struct cv_proxy *p, struct cv_str text);
