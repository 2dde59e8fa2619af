/* SPDX-License-Identifier: Apache-2.0 */
/*
 * set.h - the credentials of one run: what each is worth, where it may go, how it is renewed
 *
 * The launcher makes a set from providers (profile + values), puts a placeholder into the
 * sandbox's environment for each credential, and hands the set to the keeper as a sealed memfd.
 * Nobody else ever has it: not the supervisor, which only passes the descriptor on, and not the
 * proxy, which is given one value at a time for a request that the keeper has checked.
 *
 *     profile + values --launcher--> set --memfd--> keeper --RELEASED--> proxy, for one request
 *
 * Ownership: everything belongs to the set's arena; values are wiped when the set ends.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/buf.h"

#include <stdint.h>

#define CV_CRED_NONE UINT32_MAX

/* Where a credential may go.  Host and path are as in a policy endpoint (openshell-behaviour 3.3):
 * host exact or a pattern, path the endpoint's selector (empty: all). */
struct cv_cred_rule {
	struct cv_str method; /* "*": any; GET also covers HEAD */
	struct cv_str path;   /* rule glob over the canonical path; "**": any */
};

struct cv_cred_binding {
	struct cv_str host, path;
	uint16_t *ports;
	size_t port_count;
	struct cv_cred_rule *rules; /* none: every method and path */
	size_t rule_count;
	bool is_required;   /* on this endpoint the agent's own credential is refused */
	bool is_unscrubbed; /* scrub: off */
	bool is_token;      /* token_endpoint: tokens that it answers with are the provider's */
};

/* The provider of one credential that every run with host tools has: the token of their route.  No
 * provider of a user can be named so. */
#define CV_CRED_TOOLS_PROVIDER "(tools)"
#define CV_CRED_TOOLS_KEY      "COVE_TOOLS_TOKEN"
/* And one for those that a catalog names itself.  It is bound to no endpoint, so that the proxy gets
 * none of them whatever it asks. */
#define CV_CRED_HOST_PROVIDER "(catalog)"

struct cv_cred_provider {
	struct cv_str name, type; /* instance, profile id */
	struct cv_cred_binding *bindings;
	size_t binding_count;
};

/* How values are renewed.  Materials are secret (refresh token, private key, client secret). */
struct cv_cred_material {
	struct cv_str name, value;
};

struct cv_cred_refresh {
	struct cv_str strategy; /* "oauth2_refresh_token", …, "command" */
	struct cv_str token_url, scopes;
	struct cv_str *argv; /* of "command" */
	size_t argc;
	int64_t before_s, max_lifetime_s; /* 0: the strategy's own */
	struct cv_cred_material *materials;
	size_t material_count;
};

struct cv_cred {
	struct cv_str key;         /* the environment variable the sandbox sees */
	struct cv_str placeholder; /* its text there; unique within the set */
	struct cv_str value;       /* empty: must be refreshed before its first use */
	int64_t expires_s;         /* of value, seconds since 1970; 0: never */
	uint32_t provider;         /* index */
	uint32_t refresh;          /* index; CV_CRED_NONE: static */
	struct cv_str output;      /* which of the refresh's outputs; empty: the token itself */
};

/* Which tool may have which credential, for one call at a time: never a placeholder, never an
 * endpoint.  Who is "tool:NAME", "server:NAME" or "mcp:NAME" of the run's catalog. */
struct cv_cred_grant {
	struct cv_str who, name; /* name: what the catalog calls the credential */
	uint32_t cred;           /* index */
};

struct cv_cred_set {
	struct cv_arena arena;
	struct cv_cred_provider *providers;
	size_t provider_count;
	struct cv_cred_refresh *refreshes;
	size_t refresh_count;
	struct cv_cred *creds;
	size_t cred_count;
	struct cv_cred_grant *grants;
	size_t grant_count;
};

void cv_cred_set_init(struct cv_cred_set *set);
void cv_cred_set_fini(struct cv_cred_set *set); /* wipes every value */

/* As bytes for a memfd, and back.  Bytes are our own launcher's; read strictly all the same. */
CV_MUST cv_code cv_cred_set_write(
	const struct cv_cred_set *set, struct cv_buf *ret, struct cv_err *err);
CV_MUST cv_code cv_cred_set_read(struct cv_str bytes, struct cv_cred_set *ret, struct cv_err *err);
