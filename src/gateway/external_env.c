/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external_env.c - what providers give a sandbox that others run (GetSandboxProviderEnvironment)
 *
 * The same set that a keeper of ours would be handed (compose.c) is read here and told in the answer:
 * values, and the endpoints that each may go to. That is the one way on which values leave the gateway,
 * and they leave it only to a supervisor with a token of a sandbox that others run: a supervisor of
 * ours has them in its keeper, and its sandbox's token gets none.
 *
 * A supervisor that does not say that it keeps values to their endpoints gets none either, only the
 * providers' configuration. Tokens of host tools are of no use there.
 */
#include "gateway/external_int.h"

#include "cred/limits_profile.h"
#include "cred/set.h"
#include "gateway/access.h"
#include "gateway/deliver.h"
#include "gateway/policy.h"
#include "gateway/provider.h"
#include "ipc/frame.h"

#include <stdlib.h>
#include <unistd.h>

#define RE(name)      Openshell__V1__GetSandboxProviderEnvironmentResponse__##name
#define ENV_ARENA_MAX (8u << 20) /* as of a start */

typedef Openshell__V1__GetSandboxProviderEnvironmentResponse response;

struct telling {
	struct cv_arena arena;
	struct cv_cred_set set;
	bool has_set, is_bound; /* is_bound: values may be told */
	response out;
};

static char *text(struct telling *t, struct cv_str s)
{
	return (char *)(uintptr_t)cv_arena_str(&t->arena, s).p;
}

/* ---- what there is ---- */

static cv_code set_read(int fd, struct cv_cred_set *ret, struct cv_err *err)
{
	char *bytes = NULL;
	size_t n = 0;
	cv_code code = cv_ipc_fd_read_all(fd, CV_CRED_SET_BYTES_MAX, &bytes, &n, err);

	if (code == CV_OK)
		code = cv_cred_set_read((struct cv_str){ bytes, n }, ret, err);
	else
		cv_wrap(err, "the providers' credentials");
	if (bytes)
		explicit_bzero(bytes, n);
	free(bytes);
	return code;
}

static cv_code compose(
	struct telling *t, struct cv_gw_box *b, struct cv_gw_attached *ret, struct cv_err *err)
{
	cv_code code = cv_gw_attached_compose(b, &t->arena, ret, err);

	if (code != CV_OK || ret->fd < 0)
		return code;
	code = set_read(ret->fd, &t->set, err);
	t->has_set = code == CV_OK;
	close(ret->fd);
	return code;
}

/* ---- how it is told ---- */

static bool bindings_put(struct telling *t, const struct cv_cred *cred)
{
	const struct cv_cred_provider *p = &t->set.providers[cred->provider];
	RE(StaticCredentialBindingsEntry) *e =
		cv_arena_new(&t->arena, RE(StaticCredentialBindingsEntry));
	size_t n = 0;

	for (size_t i = 0; i < p->binding_count; i++)
		n += p->bindings[i].port_count;
	if (!e)
		return false;
	openshell__v1__get_sandbox_provider_environment_response__static_credential_bindings_entry__init(
		e);
	e->key = text(t, cred->key);
	e->value = cv_arena_new(&t->arena, Openshell__V1__StaticCredentialBinding);
	if (!e->value)
		return false;
	openshell__v1__static_credential_binding__init(e->value);
	e->value->endpoints = cv_arena_array(&t->arena, n + 1, sizeof(e->value->endpoints[0]));
	/* The same for the same credential: its placeholder depends on the sandbox and its name. */
	e->value->credential_identity =
		text(t, cv_arena_printf(&t->arena, "%.*s/%.*s", CV_STR_ARG(p->name),
				CV_STR_ARG(cred->key)));
	for (size_t i = 0; e->value->endpoints && i < p->binding_count; i++)
		for (size_t k = 0; k < p->bindings[i].port_count; k++) {
			Openshell__V1__StaticCredentialEndpointBinding *to = cv_arena_new(
				&t->arena, Openshell__V1__StaticCredentialEndpointBinding);

			if (!to)
				return false;
			openshell__v1__static_credential_endpoint_binding__init(to);
			to->host = text(t, p->bindings[i].host);
			to->port = p->bindings[i].ports[k];
			to->path = text(t, p->bindings[i].path);
			e->value->endpoints[e->value->n_endpoints++] = to;
		}
	t->out.static_credential_bindings[t->out.n_static_credential_bindings++] = e;
	return true;
}

static bool variable_put(struct telling *t, struct cv_str key, struct cv_str value)
{
	RE(EnvironmentEntry) *e = cv_arena_new(&t->arena, RE(EnvironmentEntry));

	if (!e)
		return false;
	openshell__v1__get_sandbox_provider_environment_response__environment_entry__init(e);
	e->key = text(t, key);
	e->value = text(t, value);
	t->out.environment[t->out.n_environment++] = e;
	return true;
}

static bool expiry_put(struct telling *t, const struct cv_cred *cred)
{
	RE(CredentialExpiresAtMsEntry) *e = cv_arena_new(&t->arena, RE(CredentialExpiresAtMsEntry));

	if (!e)
		return false;
	openshell__v1__get_sandbox_provider_environment_response__credential_expires_at_ms_entry__init(
		e);
	e->key = text(t, cred->key);
	e->value = cred->expires_s * 1000;
	t->out.credential_expires_at_ms[t->out.n_credential_expires_at_ms++] = e;
	return true;
}

static const struct cv_cred *cred_of(const struct telling *t, struct cv_str key)
{
	for (size_t i = 0; t->has_set && i < t->set.cred_count; i++)
		if (cv_str_eq(t->set.creds[i].key, key))
			return &t->set.creds[i];
	return NULL;
}

/* Of host tools, which are there only for sandboxes of ours. */
static bool is_ours(const struct cv_cred_provider *p)
{
	return cv_str_eq(p->name, CV_STR(CV_CRED_TOOLS_PROVIDER)) ||
	       cv_str_eq(p->name, CV_STR(CV_CRED_HOST_PROVIDER));
}

/* KEY=VALUE as a sandbox of ours would have it: of a credential that is its placeholder. */
static bool line_put(struct telling *t, struct cv_str line)
{
	const struct cv_str key = cv_str_cut(&line, '=');
	const struct cv_cred *cred = cred_of(t, key);

	if (!cred) {
		t->out.non_secret_environment_keys[t->out.n_non_secret_environment_keys++] =
			text(t, key);
		return variable_put(t, key, line);
	}
	if (!t->is_bound || !cred->value.n || is_ours(&t->set.providers[cred->provider]))
		return true;
	return variable_put(t, key, cred->value) && bindings_put(t, cred) &&
	       (!cred->expires_s || expiry_put(t, cred));
}

static bool answer_make(struct telling *t, const struct cv_gw_attached *a)
{
	const size_t n = a->env_count + 1;
	response *out = &t->out;

	out->environment = cv_arena_array(&t->arena, n, sizeof(out->environment[0]));
	out->credential_expires_at_ms =
		cv_arena_array(&t->arena, n, sizeof(out->credential_expires_at_ms[0]));
	out->static_credential_bindings =
		cv_arena_array(&t->arena, n, sizeof(out->static_credential_bindings[0]));
	out->non_secret_environment_keys =
		cv_arena_array(&t->arena, n, sizeof(out->non_secret_environment_keys[0]));
	for (size_t i = 0; !t->arena.is_overflown && i < a->env_count; i++)
		if (!line_put(t, a->env[i]))
			return false;
	return !t->arena.is_overflown;
}

/* ---- the rpc ---- */

static enum cv_rpc_status environment_get(
	struct cv_rpc_call *c, struct telling *t, struct cv_gw_box *b, struct cv_err *err)
{
	struct cv_gw_attached a = { .fd = -1 };

	if (!b->external) {
		cv_fail(err, CV_DENIED,
			"the credentials of this sandbox are with its own supervisor");
		return CV_RPC_FAILED_PRECONDITION;
	}
	t->out.provider_env_revision = cv_gw_env_revision(b->g, b->object);
	if (compose(t, b, &a, err) != CV_OK)
		return CV_RPC_UNAVAILABLE;
	if (!answer_make(t, &a)) {
		cv_fail(err, CV_LIMIT, "no memory for the providers");
		return CV_RPC_RESOURCE_EXHAUSTED;
	}
	cv_rpc_reply(c, &t->out.base);
	return CV_RPC_OK;
}

void external_env_message(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Openshell__V1__GetSandboxProviderEnvironmentRequest *r =
		(const Openshell__V1__GetSandboxProviderEnvironmentRequest *)m;
	struct telling t = { .is_bound = r->supports_static_credential_bindings };
	struct cv_err err;

	if (!cv_gw_is_own(cv_rpc_call_principal(c), cv_str_of(r->sandbox_id))) {
		cv_rpc_finish(c, CV_RPC_PERMISSION_DENIED,
			"the token is not of the sandbox that the request names");
		return;
	}
	cv_arena_init(&t.arena, ENV_ARENA_MAX);
	cv_cred_set_init(&t.set);
	openshell__v1__get_sandbox_provider_environment_response__init(&t.out);
	const struct cv_object *o = cv_object_find_id(
		cv_gw_of(c)->objects, CV_OBJECT_SANDBOX, cv_str_of(r->sandbox_id));
	const enum cv_rpc_status s = environment_get(c, &t, cv_gw_box_of(o), &err);
	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
	cv_cred_set_fini(&t.set);
	cv_arena_wipe(&t.arena);
}
