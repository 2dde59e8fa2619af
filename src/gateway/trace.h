/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h - spans of what the gateway does, sent to a collector (OTLP) when one is configured
 *
 *     traces:
 *       endpoint: http://collector:4318/v1/traces      HTTP, messages as protobuf; https too
 *       endpoint: grpc://collector:4317                gRPC; grpcs with TLS
 *       headers: {authorization: Bearer ...}
 *       sample: 0.1                                    of those traces that begin here
 *
 * A call whose client sent a traceparent is a part of that trace, and kept if the client keeps it. A
 * sandbox has no say in others' traces: its calls begin their own.
 *
 *     rpc "openshell.v1.OpenShell/CreateSandbox"
 *       └ "sandbox start" ─ "store", "queue", "spawn", "dial", "build"        steps.h
 *
 * Nobody waits for a collector: spans wait, at most TRACE_QUEUE_SPANS of them, while one request is
 * under way or one that failed is repeated; what does not fit is counted and forgotten.
 */
#pragma once
#include "gateway/gateway.h"
#include "gateway/span.h"

struct cv_gw_config;

/* Judges traces.* of the configuration (cv_gw_config_check_fn). */
struct cv_findings;
void cv_gw_trace_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err);

/* Where a call stands; made when it is first asked for.  NULL: nobody keeps it. */
const struct cv_traceparent *cv_gw_trace_of(struct cv_rpc_call *c);
/* The call has ended. */
void cv_gw_trace_call(struct cv_rpc_call *c, enum cv_rpc_status s, int64_t us);

/* A span below parent (NULL: the first of a trace).  False: nobody keeps it.  ret borrows parent; the
 * caller sets name, kind, times and attributes. */
CV_MUST bool cv_gw_trace_span(
	struct cv_gateway *g, const struct cv_traceparent *parent, struct cv_span *ret);
/* It is whole. */
void cv_gw_trace_put(struct cv_gateway *g, const struct cv_span *s);

int64_t cv_gw_trace_unix_ns(int64_t monotonic_us); /* a moment of the near past, by cv_clock_us() */
