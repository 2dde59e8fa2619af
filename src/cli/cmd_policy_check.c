/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_policy_check.c - `cove policy check FILE...`: is it a policy, and would it run here?
 *
 * Loads, validates and compiles each file exactly as `cove run` does.  What is valid in the
 * language but not enforced by this build is a warning here and an error when it is run.
 */
#include "cli/files.h"

#include "policy/policy.h"

/* What can't be run yet is no fault of the policy. */
static void enforceable_warn(const struct cv_policy_doc *doc, struct cv_findings *f)
{
	const size_t before = f->n;

	(void)!cv_policy_enforceable(doc, f);
	for (size_t i = before; i < f->n; i++)
		f->v[i].is_error = false;
	f->error_count = 0;
}

static void policy_judge(const char *path, struct cv_str text, struct cv_findings *findings)
{
	struct cv_policy *policy = NULL;

	if (cv_policy_open(cv_str_of(path), text, &policy, findings) == CV_OK)
		enforceable_warn(cv_policy_doc(policy), findings);
	cv_policy_unref(policy);
}

static int check_run(const struct cv_command *self, int argc, char **argv)
{
	static const struct cv_files_judge judge = {
		.read = cv_policy_file_read,
		.judge = policy_judge,
		.missing = "name the policy file to check",
	};

	return cv_files_run(self, &judge, argc, argv);
}

const struct cv_command cv_cmd_policy_check = {
	.name = "policy check",
	.operands = "FILE...",
	.summary = "say whether policies are valid, and where they are not",
	.options = cv_files_options,
	.option_count = CV_ARRAY_LEN(cv_files_options),
	.run = check_run,
};
