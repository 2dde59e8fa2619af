/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_server.c - a whole connection: what a client sends, cut into pieces, against a real server
 *
 * The first byte says how: bit 0, the input is HTTP/2 (the preface and SETTINGS are put before it);
 * bit 1, the handler answers in the next turn; bit 2, it holds; the rest: the size of the pieces.
 * A request of HTTP/1 for /t becomes a tunnel, where it is an upgrade: frames with HTTP/2 in them.
 * Closed() must come once for each call that was begun, and the server must end with nothing held
 * (which it asserts itself).
 */
#include "fuzz/fuzz.h"
#include "openshell.pb-c.h"

#include "rpc/methods.h"
#include "rpc/pages.h"
#include "rpc/server.h"
#include "rpc/tunnel.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TURNS_MAX 64

struct run {
	struct cv_loop loop;
	struct cv_rpc_server *server;
	struct cv_rpc_call *waiting;
	bool is_late, is_holding;
	int open;
};

static struct run *run_of(const struct cv_rpc_call *c)
{
	return cv_rpc_call_arg(c);
}

static void answer(struct cv_rpc_call *c)
{
	Openshell__V1__SandboxResponse r;

	openshell__v1__sandbox_response__init(&r);
	cv_rpc_reply(c, &r.base);
}

static void begin(struct cv_rpc_call *c)
{
	if (!cv_rpc_call_state(c)) {
		cv_rpc_call_set_state(c, run_of(c));
		run_of(c)->open++;
	}
}

static void create(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	(void)m;
	begin(c);
	if (!run_of(c)->is_late)
		answer(c);
	else
		run_of(c)->waiting = c;
}

static void echo(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	begin(c);
	if (!cv_rpc_send(c, m) || run_of(c)->is_holding)
		cv_rpc_hold(c, true);
	if (run_of(c)->is_late)
		run_of(c)->waiting = c;
}

static void echo_end(struct cv_rpc_call *c)
{
	begin(c);
	cv_rpc_finish(c, CV_RPC_OK, NULL);
}

static void echo_writable(struct cv_rpc_call *c)
{
	cv_rpc_hold(c, false);
}

static void closed(struct cv_rpc_call *c)
{
	if (cv_rpc_call_state(c) != run_of(c))
		abort(); /* twice, or without a beginning */
	cv_rpc_call_set_state(c, NULL);
	run_of(c)->open--;
	if (run_of(c)->waiting == c)
		run_of(c)->waiting = NULL;
}

static void page(struct cv_rpc_request *r)
{
	struct run *run = cv_rpc_request_arg(r);

	run->open++;
	cv_rpc_respond(r, 200, "text/plain", NULL, cv_rpc_request_body(r));
}

static void page_closed(struct cv_rpc_request *r)
{
	((struct run *)cv_rpc_request_arg(r))->open--;
}

static void page_tunnel(struct cv_rpc_request *r)
{
	((struct run *)cv_rpc_request_arg(r))->open++;
	cv_rpc_tunnel_open(r, CV_STR("proof"), "somebody");
}

#define OPEN                                                      \
	{                                                         \
		CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE \
	}
static const struct cv_rpc_method methods[] = {
	{ "s", "C", &openshell__v1__create_sandbox_request__descriptor,
		&openshell__v1__sandbox_response__descriptor, CV_RPC_UNARY, OPEN,
		{ .message = create, .closed = closed }, NULL },
	{ "s", "E", &openshell__v1__tcp_forward_frame__descriptor,
		&openshell__v1__tcp_forward_frame__descriptor, CV_RPC_BIDI, OPEN,
		{ echo, echo_end, echo_writable, closed }, NULL },
};
static const struct cv_rpc_page pages[] = {
	{ "GET POST", "/p/", OPEN, page, NULL, page_closed },
	{ "GET", "/t", OPEN, page_tunnel, NULL, page_closed },
};

static int listen_at(struct sockaddr_un *at, socklen_t *n)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX }; /* a name that the kernel makes up */
	*n = sizeof(sa_family_t);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, *n) < 0 || listen(fd, 1) < 0)
		abort();
	*n = sizeof(*at);
	if (getsockname(fd, (struct sockaddr *)at, n) < 0)
		abort();
	return fd;
}

static void turn(struct run *run)
{
	struct cv_loop_event e[CV_LOOP_EVENTS_MAX];
	const size_t n = cv_loop_wait(&run->loop, 0, e);

	for (size_t i = 0; i < n; i++)
		cv_rpc_server_event(run->server, &e[i]);
	cv_rpc_server_turn(run->server);
	if (run->waiting) {
		struct cv_rpc_call *c = run->waiting;

		run->waiting = NULL;
		if (cv_rpc_call_method(c)->kind == CV_RPC_UNARY)
			answer(c);
		else
			cv_rpc_hold(c, false);
	}
}

static void drain(int fd)
{
	char bytes[16384];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void feed(struct run *run, int fd, struct cv_str s, size_t piece)
{
	for (int i = 0; i < TURNS_MAX && s.n; i++) {
		const size_t n = i == TURNS_MAX - 1 ? s.n : CV_MIN(piece, s.n);
		const ssize_t put = send(fd, s.p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (put < 0)
			return;
		s = cv_str_slice(s, (size_t)put, s.n);
		turn(run);
		drain(fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	const uint8_t how = size ? data[0] : 0;
	struct run run = { .is_late = how & 2, .is_holding = how & 4 };
	const struct cv_rpc_server_config config = { .loop = &run.loop,
		.methods = methods,
		.method_count = CV_ARRAY_LEN(methods),
		.pages = pages,
		.page_count = CV_ARRAY_LEN(pages),
		.arg = &run };
	struct sockaddr_un at;
	socklen_t n;
	struct cv_err err;

	if (size < 1)
		return 0;
	const int listener = listen_at(&at, &n), fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || cv_loop_init(&run.loop, &err) != CV_OK ||
		cv_rpc_server_new(&config, &run.server, &err) != CV_OK ||
		cv_rpc_server_listen(run.server, listener, NULL, &err) != CV_OK ||
		connect(fd, (struct sockaddr *)&at, n) < 0)
		abort();
	turn(&run);
	if (how & 1)
		feed(&run, fd, (struct cv_str){ start, sizeof(start) - 1 }, sizeof(start));
	feed(&run, fd, (struct cv_str){ (const char *)data + 1, size - 1 },
		how >> 3 ? (size_t)1 << (how >> 3) % 16 : size);
	turn(&run);
	turn(&run);
	close(fd);
	turn(&run);
	cv_rpc_server_free(run.server);
	cv_loop_fini(&run.loop);
	if (run.open)
		abort();
	return 0;
}
