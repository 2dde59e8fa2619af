/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external_relay.c - connections into sandboxes that others run (RelayStream)
 *
 *     who waits (forward, service) ──dial──► relay_open ──► supervisor connects inside
 *          ▲                                                    │ RelayStream, init
 *          └──DIALLED, one end of a pair── [pair] ──joined──────┘
 *
 * The stream and the pair are joined (join.h), so the pace of each end is that of the other, through
 * the client's stream, two sockets' buffers and the supervisor's stream.  A connection is claimed by
 * its id and by a token of its sandbox, once, in time; how many may wait for that is limited.
 *
 * The end of the supervisor's bytes is the end of what who waits can read.  The other way there is no
 * such end: a call ends for both, so it ends when who waits has closed.
 */
#include "gateway/external_int.h"

#include "gateway/access.h"
#include "sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

typedef struct external_relay relay;

static void relay_free(relay *r)
{
	if (r->join.fd >= 0) {
		cv_loop_remove(&r->g->loop, r->join.fd);
		close(r->join.fd);
	}
	cv_gw_join_fini(&r->join);
	cv_slots_remove(&r->g->externals->relays, r->ref);
	free(r);
}

/* It waits no more to be claimed. */
static void unpend(relay *r)
{
	struct cv_gw_box *b = cv_gw_box_get(r->g, r->box);

	r->deadline_ms = 0;
	r->g->externals->pending--;
	if (b && b->external)
		b->external->pending--;
}

static bool is_of(const relay *r, const struct cv_gw_box *b)
{
	return r->box.index == b->ref.index && r->box.gen == b->ref.gen;
}

static relay *pending_find(const struct cv_gw_box *b, struct cv_str id)
{
	const struct cv_slots *all = &b->g->externals->relays;

	for (size_t i = 0; i < all->n; i++) {
		relay *r = all->v[i].thing;

		if (r && !r->is_claimed && is_of(r, b) && cv_str_eq(cv_str_of(r->id), id))
			return r;
	}
	return NULL;
}

/* To who waits, as a supervisor of ours would say it.  fd < 0: error. */
static void answer(const relay *r, int fd, uint32_t error)
{
	struct cv_gw_box *b = cv_gw_box_get(r->g, r->box);
	struct cv_ipc_msg m = { .type = CV_GATEWAY_REPLY_NOT_DIALLED };
	struct cv_buf body;

	cv_buf_init(&body, 16);
	cv_ipc_put_u32(&body, r->channel);
	if (fd >= 0) {
		m.type = CV_GATEWAY_REPLY_DIALLED;
		m.fds[0] = fd;
		m.fd_count = 1;
	} else {
		cv_ipc_put_u32(&body, error);
	}
	m.body = cv_buf_str(&body);
	if (b)
		box_message(b, &m);
	cv_ipc_msg_fini(&m);
	cv_buf_fini(&body);
}

static void refuse(relay *r, uint32_t error)
{
	unpend(r);
	answer(r, -1, error);
	relay_free(r);
}

void external_relay_refused(struct cv_gw_box *b, struct cv_str id)
{
	relay *r = pending_find(b, id);

	if (r)
		refuse(r, ECONNREFUSED);
}

/* ---- asking for one ---- */

static bool open_send(struct cv_gw_box *b, relay *r)
{
	Openshell__V1__GatewayMessage m;
	Openshell__V1__RelayOpen open;
	Openshell__V1__TcpRelayTarget tcp;
	Openshell__V1__SshRelayTarget ssh;

	openshell__v1__gateway_message__init(&m);
	openshell__v1__relay_open__init(&open);
	openshell__v1__tcp_relay_target__init(&tcp);
	openshell__v1__ssh_relay_target__init(&ssh);
	m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_RELAY_OPEN;
	m.relay_open = &open;
	open.channel_id = r->id;
	if (r->port == DIAL_SSH) {
		open.target_case = OPENSHELL__V1__RELAY_OPEN__TARGET_SSH;
		open.ssh = &ssh;
	} else {
		open.target_case = OPENSHELL__V1__RELAY_OPEN__TARGET_TCP;
		open.tcp = &tcp;
		tcp.host = (char *)(uintptr_t) "127.0.0.1";
		tcp.port = r->port;
	}
	return external_send(b, &m);
}

static void close_send(const relay *r, const char *why)
{
	struct cv_gw_box *b = cv_gw_box_get(r->g, r->box);
	Openshell__V1__GatewayMessage m;
	Openshell__V1__RelayClose close;

	openshell__v1__gateway_message__init(&m);
	openshell__v1__relay_close__init(&close);
	m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_RELAY_CLOSE;
	m.relay_close = &close;
	close.channel_id = (char *)(uintptr_t)r->id;
	close.reason = (char *)(uintptr_t)why;
	if (b)
		(void)external_send(b, &m);
}

static bool frame_send(struct cv_rpc_call *c, struct cv_str bytes)
{
	Openshell__V1__RelayFrame m;

	openshell__v1__relay_frame__init(&m);
	m.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA;
	m.data = (ProtobufCBinaryData){ bytes.n, (uint8_t *)(uintptr_t)bytes.p };
	return cv_rpc_send(c, &m.base);
}

static relay *relay_new(struct cv_gw_box *b, uint32_t channel, uint32_t port)
{
	struct cv_gw_externals *all = b->g->externals;
	relay *r = calloc(1, sizeof(*r));

	if (!r || !cv_slots_add(&all->relays, r, &r->ref)) {
		free(r);
		return NULL;
	}
	r->g = b->g;
	r->box = b->ref;
	r->channel = channel;
	r->port = port;
	cv_object_id_make(r->id);
	cv_gw_join_init(&r->join, NULL, EXTERNAL_RELAY_CHUNK, frame_send);
	r->deadline_ms = b->g->loop.now_ms + EXTERNAL_CLAIM_MS;
	all->deadline_ms = CV_MIN(all->deadline_ms, r->deadline_ms);
	all->pending++;
	b->external->pending++;
	return r;
}

enum cv_rpc_status cv_gw_external_dial(
	struct cv_gw_box *b, uint32_t channel, uint32_t port, struct cv_err *err)
{
	if (b->g->externals->pending >= EXTERNAL_PENDING_MAX ||
		b->external->pending >= EXTERNAL_PENDING_BOX_MAX) {
		cv_fail(err, CV_LIMIT, "too many connections wait for the sandbox's supervisor");
		return CV_RPC_RESOURCE_EXHAUSTED;
	}
	relay *r = relay_new(b, channel, port);
	if (!r) {
		cv_fail(err, CV_LIMIT, "no memory");
		return CV_RPC_RESOURCE_EXHAUSTED;
	}
	if (open_send(b, r))
		return CV_RPC_OK;
	unpend(r);
	relay_free(r);
	cv_fail(err, CV_UNAVAILABLE, "supervisor relay failed: no live session of the sandbox");
	return CV_RPC_UNAVAILABLE;
}

/* ---- joined ---- */

static void finish(relay *r, enum cv_rpc_status s, const char *why)
{
	if (r->join.is_finished)
		return;
	r->join.is_finished = true;
	if (why)
		cv_rpc_finish(r->join.call, s, "%s", why);
	else
		cv_rpc_finish(r->join.call, s, NULL);
}

/* Closed, and not only ended. */
static bool is_hung_up(const relay *r)
{
	struct pollfd p = { .fd = r->join.fd, .events = POLLIN };

	return poll(&p, 1, 0) < 1 || (p.revents & (POLLHUP | POLLERR));
}

static void read_out(relay *r)
{
	const enum cv_gw_join_rc rc = cv_gw_join_read(&r->join);

	r->is_more = rc == CV_GW_JOIN_MORE;
	if (r->is_more)
		r->g->externals->has_more = true;
	if (rc == CV_GW_JOIN_END && is_hung_up(r))
		finish(r, CV_RPC_OK, NULL);
}

static void join(relay *r, struct cv_rpc_call *c)
{
	struct cv_err err;
	int pair[2];

	unpend(r);
	r->is_claimed = true;
	r->join.call = c;
	cv_rpc_call_set_state(c, r);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		answer(r, -1, (uint32_t)errno);
		finish(r, CV_RPC_RESOURCE_EXHAUSTED, "no descriptors");
		return;
	}
	r->join.fd = pair[0];
	answer(r, pair[1], 0);
	if (cv_loop_add(&r->g->loop, pair[0], EPOLLIN | EPOLLOUT | EPOLLET,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_EXTERNAL, 0), r->ref },
		    &err) != CV_OK) {
		close(cv_take_fd(r->join.fd));
		finish(r, CV_RPC_INTERNAL, err.msg);
		return;
	}
	read_out(r);
}

/* ---- RelayStream ---- */

static void claim(struct cv_rpc_call *c, const Openshell__V1__RelayInit *init)
{
	const struct cv_object *o = cv_object_find_id(cv_gw_of(c)->objects, CV_OBJECT_SANDBOX,
		cv_str_of(cv_rpc_call_principal(c)->sandbox_id));
	const struct cv_gw_box *b = o ? cv_gw_box_of(o) : NULL;
	/* Of its own sandbox: that others have such an id is not said. */
	relay *r = b && b->external ? pending_find(b, cv_str_of(init->channel_id)) : NULL;

	if (r)
		join(r, c);
	else
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "unknown or expired relay channel");
}

void external_relay_message(struct cv_rpc_call *c, const ProtobufCMessage *message)
{
	const Openshell__V1__RelayFrame *m = (const Openshell__V1__RelayFrame *)message;
	relay *r = cv_rpc_call_state(c);

	if (r && r->join.is_finished)
		return;
	if (r && m->payload_case == OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA &&
		m->data.len > EXTERNAL_FRAME_MAX)
		finish(r, CV_RPC_INVALID_ARGUMENT, "a frame has at most 256 KiB");
	else if (r && m->payload_case == OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA)
		cv_gw_join_put(
			&r->join, (struct cv_str){ (const char *)m->data.data, m->data.len });
	else if (r)
		finish(r, CV_RPC_INVALID_ARGUMENT, "only data may follow init");
	else if (m->payload_case == OPENSHELL__V1__RELAY_FRAME__PAYLOAD_INIT)
		claim(c, m->init);
	else
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "first frame must be init");
}

void external_relay_half_closed(struct cv_rpc_call *c)
{
	relay *r = cv_rpc_call_state(c);

	if (!r) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "first frame must be init");
		return;
	}
	r->join.has_ended = true;
	cv_gw_join_write(&r->join);
}

void external_relay_writable(struct cv_rpc_call *c)
{
	relay *r = cv_rpc_call_state(c);

	if (!r)
		return;
	r->join.is_blocked = false;
	read_out(r);
}

void external_relay_closed(struct cv_rpc_call *c)
{
	if (cv_rpc_call_state(c))
		relay_free(cv_rpc_call_state(c));
}

/* ---- what becomes of many ---- */

/* Those of a box (NULL: all) that are not claimed. */
static void pending_drop(struct cv_gateway *g, const struct cv_gw_box *b)
{
	const struct cv_slots *all = &g->externals->relays;

	for (size_t i = 0; i < all->n; i++) {
		relay *r = all->v[i].thing;

		if (!r || r->is_claimed || (b && !is_of(r, b)))
			continue;
		unpend(r);
		relay_free(r);
	}
}

void external_relays_drop(struct cv_gw_box *b)
{
	pending_drop(b->g, b);
}

void external_relays_replay(struct cv_gw_box *b)
{
	const struct cv_slots *all = &b->g->externals->relays;

	for (size_t i = 0; i < all->n; i++) {
		relay *r = all->v[i].thing;

		if (r && !r->is_claimed && is_of(r, b))
			(void)open_send(b, r); /* else it is not claimed in time */
	}
}

void external_relays_end(struct cv_gw_box *b)
{
	const struct cv_slots *all = &b->g->externals->relays;

	pending_drop(b->g, b);
	for (size_t i = 0; i < all->n; i++) {
		relay *r = all->v[i].thing;

		if (r && is_of(r, b))
			finish(r, CV_RPC_UNAVAILABLE, "the sandbox has ended");
	}
}

/* The calls are closed already, and with them what they had claimed. */
void external_relays_stop(struct cv_gateway *g)
{
	pending_drop(g, NULL);
	cv_slots_fini(&g->externals->relays);
}

/* ---- events ---- */

void external_relay_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	relay *r = cv_slots_get(&g->externals->relays, e->watch.ref);

	if (!r)
		return;
	if (e->events & EPOLLOUT)
		cv_gw_join_write(&r->join);
	if (e->events & ~(uint32_t)EPOLLOUT)
		read_out(r);
}

static void late(relay *r)
{
	close_send(r, "not claimed in time");
	refuse(r, ETIMEDOUT);
}

int64_t external_relay_turn(struct cv_gateway *g)
{
	struct cv_gw_externals *s = g->externals;
	int64_t next = INT64_MAX;

	if (g->loop.now_ms < s->deadline_ms && !s->has_more)
		return s->deadline_ms;
	s->has_more = false;
	for (size_t i = 0; i < s->relays.n; i++) {
		relay *r = s->relays.v[i].thing;

		if (r && r->is_more)
			read_out(r);
		if (r && r->deadline_ms && g->loop.now_ms >= r->deadline_ms)
			late(r);
		else if (r && r->deadline_ms)
			next = CV_MIN(next, r->deadline_ms);
	}
	s->deadline_ms = next;
	return s->has_more ? g->loop.now_ms : next;
}
