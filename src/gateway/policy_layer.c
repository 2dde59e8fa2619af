/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_layer.c - what a sandbox's providers lay over its policy
 *
 * The rules _provider_NAME of the profiles of those that are attached, by the code that makes them
 * for `cove run --provider`; derived each time, never stored.
 */
#include "gateway/policy_int.h"

#include "cred/compose.h"
#include "gateway/profile.h"
#include "gateway/provider.h"

#include <stdlib.h>

#define PROVIDERS_MAX 32 /* of a sandbox; openshell-api 7 */

struct layering {
	struct cv_attached attached[PROVIDERS_MAX];
	struct cv_gw_profile profiles[PROVIDERS_MAX];
	size_t n;
};

/* One that is gone has no rules; so has one whose type no profile describes. */
static cv_code provider_add(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_str name, struct layering *l, struct cv_err *err)
{
	const struct cv_object *o =
		cv_object_find(g->objects, CV_OBJECT_PROVIDER, sandbox->scope, name);
	const cv_gw_provider_pb *provider = o ? cv_gw_provider_of(o) : NULL;

	if (!provider || l->n == PROVIDERS_MAX)
		return CV_OK;
	const cv_code code = cv_gw_profile_find(g, cv_str_of(provider->profile_workspace),
		cv_str_of(provider->type), &l->profiles[l->n], err);
	if (code == CV_NOT_FOUND)
		return CV_OK;
	if (code != CV_OK)
		return code;
	l->attached[l->n] =
		(struct cv_attached){ .name = o->name, .profile = l->profiles[l->n].profile };
	l->n++;
	return CV_OK;
}

cv_code cv_gw_policy_providers_layer(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_buf *ret, struct cv_err *err)
{
	const Openshell__V1__Sandbox *m = (const void *)sandbox->message;
	struct layering l = { .n = 0 };
	cv_code code = CV_OK;

	for (size_t i = 0; m->spec && i < m->spec->n_providers && code == CV_OK; i++)
		code = provider_add(g, sandbox, cv_str_of(m->spec->providers[i]), &l, err);
	if (code == CV_OK && l.n)
		code = cv_compose_layer(l.attached, l.n, ret, err);
	for (size_t i = 0; i < l.n; i++)
		cv_gw_profile_fini(&l.profiles[i]);
	return code;
}
