/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_merge.c - the operations on a policy; see policy_merge.h
 *
 * The working copy lives in the caller's arena, where lists only grow by being written anew: a
 * request has a few operations.  What may be folded into what, policy_compare.h answers.
 */
#include "rpc/policy_merge.h"

#include "rpc/policy_compare.h"

#include <stdarg.h>
#include <stdio.h>

#define PB(name)        Openshell__Sandbox__V1__##name

#define RULE_SUFFIX_MAX 99

typedef cv_rule_pb rule_t;
typedef cv_endpoint_pb endpoint_t;
typedef PB(SandboxPolicy__NetworkPoliciesEntry) entry_t;

struct merge {
	cv_policy_pb *m;
	struct cv_arena *arena;
	struct cv_err *err;
	size_t op; /* its index, for errors */
};

CV_PRINTF(2, 3) static cv_code refuse(struct merge *g, const char *fmt, ...)
{
	char text[CV_ERR_MSG_BYTES_MAX - 64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cv_fail(g->err, CV_INVALID, "merge operation %zu: %s", g->op, text);
}

static cv_code no_memory(struct merge *g)
{
	return cv_fail(
		g->err, CV_LIMIT, "the policy needs more than %zu bytes of memory", g->arena->max);
}

/* ---- lists of pointers ---- */

static bool list_add(struct merge *g, void *field, size_t *n, const void *item)
{
	void **old, **v = cv_arena_array(g->arena, *n + 1, sizeof(void *));

	memcpy(&old, field, sizeof(old));
	if (!v)
		return false;
	for (size_t i = 0; i < *n; i++)
		v[i] = old[i];
	memcpy(&v[*n], &item, sizeof(item));
	memcpy(field, &v, sizeof(v));
	(*n)++;
	return true;
}

static void list_drop(void *field, size_t *n, size_t at)
{
	void **v;

	memcpy(&v, field, sizeof(v));
	for (size_t i = at; i + 1 < *n; i++)
		v[i] = v[i + 1];
	(*n)--;
}

static bool ports_add(struct merge *g, endpoint_t *e, const endpoint_t *from)
{
	uint32_t *v = cv_arena_array(g->arena, e->n_ports + from->n_ports, sizeof(*v));
	size_t n = 0;

	if (!v)
		return e->n_ports + from->n_ports == 0;
	for (; n < e->n_ports; n++)
		v[n] = e->ports[n];
	for (size_t i = 0; i < from->n_ports; i++)
		if (!cv_endpoint_has_port(e, from->ports[i]))
			v[n++] = from->ports[i];
	e->ports = v;
	e->n_ports = n;
	e->port = n ? v[0] : 0;
	return true;
}

/* ---- finding ---- */

static entry_t *entry_find(const cv_policy_pb *m, const char *key)
{
	for (size_t i = 0; i < m->n_network_policies; i++)
		if (strcmp(m->network_policies[i]->key, key) == 0)
			return m->network_policies[i];
	return NULL;
}

const rule_t *cv_policy_pb_rule(const cv_policy_pb *m, const char *key)
{
	const entry_t *e = entry_find(m, key);

	return e ? e->value : NULL;
}

/* ---- adding a rule ---- */

void cv_policy_rule_name(const char *host, uint32_t port, char ret[CV_POLICY_RULE_NAME_BYTES])
{
	snprintf(ret, CV_POLICY_RULE_NAME_BYTES, "allow_%.253s_%u", host, port);
	for (char *p = ret; *p; p++)
		if (*p == '.' || *p == '-')
			*p = '_';
}

/* What an endpoint of the addition does to a rule: is changed, or is added.  False: it would meet
 * one that it neither is nor leaves alone. */
static bool endpoint_fits(const rule_t *into, const endpoint_t *e, endpoint_t **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < into->n_endpoints; i++) {
		endpoint_t *x = into->endpoints[i];

		if (!cv_endpoint_is_same_place(x, e) ||
			(!cv_endpoint_ports_meet(x, e) && !cv_endpoint_has_same_settings(x, e)))
			continue;
		const bool is_equal = cv_endpoint_rules_cover(x, e) &&
				      cv_endpoint_rules_cover(e, x) &&
				      x->n_deny_rules == e->n_deny_rules;

		if (!cv_endpoint_ports_meet(x, e) && !is_equal)
			continue;
		if (!cv_endpoint_has_same_settings(x, e) ||
			(!is_equal && !cv_endpoint_ports_cover(e, x)))
			return false;
		*ret = x;
	}
	return true;
}

/* Nobody may reach more by the fold than before, or than the addition says. */
static bool may_fold(const rule_t *into, const rule_t *add)
{
	endpoint_t *x;

	if (!into->n_binaries != !add->n_binaries)
		return false;
	if (!cv_rule_binaries_cover(into, add) && !cv_rule_covers(add, into))
		return false;
	if (!cv_rule_covers(into, add) && !cv_rule_binaries_cover(add, into))
		return false;
	for (size_t i = 0; i < add->n_endpoints; i++)
		if (!endpoint_fits(into, add->endpoints[i], &x))
			return false;
	return true;
}

static bool endpoint_unite(struct merge *g, endpoint_t *x, const endpoint_t *e)
{
	bool ok = ports_add(g, x, e);

	for (size_t i = 0; ok && i < e->n_rules; i++)
		if (!cv_pb_has((void *const *)x->rules, x->n_rules, e->rules[i]))
			ok = list_add(g, &x->rules, &x->n_rules, e->rules[i]);
	for (size_t i = 0; ok && i < e->n_deny_rules; i++)
		if (!cv_pb_has((void *const *)x->deny_rules, x->n_deny_rules, e->deny_rules[i]))
			ok = list_add(g, &x->deny_rules, &x->n_deny_rules, e->deny_rules[i]);
	for (size_t i = 0; ok && i < e->n_allowed_ips; i++)
		if (!cv_texts_have(x->allowed_ips, x->n_allowed_ips, e->allowed_ips[i]))
			ok = list_add(g, &x->allowed_ips, &x->n_allowed_ips, e->allowed_ips[i]);
	x->allow_uninspected_credentials |= e->allow_uninspected_credentials;
	return ok;
}

static bool fold(struct merge *g, rule_t *into, const rule_t *add)
{
	bool ok = true;

	for (size_t i = 0; ok && i < add->n_endpoints; i++) {
		endpoint_t *x;

		if (endpoint_fits(into, add->endpoints[i], &x) && x)
			ok = endpoint_unite(g, x, add->endpoints[i]);
		else
			ok = list_add(g, &into->endpoints, &into->n_endpoints, add->endpoints[i]);
	}
	for (size_t i = 0; ok && i < add->n_binaries; i++)
		if (!cv_rule_has_binary(into, add->binaries[i]->path))
			ok = list_add(g, &into->binaries, &into->n_binaries, add->binaries[i]);
	return ok;
}

/* Two readers of one stream of requests: MCP is decided by what another inspection does not see. */
static cv_code mcp_check(struct merge *g, const endpoint_t *e)
{
	for (size_t i = 0; i < g->m->n_network_policies; i++) {
		const rule_t *r = g->m->network_policies[i]->value;

		for (size_t k = 0; k < r->n_endpoints; k++) {
			const endpoint_t *x = r->endpoints[k];
			const bool is_mcp =
				strcmp(e->protocol, "mcp") == 0 || strcmp(x->protocol, "mcp") == 0;

			if (is_mcp && strcmp(e->protocol, x->protocol) != 0 &&
				cv_endpoint_is_host(e, x->host) && cv_endpoint_ports_meet(e, x))
				return refuse(g,
					"endpoint %s:%u would be read as %s, and rule '%s' reads it "
					"as %s; remove that endpoint first",
					e->host, e->port, e->protocol[0] ? e->protocol : "bytes",
					g->m->network_policies[i]->key,
					x->protocol[0] ? x->protocol : "bytes");
		}
	}
	return CV_OK;
}

/* The rule in its one spelling, by way of a policy that holds nothing else. */
static cv_code rule_canonical(struct merge *g, const char *key, rule_t *rule, rule_t **ret)
{
	PB(SandboxPolicy__NetworkPoliciesEntry) entry, *entries[] = { &entry };
	cv_policy_pb alone, *canonical;
	struct cv_err err = { 0 };

	openshell__sandbox__v1__sandbox_policy__init(&alone);
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(&entry);
	alone.version = 1;
	alone.network_policies = entries;
	alone.n_network_policies = 1;
	entry.key = (char *)(uintptr_t)key;
	entry.value = rule;
	if (cv_policy_pb_canonical(&alone, g->arena, &canonical, &err) != CV_OK)
		return refuse(g, "%s", err.msg);
	*ret = canonical->network_policies[0]->value;
	return CV_OK;
}

/* The rule of that name, or else one that has the endpoint already: if folding is safe. */
static rule_t *fold_target(const struct merge *g, const char *name, const rule_t *add)
{
	const entry_t *named = entry_find(g->m, name);

	if (named)
		return may_fold(named->value, add) ? named->value : NULL;
	for (size_t i = 0; i < g->m->n_network_policies; i++) {
		rule_t *r = g->m->network_policies[i]->value;

		if (cv_rule_meets(r, add) && may_fold(r, add))
			return r;
	}
	return NULL;
}

static cv_code rule_put(struct merge *g, const char *name, rule_t *rule)
{
	char free_name[CV_POLICY_RULE_NAME_BYTES];
	int n = snprintf(free_name, sizeof(free_name), "%s", name);
	entry_t *e = cv_arena_new(g->arena, entry_t);

	if (n < 0 || (size_t)n >= sizeof(free_name) - 4)
		return refuse(g, "the rule's name has more than %zu bytes", sizeof(free_name) - 5);
	for (unsigned i = 2; entry_find(g->m, free_name); i++) {
		if (i > RULE_SUFFIX_MAX)
			return refuse(g, "there are %u rules '%s...'", i - 1, name);
		snprintf(free_name + n, sizeof(free_name) - (size_t)n, "_%u", i);
	}
	if (!e)
		return no_memory(g);
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(e);
	const struct cv_str key = cv_arena_str(g->arena, cv_str_of(free_name));
	e->key = (char *)(uintptr_t)key.p;
	e->value = rule;
	if (strcmp(rule->name, name) == 0)
		rule->name = e->key;
	if (!key.p || !list_add(g, &g->m->network_policies, &g->m->n_network_policies, e))
		return no_memory(g);
	return CV_OK;
}

static cv_code add_rule(struct merge *g, const Openshell__V1__AddNetworkRule *op)
{
	char name[CV_POLICY_RULE_NAME_BYTES];
	rule_t *rule;
	cv_code code;

	if (!op || !op->rule || !op->rule->n_endpoints)
		return refuse(g, "add_rule needs a rule with at least one endpoint");
	const endpoint_t *first = op->rule->endpoints[0];
	if (op->rule_name[0])
		snprintf(name, sizeof(name), "%s", op->rule_name);
	else
		cv_policy_rule_name(
			first->host, first->n_ports ? first->ports[0] : first->port, name);
	if (cv_str_has_prefix(cv_str_of(name), CV_STR(CV_POLICY_PROVIDER_PREFIX)))
		return refuse(g, "rule names that begin with '%s' are reserved",
			CV_POLICY_PROVIDER_PREFIX);
	code = rule_canonical(g, name, op->rule, &rule);
	for (size_t i = 0; code == CV_OK && i < rule->n_endpoints; i++)
		code = mcp_check(g, rule->endpoints[i]);
	if (code != CV_OK)
		return code;
	rule_t *into = fold_target(g, name, rule);
	if (!into)
		return rule_put(g, name, rule);
	return fold(g, into, rule) ? CV_OK : no_memory(g);
}

/* ---- taking away ---- */

static void port_drop(endpoint_t *e, uint32_t port)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_ports; i++)
		if (e->ports[i] != port)
			e->ports[n++] = e->ports[i];
	e->n_ports = n;
	e->port = n ? e->ports[0] : 0;
}

static bool rule_drop_endpoint(rule_t *r, const char *host, uint32_t port)
{
	bool was_there = false;

	for (size_t i = r->n_endpoints; i-- > 0;) {
		endpoint_t *e = r->endpoints[i];

		if (!cv_endpoint_is_host(e, host) || !cv_endpoint_has_port(e, port))
			continue;
		was_there = true;
		port_drop(e, port);
		if (!e->n_ports)
			list_drop(&r->endpoints, &r->n_endpoints, i);
	}
	return was_there;
}

static cv_code remove_endpoint(struct merge *g, const Openshell__V1__RemoveNetworkEndpoint *op)
{
	cv_policy_pb *m = g->m;
	bool was_there = false;

	if (!op || !op->host[0] || !op->port)
		return refuse(g, "remove_endpoint needs a host and a port");
	if (op->rule_name[0] && !entry_find(m, op->rule_name))
		return refuse(g, "there is no rule '%s'", op->rule_name);
	for (size_t i = m->n_network_policies; i-- > 0;) {
		entry_t *e = m->network_policies[i];

		if (op->rule_name[0] && strcmp(e->key, op->rule_name) != 0)
			continue;
		if (!rule_drop_endpoint(e->value, op->host, op->port))
			continue;
		was_there = true;
		if (!e->value->n_endpoints)
			list_drop(&m->network_policies, &m->n_network_policies, i);
	}
	if (!was_there)
		return refuse(g, "no rule %s%s%shas the endpoint %s:%u",
			op->rule_name[0] ? "'" : "", op->rule_name, op->rule_name[0] ? "' " : "",
			op->host, op->port);
	return CV_OK;
}

static cv_code remove_rule(struct merge *g, const Openshell__V1__RemoveNetworkRule *op)
{
	cv_policy_pb *m = g->m;

	for (size_t i = 0; op && i < m->n_network_policies; i++)
		if (strcmp(m->network_policies[i]->key, op->rule_name) == 0) {
			list_drop(&m->network_policies, &m->n_network_policies, i);
			return CV_OK;
		}
	return refuse(g, "there is no rule '%s'", op ? op->rule_name : "");
}

static cv_code remove_binary(struct merge *g, const Openshell__V1__RemoveNetworkBinary *op)
{
	entry_t *e = op ? entry_find(g->m, op->rule_name) : NULL;
	size_t at = 0;

	if (!e)
		return refuse(g, "there is no rule '%s'", op ? op->rule_name : "");
	while (at < e->value->n_binaries &&
		strcmp(e->value->binaries[at]->path, op->binary_path) != 0)
		at++;
	if (at == e->value->n_binaries)
		return refuse(g, "rule '%s' does not name the binary '%s'", op->rule_name,
			op->binary_path);
	list_drop(&e->value->binaries, &e->value->n_binaries, at);
	if (!e->value->n_binaries) { /* a rule without binaries could be read as for all of them */
		const Openshell__V1__RemoveNetworkRule all = { .rule_name = op->rule_name };

		return remove_rule(g, &all);
	}
	return CV_OK;
}

/* ---- rules of an endpoint ---- */

/* The only endpoint of that host and port, which must have rules, and no other port. */
static cv_code endpoint_only(struct merge *g, const char *host, uint32_t port, endpoint_t **ret)
{
	endpoint_t *found = NULL;
	const char *where = "";

	for (size_t i = 0; i < g->m->n_network_policies; i++) {
		const rule_t *r = g->m->network_policies[i]->value;

		for (size_t k = 0; k < r->n_endpoints; k++) {
			if (!cv_endpoint_is_host(r->endpoints[k], host) ||
				!cv_endpoint_has_port(r->endpoints[k], port))
				continue;
			if (found)
				return refuse(g,
					"%s:%u is in more than one endpoint (rules '%s' and '%s'); "
					"which one is meant?",
					host, port, where, g->m->network_policies[i]->key);
			found = r->endpoints[k];
			where = g->m->network_policies[i]->key;
		}
	}
	if (!found)
		return refuse(g, "no rule has the endpoint %s:%u", host, port);
	if (!found->protocol[0] || strcmp(found->protocol, "tcp") == 0)
		return refuse(g, "endpoint %s:%u of rule '%s' is not inspected, so it has no rules",
			host, port, where);
	if (found->n_ports != 1)
		return refuse(g,
			"the endpoint of rule '%s' has more ports than %u, whose rules "
			"would change too; give the port an endpoint of its own",
			where, port);
	*ret = found;
	return CV_OK;
}

static cv_code add_deny_rules(struct merge *g, const Openshell__V1__AddDenyRules *op)
{
	endpoint_t *e;

	if (!op || !op->n_deny_rules)
		return refuse(g, "add_deny_rules needs at least one rule");
	const cv_code code = endpoint_only(g, op->host, op->port, &e);
	if (code != CV_OK)
		return code;
	for (size_t i = 0; i < op->n_deny_rules; i++)
		if (!cv_pb_has((void *const *)e->deny_rules, e->n_deny_rules, op->deny_rules[i]) &&
			!list_add(g, &e->deny_rules, &e->n_deny_rules, op->deny_rules[i]))
			return no_memory(g);
	return CV_OK;
}

/* access excludes rules, so it is written out as what it stands for (openshell-behaviour 3.5). */
static cv_code access_expand(struct merge *g, endpoint_t *e)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH" };
	static char none[1];
	const size_t n = strcmp(e->access, "read-only") == 0 ? 3 : CV_ARRAY_LEN(methods);

	if (strcmp(e->protocol, "rest") != 0)
		return refuse(g,
			"endpoint %s:%u has access '%s', which can't be extended by rules "
			"on protocol %s",
			e->host, e->port, e->access, e->protocol);
	for (size_t i = 0; i < n; i++) {
		PB(L7Rule) *r = cv_arena_new(g->arena, PB(L7Rule));
		PB(L7Allow) *allow = cv_arena_new(g->arena, PB(L7Allow));

		if (!r || !allow)
			return no_memory(g);
		openshell__sandbox__v1__l7_rule__init(r);
		openshell__sandbox__v1__l7_allow__init(allow);
		r->allow = allow;
		allow->method = (char *)(uintptr_t)methods[i];
		allow->path = (char *)(uintptr_t) "**";
		if (!list_add(g, &e->rules, &e->n_rules, r))
			return no_memory(g);
	}
	e->access = none;
	return CV_OK;
}

static cv_code add_allow_rules(struct merge *g, const Openshell__V1__AddAllowRules *op)
{
	endpoint_t *e;
	cv_code code;

	if (!op || !op->n_rules)
		return refuse(g, "add_allow_rules needs at least one rule");
	code = endpoint_only(g, op->host, op->port, &e);
	if (code != CV_OK)
		return code;
	if (strcmp(e->access, "full") == 0)
		return CV_OK; /* all of them are allowed */
	if (e->access[0])
		code = access_expand(g, e);
	for (size_t i = 0; code == CV_OK && i < op->n_rules; i++)
		if (!cv_pb_has((void *const *)e->rules, e->n_rules, op->rules[i]) &&
			!list_add(g, &e->rules, &e->n_rules, op->rules[i]))
			code = no_memory(g);
	return code;
}

/* ---- all of them ---- */

static cv_code apply(struct merge *g, const Openshell__V1__PolicyMergeOperation *op)
{
	switch ((int)op->operation_case) { /* protoc-c adds a value of its own */
	case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_RULE:
		return add_rule(g, op->add_rule);
	case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_ENDPOINT:
		return remove_endpoint(g, op->remove_endpoint);
	case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_RULE:
		return remove_rule(g, op->remove_rule);
	case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_DENY_RULES:
		return add_deny_rules(g, op->add_deny_rules);
	case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_ALLOW_RULES:
		return add_allow_rules(g, op->add_allow_rules);
	case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_BINARY:
		return remove_binary(g, op->remove_binary);
	case OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION__NOT_SET:
	default: return refuse(g, "says nothing that this gateway knows");
	}
}

cv_code cv_policy_merge(const cv_policy_pb *base, Openshell__V1__PolicyMergeOperation *const *ops,
	size_t n, struct cv_arena *arena, cv_policy_pb **ret, struct cv_err *err)
{
	struct merge g = { .arena = arena, .err = err };
	cv_code code = CV_OK;

	if (n > CV_POLICY_MERGE_OPERATIONS_MAX)
		return cv_fail(err, CV_INVALID, "merge_operations exceeds maximum count (%zu > %d)",
			n, CV_POLICY_MERGE_OPERATIONS_MAX);
	g.m = (cv_policy_pb *)cv_pb_arena_copy(&base->base, arena);
	if (!g.m)
		return no_memory(&g);
	for (g.op = 0; code == CV_OK && g.op < n; g.op++)
		code = apply(&g, ops[g.op]);
	if (code != CV_OK)
		return code;
	if (arena->is_overflown)
		return no_memory(&g);
	return cv_policy_pb_canonical(g.m, arena, ret, err);
}
