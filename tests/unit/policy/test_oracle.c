/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: cv_policy_decide() and a naive second implementation give the same verdict.
 * Method: random small documents over few names, so that things meet; many facts on each.
 */
#include "unit/test.h"

#include "policy/policy.h"
#include "unit/policy/doc.h"
#include "unit/policy/oracle.h"

#include <stdio.h>
#include <stdlib.h>

#define DOCS    3000
#define PER_DOC 50
#define SEED    0x8c7f0aac97c4aa2fu

static uint64_t seed = SEED;

static uint32_t roll(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % n;
}

#define PICK(list) ((list)[roll(CV_ARRAY_LEN(list))])

/* clang-format off */
static const char *const hosts[] = { "a.x.com", "b.x.com", "x.com", "a.b.x.com", "A.X.com", "*.x.com",
	"**.x.com", "a*.x.com", "a.*.com", "*-1.x.com", "10.0.0.1", "fd00:0::1", "[a.x.com", "*.[x.com", NULL, "*", "{a,b*}.x.com" };
static const char *const ask_hosts[] = { "a.x.com", "b.x.com", "x.com", "a.b.x.com", "c-1.x.com", "10.0.0.1",
	"fd00::1", "a.x.com.", "A.x.com", "", ".x.com", "a..x.com", "evil.com", "a\x01.x.com" };
static const char *const binaries[] = { "/usr/bin/curl", "/usr/bin/git", "/usr/bin/*", "/usr/**", "/opt/[a*", "/bin/sh" };
static const char *const exes[] = { "/usr/bin/curl", "/usr/bin/git", "/usr/lib/x/y", "/bin/sh", "/opt/a" };
static const char *const methods[] = { "GET", "get", "HEAD", "POST", "DELETE", "OPTIONS", "*", "PURGE", "purge", "",
	"WEBSOCKET_TEXT", "websocket_text" };
static const char *const paths[] = { "/", "/a", "/a/b", "/a/*", "/a/**", "/**", "**", "/*/b", "/a/**/c", "**/c", "/[ab]/b",
	"/{a,b}/c", "/{a/b,c}/d", "/a?", "/a[", "", "/a/b*", "/a/b/", "*", "/ab*/*", "/a*/**" };
static const char *const ask_paths[] = { "/", "/a", "/a/", "/a/b", "/b/b", "/a/b/c", "/c/c", "/a/c", "/a/b/d", "/ab", "*",
	"/a/b%2Fc", "/a/b%2fc", "/x", "/a/b/", "/ab/c", "/abc/d", "/a[" };
static const char *const selectors[] = { NULL, NULL, NULL, "/a/**", "/a", "/*/b", "**", "/b/**", "/a[", "/a/b*" };
static const char *const keys[] = { "k", "q", "k k", "" };
static const char *const values[] = { "1", "*", "a*", "1.*", "**", "[", "", "a b", "{1,2}" };
static const char *const queries[] = { NULL, "", "k=1", "k=2", "k=1&k=2", "k=1;q=2", "k", "%6b=1", "k=%31", "k=a+b", "k=1.2.3",
	"k=1&q=1", "q=1", "k+k=1", "k=%zz", "k=1&&", "=1", "k=%00", "k=%", "k=a%2Ab", "k=1;k=2", "k=1.2" };
static const char *const ips[] = { "10.0.0.0/8", "192.0.2.1", "nonsense" };
/* clang-format on */

static void random_rule(struct cv_policy_doc *d, bool is_deny)
{
	const char *method = PICK(methods), *path = PICK(paths);

	if (is_deny)
		doc_deny(d, method, path);
	else
		doc_allow(d, method, path);
	while (roll(3) == 0) {
		doc_query(d, PICK(keys), PICK(values));
		if (roll(3) == 0)
			doc_query_or(d, PICK(values));
	}
}

static void random_endpoint(struct cv_policy_doc *d)
{
	struct cv_policy_endpoint *ep =
		doc_endpoint(d, roll(2) ? PICK(hosts) : "a.x.com", roll(8) ? 443 : 0);
	const char *selector = PICK(selectors);

	if (roll(4) == 0)
		doc_port(d, roll(2) ? 443 : 80);
	if (roll(6) == 0 || ep->host.s.n == 0)
		doc_ip(d, PICK(ips));
	ep->protocol = roll(3) == 0    ? CV_PROTOCOL_L4
		       : roll(3) == 0  ? CV_PROTOCOL_WEBSOCKET
		       : roll(10) == 0 ? (enum cv_policy_protocol)roll(
						 CV_PROTOCOL_POSTGRES) /* not its commands */
				       : CV_PROTOCOL_REST;
	ep->enforcement = roll(3)   ? CV_ENFORCEMENT_ENFORCE
			  : roll(2) ? CV_ENFORCEMENT_AUDIT
				    : CV_ENFORCEMENT_APPROVE;
	ep->tls = roll(3) ? CV_TLS_AUTO : CV_TLS_SKIP;
	ep->allow_encoded_slash = roll(3) == 0;
	if (selector)
		ep->path = (struct cv_policy_text){ cv_str_of(selector), { 1, 1 }, true };
	if (roll(3) == 0)
		ep->access = (enum cv_policy_access)roll(CV_ACCESS_COUNT);
	else
		for (uint32_t n = 1 + roll(roll(8) ? 5 : 30); n > 0; n--)
			random_rule(d, false);
	for (uint32_t n = roll(2) ? 0 : roll(3); n > 0; n--)
		random_rule(d, true);
}

static struct cv_policy_doc *random_doc(void)
{
	static const char *const entry_names[] = { "m", "c", "z", "a", "q" };
	struct cv_policy_doc *d = doc_new();
	const uint32_t entries = roll(20) ? 1 + roll(CV_ARRAY_LEN(entry_names)) : 0;

	for (uint32_t i = 0; i < entries; i++) {
		doc_entry(d, entry_names[i]);
		for (uint32_t n = roll(3); n > 0; n--)
			doc_binary(d, PICK(binaries));
		if (roll(2))
			doc_binary(d, "/usr/bin/curl");
		for (uint32_t n = roll(8) ? 1 + roll(4) : 0; n > 0; n--)
			random_endpoint(d);
	}
	return d;
}

static void random_facts(struct cv_facts *f, struct cv_str ancestors[4])
{
	memset(f, 0, sizeof(*f));
	f->op = roll(3) ? CV_OP_REQUEST : CV_OP_CONNECT;
	f->who.is_known = roll(12) != 0;
	f->who.exe = cv_str_of(roll(2) ? "/usr/bin/curl" : PICK(exes));
	f->who.ancestors = ancestors;
	f->who.ancestor_count = roll(4);
	for (size_t i = 0; i < f->who.ancestor_count; i++)
		ancestors[i] = cv_str_of(PICK(exes));
	f->host = cv_str_of(roll(2) ? "a.x.com" : PICK(ask_hosts));
	f->host_is_ip =
		f->host.n && strchr(f->host.p, '.') != f->host.p &&
		(cv_str_eq(f->host, CV_STR("10.0.0.1")) || cv_str_eq(f->host, CV_STR("fd00::1")));
	f->port = roll(12) ? 443 : (uint16_t)(roll(2) ? 80 : 0);
	f->method = cv_str_of(PICK(methods));
	f->path = cv_str_of(PICK(ask_paths));
	f->query = cv_str_of(PICK(queries));
}

static void same_verdict(const struct cv_verdict *got, const struct cv_verdict *want,
	const struct cv_facts *f, uint32_t doc)
{
	if (got->action == want->action && got->reason == want->reason &&
		got->entry == want->entry && got->endpoint == want->endpoint &&
		got->rule == want->rule && got->obligations == want->obligations)
		return;
	fail_msg("document %u: %s %.*s:%u %.*s %.*s?%.*s: got %d %s %d.%d.%d 0x%x, "
		 "want %d %s %d.%d.%d 0x%x",
		doc, f->op ? "request" : "connect", CV_STR_ARG(f->host), f->port,
		CV_STR_ARG(f->method), CV_STR_ARG(f->path), CV_STR_ARG(f->query), got->action,
		cv_reason_code(got->reason), (int)got->entry, (int)got->endpoint, (int)got->rule,
		got->obligations, want->action, cv_reason_code(want->reason), (int)want->entry,
		(int)want->endpoint, (int)want->rule, want->obligations);
}

static void decides_as_the_oracle(void **state)
{
	unsigned by_reason[CV_REASON_COUNT] = { 0 }, log_only = 0, held = 0;

	(void)state;
	print_message("# seed %llx\n", (unsigned long long)seed);
	for (uint32_t d = 0; d < DOCS; d++) {
		struct cv_policy_doc *doc = random_doc();
		struct cv_policy *p = NULL;

		assert_int_equal(cv_policy_compile(doc, &p, NULL), CV_OK);
		for (uint32_t i = 0; i < PER_DOC; i++) {
			struct cv_str ancestors[4];
			struct cv_facts f;

			random_facts(&f, ancestors);
			const struct cv_verdict got = cv_policy_decide(p, &f);
			const struct cv_verdict want = oracle_decide(doc, &f);
			same_verdict(&got, &want, &f, d);
			by_reason[got.reason]++;
			log_only += (got.obligations & CV_OBLIGE_LOG_ONLY) != 0;
			held += (got.obligations & CV_OBLIGE_APPROVE) != 0;
		}
		cv_policy_unref(p);
	}
	for (unsigned r = 0; r < CV_REASON_COUNT; r++) {
		print_message("# %7u %s\n", by_reason[r], cv_reason_code((enum cv_reason)r));
		if (r != CV_REASON_IDENTITY_CHANGED /* the proxy's to say */ &&
			r != CV_REASON_DESTINATION && r != CV_REASON_NO_TOOL &&
			r != CV_REASON_TOOL_ARGUMENTS)
			assert_true(by_reason[r] > 100);
	}
	print_message("# %7u logged only, %u held\n", log_only, held);
	assert_true(log_only > 100 && held > 100);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(decides_as_the_oracle) };

	if (argc > 1) /* another seed, by hand */
		seed = strtoull(argv[1], NULL, 16);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
