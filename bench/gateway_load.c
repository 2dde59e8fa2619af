/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_load.c - a closed-loop gRPC client of the gateway, for bench/gateway.py
 *
 *     gateway_load URL create COUNT ACROSS KEEP NAME PAUSE   CreateSandbox, WatchSandbox to READY,
 *                                                      DeleteSandbox unless KEEP is 1, PAUSE ms
 *     gateway_load URL exec COUNT ACROSS ID COMMAND..  ExecSandbox: first byte of output, and the end
 *     gateway_load URL list COUNT LIMIT OFFSET         ListSandboxes
 *     gateway_load URL get COUNT NAME                  GetSandbox
 *
 * ACROSS calls are under way at any time, all on one plaintext connection.  A time is from the first
 * request's send to the last answer.  Prints one line of JSON, times in microseconds.  What fails ends
 * the program: a benchmark of failures would say nothing.
 */
#include "base/str.h"
#include "openshell.pb-c.h"
#include "rpc/client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES_MAX 1000000
#define ACROSS_MAX  256
#define METHOD(m)   "/openshell.v1.OpenShell/" m

enum step { CREATE, WATCH, DELETE, EXEC, LIST, GET };

struct flow {
	enum step step;
	int64_t began_us;
	bool has_answer;
	char name[64], id[64];
	struct cv_rpc_stream *stream;
};

static struct {
	struct cv_rpc_client *client;
	enum step first;
	long count, across, begun, done, pause_ms;
	bool is_kept;
	const char *name;
	uint32_t limit, offset;
	char **argv;
	size_t argc;
	struct flow flow[ACROSS_MAX];
	int64_t *end_us, *first_us,
		*answer_us; /* whole, to the first byte, of the first call alone */
	long ends, firsts, answers;
} g;

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "gateway_load: %s: %s\n", what, why);
	exit(1);
}

static void flow_message(void *arg, ProtobufCMessage *m);
static void flow_ended(void *arg, enum cv_rpc_status s, const char *message);

static void ask(struct flow *f, enum step step, const char *method, const ProtobufCMessage *in,
	const ProtobufCMessageDescriptor *out)
{
	static const struct cv_rpc_stream_events events = { flow_message, flow_ended, NULL };
	struct cv_err err;

	f->step = step;
	if (cv_rpc_stream_open(g.client, method, out, &events, f, &f->stream, &err) != CV_OK)
		fail(method, err.msg);
	if (!cv_rpc_stream_send(f->stream, in))
		fail(method, "the request is not taken");
	cv_rpc_stream_half_close(f->stream);
}

static void create(struct flow *f)
{
	Openshell__V1__CreateSandboxRequest r;
	Openshell__V1__SandboxSpec spec;
	char *command[] = { (char[]){ "/bin/sleep" }, (char[]){ "100000" } };

	openshell__v1__create_sandbox_request__init(&r);
	openshell__v1__sandbox_spec__init(&spec);
	snprintf(f->name, sizeof(f->name), "%s-%ld", g.name, g.begun);
	r.name = f->name;
	r.spec = &spec;
	spec.command = command;
	spec.n_command = 2;
	ask(f, CREATE, METHOD("CreateSandbox"), &r.base,
		&openshell__v1__sandbox_response__descriptor);
}

static void watch(struct flow *f)
{
	Openshell__V1__WatchSandboxRequest r;

	openshell__v1__watch_sandbox_request__init(&r);
	r.id = f->id;
	r.follow_status = true;
	ask(f, WATCH, METHOD("WatchSandbox"), &r.base,
		&openshell__v1__sandbox_stream_event__descriptor);
}

static void delete (struct flow *f)
{
	Openshell__V1__DeleteSandboxRequest r;

	openshell__v1__delete_sandbox_request__init(&r);
	r.name = f->name;
	ask(f, DELETE, METHOD("DeleteSandbox"), &r.base,
		&openshell__v1__delete_sandbox_response__descriptor);
}

static void exec(struct flow *f)
{
	Openshell__V1__ExecSandboxRequest r;

	openshell__v1__exec_sandbox_request__init(&r);
	r.sandbox_id = g.argv[0];
	r.command = g.argv + 1;
	r.n_command = g.argc - 1;
	ask(f, EXEC, METHOD("ExecSandbox"), &r.base,
		&openshell__v1__exec_sandbox_event__descriptor);
}

static void list(struct flow *f)
{
	Openshell__V1__ListSandboxesRequest r;

	openshell__v1__list_sandboxes_request__init(&r);
	r.limit = g.limit;
	r.offset = g.offset;
	ask(f, LIST, METHOD("ListSandboxes"), &r.base,
		&openshell__v1__list_sandboxes_response__descriptor);
}

static void get(struct flow *f)
{
	Openshell__V1__GetSandboxRequest r;

	openshell__v1__get_sandbox_request__init(&r);
	r.name = g.argv[0];
	ask(f, GET, METHOD("GetSandbox"), &r.base, &openshell__v1__sandbox_response__descriptor);
}

static void begin(struct flow *f)
{
	if (g.begun >= g.count)
		return;
	f->has_answer = false;
	f->began_us = now_us();
	switch (g.first) {
	case CREATE: create(f); break;
	case EXEC: exec(f); break;
	case LIST: list(f); break;
	case GET: get(f); break;
	case WATCH:
	case DELETE: break;
	}
	g.begun++;
}

static void finished(struct flow *f)
{
	const struct timespec pause = { 0, g.pause_ms * 1000000 };

	g.done++;
	if (g.pause_ms)
		nanosleep(&pause, NULL);
	begin(f);
}

static void ready(struct flow *f)
{
	g.end_us[g.ends++] = now_us() - f->began_us;
	cv_rpc_stream_cancel(f->stream);
	if (g.is_kept)
		finished(f);
	else
		delete (f);
}

static void watched(struct flow *f, const Openshell__V1__SandboxStreamEvent *e)
{
	if (e->payload_case != OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX)
		return;
	switch ((int)e->sandbox->status->phase) {
	case OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY: ready(f); break;
	case OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR:
		fail(f->name, e->sandbox->status->n_conditions
				      ? e->sandbox->status->conditions[0]->message
				      : "ERROR");
		break;
	default: break;
	}
}

static void flow_message(void *arg, ProtobufCMessage *m)
{
	struct flow *f = arg;
	const Openshell__V1__ExecSandboxEvent *e = (const void *)m;

	if (f->step == CREATE) {
		const Openshell__V1__SandboxResponse *r = (const void *)m;

		snprintf(f->id, sizeof(f->id), "%s", r->sandbox->metadata->id);
		g.answer_us[g.answers++] = now_us() - f->began_us;
	} else if (f->step == EXEC && !f->has_answer &&
		   e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT) {
		f->has_answer = true;
		g.first_us[g.firsts++] = now_us() - f->began_us;
	}
	if (f->step == WATCH)
		watched(f, (const void *)m);
	protobuf_c_message_free_unpacked(m, NULL);
}

static void flow_ended(void *arg, enum cv_rpc_status s, const char *message)
{
	struct flow *f = arg;

	if (s != CV_RPC_OK)
		fail("a call ended", message);
	if (f->step == CREATE) {
		watch(f);
		return;
	}
	if (f->step == WATCH)
		fail(f->name, "the watch ended");
	if (f->step != DELETE)
		g.end_us[g.ends++] = now_us() - f->began_us;
	finished(f);
}

static int by_value(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void tell(const char *name, int64_t *v, long n)
{
	if (!n)
		return;
	qsort(v, (size_t)n, sizeof(*v), by_value);
	printf(", \"%s\": {\"p10\": %lld, \"p50\": %lld, \"p99\": %lld}", name,
		(long long)v[n / 10], (long long)v[n / 2], (long long)v[n * 99 / 100]);
}

static void run(void)
{
	struct cv_err err;

	for (long i = 0; i < g.across; i++)
		begin(&g.flow[i]);
	while (g.done < g.count) {
		struct pollfd w = { cv_rpc_client_fd(g.client), cv_rpc_client_interest(g.client),
			0 };

		(void)poll(&w, 1, 1000);
		if (cv_rpc_client_turn(g.client, &err) != CV_OK)
			fail("connection", err.msg);
	}
}

static bool arguments(int argc, char **argv)
{
	if (argc < 5)
		return false;
	g.count = strtol(argv[3], NULL, 10);
	g.across = 1;
	g.argv = argv + 4;
	g.argc = (size_t)argc - 4;
	if (!strcmp(argv[2], "create") && argc == 8) {
		g.first = CREATE;
		g.across = strtol(argv[4], NULL, 10);
		g.is_kept = *argv[5] == '1';
		g.name = argv[6];
		g.pause_ms = strtol(argv[7], NULL, 10) % 1000;
	} else if (!strcmp(argv[2], "exec") && argc >= 7) {
		g.first = EXEC;
		g.across = strtol(argv[4], NULL, 10);
		g.argv++, g.argc--;
	} else if (!strcmp(argv[2], "list") && argc == 6) {
		g.first = LIST;
		g.limit = (uint32_t)strtoul(argv[4], NULL, 10);
		g.offset = (uint32_t)strtoul(argv[5], NULL, 10);
	} else if (!strcmp(argv[2], "get") && argc == 5) {
		g.first = GET;
	} else {
		return false;
	}
	return g.count > 0 && g.count <= SAMPLES_MAX && g.across > 0 && g.across <= ACROSS_MAX;
}

int main(int argc, char **argv)
{
	struct cv_err err;

	if (!arguments(argc, argv)) {
		fprintf(stderr, "usage: gateway_load URL create|exec|list|get COUNT ...\n");
		return 2;
	}
	const struct cv_rpc_endpoint at = { .url = cv_str_of(argv[1]) };
	g.end_us = calloc((size_t)g.count, sizeof(int64_t));
	g.first_us = calloc((size_t)g.count, sizeof(int64_t));
	g.answer_us = calloc((size_t)g.count, sizeof(int64_t));
	if (!g.end_us || !g.first_us || !g.answer_us)
		fail("samples", "no memory");
	if (cv_rpc_client_open(&at, 10000, &g.client, &err) != CV_OK)
		fail(argv[1], err.msg);
	const int64_t start = now_us();
	run();
	const double seconds = (double)(now_us() - start) / 1e6;
	printf("{\"count\": %ld, \"seconds\": %.3f, \"per_second\": %.1f", g.count, seconds,
		(double)g.count / seconds);
	tell("us", g.end_us, g.ends);
	tell("first_us", g.first_us, g.firsts);
	tell("answer_us", g.answer_us, g.answers);
	printf("}\n");
	cv_rpc_client_close(g.client);
	return 0;
}
