/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.c - see redirect.h
 *
 * Everybody on this host can connect, and every page in the browser can make it connect.  So what does not
 * have our state is answered and forgotten, and neither ends the wait nor holds it up: browsers open
 * connections ahead and say nothing on them.
 */
#include "client/redirect.h"

#include "sys/clock.h"
#include "sys/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16 /* a browser opens two or three; of more the oldest goes */

struct visitor {
	int fd; /* -1: nobody */
	int64_t since_ms;
	struct cv_buf head;
};

static const char head[] = "Content-Type: text/html; charset=utf-8\r\n"
			   "Content-Security-Policy: default-src 'none'\r\n"
			   "X-Content-Type-Options: nosniff\r\n"
			   "Referrer-Policy: no-referrer\r\n"
			   "Cache-Control: no-store\r\n"
			   "Connection: close\r\n";
static const char page_done[] = "<!doctype html><title>cove</title>"
				"<p>You are logged in. This page can be closed.";
static const char page_refused[] = "<!doctype html><title>cove</title>"
				   "<p>The log-in was refused. The command line says why.";
static const char page_other[] = "<!doctype html><title>cove</title><p>Nothing is here.";

int cl_redirect_listen(struct cl *c, unsigned *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(fd, CONNECTIONS_MAX) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		cl_die(c, "listen on 127.0.0.1: %s", strerror(errno));
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void visitor_drop(struct visitor *v)
{
	if (v->fd >= 0)
		close(v->fd);
	cv_buf_wipe(&v->head);
	v->fd = -1;
}

/* A page is less than what a socket takes at once. */
static void visitor_answer(struct visitor *v, const char *status, const char *page)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_buf_printf(&b, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, head,
		strlen(page), page);
	(void)!send(v->fd, cv_buf_str(&b).p, cv_buf_len(&b), MSG_NOSIGNAL | MSG_DONTWAIT);
	cv_buf_fini(&b);
	shutdown(v->fd, SHUT_WR);
	visitor_drop(v);
}

static void visitor_take(struct visitor *all, int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct visitor *v = &all[0];

	if (fd < 0)
		return;
	for (size_t i = 1; i < CONNECTIONS_MAX && v->fd >= 0; i++)
		if (all[i].fd < 0 || all[i].since_ms < v->since_ms)
			v = &all[i];
	visitor_drop(v);
	*v = (struct visitor){ .fd = fd, .since_ms = cv_clock_ms() };
	cv_buf_init(&v->head, CL_REDIRECT_BYTES_MAX);
}

static bool same(struct cv_str a, struct cv_str b)
{
	unsigned char differs = a.n != b.n;

	for (size_t i = 0; i < a.n && i < b.n; i++)
		differs |= (unsigned char)(a.p[i] ^ b.p[i]);
	return !differs;
}

/* True: it is the redirect that is waited for. */
static bool visitor_read(
	struct cl *c, struct visitor *v, struct cv_str state, struct cl_redirect *ret)
{
	char *room = cv_buf_reserve(&v->head, 4096);
	const ssize_t n = room ? recv(v->fd, room, 4096, 0) : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		visitor_drop(v);
		return false;
	}
	cv_buf_commit(&v->head, (size_t)n);
	const enum cl_redirect_kind kind = cl_redirect_read(cv_buf_str(&v->head), &c->arena, ret);
	if (kind == CL_REDIRECT_PART)
		return false;
	if (kind == CL_REDIRECT_OTHER || !same(ret->state, state)) {
		visitor_answer(v, "404 Not Found", page_other);
		return false;
	}
	if (ret->code.n)
		visitor_answer(v, "200 OK", page_done);
	else
		visitor_answer(v, "400 Bad Request", page_refused);
	return true;
}

bool cl_redirect_wait(
	struct cl *c, int listener, struct cv_str state, int64_t until_ms, struct cl_redirect *ret)
{
	struct visitor v[CONNECTIONS_MAX];
	bool is_there = false;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		v[i] = (struct visitor){ .fd = -1 };
	while (!is_there && cv_clock_ms() < until_ms) {
		struct pollfd p[CONNECTIONS_MAX + 1] = { { .fd = listener, .events = POLLIN } };

		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			p[i + 1] = (struct pollfd){ .fd = v[i].fd, .events = POLLIN };
		if (poll(p, CONNECTIONS_MAX + 1, (int)(until_ms - cv_clock_ms()) + 1) <= 0)
			continue;
		for (size_t i = 0; i < CONNECTIONS_MAX && !is_there; i++)
			if (p[i + 1].revents)
				is_there = visitor_read(c, &v[i], state, ret);
		if (p[0].revents && !is_there)
			visitor_take(v, listener);
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		visitor_drop(&v[i]);
	return is_there;
}
