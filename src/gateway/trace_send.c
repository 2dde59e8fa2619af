/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_send.c - spans on their way to the collector
 *
 *     put() ──► queue ──(enough, or long enough)──► body ──► request ─┬─ taken
 *                                                    ▲                ├─ refused: forgotten
 *                                                    └──── backoff ◄──┴─ failed
 *
 * One request at a time, by libcurl in the loop (curl_loop.h).  OTLP over gRPC is the same message with
 * five bytes before it, over HTTP/2, and a status in the trailers, which libcurl hands over as headers.
 * Which failures are repeated is OTLP's word: 429, 502, 503, 504; of gRPC's codes those that may pass.
 */
#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/trace_int.h"
#include "rpc/unpack.h"

#include "otlp.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_ARENA_MAX (64u << 10)

/* ---- the queue ---- */

static void dropped(size_t n, const char *why)
{
	if (n)
		cv_metric_add(CV_METRIC_TRACE_DROPPED, (double)n, why);
}

void cv_gw_trace_put(struct cv_gateway *g, const struct cv_span *s)
{
	struct cv_gw_traces *t = g->traces;

	if (!t || !t->is_on)
		return;
	if (t->queued >= TRACE_QUEUE_SPANS ||
		cv_buf_len(&t->queue) + 2 * CV_SPAN_BYTES_MAX > TRACE_QUEUE_BYTES) {
		dropped(1, "queue_full");
		return;
	}
	if (!cv_span_put(&t->queue, s)) {
		dropped(1, "too_large");
		return;
	}
	if (!t->queued++)
		t->queued_ms = g->loop.now_ms;
}

/* What waits becomes the body of a request. */
static void body_make(struct cv_gw_traces *t)
{
	const char no_length[TRACE_GRPC_HEAD_BYTES] = { 0 };
	const size_t head = t->is_grpc ? TRACE_GRPC_HEAD_BYTES : 0;

	cv_buf_reset(&t->body);
	cv_buf_put(&t->body, (struct cv_str){ no_length, head });
	if (cv_span_request(&t->body, cv_str_of(t->g->id), cv_buf_str(&t->queue))) {
		const size_t n = cv_buf_len(&t->body) - head;
		char *p = t->body.data + t->body.start;

		for (size_t i = 1; i < head; i++) /* big-endian, behind "not compressed" */
			p[i] = (char)(n >> 8 * (head - 1 - i));
		t->body_spans = t->queued;
	} else {
		dropped(t->queued, "too_large");
	}
	cv_buf_reset(&t->queue);
	t->queued = 0;
	t->tries = 0;
	t->retry_ms = 0;
}

static void body_forget(struct cv_gw_traces *t)
{
	cv_buf_fini(&t->body);
	t->body_spans = 0;
}

/* ---- the request ---- */

static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
	struct cv_gw_traces *t = arg;

	/* What is longer is read on, and says nothing. */
	(void)cv_buf_put(&t->answer, (struct cv_str){ bytes, size * count });
	return size * count;
}

/* Trailers come here too. */
static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
	struct cv_gw_traces *t = arg;
	struct cv_str value = { bytes, size * count };

	while (value.n && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
		value.n--;
	const struct cv_str name = cv_str_cut(&value, ':');
	uint64_t n;

	if (cv_str_eq_nocase(name, CV_STR("grpc-status")) &&
		cv_str_to_u64(cv_str_trim(value), 16, &n))
		t->grpc_status = (int)n;
	return size * count;
}

static void header_add(struct cv_gw_traces *t, struct cv_str name, struct cv_str value)
{
	char line[TRACE_HEADER_BYTES_MAX + 256];
	struct curl_slist *more;

	snprintf(line, sizeof(line), "%.*s: %.*s", (int)CV_MIN(name.n, (size_t)200), name.p,
		CV_STR_ARG(value));
	more = curl_slist_append(t->headers, line);
	explicit_bzero(line, sizeof(line));
	if (more)
		t->headers = more;
}

static void headers_make(struct cv_gw_traces *t)
{
	const struct cv_gw_config_map *m = &t->g->config->traces_headers;

	header_add(t, CV_STR("content-type"),
		t->is_grpc ? CV_STR("application/grpc") : CV_STR("application/x-protobuf"));
	if (t->is_grpc)
		header_add(t, CV_STR("te"), CV_STR("trailers"));
	header_add(t, CV_STR("expect"), CV_STR_NONE); /* libcurl's own is left out so */
	for (size_t i = 0; i < m->n; i++)
		header_add(t, m->key[i], m->value[i]);
}

static void request_end(struct cv_gw_traces *t)
{
	if (t->easy) {
		curl_multi_remove_handle(t->curl.multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	t->easy = NULL;
	curl_slist_free_all(t->headers);
	t->headers = NULL;
}

static bool request_make(struct cv_gw_traces *t, long ms)
{
	const struct cv_gw_config *c = t->g->config;
	const struct cv_str body = cv_buf_str(&t->body);
	const bool is_tls = cv_str_has_prefix(cv_str_of(t->url), CV_STR("https:"));
	const long version = !t->is_grpc ? CURL_HTTP_VERSION_1_1
			     : is_tls    ? CURL_HTTP_VERSION_2TLS
					 : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;

	cv_buf_reset(&t->answer);
	t->why[0] = 0;
	t->grpc_status = -1;
	t->easy = curl_easy_init();
	if (!t->easy)
		return false;
	headers_make(t);
	return curl_easy_setopt(t->easy, CURLOPT_URL, t->url) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, is_tls ? "https" : "http") ==
		       CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, version) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) ==
		       CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, body.p) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       /* libcurl 7.88 fails with the second request of a connection of HTTP/2 without TLS. */
	       curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, (long)t->is_grpc) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->why) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t) == CURLE_OK &&
	       (!c->traces_ca.n ||
		       curl_easy_setopt(t->easy, CURLOPT_CAINFO, c->traces_ca.p) == CURLE_OK);
}

static void body_retry(struct cv_gw_traces *t)
{
	const int64_t ms = (int64_t)TRACE_RETRY_MS << CV_MIN(t->tries, 16u);

	if (++t->tries >= TRACE_TRIES_MAX) {
		dropped(t->body_spans, "given_up");
		body_forget(t);
		return;
	}
	t->retry_ms = t->g->loop.now_ms + CV_MIN(ms, (int64_t)TRACE_RETRY_MS_MAX);
}

static void request_begin(struct cv_gw_traces *t)
{
	if (request_make(t, TRACE_REQUEST_MS) &&
		curl_multi_add_handle(t->curl.multi, t->easy) == CURLM_OK)
		return;
	request_end(t);
	body_retry(t);
}

/* ---- what came of it ---- */

enum outcome { TAKEN, AGAIN, REFUSED };

static enum outcome grpc_outcome(int status)
{
	switch (status) {
	case CV_RPC_OK: return TAKEN;
	case CV_RPC_CANCELLED:
	case CV_RPC_DEADLINE_EXCEEDED:
	case CV_RPC_RESOURCE_EXHAUSTED:
	case CV_RPC_ABORTED:
	case CV_RPC_OUT_OF_RANGE:
	case CV_RPC_UNAVAILABLE:
	case CV_RPC_DATA_LOSS: return AGAIN;
	default: return REFUSED;
	}
}

/* Says in t->why what was wrong. */
static enum outcome outcome_of(struct cv_gw_traces *t, CURLcode result)
{
	long http = 0;

	if (result != CURLE_OK) {
		if (!t->why[0])
			snprintf(t->why, sizeof(t->why), "%s", curl_easy_strerror(result));
		return AGAIN;
	}
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &http);
	snprintf(t->why, sizeof(t->why), "HTTP status %ld", http);
	if (http == 429 || (http >= 502 && http <= 504))
		return AGAIN;
	if (http < 200 || http > 299)
		return REFUSED;
	if (!t->is_grpc)
		return TAKEN;
	snprintf(t->why, sizeof(t->why), "gRPC status %d", t->grpc_status);
	return t->grpc_status < 0 ? AGAIN : grpc_outcome(t->grpc_status);
}

/* A collector may take a part only. */
static size_t rejected_count(const struct cv_gw_traces *t)
{
	const size_t head = t->is_grpc ? TRACE_GRPC_HEAD_BYTES : 0;
	const struct cv_str all = cv_buf_str(&t->answer);
	ProtobufCMessage *m;
	struct cv_arena arena;
	struct cv_err err;
	int64_t n = 0;

	if (t->answer.is_overflown || all.n < head)
		return 0;
	cv_arena_init(&arena, ANSWER_ARENA_MAX);
	if (cv_rpc_unpack(&cove__otlp__export_response__descriptor, cv_str_slice(all, head, all.n),
		    &arena, &m, &err) == CV_OK) {
		const Cove__Otlp__ExportResponse *r = (const Cove__Otlp__ExportResponse *)m;

		n = r->partial_success ? r->partial_success->rejected_spans : 0;
	}
	cv_arena_fini(&arena);
	return n < 0 ? 0 : CV_MIN((size_t)n, t->body_spans);
}

static void taken(struct cv_gw_traces *t)
{
	const size_t rejected = rejected_count(t);

	dropped(rejected, "rejected");
	cv_metric_add(CV_METRIC_TRACE_SENT, (double)(t->body_spans - rejected));
	if (t->is_failing)
		cv_log(CV_LOG_INFO, "traces", CV_LOG_FIELDS({ "url", cv_str_of(t->url) }),
			"the collector takes traces again");
	t->is_failing = false;
	body_forget(t);
}

static void request_ended(struct cv_gw_traces *t, CURLcode result)
{
	const enum outcome o = outcome_of(t, result);

	request_end(t);
	if (o == TAKEN) {
		taken(t);
		return;
	}
	if (!t->is_failing)
		cv_log(CV_LOG_WARN, "traces",
			CV_LOG_FIELDS({ "url", cv_str_of(t->url) }, { "why", cv_str_of(t->why) }),
			o == AGAIN ? "the collector takes no traces; they are sent again"
				   : "the collector refuses traces");
	t->is_failing = true;
	cv_metric_add(CV_METRIC_TRACE_FAILURES, 1, o == AGAIN ? "failed" : "refused");
	if (o == AGAIN) {
		body_retry(t);
		return;
	}
	dropped(t->body_spans, "refused");
	body_forget(t);
}

/* ---- the part ---- */

static void ended_take(struct cv_gw_traces *t)
{
	CURLcode result;

	while (t->easy && cv_gw_curl_done(&t->curl, &result))
		request_ended(t, result);
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_gw_traces *t = g->traces = calloc(1, sizeof(*t));

	if (!t)
		return cv_fail(err, CV_LIMIT, "no memory");
	t->g = g;
	cv_buf_init(&t->queue, TRACE_QUEUE_BYTES);
	cv_buf_init(&t->body, TRACE_QUEUE_BYTES + CV_SPAN_BYTES_MAX);
	cv_buf_init(&t->answer, TRACE_ANSWER_BYTES_MAX);
	trace_configure(t, g->config);
	return cv_gw_curl_init(&t->curl, g, CV_GW_WATCH(CV_GW_PART_TRACE, 0), err);
}

static void queue_forget(struct cv_gw_traces *t)
{
	dropped(t->queued, "turned_off");
	cv_buf_reset(&t->queue);
	t->queued = 0;
}

/* What waits goes to the new collector; a request's body fits only the old one. */
static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	struct cv_gw_traces *t = g->traces;

	(void)old;
	request_end(t);
	dropped(t->body_spans, "turned_off");
	body_forget(t);
	trace_configure(t, g->config);
	t->is_failing = false;
	if (!t->is_on)
		queue_forget(t);
}

/* The loop has ended: what is left is sent once, and waited for shortly. */
static void last_send(struct cv_gw_traces *t)
{
	request_end(t);
	for (int i = 0; i < 2 && (t->body_spans || t->queued) && !t->is_failing; i++) {
		if (!t->body_spans)
			body_make(t);
		if (t->body_spans && request_make(t, TRACE_LAST_MS))
			t->is_failing = outcome_of(t, curl_easy_perform(t->easy)) != TAKEN;
		curl_easy_cleanup(t->easy);
		t->easy = NULL;
		request_end(t);
		body_forget(t);
	}
}

static void stop(struct cv_gateway *g)
{
	struct cv_gw_traces *t = g->traces;

	if (!t)
		return;
	last_send(t);
	cv_gw_curl_fini(&t->curl);
	cv_buf_fini(&t->queue);
	cv_buf_fini(&t->body);
	cv_buf_fini(&t->answer);
	free(t);
	g->traces = NULL;
}

static void event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	cv_gw_curl_event(&g->traces->curl, e);
	ended_take(g->traces);
}

static int64_t turn(struct cv_gateway *g)
{
	struct cv_gw_traces *t = g->traces;
	const int64_t now = g->loop.now_ms;

	cv_gw_curl_turn(&t->curl);
	ended_take(t);
	if (!t->body_spans && t->queued &&
		(t->queued >= TRACE_BATCH_SPANS || now - t->queued_ms >= TRACE_DELAY_MS))
		body_make(t);
	if (t->body_spans && !t->easy && now >= t->retry_ms)
		request_begin(t);
	if (t->easy)
		return t->curl.due_ms;
	if (t->body_spans)
		return t->retry_ms;
	return t->queued ? t->queued_ms + TRACE_DELAY_MS : INT64_MAX;
}

const struct cv_gw_part cv_gw_part_trace = {
	.name = "traces",
	.start = start,
	.reload = reload,
	.stop = stop,
	.event = event,
	.turn = turn,
};
