/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: from inside, every destination ends at our listeners and nothing gets round them.
 * Method: real namespaces.  Each test forks a child that becomes an ordinary process of a sandbox
 * network (own user and network namespace, capabilities dropped) and probes; its exit status is
 * the number of the probe that failed.  Each probe is made with each interception.  A kernel that
 * lacks modules is one that answers as it would: by a seccomp filter, or by what loads the rules.
 */
#include "unit/test.h"

#include "sys/netns_rules.h"

#include <errno.h>

/* The rules of these are not to be had: bits by cv_interception. */
static unsigned without;
static int without_errno;
static cv_code rules_load_or_not(enum cv_interception how, struct cv_err *err)
{
	if (!(without & 1u << how))
		return cv_netns_rules_load(how, err);
	errno = without_errno;
	return cv_fail_errno(err, "nf_tables rules");
}
#define cv_netns_rules_load rules_load_or_not
#include "sys/netns.c"
#undef cv_netns_rules_load

#include "sys/caps.h"
#include "sys/sockdiag.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static unsigned geteuid_outside;
static enum cv_interception how; /* of the test that runs */
static const uint32_t ports[] = { 1, 22, 99, 700, 701, 5678, 65535 };
#define LISTENED (how == CV_INTERCEPTION_ANYIP ? 5678 : CV_NETNS_LISTEN_PORT)

static void file_write(const char *path, const char *text)
{
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(100);
}

/* Namespaces with one id, as a sandbox has them. */
static bool namespaces_enter(void)
{
	const unsigned uid = geteuid(), gid = getegid();
	char map[64];

	geteuid_outside = uid;
	if (unshare(CLONE_NEWUSER) < 0)
		return false;
	file_write("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "1000 %u 1", uid);
	file_write("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "1000 %u 1", gid);
	file_write("/proc/self/gid_map", map);
	return true;
}

/* Runs probe in a child inside; 0 when all its checks held. */
static int inside(int (*probe)(const struct cv_netns_fds *fds))
{
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct cv_netns_fds fds;
		struct cv_err err = { 0 };

		if (!namespaces_enter())
			_exit(77);
		const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

		const struct cv_netns_want want = { how, ports, CV_ARRAY_LEN(ports) };

		if (cv_netns_make(proc, &want, &fds, &err) != CV_OK || fds.how != how ||
			cv_caps_drop_all(&err) != CV_OK) {
			fprintf(stderr, "# %s\n", err.msg);
			_exit(99);
		}
		_exit(probe(&fds));
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_unavailable("no user namespaces for this user");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static struct sockaddr_in at4(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static struct sockaddr_in6 at6(const char *ip, uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	inet_pton(AF_INET6, ip, &a.sin6_addr);
	return a;
}

static bool is_there(int sock, uint16_t port)
{
	struct sockaddr_in6 a = { 0 };
	socklen_t n = sizeof(a);

	return getsockname(sock, (struct sockaddr *)&a, &n) == 0 && ntohs(a.sin6_port) == port;
}

/* The listener that a connection to this port must reach; -1: none. */
static int listener_of(const struct cv_netns_fds *fds, bool is_v6, uint16_t port)
{
	if (how != CV_INTERCEPTION_ANYIP || is_there(fds->tcp4, port))
		return is_v6 ? fds->tcp6 : fds->tcp4;
	for (uint32_t i = 0; i < fds->more_count; i++)
		if (is_there(fds->more[i].tcp4, port))
			return is_v6 ? fds->more[i].tcp6 : fds->more[i].tcp4;
	return -1;
}

/* Where an accepted connection was meant to go, as the proxy finds it. */
static bool destination(int got, bool is_v6, struct sockaddr_in6 *ret, socklen_t *n)
{
	return how == CV_INTERCEPTION_REDIRECT
		       ? getsockopt(got, is_v6 ? SOL_IPV6 : SOL_IP, 80, ret, n) == 0
		       : getsockname(got, (struct sockaddr *)ret, n) == 0;
}

/* Connects, accepts at the listener, and compares the destination that the listener sees. */
static bool arrives(int listener, const void *dst, socklen_t bytes)
{
	const struct sockaddr *sa = dst;
	CV_AUTO_FD int sock = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 seen = { 0 };
	socklen_t n = sizeof(seen);

	if (connect(sock, sa, bytes) < 0)
		return false;
	CV_AUTO_FD int got = accept(listener, NULL, NULL);
	if (got < 0 || !destination(got, sa->sa_family == AF_INET6, &seen, &n))
		return false;
	return seen.sin6_family == sa->sa_family && memcmp(&seen, dst, bytes < 28 ? 8 : 24) == 0;
}

static int probe_tcp(const struct cv_netns_fds *fds)
{
	static const struct {
		const char *ip;
		uint16_t port;
	} v4[] = { { "1.2.3.4", 5678 }, { "10.200.0.1", 3128 }, { "192.168.1.1", 1 },
		{ "8.8.8.8", 65535 }, { "169.254.169.254", 80 }, { "10.200.0.2", 22 } },
	  v6[] = { { "2001:db8::1", 99 }, { "fd00:ec2::254", 80 }, { "2606:4700::1111", 443 } };

	for (size_t i = 0; i < CV_ARRAY_LEN(v4); i++) {
		const struct sockaddr_in a = at4(v4[i].ip, v4[i].port);

		if (!arrives(listener_of(fds, false, v4[i].port), &a, sizeof(a)))
			return 1 + (int)i;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(v6); i++) {
		const struct sockaddr_in6 a = at6(v6[i].ip, v6[i].port);

		if (!arrives(listener_of(fds, true, v6[i].port), &a, sizeof(a)))
			return 20 + (int)i;
	}
	return 0;
}

/* A question to that server arrives; the answer comes from the server that was asked, or a client whose
 * socket is connected would not take it. */
static bool is_answered(int server, const struct sockaddr *to, socklen_t bytes)
{
	CV_AUTO_FD int client = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timeval soon = { .tv_sec = 2 };
	char buf[8], room[256];
	struct sockaddr_storage from;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room) };

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	if (connect(client, to, bytes) < 0 || send(client, "ask", 3, 0) != 3 ||
		recvmsg(server, &m, 0) != 3)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			info = (struct in_pktinfo){ .ipi_spec_dst = info.ipi_addr };
			memcpy(CMSG_DATA(c), &info, sizeof(info));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			info.ipi6_ifindex = 0;
			memcpy(CMSG_DATA(c), &info, sizeof(info));
		}
	iov.iov_len = 3;
	return sendmsg(server, &m, 0) == 3 && recv(client, buf, sizeof(buf), 0) == 3;
}

static int probe_dns(const struct cv_netns_fds *fds)
{
	const struct sockaddr_in a = at4("9.9.9.9", 53), own = at4("127.0.0.1", 53),
				 ours = at4("10.200.0.1", 53);
	const struct sockaddr_in6 b = at6("2620:fe::fe", 53), own6 = at6("::1", 53);

	if (!is_answered(fds->udp4, (const struct sockaddr *)&a, sizeof(a)))
		return 1;
	if (!is_answered(fds->udp6, (const struct sockaddr *)&b, sizeof(b)))
		return 2;
	if (!is_answered(fds->udp4, (const struct sockaddr *)&own, sizeof(own)) ||
		!is_answered(fds->udp4, (const struct sockaddr *)&ours, sizeof(ours)))
		return 3;
	return is_answered(fds->udp6, (const struct sockaddr *)&own6, sizeof(own6)) ? 0 : 4;
}

static int probe_n3_other_ways(const struct cv_netns_fds *fds)
{
	const struct sockaddr_in quic = at4("1.1.1.1", 443), web = at4("1.1.1.1", 80);
	CV_AUTO_FD int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CV_AUTO_FD int fast = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CV_AUTO_FD int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	CV_AUTO_FD int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	char byte = 0;

	(void)fds;
	if (connect(udp, (const struct sockaddr *)&quic, sizeof(quic)) < 0)
		return 1;
	(void)!send(udp, &byte, 1, 0); /* the refusal comes back as an ICMP error */
	if (recv(udp, &byte, 1, 0) != -1 || errno != ECONNREFUSED)
		return 2;
	if (sendto(fast, &byte, 1, MSG_FASTOPEN, (const struct sockaddr *)&web, sizeof(web)) !=
			-1 ||
		errno != EOPNOTSUPP)
		return 3;
	if (raw >= 0 || packet >= 0)
		return 4;
	return 0;
}

static int probe_loopback_is_ours(const struct cv_netns_fds *fds)
{
	const struct sockaddr_in here = at4("127.0.0.1", 8080), taken = at4("0.0.0.0", LISTENED);
	CV_AUTO_FD int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CV_AUTO_FD int thief = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;

	if (bind(server, (const struct sockaddr *)&here, sizeof(here)) < 0 || listen(server, 1) < 0)
		return 1;
	if (!arrives(server, &here, sizeof(here))) /* a server inside works, uninspected */
		return 2;
	setsockopt(thief, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(thief, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(thief, (const struct sockaddr *)&taken, sizeof(taken)) == 0)
		return 3;
	for (size_t i = 0; i < 3; i++) { /* nor beside us, on an address that is nearer */
		const struct sockaddr_in near = at4(
			((const char *[]){ "1.2.3.4", "10.200.0.2", "127.0.0.1" })[i], LISTENED);
		CV_AUTO_FD int beside = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		setsockopt(beside, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(beside, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (bind(beside, (const struct sockaddr *)&near, sizeof(near)) == 0)
			return 5;
	}
	/* a listener on a foreign address may be bound, and gets nothing; but with anyip, where nobody
	 * listens on the port */
	const struct sockaddr_in foreign = at4("1.2.3.4", 8443);
	CV_AUTO_FD int fake = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fake, (const struct sockaddr *)&foreign, sizeof(foreign)) == 0 &&
		listen(fake, 1) == 0 &&
		arrives(how == CV_INTERCEPTION_ANYIP ? fake : fds->tcp4, &foreign,
			sizeof(foreign)) != true)
		return 4;
	return accept(fake, NULL, NULL) >= 0 ? 6 : 0;
}

/* Straight to the listener of a rule, which is no connection of the rule's: its destination is 127/8. */
static int probe_listener_itself(const struct cv_netns_fds *fds)
{
	const struct sockaddr_in here = at4("127.0.0.1", LISTENED);
	const struct sockaddr_in6 here6 = at6("::1", LISTENED);

	if (!arrives(listener_of(fds, false, LISTENED), &here, sizeof(here)))
		return 1;
	return arrives(listener_of(fds, true, LISTENED), &here6, sizeof(here6)) ? 0 : 2;
}

/* Two connections from one port of the sandbox: each is found by it, to whatever address. */
static int probe_p4_one_source_port(const struct cv_netns_fds *fds)
{
	const struct sockaddr_in from = at4("10.200.0.2", 40000);
	const int one = 1;

	for (int i = 0; i < 8; i++) {
		char ip[16];
		snprintf(ip, sizeof(ip), "1.2.3.%d", i + 1);
		const struct sockaddr_in to = at4(ip, 700);
		const int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_in6 peer = { 0 };
		socklen_t n = sizeof(peer);

		setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(sock, (const struct sockaddr *)&from, sizeof(from)) < 0 ||
			connect(sock, (const struct sockaddr *)&to, sizeof(to)) < 0)
			return 1;
		const int got = accept(listener_of(fds, false, 700), (struct sockaddr *)&peer, &n);
		if (got < 0 || ntohs(peer.sin6_port) != 40000)
			return 2;
	}
	return 0;
}

/* The cookie that the lookup finds is the one that the connecting socket has. */
static int probe_cookie(const struct cv_netns_fds *fds)
{
	const struct sockaddr_in a4 = at4("1.2.3.4", 5678);
	const struct sockaddr_in6 a6 = at6("2001:db8::1", 99);
	const struct sockaddr *const dst[] = { (const struct sockaddr *)&a4,
		(const struct sockaddr *)&a6 };
	const socklen_t bytes[] = { sizeof(a4), sizeof(a6) };

	for (int i = 0; i < 2; i++) {
		CV_AUTO_FD int sock = socket(dst[i]->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct cv_sockdiag_end client, server;
		struct sockaddr_in6 name;
		uint64_t want = 0, got = 1;
		socklen_t n = sizeof(want);
		struct cv_err err;

		if (connect(sock, dst[i], bytes[i]) < 0)
			return 1;
		getsockopt(sock, SOL_SOCKET, SO_COOKIE, &want, &n);
		n = sizeof(name);
		getsockname(sock, (struct sockaddr *)&name, &n);
		if (!cv_ip_from_sockaddr(&name, n, &client.ip, &client.port) ||
			!cv_ip_from_sockaddr(dst[i], bytes[i], &server.ip, &server.port))
			return 2;
		if (cv_sockdiag_cookie(fds->diag, &client, &server, &got, &err) != CV_OK ||
			got != want)
			return 3 + i;
		server.port++;
		if (cv_sockdiag_cookie(fds->diag, &client, &server, &got, &err) != CV_NOT_FOUND)
			return 5 + i;
	}
	return 0;
}

/* An answer that a failed call left behind must not be taken for the next one's: it would give a
 * connection somebody else's identity. */
static int probe_p4_stale_answer(const struct cv_netns_fds *fds)
{
	struct cv_sockdiag_end client[2], server[2];
	struct cv_sockdiag_info info;
	uint64_t want[2];
	struct cv_err err;

	for (int i = 0; i < 2; i++) {
		const struct sockaddr_in to = { .sin_family = AF_INET,
			.sin_port = htons((uint16_t)(700 + i)),
			.sin_addr.s_addr = htonl(0x01020304) };
		const int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_in name;
		socklen_t n = sizeof(want[i]);

		if (connect(sock, (const struct sockaddr *)&to, sizeof(to)) < 0)
			return 1;
		getsockopt(sock, SOL_SOCKET, SO_COOKIE, &want[i], &n);
		n = sizeof(name);
		getsockname(sock, (struct sockaddr *)&name, &n);
		if (!cv_ip_from_sockaddr(&name, n, &client[i].ip, &client[i].port) ||
			!cv_ip_from_sockaddr(&to, sizeof(to), &server[i].ip, &server[i].port))
			return 2;
	}
	/* A question about the first connection whose answer nobody reads: number 0 is never ours. */
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} ask = { .head = { .nlmsg_len = sizeof(ask),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = AF_INET,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0u,
			.id = { .idiag_sport = htons(client[0].port),
				.idiag_dport = htons(server[0].port),
				.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } } };
	memcpy(ask.body.id.idiag_src, client[0].ip.b + 12, 4);
	memcpy(ask.body.id.idiag_dst, server[0].ip.b + 12, 4);
	if (send(fds->diag, &ask, sizeof(ask), 0) < 0)
		return 3;
	if (cv_sockdiag_find(fds->diag, &client[1], &server[1], &info, &err) != CV_OK)
		return 4;
	if (info.cookie != want[1] || info.cookie == want[0])
		return 5;
	return info.state == 1 && info.uid == 1000 && info.inode ? 0 : 6;
}

/* A kernel that finds nobody answers as one does that is asked in another namespace. */
static int probe_p4_lookup_is_tried(const struct cv_netns_fds *fds)
{
	struct cv_err err = { 0 };
	int elsewhere;

	if (cv_sockdiag_try(fds->diag, fds->tcp4, &err) != CV_OK ||
		cv_sockdiag_try(fds->diag, fds->tcp6, &err) != CV_OK)
		return 1;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
		cv_nl_open(NETLINK_SOCK_DIAG, &elsewhere, &err) != CV_OK)
		return 2;
	if (cv_sockdiag_try(elsewhere, fds->tcp4, &err) != CV_UNAVAILABLE ||
		!strstr(err.msg, "CONFIG_INET_TCP_DIAG"))
		return 3;
	/* Another listener is at that place: it is found, and is not the one. */
	struct sockaddr_in place = { 0 };
	socklen_t n = sizeof(place);
	const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (getsockname(fds->tcp4, (struct sockaddr *)&place, &n) < 0 ||
		bind(other, (const struct sockaddr *)&place, n) < 0 || listen(other, 1) < 0)
		return 4;
	if (cv_sockdiag_try(elsewhere, other, &err) != CV_OK)
		return 5;
	return cv_sockdiag_try(elsewhere, fds->tcp4, &err) == CV_UNAVAILABLE ? 0 : 6;
}

static int probe_rules_stand(const struct cv_netns_fds *fds)
{
	struct cv_err err;
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = 0 };
	CV_AUTO_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)fds;
	if (rules_load_or_not(CV_INTERCEPTION_TPROXY, &err) == CV_OK || err.sys != EPERM ||
		rules_load_or_not(CV_INTERCEPTION_REDIRECT, &err) == CV_OK || err.sys != EPERM)
		return 1;
	if (addresses_and_routes(&err) == CV_OK || err.sys != EPERM)
		return 2;
	if (ioctl(sock, SIOCSIFFLAGS, &req) == 0)
		return 3;
	/* sysctls ask for the host's uid, not for a capability: as the host's root only the
	 * read-only mount of /proc/sys in a whole sandbox keeps them */
	CV_AUTO_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (geteuid_outside && fast_open_off(proc, &err) == CV_OK)
		return 4;
	return 0;
}

/* ---- the choice ---- */

/* In a child: what a run gets that wants this; its variant, or 50 and the code. */
static int chosen(enum cv_interception wish, uint32_t port_count, char *message)
{
	static uint32_t many[CV_PLAN_PORTS_MAX + 1];
	int status, said[2];
	const ssize_t none = pipe(said);
	const pid_t pid = none < 0 ? -1 : fork();

	for (uint32_t i = 0; i < CV_ARRAY_LEN(many); i++)
		many[i] = 2000 + i;
	if (pid == 0) {
		const struct cv_netns_want want = { wish, many, port_count };
		struct cv_netns_fds fds;
		struct cv_err err = { 0 };

		if (!namespaces_enter())
			_exit(77);
		const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (cv_netns_make(proc, &want, &fds, &err) == CV_OK)
			_exit((int)fds.how);
		(void)!write(said[1], err.msg, strlen(err.msg));
		_exit(50 + (int)err.code);
	}
	close(said[1]);
	const ssize_t n = read(said[0], message, 1023);
	message[n > 0 ? n : 0] = '\0';
	close(said[0]);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_unavailable("no user namespaces for this user");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static void choice_is_the_best_there_is(void **state)
{
	const unsigned no_tproxy = 1u << CV_INTERCEPTION_TPROXY,
		       no_rules = no_tproxy | 1u << CV_INTERCEPTION_REDIRECT;
	char message[1024];

	(void)state;
	without_errno = ENOENT;
	assert_int_equal(chosen(CV_INTERCEPTION_AUTO, 2, message), CV_INTERCEPTION_TPROXY);
	without = no_tproxy;
	assert_int_equal(chosen(CV_INTERCEPTION_AUTO, 2, message), CV_INTERCEPTION_REDIRECT);
	/* more ports than anyip could take are nothing to the redirect */
	assert_int_equal(chosen(CV_INTERCEPTION_AUTO, CV_PLAN_PORTS_MAX + 1, message),
		CV_INTERCEPTION_REDIRECT);
	without = no_rules;
	assert_int_equal(
		chosen(CV_INTERCEPTION_AUTO, CV_PLAN_PORTS_MAX, message), CV_INTERCEPTION_ANYIP);
	without_errno = EPROTONOSUPPORT;
	assert_int_equal(chosen(CV_INTERCEPTION_AUTO, 2, message), CV_INTERCEPTION_ANYIP);
	without = 0;
}

static void choice_that_was_made_is_kept(void **state)
{
	char message[1024];

	(void)state;
	without_errno = EOPNOTSUPP;
	without = 1u << CV_INTERCEPTION_TPROXY | 1u << CV_INTERCEPTION_REDIRECT;
	assert_int_equal(chosen(CV_INTERCEPTION_TPROXY, 2, message), 50 + CV_UNAVAILABLE);
	assert_non_null(strstr(message, CV_NETNS_REMEDY));
	assert_int_equal(chosen(CV_INTERCEPTION_REDIRECT, 2, message), 50 + CV_UNAVAILABLE);
	assert_non_null(strstr(message, CV_NETNS_REMEDY_NAT));
	assert_int_equal(chosen(CV_INTERCEPTION_ANYIP, 2, message), CV_INTERCEPTION_ANYIP);
	without = 0;
	assert_int_equal(chosen(CV_INTERCEPTION_ANYIP, 2, message), CV_INTERCEPTION_ANYIP);
}

/* Anything but a missing module is a failure: a weaker network is not the answer to it. */
static void p13_other_failures_are_no_reason_for_less(void **state)
{
	static const int numbers[] = { EPERM, ENOMEM, EINVAL, ENOBUFS };
	char message[1024];

	(void)state;
	without = 1u << CV_INTERCEPTION_TPROXY;
	for (size_t i = 0; i < CV_ARRAY_LEN(numbers); i++) {
		without_errno = numbers[i];
		assert_int_equal(chosen(CV_INTERCEPTION_AUTO, 2, message), 50 + CV_SYSTEM);
	}
	without = 0;
}

static void p13_ports_that_cannot_all_be_listened_on(void **state)
{
	char message[1024];

	(void)state;
	without_errno = ENOENT;
	without = 1u << CV_INTERCEPTION_TPROXY | 1u << CV_INTERCEPTION_REDIRECT;
	assert_int_equal(
		chosen(CV_INTERCEPTION_AUTO, CV_PLAN_PORTS_MAX + 1, message), 50 + CV_LIMIT);
	assert_non_null(strstr(message, "port 2032,"));
	without = 0;
}

/* ---- the rules, byte for byte ---- */

static void rules_are_golden(void **state)
{
	static const char *const file[CV_INTERCEPTION_COUNT] = {
		[CV_INTERCEPTION_TPROXY] = "rules-tproxy.hex",
		[CV_INTERCEPTION_REDIRECT] = "rules-redirect.hex",
	};
	static char want[3 * CV_NL_BATCH_BYTES], have[3 * CV_NL_BATCH_BYTES];

	(void)state;
	for (int v = 0; v < CV_INTERCEPTION_COUNT; v++) {
		struct cv_nl_batch b;
		char path[1024];
		size_t n = 0;

		cv_nl_init(&b);
		cv_netns_rules_put(&b, (enum cv_interception)v);
		if (!file[v]) {
			assert_int_equal(b.bytes, 0);
			continue;
		}
		assert_false(b.is_overflown);
		assert_int_equal(b.ack_count, v == CV_INTERCEPTION_TPROXY ? 8 : 6);
		for (size_t i = 0; i < b.bytes; i++) /* 32 bytes in a line */
			n += (size_t)snprintf(have + n, sizeof(have) - n, "%02x%s",
				(unsigned char)b.buf[i],
				i % 32 == 31 || i + 1 == b.bytes ? "\n" : "");
		snprintf(path, sizeof(path), "%s/%s", getenv("CV_GOLDEN_DIR"), file[v]);
		if (getenv("CV_GOLDEN_WRITE")) {
			FILE *f = fopen(path, "w");

			assert_non_null(f);
			fputs(have, f);
			fclose(f);
		}
		FILE *f = fopen(path, "r");
		assert_non_null(f);
		want[fread(want, 1, sizeof(want) - 1, f)] = '\0';
		fclose(f);
		assert_string_equal(have, want);
	}
}

#define TEST(name, variant, probe)                  \
	static void variant##_##name(void **state)  \
	{                                           \
		(void)state;                        \
		how = CV_INTERCEPTION_##variant;    \
		assert_int_equal(inside(probe), 0); \
	}
#define TESTS(name, probe)          \
	TEST(name, TPROXY, probe)   \
	TEST(name, REDIRECT, probe) \
	TEST(name, ANYIP, probe)
TESTS(tcp_to_anywhere_arrives, probe_tcp)
TESTS(dns_to_anywhere_arrives, probe_dns)
TESTS(n3_other_ways_are_refused, probe_n3_other_ways)
TESTS(loopback_is_the_sandbox_own, probe_loopback_is_ours)
TESTS(n7_listener_itself_is_loopback, probe_listener_itself)
TESTS(accepted_connections_have_a_cookie, probe_cookie)
TESTS(p4_stale_answer_is_not_ours, probe_p4_stale_answer)
TESTS(p4_one_source_port, probe_p4_one_source_port)
TESTS(p4_lookup_is_tried, probe_p4_lookup_is_tried)
TESTS(rules_cannot_be_changed_from_inside, probe_rules_stand)

#define ROWS(name)                                                          \
	cmocka_unit_test(TPROXY_##name), cmocka_unit_test(REDIRECT_##name), \
		cmocka_unit_test(ANYIP_##name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(tcp_to_anywhere_arrives),
		ROWS(dns_to_anywhere_arrives),
		ROWS(n3_other_ways_are_refused),
		ROWS(loopback_is_the_sandbox_own),
		ROWS(n7_listener_itself_is_loopback),
		ROWS(accepted_connections_have_a_cookie),
		ROWS(p4_stale_answer_is_not_ours),
		ROWS(p4_one_source_port),
		ROWS(p4_lookup_is_tried),
		ROWS(rules_cannot_be_changed_from_inside),
		cmocka_unit_test(choice_is_the_best_there_is),
		cmocka_unit_test(choice_that_was_made_is_kept),
		cmocka_unit_test(p13_other_failures_are_no_reason_for_less),
		cmocka_unit_test(p13_ports_that_cannot_all_be_listened_on),
		cmocka_unit_test(rules_are_golden),
	};

	return cmocka_run_group_tests_name("sys/netns", tests, NULL, NULL);
}
