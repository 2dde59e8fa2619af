/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - see probe.h
 */
#include "gateway/probe.h"

#include "base/base64.h"
#include "gateway/provider.h"
#include "gateway/renew.h"
#include "ipc/vault_link.h"

#include "datamodel.pb-c.h"

#include <stdio.h>
#include <stdlib.h>

#define REF_BYTES_MAX (2 * (CV_VAULT_ENVELOPE_BYTES_MAX + CV_VAULT_CONTEXT_BYTES_MAX))
#define ARENA_MAX     (4u << 20)
#define NO_KEY        "probe" /* what the status is sealed as, and nobody opens */

struct probe {
	struct cv_rpc_call *call; /* NULL: free */
	cv_gw_probe_end *end;
	struct cv_gw_renewal renewal;
	uint32_t gen;
};

struct cv_gw_probes {
	struct probe v[CV_GW_PROBES_MAX];
};

/* ---- what is asked ---- */

static const char *handle_of(const struct cv_object *provider, const char *key)
{
	const cv_gw_provider_pb *p = cv_gw_provider_of(provider);

	for (size_t i = 0; i < p->n_credential_handles; i++)
		if (strcmp(p->credential_handles[i]->key, key) == 0 &&
			p->credential_handles[i]->value)
			return p->credential_handles[i]->value->handle;
	return NULL;
}

/* handle: base64 of an envelope; NULL: a place that something will be sealed for. */
static cv_code reference(struct cv_arena *arena, const struct cv_object *provider, const char *key,
	const char *handle, struct cv_str *ret, struct cv_err *err)
{
	struct cv_buf context, envelope, text;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&text, REF_BYTES_MAX);
	const bool is_read = handle ? cv_base64_decode(cv_str_of(handle), CV_BASE64_STD, &envelope)
				    : cv_buf_put_byte(&envelope, '-');
	const bool is_put = is_read &&
			    cv_gw_vault_context(&context, provider->scope, cv_str_of(provider->id),
				    cv_str_of(key)) &&
			    cv_vault_ref_put(&text, cv_buf_str(&context), cv_buf_str(&envelope));
	*ret = cv_arena_str(arena, cv_buf_str(&text));
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
	cv_buf_fini(&text);
	return is_put && ret->p ? CV_OK
				: cv_fail(err, CV_DENIED, "what is stored of %s was changed", key);
}

static cv_code set_make(
	const struct cv_gw_probe_ask *ask, struct cv_cred_set *set, struct cv_err *err)
{
	struct cv_arena *arena = &set->arena;
	cv_code code = CV_OK;

	set->providers = cv_arena_array(arena, 1, sizeof(set->providers[0]));
	set->refreshes = cv_arena_array(arena, 1, sizeof(set->refreshes[0]));
	set->creds = cv_arena_array(arena, 1, sizeof(set->creds[0]));
	struct cv_cred_material *material = cv_arena_array(arena, 1, sizeof(*material));
	if (!set->providers || !set->refreshes || !set->creds || !material)
		return cv_fail(err, CV_LIMIT, "no memory for a probe");
	set->providers[0].name = ask->provider->name;
	set->providers[0].type = cv_str_of(cv_gw_provider_of(ask->provider)->type);
	set->refreshes[0].strategy = cv_str_of(ask->strategy);
	set->refreshes[0].token_url = ask->url;
	set->refreshes[0].scopes = ask->body;
	set->refreshes[0].materials = material;
	set->creds[0].key = set->creds[0].placeholder = CV_STR(NO_KEY);
	set->provider_count = set->refresh_count = set->cred_count = 1;
	if (ask->key) {
		material->name = CV_STR("key");
		set->refreshes[0].material_count = 1;
		code = reference(arena, ask->provider, ask->key, handle_of(ask->provider, ask->key),
			&material->value, err);
	}
	if (code == CV_OK)
		code = reference(arena, ask->provider, NO_KEY, NULL, &set->creds[0].value, err);
	return code;
}

/* ---- its life ---- */

static struct probe *place_find(struct cv_gateway *g)
{
	if (!g->probes)
		g->probes = calloc(1, sizeof(*g->probes));
	for (size_t i = 0; g->probes && i < CV_GW_PROBES_MAX; i++)
		if (!g->probes->v[i].call)
			return &g->probes->v[i];
	return NULL;
}

enum cv_rpc_status cv_gw_probe_begin(struct cv_rpc_call *c, const struct cv_gw_probe_ask *ask,
	cv_gw_probe_end *end, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	struct probe *p = place_find(g);
	struct cv_cred_set set;

	if (!p) {
		cv_fail(err, CV_LIMIT, "%d routes are being verified already; try again",
			CV_GW_PROBES_MAX);
		return CV_RPC_RESOURCE_EXHAUSTED;
	}
	const struct cv_ref ref = { (uint32_t)(p - g->probes->v), ++p->gen };
	cv_cred_set_init(&set);
	cv_code code = set_make(ask, &set, err);
	if (code == CV_OK)
		code = cv_gw_renewal_begin(&p->renewal, g, &set, true,
			(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_INFERENCE, 0), ref }, err);
	cv_cred_set_fini(&set);
	if (code != CV_OK)
		return code == CV_DENIED || code == CV_INVALID ? CV_RPC_FAILED_PRECONDITION
							       : CV_RPC_UNAVAILABLE;
	p->renewal.until_ms = g->loop.now_ms + CV_GW_PROBE_MS;
	p->call = c;
	p->end = end;
	return CV_RPC_OK;
}

static void over(struct probe *p)
{
	cv_gw_renewal_end(&p->renewal);
	p->call = NULL;
}

/* The words are those of issuers of tokens, whom this carries for otherwise. */
static void why_put(const struct cv_gw_renewed *said, char *ret, size_t n)
{
	const struct cv_str text = cv_str_of(said->text), issuer = CV_STR("the issuer");

	if (cv_str_has_prefix(text, issuer))
		snprintf(ret, n, "%s: the upstream%s", said->slug, said->text + issuer.n);
	else
		snprintf(ret, n, "%s: %s", said->slug, said->text);
}

static void answered(struct probe *p)
{
	struct cv_rpc_call *c = p->call;
	struct cv_gw_renewal_result result;
	struct cv_arena arena;
	struct cv_err err;
	char why[400];

	cv_arena_init(&arena, ARENA_MAX);
	cv_code code = cv_gw_renewal_read(&p->renewal, &arena, &result, &err);
	if (code != CV_OK) {
		snprintf(why, sizeof(why), "%.390s", err.msg);
	} else if (result.said.verdict != CV_REFRESH_RENEWED) {
		why_put(&result.said, why, sizeof(why));
		code = CV_UNAVAILABLE;
	}
	cv_arena_fini(&arena);
	over(p);
	p->end(c, code, why);
}

void cv_gw_probe_forget(struct cv_gateway *g, const struct cv_rpc_call *c)
{
	for (size_t i = 0; g->probes && i < CV_GW_PROBES_MAX; i++)
		if (g->probes->v[i].call == c)
			over(&g->probes->v[i]);
}

void cv_gw_probes_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	const struct cv_ref ref = e->watch.ref;

	if (g->probes && ref.index < CV_GW_PROBES_MAX && g->probes->v[ref.index].call &&
		g->probes->v[ref.index].gen == ref.gen)
		answered(&g->probes->v[ref.index]);
}

int64_t cv_gw_probes_turn(struct cv_gateway *g)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; g->probes && i < CV_GW_PROBES_MAX; i++) {
		struct probe *p = &g->probes->v[i];
		struct cv_rpc_call *c = p->call;

		if (c && g->loop.now_ms >= p->renewal.until_ms) {
			over(p);
			p->end(c, CV_UNAVAILABLE, "timeout: no whole answer in time");
		} else if (c) {
			next = CV_MIN(next, p->renewal.until_ms);
		}
	}
	return next;
}

void cv_gw_probes_stop(struct cv_gateway *g)
{
	for (size_t i = 0; g->probes && i < CV_GW_PROBES_MAX; i++)
		if (g->probes->v[i].call)
			over(&g->probes->v[i]);
	free(g->probes);
	g->probes = NULL;
}
