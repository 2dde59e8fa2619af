/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockdiag.c - one exact lookup by addresses and ports; see sockdiag.h
 */
#include "sys/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 1024 /* one inet_diag_msg and the few attributes that come unasked */

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

/* A v4-mapped client is known to the kernel as IPv4. */
static void end_put(const struct cv_sockdiag_end *end, __be32 ip[4], __be16 *port)
{
	if (end->ip.is_v4)
		memcpy(ip, end->ip.b + 12, 4);
	else
		memcpy(ip, end->ip.b, 16);
	*port = htons(end->port);
}

/* One message with this number.  A call that failed between its request and its answer leaves that
 * answer in the queue; taken for the next one's, it would give a connection somebody else's
 * identity.  So older numbers are read past. */
static cv_code answer_receive(int diag, uint32_t seq, char buf[ANSWER_BYTES], struct cv_err *err)
{
	for (;;) {
		const ssize_t n = recv(diag, buf, ANSWER_BYTES, 0);
		struct nlmsghdr *m =
			(struct nlmsghdr *)(void *)buf; /* the macros cast const away */

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cv_fail_errno(err, "sock_diag: receive");
		if (!NLMSG_OK(m, (size_t)n))
			return cv_fail(err, CV_PROTO, "sock_diag: short answer");
		if (m->nlmsg_seq == seq)
			return CV_OK;
	}
}

static cv_code answer_read(struct nlmsghdr *m, const struct request *req,
	struct cv_sockdiag_info *ret, struct cv_err *err)
{
	const struct inet_diag_sockid *want = &req->body.id;

	if (m->nlmsg_type == NLMSG_ERROR && m->nlmsg_len >= NLMSG_LENGTH(sizeof(int))) {
		const struct nlmsgerr *e = NLMSG_DATA(m);

		if (e->error == -ENOENT)
			return cv_fail(err, CV_NOT_FOUND, "sock_diag: the client has gone");
		errno = -e->error;
		return cv_fail_errno(err, "sock_diag");
	}
	if (m->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		m->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
		return cv_fail(err, CV_PROTO, "sock_diag: unknown answer");
	const struct inet_diag_msg *d = NLMSG_DATA(m);
	/* The exact lookup falls back to a socket that listens, which has no peer. */
	if (d->id.idiag_sport != want->idiag_sport || d->id.idiag_dport != want->idiag_dport)
		return cv_fail(err, CV_NOT_FOUND, "sock_diag: the client has gone");
	*ret = (struct cv_sockdiag_info){
		.cookie = d->id.idiag_cookie[0] | (uint64_t)d->id.idiag_cookie[1] << 32,
		.inode = d->idiag_inode,
		.uid = d->idiag_uid,
		.state = d->idiag_state,
	};
	return CV_OK;
}

cv_code cv_sockdiag_find(int diag, const struct cv_sockdiag_end *client,
	const struct cv_sockdiag_end *dst, struct cv_sockdiag_info *ret, struct cv_err *err)
{
	static uint32_t last_seq; /* of this process; a descriptor has one user */
	_Alignas(struct nlmsghdr) char buf[ANSWER_BYTES];
	struct request req = {
		.head = { .nlmsg_len = sizeof(req),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = ++last_seq },
		.body = { .sdiag_family = client->ip.is_v4 ? AF_INET : AF_INET6,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0u,
			.id = { .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (client->ip.is_v4 != dst->ip.is_v4)
		return cv_fail(err, CV_INVALID, "sock_diag: two families in one connection");
	end_put(client, req.body.id.idiag_src, &req.body.id.idiag_sport);
	end_put(dst, req.body.id.idiag_dst, &req.body.id.idiag_dport);
	if (sendto(diag, &req, sizeof(req), 0, (const struct sockaddr *)&kernel, sizeof(kernel)) <
		0)
		return cv_fail_errno(err, "sock_diag: send");
	const cv_code code = answer_receive(diag, req.head.nlmsg_seq, buf, err);
	if (code != CV_OK)
		return code;
	return answer_read((struct nlmsghdr *)(void *)buf, &req, ret, err);
}

cv_code cv_sockdiag_cookie(int diag, const struct cv_sockdiag_end *client,
	const struct cv_sockdiag_end *dst, uint64_t *ret_cookie, struct cv_err *err)
{
	struct cv_sockdiag_info info;
	const cv_code code = cv_sockdiag_find(diag, client, dst, &info, err);

	if (code == CV_OK)
		*ret_cookie = info.cookie;
	return code;
}

/* A kernel without tcp_diag says of every socket what it says of one that is gone.  A listener of our
 * own is there, and the exact lookup falls back to listeners, which have no peer. */
cv_code cv_sockdiag_try(int diag, int listener, struct cv_err *err)
{
	struct sockaddr_storage sa;
	struct cv_sockdiag_end own, nobody;
	struct cv_sockdiag_info info;
	struct cv_err why;
	uint64_t cookie;
	socklen_t n = sizeof(sa), cookie_n = sizeof(cookie);

	if (getsockname(listener, (struct sockaddr *)&sa, &n) < 0 ||
		getsockopt(listener, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_n) < 0)
		return cv_fail_errno(err, "the listener's name");
	if (!cv_ip_from_sockaddr(&sa, n, &own.ip, &own.port))
		return cv_fail(err, CV_INVALID, "the listener is not of IPv4 or IPv6");
	nobody = (struct cv_sockdiag_end){ .ip = { .is_v4 = own.ip.is_v4 } };
	const cv_code code = cv_sockdiag_find(diag, &own, &nobody, &info, &why);
	if (code == CV_OK && info.cookie == cookie)
		return CV_OK;
	if (code == CV_OK || code == CV_NOT_FOUND)
		return cv_fail(err, CV_UNAVAILABLE,
			"the kernel finds no TCP socket by its addresses (CONFIG_INET_TCP_DIAG)");
	return cv_fail(err, CV_UNAVAILABLE, "%.*s", CV_ERR_MSG_BYTES_MAX - 1, why.msg);
}
