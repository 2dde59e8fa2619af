/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_policy.c - the policy of a run
 *
 * The text is judged here, so that a bad policy stops the run before anything starts; the proxy
 * judges it again by the same functions, from the supervisor's own reading of the file.
 */
#include "cli/run_int.h"

#include "policy/findings.h"
#include "policy/policy.h"

#include <stdlib.h>

#define FINDINGS_BYTES_MAX (1u << 20) /* CV_POLICY_FINDINGS_MAX of them, each a long line */

/* Without a policy the providers' rules are all there is. */
static const char *policy_name(const struct cv_run_request *r)
{
	return r->policy_path ? r->policy_path : CV_PLAN_NO_POLICY_NAME;
}

static void findings_print(const struct cv_run_request *r, const struct cv_findings *findings)
{
	struct cv_buf b;

	if (!findings->n || (r->spec.is_quiet && !findings->error_count))
		return;
	cv_buf_init(&b, FINDINGS_BYTES_MAX);
	cv_findings_text(findings, cv_str_of(policy_name(r)), &b);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
}

/* The snapshot, as the proxy will make it. */
static cv_code open_layered(const struct cv_run_request *r, struct cv_str text, struct cv_str layer,
	struct cv_policy **ret, struct cv_findings *findings, struct cv_err *err)
{
	struct cv_policy_doc *doc = NULL;
	cv_code code =
		cv_policy_load_layered(cv_str_of(policy_name(r)), text, layer, &doc, findings);

	if (code == CV_OK)
		code = cv_policy_validate(doc, findings);
	if (code == CV_OK)
		code = cv_policy_enforceable(doc, findings);
	findings_print(r, findings);
	if (code != CV_OK) {
		cv_policy_doc_free(doc);
		return cv_fail(err, code, "policy %s: %zu error%s; nothing was started",
			policy_name(r), findings->error_count,
			findings->error_count == 1 ? "" : "s");
	}
	return cv_policy_compile(doc, ret, err); /* takes doc */
}

static cv_code judge(struct cv_run_request *r, struct run_providers *providers,
	struct run_tools *tools, struct cv_str text, struct cv_findings *findings,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_policy *policy = NULL;
	cv_code code =
		open_layered(r, text, run_providers_layer(providers), &policy, findings, err);

	if (code != CV_OK)
		return code;
	r->spec.has_network = cv_policy_has_network(policy);
	code = cv_driver_sections_take(&r->spec, cv_policy_doc(policy), arena, err);
	if (code == CV_OK && providers->count)
		code = run_providers_compose(providers, r, cv_policy_doc(policy), arena, err);
	if (code == CV_OK && tools->count)
		code = run_tools_compose(tools, r, providers, policy, arena, err);
	cv_policy_unref(policy);
	return code;
}

cv_code run_policy_fill(struct cv_run_request *r, struct run_providers *providers,
	struct run_tools *tools, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_str s = CV_STR(CV_PLAN_NO_POLICY_TEXT);
	struct cv_findings findings;
	char *text = NULL;

	if (r->policy_path) {
		if (cv_policy_file_read(r->policy_path, &text, &s.n, err) != CV_OK)
			return err->code;
		s.p = text;
	}
	cv_findings_init(&findings);
	const cv_code code = judge(r, providers, tools, s, &findings, arena, err);
	cv_findings_fini(&findings);
	free(text);
	return code;
}
