/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - the port that clients come to, and the signals that steer the process
 *
 *     SIGTERM, SIGINT  no new connections and calls; what runs may end (CV_GW_DRAIN_MS); a second
 *                      one ends at once
 *     SIGHUP           the configuration is read again; certificates and keys too
 *     SIGCHLD          wakes the loop: the parts that start processes wait for them in their turn, or
 *                      for their pidfds
 *
 * The signals are blocked and read from a descriptor: whoever starts a process gives it an empty
 * mask.
 */
#include "gateway/config.h"
#include "gateway/edge.h"
#include "gateway/gateway.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/pki.h"
#include "gateway/remarks.h"
#include "gateway/serve.h"
#include "gateway/service.h"
#include "gateway/state.h"
#include "gateway/tls.h"
#include "gateway/trace.h"
#include "gateway/vault.h"
#include "sys/fd.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum sub { SERVER, SIGNALS };

#define BACKLOG 512 /* connections that come in one turn of a busy loop */

static int signals = -1;

/* ---- what ended ---- */

static void call_ended(void *arg, struct cv_rpc_call *c, enum cv_rpc_status s, int64_t us)
{
	const struct cv_rpc_method *m = cv_rpc_call_method(c);
	const struct cv_principal *who = cv_rpc_call_principal(c);
	char ms[32];

	(void)arg;
	if (!cv_rpc_call_route(c)) { /* else request_ended() counts it */
		cv_metric_add(CV_METRIC_GRPC_REQUESTS, 1, m->name, cv_rpc_status_name(s));
		cv_metric_observe(CV_METRIC_GRPC_SECONDS, (double)us / 1e6, m->name);
	}
	cv_gw_trace_call(c, s, us);
	snprintf(ms, sizeof(ms), "%.3f", (double)us / 1e3);
	cv_log(s == CV_RPC_INTERNAL || s == CV_RPC_UNKNOWN ? CV_LOG_WARN : CV_LOG_DEBUG, "rpc",
		CV_LOG_FIELDS({ "code", cv_str_of(cv_rpc_status_name(s)) },
			{ "who", cv_str_of(who->kind == CV_PRINCIPAL_SANDBOX ? who->sandbox_id
									     : who->subject) },
			{ "ms", cv_str_of(ms) }, { "id", cv_str_of(cv_rpc_call_id(c)) }),
		"%s", m->name);
}

/* 499: its client did not wait. */
static void request_ended(void *arg, const char *route, int status, int64_t us)
{
	char text[16];

	(void)arg;
	snprintf(text, sizeof(text), "%d", status ? status : 499);
	cv_metric_add(CV_METRIC_HTTP_REQUESTS, 1, route, text);
	cv_metric_observe(CV_METRIC_HTTP_SECONDS, (double)us / 1e6, route);
}

/* Three quarters of the descriptors: the rest is for sandboxes and their commands, for the store
 * and for supervisors that dial in, none of which a crowd of clients may lock out. */
static uint32_t connections_max(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return 0;
	return (uint32_t)CV_MIN(files.rlim_cur / 4 * 3, (rlim_t)UINT32_MAX);
}

/* ---- ports ---- */

static bool is_loopback(const struct sockaddr *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	return a->sa_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
				       : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* A listening socket; *ret_port is what the kernel chose. */
static cv_code port_open(const char *address, uint32_t port, bool must_be_loopback, int *ret_fd,
	uint16_t *ret_port, struct cv_err *err)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *a;
	struct sockaddr_storage bound = { 0 };
	socklen_t n = sizeof(bound);
	const int one = 1;
	char service[8];

	snprintf(service, sizeof(service), "%u", (unsigned)(uint16_t)port);
	if (getaddrinfo(address, service, &hints, &a) != 0)
		return cv_fail(err, CV_INVALID, "bind_address '%s' is no IP address", address);

	CV_AUTO_FD int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const bool is_near = is_loopback(a->ai_addr);
	const bool is_bound = /* and errno says why not */
		fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
		bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0 &&
		getsockname(fd, (struct sockaddr *)&bound, &n) == 0;

	freeaddrinfo(a);
	if (!is_near && must_be_loopback)
		return cv_fail(err, CV_DENIED,
			"plaintext is served on loopback only, not on %s: leave out tls.disabled",
			address);
	if (!is_bound && errno == EADDRINUSE)
		return cv_fail(err, CV_UNAVAILABLE,
			"port %u of %s is taken by another program: end that one ('ss -ltnp' shows it), "
			"or choose another port",
			(unsigned)port, address);
	if (!is_bound)
		return cv_fail_errno(err, "listen at %s port %u", address, (unsigned)port);
	*ret_port = ntohs(((const struct sockaddr_in *)(const void *)&bound)->sin_port);
	*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

typedef cv_code listen_fn(struct cv_rpc_server *s, int fd, SSL_CTX *tls, struct cv_err *err);

static cv_code listener_add(struct cv_gateway *g, const char *what, uint32_t port, SSL_CTX *tls,
	bool must_be_loopback, listen_fn *take, uint16_t *ret_port, struct cv_err *err)
{
	char number[16], scheme[8];
	uint16_t bound = 0;
	int fd;
	cv_code code =
		port_open(g->config->bind_address.p, port, must_be_loopback, &fd, &bound, err);

	if (code == CV_OK)
		code = take(g->server, fd, tls, err);
	if (code != CV_OK)
		return cv_wrap(err, "%s", what);
	snprintf(number, sizeof(number), "%u", (unsigned)bound);
	snprintf(scheme, sizeof(scheme), "%s", tls ? "https" : "http");
	cv_log(CV_LOG_INFO, "gateway",
		CV_LOG_FIELDS({ "address", g->config->bind_address }, { "port", cv_str_of(number) },
			{ "scheme", cv_str_of(scheme) }),
		"listening for %s", what);
	if (ret_port)
		*ret_port = bound;
	return CV_OK;
}

static cv_code health_listen(struct cv_rpc_server *s, int fd, SSL_CTX *tls, struct cv_err *err)
{
	static const char *const paths[] = { "/health", "/healthz", "/readyz", NULL };

	(void)tls;
	return cv_rpc_server_listen_pages(s, fd, paths, err);
}

static cv_code metrics_listen(struct cv_rpc_server *s, int fd, SSL_CTX *tls, struct cv_err *err)
{
	static const char *const paths[] = { "/metrics", NULL };

	(void)tls;
	return cv_rpc_server_listen_pages(s, fd, paths, err);
}

/* The certificate that `init` made learns the names that were configured since; and the address at
 * which we listen, under which clients are told to come.  Without that one it is as good for those who
 * come otherwise, so it is no reason not to start. */
static cv_code server_names(struct cv_gateway *g, struct cv_err *err)
{
	const struct cv_gw_config *c = g->config;
	const bool is_any = cv_str_eq(c->bind_address, CV_STR("0.0.0.0")) ||
			    cv_str_eq(c->bind_address, CV_STR("::"));
	bool is_new = false, is_own = false;
	struct cv_err why;

	if (c->disable_tls || c->tls_cert.n)
		return CV_OK;
	if (c->server_sans.n && cv_pki_server_names(g->state_fd, c->server_sans.v, c->server_sans.n,
					&is_new, err) != CV_OK)
		return cv_wrap(err, "server_sans");
	if (!is_any &&
		cv_pki_server_names(g->state_fd, &c->bind_address, 1, &is_own, &why) != CV_OK &&
		why.code != CV_NOT_FOUND)
		cv_log(CV_LOG_WARN, "gateway", CV_LOG_FIELDS({ "why", cv_str_of(why.msg) }),
			"the server's certificate is not for the address at which it listens");
	if (is_new || is_own)
		cv_log(CV_LOG_INFO, "gateway", CV_LOG_NONE,
			"the server's certificate was made anew, %s",
			is_new ? "with the names of server_sans"
			       : "for the address at which it listens, too");
	return CV_OK;
}

cv_code cv_gw_listen(struct cv_gateway *g, struct cv_err *err)
{
	const struct cv_gw_config *c = g->config;
	SSL_CTX *tls = NULL;
	char number[16];
	uint16_t port = 0;
	cv_code code = server_names(g, err);

	if (code == CV_OK && !c->disable_tls)
		code = cv_gw_tls_new(g, &tls, err);
	if (code == CV_OK)
		code = listener_add(
			g, "clients", c->port, tls, !tls, cv_rpc_server_listen, &port, err);
	if (code == CV_OK && c->older_port)
		code = listener_add(g, "clients of March 2026", c->older_port, tls, !tls,
			cv_rpc_server_listen_older, NULL, err);
	SSL_CTX_free(tls); /* the server has its own reference */
	if (code == CV_OK && c->health_port)
		code = listener_add(
			g, "health", c->health_port, NULL, false, health_listen, NULL, err);
	if (code == CV_OK && c->metrics_port)
		code = listener_add(
			g, "metrics", c->metrics_port, NULL, false, metrics_listen, NULL, err);
	if (code != CV_OK)
		return code;
	/* For whoever asked for any port; and so that a person finds it. */
	g->port = port;
	snprintf(number, sizeof(number), "%u\n", (unsigned)port);
	return cv_gw_file_write(g->state_fd, "port", cv_str_of(number), 0600, err);
}

/* ---- signals ---- */

static void tls_reload(struct cv_gateway *g)
{
	SSL_CTX *tls = NULL;
	struct cv_err err;

	if (g->config->disable_tls)
		return;
	if (cv_gw_tls_new(g, &tls, &err) == CV_OK)
		cv_rpc_server_set_tls(g->server, tls);
	else
		cv_log(CV_LOG_ERROR, "config", CV_LOG_FIELDS({ "why", cv_str_of(err.msg) }),
			"certificates were not reloaded");
	SSL_CTX_free(tls);
}

cv_code cv_gw_reload(struct cv_gateway *g, struct cv_buf *ret_fixed, struct cv_err *err)
{
	struct cv_gw_config *next;
	const struct cv_gw_config *old = g->config;

	if (cv_gw_config_load(g->env, g->flags, g->flag_count, &next, err) != CV_OK) {
		cv_metric_add(CV_METRIC_RELOADS, 1, "refused");
		cv_log(CV_LOG_ERROR, "config", CV_LOG_FIELDS({ "why", cv_str_of(err->msg) }),
			"not reloaded; what was, stays");
		return err->code;
	}
	cv_gw_config_keep_fixed(old, next, ret_fixed);
	if (cv_buf_len(ret_fixed))
		cv_log(CV_LOG_WARN, "config", CV_LOG_FIELDS({ "keys", cv_buf_str(ret_fixed) }),
			"some changes need a restart");
	g->config = next;
	cv_gw_log_init(next);
	tls_reload(g);
	for (size_t i = 0; i < CV_GW_PART_COUNT; i++)
		if (cv_gw_part[i]->reload)
			cv_gw_part[i]->reload(g, old);
	cv_gw_config_free(old);
	cv_metric_add(CV_METRIC_RELOADS, 1, "ok");
	cv_log(CV_LOG_INFO, "config", CV_LOG_NONE, "reloaded");
	cv_gw_remarks_log(next, g->env);
	return CV_OK;
}

static void hup(struct cv_gateway *g)
{
	struct cv_buf fixed;
	struct cv_err err;

	cv_buf_init(&fixed, CV_GW_FIXED_BYTES_MAX);
	(void)!cv_gw_reload(g, &fixed, &err); /* the log says it */
	cv_buf_fini(&fixed);
}

static void drain(struct cv_gateway *g)
{
	if (g->is_draining) {
		g->drain_until_ms = g->loop.now_ms;
		return;
	}
	g->is_draining = true;
	g->drain_until_ms = g->loop.now_ms + CV_GW_DRAIN_MS;
	cv_log(CV_LOG_INFO, "gateway", CV_LOG_NONE, "ending; what runs may end");
	for (size_t i = 0; i < CV_GW_PART_COUNT; i++)
		if (cv_gw_part[i]->drain)
			cv_gw_part[i]->drain(g);
	cv_rpc_server_drain(g->server);
}

static void child_ended(struct cv_gateway *g)
{
	g->has_child_ended = true;
	if (g->vault)
		cv_gw_vault_look(g->vault);
}

static void signals_read(struct cv_gateway *g)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			hup(g);
		else if (info.ssi_signo == SIGCHLD)
			child_ended(g);
		else
			drain(g);
	}
}

/* ---- the part ---- */

static bool has_edge(void *arg)
{
	const struct cv_gateway *g = arg;

	return cv_gw_edge_is_on(g->config);
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_rpc_server_config c = {
		.loop = &g->loop,
		.watch_kind = CV_GW_WATCH(CV_GW_PART_SERVER, SERVER),
		.relay = &cv_gw_service_relay,
		.arg = g,
		.authenticate = cv_gw_authenticate,
		.ended = call_ended,
		.requested = request_ended,
		.is_local_only = g->config->disable_tls,
		.has_edge = has_edge,
		.connections_max = connections_max(),
	};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
		(signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return cv_fail_errno(err, "signalfd");

	cv_code code = cv_loop_add(&g->loop, signals, EPOLLIN,
		(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_SERVER, SIGNALS), { 0, 0 } }, err);

	c.methods = cv_gw_methods(&c.method_count);
	c.pages = cv_gw_pages(&c.page_count);
	if (code == CV_OK)
		code = cv_rpc_server_new(&c, &g->server, err);
	return code;
}

static void stop(struct cv_gateway *g)
{
	(void)g; /* the server is freed before any part stops: main.c */
	if (signals >= 0)
		close(signals);
	signals = -1;
}

static void event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	switch ((enum sub)CV_GW_WATCH_SUB(e->watch.kind)) {
	case SERVER: cv_rpc_server_event(g->server, e); break;
	case SIGNALS: signals_read(g); break;
	}
}

const struct cv_gw_part cv_gw_part_server = {
	.name = "server",
	.start = start,
	.stop = stop,
	.event = event,
};
