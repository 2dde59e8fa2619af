/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink.c - netlink messages; see netlink.h
 */
#include "sys/netlink.h"

#include "base/assert.h"
#include "sys/fd.h"

#include <sys/socket.h>

#define REPLY_BYTES 16384 /* an acknowledgement repeats the message that it answers */

void cv_nl_init(struct cv_nl_batch *b)
{
	b->bytes = 0;
	b->msg = NULL;
	b->seq = b->ack_count = 0;
	b->is_overflown = false;
}

/* n zeroed bytes at the end, aligned as netlink wants, or NULL. */
static void *room(struct cv_nl_batch *b, size_t n)
{
	const size_t size = NLMSG_ALIGN(n);

	if (b->is_overflown || size > sizeof(b->buf) - b->bytes) {
		b->is_overflown = true;
		return NULL;
	}
	void *p = b->buf + b->bytes;
	memset(p, 0, size);
	b->bytes += size;
	if (b->msg)
		b->msg->nlmsg_len = (uint32_t)(b->buf + b->bytes - (char *)b->msg);
	return p;
}

void cv_nl_message(
	struct cv_nl_batch *b, uint16_t type, uint16_t flags, const void *head, size_t bytes)
{
	b->msg = NULL;
	struct nlmsghdr *m = room(b, sizeof(*m));
	if (!m)
		return;
	*m = (struct nlmsghdr){ .nlmsg_len = sizeof(*m),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | flags,
		.nlmsg_seq = ++b->seq };
	b->msg = m;
	if (flags & NLM_F_ACK)
		b->ack_count++;
	void *p = room(b, bytes);
	if (p)
		memcpy(p, head, bytes);
}

void cv_nl_attr(struct cv_nl_batch *b, uint16_t type, const void *data, size_t bytes)
{
	struct nlattr *a = room(b, NLA_HDRLEN + bytes);

	if (!a)
		return;
	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + bytes);
	if (bytes)
		memcpy((char *)a + NLA_HDRLEN, data, bytes);
}

void cv_nl_attr_str(struct cv_nl_batch *b, uint16_t type, const char *z)
{
	cv_nl_attr(b, type, z, strlen(z) + 1);
}

void cv_nl_attr_u32(struct cv_nl_batch *b, uint16_t type, uint32_t v)
{
	cv_nl_attr(b, type, &v, sizeof(v));
}

void cv_nl_attr_be32(struct cv_nl_batch *b, uint16_t type, uint32_t v)
{
	cv_nl_attr_u32(b, type, __builtin_bswap32(v));
}

size_t cv_nl_nest(struct cv_nl_batch *b, uint16_t type)
{
	const size_t mark = b->bytes;

	cv_nl_attr(b, type | NLA_F_NESTED, NULL, 0);
	return mark;
}

void cv_nl_nest_end(struct cv_nl_batch *b, size_t mark)
{
	if (b->is_overflown)
		return;
	struct nlattr *a = (struct nlattr *)(void *)(b->buf + mark);
	a->nla_len = (uint16_t)(b->bytes - mark);
}

cv_code cv_nl_open(int family, int *ret, struct cv_err *err)
{
	const int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);

	if (sock < 0)
		return cv_fail_errno(err, "netlink socket of family %d", family);
	*ret = sock;
	return CV_OK;
}

/* Counts the acknowledgements in one datagram; false at the first refusal, errno set. */
static bool acks_count(char *reply, size_t bytes, uint32_t *left)
{
	struct nlmsghdr *m = (struct nlmsghdr *)(void *)reply; /* the macros cast const away */

	for (; NLMSG_OK(m, bytes); m = NLMSG_NEXT(m, bytes)) {
		if (m->nlmsg_type != NLMSG_ERROR)
			continue;
		const struct nlmsgerr *e = NLMSG_DATA(m);
		if (e->error) {
			errno = -e->error;
			return false;
		}
		if (*left)
			--*left;
	}
	return true;
}

cv_code cv_nl_send(int sock, struct cv_nl_batch *b, const char *what, struct cv_err *err)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_BYTES];
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint32_t left = b->ack_count;

	cv_assert(!b->is_overflown);
	if (sendto(sock, b->buf, b->bytes, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return cv_fail_errno(err, "%s: send", what);
	while (left) {
		const ssize_t n = recv(sock, reply, sizeof(reply), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cv_fail_errno(err, "%s: receive", what);
		if (!acks_count(reply, (size_t)n, &left))
			return cv_fail_errno(err, "%s", what);
	}
	return CV_OK;
}
