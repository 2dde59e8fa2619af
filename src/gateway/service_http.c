/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_http.c - a request whose host is a service's, from its head to its last byte
 *
 *     begin: whose service, who asks, may they ─► DIAL ─► a socket in the sandbox
 *     request:   head written anew, body framed anew ─► out ─► socket
 *     response:  socket ─► in ─► head judged, body unframed ─► the client
 *
 * A connection into the sandbox serves one request.  Each direction has the pace of its slower end.
 *
 * Who may: whoever is on this machine, as with any server that runs there, unless an edge proxy might
 * be, which comes from here for others; others must show who they are and be members of the workspace.
 * What they show stays here: a sandbox that got it could come back with it.  No page of another
 * origin may ask, since browsers come with certificates and cookies whoever asks.
 */
#include "gateway/service.h"

#include "gateway/access.h"
#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/edge.h"
#include "gateway/log.h"
#include "gateway/sandbox_int.h"
#include "sys/fd.h"
#include "wire/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RELAYS_BOX_MAX   256          /* at a time: browsers ask for dozens of files */
#define RELAY_OUT_HOLD   (64u << 10)  /* of the request that wait for the socket */
#define RELAY_OUT_MAX    (256u << 10) /* the same with a head, and framing */
#define RELAY_IN_MAX     (256u << 10) /* of the response before it is understood */
#define RELAY_READ_BYTES (64u << 10)
#define RELAY_READS_MAX  16 /* in a turn */
#define DIAL_MS          10000
#define IDLE_MS          (60 * 60 * 1000)    /* no byte either way */
#define CHANNEL_FIRST    (UINT32_C(1) << 31) /* forward.c has those below */

enum relay_state { DIALLING, HEAD, BODY, RAW, OVER };

struct cv_gw_relay {
	struct cv_gw_relay *next; /* of its box */
	struct cv_gateway *g;
	struct cv_ref ref, box;
	struct cv_rpc_request *request;
	uint32_t channel;
	int fd; /* -1: not yet, or no more */
	enum relay_state state;
	struct cv_buf out, in;
	bool is_chunked, is_request_over; /* its body's framing; all of it is in out */
	bool is_head, is_upgrade, is_blocked, is_eof, is_more;
	size_t scanned;
	enum cv_h1_body body;
	uint64_t left;
	struct cv_chunk *chunk;
	int64_t deadline_ms;
};

struct cv_gw_relays {
	struct cv_slots all;
	uint32_t next_channel;
	int64_t deadline_ms;
	bool has_more;
};

static void respond(struct cv_rpc_request *r, int status, const char *text)
{
	cv_rpc_respond(r, status, "text/plain; charset=utf-8", "cache-control: no-store\r\n",
		cv_str_of(text));
}

/* ---- life ---- */

static void socket_close(struct cv_gw_relay *y)
{
	if (y->fd < 0)
		return;
	cv_loop_remove(&y->g->loop, y->fd);
	close(y->fd);
	y->fd = -1;
}

static void relay_free(struct cv_gw_relay *y)
{
	struct cv_gw_box *b = cv_gw_box_get(y->g, y->box);

	for (struct cv_gw_relay **i = b ? &b->relays : NULL; i && *i; i = &(*i)->next)
		if (*i == y) {
			*i = y->next;
			b->relay_count--;
			break;
		}
	socket_close(y);
	cv_slots_remove(&y->g->relays->all, y->ref);
	cv_buf_fini(&y->out);
	cv_buf_fini(&y->in);
	free(y->chunk);
	free(y);
}

/* The answer is whole. */
static void over(struct cv_gw_relay *y)
{
	y->state = OVER;
	socket_close(y);
	cv_rpc_relay_end(y->request);
}

/* It will not be: a status if the client has none yet. */
static void fail(struct cv_gw_relay *y, int status, const char *text)
{
	const bool is_begun = y->state == BODY || y->state == RAW;

	if (y->state == OVER)
		return;
	y->state = OVER;
	socket_close(y);
	if (is_begun)
		cv_rpc_relay_abort(y->request);
	else
		respond(y->request, status, text);
}

static void clock_set(struct cv_gw_relay *y, int64_t ms)
{
	y->deadline_ms = y->g->loop.now_ms + ms;
	y->g->relays->deadline_ms = CV_MIN(y->g->relays->deadline_ms, y->deadline_ms);
}

/* ---- towards the sandbox ---- */

static void body_take(struct cv_gw_relay *y)
{
	const struct cv_str have = cv_rpc_relay_body(y->request);
	const size_t room = RELAY_OUT_HOLD - CV_MIN((size_t)RELAY_OUT_HOLD, cv_buf_len(&y->out));
	const struct cv_str piece = cv_str_slice(have, 0, CV_MIN(have.n, room));

	if (y->is_request_over && y->state != RAW)
		return;
	if (piece.n) {
		if (y->is_chunked)
			cv_chunk_write(&y->out, piece);
		else
			cv_buf_put(&y->out, piece);
		cv_rpc_relay_take(y->request, piece.n);
	}
	if (piece.n == have.n && cv_rpc_relay_is_body_over(y->request) && y->state != RAW) {
		y->is_request_over = true;
		if (y->is_chunked)
			cv_buf_put(&y->out, CV_CHUNK_END);
	}
}

static void request_write(struct cv_gw_relay *y)
{
	if (y->fd < 0)
		return;
	do {
		body_take(y);
		while (cv_buf_len(&y->out)) {
			const struct cv_str s = cv_buf_str(&y->out);
			const ssize_t n = send(y->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && errno == EAGAIN)
				return;
			/* It takes no more; what it answers is still worth reading. */
			cv_buf_skip(&y->out, n < 0 ? s.n : (size_t)n);
		}
	} while (cv_rpc_relay_body(y->request).n && (!y->is_request_over || y->state == RAW));
}

/* ---- towards the client ---- */

static bool put(struct cv_gw_relay *y, struct cv_str bytes)
{
	if (bytes.n && !cv_rpc_relay_put(y->request, bytes))
		y->is_blocked = true;
	return !y->is_blocked;
}

static void head_answer(struct cv_gw_relay *y, const struct cv_h1_response *h)
{
	struct cv_arena *arena = cv_rpc_request_arena(y->request);
	struct cv_rpc_field f[CV_H1_HEADERS_MAX + 1];
	const size_t n = service_response_fields(h, arena, f, CV_ARRAY_LEN(f) - 1);

	if (arena->is_overflown) {
		fail(y, 502, "Service endpoint is not reachable");
		return;
	}
	if (h->status == 101) {
		f[n] = (struct cv_rpc_field){ CV_STR("upgrade"), cv_arena_str(arena, h->upgrade) };
		y->state = RAW;
		y->is_chunked = false;
		cv_rpc_relay_switch(y->request, f, n + 1);
		return;
	}
	y->body = h->body;
	y->left = h->body == CV_H1_BODY_LENGTH ? h->length : 0;
	const bool has_body =
		h->body != CV_H1_BODY_NONE && !(h->body == CV_H1_BODY_LENGTH && !y->left);
	y->state = BODY;
	cv_rpc_relay_head(y->request, h->status, f, n, has_body);
	if (!has_body)
		over(y);
}

/* True: there is more to understand. */
static bool head_read(struct cv_gw_relay *y)
{
	struct cv_h1_response h;
	const enum cv_h1_rc rc =
		cv_h1_response_parse(cv_buf_str(&y->in), CV_H1_REPLY_HEAD_BYTES_MAX, &y->scanned,
			y->is_head ? CV_H1_ASKED_HEAD : CV_H1_ASKED_OTHER, &h);

	if (rc == CV_H1_MORE && !y->is_eof)
		return false;
	if (rc != CV_H1_OK || (h.status == 101 && !(y->is_upgrade && h.is_upgrade))) {
		fail(y, 502, "Service endpoint is not reachable");
		return false;
	}
	y->scanned = 0;
	if (h.status >= 200 || h.status == 101)
		head_answer(y, &h); /* else it says only that the answer will come */
	cv_buf_skip(&y->in, h.head_bytes);
	return y->state != OVER;
}

static void chunks_read(struct cv_gw_relay *y)
{
	const struct cv_str all = cv_buf_str(&y->in);
	struct cv_str rest = all, piece;
	enum cv_chunk_event e = CV_CHUNK_MORE;

	if (!y->chunk) {
		y->chunk = malloc(sizeof(*y->chunk));
		if (!y->chunk) {
			fail(y, 502, "");
			return;
		}
		cv_chunk_init(y->chunk);
	}
	while (!y->is_blocked && (e = cv_chunk_next(y->chunk, &rest, &piece)) == CV_CHUNK_DATA)
		put(y, piece);
	cv_buf_skip(&y->in, all.n - rest.n);
	if (e == CV_CHUNK_DONE)
		over(y);
	else if (e == CV_CHUNK_BAD || (y->is_eof && !y->is_blocked))
		fail(y, 502, "");
}

static void plain_read(struct cv_gw_relay *y)
{
	const struct cv_str have = cv_buf_str(&y->in);
	const bool is_counted = y->state == BODY && y->body == CV_H1_BODY_LENGTH;
	const size_t n = is_counted ? (size_t)CV_MIN((uint64_t)have.n, y->left) : have.n;

	put(y, cv_str_slice(have, 0, n));
	cv_buf_skip(&y->in, n);
	y->left -= is_counted ? n : 0;
	if (is_counted && !y->left)
		over(y);
	else if (y->is_eof && is_counted)
		fail(y, 502, "");
	else if (y->is_eof)
		over(y);
}

static void response_understand(struct cv_gw_relay *y)
{
	while (y->state == HEAD && head_read(y))
		;
	if (y->state == BODY && y->body == CV_H1_BODY_CHUNKED)
		chunks_read(y);
	else if (y->state == BODY || y->state == RAW)
		plain_read(y);
}

static void response_read(struct cv_gw_relay *y)
{
	y->is_more = false;
	if (cv_buf_len(&y->in) && !y->is_blocked)
		response_understand(y);
	for (int i = 0; y->fd >= 0 && !y->is_blocked && !y->is_eof; i++) {
		char *to = cv_buf_reserve(&y->in, RELAY_READ_BYTES);

		if (!to) {
			fail(y, 502, "Service endpoint is not reachable");
			return;
		}
		if (i == RELAY_READS_MAX) {
			y->is_more = y->g->relays->has_more = true;
			return;
		}
		const ssize_t n = recv(y->fd, to, RELAY_READ_BYTES, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		clock_set(y, IDLE_MS);
		if (n > 0)
			cv_buf_commit(&y->in, (size_t)n);
		y->is_eof = n <= 0;
		response_understand(y);
	}
	if (!cv_buf_len(&y->in)) {
		cv_buf_fini(&y->in);
		cv_buf_init(&y->in, RELAY_IN_MAX);
	}
}

/* ---- a request ---- */

/* A token that the gateway or its users' issuer made must not be shown to an agent. */
static bool is_token_ours(const struct cv_gateway *g, struct cv_rpc_request *r)
{
	const struct cv_str a = cv_rpc_request_header(r, "authorization");

	return cv_str_eq_nocase(cv_str_slice(a, 0, 7), CV_STR("Bearer ")) &&
	       cv_gw_token_is_known(g, cv_str_trim(cv_str_slice(a, 7, a.n)));
}

static bool is_allowed(struct cv_gateway *g, struct cv_rpc_request *r, struct cv_str workspace)
{
	static const struct cv_rpc_rule rule = { CV_RPC_AUTH_BEARER, "sandbox:read",
		CV_RPC_ROLE_MEMBER };
	enum cv_rpc_status s;
	struct cv_object *w;
	struct cv_err err;

	if (cv_rpc_relay_is_near(r) && !cv_gw_edge_is_on(g->config))
		return true;
	s = cv_rpc_relay_caller(r, &rule, &err);
	if (s == CV_RPC_OK)
		s = cv_gw_workspace_may(g, cv_rpc_request_principal(r), CV_RPC_ROLE_MEMBER,
			workspace, false, &w, &err);
	if (s == CV_RPC_OK)
		return true;
	cv_rpc_respond_error(r, s, "%s", err.msg);
	return false;
}

/* The sandbox and the port behind the name; NULL: answered. */
static struct cv_gw_box *target_find(
	struct cv_gateway *g, struct cv_rpc_request *r, uint16_t *ret_port)
{
	struct service_name name;
	const struct cv_object *o, *sandbox;

	if (!service_host_parse(cv_rpc_request_host(r), &name)) {
		respond(r, 400, "Invalid service request");
		return NULL;
	}
	if (!is_allowed(g, r, name.workspace))
		return NULL;
	o = service_find(g, &name);
	if (!o) {
		respond(r, 404, "Service endpoint not found");
		return NULL;
	}
	sandbox = cv_object_find_id(
		g->objects, CV_OBJECT_SANDBOX, cv_str_of(service_of(o)->sandbox_id));
	if (!sandbox || !service_of(o)->domain) {
		respond(r, 404, "Service endpoint is not available");
		return NULL;
	}
	struct cv_gw_box *b = cv_gw_box_of(sandbox);
	if (b->state != CV_GW_UP || cv_gw_box_want(b) != CV_GW_RUN) {
		respond(r, 412, "Sandbox is not ready");
		return NULL;
	}
	*ret_port = (uint16_t)service_of(o)->target_port;
	return b;
}

static struct cv_gw_relay *relay_new(struct cv_gw_box *b, struct cv_rpc_request *r)
{
	struct cv_gw_relays *all = b->g->relays;
	struct cv_gw_relay *y = b->relay_count < RELAYS_BOX_MAX ? calloc(1, sizeof(*y)) : NULL;

	if (!y || !cv_slots_add(&all->all, y, &y->ref)) {
		free(y);
		return NULL;
	}
	y->g = b->g;
	y->box = b->ref;
	y->request = r;
	y->fd = -1;
	y->channel = CHANNEL_FIRST | all->next_channel++;
	cv_buf_init(&y->out, RELAY_OUT_MAX);
	cv_buf_init(&y->in, RELAY_IN_MAX);
	y->next = b->relays;
	b->relays = y;
	b->relay_count++;
	cv_rpc_request_set_state(r, y);
	return y;
}

static bool request_describe(
	struct cv_gateway *g, struct cv_rpc_request *r, struct service_request *ret)
{
	struct cv_arena *arena = cv_rpc_request_arena(r);

	*ret = (struct service_request){
		.method = cv_rpc_request_method(r),
		.host = cv_rpc_request_host(r),
		.is_tls = cv_rpc_relay_is_tls(r),
		.is_upgrade = cv_rpc_relay_is_upgrade(r),
		.has_body = !cv_rpc_relay_is_body_over(r) || cv_rpc_relay_body(r).n,
		.is_token_ours = is_token_ours(g, r),
		.is_edge_ours = cv_gw_edge_is_on(g->config),
	};
	ret->target = cv_arena_printf(arena, "%.*s%s%.*s", CV_STR_ARG(cv_rpc_request_path(r)),
		cv_rpc_relay_has_query(r) ? "?" : "", CV_STR_ARG(cv_rpc_request_query(r)));
	ret->fields = cv_rpc_relay_fields(r, &ret->field_count);
	return !arena->is_overflown;
}

static void on_begin(struct cv_rpc_request *r)
{
	struct cv_gateway *g = cv_gw_of_request(r);
	struct service_request q;
	struct cv_err err;
	uint16_t port;

	if (!request_describe(g, r, &q)) {
		respond(r, 400, "Invalid service request");
		return;
	}
	if (service_is_cross_origin(&q) ||
		(!q.is_tls && !g->config->disable_tls && !g->config->service_http)) {
		respond(r, 403, "Cross-origin service request rejected");
		return;
	}
	struct cv_gw_box *b = target_find(g, r, &port);
	if (!b)
		return;
	struct cv_gw_relay *y = relay_new(b, r);
	if (!y) {
		respond(r, 503, "Service endpoint is busy");
		return;
	}
	y->is_head = cv_str_eq(q.method, CV_STR("HEAD"));
	y->is_upgrade = q.is_upgrade;
	if (!service_request_write(&q, &y->out, &y->is_chunked)) {
		fail(y, 400, "Invalid service request");
		return;
	}
	clock_set(y, DIAL_MS);
	const enum cv_rpc_status s = box_dial(b, y->channel, port, &err);
	if (s == CV_RPC_RESOURCE_EXHAUSTED)
		fail(y, 503, "Service endpoint is busy");
	else if (s != CV_RPC_OK)
		fail(y, 502, "Service endpoint is not reachable");
}

static void on_readable(struct cv_rpc_request *r)
{
	struct cv_gw_relay *y = cv_rpc_request_state(r);

	if (y && y->fd >= 0) {
		clock_set(y, IDLE_MS);
		request_write(y);
	}
}

static void on_writable(struct cv_rpc_request *r)
{
	struct cv_gw_relay *y = cv_rpc_request_state(r);

	if (!y || y->state == OVER)
		return;
	y->is_blocked = false;
	if (y->is_eof)
		response_understand(y);
	else
		response_read(y);
}

static void on_closed(struct cv_rpc_request *r)
{
	if (cv_rpc_request_state(r))
		relay_free(cv_rpc_request_state(r));
}

static bool claims(void *arg, struct cv_str host)
{
	struct service_name name;

	(void)arg;
	return service_host_parse(host, &name);
}

static bool may_be_clear(void *arg)
{
	return ((const struct cv_gateway *)arg)->config->service_http;
}

const struct cv_rpc_relay_handler cv_gw_service_relay = {
	.claims = claims,
	.may_be_clear = may_be_clear,
	.begin = on_begin,
	.readable = on_readable,
	.writable = on_writable,
	.closed = on_closed,
};

/* ---- what supervisors say ---- */

bool service_message(struct cv_gw_box *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t channel = cv_ipc_get_u32(&r);
	struct cv_gw_relay *y = b->relays;
	struct cv_err err;

	if (channel < CHANNEL_FIRST)
		return false;
	while (y && y->channel != channel)
		y = y->next;
	if (!y || y->state != DIALLING)
		return true;
	if (m->type != CV_GATEWAY_REPLY_DIALLED) {
		fail(y, 502, "Service endpoint is not reachable");
		return true;
	}
	y->fd = cv_take_fd(m->fds[0]);
	y->state = HEAD;
	clock_set(y, IDLE_MS);
	if (cv_loop_add(&y->g->loop, y->fd, EPOLLIN | EPOLLOUT | EPOLLET,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_SERVICE_HTTP, 0), y->ref },
		    &err) != CV_OK) {
		close(y->fd);
		y->fd = -1;
		fail(y, 500, "Service endpoint is not available");
		return true;
	}
	request_write(y);
	response_read(y);
	return true;
}

void service_ended(struct cv_gw_box *b)
{
	for (struct cv_gw_relay *y = b->relays; y; y = y->next)
		if (y->state == DIALLING)
			fail(y, 502, "Service endpoint is not reachable");
}

/* ---- the part ---- */

static void part_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_gw_relay *y = cv_slots_get(&g->relays->all, e->watch.ref);

	if (y && (e->events & EPOLLOUT))
		request_write(y);
	if (y && (e->events & ~(uint32_t)EPOLLOUT))
		response_read(y);
}

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_relays *s = g->relays;
	int64_t next = INT64_MAX;

	if (g->loop.now_ms < s->deadline_ms && !s->has_more)
		return s->deadline_ms;
	s->has_more = false;
	for (size_t i = 0; i < s->all.n; i++) {
		struct cv_gw_relay *y = s->all.v[i].thing;

		if (!y || y->state == OVER)
			continue;
		if (g->loop.now_ms >= y->deadline_ms)
			fail(y, 502, "Service endpoint is not reachable");
		else
			next = CV_MIN(next, y->deadline_ms);
		if (y->is_more)
			response_read(y);
	}
	s->deadline_ms = next;
	return s->has_more ? g->loop.now_ms : next;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->relays = calloc(1, sizeof(*g->relays));
	if (!g->relays)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->relays->deadline_ms = INT64_MAX;
	return CV_OK;
}

static void part_stop(struct cv_gateway *g)
{
	if (g->relays)
		cv_slots_fini(&g->relays->all);
	free(g->relays);
	g->relays = NULL;
}

const struct cv_gw_part cv_gw_part_service_http = {
	.name = "service_http",
	.start = part_start,
	.stop = part_stop,
	.event = part_event,
	.turn = part_turn,
};
