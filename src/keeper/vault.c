/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault.c - see vault.h
 *
 * Values that came with the set live in its arena; values that came later are allocated one by one
 * and wiped when they are replaced.
 */
#include "keeper/vault.h"

#include "cred/limits.h"
#include "cred/schedule.h"

#include <stdlib.h>
#include <string.h>

/* The executable that all requests to a vault seem to come from: who asks was decided before. */
#define ASKER CV_STR("/proxy")

/* A key and a placeholder: a JWT has 350 bytes. */
#define MINTED_NAMES_BYTES_MAX 8192

struct slot {          /* beside each credential of the set */
	char *renewed; /* malloc'd; NULL: the set's value holds */
	size_t renewed_bytes;
	char *former; /* the value before, if that was released; it may still come back */
	size_t former_bytes;
	int64_t expires_s;
	uint64_t since; /* the epoch that the present value came with */
	bool is_released, is_refused;
	/* of minted ones: */
	struct cv_arena names; /* key and placeholder */
	uint64_t order;        /* when it came, as a number */
	bool is_refresh;
};

struct cv_vault {
	struct cv_cred_set set;
	struct cv_policy **bound; /* one for each provider; NULL: bound to nothing */
	bool *is_pathless;        /* one for each: whatever it is bound to, the path is no matter */
	struct slot *slots;
	uint64_t epoch;   /* of the values */
	uint64_t version; /* of all that is answered */
	uint32_t minted_first, minted_max;
	uint64_t minted; /* so many came, ever */
};

/* ---- bindings as a policy ---- */

static bool rules_fill(
	struct cv_arena *a, const struct cv_cred_binding *from, struct cv_policy_endpoint *to)
{
	to->rules.v = cv_arena_array(a, from->rule_count, sizeof(to->rules.v[0]));
	if (!to->rules.v)
		return false;
	for (size_t i = 0; i < from->rule_count; i++) {
		struct cv_policy_rule *r = &to->rules.v[i];

		*r = (struct cv_policy_rule){ 0 };
		r->method =
			(struct cv_policy_text){ .s = from->rules[i].method, .is_present = true };
		r->path = (struct cv_policy_text){ .s = from->rules[i].path, .is_present = true };
	}
	to->rules.n = from->rule_count;
	to->rules.is_present = true;
	return true;
}

static bool endpoint_fill(
	struct cv_arena *a, const struct cv_cred_binding *from, struct cv_policy_endpoint *to)
{
	*to = (struct cv_policy_endpoint){
		.host = { .s = from->host, .is_present = true },
		.path = { .s = from->path, .is_present = from->path.n > 0 },
		.ports = from->ports,
		.port_count = from->port_count,
		.protocol = CV_PROTOCOL_REST,
		.enforcement = CV_ENFORCEMENT_ENFORCE,
		.access = from->rule_count ? CV_ACCESS_NONE : CV_ACCESS_FULL,
		.token_endpoint = from->is_token,
		.scrub = from->is_unscrubbed ? CV_SCRUB_OFF : CV_SCRUB_ON,
		.credential_mode = from->is_required ? CV_CREDENTIAL_MODE_REQUIRE
						     : CV_CREDENTIAL_MODE_OPTIONAL,
	};
	return !from->rule_count || rules_fill(a, from, to);
}

static struct cv_policy_doc *doc_make(const struct cv_cred_provider *provider)
{
	struct cv_policy_doc *doc = cv_policy_doc_new(provider->name);
	struct cv_policy_entry *entry;

	if (!doc)
		return NULL;
	entry = cv_arena_array(&doc->arena, 1, sizeof(*entry));
	struct cv_policy_endpoint *endpoints =
		cv_arena_array(&doc->arena, provider->binding_count, sizeof(*endpoints));
	struct cv_policy_binary *binary = cv_arena_array(&doc->arena, 1, sizeof(*binary));
	bool ok = entry && endpoints && binary;
	for (size_t i = 0; ok && i < provider->binding_count; i++)
		ok = endpoint_fill(&doc->arena, &provider->bindings[i], &endpoints[i]);
	if (!ok) {
		cv_policy_doc_free(doc);
		return NULL;
	}
	*binary = (struct cv_policy_binary){ .path = { .s = ASKER, .is_present = true } };
	*entry = (struct cv_policy_entry){
		.name = provider->name,
		.endpoints = endpoints,
		.endpoint_count = provider->binding_count,
		.binaries = binary,
		.binary_count = 1,
		.has_binaries = true,
	};
	doc->version = 1;
	doc->entries = entry;
	doc->entry_count = 1;
	return doc;
}

/* Paths other than plain ones may still matter. */
static bool is_any_path(const struct cv_cred_binding *b)
{
	if (b->path.n)
		return false;
	for (size_t i = 0; i < b->rule_count; i++)
		if (!cv_str_eq(b->rules[i].path, CV_STR("**")) &&
			!cv_str_eq(b->rules[i].path, CV_STR("/**")))
			return false;
	return true;
}

static cv_code bindings_compile(struct cv_vault *v, struct cv_err *err)
{
	for (size_t i = 0; i < v->set.provider_count; i++) {
		const struct cv_cred_provider *p = &v->set.providers[i];
		struct cv_policy_doc *doc;

		v->is_pathless[i] = true;
		for (size_t k = 0; k < p->binding_count; k++)
			v->is_pathless[i] &= is_any_path(&p->bindings[k]);
		if (!v->set.providers[i].binding_count)
			continue;
		doc = doc_make(&v->set.providers[i]);
		const cv_code code = doc ? cv_policy_compile(doc, &v->bound[i], err)
					 : cv_fail(err, CV_LIMIT, "no memory for bindings");
		if (code != CV_OK)
			return cv_wrap(err, "provider %.*s", CV_STR_ARG(v->set.providers[i].name));
	}
	return CV_OK;
}

/* ---- life ---- */

/* For the set's credentials, and for those that are minted later. */
static bool room_make(struct cv_vault *v)
{
	const size_t n = v->set.cred_count;
	const size_t max =
		n < CV_PH_ENTRIES_MAX ? CV_MIN((size_t)CV_PH_MINTED_MAX, CV_PH_ENTRIES_MAX - n) : 0;
	struct cv_cred *creds = cv_arena_array(&v->set.arena, n + max + 1, sizeof(creds[0]));

	v->slots = calloc(n + max + 1, sizeof(v->slots[0]));
	if (!creds || !v->slots)
		return false;
	if (n)
		memcpy(creds, v->set.creds, n * sizeof(creds[0]));
	v->set.creds = creds;
	v->minted_first = (uint32_t)n;
	v->minted_max = (uint32_t)max;
	return true;
}

cv_code cv_vault_new(struct cv_str bytes, struct cv_vault **ret, struct cv_err *err)
{
	struct cv_vault *v = calloc(1, sizeof(*v));

	*ret = NULL;
	if (!v)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_code code = cv_cred_set_read(bytes, &v->set, err);
	if (code == CV_OK) {
		v->bound = calloc(v->set.provider_count + 1, sizeof(v->bound[0]));
		v->is_pathless = calloc(v->set.provider_count + 1, sizeof(v->is_pathless[0]));
		if (!v->bound || !v->is_pathless || !room_make(v))
			code = cv_fail(err, CV_LIMIT, "no memory");
	}
	if (code == CV_OK)
		code = bindings_compile(v, err);
	if (code != CV_OK) {
		cv_vault_free(v);
		return code;
	}
	for (size_t i = 0; i < v->set.cred_count; i++)
		v->slots[i].expires_s = v->set.creds[i].expires_s;
	*ret = v;
	return CV_OK;
}

static void bytes_wipe(char **p, size_t *n)
{
	if (*p) {
		explicit_bzero(*p, *n);
		free(*p);
	}
	*p = NULL;
	*n = 0;
}

static void value_wipe(struct slot *s)
{
	bytes_wipe(&s->renewed, &s->renewed_bytes);
	bytes_wipe(&s->former, &s->former_bytes);
}

/* From the first time on it is searched for wherever it may come back. */
static void released_set(struct cv_vault *v, uint32_t cred)
{
	v->version += !v->slots[cred].is_released;
	v->slots[cred].is_released = true;
}

void cv_vault_free(struct cv_vault *v)
{
	if (!v)
		return;
	for (size_t i = 0; v->slots && i < v->set.cred_count; i++) {
		value_wipe(&v->slots[i]);
		cv_arena_fini(&v->slots[i].names);
	}
	for (size_t i = 0; v->bound && i < v->set.provider_count; i++)
		cv_policy_unref(v->bound[i]);
	free(v->slots);
	free(v->bound);
	free(v->is_pathless);
	cv_cred_set_fini(&v->set);
	free(v);
}

const struct cv_cred_set *cv_vault_set(const struct cv_vault *v)
{
	return &v->set;
}

struct cv_str cv_vault_value(const struct cv_vault *v, uint32_t cred)
{
	const struct slot *s = &v->slots[cred];

	return s->renewed ? (struct cv_str){ s->renewed, s->renewed_bytes }
			  : v->set.creds[cred].value;
}

struct cv_str cv_vault_former(const struct cv_vault *v, uint32_t cred)
{
	return (struct cv_str){ v->slots[cred].former, v->slots[cred].former_bytes };
}

uint64_t cv_vault_epoch(const struct cv_vault *v)
{
	return v->epoch;
}

uint64_t cv_vault_version(const struct cv_vault *v)
{
	return v->version;
}

bool cv_vault_is_present(const struct cv_vault *v, uint32_t cred, uint64_t epoch)
{
	return cred < v->set.cred_count && v->slots[cred].is_released &&
	       epoch >= v->slots[cred].since && epoch <= v->epoch;
}

void cv_vault_again(struct cv_vault *v, const struct cv_vault *former)
{
	v->version = former ? former->version + 1 : v->version;
	for (uint32_t i = 0; i < v->set.cred_count; i++)
		released_set(v, i);
}

/* ---- the question ---- */

static struct cv_verdict binding_ask(const struct cv_vault *v, uint32_t provider,
	const struct cv_keeper_release *ask, enum cv_op op)
{
	const struct cv_facts facts = {
		.op = op,
		.who = { .is_known = true, .exe = ASKER },
		.host = ask->host,
		.host_is_ip = ask->host_is_ip,
		.port = ask->port,
		.method = ask->method,
		.path = ask->path,
		.query = CV_STR_NONE,
	};

	if (!v->bound[provider])
		return (struct cv_verdict){ .action = CV_ACTION_DENY };
	return cv_policy_decide(v->bound[provider], &facts);
}

static bool is_token_endpoint(
	const struct cv_vault *v, uint32_t provider, const struct cv_keeper_release *ask)
{
	const struct cv_verdict verdict = binding_ask(v, provider, ask, CV_OP_REQUEST);

	if (verdict.action != CV_ACTION_ALLOW)
		return false;
	const struct cv_policy_endpoint *e = cv_policy_endpoint_of(v->bound[provider], &verdict);
	return e && e->token_endpoint;
}

/* One that is about to expire would be dead on arrival, where another may be had. */
static int64_t lasts_s(const struct cv_vault *v, uint32_t cred, int64_t now_s)
{
	const int64_t margin_s =
		v->set.creds[cred].refresh == CV_CRED_NONE ? 0 : CV_SCHEDULE_MARGIN_S;
	const int64_t expires_s = v->slots[cred].expires_s;

	return expires_s ? expires_s - margin_s - now_s : INT64_MAX;
}

static enum cv_release state_of(const struct cv_vault *v, uint32_t cred, int64_t now_s)
{
	const struct cv_cred *c = &v->set.creds[cred];
	const struct slot *s = &v->slots[cred];
	const bool is_good =
		!s->is_refused && cv_vault_value(v, cred).n && lasts_s(v, cred, now_s) > 0;
	if (is_good)
		return CV_RELEASE_OK;
	return c->refresh == CV_CRED_NONE ? CV_RELEASE_DEAD : CV_RELEASE_STALE;
}

static enum cv_release judge(
	const struct cv_vault *v, uint32_t cred, const struct cv_keeper_release *ask, int64_t now_s)
{
	if (cred >= v->set.cred_count)
		return CV_RELEASE_UNKNOWN;
	if (binding_ask(v, v->set.creds[cred].provider, ask, CV_OP_REQUEST).action !=
		CV_ACTION_ALLOW)
		return CV_RELEASE_MISMATCH;
	if (v->slots[cred].is_refresh && !is_token_endpoint(v, v->set.creds[cred].provider, ask))
		return CV_RELEASE_MISMATCH;
	return state_of(v, cred, now_s);
}

bool cv_vault_grant_find(
	const struct cv_vault *v, struct cv_str who, struct cv_str name, uint32_t *ret)
{
	for (size_t i = 0; i < v->set.grant_count; i++) {
		const struct cv_cred_grant *g = &v->set.grants[i];

		if (cv_str_eq(g->who, who) && cv_str_eq(g->name, name)) {
			*ret = g->cred;
			return true;
		}
	}
	return false;
}

enum cv_release cv_vault_release_tool(struct cv_vault *v, uint32_t cred, int64_t now_s)
{
	const enum cv_release r = state_of(v, cred, now_s);

	if (r == CV_RELEASE_OK)
		released_set(v, cred);
	return r;
}

/* What the endpoints of all providers say about this request, whoever's credential it carries. */
static void endpoint_learn(
	const struct cv_vault *v, const struct cv_keeper_release *ask, struct cv_vault_answer *ret)
{
	if (cv_keeper_path_is_plain(ask->path))
		ret->flags |= CV_RELEASED_ANY_PATH;
	for (uint32_t i = 0; i < v->set.provider_count; i++) {
		if (binding_ask(v, i, ask, CV_OP_CONNECT).action != CV_ACTION_ALLOW)
			continue;
		if (!v->is_pathless[i])
			ret->flags &= ~(uint32_t)CV_RELEASED_ANY_PATH;
		ret->flags |= CV_RELEASED_BOUND;
		const struct cv_verdict verdict = binding_ask(v, i, ask, CV_OP_REQUEST);
		const struct cv_policy_endpoint *e =
			verdict.action == CV_ACTION_ALLOW
				? cv_policy_endpoint_of(v->bound[i], &verdict)
				: NULL;
		if (!e)
			continue;
		if (e->credential_mode == CV_CREDENTIAL_MODE_REQUIRE)
			ret->flags |= CV_RELEASED_REQUIRED;
		if (e->scrub == CV_SCRUB_OFF)
			ret->flags |= CV_RELEASED_UNSCRUBBED;
	}
}

void cv_vault_release(struct cv_vault *v, const struct cv_keeper_release *ask, int64_t now_s,
	struct cv_vault_answer *ret)
{
	*ret = (struct cv_vault_answer){ .release = CV_RELEASE_OK };
	endpoint_learn(v, ask, ret);
	for (size_t i = 0; i < ask->count && ret->release == CV_RELEASE_OK; i++) {
		ret->release = judge(v, ask->creds[i], ask, now_s);
		ret->cred = ask->creds[i];
	}
	for (size_t i = 0; i < ask->count && ret->release == CV_RELEASE_OK; i++)
		released_set(v, ask->creds[i]);
}

int64_t cv_vault_lasts_s(
	const struct cv_vault *v, const struct cv_keeper_release *ask, int64_t now_s)
{
	int64_t least_s = INT64_MAX;

	for (size_t i = 0; i < ask->count; i++)
		least_s = CV_MIN(least_s, lasts_s(v, ask->creds[i], now_s));
	return least_s;
}

bool cv_vault_is_scrubbed(
	const struct cv_vault *v, uint32_t cred, const struct cv_keeper_release *ask)
{
	return v->slots[cred].is_released &&
	       binding_ask(v, v->set.creds[cred].provider, ask, CV_OP_CONNECT).action ==
		       CV_ACTION_ALLOW;
}

/* ---- renewal ---- */

static void former_keep(struct cv_vault *v, uint32_t cred)
{
	struct slot *s = &v->slots[cred];
	const struct cv_str value = cv_vault_value(v, cred);
	char *copy = malloc(value.n);

	if (!copy)
		return; /* the present one is what matters more */
	memcpy(copy, value.p, value.n);
	bytes_wipe(&s->former, &s->former_bytes);
	s->former = copy;
	s->former_bytes = value.n;
}

cv_code cv_vault_renew(struct cv_vault *v, uint32_t cred, struct cv_str value, int64_t expires_s,
	struct cv_err *err)
{
	struct slot *s = &v->slots[cred];
	char *copy;

	if (!value.n || cv_str_has_byte(value, '\r') || cv_str_has_byte(value, '\n') ||
		cv_str_has_byte(value, '\0'))
		return cv_fail(err, CV_INVALID, "the new value is empty, or has a CR, LF or NUL");
	copy = malloc(value.n);
	if (!copy)
		return cv_fail(err, CV_LIMIT, "no memory");
	memcpy(copy, value.p, value.n);
	if (s->is_released)
		former_keep(v, cred);
	bytes_wipe(&s->renewed, &s->renewed_bytes);
	s->since = ++v->epoch;
	v->version++;
	s->renewed = copy;
	s->renewed_bytes = value.n;
	s->expires_s = expires_s;
	s->is_refused = false;
	return CV_OK;
}

void cv_vault_refuse(struct cv_vault *v, uint32_t cred, bool is_refused)
{
	v->version += v->slots[cred].is_refused != is_refused;
	v->slots[cred].is_refused = is_refused;
}

/* ---- minted ---- */

uint32_t cv_vault_minted_first(const struct cv_vault *v)
{
	return v->minted_first;
}

uint32_t cv_vault_token_provider(const struct cv_vault *v, const struct cv_keeper_release *ask)
{
	for (uint32_t i = 0; i < v->set.provider_count; i++)
		if (is_token_endpoint(v, i, ask))
			return i;
	return CV_CRED_NONE;
}

static uint32_t same_find(const struct cv_vault *v, uint32_t provider, struct cv_str value)
{
	for (uint32_t i = 0; i < v->set.cred_count; i++)
		if (v->set.creds[i].provider == provider && cv_str_eq(cv_vault_value(v, i), value))
			return i;
	return CV_CRED_NONE;
}

static size_t minted_bytes(const struct cv_vault *v)
{
	size_t n = 0;

	for (uint32_t i = v->minted_first; i < v->set.cred_count; i++)
		n += v->slots[i].renewed_bytes;
	return n;
}

static bool goes_before(const struct slot *a, const struct slot *b, int64_t now_s)
{
	const bool is_over = a->expires_s && a->expires_s <= now_s;
	const bool is_other_over = b->expires_s && b->expires_s <= now_s;

	if (is_over != is_other_over)
		return is_over;
	return is_over && a->expires_s != b->expires_s ? a->expires_s < b->expires_s
						       : a->order < b->order;
}

/* The one that goes next; CV_CRED_NONE: all that are there are empty. */
static uint32_t victim(const struct cv_vault *v, int64_t now_s)
{
	uint32_t found = CV_CRED_NONE;

	for (uint32_t i = v->minted_first; i < v->set.cred_count; i++)
		if (v->slots[i].renewed &&
			(found == CV_CRED_NONE ||
				goes_before(&v->slots[i], &v->slots[found], now_s)))
			found = i;
	return found;
}

/* A place for n bytes; places are not given back, so that an index means the same for ever. */
static uint32_t place_make(struct cv_vault *v, size_t n, int64_t now_s)
{
	uint32_t at;

	while (minted_bytes(v) + n > CV_VAULT_MINTED_BYTES_MAX) {
		at = victim(v, now_s);
		if (at == CV_CRED_NONE)
			return at;
		value_wipe(&v->slots[at]);
	}
	for (at = v->minted_first; at < v->set.cred_count; at++)
		if (!v->slots[at].renewed)
			return at;
	if (at < v->minted_first + v->minted_max)
		return at;
	at = victim(v, now_s);
	if (at != CV_CRED_NONE)
		value_wipe(&v->slots[at]);
	return at;
}

static bool is_key_taken(const struct cv_vault *v, struct cv_str key)
{
	for (uint32_t i = 0; i < v->set.cred_count; i++)
		if (cv_str_eq(v->set.creds[i].key, key))
			return true;
	return false;
}

/* A name that no other has had, and the text that stands for it. */
static bool names_make(struct cv_vault *v, enum cv_keeper_token kind, struct cv_str value,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], struct cv_arena *arena, struct cv_cred *ret)
{
	const struct cv_shape *shape = NULL;

	if (!cv_shape_find(CV_STR("jwt"), &shape))
		return false;
	if (kind != CV_KEEPER_TOKEN_ID)
		shape = cv_shape_guess(CV_STR_NONE, value);
	/* unlike any that a former keeper of the run gave */
	const unsigned char *end = seed + CV_SHAPE_SEED_BYTES - 4;
	do
		ret->key = cv_arena_printf(arena, "COVE_MINTED_%llu_%02x%02x%02x%02x",
			(unsigned long long)++v->minted, end[0], end[1], end[2], end[3]);
	while (ret->key.p && is_key_taken(v, ret->key));
	return ret->key.p && cv_shape_make(shape, ret->key, seed, arena, &ret->placeholder);
}

uint32_t cv_vault_mint(struct cv_vault *v, uint32_t provider, enum cv_keeper_token kind,
	struct cv_str value, int64_t expires_s, int64_t now_s,
	const unsigned char seed[CV_SHAPE_SEED_BYTES])
{
	struct cv_cred made = { .provider = provider, .refresh = CV_CRED_NONE };
	struct cv_arena names;
	uint32_t at = same_find(v, provider, value);

	if (!value.n)
		return CV_CRED_NONE;
	if (at != CV_CRED_NONE) {
		released_set(v, at);
		if (at >= v->minted_first) {
			v->version += v->slots[at].expires_s != expires_s;
			v->slots[at].expires_s = expires_s;
		}
		return at;
	}
	v->version++; /* another one may have to go, whatever becomes of this one */
	cv_arena_init(&names, MINTED_NAMES_BYTES_MAX);
	at = place_make(v, value.n, now_s);
	if (at == CV_CRED_NONE || !names_make(v, kind, value, seed, &names, &made)) {
		cv_arena_fini(&names);
		return CV_CRED_NONE;
	}
	struct slot *s = &v->slots[at];
	if (at < v->set.cred_count)
		cv_arena_fini(&s->names);
	*s = (struct slot){
		.names = names, .order = v->minted, .is_refresh = kind == CV_KEEPER_TOKEN_REFRESH
	};
	v->set.creds[at] = made;
	if (cv_vault_renew(v, at, value, expires_s, NULL) != CV_OK) {
		if (at == v->set.cred_count) /* else an empty place, released to nobody */
			cv_arena_fini(&s->names);
		return CV_CRED_NONE;
	}
	if (at == v->set.cred_count)
		v->set.cred_count++;
	released_set(v, at);
	return at;
}
