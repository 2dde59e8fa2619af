/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.c - which providers a sandbox has
 *
 * The list is part of the sandbox's stored message; whoever follows sandboxes (cv_objects_listen())
 * sees it change and hands the credentials over.  What can't stand together is refused here, so that
 * a start does not fail for it: two providers that set one variable.
 */
#include "gateway/access.h"
#include "gateway/deliver.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/policy.h"
#include "gateway/provider.h"
#include "gateway/refresh.h"
#include "gateway/sandbox.h"
#include "gateway/settings.h"

#include "openshell.pb-c.h"

#include <stdlib.h>

#define V1(name)        Openshell__V1__##name
#define NAMES_BYTES_MAX 300 /* of sandboxes, in a sentence */

static V1(Sandbox) * sandbox_of(const struct cv_object *o)
{
	return (V1(Sandbox) *)(void *)(uintptr_t)o->message;
}

static size_t attached_at(const V1(Sandbox) * m, struct cv_str name)
{
	size_t i = 0;

	while (m->spec && i < m->spec->n_providers &&
		!cv_str_eq(cv_str_of(m->spec->providers[i]), name))
		i++;
	return i;
}

static size_t attached_count(const V1(Sandbox) * m)
{
	return m->spec ? m->spec->n_providers : 0;
}

static enum cv_rpc_status sandbox_open(struct cv_rpc_call *c, const char *workspace,
	const char *name, bool is_change, struct cv_object **ret, struct cv_err *err)
{
	struct cv_gw_box *b;
	const enum cv_rpc_status s = cv_gw_box_open(
		c, "sandbox_name", cv_str_of(name), cv_str_of(workspace), is_change, &b, err);

	if (s == CV_RPC_OK)
		*ret = b->object;
	return s;
}

/* ---- variables: each is set by one provider of a sandbox ---- */

/* By a value that is there, or by a renewal that brings one. */
static bool sets(const struct cv_gateway *g, const struct cv_object *provider, const char *key)
{
	return cv_gw_provider_has(cv_gw_provider_of(provider), key) ||
	       cv_gw_refresh_owns(g, provider, key);
}

/* The i-th that it sets, perhaps one of them twice; NULL behind the last. */
static const char *key_at(const struct cv_gateway *g, const struct cv_object *provider, size_t i)
{
	const cv_gw_provider_pb *p = cv_gw_provider_of(provider);

	return i < p->n_credential_handles
		       ? p->credential_handles[i]->key
		       : cv_gw_refresh_key_at(g, provider, i - p->n_credential_handles);
}

/* A variable that both set, or NULL. */
static const char *shared_key(
	const struct cv_gateway *g, const struct cv_object *x, const struct cv_object *y)
{
	const char *key;

	for (size_t i = 0; (key = key_at(g, x, i)); i++)
		if (sets(g, y, key))
			return key;
	return NULL;
}

/* Beside the first n of a sandbox's providers. */
static enum cv_rpc_status clash_check(struct cv_gateway *g, struct cv_str workspace,
	char *const *names, size_t n, const struct cv_object *provider, struct cv_err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct cv_object *other = cv_object_find(
			g->objects, CV_OBJECT_PROVIDER, workspace, cv_str_of(names[i]));
		const char *key = other ? shared_key(g, other, provider) : NULL;

		if (key) {
			cv_fail(err, CV_DENIED,
				"providers '%.*s' and '%.*s' both set %.128s; attach one of them",
				CV_STR_ARG(other->name), CV_STR_ARG(provider->name), key);
			return CV_RPC_FAILED_PRECONDITION;
		}
	}
	return CV_RPC_OK;
}

static enum cv_rpc_status fits(struct cv_gateway *g, const struct cv_object *box,
	const struct cv_object *provider, struct cv_err *err)
{
	const V1(Sandbox) *m = sandbox_of(box);
	const size_t n = attached_count(m);

	if (n >= CV_GW_PROVIDERS_PER_SANDBOX_MAX) {
		cv_fail(err, CV_INVALID, "spec.providers exceeds maximum entries (%zu > %d)", n + 1,
			CV_GW_PROVIDERS_PER_SANDBOX_MAX);
		return CV_RPC_INVALID_ARGUMENT;
	}
	return n ? clash_check(g, box->scope, m->spec->providers, n, provider, err) : CV_RPC_OK;
}

/* Which provider beside this one sets the variable in the sandbox; NULL: none. */
static const struct cv_object *other_setter(const struct cv_gateway *g, const struct cv_object *box,
	const struct cv_object *provider, const char *key)
{
	const V1(Sandbox) *m = sandbox_of(box);

	for (size_t i = 0; i < attached_count(m); i++) {
		const struct cv_object *other = cv_object_find(g->objects, CV_OBJECT_PROVIDER,
			box->scope, cv_str_of(m->spec->providers[i]));

		if (other && other != provider && sets(g, other, key))
			return other;
	}
	return NULL;
}

static enum cv_rpc_status key_fits(const struct cv_gateway *g, const struct cv_object *provider,
	const char *key, struct cv_err *err)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_SANDBOX, provider->scope);
	const struct cv_object *other = NULL;
	struct cv_buf names;

	cv_buf_init(&names, NAMES_BYTES_MAX);
	for (size_t i = r.first; i < r.end; i++) {
		const struct cv_object *box = cv_object_at(g->objects, CV_OBJECT_SANDBOX, i);
		const struct cv_object *o = cv_gw_is_attached(box, provider)
						    ? other_setter(g, box, provider, key)
						    : NULL;

		if (!o || (other && other != o)) /* what is said is said of two providers */
			continue;
		cv_buf_printf(&names, "%s%.*s", other ? ", " : "", CV_STR_ARG(box->name));
		other = o;
	}
	if (other)
		cv_fail(err, CV_DENIED,
			"%.128s is set by provider '%.*s', which is attached beside '%.*s' to "
			"sandbox(es): %.*s; detach one of them first",
			key, CV_STR_ARG(other->name), CV_STR_ARG(provider->name),
			CV_STR_ARG(cv_buf_str(&names)));
	cv_buf_fini(&names);
	return other ? CV_RPC_FAILED_PRECONDITION : CV_RPC_OK;
}

enum cv_rpc_status cv_gw_provider_fits(const struct cv_gateway *g, const struct cv_object *provider,
	const cv_gw_provider_pb *next, struct cv_err *err)
{
	enum cv_rpc_status s = CV_RPC_OK;

	for (size_t i = 0; i < next->n_credential_handles && s == CV_RPC_OK; i++)
		if (!cv_gw_provider_has(
			    cv_gw_provider_of(provider), next->credential_handles[i]->key))
			s = key_fits(g, provider, next->credential_handles[i]->key, err);
	return s;
}

static void say(const struct cv_rpc_call *c, const struct cv_object *box, const char *provider,
	const char *what)
{
	cv_log(CV_LOG_INFO, "provider",
		CV_LOG_FIELDS({ "sandbox", box->name }, { "provider", cv_str_of(provider) },
			{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
		"%s", what);
	cv_gw_box_log(cv_gw_box_of(box), "INFO", "provider", "%s %s", provider, what);
}

/* What its policy and all layers come to is judged before anybody has it. */
static enum cv_rpc_status whole_check(struct cv_gateway *g, const struct cv_object *box,
	const V1(Sandbox) * with, struct cv_err *err)
{
	struct cv_object candidate = *box;
	struct cv_gw_revision own;
	struct cv_arena arena;

	candidate.message = &with->base;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	enum cv_rpc_status s = cv_gw_policy_latest(g, box, &arena, &own, err);
	if (s == CV_RPC_OK)
		s = cv_gw_policy_check(g, &candidate, NULL, own.policy, err);
	cv_arena_fini(&arena);
	return s == CV_RPC_INVALID_ARGUMENT ? CV_RPC_FAILED_PRECONDITION : s;
}

static enum cv_rpc_status not_found(struct cv_str provider, struct cv_err *err)
{
	cv_fail(err, CV_DENIED, "provider '%.*s' not found", CV_STR_ARG(provider));
	return CV_RPC_FAILED_PRECONDITION;
}

static void attach(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const V1(AttachSandboxProviderRequest) *q = (const void *)request;
	const struct cv_str name = cv_str_of(q->provider_name);
	struct cv_gateway *g = cv_gw_of(c);
	V1(AttachSandboxProviderResponse) r;
	struct cv_object *box = NULL, *provider = NULL;
	struct cv_err err;
	enum cv_rpc_status s = sandbox_open(c, q->workspace, q->sandbox_name, true, &box, &err);

	openshell__v1__attach_sandbox_provider_response__init(&r);
	if (s == CV_RPC_OK && !name.n)
		s = cv_gw_invalid(&err, "provider_name is required");
	if (s == CV_RPC_OK)
		provider = cv_object_find(g->objects, CV_OBJECT_PROVIDER, box->scope, name);
	if (s == CV_RPC_OK && !provider)
		s = not_found(name, &err);
	if (s == CV_RPC_OK)
		s = cv_object_version_check(box, q->expected_resource_version, &err);
	if (s == CV_RPC_OK &&
		attached_at(sandbox_of(box), name) == attached_count(sandbox_of(box))) {
		s = fits(g, box, provider, &err);
		if (s == CV_RPC_OK) {
			V1(Sandbox) *m = (V1(Sandbox) *)(void *)cv_object_copy(box);

			if (!m->spec)
				m->spec = cv_pb_new(&openshell__v1__sandbox_spec__descriptor);
			cv_pb_append_str(&m->spec->providers, &m->spec->n_providers, name);
			s = whole_check(g, box, m, &err);
			if (s == CV_RPC_OK)
				s = cv_object_write(g->objects, box, q->expected_resource_version,
					&m->base, &err);
			else
				cv_pb_free(m);
		}
		r.attached = s == CV_RPC_OK;
	}
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	if (r.attached)
		say(c, box, q->provider_name, "attached");
	r.sandbox = cv_gw_box_view(cv_gw_box_of(box), cv_rpc_call_arena(c));
	cv_rpc_reply(c, &r.base);
}

static void detach(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const V1(DetachSandboxProviderRequest) *q = (const void *)request;
	struct cv_gateway *g = cv_gw_of(c);
	V1(DetachSandboxProviderResponse) r;
	struct cv_object *box = NULL;
	struct cv_err err;
	size_t at = 0;
	enum cv_rpc_status s = sandbox_open(c, q->workspace, q->sandbox_name, false, &box, &err);

	openshell__v1__detach_sandbox_provider_response__init(&r);
	if (s == CV_RPC_OK && !q->provider_name[0])
		s = cv_gw_invalid(&err, "provider_name is required");
	if (s == CV_RPC_OK)
		s = cv_object_version_check(box, q->expected_resource_version, &err);
	if (s == CV_RPC_OK)
		at = attached_at(sandbox_of(box), cv_str_of(q->provider_name));
	if (s == CV_RPC_OK && at < attached_count(sandbox_of(box))) {
		V1(Sandbox) *m = (V1(Sandbox) *)(void *)cv_object_copy(box);

		free(cv_pb_take(&m->spec->providers, &m->spec->n_providers, at));
		s = cv_object_write(g->objects, box, q->expected_resource_version, &m->base, &err);
		r.detached = s == CV_RPC_OK;
	}
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	if (r.detached)
		say(c, box, q->provider_name, "detached");
	r.sandbox = cv_gw_box_view(cv_gw_box_of(box), cv_rpc_call_arena(c));
	cv_rpc_reply(c, &r.base);
}

static void list(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const V1(ListSandboxProvidersRequest) *q = (const void *)request;
	const struct cv_gateway *g = cv_gw_of(c);
	struct cv_arena *arena = cv_rpc_call_arena(c);
	V1(ListSandboxProvidersResponse) r;
	struct cv_object *box = NULL;
	struct cv_err err;
	enum cv_rpc_status s = sandbox_open(c, q->workspace, q->sandbox_name, false, &box, &err);

	openshell__v1__list_sandbox_providers_response__init(&r);
	const size_t n = s == CV_RPC_OK ? attached_count(sandbox_of(box)) : 0;
	r.providers = cv_arena_array(arena, n + 1, sizeof(void *));
	for (size_t i = 0; i < n && s == CV_RPC_OK; i++) {
		const struct cv_object *o = cv_object_find(g->objects, CV_OBJECT_PROVIDER,
			box->scope, cv_str_of(sandbox_of(box)->spec->providers[i]));

		if (!o)
			continue;
		cv_gw_provider_pb *p = cv_gw_provider_view(o, arena);
		if (p && r.providers) {
			r.providers[r.n_providers++] = p;
		} else {
			cv_fail(&err, CV_LIMIT, "no memory for a page");
			s = CV_RPC_RESOURCE_EXHAUSTED;
		}
	}
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &r.base);
	else
		cv_gw_fail(c, s, &err);
}

static const struct cv_gw_method methods[] = {
	{ "ListSandboxProviders", { .message = list } },
	{ "AttachSandboxProvider", { .message = attach } },
	{ "DetachSandboxProvider", { .message = detach } },
};

/* ---- the start of a sandbox ---- */

static cv_code env_append(struct cv_driver_sandbox *s, const struct cv_gw_attached *a,
	struct cv_arena *arena, struct cv_err *err)
{
	/* Before the sandbox's own: what its user says of a variable wins. */
	struct cv_str *env = cv_arena_array(arena, s->env_count + a->env_count + 1, sizeof(*env));

	if (!env)
		return cv_fail(err, CV_LIMIT, "no memory for the providers");
	for (size_t i = 0; i < a->env_count; i++)
		env[i] = a->env[i];
	for (size_t i = 0; i < s->env_count; i++)
		env[a->env_count + i] = s->env[i];
	s->env = env;
	s->env_count += a->env_count;
	return CV_OK;
}

/* After the policy's part, whose text is judged with the layer. */
static cv_code on_prepare(struct cv_gw_box *b, struct cv_driver_sandbox *s, struct cv_arena *arena,
	struct cv_err *err)
{
	struct cv_gw_attached a;
	cv_code code = cv_gw_providers_compose(b->g, b->object, s->policy, arena, &a, err);

	if (code == CV_OK)
		code = env_append(s, &a, arena, err);
	else
		return code;
	cv_gw_env_given(b);
	/* Its layer is told by the policy's part, which knows whether it applies. */
	s->providers = a.providers;
	s->provider_count = a.provider_count;
	s->credentials = a.fd;
	return code;
}

/* The policy of one that is not there yet, beneath the layer that its providers will have. */
static enum cv_rpc_status layered_check(struct cv_gateway *g, V1(Sandbox) * m, struct cv_err *err)
{
	struct cv_object candidate = { .scope = cv_str_of(m->metadata->workspace),
		.name = cv_str_of(m->metadata->name),
		.message = &m->base };
	cv_policy_pb none;

	if (cv_gw_setting_policy(g)) /* the global one has no layer */
		return CV_RPC_OK;
	openshell__sandbox__v1__sandbox_policy__init(&none);
	const enum cv_rpc_status s = cv_gw_policy_check(
		g, &candidate, NULL, m->spec->policy ? m->spec->policy : &none, err);
	return s == CV_RPC_INVALID_ARGUMENT ? CV_RPC_FAILED_PRECONDITION : s;
}

/* What would be refused later is refused before there is a sandbox. */
static enum cv_rpc_status on_create(
	struct cv_gateway *g, const struct cv_rpc_call *c, V1(Sandbox) * m, struct cv_err *err)
{
	const struct cv_str workspace = cv_str_of(m->metadata->workspace);
	const size_t n = attached_count(m);

	(void)c;
	for (size_t i = 0; i < n; i++) {
		const struct cv_str name = cv_str_of(m->spec->providers[i]);
		const struct cv_object *provider =
			cv_object_find(g->objects, CV_OBJECT_PROVIDER, workspace, name);
		enum cv_rpc_status s;

		if (!provider)
			return not_found(name, err);
		s = clash_check(g, workspace, m->spec->providers, i, provider, err);
		if (s != CV_RPC_OK)
			return s;
	}
	return n ? layered_check(g, m, err) : CV_RPC_OK;
}

static const struct cv_gw_box_hooks hooks = { .create = on_create, .prepare = on_prepare };

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	(void)err;
	cv_gw_box_hook(g, &hooks);
	return CV_OK;
}

const struct cv_gw_part cv_gw_part_attach = {
	.name = "attach",
	.start = start,
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
};
