/* SPDX-License-Identifier: Apache-2.0 */
/*
 * middleware.h - what network_middlewares do with requests and responses
 *
 *     judged by policy --request--> body held, all of it looked at --> credentials --> upstream
 *     upstream --> scrubbed --> held (an event stream: event by event), looked at --> sandbox
 *
 * Every body is looked at, whatever type it says it has; redacted are those that are text.  What
 * can't be looked into, or not in time, is refused or passes, as on_error says, and is recorded.
 *
 * Process:   cove-proxy.  Ownership: what a flow has belongs to it (cv_flow_middleware); detectors
 *            are compiled once for a snapshot and counted, since a response may outlive it.
 * Limits:    CV_PROXY_MIDDLEWARE_* in limits.h.
 */
#pragma once
#include "wire/h1.h"
#include "wire/h1_write.h"

struct cv_proxy;
struct cv_flow;
struct cv_engines;

struct cv_middlewares {             /* of the run */
	struct cv_engines *engines; /* of the newest snapshot that was asked */
};

enum cv_middleware_step {
	CV_MIDDLEWARE_OK,
	CV_MIDDLEWARE_WAIT,     /* call again when the flow is stepped next */
	CV_MIDDLEWARE_AGAIN,    /* now, with the head parsed anew */
	CV_MIDDLEWARE_ANSWERED, /* recorded and refused */
};

/* After policy allowed r, before credentials. */
enum cv_middleware_step cv_middleware_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path);

/* Puts redacted header values into r, and asks for a response that can be looked into. */
void cv_middleware_apply(struct cv_flow *f, struct cv_h1_request *r, struct cv_h1_request_edit *e);

/* Prepares f->http.down, which was started for the response r, and scrubbed.  False: answered. */
CV_MUST bool cv_middleware_response(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_response *r);

/* The response's body was refused by cv_middleware_response()'s filter: answered, or cut where part
 * of it has passed.  False: it was not ours. */
CV_MUST bool cv_middleware_body_refuse(struct cv_proxy *p, struct cv_flow *f);

/* Bytes are about to pass unseen.  True: a middleware forbids it; recorded and answered. */
CV_MUST bool cv_middleware_tunnel_refuse(struct cv_proxy *p, struct cv_flow *f);

void cv_middleware_end(struct cv_flow *f); /* of a request, and of the flow */
