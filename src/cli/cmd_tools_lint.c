/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_tools_lint.c - `cove tools lint FILE...`: is it a catalog of host tools?
 *
 * Reads each file exactly as `cove run --tools` does, without looking for any credential and without
 * starting anything.
 */
#include "cli/tools.h"

static void catalog_judge(const char *path, struct cv_str text, struct cv_findings *findings)
{
	struct cv_catalog *catalog = NULL;

	(void)!cv_catalog_load(cv_str_of(path), text, &catalog, findings);
	cv_catalog_free(catalog);
}

static int lint_run(const struct cv_command *self, int argc, char **argv)
{
	static const struct cv_files_judge judge = {
		.read = cv_catalog_file_read,
		.judge = catalog_judge,
		.missing = "name the file to check",
	};

	return cv_files_run(self, &judge, argc, argv);
}

const struct cv_command cv_cmd_tools_lint = {
	.name = "tools lint",
	.operands = "FILE...",
	.summary = "say whether catalogs of host tools are right, and where they are not",
	.options = cv_files_options,
	.option_count = CV_ARRAY_LEN(cv_files_options),
	.run = lint_run,
};
