/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket.h - a flow that has become a WebSocket: both directions parsed, decided, written anew
 *
 *     request --cv_websocket_ask()--> upstream --101, cv_websocket_answer()--> state WEBSOCKET
 *
 * Ownership: flow.ws belongs to the flow, from the request that asks for the upgrade; any other
 *            answer than 101 lets go of it.
 * Limits:    CV_WS_* of wire/limits_ws.h, CV_PROXY_WS_* of limits.h.
 */
#pragma once
#include "proxy/proxy.h"

struct cv_websocket;

/* What is wrong with the request's handshake, or NULL.  Static text. */
const char *cv_websocket_request_fault(const struct cv_h1_request *r);

/* The request will be sent: remembers what an answer must fit to, and makes its extensions ours.
 * Before credentials are put in: none is remembered.  False without memory. */
CV_MUST bool cv_websocket_ask(struct cv_flow *f, struct cv_h1_request *r, struct cv_str path);

/* A 101 came: NULL and its extensions dropped, or what is wrong with it (static text). */
const char *cv_websocket_answer(struct cv_flow *f, struct cv_h1_response *r);

/* From here on frames; sets the state. */
void cv_websocket_start(struct cv_proxy *p, struct cv_flow *f);

bool cv_websocket_step(struct cv_proxy *p, struct cv_flow *f);
void cv_websocket_timeout(struct cv_proxy *p, struct cv_flow *f);

/* After a new policy: goes on, or closes with 1012. */
void cv_websocket_reload(struct cv_proxy *p, struct cv_flow *f);

/* The placeholders are others: what looks for them in a message begins anew. */
void cv_websocket_scan_restart(struct cv_proxy *p, struct cv_flow *f);

/* Frees flow.ws; NULL is fine. */
void cv_websocket_free(struct cv_proxy *p, struct cv_flow *f);
