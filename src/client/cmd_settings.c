/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_settings.c - settings get, set, delete
 *
 * The key says the type; the gateway knows the keys, and a value is sent as what it looks like for
 * the keys that are not text.
 */
#include "client/commands.h"
#include "client/policy_change.h"
#include "client/sandbox.h"

#include <stdlib.h>
#include <string.h>

typedef Openshell__Sandbox__V1__SettingValue setting;

/* Keys whose values are text whatever they look like. */
static bool key_is_text(const char *key)
{
	return strcmp(key, "proposal_approval_mode") == 0;
}

static void value_parse(struct cl *c, const char *key, const char *text, setting *ret)
{
	static const char *const yes[] = { "true", "yes", "1" }, *const no[] = { "false", "no",
		"0" };

	openshell__sandbox__v1__setting_value__init(ret);
	for (size_t i = 0; !key_is_text(key) && i < CV_ARRAY_LEN(yes); i++) {
		const bool is_yes = cv_str_eq_nocase(cv_str_of(text), cv_str_of(yes[i]));

		if (!is_yes && !cv_str_eq_nocase(cv_str_of(text), cv_str_of(no[i])))
			continue;
		ret->value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE;
		ret->bool_value = is_yes;
		return;
	}
	ret->value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE;
	ret->string_value = cl_dup(c, text);
}

static const char *value_text(struct cl *c, const setting *v)
{
	if (!v)
		return "<unset>";
	if (v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE)
		return v->string_value;
	if (v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BOOL_VALUE)
		return v->bool_value ? "true" : "false";
	if (v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_INT_VALUE)
		return cl_print(c, "%lld", (long long)v->int_value);
	if (v->value_case == OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_BYTES_VALUE)
		return cl_print(c, "<%zu bytes>", v->bytes_value.len);
	return "<unset>";
}

static bool wants_json(struct cl *c)
{
	return cl_has(&c->w, "json") || cl_form(c) == CL_FORM_JSON;
}

static int get_global(struct cl *c)
{
	Openshell__Sandbox__V1__GetGatewayConfigRequest in;
	struct cl_out o;

	openshell__sandbox__v1__get_gateway_config_request__init(&in);
	const Openshell__Sandbox__V1__GetGatewayConfigResponse *m =
		(Openshell__Sandbox__V1__GetGatewayConfigResponse *)cl_ask(c,
			CL_METHOD(GetGatewayConfig), &in.base,
			&openshell__sandbox__v1__get_gateway_config_response__descriptor, NULL,
			NULL);
	if (!wants_json(c) && cl_form(c) == CL_FORM_TABLE) {
		printf("Scope:    global\nRevision: %llu\nSettings:\n",
			(unsigned long long)m->settings_revision);
		for (size_t i = 0; i < m->n_settings; i++)
			printf("  %s = %s\n", cl_shown(c, m->settings[i]->key),
				cl_shown(c, value_text(c, m->settings[i]->value)));
		return 0;
	}
	cl_out_init(&o, wants_json(c) ? CL_FORM_JSON : CL_FORM_YAML);
	cl_out_object(&o, NULL);
	cl_out_str(&o, "scope", "global");
	cl_out_u64(&o, "settings_revision", m->settings_revision);
	cl_out_object(&o, "settings");
	for (size_t i = 0; i < m->n_settings; i++)
		cl_out_str(&o, m->settings[i]->key, value_text(c, m->settings[i]->value));
	cl_out_end(&o);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

static const char *scope_text(const Openshell__Sandbox__V1__EffectiveSetting *s)
{
	if (s && s->scope == OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_GLOBAL)
		return "global";
	return s && s->scope == OPENSHELL__SANDBOX__V1__SETTING_SCOPE__SETTING_SCOPE_SANDBOX
		       ? "sandbox"
		       : "unset";
}

int cl_run_settings_get(struct cl *c)
{
	Openshell__Sandbox__V1__GetSandboxConfigRequest in;
	struct cl_out o;

	if (cl_has(&c->w, "global"))
		return get_global(c);
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);
	openshell__sandbox__v1__get_sandbox_config_request__init(&in);
	in.sandbox_id = s->metadata->id;
	const Openshell__Sandbox__V1__GetSandboxConfigResponse *m =
		(Openshell__Sandbox__V1__GetSandboxConfigResponse *)cl_ask(c,
			CL_METHOD(GetSandboxConfig), &in.base,
			&openshell__sandbox__v1__get_sandbox_config_response__descriptor, NULL,
			NULL);
	const bool is_global =
		m->policy_source == OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL;
	if (!wants_json(c) && cl_form(c) == CL_FORM_TABLE) {
		printf("Sandbox:       %s\nConfig rev:    %llu\nPolicy source: %s\nPolicy hash:   %s\n"
		       "Settings:\n",
			cl_shown(c, s->metadata->name), (unsigned long long)m->config_revision,
			is_global ? "global" : "sandbox", cl_shown(c, m->policy_hash));
		for (size_t i = 0; i < m->n_settings; i++)
			printf("  %s = %s (%s)\n", cl_shown(c, m->settings[i]->key),
				cl_shown(c, value_text(c, m->settings[i]->value->value)),
				scope_text(m->settings[i]->value));
		return 0;
	}
	cl_out_init(&o, wants_json(c) ? CL_FORM_JSON : CL_FORM_YAML);
	cl_out_object(&o, NULL);
	cl_out_str(&o, "sandbox", s->metadata->name);
	cl_out_str(&o, "workspace", s->metadata->workspace);
	cl_out_u64(&o, "config_revision", m->config_revision);
	cl_out_str(&o, "policy_source", is_global ? "global" : "sandbox");
	cl_out_str(&o, "policy_hash", m->policy_hash);
	cl_out_object(&o, "settings");
	for (size_t i = 0; i < m->n_settings; i++) {
		const Openshell__Sandbox__V1__EffectiveSetting *e = m->settings[i]->value;

		cl_out_object(&o, m->settings[i]->key);
		cl_out_str(&o, "value", value_text(c, e ? e->value : NULL));
		cl_out_str(&o, "scope", scope_text(e));
		cl_out_end(&o);
	}
	cl_out_end(&o);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

/* Name and key of set and delete; name is NULL for global. */
static const char *target(struct cl *c, Openshell__V1__UpdateConfigRequest *in)
{
	const char *key = cl_flag(&c->w, "key");

	if (!key)
		cl_die_usage(c, "the following required arguments were not provided: --key <KEY>");
	openshell__v1__update_config_request__init(in);
	in->setting_key = cl_dup(c, key);
	in->global = cl_has(&c->w, "global");
	if (in->global) {
		if (cl_arg(&c->w, 0))
			cl_die_usage(c, "the argument '--global' cannot be used with '[NAME]'");
		cl_global_confirm(c, "global setting updates");
		return NULL;
	}
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	in->name = cl_dup(c, name);
	in->workspace = cl_dup(c, c->workspace);
	return name;
}

int cl_run_settings_set(struct cl *c)
{
	const char *value = cl_flag(&c->w, "value");
	Openshell__V1__UpdateConfigRequest in;
	setting v;

	if (!value)
		cl_die_usage(
			c, "the following required arguments were not provided: --value <VALUE>");
	const char *name = target(c, &in);
	value_parse(c, in.setting_key, value, &v);
	in.setting_value = &v;
	const Openshell__V1__UpdateConfigResponse *m =
		CL_ASK(c, UpdateConfig, in, UpdateConfigResponse, update_config_response);
	const char *text = cl_shown(c, value_text(c, &v));
	if (name)
		cl_mark(c, 'v', "Set sandbox setting %s=%s (revision %llu)",
			cl_shown(c, in.setting_key), text,
			(unsigned long long)m->settings_revision);
	else
		cl_mark(c, 'v', "Set global setting %s=%s (revision %llu)",
			cl_shown(c, in.setting_key), text,
			(unsigned long long)m->settings_revision);
	return 0;
}

int cl_run_settings_delete(struct cl *c)
{
	Openshell__V1__UpdateConfigRequest in;
	const char *name = target(c, &in);

	in.delete_setting = true;
	const Openshell__V1__UpdateConfigResponse *m =
		CL_ASK(c, UpdateConfig, in, UpdateConfigResponse, update_config_response);
	const char *scope = name ? "sandbox" : "global";
	if (m->deleted)
		cl_mark(c, 'v', "Deleted %s setting %s (revision %llu)", scope,
			cl_shown(c, in.setting_key), (unsigned long long)m->settings_revision);
	else
		cl_mark(c, '!', "%s setting %s not found", name ? "Sandbox" : "Global",
			cl_shown(c, in.setting_key));
	return 0;
}
