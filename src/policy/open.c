/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - text to snapshot in one call
 */
#include "policy/findings.h"

cv_code cv_policy_open(struct cv_str file, struct cv_str text, struct cv_policy **ret,
	struct cv_findings *findings)
{
	struct cv_policy_doc *doc;
	struct cv_err err;
	cv_code code = cv_policy_load(file, text, &doc, findings);

	if (code != CV_OK)
		return code;
	code = cv_policy_validate(doc, findings);
	if (code != CV_OK) {
		cv_policy_doc_free(doc);
		return code;
	}
	code = cv_policy_compile(doc, ret, &err); /* takes doc */
	if (code != CV_OK)
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, "make it smaller", "%s", err.msg);
	return code;
}
