/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spend.h - flows against budgets: each request when it is decided, bytes as they pass
 */
#pragma once
#include "proxy/proxy.h"

/* A request that policy lets pass; false: a budget is used up, and that was recorded and answered. */
CV_MUST bool cv_spend_request(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);

/* Counts what passed since the last time.  False: over a budget of bytes, and f has ended. */
bool cv_spend_bytes(struct cv_proxy *p, struct cv_flow *f);
void cv_spend_bytes_last(struct cv_proxy *p, struct cv_flow *f); /* f ends: only counts */
