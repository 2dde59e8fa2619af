/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.c - grpc.health.v1; see reflection.h
 *
 * A watcher is told what is, and stays; the server's draining ends its connection, which
 * is how it learns of that.
 */
#include "health.pb-c.h"
#include "rpc/reflection.h"
#include "rpc/server_int.h"

typedef Grpc__Health__V1__HealthCheckResponse response_type;

static bool is_served(const struct cv_rpc_call *c, const char *service)
{
	const struct cv_rpc_server_config *config = &c->server->config;

	if (!*service)
		return true;
	for (size_t i = 0; i < config->method_count; i++)
		if (strcmp(config->methods[i].service, service) == 0)
			return true;
	return false;
}

static void response_fill(const struct cv_rpc_call *c, const char *service, response_type *r)
{
	grpc__health__v1__health_check_response__init(r);
	r->status =
		!is_served(c, service)
			? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
		: c->server->is_draining
			? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
			: GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
}

static void check(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Grpc__Health__V1__HealthCheckRequest *q = (const void *)m;
	response_type r;

	if (!is_served(c, q->service)) {
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "unknown service");
		return;
	}
	response_fill(c, q->service, &r);
	cv_rpc_reply(c, &r.base);
}

static void watch(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Grpc__Health__V1__HealthCheckRequest *q = (const void *)m;
	response_type r;

	response_fill(c, q->service, &r);
	(void)cv_rpc_send(c, &r.base);
}

#define ROW(name, kind, handler)                                                    \
	{                                                                           \
		"grpc.health.v1.Health", name,                                      \
			&grpc__health__v1__health_check_request__descriptor,        \
			&grpc__health__v1__health_check_response__descriptor, kind, \
			{ CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE },      \
			{ handler, NULL, NULL, NULL }, NULL                         \
	}
const struct cv_rpc_method cv_rpc_health_methods[] = {
	ROW("Check", CV_RPC_UNARY, check),
	ROW("Watch", CV_RPC_SERVER_STREAM, watch),
};
const size_t cv_rpc_health_method_count = CV_ARRAY_LEN(cv_rpc_health_methods);
