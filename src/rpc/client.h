/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - gRPC calls to a server, for our command line and for supervisors far away
 *
 * One connection, any number of calls on it; HTTP/2 over TLS, or in plaintext where the endpoint
 * says http://.  The caller's poll loop: cv_rpc_client_fd() and its interest, then
 * cv_rpc_client_turn().  cv_rpc_client_unary() is a loop of its own, for commands that ask one
 * thing; streams that are open meanwhile get their callbacks in it.
 *
 * Callbacks come from cv_rpc_client_turn() and cv_rpc_client_unary() alone, and may do anything but
 * close the client.  Texts of the server are bounded but otherwise as it sent them: show them with
 * base/shown.h.  A server that goes away raises no SIGPIPE.
 */
#pragma once
#include "base/str.h"
#include "rpc/status.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#define CV_RPC_REPLY_BYTES_MAX (16u << 20) /* of one message; a page of 1,000 sandboxes fits */

struct cv_rpc_client;
struct cv_rpc_stream; /* one call of it */

struct cv_rpc_endpoint {
	struct cv_str url; /* "https://HOST:PORT" or "http://HOST:PORT" */
	/* PEM files; NULL: the system's roots, no certificate of our own */
	const char *ca_path, *cert_path, *key_path;
	const char *bearer;      /* NULL: none */
	const char *server_name; /* expected instead of HOST; NULL */
	bool is_insecure;        /* the server's certificate is not verified */
	/* For an edge proxy in front, which lets HTTP/2 through in a WebSocket alone (tunnel.h); "":
	 * without a token; NULL: there is no such proxy. */
	const char *tunnel_token;
	bool *ret_is_refused; /* set when CV_DENIED is about that token; NULL */
};

/* Connects (waiting at most timeout_ms) and verifies.  CV_UNAVAILABLE: nobody answers;
 * CV_DENIED: the certificate, the message says which; CV_INVALID: the url. */
CV_MUST cv_code cv_rpc_client_open(const struct cv_rpc_endpoint *e, int timeout_ms,
	struct cv_rpc_client **ret, struct cv_err *err);
void cv_rpc_client_close(struct cv_rpc_client *c); /* NULL is fine */

/* A field of every request from now on, beside the usual ones; one at a time, borrowed.  value NULL:
 * none. */
void cv_rpc_client_field(struct cv_rpc_client *c, const char *name, const char *value);

/* One question, one answer within timeout_ms, which the server is told; 0: whenever (unpacked; the
 * caller frees it with protobuf_c_message_free_unpacked).  method:
 * "/openshell.v1.OpenShell/Health".  What the server said when it is no OK is in err->msg, whole;
 * *ret is NULL then.  When nothing was said, because the connection is lost or refused, it is
 * UNAVAILABLE, or UNAUTHENTICATED when our certificate is what is wrong. */
CV_MUST enum cv_rpc_status cv_rpc_client_unary(struct cv_rpc_client *c, const char *method,
	const ProtobufCMessage *in, const ProtobufCMessageDescriptor *out, ProtobufCMessage **ret,
	int timeout_ms, struct cv_err *err);

/* A stream of either direction. */
struct cv_rpc_stream_events {
	void (*message)(void *arg, ProtobufCMessage *m); /* owned by the callee */
	/* The last call; the stream is gone.  message: "" or a sentence, of the server's or ours. */
	void (*ended)(void *arg, enum cv_rpc_status s, const char *message);
	void (*writable)(void *arg); /* NULL */
};
CV_MUST cv_code cv_rpc_stream_open(struct cv_rpc_client *c, const char *method,
	const ProtobufCMessageDescriptor *out, const struct cv_rpc_stream_events *events, void *arg,
	struct cv_rpc_stream **ret, struct cv_err *err);
bool cv_rpc_stream_send(struct cv_rpc_stream *s, const ProtobufCMessage *m); /* as cv_rpc_send() */
void cv_rpc_stream_half_close(struct cv_rpc_stream *s);
/* Let go, what waited comes with the next turn (interest() asks for one). */
void cv_rpc_stream_hold(struct cv_rpc_stream *s, bool is_held);
void cv_rpc_stream_cancel(struct cv_rpc_stream *s); /* ended() is not called; s is gone */

int cv_rpc_client_fd(const struct cv_rpc_client *c);
short cv_rpc_client_interest(const struct cv_rpc_client *c); /* POLLIN, POLLOUT */
/* Reads, sends, calls back.  CV_UNAVAILABLE: the connection is lost; CV_DENIED: because of our
 * certificate, or for want of one (a server of TLS 1.3 says so after the handshake).  Every stream
 * was ended, but for those that are held with messages that wait. */
CV_MUST cv_code cv_rpc_client_turn(struct cv_rpc_client *c, struct cv_err *err);
