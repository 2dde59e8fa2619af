/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy.c - any bytes as a policy: loaded, judged, and what was found shown
 *
 * Besides what the sanitizers see: a failure is never silent, a place lies inside the text, and
 * what is shown is printable ASCII lines.
 */
#include "base/assert.h"
#include "fuzz/fuzz.h"
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
	}
	check_places(&f, text);
	check_shown(&f);
	cv_findings_fini(&f);
	cv_policy_doc_free(doc);
	return 0;
}
