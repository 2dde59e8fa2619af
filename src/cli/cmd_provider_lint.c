/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_provider_lint.c - `cove provider lint FILE...`: is it a provider profile, or an instance?
 *
 * Reads each file exactly as `cove run --provider` does, without looking for any value.
 */
#include "cli/files.h"
#include "cli/profiles.h"

#include "policy/findings.h"

#include <stdlib.h>

/* The profile that an instance names is judged as far as the instance needs it. */
static void instance_lint(const char *path, struct cv_str text, struct cv_findings *f)
{
	struct cv_provider_found found = { 0 };
	struct cv_instance *instance = NULL;
	struct cv_err err = { 0 };

	if (cv_instance_load(cv_str_of(path), text, &instance, f) != CV_OK)
		return;
	const char *word = instance->profile.s.p;
	char *file = cv_provider_is_file(word) ? cv_provider_path(word, path) : NULL;
	if (cv_provider_find(file ? file : word, true, &found, &err) != CV_OK)
		cv_findings_add(f, CV_FINDING_ERROR, instance->profile.pos, CV_STR_NONE, NULL, "%s",
			err.msg);
	else
		(void)!cv_instance_fits(instance, found.profile, f);
	cv_provider_found_fini(&found);
	cv_instance_free(instance);
	free(file);
}

static void provider_judge(const char *path, struct cv_str text, struct cv_findings *findings)
{
	struct cv_profile *profile = NULL;

	if (cv_instance_is_one(text))
		instance_lint(path, text, findings);
	else
		(void)!cv_profile_load(cv_str_of(path), text, &profile, findings);
	cv_profile_free(profile);
}

static int lint_run(const struct cv_command *self, int argc, char **argv)
{
	static const struct cv_files_judge judge = {
		.read = cv_provider_file_read,
		.judge = provider_judge,
		.missing = "name the file to check",
	};

	return cv_files_run(self, &judge, argc, argv);
}

const struct cv_command cv_cmd_provider_lint = {
	.name = "provider lint",
	.operands = "FILE...",
	.summary = "say whether provider files are right, and where they are not",
	.options = cv_files_options,
	.option_count = CV_ARRAY_LEN(cv_files_options),
	.run = lint_run,
};
