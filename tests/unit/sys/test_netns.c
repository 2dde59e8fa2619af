/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: from inside, every destination ends at our listeners and nothing gets round them.
 * Method: real namespaces.  Each test forks a child that becomes an ordinary process of a sandbox
 * network (own user and network namespace, capabilities dropped) and probes; its exit status is
 * the number of the probe that failed.
 */
#include "unit/test.h"

#include "sys/netns.c"

#include "sys/caps.h"
#include "sys/sockdiag.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static unsigned geteuid_outside;

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
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
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

		if (cv_netns_setup(proc, &fds, &err) != CV_OK || cv_caps_drop_all(&err) != CV_OK) {
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
	if (got < 0 || getsockname(got, (struct sockaddr *)&seen, &n) < 0)
		return false;
	return n == bytes && memcmp(&seen, dst, bytes < 28 ? 8 : 24) == 0;
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

		if (!arrives(fds->tcp4, &a, sizeof(a)))
			return 1 + (int)i;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(v6); i++) {
		const struct sockaddr_in6 a = at6(v6[i].ip, v6[i].port);

		if (!arrives(fds->tcp6, &a, sizeof(a)))
			return 20 + (int)i;
	}
	return 0;
}

static int probe_dns(const struct cv_netns_fds *fds)
{
	CV_AUTO_FD int v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CV_AUTO_FD int v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in a = at4("9.9.9.9", 53);
	const struct sockaddr_in6 b = at6("2620:fe::fe", 53);
	char buf[8];

	if (sendto(v4, "four", 4, 0, (const struct sockaddr *)&a, sizeof(a)) != 4 ||
		recv(fds->udp4, buf, sizeof(buf), 0) != 4)
		return 1;
	if (sendto(v6, "six", 3, 0, (const struct sockaddr *)&b, sizeof(b)) != 3 ||
		recv(fds->udp6, buf, sizeof(buf), 0) != 3)
		return 2;
	return 0;
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
	const struct sockaddr_in here = at4("127.0.0.1", 8080), taken = at4("0.0.0.0", LISTEN_PORT);
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
	/* a listener on a foreign address may be bound, and gets nothing */
	const struct sockaddr_in foreign = at4("1.2.3.4", 8443);
	CV_AUTO_FD int fake = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fake, (const struct sockaddr *)&foreign, sizeof(foreign)) == 0 &&
		listen(fake, 1) == 0 &&
		(!arrives(fds->tcp4, &foreign, sizeof(foreign)) || accept(fake, NULL, NULL) >= 0))
		return 4;
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

static int probe_rules_stand(const struct cv_netns_fds *fds)
{
	struct cv_err err;
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = 0 };
	CV_AUTO_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)fds;
	if (rules_load(&err) == CV_OK || err.sys != EPERM)
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

#define TEST(name, probe)                           \
	static void name(void **state)              \
	{                                           \
		(void)state;                        \
		assert_int_equal(inside(probe), 0); \
	}
TEST(tcp_to_anywhere_arrives, probe_tcp)
TEST(dns_to_anywhere_arrives, probe_dns)
TEST(n3_other_ways_are_refused, probe_n3_other_ways)
TEST(loopback_is_the_sandbox_own, probe_loopback_is_ours)
TEST(accepted_connections_have_a_cookie, probe_cookie)
TEST(p4_stale_answer_is_not_ours, probe_p4_stale_answer)
TEST(rules_cannot_be_changed_from_inside, probe_rules_stand)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_to_anywhere_arrives),
		cmocka_unit_test(dns_to_anywhere_arrives),
		cmocka_unit_test(n3_other_ways_are_refused),
		cmocka_unit_test(loopback_is_the_sandbox_own),
		cmocka_unit_test(accepted_connections_have_a_cookie),
		cmocka_unit_test(p4_stale_answer_is_not_ours),
		cmocka_unit_test(rules_cannot_be_changed_from_inside),
	};

	return cmocka_run_group_tests_name("sys/netns", tests, NULL, NULL);
}
