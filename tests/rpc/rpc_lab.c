/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc_lab.c - a small server on the public headers, for tests/rpc
 *
 *     rpc_lab [--tls CERT KEY [CLIENT_CA]]
 *
 * Listens on a free port of 127.0.0.1, which it prints; ends when its standard input does, or
 * drains at a line "drain".  Prints "closed NAME STATUS" when a call has ended and "count N" (calls
 * that were opened and not closed) at a line "count".
 *
 *     Health          answers
 *     CreateSandbox   answers with the name
 *     GetSandbox      by the name that it is asked for: statuses, delays, sizes
 *     ExecSandbox     a stream of as many kilobytes as workdir says
 *     ForwardTcp      echoes frames; "hold" stops reading for a while
 *     host relay.lab  a body that nobody takes until the line "take", then how long it was
 */
#include "openshell.pb-c.h"

#include "rpc/methods.h"
#include "rpc/pages.h"
#include "rpc/relay.h"
#include "rpc/server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WATCH_INPUT, WATCH_SERVER };

struct timer { /* one thing that is done later */
	struct cv_rpc_call *call;
	int64_t at_ms;
};

struct lab {
	struct cv_loop loop;
	struct cv_rpc_server *server;
	struct timer timers[64];
	int open_calls, open_pages;
	struct cv_rpc_request *relay; /* whose body waits, or is taken */
	bool is_relay_taking;
	uint64_t relay_bytes;
};

static struct lab lab;

struct call_state {
	uint32_t left_kib;
	struct timer *timer;
};

static struct call_state *state_make(struct cv_rpc_call *c)
{
	struct call_state *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	cv_rpc_call_set_state(c, s);
	lab.open_calls++;
	return s;
}

static void timer_set(struct cv_rpc_call *c, int64_t ms)
{
	struct call_state *s = cv_rpc_call_state(c);

	for (size_t i = 0; i < CV_ARRAY_LEN(lab.timers); i++)
		if (!lab.timers[i].call) {
			lab.timers[i] = (struct timer){ c, lab.loop.now_ms + ms };
			s->timer = &lab.timers[i];
			return;
		}
	abort();
}

static void call_closed(struct cv_rpc_call *c)
{
	struct call_state *s = cv_rpc_call_state(c);

	if (!s)
		abort();
	if (s->timer)
		s->timer->call = NULL;
	free(s);
	lab.open_calls--;
	cv_rpc_call_set_state(c, NULL);
}

/* ---- methods ---- */

static void health(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	Openshell__V1__HealthResponse r;

	(void)m;
	state_make(c);
	openshell__v1__health_response__init(&r);
	r.version = (char *)(uintptr_t) "lab";
	cv_rpc_reply(c, &r.base);
}

static void sandbox_reply(struct cv_rpc_call *c, char *name, size_t tag_bytes)
{
	Openshell__V1__SandboxResponse r;
	Openshell__V1__Sandbox b;
	Openshell__Datamodel__V1__ObjectMeta meta;

	openshell__v1__sandbox_response__init(&r);
	openshell__v1__sandbox__init(&b);
	openshell__datamodel__v1__object_meta__init(&meta);
	r.sandbox = &b;
	b.metadata = &meta;
	meta.name = name;
	if (tag_bytes) {
		meta.id = cv_arena_alloc(cv_rpc_call_arena(c), tag_bytes + 1);
		memset(meta.id, 'x', tag_bytes);
	}
	cv_rpc_reply(c, &r.base);
}

static void get_sandbox(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetSandboxRequest *q = (const void *)m;
	const struct cv_str name = cv_str_of(q->name);

	state_make(c);
	if (cv_str_eq(name, CV_STR("missing"))) {
		cv_rpc_trailer(c, "x-reason", "not-there");
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "%s", "sandbox not found: 100 % \xc3\xa4\n");
	} else if (cv_str_eq(name, CV_STR("later"))) {
		timer_set(c, 100);
	} else if (cv_str_eq(name, CV_STR("never"))) {
		timer_set(c, 600000);
	} else if (cv_str_eq(name, CV_STR("large"))) {
		sandbox_reply(c, q->name, 3u << 20);
	} else if (cv_str_eq(name, CV_STR("metadata"))) {
		char text[256];

		if (!cv_str_to_cstr(cv_rpc_call_metadata(c, "x-test"), text, sizeof(text)))
			abort();
		sandbox_reply(c, text, 0);
	} else {
		sandbox_reply(c, q->name, 0);
	}
}

static void create_sandbox(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__CreateSandboxRequest *q = (const void *)m;

	state_make(c);
	sandbox_reply(c, q->name, 0);
}

static void exec_more(struct cv_rpc_call *c)
{
	static char kib[1024];
	struct call_state *s = cv_rpc_call_state(c);
	Openshell__V1__ExecSandboxEvent e;
	Openshell__V1__ExecSandboxStdout out;
	bool has_room = true;

	openshell__v1__exec_sandbox_event__init(&e);
	openshell__v1__exec_sandbox_stdout__init(&out);
	e.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT;
	e.stdout = &out;
	memset(kib, 'k', sizeof(kib));
	out.data = (ProtobufCBinaryData){ sizeof(kib), (uint8_t *)kib };
	while (s->left_kib && has_room) {
		s->left_kib--;
		has_room = cv_rpc_send(c, &e.base);
	}
	if (!s->left_kib)
		cv_rpc_finish(c, CV_RPC_OK, NULL);
}

static void exec_sandbox(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__ExecSandboxRequest *q = (const void *)m;
	struct call_state *s = state_make(c);

	s->left_kib = (uint32_t)strtoul(q->workdir, NULL, 10);
	if (!s->left_kib && q->workdir[0])
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "no number");
	else if (s->left_kib)
		exec_more(c); /* else: a stream without a message, until the client goes */
}

static void forward(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__TcpForwardFrame *q = (const void *)m;

	if (!cv_rpc_call_state(c))
		state_make(c);
	if (q->payload_case == OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA && q->data.len == 4 &&
		memcmp(q->data.data, "hold", 4) == 0) {
		cv_rpc_hold(c, true);
		timer_set(c, 300);
	}
	if (!cv_rpc_send(c, m))
		cv_rpc_hold(c, true);
}

static void forward_ended(struct cv_rpc_call *c)
{
	if (!cv_rpc_call_state(c))
		state_make(c);
	cv_rpc_finish(c, CV_RPC_OK, NULL);
}

static void forward_writable(struct cv_rpc_call *c)
{
	cv_rpc_hold(c, false);
}

static void push_logs(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct call_state *s = cv_rpc_call_state(c);

	(void)m;
	if (!s)
		s = state_make(c);
	s->left_kib++;
}

static void push_ended(struct cv_rpc_call *c)
{
	Openshell__V1__PushSandboxLogsResponse r;

	if (!cv_rpc_call_state(c))
		state_make(c);
	openshell__v1__push_sandbox_logs_response__init(&r);
	cv_rpc_reply(c, &r.base);
}

#define ROW(rpc, request, response, kind, auth, scope, role)                   \
	{ "openshell.v1.OpenShell", #rpc, &openshell__##request##__descriptor, \
		&openshell__##response##__descriptor, CV_RPC_##kind,           \
		{ CV_RPC_AUTH_##auth, scope, CV_RPC_ROLE_##role }, { 0 }, NULL },
static struct cv_rpc_method methods[] = { CV_RPC_OPENSHELL_METHODS(ROW) };
#undef ROW

static const struct {
	const char *name;
	struct cv_rpc_handler handler;
} handlers[] = {
	{ "Health", { .message = health, .closed = call_closed } },
	{ "CreateSandbox", { .message = create_sandbox, .closed = call_closed } },
	{ "GetSandbox", { .message = get_sandbox, .closed = call_closed } },
	{ "ExecSandbox",
		{ .message = exec_sandbox, .writable = exec_more, .closed = call_closed } },
	{ "ForwardTcp", { .message = forward,
				.half_closed = forward_ended,
				.writable = forward_writable,
				.closed = call_closed } },
	{ "PushSandboxLogs",
		{ .message = push_logs, .half_closed = push_ended, .closed = call_closed } },
};

/* ---- pages ---- */

static void page_closed(struct cv_rpc_request *r)
{
	(void)r;
	lab.open_pages--;
}

static void healthz(struct cv_rpc_request *r)
{
	lab.open_pages++;
	cv_rpc_respond(r, 200, "text/plain", "x-page: healthz\r\n", CV_STR("ok\n"));
}

static void echo(struct cv_rpc_request *r)
{
	lab.open_pages++;
	cv_rpc_respond(r, 200, "application/octet-stream", NULL, cv_rpc_request_body(r));
}

static void stream_more(struct cv_rpc_request *r)
{
	uintptr_t left = (uintptr_t)cv_rpc_request_state(r);
	char line[1024];
	bool has_room = true;

	memset(line, 's', sizeof(line));
	for (; left && has_room; left--)
		has_room = cv_rpc_respond_piece(r, (struct cv_str){ line, sizeof(line) });
	cv_rpc_request_set_state(r, (void *)left);
	if (!left)
		cv_rpc_respond_end(r);
}

static void stream(struct cv_rpc_request *r)
{
	uint64_t kib;

	lab.open_pages++;
	if (!cv_str_to_u64(cv_rpc_request_query(r), 1u << 20, &kib)) {
		cv_rpc_respond_error(r, CV_RPC_INVALID_ARGUMENT, "the query is no \"number\"");
		return;
	}
	cv_rpc_respond_start(r, 200, "text/event-stream", NULL);
	cv_rpc_request_set_state(r, (void *)(uintptr_t)kib);
	if (kib)
		stream_more(r); /* 0: a stream that never ends */
}

static const struct cv_rpc_page pages[] = {
	{ "GET", "/healthz", { CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE }, healthz, NULL,
		page_closed },
	{ "POST", "/v1/echo", { CV_RPC_AUTH_BEARER, "", CV_RPC_ROLE_NONE }, echo, NULL,
		page_closed },
	{ "GET", "/v1/", { CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE }, stream, stream_more,
		page_closed },
};

/* ---- a host of others ---- */

static bool relay_claims(void *arg, struct cv_str host)
{
	(void)arg;
	return cv_str_eq(host, CV_STR("relay.lab"));
}

static void relay_begin(struct cv_rpc_request *r)
{
	lab.open_pages++;
	lab.relay = r;
	lab.is_relay_taking = false;
	lab.relay_bytes = 0;
}

static void relay_take(struct cv_rpc_request *r)
{
	const size_t n = cv_rpc_relay_body(r).n;
	char text[32];

	if (!lab.is_relay_taking)
		return;
	cv_rpc_relay_take(r, n);
	lab.relay_bytes += n;
	if (cv_rpc_relay_is_body_over(r)) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)lab.relay_bytes);
		cv_rpc_respond(r, 200, "text/plain", NULL, cv_str_of(text));
	}
}

static void relay_closed(struct cv_rpc_request *r)
{
	(void)r;
	lab.open_pages--;
	lab.relay = NULL;
}

static const struct cv_rpc_relay_handler relay = {
	.claims = relay_claims,
	.begin = relay_begin,
	.readable = relay_take,
	.writable = relay_take,
	.closed = relay_closed,
};

/* ---- who ---- */

static enum cv_rpc_status authenticate(void *arg, const struct cv_rpc_presented *given,
	struct cv_principal *ret, struct cv_err *err)
{
	(void)arg;
	if (cv_str_eq(given->bearer, CV_STR("sandbox"))) {
		ret->kind = CV_PRINCIPAL_SANDBOX;
		return CV_RPC_OK;
	}
	if (cv_str_eq(given->bearer, CV_STR("wrong"))) {
		cv_fail(err, CV_DENIED, "invalid token");
		return CV_RPC_UNAUTHENTICATED;
	}
	if (given->bearer.n || given->certificate) {
		ret->kind = CV_PRINCIPAL_USER;
		ret->is_user = true;
		ret->is_admin = cv_str_eq(given->bearer, CV_STR("admin"));
	}
	return CV_RPC_OK;
}

static void ended(void *arg, struct cv_rpc_call *c, enum cv_rpc_status s, int64_t us)
{
	(void)arg;
	(void)us;
	if (getenv("RPC_LAB_QUIET"))
		return;
	printf("ended %s %s\n", cv_rpc_call_method(c)->name, cv_rpc_status_name(s));
	fflush(stdout);
}

/* ---- the program ---- */

static void handlers_set(void)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(methods); i++)
		for (size_t k = 0; k < CV_ARRAY_LEN(handlers); k++)
			if (strcmp(methods[i].name, handlers[k].name) == 0)
				methods[i].handler = handlers[k].handler;
}

static SSL_CTX *tls_make(char **argv, int argc)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (!tls || SSL_CTX_use_certificate_chain_file(tls, argv[0]) != 1 ||
		SSL_CTX_use_PrivateKey_file(tls, argv[1], SSL_FILETYPE_PEM) != 1)
		abort();
	if (argc > 2) {
		if (SSL_CTX_load_verify_locations(tls, argv[2], NULL) != 1)
			abort();
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	}
	return tls;
}

static void listen_start(SSL_CTX *tls)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct cv_err err;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 4096) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
		cv_rpc_server_listen(lab.server, fd, tls, &err) != CV_OK)
		abort();
	printf("port %d\n", ntohs(at.sin_port));
	fflush(stdout);
}

static bool input_take(void) /* false: the end */
{
	char line[64];
	const ssize_t n = read(0, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	line[n] = '\0';
	if (strncmp(line, "drain", 5) == 0)
		cv_rpc_server_drain(lab.server);
	if (strncmp(line, "count", 5) == 0) {
		printf("count %d %d\n", lab.open_calls, lab.open_pages);
		fflush(stdout);
	}
	if (strncmp(line, "take", 4) == 0 && lab.relay) {
		lab.is_relay_taking = true;
		relay_take(lab.relay);
	}
	return true;
}

static int64_t timers_look(void)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < CV_ARRAY_LEN(lab.timers); i++) {
		struct timer *t = &lab.timers[i];
		struct cv_rpc_call *c = t->call;

		if (!c)
			continue;
		if (t->at_ms > lab.loop.now_ms) {
			next = CV_MIN(next, t->at_ms);
			continue;
		}
		((struct call_state *)cv_rpc_call_state(c))->timer = NULL;
		t->call = NULL;
		if (cv_rpc_call_method(c)->kind == CV_RPC_UNARY)
			sandbox_reply(c, (char *)(uintptr_t) "later", 0);
		else
			cv_rpc_hold(c, false);
	}
	return next;
}

static void loop_run(void)
{
	struct cv_loop_event e[CV_LOOP_EVENTS_MAX];

	for (;;) {
		const int64_t timers = timers_look();
		const int64_t next = CV_MIN(cv_rpc_server_turn(lab.server), timers);
		const int64_t wait = next == INT64_MAX ? -1 : CV_MAX(next - lab.loop.now_ms, 0);
		const size_t n = cv_loop_wait(&lab.loop, (int)CV_MIN(wait, (int64_t)1000000), e);

		for (size_t i = 0; i < n; i++)
			if (e[i].watch.kind == WATCH_SERVER)
				cv_rpc_server_event(lab.server, &e[i]);
			else if (!input_take())
				return;
	}
}

int main(int argc, char **argv)
{
	const struct cv_rpc_server_config config = {
		.loop = &lab.loop,
		.watch_kind = WATCH_SERVER,
		.methods = methods,
		.method_count = CV_ARRAY_LEN(methods),
		.pages = pages,
		.page_count = CV_ARRAY_LEN(pages),
		.relay = &relay,
		.arg = &lab,
		.authenticate = authenticate,
		.ended = ended,
	};
	SSL_CTX *tls = argc > 3 ? tls_make(argv + 2, argc - 2) : NULL;
	struct cv_err err;

	handlers_set();
	if (cv_loop_init(&lab.loop, &err) != CV_OK ||
		cv_loop_add(&lab.loop, 0, EPOLLIN, (struct cv_watch){ WATCH_INPUT, { 0, 0 } },
			&err) != CV_OK ||
		cv_rpc_server_new(&config, &lab.server, &err) != CV_OK)
		return 1;
	listen_start(tls);
	loop_run();
	cv_rpc_server_free(lab.server);
	SSL_CTX_free(tls);
	cv_loop_fini(&lab.loop);
	printf("open %d %d\n", lab.open_calls, lab.open_pages);
	return lab.open_calls || lab.open_pages;
}
