/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_refresh.c - provider refresh: credentials that the gateway renews
 *
 * Secret material comes from our environment, as a provider's values do, and is not shown.
 */
#include "client/commands.h"
#include "client/provider.h"

#include "base/time.h"

#include <stdlib.h>
#include <string.h>

int64_t cl_time_ms(struct cl *c, const char *text)
{
	uint64_t n;
	int64_t ms;

	if (cv_str_to_u64(cv_str_of(text), INT64_MAX, &n))
		return (int64_t)n;
	if (!cv_time_parse(cv_str_of(text), &ms))
		cl_die_usage(c, "invalid time '%s': expected RFC 3339, or milliseconds since 1970",
			text);
	return ms;
}

static const struct {
	const char *name;
	Openshell__V1__ProviderCredentialRefreshStrategy strategy;
} strategies[] = {
	{ "static", 1 },
	{ "external", 2 },
	{ "oauth2-refresh-token", 3 },
	{ "oauth2-client-credentials", 4 },
	{ "google-service-account-jwt", 5 },
	{ "aws-sts-assume-role", 6 },
};

static const char *strategy_name(Openshell__V1__ProviderCredentialRefreshStrategy s)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(strategies); i++)
		if (strategies[i].strategy == s)
			return strategies[i].name;
	return "-";
}

static const char *when(struct cl *c, int64_t ms)
{
	return ms ? cl_time(c, ms) : "-";
}

static void refresh_out(struct cl_out *o, const Openshell__V1__ProviderCredentialRefreshStatus *s)
{
	cl_out_object(o, NULL);
	cl_out_str(o, "provider", s->provider_name);
	cl_out_str(o, "credential_key", s->credential_key);
	cl_out_str(o, "strategy", strategy_name(s->strategy));
	cl_out_str(o, "status", s->status);
	cl_out_int(o, "expires_at_ms", s->expires_at_ms);
	cl_out_int(o, "next_refresh_at_ms", s->next_refresh_at_ms);
	cl_out_int(o, "last_refresh_at_ms", s->last_refresh_at_ms);
	cl_out_str(o, "last_error", s->last_error);
	cl_out_end(o);
}

int cl_run_provider_refresh_status(struct cl *c)
{
	static const char *const heads[] = { "CREDENTIAL_KEY", "STRATEGY", "STATUS", "EXPIRES",
		"NEXT", "LAST_ERROR" };
	Openshell__V1__GetProviderRefreshStatusRequest in;
	struct cl_table t;
	struct cl_out o;

	openshell__v1__get_provider_refresh_status_request__init(&in);
	in.provider = cl_dup(c, cl_arg(&c->w, 0));
	in.credential_key = cl_dup(c, cl_flag(&c->w, "credential-key"));
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__GetProviderRefreshStatusResponse *m =
		CL_ASK(c, GetProviderRefreshStatus, in, GetProviderRefreshStatusResponse,
			get_provider_refresh_status_response);
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		cl_out_array(&o, NULL);
		for (size_t i = 0; i < m->n_credentials; i++)
			refresh_out(&o, m->credentials[i]);
		cl_out_end(&o);
		return cl_out_done(c, &o);
	}
	if (!m->n_credentials) {
		puts("No credential refresh configured.");
		return 0;
	}
	cl_table_init(&t, CV_ARRAY_LEN(heads));
	for (size_t i = 0; i < CV_ARRAY_LEN(heads); i++)
		cl_table_cell(&t, cv_str_of(heads[i]));
	for (size_t i = 0; i < m->n_credentials; i++) {
		const Openshell__V1__ProviderCredentialRefreshStatus *s = m->credentials[i];

		cl_table_cell(&t, cv_str_of(s->credential_key));
		cl_table_cell(&t, cv_str_of(strategy_name(s->strategy)));
		cl_table_cell(&t, cv_str_of(s->status));
		cl_table_cell(&t, cv_str_of(when(c, s->expires_at_ms)));
		cl_table_cell(&t, cv_str_of(when(c, s->next_refresh_at_ms)));
		cl_table_cell(&t, cv_str_of(s->last_error));
	}
	cl_table_done(c, &t);
	return 0;
}

static char *key_needed(struct cl *c)
{
	const char *key = cl_flag(&c->w, "credential-key");

	if (!key)
		cl_die_usage(c,
			"the following required arguments were not provided: --credential-key <KEY>");
	return cl_dup(c, key);
}

int cl_run_provider_refresh_configure(struct cl *c)
{
	const char *strategy = cl_flag(&c->w, "strategy");
	Openshell__V1__ConfigureProviderRefreshRequest in;
	const size_t from_env = cl_flag_count(&c->w, "secret-material-env");
	const size_t named = cl_flag_count(&c->w, "secret-material-key");

	openshell__v1__configure_provider_refresh_request__init(&in);
	in.provider = cl_dup(c, cl_arg(&c->w, 0));
	in.credential_key = key_needed(c);
	in.workspace = cl_dup(c, c->workspace);
	if (!strategy)
		cl_die_usage(c,
			"the following required arguments were not provided: --strategy <STRATEGY>");
	for (size_t i = 0; i < CV_ARRAY_LEN(strategies); i++)
		if (strcmp(strategies[i].name, strategy) == 0)
			in.strategy = strategies[i].strategy;
	in.material = cl_map_of_flag(c, "material",
		&openshell__v1__configure_provider_refresh_request__material_entry__descriptor,
		&in.n_material);
	in.secret_material_keys = cl_alloc(c, (from_env + named + 1) * sizeof(char *));
	for (size_t i = 0; i < named; i++)
		in.secret_material_keys[in.n_secret_material_keys++] =
			cl_dup(c, cl_flag_at(&c->w, "secret-material-key", i));
	for (size_t i = 0; i < from_env; i++) {
		const char *name;
		char *key = cl_pair(c, cl_flag_at(&c->w, "secret-material-env", i), &name);
		const char *value = getenv(name ? name : key);

		if (!value || !*value)
			cl_die(c,
				"--secret-material-env %s: the environment variable %s is not set, or "
				"empty",
				cl_shown(c, key), cl_shown(c, name ? name : key));
		in.material = cl_map_add(c, in.material, &in.n_material,
			&openshell__v1__configure_provider_refresh_request__material_entry__descriptor,
			key, value);
		in.secret_material_keys[in.n_secret_material_keys++] = key;
	}
	if (cl_flag(&c->w, "credential-expires-at")) {
		in._expires_at_ms_case =
			(Openshell__V1__ConfigureProviderRefreshRequest__ExpiresAtMsCase)6;
		in.expires_at_ms = cl_time_ms(c, cl_flag(&c->w, "credential-expires-at"));
	}
	(void)CL_ASK(c, ConfigureProviderRefresh, in, ConfigureProviderRefreshResponse,
		configure_provider_refresh_response);
	cl_mark(c, 'v', "Configured refresh of %s for provider %s", cl_shown(c, in.credential_key),
		cl_shown(c, in.provider));
	return 0;
}

int cl_run_provider_refresh_rotate(struct cl *c)
{
	Openshell__V1__RotateProviderCredentialRequest in;

	openshell__v1__rotate_provider_credential_request__init(&in);
	in.provider = cl_dup(c, cl_arg(&c->w, 0));
	in.credential_key = key_needed(c);
	in.workspace = cl_dup(c, c->workspace);
	(void)CL_ASK(c, RotateProviderCredential, in, RotateProviderCredentialResponse,
		rotate_provider_credential_response);
	cl_mark(c, 'v', "Rotated %s of provider %s", cl_shown(c, in.credential_key),
		cl_shown(c, in.provider));
	return 0;
}

int cl_run_provider_refresh_delete(struct cl *c)
{
	Openshell__V1__DeleteProviderRefreshRequest in;

	openshell__v1__delete_provider_refresh_request__init(&in);
	in.provider = cl_dup(c, cl_arg(&c->w, 0));
	in.credential_key = key_needed(c);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__DeleteProviderRefreshResponse *m = CL_ASK(c, DeleteProviderRefresh, in,
		DeleteProviderRefreshResponse, delete_provider_refresh_response);
	if (m->deleted)
		cl_mark(c, 'v', "Deleted refresh of %s for provider %s",
			cl_shown(c, in.credential_key), cl_shown(c, in.provider));
	else
		cl_mark(c, '!', "Refresh of %s for provider %s not found",
			cl_shown(c, in.credential_key), cl_shown(c, in.provider));
	return 0;
}
