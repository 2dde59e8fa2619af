/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compose.h - attached providers become the run's set of credentials and a layer of its policy
 *
 *     profile + values --+--cv_compose_layer()--> rules _provider_<name>, laid over the policy
 *                        |                             |
 *                        |            the policy's document, judged as a whole
 *                        |                             |
 *                        +--cv_compose_set()-----------+--> cv_cred_set, for the keeper
 *
 * Ownership: what is attached is borrowed from the caller; a set copies what it keeps.
 */
#pragma once
#include "cred/profile.h"
#include "cred/set.h"
#include "cred/shape.h"

struct cv_attached_key { /* a variable that the sandbox gets */
	struct cv_str key;
	struct cv_str value; /* empty: refreshed before its first use */
	struct cv_str shape; /* hint of the profile; may be empty */
	struct cv_str output;
	int64_t expires_s;
	uint32_t refresh; /* index in the provider's refreshes, or CV_CRED_NONE */
};

struct cv_attached {
	struct cv_str name;
	const struct cv_profile *profile;
	struct cv_attached_key *keys;
	size_t key_count;
	const struct cv_cred_refresh *refreshes;
	size_t refresh_count;
};

/* Why value can't be a credential's, or NULL. */
const char *cv_cred_value_fault(struct cv_str value);

/* What can be said before any policy is there: two providers of one name, two with one variable, a
 * value that can't be sent, one that has expired and is not renewed.  CV_INVALID. */
CV_MUST cv_code cv_compose_check(
	const struct cv_attached *v, size_t n, int64_t now_s, struct cv_err *err);

/* The layer for cv_policy_load_layered(): a document, also when no provider has endpoints. */
CV_MUST cv_code cv_compose_layer(
	const struct cv_attached *v, size_t n, struct cv_buf *ret, struct cv_err *err);

/* The set of attached providers that passed the check.  doc is the policy of the run with the
 * layer over it, seed random for each run: its endpoints with credential_binding bind providers
 * whose profile has none.  CV_INVALID when such an endpoint names a provider that is not attached
 * or has endpoints of its own; CV_LIMIT. */
CV_MUST cv_code cv_compose_set(const struct cv_attached *v, size_t n,
	const struct cv_policy_doc *doc, const unsigned char seed[CV_SHAPE_SEED_BYTES],
	struct cv_cred_set *ret, struct cv_err *err);

/* ---- compose_tools.c: the token of the route to host tools ---- */

#define CV_COMPOSE_TOKEN_RANDOM 32 /* bytes: 256 bits */

/* The token that random bytes make. */
CV_MUST bool cv_compose_tools_token(
	const unsigned char random[CV_COMPOSE_TOKEN_RANDOM], struct cv_buf *ret);

/* A credential that a catalog names, with a placeholder that nobody is ever shown; *ret is its
 * index.  CV_LIMIT. */
CV_MUST cv_code cv_compose_host(struct cv_cred_set *set, struct cv_str name, struct cv_str value,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], uint32_t *ret, struct cv_err *err);
/* From now on who may have it.  CV_LIMIT. */
CV_MUST cv_code cv_compose_grant(struct cv_cred_set *set, struct cv_str who, struct cv_str name,
	uint32_t cred, struct cv_err *err);

/* Adds it to a set, which may be empty.  CV_LIMIT. */
CV_MUST cv_code cv_compose_tools(struct cv_cred_set *set, struct cv_str token,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], struct cv_err *err);
