/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_provider_lint.c - `cove provider lint FILE...`: is it a provider profile, or an instance?
 *
 * Reads each file exactly as `cove run --provider` does, without looking for any value.  Findings go
 * to stdout, one line each; the exit status is 0 when no file has an error and 1 otherwise (2 for
 * wrong words, 125 when a file can't be read).
 */
#include "cli/commands.h"
#include "cli/profiles.h"

#include "policy/findings.h"

#include <stdlib.h>

#define OUTPUT_BYTES_MAX (16u << 20) /* every finding of every file of one call */

struct lint_options {
	enum cv_output output;
};

static cv_code set_output(void *into, const char *value, struct cv_err *err)
{
	return cv_option_output(value, &((struct lint_options *)into)->output, err);
}

static const struct cv_option option[] = {
	{ "output", 'o', "text|json", "how to print the findings", set_output },
};

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

static cv_code lint_one(const struct lint_options *o, const char *path, struct cv_buf *out,
	size_t *ret_errors, struct cv_err *err)
{
	struct cv_profile *profile = NULL;
	struct cv_findings f;
	char *text = NULL;
	size_t n = 0;
	const cv_code code = cv_provider_file_read(path, &text, &n, err);

	if (code != CV_OK)
		return code;
	const struct cv_str s = { text, n };
	cv_findings_init(&f);
	if (cv_instance_is_one(s))
		instance_lint(path, s, &f);
	else
		(void)!cv_profile_load(cv_str_of(path), s, &profile, &f);
	cv_profile_free(profile);
	if (o->output == CV_OUTPUT_JSON)
		cv_findings_json(&f, cv_str_of(path), out);
	else
		cv_findings_text(&f, cv_str_of(path), out);
	if (o->output == CV_OUTPUT_TEXT && !f.n)
		cv_buf_printf(out, "%s: ok\n", path);
	*ret_errors += f.error_count;
	cv_findings_fini(&f);
	free(text);
	return CV_OK;
}

static int lint_run(const struct cv_command *self, int argc, char **argv)
{
	struct lint_options o = { 0 };
	struct cv_err err = { 0 };
	bool wants_help;
	size_t errors = 0;
	struct cv_buf out;
	int first, status = 0;

	if (cv_options_parse(self, argc, argv, &o, &first, &wants_help, &err) != CV_OK)
		return cv_command_fail(self, &err);
	if (wants_help) {
		cv_command_help(self, stdout);
		return 0;
	}
	if (first >= argc) {
		(void)cv_fail(&err, CV_INVALID, "name the file to check");
		return cv_command_fail(self, &err);
	}
	cv_buf_init(&out, OUTPUT_BYTES_MAX);
	if (o.output == CV_OUTPUT_JSON)
		cv_buf_put_byte(&out, '[');
	for (int i = first; i < argc && !status; i++) {
		if (o.output == CV_OUTPUT_JSON && i > first)
			cv_buf_put_byte(&out, ',');
		if (lint_one(&o, argv[i], &out, &errors, &err) != CV_OK)
			status = cv_command_fail(self, &err);
	}
	if (o.output == CV_OUTPUT_JSON)
		cv_buf_put(&out, CV_STR("]\n"));
	fwrite(cv_buf_str(&out).p, 1, status && o.output == CV_OUTPUT_JSON ? 0 : cv_buf_len(&out),
		stdout);
	cv_buf_fini(&out);
	return status ? status : errors != 0;
}

const struct cv_command cv_cmd_provider_lint = {
	.name = "provider lint",
	.operands = "FILE...",
	.summary = "say whether provider files are right, and where they are not",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = lint_run,
};
