/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - from a name that policy allows to a connection
 *
 * The name is looked up, every address of the answer is checked, and one of the checked addresses
 * is dialled: nothing is looked up again in between, so a name that changes its mind (rebinding,
 * A6) changes nothing.  One address that may not be dialled refuses the whole answer.
 *
 * Before anything is dialled, a connection that is kept is looked for (idle.h): one to an address of
 * this look-up's answer.  A tunnel whose requests will be inspected does not even take it: it is known
 * what it needs when its first request has come and may pass (cv_dial_late), and until then there is
 * no connection.
 *
 * Where there is an upstream proxy, its addresses are dialled instead (forward.c).
 *
 * The event that allows is written between the check and the first packet to the destination.
 *
 * Addresses are raced (RFC 8305): IPv6 before IPv4 in turns, the next one CV_PROXY_STAGGER_MS after
 * the last or when one fails, without giving up those that are under way.  The first to connect
 * wins and the others are closed.  So a path that is black-holed costs a quarter of a second, one
 * that is slow is not lost, and one that is refused costs nothing.
 */
#include "proxy/h2.h"
#include "proxy/inside.h"
#include "proxy/postgres.h"
#include "proxy/tools.h"

#include "base/assert.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* IPv6, IPv4, IPv6, ... as far as there are both. */
static void addresses_order(struct cv_flow *f, const struct cv_addresses *a)
{
	size_t next[2] = { 0, 0 };
	bool want_v4 = false;

	f->addr_count = f->addr_next = 0;
	while (f->addr_count < a->n) {
		size_t *at = &next[want_v4];

		while (*at < a->n && a->ip[*at].is_v4 != want_v4)
			(*at)++;
		if (*at < a->n)
			f->addr[f->addr_count++] = a->ip[(*at)++];
		want_v4 = !want_v4;
	}
}

/* Nothing to dial, or nothing that may be dialled. */
static bool resolve_refuse(struct cv_proxy *p, struct cv_flow *f, enum cv_denial d,
	const char *word, struct cv_str reason)
{
	const struct cv_h1_request *request = f->is_tunnel ? NULL : &p->request;
	const struct cv_fact fact = {
		.action = d == CV_DENIAL_SSRF ? CV_AUDIT_ACTION_DENY : CV_AUDIT_ACTION_NONE,
		.activity = d == CV_DENIAL_SSRF ? CV_ACTIVITY_OPEN : CV_ACTIVITY_FAIL,
		.request = d == CV_DENIAL_SSRF ? request : NULL,
		.engine = "ssrf",
		.reason_code = cv_denial_code(d),
		.reason = reason,
		.status = f->is_transparent     ? 0
			  : d == CV_DENIAL_SSRF ? 403
						: 502,
	};
	const struct cv_denial_text t = { .request = request, .why = cv_str_of(word) };

	cv_decide_record(p, f, &fact);
	if (f->h2)
		cv_h2_up_fail(p, f, d, word);
	else if (f->is_transparent && !f->http.is_late)
		cv_flow_set_state(f, CV_FLOW_QUIET, p->loop.now_ms);
	else
		cv_deny(p, f, d, &t);
	return true;
}

/* The event of what may now leave. */
static bool allow_record(struct cv_proxy *p, struct cv_flow *f)
{
	static struct cv_path path; /* scratch */
	const struct cv_fact fact = { .action = CV_AUDIT_ACTION_ALLOW, .engine = "opa" };

	if (f->is_inner || f->http.is_late)
		return true; /* a stream's own event has said so; a request's own will */
	if (f->is_tunnel) {
		cv_decide_record(p, f, &fact);
		return true;
	}
	/* the head was decided on before the look-up; its path is made canonical again, to be named */
	const bool is_inspected = f->verdict.obligations & CV_OBLIGE_INSPECT;
	if (!is_inspected || cv_path_canonical(p->request.path, true, &path) != CV_PATH_OK)
		path.n = 0;
	cv_inside_record(p, f, &p->request, cv_path_str(&path));
	return true;
}

/* A plain request's head is still in the buffer: it is read again where it is needed. */
static void head_again(struct cv_proxy *p, struct cv_flow *f)
{
	size_t scanned = 0;

	if (f->is_tunnel)
		return;
	const enum cv_h1_rc rc = cv_h1_request_parse(
		cv_leg_text(&f->client), CV_H1_PROXY_HEAD_BYTES_MAX, &scanned, &p->request);
	cv_assert(rc == CV_H1_OK);
}

bool cv_resolve_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_addresses a;
	char reason[CV_HOST_BYTES_MAX + 192];

	if (cv_tools_is_server(p, f)) { /* on this host, and nothing to look up */
		head_again(p, f);
		f->addr_count = f->addr_next = 0;
		f->is_forwarded = false;
		(void)!cv_ip_parse(CV_STR("127.0.0.1"), &f->dialled);
		allow_record(p, f);
		cv_flow_set_state(f, CV_FLOW_HELD, p->loop.now_ms);
		return false;
	}
	if (!cv_resolver_get(&p->resolver, &f->host, f->port, &a))
		return false;
	head_again(p, f);
	if (a.n == 0) {
		const struct cv_str why = cv_arena_printf(&p->arena,
			"DNS resolution failed for %s:%u: %s", f->host.text, f->port, a.failure);
		return resolve_refuse(p, f, CV_DENIAL_UNREACHABLE, NULL, why);
	}
	const char *word = cv_decide_addresses(f, &a, reason, sizeof(reason));
	if (word)
		return resolve_refuse(p, f, CV_DENIAL_SSRF, word, cv_str_of(reason));
	if (cv_forward_wants(p, f, &a)) {
		const struct cv_authority *at = &p->forward.words->at;
		struct cv_addresses via;

		if (!cv_resolver_get(&p->resolver, &at->host, at->port, &via))
			return false;
		if (via.n == 0)
			return resolve_refuse(p, f, CV_DENIAL_UPSTREAM_PROXY,
				"its name can't be resolved",
				CV_STR("the upstream proxy's name can't be resolved"));
		addresses_order(f, &via);
		cv_forward_choose(f, &a);
	} else {
		addresses_order(f, &a);
		f->dialled = f->addr[0];
		f->is_forwarded = false;
	}
	allow_record(p, f);
	cv_flow_set_state(f, CV_FLOW_HELD, p->loop.now_ms);
	return false;
}

/* ---- connecting ---- */

static int attempt_open(struct cv_proxy *p, const struct cv_flow *f, const struct cv_ip *ip)
{
	const struct cv_watch w = { .kind = CV_WATCH_SERVER, .ref = cv_flow_ref(f) };
	union {
		struct sockaddr sa;
		struct sockaddr_in6 in6;
	} to;
	const uint16_t port = f->is_forwarded ? p->forward.words->at.port : f->port;
	const size_t n = cv_ip_to_sockaddr(ip, port, &to);
	const int on = 1;
	const int fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if ((connect(fd, &to.sa, (socklen_t)n) < 0 && errno != EINPROGRESS) ||
		cv_loop_add(&p->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, w, NULL) !=
			CV_OK) {
		close(fd);
		return -1;
	}
	return fd;
}

static void attempt_remove(struct cv_flow *f, unsigned i)
{
	close(f->attempt[i].fd);
	f->attempt_count--;
	memmove(&f->attempt[i], &f->attempt[i + 1], (f->attempt_count - i) * sizeof(f->attempt[0]));
}

void cv_dial_stop(struct cv_flow *f)
{
	while (f->attempt_count)
		attempt_remove(f, f->attempt_count - 1u);
}

/* One more address, in place of the oldest attempt where all are used; false when none is left. */
static bool attempt_next(struct cv_proxy *p, struct cv_flow *f)
{
	f->attempt_next_ms = INT64_MAX;
	while (f->addr_next < f->addr_count) {
		const uint8_t addr = f->addr_next++;
		if (f->attempt_count == CV_PROXY_ATTEMPTS_MAX)
			attempt_remove(f, 0);
		const int fd = attempt_open(p, f, &f->addr[addr]);

		if (fd < 0)
			continue;
		f->attempt[f->attempt_count++] =
			(struct cv_attempt){ .fd = fd, .addr = addr, .since_ms = p->loop.now_ms };
		if (f->addr_next < f->addr_count)
			f->attempt_next_ms = f->attempt_count < CV_PROXY_ATTEMPTS_MAX
						     ? p->loop.now_ms + CV_PROXY_STAGGER_MS
						     : f->attempt[0].since_ms + CV_PROXY_ATTEMPT_MS;
		return true;
	}
	return false;
}

/* What the kernel says of it: of several sockets with one watch, an event does not tell which. */
static enum cv_tls_step attempt_look(int fd, bool *ret_has_hangup)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 || info.tcpi_state == TCP_CLOSE)
		return CV_TLS_FAILED;
	if (info.tcpi_state == TCP_SYN_SENT || info.tcpi_state == TCP_SYN_RECV)
		return CV_TLS_WAIT;
	*ret_has_hangup = info.tcpi_state != TCP_ESTABLISHED; /* its edge is behind us */
	return CV_TLS_DONE;
}

/* Attempt i becomes the connection. */
static void attempt_win(struct cv_proxy *p, struct cv_flow *f, unsigned i, bool has_hangup)
{
	const struct cv_attempt won = f->attempt[i];

	f->attempt[i] = f->attempt[--f->attempt_count];
	cv_dial_stop(f);
	cv_leg_open(&f->server, &p->io, won.fd);
	f->server.can_read = f->server.can_write = true;
	f->server.has_hangup = has_hangup;
	if (!f->is_forwarded)
		f->dialled = f->addr[won.addr];
}

void cv_dial_fail(struct cv_proxy *p, struct cv_flow *f, unsigned denial, const char *why)
{
	const struct cv_denial_text t = { .why = cv_str_of(why) };
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_NONE,
		.activity = CV_ACTIVITY_FAIL,
		.reason_code = cv_denial_code((enum cv_denial)denial),
		.reason = f->is_forwarded ? cv_arena_printf(&p->arena, "upstream proxy: %s", why)
					  : t.why,
	};

	cv_decide_record(p, f, &fact);
	f->is_allowed &= f->http.is_late; /* nothing was opened, so nothing ends */
	if (f->h2)
		cv_h2_up_fail(p, f, denial, why);
	else if (f->is_transparent && !f->http.is_late)
		cv_flow_end(p, f, true);
	else
		cv_deny(p, f, (enum cv_denial)denial, &t);
}

static void none_connects(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->is_forwarded)
		cv_dial_fail(p, f, CV_DENIAL_UPSTREAM_PROXY, "it can't be connected to");
	else
		cv_dial_fail(p, f, CV_DENIAL_UNREACHABLE,
			"no address of the destination could be connected to");
}

void cv_dial_start(struct cv_proxy *p, struct cv_flow *f)
{
	cv_flow_set_state(f, CV_FLOW_DIAL, p->loop.now_ms);
	if (cv_tools_is_server(p, f)) {
		if (cv_tools_server_connect(p, f))
			cv_dial_done(p, f);
		else
			cv_dial_fail(p, f, CV_DENIAL_UNREACHABLE,
				"the broker of host tools can't be reached");
	} else if (cv_idle_take(p, f) || cv_idle_is_there(p, f)) {
		cv_dial_done(p, f);
	} else if (!(f->h2 && cv_h2_kept_take(p, f)) && !attempt_next(p, f)) {
		none_connects(p, f);
	}
	cv_proxy_queue(p, f);
}

void cv_dial_late(struct cv_proxy *p, struct cv_flow *f)
{
	cv_idle_put(p, f);
	cv_flow_drop_server(f);
	f->server = (struct cv_leg){ .fd = -1 };
	f->server_tls = f->is_tls ? CV_SERVER_TLS_LATER : CV_SERVER_PLAIN;
	f->http.is_late = true;
	cv_flow_set_state(f, CV_FLOW_RESOLVE, p->loop.now_ms);
	cv_proxy_queue(p, f);
}

void cv_dial_done(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->is_inner) { /* a stream's head waits in its buffer, decided */
		cv_flow_set_state(f, f->h2 ? CV_FLOW_H2_UP : CV_FLOW_HTTP, p->loop.now_ms);
		return;
	}
	if (f->http.is_late) {
		f->http.is_late = false;
		cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
		return;
	}
	if (!f->is_tunnel) {
		cv_http_start(f);
		f->http.is_decided = true;
		cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
		return;
	}
	if (!f->is_transparent)
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 200 Connection Established\r\n\r\n"));
	if ((f->verdict.obligations & (CV_OBLIGE_TCP | CV_OBLIGE_POSTGRES)) &&
		cv_middleware_tunnel_refuse(p, f))
		return;
	if (f->verdict.obligations & CV_OBLIGE_POSTGRES) {
		cv_postgres_start(p, f);
		return;
	}
	cv_flow_set_state(f, f->verdict.obligations & CV_OBLIGE_TCP ? CV_FLOW_RELAY : CV_FLOW_PEEK,
		p->loop.now_ms);
}

bool cv_dial_step(struct cv_proxy *p, struct cv_flow *f)
{
	bool has_hangup = false, has_failed = false;

	if (f->client.has_hangup && f->client.can_read && cv_leg_fill(&f->client) &&
		f->client.is_broken) {
		cv_flow_end(p, f, false);
		return false;
	}
	for (unsigned i = 0; i < f->attempt_count;) {
		switch (attempt_look(f->attempt[i].fd, &has_hangup)) {
		case CV_TLS_WAIT: i++; break;
		case CV_TLS_FAILED:
			attempt_remove(f, i);
			has_failed = true;
			break;
		case CV_TLS_DONE:
			attempt_win(p, f, i, has_hangup);
			if (f->is_forwarded)
				cv_forward_start(p, f);
			else
				cv_dial_done(p, f);
			return true;
		}
	}
	if (!has_failed && f->attempt_count && f->attempt_next_ms > p->loop.now_ms)
		return false;
	if (attempt_next(p, f) || f->attempt_count)
		return false;
	none_connects(p, f);
	return true;
}
