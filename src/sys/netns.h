/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns.h - a network namespace in which every address in the world is local
 *
 * Called once, by the set-up code of a sandbox while it still has CAP_NET_ADMIN in the user
 * namespace that will own the network.  Afterwards each TCP connection, to any address and port of
 * both families (with ANYIP: to any address and the ports that are known), ends at one of the
 * listeners, and each DNS query at one of the UDP sockets.  The descriptors are meant to be passed
 * out and served by a process on the host side.
 *
 * Sources: ip(7), ipv6(7), rtnetlink(7); Documentation/networking/tproxy.rst; net/netfilter/
 * nft_tproxy.c and nft_nat.c, of Linux 6.1.
 */
#pragma once
#include "base/err.h"
#include "plan/interception.h"
#include "plan/limits.h"

/* For a host whose kernel has no nf_tables loaded, and does not load it by itself. */
#define CV_NETNS_REMEDY      "modprobe -a nf_tables nft_tproxy"
#define CV_NETNS_REMEDY_NAT  "modprobe -a nf_tables nft_chain_nat nft_nat"

#define CV_NETNS_SANDBOX_IP4 "10.200.0.2" /* source of the sandbox's connections */
#define CV_NETNS_SANDBOX_IP6 "fd00:200::2"
#define CV_NETNS_PROXY_IP4   "10.200.0.1" /* where programs find the explicit proxy and DNS */
#define CV_NETNS_PROXY_PORT  3128

#define CV_NETNS_MORE_MAX    (CV_PLAN_PORTS_MAX + CV_ANYIP_ALWAYS - 1)

struct cv_netns_want {
	enum cv_interception how; /* AUTO: the first that this kernel has */
	const uint32_t *ports;    /* that a policy names, for ANYIP; each once */
	uint32_t port_count;
};

struct cv_netns_pair { /* of listening sockets */
	int tcp4, tcp6;
};

struct cv_netns_fds {
	enum cv_interception how; /* in force; never AUTO */
	int tcp4, tcp6;           /* listening */
	int udp4, udp6;           /* port 53, with IP_PKTINFO */
	int diag;                 /* NETLINK_SOCK_DIAG, bound to this namespace for ever */
	struct cv_netns_pair
		more[CV_NETNS_MORE_MAX]; /* ANYIP: as tcp4 and tcp6, one for each port */
	uint32_t more_count;
};

/* A new network namespace for the calling process, with the best interception there is; with a wish
 * other than AUTO that one, or none.  proc: a writable /proc, by descriptor because the caller's root
 * may be on the move.  CV_UNAVAILABLE: the kernel lacks what it takes; CV_LIMIT: only ANYIP is
 * left, and the ports are more than can be listened on; CV_SYSTEM with the name of the step that
 * failed.  Nothing is half-usable then, and the process must end. */
CV_MUST cv_code cv_netns_make(
	int proc, const struct cv_netns_want *want, struct cv_netns_fds *ret, struct cv_err *err);

void cv_netns_fds_close(struct cv_netns_fds *fds);
