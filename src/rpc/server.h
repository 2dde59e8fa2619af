/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - one port that speaks gRPC, REST and plain HTTP
 *
 *     listener ─► connection ─► (TLS, ALPN) ─► h2:       nghttp2; a stream is a call or a request
 *                                           └► http/1.1: one request after another
 *
 * Which of the two a client without TLS speaks shows in its first bytes (RFC 9113 section 3.4).
 * A request whose content type begins with application/grpc is a call; any other goes to the table
 * of pages (pages.h).  Hosts that are not ours are somebody else's before that (relay.h).
 *
 * Process:  cove-gateway, and others of our programs that serve; one thread, the caller's loop:
 *           the caller owns one watch kind of its loop for the server and passes its events on.
 *           All work is done in cv_rpc_server_turn(): call it once in each turn of the loop, after
 *           the events and whatever of your own may have sent.
 * Limits:   of connections, streams, heads, silence and unsent bytes: limits.h.
 */
#pragma once
#include "rpc/call.h"
#include "sys/loop.h"

#include <openssl/ssl.h>

struct cv_rpc_server;
struct cv_rpc_relay_handler;

struct cv_rpc_server_config {
	struct cv_loop *loop;
	uint8_t watch_kind;                  /* all our descriptors are watched as this */
	const struct cv_rpc_method *methods; /* sorted or not; borrowed, for the server's life */
	size_t method_count;
	const struct cv_rpc_page *pages; /* pages.h; may be none */
	size_t page_count;
	const struct cv_rpc_relay_handler *relay; /* relay.h; NULL: all hosts are ours */
	void *arg;                                /* cv_rpc_call_arg() */
	uint32_t connections_max; /* 0: CV_RPC_CONNECTIONS_MAX; more are closed at once */
	/* Pages in plaintext are for who calls this machine by its own name (localhost, 127.0.0.1,
	 * [::1]) and the port: a name of another's that was made to point here (DNS rebinding) would
	 * give his scripts what the local user may do. */
	bool is_local_only;
	/* Whether an edge proxy may be in front, which passes on the name that it was called by: what
	 * comes with its word (cv_rpc_presented) may have any; NULL: there is none. */
	bool (*has_edge)(void *arg);
	/* Fills ret, or says why not.  CV_RPC_OK with kind NONE: nobody, who may call what needs no
	 * authentication.  UNAVAILABLE is allowed: a key is being fetched, try again. */
	enum cv_rpc_status (*authenticate)(void *arg, const struct cv_rpc_presented *given,
		struct cv_principal *ret, struct cv_err *err);
	/* Of each call that ended; NULL: nobody wants to know.  For metrics and the log. */
	void (*ended)(void *arg, struct cv_rpc_call *c, enum cv_rpc_status s, int64_t us);
	/* The same of each request that is no call of gRPC: route is the row of a table that it fell on
	 * ("/healthz", "/v1/sandboxes/{name}"), or why it has none ("relay", "none"); status 0: it was
	 * not answered.  NULL: nobody wants to know. */
	void (*requested)(void *arg, const char *route, int status, int64_t us);
};

CV_MUST cv_code cv_rpc_server_new(
	const struct cv_rpc_server_config *config, struct cv_rpc_server **ret, struct cv_err *err);
void cv_rpc_server_free(struct cv_rpc_server *s); /* closes everything; closed() of each call */

/* A bound, listening socket, taken.  tls NULL: plaintext.  The context is referenced; with a client
 * authority set in it certificates are asked for and verified (SSL_VERIFY_PEER). */
CV_MUST cv_code cv_rpc_server_listen(
	struct cv_rpc_server *s, int fd, SSL_CTX *tls, struct cv_err *err);
/* The same; calls there are in the messages of dialect.h. */
CV_MUST cv_code cv_rpc_server_listen_older(
	struct cv_rpc_server *s, int fd, SSL_CTX *tls, struct cv_err *err);
/* Plaintext, for these pages alone (exact paths, NULL at the end; borrowed): whoever looks whether all is
 * well has no certificate, and needs nothing else. */
CV_MUST cv_code cv_rpc_server_listen_pages(
	struct cv_rpc_server *s, int fd, const char *const *paths, struct cv_err *err);
/* Another context for connections to come, on the listener that had one. */
void cv_rpc_server_set_tls(struct cv_rpc_server *s, SSL_CTX *tls);

/* An event of watch_kind. */
void cv_rpc_server_event(struct cv_rpc_server *s, const struct cv_loop_event *e);
/* After the events of a turn: sends what was queued; returns when it wants to be called again at
 * the latest (loop time, ms), INT64_MAX: never. */
int64_t cv_rpc_server_turn(struct cv_rpc_server *s);
/* The same, for whoever sent something after that turn: at once then. */
int64_t cv_rpc_server_due_ms(const struct cv_rpc_server *s);
/* No new connections and calls: GOAWAY, what runs may end. */
void cv_rpc_server_drain(struct cv_rpc_server *s);
/* Nothing runs: no call, no request. */
bool cv_rpc_server_is_idle(const struct cv_rpc_server *s);
