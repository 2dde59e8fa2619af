/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh.c - the rpcs about renewals; see refresh.h
 *
 * Which way a credential is renewed, and where, is its profile's to say; a request brings materials,
 * which are sealed at once, secret or not.  To configure once more replaces all of them.
 */
#include "gateway/refresh.h"

#include "base/base64.h"
#include "gateway/access.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/profile.h"
#include "gateway/provider.h"
#include "ipc/vault_link.h"
#include "sys/clock.h"

#include <stdio.h>

#define V1(name) Openshell__V1__##name
#define MATERIAL_ENTRY \
	openshell__v1__stored_provider_credential_refresh_state__secret_material_handles_entry__descriptor
#define OUTPUT_ENTRY \
	openshell__v1__stored_provider_credential_refresh_state__additional_output_keys_entry__descriptor

bool cv_gw_refresh_context(
	struct cv_buf *b, const struct cv_object *provider, const char *key, const char *material)
{
	char rest[512];

	return (size_t)snprintf(rest, sizeof(rest), "%s/%s", key, material) < sizeof(rest) &&
	       cv_gw_vault_context(b, provider->scope, cv_str_of(provider->id), cv_str_of(rest));
}

bool cv_gw_refresh_owns(
	const struct cv_gateway *g, const struct cv_object *provider, const char *key)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_REFRESH, provider->scope);

	for (size_t i = r.first; i < r.end; i++) {
		const cv_gw_refresh_pb *m =
			cv_gw_refresh_of(cv_object_at(g->objects, CV_OBJECT_REFRESH, i));

		if (strcmp(m->provider_id, provider->id) == 0 &&
			(strcmp(m->credential_key, key) == 0 ||
				cv_pb_map_get(m->additional_output_keys,
					m->n_additional_output_keys, cv_str_of(key))
					.p))
			return true;
	}
	return false;
}

const char *cv_gw_refresh_key_at(
	const struct cv_gateway *g, const struct cv_object *provider, size_t i)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_REFRESH, provider->scope);

	for (size_t at = r.first; at < r.end; at++) {
		const cv_gw_refresh_pb *m =
			cv_gw_refresh_of(cv_object_at(g->objects, CV_OBJECT_REFRESH, at));

		if (strcmp(m->provider_id, provider->id) != 0)
			continue;
		if (i == 0)
			return m->credential_key;
		if (i <= m->n_additional_output_keys)
			return m->additional_output_keys[i - 1]->key;
		i -= 1 + m->n_additional_output_keys;
	}
	return NULL;
}

V1(ProviderCredentialRefreshStatus) *
	cv_gw_refresh_view(const struct cv_object *o, struct cv_arena *arena)
{
	V1(ProviderCredentialRefreshStatus) *s =
		cv_arena_new(arena, V1(ProviderCredentialRefreshStatus));
	const cv_gw_refresh_pb *m = cv_gw_refresh_of(o);
	const struct cv_gw_refresh *r = o->runtime;

	if (!s)
		return NULL;
	openshell__v1__provider_credential_refresh_status__init(s);
	s->provider_name = m->provider_name;
	s->provider_id = m->provider_id;
	s->credential_key = m->credential_key;
	s->strategy = m->strategy;
	s->status = r && r->is_running ? (char *)(uintptr_t) "refreshing" : m->status;
	s->expires_at_ms = m->expires_at_ms;
	s->next_refresh_at_ms = m->next_refresh_at_ms;
	s->last_refresh_at_ms = m->last_refresh_at_ms;
	s->last_error = m->last_error;
	return s;
}

static enum cv_rpc_status provider_open(struct cv_rpc_call *c, const char *workspace,
	const char *name, bool is_change, struct cv_object **ret, struct cv_err *err)
{
	struct cv_object *w;

	if (!*name)
		return cv_gw_invalid(err, "provider is required");
	const enum cv_rpc_status s =
		cv_gw_workspace_open(c, cv_str_of(workspace), is_change, &w, err);

	return s == CV_RPC_OK ? cv_object_get(cv_gw_of(c)->objects, CV_OBJECT_PROVIDER, w->name,
					cv_str_of(name), ret, err)
			      : s;
}

/* ---- which credential is meant ---- */

/* By its name, or one of its variables; NULL: the profile has none of the kind. */
static const struct cv_profile_credential *credential_of(
	const struct cv_profile *p, struct cv_str key)
{
	const struct cv_profile_credential *c = cv_profile_credential_find(p, key);

	for (size_t i = 0; !c && i < p->credential_count; i++)
		for (size_t k = 0; k < p->credentials[i].env_vars.n; k++)
			if (cv_str_eq(p->credentials[i].env_vars.v[k].s, key))
				return &p->credentials[i];
	return c;
}

/* The variable that is stored and shown: the first of the credential. */
static struct cv_str variable_of(const struct cv_profile_credential *c, struct cv_str key)
{
	return c && c->env_vars.n ? c->env_vars.v[0].s : key;
}

static struct cv_object *refresh_of(
	const struct cv_gateway *g, const struct cv_object *provider, struct cv_str key)
{
	const struct cv_object_range r =
		cv_object_scope(g->objects, CV_OBJECT_REFRESH, provider->scope);

	for (size_t i = r.first; i < r.end; i++) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_REFRESH, i);
		const cv_gw_refresh_pb *m = cv_gw_refresh_of(o);

		if (strcmp(m->provider_id, provider->id) == 0 &&
			cv_str_eq(cv_str_of(m->credential_key), key))
			return o;
	}
	return NULL;
}

/* The one that a request names, by credential or variable. */
static enum cv_rpc_status refresh_open(struct cv_rpc_call *c, const char *workspace,
	const char *provider_name, const char *key, struct cv_object **ret, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_gw_profile profile;
	struct cv_object *provider;

	*ret = NULL;
	enum cv_rpc_status s = provider_open(c, workspace, provider_name, true, &provider, err);
	if (s == CV_RPC_OK && !*key)
		return cv_gw_invalid(err, "credential_key is required");
	if (s != CV_RPC_OK)
		return s;
	const cv_gw_provider_pb *p = cv_gw_provider_of(provider);
	struct cv_str variable = cv_str_of(key);
	if (cv_gw_profile_find(g, cv_str_of(p->profile_workspace), cv_str_of(p->type), &profile,
		    err) == CV_OK) {
		const struct cv_str v =
			variable_of(credential_of(profile.profile, variable), variable);

		*ret = refresh_of(g, provider, v);
		cv_gw_profile_fini(&profile);
	}
	if (!*ret)
		*ret = refresh_of(g, provider, variable);
	return CV_RPC_OK;
}

/* ---- ConfigureProviderRefresh ---- */

struct configuring {
	struct cv_gateway *g;
	const V1(ConfigureProviderRefreshRequest) * q;
	const struct cv_object *provider;
	const struct cv_profile *profile;
	const struct cv_profile_credential *credential; /* NULL: the profile has none such */
	enum cv_profile_strategy strategy;
	struct cv_str key;
	struct cv_err *err;
};

static const struct cv_profile_refresh *profile_refresh(const struct configuring *x)
{
	return x->credential && x->credential->has_refresh ? &x->credential->refresh : NULL;
}

static enum cv_rpc_status strategy_take(struct configuring *x)
{
	const struct cv_profile_refresh *p = profile_refresh(x);

	x->strategy = (enum cv_profile_strategy)x->q->strategy;
	if ((unsigned)x->strategy > CV_PROFILE_STRATEGY_AWS_STS_ASSUME_ROLE)
		return cv_gw_invalid(x->err, "strategy is unknown");
	if (x->strategy == CV_PROFILE_STRATEGY_NONE)
		x->strategy = p ? p->strategy : CV_PROFILE_STRATEGY_NONE;
	if (x->strategy == CV_PROFILE_STRATEGY_NONE)
		return cv_gw_invalid(x->err,
			"strategy is required: the profile '%.*s' does not say how %.*s is renewed",
			CV_STR_ARG(x->profile->id.s), CV_STR_ARG(x->key));
	if (x->strategy == CV_PROFILE_STRATEGY_STATIC)
		return cv_gw_invalid(
			x->err, "strategy 'static' names no way to renew a credential");
	return CV_RPC_OK;
}

static const char *material_get(const V1(ConfigureProviderRefreshRequest) * q, struct cv_str name)
{
	for (size_t i = 0; i < q->n_material; i++)
		if (cv_str_eq(cv_str_of(q->material[i]->key), name))
			return q->material[i]->value;
	return NULL;
}

static enum cv_rpc_status names_check(const struct configuring *x)
{
	const struct cv_profile_refresh *p = profile_refresh(x);
	const V1(ConfigureProviderRefreshRequest) *q = x->q;

	if (q->n_material > CV_GW_REFRESH_MATERIALS_MAX)
		return cv_gw_invalid(x->err, "material exceeds maximum entries (%zu > %d)",
			q->n_material, CV_GW_REFRESH_MATERIALS_MAX);
	for (size_t i = 0; i < q->n_material; i++)
		if (!cv_cred_is_key(cv_str_of(q->material[i]->key)) ||
			strlen(q->material[i]->key) > 128)
			return cv_gw_invalid(
				x->err, "material: '%.64s' can't be a name", q->material[i]->key);
	for (size_t i = 0; i < q->n_secret_material_keys; i++)
		if (!material_get(q, cv_str_of(q->secret_material_keys[i])))
			return cv_gw_invalid(x->err,
				"secret_material_keys: '%.64s' does not occur in material",
				q->secret_material_keys[i]);
	for (size_t i = 0; p && p->strategy == x->strategy && i < p->material_count; i++)
		if (p->materials[i].is_required && !material_get(q, p->materials[i].name.s))
			return cv_gw_invalid(x->err, "refresh of %.*s needs the material '%.*s'",
				CV_STR_ARG(x->key), CV_STR_ARG(p->materials[i].name.s));
	return CV_RPC_OK;
}

/* The strategy's own word, with the materials at hand. */
static enum cv_rpc_status plan_check(const struct configuring *x)
{
	const struct cv_profile_refresh *p = profile_refresh(x);
	struct cv_cred_material materials[CV_GW_REFRESH_MATERIALS_MAX];
	const struct cv_cred_refresh plan = {
		.strategy = cv_str_of(cv_profile_strategy_name(x->strategy)),
		.token_url = p ? p->token_url.s : CV_STR_NONE,
		.materials = materials,
		.material_count = x->q->n_material,
	};

	if (x->strategy == CV_PROFILE_STRATEGY_EXTERNAL)
		return CV_RPC_OK;
	for (size_t i = 0; i < x->q->n_material; i++)
		materials[i] = (struct cv_cred_material){ cv_str_of(x->q->material[i]->key),
			cv_str_of(x->q->material[i]->value) };
	const cv_code code = cv_refresh_check(&plan, x->err);
	explicit_bzero(materials, sizeof(materials));
	return code == CV_OK ? CV_RPC_OK : CV_RPC_INVALID_ARGUMENT;
}

static enum cv_rpc_status material_seal(
	const struct configuring *x, cv_gw_refresh_pb *m, const char *name, const char *value)
{
	V1(StoredProviderCredentialRefreshState__SecretMaterialHandlesEntry) * e;
	struct cv_buf context, envelope, text;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&text, 2 * CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_code code = cv_gw_refresh_context(&context, x->provider, m->credential_key, name)
			       ? cv_gw_vault_seal(x->g->vault, cv_buf_str(&context),
					 cv_str_of(value), &envelope, x->err)
			       : cv_fail(x->err, CV_LIMIT, "material: the name is too long");
	if (code == CV_OK) {
		cv_buf_put_base64(&text, cv_buf_str(&envelope), CV_BASE64_STD);
		e = cv_pb_new(&MATERIAL_ENTRY);
		cv_pb_str_set(&e->key, cv_str_of(name));
		e->value = cv_pb_new(&openshell__datamodel__v1__credential_handle__descriptor);
		cv_pb_str_set(&e->value->driver, CV_STR("vault"));
		cv_pb_str_set(&e->value->handle, cv_buf_str(&text));
		cv_pb_append(&m->secret_material_handles, &m->n_secret_material_handles, e);
	}
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
	cv_buf_fini(&text);
	return code == CV_OK            ? CV_RPC_OK
	       : code == CV_LIMIT       ? CV_RPC_INVALID_ARGUMENT
	       : code == CV_UNAVAILABLE ? CV_RPC_UNAVAILABLE
					: CV_RPC_FAILED_PRECONDITION;
}

static void output_add(cv_gw_refresh_pb *m, struct cv_str variable, struct cv_str output)
{
	if (!cv_str_eq(variable, cv_str_of(m->credential_key)))
		cv_pb_map_set(&m->additional_output_keys, &m->n_additional_output_keys,
			&OUTPUT_ENTRY, variable, output);
}

/* Every variable of the credential gets its token, those of siblings what the profile says. */
static void outputs_take(const struct configuring *x, cv_gw_refresh_pb *m)
{
	const struct cv_profile_refresh *p = profile_refresh(x);

	for (size_t i = 0; x->credential && i < x->credential->env_vars.n; i++)
		output_add(m, x->credential->env_vars.v[i].s, CV_STR_NONE);
	for (size_t i = 0; p && i < p->output_count; i++) {
		const struct cv_profile_credential *to =
			cv_profile_credential_find(x->profile, p->outputs[i].credential.s);

		for (size_t k = 0; to && k < to->env_vars.n; k++)
			output_add(m, to->env_vars.v[k].s, p->outputs[i].output.s);
	}
}

static enum cv_rpc_status message_fill(const struct configuring *x, cv_gw_refresh_pb *m)
{
	const struct cv_profile_refresh *p = profile_refresh(x);
	char epoch[CV_OBJECT_ID_BYTES + 1];
	enum cv_rpc_status s = CV_RPC_OK;

	cv_object_id_make(epoch);
	cv_pb_str_set(&m->provider_id, cv_str_of(x->provider->id));
	cv_pb_str_set(&m->provider_name, x->provider->name);
	cv_pb_str_set(&m->credential_key, x->key);
	cv_pb_str_set(&m->authorization_epoch, cv_str_of(epoch));
	cv_pb_str_set(&m->status, CV_STR("configured"));
	m->strategy = (V1(ProviderCredentialRefreshStrategy))x->strategy;
	if (p) {
		cv_pb_str_set(&m->token_url, p->token_url.s);
		m->refresh_before_seconds = p->before_s;
		m->max_lifetime_seconds = p->max_lifetime_s;
		for (size_t i = 0; i < p->scopes.n; i++)
			cv_pb_append_str(&m->scopes, &m->n_scopes, p->scopes.v[i].s);
	}
	if (x->q->_expires_at_ms_case)
		m->expires_at_ms = x->q->expires_at_ms;
	outputs_take(x, m);
	for (size_t i = 0; i < x->q->n_secret_material_keys; i++)
		cv_pb_append_str(&m->secret_material_keys, &m->n_secret_material_keys,
			cv_str_of(x->q->secret_material_keys[i]));
	for (size_t i = 0; i < x->q->n_material && s == CV_RPC_OK; i++)
		s = material_seal(x, m, x->q->material[i]->key, x->q->material[i]->value);
	return s;
}

/* A renewal that made a variable which another provider sets would cost its sandboxes all of them. */
static enum cv_rpc_status outputs_check(const struct configuring *x, const cv_gw_refresh_pb *m)
{
	cv_gw_provider_pb *next = (cv_gw_provider_pb *)(void *)cv_object_copy(x->provider);

	cv_gw_provider_envelope_put(next, x->key, CV_STR_NONE, 0);
	for (size_t i = 0; i < m->n_additional_output_keys; i++)
		cv_gw_provider_envelope_put(
			next, cv_str_of(m->additional_output_keys[i]->key), CV_STR_NONE, 0);
	const enum cv_rpc_status s = cv_gw_provider_fits(x->g, x->provider, next, x->err);
	cv_pb_free(next);
	return s;
}

static enum cv_rpc_status stored(const struct configuring *x, struct cv_object **ret)
{
	struct cv_object *o = refresh_of(x->g, x->provider, x->key);
	cv_gw_refresh_pb *m =
		cv_pb_new(&openshell__v1__stored_provider_credential_refresh_state__descriptor);
	enum cv_rpc_status s = message_fill(x, m);

	if (s == CV_RPC_OK)
		s = outputs_check(x, m);
	if (s != CV_RPC_OK) {
		cv_pb_free(m);
		return s;
	}
	if (o) {
		*ret = o;
		s = cv_object_write(x->g->objects, o, CV_OBJECT_ANY_VERSION, &m->base, x->err);
	} else {
		struct cv_buf name;

		m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
		cv_buf_init(&name, 512);
		cv_buf_printf(&name, "%s.%.*s", x->provider->id, CV_STR_ARG(x->key));
		cv_pb_str_set(&m->metadata->name, cv_buf_str(&name));
		cv_pb_str_set(&m->metadata->workspace, x->provider->scope);
		cv_buf_fini(&name);
		s = cv_object_create(x->g->objects, CV_OBJECT_REFRESH, &m->base, cv_clock_unix_ms(),
			ret, x->err);
	}
	if (s == CV_RPC_OK)
		cv_gw_refresh_begin(x->g, *ret);
	return s;
}

static enum cv_rpc_status configured(struct configuring *x, struct cv_object **ret)
{
	x->credential = credential_of(x->profile, cv_str_of(x->q->credential_key));
	x->key = variable_of(x->credential, cv_str_of(x->q->credential_key));
	if (!cv_cred_is_key(x->key))
		return cv_gw_invalid(x->err,
			"credential_key: '%.64s' can't be the name of a variable",
			x->q->credential_key);
	if (x->q->_expires_at_ms_case && x->q->expires_at_ms < 0)
		return cv_gw_invalid(x->err, "expires_at_ms is before 1970");
	enum cv_rpc_status s = strategy_take(x);
	if (s == CV_RPC_OK)
		s = names_check(x);
	if (s == CV_RPC_OK)
		s = plan_check(x);
	return s == CV_RPC_OK ? stored(x, ret) : s;
}

static void configure(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const V1(ConfigureProviderRefreshRequest) *q = (const void *)request;
	V1(ConfigureProviderRefreshResponse) r;
	struct cv_object *provider = NULL, *o = NULL;
	struct cv_gw_profile profile;
	struct cv_err err;
	enum cv_rpc_status s = provider_open(c, q->workspace, q->provider, true, &provider, &err);

	if (s == CV_RPC_OK && !*q->credential_key)
		s = cv_gw_invalid(&err, "credential_key is required");
	if (s == CV_RPC_OK &&
		cv_gw_profile_find(cv_gw_of(c),
			cv_str_of(cv_gw_provider_of(provider)->profile_workspace),
			cv_str_of(cv_gw_provider_of(provider)->type), &profile, &err) != CV_OK)
		s = CV_RPC_FAILED_PRECONDITION;
	else if (s == CV_RPC_OK) {
		struct configuring x = { .g = cv_gw_of(c),
			.q = q,
			.provider = provider,
			.profile = profile.profile,
			.err = &err };

		s = configured(&x, &o);
		cv_gw_profile_fini(&profile);
	}
	for (size_t i = 0; i < q->n_material; i++)
		explicit_bzero(q->material[i]->value, strlen(q->material[i]->value));
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cv_log(CV_LOG_INFO, "refresh",
		CV_LOG_FIELDS({ "provider", provider->name },
			{ "credential", cv_str_of(cv_gw_refresh_of(o)->credential_key) },
			{ "by", cv_str_of(cv_rpc_call_principal(c)->subject) }),
		"configured");
	openshell__v1__configure_provider_refresh_response__init(&r);
	r.status = cv_gw_refresh_view(o, cv_rpc_call_arena(c));
	cv_rpc_reply(c, &r.base);
}

/* ---- the others ---- */

static void rotate(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const V1(RotateProviderCredentialRequest) *q = (const void *)request;
	struct cv_object *o = NULL;
	struct cv_err err;
	enum cv_rpc_status s =
		refresh_open(c, q->workspace, q->provider, q->credential_key, &o, &err);

	if (s == CV_RPC_OK && !o) {
		cv_fail(&err, CV_NOT_FOUND, "provider refresh not found");
		s = CV_RPC_NOT_FOUND;
	} else if (s == CV_RPC_OK &&
		   cv_gw_refresh_of(o)->strategy <=
			   (V1(ProviderCredentialRefreshStrategy))CV_PROFILE_STRATEGY_EXTERNAL) {
		cv_fail(&err, CV_DENIED,
			"the credential is renewed by somebody else; update the provider");
		s = CV_RPC_FAILED_PRECONDITION;
	} else if (s == CV_RPC_OK && !cv_gw_refresh_now(cv_gw_of(c), o, c)) {
		cv_fail(&err, CV_LIMIT, "too many wait for this credential");
		s = CV_RPC_RESOURCE_EXHAUSTED;
	}
	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
}

static void rotate_closed(struct cv_rpc_call *c)
{
	cv_gw_refresh_forget(cv_gw_of(c), c);
}

static void status(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const V1(GetProviderRefreshStatusRequest) *q = (const void *)request;
	const struct cv_gateway *g = cv_gw_of(c);
	struct cv_arena *arena = cv_rpc_call_arena(c);
	V1(GetProviderRefreshStatusResponse) r;
	struct cv_object *provider = NULL;
	struct cv_err err;
	const enum cv_rpc_status s =
		provider_open(c, q->workspace, q->provider, false, &provider, &err);

	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	const struct cv_object_range all =
		cv_object_scope(g->objects, CV_OBJECT_REFRESH, provider->scope);
	openshell__v1__get_provider_refresh_status_response__init(&r);
	r.credentials = cv_arena_array(arena, all.end - all.first + 1, sizeof(void *));
	for (size_t i = all.first; r.credentials && i < all.end; i++) {
		const struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_REFRESH, i);
		const cv_gw_refresh_pb *m = cv_gw_refresh_of(o);
		V1(ProviderCredentialRefreshStatus) *v = NULL;

		if (strcmp(m->provider_id, provider->id) == 0 &&
			(!*q->credential_key || strcmp(m->credential_key, q->credential_key) == 0))
			v = cv_gw_refresh_view(o, arena);
		if (v)
			r.credentials[r.n_credentials++] = v;
	}
	cv_rpc_reply(c, &r.base);
}

static void delete (struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const V1(DeleteProviderRefreshRequest) *q = (const void *)request;
	V1(DeleteProviderRefreshResponse) r;
	struct cv_object *o = NULL;
	struct cv_err err;
	enum cv_rpc_status s =
		refresh_open(c, q->workspace, q->provider, q->credential_key, &o, &err);

	openshell__v1__delete_provider_refresh_response__init(&r);
	r.deleted = s == CV_RPC_OK && o;
	if (r.deleted)
		s = cv_object_delete(cv_gw_of(c)->objects, o, CV_OBJECT_ANY_VERSION, &err);
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &r.base);
	else
		cv_gw_fail(c, s, &err);
}

static const struct cv_gw_method methods[] = {
	{ "ConfigureProviderRefresh", { .message = configure } },
	{ "RotateProviderCredential", { .message = rotate, .closed = rotate_closed } },
	{ "GetProviderRefreshStatus", { .message = status } },
	{ "DeleteProviderRefresh", { .message = delete } },
};

const struct cv_gw_part cv_gw_part_refresh = {
	.name = "refresh",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = cv_gw_refreshes_start,
	.stop = cv_gw_refreshes_stop,
	.event = cv_gw_refreshes_event,
	.turn = cv_gw_refreshes_turn,
};
