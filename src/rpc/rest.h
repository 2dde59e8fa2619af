/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest.h - the calls of the API for clients that speak plain HTTP and JSON
 *
 *     POST /v1/sandboxes  {"name": ...}  ->  openshell.v1.OpenShell/CreateSandbox
 *
 * A table mirrors the rpcs: a method and a path for each, parts of the path in braces being fields
 * of the request; a query sets further fields; a body is the message as JSON.  The answer is the
 * message as JSON.  HEAD is GET without the body.  A caller who waits no longer than so many
 * seconds says it with Request-Timeout, or with grpc-timeout as clients of gRPC do: 504 then.  A
 * server's stream becomes server-sent events: "message" for each message, and at the end "end" or
 * "error".  A failure is {"error":{"code","status","message"}} with the status that gRPC's code has
 * for HTTP.
 *
 * The handlers are those of gRPC: a request becomes a struct cv_rpc_call with a carrier of ours.
 * Streams of clients, and what only supervisors call, are not here.
 */
#pragma once
#include "rpc/pages.h"

/* /v1/..., and /openapi.json, made of the same table.  The server's methods serve them. */
extern const struct cv_rpc_page cv_rpc_rest_pages[];
extern const size_t cv_rpc_rest_page_count;

/* Appends the description of all of it, OpenAPI 3.1.  server: its methods say which rules hold. */
CV_MUST bool cv_rpc_rest_openapi(struct cv_buf *b);

/* ---- the table, for rest.c and rest_openapi.c ---- */

struct cv_rpc_route {
	const char *method, *path; /* "{name}" is a field of the request; dots go into messages */
	const char *service, *rpc;
	const ProtobufCMessageDescriptor *in, *out;
	bool is_stream;
	const char *summary;
};
extern const struct cv_rpc_route cv_rpc_routes[];
extern const size_t cv_rpc_route_count;

#define CV_RPC_ROUTE_PARAMS_MAX 4

struct cv_rpc_route_match {
	const struct cv_rpc_route *route;
	size_t param_count;
	struct {
		struct cv_str name, raw; /* raw is as it stands in the path */
	} param[CV_RPC_ROUTE_PARAMS_MAX];
};

/* Pure.  False: none; *ret_has_path: another method has the path. */
CV_MUST bool cv_rpc_route_find(struct cv_str method, struct cv_str path,
	struct cv_rpc_route_match *ret, bool *ret_has_path);
/* The methods that the path has: "GET, HEAD, POST". */
#define CV_RPC_ALLOW_BYTES_MAX 64
void cv_rpc_route_allow(struct cv_str path, char ret[static CV_RPC_ALLOW_BYTES_MAX]);
