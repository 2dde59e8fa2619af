/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_int.h - what trace.c (which spans, and what is in them) and trace_send.c (their way) share
 */
#pragma once
#include "gateway/curl_loop.h"
#include "gateway/trace.h"

#define TRACE_SAMPLE_ALL       1000000000u /* parts of a billion */
#define TRACE_URL_BYTES        1024
#define TRACE_HEADERS_MAX      16
#define TRACE_HEADER_BYTES_MAX 8192 /* tokens are long */
#define TRACE_QUEUE_SPANS      4096 /* of a collector that is away or slow: seconds of work ... */
#define TRACE_QUEUE_BYTES      (2u << 20) /* ... and half of what collectors take in a message */
#define TRACE_BATCH_SPANS      512        /* are sent at once; fewer wait for ... */
#define TRACE_DELAY_MS         1000
#define TRACE_REQUEST_MS       10000 /* then the collector is too slow */
#define TRACE_RETRY_MS         1000  /* doubled ... */
#define TRACE_RETRY_MS_MAX     30000
#define TRACE_TRIES_MAX        8   /* ... so that a batch is given up after two minutes */
#define TRACE_LAST_MS          500 /* of the end of the process, for what is left */
#define TRACE_ANSWER_BYTES_MAX 4096
#define TRACE_GRPC_HEAD_BYTES  5
#define TRACE_GRPC_PATH        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

struct cv_gw_traces {
	struct cv_gateway *g;
	bool is_on, is_grpc;
	char url[TRACE_URL_BYTES];
	uint32_t sample;
	unsigned char random[256]; /* getrandom(2) gives as many without an end in between */
	size_t random_left;

	struct cv_buf queue; /* spans, packed */
	size_t queued;
	int64_t queued_ms; /* the first of them: loop time */

	struct cv_buf body; /* a request, until it is taken or given up */
	size_t body_spans;
	unsigned tries;
	int64_t retry_ms;
	bool is_failing; /* the last one was: said once */

	struct cv_gw_curl curl;
	CURL *easy;
	struct curl_slist *headers;
	struct cv_buf answer;
	int grpc_status; /* -1: none came */
	char why[CURL_ERROR_SIZE];
};

CV_MUST cv_code trace_endpoint(const struct cv_gw_config *c, char ret_url[TRACE_URL_BYTES],
	bool *ret_is_grpc, struct cv_err *err);
/* Takes what a checked configuration says. */
void trace_configure(struct cv_gw_traces *t, const struct cv_gw_config *c);
