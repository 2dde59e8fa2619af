/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.c - ForwardTcp: a connection to a server in a sandbox
 *
 *     call ──init──► DIAL ──► supervisor ──DIALLED──► a connected socket
 *       └────────────── bytes, both ways, each at the pace of the slower ──┘
 *
 * Only addresses of the sandbox itself may be named; the supervisor dials 127.0.0.1 and then ::1, in
 * the sandbox's network.  A target `ssh` is a process of ours instead, which speaks SSH with the client
 * (ssh.h).
 */
#include "gateway/sandbox_int.h"

#include "base/ip.h"
#include "gateway/log.h"
#include "gateway/ssh.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#define FORWARDS_BOX_MAX  20 /* openshell-api 6 */
#define DIAL_MS           10000
#define FORWARD_CHUNK     (64u << 10)
#define FORWARD_PUMPS_MAX 16
#define FORWARD_BUF_MAX   (2u << 20)
#define FORWARD_HOLD      (64u << 10)

struct cv_gw_forwards {
	struct cv_slots all;
	uint32_t next_channel;
	int64_t deadline_ms;
	bool has_more;
};

struct cv_gw_forward {
	struct cv_gw_forward *next; /* of its box */
	struct cv_gateway *g;
	struct cv_ref ref, box;
	struct cv_rpc_call *call;
	uint32_t channel;
	int fd;                                       /* -1: not yet */
	struct cv_buf in;                             /* towards the sandbox */
	bool is_blocked, is_held, is_more, has_ended; /* has_ended: the client sends no more */
	bool is_finished;
	int64_t deadline_ms;
	bool is_ssh;
	struct cv_ref ssh;
};

uint32_t forward_channel(struct cv_gateway *g)
{
	return ++g->forwards->next_channel;
}

static void forward_free(struct cv_gw_forward *f)
{
	struct cv_gw_box *b = cv_gw_box_get(f->g, f->box);

	for (struct cv_gw_forward **i = b ? &b->forwards : NULL; i && *i; i = &(*i)->next)
		if (*i == f) {
			*i = f->next;
			b->forward_count--;
			break;
		}
	if (f->fd >= 0) {
		cv_loop_remove(&f->g->loop, f->fd);
		close(f->fd);
	}
	if (f->is_ssh)
		cv_gw_ssh_close(f->g, f->ssh);
	cv_slots_remove(&f->g->forwards->all, f->ref);
	cv_buf_fini(&f->in);
	free(f);
}

/* f may be gone afterwards. */
static void finish(struct cv_gw_forward *f, enum cv_rpc_status s, const char *why)
{
	if (f->is_finished)
		return;
	f->is_finished = true;
	if (why)
		cv_rpc_finish(f->call, s, "%s", why);
	else
		cv_rpc_finish(f->call, s, NULL);
}

/* ---- bytes ---- */

static void write_in(struct cv_gw_forward *f)
{
	while (f->fd >= 0 && cv_buf_len(&f->in)) {
		const struct cv_str rest = cv_buf_str(&f->in);
		const ssize_t n = send(f->fd, rest.p, rest.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		cv_buf_skip(&f->in, n < 0 ? cv_buf_len(&f->in) : (size_t)n);
	}
	if (f->fd >= 0 && f->has_ended && !cv_buf_len(&f->in))
		(void)shutdown(f->fd, SHUT_WR);
	const bool is_held = cv_buf_len(&f->in) > FORWARD_HOLD;
	if (!f->is_finished && is_held != f->is_held) {
		f->is_held = is_held;
		cv_rpc_hold(f->call, is_held);
	}
}

/* f may be gone afterwards. */
static void read_out(struct cv_gw_forward *f)
{
	static char buf[FORWARD_CHUNK];

	f->is_more = false;
	for (int i = 0; f->fd >= 0 && !f->is_blocked && !f->is_finished; i++) {
		Openshell__V1__TcpForwardFrame m;

		if (i == FORWARD_PUMPS_MAX) {
			f->is_more = f->g->forwards->has_more = true;
			return;
		}
		const ssize_t n = recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			finish(f, CV_RPC_OK, NULL);
			return;
		}
		openshell__v1__tcp_forward_frame__init(&m);
		m.payload_case = OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA;
		m.data = (ProtobufCBinaryData){ (size_t)n, (uint8_t *)buf };
		if (!cv_rpc_send(f->call, &m.base))
			f->is_blocked = true;
	}
}

/* ---- requests ---- */

static enum cv_rpc_status refuse(struct cv_err *err, enum cv_rpc_status s, const char *what)
{
	cv_fail(err, CV_INVALID, "%s", what);
	return s;
}

static enum cv_rpc_status init_check(const Openshell__V1__TcpForwardInit *r, struct cv_err *err)
{
	if (!*r->sandbox_id)
		return refuse(err, CV_RPC_INVALID_ARGUMENT, "sandbox_id is required");
	if (r->target_case == OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_SSH)
		return CV_RPC_OK;
	if (r->target_case != OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_TCP)
		return refuse(err, CV_RPC_INVALID_ARGUMENT, "target is required");
	if (*r->tcp->host && !cv_ip_text_is_loopback(cv_str_of(r->tcp->host)))
		return refuse(err, CV_RPC_INVALID_ARGUMENT, "tcp target host must be loopback");
	if (!r->tcp->port || r->tcp->port > UINT16_MAX)
		return refuse(err, CV_RPC_INVALID_ARGUMENT,
			"tcp target port must be between 1 and 65535");
	return CV_RPC_OK;
}

static void fd_take(struct cv_gw_forward *f, int fd)
{
	struct cv_err err;

	f->deadline_ms = 0;
	f->fd = fd;
	if (cv_loop_add(&f->g->loop, f->fd, EPOLLIN | EPOLLOUT | EPOLLET,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_FORWARD, 0), f->ref },
		    &err) != CV_OK) {
		finish(f, CV_RPC_INTERNAL, err.msg);
		return;
	}
	write_in(f);
	read_out(f);
}

static struct cv_gw_forward *forward_new(struct cv_rpc_call *c, struct cv_gw_box *b)
{
	struct cv_gw_forwards *all = b->g->forwards;
	struct cv_gw_forward *f = calloc(1, sizeof(*f));

	if (!f || !cv_slots_add(&all->all, f, &f->ref)) {
		free(f);
		return NULL;
	}
	f->g = b->g;
	f->box = b->ref;
	f->call = c;
	f->fd = -1;
	f->channel = forward_channel(b->g);
	cv_buf_init(&f->in, FORWARD_BUF_MAX);
	f->next = b->forwards;
	b->forwards = f;
	b->forward_count++;
	f->deadline_ms = f->g->loop.now_ms + DIAL_MS;
	all->deadline_ms = CV_MIN(all->deadline_ms, f->deadline_ms);
	cv_rpc_call_set_state(c, f);
	return f;
}

static enum cv_rpc_status forward_start(
	struct cv_rpc_call *c, const Openshell__V1__TcpForwardInit *r, struct cv_err *err)
{
	struct cv_gw_box *b;
	enum cv_rpc_status s = init_check(r, err);

	if (s == CV_RPC_OK)
		s = cv_gw_box_open(c, cv_str_of(r->sandbox_id), CV_STR_NONE, true, &b, err);
	if (s != CV_RPC_OK)
		return s;
	if (b->state != CV_GW_UP || cv_gw_box_want(b) != CV_GW_RUN)
		return refuse(err, CV_RPC_FAILED_PRECONDITION, "sandbox is not ready");
	if (b->forward_count >= FORWARDS_BOX_MAX)
		return refuse(err, CV_RPC_RESOURCE_EXHAUSTED,
			"too many connections are forwarded to this sandbox");
	int ssh_fd = -1;
	struct cv_ref ssh;
	const bool is_ssh = r->target_case == OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_SSH;
	if (is_ssh)
		s = cv_gw_ssh_open(b, cv_str_of(r->authorization_token), &ssh_fd, &ssh, err);
	if (s != CV_RPC_OK)
		return s;
	struct cv_gw_forward *f = forward_new(c, b);
	if (!f) {
		if (is_ssh) {
			close(ssh_fd);
			cv_gw_ssh_close(b->g, ssh);
		}
		return refuse(err, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
	}
	if (is_ssh) {
		f->is_ssh = true;
		f->ssh = ssh;
		fd_take(f, ssh_fd);
		return CV_RPC_OK;
	}
	const uint32_t v[] = { f->channel, r->tcp->port };
	if (cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_DIAL, v, 2))
		return CV_RPC_OK;
	f->is_finished = true;
	return refuse(err, CV_RPC_UNAVAILABLE, "supervisor relay failed: the link is broken");
}

static void on_frame(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__TcpForwardFrame *r = (const Openshell__V1__TcpForwardFrame *)m;
	struct cv_gw_forward *f = cv_rpc_call_state(c);
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_err err;

	if (f && f->is_finished)
		return;
	if (!f && r->payload_case == OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_INIT) {
		s = forward_start(c, r->init, &err);
	} else if (f && r->payload_case == OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA) {
		cv_buf_put(&f->in, (struct cv_str){ (const char *)r->data.data, r->data.len });
		write_in(f);
	} else {
		s = refuse(&err, CV_RPC_INVALID_ARGUMENT,
			f ? "only data may follow init" : "first frame must be init");
		if (f)
			f->is_finished = true;
	}
	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
}

static void on_half_closed(struct cv_rpc_call *c)
{
	struct cv_gw_forward *f = cv_rpc_call_state(c);

	if (!f) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "first frame must be init");
		return;
	}
	f->has_ended = true;
	write_in(f);
}

static void on_writable(struct cv_rpc_call *c)
{
	struct cv_gw_forward *f = cv_rpc_call_state(c);

	if (!f)
		return;
	f->is_blocked = false;
	read_out(f);
}

static void on_closed(struct cv_rpc_call *c)
{
	if (cv_rpc_call_state(c))
		forward_free(cv_rpc_call_state(c));
}

/* ---- what supervisors say ---- */

void forward_message(struct cv_gw_box *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t channel = cv_ipc_get_u32(&r);
	struct cv_gw_forward *f = b->forwards;

	while (f && f->channel != channel)
		f = f->next;
	if (!f && cv_gw_ssh_dial_message(b, channel, m))
		return;
	if (!f || f->is_finished || f->fd >= 0)
		return;
	if (m->type == CV_GATEWAY_REPLY_DIALLED)
		fd_take(f, cv_take_fd(m->fds[0]));
	else
		finish(f, CV_RPC_UNAVAILABLE,
			"supervisor relay failed: nobody listens at this port in the sandbox");
}

/* Connections that stand have their sockets; those that do not will not come. */
void forward_ended(struct cv_gw_box *b)
{
	for (struct cv_gw_forward *f = b->forwards, *next; f; f = next) {
		next = f->next;
		if (f->fd < 0)
			finish(f, CV_RPC_UNAVAILABLE,
				"supervisor relay failed: the link is broken");
	}
}

/* ---- the part ---- */

static void part_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_gw_forward *f = cv_slots_get(&g->forwards->all, e->watch.ref);

	if (f && (e->events & EPOLLOUT))
		write_in(f);
	if (f && (e->events & ~(uint32_t)EPOLLOUT))
		read_out(f);
}

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_forwards *s = g->forwards;
	int64_t next = INT64_MAX;

	if (g->loop.now_ms < s->deadline_ms && !s->has_more)
		return s->deadline_ms;
	s->has_more = false;
	for (size_t i = 0; i < s->all.n; i++) {
		struct cv_gw_forward *f = s->all.v[i].thing;

		if (f && f->deadline_ms && g->loop.now_ms >= f->deadline_ms) {
			f->deadline_ms = 0;
			finish(f, CV_RPC_UNAVAILABLE, "supervisor relay failed: no answer in time");
		}
		f = s->all.v[i].thing;
		if (f && f->is_more)
			read_out(f);
		f = s->all.v[i].thing;
		if (f && f->deadline_ms)
			next = CV_MIN(next, f->deadline_ms);
	}
	s->deadline_ms = next;
	return s->has_more ? g->loop.now_ms : next;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->forwards = calloc(1, sizeof(*g->forwards));
	if (!g->forwards)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->forwards->deadline_ms = INT64_MAX;
	return CV_OK;
}

static void part_stop(struct cv_gateway *g)
{
	for (size_t i = 0; g->forwards && i < g->forwards->all.n; i++)
		if (g->forwards->all.v[i].thing)
			forward_free(g->forwards->all.v[i].thing);
	if (g->forwards)
		cv_slots_fini(&g->forwards->all);
	free(g->forwards);
	g->forwards = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "ForwardTcp", { .message = on_frame,
				.half_closed = on_half_closed,
				.writable = on_writable,
				.closed = on_closed } },
};

const struct cv_gw_part cv_gw_part_forward = {
	.name = "forward",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
	.stop = part_stop,
	.event = part_event,
	.turn = part_turn,
};
