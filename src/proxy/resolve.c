/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.c - see resolve.h
 *
 * One table holds both what is known and what is being asked, so that all who want one name wait
 * for one question.  A pending lookup asks for A and AAAA at the same time over one socket, which
 * is connected: the kernel chooses a random port and drops what comes from elsewhere.  An answer
 * must match id and question besides (cv_dns_response_parse()).
 *
 *     PENDING --both answered--> FOUND or FAILED --expired--> PENDING again when asked
 *     each try: next server, new socket, new ids; a cut answer repeats both over TCP
 */
#include "proxy/resolve.h"

#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

static const uint16_t half_type[2] = { CV_DNS_TYPE_A, CV_DNS_TYPE_AAAA };

#define NAMESERVER_PORT 53

/* ---- the table ---- */

static void socket_drop(struct cv_lookup *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	free(l->tcp_in);
	l->tcp_in = NULL;
	l->tcp_n = 0;
	l->is_tcp = l->is_connected = false;
}

static void lookup_end(struct cv_resolver *r, struct cv_lookup *l, const char *failure)
{
	int64_t ttl = (int64_t)l->ttl_s * 1000;

	socket_drop(l);
	if (l->ip_count == 0) {
		l->state = CV_LOOKUP_FAILED;
		l->failure = failure;
		ttl = CV_PROXY_NEGATIVE_MS;
	} else {
		l->state = CV_LOOKUP_FOUND;
		ttl = CV_MAX(ttl, CV_PROXY_TTL_MS_MIN);
		ttl = CV_MIN(ttl, CV_PROXY_TTL_MS_MAX);
	}
	l->expires_ms = r->loop->now_ms + ttl;
	r->pending_count--;
	r->has_news = true;
}

static struct cv_lookup *lookup_find(struct cv_resolver *r, struct cv_str name)
{
	for (size_t i = 0; i < CV_PROXY_LOOKUPS_MAX; i++) {
		struct cv_lookup *l = &r->lookup[i];

		if (l->state != CV_LOOKUP_FREE && cv_str_eq(cv_name_str(&l->name), name))
			return l;
	}
	return NULL;
}

/* A free place, or that of the answer used longest ago; NULL when all are pending. */
static struct cv_lookup *lookup_place(struct cv_resolver *r)
{
	struct cv_lookup *best = NULL;

	for (size_t i = 0; i < CV_PROXY_LOOKUPS_MAX; i++) {
		struct cv_lookup *l = &r->lookup[i];

		if (l->state == CV_LOOKUP_FREE)
			return l;
		if (l->state != CV_LOOKUP_PENDING && (!best || l->used_ms < best->used_ms))
			best = l;
	}
	return best;
}

/* ---- asking ---- */

static bool query_put(struct cv_lookup *l, size_t half, bool is_tcp, struct cv_buf *b)
{
	struct cv_buf query;
	bool is_put;

	cv_buf_init(&query, CV_DNS_UDP_BYTES_MIN);
	is_put = cv_dns_query_write(l->half[half].id, &l->name, half_type[half], true, &query) &&
		 (!is_tcp || cv_buf_put_u16be(b, (uint16_t)cv_buf_len(&query))) &&
		 cv_buf_put(b, cv_buf_str(&query));
	cv_buf_fini(&query);
	return is_put;
}

static bool ids_make(struct cv_lookup *l)
{
	uint16_t id[2];

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return false;
	l->half[0].id = id[0];
	l->half[1].id = id[1] == id[0] ? (uint16_t)(id[0] + 1) : id[1];
	return true;
}

static bool socket_open(struct cv_resolver *r, struct cv_lookup *l, bool is_tcp)
{
	const struct cv_ip *server = &r->conf.server[(l->tries - 1u) % r->conf.server_count];
	union {
		struct sockaddr sa;
		struct sockaddr_in6 in6;
	} to;
	const size_t n = cv_ip_to_sockaddr(server, NAMESERVER_PORT, &to);
	struct cv_watch w = {
		.kind = r->watch_kind,
		.ref = { (uint32_t)(l - r->lookup), ++l->gen },
	};

	socket_drop(l);
	l->fd = socket(to.sa.sa_family,
		(is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return false;
	l->is_tcp = is_tcp;
	if (connect(l->fd, &to.sa, (socklen_t)n) < 0 && errno != EINPROGRESS)
		return false;
	return cv_loop_add(r->loop, l->fd, EPOLLIN | (is_tcp ? EPOLLOUT : 0) | EPOLLET, w, NULL) ==
	       CV_OK;
}

static bool queries_send(struct cv_lookup *l)
{
	struct cv_buf b;
	bool is_sent = true;

	cv_buf_init(&b, 2 * CV_DNS_UDP_BYTES_MIN);
	for (size_t i = 0; i < 2; i++) {
		if (l->half[i].is_done && !l->is_tcp)
			continue;
		if (!query_put(l, i, l->is_tcp, &b)) {
			is_sent = false;
			break;
		}
		if (l->is_tcp && i == 0)
			continue; /* both in one segment */
		const struct cv_str s = cv_buf_str(&b);
		if (send(l->fd, s.p, s.n, MSG_NOSIGNAL) != (ssize_t)s.n)
			is_sent = false;
		cv_buf_reset(&b);
	}
	cv_buf_fini(&b);
	return is_sent;
}

/* The next try, or the end of trying. */
static void lookup_try(struct cv_resolver *r, struct cv_lookup *l)
{
	while (l->tries < CV_PROXY_QUERY_TRIES_MAX && r->conf.server_count) {
		l->next_ms = r->loop->now_ms + ((int64_t)CV_PROXY_QUERY_MS << (l->tries / 2));
		l->tries++;
		if (ids_make(l) && socket_open(r, l, false) && queries_send(l))
			return;
	}
	lookup_end(
		r, l, r->conf.server_count ? "no name server answered" : "there is no name server");
}

/* ---- answers ---- */

static void tcp_start(struct cv_resolver *r, struct cv_lookup *l)
{
	for (size_t i = 0; i < 2; i++)
		l->half[i].is_done = false;
	l->ip_count = 0;
	l->ttl_s = CV_DNS_TTL_S_MAX;
	if (!ids_make(l) || !socket_open(r, l, true))
		lookup_try(r, l);
}

/* Takes one message; false when it was cut and TCP was begun instead, or the lookup ended. */
static bool answer_take(struct cv_resolver *r, struct cv_lookup *l, struct cv_str msg)
{
	static struct cv_dns_response response; /* scratch: too large for every stack */

	for (size_t i = 0; i < 2; i++) {
		struct cv_lookup_half *h = &l->half[i];

		if (h->is_done)
			continue;
		const enum cv_dns_outcome o =
			cv_dns_response_parse(msg, h->id, &l->name, half_type[i], &response);
		if (o == CV_DNS_MISMATCH)
			continue;
		if (o == CV_DNS_TRUNCATED && !l->is_tcp) {
			tcp_start(r, l);
			return false;
		}
		h->is_done = true;
		h->outcome = o;
		if (o == CV_DNS_FOUND) {
			for (size_t k = 0; k < response.ip_count && l->ip_count < CV_DNS_ADDRS_MAX;
				k++)
				l->ip[l->ip_count++] = response.ip[k];
			l->ttl_s = CV_MIN(l->ttl_s, response.ttl_s);
		}
		break;
	}
	if (!l->half[0].is_done || !l->half[1].is_done)
		return true;
	const enum cv_dns_outcome a = l->half[0].outcome;
	if (l->ip_count == 0 && a != CV_DNS_NO_NAME && a != CV_DNS_NO_DATA &&
		l->tries < CV_PROXY_QUERY_TRIES_MAX) {
		for (size_t i = 0; i < 2; i++)
			l->half[i].is_done = false;
		lookup_try(r, l); /* this server failed: another may know */
		return false;
	}
	lookup_end(r, l, cv_dns_outcome_name(a));
	return false;
}

static void udp_read(struct cv_resolver *r, struct cv_lookup *l)
{
	char msg[CV_DNS_RESPONSE_BYTES_MAX];

	for (size_t i = 0; i < CV_PROXY_DNS_TURN_MAX; i++) {
		const ssize_t n = recv(l->fd, msg, sizeof(msg), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* the port is closed: no need to wait for the next server's turn */
			lookup_try(r, l);
			return;
		}
		if (!answer_take(r, l, (struct cv_str){ msg, (size_t)n }))
			return;
	}
}

#define TCP_BYTES_MAX (2u + CV_DNS_TCP_BYTES_MAX)

static void tcp_read(struct cv_resolver *r, struct cv_lookup *l)
{
	if (!l->tcp_in && !(l->tcp_in = malloc(TCP_BYTES_MAX))) {
		lookup_end(r, l, "out of memory");
		return;
	}
	for (;;) {
		const ssize_t n = recv(l->fd, l->tcp_in + l->tcp_n, TCP_BYTES_MAX - l->tcp_n, 0);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0) {
			lookup_try(r, l);
			return;
		}
		l->tcp_n += (uint32_t)n;
		for (;;) {
			const uint32_t bytes =
				l->tcp_n >= 2 ? (uint32_t)l->tcp_in[0] << 8 | l->tcp_in[1] : 0;
			if (l->tcp_n < 2 || l->tcp_n - 2 < bytes)
				break;
			if (!answer_take(r, l, (struct cv_str){ (char *)l->tcp_in + 2, bytes }))
				return;
			l->tcp_n -= bytes + 2;
			memmove(l->tcp_in, l->tcp_in + 2 + bytes, l->tcp_n);
		}
	}
}

void cv_resolver_event(struct cv_resolver *r, struct cv_ref ref, uint32_t events)
{
	if (ref.index >= CV_PROXY_LOOKUPS_MAX)
		return;
	struct cv_lookup *l = &r->lookup[ref.index];
	if (l->gen != ref.gen || l->state != CV_LOOKUP_PENDING)
		return;
	if (l->is_tcp && !l->is_connected && (events & EPOLLOUT)) {
		if (!queries_send(l)) {
			lookup_try(r, l);
			return;
		}
		l->is_connected = true;
	}
	if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		return;
	if (l->is_tcp)
		tcp_read(r, l);
	else
		udp_read(r, l);
}

void cv_resolver_sweep(struct cv_resolver *r)
{
	if (!r->pending_count)
		return;
	for (size_t i = 0; i < CV_PROXY_LOOKUPS_MAX; i++) {
		struct cv_lookup *l = &r->lookup[i];

		if (l->state != CV_LOOKUP_PENDING || l->next_ms > r->loop->now_ms)
			continue;
		if (l->ip_count && l->half[0].is_done) /* A came; AAAA's server is silent */
			lookup_end(r, l, NULL);
		else
			lookup_try(r, l);
	}
}

/* ---- the question from a flow ---- */

static bool is_pinned(const struct cv_resolver *r, const struct cv_host *host, uint16_t port,
	struct cv_addresses *ret)
{
	for (size_t i = 0; i < r->pin_count && ret->n < CV_DNS_ADDRS_MAX; i++)
		if (r->pin[i].port == port && cv_host_eq(&r->pin[i].host, host))
			ret->ip[ret->n++] = r->pin[i].ip;
	return ret->n > 0;
}

static struct cv_lookup *lookup_start(struct cv_resolver *r, struct cv_str name)
{
	struct cv_lookup *l = lookup_find(r, name);
	uint32_t gen;

	if (!l)
		l = lookup_place(r);
	if (!l)
		return NULL;
	gen = l->gen;
	*l = (struct cv_lookup){
		.state = CV_LOOKUP_PENDING,
		.gen = gen,
		.fd = -1,
		.ttl_s = CV_DNS_TTL_S_MAX,
	};
	if (!cv_name_parse(name, &l->name)) {
		l->state = CV_LOOKUP_FREE;
		return NULL;
	}
	r->pending_count++;
	lookup_try(r, l);
	return l;
}

bool cv_resolver_get(
	struct cv_resolver *r, const struct cv_host *host, uint16_t port, struct cv_addresses *ret)
{
	const struct cv_str name = cv_host_str(host);

	ret->n = 0;
	ret->failure = NULL;
	if (is_pinned(r, host, port, ret))
		return true;
	if (host->is_ip) {
		ret->n = cv_ip_parse(name, &ret->ip[0]) ? 1 : 0;
		return true;
	}
	ret->n = cv_hosts_lookup(r->hosts, name, ret->ip, CV_DNS_ADDRS_MAX);
	if (ret->n)
		return true;
	struct cv_lookup *l = lookup_find(r, name);
	if (!l || (l->state != CV_LOOKUP_PENDING && l->expires_ms < r->loop->now_ms))
		l = lookup_start(r, name);
	if (!l) {
		ret->failure = "too many names are being looked up";
		return true;
	}
	l->used_ms = r->loop->now_ms;
	if (l->state == CV_LOOKUP_PENDING)
		return false;
	ret->failure = l->failure;
	ret->n = l->ip_count;
	memcpy(ret->ip, l->ip, l->ip_count * sizeof(l->ip[0]));
	return true;
}
