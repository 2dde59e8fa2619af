/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - one datagram is one message; see frame.h
 *
 * On the wire: u32 type, u32 number of body bytes (little-endian), the body.  The length is
 * redundant on a SEQPACKET socket and is there to be compared: a datagram that was cut, or that
 * two of our versions understand differently, is refused instead of half-read.
 */
#include "ipc/frame.h"

#include "base/assert.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define HEAD_BYTES 8

void cv_ipc_msg_fini(struct cv_ipc_msg *m)
{
	for (size_t i = 0; i < m->fd_count; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->fd_count = 0;
}

cv_code cv_ipc_pair(int ret[2], struct cv_err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return cv_fail_errno(err, "socketpair");
	return CV_OK;
}

static void le32_put(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static uint32_t le32_get(const unsigned char *p)
{
	uint32_t v = 0;

	for (int i = 3; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static cv_code message_send(int sock, uint32_t type, struct cv_str body, const int *fds,
	size_t fd_count, int flags, struct cv_err *err)
{
	unsigned char head[HEAD_BYTES];
	struct iovec iov[] = { { head, sizeof(head) }, { (void *)(uintptr_t)body.p, body.n } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = body.n ? 2 : 1 };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(CV_IPC_FDS_MAX * sizeof(int))];
	} control = { 0 };
	ssize_t n;

	cv_assert(body.n <= CV_IPC_BODY_BYTES_MAX && fd_count <= CV_IPC_FDS_MAX);
	le32_put(head, type);
	le32_put(head + 4, (uint32_t)body.n);
	if (fd_count) {
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return cv_fail(err, CV_UNAVAILABLE, "send message %u: the link is full", type);
	if (n < 0)
		return cv_fail_errno(err, "send message %u", type);
	return CV_OK;
}

cv_code cv_ipc_send(int sock, uint32_t type, struct cv_str body, const int *fds, size_t fd_count,
	struct cv_err *err)
{
	return message_send(sock, type, body, fds, fd_count, 0, err);
}

cv_code cv_ipc_send_now(int sock, uint32_t type, struct cv_str body, struct cv_err *err)
{
	return message_send(sock, type, body, NULL, 0, MSG_DONTWAIT, err);
}

/* Takes the descriptors out of msg; false when some were lost or more came than fit. */
static bool fds_take(struct msghdr *msg, struct cv_ipc_msg *ret)
{
	bool is_whole = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (ret->fd_count < CV_IPC_FDS_MAX) {
				ret->fds[ret->fd_count++] = fd;
			} else {
				close(fd);
				is_whole = false;
			}
		}
	}
	return is_whole;
}

const char *cv_ipc_refusal(struct cv_ipc_link *link, uint32_t type, size_t bytes, size_t fd_count)
{
	cv_assert(link->rule_count <= 32 && link->state < 32);
	if (type >= link->rule_count)
		return "unknown message";
	const struct cv_ipc_rule *r = &link->rules[type];
	if (!(r->states & (1u << link->state)))
		return "message not allowed in this state";
	if ((r->flags & CV_IPC_ONCE) && (link->seen & (1u << type)))
		return "message repeated";
	if (bytes > r->bytes_max)
		return "message too large";
	if (fd_count != r->fds)
		return "wrong number of descriptors";
	link->seen |= 1u << type;
	return NULL;
}

cv_code cv_ipc_recv(
	int sock, struct cv_ipc_link *link, char *buf, struct cv_ipc_msg *ret, struct cv_err *err)
{
	struct cv_ipc_msg m = { 0 };
	struct iovec iov = { buf, HEAD_BYTES + CV_IPC_BODY_BYTES_MAX };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(CV_IPC_FDS_MAX * sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room) };
	const char *why = NULL;
	ssize_t n = -1;

	/* A peer that ends without having read all resets the link; that is told once, before what the
	 * peer still said, which may be why it ends. */
	for (int resets = 0; resets < 2; resets += n < 0 && errno == ECONNRESET) {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
		if (n >= 0 || (errno != EINTR && errno != ECONNRESET))
			break;
	}
	if (n < 0 && errno == EAGAIN)
		return cv_fail(err, CV_UNAVAILABLE, "no message");
	if (n < 0 && errno != ECONNRESET)
		return cv_fail_errno(err, "receive message");
	if (n <= 0)
		return cv_fail(err, CV_NOT_FOUND, "the peer closed the link");

	const unsigned char *head = (const unsigned char *)buf;
	if (!fds_take(&msg, &m))
		why = "descriptors lost";
	else if ((msg.msg_flags & MSG_TRUNC) || n < HEAD_BYTES ||
		 le32_get(head + 4) != (size_t)n - HEAD_BYTES)
		why = "message cut";
	else
		why = cv_ipc_refusal(link, le32_get(head), (size_t)n - HEAD_BYTES, m.fd_count);
	if (why) {
		const uint32_t type = n >= HEAD_BYTES ? le32_get(head) : link->rule_count;

		cv_ipc_msg_fini(&m);
		return cv_fail(err, CV_PROTO, "message %u (%s) refused: %s", type,
			type < link->rule_count ? link->rules[type].name : "?", why);
	}
	m.type = le32_get(head);
	m.body = (struct cv_str){ buf + HEAD_BYTES, (size_t)n - HEAD_BYTES };
	*ret = m;
	return CV_OK;
}

bool cv_ipc_put_u32(struct cv_buf *b, uint32_t v)
{
	unsigned char p[4];

	le32_put(p, v);
	return cv_buf_put(b, (struct cv_str){ (const char *)p, sizeof(p) });
}

bool cv_ipc_put_u64(struct cv_buf *b, uint64_t v)
{
	return cv_ipc_put_u32(b, (uint32_t)v) && cv_ipc_put_u32(b, (uint32_t)(v >> 32));
}

bool cv_ipc_put_str(struct cv_buf *b, struct cv_str s)
{
	if (s.n > UINT32_MAX) {
		b->is_overflown = true;
		return false;
	}
	return cv_ipc_put_u32(b, (uint32_t)s.n) && cv_buf_put(b, s);
}

/* The next n bytes, or NULL when the body is too short; then r is bad from here on. */
static const char *reader_take(struct cv_ipc_reader *r, size_t n)
{
	if (r->is_bad || r->rest.n < n) {
		r->is_bad = true;
		return NULL;
	}
	const char *p = r->rest.p;
	r->rest = cv_str_slice(r->rest, n, r->rest.n);
	return p;
}

uint32_t cv_ipc_get_u32(struct cv_ipc_reader *r)
{
	const char *p = reader_take(r, 4);

	return p ? le32_get((const unsigned char *)p) : 0;
}

uint64_t cv_ipc_get_u64(struct cv_ipc_reader *r)
{
	const uint64_t low = cv_ipc_get_u32(r);

	return low | (uint64_t)cv_ipc_get_u32(r) << 32;
}

struct cv_str cv_ipc_get_str(struct cv_ipc_reader *r)
{
	const uint32_t n = cv_ipc_get_u32(r);
	const char *p = reader_take(r, n);

	return p ? (struct cv_str){ p, n } : CV_STR_NONE;
}

bool cv_ipc_reader_is_done(const struct cv_ipc_reader *r)
{
	return !r->is_bad && r->rest.n == 0;
}

cv_code cv_ipc_memfd(const char *name, struct cv_str text, int *ret_fd, struct cv_err *err)
{
	CV_AUTO_FD int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return cv_fail_errno(err, "memfd %s", name);
	for (size_t done = 0; done < text.n;) {
		const ssize_t n = write(fd, text.p + done, text.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cv_fail_errno(err, "write memfd %s", name);
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return cv_fail_errno(err, "seal memfd %s", name);
	*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

cv_code cv_ipc_send_text(
	int sock, uint32_t type, const char *name, struct cv_str text, struct cv_err *err)
{
	CV_AUTO_FD int fd = -1;
	const cv_code code = cv_ipc_memfd(name, text, &fd, err);

	return code == CV_OK ? cv_ipc_send(sock, type, CV_STR_NONE, &fd, 1, err) : code;
}

cv_code cv_ipc_fd_read_all(int fd, size_t max, char **ret, size_t *ret_bytes, struct cv_err *err)
{
	struct stat st;
	size_t done = 0;

	if (fstat(fd, &st) < 0)
		return cv_fail_errno(err, "stat");
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_INVALID, "not a regular file");
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return cv_fail(err, CV_LIMIT, "larger than %zu bytes", max);
	const size_t size = (size_t)st.st_size;
	char *p = malloc(size + 1);
	if (!p)
		return cv_fail(err, CV_LIMIT, "no memory for %zu bytes", size);
	while (done < size) {
		const ssize_t n = pread(fd, p + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(p);
			return cv_fail_errno(err, "read");
		}
		if (n == 0)
			break; /* it shrank under us: what there was */
		done += (size_t)n;
	}
	p[done] = '\0';
	*ret = p;
	*ret_bytes = done;
	return CV_OK;
}
