/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - the decision
 *
 * One pass over the endpoints that name the host and port, and a conclusion from what was seen.
 *
 *   1. An entry counts when one of its endpoints names host and port and one of its binaries is
 *      the executable or an ancestor.  No such endpoint: NO_ENDPOINT.  No such binary: BINARY, or
 *      IDENTITY_UNKNOWN when nobody knows who is asking.  An entry without binaries never counts.
 *   2. CONNECT is allowed when an entry counts.
 *   3. REQUEST, where none of the endpoints that count is for L7, is allowed like the connection.
 *      Otherwise only L7 endpoints whose path selector matches speak: none is NO_PATH_ENDPOINT;
 *      a deny rule of any of them denies; an allow rule or preset of one of them allows.
 *      Of messages inside a WebSocket (method WEBSOCKET_TEXT) only websocket endpoints speak.
 *   4. The endpoint with the most specific selector says whether a denial by rules is enforced,
 *      only logged, or (where no deny rule fired) put before a person, and whether an upgrade to
 *      WebSocket may follow.
 *
 * Where endpoints that count disagree about the connection (validation refuses that), what
 * tightens needs one of them and what loosens needs all: one L7 endpoint makes the proxy inspect,
 * TLS is skipped, bytes are raw, and HTTP/2 may be spoken without TLS, only if all say so.
 * allowed_ips come from the endpoint that names the host most exactly.
 *
 * Ties go to the entry whose name sorts first, then to the order written.
 */
#include "base/assert.h"
#include "policy/snapshot_int.h"

const char *cv_reason_code(enum cv_reason reason)
{
#define REASON_CODE(name, code) [CV_REASON_##name] = code,
	static const char *const codes[] = { CV_REASONS(REASON_CODE) };
#undef REASON_CODE

	cv_assert(reason < CV_REASON_COUNT);
	return codes[reason];
}

bool cv_binaries_have(const struct cv_binaries *binaries, struct cv_str path)
{
	for (uint32_t i = 0; i < binaries->exact_count; i++)
		if (cv_str_eq(binaries->exact[i], path))
			return true;
	for (uint32_t i = 0; i < binaries->glob_count; i++)
		if (cv_glob_match(binaries->globs[i], path))
			return true;
	return false;
}

bool cv_binaries_have_who(const struct cv_binaries *binaries, const struct cv_facts_who *who)
{
	bool is_found = who->is_known && cv_binaries_have(binaries, who->exe);

	for (size_t i = 0; who->is_known && i < who->ancestor_count && !is_found; i++)
		is_found = cv_binaries_have(binaries, who->ancestors[i]);
	return is_found;
}

/* What the pass has seen; CV_POLICY_NONE or the smallest index that fits, unless said otherwise. */
struct tally {
	uint32_t named;    /* endpoint with host and port, whoever asks */
	uint32_t counts;   /* endpoint whose entry counts */
	uint32_t settings; /* of those, the one that rules the connection */
	/* of those that count */
	uint32_t l7, enforceable_l7, not_skip, not_tcp, not_h2c, declared, encoded_slash, postgres;
	/* of the L7 ones, whose selector matches */
	uint32_t speaker; /* the most specific */
	uint32_t unenforceable;
	uint32_t allow, deny;
	const struct cv_rule *allow_rule, *deny_rule; /* NULL with allow: a preset */
	/* the entry asked last, since its endpoints come together */
	uint32_t entry;
	bool entry_has_who;
};

static void keep_first(uint32_t *slot, uint32_t e)
{
	if (e < *slot)
		*slot = e;
}

static bool entry_counts(
	struct tally *t, const struct cv_policy *p, uint32_t entry, const struct cv_facts_who *who)
{
	if (t->entry != entry) {
		t->entry = entry;
		t->entry_has_who = cv_binaries_have_who(&p->entries[entry].binaries, who);
	}
	return t->entry_has_who;
}

/* Does a come before b as the one that rules the connection? */
static bool settings_before(const struct cv_policy *p, uint32_t a, uint32_t b)
{
	const struct cv_endpoint *x = &p->endpoints[a];
	const struct cv_endpoint *y = b == CV_POLICY_NONE ? NULL : &p->endpoints[b];

	if (!y || x->host_kind != y->host_kind)
		return !y || x->host_kind < y->host_kind;
	if (x->has_ips != y->has_ips)
		return x->has_ips;
	return a < b;
}

static void connection_tally(struct tally *t, const struct cv_policy *p, uint32_t e)
{
	const struct cv_endpoint *ep = &p->endpoints[e];

	keep_first(&t->counts, e);
	if (settings_before(p, e, t->settings))
		t->settings = e;
	if (ep->is_l7)
		keep_first(&t->l7, e);
	if (ep->is_l7 && ep->is_enforceable)
		keep_first(&t->enforceable_l7, e);
	if (ep->is_postgres)
		keep_first(&t->postgres, e);
	if (!ep->is_skip)
		keep_first(&t->not_skip, e);
	if (!ep->is_tcp)
		keep_first(&t->not_tcp, e);
	if (!ep->source->h2c)
		keep_first(&t->not_h2c, e);
	if (ep->host_kind == CV_HOST_EXACT)
		keep_first(&t->declared, e);
	if (ep->keeps_slash)
		keep_first(&t->encoded_slash, e);
}

static void request_tally(
	struct tally *t, const struct cv_policy *p, uint32_t e, const struct cv_rule_facts *facts)
{
	const struct cv_endpoint *ep = &p->endpoints[e];
	struct cv_rule_hits hits;

	if (!ep->is_l7 || !cv_endpoint_speaks_of(ep, facts->method_id) ||
		!cv_selector_matches(&ep->selector, facts->path))
		return;
	if (!ep->is_enforceable)
		keep_first(&t->unenforceable, e);
	const uint32_t most =
		t->speaker == CV_POLICY_NONE ? 0 : p->endpoints[t->speaker].specificity;
	if (t->speaker == CV_POLICY_NONE || ep->specificity > most ||
		(ep->specificity == most && e < t->speaker))
		t->speaker = e;
	cv_paths_search(&p->paths, ep->root, facts, &hits);
	if (hits.deny && e < t->deny) {
		t->deny = e;
		t->deny_rule = hits.deny;
	}
	if ((hits.allow || cv_access_allows(ep, facts)) && e < t->allow) {
		t->allow = e;
		t->allow_rule = hits.allow;
	}
}

static void tally_all(struct tally *t, const struct cv_policy *p, const struct cv_facts *facts)
{
	const struct cv_rule_facts rule_facts = { facts->method, facts->path, facts->query,
		cv_method_of(facts->method) };
	struct cv_host_iter it;
	uint32_t e;

	cv_host_start(&it, &p->hosts, facts->host, facts->host_is_ip, facts->port);
	while ((e = cv_host_next(&it)) != CV_MAP_NONE) {
		keep_first(&t->named, e);
		if (!entry_counts(t, p, p->endpoints[e].entry, &facts->who))
			continue;
		connection_tally(t, p, e);
		if (facts->op == CV_OP_REQUEST)
			request_tally(t, p, e, &rule_facts);
	}
}

static bool has_encoded_slash(struct cv_str path)
{
	for (size_t i = 0; i + 2 < path.n; i++)
		if (path.p[i] == '%' && path.p[i + 1] == '2' && (path.p[i + 2] | 0x20) == 'f')
			return true;
	return false;
}

static uint32_t obligations_of(
	const struct tally *t, const struct cv_policy *p, const struct cv_facts *facts)
{
	const bool keeps_slash =
		facts->op == CV_OP_CONNECT
			? t->encoded_slash != CV_POLICY_NONE
			: t->speaker != CV_POLICY_NONE && p->endpoints[t->speaker].keeps_slash;

	const bool is_websocket =
		t->speaker != CV_POLICY_NONE && p->endpoints[t->speaker].is_websocket;

	return (t->l7 != CV_POLICY_NONE ? CV_OBLIGE_INSPECT : 0) |
	       (is_websocket ? CV_OBLIGE_WEBSOCKET : 0) |
	       (t->not_skip == CV_POLICY_NONE ? CV_OBLIGE_TLS_SKIP : 0) |
	       (keeps_slash ? CV_OBLIGE_ENCODED_SLASH : 0) |
	       (t->declared != CV_POLICY_NONE ? CV_OBLIGE_DECLARED_HOST : 0) |
	       (p->endpoints[t->settings].has_ips ? CV_OBLIGE_ALLOWED_IPS : 0) |
	       (t->not_h2c == CV_POLICY_NONE ? CV_OBLIGE_H2C : 0) |
	       (t->not_tcp == CV_POLICY_NONE ? CV_OBLIGE_TCP : 0) |
	       (t->postgres != CV_POLICY_NONE ? CV_OBLIGE_POSTGRES : 0);
}

static struct cv_verdict verdict_of(
	const struct cv_policy *p, enum cv_reason reason, uint32_t e, const struct cv_rule *rule)
{
	struct cv_verdict v = { .action =
					reason == CV_REASON_NONE ? CV_ACTION_ALLOW : CV_ACTION_DENY,
		.reason = reason,
		.entry = CV_POLICY_NONE,
		.endpoint = CV_POLICY_NONE,
		.rule = CV_POLICY_NONE,
		.settings = CV_POLICY_NONE };

	if (e == CV_POLICY_NONE)
		return v;
	const struct cv_endpoint *ep = &p->endpoints[e];
	v.entry = p->entries[ep->entry].index;
	v.endpoint = ep->index;
	v.line = ep->line;
	if (rule) {
		v.rule = rule->index;
		v.line = rule->line;
	}
	return v;
}

static struct cv_verdict conclude_connect(const struct tally *t, const struct cv_policy *p)
{
	if (t->l7 != CV_POLICY_NONE && t->enforceable_l7 == CV_POLICY_NONE)
		return verdict_of(p, CV_REASON_UNENFORCEABLE, t->l7, NULL);
	return verdict_of(p, CV_REASON_NONE, t->counts, NULL);
}

static struct cv_verdict conclude_request(
	const struct tally *t, const struct cv_policy *p, const struct cv_facts *facts)
{
	struct cv_verdict v;

	if (t->l7 == CV_POLICY_NONE)
		return verdict_of(p, CV_REASON_NONE, t->counts, NULL);
	if (t->speaker == CV_POLICY_NONE)
		return verdict_of(p, CV_REASON_NO_PATH_ENDPOINT, t->l7, NULL);
	if (t->unenforceable != CV_POLICY_NONE)
		return verdict_of(p, CV_REASON_UNENFORCEABLE, t->unenforceable, NULL);
	if (has_encoded_slash(facts->path) && !p->endpoints[t->speaker].keeps_slash)
		return verdict_of(p, CV_REASON_ENCODED_SLASH, t->speaker, NULL);
	if (t->deny == CV_POLICY_NONE && t->allow != CV_POLICY_NONE)
		return verdict_of(p, CV_REASON_NONE, t->allow, t->allow_rule);
	v = t->deny != CV_POLICY_NONE ? verdict_of(p, CV_REASON_DENY_RULE, t->deny, t->deny_rule)
				      : verdict_of(p, CV_REASON_NO_RULE, t->speaker, NULL);
	if (p->endpoints[t->speaker].is_audit) {
		v.action = CV_ACTION_ALLOW;
		v.obligations = CV_OBLIGE_LOG_ONLY;
	} else if (p->endpoints[t->speaker].is_approve && v.reason == CV_REASON_NO_RULE) {
		v.action = CV_ACTION_ALLOW;
		v.obligations = CV_OBLIGE_APPROVE;
	}
	return v;
}

struct cv_verdict cv_policy_decide(const struct cv_policy *policy, const struct cv_facts *facts)
{
	struct tally t = { CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE,
		CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE,
		CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE, CV_POLICY_NONE,
		CV_POLICY_NONE, NULL, NULL, CV_POLICY_NONE, false };
	struct cv_verdict v;

	if (policy->endpoint_count == 0)
		return verdict_of(policy, CV_REASON_NO_POLICY, CV_POLICY_NONE, NULL);
	if (facts->port != CV_HOST_PORT_ALL)
		tally_all(&t, policy, facts);
	if (t.named == CV_POLICY_NONE)
		return verdict_of(policy, CV_REASON_NO_ENDPOINT, CV_POLICY_NONE, NULL);
	if (t.counts == CV_POLICY_NONE)
		return verdict_of(policy,
			facts->who.is_known ? CV_REASON_BINARY : CV_REASON_IDENTITY_UNKNOWN,
			t.named, NULL);
	v = facts->op == CV_OP_CONNECT ? conclude_connect(&t, policy)
				       : conclude_request(&t, policy, facts);
	if (v.action == CV_ACTION_ALLOW) {
		v.obligations |= obligations_of(&t, policy, facts);
		v.settings = t.settings;
	}
	return v;
}
