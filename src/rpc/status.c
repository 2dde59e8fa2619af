/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - see status.h
 */
#include "rpc/status.h"

#include "base/str.h"

#define NAME(name, grpc, http) [CV_RPC_##name] = #name,
static const char *const name_of[CV_RPC_STATUS_COUNT] = { CV_RPC_STATUSES(NAME) };
#undef NAME

#define HTTP(name, grpc, http) [CV_RPC_##name] = (http),
static const int http_of[CV_RPC_STATUS_COUNT] = { CV_RPC_STATUSES(HTTP) };
#undef HTTP

const char *cv_rpc_status_name(enum cv_rpc_status s)
{
	return (unsigned)s < CV_ARRAY_LEN(name_of) ? name_of[s] : "UNKNOWN";
}

int cv_rpc_status_http(enum cv_rpc_status s)
{
	return (unsigned)s < CV_ARRAY_LEN(http_of) ? http_of[s] : 500;
}
