/* SPDX-License-Identifier: Apache-2.0 */
/*
 * set.c - a run's credentials as bytes and back; see set.h
 *
 * One walk per structure names its fields for both directions (plan/codec.h).  A set that was read
 * copies every string into its arena, so that the bytes may be wiped at once, and is whole: each
 * index leads somewhere, keys and placeholders are unique, values are what a header may carry.
 * The keeper relies on that and asks no second time.
 */
#include "cred/set.h"

#include "cred/limits_profile.h"
#include "plan/codec.h"

#include <stdlib.h>

#define SET_MAGIC 0x32735643u /* "CVs2": a set of another version is refused */

void cv_cred_set_init(struct cv_cred_set *set)
{
	*set = (struct cv_cred_set){ 0 };
	cv_arena_init(&set->arena, CV_CRED_SET_BYTES_MAX);
}

static void wipe(struct cv_str s)
{
	if (s.n)
		explicit_bzero((char *)(uintptr_t)s.p, s.n);
}

void cv_cred_set_fini(struct cv_cred_set *set)
{
	for (size_t i = 0; i < set->cred_count; i++)
		wipe(set->creds[i].value);
	for (size_t i = 0; i < set->refresh_count; i++)
		for (size_t k = 0; k < set->refreshes[i].material_count; k++)
			wipe(set->refreshes[i].materials[k].value);
	cv_arena_fini(&set->arena);
	*set = (struct cv_cred_set){ .arena = set->arena };
}

/* ---- the walk ---- */

/* A string of the set's own, when reading. */
static void str_walk(struct cv_codec *c, struct cv_str *v)
{
	cv_codec_str(c, v);
	if (c->out || c->is_bad)
		return;
	*v = cv_arena_str(c->arena, *v);
	if (!v->p)
		c->is_bad = true;
}

static void i64_walk(struct cv_codec *c, int64_t *v)
{
	uint64_t u = (uint64_t)*v;

	cv_codec_u64(c, &u);
	*v = (int64_t)u;
}

static void bool_walk(struct cv_codec *c, bool *v)
{
	uint32_t u = *v;

	cv_codec_u32(c, &u);
	if (u > 1)
		c->is_bad = true;
	*v = u == 1;
}

/* cv_codec_array() for counts that are size_t. */
static void *array_walk(
	struct cv_codec *c, void *array, size_t *count, uint32_t max, size_t bytes_each)
{
	uint32_t n = (uint32_t)CV_MIN(*count, (size_t)UINT32_MAX);
	void *v = cv_codec_array(c, array, &n, max, bytes_each);

	*count = c->is_bad ? 0 : n;
	return v;
}

static void binding_walk(struct cv_codec *c, struct cv_cred_binding *v)
{
	str_walk(c, &v->host);
	str_walk(c, &v->path);
	v->ports = array_walk(c, v->ports, &v->port_count, UINT16_MAX, sizeof(v->ports[0]));
	for (size_t i = 0; i < v->port_count; i++) {
		uint32_t port = v->ports[i];

		cv_codec_u32(c, &port);
		if (port == 0 || port > UINT16_MAX)
			c->is_bad = true;
		v->ports[i] = (uint16_t)port;
	}
	v->rules = array_walk(c, v->rules, &v->rule_count, CV_CRED_RULES_MAX, sizeof(v->rules[0]));
	for (size_t i = 0; i < v->rule_count; i++) {
		str_walk(c, &v->rules[i].method);
		str_walk(c, &v->rules[i].path);
	}
	bool_walk(c, &v->is_required);
	bool_walk(c, &v->is_unscrubbed);
	bool_walk(c, &v->is_token);
}

static void provider_walk(struct cv_codec *c, struct cv_cred_provider *v)
{
	str_walk(c, &v->name);
	str_walk(c, &v->type);
	v->bindings = array_walk(
		c, v->bindings, &v->binding_count, CV_CRED_BINDINGS_MAX, sizeof(v->bindings[0]));
	for (size_t i = 0; i < v->binding_count; i++)
		binding_walk(c, &v->bindings[i]);
}

static void refresh_walk(struct cv_codec *c, struct cv_cred_refresh *v)
{
	str_walk(c, &v->strategy);
	str_walk(c, &v->token_url);
	str_walk(c, &v->scopes);
	v->argv = array_walk(c, v->argv, &v->argc, CV_CRED_ARGS_MAX, sizeof(v->argv[0]));
	for (size_t i = 0; i < v->argc; i++)
		str_walk(c, &v->argv[i]);
	i64_walk(c, &v->before_s);
	i64_walk(c, &v->max_lifetime_s);
	v->materials = array_walk(c, v->materials, &v->material_count, CV_CRED_MATERIALS_MAX,
		sizeof(v->materials[0]));
	for (size_t i = 0; i < v->material_count; i++) {
		str_walk(c, &v->materials[i].name);
		str_walk(c, &v->materials[i].value);
	}
}

static void cred_walk(struct cv_codec *c, struct cv_cred *v)
{
	str_walk(c, &v->key);
	str_walk(c, &v->placeholder);
	str_walk(c, &v->value);
	i64_walk(c, &v->expires_s);
	cv_codec_u32(c, &v->provider);
	cv_codec_u32(c, &v->refresh);
	str_walk(c, &v->output);
}

static void grant_walk(struct cv_codec *c, struct cv_cred_grant *v)
{
	str_walk(c, &v->who);
	str_walk(c, &v->name);
	cv_codec_u32(c, &v->cred);
}

static void set_walk(struct cv_codec *c, struct cv_cred_set *v)
{
	uint32_t magic = SET_MAGIC;

	cv_codec_u32(c, &magic);
	if (magic != SET_MAGIC)
		c->is_bad = true;
	v->providers = array_walk(c, v->providers, &v->provider_count, CV_CRED_PROVIDERS_MAX,
		sizeof(v->providers[0]));
	for (size_t i = 0; i < v->provider_count; i++)
		provider_walk(c, &v->providers[i]);
	v->refreshes = array_walk(
		c, v->refreshes, &v->refresh_count, CV_CRED_KEYS_MAX, sizeof(v->refreshes[0]));
	for (size_t i = 0; i < v->refresh_count; i++)
		refresh_walk(c, &v->refreshes[i]);
	v->creds = array_walk(c, v->creds, &v->cred_count, CV_CRED_KEYS_MAX, sizeof(v->creds[0]));
	for (size_t i = 0; i < v->cred_count; i++)
		cred_walk(c, &v->creds[i]);
	v->grants =
		array_walk(c, v->grants, &v->grant_count, CV_CRED_GRANTS_MAX, sizeof(v->grants[0]));
	for (size_t i = 0; i < v->grant_count; i++)
		grant_walk(c, &v->grants[i]);
}

/* ---- what holds of a set ---- */

static const char *cred_fault(const struct cv_cred_set *set, size_t index)
{
	const struct cv_cred *c = &set->creds[index];

	if (c->provider >= set->provider_count)
		return "a credential of no provider";
	if (c->refresh != CV_CRED_NONE && c->refresh >= set->refresh_count)
		return "a credential of no refresh";
	if (!c->key.n || !c->placeholder.n)
		return "a credential without a name";
	if (!c->value.n && c->refresh == CV_CRED_NONE)
		return "a credential without a value";
	if (c->value.n > CV_CRED_VALUE_BYTES_MAX || cv_str_has_byte(c->value, '\r') ||
		cv_str_has_byte(c->value, '\n'))
		return "a value that can't be sent";
	for (size_t i = 0; i < index; i++)
		if (cv_str_eq(set->creds[i].key, c->key) ||
			cv_str_eq(set->creds[i].placeholder, c->placeholder))
			return "two credentials of one name";
	return NULL;
}

static const char *set_fault(const struct cv_cred_set *set)
{
	const char *fault = NULL;

	for (size_t i = 0; i < set->provider_count && !fault; i++)
		if (!set->providers[i].name.n)
			fault = "a provider without a name";
	for (size_t i = 0; i < set->refresh_count && !fault; i++)
		if (!set->refreshes[i].strategy.n)
			fault = "a refresh without a strategy";
	for (size_t i = 0; i < set->cred_count && !fault; i++)
		fault = cred_fault(set, i);
	for (size_t i = 0; i < set->grant_count && !fault; i++)
		if (set->grants[i].cred >= set->cred_count || !set->grants[i].who.n ||
			!set->grants[i].name.n)
			fault = "a grant of nothing";
	return fault;
}

/* At least what the values and materials take.  With this much room before the first byte, a buffer
 * does not move later and leave secrets in memory that nobody wipes. */
static size_t bytes_bound(const struct cv_cred_set *set)
{
	size_t n = 64u << 10;

	for (size_t i = 0; i < set->provider_count; i++)
		for (size_t k = 0; k < set->providers[i].binding_count; k++) {
			const struct cv_cred_binding *b = &set->providers[i].bindings[k];

			n += 64 + b->host.n + b->path.n + 4 * b->port_count;
			for (size_t r = 0; r < b->rule_count; r++)
				n += 16 + b->rules[r].method.n + b->rules[r].path.n;
		}
	for (size_t i = 0; i < set->refresh_count; i++) {
		const struct cv_cred_refresh *r = &set->refreshes[i];

		n += 64 + r->strategy.n + r->token_url.n + r->scopes.n;
		for (size_t k = 0; k < r->argc; k++)
			n += 8 + r->argv[k].n;
		for (size_t k = 0; k < r->material_count; k++)
			n += 16 + r->materials[k].name.n + r->materials[k].value.n;
	}
	for (size_t i = 0; i < set->cred_count; i++) {
		const struct cv_cred *c = &set->creds[i];

		n += 64 + c->key.n + c->placeholder.n + c->value.n + c->output.n;
	}
	for (size_t i = 0; i < set->grant_count; i++)
		n += 16 + set->grants[i].who.n + set->grants[i].name.n;
	return n;
}

cv_code cv_cred_set_write(const struct cv_cred_set *set, struct cv_buf *ret, struct cv_err *err)
{
	struct cv_cred_set copy = *set;
	struct cv_codec c = { .out = ret };
	const char *fault = set_fault(set);

	if (fault)
		return cv_fail(err, CV_INVALID, "credentials: %s", fault);
	if (cv_buf_reserve(ret, bytes_bound(set)))
		set_walk(&c, &copy);
	return c.is_bad || ret->is_overflown
		       ? cv_fail(err, CV_LIMIT, "the credentials don't fit %u MiB",
				 CV_CRED_SET_BYTES_MAX >> 20)
		       : CV_OK;
}

cv_code cv_cred_set_read(struct cv_str bytes, struct cv_cred_set *ret, struct cv_err *err)
{
	struct cv_cred_set set;

	cv_cred_set_init(&set);
	struct cv_codec c = { .rest = bytes, .arena = &set.arena };
	set_walk(&c, &set);
	const char *fault = !cv_codec_is_done(&c) ? "not a set" : set_fault(&set);
	if (fault) {
		cv_cred_set_fini(&set);
		return cv_fail(err, CV_PROTO, "credentials: %s", fault);
	}
	*ret = set;
	return CV_OK;
}
