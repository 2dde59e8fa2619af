/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_run.c - renewals: when they are due, what is asked, and what becomes of the answer
 *
 * A new refresh token is written together with the values: it is the only one that holds from then
 * on.
 */
#include "gateway/refresh.h"

#include "base/base64.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/profile.h"
#include "gateway/provider.h"
#include "gateway/slots.h"
#include "ipc/vault_link.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define V1(name)      Openshell__V1__##name
#define DM(name)      Openshell__Datamodel__V1__##name
#define ARENA_MAX     (4u << 20)
#define REF_BYTES_MAX (2 * (CV_VAULT_ENVELOPE_BYTES_MAX + CV_VAULT_CONTEXT_BYTES_MAX))
#define NO_ENVELOPE   CV_STR("-") /* of a place that something will be sealed for */

struct cv_gw_refreshes {
	struct cv_slots running; /* objects */
};

static int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

static uint32_t jitter(void)
{
	uint32_t n = 0;

	(void)!getrandom(&n, sizeof(n), 0);
	return n;
}

static struct cv_object *provider_of(const struct cv_gateway *g, const struct cv_object *o)
{
	return cv_object_find_id(
		g->objects, CV_OBJECT_PROVIDER, cv_str_of(cv_gw_refresh_of(o)->provider_id));
}

static bool is_ours(const cv_gw_refresh_pb *m)
{
	return m->strategy >
	       OPENSHELL__V1__PROVIDER_CREDENTIAL_REFRESH_STRATEGY__PROVIDER_CREDENTIAL_REFRESH_STRATEGY_EXTERNAL;
}

/* ---- what is asked ---- */

static cv_code reference(struct cv_arena *arena, const struct cv_object *provider, const char *key,
	const char *material, struct cv_str envelope, struct cv_str *ret, struct cv_err *err)
{
	struct cv_buf context, text;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&text, REF_BYTES_MAX);
	const bool is_put = (material ? cv_gw_refresh_context(&context, provider, key, material)
				      : cv_gw_vault_context(&context, provider->scope,
						cv_str_of(provider->id), cv_str_of(key))) &&
			    cv_vault_ref_put(&text, cv_buf_str(&context), envelope);
	*ret = cv_arena_str(arena, cv_buf_str(&text));
	cv_buf_fini(&context);
	cv_buf_fini(&text);
	return is_put && ret->p ? CV_OK : cv_fail(err, CV_LIMIT, "no memory for a renewal");
}

static cv_code material_take(struct cv_arena *arena, const struct cv_object *provider,
	const cv_gw_refresh_pb *m, size_t i, struct cv_cred_material *to, struct cv_err *err)
{
	const V1(StoredProviderCredentialRefreshState__SecretMaterialHandlesEntry) *e =
		m->secret_material_handles[i];
	struct cv_buf envelope;
	cv_code code = CV_OK;

	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	to->name = cv_str_of(e->key);
	if (!e->value || !cv_base64_decode(cv_str_of(e->value->handle), CV_BASE64_STD, &envelope))
		code = cv_fail(err, CV_DENIED, "what is stored of %s was changed", e->key);
	else
		code = reference(arena, provider, m->credential_key, e->key, cv_buf_str(&envelope),
			&to->value, err);
	cv_buf_fini(&envelope);
	return code;
}

static struct cv_str words_join(struct cv_arena *arena, char *const *v, size_t n)
{
	struct cv_str all = CV_STR_NONE;

	for (size_t i = 0; i < n; i++)
		all = i ? cv_arena_printf(arena, "%.*s %s", CV_STR_ARG(all), v[i])
			: cv_arena_printf(arena, "%s", v[i]);
	return all;
}

static cv_code plan_take(struct cv_arena *arena, const struct cv_object *provider,
	const cv_gw_refresh_pb *m, struct cv_cred_refresh *to, struct cv_err *err)
{
	cv_code code = CV_OK;

	to->strategy = cv_str_of(cv_profile_strategy_name((enum cv_profile_strategy)m->strategy));
	to->token_url = cv_str_of(m->token_url);
	to->scopes = words_join(arena, m->scopes, m->n_scopes);
	to->before_s = m->refresh_before_seconds;
	to->max_lifetime_s = m->max_lifetime_seconds;
	to->materials =
		cv_arena_array(arena, m->n_secret_material_handles + 1, sizeof(to->materials[0]));
	for (size_t i = 0; to->materials && i < m->n_secret_material_handles && code == CV_OK; i++)
		code = material_take(
			arena, provider, m, i, &to->materials[to->material_count++], err);
	return code;
}

static cv_code cred_take(struct cv_cred_set *set, const struct cv_object *provider, const char *key,
	const char *output, struct cv_err *err)
{
	struct cv_cred *c = &set->creds[set->cred_count++];

	c->key = c->placeholder = cv_str_of(key);
	c->output = cv_str_of(output);
	return reference(&set->arena, provider, key, NULL, NO_ENVELOPE, &c->value, err);
}

static cv_code set_make(const struct cv_object *provider, const cv_gw_refresh_pb *m,
	struct cv_cred_set *set, struct cv_err *err)
{
	const size_t n = m->n_additional_output_keys + 1;

	set->providers = cv_arena_array(&set->arena, 1, sizeof(set->providers[0]));
	set->refreshes = cv_arena_array(&set->arena, 1, sizeof(set->refreshes[0]));
	set->creds = cv_arena_array(&set->arena, n, sizeof(set->creds[0]));
	if (!set->providers || !set->refreshes || !set->creds)
		return cv_fail(err, CV_LIMIT, "no memory for a renewal");
	set->providers[0].name = provider->name;
	set->providers[0].type = cv_str_of(cv_gw_provider_of(provider)->type);
	set->provider_count = set->refresh_count = 1;
	cv_code code = plan_take(&set->arena, provider, m, &set->refreshes[0], err);
	if (code == CV_OK)
		code = cred_take(set, provider, m->credential_key, "", err);
	for (size_t i = 0; i < m->n_additional_output_keys && code == CV_OK; i++)
		code = cred_take(set, provider, m->additional_output_keys[i]->key,
			m->additional_output_keys[i]->value, err);
	return code;
}

/* ---- what is written down ---- */

static int64_t next_ms(const struct cv_gw_refresh *r)
{
	const int64_t at = cv_schedule_wake_s(&r->schedule);

	return at == CV_SCHEDULE_NEVER || r->schedule.state == CV_SCHEDULE_DEAD ? 0 : at * 1000;
}

static cv_gw_refresh_pb *state_make(
	const struct cv_object *o, const char *status, struct cv_str why, struct cv_str rotated)
{
	cv_gw_refresh_pb *m = (cv_gw_refresh_pb *)(void *)cv_object_copy(o);
	const struct cv_gw_refresh *r = o->runtime;

	cv_pb_str_set(&m->status, cv_str_of(status));
	cv_pb_str_set(&m->last_error, why);
	m->next_refresh_at_ms = next_ms(r);
	if (!why.n) {
		m->last_refresh_at_ms = cv_clock_unix_ms();
		m->expires_at_ms = r->schedule.expires_s * 1000;
	}
	for (size_t i = 0; rotated.n && i < m->n_secret_material_handles; i++)
		if (strcmp(m->secret_material_handles[i]->key, "refresh_token") == 0)
			cv_pb_str_set(&m->secret_material_handles[i]->value->handle, rotated);
	return m;
}

static void write_down(struct cv_gateway *g, struct cv_object *o, const char *status,
	struct cv_str why, struct cv_str rotated)
{
	struct cv_err err;

	if (cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION,
		    &state_make(o, status, why, rotated)->base, &err) != CV_RPC_OK)
		cv_log(CV_LOG_ERROR, "refresh", CV_LOG_FIELDS({ "id", cv_str_of(o->id) }),
			"what came of a renewal can't be written: %s", err.msg);
}

/* The values, and a new refresh token: none without the other. */
static enum cv_rpc_status values_write(struct cv_gateway *g, struct cv_object *o,
	const struct cv_gw_renewal_result *result, struct cv_err *err)
{
	struct cv_object *provider = provider_of(g, o);

	if (!provider) {
		cv_fail(err, CV_NOT_FOUND, "the provider is gone");
		return CV_RPC_NOT_FOUND;
	}
	struct cv_object_group *group = cv_object_group_begin(g->objects);
	cv_gw_provider_pb *m = (cv_gw_provider_pb *)(void *)cv_object_copy(provider);
	for (size_t i = 0; i < result->n; i++)
		cv_gw_provider_envelope_put(
			m, result->v[i].key, result->v[i].envelope, result->said.expires_s * 1000);
	cv_object_group_write(group, provider, &m->base);
	cv_object_group_write(
		group, o, &state_make(o, "refreshed", CV_STR_NONE, result->rotated)->base);
	return cv_object_group_commit(group, NULL, err);
}

/* ---- the end of a renewal ---- */

static void waiters_tell(struct cv_object *o, enum cv_rpc_status s, const struct cv_err *err)
{
	struct cv_gw_refresh *r = o->runtime;

	for (size_t i = 0; i < r->waiter_count; i++) {
		V1(RotateProviderCredentialResponse) answer;

		openshell__v1__rotate_provider_credential_response__init(&answer);
		if (s == CV_RPC_OK)
			answer.status = cv_gw_refresh_view(o, cv_rpc_call_arena(r->waiter[i]));
		if (s == CV_RPC_OK && answer.status)
			cv_rpc_reply(r->waiter[i], &answer.base);
		else
			cv_gw_fail(
				r->waiter[i], s == CV_RPC_OK ? CV_RPC_RESOURCE_EXHAUSTED : s, err);
	}
	r->waiter_count = 0;
}

static void running_end(struct cv_gateway *g, struct cv_gw_refresh *r)
{
	if (!r->is_running)
		return;
	cv_gw_renewal_end(&r->renewal);
	cv_slots_remove(&g->refreshes->running, r->ref);
	r->is_running = false;
}

static void say(
	const struct cv_object *o, enum cv_log_level level, const char *what, const char *why)
{
	const cv_gw_refresh_pb *m = cv_gw_refresh_of(o);

	cv_log(level, "refresh",
		CV_LOG_FIELDS({ "workspace", o->scope },
			{ "provider", cv_str_of(m->provider_name) },
			{ "credential", cv_str_of(m->credential_key) }),
		"%s%s%s", what, *why ? ": " : "", why);
}

static void failed(struct cv_gateway *g, struct cv_object *o, bool is_dead, int64_t retry_s,
	struct cv_str rotated, const char *why)
{
	struct cv_gw_refresh *r = o->runtime;
	struct cv_err err;

	cv_schedule_failed(&r->schedule, now_s(), retry_s, jitter());
	if (is_dead)
		cv_schedule_dead(&r->schedule);
	write_down(g, o, is_dead ? "reauthorization_required" : "error", cv_str_of(why), rotated);
	say(o, CV_LOG_WARN,
		is_dead ? "not renewed, and won't be until it is configured again"
			: "not renewed, tried again",
		why);
	cv_fail(&err, is_dead ? CV_DENIED : CV_UNAVAILABLE, "the credential was not renewed: %s",
		why);
	waiters_tell(o, is_dead ? CV_RPC_FAILED_PRECONDITION : CV_RPC_UNAVAILABLE, &err);
}

static void renewed(
	struct cv_gateway *g, struct cv_object *o, const struct cv_gw_renewal_result *result)
{
	struct cv_gw_refresh *r = o->runtime;
	struct cv_err err;

	cv_schedule_renewed(&r->schedule, now_s(), result->said.expires_s, jitter());
	if (values_write(g, o, result, &err) != CV_RPC_OK) {
		failed(g, o, false, 0, result->rotated, err.msg);
		return;
	}
	say(o, CV_LOG_INFO, "renewed", "");
	waiters_tell(o, CV_RPC_OK, NULL);
}

static void answered(struct cv_gateway *g, struct cv_object *o)
{
	struct cv_gw_renewal_result result;
	struct cv_gw_refresh *r = o->runtime;
	struct cv_arena arena;
	struct cv_err err;
	char why[400];

	cv_arena_init(&arena, ARENA_MAX);
	const cv_code code = cv_gw_renewal_read(&r->renewal, &arena, &result, &err);
	running_end(g, r);
	if (code != CV_OK) {
		failed(g, o, code == CV_INVALID, 0, CV_STR_NONE, err.msg);
	} else if (result.said.verdict == CV_REFRESH_RENEWED) {
		renewed(g, o, &result);
	} else {
		snprintf(why, sizeof(why), "%s: %s", result.said.slug, result.said.text);
		failed(g, o, result.said.verdict == CV_REFRESH_DEAD, result.said.retry_s,
			result.rotated, why);
	}
	cv_arena_fini(&arena);
}

/* ---- its beginning ---- */

static cv_code begin(struct cv_gateway *g, struct cv_object *o, struct cv_err *err)
{
	const struct cv_object *provider = provider_of(g, o);
	struct cv_gw_refresh *r = o->runtime;
	struct cv_cred_set set;

	if (!provider)
		return cv_fail(err, CV_NOT_FOUND, "provider not found");
	if (!cv_slots_add(&g->refreshes->running, o, &r->ref))
		return cv_fail(err, CV_LIMIT, "no memory for a renewal");
	cv_cred_set_init(&set);
	cv_code code = set_make(provider, cv_gw_refresh_of(o), &set, err);
	if (code == CV_OK)
		code = cv_gw_renewal_begin(&r->renewal, g, &set, false,
			(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_REFRESH, 0), r->ref }, err);
	cv_cred_set_fini(&set);
	r->is_running = code == CV_OK;
	if (code != CV_OK)
		cv_slots_remove(&g->refreshes->running, r->ref);
	return code;
}

static void ask(struct cv_gateway *g, struct cv_object *o)
{
	struct cv_gw_refresh *r = o->runtime;
	struct cv_err err;

	cv_schedule_ask(&r->schedule, now_s());
	if (begin(g, o, &err) != CV_OK)
		failed(g, o, err.code == CV_INVALID || err.code == CV_DENIED, 0, CV_STR_NONE,
			err.msg);
}

static struct cv_gw_refresh *runtime_of(struct cv_object *o)
{
	if (!o->runtime)
		o->runtime = calloc(1, sizeof(struct cv_gw_refresh));
	return o->runtime;
}

void cv_gw_refresh_begin(struct cv_gateway *g, struct cv_object *o)
{
	const cv_gw_refresh_pb *m = cv_gw_refresh_of(o);
	const struct cv_object *provider = provider_of(g, o);
	struct cv_gw_refresh *r = runtime_of(o);
	bool has_value =
		provider && cv_gw_provider_has(cv_gw_provider_of(provider), m->credential_key);

	if (!r)
		return;
	running_end(g, r);
	cv_schedule_init(&r->schedule, m->refresh_before_seconds, has_value,
		m->expires_at_ms / 1000, now_s());
	if (strcmp(m->status, "reauthorization_required") == 0)
		cv_schedule_dead(&r->schedule);
}

bool cv_gw_refresh_now(struct cv_gateway *g, struct cv_object *o, struct cv_rpc_call *c)
{
	struct cv_gw_refresh *r = o->runtime;

	if (!r || r->waiter_count == CV_GW_REFRESH_WAITERS_MAX)
		return false;
	r->waiter[r->waiter_count++] = c;
	if (r->is_running)
		return true;
	/* As if there were none: it is due. */
	cv_schedule_init(
		&r->schedule, cv_gw_refresh_of(o)->refresh_before_seconds, false, 0, now_s());
	if (cv_schedule_is_due(&r->schedule, now_s()))
		ask(g, o);
	return true;
}

void cv_gw_refresh_forget(struct cv_gateway *g, const struct cv_rpc_call *c)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_REFRESH);

	for (size_t i = all.first; i < all.end; i++) {
		struct cv_gw_refresh *r = cv_object_at(g->objects, CV_OBJECT_REFRESH, i)->runtime;

		for (size_t k = 0; r && k < r->waiter_count; k++)
			if (r->waiter[k] == c)
				r->waiter[k--] = r->waiter[--r->waiter_count];
	}
}

/* ---- the part ---- */

static void object_drop(struct cv_gateway *g, struct cv_object *o)
{
	struct cv_gw_refresh *r = o->runtime;
	struct cv_err err;

	if (!r)
		return;
	running_end(g, r);
	cv_fail(&err, CV_UNAVAILABLE, "the refresh was deleted");
	waiters_tell(o, CV_RPC_ABORTED, &err);
	free(r);
	o->runtime = NULL;
}

static void on_object(
	void *arg, enum cv_object_change change, struct cv_object *o, const ProtobufCMessage *was)
{
	(void)was;
	if (o->kind == CV_OBJECT_REFRESH && change == CV_OBJECT_DELETED)
		object_drop(arg, o);
}

size_t cv_gw_refreshes_running(const struct cv_gateway *g)
{
	return g->refreshes->running.count;
}

cv_code cv_gw_refreshes_start(struct cv_gateway *g, struct cv_err *err)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_REFRESH);

	g->refreshes = calloc(1, sizeof(*g->refreshes));
	if (!g->refreshes)
		return cv_fail(err, CV_LIMIT, "no memory");
	for (size_t i = all.first; i < all.end; i++)
		cv_gw_refresh_begin(g, cv_object_at(g->objects, CV_OBJECT_REFRESH, i));
	cv_objects_listen(g->objects, on_object, g);
	return CV_OK;
}

void cv_gw_refreshes_stop(struct cv_gateway *g)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_REFRESH);

	if (!g->refreshes)
		return;
	for (size_t i = all.first; i < all.end; i++) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_REFRESH, i);
		struct cv_gw_refresh *r = o->runtime;

		if (r)
			running_end(g, r);
		free(r);
		o->runtime = NULL;
	}
	cv_slots_fini(&g->refreshes->running);
	free(g->refreshes);
	g->refreshes = NULL;
}

void cv_gw_refreshes_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_object *o = cv_slots_get(&g->refreshes->running, e->watch.ref);

	if (o)
		answered(g, o);
}

/* Loop time of a moment of the wall clock; the clock may be set, so not too far away. */
static int64_t loop_ms(const struct cv_gateway *g, int64_t at_s)
{
	const int64_t left = at_s == CV_SCHEDULE_NEVER ? 60 : CV_MIN(at_s - now_s(), (int64_t)60);

	return g->loop.now_ms + CV_MAX(left, (int64_t)0) * 1000 + 100;
}

int64_t cv_gw_refreshes_turn(struct cv_gateway *g)
{
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_REFRESH);
	int64_t next = INT64_MAX;

	for (size_t i = all.first; i < all.end; i++) {
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_REFRESH, i);
		struct cv_gw_refresh *r = o->runtime;

		if (!r || !is_ours(cv_gw_refresh_of(o)))
			continue;
		if (r->is_running) {
			if (g->loop.now_ms >= r->renewal.until_ms) {
				running_end(g, r);
				failed(g, o, false, 0, CV_STR_NONE, "no whole answer in time");
			} else {
				next = CV_MIN(next, r->renewal.until_ms);
				continue;
			}
		}
		if (!g->is_draining && cv_schedule_is_due(&r->schedule, now_s()) &&
			g->refreshes->running.count < CV_GW_RENEWALS_MAX)
			ask(g, o);
		if (r->schedule.state != CV_SCHEDULE_DUE) /* else it waits for another's end */
			next = CV_MIN(next, loop_ms(g, cv_schedule_wake_s(&r->schedule)));
	}
	return next;
}
