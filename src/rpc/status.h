/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - how a call ended: the codes of gRPC (doc/statuscodes.md), and the status of HTTP that
 * each becomes for a REST client (google/rpc/code.proto)
 */
#pragma once
#include "base/err.h"

/* clang-format off */
#define CV_RPC_STATUSES(X)                       \
	X(OK, 0, 200)                            \
	X(CANCELLED, 1, 499)                     \
	X(UNKNOWN, 2, 500)                       \
	X(INVALID_ARGUMENT, 3, 400)              \
	X(DEADLINE_EXCEEDED, 4, 504)             \
	X(NOT_FOUND, 5, 404)                     \
	X(ALREADY_EXISTS, 6, 409)                \
	X(PERMISSION_DENIED, 7, 403)             \
	X(RESOURCE_EXHAUSTED, 8, 429)            \
	X(FAILED_PRECONDITION, 9, 400)           \
	X(ABORTED, 10, 409)                      \
	X(OUT_OF_RANGE, 11, 400)                 \
	X(UNIMPLEMENTED, 12, 501)                \
	X(INTERNAL, 13, 500)                     \
	X(UNAVAILABLE, 14, 503)                  \
	X(DATA_LOSS, 15, 500)                    \
	X(UNAUTHENTICATED, 16, 401)
/* clang-format on */
#define CV_RPC_STATUS_ENUM(name, grpc, http) CV_RPC_##name = (grpc),
enum cv_rpc_status { CV_RPC_STATUSES(CV_RPC_STATUS_ENUM) CV_RPC_STATUS_COUNT };
#undef CV_RPC_STATUS_ENUM

const char *cv_rpc_status_name(enum cv_rpc_status s); /* "NOT_FOUND"; static */
int cv_rpc_status_http(enum cv_rpc_status s);
