/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compose_tools.c - the token of the route to host tools, and what tools themselves are given
 *
 * The token is bound to the two names of the route, on the one port that it has.  That these are
 * never resolved makes the binding worth nothing anywhere else.
 *
 * A credential of a catalog is bound to no endpoint: it goes to the broker, for a tool that has a
 * grant.  Its placeholder is there because each has one; it is in no environment and in no file.
 */
#include "cred/compose.h"

#include "base/buf.h"
#include "base/hex.h"
#include "cred/limits_profile.h"

#include <string.h>

#define SHAPE CV_STR("cove_tools")

static void *grown(struct cv_arena *a, const void *v, size_t n, size_t bytes_each)
{
	char *to = cv_arena_array(a, n + 1, bytes_each);

	if (to && n)
		memcpy(to, v, n * bytes_each);
	return to;
}

static bool provider_add(struct cv_cred_set *set)
{
	static const struct cv_str host[] = { CV_STR("tools.local"), CV_STR("host.cove.internal") };
	struct cv_arena *a = &set->arena;
	struct cv_cred_provider *p;

	set->providers = grown(a, set->providers, set->provider_count, sizeof(*p));
	if (!set->providers)
		return false;
	p = &set->providers[set->provider_count];
	*p = (struct cv_cred_provider){
		.name = cv_arena_str(a, CV_STR(CV_CRED_TOOLS_PROVIDER)),
		.type = cv_arena_str(a, CV_STR("cove-tools")),
		.bindings = cv_arena_array(a, CV_ARRAY_LEN(host), sizeof(p->bindings[0])),
	};
	for (size_t i = 0; p->bindings && i < CV_ARRAY_LEN(host); i++) {
		struct cv_cred_binding *b = &p->bindings[p->binding_count++];

		b->host = cv_arena_str(a, host[i]);
		b->ports = cv_arena_array(a, 1, sizeof(b->ports[0]));
		if (!b->ports)
			return false;
		b->ports[b->port_count++] = 80;
	}
	set->provider_count++;
	return p->bindings != NULL;
}

static bool cred_add(
	struct cv_cred_set *set, struct cv_str token, const unsigned char seed[CV_SHAPE_SEED_BYTES])
{
	const struct cv_str key = CV_STR(CV_CRED_TOOLS_KEY);
	struct cv_arena *a = &set->arena;
	const struct cv_shape *shape;
	struct cv_cred *c;

	set->creds = grown(a, set->creds, set->cred_count, sizeof(*c));
	if (!set->creds || !cv_shape_find(SHAPE, &shape))
		return false;
	c = &set->creds[set->cred_count];
	*c = (struct cv_cred){
		.key = cv_arena_str(a, key),
		.value = cv_arena_str(a, token),
		.provider = (uint32_t)set->provider_count - 1,
		.refresh = CV_CRED_NONE,
	};
	set->cred_count++;
	return cv_shape_make(shape, key, seed, a, &c->placeholder);
}

bool cv_compose_tools_token(const unsigned char random[CV_COMPOSE_TOKEN_RANDOM], struct cv_buf *ret)
{
	cv_buf_put(ret, CV_STR("cvt_"));
	return cv_buf_put_hex(
		ret, (struct cv_str){ (const char *)random, CV_COMPOSE_TOKEN_RANDOM });
}

cv_code cv_compose_tools(struct cv_cred_set *set, struct cv_str token,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], struct cv_err *err)
{
	if (set->provider_count == CV_CRED_PROVIDERS_MAX || set->cred_count == CV_CRED_KEYS_MAX)
		return cv_fail(err, CV_LIMIT,
			"--tools is one provider more, and there are %d already",
			CV_CRED_PROVIDERS_MAX);
	if (!provider_add(set) || !cred_add(set, token, seed) || set->arena.is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory for the token of host tools");
	return CV_OK;
}

/* ---- what tools are given ---- */

static uint32_t host_provider(struct cv_cred_set *set)
{
	for (size_t i = 0; i < set->provider_count; i++)
		if (cv_str_eq(set->providers[i].name, CV_STR(CV_CRED_HOST_PROVIDER)))
			return (uint32_t)i;
	if (set->provider_count == CV_CRED_PROVIDERS_MAX)
		return CV_CRED_NONE;
	set->providers =
		grown(&set->arena, set->providers, set->provider_count, sizeof(set->providers[0]));
	if (!set->providers)
		return CV_CRED_NONE;
	set->providers[set->provider_count] = (struct cv_cred_provider){
		.name = cv_arena_str(&set->arena, CV_STR(CV_CRED_HOST_PROVIDER)),
		.type = cv_arena_str(&set->arena, CV_STR("cove-catalog")),
	};
	return (uint32_t)set->provider_count++;
}

cv_code cv_compose_host(struct cv_cred_set *set, struct cv_str name, struct cv_str value,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], uint32_t *ret, struct cv_err *err)
{
	struct cv_arena *a = &set->arena;
	const uint32_t provider = host_provider(set);
	/* Fit for a variable, which the proxy asks of keys, and hardly one that a provider has. */
	const struct cv_str key = cv_arena_printf(a, "COVE_CATALOG_%.*s", CV_STR_ARG(name));
	const struct cv_shape *shape;
	struct cv_cred *c;

	if (provider == CV_CRED_NONE || set->cred_count == CV_CRED_KEYS_MAX)
		return cv_fail(err, CV_LIMIT, "too many credentials for one run");
	set->creds = grown(a, set->creds, set->cred_count, sizeof(*c));
	if (!set->creds || !cv_shape_find(SHAPE, &shape))
		return cv_fail(err, CV_LIMIT, "no memory for the credentials");
	c = &set->creds[set->cred_count];
	*c = (struct cv_cred){
		.key = key,
		.value = cv_arena_str(a, value),
		.provider = provider,
		.refresh = CV_CRED_NONE,
	};
	if (!cv_shape_make(shape, key, seed, a, &c->placeholder) || a->is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory for the credentials");
	*ret = (uint32_t)set->cred_count++;
	return CV_OK;
}

cv_code cv_compose_grant(struct cv_cred_set *set, struct cv_str who, struct cv_str name,
	uint32_t cred, struct cv_err *err)
{
	struct cv_arena *a = &set->arena;

	if (set->grant_count == CV_CRED_GRANTS_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d uses of credentials by tools",
			CV_CRED_GRANTS_MAX);
	set->grants = grown(a, set->grants, set->grant_count, sizeof(set->grants[0]));
	if (set->grants)
		set->grants[set->grant_count++] = (struct cv_cred_grant){
			.who = cv_arena_str(a, who),
			.name = cv_arena_str(a, name),
			.cred = cred,
		};
	return set->grants && !a->is_overflown
		       ? CV_OK
		       : cv_fail(err, CV_LIMIT, "no memory for the credentials");
}
