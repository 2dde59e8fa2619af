/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns.h - a network namespace in which every address in the world is local
 *
 * Called once, inside a fresh network namespace, by the set-up code of a sandbox while it still
 * has CAP_NET_ADMIN there.  Afterwards each TCP connection, to any address and port of both
 * families, ends at one of the listeners, and each DNS query at one of the UDP sockets.  The
 * descriptors are meant to be passed out and served by a process on the host side.
 *
 * Sources: ip(7), ipv6(7), rtnetlink(7); Documentation/networking/tproxy.rst; net/netfilter/
 * nft_tproxy.c, of Linux 6.1.
 */
#pragma once
#include "base/err.h"

/* For a host whose kernel has no nf_tables loaded, and does not load it by itself. */
#define CV_NETNS_REMEDY      "modprobe -a nf_tables nft_tproxy"

#define CV_NETNS_SANDBOX_IP4 "10.200.0.2" /* source of the sandbox's connections */
#define CV_NETNS_SANDBOX_IP6 "fd00:200::2"
#define CV_NETNS_PROXY_IP4   "10.200.0.1" /* where programs find the explicit proxy and DNS */
#define CV_NETNS_PROXY_PORT  3128

struct cv_netns_fds {
	int tcp4, tcp6; /* listening, transparent: getsockname() is the original destination */
	int udp4, udp6; /* port 53, with IP_PKTINFO */
	int diag;       /* NETLINK_SOCK_DIAG, bound to this namespace for ever */
};

/* proc: a writable /proc, by descriptor because the caller's root may be on the move.
 * CV_SYSTEM with the name of the step that failed; nothing is half-usable then, and the namespace
 * must be thrown away. */
CV_MUST cv_code cv_netns_setup(int proc, struct cv_netns_fds *ret, struct cv_err *err);

void cv_netns_fds_close(struct cv_netns_fds *fds);
