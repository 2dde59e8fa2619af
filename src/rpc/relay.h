/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - requests for hosts that are not ours: handed over with their bodies as they come
 *
 * Some names that lead to the server's port mean other servers behind it.  Which ones, `claims`
 * says; such a request is no call and no page, whatever its path.  The handler gets it when its head
 * is there (pages.h says what may be asked of it), takes the body at its own pace, and answers with
 * a head, bytes and an end at the client's pace:
 *
 *     begin      the head is there
 *     readable   more of the body, or its end: cv_rpc_relay_body(), then cv_rpc_relay_take()
 *     writable   after cv_rpc_relay_put() said false
 *     closed     answered and ended, or the client is gone; always comes, once, after begin
 *
 * A request of HTTP/1.1 may ask for another protocol (WebSocket); after cv_rpc_relay_switch() the
 * connection is bytes in both directions.  In HTTP/2 that is not offered: browsers come with HTTP/1.1
 * for it.
 *
 * Nobody was asked who calls: that is the handler's (cv_rpc_relay_caller()).
 */
#pragma once
#include "rpc/pages.h"

#define CV_RPC_RELAY_IN_BYTES 65536 /* of a body that wait for the handler, in HTTP/1 */

struct cv_rpc_field {
	struct cv_str name, value;
};

struct cv_rpc_relay_handler {
	bool (*claims)(void *arg, struct cv_str host); /* as sent, with its port */
	/* On a listener with TLS: plaintext from this machine, for such hosts and nothing else. */
	bool (*may_be_clear)(void *arg);
	void (*begin)(struct cv_rpc_request *r);
	void (*readable)(struct cv_rpc_request *r);
	void (*writable)(struct cv_rpc_request *r);
	void (*closed)(struct cv_rpc_request *r);
};

/* ---- the request ---- */

/* In lower case and in order; those of HTTP/2 begin with pseudo fields (":method"). */
const struct cv_rpc_field *cv_rpc_relay_fields(const struct cv_rpc_request *r, size_t *ret_n);
bool cv_rpc_relay_is_tls(const struct cv_rpc_request *r);
bool cv_rpc_relay_is_near(const struct cv_rpc_request *r); /* from this machine */
bool cv_rpc_relay_is_upgrade(const struct cv_rpc_request *r);
bool cv_rpc_relay_has_query(const struct cv_rpc_request *r); /* there was a "?" */
/* Who asks, by certificate or bearer token, and whether they may (as of a method). */
CV_MUST enum cv_rpc_status cv_rpc_relay_caller(
	struct cv_rpc_request *r, const struct cv_rpc_rule *rule, struct cv_err *err);
/* What of the body is there; taken bytes make room for more. */
struct cv_str cv_rpc_relay_body(const struct cv_rpc_request *r);
void cv_rpc_relay_take(struct cv_rpc_request *r, size_t n);
bool cv_rpc_relay_is_body_over(const struct cv_rpc_request *r); /* what is there is the rest */

/* ---- the answer; cv_rpc_respond() and its like serve for short ones ---- */

/* Names in lower case, without framing fields but content-length; has_body false: none will come. */
void cv_rpc_relay_head(struct cv_rpc_request *r, int status, const struct cv_rpc_field *fields,
	size_t n, bool has_body);
/* 101, for a request that is an upgrade; fields without connection. */
void cv_rpc_relay_switch(struct cv_rpc_request *r, const struct cv_rpc_field *fields, size_t n);
bool cv_rpc_relay_put(struct cv_rpc_request *r, struct cv_str bytes);
void cv_rpc_relay_end(struct cv_rpc_request *r);
/* It can't go on: the client sees that it is not whole. */
void cv_rpc_relay_abort(struct cv_rpc_request *r);
