/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - services: ports of sandboxes that have a host name at the gateway
 *
 *     http[s]://WORKSPACE--SANDBOX[--SERVICE].DOMAIN[:PORT]/  ──►  127.0.0.1:PORT in the sandbox
 *
 *     service.c        rpcs, names
 *     service_http.c   a request: who may, to which service, and its bytes both ways
 *     service_head.c   heads, judged and written anew
 */
#pragma once
#include "gateway/sandbox.h"
#include "rpc/relay.h"
#include "wire/h1.h"

#define SERVICE_DOMAIN      "openshell.localhost"
#define SERVICES_BOX_MAX    64 /* of a sandbox: nobody has so many ports */
#define SERVICE_LABEL_BYTES 63 /* RFC 1035 2.3.4 */

/* Not to be copied: the parts are in label. */
struct service_name {
	struct cv_str workspace, sandbox, service; /* service: empty, or its name */
	char label[SERVICE_LABEL_BYTES];
};

/* Of a Host with or without port, in any case: is it one of a service's, and whose? */
bool service_host_parse(struct cv_str host, struct service_name *ret);
/* The stored one, or NULL. */
struct cv_object *service_find(const struct cv_gateway *g, const struct service_name *name);
static inline const Openshell__V1__ServiceEndpoint *service_of(const struct cv_object *o)
{
	return (const void *)o->message;
}

/* The server's, for hosts of services. */
extern const struct cv_rpc_relay_handler cv_gw_service_relay;

/* ---- service_head.c: pure ---- */

struct service_request {
	struct cv_str method, target, host; /* target: path and query */
	const struct cv_rpc_field *fields;  /* as cv_rpc_relay_fields() */
	size_t field_count;
	bool is_tls, is_upgrade;
	bool has_body;      /* it has one, or may */
	bool is_token_ours; /* authorization is the gateway's business */
	bool is_edge_ours;  /* and so is what an edge proxy says of who asks */
};

/* Does a page of another origin ask?  Browsers say so in Sec-Fetch-Site, Origin or Referer; who is no
 * browser says nothing. */
bool service_is_cross_origin(const struct service_request *q);
/* Appends the head for the sandbox.  False: a request that can't be written.  *ret_is_chunked: how its
 * body goes. */
bool service_request_write(
	const struct service_request *q, struct cv_buf *ret, bool *ret_is_chunked);
/* The fields of a response for the client, in the arena; 0: none, or no memory (is_overflown). */
size_t service_response_fields(const struct cv_h1_response *h, struct cv_arena *arena,
	struct cv_rpc_field *ret, size_t max);

/* ---- what sandbox.c tells of connections that were asked for ---- */

struct cv_ipc_msg;
/* DIALLED or NOT_DIALLED; false: not one of ours. */
bool service_message(struct cv_gw_box *b, struct cv_ipc_msg *m);
void service_ended(struct cv_gw_box *b); /* the link is gone: what is not connected won't be */
