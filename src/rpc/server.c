/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - listeners, the turn and the clocks; see server.h and server_int.h
 *
 * An event only notes what a descriptor could do and puts its connection on the list of dirty
 * ones.  The turn works that list off, in rounds:
 *
 *     dirty connections receive  ->  due exchanges run  ->  dirty connections send
 *
 * Sending makes room, so exchanges may be due again: another round, a bounded number of them; what
 * is left then is the next turn's, which the caller is asked to make at once.
 *
 * What a handler stores is on the disk when it returns.  A slow disk must not keep those waiting who
 * only read: once the calls of a round that may write have taken CV_RPC_WRITES_MS, the others of
 * them are left, those that only read are run, and the turn ends; the next begins with those that
 * only read by then.  So whoever reads waits for one write, however many are queued.
 */
#include "rpc/server_int.h"

#include "base/assert.h"
#include "sys/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_SLOT UINT32_MAX

/* ---- lists ---- */

void cv_rpc_due(struct cv_rpc_xchg *x)
{
	struct cv_rpc_server *s = x->server;

	if (x->is_due)
		return;
	x->is_due = true;
	x->next_due = NULL;
	*s->due_tail = x;
	s->due_tail = &x->next_due;
}

void cv_rpc_dirty(struct cv_rpc_conn *c)
{
	struct cv_rpc_server *s = c->server;

	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->next_dirty = NULL;
	*s->dirty_tail = c;
	s->dirty_tail = &c->next_dirty;
}

/* The first that is due; is_long: of those that wait for no disk. */
static struct cv_rpc_xchg *due_take(struct cv_rpc_server *s, bool is_long)
{
	struct cv_rpc_xchg **at = &s->due, *x;

	while (is_long && *at && cv_rpc_xchg_may_write(*at))
		at = &(*at)->next_due;
	x = *at;
	if (!x)
		return NULL;
	*at = x->next_due;
	if (!*at)
		s->due_tail = at;
	x->is_due = false;
	return x;
}

/* False: some are left, because those that write took so long.  Then the next run is of those that
 * only read, so that their answers go out before another write. */
static bool due_run(struct cv_rpc_server *s)
{
	struct cv_rpc_xchg *x;
	int64_t left = s->is_behind ? 0 : CV_RPC_WRITES_MS;

	while ((x = due_take(s, left <= 0))) {
		const bool may_write = cv_rpc_xchg_may_write(x);
		const int64_t began = may_write ? cv_clock_ms() : 0;

		cv_rpc_xchg_run(x);
		if (may_write)
			left -= cv_clock_ms() - began;
	}
	s->is_behind = !s->is_behind && left <= 0;
	return !s->is_behind;
}

/* ---- what is random ---- */

void cv_rpc_random(struct cv_rpc_server *s, unsigned char *ret, size_t n)
{
	cv_assert(n <= sizeof(s->random));
	if (s->random_left < n) { /* one system call for many ids */
		size_t have = 0;

		while (have < sizeof(s->random)) {
			const ssize_t got =
				getrandom(s->random + have, sizeof(s->random) - have, 0);

			cv_assert(got > 0 || errno == EINTR);
			have += got > 0 ? (size_t)got : 0;
		}
		s->random_left = sizeof(s->random);
	}
	s->random_left -= n;
	memcpy(ret, s->random + s->random_left, n);
}

/* ---- slots: what the loop's events name ---- */

static bool slots_grow(struct cv_rpc_server *s)
{
	const uint32_t count = CV_MIN(CV_MAX(s->slot_count * 2, 64u), s->conns_max);
	struct cv_rpc_slot *slots;

	if (count == s->slot_count)
		return false;
	slots = realloc(s->slots, count * sizeof(*slots));
	if (!slots)
		return false;
	for (uint32_t i = s->slot_count; i < count; i++)
		slots[i] = (struct cv_rpc_slot){ .gen = 1,
			.next_free = i + 1 < count ? i + 1 : s->slot_free };
	s->slot_free = s->slot_count;
	s->slots = slots;
	s->slot_count = count;
	return true;
}

static bool slot_take(struct cv_rpc_server *s, struct cv_rpc_conn *c)
{
	if (s->slot_free == NO_SLOT && !slots_grow(s))
		return false;
	const uint32_t i = s->slot_free;
	s->slot_free = s->slots[i].next_free;
	s->slots[i].conn = c;
	c->ref = (struct cv_ref){ i + CV_RPC_LISTENERS_MAX, s->slots[i].gen };
	return true;
}

void cv_rpc_conn_forget(struct cv_rpc_server *s, struct cv_rpc_conn *c)
{
	struct cv_rpc_slot *slot;

	if (c->ref.index < CV_RPC_LISTENERS_MAX) /* it never had one */
		return;
	slot = &s->slots[c->ref.index - CV_RPC_LISTENERS_MAX];
	cv_assert(slot->conn == c);
	slot->conn = NULL;
	slot->gen++;
	slot->next_free = s->slot_free;
	s->slot_free = c->ref.index - CV_RPC_LISTENERS_MAX;
	*(c->prev ? &c->prev->next : &s->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->conn_count--;
}

static struct cv_rpc_conn *conn_of(struct cv_rpc_server *s, struct cv_ref ref)
{
	const uint32_t i = ref.index - CV_RPC_LISTENERS_MAX;

	return i < s->slot_count && s->slots[i].gen == ref.gen ? s->slots[i].conn : NULL;
}

/* ---- accept ---- */

static bool is_near(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	switch (a->ss_family) {
	case AF_UNIX: return true;
	case AF_INET: return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		       (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) &&
			       v6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
	default: return false;
	}
}

static uint16_t port_of(int fd) /* of our end */
{
	struct sockaddr_storage own = { 0 };
	socklen_t n = sizeof(own);

	if (getsockname(fd, (struct sockaddr *)&own, &n) < 0)
		return 0;
	return own.ss_family == AF_INET6
		       ? ntohs(((const struct sockaddr_in6 *)(const void *)&own)->sin6_port)
		       : ntohs(((const struct sockaddr_in *)(const void *)&own)->sin_port);
}

static void conn_take(
	struct cv_rpc_server *s, int fd, const struct cv_rpc_listener *l, bool is_loopback)
{
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	struct cv_rpc_conn *c = cv_rpc_conn_new(s, fd, l->tls);
	struct cv_watch w = { .kind = s->config.watch_kind };

	if (!c) {
		close(fd);
		return;
	}
	c->is_loopback = is_loopback;
	if (s->config.is_local_only && !l->tls)
		c->port = port_of(fd);
	if (!slot_take(s, c)) {
		cv_rpc_conn_free(c);
		return;
	}
	c->next = s->conns;
	if (s->conns)
		s->conns->prev = c;
	s->conns = c;
	c->is_older = l->is_older;
	c->paths = l->paths;
	s->conn_count++;
	w.ref = c->ref;
	if (cv_loop_add(s->config.loop, fd, events, w, NULL) != CV_OK)
		cv_rpc_conn_free(c);
}

static void accept_some(struct cv_rpc_server *s, struct cv_rpc_listener *l)
{
	for (int i = 0; i < CV_RPC_ACCEPTS_MAX; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t n = sizeof(from);
		const int fd =
			accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			conn_take(s, fd, l, is_near(&from));
			continue;
		}
		if (errno == EAGAIN) {
			l->can_accept = false;
			return;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			s->accept_ms = s->config.loop->now_ms + CV_RPC_ACCEPT_PAUSE_MS;
			return;
		} /* others are of a connection that is gone already (accept(2)) */
	}
}

/* ---- clocks ---- */

static void deadlines_look(struct cv_rpc_server *s, int64_t now)
{
	struct cv_rpc_call *next;

	if (now < s->deadline_ms || now < s->deadline_looked_ms + CV_RPC_DEADLINE_GRAIN_MS)
		return;
	s->deadline_looked_ms = now;
	s->deadline_ms = INT64_MAX;
	for (struct cv_rpc_call *c = s->timed; c; c = next) {
		next = c->timed_next;
		if (c->deadline_ms > now)
			s->deadline_ms = CV_MIN(s->deadline_ms, c->deadline_ms);
		else if (!c->is_finished)
			cv_rpc_finish(c, CV_RPC_DEADLINE_EXCEEDED, "deadline exceeded");
	}
}

static void sweep(struct cv_rpc_server *s, int64_t now)
{
	struct cv_rpc_conn *next;

	if (now < s->sweep_ms)
		return;
	s->sweep_ms = now + CV_RPC_SWEEP_MS;
	for (struct cv_rpc_conn *c = s->conns; c; c = next) {
		next = c->next;
		cv_rpc_conn_sweep(c, now);
	}
}

int64_t cv_rpc_server_due_ms(const struct cv_rpc_server *s)
{
	int64_t at = s->conns ? s->sweep_ms : INT64_MAX;

	for (size_t i = 0; i < s->listener_count; i++)
		if (s->listeners[i].can_accept)
			at = CV_MIN(at, s->accept_ms);
	if (s->deadline_ms != INT64_MAX)
		at = CV_MIN(at,
			CV_MAX(s->deadline_ms, s->deadline_looked_ms + CV_RPC_DEADLINE_GRAIN_MS));
	return s->dirty || s->due ? s->config.loop->now_ms : at;
}

/* ---- the turn ---- */

/* False: it was a long one. */
static bool round_make(struct cv_rpc_server *s)
{
	struct cv_rpc_conn *c, *list;
	bool is_short;

	for (c = s->dirty; c; c = c->next_dirty)
		cv_rpc_conn_receive(c);
	is_short = due_run(s);
	list = s->dirty;
	s->dirty = NULL;
	s->dirty_tail = &s->dirty;
	while ((c = list)) {
		list = c->next_dirty;
		c->is_dirty = false;
		cv_rpc_conn_send(c);
		if (c->is_dirty)
			continue;
		if (cv_rpc_conn_is_over(c))
			cv_rpc_conn_free(c);
		else if (cv_rpc_conn_wants_read(c))
			cv_rpc_dirty(c);
	}
	return is_short;
}

int64_t cv_rpc_server_turn(struct cv_rpc_server *s)
{
	const int64_t now = s->config.loop->now_ms;

	for (size_t i = 0; i < s->listener_count; i++)
		if (s->listeners[i].can_accept && now >= s->accept_ms)
			accept_some(s, &s->listeners[i]);
	deadlines_look(s, now);
	sweep(s, now);
	for (int i = 0; i < CV_RPC_ROUNDS_MAX && (s->dirty || s->due); i++)
		if (!round_make(s))
			break;
	return cv_rpc_server_due_ms(s);
}

void cv_rpc_server_event(struct cv_rpc_server *s, const struct cv_loop_event *e)
{
	const uint32_t in = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	struct cv_rpc_conn *c;

	if (e->watch.ref.index < CV_RPC_LISTENERS_MAX) {
		if (e->watch.ref.index < s->listener_count)
			s->listeners[e->watch.ref.index].can_accept = true;
		return;
	}
	c = conn_of(s, e->watch.ref);
	if (!c)
		return;
	c->can_read |= (e->events & in) != 0;
	c->can_write |= (e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
	c->has_hangup |= (e->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	c->is_broken |= (e->events & (EPOLLHUP | EPOLLERR)) != 0; /* in both directions */
	if ((e->events & in) || c->out.data || cv_rpc_h2_wants_write(c) || c->ssl)
		cv_rpc_dirty(c);
}

/* ---- life ---- */

static int method_cmp(const void *a, const void *b)
{
	const struct cv_rpc_method *x = *(const struct cv_rpc_method *const *)a;
	const struct cv_rpc_method *y = *(const struct cv_rpc_method *const *)b;
	const int order = strcmp(x->service, y->service);

	return order ? order : strcmp(x->name, y->name);
}

const struct cv_rpc_method *cv_rpc_method_find(
	const struct cv_rpc_server *s, struct cv_str service, struct cv_str name)
{
	size_t low = 0, high = s->config.method_count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct cv_rpc_method *m = s->methods[middle];
		int order = cv_str_cmp(service, cv_str_of(m->service));

		if (order == 0)
			order = cv_str_cmp(name, cv_str_of(m->name));
		if (order == 0)
			return m;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

cv_code cv_rpc_server_new(
	const struct cv_rpc_server_config *config, struct cv_rpc_server **ret, struct cv_err *err)
{
	struct cv_rpc_server *s = calloc(1, sizeof(*s));

	if (s)
		s->methods = calloc(config->method_count + 1, sizeof(*s->methods));
	if (!s || !s->methods) {
		free(s);
		return cv_fail(err, CV_UNAVAILABLE, "server: out of memory");
	}
	s->config = *config;
	for (size_t i = 0; i < config->method_count; i++)
		s->methods[i] = &config->methods[i];
	qsort(s->methods, config->method_count, sizeof(*s->methods), method_cmp);
	s->conns_max = config->connections_max ? config->connections_max : CV_RPC_CONNECTIONS_MAX;
	s->conns_max = CV_MIN(s->conns_max, (uint32_t)CV_RPC_CONNECTIONS_MAX);
	s->slot_free = NO_SLOT;
	s->dirty_tail = &s->dirty;
	s->due_tail = &s->due;
	s->deadline_ms = INT64_MAX;
	cv_arena_init(&s->message, CV_RPC_CALL_BYTES_MAX);
	*ret = s;
	return CV_OK;
}

static void listeners_close(struct cv_rpc_server *s)
{
	for (size_t i = 0; i < s->listener_count; i++) {
		close(s->listeners[i].fd);
		SSL_CTX_free(s->listeners[i].tls);
	}
	s->listener_count = 0;
}

void cv_rpc_server_free(struct cv_rpc_server *s)
{
	if (!s)
		return;
	listeners_close(s);
	s->dirty = NULL;
	s->dirty_tail = &s->dirty;
	while (s->conns)
		cv_rpc_conn_free(s->conns);
	while (s->due)
		due_run(s);
	cv_assert(!s->dirty && s->held == 0);
	cv_arena_fini(&s->message);
	free(s->slots);
	free(s->methods);
	free(s);
}

static int alpn_select(SSL *ssl, const unsigned char **ret, unsigned char *ret_bytes,
	const unsigned char *offered, unsigned int n, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1"; /* in this order */
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, ret_bytes, ours, sizeof(ours) - 1, offered, n) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void tls_prepare(SSL_CTX *tls)
{
	SSL_CTX_up_ref(tls);
	SSL_CTX_set_alpn_select_cb(tls, alpn_select, NULL);
}

cv_code cv_rpc_server_listen(struct cv_rpc_server *s, int fd, SSL_CTX *tls, struct cv_err *err)
{
	const struct cv_watch w = { s->config.watch_kind, { (uint32_t)s->listener_count, 0 } };
	const int on = 1;

	if (s->listener_count == CV_RPC_LISTENERS_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d listeners", CV_RPC_LISTENERS_MAX);
	if (cv_loop_add(s->config.loop, fd, EPOLLIN | EPOLLET, w, err) != CV_OK)
		return err->code;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* connections inherit it */
	if (tls)
		tls_prepare(tls);
	s->listeners[s->listener_count++] =
		(struct cv_rpc_listener){ .fd = fd, .tls = tls, .can_accept = true };
	return CV_OK;
}

cv_code cv_rpc_server_listen_older(
	struct cv_rpc_server *s, int fd, SSL_CTX *tls, struct cv_err *err)
{
	const cv_code code = cv_rpc_server_listen(s, fd, tls, err);

	if (code == CV_OK)
		s->listeners[s->listener_count - 1].is_older = true;
	return code;
}

cv_code cv_rpc_server_listen_pages(
	struct cv_rpc_server *s, int fd, const char *const *paths, struct cv_err *err)
{
	const cv_code code = cv_rpc_server_listen(s, fd, NULL, err);

	if (code == CV_OK)
		s->listeners[s->listener_count - 1].paths = paths;
	return code;
}

void cv_rpc_server_set_tls(struct cv_rpc_server *s, SSL_CTX *tls)
{
	for (size_t i = 0; i < s->listener_count; i++)
		if (s->listeners[i].tls) {
			tls_prepare(tls);
			SSL_CTX_free(s->listeners[i].tls);
			s->listeners[i].tls = tls;
		}
}

void cv_rpc_server_drain(struct cv_rpc_server *s)
{
	s->is_draining = true;
	listeners_close(s);
	for (struct cv_rpc_conn *c = s->conns; c; c = c->next) {
		cv_rpc_conn_drain(c);
		cv_rpc_dirty(c);
	}
}

bool cv_rpc_server_is_idle(const struct cv_rpc_server *s)
{
	for (const struct cv_rpc_conn *c = s->conns; c; c = c->next)
		if (c->xchgs)
			return false;
	return true;
}
