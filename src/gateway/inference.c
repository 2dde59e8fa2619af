/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inference.c - SetInferenceRoute, GetInferenceRoute, DeleteInferenceRoute, GetInferenceBundle
 *
 * A route is set when a call of its model was answered (probe.h), unless the request says no_verify.
 *
 *     workspace ─► route: provider, model ─► base URL, type, key (resolved when they are used)
 *          └─► a sandbox: routes for its proxy (inference_box.c), and the provider's credentials
 *              for its keeper (compose.c)
 *
 * Only provider, model and time are stored.  A key is never in a route: what the proxy sends, and
 * what a bundle has, is the name that a keeper knows it by.
 */
#include "gateway/inference_int.h"

#include "gateway/access.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/probe.h"
#include "gateway/profile.h"
#include "gateway/provider.h"
#include "gateway/sandbox.h"
#include "gateway/state.h"
#include "plan/routes.h"

#include "inference.pb-c.h"
#include "sys/clock.h"

#include <stdio.h>
#include <unistd.h>

#define MODEL_BYTES_MAX 256
#define PLACEHOLDER     "openshell:resolve:env:"

/* ---- what a provider means ---- */

/* How each kind of provider is talked to; others as the first, which many copy. */
/* clang-format off */
static const struct kind {
	const char *profile, *word, *base_key, *base_url;
	const char *protocols[4];
	bool has_key;
} kind[CV_ROUTE_TYPE_COUNT] = {
	[CV_ROUTE_OPENAI] = { "openai", "openai", "OPENAI_BASE_URL", "https://api.openai.com/v1",
		{ "openai_chat_completions", "openai_completions", "openai_responses", "openai_embeddings" }, true },
	[CV_ROUTE_ANTHROPIC] = { "anthropic", "anthropic", "ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1",
		{ "anthropic_messages" }, true },
	[CV_ROUTE_NVIDIA] = { "nvidia", "nvidia", "NVIDIA_BASE_URL", "https://integrate.api.nvidia.com/v1",
		{ "openai_chat_completions", "openai_completions", "openai_embeddings" }, true },
	[CV_ROUTE_DEEPINFRA] = { "deepinfra", "deepinfra", "DEEPINFRA_BASE_URL", "https://api.deepinfra.com/v1/openai",
		{ "openai_chat_completions", "openai_completions", "openai_embeddings" }, true },
	[CV_ROUTE_VERTEX] = { "google-vertex-ai", "google-vertex-ai", "VERTEX_AI_BASE_URL", NULL,
		{ "anthropic_messages", "openai_chat_completions" }, true },
	[CV_ROUTE_BEDROCK] = { "aws-bedrock", "aws-bedrock", "BEDROCK_BASE_URL", NULL,
		{ "aws_bedrock_invoke" }, false },
};
/* clang-format on */

static struct cv_str config_of(const cv_gw_provider_pb *p, const char *key)
{
	return cv_pb_map_get(p->config, p->n_config, cv_str_of(key));
}

static const char *key_of(const cv_gw_provider_pb *p, const struct cv_profile *profile)
{
	for (size_t i = 0; i < profile->credential_count; i++)
		for (size_t k = 0; k < profile->credentials[i].env_vars.n; k++)
			for (size_t h = 0; h < p->n_credential_handles; h++)
				if (cv_str_eq(profile->credentials[i].env_vars.v[k].s,
					    cv_str_of(p->credential_handles[h]->key)))
					return p->credential_handles[h]->key;
	return p->n_credential_handles ? p->credential_handles[0]->key : NULL;
}

/* A user's profile says where its service is. */
static bool endpoint_url(const struct cv_profile *profile, char ret[CV_GW_RESOLVED_BYTES])
{
	const struct cv_policy_endpoint *e = profile->network.endpoints;

	if (!profile->network.endpoint_count || !e->port_count ||
		cv_str_find_byte(e->host.s, '*') < e->host.s.n)
		return false;
	snprintf(ret, CV_GW_RESOLVED_BYTES, "https://%.*s:%u/v1", CV_STR_ARG(e->host.s),
		(unsigned)e->ports[0]);
	return true;
}

static bool url_find(const cv_gw_provider_pb *p, const struct cv_profile *profile, bool is_built_in,
	struct cv_gw_resolved *ret)
{
	const struct kind *k = &kind[ret->type];
	const struct cv_str given = config_of(p, k->base_key), region = config_of(p, "AWS_REGION"),
			    project = config_of(p, "GOOGLE_CLOUD_PROJECT"),
			    location = config_of(p, "GOOGLE_CLOUD_LOCATION");

	if (given.n)
		snprintf(ret->base_url, CV_GW_RESOLVED_BYTES, "%.*s", CV_STR_ARG(given));
	else if (!is_built_in)
		return endpoint_url(profile, ret->base_url);
	else if (k->base_url)
		snprintf(ret->base_url, CV_GW_RESOLVED_BYTES, "%s", k->base_url);
	else if (ret->type == CV_ROUTE_BEDROCK && region.n)
		snprintf(ret->base_url, CV_GW_RESOLVED_BYTES,
			"https://bedrock-runtime.%.*s.amazonaws.com", CV_STR_ARG(region));
	else if (ret->type == CV_ROUTE_VERTEX && project.n && location.n)
		snprintf(ret->base_url, CV_GW_RESOLVED_BYTES,
			"https://%.*s-aiplatform.googleapis.com/v1/projects/%.*s/locations/%.*s",
			CV_STR_ARG(location), CV_STR_ARG(project), CV_STR_ARG(location));
	else
		return false;
	return true;
}

cv_code cv_gw_route_resolve(const struct cv_gateway *g, const struct cv_object *provider,
	struct cv_gw_resolved *ret, struct cv_err *err)
{
	const cv_gw_provider_pb *p = cv_gw_provider_of(provider);
	struct cv_gw_profile profile;
	cv_code code = cv_gw_profile_find(
		g, cv_str_of(p->profile_workspace), cv_str_of(p->type), &profile, err);

	if (code != CV_OK)
		return code;
	*ret = (struct cv_gw_resolved){ .type = CV_ROUTE_OPENAI };
	for (size_t i = 0; i < CV_ARRAY_LEN(kind); i++)
		if (cv_str_eq(profile.profile->id.s, cv_str_of(kind[i].profile)))
			ret->type = (enum cv_route_type)i;
	ret->key = kind[ret->type].has_key ? key_of(p, profile.profile) : NULL;
	if (!profile.profile->is_inference_capable)
		code = cv_fail(err, CV_INVALID, "provider '%.*s' of type '%s' serves no inference",
			CV_STR_ARG(provider->name), p->type);
	else if (!url_find(p, profile.profile, !profile.object, ret))
		code = cv_fail(err, CV_INVALID,
			"provider '%.*s': its configuration does not say where it is (%s)",
			CV_STR_ARG(provider->name), kind[ret->type].base_key);
	cv_gw_profile_fini(&profile);
	return code;
}

/* As plan/routes.h reads it; a JSON string is one of YAML. */
static void file_put(
	struct cv_buf *b, const INF(InferenceRouteConfig) * c, const struct cv_gw_resolved *r)
{
	cv_buf_printf(b,
		"version: 1\nroutes:\n  - name: %s\n    type: %s\n    base_url: ", CV_GW_ROUTE_USER,
		kind[r->type].word);
	cv_buf_put_json_str(b, cv_str_of(r->base_url));
	cv_buf_put(b, CV_STR("\n    model: "));
	cv_buf_put_json_str(b, cv_str_of(c->model_id));
	if (r->key) {
		cv_buf_put(b, CV_STR("\n    credential: "));
		cv_buf_put_json_str(b, cv_str_of(r->key));
	}
	if (c->timeout_secs)
		cv_buf_printf(b, "\n    timeout: %llu", (unsigned long long)c->timeout_secs);
	cv_buf_put_byte(b, '\n');
}

/* What is written is read once here: a proxy must not be the first to find fault. */
cv_code cv_gw_route_text(const INF(InferenceRouteConfig) * c, const struct cv_gw_resolved *r,
	struct cv_buf *ret, struct cv_err *err)
{
	struct cv_routes routes;

	file_put(ret, c, r);
	if (ret->is_overflown)
		return cv_fail(err, CV_LIMIT, "the route is too long");
	cv_routes_init(&routes);
	const cv_code code = cv_routes_load(cv_buf_str(ret), &routes, err);
	cv_routes_fini(&routes);
	return code;
}

/* ---- rpcs ---- */

/* "inference.local" for none; NULL: there is no such route. */
static const char *name_of(const char *asked)
{
	if (!*asked || strcmp(asked, CV_GW_ROUTE_USER) == 0)
		return CV_GW_ROUTE_USER;
	return strcmp(asked, CV_GW_ROUTE_SYSTEM) == 0 ? CV_GW_ROUTE_SYSTEM : NULL;
}

static enum cv_rpc_status place_open(struct cv_rpc_call *c, const char *workspace,
	const char *route, bool is_change, struct cv_object **ret_workspace,
	struct cv_object **ret_route, struct cv_err *err)
{
	const enum cv_rpc_status s =
		cv_gw_workspace_open(c, cv_str_of(workspace), is_change, ret_workspace, err);

	if (s != CV_RPC_OK)
		return s;
	if (!name_of(route)) {
		cv_fail(err, CV_INVALID, "route_name must be empty, '%s' or '%s'", CV_GW_ROUTE_USER,
			CV_GW_ROUTE_SYSTEM);
		return CV_RPC_INVALID_ARGUMENT;
	}
	*ret_route = cv_object_find(cv_gw_of(c)->objects, CV_OBJECT_INFERENCE_ROUTE,
		(*ret_workspace)->name, cv_str_of(name_of(route)));
	return CV_RPC_OK;
}

static enum cv_rpc_status set_check(struct cv_gateway *g, struct cv_str workspace,
	const INF(SetInferenceRouteRequest) * r, struct cv_err *err)
{
	INF(InferenceRouteConfig) config;
	struct cv_object *provider;
	struct cv_gw_resolved resolved;
	struct cv_buf text;

	if (!*r->provider_name || !*r->model_id || strlen(r->model_id) > MODEL_BYTES_MAX)
		return cv_fail(err, CV_INVALID,
			       "provider_name and model_id (up to %d bytes) are required",
			       MODEL_BYTES_MAX),
		       CV_RPC_INVALID_ARGUMENT;
	if (r->timeout_secs > CV_ROUTE_TIMEOUT_S_MAX)
		return cv_fail(err, CV_INVALID, "timeout_secs exceeds maximum (%llu > %d)",
			       (unsigned long long)r->timeout_secs, CV_ROUTE_TIMEOUT_S_MAX),
		       CV_RPC_INVALID_ARGUMENT;
	provider = cv_object_find(
		g->objects, CV_OBJECT_PROVIDER, workspace, cv_str_of(r->provider_name));
	if (!provider)
		return cv_fail(err, CV_NOT_FOUND, "provider '%.253s' not found", r->provider_name),
		       CV_RPC_FAILED_PRECONDITION;
	if (cv_gw_route_resolve(g, provider, &resolved, err) != CV_OK)
		return CV_RPC_FAILED_PRECONDITION;
	openshell__inference__v1__inference_route_config__init(&config);
	config.model_id = r->model_id;
	cv_buf_init(&text, CV_GW_ROUTE_FILE_BYTES_MAX);
	const cv_code code = cv_gw_route_text(&config, &resolved, &text, err);
	cv_buf_fini(&text);
	return code == CV_OK ? CV_RPC_OK : CV_RPC_INVALID_ARGUMENT;
}

static enum cv_rpc_status route_store(struct cv_gateway *g, struct cv_str workspace,
	const INF(SetInferenceRouteRequest) * r, struct cv_object **io, struct cv_err *err)
{
	INF(InferenceRoute) *m = cv_pb_new(&openshell__inference__v1__inference_route__descriptor);

	m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	m->config = cv_pb_new(&openshell__inference__v1__inference_route_config__descriptor);
	cv_pb_str_set(&m->metadata->name, cv_str_of(name_of(r->route_name)));
	cv_pb_str_set(&m->metadata->workspace, workspace);
	cv_pb_str_set(&m->config->provider_name, cv_str_of(r->provider_name));
	cv_pb_str_set(&m->config->model_id, cv_str_of(r->model_id));
	m->config->timeout_secs = r->timeout_secs ? r->timeout_secs : CV_GW_ROUTE_TIMEOUT;
	m->version = *io ? (*io)->version + 1 : 1;
	if (*io)
		return cv_object_write(g->objects, *io, CV_OBJECT_ANY_VERSION, &m->base, err);
	return cv_object_create(
		g->objects, CV_OBJECT_INFERENCE_ROUTE, &m->base, cv_clock_unix_ms(), io, err);
}

/* ---- whether it works ---- */

struct probing { /* the state of a SetInferenceRoute that is being verified */
	const INF(SetInferenceRouteRequest) * request;
	char url[CV_GW_RESOLVED_BYTES + 2 * MODEL_BYTES_MAX];
	const char *protocol;
};

/* The smallest call that an ordinary use of the route begins with, too. */
static bool probe_make(const INF(SetInferenceRouteRequest) * r, const struct cv_gw_resolved *to,
	struct probing *p, struct cv_gw_probe_ask *ret, struct cv_buf *body)
{
	const bool is_claude = to->type == CV_ROUTE_VERTEX &&
			       cv_str_has_prefix(cv_str_of(r->model_id), CV_STR("claude"));
	const bool is_messages = to->type == CV_ROUTE_ANTHROPIC || is_claude;

	if (to->type == CV_ROUTE_BEDROCK) /* each of its models has a body of its own */
		return false;
	if (is_claude)
		snprintf(p->url, sizeof(p->url), "%s/publishers/anthropic/models/%s:rawPredict",
			to->base_url, r->model_id);
	else
		snprintf(p->url, sizeof(p->url), "%s/%s", to->base_url,
			is_messages ? "messages" : "chat/completions");
	p->protocol = is_messages ? "anthropic_messages" : "openai_chat_completions";
	cv_buf_put_byte(body, '{');
	if (is_claude) {
		cv_buf_put(body, CV_STR("\"anthropic_version\":\"vertex-2023-10-16\""));
	} else {
		cv_buf_put(body, CV_STR("\"model\":"));
		cv_buf_put_json_str(body, cv_str_of(r->model_id));
	}
	if (is_messages) /* others name it differently, each refusing the other's name */
		cv_buf_put(body, CV_STR(",\"max_tokens\":1"));
	cv_buf_put(body, CV_STR(",\"messages\":[{\"role\":\"user\",\"content\":\"Say OK.\"}]}"));
	ret->url = cv_str_of(p->url);
	ret->body = cv_buf_str(body);
	ret->key = to->key;
	ret->strategy = !to->key                         ? "probe_open"
			: to->type == CV_ROUTE_ANTHROPIC ? "probe_key"
							 : "probe_bearer";
	return !body->is_overflown;
}

static void set_finish(struct cv_rpc_call *c, const struct probing *p);

static void on_probed(struct cv_rpc_call *c, cv_code code, const char *why)
{
	const struct probing *p = cv_rpc_call_state(c);
	struct cv_err err;

	if (code == CV_OK) {
		set_finish(c, p);
		return;
	}
	cv_fail(&err, CV_DENIED,
		"inference route not verified: %s: %s; with no_verify (--no-verify) it is set all "
		"the same",
		p->url, why);
	cv_gw_fail(c, CV_RPC_FAILED_PRECONDITION, &err);
}

/* True: the rest comes with on_probed(), or the call has ended. */
static bool probe_start(struct cv_rpc_call *c, struct cv_str workspace, struct probing *p)
{
	const INF(SetInferenceRouteRequest) *r = p->request;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_gw_probe_ask ask = { .provider = cv_object_find(g->objects, CV_OBJECT_PROVIDER,
					       workspace, cv_str_of(r->provider_name)) };
	struct cv_gw_resolved to;
	struct cv_err err;
	struct cv_buf body;
	enum cv_rpc_status s = CV_RPC_OK;

	if (r->no_verify || cv_gw_route_resolve(g, ask.provider, &to, &err) != CV_OK)
		return false;
	cv_buf_init(&body, 4096);
	const bool is_one = probe_make(r, &to, p, &ask, &body);
	if (is_one)
		s = cv_gw_probe_begin(c, &ask, on_probed, &err);
	cv_buf_fini(&body);
	if (!is_one)
		p->protocol = NULL;
	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
	return is_one;
}

static void set_closed(struct cv_rpc_call *c)
{
	cv_gw_probe_forget(cv_gw_of(c), c);
}

static enum cv_rpc_status set_open(struct cv_rpc_call *c, const INF(SetInferenceRouteRequest) * r,
	struct cv_object **ret_workspace, struct cv_object **ret_route, struct cv_err *err)
{
	const enum cv_rpc_status s =
		place_open(c, r->workspace, r->route_name, true, ret_workspace, ret_route, err);

	return s == CV_RPC_OK ? set_check(cv_gw_of(c), (*ret_workspace)->name, r, err) : s;
}

static void on_set(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	struct probing *p = cv_arena_new(cv_rpc_call_arena(c), struct probing);
	struct cv_object *w, *o = NULL;
	struct cv_err err;

	if (!p) {
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	*p = (struct probing){ .request = (const void *)request };
	const enum cv_rpc_status s = set_open(c, p->request, &w, &o, &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cv_rpc_call_set_state(c, p);
	if (!probe_start(c, w->name, p))
		set_finish(c, p);
}

/* All is looked up again: a probe takes its time. */
static void set_finish(struct cv_rpc_call *c, const struct probing *p)
{
	const INF(SetInferenceRouteRequest) *r = p->request;
	struct cv_gateway *g = cv_gw_of(c);
	INF(SetInferenceRouteResponse) answer;
	INF(ValidatedEndpoint) endpoint, *endpoints[] = { &endpoint };
	struct cv_object *w, *o = NULL;
	struct cv_err err;
	enum cv_rpc_status s = set_open(c, r, &w, &o, &err);

	if (s == CV_RPC_OK)
		s = route_store(g, w->name, r, &o, &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cv_log(CV_LOG_INFO, "inference",
		CV_LOG_FIELDS({ "workspace", w->name }, { "provider", cv_str_of(r->provider_name) },
			{ "model", cv_str_of(r->model_id) },
			{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
		"route %s set", name_of(r->route_name));
	openshell__inference__v1__set_inference_route_response__init(&answer);
	answer.provider_name = r->provider_name;
	answer.model_id = r->model_id;
	answer.version = o->version;
	answer.route_name = (char *)(uintptr_t)o->name.p;
	answer.timeout_secs = cv_gw_route_of(o)->config->timeout_secs;
	answer.workspace = (char *)(uintptr_t)o->scope.p;
	answer.validation_performed = p->protocol != NULL;
	if (answer.validation_performed) {
		openshell__inference__v1__validated_endpoint__init(&endpoint);
		endpoint.url = (char *)(uintptr_t)p->url;
		endpoint.protocol = (char *)(uintptr_t)p->protocol;
		answer.validated_endpoints = endpoints;
		answer.n_validated_endpoints = 1;
	}
	cv_rpc_reply(c, &answer.base);
}

static void on_get(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const INF(GetInferenceRouteRequest) *r = (const void *)request;
	INF(GetInferenceRouteResponse) answer;
	struct cv_object *w, *o = NULL;
	struct cv_err err;
	const enum cv_rpc_status s =
		place_open(c, r->workspace, r->route_name, false, &w, &o, &err);

	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	if (!o) {
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "inference route not found");
		return;
	}
	openshell__inference__v1__get_inference_route_response__init(&answer);
	answer.provider_name = cv_gw_route_of(o)->config->provider_name;
	answer.model_id = cv_gw_route_of(o)->config->model_id;
	answer.timeout_secs = cv_gw_route_of(o)->config->timeout_secs;
	answer.version = o->version;
	answer.route_name = (char *)(uintptr_t)o->name.p;
	answer.workspace = (char *)(uintptr_t)o->scope.p;
	cv_rpc_reply(c, &answer.base);
}

static void on_delete(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const INF(DeleteInferenceRouteRequest) *r = (const void *)request;
	INF(DeleteInferenceRouteResponse) answer;
	struct cv_object *w, *o = NULL;
	struct cv_err err;
	enum cv_rpc_status s = place_open(c, r->workspace, r->route_name, false, &w, &o, &err);

	openshell__inference__v1__delete_inference_route_response__init(&answer);
	answer.deleted = s == CV_RPC_OK && o;
	if (answer.deleted)
		s = cv_object_delete(cv_gw_of(c)->objects, o, CV_OBJECT_ANY_VERSION, &err);
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &answer.base);
	else
		cv_gw_fail(c, s, &err);
}

/* ---- the bundle, for supervisors of others ---- */

static bool bundle_add(struct cv_gateway *g, const struct cv_object *route, struct cv_arena *arena,
	INF(GetInferenceBundleResponse) * to)
{
	const INF(InferenceRouteConfig) *c = cv_gw_route_of(route)->config;
	const struct cv_object *provider = cv_object_find(
		g->objects, CV_OBJECT_PROVIDER, route->scope, cv_str_of(c->provider_name));
	struct cv_gw_resolved *r = cv_arena_new(arena, struct cv_gw_resolved);
	INF(ResolvedRoute) *m = cv_arena_new(arena, INF(ResolvedRoute));
	struct cv_err err;

	if (!r || !m || !provider || cv_gw_route_resolve(g, provider, r, &err) != CV_OK)
		return r && m;
	openshell__inference__v1__resolved_route__init(m);
	m->name = (char *)(uintptr_t)route->name.p;
	m->base_url = r->base_url;
	m->protocols = (char **)(uintptr_t)kind[r->type].protocols;
	while (m->n_protocols < CV_ARRAY_LEN(kind[r->type].protocols) &&
		m->protocols[m->n_protocols])
		m->n_protocols++;
	if (r->key) {
		const struct cv_str key = cv_arena_printf(arena, PLACEHOLDER "%s", r->key);
		m->api_key = key.p ? (char *)(uintptr_t)key.p : m->api_key;
	}
	m->model_id = c->model_id;
	m->provider_type = cv_gw_provider_of(provider)->type;
	m->timeout_secs = c->timeout_secs;
	m->model_in_path = r->type == CV_ROUTE_VERTEX || r->type == CV_ROUTE_BEDROCK;
	to->routes[to->n_routes++] = m;
	return true;
}

/* Of all that a bundle is made of: one that was deleted and set again is another. */
static void revision_mix(const struct cv_gateway *g, const struct cv_object *route, uint64_t *io)
{
	const struct cv_object *provider = cv_object_find(g->objects, CV_OBJECT_PROVIDER,
		route->scope, cv_str_of(cv_gw_route_of(route)->config->provider_name));
	char text[2 * CV_OBJECT_ID_BYTES + 64];

	snprintf(text, sizeof(text), "%s %llu %s %llu", route->id,
		(unsigned long long)route->version, provider ? provider->id : "",
		provider ? (unsigned long long)provider->version : 0);
	*io ^= 0xcbf29ce484222325u;
	for (const char *c = text; *c; c++) /* FNV-1a */
		*io = (*io ^ (unsigned char)*c) * 0x100000001b3u;
}

static void on_bundle(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	static const char *const names[] = { CV_GW_ROUTE_USER, CV_GW_ROUTE_SYSTEM };
	struct cv_gateway *g = cv_gw_of(c);
	const struct cv_object *sandbox = cv_object_find_id(
		g->objects, CV_OBJECT_SANDBOX, cv_str_of(cv_rpc_call_principal(c)->sandbox_id));
	struct cv_arena *arena = cv_rpc_call_arena(c);
	INF(GetInferenceBundleResponse) answer;
	uint64_t h = 0;
	char revision[32];

	(void)request;
	if (!sandbox) {
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "sandbox not found");
		return;
	}
	openshell__inference__v1__get_inference_bundle_response__init(&answer);
	answer.routes = cv_arena_array(arena, CV_ARRAY_LEN(names), sizeof(answer.routes[0]));
	for (size_t i = 0; i < CV_ARRAY_LEN(names) && answer.routes; i++) {
		const struct cv_object *o = cv_object_find(
			g->objects, CV_OBJECT_INFERENCE_ROUTE, sandbox->scope, cv_str_of(names[i]));

		if (!o)
			continue;
		revision_mix(g, o, &h);
		if (!bundle_add(g, o, arena, &answer))
			break;
	}
	snprintf(revision, sizeof(revision), "%llx", (unsigned long long)h);
	answer.revision = revision;
	answer.generated_at_ms = cv_clock_unix_ms();
	if (arena->is_overflown)
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
	else
		cv_rpc_reply(c, &answer.base);
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	static const struct cv_gw_box_hooks hooks = { .prepare = cv_gw_inference_prepare,
		.deleted = cv_gw_inference_deleted };

	(void)err;
	cv_gw_box_hook(g, &hooks);
	return CV_OK;
}

static const struct cv_gw_method methods[] = {
	{ "SetInferenceRoute", { .message = on_set, .closed = set_closed } },
	{ "GetInferenceRoute", { .message = on_get } },
	{ "DeleteInferenceRoute", { .message = on_delete } },
	{ "GetInferenceBundle", { .message = on_bundle } },
};

const struct cv_gw_part cv_gw_part_inference = {
	.name = "inference",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
	.stop = cv_gw_probes_stop,
	.event = cv_gw_probes_event,
	.turn = cv_gw_probes_turn,
};
