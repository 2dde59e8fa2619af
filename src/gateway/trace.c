/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - which spans are kept, and what is in those of calls; see trace.h
 *
 * Nothing of a request but its method's name, its route, its id and how it ended is in its span: no
 * field of a message, no header, no sentence of an error.
 */
#include "gateway/trace.h"

#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/trace_int.h"
#include "rpc/rest.h"
#include "sys/clock.h"
#include "wire/h1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* ---- configuration ---- */

static const struct {
	const char *prefix, *curl;
	bool is_grpc;
} scheme[] = {
	{ "http://", "http://", false },
	{ "https://", "https://", false },
	{ "grpc://", "http://", true },
	{ "grpcs://", "https://", true },
};

/* "0.25" as parts of a billion. */
static bool sample_parse(struct cv_str s, uint32_t *ret)
{
	struct cv_str fraction = s;
	const struct cv_str whole = cv_str_cut(&fraction, '.');
	uint64_t one, part = 0, n;

	if (!cv_str_to_u64(whole, 1, &one))
		return false;
	if (fraction.p && (fraction.n > 9 || !cv_str_to_u64(fraction, 999999999, &part)))
		return false;
	for (n = fraction.n; n < 9; n++)
		part *= 10;
	*ret = (uint32_t)(one * TRACE_SAMPLE_ALL + part);
	return *ret <= TRACE_SAMPLE_ALL;
}

cv_code trace_endpoint(const struct cv_gw_config *c, char ret_url[TRACE_URL_BYTES],
	bool *ret_is_grpc, struct cv_err *err)
{
	const struct cv_str e = c->traces_endpoint;

	for (size_t i = 0; i < CV_ARRAY_LEN(scheme); i++) {
		const struct cv_str rest = cv_str_slice(e, strlen(scheme[i].prefix), e.n);
		const size_t slash = cv_str_find_byte(rest, '/');

		if (!cv_str_has_prefix(e, cv_str_of(scheme[i].prefix)))
			continue;
		if (!slash || cv_str_has_byte(rest, '@') || !cv_h1_is_field_value(rest) ||
			cv_str_has_byte(rest, ' '))
			break;
		if (scheme[i].is_grpc && slash + 1 < rest.n)
			return cv_fail(err, CV_INVALID, "gRPC has a host and a port, and no path");
		*ret_is_grpc = scheme[i].is_grpc;
		const int n = snprintf(ret_url, TRACE_URL_BYTES, "%s%.*s%s", scheme[i].curl,
			CV_STR_ARG(scheme[i].is_grpc ? cv_str_slice(rest, 0, slash) : rest),
			scheme[i].is_grpc ? TRACE_GRPC_PATH : "");
		return n < TRACE_URL_BYTES ? CV_OK : cv_fail(err, CV_INVALID, "it is too long");
	}
	return cv_fail(err, CV_INVALID,
		"it is no http://HOST:PORT/PATH, https://..., grpc://HOST:PORT or grpcs://..., "
		"without a user in it");
}

/* What the request itself says. */
static bool is_ours(struct cv_str name)
{
	static const char *const ours[] = { "content-type", "content-length", "host", "te",
		"transfer-encoding", "connection", "expect" };

	for (size_t i = 0; i < CV_ARRAY_LEN(ours); i++)
		if (cv_str_eq_nocase(name, cv_str_of(ours[i])))
			return true;
	return false;
}

/* Values may be secrets, and are not repeated. */
static void headers_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	const struct cv_gw_config_map *m = &c->traces_headers;

	if (m->n > TRACE_HEADERS_MAX)
		cv_gw_config_refuse(c, "traces.headers", findings, err, "at most %d of them",
			TRACE_HEADERS_MAX);
	for (size_t i = 0; i < CV_MIN(m->n, (size_t)TRACE_HEADERS_MAX); i++) {
		if (!cv_h1_is_token(m->key[i]) || is_ours(m->key[i]))
			cv_gw_config_refuse(c, "traces.headers", findings, err,
				"'%.*s' is no name for one",
				CV_STR_ARG(cv_str_slice(m->key[i], 0, 64)));
		else if (!cv_h1_is_field_value(m->value[i]) ||
			 m->value[i].n > TRACE_HEADER_BYTES_MAX)
			cv_gw_config_refuse(c, "traces.headers", findings, err,
				"the value of %.*s is none",
				CV_STR_ARG(cv_str_slice(m->key[i], 0, 64)));
	}
}

void cv_gw_trace_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	char url[TRACE_URL_BYTES];
	struct cv_err why;
	uint32_t sample;
	bool is_grpc;

	if (!sample_parse(c->traces_sample, &sample))
		cv_gw_config_refuse(c, "traces.sample", findings, err,
			"expected a part from 0 to 1, as 0.1, found '%.*s'",
			CV_STR_ARG(cv_str_slice(c->traces_sample, 0, 64)));
	if (c->traces_endpoint.n && trace_endpoint(c, url, &is_grpc, &why) != CV_OK)
		cv_gw_config_refuse(c, "traces.endpoint", findings, err, "%s", why.msg);
	headers_check(c, findings, err);
}

void trace_configure(struct cv_gw_traces *t, const struct cv_gw_config *c)
{
	struct cv_err err;

	if (!sample_parse(c->traces_sample, &t->sample))
		t->sample = TRACE_SAMPLE_ALL;
	t->is_on = c->traces_endpoint.n && trace_endpoint(c, t->url, &t->is_grpc, &err) == CV_OK;
}

/* ---- ids ---- */

static void random_take(struct cv_gw_traces *t, uint8_t *ret, size_t n)
{
	if (t->random_left < n) { /* one system call for many ids */
		if (getrandom(t->random, sizeof(t->random), 0) != sizeof(t->random))
			return; /* of so few bytes it never ends early (getrandom(2)) */
		t->random_left = sizeof(t->random);
	}
	t->random_left -= n;
	memcpy(ret, t->random + t->random_left, n);
}

static bool is_chosen(const struct cv_gw_traces *t, const uint8_t trace[CV_TRACE_ID_BYTES])
{
	uint64_t v;

	memcpy(&v, trace + CV_TRACE_ID_BYTES - sizeof(v), sizeof(v));
	return v % TRACE_SAMPLE_ALL < t->sample;
}

static void root_make(struct cv_gw_traces *t, struct cv_traceparent *ret)
{
	random_take(t, ret->trace, sizeof(ret->trace));
	random_take(t, ret->span, sizeof(ret->span));
	ret->is_sampled = is_chosen(t, ret->trace);
}

/* ---- calls ---- */

const struct cv_traceparent *cv_gw_trace_of(struct cv_rpc_call *c)
{
	struct cv_gw_traces *t = cv_gw_of(c)->traces;
	struct cv_rpc_trace *own = cv_rpc_call_trace(c);
	struct cv_traceparent caller;

	if (!t || !t->is_on)
		return NULL;
	if (!own->is_set) {
		own->is_set = true;
		root_make(t, &own->self);
		own->has_parent =
			cv_rpc_call_principal(c)->kind != CV_PRINCIPAL_SANDBOX &&
			cv_traceparent_parse(cv_rpc_call_metadata(c, "traceparent"), &caller);
		if (own->has_parent) {
			memcpy(own->self.trace, caller.trace, sizeof(caller.trace));
			memcpy(own->parent, caller.span, sizeof(caller.span));
			own->self.is_sampled = caller.is_sampled;
		}
	}
	return own->self.is_sampled ? &own->self : NULL;
}

/* What is the server's fault; the client's own mistakes are no errors of a server's span. */
static bool is_fault(enum cv_rpc_status s)
{
	return s == CV_RPC_UNKNOWN || s == CV_RPC_DEADLINE_EXCEEDED || s == CV_RPC_UNIMPLEMENTED ||
	       s == CV_RPC_INTERNAL || s == CV_RPC_UNAVAILABLE || s == CV_RPC_DATA_LOSS;
}

static const char *caller_kind(const struct cv_principal *who)
{
	static const char *const name[] = { [CV_PRINCIPAL_NONE] = "nobody",
		[CV_PRINCIPAL_USER] = "user",
		[CV_PRINCIPAL_SANDBOX] = "sandbox" };

	return name[who->kind];
}

static void rpc_describe(struct cv_span *s, struct cv_rpc_call *c, enum cv_rpc_status status)
{
	const struct cv_rpc_method *m = cv_rpc_call_method(c);
	const struct cv_rpc_route *route = cv_rpc_call_route(c);

	if (!route) {
		cv_span_text(s, "rpc.system", CV_STR("grpc"));
	} else {
		cv_span_text(s, "http.request.method", cv_str_of(route->method));
		cv_span_text(s, "http.route", cv_str_of(route->path));
		cv_span_number(s, "http.response.status_code", cv_rpc_status_http(status));
	}
	cv_span_text(s, "rpc.service", cv_str_of(m->service));
	cv_span_text(s, "rpc.method", cv_str_of(m->name));
	cv_span_number(s, "rpc.grpc.status_code", status);
	cv_span_text(s, "cove.request.id", cv_str_of(cv_rpc_call_id(c)));
	cv_span_text(s, "cove.caller", cv_str_of(caller_kind(cv_rpc_call_principal(c))));
}

void cv_gw_trace_call(struct cv_rpc_call *c, enum cv_rpc_status status, int64_t us)
{
	const struct cv_traceparent *self = cv_gw_trace_of(c);
	const struct cv_rpc_trace *own = cv_rpc_call_trace(c);
	const struct cv_rpc_method *m = cv_rpc_call_method(c);
	const struct cv_rpc_route *route = cv_rpc_call_route(c);
	char name[160];

	if (!self)
		return;
	struct cv_span s = {
		.self = *self,
		.parent = own->has_parent ? own->parent : NULL,
		.name = name,
		.kind = CV_SPAN_SERVER,
		.end_ns = cv_gw_trace_unix_ns(cv_clock_us()),
		.failure = is_fault(status) ? cv_rpc_status_name(status) : NULL,
	};

	s.begin_ns = s.end_ns - us * 1000;
	snprintf(name, sizeof(name), "%s%s%s", route ? route->method : m->service,
		route ? " " : "/", route ? route->path : m->name);
	rpc_describe(&s, c, status);
	cv_gw_trace_put(cv_gw_of(c), &s);
}

/* ---- other spans ---- */

bool cv_gw_trace_span(
	struct cv_gateway *g, const struct cv_traceparent *parent, struct cv_span *ret)
{
	struct cv_gw_traces *t = g->traces;

	if (!t || !t->is_on || (parent && !parent->is_sampled))
		return false;
	*ret = (struct cv_span){ .kind = CV_SPAN_INTERNAL };
	root_make(t, &ret->self);
	if (parent) {
		memcpy(ret->self.trace, parent->trace, sizeof(parent->trace));
		ret->self.is_sampled = true;
		ret->parent = parent->span;
	}
	return ret->self.is_sampled;
}

int64_t cv_gw_trace_unix_ns(int64_t monotonic_us)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - (cv_clock_us() - monotonic_us) * 1000;
}
