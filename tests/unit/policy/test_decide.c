/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: each row of the language's semantics, and the tricks of threats A1-A4, A9, A10, N10, P3,
 * T12 and T13 that meet the decision.
 * Method: one small document per test, tables of facts; the reason is compared, never only the
 * action.
 */
#include "unit/test.h"

#include "policy/policy.h"
#include "unit/policy/doc.h"

#define CURL "/usr/bin/curl"

static struct cv_policy *compiled(struct cv_policy_doc *d)
{
	struct cv_policy *p = NULL;

	assert_int_equal(cv_policy_compile(d, &p, NULL), CV_OK);
	return p;
}

static struct cv_policy_doc *with_entry(const char *name)
{
	struct cv_policy_doc *d = doc_new();

	doc_entry(d, name);
	doc_binary(d, CURL);
	return d;
}

static struct cv_verdict connect_as(
	const struct cv_policy *p, const char *exe, const char *host, uint16_t port)
{
	struct cv_facts f = { .op = CV_OP_CONNECT,
		.who = { .is_known = exe != NULL, .exe = cv_str_of(exe) },
		.host = cv_str_of(host),
		.port = port };

	return cv_policy_decide(p, &f);
}

static struct cv_verdict request(
	const struct cv_policy *p, const char *method, const char *path, const char *query)
{
	struct cv_facts f = { .op = CV_OP_REQUEST,
		.who = { .is_known = true, .exe = CV_STR(CURL) },
		.host = CV_STR("h.example.com"),
		.port = 443,
		.method = cv_str_of(method),
		.path = cv_str_of(path),
		.query = cv_str_of(query) };

	return cv_policy_decide(p, &f);
}

/* clang-format off */
#define assert_reason(verdict, name)                                                          \
	do {                                                                                  \
		const struct cv_verdict v_ = (verdict);                                       \
		assert_string_equal(cv_reason_code(v_.reason), cv_reason_code(CV_REASON_##name)); \
		assert_int_equal(v_.action == CV_ACTION_ALLOW, CV_REASON_##name == CV_REASON_NONE); \
	} while (0)
/* clang-format on */

static void n10_nothing_listed_denies_everything(void **state)
{
	struct cv_policy *p = compiled(NULL);

	(void)state;
	assert_reason(connect_as(p, CURL, "a.com", 443), NO_POLICY);
	assert_false(cv_policy_has_network(p));
	cv_policy_unref(p);

	p = compiled(doc_new());
	assert_reason(connect_as(p, CURL, "a.com", 443), NO_POLICY);
	cv_policy_unref(p);

	struct cv_policy_doc *d = doc_new(); /* an entry without binaries, one without ports */
	doc_entry(d, "e");
	doc_endpoint(d, "a.com", 443);
	doc_entry(d, "f");
	doc_binary(d, CURL);
	doc_endpoint(d, "b.com", 0);
	doc_endpoint(d, NULL, 443); /* and no allowed_ips */
	p = compiled(d);
	assert_reason(connect_as(p, CURL, "a.com", 443), BINARY);
	assert_reason(connect_as(p, CURL, "b.com", 443), NO_ENDPOINT);
	assert_reason(connect_as(p, CURL, "b.com", 0), NO_ENDPOINT);
	assert_reason(connect_as(p, CURL, "c.com", 443), NO_ENDPOINT);
	cv_policy_unref(p);
}

static void a1_a2_a3_a4_hosts_match_whole_labels_of_plain_names(void **state)
{
	static const struct {
		struct cv_str host;
		bool is_listed;
	} rows[] = {
		{ CV_STR("allowed.com"), true },
		{ CV_STR("x.wild.com"), true },
		{ CV_STR("a.b.deep.com"), true },
		{ CV_STR("notallowed.com"), false },
		{ CV_STR("allowed.com.evil.tld"), false },
		{ CV_STR("wild.com"), false },
		{ CV_STR("xwild.com"), false },
		{ CV_STR("a.b.wild.com"), false },
		{ CV_STR("deep.com"), false },
		{ CV_STR("allowed.com."), false },
		{ CV_STR("x.wild.com."), false },
		{ CV_STR("evil.com\0.wild.com"), false },
		{ CV_STR("evil\0.wild.com"), false },
		{ CV_STR(".wild.com"), false },
		{ CV_STR("a..deep.com"), false },
		{ CV_STR("X.wild.com"), false }, /* facts are canonical or they are nothing */
		{ CV_STR("\xd1\x85.wild.com"), false },
		{ CV_STR("e@x.wild.com"), false },
		{ CV_STR("x.wild.com:443"), false },
		{ CV_STR(""), false },
	};
	struct cv_policy_doc *d = with_entry("e");

	(void)state;
	doc_endpoint(d, "Allowed.com", 443);
	doc_endpoint(d, "*.wild.com", 443);
	doc_endpoint(d, "**.deep.com", 443);
	struct cv_policy *p = compiled(d);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_facts f = { .who = { .is_known = true, .exe = CV_STR(CURL) },
			.host = rows[i].host,
			.port = 443 };
		const struct cv_verdict v = cv_policy_decide(p, &f);

		if ((v.action == CV_ACTION_ALLOW) != rows[i].is_listed)
			fail_msg("host \"%.*s\"", CV_STR_ARG(rows[i].host));
		assert_int_equal(cv_policy_host_is_listed(p, rows[i].host), rows[i].is_listed);
	}
	cv_policy_unref(p);
}

static void a4_no_plain_name_no_endpoint_even_without_host(void **state)
{
	struct cv_policy_doc *d = with_entry("e");

	(void)state;
	doc_endpoint(d, NULL, 443);
	doc_ip(d, "10.0.0.0/8");
	struct cv_policy *p = compiled(d);
	const struct cv_verdict v = connect_as(p, CURL, "any.example", 443);
	assert_reason(v, NONE);
	assert_int_equal(v.obligations, CV_OBLIGE_ALLOWED_IPS);
	assert_reason(connect_as(p, CURL, "any.example.", 443), NO_ENDPOINT);
	assert_reason(connect_as(p, CURL, "any.example", 80), NO_ENDPOINT);
	assert_false(cv_policy_host_is_listed(p, CV_STR("any.example")));

	struct cv_ip in, out;
	assert_true(cv_ip_parse(CV_STR("10.1.2.3"), &in) && cv_ip_parse(CV_STR("11.0.0.1"), &out));
	assert_true(cv_policy_allowed_ip(p, &v, &in));
	assert_false(cv_policy_allowed_ip(p, &v, &out));
	cv_policy_unref(p);
}

static void a9_only_listed_ports(void **state)
{
	struct cv_policy_doc *d = with_entry("e");
	uint16_t ports[4];

	(void)state;
	doc_endpoint(d, "a.com", 443);
	doc_port(d, 8443);
	struct cv_policy *p = compiled(d);
	assert_reason(connect_as(p, CURL, "a.com", 443), NONE);
	assert_reason(connect_as(p, CURL, "a.com", 8443), NONE);
	assert_reason(connect_as(p, CURL, "a.com", 22), NO_ENDPOINT);
	assert_reason(connect_as(p, CURL, "a.com", 0), NO_ENDPOINT);
	assert_int_equal(cv_policy_host_ports(p, CV_STR("a.com"), ports, 4), 2);
	assert_int_equal(cv_policy_host_ports(p, CV_STR("b.com"), ports, 4), 0);
	cv_policy_unref(p);
}

static void ports_come_in_order_and_once(void **state)
{
	static const uint32_t want[] = { 1, 63, 64, 443, 8443, 65535 };
	struct cv_policy_doc *d = with_entry("e");
	uint32_t ports[8] = { 0 };

	(void)state;
	assert_int_equal(cv_policy_ports(d, ports, 8), 0);
	doc_endpoint(d, "a.com", 8443);
	doc_port(d, 443);
	doc_port(d, 65535);
	doc_endpoint(d, "b.com", 443);
	doc_port(d, 64);
	doc_port(d, 63);
	doc_port(d, 1);
	assert_int_equal(cv_policy_ports(d, ports, 8), CV_ARRAY_LEN(want));
	assert_memory_equal(ports, want, sizeof(want));
	ports[2] = 0;
	assert_int_equal(
		cv_policy_ports(d, ports, 2), CV_ARRAY_LEN(want)); /* more than there is room for */
	assert_int_equal(ports[2], 0);
	cv_policy_doc_free(d);
}

static void a10_patterns_never_match_addresses(void **state)
{
	struct cv_policy_doc *d = with_entry("e");
	struct cv_facts f = {
		.who = { .is_known = true, .exe = CV_STR(CURL) }, .host_is_ip = true, .port = 443
	};

	(void)state;
	doc_endpoint(d, "*.0.0.1", 443);
	doc_endpoint(d, "192.0.2.7", 443);
	doc_endpoint(d, "2001:DB8:0::7", 443);
	struct cv_policy *p = compiled(d);
	f.host = CV_STR("10.0.0.1");
	assert_reason(cv_policy_decide(p, &f), NO_ENDPOINT);
	f.host = CV_STR("192.0.2.7");
	assert_reason(cv_policy_decide(p, &f), NONE);
	f.host = CV_STR("2001:db8::7");
	assert_reason(cv_policy_decide(p, &f), NONE);
	cv_policy_unref(p);
}

static void p3_binaries_exact_glob_ancestor_alias(void **state)
{
	static const struct cv_policy_alias alias = { { "/usr/bin/python3", 16 },
		{ "/usr/bin/python3.11", 19 } };
	const struct cv_str parents[] = { CV_STR("/bin/sh"), CV_STR("/opt/x/agent") };
	struct cv_policy_doc *d = doc_new();
	struct cv_policy *p = NULL;

	(void)state;
	doc_entry(d, "e");
	doc_binary(d, "/usr/bin/python3");
	doc_binary(d, "/opt/*/agent");
	doc_binary(d, "/bin/l[a]"); /* no star: literally */
	doc_endpoint(d, "a.com", 443);
	assert_int_equal(cv_policy_compile_aliased(d, &alias, 1, &p, NULL), CV_OK);
	assert_reason(connect_as(p, "/usr/bin/python3", "a.com", 443), NONE);
	assert_reason(connect_as(p, "/usr/bin/python3.11", "a.com", 443), NONE);
	assert_reason(connect_as(p, "/usr/bin/python3.12", "a.com", 443), BINARY);
	assert_reason(connect_as(p, "/opt/x/agent", "a.com", 443), NONE);
	assert_reason(connect_as(p, "/opt/x/y/agent", "a.com", 443), BINARY);
	assert_reason(connect_as(p, "/bin/la", "a.com", 443), BINARY);
	assert_reason(connect_as(p, "/bin/l[a]", "a.com", 443), NONE);
	assert_reason(connect_as(p, NULL, "a.com", 443), IDENTITY_UNKNOWN);
	assert_reason(connect_as(p, NULL, "b.com", 443), NO_ENDPOINT);
	assert_true(cv_policy_is_binary_named(p, CV_STR("/usr/bin/python3.11")));
	assert_false(cv_policy_is_binary_named(p, CV_STR("/bin/sh")));

	struct cv_facts f = {
		.who = { true, CV_STR(CURL), parents, 2 }, .host = CV_STR("a.com"), .port = 443
	};
	assert_reason(cv_policy_decide(p, &f), NONE);
	f.who.ancestor_count = 1;
	assert_reason(cv_policy_decide(p, &f), BINARY);
	f.who.ancestor_count = 2;
	f.who.is_known = false;
	assert_reason(cv_policy_decide(p, &f), IDENTITY_UNKNOWN);
	cv_policy_unref(p);
}

static void methods_without_case_and_get_covers_head(void **state)
{
	struct cv_policy_doc *d = with_entry("e");

	(void)state;
	doc_rest(d, "h.example.com", CV_ACCESS_NONE);
	doc_allow(d, "get", "/g");
	doc_allow(d, "*", "/any");
	doc_allow(d, "Purge", "/p");
	doc_allow(d, "HEAD", "/h");
	doc_deny(d, "GET", "/any");
	struct cv_policy *p = compiled(d);
	assert_reason(request(p, "GET", "/g", NULL), NONE);
	assert_reason(request(p, "HEAD", "/g", NULL), NONE);
	assert_reason(request(p, "OPTIONS", "/g", NULL), NO_RULE);
	assert_reason(request(p, "POST", "/g", NULL), NO_RULE);
	assert_reason(request(p, "BREW", "/any", NULL), NONE);
	assert_reason(request(p, "HEAD", "/any", NULL), DENY_RULE);
	assert_reason(request(p, "PURGE", "/p", NULL), NONE);
	assert_reason(request(p, "BREW", "/p", NULL), NO_RULE);
	assert_reason(request(p, "GET", "/h", NULL), NO_RULE);
	cv_policy_unref(p);
}

static void access_presets(void **state)
{
	/* clang-format off */
	static const struct { enum cv_policy_access access; const char *method; bool is_allowed; } rows[] = {
		{ CV_ACCESS_READ_ONLY, "GET", true }, { CV_ACCESS_READ_ONLY, "HEAD", true },
		{ CV_ACCESS_READ_ONLY, "OPTIONS", true }, { CV_ACCESS_READ_ONLY, "POST", false },
		{ CV_ACCESS_READ_WRITE, "PATCH", true }, { CV_ACCESS_READ_WRITE, "PUT", true },
		{ CV_ACCESS_READ_WRITE, "DELETE", false }, { CV_ACCESS_READ_WRITE, "BREW", false },
		{ CV_ACCESS_FULL, "DELETE", true }, { CV_ACCESS_FULL, "BREW", true },
		{ CV_ACCESS_NONE, "GET", false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_policy_doc *d = with_entry("e");

		doc_rest(d, "h.example.com", rows[i].access);
		struct cv_policy *p = compiled(d);
		const struct cv_verdict v = request(p, rows[i].method, "/x", NULL);
		if ((v.action == CV_ACTION_ALLOW) != rows[i].is_allowed)
			fail_msg("access %d, %s", rows[i].access, rows[i].method);
		cv_policy_unref(p);
	}
}

static void t13_query_every_occurrence_in_every_reading(void **state)
{
	/* clang-format off */
	static const struct { const char *query; bool allow, deny; } rows[] = { /* k: 1* or yes */
		{ "k=1", true, true }, { "k=yes", true, true }, { "k=2", false, false },
		{ NULL, false, false }, { "", false, false }, { "j=1", false, false }, { "k", false, false },
		{ "k=1&k=12", true, true }, { "k=1&k=2", false, true }, { "k=2&k=1", false, true },
		{ "%6B=1", true, true }, { "%6b=2&k=1", false, true }, { "k=%31", true, true },
		{ "k=1+x", true, true }, { "k=1.5", false, false }, { "k=1/5", true, true },
		{ "a=1&k=1", true, true }, { "&&k=1&", true, true },
		{ "a=1;k=1", false, true },     /* only some origins see k */
		{ "k=1;k=2", false, true },     /* and some see the second */
		{ "k=1;b", true, true },
		{ "k=1&j=%zz", false, true }, { "k=1&j=%", false, true }, { "k=1%00", false, true },
		{ "K=1", false, false },
	};
	/* clang-format on */

	(void)state;
	struct cv_policy_doc *d = with_entry("e");
	doc_rest(d, "h.example.com", CV_ACCESS_NONE);
	doc_allow(d, "GET", "/allow");
	doc_query(d, "k", "1*");
	doc_query_or(d, "yes");
	doc_allow(d, "GET", "/deny");
	doc_deny(d, "GET", "/deny");
	doc_query(d, "k", "1*");
	doc_query_or(d, "yes");
	struct cv_policy *p = compiled(d);
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const bool allow =
			request(p, "GET", "/allow", rows[i].query).reason == CV_REASON_NONE;
		const bool deny =
			request(p, "GET", "/deny", rows[i].query).reason == CV_REASON_DENY_RULE;

		if (allow != rows[i].allow || deny != rows[i].deny)
			fail_msg("query \"%s\": allow %d, deny %d",
				rows[i].query ? rows[i].query : "(none)", allow, deny);
	}
	cv_policy_unref(p);
}

static void t13_a_value_too_long_to_decode_is_no_way_round(void **state)
{
	static char query[20000];
	struct cv_policy_doc *d = with_entry("e");

	(void)state;
	doc_rest(d, "h.example.com", CV_ACCESS_NONE);
	doc_allow(d, "GET", "/a");
	doc_query(d, "k", "**");
	doc_allow(d, "GET", "/d");
	doc_deny(d, "GET", "/d");
	doc_query(d, "k", "evil*");
	struct cv_policy *p = compiled(d);
	memset(query, 'x', sizeof(query) - 1);
	memcpy(query, "k=evil+", 7);
	assert_reason(request(p, "GET", "/a", query), NO_RULE);
	assert_reason(request(p, "GET", "/d", query), DENY_RULE);
	cv_policy_unref(p);
}

static void selectors_choose_and_the_most_specific_one_enforces(void **state)
{
	struct cv_policy_doc *d = with_entry("e");
	struct cv_policy_endpoint *ep;

	(void)state;
	ep = doc_rest(d, "h.example.com", CV_ACCESS_READ_ONLY);
	ep->path = (struct cv_policy_text){ CV_STR("/api/**"), { 1, 1 }, true };
	ep = doc_rest(d, "h.example.com", CV_ACCESS_NONE);
	ep->path = (struct cv_policy_text){ CV_STR("/api/v2/**"), { 1, 1 }, true };
	ep->enforcement = CV_ENFORCEMENT_AUDIT;
	ep->allow_encoded_slash = true;
	doc_allow(d, "POST", "/api/v2/x");
	doc_deny(d, "*", "/api/v2/secret");
	struct cv_policy *p = compiled(d);
	assert_reason(request(p, "GET", "/other", NULL), NO_PATH_ENDPOINT);
	assert_reason(request(p, "GET", "/apix", NULL), NO_PATH_ENDPOINT);
	assert_reason(request(p, "GET", "/api", NULL), NONE);
	assert_reason(request(p, "POST", "/api/v1", NULL), NO_RULE);
	assert_reason(request(p, "POST", "/api/v2/x", NULL), NONE);
	assert_reason(request(p, "GET", "/api/v2/y", NULL), NONE); /* by the wider endpoint */

	struct cv_verdict v = request(p, "GET", "/api/v2/secret", NULL);
	assert_int_equal(v.reason, CV_REASON_DENY_RULE);
	assert_int_equal(v.action, CV_ACTION_ALLOW);
	assert_true(v.obligations & CV_OBLIGE_LOG_ONLY);
	assert_int_equal(v.endpoint, 1);
	assert_int_equal(v.rule, 0);
	assert_int_equal(v.line, ep->deny_rules.v[0].pos.line);

	assert_reason(request(p, "GET", "/api/a%2Fb", NULL), ENCODED_SLASH); /* T12 */
	v = request(p, "GET", "/api/v2/a%2Fb", NULL);
	assert_reason(v, NONE);
	assert_true(v.obligations & CV_OBLIGE_ENCODED_SLASH);
	cv_policy_unref(p);
}

static void deny_of_any_entry_wins_but_only_of_entries_that_count(void **state)
{
	struct cv_policy_doc *d = with_entry("a");

	(void)state;
	doc_rest(d, "h.example.com", CV_ACCESS_FULL);
	doc_entry(d, "b");
	doc_binary(d, CURL);
	doc_rest(d, "*.example.com", CV_ACCESS_FULL);
	doc_deny(d, "DELETE", "/**");
	doc_entry(d, "c");
	doc_binary(d, "/usr/bin/git");
	doc_rest(d, "h.example.com", CV_ACCESS_FULL);
	doc_deny(d, "PUT", "/**");
	struct cv_policy *p = compiled(d);
	const struct cv_verdict v = request(p, "DELETE", "/x", NULL);
	assert_reason(v, DENY_RULE);
	assert_str(cv_policy_entry_name(p, v.entry), "b");
	assert_reason(request(p, "PUT", "/x", NULL), NONE);
	cv_policy_unref(p);
}

static void malformed_globs_never_allow(void **state)
{
	struct cv_policy_doc *d = with_entry("e");

	(void)state;
	doc_rest(d, "h.example.com", CV_ACCESS_NONE);
	doc_allow(d, "GET", "/a[");
	doc_allow(d, "GET", NULL);
	doc_allow(d, NULL, "/n");
	doc_allow(d, "GET", "/q");
	doc_query(d, "k", "[");
	doc_allow(d, "PUT", "/**");
	doc_deny(d, "PUT", "/a[");
	struct cv_policy *p = compiled(d);
	assert_reason(request(p, "GET", "/a[", NULL), NO_RULE);
	assert_reason(request(p, "GET", "/n", NULL), NO_RULE);
	assert_reason(request(p, "GET", "/q", "k=["), NO_RULE);
	assert_reason(request(p, "PUT", "/anything", NULL), DENY_RULE);
	cv_policy_unref(p);
}

static void obligations_tighten_by_one_and_loosen_by_all(void **state)
{
	struct cv_policy_doc *d = with_entry("e");

	(void)state;
	doc_endpoint(d, "skip.com", 443)->tls = CV_TLS_SKIP;
	doc_endpoint(d, "tcp.com", 5432)->protocol = CV_PROTOCOL_TCP;
	doc_endpoint(d, "mixed.com", 443)->tls = CV_TLS_SKIP;
	doc_rest(d, "mixed.com", CV_ACCESS_FULL);
	doc_endpoint(d, "*.pattern.com", 443);
	doc_endpoint(d, "ql.com", 443)->protocol = CV_PROTOCOL_GRAPHQL;
	doc_rest(d, "clear.com", CV_ACCESS_FULL)->h2c = true;
	doc_rest(d, "half.com", CV_ACCESS_FULL)->h2c = true;
	doc_rest(d, "half.com", CV_ACCESS_FULL);
	struct cv_policy *p = compiled(d);
	assert_true(connect_as(p, CURL, "clear.com", 443).obligations & CV_OBLIGE_H2C);
	assert_false(connect_as(p, CURL, "half.com", 443).obligations & CV_OBLIGE_H2C);
	assert_int_equal(connect_as(p, CURL, "skip.com", 443).obligations,
		CV_OBLIGE_TLS_SKIP | CV_OBLIGE_DECLARED_HOST);
	assert_int_equal(connect_as(p, CURL, "tcp.com", 5432).obligations,
		CV_OBLIGE_TCP | CV_OBLIGE_DECLARED_HOST);
	assert_int_equal(connect_as(p, CURL, "mixed.com", 443).obligations,
		CV_OBLIGE_INSPECT | CV_OBLIGE_DECLARED_HOST);
	assert_int_equal(connect_as(p, CURL, "x.pattern.com", 443).obligations, 0);
	assert_reason(connect_as(p, CURL, "ql.com", 443), UNENFORCEABLE);
	cv_policy_unref(p);
}

static void websocket_messages_need_a_websocket_endpoint(void **state)
{
	static const struct {
		enum cv_policy_protocol protocol;
		enum cv_policy_access access;
		bool may_upgrade, may_post, may_speak;
	} rows[] = {
		{ CV_PROTOCOL_WEBSOCKET, CV_ACCESS_READ_ONLY, true, false, false },
		{ CV_PROTOCOL_WEBSOCKET, CV_ACCESS_READ_WRITE, true, false, true },
		{ CV_PROTOCOL_WEBSOCKET, CV_ACCESS_FULL, true, false, true },
		{ CV_PROTOCOL_REST, CV_ACCESS_FULL, false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_policy_doc *d = with_entry("e");

		doc_rest(d, "h.example.com", rows[i].access)->protocol = rows[i].protocol;
		struct cv_policy *p = compiled(d);
		struct cv_verdict v = request(p, "GET", "/x", NULL);
		assert_int_equal(v.action, CV_ACTION_ALLOW);
		assert_int_equal(!!(v.obligations & CV_OBLIGE_WEBSOCKET), rows[i].may_upgrade);
		v = request(p, "POST", "/x", NULL);
		assert_int_equal(v.action == CV_ACTION_ALLOW, rows[i].may_post);
		v = request(p, "WEBSOCKET_TEXT", "/x", NULL);
		assert_int_equal(v.action == CV_ACTION_ALLOW, rows[i].may_speak);
		cv_policy_unref(p);
	}
}

static void the_entry_that_sorts_first_is_named(void **state)
{
	struct cv_policy_doc *d = with_entry("zeta");

	(void)state;
	doc_endpoint(d, "a.com", 443);
	doc_entry(d, "alpha");
	doc_binary(d, CURL);
	doc_endpoint(d, "**.com", 443);
	doc_endpoint(d, "a.com", 443);
	struct cv_policy *p = compiled(d);
	const struct cv_verdict v = connect_as(p, CURL, "a.com", 443);
	assert_int_equal(v.entry, 1);
	assert_int_equal(v.endpoint, 0);
	assert_ptr_equal(cv_policy_endpoint_of(p, &v), &d->entries[1].endpoints[0]);
	struct cv_policy *same = cv_policy_ref(p);
	cv_policy_unref(p);
	assert_str(cv_policy_entry_name(same, v.entry), "alpha");
	assert_str(cv_policy_entry_name(same, CV_POLICY_NONE), "");
	cv_policy_unref(same);
}

/* What no rule allows waits for a person; what a deny rule names, or no endpoint speaks of, does
 * not. */
static void approve_holds_what_no_rule_allows(void **state)
{
	struct cv_policy_doc *d = with_entry("e");
	struct cv_policy_endpoint *ep = doc_rest(d, "h.example.com", CV_ACCESS_NONE);

	(void)state;
	ep->enforcement = CV_ENFORCEMENT_APPROVE;
	ep->path = (struct cv_policy_text){ CV_STR("/api/**"), { 1, 1 }, true };
	doc_allow(d, "GET", "/api/**");
	doc_deny(d, "*", "/api/secret");
	struct cv_policy *p = compiled(d);
	struct cv_verdict v = request(p, "GET", "/api/x", NULL);
	assert_reason(v, NONE);
	assert_false(v.obligations & CV_OBLIGE_APPROVE);
	v = request(p, "POST", "/api/x", NULL);
	assert_int_equal(v.action, CV_ACTION_ALLOW);
	assert_int_equal(v.reason, CV_REASON_NO_RULE);
	assert_true(v.obligations & CV_OBLIGE_APPROVE);
	assert_false(v.obligations & CV_OBLIGE_LOG_ONLY);
	assert_int_equal(v.line, ep->pos.line);
	v = request(p, "POST", "/api/secret", NULL);
	assert_reason(v, DENY_RULE);
	assert_int_equal(v.action, CV_ACTION_DENY);
	v = request(p, "POST", "/api/a%2Fb", NULL);
	assert_reason(v, ENCODED_SLASH);
	assert_int_equal(v.action, CV_ACTION_DENY);
	v = request(p, "POST", "/other", NULL);
	assert_reason(v, NO_PATH_ENDPOINT);
	assert_int_equal(v.action, CV_ACTION_DENY);
	cv_policy_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(n10_nothing_listed_denies_everything),
		cmocka_unit_test(a1_a2_a3_a4_hosts_match_whole_labels_of_plain_names),
		cmocka_unit_test(a4_no_plain_name_no_endpoint_even_without_host),
		cmocka_unit_test(a9_only_listed_ports),
		cmocka_unit_test(ports_come_in_order_and_once),
		cmocka_unit_test(a10_patterns_never_match_addresses),
		cmocka_unit_test(p3_binaries_exact_glob_ancestor_alias),
		cmocka_unit_test(methods_without_case_and_get_covers_head),
		cmocka_unit_test(access_presets),
		cmocka_unit_test(t13_query_every_occurrence_in_every_reading),
		cmocka_unit_test(t13_a_value_too_long_to_decode_is_no_way_round),
		cmocka_unit_test(selectors_choose_and_the_most_specific_one_enforces),
		cmocka_unit_test(deny_of_any_entry_wins_but_only_of_entries_that_count),
		cmocka_unit_test(malformed_globs_never_allow),
		cmocka_unit_test(obligations_tighten_by_one_and_loosen_by_all),
		cmocka_unit_test(websocket_messages_need_a_websocket_endpoint),
		cmocka_unit_test(the_entry_that_sorts_first_is_named),
		cmocka_unit_test(approve_holds_what_no_rule_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
