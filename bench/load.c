/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - a closed-loop HTTPS load generator that can speak through a CONNECT proxy
 *
 *     load [-x PROXY_ADDR:PORT] [-c CONNECTIONS] [-d SECONDS] [-n] [-a CA] [-r ADDR] [-k VAR] [-p BODY] [-u] URL
 *
 * Each of the connections sends a request, reads the whole answer, and sends the next; -n opens a
 * new connection (CONNECT, TLS handshake and all) for each request.  Latency is from the first
 * byte sent (or the connect, with -n) to the last byte read.  Prints one line of JSON.  One thread,
 * -k sends Authorization: Bearer with the text of that environment variable, -p POSTs this JSON, -u puts
 * a number of its own in place of 00000000 in each request's path.
 * epoll, OpenSSL on non-blocking sockets; plain http:// URLs work too.  A tool for benchmarks: it
 * trusts its origin to be well-behaved.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX     (8u << 20)
#define READ_BYTES      65536

enum state { CONNECTING, TUNNEL, HANDSHAKE, RUNNING };

struct conn {
	enum state state;
	int fd;
	SSL *ssl;
	int64_t start_ns;
	size_t got, want; /* bytes of the answer; want 0: head not complete */
	char head[4096];
	size_t head_bytes;
};

static struct {
	struct sockaddr_in peer; /* proxy or origin */
	bool has_proxy, is_tls, is_new_each;
	char host[256], request[1024], connect[512];
	const char *key;  /* of Authorization: Bearer; NULL: none */
	const char *body; /* of a POST; NULL: GET */
	char *number;     /* in request; NULL: all are the same */
	uint32_t sent;
	size_t request_bytes, connect_bytes;
	SSL_CTX *ctx;
	SSL_SESSION *session;
	int epoll;
	int64_t end_ns;
	uint32_t *sample_ns;
	size_t samples, errors, connections_made;
	uint64_t bytes;
} g;

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(struct conn *c, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(g.epoll, EPOLL_CTL_MOD, c->fd, &e) < 0)
		die("epoll_ctl");
}

static void conn_open(struct conn *c)
{
	struct epoll_event e = { .events = EPOLLOUT, .data.ptr = c };
	const int one = 1;

	memset(c, 0, offsetof(struct conn, head));
	c->head_bytes = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->start_ns = now_ns();
	if (connect(c->fd, (struct sockaddr *)&g.peer, sizeof(g.peer)) < 0 && errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		die("epoll_ctl add");
	g.connections_made++;
}

static void conn_close(struct conn *c)
{
	if (c->ssl) {
		SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	close(c->fd);
}

static void conn_fail(struct conn *c)
{
	g.errors++;
	conn_close(c);
	if (g.errors > 1000) {
		fprintf(stderr, "too many errors\n");
		exit(1);
	}
	conn_open(c);
}

static bool send_all(struct conn *c, const char *p, size_t n)
{
	if (c->ssl && c->state == RUNNING)
		return SSL_write(c->ssl, p, (int)n) == (int)n;
	return send(c->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void request_send(struct conn *c)
{
	if (!g.is_new_each)
		c->start_ns = now_ns();
	c->state = RUNNING;
	c->got = c->want = c->head_bytes = 0;
	for (uint32_t i = 8, n = g.sent++; g.number && i > 0; n /= 10)
		g.number[--i] = (char)('0' + n % 10);
	if (!send_all(c, g.request, g.request_bytes)) {
		conn_fail(c);
		return;
	}
	watch(c, EPOLLIN);
}

static void handshake(struct conn *c)
{
	const int rc = SSL_do_handshake(c->ssl);

	if (rc == 1) {
		request_send(c);
		return;
	}
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ: watch(c, EPOLLIN); break;
	case SSL_ERROR_WANT_WRITE: watch(c, EPOLLOUT); break;
	default: conn_fail(c);
	}
}

static void tls_start(struct conn *c)
{
	if (!g.is_tls) {
		request_send(c);
		return;
	}
	c->state = HANDSHAKE;
	c->ssl = SSL_new(g.ctx);
	SSL_set_fd(c->ssl, c->fd);
	SSL_set_tlsext_host_name(c->ssl, g.host);
	SSL_set1_host(c->ssl, g.host);
	SSL_set_connect_state(c->ssl);
	handshake(c);
}

static void sample(struct conn *c)
{
	if (g.samples < SAMPLES_MAX)
		g.sample_ns[g.samples++] = (uint32_t)(now_ns() - c->start_ns);
	if (!g.is_new_each) {
		request_send(c);
		return;
	}
	conn_close(c);
	conn_open(c);
}

/* The head of the answer, once it is complete: want is its length plus Content-Length. */
static void head_scan(struct conn *c)
{
	c->head[c->head_bytes] = '\0';
	const char *end = strstr(c->head, "\r\n\r\n");
	const char *length = strcasestr(c->head, "\r\ncontent-length:");

	if (!end)
		return;
	const size_t head = (size_t)(end - c->head) + 4;
	c->want = head + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
	if (strncmp(c->head, "HTTP/1.1 200", 12) != 0) {
		fprintf(stderr, "answer: %.100s\n", c->head);
		exit(1);
	}
}

static void answer_read(struct conn *c)
{
	static char buf[READ_BYTES];

	for (;;) {
		int n = c->ssl ? SSL_read(c->ssl, buf, sizeof(buf))
			       : (int)recv(c->fd, buf, sizeof(buf), 0);

		if (n <= 0) {
			const bool is_more =
				c->ssl ? SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ
				       : n < 0 && errno == EAGAIN;
			if (!is_more)
				conn_fail(c);
			return;
		}
		g.bytes += (uint64_t)n;
		if (!c->want) {
			const size_t room = sizeof(c->head) - 1 - c->head_bytes;
			const size_t take = (size_t)n < room ? (size_t)n : room;

			memcpy(c->head + c->head_bytes, buf, take);
			c->head_bytes += take;
			head_scan(c);
		}
		c->got += (size_t)n;
		if (c->want && c->got >= c->want) {
			sample(c);
			return;
		}
	}
}

static void tunnel_read(struct conn *c)
{
	char buf[1024];
	const ssize_t n = recv(c->fd, buf, sizeof(buf) - 1, 0);

	if (n <= 0) {
		conn_fail(c);
		return;
	}
	buf[n] = '\0';
	if (strncmp(buf, "HTTP/1.1 200", 12) != 0 && strncmp(buf, "HTTP/1.0 200", 12) != 0) {
		fprintf(stderr, "CONNECT: %.200s\n", buf);
		exit(1);
	}
	tls_start(c);
}

static void conn_event(struct conn *c)
{
	switch (c->state) {
	case CONNECTING:
		if (!g.has_proxy || !g.is_tls) {
			tls_start(c);
			break;
		}
		c->state = TUNNEL;
		if (!send_all(c, g.connect, g.connect_bytes))
			conn_fail(c);
		else
			watch(c, EPOLLIN);
		break;
	case TUNNEL: tunnel_read(c); break;
	case HANDSHAKE: handshake(c); break;
	case RUNNING: answer_read(c); break;
	}
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1) {
		fprintf(stderr, "not an IPv4 address: %s\n", text);
		exit(2);
	}
	return a;
}

static void url_parse(const char *url, const char *proxy, const char *pinned)
{
	char path[512] = "/", proxy_host[64] = "", fields[128] = "";
	unsigned port = 0, proxy_port = 0;

	g.is_tls = !strncmp(url, "https://", 8);
	const char *at = strstr(url, "://") + 3;
	const size_t n = strcspn(at, ":/");
	snprintf(g.host, sizeof(g.host), "%.*s", (int)n, at);
	at += n;
	port = *at == ':' ? (unsigned)strtoul(at + 1, NULL, 10) : g.is_tls ? 443 : 80;
	at += strcspn(at, "/");
	if (*at)
		snprintf(path, sizeof(path), "%s", at);
	if (g.body)
		snprintf(fields, sizeof(fields),
			"Content-Type: application/json\r\nContent-Length: %zu\r\n",
			strlen(g.body));
	g.request_bytes = (size_t)snprintf(g.request, sizeof(g.request),
		"%s %s%s%s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: load\r\nAccept: */*\r\n%s%s%s%s\r\n%s",
		g.body ? "POST" : "GET", proxy && !g.is_tls ? "http://" : "",
		proxy && !g.is_tls ? g.host : "", path, g.host, port,
		g.key ? "Authorization: Bearer " : "", g.key ? g.key : "", g.key ? "\r\n" : "",
		fields, g.body ? g.body : "");
	g.connect_bytes = (size_t)snprintf(g.connect, sizeof(g.connect),
		"CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n\r\n", g.host, port, g.host, port);
	g.has_proxy = proxy != NULL;
	if (proxy) {
		const char *colon = strrchr(proxy, ':');

		snprintf(proxy_host, sizeof(proxy_host), "%.*s", (int)(colon - proxy), proxy);
		proxy_port = (unsigned)strtoul(colon + 1, NULL, 10);
		g.peer = address(proxy_host, (uint16_t)proxy_port);
	} else {
		g.peer = address(pinned ? pinned : g.host, (uint16_t)port);
	}
}

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(double seconds)
{
	const size_t n = g.samples;

	qsort(g.sample_ns, n, sizeof(*g.sample_ns), by_value);
	printf("{\"requests\": %zu, \"per_second\": %.1f, \"p10_us\": %.1f, \"p50_us\": %.1f, "
	       "\"p99_us\": %.1f, \"gbit_per_second\": %.3f, \"connections\": %zu, \"errors\": %zu}\n",
		n, (double)n / seconds, n ? g.sample_ns[n / 10] / 1e3 : 0,
		n ? g.sample_ns[n / 2] / 1e3 : 0, n ? g.sample_ns[n * 99 / 100] / 1e3 : 0,
		(double)g.bytes * 8 / seconds / 1e9, g.connections_made, g.errors);
}

int main(int argc, char **argv)
{
	static struct conn conn[CONNECTIONS_MAX];
	const char *proxy = NULL, *ca = NULL, *pinned = NULL;
	unsigned long connections = 16;
	bool has_number = false;
	double seconds = 5;
	int opt;

	while ((opt = getopt(argc, argv, "x:c:d:na:r:k:p:u")) != -1) {
		switch (opt) {
		case 'x': proxy = optarg; break;
		case 'c': connections = strtoul(optarg, NULL, 10); break;
		case 'd': seconds = strtod(optarg, NULL); break;
		case 'n': g.is_new_each = true; break;
		case 'u': has_number = true; break;
		case 'a': ca = optarg; break;
		case 'r': pinned = optarg; break;
		case 'k': g.key = getenv(optarg); break;
		case 'p': g.body = optarg; break;
		default: return 2;
		}
	}
	if (optind + 1 != argc || !connections || connections > CONNECTIONS_MAX) {
		fprintf(stderr,
			"usage: load [-x PROXY] [-c N] [-d SECONDS] [-n] [-a CA] [-r ADDR] URL\n");
		return 2;
	}
	url_parse(argv[optind], proxy, pinned);
	g.number = has_number ? strstr(g.request, "00000000") : NULL;
	g.ctx = SSL_CTX_new(TLS_client_method());
	if (ca)
		SSL_CTX_load_verify_locations(g.ctx, ca, NULL);
	else
		SSL_CTX_set_default_verify_paths(g.ctx);
	SSL_CTX_set_verify(g.ctx, SSL_VERIFY_PEER, NULL);
	g.sample_ns = malloc(SAMPLES_MAX * sizeof(*g.sample_ns));
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	const int64_t start = now_ns();
	g.end_ns = start + (int64_t)(seconds * 1e9);
	for (size_t i = 0; i < connections; i++)
		conn_open(&conn[i]);
	while (now_ns() < g.end_ns) {
		struct epoll_event e[64];
		const int n = epoll_wait(g.epoll, e, 64, 100);

		for (int i = 0; i < n; i++)
			conn_event(e[i].data.ptr);
	}
	report((double)(now_ns() - start) / 1e9);
	return 0;
}
