/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_lab.c - the gRPC client as a program, for tests/rpc/test_client.py
 *
 *     client_lab [-c CA] [-C CERT] [-k KEY] [-b BEARER] [-n NAME] [-i] [-t MS] URL WORK...
 *
 * Each WORK is done in turn on one connection and says its result in a line:
 *
 *     health            STATUS version | message
 *     list:N            STATUS count, bytes of the answer
 *     big:BYTES         a request of that size: STATUS
 *     exec:WORD         a server's stream: each event's bytes, then the end
 *     held:WORD:MS      the same, but held after the first message for so long
 *     echo:BYTES:COUNT  a stream of both directions: what came back, then the end
 *     cancel:WORD       a server's stream, cancelled after its first message
 *     both              two exec streams at once, one held until the other has ended
 */
#include "rpc/client.h"

#include "openshell.pb-c.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define OPEN_MS      3000
#define ECHO_ONE_MAX (1 << 20)

static int timeout_ms = 3000;

struct lab {
	struct cv_rpc_client *c;
	struct cv_rpc_stream *s;
	uint64_t bytes, messages, sent, to_send;
	size_t one;
	bool is_over, is_quiet, wants_hold, wants_cancel, was_held;
	const char *name;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void event_came(void *arg, ProtobufCMessage *m)
{
	struct lab *l = arg;
	const Openshell__V1__ExecSandboxEvent *e = (const Openshell__V1__ExecSandboxEvent *)m;

	l->messages++;
	if (e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT)
		l->bytes += e->stdout->data.len;
	if (e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_EXIT)
		printf("%sexit %d\n", l->name, e->exit->exit_code);
	protobuf_c_message_free_unpacked(m, NULL);
	if (l->wants_hold && !l->was_held) {
		l->was_held = true;
		cv_rpc_stream_hold(l->s, true);
	}
	if (l->wants_cancel) {
		cv_rpc_stream_cancel(l->s);
		l->is_over = true;
	}
}

static void ended(void *arg, enum cv_rpc_status s, const char *text)
{
	struct lab *l = arg;

	l->is_over = true;
	printf("%s%s %llu messages, %llu bytes | %s\n", l->name, cv_rpc_status_name(s),
		(unsigned long long)l->messages, (unsigned long long)l->bytes, text);
}

static void stdin_send(struct lab *l)
{
	static uint8_t bytes[ECHO_ONE_MAX];
	Openshell__V1__ExecSandboxInput m;
	bool has_room = true;

	openshell__v1__exec_sandbox_input__init(&m);
	m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_STDIN;
	m.stdin = (ProtobufCBinaryData){ .data = bytes, .len = l->one };
	while (has_room && l->sent < l->to_send) {
		has_room = cv_rpc_stream_send(l->s, &m.base);
		l->sent++;
	}
	if (l->sent == l->to_send)
		cv_rpc_stream_half_close(l->s);
}

static void writable(void *arg)
{
	stdin_send(arg);
}

static const struct cv_rpc_stream_events lab_events = {
	.message = event_came,
	.ended = ended,
	.writable = writable,
};

/* Until the time, or until *is_over; false: the connection is lost. */
static bool turns(struct cv_rpc_client *c, const bool *is_over, int64_t until)
{
	struct cv_err err;

	while (!*is_over && now_ms() < until) {
		struct pollfd p = { .fd = cv_rpc_client_fd(c),
			.events = cv_rpc_client_interest(c) };

		if (poll(&p, 1, (int)(until - now_ms())) > 0 &&
			cv_rpc_client_turn(c, &err) != CV_OK) {
			printf("lost | %s\n", err.msg);
			return false;
		}
	}
	return true;
}

static bool exec_open(struct lab *l, const char *word)
{
	Openshell__V1__ExecSandboxRequest in;
	char *argv[] = { (char *)(uintptr_t)word };
	struct cv_err err;

	openshell__v1__exec_sandbox_request__init(&in);
	in.n_command = 1;
	in.command = argv;
	if (cv_rpc_stream_open(l->c, "/openshell.v1.OpenShell/ExecSandbox",
		    &openshell__v1__exec_sandbox_event__descriptor, &lab_events, l, &l->s,
		    &err) != CV_OK) {
		printf("not opened | %s\n", err.msg);
		return false;
	}
	(void)cv_rpc_stream_send(l->s, &in.base);
	cv_rpc_stream_half_close(l->s);
	return true;
}

static void exec(struct cv_rpc_client *c, const char *word, int held_ms, bool wants_cancel)
{
	struct lab l = {
		.c = c, .name = "", .wants_hold = held_ms > 0, .wants_cancel = wants_cancel
	};

	if (!exec_open(&l, word))
		return;
	if (held_ms) {
		(void)turns(c, &l.is_over, now_ms() + held_ms);
		printf("held at %llu messages\n", (unsigned long long)l.messages);
		if (l.is_over)
			return;
		l.wants_hold = false;
		cv_rpc_stream_hold(l.s, false);
	}
	(void)turns(c, &l.is_over, now_ms() + timeout_ms);
	if (wants_cancel)
		printf("cancelled after %llu\n", (unsigned long long)l.messages);
	else if (!l.is_over)
		printf("still going, %llu messages\n", (unsigned long long)l.messages);
	if (!l.is_over)
		cv_rpc_stream_cancel(l.s);
}

static void both(struct cv_rpc_client *c)
{
	struct lab a = { .c = c, .name = "a ", .wants_hold = true }, b = { .c = c, .name = "b " };

	if (!exec_open(&a, "many") || !exec_open(&b, "many"))
		return;
	if (!turns(c, &b.is_over, now_ms() + timeout_ms))
		return;
	printf("a has %llu\n", (unsigned long long)a.messages);
	cv_rpc_stream_hold(a.s, false);
	(void)turns(c, &a.is_over, now_ms() + timeout_ms);
}

static void echo(struct cv_rpc_client *c, size_t one, uint64_t count)
{
	struct lab l = { .c = c, .name = "", .one = one, .to_send = count };
	struct cv_err err;

	if (cv_rpc_stream_open(c, "/openshell.v1.OpenShell/ExecSandboxInteractive",
		    &openshell__v1__exec_sandbox_event__descriptor, &lab_events, &l, &l.s,
		    &err) != CV_OK) {
		printf("not opened | %s\n", err.msg);
		return;
	}
	stdin_send(&l);
	(void)turns(c, &l.is_over, now_ms() + timeout_ms);
	if (!l.is_over)
		printf("still going, %llu messages\n", (unsigned long long)l.messages);
	if (!l.is_over)
		cv_rpc_stream_cancel(l.s);
}

static void health(struct cv_rpc_client *c)
{
	Openshell__V1__HealthRequest in;
	ProtobufCMessage *m;
	struct cv_err err;

	openshell__v1__health_request__init(&in);
	const enum cv_rpc_status s = cv_rpc_client_unary(c, "/openshell.v1.OpenShell/Health",
		&in.base, &openshell__v1__health_response__descriptor, &m, timeout_ms, &err);
	printf("%s %s | %s\n", cv_rpc_status_name(s),
		m ? ((Openshell__V1__HealthResponse *)m)->version : "-", m ? "" : err.msg);
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
}

static void list(struct cv_rpc_client *c, uint32_t limit, size_t bytes)
{
	Openshell__V1__ListSandboxesRequest in;
	ProtobufCMessage *m;
	struct cv_err err;

	openshell__v1__list_sandboxes_request__init(&in);
	in.limit = limit;
	if (bytes) {
		in.label_selector = malloc(bytes + 1);
		memset(in.label_selector, 'x', bytes);
		in.label_selector[bytes] = 0;
	}
	const enum cv_rpc_status s =
		cv_rpc_client_unary(c, "/openshell.v1.OpenShell/ListSandboxes", &in.base,
			&openshell__v1__list_sandboxes_response__descriptor, &m, timeout_ms, &err);
	printf("%s %zu of %zu bytes | %s\n", cv_rpc_status_name(s),
		m ? ((Openshell__V1__ListSandboxesResponse *)m)->n_sandboxes : 0,
		m ? protobuf_c_message_get_packed_size(m) : 0, m ? "" : err.msg);
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	if (bytes)
		free(in.label_selector);
}

static void work(struct cv_rpc_client *c, char *what)
{
	char *a = strchr(what, ':'), *b = a ? strchr(a + 1, ':') : NULL;
	const long n = a ? strtol(a + 1, NULL, 10) : 0, n2 = b ? strtol(b + 1, NULL, 10) : 0;
	const struct cv_str name = cv_str_range(what, a ? a : what + strlen(what));

	if (b)
		*b = 0;
	if (cv_str_eq(name, CV_STR("health")))
		health(c);
	else if (cv_str_eq(name, CV_STR("list")))
		list(c, (uint32_t)n, 0);
	else if (cv_str_eq(name, CV_STR("big")))
		list(c, 0, (size_t)n);
	else if (a && cv_str_eq(name, CV_STR("exec")))
		exec(c, a + 1, 0, false);
	else if (a && cv_str_eq(name, CV_STR("held")))
		exec(c, a + 1, (int)n2, false);
	else if (a && cv_str_eq(name, CV_STR("cancel")))
		exec(c, a + 1, 0, true);
	else if (cv_str_eq(name, CV_STR("both")))
		both(c);
	else if (cv_str_eq(name, CV_STR("echo")))
		echo(c, (size_t)n, (uint64_t)n2);
	else
		printf("unknown work\n");
}

int main(int argc, char **argv)
{
	struct cv_rpc_endpoint e = { .url = CV_STR_NONE };
	struct cv_rpc_client *c;
	struct cv_err err;
	int option;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "c:C:k:b:n:it:")) != -1) {
		switch (option) {
		case 'c': e.ca_path = optarg; break;
		case 'C': e.cert_path = optarg; break;
		case 'k': e.key_path = optarg; break;
		case 'b': e.bearer = optarg; break;
		case 'n': e.server_name = optarg; break;
		case 'i': e.is_insecure = true; break;
		case 't': timeout_ms = (int)strtol(optarg, NULL, 10); break;
		default: return 2;
		}
	}
	if (optind >= argc)
		return 2;
	e.url = cv_str_of(argv[optind]);
	const cv_code code = cv_rpc_client_open(&e, CV_MIN(timeout_ms, OPEN_MS), &c, &err);
	if (code != CV_OK) {
		printf("open %s | %s\n", cv_code_row(code)->name, err.msg);
		return 0;
	}
	for (int i = optind + 1; i < argc; i++)
		work(c, argv[i]);
	cv_rpc_client_close(c);
	return 0;
}
