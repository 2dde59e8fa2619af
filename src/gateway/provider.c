/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider.c - the rpcs about providers; see provider.h
 *
 * An update merges: a map that is not there keeps what is stored, an entry replaces one, and an entry
 * with an empty value (an expiry of 0) removes it.  What a client sends as credential_handles is not
 * looked at.
 */
#include "gateway/provider.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "gateway/access.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/profile.h"
#include "gateway/provider_change.h"
#include "gateway/refresh.h"
#include "gateway/vault.h"
#include "driver/host.h"
#include "sys/clock.h"

#include <stdio.h>

#define DM(name)          Openshell__Datamodel__V1__##name
#define V1(name)          Openshell__V1__##name
#define HANDLE_NAME_BYTES 8 /* of the hash that clients see */

typedef cv_gw_provider_pb provider;

/* ---- what clients see ---- */

static DM(Provider__CredentialHandlesEntry) *
	handle_view(const DM(Provider__CredentialHandlesEntry) * from, struct cv_arena *arena)
{
	DM(Provider__CredentialHandlesEntry) *e =
		cv_arena_new(arena, DM(Provider__CredentialHandlesEntry));
	DM(CredentialHandle) *h = cv_arena_new(arena, DM(CredentialHandle));
	unsigned char hash[CV_SHA256_BYTES];
	char hex[2 * HANDLE_NAME_BYTES + 1];
	struct cv_sha256 s;

	if (!e || !h)
		return NULL;
	openshell__datamodel__v1__provider__credential_handles_entry__init(e);
	openshell__datamodel__v1__credential_handle__init(h);
	cv_sha256_init(&s);
	cv_sha256_update(&s, from->value->handle, strlen(from->value->handle));
	cv_sha256_final(&s, hash);
	cv_hex_text(hash, HANDLE_NAME_BYTES, hex);
	h->driver = from->value->driver;
	h->handle = (char *)(uintptr_t)cv_arena_printf(arena, "sealed-%s", hex).p;
	e->key = from->key;
	e->value = h;
	return h->handle ? e : NULL;
}

provider *cv_gw_provider_view(const struct cv_object *o, struct cv_arena *arena)
{
	provider *p = cv_arena_new(arena, provider);

	if (!p)
		return NULL;
	*p = *cv_gw_provider_of(o);
	p->n_credentials = 0;
	p->credentials = NULL;
	const size_t n = p->n_credential_handles;
	DM(Provider__CredentialHandlesEntry) **from = p->credential_handles;
	p->n_credential_handles = 0;
	p->credential_handles = cv_arena_array(arena, n + 1, sizeof(void *));
	for (size_t i = 0; p->credential_handles && i < n; i++) {
		if (!from[i]->value)
			continue;
		DM(Provider__CredentialHandlesEntry) *e = handle_view(from[i], arena);
		if (!e)
			return NULL;
		p->credential_handles[p->n_credential_handles++] = e;
	}
	return p->credential_handles ? p : NULL;
}

static void answer(struct cv_rpc_call *c, enum cv_rpc_status s, const struct cv_object *o,
	const struct cv_err *err)
{
	V1(ProviderResponse) r;

	openshell__v1__provider_response__init(&r);
	if (s == CV_RPC_OK)
		r.provider = cv_gw_provider_view(o, cv_rpc_call_arena(c));
	if (s == CV_RPC_OK && !r.provider)
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory for a provider");
	else if (s == CV_RPC_OK)
		cv_rpc_reply(c, &r.base);
	else
		cv_gw_fail(c, s, err);
}

static void values_wipe(const provider *p)
{
	for (size_t i = 0; p && i < p->n_credentials; i++)
		explicit_bzero(p->credentials[i]->value, strlen(p->credentials[i]->value));
}

/* ---- rpcs ---- */

/* The profile that a type means.  Clients of March 2026 call a model's provider by whatever name it has,
 * and don't go on without it: what nobody knows is variables of their own there. */
static cv_code type_find(const struct cv_rpc_call *c, const char *workspace, const char *type,
	struct cv_gw_profile *ret, struct cv_err *err)
{
	const struct cv_gateway *g = cv_gw_of(c);
	const cv_code code = cv_gw_profile_find(g, cv_str_of(workspace), cv_str_of(type), ret, err);

	return code == CV_NOT_FOUND && cv_rpc_call_is_older(c)
		       ? cv_gw_profile_find(g, cv_str_of(workspace), CV_STR("generic"), ret, err)
		       : code;
}

static enum cv_rpc_status type_open(const struct cv_rpc_call *c, const provider *p,
	struct cv_str workspace, struct cv_gw_profile *ret, struct cv_err *err)
{
	if (!p->type[0])
		return cv_gw_invalid(err, "provider.type is required");
	if (p->profile_workspace[0] && !cv_str_eq(cv_str_of(p->profile_workspace), workspace))
		return cv_gw_invalid(err,
			"provider.profile_workspace must be empty or the provider's workspace '%.*s'",
			CV_STR_ARG(workspace));
	const cv_code code = type_find(c, p->profile_workspace, p->type, ret, err);
	if (code == CV_NOT_FOUND)
		return cv_gw_invalid(err, "unsupported provider type or profile: %.64s", p->type);
	return code == CV_OK ? CV_RPC_OK : CV_RPC_FAILED_PRECONDITION;
}

static provider *provider_new(
	const provider *from, struct cv_str workspace, const struct cv_gw_profile *profile)
{
	provider *m = cv_pb_new(&openshell__datamodel__v1__provider__descriptor);
	char id[CV_OBJECT_ID_BYTES + 1];

	cv_object_id_make(id);
	m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	cv_pb_str_set(&m->metadata->id, cv_str_of(id)); /* envelopes are bound to it */
	cv_pb_str_set(&m->metadata->name, cv_str_of(from->metadata->name));
	cv_pb_str_set(&m->metadata->workspace, workspace);
	cv_pb_str_set(&m->type, profile->profile->id.s);
	cv_pb_str_set(&m->profile_workspace, cv_str_of(from->profile_workspace));
	return m;
}

static enum cv_rpc_status created(struct cv_rpc_call *c, const provider *from,
	struct cv_str requested, struct cv_object **ret, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_gw_profile profile = { 0 };
	struct cv_object *workspace;
	enum cv_rpc_status s = cv_gw_workspace_open(c, requested, true, &workspace, err);

	if (s == CV_RPC_OK)
		s = cv_gw_provider_check(from, err);
	if (s == CV_RPC_OK)
		s = type_open(c, from, workspace->name, &profile, err);
	if (s != CV_RPC_OK)
		return s;
	if (cv_object_find(g->objects, CV_OBJECT_PROVIDER, workspace->name,
		    cv_str_of(from->metadata->name))) {
		cv_gw_profile_fini(&profile);
		cv_fail(err, CV_DENIED, "provider already exists");
		return CV_RPC_ALREADY_EXISTS;
	}
	provider *m = provider_new(from, workspace->name, &profile);
	cv_gw_profile_fini(&profile);
	s = cv_gw_provider_merge(g, m, from, err);
	for (size_t i = 0; s == CV_RPC_OK && i < from->n_credential_expires_at_ms; i++)
		s = cv_gw_provider_expiry_merge(m, from->credential_expires_at_ms[i]->key,
			from->credential_expires_at_ms[i]->value, err);
	if (s != CV_RPC_OK) {
		cv_pb_free(m);
		return s;
	}
	return cv_object_create(
		g->objects, CV_OBJECT_PROVIDER, &m->base, cv_clock_unix_ms(), ret, err);
}

static void create(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const V1(CreateProviderRequest) *q = (const void *)m;
	struct cv_object *o = NULL;
	struct cv_err err;
	const enum cv_rpc_status s = created(c, q->provider, cv_str_of(q->workspace), &o, &err);

	values_wipe(q->provider);
	if (s == CV_RPC_OK)
		cv_log(CV_LOG_INFO, "provider",
			CV_LOG_FIELDS({ "workspace", o->scope }, { "name", o->name },
				{ "type", cv_str_of(cv_gw_provider_of(o)->type) },
				{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
			"created");
	answer(c, s, o, &err);
}

static enum cv_rpc_status provider_open(struct cv_rpc_call *c, struct cv_str requested,
	struct cv_str name, bool is_change, struct cv_object **ret, struct cv_err *err)
{
	struct cv_object *workspace;

	if (!name.n)
		return cv_gw_invalid(err, "name is required");
	const enum cv_rpc_status s = cv_gw_workspace_open(c, requested, is_change, &workspace, err);
	return s == CV_RPC_OK ? cv_object_get(cv_gw_of(c)->objects, CV_OBJECT_PROVIDER,
					workspace->name, name, ret, err)
			      : s;
}

static void get(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const V1(GetProviderRequest) *q = (const void *)m;
	struct cv_object *o = NULL;
	struct cv_err err;
	const enum cv_rpc_status s =
		provider_open(c, cv_str_of(q->workspace), cv_str_of(q->name), false, &o, &err);

	answer(c, s, o, &err);
}

/* Of all workspaces: those that the caller may look into. */
static bool is_visible(void *arg, const struct cv_object *o)
{
	struct cv_object *workspace;
	struct cv_err err;

	return cv_gw_workspace_open(arg, o->scope, false, &workspace, &err) == CV_RPC_OK;
}

static void list(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const V1(ListProvidersRequest) *q = (const void *)m;
	struct cv_object_query query = { .limit = q->limit, .offset = q->offset, .arg = c };
	struct cv_arena *arena = cv_rpc_call_arena(c);
	struct cv_object_page page = { .n = 0 };
	V1(ListProvidersResponse) r;
	struct cv_object *workspace;
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_err err;

	if (q->all_workspaces && q->workspace[0])
		s = cv_gw_invalid(&err, "workspace and all_workspaces exclude each other");
	else if (q->all_workspaces)
		query.is_every_scope = true, query.wants = is_visible;
	else
		s = cv_gw_workspace_open(c, cv_str_of(q->workspace), false, &workspace, &err);
	if (s == CV_RPC_OK && !q->all_workspaces)
		query.scope = workspace->name;
	if (s == CV_RPC_OK)
		s = cv_object_list(
			cv_gw_of(c)->objects, CV_OBJECT_PROVIDER, &query, arena, &page, &err);
	openshell__v1__list_providers_response__init(&r);
	r.providers = cv_arena_array(arena, page.n + 1, sizeof(void *));
	for (size_t i = 0; s == CV_RPC_OK && i < page.n; i++) {
		provider *p = cv_gw_provider_view(page.v[i], arena);

		if (!p || !r.providers) {
			cv_fail(&err, CV_LIMIT, "no memory for a page");
			s = CV_RPC_RESOURCE_EXHAUSTED;
			break;
		}
		r.providers[r.n_providers++] = p;
	}
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &r.base);
	else
		cv_gw_fail(c, s, &err);
}

/* A refresh of this provider, if there is one. */
static struct cv_object *refresh_find(const struct cv_gateway *g, const struct cv_object *o)
{
	const struct cv_object_range r = cv_object_scope(g->objects, CV_OBJECT_REFRESH, o->scope);

	for (size_t i = r.first; i < r.end; i++) {
		struct cv_object *x = cv_object_at(g->objects, CV_OBJECT_REFRESH, i);
		const V1(StoredProviderCredentialRefreshState) *state = (const void *)x->message;

		if (strcmp(state->provider_id, o->id) == 0)
			return x;
	}
	return NULL;
}

/* By another name, perhaps. */
static bool is_same_type(const struct cv_rpc_call *c, const provider *now, const char *type)
{
	struct cv_gw_profile p;
	struct cv_err ignored;

	if (strcmp(type, now->type) == 0)
		return true;
	if (type_find(c, now->profile_workspace, type, &p, &ignored) != CV_OK)
		return false;
	const bool is_same = cv_str_eq(p.profile->id.s, cv_str_of(now->type));
	cv_gw_profile_fini(&p);
	return is_same;
}

static enum cv_rpc_status update_check(const struct cv_rpc_call *c, const struct cv_object *o,
	const provider *from, struct cv_err *err)
{
	const provider *now = cv_gw_provider_of(o);

	if (from->type[0] && !is_same_type(c, now, from->type))
		return cv_gw_invalid(err,
			"provider type cannot be changed (is '%.64s', requested '%.64s'); create "
			"another provider",
			now->type, from->type);
	for (size_t i = 0; i < from->n_credentials; i++)
		if (cv_gw_refresh_owns(cv_gw_of(c), o, from->credentials[i]->key)) {
			cv_fail(err, CV_DENIED,
				"credential '%.64s' is owned by a refresh grant; rotate it, or delete "
				"the refresh first",
				from->credentials[i]->key);
			return CV_RPC_FAILED_PRECONDITION;
		}
	return CV_RPC_OK;
}

static enum cv_rpc_status updated(struct cv_rpc_call *c, const V1(UpdateProviderRequest) * q,
	struct cv_object **ret, struct cv_err *err)
{
	const provider *from = q->provider;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_object *o;
	enum cv_rpc_status s = cv_gw_provider_check(from, err);

	if (s == CV_RPC_OK)
		s = provider_open(
			c, cv_str_of(q->workspace), cv_str_of(from->metadata->name), true, &o, err);
	if (s == CV_RPC_OK)
		s = update_check(c, o, from, err);
	if (s != CV_RPC_OK)
		return s;
	provider *m = (provider *)(void *)cv_object_copy(o);
	s = cv_gw_provider_merge(g, m, from, err);
	for (size_t i = 0; s == CV_RPC_OK && i < from->n_credential_expires_at_ms; i++)
		s = cv_gw_provider_expiry_merge(m, from->credential_expires_at_ms[i]->key,
			from->credential_expires_at_ms[i]->value, err);
	for (size_t i = 0; s == CV_RPC_OK && i < q->n_credential_expires_at_ms; i++)
		s = cv_gw_provider_expiry_merge(m, q->credential_expires_at_ms[i]->key,
			q->credential_expires_at_ms[i]->value, err);
	if (s == CV_RPC_OK)
		s = cv_gw_provider_fits(g, o, m, err);
	if (s != CV_RPC_OK) {
		cv_pb_free(m);
		return s;
	}
	*ret = o;
	return cv_object_write(g->objects, o, from->metadata->resource_version, &m->base, err);
}

static void update(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const V1(UpdateProviderRequest) *q = (const void *)m;
	struct cv_object *o = NULL;
	struct cv_err err;
	const enum cv_rpc_status s = updated(c, q, &o, &err);

	values_wipe(q->provider);
	if (s == CV_RPC_OK)
		cv_log(CV_LOG_INFO, "provider",
			CV_LOG_FIELDS({ "workspace", o->scope }, { "name", o->name },
				{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
			"updated");
	answer(c, s, o, &err);
}

bool cv_gw_is_attached(const struct cv_object *sandbox, const struct cv_object *o)
{
	const V1(Sandbox) *m = (const void *)sandbox->message;

	for (size_t i = 0; m->spec && i < m->spec->n_providers; i++)
		if (cv_str_eq(cv_str_of(m->spec->providers[i]), o->name))
			return cv_str_eq(sandbox->scope, o->scope);
	return false;
}

static enum cv_rpc_status deleted(struct cv_gateway *g, struct cv_object *o, struct cv_err *err)
{
	const struct cv_object_range r = cv_object_scope(g->objects, CV_OBJECT_SANDBOX, o->scope);
	struct cv_object *refresh;
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_buf names;

	cv_buf_init(&names, 300);
	for (size_t i = r.first; i < r.end; i++) {
		const struct cv_object *box = cv_object_at(g->objects, CV_OBJECT_SANDBOX, i);

		if (cv_gw_is_attached(box, o))
			cv_buf_printf(&names, "%s%.*s", cv_buf_len(&names) ? ", " : "",
				CV_STR_ARG(box->name));
	}
	if (cv_buf_len(&names) || names.is_overflown) {
		cv_fail(err, CV_DENIED,
			"provider '%.*s' is attached to sandbox(es): %.*s; detach it first",
			CV_STR_ARG(o->name), CV_STR_ARG(cv_buf_str(&names)));
		s = CV_RPC_FAILED_PRECONDITION;
	}
	cv_buf_fini(&names);
	while (s == CV_RPC_OK && (refresh = refresh_find(g, o)))
		s = cv_object_delete(g->objects, refresh, CV_OBJECT_ANY_VERSION, err);
	return s == CV_RPC_OK ? cv_object_delete(g->objects, o, CV_OBJECT_ANY_VERSION, err) : s;
}

static void delete (struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const V1(DeleteProviderRequest) *q = (const void *)m;
	V1(DeleteProviderResponse) r;
	struct cv_object *o = NULL;
	struct cv_err err;
	enum cv_rpc_status s =
		provider_open(c, cv_str_of(q->workspace), cv_str_of(q->name), false, &o, &err);

	openshell__v1__delete_provider_response__init(&r);
	if (s == CV_RPC_OK)
		s = deleted(cv_gw_of(c), o, &err);
	r.deleted = s == CV_RPC_OK;
	if (s == CV_RPC_OK) {
		cv_log(CV_LOG_INFO, "provider",
			CV_LOG_FIELDS({ "name", cv_str_of(q->name) },
				{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
			"deleted");
		cv_rpc_reply(c, &r.base);
	} else {
		cv_gw_fail(c, s, &err);
	}
}

/* ---- the part ---- */

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_plan_files files = { 0 };
	struct cv_arena arena;
	struct cv_str supervisor;

	cv_arena_init(&arena, 64 << 10);
	cv_code code = cv_driver_programs_find(&files, &arena, &supervisor, err);
	if (code == CV_OK)
		code = cv_gw_vault_new(files.exe_keeper.p, g, &g->vault, err);
	cv_arena_fini(&arena);
	return code;
}

static void stop(struct cv_gateway *g)
{
	cv_gw_vault_free(g->vault);
	g->vault = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "CreateProvider", { .message = create } },
	{ "GetProvider", { .message = get } },
	{ "ListProviders", { .message = list } },
	{ "UpdateProvider", { .message = update } },
	{ "DeleteProvider", { .message = delete } },
};

const struct cv_gw_part cv_gw_part_provider = {
	.name = "provider",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = start,
	.stop = stop,
};
