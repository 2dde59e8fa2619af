/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.c - local ports that lead into a sandbox, and single connections to it
 *
 * Each connection is one ForwardTcp call; all are on one connection to the gateway.  A side that ends
 * shuts the other's direction only.  Either side's pace becomes the other's: a call that has no room is
 * not fed, and while a local socket takes nothing, its call is held.
 *
 * When the gateway goes, what was connected is lost; the local port stays, and the next connection
 * to it dials the gateway again.  A forward may be there for weeks: what it does over and over
 * takes no memory.
 */
#include "client/forward.h"

#include "sys/fd.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256         /* of one forward; the gateway allows 20 per sandbox */
#define CHUNK_BYTES     (32u << 10) /* of a frame */
#define PENDING_MAX     (8u << 20)  /* for a local socket; the call is held far below */
#define PENDING_HOLD    (256u << 10)

struct connection {
	struct cl_stream st;
	int in, out; /* the same socket, or stdin and stdout */
	struct cv_buf pending;
	bool is_used, has_in, is_out_ended;
	bool is_held;
};

struct forward {
	struct cl *c;
	int listener; /* -1: one connection only */
	struct connection v[CONNECTIONS_MAX];
};

/* ---- one connection ---- */

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Openshell__V1__TcpForwardFrame *f = (const Openshell__V1__TcpForwardFrame *)m;
	struct connection *k = st->arg;

	if (f->payload_case != OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA)
		return;
	cv_buf_put(&k->pending, (struct cv_str){ (const char *)f->data.data, f->data.len });
	if (!k->is_held && cv_buf_len(&k->pending) > PENDING_HOLD && st->s) {
		k->is_held = true;
		cv_rpc_stream_hold(st->s, true);
	}
}

static cv_code connection_open(struct forward *f, struct connection *k, int in, int out,
	const struct cl_forward_to *to, struct cv_err *err)
{
	Openshell__V1__TcpForwardInit init;
	Openshell__V1__TcpForwardFrame frame;
	Openshell__V1__TcpRelayTarget tcp;
	Openshell__V1__SshRelayTarget ssh;

	*k = (struct connection){ .in = in, .out = out, .is_used = true, .has_in = true };
	k->st = (struct cl_stream){ .on_message = saw, .arg = k };
	cv_buf_init(&k->pending, PENDING_MAX);
	openshell__v1__tcp_forward_init__init(&init);
	init.sandbox_id = (char *)(uintptr_t)to->id;
	init.authorization_token = (char *)(uintptr_t)(to->token ? to->token : "");
	if (to->port) {
		openshell__v1__tcp_relay_target__init(&tcp);
		tcp.host = (char *)(uintptr_t)to->host;
		tcp.port = to->port;
		init.target_case = OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_TCP;
		init.tcp = &tcp;
	} else {
		openshell__v1__ssh_relay_target__init(&ssh);
		init.target_case = OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_SSH;
		init.ssh = &ssh;
	}
	openshell__v1__tcp_forward_frame__init(&frame);
	frame.payload_case = OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_INIT;
	frame.init = &init;
	const cv_code code = cl_stream_try(f->c, &k->st, CL_METHOD(ForwardTcp),
		&openshell__v1__tcp_forward_frame__descriptor, err);
	if (code == CV_OK)
		cl_stream_send(&k->st, &frame.base);
	else
		k->is_used = false;
	return code;
}

static void connection_close(struct connection *k)
{
	if (k->st.s)
		cv_rpc_stream_cancel(k->st.s);
	close(k->in);
	if (k->out != k->in)
		close(k->out);
	cv_buf_fini(&k->pending);
	k->is_used = false;
}

static void in_read(struct connection *k)
{
	Openshell__V1__TcpForwardFrame frame;
	uint8_t bytes[CHUNK_BYTES];
	const ssize_t n = read(k->in, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		k->has_in = false;
		if (k->st.s)
			cv_rpc_stream_half_close(k->st.s);
		return;
	}
	openshell__v1__tcp_forward_frame__init(&frame);
	frame.payload_case = OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA;
	frame.data = (ProtobufCBinaryData){ (size_t)n, bytes };
	cl_stream_send(&k->st, &frame.base);
}

/* False: nobody takes it any more. */
static bool out_write(struct connection *k)
{
	const struct cv_str s = cv_buf_str(&k->pending);
	const ssize_t n = write(k->out, s.p, s.n);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	cv_buf_skip(&k->pending, (size_t)n);
	if (k->is_held && cv_buf_len(&k->pending) < PENDING_HOLD / 2 && k->st.s) {
		k->is_held = false;
		cv_rpc_stream_hold(k->st.s, false);
	}
	return true;
}

/* The far side is done and all of it was written. */
static bool is_over(struct connection *k)
{
	if (k->st.is_ended && !cv_buf_len(&k->pending)) {
		if (!k->is_out_ended)
			shutdown(k->out, SHUT_WR);
		k->is_out_ended = true;
		return true;
	}
	return k->pending.is_overflown;
}

/* ---- the gateway ---- */

/* All calls are over; what came of them before is still written. */
static void gateway_lost(struct forward *f, const struct cv_err *err)
{
	if (f->listener < 0)
		cl_die(f->c, "the connection to the gateway was lost: %s",
			cl_shown(f->c, err->msg));
	cl_note(f->c, "! the connection to the gateway was lost: %s", cl_shown(f->c, err->msg));
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *k = &f->v[i];

		if (k->is_used && k->st.s)
			cv_rpc_stream_cancel(k->st.s);
		k->st.s = NULL;
		k->st.is_ended = true;
	}
	cv_rpc_client_close(f->c->rpc);
	f->c->rpc = NULL;
}

static bool gateway_again(struct forward *f)
{
	struct cv_err err;

	if (f->c->rpc || cl_gateway_open(f->c, &err) == CV_OK)
		return true;
	f->c->rpc = NULL;
	cl_note(f->c, "! failed to connect to the gateway: %s", cl_shown(f->c, err.msg));
	return false;
}

static void gateway_turn(struct forward *f, struct pollfd *fds, size_t n)
{
	struct cv_err err;

	if (!f->c->rpc)
		(void)poll(fds, n, -1);
	else if (cl_turn_try(f->c, fds, n, -1, &err) != CV_OK)
		gateway_lost(f, &err);
}

/* ---- the loop ---- */

static struct connection *connection_new(struct forward *f)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (!f->v[i].is_used)
			return &f->v[i];
	return NULL;
}

static void accept_one(struct forward *f, const struct cl_forward_to *to)
{
	const int one = 1;
	const int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct connection *k = fd >= 0 ? connection_new(f) : NULL;
	struct cv_err err;

	if (!k) {
		if (fd >= 0)
			close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (gateway_again(f) && connection_open(f, k, fd, fd, to, &err) == CV_OK)
		return;
	if (f->c->rpc) { /* it is going away; the next one may be there already */
		gateway_lost(f, &err);
		if (gateway_again(f) && connection_open(f, k, fd, fd, to, &err) == CV_OK)
			return;
	}
	close(fd);
}

static void connection_serve(
	struct forward *f, struct connection *k, short ready_in, short ready_out)
{
	if (k->has_in && ready_in)
		in_read(k);
	if (ready_out && cv_buf_len(&k->pending) && !out_write(k)) {
		connection_close(k);
		return;
	}
	if (!is_over(k))
		return;
	if (k->st.status != CV_RPC_OK && f->listener >= 0)
		cl_note(f->c, "! connection failed: %s",
			cl_shown(f->c, k->st.message && *k->st.message
					       ? k->st.message
					       : cv_rpc_status_name(k->st.status)));
	if (f->listener >= 0)
		connection_close(k);
}

static void turn(struct forward *f, const struct cl_forward_to *to)
{
	struct pollfd fds[CL_TURN_FDS_MAX];
	struct connection *who[CL_TURN_FDS_MAX] = { NULL };
	size_t n = 0;

	if (f->listener >= 0)
		fds[n++] = (struct pollfd){ f->listener, POLLIN, 0 };
	for (size_t i = 0; i < CONNECTIONS_MAX && n + 2 <= CL_TURN_FDS_MAX; i++) {
		struct connection *k = &f->v[i];

		if (!k->is_used)
			continue;
		const short in = k->has_in && !k->st.is_full && !k->st.is_ended ? POLLIN : 0;
		const short out = cv_buf_len(&k->pending) ? POLLOUT : 0;
		if (k->in == k->out) {
			who[n] = k;
			/* without interest, an end that came would wake us for ever */
			fds[n++] = (struct pollfd){ in || out ? k->in : -1, (short)(in | out), 0 };
		} else {
			who[n] = k;
			fds[n++] = (struct pollfd){ in ? k->in : -1, in, 0 };
			who[n] = k;
			fds[n++] = (struct pollfd){ out ? k->out : -1, out, 0 };
		}
	}
	gateway_turn(f, fds, n);
	if (f->listener >= 0 && fds[0].revents)
		accept_one(f, to);
	for (size_t i = 0; i < n; i++) {
		if (!who[i] || !who[i]->is_used)
			continue;
		const short r = fds[i].revents;
		const bool is_in = fds[i].events & POLLIN, is_out = fds[i].events & POLLOUT;

		connection_serve(f, who[i], is_in ? (short)(r & (POLLIN | POLLHUP | POLLERR)) : 0,
			is_out ? (short)(r & (POLLOUT | POLLHUP | POLLERR)) : 0);
	}
}

void cl_forward_serve(struct cl *c, int listener, const struct cl_forward_to *to)
{
	struct forward *f = cl_alloc(c, sizeof(*f));

	*f = (struct forward){ .c = c, .listener = listener };
	cl_connect(c);
	for (;;)
		turn(f, to);
}

int cl_forward_single(struct cl *c, int in, int out, const struct cl_forward_to *to)
{
	struct forward *f = cl_alloc(c, sizeof(*f));
	struct connection *k = &f->v[0];
	struct cv_err err;

	*f = (struct forward){ .c = c, .listener = -1 };
	cl_connect(c);
	if (connection_open(f, k, in, out, to, &err) != CV_OK)
		cl_die(c, "%s", cl_shown(c, err.msg));
	while (!k->is_out_ended && k->is_used)
		turn(f, to);
	if (k->is_used && k->st.status != CV_RPC_OK)
		cl_die_status(c, k->st.status, k->st.message);
	return 0;
}

/* ---- local ports ---- */

void cl_listen_parse(
	struct cl *c, const char *text, bool may_be_zero, const char **ret_addr, uint32_t *ret_port)
{
	const struct cv_str s = cv_str_of(text);
	const size_t colon = cv_str_rfind_byte(s, ':');
	const struct cv_str port = colon < s.n ? cv_str_slice(s, colon + 1, s.n) : s;
	struct cv_str addr = colon < s.n ? cv_str_slice(s, 0, colon) : CV_STR("127.0.0.1");
	uint64_t n;

	if (!cv_str_to_u64(port, 65535, &n) || (!n && !may_be_zero) || !addr.n)
		cl_die_usage(c, "invalid value '%s': expected [ADDR:]PORT", text);
	if (addr.n > 2 && addr.p[0] == '[')
		addr = cv_str_slice(addr, 1, addr.n - 1);
	*ret_addr = cl_print(c, "%.*s", CV_STR_ARG(addr));
	*ret_port = (uint32_t)n;
}

int cl_listen(struct cl *c, const char *addr, uint32_t *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	struct sockaddr_storage own;
	socklen_t own_len = sizeof(own);
	const int one = 1;

	const int why = getaddrinfo(addr, cl_print(c, "%u", *port), &hints, &found);
	if (why)
		cl_die(c, "%s: %s", cl_shown(c, addr), gai_strerror(why));
	const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 128) < 0)
		cl_die(c, "listen on %s:%u: %s", cl_shown(c, addr), *port, strerror(errno));
	freeaddrinfo(found);
	if (getsockname(fd, (struct sockaddr *)&own, &own_len) == 0) {
		if (own.ss_family == AF_INET)
			*port = ntohs(((struct sockaddr_in *)&own)->sin_port);
		else if (own.ss_family == AF_INET6)
			*port = ntohs(((struct sockaddr_in6 *)&own)->sin6_port);
	}
	return fd;
}
