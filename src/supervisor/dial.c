/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - connections to servers inside the sandbox, for the gateway
 *
 *     DIAL --> SOCKET of cove-init --> connect 127.0.0.1, then ::1 --> DIALLED
 *
 * A socket belongs to the network in which it was made: so cove-init makes it and we connect it, to
 * an address of the loopback and no other.  Nobody enters a namespace, no process is made, and
 * nobody waits: the connection is made while the loop does other things.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct dial {
	bool is_used, is_second; /* second: ::1 */
	uint32_t channel, tag;
	uint16_t port;
	int fd; /* -1: cove-init was asked for it */
	int64_t until_ms;
};

cv_code dial_init(struct supervisor *s, struct cv_err *err)
{
	s->service.dials = calloc(SUP_DIALS_MAX, sizeof(s->service.dials[0]));
	s->service.dial_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!s->service.dials)
		return cv_fail(err, CV_LIMIT, "no memory for connections");
	return s->service.dial_epoll < 0 ? cv_fail_errno(err, "epoll") : CV_OK;
}

/* Taken out by name: cove-init may have a copy of it yet, and then closing ours takes out nothing. */
static void let_go(struct supervisor *s, struct dial *d)
{
	if (d->fd < 0)
		return;
	epoll_ctl(s->service.dial_epoll, EPOLL_CTL_DEL, d->fd, NULL);
	close(d->fd);
	d->fd = -1;
}

static void free_it(struct supervisor *s, struct dial *d)
{
	let_go(s, d);
	*d = (struct dial){ .fd = -1 };
	s->service.dial_count--;
}

static void refuse(struct supervisor *s, uint32_t channel, int error)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u32(&b, channel);
	cv_ipc_put_u32(&b, (uint32_t)error);
	service_tell(s, CV_GATEWAY_REPLY_NOT_DIALLED, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

static void give_up(struct supervisor *s, struct dial *d, int error)
{
	refuse(s, d->channel, error);
	free_it(s, d);
}

static void ask(struct supervisor *s, struct dial *d)
{
	struct cv_err err;

	d->tag = ++s->service.dial_tag;
	if (inside_socket(s, d->tag, d->is_second ? AF_INET6 : AF_INET, &err) != CV_OK)
		give_up(s, d, EAGAIN);
}

void dial_open(struct supervisor *s, uint32_t channel, uint32_t port)
{
	if (!s->service.is_ready || s->service.dial_count == SUP_DIALS_MAX) {
		refuse(s, channel, EAGAIN);
		return;
	}
	if (port == 0 || port > UINT16_MAX) {
		refuse(s, channel, EINVAL);
		return;
	}
	for (size_t i = 0; i < SUP_DIALS_MAX; i++) {
		struct dial *d = &s->service.dials[i];

		if (d->is_used)
			continue;
		*d = (struct dial){ .is_used = true,
			.channel = channel,
			.port = (uint16_t)port,
			.fd = -1,
			.until_ms = cv_clock_ms() + SUP_DIAL_MS };
		s->service.dial_count++;
		ask(s, d);
		return;
	}
}

static void dialled(struct supervisor *s, struct dial *d)
{
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, d->channel);
	service_tell(s, CV_GATEWAY_REPLY_DIALLED, cv_buf_str(&b), &d->fd, 1);
	cv_buf_fini(&b);
	free_it(s, d);
}

static void failed(struct supervisor *s, struct dial *d, int error)
{
	if (d->is_second) {
		give_up(s, d, error);
		return;
	}
	let_go(s, d);
	d->is_second = true;
	ask(s, d);
}

static int loopback_connect(const struct dial *d)
{
	const struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(d->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(d->port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };

	return d->is_second ? connect(d->fd, (const struct sockaddr *)&v6, sizeof(v6))
			    : connect(d->fd, (const struct sockaddr *)&v4, sizeof(v4));
}

/* What comes from inside is looked at: it must be what was asked for. */
static bool is_tcp(int fd, bool is_six)
{
	int domain = 0, type = 0, protocol = 0;
	socklen_t n = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 &&
	       domain == (is_six ? AF_INET6 : AF_INET) && type == SOCK_STREAM &&
	       protocol == IPPROTO_TCP;
}

void dial_socket(struct supervisor *s, uint32_t tag, int fd)
{
	struct dial *d = NULL;

	for (size_t i = 0; i < SUP_DIALS_MAX && !d; i++)
		if (s->service.dials[i].is_used && s->service.dials[i].fd < 0 &&
			s->service.dials[i].tag == tag)
			d = &s->service.dials[i];
	if (!d || !is_tcp(fd, d->is_second)) {
		close(fd);
		if (d)
			give_up(s, d, EAFNOSUPPORT);
		return;
	}
	struct epoll_event e = { .events = EPOLLOUT, .data.ptr = d };
	d->fd = fd;
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	if (loopback_connect(d) == 0)
		dialled(s, d);
	else if (errno != EINPROGRESS)
		failed(s, d, errno);
	else if (epoll_ctl(s->service.dial_epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		give_up(s, d, errno);
}

void dial_serve(struct supervisor *s)
{
	struct epoll_event e[SUP_DIALS_MAX];
	const int n = epoll_wait(s->service.dial_epoll, e, CV_ARRAY_LEN(e), 0);

	for (int i = 0; i < n; i++) {
		struct dial *d = e[i].data.ptr;
		int error = 0;
		socklen_t bytes = sizeof(error);

		if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
			error = errno;
		if (error)
			failed(s, d, error);
		else
			dialled(s, d);
	}
}

int64_t dial_due_ms(const struct supervisor *s)
{
	int64_t first = 0;

	for (size_t i = 0; s->service.dial_count && i < SUP_DIALS_MAX; i++) {
		const struct dial *d = &s->service.dials[i];

		if (d->is_used && (!first || d->until_ms < first))
			first = d->until_ms;
	}
	return first;
}

void dial_due(struct supervisor *s)
{
	for (size_t i = 0; s->service.dial_count && i < SUP_DIALS_MAX; i++)
		if (s->service.dials[i].is_used && cv_clock_ms() >= s->service.dials[i].until_ms)
			give_up(s, &s->service.dials[i], ETIMEDOUT);
}

void dial_drop(struct supervisor *s)
{
	for (size_t i = 0; s->service.dial_count && i < SUP_DIALS_MAX; i++)
		if (s->service.dials[i].is_used)
			free_it(s, &s->service.dials[i]);
}
