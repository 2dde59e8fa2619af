/* SPDX-License-Identifier: Apache-2.0 */
/*
 * validate_endpoint.c - one function for each rule of the language about an endpoint's own fields
 *
 * openshell-behaviour 3.3 and 3.4.  What upstream only warns about is a warning here too.
 */
#include "base/hex.h"
#include "base/ip.h"
#include "policy/check_int.h"
#include "policy/destination.h"

#include <stdio.h>

#define LABEL_BYTES_MAX 63 /* RFC 1035 2.3.4 */

static bool is_l7(const struct cv_policy_endpoint *e)
{
	return e->protocol != CV_PROTOCOL_L4 && e->protocol != CV_PROTOCOL_TCP;
}

static bool is_ip_literal(struct cv_str host)
{
	struct cv_ip ip;

	return cv_ip_parse(host, &ip);
}

/* ---- host ---- */

static void check_host_given(struct cv_check *c)
{
	if (c->ep->host.s.n)
		return;
	if (c->ep->protocol == CV_PROTOCOL_TCP || c->ep->protocol == CV_PROTOCOL_MCP)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add the host's name", "protocol %s needs a host",
			cv_policy_protocol_name(c->ep->protocol));
	else if (!c->ep->allowed_ips.n)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add host, or allowed_ips",
			"an endpoint without host needs allowed_ips");
}

static const char *host_fault(struct cv_str h, const char **ret_fix)
{
	*ret_fix = "a host is a name or pattern without scheme, port and path";
	if (h.n > CV_POLICY_HOST_BYTES_MAX)
		return "is longer than a name can be";
	for (size_t i = 0; i < h.n; i++) {
		const unsigned char b = (unsigned char)h.p[i];

		if (b >= 0x80) {
			*ret_fix = "write its A-label form (xn--...), which is what is compared";
			return "is not ASCII";
		}
		if (b <= ' ' || b == '/' || b == '@' || b == 0x7f)
			return "contains a character that no host has";
	}
	if (cv_str_has_byte(h, ':') && !is_ip_literal(h))
		return "contains ':'";
	return NULL;
}

/* Decisions compare addresses, so this would be the IPv4 address; but neither the proxy nor any other
 * program takes it for that one (docs/decisions/0001). */
static void check_host_address(struct cv_check *c)
{
	const struct cv_policy_text *h = &c->ep->host;
	char text[CV_IP_TEXT_BYTES], fix[64 + CV_IP_TEXT_BYTES];
	struct cv_ip ip;

	if (!cv_str_has_byte(h->s, ':') || !cv_ip_parse(h->s, &ip) ||
		(!cv_ip_is_embedding(&ip) && !cv_str_has_byte(h->s, '.')))
		return;
	if (cv_ip_is_embedding(&ip) && !ip.is_v4)
		snprintf(fix, sizeof(fix), "write the IPv4 address that is meant");
	else
		snprintf(fix, sizeof(fix), "write %.*s", CV_STR_ARG(cv_ip_format(&ip, text)));
	CV_CHECK_ERROR(c, h->pos, fix, "host '%.*s' is an IPv6 address with an IPv4 address inside",
		CV_POLICY_QUOTE(h->s));
}

static void check_host_characters(struct cv_check *c)
{
	const char *fix, *fault = host_fault(c->ep->host.s, &fix);

	if (fault)
		CV_CHECK_ERROR(c, c->ep->host.pos, fix, "host '%.*s' %s",
			CV_POLICY_QUOTE(c->ep->host.s), fault);
}

/* Where a * may stand: anywhere in the first label, alone in a middle one; ** alone in the first;
 * and two labels without any must end the pattern... */
static const char *pattern_fault(struct cv_str host)
{
	struct cv_str rest = host;
	size_t label_count = 0;

	for (; rest.p; label_count++) {
		const struct cv_str label = cv_str_cut(&rest, '.');
		const bool is_first = label_count == 0, is_last = !rest.p;
		const bool has_star = cv_str_has_byte(label, '*');
		const bool is_double = cv_str_eq(label, CV_STR("**"));

		if (!label.n && !is_last)
			return "has an empty label";
		if (!has_star)
			continue;
		if (is_first && is_last)
			return "matches every host";
		if (is_last)
			return "has a wildcard in its last label";
		if (!is_double && label.n > 1 && memmem(label.p, label.n, "**", 2))
			return "has ** beside other characters";
		if (!is_first && is_double)
			return "has ** after the first label";
		if (!is_first && label.n > 1)
			return "has a partial wildcard after the first label";
	}
	/* ...unless it is one label that stands for a whole domain: "*.com" */
	if (label_count == 2 && (host.p[0] == '*') &&
		(host.n > 1 &&
			(host.p[1] == '.' || (host.n > 2 && host.p[1] == '*' && host.p[2] == '.'))))
		return "covers a whole top-level domain";
	return NULL;
}

static void check_host_pattern(struct cv_check *c)
{
	const struct cv_policy_text *h = &c->ep->host;
	const char *fault = cv_str_has_byte(h->s, '*') ? pattern_fault(h->s) : NULL;

	if (fault)
		CV_CHECK_ERROR(c, h->pos,
			"use * within the first label or as a whole middle one, ** as the whole "
			"first label",
			"host pattern '%.*s' %s", CV_POLICY_QUOTE(h->s), fault);
	else if (h->s.n && h->s.p[h->s.n - 1] == '.' && c->ep->protocol != CV_PROTOCOL_TCP)
		CV_CHECK_WARNING(c, h->pos, "remove the dot",
			"host '%.*s' ends with a dot and matches nothing", CV_POLICY_QUOTE(h->s));
}

/* Resolvers take a name that ends in a number, of any base, for an address. */
static bool is_numeric(struct cv_str label)
{
	const bool is_hex = label.n >= 2 && label.p[0] == '0' && cv_ascii_lower(label.p[1]) == 'x';
	size_t i = is_hex ? 2 : 0;

	while (i < label.n &&
		(is_hex ? cv_hex_digit(label.p[i]) >= 0 : label.p[i] >= '0' && label.p[i] <= '9'))
		i++;
	return label.n && i == label.n;
}

static const char *label_fault(struct cv_str label, bool is_pattern)
{
	size_t n = 0;

	for (size_t i = 0; i < label.n; i++) {
		const char b = cv_ascii_lower(label.p[i]);

		if (!is_pattern && !(b >= 'a' && b <= 'z') && !(b >= '0' && b <= '9') && b != '-' &&
			b != '_')
			return "contains a character that no name has";
		n += b != '*';
	}
	if (n > LABEL_BYTES_MAX)
		return "has a label of more than 63 bytes";
	if (!label.n)
		return "has an empty label";
	if (!is_pattern && (label.p[0] == '-' || label.p[label.n - 1] == '-'))
		return "has a label that begins or ends with a hyphen";
	return NULL;
}

/* What the proxy never takes for a host (wire/host.h). */
static void check_host_name(struct cv_check *c)
{
	const struct cv_policy_text *h = &c->ep->host;
	const bool is_pattern = cv_str_has_byte(h->s, '*');
	const char *fix, *fault = NULL;
	struct cv_str label = CV_STR_NONE, rest = h->s;

	if (!h->s.n || is_ip_literal(h->s) || h->s.p[h->s.n - 1] == '.' || host_fault(h->s, &fix) ||
		(is_pattern && pattern_fault(h->s)))
		return; /* others speak of these */
	while (rest.p && !fault) {
		label = cv_str_cut(&rest, '.');
		fault = label_fault(label, is_pattern);
	}
	fix = "write the name as clients ask for it";
	if (!fault && is_numeric(label)) {
		fault = "ends in a number and is no address";
		fix = "write an address as four decimal numbers";
	}
	if (fault)
		CV_CHECK_WARNING(c, h->pos, fix, "host '%.*s' %s, so it matches nothing",
			CV_POLICY_QUOTE(h->s), fault);
}

/* ---- port, path, addresses ---- */

static void check_ports(struct cv_check *c)
{
	if (c->ep->port_count)
		return;
	if (c->ep->protocol == CV_PROTOCOL_TCP || c->ep->protocol == CV_PROTOCOL_MCP)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add port", "protocol %s needs a port",
			cv_policy_protocol_name(c->ep->protocol));
	else
		CV_CHECK_WARNING(c, CV_CHECK_HERE, "add port", "no port, so it allows nothing");
}

/* What the proxy refuses whatever the policy says. */
static void check_destination(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	struct cv_ip ip;
	const char *what =
		cv_policy_host_address(e->host.s, &ip) ? cv_policy_never_dialled(&ip) : NULL;

	if (what)
		CV_CHECK_WARNING(c, e->host.pos, "remove it", "never allowed: '%.*s' is %s %s",
			CV_POLICY_QUOTE(e->host.s), what[0] == 'a' ? "an" : "a", what);
	for (size_t i = 0; i < e->port_count; i++)
		if (cv_ip_port_is_control_plane(e->ports[i]) &&
			(!cv_str_has_byte(e->host.s, '*') || e->allowed_ips.n))
			CV_CHECK_WARNING(c, e->ports_pos, "remove it",
				"never allowed: port %u is a blocked control-plane port",
				e->ports[i]);
}

static void check_path(struct cv_check *c)
{
	const struct cv_policy_text *p = &c->ep->path;

	if (p->s.n > CV_POLICY_PATTERN_BYTES_MAX)
		CV_CHECK_ERROR(c, p->pos, NULL, "path is longer than %d bytes",
			CV_POLICY_PATTERN_BYTES_MAX);
	else if (p->s.n && p->s.p[0] != '/' && !cv_policy_is_word(*p, "**"))
		CV_CHECK_ERROR(c, p->pos, "begin it with /",
			"path '%.*s' must start with '/' or be '**'", CV_POLICY_QUOTE(p->s));
}

/* Refused as soon as an entry touches them: no policy may open these. */
static const char *const blocked_nets[] = { "127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/32",
	"::1/128", "fe80::/10", "::/128" };

static const char *blocked_net(const struct cv_cidr *net)
{
	struct cv_cidr blocked;

	for (size_t i = 0; i < CV_ARRAY_LEN(blocked_nets); i++)
		if (cv_cidr_parse(cv_str_of(blocked_nets[i]), &blocked) &&
			cv_cidr_overlaps(net, &blocked))
			return blocked_nets[i];
	return NULL;
}

static void check_allowed_ip(struct cv_check *c, const struct cv_policy_text *t)
{
	struct cv_cidr net;
	const char *blocked;

	if (!cv_cidr_parse(cv_str_trim(t->s), &net)) {
		CV_CHECK_ERROR(c, t->pos, "write it as 10.1.2.3, 10.0.0.0/8 or fd00::/8",
			"allowed_ips: '%.*s' is neither an address nor a CIDR",
			CV_POLICY_QUOTE(t->s));
		return;
	}
	blocked = blocked_net(&net);
	if (blocked)
		CV_CHECK_ERROR(c, t->pos, "list only addresses that may be dialled",
			"allowed_ips: '%.*s' touches %s, which is always blocked",
			CV_POLICY_QUOTE(t->s), blocked);
	else if (net.bits - (net.net.is_v4 ? 96 : 0) < 16)
		CV_CHECK_WARNING(c, t->pos, "name the narrower network that is meant",
			"allowed_ips: '%.*s' is wider than /16", CV_POLICY_QUOTE(t->s));
	if (net.had_host_bits)
		CV_CHECK_WARNING(c, t->pos, NULL,
			"allowed_ips: '%.*s' has bits beyond its prefix, which are ignored",
			CV_POLICY_QUOTE(t->s));
}

static void check_allowed_ips(struct cv_check *c)
{
	if (c->ep->allowed_ips.n > CV_POLICY_ALLOWED_IPS_MAX)
		CV_CHECK_ERROR(c, c->ep->allowed_ips.pos, "name networks instead of addresses",
			"allowed_ips has %zu entries; at most %d", c->ep->allowed_ips.n,
			CV_POLICY_ALLOWED_IPS_MAX);
	for (size_t i = 0; i < c->ep->allowed_ips.n; i++)
		check_allowed_ip(c, &c->ep->allowed_ips.v[i]);
}

/* ---- what may be asked: access, rules, deny_rules ---- */

static void check_access_or_rules(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	const bool is_needed =
		is_l7(e) && e->protocol != CV_PROTOCOL_JSON_RPC && e->protocol != CV_PROTOCOL_MCP;

	if (is_needed && !e->rules.is_present && e->access == CV_ACCESS_NONE)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add access: read-only, or rules",
			"protocol %s needs access or rules to say what is allowed",
			cv_policy_protocol_name(e->protocol));
}

static void check_access_and_rules(struct cv_check *c)
{
	if (c->ep->rules.is_present && c->ep->access != CV_ACCESS_NONE)
		CV_CHECK_ERROR(c, c->ep->access_text.pos, "keep one of them",
			"access and rules exclude each other");
}

static void check_empty_rules(struct cv_check *c)
{
	if (c->ep->rules.is_present && !c->ep->rules.n)
		CV_CHECK_ERROR(c, c->ep->rules.pos, "remove it, or list what is allowed",
			"rules is empty, which would deny everything");
	if (c->ep->deny_rules.is_present && !c->ep->deny_rules.n)
		CV_CHECK_ERROR(c, c->ep->deny_rules.pos, "remove it", "deny_rules is empty");
}

static void check_access_protocol(struct cv_check *c)
{
	if (c->ep->access != CV_ACCESS_NONE &&
		(c->ep->protocol == CV_PROTOCOL_MCP || c->ep->protocol == CV_PROTOCOL_JSON_RPC))
		CV_CHECK_ERROR(c, c->ep->access_text.pos, "use rules",
			"protocol %s has no access presets",
			cv_policy_protocol_name(c->ep->protocol));
}

static void check_deny_base(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;

	if (!e->deny_rules.n || e->protocol == CV_PROTOCOL_TCP)
		return;
	if (e->protocol == CV_PROTOCOL_L4)
		CV_CHECK_ERROR(c, e->deny_rules.pos, "add protocol: rest",
			"deny_rules need a protocol: without one, requests are not inspected");
	else if (!e->rules.is_present && e->access == CV_ACCESS_NONE &&
		 !(e->protocol == CV_PROTOCOL_MCP && e->mcp_allow_all_known_methods))
		CV_CHECK_ERROR(c, e->deny_rules.pos, "add access or rules",
			"deny_rules need access or rules to take something away from");
}

static void check_ignored_rules(struct cv_check *c)
{
	if (c->ep->protocol == CV_PROTOCOL_L4 &&
		(c->ep->rules.n || c->ep->access != CV_ACCESS_NONE))
		CV_CHECK_WARNING(c, c->ep->rules.n ? c->ep->rules.pos : c->ep->access_text.pos,
			"add protocol: rest to have them obeyed",
			"without a protocol, access and rules are ignored and everything passes");
}

/* ---- protocols ---- */

static void check_sql(struct cv_check *c)
{
	if (c->ep->protocol == CV_PROTOCOL_SQL && c->ep->enforcement == CV_ENFORCEMENT_ENFORCE)
		CV_CHECK_ERROR(c, c->ep->enforcement_text.pos, "use enforcement: audit",
			"protocol sql can't be enforced");
}

/* Only a request that is decided by itself, with an answer that can wait, may wait for a person. */
static void check_approve(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;

	if (e->enforcement != CV_ENFORCEMENT_APPROVE || e->protocol == CV_PROTOCOL_TCP)
		return; /* protocol tcp has no enforcement at all */
	if (e->protocol == CV_PROTOCOL_L4)
		CV_CHECK_ERROR(c, e->enforcement_text.pos, "add protocol: rest",
			"enforcement: approve needs a protocol: without one, requests are not "
			"decided");
	else if (e->protocol != CV_PROTOCOL_REST)
		CV_CHECK_ERROR(c, e->enforcement_text.pos, "use enforcement: enforce",
			"enforcement: approve can't be combined with protocol %s, only with rest",
			cv_policy_protocol_name(e->protocol));
	if (e->tls == CV_TLS_SKIP)
		CV_CHECK_ERROR(c, e->enforcement_text.pos, "remove tls: skip",
			"enforcement: approve can't be combined with tls: skip, which hides "
			"requests");
	if (e->access == CV_ACCESS_FULL)
		CV_CHECK_WARNING(c, e->enforcement_text.pos, "use read-only, read-write or rules",
			"access: full allows every request, so none is left to approve");
}

/* What of HTTP and TLS means nothing here.  enforcement has to be written, since its default would
 * let everything pass, which nobody expects of a database that is said to be read-only. */
static void check_postgres(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	const struct {
		bool is_there;
		const char *name;
	} fields[] = {
		{ e->tls_text.is_present, "tls" },
		{ e->allow_encoded_slash, "allow_encoded_slash" },
		{ e->credential_signing.s.n > 0, "credential_signing" },
		{ e->allow_uninspected_credentials, "allow_uninspected_credentials" },
	};

	if (e->protocol != CV_PROTOCOL_POSTGRES)
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(fields); i++)
		if (fields[i].is_there)
			CV_CHECK_ERROR(c, cv_policy_key_pos(e, fields[i].name), "remove it",
				"protocol postgres can't have %s", fields[i].name);
	if (!e->enforcement_text.s.n)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add enforcement: enforce, or audit to only log",
			"protocol postgres needs enforcement");
}

static void check_rpc_rules(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;

	if (e->rules.is_present)
		return;
	if (e->protocol == CV_PROTOCOL_JSON_RPC)
		CV_CHECK_ERROR(c, CV_CHECK_HERE, "add rules with allow.method",
			"protocol json-rpc needs rules");
	if (e->protocol == CV_PROTOCOL_MCP && !e->mcp_allow_all_known_methods)
		CV_CHECK_ERROR(c, CV_CHECK_HERE,
			"add rules, or mcp.allow_all_known_mcp_methods: true",
			"protocol mcp needs rules");
}

static void check_tcp_host(struct cv_check *c)
{
	const struct cv_policy_text *h = &c->ep->host;

	if (c->ep->protocol != CV_PROTOCOL_TCP || !h->s.n)
		return;
	if (is_ip_literal(h->s))
		CV_CHECK_ERROR(c, h->pos, "use a DNS name, or leave protocol out",
			"protocol tcp needs a DNS name, '%.*s' is an address",
			CV_POLICY_QUOTE(h->s));
	if (h->s.p[h->s.n - 1] == '.')
		CV_CHECK_ERROR(c, h->pos, "remove the dot",
			"protocol tcp needs a name without a dot at its end");
}

static void check_tcp_fields(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	const struct {
		bool is_there;
		const char *name;
	} fields[] = {
		{ e->path.s.n > 0, "path" },
		{ e->tls_text.is_present, "tls" },
		{ e->enforcement_text.is_present, "enforcement" },
		{ e->access != CV_ACCESS_NONE, "access" },
		{ e->rules.is_present, "rules" },
		{ e->deny_rules.is_present, "deny_rules" },
		{ e->allow_encoded_slash, "allow_encoded_slash" },
		{ e->h2c, "h2c" },
		{ e->websocket_credential_rewrite, "websocket_credential_rewrite" },
		{ e->request_body_credential_rewrite, "request_body_credential_rewrite" },
		{ e->token_endpoint, "token_endpoint" },
		{ e->credential_signing.s.n > 0, "credential_signing" },
		{ e->signing_service.s.n > 0, "signing_service" },
		{ e->signing_region.s.n > 0, "signing_region" },
		{ e->has_credential_binding, "credential_binding" },
		{ e->credential_mode_text.is_present, "credential_mode" },
		{ e->scrub_text.is_present, "scrub" },
		{ e->body_hold_text.is_present, "body_hold" },
		{ e->persisted_queries.s.n > 0, "persisted_queries" },
		{ e->has_graphql_persisted_queries, "graphql_persisted_queries" },
		{ e->graphql_max_body_bytes > 0, "graphql_max_body_bytes" },
		{ e->has_json_rpc, "json_rpc" },
		{ e->has_mcp, "mcp" },
	};

	if (e->protocol != CV_PROTOCOL_TCP)
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(fields); i++)
		if (fields[i].is_there)
			CV_CHECK_ERROR(c, cv_policy_key_pos(e, fields[i].name), "remove it",
				"protocol tcp is not inspected and can't have %s", fields[i].name);
}

/* Fields that only some protocols look at. */
static void check_ignored_fields(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	const enum cv_policy_protocol p = e->protocol;
	const struct {
		bool is_there, is_used;
		const char *name;
	} fields[] = {
		{ e->websocket_credential_rewrite,
			p == CV_PROTOCOL_REST || p == CV_PROTOCOL_WEBSOCKET,
			"websocket_credential_rewrite" },
		{ e->request_body_credential_rewrite, p == CV_PROTOCOL_REST,
			"request_body_credential_rewrite" },
		{ e->persisted_queries.s.n > 0,
			p == CV_PROTOCOL_GRAPHQL || p == CV_PROTOCOL_WEBSOCKET,
			"persisted_queries" },
		{ e->has_graphql_persisted_queries,
			p == CV_PROTOCOL_GRAPHQL || p == CV_PROTOCOL_WEBSOCKET,
			"graphql_persisted_queries" },
		{ e->graphql_max_body_bytes > 0,
			p == CV_PROTOCOL_GRAPHQL || p == CV_PROTOCOL_WEBSOCKET,
			"graphql_max_body_bytes" },
		{ e->has_json_rpc, p == CV_PROTOCOL_JSON_RPC, "json_rpc" },
		{ e->has_mcp, p == CV_PROTOCOL_MCP, "mcp" },
		{ e->credential_signing.s.n > 0, is_l7(e), "credential_signing" },
		{ e->signing_service.s.n > 0, e->credential_signing.s.n > 0, "signing_service" },
		{ e->signing_region.s.n > 0, e->credential_signing.s.n > 0, "signing_region" },
	};

	if (p == CV_PROTOCOL_TCP)
		return; /* these are errors there */
	for (size_t i = 0; i < CV_ARRAY_LEN(fields); i++)
		if (fields[i].is_there && !fields[i].is_used)
			CV_CHECK_WARNING(c, cv_policy_key_pos(e, fields[i].name), "remove it",
				"%s is ignored here", fields[i].name);
}

static void check_tls(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	bool has_443 = false;

	if (e->tls == CV_TLS_TERMINATE || e->tls == CV_TLS_PASSTHROUGH)
		CV_CHECK_WARNING(c, e->tls_text.pos, "remove it, or write skip for a raw tunnel",
			"tls: %.*s is deprecated and has no effect",
			CV_POLICY_QUOTE(e->tls_text.s));
	for (size_t i = 0; i < e->port_count; i++)
		has_443 |= e->ports[i] == 443;
	if (e->tls == CV_TLS_SKIP && is_l7(e) && has_443)
		CV_CHECK_WARNING(c, e->tls_text.pos, "remove tls: skip to have the rules obeyed",
			"tls: skip on port 443 hides requests from the rules");
}

/* ---- graphql settings, credentials ---- */

static void check_persisted(struct cv_check *c)
{
	const struct cv_policy_text *t = &c->ep->persisted_queries;

	if (t->s.n && !cv_policy_is_word(*t, "deny") && !cv_policy_is_word(*t, "allow_registered"))
		CV_CHECK_ERROR(c, t->pos, "expected deny or allow_registered",
			"unknown persisted_queries '%.*s'", CV_POLICY_QUOTE(t->s));
}

static void check_signing(struct cv_check *c)
{
	const struct cv_policy_text *t = &c->ep->credential_signing;

	if (!t->s.n)
		return;
	if (!cv_policy_is_word(*t, "sigv4") && !cv_policy_is_word(*t, "sigv4:body") &&
		!cv_policy_is_word(*t, "sigv4:no_body"))
		CV_CHECK_ERROR(c, t->pos, "expected sigv4, sigv4:body or sigv4:no_body",
			"unknown credential_signing '%.*s'", CV_POLICY_QUOTE(t->s));
	if (!c->ep->signing_service.s.n)
		CV_CHECK_ERROR(c, t->pos, "add signing_service: s3 (or another)",
			"credential_signing needs signing_service");
	if (c->ep->request_body_credential_rewrite)
		CV_CHECK_ERROR(c, t->pos, "keep one of them",
			"credential_signing and request_body_credential_rewrite exclude each other");
	if (c->ep->token_endpoint)
		CV_CHECK_ERROR(c, t->pos, "keep one of them",
			"credential_signing and token_endpoint exclude each other");
}

/* One that is not looked into would hand on the tokens themselves. */
static void check_token_endpoint(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;

	if (!e->token_endpoint || e->protocol == CV_PROTOCOL_TCP ||
		e->protocol == CV_PROTOCOL_POSTGRES)
		return; /* these say so themselves */
	if (e->protocol != CV_PROTOCOL_REST || e->tls == CV_TLS_SKIP)
		CV_CHECK_ERROR(c, cv_policy_key_pos(e, "token_endpoint"),
			"use protocol: rest, without tls: skip",
			"token_endpoint needs an endpoint whose answers can be read");
	if (!c->entry->is_provider && !e->has_credential_binding)
		CV_CHECK_ERROR(c, cv_policy_key_pos(e, "token_endpoint"),
			"add credential_binding: {provider: NAME}",
			"token_endpoint needs a provider that the tokens are for");
}

static void check_binding(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;

	if (!e->has_credential_binding || e->protocol == CV_PROTOCOL_TCP)
		return;
	if (!e->credential_binding_provider.s.n)
		CV_CHECK_ERROR(c, e->credential_binding_provider.pos, "name the provider",
			"credential_binding.provider is empty");
	if (!e->host.s.n || !e->port_count)
		CV_CHECK_ERROR(c, cv_policy_key_pos(e, "credential_binding"), "add host and port",
			"credential_binding needs a host and a port");
}

static cv_check_fn *const endpoint_checks[] = {
	check_host_given,
	check_host_characters,
	check_host_address,
	check_host_pattern,
	check_host_name,
	check_ports,
	check_destination,
	check_path,
	check_allowed_ips,
	check_access_or_rules,
	check_access_and_rules,
	check_empty_rules,
	check_access_protocol,
	check_deny_base,
	check_ignored_rules,
	check_sql,
	check_approve,
	check_postgres,
	check_rpc_rules,
	check_tcp_host,
	check_tcp_fields,
	check_ignored_fields,
	check_tls,
	check_persisted,
	check_signing,
	check_binding,
	check_token_endpoint,
};

void cv_check_endpoint(struct cv_check *c)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(endpoint_checks); i++)
		endpoint_checks[i](c);
}
