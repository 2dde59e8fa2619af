/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.h - a provider's type: its credentials, where they may go, who may use them
 *
 * The document is OpenShell's (openshell-behaviour 6.1), YAML or JSON, read by the policy's own
 * tables; endpoints and binaries are a policy's.  Beyond it, ours: `aliases`, and a credential's
 * `shape` (what its placeholder should look like).
 *
 * A profile holds no secret.  Where the values of one run come from is said by an instance
 * (instance.h), or by the variables that env_vars names.
 *
 * Ownership: everything belongs to the profile's arena.
 */
#pragma once
#include "base/arena.h"
#include "policy/fill.h"

/* clang-format off */
#define CV_PROFILE_AUTH_STYLES(X) /* how clients send it: metadata, injection follows the placeholder */ \
	X(NONE, "") X(BASIC, "basic") X(BEARER, "bearer") X(HEADER, "header")                    \
	X(QUERY, "query") X(PATH, "path")

#define CV_PROFILE_STRATEGIES(X)                                                              \
	X(NONE, "")                                                                           \
	X(STATIC, "static")       /* never renewed */                                         \
	X(EXTERNAL, "external")   /* renewed by somebody else */                              \
	X(OAUTH2_REFRESH_TOKEN, "oauth2_refresh_token")                                       \
	X(OAUTH2_CLIENT_CREDENTIALS, "oauth2_client_credentials")                             \
	X(GOOGLE_SERVICE_ACCOUNT_JWT, "google_service_account_jwt")                           \
	X(AWS_STS_ASSUME_ROLE, "aws_sts_assume_role")                                         \
	X(GITHUB_APP, "github_app_installation") /* ours */                                   \
	X(COMMAND, "command")     /* ours: a program of the host prints token and expiry */
/* clang-format on */
#define CV_PROFILE_AUTH_ENUM(name, yaml)     CV_PROFILE_AUTH_##name,
#define CV_PROFILE_STRATEGY_ENUM(name, yaml) CV_PROFILE_STRATEGY_##name,
enum cv_profile_auth_style { CV_PROFILE_AUTH_STYLES(CV_PROFILE_AUTH_ENUM) CV_PROFILE_AUTH_COUNT };
enum cv_profile_strategy {
	CV_PROFILE_STRATEGIES(CV_PROFILE_STRATEGY_ENUM) CV_PROFILE_STRATEGY_COUNT
};
#undef CV_PROFILE_AUTH_ENUM
#undef CV_PROFILE_STRATEGY_ENUM

const char *cv_profile_strategy_name(enum cv_profile_strategy strategy);
extern const struct cv_fill_word cv_profile_strategy_words[];

struct cv_profile_material { /* what a strategy needs besides: a client id, a refresh token */
	struct cv_policy_pos pos;
	struct cv_policy_text name, description;
	bool is_required, is_secret;
};

struct cv_profile_output { /* of a refresh that mints several: output -> sibling credential */
	struct cv_policy_pos pos;
	struct cv_policy_text output, credential;
};

struct cv_profile_refresh {
	struct cv_policy_text strategy_text, token_url;
	enum cv_profile_strategy strategy;
	struct cv_policy_texts scopes;
	int64_t before_s, max_lifetime_s;
	struct cv_profile_material *materials;
	size_t material_count;
	struct cv_profile_output *outputs;
	size_t output_count;
};

struct cv_profile_audience {
	struct cv_policy_pos pos, port_pos;
	struct cv_policy_text host, path, audience;
	uint16_t *ports;
	size_t port_count;
	struct cv_policy_texts scopes;
};

struct cv_profile_grant {
	struct cv_policy_text token_endpoint, audience, jwt_svid_audience, client_assertion_type;
	struct cv_policy_texts scopes;
	int64_t cache_ttl_s;
	struct cv_profile_audience *audiences;
	size_t audience_count;
};

struct cv_profile_credential {
	struct cv_policy_pos pos;
	struct cv_policy_text name, description, header_name, query_param, path_template, shape;
	struct cv_policy_texts env_vars;
	struct cv_policy_text auth_style_text;
	enum cv_profile_auth_style auth_style;
	bool is_required;
	bool has_refresh, has_grant;
	struct cv_profile_refresh refresh;
	struct cv_profile_grant grant;
};

struct cv_profile {
	struct cv_arena arena;
	struct cv_str file; /* for messages */
	struct cv_policy_text id, display_name, description, category;
	struct cv_policy_texts aliases;
	bool is_inference_capable;
	int64_t resource_version;
	struct cv_fill_pair *annotations;
	size_t annotation_count;
	struct cv_profile_credential *credentials;
	size_t credential_count;
	struct cv_policy_texts discovery; /* discovery.credentials: names */
	bool has_discovery;
	struct cv_policy_entry network; /* endpoints, binaries; its key is the id */
};

extern const struct cv_fill_table cv_profile_schema;

/* Reads and judges text (borrowed).  What is wrong is in findings; CV_INVALID when any of it is an
 * error (*ret is then NULL). */
CV_MUST cv_code cv_profile_load(struct cv_str file, struct cv_str text, struct cv_profile **ret,
	struct cv_findings *findings);
void cv_profile_free(struct cv_profile *profile); /* NULL is fine */

/* The rules beyond types; endpoints by cv_policy_validate().  Part of cv_profile_load(). */
CV_MUST cv_code cv_profile_validate(const struct cv_profile *profile, struct cv_findings *findings);

/* Whether name is the profile's id or one of its aliases. */
bool cv_profile_is_named(const struct cv_profile *profile, struct cv_str name);
const struct cv_profile_credential *cv_profile_credential_find(
	const struct cv_profile *profile, struct cv_str name); /* NULL: none */

/* [A-Za-z_][A-Za-z0-9_]*, not too long and none of the reserved names (openshell-behaviour 5). */
bool cv_cred_is_key(struct cv_str key);
