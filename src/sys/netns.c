/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns.c - every address in the world is local, and ends at one listener
 *
 * How it works.  The namespace has nothing but lo.  A default route of type "local" makes the
 * kernel take every destination for its own, so packets turn round on lo and come in again
 * through prerouting, where one nf_tables rule per family assigns each TCP connection to our
 * transparent listener, whatever its address and port, and another does the same for UDP port 53.
 * The listener's accepted sockets carry the original destination as their local address.
 * 127/8 and ::1 are left alone: servers inside the sandbox work.
 *
 * There is no veth, no bridge and no route to the host: when rules or listeners are missing, a
 * connection is refused by the kernel.  The failure mode is closed.
 *
 * Order, and why: lo must be up before routes can name it; the sockets exist before the rules that
 * point at them, so that no packet is ever assigned to nobody; Fast Open is off before anybody
 * could use it to connect without connect().
 */
#include "sys/netns.h"

#include "sys/fd.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LO_INDEX       1     /* in a fresh namespace */
#define LISTEN_PORT    15001 /* where the rules send TCP; openshell-behaviour 13 */
#define LISTEN_BACKLOG 1024
#define DNS_PORT       53
#define HOOK_PRIORITY  (-150) /* mangle: before anything that could look at the packet */
#define TABLE          "cove"
#define CHAIN          "prerouting"

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

void cv_netns_fds_close(struct cv_netns_fds *fds)
{
	int *const each[] = { &fds->tcp4, &fds->tcp6, &fds->udp4, &fds->udp6, &fds->diag };

	for (size_t i = 0; i < CV_ARRAY_LEN(each); i++)
		cv_fd_cleanup(each[i]);
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

static cv_code sockets_open(struct cv_netns_fds *fds, struct cv_err *err)
{
	static const struct socket_kind kind[] = {
		{ AF_INET, SOCK_STREAM, LISTEN_PORT, "IPv4 listening" },
		{ AF_INET6, SOCK_STREAM, LISTEN_PORT, "IPv6 listening" },
		{ AF_INET, SOCK_DGRAM, DNS_PORT, "IPv4 DNS" },
		{ AF_INET6, SOCK_DGRAM, DNS_PORT, "IPv6 DNS" },
	};
	int *const into[] = { &fds->tcp4, &fds->tcp6, &fds->udp4, &fds->udp6 };

	for (size_t i = 0; i < CV_ARRAY_LEN(kind); i++)
		if (socket_open(&kind[i], into[i], err) != CV_OK)
			return err->code;
	return cv_nl_open(NETLINK_SOCK_DIAG, &fds->diag, err);
}

/* --- the nf_tables batch --- */

static void nft_message(struct cv_nl_batch *b, uint16_t type, uint16_t flags, unsigned char family)
{
	const struct nfgenmsg head = { .nfgen_family = family, .version = NFNETLINK_V0 };

	cv_nl_message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
		flags | NLM_F_CREATE | NLM_F_ACK, &head, sizeof(head));
}

static void nft_batch_edge(struct cv_nl_batch *b, uint16_t type)
{
	const struct nfgenmsg head = { .nfgen_family = AF_UNSPEC,
		.version = NFNETLINK_V0,
		.res_id = htons(NFNL_SUBSYS_NFTABLES) };

	cv_nl_message(b, type, 0, &head, sizeof(head));
}

/* An expression: EXPR opens its two nests, the caller adds attributes, expr_end closes both. */
struct expr {
	size_t elem, data;
};

static struct expr expr_begin(struct cv_nl_batch *b, const char *name)
{
	struct expr e = { .elem = cv_nl_nest(b, NFTA_LIST_ELEM) };

	cv_nl_attr_str(b, NFTA_EXPR_NAME, name);
	e.data = cv_nl_nest(b, NFTA_EXPR_DATA);
	return e;
}

static void expr_end(struct cv_nl_batch *b, struct expr e)
{
	cv_nl_nest_end(b, e.data);
	cv_nl_nest_end(b, e.elem);
}

static void nft_data(struct cv_nl_batch *b, uint16_t type, const void *value, size_t bytes)
{
	const size_t nest = cv_nl_nest(b, type);

	cv_nl_attr(b, NFTA_DATA_VALUE, value, bytes);
	cv_nl_nest_end(b, nest);
}

/* Goes on with the rule only if register 1 compares so with value. */
static void expr_cmp(struct cv_nl_batch *b, uint32_t op, const void *value, size_t bytes)
{
	const struct expr e = expr_begin(b, "cmp");

	cv_nl_attr_be32(b, NFTA_CMP_SREG, NFT_REG_1);
	cv_nl_attr_be32(b, NFTA_CMP_OP, op);
	nft_data(b, NFTA_CMP_DATA, value, bytes);
	expr_end(b, e);
}

static void expr_payload(struct cv_nl_batch *b, uint32_t base, uint32_t offset, uint32_t len)
{
	const struct expr e = expr_begin(b, "payload");

	cv_nl_attr_be32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	cv_nl_attr_be32(b, NFTA_PAYLOAD_BASE, base);
	cv_nl_attr_be32(b, NFTA_PAYLOAD_OFFSET, offset);
	cv_nl_attr_be32(b, NFTA_PAYLOAD_LEN, len);
	expr_end(b, e);
}

static void expr_is_protocol(struct cv_nl_batch *b, unsigned char protocol)
{
	const struct expr e = expr_begin(b, "meta");

	cv_nl_attr_be32(b, NFTA_META_DREG, NFT_REG_1);
	cv_nl_attr_be32(b, NFTA_META_KEY, NFT_META_L4PROTO);
	expr_end(b, e);
	expr_cmp(b, NFT_CMP_EQ, &protocol, 1);
}

/* First byte of an IPv4 destination (header offset 16), or all of an IPv6 one (offset 24). */
static void expr_is_not_loopback(struct cv_nl_batch *b, unsigned char family)
{
	static const unsigned char net4 = 127;

	if (family == NFPROTO_IPV4) {
		expr_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 16, 1);
		expr_cmp(b, NFT_CMP_NEQ, &net4, 1);
	} else {
		expr_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 24, 16);
		expr_cmp(b, NFT_CMP_NEQ, &in6addr_loopback, 16);
	}
}

static void expr_tproxy(struct cv_nl_batch *b, unsigned char family, uint16_t port)
{
	const uint16_t port_be = htons(port);
	struct expr e = expr_begin(b, "immediate");

	cv_nl_attr_be32(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	nft_data(b, NFTA_IMMEDIATE_DATA, &port_be, sizeof(port_be));
	expr_end(b, e);
	e = expr_begin(b, "tproxy");
	cv_nl_attr_be32(b, NFTA_TPROXY_FAMILY, family);
	cv_nl_attr_be32(b, NFTA_TPROXY_REG_PORT, NFT_REG_1);
	expr_end(b, e);
}

/* protocol, destination not loopback, UDP only to port 53: assign to our socket on to_port. */
static void nft_rule(
	struct cv_nl_batch *b, unsigned char family, unsigned char protocol, uint16_t to_port)
{
	const uint16_t dns_be = htons(DNS_PORT);

	nft_message(b, NFT_MSG_NEWRULE, NLM_F_APPEND, family);
	cv_nl_attr_str(b, NFTA_RULE_TABLE, TABLE);
	cv_nl_attr_str(b, NFTA_RULE_CHAIN, CHAIN);
	const size_t list = cv_nl_nest(b, NFTA_RULE_EXPRESSIONS);
	expr_is_protocol(b, protocol);
	expr_is_not_loopback(b, family);
	if (protocol == IPPROTO_UDP) {
		expr_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
		expr_cmp(b, NFT_CMP_EQ, &dns_be, sizeof(dns_be));
	}
	expr_tproxy(b, family, to_port);
	cv_nl_nest_end(b, list);
}

/* The chain's policy stays accept: replies cross it too, on their way to the client's socket. */
static void nft_family(struct cv_nl_batch *b, unsigned char family)
{
	nft_message(b, NFT_MSG_NEWTABLE, 0, family);
	cv_nl_attr_str(b, NFTA_TABLE_NAME, TABLE);
	nft_message(b, NFT_MSG_NEWCHAIN, 0, family);
	cv_nl_attr_str(b, NFTA_CHAIN_TABLE, TABLE);
	cv_nl_attr_str(b, NFTA_CHAIN_NAME, CHAIN);
	const size_t hook = cv_nl_nest(b, NFTA_CHAIN_HOOK);
	cv_nl_attr_be32(b, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
	cv_nl_attr_be32(b, NFTA_HOOK_PRIORITY, (uint32_t)HOOK_PRIORITY);
	cv_nl_nest_end(b, hook);
	cv_nl_attr_str(b, NFTA_CHAIN_TYPE, "filter");
	nft_rule(b, family, IPPROTO_TCP, LISTEN_PORT);
	nft_rule(b, family, IPPROTO_UDP, DNS_PORT);
}

static cv_code rules_load(struct cv_err *err)
{
	CV_AUTO_FD int sock = -1;
	struct cv_nl_batch b;

	if (cv_nl_open(NETLINK_NETFILTER, &sock, err) != CV_OK)
		return err->code;
	cv_nl_init(&b);
	nft_batch_edge(&b, NFNL_MSG_BATCH_BEGIN);
	nft_family(&b, NFPROTO_IPV4);
	nft_family(&b, NFPROTO_IPV6);
	nft_batch_edge(&b, NFNL_MSG_BATCH_END);
	return cv_nl_send(sock, &b, "nf_tables rules with tproxy", err);
}

/* What a kernel says that has no such module, or may not load it: ENOENT without tproxy, EOPNOTSUPP
 * without nf_tables, EPROTONOSUPPORT without its netlink. */
static bool is_module_missing(const struct cv_err *err)
{
	return err->sys == ENOENT || err->sys == EOPNOTSUPP || err->sys == EPROTONOSUPPORT;
}

static cv_code rules_try(struct cv_err *err)
{
	struct cv_err why;

	if (rules_load(&why) == CV_OK)
		return CV_OK;
	*err = why;
	if (is_module_missing(&why)) {
		(void)cv_fail(err, CV_UNAVAILABLE, "%.*s; to enable: %s",
			CV_ERR_MSG_BYTES_MAX - (int)sizeof(CV_NETNS_REMEDY) - 16, why.msg,
			CV_NETNS_REMEDY);
		err->sys = why.sys;
	}
	return err->code;
}

cv_code cv_netns_setup(int proc, struct cv_netns_fds *ret, struct cv_err *err)
{
	struct cv_netns_fds fds = { -1, -1, -1, -1, -1 };

	if (lo_up(err) != CV_OK || addresses_and_routes(err) != CV_OK ||
		fast_open_off(proc, err) != CV_OK || sockets_open(&fds, err) != CV_OK ||
		rules_try(err) != CV_OK) {
		cv_netns_fds_close(&fds);
		return cv_wrap(err, "sandbox network");
	}
	*ret = fds;
	return CV_OK;
}
