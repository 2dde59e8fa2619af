/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept.c - a connection of the sandbox arrives: who, and where to
 *
 * The listeners live in the sandbox's network namespace, where every address is local.  Where the
 * destination that the program meant is found, depends on how it was intercepted (destination_of):
 * the name of the accepted socket, or what conntrack knows of it.  A connection of which it is not
 * to be found is denied.  One to the explicit proxy's own address is a request to us; port 53 is DNS;
 * every other is transparent.  127/8 and ::1 are the sandbox's own and never dialled (kernel notes:
 * the wildcard listener can be reached there directly).
 *
 * Who: the kernel names the socket at the other end by its cookie, the supervisor's record of that
 * cookie names the process.  The link is drained first: the record was sent before the
 * connection could be made.
 */
#include "proxy/proxy.h"
#include "sys/netns.h"
#include "sys/sockdiag.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DNS_PORT 53
#define ORIGINAL_DST \
	80 /* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST: net/netfilter/nf_conntrack_proto.c */

void cv_accept_watch(struct cv_proxy *p, bool want)
{
	for (uint32_t i = 0; i < p->tcp_count; i++) {
		const struct cv_watch w = { .kind = CV_WATCH_TCP, .ref = { i, 0 } };

		if (!want)
			cv_loop_remove(&p->loop, p->tcp[i]);
		else if (cv_loop_add(&p->loop, p->tcp[i], EPOLLIN, w, NULL) != CV_OK)
			cv_proxy_die(p, "the listeners can't be watched");
	}
	p->is_accepting = want;
}

static void who_find(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_sockdiag_end from = { f->src_ip, f->src_port };
	const struct cv_sockdiag_end to = { f->dst_ip, f->dst_port };
	uint64_t cookie;

	f->who_problem = "no record of this connection was made";
	if (cv_sockdiag_cookie(p->diag, &from, &to, &cookie, NULL) != CV_OK) {
		f->who_problem = "the connecting socket is gone";
		return;
	}
	cv_link_drain(p);
	f->who = cv_identities_take(&p->ids, cookie, p->loop.now_ms);
}

struct end { /* of a socket */
	struct sockaddr_storage sa;
	socklen_t n;
};

/* The socket's own name. */
static bool name_find(int fd, struct cv_ip *ip, uint16_t *port)
{
	struct end to = { .n = sizeof(to.sa) };

	return getsockname(fd, (struct sockaddr *)&to.sa, &to.n) == 0 &&
	       cv_ip_from_sockaddr(&to.sa, to.n, ip, port);
}

/* As it was before a rule changed the port, which conntrack remembers; the address stays, and is
 * compared, because an entry that says otherwise is not of our rule's making. */
static bool original_find(int fd, struct cv_ip *ip, uint16_t *port)
{
	struct end to = { .n = sizeof(to.sa) };
	struct cv_ip own;
	uint16_t own_port;

	if (!name_find(fd, &own, &own_port) ||
		getsockopt(fd, own.is_v4 ? SOL_IP : SOL_IPV6, ORIGINAL_DST, &to.sa, &to.n) < 0)
		return false;
	return cv_ip_from_sockaddr(&to.sa, to.n, ip, port) && cv_ip_eq(ip, &own);
}

static bool (*const destination_of[CV_INTERCEPTION_COUNT])(
	int fd, struct cv_ip *ip, uint16_t *port) = {
	[CV_INTERCEPTION_TPROXY] = name_find,
	[CV_INTERCEPTION_REDIRECT] = original_find,
	[CV_INTERCEPTION_ANYIP] = name_find,
};

static bool ends_find(struct cv_proxy *p, struct cv_flow *f, int fd, const struct end *from)
{
	struct cv_audit_event e = {
		.kind = CV_AUDIT_NET,
		.activity = CV_ACTIVITY_OPEN,
		.action = CV_AUDIT_ACTION_DENY,
		.protocol = CV_STR("tcp"),
		.engine = "opa",
		.reason_code = "destination_unknown",
		.reason = CV_STR("where this connection was meant to go can't be found"),
	};

	if (cv_ip_from_sockaddr(&from->sa, from->n, &f->src_ip, &f->src_port)) {
		if (destination_of[p->interception](fd, &f->dst_ip, &f->dst_port))
			return true;
		e.src_ip = &f->src_ip;
		e.src_port = f->src_port;
	}
	cv_sinks_event(&p->sinks, &e);
	return false;
}

void cv_accept_record(struct cv_proxy *p)
{
	const struct cv_audit_pair how = { "interception",
		cv_str_of(cv_interception_name(p->interception)) };
	struct cv_audit_event e = {
		.kind = CV_AUDIT_LIFECYCLE,
		.activity = CV_ACTIVITY_START,
		.severity = CV_SEVERITY_MEDIUM,
		.reason = cv_str_of(cv_interception_lost(p->interception)),
		.extra = &how,
		.extra_count = 1,
	};

	if (!e.reason.n)
		return;
	cv_sinks_event(&p->sinks, &e);
	(void)!cv_sinks_flush(
		&p->sinks); /* at once; that it failed is looked at before each decision */
}

uint16_t cv_accept_port(int listener)
{
	struct cv_ip ip;
	uint16_t port;

	return name_find(listener, &ip, &port) ? port : 0;
}

static bool is_loopback(const struct cv_ip *ip)
{
	static const uint8_t one[16] = { [15] = 1 };

	return ip->is_v4 ? ip->b[12] == 127 : memcmp(ip->b, one, sizeof(one)) == 0;
}

static bool is_explicit(const struct cv_flow *f)
{
	struct cv_ip ours;

	return f->dst_port == CV_NETNS_PROXY_PORT &&
	       cv_ip_parse(CV_STR(CV_NETNS_PROXY_IP4), &ours) && cv_ip_eq(&ours, &f->dst_ip);
}

static void flow_start(struct cv_proxy *p, int fd, const struct end *from)
{
	const struct cv_watch w = { .kind = CV_WATCH_CLIENT };
	struct cv_watch watch = w;
	struct cv_flow *f = cv_flow_new(&p->flows);

	if (!f) { /* cannot be: the listeners are not watched then */
		close(fd);
		return;
	}
	watch.ref = cv_flow_ref(f);
	f->started_ms = p->loop.now_ms;
	cv_leg_open(&f->client, &p->io, fd);
	if (!ends_find(p, f, fd, from) || is_loopback(&f->dst_ip) ||
		cv_loop_add(&p->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, watch, NULL) !=
			CV_OK) {
		cv_leg_reset(&f->client);
		cv_flow_set_state(f, CV_FLOW_DYING, p->loop.now_ms);
		cv_flow_free(&p->flows, f);
		return;
	}
	who_find(p, f);
	if (is_explicit(f)) {
		cv_flow_set_state(f, CV_FLOW_HEAD, p->loop.now_ms);
		f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
		f->client.can_read = f->client.can_write = true; /* most have spoken already */
	} else if (f->dst_port == DNS_PORT) {
		cv_flow_set_state(f, CV_FLOW_DNS, p->loop.now_ms);
	} else {
		cv_transparent_start(p, f);
	}
	cv_proxy_queue(p, f);
}

void cv_accept(struct cv_proxy *p, unsigned listener)
{
	for (int i = 0; i < CV_PROXY_ACCEPTS_MAX; i++) {
		struct end from = { .n = sizeof(from.sa) };
		int fd;

		if (!cv_flow_pool_has_room(&p->flows)) {
			cv_accept_watch(p, false); /* the rest wait in the backlog */
			return;
		}
		fd = accept4(p->tcp[listener], (struct sockaddr *)&from.sa, &from.n,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 &&
			errno != EAGAIN) { /* no descriptor, or no memory: not at once again */
			cv_accept_watch(p, false);
			p->accept_after_ms = p->loop.now_ms + CV_PROXY_ACCEPT_PAUSE_MS;
		}
		if (fd < 0)
			return;
		flow_start(p, fd, &from);
	}
}
