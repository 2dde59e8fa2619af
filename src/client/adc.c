/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adc.c - `provider create --from-gcloud-adc`: what `gcloud auth application-default login` left here
 *
 * The file has what tokens are made from and no token.  So the provider is made empty, its renewal is
 * configured with the file's material, and the first token is asked for; where one of the two
 * fails, there is no provider.  GOOGLE_APPLICATION_CREDENTIALS names another file, as for Google's
 * own programs.
 */
#include "client/provider.h"

#include "wire/json_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (64u << 10)
#define MATERIAL_MAX   4

#define ENTRY          openshell__v1__configure_provider_refresh_request__material_entry__descriptor

static const struct kind {
	const char *type; /* as the file has it */
	Openshell__V1__ProviderCredentialRefreshStrategy strategy;
	const char *strategy_name;
	struct {
		const char *name;
		bool is_secret, is_required;
	} material[MATERIAL_MAX];
} kinds[] = {
	{ "authorized_user", 3, "oauth2_refresh_token",
		{ { "client_id", false, true }, { "client_secret", true, true },
			{ "refresh_token", true, true } } },
	{ "service_account", 5, "google_service_account_jwt",
		{ { "client_email", false, true }, { "private_key", true, true },
			{ "private_key_id", false, false } } },
};

static const char *path_of(struct cl *c)
{
	static const char name[] = "application_default_credentials.json";
	const char *given = getenv("GOOGLE_APPLICATION_CREDENTIALS");
	const char *gcloud = getenv("CLOUDSDK_CONFIG"), *home = getenv("HOME");

	if (given && *given)
		return given;
	if (gcloud && *gcloud)
		return cl_print(c, "%s/%s", gcloud, name);
	return cl_print(c, "%s/.config/gcloud/%s", home ? home : "", name);
}

static const struct kind *kind_of(struct cl *c, const char *path, const struct cv_value *o)
{
	const struct cv_str type = cv_value_get_str(o, CV_STR("type"));

	for (size_t i = 0; i < CV_ARRAY_LEN(kinds); i++)
		if (cv_str_eq(type, cv_str_of(kinds[i].type)))
			return &kinds[i];
	cl_die(c,
		"%s is of the type '%s'; supported are authorized_user and service_account, as of: "
		"gcloud auth application-default login",
		cl_shown(c, path), cl_shown(c, cl_print(c, "%.*s", CV_STR_ARG(type))));
}

static const struct cv_value *file_read(struct cl *c, const char *path)
{
	const struct cv_value *o;
	struct cv_str text;

	if (!cl_file_slurp(c, path, FILE_BYTES_MAX, &text))
		cl_die(c, "failed to read %s: %s\nhint: gcloud auth application-default login",
			cl_shown(c, path), strerror(errno));
	if (cv_json_value_read(text, &c->arena, &o, NULL) != CV_JSON_PROBLEM_NONE)
		cl_die(c, "%s is no JSON", cl_shown(c, path));
	return o;
}

void cl_adc_read(struct cl *c, struct cl_adc *ret)
{
	const char *path = path_of(c);
	const struct cv_value *o = file_read(c, path);
	const struct kind *k = kind_of(c, path, o);
	Openshell__V1__ConfigureProviderRefreshRequest *in = &ret->request;

	openshell__v1__configure_provider_refresh_request__init(in);
	ret->strategy_name = k->strategy_name;
	in->strategy = k->strategy;
	in->secret_material_keys = cl_alloc(c, MATERIAL_MAX * sizeof(char *));
	for (size_t i = 0; i < MATERIAL_MAX && k->material[i].name; i++) {
		const char *name = k->material[i].name;
		const struct cv_str value = cv_value_get_str(o, cv_str_of(name));

		if (!value.n && k->material[i].is_required)
			cl_die(c, "%s has no %s", cl_shown(c, path), name);
		if (!value.n)
			continue;
		in->material = cl_map_add(c, in->material, &in->n_material, &ENTRY, name,
			cl_print(c, "%.*s", CV_STR_ARG(value)));
		if (k->material[i].is_secret)
			in->secret_material_keys[in->n_secret_material_keys++] = cl_dup(c, name);
	}
}

/* The credential of the type's profile that is renewed in the file's way. */
void cl_adc_match(struct cl *c, struct cl_adc *a, const char *type)
{
	Openshell__V1__GetProviderProfileRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__get_provider_profile_request__init(&in);
	in.id = cl_dup(c, type);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__ProviderProfileResponse *m = CL_TRY(c, GetProviderProfile, in,
		ProviderProfileResponse, provider_profile_response, &status, &err);
	if (status == CV_RPC_NOT_FOUND || (m && !m->profile))
		cl_die(c, "unsupported provider type or profile: %s", cl_shown(c, type));
	if (!m)
		cl_die_status(c, status, err.msg);
	for (size_t i = 0; i < m->profile->n_credentials; i++) {
		const Openshell__V1__ProviderProfileCredential *k = m->profile->credentials[i];

		if (k->refresh && k->refresh->strategy == a->request.strategy) {
			a->request.credential_key =
				cl_dup(c, k->n_env_vars ? k->env_vars[0] : k->name);
			return;
		}
	}
	cl_die(c, "the profile '%s' has no credential that is renewed by %s", cl_shown(c, type),
		a->strategy_name);
}

static enum cv_rpc_status configure(struct cl *c, struct cl_adc *a, struct cv_err *err)
{
	Openshell__V1__RotateProviderCredentialRequest rotate;
	enum cv_rpc_status status;

	(void)CL_TRY(c, ConfigureProviderRefresh, a->request, ConfigureProviderRefreshResponse,
		configure_provider_refresh_response, &status, err);
	if (status != CV_RPC_OK)
		return status;
	openshell__v1__rotate_provider_credential_request__init(&rotate);
	rotate.provider = a->request.provider;
	rotate.credential_key = a->request.credential_key;
	rotate.workspace = a->request.workspace;
	(void)CL_TRY(c, RotateProviderCredential, rotate, RotateProviderCredentialResponse,
		rotate_provider_credential_response, &status, err);
	return status;
}

void cl_adc_configure(struct cl *c, struct cl_adc *a, const char *provider)
{
	Openshell__V1__DeleteProviderRequest drop;
	enum cv_rpc_status gone;
	struct cv_err err, ignored;

	a->request.provider = cl_dup(c, provider);
	a->request.workspace = cl_dup(c, c->workspace);
	const enum cv_rpc_status status = configure(c, a, &err);
	for (size_t i = 0; i < a->request.n_material; i++)
		explicit_bzero(
			a->request.material[i]->value, strlen(a->request.material[i]->value));
	if (status == CV_RPC_OK)
		return;
	openshell__v1__delete_provider_request__init(&drop);
	drop.name = a->request.provider;
	drop.workspace = a->request.workspace;
	(void)CL_TRY(c, DeleteProvider, drop, DeleteProviderResponse, delete_provider_response,
		&gone, &ignored);
	if (gone != CV_RPC_OK)
		cl_note(c, "! Provider %s could not be deleted again", cl_shown(c, provider));
	cl_die_status(c, status, err.msg);
}
