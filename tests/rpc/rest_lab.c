/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_lab.c - a server whose handlers say what they were asked, for tests/rpc/test_rest.py and
 * test_reflection.py
 *
 * Prints its port, then for each call "RPC {request as JSON}" and, when it is over, "closed RPC".
 * Unary methods answer with an empty message, but
 *
 *     GetSandbox     answers with the name; "missing" is not found, "slow" has no answer
 *     ExecSandbox    streams the words of its command, then an exit; "fail" fails behind the first;
 *                    "flood" never ends; "wait" says nothing until the client goes
 *
 * Bearer "user" is a user, "admin" an administrator.
 */
#include "cove.pb-c.h"
#include "openshell.pb-c.h"

#include "inference.pb-c.h"
#include "rpc/json.h"
#include "rpc/methods.h"
#include "rpc/reflection.h"
#include "rpc/rest.h"
#include "rpc/server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WATCH_INPUT, WATCH_SERVER };

static struct cv_loop loop;
static struct cv_rpc_server *server;
static int open_calls;

static void said(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct cv_buf b;

	cv_buf_init(&b, 1 << 24);
	if (!cv_rpc_json_write(&b, m))
		abort();
	printf("%s %.*s\n", cv_rpc_call_method(c)->name, CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	open_calls++;
}

static void closed(struct cv_rpc_call *c)
{
	printf("closed %s\n", cv_rpc_call_method(c)->name);
	open_calls--;
}

static void any(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *out = cv_rpc_call_method(c)->out;
	ProtobufCMessage *answer = cv_arena_alloc(cv_rpc_call_arena(c), out->sizeof_message);

	said(c, m);
	protobuf_c_message_init(out, answer);
	cv_rpc_reply(c, answer);
}

static void get_sandbox(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetSandboxRequest *q = (const void *)m;
	Openshell__V1__SandboxResponse r;
	Openshell__V1__Sandbox b;
	Openshell__Datamodel__V1__ObjectMeta meta;

	said(c, m);
	if (strcmp(q->name, "slow") == 0)
		return; /* until its deadline */
	if (strcmp(q->name, "missing") == 0) {
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "no \"%s\"", q->name);
		return;
	}
	openshell__v1__sandbox_response__init(&r);
	openshell__v1__sandbox__init(&b);
	openshell__datamodel__v1__object_meta__init(&meta);
	r.sandbox = &b;
	b.metadata = &meta;
	meta.name = q->name;
	meta.created_at_ms = 1700000000123;
	cv_rpc_reply(c, &r.base);
}

static bool word_send(struct cv_rpc_call *c, char *word)
{
	Openshell__V1__ExecSandboxEvent e;
	Openshell__V1__ExecSandboxStdout out;

	openshell__v1__exec_sandbox_event__init(&e);
	openshell__v1__exec_sandbox_stdout__init(&out);
	e.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT;
	e.stdout = &out;
	out.data = (ProtobufCBinaryData){ strlen(word), (uint8_t *)word };
	return cv_rpc_send(c, &e.base);
}

static void flood(struct cv_rpc_call *c)
{
	static char text[4096];

	memset(text, 'f', sizeof(text) - 1);
	while (word_send(c, text))
		;
}

static void exec_sandbox(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ExecSandboxRequest *q = (const void *)m;
	Openshell__V1__ExecSandboxEvent e;
	Openshell__V1__ExecSandboxExit end;

	said(c, m);
	for (size_t i = 0; i < q->n_command; i++) {
		if (strcmp(q->command[i], "wait") == 0)
			return;
		if (strcmp(q->command[i], "flood") == 0) {
			flood(c);
			return;
		}
		if (strcmp(q->command[i], "fail") == 0) {
			cv_rpc_finish(c, CV_RPC_FAILED_PRECONDITION, "it failed");
			return;
		}
		(void)word_send(c, q->command[i]);
	}
	openshell__v1__exec_sandbox_event__init(&e);
	openshell__v1__exec_sandbox_exit__init(&end);
	e.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_EXIT;
	e.exit = &end;
	(void)cv_rpc_send(c, &e.base);
	cv_rpc_finish(c, CV_RPC_OK, NULL);
}

#define ROW(package, service, rpc, request, response, kind, auth, scope, role)              \
	{ service, #rpc, &package##request##__descriptor, &package##response##__descriptor, \
		CV_RPC_##kind, { CV_RPC_AUTH_##auth, scope, CV_RPC_ROLE_##role },           \
		{ .message = any, .closed = closed }, NULL },
#define SHELL_ROW(...) ROW(openshell__, "openshell.v1.OpenShell", __VA_ARGS__)
#define INFER_ROW(...) ROW(openshell__, "openshell.inference.v1.Inference", __VA_ARGS__)
#define COVE_ROW(...)  ROW(cove__, "cove.v1.Cove", __VA_ARGS__)
static const struct cv_rpc_method rows[] = { CV_RPC_OPENSHELL_METHODS(SHELL_ROW)
		CV_RPC_INFERENCE_METHODS(INFER_ROW) CV_RPC_COVE_METHODS(COVE_ROW) };

static struct cv_rpc_method methods[CV_ARRAY_LEN(rows) + 8];
static size_t method_count;

static void methods_add(const struct cv_rpc_method *from, size_t n)
{
	if (method_count + n > CV_ARRAY_LEN(methods))
		abort();
	memcpy(methods + method_count, from, n * sizeof(*from));
	method_count += n;
}

static enum cv_rpc_status authenticate(void *arg, const struct cv_rpc_presented *given,
	struct cv_principal *ret, struct cv_err *err)
{
	(void)arg, (void)err;
	if (given->bearer.n) {
		ret->kind = CV_PRINCIPAL_USER;
		ret->is_user = true;
		ret->is_admin = cv_str_eq(given->bearer, CV_STR("admin"));
	}
	return CV_RPC_OK;
}

static void listen_start(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct cv_err err;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 64) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
		cv_rpc_server_listen(server, fd, NULL, &err) != CV_OK)
		abort();
	printf("port %d\n", ntohs(at.sin_port));
}

static void loop_run(void)
{
	struct cv_loop_event e[CV_LOOP_EVENTS_MAX];

	for (;;) {
		const int64_t next = cv_rpc_server_turn(server);
		const int64_t wait = next == INT64_MAX ? -1 : CV_MAX(next - loop.now_ms, 0);
		const size_t n = cv_loop_wait(&loop, (int)CV_MIN(wait, (int64_t)1000000), e);

		for (size_t i = 0; i < n; i++)
			if (e[i].watch.kind != WATCH_SERVER)
				return;
			else
				cv_rpc_server_event(server, &e[i]);
	}
}

int main(void)
{
	methods_add(rows, CV_ARRAY_LEN(rows));
	methods_add(cv_rpc_reflection_methods, cv_rpc_reflection_method_count);
	methods_add(cv_rpc_health_methods, cv_rpc_health_method_count);
	const struct cv_rpc_server_config config = {
		.loop = &loop,
		.watch_kind = WATCH_SERVER,
		.methods = methods,
		.method_count = method_count,
		.pages = cv_rpc_rest_pages,
		.page_count = cv_rpc_rest_page_count,
		.authenticate = authenticate,
	};
	struct cv_err err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < method_count; i++) {
		if (strcmp(methods[i].name, "GetSandbox") == 0)
			methods[i].handler.message = get_sandbox;
		if (strcmp(methods[i].name, "ExecSandbox") == 0)
			methods[i].handler =
				(struct cv_rpc_handler){ exec_sandbox, NULL, flood, closed };
	}
	if (cv_loop_init(&loop, &err) != CV_OK ||
		cv_loop_add(&loop, 0, EPOLLIN, (struct cv_watch){ WATCH_INPUT, { 0, 0 } }, &err) !=
			CV_OK ||
		cv_rpc_server_new(&config, &server, &err) != CV_OK)
		return 1;
	listen_start();
	loop_run();
	cv_rpc_server_free(server);
	cv_loop_fini(&loop);
	return open_calls != 0;
}
