/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - requests that are no call: /healthz, /metrics, /openapi.json, REST, the console
 *
 * A page is a method and a path prefix; the longest prefix wins.  It gets the whole request (body
 * at most CV_RPC_MESSAGE_BYTES_MAX) and answers once, at once or later, or as a stream of pieces
 * that ends when the client goes or the page says so.
 */
#pragma once
#include "base/buf.h"
#include "rpc/call.h"

struct cv_rpc_server;
struct cv_rpc_request; /* one, until its `closed` has returned */

struct cv_rpc_page {
	const char *methods;     /* "GET" or "GET POST"; HEAD comes with GET */
	const char *path;        /* "/healthz" exactly; "/v1/" and what is below it */
	struct cv_rpc_rule rule; /* as of a method; role ADMIN is judged, others are the page's */
	void (*serve)(struct cv_rpc_request *r);
	void (*writable)(struct cv_rpc_request *r); /* NULL */
	void (*closed)(struct cv_rpc_request *r);   /* NULL; frees the state */
	/* Open to all, and yet for who comes by an edge proxy, too: it looks itself at what that
	 * says of who asks, or has nothing to tell. */
	bool is_for_edge;
};

struct cv_str cv_rpc_request_method(const struct cv_rpc_request *r);
struct cv_str cv_rpc_request_path(const struct cv_rpc_request *r);  /* as sent, without query */
struct cv_str cv_rpc_request_query(const struct cv_rpc_request *r); /* behind "?"; empty */
struct cv_str cv_rpc_request_host(const struct cv_rpc_request *r);
struct cv_str cv_rpc_request_header(const struct cv_rpc_request *r, const char *name);
struct cv_str cv_rpc_request_body(const struct cv_rpc_request *r);
const struct cv_principal *cv_rpc_request_principal(const struct cv_rpc_request *r);
/* What an edge proxy put beside it (cv_rpc_presented); empty: nothing. */
struct cv_str cv_rpc_request_assertion(const struct cv_rpc_request *r);
const char *cv_rpc_request_id(const struct cv_rpc_request *r);   /* as of a call */
struct cv_arena *cv_rpc_request_arena(struct cv_rpc_request *r); /* lives as long as it */
struct cv_rpc_server *cv_rpc_request_server(const struct cv_rpc_request *r);
void *cv_rpc_request_arg(const struct cv_rpc_request *r); /* of the server */
void cv_rpc_request_set_state(struct cv_rpc_request *r, void *state);
void *cv_rpc_request_state(const struct cv_rpc_request *r);

/* A page for many paths names the one of its table: a literal, for metrics. */
void cv_rpc_request_set_route(struct cv_rpc_request *r, const char *route);

/* headers: further lines, "name: value\r\n" each, or NULL. */
void cv_rpc_respond(struct cv_rpc_request *r, int status, const char *content_type,
	const char *headers, struct cv_str body);
/* {"error":{"code":404,"status":"NOT_FOUND","message":...}} */
void cv_rpc_respond_error(struct cv_rpc_request *r, enum cv_rpc_status s, const char *fmt, ...)
	CV_PRINTF(3, 4);
/* 405, with the methods that the path has: "GET, HEAD". */
void cv_rpc_respond_not_allowed(struct cv_rpc_request *r, const char *allow);
/* A head now, then pieces; false: queued, no more until writable(). */
void cv_rpc_respond_start(
	struct cv_rpc_request *r, int status, const char *content_type, const char *headers);
bool cv_rpc_respond_piece(struct cv_rpc_request *r, struct cv_str piece);
void cv_rpc_respond_end(struct cv_rpc_request *r);
