/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.c - how far each entry came; see explain.h
 *
 * The verdict is cv_policy_decide()'s.  Here every endpoint is asked the same questions in the
 * same order (host, port, binary, selector, then for each rule method, path and query) with the
 * same predicates, and the first "no" is told.  Linear in the size of the policy.
 *
 * Texts hold names from the policy and from the facts as they are: whoever prints them escapes.
 */
#include "policy/explain.h"

#include "base/assert.h"
#include "policy/destination.h"
#include "policy/snapshot_int.h"

/* ---- how far an endpoint came ---- */

struct probe {
	const struct cv_policy *p;
	const struct cv_facts *facts;
	struct cv_rule_facts rule_facts;
	struct cv_arena *arena;
	bool is_inspected; /* an L7 endpoint counts, so others don't speak of requests */
};

static struct probe probe_of(
	const struct cv_policy *p, const struct cv_facts *facts, struct cv_arena *arena)
{
	return (struct probe){ p, facts,
		{ facts->method, facts->path, facts->query, cv_method_of(facts->method) }, arena,
		false };
}

static bool names_host(const struct cv_endpoint *ep, const struct cv_facts *f)
{
	if (!cv_host_is_plain(f->host, f->host_is_ip))
		return false;
	switch (ep->host_kind) {
	case CV_HOST_EXACT: return cv_str_eq(ep->host, f->host);
	case CV_HOST_PATTERN: return !f->host_is_ip && cv_glob_match(ep->glob, f->host);
	case CV_HOST_ANY: return true;
	}
	return false;
}

static bool names_port(const struct cv_endpoint *ep, const struct cv_facts *f)
{
	for (size_t i = 0; i < ep->source->port_count; i++)
		if (f->port != CV_HOST_PORT_ALL && ep->source->ports[i] == f->port)
			return true;
	return false;
}

static bool counts(const struct probe *q, const struct cv_endpoint *ep)
{
	return names_host(ep, q->facts) && names_port(ep, q->facts) &&
	       cv_binaries_have_who(&q->p->entries[ep->entry].binaries, &q->facts->who);
}

static bool is_inspected(const struct probe *q)
{
	for (uint32_t e = 0; e < q->p->endpoint_count; e++)
		if (q->p->endpoints[e].is_l7 && counts(q, &q->p->endpoints[e]))
			return true;
	return false;
}

/* A whole-pattern match of its own: where the rule stands in the tree says nothing alone. */
static bool rule_path_matches(const struct probe *q, const struct cv_rule *rule)
{
	struct cv_arena scratch;
	const struct cv_glob *glob = NULL;

	if (rule->is_malformed)
		return rule->is_deny;
	cv_arena_init(&scratch, CV_POLICY_SNAPSHOT_BYTES_MAX);
	const bool is_match =
		cv_glob_compile(rule->path, CV_GLOB_PATH, &scratch, &glob, NULL) == CV_OK &&
		cv_glob_match(glob, q->facts->path);
	cv_arena_fini(&scratch);
	return is_match;
}

static enum cv_miss rule_miss(const struct probe *q, const struct cv_rule *rule)
{
	if (!cv_rule_method_matches(rule, &q->rule_facts))
		return CV_MISS_METHOD;
	if (!rule_path_matches(q, rule))
		return CV_MISS_PATH;
	if (!cv_rule_query_matches(rule, q->facts->query))
		return CV_MISS_QUERY;
	return CV_MISS_NONE;
}

/* The rule that came furthest, or the first deny that fired. */
static enum cv_miss rules_miss(
	const struct probe *q, const struct cv_endpoint *ep, const struct cv_rule **ret_rule)
{
	enum cv_miss best = CV_MISS_METHOD;

	*ret_rule = NULL;
	if (cv_access_allows(ep, &q->rule_facts))
		best = CV_MISS_NONE;
	for (uint32_t i = 0; i < ep->rule_count; i++) {
		const struct cv_rule *rule = &q->p->paths.rules[ep->first_rule + i];
		const enum cv_miss miss = rule_miss(q, rule);

		if (rule->is_deny && miss == CV_MISS_NONE) {
			*ret_rule = rule;
			return CV_MISS_DENIED;
		}
		if (!rule->is_deny &&
			(miss > best || (!*ret_rule && miss == best && !ep->access_methods))) {
			best = miss;
			*ret_rule = rule;
		}
	}
	return best;
}

static enum cv_miss endpoint_miss(
	const struct probe *q, const struct cv_endpoint *ep, const struct cv_rule **ret_rule)
{
	*ret_rule = NULL;
	if (!names_host(ep, q->facts))
		return CV_MISS_HOST;
	if (!names_port(ep, q->facts))
		return CV_MISS_PORT;
	if (!cv_binaries_have_who(&q->p->entries[ep->entry].binaries, &q->facts->who))
		return CV_MISS_BINARY;
	if (q->facts->op == CV_OP_CONNECT || !q->is_inspected)
		return ep->is_enforceable ? CV_MISS_NONE : CV_MISS_DENIED;
	if (!ep->is_l7 || !cv_endpoint_speaks_of(ep, q->rule_facts.method_id) ||
		!cv_selector_matches(&ep->selector, q->facts->path))
		return CV_MISS_PATH_SELECTOR;
	if (!ep->is_enforceable)
		return CV_MISS_DENIED;
	return rules_miss(q, ep, ret_rule);
}

/* ---- in words ---- */

static struct cv_str exe_of(const struct cv_facts *f)
{
	return f->who.is_known ? f->who.exe : CV_STR("(unknown)");
}

static struct cv_str port_text(const struct probe *q, const struct cv_endpoint *ep)
{
	struct cv_str list = CV_STR("none");

	for (size_t i = 0; i < ep->source->port_count && i < 8; i++)
		list = i ? cv_arena_printf(
				   q->arena, "%.*s, %u", CV_STR_ARG(list), ep->source->ports[i])
			 : cv_arena_printf(q->arena, "%u", ep->source->ports[i]);
	return list;
}

/* An allow rule that can't match is not in the snapshot: the document has it. */
static struct cv_str lost_rule_text(const struct probe *q, const struct cv_endpoint *ep)
{
	const struct cv_policy_rule *r = ep->source->rules.v;

	return r->path.s.n ? cv_arena_printf(q->arena, "rules[0]: its path '%.*s' is no pattern",
				     CV_STR_ARG(r->path.s))
			   : cv_arena_printf(q->arena,
				     "rules[0] has no path, so it allows nothing; \"/**\" is any");
}

static struct cv_str access_text(const struct probe *q, const struct cv_endpoint *ep)
{
	if (ep->access_methods == 0 && !ep->is_postgres && ep->source->rules.n)
		return lost_rule_text(q, ep);
	if (ep->access_methods == 0 && !ep->is_postgres)
		return cv_arena_printf(q->arena, "no rule and no preset allows a request");
	return cv_arena_printf(q->arena, "access '%.*s' does not include %.*s",
		CV_STR_ARG(ep->source->access_text.s), CV_STR_ARG(q->facts->method));
}

static struct cv_str rule_text(const struct probe *q, const struct cv_rule *rule, enum cv_miss miss)
{
	const char *why = !rule->method.n          ? "it has no method, so it matches none"
			  : miss == CV_MISS_METHOD ? "the method is another"
			  : miss == CV_MISS_PATH   ? "the path does not match"
						   : "the query does not match";

	return cv_arena_printf(q->arena, "rule %.*s %.*s: %s", CV_STR_ARG(rule->method),
		CV_STR_ARG(rule->path), why);
}

static struct cv_str miss_text(const struct probe *q, const struct cv_endpoint *ep,
	const struct cv_rule *rule, enum cv_miss miss)
{
	const struct cv_facts *f = q->facts;
	const struct cv_entry *entry = &q->p->entries[ep->entry];

	switch (miss) {
	case CV_MISS_HOST:
		return cv_arena_printf(q->arena, "host '%.*s' does not match '%.*s'",
			CV_STR_ARG(ep->source->host.s), CV_STR_ARG(f->host));
	case CV_MISS_PORT: {
		const struct cv_str ports = port_text(q, ep);

		return cv_arena_printf(
			q->arena, "port %u is not among %.*s", f->port, CV_STR_ARG(ports));
	}
	case CV_MISS_BINARY:
		if (!f->who.is_known)
			return cv_arena_printf(q->arena, "nobody knows which program is asking");
		if (entry->binaries.exact_count + entry->binaries.glob_count == 0)
			return cv_arena_printf(q->arena, "it has no binaries, so it allows none");
		return cv_arena_printf(q->arena,
			"neither binary '%.*s' nor an ancestor of it is listed",
			CV_STR_ARG(exe_of(f)));
	case CV_MISS_PATH_SELECTOR:
		if (!ep->is_l7)
			return cv_arena_printf(q->arena,
				"it has no protocol, and another endpoint inspects requests");
		if (!cv_endpoint_speaks_of(ep, q->rule_facts.method_id))
			return cv_arena_printf(q->arena,
				"its protocol '%.*s' says nothing about WebSocket messages",
				CV_STR_ARG(ep->source->protocol_text.s));
		return cv_arena_printf(q->arena, "its path '%.*s' does not select '%.*s'",
			CV_STR_ARG(ep->source->path.s), CV_STR_ARG(f->path));
	case CV_MISS_METHOD:
	case CV_MISS_PATH:
	case CV_MISS_QUERY: return rule ? rule_text(q, rule, miss) : access_text(q, ep);
	case CV_MISS_DENIED:
		if (!rule)
			return cv_arena_printf(q->arena,
				"its protocol '%.*s' can't be enforced yet",
				CV_STR_ARG(ep->source->protocol_text.s));
		return cv_arena_printf(q->arena, "deny rule %.*s %.*s fires",
			CV_STR_ARG(rule->method), CV_STR_ARG(rule->path));
	case CV_MISS_NONE: return cv_arena_printf(q->arena, "it allows this");
	}
	cv_unreachable();
}

/* Keeps the nearest max rows in order; among equals, what came first stays first. */
static size_t row_insert(
	struct cv_near_miss *rows, size_t n, size_t max, const struct cv_near_miss *row)
{
	size_t at = n;

	while (at > 0 && rows[at - 1].miss < row->miss)
		at--;
	if (at == max)
		return n;
	n = CV_MIN(n + 1, max);
	memmove(rows + at + 1, rows + at, (n - at - 1) * sizeof(*rows));
	rows[at] = *row;
	return n;
}

size_t cv_policy_near_misses(const struct cv_policy *policy, const struct cv_facts *facts,
	struct cv_arena *arena, struct cv_near_miss *ret, size_t max)
{
	struct probe q = probe_of(policy, facts, arena);
	const struct cv_rule *rule;
	size_t n = 0;

	q.is_inspected = is_inspected(&q);
	for (uint32_t e = 0; e < policy->endpoint_count; e++) {
		const struct cv_endpoint *ep = &policy->endpoints[e];
		const enum cv_miss miss = endpoint_miss(&q, ep, &rule);

		/* The text is written when the row is sure to stay; till then `rule` holds the
		 * snapshot's number, and `entry` the endpoint's. */
		const struct cv_near_miss row = { .entry = e,
			.miss = miss,
			.rule = rule ? (uint32_t)(rule - policy->paths.rules) : CV_POLICY_NONE };
		n = row_insert(ret, n, max, &row);
	}
	for (size_t i = 0; i < n; i++) {
		const struct cv_endpoint *ep = &policy->endpoints[ret[i].entry];

		rule = ret[i].rule == CV_POLICY_NONE ? NULL : &policy->paths.rules[ret[i].rule];
		ret[i] = (struct cv_near_miss){
			.entry = policy->entries[ep->entry].index,
			.endpoint = ep->index,
			.rule = rule ? rule->index : CV_POLICY_NONE,
			.line = rule ? rule->source->pos.line : ep->source->pos.line,
			.miss = ret[i].miss,
			.text = miss_text(&q, ep, rule, ret[i].miss),
		};
	}
	return n;
}

/* ---- the reason of a denial ---- */

static struct cv_str basename_of(struct cv_str path)
{
	const size_t slash = cv_str_rfind_byte(path, '/');

	return slash < path.n ? cv_str_slice(path, slash + 1, path.n) : path;
}

/* python3 in the policy, python3.11 running: most likely a symlink that nobody resolved. */
static bool may_be_symlink(const struct cv_entry *entry, struct cv_str exe)
{
	for (uint32_t i = 0; i < entry->binaries.exact_count; i++) {
		const struct cv_str name = basename_of(entry->binaries.exact[i]);

		if (name.n && cv_str_has_prefix(basename_of(exe), name))
			return true;
	}
	return false;
}

static struct cv_str ancestors_text(const struct cv_facts *f, struct cv_arena *arena)
{
	struct cv_str list = CV_STR("");

	for (size_t i = 0; i < f->who.ancestor_count; i++)
		list = cv_arena_printf(arena, "%.*s%s%.*s", CV_STR_ARG(list), i ? " -> " : "",
			CV_STR_ARG(f->who.ancestors[i]));
	return list;
}

/* One clause for each entry that has the host and port, in the order of their names. */
static struct cv_str binary_text(const struct probe *q)
{
	const struct cv_str ancestors = ancestors_text(q->facts, q->arena);
	struct cv_str text = CV_STR("");
	uint32_t last = CV_POLICY_NONE;

	for (uint32_t e = 0; e < q->p->endpoint_count; e++) {
		const struct cv_endpoint *ep = &q->p->endpoints[e];
		const struct cv_entry *entry = &q->p->entries[ep->entry];

		if (ep->entry == last || !names_host(ep, q->facts) || !names_port(ep, q->facts))
			continue;
		last = ep->entry;
		text = cv_arena_printf(q->arena,
			"%.*s%sbinary '%.*s' not allowed in policy '%.*s' "
			"(ancestors: [%.*s], cmdline: [])%s",
			CV_STR_ARG(text), text.n ? "; " : "", CV_STR_ARG(exe_of(q->facts)),
			CV_STR_ARG(entry->source->name), CV_STR_ARG(ancestors),
			may_be_symlink(entry, exe_of(q->facts))
				? ". SYMLINK HINT: a listed binary may be a symlink to this one; "
				  "list the file that it leads to"
				: "");
	}
	return text;
}

struct cv_str cv_policy_denial_text(const struct cv_policy *policy, const struct cv_facts *facts,
	const struct cv_verdict *verdict, struct cv_arena *arena)
{
	const struct probe q = probe_of(policy, facts, arena);
	const struct cv_str name = cv_policy_entry_name(policy, verdict->entry);
	char reason[CV_POLICY_DESTINATION_BYTES_MAX];

	switch (verdict->reason) {
	case CV_REASON_NO_POLICY: return CV_STR("network connections not allowed by policy");
	case CV_REASON_NO_ENDPOINT:
		return cv_arena_printf(arena, "endpoint %.*s:%u is not allowed by any policy",
			CV_STR_ARG(facts->host), facts->port);
	case CV_REASON_BINARY: return binary_text(&q);
	case CV_REASON_IDENTITY_UNKNOWN:
		return cv_arena_printf(arena,
			"process identity for %.*s:%u could not be established",
			CV_STR_ARG(facts->host), facts->port);
	case CV_REASON_IDENTITY_CHANGED:
		return cv_arena_printf(
			arena, "binary integrity check failed: %.*s", CV_STR_ARG(exe_of(facts)));
	case CV_REASON_NO_PATH_ENDPOINT:
		return cv_arena_printf(arena, "%.*s %.*s:%u%.*s did not match an L7 endpoint path",
			CV_STR_ARG(facts->method), CV_STR_ARG(facts->host), facts->port,
			CV_STR_ARG(facts->path));
	case CV_REASON_NO_RULE:
		return cv_arena_printf(arena, "%.*s %.*s not permitted by policy",
			CV_STR_ARG(facts->method), CV_STR_ARG(facts->path));
	case CV_REASON_DENY_RULE:
		return cv_arena_printf(arena, "%.*s %.*s blocked by deny rule",
			CV_STR_ARG(facts->method), CV_STR_ARG(facts->path));
	case CV_REASON_UNENFORCEABLE:
		return cv_arena_printf(arena,
			"policy '%.*s' asks for a protocol at %.*s:%u that can't be enforced yet",
			CV_STR_ARG(name), CV_STR_ARG(facts->host), facts->port);
	case CV_REASON_ENCODED_SLASH:
		return cv_arena_printf(arena,
			"%.*s %.*s has an encoded slash, which policy '%.*s' does not allow",
			CV_STR_ARG(facts->method), CV_STR_ARG(facts->path), CV_STR_ARG(name));
	case CV_REASON_DESTINATION:
		cv_policy_destination_text(policy, facts, verdict, reason, sizeof(reason));
		return cv_arena_printf(arena, "%s", reason);
	case CV_REASON_NONE: return CV_STR("allowed");
	case CV_REASON_NO_TOOL: /* those of cv_policy_tool_denial_text() */
	case CV_REASON_TOOL_ARGUMENTS:
	case CV_REASON_COUNT: break;
	}
	cv_unreachable();
}

/* ---- what would have been allowed ---- */

struct allowed {
	struct cv_allowed_row *rows;
	size_t n, max;
};

static void allowed_add(struct allowed *a, struct cv_str method, struct cv_str path,
	const struct cv_policy_rule *rule)
{
	const struct cv_allowed_row row = { method, path, rule && rule->query_count ? rule : NULL };

	for (size_t i = 0; i < a->n; i++)
		if (cv_str_eq(a->rows[i].method, method) && cv_str_eq(a->rows[i].path, path) &&
			a->rows[i].rule == row.rule)
			return;
	if (a->n < a->max)
		a->rows[a->n++] = row;
}

static void matcher_put(const struct cv_policy_matcher *m, struct cv_buf *out)
{
	cv_buf_printf(out, "\"");
	cv_buf_put_json(out, m->key.s);
	cv_buf_printf(out, m->is_any ? "\":[" : "\":");
	for (size_t i = 0; i < m->globs.n; i++) {
		cv_buf_printf(out, i ? ",\"" : "\"");
		cv_buf_put_json(out, m->globs.v[i].s);
		cv_buf_printf(out, "\"");
	}
	if (m->is_any)
		cv_buf_printf(out, "]");
}

void cv_policy_query_put(const struct cv_policy_rule *rule, struct cv_buf *out)
{
	for (size_t i = 0; i < rule->query_count; i++) {
		cv_buf_printf(out, i ? "," : "{");
		matcher_put(&rule->query[i], out);
	}
	cv_buf_printf(out, "}");
}

void cv_policy_allowed_put(const struct cv_allowed_row *row, struct cv_buf *out)
{
	cv_buf_printf(out, "{");
	cv_buf_put_json_member(out, "method", row->method);
	cv_buf_printf(out, ",");
	cv_buf_put_json_member(out, "path", row->path);
	if (row->rule) {
		cv_buf_printf(out, ",\"query\":");
		cv_policy_query_put(row->rule, out);
	}
	cv_buf_printf(out, "}");
}

static void preset_add(struct allowed *a, const struct cv_endpoint *ep)
{
#define METHOD_NAME(name) CV_STR(#name),
	static const struct cv_str names[] = { CV_METHODS(METHOD_NAME) };
#undef METHOD_NAME
	const struct cv_str path = ep->source->path.s.n ? ep->source->path.s : CV_STR("/**");

	if (ep->is_postgres && ep->pg_level < CV_PG_FULL) {
		for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++)
			if (cv_pg_command_row((enum cv_pg_command)i)->level <= ep->pg_level)
				allowed_add(a, cv_pg_command_row((enum cv_pg_command)i)->name, path,
					NULL);
		return;
	}
	if (ep->is_postgres || ep->access_methods == CV_METHOD_BITS_ALL) {
		allowed_add(a, CV_STR("*"), path, NULL);
		return;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (ep->access_methods & 1u << i)
			allowed_add(a, names[i], path, NULL);
}

size_t cv_policy_allowed(const struct cv_policy *policy, const struct cv_facts *facts,
	struct cv_arena *arena, struct cv_allowed_row *ret, size_t max)
{
	const struct probe q = probe_of(policy, facts, arena);
	struct allowed a = { ret, 0, max };

	for (uint32_t e = 0; e < policy->endpoint_count; e++) {
		const struct cv_endpoint *ep = &policy->endpoints[e];

		if (!ep->is_l7 || !ep->is_enforceable || !counts(&q, ep))
			continue;
		preset_add(&a, ep);
		for (uint32_t i = 0; i < ep->rule_count; i++) {
			const struct cv_rule *rule = &policy->paths.rules[ep->first_rule + i];

			if (!rule->is_deny)
				allowed_add(&a, rule->method, rule->path, rule->source);
		}
	}
	return a.n;
}
