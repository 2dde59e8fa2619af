/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.c - see redirect.h
 *
 * Everybody on this host can connect, and every page in the browser can make it connect.  So what is
 * not what is waited for is answered and forgotten, and neither ends the wait nor holds it up:
 * browsers open connections ahead and say nothing on them.
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
	struct cv_buf sent;
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
	cv_buf_wipe(&v->sent);
	v->fd = -1;
}

/* An answer is less than what a socket takes at once. */
static void visitor_answer(struct visitor *v, struct cv_str answer)
{
	(void)!send(v->fd, answer.p, answer.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(v->fd, SHUT_WR);
	visitor_drop(v);
}

static void visitor_take(struct visitor *all, int listener, size_t bytes_max)
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
	cv_buf_init(&v->sent, bytes_max);
}

/* True: it is what is waited for. */
static bool visitor_read(struct visitor *v, cl_visit_fn *take, void *arg)
{
	char *room = cv_buf_reserve(&v->sent, 4096);
	const ssize_t n = room ? recv(v->fd, room, 4096, 0) : 0;
	struct cv_buf answer;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		visitor_drop(v);
		return false;
	}
	cv_buf_commit(&v->sent, (size_t)n);
	cv_buf_init(&answer, CL_VISIT_ANSWER_BYTES_MAX);
	const enum cl_visit visit = take(cv_buf_str(&v->sent), &answer, arg);
	if (visit != CL_VISIT_PART)
		visitor_answer(v, cv_buf_str(&answer));
	cv_buf_fini(&answer);
	return visit == CL_VISIT_DONE;
}

bool cl_visit_wait(int listener, size_t bytes_max, int64_t until_ms, cl_visit_fn *take, void *arg)
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
				is_there = visitor_read(&v[i], take, arg);
		if (p[0].revents && !is_there)
			visitor_take(v, listener, bytes_max);
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		visitor_drop(&v[i]);
	return is_there;
}

/* ---- the redirect of an issuer ---- */

struct wait {
	struct cl *c;
	struct cv_str state;
	struct cl_redirect *ret;
};

static void page_put(struct cv_buf *b, const char *status, const char *page)
{
	cv_buf_printf(b, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, head,
		strlen(page), page);
}

static enum cl_visit redirect_take(struct cv_str sent, struct cv_buf *answer, void *arg)
{
	struct wait *w = arg;
	const enum cl_redirect_kind kind = cl_redirect_read(sent, &w->c->arena, w->ret);

	if (kind == CL_REDIRECT_PART)
		return CL_VISIT_PART;
	if (kind == CL_REDIRECT_OTHER || !cl_same(w->ret->state, w->state)) {
		page_put(answer, "404 Not Found", page_other);
		return CL_VISIT_OTHER;
	}
	if (w->ret->code.n)
		page_put(answer, "200 OK", page_done);
	else
		page_put(answer, "400 Bad Request", page_refused);
	return CL_VISIT_DONE;
}

bool cl_redirect_wait(
	struct cl *c, int listener, struct cv_str state, int64_t until_ms, struct cl_redirect *ret)
{
	struct wait w = { c, state, ret };

	return cl_visit_wait(listener, CL_REDIRECT_BYTES_MAX, until_ms, redirect_take, &w);
}
