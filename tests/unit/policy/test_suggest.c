/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an entry that is suggested is accepted by the policy that it is for, allows what was denied,
 * and of requests nothing else; what can't be allowed gets none.
 * Method: small policies in YAML, a wish, and the text that comes; then the text is appended to the
 * policy, as a person would, which is validated, compiled and asked again.
 */
#include "unit/test.h"

#include "policy/suggest.h"

#include <stdio.h>

#define CURL CV_STR("/usr/bin/curl")
#define HEAD "version: 1\nnetwork_policies:\n"

static struct cv_policy *open_policy(struct cv_str text)
{
	struct cv_policy *policy = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	if (cv_policy_open(CV_STR("p.yaml"), text, &policy, &f) != CV_OK)
		fail_msg("%.*s\n%.*s", CV_STR_ARG(text),
			CV_STR_ARG(f.n ? f.v[0].message : CV_STR("?")));
	cv_findings_fini(&f);
	return policy;
}

static struct cv_policy *no_policy(void)
{
	struct cv_policy *policy = NULL;

	assert_int_equal(cv_policy_compile(NULL, &policy, NULL), CV_OK);
	return policy;
}

static struct cv_wish connection(const char *host, uint16_t port)
{
	struct cv_ip ip;

	return (struct cv_wish){ .facts = { .op = CV_OP_CONNECT,
					 .who = { .is_known = true, .exe = CURL },
					 .host = cv_str_of(host),
					 .host_is_ip = cv_ip_parse(cv_str_of(host), &ip),
					 .port = port } };
}

static struct cv_wish request(const char *host, const char *method, const char *path)
{
	struct cv_wish w = connection(host, 443);

	w.facts.op = CV_OP_REQUEST;
	w.facts.method = cv_str_of(method);
	w.facts.path = cv_str_of(path);
	return w;
}

/* What is suggested for one wish; false for nothing. */
static bool suggest(const char *text, const struct cv_wish *w, struct cv_buf *out)
{
	struct cv_policy *policy = text ? open_policy(cv_str_of(text)) : no_policy();
	struct cv_suggester *s = cv_suggester_new(policy);

	cv_buf_init(out, 1 << 16);
	const bool is_written = cv_suggest(s, w, out);
	assert_true(is_written == (cv_buf_len(out) > 0));
	cv_suggester_free(s);
	cv_policy_unref(policy);
	return is_written;
}

static bool passes(const struct cv_policy *policy, struct cv_facts f, enum cv_op op)
{
	f.op = op;
	const struct cv_verdict v = cv_policy_decide(policy, &f);
	return v.action == CV_ACTION_ALLOW &&
	       !(v.obligations & (CV_OBLIGE_LOG_ONLY | CV_OBLIGE_APPROVE));
}

/* The policy with the entry appended. */
static struct cv_policy *mended(const char *text, const struct cv_buf *entry)
{
	struct cv_buf all;

	cv_buf_init(&all, 1 << 16);
	cv_buf_put(&all, cv_str_of(text ? text : HEAD));
	cv_buf_put(&all, cv_buf_str(entry));
	struct cv_policy *policy = open_policy(cv_buf_str(&all));
	cv_buf_fini(&all);
	return policy;
}

static void helps(const char *text, const struct cv_wish *w, const char *has)
{
	struct cv_buf entry;
	struct cv_facts f = w->facts;

	if (!suggest(text, w, &entry))
		fail_msg("nothing is suggested for:\n%s", text ? text : "no policy");
	if (has && !memmem(cv_buf_str(&entry).p, cv_buf_len(&entry), has, strlen(has)))
		fail_msg("no '%s' in:\n%.*s", has, CV_STR_ARG(cv_buf_str(&entry)));
	struct cv_policy *policy = mended(text, &entry);
	assert_true(passes(policy, f, CV_OP_CONNECT));
	if (f.op == CV_OP_REQUEST) {
		assert_true(passes(policy, f, CV_OP_REQUEST));
		f.path = CV_STR("/something/else");
		const bool is_still_denied = cv_policy_decide(policy, &f).action != CV_ACTION_ALLOW;
		assert_true(is_still_denied);
		f.path = w->facts.path;
		f.method = CV_STR("PURGE");
		assert_true(cv_policy_decide(policy, &f).action != CV_ACTION_ALLOW);
	}
	cv_policy_unref(policy);
	cv_buf_fini(&entry);
}

static void helps_not(const char *text, const struct cv_wish *w)
{
	struct cv_buf entry;

	if (suggest(text, w, &entry))
		fail_msg("suggested:\n%.*s", CV_STR_ARG(cv_buf_str(&entry)));
	cv_buf_fini(&entry);
}

/* An endpoint that is there for git, at *.example.test:443, with these fields. */
#define GIT(fields)                                                                                \
	HEAD "  p0:\n    endpoints:\n      - host: \"*.example.test\"\n        port: 443\n" fields \
	     "    binaries:\n      - path: /usr/bin/git\n"

#define REST  "        protocol: rest\n"
#define READS "        access: read-only\n"

/* Endpoints of every kind that may stand in the way of another one. */
static const struct {
	const char *policy;
	const char *connection, *request; /* what the entry says, too */
} beside[] = {
	{ NULL, "host: h.example.test", "enforcement: enforce" },
	{ GIT(""), NULL, "enforcement: enforce" },
	{ GIT("        tls: skip\n"), "tls: skip", NULL },
	{ GIT("        protocol: tcp\n"), "protocol: tcp", NULL },
	{ GIT("        h2c: true\n"), "h2c: true", "h2c: true" },
	{ GIT("        allowed_ips: [10.0.0.0/8, fd00::/8]\n"), "- \"10.0.0.0/8\"",
		"- \"fd00::/8\"" },
	{ GIT(REST READS), NULL, "path: /v1/a" }, /* audit is the default */
	{ GIT(REST READS "        enforcement: enforce\n"), NULL, "enforcement: enforce" },
	{ GIT(REST READS "        enforcement: approve\n"), NULL, NULL },
	{ GIT(REST READS "        enforcement: enforce\n        allow_encoded_slash: true\n"), NULL,
		"allow_encoded_slash: true" },
	{ GIT(REST READS "        allowed_ips: [10.0.0.0/8]\n"), "access: read-only", NULL },
	{ GIT(REST READS "        tls: skip\n        enforcement: enforce\n"), "tls: skip", NULL },
	{ GIT(REST READS "        scrub: \"off\"\n        body_hold: watch\n"
			 "        enforcement: enforce\n"),
		NULL, "body_hold: watch" },
	{ GIT(REST READS "        path: /v1/**\n        enforcement: enforce\n"), NULL, NULL },
	{ GIT("        protocol: websocket\n        access: full\n        enforcement: enforce\n"),
		NULL, "protocol: websocket" },
};

static void an_entry_agrees_with_what_is_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(beside); i++) {
		const struct cv_wish w = connection("h.example.test", 443);

		helps(beside[i].policy, &w, beside[i].connection);
	}
}

static void a_request_alone_is_allowed(void **state)
{
	const struct cv_wish w = request("h.example.test", "POST", "/v1/a");

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(beside); i++) {
		/* bytes that nobody reads are no requests */
		if (beside[i].policy && (strstr(beside[i].policy, "protocol: tcp") ||
						strstr(beside[i].policy, "tls: skip")))
			continue;
		helps(beside[i].policy, &w, beside[i].request);
	}
}

/* Beside protocol tcp nothing else may stand; then that is said. */
static void a_connection_for_a_request(void **state)
{
	const struct cv_wish w = request("h.example.test", "GET", "/v1/a");
	struct cv_buf entry;

	(void)state;
	assert_true(suggest(GIT("        protocol: tcp\n"), &w, &entry));
	assert_str(cv_buf_str(&entry),
		"  allow_h_example_test_443:\n"
		"    endpoints:\n"
		"      - host: h.example.test\n"
		"        port: 443 # all of the connection: with protocol tcp, no request is read\n"
		"        protocol: tcp\n"
		"    binaries:\n"
		"      - path: /usr/bin/curl\n");
	struct cv_policy *policy = mended(GIT("        protocol: tcp\n"), &entry);
	assert_true(passes(policy, w.facts, CV_OP_REQUEST));
	cv_policy_unref(policy);
	cv_buf_fini(&entry);
}

static const char curls[] = HEAD
	"  p0:\n    endpoints:\n"
	"      - {host: h.example.test, port: 443, protocol: rest, access: read-only}\n"
	"      - {host: h.example.test, port: 443, protocol: rest, path: /v1/**, enforcement: enforce,\n"
	"         allow_encoded_slash: true, rules: [{allow: {method: GET, path: /v1/a}}]}\n"
	"    binaries: [{path: /usr/bin/curl}]\n";

static void a_rule_that_is_missing(void **state)
{
	struct cv_wish w = request("h.example.test", "POST", "/v1/a");
	struct cv_buf entry;

	(void)state;
	assert_true(suggest(curls, &w, &entry));
	struct cv_policy *policy = mended(curls, &entry);
	assert_true(passes(policy, w.facts, CV_OP_REQUEST));
	w.facts.path = CV_STR("/v1/b");
	assert_false(passes(policy, w.facts, CV_OP_REQUEST));
	cv_policy_unref(policy);
	cv_buf_fini(&entry);
	w = request("h.example.test", "GET", "/v1/a"); /* it passes already */
	helps_not(curls, &w);
	w = connection("h.example.test", 443);
	helps_not(curls, &w);
}

static void what_globs_and_yaml_would_read(void **state)
{
	struct cv_wish w = request("h.example.test", "delete", "/a*b/[x]{y}?\"z:-'q");

	(void)state;
	w.facts.who.exe = CV_STR("/opt/my tool/\xc3\xbc:*");
	helps(NULL, &w, "/opt/my tool/\xc3\xbc:");
	helps(GIT(REST READS), &w, "path: \"/a");
	w.facts.who.exe = CV_STR("/opt/\x1b[2Jx");
	helps_not(NULL, &w);
	w.facts.who.exe = CV_STR_NONE;
	helps_not(NULL, &w);
	w = connection("h\n.test", 443);
	helps_not(NULL, &w);
}

static void an_encoded_slash_is_kept(void **state)
{
	const struct cv_wish w = request("h.example.test", "GET", "/a%2Fb");

	(void)state;
	helps(NULL, &w, "allow_encoded_slash: true");
	helps(GIT(""), &w, "allow_encoded_slash: true");
	/* it would have to be kept for that one, too, were there not a path of its own */
	helps(GIT(REST READS "        enforcement: enforce\n"), &w,
		"path: \"/a%2Fb\"\n        protocol");
}

static void what_nobody_may_reach(void **state)
{
	static const char *const host[] = { "169.254.169.254", "127.0.0.1", "::1", "fe80::1",
		"0.0.0.0", "100.100.100.200", "fd00:ec2::254", "::ffff:127.0.0.1" };
	struct cv_ip ip;
	struct cv_wish w;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(host); i++) {
		w = connection(host[i], 80);
		helps_not(NULL, &w);
		w.facts.op = CV_OP_REQUEST;
		w.facts.method = CV_STR("GET");
		w.facts.path = CV_STR("/");
		helps_not(NULL, &w);
		w = connection("h.example.test", 443);
		assert_true(cv_ip_parse(cv_str_of(host[i]), &ip));
		w.address = &ip;
		helps_not(NULL, &w);
		helps_not(GIT(""), &w);
	}
	w = connection("10.1.2.3", 6443); /* a control plane's */
	helps_not(NULL, &w);
	w = connection("10.1.2.3", 443);
	helps(NULL, &w, "host: \"10.1.2.3\"");
}

static void a_name_alone_is_a_guess(void **state)
{
	struct cv_wish w = connection("ok.example.com", 443);
	struct cv_buf entry;

	(void)state;
	w.facts.who.exe = CV_STR_NONE;
	w.is_name_only = true;
	assert_true(suggest(NULL, &w, &entry));
	assert_str(cv_buf_str(&entry),
		"  allow_ok_example_com_443:\n"
		"    endpoints:\n"
		"      - host: ok.example.com\n"
		"        port: 443 # a guess: only the name was asked for\n"
		"    binaries:\n"
		"      - path: \"/**\" # any program: which one asked is not known\n");
	struct cv_policy *policy = mended(NULL, &entry);
	w.facts.who.exe = CURL;
	assert_true(passes(policy, w.facts, CV_OP_CONNECT));
	cv_policy_unref(policy);
	cv_buf_fini(&entry);
}

static void a_private_address(void **state)
{
	static const char listed[] = HEAD
		"  p0:\n    endpoints:\n      - {host: h.example.test, port: 443, allowed_ips: [10.0.0.0/16]}\n"
		"    binaries: [{path: /usr/bin/curl}]\n";
	static const char wild[] = HEAD
		"  p0:\n    endpoints:\n      - {host: \"*.example.test\", port: 443, protocol: rest,\n"
		"         access: full}\n    binaries: [{path: /usr/bin/curl}]\n";
	struct cv_wish w = connection("h.example.test", 443);
	struct cv_buf entry;
	struct cv_ip ip;

	(void)state;
	assert_true(cv_ip_parse(CV_STR("10.1.2.3"), &ip));
	w.address = &ip;
	helps(wild, &w, "host: h.example.test"); /* behind a wildcard: it has to be named */
	assert_true(suggest(listed, &w, &entry));
	assert_str(cv_buf_str(&entry), "  # add 10.1.2.3 to the allowed_ips of p0 (line 5)\n");
	cv_buf_fini(&entry);
	assert_true(cv_ip_parse(CV_STR("10.0.2.3"), &ip));
	helps_not(listed, &w);
}

/* The rest of a document is neither in the way nor lost sight of. */
static void a_whole_document(void **state)
{
	static const char text[] =
		"version: 1\nfilesystem_policy: {read_only: [/usr]}\n"
		"tools: {issues: {tools: [issue_new], approval: once}}\n"
		"network_middlewares: {m: {middleware: openshell/regex, order: 1,\n"
		"  endpoints: {include: [\"*.example.test\"]}}}\n"
		"network_policies:\n  p0:\n    endpoints:\n"
		"      - {host: h.example.test, port: 443, protocol: rest, access: read-only}\n"
		"    binaries: [{path: /usr/bin/git}]\n";
	struct cv_wish w = connection("h.example.test", 443);

	(void)state;
	helps(text, &w, NULL);
	w = request("h.example.test", "GET", "/a");
	helps(text, &w, "path: /a");
}

/* Entries that stand together, below a key that is taken. */
static void several_at_once(void **state)
{
	static const char text[] = HEAD
		"  allow_h_example_test_443:\n    endpoints:\n      - {host: a.test, port: 443}\n"
		"    binaries: [{path: /usr/bin/git}]\n";
	struct cv_policy *policy = open_policy(cv_str_of(text));
	struct cv_suggester *s = cv_suggester_new(policy);
	struct cv_wish w = request("h.example.test", "GET", "/a");
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 1 << 16);
	assert_true(cv_suggest(s, &w, &out));
	assert_false(cv_suggest(s, &w, &out)); /* said already */
	w.facts.path = CV_STR("/b");
	assert_true(cv_suggest(s, &w, &out));
	w = request("h.example.test", "GET", "/c%2Fd");
	assert_true(cv_suggest(s, &w, &out));
	w = connection("h.example.test", 443);
	w.facts.who.exe = CV_STR("/usr/bin/git");
	assert_true(cv_suggest(s, &w, &out));
	struct cv_policy *after = mended(text, &out);
	assert_true(passes(after, w.facts, CV_OP_CONNECT));
	w = request("h.example.test", "GET", "/b");
	assert_true(passes(after, w.facts, CV_OP_REQUEST));
	w = request("h.example.test", "GET", "/c%2Fd");
	assert_true(passes(after, w.facts, CV_OP_REQUEST));
	assert_non_null(
		memmem(cv_buf_str(&out).p, cv_buf_len(&out), "allow_h_example_test_443_5:", 27));
	cv_policy_unref(after);
	cv_suggester_free(s);
	cv_policy_unref(policy);
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_agrees_with_what_is_there),
		cmocka_unit_test(a_request_alone_is_allowed),
		cmocka_unit_test(a_connection_for_a_request),
		cmocka_unit_test(a_rule_that_is_missing),
		cmocka_unit_test(what_globs_and_yaml_would_read),
		cmocka_unit_test(an_encoded_slash_is_kept),
		cmocka_unit_test(what_nobody_may_reach),
		cmocka_unit_test(a_name_alone_is_a_guess),
		cmocka_unit_test(a_private_address),
		cmocka_unit_test(a_whole_document),
		cmocka_unit_test(several_at_once),
	};

	return cmocka_run_group_tests_name("policy/suggest", tests, NULL, NULL);
}
