/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy.c - any bytes as a policy: loaded, judged, and what was found shown
 *
 * Besides what the sanitizers see: a failure is never silent, a place lies inside the text, what is
 * shown is printable ASCII lines, and what was read is written as something that reads the same.
 * Whatever was loaded, valid or not, is then compiled and asked about calls of tools: what is
 * written about them never holds a value of their arguments.
 */
#include "base/assert.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "policy/explain.h"
#include "policy/fill.h"
#include "policy/findings.h"

static void check_places(const struct cv_findings *f, struct cv_str text)
{
	size_t lines = 1;

	for (size_t i = 0; i < text.n; i++) /* YAML also breaks lines at CR, NEL, LS and PS */
		lines += text.p[i] == '\n' || text.p[i] == '\r' || (unsigned char)text.p[i] >= 0x80;
	cv_assert(f->n <= CV_POLICY_FINDINGS_MAX);
	for (size_t i = 0; i < f->n; i++) {
		cv_assert(f->v[i].pos.line <= lines);
		cv_assert(f->v[i].pos.column <= text.n + 1);
		cv_assert(!f->v[i].pos.line == !f->v[i].pos.column);
		cv_assert(f->v[i].message.n > 0);
	}
}

static void check_shown(const struct cv_findings *f)
{
	struct cv_buf out;

	cv_buf_init(&out, 1 << 20);
	cv_findings_text(f, CV_STR("policy.yaml"), &out);
	const struct cv_str s = cv_buf_str(&out);
	for (size_t i = 0; i < s.n; i++)
		cv_assert(s.p[i] == '\n' || (s.p[i] >= 0x20 && s.p[i] < 0x7f));
	cv_findings_json(f, CV_STR("policy.yaml"), &out);
	cv_buf_fini(&out);
}

#define STR(lit)                        \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}

/* Checked for only where the policy does not have it itself. */
#define CANARY "kQ7z-canary-w3Xp"

static const struct cv_value inner_members[] = {
	{ .type = CV_VALUE_STRING, .s = STR(CANARY) },
	{ .type = CV_VALUE_NUMBER, .s = STR("1e3") },
	{ .type = CV_VALUE_ARRAY },
};
static const struct cv_str inner_keys[] = { STR("a"), STR("b"), STR(CANARY) };
static const struct cv_value members[] = {
	{ .type = CV_VALUE_STRING, .s = STR(CANARY) },
	{ .type = CV_VALUE_OBJECT, .n = 3, .v = inner_members, .key = inner_keys },
	{ .type = CV_VALUE_ARRAY, .n = 3, .v = inner_members },
	{ .type = CV_VALUE_NULL },
};
static const struct cv_str keys[] = { STR("repo"), STR("a"), STR("labels"), STR("n") };
static const struct cv_value arguments = {
	.type = CV_VALUE_OBJECT, .n = CV_ARRAY_LEN(members), .v = members, .key = keys
};

static bool has_canary(struct cv_str s)
{
	return memmem(s.p, s.n, CANARY, sizeof(CANARY) - 1) != NULL;
}

static void check_call(
	const struct cv_policy *p, struct cv_str tool, const struct cv_value *with, bool is_known)
{
	const struct cv_tool_facts facts = { .who = { .is_known = true, .exe = CV_STR("/bin/a") },
		.tool = tool,
		.arguments = with };
	const struct cv_tool_verdict v = cv_policy_decide_tool(p, &facts);
	struct cv_buf out;

	cv_assert((v.action == CV_ACTION_ALLOW) == (v.reason == CV_REASON_NONE));
	cv_assert(v.action == CV_ACTION_DENY || v.rule != CV_POLICY_NONE);
	cv_buf_init(&out, 8u << 20);
	cv_policy_explain_tool_text(p, &facts, &out);
	cv_policy_explain_tool_json(p, &facts, &out);
	const struct cv_str s = cv_buf_str(&out);
	cv_assert(out.is_overflown || cv_utf8_is_valid(s));
	cv_assert(is_known || !has_canary(s));
	cv_buf_fini(&out);
}

/* Takes doc. */
static void check_tools(struct cv_policy_doc *doc, bool is_known)
{
	struct cv_policy *p = NULL;

	if (cv_policy_compile(doc, &p, NULL) != CV_OK)
		return;
	check_call(p, CV_STR("a"), &arguments, is_known);
	check_call(p, CV_STR("github.issue_new"), NULL, is_known);
	for (size_t i = 0; i < doc->tool_rule_count && i < 4; i++)
		if (doc->tool_rules[i].tools.n)
			check_call(p, doc->tool_rules[i].tools.v[0].s, &arguments, is_known);
	cv_policy_unref(p);
}

/* Written, read and written again: the same. */
static void check_written(const struct cv_policy_doc *doc)
{
	struct cv_policy_doc *again = NULL;
	struct cv_findings f;
	struct cv_buf once, twice;

	cv_buf_init(&once, CV_POLICY_FILE_BYTES_MAX);
	cv_buf_init(&twice, CV_POLICY_FILE_BYTES_MAX);
	cv_findings_init(&f);
	cv_fill_write(&cv_policy_schema, doc, &once);
	if (!once.is_overflown &&
		cv_policy_load(CV_STR("p"), cv_buf_str(&once), &again, &f) == CV_OK) {
		cv_fill_write(&cv_policy_schema, again, &twice);
		cv_assert(cv_str_eq(cv_buf_str(&once), cv_buf_str(&twice)));
	}
	cv_assert(once.is_overflown || again);
	cv_policy_doc_free(again);
	cv_findings_fini(&f);
	cv_buf_fini(&once);
	cv_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	struct cv_policy_doc *doc = NULL;
	struct cv_findings f;

	cv_findings_init(&f);
	const cv_code code = cv_policy_load(CV_STR("policy.yaml"), text, &doc, &f);
	cv_assert((code == CV_OK) == (doc != NULL));
	cv_assert((code == CV_OK) == (f.error_count == 0));
	if (doc) {
		const cv_code valid = cv_policy_validate(doc, &f);
		cv_assert((valid == CV_OK) == (f.error_count == 0));
		(void)!cv_policy_enforceable(doc, &f);
		check_written(doc);
	}
	check_places(&f, text);
	check_shown(&f);
	cv_findings_fini(&f);
	if (doc)
		check_tools(doc, text.n && has_canary(text));
	return 0;
}
