/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider.h - providers: a profile, and envelopes of what it needs
 *
 * A value goes from the request to the vault and is forgotten; the stored message has an envelope in
 * credential_handles instead, and no answer has even that: clients see a name that changes with the
 * value.
 */
#pragma once
#include "gateway/gateway.h"

#include "datamodel.pb-c.h"

#define CV_GW_PROVIDERS_PER_SANDBOX_MAX 32 /* openshell-api 7 */

typedef Openshell__Datamodel__V1__Provider cv_gw_provider_pb;

static inline const cv_gw_provider_pb *cv_gw_provider_of(const struct cv_object *o)
{
	return (const cv_gw_provider_pb *)(const void *)o->message;
}

/* As clients see it, in the arena; borrows from the stored message.  NULL: no memory. */
cv_gw_provider_pb *cv_gw_provider_view(const struct cv_object *o, struct cv_arena *arena);

/* Whether sandbox o has the provider attached. */
bool cv_gw_is_attached(const struct cv_object *sandbox, const struct cv_object *provider);

/* Whether its sandboxes can have it as next: FAILED_PRECONDITION where another of their providers sets a
 * variable that is new in it. */
CV_MUST enum cv_rpc_status cv_gw_provider_fits(const struct cv_gateway *g,
	const struct cv_object *provider, const cv_gw_provider_pb *next, struct cv_err *err);

/* An envelope (base64) becomes what is stored of a credential, of a copy that will be written; an
 * expiry of 0: none. */
void cv_gw_provider_envelope_put(
	cv_gw_provider_pb *m, struct cv_str key, struct cv_str envelope, int64_t expires_ms);
bool cv_gw_provider_has(const cv_gw_provider_pb *p, const char *key);

struct cv_plan_provider;

/* What a sandbox is told of its providers.  Strings are in the arena that was given. */
struct cv_gw_attached {
	struct cv_str layer; /* what they lay over its policy */
	struct cv_str *env;  /* KEY=PLACEHOLDER, and their configuration, KEY=VALUE */
	size_t env_count;
	struct cv_plan_provider *providers;
	size_t provider_count;
	int fd; /* a set for its keeper, sealed: the caller's; -1: no credentials */
};

/* For a start, and when one of them changed: placeholders depend on the sandbox and the variable only,
 * so those in use stay good when a value is replaced.  policy: the sandbox's own, as text; empty:
 * none.  CV_NOT_FOUND "provider 'x' not found"; CV_INVALID: they can't be attached together, or the
 * policy with their layer is not good; CV_DENIED: what is stored was changed; CV_UNAVAILABLE: the
 * vault. */
CV_MUST cv_code cv_gw_providers_compose(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_str policy, struct cv_arena *arena, struct cv_gw_attached *ret,
	struct cv_err *err);
