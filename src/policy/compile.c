/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c - a document becomes a snapshot; snapshot_int.h shows its shape
 *
 * Compiling does not judge: what validation would have refused gets the meaning that allows less.
 * A malformed host or binary pattern matches nothing; a malformed path of an allow rule matches
 * nothing, of a deny rule everything; an endpoint with both rules and a preset has the rules; one
 * with no port, or with neither a host nor allowed_ips, matches nothing.  So the only failure is
 * memory.
 */
#include "base/assert.h"
#include "policy/check_int.h"
#include "policy/middleware.h"
#include "policy/snapshot_int.h"
#include "policy/tool_rule.h"

#include <stdlib.h>

struct builder {
	struct cv_policy *p;
	const struct cv_policy_alias *aliases;
	size_t alias_count;
	struct cv_paths_builder paths;
};

/* ---- entries ---- */

/* Names as shown decide the order, since "the entry that sorts first" is what is shown. */
static int entry_cmp(const void *a, const void *b)
{
	const struct cv_entry *x = a, *y = b;
	int r = cv_str_cmp(x->source->name, y->source->name);

	if (r == 0)
		r = cv_str_cmp(x->source->key.s, y->source->key.s);
	return r ? r : (x->index > y->index) - (x->index < y->index);
}

/* Literal unless it has a star: "?" and "[" alone mean nothing in a binary. */
static bool binary_add(struct builder *b, struct cv_binaries *to, struct cv_str path)
{
	struct cv_arena *arena = &b->p->arena;

	if (!cv_str_has_byte(path, '*')) {
		to->exact[to->exact_count++] = path;
		for (size_t i = 0; i < b->alias_count; i++)
			if (cv_str_eq(b->aliases[i].path, path))
				to->exact[to->exact_count++] =
					cv_arena_str(arena, b->aliases[i].target);
	} else if (cv_glob_compile(path, CV_GLOB_PATH, arena, &to->globs[to->glob_count], NULL) ==
		   CV_OK) {
		to->glob_count++;
	}
	return !arena->is_overflown;
}

static bool binaries_add(struct builder *b, struct cv_binaries *to,
	const struct cv_policy_binary *source, size_t count)
{
	struct cv_arena *arena = &b->p->arena;
	size_t aliased = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < b->alias_count; j++)
			aliased += cv_str_eq(b->aliases[j].path, source[i].path.s);
	to->exact = cv_arena_array(arena, count + aliased, sizeof(*to->exact));
	to->globs = cv_arena_array(arena, count, sizeof(struct cv_glob *));
	for (size_t i = 0; i < count && to->exact && to->globs; i++)
		if (!binary_add(b, to, source[i].path.s))
			return false;
	return !arena->is_overflown;
}

static bool entries_build(struct builder *b)
{
	struct cv_policy *p = b->p;

	p->entry_count = (uint32_t)p->doc->entry_count;
	p->entries = cv_arena_array(&p->arena, p->entry_count, sizeof(*p->entries));
	p->entry_by_index = cv_arena_array(&p->arena, p->entry_count, sizeof(uint32_t));
	if (!p->entries || !p->entry_by_index)
		return false;
	for (uint32_t i = 0; i < p->entry_count; i++)
		p->entries[i] = (struct cv_entry){ .source = &p->doc->entries[i], .index = i };
	qsort(p->entries, p->entry_count, sizeof(*p->entries), entry_cmp);
	for (uint32_t i = 0; i < p->entry_count; i++) {
		p->entry_by_index[p->entries[i].index] = i;
		if (!binaries_add(b, &p->entries[i].binaries, p->entries[i].source->binaries,
			    p->entries[i].source->binary_count))
			return false;
	}
	return true;
}

/* ---- endpoints ---- */

static struct cv_str lower_copy(struct cv_arena *arena, struct cv_str s)
{
	char *p = cv_arena_alloc(arena, s.n);

	if (!p)
		return CV_STR_NONE;
	for (size_t i = 0; i < s.n; i++)
		p[i] = cv_ascii_lower(s.p[i]);
	return (struct cv_str){ p, s.n };
}

static void host_compile(struct builder *b, struct cv_endpoint *ep)
{
	struct cv_arena *arena = &b->p->arena;
	const struct cv_str host = ep->source->host.s;
	char text[CV_IP_TEXT_BYTES];
	struct cv_ip ip;

	if (host.n == 0) {
		ep->host_kind = ep->has_ips ? CV_HOST_ANY : CV_HOST_EXACT;
	} else if (cv_ip_parse(host, &ip)) {
		ep->host = cv_arena_str(arena, cv_ip_format(&ip, text));
	} else {
		ep->host = lower_copy(arena, host);
		if (!cv_str_has_byte(host, '*'))
			return;
		ep->host_kind = CV_HOST_PATTERN;
		if (cv_glob_compile(ep->host, CV_GLOB_HOST, arena, &ep->glob, NULL) != CV_OK)
			ep->glob = NULL;
	}
}

static bool ips_compile(struct builder *b, struct cv_endpoint *ep)
{
	const struct cv_policy_texts *ips = &ep->source->allowed_ips;

	ep->has_ips = ips->n > 0;
	ep->ips = cv_arena_array(&b->p->arena, ips->n, sizeof(*ep->ips));
	for (size_t i = 0; i < ips->n && ep->ips; i++)
		if (cv_cidr_parse(ips->v[i].s, &ep->ips[ep->ip_count]))
			ep->ip_count++;
	return ep->ips;
}

static void protocol_compile(struct cv_endpoint *ep)
{
	switch (ep->source->protocol) {
	case CV_PROTOCOL_L4:
	case CV_PROTOCOL_TCP: ep->is_enforceable = true; break;
	case CV_PROTOCOL_POSTGRES:
		ep->is_postgres = true;
		ep->pg_level = cv_access_level(ep->source);
		ep->is_l7 = true;
		ep->is_enforceable = true;
		break;
	case CV_PROTOCOL_REST:
		ep->is_l7 = true;
		ep->is_enforceable = true;
		break;
	case CV_PROTOCOL_WEBSOCKET:
		ep->is_l7 = ep->is_websocket = true;
		ep->is_enforceable = !cv_policy_has_graphql(ep->source);
		break;
	case CV_PROTOCOL_GRAPHQL:
	case CV_PROTOCOL_MCP:
	case CV_PROTOCOL_JSON_RPC:
	case CV_PROTOCOL_SQL:
	case CV_PROTOCOL_COUNT: ep->is_l7 = true; break;
	}
}

static bool rules_compile(struct builder *b, struct cv_endpoint *ep)
{
	const struct cv_policy_endpoint *source = ep->source;

	if (!source->rules.is_present && source->rules.n == 0 && !ep->is_postgres)
		ep->access_methods = cv_access_bits(source->protocol, source->access);
	ep->root = CV_MAP_NONE;
	ep->first_rule = b->p->paths.rule_count;
	if (source->rules.n + source->deny_rules.n == 0)
		return true;
	ep->root = cv_paths_root(&b->paths, source->rules.n + source->deny_rules.n);
	for (size_t i = 0; i < source->rules.n; i++)
		if (!cv_paths_add(&b->paths, ep->root, &source->rules.v[i], (uint32_t)i, false,
			    ep->is_postgres))
			return false;
	for (size_t i = 0; i < source->deny_rules.n; i++)
		if (!cv_paths_add(&b->paths, ep->root, &source->deny_rules.v[i], (uint32_t)i, true,
			    ep->is_postgres))
			return false;
	ep->rule_count = b->p->paths.rule_count - ep->first_rule;
	return true;
}

static uint32_t count_not_stars(struct cv_str s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] != '*';
	return n;
}

static bool endpoint_compile(struct builder *b, struct cv_endpoint *ep)
{
	ep->specificity = count_not_stars(ep->source->path.s);
	protocol_compile(ep);
	if (!ips_compile(b, ep) ||
		!cv_selector_compile(&ep->selector, ep->source->path.s, &b->p->arena) ||
		!rules_compile(b, ep))
		return false;
	host_compile(b, ep);
	return !b->p->arena.is_overflown;
}

static bool endpoints_build(struct builder *b)
{
	struct cv_policy *p = b->p;
	size_t count = 0;

	for (uint32_t i = 0; i < p->entry_count; i++)
		count += p->entries[i].source->endpoint_count;
	p->endpoints = cv_arena_array(&p->arena, count, sizeof(*p->endpoints));
	if (!p->endpoints)
		return false;
	for (uint32_t i = 0; i < p->entry_count; i++) {
		const struct cv_policy_entry *source = p->entries[i].source;

		for (size_t j = 0; j < source->endpoint_count; j++) {
			struct cv_endpoint *ep = &p->endpoints[p->endpoint_count++];

			*ep = (struct cv_endpoint){
				.source = &source->endpoints[j],
				.entry = i,
				.index = (uint32_t)j,
				.line = source->endpoints[j].pos.line,
				.is_skip = source->endpoints[j].tls == CV_TLS_SKIP,
				.is_tcp = source->endpoints[j].protocol == CV_PROTOCOL_TCP,
				.is_audit =
					source->endpoints[j].enforcement == CV_ENFORCEMENT_AUDIT,
				.is_approve =
					source->endpoints[j].enforcement == CV_ENFORCEMENT_APPROVE,
				.keeps_slash = source->endpoints[j].allow_encoded_slash,
			};
			if (!endpoint_compile(b, ep))
				return false;
		}
	}
	return true;
}

/* ---- tools ---- */

static bool tool_rules_build(struct builder *b)
{
	struct cv_policy *p = b->p;
	const size_t n = p->doc->tool_rule_count;

	p->tool_rules = cv_arena_array(&p->arena, n, sizeof(*p->tool_rules));
	if (!p->tool_rules)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct cv_policy_tool_rule *source = &p->doc->tool_rules[i];
		struct cv_tool_rule *rule = &p->tool_rules[p->tool_rule_count++];

		if (!cv_tool_rule_compile(source, &p->arena, rule) ||
			!binaries_add(b, &rule->binaries, source->binaries, source->binary_count))
			return false;
	}
	return true;
}

/* ---- the snapshot ---- */

cv_code cv_policy_compile_aliased(struct cv_policy_doc *doc, const struct cv_policy_alias *aliases,
	size_t alias_count, struct cv_policy **ret, struct cv_err *err)
{
	struct cv_policy *p = calloc(1, sizeof(*p));
	struct builder b = { p, aliases, alias_count, { 0 } };

	if (!p) {
		cv_policy_doc_free(doc);
		return cv_fail(err, CV_LIMIT, "no memory for the policy");
	}
	p->refs = 1;
	p->doc = doc;
	cv_arena_init(&p->arena, CV_POLICY_SNAPSHOT_BYTES_MAX);
	b.paths = (struct cv_paths_builder){ .paths = &p->paths, .arena = &p->arena };
	if (doc && !(entries_build(&b) && cv_paths_init(&b.paths, doc) && endpoints_build(&b) &&
			   cv_hosts_build(&p->hosts, p->endpoints, p->endpoint_count, &p->arena) &&
			   cv_middlewares_compile(
				   doc, &p->arena, &p->middlewares, &p->middleware_count) &&
			   tool_rules_build(&b))) {
		cv_policy_unref(p);
		return cv_fail(err, CV_LIMIT, "the policy needs more than %u MiB of memory",
			CV_POLICY_SNAPSHOT_BYTES_MAX >> 20);
	}
	*ret = p;
	return CV_OK;
}

cv_code cv_policy_compile(struct cv_policy_doc *doc, struct cv_policy **ret, struct cv_err *err)
{
	return cv_policy_compile_aliased(doc, NULL, 0, ret, err);
}

struct cv_policy *cv_policy_ref(struct cv_policy *policy)
{
	cv_assert(policy->refs > 0 && policy->refs < UINT32_MAX);
	policy->refs++;
	return policy;
}

void cv_policy_unref(struct cv_policy *policy)
{
	if (!policy)
		return;
	cv_assert(policy->refs > 0);
	if (--policy->refs > 0)
		return;
	cv_arena_fini(&policy->arena);
	cv_policy_doc_free(policy->doc);
	free(policy);
}

const struct cv_policy_doc *cv_policy_doc(const struct cv_policy *policy)
{
	return policy->doc;
}
