/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - the socket that supervisors dial, and a link for each (ipc/gateway_link.h)
 *
 * Who connects must have our own uid (SO_PEERCRED), and with HELLO the token that its sandbox was
 * started with; until then it may send nothing else, and not wait long.  A sandbox has one link: a
 * newer one takes the place of the older, which is closed without anybody being told.
 *
 * Nothing here waits: what a link does not take is kept (ipc/outbox.h).  A link that breaks while
 * somebody sends is closed at the end of the turn, so that no handler loses it under its feet.
 */
#include "gateway/sandbox_int.h"

#include "base/assert.h"
#include "gateway/external.h"
#include "gateway/log.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MESSAGES_TURN_MAX 64 /* of one link, before others get their turn */
#define ACCEPTS_TURN_MAX  64
#define DRAIN_MAX         4096 /* of a supervisor that has ended: a socket holds fewer */
#define BACKLOG           4096 /* all supervisors dial at once when a gateway comes back */
#define SOCKET_NAME       "supervisors.sock"

static uint8_t watch_kind(int sub)
{
	return CV_GW_WATCH(CV_GW_PART_SANDBOX, sub);
}

/* ---- links ---- */

void session_close(struct cv_gw_link *l)
{
	struct cv_gw_sandboxes *s = l->g->sandboxes;
	struct cv_gw_box *b = l->box;

	cv_loop_remove(&l->g->loop, l->fd);
	close(l->fd);
	cv_ipc_outbox_clear(&l->out);
	cv_slots_remove(&s->links, l->ref);
	if (l->is_spare)
		spare_link_lost(l);
	else if (!b)
		s->links_pending--;
	free(l);
	if (b && b->link == l) {
		b->link = NULL;
		box_link_lost(b);
	}
}

static void link_break(struct cv_gw_link *l)
{
	l->is_broken = true;
	l->g->sandboxes->has_broken = true;
}

/* Interest is whether something waits. */
static void link_watch(struct cv_gw_link *l)
{
	const uint32_t events = EPOLLIN | (cv_ipc_outbox_is_empty(&l->out) ? 0 : EPOLLOUT);

	if (cv_loop_change(&l->g->loop, l->fd, events,
		    (struct cv_watch){ watch_kind(WATCH_LINK), l->ref }) != CV_OK)
		link_break(l);
}

static bool link_send(
	struct cv_gw_link *l, uint32_t type, struct cv_str body, const int *fds, size_t fd_count)
{
	const bool was_empty = cv_ipc_outbox_is_empty(&l->out);
	struct cv_err err;

	if (l->is_broken)
		return false;
	if (cv_ipc_outbox_put(&l->out, l->fd, type, body, fds, fd_count, &err) != CV_OK) {
		cv_log(CV_LOG_WARN, "session", CV_LOG_NONE, "a supervisor's link breaks: %s",
			err.msg);
		link_break(l);
		return false;
	}
	if (was_empty && !cv_ipc_outbox_is_empty(&l->out))
		link_watch(l);
	return true;
}

bool cv_gw_box_send(
	struct cv_gw_box *b, uint32_t type, struct cv_str body, const int *fds, size_t fd_count)
{
	return b->link && link_send(b->link, type, body, fds, fd_count);
}

bool cv_gw_box_send_u32s(struct cv_gw_box *b, uint32_t type, const uint32_t *v, size_t n)
{
	struct cv_buf body;

	cv_buf_init(&body, 64);
	for (size_t i = 0; i < n; i++)
		cv_ipc_put_u32(&body, v[i]);
	cv_assert(!body.is_overflown);
	const bool is_sent = cv_gw_box_send(b, type, cv_buf_str(&body), NULL, 0);
	cv_buf_fini(&body);
	return is_sent;
}

enum cv_rpc_status box_dial(
	struct cv_gw_box *b, uint32_t channel, uint32_t port, struct cv_err *err)
{
	const uint32_t v[] = { channel, port };

	if (b->external)
		return cv_gw_external_dial(b, channel, port, err);
	if (cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_DIAL, v, 2))
		return CV_RPC_OK;
	cv_fail(err, CV_UNAVAILABLE, "supervisor relay failed: the link is broken");
	return CV_RPC_UNAVAILABLE;
}

/* ---- HELLO ---- */

static cv_code hello(struct cv_gw_link *l, const struct cv_ipc_msg *m, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t version = cv_ipc_get_u32(&r);
	const struct cv_str id = cv_ipc_get_str(&r), instance = cv_ipc_get_str(&r),
			    token = cv_ipc_get_str(&r);
	const uint32_t pid = cv_ipc_get_u32(&r);
	const uint64_t revision = cv_ipc_get_u64(&r);

	(void)pid; /* the kernel's word is better */
	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "a HELLO that is none");
	if (version != CV_GATEWAY_LINK_VERSION)
		return cv_fail(
			err, CV_UNAVAILABLE, "a supervisor of another version (%u)", version);
	if (spare_hello(l, id, instance, token)) {
		l->rules.state = CV_GATEWAY_LINK_OPEN;
		l->deadline_ms = 0;
		l->g->sandboxes->links_pending--;
		return link_send(l, CV_GATEWAY_REQ_ACCEPTED, CV_STR_NONE, NULL, 0)
			       ? CV_OK
			       : cv_fail(err, CV_UNAVAILABLE, "a supervisor that went at once");
	}
	struct cv_object *o = cv_object_find_id(l->g->objects, CV_OBJECT_SANDBOX, id);
	struct cv_gw_box *b = o ? cv_gw_box_of(o) : NULL;
	if (!b || !box_is_its(b, instance, token))
		return cv_fail(err, CV_DENIED, "a supervisor that belongs to no sandbox here");
	struct cv_gw_link *older = b->link;
	b->link = NULL;
	if (older) {
		older->box = NULL;
		l->g->sandboxes->links_pending++;
		session_close(older);
	}
	l->rules.state = CV_GATEWAY_LINK_OPEN;
	l->box = b;
	l->deadline_ms = 0;
	l->g->sandboxes->links_pending--;
	b->link = l;
	if (!link_send(l, CV_GATEWAY_REQ_ACCEPTED, CV_STR_NONE, NULL, 0))
		return cv_fail(err, CV_UNAVAILABLE, "a supervisor that went at once");
	box_dialled(b, l, revision);
	return CV_OK;
}

/* False: nothing more to read, or the link is gone. */
static bool message_read(struct cv_gateway *g, struct cv_ref ref)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	struct cv_gw_link *l = cv_slots_get(&s->links, ref);
	struct cv_ipc_msg m = { 0 };
	struct cv_err err;

	if (!l || l->is_broken)
		return false;
	cv_code code = cv_ipc_recv(l->fd, &l->rules, s->recv_buf, &m, &err);
	if (code == CV_UNAVAILABLE)
		return false;
	if (code == CV_OK && m.type == CV_GATEWAY_REPLY_HELLO)
		code = hello(l, &m, &err);
	else if (code == CV_OK && l->is_spare)
		spare_message(l, m.type);
	else if (code == CV_OK)
		box_message(l->box, &m);
	cv_ipc_msg_fini(&m);
	if (code == CV_OK)
		return true;
	if (code != CV_NOT_FOUND)
		cv_log(CV_LOG_WARN, "session", CV_LOG_NONE, "a supervisor's link is closed: %s",
			err.msg);
	session_close(l);
	return false;
}

/* ---- the listener ---- */

static void peer_take(struct cv_gateway *g, int fd)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	struct ucred who;
	socklen_t n = sizeof(who);
	struct cv_err err;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 || who.uid != geteuid() ||
		s->links_pending >= LINKS_PENDING_MAX) {
		close(fd);
		return;
	}
	struct cv_gw_link *l = calloc(1, sizeof(*l));
	if (!l || !cv_slots_add(&s->links, l, &l->ref)) {
		free(l);
		close(fd);
		return;
	}
	l->g = g;
	l->fd = fd;
	l->pid = who.pid;
	l->rules = (struct cv_ipc_link){ cv_gateway_reply_rule, CV_GATEWAY_REPLY_COUNT,
		CV_GATEWAY_LINK_NEW, 0 };
	l->deadline_ms = g->loop.now_ms + LINK_HELLO_MS;
	s->deadline_ms = CV_MIN(s->deadline_ms, l->deadline_ms);
	s->links_pending++;
	if (cv_loop_add(&g->loop, fd, EPOLLIN, (struct cv_watch){ watch_kind(WATCH_LINK), l->ref },
		    &err) != CV_OK)
		session_close(l);
}

static void on_listener(struct cv_gateway *g)
{
	for (int i = 0; i < ACCEPTS_TURN_MAX; i++) {
		const int fd =
			accept4(g->sandboxes->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		peer_take(g, fd);
	}
}

static void on_link(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_gw_link *l = cv_slots_get(&g->sandboxes->links, e->watch.ref);
	struct cv_err err;

	if (l && (e->events & EPOLLOUT)) {
		if (cv_ipc_outbox_flush(&l->out, l->fd, &err) != CV_OK)
			link_break(l);
		else if (cv_ipc_outbox_is_empty(&l->out))
			link_watch(l);
	}
	for (int i = 0; i < MESSAGES_TURN_MAX && message_read(g, e->watch.ref); i++)
		;
}

void session_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	if (CV_GW_WATCH_SUB(e->watch.kind) == WATCH_LISTENER)
		on_listener(g);
	else
		on_link(g, e);
}

void session_drain(struct cv_gateway *g, struct cv_ref link)
{
	for (int i = 0; i < DRAIN_MAX && message_read(g, link); i++)
		;
}

/* Links that are broken or say nothing; the next deadline. */
int64_t session_turn(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;
	int64_t next = INT64_MAX;

	s->has_broken = false;
	for (size_t i = 0; i < s->links.n; i++) {
		struct cv_gw_link *l = s->links.v[i].thing;

		if (!l)
			continue;
		if (l->is_broken || (l->deadline_ms && g->loop.now_ms >= l->deadline_ms))
			session_close(l);
		else if (l->deadline_ms)
			next = CV_MIN(next, l->deadline_ms);
	}
	return next;
}

/* ---- start and stop ---- */

static cv_code listener_open(struct cv_gw_sandboxes *s, struct cv_err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const size_t n = strlen(s->socket);

	if (n >= sizeof(a.sun_path))
		return cv_fail(err, CV_INVALID,
			"%s: a socket's path has at most %zu bytes; choose a shorter state_dir",
			s->socket, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, s->socket, n);
	s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return cv_fail_errno(err, "socket");
	/* The directory is locked: nobody else listens there. */
	if (unlink(s->socket) < 0 && errno != ENOENT)
		return cv_fail_errno(err, "remove %s", s->socket);
	if (bind(s->listener, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(s->listener, BACKLOG) < 0)
		return cv_fail_errno(err, "listen at %s", s->socket);
	return CV_OK;
}

cv_code session_start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_gw_sandboxes *s = g->sandboxes;

	s->recv_buf = malloc(CV_IPC_BODY_BYTES_MAX + 8);
	if (!s->recv_buf || asprintf(&s->socket, "%s/" SOCKET_NAME, g->state_dir) < 0) {
		s->socket = NULL;
		return cv_fail(err, CV_LIMIT, "no memory");
	}
	const cv_code code = listener_open(s, err);
	if (code != CV_OK)
		return code;
	return cv_loop_add(&g->loop, s->listener, EPOLLIN,
		(struct cv_watch){ watch_kind(WATCH_LISTENER), { 0, 0 } }, err);
}

/* The sandboxes go on: their supervisors notice, and dial the next gateway. */
void session_stop(struct cv_gateway *g)
{
	struct cv_gw_sandboxes *s = g->sandboxes;

	for (size_t i = 0; i < s->links.n; i++) {
		struct cv_gw_link *l = s->links.v[i].thing;

		if (!l)
			continue;
		close(l->fd);
		cv_ipc_outbox_clear(&l->out);
		if (l->box)
			l->box->link = NULL;
		free(l);
	}
	cv_slots_fini(&s->links);
	if (s->listener >= 0)
		close(s->listener);
	free(s->socket);
	free(s->recv_buf);
}
