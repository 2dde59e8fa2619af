/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compose.c - see compose.h
 *
 * A credential may be sent exactly where the provider's own rule in the policy lets requests
 * through: the same hosts, ports and path selectors, and of the rules what allows.  What deny rules
 * take away the policy refuses before a credential is asked for.
 */
#include "cred/compose.h"

#include "cred/limits_profile.h"
#include "policy/findings.h"

/* ---- judgement ---- */

const char *cv_cred_value_fault(struct cv_str value)
{
	if (!value.n)
		return "is empty";
	if (value.n > CV_CRED_VALUE_BYTES_MAX)
		return "is longer than 64 KiB";
	if (cv_str_has_byte(value, '\0'))
		return "holds a NUL byte";
	if (cv_str_has_byte(value, '\r') || cv_str_has_byte(value, '\n'))
		return "holds a line break, which would end a header early";
	return NULL;
}

static cv_code key_check(const struct cv_attached *p, const struct cv_attached_key *k,
	int64_t now_s, struct cv_err *err)
{
	const char *fault = cv_cred_value_fault(k->value);

	if (!cv_cred_is_key(k->key))
		return cv_fail(err, CV_INVALID, "provider %.*s: '%.*s' can't be a variable's name",
			CV_STR_ARG(p->name), CV_POLICY_QUOTE(k->key));
	if (fault && (k->value.n || k->refresh == CV_CRED_NONE))
		return cv_fail(err, CV_INVALID, "provider %.*s: the value of %.*s %s",
			CV_STR_ARG(p->name), CV_STR_ARG(k->key), fault);
	if (k->expires_s && k->expires_s <= now_s && k->refresh == CV_CRED_NONE)
		return cv_fail(err, CV_INVALID,
			"provider %.*s: %.*s has expired and nothing renews it; get a new one, or "
			"add refresh",
			CV_STR_ARG(p->name), CV_STR_ARG(k->key));
	return CV_OK;
}

/* The provider before p, or p itself up to key k, that has the same variable. */
static const struct cv_attached *owner_before(
	const struct cv_attached *v, const struct cv_attached *p, size_t k)
{
	for (const struct cv_attached *q = v; q <= p; q++) {
		const size_t n = q == p ? k : q->key_count;

		for (size_t i = 0; i < n; i++)
			if (cv_str_eq(q->keys[i].key, p->keys[k].key))
				return q;
	}
	return NULL;
}

cv_code cv_compose_check(const struct cv_attached *v, size_t n, int64_t now_s, struct cv_err *err)
{
	cv_code code = CV_OK;
	size_t keys = 0;

	if (n > CV_CRED_PROVIDERS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d providers", CV_CRED_PROVIDERS_MAX);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++)
			if (cv_str_eq(v[i].name, v[j].name))
				return cv_fail(err, CV_INVALID,
					"two providers are named %.*s; give one another name in an "
					"instance file",
					CV_STR_ARG(v[i].name));
		keys += v[i].key_count;
		for (size_t k = 0; k < v[i].key_count; k++) {
			const struct cv_attached *other = owner_before(v, &v[i], k);

			if (other)
				return cv_fail(err, CV_INVALID,
					"providers %.*s and %.*s both set %.*s; attach one of them, or "
					"say in an instance file which variable each sets",
					CV_STR_ARG(other->name), CV_STR_ARG(v[i].name),
					CV_STR_ARG(v[i].keys[k].key));
			code = key_check(&v[i], &v[i].keys[k], now_s, err);
			if (code != CV_OK)
				return code;
		}
	}
	return keys > CV_CRED_KEYS_MAX
		       ? cv_fail(err, CV_LIMIT, "more than %d credentials", CV_CRED_KEYS_MAX)
		       : CV_OK;
}

/* ---- the layer ---- */

cv_code cv_compose_layer(
	const struct cv_attached *v, size_t n, struct cv_buf *ret, struct cv_err *err)
{
	struct cv_policy_entry entries[CV_CRED_PROVIDERS_MAX];
	struct cv_policy_doc doc = { .version = 1, .entries = entries };
	struct cv_arena arena;

	cv_arena_init(&arena, CV_CRED_PROVIDERS_MAX * 256);
	for (size_t i = 0; i < n && i < CV_CRED_PROVIDERS_MAX; i++) {
		struct cv_policy_entry *e = &entries[doc.entry_count];

		if (!v[i].profile->network.endpoint_count)
			continue;
		*e = v[i].profile->network;
		e->key.s = cv_arena_printf(
			&arena, CV_POLICY_PROVIDER_PREFIX "%.*s", CV_STR_ARG(v[i].name));
		e->name = CV_STR_NONE; /* its key */
		doc.entry_count++;
	}
	if (!arena.is_overflown)
		cv_fill_write(&cv_policy_schema, &doc, ret);
	const bool is_full = arena.is_overflown || ret->is_overflown;
	cv_arena_fini(&arena);
	return is_full ? cv_fail(err, CV_LIMIT,
				 "the endpoints of the providers take more than %zu bytes",
				 ret->max)
		       : CV_OK;
}

/* ---- the set ---- */

struct composer {
	struct cv_cred_set *set;
	struct cv_arena *arena; /* the set's */
	const unsigned char *seed;
};

static struct cv_str copy(struct composer *c, struct cv_str s)
{
	return s.n ? cv_arena_str(c->arena, s) : CV_STR_NONE;
}

/* The text that the sandbox sees in place of the value.  One place decides. */
static struct cv_str placeholder_make(struct composer *c, const struct cv_attached_key *k)
{
	const struct cv_shape *shape = NULL;
	struct cv_str text;

	if (!k->shape.n || !cv_shape_find(k->shape, &shape))
		shape = cv_shape_guess(k->key, k->value);
	return cv_shape_make(shape, k->key, c->seed, c->arena, &text) ? text : CV_STR_NONE;
}

static size_t access_rules(enum cv_policy_access access, struct cv_cred_rule ret[8])
{
	static const struct {
		const char *method;
		bool is_writing;
	} rows[] = { { "GET", false }, { "HEAD", false }, { "OPTIONS", false }, { "POST", true },
		{ "PUT", true }, { "PATCH", true } };
	size_t n = 0;

	if (access == CV_ACCESS_FULL || access == CV_ACCESS_NONE)
		return 0; /* every method */
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (!rows[i].is_writing || access == CV_ACCESS_READ_WRITE)
			ret[n++] = (struct cv_cred_rule){ cv_str_of(rows[i].method), CV_STR("**") };
	return n;
}

/* Methods and paths say something of requests only; in other protocols the policy decides on what
 * is inside, and the endpoint is the bound. */
static void rules_take(
	struct composer *c, const struct cv_policy_endpoint *e, struct cv_cred_binding *b)
{
	struct cv_cred_rule preset[8];
	const size_t preset_count = access_rules(e->access, preset);

	if (e->protocol != CV_PROTOCOL_REST)
		return;
	b->rules =
		cv_arena_array(c->arena, CV_MAX(e->rules.n, preset_count) + 1, sizeof(b->rules[0]));
	if (!b->rules)
		return;
	for (size_t i = 0; i < e->rules.n; i++) {
		const struct cv_policy_rule *r = &e->rules.v[i];

		/* without a method a rule allows nothing */
		if (r->method.s.n)
			b->rules[b->rule_count++] =
				(struct cv_cred_rule){ copy(c, r->method.s), copy(c, r->path.s) };
	}
	if (e->rules.n && !b->rule_count) /* none at all would mean every method */
		b->rules[b->rule_count++] = (struct cv_cred_rule){ CV_STR("-"), CV_STR_NONE };
	for (size_t i = 0; !e->rules.n && i < preset_count; i++)
		b->rules[b->rule_count++] = preset[i];
}

static void binding_take(
	struct composer *c, const struct cv_policy_endpoint *e, struct cv_cred_provider *p)
{
	struct cv_cred_binding *b = &p->bindings[p->binding_count++];

	b->host = copy(c, e->host.s);
	b->path = copy(c, e->path.s);
	b->ports = cv_arena_array(c->arena, e->port_count + 1, sizeof(b->ports[0]));
	for (size_t i = 0; b->ports && i < e->port_count; i++)
		b->ports[b->port_count++] = e->ports[i];
	b->is_required = e->credential_mode == CV_CREDENTIAL_MODE_REQUIRE;
	b->is_unscrubbed = e->scrub == CV_SCRUB_OFF;
	b->is_token = e->token_endpoint;
	rules_take(c, e, b);
}

/* In a raw tunnel nothing can be put in place, and an endpoint without a host has no name that a
 * credential could be bound to. */
static bool is_bindable(const struct cv_policy_endpoint *e)
{
	return e->tls != CV_TLS_SKIP && e->host.s.n && e->port_count;
}

static bool is_bound_to(const struct cv_policy_endpoint *e, const struct cv_attached *p)
{
	return e->has_credential_binding && cv_str_eq(e->credential_binding_provider.s, p->name);
}

/* Walks the policy's own endpoints that bind p; counts them, or takes them when ret is given. */
static size_t policy_bindings(struct composer *c, const struct cv_policy_doc *doc,
	const struct cv_attached *p, struct cv_cred_provider *ret)
{
	size_t n = 0;

	for (size_t i = 0; doc && i < doc->entry_count; i++)
		for (size_t k = 0; k < doc->entries[i].endpoint_count; k++) {
			const struct cv_policy_endpoint *e = &doc->entries[i].endpoints[k];

			if (doc->entries[i].is_provider || !is_bound_to(e, p) || !is_bindable(e))
				continue;
			n++;
			if (ret)
				binding_take(c, e, ret);
		}
	return n;
}

static void provider_take(struct composer *c, const struct cv_policy_doc *doc,
	const struct cv_attached *p, struct cv_cred_provider *ret)
{
	const struct cv_policy_entry *own = &p->profile->network;
	const size_t n = own->endpoint_count + policy_bindings(c, doc, p, NULL);

	ret->name = copy(c, p->name);
	ret->type = copy(c, p->profile->id.s);
	ret->bindings = cv_arena_array(c->arena, n + 1, sizeof(ret->bindings[0]));
	if (!ret->bindings)
		return;
	for (size_t i = 0; i < own->endpoint_count; i++)
		if (is_bindable(&own->endpoints[i]))
			binding_take(c, &own->endpoints[i], ret);
	policy_bindings(c, doc, p, ret);
}

static void refresh_take(
	struct composer *c, const struct cv_cred_refresh *from, struct cv_cred_refresh *to)
{
	to->strategy = copy(c, from->strategy);
	to->token_url = copy(c, from->token_url);
	to->scopes = copy(c, from->scopes);
	to->before_s = from->before_s;
	to->max_lifetime_s = from->max_lifetime_s;
	to->argv = cv_arena_array(c->arena, from->argc + 1, sizeof(to->argv[0]));
	for (size_t i = 0; to->argv && i < from->argc; i++)
		to->argv[to->argc++] = copy(c, from->argv[i]);
	to->materials =
		cv_arena_array(c->arena, from->material_count + 1, sizeof(to->materials[0]));
	for (size_t i = 0; to->materials && i < from->material_count; i++)
		to->materials[to->material_count++] =
			(struct cv_cred_material){ copy(c, from->materials[i].name),
				copy(c, from->materials[i].value) };
}

static void attached_take(
	struct composer *c, const struct cv_policy_doc *doc, const struct cv_attached *p)
{
	struct cv_cred_set *set = c->set;
	const uint32_t provider = (uint32_t)set->provider_count++;
	const uint32_t first = (uint32_t)set->refresh_count;

	provider_take(c, doc, p, &set->providers[provider]);
	for (size_t i = 0; i < p->refresh_count; i++)
		refresh_take(c, &p->refreshes[i], &set->refreshes[set->refresh_count++]);
	for (size_t i = 0; i < p->key_count; i++) {
		const struct cv_attached_key *k = &p->keys[i];

		set->creds[set->cred_count++] = (struct cv_cred){
			.key = copy(c, k->key),
			.placeholder = placeholder_make(c, k),
			.value = copy(c, k->value),
			.expires_s = k->expires_s,
			.provider = provider,
			.refresh = k->refresh == CV_CRED_NONE ? CV_CRED_NONE : first + k->refresh,
			.output = copy(c, k->output),
		};
	}
}

/* Every credential_binding of the policy must mean something. */
static cv_code bindings_check(const struct cv_attached *v, size_t n,
	const struct cv_policy_doc *doc, const struct cv_policy_entry *entry,
	const struct cv_policy_endpoint *e, struct cv_err *err)
{
	const struct cv_str name = e->credential_binding_provider.s;

	for (size_t i = 0; i < n; i++) {
		if (!cv_str_eq(v[i].name, name))
			continue;
		if (v[i].profile->network.endpoint_count)
			return cv_fail(err, CV_INVALID,
				"%.*s:%u: credential_binding: provider %.*s has endpoints of its own, "
				"which its credentials belong to",
				CV_STR_ARG(doc->file), e->pos.line, CV_POLICY_QUOTE(name));
		if (!is_bindable(e))
			return cv_fail(err, CV_INVALID,
				"%.*s:%u: credential_binding needs a host, a port and TLS that is not "
				"skipped",
				CV_STR_ARG(doc->file), e->pos.line);
		return CV_OK;
	}
	return cv_fail(err, CV_INVALID,
		"%.*s:%u: network policy %.*s binds credentials of provider %.*s, which is not "
		"attached; add --provider",
		CV_STR_ARG(doc->file), e->pos.line, CV_POLICY_QUOTE(entry->key.s),
		CV_POLICY_QUOTE(name));
}

static cv_code policy_check(
	const struct cv_attached *v, size_t n, const struct cv_policy_doc *doc, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; doc && i < doc->entry_count; i++)
		for (size_t k = 0; k < doc->entries[i].endpoint_count && code == CV_OK; k++)
			if (doc->entries[i].endpoints[k].has_credential_binding)
				code = bindings_check(v, n, doc, &doc->entries[i],
					&doc->entries[i].endpoints[k], err);
	return code;
}

cv_code cv_compose_set(const struct cv_attached *v, size_t n, const struct cv_policy_doc *doc,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], struct cv_cred_set *ret, struct cv_err *err)
{
	struct cv_cred_set set;
	struct composer c = { .set = &set, .arena = &set.arena, .seed = seed };
	size_t keys = 0, refreshes = 0;

	if (policy_check(v, n, doc, err) != CV_OK)
		return err->code;
	cv_cred_set_init(&set);
	for (size_t i = 0; i < n; i++) {
		keys += v[i].key_count;
		refreshes += v[i].refresh_count;
	}
	set.providers = cv_arena_array(&set.arena, n + 1, sizeof(set.providers[0]));
	set.refreshes = cv_arena_array(&set.arena, refreshes + 1, sizeof(set.refreshes[0]));
	set.creds = cv_arena_array(&set.arena, keys + 1, sizeof(set.creds[0]));
	for (size_t i = 0; i < n && !set.arena.is_overflown; i++)
		attached_take(&c, doc, &v[i]);
	if (set.arena.is_overflown) {
		cv_cred_set_fini(&set);
		return cv_fail(err, CV_LIMIT, "the credentials need more than %u MiB of memory",
			CV_CRED_SET_BYTES_MAX >> 20);
	}
	*ret = set;
	return CV_OK;
}
