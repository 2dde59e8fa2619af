/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_decide.c - requests made of any bytes, on a policy that has a bit of everything
 *
 * Lines: host, method, path, query.  Properties: the oracle gives the same verdict; explaining it
 * in both forms is one line or many of printable text.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/utf8.h"
#include "policy/explain.h"
#include "unit/policy/doc.c"
#include "unit/policy/oracle.c"

#define FIELD_BYTES_MAX 96 /* the oracle is slow, and its buffers are small */

static struct cv_policy *policy_new(void)
{
	struct cv_policy_doc *d = doc_new();
	struct cv_policy_endpoint *ep;
	struct cv_policy *p = NULL;

	doc_entry(d, "a");
	doc_binary(d, "/bin/a");
	doc_rest(d, "**.x.com", CV_ACCESS_NONE);
	doc_allow(d, "GET", "/a/*/c{d,e}");
	doc_allow(d, "GET", "/a/**");
	doc_query(d, "k", "1*");
	doc_query(d, "l m", "[a-c]");
	doc_query_or(d, "x?");
	doc_allow(d, "*", "**/z");
	doc_deny(d, "*", "/a/**/q");
	doc_deny(d, "POST", "**");
	doc_query(d, "k", "e.*");
	doc_entry(d, "b");
	doc_binary(d, "/bin/*");
	ep = doc_rest(d, "a.*.com", CV_ACCESS_READ_WRITE);
	ep->path = (struct cv_policy_text){ CV_STR("/b*"), { 1, 1 }, true };
	ep->allow_encoded_slash = true;
	ep = doc_rest(d, "a.x.com", CV_ACCESS_READ_ONLY);
	ep->enforcement = CV_ENFORCEMENT_AUDIT;
	cv_assert(cv_policy_compile(d, &p, NULL) == CV_OK);
	return p;
}

static void explanation_check(const struct cv_policy *p, const struct cv_facts *f, bool is_json)
{
	struct cv_buf out;

	cv_buf_init(&out, 4u << 20);
	if (is_json)
		cv_policy_explain_json(p, f, &out);
	else
		cv_policy_explain_text(p, f, &out);
	const struct cv_str s = cv_buf_str(&out);
	cv_assert(!out.is_overflown && s.n && cv_utf8_is_valid(s));
	for (size_t i = 0; i < s.n; i++)
		cv_assert((unsigned char)s.p[i] >= ' ' ||
			  (s.p[i] == '\n' && (!is_json || i == s.n - 1)));
	cv_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_policy *p; /* immutable, and kept for all inputs */
	struct cv_str rest = { (const char *)data, size }, field[4];

	if (!p)
		p = policy_new();
	for (size_t i = 0; i < CV_ARRAY_LEN(field); i++) {
		field[i] = i == 3 ? rest : cv_str_cut(&rest, '\n');
		if (field[i].n > FIELD_BYTES_MAX)
			return 0;
	}
	const struct cv_facts f = { .op = CV_OP_REQUEST,
		.who = { .is_known = true, .exe = CV_STR("/bin/a") },
		.host = field[0],
		.port = 443,
		.method = field[1],
		.path = field[2],
		.query = field[3] };
	const struct cv_verdict got = cv_policy_decide(p, &f);
	const struct cv_verdict want = oracle_decide(cv_policy_doc(p), &f);

	cv_assert(got.action == want.action && got.reason == want.reason);
	cv_assert(got.entry == want.entry && got.endpoint == want.endpoint);
	cv_assert(got.rule == want.rule && got.obligations == want.obligations);
	explanation_check(p, &f, false);
	explanation_check(p, &f, true);
	return 0;
}
