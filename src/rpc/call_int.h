/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_int.h - the inside of a call, for what carries calls: gRPC (grpc.c), and REST
 *
 * A carrier makes the struct (anywhere; zeroed), fills the first group, and calls
 *
 *     cv_rpc_call_begin      once
 *     cv_rpc_call_message    for each message; false: the call was finished meanwhile
 *     cv_rpc_call_half_close when the client sends no more
 *     cv_rpc_call_writable   after its send() returned false
 *     cv_rpc_call_over       at the end, whatever happened: closed() is called, once
 *
 * over() may come at any time after finish() was called, or when the client is gone; it must not
 * be called from inside a function of the carrier.
 */
#pragma once
#include "rpc/call.h"
#include "rpc/limits.h"
#include "rpc/relay.h"
#include "rpc/unpack.h"

struct cv_rpc_server;

struct cv_rpc_carrier {
	/* Queues it; false: it is queued, and there is no room for more. */
	bool (*send)(struct cv_rpc_call *c, const ProtobufCMessage *m);
	/* c->status and c->status_message are set. */
	void (*finish)(struct cv_rpc_call *c);
	void (*hold)(struct cv_rpc_call *c); /* c->is_held has changed */
	struct cv_str (*metadata)(const struct cv_rpc_call *c, const char *name);
};

struct cv_rpc_call {
	const struct cv_rpc_carrier *carrier;
	void *carried; /* the carrier's own */
	struct cv_rpc_server *server;
	const struct cv_rpc_method *method;
	const struct cv_principal *who;
	const char *id;
	struct cv_arena *arena;
	const struct cv_rpc_route *route; /* of REST; NULL */
	bool is_older;                    /* in the messages of dialect.h */
	int64_t deadline_ms;              /* of loop time; 0: none */

	void *state;
	struct cv_rpc_field trailers[CV_RPC_TRAILERS_MAX];
	size_t trailer_count;
	enum cv_rpc_status status;
	struct cv_str status_message; /* in the arena */
	bool is_begun, is_seen, is_held, is_finished, has_sent, is_half_closed, is_over;
	int64_t began_us;
	struct cv_rpc_trace trace;
	struct cv_rpc_call *timed_prev, *timed_next;
};

void cv_rpc_call_begin(struct cv_rpc_call *c);
bool cv_rpc_call_message(struct cv_rpc_call *c, const ProtobufCMessage *m);
void cv_rpc_call_half_close(struct cv_rpc_call *c);
void cv_rpc_call_writable(struct cv_rpc_call *c);
void cv_rpc_call_over(struct cv_rpc_call *c);

/* The method that service and name make, or NULL. */
const struct cv_rpc_method *cv_rpc_method_find(
	const struct cv_rpc_server *s, struct cv_str service, struct cv_str name);
