/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_call.c - what a route of inference.local is asked, and by whom
 *
 * The request that leaves is an ordinary exchange of an ordinary flow.  Its client is we ourselves:
 * one end of a socket pair is that flow's client leg, the other end the server leg of the agent's
 * flow.  So names are looked up, addresses checked, TLS verified, placeholders replaced, answers
 * scrubbed and events written by the same code as for an agent's own request, and none of it
 * knows where the request came from.  The inner flow differs in one thing: its verdict is given,
 * by whoever wrote the routes (flow.is_routed), and instead of a denial it just ends.
 *
 *     agent --TLS-- flow(local) ==socket pair== flow(is_routed) --TLS-- upstream
 *
 * What passes of the agent's head is a short list; credentials of its own are none of it.
 */
#include "proxy/local_inference.h"

#include "wire/h1_write.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(p) (1u << CV_INFER_##p)
#define OPENAI (BIT(CHAT) | BIT(COMPLETIONS) | BIT(RESPONSES) | BIT(EMBEDDINGS) | BIT(MODELS))
#define BEDROCK                                                                     \
	(BIT(BEDROCK_INVOKE) | BIT(BEDROCK_INVOKE_STREAM) | BIT(BEDROCK_CONVERSE) | \
		BIT(BEDROCK_CONVERSE_STREAM))

enum auth { AUTH_NONE, AUTH_BEARER, AUTH_KEY };

/* How each type is talked to (openshell-behaviour 7). */
static const struct {
	uint32_t protocols;
	enum auth auth;
	struct cv_str headers[3]; /* of the agent, that pass */
} type[CV_ROUTE_TYPE_COUNT] = {
	[CV_ROUTE_OPENAI] = { OPENAI, AUTH_BEARER,
		{ CV_STR("openai-organization"), CV_STR("x-model-id") } },
	[CV_ROUTE_ANTHROPIC] = { BIT(MESSAGES) | BIT(MODELS), AUTH_KEY,
		{ CV_STR("anthropic-version"), CV_STR("anthropic-beta") } },
	[CV_ROUTE_NVIDIA] = { OPENAI, AUTH_BEARER, { { NULL, 0 } } },
	[CV_ROUTE_DEEPINFRA] = { OPENAI, AUTH_BEARER, { { NULL, 0 } } },
	[CV_ROUTE_VERTEX] = { BIT(CHAT) | BIT(MESSAGES), AUTH_BEARER, { { NULL, 0 } } },
	[CV_ROUTE_BEDROCK] = { BEDROCK, AUTH_NONE, { { NULL, 0 } } },
};

/* ---- which routes ---- */

static bool is_fit(const struct cv_call_routes *r, size_t route, enum cv_infer_protocol protocol)
{
	return type[r->set.v[route].type].protocols >> protocol & 1;
}

/* Of the routes from, up to end (of one order), the one whose turn it is: each gains its weight,
 * the richest is taken and pays all that was handed out, so that shares come out even. */
static size_t turn_take(
	struct cv_call_routes *r, size_t from, size_t end, enum cv_infer_protocol protocol)
{
	int64_t sum = 0;
	size_t best = end;

	for (size_t i = from; i < end; i++) {
		if (!is_fit(r, i, protocol))
			continue;
		sum += r->set.v[i].weight;
		r->turn[i] += r->set.v[i].weight;
		if (best == end || r->turn[i] > r->turn[best])
			best = i;
	}
	if (best < end)
		r->turn[best] -= sum;
	return best;
}

void cv_call_routes_order(struct cv_local_call *call)
{
	const struct cv_routes *r = &call->routes->set;

	call->order_count = call->order_next = 0;
	for (size_t from = 0, end; from < r->n; from = end) {
		end = from + 1;
		while (end < r->n && r->v[end].order == r->v[from].order)
			end++;
		const size_t first = turn_take(call->routes, from, end, call->protocol);
		if (first < end)
			call->order[call->order_count++] = (uint8_t)first;
		for (size_t i = from; i < end; i++)
			if (i != first && is_fit(call->routes, i, call->protocol))
				call->order[call->order_count++] = (uint8_t)i;
	}
}

/* ---- the request ---- */

/* A model's name as one segment. */
static void segment_put(struct cv_buf *b, struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i], low = cv_ascii_lower(c);

		if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
			(c && strchr("-._~:@", c)))
			cv_buf_put_byte(b, c);
		else
			cv_buf_printf(b, "%%%02X", (unsigned)(unsigned char)c);
	}
}

/* The route's model, or what the agent asked for. */
static void model_put(struct cv_buf *b, const struct cv_local_call *call)
{
	struct cv_infer_asked asked;
	struct cv_buf said;

	if (call->route->model.n) {
		segment_put(b, call->route->model);
	} else if (call->path_model.n) {
		cv_buf_put(b, call->path_model); /* canonical already */
	} else if (cv_infer_read(cv_buf_str(&call->body), &asked) == CV_JSON_PROBLEM_NONE &&
		   asked.model.type == CV_JSON_STRING) {
		cv_buf_init(&said, CV_JSON_EDIT_BYTES_MAX);
		if (cv_json_decode(&asked.model, &said))
			segment_put(b, cv_buf_str(&said));
		cv_buf_fini(&said);
	}
}

static void path_put(struct cv_buf *b, const struct cv_local_call *call)
{
	const struct cv_route *r = call->route;
	const struct cv_str path = cv_path_str(&call->path);
	const size_t version = CV_STR("/v1").n;

	cv_buf_put(b, r->path);
	if (r->type == CV_ROUTE_BEDROCK) {
		cv_buf_put(b, CV_STR("/model/"));
		model_put(b, call);
		cv_buf_put(b, cv_str_slice(path, cv_str_rfind_byte(path, '/'), path.n));
	} else if (r->type == CV_ROUTE_VERTEX && call->protocol == CV_INFER_MESSAGES) {
		cv_buf_put(b, CV_STR("/publishers/anthropic/models/"));
		model_put(b, call);
		cv_buf_put(
			b, call->is_stream ? CV_STR(":streamRawPredict") : CV_STR(":rawPredict"));
	} else {
		cv_buf_put(b, cv_str_slice(path, version, path.n));
	}
}

static bool body_put(struct cv_buf *b, const struct cv_local_call *call)
{
	const struct cv_route *r = call->route;
	const bool is_vertex_claude =
		r->type == CV_ROUTE_VERTEX && call->protocol == CV_INFER_MESSAGES;
	const struct cv_infer_edit edit = {
		.model = r->type == CV_ROUTE_BEDROCK ? CV_STR_NONE : r->model,
		.drops_model = is_vertex_claude,
		.version = is_vertex_claude ? CV_STR("vertex-2023-10-16") : CV_STR_NONE,
		.wants_stream_usage =
			call->protocol == CV_INFER_CHAT || call->protocol == CV_INFER_COMPLETIONS,
	};

	return call->protocol == CV_INFER_MODELS ||
	       cv_infer_write(cv_buf_str(&call->body), &edit, b);
}

#define FIELDS_MAX (8 + CV_ROUTE_HEADERS_MAX + 3)

struct fields {
	struct cv_h1_header v[FIELDS_MAX];
	size_t n;
};

static void field_set(struct fields *to, struct cv_str name, struct cv_str value)
{
	to->v[to->n++] = (struct cv_h1_header){ .name = name, .value = value };
}

/* The agent's field, or without one the default, if there is one. */
static void field_pass(struct fields *to, const struct cv_local_call *call, struct cv_str name,
	struct cv_str otherwise)
{
	size_t at = 0;
	const struct cv_h1_header *h = cv_h1_header_next_named(
		call->request.header, call->request.header_count, name, &at);

	if (h)
		field_set(to, name, h->value);
	else if (otherwise.p)
		field_set(to, name, otherwise);
}

/* The credential's placeholder, as the agent itself would have sent it: what puts the value in its
 * place does so here too. */
static void auth_set(struct fields *to, const struct cv_route *r, struct cv_arena *arena)
{
	if (!r->credential.n || type[r->type].auth == AUTH_NONE)
		return;
	const bool is_bearer = type[r->type].auth == AUTH_BEARER;
	field_set(to, is_bearer ? CV_STR("Authorization") : CV_STR("x-api-key"),
		cv_arena_printf(arena, "%sopenshell:resolve:env:%.*s", is_bearer ? "Bearer " : "",
			CV_STR_ARG(r->credential)));
}

static void fields_make(struct fields *to, struct cv_local_call *call)
{
	const struct cv_route *r = call->route;

	to->n = 0;
	auth_set(to, r, &call->arena);
	field_pass(to, call, CV_STR("Accept"), CV_STR("*/*"));
	field_set(to, CV_STR("Accept-Encoding"), CV_STR("identity")); /* usage must be read */
	field_pass(to, call, CV_STR("User-Agent"), CV_STR("cove"));
	if (call->protocol != CV_INFER_MODELS)
		field_set(to, CV_STR("Content-Type"), CV_STR("application/json"));
	for (size_t i = 0; i < CV_ARRAY_LEN(type[0].headers); i++)
		if (type[r->type].headers[i].n)
			field_pass(to, call, type[r->type].headers[i],
				cv_str_eq(type[r->type].headers[i], CV_STR("anthropic-version"))
					? CV_STR("2023-06-01")
					: CV_STR_NONE);
	for (size_t i = 0; i < r->header_count; i++)
		field_pass(to, call, r->headers[i], CV_STR_NONE);
}

bool cv_call_wire_make(struct cv_local_call *call)
{
	const struct cv_route *r = call->route;
	const struct cv_authority to = { r->host, r->port };
	const struct cv_h1_request bare = { .method = call->request.method, .minor = 1 };
	struct cv_buf path, body;
	struct fields fields;
	bool is_good;

	cv_buf_init(&path, CV_PATH_BYTES_MAX);
	cv_buf_init(&body, CV_PROXY_CALL_BYTES_MAX + 4 * CV_JSON_EDIT_BYTES_MAX);
	cv_buf_reset(&call->wire);
	path_put(&path, call);
	is_good = body_put(&body, call) && !path.is_overflown;
	fields_make(&fields, call);
	const struct cv_h1_request_edit edit = {
		.common = {
			.set = fields.v,
			.set_count = fields.n,
			.body = cv_buf_len(&body) ? CV_H1_BODY_LENGTH : CV_H1_BODY_NONE,
			.length = cv_buf_len(&body),
			.is_keep_alive = true,
		},
		.authority = &to,
		.port_default = r->is_https ? 443 : 80,
		.path = cv_buf_str(&path),
		.query = call->request.query,
	};
	is_good = is_good && cv_h1_write_request(&call->wire, &bare, &edit) &&
		  cv_buf_put(&call->wire, cv_buf_str(&body));
	cv_buf_fini(&path);
	cv_buf_fini(&body);
	return is_good;
}

/* ---- the flow that asks ---- */

static bool pair_watch(struct cv_proxy *p, int fd, enum cv_watch_kind kind, struct cv_flow *f)
{
	const struct cv_watch w = { .kind = (uint8_t)kind, .ref = cv_flow_ref(f) };

	return cv_loop_add(&p->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, w, NULL) ==
	       CV_OK;
}

static void inner_fill(struct cv_proxy *p, struct cv_flow *inner, const struct cv_flow *f)
{
	const struct cv_route *r = f->local->call->route;

	inner->started_ms = p->loop.now_ms;
	inner->is_routed = inner->is_tunnel = inner->is_transparent = true;
	inner->is_tls = r->is_https; /* to the code of HTTP: requests are for https */
	inner->server_tls = r->is_https ? CV_SERVER_TLS_LATER : CV_SERVER_PLAIN;
	inner->host = r->host;
	inner->port = r->port;
	inner->src_ip = f->src_ip;
	inner->src_port = f->src_port;
	inner->who_problem = f->who_problem;
	inner->policy = cv_policy_ref(p->policy);
	inner->routes = cv_call_routes_ref(f->local->call->routes);
	inner->verdict = f->verdict;
	inner->verdict.obligations = CV_OBLIGE_INSPECT | CV_OBLIGE_DECLARED_HOST;
	inner->who = f->who ? malloc(sizeof(*f->who)) : NULL;
	if (inner->who)
		*inner->who = *f->who; /* its texts are the agent's flow's, which lives longer */
}

bool cv_call_inner_start(struct cv_proxy *p, struct cv_flow *f)
{
	int pair[2];
	struct cv_flow *inner;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	inner = cv_flow_new(&p->flows);
	if (!inner) {
		close(pair[0]);
		close(pair[1]);
		return false;
	}
	inner_fill(p, inner, f);
	cv_leg_open(&f->server, &p->io, pair[0]);
	cv_leg_open(&inner->client, &p->io, pair[1]);
	cv_flow_set_state(inner, CV_FLOW_RESOLVE, p->loop.now_ms);
	f->local->call->inner = cv_flow_ref(inner);
	if (!pair_watch(p, pair[0], CV_WATCH_SERVER, f) ||
		!pair_watch(p, pair[1], CV_WATCH_CLIENT, inner)) {
		cv_leg_close(&f->server);
		cv_flow_end(p, inner, false);
		cv_proxy_queue(p, inner);
		return false;
	}
	f->server.can_write = true;
	cv_proxy_queue(p, inner);
	return true;
}
