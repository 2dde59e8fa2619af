/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c - see settings.h
 */
#include "gateway/settings.h"

#include "gateway/pb.h"

typedef Openshell__Sandbox__V1__GetGatewayConfigResponse settings_t;
typedef Openshell__Sandbox__V1__GetGatewayConfigResponse__SettingsEntry entry_t;
typedef Openshell__Sandbox__V1__GetSandboxConfigResponse__SettingsEntry effective_t;

#define GLOBAL_SCOPE CV_STR("gateway") /* no sandbox's id, which is a UUID */
#define RECORD_NAME  CV_STR("settings")

static const struct key {
	const char *name;
	Openshell__Sandbox__V1__SettingValue__ValueCase type;
	const char *const words[3]; /* of a string: what it may be */
} keys[] = {
	{ CV_GW_SETTING_PROPOSALS, OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE,
		{ NULL } },
	{ "ocsf_json_enabled", OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE, { NULL } },
	{ "proposal_approval_mode", OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE,
		{ "manual", "auto" } },
	{ "providers_v2_enabled", OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE,
		{ NULL } },
};

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static struct cv_object *record(const struct cv_gateway *g, struct cv_str scope)
{
	return cv_object_find(g->objects, CV_OBJECT_SETTINGS, scope, RECORD_NAME);
}

static const cv_setting_value *value_in(const struct cv_object *o, const char *key)
{
	const settings_t *s = o ? (const void *)o->message : NULL;

	for (size_t i = 0; s && i < s->n_settings; i++)
		if (strcmp(s->settings[i]->key, key) == 0)
			return s->settings[i]->value;
	return NULL;
}

const cv_setting_value *cv_gw_setting(
	const struct cv_gateway *g, struct cv_str sandbox_id, const char *key)
{
	const cv_setting_value *v = value_in(record(g, GLOBAL_SCOPE), key);

	return v || !sandbox_id.n ? v : value_in(record(g, sandbox_id), key);
}

bool cv_gw_setting_is_true(const struct cv_gateway *g, struct cv_str sandbox_id, const char *key)
{
	const cv_setting_value *v = cv_gw_setting(g, sandbox_id, key);

	return v && v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE &&
	       v->bool_value;
}

uint32_t cv_gw_setting_policy(const struct cv_gateway *g)
{
	const cv_setting_value *v = value_in(record(g, GLOBAL_SCOPE), CV_GW_SETTING_POLICY);

	return v ? (uint32_t)v->int_value : 0;
}

uint64_t cv_gw_settings_revision(const struct cv_gateway *g, struct cv_str sandbox_id)
{
	const struct cv_object *o = record(g, sandbox_id.n ? sandbox_id : GLOBAL_SCOPE);

	return o ? o->version : 0;
}

/* ---- changing ---- */

enum cv_rpc_status cv_gw_setting_check(
	const char *key, const cv_setting_value *v, struct cv_err *err)
{
	const struct key *k = key_find(key);

	if (!k) {
		(void)cv_fail(err, CV_INVALID,
			"unknown setting key '%.100s'. Allowed keys: %s, %s, %s, %s", key,
			keys[0].name, keys[1].name, keys[2].name, keys[3].name);
		return CV_RPC_INVALID_ARGUMENT;
	}
	if (!v || v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE__NOT_SET) {
		(void)cv_fail(err, CV_INVALID, "setting_value is required for setting '%s'", key);
		return CV_RPC_INVALID_ARGUMENT;
	}
	if (v->value_case != k->type) {
		(void)cv_fail(err, CV_INVALID, "setting '%s' expects a %s value", key,
			k->words[0] ? "string" : "bool");
		return CV_RPC_INVALID_ARGUMENT;
	}
	if (!k->words[0])
		return CV_RPC_OK;
	for (size_t i = 0; k->words[i]; i++)
		if (strcmp(k->words[i], v->string_value) == 0)
			return CV_RPC_OK;
	(void)cv_fail(err, CV_INVALID, "setting '%s' must be '%s' or '%s', got '%.100s'", key,
		k->words[0], k->words[1], v->string_value);
	return CV_RPC_INVALID_ARGUMENT;
}

static bool entry_drop(settings_t *s, const char *key)
{
	for (size_t i = 0; i < s->n_settings; i++)
		if (strcmp(s->settings[i]->key, key) == 0) {
			cv_pb_free(cv_pb_take(&s->settings, &s->n_settings, i));
			return true;
		}
	return false;
}

static void entry_add(settings_t *s, const char *key, const cv_setting_value *v)
{
	entry_t *e = cv_pb_new(
		&openshell__sandbox__v1__get_gateway_config_response__settings_entry__descriptor);

	cv_pb_str_set(&e->key, cv_str_of(key));
	e->value = cv_pb_copy(v);
	cv_pb_append(&s->settings, &s->n_settings, e);
}

enum cv_rpc_status cv_gw_setting_put(struct cv_gateway *g, struct cv_str sandbox_id,
	const char *key, const cv_setting_value *v, bool *ret_was, struct cv_err *err)
{
	const struct cv_str scope = sandbox_id.n ? sandbox_id : GLOBAL_SCOPE;
	struct cv_object *o = record(g, scope);

	if (sandbox_id.n && value_in(record(g, GLOBAL_SCOPE), key)) {
		(void)cv_fail(err, CV_DENIED,
			"setting '%s' is managed globally; delete the global setting first", key);
		return CV_RPC_FAILED_PRECONDITION;
	}
	if (!o && !v) {
		*ret_was = false;
		return CV_RPC_OK;
	}
	settings_t *s =
		o ? (settings_t *)(void *)cv_object_copy(o)
		  : cv_pb_new(&openshell__sandbox__v1__get_gateway_config_response__descriptor);
	*ret_was = entry_drop(s, key);
	if (!*ret_was && !v) {
		cv_pb_free(s);
		return CV_RPC_OK;
	}
	if (v)
		entry_add(s, key, v);
	if (o)
		return cv_object_write(g->objects, o, CV_OBJECT_ANY_VERSION, &s->base, err);
	return cv_object_create_record(
		g->objects, CV_OBJECT_SETTINGS, scope, RECORD_NAME, &s->base, NULL, err);
}

void cv_gw_settings_forget(struct cv_gateway *g, struct cv_str sandbox_id)
{
	struct cv_object *o = record(g, sandbox_id);
	struct cv_err err;

	if (o)
		(void)!cv_object_delete(g->objects, o, CV_OBJECT_ANY_VERSION, &err);
}

/* ---- showing ---- */

/* Registered keys without a value are shown as empty messages. */
static cv_setting_value *shown(struct cv_arena *arena, const cv_setting_value *v)
{
	cv_setting_value *copy = cv_arena_new(arena, cv_setting_value);

	if (!copy)
		return NULL;
	openshell__sandbox__v1__setting_value__init(copy);
	if (v)
		*copy = *v;
	return copy;
}

bool cv_gw_settings_gateway(const struct cv_gateway *g, struct cv_arena *arena, settings_t *ret)
{
	ret->settings = cv_arena_array(arena, CV_ARRAY_LEN(keys), sizeof(*ret->settings));
	for (size_t i = 0; ret->settings && i < CV_ARRAY_LEN(keys); i++) {
		entry_t *e = cv_arena_new(arena, entry_t);

		if (!e)
			return false;
		openshell__sandbox__v1__get_gateway_config_response__settings_entry__init(e);
		e->key = (char *)(uintptr_t)keys[i].name;
		e->value = shown(arena, value_in(record(g, GLOBAL_SCOPE), keys[i].name));
		ret->settings[ret->n_settings++] = e;
	}
	ret->settings_revision = cv_gw_settings_revision(g, CV_STR_NONE);
	return !arena->is_overflown;
}

bool cv_gw_settings_effective(const struct cv_gateway *g, struct cv_str sandbox_id,
	struct cv_arena *arena, Openshell__Sandbox__V1__GetSandboxConfigResponse *ret)
{
	ret->settings = cv_arena_array(arena, CV_ARRAY_LEN(keys), sizeof(*ret->settings));
	for (size_t i = 0; ret->settings && i < CV_ARRAY_LEN(keys); i++) {
		const cv_setting_value *global = value_in(record(g, GLOBAL_SCOPE), keys[i].name);
		const cv_setting_value *own = value_in(record(g, sandbox_id), keys[i].name);
		effective_t *e = cv_arena_new(arena, effective_t);
		Openshell__Sandbox__V1__EffectiveSetting *v =
			cv_arena_new(arena, Openshell__Sandbox__V1__EffectiveSetting);

		if (!e || !v)
			return false;
		openshell__sandbox__v1__get_sandbox_config_response__settings_entry__init(e);
		openshell__sandbox__v1__effective_setting__init(v);
		e->key = (char *)(uintptr_t)keys[i].name;
		e->value = v;
		v->value = shown(arena, global ? global : own);
		v->scope = global ? OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_GLOBAL
			   : own  ? OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_SANDBOX
				 : OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_UNSPECIFIED;
		ret->settings[ret->n_settings++] = e;
	}
	return !arena->is_overflown;
}
