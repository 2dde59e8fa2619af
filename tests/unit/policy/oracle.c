/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.c - the decision, written from the reference's text alone: loops over the document, and
 * the naive glob
 *
 * Shares nothing with src/policy but the model and the verdict.  Slow on purpose: every question
 * is asked anew where it is needed.
 */
#include "unit/policy/oracle.h"

#include "base/assert.h"
#include "base/hex.h"
#include "base/ip.h"
#include "unit/base/naive_glob.h"

#include <stdio.h>

typedef const struct cv_policy_endpoint *ep_t;

static bool has_star(struct cv_str s)
{
	return cv_str_has_byte(s, '*');
}

/* ---- 3.3, 3.6: host ---- */

static bool host_is_bad(const struct cv_facts *f)
{
	if (f->host.n < 1 || f->host.n > 253)
		return true;
	for (size_t i = 0; i < f->host.n; i++) {
		const char c = f->host.p[i];
		const bool dot = c == '.' && (f->host_is_ip || (i && f->host.p[i - 1] != '.'));

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
			!dot && !(f->host_is_ip && c == ':'))
			return true;
	}
	return !f->host_is_ip && f->host.p[f->host.n - 1] == '.';
}

static struct cv_str lower(struct cv_str s, char *buf)
{
	for (size_t i = 0; i < s.n; i++)
		buf[i] = cv_ascii_lower(s.p[i]);
	return (struct cv_str){ buf, s.n };
}

/* 0 exact, 1 pattern, 2 without a host, -1 no match */
static int host_match(ep_t ep, const struct cv_facts *f)
{
	char buf[512], text[CV_IP_TEXT_BYTES];
	struct cv_ip ip;

	if (host_is_bad(f))
		return -1;
	if (ep->host.s.n == 0)
		return ep->allowed_ips.n ? 2 : -1;
	if (cv_ip_parse(ep->host.s, &ip))
		return cv_str_eq(cv_ip_format(&ip, text), f->host) ? 0 : -1;
	const struct cv_str host = lower(ep->host.s, buf);
	if (!has_star(host))
		return cv_str_eq(host, f->host) ? 0 : -1;
	return !f->host_is_ip && naive_glob(host, CV_GLOB_HOST, f->host) == 1 ? 1 : -1;
}

static bool names(ep_t ep, const struct cv_facts *f)
{
	for (size_t i = 0; i < ep->port_count; i++)
		if (f->port && ep->ports[i] == f->port)
			return host_match(ep, f) >= 0;
	return false;
}

/* ---- 3.7: binary ---- */

static bool binary_match(const struct cv_policy_entry *e, const struct cv_facts *f)
{
	for (size_t b = 0; b < e->binary_count && f->who.is_known; b++)
		for (size_t i = 0; i < f->who.ancestor_count + 1; i++) {
			const struct cv_str pattern = e->binaries[b].path.s;
			const struct cv_str path = i ? f->who.ancestors[i - 1] : f->who.exe;

			if (has_star(pattern) ? naive_glob(pattern, CV_GLOB_PATH, path) == 1
					      : cv_str_eq(pattern, path))
				return true;
		}
	return false;
}

/* ---- 3.5: rules ---- */

static bool method_match(struct cv_str rule, struct cv_str method, bool is_deny)
{
	if (rule.n == 0)
		return is_deny;
	return cv_str_eq(rule, CV_STR("*")) || cv_str_eq_nocase(rule, method) ||
	       (cv_str_eq_nocase(rule, CV_STR("GET")) && cv_str_eq_nocase(method, CV_STR("HEAD")));
}

static bool path_match(struct cv_str rule, struct cv_str path, bool is_deny)
{
	if (rule.n == 0)
		return is_deny;
	const int r = naive_glob(rule, CV_GLOB_PATH, path);
	return r < 0 ? is_deny : r == 1;
}

/* Percent and plus decoded into buf; n SIZE_MAX if that can't be. */
static struct cv_str decode(struct cv_str s, char *buf)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned v = (unsigned char)s.p[i];

		if (v == '+')
			v = ' ';
		if (v == '%') {
			if (s.n - i < 3 || cv_hex_digit(s.p[i + 1]) < 0 ||
				cv_hex_digit(s.p[i + 2]) < 0)
				return (struct cv_str){ buf, SIZE_MAX };
			v = (unsigned)(cv_hex_digit(s.p[i + 1]) * 16 + cv_hex_digit(s.p[i + 2]));
			i += 2;
		}
		if (v == 0)
			return (struct cv_str){ buf, SIZE_MAX };
		buf[n++] = (char)v;
	}
	return (struct cv_str){ buf, n };
}

static bool query_match(
	const struct cv_policy_rule *r, struct cv_str query, bool is_deny, const char *separators)
{
	for (size_t m = 0; m < r->query_count; m++) {
		size_t present = 0, matching = 0;

		for (size_t from = 0, at = 0; at <= query.n && query.n; at++) {
			char key_buf[256], value_buf[256];

			if (at < query.n && !strchr(separators, query.p[at]))
				continue;
			struct cv_str value = cv_str_slice(query, from, at);
			from = at + 1;
			if (value.n == 0)
				continue;
			const struct cv_str key = decode(cv_str_cut(&value, '='), key_buf);
			value = decode(value, value_buf);
			if (!cv_str_eq(key, r->query[m].key.s))
				continue;
			present++;
			bool any = false;
			for (size_t g = 0; g < r->query[m].globs.n; g++) {
				const int hit =
					naive_glob(r->query[m].globs.v[g].s, CV_GLOB_TEXT, value);

				any |= hit < 0 ? is_deny : hit == 1;
			}
			matching += any;
		}
		if (present == 0 || (is_deny ? matching == 0 : matching < present))
			return false;
	}
	return true;
}

static bool rule_match(const struct cv_policy_rule *r, const struct cv_facts *f, bool is_deny)
{
	char buf[256];

	if (!method_match(r->method.s, f->method, is_deny) ||
		!path_match(r->path.s, f->path, is_deny))
		return false;
	if (r->query_count == 0)
		return true;
	if (decode(f->query, buf).n == SIZE_MAX)
		return is_deny;
	const bool one = query_match(r, f->query, is_deny, "&");
	const bool two = query_match(r, f->query, is_deny, "&;");
	return is_deny ? one || two : one && two;
}

static uint32_t first_rule(const struct cv_policy_rules *rules, const struct cv_facts *f, bool deny)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rule_match(&rules->v[i], f, deny))
			return (uint32_t)i;
	return CV_POLICY_NONE;
}

static bool is_message(const struct cv_facts *f)
{
	return cv_str_eq_nocase(f->method, CV_STR("WEBSOCKET_TEXT"));
}

static bool access_match(ep_t ep, const struct cv_facts *f)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH" };
	const size_t n = ep->access == CV_ACCESS_READ_ONLY    ? 3
			 : ep->access == CV_ACCESS_READ_WRITE ? 6
							      : 0;

	if (ep->rules.is_present)
		return false;
	if (ep->protocol == CV_PROTOCOL_WEBSOCKET)
		return ep->access != CV_ACCESS_NONE &&
		       (cv_str_eq_nocase(f->method, CV_STR("GET")) ||
			       (is_message(f) && ep->access != CV_ACCESS_READ_ONLY));
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq_nocase(cv_str_of(methods[i]), f->method))
			return true;
	return ep->access == CV_ACCESS_FULL;
}

/* ---- 3.6: the selector ---- */

static bool selector_match(struct cv_str sel, struct cv_str path)
{
	if (sel.n == 0 || cv_str_eq(sel, CV_STR("**")) || cv_str_eq(sel, CV_STR("/**")))
		return true;
	if (cv_str_has_suffix(sel, CV_STR("/**"))) {
		const struct cv_str x = cv_str_slice(sel, 0, sel.n - 3);
		const struct cv_str below = cv_str_slice(sel, 0, sel.n - 2);

		return cv_str_eq(path, x) || cv_str_has_prefix(path, below);
	}
	const int r = naive_glob(sel, CV_GLOB_FLAT, path);
	return r < 0 ? cv_str_eq(sel, path) : r == 1;
}

static size_t specificity(ep_t ep)
{
	size_t n = 0;

	for (size_t i = 0; i < ep->path.s.n; i++)
		n += ep->path.s.p[i] != '*';
	return n;
}

static bool is_l7(ep_t ep)
{
	return ep->protocol != CV_PROTOCOL_L4 && ep->protocol != CV_PROTOCOL_TCP;
}

/* ---- all of it ---- */

struct place { /* an endpoint that names host and port and whose entry has the binary */
	ep_t ep;
	uint32_t entry, endpoint;
};

struct places {
	struct place v[64];
	size_t n;
	struct place named; /* the first that has host and port; ep NULL for none */
};

/* Entries in the order of their names. */
static void places_find(
	const struct cv_policy_doc *doc, const struct cv_facts *f, struct places *ret)
{
	bool done[64] = { false };

	cv_assert(doc->entry_count <= CV_ARRAY_LEN(done));
	for (size_t k = 0; k < doc->entry_count; k++) {
		size_t next = SIZE_MAX;

		for (size_t i = 0; i < doc->entry_count; i++)
			if (!done[i] && (next == SIZE_MAX || cv_str_cmp(doc->entries[i].name,
								     doc->entries[next].name) < 0))
				next = i;
		done[next] = true;
		const struct cv_policy_entry *e = &doc->entries[next];
		for (size_t j = 0; j < e->endpoint_count; j++) {
			const struct place at = { &e->endpoints[j], (uint32_t)next, (uint32_t)j };

			if (!names(at.ep, f))
				continue;
			if (!ret->named.ep)
				ret->named = at;
			if (binary_match(e, f))
				ret->v[ret->n++] = at;
		}
	}
}

static struct cv_verdict say(enum cv_reason reason, const struct place *at, uint32_t rule)
{
	return (struct cv_verdict){ .action = reason ? CV_ACTION_DENY : CV_ACTION_ALLOW,
		.reason = reason,
		.entry = at ? at->entry : CV_POLICY_NONE,
		.endpoint = at ? at->endpoint : CV_POLICY_NONE,
		.rule = rule };
}

static uint32_t connection(const struct places *p, const struct cv_facts *f)
{
	uint32_t o = CV_OBLIGE_TLS_SKIP | CV_OBLIGE_TCP;
	int nearest = 3;

	for (size_t i = 0; i < p->n; i++) {
		ep_t ep = p->v[i].ep;

		if (is_l7(ep))
			o |= CV_OBLIGE_INSPECT;
		if (ep->tls != CV_TLS_SKIP)
			o &= ~(uint32_t)CV_OBLIGE_TLS_SKIP;
		if (ep->protocol != CV_PROTOCOL_TCP)
			o &= ~(uint32_t)CV_OBLIGE_TCP;
		if (host_match(ep, f) == 0)
			o |= CV_OBLIGE_DECLARED_HOST;
		if (ep->allow_encoded_slash && f->op == CV_OP_CONNECT)
			o |= CV_OBLIGE_ENCODED_SLASH;
		nearest = CV_MIN(nearest, host_match(ep, f));
	}
	for (size_t i = 0; i < p->n; i++)
		if (host_match(p->v[i].ep, f) == nearest && p->v[i].ep->allowed_ips.n)
			o |= CV_OBLIGE_ALLOWED_IPS;
	return o;
}

static bool is_built(ep_t ep)
{
	return ep->protocol == CV_PROTOCOL_REST || ep->protocol == CV_PROTOCOL_WEBSOCKET;
}

static bool is_asked(ep_t ep, const struct cv_facts *f)
{
	return is_l7(ep) && (ep->protocol == CV_PROTOCOL_WEBSOCKET || !is_message(f)) &&
	       selector_match(ep->path.s, f->path);
}

static struct cv_verdict request(const struct places *p, const struct cv_facts *f)
{
	const struct place *first_l7 = NULL, *speaker = NULL;
	struct cv_verdict v = say(CV_REASON_NO_RULE, NULL, CV_POLICY_NONE);
	bool is_allowed = false;

	for (size_t i = 0; i < p->n; i++)
		if (is_l7(p->v[i].ep) && !first_l7)
			first_l7 = &p->v[i];
	if (!first_l7)
		return say(CV_REASON_NONE, &p->v[0], CV_POLICY_NONE);
	for (size_t i = 0; i < p->n; i++)
		if (is_asked(p->v[i].ep, f) &&
			(!speaker || specificity(p->v[i].ep) > specificity(speaker->ep)))
			speaker = &p->v[i];
	if (!speaker)
		return say(CV_REASON_NO_PATH_ENDPOINT, first_l7, CV_POLICY_NONE);
	for (size_t i = 0; i < p->n; i++)
		if (is_asked(p->v[i].ep, f) && !is_built(p->v[i].ep))
			return say(CV_REASON_UNENFORCEABLE, &p->v[i], CV_POLICY_NONE);
	if ((memmem(f->path.p, f->path.n, "%2F", 3) || memmem(f->path.p, f->path.n, "%2f", 3)) &&
		!speaker->ep->allow_encoded_slash)
		return say(CV_REASON_ENCODED_SLASH, speaker, CV_POLICY_NONE);
	v = say(CV_REASON_NO_RULE, speaker, CV_POLICY_NONE);
	for (size_t i = p->n; i-- > 0;) {
		ep_t ep = p->v[i].ep;

		if (!is_asked(ep, f))
			continue;
		const uint32_t allow = first_rule(&ep->rules, f, false);
		if (allow != CV_POLICY_NONE || access_match(ep, f)) {
			is_allowed = true;
			v = say(CV_REASON_NONE, &p->v[i], allow);
		}
	}
	for (size_t i = p->n; i-- > 0;) {
		ep_t ep = p->v[i].ep;

		if (!is_asked(ep, f))
			continue;
		const uint32_t deny = first_rule(&ep->deny_rules, f, true);
		if (deny != CV_POLICY_NONE) {
			is_allowed = false;
			v = say(CV_REASON_DENY_RULE, &p->v[i], deny);
		}
	}
	if (!is_allowed && speaker->ep->enforcement == CV_ENFORCEMENT_AUDIT) {
		v.action = CV_ACTION_ALLOW;
		v.obligations |= CV_OBLIGE_LOG_ONLY;
	}
	if (v.reason == CV_REASON_NO_RULE && speaker->ep->enforcement == CV_ENFORCEMENT_APPROVE) {
		v.action = CV_ACTION_ALLOW;
		v.obligations |= CV_OBLIGE_APPROVE;
	}
	if (v.action == CV_ACTION_ALLOW && speaker->ep->allow_encoded_slash)
		v.obligations |= CV_OBLIGE_ENCODED_SLASH;
	if (v.action == CV_ACTION_ALLOW && speaker->ep->protocol == CV_PROTOCOL_WEBSOCKET)
		v.obligations |= CV_OBLIGE_WEBSOCKET;
	return v;
}

struct cv_verdict oracle_decide(const struct cv_policy_doc *doc, const struct cv_facts *f)
{
	struct places p = { .n = 0 };
	struct cv_verdict v;
	size_t endpoints = 0;

	for (size_t i = 0; i < doc->entry_count; i++)
		endpoints += doc->entries[i].endpoint_count;
	if (endpoints == 0)
		return say(CV_REASON_NO_POLICY, NULL, CV_POLICY_NONE);
	places_find(doc, f, &p);
	if (!p.named.ep)
		return say(CV_REASON_NO_ENDPOINT, NULL, CV_POLICY_NONE);
	if (p.n == 0)
		return say(f->who.is_known ? CV_REASON_BINARY : CV_REASON_IDENTITY_UNKNOWN,
			&p.named, CV_POLICY_NONE);
	if (f->op == CV_OP_REQUEST) {
		v = request(&p, f);
	} else {
		const struct place *l7 = NULL;
		bool is_some_built = false;

		for (size_t i = p.n; i-- > 0;)
			if (is_l7(p.v[i].ep)) {
				l7 = &p.v[i];
				is_some_built |= is_built(l7->ep);
			}
		v = l7 && !is_some_built ? say(CV_REASON_UNENFORCEABLE, l7, CV_POLICY_NONE)
					 : say(CV_REASON_NONE, &p.v[0], CV_POLICY_NONE);
	}
	if (v.action == CV_ACTION_ALLOW)
		v.obligations |= connection(&p, f);
	return v;
}
