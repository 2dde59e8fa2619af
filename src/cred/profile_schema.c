/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile_schema.c - provider profiles as tables: one per mapping level, one row per key
 *
 * Names are OpenShell's (openshell-behaviour 6.1, openshell-api 11.10); what is ours says so.
 */
#include "cred/profile.h"

#include <stddef.h>

#define AT(type, member) .at = offsetof(type, member)
#define LIST(type, member, count, schema) \
	AT(type, member), .at_n = offsetof(type, count), .sub = &(schema)

#define AUTH_WORD(id, yaml)     { yaml, CV_PROFILE_AUTH_##id },
#define STRATEGY_WORD(id, yaml) { yaml, CV_PROFILE_STRATEGY_##id },

static const struct cv_fill_word auth_words[] = { CV_PROFILE_AUTH_STYLES(AUTH_WORD){ NULL } };
const struct cv_fill_word cv_profile_strategy_words[] = { CV_PROFILE_STRATEGIES(STRATEGY_WORD){
	NULL } };

/* clang-format off */
#define M struct cv_profile_material
static const struct cv_fill_key material_keys[] = {
	{ "name",        CV_FILL_TEXT, AT(M, name), .is_required = true },
	{ "description", CV_FILL_TEXT, AT(M, description) },
	{ "required",    CV_FILL_BOOL, AT(M, is_required) },
	{ "secret",      CV_FILL_BOOL, AT(M, is_secret) },
};
static const struct cv_fill_table material_schema = { CV_FILL_TABLE("a material", material_keys),
	.size = sizeof(M), .has_pos = true };

#define O struct cv_profile_output
static const struct cv_fill_key output_keys[] = {
	{ "output",     CV_FILL_TEXT, AT(O, output), .is_required = true },
	{ "credential", CV_FILL_TEXT, AT(O, credential), .is_required = true },
};
static const struct cv_fill_table output_schema = { CV_FILL_TABLE("an additional output", output_keys),
	.size = sizeof(O), .has_pos = true };

#define A struct cv_profile_audience
static const struct cv_fill_key audience_keys[] = {
	{ "host",     CV_FILL_TEXT,  AT(A, host) },
	{ "port",     CV_FILL_PORT,  AT(A, ports), .at_n = offsetof(A, port_count),
		.at_pos = offsetof(A, port_pos) },
	{ "path",     CV_FILL_TEXT,  AT(A, path) },
	{ "audience", CV_FILL_TEXT,  AT(A, audience) },
	{ "scopes",   CV_FILL_TEXTS, AT(A, scopes) },
};
static const struct cv_fill_table audience_schema = { CV_FILL_TABLE("an audience override", audience_keys),
	.size = sizeof(A), .has_pos = true };

#define C struct cv_profile_credential
static const struct cv_fill_key refresh_keys[] = {
	{ "strategy",   CV_FILL_WORD,  AT(C, refresh.strategy),
		.at_text = offsetof(C, refresh.strategy_text), .words = cv_profile_strategy_words,
		.is_required = true },
	{ "token_url",  CV_FILL_TEXT,  AT(C, refresh.token_url) },
	{ "scopes",     CV_FILL_TEXTS, AT(C, refresh.scopes) },
	{ "refresh_before_seconds", CV_FILL_COUNT, AT(C, refresh.before_s) },
	{ "max_lifetime_seconds",   CV_FILL_COUNT, AT(C, refresh.max_lifetime_s) },
	{ "material",   CV_FILL_LIST,  LIST(C, refresh.materials, refresh.material_count,
		material_schema) },
	{ "additional_outputs", CV_FILL_LIST, LIST(C, refresh.outputs, refresh.output_count,
		output_schema) },
};
static const struct cv_fill_table refresh_schema = { CV_FILL_TABLE("refresh", refresh_keys) };

static const struct cv_fill_key grant_keys[] = {
	{ "token_endpoint",        CV_FILL_TEXT,  AT(C, grant.token_endpoint), .is_required = true },
	{ "audience",              CV_FILL_TEXT,  AT(C, grant.audience) },
	{ "jwt_svid_audience",     CV_FILL_TEXT,  AT(C, grant.jwt_svid_audience) },
	{ "client_assertion_type", CV_FILL_TEXT,  AT(C, grant.client_assertion_type) },
	{ "scopes",                CV_FILL_TEXTS, AT(C, grant.scopes) },
	{ "cache_ttl_seconds",     CV_FILL_COUNT, AT(C, grant.cache_ttl_s) },
	{ "audience_overrides",    CV_FILL_LIST,  LIST(C, grant.audiences, grant.audience_count,
		audience_schema) },
};
static const struct cv_fill_table grant_schema = { CV_FILL_TABLE("token_grant", grant_keys) };

static const struct cv_fill_key credential_keys[] = {
	{ "name",          CV_FILL_TEXT,   AT(C, name), .is_required = true },
	{ "description",   CV_FILL_TEXT,   AT(C, description) },
	{ "env_vars",      CV_FILL_TEXTS,  AT(C, env_vars) },
	{ "required",      CV_FILL_BOOL,   AT(C, is_required) },
	{ "auth_style",    CV_FILL_WORD,   AT(C, auth_style), .at_text = offsetof(C, auth_style_text),
		.words = auth_words },
	{ "header_name",   CV_FILL_TEXT,   AT(C, header_name) },
	{ "query_param",   CV_FILL_TEXT,   AT(C, query_param) },
	{ "path_template", CV_FILL_TEXT,   AT(C, path_template) },
	{ "refresh",       CV_FILL_INSIDE, .sub = &refresh_schema, .at_has = offsetof(C, has_refresh) },
	{ "token_grant",   CV_FILL_INSIDE, .sub = &grant_schema, .at_has = offsetof(C, has_grant) },
	{ "shape",         CV_FILL_TEXT,   AT(C, shape) }, /* ours */
	{ "value",         CV_FILL_REFUSED,
		.why = "a profile holds no secret; say where it comes from in an instance" },
};
static const struct cv_fill_table credential_schema = { CV_FILL_TABLE("a credential", credential_keys),
	.size = sizeof(C), .has_pos = true };

#define P struct cv_profile
static const struct cv_fill_key discovery_keys[] = {
	{ "credentials", CV_FILL_TEXTS, AT(P, discovery) },
};
static const struct cv_fill_table discovery_schema = { CV_FILL_TABLE("discovery", discovery_keys) };

static const struct cv_fill_key profile_keys[] = {
	{ "id",                CV_FILL_TEXT,   AT(P, id), .is_required = true },
	{ "display_name",      CV_FILL_TEXT,   AT(P, display_name) },
	{ "description",       CV_FILL_TEXT,   AT(P, description) },
	{ "category",          CV_FILL_TEXT,   AT(P, category) },
	{ "aliases",           CV_FILL_TEXTS,  AT(P, aliases) }, /* ours */
	{ "inference_capable", CV_FILL_BOOL,   AT(P, is_inference_capable) },
	{ "resource_version",  CV_FILL_COUNT,  AT(P, resource_version) },
	{ "annotations",       CV_FILL_PAIRS,  AT(P, annotations), .at_n = offsetof(P, annotation_count) },
	{ "credentials",       CV_FILL_LIST,   LIST(P, credentials, credential_count, credential_schema) },
	{ "discovery",         CV_FILL_INSIDE, .sub = &discovery_schema,
		.at_has = offsetof(P, has_discovery) },
	{ "endpoints",         CV_FILL_LIST,   LIST(P, network.endpoints, network.endpoint_count,
		cv_policy_endpoint_schema) },
	{ "binaries",          CV_FILL_LIST,   LIST(P, network.binaries, network.binary_count,
		cv_policy_binary_schema), .at_has = offsetof(P, network.has_binaries) },
	{ "source",            CV_FILL_ANYTHING }, /* set by a gateway, not by an author */
	{ "scope",             CV_FILL_ANYTHING },
};
const struct cv_fill_table cv_profile_schema = { CV_FILL_TABLE("a profile", profile_keys) };
/* clang-format on */
