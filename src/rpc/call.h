/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - one call, as the code of a service sees it, whatever carries it
 *
 * A service is a table of methods.  For each call of a method the server judges who calls
 * (principal.h), reads messages (each at most CV_RPC_MESSAGE_BYTES_MAX, refused before memory is
 * taken for it) and calls the handler:
 *
 *     message      a whole message of the client; for UNARY and SERVER_STREAM the only one
 *     half_closed  the client sends no more (CLIENT_STREAM, BIDI)
 *     writable     after cv_rpc_send() said false: there is room again
 *     closed       the call is gone: finished, reset, past its deadline, or its connection is lost
 *
 * A handler may answer at once or later, from anywhere in the loop; it may answer inside message().
 * The call stays valid until closed() has returned, which always comes, once, if the handler was called
 * at all; a handler frees what cv_rpc_call_state() points to there.  It never comes from inside a
 * function of this header.  What is sent after cv_rpc_finish(), or when the call has ended meanwhile
 * (its deadline; its client is gone), goes nowhere.
 *
 * The same handler serves gRPC (frames and trailers, over HTTP/2) and REST (JSON over HTTP/1.1 or
 * HTTP/2, streams as server-sent events): only the transport differs.
 *
 * Not every method has a client in need of speed; those that carry bytes (exec, forwards) use
 * cv_rpc_hold() so that a reader's pace becomes the sender's (flow control end to end).
 */
#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "rpc/principal.h"
#include "wire/traceparent.h"

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>

#define CV_RPC_MESSAGE_BYTES_MAX (1u << 20)   /* openshell-api 1; larger: OUT_OF_RANGE */
#define CV_RPC_QUEUED_BYTES_MAX  (256u << 10) /* of a call towards its client, then not writable */

struct cv_rpc_call;
struct cv_rpc_route;

/* Where a call stands in a trace.  The server keeps it for the program, which fills it. */
struct cv_rpc_trace {
	struct cv_traceparent self;
	uint8_t parent[CV_SPAN_ID_BYTES];
	bool is_set, has_parent;
	int64_t work_us; /* when the work that it asked for began; 0: none */
};

enum cv_rpc_kind { CV_RPC_UNARY, CV_RPC_SERVER_STREAM, CV_RPC_CLIENT_STREAM, CV_RPC_BIDI };

struct cv_rpc_handler {
	void (*message)(
		struct cv_rpc_call *c, const ProtobufCMessage *m); /* borrowed until it returns,
		* unless the kind is UNARY or SERVER_STREAM: then until closed() has returned */
	void (*half_closed)(struct cv_rpc_call *c);                /* NULL: nothing to do */
	void (*writable)(struct cv_rpc_call *c);                   /* NULL */
	void (*closed)(struct cv_rpc_call *c);                     /* NULL */
};

struct cv_rpc_method {
	const char *service, *name; /* "openshell.v1.OpenShell", "CreateSandbox" */
	const ProtobufCMessageDescriptor *in, *out;
	enum cv_rpc_kind kind;
	struct cv_rpc_rule rule;
	struct cv_rpc_handler handler; /* message NULL: UNIMPLEMENTED, with `why` if there is one */
	const char *why;
};

/* ---- what a handler may ask ---- */

const struct cv_rpc_method *cv_rpc_call_method(const struct cv_rpc_call *c);
const struct cv_principal *cv_rpc_call_principal(const struct cv_rpc_call *c);
/* The value of a request's field, by its name in lower case; empty when there is none. */
struct cv_str cv_rpc_call_metadata(const struct cv_rpc_call *c, const char *name);
const char *cv_rpc_call_id(const struct cv_rpc_call *c); /* x-request-id, given or made */
void *cv_rpc_call_arg(const struct cv_rpc_call *c);      /* of the server: the program's state */
/* The row of rest.h that it came by; NULL: it came as gRPC. */
const struct cv_rpc_route *cv_rpc_call_route(const struct cv_rpc_call *c);
/* Its client was built in March 2026; dialect.h has put its messages into today's. */
bool cv_rpc_call_is_older(const struct cv_rpc_call *c);
struct cv_rpc_trace *cv_rpc_call_trace(struct cv_rpc_call *c);
/* Memory that lives as long as the call. */
struct cv_arena *cv_rpc_call_arena(struct cv_rpc_call *c);

/* The handler's own. */
void cv_rpc_call_set_state(struct cv_rpc_call *c, void *state);
void *cv_rpc_call_state(const struct cv_rpc_call *c);

/* ---- what it may do ---- */

/* Queues a message (packed at once: m may go).  False: it is queued, and no more should be sent
 * until writable() is called. */
bool cv_rpc_send(struct cv_rpc_call *c, const ProtobufCMessage *m);
/* The end.  fmt NULL: no message.  For OK of a UNARY call a message must have been sent. */
void cv_rpc_finish(struct cv_rpc_call *c, enum cv_rpc_status s, const char *fmt, ...)
	CV_PRINTF(3, 4);
/* The only message, and OK. */
void cv_rpc_reply(struct cv_rpc_call *c, const ProtobufCMessage *m);
/* No message() until it is let go again: the client's window stays shut. */
void cv_rpc_hold(struct cv_rpc_call *c, bool is_held);
/* A field of the trailers, beside grpc-status (lower-case ASCII name).  Before cv_rpc_finish(). */
void cv_rpc_trailer(struct cv_rpc_call *c, const char *name, const char *value);
