/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - numbers for /metrics, in Prometheus' text format 0.0.4
 *
 * A metric is a row below; its labels' values are given with each observation and make a series.
 * Series are few and bounded (CV_METRIC_SERIES_MAX for each metric; what is more is counted under
 * the label value "other"): a stranger can't make them grow.
 *
 *     cv_metric_add(CV_METRIC_SANDBOX_STARTS, 1, "ok");
 *     cv_metric_observe(CV_METRIC_SANDBOX_START_SECONDS, 0.012, "supervisor");
 *
 * One for the process; one thread.
 */
#pragma once
#include "base/buf.h"

#define CV_METRIC_SERIES_MAX 512
#define CV_METRIC_LABELS_MAX 2

enum cv_metric_type { CV_METRIC_COUNTER, CV_METRIC_GAUGE, CV_METRIC_HISTOGRAM };

/* clang-format off */
/* enum, type, name, labels (in the order that values are given), help.  Append yours. */
#define CV_METRICS(X)                                                                                    \
	X(GRPC_REQUESTS, COUNTER, "openshell_server_grpc_requests_total", "method,code", "gRPC calls that ended") \
	X(GRPC_SECONDS, HISTOGRAM, "openshell_server_grpc_request_duration_seconds", "method", "How long gRPC calls took") \
	X(HTTP_REQUESTS, COUNTER, "openshell_server_http_requests_total", "path,status", "Other HTTP requests") \
	X(HTTP_SECONDS, HISTOGRAM, "openshell_server_http_request_duration_seconds", "path", "How long they took") \
	X(DATABASE_HEALTHY, GAUGE, "openshell_server_readiness_database_healthy", "", "1 when the store answered the last probe") \
	X(DATABASE_SECONDS, HISTOGRAM, "openshell_server_readiness_database_probe_duration_seconds", "", "How long probes took") \
	X(AUTH_REFUSALS, COUNTER, "cove_gateway_auth_refusals_total", "why", "Callers that were not let in")  \
	X(SANDBOXES, GAUGE, "cove_gateway_sandboxes", "phase", "Sandboxes that there are")                    \
	X(SANDBOX_START_SECONDS, HISTOGRAM, "cove_gateway_sandbox_start_seconds", "step", "Start-up, by step") \
	X(EXECS, COUNTER, "cove_gateway_execs_total", "outcome", "Commands run in sandboxes")                 \
	X(OBJECTS, GAUGE, "cove_gateway_objects", "kind", "Objects that are kept")                            \
	X(RELOADS, COUNTER, "cove_gateway_reloads_total", "outcome", "Times the configuration was read again") \
	X(HOST_USED, GAUGE, "cove_gateway_host_used", "resource", "What sandboxes are counted with: pieces, bytes, processors") \
	X(HOST_QUOTA, GAUGE, "cove_gateway_host_quota", "resource", "What they may be counted with together") \
	X(WORKSPACE_USED, GAUGE, "cove_gateway_workspace_used", "workspace,resource", "The same of each workspace") \
	X(WORKSPACE_QUOTA, GAUGE, "cove_gateway_workspace_quota", "workspace,resource", "The same of each workspace") \
	X(ADMISSION_QUEUE, GAUGE, "cove_gateway_admission_queue", "", "Sandboxes that wait for room") \
	X(ADMISSIONS, COUNTER, "cove_gateway_admissions_total", "outcome", "What became of requests for room") \
	X(ADMISSION_WAIT_SECONDS, HISTOGRAM, "cove_gateway_admission_wait_seconds", "", "How long those waited that were let in") \
	X(SANDBOX_STARTS, COUNTER, "cove_gateway_sandbox_starts_total", "outcome", "Starts of sandboxes that ended") \
	X(EXEC_SECONDS, HISTOGRAM, "cove_gateway_exec_seconds", "step", "Commands, until they ran and until they ended") \
	X(STORE_OPERATIONS, COUNTER, "cove_gateway_store_operations_total", "operation,outcome", "What was asked of the store") \
	X(STORE_SECONDS, HISTOGRAM, "cove_gateway_store_seconds", "operation", "How long it took") \
	X(STORE_BATCHES, COUNTER, "cove_gateway_store_batches_total", "", "Batches that were committed; of one commit there may be several") \
	X(STORE_RECORDS, COUNTER, "cove_gateway_store_batch_records_total", "", "Records in them") \
	X(KEEPER_REQUESTS, COUNTER, "cove_gateway_keeper_requests_total", "request,outcome", "What was asked of the keeper that holds the keys of what is stored") \
	X(KEEPER_SECONDS, HISTOGRAM, "cove_gateway_keeper_seconds", "request", "How long it took") \
	X(KEEPER_STARTS, COUNTER, "cove_gateway_keeper_starts_total", "outcome", "Keepers that were started") \
	X(DECISIONS, COUNTER, "cove_gateway_proxy_decisions_total", "verdict", "Decisions of sandboxes' proxies") \
	X(PROXY_BYTES, COUNTER, "cove_gateway_proxy_bytes_total", "direction", "Bytes that agents exchanged through them") \
	X(EVENTS_LOST, COUNTER, "cove_gateway_sandbox_events_lost_total", "kind", "Lines and denials that a supervisor could not tell") \
	X(TRACE_SENT, COUNTER, "cove_gateway_trace_spans_sent_total", "", "Spans that a collector took") \
	X(TRACE_DROPPED, COUNTER, "cove_gateway_trace_spans_dropped_total", "why", "Spans that none took") \
	X(TRACE_FAILURES, COUNTER, "cove_gateway_trace_failures_total", "outcome", "Requests that a collector did not take") \
	/* each row ends so */
/* clang-format on */

#define CV_METRIC_ENUM(name, type, text, labels, help) CV_METRIC_##name,
enum cv_metric { CV_METRICS(CV_METRIC_ENUM) CV_METRIC_COUNT };
#undef CV_METRIC_ENUM

/* After value come as many const char * as the row has labels. */
void cv_metric_add(enum cv_metric m, double value, ...);     /* a counter, or a gauge by a change */
void cv_metric_set(enum cv_metric m, double value, ...);     /* a gauge */
void cv_metric_observe(enum cv_metric m, double value, ...); /* a histogram, in seconds */
void cv_metrics_write(struct cv_buf *out);
