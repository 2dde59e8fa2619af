/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns.c - every address in the world is local, and ends at our listeners
 *
 * How it works.  The namespace has nothing but lo.  A default route of type "local" makes the
 * kernel take every destination for its own.  How a connection gets from there to a listener:
 *
 *     tproxy     packets come in again through prerouting, where a rule assigns each TCP connection to
 *                the listener, whatever its address and port, and another UDP port 53 to ours
 *     redirect   a rule of nat changes the port of each TCP connection to the listener's
 *     anyip      there is a listener on each port that is known, and none on others
 *
 * With tproxy and anyip an accepted socket's own name is the destination that was meant; with
 * redirect conntrack knows it (proxy/accept.c).  127/8 and ::1 are left alone by the rules: servers
 * inside the sandbox work; anyip has no rules, and takes its ports there too.
 *
 * There is no veth, no bridge and no route to the host: when rules or listeners are missing, a
 * connection is refused by the kernel.  The failure mode is closed.
 *
 * Order, and why: lo must be up before routes can name it; the sockets exist before the rules that
 * point at them, so that no packet is ever assigned to nobody; Fast Open is off before anybody
 * could use it to connect without connect().
 *
 * cv_netns_make() is the one place that chooses.  Which modules there are only the kernel knows, so
 * the best is tried first; each attempt has a namespace of its own, of which nothing is left for
 * the next.  Only a missing module leads to the next attempt: any other failure is the end.
 */
#include "sys/netns.h"

#include "sys/fd.h"
#include "sys/netlink.h"
#include "sys/netns_rules.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LO_INDEX       1 /* in a fresh namespace */
#define LISTEN_BACKLOG 1024
#define DNS_PORT       53

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

void cv_netns_fds_close(struct cv_netns_fds *fds)
{
	int *const each[] = { &fds->tcp4, &fds->tcp6, &fds->udp4, &fds->udp6, &fds->diag };

	for (size_t i = 0; i < CV_ARRAY_LEN(each); i++)
		cv_fd_cleanup(each[i]);
	for (uint32_t i = 0; i < fds->more_count; i++) {
		cv_fd_cleanup(&fds->more[i].tcp4);
		cv_fd_cleanup(&fds->more[i].tcp6);
	}
}

static cv_code lo_up(struct cv_err *err)
{
	CV_AUTO_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &req) < 0)
		return cv_fail_errno(err, "bring lo up");
	return CV_OK;
}

/* One family's address and its route of type local to everywhere. */
static void address_add(
	struct cv_nl_batch *b, unsigned char family, const char *text, unsigned char bits)
{
	const struct ifaddrmsg address = { .ifa_family = family,
		.ifa_prefixlen = bits,
		.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_index = LO_INDEX };
	const struct rtmsg route = { .rtm_family = family,
		.rtm_table = RT_TABLE_LOCAL,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_HOST,
		.rtm_type = RTN_LOCAL };
	const uint16_t flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	unsigned char ip[16];

	inet_pton(family, text, ip);
	cv_nl_message(b, RTM_NEWADDR, flags, &address, sizeof(address));
	cv_nl_attr(b, IFA_LOCAL, ip, bits / 8);
	cv_nl_attr(b, IFA_ADDRESS, ip, bits / 8);
	cv_nl_message(b, RTM_NEWROUTE, flags, &route, sizeof(route));
	cv_nl_attr_u32(b, RTA_OIF, LO_INDEX);
	cv_nl_attr(b, RTA_PREFSRC, ip, bits / 8);
}

static cv_code addresses_and_routes(struct cv_err *err)
{
	CV_AUTO_FD int sock = -1;
	struct cv_nl_batch b;

	if (cv_nl_open(NETLINK_ROUTE, &sock, err) != CV_OK)
		return err->code;
	cv_nl_init(&b);
	address_add(&b, AF_INET, CV_NETNS_SANDBOX_IP4, 32);
	address_add(&b, AF_INET6, CV_NETNS_SANDBOX_IP6, 128);
	return cv_nl_send(sock, &b, "addresses and routes of the sandbox", err);
}

/* connect() is where identity is recorded; Fast Open would connect inside sendto(). */
static cv_code fast_open_off(int proc, struct cv_err *err)
{
	CV_AUTO_FD int fd = openat(proc, "sys/net/ipv4/tcp_fastopen", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		return cv_fail_errno(err, "switch TCP Fast Open off");
	return CV_OK;
}

struct socket_kind {
	int family, type;
	uint16_t port;
	const char *name;
};

static bool options_set(int sock, const struct socket_kind *k)
{
	const int one = 1;
	const bool is_v6 = k->family == AF_INET6;
	const int level = is_v6 ? SOL_IPV6 : SOL_IP;

	if (is_v6 && setsockopt(sock, SOL_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return false;
	if (setsockopt(sock, level, is_v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one, sizeof(one)) <
		0)
		return false;
	return k->type != SOCK_DGRAM ||
	       setsockopt(sock, level, is_v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &one, sizeof(one)) ==
		       0;
}

/* No SO_REUSEADDR and no SO_REUSEPORT: nobody inside may bind beside us. */
static cv_code socket_open(const struct socket_kind *k, int *ret, struct cv_err *err)
{
	const struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(k->port) };
	const struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(k->port) };
	const bool is_v6 = k->family == AF_INET6;
	const struct sockaddr *any =
		is_v6 ? (const struct sockaddr *)&any6 : (const struct sockaddr *)&any4;
	CV_AUTO_FD int sock = socket(k->family, k->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock < 0 || !options_set(sock, k) ||
		bind(sock, any, is_v6 ? sizeof(any6) : sizeof(any4)) < 0)
		return cv_fail_errno(err, "%s socket", k->name);
	if (k->type == SOCK_STREAM && listen(sock, LISTEN_BACKLOG) < 0)
		return cv_fail_errno(err, "%s socket: listen", k->name);
	*ret = cv_take_fd(sock);
	return CV_OK;
}

/* The listeners' pair for a port. */
static cv_code pair_open(uint32_t port, struct cv_netns_pair *ret, struct cv_err *err)
{
	const struct socket_kind v4 = { AF_INET, SOCK_STREAM, (uint16_t)port, "IPv4 listening" };
	const struct socket_kind v6 = { AF_INET6, SOCK_STREAM, (uint16_t)port, "IPv6 listening" };

	return socket_open(&v4, &ret->tcp4, err) == CV_OK ? socket_open(&v6, &ret->tcp6, err)
							  : err->code;
}

static cv_code listeners_open(
	const uint32_t *ports, uint32_t count, struct cv_netns_fds *fds, struct cv_err *err)
{
	struct cv_netns_pair pair = { -1, -1 };
	cv_code code = pair_open(ports[0], &pair, err);

	fds->tcp4 = pair.tcp4;
	fds->tcp6 = pair.tcp6;
	for (uint32_t i = 1; code == CV_OK && i < count; i++) {
		struct cv_netns_pair *p = &fds->more[fds->more_count++];

		*p = (struct cv_netns_pair){ -1, -1 };
		code = pair_open(ports[i], p, err);
		if (code != CV_OK)
			return cv_wrap(err, "port %u", ports[i]);
	}
	return code;
}

static cv_code sockets_open(
	const struct cv_netns_want *want, struct cv_netns_fds *fds, struct cv_err *err)
{
	static const struct socket_kind dns4 = { AF_INET, SOCK_DGRAM, DNS_PORT, "IPv4 DNS" };
	static const struct socket_kind dns6 = { AF_INET6, SOCK_DGRAM, DNS_PORT, "IPv6 DNS" };
	uint32_t ports[CV_NETNS_MORE_MAX + 1] = { CV_NETNS_LISTEN_PORT }, count = 1;

	if (fds->how == CV_INTERCEPTION_ANYIP)
		count = cv_anyip_ports(want->ports, want->port_count, ports);
	if (listeners_open(ports, count, fds, err) != CV_OK ||
		socket_open(&dns4, &fds->udp4, err) != CV_OK ||
		socket_open(&dns6, &fds->udp6, err) != CV_OK)
		return err->code;
	return cv_nl_open(NETLINK_SOCK_DIAG, &fds->diag, err);
}

/* What a kernel says that has no such module, or may not load it: ENOENT without tproxy or nat,
 * EOPNOTSUPP without nf_tables, EPROTONOSUPPORT without its netlink. */
static bool is_module_missing(const struct cv_err *err)
{
	return err->sys == ENOENT || err->sys == EOPNOTSUPP || err->sys == EPROTONOSUPPORT;
}

/* CV_UNAVAILABLE when it is a module that is missing. */
static cv_code rules_try(enum cv_interception how, struct cv_err *err)
{
	struct cv_err why;

	if (cv_netns_rules_load(how, &why) == CV_OK)
		return CV_OK;
	*err = why;
	if (is_module_missing(&why)) {
		(void)cv_fail(err, CV_UNAVAILABLE, "%.*s; to enable: %s", CV_ERR_MSG_BYTES_MAX - 80,
			why.msg,
			how == CV_INTERCEPTION_REDIRECT ? CV_NETNS_REMEDY_NAT : CV_NETNS_REMEDY);
		err->sys = why.sys;
	}
	return err->code;
}

/* One variant, in the present namespace, which is fresh. */
static cv_code setup(int proc, const struct cv_netns_want *want, enum cv_interception how,
	struct cv_netns_fds *ret, struct cv_err *err)
{
	struct cv_netns_fds fds = {
		.how = how, .tcp4 = -1, .tcp6 = -1, .udp4 = -1, .udp6 = -1, .diag = -1
	};

	if (lo_up(err) != CV_OK || addresses_and_routes(err) != CV_OK ||
		fast_open_off(proc, err) != CV_OK || sockets_open(want, &fds, err) != CV_OK ||
		rules_try(how, err) != CV_OK) {
		cv_netns_fds_close(&fds);
		return cv_wrap(err, "sandbox network");
	}
	*ret = fds;
	return CV_OK;
}

/* A policy whose ports can't all be listened on would be one that is silently not kept. */
static cv_code ports_check(const struct cv_netns_want *want, struct cv_err *err)
{
	if (want->port_count <= CV_PLAN_PORTS_MAX)
		return CV_OK;
	return cv_fail(err, CV_LIMIT,
		"sandbox network: the policy names port %u, and with the interception anyip no more "
		"than %d of its ports can be listened on; to enable another: %s",
		want->ports[CV_PLAN_PORTS_MAX], CV_PLAN_PORTS_MAX, CV_NETNS_REMEDY);
}

cv_code cv_netns_make(
	int proc, const struct cv_netns_want *want, struct cv_netns_fds *ret, struct cv_err *err)
{
	const bool is_auto = want->how == CV_INTERCEPTION_AUTO;
	uint32_t how = is_auto ? CV_INTERCEPTION_TPROXY : want->how;
	cv_code code;

	for (;; how++) {
		if (how == CV_INTERCEPTION_ANYIP && ports_check(want, err) != CV_OK)
			return err->code;
		if (unshare(CLONE_NEWNET) < 0)
			return cv_fail_errno(err, "new network namespace");
		code = setup(proc, want, (enum cv_interception)how, ret, err);
		if (code != CV_UNAVAILABLE || !is_auto || how == CV_INTERCEPTION_ANYIP)
			return code;
	}
}
