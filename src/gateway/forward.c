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
#include "gateway/exec_int.h"

#include "base/ip.h"
#include "gateway/external.h"
#include "gateway/join.h"
#include "gateway/ssh.h"
#include "sys/fd.h"

#include <stdlib.h>

#define FORWARDS_BOX_MAX 20 /* openshell-api 6 */
#define DIAL_MS          10000
#define FORWARD_CHUNK    (64u << 10)

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
	struct cv_gw_join join;
	uint32_t channel;
	bool is_more;
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
	if (f->join.fd >= 0) {
		cv_loop_remove(&f->g->loop, f->join.fd);
		close(f->join.fd);
	}
	if (f->is_ssh)
		cv_gw_ssh_close(f->g, f->ssh);
	cv_slots_remove(&f->g->forwards->all, f->ref);
	cv_gw_join_fini(&f->join);
	free(f);
}

/* f may be gone afterwards. */
static void finish(struct cv_gw_forward *f, enum cv_rpc_status s, const char *why)
{
	if (f->join.is_finished)
		return;
	f->join.is_finished = true;
	if (why)
		cv_rpc_finish(f->join.call, s, "%s", why);
	else
		cv_rpc_finish(f->join.call, s, NULL);
}

/* ---- bytes ---- */

static bool frame_send(struct cv_rpc_call *c, struct cv_str bytes)
{
	Openshell__V1__TcpForwardFrame m;

	openshell__v1__tcp_forward_frame__init(&m);
	m.payload_case = OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA;
	m.data = (ProtobufCBinaryData){ bytes.n, (uint8_t *)(uintptr_t)bytes.p };
	return cv_rpc_send(c, &m.base);
}

/* f may be gone afterwards. */
static void read_out(struct cv_gw_forward *f)
{
	const enum cv_gw_join_rc rc = cv_gw_join_read(&f->join);

	f->is_more = rc == CV_GW_JOIN_MORE;
	if (f->is_more)
		f->g->forwards->has_more = true;
	if (rc == CV_GW_JOIN_END)
		finish(f, CV_RPC_OK, NULL);
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
	f->join.fd = fd;
	if (cv_loop_add(&f->g->loop, fd, EPOLLIN | EPOLLOUT | EPOLLET,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_FORWARD, 0), f->ref },
		    &err) != CV_OK) {
		finish(f, CV_RPC_INTERNAL, err.msg);
		return;
	}
	cv_gw_join_write(&f->join);
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
	cv_gw_join_init(&f->join, c, FORWARD_CHUNK, frame_send);
	f->channel = forward_channel(b->g);
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
		s = cv_gw_box_open(
			c, "sandbox_id", cv_str_of(r->sandbox_id), CV_STR_NONE, true, &b, err);
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
	if (is_ssh && b->external)
		s = cv_gw_ssh_token_check(b, cv_str_of(r->authorization_token), err);
	else if (is_ssh)
		s = cv_gw_ssh_open(b, cv_str_of(r->authorization_token), &ssh_fd, &ssh, err);
	if (s != CV_RPC_OK)
		return s;
	struct cv_gw_forward *f = forward_new(c, b);
	if (!f) {
		if (ssh_fd >= 0) {
			close(ssh_fd);
			cv_gw_ssh_close(b->g, ssh);
		}
		return refuse(err, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
	}
	if (ssh_fd >= 0) {
		f->is_ssh = true;
		f->ssh = ssh;
		fd_take(f, ssh_fd);
		return CV_RPC_OK;
	}
	s = box_dial(b, f->channel, is_ssh ? DIAL_SSH : r->tcp->port, err);
	f->join.is_finished = s != CV_RPC_OK;
	return s;
}

static void on_frame(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__TcpForwardFrame *r = (const Openshell__V1__TcpForwardFrame *)m;
	struct cv_gw_forward *f = cv_rpc_call_state(c);
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_err err;

	if (f && f->join.is_finished)
		return;
	if (!f && r->payload_case == OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_INIT) {
		s = forward_start(c, r->init, &err);
	} else if (f && r->payload_case == OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA) {
		cv_gw_join_put(
			&f->join, (struct cv_str){ (const char *)r->data.data, r->data.len });
	} else {
		s = refuse(&err, CV_RPC_INVALID_ARGUMENT,
			f ? "only data may follow init" : "first frame must be init");
		if (f)
			f->join.is_finished = true;
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
	f->join.has_ended = true;
	cv_gw_join_write(&f->join);
}

static void on_writable(struct cv_rpc_call *c)
{
	struct cv_gw_forward *f = cv_rpc_call_state(c);

	if (!f)
		return;
	f->join.is_blocked = false;
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
	if (!f && (cv_gw_ssh_dial_message(b, channel, m) || exec_ssh_dial_message(b, channel, m)))
		return;
	if (!f || f->join.is_finished || f->join.fd >= 0)
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
		if (f->join.fd < 0)
			finish(f, CV_RPC_UNAVAILABLE,
				"supervisor relay failed: the link is broken");
	}
}

/* ---- the part ---- */

static void part_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_gw_forward *f = cv_slots_get(&g->forwards->all, e->watch.ref);

	if (f && (e->events & EPOLLOUT))
		cv_gw_join_write(&f->join);
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
