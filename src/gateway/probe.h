/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - one call of a model, to see whether a route works before it is set
 *
 *     cv_gw_probe_begin() --> a vault opens the key, a courier carries the call (renew.h)
 *     end(call, OK or why) <-- its status
 *
 * The gateway sees no key, and of the answer the status alone.  The call stays open meanwhile; who
 * hangs up ends it.
 */
#pragma once
#include "gateway/gateway.h"

#define CV_GW_PROBES_MAX 4     /* at once: two processes each */
#define CV_GW_PROBE_MS   30000 /* a model that is loaded first takes its time */

struct cv_gw_probe_ask {
	const char *strategy; /* cred/refresh.h: probe_bearer, probe_key, probe_open */
	struct cv_str url, body;
	const struct cv_object *provider;
	const char *key; /* of its credentials; with probe_open none */
};

typedef void cv_gw_probe_end(struct cv_rpc_call *c, cv_code code, const char *why);

/* end comes later, from the loop, unless this fails or the call is forgotten. */
CV_MUST enum cv_rpc_status cv_gw_probe_begin(struct cv_rpc_call *c,
	const struct cv_gw_probe_ask *ask, cv_gw_probe_end *end, struct cv_err *err);
/* c is gone. */
void cv_gw_probe_forget(struct cv_gateway *g, const struct cv_rpc_call *c);

/* Of the part that has them. */
void cv_gw_probes_event(struct cv_gateway *g, const struct cv_loop_event *e);
int64_t cv_gw_probes_turn(struct cv_gateway *g);
void cv_gw_probes_stop(struct cv_gateway *g);
