/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compose.c - the providers of a sandbox become its environment, a layer of its policy, and a set
 *
 * The same steps as `cove run --provider` (cred/compose.h), with references to envelopes in the
 * place of values: the set is made here and filled by the vault.
 */
#include "gateway/provider.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "cred/compose.h"
#include "cred/limits_profile.h"
#include "gateway/inference.h"
#include "gateway/profile.h"
#include "gateway/refresh.h"
#include "gateway/sandbox.h"
#include "gateway/tools.h"
#include "gateway/vault.h"
#include "ipc/vault_link.h"
#include "plan/plan.h"
#include "policy/findings.h"
#include "rpc/policy_pb.h"

#include <assert.h>
#include <time.h>

#define DM(name)      Openshell__Datamodel__V1__##name
#define REF_BYTES_MAX (2 * (CV_VAULT_ENVELOPE_BYTES_MAX + CV_VAULT_CONTEXT_BYTES_MAX))

struct composing {
	struct cv_gateway *g;
	struct cv_gw_box *box; /* for its log; NULL: it is not there yet */
	struct cv_arena *arena;
	struct cv_err *err;
	struct cv_gw_profile profile[CV_GW_PROVIDERS_PER_SANDBOX_MAX];
	struct cv_attached v[CV_GW_PROVIDERS_PER_SANDBOX_MAX];
	size_t n, visible; /* attached ones; behind them what is there for inference.local alone */
	struct cv_str *config; /* KEY=VALUE of all */
	size_t config_count;
	struct cv_cred_set set;
};

/* ---- what is attached ---- */

/* The profile's word, or what the value looked like when it came. */
static struct cv_str shape_of(
	const struct cv_profile *p, const DM(CredentialHandle) * h, struct cv_str key)
{
	for (size_t i = 0; i < p->credential_count; i++)
		for (size_t k = 0; k < p->credentials[i].env_vars.n; k++)
			if (cv_str_eq(p->credentials[i].env_vars.v[k].s, key) &&
				p->credentials[i].shape.s.n)
				return p->credentials[i].shape.s;
	for (size_t i = 0; i < h->n_metadata; i++)
		if (strcmp(h->metadata[i]->key, "shape") == 0)
			return cv_str_of(h->metadata[i]->value);
	return CV_STR("canonical");
}

static cv_code reference(struct composing *x, const struct cv_object *o, struct cv_str key,
	const char *handle, struct cv_str *ret)
{
	struct cv_buf context, envelope, text;
	cv_code code = CV_OK;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&text, REF_BYTES_MAX);
	if (!cv_base64_decode(cv_str_of(handle), CV_BASE64_STD, &envelope) ||
		!cv_gw_vault_context(&context, o->scope, cv_str_of(o->id), key) ||
		!cv_vault_ref_put(&text, cv_buf_str(&context), cv_buf_str(&envelope)))
		code = cv_fail(x->err, CV_DENIED,
			"provider '%.*s': what is stored of %.*s was changed", CV_STR_ARG(o->name),
			CV_STR_ARG(key));
	*ret = cv_arena_str(x->arena, cv_buf_str(&text));
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
	cv_buf_fini(&text);
	return code;
}

static int64_t expires_s(const cv_gw_provider_pb *p, const char *key)
{
	for (size_t i = 0; i < p->n_credential_expires_at_ms; i++)
		if (strcmp(p->credential_expires_at_ms[i]->key, key) == 0)
			return CV_MAX(
				p->credential_expires_at_ms[i]->value / 1000, 1); /* 0: never */
	return 0;
}

static void expired_tell(const struct composing *x, const struct cv_object *o, struct cv_str key)
{
	if (x->box && !cv_gw_refresh_owns(x->g, o, key.p))
		cv_gw_box_log(x->box, "WARN", "provider",
			"%.*s of provider %.*s has expired, and is left out until it has a new value",
			CV_STR_ARG(key), CV_STR_ARG(o->name));
}

static cv_code provider_take(struct composing *x, const struct cv_object *o, bool is_hidden)
{
	const cv_gw_provider_pb *p = cv_gw_provider_of(o);
	struct cv_gw_profile *profile = &x->profile[x->n];
	struct cv_attached *a = &x->v[x->n];
	cv_code code = cv_gw_profile_find(
		x->g, cv_str_of(p->profile_workspace), cv_str_of(p->type), profile, x->err);

	if (code != CV_OK)
		return cv_wrap(x->err, "provider '%.*s'", CV_STR_ARG(o->name));
	x->n++;
	a->name = o->name;
	a->profile = profile->profile;
	a->keys = cv_arena_array(x->arena, p->n_credential_handles + 1, sizeof(a->keys[0]));
	for (size_t i = 0; a->keys && i < p->n_credential_handles && code == CV_OK; i++) {
		const struct cv_str key = cv_str_of(p->credential_handles[i]->key);
		const DM(CredentialHandle) *h = p->credential_handles[i]->value;
		const int64_t until_s = expires_s(p, key.p);

		/* Over: the sandbox has the others, and this one again when there is another one. */
		if (until_s && until_s <= time(NULL)) {
			expired_tell(x, o, key);
			continue;
		}
		struct cv_attached_key *k = &a->keys[a->key_count++];
		k->key = key;
		k->expires_s = until_s;
		k->refresh = CV_CRED_NONE;
		if (!h)
			code = cv_fail(x->err, CV_DENIED, "provider '%.*s': %.*s has no value",
				CV_STR_ARG(o->name), CV_STR_ARG(key));
		else
			k->shape = shape_of(profile->profile, h, key);
		if (code == CV_OK)
			code = reference(x, o, key, h->handle, &k->value);
	}
	for (size_t i = 0; x->config && !is_hidden && i < p->n_config; i++)
		x->config[x->config_count++] =
			cv_arena_printf(x->arena, "%s=%s", p->config[i]->key, p->config[i]->value);
	return code;
}

static cv_code providers_take(
	struct composing *x, const struct cv_object *sandbox, char *const *names, size_t n)
{
	const struct cv_object *o[CV_GW_PROVIDERS_PER_SANDBOX_MAX];
	size_t config = 0;
	cv_code code = CV_OK;

	if (n > CV_GW_PROVIDERS_PER_SANDBOX_MAX)
		return cv_fail(x->err, CV_INVALID,
			"spec.providers exceeds maximum entries (%zu > %d)", n,
			CV_GW_PROVIDERS_PER_SANDBOX_MAX);
	for (size_t i = 0; i < n; i++) {
		o[i] = cv_object_find(
			x->g->objects, CV_OBJECT_PROVIDER, sandbox->scope, cv_str_of(names[i]));
		if (!o[i])
			return cv_fail(
				x->err, CV_NOT_FOUND, "provider '%.253s' not found", names[i]);
		config += cv_gw_provider_of(o[i])->n_config;
	}
	x->config = cv_arena_array(x->arena, config + 1, sizeof(x->config[0]));
	for (size_t i = 0; i < n && code == CV_OK; i++)
		code = provider_take(x, o[i], false);
	x->visible = x->n;
	if (code == CV_OK)
		code = cv_compose_check(x->v, x->n, (int64_t)time(NULL), x->err);
	return code;
}

/* The provider of inference.local, if it is not attached: its credentials are the keeper's business
 * only.  Where it can't be had the sandbox does without; with a variable that another provider sets,
 * that one's is used. */
static void hidden_take(struct composing *x, const struct cv_object *sandbox)
{
	const struct cv_object *o =
		x->n < CV_ARRAY_LEN(x->v) ? cv_gw_inference_provider(x->g, sandbox) : NULL;
	struct cv_err err, *const theirs = x->err;

	if (!o)
		return;
	x->err = &err;
	if (provider_take(x, o, true) != CV_OK ||
		cv_compose_check(x->v, x->n, (int64_t)time(NULL), &err) != CV_OK) {
		if (cv_gw_box_of(sandbox))
			cv_gw_box_log(cv_gw_box_of(sandbox), "WARN", "inference",
				"inference.local has no credential of its own: %s", err.msg);
		if (x->n > x->visible)
			cv_gw_profile_fini(&x->profile[--x->n]);
	}
	x->err = theirs;
}

static bool is_hidden(const struct composing *x, struct cv_str key)
{
	for (size_t i = x->visible; i < x->n; i++)
		for (size_t k = 0; k < x->v[i].key_count; k++)
			if (cv_str_eq(x->v[i].keys[k].key, key))
				return true;
	return false;
}

/* ---- the policy with their layer ---- */

static cv_code layered(struct composing *x, struct cv_str policy, struct cv_str *ret_layer,
	struct cv_policy_doc **ret)
{
	struct cv_findings f;
	struct cv_buf layer;

	cv_buf_init(&layer, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_findings_init(&f);
	cv_code code = cv_compose_layer(x->v, x->visible, &layer, x->err);
	if (code == CV_OK) {
		*ret_layer = cv_arena_str(x->arena, cv_buf_str(&layer));
		code = cv_policy_load_layered(CV_STR("policy"),
			policy.n ? policy : CV_STR(CV_PLAN_NO_POLICY_TEXT), cv_buf_str(&layer), ret,
			&f);
		if (code == CV_OK)
			code = cv_policy_validate(*ret, &f);
		if (code != CV_OK)
			cv_findings_first(&f, x->err);
	}
	cv_findings_fini(&f);
	cv_buf_fini(&layer);
	return code;
}

/* ---- what comes out ---- */

static void seed_make(const struct cv_object *sandbox, unsigned char ret[CV_SHA256_BYTES])
{
	static const char purpose[] = "cove placeholders of";
	struct cv_sha256 s;

	cv_sha256_init(&s);
	cv_sha256_update(&s, purpose, sizeof(purpose));
	cv_sha256_update(&s, sandbox->id, strlen(sandbox->id));
	cv_sha256_final(&s, ret);
}

static void told(struct composing *x, struct cv_gw_attached *a)
{
	struct cv_arena *arena = x->arena;

	/* and one for the token of host tools */
	a->env = cv_arena_array(arena, x->config_count + x->set.cred_count + 1, sizeof(a->env[0]));
	a->providers = cv_arena_array(arena, x->n + 1, sizeof(a->providers[0]));
	for (size_t i = 0; a->env && i < x->config_count; i++)
		a->env[a->env_count++] = x->config[i];
	for (size_t i = 0; a->env && i < x->set.cred_count; i++)
		if (!is_hidden(x, x->set.creds[i].key))
			a->env[a->env_count++] =
				cv_arena_printf(arena, "%.*s=%.*s", CV_STR_ARG(x->set.creds[i].key),
					CV_STR_ARG(x->set.creds[i].placeholder));
	for (size_t i = 0; a->providers && i < x->n; i++) {
		struct cv_plan_provider *p = &a->providers[a->provider_count++];

		p->name = cv_arena_str(arena, x->v[i].name);
		p->type = cv_arena_str(arena, x->v[i].profile->id.s);
		p->keys = cv_arena_array(arena, x->v[i].key_count + 1, sizeof(p->keys[0]));
		for (size_t k = 0; p->keys && k < x->v[i].key_count; k++)
			p->keys[p->key_count++] = cv_arena_str(arena, x->v[i].keys[k].key);
	}
}

static cv_code composed(struct composing *x, const struct cv_object *sandbox, struct cv_str policy,
	struct cv_gw_attached *a)
{
	unsigned char seed[CV_SHA256_BYTES];
	struct cv_policy_doc *doc = NULL;

	static_assert(CV_SHAPE_SEED_BYTES == CV_SHA256_BYTES, "a hash is a seed");
	seed_make(sandbox, seed);
	cv_code code = layered(x, policy, &a->layer, &doc);
	if (code == CV_OK)
		code = cv_compose_set(x->v, x->n, doc, seed, &x->set, x->err);
	cv_policy_doc_free(doc);
	if (code != CV_OK)
		return code;
	told(x, a);
	if (a->env && cv_gw_tools_are_there(x->g, sandbox))
		code = cv_gw_tools_compose(
			x->g, sandbox, &x->set, x->arena, &a->env[a->env_count++], x->err);
	if (code != CV_OK)
		;
	else if (x->arena->is_overflown)
		code = cv_fail(x->err, CV_LIMIT, "no memory for the providers");
	else if (x->set.cred_count)
		code = cv_gw_vault_compose(x->g->vault, &x->set, &a->fd, x->err);
	cv_cred_set_fini(&x->set);
	return code;
}

cv_code cv_gw_providers_compose(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_str policy, struct cv_arena *arena, struct cv_gw_attached *ret,
	struct cv_err *err)
{
	const Openshell__V1__Sandbox *m = (const void *)sandbox->message;
	const size_t n = m->spec ? m->spec->n_providers : 0;
	struct cv_gw_attached a = { .fd = -1 };
	struct cv_err own;

	if (n == 0 && !cv_gw_tools_are_there(g, sandbox) && !cv_gw_inference_provider(g, sandbox)) {
		*ret = a;
		return CV_OK;
	}
	struct composing *x = cv_arena_new(arena, struct composing);
	if (!x)
		return cv_fail(err, CV_LIMIT, "no memory for the providers");
	x->g = g;
	x->box = cv_gw_box_of(sandbox);
	x->arena = arena;
	x->err = err ? err : &own;
	cv_code code = providers_take(x, sandbox, n ? m->spec->providers : NULL, n);
	if (code == CV_OK)
		hidden_take(x, sandbox);
	if (code == CV_OK)
		code = composed(x, sandbox, policy, &a);
	for (size_t i = 0; i < x->n; i++)
		cv_gw_profile_fini(&x->profile[i]);
	if (code == CV_OK)
		*ret = a;
	return code;
}
